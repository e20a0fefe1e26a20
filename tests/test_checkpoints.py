"""Checkpoints: what an interruption leaves, and damage that is never trained on."""

import os
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import train_epoch, train_stretch

from cplab import data
from cplab.engine import checkpoints
from cplab.engine.sweep import Context, train_all
from cplab.engine.tree import plan
from cplab.errors import Cancelled
from cplab.results.result import without_times
from cplab.runs import Run

CPU = torch.device("cpu")
HOW = {"copy": "small", "threads": 1}

pytestmark = pytest.mark.usefixtures("small_mnist", "nothing_shipped", "each_part_saved")

RUN = Run("flip", 1, 1, 2, profile="ci", dataset="mnist", model="fc-20")


def trained(*runs, **context):
    """The values of runs that are trained from what is on disk, without times."""
    found = dict(train_all(runs, Context("cpu", workers=1, **context)))
    return [without_times(found[run].values) for run in runs]


def undisturbed(run):
    return without_times(run.values(train_stretch(run, run.epochs, device="cpu").rows))


def files():
    return sorted((data.cache_dir() / "checkpoints").glob("*"))


@pytest.fixture
def left(stop_after):
    """The checkpoint of RUN that an interruption in its last epoch left."""
    with pytest.raises(Cancelled):
        trained(RUN, stop=stop_after(11))  # of three batches an epoch
    [path] = files()
    return path


def test_what_was_left_for_one_run_serves_several(left, epochs_trained):
    del epochs_trained[:]
    several = [RUN, replace(RUN, length=2), replace(RUN, length=3)]
    found = trained(*several)
    # one epoch of recovery is behind; of the others' common beginning nothing is
    assert len(epochs_trained) == sum(root.epochs for root in plan(several)) - 3 + 2
    assert not files()
    assert found == [undisturbed(run) for run in several]


def test_checkpoints_that_nobody_came_back_for_are_forgotten(left):
    other = replace(RUN, seed=5)
    trained(other)
    assert files() == [left]
    week_ago = time.time() - 7.1 * 24 * 3600
    os.utime(left, (week_ago, week_ago))
    trained(other)
    assert not files()


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_checkpoint_holds_every_bit_of_net_and_optimizer(optimizer):
    run = replace(RUN, optimizer=optimizer, model="resnet18-3")
    images, task = data.images("mnist", "ci"), run.task
    before = task.birth(CPU)
    before.extra = {"mask": torch.ones(2, 3), "random": torch.Generator().get_state()}
    train_epoch(task, 0, run.timeline[0], before, images)
    before.rows.append({"epoch": 0, "measured": {"norm": np.float64(0.1)}})
    after = checkpoints.loads(checkpoints.dumps(before, HOW), task, CPU, HOW)
    assert after.rows == before.rows
    assert {*after.extra} == {*before.extra}
    assert all(torch.equal(after.extra[name], value) for name, value in before.extra.items())
    for one, two in zip(before.net.parameters(), after.net.parameters(), strict=True):
        states = before.optimizer.state[one], after.optimizer.state[two]
        assert {*states[0]} == {*states[1]} != set()
        for name in states[0]:
            a, b = (state[name] for state in states)
            assert torch.equal(a, b)
            assert (a.dtype, a.stride(), a.device) == (b.dtype, b.stride(), b.device)
    for state in (before, after):
        train_epoch(task, 1, run.timeline[1], state, images)
    assert all(map(torch.equal, *(s.net.state_dict().values() for s in (before, after))))


def test_a_damaged_checkpoint_is_removed_and_its_epochs_are_trained_again(left):
    content = left.read_bytes()
    middle = len(content) // 2
    flipped = bytes([content[middle] ^ 1])
    for damaged in (content[:middle], content[:middle] + flipped + content[middle + 1 :], b""):
        left.write_bytes(damaged)
        assert checkpoints.read(left) is None
        assert not left.exists()
    left.write_bytes(content[:middle])
    assert trained(RUN) == [undisturbed(RUN)]
    assert not files()
