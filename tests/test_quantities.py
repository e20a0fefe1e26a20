"""Quantities by hand on made-up results. What shipped results give is frozen: in test_golden, and
in reproduction/rows.csv."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import one_line

from cplab import quantities as q
from cplab.labs import lab04_trace
from cplab.runs import Run


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


def test_inside_shipped_only_a_live_result_counts_for_nothing(results):
    run = Run("blur", 4, 8)
    results |= {run: result(0.5, "live"), replace(run, seed=1): result(0.7)}
    assert at(q.accuracy(run), 0, 1) == [50, 70]
    with q.shipped_only(), pytest.raises(q.Missing, match=r"cplab.run\(deficit='blur', "):
        q.result(run)


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
