"""Growth and pruning of synapses (the thesis's dense model, sections 2.1 to 2.6).

A network of 784, 16 and 10 units grows and drops synapses while it learns digits. An architecture
is a list of two boolean arrays, (16, 784) and (10, 16): which synapses are alive. Biases are no
synapses, but the thesis counts them in the number of parameters that a step changes, ⌈γ(LL' + L')⌉
for a layer of L' units on L units. torch is imported where it is used.
"""

import base64
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Literal

import numpy as np
from numpy.typing import ArrayLike
from pydantic import BeforeValidator, Field

from cplab.base.errors import CplabError
from cplab.results.declare import Stop, experiment
from cplab.specs import Number, Seed, mix_seeds, refuse_bool

SHAPES = ((16, 784), (10, 16))  # of both layers: units above and below
DENSITIES = (0.01, 0.02, 0.03, 0.04, 0.05, 0.1, 0.15, 0.2)  # the thesis's

Dataset = Literal["mnist", "fashion_mnist", "mnist_shifted", "practice"]
Optimizer = Literal["sgd", "adam"]
Percent = Annotated[Number, Field(ge=0.001, le=100)]
Density = Annotated[Number, Field(gt=0, le=1)]
Steps = Annotated[int, BeforeValidator(refuse_bool), Field(ge=1, le=1_000_000)]
Architecture = list[np.ndarray]


def dense() -> Architecture:
    """The architecture with all synapses alive."""
    return [np.ones(shape, bool) for shape in SHAPES]


def pack_architecture(alive: Architecture) -> str:
    """Pack an architecture as base64 text, a bit for each synapse."""
    bits = np.packbits(np.concatenate([layer.ravel() for layer in alive]))
    return base64.b64encode(bits.tobytes()).decode()


def unpack_architecture(text: str) -> Architecture:
    """Unpack an architecture from text.

    >>> [layer.shape for layer in unpack_architecture(pack_architecture(dense()))]
    [(16, 784), (10, 16)]
    """
    packed = np.frombuffer(base64.b64decode(text), np.uint8)
    bits = np.unpackbits(packed).astype(bool)
    first, second = SHAPES
    end = math.prod(first)
    return [bits[:end].reshape(first), bits[end:].reshape(second)]


def draw_synapses(allowed: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """Draw `count` of the allowed synapses at random; both arrays are booleans of one shape."""
    alive = np.zeros(allowed.size, bool)
    alive[random.choice(np.flatnonzero(allowed), count, replace=False)] = True
    return alive.reshape(allowed.shape)


# The search ---------------------------------------------------------------------------------------


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
    counts = []
    for above, below in SHAPES[:layers]:
        parameters = below * above + above
        dead = math.ceil((1 - start / 100) * parameters)
        counts.append(below * above - dead)
    return counts


def draw_changes(
    gamma: float = 0.016,
    n: int = 10_000,
    start: float = 50.0,
    rounding: str = "random",
    output: str = "dense",
    lowest: float = DENSITIES[0],
    seed: int = 0,
) -> np.ndarray:
    """Draw all changes of a search, which do not depend on what it learns: how many synapses each
    layer gains (+) or loses (−) at each step, (steps, layers).

    Arguments:
        gamma, n, start, rounding, output, seed: as in `search`.
        lowest: the density at which it may end.

    >>> draw_changes(n=60, gamma=2)[0] > 0
    array([ True])
    """
    random = np.random.default_rng(mix_seeds("schedule", seed))
    shapes = SHAPES if output == "pruned" else SHAPES[:1]
    shares = []  # γ(LL' + L'), the synapses that a step grows or drops, by layer
    for above, below in shapes:
        shares.append(gamma / 100 * (below * above + above))
    steps = search_steps(gamma, n, start)
    extra = math.ceil(100 / gamma)  # steps that empty any network
    epsilon = np.clip(1 - np.arange(steps + extra) / n, 0, None)  # the chance to grow, (steps,)
    grows = random.random(len(epsilon)) < epsilon
    shape = (len(epsilon), len(shapes))
    if rounding == "up":
        sizes = np.ceil(np.broadcast_to(shares, shape))
    else:
        sizes = np.floor(np.array(shares) + random.random(shape))
    wanted = np.where(grows[:, None], sizes, -sizes).astype(int)  # changes, (steps, layers)
    counts = born_synapses(start, len(shapes))
    places = [math.prod(layer) for layer in shapes]
    return possible_changes(wanted, counts, places, steps, lowest)


def possible_changes(
    wanted: np.ndarray, counts: Sequence[int], places: Sequence[int], steps: int, lowest: float
) -> np.ndarray:
    """Cut changes (steps, layers) to what is possible: no layer loses more synapses than are alive,
    or gains more than are dead. They end at the first step from `steps` on at which the density is
    not above `lowest`.

    Arguments:
        counts: synapses alive at first, by layer.
        places: for synapses, by layer.

    >>> possible_changes(np.array([[3], [-9], [1]]), [5], [7], steps=2, lowest=0.5).tolist()
    [[2], [-7]]
    """
    alive = [*counts]
    changes = wanted.copy()
    for i, step in enumerate(wanted.tolist()):
        if i >= steps and sum(alive) <= lowest * sum(places):
            return changes[:i]
        for layer, number in enumerate(step):
            dead = places[layer] - alive[layer]
            possible = min(max(number, -alive[layer]), dead)
            changes[i, layer] = possible
            alive[layer] += possible
    return changes


def check_search(
    dataset: str, gamma: float, n: int, start: float, mixed: float, **_: object
) -> None:
    """Check that arguments of `search` fit together: it never has more synapses than there are, and
    has images to mix with.

    Raises:
        CplabError.
    """
    if mixed and dataset not in ("mnist", "fashion_mnist"):
        raise CplabError(f"mixed images are not allowed with {dataset}: take mnist")
    peak = start + gamma * n / 4  # percent
    if not peak <= 100:
        raise CplabError(
            f"gamma {gamma:g} with n {n} and start {start:g} would reach {peak:.4g} %: "
            "keep start + gamma · n / 4 <= 100"
        )


def draw_newborn(start: float, layers: int, random: np.random.Generator) -> Architecture:
    """Draw the architecture with which a search begins.

    Arguments:
        start: percent of the synapses that are alive.
        layers: how many have so few: the rest is dense.
    """
    born = dense()
    for layer, count in enumerate(born_synapses(start, layers)):
        born[layer] = draw_synapses(born[layer], count, random)
    return born


def by_column(rows: Sequence[Mapping[str, object]]) -> dict[str, list]:
    """The values of rows that have the same names, by name.

    >>> by_column([{"step": 1, "density": 0.5}, {"step": 2, "density": 0.4}])
    {'step': [1, 2], 'density': [0.5, 0.4]}
    """
    columns: dict[str, list] = {}
    for name in rows[0]:
        columns[name] = [row[name] for row in rows]
    return columns


@experiment(version=1, check=check_search)
def search(
    dataset: Dataset = "mnist",
    gamma: Percent = 0.016,
    n: Steps = 10_000,
    start: Percent = 50.0,
    rounding: Literal["random", "up"] = "random",
    output: Literal["dense", "pruned"] = "dense",
    optimizer: Optimizer = "sgd",
    mixed: Annotated[Number, Field(ge=0, le=1)] = 0.0,
    keep: Annotated[tuple[Density, ...], Field(min_length=1)] = DENSITIES,
    seed: Seed = 0,
    *,
    device: str = "auto",
    stop: Stop = None,
    tell: Callable[[dict], object] = lambda row: None,
) -> dict:
    """Search for architectures (the thesis's algorithm 1): grow or drop synapses by a biased coin,
    then take a step.

    Where the text slips or is silent: the inner loops run over the layers, to m − 1. TrainStep is
    taken at every iteration, as section 2.1 and figure 2b have it, and not in `else` alone. γ and N
    are both in percent, since ⌈n + N/γ⌉ steps needs one unit; a search that is then above its
    lowest density goes on dropping until it reaches it. ε falls at every iteration: only then is
    E|A_n| = |A_0|. Biases stay alive. A synapse grows with weight 0. Rounding up with output pruned
    is the algorithm to the letter, by which the output layer dies soon after the middle; random
    rounding and a dense output layer give the thesis's figures.

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
        tell: called about 100 times with a row: step of steps, density (fraction), test accuracy
            (0 to 1), counts (synapses by layer) and pixels (synapses on each, 28 × 28).

    Returns:
        along the curve steps, accuracy, density and counts; architectures by density as
        f"{density:g}", each with step, accuracy, counts and alive, its packed bits.

    Raises:
        Cancelled: once `stop` is set.
        Diverged.

    >>> values = search.compute("practice", n=20, gamma=5, keep=(0.1,))
    >>> values["architectures"]["0.1"]["counts"][0] <= 0.1 * 784 * 16
    True
    """
    from cplab.base import devices
    from cplab.labs import lab05_nets as nets

    check_search(dataset, gamma, n, start, mixed)
    changes = draw_changes(gamma, n, start, rounding, output, min(keep), seed)
    layers = changes.shape[1]  # that grow and drop synapses
    torch_device = devices.pick(device)
    search_seed = mix_seeds("search", seed)
    random = np.random.default_rng(search_seed)

    born = draw_newborn(start, layers, random)
    net = nets.build_net(born, search_seed, optimizer, nets.EVERY_PIXEL, torch_device)
    digits = nets.search_images(dataset, mixed, seed)
    digits = nets.to_training_dtype(digits, nets.EVERY_PIXEL, torch_device)
    test = nets.to_training_dtype(nets.flat_images(dataset)["test"], nets.EVERY_PIXEL, torch_device)
    batches = nets.batch_indices(len(digits.y), search_seed, torch_device, stop)

    counts = [int(layer.sum()) for layer in born]  # synapses alive, by layer
    size = sum(layer.size for layer in born[:layers])
    density = sum(counts[:layers]) / size
    interval = math.ceil(len(changes) / 100)  # steps between two rows that are told
    curve: list[dict] = []
    kept: dict[str, dict] = {}  # architectures, by density
    for i, (change, index) in enumerate(zip(changes.tolist(), batches, strict=False), start=1):
        for layer, number in enumerate(change):
            net.change_synapses(layer, number, random)
            counts[layer] += number
        nets.take_step(net, digits.x.index_select(0, index), digits.y[index])
        density_before = density
        density = sum(counts[:layers]) / size
        passed = [target for target in keep if density <= target < density_before]
        due = i % interval == 0 or i == len(changes)
        if not (passed or due):
            continue
        row = {"accuracy": nets.evaluate_net(net, test), "counts": [*counts]}
        alive = net.architecture()
        for target in passed:
            kept[f"{target:g}"] = {"step": i, **row, "alive": pack_architecture(alive)}
        if due:
            curve.append({"steps": i, "density": density, **row})
            pixels = alive[0].sum(0).reshape(28, 28)
            tell(curve[-1] | {"step": i, "steps": len(changes), "pixels": pixels})
    images = nets.flat_images(dataset)["train"]
    return {**by_column(curve), "architectures": kept, "copy": images.copy}
