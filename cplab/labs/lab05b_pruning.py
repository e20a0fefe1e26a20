"""The tables of lab 05b: pruning of convolutional networks, of whole kernels, as in the thesis
(section 3), and of single weights by a saliency.

What made them is reproduction/studies/lab05b_pruning.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from cplab.errors import CplabError
from cplab.results.experiments import experiment
from cplab.runs import DeficitName, Epochs, ProfileName
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


@experiment(
    version=1,
    shares=lambda size, material, **_: ("prune_kernels", size, material),
    table=True,
)
def prune_kernels(
    size: SizeName = "course",
    material: Literal[MATERIALS] = "images",  # type: ignore[valid-type]
    choice: Literal["activity", "random"] = "activity",
    retrain: bool = True,
    seed: Seed = 0,
) -> None:
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
    """


@experiment(version=1, table=True)
def train_split(
    size: SizeName,
    first: Units,
    second: Units,
    seed: Seed = 0,
    labelled: Units | None = None,
) -> None:
    """Train an architecture of `first` and `second` kernels from new weights on images (figures 11,
    13 and 16); labelled, on how many of them, None for all. Returns: accuracy, of the test images
    in the end, and the curve.
    """


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


@experiment(
    version=1,
    shares=lambda profile, **_: ("prune_weights", profile),
    check=check_pruning,
    table=True,
)
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
) -> None:
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
    """
