"""AWS's API on loopback, for tests: moto's server, a process of its own.

The fixtures ``aws`` and ``aws_environment`` that hand it out are in ``conftest.py``. All tests of
a worker share one server: each makes things under names of its own.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from interlock.local.ports import free_port

REGION: Final = "eu-central-1"
ACCOUNT: Final = "123456789012"  # moto's own
START_SECONDS: Final = 60
_serial = itertools.count(1)


@dataclass(frozen=True)
class AwsApi:
    """A running server.

    Attributes:
        url: Its address, for all services.
    """

    url: str
    _clients: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def variables(self) -> Mapping[str, str]:
        """What a process needs in order to take this server for AWS."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_REGION": REGION,
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
        }

    def new_name(self, kind: str) -> str:
        """A name that nothing on this server has."""
        return f"{kind}-{next(_serial):05d}"

    @contextmanager
    def client(self, service: str) -> Iterator[Any]:
        """A client of one service; made once, because loading a service takes long."""
        if service not in self._clients:
            import boto3

            session = boto3.session.Session(
                aws_access_key_id="testing", aws_secret_access_key="testing", region_name=REGION
            )
            self._clients[service] = session.client(service, endpoint_url=self.url)
        yield self._clients[service]

    def close(self) -> None:
        """Closes the clients."""
        for client in self._clients.values():
            client.close()

    @contextmanager
    def waiting_jobs(self) -> Iterator[None]:
        """While it is open, jobs of Batch that are submitted wait and do not end."""
        _post(self, "config", {"batch": {"use_docker": True}})
        _set_transition(self, "batch::job")
        try:
            yield
        finally:
            _post(self, "state-manager/unset-transition", {"model_name": "batch::job"})
            _post(self, "config", {"batch": {"use_docker": False}})


@contextmanager
def running_api(directory: Path) -> Iterator[AwsApi]:
    """Starts a server, and stops it."""
    port = free_port()
    api = AwsApi(f"http://127.0.0.1:{port}")
    program = Path(__file__).with_name("aws_server.py")
    log = directory / "moto.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, program, "-H", "127.0.0.1", "-p", str(port)],
            stdout=output,
            stderr=output,
        )
    try:
        _wait_for(api, process, log)
        # Jobs of Batch end at once, without a container; tasks of ECS run until they are stopped.
        _post(api, "config", {"batch": {"use_docker": False}})
        _set_transition(api, "ecs::task")
        yield api
    finally:
        api.close()
        process.terminate()
        process.wait()


def _set_transition(api: AwsApi, model: str) -> None:
    """Lets things of one kind stay in the state that they have."""
    transition = {"progression": "manual", "times": 1_000_000}
    document = {"model_name": model, "transition": transition}
    _post(api, "state-manager/set-transition", document)


def _wait_for(api: AwsApi, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            _post(api, "config", {})
        except urllib.error.URLError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError(f"moto did not start: {log.read_text()}")


def _post(api: AwsApi, path: str, document: Mapping[str, Any]) -> None:
    request = urllib.request.Request(  # noqa: S310 - loopback
        f"{api.url}/moto-api/{path}", data=json.dumps(document).encode(), method="POST"
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=10) as answer:
        answer.read()
