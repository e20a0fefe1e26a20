"""The bench of lab 08: two eyes, solved at every move of a slider, and gradient descent beside."""

import threading
import time
from collections.abc import Sequence
from typing import Any

import ipywidgets as w
import numpy as np
from bokeh.models import BoxAnnotation, FactorRange, Range1d
from bokeh.plotting import figure

from cplab.lab.jobs import buttons
from cplab.show import theme
from cplab.studies import linear
from cplab.studies.bench import STYLE, Bench

MODES = (4.0, 2.0, 1.0, 0.5)
NAMED = [f"mode {mode:g}" for mode in MODES]
SHADES = [look.colour for look in theme.styles(NAMED).values()]  # coarse to fine
DEPRIVED, PATCHED = "#999999", "#D55E00"
DRAWN, CIRCLES = 80, 40  # points of a curve
SIGHTS = {  # the words for what a deprived eye sees
    "nothing (blank)": "blank",
    "noise": "noise",
    "a weak image": "weak",
    "nothing, both eyes": "both blank",
    "noise, both eyes": "both noise",
}
SIDES = {"a": "Eye a, open", "b": "Eye b, deprived"}


class Eyes(Bench):
    """Two eyes that learn four modes at once, solved anew at every move of a slider.

    Arguments: initial values of the controls, by name: fields of a linear.Rearing, and `begin` and
        `samples` of linear.descend, by which the button checks the solution.
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

    def make_request(self, *position: Any) -> linear.Rearing:
        fields = dict(zip([*self.controls][:-2], position, strict=False))
        return linear.Rearing(modes=MODES, **fields)

    def draw(self) -> list[figure]:
        self._end, self._shades, figs = Range1d(0, 1), {}, []
        axes = ("time, half-learning times T", "part of a mode")
        for eye, title in SIDES.items():
            size = {"width": 290, "height": 290, "x_range": self._end, "y_range": Range1d(0, 1.05)}
            fig = theme.plain_figure(title, *axes, **size)
            fig.multi_line("t", "p", source=self.source(eye, "t p hue"), color="hue", width=2.5)
            dots = {"source": self.source(f"descent {eye}", "t p hue"), "color": "hue", "size": 5}
            fig.scatter("t", "p", marker="circle", fill_alpha=0.5, **dots)
            for kind, hue in (("deficit", DEPRIVED), ("patch", PATCHED)):
                shade = BoxAnnotation(fill_color=hue, fill_alpha=0.2, level="underlay")
                self._shades[kind, eye] = shade
                fig.add_layout(shade)
            theme.percent_axis(fig.yaxis)
            figs.append(fig)
        ends = {"x_range": Range1d(-0.1, 1.25), "y_range": FactorRange(*NAMED[::-1])}
        title = "What eye b has in the end"
        fig = theme.plain_figure(title, "share", "", **ends, width=300, height=290)
        shares = self.source("shares", "mode share text hue")
        fig.hbar("mode", 0.6, "share", source=shares, color="hue", alpha=0.7)
        fig.scatter(-0.05, "mode", source=shares, color="hue", marker="square", size=9)
        look = {"x_offset": 4, "text_baseline": "middle", "text_font_size": "12px"}
        fig.text("share", "mode", "text", source=shares, **look)
        theme.reference_line(fig, "height", theme.EQUAL.colour, 0.5)
        theme.percent_axis(fig.xaxis)
        fig.xaxis.ticker = [0, 0.5, 1]
        return [*figs, fig]

    def show(self, rearing: linear.Rearing) -> tuple[str, str]:
        courses = linear.grow(rearing)
        for eye in SIDES:
            t, p = strengths(courses, eye, DRAWN)
            self.sources[eye].data = {"t": [t] * len(p), "p": p, "hue": SHADES}
            self.sources[f"descent {eye}"].data = {"t": [], "p": [], "hue": []}
        parts = [float(course.share[-1]) for course in courses]
        texts = [f"{100 * part:.1f} %" for part in parts]
        self.sources["shares"].data = {"mode": NAMED, "share": parts, "text": texts, "hue": SHADES}
        end, last = rearing.onset + rearing.length, rearing.onset + rearing.length + rearing.patch
        for eye in SIDES:
            deprived = eye == "b" or "both" in rearing.kind
            self._shades["deficit", eye].update(left=rearing.onset, right=end, visible=deprived)
            self._shades["patch", eye].update(left=end, right=last, visible=eye == "a")
        self._end.end = courses[0].t[-1]
        missed = np.array(MODES) - [course.b[-1] for course in courses]
        wrong = 100 * (missed**2).sum() / np.square(MODES).sum()
        return f"With eye b alone <b>{wrong:.0f} %</b> of the answer is wrong.", "a few seconds"

    def work(self, stop: threading.Event) -> str:
        rearing, start = self.request, time.perf_counter()
        trained = linear.descend(rearing, *self.position[-2:])
        took, solved = time.perf_counter() - start, linear.grow(rearing)
        for eye in SIDES:
            t, p = strengths(trained, eye, CIRCLES)
            columns = {"t": np.tile(t, len(p)), "p": np.ravel(p), "hue": np.repeat(SHADES, len(t))}
            self.sources[f"descent {eye}"].data = columns
        ends = np.array([[c.share[-1] for c in courses] for courses in (trained, solved)])
        apart = f"<b>{100 * abs(ends[0] - ends[1]).max():.1f} points</b>"
        return f"Circles: trained in {took:.1f} s, {apart} from the curves' shares at most."


def strengths(courses: Sequence, eye: str, points: int) -> tuple[np.ndarray, list]:
    """Times along courses, (points,), and an eye's strength then, as a fraction of each mode's."""
    t = courses[0].t
    index = np.unique(np.linspace(0, len(t) - 1, points).round().astype(int))
    pairs = zip(courses, MODES, strict=True)
    return t[index], [getattr(course, eye)[index] / mode for course, mode in pairs]
