"""A claim: what a source states, and where one of our numbers lies if the source is right."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any

import numpy as np

from cplab.quantities import over_seeds, shipped_only


@dataclass(frozen=True, eq=False)
class Claim:
    """One statement of a source that a number can speak for or against.

    question: under which claims stand together, a name of claims.QUESTIONS.
    exhibit: the figure or experiment.
    source, says: who states what, with the source's own number.
    what: our number in words, with {0}, {1} … for what stands in `at`.
    at: for each size, what the number is taken at (epochs, densities, kernels). A size is a
        profile, or `thesis`, the dense model's own.
    of: a function of numbers.py: of size, what stands in `at`, and seed.
    low, high: between these the number lies if the source is right. Where a source says "about" or
        "no effect", how near that is was chosen by us.
    number: the source's, where it gives one.
    digits: decimals of the number.
    beyond: for each size that cannot answer, why.
    """

    question: str
    exhibit: str
    source: str
    says: str
    what: str
    at: Mapping[str, tuple]
    of: Callable[..., Any]
    low: float = -inf
    high: float = inf
    number: float | None = None
    digits: int = 1
    beyond: Mapping[str, str] = field(default_factory=dict)

    def values(self, size: str) -> np.ndarray:
        """One number for each seed whose results are shipped, (seeds,)."""
        return shipped_values(self.of, size, *self.at[size])


def shipped_values(of: Callable, *at: Any) -> np.ndarray:
    """What a function of numbers.py gives for each seed whose results are shipped, (seeds,)."""
    with shipped_only():
        return over_seeds(lambda seed: of(*at, seed))


def statement(question: str, exhibit: str, source: str, says: str, *measures: dict) -> list[Claim]:
    """The claims that one statement makes; measures are made by the functions below."""
    return [Claim(question, exhibit, source, says, **measure) for measure in measures]


def between(low: float, high: float, what: str, at: Mapping[str, tuple], of: Callable, **more):
    return {"what": what, "at": at, "of": of, "low": low, "high": high, **more}


def below(what, at, of, **more):
    return between(-inf, 0, what, at, of, **more)


def above(what, at, of, low=0, **more):
    return between(low, inf, what, at, of, **more)


def near(number, margin, what, at, of, **more):
    """The source's number, and how far from it is near."""
    return between(number - margin, number + margin, what, at, of, number=number, **more)


def flat(what, at, of, **more):
    """No effect to speak of: at most a point is lost."""
    return above(what, at, of, low=-1, **more)
