"""Means over seeds with their 95 % intervals, paired where two networks share their beginning.

A number of one seed is a sum of parts (numbers.py). Within a part the seeds pair its terms; parts
share no training, so their variances add up, with the degrees of freedom of Welch and Satterthwaite
(B. L. Welch, Biometrika 34, 28, 1947). Which terms share a part is known before anything is
trained: it does not depend on the outcome. With one part this is Student's interval.
"""

from collections.abc import Sequence
from math import nan
from typing import NamedTuple

import numpy as np

LEVEL = 0.05


class Interval(NamedTuple):
    """mean and half its 95 % interval (NaN for fewer than two seeds); seeds, how many; freedom,
    degrees of; same, whether the number is exactly 0 in every seed."""

    mean: float
    half: float
    seeds: int
    freedom: float
    same: bool


def interval(values: Sequence) -> Interval:
    """Of numbers, (seeds,), or of their parts, (seeds, parts)."""
    from scipy.special import stdtrit

    parts = np.asarray(values, dtype=float)
    parts = parts.reshape(len(parts), -1)
    seeds, sums = len(parts), parts.sum(1)
    mean = float(sums.mean()) if seeds else nan
    if seeds < 2:
        return Interval(mean, nan, seeds, nan, False)
    each = parts.var(0, ddof=1) / seeds
    if not sums.any() or not each.any():
        return Interval(mean, 0.0, seeds, seeds - 1, not sums.any())
    freedom = float(each.sum() ** 2 / (each**2 / (seeds - 1)).sum())
    half = float(stdtrit(freedom, 1 - LEVEL / 2) * np.sqrt(each.sum()))
    return Interval(mean, half, seeds, freedom, False)
