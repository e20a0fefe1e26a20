"""Pairs of timings, as ratios: both sides are measured in turn in one process, several times, so
that other work on the machine falls on both."""

import os
import subprocess
import sys
from collections.abc import Callable
from statistics import median
from timeit import timeit
from typing import NamedTuple

ROUNDS = 3  # after one that warms up
SLOW = 10  # seconds; what takes longer than that has one round


class Row(NamedTuple):
    """What was measured against what. ratio: ours in multiples of the baseline's speed; it and the
    baseline are None where there is nothing to compare with. aim: what the ratio or value should
    be."""

    name: str
    unit: str
    value: float
    baseline: float | None
    ratio: float | None
    aim: str
    what: str


Pairs = list[tuple[float, float]]


def seconds(work: Callable[[], object]) -> float:
    """Of one call, which ends with something that waits for the device."""
    return timeit(work, number=1)


def in_turn(ours: Callable[[], object], theirs: Callable[[], object]) -> Pairs:
    """Seconds of two ways to do the same, after a round that warms up."""
    first = seconds(ours), seconds(theirs)
    if max(first) > SLOW:
        return [first]
    return [(seconds(ours), seconds(theirs)) for _ in range(ROUNDS)]


def row(name: str, unit: str, pairs: Pairs, aim: str, what: str, scale: float = 1) -> Row:
    """A row out of pairs of seconds: as times, or as a rate where the unit is one.

    Arguments: scale, by which seconds are multiplied; of a rate, what is done in them.
    """
    ours, theirs = (median(side) for side in zip(*pairs, strict=True))
    ratio = median(b / a for a, b in pairs)
    if unit.endswith("/s"):
        return Row(name, unit, scale / ours, scale / theirs, ratio, aim, what)
    return Row(name, unit, scale * ours, scale * theirs, ratio, aim, what)


def fresh(code: str) -> str:
    """What code prints in a fresh interpreter; its modules are compiled, as installed ones are."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = (sys.executable, "-c", code)
    return subprocess.run(command, capture_output=True, check=True, text=True, env=env).stdout
