"""An object store that reads the same version of an object once.

For servers that look at the same audit events with every page. A version of an object that is
named by its id never changes, so its bytes can be kept. What there is, and which versions, is
asked anew by every page (``one_look``) and for every act, so that something stored over an event,
or a delete marker, is seen at once.
"""

from __future__ import annotations

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any, Final

from interlock.adapters.object_store import ObjectBody, ObjectVersion, S3ObjectStore

KEPT_BYTES: Final = 64 * 1_048_576  # about 60,000 audit events
LARGEST_KEPT: Final = 1_048_576  # bytes of one object; events have at most 65,536

_Listings = dict[tuple[str, str], list[ObjectVersion]]
_look: ContextVar[_Listings | None] = ContextVar("listings of one look", default=None)


@contextlib.contextmanager
def one_look() -> Iterator[None]:
    """Let everything that is read in the block see the same listings, each made once.

    For pages, never around an act: who writes has to see what others wrote a moment ago.
    """
    token = _look.set({})
    try:
        yield
    finally:
        _look.reset(token)


class RememberedStore(S3ObjectStore):
    """S3, with the versions that were read lately. Safe to use from many threads.

    Args:
        options: Of S3.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._bodies: OrderedDict[tuple[str, str, str], ObjectBody] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def read(self, bucket: str, key: str, *, version_id: str | None = None) -> ObjectBody:
        """As the interface says; a version that is named is fetched once."""
        if not version_id:  # the latest, or that of a bucket that keeps no versions
            return super().read(bucket, key, version_id=version_id)
        name = (bucket, key, version_id)
        with self._lock:
            known = self._bodies.get(name)
            if known is not None:
                self._bodies.move_to_end(name)
                return known
        body = super().read(bucket, key, version_id=version_id)
        if len(body.data) <= LARGEST_KEPT:
            self._keep(name, body)
        return body

    def list_versions(self, bucket: str, prefix: str) -> Iterator[ObjectVersion]:
        """As the interface says; in ``one_look`` each listing is made once."""
        listings = _look.get()
        if listings is None:
            return super().list_versions(bucket, prefix)
        known = listings.get((bucket, prefix))
        if known is None:
            known = listings[bucket, prefix] = list(super().list_versions(bucket, prefix))
        return iter(known)

    def _keep(self, name: tuple[str, str, str], body: ObjectBody) -> None:
        with self._lock:
            if name not in self._bodies:
                self._bytes += len(body.data)
            self._bodies[name] = body
            while self._bytes > KEPT_BYTES:
                _, oldest = self._bodies.popitem(last=False)
                self._bytes -= len(oldest.data)
