"""Numbers of deep linear networks. Nothing is shipped, for all of it is trained in seconds.

Sources: M. Kleinman, A. Achille, S. Soatto, Critical Learning Periods for Multisensory Integration
in Deep Networks, CVPR 2023; Critical Learning Periods Emerge Even in Deep Linear Networks, ICLR
2024.
"""

from functools import cache

import numpy as np

from cplab.labs import lab08, lab08_matrices

SEEDS = range(30)
IMAGES = 400  # by which an eye learns
RATE = 0.05  # of its gradient descent
SIZE = 30  # rows and columns of a matrix
STEPS = 1500  # of its recovery
WINDOW = 300  # steps of a deficit


@cache
def eye_share(
    depth: int, onset: float, kind: str = "blank", rho: float = 1.0, recovery: float = 5
) -> np.ndarray:
    """An eye's share in the end, in percent, after it was closed for one half-learning time.

    Random weights learn from 400 images by gradient descent. The arguments are fields of a
    `Rearing`.

    Returns:
        an array (seeds,).

    >>> eye_share(2, 0).shape
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


def matrix_harm(depth: int, deficit: str, onset: int = 0, length: int = WINDOW) -> np.ndarray:
    """Points of error that `length` steps of a deficit cost a matrix, (seeds,)."""
    clear = error(depth, "few", onset, 0)  # the same for each deficit of no steps
    return error(depth, deficit, onset, length) - clear
