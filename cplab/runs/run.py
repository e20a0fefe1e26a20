"""Runs: images, a network, a deficit and its epochs, a schedule and a seed.

A run has three phases: clear epochs, the deficit, and recovery. `Run.timeline` turns them into
steps and events, which training follows.
"""

from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from functools import cache, cached_property
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple, cast

from pydantic import BeforeValidator, Field, SkipValidation, WrapValidator

from cplab import deficits, models
from cplab.base.errors import CplabError, as_list, one_of, whole
from cplab.pictures import datasets
from cplab.runs.steps import Event, Step
from cplab.runs.treatments import Treatment, read_treatments, without
from cplab.specs import Count, Number, Seed, Spec, assign, spec_class
from cplab.specs.profiles import PROFILES, Profile, ProfileName

if TYPE_CHECKING:
    from cplab.runs.tasks import Classification

DEVICES = ("auto", "cuda", "mps", "cpu")
MEASURED = ("lr", "train_loss", "test_accuracy", "seconds")  # columns of a curve
# Further columns: how far the layers' weights travel (`engine.distance`). Not all results have them
DISTANCES = ("path", "path_plain", "from_birth", "from_deficit")
CLEAR = "none"  # the deficit of a clear epoch
LONGEST = 10_000  # epochs of a run
# Fields that decide nothing but steps. Runs that agree in all other fields share the training of
# the steps that they have in common.
IN_STEPS = {
    "deficit",
    "onset",
    "length",
    "recovery",
    "schedule",
    "pace",
    "rate",
    "windows",
    "skipped",
    "treatments",
}
IN_KEY = ("deficit", "onset", "length", "profile", "seed")  # fields that every key contains
SEVERAL = ("windows", "treatments")  # fields that hold several values
# Fields that a key omits if they are as in the profile; it omits others if they have their default
UNNAMED = ("momentum", "arithmetic")
CLOCKS = ("stopped", "running")  # whether a schedule counts the epochs of a window that is cut out


def treated_step(step: Step, treatment: Treatment) -> Step:
    """A step as a treatment changes it: its learning rate is multiplied, other fields are set."""
    kind = treatment.kind
    if kind.field == "own":
        return step._replace(own=treatment.name)
    if kind.field == "lr":
        return step._replace(lr=treatment.strength * step.lr)
    changes: dict[str, Any] = {kind.field: treatment.strength}
    return step._replace(**changes)


Epochs = Annotated[Count, Field(le=LONGEST)]
DeficitName = Annotated[str, BeforeValidator(deficits.canonical_name)]
DatasetName = Annotated[str, BeforeValidator(datasets.check_dataset)]
ModelName = Annotated[str, BeforeValidator(models.model_name)]
# As a run is given them; it holds a tuple of Treatment
Treatments = str | Iterable[str | Treatment | tuple]
# Of a field whose default, None, stands for the profile's value
OR_NONE = WrapValidator(lambda value, check: value if value is None else check(value))
FROM_PROFILE: Any = None


class Window(NamedTuple):
    """A further deficit of a run: its name, its first epoch, and its length in epochs."""

    deficit: DeficitName
    onset: Epochs
    length: Annotated[Epochs, Field(ge=1)]

    def __repr__(self) -> str:
        return repr(tuple(self))  # which `Run` takes


def split_window(value: object) -> object:
    """Split a window that is written like blank@8+4 into its fields; leave others as they are."""
    if not isinstance(value, str):
        return value
    name, _, epochs = value.rpartition("@")
    onset, plus, length = epochs.partition("+")
    if not plus:
        raise CplabError(f"window {value!r} is not allowed: write it like blank@8+4")
    return {"deficit": name, "onset": onset, "length": length}


@spec_class
class Run(Spec):
    """One training run: clear epochs, then a deficit, then clear epochs again. With length 0 there
    is no deficit, and it is called `none`.

    Attributes:
        deficit: what is wrong with the images, like blur, blur-2, blur:left or blur+flip.
        onset: clear epochs before the deficit.
        length: epochs with the deficit; must be given for any deficit.
        recovery: clear epochs after it.
        profile: the size; it gives what is None here.
        schedule: learning rates: paper, fixed or recovery.
        dataset: images; your own by the name that cplab.images_from returns.
        model: the network; allcnn-96 for another width than the profile's.
        seed: decides initial weights, order of images, crops, flips, noise. Figures use 0 to
            49, and those after them until ten are missing.
        optimizer: sgd or adam, whose learning rate is a fiftieth of the schedule's.
        momentum: of sgd, from 0 to below 1; the paper does not state its value.
        arithmetic: native (products in bfloat16 where the machine can) or float32.
        pace: how many epochs of the paper's schedule one epoch stands for.
        batch: images of a step.
        rate: a factor on all learning rates.
        weight_decay: on all weights; some models have their own.
        images: training images that each seed draws for itself, in a profile where it does (tiny).
        augment: whether training images are shifted and mirrored as the profile says, yes or no.
        windows: further deficits, (name, first epoch, epochs) or like blank@8+4; may overlap.
        skipped: epochs that the schedule `paper` counts before recovery, with nothing trained.
        treatments: like renorm@16 (before epoch 16), rate-3@16 (from then on), decay-0@0+8.

    >>> run = Run("blur", onset=4, length=8)
    >>> run.epochs, run.end, run.phase(4)
    (27, 12, 'deficit')
    """

    # Raised by one whenever a change to the code alters the result of a run with the same fields
    version: ClassVar[int] = 1  # type: ignore[misc]
    address: ClassVar[str] = "Run"  # type: ignore[misc]

    deficit: DeficitName = CLEAR
    onset: Epochs = 0
    length: Annotated[Epochs, OR_NONE] = FROM_PROFILE
    recovery: Annotated[Epochs, OR_NONE] = FROM_PROFILE
    profile: ProfileName = "course"
    schedule: Annotated[Literal["paper", "fixed", "recovery"], OR_NONE] = FROM_PROFILE
    dataset: Annotated[DatasetName, OR_NONE] = FROM_PROFILE
    model: Annotated[ModelName, OR_NONE] = FROM_PROFILE
    seed: Seed = 0
    optimizer: Literal["sgd", "adam"] = "sgd"
    momentum: Annotated[Number, Field(ge=0, lt=1), OR_NONE] = FROM_PROFILE
    arithmetic: Annotated[Literal["native", "float32"], OR_NONE] = FROM_PROFILE
    pace: Annotated[Number, Field(ge=1e-3, lt=1e6)] | None = None
    batch: Annotated[Count, Field(ge=2)] | None = None
    rate: Annotated[Number, Field(ge=1e-6, lt=1e6)] = 1.0
    weight_decay: Annotated[Number, Field(ge=0, lt=10)] | None = None
    images: Annotated[Count, Field(ge=2)] | None = None
    augment: bool = True
    windows: Annotated[
        tuple[Annotated[Window, BeforeValidator(split_window)], ...], BeforeValidator(as_list)
    ] = ()
    skipped: Epochs = 0
    treatments: Annotated[Treatments, SkipValidation] = ()

    def __post_init__(self) -> None:
        self._fill_in(PROFILES[self.profile])
        self._check(PROFILES[self.profile])
        self._normalise(PROFILES[self.profile])

    def _fill_in(self, profile: Profile) -> None:
        """Give fields that are left out the profile's values.

        Raises:
            CplabError.
        """
        for name in ("recovery", "schedule", "dataset", "model", *UNNAMED):
            if getattr(self, name) is None:
                assign(self, **{name: getattr(profile, name)})
        assign(self, model=models.model_name(self.model, profile))
        if self.deficit != CLEAR and self.length is None:
            raise CplabError(f"{self.deficit} has no length: give the epochs that it lasts, or 0")
        if self.deficit == CLEAR and self.length:
            raise CplabError(f"length {self.length} without a deficit: name one, or give onset")
        assign(self, length=self.length or 0)
        if not self.length:
            assign(self, deficit=CLEAR)

    def _check(self, profile: Profile) -> None:
        """Check that the fields fit together.

        Raises:
            CplabError.
        """
        if self.optimizer == "adam" and self.momentum != profile.momentum:
            raise CplabError(f"momentum {self.momentum!r} is not allowed with adam: omit it")
        if self.images is not None and self.images > profile.own_images:
            raise CplabError(f"{self.images} images are not allowed: take profile tiny, and fewer")
        if not 1 <= self.epochs <= LONGEST:
            raise CplabError(f"a run of {self.epochs} epochs is not allowed: give 1 to {LONGEST}")
        for window in self.windows:
            if window.deficit == CLEAR or window.onset + window.length > self.epochs:
                raise CplabError(f"window {window} is not allowed: end it by epoch {self.epochs}")
        names = [self.deficit, *(window.deficit for window in self.windows)]
        for name in names:
            if ":" in name and self.views == 1:
                raise CplabError(
                    f"deficit {name!r} acts on one of two views: take a model with two"
                )

    def _normalise(self, profile: Profile) -> None:
        """Give equal runs equal fields: a value that the profile or model has anyway is None."""
        usual: dict[str, Any] = {
            "pace": profile.pace,
            "batch": profile.batch,
            "images": profile.train_images,
        }
        if self.family in models.MODELS:
            suited = models.suited_profile(profile, self.family)
            usual["weight_decay"] = suited.weight_decay
        for name, value in usual.items():
            if getattr(self, name) == value:
                assign(self, **{name: None})
        windows = sorted({*self.windows}, key=attrgetter("onset", "length", "deficit"))
        assign(self, windows=tuple(windows))
        assign(self, treatments=read_treatments(self.treatments, self.epochs))
        if self.schedule != "paper":  # the others do not count skipped epochs
            assign(self, skipped=0)

    @property
    def _treatments(self) -> tuple[Treatment, ...]:
        """The treatments, as `_normalise` has read them."""
        return cast(tuple[Treatment, ...], self.treatments)

    @property
    def epochs(self) -> int:
        """The number of epochs in all phases together."""
        return self.onset + self.length + self.recovery

    @property
    def end(self) -> int:
        """The epoch at which the deficit is removed."""
        return self.onset + self.length

    @property
    def family(self) -> str:
        """The model without its width: `allcnn` for `allcnn-16`."""
        return self.model.rpartition("-")[0]

    @property
    def width(self) -> int:
        """The width of the model: 16 for `allcnn-16`."""
        return int(self.model.rpartition("-")[2])

    @property
    def views(self) -> int:
        """The number of views of an image that the network takes; 0 if it is not defined here."""
        if self.family not in models.MODELS:
            return 0
        return models.MODELS[self.family].views

    @property
    def task(self) -> "Classification":
        """The task that the network learns, with its images."""
        from cplab.runs.tasks import Classification  # loads torch

        return Classification(self)

    @cached_property
    def settings(self) -> Profile:
        """The profile, with the changes that this run makes to it."""
        changes: dict[str, Any] = {}
        for name in ("momentum", "pace", "batch", "weight_decay"):
            value = getattr(self, name)
            if value is not None:
                changes[name] = value
        if not self.augment:
            changes |= {"shift": 0, "mirror": False}
        suited = models.suited_profile(PROFILES[self.profile], self.family)
        return replace(suited, **changes)

    @cached_property
    def prefix_key(self) -> tuple:
        """The values in which runs must agree to share training."""
        shared = []
        for field in fields(self):
            if field.name not in IN_STEPS:
                shared.append((field.name, getattr(self, field.name)))
        return ("Run", self.version, *shared)

    def phase(self, epoch: int) -> str:
        """The phase of an epoch: clear, deficit or recovery."""
        if epoch < self.onset:
            return "clear"
        if epoch < self.end:
            return "deficit"
        return "recovery"

    @cached_property
    def timeline(self) -> tuple[Step | Event, ...]:
        """The steps of the run, one for each epoch, and the events between them."""
        find_deficit = cache(deficits.find_deficit)
        parts: list[Step | Event] = []
        for epoch in range(self.epochs):
            step = Step(find_deficit(self.deficit_at(epoch)), self.lr(epoch))
            for treatment in self._treatments:
                if treatment.first <= epoch < treatment.first + treatment.epochs:
                    step = treated_step(step, treatment)
                elif treatment.first == epoch and treatment.kind.event:
                    parts.append(Event(treatment.kind.event, treatment.arguments))
            parts.append(step)
        return tuple(parts)

    def deficit_at(self, epoch: int) -> str:
        """The deficit of an epoch. Where windows overlap it is that of all, such as blur+flip."""
        names = []
        for window in (Window(self.deficit, self.onset, self.length), *self.windows):
            if window.onset <= epoch < window.onset + window.length:
                names.append(window.deficit)
        return "+".join(names) or CLEAR

    def lr(self, epoch: int) -> float:
        """The learning rate of an epoch (`paper` and `fixed`: Materials and Methods)."""
        settings = self.settings
        scale = self.rate
        if self.optimizer == "adam":
            scale *= 1 / 50
        if self.schedule == "paper":
            counted = epoch
            if epoch >= self.end:
                counted += self.skipped
            return scale * settings.paper_lr * 0.97 ** (settings.pace * counted)
        if self.schedule == "fixed":
            return scale * settings.fixed_lr
        if self.recovery == 0:
            return scale * settings.recovery_lr
        # The rate falls linearly from the deficit's end on
        recovered = max(0, epoch - self.end)
        remaining = 1 - recovered / self.recovery
        return scale * settings.recovery_lr * remaining

    def values(self, columns: Mapping[str, Iterable]) -> dict:
        """Put together the values of a result.

        Arguments:
            columns: of the curve, by name: those of MEASURED, and DISTANCES if there are any. Each
                has a number for each epoch, or None.

        Returns:
            curve, a row for each epoch; accuracy, the fraction of test images that are right after
            the last.
        """
        curve = []
        for epoch, numbers in enumerate(zip(*columns.values(), strict=True)):
            row = {
                "epoch": epoch,
                "phase": self.phase(epoch),
                **dict(zip(columns, numbers, strict=True)),
            }
            if None in numbers:
                row = {name: value for name, value in row.items() if value is not None}
            curve.append(row)
        return {"accuracy": curve[-1]["test_accuracy"], "curve": curve}

    def equal_training(self) -> "Run":
        """The control without a deficit that trains equally long, with the same treatments."""
        return replace(self, deficit=CLEAR, onset=self.end, length=0, windows=())

    def newborn(self) -> "Run":
        """The control that has only the recovery epochs, and treatments only after the deficit."""
        clear: Any = {"deficit": CLEAR, "onset": 0, "length": 0, "windows": (), "skipped": 0}
        return replace(self, **clear, treatments=without(self._treatments, 0, self.end))

    def without_window(self, clock: str = "stopped") -> "Run":
        """The control from which the deficit's epochs are cut out; at onset 0 it is the newborn.

        With the clock `running`, the schedule counts these epochs, though nothing is trained.
        """
        one_of("clock", clock, CLOCKS)
        skipped = self.length if clock == "running" else 0
        clear: Any = {"deficit": CLEAR, "length": 0, "windows": (), "skipped": skipped}
        return replace(self, **clear, treatments=without(self._treatments, self.onset, self.end))

    def plain(self) -> dict[str, Any]:
        """The fields by name, without those that have their defaults, unless they are IN_KEY.

        So a new field leaves all keys as they were. Its default must then never change.
        """
        profile = PROFILES[self.profile]
        values = {}
        for field in fields(self):
            value = getattr(self, field.name)
            usual = field.default
            if field.name in UNNAMED:
                usual = getattr(profile, field.name)
            if value == usual and field.name not in IN_KEY:
                continue
            if field.name in SEVERAL:
                value = [list(entry) for entry in value]
            values[field.name] = value
        return values

    def canonical(self) -> str:
        """One line that holds all that decides the result.

        >>> Run("blur", length=8).canonical()
        'protocol=1 deficit=blur onset=0 length=8 recovery=15 ... seed=0'
        """
        parts = (f"{name}={value}" for name, value in self.plain().items())
        return " ".join([f"protocol={self.version}", *parts])

    def replace(self, **changed: Any) -> "Run":
        """The same run with other fields."""
        return replace(self, **changed)

    def with_seed(self, seed: int) -> "Run":
        """The same run with another seed. Its other fields have been checked already."""
        return self._copied(seed=whole("seed", seed))

    def clear_from(self, onset: int) -> "Run":
        """The same run without a deficit, with another onset, that is with so many more epochs."""
        return self._copied(onset=onset)

    def _copied(self, **checked: Any) -> "Run":
        """The same run with other fields, which have been checked: looking at all 21 again takes
        half a millisecond."""
        other = object.__new__(Run)
        vars(other).update(self.__getstate__())
        assign(other, **checked)
        return other

    def call(self) -> str:
        """The line of Python that gives this run's result."""
        usual = Run(profile=self.profile)
        written = []
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in IN_KEY or value != getattr(usual, field.name):
                written.append(f"{field.name}={value!r}")
        return f"cplab.run({', '.join(written)})"


# The run that the explorer begins with: a network of three blocks at a constant learning rate. Its
# recovery is so long that a network without a deficit makes up for lost epochs in it.
FLAGSHIP = Run(model="depth3-16", schedule="fixed", recovery=60)
