"""Lab 08: two eyes as two pathways of a deep linear network: equations, solution, figures.

Each eye has D linear layers; the output is the sum of both. From a small balanced start every mode
of the target (a singular value s) is learned by itself, and all layers of an eye have the same
weight u in it, so that the eye's strength is p = u^D (Saxe, McClelland, Ganguli 2014; Kleinman,
Achille, Soatto 2024). With the covariances of what the eyes see, gradient descent at a small rate
is

    u_a' = u_a^(D-1) (target_a s - power_a p_a - cross p_b)

and the same with a and b exchanged.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from pydantic import BeforeValidator, Field
from scipy.integrate import quad, solve_ivp

from cplab import show
from cplab.errors import require
from cplab.show import Figure
from cplab.show.base import styled
from cplab.show.styles import CUES
from cplab.specs import Count, Fraction, Number, Spec, spec_class

__all__ = ["DEPTHS", "MODES", "SIGHTS", "Course", "Rearing", "against", "by_depth", "draw_eyes"]
__all__ += ["COMPUTED", "SHARE", "grow", "half_time", "kept", "share"]

DEPTHS, MODES = (1, 2, 3, 4), (4.0, 2.0, 1.0, 0.5)
HUES = [*CUES][:4]  # of the modes, coarse to fine
SHARE, COMPUTED = "share of the closed eye in the end, %", "computed here and now"
SIGHTS = {  # the words for what a deprived eye sees
    "nothing (blank)": "blank",
    "noise": "noise",
    "a weak image": "weak",
    "nothing, both eyes": "both blank",
    "noise, both eyes": "both noise",
}
CLARITY = 0.5  # correlation of the input of a weak eye with the image
# By what the eyes see: target_a, power_a, target_b, power_b, and cross divided by rho.
COVARIANCES = {
    "blank": (1, 1, 0, 0, 0),
    "noise": (1, 1, 0, 1, 0),
    "weak": (1, 1, CLARITY, 1, CLARITY),
    "both blank": (0, 0, 0, 0, 0),
    "both noise": (0, 1, 0, 1, 0),
    "clear": (1, 1, 1, 1, 1),
    "patch": (0, 0, 1, 1, 0),
}
DEPRIVATIONS = (*COVARIANCES,)[:5]

Time = Annotated[Number, Field(ge=0, lt=1e4)]
Modes = Annotated[
    tuple[Annotated[Number, Field(ge=1e-3, lt=100)], ...],
    BeforeValidator(lambda value: (value,) if isinstance(value, int | float) else value),
    Field(min_length=1, max_length=100),
]


@spec_class
class Rearing(Spec):
    """The rearing of two eyes, of which b is deprived. All times are in half-learning times (see
    `half_time`, of a mode of strength 1).

    >>> Rearing(depth=3, onset=1, length=2).phases
    (('clear', 1.0), ('blank', 2.0), ('patch', 0.0), ('clear', 10.0))
    """

    depth: Annotated[Count, Field(ge=1, le=8)] = 2  # layers of each eye
    onset: Time = 0.0  # when the deficit begins
    length: Time = 1.0  # how long it lasts
    kind: Literal[DEPRIVATIONS] = "blank"  # type: ignore[valid-type]
    """blank (eye b sees nothing), noise (pure noise), weak (half signal, half noise), both blank,
    both noise."""
    patch: Time = 0.0  # how long eye a is covered after it, with b open (reverse occlusion)
    recovery: Time = 10.0  # how long both eyes are open then
    rho: Fraction = 1.0  # correlation of what the two eyes see; 1: the same
    start: Annotated[Number, Field(ge=1e-6, lt=0.25)] = 0.01
    """Strength of each eye in each mode at birth."""
    modes: Modes = (1.0,)  # strengths to be learned

    def __post_init__(self) -> None:
        lasts = any(time for _, time in self.phases)
        require(lasts, "a run of no length is not allowed: give an onset or recovery above 0")
        little = f"start {self.start:g} is not allowed: give less than a quarter of each mode"
        require(self.start < min(self.modes) / 4, little)

    @property
    def phases(self) -> tuple[tuple[str, float], ...]:
        """What the eyes see, a key of COVARIANCES, and for how long."""
        before = ("clear", self.onset), (self.kind, self.length)
        return (*before, ("patch", self.patch), ("clear", self.recovery))


class Course(NamedTuple):
    """The learning of a mode: half-learning times t, and strengths a and b of the eyes, (n,)."""

    t: np.ndarray
    a: np.ndarray
    b: np.ndarray

    @property
    def share(self) -> np.ndarray:
        """Eye b's share of the strength of both, (n,)."""
        return self.b / (self.a + self.b)


def half_time(depth: int, start: float = 0.01) -> float:
    """Time, in units of 1 / learning rate, until two eyes of `depth` layers that see the same have
    learned half of a mode of strength 1: ∫ du / (u^(D-1) (1 - 2 u^D)), from the start to a quarter
    each.

    >>> [round(half_time(depth), 2) for depth in (1, 2, 3, 4)]
    [0.34, 1.95, 3.52, 4.52]
    """
    ends = (start ** (1 / depth), (1 / 4) ** (1 / depth))
    return quad(lambda u: u ** (1 - depth) / (1 - 2 * u**depth), *ends, epsrel=1e-10)[0]


def grow(rearing: Rearing) -> list[Course]:
    """The course of each mode, solved phase by phase (scipy's LSODA), at the solver's own steps.

    >>> [course] = grow(Rearing(depth=1, length=2))
    >>> course.share[[0, -1]].round(3)
    array([0.5  , 0.257])
    """
    depth, modes, start = rearing.depth, np.array(rearing.modes), 0.0
    unit = half_time(depth, rearing.start)
    times, weights = [np.zeros(1)], [np.full((2, len(modes), 1), rearing.start ** (1 / depth))]

    def slopes(_: float, flat: np.ndarray, target: np.ndarray, power: np.ndarray) -> np.ndarray:
        u = flat.reshape(2, -1)
        above = u ** (depth - 1)
        return (above * (target - power @ (above * u))).ravel()

    for kind, time in rearing.phases:
        if not time:
            continue
        target_a, power_a, target_b, power_b, agreement = COVARIANCES[kind]
        cross = agreement * rearing.rho
        args = np.outer((target_a, target_b), modes), np.array([[power_a, cross], [cross, power_b]])
        how: dict = {"method": "LSODA", "args": args, "rtol": 1e-9, "atol": 1e-12}
        solved = solve_ivp(slopes, (0, time * unit), weights[-1][:, :, -1].ravel(), **how)
        times.append(start + solved.t / unit)
        weights.append(solved.y.reshape(2, len(modes), -1))
        start += time
    t, (a, b) = np.concatenate(times), np.concatenate(weights, axis=2) ** depth
    return [Course(t, *strengths) for strengths in zip(a, b, strict=True)]


def share(rearing: Rearing) -> np.ndarray:
    """Eye b's share of the strength of both in the end, for each mode, (modes,).

    >>> [float(share(Rearing(depth=depth)).round(3)[0]) for depth in (1, 2, 3, 4)]
    [0.358, 0.029, 0.013, 0.011]
    """
    return np.array([course.share[-1] for course in grow(rearing)])


def kept(**fields: Any) -> float:
    """The share of eye b in the end, in percent, if two eyes are reared like this (`Rearing`).

    >>> round(kept(depth=1, length=1), 1)
    35.8
    """
    return 100 * float(share(Rearing(**fields))[0])


# Figures ------------------------------------------------------------------------------------------


def by_depth(name: str, values: Sequence[float]) -> dict[str, tuple]:
    """The share of eye b in the end for values of a field of `Rearing`, at each depth, as
    {"depth 1": (values, shares)}, for `show.curves`.

    >>> [*by_depth("length", (0.5, 1.0))][-1]
    'depth 4'
    """
    return {
        f"depth {d}": (values, [kept(depth=d, **{name: value}) for value in values]) for d in DEPTHS
    }


def against(groups: dict[str, tuple], x: str, title: str = "", **size: Any) -> Figure:
    """Draw the share of eye b against a time, a line for each group."""
    how: dict[str, Any] = {"y_range": (0, 55), "height": 330, "source": COMPUTED, **size}
    return show.curves(groups, x, SHARE, title, **how)


@styled
def draw_eyes(trained: Sequence[Course] = (), **fields: Any) -> Figure:
    """Draw how both eyes learn four modes at once, and the share of eye b in the end.

    Arguments: trained, courses of gradient descent, drawn as circles; fields, of a `Rearing`.
    """
    rearing = Rearing(modes=MODES, **fields)
    courses = grow(rearing)
    missed = np.array(MODES) - [course.b[-1] for course in courses]
    wrong = 100 * (missed**2).sum() / np.square(MODES).sum()
    title = f"With eye b alone {wrong:.0f} % of the answer is wrong"
    fig = show.figure(title, width=900, height=320, source=COMPUTED)
    fig.ax.remove()
    *eyes, bars = fig.subplots(1, 3)
    end, last = rearing.onset + rearing.length, rearing.onset + rearing.length + rearing.patch
    for ax, eye, words in zip(eyes, "ab", ("eye a, open", "eye b, deprived"), strict=True):
        for mode, course, hue in zip(MODES, courses, HUES, strict=True):
            ax.plot(course.t, getattr(course, eye) / mode, color=hue, label=f"mode {mode:g}")
        for mode, course, hue in zip(MODES, trained, HUES, strict=False):
            some = slice(None, None, max(1, len(course.t) // 40))
            ax.plot(course.t[some], getattr(course, eye)[some] / mode, "o", color=hue, markersize=4)
        if eye == "b" or "both" in rearing.kind:
            ax.axvspan(rearing.onset, end, color="#999999", alpha=0.2)
        if eye == "a":
            ax.axvspan(end, last, color="#D55E00", alpha=0.2)
        ax.set(xlabel="time, T", ylabel=f"{words}: part of a mode", ylim=(-0.02, 1.05))
    shares = [100 * float(course.share[-1]) for course in courses]
    drawn = bars.barh([f"mode {mode:g}" for mode in MODES], shares, color=HUES, alpha=0.7)
    bars.bar_label(drawn, [f" {part:.1f} %" for part in shares])
    bars.set(xlabel="what eye b has in the end, %", xlim=(0, 125))
    bars.axvline(50, linestyle=":", color="#767676")
    bars.invert_yaxis()
    return fig


def first_picture() -> Figure:
    """Draw how one eye learns whose fellow is closed for a while."""
    course = grow(Rearing(depth=2, length=1, recovery=0))[0]
    lines = {"the open eye": (course.t, course.a), "the closed eye": (course.t, course.b)}
    axes = ("time, half-learning times T", "part of the answer")
    title = "Now the closed eye opens, with all the time in the world. What will it have?"
    return show.curves(lines, *axes, title, height=300, source=COMPUTED)
