"""Specs of convolutional networks that are pruned, by single weights or by whole kernels.

The engine trains them step by step; `saliency` and `kernels` say what happens between the steps.
Nothing here needs torch.
"""

from functools import cached_property, partial
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field
from typing_extensions import TypedDict

from cplab.deficits import NONE
from cplab.errors import CplabError, one_of, quote, require, whole
from cplab.profiles import PROFILES, Profile
from cplab.runs import LONGEST, DeficitName, Epochs, Event, ProfileName, Run, Step
from cplab.specs import (
    Count,
    Fraction,
    Number,
    Positive,
    Seed,
    Spec,
    assign,
    mix_seeds,
    refuse_bool,
    same_length,
    spec_class,
)
from cplab.studies.pruning.specs import Density

METRICS = ("none", "magnitude", "fisher", "random")
MATERIALS = ("images", "noise", "random_labels")
CHOICES = ("activity", "random")
MOST_KERNELS = 1024  # kernels of a layer, a quarter of its units and of a batch's images

Kernels = Annotated[int, BeforeValidator(refuse_bool), Field(ge=1, le=MOST_KERNELS)]
Units = Annotated[int, BeforeValidator(refuse_bool), Field(ge=1, le=4 * MOST_KERNELS)]
Rate = tuple[Epochs, Annotated[Number, Field(gt=0, lt=100)]]  # epochs, and their learning rate


def prune_weights(state: Any, task: Any, images: Any, *how: Any) -> dict:
    """Take weights out, see saliency.prune_weights."""
    from cplab.studies.pruning import saliency  # loads torch

    return saliency.prune_weights(state, task, images, *how)


def inspect(state: Any, task: Any, images: Any, moment: str) -> dict:
    """Leave the network as it is, see saliency.inspect."""
    from cplab.studies.pruning import saliency

    return saliency.inspect(state, task, images, moment)


def remove_kernels(state: Any, task: Any, images: Any, *how: Any) -> dict:
    """Take kernels out, see kernels.remove_kernels."""
    from cplab.studies.pruning import kernels

    return kernels.remove_kernels(state, task, images, *how)


class PrunedLife(Spec):
    """What the engine needs of all specs here."""

    optimizer: ClassVar[str] = "sgd"
    arithmetic: ClassVar[str] = "native"
    profile: Any
    timeline: Any

    @cached_property
    def epochs(self) -> int:
        return sum(isinstance(part, Step) for part in self.timeline)

    @property
    def dataset(self) -> str:
        return PROFILES[self.profile].dataset

    @property
    def expected_seconds(self) -> float | None:
        """About what it takes on one thread, where nothing like it was measured."""
        an_epoch = {"ci": 0.1, "course": 0.8}.get(self.profile)
        return an_epoch and an_epoch * self.epochs


class PrunedValues(TypedDict):
    """curve, accuracy of the test images after each epoch, and loss, the mean training loss; by
    moment (trained, pruned, retrained, end) accuracy, and trace of the Fisher information of the
    weights that are kept, by layer; layers, names of the ranked ones, weights and kept, how many
    these have and keep; predicted and change, what taking weights out does to the answers,
    E KL(before ‖ after) in nats: to second order, weight by weight, and really."""

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
class Pruned(PrunedLife):
    """One network: training, pruning of weights, retraining, a deficit, recovery.

    The learning rate falls over the last epochs of training (as many as the profile's recovery
    has), over retraining and over recovery, as in the `recovery` schedule; a deficit holds it.

    >>> Pruned(metric="fisher", density=0.2, deficit="blur", length=8).epochs
    43
    """

    Values: ClassVar[Any] = PrunedValues

    profile: ProfileName = "course"
    metric: Literal[METRICS] = "none"  # type: ignore[valid-type]
    """How weights are ranked; none for the network that is not pruned."""
    density: Density = 1.0
    """The fraction of weights kept; at 1 the metric is none."""
    deficit: DeficitName = "none"
    """As of a Run; none for the control, which has as many clear epochs in its place."""
    length: Epochs = 0
    """Epochs of the deficit; without them it ends after retraining."""
    recovery: Epochs = 10
    """Clear epochs after the deficit."""
    training: Annotated[Epochs, Field(ge=1)] = 20
    """Clear epochs before pruning."""
    retraining: Epochs = 5
    """Clear epochs after pruning."""
    seed: Seed = 0
    """Decides initial weights, batches and what is taken out at random."""
    recalibrated: bool = False
    """Whether BatchNorm's statistics are measured again once weights were taken out."""

    def __post_init__(self) -> None:
        require(
            self.metric != "none" or self.density == 1,
            f"density {self.density!r} is not allowed with metric none: "
            f"give 1, or a metric: {', '.join(METRICS[1:])}",
        )
        recovery = self.recovery if self.length else 0
        assign(self, metric="none" if self.density == 1 else self.metric, recovery=recovery)
        assign(self, deficit=self.phases[2].deficit)

    @cached_property
    def phases(self) -> tuple[Run, Run, Run]:
        """Training, retraining, the deficit with its recovery: each is the last epochs of a Run,
        whose epochs are numbered through."""
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

    @property
    def task(self) -> Any:
        """Classification with weights that stay out."""
        from cplab.studies.pruning.saliency import Masked  # loads torch

        return Masked(self)

    @cached_property
    def timeline(self) -> tuple[Step | Event, ...]:
        """Steps of the three phases; what is done and looked at between them."""
        first, second, third = self.phases
        again = (True,) if self.recalibrated else ()
        pruning = Event(prune_weights, (self.metric, self.density, self.seed, *again))
        trained, pruned, retrained, end = (
            Event(inspect, (moment,)) for moment in ("trained", "pruned", "retrained", "end")
        )
        parts: list[Step | Event] = [*first.timeline, trained, pruning, pruned]
        parts += [*second.timeline[self.training :], retrained]
        if self.length:
            parts += [*third.timeline[self.training + self.retraining :], end]
        return tuple(parts)

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
        found: dict = {"curve": [], "loss": [], "accuracy": {}, "trace": {}}
        for row in rows:
            if row.get("event") == "inspect":
                for name in ("accuracy", "trace"):
                    found[name][row["moment"]] = row[name]
            elif "event" in row:
                found |= {n: row[n] for n in PrunedValues.__annotations__ if n in row}
            else:
                found["curve"].append(row["test_accuracy"])
                found["loss"].append(row["train_loss"])
        return found

    def check_values(self, values: dict) -> None:
        moments = {"trained", "pruned", "retrained", *(["end"] if self.length else [])}
        layers = {len(values[name]) for name in ("layers", "weights", "kept")}
        same_length(self.epochs, values["curve"], values["loss"])
        if len(layers) != 1 or not moments == {*values["accuracy"]} == {*values["trace"]}:
            raise ValueError("it was looked at at other moments, or has other layers")


def steps_at(rates: tuple[tuple[int, float], ...]) -> tuple[Step, ...]:
    return tuple(Step(NONE, rate) for epochs, rate in rates for _ in range(epochs))


@spec_class
class KernelSize(Spec):
    """How large the thesis's convolutional model is, and how long each part of its training.

    SIZES has three; the thesis's numbers are SIZES["paper"]'s.

    >>> SIZES["ci"].removals
    [3, 3, 3]
    """

    profile: ProfileName
    """Whose images it sees."""
    kernels: tuple[Kernels, Kernels]
    """Of the two convolutions."""
    units: tuple[Units, Units]
    """Of the two hidden dense layers."""
    rates: Annotated[tuple[Rate, ...], Field(max_length=100)]
    """(epochs, learning rate) of training, one after the other."""
    at_once: Annotated[int, BeforeValidator(refuse_bool), Field(ge=1, le=2 * MOST_KERNELS)]
    """Kernels that are taken out at a time."""
    retraining: Rate
    """Epochs and learning rate after each time."""
    saved: Annotated[tuple[Annotated[Count, Field(ge=2)], ...], Field(max_length=100)]
    """Numbers of kernels at which the architecture is kept."""
    batch: Units = 128
    noise_rates: Annotated[tuple[Rate, ...], Field(max_length=100)] = ()
    """In place of rates where noise is learned, if they are others."""

    def __post_init__(self) -> None:
        most = sum(self.kernels) - 1
        require(
            self.saved and max(self.saved) <= most,
            f"saved {quote(self.saved)} is not allowed: one kernel has to be left in each layer "
            f"and one to go, so give numbers from 2 to {most}",
        )
        training = max(sum(n for n, _ in rates) for rates in (self.rates, self.noise_rates))
        epochs = training + len(self.removals) * self.retraining[0]
        require(epochs <= LONGEST, f"{epochs} epochs are not allowed: {LONGEST} at most")

    @property
    def training(self) -> tuple[Step, ...]:
        return steps_at(self.rates)

    @property
    def removals(self) -> list[int]:
        """How many kernels are taken out each time, so that all of `saved` are passed."""
        left, counts = sum(self.kernels), []
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


def find_size(value: Any) -> Any:
    """A KernelSize by its name in SIZES, or as it is."""
    return value if isinstance(value, KernelSize) else SIZES[one_of("size", value, SIZES)]


Size = Annotated[KernelSize, BeforeValidator(find_size)]


class KernelLife(PrunedLife):
    """What the specs of the thesis's convolutional model have in common."""

    always: ClassVar[tuple[str, ...]] = ("size",)
    material: Any = "images"
    size: Any
    seed: Any

    @property
    def task(self) -> Any:
        """Learning the material with plain SGD."""
        from cplab.studies.pruning.kernels import Kernels  # loads torch

        return Kernels(self)

    @property
    def profile(self) -> str:
        return self.size.profile

    @property
    def kernels(self) -> tuple[int, int]:
        return self.size.kernels

    @property
    def trunk_key(self) -> tuple:
        size = self.size
        built = (size.profile, self.kernels, size.units, size.batch)
        return (type(self).__name__, self.version, *built, self.material, self.seed)


class KernelPruningValues(TypedDict):
    """Columns with an entry for each epoch of training and for each time that kernels were taken
    out: epochs so far; first and second, kernels left; loss, None where nothing was trained;
    train_accuracy, of the material; accuracy, of the test images where the material has their
    labels, else of the material."""

    phase: list[Literal["training", "pruning"]]
    epochs: list[Count]
    first: list[Count]
    second: list[Count]
    loss: list[Positive | None]
    train_accuracy: list[Fraction]
    accuracy: list[Fraction]
    parameters: list[Count]


@spec_class
class KernelPruning(KernelLife):
    """One critical period: training, then pruning down to a few kernels.

    >>> KernelPruning("ci", retrain=False).timeline[-1]
    Event(remove_kernels, (3, 'activity', True))
    """

    Values: ClassVar[Any] = KernelPruningValues

    size: Size = SIZES["course"]
    """A name of SIZES, or a KernelSize, all of which is in the key."""
    material: Literal[MATERIALS] = "images"  # type: ignore[valid-type]
    """What it learns: images, noise (one fixed random picture with a fixed random label for each
    image, figure 12) or random_labels (figure 15)."""
    choice: Literal[CHOICES] = "activity"  # type: ignore[valid-type]
    """The smallest norm first, or at random (figure 7)."""
    retrain: bool = True
    """Whether there is training after each time (figure 8)."""
    seed: Seed = 0
    """Decides weights, batches, random material and random choice."""

    @cached_property
    def timeline(self) -> tuple[Step | Event, ...]:
        """Training; then each removal, and training after it."""
        epochs, rate = self.size.retraining
        after = (Step(NONE, rate),) * epochs if self.retrain else ()
        noise = steps_at(self.size.noise_rates) if self.material == "noise" else ()
        steps: list[Step | Event] = [*(noise or self.size.training)]
        for taken in self.size.removals:
            steps += [Event(remove_kernels, (taken, self.choice, not after)), *after]
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
                continue  # the last epoch after a removal speaks for it
            entry = {"phase": phase, "epochs": epochs, "loss": row.get("train_loss"), **row}
            for name, column in columns.items():
                column.append(entry[name])
        return columns

    def check_values(self, values: dict) -> None:
        trained = [isinstance(part, Event) for part in self.timeline].index(True)
        same_length(trained + len(self.size.removals), *values.values())


class KernelSplitValues(TypedDict):
    """Accuracy of the test images after each epoch, and its end."""

    accuracy: Fraction
    curve: list[Fraction]


@spec_class
class KernelSplit(KernelLife):
    """An architecture trained from scratch on images (figures 11, 13 and 16).

    >>> KernelSplit("ci", first=2, second=3).kernels
    (2, 3)
    """

    Values: ClassVar[Any] = KernelSplitValues

    size: Size
    first: Kernels
    """Kernels of the first convolution."""
    second: Kernels
    seed: Seed = 0

    @property
    def kernels(self) -> tuple[int, int]:
        return self.first, self.second

    @cached_property
    def timeline(self) -> tuple[Step, ...]:
        return self.size.training

    def values(self, rows: list[dict]) -> dict:
        curve = [row["accuracy"] for row in rows]
        return {"accuracy": curve[-1], "curve": curve}

    def check_values(self, values: dict) -> None:
        same_length(self.epochs, values["curve"])
        if values["curve"][-1] != values["accuracy"]:
            raise ValueError("its accuracy is not that of its last epoch")


def random_split(total: int, seed: int, most: tuple[int, int]) -> tuple[int, int]:
    """`total` kernels split between the layers at random, decided by `seed`, evenly over all splits
    that a network with `most` kernels in its layers could be pruned to.

    Raises: CplabError for a total that cannot be split so.

    >>> sum(random_split(12, 0, (4, 10)))
    12
    """
    import numpy as np

    low, high = max(1, total - most[1]), min(most[0], total - 1)
    if low > high:
        raise CplabError(
            f"{total} kernels cannot be split over two layers of {most[0]} and {most[1]}: give "
            f"2 to {sum(most)}"
        )
    start = mix_seeds("split", whole("seed", seed), total) % 2**32
    drawn = np.random.RandomState(start).randint(2**32, dtype=np.uint32)  # as torch draws it
    first = low + int(drawn) % (high + 1 - low)
    return first, total - first
