"""Quantities of lab 05b's tables that only the report needs."""

from collections.abc import Sequence

import numpy as np

from cplab.estimates import Estimate
from cplab.labs import lab05b
from cplab.quantities import quantity, result
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


def gain_of_split(total: int, origin: str, control: str, **labelled: int) -> Estimate:
    """Points of accuracy of a split of kernels between two layers, above another one's, both with
    new weights. origin, control: what the pruned network had learned, or `random`."""
    ours = lab05b.split_accuracy("course", total, origin, **labelled)
    theirs = lab05b.split_accuracy("course", total, control, **labelled)
    return ours - theirs
