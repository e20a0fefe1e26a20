"""Figures and widgets of growth and pruning, driven as a student would."""

import numpy as np
import pytest
from labs_by_hand import text

from cplab import show
from cplab.lab.surface import Throttle
from cplab.studies import pruning
from cplab.studies.pruning import bench as lab05

KINDS = ("biological", "random", "per_pixel")


@pytest.fixture
def growing():
    return lab05.GrowthBench("practice", gammas=(1.6, 3.2), densities=(0.05, 0.2), steps=20)


def test_the_sliders_say_what_is_asked_and_what_is_expected(growing):
    spec = growing.asked
    assert (spec.gamma, spec.n, spec.peak, spec.steps) == (3.2, 50, 90, 66)
    growing.controls["peak"].value = 70
    growing.controls["gamma"].value = 1.6
    growing.controls["final"].value = 0.2
    assert (growing.asked.peak, growing.asked.n, growing.asked.keep) == (70, 50, (0.2,))
    assert "fades out after 50 steps" in text(growing.readout)
    assert max(growing.sources["expected"].data["density"]) == pytest.approx(70, abs=0.1)


def test_a_search_is_drawn_as_it_goes_and_compared_in_the_end(growing, monkeypatch):
    drawn = []
    growing.sources["live"].on_change("data", lambda _, __, new: drawn.append(len(new["step"])))
    monkeypatch.setattr(lab05, "Throttle", lambda draw: Throttle(draw, seconds=0))
    growing.job.start.click()
    assert growing.job.wait(60)
    live, found = growing.sources["live"].data, pruning.grow_and_prune(growing.asked)
    assert drawn[0] == 1
    assert live["step"] == found["steps"]
    assert live["density"] == pytest.approx([100 * d for d in found["density"]])
    assert live["accuracy"] == pytest.approx([100 * a for a in found["accuracy"]])
    kept = pruning.unpack_architecture(found["architectures"]["0.05"]["alive"])
    assert growing.sources["pixels"].data["count"] == kept[0].sum(0).tolist()
    words = text(growing.job.message)
    assert words.startswith("at 5 %: ")
    assert all(show.label(kind) in words for kind in KINDS)


def test_a_search_can_be_stopped(growing):
    growing.job.progress.observe(lambda change: growing.job.stop.click(), "value")
    growing.job.start.click()
    assert growing.job.wait(60)
    assert text(growing.job.message) == "stopped: nothing is kept of it"
    assert not growing.job.start.disabled


def test_a_gamma_that_empties_a_layer_is_said_and_nothing_begins():
    growing = lab05.GrowthBench("practice", gammas=(1.6, 60), densities=(0.05,))
    growing.controls["gamma"].value = 60
    assert "empties a layer" in text(growing.readout)
    assert growing.job.start.disabled


def test_the_slider_over_densities_moves_rings_map_and_words():
    points = {"random": [10.0, 11.0, 9.0], "per_pixel": [0.5, 1.5, 1.0]}

    def accuracy(kind, density):
        below = 0.1 * KINDS.index(kind)
        return [] if kind == "per_pixel" else 0.8 + density - below + np.arange(3) / 100

    def ahead(kind, other, density):
        return points[other] if density == 0.05 else []

    maps = {d: np.full((28, 28), 16 * d) for d in (0.05, 0.2)}
    maps[0.05][5, 5] = 3
    slide = lab05.architectures(KINDS, accuracy, ahead, maps)
    assert slide.words == (
        "5 %: grown and pruned against random 10.0 ± 2.5 points (3 seeds); same number a pixel "
        "1.0 ± 1.2 points (3 seeds)"
    )
    rings = slide.drawn.select_one({"name": "chosen"})
    assert rings.data["mean"] == pytest.approx([0.86, 0.76])
    slide.index = 1
    assert slide.words == "20 %: grown and pruned against nothing yet"
    assert rings.data["x"] == [20.0, 20.0]
    counts = slide.drawn.select_one({"name": "pixels"}).data["count"]
    assert len(set(counts)) == 1  # the map of 20 % has no spot


def test_the_slider_over_pruning_shows_what_each_layer_keeps():
    values = {"phase": ["training", "pruning", "pruning"], "first": [4, 3, 2]}
    values |= {"second": [8, 6, 1], "train_accuracy": [0.9, 0.8, 0.3]}
    other = {**values, "first": [4, 1, 1], "second": [8, 8, 2]}
    slide = lab05.split_slider({"images": [values, values], "noise": [other]}, (4, 8))
    assert slide.words == "9 kernels left: images 3.0 + 6.0; noise 1.0 + 8.0"
    left = slide.drawn.select_one({"name": "left"})
    assert list(left.data["mean"]) == [0.75, 0.25, 0.75, 1.0]
    slide.index = 1
    assert slide.words == "3 kernels left: images 2.0 + 1.0; noise 1.0 + 2.0"
    assert slide.drawn.select_one({"name": "here"}).data["x"] == [3, 3]
