"""What can be asked of convolutional networks that are pruned: lives, without torch.

The engine trains them step by step; `saliency` and `kernels` say what happens between the steps.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cached_property, partial
from typing import Any, ClassVar

from cplab.checks import CplabError, one_of, part, settle, whole
from cplab.profiles import PROFILES, Profile
from cplab.runs import Event, Run, Step
from cplab.specs import register

METRICS = ("none", "magnitude", "fisher", "random")
MATERIALS = ("images", "noise", "random_labels")
CHOICES = ("activity", "random")


class PrunedLife:
    """What the engine needs of all lives here."""

    optimizer: ClassVar[str] = "sgd"
    arithmetic: ClassVar[str] = "native"
    profile: Any

    def __getstate__(self) -> dict:
        """What goes to another process: the fields alone."""
        return {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]

    @cached_property
    def life(self) -> tuple[Step | Event, ...]:
        raise NotImplementedError

    @cached_property
    def epochs(self) -> int:
        return sum(isinstance(part, Step) for part in self.life)

    @property
    def expected_seconds(self) -> float | None:
        """About what it takes on one thread, where no such life was measured."""
        an_epoch = {"ci": 0.1, "course": 0.8}.get(self.profile)
        return an_epoch and an_epoch * self.epochs

    @staticmethod
    def trainer() -> Callable:
        """The engine's; the tasks and events of these lives are known then."""
        from cplab.engine.lives import trajectories
        from cplab.pruning import kernels, saliency  # noqa: F401

        return trajectories


@register
@dataclass(frozen=True)
class Pruned(PrunedLife):
    """One network's life: training, pruning of weights, retraining, a deficit, recovery.

    The learning rate falls over the last epochs of training (as many as the profile's recovery
    has), over retraining and over recovery, each time as in the `recovery` schedule; during the
    deficit it is held.

    Arguments:
        profile: a name of cplab.PROFILES.
        metric: magnitude, fisher, random, or none for the network that is not pruned.
        density: the fraction of weights kept; at 1 the metric is none.
        deficit: as of a Run; none for the control, which has as many clear epochs in its place.
        length, recovery: epochs of the deficit and clear ones after it; without length life ends
            after retraining.
        training, retraining: clear epochs before and after pruning.
        seed: decides initial weights, batches and what is taken out at random.

    Values: curve, accuracy of the test images (0 to 1) after each epoch; loss, the mean training
    loss of each; accuracy and trace (of the Fisher information of the weights that are kept, a list
    by layer) at the moments trained, pruned, retrained and, where there was a deficit or its
    control, end; layers, names of the ranked ones; weights and kept, how many these have and keep;
    predicted and change, what taking weights out does to the answers, E KL(before ‖ after) in nats:
    to second order, weight by weight, and really.

    Raises: CplabError for a value that is not allowed.

    >>> life = Pruned(metric="fisher", density=0.2, deficit="blur", length=8)
    >>> life.epochs
    43
    """

    version: ClassVar[int] = 1
    task: ClassVar[str] = "pruned"

    profile: str = "course"
    metric: str = "none"
    density: float = 1.0
    deficit: Any = "none"
    length: int = 0
    recovery: int = 10
    training: int = 20
    retraining: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        one_of("profile", self.profile, PROFILES)
        one_of("metric", self.metric, METRICS)
        density = part("density", self.density, 1, "the fraction of weights that are kept")
        if self.metric == "none" and density < 1:
            raise CplabError(
                f"density {self.density!r} is not allowed with metric none: "
                f"give 1, or a metric: {', '.join(METRICS[1:])}"
            )
        settle(
            self,
            density=density,
            metric="none" if density == 1 else self.metric,
            length=whole("length", self.length),
            recovery=whole("recovery", self.recovery) if self.length else 0,
            training=whole("training", self.training, least=1),
            retraining=whole("retraining", self.retraining),
        )
        last = self.phases[2]
        settle(self, deficit=last.deficit, seed=last.seed)

    @cached_property
    def phases(self) -> tuple[Run, Run, Run]:
        """Training, retraining, the deficit with its recovery: each is the last epochs of a Run,
        whose epochs are numbered through."""
        run = partial(Run, profile=self.profile, schedule="recovery", seed=self.seed)
        falling = min(PROFILES[self.profile].recovery, self.training)
        begin, length = self.training + self.retraining, self.length
        when: dict[str, Any] = {"onset": begin, "length": length}
        if self.deficit == "none":
            when = {"onset": begin + length}
        return (
            run(onset=self.training - falling, recovery=falling),
            run(onset=self.training, recovery=self.retraining),
            run(deficit=self.deficit, **when, recovery=self.recovery),
        )

    @cached_property
    def life(self) -> tuple[Step | Event, ...]:
        """Steps of the three phases; what is done and looked at between them."""
        first, second, third = self.phases
        pruning = Event("prune_weights", (self.metric, self.density, self.seed))
        parts: list[Step | Event] = [*first.life, inspection("trained")]
        parts += [pruning, inspection("pruned")]
        parts += [*second.life[self.training :], inspection("retrained")]
        if self.length:
            parts += [*third.life[self.training + self.retraining :], inspection("end")]
        return tuple(parts)

    @property
    def trunk_key(self) -> tuple:
        return ("Pruned", self.version, *self.phases[0].trunk_key)

    @property
    def dataset(self) -> str:
        return self.phases[0].dataset

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
                names = ("layers", "weights", "kept", "predicted", "change")
                found |= {name: row[name] for name in names}
            else:
                found["curve"].append(row["test_accuracy"])
                found["loss"].append(row["train_loss"])
        return found


def inspection(moment: str) -> Event:
    return Event("inspect", (moment,))


@register
@dataclass(frozen=True)
class KernelSize:
    """How large the thesis's convolutional model is, and how long each part of its life.

    Arguments: profile, whose images it sees; kernels of the two convolutions and units of the two
        hidden dense layers; rates, (epochs, learning rate) of training, one after the other;
        at_once, kernels that are taken out at a time; retraining, epochs and learning rate after
        each time; saved, numbers of kernels at which the architecture is kept; batch, images.

    SIZES has three; the thesis's numbers are SIZES["paper"]'s. Raises: CplabError.

    >>> SIZES["ci"].removals
    [3, 3, 3]
    """

    profile: str
    kernels: tuple[int, int]
    units: tuple[int, int]
    rates: tuple[tuple[int, float], ...]
    at_once: int
    retraining: tuple[int, float]
    saved: tuple[int, ...]
    batch: int = 128

    def __post_init__(self) -> None:
        one_of("profile", self.profile, PROFILES)
        for name in ("kernels", "units", "saved"):
            settle(self, **{name: tuple(whole(name, n, least=1) for n in getattr(self, name))})
        settle(self, at_once=whole("at_once", self.at_once, least=1))
        if not 2 <= min(self.saved) <= max(self.saved) < sum(self.kernels):
            raise CplabError(
                f"saved {self.saved} is not allowed: one kernel has to be left in each layer and "
                f"one to go, so give numbers from 2 to {sum(self.kernels) - 1}"
            )

    @property
    def training(self) -> tuple[Step, ...]:
        return tuple(Step("none", rate) for epochs, rate in self.rates for _ in range(epochs))

    @property
    def removals(self) -> list[int]:
        """How many kernels are taken out each time, so that all of `saved` are passed."""
        left, counts = sum(self.kernels), []
        while left > min(self.saved):
            counts.append(min(self.at_once, left - max(s for s in self.saved if s < left)))
            left -= counts[-1]
        return counts


_CI, _COURSE = ((2, 0.05),), ((10, 0.1), (10, 0.01), (5, 0.001))  # the rates are ours
_PAPER = ((100, 0.1), (100, 0.01), (50, 0.001))
SIZES = {  # course: a quarter of the kernels and a tenth of the epochs
    "ci": KernelSize("ci", (4, 8), (16, 8), _CI, 3, (1, 0.01), (9, 6, 3), batch=64),
    "course": KernelSize(
        "course", (16, 64), (96, 48), _COURSE, 3, (2, 0.01), saved=(75, 50, 25, 8, 5)
    ),
    "paper": KernelSize(
        "paper", (64, 256), (382, 194), _PAPER, 10, (15, 0.001), saved=(300, 200, 100, 30, 20)
    ),
}


class KernelLife(PrunedLife):
    """What the lives of the thesis's convolutional model have in common."""

    version: ClassVar[int]
    task: ClassVar[str] = "kernels"
    size: KernelSize
    seed: int

    def settle_size(self) -> None:
        """A size by its name in SIZES, or one of your own."""
        if not isinstance(self.size, KernelSize):
            settle(self, size=SIZES[one_of("size", self.size, SIZES)])
        settle(self, seed=whole("seed", self.seed))

    @property
    def profile(self) -> str:
        return self.size.profile

    @property
    def dataset(self) -> str:
        return PROFILES[self.profile].dataset

    @property
    def kernels(self) -> tuple[int, int]:
        return self.size.kernels

    @property
    def trunk_key(self) -> tuple:
        size, material = self.size, getattr(self, "material", "images")
        built = (size.profile, self.kernels, size.units, size.batch)
        return (type(self).__name__, self.version, *built, material, self.seed)


@register
@dataclass(frozen=True)
class KernelPruning(KernelLife):
    """One critical period: training, then pruning down to a few kernels.

    Arguments:
        size: a name of SIZES, or a KernelSize.
        material: what it learns: images, noise (one fixed random picture with a fixed random label
            for each image, figure 12) or random_labels (figure 15).
        choice: activity (smallest norm first) or random (figure 7).
        retrain: whether there is training after each time (figure 8).
        seed: decides weights, batches, random material and random choice.

    Values: columns with an entry for each epoch of training and for each time that kernels were
    taken out: phase (training or pruning), epochs so far, first, second (kernels left), loss (None
    where nothing was trained), train_accuracy (of the material, 0 to 1), accuracy (of the test
    images where the material has their labels, else of the material), parameters.

    Raises: CplabError for a value that is not allowed.

    >>> KernelPruning("ci", retrain=False).life[-1]
    Event(name='remove_kernels', args=(3, 'activity', True))
    """

    version: ClassVar[int] = 1

    size: Any = "course"  # a KernelSize from then on, all of which is in the key
    material: str = "images"
    choice: str = "activity"
    retrain: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        self.settle_size()
        one_of("material", self.material, MATERIALS)
        one_of("choice", self.choice, CHOICES)

    @cached_property
    def life(self) -> tuple[Step | Event, ...]:
        """Training; then each removal, and training after it."""
        epochs, rate = self.size.retraining
        after = (Step("none", rate),) * epochs if self.retrain else ()
        steps: list[Step | Event] = [*self.size.training]
        for count in self.size.removals:
            steps += [Event("remove_kernels", (count, self.choice, not after)), *after]
        return tuple(steps)

    def values(self, rows: list[dict]) -> dict:
        names = ("first", "second", "loss", "train_accuracy", "accuracy", "parameters")
        columns: dict[str, list] = {name: [] for name in ("phase", "epochs", *names)}
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


@register
@dataclass(frozen=True)
class KernelSplit(KernelLife):
    """An architecture trained from scratch on images (figures 11, 13 and 16).

    Arguments: size, a name of SIZES or a KernelSize; first and second, kernels of the two
        convolutions; seed.
    Values: curve, accuracy of the test images after each epoch, and accuracy, its end.
    Raises: CplabError for a value that is not allowed.

    >>> KernelSplit("ci", first=2, second=3).kernels
    (2, 3)
    """

    version: ClassVar[int] = 1

    size: Any
    first: int
    second: int
    seed: int = 0

    def __post_init__(self) -> None:
        self.settle_size()
        for name in ("first", "second"):
            settle(self, **{name: whole("kernels", getattr(self, name), least=1)})

    @property
    def kernels(self) -> tuple[int, int]:
        return self.first, self.second

    @cached_property
    def life(self) -> tuple[Step, ...]:
        return self.size.training

    def values(self, rows: list[dict]) -> dict:
        curve = [row["accuracy"] for row in rows]
        return {"accuracy": curve[-1], "curve": curve}
