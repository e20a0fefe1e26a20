"""Quantities: each by hand on made-up results, and seed by seed the same as the table's."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import one_line
from scipy import stats

from cplab import quantities as q
from cplab.labs import lab04_trace
from cplab.labs.lab05_growth import search
from cplab.labs.lab09_path import linear_path
from cplab.results.result import Result
from cplab.runs import Run
from cplab.statistics import estimate

HOW = dict.fromkeys(("copy", "device", "precision", "torch", "commit"), "")


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


def at(of, *seeds):
    """The numbers of an estimate for these seeds."""
    return [of.by_seed[seed] for seed in seeds or (0,)]


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


def test_under_a_schedule_with_a_clock_there_are_two_controls_of_harm(results):
    run = Run("blur", 4, 8, schedule="paper")
    controls = {"stopped": run.without_window(), "running": run.without_window("running")}
    specs = {run: 0.5, controls["stopped"]: 0.6, controls["running"]: 0.55}
    specs |= {run.equal_training(): 0.7}
    results |= {spec: result(value) for spec, value in specs.items()}
    for clock, numbers in (("stopped", [10, 10]), ("running", [5, 15])):
        found = [of(run, clock=clock).mean for of in (q.harm, q.lost_time)]
        assert found == pytest.approx(numbers)
    one_line(lambda: q.harm(run, clock="late"), "clock 'late'")
    one_line(lambda: q.harm(run, 3), "after 3")  # its rate is not that of a shorter run


def fixed(run, curve):
    """A made-up result of a run at a rate that never changes, with these accuracies."""
    rows = [{"test_accuracy": right} for right in curve]
    return Result(run, {"accuracy": rows[-1]["test_accuracy"], "curve": rows}, 1, threads=1, **HOW)


def test_at_a_fixed_rate_an_accuracy_is_the_mean_of_the_last_five_epochs_of_the_recovery():
    curve = np.random.default_rng(0).random(12)
    for recovery, last in ((2, 2), (0, 1), (9, 5)):
        run = Run("blur", 0, 12 - recovery, recovery, schedule="fixed")
        assert fixed(run, curve).accuracy == pytest.approx(curve[-last:].mean())


def test_inside_shipped_only_a_live_result_counts_for_nothing(results):
    run = Run("blur", 4, 8)
    results |= {run: result(0.5, "live"), replace(run, seed=1): result(0.7)}
    assert at(q.accuracy(run), 0, 1) == [50, 70]
    with q.shipped_only(), pytest.raises(q.Missing, match=r"cplab.run\(deficit='blur', "):
        q.result(run)


def test_seeds_are_pairs_only_where_two_networks_share_training_and_a_machine(results):
    random = np.random.default_rng(0)
    early, late, clear = Run("blur", 0, 8), Run("blur", 8, 8), Run(onset=8)
    drawn = {run: random.normal(50, 10, 6) for run in (early, late, clear, Run())}
    for run, accuracies in drawn.items():
        for seed, right in enumerate(accuracies):
            results[replace(run, seed=seed)] = result(right / 100)

    def welch(one, other):
        return np.ptp(stats.ttest_ind(one, other, equal_var=False).confidence_interval()) / 2

    assert q.harm(early).half == pytest.approx(welch(drawn[Run()], drawn[early]))
    assert q.harm(late).values == pytest.approx(pairs := drawn[clear] - drawn[late])
    assert q.harm(late).half == pytest.approx(estimate(pairs).half)
    found = q.harm(late) - q.harm(early)  # three networks apart, one a pair
    assert found.half == pytest.approx(welch(pairs - drawn[Run()], -drawn[early]))
    results[replace(late, seed=0)].device = "cuda"  # which rounds otherwise
    assert q.harm(late).half == pytest.approx(welch(drawn[clear], drawn[late]))


@pytest.mark.parametrize("spec", [search.spec(), linear_path.spec(length=16)], ids=str)
def test_what_has_several_accuracies_has_not_one(spec):
    one_line(lambda: q.accuracy(spec), spec.name, "accuracy_at")


def test_what_has_no_result_has_no_numbers(results):
    run = Run("blur", 4, 8)
    traces = lab04_trace.trace_at, lab04_trace.trace_peak, lab04_trace.information_shift
    for of in (q.accuracy, q.harm, q.lost_time, *traces):
        assert str(of(run)) == "not trained yet"
    assert np.isnan(lab04_trace.trace_curve(run)).all()
    assert not len(lab04_trace.layer_shares(run))
    hidden = Run(onset=4, recovery=3, profile="ci", windows="blur@0+4")
    for of in (q.harm, q.lost_time):
        one_line(lambda of=of: of(hidden), "in windows")  # no control can leave it out


def test_the_trace_s_peak_end_and_scale(results):
    some, other = Run("blur", 0, 8, profile="fit"), Run(onset=8, profile="fit")
    rare = {0: 1.0, 1: 8, some.epochs - 1: 2}
    results[some] = traced(dict.fromkeys(range(6, some.epochs, 5), 3.0) | rare)
    results[other] = traced({0: 1.0, 1: 2, 2: 2, 3: 0, other.epochs - 1: 0.5})
    assert at(lab04_trace.trace_peak(some)) == [2]
    assert at(lab04_trace.trace_remaining(some)) == [0.25]
    rise = lab04_trace.doublings(lab04_trace.trace_at(some), lab04_trace.trace_at(other))
    assert at(rise) == [2]
    assert len(rise.counts) == 2  # they share no training
    results[replace(some, seed=1)] = traced(rare)  # between which it may have been higher
    assert lab04_trace.trace_peak(some).by_seed.keys() == {0}
    assert not lab04_trace.trace_at(some, 2).seeds  # where it was not measured
    nothing = lab04_trace.trace_at(other, 3)  # 0 has no logarithm
    assert not lab04_trace.doublings(lab04_trace.trace_at(some), nothing).seeds
    measured = {"trace": {2: {"trace": [5, 7]}}, "weight_norms": {2: {"norms": [2, 3]}}}
    run = Run("blur", 0, 1, recovery=2)
    results[run] = result(measured=measured)
    assert lab04_trace.trace_curve(run, scaled=True)[2] == pytest.approx(4 * 5 + 9 * 7)


def test_information_by_layer(results):
    blur, clear = Run("blur", 0, 8), Run(onset=8)
    for run, information, trace in ((blur, [1, 1, 2], [0, 0, 5]), (clear, [2, 1, 1], [1, 0, 0])):
        final = {"information": information}
        traces = {"trace": {7: {"trace": trace}}}
        results[run] = result(final=lambda name, final=final: final, measured=traces)
    assert lab04_trace.layer_shares(blur).tolist() == [0.25, 0.25, 0.5]
    for how, layers in (({}, 0.5), ({"epoch": 7}, 2), ({"other": blur}, 0)):
        assert at(lab04_trace.information_shift(blur, **how)) == [layers]
