"""Specs of nets of 784, 16 and 10 units that grow and drop synapses (the thesis's dense model).

`growth` computes them; nothing here needs torch.
"""

import math
from typing import Annotated, Any, ClassVar, Literal, NotRequired

from pydantic import AfterValidator, BeforeValidator, Field
from typing_extensions import TypedDict

from cplab.errors import require
from cplab.specs import Count, Fraction, Number, Seed, Spec, assign, refuse_bool, spec_class

SHAPES = ((784, 16), (16, 10))  # units below and above, of both layers of a net
DENSITIES = (0.01, 0.02, 0.03, 0.04, 0.05, 0.1, 0.15, 0.2)  # the thesis's
OTHER_DATASET = {"mnist": "fashion_mnist", "fashion_mnist": "mnist"}
ORIGINS = ("biological", "random", "inked", "per_pixel", "degrees", "set", "magnitude", "dense")
MOST_STEPS = 1_000_000  # of a net's training

NetDataset = Literal["mnist", "fashion_mnist", "mnist_shifted", "practice"]
Optimizer = Literal["sgd", "adam"]
Percent = Annotated[Number, Field(gt=0, le=100)]
Density = Annotated[Number, Field(gt=0, le=1)]
Densities = Annotated[
    tuple[Density, ...],
    BeforeValidator(lambda value: (value,) if isinstance(value, int | float) else value),
    AfterValidator(lambda values: tuple(sorted({*values}))),
    Field(min_length=1, max_length=100),
]
Steps = Annotated[int, BeforeValidator(refuse_bool), Field(ge=1, le=MOST_STEPS)]
Packed = str  # an architecture: a bit for each synapse, in base64


class Kept(TypedDict):
    """An architecture, and when it was kept."""

    counts: list[Count]
    alive: Packed
    step: NotRequired[Count]
    accuracy: NotRequired[Fraction]


class OneShotValues(TypedDict):
    """A curve, and the architectures by density as f"{density:g}"."""

    steps: list[Count]
    accuracy: list[Fraction]
    architectures: dict[str, Kept]


class SearchValues(OneShotValues):
    """The values of a OneShot, and along the curve density and counts, synapses by layer."""

    density: list[Fraction]
    counts: list[list[Count]]


class RetrainingValues(TypedDict):
    """Final test accuracy, and the curve; counts, synapses by layer at first; alive, of SET."""

    accuracy: Fraction
    steps: list[Count]
    curve: list[Fraction]
    counts: list[Count]
    alive: NotRequired[Packed]


class NetSpec(Spec):
    """What the specs of nets of 16 units have in common."""

    pace: ClassVar[float] = 0.003  # seconds a step, about, on one thread
    steps: Any

    @staticmethod
    def train_all(*how: Any) -> Any:
        """Compute specs: see growth.train_all."""
        from cplab.studies.pruning import growth  # loads torch

        return growth.train_all(*how)

    @property
    def trunk_key(self) -> tuple:
        return (type(self).__name__, self)

    @property
    def expected_seconds(self) -> float:
        """Estimated seconds of computing, for a spec that was never timed."""
        return self.pace * self.steps


@spec_class
class Search(NetSpec):
    """A search for architectures: algorithm 1 of the thesis, whose γ and N are percentages.

    Rounding up with output pruned is the algorithm to the letter, by which the output layer dies
    soon after the middle. Random rounding and a dense output layer give the thesis's figures.

    >>> search = Search()
    >>> search.steps, search.peak, search.born
    (13125, 90.0, [6264])
    """

    Values: ClassVar[Any] = SearchValues

    dataset: NetDataset = "mnist"
    """mnist_shifted: each digit at a random place, wrapped around the edges; practice: its middle
    28 × 28, in grey."""
    gamma: Percent = 0.016  # γ, percent of a layer's parameters that a step grows or drops
    n: Steps = 10_000  # steps until growth has faded out; ε falls by 1/n a step
    start: Percent = 50.0  # N, percent of the synapses that are alive at first
    rounding: Literal["random", "up"] = "random"
    """Of γ's share of a layer, 2.01 synapses: with the right expectation, or as printed."""
    output: Literal["dense", "pruned"] = "dense"
    """The output layer stays dense, and densities are of the first layer; or as printed, and
    densities are of both."""
    optimizer: Optimizer = "sgd"  # sgd with rate 0.5, or adam with 0.001
    mixed: Annotated[Number, Field(ge=0, le=1)] = 0.0
    """This fraction of the other of mnist and fashion_mnist is added to the images."""
    keep: Densities = DENSITIES
    """Densities, fractions, at which the architecture is kept on the way down."""
    seed: Seed = 0  # decides architecture, initial weights and batches

    def __post_init__(self) -> None:
        fine = not self.mixed or self.dataset in OTHER_DATASET
        require(fine, f"mixed images are not allowed with {self.dataset}: take mnist")
        refused = f"gamma {self.gamma:g} is not allowed with n {self.n} and start {self.start:g}"
        why = f"growth would reach start + gamma · n / 4 = {self.peak:.4g} %, above 100"
        require(self.peak <= 100, f"{refused}: {why}")
        why = f"a search would take {self.steps:,} steps or more, above {MOST_STEPS:,}"
        require(self.n + 100 / self.gamma <= MOST_STEPS, f"{refused}: {why}; take a larger gamma")

    @property
    def steps(self) -> int:
        """⌈n + N/γ⌉, by when all synapses may be dropped."""
        return math.ceil(round(self.n + self.start / self.gamma, 6))

    @property
    def peak(self) -> float:
        """The highest expected density, in percent, at step n/2."""
        return self.start + self.gamma * self.n / 4

    @property
    def layers(self) -> int:
        """The number of layers that grow and drop."""
        return 1 if self.output == "dense" else 2

    @property
    def shares(self) -> list[float]:
        """γ(LL' + L'), the synapses that a step grows or drops, by layer."""
        return [self.gamma / 100 * (a * b + b) for a, b in SHAPES[: self.layers]]

    @property
    def born(self) -> list[int]:
        """Synapses alive at first, by layer: all but ⌈(1 − N)(LL' + L')⌉."""
        part = 1 - self.start / 100
        return [a * b - math.ceil(part * (a * b + b)) for a, b in SHAPES[: self.layers]]


@spec_class
class OneShot(NetSpec):
    """A dense net trained for some steps and pruned once, by |w| of its first layer.

    >>> OneShot("practice", steps=40).optimizer
    'sgd'
    """

    Values: ClassVar[Any] = OneShotValues

    dataset: NetDataset = "mnist"
    steps: Steps = 10_000
    optimizer: Optimizer = "sgd"
    keep: Densities = DENSITIES
    seed: Seed = 0


@spec_class
class Retraining(NetSpec):
    """An architecture trained from new weights, on batches of 2,048 images.

    >>> Retraining("random", 0.05, Search(seed=3)).seed
    3
    """

    pace: ClassVar[float] = 0.001  # beside others
    Values: ClassVar[Any] = RetrainingValues

    kind: Literal[ORIGINS] = "biological"  # type: ignore[valid-type]
    """biological, what the search left; its controls: random (as many synapses in each layer),
    inked (on pixels that some training image inks), per_pixel (as many on each pixel, on other
    units), degrees (as many on each pixel and on each unit), set (random, then the weakest are
    replaced by random ones all along, as SET does), magnitude (of a trained dense net, pruned
    once); or dense."""
    density: Density = 0.05  # fraction of synapses alive, one of the search's `keep`
    search: Search = Search()  # where the architecture is from
    dataset: NetDataset | None = None  # what it is trained on; the search's if not given
    steps: Steps = 10_000
    optimizer: Optimizer = "sgd"
    seed: Seed | None = None
    """Decides weights, batches and the control's draws; the search's if not given."""

    def __post_init__(self) -> None:
        assign(
            self,
            density=1.0 if self.kind == "dense" else self.density,
            dataset=self.dataset or self.search.dataset,
            seed=self.search.seed if self.seed is None else self.seed,
        )
        kept = ", ".join(f"{density:g}" for density in self.search.keep)
        why = f"is not kept by the search: choose one of {kept}, or name it in the search's keep"
        fine = self.kind == "dense" or self.density in self.search.keep
        require(fine, f"density {self.density:g} {why}")

    @property
    def source(self) -> Search | OneShot | None:
        """The spec whose values hold the architecture, or the one that a control is made from."""
        search, keep = self.search, self.search.keep
        if self.kind == "magnitude":
            return OneShot(search.dataset, self.steps, search.optimizer, keep, search.seed)
        return None if self.kind == "dense" else search

    @property
    def trunk_key(self) -> tuple:
        shared = (self.dataset, self.seed, self.steps, self.optimizer)
        return ("Retraining", *shared, self.kind == "set")
