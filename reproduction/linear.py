"""Numbers for the claims on deep linear networks. Nothing is shipped, since all of it is trained in
seconds whenever the report is written.

Sources: M. Kleinman, A. Achille, S. Soatto, Critical Learning Periods for Multisensory Integration
in Deep Networks, CVPR 2023; Critical Learning Periods Emerge Even in Deep Linear Networks, ICLR
2024.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np

from cplab.labs import lab08, lab08_matrices
from cplab.quantities import quantity
from cplab.statistics import SEEDS, Estimate

BIRTH, GROWN = 0.0, 3.0  # onsets of a closure of one half-learning time, in these
OLD, WINDOW = 400, 300  # step at which a matrix is learned; steps
LONG = 20  # half-learning times of recovery


@dataclass(frozen=True)
class Net:
    """A deep linear network of some depth, and a seed."""

    depth: int
    seed: int = 0


@cache
def share(net: Net, onset: float, kind="blank", rho=1.0, recovery=5) -> float:
    """An eye's share in the end, in percent, after it was closed for one half-learning time: random
    weights, 400 images, real gradient descent. Arguments: fields of a lab08.Rearing."""
    rearing = lab08.Rearing(depth=net.depth, onset=onset, kind=kind, rho=rho, recovery=recovery)
    [course] = lab08_matrices.descend(rearing, "random", 400, net.seed, rate=0.05)
    return 100 * course.share[-1]


def share_of(depth: int, onset: float, **how) -> Estimate:
    """`share` over seeds."""
    return quantity(share)(Net(depth), onset=onset, **how)


def grown_gain(size, depth, kind="blank") -> Estimate:
    """Points by which an eye's share is higher if it was closed late than if it was at birth."""
    return share_of(depth, GROWN, kind=kind) - share_of(depth, BIRTH, kind=kind)


def depth_loss(size, depth) -> Estimate:
    """Points by which one more layer changes the share of an eye that was closed at birth."""
    return share_of(depth, BIRTH) - share_of(depth - 1, BIRTH)


def competition_gain(size, depth) -> Estimate:
    """Points by which an eye's share is higher if both were closed at birth, not it alone."""
    return share_of(depth, BIRTH, kind="both blank") - share_of(depth, BIRTH)


def disagreement_gain(size, depth) -> Estimate:
    """Points by which the share of an eye that was closed at birth is higher after a long recovery
    if what the two see correlates by 0.8 and not by 1."""
    different, same = (share_of(depth, BIRTH, rho=rho, recovery=LONG) for rho in (0.8, 1.0))
    return different - same


def grown_shift(size, depth) -> Estimate:
    """Points by which an eye's share differs from one half after a late closure."""
    return share_of(depth, GROWN) - 50


@cache
def completed(depth: int, deficit: str, length: int) -> np.ndarray:
    """Harm, points of error, of a window at birth and of one when all is learned, (2, seeds)."""
    matrices = lab08_matrices.complete(
        depth, deficit, (0, OLD), length, SEEDS, recovery=1500, size=30
    )
    return 100 * (matrices.error - matrices.without)


@quantity
def harm_of(net: Net, deficit: str, old: bool, length: int) -> float:
    return float(completed(net.depth, deficit, length)[int(old), net.seed])


def harm(size, depth, deficit="few", old=False, length=WINDOW) -> Estimate:
    """Points of error that a window costs, at birth or when the matrix is learned (old)."""
    return harm_of(Net(depth), deficit, old, length)


def longer_harm(size, depth) -> Estimate:
    """Points by which the harm of another matrix grows if it lasts three times as long."""
    return harm(size, depth, "other") - harm(size, depth, "other", length=WINDOW // 3)
