"""Figures and widgets of growth and pruning, driven as a student would."""

import numpy as np
import pytest
from cplab.studies.pruning import bench as lab05
from labs_by_hand import text

from cplab.lab.jobs import Throttle
from cplab.studies import pruning

KINDS = ("biological", "random", "per_pixel")


@pytest.fixture
def growing():
    return lab05.GrowthBench("practice", gammas=(1.6, 3.2), densities=(0.05, 0.2))


def test_the_sliders_say_what_is_asked_and_what_is_expected(growing):
    spec = growing.request
    assert (spec.gamma, spec.n, spec.peak, spec.steps) == (3.2, 50, 90, 66)
    growing.controls["peak"].value = 70
    growing.controls["gamma"].value = 1.6
    growing.controls["final"].value = 0.2
    assert (growing.request.peak, growing.request.n, growing.request.keep) == (70, 50, (0.2,))
    assert "fades out after 50 steps" in text(growing.readout)
    assert max(growing.sources["expected"].data["density"]) == pytest.approx(70, abs=0.1)


def test_a_search_is_drawn_as_it_goes(growing, monkeypatch):
    drawn = []
    growing.sources["live"].on_change("data", lambda _, __, new: drawn.append(len(new["step"])))
    monkeypatch.setattr(lab05, "Throttle", lambda draw: Throttle(draw, seconds=0))
    growing.job.start.click()
    assert growing.job.wait(60)
    live, found = growing.sources["live"].data, pruning.grow_and_prune(growing.request)
    assert drawn[0] == 1
    assert live["step"] == found["steps"]
    assert live["density"] == pytest.approx([100 * d for d in found["density"]])
    assert live["accuracy"] == pytest.approx([100 * a for a in found["accuracy"]])
    kept = pruning.unpack_architecture(found["architectures"]["0.05"]["alive"])
    assert growing.sources["pixels"].data["count"] == kept[0].sum(0).tolist()
    assert text(growing.job.message).startswith("at 5 %: ")


def test_the_slider_over_densities_moves_the_map():
    maps = {d: np.full((28, 28), 16 * d) for d in (0.05, 0.2)}
    maps[0.05][5, 5] = 3
    slide = lab05.architectures(KINDS, lambda kind, density: [density, 0.5], maps)
    spots = []
    for slide.index in (0, 1):
        counts = slide.drawn.select_one({"name": "pixels"}).data["count"]
        spots.append(len(set(counts)))
    assert (spots, slide.words) == ([2, 1], "20 %")  # the map of 20 % has no spot
