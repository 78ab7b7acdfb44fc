from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import jensenshannon

from interlock.ml import distances
from interlock.ml.dependence import DependenceShift, dependence_shift
from interlock.ml.drift_limits import Correction
from interlock.ml.joint_profiles import Comoments
from interlock.ml.verdict import correct

Counts = npt.NDArray[np.int64]
TALLIES = st.lists(st.integers(0, 10_000), min_size=1, max_size=30).filter(
    lambda rows: sum(rows) > 0
)


def counts(*rows: int) -> Counts:
    return np.array(rows, dtype=np.int64)


def binned(values: npt.NDArray[np.float64], edges: npt.NDArray[np.float64]) -> Counts:
    places = np.searchsorted(edges, values)
    return np.bincount(places, minlength=len(edges) + 1).astype(np.int64)


@given(TALLIES)
def test_a_tally_has_no_distance_from_itself(rows: list[int]) -> None:
    tally = counts(*rows)
    found = distances.kolmogorov_smirnov(tally, tally)
    assert (found.statistic, found.p_value) == (0, 1)
    assert distances.population_stability_index(tally, tally) == 0
    assert distances.jensen_shannon(tally, tally) == pytest.approx(0, abs=1e-7)
    assert distances.total_variation(tally, tally) == 0


@given(st.data())
def test_distances_know_no_direction_and_keep_their_range(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 20))
    rows = st.lists(st.integers(0, 10_000), min_size=size, max_size=size).filter(any)
    one, two = (np.array(data.draw(rows), dtype=np.int64) for _ in range(2))
    for measure in (
        lambda a, b: distances.kolmogorov_smirnov(a, b).statistic,
        distances.jensen_shannon,
        distances.total_variation,
    ):
        assert measure(one, two) == pytest.approx(measure(two, one), abs=1e-9)
        assert 0 <= measure(one, two) <= 1 + 1e-12
    assert distances.population_stability_index(one, two) >= 0
    ks = distances.kolmogorov_smirnov(one, two)
    assert ks.statistic <= ks.upper <= 1 + 1e-12
    # What changed its bin also bounds how far the cumulative distributions are apart.
    assert ks.statistic <= distances.total_variation(one, two) + 1e-12


@pytest.mark.parametrize("seed", range(4))
def test_ks_is_scipys_within_its_bound(seed: int) -> None:
    rng = np.random.default_rng(seed)
    before = rng.normal(size=4_000).round(seed)
    after = rng.normal(0.05 * seed, 1.1, size=3_000).round(seed)
    edges = np.unique(np.quantile(before, np.linspace(0, 1, 101)[1:-1]))
    found = distances.kolmogorov_smirnov(binned(before, edges), binned(after, edges))
    exact = stats.ks_2samp(before, after, method="asymp").statistic
    assert found.statistic <= exact + 1e-12
    assert exact <= found.upper + 1e-12
    shares = [binned(side, edges) / len(side) for side in (before, after)]
    assert found.upper - found.statistic <= max(share.max() for share in shares) + 1e-12


def test_ks_hides_nothing_in_a_bin_of_one_value() -> None:
    before, after = counts(10, 80, 10), counts(20, 70, 10)
    open_bins = distances.kolmogorov_smirnov(before, after)
    single = np.array([False, True, False])
    alone = distances.kolmogorov_smirnov(before, after, single=single)
    assert open_bins.upper > alone.upper == pytest.approx(0.2)


def test_ks_p_value_is_scipys() -> None:
    before, after = np.arange(400.0), np.arange(400.0) * 1.1
    edges = np.arange(440.0)
    found = distances.kolmogorov_smirnov(binned(before, edges), binned(after, edges))
    exact = stats.ks_2samp(before, after, method="asymp")
    assert found.p_value == pytest.approx(exact.pvalue, rel=0.1)


def test_psi_of_known_shares() -> None:
    before, after = counts(500_000, 500_000), counts(250_000, 750_000)
    expected = 0.25 * np.log(1.5) - 0.25 * np.log(0.5)
    assert distances.population_stability_index(before, after) == pytest.approx(expected, rel=1e-4)


def test_jensen_shannon_is_scipys() -> None:
    before, after = counts(1, 5, 0, 9), counts(4, 4, 3, 0)
    expected = jensenshannon(before, after, base=2)
    assert distances.jensen_shannon(before, after) == pytest.approx(expected)
    assert distances.jensen_shannon(counts(1, 0), counts(0, 1)) == pytest.approx(1)


def test_total_variation_is_the_share_that_moved() -> None:
    assert distances.total_variation(counts(6, 4), counts(3, 7)) == pytest.approx(0.3)


def test_wasserstein_is_scipys() -> None:
    rng = np.random.default_rng(8)
    before, after = rng.normal(size=20_000), rng.normal(0.4, 1.3, size=20_000)
    edges = np.quantile(before, np.linspace(0, 1, 257)[1:-1])
    beyond = tuple(
        (
            float(np.maximum(edges[0] - side, 0).mean()),
            float(np.maximum(side - edges[-1], 0).mean()),
        )
        for side in (before, after)
    )
    found = distances.scaled_wasserstein(
        binned(before, edges),
        binned(after, edges),
        edges=edges,
        beyond=(beyond[0], beyond[1]),
        deviation=float(before.std()),
    )
    expected = stats.wasserstein_distance(before, after) / before.std()
    assert found == pytest.approx(expected, rel=0.01)


def test_wasserstein_takes_crossing_lines_apart() -> None:
    found = distances.scaled_wasserstein(
        counts(60, 0, 40),
        counts(40, 40, 20),
        edges=np.array([0.0, 1.0]),
        beyond=((0, 0), (0, 0)),
        deviation=2.0,
    )
    assert found == pytest.approx((0.2**2 + 0.2**2) / (2 * 0.4) / 2)


def test_chi_square_is_scipys() -> None:
    before, after = counts(100, 200, 50), counts(90, 260, 70)
    found = distances.chi_square(before, after)
    expected = stats.chi2_contingency([before, after], correction=False)
    assert found is not None
    assert found.statistic == pytest.approx(expected.statistic)
    assert found.p_value == pytest.approx(expected.pvalue)


def test_chi_square_puts_rare_bins_together() -> None:
    before, after = counts(500, 500, 3, 4, 3), counts(500, 500, 4, 3, 3)
    found = distances.chi_square(before, after)
    expected = stats.chi2_contingency([[500, 500, 10], [500, 500, 10]])
    assert found is not None
    assert found.p_value == pytest.approx(expected.pvalue)
    few = distances.chi_square(counts(60, 40, 1), counts(50, 50, 1))
    joined = stats.chi2_contingency([[61, 40], [51, 50]], correction=False)
    assert few is not None
    assert few.p_value == pytest.approx(joined.pvalue)


def test_chi_square_of_one_bin_is_none() -> None:
    assert distances.chi_square(counts(50), counts(90)) is None
    assert distances.chi_square(counts(0, 0), counts(1, 1)) is None
    assert distances.chi_square(counts(2, 1), counts(1, 1)) is None


def shares_of(categories: int, share: float) -> npt.NDArray[np.float64]:
    """Shares of many categories, and of one more that holds so many of the rows."""
    rare = 1 / np.sqrt(np.arange(1, categories + 1))
    return np.append((1 - share) * rare / rare.sum(), share)


@pytest.mark.parametrize(
    ("categories", "rows", "moved"),
    [
        (1_000, 1_000, 0.06),
        (1_000, 1_000, 0.25),
        (100, 2_000, 0.06),
        (100, 2_000, 0.2),
        (4, 500, 0.12),
    ],
)
def test_noise_of_many_bins_is_no_distance(categories: int, rows: int, moved: float) -> None:
    rng = np.random.default_rng(5)
    before, after = shares_of(categories, 0.1), shares_of(categories, 0.1 + moved)
    drawn = [
        (
            rng.multinomial(50_000, before),
            rng.multinomial(rows, before),
            rng.multinomial(rows, after),
        )
        for _ in range(20)
    ]
    still = [distances.over_bins(reference, same) for reference, same, _ in drawn]
    found = [distances.over_bins(reference, other) for reference, _, other in drawn]
    psi = float(np.sum((after - before) * np.log(after / before)))
    assert np.mean([each.total_variation for each in still]) < 0.02
    assert np.mean([each.psi for each in still]) < 0.01
    assert np.mean([each.total_variation for each in found]) == pytest.approx(moved, abs=0.015)
    assert np.mean([each.psi for each in found]) == pytest.approx(psi, abs=0.02)


def test_few_bins_of_many_rows_keep_their_distances() -> None:
    before, after = counts(6_000, 3_000, 1_000), counts(5_000, 3_500, 1_500)
    found = distances.over_bins(before, after)
    assert found.psi == pytest.approx(distances.population_stability_index(before, after), rel=0.01)
    assert found.jensen_shannon == pytest.approx(distances.jensen_shannon(before, after), rel=0.01)
    assert found.total_variation == pytest.approx(0.1, rel=0.01)
    alone = distances.over_bins(counts(50), counts(90))
    assert (alone.psi, alone.jensen_shannon, alone.total_variation) == (0, 0, 0)
    assert (alone.chi_square, alone.p_value) == (None, 1)


@pytest.mark.parametrize(
    ("before", "after", "moved"),
    [
        # One that was rare fills half of a small batch.
        ([0.9, 0.0999, 0.0001], [0.4, 0.1, 0.5], 0.5),
        # None of a hundred is frequent, all together are.
        ([0.9, 0.099, *[1e-5] * 100], [0.4, 0.1, *[0.005] * 100], 0.5),
        # Every category is rare.
        ([0.001] * 1_000, [0.5005, *[0.0005] * 999], 0.5),
    ],
)
def test_rare_bins_that_fill_a_small_batch_moved(
    before: list[float], after: list[float], moved: float
) -> None:
    rng = np.random.default_rng(6)
    one, two = rng.multinomial(100_000, before), rng.multinomial(900, after)
    for found in (distances.over_bins(one, two), distances.over_bins(two, one)):
        assert found.p_value < 1e-9
        assert found.total_variation == pytest.approx(moved, abs=0.04)
        assert found.psi > 1


@pytest.mark.parametrize(
    "shares", [shares_of(1_000, 0.1), np.full(1_000, 0.001), np.array([0.9, 0.0999, 0.0001])]
)
def test_rare_bins_by_chance_are_no_distance(shares: npt.NDArray[np.float64]) -> None:
    rng = np.random.default_rng(7)
    found = [
        distances.over_bins(rng.multinomial(100_000, shares), rng.multinomial(900, shares))
        for _ in range(200)
    ]
    p_values = np.array([each.p_value for each in found])
    # The chance of more than these, were the share of p-values at the nominal one, is 1 %.
    assert (p_values <= 0.05).sum() <= stats.binom.ppf(0.99, len(found), 0.05)
    assert (p_values <= 0.001).sum() <= stats.binom.ppf(0.99, len(found), 0.001)
    assert max(each.total_variation for each in found) < 0.1


def test_a_rate_is_tested_exactly_where_rows_are_few() -> None:
    few = distances.rate_change(0, 40, 6, 40)
    assert few.p_value == pytest.approx(stats.fisher_exact([[40, 0], [34, 6]]).pvalue)
    many = distances.rate_change(100, 1_000, 160, 1_000)
    assert many.p_value == pytest.approx(
        stats.chi2_contingency([[900, 100], [840, 160]], correction=False).pvalue
    )
    assert many.statistic == pytest.approx(2 * (np.arcsin(0.4) - np.arcsin(np.sqrt(0.1))))
    assert distances.rate_change(0, 10, 0, 10).p_value == 1
    assert distances.rate_change(10, 10, 10, 10).statistic == 0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_corrections_are_the_textbooks(p_values: list[float]) -> None:
    given_values = np.array(p_values)
    holm = correct(given_values, Correction.HOLM)
    fdr = correct(given_values, Correction.BENJAMINI_HOCHBERG)
    assert (given_values <= fdr + 1e-12).all()
    assert (fdr <= holm + 1e-12).all()
    assert holm.max() <= 1
    # Holm 1979: the k-th smallest is held against alpha / (tests - k + 1).
    alpha, rejected = 0.05, 0
    for place, value in enumerate(sorted(p_values)):
        if value * (len(p_values) - place) > alpha:
            break
        rejected += 1
    assert int((holm <= alpha).sum()) == rejected


def test_holm_of_known_values() -> None:
    found = correct(np.array([0.01, 0.04, 0.03, 0.005]), Correction.HOLM)
    assert found.tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert len(correct(np.empty(0), Correction.HOLM)) == 0


def comoments(values: npt.NDArray[np.float64]) -> Comoments:
    columns = values.shape[1]
    return Comoments.of(values, centers=np.zeros(columns), scales=np.ones(columns))


def shift_of(
    before: npt.NDArray[np.float64], after: npt.NDArray[np.float64]
) -> DependenceShift | None:
    return dependence_shift(comoments(before), comoments(after), limit=0.3)


def test_a_changed_correlation_is_found_and_named() -> None:
    rng = np.random.default_rng(4)
    before = rng.normal(size=(3_000, 3))
    after = rng.normal(size=(3_000, 3))
    after[:, 2] = 0.6 * after[:, 0] + 0.8 * after[:, 2]
    found = shift_of(before, after)
    assert found is not None
    assert found.pair == (0, 2)
    assert found.before == pytest.approx(0, abs=0.05)
    assert found.after == pytest.approx(0.6, abs=0.05)
    assert found.q == pytest.approx(np.arctanh(0.6), abs=0.1)
    assert found.p_value < 1e-20


def test_a_surer_and_smaller_change_hides_no_larger_one() -> None:
    rng = np.random.default_rng(1)

    def draw(small: float, large: float) -> npt.NDArray[np.float64]:
        # The second two vary together in tails alone, so that less is known of them.
        first, second = rng.normal(size=(2, 3_000, 2))
        first[:, 1] = small * first[:, 0] + np.sqrt(1 - small**2) * first[:, 1]
        second[:, 1] = large * second[:, 0] + np.sqrt(1 - large**2) * second[:, 1]
        return np.hstack([first, second * np.where(rng.random((3_000, 1)) < 0.1, 1, 0.1)])

    before, after = draw(0, 0), draw(0.27, 0.6)
    found = shift_of(before, after)
    assert found is not None
    assert (found.pair, found.q > 0.3, found.p_value < 1e-3) == ((2, 3), True, True)
    surest = dependence_shift(comoments(before), comoments(after), limit=2)
    assert surest is not None
    assert surest.pair == (0, 1)


def test_columns_that_tell_the_same_are_not_told_apart() -> None:
    rng = np.random.default_rng(2)

    def draw(noise: float) -> npt.NDArray[np.float64]:
        same, other = rng.normal(size=(2, 5_000))
        return np.column_stack([same, same + noise * other])

    found = shift_of(draw(0.07), draw(0.04))
    assert found is not None
    assert found.p_value < 1e-20, "sure,"
    assert found.q == 0, "and of no size"
    apart = shift_of(draw(0.07), draw(0.7))
    assert apart is not None
    assert apart.q > 0.3


def test_central_moments_of_shifted_columns_are_right() -> None:
    # Far from the plan's center the sums about it must still give the same correlation.
    rng = np.random.default_rng(5)
    before = rng.normal(size=(5_000, 2)) @ np.array([[1, 0.5], [0, 1]])
    found = shift_of(before, before * 0.5 + 1.5)
    assert found is not None
    assert found.q < 0.05


def test_variances_hold_for_heavy_tails() -> None:
    rng = np.random.default_rng(6)
    below = 0
    for _ in range(200):
        # Dependent, uncorrelated and far from normal: normal theory rejects far too often.
        one, two = (
            rng.normal(size=(400, 2)) * rng.choice([0.2, 1.5], size=(400, 1)) for _ in range(2)
        )
        found = shift_of(one, two)
        assert found is not None
        below += found.p_value <= 0.05
    assert below <= 20


def test_correlations_of_too_little_are_none() -> None:
    same = np.ones((10, 2))
    assert shift_of(same, same) is None
    assert shift_of(same[:2], same) is None
    line = np.column_stack([np.arange(10.0), np.arange(10.0)])
    found = shift_of(line, line)
    assert found is not None
    assert found.q == 0
