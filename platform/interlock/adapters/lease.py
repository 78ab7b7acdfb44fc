"""One holder at a time: a lease kept as an object in the store.

Here lives taking, renewing and giving back a lease. What is leased, and for how long, is
decided in ``actions``.

- A lease is taken with a conditional put; of two takers exactly one wins.
- While held, a thread renews it every third of its time to live with a conditional replace.
- A lease that was not renewed in time may be taken over, also with a conditional replace, so
  that of two exactly one wins. A killed process blocks others for one time to live.
- Whoever finds their lease taken over learns it: ``check`` and the end of the ``with`` block
  raise. Work that must not be done twice is guarded by conditional puts of its own; a lease
  saves effort and explains, it does not replace them.
- Times are compared between machines: ``SKEW`` is what their clocks may differ. A lease that
  ends ``FAR`` times as late as any taking of it could is not believed, whatever a clock may be
  wrong by: nobody blocks others for good.
"""

from __future__ import annotations

import json
import logging
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Final, Self

from interlock.adapters.object_store import ObjectStore
from interlock.errors import (
    ObjectExists,
    ObjectMissing,
    PreconditionFailed,
    ProductBusy,
    StoreError,
    StoreUnavailable,
)

SCHEMA: Final = "interlock.lease/v1"
SKEW: Final = timedelta(seconds=5)
FAR: Final = 10
RENEWALS: Final = 3  # chances to renew within one time to live
TAKE_ATTEMPTS: Final = 5  # the lease may be given back or taken between two requests
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Terms:
    """What the object says.

    Attributes:
        holder: Who holds the lease, as a person knows them.
        token: Which taking of the lease; never used twice.
        expires: Until when, unless renewed.
    """

    holder: str
    token: str
    expires: datetime

    def encode(self) -> bytes:
        document = {
            "schema": SCHEMA,
            "holder": self.holder,
            "token": self.token,
            "expires": self.expires.isoformat(),
        }
        return json.dumps(document, indent=2, ensure_ascii=False).encode()

    @classmethod
    def decode(cls, data: bytes, *, where: str) -> _Terms:
        try:
            document = {"schema": None, **json.loads(data)}
            if document["schema"] != SCHEMA:
                raise _unreadable(where, f"schema {document['schema']!r}")
            expires = datetime.fromisoformat(document["expires"]).astimezone(UTC)
            return cls(str(document["holder"]), str(document["token"]), expires)
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise _unreadable(where, repr(error)) from error


def _unreadable(where: str, found: str) -> StoreError:
    return StoreError(
        f"the lease {where} cannot be read: {found}",
        remedy="make sure that nobody holds it, then delete that object",
    )


def _new_token() -> str:
    return uuid.uuid4().hex


class Lease:
    """A lease, held while its ``with`` block runs.

    Args:
        store: The store.
        bucket: Bucket.
        key: Key of the object.
        holder: Who takes it, as others are told.
        ttl: How long others wait for a holder that is gone. Longer than a renewal can hang:
            minutes rather than seconds.
        clock: Now, aware UTC.
        new_token: Something that was never used before.
    """

    def __init__(
        self,
        store: ObjectStore,
        *,
        bucket: str,
        key: str,
        holder: str,
        ttl: timedelta,
        clock: Callable[[], datetime],
        new_token: Callable[[], str] = _new_token,
    ) -> None:
        self._store = store
        self._bucket = bucket
        self._key = key
        self._holder = holder
        self._ttl = ttl
        self._clock = clock
        self._new_token = new_token
        self._terms: _Terms | None = None
        self._etag = ""
        self._lost: str | None = None
        self._refused: StoreUnavailable | None = None  # what the store said to the last put
        self._stop = threading.Event()
        self._renewer: threading.Thread | None = None

    def __enter__(self) -> Self:
        """Takes the lease.

        Raises:
            ProductBusy: Somebody else holds it.
            StoreError: It cannot be taken.
        """
        token = self._new_token()
        for _ in range(TAKE_ATTEMPTS):
            self._refused = None
            if self._take(token):
                break
        else:
            raise self._refused or self._busy("others keep taking it")
        self._lost = None
        self._stop.clear()
        self._renewer = threading.Thread(target=self._renew, name="lease", daemon=True)
        self._renewer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Gives the lease back.

        Raises:
            ProductBusy: It was lost meanwhile, and the block itself did not fail.
        """
        assert self._renewer is not None  # noqa: S101 - entered
        self._stop.set()
        self._renewer.join()
        if self._lost is None:
            self._release()
        if error is None:
            self.check()
        elif self._lost is not None:
            error.add_note(f"the lease {self._where} was lost meanwhile: {self._lost}")

    def check(self) -> None:
        """Makes sure that the lease is still held.

        Raises:
            ProductBusy: It was taken over, or could not be renewed in time.
        """
        if self._lost is None and self._terms is not None and self._terms.expires < self._clock():
            self._lost = "it could not be renewed in time"
        if self._lost is not None:
            raise self._busy(self._lost)

    @property
    def _where(self) -> str:
        return f"s3://{self._bucket}/{self._key}"

    def _take(self, token: str) -> bool:
        """Whether the lease is held now; False when it changed between two requests."""
        terms = _Terms(self._holder, token, self._clock() + self._ttl)
        try:
            self._store.put_new(self._bucket, self._key, terms.encode())
        except ObjectExists:
            return self._adopt(token) or self._take_over(terms)
        except StoreUnavailable as error:
            self._refused = error
            return self._adopt(token)  # the put may have landed; raises when the store is away
        return self._adopt(token)

    def _take_over(self, terms: _Terms) -> bool:
        try:
            body = self._store.read(self._bucket, self._key)
        except ObjectMissing:
            return False  # given back just now
        found = _Terms.decode(body.data, where=self._where)
        now = self._clock()
        if now - SKEW < found.expires <= now + FAR * self._ttl:
            until = found.expires.astimezone(UTC).strftime("%H:%M:%S UTC")
            raise self._busy(f"{found.holder} holds it, at least until {until}")
        try:
            self._etag = self._store.put_matching(
                self._bucket, self._key, terms.encode(), etag=body.info.etag
            )
        except PreconditionFailed:
            return self._adopt(terms.token)
        self._terms = terms
        return True

    def _adopt(self, token: str) -> bool:
        """Whether the stored lease is ours, also by a put whose answer was lost."""
        try:
            body = self._store.read(self._bucket, self._key)
        except ObjectMissing:
            return False
        found = _Terms.decode(body.data, where=self._where)
        if found.token != token:
            return False
        self._terms, self._etag = found, body.info.etag
        return True

    def _renew(self) -> None:
        """Renews until told to stop, or until the lease is lost."""
        while not self._stop.wait(self._ttl.total_seconds() / RENEWALS):
            try:
                self._renew_once()
            except StoreUnavailable as error:
                # There are more chances; `check` says when the last one has passed.
                _LOG.warning("lease %s is not renewed: %s", self._where, error)
            except StoreError as error:
                self._lost = error.message
            if self._lost is not None:
                return

    def _renew_once(self) -> None:
        assert self._terms is not None  # noqa: S101 - held, or there is no renewer
        terms = _Terms(self._holder, self._terms.token, self._clock() + self._ttl)
        try:
            self._etag = self._store.put_matching(
                self._bucket, self._key, terms.encode(), etag=self._etag
            )
            self._terms = terms
        except PreconditionFailed:
            # Either an earlier renewal landed without an answer, or somebody took over.
            if not self._adopt(terms.token):
                self._lost = "somebody else took it over"

    def _release(self) -> None:
        try:
            self._store.delete(self._bucket, self._key, etag=self._etag)
        except PreconditionFailed:
            self._release_unanswered()
        except StoreUnavailable as error:
            _LOG.warning("lease %s stays until it expires: %s", self._where, error)

    def _release_unanswered(self) -> None:
        """Gives back a lease whose last renewal, or whose release, got no answer."""
        assert self._terms is not None  # noqa: S101 - held
        if self._adopt(self._terms.token):
            self._store.delete(self._bucket, self._key, etag=self._etag)
        elif self._terms.expires + SKEW <= self._clock():
            # Sooner than that nobody takes over: then it was our own release that landed.
            self._lost = "somebody else took it over"

    def _busy(self, why: str) -> ProductBusy:
        return ProductBusy(
            f"the lease {self._where} is not free for {self._holder}: {why}",
            remedy="wait for the other run to end, or try again when its lease has expired",
        )
