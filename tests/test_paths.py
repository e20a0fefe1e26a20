"""The line between two networks: both lives are those of their runs, and the line is straight."""

import copy
from dataclasses import replace

import pytest
import torch
from conftest import says
from torch import nn

from cplab import quantities, specs
from cplab.engine import train
from cplab.engine.tree import plan
from cplab.errors import CplabError
from cplab.results.result import without_times
from cplab.runs import Run
from cplab.studies.reopening.paths import LinearPath
from cplab.studies.reopening.walk import begin_again, walk
from cplab.tasks import TrainState

CPU = torch.device("cpu")
PATH = LinearPath("blur", length=2, profile="ci", points=3)

pytestmark = pytest.mark.usefixtures("small_mnist", "nothing_shipped", "one_thread")


def trained(spec, **how):
    return without_times(train.train_stretch(spec, len(spec.timeline), device="cpu", **how).rows)


def test_both_lives_are_those_of_the_two_runs():
    rows = [row for row in trained(PATH) if "epoch" in row]
    assert PATH.epochs == len(rows) == 2 * PATH.run.epochs
    for run, own in ((PATH.run, rows[:5]), (PATH.run.equal_training(), rows[5:])):
        for one, other in zip(own, trained(run), strict=True):
            assert {**one, "epoch": 0, "part": 0} == {**other, "epoch": 0, "part": 0}


def test_a_path_shares_its_beginning_with_its_run_and_goes_on_after_each_part():
    [root] = plan([PATH, PATH.run])
    assert root.epochs == PATH.epochs
    undisturbed = trained(PATH)
    specs.check_values(PATH, PATH.values(undisturbed))
    for part in (4, 5, 6, 10):
        begun = train.train_stretch(PATH, part, device="cpu").content
        assert trained(PATH, contents=[begun]) == undisturbed


def test_the_line_is_straight():
    """Of a network without batch norm, whose losses one can work out."""
    images = PATH.task.images(CPU)
    x = torch.tensor([[1.0, 0], [0, 1], [1, 1]])[:, :, None, None].permute(0, 2, 3, 1).byte()
    y, zero, one = torch.tensor([0, 1, 2]), torch.zeros(2), torch.ones(2)
    images = replace(images, train_x=x, train_y=y, test_x=x, test_y=y, mean=zero, std=one)
    first, last = [[4.0, 0], [0, 0], [0, 0]], [[0.0, 0], [0, 4], [2, 2]]
    net = nn.Sequential(nn.Flatten(), nn.Linear(2, 3, bias=False))
    net[1].weight.data[:] = torch.tensor(last)
    kept = {"first.1.weight": torch.tensor(first)}
    state = TrainState(net, torch.optim.SGD(net.parameters(), lr=1), kept)
    found = walk(state, PATH.task, images, 3)
    given = images.normal(images.test_x).flatten(1)
    for part, loss, accuracy in zip((0, 0.5, 1), found["loss"], found["accuracy"], strict=True):
        weight = (1 - part) * torch.tensor(first) + part * torch.tensor(last)
        logits = given @ weight.T
        assert loss == pytest.approx(nn.functional.cross_entropy(logits, y).item(), rel=0.01)
        assert accuracy == pytest.approx((logits.argmax(1) == y).float().mean().item())
    assert torch.equal(net[1].weight, torch.tensor(last))


def test_a_network_and_itself_have_a_flat_line():
    task = PATH.task
    images, state = task.images(CPU), task.birth(CPU)
    kept = copy.deepcopy(state.net)
    begin_again(state, task, images, PATH.version)
    assert not state.optimizer.state
    for name, weight in kept.named_parameters():
        assert torch.equal(state.extra["first." + name], weight)  # as it was born again
    found = walk(state, task, images, 4)
    assert max(found["loss"]) == pytest.approx(min(found["loss"]), rel=1e-3)


def test_a_path_is_a_spec_like_others():
    assert LinearPath("blur", length=16).key == LinearPath("blur-4", length=16.0).key
    assert LinearPath("blur", length=16).run == Run("blur", length=16)
    assert not len(quantities.each_seed(quantities.result, PATH))
    for fields in ({"length": 0}, {"points": 1}, {"deficit": "smoke"}, {"seed": -1}):
        with pytest.raises(CplabError) as error:
            LinearPath(**{"deficit": "blur", "length": 2, "profile": "ci", **fields})
        says(error)
