"""Growth and pruning of synapses, and what the architectures that come of it are worth.

The thesis's dense model (sections 2.1 to 2.6): a network of 784, 16 and 10 units grows and drops
synapses while it learns digits; `synapse_search` gives the architectures that it passes on its way
down, `retrain` trains many of them from new weights at once, `control` makes the architectures to
compare them with, `searches` and `retrainings` keep all results as studies.

Words: those of `synapses`, and density is the fraction of synapses that are alive. Biases are
counted nowhere but in the thesis's ⌈γ(LL' + L')⌉.
"""

import base64
import math
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import torch

from cplab import devices, studies, train
from cplab.experiment import OPTIMIZERS, CplabError, one_of, part, settle, whole
from cplab.synapses import (
    SHAPES,
    Architecture,
    Nets,
    Split,
    accuracies,
    batches,
    inked,
    nets,
    pictures,
    ready,
    step,
    telling,
)

RATES = {"sgd": 0.5, "adam": 0.001}  # the thesis states neither optimiser nor rate
DENSITIES = (0.01, 0.02, 0.03, 0.04, 0.05, 0.1, 0.15, 0.2)  # the thesis's
POINTS = 100  # of a curve
OTHER = {"mnist": "fashion_mnist", "fashion_mnist": "mnist"}
DATASETS = (*OTHER, "practice")
KINDS = (
    "biological", "random", "inked", "per_pixel", "degrees", "set", "magnitude", "dense",
)  # fmt: skip

# What is asked for ------------------------------------------------------------------------------


fraction = partial(part, whole=1, unit="the fraction of synapses that are alive")
percent = partial(part, whole=100, unit="a percentage")


def several(value) -> tuple:
    """`value` as it was given, if it holds several, else alone."""
    return tuple(value) if isinstance(value, list | tuple) else (value,)


@dataclass(frozen=True)
class Search:
    """One development: algorithm 1 of the thesis, whose γ and N are percentages.

    Arguments:
        dataset: mnist, fashion_mnist or practice (grey, its middle 28 by 28 pixels).
        gamma: γ, percent of a layer's parameters that a step grows or drops.
        n: steps until growth has faded out; ε falls by 1/n a step.
        start: N, percent of the synapses that are alive at first.
        rounding: of γ's share of a layer, which is 2.01 synapses: random, up or down so that the
            expectation is right, or up, as printed.
        output: dense, the output layer keeps all its synapses and densities are of the first
            layer; or pruned, as printed, and densities are of both.
        optimizer: sgd (rate 0.5) or adam (0.001).
        mixed: this fraction of the other of mnist and fashion_mnist is added to the images.
        keep: densities, fractions, at which the architecture is kept on the way down.
        seed: decides architecture, initial weights and batches.

    rounding up with output pruned is the algorithm to the letter: the output layer's share is 0.027
    synapses, a step takes 1, and the layer dies soon after the middle of the search.
    Random rounding and a dense output layer give the thesis's figures. With Adam, pixels that are
    seldom inked get large weights, so that |w| no longer tells which synapses are active.

    Raises: CplabError for a value that is not allowed.
    """

    dataset: str = "mnist"
    gamma: float = 0.016
    n: int = 10_000
    start: float = 50.0
    rounding: str = "random"
    output: str = "dense"
    optimizer: str = "sgd"
    mixed: float = 0.0
    keep: tuple[float, ...] = DENSITIES
    seed: int = 0

    def __post_init__(self):
        one_of("dataset", self.dataset, DATASETS)
        one_of("rounding", self.rounding, ("random", "up"))
        one_of("output", self.output, ("dense", "pruned"))
        one_of("optimizer", self.optimizer, OPTIMIZERS)
        settle(
            self,
            gamma=percent("gamma", self.gamma),
            n=whole("n", self.n, least=1),
            start=percent("start", self.start),
            mixed=part("mixed", self.mixed, 1, "a fraction of the images") if self.mixed else 0.0,
            keep=tuple(sorted({fraction("density", each) for each in several(self.keep)})),
            seed=whole("seed", self.seed),
        )
        if self.mixed and self.dataset not in OTHER:
            raise CplabError("mixed images are not allowed with practice: take mnist")
        if self.peak > 100:
            raise CplabError(
                f"gamma {self.gamma:g} is not allowed with n {self.n} and start {self.start:g}: "
                f"growth would reach start + gamma · n / 4 = {self.peak:.4g} %, above 100"
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


@dataclass(frozen=True)
class OneShot:
    """A dense net trained for some steps and pruned once, by |w| of its first layer."""

    dataset: str
    steps: int
    optimizer: str
    keep: tuple[float, ...]
    seed: int


@dataclass(frozen=True)
class Retraining:
    """An architecture trained from new weights.

    Arguments:
        kind: biological, what the search left; the controls of it: random (as many synapses in
            each layer), inked (the same, on pixels that some training image inks), per_pixel (as
            many on each pixel, on other units), degrees (as many on each pixel and on each unit),
            set (random, then the weakest are replaced by random ones all along, as SET does),
            magnitude (of a trained dense net, pruned once); or dense.
        density: fraction of synapses alive, one of the search's `keep`.
        search: where the architecture is from.
        dataset: what it is trained on (the search's if not given).
        steps: of training, on a batch of 2,048 each.
        optimizer: sgd or adam.
        seed: decides weights, batches and the control's draws (the search's if not given).
    Raises: CplabError for a value that is not allowed.
    """

    kind: str = "biological"
    density: float = 0.05
    search: Search = Search()
    dataset: str | None = None
    steps: int = 10_000
    optimizer: str = "sgd"
    seed: int | None = None

    def __post_init__(self):
        one_of("kind", self.kind, KINDS)
        settle(
            self,
            density=1.0 if self.kind == "dense" else fraction("density", self.density),
            dataset=one_of("dataset", self.dataset or self.search.dataset, DATASETS),
            steps=whole("steps", self.steps, least=1),
            optimizer=one_of("optimizer", self.optimizer, OPTIMIZERS),
            seed=whole("seed", self.search.seed if self.seed is None else self.seed),
        )
        if self.kind != "dense" and self.density not in self.search.keep:
            kept = ", ".join(f"{each:g}" for each in self.search.keep)
            raise CplabError(
                f"density {self.density:g} is not kept by the search: choose one of {kept} "
                "(fractions), or name it in the search's keep"
            )

    @property
    def source(self) -> Search | OneShot | None:
        """The study that has the architecture, or the one that a control is made of."""
        if self.kind == "dense":
            return None
        if self.kind == "magnitude":
            s = self.search
            return OneShot(s.dataset, self.steps, s.optimizer, s.keep, s.seed)
        return self.search


# Images and learning -----------------------------------------------------------------------------


def training(spec: Search) -> Split:
    """What a search learns from."""
    own = pictures(spec.dataset)["train"]
    if not spec.mixed:
        return own
    x, y = pictures(OTHER[spec.dataset])["train"]
    some = torch.randperm(len(y), generator=torch.Generator().manual_seed(spec.seed))
    some = some[: round(spec.mixed * len(y))]
    return Split(torch.cat([own.x, x[some]]), torch.cat([own.y, y[some]]))


def going_on(stop: threading.Event | None) -> None:
    if stop is not None and stop.is_set():
        raise train.Cancelled("stopped: what was not finished is not kept; ask again for all of it")


# Growth and pruning -----------------------------------------------------------------------------


def schedule(spec: Search) -> tuple[np.ndarray, np.ndarray]:
    """What a search does to each layer, all of which chance decides beforehand.

    Returns: for each step whether it grows (steps,), and the synapses that come (+) or go (−) in
        each layer that changes (steps, layers); as many as there are where fewer are left.
    """
    random = np.random.default_rng(train.mix("schedule", spec.seed))
    more = math.ceil(100 / spec.gamma)  # steps that empty any network
    epsilon = np.clip(1 - np.arange(spec.steps + more) / spec.n, 0, None)
    grows = random.random(len(epsilon)) < epsilon
    shares = np.array(spec.shares)
    if spec.rounding == "up":
        sizes = np.ceil(shares) + np.zeros((len(epsilon), 1))
    else:
        sizes = np.floor(shares + random.random((len(epsilon), len(shares))))
    changes, counts = np.where(grows[:, None], sizes, -sizes).astype(int), list(spec.born)
    most = [a * b for a, b in SHAPES]
    for i, change in enumerate(changes.tolist()):
        if i >= spec.steps and sum(counts) <= min(spec.keep, default=1) * sum(most[: len(counts)]):
            return grows[:i], changes[:i]
        for layer, number in enumerate(change):
            changes[i, layer] = min(max(number, -counts[layer]), most[layer] - counts[layer])
            counts[layer] += int(changes[i, layer])
    return grows, changes


def expected(spec: Search, step):
    """The density, in percent, that a search has after so many steps on average: of what grows and
    drops, before its end. step: a number or an array."""
    step = np.asarray(step, float)
    growing = np.minimum(step, spec.n)
    up = spec.gamma * (growing - growing**2 / spec.n)
    return np.clip(spec.start + up - spec.gamma * (step - growing), 0, 100)


class Moment(NamedTuple):
    """A search under way: step of steps, density (fraction), test accuracy, synapses by layer, and
    how many there are on each pixel (28, 28)."""

    step: int
    steps: int
    density: float
    accuracy: float
    counts: list[int]
    pixels: np.ndarray


def synapse_search(
    spec: Search,
    *,
    report: Callable[[Moment], None] = lambda moment: None,
    stop: threading.Event | None = None,
    device: str = "auto",
) -> dict:
    """Algorithm 1: grow or drop at the toss of a coin that comes to favour dropping; then learn.

    Where the text slips or is silent:
    - The inner loops run to n − 1 where m − 1 is meant: over the layers.
    - TrainStep stands inside `else`; it is taken at every iteration, as section 2.1 says ("at each
      training step, in addition to updating weights") and figure 2b shows.
    - γ is divided by 100 and N is not; ⌈n + N/γ⌉ steps needs both in the same unit. As chance has
      it, density may by then be some percent or 0; if it is above the lowest that is to be kept,
      the search goes on dropping until it has it.
    - ε falls at every iteration, not only at those that drop: only so is E|A_n| = |A_0|.
    - Biases are in the number of synapses that change and not in the table D: they stay alive.
    - A synapse grows with weight 0, which is what a dead one has.
    - "Randomly initialized" is Keras's default, Glorot uniform; batches are drawn without
      replacement until all images were seen.

    Arguments: report, called about 100 times; stop, checked at each step.
    Returns: plain data: steps, density, accuracy, counts (of the curve); architectures, by density
        as `f"{density:g}"`, each with step, counts, accuracy and alive (for `unpack`), at the
        last time that the search fell to that density.
    Raises: CplabError, train.Cancelled, train.Diverged.
    """
    place = devices.pick(device)
    random = np.random.default_rng(train.mix("search", spec.seed))
    _, changes = schedule(spec)
    every = torch.arange(784)
    source = training(spec)
    own, test = (ready(s, every, place) for s in (source, pictures(spec.dataset)["test"]))
    begin = [np.ones((b, a), bool) for a, b in SHAPES]
    for layer, count in enumerate(spec.born):
        begin[layer] = scattered(begin[layer], count, random)
    net = nets([begin], train.mix("search", spec.seed), spec.optimizer, place)
    counts = [int(each.sum()) for each in begin]
    size = sum(each.size for each in begin[: spec.layers])
    curve = {name: [] for name in ("steps", "density", "accuracy", "counts")}
    kept, often = {}, math.ceil(len(changes) / POINTS)
    draw = batches(len(own.y), train.mix("search", spec.seed), place)
    steps = len(changes)
    for i, change in enumerate(changes.tolist(), start=1):
        going_on(stop)
        before = sum(counts[: spec.layers]) / size
        for layer, number in enumerate(change):
            if number > 0:
                net.switch(layer, 0, net.dead(layer, 0, number, random), True)
            elif number < 0:
                net.switch(layer, 0, net.weakest(layer, 0, -number), False)
            counts[layer] += number
        index = next(draw)
        step(net, own.x.index_select(0, index), own.y[index], RATES[spec.optimizer])
        density = sum(counts[: spec.layers]) / size
        fallen = [each for each in spec.keep if density <= each < before]
        if fallen or i % often == 0 or i == steps:
            accuracy = accuracies(net, test)[0]
            now = {"steps": i, "density": density, "accuracy": accuracy, "counts": [*counts]}
            for each in fallen:
                alive = pack(net.architecture(0))
                some = {"step": i, "counts": [*counts], "accuracy": accuracy, "alive": alive}
                kept[f"{each:g}"] = some
            if i % often == 0 or i == steps:
                for name, value in now.items():
                    curve[name].append(value)
                seen = net.alive[0][0, :, :-1].sum(0).view(28, 28).int().cpu().numpy()
                report(Moment(i, steps, density, accuracy, [*counts], seen))
    return {**curve, "architectures": kept}


def pack(arrays: Sequence[np.ndarray]) -> str:
    """Booleans as text, a bit each."""
    bits = np.packbits(np.concatenate([each.ravel() for each in arrays]))
    return base64.b64encode(bits.tobytes()).decode()


def unpack(text: str) -> Architecture:
    """The architecture that was packed."""
    bits = np.unpackbits(np.frombuffer(base64.b64decode(text), np.uint8)).astype(bool)
    first, last = SHAPES
    cut, end = math.prod(first), math.prod(first) + math.prod(last)
    return [bits[:cut].reshape(first[::-1]), bits[cut:end].reshape(last[::-1])]


# Controls ---------------------------------------------------------------------------------------


def scattered(allowed: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """`count` synapses at random among the allowed ones."""
    places = np.flatnonzero(allowed)
    if count > len(places):
        raise CplabError(f"{count} synapses do not fit: only {len(places)} places are allowed")
    alive = np.zeros(allowed.size, bool)
    alive[random.choice(places, count, replace=False)] = True
    return alive.reshape(allowed.shape)


def other_targets(alive: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """As many synapses from each unit below, to units above at random."""
    return random.random(alive.shape).argsort(0).argsort(0) < alive.sum(0)


def same_degrees(alive: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """As many synapses of each unit below and above, otherwise at random (curveball trades)."""
    alive = alive.copy()
    for _ in range(50 * len(alive)):  # 5 a unit suffice for mixing
        one, two = random.choice(len(alive), 2, replace=False)
        places = np.flatnonzero(alive[one] != alive[two])
        ours = random.permutation(alive[one, places])
        alive[one, places], alive[two, places] = ours, ~ours
    return alive


def control(
    kind: str, alive: Architecture, ink: np.ndarray, random: np.random.Generator
) -> Architecture:
    """The architecture that a kind of retraining begins with, made of the search's."""
    if kind in ("biological", "magnitude"):
        return alive
    if kind == "per_pixel":
        return [other_targets(each, random) for each in alive]
    if kind == "degrees":
        return [same_degrees(each, random) for each in alive]
    allowed = [np.ones_like(each) for each in alive]  # random, set
    if kind == "inked":
        allowed[0] &= ink
    return [scattered(a, int(b.sum()), random) for a, b in zip(allowed, alive, strict=True)]


# Retraining -------------------------------------------------------------------------------------


def retrain(
    architectures: Sequence[Architecture],
    *,
    dataset: str = "mnist",
    steps: int = 10_000,
    seed: int = 0,
    optimizer: str = "sgd",
    rewire: bool = False,
    blanks: bool = False,
    report: Callable[[int, list[float]], None] = lambda step, accuracies: None,
    stop: threading.Event | None = None,
    device: str = "auto",
) -> tuple[Nets, dict]:
    """Train networks of these architectures side by side on the same batches.

    A network's result does not depend on the others, but for the last bits of its sums.

    Arguments:
        rewire: as SET does, the weakest synapses of the first layer are replaced by random dead
            ones, 100 times until three quarters of the training, at first 0.3 of them, fading out
            as a cosine (SET has a constant 0.3 at each epoch, after which young synapses have no
            time to learn).
        blanks: keep synapses on pixels that no image inks as well, for the result's sake.
        report: called with (step, accuracies) about 20 times; stop, checked at each step.
    Returns: the networks, and plain data: steps, accuracy (one list for each network).
    Raises: CplabError, train.Cancelled, train.Diverged.
    """
    place = devices.pick(device)
    seed = train.mix("retrain", seed)
    split = pictures(dataset)
    pixels = torch.arange(784) if blanks or rewire else telling(dataset, architectures)
    own, test = (ready(split[name], pixels, place) for name in ("train", "test"))
    group = nets(architectures, seed, optimizer, place, pixels)
    draw = batches(len(own.y), seed, place)
    # Of each network by itself, whatever stands beside it.
    randoms = [np.random.default_rng(train.mix(seed, pack(each))) for each in architectures]
    often, moves = math.ceil(5 * steps / POINTS), math.ceil(0.75 * steps / 100)
    curve = {"steps": [], "accuracy": []}
    for i in range(1, steps + 1):
        going_on(stop)
        index = next(draw)
        step(group, own.x.index_select(0, index), own.y[index], RATES[optimizer])
        if rewire and i % moves == 0 and i < 0.75 * steps:
            part = 0.15 * (1 + math.cos(math.pi * i / (0.75 * steps)))
            for net, alive in enumerate(architectures):
                replaced(group, net, round(part * alive[0].sum()), randoms[net])
        if i % often == 0 or i == steps:
            curve["steps"].append(i)
            curve["accuracy"].append(accuracies(group, test))
            report(i, curve["accuracy"][-1])
    curve["accuracy"] = [list(each) for each in zip(*curve["accuracy"], strict=True)]
    return group, curve


def replaced(group: Nets, net: int, count: int, random: np.random.Generator) -> None:
    """The weakest synapses of a first layer die, as many that were dead grow."""
    count = min(count, int((group.alive[0][net] == 0).sum()))
    grown, gone = group.dead(0, net, count, random), group.weakest(0, net, count)
    group.switch(0, net, gone, False)
    group.switch(0, net, grown, True)


def one_shot(spec: OneShot, **how) -> dict:
    """The architectures that magnitude pruning of a trained dense net leaves, as a search's."""
    dense = [np.ones((b, a), bool) for a, b in SHAPES]
    # A seed of its own: an architecture is retrained from other weights than those it is from.
    about = {"dataset": spec.dataset, "steps": spec.steps, "optimizer": spec.optimizer}
    group, curve = retrain([dense], seed=train.mix("dense", spec.seed), blanks=True, **about, **how)
    order, kept = group.weights[0][0, :, :-1].abs().flatten().argsort(descending=True).cpu(), {}
    for density in spec.keep:
        alive = np.zeros(dense[0].size, bool)
        alive[order[: math.floor(density * alive.size)]] = True
        both = [alive.reshape(dense[0].shape), dense[1]]
        kept[f"{density:g}"] = {"counts": [int(each.sum()) for each in both], "alive": pack(both)}
    return {"steps": curve["steps"], "accuracy": curve["accuracy"][0], "architectures": kept}


# Studies ----------------------------------------------------------------------------------------


def searches(
    specs: Iterable[Search | OneShot],
    *,
    report: Callable[[Search, Moment], None] = lambda spec, moment: None,
    stop: threading.Event | None = None,
) -> Iterator[tuple[Search | OneShot, studies.Study]]:
    """The searches, found or computed, as (spec, Study); `synapse_search` says what they hold."""

    def compute(missing: list) -> Iterator:
        for spec in missing:
            if isinstance(spec, OneShot):
                yield spec, one_shot(spec, stop=stop)
            else:
                yield spec, synapse_search(spec, report=partial(report, spec), stop=stop)

    return studies.collect(specs, compute)


def retrainings(
    specs: Iterable[Retraining],
    *,
    report: Callable[[list[Retraining], int, list[float]], None] = lambda specs, step, done: None,
    stop: threading.Event | None = None,
) -> Iterator[tuple[Retraining, studies.Study]]:
    """The retrainings, found or computed, as (spec, Study), and before them their searches.

    Those of one seed, data set and length go side by side. Values: accuracy, at the end; steps and
    curve; counts, synapses by layer; alive, what SET left (for `unpack`).
    """

    def compute(missing: list[Retraining]) -> Iterator:
        sources = dict(searches([r.source for r in missing if r.source], stop=stop))
        groups = {}
        for r in missing:
            alike = (r.dataset, r.seed, r.steps, r.optimizer, r.kind == "set")
            groups.setdefault(alike, []).append(r)
        for (dataset, seed, steps, optimizer, rewire), group in groups.items():
            begin = [architecture(r, sources.get(r.source)) for r in group]
            about = {"dataset": dataset, "seed": seed, "steps": steps, "optimizer": optimizer}
            trained, curve = retrain(
                begin, rewire=rewire, report=partial(report, group), stop=stop, **about
            )
            for net, (r, alive) in enumerate(zip(group, begin, strict=True)):
                own = curve["accuracy"][net]
                values = {"accuracy": own[-1], "steps": curve["steps"], "curve": own}
                values["counts"] = [int(each.sum()) for each in alive]
                if rewire:
                    values["alive"] = pack(trained.architecture(net))
                yield r, values

    return studies.collect(specs, compute)


def rows(found: dict[Retraining, studies.Study]) -> list[dict]:
    """A row for each retraining: kind, density, seed, dataset, source (of the architecture),
    optimizer, accuracy, synapses."""
    return [
        {
            "kind": r.kind, "density": r.density, "seed": r.seed, "dataset": r.dataset,
            "source": r.search.dataset, "mixed": r.search.mixed, "optimizer": r.optimizer,
            "accuracy": study.values["accuracy"], "synapses": sum(study.values["counts"]),
        }
        for r, study in found.items()
    ]  # fmt: skip


def architecture(spec: Retraining, source: studies.Study | None) -> Architecture:
    """What a retraining begins with. Raises CplabError if its search never had that density."""
    if source is None:
        return [np.ones((b, a), bool) for a, b in SHAPES]
    kept = source.values["architectures"].get(f"{spec.density:g}")
    if kept is None:
        raise CplabError(
            f"the search never fell to density {spec.density:g}: take one of "
            f"{', '.join(source.values['architectures']) or 'another search'}"
        )
    random = np.random.default_rng(train.mix(spec.kind, spec.density, spec.seed))
    return control(spec.kind, unpack(kept["alive"]), inked(spec.dataset), random)


class Comparison(NamedTuple):
    """Mean of a minus mean of b, its 95 % interval, Welch's p, and how many there are."""

    difference: float
    low: float
    high: float
    p: float
    counts: tuple[int, int]


def compare(a: Sequence[float], b: Sequence[float]) -> Comparison:
    """Welch's t-test of two independent samples. Raises CplabError for fewer than 2 values."""
    if min(len(a), len(b)) < 2:
        raise CplabError("a comparison needs at least 2 values on either side: train more seeds")
    from scipy import stats

    counts, difference = (len(a), len(b)), float(np.mean(a) - np.mean(b))
    if np.ptp(a) == np.ptp(b) == 0:  # nothing varies, and the test would divide by 0
        return Comparison(difference, difference, difference, float(difference == 0), counts)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Precision loss")  # one side may be constant
        test = stats.ttest_ind(a, b, equal_var=False)
    low, high = test.confidence_interval()
    return Comparison(difference, float(low), float(high), float(test.pvalue), counts)
