"""Treatments of a network besides deficits: at a moment, or for some epochs.

`renorm@16` happens before epoch 16; `rate-3@16` holds from then on; `decay-0@0+8` holds for the
first 8 epochs. A treatment at a moment is an event, a function below; the others change fields of a
Step. `other@16` goes on with other training images, and `reset-1@16` sets the first block of layers
back to birth: with them one asks what holds the mark of a deficit.

shrink: Ash & Adams 2020, 'On Warm-Starting Neural Network Training'. renorm: under batch norm the
answers do not depend on the norm of a layer's weights, while the steps relative to it do (van
Laarhoven 2017, 'L2 Regularization versus Batch and Weight Normalization'). cutout: DeVries & Taylor
2017, 'Improved Regularization of Convolutional Neural Networks with Cutout'.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import combinations
from typing import TYPE_CHECKING, Any, NamedTuple

from cplab.errors import CplabError, many, number, one_of, quote, whole
from cplab.late import torch

if TYPE_CHECKING:
    from cplab.data import Images
    from cplab.runs.tasks import Classification, TrainState

OTHER = 1000  # added to a run's seed, for the newborn that a network is mixed with
WRITTEN = re.compile(r"([^\W\d_]+)(?:-([^@+]+))?@([^@+]+)(?:\+([^@+]+))?")


def renorm(state: TrainState, task: Classification, images: Images) -> dict:
    """Scale each layer under batch norm back to its norm at birth, and clear the momentum. Outputs
    change only because batch norm adds a small number to variances. Returns factors, by layer."""
    from cplab.models.layers import rescale_layers

    factors = rescale_layers(state.net, task.birth_norms(images.train_x.device))
    state.optimizer.state.clear()
    return {"factors": [float(factor) for factor in factors]}


def shrink(state: TrainState, task: Classification, images: Images, kept: float) -> dict:
    """Mix weights and batch norm's statistics with another newborn's, kept · old + (1 − kept) ·
    new, and clear the momentum."""
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


def reset(state: TrainState, task: Classification, images: Images, number: float) -> dict:
    """Set one block of layers back to birth, counted from 1, with its momentum and statistics."""
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


class Kind(NamedTuple):
    """A kind of treatment."""

    field: str = ""  # the field of a Step that it sets (it multiplies a learning rate)
    low: float = 1  # bounds of its strength; equal if it has none
    high: float = 1
    nothing: float | None = None  # the strength without effect
    event: Callable[..., dict] | None = None  # of a treatment at a moment
    whole: bool = False  # whether its strength is a whole number
    at_birth: bool = True  # whether it has an effect on a newborn


TREATMENTS = {
    "renorm": Kind(event=renorm, at_birth=False),
    "shrink": Kind(low=0, high=1, event=shrink),
    "scale": Kind(low=1e-3, high=1e3, nothing=1, event=scale),
    "reset": Kind(low=1, high=100, event=reset, whole=True, at_birth=False),
    "rate": Kind("lr", 1e-6, 1e6, nothing=1),
    "decay": Kind("decay", 0, 1e6, nothing=1),
    "images": Kind("images", 1e-3, 1, nothing=1),
    "unaugmented": Kind("augment", 0, 0),
    "held": Kind("fixed_norms"),
    "other": Kind("image_part", 2, 2),
    "shift": Kind("shift", 0, 16, whole=True),
    "cutout": Kind("cutout", 0, 32, nothing=0, whole=True),
}


class Treatment(NamedTuple):
    """A treatment: a kind of TREATMENTS, its strength, and when."""

    name: str
    strength: float
    first: int  # the epoch before which it happens, or with which it begins
    epochs: int  # how many it lasts, 0 for a treatment at a moment

    def __repr__(self) -> str:  # a value that read_treatments takes
        return repr(tuple(self))

    @property
    def kind(self) -> Kind:
        return TREATMENTS[self.name]

    @property
    def arguments(self) -> tuple[float, ...]:
        """The strength, if the kind has one."""
        return (self.strength,) if self.kind.low != self.kind.high else ()

    @property
    def words(self) -> str:
        """The treatment as written in a spec, such as `rate-3@16+4`."""
        strength = "".join(f"-{strength:g}" for strength in self.arguments)
        lasts = f"+{self.epochs}" if self.kind.field else ""
        return f"{self.name}{strength}@{self.first}{lasts}"


def read_treatments(value: Any, end: int) -> tuple[Treatment, ...]:
    """Read the treatments of a run of `end` epochs from texts, (name, strength, first, epochs), or
    one text with spaces: sorted, without those that have no effect. Raises: CplabError."""
    treatments = {read_treatment(part, end) for part in many(value)}
    ordered = sorted(treatments, key=lambda t: (t.first, *t))
    for first, second in combinations(ordered, 2):
        same_kind = first.name == second.name and first.kind.field != "lr"  # rates are multiplied
        overlap = second.first < first.first + first.epochs
        if same_kind and overlap and first.strength != second.strength:
            pair = f"{first.words} and {second.words}"
            remedy = "end the first before the second begins"
            raise CplabError(f"treatments {pair} are not allowed together: {remedy}")
    return tuple(treatment for treatment in ordered if has_effect(treatment))


def has_effect(treatment: Treatment) -> bool:
    """Whether a treatment changes anything: not at a strength of nothing, nor, for some, at
    birth."""
    if treatment.strength == treatment.kind.nothing:
        return False
    if treatment.first > 0:
        return True
    return treatment.kind.at_birth and treatment[:2] != ("shrink", 1)


def read_treatment(value: Any, end: int) -> Treatment:
    """Read one treatment of a run of `end` epochs. Raises: CplabError."""
    try:
        if isinstance(value, str):
            name, strength, first, epochs = WRITTEN.fullmatch(value).groups()  # type: ignore[union-attr]
        else:
            name, strength, first, epochs = value
    except (AttributeError, TypeError, ValueError):
        spelling = "write it like renorm@16, shrink-0.4@16, rate-3@16 or decay-0@0+8"
        raise CplabError(f"treatment {quote(value)} is not allowed: {spelling}") from None
    kind = TREATMENTS[one_of("treatment", name, TREATMENTS)]
    if strength is None:
        if kind.low != kind.high:
            spelling = f"write it like {name}-0.5@16"
            raise CplabError(f"treatment {name} needs a strength: {spelling}")
        strength = kind.low
    strength = number(f"strength of {name}", strength, kind.low, kind.high)
    if kind.whole and strength != int(strength):
        raise CplabError(f"strength {strength:g} of {name} is not allowed: give a whole number")
    first = whole(f"epoch of {name}", first, 0, max(0, end - 1))
    least, most = (1, end - first) if kind.field else (0, 0)
    epochs = whole(f"epochs of {name}", most if epochs is None else epochs, least, most)
    return Treatment(name, strength, first, epochs)


def without(treatments: tuple[Treatment, ...], begin: int, end: int) -> tuple[Treatment, ...]:
    """The treatments of a run from which the epochs `begin` to `end` (exclusive) are cut: later
    ones move forward, and those within these epochs are left out."""

    def moved(epoch: int) -> int:
        return epoch - max(0, min(epoch, end) - begin)

    kept = []
    for treatment in treatments:
        first = moved(treatment.first)
        last = moved(treatment.first + treatment.epochs)
        is_cut = last == first if treatment.epochs else begin < treatment.first < end
        if not is_cut:
            kept.append(treatment._replace(first=first, epochs=last - first))
    return tuple(kept)
