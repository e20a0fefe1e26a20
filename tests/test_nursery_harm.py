"""Harm on the Nursery's screen, in JavaScript and in Python: the package's is the oracle."""

import numpy as np
import pytest
from browser import plain_page
from conftest import tell_python
from nursery import document, short_lives

from cplab import Run, quantities
from cplab.estimates import estimate
from cplab.lab import tiny
from cplab.results import Result

HARM = """(pairs) => {
  const screen = document.querySelector('cplab-nursery');
  return screen.harmAt({pairs: new Map(pairs)});
}"""


@pytest.fixture(scope="module")
def screen(chromium):
    with plain_page(chromium) as page:
        page.set_content(document(tiny.page(short_lives(), "nobody")))
        page.wait_for_selector("cplab-nursery [data-is=pictures] canvas")
        yield page


def accuracies(count, epochs, salt):
    """The percent of test images right after each epoch, (networks, epochs)."""
    return np.random.default_rng([count, epochs, salt]).uniform(20, 90, (count, epochs))


def life(percents, tested):
    """What the page knows of a network that was tested after some epochs, counted from 1."""
    tests = [{"age": epoch, "right": percents[epoch - 1], "own": 50} for epoch in tested]
    return {"tests": tests, "answers": [0] * 1000, "looks": []}


def result(run, percents):
    """The package's result of a run with these accuracies."""
    other = np.ones(run.epochs)
    values = run.values([other, other, percents / 100, other])
    return Result(run, values, 1.0, "none", "cpu", "float32", 1, "", "")


def in_pairs(spoilt, control, pace):
    """What the page knows of networks, (networks, epochs), and their twins: tests after every
    `pace` epochs, and after each of the last five."""
    pairs = []
    for seed in range(len(spoilt)):
        pair = {}
        for arm, percents in (("spoilt", spoilt[seed]), ("control", control[seed])):
            last = len(percents)
            pair[arm] = life(percents, [*range(1, last - 4, pace), *range(last - 4, last + 1)])
        pairs.append([seed, pair])
    return pairs


@pytest.mark.parametrize("count", [2, 20])
@pytest.mark.parametrize(("recovery", "pace"), [(6, 1), (20, 3)])
def test_harm_on_the_screen_is_the_package_s(recovery, pace, count, screen):
    """Its interval is that of the differences between twins, which share weights and digits. The
    package's own does not pair networks that share no training."""
    run = Run("mosaic", 0, 4, recovery, profile="tiny")
    control = run.without_window()
    spoilt_percents = accuracies(count, run.epochs, 1)
    control_percents = accuracies(count, control.epochs, 2)
    pairs = in_pairs(spoilt_percents, control_percents, pace)

    harm = screen.evaluate(HARM, pairs)

    reared = {}
    clear = {}
    for seed in range(count):
        reared[seed] = result(run.with_seed(seed), spoilt_percents[seed])
        clear[seed] = result(control.with_seed(seed), control_percents[seed])
    expected = quantities.harm_from_results(run, recovery, reared, clear)
    differences = [100 * (clear[seed].accuracy - reared[seed].accuracy) for seed in reared]
    assert harm["middle"] == pytest.approx(expected.mean)
    assert harm["half"] == pytest.approx(estimate(differences).half)


def plain(pairs):
    """These pairs as a page tells Python of them."""
    told = []
    for seed, pair in pairs:
        tests = {}
        for arm, grown in pair.items():
            tests[arm] = [[test["age"], test["right"]] for test in grown["tests"]]
        told.append({"seed": seed, **tests})
    return told


def test_python_gets_the_harm_and_the_accuracies_of_what_has_grown():
    pairs = in_pairs(accuracies(3, 30, 1), accuracies(3, 26, 2), 3)
    nursery = tiny.Nursery()
    window = nursery.content["windows"][0]
    grown = [{"name": "from birth", "window": window, "seeds": plain(pairs)}]
    tell_python(nursery.link, {"grown": grown, "headline": "They end behind"})

    spoilt = accuracies(3, 30, 1)[:, -5:].mean(1)
    control = accuracies(3, 26, 2)[:, -5:].mean(1)
    assert nursery.harm.values == pytest.approx(control - spoilt)
    assert nursery.accuracies["deprived"].values == pytest.approx(spoilt)
    assert nursery.accuracies["twins"].values == pytest.approx(control)


def test_before_anything_has_grown_python_says_what_to_do(capsys):
    """And goes on, so that all cells of a notebook can be run at once."""
    nursery = tiny.Nursery()
    assert np.isnan(nursery.harm.mean)
    assert "press Train" in capsys.readouterr().out
