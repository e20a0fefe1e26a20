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
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy.integrate import quad, solve_ivp

from cplab import show
from cplab.base import palette
from cplab.base.errors import CplabError, number, one_of, whole
from cplab.lab.questions.questions import Shown, slide
from cplab.output.styles import CUES
from cplab.show import Figure
from cplab.show.base import styled
from cplab.specs import assign

DEPTHS = (1, 2, 3, 4)
MODES = (4.0, 2.0, 1.0, 0.5)  # strengths, from coarse to fine
HUES = [*CUES][:4]  # of the modes
SHARE = "share of the closed eye in the end, %"
COMPUTED = "computed here and now"
SIGHTS = {  # the words for what a deprived eye sees
    "nothing (blank)": "blank",
    "noise": "noise",
    "a weak image": "weak",
    "nothing, both eyes": "both blank",
    "noise, both eyes": "both noise",
}
CLARITY = 0.5  # correlation of the input of a weak eye with the image


class Sight(NamedTuple):
    """The covariances of what both eyes see, as in the equation at the top of this file."""

    target_a: float
    power_a: float
    target_b: float
    power_b: float
    agreement: float  # cross, divided by rho


COVARIANCES = {  # by what the eyes see
    "blank": Sight(1, 1, 0, 0, 0),
    "noise": Sight(1, 1, 0, 1, 0),
    "weak": Sight(1, 1, CLARITY, 1, CLARITY),
    "both blank": Sight(0, 0, 0, 0, 0),
    "both noise": Sight(0, 1, 0, 1, 0),
    "clear": Sight(1, 1, 1, 1, 1),
    "patch": Sight(0, 0, 1, 1, 0),
}


@dataclass(frozen=True)
class Rearing:
    """The rearing of two eyes; b is the deprived one. All times are in half-learning times (see
    `half_time`, of a mode of strength 1).

    >>> Rearing(depth=3, onset=1, length=2).phases
    (('clear', 1.0), ('blank', 2.0), ('clear', 10.0))
    """

    depth: int = 2  # layers of each eye
    onset: float = 0.0  # when the deficit begins
    length: float = 1.0  # how long it lasts
    kind: str = "blank"  # what eye b sees then, a value of SIGHTS
    patch: float = 0.0  # how long eye a is covered after it, with b open (reverse occlusion)
    recovery: float = 10.0  # how long both eyes are open then
    rho: float = 1.0  # correlation of what the two eyes see; 1: the same
    start: float = 0.01  # strength of each eye in each mode at birth
    modes: tuple[float, ...] = (1.0,)  # strengths to be learned

    def __post_init__(self) -> None:
        one_of("kind", self.kind, SIGHTS.values())
        assign(self, depth=whole("depth", self.depth, 1, 8), rho=number("rho", self.rho, 0, 1))
        for name in ("onset", "length", "patch", "recovery"):
            assign(self, **{name: number(name, getattr(self, name), 0, 1e4)})
        most = min(self.modes) / 4  # less than a quarter of each mode
        assign(self, start=number("start", self.start, 1e-6, most))
        if not self.phases:
            raise CplabError("no length is not allowed: give an onset or a recovery above 0")

    @property
    def phases(self) -> tuple[tuple[str, float], ...]:
        """What the eyes see, a key of COVARIANCES, and for how long."""
        phases = [
            ("clear", self.onset),
            (self.kind, self.length),
            ("patch", self.patch),
            ("clear", self.recovery),
        ]
        return tuple((kind, time) for kind, time in phases if time)


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
    first = start ** (1 / depth)
    last = (1 / 4) ** (1 / depth)
    time, _ = quad(lambda u: u ** (1 - depth) / (1 - 2 * u**depth), first, last, epsrel=1e-10)
    return time


def rear(rearing: Rearing) -> list[Course]:
    """The course of each mode, solved phase by phase (scipy's LSODA), at the solver's own steps.

    >>> [course] = rear(Rearing(depth=1, length=2))
    >>> course.share[[0, -1]].round(3)
    array([0.5  , 0.257])
    """
    depth = rearing.depth
    modes = np.array(rearing.modes)
    unit = half_time(depth, rearing.start)
    born = np.full((2, len(modes), 1), rearing.start ** (1 / depth))  # (eyes, modes, times)
    times = [np.zeros(1)]
    weights = [born]
    start = 0.0

    def slopes(_: float, flat: np.ndarray, target: np.ndarray, power: np.ndarray) -> np.ndarray:
        """How fast the weights u change, both arrays flat: the equation at the top of this file."""
        u = flat.reshape(2, -1)
        above = u ** (depth - 1)
        return (above * (target - power @ (above * u))).ravel()

    for kind, time in rearing.phases:
        sight = COVARIANCES[kind]
        cross = sight.agreement * rearing.rho
        target = np.outer((sight.target_a, sight.target_b), modes)  # (eyes, modes)
        power = np.array([[sight.power_a, cross], [cross, sight.power_b]])
        last_weights = weights[-1][:, :, -1]  # (eyes, modes)
        solved = solve_ivp(
            slopes,
            (0, time * unit),
            last_weights.ravel(),
            method="LSODA",
            args=(target, power),
            rtol=1e-9,
            atol=1e-12,
        )
        times.append(start + solved.t / unit)
        weights.append(solved.y.reshape(2, len(modes), -1))
        start += time
    t = np.concatenate(times)
    strengths = np.concatenate(weights, axis=2) ** depth  # (eyes, modes, times)
    a, b = strengths
    courses = []
    for mode in range(len(modes)):
        courses.append(Course(t, a[mode], b[mode]))
    return courses


def kept(**fields: Any) -> float:
    """What eye b keeps: its share of the first mode in the end, in percent.

    Arguments:
        fields: of a `Rearing`.

    >>> [round(kept(depth=depth), 1) for depth in (1, 2, 3, 4)]
    [35.8, 2.9, 1.3, 1.1]
    """
    first, *_ = rear(Rearing(**fields))
    return 100 * float(first.share[-1])


# Figures ------------------------------------------------------------------------------------------


def by_depth(name: str, values: Sequence[float]) -> dict[str, tuple[Sequence[float], list[float]]]:
    """The share of eye b in the end for values of a field of `Rearing`, at each depth, as
    {"depth 1": (values, shares)}, for `show.curves`.

    >>> [*by_depth("length", (0.5, 1.0))][-1]
    'depth 4'
    """
    lines = {}
    for depth in DEPTHS:
        shares = [kept(depth=depth, **{name: value}) for value in values]
        lines[f"depth {depth}"] = (values, shares)
    return lines


def against(groups: dict[str, tuple], x: str, **size: Any) -> Figure:
    """Draw eye b's share in the end against a time, a line for each group of `by_depth`.

    Arguments:
        x: the label of the time.
    """
    look: dict[str, Any] = {"y_range": (0, 55), "height": 330, "source": COMPUTED}
    return show.curves(groups, x, SHARE, **look | size)


@styled
def draw_rearing(rearing: Rearing, trained: Sequence[Course] = ()) -> Figure:
    """Draw how both eyes learn the four MODES at once, and the share of eye b in the end.

    Arguments:
        rearing: of these modes.
        trained: courses of gradient descent, drawn as circles.
    """
    courses = rear(rearing)
    missed = np.array(MODES) - [course.b[-1] for course in courses]
    wrong = 100 * (missed**2).sum() / np.square(MODES).sum()
    title = f"With eye b alone {wrong:.0f} % of the answer is wrong"
    fig = show.figure(title, width=900, height=320, source=COMPUTED)
    fig.ax.remove()
    open_eye, deprived_eye, bars = fig.subplots(1, 3)
    end = rearing.onset + rearing.length
    if "both" in rearing.kind:
        open_eye.axvspan(rearing.onset, end, color=palette.GREY, alpha=0.2)
    open_eye.axvspan(end, end + rearing.patch, color=palette.VERMILION, alpha=0.2)
    deprived_eye.axvspan(rearing.onset, end, color=palette.GREY, alpha=0.2)
    for mode, course, hue in zip(MODES, courses, HUES, strict=True):
        open_eye.plot(course.t, course.a / mode, color=hue)
        deprived_eye.plot(course.t, course.b / mode, color=hue)
    for mode, course, hue in zip(MODES, trained, HUES, strict=False):
        step = max(1, len(course.t) // 40)  # so that there are about 40 circles
        look: dict[str, Any] = {"color": hue, "markersize": 4}
        open_eye.plot(course.t[::step], course.a[::step] / mode, "o", **look)
        deprived_eye.plot(course.t[::step], course.b[::step] / mode, "o", **look)
    for ax, words in ((open_eye, "eye a, open"), (deprived_eye, "eye b, deprived")):
        ax.set(xlabel="time, T", ylabel=f"{words}: part of a mode", ylim=(-0.02, 1.05))
    shares = [100 * float(course.share[-1]) for course in courses]
    drawn = bars.barh([f"mode {mode:g}" for mode in MODES], shares, color=HUES, alpha=0.7)
    bars.bar_label(drawn, [f" {part:.1f} %" for part in shares])
    room = 20  # to the right of a full bar, for its number
    bars.set(xlabel="what eye b has in the end, %", xlim=(0, 100 + room))
    bars.set_xticks([0, 25, 50, 75, 100])
    bars.axvline(50, linestyle=":", color=palette.GREY)
    bars.invert_yaxis()
    return fig


def move(name: str, values: Sequence[Any], **fields: Any) -> Shown:
    """Show the figure of `draw_rearing` for each value of a field of a `Rearing`, under a slider.

    Arguments:
        name: of the field that is moved.
        fields: the others.

    >>> move("depth", (1, 2), kind="noise")
    depth 1, 2
    """
    frames = {}
    for value in values:
        rearing = Rearing(**{"modes": MODES, **fields, name: value})
        frames[f"{value:g}"] = draw_rearing(rearing)
    return slide(frames, label=name)


# The picture under the title ---------------------------------------------------------------------


def first_picture() -> Figure:
    """Draw how one eye learns whose fellow is closed for a while."""
    [course] = rear(Rearing(depth=2, length=1, recovery=0))
    lines = {"the open eye": (course.t, course.a), "the closed eye": (course.t, course.b)}
    axes = ("time, half-learning times T", "part of the answer")
    return show.curves(lines, *axes, height=300, source=COMPUTED)
