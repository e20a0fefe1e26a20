"""The studies that only make tables: what they see of a network, and what they choose."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from cplab import Run, models
from cplab.deficits import find_deficit
from reproduction import recipes
from reproduction.studies import foretell, units

pytestmark = pytest.mark.usefixtures("small_mnist", "nothing_shipped")


@pytest.mark.parametrize("model", ["mlp2-8", "depth1-4"])
def test_hidden_directions_have_a_hundredth_of_what_a_layer_saw(model):
    run = Run("mosaic", length=1, profile="ci", model=model)
    net = models.build(model, 3, 8, 10).train()
    images = run.task.images(torch.device("cpu"))
    x = images.normal(images.train_x[:100])
    deprived, _ = find_deficit("mosaic")(x, images.train_y[:100], None)
    first = next(layer for layer in net.modules() if isinstance(layer, nn.Conv2d | nn.Linear))
    before = [buffer.clone() for buffer in net.buffers()]
    outside = foretell.hidden_directions(net, deprived)[first]
    if isinstance(first, nn.Conv2d):
        seen = nn.functional.unfold(deprived, 3, padding=1).transpose(1, 2).flatten(0, 1)
    else:
        seen = deprived.flatten(1)
    part = (seen.double() @ outside).square().sum() / seen.square().sum()
    assert 0 < outside.shape[1] < len(outside)
    assert part <= 0.0101
    assert all(map(torch.equal, net.buffers(), before))


def test_units_are_frozen_or_copies():
    net = nn.Sequential(nn.Flatten(), nn.Linear(192, 8), nn.ReLU(), nn.Linear(8, 2))
    first = net[1]
    with torch.no_grad():
        first.weight.zero_()
        for unit in range(8):
            first.weight[unit, 25 * unit] = 1  # each sees a value of its own
        first.weight[2] = 2 * first.weight[1]  # a copy
        first.bias.fill_(100)
        first.bias[0] = -100  # frozen
    images = Run("mosaic", length=1, profile="ci").task.images(torch.device("cpu"))
    assert units.count(net, images) == [{"frozen": 12.5, "copies": 25.0}]


@pytest.fixture
def foretold():
    """Forty conditions of whose numbers one foretells the harm, and the length a little."""
    rng = np.random.default_rng(1)
    table = pd.DataFrame({name: rng.normal(size=40) for name in foretell.NUMBERS})
    table["harm"] = -3 * table.loss + table.length + 0.1 * rng.normal(size=40)
    return table


def test_half_of_the_conditions_choose_the_number_that_foretells_the_rest(foretold):
    found = foretell.foretell(foretold, np.arange(40) % 2 == 0)
    assert (found.name, found.sign) == ("loss", -1)
    assert found.chosen > 0.8
    assert found.beyond > 0.3


def test_permuted_conditions_foretell_nothing(foretold):
    rng = np.random.default_rng(2)
    chosen = []
    for _ in range(20):
        harm = rng.permutation(foretold.harm.to_numpy())
        chosen.append(foretell.foretell(foretold.assign(harm=harm), np.arange(40) % 2 == 0).chosen)
    assert abs(np.mean(chosen)) < 0.2


@pytest.mark.parametrize("study", recipes.STUDIES)
def test_networks_of_a_study_are_treated_alike_once_their_deficit_has_ended(study):
    """Each is blurred, or a control of one that is, of the same seed."""
    for part in recipes.parts_of(study):
        blurred = [run for run in part.specs if run.deficit not in ("flip", "none")]
        controls = {run: controls_of(run) for run in blurred}
        assert {*part.specs} == {*blurred}.union(*controls.values()) & {*part.specs}
        for run in blurred[::7]:
            there = controls[run] & {*part.specs}
            assert there
            for control in there:
                assert control.seed == run.seed
                assert control.timeline[-1] == run.timeline[-1]
                assert control.recovery == run.recovery


def controls_of(run):
    """Its controls but for the run itself: a flip, clear epochs, and the run without the window."""
    flip = run.replace(deficit="flip")
    return {flip, run.equal_training(), run.newborn(), run.without_window()}
