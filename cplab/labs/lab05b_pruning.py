"""Pruning of convolutional networks: of whole kernels, as in the thesis (section 3), and of single
weights by a saliency. torch is imported where it is used, in lab05b_nets.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from cplab.errors import CplabError
from cplab.labs.lab05_growth import by_column
from cplab.results.experiments import Stop, experiment
from cplab.runs import DeficitName, Epochs, ProfileName, Run, Step
from cplab.specs import Count, Number, Seed, mix_seeds
from cplab.specs.profiles import PROFILES

METRICS = ("none", "magnitude", "fisher", "random")
MATERIALS = ("images", "noise", "random_labels")

Units = Annotated[Count, Field(ge=1, le=4096)]  # kernels of a layer, or images
Density = Annotated[Number, Field(gt=0, le=1)]


# Kernels ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class KernelSize:
    """The size of the thesis's convolutional model, and the length of each part of its training.

    SIZES has one for each of three profiles; the thesis's numbers are those of "paper". If
    you change one, raise the versions of the experiments.

    >>> SIZES["ci"].removals
    [3, 3, 3]
    """

    kernels: tuple[int, int]  # of the two convolutions
    units: tuple[int, int]  # of the two hidden dense layers
    rates: Sequence[float]  # of training, one an epoch
    at_once: int  # kernels that are taken out at a time
    retraining: Sequence[float]  # rates after each time
    saved: tuple[int, ...]  # numbers of kernels at which the architecture is kept
    batch: int = 128
    noise_rates: Sequence[float] = ()  # in place of rates where noise is learned, if not empty

    @property
    def removals(self) -> list[int]:
        """How many kernels each pruning removes, so that it stops at all of `saved`."""
        left = sum(self.kernels)
        counts: list[int] = []
        while left > min(self.saved):
            next_saved = max(total for total in self.saved if total < left)
            count = min(self.at_once, left - next_saved)
            counts.append(count)
            left -= count
        return counts


# course: a quarter of the thesis's kernels and a tenth of its epochs; the rates of both are ours
SIZES = {
    "ci": KernelSize(
        kernels=(4, 8),
        units=(16, 8),
        rates=2 * [0.05],
        at_once=3,
        retraining=[0.01],
        saved=(9, 6, 3),
        batch=64,
    ),
    "course": KernelSize(
        kernels=(16, 64),
        units=(96, 48),
        rates=10 * [0.1] + 10 * [0.01] + 5 * [0.001],
        at_once=3,
        retraining=2 * [0.01],
        saved=(75, 50, 25, 8, 5),
    ),
    "paper": KernelSize(
        kernels=(64, 256),
        units=(382, 194),
        rates=100 * [0.1] + 100 * [0.01] + 50 * [0.001],
        at_once=10,
        retraining=15 * [0.001],
        saved=(300, 200, 100, 30, 20),
        noise_rates=20 * [0.01] + 230 * [0.001],
    ),
}
SizeName = Literal["ci", "course", "paper"]


@experiment(version=1, shares=lambda size, material, **_: ("prune_kernels", size, material))
def prune_kernels(
    size: SizeName = "course",
    material: Literal[MATERIALS] = "images",  # type: ignore[valid-type]
    choice: Literal["activity", "random"] = "activity",
    retrain: bool = True,
    seed: Seed = 0,
    *,
    device: str = "auto",
    stop: Stop = None,
) -> dict:
    """Follow a critical period of the thesis: training, then pruning down to a few kernels.

    Arguments:
        size: a name of SIZES.
        material: what it is trained on: images, noise (a fixed random picture with a fixed random
            label for each image, figure 12) or random_labels (figure 15).
        choice: which kernels go first: those of smallest norm, or random ones (figure 7).
        retrain: whether there is training after each removal (figure 8).
        seed: decides weights, batches, random material and random choice.
    Returns: lists, an entry for each epoch of training and each removal of kernels: phase (training
        or pruning); epochs so far; first and second, kernels left; loss, None where nothing was
        trained; train_accuracy, on the material; accuracy, on the test images, or on the material
        where its labels are random; parameters.

    >>> prune_kernels.compute("ci", retrain=False)["first"][-1] > 0
    True
    """
    import torch

    from cplab.labs import lab05b_nets as nets

    sizes = SIZES[size]
    random = torch.Generator().manual_seed(mix_seeds("prune", seed))
    x, y, images = nets.make_material(size, material, seed, device)
    net = nets.newborn_kernels(sizes.kernels, sizes.units, x, seed)
    test = images if material == "images" else None
    chance = random if choice == "random" else None
    rates = sizes.rates
    if material == "noise" and sizes.noise_rates:
        rates = sizes.noise_rates
    retraining_rates = sizes.retraining if retrain else ()

    entries: list[dict] = []
    epochs = 0
    for rate in rates:
        loss = nets.learn_epoch(net, x, y, rate, sizes.batch, seed, epochs, stop)
        epochs += 1
        entry = {"phase": "training", "epochs": epochs, "loss": loss}
        entries.append(entry | nets.measure_kernels(net, x, y, test))
    for count in sizes.removals:
        first, second = nets.kernels_to_keep(net, count, chance)
        nets.keep_kernels(net, first, second)
        last_loss = None
        for rate in retraining_rates:
            last_loss = nets.learn_epoch(net, x, y, rate, sizes.batch, seed, epochs, stop)
            epochs += 1
        entry = {"phase": "pruning", "epochs": epochs, "loss": last_loss}
        entries.append(entry | nets.measure_kernels(net, x, y, test))
    return {**by_column(entries), "copy": images.copy}


@experiment(version=1)
def train_split(
    size: SizeName,
    first: Units,
    second: Units,
    seed: Seed = 0,
    labelled: Units | None = None,
    *,
    device: str = "auto",
    stop: Stop = None,
) -> dict:
    """Train an architecture of `first` and `second` kernels from new weights on images (figures 11,
    13 and 16); labelled, on how many of them, None for all. Returns: accuracy, of the test images
    in the end, and the curve.

    >>> len(train_split.compute("ci", 2, 3)["curve"])
    2
    """
    from cplab.labs import lab05b_nets as nets

    sizes = SIZES[size]
    x, y, images = nets.make_material(size, "images", seed, device)
    x = x[:labelled]
    y = y[:labelled]
    net = nets.newborn_kernels((first, second), sizes.units, x, seed)
    curve: list[float] = []
    for epoch, rate in enumerate(sizes.rates):
        nets.learn_epoch(net, x, y, rate, sizes.batch, seed, epoch, stop)
        curve.append(nets.measure_kernels(net, x, y, images)["accuracy"])
    return {"accuracy": curve[-1], "curve": curve, "copy": images.copy}


def random_split(total: int, seed: int, large: tuple[int, int]) -> tuple[int, int]:
    """Split `total` kernels between the layers at random, decided by `seed`: uniformly over all
    splits to which a network with `large` kernels in its layers could be pruned.

    >>> sum(random_split(12, 0, (4, 10)))
    12
    """
    large_first, large_second = large
    low = max(1, total - large_second)  # the fewest kernels that the first layer can have
    high = min(large_first, total - 1)  # and the most
    start = mix_seeds("split", seed, total) % 2**32
    drawn = np.random.RandomState(start).randint(2**32, dtype=np.uint32)  # as torch draws it
    first = low + int(drawn) % (high + 1 - low)
    return first, total - first


# Single weights -----------------------------------------------------------------------------------


def check_pruning(metric: str, density: float, profile: str, **_: object) -> None:
    """Check that arguments of `prune_weights` fit together. Raises: CplabError."""
    if metric == "none" and density != 1:
        metrics = ", ".join(METRICS[1:])
        raise CplabError(
            f"density {density!r} is not allowed with metric none: give 1, or a metric: {metrics}"
        )
    if PROFILES[profile].stacked:
        raise CplabError(f"profile {profile} trains seeds as one network: take course")


@experiment(version=1, shares=lambda profile, **_: ("prune_weights", profile), check=check_pruning)
def prune_weights(
    profile: ProfileName = "course",
    metric: Literal[METRICS] = "none",  # type: ignore[valid-type]
    density: Density = 1.0,
    deficit: DeficitName = "none",
    length: Epochs = 0,
    recovery: Epochs = 10,
    training: Annotated[Epochs, Field(ge=1)] = 20,
    retraining: Epochs = 5,
    seed: Seed = 0,
    recalibrated: bool = False,
    *,
    device: str = "auto",
    stop: Stop = None,
) -> dict:
    """Train a network, prune its weights, train on, and give it a deficit from which it recovers.

    Arguments:
        metric: how weights are ranked; none for no pruning.
        density: the fraction of weights kept; 1 with the metric none.
        deficit: as in a Run; none for the control, which has as many clear epochs instead.
        length: epochs of the deficit; without them it ends after retraining.
        recovery: clear epochs after the deficit.
        training: clear epochs before pruning.
        retraining: clear epochs after pruning.
        seed: decides initial weights, batches and what is taken out at random.
        recalibrated: whether BatchNorm's statistics are measured again after pruning.
    Returns: curve and loss, test accuracy and mean training loss after each epoch; accuracy and
        trace by moment (trained, pruned, retrained, end), trace being the Fisher trace of kept
        weights by layer; layers, names of the ranked ones; weights, kept: how many each has and
        keeps; predicted, change: E KL(before ‖ after pruning) of the outputs, nats, to second order
        and exactly.

    >>> len(prune_weights.compute("ci", "fisher", 0.5, training=2, retraining=1)["curve"])
    3
    """
    check_pruning(metric, density, profile)
    from cplab import devices
    from cplab.labs import lab05b_nets as nets

    # Each part of the training takes its steps from the last epochs of a run of its own: from that
    # run's recovery, in which the rate falls
    run = partial(Run, profile=profile, schedule="recovery", seed=seed)
    fall = min(PROFILES[profile].recovery, training)  # epochs in which the rate falls
    start = training + retraining  # of the deficit
    first = run(onset=training - fall, recovery=fall)
    again = run(onset=training, recovery=retraining)
    pruned = nets.PrunedTraining(first, devices.pick(device), stop)
    images = pruned.images
    pruned.learn(steps_of(first), "trained")
    batches = pruned.task.batches(training, steps_of(first)[0], images)
    seen = batches if recalibrated else None
    pruning = nets.prune(pruned.net, pruned.masks, images, metric, density, seed, seen)
    pruned.learn((), "pruned")
    pruned.learn(steps_of(again)[training:], "retrained")
    if length:
        if deficit == "none":  # the control, which has as many clear epochs
            last = run(onset=start + length, recovery=recovery)
        else:
            last = run(deficit=deficit, onset=start, length=length, recovery=recovery)
        pruned.learn(steps_of(last)[start:], "end")
    return {
        "curve": pruned.curve,
        "loss": pruned.losses,
        "accuracy": pruned.accuracies,
        "trace": pruned.traces,
        **pruning,
        "copy": images.copy,
        "precision": pruned.training.provenance["precision"],
    }


def steps_of(run: Run) -> list[Step]:
    """The steps of a run, which are all of its timeline if it has no treatments."""
    return [part for part in run.timeline if isinstance(part, Step)]
