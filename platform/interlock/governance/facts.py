"""The facts of a request: as values, in Cedar's JSON, and in words.

Here a fact gets its type and the form in which policies read it. Which facts a policy
needs is in ``policies/*.cedar``; who finds them is in ``interlock.actions``. ADR-0002.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from interlock.governance.gates import GateResult, holds
from interlock.governance.principal import Environment, IdentitySource, Role, account_of


class Fairness(StrEnum):
    """What the fairness assessment of a version found."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_ASSESSED = "not_assessed"


@dataclass(frozen=True)
class RequestContext:
    """The facts of a request, each as it was found; what was not found stays ``None``.

    A missing fact never helps: every policy that asks for it then denies.

    Attributes:
        mark: Environment that the buckets and the registry were created for; empty when
            they carry no mark. For every action.
        identity_source: Where the principal's name and role come from. For every action.
        identity_chosen: Whether IDENTITY_SOURCE was set explicitly. Outside dev.
        roles_restricted: Whether a list of allowed roles is set for this environment. For
            every action.
        allowed_roles: That list; needed only when it is set.
        gates: Results of all gates of the version. For promotion.
        fairness: Result of its fairness assessment. For promotion outside dev.
        signed: Whether the signature of its artifact was verified. For promotion outside
            dev.
        fairness_demanded: Whether the product demands an assessment, or one exists. For
            promotion outside dev.
        signature_demanded: Whether the product demands a signature, or one exists. For
            promotion outside dev.
        approved: Whether a valid approval by quorum exists. For promotion outside dev.
        rejected: Whether somebody rejected the version. For promotion and rollback.
        author: Name of who trained the version. For approval and rejection.
        requester: Name of who registered it, and so asked for the approval. For approval and
            rejection.
        in_owning_team: Whether the principal is an owner of the product, or in a team that
            is. For approval and rejection.
    """

    mark: str | None = None
    identity_source: IdentitySource | None = None
    identity_chosen: bool | None = None
    roles_restricted: bool | None = None
    allowed_roles: frozenset[Role] | None = None
    gates: tuple[GateResult, ...] | None = None
    fairness: Fairness | None = None
    signed: bool | None = None
    fairness_demanded: bool | None = None
    signature_demanded: bool | None = None
    approved: bool | None = None
    rejected: bool | None = None
    author: str | None = None
    requester: str | None = None
    in_owning_team: bool | None = None


FACT_NAMES = frozenset(
    {
        "allowed_roles",
        "approved",
        "author",
        "environment",
        "fairness",
        "gates",
        "identity_source",
        "mark",
        "rejected",
        "requester",
        "role",
        "signed",
    }
)
"""What the reason or remedy of a policy may quote between braces."""


_TYPES: dict[str, type] = {
    "mark": str,
    "identity_source": str,
    "identity_chosen": bool,
    "roles_restricted": bool,
    "allowed_roles": frozenset,
    "gates": tuple,
    "fairness": str,
    "signed": bool,
    "fairness_demanded": bool,
    "signature_demanded": bool,
    "approved": bool,
    "rejected": bool,
    "author": str,
    "requester": str,
    "in_owning_team": bool,
}


def favourable_context(environment: Environment) -> RequestContext:
    """Facts in which every condition of the policies holds, so that roles alone decide."""
    return RequestContext(
        mark=environment,
        identity_source=IdentitySource.LOCAL,
        identity_chosen=True,
        roles_restricted=False,
        gates=(GateResult("any", 1.0, 0.0, "min", True, "any 1 reaches the 0 minimum"),),
        fairness=Fairness.PASSED,
        signed=True,
        fairness_demanded=True,
        signature_demanded=True,
        approved=True,
        rejected=False,
        author="somebody else",
        requester="somebody else",
        in_owning_team=False,
    )


def entity(kind: str, name: str) -> dict[str, str]:
    """The identifier of a Cedar entity, e.g. of the type ``Role``."""
    return {"type": kind, "id": name}


def wrong_fact(context: RequestContext) -> str:
    """The first fact of a wrong type, e.g. the text "no" for a truth value, in one sentence.

    The schema would refuse it as well, but without saying which it is.

    Returns:
        Name, value and expected type; empty when all types are right.
    """
    for name, expected in _TYPES.items():
        value = getattr(context, name)
        if value is not None and not isinstance(value, expected):
            return f"{name} is {value!r} ({type(value).__name__}), expected {expected.__name__}"
    return ""


def cedar_facts(environment: Environment, context: RequestContext) -> dict[str, object]:
    """The facts in Cedar's JSON.

    Missing facts are left out. Wrong ones go in as they are: the schema refuses them, and a
    refused request is denied.
    """
    facts: dict[str, object] = {
        "environment": _reference("Environment", environment),
        "identity_chosen": context.identity_chosen,
        "roles_restricted": context.roles_restricted,
        "signed": context.signed,
        "fairness_demanded": context.fairness_demanded,
        "signature_demanded": context.signature_demanded,
        "approved": context.approved,
        "rejected": context.rejected,
        "in_owning_team": context.in_owning_team,
    }
    # A mark that names no environment is no mark: the stores are then not for this one.
    if context.mark in tuple(Environment):
        facts["mark"] = _reference("Environment", str(context.mark))
    if context.identity_source is not None:
        facts["identity_source"] = _reference("IdentitySource", context.identity_source)
    if context.allowed_roles is not None:
        facts["allowed_roles"] = [_reference("Role", role) for role in context.allowed_roles]
    if context.gates is not None:
        facts["gates_evaluated"] = len(context.gates)
        facts["gates_failed"] = sum(not holds(result) for result in context.gates)
    if context.fairness is not None:
        facts["fairness"] = _reference("Fairness", context.fairness)
    for name, account in (("author", context.author), ("requester", context.requester)):
        # A blank name is nobody, and nobody is not a second pair of eyes.
        if account is not None and account_of(account):
            facts[name] = _reference("User", account_of(account))
    return {name: value for name, value in facts.items() if value is not None}


def worded_facts(role: Role, environment: Environment, context: RequestContext) -> dict[str, str]:
    """The facts in words, by the names in ``FACT_NAMES``, for reasons and remedies."""
    roles = context.allowed_roles
    return {
        "allowed_roles": "unknown" if roles is None else ", ".join(sorted(roles)) or "none",
        "approved": _word(context.approved),
        "author": _word(context.author),
        "environment": str(environment),
        "fairness": _word(context.fairness),
        "gates": _gates_in_words(context.gates or ()),
        "identity_source": _word(context.identity_source),
        "mark": _word(context.mark),
        "rejected": _word(context.rejected),
        "requester": _word(context.requester),
        "role": str(role),
        "signed": _word(context.signed),
    }


def _reference(kind: str, name: str) -> dict[str, dict[str, str]]:
    return {"__entity": entity(kind, name)}


def _word(value: object) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value) or "none"


def _gates_in_words(results: tuple[GateResult, ...]) -> str:
    failed = [result.metric for result in results if not holds(result)]
    if failed:
        return f"{', '.join(failed)} failed"
    return "all passed" if results else "no results"
