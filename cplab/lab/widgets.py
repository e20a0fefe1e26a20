"""The widgets of labs: questions and predictions, switches and slides, and live training.

Questions, switches and slides work in the page, with and without Python (cplab.show.surface). In
Python they are set by `answer`, `revealed` and `index`.
"""

import html
import threading
from collections import ChainMap
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any

import ipywidgets as w
import numpy as np
from bokeh.models import ColumnDataSource

from cplab import results, statistics
from cplab.errors import CplabError, one_of, quote, require
from cplab.lab.jobs import Clock, Job, Throttle, buttons, describe_cost, describe_run, error_html
from cplab.quantities import each_result
from cplab.runs import Run
from cplab.show import predictions, theme
from cplab.show.predictions import accuracies, percent_interval
from cplab.show.surface import Kept, Shown, Surface, as_content, as_parts, as_words, plain
from cplab.show.theme import LIVE, over_epochs, place_legend, source_line
from cplab.statistics import Estimate, percent


def in_state(name: str, words: str, check: Callable) -> Any:
    """Make a property that is kept in a widget's state. `check` raises for a wrong value."""

    def set_value(widget: Shown, value: Any) -> None:
        check(widget, value)
        widget.state = {**widget.state, name: value}

    return property(lambda widget: widget.state.get(name), set_value, doc=words)


def call_or_explain(content: Any) -> Any:
    """Call a function and return its value, or its error as HTML; return anything else as it is."""
    try:
        return content() if callable(content) else content
    except CplabError as error:
        return error_html(error)


class Question(Shown):
    """A question whose solution stays covered until the student has answered and clicked Reveal, in
    either order.

    Arguments: head, the question as HTML; ask, the way of asking, the names and the verdict on each
        answer (see surface.js); shows, returns the picture; found, more: see `choice`.

    `answer` and `revealed` may be read and set; `words` is the text that is visible now.
    """

    answer = in_state("answer", "The answer, None if there is none yet.", lambda self, value: None)
    revealed = in_state(
        "revealed",
        "Whether the solution is open.",
        lambda self, opens: require(
            not opens or self.answered(), "the question is not answered: set `answer`"
        ),
    )

    def __init__(
        self, head: str, ask: Mapping, shows: Callable[[], Any], found: Any, more: Any
    ) -> None:
        self._head, self._parts = [head], as_parts(call_or_explain(shows))
        self._found = [] if found is None else [str(call_or_explain(found))]
        content = {"kind": "question", "head": head, **ask, "parts": as_content(self._parts)}
        content["found"] = "".join(self._found)
        content["more"] = [] if more is None else as_content(as_parts(call_or_explain(more)))
        super().__init__(content, {"answer": None, "revealed": False})
        for part in self._parts:
            if isinstance(part, Shown):
                part.observe(self.keep, "state")

    @property
    def words(self) -> str:
        """All its texts, as Markdown."""
        return as_words(self.seen())

    def answered(self) -> bool:
        """Whether the question is fully answered."""
        return self.answer is not None

    def verdict(self) -> str:
        """The answer compared with what was measured, as HTML."""
        raise NotImplementedError

    def shown(self) -> list:
        """The picture, with the answer."""
        return self._parts

    def seen(self) -> list:
        return [*self._head, self.verdict(), *self.shown(), *self._found]


class choice(Question):
    """A question with answers to choose from. Its solution is a line about the answer, the picture,
    one sentence, and further numbers in a fold.

    Arguments: question, answers, texts; shows, returns the picture: a figure, a table, a text, or a
        list of these (an inner list stands side by side); found, the picture's message in one
        sentence; right, one of `answers`, None where results do not decide; more, further content.
        The last three may be functions, which are called when the question is made.

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
        try:
            wanted = right() if callable(right) else right
            wanted = None if wanted is None else one_of("right answer", wanted, [*answers])
        except CplabError:
            if not callable(right):
                raise
            wanted = None  # its results are missing, as the picture shows
        self._verdicts = {answer: judge(answer, wanted) for answer in answers}
        ask = {"ask": "choice", "names": [*answers], "verdicts": self._verdicts}
        super().__init__(f"<p><b>{html.escape(question)}</b></p>", ask, shows, found, more)

    def verdict(self) -> str:
        if self.answer is None:
            return f"Answers: {' / '.join(map(html.escape, self._verdicts))}"
        return self._verdicts[self.answer]


def judge(answer: str, right: str | None) -> str:
    """Compare an answer with the right one, if there is one, as HTML."""
    if right is None:
        return f"You said: <b>{html.escape(answer)}</b>"
    if answer == right:
        return f"It was: <b>{html.escape(right)}</b> ✓"
    return f"It was: <b>{html.escape(right)}</b>. You said: {html.escape(answer)}."


class Prediction(Question):
    """A guess before the figure: the truth stays covered until every slider has been moved.

    Arguments: given, shown from the start, {text: Run} or {text: accuracies, one a seed}; asked, to
        guess, in the same form; source of given accuracies, in words; quantity, its name; found,
        more, see `choice`; question, the text above the sliders. `answer` is {text: percent}.

    >>> guess = Prediction({}, {"16 epochs of blur": Run("blur", length=16)})
    >>> guess.answer = {"16 epochs of blur": 55}
    >>> guess.revealed = True
    >>> guess.verdict()
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
        question: str = "",
    ) -> None:
        require(asked, "asked {} is not allowed: give something to guess")
        for text, accuracy in (*given.items(), *asked.items()):
            if not isinstance(accuracy, Run | Estimate):
                statistics.row_of_numbers(text, accuracy, "give a Run, or accuracies from 0 to 1")
        numbers = {text: accuracies(accuracy) for text, accuracy in given.items()}
        self._given = {text: float(np.mean(row)) for text, row in numbers.items() if len(row)}
        runs = [accuracy for accuracy in asked.values() if isinstance(accuracy, Run)]
        self._source = source or source_line([r for run in runs for r in each_result(run)])
        truth = {text: accuracies(accuracy) for text, accuracy in asked.items()}
        found = {text: statistics.estimate(row) for text, row in truth.items() if len(row)}
        self._truth = {text: (each.mean, each.half) for text, each in found.items()}
        self._measured = {text: percent_interval(row, "nothing") for text, row in asked.items()}
        self._quantity = quantity
        lines = [f"{html.escape(t)}: <b>{percent_interval(row)}</b>" for t, row in given.items()]
        head = f"<p><b>{html.escape(question)}</b></p>" if question else ""
        head += f"<p>Known:<br>{'<br>'.join(lines)}</p>" if lines else ""
        ask = {"ask": "guesses", "names": [*asked], "verdicts": self._measured}
        super().__init__(head, ask, self.shown, found, more)

    def answered(self) -> bool:
        return {*self._measured} <= {*(self.answer or {})}

    def shown(self) -> list:
        guess = {text: (self.answer or {}).get(text, np.nan) / 100 for text in self._measured}
        fig = predictions.guess_figure(guess, self._truth, self._given, self._quantity)
        return [fig, f"<small>{html.escape(self._source)}</small>"]

    def verdict(self) -> str:
        answer = self.answer or {}
        return "<br>".join(
            f"{html.escape(name)}: {f'you {answer[name]:.1f}, ' if name in answer else ''}"
            f"measured {html.escape(words)}"
            for name, words in self._measured.items()
        )


def check_index(widget: "Switch | Slide", index: int) -> None:
    """Refuse an index without an option."""
    count = len(widget.options)
    require(index in range(count), f"index {quote(index)} is not allowed: there are {count}")


class Switch(Shown):
    """A row of buttons above the content of the chosen option: a Bokeh figure, a list of them, a
    table or a text. All are drawn when the switch is made.

    Arguments: options, values, or pairs (label, value); draw, from a value to its content. `index`
    is the place of the chosen option, and may be set.

    >>> from cplab import show
    >>> switch = Switch(["blur", "flip"], lambda name: show.removal(Run(), (name,)))
    >>> switch.index = 1
    >>> switch.value
    'flip'
    """

    index = in_state("index", "The place of the chosen option.", check_index)
    value = property(lambda self: self.options[self.index], doc="The chosen option.")

    def __init__(self, options: Collection, draw: Callable[[Any], Any]) -> None:
        require(len(options), f"options {options} are not allowed: give some to choose from")
        pairs = [entry if isinstance(entry, tuple) else (str(entry), entry) for entry in options]
        self.labels, self.options = [str(label) for label, _ in pairs], [v for _, v in pairs]
        drawn = [call_or_explain(partial(draw, option)) for option in self.options]
        self._states = [as_parts([content]) for content in drawn]
        states = [as_content(parts) for parts in self._states]
        content = {"kind": "switched", "options": self.labels, "states": states}
        super().__init__(content, {"index": 0})

    def seen(self) -> list:
        return [f"<b>{html.escape(self.labels[self.index])}</b>", *self._states[self.index]]


class Slide(Shown):
    """A slider with a Play button above a figure whose data follow it.

    Arguments: figure, or a list of them; options to choose from; data, from an option to {name of a
        data source: its new columns}; words, from an option to the text above; description, the
        slider's label. `index` is the place of the chosen option, and may be set.

    >>> from cplab.show.theme import plain_figure
    >>> figure = plain_figure("a point", "x", "y")
    >>> points = figure.scatter("x", "y", source=ColumnDataSource({"x": [], "y": []}, name="it"))
    >>> slide = Slide(figure, [1, 4], lambda n: {"it": {"x": [n], "y": [n * n]}}, "n is {}".format)
    >>> slide.index = 1
    >>> slide.words, list(points.data_source.data["y"])
    ('n is 4', [16])
    """

    index = in_state("index", "The place of the chosen option.", check_index)
    value = property(lambda self: self.options[self.index], doc="The chosen option.")
    words = property(lambda self: self._words[self.index], doc="The text of the chosen option.")

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
        self._words, self._data = [*map(words, options)], [*map(data, options)]
        self._sources = {s.name: s for s in self.drawn.select({"type": ColumnDataSource})}
        for name in {name for columns in self._data for name in columns}:
            exists = name in self._sources
            require(exists, f"data names {quote(name)}: name a data source of the figure by it")
        self._fill(0)
        states = [{n: {"data": plain(rows)} for n, rows in state.items()} for state in self._data]
        content = {"kind": "slide", "label": description, "words": self._words, "data": states}
        super().__init__({**content, "parts": as_content([self.drawn])}, {"index": 0})
        self.observe(lambda change: self._fill(self.index), "state")

    def seen(self) -> list:
        self._fill(self.index)
        return [f"<b>{html.escape(self.words)}</b>", self.drawn]

    def _fill(self, index: int) -> None:
        for name, columns in self._data[index].items():
            self._sources[name].data = dict(columns)


class Live(Kept, w.VBox):
    """Train a run here and now, and watch its quantities beside those of other results.

    Arguments: runs to choose from, {label: Run}; beside, from a run to the results drawn beside it,
        {label: results} (show.over_epochs); what, the quantities, one figure each (Result.series);
        measure, what is measured on the way (see cplab.run).

    >>> Live({"no deficit": Run(profile="ci")}, lambda run: {}).choice.label
    'no deficit'
    """

    children: Any  # of the box

    def __init__(
        self,
        runs: Mapping[str, Run],
        beside: Callable[[Run], Mapping[str, Sequence]],
        what: Sequence[str] = ("trace", "train_loss"),
        measure: Any = "trace",
    ) -> None:
        require(runs, "runs {} are not allowed: give one or more by their words")
        self._beside, self._what, self._measure = beside, what, measure
        self.choice = buttons([*runs.items()])
        self.job = Job("Train", self._work, [self.choice])
        self.train, self.stop, self.estimate = self.job.start, self.job.stop, self.job.message
        super().__init__([self.choice, self.job, w.VBox()])
        self.choice.observe(self._choose, "value")
        self._choose()

    def _choose(self, change: Any = None) -> None:
        """Draw the figures of the chosen run, and show how long it takes to train."""
        run = self.choice.value
        drawn: list[Any] = []
        groups = self._beside(run)
        self._again = results.find(run, self._measure) is not None
        self.sources: dict[str, ColumnDataSource] = {}
        for name in self._what:
            measured = {
                words: [result for result in group if np.isfinite(result.series(name)).any()]
                for words, group in groups.items()
            }
            title = "" if drawn else "In orange, yours as it is trained"
            fig = over_epochs(measured, name, title=title, width=425, height=280)
            empty = {"epoch": [np.nan], "mean": [np.nan]}  # so that it has an entry in the legend
            self.sources[name] = ColumnDataSource(empty, name=f"live {name}")
            look = {"source": self.sources[name], "color": LIVE.colour, "legend_label": LIVE.label}
            fig.scatter("epoch", "mean", size=7, marker=LIVE.marker, **look)
            fig.line("epoch", "mean", width=2, **look)
            drawn.append(place_legend(fig))
        *others, old = self.children
        self.children = [*others, Surface([drawn])]
        for part in (old, old.layout):  # an open widget would be kept, with all its data
            part.close()
        life = f"{describe_run(run)}, seed {run.seed}: {run.epochs} epochs"
        self.estimate.value = f"{life}, {describe_cost([run], self._measure)}"
        self.job.progress.value = 0
        self.keep_soon()

    def _work(self, stop: threading.Event) -> str:
        run, curves = self.choice.value, {name: dict[int, float]() for name in self._what}
        clock, draw = Clock(self.job, run.epochs), Throttle(lambda: self._draw(curves))

        def report(of: Run, row: dict) -> None:
            measured = row.get("measured", {}).values()
            now = ChainMap(row, *(columns for columns in measured if isinstance(columns, dict)))
            for name in curves.keys() & now.keys():
                curves[name][row["epoch"] + 1] = float(np.sum(now[name]))
            clock(of, row)
            draw()

        # another process may have trained the run since it was chosen
        how = {"fresh": self._again, "stop": stop, "report": report}
        result = results.run(run, measure=self._measure, **how)
        self._again = True
        curves = {name: dict(enumerate(result.series(name), 1)) for name in self._what}
        draw(last=True)
        return f"live, seed {run.seed}: {percent(result.accuracy)} %, after {clock.seconds:.0f} s"

    def _draw(self, curves: Mapping[str, Mapping[int, float]]) -> None:
        for name, values in curves.items():
            finite = {epoch: value for epoch, value in values.items() if np.isfinite(value)}
            self.sources[name].data = {"epoch": [*finite], "mean": [*finite.values()]}
