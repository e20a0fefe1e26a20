"""Rows on deep linear networks. Nothing is shipped, for all of it is trained in seconds.

Sources: M. Kleinman, A. Achille, S. Soatto, Critical Learning Periods for Multisensory Integration
in Deep Networks, CVPR 2023; Critical Learning Periods Emerge Even in Deep Linear Networks, ICLR
2024.
"""

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np

from cplab.estimates import estimate
from cplab.labs import lab08, lab08_matrices
from reproduction.row import ABOVE, BELOW, LEVEL, Range, Row

SEEDS = range(30)
BIRTH, GROWN = 0.0, 3.0  # onsets of a closure of one half-learning time, in these
OLD, WINDOW = 400, 300  # step at which a matrix is learned; steps
LONG = 20  # half-learning times of recovery


@cache
def share(depth: int, onset: float, kind="blank", rho=1.0, recovery=5) -> np.ndarray:
    """An eye's share in the end, in percent, (seeds,), after it was closed for one half-learning
    time: random weights, 400 images, real gradient descent. The fields are those of a Rearing."""
    rearing = lab08.Rearing(depth=depth, onset=onset, kind=kind, rho=rho, recovery=recovery)
    courses = lab08_matrices.descend(rearing, "random", 400, SEEDS, rate=0.05)
    return np.array([100 * course.share[-1] for course in courses])


@cache
def error(depth: int, deficit: str, onset: int, length: int) -> np.ndarray:
    """The error of a matrix after a window of a deficit, in percent, (seeds,)."""
    how: dict[str, Any] = {"seeds": SEEDS, "recovery": 1500, "size": 30}
    return 100 * lab08_matrices.complete(depth, deficit, onset, length, **how)


def harm(depth: int, deficit: str = "few", onset: int = 0, length: int = WINDOW) -> np.ndarray:
    """Points of error that a window costs a matrix, (seeds,)."""
    return error(depth, deficit, onset, length) - error(depth, deficit, onset, 0)


def row(words: str, numbers: np.ndarray, between: Range) -> Row:
    """A row of numbers by seed."""
    return Row("page 3", words, "linear", estimate(numbers), between)


def rows() -> Iterator[Row]:
    """Do linear networks have critical periods?"""
    for depth in (1, 2, 3, 4):
        eye = f"depth {depth}: share of an eye"
        closed = share(depth, BIRTH)
        words = f"{eye} closed when grown, minus closed at birth"
        yield row(words, share(depth, GROWN) - closed, ABOVE if depth > 1 else LEVEL)
        if depth == 1:
            noise = share(1, GROWN, "noise") - share(1, BIRTH, "noise")
            yield row(f"{words}, noise", noise, LEVEL)
            continue
        less = closed - share(depth - 1, BIRTH)
        yield row(f"{eye} closed at birth, minus depth less one", less, BELOW)
        yield row(f"{eye} closed when grown, minus half", share(depth, GROWN) - 50, (-5, 5))
        if depth < 4:
            words = f"{eye} if both were closed at birth, minus it alone"
            yield row(words, share(depth, BIRTH, "both blank") - closed, ABOVE)
            apart, same = (share(depth, BIRTH, rho=rho, recovery=LONG) for rho in (0.8, 1.0))
            words = f"{eye} closed at birth, where the eyes agree to 80 %, minus wholly"
            yield row(words, apart - same, ABOVE)
            yield row(f"depth {depth}, few entries at birth: harm", harm(depth), ABOVE)
            yield row(
                f"depth {depth}, few entries when learned: harm", harm(depth, onset=OLD), LEVEL
            )
    yield row("depth 2, noise at birth: harm", harm(2, "noise"), ABOVE)
    yield row("depth 2, another matrix at birth: harm", harm(2, "other"), ABOVE)
    longer = harm(2, "other") - harm(2, "other", length=WINDOW // 3)
    yield row("depth 2, another matrix: harm of 300 steps, minus 100", longer, ABOVE)
