"""``interlock deploy-check``: may this environment deploy that model version?"""

from __future__ import annotations

import click

from interlock.actions.deploy_check import deploy_check, parse_reference
from interlock.assembly import open_workspace, process_context
from interlock.cli import view
from interlock.cli.entering import checked_settings, services
from interlock.cli.verb import Result, Terminal, verb
from interlock.errors import AccessDenied, DeploymentRefused, InterlockError
from interlock.settings import process_environment


@verb("deploy-check")
@click.argument("model", metavar="MODEL[@ALIAS]")
@click.argument("rest", nargs=-1, metavar="")
def command(terminal: Terminal, model: str, rest: tuple[str, ...]) -> Result:
    """Exit with 0 only when this environment may deploy MODEL at ALIAS, by default champion.

    Flag, gates, audit trail and the stored files must agree; whatever is missing or cannot be
    reached is a reason to refuse, with exit code 3.
    """
    _require_alias(model, rest)
    settings = checked_settings(terminal)
    try:
        with services(terminal, settings) as found:
            workspace = open_workspace(found, secrets=process_environment())
            context = process_context("deploy-check", terminal.say)
            deployable = deploy_check(workspace, model, context)
    except (AccessDenied, DeploymentRefused):
        raise
    except InterlockError as error:
        name, alias = parse_reference(model)
        raise DeploymentRefused(
            model=f"{name}@{alias}", reasons=[error.message], remedy=error.remedy
        ) from error
    version = deployable.version
    document = {
        "deployable": True,
        "model": {
            "name": version.name,
            "version": version.version,
            "aliases": version.aliases,
            "tags": dict(sorted(version.tags.items())),
        },
        "audit_event": deployable.event_key,
    }
    shown = view.pairs(
        [
            ("model", f"{version.name} version {version.version}"),
            ("aliases", ", ".join(version.aliases)),
            ("environment", version.tags["environment"]),
            ("model_digest", version.tags["model_digest"]),
            ("audit_event", deployable.event_key),
            ("verdict", view.verdict(True, "may be deployed here")),
        ]
    )
    return Result(document, view=[shown])


def _require_alias(model: str, rest: tuple[str, ...]) -> None:
    """Refuse a version's number: what is deployed is what an alias points at.

    Raises:
        BadParameter: Says which form is expected.
    """
    if rest or "/" in model:
        name = model.partition("/")[0].partition("@")[0]
        typed = " ".join((model, *rest))
        raise click.BadParameter(
            f"{typed!r} is not MODEL[@ALIAS]: what is deployed is what an alias points at, so "
            f"check {name}@champion or {name}@challenger"
        )
