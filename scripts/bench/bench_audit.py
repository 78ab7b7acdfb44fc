"""The audit trail against the embedded S3: events written and verified, the cost of a step."""

from __future__ import annotations

import tempfile
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from measuring import Row, median

from interlock.actions.authority import RunContext
from interlock.assembly import open_workspace, utc_now
from interlock.governance.audit import (
    AuditRecord,
    Outcome,
    RecordedPrincipal,
    RunRef,
    Stream,
)
from interlock.governance.policy import Action, Resource
from interlock.local.platform import connected
from interlock.settings import load_settings, process_environment

EVENTS = 1_000
WRITERS = 16
STEPS = 50


def measure() -> list[Row]:
    """Write one stream, many streams at once, verify all, time empty actions."""
    with tempfile.TemporaryDirectory() as folder:
        settings = replace(load_settings(), home=Path(folder) / "home")
        with connected(settings):
            return _measure()


def _measure() -> list[Row]:
    workspace = open_workspace(load_settings(), secrets=process_environment())
    audit = workspace.authority.audit
    today = utc_now().date()

    started = time.monotonic()
    for _ in range(EVENTS):
        audit.append(Stream("bench-one", today), _record())
    one = EVENTS / (time.monotonic() - started)

    def write(number: int) -> None:
        for _ in range(EVENTS // WRITERS):
            audit.append(Stream(f"bench-{number}", today), _record())

    started = time.monotonic()
    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(write, range(WRITERS)))
    many = WRITERS * (EVENTS // WRITERS) / (time.monotonic() - started)

    started = time.monotonic()
    report = audit.verify()
    verified = report.events / (time.monotonic() - started)
    if not report.intact:
        raise SystemExit(f"the trail does not verify: {report.all_findings[:3]}")

    run = RunContext(stream=Stream("bench-steps", today), ref=RunRef(), report=lambda _: None)
    taken = []
    for _ in range(STEPS):
        began = time.monotonic()
        with workspace.authority.govern(Action.DATA_INGEST, Resource("product", "bench"), run):
            pass
        taken.append(time.monotonic() - began)
    step = median(taken)
    return [
        Row("audit events written, one stream", one, f"{one:,.0f} /s"),
        Row(f"audit events written, {WRITERS} streams", many, f"{many:,.0f} /s"),
        Row(f"audit events verified, of {report.events:,}", verified, f"{verified:,.0f} /s"),
        Row("an action's decision and two records", step * 1e3, f"{step * 1e3:.1f} ms"),
    ]


def _record() -> AuditRecord:
    return AuditRecord(
        id=str(uuid.uuid4()),
        time=utc_now(),
        environment="dev",
        principal=RecordedPrincipal(name="bench", role="ml_engineer", verified_by="env"),
        action="data:ingest",
        resource="product/bench",
        outcome=Outcome.DENIED,
        reason="a record of ordinary size, written to measure how many fit into a second",
        evidence={"data_hash": "0" * 64, "policy_hash": "1" * 64, "rows": 1_000},
    )
