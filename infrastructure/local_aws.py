"""AWS's API on loopback: moto's server as a process of its own, and clients for it.

Nothing here can reach a real account: the keys are made up and every address is the server's.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from infrastructure.tools import ROOT

ACCOUNT: Final = "123456789012"  # moto's own
START_SECONDS: Final = 120
KEY: Final = "test"


@dataclass(frozen=True)
class LocalAws:
    """A running server.

    Attributes:
        url: Its address, for all services.
        region: The region that everything is made in.
        log: What the server says.
    """

    url: str
    region: str
    log: Path

    @property
    def variables(self) -> Mapping[str, str]:
        """What a process needs in order to take this server for AWS, and nothing else for it."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ENDPOINT_URL_S3": self.url,
            "AWS_ENDPOINT_URL_STS": self.url,
            # S3 Control puts the account before the host name, for which an address of loopback has
            # no room. The server takes requests for any host as a proxy does, so it is the proxy.
            "AWS_ENDPOINT_URL_S3_CONTROL": f"http://s3-control.{self.region}.amazonaws.com",
            "HTTP_PROXY": self.url,
            "http_proxy": self.url,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": KEY,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
        }

    def client(self, service: str) -> Any:
        """A client of one service."""
        import boto3
        from botocore.config import Config

        session = boto3.session.Session(
            aws_access_key_id=KEY, aws_secret_access_key=KEY, region_name=self.region
        )
        settings = Config(proxies={}, s3={"addressing_style": "path"}, retries={"max_attempts": 1})
        return session.client(service, endpoint_url=self.url, config=settings)

    def configure(self, document: Mapping[str, Any]) -> None:
        """Sets what moto calls its configuration."""
        self._post("config", json.dumps(document).encode())

    def _post(self, path: str, body: bytes) -> None:
        request = urllib.request.Request(  # noqa: S310 - loopback
            f"{self.url}/moto-api/{path}", data=body, method="POST"
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=10) as answer:
            answer.read()


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with closing(socket.socket()) as made:
        made.bind(("127.0.0.1", 0))
        return int(made.getsockname()[1])


@contextmanager
def running(directory: Path, region: str, caller: Mapping[str, str]) -> Iterator[LocalAws]:
    """Starts a server, and stops it.

    Args:
        directory: Where its log is written.
        region: The region that everything is made in.
        caller: The variables of the caller.
    """
    port = free_port()
    aws = LocalAws(f"http://127.0.0.1:{port}", region, directory / "moto.log")
    kept = {name: value for name, value in caller.items() if not name.startswith("AWS_")}
    # Amazon's own policies, which roles of the batch service are attached to, exist only if asked.
    settings = {"MOTO_IAM_LOAD_MANAGED_POLICIES": "true", "AWS_DEFAULT_REGION": region}
    with aws.log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - fixed words
            [sys.executable, "-m", "infrastructure.moto_server", str(port)],
            cwd=ROOT,
            stdout=output,
            stderr=output,
            env=kept | settings,
        )
    try:
        _wait_for(aws, process)
        aws.configure({"batch": {"use_docker": False}})
        yield aws
    finally:
        process.terminate()
        process.wait()


def _wait_for(aws: LocalAws, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            aws.configure({})
        except urllib.error.URLError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"moto's server did not start: {aws.log.read_text()[-2000:]}")
