"""Who a run acts for, as a tag that the server signs and every step checks.

Tags are typed by whoever launches a run, copied by whoever re-executes one, and inherited by
retries. So this one is believed only with the signature of a server's key, which no run holds, and
only for the run, plan, job and configuration that it was made for. It says who, never in which
role: role and status are looked up at each step. It does not expire, so that a queued run or a long
backfill lives on: whoever submitted it was signed in when they did. ADR-0012.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from interlock.adapters.directory import Directory
from interlock.adapters.signer import Signer
from interlock.errors import IdentityError
from interlock.governance.principal import Principal

RUN_TAG: Final = "interlock/principal"
MAX_TAG: Final = 4_096  # characters
LEEWAY: Final = timedelta(seconds=60)  # by which clocks of two servers may differ
_RUN: Final = "interlock.run-principal/v1"
_BACKFILL: Final = "interlock.backfill-principal/v1"
_ENABLED: Final = "interlock.enabled-by/v1"
PAGES: Final = "interlock.session/v1"
"""What a browser shows after a sign-in."""
COMMANDS: Final = "interlock.command-line/v1"
"""What a command line shows after a sign-in; no page takes it."""

Verify = Callable[[bytes, bytes, str], bool]


@dataclass(frozen=True)
class RunFacts:
    """What a run is, as far as a tag is bound to it.

    Attributes:
        run_id: Dagster's id.
        job: Its job.
        plan: Id of its execution plan: which steps, of which assets.
        config: SHA-256 of its configuration; see ``digest_of``.
        environment: Where it runs.
    """

    run_id: str
    job: str
    plan: str
    config: str
    environment: str


@dataclass(frozen=True)
class RunIdentity:
    """Who a run acts for.

    Attributes:
        name: Their account; the role is looked up.
        service: Whether it is the platform's own service account of runs that no person started.
        on_behalf_of: Who enabled the schedule or sensor, if anybody did.
    """

    name: str
    service: bool = False
    on_behalf_of: str = ""


class IdentitySigner:
    """Signs who acts; for the web server and the daemon.

    Args:
        signer: Holds the key.
        clock: The time, aware UTC.
    """

    def __init__(self, signer: Signer, *, clock: Callable[[], datetime]) -> None:
        self._signer = signer
        self._clock = clock

    def run_tag(self, facts: RunFacts, identity: RunIdentity) -> str:
        """The tag of one run.

        Raises:
            SigningError: The key cannot be used now.
        """
        return self._sealed(_RUN, {"run": asdict(facts), "identity": asdict(identity)})

    def backfill_tag(self, *, name: str, nonce: str, environment: str) -> str:
        """The tag of one backfill, which has no id yet when it is signed.

        Raises:
            SigningError: The key cannot be used now.
        """
        said = {"name": name, "nonce": nonce, "environment": environment}
        return self._sealed(_BACKFILL, said)

    def enabled_note(self, *, name: str, instigator: str, environment: str) -> str:
        """What notes who enabled a schedule or sensor.

        Raises:
            SigningError: The key cannot be used now.
        """
        said = {"name": name, "instigator": instigator, "environment": environment}
        return self._sealed(_ENABLED, said)

    def session(
        self, *, name: str, environment: str, lifetime: timedelta, kind: str = PAGES
    ) -> str:
        """What a browser or a command line shows again and again after a sign-in.

        Raises:
            SigningError: The key cannot be used now.
        """
        now = self._clock().timestamp()
        said = {"name": name, "environment": environment, "began": now}
        return self._sealed(kind, {**said, "ends": now + lifetime.total_seconds()})

    def _sealed(self, kind: str, content: Mapping[str, Any]) -> str:
        said = {"kind": kind, "signed": self._clock().isoformat(), **content}
        payload = json.dumps(said, sort_keys=True, separators=(",", ":")).encode()
        return f"{_text(payload)}.{_text(self._signer.sign(payload))}"


class IdentityVerifier:
    """Checks what ``IdentitySigner`` signed; needs no secret.

    Args:
        verify: Whether a believed key made a signature; see ``is_signed_by``.
    """

    def __init__(self, verify: Verify) -> None:
        self._verify = verify

    def of_run(self, tag: str, facts: RunFacts) -> RunIdentity:
        """Who a run acts for.

        Args:
            tag: What its tag holds.
            facts: What it is.

        Raises:
            IdentityError: The tag is forged, or it is that of something else.
        """
        said = self._opened(_RUN, tag)
        differing = [
            name for name, value in asdict(facts).items() if said.get("run", {}).get(name) != value
        ]
        if differing:
            raise IdentityError(
                f"the tag of run {facts.run_id} was signed for another {', '.join(differing)}",
                remedy="launch it from Dagit, signed in; a tag is good for its own run alone",
            )
        return _identity(said.get("identity"))

    def of_backfill(self, tag: str, *, environment: str) -> str:
        """Who started a backfill; whether it is that backfill's own tag is for the caller to see.

        Raises:
            IdentityError: The tag is forged, or of another environment.
        """
        return self._named(_BACKFILL, tag, {"environment": environment})

    def of_enabled(self, note: str, *, instigator: str, environment: str) -> str:
        """Who enabled a schedule or sensor.

        Raises:
            IdentityError: The note is forged, or about something else.
        """
        return self._named(_ENABLED, note, {"instigator": instigator, "environment": environment})

    def of_session(
        self, text: str, *, environment: str, now: datetime, kind: str = PAGES
    ) -> tuple[str, datetime]:
        """Whose session it is, and when it began; whether that counts is for the caller to see.

        Raises:
            IdentityError: It is forged, of another environment, or has ended.
        """
        said = self._opened(kind, text)
        name = _name_in(said, {"environment": environment})
        if now.timestamp() >= float(said["ends"]):
            raise _unbelieved("the session has ended")
        began = datetime.fromtimestamp(float(said["began"]), tz=UTC)
        if began > now + LEEWAY:
            raise _unbelieved("the session begins later, by the clock of this server")
        return name, began

    def _named(self, kind: str, text: str, expected: Mapping[str, str]) -> str:
        return _name_in(self._opened(kind, text), expected)

    def _opened(self, kind: str, text: str) -> dict[str, Any]:
        if len(text) > MAX_TAG:
            raise _unbelieved(f"it has {len(text)} characters")
        try:
            payload, signature = (
                base64.b64decode(part, altchars=b"-_", validate=True) for part in text.split(".")
            )
        except (binascii.Error, ValueError) as error:
            raise _unbelieved("it is none") from error
        if not self._verify(payload, signature, ""):
            raise _unbelieved("the signature is not that of a server of this platform")
        said = json.loads(payload)
        if not isinstance(said, dict) or said.get("kind") != kind:
            raise _unbelieved("it was signed for another purpose")
        return said


def _name_in(said: Mapping[str, Any], expected: Mapping[str, str]) -> str:
    if any(said.get(name) != value for name, value in expected.items()):
        raise _unbelieved("it was signed for something else")
    return _identity({"name": said.get("name")}).name


class RunPrincipals:
    """Finds the principal of a run: whom its tag names, as the directory knows them now.

    Args:
        verifier: Checks tags.
        directory: Who there is.
        service: The service account of runs that no person started.
    """

    def __init__(
        self, verifier: IdentityVerifier, directory: Directory, *, service: Principal
    ) -> None:
        self._verifier = verifier
        self._directory = directory
        self._service = service

    def of_run(self, tag: str, facts: RunFacts) -> tuple[Principal, RunIdentity]:
        """Who a run acts for.

        Args:
            tag: What its tag holds.
            facts: What it is.

        Raises:
            IdentityError: The tag is not believed, or whom it names may not act any more.
            StoreUnavailable: The directory cannot be asked.
        """
        identity = self._verifier.of_run(tag, facts)
        if not identity.service:
            return self._directory.require_active(identity.name).principal, identity
        known = self._directory.find(self._service.name)
        if known is not None and known.disabled:
            raise IdentityError(
                f"the service account {known.name} is disabled",
                remedy="ask an administrator to enable it, if that is right",
            )
        return self._service, identity


def digest_of(config: Mapping[str, Any]) -> str:
    """SHA-256 of a run's configuration, hexadecimal; the order of keys does not matter."""
    text = json.dumps(config, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _identity(found: object) -> RunIdentity:
    try:
        identity = RunIdentity(**found)  # type: ignore[arg-type]
    except TypeError as error:
        raise _unbelieved("it names nobody") from error
    if not isinstance(identity.name, str) or not identity.name:
        raise _unbelieved("it names nobody")
    return identity


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode()


def _unbelieved(why: str) -> IdentityError:
    return IdentityError(
        f"the signed identity is not believed: {why}",
        remedy="launch it from Dagit, signed in",
    )
