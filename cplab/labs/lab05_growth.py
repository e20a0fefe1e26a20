"""Growth and pruning of synapses, and retraining of the architectures that result.

The thesis's dense model (sections 2.1 to 2.6): a network of 784, 16 and 10 units grows and drops
synapses while it learns digits; architectures that it passes on its way down, and controls of them,
are trained from new weights. Biases count in the thesis's ⌈γ(LL' + L')⌉ alone. An architecture is a
list of two boolean arrays, (16, 784) and (10, 16). torch is imported where it is used.
"""

import base64
import math
import threading
from collections.abc import Callable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from pydantic import AfterValidator, BeforeValidator, Field, InstanceOf

from cplab.errors import Cancelled, CplabError
from cplab.results.experiments import Experiment, experiment
from cplab.specs import Fraction, Number, Seed, mix_seeds, refuse_bool

if TYPE_CHECKING:
    from cplab.labs.lab05_nets import Net

SHAPES = ((784, 16), (16, 10))  # units below and above, of both layers of a net
RATES = {"sgd": 0.5, "adam": 0.001}  # the thesis states neither optimiser nor rate
DENSITIES = (0.01, 0.02, 0.03, 0.04, 0.05, 0.1, 0.15, 0.2)  # the thesis's
OTHER_DATASET = {"mnist": "fashion_mnist", "fashion_mnist": "mnist"}
ORIGINS = ("biological", "random", "inked", "per_pixel", "degrees", "set", "magnitude", "dense")
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
Architecture = list[np.ndarray]


def raise_if_stopped(stop: Stop) -> None:
    """Raise Cancelled once an event is set."""
    if stop is not None and stop.is_set():
        raise Cancelled("stopped: what was not finished is not kept; ask again for all of it")


# Architectures ------------------------------------------------------------------------------------


def dense() -> Architecture:
    """The architecture with all synapses alive."""
    return [np.ones((b, a), bool) for a, b in SHAPES]


def pack_architecture(arrays: Sequence[np.ndarray]) -> str:
    """Pack booleans as base64 text, a bit each."""
    bits = np.packbits(np.concatenate([array.ravel() for array in arrays]))
    return base64.b64encode(bits.tobytes()).decode()


def unpack_architecture(text: str) -> Architecture:
    """Unpack an architecture from text: booleans, (16, 784) and (10, 16).

    >>> [layer.shape for layer in unpack_architecture(pack_architecture(dense()))]
    [(16, 784), (10, 16)]
    """
    bits = np.unpackbits(np.frombuffer(base64.b64decode(text), np.uint8)).astype(bool)
    cuts = np.cumsum([math.prod(shape) for shape in SHAPES])
    layers = np.split(bits, cuts)[:-1]  # the last byte may be filled up
    return [layer.reshape(b, a) for layer, (a, b) in zip(layers, SHAPES, strict=True)]


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
    >>> bool(unpack_architecture(values["architectures"]["0.1"]["alive"])[0].mean() <= 0.1)
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
    if mixed and dataset not in OTHER_DATASET:
        raise CplabError(f"mixed images are not allowed with {dataset}: take mnist")
    refused = f"gamma {gamma:g} is not allowed with n {n} and start {start:g}"
    if (peak := start + gamma * n / 4) > 100:
        why = f"growth would reach start + gamma · n / 4 = {peak:.4g} %, above 100"
        raise CplabError(f"{refused}: {why}")
    if n + 100 / gamma > MOST_STEPS:
        steps = search_steps(gamma, n, start)
        why = f"a search would take {steps:,} steps or more, above {MOST_STEPS:,}"
        raise CplabError(f"{refused}: {why}; take a larger gamma")


# Controls -----------------------------------------------------------------------------------------


def draw_synapses(allowed: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """Draw `count` of the allowed synapses at random; both arrays are booleans of one shape."""
    places = np.flatnonzero(allowed)
    if count > len(places):
        raise CplabError(f"{count} synapses do not fit: give {len(places)} at most")
    alive = np.zeros(allowed.size, bool)
    alive[random.choice(places, count, replace=False)] = True
    return alive.reshape(allowed.shape)


def move_targets(alive: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Move each synapse to a random unit above; each unit below keeps its number of synapses."""
    return random.random(alive.shape).argsort(0).argsort(0) < alive.sum(0)


def trade_targets(alive: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Shuffle synapses by curveball trades, which keep the number on each unit below and above."""
    alive = alive.copy()
    for _ in range(50 * len(alive)):  # 5 a unit suffice for mixing
        a, b = random.choice(len(alive), 2, replace=False)
        places = np.flatnonzero(alive[a] != alive[b])
        traded = random.permutation(alive[a, places])
        alive[a, places], alive[b, places] = traded, ~traded
    return alive


def make_control(
    kind: str, alive: Architecture, ink: np.ndarray, random: np.random.Generator
) -> Architecture:
    """The architecture with which a kind of retraining begins, from the one that the search left;
    ink, booleans (784,), the pixels that some image inks."""
    if kind in ("biological", "magnitude"):
        return alive
    if kind == "per_pixel":
        return [move_targets(layer, random) for layer in alive]
    if kind == "degrees":
        return [trade_targets(layer, random) for layer in alive]
    allowed = [np.ones_like(layer) for layer in alive]  # random, set
    if kind == "inked":
        allowed[0] &= ink
    return [draw_synapses(a, int(b.sum()), random) for a, b in zip(allowed, alive, strict=True)]


# Training from new weights ------------------------------------------------------------------------


def train_net(
    architecture: Architecture,
    dataset: str,
    steps: int,
    optimizer: str,
    seed: int,
    *,
    rewire: bool = False,
    blanks: bool = False,
    device: str = "auto",
    stop: Stop = None,
) -> tuple["Net", dict]:
    """Train a network of this architecture from new weights, on batches of 2,048 images.

    Arguments: blanks, keep synapses on pixels that no image inks; rewire, as SET does, replace the
        weakest synapses of the first layer by random dead ones, 100 times until three quarters of
        the training, at first 0.3 of them, fading out as a cosine (with SET's 0.3 at each epoch
        new ones cannot learn).
    Returns: the network, and a curve: steps and accuracy.
    """
    import torch

    from cplab import devices
    from cplab.labs import lab05_nets as nets

    place, seed = devices.pick(device), mix_seeds("retrain", seed)
    pixels = nets.EVERY_PIXEL
    if not (blanks or rewire):  # the others can change no output
        ink = nets.inked_pixels(dataset, ("train", "test"))
        pixels = torch.as_tensor(np.flatnonzero(ink & architecture[0].any(0)))
    own, test = (
        nets.to_training_dtype(d, pixels, place) for d in nets.flat_images(dataset).values()
    )
    net = nets.build_net(architecture, seed, optimizer, pixels, place)
    batches, count = nets.batch_indices(len(own.y), seed, place), int(architecture[0].sum())
    draws = np.random.default_rng(mix_seeds(seed, pack_architecture(architecture)))
    interval, moves = math.ceil(5 * steps / CURVE_POINTS), math.ceil(0.75 * steps / 100)
    curve: dict[str, list] = {"steps": [], "accuracy": []}
    for i, index in enumerate(islice(batches, steps), start=1):
        raise_if_stopped(stop)
        nets.take_step(net, own.x.index_select(0, index), own.y[index], RATES[optimizer])
        if rewire and i % moves == 0 and i < 0.75 * steps:  # the weakest die, as many others grow
            part = 0.15 * (1 + math.cos(math.pi * i / (0.75 * steps)))
            moved = min(round(part * count), int((net.alive[0] == 0).sum()))
            grown = net.draw_dead(0, moved, draws)
            net.set_alive(0, net.weakest_synapses(0, moved), False)
            net.set_alive(0, grown, True)
        if i % interval == 0 or i == steps:
            curve["steps"].append(i)
            curve["accuracy"].append(nets.evaluate_net(net, test))
    return net, curve


@experiment(version=1)
def prune_once(
    dataset: Dataset = "mnist",
    steps: Steps = 10_000,
    optimizer: Optimizer = "sgd",
    keep: Densities = DENSITIES,
    seed: Seed = 0,
    *,
    device: str = "auto",
    stop: Stop = None,
) -> dict:
    """Train a dense net and prune it once, by |w| of its first layer. Returns: steps and accuracy
    of the curve; architectures by density, as of a search.

    >>> prune_once.spec("practice", steps=40).optimizer
    'sgd'
    """
    from cplab.labs import lab05_nets as nets

    # A seed of its own: an architecture is retrained from other weights than those it is from.
    how: dict[str, Any] = {"blanks": True, "device": device, "stop": stop}
    net, curve = train_net(dense(), dataset, steps, optimizer, mix_seeds("dense", seed), **how)
    order = net.weights[0][:, :-1].abs().flatten().argsort(descending=True).cpu()
    kept = {}
    for density in keep:
        alive = dense()
        alive[0].ravel()[order[math.floor(density * len(order)) :]] = False
        counts = [int(layer.sum()) for layer in alive]
        kept[f"{density:g}"] = {"counts": counts, "alive": pack_architecture(alive)}
    return {**curve, "architectures": kept, "copy": nets.flat_images(dataset)["train"].copy}


def source_of(kind: str, search: Experiment, steps: int, **_: Any) -> Experiment | None:
    """The experiment whose values hold the architecture of a retraining; None for a dense one."""
    if kind == "magnitude":
        return prune_once.spec(search.dataset, steps, search.optimizer, search.keep, search.seed)
    return None if kind == "dense" else search


SEARCH = search.spec()


@experiment(version=1, shares=source_of)
def retrain(
    kind: Literal[ORIGINS] = "biological",  # type: ignore[valid-type]
    density: Density = 0.05,
    search: InstanceOf[Experiment] = SEARCH,
    dataset: Dataset | None = None,
    steps: Steps = 10_000,
    optimizer: Optimizer = "sgd",
    *,
    device: str = "auto",
    stop: Stop = None,
) -> dict:
    """Train an architecture from new weights.

    Arguments:
        kind: biological, what the search left; its controls: random (as many synapses in each
            layer), inked (on pixels that some training image inks), per_pixel (as many on each
            pixel, on other units), degrees (as many on each pixel and on each unit), set (random,
            then the weakest are replaced by random ones all along, as SET does), magnitude (of a
            trained dense net, pruned once); or dense.
        density: the fraction of synapses alive, one of the search's `keep`.
        search: where the architecture is from; its seed decides weights, batches and draws.
        dataset: what it is trained on; the search's if not given.
    Returns: accuracy, the final one on test images; steps and curve; counts, synapses by layer; of
        SET also alive, what it ended with.

    >>> retrain.spec("random", 0.05, search.spec(seed=3)).seed
    3
    """
    from cplab.labs import lab05_nets as nets

    source, seed, dataset = source_of(kind, search, steps), search.seed, dataset or search.dataset
    how: dict[str, Any] = {"device": device, "stop": stop}
    alive = dense()
    if source is not None:
        kept = source.values(**how)["architectures"]
        if f"{density:g}" not in kept:
            others = ", ".join(kept) or "another search"
            what = f"the search never fell to density {density:g}, or did not keep it"
            raise CplabError(f"{what}: take one of {others}, or name it in the search's keep")
        random = np.random.default_rng(mix_seeds(kind, density, seed))
        alive = unpack_architecture(kept[f"{density:g}"]["alive"])
        alive = make_control(kind, alive, nets.inked_pixels(dataset), random)
    net, curve = train_net(alive, dataset, steps, optimizer, seed, rewire=kind == "set", **how)
    values = {
        "accuracy": curve["accuracy"][-1],
        "steps": curve["steps"],
        "curve": curve["accuracy"],
    }
    values |= {
        "counts": [int(x.sum()) for x in alive],
        "copy": nets.flat_images(dataset)["train"].copy,
    }
    if kind == "set":
        values["alive"] = pack_architecture(net.architecture())
    return values
