"""What is claimed of deep linear networks, and our numbers for it: nothing is shipped, since all of
it is trained in seconds whenever the report is written.

Sources: M. Kleinman, A. Achille, S. Soatto, Critical Learning Periods for Multisensory Integration
in Deep Networks, CVPR 2023; Critical Learning Periods Emerge Even in Deep Linear Networks, ICLR
2024.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np

from cplab.quantities import SEEDS, reading
from cplab.quantities.statistics import Contrast
from cplab.studies import linear

BIRTH, GROWN = 0.0, 3.0  # onsets of a closure of one half-learning time, in these
OLD, WINDOW = 400, 300  # step at which a matrix is learned; steps
LONG = 20  # half-learning times of recovery


@dataclass(frozen=True)
class Net:
    """A deep linear network."""

    depth: int
    seed: int = 0


@cache
def share(net: Net, onset: float, kind="blank", rho=1.0, recovery=5) -> float:
    """Percent that an eye has in the end, after it was closed for one half-learning time: random
    weights, 400 images, real gradient descent. Arguments: as of linear.Rearing."""
    life = linear.Rearing(depth=net.depth, onset=onset, kind=kind, rho=rho, recovery=recovery)
    [course] = linear.descend(life, "random", 400, net.seed, rate=0.05)
    return 100 * course.share[-1]


def share_of(depth: int, onset: float, **how) -> Contrast:
    return reading(Net(depth), share, onset=onset, **how)


def grown_gain(size, depth, kind="blank") -> Contrast:
    """Points that an eye keeps more of if it is closed when grown than at birth."""
    return share_of(depth, GROWN, kind=kind) - share_of(depth, BIRTH, kind=kind)


def depth_loss(size, depth) -> Contrast:
    """Points that an eye that was closed at birth has with one layer more; two networks."""
    return share_of(depth, BIRTH) - share_of(depth - 1, BIRTH)


def competition_gain(size, depth) -> Contrast:
    """Points that an eye has more of if both were closed at birth and not it alone."""
    return share_of(depth, BIRTH, kind="both blank") - share_of(depth, BIRTH)


def disagreement_gain(size, depth) -> Contrast:
    """Points that an eye that was closed at birth has more of, after a long recovery, if the two
    see the same to 80 % and not wholly."""
    apart, same = (share_of(depth, BIRTH, rho=rho, recovery=LONG) for rho in (0.8, 1.0))
    return apart - same


def grown_shift(size, depth) -> Contrast:
    """Points from an equal share after a closure when grown."""
    return share_of(depth, GROWN) - 50


@cache
def completed(depth: int, deficit: str, length: int) -> np.ndarray:
    """Harm of a window at birth and of one when the matrix is learned, points of error; a column a
    seed."""
    done = linear.complete(depth, deficit, (0, OLD), length, SEEDS, recovery=1500, size=30)
    return 100 * (done.error - done.without)


def harm_of(net: Net, deficit: str, old: bool, length: int) -> float:
    return float(completed(net.depth, deficit, length)[int(old), net.seed])


def harm(size, depth, deficit="few", old=False, length=WINDOW) -> Contrast:
    return reading(Net(depth), harm_of, deficit=deficit, old=old, length=length)


def longer_harm(size, depth) -> Contrast:
    """Points that another matrix harms more if it lasts three times as long."""
    return harm(size, depth, "other") - harm(size, depth, "other", length=WINDOW // 3)
