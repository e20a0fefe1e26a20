"""Growth and pruning of synapses, and what the architectures that come of it are worth.

The thesis's dense model (sections 2.1 to 2.6): a network of 784, 16 and 10 units grows and drops
synapses while it learns digits; architectures that it passes on its way down, and controls of them,
are trained from new weights side by side. Biases are in the thesis's ⌈γ(LL' + L')⌉ alone.
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
    own = flat_images(spec.dataset)["train"]
    if not spec.mixed:
        return own
    other = flat_images(OTHER_DATASET[spec.dataset])["train"]
    some = torch.randperm(len(other.y), generator=torch.Generator().manual_seed(spec.seed))
    some = some[: round(spec.mixed * len(other.y))]
    return nets.Digits(torch.cat([own.x, other.x[some]]), torch.cat([own.y, other.y[some]]))


def raise_if_stopped(stop: threading.Event | None) -> None:
    if stop is not None and stop.is_set():
        raise Cancelled("stopped: what was not finished is not kept; ask again for all of it")


def draw_changes(spec: Search) -> tuple[np.ndarray, np.ndarray]:
    """What a search does, which chance decides beforehand: for each step whether it grows (steps,),
    and the synapses that come (+) or go (−) in each layer (steps, layers).

    >>> grows, changes = draw_changes(Search(n=60, gamma=2))
    >>> bool(grows[0]), changes.shape[1]
    (True, 1)
    """
    random = np.random.default_rng(mix_seeds("schedule", spec.seed))
    more = math.ceil(100 / spec.gamma)  # steps that empty any network
    epsilon = np.clip(1 - np.arange(spec.steps + more) / spec.n, 0, None)
    grows = random.random(len(epsilon)) < epsilon
    shares, room = np.array(spec.shares), (len(epsilon), spec.layers)
    up = spec.rounding == "up"
    sizes = np.tile(np.ceil(shares), (room[0], 1)) if up else np.floor(shares + random.random(room))
    changes, counts = np.where(grows[:, None], sizes, -sizes).astype(int), list(spec.born)
    most = [each.size for each in nets.dense()]
    for i, change in enumerate(changes.tolist()):
        if i >= spec.steps and sum(counts) <= min(spec.keep, default=1) * sum(most[: len(counts)]):
            return grows[:i], changes[:i]
        for layer, number in enumerate(change):
            changes[i, layer] = min(max(number, -counts[layer]), most[layer] - counts[layer])
            counts[layer] += int(changes[i, layer])
    return grows, changes


def expected_density(spec: Search, step: ArrayLike) -> np.ndarray:
    """The mean density, in percent, of what grows and drops in a search, after so many steps.

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
    """Algorithm 1: grow or drop at the toss of a coin that comes to favour dropping; then learn.

    Where the text slips or is silent: the inner loops run over the layers, to m − 1. TrainStep is
    taken at every iteration, as section 2.1 and figure 2b have it, and not in `else` alone. γ and N
    are both in percent, since ⌈n + N/γ⌉ steps needs one unit; a search that is then above the
    lowest density to be kept goes on dropping until it has it. ε falls at every iteration: only so
    is E|A_n| = |A_0|. Biases count in what changes, and stay alive. A synapse grows with weight 0.

    Arguments: report, called about 100 times with a row: step of steps, density (fraction), test
        accuracy (0 to 1), counts, synapses by layer, and pixels, how many are on each (28, 28).
    Returns: the values of a Search.

    >>> values = grow_and_prune(Search("practice", n=20, gamma=5, keep=0.1))
    >>> bool(unpack_architecture(values["architectures"]["0.1"]["alive"])[0].mean() <= 0.1)
    True
    """
    place = devices.pick(device)
    random = np.random.default_rng(mix_seeds("search", spec.seed))
    _, changes = draw_changes(spec)
    both = search_images(spec), flat_images(spec.dataset)["test"]
    own, test = (nets.to_training_dtype(each, torch.arange(784), place) for each in both)
    begin = nets.dense()
    for layer, count in enumerate(spec.born):
        begin[layer] = draw_synapses(begin[layer], count, random)
    net = nets.build_nets([begin], mix_seeds("search", spec.seed), spec.optimizer, place)
    counts = [int(each.sum()) for each in begin]
    size = sum(each.size for each in begin[: spec.layers])
    curve: list[dict] = []
    kept: dict[str, dict] = {}
    batches = nets.batch_indices(len(own.y), mix_seeds("search", spec.seed), place)
    steps, rate = len(changes), LEARNING_RATES[spec.optimizer]
    often = math.ceil(steps / CURVE_POINTS)
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
        fallen = [each for each in spec.keep if density <= each < before]
        due = i % often == 0 or i == steps
        if not (fallen or due):
            continue
        now = {"accuracy": nets.evaluate_nets(net, test)[0], "counts": [*counts]}
        for each in fallen:
            alive = nets.pack_architecture(net.architecture(0))
            kept[f"{each:g}"] = {"step": i, **now, "alive": alive}
        if due:
            curve.append({"steps": i, "density": density, **now})
            seen = net.alive[0][0, :, :-1].sum(0).view(28, 28).int().cpu().numpy()
            report(curve[-1] | {"step": i, "steps": steps, "pixels": seen})
    columns = {name: [row[name] for row in curve] for name in curve[0]}
    return {**columns, "architectures": kept}


def draw_synapses(allowed: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """`count` synapses at random among the allowed ones."""
    places = np.flatnonzero(allowed)
    require(count <= len(places), f"{count} synapses do not fit: give {len(places)} at most")
    alive = np.zeros(allowed.size, bool)
    alive[random.choice(places, count, replace=False)] = True
    return alive.reshape(allowed.shape)


def move_targets(alive: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """As many synapses from each unit below, to units above at random."""
    return random.random(alive.shape).argsort(0).argsort(0) < alive.sum(0)


def trade_targets(alive: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """As many synapses of each unit below and above, otherwise at random (curveball trades)."""
    alive = alive.copy()
    for _ in range(50 * len(alive)):  # 5 a unit suffice for mixing
        one, two = random.choice(len(alive), 2, replace=False)
        places = np.flatnonzero(alive[one] != alive[two])
        ours = random.permutation(alive[one, places])
        alive[one, places], alive[two, places] = ours, ~ours
    return alive


def make_control(
    kind: str, alive: Architecture, ink: np.ndarray, random: np.random.Generator
) -> Architecture:
    """What a kind of retraining begins with, made of the search's architecture and of the pixels
    (784,) that some image inks."""
    if kind in ("biological", "magnitude"):
        return alive
    if kind == "per_pixel":
        return [move_targets(each, random) for each in alive]
    if kind == "degrees":
        return [trade_targets(each, random) for each in alive]
    allowed = [np.ones_like(each) for each in alive]  # random, set
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

    Arguments: blanks: keep synapses on pixels that no image inks; rewire: as SET does, the weakest
        synapses of the first layer are replaced by random dead ones, 100 times until three quarters
        of the training, at first 0.3 of them, fading out as a cosine (with SET's 0.3 at each epoch
        the young cannot learn).
    Returns: the networks, and steps and accuracy (one list for each network). What one comes to
        does not depend on the others, but for the last bits of its sums.
    """
    place, seed = devices.pick(device), mix_seeds("retrain", seed)
    every = torch.arange(784)
    pixels = every if blanks or rewire else nets.informative_pixels(dataset, architectures)
    own, test = (nets.to_training_dtype(d, pixels, place) for d in flat_images(dataset).values())
    group = nets.build_nets(architectures, seed, optimizer, place, pixels)
    batches = nets.batch_indices(len(own.y), seed, place)
    # Of each network by itself, whatever stands beside it.
    packed = map(nets.pack_architecture, architectures)
    randoms = [np.random.default_rng(mix_seeds(seed, text)) for text in packed]
    often, moves = math.ceil(5 * steps / CURVE_POINTS), math.ceil(0.75 * steps / 100)
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
        if i % often == 0 or i == steps:
            curve["steps"].append(i)
            curve["accuracy"].append(nets.evaluate_nets(group, test))
    curve["accuracy"] = [list(each) for each in zip(*curve["accuracy"], strict=True)]
    return group, curve


def prune_once(spec: OneShot, **how: Any) -> dict:
    """The values of a OneShot; how, stop and device as of train_side_by_side."""
    # A seed of its own: an architecture is retrained from other weights than those it is from.
    how |= {"dataset": spec.dataset, "steps": spec.steps, "optimizer": spec.optimizer}
    how["seed"] = mix_seeds("dense", spec.seed)
    group, curve = train_side_by_side([nets.dense()], blanks=True, **how)
    order = group.weights[0][0, :, :-1].abs().flatten().argsort(descending=True).cpu()
    kept = {}
    for density in spec.keep:
        alive = nets.dense()
        alive[0].ravel()[order[math.floor(density * len(order)) :]] = False
        counts = [int(each.sum()) for each in alive]
        kept[f"{density:g}"] = {"counts": counts, "alive": nets.pack_architecture(alive)}
    return {"steps": curve["steps"], "accuracy": curve["accuracy"][0], "architectures": kept}


def retrain_group(group: Sequence[Retraining], sources: Mapping, **how: Any) -> Iterator[dict]:
    """The values of retrainings of one seed, data set and length, by their searches' values."""
    first, rewires = group[0], group[0].kind == "set"
    begin = [starting_architecture(spec, sources) for spec in group]
    how |= {name: getattr(first, name) for name in ("dataset", "seed", "steps", "optimizer")}
    trained, curve = train_side_by_side(begin, rewire=rewires, **how)
    for net, (alive, own) in enumerate(zip(begin, curve["accuracy"], strict=True)):
        values = {"accuracy": own[-1], "steps": curve["steps"], "curve": own}
        values["counts"] = [int(each.sum()) for each in alive]
        if rewires:
            values["alive"] = nets.pack_architecture(trained.architecture(net))
        yield values


def starting_architecture(spec: Retraining, sources: Mapping) -> Architecture:
    """What a retraining begins with."""
    if spec.source is None:
        return nets.dense()
    known, density = sources[spec.source]["architectures"], f"{spec.density:g}"
    others = ", ".join(known) or "another search"
    require(density in known, f"the search never fell to density {density}: take one of {others}")
    random = np.random.default_rng(mix_seeds(spec.kind, spec.density, spec.seed))
    alive = unpack_architecture(known[density]["alive"])
    return make_control(spec.kind, alive, nets.inked_pixels(str(spec.dataset)), random)


def train_all(
    specs: Iterable, context: Context | None = None, measures: Mapping | None = None
) -> Iterator[tuple[Any, Training | Diverged]]:
    """Compute Search, OneShot and Retraining specs, first what retrainings begin with, also where
    nobody asked for it and there is no result yet; and yield (spec, its Training, or Diverged).
    Retrainings of one seed, data set and length are computed side by side."""
    why = "cannot be measured on nets that are trained side by side: ask without, or of a Run"
    require(not measures, f"{', '.join(measures or ())} {why}")
    context, groups, wanted = context or Context(), defaultdict(list), dict.fromkeys(specs)
    sources = [spec.source for spec in wanted if getattr(spec, "source", None)]
    there = ((s, results.find(s)) for s in dict.fromkeys(sources) if s not in wanted)
    known = {source: result.values for source, result in there if result}
    lost: dict[Any, Diverged] = {}
    for spec in dict.fromkeys([*(s for s in sources if s not in known), *wanted]):
        groups[spec.trunk_key].append(spec)
    place, threads = devices.pick(context.device), context.threads or torch.get_num_threads()
    where = devices.machine(place), "bf16" if devices.has_bf16(place) else "float32", threads
    how: dict[str, Any] = {"stop": context.stop, "device": context.device}
    for alike in groups.values():
        broken = {s: lost[s.source] for s in alike if getattr(s, "source", None) in lost}
        yield from broken.items()
        if not (group := [spec for spec in alike if spec not in broken]):
            continue
        first, began = group[0], time.perf_counter()
        try:
            with devices.torch_defaults(threads):
                if isinstance(first, Search):
                    computed = [grow_and_prune(first, **how)]
                elif isinstance(first, OneShot):
                    computed = [prune_once(first, **how)]
                else:
                    computed = [*retrain_group(group, known, **how)]
        except Diverged as error:
            lost |= dict.fromkeys(group, error)
            yield from ((spec, error) for spec in group)
            continue
        known |= zip(group, computed, strict=True)
        seconds = (time.perf_counter() - began) / len(group)
        copy = flat_images(first.dataset)["train"].copy
        for spec, values in zip(group, computed, strict=True):
            yield spec, Training(values, {}, seconds, copy, *where)
