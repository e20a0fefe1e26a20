"""Two eyes as two pathways of a deep linear network: their equations, solved, and what is kept.

Each eye has D linear layers; both add up to the answer. From a small balanced start every mode of
the answer (a singular value s of what is to be learned) is learned by itself, and all layers of an
eye have the same weight u in it, so that the eye's strength is p = u^D (Saxe, McClelland, Ganguli
2014; Kleinman, Achille, Soatto 2024). With the covariances of what the eyes see, gradient descent
at a small rate is

    u_a' = u_a^(D-1) (target_a s - power_a p_a - cross p_b)

and the same with a and b exchanged. lab/two_pathways.js is this file in JavaScript, for the page.
"""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np

from cplab.checks import many, number, quote, require, whole
from cplab.runs import check_fields, setting

DEPRIVATIONS = ("blank", "noise", "weak", "both blank", "both noise")
CLARITY = 0.5  # correlation of what a weak eye sees with what there is to see
CAREFUL = 4e-7  # bound of a step's error, by the difference of its four slopes
STABLE = 2.0  # step, in times of the quickest decay
REST = 1e-13  # slopes below it, as parts of the largest, have ended
NODES, WEIGHTS = np.polynomial.legendre.leggauss(60)  # of an integral from -1 to 1

time_of = partial(number, low=0, below=1e4)
depth_of = partial(whole, least=1, most=8)
start_of = partial(number, low=1e-6, below=0.25)
mode_of = partial(number, low=1e-3, below=100)


@dataclass(frozen=True)
class Rearing:
    """How two eyes are reared; b is the one that is deprived. All times are in half-learning times
    (see `half_time`, of a mode of strength 1).

    depth: layers of each eye, 1 to 8.
    onset, length: when the deficit begins, and how long it lasts.
    kind: blank (eye b sees nothing), noise (something that means nothing), weak (half signal, half
        noise), both blank, both noise.
    patch: how long eye a is covered after it, with b open (reverse occlusion).
    recovery: how long both eyes are open then.
    rho: correlation of what the two eyes see; 1: the same.
    start: strength of each eye in each mode at birth.
    modes: strengths to be learned.

    >>> Rearing(depth=3, onset=1, length=2).phases
    (('clear', 1.0), ('blank', 2.0), ('patch', 0.0), ('clear', 10.0))
    """

    depth: int = setting(2, depth_of)
    onset: float = setting(0.0, time_of)
    length: float = setting(1.0, time_of)
    kind: str = setting("blank", names=DEPRIVATIONS)
    patch: float = setting(0.0, time_of)
    recovery: float = setting(10.0, time_of)
    rho: float = setting(1.0, partial(number, low=0, below=1, closed=True))
    start: float = setting(0.01, start_of)
    modes: tuple[float, ...] = setting(
        (1.0,), lambda name, value: tuple(mode_of("a mode", m) for m in many(name, value, 100))
    )

    def __post_init__(self) -> None:
        check_fields(self)
        lasts = "is not allowed: give an onset, length, patch or recovery above 0"
        require(any(time for _, time in self.phases), f"a life of no length {lasts}")
        require(self.modes, "modes () are not allowed: give one or more")
        for mode in self.modes:
            half_time(self.depth, mode, self.start)  # which refuses a start that is too large

    @property
    def phases(self) -> tuple[tuple[str, float], ...]:
        """What is seen, and for how long."""
        both = (("clear", self.onset), (self.kind, self.length))
        return (*both, ("patch", self.patch), ("clear", self.recovery))


class Course(NamedTuple):
    """How a mode was learned: half-learning times t, and strengths a and b of the eyes, (n,)."""

    t: np.ndarray
    a: np.ndarray
    b: np.ndarray

    @property
    def share(self) -> np.ndarray:
        """What eye b has of both, (n,)."""
        return self.b / (self.a + self.b)


def view_covariances(kind: str, rho: float) -> tuple[float, float, float, float, float]:
    """The covariances of what the eyes see: target_a, power_a, target_b, power_b, cross."""
    return {
        "clear": (1.0, 1.0, 1.0, 1.0, rho),
        "blank": (1.0, 1.0, 0.0, 0.0, 0.0),
        "noise": (1.0, 1.0, 0.0, 1.0, 0.0),
        "weak": (1.0, 1.0, CLARITY, 1.0, CLARITY * rho),
        "patch": (0.0, 0.0, 1.0, 1.0, 0.0),
        "both blank": (0.0, 0.0, 0.0, 0.0, 0.0),
        "both noise": (0.0, 1.0, 0.0, 1.0, 0.0),
    }[kind]


def half_time(depth: int, mode: float = 1.0, start: float = 0.01) -> float:
    """Time, in units of 1 / learning rate, until two eyes that see the same have learned half of a
    mode: ∫ du / (u^(D-1) (s - 2 u^D)), from the start to a quarter of s each.

    Arguments: depth, layers of each eye; mode, its strength s; start, strength of each eye then.
    Raises: CplabError for what a Rearing is not allowed either.

    >>> [round(half_time(depth), 2) for depth in (1, 2, 3, 4)]
    [0.34, 1.95, 3.52, 4.52]
    """
    depth, mode, start = depth_of("depth", depth), mode_of("mode", mode), start_of("start", start)
    little = f"start {start:g} is not allowed: give less than a quarter of each mode"
    require(start < mode / 4, little)
    low, high = (np.log(p) / depth for p in (start, mode / 4))
    u = np.exp(low + (high - low) * (NODES + 1) / 2)
    return float(WEIGHTS @ (u ** (2 - depth) / (mode - 2 * u**depth)) * (high - low) / 2)


def grow(rearing: Rearing) -> list[Course]:
    """How each mode of a rearing is learned, by Runge's and Kutta's method of fourth order; no step
    lies across a change, and its length follows its error.

    >>> [course] = grow(Rearing(depth=1, length=2))
    >>> course.share[[0, -1]].round(3)
    array([0.5  , 0.257])
    """
    unit = half_time(rearing.depth, 1.0, rearing.start)
    views = [(view_covariances(kind, rearing.rho), time * unit) for kind, time in rearing.phases]
    courses = []
    for mode in rearing.modes:
        u = rearing.start ** (1 / rearing.depth)
        rows = [(0.0, u, u)]
        for seen, time in views:
            integrate(rows, rearing.depth, mode, seen, time)
        t, a, b = np.array(rows).T
        courses.append(Course(t / unit, a**rearing.depth, b**rearing.depth))
    return courses


def integrate(rows: list[tuple], depth: int, mode: float, seen: tuple, time: float) -> None:
    """Go on from the last of the rows (time, u_a, u_b) for some time of one view."""
    target_a, power_a, target_b, power_b, cross = seen
    target_a, target_b, power = target_a * mode, target_b * mode, depth - 1

    def slopes(a: float, b: float) -> tuple[float, float]:
        above_a, above_b = a**power, b**power
        p_a, p_b = above_a * a, above_b * b
        return (
            above_a * (target_a - power_a * p_a - cross * p_b),
            above_b * (target_b - power_b * p_b - cross * p_a),
        )

    t, a, b = rows[-1]
    end = t + time
    # beyond it the method is not stable
    longest = STABLE / (max(2, depth) * mode ** (2 - 2 / depth))
    step, rest = longest / 4, REST * max(1, mode ** (2 - 1 / depth))
    while t < end:
        a1, b1 = slopes(a, b)
        if max(abs(a1), abs(b1)) < rest:
            rows.append((end, a, b))
            return
        h = min(step, end - t)
        a2, b2 = slopes(a + h / 2 * a1, b + h / 2 * b1)
        a3, b3 = slopes(a + h / 2 * a2, b + h / 2 * b2)
        a4, b4 = slopes(a + h * a3, b + h * b3)
        error = h * max(abs(a1 - a2 - a3 + a4), abs(b1 - b2 - b3 + b4))
        grown = min(3.0, max(0.2, 0.9 * (CAREFUL / (error + 1e-30)) ** (1 / 3)))
        step = min(longest, h * grown) if h == step or grown < 1 else step
        if error > 2 * CAREFUL:
            continue
        t = end if h == end - t else t + h
        a += h / 6 * (a1 + 2 * a2 + 2 * a3 + a4)
        b += h / 6 * (b1 + 2 * b2 + 2 * b3 + b4)
        rows.append((t, a, b))


def share(rearing: Rearing) -> np.ndarray:
    """What eye b has in the end of the strength of both, for each mode, (modes,).

    >>> [float(share(Rearing(depth=depth)).round(3)[0]) for depth in (1, 2, 3, 4)]
    [0.358, 0.029, 0.013, 0.011]
    """
    return np.array([course.share[-1] for course in grow(rearing)])


def invariant(depth: int, p: float) -> float:
    """What both eyes change alike while they see the same (rho = 1), so that its difference between
    them stays: p for one layer, log p for two, -p^-(1 - 2/D) for more.

    Raises: CplabError for more than 8 layers, and for several with a strength that is not above 0.

    >>> invariant(1, 0.25), round(invariant(4, 0.25), 3)
    (0.25, -2.0)
    """
    fine = (depth_of("depth", depth) == 1 or p > 0) and np.isfinite(p)
    require(fine, f"strength {quote(p)} is not allowed: give one above 0")
    if depth == 1:
        return p
    return float(np.log(p)) if depth == 2 else -(p ** (2 / depth - 1))


def share_at_rest(depth: int, a: float, b: float, mode: float = 1.0) -> float:
    """The share of eye b at rest, in closed form: both are open from strengths a and b on and see
    the same. One layer keeps the difference, two the ratio, more the difference of p^-(1 - 2/D);
    their sum becomes the mode.

    Arguments: depth, layers of each eye; a, b, strengths; mode, what is to be learned.
    Raises: CplabError as `invariant`, and for a mode that a Rearing is not allowed.

    >>> share_at_rest(1, 0.3, 0.1), share_at_rest(2, 0.3, 0.1)
    (0.4, 0.25)
    """
    mode_of("mode", mode)
    kept = invariant(depth, b) - invariant(depth, a)
    if depth == 1:
        return (mode + kept) / 2 / mode
    if depth == 2:
        return b / (a + b)
    low, high = 0.0, mode  # the difference rises with the strength of b
    for _ in range(50):
        middle = (low + high) / 2
        known = invariant(depth, middle) - invariant(depth, mode - middle)
        low, high = (middle, high) if known < kept else (low, middle)
    return (low + high) / 2 / mode
