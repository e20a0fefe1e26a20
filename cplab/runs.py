"""What a run is: images, network, deficit and when, schedule, seed.

A run has three phases: `onset` clear epochs, `length` epochs that carry the deficit, `recovery`
clear epochs. Everything that training needs to know about time is the tuple that `Run.life` derives
from them, one Step for each epoch: runs whose first steps are equal share that stretch of training.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields, replace
from functools import cached_property, partial
from sys import float_info
from typing import Any, ClassVar, NamedTuple

from cplab import deficits, models, specs
from cplab.checks import CplabError, number, one_of, settle, whole, yes_or_no
from cplab.profiles import PROFILES, Profile

DATASETS = ("cifar10", "mnist", "fashion_mnist", "practice")
SCHEDULES = ("paper", "fixed", "recovery")
OPTIMIZERS = ("sgd", "adam")
ARITHMETICS = ("native", "float32")
DEVICES = ("auto", "cuda", "mps", "cpu")
MEASURED = ("lr", "train_loss", "test_accuracy", "seconds")  # columns of a curve
CLEAR = "none"  # the deficit of an epoch that has none


class Step(NamedTuple):
    """What one epoch of training is, apart from its seed and its number."""

    deficit: str
    lr: float


class Event(NamedTuple):
    """What happens to a network between two epochs: a function of engine.tasks by its name."""

    name: str
    args: tuple = ()


class Window(NamedTuple):
    """A further deficit of a life: its name, its first epoch, and how many it lasts."""

    deficit: str
    onset: int
    length: int


def option(
    default: Any,
    text: str,
    metavar: str = "NAME",
    check: Callable = lambda name, value: value,  # for fields that the run itself checks
    always: bool = False,
    given: bool = False,
) -> Any:
    """A field of a run: all that keys, checks, tables and the command line know about it.

    Arguments: text and metavar, for the command line; check, (name, value) -> value or CplabError;
        always, it stands in every key; given, as well, and the profile's stands for None.
    """
    about = {"help": text, "metavar": metavar, "check": check}
    return field(default=default, metadata={**about, "always": always or given, "given": given})


def name_field(default: str | None, names: tuple[str, ...], text: str = "", **more: bool) -> Any:
    """A field that takes one of several names."""
    usual = default or "the profile's"
    check = partial(one_of, allowed=names)
    return option(default, f"{text}{', '.join(names)}. [{usual}]", "NAME", check, **more)


def number_field(default: float | None, text: str, low: float, below: float) -> Any:
    """A field that takes a number from `low` to `below`."""
    return option(default, text, "X", partial(number, low=low, below=below))


@specs.register
@dataclass(frozen=True)
class Run:
    """One network's life: what it sees, when, and how it learns.

    Arguments:
        deficit: none, a name of cplab.deficits.DEFICITS, or your own (see cplab.deficit). blur is
            the paper's (a quarter of the resolution), blur-2 half as strong; blur:left acts on one
            view of two.
        onset, length, recovery: epochs before the deficit, with it and after it.
        profile: a name of cplab.PROFILES; it gives recovery, schedule, dataset, model, pace and
            weight_decay where you do not.
        schedule: paper, fixed or recovery.
        dataset: cifar10, mnist, fashion_mnist or practice.
        model: a name of cplab.models.MODELS, or allcnn-W for another width than the profile's. A
            rate or weight decay that the paper gives a model holds.
        seed: decides initial weights, order of images, crops, flips and noise patterns.
        optimizer: sgd or adam. Adam's learning rate is a fiftieth of the schedule's.
        momentum: of sgd, 0 to below 1. The paper does not state its own.
        arithmetic: native (products in bfloat16 where the machine has it, weights, sums and
            BatchNorm in float32) or float32 throughout.
        pace: for how many epochs of the paper's schedule one epoch stands.
        rate: a factor on all learning rates.
        weight_decay: of all weights.
        augment: whether training images are shifted and mirrored as the profile says.
        windows: further deficits, each (name, first epoch, epochs); they may overlap.

    A deficit of length 0 is no deficit.

    Raises: CplabError for a value that is not allowed.

    >>> run = Run(deficit="blur", onset=4, length=8)
    >>> run.epochs, run.equal_training().onset, run.without_window().epochs, run.newborn().epochs
    (27, 12, 19, 15)
    """

    version: ClassVar[int] = 1
    heading: ClassVar[str] = "protocol"  # begins the canonical string
    task: ClassVar[str] = "classification"

    deficit: str = option(
        CLEAR, f"{', '.join(deficits.DEFICITS)}; also blur-2, blur-8. [none]", always=True
    )
    onset: int = option(0, "Clear epochs before the deficit. [0]", "N", whole, always=True)
    length: int = option(0, "Epochs that carry the deficit. [0]", "N", whole, always=True)
    recovery: int = option(None, "Clear epochs after it. [the profile's]", "N", whole, given=True)
    profile: str = name_field("course", (*PROFILES,), "Size: ", always=True)
    schedule: str = name_field(None, SCHEDULES, "Rates: ", given=True)
    dataset: str = name_field(None, DATASETS, given=True)
    model: str = option(
        None, f"{', '.join(models.MODELS)}; allcnn-96 for a width. [the profile's]", given=True
    )
    seed: int = option(
        0, "Decides weights, order, crops, flips, noise. [0]", "N", whole, always=True
    )
    optimizer: str = name_field("sgd", OPTIMIZERS)
    momentum: float = number_field(0.9, "Of sgd. [0.9]", 0, 1)
    arithmetic: str = name_field(
        "native", ARITHMETICS, "native has bfloat16 where the machine does: "
    )
    pace: float | None = number_field(
        None, "For how many of the paper's epochs an epoch stands. [the profile's]", 1e-3, 1e6
    )
    rate: float = number_field(1.0, "A factor on all learning rates. [1]", 1e-6, 1e6)
    weight_decay: float | None = number_field(None, "Of all weights. [the profile's]", 0, 10)
    augment: bool = option(
        True, "Whether images are shifted and mirrored. [yes]", "YES|NO", yes_or_no
    )
    windows: tuple[Window, ...] = option(
        (), "Further deficits, name@first+epochs, as in blank@8+4. [none]", "WINDOW"
    )

    def __post_init__(self) -> None:
        profile = PROFILES[one_of("profile", self.profile, PROFILES)]
        for f in fields(self):
            value = getattr(self, f.name)
            if value is None and f.metadata.get("given"):
                value = getattr(profile, f.name)
            if value is not None or f.default is not None:
                settle(self, **{f.name: f.metadata["check"](f.name, value)})
        settle(self, model=models.model_name(self.model, profile))
        deficit = deficits.canonical_name(self.deficit, profile.size)
        if deficit == CLEAR and self.length:
            raise CplabError(
                f"length {self.length} is not allowed with deficit none: "
                "give the clear epochs as onset, or name a deficit"
            )
        settle(self, deficit=deficit if self.length else CLEAR)
        if self.optimizer != "sgd" and self.momentum != 0.9:
            raise CplabError(
                f"momentum {self.momentum!r} is not allowed with {self.optimizer}: leave it out"
            )
        if self.pace == profile.pace:
            settle(self, pace=None)
        if self.weight_decay == models.suited_profile(profile, self.family).weight_decay:
            settle(self, weight_decay=None)
        if self.epochs == 0:
            raise CplabError("a run of 0 epochs is not allowed: give onset, length or recovery")
        settle(self, windows=self._windows(profile.size))

    def _windows(self, size: int) -> tuple[Window, ...]:
        """The further deficits, checked and in order."""
        given = self.windows.split() if isinstance(self.windows, str) else self.windows
        found = []
        for one in given if isinstance(given, Iterable) else (given,):
            try:
                if isinstance(one, str):
                    name, when = one.rsplit("@", 1)
                    one = (name, *when.split("+"))
                name, first, epochs = one
            except (TypeError, ValueError):
                how = "give (name, first epoch, epochs), or write it like blank@8+4"
                raise CplabError(f"window {one!r} is not allowed: {how}") from None
            first = whole("first epoch of a window", first)
            epochs = whole("epochs of a window", epochs, least=1)
            window = Window(deficits.canonical_name(name, size), first, epochs)
            if window.deficit == CLEAR or first + epochs > self.epochs:
                raise CplabError(
                    f"window {tuple(window)} is not allowed: name a deficit that ends by epoch "
                    f"{self.epochs}, where the run does"
                )
            found.append(window)
        return tuple(sorted(set(found), key=lambda w: (w.onset, w.length, w.deficit)))

    def __getstate__(self) -> dict:
        """What goes to another process with every report: the fields alone."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @property
    def epochs(self) -> int:
        return self.onset + self.length + self.recovery

    @property
    def end(self) -> int:
        """The epoch at which the deficit is removed."""
        return self.onset + self.length

    @property
    def family(self) -> str:
        return self.model.rpartition("-")[0]

    @property
    def width(self) -> int:
        return int(self.model.rpartition("-")[2])

    @cached_property
    def settings(self) -> Profile:
        """The profile, with what the model and the run change."""
        changes: dict[str, Any] = {"momentum": self.momentum}
        changes |= {} if self.pace is None else {"pace": self.pace}
        changes |= {} if self.weight_decay is None else {"weight_decay": self.weight_decay}
        changes |= {} if self.augment else {"shift": 0, "mirror": False}
        return replace(models.suited_profile(PROFILES[self.profile], self.family), **changes)

    @cached_property
    def canonical(self) -> str:
        """All that decides the result, as one line."""
        return specs.canonical(self)

    @cached_property
    def key(self) -> str:
        """16 hexadecimal digits: the name of this run's result."""
        return specs.key(self)

    @property
    def trunk_key(self) -> tuple:
        """Two runs may share training only if these agree."""
        usual = {f.name: f.default for f in fields(self)}
        names = ("optimizer", "momentum", "arithmetic", "weight_decay", "augment")
        changed = [(n, getattr(self, n)) for n in names if getattr(self, n) != usual[n]]
        first = (self.dataset, self.model, self.profile, self.seed, self.version)
        return ("Run", *first, *changed)

    def phase(self, epoch: int) -> str:
        """clear, deficit or recovery."""
        if epoch >= self.end:
            return "recovery"
        return "clear" if epoch < self.onset else "deficit"

    @cached_property
    def life(self) -> tuple[Step, ...]:
        """One (deficit, learning rate) for each epoch."""
        every = (Window(self.deficit, self.onset, self.length), *self.windows)
        steps = []
        for epoch in range(self.epochs):
            names = [w.deficit for w in every if w.onset <= epoch < w.onset + w.length]
            steps.append(Step("+".join(names) or CLEAR, learning_rate(self, epoch)))
        return tuple(steps)

    def values(self, rows: list[dict]) -> dict:
        """What a result says of this run, out of the engine's rows: accuracy (of the test images
        after the last epoch, 0 to 1) and curve, a row for each epoch."""
        curve = [
            {"epoch": r["epoch"], "phase": self.phase(r["epoch"]), **{n: r[n] for n in MEASURED}}
            for r in rows
        ]
        return {"accuracy": rows[-1]["test_accuracy"], "curve": curve}

    def check_values(self, values: dict) -> None:
        """Raise ValueError unless these can be this run's."""
        curve = values["curve"]
        for row in curve:
            for name in MEASURED:
                most = 1 if name == "test_accuracy" else float_info.max
                if not (isinstance(row[name], float) and 0 <= row[name] <= most):
                    raise ValueError(f"it holds the {name} {row[name]!r}")
        if [row["epoch"] for row in curve] != [*range(self.epochs)]:
            raise ValueError("its curve does not fit its run")
        if curve[-1]["test_accuracy"] != values["accuracy"]:
            raise ValueError("its accuracy is not that of its last epoch")

    @staticmethod
    def trainer() -> Callable:
        """The function that trains lives."""
        from cplab.engine.lives import trajectories

        return trajectories

    def equal_training(self) -> "Run":
        """The control without a deficit that trains for as many epochs (matched epochs)."""
        return replace(self, deficit=CLEAR, onset=self.end, length=0, windows=())

    def newborn(self) -> "Run":
        """The control that has the recovery epochs alone (recovery only)."""
        return replace(self, deficit=CLEAR, onset=0, length=0, windows=())

    def without_window(self) -> "Run":
        """The same life with the window of the deficit cut out; at onset 0 the newborn."""
        return replace(self, deficit=CLEAR, length=0, windows=())

    def call(self) -> str:
        """The line of Python that gives this run's result."""
        usual = Run(profile=self.profile)
        said = [
            f"{f.name}={getattr(self, f.name)!r}"
            for f in fields(self)
            if f.name in ("deficit", "onset", "length", "profile", "seed")
            or getattr(self, f.name) != getattr(usual, f.name)
        ]
        return f"cplab.run({', '.join(said)})"


def learning_rate(run: Run, epoch: int) -> float:
    """The rate of one epoch (Materials and Methods for `paper` and `fixed`)."""
    p = run.settings
    scale = 1 / 50 if run.optimizer == "adam" else 1  # 0.001 where SGD begins with 0.05
    if run.rate != 1:
        scale *= run.rate
    if run.schedule == "paper":
        return scale * p.paper_lr * 0.97 ** (p.pace * epoch)
    if run.schedule == "fixed":
        return scale * p.fixed_lr
    recovering = max(0, epoch - run.end)
    part = 1 - recovering / run.recovery if run.recovery else 1
    return scale * p.recovery_lr * part
