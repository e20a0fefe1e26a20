"""What labs ask with, and show with: covers, predictions, slides, fits, a run trained live.

Everything that a student sees or moves is an attribute, to be driven from Python as well.
"""

import html
import importlib.util
import threading
import time

import ipywidgets as w
import numpy as np
import pandas as pd
from bokeh.layouts import column, row
from bokeh.models import ColumnDataSource, Range1d

from cplab import figures, intervals, records
from cplab.experiment import CplabError, Run

STYLE = "line-height:1.35;font-size:14px"


class Covered(w.VBox):
    """What stays covered until every control was used and Reveal is clicked.

    Arguments: controls, widgets by name; show, called once it is revealed, returns what to put in
        the place of the cover: widgets, Bokeh figures, or lists of figures to stand side by side;
        head, widgets above the controls.

    `controls` are the widgets, `reveal` is the button, `figure` the box that stays covered.
    """

    def __init__(self, controls: dict[str, w.Widget], show, head=(), cover: str = ""):
        figures.ready(again=False)
        self.controls, self._make, self._moved = controls, show, set()
        for control in controls.values():
            control.observe(self._guess, "value")
        self.reveal = w.Button(description="Reveal", disabled=True, button_style="primary")
        self.reveal.on_click(self._show)
        self.figure = w.VBox([w.HTML(f"<i>{cover or 'Covered until you have answered.'}</i>")])
        super().__init__([*head, *controls.values(), self.reveal, self.figure])
        self.add_class("cplab-prediction")

    def _guess(self, change):
        self._moved.add(change.owner)
        self.reveal.disabled = len(self._moved) < len(self.controls)

    def _show(self, button):
        parts = [p if isinstance(p, w.Widget) else surface(side_by_side(p)) for p in self._make()]
        self.figure.children = parts
        for part in parts:
            redraw(part)


def choice(question: str, answers: list[str], show) -> Covered:
    """A question with answers to choose from, before what `show` makes: a list of Bokeh figures
    (or lists of them, to stand side by side), widgets or texts. The answer stays in view beside it;
    `controls["answer"]` is the choice."""
    buttons = w.RadioButtons(options=answers, value=None, layout={"width": "auto"})
    head = [w.HTML(f'<div style="{STYLE}"><b>{html.escape(question)}</b></div>')]

    def make():
        said = w.HTML(f"You said: <b>{html.escape(buttons.value)}</b>").add_class("cplab-revealed")
        return [said, *(w.HTML(p) if isinstance(p, str) else p for p in show())]

    return Covered({"answer": buttons}, make, head)


class Prediction(Covered):
    """A guess before the figure: the truth stays covered until every slider was moved.

    Arguments:
        given: what is told, {text: Run}, or {text: accuracies}, one a seed, of what is no run.
        asked: what is to be guessed, the same; the sliders are in percent.
        source: where accuracies are from, in words; of runs the records say it.

    `guesses` are the sliders, `reveal` is the button, `figure` the box that stays covered.
    """

    def __init__(self, given: dict, asked: dict, source: str = ""):
        self.given, self.asked, self._source = given, asked, source
        wide = {"style": {"description_width": "260px"}, "layout": {"width": "620px"}}
        self.guesses = {
            text: w.FloatSlider(
                50, min=0, max=100, step=0.5, description=text, continuous_update=False, **wide
            )
            for text in asked
        }
        told = "".join(f"<br>{text}: <b>{self._truth(run)}</b>" for text, run in given.items())
        known = w.HTML(f'<div style="{STYLE}">Known: {told}</div>')
        covered = "The figure is covered until you have moved every slider."
        super().__init__(self.guesses, self._measure, [known] if given else [], covered)

    def _truth(self, run) -> str:
        found = self._measured(run)
        return "not trained yet" if found is None else f"{intervals.percent(*found)} %"

    def _measured(self, run) -> tuple[float, float] | None:
        """Mean accuracy and half its interval, of what there is."""
        if not isinstance(run, Run):
            return intervals.mean_half(run) if len(run) else None
        self._rows = intervals.select(records.table(), run)
        points = intervals.summary(self._rows)
        at = (run.deficit, run.onset, run.length)
        return tuple(points.loc[at, ["accuracy", "accuracy_half"]]) if at in points.index else None

    def _measure(self):
        names = list(self.asked)
        guess = [self.guesses[name].value / 100 for name in names]
        truth = [self._measured(self.asked[name]) for name in names]
        fig = figures.guesses(names, guess, truth, width=620, height=70 + 40 * len(names))
        words = "; ".join(
            f"{name}: you {intervals.percent(g)}, measured "
            + (f"{intervals.percent(*t)} %" if t else "nothing yet")
            for name, g, t in zip(names, guess, truth, strict=True)
        )
        source = self._source or figures.label(self._rows)
        words += f"<br><small>{html.escape(source)}</small>"
        return [fig, w.HTML(words).add_class("cplab-revealed")]


class Ranking(Covered):
    """An order guessed before it is shown: who ends best, second, …, worst?

    Arguments: runs, what is to be ordered, as {words: Run}.

    `controls` are the drop-down lists, one a place; `reveal` is enabled once each run has a place.
    """

    COVER = "Covered until each has its place."

    def __init__(self, runs: dict[str, Run]):
        self.runs = runs
        places = ["best", *map(str, range(2, len(runs))), "worst"]
        lists = {
            place: w.Dropdown(options=[("choose", None), *((n, n) for n in runs)],
                              description=place, layout={"width": "420px"})
            for place in places
        }  # fmt: skip
        super().__init__(lists, self._measure, cover=self.COVER)
        [self._cover] = self.figure.children
        self.add_class("cplab-ranking")

    @property
    def order(self) -> list[str]:
        """The guess, from best to worst."""
        return [chosen.value for chosen in self.controls.values()]

    def _guess(self, change):
        twice = sorted({name for name in self.order if name and self.order.count(name) > 1})
        self.reveal.disabled = None in self.order or bool(twice)
        words = f"One place each: {' and '.join(twice)}." if twice else self.COVER
        self._cover.value = f"<i>{html.escape(words)}</i>"

    def _measure(self):
        """The two orders side by side, and how many pairs stand right."""
        like = next(iter(self.runs.values()))
        rows = intervals.select(records.table(), like)
        parts = {
            name: rows.query(
                f"deficit == '{run.deficit}' and onset == {run.onset} and length == {run.length}"
            )
            for name, run in self.runs.items()
        }
        truth = {name: part.set_index("seed").accuracy for name, part in parts.items()}
        hues = {name: figures.colour(run.deficit) for name, run in self.runs.items()}
        right, sure, pairs = figures.agreement(self.order, truth)
        words = (
            f"Of {pairs} pairs the seeds tell {sure} apart (95 %); "
            f"{right} of these {sure} stand in your order as they were measured."
        )
        source = f"<br><small>{figures.label(pd.concat(parts.values()))}</small>"
        fig = figures.orders(self.order, truth, hues, width=760, height=70 + 44 * len(self.runs))
        return [fig, w.HTML(words + source).add_class("cplab-revealed")]


class Switch(w.VBox):
    """A row of buttons above figures that `draw` makes for the chosen option.

    Arguments: options; draw, from an option to a Bokeh figure or a list of them.
    """

    def __init__(self, options, draw):
        figures.ready(again=False)
        self.choice = w.ToggleButtons(options=options, style={"button_width": "auto"})
        self._draw = draw
        super().__init__([self.choice, w.VBox()])
        self.choice.observe(self._choose, "value")
        self._choose()

    def _choose(self, change=None):
        drawn = self._draw(self.choice.value)
        picture = surface(side_by_side(drawn))
        self.children = [self.choice, picture]
        redraw(picture)


class Slide(w.VBox):
    """A slider, with a Play button, above a figure whose data follow it.

    Arguments: figure, or a list of them, in which each data source that is to change has a name;
        options, the values to choose from; data, from an option to {name of a source: its new
        columns}; words, from an option to what is said above the figure; description, what the
        slider is.

    `slider` chooses, `play` runs through the options.
    """

    def __init__(self, figure, options: list, data, words=str, description: str = "epoch"):
        figures.ready(again=False)
        figure = self._figure = side_by_side(figure)
        self._data, self._words, self._options = data, words, list(options)
        self.slider = w.IntSlider(
            0,
            0,
            len(options) - 1,
            description=description,
            continuous_update=False,
            readout=False,
            style={"description_width": "initial"},
        ).add_class("cplab-slide")
        self.play = w.Play(min=0, max=len(options) - 1, interval=900)
        self.readout = w.HTML().add_class("cplab-slide-words")
        w.link((self.play, "value"), (self.slider, "value"))
        self._choose()
        self._picture = surface(figure)
        line = w.HBox([self.play, self.slider, self.readout], layout={"align_items": "center"})
        super().__init__([line, self._picture])
        self.slider.observe(self._choose, "value")
        redraw(self._picture)

    @property
    def value(self):
        """The chosen option."""
        return self._options[self.slider.value]

    def _choose(self, change=None):
        for name, columns in self._data(self.value).items():
            for source in self._figure.select({"name": name, "type": ColumnDataSource}):
                source.data = columns
        self.readout.value = f"<b>{html.escape(self._words(self.value))}</b>"
        if change:
            redraw(self._picture)


class Fitting(w.VBox):
    """A curve through points: a slider for each parameter, a Fit button, residuals, intervals.

    Arguments:
        function: of t and of parameters by name (see biology.fit).
        t, y: the points, (n,).
        start: where each parameter's slider stands at first; low and high, its ends, {name: (low,
            high)}. A fit may go beyond them.
        half: half the 95 % interval of each point, to be drawn; the fit weighs points by it if
            weigh is set.
        x, unit: words for the axes.
        hue: of the points.

    `sliders` are the parameters', `fit` is the button, `readout` says what was found; `found` is
    the biology.Fit, once there is one.
    """

    def __init__(self, function, t, y, start, ends, *, half=None, x="t", unit="", hue="#0072B2",
                 weigh=False, bounds=None):  # fmt: skip
        figures.ready(again=False)
        self._function, self._t, self._y = function, np.asarray(t, float), np.asarray(y, float)
        self._half, self._bounds, self.found = half if weigh else None, bounds, None
        self.sliders = {
            name: w.FloatSlider(
                value, min=min(low, value), max=max(high, value), step=(high - low) / 200,
                description=name, continuous_update=False, readout_format=".3g",
            )
            for name, value in start.items()
            for low, high in [ends[name]]
        }  # fmt: skip
        self.fit = w.Button(description="Fit", button_style="primary")
        self.readout = w.HTML().add_class("cplab-fit")
        span = np.ptp(self._t) or 1
        self._line = np.linspace(self._t.min() - 0.05 * span, self._t.max() + 0.15 * span, 200)
        empty = {name: [] for name in ("t", "mean", "low", "high")}
        self.sources = {n: ColumnDataSource(dict(empty), name=n) for n in ("curve", "residuals")}
        layout = self._draw(x, unit, hue, half)
        self._move()
        for bar in self.sliders.values():
            bar.observe(self._move, "value")
        self.fit.on_click(self._fit)
        self._picture = surface(layout)
        controls = w.VBox([*self.sliders.values(), self.fit, self.readout],
                          layout={"width": "330px"})  # fmt: skip
        super().__init__([w.HBox([controls, self._picture])])
        redraw(self._picture)

    def _draw(self, x, unit, hue, half):
        fig = figures.plain_figure("points, and the curve of the sliders", x, unit, width=520,
                                   height=300)  # fmt: skip
        source = self.sources["curve"]
        fig.varea("t", "low", "high", source=source, color="#555555", alpha=0.18)
        fig.line("t", "mean", source=source, color="#555555", width=2)
        fig.scatter(self._t, self._y, size=9, color=hue)
        if half is not None:
            half = np.nan_to_num(np.asarray(half, float))
            fig.segment(self._t, self._y - half, self._t, self._y + half, color=hue)
        low, high = min(0, self._y.min()), self._y.max()
        fig.y_range = Range1d(low - 0.1 * (high - low), high + 0.35 * (high - low))
        rest = figures.plain_figure("", x, "residual", width=520, height=120, x_range=fig.x_range)
        source = self.sources["residuals"]
        rest.segment("t", 0, "t", "mean", source=source, color=hue, width=2)
        rest.scatter("t", "mean", source=source, color=hue, size=6)
        figures.span(rest, "width", "#555555")
        return column(fig, rest)

    @property
    def parameters(self) -> dict[str, float]:
        return {name: bar.value for name, bar in self.sliders.items()}

    def _move(self, change=None):
        """Show the curve of the sliders, which is no fit any more."""
        if self._show(self.parameters):
            rest = self._y - self._at(self._t, self.parameters)
            self.readout.value = f"squared residuals: {np.sum(rest**2):.4g}"

    def _at(self, t, parameters):
        with np.errstate(all="ignore"):
            return np.asarray(self._function(t, **parameters), float)

    def _show(self, parameters, band=0) -> bool:
        """Draw a curve; False where it is not finite."""
        line, points = self._at(self._line, parameters), self._at(self._t, parameters)
        if not np.isfinite(points).all():
            self.readout.value = "this curve is not finite at the points: move a slider"
            return False
        band = np.where(np.isfinite(band), band, 0)
        self.sources["curve"].data = {
            "t": self._line, "mean": line, "low": line - band, "high": line + band
        }  # fmt: skip
        rest = self._y - points
        self.sources["residuals"].data = {"t": self._t, "mean": rest, "low": rest, "high": rest}
        redraw(getattr(self, "_picture", None))
        return True

    def _fit(self, button=None):
        from cplab import biology

        try:
            self.found = found = biology.fit(
                self._function, self._t, self._y, self.parameters, self._half, self._bounds
            )
        except CplabError as error:
            self.readout.value = f'<span style="color:#c00">{html.escape(str(error))}</span>'
            return
        for name, bar in self.sliders.items():
            bar.unobserve(self._move, "value")
            value = found.parameters[name]
            bar.min, bar.max = min(bar.min, value), max(bar.max, value)
            bar.value = value
            bar.observe(self._move, "value")
        self._show(found.parameters, found.band(self._line))
        self.readout.value = (
            "<br>".join(
                f"{name} = {value:.3g} {interval(found.half[name])}"
                for name, value in found.parameters.items()
            )
            + f"<br>squared residuals: {np.sum(found.residuals**2):.4g}; {found.n} points, "
            f"{len(found.parameters)} parameters; R² = {found.r2:.2f}"
        )


class Job(w.HBox):
    """A button that starts some work in a thread, a bar, and a button that stops it. Where threads
    cannot draw (Colab), the work is done at the click.

    Arguments:
        words: on the button.
        work: called with the Event that Stop sets; returns what is said in the end.
        locked: controls that rest meanwhile.
        stopped: what is said when it was stopped.

    `start` and `stop` are the buttons, `said` and `progress` are the work's to set.
    """

    def __init__(self, words: str, work, locked=(), stopped: str = "stopped"):
        self._work, self._locked, self._stopped = work, locked, stopped
        self.synchronous = figures.on_colab()
        self._halt, self._worker, self._busy = threading.Event(), None, False
        firm = {"flex": "0 0 auto"}  # however much is said beside it
        self.start = w.Button(description=words, button_style="primary", layout=firm)
        self.stop = w.Button(description="Stop", disabled=True, layout=firm)
        self.said = w.HTML().add_class("cplab-live")
        self.progress = w.IntProgress(min=0, max=1, layout={"width": "140px", **firm})
        line = [self.start, self.said, self.progress, self.stop]
        super().__init__(line, layout={"align_items": "center"})
        self.start.on_click(self._begin)
        self.stop.on_click(lambda _: self._halt.set())

    def _begin(self, button=None):
        if self._busy:
            return
        self._busy = True
        self._halt.clear()
        self._rest(True)
        if self.synchronous:
            self._do()
        else:
            self._worker = threading.Thread(target=self._do, daemon=True)
            self._worker.start()

    def _rest(self, busy: bool):
        for control in (self.start, *self._locked):
            control.disabled = busy
        self.stop.disabled = not busy

    def _do(self):
        from cplab import train

        message = "stopped by an error"
        try:
            message = self._work(self._halt)
        except train.Cancelled:
            message = self._stopped
        except CplabError as error:
            message = f'<span style="color:#c00">{html.escape(str(error))}</span>'
        finally:
            self._busy = False
            self._rest(False)
            self.said.value = message


class Live(w.VBox):
    """Train a run here and now, and watch its quantities grow beside what is known.

    Arguments:
        runs: those to choose from, as {words: Run}.
        known: from a run to the records drawn beside it, {words: records} (figures.over_epochs).
        what: the quantities, one figure each (see Record.series).
        device: to train on.

    The controls are attributes: `choice` (set `.value`), `train`, `stop` (call `.click()`);
    `estimate` says what it costs, and in the end what was found.
    """

    def __init__(self, runs: dict[str, Run], known, what=("trace", "train_loss"), device="auto"):
        figures.ready(again=False)
        self._known, self._what, self.device = known, tuple(what), device
        self.choice = w.ToggleButtons(
            options=list(runs.items()), style={"button_width": "auto"}
        ).add_class("cplab-live-choice")
        self.job = Job(
            "Train", self._work, [self.choice], "stopped: Train goes on from the last checkpoint"
        )
        self.train, self.stop, self.estimate = self.job.start, self.job.stop, self.job.said
        super().__init__([self.choice, self.job, w.VBox()])
        self.choice.observe(self._choose, "value")
        self._choose()

    def _choose(self, change=None):
        from cplab import tree

        run = self.choice.value
        self.sources = {
            name: ColumnDataSource({"epoch": [], "mean": []}, name=f"live {name}")
            for name in self._what
        }
        drawn = []
        for name, source in self.sources.items():
            fig = figures.over_epochs(self._known(run), name, width=425, height=280)
            fig.line("epoch", "mean", source=source, color=figures.LIVE, width=2,
                     legend_label="live")  # fmt: skip
            drawn.append(figures.tidy_legend(fig, "top_left" if name == "trace" else "top_right"))
        self._picture = surface(row(*drawn))
        self.children = [*self.children[:2], self._picture]
        redraw(self._picture)
        self.estimate.value = (
            f"{what(run)}, seed {run.seed}: {run.epochs} epochs, about "
            f"{tree.estimate([run], self.device):.0f} s on this machine"
        )
        self.job.progress.value = 0

    def _work(self, stop: threading.Event) -> str:
        run, rows, drawn = self.choice.value, [], time.monotonic()
        self.job.progress.value, self.job.progress.max = 0, run.epochs

        def draw():
            for name, source in self.sources.items():
                known = [line for line in rows if name in line]
                source.data = {
                    "epoch": [line["epoch"] + 1 for line in known],
                    "mean": [float(np.sum(line[name])) for line in known],
                }
            redraw(self._picture)

        def report(of: Run, line: dict):
            nonlocal drawn
            rows.append(line)
            self.job.progress.value = line["epoch"] + 1
            last = ": measuring what is left" if line["epoch"] + 1 == of.epochs else ""
            self.estimate.value = f"epoch {line['epoch'] + 1} of {of.epochs}{last}"
            if not self.job.synchronous or time.monotonic() - drawn > 2:
                draw()
                drawn = time.monotonic()

        how = {"fresh": True, "device": self.device, "workers": 1}
        [(_, record)] = records.collect([run], **how, stop=stop, report=report)
        if isinstance(record, Exception):
            raise record
        rows = record.curve
        draw()
        return (
            f"live, seed {run.seed}: {intervals.percent(record.accuracy)} %, in "
            f"{record.seconds:.0f} s of training"
        )


# Parts ------------------------------------------------------------------------------------------


def interval(half: float) -> str:
    """Half a 95 % interval in words, where there is one."""
    if np.isnan(half):
        return "(no interval: too few points, or at a bound)"
    return "± ∞: the points do not determine it" if np.isinf(half) else f"± {half:.2g}"


class Frame(w.HTML):
    """A Bokeh layout as a page in a frame, for notebooks without jupyter_bokeh (Colab)."""

    def __init__(self, layout, height: int):
        super().__init__()
        self._content, self._height = layout, height

    def draw(self):
        from bokeh.embed import file_html
        from bokeh.resources import CDN

        page = html.escape(file_html(self._content, CDN))
        size = f'width="1000" height="{self._height}" frameborder="0"'
        self.value = f'<iframe srcdoc="{page}" {size}></iframe>'


def redraw(picture) -> None:
    """Show a figure's new data where they do not follow by themselves."""
    if isinstance(picture, Frame):
        picture.draw()


def side_by_side(figs):
    """A Bokeh figure or layout as it is, several of them as a row."""
    return row(*figs) if isinstance(figs, list | tuple) else figs


def is_alive() -> bool:
    """Whether figures can follow Python and answer clicks: not without jupyter_bokeh, nor on
    Colab, whose ipywidgets are too old for it."""
    return not figures.on_colab() and importlib.util.find_spec("jupyter_bokeh") is not None


def surface(layout):
    """A widget that shows a Bokeh layout: alive where that can be, else a Frame."""
    if not is_alive():
        return Frame(layout, 20 + (getattr(layout, "height", None) or 320))
    from jupyter_bokeh.widgets import BokehModel

    class View(BokehModel):
        """Shows what Python says: an echo from the page would apply every change twice, and two
        threads that send at once would mix their messages."""

        _sending = threading.RLock()

        def _document_patched(self, event):
            with self._sending:
                super()._document_patched(event)

        def _sync_model(self, model, content, buffers):
            if content.get("kind") == "MessageSent":  # a gesture
                super()._sync_model(model, content, buffers)

    return View(layout)


def what(run: Run) -> str:
    """`Blur from epoch 4 to 16`."""
    if run.deficit == "none":
        return f"No deficit, {run.epochs} clear epochs"
    name = figures.name(run.deficit)
    return f"{name[0].upper()}{name[1:]} from epoch {run.onset} to {run.end}"
