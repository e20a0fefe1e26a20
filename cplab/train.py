"""The training loop of one run.

Every random number and learning rate is a function of (seed, epoch), and a checkpoint holds all
that an epoch passes on to the next.
"""

import hashlib
import math
import threading
import time
import timeit
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cplab import checkpoints, data, deficits, devices, fisher, models
from cplab.experiment import PROFILES, CplabError, Run
from cplab.gradients import gradients

EVALUATED = {"cuda": 2500}  # test images at a time


class Cancelled(CplabError):
    """Training was stopped; it goes on from its last checkpoint when asked again."""

    exit_code = 130


class Diverged(CplabError):
    """The loss is no longer finite."""

    exit_code = 1


# The loop ---------------------------------------------------------------------------------------


def mix(*parts) -> int:
    """A seed for torch's generators out of several numbers."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:7])


_seeding = threading.Lock()


@contextmanager
def seeded(seed: int):
    """torch's own generator, started from `seed` for one thread at a time and put back after."""
    with _seeding, torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


def start(run: Run, device: torch.device) -> tuple[nn.Module, torch.optim.Optimizer]:
    """Network and optimiser at epoch 0: the same initial weights for all runs of a seed."""
    images = data.images(run.dataset, run.profile, device)
    with seeded(mix(run.seed)):
        net = models.build(run.model, len(images.mean), run.settings.size).to(device)
    return net, optimizer_of(run, net)


def optimizer_of(run: Run, net: nn.Module) -> torch.optim.Optimizer:
    p = run.settings
    how = {"lr": 0.0, "weight_decay": p.weight_decay, "fused": True}
    if run.optimizer == "adam":
        return torch.optim.Adam(net.parameters(), **how)
    return torch.optim.SGD(net.parameters(), momentum=p.momentum, **how)


def batches(run: Run, epoch: int, images: data.Images) -> Iterator[tuple[Tensor, Tensor]]:
    """One epoch of training data on its device: shuffled, shifted, mirrored, under the deficit.

    Yields images (batch, C, H, W), normalised, channels last, and labels (batch,).
    """
    p, step, device = run.settings, run.steps[epoch], images.train_x.device
    count, size = len(images.train_y), p.size
    random = torch.Generator().manual_seed(mix(run.seed, epoch))
    order = torch.randperm(count, generator=random).to(device)
    shift = torch.randint(2 * p.shift + 1, (2, count), generator=random).to(device)
    mirror = (torch.rand(count, generator=random) < 0.5 * p.mirror).to(device)
    padded = F.pad(images.train_x, (0, 0, *[p.shift] * 4))
    picture, row, column, _ = padded.stride()
    crops = padded.as_strided(  # every crop of every image, as a view
        (count, 2 * p.shift + 1, 2 * p.shift + 1, size, size, padded.shape[3]),
        (picture, row, column, row, column, 1),
    )
    for index in order.split(p.batch):
        x = crops[index, shift[0, index], shift[1, index]]
        x = torch.where(mirror[index, None, None, None], x.flip(2), x)
        x, y = images.normal(x), images.train_y[index]
        yield deficits.see(x, y, step.deficit, index, run.seed, count, epoch)


def train_epoch(
    run: Run, epoch: int, images: data.Images, net, optimizer, stop: threading.Event | None = None
) -> float:
    """One epoch of SGD. Returns the mean training loss. Raises Cancelled or Diverged."""
    net.train()
    for group in optimizer.param_groups:
        group["lr"] = run.steps[epoch].lr
    total = torch.zeros((), device=images.train_x.device)
    for x, y in batches(run, epoch, images):
        if stop is not None and stop.is_set():
            raise Cancelled("stopped: ask for the same run again to go on from its last checkpoint")
        loss = gradients(net, run.arithmetic, x, y)
        optimizer.step()
        total += loss * len(y)
    mean = total.item() / len(images.train_y)
    if not math.isfinite(mean):
        raise Diverged(
            f"the loss is {mean} at epoch {epoch} (learning rate {run.steps[epoch].lr:.3g}): "
            f"no record is kept of {run.canonical}; take a smaller learning rate"
        )
    return mean


@torch.inference_mode()
def evaluate(
    net: nn.Module, images: data.Images, arithmetic: str = "native", batch: int | None = None
) -> float:
    """The fraction of clear test images that the network names rightly.

    Arguments: arithmetic, as of a Run; batch, images at a time: as many as keep a GPU busy, fewer
        on a CPU, if not given.
    """
    net.eval()
    device = images.test_x.device
    batch = batch or EVALUATED.get(device.type, 500)
    right = torch.zeros((), dtype=torch.long, device=device)
    for x, y in zip(images.test_x.split(batch), images.test_y.split(batch), strict=True):
        with devices.autocast(device, arithmetic):
            logits = net(images.normal(x))
        right += (logits.argmax(1) == y).sum()
    return right.item() / len(images.test_y)


class Trajectory(NamedTuple):
    """What training leaves behind, and how it came about.

    rows: one for each epoch: epoch, lr, train_loss, test_accuracy (0 to 1), seconds; where the run
        asks for it, what fisher.along measured.
    final: what fisher.at_end measured, if a run that asks for it ends there.
    """

    rows: list[dict]
    copy: str  # of the data set
    device: str
    precision: str
    threads: int
    checkpoint: Path | None  # of its end, if it was to be kept
    final: dict | None = None


@devices.failures_named()
def checkpoint_names(run: Run, device: torch.device) -> list[Path]:
    """The run's checkpoints on this device: number format and threads are part of the bits."""
    images = data.images(run.dataset, run.profile, device)
    return checkpoints.names((*run.origin, *bits(images, device, run.arithmetic)), run.steps)


def bits(images: data.Images, device: torch.device, arithmetic: str = "native") -> tuple:
    """What a result depends on to the last bit, besides what it is of."""
    threads = 0 if device.type == "cuda" else torch.get_num_threads()  # no matter to a GPU
    return images.copy, device.type, devices.in_bf16(arithmetic, device), threads


@devices.failures_named()
def advance(
    run: Run,
    end: int,
    *,
    device: torch.device,
    keep: bool = False,
    ends: bool = True,
    stop: threading.Event | None = None,
    report: Callable[[Run, dict], None] = lambda run, row: None,
) -> "Trajectory":
    """Train `run` from its deepest checkpoint up to epoch `end` (exclusive).

    Arguments: keep, leave a checkpoint of the end for branches; ends, whether a run ends there;
        stop, checked before each batch; report, called with (run, row) after each epoch.
    Returns: the Trajectory from epoch 0.
    Raises: Cancelled, Diverged, Exhausted.
    """
    images = data.images(run.dataset, run.profile, device)
    precision = "bf16" if devices.in_bf16(run.arithmetic, device) else "float32"
    threads = torch.get_num_threads()
    names = checkpoint_names(run, device)
    net, optimizer = start(run, device)
    rows, state, path = checkpoints.read(names[: end + 1])
    if rows:
        checkpoints.load(state, net, optimizer)
    on_the_way = checkpoints.OnTheWay(path)
    for row in rows:
        report(run, row)
    for epoch in range(len(rows), end):
        began = time.perf_counter()
        loss = train_epoch(run, epoch, images, net, optimizer, stop)
        accuracy = evaluate(net, images, run.arithmetic)
        rows.append(
            {
                "epoch": epoch,
                "lr": run.steps[epoch].lr,
                "train_loss": loss,
                "test_accuracy": accuracy,
                "seconds": time.perf_counter() - began,
            }
        )
        if run.traced(epoch):
            rows[-1] |= measured(fisher.along, net, images, run, epoch)
        last = epoch == end - 1
        if keep and last:
            checkpoints.save(names[epoch + 1], checkpoints.tensors_of(net, optimizer), rows)
        elif not last and on_the_way.due:
            on_the_way.save(names[epoch + 1], checkpoints.tensors_of(net, optimizer), rows)
        report(run, rows[-1])
    last, final = names[end] if keep else None, None
    if ends and run.trace != "none":
        try:
            final = measured(fisher.at_end, net, images, run, end - 1)
        except Diverged:  # nobody goes on from here
            checkpoints.forget(last)
            checkpoints.forget(on_the_way.path)
            raise
    checkpoints.forget(on_the_way.path)
    return Trajectory(rows, images.copy, devices.machine(device), precision, threads, last, final)


def measured(measure: Callable, net, images: data.Images, run: Run, epoch: int) -> dict:
    """What `measure` finds. Raises Diverged if the network gives nothing to measure."""
    try:
        return measure(net, images)
    except CplabError as error:
        raise Diverged(
            f"no Fisher information after epoch {epoch} ({error}): no record is kept of "
            f"{run.canonical}; ask without the trace, or take a smaller learning rate"
        ) from error


def seconds_per_epoch(run: Run, device: str) -> float:
    """Of training and testing, from a few steps timed on random images."""
    return timed_epoch(run.model, run.profile, run.dataset, device)


def seconds_per_trace(run: Run, device: str) -> float:
    """Of one measurement along the way, from one on random images."""
    return timed_trace(run.model, run.profile, run.dataset, device)


def seconds_per_end(run: Run, device: str) -> float:
    """Of what is measured after the last epoch, from a part of it on random images."""
    return timed_end(run.model, run.profile, run.dataset, device)


def stand_in(model: str, profile: str, dataset: str, device: torch.device, count: int):
    """A network of these fields, and random images for it."""
    p, channels = PROFILES[profile], 1 if "mnist" in dataset else 3
    with seeded(0):
        net = models.build(model, channels, p.size).to(device)
        x = torch.randn(count, channels, p.size, p.size)
    return net, x.to(device, memory_format=torch.channels_last)


@lru_cache
@devices.failures_named()
def timed_trace(model: str, profile: str, dataset: str, device: str) -> float:
    few = 20
    net, x = stand_in(model, profile, dataset, torch.device(device), few)
    parts = ((fisher.trace, fisher.TRACED), (fisher.log_determinant, fisher.FACTORED))
    return sum(
        images / few * min(timeit.repeat(partial(measure, net, x), number=1, repeat=3))
        for measure, images in parts
    )


@lru_cache
@devices.failures_named()
def timed_end(model: str, profile: str, dataset: str, device: str) -> float:
    few = 20
    net, x = stand_in(model, profile, dataset, torch.device(device), few)
    y = torch.zeros(few, dtype=torch.long, device=device)
    noise = partial(fisher.information, net, x, draws=2, batch=few)  # 3 passes; at_end's are 51
    seconds = 51 * 100 / (3 * few) * min(timeit.repeat(noise, number=1, repeat=3))
    with suppress(ImportError, CplabError):
        seconds += (
            fisher.CURVED / few * timeit.timeit(partial(fisher.sharpness, net, x, y), number=1)
        )
    return seconds


@lru_cache
@devices.failures_named()
def timed_epoch(model: str, profile: str, dataset: str, device: str) -> float:
    p, where = PROFILES[profile], torch.device(device)
    net, x = stand_in(model, profile, dataset, where, p.batch)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.0, momentum=0.9, fused=True)
    y = torch.zeros(p.batch, dtype=torch.long, device=where)

    def step() -> float:
        loss = gradients(net, "native", x, y)
        optimizer.step()
        return loss.item()  # waits for the device

    def look() -> float:
        with torch.inference_mode(), devices.autocast(where):
            return net(x).sum().item()

    return sum(
        images / p.batch * min(timeit.repeat(work, number=2, repeat=4)) / 2
        for work, images in ((step, p.train_images), (look, p.test_images))
    )
