"""Checkpoints: what an interruption leaves, and damage that is never trained on."""

import os
import random
import signal
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import cell, digits, forget_lookups

import cplab
from cplab import data, devices
from cplab.checks import Cancelled
from cplab.engine import checkpoints, lives, tasks, train
from cplab.results.result import without_times
from cplab.runs import Run

CPU = torch.device("cpu")
NAMING = tasks.TASKS["classification"]

pytestmark = pytest.mark.usefixtures("small_mnist", "nothing_shipped", "one_thread", "each_epoch")

RUN = Run("flip", 1, 1, 2, profile="ci", dataset="mnist", model="fc-20")


@pytest.fixture
def each_epoch(monkeypatch):
    """A checkpoint after each epoch, however short it is."""
    monkeypatch.setattr(checkpoints, "SECONDS", -1)


def trained(run, **how):
    return without_times(train.train_to(run, run.epochs, device=CPU, **how).rows)


def alone(run):
    """The values of a run that is trained alone, without times."""
    return without_times(train.train_to(run, run.epochs, device=CPU).training(run).values)


def files():
    return sorted((data.cache_dir() / "checkpoints").glob("*"))


@pytest.fixture
def left(stop_after):
    """The checkpoint of RUN that an interruption in its last epoch left, and the rows of RUN."""
    undisturbed = trained(RUN)
    with pytest.raises(Cancelled):
        trained(RUN, stop=stop_after(11))  # of three batches an epoch
    [path] = files()
    return path, undisturbed


# Interruptions ------------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("batch", [1, 4, 8, 12])
def test_a_stopped_run_goes_on_and_equals_an_undisturbed_one(
    stop_after, epochs_trained, batch, optimizer
):
    run = replace(RUN, optimizer=optimizer)
    undisturbed = trained(run)
    with pytest.raises(Cancelled):
        trained(run, stop=stop_after(batch))
    del epochs_trained[:]
    assert trained(run) == undisturbed
    complete = (batch - 1) // 3
    assert [epoch for _, epoch in epochs_trained] == list(range(complete, run.epochs))
    assert not files()


def test_a_branching_where_an_interruption_happened_is_not_trained_again(
    stop_after, epochs_trained
):
    """What was left for one life alone now serves several."""
    with pytest.raises(Cancelled):
        trained(RUN, stop=stop_after(7))  # two epochs are done
    del epochs_trained[:]
    several = [RUN, replace(RUN, length=2), replace(RUN, length=3)]
    found = dict(lives.trajectories(several, train.Context("cpu", 1)))
    assert len(epochs_trained) == sum(root.epochs for root in lives.plan(several)) - 2
    assert not files()
    for run in several:
        assert without_times(found[run].values) == alone(run)


KILLED = """
import signal, torch, cplab
from cplab.engine import checkpoints

def report(run, row):
    print(row["epoch"], flush=True)
    if row["epoch"] == 2:
        signal.pause()

torch.set_num_threads(1)
checkpoints.SECONDS = -1
run = cplab.Run("flip", 1, 1, 2, profile="ci", dataset="mnist", model="fc-20")
cplab.run(run, device="cpu", report=report)
"""


def test_a_killed_run_goes_on_and_equals_an_undisturbed_one(python, epochs_trained):
    process = python(KILLED)
    while process.stdout.readline().strip() != "2":
        assert process.poll() is None, process.stderr.read()
    process.send_signal(signal.SIGKILL)
    process.wait()
    [left] = files()
    left.with_suffix(".1.2.partial").write_bytes(left.read_bytes()[:1000])  # killed while writing
    found = cplab.run(RUN, device="cpu")
    assert [epoch for _, epoch in epochs_trained] == [3]
    assert not left.exists()
    assert without_times(found.values) == alone(RUN)


def test_checkpoints_that_nobody_came_back_for_are_forgotten(left):
    path, _ = left
    other = [replace(RUN, seed=5)]
    list(lives.trajectories(other, train.Context("cpu", 1)))
    assert files() == [path]
    week_ago = time.time() - 7.1 * 24 * 3600
    os.utime(path, (week_ago, week_ago))
    list(lives.trajectories(other, train.Context("cpu", 1)))
    assert not files()


def test_training_goes_on_where_no_checkpoint_can_be_written(left, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("CPLAB_CACHE", str(tmp_path / "file" / "cache"))
    assert trained(RUN) == left[1]


# What they hold -----------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("model", ["allcnn-4", "fc-20", "resnet18-3", "depth2-4"])
def test_a_checkpoint_holds_every_bit_of_net_and_optimizer(tmp_path, optimizer, model):
    run, path = replace(RUN, optimizer=optimizer, model=model), tmp_path / "one.safetensors"
    images = data.images("mnist", "ci")
    before, after = NAMING.start(run, CPU), NAMING.start(replace(run, seed=1), CPU)
    before.extra = {"mask": torch.ones(2, 3), "random": torch.Generator().get_state()}
    train.train_epoch(run, 0, run.life[0], images, before)
    checkpoints.save(path, before, [{"epoch": 0}])
    rows, state = checkpoints.read(path)
    assert rows == [{"epoch": 0}]
    checkpoints.load(state, after)
    assert {*after.extra} == {*before.extra}
    assert all(torch.equal(after.extra[name], value) for name, value in before.extra.items())
    for one, two in zip(before.net.parameters(), after.net.parameters(), strict=True):
        states = before.optimizer.state[one], after.optimizer.state[two]
        names = {"sgd": {"momentum_buffer"}, "adam": {"step", "exp_avg", "exp_avg_sq"}}[optimizer]
        assert {*states[0]} == {*states[1]} == names
        for name in names:
            a, b = (state[name] for state in states)
            assert torch.equal(a, b)
            assert (a.dtype, a.stride(), a.device) == (b.dtype, b.stride(), b.device)
    for learner in (before, after):
        train.train_epoch(run, 1, run.life[1], images, learner)
    values = before.net.state_dict().values(), after.net.state_dict().values()
    assert all(map(torch.equal, *values))


def test_a_checkpoint_of_other_bits_is_not_taken(monkeypatch, small_mnist):
    def names(run):
        return train.checkpoint_names(run, CPU)

    usual = names(RUN)
    assert len({*usual}) == RUN.epochs + 1
    longer = names(replace(RUN, length=3))
    assert longer[:3] == usual[:3]
    assert not {*longer[3:]} & {*usual[3:]}
    torch.set_num_threads(2)
    assert not {*names(RUN)} & {*usual}
    torch.set_num_threads(1)
    for field in (
        *({"seed": 1}, {"model": "allcnn-8"}, {"schedule": "paper"}, {"optimizer": "adam"}),
        *({"momentum": 0}, {"arithmetic": "float32"}, {"weight_decay": 0.1}, {"augment": False}),
        *({"rate": 2}, {"windows": [("blank", 0, 1)]}),
    ):
        assert not {*names(replace(RUN, **field))} & {*usual[1:]}
    with monkeypatch.context() as patch:
        patch.setattr(Run, "version", Run.version + 1)
        assert not {*names(replace(RUN))} & {*usual}
    other = not devices.has_bf16(CPU)
    with monkeypatch.context() as patch:
        patch.setattr(devices, "has_bf16", lambda device: other)
        assert not {*names(RUN)} & {*usual}
    np.savez(small_mnist, **digits(), copy="another copy")
    forget_lookups()
    assert not {*names(RUN)} & {*usual}


# Damage -------------------------------------------------------------------------------------------


def damage(content, rng):
    """The content with some of it changed or missing."""
    place, changed = rng.randrange(len(content)), bytearray(content)
    kind = rng.randrange(5)
    if kind < 2:  # half of the flips in what is said about the tensors
        place = rng.randrange(min(len(content), 3000)) if kind else place
        changed[place] ^= 1 << rng.randrange(8)
    elif kind == 2:
        del changed[place:]
    elif kind == 3:
        changed[place : place + rng.choice([1, 16, 4096])] = bytes(rng.choice([1, 16, 4096]))
    else:
        changed += bytes(rng.randrange(1, 100))
    return bytes(changed)


def test_a_damaged_checkpoint_is_not_used_or_gives_equal_bits(left):
    path, undisturbed = left
    content, rng, unused = path.read_bytes(), random.Random(0), 0
    rows, state = checkpoints.read(path)
    for number in range(400):
        path.write_bytes(damage(content, rng))
        found = checkpoints.read(path)
        if found is None:
            unused += 1
            assert not path.exists()
        else:
            assert found[0] == rows
            assert found[1].keys() == state.keys()
            assert all(torch.equal(found[1][name], value) for name, value in state.items())
        if number % 10 == 0:
            path.write_bytes(damage(content, rng))
            assert trained(RUN) == undisturbed
            assert not files()
    assert unused > 350


@pytest.mark.parametrize("fields", [{"model": "fc-30"}, {"model": "allcnn-4"}], ids=str)
def test_a_sound_checkpoint_of_another_network_is_not_used(left, fields):
    path, undisturbed = left
    rows, _ = checkpoints.read(path)
    checkpoints.save(path, NAMING.start(replace(RUN, **fields), CPU), rows)
    assert trained(RUN) == undisturbed
    assert not files()


TIED = """
@cplab.model(width=4)
def tied(width, channels, size, classes):
    nn = torch.nn
    net = nn.Sequential(nn.Flatten(), nn.Linear(channels * size * size, width))
    net.extra, net.rows = nn.Linear(width, width), nn.Linear(width, width)
    net.rows.weight = net.extra.weight
    return net.append(nn.Linear(width, classes))
"""


def test_a_network_may_name_its_parts_as_it_likes_and_tie_its_weights(stop_after, epochs_trained):
    """A checkpoint has names of its own beside those of the weights."""
    run = replace(RUN, model=cell(TIED, cplab=cplab)["tied"])
    with pytest.raises(Cancelled):
        trained(run, stop=stop_after(7))  # two epochs are done
    del epochs_trained[:]
    trained(run)
    assert [epoch for _, epoch in epochs_trained] == [2, 3]
