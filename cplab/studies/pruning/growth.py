"""Growth and pruning of synapses, and retraining of the architectures that result.

The thesis's dense model (sections 2.1 to 2.6): a network of 784, 16 and 10 units grows and drops
synapses while it learns digits; architectures that it passes on its way down, and controls of them,
are trained from new weights side by side. Biases count in the thesis's ⌈γ(LL' + L')⌉ alone.
"""

import math
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from cplab import devices, results
from cplab.engine.sweep import Context, Training
from cplab.errors import Cancelled, Diverged, require
from cplab.specs import mix_seeds
from cplab.studies.pruning import nets
from cplab.studies.pruning.nets import Architecture, flat_images, unpack_architecture
from cplab.studies.pruning.specs import OTHER_DATASET, OneShot, Retraining, Search

LEARNING_RATES = {"sgd": 0.5, "adam": 0.001}  # the thesis states neither optimiser nor rate
CURVE_POINTS = 100


def search_images(spec: Search) -> nets.Digits:
    """The training images of a search, with its share of the other data set where it is mixed."""
    own = flat_images(spec.dataset)["train"]
    if not spec.mixed:
        return own
    other = flat_images(OTHER_DATASET[spec.dataset])["train"]
    order = torch.randperm(len(other.y), generator=torch.Generator().manual_seed(spec.seed))
    drawn = order[: round(spec.mixed * len(other.y))]
    return nets.Digits(torch.cat([own.x, other.x[drawn]]), torch.cat([own.y, other.y[drawn]]))


def raise_if_stopped(stop: threading.Event | None) -> None:
    """Raise Cancelled once an event is set."""
    if stop is not None and stop.is_set():
        raise Cancelled("stopped: what was not finished is not kept; ask again for all of it")


def draw_changes(spec: Search) -> tuple[np.ndarray, np.ndarray]:
    """Draw all changes of a search, which do not depend on what it learns: for each step whether it
    grows (steps,), and how many synapses each layer gains (+) or loses (−) (steps, layers).

    >>> grows, changes = draw_changes(Search(n=60, gamma=2))
    >>> bool(grows[0]), changes.shape[1]
    (True, 1)
    """
    random = np.random.default_rng(mix_seeds("schedule", spec.seed))
    extra = math.ceil(100 / spec.gamma)  # steps that empty any network
    epsilon = np.clip(1 - np.arange(spec.steps + extra) / spec.n, 0, None)
    grows = random.random(len(epsilon)) < epsilon
    shares, shape = np.array(spec.shares), (len(epsilon), spec.layers)
    up = spec.rounding == "up"
    sizes = np.ceil(shares + np.zeros(shape)) if up else np.floor(shares + random.random(shape))
    changes, counts = np.where(grows[:, None], sizes, -sizes).astype(int), list(spec.born)
    most = [layer.size for layer in nets.dense()]
    for i, change in enumerate(changes.tolist()):
        if i >= spec.steps and sum(counts) <= min(spec.keep, default=1) * sum(most[: len(counts)]):
            return grows[:i], changes[:i]
        for layer, number in enumerate(change):
            changes[i, layer] = min(max(number, -counts[layer]), most[layer] - counts[layer])
            counts[layer] += int(changes[i, layer])
    return grows, changes


def expected_density(spec: Search, step: ArrayLike) -> np.ndarray:
    """The expected density, in percent, of the layers that grow and drop, after `step` steps (...).

    >>> expected_density(Search(), [0, 5000, 10_000]).tolist()
    [50.0, 90.0, 50.0]
    """
    step = np.asarray(step, float)
    growing = np.minimum(step, spec.n)
    up = spec.gamma * (growing - growing**2 / spec.n)
    return np.clip(spec.start + up - spec.gamma * (step - growing), 0, 100)


def grow_and_prune(
    spec: Search,
    *,
    report: Callable[[dict], None] = lambda row: None,
    stop: threading.Event | None = None,
    device: str = "auto",
) -> dict:
    """Run a search (the thesis's algorithm 1): grow or drop by a biased coin, then take a step.

    Where the text slips or is silent: the inner loops run over the layers, to m − 1. TrainStep is
    taken at every iteration, as section 2.1 and figure 2b have it, and not in `else` alone. γ and N
    are both in percent, since ⌈n + N/γ⌉ steps needs one unit; a search that is then above its
    lowest density goes on dropping until it reaches it. ε falls at every iteration: only then is
    E|A_n| = |A_0|. Biases count in what changes, and stay alive. A synapse grows with weight 0.

    Arguments: report, called about 100 times with a row: step of steps, density (fraction), test
        accuracy (0 to 1), counts (synapses by layer) and pixels (synapses on each, 28 × 28).
    Returns: the values of a Search. Raises: Cancelled once `stop` is set; Diverged.

    >>> values = grow_and_prune(Search("practice", n=20, gamma=5, keep=0.1))
    >>> bool(unpack_architecture(values["architectures"]["0.1"]["alive"])[0].mean() <= 0.1)
    True
    """
    place = devices.pick(device)
    random = np.random.default_rng(mix_seeds("search", spec.seed))
    _, changes = draw_changes(spec)
    parts = search_images(spec), flat_images(spec.dataset)["test"]
    own, test = (nets.to_training_dtype(part, torch.arange(784), place) for part in parts)
    begin = nets.dense()
    for layer, count in enumerate(spec.born):
        begin[layer] = draw_synapses(begin[layer], count, random)
    net = nets.build_nets([begin], mix_seeds("search", spec.seed), spec.optimizer, place)
    counts = [int(layer.sum()) for layer in begin]
    size = sum(layer.size for layer in begin[: spec.layers])
    curve: list[dict] = []
    kept: dict[str, dict] = {}
    batches = nets.batch_indices(len(own.y), mix_seeds("search", spec.seed), place)
    steps, rate = len(changes), LEARNING_RATES[spec.optimizer]
    interval = math.ceil(steps / CURVE_POINTS)
    density = sum(spec.born) / size
    for i, (change, index) in enumerate(zip(changes.tolist(), batches, strict=False), start=1):
        raise_if_stopped(stop)
        for layer, number in enumerate(change):
            if number > 0:
                net.set_alive(layer, 0, net.draw_dead(layer, 0, number, random), True)
            elif number < 0:
                net.set_alive(layer, 0, net.weakest_synapses(layer, 0, -number), False)
            counts[layer] += number
        nets.take_step(net, own.x.index_select(0, index), own.y[index], rate)
        before, density = density, sum(counts[: spec.layers]) / size
        passed = [target for target in spec.keep if density <= target < before]
        due = i % interval == 0 or i == steps
        if not (passed or due):
            continue
        row = {"accuracy": nets.evaluate_nets(net, test)[0], "counts": [*counts]}
        for target in passed:
            alive = nets.pack_architecture(net.architecture(0))
            kept[f"{target:g}"] = {"step": i, **row, "alive": alive}
        if due:
            curve.append({"steps": i, "density": density, **row})
            pixels = net.alive[0][0, :, :-1].sum(0).view(28, 28).int().cpu().numpy()
            report(curve[-1] | {"step": i, "steps": steps, "pixels": pixels})
    columns = {name: [row[name] for row in curve] for name in curve[0]}
    return {**columns, "architectures": kept}


def draw_synapses(allowed: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """Draw `count` of the allowed synapses at random; both arrays are booleans of one shape."""
    places = np.flatnonzero(allowed)
    require(count <= len(places), f"{count} synapses do not fit: give {len(places)} at most")
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


def train_side_by_side(
    architectures: Sequence[Architecture],
    *,
    dataset: str = "mnist",
    steps: int = 10_000,
    seed: int = 0,
    optimizer: str = "sgd",
    rewire: bool = False,
    blanks: bool = False,
    stop: threading.Event | None = None,
    device: str = "auto",
) -> tuple[nets.Nets, dict]:
    """Train networks of these architectures side by side on the same batches.

    Arguments: blanks, keep synapses on pixels that no image inks; rewire, as SET does, replace the
        weakest synapses of the first layer by random dead ones, 100 times until three quarters of
        the training, at first 0.3 of them, fading out as a cosine (with SET's 0.3 at each epoch
        new ones cannot learn).
    Returns: the networks, and steps and accuracy (a list for each network). A network's result does
        not depend on the others, but for the last bits of its sums.
    """
    place, seed = devices.pick(device), mix_seeds("retrain", seed)
    every = torch.arange(784)
    pixels = every if blanks or rewire else nets.informative_pixels(dataset, architectures)
    own, test = (nets.to_training_dtype(d, pixels, place) for d in flat_images(dataset).values())
    group = nets.build_nets(architectures, seed, optimizer, place, pixels)
    batches = nets.batch_indices(len(own.y), seed, place)
    # Each network draws by itself, whatever is trained beside it.
    packed = map(nets.pack_architecture, architectures)
    randoms = [np.random.default_rng(mix_seeds(seed, text)) for text in packed]
    interval, moves = math.ceil(5 * steps / CURVE_POINTS), math.ceil(0.75 * steps / 100)
    curve: dict[str, list] = {"steps": [], "accuracy": []}
    for i, index in enumerate(islice(batches, steps), start=1):
        raise_if_stopped(stop)
        nets.take_step(group, own.x.index_select(0, index), own.y[index], LEARNING_RATES[optimizer])
        if rewire and i % moves == 0 and i < 0.75 * steps:
            part = 0.15 * (1 + math.cos(math.pi * i / (0.75 * steps)))
            for net, alive in enumerate(architectures):  # the weakest die, as many dead ones grow
                count = min(round(part * alive[0].sum()), int((group.alive[0][net] == 0).sum()))
                grown = group.draw_dead(0, net, count, randoms[net])
                group.set_alive(0, net, group.weakest_synapses(0, net, count), False)
                group.set_alive(0, net, grown, True)
        if i % interval == 0 or i == steps:
            curve["steps"].append(i)
            curve["accuracy"].append(nets.evaluate_nets(group, test))
    curve["accuracy"] = [list(column) for column in zip(*curve["accuracy"], strict=True)]
    return group, curve


def prune_once(spec: OneShot, **how: Any) -> dict:
    """Compute the values of a OneShot; how: stop and device, as of train_side_by_side."""
    # A seed of its own: an architecture is retrained from other weights than those it is from.
    how |= {"dataset": spec.dataset, "steps": spec.steps, "optimizer": spec.optimizer}
    how["seed"] = mix_seeds("dense", spec.seed)
    group, curve = train_side_by_side([nets.dense()], blanks=True, **how)
    order = group.weights[0][0, :, :-1].abs().flatten().argsort(descending=True).cpu()
    kept = {}
    for density in spec.keep:
        alive = nets.dense()
        alive[0].ravel()[order[math.floor(density * len(order)) :]] = False
        counts = [int(layer.sum()) for layer in alive]
        kept[f"{density:g}"] = {"counts": counts, "alive": nets.pack_architecture(alive)}
    return {"steps": curve["steps"], "accuracy": curve["accuracy"][0], "architectures": kept}


def retrain_group(group: Sequence[Retraining], sources: Mapping, **how: Any) -> Iterator[dict]:
    """Yield the values of retrainings of one seed, data set and length; sources: values by spec."""
    first, rewires = group[0], group[0].kind == "set"
    begin = [starting_architecture(spec, sources) for spec in group]
    how |= {name: getattr(first, name) for name in ("dataset", "seed", "steps", "optimizer")}
    trained, curve = train_side_by_side(begin, rewire=rewires, **how)
    for net, (alive, own) in enumerate(zip(begin, curve["accuracy"], strict=True)):
        values = {"accuracy": own[-1], "steps": curve["steps"], "curve": own}
        values["counts"] = [int(layer.sum()) for layer in alive]
        if rewires:
            values["alive"] = nets.pack_architecture(trained.architecture(net))
        yield values


def starting_architecture(spec: Retraining, sources: Mapping) -> Architecture:
    """The architecture with which a retraining begins. Raises CplabError if its search lacks it."""
    if spec.source is None:
        return nets.dense()
    kept, density = sources[spec.source]["architectures"], f"{spec.density:g}"
    others = ", ".join(kept) or "another search"
    require(density in kept, f"the search never fell to density {density}: take one of {others}")
    random = np.random.default_rng(mix_seeds(spec.kind, spec.density, spec.seed))
    alive = unpack_architecture(kept[density]["alive"])
    return make_control(spec.kind, alive, nets.inked_pixels(str(spec.dataset)), random)


def train_all(
    specs: Iterable, context: Context | None = None, measures: Mapping | None = None
) -> Iterator[tuple[Any, Training | Diverged]]:
    """Compute Search, OneShot and Retraining specs, and yield (spec, its Training, or Diverged).
    The searches that retrainings need come first, whether requested or not, unless they have
    results. Retrainings of one seed, data set and length are computed side by side."""
    why = "cannot be measured on nets that are trained side by side: ask without, or of a Run"
    require(not measures, f"{', '.join(measures or ())} {why}")
    context, groups, requested = context or Context(), defaultdict(list), dict.fromkeys(specs)
    sources = [spec.source for spec in requested if getattr(spec, "source", None)]
    stored = ((s, results.find(s)) for s in dict.fromkeys(sources) if s not in requested)
    values_of = {source: result.values for source, result in stored if result}
    errors: dict[Any, Diverged] = {}
    for spec in dict.fromkeys([*(s for s in sources if s not in values_of), *requested]):
        groups[spec.trunk_key].append(spec)
    place, threads = devices.pick(context.device), context.threads or torch.get_num_threads()
    where = devices.machine(place), "bf16" if devices.has_bf16(place) else "float32", threads
    how: dict[str, Any] = {"stop": context.stop, "device": context.device}
    for members in groups.values():
        failed = {s: errors[s.source] for s in members if getattr(s, "source", None) in errors}
        yield from failed.items()
        if not (group := [spec for spec in members if spec not in failed]):
            continue
        first, start = group[0], time.perf_counter()
        try:
            with devices.explain_failures(), devices.torch_defaults(threads):
                if isinstance(first, Search):
                    computed = [grow_and_prune(first, **how)]
                elif isinstance(first, OneShot):
                    computed = [prune_once(first, **how)]
                else:
                    computed = [*retrain_group(group, values_of, **how)]
        except Diverged as error:
            errors |= dict.fromkeys(group, error)
            yield from ((spec, error) for spec in group)
            continue
        values_of |= zip(group, computed, strict=True)
        seconds = (time.perf_counter() - start) / len(group)
        copy = flat_images(first.dataset)["train"].copy
        for spec, values in zip(group, computed, strict=True):
            yield spec, Training(values, {}, seconds, copy, *where)
