"""Numbers as plain data, as a page has them."""

import math
from typing import TypedDict

from cplab.estimates import Estimate, mean_in_words


class PlainHarm(TypedDict):
    """A harm in numbers: the seeds of the side that has fewer, its mean and half of its interval in
    points, and both in words. One seed has no interval."""

    n: int
    middle: float
    half: float | None
    words: str


def plain_harm(points: Estimate) -> PlainHarm:
    """A harm as plain data.

    >>> from cplab.estimates import estimate
    >>> plain_harm(estimate([4.0, 4.2]))["words"]
    '4.1 ± 1.3'
    """
    return {
        "n": min(points.counts),
        "middle": round(points.mean, 4),
        "half": short(points.half),
        "words": mean_in_words(points.mean, points.half),
    }


def short(value: float) -> float | None:
    """Round a number to four decimals; None for NaN.

    >>> short(4.123456), short(math.nan)
    (4.1235, None)
    """
    return None if math.isnan(value) else round(value, 4)
