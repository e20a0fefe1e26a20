"""Lab 09: what it measures on networks, what a treatment leaves, and the path that it goes."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import one_line, random_images
from torch import nn

import cplab
from cplab import Run, deficits, gallery
from cplab.estimates import estimate, lacking_in
from cplab.labs import lab09
from cplab.labs.lab09_path import linear_path
from cplab.measure import MEASUREMENTS
from cplab.results import sweep

BRIEF = Run("blur", length=1, recovery=2, profile="ci", schedule="fixed")
STILL = Run(profile="ci", dataset="mnist", recovery=2, model="fc-20", rate=1e-6)
FAST = replace(STILL, rate=1)


@pytest.fixture
def worked_out():
    """A network that can be worked out by hand, and random images: a ReLU with one dead unit of
    four, then a layer that is given features of rank 2."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 10))
    first = net[1]
    last = net[3]
    first.weight.data = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 0], [0, 0, 0]])
    first.bias.data = torch.tensor([0.0, 0, -1, 0.5])
    last.weight.data.zero_()
    last.bias.data.zero_()
    return net, random_images(128, size=1)


def test_gauges_are_those_that_are_worked_out(worked_out):
    """Of features, two directions of about one spread."""
    net, images = worked_out
    gauges = MEASUREMENTS["gauges"](net, images)
    assert gauges["dead"] == [0.25]
    assert gauges["rank"] == pytest.approx(2, rel=0.01)
    assert gauges["norms"] == pytest.approx([2**0.5, 0])
    loss = nn.functional.cross_entropy(net(images.normal(images.train_x)), images.train_y)
    assert gauges["loss"] == pytest.approx(loss.item())
    loss.backward()
    norm = nn.utils.clip_grad_norm_(net.parameters(), 1)  # before it is clipped
    assert gauges["gradient"] == pytest.approx(norm.item(), rel=1e-4)


@pytest.mark.usefixtures("small_mnist", "nothing_shipped")
def test_weights_that_hardly_learn_have_the_norm_that_they_were_born_with():
    sweep([STILL], {"gauges": (0, 1)}, progress=False)
    assert lab09.growth_by_layer(STILL, 1) == pytest.approx(1, rel=1e-3)


@pytest.mark.usefixtures("small_mnist", "nothing_shipped")
def test_growth_is_the_norm_as_a_part_of_that_at_birth():
    [result] = sweep([FAST], {"gauges": (0, 1)}, progress=False)
    norms = np.array(result.measured["gauges"][1]["norms"])
    assert lab09.growth_by_layer(FAST, 1) == pytest.approx(norms / lab09.norms_at_birth(FAST))


def test_the_norms_at_birth_for_a_page_without_torch_are_those_of_the_network():
    assert lab09.norms_at_birth(Run()) == pytest.approx(lab09.COURSE_AT_BIRTH, abs=1e-6)


@pytest.mark.parametrize(
    ("left", "words"), [([0.1, 0.2], "hardly anything"), ([4.2, 4.3], "all of it"), ([2], None)]
)
def test_the_harm_that_a_treatment_leaves_is_put_in_words(left, words):
    assert lab09.what_is_left(estimate([4.0, 4.2]), estimate(left)) == words


def test_a_figure_of_treated_networks_lacks_only_those_that_it_shows():
    treated = replace(BRIEF, treatments="renorm@1")
    drawn = lab09.draw_with_controls(treated)
    assert {lack.spec for lack in lacking_in(drawn)} == {treated, BRIEF, treated.newborn()}
    assert "equal training" not in repr(drawn)


def test_a_path_needs_a_deficit():
    one_line(lambda: linear_path.spec("blur"), "length 0")


@pytest.mark.usefixtures("photographs")
def test_a_path_is_computed_under_a_deficit_of_the_gallery():
    name = deficits.find_deficit(gallery.mirror).name
    spec = linear_path.spec(name, 0, 1, profile="ci", points=2)
    assert cplab.run(spec, device="cpu").values
