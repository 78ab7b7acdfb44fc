"""Who agreed: when decisions about a version count, and what they come to.

Here: the quorum, and ``assess``, which finds out whether enough valid statements agree. What
they are bound to and how they are written is in ``statement.py``, what shows who made them in
``proof.py``, both re-exported here; envelopes are in ``dsse.py``, keys in ``adapters/signer.py``;
who may decide is in ``policies/approval.cedar``; where decisions are kept and what follows from
them is in ``interlock.actions``. ADR-0011.

- A statement is bound to every part of ``Seen``: when any of it changes, an approval is void.
- A person counts once per version, by the canonical name of their account. Subjects for whom
  different identity sources vouch are never added up: one person may have a name in each.
- Who trained or registered the version or had that done, and who belongs to the owning team, does
  not count.
- Outside dev it must be proven who decided: a key of their own signed it, or a server that verified
  who they are. The operator's word (IDENTITY_SOURCE=env) and a key for all prove nobody.
- An approval ends, at the latest after ``MAX_LIFETIME``; it does not begin before its time.
- A rejection stands for that version's files for good, whoever made it and whatever was
  approved before or after.
- A suspension ends every approval from before it; only a quorum of approvals that name it lifts it,
  for good: when those end, the version has expired. What it rests on is in
  ``interlock.actions.suspend``.
- Nothing depends on the order in which statements are given, or on how often.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from interlock.governance.principal import account_of
from interlock.governance.proof import SERVER, SIGNED_IN, Proof, proof_of, unproven
from interlock.governance.statement import (
    DEFAULT_LIFETIME,
    MAX_LIFETIME,
    Seen,
    SeenGate,
    Statement,
    Verdict,
    decided_on,
    read_statement,
    timestamp,
)

__all__ = [
    "DEFAULT_LIFETIME",
    "MAX_LIFETIME",
    "QUORUM",
    "SERVER",
    "SIGNED_IN",
    "Assessment",
    "Excluded",
    "Ignored",
    "Proof",
    "Seen",
    "SeenGate",
    "Signed",
    "State",
    "Statement",
    "Tier",
    "Verdict",
    "assess",
    "decided_on",
    "proof_of",
    "quorum_of",
    "read_statement",
    "timestamp",
    "unproven",
    "was_lifted",
]

CLOCK_TOLERANCE: Final = timedelta(seconds=5)  # between machines that keep time by NTP


class Tier(StrEnum):
    """How much harm a wrong model can do; decides the quorum of an approval."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


QUORUM: Final[Mapping[Tier, int]] = {Tier.LOW: 1, Tier.MEDIUM: 1, Tier.HIGH: 2}
"""How many people must agree, at least."""


def quorum_of(tier: Tier, raised: int | None = None) -> int:
    """How many people must agree.

    Args:
        tier: Of the product.
        raised: What the product asks for; counts only where it is more than its tier demands.
    """
    return max(QUORUM[tier], raised or 0)


class State(StrEnum):
    """What the decisions about a version come to."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"
    VOID = "void"
    SUSPENDED = "suspended"


@dataclass(frozen=True)
class Signed:
    """A statement with a signature that was verified, and where it was found.

    Attributes:
        statement: What was signed.
        place: Where it was found.
        signed_for: The account whose own key signed it, which is the statement's; ``SERVER`` for
            a key that signs for whoever signed in.
    """

    statement: Statement
    place: str
    signed_for: str = SERVER

    @property
    def proof(self) -> Proof:
        """What shows who decided."""
        return proof_of(self.statement, self.signed_for)


@dataclass(frozen=True)
class Ignored:
    """What was found and does not count.

    Attributes:
        place: Where, e.g. the key of an audit event.
        subject: Who it says decided; empty where that is not known.
        why: One sentence without full stop.
        forged: Whether it passes for a decision that no believed key signed.
    """

    place: str
    subject: str
    why: str
    forged: bool = False


@dataclass(frozen=True)
class Excluded:
    """Whose approval of a version does not count.

    Attributes:
        subjects: Canonical account name to why, e.g. that they trained it.
        teams: The owning teams.
    """

    subjects: Mapping[str, str] = field(default_factory=dict)
    teams: frozenset[str] = frozenset()

    def reason_against(self, subject: str, teams: Iterable[str]) -> str:
        """Why somebody does not count; empty when they do."""
        if why := self.subjects.get(account_of(subject)):
            return why
        shared = sorted({account_of(team) for team in teams} & set(map(account_of, self.teams)))
        return f"belongs to the owning team {shared[0]}" if shared else ""


@dataclass(frozen=True)
class Assessment:
    """What the statements about a version come to.

    Attributes:
        quorum: How many people must agree.
        counted: Valid approvals, one per person, by subject.
        rejections: Rejections that stand.
        ignored: All others, each with the reason.
        state: See ``State``.
    """

    quorum: int
    counted: tuple[Signed, ...]
    rejections: tuple[Signed, ...]
    ignored: tuple[Ignored, ...]
    state: State

    @property
    def approved(self) -> bool:
        """Whether enough people agree and nobody objected."""
        return self.state is State.APPROVED

    @property
    def lacking(self) -> int:
        """How many more people must agree."""
        return max(0, self.quorum - len(self.counted))

    @property
    def valid_until(self) -> datetime | None:
        """When the quorum is lost if nobody renews; None where there is none."""
        ends = sorted(_end(each) for each in self.counted)
        return ends[-self.quorum] if self.approved else None

    def reasons_against(self) -> list[str]:
        """Why the version is not approved, a sentence each; none when it is."""
        if self.approved:
            return []
        if self.rejections:
            return [
                f"{each.statement.subject} rejected it: {each.statement.reason}"
                for each in self.rejections
            ]
        people = f"{len(self.counted)} of {self.quorum} approvals are valid"
        unused = (f"that of {each.subject or 'nobody known'} {each.why}" for each in self.ignored)
        return ["; ".join([people, *unused])]


def assess(
    statements: Iterable[Signed],
    *,
    seen: Seen,
    now: datetime,
    excluded: Excluded,
) -> Assessment:
    """Find out whether a version is approved.

    Args:
        statements: Those with a verified signature, in any order.
        seen: What there is to see now, the quorum included.
        now: Aware UTC.
        excluded: Whose approval does not count.

    Returns:
        What counts, what does not and why, and the state of the version.
    """
    every = sorted({_order(each): each for each in statements}.values(), key=_order)
    rejections = [
        each
        for each in every
        if each.statement.verdict is Verdict.REJECT and each.statement.seen.is_same_version(seen)
    ]
    agreed = [each for each in every if each not in rejections]
    counted, ignored, faults = _weighed(agreed, seen, now, excluded)
    lifted = seen.suspension is None or was_lifted(every, seen.suspension, seen, excluded)
    return Assessment(
        quorum=seen.quorum,
        counted=tuple(counted),
        rejections=tuple(rejections),
        ignored=tuple(sorted(ignored, key=lambda each: (each.place, each.why))),
        state=_state(rejections, counted, faults, seen=seen, is_lifted=lifted),
    )


def was_lifted(
    statements: Iterable[Signed], suspension: str, seen: Seen, excluded: Excluded
) -> bool:
    """Whether at any time a full quorum of approvals named a suspension.

    Args:
        statements: Those with a verified signature, in any order.
        suspension: Its key.
        seen: What there is to see now; nobody lifts it for other files, or by a lower quorum.
        excluded: Whose approval does not count.
    """
    every = list(statements)
    return any(
        len(_weighed(every, then.seen, then.issued, excluded)[0]) >= seen.quorum
        for then in (each.statement for each in every)
        if then.seen.suspension == suspension and then.seen.is_same_version(seen)
    )


def _weighed(
    statements: Iterable[Signed], seen: Seen, now: datetime, excluded: Excluded
) -> tuple[list[Signed], list[Ignored], list[tuple[Signed, State | None]]]:
    """Which approvals count, by subject; which do not; and the states that those explain."""
    ignored: list[Ignored] = []
    valid: dict[tuple[str, str], Signed] = {}
    faults: list[tuple[Signed, State | None]] = []
    for each in statements:
        why, state = _reason_against(each, seen, now, excluded)
        person = (each.statement.verified_by, account_of(each.statement.subject))
        if not why and person in valid:
            why = "is a second one by the same person"
        if why:
            ignored.append(Ignored(each.place, each.statement.subject, why))
            faults.append((each, state))
        else:
            valid[person] = each
    source = _best_source(valid)
    counted = [each for (by, _), each in sorted(valid.items()) if by == source]
    ignored += [
        Ignored(
            each.place,
            each.statement.subject,
            f"was vouched for by {by}, the others by {source}, and who is who is not known",
        )
        for (by, _), each in sorted(valid.items())
        if by != source
    ]
    return counted, ignored, faults


def _reason_against(
    one: Signed, seen: Seen, now: datetime, excluded: Excluded
) -> tuple[str, State | None]:
    """Why a statement does not count, and the state that it would explain; empty when it does."""
    statement, word = one.statement, unproven(one.statement, one.signed_for)
    against = excluded.reason_against(statement.subject, statement.teams)
    expires = statement.expires
    found: tuple[tuple[bool, str, State | None], ...] = (
        (
            statement.seen.environment != seen.environment,
            f"is for {statement.seen.environment}, this is {seen.environment}",
            None,
        ),
        (statement.verdict is Verdict.REJECT, "rejects another version", None),
        (against != "", f"does not count: {statement.subject} {against}", None),
        (word != "", word, None),
        (not statement.seen.is_same_version(seen), "is about other files", None),
        (
            statement.issued > now + CLOCK_TOLERANCE,
            f"begins at {timestamp(statement.issued)}, which is still to come",
            None,
        ),
        (
            seen.suspension is not None and statement.seen.suspension != seen.suspension,
            "is from before its approval was suspended",
            State.SUSPENDED,
        ),
        (
            statement.seen.digest != seen.digest,
            f"is void: {', '.join(_differences(statement.seen, seen))} changed since",
            State.VOID,
        ),
        (
            expires is None or expires <= now,
            f"expired at {timestamp(expires)}",
            State.EXPIRED,
        ),
    )
    return next(((why, state) for applies, why, state in found if applies), ("", None))


def _state(
    rejections: list[Signed],
    counted: list[Signed],
    faults: list[tuple[Signed, State | None]],
    *,
    seen: Seen,
    is_lifted: bool,
) -> State:
    if rejections:
        return State.REJECTED
    if len(counted) >= seen.quorum:
        return State.APPROVED
    if not is_lifted:
        return State.SUSPENDED
    for state in (State.EXPIRED, State.VOID):
        if any(found is state for _, found in faults):
            return state
    return State.PENDING


def _best_source(valid: Mapping[tuple[str, str], Signed]) -> str:
    """The identity source that vouches for most people."""
    sources = [source for source, _ in valid]
    return min(sources, key=lambda each: (-sources.count(each), each), default="")


def _differences(before: Seen, now: Seen) -> list[str]:
    return [
        name for name in type(now).model_fields if getattr(before, name) != getattr(now, name)
    ] or ["what was seen"]


def _order(each: Signed) -> tuple[float, str, bytes]:
    """The longest valid first, so that of two by one person that one counts."""
    expires = each.statement.expires
    return -(expires.timestamp() if expires else 0.0), each.place, each.statement.payload


def _end(each: Signed) -> datetime:
    assert each.statement.expires is not None  # noqa: S101 - only what has an end is counted
    return each.statement.expires
