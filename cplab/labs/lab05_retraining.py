"""Training of architectures and their controls from new weights (see lab05_growth)."""

import math
from itertools import islice
from typing import Literal

import numpy as np
from pydantic import InstanceOf

from cplab.base.errors import CplabError
from cplab.labs.lab05_growth import (
    Architecture,
    Dataset,
    Density,
    Optimizer,
    Steps,
    dense,
    draw_synapses,
    search,
    unpack_architecture,
)
from cplab.results import sweep
from cplab.results.declare import Stop, experiment
from cplab.specs import mix_seeds
from cplab.specs.experiments import Experiment

ORIGINS = ("biological", "random", "inked", "per_pixel", "degrees", "dense")


def trade_targets(alive: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Shuffle the synapses of a layer (units above, units below), and keep the number on each unit
    below and above. In a curveball trade, two units above pool the synapses that only one of them
    has, and share them out anew."""
    alive = alive.copy()
    for _ in range(50 * len(alive)):  # 5 trades a unit suffice for mixing
        a, b = random.choice(len(alive), 2, replace=False)
        places = np.flatnonzero(alive[a] != alive[b])  # where one of the two has a synapse
        traded = random.permutation(alive[a, places])
        alive[a, places] = traded
        alive[b, places] = ~traded
    return alive


def move_targets(alive: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Move each synapse of a layer (units above, units below) to a random unit above, which keeps
    the number on each unit below."""
    order = random.random(alive.shape).argsort(0)
    rank = order.argsort(0)  # 0, 1, … of the units above, shuffled for each unit below
    return rank < alive.sum(0)


def make_control(
    kind: str, alive: Architecture, ink: np.ndarray, random: np.random.Generator
) -> Architecture:
    """The architecture with which a kind of retraining begins, from the one that the search left.

    Arguments:
        kind: one of ORIGINS.
        alive: booleans (units above, units below) for each layer.
        ink: booleans (784,), the pixels that some image inks.
    """
    if kind == "biological":
        return alive
    if kind == "per_pixel":
        return [move_targets(layer, random) for layer in alive]
    if kind == "degrees":
        return [trade_targets(layer, random) for layer in alive]
    places = dense()
    if kind == "inked":
        places[0] &= ink
    control = []
    for allowed, layer in zip(places, alive, strict=True):
        synapses = int(layer.sum())
        control.append(draw_synapses(allowed, synapses, random))
    return control


def left_by_search(search: Experiment, density: float, device: str) -> Architecture:
    """The architecture that a search left at a density, one of its `keep`; the search is computed
    if it has no result.

    Raises:
        what `sweep` raises.
    """
    [searched] = sweep([search], progress=False, device=device)
    return unpack_architecture(searched.values["architectures"][f"{density:g}"]["alive"])


SEARCH = search.spec()


def check_kept(kind: str, density: float, search: Experiment, **_: object) -> None:
    """Check that a search keeps its architecture at a density.

    Raises:
        CplabError.
    """
    keep = search.arguments.get("keep")
    if kind == "dense" or keep is None or density in keep:
        return
    listed = ", ".join(f"{kept:g}" for kept in keep)
    raise CplabError(f"density {density:g} is not kept by the search: give one of {listed}")


@experiment(
    version=1,
    shares=lambda kind, search, **_: search if kind != "dense" else None,
    check=check_kept,
)
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
    """Train an architecture that a search left, or one of its controls, from new weights.

    Arguments:
        kind: biological, what the search left; its controls: random (as many synapses in each
            layer), inked (on pixels that some training image inks), per_pixel (as many on each
            pixel, on other units), degrees (as many on each pixel and on each unit); or dense.
        density: the fraction of synapses alive, one of the search's `keep`.
        search: where the architecture is from; its seed decides weights, batches and draws.
        dataset: what it is trained on; the search's if not given.

    Returns:
        accuracy, the final one on test images; steps and curve; counts, synapses by layer.

    >>> retrain.spec("random", 0.05, search.spec(seed=3)).seed
    3
    """
    import torch

    from cplab.base import devices
    from cplab.labs import lab05_nets as nets

    dataset = dataset or search.dataset
    torch_device = devices.pick(device)
    alive = dense()
    if kind != "dense":
        left = left_by_search(search, density, device)
        random = np.random.default_rng(mix_seeds(kind, density, search.seed))
        alive = make_control(kind, left, nets.inked_pixels(dataset), random)

    images = nets.flat_images(dataset)
    ink = nets.inked_pixels(dataset, ("train", "test"))  # others can change no output
    pixels = torch.as_tensor(np.flatnonzero(ink & alive[0].any(0)))
    train = nets.to_training_dtype(images["train"], pixels, torch_device)
    test = nets.to_training_dtype(images["test"], pixels, torch_device)

    seed = mix_seeds("retrain", search.seed)
    net = nets.build_net(alive, seed, optimizer, pixels, torch_device)
    batches = islice(nets.batch_indices(len(train.y), seed, torch_device, stop), steps)
    interval = math.ceil(steps / 20)  # steps between two tests
    curve = {}  # test accuracy by step
    for step, index in enumerate(batches, start=1):
        x = train.x.index_select(0, index)
        nets.take_step(net, x, train.y[index])
        if step % interval == 0 or step == steps:
            curve[step] = nets.evaluate_net(net, test)
    return {
        "accuracy": curve[steps],
        "steps": [*curve],
        "curve": [*curve.values()],
        "counts": [int(layer.sum()) for layer in alive],
        "copy": images["train"].copy,
    }
