"""What is known from animals, and the curves that are drawn through it and through networks alike.

`biology.csv` holds what the animal papers state in print, one row a statement, with its source.
Nothing in it is read off a figure. Where a paper gives words and no number, the row has words and
no number. The curves are the paper's two (Materials and Methods) and the exponential fall of
Mitchell 1988; `fit` puts 95 % intervals on their parameters and on the curve.
"""

import inspect
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cplab.experiment import CplabError, one_of

if TYPE_CHECKING:
    import pandas as pd

TABLE = Path(__file__).with_name("biology.csv")
TEXTS = ("age_text", "value_text", "words", "note")  # columns that may be empty in a row
GESTATION = 165  # days, the macaque's; prenatal ages in the table are days from conception minus it
EVALUATIONS = 20_000  # of a curve, after which a fit is given up
SINGULAR = 1e-8  # a Jacobian of unit columns below this determines too little


def animals(quantity: str | None = None, species: str | None = None) -> "pd.DataFrame":
    """What animal papers state in print.

    Arguments:
        quantity: all, or one of
            recovered_acuity (by the age to which one eye was closed from about birth),
            dark_reared_acuity (by the age to which the animal was in the dark),
            acuity_at_opening (by the age at which the closure was imposed),
            normal_acuity,
            sensitivity (to a closure of 10–12 days, by the age at its onset),
            sensitivity_long (to months of closure),
            synaptic_density, synapse_number, synapse_loss (of V1, by age).
        species: all, or cat, macaque or human.
    Returns: one row a statement:
        age_low, age_high: days after birth, negative before it, equal where one age is given, NaN
            where none is (months of 365.25/12 days); age_text, the age as stated.
        kind: `point` where a number is given, `interval` where only words are.
        value: of a point, the middle of value_low and value_high where a range is given; NaN in an
            interval. value_text as printed. unit.
        words: of an interval: rises, high, declines …
        source, where (in the source), note (how it was measured; what was assumed).
    Raises: CplabError for an unknown quantity or species, or one that the other does not have.
    """
    import pandas as pd

    table = pd.read_csv(TABLE)
    table = table.fillna(dict.fromkeys(TEXTS, ""))
    for column, name in (("quantity", quantity), ("species", species)):
        if name is not None:
            table = table[table[column] == one_of(column, name, list(table[column].unique()))]
    return table.reset_index(drop=True)


# Curves ------------------------------------------------------------------------------------------


def critical_period(t, d, tau1, tau2, k):
    """e^(−(t−d)/τ1) − k·e^(−(t−d)/τ2): a rise with τ2 and a fall with τ1, for τ1 > τ2 > 0, k > 0.

    The paper fits this to sensitivity and to synaptic density by age (Materials and Methods), all
    four parameters unconstrained. It has no parameter for the height, which d sets together with
    the place: the fall is e^(d/τ1) · e^(−t/τ1).

    Arguments: t, ages (...), in days or epochs; d, τ1 and τ2 in the same unit; k, a pure number.
    Returns: (...), in the unit of what was measured.
    """
    since = np.asarray(t, dtype=float) - d
    return np.exp(-since / tau1) - k * np.exp(-since / tau2)


def decline(t, normal, tau):
    """normal · e^(−t/τ): the acuity that an eye recovers to after a closure of length t.

    Mitchell 1988 (abstract, 3) finds "a simple exponential decay" and states no form. This is the
    simplest: no floor, and normal acuity without a closure.

    Arguments: t, lengths (...), in days or epochs; normal, the value at t = 0; tau in t's unit.
    Returns: (...), in the unit of normal (cycles/degree, say).
    """
    return normal * np.exp(-np.asarray(t, dtype=float) / tau)


def from_sensitivity(s, a, b, c):
    """a · e^(c·s) + b: the trace of the Fisher information at an epoch, from the sensitivity there.

    The paper's fit of F(t) by S_k(t) (Materials and Methods, figure 4 left). F(t) is of a network
    without a deficit; S_k(t) is the rise of the final test error by a deficit from t to t + k.

    Arguments: s, sensitivities (...), fractions; a and b in the trace's unit; c in 1/s's.
    Returns: (...), in the unit of the trace.
    """
    return a * np.exp(c * np.asarray(s, dtype=float)) + b


# Fits --------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Fit:
    """A curve through points.

    parameters: what was fitted, by name.
    half: half the 95 % interval of each (Student's t with n − p degrees of freedom). NaN: there is
        no interval, because there are no more points than parameters or a parameter ended on its
        bound. Infinite: the points do not determine all parameters, at least not where the fit
        ended, as where a curve has become flat.
    residuals: y minus the curve, (n,).
    r2: 1 − Σ residual² / Σ (y − mean)², weighted where the fit was; NaN where all y are equal.
    n: points.
    covariance: of the parameters, (p, p); NaN or infinite as `half` is.
    function, steps: what was fitted, and how far each parameter moves to take its derivative.
    """

    parameters: dict[str, float]
    half: dict[str, float]
    residuals: np.ndarray
    r2: float
    n: int
    covariance: np.ndarray
    function: Callable
    steps: np.ndarray

    def curve(self, t) -> np.ndarray:
        """The fitted curve at t (...)."""
        return evaluate(self.function, np.asarray(t, dtype=float), self.parameters)

    def band(self, t) -> np.ndarray:
        """Half the 95 % interval of the fitted curve at t (...), by the delta method.

        It is of the curve, not of a new point, and takes the curve to be straight in its parameters
        within their intervals. NaN or infinite everywhere where `half` is.
        """
        t = np.asarray(t, dtype=float)
        if not np.isfinite(self.covariance).all():
            return np.full(t.shape, self.covariance.flat[0])
        slope = slopes(self.function, t.ravel(), self.parameters, self.steps)
        variance = np.einsum("ij,jk,ik->i", slope, self.covariance, slope)
        return student(self.n - len(self.parameters)) * np.sqrt(variance).reshape(t.shape)


@np.errstate(all="ignore")  # a minimiser may try parameters that overflow the curve
def fit(
    function: Callable,
    t,
    y,
    start: Mapping[str, float],
    sigma=None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
) -> Fit:
    """Least squares through points (t, y), by scipy.optimize.curve_fit.

    Arguments:
        function: function(t, name=..., ...), a number for each t: `decline`, `critical_period`,
            `from_sensitivity` or any other. To hold one of its parameters, give
            functools.partial(decline, normal=6.9).
        t: (n,), where the points are: days, epochs, or sensitivities for `from_sensitivity`.
        y: (n,), in any unit.
        start: a first guess of each parameter, by name, of about its size.
        sigma: (n,), each point's error; only their ratios count, their size is estimated from the
            residuals. All equal if not given.
        bounds: (low, high) by name, for the parameters that have any.
    Returns: a Fit.
    Raises: CplabError for points that are not finite numbers or fewer than the parameters, names
        that the function does not have, a start that is off its bounds or where the function is not
        finite, and a fit that does not converge.
    """
    from scipy.optimize import OptimizeWarning, curve_fit

    names, called = parameter_names(function, start), title(function)
    t, y = numbers("t", t), numbers("y", y)
    if len(t) != len(y):
        raise CplabError(f"t has {len(t)} numbers and y has {len(y)}: give one y for each t")
    if len(t) < len(names):
        raise CplabError(
            f"{len(t)} points do not determine the {len(names)} parameters of {called}: give"
            f" {len(names)} or more, and {len(names) + 1} or more for an interval"
        )
    weight = weights(sigma, len(t))
    first, low, high = limits(names, start, {} if bounds is None else bounds)
    there = evaluate(function, t, dict(zip(names, first, strict=True)))
    if there.shape != t.shape or not np.isfinite(there).all():
        raise CplabError(
            f"{called} does not give a finite number for each t at {listed(names, first)}:"
            " choose another start"
        )

    def curve(t, *values):
        return evaluate(function, t, dict(zip(names, values, strict=True)))

    free = np.isinf(low).all() and np.isinf(high).all()
    more = {} if free else {"bounds": (low, high), "x_scale": "jac"}
    try:
        # It warns where it cannot give a covariance; ours is below.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", OptimizeWarning)
            best, _ = curve_fit(
                curve, t, y, first, 1 / weight, maxfev=EVALUATIONS, check_finite=False, **more
            )
    except (RuntimeError, ValueError):  # too many evaluations; not finite on the way
        best = np.full(len(names), np.nan)
    residuals = y - curve(t, *best)
    parameters = dict(zip(names, best.tolist(), strict=True))
    scale = np.maximum(abs(best), np.where(first == 0, 1, abs(first)))
    steps = np.finfo(float).eps ** (1 / 3) * scale
    slope = slopes(function, t, parameters, steps)
    on_bound = (np.minimum(best - low, high - best) < 1e-6 * scale).any()
    left = np.sum((weight * residuals) ** 2)
    better = left <= np.sum((weight * (y - there)) ** 2) and np.isfinite(left)
    # The minimiser also stops, content, where the curve or its slope is not finite.
    if not better or not (on_bound or np.isfinite(slope).all()):
        raise CplabError(
            f"the fit of {called} does not converge from {listed(names, first)}: choose another"
            " start, or give bounds"
        )
    spare = len(t) - len(names)
    if spare < 1 or on_bound:
        covariance = np.full((len(names), len(names)), np.nan)
    else:
        covariance = inverse(weight[:, None] * slope) * left / spare
    half = student(spare) * np.sqrt(covariance.diagonal())
    mean = np.average(y, weights=weight**2)
    total = np.sum((weight * (y - mean)) ** 2)
    return Fit(
        parameters,
        dict(zip(names, half.tolist(), strict=True)),
        residuals,
        float(1 - left / total) if np.ptp(y) > 0 else np.nan,
        len(t),
        covariance,
        function,
        steps,
    )


def title(function: Callable) -> str:
    inner = getattr(function, "func", function)  # of a partial
    return getattr(inner, "__name__", type(inner).__name__)


def listed(names: list[str], values: np.ndarray) -> str:
    return ", ".join(f"{name} = {value:g}" for name, value in zip(names, values, strict=True))


@np.errstate(all="ignore")
def evaluate(function: Callable, t: np.ndarray, parameters: Mapping[str, float]) -> np.ndarray:
    return np.asarray(function(t, **parameters), dtype=float)


@np.errstate(all="ignore")
def slopes(function, t, parameters: Mapping[str, float], steps: np.ndarray) -> np.ndarray:
    """The function's derivative by each parameter at t (n,), by central differences: (n, p)."""
    columns = []
    for (name, value), step in zip(parameters.items(), steps, strict=True):
        up = evaluate(function, t, {**parameters, name: value + step})
        down = evaluate(function, t, {**parameters, name: value - step})
        columns.append((up - down) / (2 * step))
    return np.stack(columns, axis=-1)


def inverse(slope: np.ndarray) -> np.ndarray:
    """(JᵀJ)⁻¹ of a Jacobian (n, p); infinite where its columns are not independent.

    curve_fit's own leaves out what is not determined where there are bounds, as if it were certain.
    """
    size = np.linalg.norm(slope, axis=0)
    if (size > 0).all():
        _, values, rows = np.linalg.svd(slope / size, full_matrices=False)
        if values[-1] > SINGULAR * values[0]:
            return (rows.T / values**2) @ rows / np.outer(size, size)
    return np.full((len(size), len(size)), np.inf)


def student(freedom: int) -> float:
    """Half the 95 % interval in standard errors; NaN without a degree of freedom."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 0.975)) if freedom > 0 else np.nan


# Checks ------------------------------------------------------------------------------------------


def numbers(what: str, values, advice: str = "leave out what is missing") -> np.ndarray:
    """`values` as a row of finite numbers, else a CplabError."""
    try:
        row = np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        row = np.empty((0, 0))
    if row.ndim != 1 or not np.isfinite(row).all():
        raise CplabError(f"{what} is not a row of finite numbers: {advice}")
    return row


def weights(sigma, n: int) -> np.ndarray:
    """1 / sigma, (n,), scaled to be about 1."""
    sigma = np.ones(n) if sigma is None else numbers("sigma", sigma)
    if len(sigma) != n or not (sigma > 0).all():
        raise CplabError("sigma is not allowed: give one number above 0 for each point")
    return sigma.mean() / sigma


def parameter_names(function: Callable, start: Mapping[str, float]) -> list[str]:
    """The parameters that start fits, in its order; the function's others must have a value."""
    if not isinstance(start, Mapping) or not start:
        raise CplabError(
            f"start {start!r} is not allowed: give a first guess by name, as in {{'tau': 100}}"
        )
    try:
        allowed = dict(list(inspect.signature(function).parameters.items())[1:])
    except (TypeError, ValueError):
        raise CplabError(
            f"{function!r} cannot be fitted: give a function of t and parameters that have names"
        ) from None
    names = [one_of(f"parameter of {title(function)}", name, allowed) for name in start]
    missing = [n for n, p in allowed.items() if p.default is p.empty and n not in names]
    if missing:
        raise CplabError(
            f"start lacks {', '.join(missing)} of {title(function)}: give a first guess of each"
        )
    return names


def limits(names: list[str], start: Mapping, bounds: Mapping) -> tuple[np.ndarray, ...]:
    """The start and the lowest and highest value of each parameter, each (p,)."""
    first = numbers("start", [start[name] for name in names], "give one for each parameter")
    if not isinstance(bounds, Mapping):
        raise CplabError(
            f"bounds {bounds!r} are not allowed: give them by name, as in {{'tau': (0, 500)}}"
        )
    low, high = np.full(len(names), -np.inf), np.full(len(names), np.inf)
    for name, pair in bounds.items():
        i = names.index(one_of("parameter with bounds", name, names))
        try:
            low[i], high[i] = pair
        except (TypeError, ValueError):
            low[i] = np.nan
        if not low[i] <= first[i] <= high[i] or low[i] == high[i]:
            raise CplabError(
                f"bounds {pair!r} of {name} are not allowed: give (low, high) around its start,"
                f" {first[i]:g}"
            )
    return first, low, high


# Correlation -------------------------------------------------------------------------------------


class Correlation(NamedTuple):
    """Pearson's r with the ends of its 95 % interval."""

    r: float
    low: float
    high: float


def correlation(x, y) -> Correlation:
    """Pearson's correlation of pairs, with its 95 % interval by Fisher's z.

    The interval takes the pairs to be independent draws from a normal distribution. Neighbouring
    epochs of one network are not independent: theirs comes out too narrow.

    Arguments: x, y, (n,), n at least 4, in any unit.
    Returns: (r, low, high), each −1 to 1.
    Raises: CplabError for fewer than 4 pairs, numbers that are not finite, x or y that do not vary.
    """
    from scipy import stats

    x, y = numbers("x", x), numbers("y", y)
    if len(x) != len(y):
        raise CplabError(f"x has {len(x)} numbers and y has {len(y)}: give pairs")
    if len(x) < 4:
        raise CplabError(f"{len(x)} pairs have no interval: give 4 or more")
    for what, values in (("x", x), ("y", y)):
        # What is left of smaller differences is rounding.
        if np.ptp(values) <= 1e-12 * abs(values).max():
            raise CplabError(f"{what} is the same throughout: a correlation needs one that varies")
    with np.errstate(all="ignore"):  # z of a perfect correlation is infinite
        found = stats.pearsonr(x, y)
        interval = found.confidence_interval(0.95)
    return Correlation(float(found.statistic), float(interval.low), float(interval.high))
