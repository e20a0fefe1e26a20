"""A run while it is trained: what it begins with, how it goes on, and what it hands on."""

import math
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from cplab import devices, models
from cplab.data import Images
from cplab.engine import checkpoints
from cplab.engine.gpu import kernels
from cplab.engine.stack import Stack, is_stacked
from cplab.errors import Diverged, Failed
from cplab.measure.measurements import Measures, due_measures, measure_after, try_on_newborn
from cplab.runs import Run, Step
from cplab.runs.tasks import Classification, TrainState
from cplab.seeding import Seeded
from cplab.specs import mix_seeds

if TYPE_CHECKING:
    from cplab.engine.gpu.graphs import Passes

Provenance = dict[str, Any]  # how a run is computed, by name: texts and numbers


@dataclass
class Stretch:
    """The outcome of a stretch of training: a row for each part done since birth, how it was
    computed (copy of the data set, device, precision, threads, torch), and the state as bytes."""

    rows: list[dict]
    provenance: Provenance
    content: bytes


@dataclass(eq=False)
class Training:
    """A run while it is trained."""

    run: Run
    task: Classification
    images: Images
    state: TrainState
    provenance: Provenance
    error: Failed | None = None  # with which it ended
    after_step: Callable[[], None] | None = None  # done after each step
    # what holds the networks of all seeds that are trained beside it, from epoch to epoch
    together: "Stack | Passes | None" = None

    @property
    def parts_done(self) -> int:
        """How many parts of the timeline are done."""
        return len(self.state.rows)

    @property
    def epoch(self) -> int:
        """How many epochs are done, which is the number of the next one."""
        for row in reversed(self.state.rows):
            if "epoch" in row:
                return row["epoch"] + 1
        return 0

    def training_images(self, step: Step) -> Images:
        """The images that it is trained on in this epoch."""
        if step.part == 1:
            return self.images
        return self.task.images(self.images.train_x.device, int(step.part))

    def network_draws(self) -> AbstractContextManager:
        """A context for passes of this epoch. What a student's own network draws from torch in it
        is decided by seed and epoch; networks of the package draw nothing. It can be entered again
        and again."""
        if models.MODELS[self.run.family].source:
            return Seeded(mix_seeds(self.run.seed, self.epoch, "network"))
        return nullcontext()

    def row(self, step: Step, loss: float, test: dict) -> dict:
        """The row of an epoch: its mean training loss, and what the task's test says."""
        row = {"part": self.parts_done, "epoch": self.epoch, "lr": step.lr, "train_loss": loss}
        for name, value in test.items():
            row[name] = float(value)
        return row

    def add(self, row: dict, measures: Measures) -> None:
        """Add the row of a part, with what is measured after it; or note that the run ends here."""
        loss = row.get("train_loss", 0.0)
        if not math.isfinite(loss):
            what = f"the loss is {loss} at epoch {row['epoch']} (learning rate {row['lr']:.3g})"
            remedy = "take a smaller learning rate"
            self.error = Diverged(f"{what}: no result is kept of {self.run.canonical()}; {remedy}")
            return
        try:
            names = due_measures(measures, row)
            measure_after(names, self.run, row, self.state.net, self.images)
        except Failed as error:
            self.error = error
            return
        self.state.rows.append(row)

    def stretch(self, end: int, measures: Measures) -> Stretch | Failed:
        """What was trained, and if it is done up to part `end` what is measured then; or the error
        with which the run ended."""
        if self.error:
            return self.error
        rows = self.state.rows
        content = checkpoints.dumps(self.state, self.provenance)
        if measures and self.parts_done == end:
            last = next(row for row in reversed(rows) if "epoch" in row)
            names = [name for name, when in measures.items() if when == "end"]
            if "event" in rows[-1]:  # it changed the network after the last epoch
                names += due_measures(measures, last)
            try:
                measure_after(names, self.run, last, self.state.net, self.images)
            except Failed as error:
                return error
        return Stretch(rows, self.provenance, content)


def begin(
    run: Run,
    device: torch.device,
    threads: int,
    contents: Iterable[bytes] = (),
    measures: Measures | None = None,
) -> Training:
    """Begin a run at the first checkpoint that can be used, or at birth, where its measurements are
    tried."""
    task = run.task
    measures = measures or {}
    images = task.images(device)
    provenance: Provenance = {
        "copy": images.copy,
        "device": devices.machine(device),
        "precision": devices.precision(run.arithmetic, device),
        "threads": threads,
        "torch": str(torch.__version__),
    }
    if uses_kernels(run, images):
        provenance["precision"] += ", fused"
    for content in contents:
        state = checkpoints.loads(content, task, device, provenance)
        if state and has_measures(state.rows, measures):
            break
    else:
        state = task.birth(device)
    if not state.rows:
        try_on_newborn(measures, run, state.net, images)
    return Training(run, task, images, state, provenance)


def uses_kernels(run: Run, images: Images) -> bool:
    """Whether a GPU's own kernels compute any epoch of a run."""
    if not kernels.usable(images.train_x.device, run.arithmetic):
        return False
    steps = [part for part in run.timeline if isinstance(part, Step)]
    return not all(is_stacked(run, step) for step in steps)


def has_measures(rows: list[dict], measures: Measures) -> bool:
    """Whether these rows hold every measurement that was due after them."""
    for row in rows:
        measured = row.get("measured", {})
        if any(name not in measured for name in due_measures(measures, row)):
            return False
    return True
