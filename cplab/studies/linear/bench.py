"""What one moves and watches in lab 08: two eyes that are solved at every move, gradient descent
beside them, a closed form that is put to the test, matrices that are completed."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets as w
import numpy as np
from bokeh.models import BoxAnnotation, FactorRange, Range1d
from bokeh.plotting import figure

from cplab.errors import CplabError, require
from cplab.lab.surface import buttons
from cplab.show import theme
from cplab.show.surface import Stills
from cplab.studies import linear
from cplab.studies.bench import STYLE, Bench

MODES = (4.0, 2.0, 1.0, 0.5)
NAMED = [f"mode {mode:g}" for mode in MODES]
SHADES = ["#0072B2", "#009E73", "#E69F00", "#CC79A7"]  # of modes, coarse to fine
DEPRIVED, PATCHED = "#999999", "#D55E00"
DRAWN, CIRCLES = 80, 40  # points of a curve
SIGHTS = {  # the words for what a deprived eye sees
    "nothing (blank)": "blank",
    "noise": "noise",
    "a weak image": "weak",
    "nothing, both eyes": "both blank",
    "noise, both eyes": "both noise",
}
SIDES = {"a": "eye a, open", "b": "eye b, deprived"}


class Eyes(Bench):
    """Two eyes that learn four modes at once, solved anew at every move of a slider.

    Arguments: where controls stand at first: fields of a linear.Rearing, and begin and samples, by
        which the button checks it by gradient descent.
    """

    button, stopped = "Check with gradient descent", "stopped"

    def __init__(self, **values: Any) -> None:
        log = {"base": 10, "step": 0.05, "readout_format": ".3g", **STYLE}
        bar = {"min": 0, "step": 0.05, **STYLE}
        controls: dict[str, Any] = {
            "depth": w.IntSlider(2, 1, 4, description="layers of each eye", **STYLE),
            "kind": w.Dropdown(options=SIGHTS, description="eye b sees", **STYLE),
            "onset": w.FloatSlider(0, max=5, description="from (T)", **bar),
            "length": w.FloatSlider(1, max=3, description="for (T)", **bar),
            "patch": w.FloatSlider(0, max=4, description="then patch (T)", **bar),
            "recovery": w.FloatLogSlider(10, min=0, max=2, description="then both (T)", **log),
            "rho": w.FloatSlider(1, description="the eyes agree, ρ", **bar | {"min": 0.8}, max=1),
            "start": w.FloatLogSlider(0.01, min=-3, max=-1, description="at birth, p₀", **log),
            "begin": buttons({"aligned weights": "aligned", "random weights": "random"}),
            "samples": buttons({"all images": 0, "400 images": 400}),
        }
        for name, value in values.items():
            controls[name].value = value
        super().__init__(controls)

    def ask(self, *position: Any) -> linear.Rearing:
        fields = dict(zip([*self.controls][:-2], position, strict=False))
        return linear.Rearing(modes=MODES, **fields)

    def draw(self) -> list[figure]:
        self._end, self._shades, figs = Range1d(0, 1), {}, []
        for eye, words in SIDES.items():
            room = {"width": 290, "height": 290, "x_range": self._end, "y_range": Range1d(0, 1.05)}
            fig = theme.plain_figure(words, "time, half-learning times T", "part of a mode", **room)
            fig.multi_line("t", "p", source=self.source(eye, "t p hue"), color="hue", width=2.5)
            dots = {"source": self.source(f"descent {eye}", "t p hue"), "color": "hue", "size": 5}
            fig.scatter("t", "p", marker="circle", fill_alpha=0.5, **dots)
            for kind, hue in (("deficit", DEPRIVED), ("patch", PATCHED)):
                shade = BoxAnnotation(fill_color=hue, fill_alpha=0.2, level="underlay")
                self._shades[kind, eye] = shade
                fig.add_layout(shade)
            theme.percent_axis(fig.yaxis)
            figs.append(fig)
        ends = {"x_range": Range1d(0, 1.25), "y_range": FactorRange(*NAMED[::-1])}
        title = "what eye b has in the end"
        fig = theme.plain_figure(title, "share", "", **ends, width=300, height=290)
        shares = self.source("shares", "mode share text hue")
        fig.hbar("mode", 0.6, "share", source=shares, color="hue", alpha=0.7)
        look = {"x_offset": 4, "text_baseline": "middle", "text_font_size": "12px"}
        fig.text("share", "mode", "text", source=shares, **look)
        theme.reference_line(fig, "height", theme.EQUAL.colour, 0.5)
        theme.percent_axis(fig.xaxis)
        fig.xaxis.ticker = [0, 0.5, 1]
        return [*figs, fig]

    def show(self, asked: linear.Rearing) -> tuple[str, str]:
        courses = linear.grow(asked)
        for eye in SIDES:
            t, p = strengths(courses, eye, DRAWN)
            self.sources[eye].data = {"t": [t] * len(p), "p": p, "hue": SHADES}
            self.sources[f"descent {eye}"].data = {"t": [], "p": [], "hue": []}
        parts = [float(course.share[-1]) for course in courses]
        texts = [f"{100 * part:.1f} %" for part in parts]
        self.sources["shares"].data = {"mode": NAMED, "share": parts, "text": texts, "hue": SHADES}
        end = asked.onset + asked.length
        for eye in SIDES:
            here = eye == "b" or "both" in asked.kind
            self._shades["deficit", eye].update(left=asked.onset, right=end, visible=here)
            self._shades["patch", eye].update(left=end, right=end + asked.patch, visible=eye == "a")
        self._end.end = courses[0].t[-1]
        missed = np.array(MODES) - [course.b[-1] for course in courses]
        wrong = 100 * (missed**2).sum() / np.square(MODES).sum()
        return f"With eye b alone <b>{wrong:.0f} %</b> of the answer is wrong.", "a few seconds"

    def work(self, stop: threading.Event) -> str:
        asked, began = self.asked, time.perf_counter()
        trained = linear.descend(asked, *self.position[-2:])
        took, solved = time.perf_counter() - began, linear.grow(asked)
        for eye in SIDES:
            t, p = strengths(trained, eye, CIRCLES)
            columns = {"t": np.tile(t, len(p)), "p": np.ravel(p), "hue": np.repeat(SHADES, len(t))}
            self.sources[f"descent {eye}"].data = columns
        ends = np.array([[course.share[-1] for course in some] for some in (trained, solved)])
        apart = f"<b>{100 * abs(ends[0] - ends[1]).max():.1f} points</b>"
        return f"Circles: trained in {took:.1f} s, {apart} from the curves' shares at most."


def strengths(courses: Sequence, eye: str, points: int) -> tuple[np.ndarray, list]:
    """So many times, and an eye's strength as a part of each mode then."""
    t = courses[0].t
    at = np.unique(np.linspace(0, len(t) - 1, points).round().astype(int))
    pairs = zip(courses, MODES, strict=True)
    return t[at], [getattr(course, eye)[at] / mode for course, mode in pairs]


def check_formula(formula: Callable, depth: int) -> Stills:
    """Whether a closed form holds: the share of eye b, blank from birth for a time, in the end.

    Arguments: formula, of t (n,), times of the deficit in units of 1 / learning rate, and of p0,
        the start; depth, layers of each eye.
    """
    lengths = np.linspace(0, 3, 25)
    lives = [linear.Rearing(depth, length=length, recovery=60) for length in lengths]
    solved = np.array([linear.share(life)[0] for life in lives])
    try:
        ours = formula(lengths * linear.half_time(depth), lives[0].start)
        ours = np.broadcast_to(np.asarray(ours, float), solved.shape)
    except Exception as error:  # a student's formula may do anything
        raise CplabError(f"the formula gives no share for each time ({error}): mend it") from error
    apart = float(np.abs(ours - solved).max())
    require(np.isfinite(apart), "the formula gives no finite number somewhere: look at it again")
    words = "It <b>holds</b>" if apart < 1e-3 else "It does <b>not hold</b> yet"
    axes = ("for, half-learning times T", "share of eye b in the end")
    title = f"depth {depth}, eye b blank from birth"
    fig = theme.plain_figure(title, *axes, width=520, height=280, y_range=Range1d(-0.02, 0.62))
    fig.line(lengths, ours, width=3, color=theme.LIVE.colour, legend_label="your formula")
    fig.scatter(lengths, solved, size=7, color=SHADES[0], legend_label="solved, step by step")
    theme.percent_axis(fig.yaxis)
    text = f"{words}: the largest difference is {apart:.1g}."
    return Stills([text, theme.place_legend(fig, "above")])


class CompletionBench(Bench):
    """Complete matrices here and now, with a deficit at each of some ages and without.

    Arguments: onsets, in steps; lengths, of the deficit in steps, by depth; how, other arguments of
        linear.complete. `completed` holds what was computed, by depth and deficit.
    """

    button, stopped = "Complete", "stopped"

    def __init__(
        self,
        onsets: Sequence[int] = (0, 50, 100, 200, 400),
        lengths: Sequence[int] = (300, 300, 500, 1000),
        **how: Any,
    ) -> None:
        self._how = {"onsets": onsets, "recovery": 1500, **how}
        self._lengths = lengths
        self.completed: dict[tuple[int, str], linear.Completed] = {}
        deficits = {"few entries": "few", "noise": "noise", "another matrix": "other"}
        depths = {f"{n} layers": n for n in (2, 3, 4)}
        super().__init__({"depth": buttons(depths), "deficit": buttons(deficits)})

    def ask(self, depth: int, deficit: str) -> tuple[int, str]:
        return depth, deficit

    def draw(self) -> figure:
        axes = ("the deficit begins at step", "error on entries never observed")
        fig = theme.plain_figure("", *axes, width=640, height=320)
        ends = -10, max(self._how["onsets"]) + 10
        fig.x_range, fig.y_range = Range1d(*ends), Range1d(0, 1.1)
        look = {"color": SHADES[0], "legend_label": "with the deficit: median, and each seed"}
        fig.line("x", "y", source=self.source("median", "x y"), width=2.5, **look)
        fig.scatter("x", "y", source=self.source("seeds", "x y"), size=6, alpha=0.5, **look)
        cut = {"color": theme.EQUAL.colour, "line_dash": "dashed", "width": 2}
        cut["legend_label"] = "the same without it: median"
        fig.line("x", "y", source=self.source("without", "x y"), **cut)
        theme.percent_axis(fig.yaxis)
        return theme.place_legend(fig, "above")

    def refresh(self) -> None:
        super().refresh()
        if self.asked not in self.completed and not self.job.busy:
            self.job.start.click()

    def show(self, asked: tuple[int, str]) -> tuple[str, str]:
        done = self.completed.get(asked)
        if done is None:
            for source in self.sources.values():
                source.data = {"x": [], "y": []}
            return "Completing …", "a few seconds"
        x, seeds = list(done.onsets), done.error.shape[1]
        self.sources["seeds"].data = {"x": np.repeat(x, seeds), "y": done.error.ravel()}
        for name, rows in (("median", done.error), ("without", done.without)):
            self.sources[name].data = {"x": x, "y": np.median(rows, 1)}
        rank, without = np.median(done.rank[0]), np.median(done.rank_without[0])
        return f"Effective rank after a deficit at birth {rank:.1f}, without it {without:.1f}.", ""

    def work(self, stop: threading.Event) -> str:
        began, bar, asked = time.monotonic(), self.job.progress, self.asked
        bar.max = 100

        def report(part: float) -> None:
            bar.value = round(100 * part)

        length = self._lengths[asked[0] - 1]
        done = linear.complete(*asked, length=length, **self._how, stop=stop, report=report)
        self.completed[asked] = done
        report(1)
        self.refresh()
        return f"{done.error.shape[1]} seeds, {time.monotonic() - began:.1f} s"
