"""Curves through points, with 95 % intervals of their parameters and of the curve.

The minimiser and the covariance are lmfit's. Ours is to say when there is no interval (too few
points) and when the points do not determine the parameters.
"""

import inspect
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from cplab.errors import CplabError, quote, require
from cplab.statistics import plain_number, row_of_numbers

if TYPE_CHECKING:
    from lmfit.model import ModelResult

EVALUATIONS = 20_000  # of a curve, after which a fit is given up
SINGULAR = 1e-8  # a Jacobian of unit columns below this determines too little
WIDE = 10  # an interval so many times as wide as its parameter, and as its start, says nothing
METHODS: tuple[tuple[str, dict], ...] = (  # one after the other
    ("leastsq", {}),  # gets farther than the other from a poor start
    # Near 0, and where sizes differ, its derivatives are right, which the intervals need.
    ("least_squares", {"x_scale": "jac", "jac": "3-point"}),
)


@dataclass(frozen=True, eq=False)
class Fit:
    """A curve through n points: parameters by name; half the 95 % interval of each (NaN: no more
    points than parameters; infinite: the points do not determine all of them where the fit ended);
    r2, 1 − Σ residual² / Σ (y − mean)², NaN where all y are equal; and lmfit's own result.

    >>> fit(lambda t, slope: slope * t, [1, 2], [2, 4], {"slope": 1}).parameters
    {'slope': 2.0}
    """

    parameters: dict[str, float]
    half: dict[str, float]
    r2: float
    n: int
    result: "ModelResult"

    def band(self, t: ArrayLike) -> np.ndarray:
        """Half the 95 % interval of the curve (not of a new point) at t (...), by the delta method:
        as if the curve were straight in its parameters. NaN or infinite where `half` is."""
        t, halves = np.asarray(t, dtype=float), np.array(list(self.half.values()))
        if not np.isfinite(halves).all() or not halves.all():  # or the curve is exact
            return np.full(t.shape, halves.max())
        return np.asarray(self.result.eval_uncertainty(t=t, sigma=0.95)).reshape(t.shape)

    def describe(self) -> dict[str, str]:
        """Each parameter with its interval, or why it has none, in words by its name."""
        words = {}
        for name, value in self.parameters.items():
            half = self.half[name]
            if np.isnan(half):
                words[name] = f"{plain_number(value, 3)} (no interval: too few points)"
            elif half > WIDE * max(abs(value), abs(self.result.init_values[name])):
                words[name] = "not determined by these points"
            else:
                words[name] = plain_interval(value, half)
        return words


def plain_interval(value: float, half: float) -> str:
    """A number and half its interval, with the digits that the interval leaves it: 136 ± 88."""
    places = max(0, 1 - int(np.floor(np.log10(half)))) if half else 7
    if places > 6:
        return f"{plain_number(value, 3)} ± {plain_number(half)}"
    return f"{value:,.{places}f} ± {half:,.{places}f}"


def as_curve(function: Callable[..., Any], names: list[str]) -> Any:
    """A function as lmfit looks at it: of t and some parameters; others keep their values."""

    def curve(t: np.ndarray, **parameters: float) -> np.ndarray:
        with np.errstate(all="ignore"):  # a minimiser may try parameters that overflow the curve
            return np.asarray(function(t, **parameters), dtype=float)

    either = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [inspect.Parameter(name, either) for name in ("t", *names)]
    curve.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return curve


def fit(
    function: Callable[..., Any], t: ArrayLike, y: ArrayLike, start: Mapping[str, float]
) -> Fit:
    """Least squares through points t, y (n,), by lmfit.

    Arguments: function, of t and of parameters by name, such as `decline`; to
        hold one of its parameters, functools.partial(decline, normal=6.9); start, a first guess of
        each parameter, of about its size.
    Raises: CplabError for fewer points than parameters, and a fit that does not converge.

    >>> line = fit(lambda t, slope, height: slope * t + height, [0, 1, 2, 3], [1, 3, 5, 7.1],
    ...            start={"slope": 1, "height": 1})
    >>> line.describe()["slope"]
    '2.030 ± 0.075'
    """
    import lmfit
    from scipy.special import stdtrit

    inner = getattr(function, "func", function)  # of a partial
    called = str(getattr(inner, "__name__", type(inner).__name__))
    require(callable(function), f"{quote(function)} cannot be fitted: give a function of t")
    line = f"start {quote(start)} is not allowed: give a first guess by name, as in {{'tau': 100}}"
    require(isinstance(start, Mapping) and start, line)
    first = row_of_numbers("start", list(start.values()), "give one for each parameter")
    guess = dict(zip(start, first.tolist(), strict=True))
    t, y = row_of_numbers("t", t), row_of_numbers("y", y)
    names, p, n = list(guess), len(guess), len(t)
    require(n == len(y), f"t has {n} numbers and y has {len(y)}: give one y for each t")
    few = f"{n} points do not determine the {p} parameters of {called}"
    require(n >= p, f"{few}: give {p} or more, and {p + 1} or more for an interval")
    curve, at = as_curve(function, names), ", ".join(f"{k} = {v:g}" for k, v in guess.items())
    try:
        there = curve(t, **guess)
    except Exception as error:  # a student's function may do anything
        raise CplabError(f"{called} fails at {at} ({error}): mend it") from error
    lacks = f"{called} does not give a finite number for each t at {at}: choose another start"
    require(there.shape == t.shape and np.isfinite(there).all(), lacks)
    model = lmfit.Model(curve, ["t"], names, nan_policy="propagate")
    parameters, result = lmfit.create_params(**guess), None
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings(action="ignore"):
            for method, options in METHODS:
                how = {"method": method, "fit_kws": options, "max_nfev": EVALUATIONS}
                result = model.fit(y, parameters, t=t, **how)
                parameters = result.params
    except ValueError:  # a curve that is not finite
        result = None
    if result is None or not result.success:
        raise CplabError(f"the fit of {called} does not converge from {at}: choose another start")
    size = np.linalg.norm(result.jac, axis=0)
    unit = result.jac / np.where(size > 0, size, 1)  # a column of a parameter without effect is 0
    variance = np.zeros(p) if result.covar is None else result.covar.diagonal()  # of an exact fit
    if n <= p:
        variance = np.full(p, np.nan)
    elif np.linalg.matrix_rank(unit, tol=SINGULAR) < p:  # lmfit's are none, or very large
        variance = np.full(p, np.inf)
    half = stdtrit(n - p, 0.975) * np.sqrt(variance)
    total = np.sum((y - y.mean()) ** 2)
    r2 = float(1 - np.sum((y - result.best_fit) ** 2) / total) if np.ptp(y) > 0 else np.nan
    values = {name: float(result.params[name].value) for name in names}
    return Fit(values, dict(zip(names, half.tolist(), strict=True)), r2, n, result)
