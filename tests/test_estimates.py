"""Estimates, each against a plain computation of the same; and quantities, by hand."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from cplab import estimates
from cplab import quantities as q
from cplab.estimates import Estimate, Term, compare, estimate, mean_of_curves, seed_by_seed
from cplab.labs import lab04_trace
from cplab.runs import Run


def interval(values):
    """Mean and half the 95 % interval, by scipy."""
    low, high = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    return np.mean(values), (high - low) / 2


def term(values, group="apart", machine="", name=None):
    """An estimate of one number a seed, of networks that share training by their group."""
    numbers = dict(enumerate(np.asarray(values, float).tolist()))
    machines = dict.fromkeys(numbers, machine) if machine else {}
    return Estimate({Term(name or object(), group, numbers, machines): 1.0})


@pytest.mark.parametrize("count", [2, 3, 30])
def test_mean_and_half_are_those_of_scipys_interval(count):
    sample = np.random.default_rng(count).normal(size=count)
    found = estimate(sample)
    assert (found.mean, found.half) == pytest.approx(interval(sample))
    assert found.sign == (np.sign(found.mean) if abs(found.mean) > found.half else 0)
    scaled = 3 - 2 * found
    assert (scaled.mean, scaled.half) == pytest.approx((3 - 2 * found.mean, 2 * found.half))


def test_what_shares_training_is_paired_and_all_else_is_welch():
    a, b = np.random.default_rng(0).normal(size=(2, 6))
    for machine in ("", "cpu"):
        paired = term(a, "one", machine) - term(b[:5], "one", machine)
        assert (paired.mean, paired.half) == pytest.approx(interval(a[:5] - b[:5]))
        assert (paired.counts, paired.seeds) == ((5,), 5)
    test = stats.ttest_ind(a, b[:5], equal_var=False)
    for ours, theirs in (
        (term(a, "one"), term(b[:5], "another")),
        (term(a, "one", "cpu"), term(b[:5], "one", "cuda")),  # which round otherwise
        (estimate(a), estimate(b[:5])),
    ):
        apart = ours - theirs
        assert apart.half == pytest.approx(np.ptp(test.confidence_interval()) / 2)
        assert (apart.counts, apart.freedom) == ((6, 5), pytest.approx(test.df))
        assert apart.values == pytest.approx(a[:5] - b[:5])


def test_equal_terms_cancel_and_a_function_of_several_is_taken_seed_by_seed():
    few, many = term([1.0, 3.0], name="few"), term(np.arange(30), name="many")
    left = (few - many) + many - 2
    assert (left.mean, left.counts) == (0, (2,))
    assert (few - few).same
    assert not term([0.0, 0.0]).same
    a, b = term([1.0, 2.0, 4.0], "one"), term([2.0, 0.0], "one")
    assert seed_by_seed(lambda x, y: x / y if y else math.nan, a, b).by_seed == {0: 0.5}
    assert len((seed_by_seed(np.log2, a) - a).counts) == 1  # which share training as before


def test_an_estimate_says_its_digits_and_seeds_or_that_it_has_none():
    none, one, found = estimate([]), estimate([0.125]), estimate([-1.0, -2.0, -4.0])
    for empty in (none, none + 1, 2 * none - one, -none / 3):
        assert (empty.seeds, empty.sign, str(empty)) == (0, None, "not trained yet")
        assert math.isnan(empty.mean)
    assert (f"{one:.2f}", one.sign, math.isnan(one.half)) == ("0.12 (1 seed)", None, True)
    assert (f"{found}", f"{found:.0f}") == ("−2.3 ± 3.8", "−2 ± 4")
    assert repr(found) == "−2.3 ± 3.8 (3 seeds)"
    assert str(estimate([-0.01, 0.0])) == "0.0 ± 0.1"  # no zero has a minus


def test_a_mean_curve_has_mean_and_interval_of_each_epoch():
    curves = [[0.1, 0.4, 0.5], [0.2, 0.3, 0.9], [0.3, 0.2]]
    mean, half = mean_of_curves(curves)
    for epoch in range(3):
        of_one = interval([curve[epoch] for curve in curves if len(curve) > epoch])
        assert (mean[epoch], half[epoch]) == pytest.approx(of_one)
    assert mean_of_curves(curves[:1])[1].tolist() == [0, 0, 0]  # one seed has no width
    assert not len(mean_of_curves([])[0])


def test_a_crossing_is_where_the_line_first_leaves_its_side():
    rng = np.random.default_rng(3)
    for _ in range(200):
        x, y = np.cumsum(rng.uniform(0.5, 2, 6)), rng.normal(size=6)
        fine = np.linspace(x[0], x[-1], 20_001)
        other = np.flatnonzero((np.interp(fine, x, y) > 0.3) != (y[0] > 0.3))
        expected = fine[other[0]] if len(other) else math.nan
        assert estimates.find_crossing(x, y, 0.3) == pytest.approx(expected, abs=1e-3, nan_ok=True)
    assert math.isnan(estimates.find_crossing([], []))
    assert estimates.find_crossing([0, 1, 2], [0, 0, 4], 1) == 1.25


@pytest.mark.parametrize("count", [2, 10])
def test_what_is_detectable_is_told_from_zero_in_80_of_100_experiments(count):
    rng = np.random.default_rng(count)
    half = estimates.half_width(1, count)
    shift = estimates.detectable(half, count)
    samples = rng.normal(shift, 1, (40_000, count))
    halves = estimates.half_width(samples.std(1, ddof=1), count)
    # the spread is that of the experiment, whose half is known on average alone
    assert np.mean(abs(samples.mean(1)) > halves) == pytest.approx(0.8, abs=0.01)


def test_a_side_needs_an_interval_without_zero():
    sides = {"above": [2, 2.1], "below": [-2, -2.1], "level": [-1, 1], "not compared": []}
    for words, values in (sides | {"no interval": [2]}).items():  # one seed has none
        assert words in compare(values, "the newborn")


# Quantities. Those of shipped results are frozen in test_golden and in reproduction/rows.csv ------


@pytest.fixture
def results(monkeypatch):
    """What there is: results by spec, to be filled in."""
    there = {}
    monkeypatch.setattr(q, "find", lambda spec, measure=(): there.get(spec))
    return there


def result(accuracy=0.5, source="shipped", device="cpu", **more):
    return SimpleNamespace(accuracy=accuracy, source=source, device=device, **more)


def traced(values):
    """A result with a trace of one layer, {epoch: value}."""
    return result(measured={"trace": {e: {"trace": [v]} for e, v in values.items()}})


def test_a_loss_is_lost_time_plus_harm(results):
    run = Run("blur", 4, 8)
    specs = {run: 0.5, Run(): 0.4, Run(onset=4): 0.52, Run(onset=12): 0.6}
    results |= {spec: result(value) for spec, value in specs.items()}
    costs = (q.accuracy, q.equal_training_loss, q.lost_time, q.harm, q.gain_over_newborn)
    assert [of(run).mean for of in costs] == pytest.approx([50, 10, 8, 2, 10])
    born = Run("blur", 0, 8)  # where nothing came before, harm is measured from the newborn
    results[born] = result(0.3)
    assert q.harm(born).mean == pytest.approx(10)
    assert str(q.lost_time(born)) == "not trained yet"  # no equal training


def test_inside_shipped_only_a_live_result_counts_for_nothing(results):
    run = Run("blur", 4, 8)
    results |= {run: result(0.5, "live"), replace(run, seed=1): result(0.7)}
    assert q.accuracy(run).by_seed == {0: 50, 1: 70}
    with q.shipped_only(), pytest.raises(q.Missing, match=r"cplab.run\(deficit='blur', "):
        q.result(run)


def test_what_has_no_result_has_no_numbers(results):
    run = Run("blur", 4, 8)
    traces = lab04_trace.trace_at, lab04_trace.trace_peak, lab04_trace.information_shift
    for of in (q.accuracy, q.harm, q.lost_time, *traces):
        assert str(of(run)) == "not trained yet"
    assert np.isnan(lab04_trace.trace_curve(run)).all()
    assert not len(lab04_trace.layer_shares(run))


def test_a_trace_counts_where_enough_of_it_was_measured(results):
    run = Run("blur", 0, 8, profile="fit")
    rare = {0: 1.0, 1: 8, 3: 0, run.epochs - 1: 2}
    results |= {run: traced(dict.fromkeys(range(6, run.epochs, 5), 3.0) | rare)}
    results |= {replace(run, seed=1): traced(rare)}  # between which it may have been higher
    assert lab04_trace.trace_peak(run).by_seed == {0: 2}
    assert not lab04_trace.trace_at(run, 2).seeds
    last, nothing = lab04_trace.trace_at(run), lab04_trace.trace_at(run, 3)
    assert not lab04_trace.doublings(last, nothing).seeds  # 0 has no logarithm


def test_information_is_compared_with_equal_training_or_with_any_other_run():
    blur, flip = (Run(kind, length=24, profile="fit") for kind in ("blur", "flip"))
    assert blur.equal_training() == flip.equal_training()
    apart = lab04_trace.information_shift(blur) - lab04_trace.information_shift(flip)
    assert lab04_trace.information_shift(blur, flip).mean == pytest.approx(apart.mean)
