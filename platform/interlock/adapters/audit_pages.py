"""The audit trail as somebody leafs through it: the newest first, a page at a time.

Nothing here reads the whole trail. Events lie in folders by the day on which their stream was
opened, so a page lists the folders of a few days and reads the events that it shows; whoever
looks for something is shown how far back was looked, and goes on from there. Events are in the
order in which the store got them. What is read here was not verified (``audit_log.py``).
"""

from __future__ import annotations

import logging
import threading
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from heapq import merge
from itertools import islice
from typing import Final

from interlock.adapters.audit_listing import Slot, sort_listing
from interlock.adapters.object_store import ObjectStore, ObjectVersion
from interlock.errors import AuditError, AuditTampered, InterlockError
from interlock.governance.audit import (
    LEDGER_DAY,
    AuditEvent,
    AuditRecord,
    Outcome,
    Stream,
    decode,
    parse_key,
    stream_prefix,
)

READERS: Final = 16  # threads; FACTS: boto3 reads no faster with more
PAGE: Final = 50  # events
MOST_READ: Final = 400  # events that one page looks at; more go on from where it ended
MOST_DAYS: Final = 60  # folders that one page lists
LONGEST_RUN: Final = timedelta(days=8)  # events come this long after their stream was opened
LIVELY: Final = timedelta(days=2)  # streams that were opened this lately grow all the time
GROWING: Final = timedelta(seconds=2)  # how old a listing of their days may be
SETTLED: Final = timedelta(minutes=5)  # the same of another day
OLDEST: Final = timedelta(minutes=10)  # a listing older than that is never shown
MAX_FOLDERS: Final = 120  # listings that are kept
_SEPARATOR: Final = "~"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sought:
    """What somebody looks for; an empty text and None match everything.

    Attributes:
        about: A registered model or a product, in full.
        action: The beginning of an action, e.g. ``model:``.
        outcome: How it ended.
        person: A part of a name.
        day: UTC day on which it was stored.
    """

    about: str = ""
    action: str = ""
    outcome: Outcome | None = None
    person: str = ""
    day: date | None = None

    @property
    def needs_reading(self) -> bool:
        """Whether the place of an event does not tell if it fits."""
        return bool(self.about or self.action or self.outcome or self.person)

    def fits(self, record: AuditRecord) -> bool:
        """Whether a record is one of those."""
        about = (record.resource.partition("/")[2], record.evidence.get("model"))
        return (
            (not self.about or self.about in about)
            and record.action.startswith(self.action)
            and self.outcome in {None, record.outcome}
            and self.person.casefold() in record.principal.name.casefold()
        )


@dataclass(frozen=True)
class Found:
    """An event on a page; None where its bytes are no event."""

    key: str
    stored: datetime
    event: AuditEvent | None


@dataclass(frozen=True)
class TrailPage:
    """A page of the trail.

    Attributes:
        found: The events, the newest first.
        earlier: Where to go on; None at the beginning of the trail.
        looked_at: How many events were read or, without anything sought, listed.
        back_to: The time back to which everything was looked at; None where nothing was.
    """

    found: tuple[Found, ...]
    earlier: str | None
    looked_at: int
    back_to: datetime | None


@dataclass(frozen=True, order=True)
class _Place:
    """Where an event is: ordered as the store got them."""

    stored: datetime
    key: str
    version_id: str = ""

    @property
    def mark(self) -> str:
        """The place as a page's address holds it."""
        return f"{self.stored.isoformat()}{_SEPARATOR}{self.key}"


class TrailPages:
    """Pages of the trail under one prefix of one bucket. Safe to use from many threads.

    Args:
        store: The store.
        bucket: The audit bucket.
        prefix: Prefix of the trail, with or without a final slash.
        clock: The time, aware UTC.
    """

    def __init__(
        self, store: ObjectStore, *, bucket: str, prefix: str, clock: Callable[[], datetime]
    ) -> None:
        self.prefix = f"{prefix.rstrip('/')}/" if prefix else ""
        self._store = store
        self._bucket = bucket
        self._clock = clock
        self._folders: OrderedDict[date, tuple[datetime, tuple[_Place, ...]]] = OrderedDict()
        self._first: date | None = None
        self._under_way: set[date] = set()
        self._lock = threading.Lock()

    def page(self, sought: Sought, *, before: str = "", size: int = PAGE) -> TrailPage:
        """A page.

        Args:
            sought: What is looked for.
            before: Where the page before ended, as ``TrailPage.earlier`` said.
            size: How many events at most.

        Raises:
            AuditError: ``before`` is no such place.
            StoreError: The trail cannot be read.
        """
        places = _Walk(self, sought.day, self._after(before) if before else None)
        if not sought.needs_reading:
            chosen = list(places.take(size))
            return self._page(places, self._read(chosen), looked_at=len(chosen))
        found: list[Found] = []
        looked_at = 0
        # In small lots: what is sought is often near.
        coming = places.take(MOST_READ)
        while lot := list(islice(coming, size)):
            for each in self._read(lot):
                looked_at += 1
                if each.event is not None and sought.fits(each.event.record):
                    found.append(each)
                if len(found) == size:
                    places.last = _Place(each.stored, each.key)
                    return self._page(places, found, looked_at=looked_at, is_cut=True)
        return self._page(places, found, looked_at=looked_at)

    def event(self, key: str) -> bytes:
        """The stored bytes of an event.

        Raises:
            AuditError: The key is none of this trail.
            ObjectMissing: There is no such event.
        """
        self._require_key(key)
        return self._store.get_oldest(self._bucket, key)

    def listed(self, day: date) -> tuple[_Place, ...]:
        """The events of the streams that were opened on a day, the newest first.

        Listing a busy day takes longer than a page may. So a listing that is old is shown once
        more, and made anew meanwhile; one that is too old is not shown.
        """
        now = self._clock()
        is_settled = day != LEDGER_DAY and now.astimezone(UTC).date() - day >= LIVELY
        with self._lock:
            known = self._folders.get(day)
            is_old = known is None or now - known[0] >= (SETTLED if is_settled else GROWING)
            begin = known is not None and is_old and day not in self._under_way
            if begin:
                self._under_way.add(day)
        if known is None or now - known[0] >= OLDEST:
            return self._list(day)
        if begin:
            threading.Thread(
                target=self._list_meanwhile, args=(day,), name="audit-listing", daemon=True
            ).start()
        return known[1]

    def forget_recent(self) -> None:
        """Have the next page list anew what grows: somebody wants to see what they have done."""
        first = self.today() - LIVELY
        with self._lock:
            for day in [each for each in self._folders if each > first or each == LEDGER_DAY]:
                del self._folders[day]

    def _list(self, day: date) -> tuple[_Place, ...]:
        now = self._clock()
        folder = stream_prefix(self.prefix, Stream("any", day)).removesuffix("any/")
        try:
            streams = sort_listing(self.prefix, self._versions(folder)).streams.values()
            places = tuple(sorted(_places(slot for each in streams for slot in each), reverse=True))
        finally:
            with self._lock:
                self._under_way.discard(day)
        with self._lock:
            self._folders[day] = (now, places)
            self._folders.move_to_end(day)
            while len(self._folders) > MAX_FOLDERS:
                self._folders.popitem(last=False)
        return places

    def _list_meanwhile(self, day: date) -> None:
        try:
            self._list(day)
        except InterlockError as error:
            log.warning("the trail could not be listed: %s", error)

    def first_day(self) -> date | None:
        """The day on which the first stream outside ledgers was opened; None before that."""
        if self._first is None:
            # Keys are listed in their order, and every day of this millennium follows the ledgers'.
            first = next(iter(self._versions(f"{self.prefix}2")), None)
            place = None if first is None else parse_key(self.prefix, first.key)
            self._first = None if place is None else place[0].opened
        return self._first

    def today(self) -> date:
        """The day that it is."""
        return self._clock().astimezone(UTC).date()

    def _page(
        self, places: _Walk, found: Sequence[Found], *, looked_at: int, is_cut: bool = False
    ) -> TrailPage:
        more = is_cut or not places.is_at_the_beginning
        return TrailPage(
            found=tuple(found),
            earlier=places.last.mark if more and places.last else None,
            looked_at=looked_at,
            back_to=places.last.stored if places.last else None,
        )

    def _read(self, places: Sequence[_Place]) -> list[Found]:
        with ThreadPoolExecutor(READERS, thread_name_prefix="audit-pages") as pool:
            return list(pool.map(self._found, places))

    def _found(self, place: _Place) -> Found:
        body = self._store.read(self._bucket, place.key, version_id=place.version_id)
        try:
            return Found(place.key, place.stored, decode(body.data, key=place.key))
        except AuditTampered:
            return Found(place.key, place.stored, None)  # shown as what it is

    def _versions(self, prefix: str) -> Iterator[ObjectVersion]:
        return self._store.list_versions(self._bucket, prefix)

    def _after(self, mark: str) -> _Place:
        time, _, key = mark.partition(_SEPARATOR)
        try:
            stored = datetime.fromisoformat(time)
        except ValueError:
            stored = None
        if stored is None or stored.tzinfo is None:
            raise AuditError(
                f"{mark!r} is no place in the trail", remedy="begin with the newest events"
            )
        if key:  # none: the end of a day
            self._require_key(key)
        return _Place(stored, key)

    def _require_key(self, key: str) -> None:
        if parse_key(self.prefix, key) is None:
            raise AuditError(
                f"{key!r} is no key of this audit trail", remedy="choose an event from the timeline"
            )


class _Walk:
    """Goes back through the trail, day by day.

    Attributes:
        last: The last place that was given, or the end of what was looked at.
        is_at_the_beginning: Whether there is nothing earlier.
    """

    def __init__(self, pages: TrailPages, day: date | None, after: _Place | None) -> None:
        self._pages = pages
        self._day = day
        self.last = after
        self.is_at_the_beginning = False

    def take(self, most: int) -> Iterator[_Place]:
        """So many places, and one more step to know whether there are others."""
        for given, place in enumerate(self._places()):
            if given == most:
                return
            self.last = place
            yield place

    def _places(self) -> Iterator[_Place]:
        after = self.last
        newest = self._day or (after.stored.astimezone(UTC).date() if after else None)
        newest = newest or self._pages.today()
        first = self._day or self._earliest(newest)
        for listed in range((newest - first).days + 1):
            if listed == MOST_DAYS:
                self.last = _Place(_begin_of(newest - timedelta(days=listed - 1)), "")
                return
            yield from self._on(newest - timedelta(days=listed), after)
        self.is_at_the_beginning = True

    def _earliest(self, newest: date) -> date:
        """The first day on which there can be events."""
        ledgers = self._pages.listed(LEDGER_DAY)
        days = [ledgers[-1].stored.date()] if ledgers else []
        first = self._pages.first_day()
        return min([*days, first or newest, newest])

    def _on(self, day: date, after: _Place | None) -> Iterator[_Place]:
        """What was stored on a day, whenever its stream was opened; from a place on."""
        folders = [day - timedelta(days=n) for n in range(LONGEST_RUN.days)]
        begin, end = _begin_of(day), _Place(_begin_of(day + timedelta(days=1)), "")
        newest = end if after is None else min(after, end)
        with ThreadPoolExecutor(len(folders) + 1, thread_name_prefix="audit-listings") as pool:
            listings = list(pool.map(self._pages.listed, (*folders, LEDGER_DAY)))
        # Of a busy day, or a long ledger, no more is looked at than a page shows.
        return merge(*(_between(listed, newest, begin) for listed in listings), reverse=True)


def _between(listed: Sequence[_Place], newest: _Place, begin: datetime) -> Sequence[_Place]:
    """The part of a listing, the newest first, before a place and since a time."""
    first = bisect_left(listed, True, key=lambda place: place < newest)
    last = bisect_left(listed, True, key=lambda place: place.stored < begin)
    return listed[first:last]


def _begin_of(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _places(slots: Iterator[Slot]) -> Iterator[_Place]:
    for slot in slots:
        if slot.oldest is not None:
            yield _Place(slot.oldest.last_modified, slot.key, slot.oldest.version_id)
