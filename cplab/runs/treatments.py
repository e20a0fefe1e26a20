"""Treatments: what is done to a network besides deficits, at a moment or for some epochs.

`renorm@16` happens before epoch 16. `rate-3@16` lasts from then on, and `decay-0@0+8` for the first
8 epochs. A treatment at a moment is an event, which is a function below. A treatment that lasts
changes a field of each Step. `other@16` changes to other training images, and `reset-1@16` sets the
first block of layers back to birth: the two are used to ask where the mark of a deficit is kept.

`gradient-2@16` changes nothing but the length of steps: from epoch 16 on, the gradient of each step
is scaled to norm 2, over all weights of a network together, before momentum and weight decay. With
SGD a step then has the length 2 · learning rate. Momentum m adds up steps to 1 / (1 − m) times this
length if all go one way, and to √(1 / (1 − m²)) times it if they do not agree at all.

`temper-10@16` trains from then on with a temperature of 10: the loss is that of the logits divided
by 10, times 10. So an image that is already right pulls almost as much as one that is wrong. The
training loss of the curve stays the usual one.

A treatment of one's own is a decorated function, see `treatment`.

Sources: shrink, Ash & Adams 2020, 'On Warm-Starting Neural Network Training'; cutout, DeVries &
Taylor 2017, 'Improved Regularization of Convolutional Neural Networks with Cutout'; renorm, van
Laarhoven 2017, 'L2 Regularization versus Batch and Weight Normalization': under batch norm the
outputs do not depend on the norm of a layer's weights, but the relative size of a step does;
temper, Hinton, Vinyals & Dean 2015, 'Distilling the Knowledge in a Neural Network'.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable
from itertools import combinations
from typing import TYPE_CHECKING, Any, NamedTuple

from cplab.base.errors import CplabError, as_list, explain, number, one_of, quote, whole
from cplab.base.late import Tensor, torch
from cplab.specs import mix_seeds, spec_class
from cplab.specs.own import TABLES, Registered, entry_decorator, full_name

if TYPE_CHECKING:
    from cplab.pictures.data import Images
    from cplab.runs.tasks import Classification, TrainState

OTHER = 1000  # added to a run's seed for the newborn with which `shrink` mixes a network
# A treatment as it is written: name with its digest, strength, first epoch, number of epochs
WRITTEN = re.compile(r"([^\W\d]\w*(?:@[0-9a-f]{8})?)(?:-([^@+]+))?@([^@+]+)(?:\+([^@+]+))?")
OWN_NAME = re.compile(r"[^\W\d]\w*@[0-9a-f]{8}")


def renorm(state: TrainState, task: Classification, images: Images) -> dict:
    """Scale each layer under batch norm back to its norm at birth, and clear the momentum.

    Outputs hardly change: they would not at all if batch norm added nothing to variances.

    Returns:
        factors, by layer.
    """
    from cplab.models.layers import rescale_layers

    factors = rescale_layers(state.net, task.birth_norms(images.train_x.device))
    state.optimizer.state.clear()
    return {"factors": [float(factor) for factor in factors]}


def shrink(state: TrainState, task: Classification, images: Images, kept: float) -> dict:
    """Mix weights and batch norm's statistics with those of another newborn, kept · old +
    (1 − kept) · newborn, and clear the momentum."""
    other = task.birth(images.train_x.device, seed=task.run.seed + OTHER).net.state_dict()
    with torch.no_grad():
        for name, value in state.net.state_dict().items():
            if value.is_floating_point():
                value.mul_(kept).add_(other[name], alpha=1 - kept)
    state.optimizer.state.clear()
    return {}


def scale(state: TrainState, task: Classification, images: Images, factor: float) -> dict:
    """Multiply all weights and biases by a factor, and clear the momentum."""
    with torch.no_grad():
        for weight in state.net.parameters():
            weight.mul_(factor)
    state.optimizer.state.clear()
    return {}


def soften(state: TrainState, task: Classification, images: Images, factor: float) -> dict:
    """Multiply the weights and biases of the last layer by a factor, and clear the momentum.

    This multiplies all logits. So each answer stays as it is, but below 1 it is less certain, and
    images that are already right have a loss again.
    """
    from cplab.models.layers import blocks

    with torch.no_grad():
        for weight in blocks(state.net)[-1][-1].parameters():
            weight.mul_(factor)
    state.optimizer.state.clear()
    return {}


def reset(state: TrainState, task: Classification, images: Images, number: float) -> dict:
    """Set one block of layers back to birth, with its momentum and statistics.

    Arguments:
        number: of the block, from 1, nearest to the images.

    Raises:
        CplabError: if there is no such block.
    """
    from cplab.models.layers import blocks

    newborn = task.birth(images.train_x.device).net
    count = len(blocks(newborn))
    if number > count:
        raise CplabError(f"{task.run.model} has no block {number:g}: give 1 to {count}")
    layers = blocks(state.net)[int(number) - 1]
    layers_at_birth = blocks(newborn)[int(number) - 1]
    for layer, at_birth in zip(layers, layers_at_birth, strict=True):
        layer.load_state_dict(at_birth.state_dict())
        for weight in layer.parameters():
            for memory in state.optimizer.state.get(weight, {}).values():
                if isinstance(memory, torch.Tensor):
                    memory.zero_()
    return {}


# A treatment of one's own -------------------------------------------------------------------------


@spec_class
class OwnTreatment(Registered):
    """A treatment of a student's own: a function of (net, optimizer), which acts at a moment, or of
    (net, loss, optimizer), which acts in each step."""

    @property
    def lasts(self) -> bool:
        """Whether it acts in each step."""
        return "loss" in inspect.signature(self.apply).parameters

    def use(self, state: TrainState, seed: int, batch: int, loss: Tensor | None = None) -> None:
        """Do to a network what its function says. Seed, epoch and batch decide what it draws.

        Arguments:
            state: of the training.
            seed: the run's.
            batch: its first image's number in the epoch.
            loss: of this batch, (), for one that acts in each step.

        Raises:
            CplabError: for an error in the function.
        """
        from cplab.base.seeding import seeded

        seed = mix_seeds(seed, len(state.rows), batch, "treatment")
        with explain(self.name), seeded(seed):
            if loss is None:
                self.apply(state.net, state.optimizer)
            else:
                self.apply(state.net, loss.detach(), state.optimizer)


OWN_TREATMENTS: dict[str, OwnTreatment] = {}
TABLES[OwnTreatment] = OWN_TREATMENTS


def treatment(function: Callable | None = None, **options: Any) -> Any:
    """Make a function a treatment: a decorator, with or without options (label, version).

    A function of (net, optimizer) is called once, before an epoch. A function of (net, loss,
    optimizer) is called in each step, once the gradients are computed, and before the optimiser
    moves the weights; loss is that of the batch. Each changes in place what it gets, and returns
    nothing. Random numbers that it draws depend on seed, epoch and batch.

    >>> import cplab
    >>> @cplab.treatment
    ... def halve(net, optimizer):
    ...     for weight in net.parameters():
    ...         weight.data /= 2
    >>> run = cplab.Run("blur", length=4, treatments=[(halve, 4)])
    >>> [treated.words.partition("@")[0] for treated in run.treatments]
    ['halve']
    """
    return entry_decorator(OwnTreatment, function, options)


def own_treatment(name: str) -> OwnTreatment:
    """A treatment of a student's own.

    Raises:
        CplabError: if it is not defined here.
    """
    if name not in OWN_TREATMENTS:
        problem = f"treatment {name} is not defined here"
        raise CplabError(f"{problem}: run the cell that defines it first")
    return OWN_TREATMENTS[name]


def own_event(state: TrainState, task: Classification, images: Images, name: str) -> dict:
    """Do to a network what a treatment of a student's own says."""
    own_treatment(name).use(state, task.run.seed, batch=0)
    return {"treatment": name}


# Kinds, and how they are written ------------------------------------------------------------------


class TreatmentKind(NamedTuple):
    """A kind of treatment. It lasts and changes a field of each Step, or it is an event."""

    field: str = ""  # of a Step, which is set to the strength; a learning rate is multiplied by it
    low: float = 1  # the least strength
    high: float = 1  # the greatest strength; the same as `low` if strengths cannot be chosen
    nothing: float | None = None  # the strength that has no effect, if there is one
    event: Callable[..., dict] | None = None  # what is done at a moment, if it does not last
    whole: bool = False  # whether strengths are whole numbers
    at_birth: bool = True  # whether it has an effect before the first epoch

    @property
    def has_strength(self) -> bool:
        """Whether a strength can be chosen."""
        return self.low != self.high


TREATMENTS = {
    "renorm": TreatmentKind(event=renorm, at_birth=False),
    "shrink": TreatmentKind(low=0, high=1, event=shrink),
    "scale": TreatmentKind(low=1e-3, high=1e3, nothing=1, event=scale),
    "soften": TreatmentKind(low=1e-3, high=1e3, nothing=1, event=soften),
    "reset": TreatmentKind(low=1, high=100, event=reset, whole=True, at_birth=False),
    "rate": TreatmentKind("lr", 1e-6, 1e6, nothing=1),
    "decay": TreatmentKind("decay", 0, 1e6, nothing=1),
    "gradient": TreatmentKind("gradient", 1e-6, 1e6),
    "temper": TreatmentKind("temper", 1e-3, 1e3, nothing=1),
    "images": TreatmentKind("images", 1e-3, 1, nothing=1),
    "unaugmented": TreatmentKind("augment", 0, 0),
    "held": TreatmentKind("fixed_norms"),
    "other": TreatmentKind("image_part", 2, 2),
    "shift": TreatmentKind("shift", 0, 16, whole=True),
    "cutout": TreatmentKind("cutout", 0, 32, nothing=0, whole=True),
}
# Those of a student's own
OWN_IN_STEPS = TreatmentKind("own")
OWN_AT_A_MOMENT = TreatmentKind(event=own_event)


class Treatment(NamedTuple):
    """A treatment of a run: one of TREATMENTS, or of a student's own, with its strength and its
    epochs."""

    name: str
    strength: float
    first: int  # the epoch before which it happens, or with which it begins
    epochs: int  # how long it lasts; 0 for a treatment at a moment

    def __repr__(self) -> str:
        return repr(tuple(self))  # which `read_treatments` takes

    @property
    def kind(self) -> TreatmentKind:
        """Its kind."""
        if self.name in TREATMENTS:
            return TREATMENTS[self.name]
        return OWN_IN_STEPS if self.epochs else OWN_AT_A_MOMENT

    @property
    def arguments(self) -> tuple[float | str, ...]:
        """What its event is called with: the strength, if one can be chosen, or the name of a
        student's own."""
        if self.name not in TREATMENTS:
            return (self.name,)
        return (self.strength,) if self.kind.has_strength else ()

    @property
    def words(self) -> str:
        """The treatment as it is written, such as `rate-3@16+4`."""
        text = self.name
        if self.kind.has_strength:
            text += f"-{self.strength:g}"
        text += f"@{self.first}"
        if self.kind.field:
            text += f"+{self.epochs}"
        return text


def read_treatments(value: Any, end: int) -> tuple[Treatment, ...]:
    """Read the treatments of a run.

    Arguments:
        value: texts like rate-3@16, or one text of them with spaces between, or tuples (name,
            strength, first, epochs), or for a function of one's own (function, first) or (function,
            first, epochs).
        end: the number of the run's epochs.

    Returns:
        treatments in their order in time, without those that have no effect.

    Raises:
        CplabError.

    >>> [treatment.words for treatment in read_treatments("rate-3@16 renorm@4", end=20)]
    ['renorm@4', 'rate-3@16+4']
    """
    treatments = {read_treatment(part, end) for part in as_list(value)}
    ordered = sorted(treatments, key=lambda treatment: (treatment.first, *treatment))
    for first, second in combinations(ordered, 2):
        if first.kind.field != second.kind.field or first.kind.field == "lr":  # rates multiply
            continue
        overlap = second.first < first.first + first.epochs
        are_same = first.name == second.name and first.strength == second.strength
        if overlap and not are_same:
            pair = f"{first.words} and {second.words}"
            remedy = "end the first before the second begins"
            raise CplabError(f"treatments {pair} are not allowed together: {remedy}")
    return tuple(treatment for treatment in ordered if has_effect(treatment))


def has_effect(treatment: Treatment) -> bool:
    """Whether a treatment changes anything: some do not at one strength, others not at birth."""
    if treatment.strength == treatment.kind.nothing:
        return False
    if treatment.first > 0:
        return True
    keeps_all = treatment.name == "shrink" and treatment.strength == 1
    return treatment.kind.at_birth and not keeps_all


def read_treatment(value: Any, end: int) -> Treatment:
    """Read one treatment of a run of `end` epochs, see `read_treatments`.

    Raises:
        CplabError.
    """
    parts = split_treatment(value)
    if len(parts) != 4:
        spelling = "write it like renorm@16, rate-3@16 or decay-0@0+8, or [(function, 16)]"
        raise CplabError(f"treatment {quote(value)} is not allowed: {spelling}")
    name, strength, first, epochs = parts
    name = full_treatment_name(name)
    kind = kind_of(name, epochs)
    if strength is None:
        if kind.has_strength:
            spelling = f"write it like {name}-0.5@16"
            raise CplabError(f"treatment {name} needs a strength: {spelling}")
        strength = kind.low
    plain_name = name.partition("@")[0]
    strength = number(f"strength of {plain_name}", strength, kind.low, kind.high)
    if kind.whole and strength != int(strength):
        raise CplabError(
            f"strength {strength:g} of {plain_name} is not allowed: give a whole number"
        )
    first = whole(f"epoch of {plain_name}", first, 0, max(0, end - 1))
    # One that lasts does so for an epoch at least, and until the end unless it says otherwise
    least = 1 if kind.field else 0
    most = end - first if kind.field else 0
    if epochs is None:
        epochs = most
    epochs = whole(f"epochs of {plain_name}", epochs, least, most)
    return Treatment(name, strength, first, epochs)


def full_treatment_name(given: Any) -> str:
    """The name of a treatment, with its digest if it is a student's own.

    Arguments:
        given: the name, or a function of one's own.

    Raises:
        CplabError: for an unknown one. A student's own that is not defined here is allowed, so that
            its results can be read.
    """
    if isinstance(given, str) and given in TREATMENTS:
        return given
    name = full_name(OwnTreatment, given)
    if isinstance(name, str) and (name in OWN_TREATMENTS or OWN_NAME.fullmatch(name)):
        return name
    return one_of("treatment", name, TREATMENTS)


def kind_of(name: str, epochs: object) -> TreatmentKind:
    """The kind of a treatment by its full name, and by its epochs if it is a student's own that is
    not defined here."""
    if name in TREATMENTS:
        return TREATMENTS[name]
    lasts = OWN_TREATMENTS[name].lasts if name in OWN_TREATMENTS else bool(epochs)
    return OWN_IN_STEPS if lasts else OWN_AT_A_MOMENT


def split_treatment(value: object) -> list[Any]:
    """Split a treatment into name, strength, first epoch and number of epochs.

    Arguments:
        value: a text like rate-3@16+4, in which strength and number may be left out, a tuple of the
            four, or (function, first) or (function, first, epochs).

    Returns:
        the four, with None for what is left out; [] for a text that is no treatment, and for what
        is neither a text nor a collection.

    >>> split_treatment("rate-3@16"), split_treatment(("renorm", 1.0, 4, 0))
    (['rate', '3', '16', None], ['renorm', 1.0, 4, 0])
    """
    if isinstance(value, str):
        match = WRITTEN.fullmatch(value)
        return [*match.groups()] if match else []
    parts = [*value] if isinstance(value, Iterable) else []
    if parts and callable(parts[0]):
        function, *epochs = parts
        return [function, None, *epochs, *[None] * (2 - len(epochs))]
    return parts


def without(treatments: tuple[Treatment, ...], begin: int, end: int) -> tuple[Treatment, ...]:
    """The treatments of a run from which the epochs from `begin` until before `end` are cut out.

    Treatments during these epochs are left out, and later ones begin earlier.
    """

    def moved(epoch: int) -> int:
        """The number of an epoch once those before it that are cut out no longer count."""
        cut_out_before = max(0, min(epoch, end) - begin)
        return epoch - cut_out_before

    kept = []
    for treatment in treatments:
        first = moved(treatment.first)
        epochs = moved(treatment.first + treatment.epochs) - first
        lasts = treatment.epochs > 0  # otherwise it is a treatment at a moment
        if lasts and epochs == 0:
            continue
        if not lasts and begin < treatment.first < end:
            continue
        kept.append(treatment._replace(first=first, epochs=epochs))
    return tuple(kept)
