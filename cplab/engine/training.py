"""A run while it is trained: what it begins with, how it continues, and what it hands on."""

import math
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
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
from cplab.models.model import DRAWS, KEEPS, Pass, equal_numbers, seeded_pass
from cplab.runs import Run, Step
from cplab.runs.tasks import Classification, TrainState
from cplab.seeding import Seeded
from cplab.specs import mix_seeds
from cplab.specs.own import STATEFUL, changed_since, kept_by_own
from cplab.specs.state import Snapshot

if TYPE_CHECKING:
    from cplab.engine.gpu.graphs import Passes

Provenance = dict[str, Any]  # how a run is computed, by name: texts and numbers


@dataclass
class Stretch:
    """What a stretch of training has come to."""

    rows: list[dict]  # of the curve, one for each part since birth
    provenance: Provenance  # copy of the data set, device, precision, threads, torch
    content: bytes  # the state, as a checkpoint


@dataclass(eq=False)
class Training:
    """A run while it is trained."""

    run: Run
    task: Classification
    images: Images
    state: TrainState
    provenance: Provenance
    error: Failed | None = None  # with which the run ended
    after_step: Callable[[], None] | None = None  # called after each step
    # What computes it and all seeds beside it; the first of these runs keeps it between epochs
    computed_by: "Stack | Passes | None" = None
    # What students' own functions kept before it was trained, see `own.kept_by_own`
    kept: dict[str, Snapshot] = field(default_factory=dict)

    @property
    def parts_done(self) -> int:
        """The number of parts of the timeline that are done."""
        return len(self.state.rows)

    @property
    def epoch(self) -> int:
        """The number of epochs that are done, which is the next one's number."""
        for row in reversed(self.state.rows):
            if "epoch" in row:
                return row["epoch"] + 1
        return 0

    @cached_property
    def newborn(self) -> nn.Module:
        """The network at birth, with which measurements compare it: built once, when one asks."""
        return self.task.birth(self.images.train_x.device).net

    def measure(self, names: list[str], row: dict) -> None:
        """Take measurements, and add them to the row of an epoch. Raises: Failed."""
        net = self.state.net
        measure_after(names, self.run, row, net, self.images, birth=lambda: self.newborn)

    def training_images(self, step: Step) -> Images:
        """The images of an epoch, whose step may ask for other training images."""
        if step.image_part == 1:
            return self.images
        return self.task.images(self.images.train_x.device, int(step.image_part))

    def seeded_draws(self, alone: bool = True) -> AbstractContextManager:
        """A context for the passes of this epoch, which can be entered again and again.

        Seed and epoch decide what a student's own network draws from torch in it. Networks of the
        package draw nothing.

        Arguments: alone, whether no other network shares the passes; else drawing is an error.
        """
        if not models.MODELS[self.run.family].source:
            return nullcontext()
        name = self.run.family.partition("@")[0]
        refusal = "" if alone else DRAWS.format(name)
        return Seeded(mix_seeds(self.run.seed, self.epoch, "network"), refusal)

    def row(self, step: Step, loss: float, test: dict) -> dict:
        """The row of an epoch in the curve.

        Arguments: step; loss, the mean over the training images; test, what the task's test says.
        """
        row = {"part": self.parts_done, "epoch": self.epoch, "lr": step.lr, "train_loss": loss}
        for name, value in test.items():
            row[name] = float(value)
        return row

    def add(self, row: dict, measures: Measures) -> None:
        """Add the row of a part to the curve, with the measurements that are due after it.

        If the loss is not finite, or a measurement fails, the run ends with an error instead.
        """
        if not math.isfinite(row.get("train_loss", 0.0)):
            deficit = self.run.deficit.partition("@")[0]
            under = f"under {deficit}" if self.run.length else "without a deficit"
            self.error = Diverged(
                f"seed {self.run.seed} {under} diverges at epoch {row['epoch']}: take a learning "
                f"rate below {row['lr']:.3g}; no result of that run is kept"
            )
            return
        try:
            self.measure(due_measures(measures, row), row)
        except Failed as error:
            self.error = error
            return
        self.state.rows.append(row)

    def stretch(self, end: int, measures: Measures) -> Stretch | Failed:
        """What was trained so far, or the error with which the run ended.

        Arguments: end, the part before which the stretch ends; measures, those that are due if it
            was reached.
        """
        if self.error:
            return self.error
        if name := changed_since(self.kept):
            return Failed(f"{STATEFUL.format(name)}; no result of seed {self.run.seed} is kept")
        rows = self.state.rows
        content = checkpoints.dumps(self.state, self.provenance)
        if measures and self.parts_done == end:
            last = next(row for row in reversed(rows) if "epoch" in row)
            names = [name for name, when in measures.items() if when == "end"]
            if "event" in rows[-1]:  # which changed the network after the last epoch
                names += due_measures(measures, last)
            try:
                self.measure(names, last)
            except Failed as error:
                return error
        if fault := self.missing_from(content):
            return Failed(f"{fault}; no result of seed {self.run.seed} is kept")
        return Stretch(rows, self.provenance, content)

    def missing_from(self, content: bytes) -> str:
        """Say what is wrong with a student's own network that keeps something which its checkpoint
        does not have; "" if nothing is.

        After a pause it would go on differently. So the network and its copy from the checkpoint
        both see a batch.
        """
        family = self.run.family
        if not models.MODELS[family].source:
            return ""
        name = family.partition("@")[0]
        chip = self.images.train_x.device
        again = checkpoints.loads(content, self.task, chip, self.provenance)
        if again is None:
            return f"{name} has other weights or buffers than at birth: keep those it begins with"
        x = self.task.views(self.images.normal(self.images.train_x[: self.run.settings.batch]))
        passes = self.passes(self.state.net, x)
        passes_again = self.passes(again.net, x)
        for before, after in zip(passes, passes_again, strict=True):
            if chip.type == "cpu":
                are_equal = equal_numbers(before.logits, after.logits)
                are_equal = are_equal and before.kept == after.kept
            else:  # a GPU may add in another order
                are_equal = torch.allclose(
                    before.logits, after.logits, rtol=1e-3, atol=1e-4, equal_nan=True
                )
            if not are_equal:
                return KEEPS.format(name)
        return ""

    def passes(self, net: nn.Module, x: Tensor) -> list[Pass]:
        """Give a network normalised images in training, and again in a test."""
        outcomes = []
        for training in (True, False):
            net.train(training)
            with devices.autocast(x.device, self.run.arithmetic):
                outcomes.append(seeded_pass(net, x, seed=0))
        return outcomes


def begin(
    run: Run,
    device: torch.device,
    threads: int,
    contents: Iterable[bytes] = (),
    measures: Measures | None = None,
) -> Training:
    """Begin to train a run, at the first checkpoint that can be used, or at birth, where its
    measurements are tried.

    Arguments: run; device; threads, of torch; contents, checkpoints; measures.

    Raises: CplabError for a measurement that fails at birth.
    """
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
    """Whether the kernels of engine.gpu.kernels compute any epoch of a run."""
    if not kernels.usable(images.train_x.device, run.arithmetic):
        return False
    steps = [part for part in run.timeline if isinstance(part, Step)]
    return not all(is_stacked(run, step) for step in steps)


def has_measures(rows: list[dict], measures: Measures) -> bool:
    """Whether these rows of a curve have every measurement that was due after them."""
    for row in rows:
        measured = row.get("measured", {})
        if any(name not in measured for name in due_measures(measures, row)):
            return False
    return True
