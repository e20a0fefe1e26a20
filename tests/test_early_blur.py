"""The rooms of labs 02, 02b and 06: what they compute, against definitions; what they judge."""

from dataclasses import replace

import numpy as np
import pytest

import cplab
from cplab import Run, quantities
from cplab.lab.knowledge import Setting, describe_point
from cplab.quantities import statistics
from cplab.studies import depth, early_blur
from cplab.studies.sentences import if_possible, side, spread

EARLY = Run("blur", length=16, **early_blur.flagship())


def test_harm_is_read_at_as_many_clear_epochs():
    """By hand, of one seed, and in the end the same as the house's own harm."""
    run = replace(EARLY, seed=7)
    clear, own = ([e["test_accuracy"] for e in cplab.find(r).curve] for r in (run.newborn(), run))
    by_hand = 100 * (np.mean(clear[25:30]) - np.mean(own[41:46]))
    assert float(early_blur.harm(run, 30)) == pytest.approx(by_hand)
    both = (statistics.estimate(of(EARLY)) for of in (early_blur.harm, quantities.harm))
    ours, house = ((one.mean, one.half, one.seeds) for one in both)
    assert ours == pytest.approx(house)


def test_a_short_recovery_is_read_over_as_many_epochs_as_it_has():
    """By hand, of a run that recovers for three epochs; and of one that does not recover at all."""
    run = Run("blur", 1, 2, recovery=3, profile="ci", schedule="fixed")
    control = run.without_window()
    blurred, clear = ([row["test_accuracy"] for row in cplab.run(r).curve] for r in (run, control))
    for after in (1, 3):
        by_hand = 100 * (np.mean(clear[1 : 1 + after]) - np.mean(blurred[3 : 3 + after]))
        assert float(early_blur.harm(run, after)) == pytest.approx(by_hand)
    with pytest.raises(cplab.CplabError, match="recovery 0"):
        early_blur.harm(replace(run, recovery=0))


@pytest.mark.parametrize("deficit", ["blur", "noise"])
def test_the_lab_and_the_explorer_put_a_network_beside_the_same_epoch(deficit):
    explorer = describe_point(Setting(EARLY), (deficit, 0, 16))["at"][60]["head"]
    told = early_blur.behind(replace(EARLY, deficit=deficit))
    assert told.rpartition(": ")[1:] == explorer.rpartition(": ")[1:]


def test_steps_left_are_the_area_under_the_rate():
    assert early_blur.steps_left(EARLY) == pytest.approx(60 * 0.02 * 79)
    falls = Run("blur", length=140, profile="slim")
    area = 391 * sum(0.05 * 0.97**epoch for epoch in range(140, 300))
    assert early_blur.steps_left(falls) == pytest.approx(area)


@pytest.mark.parametrize(("ends", "answer"), [([2, 3], "above"), ([-1, 1], "level"), ([], "level")])
def test_a_side_needs_an_interval_without_zero(ends, answer):
    values = np.repeat(ends, 20) + np.linspace(0, 0.1, 20 * len(ends))
    assert side(values, "above", "level", "below") == answer
    assert side(-1 * values, "below", "level", "above") == answer


def test_a_forest_is_in_the_order_of_harm():
    runs = {f"{n} blocks": replace(EARLY, model=f"depth{n}") for n in (1, 2, 3)}
    fig = depth.forest(runs)
    names = [label.get_text() for label in fig.ax.get_yticklabels()]
    harms = (quantities.harm(runs[words]) for words in names)
    means = [statistics.estimate(harm).mean for harm in harms]
    assert means == sorted(means)
    assert depth.harmed(runs)[-1] == "3 blocks"


def test_what_lacks_something_is_left_out_in_one_line(capsys):
    with if_possible():
        raise ModuleNotFoundError("no torch")
    with if_possible():
        print(what_was_left_out)  # noqa: F821  on purpose
    told = capsys.readouterr().out.splitlines()
    assert len(told) == 2
    assert all(line.startswith("Left out") for line in told)
    assert spread([1.0, 2.0, 4.0]) == "2.3 ± 3.8"
