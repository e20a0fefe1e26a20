"""Means over seeds, differences, correlations: each with its 95 % interval, and in words.

Bands and whiskers of all figures are these: intervals of the mean by Student's t, over seeds that
all see the same images. One seed has none. What a number is of stands in `cplab.quantities`.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import combinations
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike

from cplab.errors import CplabError, one_of, quote, require, whole
from cplab.measure import MEASUREMENTS

__all__ = ["MISSING", "Contrast", "Estimate", "Missing", "column_effect", "compare"]
__all__ += ["correlation", "describe", "describe_ratio", "detectable", "estimate"]
__all__ += ["find_crossing", "half_width", "mean_and_half", "mean_columns", "mean_curve", "percent"]

INTERVALS = "95 % intervals over seeds, same images"  # the note below figures
MISSING = "not trained yet"
SEEDS = range(30)  # that numbers of each seed are of, as far as there are results


def half_width(std: ArrayLike, count: ArrayLike) -> np.ndarray:
    """Half the 95 % interval of a mean, NaN for one seed.

    Arguments: std, standard deviation over the seeds (...); count, how many seeds (...).

    >>> round(float(half_width(1.0, 3)), 2)
    2.48
    """
    return half_width_of_sum([np.square(std) / np.asarray(count)], [count])[0]


def half_width_of_sum(squares: Any, count: Any) -> tuple[np.ndarray, np.ndarray]:
    """Half the 95 % interval of a sum of independent means and its degrees of freedom, by Welch &
    Satterthwaite, NaN for one seed: squares of their standard errors (parts, ...), and how many
    seeds each has (parts, ...)."""
    from scipy.special import stdtrit

    squares, each = np.asarray(squares, dtype=float), np.asarray(count, dtype=float) - 1
    total, least = squares.sum(0), each.min(0)
    with np.errstate(all="ignore"):
        freedom = total**2 / (squares**2 / each).sum(0)
    freedom = np.where(total > 0, freedom, np.where(least > 0, least, np.nan))
    return stdtrit(freedom, 0.975) * np.sqrt(total), freedom


class Missing(CplabError, LookupError):
    """There is no result of a spec, or not the measurement that was asked for."""


class Term(Protocol):
    """A number that is read of one network after another, a seed each."""

    @property
    def group(self) -> Hashable:
        """Terms of one group share training, so that seeds pair them."""

    def at(self, seed: int | None) -> float:
        """The number of a seed, or of the term's own. Raises: Missing."""


@dataclass(frozen=True)
class One:
    """The number 1, whatever the seed: what a plain number in a contrast is a multiple of."""

    group = "one"

    def at(self, seed: int | None) -> float:
        return 1.0


class Contrast:
    """A weighted sum of numbers of networks, {term: weight}, as harm is: the life without the
    window, weight 1, minus this one. Contrasts and numbers add, subtract and scale; what else is
    made of one, such as a ratio of two, is a plain number, read at the seeds of its own specs.

    >>> from cplab import Run, quantities
    >>> early, late = Run("blur", 0, 8), Run("blur", 24, 8)
    >>> quantities.harm(early) - quantities.harm(late)
    1.4 ± 0.6 (10 and 20 seeds)
    """

    def __init__(self, weights: Mapping[Term, float]) -> None:
        self.weights = dict(weights)

    def __add__(self, other: "Contrast | float") -> "Contrast":
        other = other if isinstance(other, Contrast) else Contrast({One(): float(other)})
        terms = {**self.weights, **other.weights}
        return Contrast({t: self.weights.get(t, 0) + other.weights.get(t, 0) for t in terms})

    __radd__ = __add__

    def __mul__(self, factor: Any) -> Any:
        if isinstance(factor, Contrast):
            return float(self) * float(factor)
        return Contrast({term: factor * weight for term, weight in self.weights.items()})

    __rmul__ = __mul__

    def __neg__(self) -> "Contrast":
        return self * -1

    def __sub__(self, other: "Contrast | float") -> "Contrast":
        return self + -1 * other

    def __rsub__(self, other: float) -> "Contrast":
        return -self + other

    def __truediv__(self, divisor: Any) -> Any:
        return (
            float(self) / float(divisor) if isinstance(divisor, Contrast) else self * (1 / divisor)
        )

    def __float__(self) -> float:
        return self.at(None)

    def __repr__(self) -> str:
        return describe(self)

    def __format__(self, form: str) -> str:
        return format(float(self), form) if form else describe(self)

    def at(self, seed: int | None) -> float:
        """The sum for a seed, or for the seeds of the specs themselves. Raises: Missing."""
        return sum(weight * term.at(seed) for term, weight in self.weights.items())

    def parts(self, seeds: Iterable[int] = SEEDS) -> list[dict[int, float]]:
        """The sum over each group of terms that share training, by seed, without plain numbers."""
        groups = defaultdict(list)
        counted = {t: w for t, w in self.weights.items() if w and t != One()}
        for term, weight in (counted or self.weights).items():
            groups[term.group].append((term, weight))
        found: list[dict[int, float]] = [{} for _ in groups]
        for part, terms in zip(found, groups.values(), strict=True):
            for seed in seeds:
                with suppress(Missing):
                    part[seed] = sum(weight * term.at(seed) for term, weight in terms)
        return found


@dataclass(frozen=True, eq=False)
class Estimate:
    """A mean over seeds with its 95 % interval.

    mean, half: NaN for none; half the interval, NaN where a side has fewer than two seeds. counts:
    how many seeds each side has. freedom: degrees of. values: one a seed, of those that all sides
    have. same: whether the number is exactly 0 in every seed.
    """

    mean: float
    half: float
    counts: tuple[int, ...]
    freedom: float
    values: np.ndarray
    same: bool = False

    @property
    def seeds(self) -> int:
        """Of the side that has fewest."""
        return min(self.counts, default=0)

    def __str__(self) -> str:
        return describe(self)


def estimate(values: "Contrast | Estimate | ArrayLike", seeds: Iterable[int] = SEEDS) -> Estimate:
    """The mean over seeds with its 95 % interval: Student's where all terms share training, or of
    numbers as they are given, else Welch's, with all seeds that each side has.

    Which terms are paired is settled by what shares training, and not by the outcome (B. L. Welch,
    Biometrika 34, 28, 1947).

    Arguments: values, a Contrast, or one number a seed; seeds, those that count, of a Contrast.

    >>> found = estimate([2.0, 3.0, 4.0])
    >>> found.mean, round(found.half, 2), found.seeds
    (3.0, 2.48, 3)
    """
    if isinstance(values, Estimate):
        return values
    if isinstance(values, Contrast):
        constant = values.weights.get(One(), 0) if len(values.weights) > 1 else 0
        return estimate_sum(values.parts(seeds), constant)
    row = np.asarray(values, dtype=float)
    require(np.ndim(values) == 1, f"values {quote(values)} are no row: give one number a seed")
    return estimate_sum([dict(enumerate(row.tolist()))])


def estimate_sum(parts: Sequence[Mapping[int, float]], constant: float = 0) -> Estimate:
    """The sum of means over seeds of what shares no training.

    Arguments: parts, numbers by seed, of each side; constant, a number that is added.
    """
    counts = tuple(map(len, parts))
    common = sorted(set.intersection(*map(set, parts))) if parts else []
    values = np.array([sum(part[seed] for part in parts) for seed in common]) + constant
    if not min(counts, default=0):
        return Estimate(np.nan, np.nan, counts[:1] and (0,), np.nan, values)
    numbers = [np.fromiter(part.values(), float) for part in parts]
    mean = float(sum(each.mean() for each in numbers) + constant)
    if min(counts) < 2:
        return Estimate(mean, np.nan, counts, np.nan, values)
    if len(values) == max(counts) and not values.any():
        return Estimate(0.0, 0.0, counts, counts[0] - 1, values, True)
    squares = [each.var(ddof=1) / len(each) for each in numbers]
    half, freedom = map(float, half_width_of_sum(squares, counts))
    return Estimate(mean, half, counts, freedom, values)


def mean_and_half(values: Any) -> tuple[float, float]:
    """The mean of `values`, a Contrast or one a seed, and half its 95 % interval; NaN for one, or
    for none.

    >>> mean_and_half([0.5])
    (0.5, nan)
    """
    found = estimate(values)
    return found.mean, found.half


def band_columns(mean: ArrayLike, half: ArrayLike) -> dict[str, np.ndarray]:
    """Columns mean, low and high, as figures take them; no interval is one of no width."""
    middle, reach = np.asarray(mean, dtype=float), np.nan_to_num(np.asarray(half, dtype=float))
    return {"mean": middle, "low": middle - reach, "high": middle + reach}


def mean_columns(groups: Mapping[Any, Any] | Sequence) -> dict[str, np.ndarray]:
    """Columns mean, low and high of `groups`, of a Contrast or of one number a seed each: a list of
    them; or a dict by a number, which becomes the column `x`, in order, without the empty groups.

    >>> mean_columns({8: [0.25, 0.75], 4: [1.0], 2: []})["mean"].tolist()
    [1.0, 0.5]
    """
    columns = {}
    if isinstance(groups, Mapping):
        found = {x: estimate(groups[x]) for x in sorted(groups)}
        found = {x: one for x, one in found.items() if one.seeds}
        columns["x"] = np.array([*found], dtype=float)
        groups = [*found.values()]
    pairs = np.array([mean_and_half(numbers) for numbers in groups], dtype=float).reshape(-1, 2)
    return columns | band_columns(*pairs.T)


def mean_curve(results: Sequence, what: str = "test_accuracy") -> dict[str, np.ndarray]:
    """A quantity of several seeds over the epochs.

    Arguments: results, of one life and several seeds; what, a quantity that `Result.series` knows.
    Returns: columns epoch (1 is after the first), mean, low and high: one entry for each epoch
        after which it was measured in all of them.

    >>> mean_curve([])["epoch"].tolist()
    []
    """
    known = all(hasattr(result, "series") for result in results)
    require(known, f"results {quote(results)} are not allowed: give what cplab.sweep returns")
    check_quantity(what, results)
    return columns_over_epochs(results, what)


def check_quantity(what: str, results: Sequence) -> None:
    """Refuse the name of a quantity that no result has and no measurement gives; one of a student's
    own may give any, until it was taken."""
    measured = {name: rows for result in results for name, rows in result.measured.items()}
    parts = [row for rows in measured.values() for row in rows.values()]
    parts += [row for result in results for row in result.values.get("curve", ())[:1]]
    known = {name for part in parts if isinstance(part, dict) for name in part}
    if results and all(one.name in measured for one in MEASUREMENTS.values() if one.source):
        one_of("quantity", what, sorted({*known, *MEASUREMENTS, "log_det"} - {"phase"}))


def columns_over_epochs(results: Sequence, what: str) -> dict[str, np.ndarray]:
    """`mean_curve` of any name."""
    series = [result.series(what) for result in results]
    alike = len({*map(len, series)}) < 2
    require(alike, "lives of several lengths have no mean curve: give seeds of one life")
    curves = np.array(series, dtype=float)
    epochs = enumerate(curves.T, 1)
    columns = mean_columns({epoch: row for epoch, row in epochs if np.isfinite(row).all()})
    return {"epoch": columns.pop("x").astype(int), **columns}


def find_crossing(x: ArrayLike, y: ArrayLike, level: float = 0.0) -> float:
    """The first x at which the line through points x, y (n,) leaves the side of the level on which
    it begins; NaN where it stays there.

    >>> find_crossing([1, 2, 4], [-1.0, -1.0, 3.0])
    2.5
    """
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float) - level
    require(x.shape == y.shape, f"y has shape {y.shape} and x {x.shape}: give one y for each x")
    other = np.flatnonzero((y > 0) != (y[:1] > 0))
    if not len(other):
        return np.nan
    i = other[0]
    return float(x[i] - y[i] * (x[i] - x[i - 1]) / (y[i] - y[i - 1]))


def detectable(half: float, count: float, power: float = 0.8) -> float:
    """The mean that would be told from zero in so many of all experiments, by default 80 %; one as
    large as the interval itself is in about half of them. (The far tail, a mean told from zero with
    the wrong sign, is left out: it is below 0.01 %.)

    Arguments: half, of the 95 % interval, in any unit; count, the seeds behind it, 2 at least, or
        its degrees of freedom and 1.

    >>> round(detectable(1.0, 10), 2)
    1.39
    """
    from scipy.special import nctdtrinc, stdtrit

    border = stdtrit(count - 1, 0.975)  # of Student's t where there is no difference
    return float(half * nctdtrinc(count - 1, 1 - power, border) / border)


def rank_agreement(
    order: Sequence[str], apart: Callable[[str, str], ArrayLike]
) -> tuple[int, int, int]:
    """How a guessed order, from best to worst, fits what was measured: how many pairs stand right,
    of those whose 95 % interval has no zero in it; how many such pairs; how many pairs.

    Arguments: apart, (one, other) -> by how much the one is above the other, one number a seed.
    """
    pairs = list(combinations(order, 2))
    known = [mean_and_half(apart(better, worse)) for better, worse in pairs]
    sure = [mean for mean, half in known if abs(mean) > half]
    return sum(mean > 0 for mean in sure), len(sure), len(pairs)


class Correlation(NamedTuple):
    """Pearson's r with the ends of its 95 % interval."""

    r: float
    low: float
    high: float


def correlation(x: ArrayLike, y: ArrayLike) -> Correlation:
    """Pearson's correlation of pairs, with its 95 % interval by Fisher's z.

    The interval takes the pairs to be independent draws from a normal distribution. Neighbouring
    epochs of one network are not independent: theirs comes out too narrow.

    Arguments: x, y, (n,), n at least 4, in any unit.
    Raises: CplabError for fewer than 4 pairs, numbers that are not finite, x or y that do not vary.

    >>> round(correlation([1, 2, 3, 4], [2, 4, 6, 9]).r, 2)
    0.99
    """
    from scipy import stats

    x, y = row_of_numbers("x", x), row_of_numbers("y", y)
    require(len(x) == len(y), f"x has {len(x)} numbers and y has {len(y)}: give pairs")
    require(len(x) >= 4, f"{len(x)} pairs have no interval: give 4 or more")
    for what, values in (("x", x), ("y", y)):
        if np.ptp(values) <= 1e-12 * abs(values).max():  # smaller differences are rounding
            raise CplabError(f"{what} is the same throughout: a correlation needs one that varies")
    with np.errstate(all="ignore"):  # z of a perfect correlation is infinite
        found = stats.pearsonr(x, y)
        interval = found.confidence_interval(0.95)
    return Correlation(float(found.statistic), float(interval.low), float(interval.high))


class Effect(NamedTuple):
    """An F test: F, its two degrees of freedom, and p."""

    f: float
    between: int
    within: int
    p: float

    def __str__(self) -> str:
        chance = "p < 0.001" if self.p < 0.001 else f"p = {self.p:.2g}"
        return f"F({self.between}, {self.within}) = {self.f:.2f}, {chance}"


def column_effect(table: ArrayLike) -> Effect:
    """Whether the columns of a table differ by more than its rows let expect (analysis of variance
    with repeated measures, without a correction for sphericity).

    Arguments: table, (seeds, conditions), 2 of each or more, one number a seed and condition.

    >>> print(column_effect([[1, 2, 3], [2, 3, 4], [1, 2, 4]]))
    F(2, 4) = 37.00, p = 0.0026
    """
    from scipy.special import fdtrc

    y = np.asarray(table, dtype=float)
    fine = y.ndim == 2 and min(y.shape) > 1
    require(fine, f"table of shape {y.shape} is not allowed: give 2 rows and 2 columns, or more")
    rows, columns = y.shape
    between, within = columns - 1, (columns - 1) * (rows - 1)
    steps = y.mean(0) - y.mean()
    rest = y - y.mean(1, keepdims=True) - steps
    with np.errstate(all="ignore"):  # without any scatter F is infinite
        f = float(rows * np.sum(steps**2) / between / (np.sum(rest**2) / within))
    return Effect(f, between, within, float(fdtrc(between, within, f)))


def row_of_numbers(what: str, values: Any, advice: str = "leave out what is missing") -> np.ndarray:
    """`values` as a row of finite numbers, else a CplabError that gives the advice."""
    try:
        row = np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        row = np.empty((0, 0))
    if row.ndim != 1 or not np.isfinite(row).all():
        raise CplabError(f"{what} is not a row of finite numbers: {advice}")
    return row


def describe(values: Any, digits: int = 1, unit: str = "") -> str:
    """The mean of `values`, a Contrast, an Estimate or one a seed, if any, in words, to so many
    decimals, with a `unit`.

    >>> describe([1.0, 2.0, 4.0], unit=" %")
    '2.3 ± 3.8 % (3 seeds)'
    """
    found, digits = estimate(values), whole("digits", digits, 0, 15)
    if not found.seeds:
        return MISSING
    words = mean_in_words(found.mean, found.half, digits)
    return f"{words}{unit} ({sides(found.counts)})"


def sides(counts: Iterable[int]) -> str:
    """How many seeds the sides of a number have: `5 seeds`, `10 and 30 seeds`."""
    several = sorted({*counts})
    words = " and ".join([", ".join(map(str, several[:-1])), str(several[-1])][len(several) < 2 :])
    return f"{words} seed{'s' if several[-1] > 1 else ''}"


def compare(points: Any, other: str) -> str:
    """Where something stands beside another, in words.

    Arguments: points, by how much it is above, a Contrast, an Estimate or one a seed; other, what
        it is compared with.

    >>> compare([2.0, 2.5, 3.0], "the newborn")
    '2.5 ± 1.2 points above the newborn'
    >>> compare([-1.0, 0.0, 1.5], "the newborn")
    'level with the newborn, as far as 3 seeds can tell (0.2 ± 3.1 points)'
    """
    found = estimate(points)
    mean, half = found.mean, found.half
    if not found.seeds:
        return f"not compared with {other} yet"
    if not abs(mean) <= half:
        side = "above" if mean > 0 else "below"
        alone = " (1 seed, no interval)" if np.isnan(half) else ""
        return f"{mean_in_words(abs(mean), half, 1)} points {side} {other}{alone}"
    apart, seeds = mean_in_words(mean, half, 1), sides(found.counts)
    return f"level with {other}, as far as {seeds} can tell ({apart} points)"


def describe_ratio(doublings: Any) -> str:
    """The geometric mean of ratios and its 95 % interval, in words.

    Arguments: doublings, the log₂ of the ratio, a Contrast or one a seed, as `quantities.doublings`
        has it.

    >>> describe_ratio([0.0, 2.0, 4.0])
    '4.0 × (0.13 to 130)'
    """
    mean, half = mean_and_half(doublings)
    if np.isnan(mean):
        return MISSING
    middle, low, high = map(plain_number, np.exp2([mean, mean - half, mean + half]))
    return f"{middle} ×" + ("" if np.isnan(half) else f" ({low} to {high})")


def percent(mean: float, half: float = np.nan) -> str:
    """The fraction `mean`, and `half` its interval, in percent: one decimal, none if it is wide.

    >>> percent(0.55123, 0.00712)
    '55.1 ± 0.7'
    """
    return mean_in_words(100 * mean, 100 * half, 0 if half >= 0.1 else 1)


def mean_in_words(mean: float, half: float, digits: int) -> str:
    """A mean and half its interval, if it has one, to so many decimal digits."""
    text = f"{round(mean, digits) + 0.0:.{digits}f}".replace("-", "−")  # no minus zero
    return text if np.isnan(half) else f"{text} ± {half:.{digits}f}"


def plain_number(value: float, digits: int = 2) -> str:
    """A number to so many digits that count, without the letter e: 3,600 or 2.1 × 10^-9."""
    if value == 0 or not np.isfinite(value):
        return f"{value:g}"
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    if not -6 < int(exponent) < 9:
        return f"{mantissa} × 10^{int(exponent)}"
    return f"{float(f'{mantissa}e{exponent}'):,.{max(0, digits - 1 - int(exponent))}f}"


def plain_interval(value: float, half: float) -> str:
    """A number and half its interval, with the digits that the interval leaves it: 136 ± 88."""
    if half == 0 or not np.isfinite(half):
        return f"{plain_number(value, 3)} ± {half:g}"
    places = max(0, 1 - int(np.floor(np.log10(half))))
    if places > 6:
        return f"{plain_number(value, 3)} ± {plain_number(half)}"
    return f"{value:,.{places}f} ± {half:,.{places}f}"


def count_seeds(*counts: int) -> str:
    """How many seeds, of one group or of several: `1 seed`, `3 to 5 seeds`."""
    least, most = min(counts), max(counts)
    return f"{least if least == most else f'{least} to {most}'} seed{'s' if most > 1 else ''}"
