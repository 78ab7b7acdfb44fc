"""The whole error tree of Interlock.

An error says what was found, what was expected and what to do about it. Its fields
carry the values; its text is for the person who reads it. Adapters raise these errors
``from`` the foreign one. Nothing outside this module defines an exception.

    InterlockError
    ├── ConfigurationError      settings and environment variables
    │   └── ProductError        a model product's YAML, by file and line
    ├── PolicyError             a policy or schema file that does not load
    ├── AccessDenied            a policy, or the absence of one, said no
    ├── IdentityError           who somebody is cannot be established, or not be changed so
    │   ├── RequestRefused      a request that is not answered, with HTTP's status
    │   │   └── RecordedRefusal one that is on record already
    │   └── SignInRefused       a sign-in that did not succeed; the cause is for the record
    ├── EvidenceError           upstream missing, changed, or without its audit event
    ├── DataError
    │   ├── SourceError         a source that cannot be read as declared
    │   ├── SourceChanged       a source that changed while it was read
    │   ├── ContractError       a table to which the contract cannot be applied at all
    │   └── ProfileError        data that cannot be profiled, or profiles that do not compare
    ├── TrainingError           data or settings from which no candidate can be trained
    ├── ApprovalError           a decision that cannot be taken, read or believed
    ├── GatesFailed             a version did not reach its gates and stays blocked
    ├── DeploymentRefused       ``deploy-check`` found a reason not to deploy
    ├── ProductBusy             another run holds the product's lease
    ├── ReconciliationIncomplete models that could not be looked at, or not be put back
    ├── StoreError
    │   ├── StoreUnavailable    no answer, or an answer that is not S3's
    │   ├── ObjectMissing       no such bucket or key
    │   ├── ObjectExists        a conditional put found the key taken
    │   ├── PreconditionFailed  the object is not the one expected (If-Match)
    │   └── StoreUnfit          the store does not keep the promises Object Lock makes
    ├── AuditError
    │   ├── AuditWriteFailed    a record could not be written; names where it was spooled
    │   └── AuditTampered       stored records that do not form an intact chain
    ├── SigningError            a key that cannot be used
    │   └── SignatureInvalid    a signature that is missing, or not of this key over these bytes
    ├── RegistryError           MLflow refused or answered something unusable
    │   └── RegistryUnavailable no answer from MLflow
    ├── MonitoringError         a service that is observed gave no usable answer
    │   └── MonitoringRefused   it does not let the observer in
    └── LocalError              the embedded services
        ├── PortTaken           a port that somebody else listens on
        └── ProcessFailed       a child process that did not come up or ended early
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


class InterlockError(Exception):
    """Root of all errors that Interlock raises.

    Args:
        message: What was found and what was expected, one sentence without full stop.
        remedy: What the reader can do about it, imperative, without full stop.
    """

    def __init__(self, message: str, *, remedy: str) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}; {self.remedy}"


class ConfigurationError(InterlockError):
    """A setting is missing, unknown or contradicts another one."""


class ProductError(ConfigurationError):
    """A model product's YAML is wrong.

    Args:
        message: What is wrong.
        path: The YAML file.
        line: Line in that file, counted from 1, where known.
        remedy: What to write instead.
    """

    def __init__(self, message: str, *, path: Path, line: int | None, remedy: str) -> None:
        where = f"{path}:{line}" if line is not None else str(path)
        super().__init__(f"{where}: {message}", remedy=remedy)
        self.path = path
        self.line = line


class PolicyError(InterlockError):
    """A policy or schema file does not parse or does not agree with its schema."""


class AccessDenied(InterlockError):
    """The principal may not do this here.

    Args:
        principal: Name of who asked.
        role: Their role.
        action: What they asked for, e.g. ``model:train``.
        resource: On what, e.g. ``credit_risk``.
        environment: Where.
        policies: Identifiers of the policies that decided; empty when none permitted.
        reason: Why, one sentence.
        remedy: What to do.
    """

    def __init__(
        self,
        *,
        principal: str,
        role: str,
        action: str,
        resource: str,
        environment: str,
        policies: Sequence[str],
        reason: str,
        remedy: str,
    ) -> None:
        decided = ", ".join(policies) if policies else "default deny"
        super().__init__(
            f"{principal} ({role}) may not {action} on {resource} in {environment}: "
            f"{reason} [{decided}]",
            remedy=remedy,
        )
        self.principal = principal
        self.role = role
        self.action = action
        self.resource = resource
        self.environment = environment
        self.policies = tuple(policies)
        self.reason = reason


class IdentityError(InterlockError):
    """Who somebody is cannot be established, or may not be changed in this way."""


class SignInRefused(IdentityError):
    """A sign-in did not succeed.

    Args:
        message: What the one who asks is told: the same for every cause.
        remedy: What they can do.
        why: The cause, for the record alone.
    """

    def __init__(self, message: str, *, remedy: str, why: str) -> None:
        super().__init__(message, remedy=remedy)
        self.why = why


class RequestRefused(IdentityError):
    """A request to the web server is not answered.

    Args:
        status: HTTP's.
        message: Why, for the one who sent it.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message, remedy="correct the request")
        self.status = status


class RecordedRefusal(RequestRefused):
    """A refusal that is on record already."""


class EvidenceError(InterlockError):
    """What a step builds on is missing, changed, or not backed by the audit trail."""


class DataError(InterlockError):
    """Root of errors about a product's data."""


class SourceError(DataError):
    """A source cannot be read as declared."""


class SourceChanged(DataError):
    """A source changed while it was read."""


class ContractError(DataError):
    """The data contract cannot be applied to this table at all."""


class ProfileError(DataError):
    """Data cannot be profiled as planned, or profiles cannot be read, merged or compared."""


class TrainingError(InterlockError):
    """No candidate can be trained from this data with these settings."""


class ApprovalError(InterlockError):
    """A decision about a version cannot be taken, read or believed."""


class GatesFailed(InterlockError):
    """A registered version did not reach its gates; it is kept, blocked and without alias."""


class DeploymentRefused(InterlockError):
    """This environment may not deploy that model version.

    Args:
        model: Registered model and version or alias.
        reasons: Every reason found, one sentence each.
        remedy: What to do.
    """

    def __init__(self, *, model: str, reasons: Sequence[str], remedy: str) -> None:
        super().__init__(f"{model} may not be deployed: " + "; ".join(reasons), remedy=remedy)
        self.model = model
        self.reasons = tuple(reasons)


class ProductBusy(InterlockError):
    """Another run holds the lease of this product."""


class ReconciliationIncomplete(InterlockError):
    """Something of some models could not be looked at or put back; of all others it was."""


class StoreError(InterlockError):
    """Root of errors of the object store."""


class StoreUnavailable(StoreError):
    """The object store does not answer, or refuses the credentials."""


class ObjectMissing(StoreError):
    """No such bucket or key."""


class ObjectExists(StoreError):
    """A conditional put found the key taken."""


class PreconditionFailed(StoreError):
    """The stored object is not the one that was expected."""


class StoreUnfit(StoreError):
    """The store failed the probe: it does not keep what Object Lock promises."""


class AuditError(InterlockError):
    """Root of errors of the audit trail."""


class AuditWriteFailed(AuditError):
    """A record could not be written to the audit bucket.

    Args:
        message: What failed.
        remedy: What to do.
        spooled: File that holds the record meanwhile, where it was spooled.
        record_id: Id of that record.
    """

    def __init__(
        self, message: str, *, remedy: str, spooled: Path | None = None, record_id: str = ""
    ) -> None:
        super().__init__(message, remedy=remedy)
        self.spooled = spooled
        self.record_id = record_id


class AuditTampered(AuditError):
    """Stored records do not form an intact chain."""


class SigningError(InterlockError):
    """A key cannot be used to sign, or to check a signature."""


class SignatureInvalid(SigningError):
    """A signature is missing, or is not that of the key over these bytes."""


class RegistryError(InterlockError):
    """MLflow refused a request or answered something unusable."""


class RegistryUnavailable(RegistryError):
    """MLflow does not answer."""


class MonitoringError(InterlockError):
    """A service that is observed does not answer, or answers something unusable."""


class MonitoringRefused(MonitoringError):
    """A service that is observed answers, and does not let the observer in."""


class LocalError(InterlockError):
    """Root of errors of the embedded services."""


class PortTaken(LocalError):
    """Somebody else listens on a port that is needed.

    Args:
        port: The port, TCP on 127.0.0.1.
        service: Which service needs it.
        remedy: What to do.
    """

    def __init__(self, port: int, *, service: str, remedy: str) -> None:
        super().__init__(f"port {port} for {service} is taken", remedy=remedy)
        self.port = port
        self.service = service


class ProcessFailed(LocalError):
    """A child process did not come up, or ended early."""
