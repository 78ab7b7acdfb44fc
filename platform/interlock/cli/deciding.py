"""What `interlock approve` and `interlock reject` have in common: show, sign, record."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import click

from interlock.actions.approve import Decided, decide
from interlock.adapters.signer import Signer, open_signer
from interlock.assembly import open_workspace, process_context
from interlock.cli import view
from interlock.cli.entering import checked_settings, services
from interlock.cli.next_steps import call
from interlock.cli.verb import Result, Terminal
from interlock.errors import ApprovalError, ConfigurationError
from interlock.governance.approval import DEFAULT_LIFETIME, Statement, Verdict
from interlock.local.home import Home
from interlock.settings import Settings, process_environment


def decided(
    terminal: Terminal,
    *,
    verdict: Verdict,
    model: str,
    version: str,
    reason: str,
    days: int = DEFAULT_LIFETIME.days,
    yes: bool,
) -> Result:
    """Show what is signed, sign it, record it, and say what it comes to."""
    settings = checked_settings(terminal)
    with services(terminal, settings) as found, signer_of(settings, found) as signer:
        done = decide(
            open_workspace(found, secrets=process_environment()),
            process_context(verdict.value, terminal.say),
            signer,
            show=lambda statement: _show(terminal, statement, signer, yes=yes),
            verdict=verdict,
            model=model,
            version=version,
            reason=reason,
            lifetime=timedelta(days=days),
        )
    return Result(_document(done), view=list(_shown(done)))


@contextlib.contextmanager
def signer_of(settings: Settings, found: Settings) -> Iterator[Signer]:
    """The key that signs decisions in this process.

    Args:
        settings: As this process was given them.
        found: With the services that they name.

    Yields:
        The key.

    Raises:
        ConfigurationError: None is named.
        SigningError: It cannot be used.
    """
    key = settings.approval_key
    if key is None and settings.embedded:
        key = str(Home(settings.home).approval_key)
    if key is None:
        raise ConfigurationError(
            "APPROVAL_KEY is unset, expected the key that signs approvals",
            remedy="set it to a PEM file of your own, or to awskms:///alias/NAME",
        )
    with open_signer(key, region=found.aws_region) as signer:
        yield signer


def _show(terminal: Terminal, statement: Statement, signer: Signer, *, yes: bool) -> None:
    """Exactly what will be signed, and the question whether it shall be."""
    terminal.say("This is signed, in its canonical form without blanks:")
    terminal.err.print(
        json.dumps(statement.document(), indent=2, ensure_ascii=False),
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    terminal.say(f"with the key {signer.key_id}")
    if yes or terminal.as_json or not sys.stdin.isatty():
        return
    if not click.confirm("Sign it?", err=True):
        raise ApprovalError("it was not signed", remedy="nothing was recorded; run it again")


def _document(done: Decided) -> dict[str, Any]:
    statement, found = done.statement, done.assessment
    return {
        "model": statement.seen.model,
        "version": statement.seen.version,
        "verdict": statement.verdict,
        "meaning": statement.meaning,
        "subject": statement.subject,
        "reason": statement.reason,
        "issued": statement.issued,
        "expires": statement.expires,
        "seen_digest": statement.seen.digest,
        "state": found.state,
        "approvals": [each.statement.subject for each in found.counted],
        "quorum": found.quorum,
        "lacks": found.reasons_against(),
        "audit_event": done.event_key,
    }


def _shown(done: Decided) -> Iterator[Any]:
    statement, found = done.statement, done.assessment
    yield view.pairs(
        [
            ("model", done.case.label),
            ("decision", f"{statement.verdict.value}: {statement.meaning}"),
            ("by", statement.subject),
            ("expires", statement.expires),
            ("approvals", f"{len(found.counted)} of {found.quorum}"),
            ("state", view.verdict(found.approved, found.state.value, found.state.value)),
            ("audit_event", done.event_key),
        ]
    )
    if found.approved:
        seen = statement.seen
        steps = [(call("promote", seen.model, seen.version), "make it the champion")]
        yield view.heading("Next")
        yield view.commands(steps)
