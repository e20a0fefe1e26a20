"""A matrix completed from a part of its entries by a deep linear network, with a deficit early on.

The product of D square layers is trained by full gradient descent on the entries that are observed,
from a small start; what it says of the others is the test. Depth prefers low rank (Arora, Cohen, Hu
and Luo 2019), which is why it can be right there; Kleinman, Achille & Soatto (2024) added deficits.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from cplab.errors import Cancelled, CplabError, one_of, quote, require, whole
from cplab.studies.linear.descent import multiply, take_gradient_step

LACKS = ("few", "noise", "other")
RATES = {1: 0.5, 2: 0.1, 3: 0.05, 4: 0.03}  # by depth
RANK, OBSERVED, SPARSE, SIDE, START = 3, 0.35, 0.3, 40, 0.02


@dataclass(frozen=True, eq=False)
class Completed:
    """What became of matrices; a row an onset, a column a seed.

    error: root mean square error on the entries that were never observed, as a part of theirs.
    without: the same of the same life with the window cut out.
    train: root mean square error on those that were, in the end.
    rank, rank_without: effective ranks in the end.
    """

    onsets: tuple[int, ...]
    error: np.ndarray
    without: np.ndarray
    train: np.ndarray
    rank: np.ndarray
    rank_without: np.ndarray


def effective_rank(matrix: ArrayLike) -> float:
    """The exponential of the entropy of a matrix's singular values, as parts of their sum.

    Raises: CplabError for what is no matrix of finite numbers, or for zeros alone.

    >>> round(effective_rank(np.diag([1, 1, 1, 0])), 6)
    3.0
    """
    matrix = np.asarray(matrix, dtype=float)
    if not (matrix.ndim == 2 and matrix.any() and np.isfinite(matrix).all()):
        advice = "give a table of finite numbers, not all of them 0"
        raise CplabError(f"matrix {quote(matrix)} is not allowed: {advice}")
    values = np.linalg.svd(matrix, compute_uv=False)
    parts = values[values > 0] / values.sum()
    return float(np.exp(-(parts * np.log(parts)).sum()))


def complete(
    depth: int,
    deficit: str,
    onsets: Sequence[int] = (0,),
    length: int = 300,
    seeds: Sequence[int] = range(5),
    recovery: int = 2000,
    size: int = SIDE,
    report: Callable[[float], None] = lambda part: None,
    stop: threading.Event | None = None,
) -> Completed:
    """Complete matrices with a deficit and without, all of them side by side.

    Arguments:
        depth: layers, 1 to 4.
        deficit: few (three in ten of the observed entries are seen), noise (a fixed random matrix
            in their place), other (another matrix of that rank).
        onsets: steps at which the window begins, one life each; length, of the window in steps.
        seeds: of matrices, entries and weights; each has a life at each onset, and one without.
        recovery: steps after the window, with all observed entries.
        size: of the matrix, which has rank 3; 35 % of its entries are observed.
        report: called now and then with the part that is done, 0 to 1.
        stop: an Event that ends it with Cancelled when it is set.
    Raises: CplabError for what is not allowed.

    >>> found = complete(2, "few", onsets=(0, 200), seeds=(0, 1), recovery=500, size=12)
    >>> found.error.shape, bool((found.train < 0.1).all())
    ((2, 2), True)
    """
    rate = RATES[whole("depth", depth, 1, max(RATES))]
    one_of("deficit", deficit, LACKS)
    require(len(onsets) and len(seeds), "onsets and seeds are not allowed to be empty: give some")
    onsets = tuple(whole("onset", onset, 0, 100_000) for onset in onsets)
    length, recovery = whole("length", length, 1, 100_000), whole("recovery", recovery, 0, 100_000)
    whole("size", size, 2 * RANK, 400)
    groups = len(onsets) + 1  # the last has no window, and stands for the life without each
    problems = [make_problem(whole("seed", seed), size, depth, deficit) for seed in seeds]
    true, seen, wrong, given, *layers = (
        np.array([*part] * groups) for part in zip(*problems, strict=True)
    )
    begin = np.repeat([*onsets, np.inf], len(seeds))
    cut = np.array(onsets) + recovery  # as many clear steps as with a window
    ends = cut + length
    last = int(ends.max())
    kept = np.empty((2, len(onsets), len(seeds), size, size), dtype=np.float32)
    for step in range(last + 1):
        if step == 0 or step in begin or step - length in begin:
            inside = ((begin <= step) & (step < begin + length))[:, None, None]
            target, mask = np.where(inside, wrong, true), np.where(inside, given, seen)
        products = multiply(layers)
        now = products[-1].reshape(groups, len(seeds), size, size)
        kept[0, ends == step] = now[:-1][ends == step]
        kept[1, cut == step] = now[-1]
        lacking = (target - products[-1]) * mask * np.float32(rate / (size * OBSERVED))
        take_gradient_step(layers, products, lacking)
        if step % 50 == 0:
            if stop is not None and stop.is_set():
                raise Cancelled("stopped")
            report(step / last)
    true, seen = true[: len(seeds)], seen[: len(seeds)]
    unseen = 1 - seen
    error, without = frobenius_norms((kept - true) * unseen) / frobenius_norms(true * unseen)
    train = (frobenius_norms((kept[0] - true) * seen) / frobenius_norms(seen)).astype(float)
    ranks = [effective_rank(one) for one in kept.reshape(-1, size, size)]
    return Completed(onsets, error, without, train, *np.reshape(ranks, kept.shape[:3]))


def frobenius_norms(matrices: np.ndarray) -> np.ndarray:
    """The root of the sum of squares of each matrix."""
    return np.sqrt((matrices**2).sum((-2, -1)))


def make_problem(seed: int, size: int, depth: int, deficit: str) -> list[np.ndarray]:
    """Of one seed: the matrix; which entries are observed; what the deficit puts in its place, and
    which entries are seen then; and the layers at birth."""
    rng = np.random.default_rng(seed)
    shape = (size, size)

    def low_rank() -> np.ndarray:
        matrix = rng.standard_normal((size, RANK)) @ rng.standard_normal((RANK, size))
        return matrix / np.sqrt((matrix**2).mean())

    true, other, noise = low_rank(), low_rank(), rng.standard_normal(shape)
    seen = rng.random(shape) < OBSERVED
    few = seen & (rng.random(shape) < SPARSE)
    layers = START ** (1 / depth) / size**0.5 * rng.standard_normal((depth, *shape))
    wrong = {"few": true, "noise": noise, "other": other}[deficit]
    given = few if deficit == "few" else seen
    return [one.astype(np.float32) for one in (true, seen, wrong, given, *layers)]
