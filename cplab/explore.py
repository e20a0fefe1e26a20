"""The explorer: sliders for a deficit, its onset and its length, and what was measured there."""

import html
import threading
import time
from dataclasses import replace

import ipywidgets as w
import numpy as np
import pandas as pd
from bokeh.core.properties import value
from bokeh.events import DoubleTap, PressUp, Tap
from bokeh.layouts import column, row
from bokeh.models import BoxAnnotation, ColumnDataSource, Range1d

from cplab import data, figures, intervals, records
from cplab.experiment import PROFILES, CplabError, Run, whole
from cplab.widgets import STYLE, Frame, is_alive, surface, what

PAPER = "paper"  # the profile of the second set of records
SLIDER = {"continuous_update": False, "readout": False}


class Points:
    """What was trained in one setting (see Run): the table of its records, a row each, and `means`,
    what they say of each point (see intervals.summary).
    """

    def __init__(self, like: Run):
        self.like, self.table = like, intervals.select(records.table(), like)
        self.means = intervals.summary(self.table)

    def __contains__(self, run: Run) -> bool:
        return (run.deficit, run.onset, run.length) in self.means.index

    def at(self, deficit: str, onset: int, length: int) -> Run:
        """A point, as a run."""
        return replace(
            self.like, deficit=deficit if length else "none", onset=int(onset), length=int(length)
        )

    def mean(self, run: Run) -> pd.Series:
        """What is known of a point that was trained."""
        return self.means.loc[(run.deficit, run.onset, run.length)]

    def last(self) -> int:
        """The last epoch that a slider reaches: that of the trained points, 8 at least."""
        grid = self.means.query("length > 0").index
        last = [grid.get_level_values(n).max() for n in ("onset", "length") if len(grid)]
        return int(max([8, *last]))

    def records(self, run: Run) -> list[records.Record]:
        """The records of a point, all seeds."""
        seeds = self.table.query(
            "deficit == @run.deficit and onset == @run.onset and length == @run.length"
        ).seed
        found = (records.find(replace(run, seed=int(seed))) for seed in seeds)
        return [record for record in found if record]

    def neighbours(self, run: Run) -> list[Run]:
        """The trained points around a point that was not trained: the next ones on each side."""
        index = self.means.loc[[run.deficit]].index if run.deficit in self.means.index else []
        places = np.array([(onset, length) for _, onset, length in index])
        if not len(places):
            return []
        found = []
        for side_onset in (-1, 1):
            for side_length in (-1, 1):
                away = places - (run.onset, run.length)
                on_side = (away * (side_onset, side_length) >= 0).all(1)
                if on_side.any():
                    nearest = np.abs(away[on_side]).sum(1).argmin()
                    found.append(self.at(run.deficit, *places[on_side][nearest]))
        return list(dict.fromkeys(found))

    def accuracy(self, run: Run) -> str:
        """`55.1 ± 0.7 % (5 seeds)`, of a point that was trained."""
        point = self.mean(run)
        seeds = f"{int(point.seeds)} seed{'s' if point.seeds > 1 else ''}"
        return f"{intervals.percent(point.accuracy, point.accuracy_half)} % ({seeds})"


class Plots:
    """The explorer's figures: the phases of a life; beside each other its curves, what the length
    and the onset of its deficit do, and the map of all points.

    time_line and panels are what is shown; sources hold what is drawn, by name.
    """

    def __init__(self):
        self.time_line = self._build_time_line()
        self.panels = self._build_panels()

    def _build_time_line(self):
        fig = figures.plain_figure("", "", "", height=40, width=960, y_range=Range1d(0, 1))
        fig.axis.visible = fig.grid.visible = False
        self._phases = ColumnDataSource(
            {name: [] for name in ("left", "right", "middle", "colour", "text", "ink")}
        )
        fig.quad("left", "right", 1, 0, source=self._phases, color="colour", line_color="white")
        fig.text(
            "middle", 0.5, "text", source=self._phases, text_color="ink", text_align="center",
            text_baseline="middle", text_font_size="12px",
        )  # fmt: skip
        fig.x_range = Range1d(0, 1)
        fig.min_border = 0
        return fig

    def _build_panels(self):
        empty = {name: [] for name in ("epoch", "length", "onset", "mean", "low", "high")}
        names = ("this", "equal", "newborn", "live", "by_length", "clear", "by_onset", "chosen",
                 "chosen_onset")  # fmt: skip
        self.sources = {name: ColumnDataSource(dict(empty), name=name) for name in names}
        s = self.sources
        curve = figures.plain_figure(
            "test accuracy over epochs", "epoch", "test accuracy", width=390, name="curve"
        )
        self._shade = BoxAnnotation(fill_alpha=0.12, level="underlay")
        curve.add_layout(self._shade)
        figures.band(curve, s["newborn"], "epoch", figures.NEWBORN, "newborn", "dotted")
        figures.band(curve, s["equal"], "epoch", figures.EQUAL, "equal training", "dashed")
        figures.band(curve, s["this"], "epoch", figures.EQUAL, "this net")
        self._hued = [r for r in curve.renderers if r.data_source is s["this"]]
        curve.line(
            "epoch", "mean", source=s["live"], color=figures.LIVE, width=2, legend_label="live"
        )
        figures.in_percent(curve.yaxis)
        figures.tidy_legend(curve)
        self._legend = next(i for i in curve.legend.items if self._hued[-1] in i.renderers)

        removal = figures.plain_figure(
            "", "length", "final accuracy", width=280, height=150, name="removal"
        )
        figures.band(removal, s["clear"], "length", figures.EQUAL, "equal training", "dashed")
        figures.band(removal, s["by_length"], "length", figures.EQUAL, "this deficit", points=True)
        figures.in_percent(removal.yaxis)
        removal.legend.visible = False
        self._born = figures.span(removal, "width", figures.NEWBORN)
        sensitivity = figures.plain_figure(
            "", "onset", "points lost", width=280, height=150, name="sensitivity"
        )
        figures.band(sensitivity, s["by_onset"], "onset", figures.EQUAL, "sensitivity", points=True)
        sensitivity.legend.visible = False
        figures.span(sensitivity, "width", figures.EQUAL)
        for fig, source, x in (
            (removal, s["chosen"], "length"),
            (sensitivity, s["chosen_onset"], "onset"),
        ):
            fig.scatter(
                x, "mean", source=source, size=13, fill_alpha=0, line_color="black", line_width=2
            )
            self._hued += [r for r in fig.renderers if r.data_source.name.startswith("by_")]
        self._small = removal, sensitivity

        cells = ColumnDataSource({n: [] for n in ("onset", "length", "loss", "text", "ink")})
        self.map = figures.grid(cells, [], [], width=290, height=300)
        self.cells = cells
        self.map.rect(
            "onset", "length", 0.96, 0.94, source=ColumnDataSource({"onset": [], "length": []}),
            fill_alpha=0, line_color=figures.LIVE, line_width=3,
        )  # fmt: skip
        self._mark = self.map.renderers[-1].data_source
        return row(curve, column(removal, sensitivity), self.map)

    def show(self, points: Points, run: Run, deficit: str, shown: Run | None) -> None:
        """Draw a point; `shown` is the one whose curves stand for it, itself if it was trained.

        Arguments: deficit, the one that is chosen, which the run has only if it lasts.
        """
        hue = figures.colour(deficit)
        self._draw_phases(run, deficit, hue)
        self._draw_curves(points, shown, run, hue)
        self._draw_small(points, deficit, shown or run, run)
        self._draw_map(points, deficit, run)

    def live(self, epochs: list[int], accuracies: list[float]) -> None:
        """Draw the curve of a run that is being trained."""
        self.sources["live"].data = {"epoch": list(epochs), "mean": list(accuracies)}

    def _draw_phases(self, run: Run, deficit: str, hue: str):
        edges = [0, run.onset, run.end, run.epochs]
        names = ("clear", figures.name(deficit), "recovery")
        rows = [
            (a, b, (a + b) / 2, colour, text if b - a >= 0.08 * run.epochs else "", ink)
            for a, b, colour, text, ink in zip(
                edges[:-1], edges[1:], ("#e8e8e8", hue, "#f4f4f4"), names,
                ("black", "white", "black"), strict=True,
            )
            if b > a
        ]  # fmt: skip
        self._phases.data = dict(
            zip(self._phases.data, map(list, zip(*rows, strict=True)), strict=True)
        )
        self.time_line.x_range.end = run.epochs

    def _draw_curves(self, points: Points, shown: Run | None, run: Run, hue: str):
        like = shown or run
        of = {"this": shown, "equal": like.equal_training(), "newborn": like.newborn()}
        for name, wanted in of.items():
            found = points.records(wanted) if wanted else []
            curve = intervals.mean_curve(found)
            if name == "newborn":  # begins where the others begin to recover
                curve["epoch"] = curve["epoch"] + like.end
            self.sources[name].data = curve
        self.live([], [])
        for renderer in self._hued:
            glyph = renderer.glyph
            for prop in ("fill_color", "line_color"):
                if hasattr(glyph, prop):
                    setattr(glyph, prop, hue)
        self._shade.left, self._shade.right = like.onset + 0.5, like.end + 0.5
        self._shade.fill_color = hue
        self._legend.label = value("this net" if like == run else "its nearest neighbour")

    def _draw_small(self, points: Points, deficit: str, shown: Run, run: Run):
        s, means = self.sources, points.means
        s["by_length"].data = figures.along_length(means, deficit, shown.onset)
        s["clear"].data = figures.clear_along(means, shown.onset)
        s["by_onset"].data = figures.along_onset(means, deficit, shown.length)
        removal, sensitivity = self._small
        nearest = "" if shown == run else ", the nearest"
        removal.title.text = f"final accuracy · onset {shown.onset}{nearest}"
        sensitivity.title.text = f"sensitivity · length {shown.length}{nearest}"
        longest = max([1, *s["by_length"].data["length"]])
        removal.x_range = Range1d(-0.5, longest + 0.5)
        born = means.accuracy.get(("none", 0, 0))
        self._born.visible = born is not None
        self._born.location = born
        here = means.loc[[(run.deficit, run.onset, run.length)]] if run in points else means[:0]
        s["chosen"].data = {"length": [run.length] * len(here), "mean": list(here.accuracy)}
        loss = [] if not run.length else list(100 * here.loss)
        s["chosen_onset"].data = {"onset": [run.onset] * len(loss), "mean": loss}

    def _draw_map(self, points: Points, deficit: str, run: Run):
        tried = points.means.query("length > 0").index
        for axis, level in ((self.map.x_range, "onset"), (self.map.y_range, "length")):
            axis.factors = [str(v) for v in sorted(set(tried.get_level_values(level)))]
        rows = points.means.query("deficit == @deficit")
        loss = 100 * rows.loss.to_numpy()
        self.cells.data = {
            "onset": [str(v) for v in rows.index.get_level_values("onset")],
            "length": [str(v) for v in rows.index.get_level_values("length")],
            "loss": loss,
            "text": [f"{v:.1f}" if np.isfinite(v) else "?" for v in loss],
            "ink": ["white" if v > 6 else "black" for v in loss],
        }
        here = run in points and run.length > 0
        self._mark.data = {
            "onset": [str(run.onset)] * here,
            "length": [str(run.length)] * here,
        }


class Explorer(w.VBox):
    """One screen: choose a deficit, its onset and its length; see what was measured; train it.

    Arguments:
        profile, schedule, dataset, model: the setting (see Run); all but the first are the
            profile's if not given.
        deficits: those to choose from.
        onset, length: where to begin.
        seed: of live runs.
        device: of live runs.

    The controls are attributes, to be driven from Python as well: `deficit`, `onset`, `length`
    (set `.value`), `train`, `stop` (call `.click()`), `readout`; `size`, once there are records of
    the paper's size, changes to them and back.
    """

    def __init__(
        self,
        profile: str = "course",
        schedule: str | None = None,
        dataset: str | None = None,
        deficits: tuple[str, ...] = ("blur", "flip", "permute", "noise"),
        onset: int = 0,
        length: int = 8,
        seed: int = 0,
        device: str = "auto",
        model: str | None = None,
    ):
        figures.ready(again=False)
        self._given = {"schedule": schedule, "dataset": dataset, "model": model, "seed": seed}
        self.like = Run(profile=profile, **self._given)
        self.device, self.synchronous = device, figures.on_colab()
        self._halt, self._worker, self._busy = threading.Event(), None, False
        self._points = Points(self.like)
        deficits = [replace(self.like, deficit=d, length=1).deficit for d in deficits]
        onset, length = whole("onset", onset), whole("length", length)
        self._build(deficits, max(self._points.last(), onset, length), onset, length)
        for control in (self.deficit, self.onset, self.length):
            control.observe(self._choose, "value")
        self.size.observe(self._resize, "value")
        self.train.on_click(self._train)
        self.stop.on_click(lambda _: self._halt.set())
        if is_alive():
            self._plots.map.title.text += ": click to choose"
            for gesture in (DoubleTap, PressUp, Tap):  # fast, slow and ordinary clicks
                self._plots.map.on_event(gesture, self._tap)
        self._choose()
        # a view shows its figures as they were when it was made
        self._surfaces = [surface(self._plots.time_line), surface(self._plots.panels)]
        super().__init__(self._screen())
        self._refresh()

    def _sizes(self) -> list[str]:
        """The profile, and the paper's if there is a record of it."""
        own = self.like.profile
        large = intervals.select(records.table(), Run(profile=PAPER, **self._given))
        return [own, PAPER] if len(large) and own != PAPER else [own]

    def _resize(self, change):
        """Show the records of another size, at the same point of a life."""
        scale = PROFILES[change.old].pace / PROFILES[change.new].pace
        onset, length = (round(scale * bar.value) for bar in (self.onset, self.length))
        self.like = Run(profile=change.new, **self._given)
        self._points = Points(self.like)
        last = max(self._points.last(), onset, length)
        for bar in (self.onset, self.onset_box, self.length, self.length_box):
            bar.max = last
        self.onset.value, self.length.value = onset, length
        self._choose()

    @property
    def run(self) -> Run:
        """The chosen point, as a run."""
        chosen = (self.deficit.value, self.onset.value, self.length.value)
        return self._points.at(*chosen)

    # What is on the screen

    def _build(self, deficits, last: int, onset: int, length: int):
        words = {"disabled": False, "style": {"button_width": "auto"}}
        self.deficit = w.ToggleButtons(
            options=[(figures.name(d), d) for d in deficits], value=deficits[0], **words
        )
        sizes = self._sizes()
        self.size = w.ToggleButtons(options=sizes, value=sizes[0], **words).add_class("cplab-size")
        self.size.layout.display = "" if len(sizes) > 1 else "none"
        self.onset, self.onset_box = slider(0, last, onset, "cplab-onset")
        self.length, self.length_box = slider(0, last, length, "cplab-length")
        self.status = w.HTML().add_class("cplab-status")
        self.readout = w.HTML().add_class("cplab-readout")
        self.picture = w.HTML()
        self.train = w.Button(description="Train this point", button_style="primary")
        self.stop = w.Button(description="Stop", disabled=True)
        self.estimate = w.HTML().add_class("cplab-estimate")
        self.progress = w.IntProgress(min=0, max=1, layout={"width": "180px"})
        self.code = w.HTML().add_class("cplab-code")
        self._plots, self._surfaces = Plots(), []

    def _screen(self):
        line = {"align_items": "center"}
        sliders = [
            w.HTML("onset"), self.onset, self.onset_box, w.HTML("&emsp;length"), self.length,
            self.length_box,
        ]  # fmt: skip
        return [
            w.HBox(
                [self.deficit, self.size, self.status],
                layout={**line, "justify_content": "space-between"},
            ),
            w.HBox(sliders, layout=line),
            self._surfaces[0],
            w.HBox([self.picture, self.readout], layout=line),
            self._surfaces[1],
            w.HBox([self.train, self.estimate, self.progress, self.stop], layout=line),
            self.code,
        ]

    # What happens

    def _choose(self, change=None):
        """Show the chosen point. Called by every control."""
        run = self.run
        known = run in self._points
        nearest = [] if known else self._points.neighbours(run)
        shown = run if known else (nearest[0] if nearest else None)
        self._plots.show(self._points, run, self.deficit.value, shown)
        self.readout.value = f'<div style="{STYLE}">{self._words(run, nearest)}</div>'
        self.status.value = f"<small>{html.escape(figures.label(self._points.table))}</small>"
        call = html.escape(run.call())
        self.code.value = (
            f"<code>{call}</code> <a style='cursor:pointer' onclick=\"navigator.clipboard."
            'writeText(this.previousElementSibling.textContent)">copy</a>'
        )
        self._draw_picture()
        if not self._busy:
            self._offer(run)
        self._refresh()

    def _offer(self, run: Run):
        """Say what training the point would cost."""
        from cplab import tree

        todo = self._todo(run)
        seconds = tree.estimate(todo, self.device)
        more = "" if len(todo) == 1 else " with its missing controls"
        self.estimate.value = f"live: about {seconds:.0f} s on this machine{more}"
        self.train.description = "Train it again" if run in self._points else "Train this point"
        self.progress.value = 0

    def _todo(self, run: Run) -> list[Run]:
        """The runs that Train trains: the point, and those of its controls that nobody trained."""
        controls = [run.equal_training(), run.newborn()]
        return list(dict.fromkeys([run, *(c for c in controls if not records.find(c))]))

    def _draw_picture(self):
        from cplab.deficits import see

        images = pictures(self.like.dataset, self.like.profile)
        clear = images.train_x[:3]
        x = images.normal(clear)
        seen, _ = see(x, images.train_y[:3], self.deficit.value)
        rows = {"clear": clear, "seen": figures.to_pixels(seen, images)}
        strips = figures.strips(rows, scale=max(1, 40 // x.shape[-1])).data
        absent = images.name != self.like.dataset
        self.picture.value = strips + ("<small>PRACTICE images</small>" if absent else "")

    def _words(self, run: Run, nearest: list[Run]) -> str:
        """The read-out: what the chosen point shows, in words and with its interval."""
        if run not in self._points:
            if not nearest:
                return f"Nobody has trained {what(run)} yet. <b>Train it.</b>"
            rows = "; ".join(f"{where(r)}: {self._points.accuracy(r)}" for r in nearest)
            return (
                f"Not trained: {what(run)}. Its trained neighbours: {rows}. "
                "The curves show the first of them. <b>Train this point</b> to know."
            )
        point = self._points.mean(run)
        begin = f"{what(run)} ends at <b>{self._points.accuracy(run)}</b>"
        if run.deficit == "none":
            return f"{begin}. Now let a deficit last for some epochs."
        against = [
            compared(point.gain, point.gain_half, "a newborn"),
            compared(-point.loss, point.loss_half, "equal training"),
        ]
        against = [text for text in against if text]
        if not against:
            return f"{begin}. Its controls are not trained yet."
        return f"{begin}: {', '.join(against)}. <b>{verdict(point)}</b>"

    def _tap(self, event):
        """A click on the map chooses the point: on an axis of names, cell i is from i to i + 1."""
        axes = [self._plots.map.x_range.factors, self._plots.map.y_range.factors]
        cell = [int(np.floor(value)) for value in (event.x, event.y)]
        if all(0 <= i < len(names) for i, names in zip(cell, axes, strict=True)):
            onset, length = (int(names[i]) for i, names in zip(cell, axes, strict=True))
            self.onset.value, self.length.value = onset, length

    def _refresh(self):
        for part in self._surfaces:
            if isinstance(part, Frame):
                part.draw()

    # Training

    def _train(self, button=None):
        """Train the chosen point: in a thread, or here and now where threads cannot draw."""
        if self._busy:
            return
        self._busy = True
        self._halt.clear()
        self.train.disabled, self.size.disabled, self.stop.disabled = True, True, False
        work = (self.run, self._todo(self.run))
        if self.synchronous:
            self._work(*work)
        else:
            self._worker = threading.Thread(target=self._work, args=work, daemon=True)
            self._worker.start()

    def _work(self, run: Run, todo: list[Run]):
        from cplab import train, tree

        self.progress.max = max(1, sum(root.epochs for root in tree.plan(todo)))
        self.progress.value = 0
        grown, drawn = {"epochs": [], "accuracies": []}, time.monotonic()

        def report(of: Run, line: dict):
            nonlocal drawn
            self.progress.value += 1
            self.estimate.value = f"epoch {line['epoch'] + 1} of {of.epochs}"
            if of.steps[: line["epoch"] + 1] == run.steps[: line["epoch"] + 1]:
                grown["epochs"].append(line["epoch"] + 1)
                grown["accuracies"].append(line["test_accuracy"])
            if self.run == run and (not self.synchronous or time.monotonic() - drawn > 2):
                self._plots.live(**grown)
                drawn = time.monotonic()
                self._refresh()

        message, fresh = "stopped by an error", None
        try:
            done = dict(
                records.collect(
                    todo, fresh=True, device=self.device, workers=1, stop=self._halt, report=report
                )
            )
            for record in done.values():
                if isinstance(record, Exception):
                    raise record
            fresh = done[run]
            message = f"live, seed {run.seed}: {intervals.percent(fresh.accuracy)} %"
        except train.Cancelled:
            message = "stopped: Train goes on from the last checkpoint"
        except CplabError as error:
            message = f'<span style="color:#c00">{html.escape(str(error))}</span>'
        finally:
            self._busy = False
            self._points = Points(self.like)
            self._choose()
            if fresh and self.run == run:
                curve = intervals.mean_curve([fresh])
                self._plots.live(curve["epoch"], curve["mean"])
                self.progress.value = self.progress.max
            self.estimate.value = message
            self.train.disabled, self.size.disabled, self.stop.disabled = False, False, True
            self._refresh()


# Parts ------------------------------------------------------------------------------------------


def slider(low: int, high: int, value: int, css: str) -> tuple[w.IntSlider, w.BoundedIntText]:
    """A slider that tells when it is let go, and the number box beside it."""
    bar = w.IntSlider(value, low, high, layout={"width": "300px"}, **SLIDER).add_class(css)
    box = w.BoundedIntText(value, low, high, layout={"width": "60px"}).add_class(f"{css}-box")
    w.link((bar, "value"), (box, "value"))
    return bar, box


def pictures(dataset: str, profile: str) -> data.Images:
    """Images to look at: of the data set if it is at hand, else practice images (their name says
    so), since nobody wants to wait for a download to see a picture."""
    return data.images(dataset if data.at_hand(dataset) else "practice", profile)


def where(run: Run) -> str:
    return f"onset {run.onset}, length {run.length}"


def compared(difference: float, half: float, control: str) -> str:
    """`4.2 ± 0.9 below a newborn`; nothing where that control is missing."""
    if np.isnan(difference):
        return ""
    side = "below" if difference < 0 else "above"
    return f"{intervals.percent(abs(difference), half)} {side} {control}"


def verdict(point: pd.Series) -> str:
    """What the two comparisons, with their intervals, allow to say."""
    if np.isnan(point.gain) or np.isnan(point.loss):
        return "One control is missing: no verdict."
    if np.isnan(point.gain_half) or np.isnan(point.loss_half):
        return "One seed: no interval, no verdict."
    if point.gain + point.gain_half < 0:
        return "Worse than never having seen anything: the loss does not heal."
    if point.loss - point.loss_half <= 0:
        return "No lasting loss is seen."
    if point.gain - point.gain_half > 0:
        return "Something was learned, less than from clear images."
    return "Less than equal training; from a newborn no difference is seen."
