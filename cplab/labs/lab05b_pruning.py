"""Experiments of lab 05b whose results only ship: pruning of convolutional networks, of whole
kernels and of single weights.

Kernels are pruned as in section 3 of the lab's thesis (D. Stothers, Harvard 2019), whose figures
are named below. Weights are pruned by a saliency.

Each function that is decorated with `experiment` has no body. It names the arguments of results and
says what values these have; reproduction/studies/lab05b_pruning.py has the code that computed them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, get_args

import numpy as np
from pydantic import Field

from cplab.base.errors import CplabError
from cplab.results.declare import experiment
from cplab.runs import DeficitName, Epochs, ProfileName
from cplab.specs import Count, Number, Seed, mix_seeds
from cplab.specs.profiles import PROFILES

# Kernels ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PruningPlan:
    """An architecture of two convolutions and two dense layers, and how it is trained and pruned.

    >>> PLANS["ci"].removals
    [3, 3, 3]
    """

    kernels: tuple[int, int]  # of both convolutions
    dense_units: tuple[int, int]  # of both hidden dense layers
    learning_rates: Sequence[float]  # one an epoch
    removed_at_once: int  # kernels
    retraining_rates: Sequence[float]  # one an epoch, after each removal
    saved_totals: tuple[int, ...]  # kernels left in both layers when the network is measured
    batch: int = 128
    noise_rates: Sequence[float] | None = None  # learning rates on noise; None: the same

    @property
    def removals(self) -> list[int]:
        """How many kernels each pruning removes, so that it stops at all of `saved_totals`."""
        left = sum(self.kernels)
        counts: list[int] = []
        while left > min(self.saved_totals):
            next_total = max(total for total in self.saved_totals if total < left)
            count = min(self.removed_at_once, left - next_total)
            counts.append(count)
            left -= count
        return counts


# By size. "paper" is the thesis's. "course" has a quarter of its kernels and a tenth of its epochs;
# the learning rates of "ci" and "course" are ours. Who changes one raises the versions below
PLANS = {
    "ci": PruningPlan(
        kernels=(4, 8),
        dense_units=(16, 8),
        learning_rates=2 * [0.05],
        removed_at_once=3,
        retraining_rates=[0.01],
        saved_totals=(9, 6, 3),
        batch=64,
    ),
    "course": PruningPlan(
        kernels=(16, 64),
        dense_units=(96, 48),
        learning_rates=10 * [0.1] + 10 * [0.01] + 5 * [0.001],
        removed_at_once=3,
        retraining_rates=2 * [0.01],
        saved_totals=(75, 50, 25, 8, 5),
    ),
    "paper": PruningPlan(
        kernels=(64, 256),
        dense_units=(382, 194),
        learning_rates=100 * [0.1] + 100 * [0.01] + 50 * [0.001],
        removed_at_once=10,
        retraining_rates=15 * [0.001],
        saved_totals=(300, 200, 100, 30, 20),
        noise_rates=20 * [0.01] + 230 * [0.001],
    ),
}
SizeName = Literal["ci", "course", "paper"]  # the keys of PLANS
Material = Literal["images", "noise", "random_labels"]
MATERIALS: tuple[str, ...] = get_args(Material)
KernelCount = Annotated[Count, Field(ge=1, le=4096)]
ImageCount = Annotated[Count, Field(ge=1, le=4096)]


@experiment(
    version=1,
    # Those of one size and material begin with the same training
    shares=lambda size, material, **_: ("prune_kernels", size, material),
    table=True,
)
def prune_kernels(
    size: SizeName = "course",
    material: Material = "images",
    choice: Literal["activity", "random"] = "activity",
    retrain: bool = True,
    seed: Seed = 0,
) -> None:
    """Follow a critical period of the thesis: training, then pruning down to a few kernels.

    Arguments:
        size: of the plan, a key of PLANS.
        material: what is learned: images; noise, which is a fixed random picture with a fixed
            random label for each image (figure 12); or random_labels of the images (figure 15).
        choice: which kernels are removed first: by activity, as the thesis calls it, those of the
            smallest norm; or random ones (figure 7).
        retrain: whether there is training after each removal (figure 8).
        seed: decides weights, batches, random material and random choice.

    The values are lists, with an entry for each epoch of training and each removal of kernels:
        phase: "training" or "pruning".
        epochs: so far.
        first, second: kernels left in the first and in the second convolution.
        loss: the mean over the last epoch, None where nothing was trained.
        train_accuracy: on the material, from 0 to 1.
        accuracy: on the test images, or on the material where its labels are random.
        parameters: how many the network has.
    """


@experiment(version=1, table=True)
def train_split(
    size: SizeName,
    first: KernelCount,
    second: KernelCount,
    seed: Seed = 0,
    labelled: ImageCount | None = None,
) -> None:
    """Train a split of kernels over both convolutions from new weights (figures 11, 13 and 16).

    Arguments:
        size: of the plan, a key of PLANS, whose dense layers and learning rates it has.
        first, second: kernels of the first and of the second convolution.
        seed: decides weights and batches.
        labelled: the number of images that it is trained on, None for all.

    The values:
        accuracy: on the test images in the end, from 0 to 1.
        curve: the same after each epoch, a list.
    """


def random_split(total: int, seed: int, large: tuple[int, int]) -> tuple[int, int]:
    """Split kernels between both convolutions at random, uniformly over all splits to which a
    larger network could be pruned.

    Arguments:
        total: the kernels of both convolutions together.
        seed: decides the split.
        large: the kernels of the larger network's convolutions.

    Returns:
        the kernels of the first and of the second convolution.

    >>> sum(random_split(12, 0, (4, 10)))
    12
    """
    large_first, large_second = large
    fewest_first = max(1, total - large_second)
    most_first = min(large_first, total - 1)
    split_seed = mix_seeds("split", seed, total) % 2**32
    # torch drew the splits of the shipped results; numpy's older generator draws the same numbers
    drawn = int(np.random.RandomState(split_seed).randint(2**32, dtype=np.uint32))
    first = fewest_first + drawn % (most_first + 1 - fewest_first)
    return first, total - first


# Single weights -----------------------------------------------------------------------------------


Metric = Literal["none", "magnitude", "fisher", "random"]
METRICS: tuple[str, ...] = get_args(Metric)
Density = Annotated[Number, Field(gt=0, le=1)]


def check_pruning(metric: str, density: float, profile: str, **_: object) -> None:
    """Check that arguments of `prune_weights` fit together.

    Raises:
        CplabError: if not, and for a profile that trains several seeds as one network, of which
            none can be pruned alone.
    """
    if metric == "none" and density != 1:
        metrics = ", ".join(METRICS[1:])
        raise CplabError(
            f"density {density!r} is not allowed with metric none: give 1, or a metric: {metrics}"
        )
    if PROFILES[profile].stacked:
        raise CplabError(f"profile {profile} trains seeds as one network: take course")


@experiment(
    version=1,
    # Those of one profile begin with the same training
    shares=lambda profile, **_: ("prune_weights", profile),
    check=check_pruning,
    table=True,
)
def prune_weights(
    profile: ProfileName = "course",
    metric: Metric = "none",
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
        profile: of the network and its images.
        metric: how weights w are ranked: by magnitude |w|, by fisher w² F (F is the diagonal of the
            Fisher information) or at random; none for no pruning.
        density: the fraction of weights kept; 1 with the metric none.
        deficit: as in a Run; none for the control, which has as many clear epochs instead.
        length: epochs of the deficit; if it is 0, all ends after retraining.
        recovery: clear epochs after the deficit.
        training: clear epochs before pruning.
        retraining: clear epochs after pruning.
        seed: decides initial weights, batches and which weights are removed at random.
        recalibrated: whether BatchNorm's statistics are measured again after pruning.

    The values:
        curve: test accuracy after each epoch, from 0 to 1, a list.
        loss: mean training loss of each epoch, a list.
        accuracy: test accuracy when trained, pruned, retrained and in the end, {moment: number}.
        trace: Fisher trace of the weights that are kept, {moment: list by layer}.
        layers: the names of the layers whose weights are ranked, a list.
        weights, kept: how many each of these layers has, and keeps, two lists.
        predicted, change: E KL(before ‖ after pruning) of the outputs, in nats, to second order
            and exactly.
    """
