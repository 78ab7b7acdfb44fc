"""Leafing through the trail: everything once, the newest first, and nothing read in vain."""

from __future__ import annotations

import threading
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulators import FakeClock, MemoryObjectStore
from trails import BUCKET, PREFIX, MemoryTrail, record

from interlock.adapters.audit_pages import MOST_READ, OLDEST, Sought, TrailPages
from interlock.errors import AuditError
from interlock.governance.audit import LEDGER_DAY, Outcome, RecordedPrincipal, Stream

LEDGER = Stream("decisions.TinyModel.1", LEDGER_DAY)


class Leafed:
    """A trail that grew over days, and its pages."""

    def __init__(self, trail: MemoryTrail) -> None:
        self.trail, self.store, self.clock = trail, trail.store, trail.clock
        self.keys: list[str] = []
        self.reads: list[str] = []
        self.pages = TrailPages(self.store, bucket=BUCKET, prefix=PREFIX, clock=self.clock)

    def happen(
        self, stream: Stream, *, later: timedelta = timedelta(seconds=1), **what: Any
    ) -> str:
        self.clock.advance(seconds=later.total_seconds())
        key = self.trail.log.append(stream, record(**what)).key
        self.keys.insert(0, key)
        return key

    def all(self, sought: Sought | None = None, *, size: int = 7) -> list[str]:
        found: list[str] = []
        before = ""
        for _ in range(1_000):
            page = self.pages.page(sought or Sought(), before=before, size=size)
            assert len(page.found) <= size
            found += [each.key for each in page.found]
            if page.earlier is None:
                return found
            assert page.earlier != before
            before = page.earlier
        raise AssertionError("it never ends")


@pytest.fixture
def leafed(memory_trail: MemoryTrail) -> Leafed:
    return Leafed(memory_trail)


def stream_of(leafed: Leafed, name: str) -> Stream:
    return Stream(name, leafed.clock().date())


def test_every_event_is_found_once_and_the_newest_first(leafed: Leafed) -> None:
    run = stream_of(leafed, "run-a")
    for _ in range(9):
        leafed.happen(run)
    leafed.happen(LEDGER, later=timedelta(days=1))
    leafed.happen(run)  # of a run that began the day before
    leafed.clock.advance(days=80)
    leafed.happen(stream_of(leafed, "run-b"))
    leafed.happen(LEDGER, later=timedelta(days=1))
    assert leafed.all() == leafed.keys
    assert leafed.all(size=50) == leafed.keys


def test_empty_trail_has_an_empty_page(leafed: Leafed) -> None:
    page = leafed.pages.page(Sought())
    assert (page.found, page.earlier, page.back_to) == ((), None, None)


@pytest.mark.parametrize(
    ("sought", "expected"),
    [
        (Sought(about="CreditRiskModel"), {1, 2}),
        (Sought(about="credit_risk"), {0, 2}),
        (Sought(action="model:"), {0, 1, 2}),
        (Sought(action="model:approve"), {2}),
        (Sought(outcome=Outcome.SUCCEEDED), {2}),
        (Sought(person="GRA"), {2}),
        (Sought(person="nobody"), set()),
    ],
)
def test_filters(leafed: Leafed, sought: Sought, expected: set[int]) -> None:
    run = stream_of(leafed, "run-a")
    grace = RecordedPrincipal("grace", "approver", "local")
    keys = [
        leafed.happen(run),
        leafed.happen(run, resource="model/CreditRiskModel"),
        leafed.happen(
            run,
            action="model:approve",
            outcome=Outcome.SUCCEEDED,
            principal=grace,
            evidence={"model": "CreditRiskModel"},
        ),
        leafed.happen(run, action="audit:read", resource="audit/trail"),
    ]
    assert set(leafed.all(sought)) == {keys[each] for each in expected}


def test_a_day_is_that_of_storing(leafed: Leafed) -> None:
    run = stream_of(leafed, "run-a")
    leafed.happen(run)
    next_day = leafed.happen(run, later=timedelta(days=1))
    leafed.happen(run, later=timedelta(days=1))
    day = date(2040, 1, 3)
    assert leafed.all(Sought(day=day)) == [next_day]
    assert leafed.all(Sought(day=day - timedelta(days=30))) == []


def test_search_without_success_ends_and_goes_on(leafed: Leafed) -> None:
    run = stream_of(leafed, "run-a")
    first = leafed.happen(run, action="data:ingest")
    for _ in range(MOST_READ + 5):
        leafed.happen(run, later=timedelta())
    page = leafed.pages.page(Sought(action="data:"))
    assert (page.found, page.looked_at) == ((), MOST_READ)
    assert page.earlier is not None
    rest = leafed.pages.page(Sought(action="data:"), before=page.earlier)
    assert [each.key for each in rest.found] == [first]
    assert rest.earlier is None


def newest(leafed: Leafed) -> str:
    return leafed.pages.page(Sought()).found[0].key


def wait_for_listings() -> None:
    for thread in threading.enumerate():
        if thread.name == "audit-listing":
            thread.join(60)


def test_listing_that_is_old_is_shown_once_more_and_made_anew_meanwhile(leafed: Leafed) -> None:
    run = stream_of(leafed, "run-a")
    first = leafed.happen(run)
    assert newest(leafed) == first
    second = leafed.happen(run, later=timedelta(seconds=10))
    assert newest(leafed) == first
    wait_for_listings()
    assert newest(leafed) == second
    third = leafed.happen(run, later=OLDEST)
    assert newest(leafed) == third  # too old to be shown at all
    wait_for_listings()


def test_listing_is_made_anew_for_who_acted(leafed: Leafed) -> None:
    run = stream_of(leafed, "run-a")
    leafed.happen(run)
    newest(leafed)
    second = leafed.happen(run, later=timedelta(milliseconds=1))
    leafed.pages.forget_recent()
    assert newest(leafed) == second


def test_listing_that_fails_meanwhile_leaves_the_old_one(
    leafed: Leafed, caplog: pytest.LogCaptureFixture
) -> None:
    first = leafed.happen(stream_of(leafed, "run-a"))
    newest(leafed)
    leafed.clock.advance(seconds=10)
    leafed.pages.listed(LEDGER_DAY)
    wait_for_listings()
    leafed.clock.advance(seconds=10)
    leafed.store.go_away()
    leafed.pages.listed(leafed.clock().date())
    wait_for_listings()
    leafed.store.come_back()
    assert "could not be listed" in caplog.text
    assert newest(leafed) == first
    wait_for_listings()


def test_page_reads_what_it_shows(leafed: Leafed) -> None:
    for day in range(5):
        run = stream_of(leafed, f"run-{day}")
        for _ in range(20):
            leafed.happen(run)
        leafed.happen(run, later=timedelta(days=1))
    seen: list[str] = []
    read = leafed.store.read

    def counted(bucket: str, key: str, *, version_id: str | None = None) -> object:
        seen.append(key)
        return read(bucket, key, version_id=version_id)

    leafed.store.read = counted  # type: ignore[method-assign,assignment]
    leafed.pages.page(Sought(), size=10)
    assert len(seen) == 10


def test_what_is_no_event_is_shown_as_such(leafed: Leafed) -> None:
    run = stream_of(leafed, "run-a")
    leafed.happen(run)
    leafed.store.put_new(BUCKET, f"{PREFIX}2040/01/02/run-a/000002.json", b"{}")
    page = leafed.pages.page(Sought())
    assert sorted(each.event is None for each in page.found) == [False, True]


@pytest.mark.parametrize(
    "mark", ["soon", "2040-01-02T09:00:00", "2040-01-02T09:00:00+00:00~../secrets", "~", "9999"]
)
def test_made_up_place_is_refused(leafed: Leafed, mark: str) -> None:
    with pytest.raises(AuditError):
        leafed.pages.page(Sought(), before=mark)


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 200_000), st.booleans()),
        min_size=1,
        max_size=30,
    ),
    st.integers(1, 8),
)
def test_pages_of_any_trail_hold_everything_once(
    steps: list[tuple[int, int, bool]], size: int
) -> None:
    clock = FakeClock(datetime(2040, 1, 2, 9, tzinfo=UTC))
    store = MemoryObjectStore(clock=clock)
    store.create_bucket(BUCKET)
    opened: dict[int, date] = {}
    places: dict[str, int] = {}
    keys = []
    for name, seconds, in_ledger in steps:
        clock.advance(seconds=seconds)
        today = clock().date()
        day = opened.setdefault(name, today)
        if today - day >= timedelta(days=8):  # a run does not last longer
            day = opened[name] = today
        folder = "1970/01/01" if in_ledger else f"{day:%Y/%m/%d}"
        stream = f"{folder}/s{name}"
        places[stream] = places.get(stream, 0) + 1
        key = f"{PREFIX}{stream}/{places[stream]:06d}.json"
        store.put_new(BUCKET, key, b"{}")
        keys.append((clock(), key))
    pages = TrailPages(store, bucket=BUCKET, prefix=PREFIX, clock=clock)
    found: list[str] = []
    before = ""
    while True:
        page = pages.page(Sought(), before=before, size=size)
        found += [each.key for each in page.found]
        if page.earlier is None:
            break
        before = page.earlier
    assert found == [key for _, key in sorted(keys, reverse=True)]
