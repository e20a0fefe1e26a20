"""Specs of convolutional networks that are pruned, by single weights or by whole kernels.

The engine trains them step by step; `saliency` and `kernels` define the events between the steps.
Nothing here needs torch.
"""

from functools import cached_property, partial
from pkgutil import resolve_name
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import BeforeValidator, Field
from typing_extensions import TypedDict

from cplab import specs
from cplab.deficits import NONE
from cplab.errors import one_of, require
from cplab.runs import DeficitName, Epochs, Event, ProfileName, Run, Step
from cplab.specs import Count, Fraction, InKey, Number, Positive, Seed, Spec, spec_class
from cplab.specs.profiles import PROFILES, Profile
from cplab.studies.pruning.specs import Density

METRICS = ("none", "magnitude", "fisher", "random")
MATERIALS = ("images", "noise", "random_labels")

Units = Annotated[Count, Field(ge=1, le=4096)]  # also kernels of a layer, images of a batch
Rate = tuple[Epochs, Annotated[Number, Field(gt=0, lt=100)]]  # epochs, and their learning rate


def task_event(name: str) -> Any:
    """Make an event that calls the method of this name of a spec's task."""

    def event(state: Any, task: Any, images: Any, *how: Any) -> dict:
        return getattr(task, name)(state, images, *how)

    event.__name__ = event.__qualname__ = name  # pickle finds it by this name
    return event


prune_weights, inspect = task_event("prune_weights"), task_event("inspect")  # see saliency.Masked
remove_kernels = task_event("remove_kernels")  # see kernels.Kernels


class PrunedSpec(Spec):
    """What the engine needs of all specs here."""

    optimizer: ClassVar[str] = "sgd"
    arithmetic: ClassVar[str] = "native"
    task_class: ClassVar[str]  # its address: importing it would load torch
    profile: Any
    timeline: Any

    @property
    def task(self) -> Any:
        return resolve_name(self.task_class)(self)

    @cached_property
    def epochs(self) -> int:
        return sum(isinstance(part, Step) for part in self.timeline)

    @property
    def dataset(self) -> str:
        return PROFILES[self.profile].dataset


class PrunedValues(TypedDict):
    """curve and loss: test accuracy and mean training loss after each epoch. accuracy and trace: by
    moment (trained, pruned, retrained, end), trace being the Fisher trace of kept weights by layer.
    layers: names of the ranked ones; weights, kept: how many each has and keeps. predicted, change:
    E KL(before ‖ after pruning) of the outputs, nats, to second order and exactly."""

    curve: list[Fraction]
    loss: list[Positive]
    accuracy: dict[str, Fraction]
    trace: dict[str, list[Number]]
    layers: list[str]
    weights: list[Count]
    kept: list[Count]
    predicted: Number
    change: Number


@spec_class
class Pruned(PrunedSpec):
    """Training of a network, pruning of its weights, retraining, a deficit, recovery.

    The learning rate falls over the last epochs of training (as many as the profile's recovery
    has), over retraining and over recovery, as in the `recovery` schedule; a deficit holds it.

    >>> Pruned(metric="fisher", density=0.2, deficit="blur", length=8).epochs
    43
    """

    Values: ClassVar[Any] = PrunedValues
    task_class: ClassVar[str] = "cplab.studies.pruning.saliency:Masked"

    profile: ProfileName = "course"
    metric: Literal[METRICS] = "none"  # type: ignore[valid-type]
    """How weights are ranked; none for no pruning."""
    density: Density = 1.0  # the fraction of weights kept; at 1 the metric is none
    deficit: DeficitName = "none"
    """As in a Run; none for the control, which has as many clear epochs instead."""
    length: Epochs = 0  # epochs of the deficit; without them it ends after retraining
    recovery: Epochs = 10  # clear epochs after the deficit
    training: Annotated[Epochs, Field(ge=1)] = 20  # clear epochs before pruning
    retraining: Epochs = 5  # clear epochs after pruning
    seed: Seed = 0  # decides initial weights, batches and what is taken out at random
    recalibrated: bool = False
    """Whether BatchNorm's statistics are measured again after pruning."""

    def __post_init__(self) -> None:
        why = f"is not allowed with metric none: give 1, or a metric: {', '.join(METRICS[1:])}"
        fine = self.metric != "none" or self.density == 1
        require(fine, f"density {self.density!r} {why}")
        recovery = self.recovery if self.length else 0
        specs.assign(self, metric="none" if self.density == 1 else self.metric, recovery=recovery)
        specs.assign(self, deficit=self.phases[2].deficit)

    @cached_property
    def phases(self) -> tuple[Run, Run, Run]:
        """Training, retraining, deficit with recovery: each is the last epochs of a Run, so that
        their epochs have consecutive numbers."""
        run = partial(Run, profile=self.profile, schedule="recovery", seed=self.seed)
        falling = min(PROFILES[self.profile].recovery, self.training)
        begin, length = self.training + self.retraining, self.length
        if self.deficit == "none":
            begin, length = begin + length, 0
        return (
            run(onset=self.training - falling, recovery=falling),
            run(onset=self.training, recovery=self.retraining),
            run(deficit=self.deficit, onset=begin, length=length, recovery=self.recovery),
        )

    @cached_property
    def timeline(self) -> tuple[Step | Event, ...]:
        first, second, third = (run.timeline for run in self.phases)
        again = (True,) if self.recalibrated else ()
        pruning = Event(prune_weights, (self.metric, self.density, self.seed, *again))
        trained, pruned, retrained, end = (
            Event(inspect, (moment,)) for moment in ("trained", "pruned", "retrained", "end")
        )
        parts = (*first, trained, pruning, pruned, *second[self.training :], retrained)
        if not self.length:
            return parts
        return (*parts, *third[self.training + self.retraining :], end)

    @property
    def trunk_key(self) -> tuple:
        return ("Pruned", self.version, *self.phases[0].trunk_key)

    @property
    def model(self) -> str:
        return self.phases[0].model

    @property
    def settings(self) -> Profile:
        return self.phases[0].settings

    def values(self, rows: list[dict]) -> dict:
        inspections = [row for row in rows if row.get("event") == "inspect"]
        [pruning] = (row for row in rows if row.get("event") == "prune_weights")
        values = {name: pruning.get(name) for name in PrunedValues.__annotations__}
        for name in ("accuracy", "trace"):
            values[name] = {row["moment"]: row[name] for row in inspections}
        for name, column in (("curve", "test_accuracy"), ("loss", "train_loss")):
            values[name] = [row[column] for row in rows if "event" not in row]
        return values


@spec_class
class KernelSize(Spec):
    """The size of the thesis's convolutional model, and the length of each part of its training.

    SIZES has three; the thesis's numbers are SIZES["paper"]'s.

    >>> SIZES["ci"].removals
    [3, 3, 3]
    """

    profile: ProfileName  # whose images it sees
    kernels: tuple[Units, Units]  # of the two convolutions
    units: tuple[Units, Units]  # of the two hidden dense layers
    rates: tuple[Rate, ...]  # (epochs, learning rate) of training, one after the other
    at_once: Units  # kernels that are taken out at a time
    retraining: Rate  # epochs and learning rate after each time
    saved: tuple[Units, ...]  # numbers of kernels at which the architecture is kept
    batch: Units = 128
    noise_rates: tuple[Rate, ...] = ()  # in place of rates where noise is learned, if not empty

    @property
    def removals(self) -> list[int]:
        """How many kernels each pruning removes, so that it stops at all of `saved`."""
        left, counts = sum(self.kernels), list[int]()
        while left > min(self.saved):
            counts.append(min(self.at_once, left - max(s for s in self.saved if s < left)))
            left -= counts[-1]
        return counts


# course: a quarter of the thesis's kernels and a tenth of its epochs; the rates of both are ours
# fmt: off
SIZES = {
    "ci": KernelSize("ci", kernels=(4, 8), units=(16, 8), rates=((2, 0.05),), at_once=3,
                     retraining=(1, 0.01), saved=(9, 6, 3), batch=64),
    "course": KernelSize("course", kernels=(16, 64), units=(96, 48), at_once=3,
                         rates=((10, 0.1), (10, 0.01), (5, 0.001)), retraining=(2, 0.01),
                         saved=(75, 50, 25, 8, 5)),
    "paper": KernelSize("paper", kernels=(64, 256), units=(382, 194), at_once=10,
                        rates=((100, 0.1), (100, 0.01), (50, 0.001)), retraining=(15, 0.001),
                        saved=(300, 200, 100, 30, 20), noise_rates=((20, 0.01), (230, 0.001))),
}
# fmt: on


def find_size(value: Any) -> KernelSize:
    """The KernelSize of a name in SIZES; a KernelSize is returned unchanged."""
    return value if isinstance(value, KernelSize) else SIZES[one_of("size", value, SIZES)]


Size = Annotated[Any, BeforeValidator(find_size)]


def steps_at(rates: tuple[tuple[int, float], ...]) -> list[Step]:
    """Clear epochs at (epochs, learning rate), one after the other."""
    return [Step(NONE, rate) for epochs, rate in rates for _ in range(epochs)]


class KernelSpec(PrunedSpec):
    """What the specs of the thesis's convolutional model have in common."""

    task_class: ClassVar[str] = "cplab.studies.pruning.kernels:Kernels"
    material: Any = "images"
    labelled: Any = None
    size: Any
    seed: Any

    @property
    def profile(self) -> str:
        return self.size.profile

    @property
    def kernels(self) -> tuple[int, int]:
        return self.size.kernels

    @property
    def trunk_key(self) -> tuple:
        size = self.size
        built = (size.profile, self.kernels, size.units, size.batch, self.labelled)
        return (type(self).__name__, self.version, *built, self.material, self.seed)


class KernelPruningValues(TypedDict):
    """An entry for each epoch of training and each removal of kernels: epochs so far; first and
    second, kernels left; loss, None where nothing was trained; train_accuracy, on the material;
    accuracy, on the test images, or on the material where its labels are random."""

    phase: list[Literal["training", "pruning"]]
    epochs: list[Count]
    first: list[Count]
    second: list[Count]
    loss: list[Positive | None]
    train_accuracy: list[Fraction]
    accuracy: list[Fraction]
    parameters: list[Count]


@spec_class
class KernelPruning(KernelSpec):
    """A critical period of the thesis: training, then pruning down to a few kernels.

    >>> KernelPruning("ci", retrain=False).timeline[-1]
    Event(remove_kernels, (3, 'activity', True))
    """

    Values: ClassVar[Any] = KernelPruningValues

    size: InKey[Size] = SIZES["course"]  # a name of SIZES, or a KernelSize
    material: Literal[MATERIALS] = "images"  # type: ignore[valid-type]
    """What it is trained on: images, noise (a fixed random picture with a fixed random label for
    each image, figure 12) or random_labels (figure 15)."""
    choice: Literal["activity", "random"] = "activity"
    """Which kernels go first: those of smallest norm, or random ones (figure 7)."""
    retrain: bool = True  # whether there is training after each removal (figure 8)
    seed: Seed = 0  # decides weights, batches, random material and random choice

    @cached_property
    def timeline(self) -> tuple[Step | Event, ...]:
        after = steps_at((self.size.retraining,)) if self.retrain else []
        rates = self.size.noise_rates if self.material == "noise" else ()
        steps: list[Step | Event] = [*steps_at(rates or self.size.rates)]
        for count in self.size.removals:
            steps += [Event(remove_kernels, (count, self.choice, not after)), *after]
        return tuple(steps)

    def values(self, rows: list[dict]) -> dict:
        columns: dict[str, list] = {name: [] for name in KernelPruningValues.__annotations__}
        phase, epochs = "training", 0
        for row, following in zip(rows, [*rows[1:], {"event": "end"}], strict=True):
            if "event" in row:
                phase = "pruning"
            else:
                epochs += 1
            if phase == "pruning" and "event" not in following:
                continue  # the entry of a removal is the last epoch after it
            entry = {"phase": phase, "epochs": epochs, "loss": row.get("train_loss"), **row}
            for name, column in columns.items():
                column.append(entry[name])
        return columns


class KernelSplitValues(TypedDict):
    accuracy: Fraction  # of the test images in the end
    curve: list[Fraction]


@spec_class
class KernelSplit(KernelSpec):
    """An architecture trained from scratch on images (figures 11, 13 and 16).

    >>> KernelSplit("ci", first=2, second=3).kernels
    (2, 3)
    """

    Values: ClassVar[Any] = KernelSplitValues

    size: Size
    first: Units  # kernels of the first convolution
    second: Units
    seed: Seed = 0
    labelled: Units | None = None  # how many of the images it is trained on, None for all

    @property
    def kernels(self) -> tuple[int, int]:
        return self.first, self.second

    @cached_property
    def timeline(self) -> tuple[Step, ...]:
        return (*steps_at(self.size.rates),)

    def values(self, rows: list[dict]) -> dict:
        curve = [row["accuracy"] for row in rows]
        return {"accuracy": curve[-1], "curve": curve}


def random_split(total: int, seed: int, most: tuple[int, int]) -> tuple[int, int]:
    """Split `total` kernels between the layers at random, decided by `seed`: uniformly over all
    splits that a network with `most` kernels in its layers could be pruned to.

    >>> sum(random_split(12, 0, (4, 10)))
    12
    """
    low, high = max(1, total - most[1]), min(most[0], total - 1)
    start = specs.mix_seeds("split", seed, total) % 2**32
    drawn = np.random.RandomState(start).randint(2**32, dtype=np.uint32)  # as torch draws it
    first = low + int(drawn) % (high + 1 - low)
    return first, total - first
