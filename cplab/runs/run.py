"""What a run is: images, network, the deficit and its epochs, schedule, seed. Training follows the
tuple of steps and events that `Run.timeline` derives from the run's three phases."""

from collections.abc import Callable, Iterable
from dataclasses import fields, replace
from functools import cache, cached_property, partial
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import BeforeValidator, Field, SkipValidation, WrapValidator

from cplab import data, deficits, models
from cplab.errors import CplabError, assign, many, one_of
from cplab.specs import Count, Number, Seed, Spec, spec_class
from cplab.specs.profiles import PROFILES, Profile, ProfileName
from cplab.treatments import Treatment, read_treatments, without

if TYPE_CHECKING:
    from cplab.runs.tasks import Classification

DEVICES = ("auto", "cuda", "mps", "cpu")
MEASURED = ("lr", "train_loss", "test_accuracy", "seconds")  # columns of a curve
CLEAR = "none"  # the deficit of an epoch that has none
LONGEST = 10_000  # epochs of a run
# The fields that only steps depend on; runs that agree in all others may share training.
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
IN_KEY = ("deficit", "onset", "length", "profile", "seed")  # fields that the key always has
SEVERAL = ("windows", "treatments")  # fields that hold several
UNNAMED = ("momentum", "arithmetic")  # fields that the key leaves out where they are the profile's
CLOCKS = ("stopped", "running")  # what a schedule's clock does while nothing is trained


class Step(NamedTuple):
    """One epoch of training, apart from its seed and its number. All fields but the first are
    numbers, since a treatment sets them to its strength; yes is 1."""

    deficit: deficits.Deficit  # what is done to each batch; deficits.NONE for nothing
    lr: float
    decay: float = 1  # a factor on weight decay
    images: float = 1  # the fraction that is seen
    augment: float = 1  # whether shifted and mirrored
    fixed_norms: float = 0  # whether weights under batch norm keep the norms that they began with
    image_part: float = 1  # which training images are seen: 2 for others than those of before
    shift: float | None = None  # largest random translation, pixels; None for the profile's
    cutout: float = 0  # the side of a square blanked at a random place of each image, pixels


def treated(step: Step, treatment: Treatment) -> Step:
    """A step as a treatment changes it: rates are multiplied, all else is set."""
    field = treatment.kind.field
    value: Any = treatment.strength
    if field == "lr":
        value *= step.lr
    return step._replace(**{field: value})


class Event(NamedTuple):
    """Something done to a network between two epochs: a function (train state, task, images, *args)
    -> a row of plain data. It may replace the network and the optimiser."""

    function: Callable[..., dict]
    args: tuple = ()

    @property
    def name(self) -> str:
        return self.function.__name__

    def __repr__(self) -> str:
        return f"Event({self.name}, {self.args})"


Epochs = Annotated[Count, Field(le=LONGEST)]
DeficitName = Annotated[str, BeforeValidator(deficits.canonical_name)]
DatasetName = Annotated[str, BeforeValidator(data.check_dataset)]
ModelName = Annotated[str, BeforeValidator(models.model_name)]
# For a field whose default, None, stands for the profile's value.
OR_NONE = WrapValidator(lambda value, check: value if value is None else check(value))
FROM_PROFILE: Any = None


class Window(NamedTuple):
    """A further deficit of a run: its name, its first epoch, its length in epochs."""

    deficit: DeficitName
    onset: Epochs
    length: Annotated[Epochs, Field(ge=1)]

    def __repr__(self) -> str:  # as it can be given
        return repr(tuple(self))


def split_window(given: Any) -> Any:
    """Split a window that is written like blank@8+4 into its three values."""
    if not isinstance(given, str):
        return given
    name, _, when = given.rpartition("@")
    if "+" not in when:
        raise CplabError(f"window {given!r} is not allowed: write it like blank@8+4")
    return dict(zip(Window._fields, (name, *when.split("+", 1)), strict=True))


@spec_class
class Run(Spec):
    """One training run: clear epochs, then the deficit, then clear epochs again. With length 0 the
    deficit never happens, and it is `none`.

    Attributes:
        deficit: what is wrong with the images, like blur, blur-2, blur:left or blur+flip.
        onset: clear epochs before the deficit.
        length: epochs with the deficit, named wherever there is one.
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
        skipped: epochs of the schedule paper that pass, with nothing trained, before recovery.
        treatments: like renorm@16 (before epoch 16), rate-3@16 (from then on), decay-0@0+8.
    """

    # raised by one whenever a change alters the result of a run with the same fields
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
        tuple[Annotated[Window, BeforeValidator(split_window)], ...], BeforeValidator(many)
    ] = ()
    skipped: Epochs = 0
    treatments: Annotated[tuple[Treatment, ...], SkipValidation] = ()

    def __post_init__(self) -> None:
        self._fill_in(PROFILES[self.profile])
        self._check(PROFILES[self.profile])
        self._spell(PROFILES[self.profile])

    def _fill_in(self, profile: Profile) -> None:
        """Give the fields that are left out the profile's values."""
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
        """Raise a CplabError where fields do not fit together."""
        if self.optimizer == "adam" and self.momentum != profile.momentum:
            raise CplabError(f"momentum {self.momentum!r} is not allowed with adam: omit it")
        if self.images is not None and self.images > profile.own_images:
            raise CplabError(f"{self.images} images are not allowed: take profile tiny, and fewer")
        if not 1 <= self.epochs <= LONGEST:
            raise CplabError(f"a run of {self.epochs} epochs is not allowed: give 1 to {LONGEST}")
        for window in self.windows:
            if window.deficit == CLEAR or window.onset + window.length > self.epochs:
                raise CplabError(f"window {window} is not allowed: end it by epoch {self.epochs}")
        for name in (self.deficit, *(window.deficit for window in self.windows)):
            if self.views == 1 and ":" in name:
                raise CplabError(
                    f"deficit {name!r} acts on one of two views: take a model with two"
                )

    def _spell(self, profile: Profile) -> None:
        """Give a run one spelling: what the profile or the model has anyway is left out."""
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
        if self.schedule != "paper":  # others have no clock that could run on
            assign(self, skipped=0)

    @property
    def epochs(self) -> int:
        """The number of epochs of all phases together."""
        return self.onset + self.length + self.recovery

    @property
    def end(self) -> int:
        """The epoch at which the deficit is removed."""
        return self.onset + self.length

    @property
    def family(self) -> str:
        """The model without its width: `allcnn` of `allcnn-16`."""
        return self.model.rpartition("-")[0]

    @property
    def width(self) -> int:
        """The width of the model: 16 of `allcnn-16`."""
        return int(self.model.rpartition("-")[2])

    @property
    def views(self) -> int:
        """How many views of an image the network takes; 0 for a model that is not defined here."""
        return models.MODELS[self.family].views if self.family in models.MODELS else 0

    @property
    def task(self) -> "Classification":
        """The task that is learned, with its images."""
        from cplab.runs.tasks import Classification  # load torch

        return Classification(self)

    @cached_property
    def settings(self) -> Profile:
        """The profile as this run changes it."""
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
        """The fields in which runs must agree to share training."""
        shared = []
        for field in fields(self):
            if field.name not in IN_STEPS:
                shared.append((field.name, getattr(self, field.name)))
        return ("Run", self.version, *shared)

    def phase(self, epoch: int) -> str:
        """The phase of an epoch: clear, deficit or recovery."""
        if epoch >= self.end:
            return "recovery"
        return "clear" if epoch < self.onset else "deficit"

    @cached_property
    def timeline(self) -> tuple[Step | Event, ...]:
        """The steps of the run, one for each epoch, and the events between them."""
        find_deficit = cache(partial(deficits.find_deficit, strict=False))
        parts: list[Step | Event] = []
        for epoch in range(self.epochs):
            step = Step(find_deficit(self.deficit_at(epoch)), self.lr(epoch))
            for treatment in self.treatments:
                if treatment.first <= epoch < treatment.first + treatment.epochs:
                    step = treated(step, treatment)
                elif treatment.first == epoch and treatment.kind.event:
                    parts.append(Event(treatment.kind.event, treatment.arguments))
            parts.append(step)
        return tuple(parts)

    def deficit_at(self, epoch: int) -> str:
        """The deficit of an epoch, of all windows that are open then, such as blur+flip."""
        names = []
        for window in (Window(self.deficit, self.onset, self.length), *self.windows):
            if window.onset <= epoch < window.onset + window.length:
                names.append(window.deficit)
        return "+".join(names) or CLEAR

    def lr(self, epoch: int) -> float:
        """The learning rate of an epoch (Materials and Methods for `paper` and `fixed`)."""
        settings = self.settings
        scale = self.rate * (1 / 50 if self.optimizer == "adam" else 1)
        if self.schedule == "paper":
            passed = epoch + (self.skipped if epoch >= self.end else 0)
            return scale * settings.paper_lr * 0.97 ** (settings.pace * passed)
        if self.schedule == "fixed":
            return scale * settings.fixed_lr
        if self.recovery == 0:
            return scale * settings.recovery_lr
        remaining = 1 - max(0, epoch - self.end) / self.recovery  # linear, from the deficit's end
        return scale * settings.recovery_lr * remaining

    def values(self, columns: Iterable[Iterable]) -> dict:
        """The values of a result whose curve has these columns, one for each of MEASURED: the
        curve, a row for each epoch, and the accuracy on the test images after the last, 0 to 1."""
        curve = []
        for epoch, numbers in enumerate(zip(*columns, strict=True)):
            row: dict[str, Any] = {"epoch": epoch, "phase": self.phase(epoch)}
            row |= zip(MEASURED, numbers, strict=True)
            curve.append(row)
        return {"accuracy": curve[-1]["test_accuracy"], "curve": curve}

    def equal_training(self) -> "Run":
        """The control without a deficit that trains as long, with the same treatments."""
        return replace(self, deficit=CLEAR, onset=self.end, length=0, windows=())

    def newborn(self) -> "Run":
        """The control that has only the recovery epochs, with the treatments that begin after the
        deficit."""
        clear: Any = {"deficit": CLEAR, "onset": 0, "length": 0, "windows": (), "skipped": 0}
        return replace(self, **clear, treatments=without(self.treatments, 0, self.end))

    def without_window(self, clock: str = "stopped") -> "Run":
        """The same run with the deficit's window cut out; at onset 0 this is the newborn. With the
        clock `running` the schedule counts the epochs of the window, though nothing is trained."""
        passed = self.length if one_of("clock", clock, CLOCKS) == "running" else 0
        clear: Any = {"deficit": CLEAR, "length": 0, "windows": (), "skipped": passed}
        return replace(self, **clear, treatments=without(self.treatments, self.onset, self.end))

    def plain(self) -> dict[str, Any]:
        """The fields by name, without defaults, but for those of IN_KEY: so a new field leaves all
        keys as they were, and its default is never changed afterwards."""
        profile = PROFILES[self.profile]
        values = {}
        for field in fields(self):
            value = getattr(self, field.name)
            usual = getattr(profile, field.name) if field.name in UNNAMED else field.default
            if value == usual and field.name not in IN_KEY:
                continue
            if field.name in SEVERAL:
                value = [list(entry) for entry in value]
            values[field.name] = value
        return values

    def canonical(self) -> str:
        """One line that holds all that decides the result."""
        parts = (f"{name}={value}" for name, value in self.plain().items())
        return " ".join([f"protocol={self.version}", *parts])

    def replace(self, **changed: Any) -> "Run":
        """The same run with other fields."""
        return replace(self, **changed)

    def with_seed(self, seed: int) -> "Run":
        """The same run with another seed."""
        return replace(self, seed=seed)

    def call(self) -> str:
        """The line of Python that gives this run's result."""
        usual = usual_run(self.profile)
        written = []
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in IN_KEY or value != getattr(usual, field.name):
                written.append(f"{field.name}={value!r}")
        return f"cplab.run({', '.join(written)})"


@cache
def usual_run(profile: str) -> Run:
    """The run of a profile whose fields are all the usual ones."""
    return Run(profile=profile)


# What an explorer shows by default: three blocks at a rate that never changes, read after as many
# clear epochs as lost time needs to be over.
FLAGSHIP = Run(model="depth3-16", schedule="fixed", recovery=60)
