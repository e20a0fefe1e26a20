"""Two eyes as two pathways of a deep linear network: their equations, solved, and what is kept.

Each eye has D linear layers; both add up to the answer. From a small balanced start every mode of
the answer (a singular value s of what is to be learned) is learned by itself, and all layers of an
eye have the same weight u in it, so that the eye's strength is p = u^D (Saxe, McClelland, Ganguli
2014; Kleinman, Achille, Soatto 2024). With the covariances of what the eyes see, gradient descent
at a small rate is

    u_a' = u_a^(D-1) (target_a s - power_a p_a - cross p_b)

and the same with a and b exchanged.
"""

from functools import partial
from typing import Annotated, Literal, NamedTuple

import numpy as np
from pydantic import BeforeValidator, Field
from scipy.integrate import quad, solve_ivp
from scipy.optimize import brentq
from scipy.special import expit

from cplab.errors import number, quote, require, whole
from cplab.specs import Count, Fraction, Number, Spec, spec_class

DEPRIVATIONS = ("blank", "noise", "weak", "both blank", "both noise")
CLARITY = 0.5  # correlation of what a weak eye sees with what there is to see

Time = Annotated[Number, Field(ge=0, lt=1e4)]
depth_of = partial(whole, least=1, most=8)
start_of = partial(number, low=1e-6, below=0.25)
mode_of = partial(number, low=1e-3, below=100)


@spec_class
class Rearing(Spec):
    """How two eyes are reared; b is the one that is deprived. All times are in half-learning times
    (see `half_time`, of a mode of strength 1).

    >>> Rearing(depth=3, onset=1, length=2).phases
    (('clear', 1.0), ('blank', 2.0), ('patch', 0.0), ('clear', 10.0))
    """

    depth: Annotated[Count, Field(ge=1, le=8)] = 2
    """Layers of each eye."""
    onset: Time = 0.0
    """When the deficit begins."""
    length: Time = 1.0
    """How long it lasts."""
    kind: Literal[DEPRIVATIONS] = "blank"  # type: ignore[valid-type]
    """blank (eye b sees nothing), noise (something that means nothing), weak (half signal, half
    noise), both blank, both noise."""
    patch: Time = 0.0
    """How long eye a is covered after it, with b open (reverse occlusion)."""
    recovery: Time = 10.0
    """How long both eyes are open then."""
    rho: Fraction = 1.0
    """Correlation of what the two eyes see; 1: the same."""
    start: Annotated[Number, Field(ge=1e-6, lt=0.25)] = 0.01
    """Strength of each eye in each mode at birth."""
    modes: Annotated[
        tuple[Annotated[Number, Field(ge=1e-3, lt=100)], ...],
        BeforeValidator(lambda each: (each,) if isinstance(each, int | float) else each),
        Field(max_length=100),
    ] = (1.0,)
    """Strengths to be learned."""

    def __post_init__(self) -> None:
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
    ends = (start ** (1 / depth), (mode / 4) ** (1 / depth))
    return quad(lambda u: u ** (1 - depth) / (mode - 2 * u**depth), *ends, epsrel=1e-10)[0]


def grow(rearing: Rearing) -> list[Course]:
    """Solve how each mode of a rearing is learned, phase by phase (scipy's LSODA).

    Returns: for each mode its course, at the solver's own steps and where what is seen changes.

    >>> [course] = grow(Rearing(depth=1, length=2))
    >>> course.share[[0, -1]].round(3)
    array([0.5  , 0.257])
    """
    depth, modes = rearing.depth, np.array(rearing.modes)
    unit, begun = half_time(depth, 1.0, rearing.start), 0.0
    times = [np.zeros(1)]
    weights = [np.full((2, len(modes), 1), rearing.start ** (1 / depth))]
    for kind, time in rearing.phases:
        if not time:
            continue
        target_a, power_a, target_b, power_b, cross = view_covariances(kind, rearing.rho)
        target = np.outer((target_a, target_b), modes)
        power = np.array([[power_a, cross], [cross, power_b]])

        def slopes(
            _: float, flat: np.ndarray, target: np.ndarray = target, power: np.ndarray = power
        ) -> np.ndarray:
            u = flat.reshape(2, -1)
            above = u ** (depth - 1)
            return (above * (target - power @ (above * u))).ravel()

        begin = weights[-1][:, :, -1].ravel()
        solved = solve_ivp(slopes, (0, time * unit), begin, method="LSODA", rtol=1e-9, atol=1e-12)
        times.append(begun + solved.t / unit)
        weights.append(solved.y.reshape(2, len(modes), -1))
        begun += time
    t, (a, b) = np.concatenate(times), np.concatenate(weights, axis=2) ** depth
    return [Course(t, *strengths) for strengths in zip(a, b, strict=True)]


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

    def surplus(logit: float) -> float:
        b, a = mode * expit(logit), mode * expit(-logit)
        return invariant(depth, b) - invariant(depth, a) - kept

    return float(expit(brentq(surplus, -700, 700)))
