"""Curves through points, with 95 % intervals of their parameters and of the curve.

The minimiser is scipy's. This module adds when there is no interval (too few points) and when the
points do not determine the parameters.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from cplab.errors import CplabError, require
from cplab.statistics import plain_number, row_of_numbers

EVALUATIONS = 20_000  # of a curve, after which a fit fails
SINGULAR = 1e-8  # a Jacobian of unit columns below this determines too little
WIDE = 10  # an interval wider than this times its parameter and its start determines nothing


@dataclass(frozen=True, eq=False)
class Fit:
    """A curve fitted to n points: start and parameters, initial and fitted values by name; half the
    95 % interval of each (NaN: no more points than parameters; infinite: the points do not
    determine all of them where the fit ended); r2, 1 − Σ residual² / Σ (y − mean)², NaN where all y
    are equal; and `slack`, Student's t squared times the covariance of the parameters.

    >>> line = fit(lambda t, slope: slope * t, [1, 2], [2, 4], {"slope": 1})
    >>> round(line.parameters["slope"], 6)
    2.0
    """

    curve: Callable[[np.ndarray, np.ndarray], np.ndarray]  # of t and the values of parameters
    start: dict[str, float]
    parameters: dict[str, float]
    half: dict[str, float]
    r2: float
    n: int
    slack: np.ndarray

    def band(self, t: ArrayLike) -> np.ndarray:
        """Half the 95 % interval of the curve (not of a new point) at t (...), by the delta method:
        as if the curve were straight in its parameters. NaN or infinite where `half` is."""
        from scipy.optimize import approx_fprime

        t, worst = np.asarray(t, dtype=float), max(self.half.values())
        if not np.isfinite(self.slack).all():
            return np.full(t.shape, worst)
        best = np.array([*self.parameters.values()])
        slopes = np.atleast_2d(approx_fprime(best, lambda values: self.curve(t.ravel(), values)))
        return np.sqrt(np.sum(slopes @ self.slack * slopes, axis=1)).reshape(t.shape)

    def describe(self) -> dict[str, str]:
        """Each parameter with its interval, or why it has none, as text by name."""
        texts = {}
        for name, value in self.parameters.items():
            half = self.half[name]
            if np.isnan(half):
                texts[name] = f"{plain_number(value, 3)} (no interval: too few points)"
            elif half > WIDE * max(abs(value), abs(self.start[name])):
                texts[name] = "not determined by these points"
            else:
                texts[name] = plain_interval(value, half)
        return texts


def plain_interval(value: float, half: float) -> str:
    """A number and half its interval, with the digits that the interval supports: 136 ± 88."""
    places = max(0, 1 - int(np.floor(np.log10(half)))) if half else 7
    if places > 6:
        return f"{plain_number(value, 3)} ± {plain_number(half)}"
    return f"{value:,.{places}f} ± {half:,.{places}f}"


def fit(
    function: Callable[..., Any], t: ArrayLike, y: ArrayLike, start: Mapping[str, float]
) -> Fit:
    """Fit a curve to points t, y (n,) by least squares.

    Arguments: function, of t and of parameters by name, such as `decline`; to hold one of these,
        functools.partial(decline, normal=6.9); start, a first guess of each parameter, of about its
        size.
    Raises: CplabError for fewer points than parameters, and for a fit that does not converge.

    >>> line = fit(lambda t, slope, height: slope * t + height, [0, 1, 2, 3], [1, 3, 5, 7.1],
    ...            start={"slope": 1, "height": 1})
    >>> line.describe()["slope"]
    '2.030 ± 0.075'
    """
    from scipy.optimize import least_squares
    from scipy.special import stdtrit

    t, y = row_of_numbers("t", t), row_of_numbers("y", y)
    guess, label = dict(start), getattr(function, "__name__", "this curve")
    n, p = len(t), len(guess)
    require(n == len(y), f"t has {n} numbers and y has {len(y)}: give one y for each t")
    few = f"{n} points do not determine the {p} parameters of {label}"
    require(n >= p, f"{few}: give {p} or more, and {p + 1} or more for an interval")
    at = ", ".join(f"{name} = {value:g}" for name, value in guess.items())

    def curve(t: np.ndarray, values: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):  # a minimiser may try parameters that overflow it
            return np.asarray(function(t, **dict(zip(guess, values, strict=True))), dtype=float)

    best = row_of_numbers("start", [*guess.values()], "give one for each parameter")
    try:
        first = curve(t, best)
    except Exception as error:  # a student's function may do anything
        raise CplabError(f"{label} fails at {at} ({error}): mend it") from error
    lacks = f"{label} does not give a finite number for each t at {at}: choose another start"
    require(first.shape == t.shape and np.isfinite(first).all(), lacks)
    # central differences are right near 0 too, and where parameters differ in size
    how: dict[str, Any] = {"jac": "3-point", "x_scale": "jac", "max_nfev": EVALUATIONS}
    line = f"the fit of {label} does not converge from {at}: choose another start"
    try:
        solution = least_squares(lambda values: curve(t, values) - y, best, **how)
    except ValueError:  # a curve that is not finite
        raise CplabError(line) from None
    require(solution.success, line)
    best, jacobian = solution.x, solution.jac
    size = np.linalg.norm(jacobian, axis=0)
    unit = jacobian / np.where(size > 0, size, 1)  # a column of a parameter without effect is 0
    squares, total = np.sum(solution.fun**2), np.sum((y - y.mean()) ** 2)
    if n <= p:
        slack = np.full((p, p), np.nan)
    elif np.linalg.matrix_rank(unit, tol=SINGULAR) < p:
        slack = np.full((p, p), np.inf)
    else:
        inverse = np.linalg.inv(unit.T @ unit) / np.outer(size, size)
        slack = stdtrit(n - p, 0.975) ** 2 * squares / (n - p) * inverse
    half = dict(zip(guess, np.sqrt(slack.diagonal()).tolist(), strict=True))
    r2 = float(1 - squares / total) if np.ptp(y) > 0 else np.nan
    return Fit(curve, guess, dict(zip(guess, best.tolist(), strict=True)), half, r2, n, slack)
