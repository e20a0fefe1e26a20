"""The explorer: what it knows against results read by hand, and live runs."""

import json
import re
from base64 import b64decode
from dataclasses import replace
from io import BytesIO

import matplotlib.pyplot as plt
import numpy as np
import pytest
from scipy import stats

import cplab
from cplab import PROFILES, CplabError, Run, lab, results
from cplab.lab.explorer_data import Setting, describe_points
from cplab.runs import FLAGSHIP


@pytest.fixture(scope="module")
def setting():
    return Setting(FLAGSHIP)


def final(run, seeds=range(40)):
    """The accuracy of each seed of a run that was trained just so, in percent."""
    found = {seed: results.find(replace(run, seed=seed)) for seed in seeds}
    return {seed: 100 * result.accuracy for seed, result in found.items() if result}


# What is known ------------------------------------------------------------------------------------


def test_harm_of_each_point_is_that_of_its_results(setting):
    """By numpy and scipy from single results, where control and point were trained just so."""
    seen = 0
    for point in setting.points():
        run = setting.run_at(point, setting.like.recovery)
        own, clear = final(run), final(run.without_window())
        if not own or {*own} != {*setting.curves(point, run.recovery)}:
            continue
        if {*clear} != {*setting.clear(run.onset + run.recovery)}:
            continue  # longer clear lives say more
        harm = setting.harm(point, run.recovery)
        if run.onset == 0:
            both = [*clear.values()], [*own.values()]
            mean = np.mean(both[0]) - np.mean(both[1])
            low = stats.ttest_ind(*both, equal_var=False).confidence_interval(0.95).low
        else:
            pairs = np.array([clear[seed] - own[seed] for seed in clear.keys() & own.keys()])
            mean = pairs.mean()
            low = stats.ttest_1samp(pairs, 0).confidence_interval(0.95).low
        assert harm.mean == pytest.approx(mean, abs=1e-9)
        assert harm.mean - harm.half == pytest.approx(low, abs=1e-6, nan_ok=True)
        seen += 1
    assert seen


def test_its_little_pictures_are_of_the_digits_that_its_networks_see():
    """Half of a digit of 12 pixels is not half of a picture of 32."""
    explorer = cplab.Explorer(profile="tiny", deficits=("flip",), length=200)
    links = explorer.content["clear"], explorer.content["deficits"][0]["picture"]
    clear, seen = (plt.imread(BytesIO(b64decode(link.partition(",")[2]))) for link in links)
    assert len(clear) == PROFILES["tiny"].size
    assert (seen == clear[::-1]).all()


def test_the_axis_of_harm_holds_the_intervals():
    explorer = cplab.Explorer(model="depth1-16", recovery=60)
    (low, high), _ = explorer.content["reach"]
    points = (point for point in explorer.setting.points() if point[0] in explorer.deficits)
    harms = [explorer.setting.harm(point, 60) for point in points]
    ends = [end for h in harms if h and h.half > 0 for end in (h.mean - h.half, h.mean + h.half)]
    assert low <= min(ends) < max(ends) <= high


def test_a_shorter_recovery_is_the_beginning_of_a_longer_one():
    """At a fixed rate, whether a life was trained just so long or is a part of a longer one."""
    setting = Setting(FLAGSHIP)
    for point in setting.points():
        short = setting.run_at(point, 15)
        known = setting.level(point, 15).by_seed
        for seed, accuracy in final(short).items():
            assert known[seed] == pytest.approx(accuracy, abs=1e-9)


def test_where_a_life_stands_on_the_clear_curve():
    """On a straight line one point is one epoch, to half a read-out of five."""
    setting = Setting(FLAGSHIP)
    setting.mean_grey = np.arange(1.0, 101.0) - 2
    assert setting.clear_epochs_to(0, 60, 10.0) == pytest.approx(50)
    assert setting.clear_epochs_to(20, 40, 0.0) == pytest.approx(60)
    assert setting.clear_epochs_to(0, 60, -60.0) is None  # higher than it ever is


def test_what_is_said_fits_the_numbers(setting):
    """Behind, ahead or level, as the interval has it, in the headline and at the bracket."""
    for point in describe_points(setting, [d for d, _, _ in setting.points()]).values():
        for end in point["at"].values():
            if not end["harm"]:
                continue
            harm, half = end["harm"]
            sure = half is not None and abs(harm) > half
            side = "level" if half is not None and not sure else "behind" if harm > 0 else "ahead"
            assert side in end["head"]
            assert end["sign"] == (np.sign(harm) if sure else 0)
            said = re.search(r"harm (−?)([0-9.]+)", end["small"])
            assert float(said[2]) == pytest.approx(abs(harm), abs=0.051)


# Driven from Python -------------------------------------------------------------------------------


FIELDS = {"model": "depth3-16", "schedule": "fixed", "recovery": 60}


def test_it_opens_on_the_flagship_and_a_move_changes_the_run_and_the_words():
    explorer = cplab.Explorer()
    assert explorer.run == Run("blur", length=16, **FIELDS)
    late = explorer.words
    explorer.choose(onset=0, recovery=30)
    assert explorer.run == Run("blur", length=16, **FIELDS | {"recovery": 30})
    assert explorer.words != late
    explorer.choose(length=13)
    assert "Nobody has trained" in explorer.words


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"schedule": "paper"}, "schedule 'paper'"),
        ({"deficits": ("blurr",)}, "deficit 'blurr'"),
        ({"length": 0}, "length 0"),
        ({"windows": ("blank@8+4",)}, "windows"),
    ],
)
def test_what_cannot_be_explored_is_said_in_one_line(how, message):
    with pytest.raises(CplabError, match=r"^[^\n]*$") as error:
        cplab.Explorer(**how)
    assert message in str(error.value)


# Live ---------------------------------------------------------------------------------------------


@pytest.fixture
def small(nothing_shipped, own_cache):
    """An explorer of a small setting of which nothing is known."""
    return cplab.Explorer("ci", schedule="fixed", onset=2, length=2, recovery=3)


def test_train_takes_the_next_seeds_with_their_controls_and_ends_with_an_interval(small):
    """The lines grow from the first epoch on, and all is known in the end."""
    lives = []
    small.link.observe(lambda change: lives.append(change.new), "live")
    assert "Nobody" in small.words
    assert "3 networks and 6 controls" in small.cost()
    small.train()
    assert small.wait(200)
    curves = [live["curves"]["blur,2,2"] for live in lives if live.get("curves")]
    lengths = [sum(map(len, lines)) for lines in curves]
    assert lengths == sorted(lengths)
    found = [results.find(replace(small.run, seed=seed)) for seed in range(3)]
    for line, result in zip(curves[-1], found, strict=True):
        assert line == pytest.approx(100 * result.series("test_accuracy"))
    assert not small.link.live["busy"]
    assert "3 seeds" in small.words
    [[key, point]] = small.content["points"].items()
    assert key == "blur,2,2"
    assert point["at"][3]["harm"][1] > 0
    assert (
        json.loads(small.link.content)["points"] == json.loads(json.dumps(small.content))["points"]
    )
    small.choose(count=1)
    assert [run.seed for run in small.wanted()[0]] == [3]


def test_a_row_of_the_map_is_filled_where_it_has_the_fewest_seeds():
    explorer = cplab.Explorer(onset=0, length=48)
    explorer.choose(where="onsets", count=1)
    runs, controls = explorer.wanted()
    have = {run: explorer.setting.curves(("blur", run.onset, 48), 60) for run in runs}
    assert {run.length for run in runs} == {48}
    assert not any(have.values())
    assert (0, 16) not in {(run.onset, run.length) for run in runs}
    assert all(control.length == 0 for control in controls)
    explorer.choose(where="lengths", onset=0, count=5)
    assert {run.onset for run in explorer.wanted()[0]} == {0}


@pytest.mark.parametrize("kind", ["explorer", "live"])
def test_what_another_notebook_trained_meanwhile_is_not_trained_again(small, kind):
    run, widget = small.run, small
    if kind == "live":
        widget = lab.live({"it": run})
    other = results.run(run)
    (small.train if widget is small else widget.job.start.click)()
    assert (small if widget is small else widget.job).wait(120)
    assert results.find(run).curve == other.curve  # with its times


def test_stop_ends_training_and_train_goes_on_to_one_seed_without_a_verdict(small):
    small.choose(count=1)

    def halt(change):
        if any(map(any, change.new.get("curves", {}).values())):
            small.stop()

    small.link.observe(halt, "live")
    small.train()
    assert small.wait(200)
    assert small.link.live["message"].startswith("stopped")
    assert results.find(small.run) is None
    small.link.unobserve(halt, "live")
    small.train()
    assert small.wait(200)
    assert results.find(small.run)
    assert "1 seed: no interval" in small.words
    assert small.content["points"]["blur,2,2"]["at"][3]["harm"][1] is None


def test_a_figure_grows_while_its_runs_are_trained(nothing_shipped, own_cache):
    run = Run("blur", length=1, recovery=2, profile="ci")
    drawn = []

    def draw(lines):
        drawn.append({label: [len(x) for x, _ in group] for label, group in lines.items()})
        return "<p>drawn</p>"

    box = lab.live(
        {"blurred": [replace(run, seed=n) for n in (0, 1)], "clear": run.newborn()}, draw=draw
    )
    assert drawn == []
    box.job.start.click()
    assert box.job.wait(100)
    assert drawn[-1] == {"blurred": [3, 3], "clear": [2]}
    assert "drawn" in box.children[1].value
    assert box.job.message.value.startswith("trained in")
    assert "drawn" in lab.live({"blurred": run}, draw=draw).children[1].value  # as it is known
