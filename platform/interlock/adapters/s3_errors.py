"""Errors of botocore, translated once into Interlock's own.

Here lives what an answer of S3 means. Which call is made and what a refusal means to its
caller (a taken key, say) is in ``object_store.py``. Messages name operation, object and
endpoint, never a key's secret.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

from interlock.errors import ObjectMissing, PreconditionFailed, StoreError, StoreUnavailable

CONFLICT: Final = "ConditionalRequestConflict"
"""Another request for the same key was under way; S3 asks to send this one again."""

_MISSING: Final = {"NoSuchKey", "NoSuchBucket", "NoSuchVersion", "NoSuchUpload"}
_CREDENTIALS: Final = {
    "AuthFailure",
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidAccessKeyId",
    "InvalidToken",
    "SignatureDoesNotMatch",
}
_REMEDIES: Final = {
    CONFLICT: "try again; two requests for one key met",
    "RequestTimeTooSkewed": "set this machine's clock, which differs from the store's",
    "RequestTimeout": "try again",
    "SlowDown": "try again later, with fewer requests at a time",
    "Throttling": "try again later, with fewer requests at a time",
    "ThrottlingException": "try again later, with fewer requests at a time",
    "RequestLimitExceeded": "try again later, with fewer requests at a time",
    "XMinioStorageFull": "free or add space on the store's disk; ObjectStoreNearFull warns before",
}
_EXPIRED: Final = {"ExpiredToken", "ExpiredTokenException"}
_KMS: Final = "KMS."  # S3 hands on what its key service answered, e.g. KMS.DisabledException
_KEY: Final = "check that the bucket's key is enabled and not about to be deleted"
_RENEW: Final = "get new temporary credentials; those of a task's role are renewed by AWS itself"
_CORRECT: Final = "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the task's role"
_RIGHTS: Final = "check the rights of these credentials and the settings of the bucket"
# AWS says in its message who refused; docs.aws.amazon.com, "Troubleshoot access denied errors".
_DENIALS: Final = {
    "kms:": "let this role use the bucket's key through S3 (kms:GenerateDataKey, kms:Decrypt)",
    "explicit deny in a resource-based policy": "leave it: the bucket's policy forbids this to "
    "everybody",
    "explicit deny": "act as another role; a policy forbids this one to do it",
}


@dataclass(frozen=True)
class Place:
    """Where an operation was aimed; for messages.

    Attributes:
        endpoint: Address without credentials.
        bucket: Bucket.
        key: Key; empty for a bucket.
    """

    endpoint: str
    bucket: str
    key: str = ""

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key} at {self.endpoint}"


def endpoint_name(endpoint_url: str | None, region: str) -> str:
    """An endpoint as messages name it: without the credentials a URL may carry.

    Args:
        endpoint_url: Address; None for AWS.
        region: Region.
    """
    if endpoint_url is None:
        return f"AWS S3 in {region}"
    parts = urlsplit(endpoint_url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


@contextmanager
def translated(operation: str, place: Place) -> Iterator[None]:
    """Raises Interlock's errors in place of botocore's.

    Args:
        operation: The call, as a person says it, e.g. ``put``.
        place: Where it is aimed.

    Raises:
        StoreError: Or one of its subclasses, from the foreign error.
    """
    from botocore.exceptions import BotoCoreError, ClientError  # 0.2 s

    try:
        yield
    except ClientError as error:
        raise _refusal(error, operation, place) from error
    except BotoCoreError as error:
        raise _failure(error, operation, place) from error


def require_fields(
    answer: Mapping[str, Any], fields: Iterable[str], operation: str, place: Place
) -> None:
    """Refuses the answer of a server that answers anything with a success, and is no S3.

    Args:
        answer: As botocore gives it.
        fields: What S3 always answers with.
        operation: The call.
        place: Where it was aimed.

    Raises:
        StoreUnavailable: A field is missing.
    """
    if any(field not in answer for field in fields):
        raise _not_s3(operation, place)


def error_code(error: Exception) -> str:
    """S3's name of an error, of botocore's ``ClientError``; empty when it has none.

    Args:
        error: The error.
    """
    return str(getattr(error, "response", {}).get("Error", {}).get("Code", ""))


def _refusal(error: Exception, operation: str, place: Place) -> StoreError:
    """The meaning of an answer that is an error."""
    answer = getattr(error, "response", {})
    code = error_code(error)
    status = int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    what = f"{operation} of {place}"
    if status == HTTPStatus.PRECONDITION_FAILED:
        return PreconditionFailed(
            f"{what} found another state of the object than expected",
            remedy="read the object again and decide anew",
        )
    if not operation.startswith("head") and (not code or code.isdigit()):
        return _not_s3(operation, place)  # S3 names its errors wherever an answer has a body
    if code in _MISSING or status == HTTPStatus.NOT_FOUND:
        return ObjectMissing(
            f"{what} found nothing there ({code})",
            remedy="check bucket and key, and that the store is the right one",
        )
    if code in _CREDENTIALS or (status == HTTPStatus.FORBIDDEN and code.isdigit()):
        return StoreUnavailable(
            f"{what} was refused for these credentials ({code})",
            remedy=_RENEW if code in _EXPIRED else _CORRECT,
        )
    if code in _REMEDIES or code.startswith(_KMS) or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        otherwise = _KEY if code.startswith(_KMS) else "look at the store's own log and try again"
        return StoreUnavailable(
            f"{what} failed in the store ({code}, HTTP {status})",
            remedy=_REMEDIES.get(code, otherwise),
        )
    message = str(answer.get("Error", {}).get("Message", "")).rstrip(".")
    return StoreError(
        f"{what} was refused: {code} {message}",
        remedy=next((each for part, each in _DENIALS.items() if part in message), _RIGHTS),
    )


def _failure(error: Exception, operation: str, place: Place) -> StoreError:
    """The meaning of a call that got no answer, or was never sent."""
    from botocore import exceptions as botocore

    what = f"{operation} of {place}"
    if isinstance(error, botocore.ParamValidationError):
        detail = " ".join(str(error).split())
        return StoreError(f"{what} is impossible: {detail}", remedy="correct the name or value")
    if isinstance(error, botocore.NoCredentialsError | botocore.PartialCredentialsError):
        return StoreUnavailable(
            f"{what} needs credentials and found none",
            remedy="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the task a role",
        )
    unanswered = botocore.ConnectionError, botocore.HTTPClientError, botocore.IncompleteReadError
    if isinstance(error, unanswered):
        return StoreUnavailable(
            f"{what} got no answer ({type(error).__name__})",
            remedy="check that the object store runs and that AWS_ENDPOINT_URL_S3 names it",
        )
    return StoreUnavailable(
        f"{what} failed before an answer: {error}",
        remedy="check AWS_ENDPOINT_URL_S3 and the credentials",
    )


def _not_s3(operation: str, place: Place) -> StoreUnavailable:
    return StoreUnavailable(
        f"{operation} of {place} got an answer that is not S3's",
        remedy="check that AWS_ENDPOINT_URL_S3 names an object store",
    )
