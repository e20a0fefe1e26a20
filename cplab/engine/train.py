"""The training loop: one life, step by step, from its deepest checkpoint."""

import hashlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event as Flag
from typing import Any

import torch

from cplab import data, devices
from cplab.checks import Cancelled, Diverged
from cplab.engine import checkpoints
from cplab.engine.tasks import EVENTS, TASKS, Learner
from cplab.engine.treatments import birth_norms, rescale_layers
from cplab.engine.turns import core_turn
from cplab.measure.measurements import Measures, due_measures, measure_after, try_on_newborn
from cplab.runs import Step
from cplab.specs import canonical, trainer

Report = Callable[[Any, dict], None]
STOPPED = "stopped: ask for the same again to go on from its last checkpoint"


@dataclass
class Context:
    """How lives are trained.

    device: auto, cuda, mps or cpu; workers: processes, as many as pay if not given; client: of a
    Dask cluster, or its address, to train there; stop: once it is set, training ends before the
    next batch; report: called with (spec, row) after each epoch; sources: results that specs begin
    with, by their spec.
    """

    device: str = "auto"
    workers: int | None = None
    stop: Flag = field(default_factory=Flag)
    report: Report = lambda spec, row: None
    sources: dict[Any, Any] = field(default_factory=dict)
    client: Any = None


@dataclass
class Training:
    """What training leaves behind, and how it came about.

    values: plain data, of the spec; measured: plain data by measurement and epoch; seconds: as if
    the life had been trained alone; copy: of the data set.
    """

    values: dict
    measured: dict[str, dict[int, Any]]
    seconds: float
    copy: str
    device: str
    precision: str
    threads: int


@dataclass
class Trajectory:
    """The rows of a stretch of training, from epoch 0.

    rows: of a step part, epoch, lr, train_loss, what the task reports, seconds and, where something
    is, what is measured; of an event part, event, what it returns, seconds. how: `numerics_key`.
    checkpoint: the last one, if there is any. found: those that were there before.
    """

    rows: list[dict]
    how: dict[str, Any]
    checkpoint: Path | None
    found: list[Path]

    def training(self, spec: Any) -> Training:
        """What this says of a spec whose life ends here."""
        measured: dict[str, dict[int, Any]] = {}
        for row in self.rows:
            for name, value in row.get("measured", {}).items():
                measured.setdefault(name, {})[row["epoch"]] = value
        rows = [{k: v for k, v in row.items() if k != "measured"} for row in self.rows]
        return Training(spec.values(rows), measured, sum(r["seconds"] for r in rows), **self.how)


def make_task(spec: Any) -> Any:
    """The task of a life."""
    trainer(spec)  # loads the module that defines it
    return TASKS[spec.task]


def numerics_key(spec: Any, device: torch.device) -> dict[str, Any]:
    """What the exact result of a life depends on besides: copy, device, precision and threads."""
    return {
        "copy": make_task(spec).images(spec, device).copy,
        "device": devices.machine(device),
        "precision": "bf16" if devices.in_bf16(spec.arithmetic, device) else "float32",
        "threads": torch.get_num_threads(),
    }


def checkpoint_names(spec: Any, device: torch.device) -> list[Path]:
    """The checkpoints of a life, before its first part and after each; the same for whoever has
    these parts and conditions in common."""
    digest = repr((*spec.trunk_key, *numerics_key(spec, device).values(), torch.__version__))
    paths = []
    for part in (None, *spec.life):
        digest = hashlib.sha256(f"{digest} {part}".encode()).hexdigest()
        paths.append(checkpoints.folder() / f"{digest[:20]}.checkpoint")
    return paths


def train_epoch(
    spec: Any, epoch: int, step: Step, images: data.Images, learner: Learner, stop: Any = None
) -> float:
    """One epoch of a life. Returns the mean training loss. Raises Cancelled or Diverged."""
    task = make_task(spec)
    learner.net.train()
    norms = birth_norms(spec, learner.net) if step.held else []
    total, seen = torch.zeros((), device=images.train_x.device), 0
    for x, y in task.batches(spec, epoch, step, images):
        if stop and stop.is_set():
            raise Cancelled(STOPPED)
        learner.net.zero_grad()
        with devices.algorithms(spec.arithmetic):
            with devices.autocast(x.device, spec.arithmetic):
                loss = task.loss(learner.net(x), y)
            loss.backward()
        learner.optimizer.step(step.lr, step.decay)
        task.after_step(learner)
        if norms:
            rescale_layers(learner.net, norms)
        total += loss.detach() * len(y)
        seen += len(y)
    mean = total.item() / seen
    if not math.isfinite(mean):
        raise Diverged(
            f"the loss is {mean} at epoch {epoch} (learning rate {step.lr:.3g}): "
            f"no result is kept of {canonical(spec)}; take a smaller learning rate"
        )
    return mean


def load_deepest(
    spec: Any, device: torch.device, found: list[Path], measures: Measures
) -> tuple[Path | None, list[dict], Learner]:
    """The deepest of some checkpoints that is sound, has all measurements and fits, its rows and
    its learner; those of a newborn where there is none."""
    task = make_task(spec)
    for path in reversed(found):
        rows, state = checkpoints.read(path) or ([], None)
        if state and all({*due_measures(measures, r)} <= {*r.get("measured", {})} for r in rows):
            try:
                learner = task.start(spec, device, state)
                checkpoints.load(state, learner)
                return path, rows, learner
            except (KeyError, ValueError, RuntimeError, TypeError):  # of another shape
                checkpoints.forget(path)
    return None, [], task.start(spec, device)


def train_part(
    spec: Any, number: int, rows: list[dict], images: data.Images, learner: Learner, stop: Any
) -> dict:
    """One part of a life after `rows` of the earlier ones. Returns its row."""
    part, began = spec.life[number], time.perf_counter()
    row: dict[str, Any] = {"part": number}
    if isinstance(part, Step):
        epoch = sum("epoch" in row for row in rows)
        loss = train_epoch(spec, epoch, part, images, learner, stop)
        row |= {"epoch": epoch, "lr": part.lr, "train_loss": loss}
        row |= make_task(spec).report(spec, learner.net, images)
    else:
        row |= {"event": part.name, **EVENTS[part.name](learner, spec, images, *part.args)}
    return row | {"seconds": time.perf_counter() - began}


@torch.inference_mode(False)
@torch.enable_grad()
@devices.explain_failures()
def train_to(
    spec: Any,
    end: int,
    *,
    device: torch.device,
    measures: Measures | None = None,
    keep: bool = False,
    ends: bool = True,
    stretch: float = math.inf,
    stop: Flag | None = None,
    report: Callable[[dict], None] = lambda row: None,
) -> Trajectory:
    """Train a life from its deepest checkpoint up to part `end` (exclusive).

    Arguments: keep, leave a checkpoint of the end for branches; ends, whether a life ends there;
        stretch, seconds after which it stops at the next checkpoint, wherever that is; stop,
        checked before each batch; report, called with each row.
    Raises: Cancelled, Diverged, Exhausted.
    """
    measures, task = measures or {}, make_task(spec)
    how, images = numerics_key(spec, device), task.images(spec, device)
    names = checkpoint_names(spec, device)[: end + 1]
    found = [p for n in names[1:] for p in (n, checkpoints.resume_path(n)) if p.exists()]
    begun, rows, learner = load_deepest(spec, device, found, measures)
    rolling = None if begun in names else begun
    start, save_at = time.monotonic(), checkpoints.next_due()
    if not rows:
        try_on_newborn(measures, spec, learner.net, images)
    for row in rows:
        report(row)
    for number in range(len(rows), end):
        if stop and stop.is_set():
            raise Cancelled(STOPPED)
        with core_turn(device, stop):
            row = train_part(spec, number, rows, images, learner, stop)
            measure_after(due_measures(measures, row), spec, row, learner.net, images)
        rows.append(row)
        if number < end - 1 and (now := time.monotonic()) > save_at:
            before, rolling = rolling, checkpoints.resume_path(names[number + 1])
            saved = checkpoints.save(rolling, learner, rows)
            checkpoints.forget(before)
            save_at = checkpoints.next_due(time.monotonic() - now)
            if saved and now > start + stretch:
                return Trajectory(rows, how, rolling, found)
        report(row)
    if keep and begun != names[end]:
        checkpoints.save(names[end], learner, rows)
    if ends and measures:  # if it fails, the last checkpoint stays
        last = next(row for row in reversed(rows) if "epoch" in row)
        again = due_measures(measures, last) if "event" in rows[-1] else []  # of what events left
        at_end = [name for name, when in measures.items() if when == "end" or name in again]
        measure_after(at_end, spec, last, learner.net, images)
    if keep or stretch == math.inf:
        checkpoints.forget(rolling)
        rolling = None
    # which whoever takes the result from afar forgets
    return Trajectory(rows, how, names[end] if keep else rolling, found)
