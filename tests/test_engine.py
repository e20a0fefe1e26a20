"""The engine: epochs, steps, measurements, and trees and stacks that equal each run alone."""

import gc
import hashlib
import math
import os
import time
from dataclasses import replace
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest
import torch
from conftest import a_run, grown, outcome, random_images, train_stretch
from torch import nn

import cplab
from cplab.base import devices
from cplab.base.errors import Cancelled
from cplab.base.files import cache_dir
from cplab.deficits import Batch
from cplab.engine import train
from cplab.engine.network import Stretch
from cplab.engine.stack import is_stacked
from cplab.engine.sweep import Context, train_all, training_of
from cplab.results.result import without_times
from cplab.runs import Run, Step
from cplab.runs.tasks import Classification

CPU = torch.device("cpu")

pytestmark = pytest.mark.usefixtures("small_mnist", "nothing_shipped")

TINY: dict = {"profile": "tiny", "dataset": "mnist", "recovery": 2}
# Runs that share beginnings in every way: branches at each epoch, ends inside other runs, two runs
# of the same steps, two seeds, a second window; an optimizer, two eyes, treatments.
TREE = [
    a_run("blur", 0, 0),
    a_run("blur", 0, 1),
    a_run("blur", 0, 3),
    a_run("noise", 1, 1),
    a_run("noise", 1, 2),
    a_run("flip", 0, 2, windows=[("blank", 2, 1)]),
    a_run("permute", 2, 1),
    a_run("blur", 0, 3, seed=1),
    a_run(schedule="fixed", onset=1, recovery=1),
    a_run(schedule="fixed", onset=0, recovery=2),
    a_run(schedule="fixed", onset=1, recovery=2),
    a_run("blur", 0, 1, optimizer="adam"),
    a_run("blank:left", 1, 1, model="eyes-4"),
    a_run("flip", 0, 2),
    a_run("flip", 0, 2, treatments="renorm@2"),
    a_run("flip", 0, 2, treatments="shrink-0.4@2"),
    a_run("flip", 0, 2, treatments="held@0 rate-2@2"),
    a_run("flip", 0, 2, treatments="images-0.5@1 decay-0@2 unaugmented@2"),
    a_run("flip", 0, 2, model="resnet18-3", treatments="renorm@2"),
]
LONG = TREE[1]  # a run of three epochs
# Seeds side by side: four of each of two runs, and seven that Adam trains, of which five are tested
# at a time.
STACK = [Run("noise", 1, n, seed=s, images=50, **TINY) for n in (0, 2) for s in range(4)]
ADAM = {"treatments": "shrink-0.5@2 rate-2@1", "batch": 50, "optimizer": "adam", **TINY}
WIDE = [Run("fresh_noise", 1, 2, seed=seed, images=100, **ADAM) for seed in range(7)]
GRID = TREE + STACK + WIDE

NORMS = "weight_norms"
MEASURES = {NORMS: "end"}


def alone(spec, measures=None):
    """The values and measurements of a spec that is trained alone."""
    stretch = train_stretch(spec, len(spec.timeline), measures=measures, last=True)
    return outcome(training_of(spec, stretch))


@pytest.fixture(scope="session")
def each_alone(elsewhere):
    return elsewhere(lambda: {run: alone(run, MEASURES) for run in GRID})[0]


def checkpoint_files():
    return sorted((cache_dir() / "checkpoints").glob("*"))


# What the network is shown ------------------------------------------------------------------------


def batches(run, epoch, images=None):
    """What the loop gives the network: images and labels under the deficit of the epoch."""
    images = images or random_images(300, classes=300)
    step = run.timeline[epoch]
    shown = []
    for index, x in run.task.batches(epoch, step, images):
        batch = Batch(index, run.seed, epoch, len(images.train_y))
        shown.append(step.deficit(x, images.train_y[index], batch))
    return shown


def epoch_of(run, epoch, images=None):
    """Images and labels of an epoch: (N, C, H, W) and (N,)."""
    x, y = zip(*batches(run, epoch, images), strict=True)
    return torch.cat(x), torch.cat(y)


@pytest.fixture(scope="module")
def ways():
    """In which ways each of 300 images is shown, (2, 3, 3, 300): mirrored or not, and the row and
    column at which a crop of the zero-padded image begins."""
    size = 8
    shift = 1
    images = random_images(300, size, classes=300)
    x, y = epoch_of(a_run(dataset="practice"), 0, images)
    padded = nn.functional.pad(images.train_x[y].permute(0, 3, 1, 2), [shift] * 4)
    crops = padded.unfold(2, size, 1).unfold(3, size, 1).permute(2, 3, 0, 1, 4, 5)
    same = torch.stack([crops == x, crops.flip(-1) == x])
    return same.flatten(4).all(4)


def test_an_image_is_a_crop_of_its_zero_padded_self_and_half_are_mirrored(ways):
    assert (ways.sum((0, 1, 2)) == 1).all()  # in exactly one way each
    assert ways.any(3).all()  # and each way is one of some image
    assert 100 < ways[1].sum() < 200


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


def test_an_epoch_has_every_image_once_and_the_last_batch_has_the_rest():
    labels = [y for _, y in batches(a_run(seed=3), 1)]
    assert sorted(torch.cat(labels).tolist()) == list(range(300))
    assert [len(y) for y in labels] == [128, 128, 44]


def test_the_data_stay_what_they_are_to_the_pixel():
    """Order, crops and mirroring: all results depend on them."""
    x, y = epoch_of(a_run(seed=3), 1)
    digest = hashlib.sha256(x.byte().numpy().tobytes() + y.numpy().tobytes()).hexdigest()[:12]
    assert digest == "64b4849eba20", (
        "the same run is now shown other data: if that is on purpose, raise Run.version by one, "
        "train and ship the results again, and pin the new value here"
    )


class Trained(NamedTuple):
    """A run, whether its weights are cast to bfloat16, what training gives, and what torch does."""

    run: Run
    casts: bool
    stretch: Stretch
    losses: list[float]  # the mean of each epoch
    rights: list[float]  # the part of the test images that is right after it


@pytest.fixture(
    scope="module",
    params=[
        ({"momentum": 0, "model": "depth2-4", "deficit": "permute"}, False),
        ({"model": "resnet18", "weight_decay": 0.15}, False),
        ({"optimizer": "adam", "model": "fc-20"}, False),
        ({"schedule": "fixed", "batch": 100}, True),
        ({"schedule": "fixed", "model": "fc-20", "arithmetic": "float32"}, True),
        ({"profile": "tiny", "deficit": "mosaic", "images": 300}, False),
    ],
    ids=str,
)
def trained(request, elsewhere):
    fields, native = request.param
    usual = {"deficit": "blur", "onset": 1, "length": 1, "schedule": "paper", "weight_decay": 0.3}
    run = a_run(**(usual | fields))
    casts = native and run.arithmetic == "native"

    def work():
        stretch = train_stretch(run, run.epochs)
        return Trained(run, casts, stretch, *trained_by_torch(run, casts))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(devices, "has_bf16", lambda device: native)
        return elsewhere(work)[0]


def test_training_is_torch_s_optimizer_batch_by_batch(trained):
    """In bfloat16 weights are cast anew for each batch."""
    tolerance = 3e-3 if trained.casts or "resnet" in trained.run.model else 1e-4
    rows = trained.stretch.rows
    assert [row["train_loss"] for row in rows] == pytest.approx(trained.losses, rel=tolerance)
    assert [row["test_accuracy"] for row in rows] == pytest.approx(trained.rights, abs=0.02)
    assert [row["lr"] for row in rows] == [step.lr for step in trained.run.timeline]
    precision = "bf16" if trained.casts else "float32"
    assert trained.stretch.provenance["precision"] == precision


def trained_by_torch(run, casts):
    """The mean loss of each epoch, and the part of the test images that is right after it."""
    images = run.task.images(CPU)
    net = run.task.birth(CPU).net
    decay = run.settings.weight_decay
    if run.optimizer == "adam":
        optimizer = torch.optim.Adam(net.parameters(), weight_decay=decay)
    else:
        optimizer = torch.optim.SGD(net.parameters(), weight_decay=decay, momentum=run.momentum)
    losses = [0.0] * run.epochs
    rights = []
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
    return losses, rights


# Trees and stacks ---------------------------------------------------------------------------------


def beginnings(specs):
    """Every epoch that must be trained, as all that led to it."""
    epochs = set()
    for spec in specs:
        for place, part in enumerate(spec.timeline):
            if isinstance(part, Step):
                epochs.add((spec.prefix_key, spec.timeline[: place + 1]))
    return epochs


@pytest.fixture(scope="module")
def swept(elsewhere):
    """What a sweep of all gives; the rows that it reports; the epochs that it trains; the
    checkpoints that it leaves."""
    train_epoch = train.train_epoch
    trained = []

    def counting(trainings, *rest):
        trained.extend(trainings)
        return train_epoch(trainings, *rest)

    def sweep():
        reported = []
        outcomes = grown(GRID, MEASURES, tell=lambda spec, row: reported.append(row))
        return SimpleNamespace(outcomes=outcomes, reported=reported, left=checkpoint_files())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "train_epoch", counting)
        record, _ = elsewhere(sweep)
    record.epochs = len(trained)
    return record


def test_a_sweep_equals_each_run_trained_alone_bit_for_bit(swept, each_alone):
    assert swept.outcomes == each_alone


def test_a_sweep_trains_and_reports_each_epoch_once_and_leaves_no_checkpoint(swept):
    assert swept.epochs == len(beginnings(GRID))
    assert sum("epoch" in row for row in swept.reported) == swept.epochs
    assert swept.left == []


def test_different_runs_have_different_curves(swept):
    curves = set()
    for values, _ in swept.outcomes.values():
        curves.add(tuple(row["train_loss"] for row in values["curve"]))
    assert len(curves) == len(GRID) - 1  # two of them have the same steps


@pytest.mark.parametrize(
    ("begun", "batches", "wanted", "broken_off"),
    [(TREE[:8], 20, TREE[:8], 1), (STACK[4:6], 8, STACK[4:], 2)],
    ids=["a tree", "two of a stack, and then four"],
)
def test_a_stopped_sweep_goes_on_where_it_was(
    begun, batches, wanted, broken_off, each_alone, stop_after, epochs_trained
):
    """Only the epochs that were broken off by the stop, after so many batches, are trained twice;
    networks of a stack that are behind catch up."""
    outcomes = {}
    context = Context("cpu", workers=1, stop=stop_after(batches))
    with pytest.raises(Cancelled):
        outcomes.update((run, outcome(training)) for run, training in train_all(begun, context))
    outcomes |= grown([run for run in wanted if run not in outcomes])
    assert outcomes == {run: (each_alone[run][0], {}) for run in wanted}  # nothing is measured
    assert len(epochs_trained) == len(beginnings(wanted)) + broken_off
    assert not checkpoint_files()


@pytest.fixture
def checkpoint(stop_after):
    """Path and content of the checkpoint of a run that was stopped in its second epoch."""
    with pytest.raises(Cancelled):
        grown([LONG], stop=stop_after(4))
    [path] = checkpoint_files()
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
    assert grown([LONG], MEASURES) == {LONG: each_alone[LONG]}


def test_a_full_disk_keeps_the_checkpoint_that_it_has(checkpoint, stop_after, monkeypatch):
    path, content = checkpoint
    monkeypatch.setattr("cplab.engine.checkpoints.write", lambda *_: None)
    with pytest.raises(Cancelled):
        grown([LONG], stop=stop_after(4))
    assert path.read_bytes() == content


def test_the_epochs_of_a_checkpoint_are_reported_with_the_next_one(checkpoint, monkeypatch):
    monkeypatch.setattr("cplab.engine.sweep.STRETCH", 2)
    told = []  # how many epochs at a time
    for _ in train_all([LONG], Context("cpu"), tell=lambda rows: told.append(len(rows))):
        pass
    assert told == [2] + [1] * (LONG.epochs - 2)


@pytest.mark.parametrize(("days", "stays"), [(6, True), (8, False)])
def test_an_unused_checkpoint_is_removed_after_a_week(days, stays, checkpoint):
    path, _ = checkpoint
    then = time.time() - days * 24 * 3600
    os.utime(path, (then, then))
    grown([TREE[8]])
    assert path.exists() == stays


@pytest.fixture
def noise_diverges(monkeypatch):
    """Under noise the losses of seeds 0 and 1 are no numbers."""
    train_epoch = train.train_epoch

    def diverge(trainings, step, *rest):
        rows = train_epoch(trainings, step, *rest)
        for training, row in zip(trainings, rows, strict=True):
            if step.deficit.name == "noise" and training.run.seed < 2:
                row["train_loss"] = math.nan
        return rows

    monkeypatch.setattr(train, "train_epoch", diverge)


@pytest.mark.usefixtures("noise_diverges")
def test_a_diverging_run_ends_only_its_own_branches(each_alone):
    specs = TREE[:5] + STACK
    kept = {}
    for run in specs:
        if run.deficit != "noise" or run.seed >= 2:
            kept[run] = each_alone[run]
    assert grown(specs, MEASURES) == kept
    assert not checkpoint_files()


class Flat(nn.Linear):
    """A network that is no chain of layers."""

    def __init__(self, width, channels, size, classes):
        super().__init__(channels * size * size, classes)

    def forward(self, x):
        return super().forward(x.flatten(1))


@pytest.mark.parametrize("model", [Flat, "fc-20"])
def test_a_network_that_is_no_chain_is_trained_alone(model):
    specs = [Run("mosaic", 0, 1, seed=seed, model=model, **TINY) for seed in range(2)]
    assert not is_stacked(specs[0])
    assert grown(specs) == {spec: alone(spec) for spec in specs}


# What other code does -----------------------------------------------------------------------------


def test_modes_of_other_code_around_it_change_no_bit_and_are_left_as_they_are(each_alone):
    runs = TREE[3:5]
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        outcomes = grown(runs, MEASURES)
        assert not torch.is_grad_enabled()
    assert outcomes == {run: each_alone[run] for run in runs}


class Dropping(nn.Sequential):
    """A network that draws in each pass."""

    def __init__(self, width, channels, size, classes):
        layers = nn.Linear(channels * size * size, width), nn.ReLU(), nn.Dropout()
        super().__init__(nn.Flatten(), *layers, nn.Linear(width, classes))


def noisy(x, y):
    import random

    import numpy as np

    return x + random.random() * torch.randn_like(x) + float(np.random.rand()), y


@pytest.mark.parametrize(
    "drawing", [{"model": Dropping}, {"deficit": noisy}], ids=["a network", "a deficit"]
)
def test_what_a_student_s_function_draws_is_decided_by_seed_epoch_and_batch(drawing, stop_after):
    """It is the same whatever was drawn before, in a sweep, alone, and after a stop."""
    runs = [Run("mosaic", 0, 4, **TINY, seed=seed).replace(**drawing) for seed in range(2)]
    together = grown(runs)
    torch.manual_seed(7)
    assert {run: alone(run) for run in runs} == together
    assert together[runs[0]] != together[runs[1]]
    with pytest.raises(Cancelled):
        grown(runs[:1], stop=stop_after(6))
    assert grown(runs[:1])[runs[0]] == together[runs[0]]


def clocked(x, y):
    return x * (time.perf_counter() % 1), y


def test_what_a_clock_decides_belongs_to_this_session(own_cache):
    run = a_run(clocked, 0, 1)
    with pytest.warns(UserWarning, match="belongs to this session"):
        result = cplab.run(run, device="cpu")
    assert cplab.find(run).accuracy == result.accuracy
    assert not [*own_cache.rglob("*.json*")]


# Measurements -------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def norms_by_epoch(elsewhere):
    """{epoch: norms} of a run that is measured after every epoch."""
    _, measured = elsewhere(lambda: alone(LONG, {NORMS: "every"}))[0]
    return measured[NORMS]


@pytest.mark.parametrize("epoch", range(LONG.epochs))
def test_a_measurement_is_of_the_network_after_its_epoch_and_changes_nothing(
    epoch, each_alone, norms_by_epoch
):
    values, measured = alone(LONG, {NORMS: (epoch, 99)})  # the run ends before epoch 99
    assert values == each_alone[LONG][0]
    assert measured[NORMS] == {epoch: norms_by_epoch[epoch]}
    stretch = train_stretch(LONG, epoch + 1, measures={NORMS: "every"})
    assert without_times(stretch.rows[-1]["measured"])[NORMS] == norms_by_epoch[epoch]


@pytest.mark.parametrize(("first", "saved"), [((0, 1), 2), ((0,), 0)], ids=["with", "without"])
def test_a_checkpoint_is_used_if_it_has_all_measurements(
    first, saved, norms_by_epoch, stop_after, epochs_trained
):
    with pytest.raises(Cancelled):  # two epochs of three batches are done
        grown([LONG], {NORMS: first}, stop=stop_after(7))
    epochs_trained.clear()
    _, measured = grown([LONG], {NORMS: (0, 1)})[LONG]
    assert measured == {NORMS: {0: norms_by_epoch[0], 1: norms_by_epoch[1]}}
    assert len(epochs_trained) == LONG.epochs - saved


# The critical period ------------------------------------------------------------------------------


def test_an_early_blur_harms_and_a_late_one_less():
    """In points, each against the run without the window: of seeds that nobody looked at when the
    digits were chosen."""
    windows = [("mosaic", 0, 150), ("none", 0, 0), ("mosaic", 40, 150), ("none", 40, 0)]
    runs = []
    for window in windows:
        run = Run(*window, recovery=60, profile="tiny", images=100)
        runs += [replace(run, seed=seed) for seed in range(40, 45)]
    outcomes = grown(runs)
    points = [100 * outcomes[run][0]["accuracy"] for run in runs]
    early, never_early, late, never_late = np.reshape(points, (4, 5)).mean(1)
    assert never_early - early > 4
    assert never_late - late < never_early - early - 2


# What is left in memory ---------------------------------------------------------------------------


def tensors():
    gc.collect()
    return sum(isinstance(thing, torch.Tensor) for thing in gc.get_objects())


@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt])
def test_no_tensor_stays_alive_after_a_training_that_an_error_ends(error, monkeypatch):
    specs = [Run("mosaic", 0, 1, seed=seed, **TINY) for seed in range(3)]
    usual_loss = Classification.loss
    grown(specs)  # images stay, for the next training
    before = tensors()

    def loss(*given, **options):
        usual_loss(*given, **options)
        raise error("no more")

    monkeypatch.setattr(Classification, "loss", loss)
    with pytest.raises(BaseException, match="no more") as caught:
        grown(specs)
    assert caught.tb  # a notebook keeps the last error, with its frames
    assert tensors() <= before
