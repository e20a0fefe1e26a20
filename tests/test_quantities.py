"""Quantities: each by hand on made-up results, and seed by seed the same as the table's."""

from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import one_line
from scipy import stats

import cplab
from cplab import quantities as q
from cplab.labs.lab09_path import linear_path
from cplab.quantities import statistics
from cplab.results import every_result
from cplab.runs import Run
from cplab.studies import paper_schedule
from cplab.studies.pruning import prune_kernels, prune_weights, search

COURSE = Run(profile="course")


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


def lives(results, seed=0, **accuracies):
    """A window of blur from epoch 4 to 12 with its controls; returns the window."""
    run = Run("blur", 4, 8, seed=seed)
    controls = {"equal": Run(onset=12, seed=seed), "without": Run(onset=4, seed=seed)}
    specs = {"window": run, "newborn": Run(seed=seed), **controls}
    results |= {specs[name]: result(value) for name, value in accuracies.items()}
    return run


def test_a_loss_is_lost_time_plus_harm(results):
    run = lives(results, window=0.5, newborn=0.4, without=0.52, equal=0.6)
    assert float(q.accuracy(run)) == 50
    found = [
        float(of(run)) for of in (q.equal_training_loss, q.lost_time, q.harm, q.gain_over_newborn)
    ]
    assert found == pytest.approx([10, 8, 2, 10])
    born = Run("blur", 0, 8)  # where nothing came before, harm is measured from the newborn
    results[born] = result(0.3)
    assert float(q.harm(born)) == pytest.approx(10)
    assert float(q.gain_over_newborn(born)) == pytest.approx(-10)
    with pytest.raises(q.Missing, match="sweep"):
        float(q.lost_time(born))  # no equal training


def test_under_a_schedule_with_a_clock_there_are_two_controls_of_harm(results):
    run = Run("blur", 4, 8, schedule="paper")
    stopped, running = run.without_window(), run.without_window("running")
    rates = {life: [step.lr for step in life.timeline] for life in (run, stopped, running)}
    assert rates[running][4:] == rates[run][12:]
    assert rates[stopped] == rates[run][: stopped.epochs]
    for spec, value in ((run, 0.5), (stopped, 0.6), (running, 0.55), (run.equal_training(), 0.7)):
        results[spec] = result(value)
    for clock, numbers in (("stopped", [10, 10]), ("running", [5, 15])):
        assert [float(of(run, clock)) for of in (q.harm, q.lost_time)] == pytest.approx(numbers)
    fixed = Run("blur", 4, 8)  # whose rates know nothing of epochs
    assert fixed.without_window("running") == fixed.without_window()
    one_line(lambda: q.harm(run, clock="late"), "clock 'late'")


def estimates(harms, halves):
    """Harm and half its interval by length."""
    pairs = zip(harms.items(), halves, strict=True)
    return {
        n: statistics.Estimate(mean, half, (5,), 4, np.array([mean])) for (n, mean), half in pairs
    }


def test_the_longest_harmless_window_is_where_harm_exceeds_the_penalty():
    straight = estimates({n: n / 8 for n in (24, 4, 8, 16)}, [n / 16 for n in (24, 4, 8, 16)])
    longest = paper_schedule.longest_harmless_window
    assert longest(straight) == pytest.approx((8, 16 / 3, 16))
    assert longest(straight, penalty=1.5).epochs == pytest.approx(12)
    assert longest(straight, penalty=5) == (np.inf, np.inf, np.inf)
    assert np.isnan(longest({})).all()
    better = estimates({4: -3.0, 8: 3.0}, [0, 0])  # something is learned first
    assert longest(better) == pytest.approx((20 / 3,) * 3)
    alone = longest(estimates({8: 2.0}, [np.nan]))
    assert alone == pytest.approx((4, np.nan, np.nan), nan_ok=True)


def test_the_interval_of_the_longest_harmless_window_holds_the_truth_in_95_of_100_cases():
    rng, lengths = np.random.default_rng(0), np.array([2, 4, 8, 16])
    hits = []
    for _ in range(1000):  # the truth: an eighth of a point an epoch, so 8 epochs
        harm = lengths / 8 + rng.normal(0, 0.4, (5, 1)) + rng.normal(0, 0.2, (5, 4))
        halves = statistics.half_width(harm.std(0, ddof=1), 5)
        harms = estimates(dict(zip(lengths, harm.mean(0), strict=True)), halves)
        _, low, high = paper_schedule.longest_harmless_window(harms)
        hits.append(low <= 8 <= high)
    assert np.mean(hits) == pytest.approx(0.95, abs=0.02)


def test_at_a_fixed_rate_an_accuracy_is_the_mean_of_the_last_epochs_of_the_recovery():
    rows = [{"test_accuracy": right} for right in (0.1, 0.2, 0.3, 0.5)]
    how = dict.fromkeys(("copy", "device", "precision", "torch", "commit"), "")
    for recovery, right in ((2, 0.4), (0, 0.5), (3, 1 / 3)):
        run = Run("blur", 0, 4 - recovery, recovery, schedule="fixed")
        values = {"accuracy": 0.5, "curve": rows}
        found = cplab.results.Result(run, values, seconds=1, threads=1, **how)
        assert found.accuracy == pytest.approx(right)


def test_inside_shipped_only_a_live_result_counts_for_nothing(results):
    run = lives(results, window=0.5)
    results[run] = result(source="live")
    assert float(q.accuracy(run)) == 50
    with q.shipped_only(), pytest.raises(q.Missing):
        float(q.accuracy(run))
    other = replace(run, seed=1)
    results[other] = result(0.7)
    with q.shipped_only():
        assert float(q.accuracy(other)) == 70
    assert q.result(other).source == "shipped"


def test_seeds_are_pairs_only_where_two_networks_share_training(results):
    random = np.random.default_rng(0)
    early, late, clear = Run("blur", 0, 8), Run("blur", 8, 8), Run(onset=8)
    drawn = {run: random.normal(0.5, 0.1, 6) for run in (early, late, clear, Run())}
    for run, accuracies in drawn.items():
        for seed, right in enumerate(accuracies):
            results[replace(run, seed=seed)] = result(right)
    ours, theirs = 100 * drawn[Run()], 100 * drawn[early]
    apart = statistics.estimate(q.harm(early))
    welch = stats.ttest_ind(ours, theirs, equal_var=False)
    half = np.ptp(welch.confidence_interval()) / 2
    assert (apart.half, apart.freedom) == pytest.approx((half, welch.df))
    pairs = 100 * (drawn[clear] - drawn[late])
    together = statistics.estimate(q.harm(late))
    assert (together.mean, together.half) == pytest.approx(statistics.mean_and_half(pairs))
    assert together.values == pytest.approx(pairs)
    found = statistics.estimate(q.harm(late) - q.harm(early))  # three networks apart, one a pair
    terms = np.array([pairs - 100 * drawn[Run()], 100 * drawn[early]])
    squares = terms.var(1, ddof=1) / 6
    half = stats.t.ppf(0.975, squares.sum() ** 2 / (squares**2 / 5).sum()) * squares.sum() ** 0.5
    assert (found.mean, found.half) == pytest.approx((terms.sum(0).mean(), half))
    results[replace(late, seed=0)].device = "cuda"  # which rounds otherwise
    welch = stats.ttest_ind(100 * drawn[clear], 100 * drawn[late], equal_var=False)
    half = np.ptp(welch.confidence_interval()) / 2
    assert statistics.estimate(q.harm(late)).half == pytest.approx(half)


def test_contrasts_add_subtract_and_scale(results):
    run, other = Run("blur", 0, 8), Run("flip", 0, 8)
    results |= {run: result(0.3), other: result(0.4), Run(): result(0.5)}
    a, b = q.accuracy(run), q.accuracy(other)
    for found, value in (
        (a - 2 * b, -50),
        (-(a + b) / 2, -35),
        (100 - a, 70),
        (a - 10, 20),
        (a / b, 0.75),
        ((a - 10) / (b - 10), 2 / 3),
        (q.harm(run) - q.harm(other), 10),
        (a * b, 1200),
    ):
        assert float(found) == pytest.approx(value)
    assert f"{a:.1f}" == "30.0"
    assert str(a - a) == "0.0 (1 seed)"
    results |= {replace(run, seed=1): result(0.2)}
    assert statistics.estimate(a - a).same
    assert not statistics.estimate(q.reading(run, lambda spec: 0.0)).same


SEVERAL = (search, prune_weights, prune_kernels)
SEVERAL = [*(function.spec() for function in SEVERAL), linear_path.spec(length=16)]


@pytest.mark.parametrize("spec", SEVERAL)
def test_what_has_several_accuracies_has_not_one(spec):
    one_line(lambda: float(q.accuracy(spec)), spec.name, "accuracy_at")
    one_line(lambda: q.each_seed(q.accuracy, spec), spec.name)


def test_what_is_missing_is_named_by_the_line_that_gives_it(results):
    run = Run("blur", 4, 8, seed=99)
    for of in (q.accuracy, q.harm, q.trace_at):
        with pytest.raises(q.Missing) as error:
            float(of(run))
        assert "cplab.run(" in str(error.value)
        assert "momentum" not in str(error.value)
    with pytest.raises(q.Missing, match=r"^no result of search\(seed=99\): "):
        float(q.accuracy(search.spec(seed=99)))


def test_the_trace_s_peak_and_end(results):
    some, other = Run("blur", 0, 8, profile="fit"), Run(onset=8, profile="fit")
    rare = {0: 1.0, 1: 8, some.epochs - 1: 2}
    results[some] = traced(dict.fromkeys(range(6, some.epochs, 5), 3.0) | rare)
    results[other] = traced({0: 1.0, 1: 2, 2: 2, other.epochs - 1: 0.5})
    assert (q.trace_peak(some), q.trace_remaining(some)) == (2, 0.25)
    assert float(q.doublings(some, other)) == 2
    assert len(q.doublings(some, other).parts()) == 2  # they share no training
    seldom = replace(some, seed=1)
    results[seldom] = traced(rare)  # between which the trace may have been higher
    for of, words in (
        (lambda: q.doublings(some, other, partial(q.trace_at, epoch=2)), "after epoch 2: "),
        (lambda: q.doublings(some, other, partial(q.trace_at, epoch=-99)), "after epoch -99: "),
        (lambda: q.doublings(some, other, lambda run: 0.0), "has 0, "),
        (lambda: q.trace_remaining(seldom), "five"),
    ):
        with pytest.raises(q.Missing, match=words):
            float(of())


def test_the_scaled_trace_does_not_know_how_large_weights_are(results):
    def measured(scale):
        norms, trace = np.array([2.0, 3.0]) * scale, np.array([5.0, 7.0]) / scale**2
        return result(
            measured={
                "trace": {0: {"trace": [1, 1]}, 2: {"trace": list(trace)}},
                "weight_norms": {2: {"norms": list(norms)}},
            }
        )

    for seed, scale in enumerate((1, 0.1, 10)):
        run = Run("blur", 0, 1, recovery=2, seed=seed)
        results[run] = measured(scale)
        found = q.trace_curve(run, scaled=True)
        assert found == pytest.approx([np.nan, np.nan, 4 * 5 + 9 * 7], nan_ok=True)


def test_information_by_layer(results):
    def measured(information, trace):
        return result(
            final=lambda name: {"information": information},
            measured={"trace": {7: {"trace": trace}}},
        )

    blur, clear = Run("blur", 0, 8), Run(onset=8)
    results |= {blur: measured([1, 1, 2], [0, 0, 5]), clear: measured([2, 1, 1], [1, 0, 0])}
    assert q.layer_shares(blur).tolist() == [0.25, 0.25, 0.5]
    assert float(q.information_shift(blur)) == 0.5
    assert float(q.information_shift(blur, epoch=7)) == 2
    assert float(q.information_shift(blur, blur)) == 0


# On what is shipped -------------------------------------------------------------------------------


def test_harm_is_what_scipy_says_of_the_table():
    """Of the flagship of README, with nothing of ours but the table: 10 or 20 runs, 30 newborns."""
    every = cplab.table(profile="course")
    usual = (every.recovery == 15) & (every.schedule == "recovery") & (every.dataset == "cifar10")
    usual &= (every.model == "allcnn-16") & (every.optimizer == "sgd") & every.augment
    usual &= every.weight_decay.isna() & (every.arithmetic == "native") & (every.momentum == 0.9)
    usual &= (every.rate == 1) & every.batch.isna()
    every = every[usual & (every.windows.map(len) + every.treatments.map(len) == 0)]

    def accuracies(*place):
        rows = every[(every.deficit == place[0]) & (every.onset == place[1])]
        return 100 * rows[rows.length == place[2]].set_index("seed").accuracy

    born = accuracies("none", 0, 0)
    for length in (4, 8, 16, 24):
        found = statistics.estimate(q.harm(Run("blur", 0, length)))
        test = stats.ttest_ind(born, blurred := accuracies("blur", 0, length), equal_var=False)
        assert found.mean == pytest.approx(born.mean() - blurred.mean())
        assert found.half == pytest.approx(np.ptp(test.confidence_interval()) / 2)
        assert found.counts == (len(born), len(blurred))
    pairs = (accuracies("none", 24, 0) - accuracies("blur", 24, 8)).dropna()
    late = statistics.estimate(q.harm(Run("blur", 24, 8)))
    assert (late.mean, late.half) == pytest.approx(statistics.mean_and_half(pairs))


def test_a_setting_is_all_but_deficit_onset_length_recovery_and_seed():
    """Of single results, shipped and one's own."""
    own = cplab.run(Run("blur", 1, 1, recovery=1, profile="ci", seed=99, schedule="fixed"))
    runs, varied = [r.spec for r in every_result("Run")], q.PLACE

    def others(run):
        return {name: value for name, value in run.__getstate__().items() if name not in varied}

    for like in (COURSE, own.spec, Run(schedule="paper", pace=2), Run(weight_decay=0.01)):
        alike = [run for run in runs if others(run) == others(like)]
        places = {tuple(getattr(run, name) for name in varied) for run in alike}
        assert q.trained_places(like) == places
        assert places
    assert [run.length for run in q.every_length(own.spec)] == [1]
