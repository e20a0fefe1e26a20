"""Rows on deep linear networks. Nothing is shipped, for all of it is trained in seconds.

Sources: M. Kleinman, A. Achille, S. Soatto, Critical Learning Periods for Multisensory Integration
in Deep Networks, CVPR 2023; Critical Learning Periods Emerge Even in Deep Linear Networks, ICLR
2024.
"""

from collections.abc import Iterator
from functools import cache

import numpy as np

from cplab.estimates import estimate
from cplab.labs import lab08, lab08_matrices
from reproduction.row import ABOVE, BELOW, LEVEL, Range, Row

SEEDS = range(30)
DEPTHS = (1, 2, 3, 4)
IMAGES = 400  # by which an eye learns
RATE = 0.05  # of its gradient descent
BIRTH = 0.0  # onset of a closure of one half-learning time, in these
GROWN = 3.0  # a late one
LONG = 20  # half-learning times of recovery
SIZE = 30  # rows and columns of a matrix
STEPS = 1500  # of its recovery
LEARNED = 400  # step at which it is learned
WINDOW = 300  # steps of a deficit
# Of errors of matrices, which are trained in float32 when the report is written: other processors
# change the sixth decimal
DECIMALS = 3


@cache
def share(
    depth: int, onset: float, kind: str = "blank", rho: float = 1.0, recovery: float = 5
) -> np.ndarray:
    """An eye's share in the end, in percent, after it was closed for one half-learning time.

    Random weights learn from 400 images by gradient descent. The arguments are fields of a
    `Rearing`. Returns: an array (seeds,).

    >>> share(2, BIRTH).shape
    (30,)
    """
    rearing = lab08.Rearing(depth=depth, onset=onset, kind=kind, rho=rho, recovery=recovery)
    courses = lab08_matrices.descend(rearing, "random", IMAGES, SEEDS, RATE)
    return np.array([100 * course.share[-1] for course in courses])


@cache
def error(depth: int, deficit: str, onset: int, length: int) -> np.ndarray:
    """The error of a matrix in the end, in percent, after `length` steps of a deficit, (seeds,)."""
    return 100 * lab08_matrices.complete(
        depth, deficit, onset, length, seeds=SEEDS, recovery=STEPS, size=SIZE
    )


def harm(depth: int, deficit: str, onset: int = 0, length: int = WINDOW) -> np.ndarray:
    """Points of error that `length` steps of a deficit cost a matrix, (seeds,)."""
    clear = error(depth, "few", onset, 0)  # the same for each deficit of no steps
    return error(depth, deficit, onset, length) - clear


def share_row(description: str, numbers: np.ndarray, between: Range) -> Row:
    """A row of shares of an eye, or their differences, (seeds,)."""
    return Row("page 3", description, "linear", estimate(numbers), between)


def harm_row(description: str, numbers: np.ndarray, between: Range) -> Row:
    """A row of harms of a matrix, or their differences, (seeds,)."""
    return Row("page 3", description, "linear", estimate(numbers), between, decimals=DECIMALS)


def rows() -> Iterator[Row]:
    """Do linear networks have critical periods?"""
    for depth in DEPTHS:
        yield from closures(depth)
        if depth in (2, 3):
            yield from closures_of_pairs(depth)
            yield from sparse_matrices(depth)
    yield harm_row("depth 2, noise at birth: harm", harm(2, "noise"), ABOVE)
    yield harm_row("depth 2, another matrix at birth: harm", harm(2, "other"), ABOVE)
    longer = harm(2, "other") - harm(2, "other", length=WINDOW // 3)
    yield harm_row("depth 2, another matrix: harm of 300 steps, minus 100", longer, ABOVE)


def closures(depth: int) -> Iterator[Row]:
    """An eye that is closed when it is grown, or at birth."""
    eye = f"depth {depth}: share of an eye"
    at_birth = share(depth, BIRTH)
    grown = share(depth, GROWN)
    description = f"{eye} closed when grown, minus closed at birth"
    if depth == 1:
        noise = share(1, GROWN, "noise") - share(1, BIRTH, "noise")
        yield share_row(description, grown - at_birth, LEVEL)
        yield share_row(f"{description}, noise", noise, LEVEL)
        return
    yield share_row(description, grown - at_birth, ABOVE)
    shallower = share(depth - 1, BIRTH)
    description = f"{eye} closed at birth, minus depth less one"
    yield share_row(description, at_birth - shallower, BELOW)
    yield share_row(f"{eye} closed when grown, minus half", grown - 50, (-5, 5))


def closures_of_pairs(depth: int) -> Iterator[Row]:
    """What the other eye does to one that is closed at birth."""
    eye = f"depth {depth}: share of an eye"
    gain = share(depth, BIRTH, "both blank") - share(depth, BIRTH)
    yield share_row(f"{eye} if both were closed at birth, minus it alone", gain, ABOVE)
    partly = share(depth, BIRTH, rho=0.8, recovery=LONG)
    wholly = share(depth, BIRTH, rho=1.0, recovery=LONG)
    description = f"{eye} closed at birth, where the eyes agree to 80 %, minus wholly"
    yield share_row(description, partly - wholly, ABOVE)


def sparse_matrices(depth: int) -> Iterator[Row]:
    """Few entries of a matrix, at birth or once it is learned."""
    at_birth = harm(depth, "few")
    learned = harm(depth, "few", LEARNED)
    yield harm_row(f"depth {depth}, few entries at birth: harm", at_birth, ABOVE)
    yield harm_row(f"depth {depth}, few entries when learned: harm", learned, LEVEL)
