"""Estimates: means over seeds with their 95 % intervals, and how both are written.

An interval is for the mean over seeds, by Student's t test or by Welch's. All seeds are tested on
the same images. A single seed has no interval. `cplab.quantities` defines what is estimated.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import zip_longest
from statistics import NormalDist
from typing import Any, NamedTuple, NoReturn

import numpy as np
from numpy.typing import ArrayLike

from cplab.base.errors import CplabError, Missing, as_list, number, quote
from cplab.measure import Measure

__all__ = [  # what a student uses
    "CONFIDENCE",
    "Estimate",
    "Interval",
    "Lack",
    "Missing",
    "compare",
    "detectable",
    "estimate",
    "find_crossing",
    "half_width",
    "lacking_in",
    "mean_of_curves",
    "seed_by_seed",
    "seeds_needed",
    "student_factor",
]

CONFIDENCE = 0.95  # of every interval, in figures and in texts alike
PERCENT = f"{100 * CONFIDENCE:.0f} %"  # the same in words
# Standard errors in half an interval if the spread is known: 1.96, as in textbooks
NORMAL_FACTOR = round(NormalDist().inv_cdf((1 + CONFIDENCE) / 2), 2)
POWER = 0.8  # the fraction of experiments that find a detectable mean
LEVEL_POINTS = 1.0  # half an interval around zero that still says "level"
NOT_TRAINED = "not trained yet"  # in the place of a number that has no seeds
INTERVAL_NOTE = f"{PERCENT} intervals over seeds, same test images"  # below figures
Numbers = Sequence[float] | np.ndarray  # (seeds,)


class Lack(NamedTuple):
    """What has to be trained before there is a number, so that a cell can offer to train it."""

    spec: Any  # a run or an experiment of seed 0, which stands for all seeds
    measure: Measure = ()  # what is to be measured on it


# Estimates --------------------------------------------------------------------------------------


@dataclass(frozen=True, repr=False)
class Interval:
    """A mean over seeds, with its interval, as plain numbers. It may have no seeds, which it then
    says. Unlike an `Estimate`, it does not know which networks it is of, so none can be added.

    Attributes:
        mean: the mean over seeds; NaN without seeds.
        half: half of the interval's length; NaN if a side has fewer than two seeds.
        counts: the number of seeds of each side: of each sample that is independent of the others.
        freedom: the degrees of freedom; NaN without an interval.
        by_seed: the number of each seed that all sides have.

    >>> Interval(mean=1.5, half=0.2, counts=(5,))
    1.5 ± 0.2 (5 seeds)
    """

    mean: float = np.nan
    half: float = np.nan
    counts: tuple[int, ...] = ()
    freedom: float = np.nan
    by_seed: Mapping[int, float] = field(default_factory=dict)

    @property
    def seeds(self) -> int:
        """The number of seeds of the side that has the fewest."""
        return min(self.counts, default=0)

    @property
    def sign(self) -> int | None:
        """1 or −1 if the whole interval is above or below zero; 0 if it contains zero; None if
        there is no interval."""
        if np.isnan(self.half):
            return None
        if abs(self.mean) <= self.half:
            return 0
        return 1 if self.mean > 0 else -1

    def __format__(self, form: str) -> str:
        digits = re.fullmatch(r"\.(\d+)f", form or ".1f")
        if not digits:
            raise CplabError(
                f"format {quote(form)} of an Estimate is not allowed: give one like .2f"
            )
        words = mean_in_words(self.mean, self.half, int(digits[1]))
        if self.seeds and np.isnan(self.half):
            words += f" ({seeds_of_sides(self.counts)})"
        return words

    def __str__(self) -> str:
        return format(self, "")

    def __repr__(self) -> str:
        if not np.isfinite(self.half):
            return str(self)
        return f"{self} ({seeds_of_sides(self.counts)})"


@dataclass(frozen=True)
class Term:
    """One network's number for each seed. Estimates are weighted sums of terms.

    Attributes:
        name: says which runs and which quantity, such as `(run, "accuracy")`. Terms of equal names
            are equal, and add up or cancel.
        group: what the networks share, such as the beginning of their training. Terms of one group
            are paired by seed.
        numbers: by seed.
        machines: the kind of machine that trained each seed, if it is known.
        lacking: what has to be trained before there are numbers, if that is known.
        live: the seeds whose results are live; the others' are shipped.
    """

    name: Hashable
    group: Hashable = field(compare=False)
    numbers: Mapping[int, float] = field(compare=False)
    machines: Mapping[int, str] = field(default_factory=dict, compare=False)
    lacking: tuple[Lack, ...] = field(default=(), compare=False)
    live: frozenset[int] = field(default=frozenset(), compare=False)


@dataclass(frozen=True, eq=False, repr=False)
class Estimate:
    """A weighted sum of networks' numbers, with its mean over seeds and interval.

    It knows its networks, so estimates can be added and subtracted, also with numbers, and be
    multiplied by numbers: what they share is paired, and what is equal cancels. Terms that share
    training are one side, paired by seed (see `paired_sides`). Each other term is a side of
    its own, with all of its seeds (Welch, Biometrika 34, 28, 1947).

    Attributes:
        terms: the terms that it is the sum of, each with its weight.
        constant: is added to them.

    >>> from cplab import Run, quantities
    >>> early, late = Run("blur", 0, 8), Run("blur", 24, 8)
    >>> quantities.harm(early) - quantities.harm(late)
    1.4 ± 0.6 (10 and 20 seeds)
    >>> print(f"{quantities.harm(early)}, {quantities.harm(early):.2f}")
    1.8 ± 0.5, 1.80 ± 0.46
    """

    terms: Mapping[Term, float] = field(default_factory=dict)
    constant: float = 0.0

    __array_ufunc__ = None  # so that numpy's numbers leave sums and products to this class

    @cached_property
    def interval(self) -> Interval:
        """All of its numbers, computed once."""
        return add_up(self.terms, self.constant)

    @property
    def lacking(self) -> tuple[Lack, ...]:
        """What has to be trained before it has seeds; nothing if it has."""
        return each_once(lack for term in with_weight(self.terms) for lack in term.lacking)

    # What its interval says: `Interval` tells what each of them is

    @property
    def mean(self) -> float:
        """As in Interval."""
        return self.interval.mean

    @property
    def half(self) -> float:
        """As in Interval."""
        return self.interval.half

    @property
    def counts(self) -> tuple[int, ...]:
        """As in Interval."""
        return self.interval.counts

    @property
    def freedom(self) -> float:
        """As in Interval."""
        return self.interval.freedom

    @property
    def by_seed(self) -> Mapping[int, float]:
        """As in Interval."""
        return self.interval.by_seed

    @property
    def seeds(self) -> int:
        """As in Interval."""
        return self.interval.seeds

    @property
    def sign(self) -> int | None:
        """As in Interval."""
        return self.interval.sign

    @property
    def values(self) -> np.ndarray:
        """The number of each seed that all sides have, (seeds,)."""
        return rows_of_seeds([*self.by_seed.values()], self.lacking)

    def only(self, seeds: int | Iterable[int]) -> "Estimate":
        """The same estimate from these seeds alone."""
        kept = tuple(as_list(seeds))
        terms = {}
        for term, weight in self.terms.items():
            restricted = replace(
                term,
                name=(term.name, kept),  # or else it would cancel against the whole term
                numbers={seed: term.numbers[seed] for seed in kept if seed in term.numbers},
                machines={seed: term.machines[seed] for seed in kept if seed in term.machines},
            )
            terms[restricted] = weight
        return Estimate(terms, self.constant)

    # Sums and multiples

    def __add__(self, other: "Estimate | float") -> "Estimate":
        if not isinstance(other, Estimate):
            return Estimate(self.terms, self.constant + finite_number("summand", other))
        weights = dict(self.terms)
        for term, weight in other.terms.items():
            weights[term] = weights.get(term, 0) + weight
        return Estimate(weights, self.constant + other.constant)

    __radd__ = __add__

    def __mul__(self, factor: float) -> "Estimate":
        factor = finite_number("factor", factor)
        terms = {term: factor * weight for term, weight in self.terms.items()}
        return Estimate(terms, factor * self.constant)

    __rmul__ = __mul__

    def __truediv__(self, divisor: float) -> "Estimate":
        divisor = finite_number("divisor", divisor)
        if divisor == 0:
            raise CplabError("divisor 0 is not allowed: give another number")
        return self * (1 / divisor)

    def __neg__(self) -> "Estimate":
        return self * -1

    def __sub__(self, other: "Estimate | float") -> "Estimate":
        return self + -1 * other

    def __rsub__(self, other: float) -> "Estimate":
        return -self + other

    # A comparison of estimates would say yes or no where an interval cannot

    def _refuse(self, *_: object) -> NoReturn:
        """Refuse a comparison, and say what to ask for instead."""
        raise CplabError(
            f"{self} is an Estimate and not one number: take its .mean, or .sign, which is 1 or -1 "
            "where it differs from zero and 0 where it does not"
        )

    __lt__ = __le__ = __gt__ = __ge__ = _refuse

    def __eq__(self, other: object) -> bool:
        if isinstance(other, int | float | np.number):
            self._refuse()
        return self is other

    __hash__ = object.__hash__

    # Words

    def __format__(self, form: str) -> str:
        return format(self.interval, form)

    def __str__(self) -> str:
        return str(self.interval)

    def __repr__(self) -> str:
        if not np.isfinite(self.half):
            return str(self)
        return f"{self} ({seeds_of_sides(self.counts)}{self.origins_in_words()})"

    def origins_in_words(self) -> str:
        """Words for how many of its results are live and how many are shipped, if some are each."""
        live = 0
        shipped = 0
        for term in self.terms:
            of_yours = len(term.live & {*term.numbers})
            live += of_yours
            shipped += len(term.numbers) - of_yours
        return f": {live} of yours, {shipped} shipped" if live and shipped else ""


def estimate(values: Estimate | Numbers) -> Estimate:
    """Estimate a mean over seeds, with its interval.

    Arguments:
        values: a number for each seed, (seeds,). None, or a number that is not finite or is masked,
            is a missing seed.

    >>> estimate([2.0, 3.0, 4.0])
    3.0 ± 2.5 (3 seeds)
    """
    if isinstance(values, Estimate):
        return values
    numbers = {}
    for seed, value in enumerate(row_of_numbers(values).tolist()):
        if np.isfinite(value):
            numbers[seed] = value
    sample = object()  # a name and group that no other term has: nothing shares its training
    lacking = () if numbers else lacking_in(values)
    return Estimate({Term(sample, sample, numbers, lacking=lacking): 1.0})


def row_of_numbers(values: Any) -> np.ndarray:
    """Values as numbers (seeds,); NaN is a missing seed.

    Raises:
        CplabError.
    """
    row: np.ndarray | None = None
    with suppress(TypeError, ValueError, OverflowError):
        row = np.ma.asarray(values, dtype=float)
    if row is None or row.ndim != 1:
        raise CplabError(
            f"values {quote(values)} are not a row of numbers: give one number per seed"
        )
    return np.ma.filled(row, np.nan)


def seed_by_seed(function: Callable[..., float], *estimates: Estimate) -> Estimate:
    """Estimate a function of several estimates' numbers for the same seed, such as their ratio.

    Only seeds that all of them have count. A seed is missing if the function's number is not
    finite.

    >>> seed_by_seed(lambda a, b: a / b, estimate([2.0, 3.0]), estimate([1.0, 1.0]))
    2.5 ± 6.4 (2 seeds)
    """
    rows = [part.by_seed for part in estimates]
    numbers = {}
    for seed in common_seeds(rows):
        try:
            value = one_number(function, *(row[seed] for row in rows))
        except ZeroDivisionError:  # a ratio with a 0
            continue
        if np.isfinite(value):
            numbers[seed] = value
    return Estimate({derived_term(function, estimates, numbers): 1.0})


def derived_term(
    function: Callable[..., float], estimates: Sequence[Estimate], numbers: Mapping[int, float]
) -> Term:
    """The term of a function's numbers, {seed: number}, that are computed from estimates."""
    terms: list[Term] = []
    for part in estimates:
        terms += part.terms
    lacking = each_once(lack for term in terms for lack in term.lacking)

    # The same function of equal estimates is an equal term
    sums = tuple((*part.terms.items(), part.constant) for part in estimates)
    name = (function, sums)

    # It is paired with what all of its terms are paired with. Terms of different groups share
    # nothing that all have, so it has a group of its own
    groups = {term.group for term in terms}
    group = groups.pop() if len(groups) == 1 else name

    # A seed that is of several terms may have several machines
    machines = terms[0].machines if len(terms) == 1 else {}
    return Term(name, group, numbers, machines, lacking)


def one_number(function: Callable[..., Any], /, *values: object, **options: object) -> float:
    """Call a function, and return its number as a float.

    Raises:
        CplabError: for anything else.
    """
    value = function(*values, **options)
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        name = getattr(function, "__name__", "the function")
        raise CplabError(f"{name} gives {quote(value)}: return one number") from error


def finite_number(name: str, value: object) -> float:
    """Return a summand, factor or divisor of an Estimate as a float.

    Raises:
        CplabError: for an Estimate, and for a number that is not finite.
    """
    if isinstance(value, Estimate):
        advice = "for a ratio or a product of two use estimates.seed_by_seed"
        raise CplabError(f"{name} {value} is an Estimate: {advice}")
    return number(name, value, -np.finfo(float).max, np.finfo(float).max)


# Sums -------------------------------------------------------------------------------------------


def add_up(terms: Mapping[Term, float], constant: float) -> Interval:
    """The mean of a weighted sum of terms and a constant, with its interval.

    The mean is the sum of the means over each side's seeds. The degrees of freedom are those of
    Welch and Satterthwaite.

    Arguments:
        terms: with their weights.
        constant: which is added to them.
    """
    rows = paired_sides(terms)
    counts = tuple(len(row) for row in rows)
    by_seed = {}
    for seed in common_seeds(rows):
        by_seed[seed] = sum(row[seed] for row in rows) + constant
    if not counts:  # no terms
        return Interval(by_seed=by_seed)
    if min(counts) == 0:  # a side without seeds: there is no sum
        return Interval(counts=(0,), by_seed=by_seed)
    samples = [np.fromiter(row.values(), float) for row in rows]  # a side's is (seeds,)
    mean = float(sum(sample.mean() for sample in samples) + constant)
    if min(counts) < 2:  # a side without a spread: there is no interval
        return Interval(mean, counts=counts, by_seed=by_seed)
    # The variance of each side's mean, (sides,), and its degrees of freedom
    variances = np.array([sample.var(ddof=1) / len(sample) for sample in samples])
    freedoms = np.array(counts) - 1.0
    total = variances.sum()
    if total:
        freedom = float(total**2 / (variances**2 / freedoms).sum())
    else:
        freedom = float(freedoms.min())
    half = float(student_factor(freedom) * np.sqrt(total))
    return Interval(mean, half, counts, freedom, by_seed)


def paired_sides(terms: Mapping[Term, float]) -> list[dict[int, float]]:
    """Pair terms that share training, and return the weighted sum of each side, {seed: sum}.

    Terms that share training are paired if the same kind of machine trained them: another kind
    rounds differently, which acts like another seed. Shared training decides about pairs, never the
    numbers. A newborn and its blurred twin share their first weights and images, but no step, so
    they are no pairs; as pairs, lab 00's intervals would be about a twentieth shorter.
    """
    groups: dict[Hashable, dict[Term, float]] = defaultdict(dict)
    for term, weight in with_weight(terms).items():
        groups[term.group][term] = weight
    rows = []
    for group in groups.values():
        if same_machines(group):
            rows.append(weighted_sum(group))
        else:
            for term, weight in group.items():
                rows.append(weighted_sum({term: weight}))
    return rows


def with_weight(terms: Mapping[Term, float]) -> Mapping[Term, float]:
    """The terms whose seeds count, with their weights: those that have not cancelled. If all have,
    all count: the difference of equal estimates is 0, and without numbers it is missing."""
    kept = {term: weight for term, weight in terms.items() if weight}
    return kept or terms


def same_machines(terms: Iterable[Term]) -> bool:
    """Whether the same kind of machine trained some terms, for each seed that all of them have."""
    machines_by_term = [term.machines for term in terms]  # {seed: machine} each
    for seed in common_seeds(machines_by_term):
        if len({machines[seed] for machines in machines_by_term}) > 1:
            return False
    return True


def weighted_sum(weights: Mapping[Term, float]) -> dict[int, float]:
    """The weighted sum of terms for each seed that all of them have."""
    sums = {}
    for seed in common_seeds([term.numbers for term in weights]):
        sums[seed] = sum(weight * term.numbers[seed] for term, weight in weights.items())
    return sums


def common_seeds(rows: Sequence[Mapping[int, Any]]) -> list[int]:
    """The seeds that all rows, {seed: number}, have; in order."""
    if not rows:
        return []
    return sorted(set.intersection(*[set(row) for row in rows]))


# Statistics -------------------------------------------------------------------------------------


def student_factor(freedom: ArrayLike) -> np.ndarray:
    """The number of standard errors in half an interval, for degrees of freedom of any shape.

    >>> round(float(student_factor(4)), 3)
    2.776
    """
    from scipy.special import stdtrit

    return stdtrit(freedom, (1 + CONFIDENCE) / 2)


def half_width(std: float | Numbers, count: float | Numbers) -> np.ndarray:
    """Half the interval of a mean.

    Arguments:
        std: the standard deviation over seeds, of any shape.
        count: the number of seeds, of the same shape.

    Returns:
        an array of this shape; NaN for one seed.

    >>> round(float(half_width(1.0, 3)), 2)
    2.48
    """
    count = np.asarray(count, dtype=float)
    return student_factor(count - 1) * np.asarray(std) / np.sqrt(count)


def seeds_needed(half: float, std: float | Estimate = 1.0) -> float:
    """The number of seeds that make half the interval of a mean at most `half`.

    Arguments:
        half: what half the interval may be at most.
        std: the standard deviation over seeds, or an estimate whose seeds have it.

    Returns:
        NaN for an estimate of fewer than two seeds.

    >>> seeds_needed(1.0, std=1.0), seeds_needed(float(half_width(1.0, 3)) / 2)
    (7, 5)
    """
    if isinstance(std, Estimate):
        if std.seeds < 2:
            return np.nan
        std = std.values.std(ddof=1)
    half = number("half", half, 1e-9, np.inf)
    std = number("std", std, 0, 1000 * half)
    seeds = 2
    while half_width(std, seeds) > half:
        seeds += 1
    return seeds


def mean_of_curves(curves: Sequence[Numbers] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean of several seeds' curves at each epoch, over those that last so long.

    Arguments:
        curves: one for each seed, (epochs,) or shorter.

    Returns:
        the mean and half its interval, both (epochs,). Half is 0 for one seed, whose band is then a
        line.

    >>> mean_of_curves([[1, 2], [3, 4, 5]])[0].tolist()
    [2.0, 3.0, 5.0]
    """
    by_epoch = [*zip_longest(*curves, fillvalue=np.nan)]  # shorter curves are filled up with NaN
    rows = np.array(by_epoch, dtype=float).T  # (seeds, epochs)
    if not rows.size:
        return np.empty(0), np.empty(0)
    count = np.isfinite(rows).sum(0)  # (epochs,)
    mean = np.nanmean(rows, 0)
    variance = np.nansum((rows - mean) ** 2, 0) / np.maximum(count - 1, 1)
    half = half_width(np.sqrt(variance), count)
    return mean, np.where(count > 1, half, 0)


def detectable(half: float, count: float) -> float:
    """The mean that eight of ten such experiments would find different from zero.

    Arguments:
        half: of the interval of such an experiment.
        count: of its seeds.

    >>> round(detectable(1.0, 10), 2)
    1.39
    """
    from scipy.special import nctdtrinc  # of the noncentral t distribution: the shift of the mean

    border = student_factor(count - 1)  # standard errors beyond which a mean counts as different
    return float(half * nctdtrinc(count - 1, 1 - POWER, border) / border)


def find_crossing(x: Numbers, y: Numbers, level: float = 0.0) -> float:
    """Find the first x at which the line through some points crosses a level.

    Arguments:
        x, y: of the points, (n,).
        level: the value of y.

    Returns:
        NaN if the line never crosses it.

    >>> find_crossing([1, 2, 4], [-1.0, -1.0, 3.0])
    2.5
    """
    x = np.asarray(x, dtype=float)
    y = np.asarray(y, dtype=float) - level
    is_across = (y > 0) != (y[:1] > 0)  # (n,): whether a point is on the other side than the first
    if not is_across.any():
        return np.nan
    i = np.flatnonzero(is_across)[0]  # the line crosses between this point and the one before it
    step = x[i] - x[i - 1]
    rise = y[i] - y[i - 1]
    return float(x[i] - y[i] * step / rise)


# Words ------------------------------------------------------------------------------------------


def compare(points: Estimate | Numbers, other: str) -> str:
    """Say how many points something is above or below something else.

    Arguments:
        points: an estimate of the difference, or a number for each seed.
        other: a name.

    >>> compare([2.0, 2.5, 3.0], "the newborn")
    '2.5 ± 1.2 points above the newborn'
    """
    difference = estimate(points)
    if not difference.seeds:
        return f"not compared with {other} yet"
    if difference.sign == 0:
        seeds = seeds_of_sides(difference.counts)
        return f"level with {other}, at the precision of {seeds} ({difference} points)"
    size = mean_in_words(abs(difference.mean), difference.half)
    side = "above" if difference.mean > 0 else "below"
    note = " (1 seed, no interval)" if difference.sign is None else ""
    return f"{size} points {side} {other}{note}"


def is_level(points: Estimate) -> bool:
    """Whether a difference in points may be called level: its interval contains zero and is narrow.
    Seeds with a wide one cannot tell.

    >>> is_level(estimate([-0.5, 0.0, 0.5, 0.1])), is_level(estimate([-5.0, 5.0, 0.1]))
    (True, False)
    """
    return points.sign == 0 and points.half <= LEVEL_POINTS


def mean_in_words(mean: float, half: float = np.nan, digits: int = 1) -> str:
    """Write a mean, and half its interval if it has one, with this many decimals.

    >>> mean_in_words(-2.25, 0.5)
    '−2.2 ± 0.5'
    """
    if np.isnan(mean):
        return NOT_TRAINED
    rounded = round(mean, digits) + 0.0  # turns −0 into 0
    text = f"{rounded:.{digits}f}".replace("-", "−")
    return f"{text} ± {half:.{digits}f}" if np.isfinite(half) else text


def seeds_of_sides(counts: Iterable[int]) -> str:
    """Say how many seeds the sides of an estimate have, each number once.

    >>> seeds_of_sides([5]), seeds_of_sides([30, 10])
    ('5 seeds', '10 and 30 seeds')
    """
    different = sorted({*counts}) or [0]
    *others, most = different
    words = str(most)
    if others:
        words = f"{', '.join(map(str, others))} and {most}"
    return f"{words} seed{'s' if most > 1 else ''}"


def seeds_of_groups(*counts: int) -> str:
    """Say how many seeds one group of networks has, or from how many to how many several have.

    >>> seeds_of_groups(1), seeds_of_groups(5, 3)
    ('1 seed', '3 to 5 seeds')
    """
    least = min(counts)
    most = max(counts)
    words = str(most) if least == most else f"{least} to {most}"
    return f"{words} seed{'s' if most > 1 else ''}"


# What has to be trained --------------------------------------------------------------------------


def lacking_in(*things: Any) -> tuple[Lack, ...]:
    """What has to be trained before some things have all their numbers: estimates, rows of seeds,
    figures, tables, questions; or lists and dictionaries of these.

    >>> from cplab import Run, quantities
    >>> [lack.spec.length for lack in lacking_in({"never": quantities.harm(Run("blur", 77, 7))})]
    [0, 7]
    """
    lacks: list[Lack] = []
    for thing in things:
        if isinstance(thing, Mapping):
            lacks += lacking_in(*thing.values())
        elif isinstance(thing, list | tuple):
            lacks += lacking_in(*thing)
        elif hasattr(thing, "lacking"):
            lacks += thing.lacking
        elif hasattr(thing, "attrs"):  # where a table of pandas keeps what belongs to it
            lacks += thing.attrs.get("lacking", ())
    return each_once(lacks)


def each_once(lacks: Iterable[Lack]) -> tuple[Lack, ...]:
    """What is lacking, each once, in order."""
    different: dict[tuple[Any, str], Lack] = {}
    for lack in lacks:
        key = (lack.spec, repr(lack.measure))  # a measure may be a dict, which has no hash
        different.setdefault(key, lack)
    return tuple(different.values())


class LackingArray(np.ndarray):
    """An array without numbers, which knows what has to be trained: a cell that shows nothing but
    an empty array can offer to train it."""

    lacking: tuple[Lack, ...] = ()

    def __array_finalize__(self, other: np.ndarray | None) -> None:
        """Called by numpy for each array that is made of another one: a slice lacks the same."""
        self.lacking = getattr(other, "lacking", ())


def rows_of_seeds(rows: Sequence[Any], lacking: Iterable[Lack]) -> np.ndarray:
    """Rows of numbers, one a seed, as an array. If there are none, it knows what it lacks."""
    numbers = np.array(rows, dtype=float)
    return numbers if numbers.size else without_numbers(numbers, lacking)


def without_numbers(array: np.ndarray, lacking: Iterable[Lack]) -> LackingArray:
    """The same array, which is empty or has only NaN, with what it lacks."""
    lacking_array = array.view(LackingArray)
    lacking_array.lacking = each_once(lacking)
    return lacking_array
