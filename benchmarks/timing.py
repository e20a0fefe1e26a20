"""Seconds of two ways to do the same, measured in turn, and the row that says how they compare."""

from collections.abc import Callable, Sequence
from statistics import median
from timeit import timeit
from typing import NamedTuple

ROUNDS = 3  # after a round that warms up
SLOW = 10  # seconds; work that takes longer has one round


class Pair(NamedTuple):
    """Seconds of our way, and of the baseline right after it."""

    ours: float
    baseline: float


class Row(NamedTuple):
    """A measurement of ours and of a baseline, in a unit; ratio: our speed over the baseline's."""

    name: str
    unit: str
    value: float
    baseline: float
    ratio: float
    comparison: str


def seconds(work: Callable[[], object]) -> float:
    """Seconds of a call, which has to wait for the device at its end."""
    return timeit(work, number=1)


def in_turn(ours: Callable[[], object], baseline: Callable[[], object]) -> list[Pair]:
    """Time our way and the baseline in turn, after a round that warms up."""
    first = Pair(seconds(ours), seconds(baseline))
    if max(first) > SLOW:
        return [first]
    return [Pair(seconds(ours), seconds(baseline)) for _ in range(ROUNDS)]


def make_row(name: str, unit: str, pairs: Sequence[Pair], comparison: str, scale: float = 1) -> Row:
    """Make a row from pairs of seconds.

    Arguments:
        name: the name.
        unit: the unit.
        pairs: the pairs.
        comparison: our way / the baseline, in words.
        scale: by which seconds are multiplied. If the unit is a rate, such as images/s, it is
            divided by them.
    """
    ours = median(pair.ours for pair in pairs)
    baseline = median(pair.baseline for pair in pairs)
    ratio = median(pair.baseline / pair.ours for pair in pairs)
    if unit.endswith("/s"):
        return Row(name, unit, scale / ours, scale / baseline, ratio, comparison)
    return Row(name, unit, scale * ours, scale * baseline, ratio, comparison)
