"""Growth and pruning of synapses (the thesis's dense model, sections 2.1 to 2.6).

A network of 784, 16 and 10 units grows and drops synapses while it learns digits. Architectures
that it passes on its way down are kept. Biases count in the thesis's ⌈γ(LL' + L')⌉ alone. torch is
imported where it is used.
"""

import math
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from numpy.typing import ArrayLike
from pydantic import AfterValidator, BeforeValidator, Field

from cplab.errors import Cancelled, CplabError
from cplab.labs.lab05_architectures import SHAPES, dense, draw_synapses, pack_architecture
from cplab.results.experiments import experiment
from cplab.specs import Fraction, Number, Seed, mix_seeds, refuse_bool
from cplab.specs.experiments import Experiment

if TYPE_CHECKING:
    pass

__all__ = ["DENSITIES", "born_synapses", "draw_changes", "expected_density", "search"]
__all__ += ["search_steps"]

RATES = {"sgd": 0.5, "adam": 0.001}  # the thesis states neither optimiser nor rate
DENSITIES = (0.01, 0.02, 0.03, 0.04, 0.05, 0.1, 0.15, 0.2)  # the thesis's
MOST_STEPS = 1_000_000  # of a net's training
CURVE_POINTS = 100

Dataset = Literal["mnist", "fashion_mnist", "mnist_shifted", "practice"]
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
Stop = threading.Event | None


def raise_if_stopped(stop: Stop) -> None:
    """Raise Cancelled once an event is set."""
    if stop is not None and stop.is_set():
        raise Cancelled("stopped: what was not finished is not kept; ask again for all of it")


def search_steps(gamma: float = 0.016, n: int = 10_000, start: float = 50.0) -> int:
    """The steps of a search: ⌈n + N/γ⌉, by when all synapses may be dropped.

    >>> search_steps()
    13125
    """
    return math.ceil(round(n + start / gamma, 6))


def expected_density(
    step: ArrayLike, gamma: float = 0.016, n: int = 10_000, start: float = 50.0
) -> np.ndarray:
    """The expected density, in percent, of the layers that grow and drop, after `step` steps (...).

    >>> expected_density([0, 5000, 10_000]).tolist()
    [50.0, 90.0, 50.0]
    """
    step = np.asarray(step, float)
    growing = np.minimum(step, n)
    up = gamma * (growing - growing**2 / n)
    return np.clip(start + up - gamma * (step - growing), 0, 100)


def born_synapses(start: float, layers: int) -> list[int]:
    """Synapses alive at first, by layer: all but ⌈(1 − N)(LL' + L')⌉.

    >>> born_synapses(50, 1)
    [6264]
    """
    return [a * b - math.ceil((1 - start / 100) * (a * b + b)) for a, b in SHAPES[:layers]]


def draw_changes(spec: Experiment) -> tuple[np.ndarray, np.ndarray]:
    """Draw all changes of a search, which do not depend on what it learns: for each step whether it
    grows (steps,), and how many synapses each layer gains (+) or loses (−) (steps, layers).

    >>> grows, changes = draw_changes(search.spec(n=60, gamma=2))
    >>> bool(grows[0]), changes.shape[1]
    (True, 1)
    """
    random = np.random.default_rng(mix_seeds("schedule", spec.seed))
    layers, steps = 1 + (spec.output == "pruned"), search_steps(spec.gamma, spec.n, spec.start)
    # γ(LL' + L'), the synapses that a step grows or drops
    shares = np.array([spec.gamma / 100 * (a * b + b) for a, b in SHAPES[:layers]])
    extra = math.ceil(100 / spec.gamma)  # steps that empty any network
    epsilon = np.clip(1 - np.arange(steps + extra) / spec.n, 0, None)
    grows, shape = random.random(len(epsilon)) < epsilon, (len(epsilon), layers)
    up = spec.rounding == "up"
    sizes = np.ceil(shares + np.zeros(shape)) if up else np.floor(shares + random.random(shape))
    changes = np.where(grows[:, None], sizes, -sizes).astype(int)
    counts, most = born_synapses(spec.start, layers), [a * b for a, b in SHAPES[:layers]]
    for i, change in enumerate(changes.tolist()):
        if i >= steps and sum(counts) <= min(spec.keep, default=1) * sum(most):
            return grows[:i], changes[:i]
        for layer, number in enumerate(change):
            changes[i, layer] = min(max(number, -counts[layer]), most[layer] - counts[layer])
            counts[layer] += int(changes[i, layer])
    return grows, changes


@experiment(version=1)
def search(
    dataset: Dataset = "mnist",
    gamma: Percent = 0.016,
    n: Steps = 10_000,
    start: Percent = 50.0,
    rounding: Literal["random", "up"] = "random",
    output: Literal["dense", "pruned"] = "dense",
    optimizer: Optimizer = "sgd",
    mixed: Fraction = 0.0,
    keep: Densities = DENSITIES,
    seed: Seed = 0,
    *,
    device: str = "auto",
    stop: Stop = None,
    report: Callable[[dict], None] = lambda row: None,
) -> dict:
    """Search for architectures (the thesis's algorithm 1): grow or drop synapses by a biased coin,
    then take a step.

    Where the text slips or is silent: the inner loops run over the layers, to m − 1. TrainStep is
    taken at every iteration, as section 2.1 and figure 2b have it, and not in `else` alone. γ and N
    are both in percent, since ⌈n + N/γ⌉ steps needs one unit; a search that is then above its
    lowest density goes on dropping until it reaches it. ε falls at every iteration: only then is
    E|A_n| = |A_0|. Biases count in what changes, and stay alive. A synapse grows with weight 0.

    Rounding up with output pruned is the algorithm to the letter, by which the output layer dies
    soon after the middle. Random rounding and a dense output layer give the thesis's figures.

    Arguments:
        dataset: mnist_shifted is each digit at a random place, wrapped around the edges; practice,
            its middle 28 × 28, in grey.
        gamma: γ, percent of a layer's parameters that a step grows or drops.
        n: steps until growth has faded out; ε falls by 1/n a step.
        start: N, percent of the synapses that are alive at first.
        rounding: of γ's share of a layer, 2.01 synapses: random, with the right expectation, or up.
        output: whether the output layer stays dense, and densities are of the first layer; or is
            pruned as well, and densities are of both.
        optimizer: sgd with rate 0.5, or adam with 0.001.
        mixed: this fraction of the other of mnist and fashion_mnist is added to the images.
        keep: densities, fractions, at which the architecture is kept on the way down.
        seed: decides architecture, initial weights and batches.
        report: called about 100 times with a row: step of steps, density (fraction), test accuracy
            (0 to 1), counts (synapses by layer) and pixels (synapses on each, 28 × 28).
    Returns: along the curve steps, accuracy, density and counts; architectures by density as
        f"{density:g}", each with step, accuracy, counts and alive, its packed bits. Raises:
        Cancelled once `stop` is set; Diverged.

    >>> values = search.compute("practice", n=20, gamma=5, keep=(0.1,))
    >>> values["architectures"]["0.1"]["counts"][0] <= 0.1 * 784 * 16
    True
    """
    from cplab import devices
    from cplab.labs import lab05_nets as nets

    check_search(dataset, gamma, n, start, mixed)
    fields = {"rounding": rounding, "output": output, "keep": keep, "seed": seed}
    _, changes = draw_changes(search.spec(gamma=gamma, n=n, start=start, **fields))
    place, layers = devices.pick(device), 1 + (output == "pruned")
    own_seed = mix_seeds("search", seed)
    random = np.random.default_rng(own_seed)
    parts = nets.search_images(dataset, mixed, seed), nets.flat_images(dataset)["test"]
    own, test = (nets.to_training_dtype(part, nets.EVERY_PIXEL, place) for part in parts)
    begin = dense()
    for layer, count in enumerate(born_synapses(start, layers)):
        begin[layer] = draw_synapses(begin[layer], count, random)
    net = nets.build_net(begin, own_seed, optimizer, nets.EVERY_PIXEL, place)
    counts, size = [int(layer.sum()) for layer in begin], sum(x.size for x in begin[:layers])
    density, interval = sum(counts[:layers]) / size, math.ceil(len(changes) / CURVE_POINTS)
    curve, kept = list[dict](), dict[str, dict]()
    batches = nets.batch_indices(len(own.y), own_seed, place)
    for i, (change, index) in enumerate(zip(changes.tolist(), batches, strict=False), start=1):
        raise_if_stopped(stop)
        for layer, number in enumerate(change):
            if number > 0:
                net.set_alive(layer, net.draw_dead(layer, number, random), True)
            elif number < 0:
                net.set_alive(layer, net.weakest_synapses(layer, -number), False)
            counts[layer] += number
        nets.take_step(net, own.x.index_select(0, index), own.y[index], RATES[optimizer])
        before, density = density, sum(counts[:layers]) / size
        passed = [target for target in keep if density <= target < before]
        due = i % interval == 0 or i == len(changes)
        if not (passed or due):
            continue
        row = {"accuracy": nets.evaluate_net(net, test), "counts": [*counts]}
        for target in passed:
            alive = pack_architecture(net.architecture())
            kept[f"{target:g}"] = {"step": i, **row, "alive": alive}
        if due:
            curve.append({"steps": i, "density": density, **row})
            pixels = net.alive[0][:, :-1].sum(0).view(28, 28).int().cpu().numpy()
            report(curve[-1] | {"step": i, "steps": len(changes), "pixels": pixels})
    columns = {name: [row[name] for row in curve] for name in curve[0]}
    return {**columns, "architectures": kept, "copy": nets.flat_images(dataset)["train"].copy}


def check_search(dataset: str, gamma: float, n: int, start: float, mixed: float) -> None:
    """Raise a CplabError if a search is not possible."""
    if mixed and dataset not in ("mnist", "fashion_mnist"):
        raise CplabError(f"mixed images are not allowed with {dataset}: take mnist")
    refused = f"gamma {gamma:g} is not allowed with n {n} and start {start:g}"
    if (peak := start + gamma * n / 4) > 100:
        why = f"growth would reach start + gamma · n / 4 = {peak:.4g} %, above 100"
        raise CplabError(f"{refused}: {why}")
    if n + 100 / gamma > MOST_STEPS:
        steps = search_steps(gamma, n, start)
        why = f"a search would take {steps:,} steps or more, above {MOST_STEPS:,}"
        raise CplabError(f"{refused}: {why}; take a larger gamma")
