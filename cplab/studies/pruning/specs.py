"""What can be asked of nets of 784, 16 and 10 units that grow and drop synapses: specs, without
torch. `growth` computes them."""

import math
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from cplab import specs
from cplab.checks import CplabError, assign, many, number, one_of, quote, require, whole
from cplab.runs import OPTIMIZERS, check_fields, setting
from cplab.specs import register

SHAPES = ((784, 16), (16, 10))  # units below and above, of both layers of a net
DENSITIES = (0.01, 0.02, 0.03, 0.04, 0.05, 0.1, 0.15, 0.2)  # the thesis's
OTHER_DATASET = {"mnist": "fashion_mnist", "fashion_mnist": "mnist"}
NET_DATASETS = (*OTHER_DATASET, "mnist_shifted", "practice")
ORIGINS = ("biological", "random", "inked", "per_pixel", "degrees", "set", "magnitude", "dense")
MOST_STEPS, MOST_ENTRIES = 1_000_000, 100  # of a net's training; of a list in a spec


def part(what: str, value: object, whole: int, unit: str) -> float:
    """`value` as a float above 0 and at most `whole`, else a CplabError that names the unit."""
    with suppress(Exception):
        if 0 < float(value) <= whole and not isinstance(value, bool):  # type: ignore[arg-type]
            return float(value)  # type: ignore[arg-type]
    raise CplabError(
        f"{what} {quote(value)} is not allowed: give {unit}, above 0 and at most {whole}"
        + (" (0.05 for 5 %)" if whole == 1 else "")
    )


density_of = partial(part, whole=1, unit="the fraction of synapses that are alive")
percentage = partial(part, whole=100, unit="a percentage")
steps_of = partial(whole, least=1, most=MOST_STEPS)


def check_each(name: str, values: Any, check: Callable) -> tuple:
    """Some values, each as its check gives it."""
    return tuple(check(name, each) for each in many(name, values, MOST_ENTRIES))


def densities(name: str, value: Any) -> tuple[float, ...]:
    """One or several fractions of synapses that are alive, in order, each once."""
    found = {density_of("density", each) for each in many("densities", value, MOST_ENTRIES)}
    require(found, f"{name} {quote(value)} is not allowed: give one density or more")
    return tuple(sorted(found))


def is_packed(value: Any) -> bool:
    """A text as `pack_architecture` gives it."""
    size = 4 * math.ceil(math.ceil(sum(a * b for a, b in SHAPES) / 8) / 3)
    return type(value) is str and len(value) == size and not re.search("[^A-Za-z0-9+/=]", value)


KEPT = {"counts": [specs.count], "alive": is_packed}
KEPT |= {"step?": specs.count, "accuracy?": specs.fraction}


class NetSpec:
    """What the store asks of specs that nets of 16 units are computed for."""

    trained_by: ClassVar[str] = "cplab.studies.pruning.growth:compute"
    pace: ClassVar[float] = 0.003  # seconds a step, about, on one thread
    columns: ClassVar[tuple[str, ...]]  # of its values, those that have an entry for each of steps

    def check_values(self, values: dict) -> None:
        """Raise ValueError unless these can be this spec's."""
        specs.same_length(len(values["steps"]), *(values[name] for name in self.columns))
        asked = {f"{density:g}" for density in getattr(self, "keep", ())}
        if not {*values.get("architectures", ())} <= asked:
            raise ValueError("it has architectures that nobody asked for")

    @property
    def trunk_key(self) -> tuple:
        return (type(self).__name__, self)

    @property
    def expected_seconds(self) -> float:
        """About what it takes, where none was measured."""
        return self.pace * self.steps  # type: ignore[attr-defined]


@register
@dataclass(frozen=True)
class Search(NetSpec):
    """One development: algorithm 1 of the thesis, whose γ and N are percentages.

    Arguments:
        dataset: mnist, fashion_mnist, mnist_shifted (each digit at a random place, wrapped around
            the edges, so that all pixels are inked alike) or practice (grey, its middle 28 × 28).
        gamma: γ, percent of a layer's parameters that a step grows or drops.
        n: steps until growth has faded out; ε falls by 1/n a step.
        start: N, percent of the synapses that are alive at first.
        rounding: of γ's share of a layer, 2.01 synapses: random, with the right expectation, or up,
            as printed.
        output: dense, it keeps all its synapses and densities are of the first layer; or pruned, as
            printed, and densities are of both.
        optimizer: sgd (rate 0.5) or adam (0.001).
        mixed: this fraction of the other of mnist and fashion_mnist is added to the images.
        keep: densities, fractions, at which the architecture is kept on the way down.
        seed: decides architecture, initial weights and batches.

    rounding up with output pruned is the algorithm to the letter: the output layer's share is 0.027
    synapses, a step takes 1, and the layer dies soon after the middle of the search.
    Random rounding and a dense output layer give the thesis's figures. With Adam, pixels that are
    seldom inked get large weights, so that |w| no longer tells which synapses are active.

    Values: steps, density, accuracy, counts (of the curve); architectures, by density as
    `f"{density:g}"`, each with step, counts, accuracy and alive (for `unpack_architecture`), at the
    last time that the search fell to that density.
    Raises: CplabError for a value that is not allowed.

    >>> search = Search()
    >>> search.steps, search.peak, search.born
    (13125, 90.0, [6264])
    """

    version: ClassVar[int] = 1
    columns: ClassVar[tuple[str, ...]] = ("density", "accuracy", "counts")
    form: ClassVar[dict] = {
        "steps": [specs.count],
        "density": [specs.fraction],
        "accuracy": [specs.fraction],
        "counts": [[specs.count]],
        "architectures": {str: KEPT},
    }

    dataset: str = setting("mnist", names=NET_DATASETS)
    gamma: float = setting(0.016, percentage)
    n: int = setting(10_000, steps_of)
    start: float = setting(50.0, percentage)
    rounding: str = setting("random", names=("random", "up"))
    output: str = setting("dense", names=("dense", "pruned"))
    optimizer: str = setting("sgd", names=OPTIMIZERS)
    mixed: float = setting(0.0, partial(number, low=0, below=1, closed=True))
    keep: tuple[float, ...] = setting(DENSITIES, densities)
    seed: int = setting(0, whole)

    def __post_init__(self) -> None:
        check_fields(self)
        if self.mixed and self.dataset not in OTHER_DATASET:
            raise CplabError(f"mixed images are not allowed with {self.dataset}: take mnist")
        if self.peak > 100:
            raise CplabError(
                f"gamma {self.gamma:g} is not allowed with n {self.n} and start {self.start:g}: "
                f"growth would reach start + gamma · n / 4 = {self.peak:.4g} %, above 100"
            )
        require(
            self.n + 100 / self.gamma <= MOST_STEPS,
            f"gamma {self.gamma:g} is not allowed: a search would take {self.steps:,} steps or "
            f"more, above {MOST_STEPS:,}; take a larger gamma",
        )
        for share, alive in zip(self.shares, self.born, strict=True):
            if math.ceil(share) >= alive:
                raise CplabError(
                    f"gamma {self.gamma:g} empties a layer: a step would drop {share:.4g} of the "
                    f"{alive} synapses alive at the start; take a smaller gamma or a larger start"
                )

    @property
    def steps(self) -> int:
        """⌈n + N/γ⌉, which is when a search that goes on dropping has nothing left."""
        return math.ceil(round(self.n + self.start / self.gamma, 6))

    @property
    def peak(self) -> float:
        """The density, in percent, that growth is expected to reach, at step n/2."""
        return self.start + self.gamma * self.n / 4

    @property
    def layers(self) -> int:
        """How many layers grow and drop."""
        return 1 if self.output == "dense" else 2

    @property
    def shares(self) -> list[float]:
        """γ(LL' + L') of each layer that grows and drops."""
        return [self.gamma / 100 * (a * b + b) for a, b in SHAPES[: self.layers]]

    @property
    def born(self) -> list[int]:
        """Synapses alive at first, by layer: all but ⌈(1 − N)(LL' + L')⌉."""
        part = 1 - self.start / 100
        return [a * b - math.ceil(part * (a * b + b)) for a, b in SHAPES[: self.layers]]


@register
@dataclass(frozen=True)
class OneShot(NetSpec):
    """A dense net trained for some steps and pruned once, by |w| of its first layer.

    Arguments: dataset; steps; optimizer; keep, densities; seed: all as of a Search.
    Values: steps, accuracy (of the curve), architectures as of a Search.
    Raises: CplabError for a value that is not allowed.

    >>> OneShot("practice", steps=40).optimizer
    'sgd'
    """

    version: ClassVar[int] = 1
    columns: ClassVar[tuple[str, ...]] = ("accuracy",)
    form: ClassVar[dict] = {
        "steps": [specs.count],
        "accuracy": [specs.fraction],
        "architectures": {str: KEPT},
    }

    dataset: str = setting("mnist", names=NET_DATASETS)
    steps: int = setting(10_000, steps_of)
    optimizer: str = setting("sgd", names=OPTIMIZERS)
    keep: tuple[float, ...] = setting(DENSITIES, densities)
    seed: int = setting(0, whole)

    def __post_init__(self) -> None:
        check_fields(self)


@register
@dataclass(frozen=True)
class Retraining(NetSpec):
    """An architecture trained from new weights.

    Arguments:
        kind: biological, what the search left; the controls of it: random (as many synapses in
            each layer), inked (the same, on pixels that some training image inks), per_pixel (as
            many on each pixel, on other units), degrees (as many on each pixel and on each unit),
            set (random, then the weakest are replaced by random ones all along, as SET does),
            magnitude (of a trained dense net, pruned once); or dense.
        density: fraction of synapses alive, one of the search's `keep`.
        search: where the architecture is from.
        dataset, seed: what it is trained on; what decides weights, batches and the control's draws
            (the search's if not given).
        steps, optimizer: of training, on a batch of 2,048 each; sgd or adam.

    Values: accuracy, at the end; steps and curve; counts, synapses by layer; alive, what SET left
    (for `unpack_architecture`).
    Raises: CplabError for a value that is not allowed.

    >>> Retraining("random", 0.05, Search(seed=3)).seed
    3
    """

    version: ClassVar[int] = Search.version + OneShot.version - 1  # it begins with what these gave
    pace: ClassVar[float] = 0.001  # beside others
    columns: ClassVar[tuple[str, ...]] = ("curve",)
    form: ClassVar[dict] = {
        "accuracy": specs.fraction,
        "steps": [specs.count],
        "curve": [specs.fraction],
        "counts": [specs.count],
        "alive?": is_packed,
    }

    kind: str = "biological"
    density: float = setting(0.05, density_of)
    search: Search = Search()
    dataset: str = setting(None, names=NET_DATASETS)
    steps: int = setting(10_000, steps_of)
    optimizer: str = setting("sgd", names=OPTIMIZERS)
    seed: int = setting(None, whole)

    def __post_init__(self) -> None:
        require(isinstance(self.search, Search), f"{quote(self.search)} is no Search: give one")
        assign(
            self,
            density=1.0 if one_of("kind", self.kind, ORIGINS) == "dense" else self.density,
            dataset=self.search.dataset if self.dataset is None else self.dataset,
            seed=self.search.seed if self.seed is None else self.seed,
        )
        check_fields(self)
        if self.kind != "dense" and self.density not in self.search.keep:
            kept = ", ".join(f"{each:g}" for each in self.search.keep)
            raise CplabError(
                f"density {self.density:g} is not kept by the search: choose one of {kept} "
                "(fractions), or name it in the search's keep"
            )

    @property
    def source(self) -> Search | OneShot | None:
        """What has the architecture, or the one that a control is made of."""
        if self.kind == "dense":
            return None
        if self.kind == "magnitude":
            s = self.search
            return OneShot(s.dataset, self.steps, s.optimizer, s.keep, s.seed)
        return self.search

    @property
    def trunk_key(self) -> tuple:
        rewires = self.kind == "set"
        return ("Retraining", self.dataset, self.seed, self.steps, self.optimizer, rewires)
