"""What is claimed of deep linear networks, and our numbers for it: nothing is shipped, since all of
it is trained in seconds whenever the report is written.

Sources: M. Kleinman, A. Achille, S. Soatto, Critical Learning Periods for Multisensory Integration
in Deep Networks, CVPR 2023; Critical Learning Periods Emerge Even in Deep Linear Networks, ICLR
2024.
"""

from dataclasses import dataclass
from functools import cache, partial

import numpy as np

from cplab.quantities import SEEDS, reading
from cplab.statistics import Contrast
from cplab.studies import linear
from reproduction.questions import LINEAR
from reproduction.statement import above, below, between, statement

BIRTH, GROWN = 0.0, 3.0  # onsets of a closure of one half-learning time, in these
OLD = 400  # step at which a matrix is learned
WINDOW = 300  # steps
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


def harm_of(net: Net, deficit: str, old: bool = False, length: int = WINDOW) -> float:
    return float(completed(net.depth, deficit, length)[int(old), net.seed])


def harm(size, depth, deficit="few", old=False) -> Contrast:
    return reading(Net(depth), harm_of, deficit=deficit, old=old)


def longer_harm(size, depth) -> Contrast:
    """Points that another matrix harms more if it lasts three times as long."""
    long, short = (
        reading(Net(depth), harm_of, deficit="other", length=n) for n in (WINDOW, WINDOW // 3)
    )
    return long - short


def deep(*depths: int) -> list[dict]:
    """The places of a number at some depths."""
    return [{"linear": (depth,)} for depth in depths]


GROWN_MORE = "depth {0}: share of an eye closed when grown, minus closed at birth, points"
LINEAR_CLAIMS = [
    *statement(
        LINEAR,
        "Kleinman 2023: depth",
        "Abstract",
        "Deep linear networks have critical periods for integrating two sources, shallow ones have "
        "none. (At most a point, we say, is none.)",
        *(above(GROWN_MORE, at, grown_gain) for at in deep(2, 3, 4)),
        *(between(-1, 1, GROWN_MORE, at, grown_gain) for at in deep(1)),
        *(
            between(
                -1,
                1,
                "depth {0}, noise: share of an eye deprived when grown, minus at birth, points",
                at,
                partial(grown_gain, kind="noise"),
            )
            for at in deep(1)
        ),
    ),
    *statement(
        LINEAR,
        "Kleinman 2024, figure 1",
        "Caption",
        "An early deficit lets the other pathway learn more, the more so the deeper the network; "
        "after a late one neither dominates. (Within five points, we say; a closure of ours lasts "
        "one half-learning time, early and late.)",
        *(
            below(
                "depth {0}: share of an eye closed at birth, minus depth less one", at, depth_loss
            )
            for at in deep(2, 3, 4)
        ),
        *(
            between(
                -5, 5, "depth {0}: share of an eye closed when grown, minus half", at, grown_shift
            )
            for at in deep(2, 3, 4)
        ),
    ),
    *statement(
        LINEAR,
        "Kleinman 2024: competition",
        "Abstract",
        "The learning of features is tied to competition between the sources. (So an eye should "
        "keep more of its share where the other one was closed as well.)",
        *(
            above(
                "depth {0}: share of an eye if both were closed at birth, minus it alone, points",
                at,
                competition_gain,
            )
            for at in deep(2, 3)
        ),
    ),
    *statement(
        LINEAR,
        "Kleinman 2024: data",
        "Abstract",
        "Critical periods depend on the structure of the data as well. (What we ask: does an eye "
        "come back if it sees something of its own?)",
        *(
            above(
                "depth {0}: share of an eye closed at birth, where the eyes agree to 80 %, minus "
                "wholly, points",
                at,
                disagreement_gain,
            )
            for at in deep(2, 3)
        ),
    ),
    *statement(
        LINEAR,
        "Kleinman 2024: matrices",
        "Abstract; deep matrix completion",
        "A deficit early in training harms for good; pre-training on another task can as well, the "
        "longer the more.",
        *(above("depth {0}, few entries at birth: harm, points", at, harm) for at in deep(2, 3)),
        *(
            between(
                -1,
                1,
                "depth {0}, few entries when learned: harm, points",
                at,
                partial(harm, old=True),
            )
            for at in deep(2, 3)
        ),
        *(
            above(f"depth {{0}}, {words} at birth: harm, points", at, partial(harm, deficit=kind))
            for kind, words in (("noise", "noise"), ("other", "another matrix"))
            for at in deep(2)
        ),
        *(
            above("depth {0}, another matrix: harm of 300 steps, minus of 100", at, longer_harm)
            for at in deep(2)
        ),
    ),
]
