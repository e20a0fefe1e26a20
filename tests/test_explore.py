"""The explorer: what it knows against results read by hand, and live runs."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from conftest import one_line

import cplab
from cplab import quantities, results
from cplab.deficits import DEFICITS
from cplab.lab.explorer_data import Setting, describe_point
from cplab.runs import FLAGSHIP


@pytest.fixture(scope="module")
def setting():
    return Setting(FLAGSHIP, [*DEFICITS])


def test_a_shorter_recovery_is_the_beginning_of_a_longer_one(setting):
    """At a fixed rate, whether a life was trained just so long or is a part of a longer one."""
    for point in setting.points():
        known, run = setting.level(point, 15).by_seed, setting.run_at(point, 15)
        for seed in range(40):
            if found := results.find(replace(run, seed=seed)):
                assert known[seed] == pytest.approx(100 * found.accuracy, abs=1e-9)


def test_sentences_fit_the_numbers(setting):
    """Behind, ahead or level, as the interval has it, in the headline and at the bracket."""
    for point in setting.points():
        ends = describe_point(setting, point)["at"].values()
        for end in (end for end in ends if end["harm"]):
            harm, half = end["harm"]
            sure = half is not None and abs(harm) > half
            side = "level" if half is not None and not sure else "behind" if harm > 0 else "ahead"
            assert side in end["head"]
            assert end["sign"] == (np.sign(harm) if sure else 0)
            said = re.search(r"harm (−?)([0-9.]+)", end["small"])
            assert float(said[2]) == pytest.approx(abs(harm), abs=0.051)


def test_any_recovery_can_be_chosen():
    explorer = cplab.Explorer()
    explorer.choose(recovery=23)
    assert explorer.words == cplab.Explorer(recovery=23).words
    one_line(lambda: explorer.choose(recovery=0), "recovery 0")
    one_line(lambda: cplab.Explorer(seed=100), "seed 100")


def test_train_stops_goes_on_and_ends_with_an_interval(nothing_shipped):
    """The lines grow from the first epoch on; one seed has no interval, three have one."""
    small = cplab.Explorer("ci", schedule="fixed", onset=2, length=2, recovery=3)
    lives = []

    def halt(change):
        if any(map(any, change.new.get("curves", {}).values())):
            small.stop()

    def train():
        small.train()
        assert small.wait(200)

    small.choose(count=1)
    small.link.observe(halt, "live")
    train()
    assert results.find(small.run) is None
    small.link.unobserve(halt, "live")
    train()
    assert "1 seed: no interval" in small.words
    small.link.observe(lambda change: lives.append(change.new), "live")
    small.choose(count=2)
    train()
    curves = [live["curves"]["blur,2,2"] for live in lives if live.get("curves")]
    lengths = [sum(map(len, lines)) for lines in curves]
    assert lengths == sorted(lengths)
    for seed, line in zip((1, 2), curves[-1], strict=True):
        found = results.find(replace(small.run, seed=seed))
        assert line == pytest.approx(100 * found.series("test_accuracy"))
    assert "3 seeds" in small.words
    more = [replace(small.run, seed=seed) for seed in (40, 100)]  # the second counts nowhere
    results.sweep([one for run in more for one in (run, run.without_window())], progress=False)
    assert quantities.harm(small.run).counts == (4,)
    assert "4 seeds" in cplab.Explorer("ci", ["blur"], 2, 2, schedule="fixed", recovery=3).words
    assert json.loads(small.link.content)["points"]["blur,2,2"]["at"]["3"]["harm"][1] > 0
