"""Quantities of lab 05b's tables that only the report needs."""

from collections.abc import Sequence

import numpy as np

from cplab.estimates import Estimate, Term
from cplab.labs import lab05b
from cplab.quantities import quantity, result
from cplab.results.seeds import by_seed
from cplab.specs.experiments import Experiment


def bend(net: Experiment, totals: Sequence[int]) -> Estimate:
    """Points by which accuracy in the middle of pruning lies above the straight line between its
    ends; totals, of kernels: before pruning, two in the middle, at the end."""
    accuracies = [lab05b.accuracy_at_moment(net, total) for total in totals]
    whole, earlier, later, last = accuracies
    return 0.5 * (earlier + later - whole - last)


@quantity
def straighter_log(net: Experiment) -> float:
    """How much straighter over prunes the logarithm of the number of parameters is than the number
    itself: a difference of squared correlations."""
    parameters = np.unique(result(net).values["parameters"])[::-1]
    prunes = np.arange(len(parameters))
    log = np.corrcoef(prunes, np.log(parameters))[0, 1]
    plain = np.corrcoef(prunes, parameters)[0, 1]
    return float(log**2 - plain**2)


@quantity
def second_over_first(net: Experiment, total: int) -> float:
    """log₂ of the kernels of the second layer, over those of the first."""
    first, second = lab05b.kernel_split(net, total)
    return float(np.log2(second / first))


def split_accuracy(
    size: str, kernels: int, origin: str = "random", labelled: int | None = None
) -> Estimate:
    """The accuracy of splits of `kernels`, over seeds; see `lab05b.accuracy_of_split`.

    Splits of two origins share no training, unless both are the same in all seeds: then they are
    one network.

    >>> split_accuracy("course", 50)
    54.2 ± 3.0 (6 seeds)
    """
    percentages = by_seed(
        lambda seed: lab05b.accuracy_of_split(size, kernels, origin, seed, labelled)
    )
    splits = {seed: lab05b.splits_from(size, kernels, origin, seed) for seed in percentages}
    name = ("split", size, labelled, str(splits))  # equal splits are one training
    return Estimate({Term(name, name, percentages): 1.0})


def gain_of_split(total: int, origin: str, control: str, **labelled: int) -> Estimate:
    """Points of accuracy of a split of kernels between two layers, above another one's, both with
    new weights. origin, control: what the pruned network had learned, or `random`."""
    ours = split_accuracy("course", total, origin, **labelled)
    theirs = split_accuracy("course", total, control, **labelled)
    return ours - theirs
