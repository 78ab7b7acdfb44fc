"""A decision that somebody launches in Dagit: signed at the launch, delivered by the run.

The web server knows the person, asks the policies and signs (``sign_launch``); the run, which
holds no key, delivers (``deliver_launch``). What travels is small: who, when, and the signature.
The run puts the statement together again, from what it was launched with and from the case as it
stands, and only the very same statement fits the signature. So nothing can be exchanged: a launch
with another version, verdict or reason, a copied tag and a case that changed meanwhile all come to
a signature that fits nothing. ADR-0011.

A tag has little room (Postgres indexes tags, and an index row holds 2,704 bytes), the statement has
some 4,000 bytes and more.
"""

from __future__ import annotations

import base64
import binascii
import json
from datetime import timedelta
from typing import Annotated, Any, Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from interlock.actions.approve import Decided, deliver, prepare, sign
from interlock.actions.authority import RunContext
from interlock.actions.case import open_case
from interlock.actions.workspace import Workspace
from interlock.adapters.signer import Signer
from interlock.errors import ApprovalError, InterlockError
from interlock.governance.approval import (
    DEFAULT_LIFETIME,
    MAX_LIFETIME,
    Statement,
    Verdict,
    timestamp,
)
from interlock.governance.dsse import Envelope, Signature
from interlock.governance.policy import Action, Resource
from interlock.governance.principal import IdentitySource, account_of

LAUNCH_TAG: Final = "interlock/decision"
MAX_TAG: Final = 2_000  # characters
_ACTIONS: Final = {Verdict.APPROVE: Action.MODEL_APPROVE, Verdict.REJECT: Action.MODEL_REJECT}


class Launch(BaseModel):
    """What a decision is launched with.

    Attributes:
        model: Registered model.
        version: Its number.
        decision: Approve or reject.
        reason: Why; part of what is signed.
        expires_days: How long an approval is valid.
        meaning: What the signature shall stand for, in words; when it is given, exactly this is
            signed or nothing.
        seen_digest: Of what was looked at, as `interlock approvals` and the console show it; when
            it is given, exactly this is signed or nothing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    version: str
    decision: Verdict
    reason: str
    expires_days: Annotated[int, Field(ge=1, le=MAX_LIFETIME.days)] = DEFAULT_LIFETIME.days
    meaning: str = ""
    seen_digest: str = ""

    @property
    def evidence(self) -> dict[str, Any]:
        """What a refusal records of it."""
        return {"model": self.model, "version": self.version, "verdict": self.decision.value}


class _Signed(BaseModel):
    """What a tag holds: of the statement what neither configuration nor case say."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    subject: str
    role: str
    verified_by: str
    teams: tuple[str, ...]
    issued: AwareDatetime
    seen_digest: str
    key_id: str
    signature: str


def read_launch(values: object) -> Launch:
    """What a decision is launched with, from a job's configuration.

    Raises:
        ApprovalError: It is something else.
    """
    try:
        return Launch.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the configuration"
        raise ApprovalError(
            f"this is no decision: {where}: {first['msg']}",
            remedy="give model, version, decision (approve or reject) and reason",
        ) from error


def sign_launch(workspace: Workspace, run: RunContext, launch: Launch, signer: Signer) -> str:
    """The tag that lets a run deliver somebody's decision.

    Args:
        workspace: The outside world, acting as who launches.
        run: Where a refusal is recorded.
        launch: What is launched.
        signer: Holds the key.

    Raises:
        AccessDenied: They may not decide on this version; it is recorded.
        ApprovalError: It cannot be decided on like this, or is something else than what was
            looked at; it is recorded.
        EvidenceError: The version is not proven by the audit trail; it is recorded.
        SigningError: The key cannot be used now.
    """
    statement = prepare(
        workspace,
        run,
        verdict=launch.decision,
        model=launch.model,
        version=launch.version,
        reason=launch.reason,
        lifetime=timedelta(days=launch.expires_days),
    )
    try:
        _require_as_seen(launch, statement)
        (signature,) = sign(statement, signer).signatures
        said = _Signed(
            subject=statement.subject,
            role=statement.role,
            verified_by=statement.verified_by,
            teams=statement.teams,
            issued=statement.issued,
            seen_digest=statement.seen.digest,
            key_id=signature.key_id,
            signature=base64.b64encode(signature.value).decode(),
        )
        tag = said.model_dump_json()
        if len(tag) > MAX_TAG:
            raise ApprovalError(
                f"who decides takes {len(tag)} characters, and a tag of a run holds {MAX_TAG}",
                remedy="decide with `interlock approve`, or in the console",
            )
    except InterlockError as error:
        _refuse(workspace, run, launch, error)
        raise
    return tag


def deliver_launch(workspace: Workspace, run: RunContext, launch: Launch, tag: str) -> Decided:
    """Put a decision that was signed at the launch on record.

    Args:
        workspace: The outside world, acting as the run's principal.
        run: The run.
        launch: What the run was launched with.
        tag: What was signed; empty where nothing was.

    Raises:
        ApprovalError: The signature is not that of this launch, of who launched it, on the case
            as it stands, or the decision was made already; it is recorded.
        AccessDenied: The policies do not permit the decision to who made it; it is recorded.
        EvidenceError: The version is not proven by the audit trail; it is recorded.
    """
    try:
        envelope = _envelope(workspace, launch, tag)
    except InterlockError as error:
        _refuse(workspace, run, launch, error)
        raise
    return deliver(workspace, run, envelope)


def _require_as_seen(launch: Launch, statement: Statement) -> None:
    for name, wanted, found in (
        ("meaning", launch.meaning, statement.meaning),
        ("seen_digest", launch.seen_digest, statement.seen.digest),
    ):
        if wanted and wanted != found:
            raise ApprovalError(
                f"the {name} of this decision is {found!r}, and {wanted[:100]!r} was launched",
                remedy="look at the version again, and decide on what there is now",
            )


def _envelope(workspace: Workspace, launch: Launch, tag: str) -> Envelope:
    """The envelope that the signature of a tag is from.

    Raises:
        ApprovalError: There is none that it fits.
    """
    said, signature = _read_tag(tag)
    authority = workspace.authority
    by_word = authority.context.identity_source is IdentitySource.ENV
    if not by_word and authority.principal.account != account_of(said.subject):
        raise ApprovalError(
            f"the run acts for {authority.principal.name}, and {said.subject} signed the decision",
            remedy="launch your own decision; nobody delivers that of another",
        )
    seen = open_case(workspace, launch.model, launch.version).seen
    approves = launch.decision is Verdict.APPROVE
    try:
        statement = Statement(
            verdict=launch.decision,
            seen=seen,
            subject=said.subject,
            role=said.role,
            verified_by=said.verified_by,
            teams=said.teams,
            reason=launch.reason,
            issued=said.issued,
            expires=said.issued + timedelta(days=launch.expires_days) if approves else None,
        )
    except (ValidationError, OverflowError) as error:
        raise _unsigned("it makes no statement") from error
    envelope = Envelope(statement.payload, (Signature(said.key_id, signature),))
    if seen.digest != said.seen_digest:
        raise ApprovalError(
            f"{launch.model} version {launch.version} changed since {timestamp(said.issued)}, when "
            "the decision was signed",
            remedy="look at it again, and launch the decision again",
        )
    if not workspace.who_signed(envelope):
        raise _unsigned("its signature does not fit what the run was launched with")
    return envelope


def _read_tag(tag: str) -> tuple[_Signed, bytes]:
    if not tag:
        raise _unsigned("no web server signed it")
    try:
        said = _Signed.model_validate(json.loads(tag[:MAX_TAG]))
        return said, base64.b64decode(said.signature, validate=True)
    except (ValidationError, ValueError, RecursionError, binascii.Error) as error:
        raise _unsigned("what stands in its tag cannot be read") from error


def _refuse(workspace: Workspace, run: RunContext, launch: Launch, error: InterlockError) -> None:
    workspace.authority.refuse(
        _ACTIONS[launch.decision],
        Resource("model", launch.model),
        run,
        error,
        evidence=launch.evidence,
    )


def _unsigned(why: str) -> ApprovalError:
    return ApprovalError(
        f"this run delivers no decision: {why}",
        remedy="launch it from Dagit, signed in as who decides",
    )
