"""``interlock audit verify``: is the trail intact, and has every action an end?

Reads the store and asks nobody: whoever can read the bucket may verify it, and verifying
writes nothing. An auditor can do the same from an export, without this platform's store.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.console import RenderableType
from rich.text import Text

from interlock.adapters.audit_log import verify_export
from interlock.adapters.signer import PublicKey, read_public_key
from interlock.assembly import open_audit_log, open_store
from interlock.cli import view
from interlock.cli.app import FAILURE, OK
from interlock.cli.entering import checked_settings
from interlock.cli.next_steps import call
from interlock.cli.run_state import RunState
from interlock.cli.trail import OpenAction, find_stream, open_actions, waiting_records
from interlock.cli.verb import Result, Terminal, verb
from interlock.governance.audit import TrailReport, Unfinished
from interlock.governance.policy import Action
from interlock.local.platform import connected

Document = Mapping[str, Any]


@verb("verify")
@click.argument("stream", required=False)
@click.option(
    "--export",
    "folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Verify a folder that `audit export` wrote; needs no store.",
)
@click.option(
    "--public-key",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="With --export: demand a signature of this P-256 key, PEM.",
)
def command(
    terminal: Terminal, stream: str | None, folder: Path | None, public_key: Path | None
) -> Result:
    """Verify the whole audit trail, or one STREAM of it.

    Exits with 1 when something contradicts an intact trail, or when an action of a run that is
    over has no end.
    """
    if folder is not None:
        if stream is not None:
            msg = "an export is verified as a whole; leave STREAM out"
            raise click.UsageError(msg)
        key = None if public_key is None else read_public_key(public_key)
        found = verify_export(folder, signed_by=key)
        return _result(str(folder), found, open_actions=None, waiting=0, signed_by=key)
    if public_key is not None:
        msg = "only exports are signed; give --export FOLDER too"
        raise click.UsageError(msg)
    settings = checked_settings(terminal)
    with connected(settings, echo=terminal.say) as running:
        audit = open_audit_log(running, open_store(running))
        report = audit.verify(None if stream is None else find_stream(audit, stream))
        unfinished = open_actions(running, audit, report, embedded=settings.embedded)
        return _result(audit.location, report, unfinished, waiting=waiting_records(running))


def _result(
    where: str,
    report: TrailReport,
    open_actions: Sequence[OpenAction] | None,
    *,
    waiting: int,
    signed_by: PublicKey | None = None,
) -> Result:
    """What was found.

    Args:
        where: What was verified.
        report: The report.
        open_actions: Its unfinished actions with the state of their runs; None where no run
            can be asked about.
        waiting: Records that wait on this machine's disk.
        signed_by: Whose signature was checked and found good.
    """
    actions = (
        [OpenAction(each, None, _state_in_copy(each)) for each in report.unfinished]
        if open_actions is None
        else open_actions
    )
    dead = [each for each in actions if each.state is not RunState.RUNNING]
    verified = report.intact and not dead
    document = {
        "location": where,
        "verified": verified,
        "intact": report.intact,
        "streams": len(report.streams),
        "events": report.events,
        "findings": [asdict(finding) for finding in report.all_findings],
        "unfinished": [
            {
                "stream": each.action.stream.name,
                "opened": each.action.stream.opened,
                "sequence": each.action.sequence,
                "action": each.action.action,
                "resource": each.action.resource,
                "since": each.action.since.isoformat(timespec="seconds"),
                "run_id": each.run_id,
                "run": each.state.value,
            }
            for each in actions
        ],
        "notes": [asdict(note) for each in report.streams for note in each.notes],
        "waiting": waiting,
    }
    if signed_by is not None:
        document["signed_by"] = signed_by.fingerprint
    return Result(document, view=list(_view(document)), code=OK if verified else FAILURE)


def _state_in_copy(action: Unfinished) -> RunState:
    """A copy is made before the export that makes it can have an end."""
    exporting = action.action == Action.AUDIT_EXPORT
    return RunState.RUNNING if exporting else RunState.UNKNOWN


def _view(document: Document) -> Iterator[RenderableType]:
    yield view.pairs(
        [
            ("trail", document["location"]),
            ("streams", f"{document['streams']:,}"),
            ("events", f"{document['events']:,}"),
            ("findings", f"{len(document['findings']):,}"),
            ("unfinished", f"{len(document['unfinished']):,}"),
            *([("signed by", document["signed_by"])] if "signed_by" in document else []),
        ]
    )
    for finding in document["findings"]:
        yield Text("Finding: ", style="bold red") + Text(f"{finding['key']}: {finding['text']}")
    for each in document["unfinished"]:
        yield from _unfinished(each)
    for note in document["notes"]:
        yield Text(f"Note: {note['key']}: {note['text']}", style="dim")
    if document["waiting"]:
        yield Text(
            f"{document['waiting']} record(s) wait on this machine's disk; the next governed "
            "action writes them",
            style="yellow",
        )
    yield view.verdict(
        document["verified"], "Verified: the trail is intact", "NOT verified; see above"
    )


def _unfinished(each: Document) -> Iterator[RenderableType]:
    what = f"{each['action']} on {each['resource']} has no end since {each['since']}"
    if each["run"] == RunState.RUNNING:
        who = f"run {each['run_id']} works on it" if each["run_id"] else "it made this copy"
        yield Text(f"In progress: {what} ({who})", style="yellow")
        return
    gone = "its run is over" if each["run"] == RunState.ENDED else "no running process is known"
    yield Text("Unfinished: ", style="bold red") + Text(f"{what}; {gone}")
    close = call("audit", "close", each["stream"], "--reason", "…", RUN_ROLE="platform_admin")
    yield view.commands([(close, "when it is certain that nothing works on it:")])
