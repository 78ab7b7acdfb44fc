"""Who may decide: whether somebody is whom the directory knows, and who is left to ask.

Whoever signed in is looked up again when a decision is prepared and when it is delivered: they may
have been disabled or given another role in between. Service accounts never decide: a person who
holds the token of one would be two. Who may decide on what is in ``policies/approval.cedar``.
ADR-0011.
"""

from __future__ import annotations

from collections.abc import Iterable

from interlock.actions.case import Case
from interlock.actions.workspace import Workspace
from interlock.errors import ApprovalError
from interlock.governance.approval import SIGNED_IN
from interlock.governance.policy import Action, Resource
from interlock.governance.principal import IdentitySource, Principal, Role


def require_decider(workspace: Workspace) -> None:
    """Refuse who is not, or not any more, the person as whom they act.

    Args:
        workspace: The outside world, acting as who decides.

    Raises:
        ApprovalError: They are a service account, somebody else by now, or cannot be looked up.
        IdentityError: Nobody has that name, or they are disabled.
        StoreUnavailable: The directory cannot be asked.
    """
    principal = workspace.authority.principal
    if principal.verified_by not in SIGNED_IN:
        return
    if workspace.directory is None:
        raise ApprovalError(
            f"{principal.name} cannot be looked up: this process has no directory",
            remedy="decide where people sign in",
        )
    person = workspace.directory.require_active(principal.name)
    if person.service:
        raise ApprovalError(
            f"{person.name} is a service account, and people decide",
            remedy="sign in as yourself, and decide again",
        )
    known = person.principal
    if (known.role, known.teams, known.verified_by) != (
        principal.role,
        principal.teams,
        principal.verified_by,
    ):
        raise ApprovalError(
            f"role, teams or source of {person.name} changed since they decided",
            remedy="decide again, as who you are now",
        )


def known_deciders(workspace: Workspace) -> tuple[Principal, ...]:
    """Everybody who can show that they decide: people who sign in, or with keys of their own.

    Where nobody signs in, roles are not known; whoever has a key of their own is taken for an
    approver, and shows it when they decide.

    Args:
        workspace: The outside world.

    Raises:
        StoreUnavailable: The directory cannot be asked.
    """
    if workspace.authority.context.identity_source is IdentitySource.ENV:
        people = workspace.signatories.people
        source = IdentitySource.ENV.value
        return tuple(Principal(name, Role.APPROVER, source) for name in people)
    if workspace.directory is None:
        return ()
    return tuple(
        each.principal
        for each in workspace.directory.people()
        if not each.service and not each.disabled
    )


def who_may_decide(
    workspace: Workspace, case: Case, people: Iterable[Principal]
) -> tuple[str, ...]:
    """Who could still add an approval to a version.

    Args:
        workspace: The outside world.
        case: The version.
        people: As ``known_deciders`` gives them.

    Returns:
        Their names, in that order; those who approved already are not among them.
    """
    authority = workspace.authority
    done = {each.statement.subject for each in case.assessment.counted}
    return tuple(
        each.name
        for each in people
        if each.account not in done
        and not case.excluded.reason_against(each.account, each.teams)
        and authority.engine.decide(
            principal=each,
            action=Action.MODEL_APPROVE,
            resource=Resource("model", case.version.name),
            environment=authority.environment,
            context=case.facts(authority.acting_as(each).context, each),
        ).allowed
    )
