"""Matrix completion from a part of the entries by a deep linear network, with a deficit early on.

The product of D square layers is trained by full gradient descent on the observed entries, from a
small start, and tested on the others. Depth prefers low rank (Arora, Cohen, Hu and Luo 2019), which
is why it can be right there; Kleinman, Achille & Soatto (2024) added deficits.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cplab.errors import one_of
from cplab.studies.linear.descent import multiply, take_gradient_step

DEFICITS = ("few", "noise", "other")
RATES = {1: 0.5, 2: 0.1, 3: 0.05, 4: 0.03}  # by depth
RANK, OBSERVED, SPARSE, START = 3, 0.35, 0.3, 0.02


@dataclass(frozen=True, eq=False)
class Completed:
    """Errors of completed matrices, (onsets, seeds): error, root mean square error on the entries
    that were never observed, divided by their root mean square; without, of the same run with the
    window cut out; train, on the observed entries."""

    onsets: tuple[int, ...]
    error: np.ndarray
    without: np.ndarray
    train: np.ndarray


def complete(
    depth: int,
    deficit: str,
    onsets: Sequence[int] = (0,),
    length: int = 300,
    seeds: Sequence[int] = range(5),
    recovery: int = 2000,
    size: int = 40,
) -> Completed:
    """Complete matrices of rank 3, 35 % of whose entries are observed, with a deficit and without.

    Arguments: depth, layers, 1 to 4; deficit: few (three in ten of the observed entries are seen),
        noise (a fixed random matrix in their place), other (another matrix of that rank); onsets,
        length and recovery, in steps; size, rows and columns of the matrix.

    >>> matrices = complete(2, "few", onsets=(0, 200), seeds=(0, 1), recovery=500, size=12)
    >>> matrices.error.shape, bool((matrices.train < 0.1).all())
    ((2, 2), True)
    """
    rate, onsets = RATES[depth], tuple(onsets)
    one_of("deficit", deficit, DEFICITS)
    groups = len(onsets) + 1  # the last has no window, and is the control of all others
    problems = [make_problem(seed, size, depth, deficit) for seed in seeds]
    true, observed, wrong, visible, *layers = (
        np.array([*part] * groups) for part in zip(*problems, strict=True)
    )
    begin = np.repeat([*onsets, np.inf], len(seeds))
    cut = np.array(onsets) + recovery  # as many clear steps as with a window
    ends = cut + length
    kept = np.empty((2, len(onsets), len(seeds), size, size), dtype=np.float32)
    for step in range(int(ends.max()) + 1):
        if step == 0 or step in begin or step - length in begin:
            inside = ((begin <= step) & (step < begin + length))[:, None, None]
            target, mask = np.where(inside, wrong, true), np.where(inside, visible, observed)
        products = multiply(layers)
        matrices = products[-1].reshape(groups, len(seeds), size, size)
        kept[0, ends == step] = matrices[:-1][ends == step]
        kept[1, cut == step] = matrices[-1]
        residual = (target - products[-1]) * mask * np.float32(rate / (size * OBSERVED))
        take_gradient_step(layers, products, residual)
    true, observed = true[: len(seeds)], observed[: len(seeds)]
    error, without = norms((kept - true) * (1 - observed)) / norms(true * (1 - observed))
    train = (norms((kept[0] - true) * observed) / norms(observed)).astype(float)
    return Completed(onsets, error, without, train)


def norms(matrices: np.ndarray) -> np.ndarray:
    """The Frobenius norm of each matrix."""
    return np.sqrt((matrices**2).sum((-2, -1)))


def make_problem(seed: int, size: int, depth: int, deficit: str) -> list[np.ndarray]:
    """The arrays of one seed, float32, (size, size) each: the matrix, the mask of its observed
    entries, the matrix and the mask under the deficit, and the initial layers."""
    rng = np.random.default_rng(seed)
    shape = (size, size)

    def low_rank() -> np.ndarray:
        matrix = rng.standard_normal((size, RANK)) @ rng.standard_normal((RANK, size))
        return matrix / np.sqrt((matrix**2).mean())

    true, other, noise = low_rank(), low_rank(), rng.standard_normal(shape)
    observed = rng.random(shape) < OBSERVED
    few = observed & (rng.random(shape) < SPARSE)
    layers = START ** (1 / depth) / size**0.5 * rng.standard_normal((depth, *shape))
    wrong = {"few": true, "noise": noise, "other": other}[deficit]
    visible = few if deficit == "few" else observed
    return [array.astype(np.float32) for array in (true, observed, wrong, visible, *layers)]
