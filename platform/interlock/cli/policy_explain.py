"""``interlock policy explain``: who may do what, and which policy decides."""

from __future__ import annotations

from typing import Any

import click
from rich.console import RenderableType
from rich.text import Text

from interlock.cli import view
from interlock.cli.verb import Result, Terminal, verb
from interlock.governance.policy import Action, Explanation, PolicyEngine
from interlock.governance.principal import Environment, Role
from interlock.settings import load_settings

ACTIONS = [action.value for action in Action]
ROLES = [role.value for role in Role]
ENVIRONMENTS = [environment.value for environment in Environment]


@verb("explain")
@click.argument("action", required=False, type=click.Choice(ACTIONS), metavar="[ACTION]")
@click.option("--role", type=click.Choice(ROLES), help="Only this role.")
@click.option(
    "--environment",
    type=click.Choice(ENVIRONMENTS),
    help="By default that of ENVIRONMENT, or else dev.",
)
def command(
    terminal: Terminal,  # noqa: ARG001 - a verb's form
    action: str | None,
    role: str | None,
    environment: str | None,
) -> Result:
    """Say who may do ACTION, or everything, and which policy decides.

    ACTION is e.g. model:train. Roles alone are asked about: every condition that a policy
    names besides (marks, gates, approvals) is taken to hold, and listed.
    """
    where = Environment(environment) if environment else _own_environment()
    engine = PolicyEngine.load()
    found = [
        engine.explain(role=who, action=what, environment=where)
        for what in ([Action(action)] if action else Action)
        for who in ([Role(role)] if role else Role)
    ]
    document = {
        "environment": where,
        "policy_hash": engine.policy_hash,
        "explanations": [_document(each) for each in found],
    }
    if action is None and role is None:
        shown = [_overview(found)]
    elif len(found) == 1:
        shown = _details(found[0])
    else:
        shown = [_answers(found, by_role=role is None)]
    return Result(document, view=[view.heading(f"In {where}"), *shown])


def _own_environment() -> Environment:
    return load_settings().environment or Environment.DEV


def _document(explanation: Explanation) -> dict[str, Any]:
    return {
        "role": explanation.role,
        "action": explanation.action,
        "allowed": explanation.allowed,
        "policies": [rule.id for rule in explanation.policies],
        "reason": explanation.reason,
        "remedy": explanation.remedy,
        "conditions": [
            {"policy": rule.id, "forbids_unless": rule.reason} for rule in explanation.conditions
        ],
    }


def _overview(found: list[Explanation]) -> RenderableType:
    """Action by action, the roles that may."""
    rows = []
    for action in Action:
        of_action = [each for each in found if each.action is action]
        able = [each for each in of_action if each.allowed]
        policies = dict.fromkeys(rule.id for each in able for rule in each.policies)
        roles = ", ".join(each.role.value for each in able)
        rows.append((action.value, roles or Text("nobody", style="dim"), ", ".join(policies)))
    return view.table(("action", "roles that may", "permitted by"), rows)


def _answers(found: list[Explanation], *, by_role: bool) -> RenderableType:
    return view.table(
        ("role" if by_role else "action", "may", "decided by", "why"),
        [
            (
                each.role.value if by_role else each.action.value,
                view.verdict(each.allowed, "yes", "no"),
                ", ".join(rule.id for rule in each.policies) or "default deny",
                each.reason,
            )
            for each in found
        ],
    )


def _details(found: Explanation) -> list[RenderableType]:
    shown: list[RenderableType] = [
        view.pairs(
            [
                ("role", found.role.value),
                ("action", found.action.value),
                ("may", view.verdict(found.allowed, "yes", "no")),
                ("decided by", ", ".join(rule.id for rule in found.policies) or "default deny"),
                ("why", found.reason),
                *([("what to do", found.remedy)] if found.remedy else []),
            ]
        )
    ]
    if found.conditions:
        shown += [
            view.heading("Forbidden besides, unless its condition holds"),
            view.table(
                ("policy", "file", "says, when it forbids"),
                [(rule.id, rule.file, rule.reason) for rule in found.conditions],
            ),
        ]
    return shown
