"""Means over seeds, contrasts, correlations: each with its 95 % interval, and in words.

Intervals are of the mean over seeds, by Student's t or Welch's, and all seeds see the same images;
one seed has none. `cplab.quantities` defines the numbers themselves.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from cplab.errors import CplabError, quote, require

__all__ = ["MISSING", "Contrast", "Estimate", "Missing", "compare", "correlation", "describe"]
__all__ += ["detectable", "estimate", "find_crossing", "half_width", "mean_and_half"]
__all__ += ["mean_columns", "mean_curve", "percent"]

INTERVALS = "95 % intervals over seeds, same images"  # the note below figures
MISSING = "not trained yet"
SEEDS = range(30)  # over which numbers are averaged, as far as there are results


class Missing(CplabError, LookupError):
    """A result, or a measurement of it, does not exist."""


# Contrasts and their estimates ------------------------------------------------------------------


class Contrast:
    """A weighted sum of numbers of networks, {term: weight}, plus a plain number. Harm is the run
    without the window, weight 1, minus the one with it. Contrasts and numbers add, subtract and
    scale; anything else, such as a ratio of two, gives a plain number for the seeds of their own
    specs.

    A term has `at(seed)`, its number; `group`, equal for terms that share training; and
    `machine(seed)`, the kind of machine that trained it. Seeds pair the terms of a group only if
    each seed's were all trained on one kind of machine: another one rounds otherwise, which acts as
    another seed would. `quantities.reading` makes them.

    >>> from cplab import Run, quantities
    >>> early, late = Run("blur", 0, 8), Run("blur", 24, 8)
    >>> quantities.harm(early) - quantities.harm(late)
    1.4 ± 0.6 (10 and 20 seeds)
    """

    def __init__(self, weights: Mapping[Any, float], constant: float = 0) -> None:
        self.weights, self.constant = dict(weights), constant

    def __add__(self, other: "Contrast | float") -> "Contrast":
        if not isinstance(other, Contrast):
            return Contrast(self.weights, self.constant + float(other))
        terms = {**self.weights, **other.weights}
        weights = {t: self.weights.get(t, 0) + other.weights.get(t, 0) for t in terms}
        return Contrast(weights, self.constant + other.constant)

    __radd__ = __add__

    def __mul__(self, factor: Any) -> Any:
        if isinstance(factor, Contrast):
            return float(self) * float(factor)
        weights = {term: factor * weight for term, weight in self.weights.items()}
        return Contrast(weights, factor * self.constant)

    __rmul__ = __mul__

    def __neg__(self) -> "Contrast":
        return self * -1

    def __sub__(self, other: "Contrast | float") -> "Contrast":
        return self + -1 * other

    def __rsub__(self, other: float) -> "Contrast":
        return -self + other

    def __truediv__(self, divisor: Any) -> Any:
        if isinstance(divisor, Contrast):
            return float(self) / float(divisor)
        return self * (1 / divisor)

    def __float__(self) -> float:
        return self.at(None)

    def __repr__(self) -> str:
        return describe(self)

    def __format__(self, form: str) -> str:
        return format(float(self), form) if form else describe(self)

    def at(self, seed: int | None) -> float:
        """The sum for a seed, or for the seeds of the specs themselves. Raises: Missing."""
        return sum(w * term.at(seed) for term, w in self.weights.items()) + self.constant

    def parts(self, seeds: Iterable[int] = SEEDS) -> list[dict[int, float]]:
        """The sum over each group of terms that seeds pair, {seed: sum}; no constant."""
        groups: dict[Any, dict] = defaultdict(dict)
        for term, weight in self.weights.items():
            if weight or not any(self.weights.values()):
                groups[term.group][term] = weight
        sums = []
        for weights in groups.values():
            machines = ({term.machine(seed) for term in weights} for seed in seeds)
            mixed = len(weights) > 1 and any(len(m) > 1 and None not in m for m in machines)
            for part in [{t: w} for t, w in weights.items()] if mixed else [weights]:
                numbers = {}
                for seed in seeds:
                    with suppress(Missing):
                        numbers[seed] = Contrast(part).at(seed)
                sums.append(numbers)
        return sums


@dataclass(frozen=True, eq=False)
class Estimate:
    """A mean over seeds, NaN for none; half its 95 % interval, NaN if a side has fewer than two
    seeds; the number of seeds of each side; degrees of freedom; the values of the seeds that all
    sides have; and whether it is a difference that is exactly 0 in each of them."""

    mean: float
    half: float
    counts: tuple[int, ...]
    freedom: float
    values: np.ndarray
    same: bool = False

    @property
    def seeds(self) -> int:
        """The number of seeds of the side that has fewest."""
        return min(self.counts, default=0)

    def __str__(self) -> str:
        return describe(self)


def estimate(values: "Contrast | Estimate | ArrayLike", seeds: Iterable[int] = SEEDS) -> Estimate:
    """Estimate the mean over seeds of a Contrast, or of one number a seed, with its 95 % interval:
    Student's where all terms share training, else Welch's, over all `seeds` that each side has.
    Shared training decides which terms are paired, not the numbers (Biometrika 34, 28, 1947).

    >>> print(estimate([2.0, 3.0, 4.0]))
    3.0 ± 2.5 (3 seeds)
    """
    if isinstance(values, Estimate):
        return values
    if isinstance(values, Contrast):
        found = estimate_sum(values.parts(seeds), values.constant)
        # a difference of 0 in every seed is of equal sides; any other quantity may well be 0
        is_difference = abs(sum(values.weights.values())) < 1e-9
        return found if is_difference else replace(found, same=False)
    row = np.asarray(values, dtype=float)
    require(row.ndim == 1, f"values {quote(values)} are no row: give one number a seed")
    return estimate_sum([dict(enumerate(row.tolist()))])


def estimate_sum(parts: Sequence[Mapping[int, float]], constant: float = 0) -> Estimate:
    """Estimate a constant plus the means over seeds of sides that share no training, each {seed:
    number}, with the degrees of freedom of Welch and Satterthwaite."""
    from scipy.special import stdtrit

    counts = tuple(map(len, parts))
    common = sorted(set.intersection(*map(set, parts))) if parts else []
    values = np.array([sum(part[seed] for part in parts) for seed in common]) + constant
    if not min(counts, default=0):
        return Estimate(np.nan, np.nan, counts[:1] and (0,), np.nan, values)
    numbers = [np.fromiter(part.values(), float) for part in parts]
    mean = float(sum(side.mean() for side in numbers) + constant)
    if min(counts) < 2:
        return Estimate(mean, np.nan, counts, np.nan, values)
    if len(values) == max(counts) and not values.any():
        return Estimate(0.0, 0.0, counts, counts[0] - 1, values, True)
    squares = np.array([side.var(ddof=1) / len(side) for side in numbers])
    free, total = np.array(counts) - 1.0, squares.sum()
    freedom = float(total**2 / (squares**2 / free).sum() if total else free.min())
    return Estimate(mean, float(stdtrit(freedom, 0.975) * np.sqrt(total)), counts, freedom, values)


def half_width(std: ArrayLike, count: ArrayLike) -> np.ndarray:
    """Half the 95 % interval of a mean, from the standard deviation over `count` seeds, of any
    shape; NaN for one seed.

    >>> round(float(half_width(1.0, 3)), 2)
    2.48
    """
    from scipy.special import stdtrit

    count = np.asarray(count, dtype=float)
    return stdtrit(count - 1, 0.975) * np.asarray(std) / np.sqrt(count)


def mean_of_curves(curves: Iterable[ArrayLike]) -> tuple[np.ndarray, np.ndarray]:
    """The mean of several seeds' curves at each epoch, over the curves that last as long, and half
    its 95 % interval, 0 for one seed.

    >>> mean_of_curves([[1, 2], [3, 4, 5]])[0].tolist()
    [2.0, 3.0, 5.0]
    """
    arrays = [np.asarray(curve, dtype=float) for curve in curves]
    rows = np.full((len(arrays), max(map(len, arrays), default=0)), np.nan)
    for row, curve in zip(rows, arrays, strict=True):
        row[: len(curve)] = curve
    if not rows.size:
        return np.empty(0), np.empty(0)
    count, mean = np.isfinite(rows).sum(0), np.nanmean(rows, 0)
    squares = np.nansum((rows - mean) ** 2, 0) / np.maximum(count - 1, 1)
    return mean, np.where(count > 1, half_width(np.sqrt(squares), count), 0)


def mean_and_half(values: Any) -> tuple[float, float]:
    """The mean of a Contrast, or of one number a seed, and half its 95 % interval; NaN for none.

    >>> mean_and_half([0.5])
    (0.5, nan)
    """
    estimated = estimate(values)
    return estimated.mean, estimated.half


def detectable(half: float, count: float) -> float:
    """The mean that eight of ten experiments would find different from zero, with half a 95 %
    interval like this one and `count` seeds.

    >>> round(detectable(1.0, 10), 2)
    1.39
    """
    from scipy.special import nctdtrinc, stdtrit

    border = stdtrit(count - 1, 0.975)  # of Student's t where there is no difference
    return float(half * nctdtrinc(count - 1, 0.2, border) / border)


# Columns for figures ----------------------------------------------------------------------------


def band_columns(mean: ArrayLike, half: ArrayLike) -> dict[str, np.ndarray]:
    """The columns mean, low and high that figures take; a missing interval has no width."""
    middle, half_width = np.asarray(mean, dtype=float), np.nan_to_num(np.asarray(half, dtype=float))
    return {"mean": middle, "low": middle - half_width, "high": middle + half_width}


def mean_columns(groups: Mapping[Any, Any] | Sequence) -> dict[str, np.ndarray]:
    """Columns mean, low and high of several groups, each a Contrast or one number a seed. A list of
    groups keeps its order; the keys of a dict become the column `x`, sorted, without empty groups.

    >>> mean_columns({8: [0.25, 0.75], 4: [1.0], 2: []})["mean"].tolist()
    [1.0, 0.5]
    """
    if isinstance(groups, Mapping):
        estimates = {x: estimate(groups[x]) for x in sorted(groups)}
        estimates = {x: estimated for x, estimated in estimates.items() if estimated.seeds}
        return {"x": np.array([*estimates], dtype=float), **mean_columns([*estimates.values()])}
    pairs = np.array([mean_and_half(numbers) for numbers in groups], dtype=float).reshape(-1, 2)
    return band_columns(*pairs.T)


def mean_curve(results: Sequence, what: str = "test_accuracy") -> dict[str, np.ndarray]:
    """The mean over seeds of a quantity that `Result.series` gives, by epoch: columns epoch (1 is
    after the first), mean, low and high, where all seeds were measured.

    >>> mean_curve([])["epoch"].tolist()
    []
    """
    series = [result.series(what) for result in results]
    equally_long = len({*map(len, series)}) < 2
    require(equally_long, "runs of several lengths have no mean curve: give seeds of one run")
    epochs = enumerate(np.array(series, dtype=float).T, 1)
    columns = mean_columns({epoch: row for epoch, row in epochs if np.isfinite(row).all()})
    return {"epoch": columns.pop("x").astype(int), **columns}


def find_crossing(x: ArrayLike, y: ArrayLike, level: float = 0.0) -> float:
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


# Correlations -----------------------------------------------------------------------------------


class Correlation(NamedTuple):
    """Pearson's r and the ends of its 95 % interval."""

    r: float
    low: float
    high: float


def correlation(x: ArrayLike, y: ArrayLike) -> Correlation:
    """Pearson's correlation of pairs x, y (n,), at least 4, with its 95 % interval by Fisher's z.
    The pairs count as independent draws from a normal distribution; for neighbouring epochs of one
    network the interval is too narrow.

    >>> round(correlation([1, 2, 3, 4], [2, 4, 6, 9]).r, 2)
    0.99
    """
    from scipy import stats

    rows = row_of_numbers("x", x), row_of_numbers("y", y)
    few = f"{len(rows[0])} and {len(rows[1])} numbers are no pairs to correlate"
    require(len(rows[0]) == len(rows[1]) > 3, f"{few}: give as many of both, four or more")
    pearson = stats.pearsonr(*rows)
    interval = pearson.confidence_interval(0.95)
    return Correlation(float(pearson.statistic), float(interval.low), float(interval.high))


def row_of_numbers(what: str, values: Any, advice: str = "leave out what is missing") -> np.ndarray:
    """Return `values` as a row of finite numbers; else raise a CplabError with the advice."""
    with suppress(TypeError, ValueError):
        row = np.asarray(values, dtype=float)
        if row.ndim == 1 and np.isfinite(row).all():
            return row
    raise CplabError(f"{what} is not a row of finite numbers: {advice}")


# Words ------------------------------------------------------------------------------------------


def describe(values: Any, digits: int = 1, unit: str = "") -> str:
    """Write the mean of a Contrast, an Estimate or one number a seed in words, with its interval
    and seeds.

    >>> describe([1.0, 2.0, 4.0], unit=" %")
    '2.3 ± 3.8 % (3 seeds)'
    """
    estimated = estimate(values)
    if not estimated.seeds:
        return MISSING
    words = mean_in_words(estimated.mean, estimated.half, digits)
    return f"{words}{unit} ({sides(estimated.counts)})"


def compare(points: Any, other: str) -> str:
    """Write in words how many `points` something stands above or below another; points: a Contrast,
    an Estimate or one number a seed.

    >>> compare([2.0, 2.5, 3.0], "the newborn")
    '2.5 ± 1.2 points above the newborn'
    """
    estimated = estimate(points)
    mean, half = estimated.mean, estimated.half
    if not estimated.seeds:
        return f"not compared with {other} yet"
    if abs(mean) <= half:
        seeds, difference = sides(estimated.counts), mean_in_words(mean, half, 1)
        return f"level with {other}, as far as {seeds} can tell ({difference} points)"
    note = " (1 seed, no interval)" if np.isnan(half) else ""
    side = "above" if mean > 0 else "below"
    return f"{mean_in_words(abs(mean), half, 1)} points {side} {other}{note}"


def percent(mean: float, half: float = np.nan) -> str:
    """Write a fraction `mean` and its interval `half` in percent, to one decimal, or to none if it
    is wide.

    >>> percent(0.55123, 0.00712)
    '55.1 ± 0.7'
    """
    return mean_in_words(100 * mean, 100 * half, 0 if half >= 0.1 else 1)


def mean_in_words(mean: float, half: float, digits: int) -> str:
    """Write a mean, and half its interval if it has one, to this many decimals."""
    text = f"{round(mean, digits) + 0.0:.{digits}f}".replace("-", "−")  # no minus zero
    return text if np.isnan(half) else f"{text} ± {half:.{digits}f}"


def plain_number(value: float, digits: int = 2) -> str:
    """Write a number to this many significant digits, without an e: 3,600 or 2.1 × 10^-9."""
    if value == 0 or not np.isfinite(value):
        return f"{value:g}"
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    if not -6 < int(exponent) < 9:
        return f"{mantissa} × 10^{int(exponent)}"
    return f"{float(f'{mantissa}e{exponent}'):,.{max(0, digits - 1 - int(exponent))}f}"


def sides(counts: Iterable[int]) -> str:
    """Write how many seeds the sides of a number have: `5 seeds`, `10 and 30 seeds`."""
    *fewer, most = map(str, sorted({*counts}) or [0])
    words = f"{', '.join(fewer)} and {most}" if fewer else most
    return f"{words} seed{'s' if int(most) > 1 else ''}"


def count_seeds(*counts: int) -> str:
    """Write how many seeds one group has, or several: `1 seed`, `3 to 5 seeds`."""
    least, most = min(counts), max(counts)
    return f"{least if least == most else f'{least} to {most}'} seed{'s' if most > 1 else ''}"
