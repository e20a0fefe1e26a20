"""Lab 05: what its searches leave, and how they are drawn live."""

from typing import Any, NamedTuple

import numpy as np
import pytest

import cplab
from cplab.estimates import estimate
from cplab.lab.buttons.button import Throttle
from cplab.labs import lab05
from cplab.labs.lab05_growth import search, unpack_architecture


@pytest.fixture(scope="module")
def left():
    """The architectures that each seed's search left, with 5 % of its synapses."""
    found = [cplab.find(search.spec(seed=seed)) for seed in range(10)]
    return [result.values["architectures"]["0.05"] for result in found]


def test_the_accuracy_of_a_search_is_that_of_every_seed(left):
    right = [100 * architecture["accuracy"] for architecture in left]
    assert str(lab05.accuracy_at_density(search.spec(), 0.05)) == str(estimate(right))


def test_the_synapses_of_a_pixel_are_a_mean_over_seeds(left):
    alive = [unpack_architecture(architecture["alive"])[0].sum(0) for architecture in left]
    counts = lab05.synapses_by_pixel(search.spec(), 0.05)
    assert counts.ravel() == pytest.approx(np.mean(alive, 0))


def test_the_border_is_the_outer_four_pixels():
    counts = lab05.synapses_by_pixel(search.spec(), 0.05)
    ring = counts.sum() - counts[4:24, 4:24].sum()
    assert lab05.on_border(counts) == f"{100 * ring / counts.sum():.0f} % on the border"


class Drawing(NamedTuple):
    """What a live search draws: the search, its rows so far, and the synapses of each pixel."""

    spec: Any
    rows: list[dict]
    counts: np.ndarray


@pytest.fixture(scope="module")
def drawings(elsewhere):
    """Drawings of a live search: the first after its knobs were set, the last in the end."""
    drawn = []

    def draw(*parts):
        drawn.append(Drawing(*parts))
        return lab05.show.figure()

    def search_live():
        button = lab05.grow_and_prune("practice")
        button.choose(gamma="12.8 %", peak="90 %")
        chosen = drawn[-1]
        button.press()
        assert button.wait(300)
        return [chosen, drawn[-1]]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lab05, "Throttle", lambda draw, seconds: Throttle(draw, seconds=0))
        patch.setattr(lab05, "draw_search", draw)
        patch.setattr(lab05, "FASTEST", 12.8)
        first_and_last, folder = elsewhere(search_live)
    return first_and_last, folder


def test_the_knobs_of_a_live_search_choose_its_fields(drawings):
    (chosen, _), _ = drawings
    assert (chosen.spec.gamma, chosen.spec.n, chosen.spec.keep) == (12.8, 12, (0.05,))


@pytest.fixture
def computed(drawings, monkeypatch):
    """The result of the live search."""
    (chosen, _), folder = drawings
    monkeypatch.setenv("CPLAB_CACHE", str(folder))
    return search.compute(**chosen.spec.arguments)


def test_the_last_drawing_of_a_live_search_has_all_its_accuracies(drawings, computed):
    (_, last), _ = drawings
    assert [row["accuracy"] for row in last.rows] == computed["accuracy"]


def test_the_last_drawing_of_a_live_search_has_the_synapses_that_it_left(drawings, computed):
    (_, last), _ = drawings
    kept = unpack_architecture(computed["architectures"]["0.05"]["alive"])
    assert (last.counts.ravel() == kept[0].sum(0)).all()


def test_a_live_search_that_is_stopped_says_that_nothing_is_kept(elsewhere):
    def stopped():
        button = lab05.grow_and_prune("practice")  # of thousands of steps
        button.press()
        while not button.link.live.get("done"):
            assert not button.wait(0.05)
        button.task.stop()
        assert button.wait(100)
        return button.message

    message, _ = elsewhere(stopped)
    assert message == "stopped: nothing of it is kept"
