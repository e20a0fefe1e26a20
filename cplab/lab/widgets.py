"""What labs ask with: covers, predictions, orders; and what one moves: switches, slides, fits.

Everything that a student sees or moves is an attribute, to be driven from Python as well.
"""

import html
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, ClassVar, Optional

import ipywidgets as w
import numpy as np
import pandas as pd
from bokeh import layouts
from bokeh.models import ColumnDataSource, LayoutDOM, Range1d
from numpy.typing import ArrayLike

from cplab import fits, quantities, statistics
from cplab.checks import CplabError, one_of, quote, require
from cplab.lab.classes import ClassAnswers
from cplab.lab.surface import CSS, TEXT, buttons, discard, error_html, replace_last, surface
from cplab.runs import Run
from cplab.show import predictions, theme
from cplab.show.predictions import accuracies, all_seeds, percent_interval
from cplab.show.theme import colour, plain_figure, reference_line, source_line

CURVE = "#555555"  # of what is fitted


class Question(w.VBox):
    """What stays covered until every control was used and Reveal is clicked, in any order.

    Arguments: controls, widgets by name; make, which returns what to put in the place of the cover:
        widgets, texts, tables, Bokeh figures, or lists of figures to stand side by side; head,
        widgets above the controls; missing, what is said while controls were not used; asks, the
        question's words where no control says them.

    `controls` are the widgets, `reveal` is the button, `figure` the box that stays covered, `cover`
    what is said there, `revealed` whether it is open, `after` a question that is to be open first.
    """

    latest: ClassVar[Optional["Question"]] = None  # the question that was asked last
    after: Optional["Question"] = None

    def __init__(
        self,
        controls: Mapping[str, w.Widget],
        make: Callable[[], Sequence],
        head: Sequence[w.Widget] = (),
        missing: str = "Covered until you have answered.",
        asks: str = "",
    ) -> None:
        self.controls, self._make, self._missing, self.asks = dict(controls), make, missing, asks
        self._used: set[w.Widget] = set()
        self._ours: list[w.Widget] = []  # what was made of texts and figures, and is shown
        self._wanted = self.revealed = False
        self.reveal = w.Button(description="Reveal", button_style="primary")
        self.cover = w.HTML()
        self.figure = w.VBox([self.cover])
        self.together = ClassAnswers(self)
        if self.controls:
            Question.latest = self
        parts = [w.HTML(CSS), *head, *self.controls.values(), self.reveal, self.figure]
        super().__init__([*parts, self.together])
        self.add_class("cplab-prediction")
        self._settle()
        for control in self.controls.values():
            control.observe(self._answer, "value")
        self.reveal.add_class("cplab-asking").on_click(self._ask)

    def missing(self) -> str:
        """What is still to be answered, in words; empty if nothing is."""
        if self.after and not self.after.revealed:
            return "First answer the question above."
        return "" if self._used.issuperset(self.controls.values()) else self._missing

    def follow(self, question: "Question | None") -> None:
        """Stay covered until a question is open, if one is given."""
        self.after = question
        if question:
            question.figure.observe(self._answer, "children")

    def _answer(self, change: Any) -> None:
        self._used.add(change.owner)
        if not self.revealed and (self.controls or self._wanted):
            self._settle()

    def _ask(self, button: Any) -> None:
        self.reveal.remove_class("cplab-asking")
        self._wanted = True
        self._settle()

    def _settle(self) -> None:
        """Open what is covered if it was asked for and nothing is missing, else say what is.

        Every click counts, and the button is never disabled. Answers and clicks wait in one queue
        while Python is busy, and a page shows an answer before Python has it: a button that Python
        enables once all is answered loses the click of a student who was faster.
        """
        words, self.revealed = self.missing(), False
        self.together.show(False)
        if words or not self._wanted:
            later = "It opens by itself then." if self._wanted else ""
            self._show([self.cover], f"{words or 'Click Reveal to see.'} {later}")
            return
        self._show([self.cover], "Looking it up …")
        try:
            made = self._make()
        except CplabError as error:
            self.cover.value = error_html(error)
            return
        parts, self.revealed = [as_widget(part) for part in made], True
        self._show(parts)
        self._ours = [part for part, given in zip(parts, made, strict=True) if part is not given]
        coded = (hasattr(one, "min") or hasattr(one, "index") for one in self.controls.values())
        self.together.show(any(coded))  # what is typed has no code

    def _show(self, parts: list[w.Widget], words: str = "") -> None:
        """Put parts in the place of the cover, or the cover back with some words."""
        self.cover.value = f"<i>{html.escape(words)}</i>"
        self.figure.children = parts
        while self._ours:
            discard(self._ours.pop())


def choice(
    question: str,
    answers: Sequence[str],
    shows: Callable[[], Any],
    *,
    found: Any = None,
    right: Any = None,
    more: Any = None,
) -> Question:
    """A question with answers to choose from, and what opens once one was chosen: a line that
    judges, the picture, one sentence, and further numbers in a fold.

    Arguments:
        question, answers: words.
        shows: returns the picture: a Bokeh figure, a table or a text, or a list of these (a list in
            the list stands side by side).
        found: the one plain sentence that the picture says; a text, or a function that returns it.
        right: the right answer, one of `answers`, or a function that returns it; None where
            the results do not decide.
        more: what else is known, folded: a text, a table, or a function that returns such, or a
            list of them.

    >>> question = choice("Does it last?", ["yes", "no"], lambda: ["a picture"], right="yes",
    ...                   found="It lasts for 300 epochs.")
    >>> question.controls["answer"].value = "no"
    >>> question.reveal.click()
    >>> question.figure.children[0].value
    'It was: <b>yes</b>. You said: no.'
    """
    require(len(answers), f"answers {answers} are not allowed: give some")
    if right is not None and not callable(right):
        one_of("right answer", right, answers)
    answer = w.RadioButtons(options=list(answers), value=None, layout={"width": "auto"})
    head = [w.HTML(f'<div style="{TEXT}"><b>{html.escape(question)}</b></div>')]

    def with_answer() -> list:
        wanted = called(right)
        if wanted is None:
            judged = f"You said: <b>{html.escape(answer.value)}</b>"
        elif one_of("right answer", wanted, answers) == answer.value:
            judged = f"It was: <b>{html.escape(wanted)}</b> ✓"
        else:
            judged = f"It was: <b>{html.escape(wanted)}</b>. You said: {html.escape(answer.value)}."
        return [judged, *as_list(shows()), *told(found, more)]

    return Question({"answer": answer}, with_answer, head, asks=question)


def called(what: Any) -> Any:
    """What a function without arguments returns, else the thing itself."""
    return what() if callable(what) else what


def as_list(made: Any) -> list:
    """A list or tuple as a list; anything else is its only part."""
    return [*made] if isinstance(made, list | tuple) else [made]


def told(found: Any, more: Any) -> list[str]:
    """The finding as one sentence, and what else is known in a fold, as HTML."""
    parts = [f'<div style="{TEXT}"><b>{called(found)}</b></div>'] if found is not None else []
    if more is not None:
        inside = [
            one.to_html(border=0) if isinstance(one, pd.DataFrame) else f"<p>{one}</p>"
            for one in as_list(called(more))
        ]
        parts.append(f"<details><summary>more numbers</summary>{''.join(inside)}</details>")
    return parts


def finding(make: Callable[[], str]) -> Question:
    """What was found, in a sentence or two out of the results, once the question above is open.

    Arguments: make, returns the sentences; says so where a result that it reads is missing.

    >>> sentence = finding(lambda: "Blur until 16 costs 2.8 points.")
    >>> sentence.follow(None)  # no question here
    >>> sentence.reveal.click()
    >>> sentence.figure.children[0].value.partition("<b>")[2]
    'What was found.</b> Blur until 16 costs 2.8 points.</div>'
    """
    cover = Question({}, lambda: [f'<div style="{TEXT}"><b>What was found.</b> {make()}</div>'])
    cover.reveal.description = "What was found"
    cover.follow(Question.latest)
    cover.cover.value = ""
    return cover


class Prediction(Question):
    """A guess before the figure: the truth stays covered until every slider was moved.

    Arguments:
        given: what is told, {text: Run}, or {text: accuracies}, one a seed, of what is no run.
        asked: what is to be guessed, the same; the sliders are in percent.
        source: where accuracies are from, in words; of runs the results say it.
        quantity: what is guessed, in words.
        found, more: the sentence below the figure, and what else is known (see `choice`).

    `guesses` are the sliders, the other attributes those of Question.

    >>> guess = Prediction({}, {"16 epochs of blur": Run("blur", length=16)})
    >>> guess.guesses["16 epochs of blur"].value = 55
    >>> guess.reveal.click()
    >>> guess.figure.children[-1].value.partition("<br>")[0]
    '16 epochs of blur: you 55.0, measured 55.7 ± 0.6 %'
    """

    def __init__(
        self,
        given: Mapping[str, Any],
        asked: Mapping[str, Any],
        source: str = "",
        quantity: str = "final test accuracy",
        found: Any = None,
        more: Any = None,
    ) -> None:
        self._told = (found, more)
        require(asked, "asked {} is not allowed: give something to be guessed")
        for text, what in (*given.items(), *asked.items()):
            if not isinstance(what, Run):
                statistics.row_of_numbers(text, what, "give a Run, or accuracies from 0 to 1")
        self._asked, self._source, self.quantity = asked, source, quantity
        words = f"{8 * max(32, *map(len, asked))}px"  # room for the longest of them
        how: dict[str, Any] = {"max": 100, "step": 0.5, "readout_format": ".1f"}
        how["style"] = {"description_width": words}
        how |= {"continuous_update": False, "layout": {"width": f"calc({words} + 360px)"}}
        self.guesses = {text: w.FloatSlider(50, description=text, **how) for text in asked}
        known = [f"{html.escape(t)}: <b>{percent_interval(of)}</b>" for t, of in given.items()]
        head = [w.HTML(f'<div style="{TEXT}">Known: <br>{"<br>".join(known)}</div>')]
        cover = "The figure is covered until you have moved every slider."
        super().__init__(self.guesses, self._uncover, head if known else [], cover)

    def truth(self) -> dict[str, tuple[float, float]]:
        """Mean and half the interval of what was asked and is known."""
        numbers = {text: accuracies(what) for text, what in self._asked.items()}
        return {text: statistics.mean_and_half(of) for text, of in numbers.items() if len(of)}

    def _uncover(self) -> list:
        guess = {text: bar.value / 100 for text, bar in self.guesses.items()}
        size = {"width": 620, "height": 70 + 40 * len(guess)}
        fig = predictions.guess_figure(guess, self.truth(), self.quantity, **size)
        measured = ((text, percent_interval(of, "nothing")) for text, of in self._asked.items())
        lines = (f"{t}: you {statistics.percent(guess[t])}, measured {of}" for t, of in measured)
        source = self._source or source_line(all_seeds(*self._asked.values()))
        return [fig, with_source("; ".join(lines), source), *told(*self._told)]


class Ranking(Question):
    """An order of runs, {words: Run}, guessed before it is shown: who ends best, …, worst?

    `controls` are the drop-down lists, one a place; what is covered opens once each run has one.

    >>> ranking = Ranking({"blur": Run("blur", length=16), "flip": Run("flip", length=16)})
    >>> ranking.controls["best"].value = "flip"
    >>> ranking.order, ranking.missing()
    (['flip', None], 'Covered until each has its place.')
    """

    def __init__(self, runs: Mapping[str, Run], found: Any = None, more: Any = None) -> None:
        self._told = (found, more)
        require(len(runs) > 1, f"runs {quote(runs)} have no order: give two or more")
        self.runs = dict(runs)
        options = [("choose", None), *((name, name) for name in runs)]
        how = {"options": options, "layout": {"width": "420px"}}
        places = ("best", *map(str, range(2, len(runs))), "worst")
        lists = {place: w.Dropdown(description=place, **how) for place in places}
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

    def truth(self) -> dict[str, np.ndarray]:
        """The accuracies of each run, one a seed."""
        return {name: np.array(accuracies(run)) for name, run in self.runs.items()}

    def difference(self, one: str, other: str) -> np.ndarray:
        """Points of accuracy of a run above another, one a seed."""
        return quantities.each_seed(quantities.advantage, self.runs[one], self.runs[other])

    def _uncover(self) -> list:
        """The two orders side by side, and how many pairs stand right."""
        truth, hues = self.truth(), {n: colour(run.deficit) for n, run in self.runs.items()}
        right, sure, pairs = statistics.rank_agreement(self.order, self.difference)
        summary = (
            f"Of {pairs} pairs the seeds tell {sure} apart (95 %); "
            f"{right} of these {sure} stand in your order as they were measured."
        )
        size = {"width": 760, "height": 70 + 44 * len(self.runs)}
        fig = predictions.order_figure(self.order, truth, hues, **size)
        source = source_line(all_seeds(*self.runs.values()))
        return [fig, with_source(summary, source), *told(*self._told)]


class Switch(w.VBox):
    """A row of buttons above what `draw` makes of the chosen option: a Bokeh figure, or a list.

    >>> from cplab import show
    >>> switch = Switch(["blur", "flip"], lambda name: show.removal(Run(), (name,)))
    >>> switch.choice.value
    'blur'
    """

    def __init__(self, options: Collection, draw: Callable[[Any], Any]) -> None:
        require(len(options), f"options {options} are not allowed: give some to choose from")
        self.choice = buttons(options)
        super().__init__([self.choice, w.VBox()])
        self.choice.observe(lambda _: replace_last(self, draw(self.choice.value)), "value")
        replace_last(self, draw(self.choice.value))


class Slide(w.VBox):
    """A slider, with a Play button, above a figure whose data follow it.

    Arguments: figure, or a list of them, in which each data source that is to change has a name;
        options, the values to choose from; data, from an option to {name of a source: its new
        columns}; words, from an option to what is said above; description, what the slider is.

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
        self.drawn = theme.side_by_side(figure)
        require(len(options), f"options {options} are not allowed: give some to choose from")
        self._data, self._words, self._options = data, words, list(options)
        ends = {"min": 0, "max": len(self._options) - 1}
        calm = {"continuous_update": False, "readout": False}
        style = {"description_width": "initial"}
        self.slider = w.IntSlider(description=description, style=style, **ends, **calm)
        self.play = w.Play(interval=900, **ends)
        self.readout = w.HTML().add_class("cplab-slide-words")
        w.link((self.play, "value"), (self.slider, "value"))
        line = [self.play, self.slider.add_class("cplab-slide"), self.readout]
        box = w.HBox(line, layout={"align_items": "center", "flex_flow": "row wrap"})
        super().__init__([box, w.VBox()])
        self.slider.observe(self._choose, "value")
        self._choose()
        replace_last(self, self.drawn)

    def _choose(self, change: Any = None) -> None:
        chosen = self._options[self.slider.value]
        data = self._data(chosen)
        require(isinstance(data, Mapping), f"data gave {quote(data)}: return {{source: columns}}")
        for name, columns in data.items():
            sources = [*self.drawn.select({"name": name, "type": ColumnDataSource})]
            require(sources, f"data names {quote(name)}: name a data source of the figure by it")
            for source in sources:
                source.data = columns
        self.readout.value = f"<b>{html.escape(self._words(chosen))}</b>"


class Fitting(w.HBox):
    """A curve through points: a slider for each parameter, a Fit button, residuals, intervals.

    Arguments:
        function: of t and of parameters by name (see cplab.fits.fit).
        t, y: the points, (n,).
        start: where each parameter's slider stands at first; ends, of the sliders, {name: (low,
            high)}. A fit may go beyond them.
        half: half the 95 % interval of each point, to be drawn.
        x, unit: words for the axes.
        hue: of the points.

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
    ) -> None:
        self._function = function
        self._t, self._y = statistics.row_of_numbers("t", t), statistics.row_of_numbers("y", y)
        n, m = len(self._t), len(self._y)
        require(n == m > 0, f"t has {n} numbers and y has {m}: give one y for each t")
        require(half is None or np.shape(half) == (n,), "half is not allowed: give one for each t")
        fit = start.keys() == ends.keys()
        require(fit, f"ends {quote(ends)} are not allowed: give the names of start")
        self.found: fits.Fit | None = None
        self.sliders = {name: parameter(name, start[name], *ends[name]) for name in start}
        self.fit = w.Button(description="Fit", button_style="primary")
        self.readout = w.HTML().add_class("cplab-fit")
        span = np.ptp(self._t) or 1
        self._line = np.linspace(self._t.min() - 0.05 * span, self._t.max() + 0.15 * span, 200)
        empty: dict[str, list] = {name: [] for name in ("t", "mean", "low", "high")}
        self.sources = {n: ColumnDataSource(dict(empty), name=n) for n in ("curve", "residuals")}
        controls = w.VBox([*self.sliders.values(), self.fit, self.readout])
        controls.layout.width = "330px"
        super().__init__([controls, w.VBox()], layout={"flex_flow": "row wrap"})
        self._move()
        for bar in self.sliders.values():
            bar.observe(self._move, "value")
        self.fit.on_click(self._fit)
        replace_last(self, self._draw(x, unit, hue, half))

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

    def _move(self, change: Any = None) -> None:
        """Show the curve of the sliders, which is no fit any more."""
        self._show({name: bar.value for name, bar in self.sliders.items()})

    def _show(self, parameters: dict, band: Any = 0, before: str = "", after: str = "") -> None:
        """Draw a curve, and say how far off it is, between other words."""
        with np.errstate(all="ignore"):
            line = self._function(self._line, **parameters)
            rest = self._y - self._function(self._t, **parameters)
        if not np.isfinite(rest).all():
            self.readout.value = "this curve is not finite at the points: move a slider"
            return
        columns = statistics.band_columns(line, np.where(np.isfinite(band), band, 0))
        self.sources["curve"].data = {"t": self._line, **columns}
        self.sources["residuals"].data = {"t": self._t, "mean": rest}
        squares = statistics.plain_number(float(np.sum(rest**2)), 4)
        self.readout.value = f"{before}squared residuals: {squares}{after}"

    def _fit(self, button: Any) -> None:
        start = {name: bar.value for name, bar in self.sliders.items()}
        try:
            self.found = found = fits.fit(self._function, self._t, self._y, start)
        except CplabError as error:
            self.readout.value = error_html(error)
            return
        for name, value in found.parameters.items():
            bar = self.sliders[name]
            bar.min, bar.max = min(bar.min, value), max(bar.max, value)
            bar.value = value
        lines = [f"{html.escape(name)} = {words}<br>" for name, words in found.describe().items()]
        counted = f"; {found.n} points, {len(found.parameters)} parameters; R² = {found.r2:.2f}"
        self._show(found.parameters, found.band(self._line), "".join(lines), counted)


# Parts ------------------------------------------------------------------------------------------


def parameter(name: str, value: float, low: float, high: float) -> w.FloatSlider:
    """The slider of one parameter of a curve; three digits, without the letter e."""
    ends = {"min": min(low, value), "max": max(high, value), "step": (high - low) / 200}
    calm = {"continuous_update": False, "readout_format": ",.3r"}
    return w.FloatSlider(value, description=name, **ends, **calm)


def as_widget(part: Any) -> w.Widget:
    """A widget as it is, a text or table as HTML, a Bokeh figure or a list of them as a surface."""
    if isinstance(part, pd.DataFrame):
        part = part.to_html(border=0)
    if isinstance(part, str):
        return w.HTML(part).add_class("cplab-revealed")
    return part if isinstance(part, w.Widget) else surface(part)


def with_source(words: str, source: str) -> str:
    """What a figure says in words, and where its numbers are from, as HTML."""
    return f"{html.escape(words)}<br><small>{html.escape(source)}</small>"
