"""The simulation behind docs/autoscaling.md obeys the laws of queues.

Engine and model are held against what is known without simulating: conservation, Little's law,
closed forms, and that more of anything never makes it worse.
"""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

BENCH = Path(__file__).resolve().parents[3] / "scripts/bench"
sys.path.insert(0, str(BENCH))

from scaling import PAGE, filled  # noqa: E402
from scaling_costs import rounded  # noqa: E402
from scaling_engine import Engine, Process, Station, TokenBucket  # noqa: E402
from scaling_inputs import Inputs, read_given  # noqa: E402
from scaling_model import (  # noqa: E402
    DUE,
    ENDED,
    LAUNCHED,
    QUEUED,
    SAMPLE,
    TAKEN,
    WORKING,
    Setting,
    largest_kept_up,
    simulate,
)
from scaling_plots import Curve, draw_rounds  # noqa: E402
from scaling_report import (  # noqa: E402
    calibrated,
    calibration_table,
    costs_table,
    inputs_table,
    recommended_table,
)

INPUTS = Inputs(
    tick_daemon=0.02,
    tick_wait=0.5,
    tick_server=0.1,
    look=0.02,
    look_per_queued=0.0001,
    look_per_active=0.0001,
    start_daemon=0.03,
    start_wait=0.7,
    task_start=(40.0, 60.0),
    imports=6.0,
    load_per_product=0.01,
    work=(12.0, 56.0),
    work_sigma=0.3,
    large_share=0.1,
    mlflow_requests=80,
    mlflow_seconds=0.01,
    mlflow_delay=120.0,
    database_seconds=1.0,
)

setting = st.builds(
    Setting,
    products=st.integers(1, 120),
    products_per_run=st.sampled_from([0, 1, 7]),
    spread=st.sampled_from([0.0, 600.0, 18_000.0]),
    deployments=st.integers(1, 3),
    code_locations=st.integers(1, 3),
    max_concurrent_runs=st.integers(1, 60),
    start_threads=st.integers(1, 16),
    tick_threads=st.integers(1, 8),
    mlflow_servers=st.sampled_from([(1, 1), (1, 4)]),
    start_rate=st.sampled_from([0.5, 20.0]),
    vcpu_quota=st.sampled_from([12.0, 64.0, math.inf]),
)


def queue_at(
    servers: int, arrivals: NDArray[np.float64], services: NDArray[np.float64]
) -> tuple[Station, NDArray[np.float64], float]:
    """A station, how long each of its customers was there in all, and when the last one left."""
    engine = Engine()
    station = Station(engine, servers)
    stays = np.zeros(len(arrivals))

    def customer(number: int) -> Process:
        yield station
        yield float(services[number])
        station.leave()
        stays[number] = engine.now - arrivals[number]

    for number, moment in enumerate(arrivals):
        engine.start(customer(number), at=float(moment))
    engine.run()
    return station, stays, engine.now


def erlang_c(servers: int, load: float) -> float:
    """The share of customers who wait, M/M/c, load in erlang (Kleinrock 1975, eq. 3.40)."""
    last = load**servers / math.factorial(servers) * servers / (servers - load)
    return last / (sum(load**k / math.factorial(k) for k in range(servers)) + last)


@pytest.mark.parametrize(("servers", "load"), [(1, 0.7), (4, 3.0)])
def test_exponential_service_waits_as_long_as_erlang_says(servers: int, load: float) -> None:
    rng = np.random.default_rng(3)
    count = 60_000
    arrivals = np.cumsum(rng.exponential(1 / load, count))
    station, _, _ = queue_at(servers, arrivals, rng.exponential(1.0, count))

    expected = erlang_c(servers, load) / (servers - load)
    assert station.waiting_area() / count == pytest.approx(expected, rel=0.08)


def test_constant_service_waits_as_long_as_pollaczek_and_khinchine_say() -> None:
    rng = np.random.default_rng(4)
    count, load = 60_000, 0.8
    arrivals = np.cumsum(rng.exponential(1 / load, count))
    station, _, _ = queue_at(1, arrivals, np.ones(count))

    assert station.waiting_area() / count == pytest.approx(load / (2 * (1 - load)), rel=0.08)


@settings(max_examples=40, deadline=None)
@given(servers=st.integers(1, 5), seed=st.integers(0, 999))
def test_who_is_there_equals_rate_times_stay(servers: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = 300
    arrivals = np.cumsum(rng.exponential(0.4, count))
    station, stays, end = queue_at(servers, arrivals, rng.exponential(1.0, count))

    there = (station.waiting_area() + station.busy_area()) / end
    assert there == pytest.approx(count / end * stays.mean(), rel=1e-9)
    assert station.served == station.arrived == count
    assert station.busy == station.waiting == 0


def test_first_come_is_first_served() -> None:
    engine = Engine()
    station, order = Station(engine, 1), list[int]()

    def customer(number: int) -> Process:
        yield station
        order.append(number)
        yield 5.0
        station.leave()

    for number in range(20):
        engine.start(customer(number), at=number / 10)
    engine.run()

    assert order == list(range(20))
    assert station.longest == 19


def test_a_process_cannot_start_in_the_past() -> None:
    engine = Engine()
    engine.run(until=10.0)

    with pytest.raises(ValueError, match="before 10"):
        engine.start(iter(()), at=9.0)  # type: ignore[arg-type]


@settings(max_examples=60, deadline=None)
@given(
    gaps=st.lists(st.floats(0, 3), min_size=1, max_size=80),
    rate=st.floats(0.2, 20),
    burst=st.integers(1, 30),
)
def test_no_window_sees_more_tokens_than_burst_and_refill(
    gaps: list[float], rate: float, burst: int
) -> None:
    bucket = TokenBucket(rate, burst)
    asked = np.cumsum(gaps)
    given_out = np.array([moment + bucket.take(float(moment)) for moment in asked])

    assert np.all(np.diff(given_out) >= -1e-9)
    for first in range(len(given_out)):
        counts = np.arange(1, len(given_out) - first + 1)
        assert np.all(counts <= burst + rate * (given_out[first:] - given_out[first]) + 1e-6)


@settings(max_examples=60, deadline=None)
@given(chosen=setting)
def test_every_run_ends_once_or_is_refused(chosen: Setting) -> None:
    found = simulate(INPUTS, chosen)

    assert found.ended + found.refused + found.stopped == chosen.runs == len(found.moments)
    order = [DUE, QUEUED, TAKEN, LAUNCHED, WORKING, ENDED]
    done = found.moments[np.isfinite(found.moments[:, ENDED])][:, order]
    assert np.all(np.diff(done, axis=1) >= 0)
    assert found.peak_active <= chosen.max_concurrent_runs
    assert found.peak_working <= found.peak_active
    assert found.timeline[-1, 1:].tolist() == [0, 0, 0]
    if chosen.vcpu_quota == math.inf:
        assert found.refused == 0


@settings(max_examples=30, deadline=None)
@given(chosen=setting)
def test_runs_under_way_obey_littles_law(chosen: Setting) -> None:
    found = simulate(INPUTS, replace(chosen, vcpu_quota=math.inf))

    stays = found.moments[:, ENDED] - found.moments[:, TAKEN]
    seen = found.timeline[:, 2].sum() * SAMPLE
    # The timeline looks from time to time, so each run is over- or underrated by less than that.
    assert abs(seen - stays.sum()) <= SAMPLE * len(stays)


@settings(max_examples=25, deadline=None)
@given(chosen=setting, seed=st.integers(0, 99))
def test_the_same_seed_tells_the_same_story(chosen: Setting, seed: int) -> None:
    once, twice = (simulate(INPUTS, chosen, seed=seed) for _ in range(2))

    np.testing.assert_array_equal(once.moments, twice.moments)
    np.testing.assert_array_equal(once.timeline, twice.timeline)


def test_another_seed_tells_another_story() -> None:
    chosen = Setting(products=40)

    assert simulate(INPUTS, chosen, seed=1).seconds != simulate(INPUTS, chosen, seed=2).seconds


def test_more_places_never_take_longer() -> None:
    taken = [
        simulate(INPUTS, Setting(products=300, max_concurrent_runs=places)).seconds
        for places in (2, 5, 10, 50, 200)
    ]

    assert taken == sorted(taken, reverse=True)


def test_more_products_never_take_less() -> None:
    taken = [simulate(INPUTS, Setting(products=number)).seconds for number in (1, 10, 100, 1000)]

    assert taken == sorted(taken)


def test_a_slower_start_rate_takes_longer() -> None:
    chosen = Setting(products=400, max_concurrent_runs=400, start_threads=16)
    fast, slow = simulate(INPUTS, chosen), simulate(INPUTS, replace(chosen, start_rate=0.5))

    assert slow.seconds > fast.seconds
    assert slow.seconds >= 400 / 0.5 - 20 / 0.5


def test_one_run_for_all_takes_the_sum_of_its_products() -> None:
    found = simulate(replace(INPUTS, work_sigma=0, large_share=0), Setting(50, products_per_run=0))

    assert len(found.moments) == 1
    asked = INPUTS.mlflow_requests * INPUTS.mlflow_seconds + INPUTS.database_seconds
    assert found.between(WORKING, ENDED) == pytest.approx(50 * (INPUTS.work[0] + asked))


def test_one_run_for_too_many_is_stopped() -> None:
    found = simulate(INPUTS, Setting(2_000, products_per_run=0))

    assert (found.ended, found.stopped) == (0, 1)
    assert not found.keeps_up


def test_a_small_database_holds_everything_up() -> None:
    busy = replace(INPUTS, database_seconds=10.0)
    chosen = Setting(200, max_concurrent_runs=100, start_threads=16)
    large, small = (simulate(busy, replace(chosen, database_cores=cores)) for cores in (64, 1))

    assert small.seconds > large.seconds
    assert small.seconds >= 200 * busy.database_seconds


def test_a_quota_refuses_what_does_not_fit() -> None:
    chosen = Setting(30, max_concurrent_runs=30, vcpu_quota=20, vcpu_per_run=2, vcpu_services=8)

    assert simulate(INPUTS, chosen).refused > 0
    assert simulate(INPUTS, replace(chosen, max_concurrent_runs=6)).refused == 0


def test_mlflow_grows_under_load_and_waits_become_shorter() -> None:
    busy = replace(INPUTS, mlflow_seconds=0.1)
    chosen = Setting(600, max_concurrent_runs=60, start_threads=16)
    one, many = (
        simulate(busy, replace(chosen, mlflow_servers=servers)) for servers in ((1, 1), (1, 8))
    )

    assert one.mlflow_servers == 1
    assert many.mlflow_servers > 1
    assert many.mlflow_waited < one.mlflow_waited
    assert many.seconds < one.seconds


def test_an_interrupted_round_does_not_keep_up() -> None:
    found = simulate(INPUTS, Setting(products=50), until=120.0)

    assert not found.keeps_up
    assert found.ended < 50


def test_the_limit_is_where_rounds_stop_to_keep_up() -> None:
    chosen = Setting(products=1, max_concurrent_runs=2)
    limit = largest_kept_up(INPUTS, lambda products: replace(chosen, products=products))

    assert simulate(INPUTS, replace(chosen, products=limit)).keeps_up
    assert not simulate(INPUTS, replace(chosen, products=int(limit * 1.06))).keeps_up
    # Two places, some 80 s each: the closed form without waits for the next look.
    mean = 50 + 6 + INPUTS.load_per_product * limit + 0.9 * 12.6 + 0.1 * 58.6 + 0.8 + 1
    assert limit == pytest.approx(2 * 21_600 / mean, rel=0.1)


def test_the_page_tells_what_the_inputs_say() -> None:
    given, page = read_given(), PAGE.read_text()
    parts = {
        "inputs": inputs_table(given),
        "calibration": calibration_table(given),
        "recommended": recommended_table(given),
        "costs": costs_table(given),
    }

    assert filled(page, parts) == page, "run `make bench-scaling`"


def test_a_page_without_a_place_for_a_table_is_refused() -> None:
    with pytest.raises(ValueError, match="begin: costs"):
        filled("# A page\n", {"costs": "| a |"})


def test_a_figure_of_unknown_origin_is_refused(tmp_path: Path) -> None:
    changed = tmp_path / "inputs.yaml"
    changed.write_text((BENCH / "scaling_inputs.yaml").read_text().replace("assumed", "guessed"))

    with pytest.raises(ValueError, match="guessed"):
        read_given(changed)


def test_every_simulated_start_rate_is_near_the_measured_one() -> None:
    for case, simulated in calibrated(read_given()):
        assert 0.7 <= simulated / case["seconds"] <= 1.3


def test_pictures_are_the_same_bytes_each_time(tmp_path: Path) -> None:
    curves = [Curve("one", [3.0, 300.0], [0.1, 2.0])]
    once, twice = (
        draw_rounds(tmp_path / name, curves, period_hours=6.0) for name in ("once", "twice")
    )

    assert [each.read_bytes() for each in once] == [each.read_bytes() for each in twice]
    assert b"<text" not in once[0].read_bytes()


@pytest.mark.parametrize(("dollars", "text"), [(0.4, "< 1"), (9.4, "9"), (1234.0, "1,200")])
def test_costs_have_two_digits(dollars: float, text: str) -> None:
    assert rounded(dollars) == text
