"""The training loop: one life, step by step, from its deepest checkpoint.

Every random number and learning rate is a function of (seed, epoch), and a checkpoint holds all
that an epoch passes on to the next.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event as Flag
from typing import Any

import torch
from torch import Tensor, nn

from cplab import data, devices
from cplab.checks import Cancelled, CplabError, Diverged
from cplab.engine import checkpoints
from cplab.engine.tasks import EVENTS, TASKS, Learner
from cplab.measure import MEASUREMENTS
from cplab.runs import Step
from cplab.specs import canonical

Measures = dict[str, str | tuple[int, ...]]  # name: every, end or the epochs
Report = Callable[[Any, dict], None]
STOPPED = "stopped: ask for the same again to go on from its last checkpoint"


@dataclass
class Context:
    """How lives are trained.

    device: auto, cuda, mps or cpu; workers: processes, as many as pay if not given; stop: once it
    is set, training ends before the next batch; report: called with (spec, row) after each epoch;
    sources: results that specs begin with, by their spec.
    """

    device: str = "auto"
    workers: int | None = None
    stop: Flag = field(default_factory=Flag)
    report: Report = lambda spec, row: None
    sources: dict[Any, Any] = field(default_factory=dict)


@dataclass
class Training:
    """What training leaves behind, and how it came about.

    values: plain data, of the spec; measured: plain data by measurement and epoch; seconds: as if
    the life had been trained alone.
    """

    values: dict
    measured: dict[str, dict[int, Any]]
    seconds: float
    copy: str  # of the data set
    device: str
    precision: str
    threads: int


@dataclass
class Trajectory:
    """The rows of a stretch of training, from epoch 0, and what its end was measured to be.

    rows: of a step part, epoch, lr, train_loss, what the task reports, seconds and, where something
    is, what is measured; of an event part, event, what it returns, seconds. checkpoint: of its end,
    if it is kept. final: what is measured at the end of a life.
    """

    rows: list[dict]
    copy: str
    device: str
    precision: str
    threads: int
    checkpoint: Path | None
    final: dict

    def training(self, spec: Any) -> Training:
        """What this says of a spec whose life ends here."""
        epochs = [row for row in self.rows if "epoch" in row]
        said = [(row["epoch"], row.get("measured", {})) for row in epochs]
        said.append((len(epochs) - 1, self.final))
        measured: dict[str, dict[int, Any]] = {}
        for epoch, found in said:
            for name, value in found.items():
                measured.setdefault(name, {})[epoch] = value
        rows = [{k: v for k, v in row.items() if k != "measured"} for row in self.rows]
        seconds = sum(row["seconds"] for row in rows)
        how = (self.copy, self.device, self.precision, self.threads)
        return Training(spec.values(rows), measured, seconds, *how)


def task_of(spec: Any) -> Any:
    """The task of a life."""
    spec.trainer()  # loads the module that defines it
    return TASKS[spec.task]


def checkpoint_names(spec: Any, device: torch.device) -> list[Path]:
    """The checkpoints of a life, before its first part and after each: named by all that the exact
    result depends on, copy of the data, type of device, precision and threads as well."""
    copy = task_of(spec).images(spec, device).copy
    threads = 0 if device.type == "cuda" else torch.get_num_threads()  # no matter to a GPU
    bf16 = devices.in_bf16(spec.arithmetic, device)
    return checkpoints.names((*spec.trunk_key, copy, device.type, bf16, threads), spec.life)


def gradients(net: nn.Module, arithmetic: str, x: Tensor, y: Tensor, loss_of: Callable) -> Tensor:
    """The gradients of the mean loss of a batch into each weight's `grad`. Returns that loss, ().

    Arguments: net, in training mode; arithmetic, as of a Run; x (N, C, H, W); y (N,); loss_of, from
        what the network gives and y to the mean loss.
    """
    for weight in net.parameters():
        weight.grad = None
    with devices.algorithms(arithmetic):
        with devices.autocast(x.device, arithmetic):
            loss = loss_of(net(x), y)
        loss.backward()
    return loss.detach()


def train_epoch(
    spec: Any,
    epoch: int,
    step: Step,
    images: data.Images,
    learner: Learner,
    stop: Flag | None = None,
) -> float:
    """One epoch of a life. Returns the mean training loss. Raises Cancelled or Diverged."""
    task = task_of(spec)
    learner.net.train()
    for group in learner.optimizer.param_groups:
        group["lr"] = step.lr
    total = torch.zeros((), device=images.train_x.device)
    for x, y in task.batches(spec, epoch, step, images):
        if stop is not None and stop.is_set():
            raise Cancelled(STOPPED)
        loss = gradients(learner.net, spec.arithmetic, x, y, task.loss)
        learner.optimizer.step()
        task.after_step(learner)
        total += loss * len(y)
    mean = total.item() / len(images.train_y)
    if not math.isfinite(mean):
        raise Diverged(
            f"the loss is {mean} at epoch {epoch} (learning rate {step.lr:.3g}): "
            f"no result is kept of {canonical(spec)}; take a smaller learning rate"
        )
    return mean


def due(measures: Measures, row: dict) -> list[str]:
    """What is to be measured after the epoch of a row, wherever the life ends."""
    epoch = row.get("epoch")
    every = [] if epoch is None else measures.items()
    return [name for name, when in every if when == "every" or (when != "end" and epoch in when)]


def take_measurements(names: list[str], spec: Any, epoch: int, net: nn.Module, images: Any) -> dict:
    """Plain data by name. Raises Diverged if the network gives nothing to measure."""
    found = {}
    for name in names:
        try:
            found[name] = MEASUREMENTS[name](net, images)
        except CplabError as error:
            raise Diverged(
                f"no {name} after epoch {epoch} ({error}): no result is kept of {canonical(spec)}; "
                "ask without it, or take a smaller learning rate"
            ) from error
    return found


def begin(
    spec: Any, device: torch.device, names: list[Path], measures: Measures
) -> tuple[Path | None, list[dict], Learner]:
    """The deepest checkpoint that has all measurements and fits, its rows and its learner; those of
    a newborn where there is none."""
    task = task_of(spec)
    for path, rows, state in checkpoints.sound(names):
        if all({*due(measures, row)} <= {*row.get("measured", {})} for row in rows):
            try:
                learner = task.start(spec, device, state)
                checkpoints.load(state, learner)
                return path, rows, learner
            except (KeyError, ValueError, RuntimeError, TypeError):  # of another shape
                checkpoints.forget(path)
    return None, [], task.start(spec, device)


@devices.failures_named()
def advance(
    spec: Any,
    end: int,
    *,
    device: torch.device,
    measures: Measures | None = None,
    keep: bool = False,
    ends: bool = True,
    stop: Flag | None = None,
    report: Report = lambda spec, row: None,
) -> Trajectory:
    """Train a life from its deepest checkpoint up to part `end` (exclusive).

    Arguments: keep, leave a checkpoint of the end for branches; ends, whether a life ends there;
        stop, checked before each batch; report, called with (spec, row) after each part.
    Raises: Cancelled, Diverged, Exhausted.
    """
    measures, task, stop = measures or {}, task_of(spec), stop or Flag()
    images, names = task.images(spec, device), checkpoint_names(spec, device)
    begun, rows, learner = begin(spec, device, names[: end + 1], measures)
    resume = checkpoints.ResumeCheckpoint(begun if begun not in names else None)
    for row in rows:
        report(spec, row)
    for number in range(len(rows), end):
        part, began = spec.life[number], time.perf_counter()
        if stop.is_set():
            raise Cancelled(STOPPED)
        row = {"part": number}
        if isinstance(part, Step):
            epoch = sum("epoch" in row for row in rows)
            loss = train_epoch(spec, epoch, part, images, learner, stop)
            row |= {"epoch": epoch, "lr": part.lr, "train_loss": loss}
            row |= task.report(spec, learner.net, images)
        else:
            row |= {"event": part.name, **EVENTS[part.name](learner, spec, images, *part.args)}
        row["seconds"] = time.perf_counter() - began
        if wanted := due(measures, row):
            row["measured"] = take_measurements(wanted, spec, epoch, learner.net, images)
        rows.append(row)
        if number < end - 1:
            resume.save_when_due(names[number + 1], learner, rows)
        report(spec, row)
    kept = names[end] if keep else None
    if kept and begun != kept:
        checkpoints.save(kept, learner, rows)
    try:
        at_end = [name for name, when in measures.items() if when == "end" and ends]
        final = take_measurements(at_end, spec, end - 1, learner.net, images)
    except Diverged:  # nobody goes on from here
        checkpoints.forget(kept)
        raise
    finally:
        resume.remove()
    precision = "bf16" if devices.in_bf16(spec.arithmetic, device) else "float32"
    where, threads = devices.machine(device), torch.get_num_threads()
    return Trajectory(rows, images.copy, where, precision, threads, kept, final)
