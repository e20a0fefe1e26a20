"""The engine: epochs, steps, measurements, and trees and stacks that equal each run alone."""

import gc
import hashlib
import math
import os
import time
from functools import partial

import numpy as np
import pytest
import torch
from conftest import a_run, grown, outcome, random_images, train_stretch
from torch import nn

from cplab import devices
from cplab.deficits import Batch
from cplab.engine import train
from cplab.engine.passes import Passes
from cplab.engine.stack import is_stacked
from cplab.engine.sweep import Context, train_all, training_of
from cplab.errors import Cancelled
from cplab.files import cache_dir
from cplab.results.result import without_times
from cplab.runs import Run, Step

CPU = torch.device("cpu")

pytestmark = pytest.mark.usefixtures("small_mnist", "nothing_shipped")

TINY: dict = {"profile": "tiny", "recovery": 2}
TREATED = "", "renorm@2", "shrink-0.4@2", "held@0 rate-2@2", "images-0.5@1 decay-0@2 unaugmented@2"
# Runs that share beginnings in every way: branches at each epoch, ends inside other runs, two runs
# of the same steps, two seeds, a second window; and seeds side by side, as stacks.
TREE = [
    *(a_run("blur", 0, length) for length in (0, 1, 3)),
    *(a_run("noise", 1, length) for length in (1, 2)),
    a_run("flip", 0, 2, windows=[("blank", 2, 1)]),
    a_run("permute", 2, 1),
    a_run("blur", 0, 3, seed=1),
    *(a_run(schedule="fixed", onset=n, recovery=2 - n) for n in (1, 0)),
    a_run(schedule="fixed", onset=1, recovery=2),
    a_run("blur", 0, 1, optimizer="adam"),
    a_run("blank:left", 1, 1, model="eyes-4"),
    *(a_run("flip", 0, 2, treatments=words) for words in TREATED),
    a_run("flip", 0, 2, model="resnet18-3", treatments="renorm@2"),
]
ADAM = {"treatments": "shrink-0.5@2 rate-2@1", "batch": 50, "optimizer": "adam", **TINY}
STACK = [Run("noise", 1, n, seed=s, images=50, **TINY) for n in (0, 2) for s in range(4)]
GRID = TREE + STACK + [Run("fresh_noise", 1, 2, seed=s, images=100, **ADAM) for s in range(20)]
MEASURES = {"weight_norms": "end"}


def alone(spec, measures=None):
    """What a spec gives that is trained alone."""
    stretch = train_stretch(spec, len(spec.timeline), measures=measures, last=True)
    return outcome(training_of(spec, stretch))


@pytest.fixture(scope="session")
def each_alone(elsewhere):
    return elsewhere(lambda: {run: alone(run, MEASURES) for run in GRID})[0]


def files():
    return sorted((cache_dir() / "checkpoints").glob("*"))


def batches(run, epoch, images=None):
    """What the loop gives the network: images and labels under the deficit of the epoch."""
    images, step = images or random_images(300, classes=300), run.timeline[epoch]
    count = len(images.train_y)
    return [
        step.deficit(x, images.train_y[index], Batch(index, run.seed, epoch, count))
        for index, x in run.task.batches(epoch, step, images)
    ]


def epoch_of(run, epoch, images=None):
    """Images and labels of an epoch."""
    return map(torch.cat, zip(*batches(run, epoch, images), strict=True))


def test_an_image_is_a_crop_of_its_zero_padded_self_half_of_the_time_mirrored():
    size, shift = 8, 1
    images = random_images(300, size, classes=300)
    x, y = epoch_of(a_run(dataset="practice"), 0, images)
    padded = nn.functional.pad(images.train_x[y].permute(0, 3, 1, 2), [shift] * 4)
    crops = padded.unfold(2, size, 1).unfold(3, size, 1).permute(2, 3, 0, 1, 4, 5)
    found = torch.stack([(way == x).flatten(3).all(3) for way in (crops, crops.flip(-1))])
    assert (found.sum((0, 1, 2)) == 1).all()  # in exactly one way each
    assert found.any(3).all()  # each way, down, across and mirrored, for some image
    assert 100 < found[1].sum() < 200


def test_the_data_are_a_function_of_seed_and_epoch_and_stay_what_they_are():
    """Order, crops and mirroring, to the pixel: all results depend on them."""
    x, y = epoch_of(a_run(seed=3), 1)
    torch.manual_seed(9)
    assert all(map(torch.equal, epoch_of(a_run("blur", 4, 2, seed=3), 1), (x, y)))
    for other in ((a_run(seed=4), 1), (a_run(seed=3), 0)):
        different, labels = epoch_of(*other)
        assert not torch.equal(labels, y)
        assert not torch.equal(different[labels.argsort()], x[y.argsort()])  # crops differ, too
    assert sorted(y.tolist()) == list(range(300))  # every image once
    assert [len(labels) for _, labels in batches(a_run(), 0)] == [128, 128, 44]
    digest = hashlib.sha256(x.byte().numpy().tobytes() + y.numpy().tobytes()).hexdigest()[:12]
    assert digest == "64b4849eba20", (
        "the same run is now shown other data: if that is on purpose, raise Run.version by one, "
        "train and ship the results again, and pin the new value here"
    )


@pytest.mark.parametrize(
    ("fields", "native"),
    [
        ({"momentum": 0, "model": "depth2-4", "deficit": "permute"}, False),
        ({"model": "resnet18", "weight_decay": 0.15}, False),
        ({"optimizer": "adam", "model": "fc-20"}, False),
        ({"schedule": "fixed", "batch": 100}, True),
        ({"schedule": "fixed", "model": "fc-20", "arithmetic": "float32"}, True),
        ({"profile": "tiny", "deficit": "mosaic", "images": 300}, False),
    ],
    ids=str,
)
def test_training_is_torch_s_optimizer_batch_by_batch(fields, native, monkeypatch):
    """In bfloat16 each batch meets the weights of the step before. Tests are of clear images."""
    monkeypatch.setattr(devices, "has_bf16", lambda device: native)
    usual = {"deficit": "blur", "onset": 1, "length": 1, "schedule": "paper", "weight_decay": 0.3}
    run = a_run(**(usual | fields))
    casts = native and run.arithmetic == "native"
    images, net = run.task.images(CPU), run.task.birth(CPU).net
    kind = {"sgd": partial(torch.optim.SGD, momentum=run.momentum), "adam": torch.optim.Adam}
    optimizer = kind[run.optimizer](net.parameters(), weight_decay=run.settings.weight_decay)
    losses, rights = [0.0] * run.epochs, []
    for epoch in range(run.epochs):
        net.train()
        optimizer.param_groups[0]["lr"] = run.timeline[epoch].lr
        for x, y in batches(run, epoch, images):
            with torch.autocast("cpu", torch.bfloat16, enabled=casts):
                loss = nn.functional.cross_entropy(net(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses[epoch] += loss.item() * len(y) / len(images.train_y)
        answers = net.eval()(images.normal(images.test_x)).argmax(1)
        rights.append((answers == images.test_y).double().mean().item())
    trained = train_stretch(run, run.epochs)
    rows, rel = trained.rows, 3e-3 if casts or "resnet" in run.model else 1e-4
    assert [row["train_loss"] for row in rows] == pytest.approx(losses, rel=rel)
    assert [row["test_accuracy"] for row in rows] == pytest.approx(rights, abs=0.02)
    assert [row["lr"] for row in rows] == [step.lr for step in run.timeline]
    assert trained.how["precision"] == ("bf16" if casts else "float32")


def beginnings(specs):
    """Every epoch that must be trained, as all that led to it."""
    return {
        (spec.prefix_key, spec.timeline[: i + 1])
        for spec in specs
        for i, part in enumerate(spec.timeline)
        if isinstance(part, Step)
    }


def test_a_sweep_equals_each_run_trained_alone_bit_for_bit_and_trains_no_epoch_twice(
    each_alone, epochs_trained
):
    reported = []
    found = grown(GRID, MEASURES, report=lambda spec, row: reported.append(row))
    assert found == each_alone
    assert len(epochs_trained) == len(beginnings(GRID))
    assert sum("epoch" in row for row in reported) == len(epochs_trained)
    assert not files()
    losses = [tuple(row["train_loss"] for row in values["curve"]) for values, _ in found.values()]
    assert len({*losses}) == len(GRID) - 1  # two of them have the same steps


@pytest.mark.parametrize(
    ("first", "after", "every", "lost"), [(TREE, 45, TREE, 1), (STACK[4:6], 8, STACK[4:], 2)]
)
def test_a_stopped_sweep_goes_on_where_it_was(
    first, after, every, lost, each_alone, stop_after, epochs_trained
):
    """And networks of a stack that are behind catch up. Each loses the epoch that broke off."""
    found, context = {}, Context("cpu", workers=1, stop=stop_after(after))
    with pytest.raises(Cancelled):
        found.update((run, outcome(one)) for run, one in train_all(first, context))
    found |= grown([run for run in every if run not in found])
    assert found == {run: (each_alone[run][0], {}) for run in every}
    assert len(epochs_trained) == len(beginnings(every)) + lost


def test_a_damaged_checkpoint_is_not_used_and_one_that_nobody_came_back_for_is_forgotten(
    each_alone, stop_after, epochs_trained, monkeypatch
):
    run, other, told = TREE[1], TREE[8], []
    with pytest.raises(Cancelled):
        grown([run], stop=stop_after(4))
    [path] = files()
    content = path.read_bytes()
    middle = len(content) // 2
    for damaged in (content[:middle], content[:middle] + b"?" + content[middle + 1 :]):
        path.write_bytes(damaged)
        assert grown([run], MEASURES) == {run: each_alone[run]}
        assert not files()
    monkeypatch.setattr("cplab.engine.checkpoints.write", lambda *_: told.append(time.sleep(0.3)))
    grown([TREE[2]])
    assert told == [None]  # a slow disk is written to less often
    path.write_bytes(content)
    with pytest.raises(Cancelled):
        grown([run], stop=stop_after(4))
    assert path.read_bytes() == content  # and a full one keeps what it has
    monkeypatch.setattr("cplab.engine.sweep.STRETCH", 2)
    told.clear()
    grown([run], report=lambda *_: told.append(len(epochs_trained)))
    assert told[0] == told[1] == told[2] - 1  # what was trained before is told at once
    path.write_bytes(content)
    for days, left in ((6, [path]), (8, [])):
        old = time.time() - days * 24 * 3600
        os.utime(path, (old, old))
        grown([other])
        assert files() == left


def test_one_that_diverges_takes_only_what_grows_on_it(each_alone, monkeypatch):
    once, some = train.train_epoch, TREE[:5] + STACK
    lost = {run for run in some if run.deficit == "noise" and run.seed < 2}

    def diverge(lives, step, *rest):
        rows = once(lives, step, *rest)
        for life, row in zip(lives, rows, strict=True):
            if step.deficit.name == "noise" and life.run.seed < 2:
                row["train_loss"] = math.nan
        return rows

    monkeypatch.setattr(train, "train_epoch", diverge)
    kept = {run: each_alone[run] for run in some if run not in lost}
    assert grown(some, MEASURES) == kept
    assert not files()


def test_somebody_else_s_settings_of_torch_change_no_bit_and_stay(each_alone):
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(3)
    random = torch.get_rng_state()
    try:
        with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
            assert grown(GRID[3:5], MEASURES) == {run: each_alone[run] for run in GRID[3:5]}
            assert not torch.is_grad_enabled()
        assert (torch.get_default_dtype(), torch.get_num_threads()) == (torch.float64, 3)
        assert torch.equal(torch.get_rng_state(), random)
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_num_threads(1)


def test_measuring_changes_nothing_and_is_of_the_network_after_that_epoch(
    each_alone, stop_after, epochs_trained
):
    run, name = TREE[1], "weight_norms"
    norms = alone(run, {name: "every"})[1][name]
    for epoch in range(run.epochs):
        values, measured = alone(run, {name: (epoch, 99)})
        assert (values, measured[name]) == (each_alone[run][0], {epoch: norms[epoch]})
        ended = train_stretch(run, epoch + 1, measures={name: "every"})
        assert without_times(ended.rows[-1]["measured"])[name] == norms[epoch]
    for first in ((0, 1), (0,)):  # a checkpoint without a wanted measurement is not used
        with pytest.raises(Cancelled):  # two epochs of three batches are done
            grown([run], {name: first}, stop=stop_after(7))
        del epochs_trained[:]
        assert grown([run], {name: (0, 1)})[run][1] == {name: {0: norms[0], 1: norms[1]}}
        assert len(epochs_trained) == run.epochs - 2 * (first == (0, 1))


class Asking(nn.Linear):
    """A network that looks at its numbers, which vmap cannot take."""

    def __init__(self, width, channels, size, classes):
        super().__init__(channels * size * size, classes)

    def forward(self, x):
        return super().forward(x.flatten(1)) * (1 + float(x.sum() > 1e9))


def test_a_network_that_cannot_be_stacked_is_trained_alone():
    for model in (Asking, "fc-20"):
        specs = [Run("mosaic", 0, 1, seed=seed, model=model, **TINY) for seed in range(2)]
        assert not is_stacked(specs[0], specs[0].timeline[0])
        assert grown(specs) == {spec: alone(spec) for spec in specs}


def test_an_early_blur_harms_and_a_late_one_less():
    """The critical period itself: seeds that nobody looked at when the digits were chosen."""
    how = {"recovery": 60, "profile": "tiny", "images": 100}
    windows = ("mosaic", 0, 150), ("none", 0, 0), ("mosaic", 40, 150), ("none", 40, 0)
    runs = [Run(*window, seed=seed, **how) for window in windows for seed in range(40, 45)]
    found = grown(runs)
    right = [100 * found[run][0]["accuracy"] for run in runs]
    early, newborn, late, older = np.reshape(right, (4, 5)).mean(1)
    assert newborn - early > 4
    assert older - late < newborn - early - 2


def tensors():
    gc.collect()
    return sum(isinstance(thing, torch.Tensor) for thing in gc.get_objects())


@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt])
def test_whatever_ends_a_training_no_tensor_stays_alive(error, monkeypatch):
    specs, once = [Run("mosaic", 0, 1, seed=s, **TINY) for s in range(3)], Passes.step_by_step
    grown(specs)  # images stay, for the next training
    before = tensors()

    def step(*given):
        once(*given)
        raise error("no more")

    monkeypatch.setattr(Passes, "step_by_step", step)
    with pytest.raises(BaseException, match="no more") as caught:
        grown(specs)
    assert caught.tb  # a notebook keeps the last error, with its frames
    assert tensors() <= before
