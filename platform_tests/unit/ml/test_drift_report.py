"""Reports for people: what stands where, what is never shown, and that nothing is fetched."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from html import unescape
from html.parser import HTMLParser
from typing import Any

import numpy as np
import polars as pl
import pytest

from interlock.ml.column_profiles import CategoryProfile
from interlock.ml.distribution_shapes import Histogram, Shape, ValueShares, medians, shape_of
from interlock.ml.drift_document import drift_sentence
from interlock.ml.drift_limits import ColumnLimits, DriftLimits
from interlock.ml.drift_report import MAX_PICTURES, render_drift_report
from interlock.ml.evaluation import CostMatrix
from interlock.ml.performance import measure_performance
from interlock.ml.performance_limit import PerformanceSettings
from interlock.ml.performance_page import render_performance_report
from interlock.ml.performance_reference import measure_reference
from interlock.ml.performance_report import PerformanceReport
from interlock.ml.profile_plan import ColumnRole
from interlock.ml.profiles import TableProfile, profile_reference, profile_table
from interlock.ml.verdict import Outcome, judge

HOSTILE = '<script>alert("x")</script>&\'"'
FACTS = {"checked": "2026-11-21 18:04 UTC", "data": HOSTILE}
VOID = {"meta", "br", "hr"}


class Read(HTMLParser):
    """What a browser would make of a document; refuses tags that do not nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data


def table(rows: int, *, seed: int, moved: float = 0.0, **more: Any) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "calm": rng.normal(size=rows),
            HOSTILE: rng.normal(moved, 1, rows),
            "steps": rng.integers(0, 4, rows),
            "region": rng.choice(["north", "south", HOSTILE], rows),
            "score": rng.beta(2, 5, rows) * (1 - moved / 4) + moved / 8,
            **more,
        }
    )


REFERENCE = profile_reference(
    table(3_000, seed=1), roles={"score": ColumnRole.PREDICTION}, pairs=[("calm", "region")]
)


def rendered(rows: pl.DataFrame, **options: Any) -> str:
    current = profile_table(rows, REFERENCE.plan)
    return render_drift_report(
        judge(REFERENCE, current),
        title=f"credit against {HOSTILE}",
        facts=FACTS,
        reference=REFERENCE,
        current=current,
        **options,
    )


@pytest.mark.parametrize("moved", [0.0, 1.0])
def test_a_report_is_one_file_that_fetches_and_runs_nothing(moved: float) -> None:
    text = rendered(table(2_000, seed=2, moved=moved))
    found = Read(text)
    assert {"script", "link", "img", "iframe", "object"} & set(found.seen) == set()
    assert "://" not in text
    assert "@import" not in text
    assert "url(" not in text
    assert not any(
        name.startswith("on") or name in {"src", "action"} for name, _ in found.attributes
    )
    assert all(
        value and value.startswith("#") for name, value in found.attributes if name == "href"
    )
    assert "default-src 'none'" in text


def test_what_data_supplies_is_text_wherever_it_stands() -> None:
    text = rendered(table(2_000, seed=2, moved=1.0).with_columns(region=pl.lit(HOSTILE + "new")))
    assert "<script" not in text
    found = Read(text).text
    assert f"credit against {HOSTILE}" in found
    assert f"New: “{HOSTILE}new”" in found


def test_the_verdict_stands_first_and_says_what_to_do() -> None:
    found = Read(rendered(table(2_000, seed=2, moved=1.0))).text
    top = found[: found.index("Everything that was judged")]
    assert "Drift of" in top
    assert "2,000 rows against 3,000" in top
    assert "The model's scores have moved too" in top
    assert "Ask first whether the source changed" in top
    calm = Read(rendered(table(2_000, seed=2))).text
    assert "No drift (2,000 rows against 3,000)." in calm
    assert "Nothing is to be done." in calm
    few = Read(rendered(table(5, seed=2))).text
    assert "Not enough data for a verdict" in few
    assert "neither good nor bad" in few


def test_drifted_columns_stand_first_with_value_limit_and_corrected_p() -> None:
    text = rendered(table(2_000, seed=2, moved=1.0))
    headings = re.findall(r"<h3>(.*?)</h3>", text)
    assert headings.index("score") < headings.index("calm")
    assert headings.index("&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;&amp;&#x27;&quot;") <= 1
    found = Read(text).text
    assert re.search(r"KS0\.\d+0\.1< 1e-6", found)
    assert "after correction (Holm) for" in found
    assert REFERENCE.plan.digest in found
    assert "2026-11-21 18:04 UTC" in found


def test_headline_sentence_and_chapters_name_what_drifted_in_one_order() -> None:
    rows = table(2_000, seed=2, moved=1.0).with_columns(pl.col("calm") + 3)
    verdict = judge(REFERENCE, profile_table(rows, REFERENCE.plan))
    severities = [each.severity for each in verdict.everything if each.name in verdict.drifted]
    assert len(severities) >= 3
    assert severities == sorted(severities, reverse=True)
    assert drift_sentence(verdict).startswith(f"drift of {verdict.drifted[0]}, ")
    text = rendered(rows)
    headings = [unescape(each) for each in re.findall(r"<h3>(.*?)</h3>", text)]
    chapters = [each for each in verdict.drifted if each in rows.columns]  # pairs have their own
    assert headings[: len(chapters)] == chapters
    assert f"Most changed: {verdict.drifted[0]}." in Read(text).text


def test_tables_have_headings_and_pictures_have_titles() -> None:
    found = Read(rendered(table(2_000, seed=2, moved=1.0)))
    assert found.seen.count("svg") == found.seen.count("title") - 1 == 5
    assert found.attributes.count(("role", "img")) == 5
    assert ("scope", "row") in found.attributes
    assert ("scope", "col") in found.attributes
    ids = [value for name, value in found.attributes if name == "id"]
    assert len(ids) == len(set(ids))


def test_withheld_columns_show_figures_and_no_value() -> None:
    rows = table(2_000, seed=2).with_columns(region=pl.lit("elsewhere"))
    assert "elsewhere" in rendered(rows)
    text = rendered(rows, withheld=["region"])
    assert "elsewhere" not in text
    assert "north" not in text
    assert "Values of this column are not shown." in text
    assert "new categories" in text


def test_missing_and_infinite_values_are_told() -> None:
    rows = table(2_000, seed=2).with_columns(
        calm=pl.when(pl.int_range(pl.len()) % 4 == 0).then(None).otherwise(pl.col("calm")),
        score=pl.when(pl.int_range(pl.len()) % 4 == 0).then(np.inf).otherwise(pl.col("score")),
    )
    found = Read(rendered(rows)).text
    assert "Missing 0 % → 25.0 %." in found
    assert "Infinite rows 0 → 500." in found


def test_scores_that_the_reference_does_not_have_are_no_news() -> None:
    rows = table(2_000, seed=2)
    held = rows.with_columns(
        score=pl.when(pl.int_range(pl.len()) % 5 == 0).then("score")  # the holdout's alone
    )
    before = profile_reference(held, roles={"score": ColumnRole.PREDICTION})
    after = profile_table(rows, before.plan)
    limits = DriftLimits(columns={"score": ColumnLimits(missing=None)})
    found = judge(before, after, limits)
    text = render_drift_report(found, title="x", facts={}, reference=before, current=after)
    assert "80.0 %" not in text
    assert "No drift" in text


def test_columns_without_any_value_and_tables_without_rows_are_shown_too() -> None:
    rows = table(200, seed=2).with_columns(calm=pl.lit(None, dtype=pl.Float64))
    assert "There is nothing to draw" in rendered(rows)
    Read(rendered(rows.head(1)))
    Read(rendered(rows.head(0)))


def test_of_very_many_columns_the_worst_alone_get_a_picture() -> None:
    rng = np.random.default_rng(1)
    wide = {f"x{place}": rng.normal(size=300) for place in range(MAX_PICTURES + 20)}
    before = profile_reference(pl.DataFrame(wide))
    after = profile_table(pl.DataFrame(wide | {"x210": rng.normal(3, 1, 300)}), before.plan)
    text = render_drift_report(
        judge(before, after), title="wide", facts={}, reference=before, current=after
    )
    assert text.count("<svg") == MAX_PICTURES
    assert text.index("<h3>x210</h3>") < text.index("<h3>x0</h3>")
    assert "The 20 least changed columns are in the table alone." in text
    assert len(text) < 5_000 * MAX_PICTURES


def drawn(before: pl.Series, after: pl.Series) -> Shape | None:
    profile = profile_reference(before.to_frame("x"))
    other = profile_table(after.to_frame("x"), profile.plan)
    found = shape_of(profile.plan.column("x"), profile.columns["x"], other.columns["x"])
    if found is not None:
        for side in (found.reference, found.current):
            assert sum(side) == pytest.approx(1)
            assert min(side) >= 0
    return found


def test_shapes_follow_the_rows_wherever_they_lie() -> None:
    rng = np.random.default_rng(1)
    before = pl.Series(rng.normal(size=5_000))
    near, far = drawn(before, before), drawn(before, before + 50)
    assert isinstance(near, Histogram)
    assert near.reference == near.current
    assert isinstance(far, Histogram)
    # Beyond the reference's grid the sketch says where the rows are: far right, not spread.
    assert sum(far.current[:25]) < 0.05
    assert sum(far.reference[:6]) > 0.95


def test_few_numbers_are_drawn_one_by_one() -> None:
    found = drawn(pl.Series([0, 1, 1, 3] * 50), pl.Series([0, 1, 3, 7] * 50))
    assert isinstance(found, ValueShares)
    assert found.names == ("0", "1", "3", "all other values")
    assert found.reference == (0.25, 0.5, 0.25, 0)
    assert found.current == (0.25, 0.25, 0.25, 0.25)
    assert isinstance(drawn(pl.Series([5.0] * 40), pl.Series([5.0] * 40)), ValueShares)


def test_many_categories_end_in_one_bar_for_the_rest() -> None:
    names = pl.Series([f"c{place % 40}" for place in range(4_000)])
    found = drawn(names, names)
    assert isinstance(found, ValueShares)
    assert found.names[-1] == "29 other values"
    assert found.others == 29


def test_inexact_counts_are_never_drawn_as_all_there_is() -> None:
    profile = profile_reference(pl.DataFrame({"x": ["a", "b"] * 40}))
    inexact = CategoryProfile(80, 0, np.array([30, 30]), {"c": 5}, error=4)
    found = shape_of(profile.plan.column("x"), profile.columns["x"], inexact)
    assert isinstance(found, ValueShares)
    assert found.names[-1] == "all other values"


def test_dates_and_times_read_as_such() -> None:
    days = pl.Series([date(2026, 11, 1) + timedelta(days=place % 20) for place in range(200)])
    instants = pl.Series(
        [datetime(2026, 11, 21, 12, tzinfo=UTC) + timedelta(minutes=place) for place in range(200)]
    )
    for values, words in ((days, "2026-11-10"), (instants, "2026-11-21 13:39 UTC")):
        profile = profile_reference(values.to_frame("x"))
        side = profile.columns["x"]
        found = medians(profile.plan.column("x"), side, side)
        assert found is not None
        assert found[0] == words


def performance(days: int) -> PerformanceReport:
    rng = np.random.default_rng(3)
    rows = 800 * days
    score = rng.beta(1.2, 1.8, rows)
    start = datetime(2026, 11, 16, tzinfo=UTC)
    found = pl.DataFrame(
        {
            "time": [start + timedelta(days=index // 800, seconds=index) for index in range(rows)],
            "score": score,
            "predicted": score >= 0.5,
            "outcome": rng.random(rows) < np.where(np.arange(rows) >= 800, 0.5, score),
            "region": rng.choice(["north", HOSTILE], rows),
        },
        schema_overrides={"time": pl.Datetime("us", "UTC"), "outcome": pl.Boolean},
    )
    first = found.head(800)
    reference = measure_reference(
        first["outcome"].to_numpy(),
        first["score"].to_numpy(),
        first["predicted"].to_numpy(),
        first,
        cost=CostMatrix(),
        segments=["region"],
    )
    return measure_performance(found, settings=PerformanceSettings(), reference=reference)


def test_windows_of_performance_are_drawn_with_interval_and_limit() -> None:
    report = performance(2)
    text = render_performance_report(
        report, title=HOSTILE, facts=FACTS, findings=[f"3 labels came twice {HOSTILE}"]
    )
    found = Read(text)
    assert "<script" not in text
    assert text.index('class="verdict bad"') < text.index("Performance over time")
    assert text.count("<circle") == 2 * found.seen.count("svg") > 0
    assert 'class="lim"' in text
    assert 'class="dot bad"' in text
    assert text.index("<h2>2026-11-17</h2>") < text.index("<h2>2026-11-16</h2>")
    assert "beyond limit" in found.text
    ids = [value for name, value in found.attributes if name == "id"]
    assert len(ids) == len(set(ids))


def test_the_profiles_of_a_report_are_left_as_they_were() -> None:
    current = profile_table(table(500, seed=2), REFERENCE.plan)
    before: TableProfile = profile_table(table(500, seed=2), REFERENCE.plan)
    verdict = judge(REFERENCE, current)
    assert verdict.outcome is Outcome.NO_DRIFT
    first, second = (
        render_drift_report(verdict, title="x", facts={}, reference=REFERENCE, current=current)
        for _ in range(2)
    )
    assert first == second
    assert current == before
