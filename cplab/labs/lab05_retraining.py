"""Training of architectures, and of controls of them, from new weights.

The thesis's dense model (sections 2.1 to 2.6), see lab05_growth. torch is imported where it is
used.
"""

import math
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import InstanceOf

from cplab.errors import CplabError
from cplab.labs.lab05_architectures import (
    Architecture,
    dense,
    make_control,
    pack_architecture,
    unpack_architecture,
)
from cplab.labs.lab05_growth import (
    CURVE_POINTS,
    DENSITIES,
    RATES,
    Dataset,
    Densities,
    Density,
    Optimizer,
    Steps,
    Stop,
    raise_if_stopped,
    search,
)
from cplab.results.api import values_of
from cplab.results.experiments import experiment
from cplab.specs import Seed, mix_seeds
from cplab.specs.experiments import Experiment

if TYPE_CHECKING:
    from cplab.labs.lab05_nets import Net

__all__ = ["ORIGINS", "prune_once", "retrain"]

ORIGINS = ("biological", "random", "inked", "per_pixel", "degrees", "set", "magnitude", "dense")


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
        kept = values_of(source, **how)["architectures"]
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
