"""A run while it is trained: what it begins with, how it continues, and what it hands on."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor, nn

from cplab import models
from cplab.base import devices
from cplab.base.errors import CplabError, Diverged, Failed, with_message
from cplab.base.seeding import seeded
from cplab.deficits import NONE
from cplab.engine import checkpoints
from cplab.engine.distance import displacement, rounded
from cplab.engine.gpu import cards
from cplab.engine.gpu.branches import Branches
from cplab.engine.passes import Layout, Passes
from cplab.engine.stack import Stack, is_stacked
from cplab.engine.workload import Stretch
from cplab.measure.measurements import Measures, due_measures, measure_after, try_on_newborn
from cplab.models.layers import layer_weights, normalised_layers, rescale_layers
from cplab.pictures.data import Images
from cplab.runs import Event, Run, Step
from cplab.runs.tasks import Classification, TrainState, set_rates
from cplab.runs.treatments import own_event, own_treatment
from cplab.specs import mix_seeds

TRIED_IMAGES = 8  # images on which an own network is tried
Provenance = dict[str, Any]  # how a run is computed, by name: texts and numbers


@dataclass(eq=False)
class Training:
    """A run while it is trained."""

    run: Run
    task: Classification
    images: Images
    state: TrainState
    provenance: Provenance
    error: Failed | None = None  # with which the run ended
    # Of this network and those of the seeds beside it. They are kept from one epoch to the next by
    # the first of these trainings alone
    passes: Passes | None = None
    is_steady: bool = True  # whether a student's own functions answer a batch in one way

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
    def is_stacked(self) -> bool:
        """Whether the run is trained in a stack, unless a step cannot be."""
        return is_stacked(self.run)

    def layout(self, step: Step) -> Layout | None:
        """How the networks of several seeds are trained side by side in an epoch; None if one after
        another. Run, step and device decide it, whatever is trained beside this run."""
        if step.own:  # a treatment of one's own acts on one network at a time
            return None
        if self.is_stacked and not step.fixed_norms:
            return Stack
        return Branches if cards.is_card(self.images.train_x.device) else None

    @cached_property
    def newborn(self) -> nn.Module:
        """The network at birth, with which measurements compare it: built once, when one asks."""
        return self.task.birth(self.images.train_x.device).net

    @cached_property
    def birth_norms(self) -> list[Tensor]:
        """The norm at birth of each layer under batch norm."""
        return [layer.weight.detach().norm() for layer, _ in normalised_layers(self.newborn)]

    def measure(self, names: list[str], row: dict) -> None:
        """Take measurements, and add them to the row of an epoch.

        Raises:
            Failed.
        """
        net = self.state.net
        measure_after(names, self.run, row, net, self.images, birth=lambda: self.newborn)

    def training_images(self, step: Step) -> Images:
        """The images of an epoch, whose step may ask for other training images."""
        if step.image_part == 1:
            return self.images
        return self.task.images(self.images.train_x.device, int(step.image_part))

    def draws(self, batch: int | str) -> AbstractContextManager:
        """A context for a pass: seed, epoch and batch decide what a student's own network draws.

        Arguments:
            batch: its first image's number in the epoch, or "test".
        """
        if not models.MODELS[self.run.family].own or self.is_stacked:  # which does not draw
            return nullcontext()
        return seeded(mix_seeds(self.run.seed, self.epoch, batch, "network"))

    def end_step(self, step: Step) -> None:
        """Do to the network what follows each step of the optimiser."""
        if step.fixed_norms:
            rescale_layers(self.state.net, self.birth_norms)

    def row(self, step: Step, loss: float, test: dict, path: dict) -> dict:
        """The row of an epoch in the curve.

        Arguments:
            step: of the timeline.
            loss: the mean over the training images.
            test: what the task's test says.
            path: what its steps have added up.
        """
        row: dict[str, Any] = {
            "part": self.parts_done,
            "epoch": self.epoch,
            "lr": step.lr,
            "train_loss": loss,
        }
        if not self.is_steady:
            row["unsteady"] = True
        for name, value in test.items():
            row[name] = float(value)
        return row | path | self.displacements(step)

    def displacements(self, step: Step) -> dict[str, float]:
        """How far the network is from where it was at birth, and when the latest deficit ended.

        Arguments:
            step: of the epoch that was trained: if it has a deficit, that has come so far.
        """
        weights = layer_weights(self.state.net)
        origins = self.state.origins
        if step.deficit != NONE:
            origins["deficit"] = [weight.clone() for weight in weights]
        distances = {}
        for name, origin in origins.items():
            distances[f"from_{name}"] = displacement(weights, origin)
        return rounded(distances)

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
            line = f"{error}; no result of that run is kept"
            self.error = with_message(error, type(error), line)
            return
        self.state.rows.append(row)

    def stretch(self, end: int, measures: Measures) -> Stretch | Failed:
        """What was trained so far, or the error with which the run ended.

        Arguments:
            end: the part before which the stretch ends.
            measures: those that are due if it was reached.
        """
        if self.error:
            return self.error
        content = checkpoints.dumps(self.state, self.provenance)
        failure: Failed | None = None
        if measures and self.parts_done == end:
            try:
                self.measure_end(measures)
            except Failed as error:
                failure = with_message(error, type(error), f"{error}; its training is kept")
        return Stretch(self.state.rows, self.provenance, content, failure)

    def measure_end(self, measures: Measures) -> None:
        """Take the measurements that are due at the end of a run, and add them to the row of its
        last epoch.

        Raises:
            Failed.
        """
        rows = self.state.rows
        last_epoch = [row for row in rows if "epoch" in row][-1]
        names = [name for name, when in measures.items() if when == "end"]
        if "event" in rows[-1]:  # which changed the network after the last epoch
            names += due_measures(measures, last_epoch)
        self.measure(names, last_epoch)


def begin(
    run: Run,
    device: torch.device,
    contents: Iterable[bytes] = (),
    measures: Measures | None = None,
) -> Training:
    """Begin to train a run, at the first checkpoint that can be used, or at birth, where its
    measurements are tried.

    Arguments:
        run: the run.
        device: where it is computed.
        contents: the bytes of checkpoints.
        measures: when to take each measurement, by name.

    Raises:
        Failed: for an event that fails at birth.
        CplabError: for a measurement that does.
    """
    task = run.task
    measures = measures or {}
    images = task.images(device)
    for part in run.timeline:
        if isinstance(part, Step):
            task.images(device, int(part.image_part))  # so that too few are noticed before training
    provenance: Provenance = {
        "copy": images.copy,
        "device": devices.machine(device),
        "precision": devices.precision(run.arithmetic, device),
        "threads": torch.get_num_threads(),
        "torch": str(torch.__version__),
    }
    state = None
    for content in contents:
        loaded = checkpoints.loads(content, task, device, provenance)
        if loaded and has_measures(loaded.rows, measures):
            state = loaded
            break
    if state is None:
        state = task.birth(device)
    training = Training(run, task, images, state, provenance)
    if not state.rows:
        try_events(training)
        try_on_newborn(measures, run, state.net, images)
        training.is_steady = try_own(training)
    return training


def try_events(training: Training) -> None:
    """Do each of the package's events in a run to a newborn network, before anything is trained.

    Raises:
        Failed.
    """
    task = training.task
    images = training.images
    for part in training.run.timeline:
        if isinstance(part, Event) and part.function is not own_event:
            newborn = task.birth(images.train_x.device)
            try:
                part.function(newborn, task, images, *part.args)
            except CplabError as error:
                raise Failed(str(error)) from None


def try_own(training: Training) -> bool:
    """Try each of a student's own functions in a run on a first batch, twice, before anything is
    trained.

    Returns:
        whether each answers in one way.

    Raises:
        Failed.
    """
    are_steady = True
    for work in own_trials(training):
        try:
            first, second = work(), work()
        except CplabError as error:
            line = f"{error} (tried first: nothing is trained)"
            raise with_message(error, Failed, line) from error.__cause__
        are_steady = are_steady and all(map(torch.equal, first, second))
    return are_steady


def own_trials(training: Training) -> Iterator[Callable[[], Sequence[Tensor]]]:
    """Yield what tries each of a student's own functions in a run, each once: its network, deficits
    and treatments."""
    run = training.run
    if models.MODELS[run.family].own:
        yield partial(first_logits, training)
    tried = set()
    epoch = 0
    for part in run.timeline:
        if isinstance(part, Event):
            treatment = part.args[0] if part.function is own_event else ""
        else:
            deficit = part.deficit
            if deficit.is_own and deficit.name not in tried:
                tried.add(deficit.name)
                yield partial(first_seen, training, part, epoch)
            treatment = part.own
            epoch += 1
        if treatment and treatment not in tried:
            tried.add(treatment)
            yield partial(first_weights, training, treatment)


def first_logits(training: Training) -> Sequence[Tensor]:
    """The logits of a newborn network for a few images."""
    images = training.images
    x = training.task.views(images.normal(images.train_x[:TRIED_IMAGES]))
    net = training.task.birth(x.device).net
    with torch.no_grad(), training.draws(0):
        return [net.train()(x)]


def first_seen(training: Training, step: Step, epoch: int) -> Sequence[Tensor]:
    """The first batch of an epoch as a deficit changes it: images and labels."""
    task = training.task
    images = training.images
    index, x = next(iter(task.batches(epoch, step, images)))
    return step.deficit(x, images.train_y[index], task.describe_batch(index, epoch, images))


def first_weights(training: Training, name: str) -> Sequence[Tensor]:
    """The weights of a newborn network after a step on a few images, in which a student's own
    treatment acts."""
    run = training.run
    task = training.task
    images = training.images
    treatment = own_treatment(name)
    x = task.views(images.normal(images.train_x[:TRIED_IMAGES]))
    state = task.birth(x.device)
    set_rates(state.optimizer, run.lr(0), decay=1)
    with training.draws(0):
        loss = task.loss(state.net.train()(x), images.train_y[:TRIED_IMAGES])
    loss.backward()
    treatment.use(state, run.seed, 0, loss if treatment.lasts else None)
    state.optimizer.step()
    return [*state.net.state_dict().values()]


def has_measures(rows: list[dict], measures: Measures) -> bool:
    """Whether these rows of a curve have every measurement that was due after them."""
    for row in rows:
        measured = row.get("measured", {})
        if any(name not in measured for name in due_measures(measures, row)):
            return False
    return True
