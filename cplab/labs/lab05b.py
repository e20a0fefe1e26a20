"""Lab 05b: what pruning of kernels and of weights leaves, read from results, one number a seed."""

from collections.abc import Iterable
from contextlib import suppress

import numpy as np
from matplotlib.image import BboxImage
from matplotlib.transforms import BboxTransformTo

from cplab import show
from cplab.base import palette
from cplab.estimates import Estimate
from cplab.labs.lab05_growth import search
from cplab.labs.lab05_retraining import retrain
from cplab.labs.lab05b_pruning import (
    PLANS,
    PruningPlan,
    prune_kernels,
    random_split,
    train_split,
)
from cplab.labs.lab05b_pruning import prune_weights as prune_weights
from cplab.pictures.previews import drawn_pictures
from cplab.quantities import Missing, accuracy, quantity, result
from cplab.show import Figure
from cplab.show.base import styled
from cplab.specs.experiments import Experiment


@quantity
def accuracy_at_moment(spec: Experiment, moment: int | str) -> float:
    """Test accuracy in percent at a moment of pruning: of prune_kernels, the number of kernels
    left; of prune_weights, trained, pruned, retrained or end.

    >>> print(accuracy_at_moment(prune_kernels.spec(), 25))
    50.4 ± 1.3
    """
    values = result(spec).values
    accuracies = values["accuracy"]
    if spec.address == prune_kernels.address:  # a list, by row
        return 100 * accuracies[kernel_rows(values)[moment]]
    return 100 * accuracies[moment]


# Kernels ------------------------------------------------------------------------------------------


def kernel_rows(values: dict) -> dict[int | str, int]:
    """The last row of a pruning's values with each number of kernels, {kernels: row}.

    >>> kernel_rows({"first": [4, 3, 3], "second": [4, 4, 4]})
    {8: 0, 7: 2}
    """
    kernels = np.add(values["first"], values["second"]).tolist()
    last_rows = {}
    for row, count in enumerate(kernels):
        last_rows[count] = row
    return last_rows


def kernel_split(pruning: Experiment, kernels: int) -> tuple[int, int]:
    """Kernels that the first and the second layer keep when `kernels` are left.

    Raises:
        Missing.

    >>> sum(kernel_split(prune_kernels.spec(), 25))
    25
    """
    values = result(pruning).values
    row = kernel_rows(values)[kernels]
    return values["first"][row], values["second"][row]


@quantity
def in_first(pruning: Experiment, kernels: int) -> float:
    """How many kernels the first layer has when so many are left in both.

    >>> print(in_first(prune_kernels.spec(), 25))
    13.5 ± 0.9
    """
    first, _ = kernel_split(pruning, kernels)
    return first


def splits_from(size: str, kernels: int, origin: str, seed: int) -> list[tuple[int, int]]:
    """The splits of `kernels` over two layers that come from an origin, see `accuracy_of_split`.

    Raises:
        Missing.
    """
    large = PLANS[size].kernels
    if origin == "ratio":
        first = max(1, round(kernels * large[0] / sum(large)))
        return [(first, kernels - first)]
    if origin == "random":
        return [random_split(kernels, 100 * draw + seed, large) for draw in range(3)]
    pruning = prune_kernels.spec(size, material=origin, seed=seed)
    return [kernel_split(pruning, kernels)]


def accuracy_of_split(
    size: str, kernels: int, origin: str, seed: int, labelled: int | None = None
) -> float:
    """Accuracy, in percent, of a split of `kernels`, trained from new weights on all images or on
    the first `labelled` ones, of one seed.

    Arguments:
        size: of the large network.
        kernels: how many the split has.
        origin: the material on which pruning found the split; or random, the mean of three random
            splits (thesis, figure 11); or ratio, the split in the large network's own.
        seed: the seed.
        labelled: how many images are trained on, by default all.

    Raises:
        Missing.
    """
    percentages = []
    for first, second in splits_from(size, kernels, origin, seed):
        with suppress(Missing):
            training = result(train_split.spec(size, first, second, seed, labelled))
            percentages.append(100 * training.values["accuracy"])
    if not percentages:
        raise Missing(f"no {origin} split of {kernels} kernels was trained")
    return float(np.mean(percentages))


@quantity
def above(pruning: Experiment, kernels: int, control: str) -> float:
    """How many points the split that pruning found is above a control, random or ratio, seed by
    seed.

    >>> print(above(prune_kernels.spec(), 25, "ratio"))
    2.6 ± 0.7
    """
    pruned = accuracy_of_split(pruning.size, kernels, pruning.material, pruning.seed)
    usual = accuracy_of_split(pruning.size, kernels, control, pruning.seed)
    return pruned - usual


def tally(estimates: Iterable[Estimate]) -> int | None:
    """Count signs: 2 where all estimates are above zero, 1 where some are, 0 where none differs
    from zero, -1 otherwise; None without an interval.

    >>> from cplab.estimates import estimate
    >>> tally([estimate([1.0, 1.1, 1.2]), estimate([-1.0, 0.0, 1.0])])
    1
    """
    signs = {points.sign for points in estimates if points.sign is not None}
    if not signs:
        return None
    if signs == {1}:
        return 2
    if 1 in signs:
        return 1
    return 0 if signs == {0} else -1


# Weights ------------------------------------------------------------------------------------------


def plasticity_loss(spec: Experiment) -> Estimate:
    """Points of accuracy that a deficit after pruning costs against as many clear epochs.

    >>> plasticity_loss(prune_weights.spec(deficit="blur", length=8))
    2.6 ± 0.3 (10 seeds)
    """
    clear = spec.replace(deficit="none")
    return accuracy_at_moment(clear, "end") - accuracy_at_moment(spec, "end")


def first_of_newborns(plan: PruningPlan, gone: int) -> float:
    """How many kernels the first layer keeps of `gone` fewer, the mean over ten newborn networks.

    >>> first_of_newborns(PLANS["ci"], 0)
    4.0
    """
    import torch

    from cplab.labs.lab05b_nets import kernels_to_keep, newborn_kernels

    x = torch.zeros(1, 3, 32, 32, dtype=torch.float32)
    counts = []
    for seed in range(10):
        net = newborn_kernels(plan.kernels, plan.dense_units, x, seed)
        first, _ = kernels_to_keep(net, gone)
        counts.append(len(first))
    return float(np.mean(counts))


def efficiency(kind: str = "biological", density: float = 0.05) -> float:
    """Points above chance for each per cent of the synapses alive, of a kind of architecture that
    was trained from new weights.

    >>> round(efficiency("dense", 1), 2)
    0.84
    """
    trained = accuracy(retrain.spec(kind, density, search.spec()))
    above_chance = trained.mean - 10  # of ten digits one is right by chance
    return above_chance / (100 * density)


# The picture under the title ---------------------------------------------------------------------


@styled
def first_picture() -> Figure:
    """Draw what the three networks of section 1 learned, each picture with the name it was told."""
    names = ["face", "house", "tree", "boat", "car", "cat", "horse", "flower"]
    pictures = drawn_pictures("none")
    random = np.random.default_rng(0)
    noise = random.integers(0, 256, pictures.shape, dtype=np.uint8)
    rows = {"images": pictures, "noise": noise, "random labels": pictures}
    fig = show.strips(rows)
    told = []
    for names_of_row in (names, random.permutation(names), [*names[3:], *names[:3]]):
        told += [*names_of_row]
    pictures_drawn = [part for part in fig.artists if isinstance(part, BboxImage)]
    for picture, name in zip(pictures_drawn, told, strict=True):
        place = BboxTransformTo(picture.bbox)
        box = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
        fig.text(0.5, 0.06, name, transform=place, ha="center", color=palette.INK, bbox=box)
    return fig
