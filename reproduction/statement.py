"""A claim: what a source states, and where one of our numbers lies if the source is right."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any

from cplab.quantities import shipped_only
from cplab.statistics import SEEDS, Contrast, Estimate, estimate


@dataclass(frozen=True, eq=False)
class Claim:
    """One statement of a source that a number can speak for or against.

    question: under which claims stand together, a name of claims.QUESTIONS.
    exhibit: the figure or experiment.
    source, says: who states what, with the source's own number.
    what: our number in words, with {0}, {1} … for what stands in `at`.
    at: for each size, what the number is taken at (epochs, densities, kernels). A size is a
        profile, or `thesis`, the dense model's own.
    of: a function of numbers.py: of size and what stands in `at`.
    low, high: between these the number lies if the source is right. Where a source says "about" or
        "no effect", how near that is was chosen by us.
    number: the source's, where it gives one.
    digits: decimals of the number.
    beyond: for each size that cannot answer, why.
    idle: why the row cannot fail, which leaves it out of the count.
    unaffected: whether the source says that there is no effect: above the border the number is
        then not harmed, and only within a point of 0 unaffected.
    seeds: those that count, all that are shipped if not given.
    """

    question: str
    exhibit: str
    source: str
    says: str
    what: str
    at: Mapping[str, tuple]
    of: Callable[..., Contrast | Estimate]
    low: float = -inf
    high: float = inf
    number: float | None = None
    digits: int = 1
    beyond: Mapping[str, str] = field(default_factory=dict)
    idle: str = ""
    unaffected: bool = False
    seeds: Iterable[int] = SEEDS

    def estimate(self, size: str) -> Estimate:
        """Our number, from what is shipped."""
        with shipped_only():
            return estimate(self.of(size, *self.at[size]), self.seeds)


def shipped(of: Callable[..., Contrast], *at: Any) -> Estimate:
    """What the shipped results say of a function of numbers.py."""
    with shipped_only():
        return estimate(of(*at))


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
    """No effect to speak of: within a point it is unaffected, above it not harmed either."""
    return between(-1, 1, what, at, of, unaffected=True, **more)
