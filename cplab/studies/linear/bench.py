"""What one moves and watches in lab 08: two eyes that are solved at every move, gradient descent
beside them, a closed form that is put to the test, matrices that are completed."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets as w
import numpy as np
from bokeh.models import BoxAnnotation, ColumnDataSource, FactorRange, Range1d
from bokeh.plotting import figure

from cplab.checks import CplabError, quote, require
from cplab.lab.live import Job
from cplab.lab.surface import TEXT, buttons, error_html, surface
from cplab.lab.widgets import Question
from cplab.show import theme
from cplab.studies import linear

__all__ = ["MODES", "SIGHTS", "CompletionBench", "Eyes", "check_formula", "number_question"]

MODES = (4.0, 2.0, 1.0, 0.5)
NAMED = [f"mode {mode:g}" for mode in MODES]
SHADES = ("#0072B2", "#009E73", "#E69F00", "#CC79A7")  # of modes, coarse to fine
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


class Eyes(w.VBox):
    """Two eyes that learn four modes at once, solved anew at every move of a slider.

    Arguments: where sliders stand at first, fields of linear.Rearing by name.

    `controls` are the sliders by those names; `check`, `begin` and `samples` are for real gradient
    descent; `readout` says what came out; `sources` hold what is drawn.
    """

    def __init__(self, **values: Any) -> None:
        bar: dict[str, Any] = {"layout": {"width": "400px"}}
        bar["style"] = {"description_width": "130px"}
        log = {"base": 10, "step": 0.05, "readout_format": ".3g", **bar}
        self.controls: dict[str, Any] = {
            "depth": w.IntSlider(2, 1, 4, description="layers of each eye", **bar),
            "kind": w.Dropdown(options=SIGHTS, description="eye b sees", **bar),
            "onset": w.FloatSlider(0, min=0, max=5, step=0.1, description="from (T)", **bar),
            "length": w.FloatSlider(1, min=0, max=3, step=0.05, description="for (T)", **bar),
            "patch": w.FloatSlider(0, min=0, max=4, step=0.05, description="then patch (T)", **bar),
            "recovery": w.FloatLogSlider(10, min=0, max=2, description="then both (T)", **log),
            "rho": w.FloatSlider(
                1, min=0.8, max=1, step=0.01, description="the eyes agree, ρ", **bar
            ),
            "start": w.FloatLogSlider(0.01, min=-3, max=-1, description="at birth, p₀", **log),
        }
        for name, value in values.items():
            self.controls[name].value = value
        names = [*self.controls]
        sliders = [w.VBox([self.controls[n] for n in part]) for part in (names[:4], names[4:])]
        self.check = w.Button(description="Check with gradient descent", layout={"width": "220px"})
        self.begin = buttons({"aligned weights": "aligned", "random weights": "random"})
        self.samples = buttons({"all images": 0, "400 images": 400})
        wrap = {"flex_flow": "row wrap", "align_items": "center"}
        line = w.HBox([self.check, self.begin, self.samples], layout=wrap)
        self.readout = w.HTML().add_class("cplab-eyes")
        self.checked = w.HTML().add_class("cplab-checked")
        figs = self._draw()
        self._move()
        for control in self.controls.values():
            control.observe(self._move, "value")
        self.check.on_click(self._descend)
        above = [w.HBox(sliders, layout=wrap), self.readout, line, self.checked]
        super().__init__([*above, surface(figs)])

    @property
    def rearing(self) -> linear.Rearing:
        """What the sliders ask for."""
        return linear.Rearing(modes=MODES, **{n: one.value for n, one in self.controls.items()})

    def _draw(self) -> list[figure]:
        """The figures, before anything is solved."""
        self.sources = {n: ColumnDataSource(name=f"eyes {n}") for n in ("a", "b", "shares")}
        self._end, self._shades, figs = Range1d(0, 1), {}, []
        for eye, words in SIDES.items():
            name = f"descent {eye}"
            self.sources[name] = ColumnDataSource({"t": [], "p": [], "hue": []}, name=name)
            room = {"width": 290, "height": 290, "x_range": self._end, "y_range": Range1d(0, 1.05)}
            fig = theme.plain_figure(words, "time, half-learning times T", "part of a mode", **room)
            look = {"color": "hue", "source": self.sources[eye], "width": 2.5}
            fig.multi_line("t", "p", **look)
            dots = {"source": self.sources[name], "color": "hue", "size": 5}
            fig.scatter("t", "p", marker="circle", fill_alpha=0.5, **dots)
            for kind, hue in (("deficit", DEPRIVED), ("patch", PATCHED)):
                how = {"fill_color": hue, "fill_alpha": 0.2, "level": "underlay"}
                self._shades[kind, eye] = BoxAnnotation(left=0, right=0, **how)
                fig.add_layout(self._shades[kind, eye])
            theme.percent_axis(fig.yaxis)
            figs.append(fig)
        room = {"width": 260, "height": 290, "y_range": FactorRange(*NAMED[::-1])}
        room["x_range"] = Range1d(0, 1.2)
        fig = theme.plain_figure("what eye b has in the end", "share", "", **room)
        fig.hbar("mode", 0.6, "share", source=self.sources["shares"], color="hue", alpha=0.7)
        look = {"x_offset": 4, "text_baseline": "middle", "text_font_size": "12px"}
        fig.text("share", "mode", "text", source=self.sources["shares"], **look)
        theme.reference_line(fig, "height", theme.EQUAL.colour, 0.5)
        theme.percent_axis(fig.xaxis)
        return [*figs, fig]

    def _move(self, change: Any = None) -> None:
        """Solve what the sliders ask for, and show it."""
        began = time.perf_counter()
        try:
            life = self.rearing
        except CplabError as error:
            self.readout.value = error_html(error)
            return
        courses = linear.grow(life)
        took = time.perf_counter() - began
        for eye in SIDES:
            t, p = strengths(courses, eye, DRAWN)
            self.sources[eye].data = {"t": t, "p": p, "hue": list(SHADES)}
            if self.checked.value:  # what is not changed need not be sent
                self.sources[f"descent {eye}"].data = {"t": [], "p": [], "hue": []}
        parts = [float(course.share[-1]) for course in courses]
        texts = [f"{100 * part:.1f} %" for part in parts]
        self.sources["shares"].data = {"mode": NAMED, "share": parts, "text": texts, "hue": SHADES}
        end = life.onset + life.length
        for (kind, eye), shade in self._shades.items():
            if kind == "patch":
                shade.update(left=end, right=end + life.patch, visible=eye == "a")
            else:
                here = eye == "b" or "both" in life.kind
                shade.update(left=life.onset, right=end, visible=here)
        self._end.end = courses[0].t[-1]
        modes = np.array(MODES)
        missed = {eye: modes - [getattr(course, eye)[-1] for course in courses] for eye in SIDES}
        alone = {eye: (rest**2).sum() / (modes**2).sum() for eye, rest in missed.items()}
        self.readout.value = (
            f'<div style="{TEXT}">With eye b alone <b>{100 * alone["b"]:.0f} %</b> of what is to '
            f"be said is wrong, with eye a alone {100 * alone['a']:.0f} %. "
            f"<small>solved in {1000 * took:.0f} ms</small></div>"
        )
        self.checked.value = ""

    def _descend(self, button: Any) -> None:
        """Train the same eyes by gradient descent, and show them on the curves."""
        life, began = self.rearing, time.perf_counter()
        try:
            trained = linear.descend(life, self.begin.value, self.samples.value)
        except CplabError as error:
            self.checked.value = error_html(error)
            return
        took, solved = time.perf_counter() - began, linear.grow(life)
        for eye in SIDES:
            t, p = strengths(trained, eye, CIRCLES)
            columns = {"t": np.concatenate(t), "p": np.concatenate(p)}
            columns["hue"] = np.repeat(SHADES, [len(row) for row in t])
            self.sources[f"descent {eye}"].data = {n: of.tolist() for n, of in columns.items()}
        pairs = [*zip(trained, solved, strict=True)]
        apart = [abs(real.share[-1] - paper.share[-1]) for real, paper in pairs]
        words = ", ".join(f"{round(100 * real.share[-1], 1) + 0.0:.1f}" for real, _ in pairs)
        self.checked.value = (
            f'<div style="{TEXT}">Circles: matrices, trained in {took:.1f} s. In the end eye b has '
            f"{words} % of modes {', '.join(f'{mode:g}' for mode in MODES)}; the largest "
            f"difference from the curves is <b>{100 * max(apart):.1f} points</b>.</div>"
        )


def strengths(courses: Sequence, eye: str, points: int) -> tuple[list, list]:
    """Times, and an eye's strength as a part of each mode: so many points of each curve at most,
    the first and the last among them."""
    t, p = [], []
    for course, mode in zip(courses, MODES, strict=True):
        at = np.unique(np.linspace(0, len(course.t) - 1, points).round().astype(int))
        t.append(course.t[at])
        p.append(getattr(course, eye)[at] / mode)
    return t, p


def number_question(
    question: str, truth: Callable[[], float], make: Callable[[float], Sequence], within: float
) -> Question:
    """A number that is typed before it is solved, and whether it holds.

    Arguments: question; truth, which returns the number; make, from the number to what is shown
        then; within, how far off still holds.
    """
    field = w.Text(placeholder="a number, such as 0.25", continuous_update=False)
    head = [w.HTML(f'<div style="{TEXT}"><b>{question}</b></div>')]

    def uncover() -> list:
        try:
            guess = float(field.value.replace(",", "."))
        except ValueError:
            raise CplabError(f"{quote(field.value)} is no number: give one such as 0.25") from None
        solved = truth()
        verdict = "It <b>holds</b>" if abs(guess - solved) <= within else "It does <b>not hold</b>"
        return [f"You said {guess:g}. {verdict}: solved, it is {solved:.4f}.", *make(solved)]

    return Question({"answer": field}, uncover, head)


def check_formula(formula: Callable, depth: int, start: float = 0.01) -> w.VBox:
    """Whether a closed form holds: the share of eye b, blank from birth for a time, in the end.

    Arguments: formula, of t (n,), times of the deficit in units of 1 / learning rate, and of p0,
        the start; it returns shares. depth, layers of each eye.
    """
    unit = linear.half_time(depth, 1.0, start)
    lengths = np.linspace(0, 3, 25)
    life = {"depth": depth, "start": start, "recovery": 60}
    solved = np.array([linear.share(linear.Rearing(length=n, **life))[0] for n in lengths])
    try:
        ours = np.broadcast_to(np.asarray(formula(lengths * unit, start), float), solved.shape)
    except Exception as error:  # a student's formula may do anything
        raise CplabError(f"the formula gives no share for each time ({error}): mend it") from error
    apart = float(np.abs(ours - solved).max())
    require(np.isfinite(apart), "the formula gives no finite number somewhere: look at it again")
    words = "It <b>holds</b>" if apart < 1e-3 else "It does <b>not hold</b> yet"
    axes = ("for, half-learning times T", "share of eye b in the end")
    title = f"depth {depth}, eye b blank from birth"
    fig = theme.plain_figure(title, *axes, width=520, height=280)
    fig.line(lengths, ours, width=3, color=theme.LIVE.colour, legend_label="your formula")
    fig.scatter(lengths, solved, size=7, color=SHADES[0], legend_label="solved, step by step")
    fig.y_range = Range1d(-0.02, 0.62)
    theme.percent_axis(fig.yaxis)
    text = f"{words}: the largest difference is {apart:.1g}."
    box = w.HTML(f'<div style="{TEXT}">{text}</div>').add_class("cplab-holds")
    return w.VBox([box, surface(theme.place_legend(fig, "above"))])


class CompletionBench(w.VBox):
    """Complete matrices here and now, with a deficit at each of some ages and without.

    Arguments: onsets, steps; seeds; size, of the matrix; recovery and lengths (by depth), in steps.

    `depth` and `deficit` choose, the latter among `deficits`; `job` has the buttons;
    `known` holds what was computed, by depth and deficit, `completion` computes what is missing.
    """

    def __init__(
        self,
        onsets: Sequence[int] = (0, 50, 100, 200, 400),
        seeds: Sequence[int] = range(5),
        size: int = 40,
        recovery: int = 1500,
        lengths: Sequence[int] = (300, 300, 500, 1000),
    ) -> None:
        self._how = {"onsets": onsets, "seeds": seeds, "size": size, "recovery": recovery}
        self._lengths, self._last = lengths, max(onsets)
        self.known: dict[tuple[int, str], linear.Completed] = {}
        self.depth = buttons({f"{n} layers": n for n in (2, 3, 4)})
        self.deficits = {"few entries": "few", "noise": "noise", "another matrix": "other"}
        self.deficit = buttons(self.deficits).add_class("cplab-completing")
        self.job = Job("Complete", self._work, [self.depth, self.deficit], "stopped")
        for choice in (self.depth, self.deficit):
            choice.observe(lambda _: self._show(), "value")
        fig = self._draw()
        self._show()
        super().__init__([w.HBox([self.depth, self.deficit]), self.job, surface(fig)])

    def completion(self, depth: int, deficit: str, **more: Any) -> linear.Completed:
        """What was computed, or is now."""
        if (depth, deficit) not in self.known:
            how = {"length": self._lengths[depth - 1], **self._how, **more}
            self.known[depth, deficit] = linear.complete(depth, deficit, **how)
        return self.known[depth, deficit]

    def _draw(self) -> figure:
        names = ("seeds", "median", "without")
        self.sources = {name: ColumnDataSource(name=f"completing {name}") for name in names}
        axes = ("the deficit begins at step", "error on entries never observed")
        fig = theme.plain_figure("", *axes, width=640, height=320)
        fig.x_range, fig.y_range = Range1d(-10, self._last + 10), Range1d(0, 1.1)
        look = {"color": SHADES[0], "legend_label": "with the deficit: median, and each seed"}
        fig.line("x", "y", source=self.sources["median"], width=2.5, **look)
        fig.scatter("x", "y", source=self.sources["seeds"], size=6, alpha=0.5, **look)
        cut = {"color": theme.EQUAL.colour, "line_dash": "dashed", "width": 2}
        cut["legend_label"] = "the same life without it: median"
        fig.line("x", "y", source=self.sources["without"], **cut)
        theme.percent_axis(fig.yaxis)
        return theme.place_legend(fig, "above")

    def _show(self) -> None:
        found = self.known.get((self.depth.value, self.deficit.value))
        if found is None:
            for source in self.sources.values():
                source.data = {"x": [], "y": []}
            self.job.message.value = "not completed yet"
        else:
            x, n = list(found.onsets), found.error.shape[1]
            self.sources["seeds"].data = {"x": np.repeat(x, n), "y": found.error.ravel()}
            for name, rows in (("median", found.error), ("without", found.without)):
                self.sources[name].data = {"x": x, "y": np.median(rows, 1)}
            self.job.message.value = self._words(found)

    def _words(self, found: linear.Completed) -> str:
        rank, without = (np.median(one[0]) for one in (found.rank, found.rank_without))
        return (
            f"{found.error.shape[1]} seeds. Error on what was observed: at most "
            f"{100 * found.train.max():.1f} %. Effective rank after a deficit at birth {rank:.1f}, "
            f"without it {without:.1f}."
        )

    def _work(self, stop: threading.Event) -> str:
        began, bar = time.monotonic(), self.job.progress
        bar.max = 100

        def report(part: float) -> None:
            bar.value = round(100 * part)

        found = self.completion(self.depth.value, self.deficit.value, stop=stop, report=report)
        report(1)
        self._show()
        return f"{self._words(found)} <small>{time.monotonic() - began:.1f} s</small>"
