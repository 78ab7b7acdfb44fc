"""What is decided on, and what gets signed: one form for equal things.

Here: ``Seen``, all that somebody looked at, and ``Statement``, what they say about it, as an
in-toto statement. Whether statements come to an approval is in ``approval.py``, which is the
module to import; envelopes are in ``dsse.py``. ADR-0011.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
)

from interlock.errors import ApprovalError
from interlock.governance.principal import account_of

STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE: Final = "urn:interlock:decision:v1"
DEFAULT_LIFETIME: Final = timedelta(days=90)
MAX_LIFETIME: Final = timedelta(days=365)
MAX_REASON: Final = 2_000  # characters

_Text = Annotated[str, Field(min_length=1, max_length=512)]
_Number = Annotated[float, Field(allow_inf_nan=False)]


class Verdict(StrEnum):
    """What a decision says."""

    APPROVE = "approve"
    REJECT = "reject"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class SeenGate(_Frozen):
    """A gate's result as it was seen; the fields are those of ``gates.GateResult``."""

    metric: str
    value: _Number | None
    limit: _Number
    direction: str
    passed: bool
    reason: str


class Seen(_Frozen):
    """All that a decision is bound to.

    Attributes:
        environment: Where the version is to be used.
        model: Registered model.
        version: Its number in MLflow.
        registration: Key of the audit event of its registration.
        model_digest: Of its stored files.
        model_fingerprint: Of what it computes.
        data_hash: Of the snapshot that it learned from.
        metrics: Metric to its value on the holdout.
        gates: Results of all gates.
        policy_hash: Of the policies in force.
        tier: Of the product when it was registered.
        quorum: How many people must agree.
        fairness: Result of the fairness assessment, or ``not_assessed``.
        signed: Whether the version's files carry a signature that was verified.
        model_card: SHA-256 of its model card; None while there is none.
        suspension: Key of the audit event that suspended its approval last; None while nothing
            did, and then part of no form, so that earlier decisions keep theirs.
    """

    environment: _Text
    model: _Text
    version: _Text
    registration: _Text
    model_digest: _Text
    model_fingerprint: _Text
    data_hash: _Text
    metrics: dict[str, _Number | None]
    gates: tuple[SeenGate, ...]
    policy_hash: _Text
    tier: _Text
    quorum: Annotated[int, Field(ge=1)]
    fairness: _Text
    signed: bool
    model_card: str | None = None
    suspension: str | None = None

    @model_serializer(mode="wrap")
    def _without_suspension(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        found: dict[str, Any] = dump(self)
        return {name: value for name, value in found.items() if name != "suspension" or value}

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Seen:
        """What was seen, from JSON values such as an audit event's evidence.

        Raises:
            ApprovalError: A value is missing or of another kind.
        """
        try:
            return cls.model_validate_json(json.dumps(values, default=_plain, allow_nan=False))
        except (ValidationError, ValueError, TypeError) as error:
            raise ApprovalError(
                f"what is to be decided on cannot be read: {_first_mistake(error)}",
                remedy="register the version again",
            ) from error

    @property
    def canonical(self) -> bytes:
        """The one form in which equal things seen have equal bytes."""
        return _canonical(self.model_dump(mode="json"))

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical form, hexadecimal."""
        return hashlib.sha256(self.canonical).hexdigest()

    def is_same_version(self, other: Seen) -> bool:
        """Whether both are about the same files under the same name in the same place."""
        return _version_of(self) == _version_of(other)


class Statement(_Frozen):
    """What somebody decided, and on what; this is what gets signed.

    Attributes:
        verdict: Approve or reject.
        seen: What they looked at.
        subject: Canonical name of their account; who is counted.
        role: In which role they acted.
        verified_by: What vouched for their name.
        teams: Teams they belong to, as far as that source knows.
        reason: Why.
        issued: When, aware UTC, whole seconds.
        expires: Until when an approval is valid; None for a rejection, which stands.
    """

    verdict: Verdict
    seen: Seen
    subject: _Text
    role: _Text
    verified_by: _Text
    teams: tuple[str, ...] = ()
    reason: Annotated[str, Field(min_length=1, max_length=MAX_REASON)]
    issued: datetime
    expires: datetime | None

    @property
    def meaning(self) -> str:
        """What the signature stands for, in words."""
        where = self.seen.environment
        return f"validated for use in {where}" if self._approves else f"not to be used in {where}"

    @property
    def _approves(self) -> bool:
        return self.verdict is Verdict.APPROVE

    def document(self) -> dict[str, Any]:
        """The in-toto statement (in-toto attestation v1, "Statement")."""
        decided = self.model_dump(mode="json", exclude={"issued", "expires"})
        times = {"issued": timestamp(self.issued), "expires": timestamp(self.expires)}
        return {
            "_type": STATEMENT_TYPE,
            "subject": [
                {
                    "name": f"{self.seen.model}/{self.seen.version}",
                    "digest": {"sha256": self.seen.model_digest},
                }
            ],
            "predicateType": PREDICATE_TYPE,
            "predicate": {
                **decided,
                **times,
                "meaning": self.meaning,
                "seen_digest": self.seen.digest,
            },
        }

    @property
    def payload(self) -> bytes:
        """The bytes that are signed; a statement has exactly one form."""
        return _canonical(self.document())


def read_statement(payload: bytes) -> Statement:
    """Read what was signed.

    Args:
        payload: Of an envelope whose signature was verified.

    Returns:
        The statement.

    Raises:
        ApprovalError: The bytes are not the one form of a statement.
    """
    try:
        document = json.loads(payload)
        decided = {
            name: value
            for name, value in document["predicate"].items()
            if name not in {"meaning", "seen_digest"}
        }
        statement = Statement.model_validate_json(json.dumps(decided, allow_nan=False))
        _require_sound(statement)
    except (ValidationError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _no_statement(_first_mistake(error)) from error
    if statement.payload != payload:
        raise _no_statement("it contradicts itself, or is written in another form")
    return statement


def decided_on(  # noqa: D417 - the rest is that of Statement
    *,
    verdict: Verdict,
    seen: Seen,
    now: datetime,
    lifetime: timedelta = DEFAULT_LIFETIME,
    **who_and_why: Any,
) -> Statement:
    """The statement of somebody who decides now.

    Args:
        verdict: Approve or reject.
        seen: What they looked at.
        now: Aware UTC.
        lifetime: How long an approval is valid, at most ``MAX_LIFETIME``.

    Raises:
        ApprovalError: The reason is blank or too long, or the lifetime out of range.
    """
    issued = now.astimezone(UTC).replace(microsecond=0)
    try:
        statement = Statement(
            verdict=verdict,
            seen=seen,
            issued=issued,
            expires=issued + lifetime if verdict is Verdict.APPROVE else None,
            **who_and_why,
        )
        _require_sound(statement)
    except (ValidationError, ValueError, OverflowError) as error:
        raise ApprovalError(
            f"this cannot be decided: {_first_mistake(error)}",
            remedy=f"give a reason of at most {MAX_REASON} characters and at most "
            f"{MAX_LIFETIME.days} days",
        ) from error
    return statement


def _require_sound(statement: Statement) -> None:
    """Refuse a statement whose times or name contradict the rules.

    Raises:
        ValueError: Says which.
    """
    if statement.issued.tzinfo is None or statement.issued.microsecond:
        raise ValueError("issued is no whole second with a time zone")
    if account_of(statement.subject) != statement.subject:
        raise ValueError(f"subject {statement.subject!r} is no canonical account name")
    if not statement.reason.strip():
        raise ValueError("the reason is blank")
    if statement.verdict is Verdict.REJECT:
        if statement.expires is not None:
            raise ValueError("a rejection does not expire")
        return
    if statement.expires is None or statement.expires.tzinfo is None:
        raise ValueError("an approval must expire")
    if not timedelta() < statement.expires - statement.issued <= MAX_LIFETIME:
        raise ValueError(f"an approval is valid for at most {MAX_LIFETIME.days} days")


def _version_of(seen: Seen) -> tuple[str, str, str, str]:
    return seen.environment, seen.model, seen.version, seen.model_digest


def timestamp(time: datetime | None) -> str | None:
    """RFC 3339 in UTC with whole seconds."""
    return None if time is None else time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _canonical(document: Mapping[str, Any]) -> bytes:
    """JSON in one form: keys sorted, no blanks, UTF-8."""
    text = json.dumps(
        document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return text.encode()


def _plain(value: object) -> object:
    """A read-only mapping as JSON takes it."""
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is no JSON value")


def _first_mistake(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return f"{type(error).__name__}: {error}" if isinstance(error, KeyError) else str(error)


def _no_statement(what: str) -> ApprovalError:
    return ApprovalError(
        f"this is no statement of a decision: {what}",
        remedy="have the decision made and signed by Interlock again",
    )
