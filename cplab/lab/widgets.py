"""What labs ask with: covers, predictions, orders; and what one moves: switches, slides, fits.

Everything that a student sees or moves is an attribute, to be driven from Python as well.
"""

import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import ipywidgets as w
import numpy as np
import pandas as pd
from bokeh import layouts
from bokeh.models import ColumnDataSource, LayoutDOM, Range1d
from numpy.typing import ArrayLike

from cplab import fits, quantities, results, statistics
from cplab.checks import CplabError
from cplab.lab.surface import TEXT, in_red, redraw, side_by_side, surface
from cplab.runs import Run
from cplab.show.predictions import guesses, orders
from cplab.show.theme import colour, load_bokeh, plain_figure, reference_line, source_line

# Until Python has answered the click, which it does between cells: the page alone can say so.
WAITING = """<style>
@keyframes cplab-late { from, 99% { opacity: 0 } to { opacity: 1 } }
.cplab-asking:focus:not(:focus-visible)::after {
  content: "\\00a0· waiting for Python"; animation: cplab-late .6s;
}</style>"""
LATER = "It opens by itself then."
CURVE = "#555555"  # of what is fitted


class Covered(w.VBox):
    """What stays covered until every control was used and Reveal is clicked, in any order.

    Reveal can be clicked at any time, also while Python is busy and answers are under way. Where
    one is missing it says which, and what is covered opens as soon as the last one comes.

    Arguments: controls, widgets by name; make, called once it is revealed, returns what to put in
        the place of the cover: widgets, texts, Bokeh figures, or lists of figures to stand side by
        side; head, widgets above the controls; missing, what is said while controls were not used.

    `controls` are the widgets, `reveal` is the button, `figure` the box that stays covered, `cover`
    what is said there, `revealed` whether it is open.

    >>> question = Covered({"guess": w.IntText()}, lambda: ["It is 3."])
    >>> question.controls["guess"].value = 4
    >>> question.reveal.click()
    >>> question.figure.children[0].value
    'It is 3.'
    """

    def __init__(
        self,
        controls: Mapping[str, w.Widget],
        make: Callable[[], Sequence],
        head: Sequence[w.Widget] = (),
        missing: str = "Covered until you have answered.",
    ) -> None:
        load_bokeh(again=False)
        self.controls, self._make, self._missing = dict(controls), make, missing
        self._used: set[w.Widget] = set()
        self._wanted = self.revealed = False
        self.reveal = w.Button(description="Reveal", button_style="primary")
        self.reveal.add_class("cplab-asking")
        self.cover = w.HTML()
        self.figure = w.VBox([self.cover])
        super().__init__(
            [w.HTML(WAITING), *head, *self.controls.values(), self.reveal, self.figure]
        )
        self.add_class("cplab-prediction")
        self._say()
        for control in self.controls.values():
            control.observe(self._use, "value")
        self.reveal.on_click(self._ask)

    def missing(self) -> str:
        """What is still to be answered, in words; empty if nothing is."""
        return "" if len(self._used) == len(self.controls) else self._missing

    def _use(self, change: Any) -> None:
        self._used.add(change.owner)
        if self._wanted and not self.revealed and not self.missing():
            self._open()
        else:
            self._say()

    def _ask(self, button: Any) -> None:
        self.reveal.remove_class("cplab-asking")
        self._wanted = True
        if self.missing():
            self._say()
        else:
            self._open()

    def _say(self) -> None:
        words = self.missing() or "Click Reveal to see."
        self.cover.value = f"<i>{html.escape(words)} {LATER if self._wanted else ''}</i>"

    def _open(self) -> None:
        self.cover.value = "<i>Looking it up …</i>"
        try:
            made = [w.HTML(part) if isinstance(part, str) else part for part in self._make()]
        except CplabError as error:
            self.cover.value = in_red(error)
            self.figure.children = [self.cover]
            return
        parts = [part if isinstance(part, w.Widget) else surface(part) for part in made]
        self.figure.children = parts
        self.revealed = True
        for part in parts:
            redraw(part)


def choice(question: str, answers: Sequence[str], make: Callable[[], Sequence]) -> Covered:
    """A question with answers to choose from, before what `make` returns: a list of Bokeh figures
    (or lists of them, to stand side by side), widgets or texts. The answer stays in view beside it;
    `controls["answer"]` is the choice.

    >>> question = choice("Does it last?", ["yes", "no"], lambda: ["It does."])
    >>> question.controls["answer"].value = "no"
    >>> question.reveal.click()
    >>> question.figure.children[0].value
    'You said: <b>no</b>'
    """
    buttons = w.RadioButtons(options=list(answers), value=None, layout={"width": "auto"})
    head = [w.HTML(f'<div style="{TEXT}"><b>{html.escape(question)}</b></div>')]

    def with_answer() -> list:
        said = w.HTML(f"You said: <b>{html.escape(buttons.value)}</b>").add_class("cplab-revealed")
        return [said, *make()]

    return Covered({"answer": buttons}, with_answer, head)


class Prediction(Covered):
    """A guess before the figure: the truth stays covered until every slider was moved.

    Arguments:
        given: what is told, {text: Run}, or {text: accuracies}, one a seed, of what is no run.
        asked: what is to be guessed, the same; the sliders are in percent.
        source: where accuracies are from, in words; of runs the results say it.

    `guesses` are the sliders, the other attributes those of Covered.

    >>> guess = Prediction({}, {"16 epochs of blur": Run("blur", length=16)})
    >>> guess.guesses["16 epochs of blur"].value = 55
    >>> guess.reveal.click()
    >>> guess.figure.children[-1].value.partition("<br>")[0]
    '16 epochs of blur: you 55.0, measured 55.7 ± 0.6 %'
    """

    def __init__(
        self, given: Mapping[str, Any], asked: Mapping[str, Any], source: str = ""
    ) -> None:
        self.given, self.asked, self._source = dict(given), dict(asked), source
        wide = {"style": {"description_width": "260px"}, "layout": {"width": "620px"}}
        limits = {"min": 0, "max": 100, "step": 0.5, "continuous_update": False}
        self.guesses = {
            text: w.FloatSlider(50, description=text, **limits, **wide) for text in asked
        }
        told = "".join(f"<br>{text}: <b>{self._tell(what)}</b>" for text, what in given.items())
        known = [w.HTML(f'<div style="{TEXT}">Known: {told}</div>')] if given else []
        cover = "The figure is covered until you have moved every slider."
        super().__init__(self.guesses, self._uncover, known, cover)

    def _tell(self, what: Any) -> str:
        numbers = accuracies(what)
        if not len(numbers):
            return "not trained yet"
        return f"{statistics.percent(*statistics.mean_half(numbers))} %"

    def _uncover(self) -> list:
        names = list(self.asked)
        guess = [self.guesses[name].value / 100 for name in names]
        found = [accuracies(self.asked[name]) for name in names]
        truth = [statistics.mean_half(numbers) if len(numbers) else None for numbers in found]
        fig = guesses(names, guess, truth, width=620, height=70 + 40 * len(names))
        words = "; ".join(
            f"{name}: you {statistics.percent(g)}, measured "
            + (f"{statistics.percent(*t)} %" if t else "nothing yet")
            for name, g, t in zip(names, guess, truth, strict=True)
        )
        runs = [what for what in self.asked.values() if isinstance(what, Run)]
        source = self._source or source_line([one for run in runs for one in all_seeds(run)])
        words += f"<br><small>{html.escape(source)}</small>"
        return [fig, w.HTML(words).add_class("cplab-revealed")]


class Ranking(Covered):
    """An order guessed before it is shown: who ends best, second, …, worst?

    Arguments: runs, what is to be ordered, as {words: Run}.

    `controls` are the drop-down lists, one a place; what is covered opens once each run has one.

    >>> ranking = Ranking({"blur": Run("blur", length=16), "flip": Run("flip", length=16)})
    >>> ranking.controls["best"].value = "flip"
    >>> ranking.order, ranking.missing()
    (['flip', None], 'Covered until each has its place.')
    """

    def __init__(self, runs: Mapping[str, Run]) -> None:
        self.runs = dict(runs)
        places = ["best", *map(str, range(2, len(runs))), "worst"]
        options = [("choose", None), *((name, name) for name in runs)]
        lists = {
            place: w.Dropdown(options=options, description=place, layout={"width": "420px"})
            for place in places
        }
        super().__init__(lists, self._uncover)
        self.add_class("cplab-ranking")

    @property
    def order(self) -> list[str]:
        """The guess, from best to worst."""
        return [chosen.value for chosen in self.controls.values()]

    def missing(self) -> str:
        """What has no place yet, or more than one."""
        twice = sorted({name for name in self.order if name and self.order.count(name) > 1})
        if twice:
            return f"One place each: {' and '.join(twice)}."
        return "Covered until each has its place." if None in self.order else ""

    def _uncover(self) -> list:
        """The two orders side by side, and how many pairs stand right."""
        found = {name: all_seeds(run) for name, run in self.runs.items()}
        truth = {
            name: pd.Series({one.spec.seed: one.accuracy for one in group}, dtype=float)
            for name, group in found.items()
        }
        hues = {name: colour(run.deficit) for name, run in self.runs.items()}
        right, sure, pairs = statistics.rank_agreement(self.order, truth)
        words = (
            f"Of {pairs} pairs the seeds tell {sure} apart (95 %); "
            f"{right} of these {sure} stand in your order as they were measured."
        )
        every = [one for group in found.values() for one in group]
        source = f"<br><small>{html.escape(source_line(every))}</small>"
        fig = orders(self.order, truth, hues, width=760, height=70 + 44 * len(self.runs))
        return [fig, w.HTML(words + source).add_class("cplab-revealed")]


class Switch(w.VBox):
    """A row of buttons above figures that `draw` makes for the chosen option.

    Arguments: options; draw, from an option to a Bokeh figure or a list of them.

    >>> from cplab import show
    >>> switch = Switch(["blur", "flip"], lambda name: show.removal(Run(), (name,)))
    >>> switch.choice.value
    'blur'
    """

    def __init__(self, options: Any, draw: Callable[[Any], Any]) -> None:
        load_bokeh(again=False)
        self.choice = w.ToggleButtons(options=options, style={"button_width": "auto"})
        self._draw = draw
        super().__init__([self.choice, w.VBox()])
        self.choice.observe(self._choose, "value")
        self._choose()

    def _choose(self, change: Any = None) -> None:
        picture = surface(self._draw(self.choice.value))
        self.children = [self.choice, picture]
        redraw(picture)


class Slide(w.VBox):
    """A slider, with a Play button, above a figure whose data follow it.

    Arguments: figure, or a list of them, in which each data source that is to change has a name;
        options, the values to choose from; data, from an option to {name of a source: its new
        columns}; words, from an option to what is said above the figure; description, what the
        slider is.

    `slider` chooses, `play` runs through the options; `drawn` is the layout.

    >>> figure = plain_figure("a point", "x", "y")
    >>> points = figure.scatter("x", "y", source=ColumnDataSource({"x": [], "y": []}, name="it"))
    >>> slide = Slide(figure, [1, 4], lambda n: {"it": {"x": [n], "y": [n * n]}}, "n is {}".format)
    >>> slide.slider.value = 1
    >>> slide.readout.value, points.data_source.data["y"]
    ('<b>n is 4</b>', [16])
    """

    def __init__(
        self,
        figure: Any,
        options: Sequence,
        data: Callable[[Any], Mapping[str, Mapping]],
        words: Callable[[Any], str] = str,
        description: str = "epoch",
    ) -> None:
        load_bokeh(again=False)
        self.drawn: LayoutDOM = side_by_side(figure)
        self._data, self._words, self._options = data, words, list(options)
        last = len(self._options) - 1
        self.slider = w.IntSlider(
            min=0,
            max=last,
            description=description,
            continuous_update=False,
            readout=False,
            style={"description_width": "initial"},
        ).add_class("cplab-slide")
        self.play = w.Play(min=0, max=last, interval=900)
        self.readout = w.HTML().add_class("cplab-slide-words")
        w.link((self.play, "value"), (self.slider, "value"))
        self._choose()
        self._picture = surface(self.drawn)
        line = w.HBox([self.play, self.slider, self.readout], layout={"align_items": "center"})
        super().__init__([line, self._picture])
        self.slider.observe(self._choose, "value")
        redraw(self._picture)

    @property
    def value(self) -> Any:
        """The chosen option."""
        return self._options[self.slider.value]

    def _choose(self, change: Any = None) -> None:
        for name, columns in self._data(self.value).items():
            for source in self.drawn.select({"name": name, "type": ColumnDataSource}):
                source.data = columns
        self.readout.value = f"<b>{html.escape(self._words(self.value))}</b>"
        if change:
            redraw(self._picture)


class Fitting(w.VBox):
    """A curve through points: a slider for each parameter, a Fit button, residuals, intervals.

    Arguments:
        function: of t and of parameters by name (see cplab.fits.fit).
        t, y: the points, (n,).
        start: where each parameter's slider stands at first; ends, of the sliders, {name: (low,
            high)}. A fit may go beyond them.
        half: half the 95 % interval of each point, to be drawn; the fit weighs points by it if
            weigh is set.
        x, unit: words for the axes.
        hue: of the points.
        bounds: as of cplab.fits.fit.

    `sliders` are the parameters', `fit` is the button, `readout` says what was found; `sources`
    hold what is drawn; `found` is the Fit, once there is one.

    >>> line = Fitting(lambda t, a, b: a + b * t, [0, 1, 2, 3], [1, 3.1, 4.9, 7], {"a": 0, "b": 1},
    ...                {"a": (0, 2), "b": (0, 4)})
    >>> line.fit.click()
    >>> round(line.found.parameters["b"], 2)
    1.98
    """

    def __init__(
        self,
        function: Callable[..., Any],
        t: ArrayLike,
        y: ArrayLike,
        start: Mapping[str, float],
        ends: Mapping[str, tuple[float, float]],
        *,
        half: ArrayLike | None = None,
        x: str = "t",
        unit: str = "",
        hue: str = "#0072B2",
        weigh: bool = False,
        bounds: Mapping[str, tuple[float, float]] | None = None,
    ) -> None:
        load_bokeh(again=False)
        self._function, self._t, self._y = function, np.asarray(t, float), np.asarray(y, float)
        self._half, self._bounds = half if weigh else None, bounds
        self.found: fits.Fit | None = None
        self.sliders = {name: parameter(name, start[name], *ends[name]) for name in start}
        self.fit = w.Button(description="Fit", button_style="primary")
        self.readout = w.HTML().add_class("cplab-fit")
        span = np.ptp(self._t) or 1
        self._line = np.linspace(self._t.min() - 0.05 * span, self._t.max() + 0.15 * span, 200)
        empty: dict[str, list] = {name: [] for name in ("t", "mean", "low", "high")}
        self.sources = {n: ColumnDataSource(dict(empty), name=n) for n in ("curve", "residuals")}
        self._picture: w.Widget | None = None
        layout = self._draw(x, unit, hue, half)
        self._move()
        for bar in self.sliders.values():
            bar.observe(self._move, "value")
        self.fit.on_click(self._fit)
        self._picture = surface(layout)
        controls = [*self.sliders.values(), self.fit, self.readout]
        super().__init__([w.HBox([w.VBox(controls, layout={"width": "330px"}), self._picture])])
        redraw(self._picture)

    def _draw(self, x: str, unit: str, hue: str, half: ArrayLike | None) -> LayoutDOM:
        what = "points, and the curve of the sliders"
        fig = plain_figure(what, x, unit, width=520, height=300)
        source = self.sources["curve"]
        fig.varea("t", "low", "high", source=source, color=CURVE, alpha=0.18)
        fig.line("t", "mean", source=source, color=CURVE, width=2)
        fig.scatter(self._t, self._y, size=9, color=hue)
        if half is not None:
            half = np.nan_to_num(np.asarray(half, float))
            fig.segment(self._t, self._y - half, self._t, self._y + half, color=hue)
        low, high = min(0, self._y.min()), self._y.max()
        fig.y_range = Range1d(low - 0.1 * (high - low), high + 0.35 * (high - low))
        rest = plain_figure("", x, "residual", width=520, height=120, x_range=fig.x_range)
        source = self.sources["residuals"]
        rest.segment("t", 0, "t", "mean", source=source, color=hue, width=2)
        rest.scatter("t", "mean", source=source, color=hue, size=6)
        reference_line(rest, "width", CURVE)
        return layouts.column(fig, rest)

    @property
    def parameters(self) -> dict[str, float]:
        """Where the sliders stand."""
        return {name: bar.value for name, bar in self.sliders.items()}

    def _move(self, change: Any = None) -> None:
        """Show the curve of the sliders, which is no fit any more."""
        if self._show(self.parameters):
            rest = self._y - self._at(self._t, self.parameters)
            squares = statistics.plain_number(float(np.sum(rest**2)), 4)
            self.readout.value = f"squared residuals: {squares}"

    def _at(self, t: np.ndarray, parameters: dict[str, float]) -> np.ndarray:
        with np.errstate(all="ignore"):
            return np.asarray(self._function(t, **parameters), float)

    def _show(self, parameters: dict[str, float], band: Any = 0) -> bool:
        """Draw a curve; False where it is not finite."""
        line, points = self._at(self._line, parameters), self._at(self._t, parameters)
        if not np.isfinite(points).all():
            self.readout.value = "this curve is not finite at the points: move a slider"
            return False
        band = np.where(np.isfinite(band), band, 0)
        curve = {"t": self._line, "mean": line, "low": line - band, "high": line + band}
        rest = self._y - points
        self.sources["curve"].data = curve
        self.sources["residuals"].data = {"t": self._t, "mean": rest, "low": rest, "high": rest}
        redraw(self._picture)
        return True

    def _fit(self, button: Any = None) -> None:
        try:
            self.found = found = fits.fit(
                self._function, self._t, self._y, self.parameters, self._half, self._bounds
            )
        except CplabError as error:
            self.readout.value = in_red(error)
            return
        for name, bar in self.sliders.items():
            bar.unobserve(self._move, "value")
            value = found.parameters[name]
            bar.min, bar.max = min(bar.min, value), max(bar.max, value)
            bar.value = value
            bar.observe(self._move, "value")
        self._show(found.parameters, found.band(self._line))
        squares = statistics.plain_number(float(np.sum(found.residuals**2)), 4)
        self.readout.value = (
            "<br>".join(f"{name} = {words}" for name, words in found.describe().items())
            + f"<br>squared residuals: {squares}; {found.n} points, "
            f"{len(found.parameters)} parameters; R² = {found.r2:.2f}"
        )


# Parts ------------------------------------------------------------------------------------------


def parameter(name: str, value: float, low: float, high: float) -> w.FloatSlider:
    """The slider of one parameter of a curve."""
    return w.FloatSlider(
        value,
        min=min(low, value),
        max=max(high, value),
        step=(high - low) / 200,
        description=name,
        continuous_update=False,
        readout_format=".3g",
    )


def all_seeds(run: Run) -> list[results.Result]:
    """The results of a run, all seeds that there are."""
    found = (results.find(replace(run, seed=seed)) for seed in quantities.SEEDS)
    return [one for one in found if one]


def accuracies(what: Any) -> list[float]:
    """One accuracy a seed, of a Run or as they are given."""
    return [one.accuracy for one in all_seeds(what)] if isinstance(what, Run) else list(what)
