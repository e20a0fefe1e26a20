"""What a run is: images, network, deficit and when, schedule, seed; its canonical string and key.

A run has three phases: `onset` clear epochs, `length` epochs that carry the deficit, `recovery`
clear epochs. Everything that training needs to know about time is the tuple of steps that
`Run.steps` derives from them, one (deficit, learning rate) for each epoch: runs whose first steps
are equal share that stretch of training.
"""

import hashlib
import os
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import NamedTuple

# Raise by one whenever a change alters what a run with the same fields would give.
PROTOCOL = 1

DATASETS = ("cifar10", "mnist", "fashion_mnist", "practice")
DEFICITS = ("none", "blur", "flip", "permute", "noise", "fresh_noise", "stripes", "blank")
SCHEDULES = ("paper", "fixed", "recovery")
MODELS = {  # width of the first layer in the paper
    "allcnn": 96, "fc": 2500, "resnet18": 64, "depth1": 96, "depth2": 96, "depth3": 96,
}  # fmt: skip
OPTIMIZERS = ("sgd", "adam")
ARITHMETICS = ("native", "float32")
DEVICES = ("auto", "cuda", "mps", "cpu")


class CplabError(Exception):
    """One clear line: what is wrong, what is allowed, what to do."""

    exit_code = 2  # of the command line


@dataclass(frozen=True)
class Profile:
    """One size of experiment: everything that a run does not say itself.

    Learning rates: `paper` is paper_lr · 0.97^(pace · epoch), pace being how many of the paper's
    epochs one epoch stands for; `fixed` is fixed_lr throughout; `recovery` is recovery_lr until
    the deficit ends and then falls linearly over the recovery epochs.
    """

    name: str
    dataset: str
    size: int  # pixels a side
    width: int  # of the model's first layer; the paper's is in MODELS
    train_images: int
    test_images: int
    recovery: int  # epochs, where a run does not say
    schedule: str  # where a run does not say
    paper_lr: float
    pace: float
    fixed_lr: float
    recovery_lr: float
    shift: int  # largest random translation, pixels
    mirror: bool = True  # random horizontal flips
    batch: int = 128
    momentum: float = 0.9  # where a run does not say; the paper does not state it
    weight_decay: float = 1e-3
    model: str = "allcnn"  # where a run does not say


PROFILES = {
    p.name: p
    for p in (
        Profile("ci", "practice", 8, 4, 512, 256, 3, "recovery", 0.05, 10, 0.02, 0.02, shift=1),
        Profile(
            "course",
            "cifar10",
            16,
            16,
            10_000,
            10_000,
            15,
            "recovery",
            0.05,
            10,
            0.02,
            0.02,
            shift=2,
        ),
        # Few images and no augmentation: a net that fits its training set (lab 04).
        Profile(
            "fit",
            "cifar10",
            16,
            32,
            2_000,
            5_000,
            20,
            "paper",
            0.05,
            3,
            0.02,
            0.02,
            shift=0,
            mirror=False,
        ),
        # The paper's MNIST experiment with a net of a fifth of its width and a sixth of the images.
        Profile(
            "mnist",
            "mnist",
            32,
            500,
            10_000,
            10_000,
            40,
            "fixed",
            0.05,
            10,
            0.005,
            0.02,
            shift=4,
            weight_decay=0.0,
            model="fc",
        ),
        Profile(
            "colab", "cifar10", 32, 32, 50_000, 10_000, 30, "recovery", 0.05, 5, 0.02, 0.02, shift=4
        ),
        # Achille, Rovere & Soatto, Materials and Methods; its fixed rate is 0.001
        Profile(
            "paper", "cifar10", 32, 96, 50_000, 10_000, 300, "paper", 0.05, 1, 0.001, 0.05, shift=4
        ),
    )
}


@lru_cache
def suited(profile: Profile, family: str, momentum: float) -> Profile:
    """A profile with a run's momentum, and what the paper gives a kind of model of its own
    (Materials and Methods): to ResNet-18 twice the All-CNN's initial rate and half its weight
    decay, in every profile; to full connections the fixed rate 0.005 and no weight decay, in colab
    and paper (mnist has these)."""
    profile = replace(profile, momentum=momentum)
    if family == "resnet18":
        return replace(
            profile,
            paper_lr=2 * profile.paper_lr,
            recovery_lr=2 * profile.recovery_lr,
            weight_decay=profile.weight_decay / 2,
        )
    if family == "fc" and profile.name in ("colab", "paper"):
        return replace(profile, fixed_lr=0.005, weight_decay=0.0)
    return profile


class Step(NamedTuple):
    """What one epoch of training is, apart from its seed and its number."""

    deficit: str
    lr: float


def cache_dir() -> Path:
    """Where downloads and results go: $CPLAB_CACHE, else the user's cache directory."""
    if os.environ.get("CPLAB_CACHE"):
        return Path(os.environ["CPLAB_CACHE"]).expanduser()
    import platformdirs

    return platformdirs.user_cache_path("cplab")


def one_of(what: str, value: object, allowed) -> str:
    """`value` if it is in `allowed`, else a CplabError that names both."""
    if isinstance(value, str) and value in allowed:
        return value
    raise CplabError(f"unknown {what} {value!r}: choose one of {', '.join(map(str, allowed))}")


def whole(what: str, value: object, least: int = 0) -> int:
    """`value` as an int that records and generators can hold, else a CplabError."""
    try:
        number = int(value)
        if number == float(value) and least <= number < 2**31 and not isinstance(value, bool):
            return number
    except (TypeError, ValueError, OverflowError):
        pass
    raise CplabError(
        f"{what} {value!r} is not allowed: give a whole number, {least} or more (and below 2**31)"
    )


def part(what: str, value: object, whole: int, unit: str) -> float:
    """`value` as a float above 0 and at most `whole`, else a CplabError that names the unit."""
    with suppress(TypeError, ValueError):
        if 0 < float(value) <= whole:
            return float(value)
    raise CplabError(
        f"{what} {value!r} is not allowed: give {unit}, above 0 and at most {whole}"
        + (" (0.05 for 5 %)" if whole == 1 else "")
    )


def settle(spec, **values) -> None:
    """Set fields of a frozen dataclass, in its __post_init__."""
    for name, value in values.items():
        object.__setattr__(spec, name, value)


def split_name(what: str, value: str, names, example: str) -> tuple[str, int | None]:
    """('blur', 2) from 'blur-2', ('blur', None) from 'blur'."""
    head, dash, tail = str(value).partition("-")
    one_of(what, head, names)
    if not dash:
        return head, None
    if not tail.isdecimal() or int(tail) < 1:
        raise CplabError(f"{what} {value!r} is not allowed: write it like {example}")
    return head, int(tail)


# Fields that came after the first records, and the values that change nothing: a run that has
# these is named as it was before.
LATER = {"optimizer": "sgd", "trace": "none", "momentum": 0.9, "arithmetic": "native"}


def epochs_of_trace(value: object) -> str:
    """none, every, or `0,4,9`, from one of these or whole numbers; else a CplabError."""
    if isinstance(value, str) and value in ("none", "every"):
        return value
    try:
        epochs = value.split(",") if isinstance(value, str) else value
        numbers = sorted({whole("trace", epoch) for epoch in epochs})
    except (TypeError, CplabError):
        numbers = []
    if not numbers:
        raise CplabError(
            f"trace {value!r} is not allowed: give none, every, or epochs such as 0,4,9"
        )
    return ",".join(map(str, numbers))


def momentum_of(value: object, optimizer: str) -> float:
    """`value` as a momentum of SGD, else a CplabError."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = -1.0
    if not 0 <= number < 1 or isinstance(value, bool):
        raise CplabError(f"momentum {value!r} is not allowed: give a number from 0 to below 1")
    if optimizer != "sgd" and number != LATER["momentum"]:
        raise CplabError(f"momentum {value!r} is not allowed with {optimizer}: leave it out")
    return number


@dataclass(frozen=True)
class Run:
    """One network's life: what it sees, when, and how it learns.

    Arguments:
        deficit: none, blur, flip, permute (labels), noise (one fixed pattern an image),
            fresh_noise (another at each epoch), stripes (vertical structure alone) or blank. blur
            is the paper's (a quarter of the resolution); blur-2 is half as strong, blur-8 twice.
        onset: clear epochs before the deficit.
        length: epochs that carry the deficit.
        recovery: clear epochs after it (the profile's number if not given).
        profile: ci, course, fit, mnist, colab or paper.
        schedule: paper, fixed or recovery (the profile's if not given).
        dataset: cifar10, mnist, fashion_mnist or practice (the profile's if not given).
        model: allcnn, fc, resnet18, depth1, depth2 or depth3 (the profile's if not given), or
            allcnn-W for another width than the profile's. Where the paper gives a model a rate or
            weight decay of its own, that holds (see suited).
        seed: decides initial weights, order of images, crops, flips and noise patterns.
        optimizer: sgd or adam. Adam's learning rate is a fiftieth of the schedule's.
        trace: none, every, or the epochs, `0,4,9`, after which the Fisher information is measured
            (fisher.along); unless it is none, more is measured after the last (fisher.at_end).
            Training is the same with and without, bit for bit.
        momentum: of sgd, 0 to below 1. The paper does not state its own.
        arithmetic: native (products in bfloat16 where the machine has it, weights, sums and
            BatchNorm in float32) or float32 throughout.

    A deficit of length 0 is no deficit. The control of equal training is deficit none with
    onset + length as its onset, the newborn has onset 0 and length 0.

    Raises: CplabError for a value that is not allowed.
    """

    deficit: str = "none"
    onset: int = 0
    length: int = 0
    recovery: int | None = None
    profile: str = "course"
    schedule: str | None = None
    dataset: str | None = None
    model: str | None = None
    seed: int = 0
    optimizer: str = "sgd"
    trace: str = "none"
    momentum: float = 0.9
    arithmetic: str = "native"

    def __post_init__(self):
        profile = PROFILES[one_of("profile", self.profile, PROFILES)]
        named = profile.model if self.model is None else self.model
        family, width = split_name("model", named, MODELS, "allcnn or allcnn-96")
        usual = round(profile.width * MODELS[family] / MODELS[profile.model])
        kind, strength = split_name("deficit", self.deficit, DEFICITS, "blur or blur-2")
        if strength is not None and (kind != "blur" or not 1 < strength <= profile.size):
            raise CplabError(
                f"deficit {self.deficit!r} is not allowed: only blur takes a strength, "
                f"from blur-2 to blur-{profile.size} at {profile.size} pixels"
            )
        settled = {
            "onset": whole("onset", self.onset),
            "length": whole("length", self.length),
            "recovery": whole(
                "recovery", profile.recovery if self.recovery is None else self.recovery
            ),
            "seed": whole("seed", self.seed),
            "schedule": one_of(
                "schedule", profile.schedule if self.schedule is None else self.schedule, SCHEDULES
            ),
            "dataset": one_of(
                "dataset", profile.dataset if self.dataset is None else self.dataset, DATASETS
            ),
            "model": f"{family}-{width or usual}",
            "optimizer": one_of("optimizer", self.optimizer, OPTIMIZERS),
            "trace": epochs_of_trace(self.trace),
            "momentum": momentum_of(self.momentum, self.optimizer),
            "arithmetic": one_of("arithmetic", self.arithmetic, ARITHMETICS),
        }
        if kind == "none" and settled["length"]:
            raise CplabError(
                f"length {settled['length']} is not allowed with deficit none: "
                "give the clear epochs as onset, or name a deficit"
            )
        settled["deficit"] = "none" if not settled["length"] else kind
        if kind == "blur" and strength not in (None, 4) and settled["length"]:
            settled["deficit"] = f"blur-{strength}"
        if settled["onset"] + settled["length"] + settled["recovery"] == 0:
            raise CplabError("a run of 0 epochs is not allowed: give onset, length or recovery")
        settle(self, **settled)

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
    def settings(self) -> Profile:
        """The profile, suited to the run."""
        return suited(PROFILES[self.profile], self.model.partition("-")[0], self.momentum)

    @property
    def width(self) -> int:
        return int(self.model.partition("-")[2])

    def said(self) -> dict:
        """The fields by name, without the LATER ones that change nothing."""
        pairs = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: value for name, value in pairs.items() if LATER.get(name) != value}

    @cached_property
    def canonical(self) -> str:
        """All fields by name, the profile's dataset and schedule spelled out."""
        return " ".join(
            [f"protocol={PROTOCOL}", *(f"{name}={value}" for name, value in self.said().items())]
        )

    @property
    def origin(self) -> tuple:
        """What two runs must have in common before their steps can be shared."""
        return (
            self.dataset, self.model, self.profile, self.seed, f"protocol={PROTOCOL}",
            self.optimizer, self.trace, *({self.momentum} - {LATER["momentum"]}),
            *({self.arithmetic} - {LATER["arithmetic"]}),
        )  # fmt: skip

    def traced(self, epoch: int) -> bool:
        """Whether the Fisher information is measured after this epoch."""
        return self.trace == "every" or str(epoch) in self.trace.split(",")

    @cached_property
    def key(self) -> str:
        """16 hexadecimal digits: the name of this run's record."""
        return hashlib.sha256(self.canonical.encode()).hexdigest()[:16]

    def phase(self, epoch: int) -> str:
        """clear, deficit or recovery."""
        if epoch >= self.end:
            return "recovery"
        return "clear" if epoch < self.onset else "deficit"

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """One (deficit, learning rate) for each epoch."""
        return tuple(
            Step(self.deficit if self.phase(e) == "deficit" else "none", learning_rate(self, e))
            for e in range(self.epochs)
        )

    def equal_training(self) -> "Run":
        """The control without a deficit that trains for as many epochs."""
        return replace(self, deficit="none", onset=self.end, length=0)

    def newborn(self) -> "Run":
        """The control that has the recovery epochs alone."""
        return replace(self, deficit="none", onset=0, length=0)

    def call(self) -> str:
        """The line of Python that gives this run's record."""
        plain = Run(profile=self.profile)
        said = [
            f"{f.name}={getattr(self, f.name)!r}"
            for f in fields(self)
            if f.name in ("deficit", "onset", "length", "profile", "seed")
            or getattr(self, f.name) != getattr(plain, f.name)
        ]
        return f"cplab.run({', '.join(said)})"


def learning_rate(run: Run, epoch: int) -> float:
    """The rate of one epoch (Materials and Methods for `paper` and `fixed`)."""
    p = run.settings
    scale = 1 / 50 if run.optimizer == "adam" else 1  # 0.001 where SGD begins with 0.05
    if run.schedule == "paper":
        return scale * p.paper_lr * 0.97 ** (p.pace * epoch)
    if run.schedule == "fixed":
        return scale * p.fixed_lr
    recovering = max(0, epoch - run.end)
    part = 1 - recovering / run.recovery if run.recovery else 1
    return scale * p.recovery_lr * part
