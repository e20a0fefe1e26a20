"""Means, differences and correlations, each against a plain computation of the same."""

import math
from typing import ClassVar

import numpy as np
import pytest
from scipy import stats

from cplab.quantities import statistics
from cplab.quantities.statistics import correlation, mean_columns, mean_curve


def interval(values):
    """Mean and half the 95 % interval, by scipy."""
    low, high = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    return np.mean(values), (high - low) / 2


# Means --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [2, 3, 30])
def test_mean_and_half_are_those_of_scipys_interval(count):
    sample = np.random.default_rng(count).normal(size=count)
    assert statistics.mean_and_half(sample) == pytest.approx(interval(sample))


def test_columns_are_in_order_and_leave_out_what_is_missing():
    columns = mean_columns({8: [0.5, 0.7], 2: [0.1], 4: []})
    mean, half = interval([0.5, 0.7])
    assert columns["x"].tolist() == [2, 8]
    assert columns["mean"] == pytest.approx([0.1, mean])
    assert columns["low"] == pytest.approx([0.1, mean - half])  # one seed has no width
    assert columns["high"] == pytest.approx([0.1, mean + half])
    assert [len(column) for column in mean_columns({}).values()] == [0, 0, 0, 0]
    assert "x" not in mean_columns([[1, 2], [3]])


class Curve:
    """As much of a result as a mean over seeds takes."""

    measured: ClassVar = {}

    def __init__(self, *found):
        self.found, self.values = found, {"curve": [{"test_accuracy": found[0]}]}

    def series(self, name):
        return np.array(self.found, dtype=float)


def test_mean_curve_has_mean_and_interval_of_each_epoch_that_was_measured():
    curves = [[0.1, 0.4, math.nan, 0.5], [0.2, 0.3, 0.3, 0.9], [0.3, 0.2, 0.2, 0.1]]
    got = mean_curve([Curve(*curve) for curve in curves])
    assert got["epoch"].tolist() == [1, 2, 4]
    for i, epoch in enumerate((0, 1, 3)):
        mean, half = interval([curve[epoch] for curve in curves])
        bounds = [got[name][i] for name in ("low", "mean", "high")]
        assert bounds == pytest.approx([mean - half, mean, mean + half])
    one = mean_curve([Curve(0.1, 0.4)])
    assert one["mean"].tolist() == one["low"].tolist() == one["high"].tolist() == [0.1, 0.4]
    assert [len(column) for column in mean_curve([]).values()] == [0, 0, 0, 0]


def test_a_crossing_is_where_the_line_first_leaves_its_side():
    rng = np.random.default_rng(3)
    for _ in range(200):
        x, y = np.cumsum(rng.uniform(0.5, 2, 6)), rng.normal(size=6)
        fine = np.linspace(x[0], x[-1], 20_001)
        other = np.flatnonzero((np.interp(fine, x, y) > 0.3) != (y[0] > 0.3))
        expected = fine[other[0]] if len(other) else math.nan
        assert statistics.find_crossing(x, y, 0.3) == pytest.approx(expected, abs=1e-3, nan_ok=True)
    assert math.isnan(statistics.find_crossing([], []))
    assert statistics.find_crossing([0, 1, 2], [0, 0, 4], 1) == 1.25


@pytest.mark.parametrize("count", [2, 10])
def test_what_is_detectable_is_told_from_zero_in_80_of_100_experiments(count):
    rng = np.random.default_rng(count)
    half = statistics.half_width(1, count)
    shift = statistics.detectable(half, count)
    samples = rng.normal(shift, 1, (40_000, count))
    halves = statistics.half_width(samples.std(1, ddof=1), count)
    # the spread is that of the experiment, whose half is known on average alone
    assert np.mean(abs(samples.mean(1)) > halves) == pytest.approx(0.8, abs=0.01)


# Correlations -------------------------------------------------------------------------------------


def test_a_correlation_and_its_interval_agree_with_fishers_z():
    rng = np.random.default_rng(5)
    x = rng.normal(size=20)
    y = 0.6 * x + rng.normal(size=20)
    r, low, high = correlation(x, y)
    assert r == pytest.approx(np.corrcoef(x, y)[0, 1])
    reach = stats.norm.ppf(0.975) / np.sqrt(17)
    assert (low, high) == pytest.approx(
        (np.tanh(np.arctanh(r) - reach), np.tanh(np.arctanh(r) + reach))
    )
    assert correlation(x, -y) == pytest.approx((-r, -high, -low))


# Words --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((0.55123, 0.00712), "55.1 ± 0.7"),
        ((0.55123,), "55.1"),
        ((-0.021, 0.2), "−2 ± 20"),
        ((-0.00004, 0.008), "0.0 ± 0.8"),  # no zero has a minus
    ],
)
def test_percent(arguments, text):
    assert statistics.percent(*arguments) == text


def test_a_mean_in_words_says_how_many_seeds_it_is_of():
    assert statistics.describe([]) == "not trained yet"
    assert statistics.describe([0.125], 2) == "0.12 (1 seed)"


def test_numbers_have_digits_that_count_and_no_exponent():
    rng = np.random.default_rng(0)
    for value in rng.choice([-1, 1], 300) * 10 ** rng.uniform(-5, 8, 300):
        text = statistics.plain_number(value)
        assert "e" not in text
        assert float(text.replace(",", "")) == pytest.approx(value, rel=0.051)
    assert [statistics.plain_number(v) for v in (0, 2.5e12, 130)] == ["0", "2.5 × 10^12", "130"]


@pytest.mark.parametrize(
    ("points", "says"),
    [([2.0, 2.5, 3.0], "above"), ([-2.0, -2.5, -3.0], "below"), ([-2.0, 2.0], "level with")],
)
def test_a_comparison_says_which_side_the_interval_is_on(points, says):
    assert says in statistics.compare(points, "the newborn")
    assert "not compared" in statistics.compare([], "the newborn")
    alone = statistics.compare([2.0], "the newborn")  # which no interval tells from it
    assert "above" in alone
    assert "no interval" in alone
