"""Estimates, each against a plain computation of the same; and quantities, by hand."""

import math
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import one_line
from scipy import stats

from cplab import estimates, quantities
from cplab.estimates import Estimate, Term, compare, estimate, mean_of_curves, seed_by_seed
from cplab.labs import lab00, lab04_trace
from cplab.results import Result, seeds
from cplab.runs import Run

ROOT = Path(__file__).parents[1]


def interval(values):
    """Mean and half the interval, by scipy."""
    low, high = stats.ttest_1samp(values, 0).confidence_interval(estimates.CONFIDENCE)
    return np.mean(values), (high - low) / 2


def mean_and_half(number):
    """The same of an estimate."""
    return number.mean, number.half


def welch(first, second):
    """Half the interval of a difference of two samples, and its degrees of freedom, by scipy."""
    test = stats.ttest_ind(first, second, equal_var=False)
    return np.ptp(test.confidence_interval(estimates.CONFIDENCE)) / 2, test.df


def term(values, group="apart", machine="", name=None):
    """An estimate of one number a seed, of networks that share training by their group."""
    numbers = dict(enumerate(np.asarray(values, float).tolist()))
    machines = dict.fromkeys(numbers, machine) if machine else {}
    return Estimate({Term(name or object(), group, numbers, machines): 1.0})


@pytest.fixture
def samples():
    """Six numbers, and five."""
    six, others = np.random.default_rng(0).normal(size=(2, 6))
    return six, others[:5]


# Means and intervals ------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [2, 3, 30])
def test_an_interval_is_scipys(count):
    sample = np.random.default_rng(count).normal(size=count)
    assert mean_and_half(estimate(sample)) == pytest.approx(interval(sample))


def test_a_multiple_has_a_multiple_of_the_interval(samples):
    number = estimate(samples[0])
    scaled = 3 - 2 * number
    assert scaled.mean == pytest.approx(3 - 2 * number.mean)
    assert scaled.half == pytest.approx(2 * number.half)


@pytest.mark.parametrize(
    ("values", "sign"), [([2, 2.1], 1), ([-2, -2.1], -1), ([-1, 1], 0), ([2], None), ([], None)]
)
def test_the_sign_is_that_of_the_whole_interval(values, sign):
    assert estimate(values).sign == sign


PAGES = [ROOT / "README.md", ROOT / "REPRODUCTION.md", ROOT / "cplab/estimates.py"]
PAGES += [*ROOT.glob("labs/*.ipynb"), *ROOT.glob("docs/*.md")]


def test_pages_that_name_a_level_of_confidence_name_that_of_all_intervals():
    text = "".join(page.read_text("utf-8") for page in PAGES)
    levels = re.findall(r"(\d+ %) (?:interval|confidence)", text)
    assert {*levels} == {estimates.PERCENT}


def test_every_interval_follows_one_level_of_confidence(samples, monkeypatch):
    monkeypatch.setattr(estimates, "CONFIDENCE", 0.9)
    six, _ = samples
    _, half = interval(six)
    _, band = mean_of_curves(six[:, None])
    assert estimate(six).half == pytest.approx(half)
    assert estimates.half_width(six.std(ddof=1), len(six)) == pytest.approx(half)
    assert band[0] == pytest.approx(half)


HIDDEN = np.ma.array([9, 1, 2, 4], mask=[True, False, False, False])


@pytest.mark.parametrize(
    "values", [[math.nan, 1, 2, 4], [None, 1, 2, 4], [math.inf, 1, 2, 4], HIDDEN]
)
def test_a_number_that_is_not_finite_is_one_missing_seed(values):
    number = estimate(values)
    assert mean_and_half(number) == pytest.approx(interval([1, 2, 4]))
    assert [*number.by_seed] == [1, 2, 3]


def test_a_number_too_large_for_a_float_is_refused():
    one_line(lambda: estimate([10**400, 1]), "row of numbers")


# Sides --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("machine", ["", "cpu"])
def test_runs_that_share_training_are_paired_by_seed(samples, machine):
    six, five = samples
    paired = term(six, "together", machine) - term(five, "together", machine)
    assert mean_and_half(paired) == pytest.approx(interval(six[:5] - five))
    assert paired.counts == (5,)
    assert paired.seeds == 5


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"group": "some"}, {"group": "others"}),
        ({"machine": "cpu"}, {"machine": "cuda"}),  # which rounds otherwise
    ],
    ids=["group", "machine"],
)
def test_runs_without_shared_training_have_welchs_interval(samples, first, second):
    six, five = samples
    apart = term(six, **first) - term(five, **second)
    half, freedom = welch(six, five)
    assert apart.half == pytest.approx(half)
    assert apart.freedom == pytest.approx(freedom)
    assert apart.counts == (6, 5)
    assert apart.values == pytest.approx(six[:5] - five)  # of the seeds of both


def test_two_rows_that_happen_to_be_equal_have_welchs_interval():
    apart = estimate([1, 2, 3]) - estimate([1, 2, 3])
    half, _ = welch([1, 2, 3], [1, 2, 3])
    assert mean_and_half(apart) == pytest.approx((0, half))


def test_equal_terms_cancel():
    few = term([1.0, 3.0], name="few")
    many = term(np.arange(30), name="many")
    left = (few - many) + many - 2
    assert (left.mean, left.counts) == (0, (2,))


def test_a_function_of_numbers_shares_their_training_and_lacks_what_is_not_finite():
    first = term([1.0, 2.0, 4.0], "together")
    second = term([2.0, 0.0, 1.0], "together")
    ratio = seed_by_seed(lambda x, y: x / y, first, second)
    assert ratio.by_seed == {0: 0.5, 2: 4.0}
    assert len((ratio - first).counts) == 1


@pytest.mark.parametrize(
    "ask",
    [
        lambda number: number > 0,
        lambda number: number == 0,
        lambda number: max(number, number),
    ],
)
def test_an_estimate_refuses_to_be_compared(ask):
    number = estimate([1.0, 2.0])
    one_line(lambda: ask(number), ".mean", ".sign", f"{number}")


def test_an_interval_that_was_computed_elsewhere_enters_no_sum():
    """It has no terms: a sum would lose its numbers."""
    interval = estimates.Interval(mean=2.0, half=0.5, counts=(5,))
    with pytest.raises(TypeError, match="unsupported operand"):
        interval + 1
    one_line(lambda: estimate([1.0, 2.0]) + interval, "summand 2.0 ± 0.5")


@pytest.mark.parametrize("divisor", [0, math.inf, math.nan])
def test_no_estimate_is_divided_by_what_is_no_finite_number(divisor):
    one_line(lambda: estimate([1.0, 2.0]) / divisor, f"divisor {divisor}")


# Words --------------------------------------------------------------------------------------------


def test_without_seeds_an_estimate_says_so():
    empty = estimate([])
    single = estimate([0.125])
    for number in (empty, empty + 1, 2 * empty - single, -empty / 3):
        assert str(number) == "not trained yet"
        assert number.seeds == 0
        assert number.sign is None
        assert math.isnan(number.mean)


def test_one_seed_has_no_interval_and_is_named():
    one = estimate([0.125])
    assert f"{one:.2f}" == "0.12 (1 seed)"
    assert math.isnan(one.half)


def test_an_estimate_is_written_with_as_many_decimals_as_are_asked_for():
    number = estimate([-1.0, -2.0, -4.0])
    assert f"{number}" == "−2.3 ± 3.8"
    assert f"{number:.0f}" == "−2 ± 4"
    assert repr(number) == "−2.3 ± 3.8 (3 seeds)"
    assert str(estimate([-0.01, 0.0])) == "0.0 ± 0.1"  # no zero has a minus


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([2, 2.1], "above"),
        ([-2, -2.1], "below"),
        ([-1, 1], "level"),
        ([2], "no interval"),
        ([], "not compared"),
    ],
)
def test_a_side_needs_an_interval_without_zero(values, words):
    assert words in compare(values, "the newborn")


# Curves and plans ---------------------------------------------------------------------------------


def test_a_mean_curve_has_the_estimate_of_each_epoch():
    curves = [[0.1, 0.4, 0.5], [0.2, 0.3, 0.9], [0.3, 0.2]]
    mean, half = mean_of_curves(curves)
    for epoch in range(3):
        values = [curve[epoch] for curve in curves if len(curve) > epoch]
        assert (mean[epoch], half[epoch]) == pytest.approx(interval(values))


def test_a_mean_of_one_curve_has_no_width_and_of_none_no_epochs():
    _, half = mean_of_curves([[0.1, 0.4, 0.5]])
    assert half.tolist() == [0, 0, 0]
    mean, _ = mean_of_curves([])
    assert len(mean) == 0


def test_a_crossing_is_where_the_line_first_leaves_its_side():
    rng = np.random.default_rng(3)
    for _ in range(200):
        x = np.cumsum(rng.uniform(0.5, 2, 6))
        y = rng.normal(size=6)
        fine = np.linspace(x[0], x[-1], 20_001)
        is_above = np.interp(fine, x, y) > 0.3
        crossed = fine[is_above != is_above[0]]
        expected = crossed[0] if len(crossed) else math.nan
        crossing = estimates.find_crossing(x, y, 0.3)
        assert crossing == pytest.approx(expected, abs=1e-3, nan_ok=True)
    assert math.isnan(estimates.find_crossing([], []))


@pytest.mark.parametrize("count", [2, 10])
def test_a_detectable_difference_is_seen_in_80_of_100_experiments(count):
    rng = np.random.default_rng(count)
    half = estimates.half_width(1, count)
    shift = estimates.detectable(half, count)
    samples = rng.normal(shift, 1, (40_000, count))
    halves = estimates.half_width(samples.std(1, ddof=1), count)
    # the spread is that of the experiment, whose half is known on average alone
    assert np.mean(abs(samples.mean(1)) > halves) == pytest.approx(0.8, abs=0.01)


# Quantities. Those of shipped results are frozen in test_golden and in reproduction/rows.csv ------


@pytest.fixture
def results(monkeypatch):
    """All results that there are, by spec, to be filled in."""
    results = {}
    monkeypatch.setattr(seeds, "find", lambda spec, measure=(): results.get(spec))
    monkeypatch.setattr(seeds, "find_each", lambda specs, measure=(): map(results.get, specs))
    return results


def result(accuracy=0.5, source="shipped", device="cpu", **more):
    return SimpleNamespace(accuracy=accuracy, source=source, device=device, **more)


def traced(values):
    """A result with a trace of one layer, {epoch: value}."""
    rows = {epoch: {"trace": [value]} for epoch, value in values.items()}
    return result(measured={"trace": rows})


LOSSES = (
    ("accuracy", 50),
    ("equal_training_loss", 10),
    ("lost_time", 8),
    ("harm", 2),
    ("gain_over_newborn", 10),
)


@pytest.mark.parametrize(("name", "points"), LOSSES)
def test_a_loss_is_lost_time_plus_harm(results, name, points):
    run = Run("blur", 4, 8)
    results[run] = result(0.5)
    results[run.newborn()] = result(0.4)
    results[run.without_window()] = result(0.52)
    results[run.equal_training()] = result(0.6)
    assert getattr(quantities, name)(run).mean == pytest.approx(points)


def test_from_birth_harm_is_measured_from_the_newborn(results):
    run = Run("blur", 0, 8)
    results |= {run: result(0.3), Run(): result(0.4)}
    assert quantities.harm(run).mean == pytest.approx(10)
    assert str(quantities.lost_time(run)) == "not trained yet"  # no equal training


def test_the_harm_of_one_seed_is_asked_for_by_its_seed(results):
    run = Run("blur", 0, 8, seed=3)
    results |= {run: result(0.3), Run(seed=3): result(0.4), Run("blur", 0, 8): result(0.1)}
    one_line(lambda: quantities.harm(run), "seeds=[3]")
    assert quantities.harm(run, seeds=[3]).mean == pytest.approx(10)


@pytest.fixture
def live_beside_shipped(results):
    """A run with a live result of seed 0 and a shipped one of seed 1."""
    run = Run("blur", 4, 8)
    results[run] = result(0.5, "live")
    results[replace(run, seed=1)] = result(0.7)
    return run


def test_inside_shipped_only_a_live_result_is_missing(live_beside_shipped):
    assert quantities.accuracy(live_beside_shipped).by_seed == {0: 50, 1: 70}
    call = r"cplab.run\(deficit='blur', "
    with quantities.shipped_only():
        assert quantities.accuracy(live_beside_shipped).by_seed == {1: 70}
        with pytest.raises(quantities.Missing, match=call):
            quantities.result(live_beside_shipped)


def accuracy_in_parts(run):
    """A quantity of one's own."""
    return quantities.result(run).accuracy


def test_seeds_from_50_on_count_until_ten_are_missing(results):
    run = Run("blur", 0, 8)
    for seed in (0, 49, 59, 60, 72):
        results[replace(run, seed=seed)] = result()
    counted = [0, 49, 59, 60]
    assert [*quantities.accuracy(run).by_seed] == counted
    assert [*quantities.quantity(accuracy_in_parts)(run).by_seed] == counted
    assert len([*quantities.each_result(run)]) == len(counted)
    assert len([*quantities.each_seed(accuracy_in_parts, run)]) == len(counted)


def test_a_quantity_that_reads_no_result_has_the_first_fifty_seeds(results):
    assert quantities.quantity(lambda run: 1.0)(Run()).seeds == 50


def trained(run, accuracy):
    """The whole result of a run whose accuracy never changes."""
    row = {"lr": 0.1, "train_loss": 1.0, "test_accuracy": accuracy, "seconds": 0.0}
    same = {name: [value] * run.epochs for name, value in row.items()}
    return Result(run, run.values(same), 1.0, "", "cpu", "", 1, "", "")


def test_own_networks_are_compared_each_with_its_own_twin(results):
    run = lab00.childhood(length=3, recovery=2)
    for seed, right in ((100, 0.3), (101, 0.5), (119, 0.6)):
        own = replace(run, seed=seed)
        twin = own.without_window()
        results[own] = trained(own, right)
        results[twin] = trained(twin, 1.1 * right)
    found = lab00.own_twenty(run)
    assert found.values == pytest.approx([3.0, 5.0, 6.0])
    assert repr(found) == repr(quantities.harm(run, seeds=(100, 101, 119)))


TRACES = (lab04_trace.trace_at, lab04_trace.trace_peak, lab04_trace.information_shift)


@pytest.mark.parametrize(
    "function", [quantities.accuracy, quantities.harm, quantities.lost_time, *TRACES]
)
def test_a_run_without_a_result_has_no_numbers(results, function):
    assert str(function(Run("blur", 4, 8))) == "not trained yet"


def test_a_trace_counts_where_enough_of_it_was_measured(results):
    run = Run("blur", 0, 8, profile="fit")
    rare = {0: 1.0, 1: 8, 3: 0, run.epochs - 1: 2}
    often = dict.fromkeys(range(6, run.epochs, 5), 3.0) | rare
    results[run] = traced(often)
    results[replace(run, seed=1)] = traced(rare)  # between which it may have been higher
    assert lab04_trace.trace_peak(run).by_seed == {0: 2}


def test_a_trace_that_was_not_measured_has_no_seeds_and_one_of_0_no_logarithm(results):
    run = Run("blur", 0, 8, profile="fit")
    results[run] = traced({0: 1.0, 1: 8, 3: 0, run.epochs - 1: 2})
    assert lab04_trace.trace_at(run, 2).seeds == 0
    last = lab04_trace.trace_at(run)
    assert last.seeds == 1
    assert not lab04_trace.doublings(last, lab04_trace.trace_at(run, 3)).seeds


def test_information_is_compared_with_any_other_run():
    blur = Run("blur", length=24, profile="fit")
    flip = Run("flip", length=24, profile="fit")
    assert blur.equal_training() == flip.equal_training()
    apart = lab04_trace.information_shift(blur) - lab04_trace.information_shift(flip)
    assert lab04_trace.information_shift(blur, flip).mean == pytest.approx(apart.mean)
