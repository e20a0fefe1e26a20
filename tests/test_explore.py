"""The explorer: what it knows against results read by hand, and live runs."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from conftest import one_line
from hypothesis import given, settings
from hypothesis import strategies as st

import cplab
from cplab import quantities, results
from cplab.deficits import DEFICITS
from cplab.estimates import estimate
from cplab.lab.explorer.points import Point, Setting, brief, describe_point, headline
from cplab.runs import FLAGSHIP


@pytest.fixture(scope="module")
def setting():
    return Setting(FLAGSHIP, [*DEFICITS])


def test_a_shorter_recovery_is_the_beginning_of_a_longer_one(setting):
    """At a fixed rate, whether a life was trained just so long or is a part of a longer one."""
    for point in setting.points():
        known = setting.level(point, 15).by_seed
        run = setting.run_at(point, 15)
        for seed in range(40):
            if found := results.find(replace(run, seed=seed)):
                assert known[seed] == pytest.approx(100 * found.accuracy, abs=1e-9)


@pytest.fixture(scope="module")
def ends(setting):
    """What is said of each point of the map at each age at which a life may end."""
    said = []
    for point in setting.points():
        for end in describe_point(setting, point)["at"].values():
            if end["harm"]:
                said.append(end)
    return said


def side_of(middle, half):
    """Behind, ahead or level, as the interval has it; without one, as the number is. A wide one
    around zero tells nothing."""
    if half is not None and abs(middle) <= half:
        return "level" if half <= 1 else "cannot tell"
    return "behind" if middle > 0 else "ahead"


def test_seeds_that_lie_far_apart_are_not_called_level():
    wide = estimate([-5.0, 5.0, 0.1])
    for words in (headline, brief):
        said = words(Point("blur", 0, 8), wide)
        assert "cannot tell" in said
        assert "level" not in said


def test_words_and_the_number_at_the_curve_say_what_the_interval_says(ends):
    for end in ends:
        for words in ("head", "brief", "tag"):
            assert side_of(end["harm"]["middle"], end["harm"]["half"]) in end[words]
        if number := re.match(r"[0-9.]+", end["tag"]):
            assert float(number[0]) == pytest.approx(abs(end["harm"]["middle"]), abs=0.051)


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_harm_and_the_headline_agree_for_any_recovery(setting, data):
    """Whether it was trained just so long, or is a part of longer runs."""
    point = data.draw(st.sampled_from(setting.points()))
    recovery = data.draw(st.integers(1, 120))
    harm = quantities.harm(setting.run_at(point, recovery))
    told = setting.harm(point, recovery)
    assert told.counts == harm.counts
    assert (told.mean, told.half) == pytest.approx((harm.mean, harm.half), nan_ok=True)
    if harm.sign:
        assert f"{abs(harm.mean):.1f} ± {harm.half:.1f}" in headline(point, harm)


def test_any_recovery_of_an_epoch_at_least_can_be_chosen():
    explorer = cplab.Explorer()
    explorer.choose(recovery=23)
    assert explorer.words == cplab.Explorer(recovery=23).words
    one_line(lambda: explorer.choose(recovery=0), "recovery 0")


def test_two_windows_are_two_runs_and_each_has_its_sentence():
    explorer = cplab.Explorer(compare=True, late=16)
    early, late = explorer.runs
    assert late == early.replace(onset=16)
    alone = cplab.Explorer(onset=16)
    assert explorer.words == f"{cplab.Explorer().words} {alone.words}"
    explorer.choose(second={"onset": 24, "length": 8})
    assert explorer.runs == [early, early.replace(onset=24, length=8)]
    explorer.choose(second=None)
    assert explorer.runs == [early]


def test_a_second_window_is_refused_as_the_first_one_is():
    explorer = cplab.Explorer(compare=True)
    one_line(lambda: explorer.choose(second={"onset": -1}), "onset -1")
    one_line(lambda: explorer.choose(second={"age": 24}), "age", "onset")
    one_line(lambda: explorer.choose(second=24), "second")


def test_where_two_windows_stand_train_trains_those_with_the_fewest_seeds():
    explorer = cplab.Explorer(compare=True)
    explorer.choose(onset=3, count=2)  # without a result
    assert {(run.onset, run.seed) for run in explorer.wanted().runs} == {(3, 0), (3, 1)}
    explorer.choose(second={"onset": 5})
    assert {run.onset for run in explorer.wanted().runs} == {3, 5}


def test_a_seed_is_one_of_those_that_count():
    one_line(lambda: cplab.Explorer(seed=100), "seed 100")


# Live training ------------------------------------------------------------------------------------

FIELDS = {"schedule": "fixed", "recovery": 3}


def open_explorer(**fields):
    """An explorer of short lives, whose blur lasts from epoch 2 to 4."""
    return cplab.Explorer("ci", ["blur"], 2, 2, **FIELDS | fields)


def curves_of(live):
    """The curves of the chosen point in what a page is told; None where it is told of none."""
    return live.get("curves", {}).get("blur,2,2")


@pytest.mark.usefixtures("nothing_shipped")
def test_training_that_is_stopped_has_no_result():
    explorer = open_explorer()
    explorer.choose(count=1)

    def stop_at_the_first_test(change):
        if any(curves_of(change.new) or ()):
            explorer.stop()

    explorer.link.observe(stop_at_the_first_test, "live")
    explorer.train()
    assert explorer.wait(200)
    assert results.find(explorer.run) is None


class Trained(NamedTuple):
    """An explorer that trained one seed, and two more; its headline after either; and the curves of
    the latter, as the page was told of them while they grew."""

    explorer: cplab.Explorer
    one: str
    three: str
    curves: list[list[list[float]]]
    accuracies: list[np.ndarray]  # in percent, of both seeds' results
    folder: Path


@pytest.fixture(scope="module")
def trained(elsewhere):
    told = []

    def train():
        explorer = open_explorer()
        explorer.choose(count=1)
        explorer.train()
        assert explorer.wait(200)
        one = explorer.words
        explorer.link.observe(lambda change: told.append(change.new), "live")
        explorer.choose(count=2)
        explorer.train()
        assert explorer.wait(200)
        found = [results.find(replace(explorer.run, seed=seed)) for seed in (1, 2)]
        accuracies = [100 * result.series("test_accuracy") for result in found]
        return explorer, one, explorer.words, accuracies

    (explorer, one, three, accuracies), folder = elsewhere(train)
    curves = [curves_of(live) for live in told if curves_of(live)]
    return Trained(explorer, one, three, curves, accuracies, folder)


def test_three_seeds_have_an_interval_and_one_has_none(trained):
    """The page is told its half."""
    assert "1 seed: no interval" in trained.one
    assert "3 seeds" in trained.three
    content = json.loads(trained.explorer.link.content)
    assert content["points"]["blur,2,2"]["at"]["3"]["harm"]["half"] > 0


def test_lines_grow_while_networks_train(trained):
    lengths = [sum(map(len, lines)) for lines in trained.curves]
    assert lengths == sorted(lengths)


def test_lines_end_as_the_results_do(trained):
    for line, accuracy in zip(trained.curves[-1], trained.accuracies, strict=True):
        assert line == pytest.approx(accuracy)


def test_a_seed_that_was_trained_elsewhere_counts(trained, monkeypatch, nothing_shipped):
    """In the harm, and when an explorer is opened; one that counts nowhere does not."""
    monkeypatch.setenv("CPLAB_CACHE", str(trained.folder))
    run = trained.explorer.run
    for seed in (40, 100):
        of_seed = replace(run, seed=seed)
        results.sweep([of_seed, of_seed.without_window()], progress=False)
    assert quantities.harm(run).counts == (4,)
    assert "4 seeds" in open_explorer().words
