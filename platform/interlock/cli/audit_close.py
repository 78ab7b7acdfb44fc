"""``interlock audit close``: record that a killed run will not finish."""

from __future__ import annotations

import click

from interlock.actions.close_stream import close_stream
from interlock.assembly import open_workspace, process_context
from interlock.cli import view
from interlock.cli.entering import checked_settings
from interlock.cli.next_steps import call
from interlock.cli.run_state import RunState, report_dead, state_of
from interlock.cli.trail import find_stream
from interlock.cli.verb import Result, Terminal, verb
from interlock.governance.audit import decode
from interlock.local.platform import connected
from interlock.settings import process_environment


@verb("close")
@click.argument("stream")
@click.option("--reason", required=True, help="How it is known that nothing works on it.")
def command(terminal: Terminal, stream: str, reason: str) -> Result:
    """Record the unfinished actions of STREAM as killed, and end its open MLflow runs.

    For platform administrators: RUN_ROLE=platform_admin. Refused while the run works.
    """
    if not reason.strip():
        msg = "say how it is known that nothing works on it"
        raise click.BadParameter(msg, param_hint="--reason")
    settings = checked_settings(terminal)
    with connected(settings, echo=terminal.say) as found:
        workspace = open_workspace(found, secrets=process_environment())
        closed_stream = find_stream(workspace.authority.audit, stream)
        closed = close_stream(
            workspace,
            closed_stream,
            process_context("audit-close", terminal.say),
            reason=reason.strip(),
            is_running=lambda run_id: (
                state_of(found, run_id, embedded=settings.embedded) is RunState.RUNNING
            ),
        )
        for run_id in closed.dagster_runs:
            report_dead(found, run_id, reason.strip())
    records = [decode(event.data, key=event.key).record for event in closed.events]
    ended = [
        {"key": event.key, "action": record.action, "resource": record.resource}
        for event, record in zip(closed.events, records, strict=True)
    ]
    document = {
        "stream": closed_stream.name,
        "closed": ended,
        "mlflow_runs": closed.mlflow_runs,
        "mlflow_left_open": closed.mlflow_left_open,
        "dagster_runs": closed.dagster_runs,
    }
    shown = view.table(
        ("recorded as killed", "on", "event"),
        [(each["action"], each["resource"], each["key"].rpartition("/")[2]) for each in ended],
    )
    steps = [(call("audit", "verify"), "the trail has no open end there any more")]
    left = closed.mlflow_left_open
    notes = [f"MLflow's own runs may still be open: {left}"] if left else []
    return Result(document, view=[shown, view.heading("Next"), view.commands(steps)], notes=notes)
