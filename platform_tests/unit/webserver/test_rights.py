"""Dagster's permission map for each role, and the contract with the installed Dagster."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from dagster import DagsterInstance
from dagster_graphql.schema import create_schema
from dagster_webserver.webserver import DagsterWebserver
from graphql import get_named_type

from interlock.components.decisions.job import DECIDERS
from interlock.governance.access import Action, Decision, Resource
from interlock.governance.policy import PolicyEngine, favourable_context
from interlock.governance.principal import Environment, Principal, Role
from interlock.webserver import dagster_names
from interlock.webserver import rights as module
from interlock.webserver.dagster_names import (
    ENOUGH_IN_DEV,
    LOCATION_SCOPED_PERMISSIONS,
    MUTATIONS,
    NEEDED,
    OF_OWNERS,
    REFUSED,
    SEVERAL,
    SUCCESSES,
    Permissions,
)
from interlock.webserver.decisions import of_others
from interlock.webserver.rights import NEVER, NOBODY, OWNERS_ALONE, UNKNOWN, Rights

ENGINE = PolicyEngine.load()
LAUNCH = Permissions.LAUNCH_PIPELINE_EXECUTION


def rights(
    role: Role | None,
    environment: Environment = Environment.PROD,
    *,
    by_owner: bool = False,
    teams: frozenset[str] = frozenset(),
) -> Rights:
    principal = None if role is None else Principal("Ada@example.com", role, "local", teams)

    def decide(action: Action) -> Decision:
        assert principal is not None
        return ENGINE.decide(
            principal=principal,
            action=action,
            resource=Resource(action.resource_kind, "any"),
            environment=environment,
            context=favourable_context(environment),
        )

    return Rights(principal, decide, by_owner=by_owner, in_dev=environment is Environment.DEV)


def enabled(of: Rights) -> set[str]:
    return {str(name) for name, found in of.everywhere.items() if found.enabled}


LAUNCHING = {str(name) for name in OF_OWNERS}
SCHEDULING = {
    "start_schedule",
    "stop_running_schedule",
    "schedule_dry_run",
    "edit_dynamic_partitions",
}
ADMINISTERING = {
    str(name) for name, action in NEEDED.items() if action is Action.PLATFORM_ADMINISTER
}

RELOADING = {str(name) for name in ENOUGH_IN_DEV}


@pytest.mark.parametrize(
    ("role", "environment", "expected"),
    [
        (Role.VIEWER, Environment.DEV, set()),
        (Role.AUDITOR, Environment.PROD, set()),
        (Role.APPROVER, Environment.PROD, set()),
        (Role.DATA_SCIENTIST, Environment.DEV, LAUNCHING | SCHEDULING | RELOADING),
        (Role.DATA_SCIENTIST, Environment.PROD, set()),
        (Role.ML_ENGINEER, Environment.PROD, LAUNCHING | SCHEDULING),
        (Role.PLATFORM_ADMIN, Environment.PROD, ADMINISTERING),
        (Role.PLATFORM_ADMIN, Environment.DEV, ADMINISTERING),
        (None, Environment.DEV, set()),
    ],
)
def test_buttons_of_a_role_are_as_the_policies_say(
    role: Role | None, environment: Environment, expected: set[str]
) -> None:
    assert enabled(rights(role, environment)) == expected


def test_every_refusal_has_its_reason() -> None:
    for role in (*Role, None):
        for name, found in rights(role).everywhere.items():
            assert found.enabled or found.disabled_reason, name
    assert rights(None).everywhere[LAUNCH].disabled_reason == NOBODY
    viewer = rights(Role.VIEWER).everywhere
    assert viewer[LAUNCH].disabled_reason == "no policy permits it to the role viewer"
    admin = rights(Role.PLATFORM_ADMIN).everywhere
    assert admin[Permissions.REPORT_RUNLESS_ASSET_EVENTS].disabled_reason == NEVER


def test_where_people_sign_in_launching_is_a_right_of_owners() -> None:
    mine = rights(Role.ML_ENGINEER, by_owner=True, teams=frozenset({"risk"}))
    assert mine.everywhere[LAUNCH].disabled_reason == OWNERS_ALONE
    assert enabled(mine) == SCHEDULING
    assert mine.depend_on_owners
    for owner in ("team:risk", "ada@EXAMPLE.com"):
        found = mine.for_owner(owner)
        assert set(found) == OF_OWNERS
        assert all(each.enabled for each in found.values())
    for owner in ("team:fraud", "team:", "risk", "grace@example.com"):
        assert mine.for_owner(owner) == {}


def test_owner_without_the_role_may_not_launch_either() -> None:
    mine = rights(Role.VIEWER, by_owner=True, teams=frozenset({"risk"}))
    assert not any(found.enabled for found in mine.for_owner("team:risk").values())
    assert not mine.depend_on_owners
    nobody = rights(None, by_owner=True)
    assert nobody.for_owner("team:risk") == {}
    assert not nobody.depend_on_owners


def test_permission_without_a_rule_is_denied(monkeypatch: pytest.MonkeyPatch) -> None:
    fewer = {name: action for name, action in NEEDED.items() if name != LAUNCH}
    monkeypatch.setattr(module, "NEEDED", fewer)
    found = rights(Role.ML_ENGINEER).everywhere[LAUNCH]
    assert (found.enabled, found.disabled_reason) == (False, UNKNOWN)


def test_contract_every_permission_of_this_dagster_has_a_rule() -> None:
    assert set(NEEDED) == set(Permissions), "a new Dagster: give the new permission a rule"
    assert set(LOCATION_SCOPED_PERMISSIONS) <= set(NEEDED)


def test_contract_every_mutation_of_this_dagster_has_a_rule() -> None:
    schema: Any = create_schema()
    found = set(schema.graphql_schema.mutation_type.fields)
    assert set(MUTATIONS) == found, "a new Dagster: give the new mutation a rule"
    assert set(REFUSED) <= set(MUTATIONS)
    needed = {name for names in MUTATIONS.values() if names for name in names}
    assert needed == set(Permissions)


FAILURES = {
    "AppManagedComponentValidationError",
    "InvalidOutputError",
    "InvalidStepError",
    "RefreshComponentStateError",
    "RunConfigValidationInvalid",
    "TerminateRunFailure",
}
"""Of Dagster's answers, those that failed and are none of its type for errors."""


def test_contract_every_answer_of_this_dagster_is_known_to_be_a_success_or_not() -> None:
    schema: Any = create_schema()
    fields = schema.graphql_schema.mutation_type.fields.values()
    lists = [schema.graphql_schema.type_map[name].fields.values() for name in SEVERAL]
    results = [get_named_type(each.type) for each in [*fields, *chain(*lists)]]
    kinds = {one for each in results for one in getattr(each, "types", (each,))}
    good = {
        each.name
        for each in kinds
        if all(one.name != "Error" for one in getattr(each, "interfaces", ()))
    }
    assert good == SUCCESSES | SEVERAL | FAILURES, "a new Dagster: say what the answer means"


def test_contract_private_names_are_touched_in_one_module_alone() -> None:
    folder = Path(dagster_names.__file__).parent
    private = re.compile(r"^(from|import) (dagster\._|dagster_graphql)", re.M)
    found = {path.name for path in folder.glob("*.py") if private.search(path.read_text())}
    assert found == {"dagster_names.py"}


@pytest.mark.parametrize(
    ("owner", "names"),
    [
        (
            dagster_names.WorkspaceRequestContext,
            [
                "permissions",
                "permissions_for_location",
                "permissions_for_owner",
                "viewer_has_any_owner_definition_permissions",
                "get_viewer_tags",
            ],
        ),
        (
            dagster_names.WorkspaceProcessContext,
            ["create_request_context", "get_current_workspace"],
        ),
        (DagsterWebserver, ["create_asgi_app", "_make_request_context"]),
        (dagster_names.QueuedRunCoordinator, ["submit_run", "register_instance", "_instance"]),
        (DagsterInstance, ["daemon_cursor_storage", "get_backfills", "add_run_tags"]),
    ],
)
def test_contract_what_is_overridden_or_called_is_there(owner: type, names: list[str]) -> None:
    missing = [name for name in names if not hasattr(owner, name)]
    assert missing == [], f"a new Dagster: {owner.__name__} has lost {missing}"


@pytest.mark.parametrize("by_owner", [True, False])
def test_approvers_launch_decisions_and_nothing_else(*, by_owner: bool) -> None:
    mine = rights(
        Role.APPROVER, by_owner=by_owner, teams=frozenset({"risk", "interlock/approvers"})
    )
    assert enabled(mine) == set()
    assert mine.depend_on_owners
    assert {str(name): found.enabled for name, found in mine.for_owner(DECIDERS).items()} == {
        str(LAUNCH): True
    }
    assert not any(found.enabled for found in mine.for_owner("team:risk").values())


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.APPROVER])
def test_nobody_else_launches_decisions(role: Role) -> None:
    theirs = rights(role, by_owner=True, teams=frozenset({"interlock/approvers"}))
    assert not any(found.enabled for found in theirs.for_owner(DECIDERS).values())
    assert rights(None).for_owner(DECIDERS) == {}


def test_button_to_decide_is_about_versions_of_others() -> None:
    """Whether a version is one's own is asked when a decision is launched."""
    known = favourable_context(Environment.PROD)
    bare = replace(known, author=None, requester=None, in_owning_team=None)
    for context, allowed in ((bare, False), (of_others(Action.MODEL_APPROVE, bare), True)):
        decision = ENGINE.decide(
            principal=Principal("grace", Role.APPROVER, "local"),
            action=Action.MODEL_APPROVE,
            resource=Resource("model", "any"),
            environment=Environment.PROD,
            context=context,
        )
        assert decision.allowed is allowed
    assert of_others(Action.MODEL_PROMOTE, bare) is bare
