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
from conftest import a_run, grown, one_line, outcome, random_images, train_stretch
from torch import nn

from cplab import devices
from cplab.deficits import Batch
from cplab.engine import train
from cplab.engine.stack import is_stacked
from cplab.engine.sweep import Context, train_all, training_of
from cplab.errors import Cancelled
from cplab.files import cache_dir
from cplab.results.result import without_times
from cplab.runs import Run, Step
from cplab.runs.tasks import Classification

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


def test_a_deficit_of_later_epochs_changes_no_image_of_earlier_ones():
    clear = epoch_of(a_run(seed=3), 1)
    assert all(map(torch.equal, epoch_of(a_run("blur", 4, 2, seed=3), 1), clear))


def test_torch_s_own_generator_decides_no_image():
    x, y = epoch_of(a_run(seed=3), 1)
    torch.manual_seed(9)
    assert all(map(torch.equal, epoch_of(a_run(seed=3), 1), (x, y)))


@pytest.mark.parametrize(("seed", "epoch"), [(4, 1), (3, 0)], ids=["seed", "epoch"])
def test_another_seed_or_epoch_has_another_order_and_other_crops(seed, epoch):
    x, y = epoch_of(a_run(seed=3), 1)
    other_x, other_y = epoch_of(a_run(seed=seed), epoch)
    assert not torch.equal(other_y, y)
    assert not torch.equal(other_x[other_y.argsort()], x[y.argsort()])


def test_an_epoch_has_every_image_once():
    _, y = epoch_of(a_run(seed=3), 1)
    assert sorted(y.tolist()) == list(range(300))


def test_the_last_batch_of_an_epoch_has_what_is_left():
    assert [len(labels) for _, labels in batches(a_run(), 0)] == [128, 128, 44]


def test_the_data_stay_what_they_are_to_the_pixel():
    """Order, crops and mirroring: all results depend on them."""
    x, y = epoch_of(a_run(seed=3), 1)
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
    assert trained.provenance["precision"] == ("bf16" if casts else "float32")


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


@pytest.fixture
def checkpoint(stop_after):
    """The checkpoint of a run that was stopped in its second epoch, as a path and its content."""
    with pytest.raises(Cancelled):
        grown([TREE[1]], stop=stop_after(4))
    [path] = files()
    return path, path.read_bytes()


def damage(content, kind):
    """Half of a checkpoint, or one with another byte."""
    middle = len(content) // 2
    if kind == "cut off":
        return content[:middle]
    return content[:middle] + b"?" + content[middle + 1 :]


@pytest.mark.parametrize("kind", ["cut off", "changed"])
def test_a_damaged_checkpoint_is_not_used(kind, checkpoint, each_alone):
    path, content = checkpoint
    path.write_bytes(damage(content, kind))
    assert grown([TREE[1]], MEASURES) == {TREE[1]: each_alone[TREE[1]]}


def test_nothing_is_left_of_a_checkpoint_once_its_run_is_done(checkpoint):
    grown([TREE[1]])
    assert not files()


def test_a_slow_disk_is_written_to_less_often(stop_after, monkeypatch):
    stop_after(math.inf)  # all parts are saved
    written = []
    write = "cplab.engine.checkpoints.write"
    monkeypatch.setattr(write, lambda *_: written.append(time.sleep(0.3)))
    grown([TREE[2]])
    assert len(written) == 1


def test_a_full_disk_keeps_the_checkpoint_that_it_has(checkpoint, stop_after, monkeypatch):
    path, content = checkpoint
    monkeypatch.setattr("cplab.engine.checkpoints.write", lambda *_: None)
    with pytest.raises(Cancelled):
        grown([TREE[1]], stop=stop_after(4))
    assert path.read_bytes() == content


def test_epochs_of_a_checkpoint_are_told_together_with_the_next(
    checkpoint, epochs_trained, monkeypatch
):
    monkeypatch.setattr("cplab.engine.sweep.STRETCH", 2)
    trained = []  # how many epochs, whenever one is told
    grown([TREE[1]], report=lambda *_: trained.append(len(epochs_trained)))
    assert trained[0] == trained[1] == trained[2] - 1


@pytest.mark.parametrize(("days", "stays"), [(6, True), (8, False)])
def test_a_checkpoint_that_nobody_comes_back_for_is_forgotten_in_a_week(days, stays, checkpoint):
    path, _ = checkpoint
    then = time.time() - days * 24 * 3600
    os.utime(path, (then, then))
    grown([TREE[8]])
    assert path.exists() == stays


def test_one_that_diverges_takes_only_what_grows_on_it(each_alone, monkeypatch):
    once, some = train.train_epoch, TREE[:5] + STACK
    lost = {run for run in some if run.deficit == "noise" and run.seed < 2}

    def diverge(trainings, step, *rest):
        rows = once(trainings, step, *rest)
        for training, row in zip(trainings, rows, strict=True):
            if step.deficit.name == "noise" and training.run.seed < 2:
                row["train_loss"] = math.nan
        return rows

    monkeypatch.setattr(train, "train_epoch", diverge)
    kept = {run: each_alone[run] for run in some if run not in lost}
    assert grown(some, MEASURES) == kept
    assert not files()


def test_modes_of_other_code_around_it_change_no_bit(each_alone):
    some = GRID[3:5]
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        assert grown(some, MEASURES) == {run: each_alone[run] for run in some}
        assert not torch.is_grad_enabled()


def test_a_setting_that_changes_during_an_epoch_ends_training(monkeypatch):
    once = Classification.loss

    def loss(*given, **options):
        torch.backends.mkldnn.set_flags(False)
        return once(*given, **options)

    monkeypatch.setattr(Classification, "loss", loss)
    try:
        one_line(lambda: grown([a_run()]), "settings", "oneDNN off", "ask again")
    finally:
        torch.backends.mkldnn.set_flags(True)


NORMS = "weight_norms"


@pytest.fixture(scope="session")
def norms_by_epoch(elsewhere):
    """{epoch: norms} of a run that is measured after every epoch."""
    _, measured = elsewhere(lambda: alone(TREE[1], {NORMS: "every"}))[0]
    return measured[NORMS]


@pytest.mark.parametrize("epoch", range(TREE[1].epochs))
def test_measuring_changes_nothing(epoch, each_alone, norms_by_epoch):
    values, measured = alone(TREE[1], {NORMS: (epoch, 99)})
    assert values == each_alone[TREE[1]][0]
    assert measured[NORMS] == {epoch: norms_by_epoch[epoch]}


@pytest.mark.parametrize("epoch", range(TREE[1].epochs))
def test_a_measurement_is_of_the_network_after_that_epoch(epoch, norms_by_epoch):
    stretch = train_stretch(TREE[1], epoch + 1, measures={NORMS: "every"})
    assert without_times(stretch.rows[-1]["measured"])[NORMS] == norms_by_epoch[epoch]


@pytest.mark.parametrize(("first", "saved"), [((0, 1), 2), ((0,), 0)], ids=["with", "without"])
def test_a_checkpoint_is_used_if_it_has_all_measurements(
    first, saved, norms_by_epoch, stop_after, epochs_trained
):
    run, both = TREE[1], {0: norms_by_epoch[0], 1: norms_by_epoch[1]}
    with pytest.raises(Cancelled):  # two epochs of three batches are done
        grown([run], {NORMS: first}, stop=stop_after(7))
    del epochs_trained[:]
    assert grown([run], {NORMS: (0, 1)})[run][1] == {NORMS: both}
    assert len(epochs_trained) == run.epochs - saved


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
    specs = [Run("mosaic", 0, 1, seed=seed, **TINY) for seed in range(3)]
    once = Classification.loss
    grown(specs)  # images stay, for the next training
    before = tensors()

    def loss(*given, **options):
        once(*given, **options)
        raise error("no more")

    monkeypatch.setattr(Classification, "loss", loss)
    with pytest.raises(BaseException, match="no more") as caught:
        grown(specs)
    assert caught.tb  # a notebook keeps the last error, with its frames
    assert tensors() <= before
