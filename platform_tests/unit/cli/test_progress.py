"""What a person sees while a pipeline works."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from interlock.cli.progress import (
    PREPARE,
    STEPS,
    LiveProgress,
    PlainProgress,
    Watcher,
    progress_on,
)


class Seconds:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


def console(*, terminal: bool, width: int = 80) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=width, no_color=True)


def text_of(shown: Console) -> str:
    assert isinstance(shown.file, io.StringIO)
    return shown.file.getvalue()


def work(watcher: Watcher, seconds: Seconds) -> None:
    watcher.began(PREPARE)
    seconds.now += 1.5
    watcher.ended(PREPARE, well=True)
    watcher.began("raw_data")
    watcher.said("raw_data", "1,000 rows")
    seconds.now += 0.5
    watcher.ended("raw_data", well=True)
    watcher.began("trained_model")
    for done in range(1, 41):
        watcher.said("trained_model", f"xgboost: search {done}/40")
    watcher.said("trained_model", "random_forest: search 10/40")


def test_elsewhere_than_on_a_terminal_each_step_is_a_line(seconds: Seconds) -> None:
    shown = console(terminal=False)
    watcher = PlainProgress(shown, clock=seconds)
    work(watcher, seconds)
    seconds.now += 2
    watcher.ended("trained_model", well=False)
    assert text_of(shown).splitlines() == [
        "prepare: started",
        "prepare: done after 1.5 s",
        "raw_data: started",
        "raw_data: done after 0.5 s",
        "trained_model: started",
        "trained_model: xgboost searched, 40 fits",
        "trained_model: failed after 2.0 s",
    ]


@pytest.mark.parametrize("width", [80, 100, 120])
def test_display_shows_steps_seconds_and_fits(seconds: Seconds, width: int) -> None:
    display = LiveProgress(clock=seconds)
    work(display, seconds)
    seconds.now += 12.3
    shown = console(terminal=False, width=width)
    shown.print(display)
    lines = [line.rstrip() for line in text_of(shown).splitlines()]
    assert all(len(line) <= width for line in lines)
    by_name = {name: line for line in lines for name in (PREPARE, *STEPS) if name in line}
    assert by_name[PREPARE].split() == ["✓", "prepare", "1.5", "s"]
    assert by_name["raw_data"].split() == ["✓", "raw_data", "0.5", "s"]
    assert by_name["validated_data"].split() == ["·", "validated_data"]
    assert by_name["trained_model"].split()[1:] == ["trained_model", "12.3", "s", "searching"]
    assert any("xgboost" in line and "40/40 fits" in line for line in lines)
    assert any("random_forest" in line and "10/40 fits" in line for line in lines)


def test_display_shows_what_failed_and_keeps_no_bars_of_it(seconds: Seconds) -> None:
    display = LiveProgress(clock=seconds)
    work(display, seconds)
    display.ended("trained_model", well=False)
    shown = console(terminal=False)
    shown.print(display)
    assert "✗ trained_model" in " ".join(text_of(shown).split())
    assert "fits" not in text_of(shown)


def test_long_messages_are_cut_not_wrapped(seconds: Seconds) -> None:
    display = LiveProgress(clock=seconds)
    display.began("raw_data")
    display.said("raw_data", "a long story " * 20)
    shown = console(terminal=False)
    shown.print(display)
    assert len(text_of(shown).splitlines()) == 1 + len(STEPS)


def test_console_decides_which_one() -> None:
    with progress_on(console(terminal=False)) as plain:
        assert isinstance(plain, PlainProgress)
    screen = console(terminal=True)
    with progress_on(screen) as live:
        assert isinstance(live, LiveProgress)
        live.began(PREPARE)
    assert "prepare" in text_of(screen)


def test_steps_are_the_assets_of_a_product() -> None:
    from product_fixtures import tiny_product

    from interlock.components.model_product.assets import product_assets

    assert [asset.key.path[-1] for asset in product_assets(tiny_product())] == list(STEPS)
