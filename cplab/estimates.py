"""Means over seeds: estimates with their 95 % intervals, and both in words.

Intervals are of the mean over seeds, by Student's t or Welch's. All seeds have the same test
images; one seed has no interval. `cplab.quantities` defines the numbers themselves.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import zip_longest
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from cplab.errors import CplabError, many, number, quote, require
from cplab.specs import explained

__all__ = ["Estimate", "Missing", "compare", "detectable", "estimate", "find_crossing"]
__all__ += ["half_width", "mean_of_curves", "seed_by_seed", "seeds_needed"]

INTERVALS = "95 % intervals over seeds, same test images"  # the note below figures
MISSING = "not trained yet"
Numbers = Sequence[float] | np.ndarray  # a row
SEEDS = range(50)  # over which numbers are averaged, as far as there are results


class Missing(CplabError, LookupError):
    """A result, or a measurement of it, does not exist."""


# Estimates --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Term:
    """A number by seed, of one network: what estimates are sums of.

    name: equal terms have equal names; they add up, or cancel. group: equal for terms that share
    training. numbers: by seed. machines: the kind of machine that trained each seed, if known.
    """

    name: Hashable
    group: Hashable = field(compare=False)
    numbers: Mapping[int, float] = field(compare=False)
    machines: Mapping[int, str] = field(default_factory=dict, compare=False)


class Interval(NamedTuple):
    """The numbers of an Estimate, which says what they are."""

    mean: float = np.nan
    half: float = np.nan
    counts: tuple[int, ...] = ()
    freedom: float = np.nan
    by_seed: Mapping[int, float] = {}
    same: bool = False


@dataclass(frozen=True, eq=False, repr=False)
class Estimate:
    """A mean over seeds with its 95 % interval. It exists without seeds too, and then says so.

    terms: what it is the weighted sum of, with the `constant`; or `given`, its numbers, where they
    come from elsewhere. mean: NaN without seeds. half: half of the interval, NaN if a side has
    fewer than two seeds. counts: the number of seeds of each side. freedom: degrees of freedom.
    by_seed: the number of each seed that all sides have. same: whether it is a difference that is
    exactly 0 in each seed.

    Estimates and numbers add and subtract; numbers scale. Terms that share training are paired by
    seed, if one kind of machine trained both: another one rounds otherwise, which acts as another
    seed would. All others are sides of their own (Welch), each with all of its seeds. Shared
    training decides, not the numbers (Biometrika 34, 28, 1947).

    >>> from cplab import Run, quantities
    >>> early, late = Run("blur", 0, 8), Run("blur", 24, 8)
    >>> quantities.harm(early) - quantities.harm(late)
    1.4 ± 0.6 (10 and 20 seeds)
    >>> print(f"{quantities.harm(early)}, {quantities.harm(early):.2f}")
    1.8 ± 0.5, 1.80 ± 0.46
    """

    terms: Mapping[Term, float] = field(default_factory=dict)
    constant: float = 0.0
    given: Interval | None = None

    __array_ufunc__ = None  # numbers of numpy leave sums and products to the methods below

    @cached_property
    def interval(self) -> Interval:
        """All of its numbers."""
        return self.given or weigh(self.terms, self.constant)

    mean = property(lambda self: self.interval.mean)
    half = property(lambda self: self.interval.half)
    counts = property(lambda self: self.interval.counts)
    freedom = property(lambda self: self.interval.freedom)
    by_seed = property(lambda self: self.interval.by_seed)
    same = property(lambda self: self.interval.same)

    @property
    def values(self) -> np.ndarray:
        """The number of each seed that all sides have, (seeds,)."""
        return np.array([*self.by_seed.values()], dtype=float)

    @property
    def seeds(self) -> int:
        """The number of seeds of the side that has fewest."""
        return min(self.counts, default=0)

    @property
    def sign(self) -> int | None:
        """1 or -1 where the interval lies above or below zero, 0 where it holds zero; None without
        an interval."""
        if np.isnan(self.half):
            return None
        return int(np.sign(self.mean)) if abs(self.mean) > self.half else 0

    def only(self, seeds: int | Iterable[int]) -> "Estimate":
        """The same estimate from these seeds alone."""
        kept = tuple(many(seeds))

        def part(term: Term) -> Term:
            numbers = {seed: term.numbers[seed] for seed in kept if seed in term.numbers}
            machines = {seed: term.machines[seed] for seed in kept if seed in term.machines}
            return Term((term.name, kept), term.group, numbers, machines)

        return Estimate({part(term): weight for term, weight in self.terms.items()}, self.constant)

    def __add__(self, other: "Estimate | float") -> "Estimate":
        if not isinstance(other, Estimate):
            return Estimate(self.terms, self.constant + number("summand", other, -np.inf, np.inf))
        terms = {**self.terms, **other.terms}
        weights = {t: self.terms.get(t, 0) + other.terms.get(t, 0) for t in terms}
        return Estimate(weights, self.constant + other.constant)

    __radd__ = __add__

    def __mul__(self, factor: float) -> "Estimate":
        factor = plain_number("factor", factor)
        terms = {term: factor * weight for term, weight in self.terms.items()}
        return Estimate(terms, factor * self.constant)

    __rmul__ = __mul__

    def __truediv__(self, divisor: float) -> "Estimate":
        return self * (1 / plain_number("divisor", divisor))

    def __neg__(self) -> "Estimate":
        return self * -1

    def __sub__(self, other: "Estimate | float") -> "Estimate":
        return self + -1 * other

    def __rsub__(self, other: float) -> "Estimate":
        return -self + other

    def __format__(self, form: str) -> str:
        digits = re.fullmatch(r"\.(\d+)f", form or ".1f")
        require(digits, f"format {quote(form)} of an Estimate is not allowed: give one like .2f")
        words = mean_in_words(self.mean, self.half, int(digits[1]))  # type: ignore[index]
        return words + f" ({sides(self.counts)})" * bool(self.seeds and np.isnan(self.half))

    def __str__(self) -> str:
        return format(self, "")

    def __repr__(self) -> str:
        return f"{self} ({sides(self.counts)})" if np.isfinite(self.half) else str(self)


def estimate(values: Estimate | Numbers) -> Estimate:
    """Estimate the mean of one number a seed, with its 95 % interval.

    >>> estimate([2.0, 3.0, 4.0])
    3.0 ± 2.5 (3 seeds)
    """
    if isinstance(values, Estimate):
        return values
    row, sample = np.asarray(values, dtype=float), object()  # which shares training with no other
    require(row.ndim == 1, f"values {quote(values)} are no row of numbers: give one number a seed")
    return Estimate({Term(sample, sample, dict(enumerate(row.tolist()))): 1.0})


def seed_by_seed(of: Callable[..., float], *estimates: Estimate) -> Estimate:
    """Estimate a function of the numbers that estimates have for one seed, such as a ratio of two,
    from the seeds that all of them have. A number that is not finite counts as missing.

    >>> seed_by_seed(lambda a, b: a / b, estimate([2.0, 3.0]), estimate([1.0, 1.0]))
    2.5 ± 6.4 (2 seeds)
    """
    rows = [each.by_seed for each in estimates]
    numbers = {seed: one_number(of, *(row[seed] for row in rows)) for seed in common_seeds(rows)}
    numbers = {seed: number for seed, number in numbers.items() if np.isfinite(number)}
    terms = [term for each in estimates for term in each.terms]
    groups = {term.group for term in terms}
    name = (of, *((*each.terms.items(), each.constant) for each in estimates))
    machines = terms[0].machines if len(terms) == 1 else {}
    group = groups.pop() if len(groups) == 1 else name
    return Estimate({Term(name, group, numbers, machines): 1.0})


def one_number(of: Callable[..., Any], /, *given: Any, **options: Any) -> float:
    """What a function gives, as a float. Raises: CplabError for what is no number."""
    value = of(*given, **options)
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        name = getattr(of, "__name__", "the function")
        raise CplabError(f"{name} gives {quote(value)}: return one number") from error


def plain_number(what: str, value: Any) -> float:
    """A factor or a divisor of an Estimate, which is no Estimate itself."""
    advice = "for a ratio or a product of two use estimates.seed_by_seed"
    require(not isinstance(value, Estimate), f"{what} {value} is an Estimate: {advice}")
    return number(what, value, -np.inf, np.inf)


def weigh(terms: Mapping[Term, float], constant: float) -> Interval:
    """Estimate a weighted sum of terms and a constant: the means over seeds of its sides, with the
    degrees of freedom of Welch and Satterthwaite."""
    sides = sides_of(terms)
    counts = tuple(map(len, sides))
    by_seed = {s: sum(side[s] for side in sides) + constant for s in common_seeds(sides)}
    if not min(counts, default=0):
        return Interval(counts=counts[:1] and (0,), by_seed=by_seed)
    numbers = [np.fromiter(side.values(), float) for side in sides]
    mean = float(sum(side.mean() for side in numbers) + constant)
    if min(counts) < 2:
        return Interval(mean, counts=counts, by_seed=by_seed)
    if len(by_seed) == max(counts) and not any(by_seed.values()):
        # a difference of 0 in every seed is of equal sides; any other number may well be 0
        same = abs(sum(terms.values())) < 1e-9
        return Interval(0.0, 0.0, counts, counts[0] - 1, by_seed, same)
    squares = np.array([side.var(ddof=1) / len(side) for side in numbers])
    free, total = np.array(counts) - 1.0, squares.sum()
    freedom = float(total**2 / (squares**2 / free).sum() if total else free.min())
    return Interval(mean, float(student(freedom) * np.sqrt(total)), counts, freedom, by_seed)


def sides_of(terms: Mapping[Term, float]) -> list[dict[int, float]]:
    """The weighted sums of the terms that are paired, each {seed: sum}."""
    groups: dict[Hashable, dict[Term, float]] = defaultdict(dict)
    for term, weight in terms.items():
        if weight or not any(terms.values()):  # but for terms that cancelled
            groups[term.group][term] = weight
    sums = []
    for group in groups.values():
        machines = [term.machines for term in group]
        alike = all(len({m[seed] for m in machines}) == 1 for seed in common_seeds(machines))
        for part in [group] if alike else [{t: w} for t, w in group.items()]:
            seeds = common_seeds([term.numbers for term in part])
            sums.append({s: sum(w * t.numbers[s] for t, w in part.items()) for s in seeds})
    return sums


def common_seeds(rows: Sequence[Mapping[int, Any]]) -> list[int]:
    """The seeds that all rows have, in order."""
    return sorted(set.intersection(*map(set, rows))) if rows else []


def student(freedom: ArrayLike) -> Any:
    """The number of standard errors that half a 95 % interval has, by degrees of freedom."""
    from scipy.special import stdtrit

    return stdtrit(freedom, 0.975)


def half_width(std: float | Numbers, count: float | Numbers) -> np.ndarray:
    """Half the 95 % interval of a mean, from the standard deviation over `count` seeds, of any
    shape; NaN for one seed.

    >>> round(float(half_width(1.0, 3)), 2)
    2.48
    """
    count = np.asarray(count, dtype=float)
    return student(count - 1) * np.asarray(std) / np.sqrt(count)


def seeds_needed(half: float, std: float | Estimate = 1.0) -> float:
    """The fewest seeds at which half the 95 % interval of a mean is at most `half`, if seeds have
    this standard deviation, or differ as those of an estimate; NaN where it has fewer than two.

    >>> seeds_needed(1.0, std=1.0), seeds_needed(float(half_width(1.0, 3)) / 2)
    (7, 5)
    """
    if isinstance(std, Estimate):
        if std.seeds < 2:
            return np.nan
        std = std.values.std(ddof=1)
    half, std = number("half", half, 1e-9, np.inf), number("std", std, 0, 1000 * half)
    return next(n for n in range(2, 10**7) if half_width(std, n) <= half)


def mean_of_curves(curves: Sequence[Numbers] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean of several seeds' curves at each epoch, over the curves that last as long, and half
    its 95 % interval, 0 for one seed.

    >>> mean_of_curves([[1, 2], [3, 4, 5]])[0].tolist()
    [2.0, 3.0, 5.0]
    """
    rows = np.array([*zip_longest(*curves, fillvalue=np.nan)], dtype=float).T
    if not rows.size:
        return np.empty(0), np.empty(0)
    count, mean = np.isfinite(rows).sum(0), np.nanmean(rows, 0)
    squares = np.nansum((rows - mean) ** 2, 0) / np.maximum(count - 1, 1)
    return mean, np.where(count > 1, half_width(np.sqrt(squares), count), 0)


def detectable(half: float, count: float) -> float:
    """The mean that eight of ten experiments would find different from zero, with half a 95 %
    interval like this one and `count` seeds.

    >>> round(detectable(1.0, 10), 2)
    1.39
    """
    from scipy.special import nctdtrinc

    border = student(count - 1)  # where there is no difference
    return float(half * nctdtrinc(count - 1, 0.2, border) / border)


def find_crossing(x: Numbers, y: Numbers, level: float = 0.0) -> float:
    """The first x at which the line through points x, y (n,) crosses the level; NaN if it never
    does.

    >>> find_crossing([1, 2, 4], [-1.0, -1.0, 3.0])
    2.5
    """
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float) - level
    crossed = np.flatnonzero((y > 0) != (y[:1] > 0))
    if not len(crossed):
        return np.nan
    i = crossed[0]
    return float(x[i] - y[i] * (x[i] - x[i - 1]) / (y[i] - y[i - 1]))


# Words ------------------------------------------------------------------------------------------


def compare(points: Any, other: str) -> str:
    """Write in words how many `points` something stands above or below another; points: an Estimate
    or one number a seed.

    >>> compare([2.0, 2.5, 3.0], "the newborn")
    '2.5 ± 1.2 points above the newborn'
    """
    found = estimate(points)
    if not found.seeds:
        return f"not compared with {other} yet"
    if found.sign == 0:
        return f"level with {other}, as far as {sides(found.counts)} can tell ({found} points)"
    note = "" if found.sign else " (1 seed, no interval)"
    size = mean_in_words(abs(found.mean), found.half)
    return f"{size} points {'above' if found.mean > 0 else 'below'} {other}{note}"


def mean_in_words(mean: float, half: float = np.nan, digits: int = 1) -> str:
    """Write a mean, and half its interval if it has one, to this many decimals."""
    if np.isnan(mean):
        return MISSING
    text = f"{round(mean, digits) + 0.0:.{digits}f}".replace("-", "−")  # no minus zero
    return f"{text} ± {half:.{digits}f}" if np.isfinite(half) else text


def sides(counts: Iterable[int]) -> str:
    """Write how many seeds the sides of a number have: `5 seeds`, `10 and 30 seeds`."""
    *fewer, most = map(str, sorted({*counts}) or [0])
    words = f"{', '.join(fewer)} and {most}" if fewer else most
    return f"{words} seed{'s' if int(most) > 1 else ''}"


def count_seeds(*counts: int) -> str:
    """Write how many seeds one group has, or several: `1 seed`, `3 to 5 seeds`."""
    least, most = min(counts), max(counts)
    return f"{least if least == most else f'{least} to {most}'} seed{'s' if most > 1 else ''}"


globals().update(explained(globals()))
