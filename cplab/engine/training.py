"""A run while it is trained: what it begins with, how it goes on, and what it hands on."""

import math
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from cplab import devices, models
from cplab.data import Images
from cplab.engine import checkpoints
from cplab.engine.gpu import kernels
from cplab.engine.stack import Stack, is_stacked
from cplab.errors import Diverged, Failed
from cplab.measure.measurements import Measures, due_measures, measure_after, try_on_newborn
from cplab.models.model import DRAWS, KEEPS, equal_numbers, seeded_pass
from cplab.runs import Run, Step
from cplab.runs.tasks import Classification, TrainState
from cplab.seeding import Seeded
from cplab.specs import mix_seeds
from cplab.specs.own import KEPT, changed_since, kept_by_own

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
    # one object that computes it and all seeds beside it; their first run keeps it between epochs
    together: "Stack | Passes | None" = None
    # what a student's own functions kept before it was trained, see `own.kept_by`
    kept: dict[str, Any] = field(default_factory=dict)

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
        if step.image_part == 1:
            return self.images
        return self.task.images(self.images.train_x.device, int(step.image_part))

    def network_draws(self, alone: bool = True) -> AbstractContextManager:
        """A context for passes of this epoch. What a student's own network draws from torch in it
        is decided by seed and epoch, and refused unless it is alone in the pass; networks of the
        package draw nothing. It can be entered again and again."""
        if models.MODELS[self.run.family].source:
            seed = mix_seeds(self.run.seed, self.epoch, "network")
            return Seeded(seed, "" if alone else DRAWS.format(self.run.family.partition("@")[0]))
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
        if name := changed_since(self.kept):
            return Failed(f"{KEPT.format(name)}; no result is kept of {self.run!r}")
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
        if fault := self.kept_beside(content):
            return Failed(f"{fault}; no result is kept of {self.run!r}")
        return Stretch(rows, self.provenance, content)

    def kept_beside(self, content: bytes) -> str:
        """What is wrong with a student's own network that holds what its checkpoint lacks, so that
        it would go on in another way after a pause; else "". It sees a batch, and so does what is
        read from the checkpoint."""
        family = self.run.family
        if not models.MODELS[family].source:
            return ""
        name = family.partition("@")[0]
        chip = self.images.train_x.device
        again = checkpoints.loads(content, self.task, chip, self.provenance)
        if again is None:
            return f"{name} has other weights or buffers than at birth: keep those it begins with"
        x = self.task.views(self.images.normal(self.images.train_x[: self.run.settings.batch]))
        here, there = (self.passes(state.net, x) for state in (self.state, again))
        for (logits, kept), (logits_again, kept_again) in zip(here, there, strict=True):
            if chip.type == "cpu":  # a GPU may add in another order
                alike = kept == kept_again and equal_numbers(logits, logits_again)
            else:
                alike = torch.allclose(logits, logits_again, 1e-3, 1e-4, equal_nan=True)
            if not alike:
                return KEEPS.format(name)
        return ""

    def passes(self, net: nn.Module, x: Tensor) -> list[tuple[Tensor, Any]]:
        """The logits of a network in training and in a test, and what it has then besides its
        state."""
        outcomes = []
        for training in (True, False):
            net.train(training)
            with devices.autocast(x.device, self.run.arithmetic):
                outcomes.append(seeded_pass(net, x, 0))
        return outcomes


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
    kept = kept_by_own(" ".join([run.canonical(), *measures]))
    return Training(run, task, images, state, provenance, kept=kept)


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
