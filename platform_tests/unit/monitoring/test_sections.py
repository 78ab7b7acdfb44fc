from __future__ import annotations

import threading

import pytest

from interlock.errors import MonitoringError
from monitoring.sections import Loop, Section, poll_once, run_until


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Source:
    """A source that can be taken away."""

    def __init__(self) -> None:
        self.value: int | None = 1
        self.reads = 0

    def __call__(self) -> int:
        self.reads += 1
        if self.value is None:
            raise MonitoringError("it is away", remedy="wait")
        return self.value


def section_of(source: Source, clock: Clock) -> Section[int]:
    return Section("runs", source, max_age=60, clock=clock)


def test_nothing_is_known_before_the_first_reading() -> None:
    section = section_of(Source(), Clock())
    assert (section.value, section.up, section.age) == (None, None, None)


def test_a_value_outlives_a_failed_reading_and_then_disappears(
    caplog: pytest.LogCaptureFixture,
) -> None:
    source, clock = Source(), Clock()
    section = section_of(source, clock)
    poll_once([section])
    assert (section.value, section.up, section.age) == (1, True, 0)
    source.value = None
    clock.now += 60
    poll_once([section, section])
    assert (section.value, section.up, section.age) == (1, False, 60)
    clock.now += 1
    assert (section.value, section.up, section.age) == (None, False, 61)
    source.value = 2
    with caplog.at_level("INFO"):
        section.poll()
    assert (section.value, section.up, section.age) == (2, True, 0)
    told = [record.getMessage() for record in caplog.records]
    assert told == ["runs cannot be read: it is away; wait", "runs can be read again"]


def test_loops_are_read_until_stopped() -> None:
    stop = threading.Event()
    source = Source()

    def last() -> int:
        if source.reads >= 3:
            stop.set()
        return 0

    clock = Clock()
    ends = Section("ends", last, max_age=60, clock=clock)
    run_until(stop, [Loop((section_of(source, clock), ends), interval=0.001)])
    assert source.reads >= 3


def test_a_mistake_in_a_reader_ends_the_process() -> None:
    def broken() -> int:
        raise ZeroDivisionError

    stop = threading.Event()
    section = Section("runs", broken, max_age=60, clock=Clock())
    with pytest.raises(ZeroDivisionError):
        run_until(stop, [Loop((section,), interval=0.001)])
    assert stop.is_set()
