"""What labs ask with: questions, predictions, orders; and what one moves: switches, slides, fits.

Questions, switches and slides are moved in the page, with and without Python (cplab.show.surface).
From Python they are driven by `answer`, `revealed` and `index`.
"""

import html
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import combinations
from typing import Any

import ipywidgets as w
import numpy as np
from bokeh import layouts
from bokeh.models import ColumnDataSource, LayoutDOM, Range1d
from numpy.typing import ArrayLike

from cplab import fits, quantities, statistics
from cplab.errors import CplabError, one_of, quote, require
from cplab.lab.surface import error_html, replace_last
from cplab.runs import Run
from cplab.show import predictions, theme
from cplab.show.predictions import accuracies, all_seeds, percent_interval
from cplab.show.surface import Kept, Shown, as_content, as_list, as_words
from cplab.show.theme import colour, plain_figure, reference_line, source_line

CURVE = "#555555"  # of what is fitted


def in_state(name: str, words: str, allow: Callable = lambda widget, value: None) -> Any:
    """A property that is kept in a widget's state; `allow` raises for what it may not be."""

    def set_it(widget: Shown, value: Any) -> None:
        allow(widget, value)
        widget.state = {**widget.state, name: value}

    return property(lambda widget: widget.state.get(name), set_it, doc=words)


def check_answered(question: "Question", opens: bool) -> None:
    """Refuse to open a question that is not answered."""
    require(not opens or question.answered(), "the question is not answered: set `answer`")


class Question(Shown):
    """What stays covered until it was answered and Reveal was clicked, in any order.

    Arguments: asks, the question as HTML; ask, how it is asked (see surface.js); shows, returns the
        picture; judged, what an answer is held against; found, more: see `choice`.

    `answer` and `revealed` may be read and set; `words` is what it says by now, and in the end.
    """

    answer = in_state("answer", "What was answered, None if nothing was.")
    revealed = in_state("revealed", "Whether it is open.", check_answered)

    def __init__(
        self, asks: str, ask: dict, shows: Callable[[], Any], judged: Any, found: Any, more: Any
    ) -> None:
        self._asks, self._judged = [asks] if asks else [], judged
        self._parts = as_list(looked_up(shows))
        self._found = [] if found is None else [str(looked_up(found))]
        content = {"kind": "question", "head": asks, "ask": ask, "judged": judged}
        content |= {"parts": as_content(self._parts), "found": "".join(self._found)}
        content["more"] = [] if more is None else as_content(as_list(looked_up(more)))
        super().__init__(content, {"answer": None, "revealed": False})
        for part in self._parts:
            if isinstance(part, Shown):
                part.observe(self.keep, "state")

    @property
    def words(self) -> str:
        """All that it says, as text."""
        return as_words(self.seen())

    def answered(self) -> bool:
        """Whether nothing is missing."""
        return self.answer is not None

    def said(self) -> str:
        """How the answer stands beside what was measured, as HTML."""
        raise NotImplementedError

    def shown(self) -> list:
        """The picture, with the answer."""
        return self._parts

    def seen(self) -> list:
        return [*self._asks, self.said(), *self.shown(), *self._found]


def looked_up(made: Any) -> Any:
    """What a function returns, or the error that says why it cannot; else the thing itself."""
    try:
        return made() if callable(made) else made
    except CplabError as error:
        return error_html(error)


class choice(Question):
    """A question with answers to choose from, and what opens once one was chosen: a line that
    judges, the picture, one sentence, and further numbers in a fold.

    All is looked up when the question is made: nothing here may take long, or train.

    Arguments:
        question, answers: words.
        shows: returns the picture: a Bokeh figure, a table or a text, or a list of these (a list in
            the list stands side by side).
        found: the one plain sentence that the picture says; a text, or a function that returns it.
        right: the right answer, one of `answers`, or a function that returns it; None where
            the results do not decide.
        more: what else is known, folded: a text, a table, a figure, a list of these, or a function
            that returns such.

    >>> question = choice("Does it last?", ["yes", "no"], lambda: ["a picture"], right="yes",
    ...                   found="It lasts for 300 epochs.")
    >>> question.answer = "no"
    >>> question.revealed = True
    >>> question.words.splitlines()[2]
    'It was: yes. You said: no.'
    """

    def __init__(
        self,
        question: str,
        answers: Sequence[str],
        shows: Callable[[], Any],
        *,
        found: Any = None,
        right: Any = None,
        more: Any = None,
    ) -> None:
        require(len(answers), f"answers {answers} are not allowed: give some")
        self.answers = [*answers]
        try:
            wanted = right() if callable(right) else right
            wanted = None if wanted is None else one_of("right answer", wanted, self.answers)
        except CplabError:
            if not callable(right):
                raise
            wanted = None  # its results are missing, as `shows` says
        asks = f"<p><b>{html.escape(question)}</b></p>"
        ask = {"kind": "choice", "answers": self.answers}
        super().__init__(asks, ask, shows, wanted, found, more)

    def said(self) -> str:
        answer, right = self.answer, self._judged
        if right is None or not self.revealed:
            options = " / ".join(map(html.escape, self.answers))
            return f"You said: <b>{html.escape(answer)}</b>" if answer else f"Answers: {options}"
        if answer == right:
            return f"It was: <b>{html.escape(right)}</b> ✓"
        return f"It was: <b>{html.escape(right)}</b>. You said: {html.escape(answer)}."


class Prediction(Question):
    """A guess before the figure: the truth stays covered until every slider was moved.

    Arguments:
        given: what is told, {text: Run}, or {text: accuracies}, one a seed, of what is no run; it
            stands in the figure as lines.
        asked: what is to be guessed, the same; the sliders are in percent.
        source: where accuracies are from, in words; of runs the results say it.
        quantity: what is guessed, in words.
        found, more: the sentence below the figure, and what else is known (see `choice`).

    `answer` is {text: percent}.

    >>> guess = Prediction({}, {"16 epochs of blur": Run("blur", length=16)})
    >>> guess.answer = {"16 epochs of blur": 55}
    >>> guess.revealed = True
    >>> guess.said()
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
        require(asked, "asked {} is not allowed: give something to be guessed")
        for text, what in (*given.items(), *asked.items()):
            if not isinstance(what, Run | statistics.Contrast):
                statistics.row_of_numbers(text, what, "give a Run, or accuracies from 0 to 1")
        self._asked, self._quantity = asked, quantity
        numbers = {text: accuracies(what) for text, what in given.items()}
        self._given = {text: float(np.mean(of)) for text, of in numbers.items() if len(of)}
        self._source = source or source_line(all_seeds(*asked.values()))
        known = [f"{html.escape(t)}: <b>{percent_interval(of)}</b>" for t, of in given.items()]
        asks = f"<p>Known:<br>{'<br>'.join(known)}</p>" if known else ""
        numbers = {text: accuracies(what) for text, what in asked.items()}
        self._truth = {t: statistics.mean_and_half(of) for t, of in numbers.items() if len(of)}
        measured = {text: percent_interval(of, "nothing") for text, of in asked.items()}
        ask = {"kind": "guesses", "names": [*asked]}
        super().__init__(asks, ask, self.shown, measured, found, more)

    def answered(self) -> bool:
        return {*self._asked} <= {*(self.answer or {})}

    def shown(self) -> list:
        answer = self.answer or {}
        guess = {text: answer[text] / 100 if text in answer else None for text in self._asked}
        fig = predictions.guess_figure(guess, self._truth, self._given, self._quantity)
        return [fig, f"<small>{html.escape(self._source)}</small>"]

    def said(self) -> str:
        answer = self.answer or {}
        return "<br>".join(
            f"{html.escape(name)}: {f'you {answer[name]:.1f}, ' if name in answer else ''}"
            f"measured {html.escape(words)}"
            for name, words in self._judged.items()
        )


class Ranking(Question):
    """An order of runs, {words: Run}, guessed before it is shown: who ends best, …, worst?

    Arguments: runs; found, more: see `choice`. `answer` is their names, the best first.

    >>> ranking = Ranking({"blur": Run("blur", length=16), "flip": Run("flip", length=16)})
    >>> ranking.answer = ["flip", "blur"]
    >>> ranking.said().partition(";")[0]
    'Of 1 pairs the seeds tell 1 apart (95 %)'
    """

    def __init__(self, runs: Mapping[str, Run], found: Any = None, more: Any = None) -> None:
        require(len(runs) > 1, f"runs {quote(runs)} have no order: give two or more")
        self.runs = dict(runs)
        self._hues = {name: colour(run.deficit) for name, run in runs.items()}
        self._truth = {name: np.array(accuracies(run)) for name, run in runs.items()}
        self._source = source_line(all_seeds(*runs.values()))
        pairs = [*combinations(runs, 2)]
        sure = []  # pairs, the better one first
        for one, other in pairs:
            above = quantities.each_seed(quantities.advantage, runs[one], runs[other])
            mean, half = statistics.mean_and_half(above)
            if abs(mean) > half:
                sure.append([one, other] if mean > 0 else [other, one])
        measured = [*predictions.rank_by_mean(self._truth)]
        judged = {"sure": sure, "count": len(pairs), "measured": measured, "hues": self._hues}
        ask = {"kind": "order", "names": [*runs]}
        super().__init__("", ask, self.shown, judged, found, more)

    def answered(self) -> bool:
        return sorted(self.answer or ()) == sorted(self.runs)

    def said(self) -> str:
        order, sure = self.answer or [], self._judged["sure"]
        if not order:
            return f"Measured, from best to worst: {', '.join(self._judged['measured'])}."
        right = sum(order.index(a) < order.index(b) for a, b in sure if {a, b} <= {*order})
        return (
            f"Of {self._judged['count']} pairs the seeds tell {len(sure)} apart (95 %); "
            f"{right} of these {len(sure)} stand in your order as they were measured."
        )

    def shown(self) -> list:
        fig = predictions.order_figure(self.answer or [], self._truth, self._hues)
        return [fig, f"<small>{html.escape(self._source)}</small>"]


class number(Question):
    """A number that is typed before it is shown, and whether it holds.

    Arguments: question, words; truth, the number, or a function that returns it; shows, returns
        the picture; within, how far off still holds; found, more: see `choice`.

    `answer` is the number.

    >>> asked = number("How many halves are 1.5?", 3, list, within=0)
    >>> asked.answer = 4
    >>> asked.said()
    'It does <b>not hold</b>. It is 3; you said 4.'
    """

    def __init__(
        self,
        question: str,
        truth: Any,
        shows: Callable[[], Any],
        within: float,
        found: Any = None,
        more: Any = None,
    ) -> None:
        value = float(truth() if callable(truth) else truth)
        words = statistics.plain_number(value, 4) if value % 1 else f"{value:.0f}"
        judged = {"truth": value, "within": within, "words": words}
        asks = f"<p><b>{html.escape(question)}</b></p>"
        super().__init__(asks, {"kind": "number"}, shows, judged, found, more)

    def said(self) -> str:
        truth, within, words = self._judged.values()
        if self.answer is None:
            return f"It is {words}."
        if abs(self.answer - truth) <= within:
            return f"It <b>holds</b>: it is {words} ✓"
        return f"It does <b>not hold</b>. It is {words}; you said {self.answer:g}."


def check_index(widget: "Switch | Slide", index: int) -> None:
    """Refuse a place where there is no option."""
    count = len(widget.options)
    require(
        index in range(count), f"index {quote(index)} is not allowed: there are {count} options"
    )


class Switch(Shown):
    """A row of buttons above what `draw` makes of the chosen option: a Bokeh figure, a list of
    them, a table or a text. All are drawn when it is made.

    Arguments: options, values, or pairs of words and a value; draw, from a value to what is shown.
    `index` is the place of the chosen one, and may be set.

    >>> from cplab import show
    >>> switch = Switch(["blur", "flip"], lambda name: show.removal(Run(), (name,)))
    >>> switch.index = 1
    >>> switch.value
    'flip'
    """

    def __init__(self, options: Collection, draw: Callable[[Any], Any]) -> None:
        require(len(options), f"options {options} are not allowed: give some to choose from")
        pairs = [one if isinstance(one, tuple) else (str(one), one) for one in options]
        self.labels, self.options = [str(label) for label, _ in pairs], [v for _, v in pairs]
        self._states = [[looked_up(lambda v=value: draw(v))] for value in self.options]
        states = [as_content(parts) for parts in self._states]
        super().__init__(
            {"kind": "switched", "options": self.labels, "states": states}, {"index": 0}
        )

    index = in_state("index", "The place of the chosen option.", check_index)

    @property
    def value(self) -> Any:
        """The chosen option."""
        return self.options[self.index]

    def seen(self) -> list:
        return [f"<b>{html.escape(self.labels[self.index])}</b>", *self._states[self.index]]


class Slide(Shown):
    """A slider, with a Play button, above a figure whose data follow it while it moves.

    Arguments: figure, or a list of them, in which each data source that is to change has a name;
        options, the values to choose from; data, from an option to {name of a source: its new
        columns}; words, from an option to what is said above; description, what the slider is.

    `index` is the place of the chosen option, and may be set; `drawn` is the layout.

    >>> figure = plain_figure("a point", "x", "y")
    >>> points = figure.scatter("x", "y", source=ColumnDataSource({"x": [], "y": []}, name="it"))
    >>> slide = Slide(figure, [1, 4], lambda n: {"it": {"x": [n], "y": [n * n]}}, "n is {}".format)
    >>> slide.index = 1
    >>> slide.words, list(points.data_source.data["y"])
    ('n is 4', [16])
    """

    def __init__(
        self,
        figure: Any,
        options: Sequence,
        data: Callable[[Any], Mapping[str, Mapping]],
        words: Callable[[Any], str] = str,
        description: str = "epoch",
    ) -> None:
        self.drawn, self.options = theme.side_by_side(figure), [*options]
        require(self.options, f"options {options} are not allowed: give some to choose from")
        self._words, self._data = [words(one) for one in options], [data(one) for one in options]
        for columns in self._data:
            require(isinstance(columns, Mapping), f"data gave {quote(columns)}: return a dict")
            for name in columns:
                known = self.drawn.select_one({"name": name, "type": ColumnDataSource})
                require(known, f"data names {quote(name)}: name a data source of the figure by it")
        self._fill(0)
        states = [{name: plain(columns) for name, columns in one.items()} for one in self._data]
        content = {"kind": "slide", "label": description, "words": self._words, "data": states}
        super().__init__({**content, "part": as_content([self.drawn])[0]}, {"index": 0})
        self.observe(lambda change: self._fill(self.index), "state")

    index = in_state("index", "The place of the chosen option.", check_index)

    @property
    def value(self) -> Any:
        """The chosen option."""
        return self.options[self.index]

    @property
    def words(self) -> str:
        """What is said of it."""
        return self._words[self.index]

    def seen(self) -> list:
        self._fill(self.index)
        return [f"<b>{html.escape(self.words)}</b>", self.drawn]

    def _fill(self, index: int) -> None:
        for name, columns in self._data[index].items():
            for source in self.drawn.select({"name": name, "type": ColumnDataSource}):
                source.data = dict(columns)


def plain(columns: Mapping[str, Any]) -> dict[str, list]:
    """Columns as JSON has them: None in place of numbers that are none."""
    lists = {
        name: np.asarray(of).tolist() if hasattr(of, "dtype") else [*of]
        for name, of in columns.items()
    }
    return {name: [None if v != v else v for v in of] for name, of in lists.items()}


class Fitting(Kept, w.HBox):
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
        """Show the curve of the sliders, which is no fit any more once one of them has moved; a
        page rounds what it is told, and says so."""
        fitted = self.found.parameters if self.found else {}
        if fitted and all(
            abs(self.sliders[n].value - v) < self.sliders[n].step for n, v in fitted.items()
        ):
            return
        self.found = None
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
        self.keep_soon()

    def _fit(self, button: Any) -> None:
        start = {name: bar.value for name, bar in self.sliders.items()}
        try:
            found = fits.fit(self._function, self._t, self._y, start)
        except CplabError as error:
            self.readout.value = error_html(error)
            return
        for name, value in found.parameters.items():
            bar = self.sliders[name]
            bar.min, bar.max = min(bar.min, value), max(bar.max, value)
            bar.value = value
        self.found = found
        lines = [f"{html.escape(name)} = {words}<br>" for name, words in found.describe().items()]
        counted = f"; {found.n} points, {len(found.parameters)} parameters; R² = {found.r2:.2f}"
        self._show(found.parameters, found.band(self._line), "".join(lines), counted)


def parameter(name: str, value: float, low: float, high: float) -> w.FloatSlider:
    """The slider of one parameter of a curve; three digits, without the letter e."""
    ends = {"min": min(low, value), "max": max(high, value), "step": (high - low) / 200}
    return w.FloatSlider(value, description=name, readout_format=",.3r", **ends)
