"""Measure Dagster's web server with Interlock in front, beside Dagster's own; ``make bench-web``.

Both serve the same instance from the same code server, on loopback, with the embedded object store.
Requests alternate between the two, so that what else the machine does falls on both alike.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

sys.path.insert(0, str(Path(__file__).parent))

from measuring import Row
from run import print_table

from interlock.adapters.directory import Person
from interlock.adapters.object_store import ObjectStore
from interlock.assembly import (
    open_authority,
    open_credentials,
    open_directory,
    open_signing,
    open_store,
    utc_now,
)
from interlock.governance.access import Action, Resource
from interlock.governance.principal import UNVERIFIED, IdentitySource, Role
from interlock.local.home import Home
from interlock.local.platform import connected
from interlock.local.ports import LOOPBACK, free_ports
from interlock.settings import Settings, load_settings
from interlock.webserver.opening import open_visitors
from interlock.webserver.visitors import COOKIE

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "bench-web.json"
NAME, PASSWORD = "bench", "correct horse battery staple"
MODULE = "interlock.definitions"
WARM = 10  # requests to each server that are not counted
DECISIONS = 2_000
READY_SECONDS = 300.0
BETWEEN = 0.02  # seconds; as long as the store rests between two mutations

# What the page of an asset graph asks for, in the main.
GRAPH = """{ assetNodes { id groupName opNames jobNames isPartitioned isMaterializable isObservable
  isExecutable computeKind description hasMaterializePermission hasReportRunlessAssetEventPermission
  assetKey { path } dependencyKeys { path } dependedByKeys { path } kinds
  owners { ... on TeamAssetOwner { team } } repository { id name location { id name } }
  tags { key value } } }"""
SMALL = "{ version }"
MUTATION = "mutation { setNuxSeen }"


@dataclass
class Server:
    """A connection to one of the two."""

    port: int
    cookie: str = ""

    def __post_init__(self) -> None:
        self.connection = http.client.HTTPConnection(LOOPBACK, self.port, timeout=120)

    def send(self, method: str, path: str, body: bytes, kind: str) -> tuple[int, bytes, str]:
        """One request on the open connection: status, body and cookie of its answer."""
        headers = {"Content-Type": kind, "Origin": f"http://{LOOPBACK}:{self.port}"}
        if self.cookie:
            headers["Cookie"] = f"{COOKIE}={self.cookie}"
        self.connection.request(method, path, body, headers)
        answer = self.connection.getresponse()
        return answer.status, answer.read(), answer.getheader("Set-Cookie", "")

    def ask(self, query: str) -> float:
        """Seconds that an answer to a query took."""
        body = json.dumps({"query": query}).encode()
        started = time.perf_counter()
        status, answer, _ = self.send("POST", "/graphql", body, "application/json")
        seconds = time.perf_counter() - started
        if status != http.client.OK or b'"errors"' in answer:
            raise SystemExit(f"port {self.port} answered {status}: {answer[:300]!r}")
        return seconds

    def sign_in(self) -> None:
        """Sign in as the one person there is."""
        form = urlencode({"name": NAME, "password": PASSWORD}).encode()
        status, answer, cookie = self.send(
            "POST", "/sign-in", form, "application/x-www-form-urlencoded"
        )
        if status != http.client.SEE_OTHER:
            raise SystemExit(f"signing in was answered {status}: {answer[:300]!r}")
        self.cookie = cookie.split(";")[0].partition("=")[2]


Pair = tuple[Server, Server]
"""Dagster's own, and ours."""


def main() -> None:
    """Measure, print a table, write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=200, help="requests to each server")
    options = parser.parse_args()
    before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="bench-web-") as folder:
        os.environ.update({"INTERLOCK_HOME": f"{folder}/home", "ENVIRONMENT": "dev"})
        settings = replace(load_settings(), home=Path(folder) / "home")
        with connected(settings) as there:
            rows = _measure(there, Path(folder), options.pairs)
    load = (before, os.getloadavg()[0])
    print_table(rows)
    document = {
        "machine": {"cores": os.cpu_count(), "load": [round(each, 1) for each in load]},
        "pairs": options.pairs,
        "rows": [row.as_dict() for row in rows],
    }
    RESULTS.write_text(json.dumps(document, indent=2) + "\n")
    print(f"\nload {load[0]:.1f} before, {load[1]:.1f} after; written to {RESULTS.name}")


def _measure(settings: Settings, folder: Path, pairs: int) -> list[Row]:
    home = Home(settings.home)
    people = {
        "IDENTITY_SOURCE": "local",
        "IDENTITY_PUBLIC_KEYS": str(home.identity_public_keys()),
        "IDENTITY_KEY": str(home.identity_key),
    }
    os.environ.update(people)
    store = open_store(settings)
    open_directory(settings, store).add(
        Person(
            name=NAME,
            role=Role.ML_ENGINEER,
            teams=frozenset({"credit-risk"}),
            source=IdentitySource.LOCAL,
            sessions_from=utc_now(),
        )
    )
    open_credentials(settings, store).set_password(NAME, PASSWORD)
    rows = _decisions(load_settings())
    with _servers(folder) as (stock, governed):
        governed.sign_in()
        rows += _compared("the graph of assets", GRAPH, (stock, governed), pairs, most=5.0)
        rows += _compared("the smallest query", SMALL, (stock, governed), pairs)
        rows.append(_audited((stock, governed), pairs))
        rows.append(_one_put(store, settings, pairs))
    return rows


def _decisions(settings: Settings) -> list[Row]:
    """A policy decision with its check of the principal, in this process."""
    store, signing = open_store(settings), open_signing(settings)
    visitors = open_visitors(settings, store, signing)
    authority = open_authority(settings, store, UNVERIFIED)
    cookies = {COOKIE: visitors.sign_in(NAME, PASSWORD)}

    def decide() -> None:
        found = visitors.find({}, cookies)
        assert found is not None  # noqa: S101 - who has just signed in
        acting = authority.acting_as(found.person.principal)
        decision = acting.engine.decide(
            principal=acting.principal,
            action=Action.DATA_INGEST,
            resource=Resource(Action.DATA_INGEST.resource_kind, "any"),
            environment=acting.environment,
            context=acting.context,
        )
        assert decision.allowed, decision.reason  # noqa: S101 - another decision is another time

    taken = [1_000 * _timed(decide) for _ in range(DECISIONS)]
    middle, slow = statistics.median(taken), statistics.quantiles(taken, n=20)[-1]
    return [
        Row(
            "policy decision with check of the principal",
            middle,
            f"{middle:.2f} ms (95 % below {slow:.2f})",
            "at most 1 ms",
            middle <= 1,
        )
    ]


def _compared(
    what: str, query: str, servers: Pair, pairs: int, *, most: float | None = None
) -> list[Row]:
    plain, guarded = _alternate(query, servers, pairs)
    slower = 100 * (guarded / plain - 1)
    holds = None if most is None else slower <= most
    bound = "" if most is None else f"at most {most:.0f} % slower"
    text = f"{guarded:.1f} ms, stock {plain:.1f} ms: {slower:+.1f} %"
    return [Row(f"web server, {what}", slower, text, bound, holds)]


def _audited(servers: Pair, pairs: int) -> Row:
    plain, guarded = _alternate(MUTATION, servers, pairs)
    more = guarded - plain
    text = f"{more:+.1f} ms ({guarded:.1f} ms, stock {plain:.1f} ms), embedded store"
    return Row("mutation with its two audit events", more, text, "at most 10 ms more", more <= 10)  # noqa: PLR2004


def _one_put(store: ObjectStore, settings: Settings, puts: int) -> Row:
    """What the store itself takes of a mutation: the answer waits for one record."""
    until = utc_now() + timedelta(days=1)
    taken = []
    for number in range(puts):
        time.sleep(BETWEEN)
        put = partial(
            store.put_new,
            settings.audit_bucket,
            f"bench/{number}",
            bytes(1_000),
            retain_until=until,
        )
        taken.append(1_000 * _timed(put))
    put_ms = statistics.median(taken)
    return Row("of that, one locked put into that store", put_ms, f"{put_ms:.1f} ms", "", None)


def _alternate(query: str, servers: Pair, pairs: int) -> tuple[float, float]:
    """Medians in milliseconds; who is first changes with every pair."""
    stock, governed = servers
    taken: dict[int, list[float]] = {stock.port: [], governed.port: []}
    for number in range(pairs + WARM):
        order = (stock, governed) if number % 2 else (governed, stock)
        for server in order:
            seconds = server.ask(query)
            if number >= WARM:
                taken[server.port].append(1_000 * seconds)
    return statistics.median(taken[stock.port]), statistics.median(taken[governed.port])


def _timed(call: Callable[[], None]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


@contextlib.contextmanager
def _servers(folder: Path) -> Iterator[tuple[Server, Server]]:
    """Both web servers, before one code server and one instance."""
    code, first, second = free_ports(3)
    dagster = folder / "dagster"
    dagster.mkdir()
    (dagster / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    workspace = folder / "workspace.yaml"
    named = f"host: {LOOPBACK}, port: {code}, location_name: interlock"
    workspace.write_text(f"load_from: [{{grpc_server: {{{named}}}}}]\n")
    environment = {**os.environ, "DAGSTER_HOME": str(dagster)}
    scripts, python = Path(sys.executable).parent, sys.executable
    where = ["-h", LOOPBACK, "-p", str(code)]
    commands = {
        code: [str(scripts / "dagster"), "api", "grpc", "-m", MODULE, *where],
        first: [
            *(str(scripts / "dagster-webserver"), "-h", LOOPBACK, "-p", str(first)),
            *("-w", str(workspace), "--live-data-poll-rate", "2000"),
        ],
        second: [
            *(python, "-m", "interlock.webserver", "--host", LOOPBACK, "--port", str(second)),
            *("-w", str(workspace)),
        ],
    }
    with contextlib.ExitStack() as stack:
        for port, command in commands.items():
            log = stack.enter_context((folder / f"{port}.log").open("w"))
            process = _started(command, environment, log)
            stack.callback(process.wait)
            # The code server would wait for calls that nobody makes any more; it holds nothing.
            stack.callback(process.kill if port == code else process.terminate)
            _wait_for(port, process, folder / f"{port}.log")
        yield Server(first), Server(second)


def _started(
    command: list[str], environment: Mapping[str, str], log: Any
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, env=dict(environment), stdout=log, stderr=log)


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError):
            socket.create_connection((LOOPBACK, port), timeout=1).close()
            return
        time.sleep(0.2)
    raise SystemExit(f"port {port} does not answer:\n{log.read_text()[-2_000:]}")


if __name__ == "__main__":
    main()
