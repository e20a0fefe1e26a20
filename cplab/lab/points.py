"""What the explorer knows of a setting, and how it draws it. Both can be used without it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from bokeh import layouts
from bokeh.core.properties import value
from bokeh.models import BoxAnnotation, ColumnDataSource, Range1d
from bokeh.plotting import figure

from cplab import quantities, results, statistics
from cplab.runs import Run
from cplab.show import results as shown_results
from cplab.show.theme import (
    EQUAL,
    LIVE,
    NEWBORN,
    band,
    percent_axis,
    place_legend,
    plain_figure,
    reference_line,
    style,
)

SHORTEST = 8  # epochs that sliders reach at least
DARK = 6  # points of loss from which a cell of the map has white letters


class Points:
    """What was trained in one setting.

    Arguments: like, a run of it; deficit, onset, length and seed do not matter. table, of results;
        all there are by default.

    `table` has a row for each result, `means` one for each point (see quantities.point_means).

    >>> Points(Run()).accuracy(Run("blur", 0, 8))
    '56.7 ± 0.6 % (10 seeds)'
    """

    def __init__(self, like: Run, table: pd.DataFrame | None = None) -> None:
        every = results.table() if table is None else table
        self.like, self.table = like, quantities.same_setting(every, like)
        self.means = quantities.point_means(self.table)

    def __contains__(self, run: Run) -> bool:
        return (run.deficit, run.onset, run.length) in self.means.index

    def at(self, deficit: str, onset: int, length: int) -> Run:
        """A point, as a run."""
        named = deficit if length else "none"
        return replace(self.like, deficit=named, onset=int(onset), length=int(length))

    def mean(self, run: Run) -> pd.Series:
        """What is known of a point that was trained."""
        point: Any = (run.deficit, run.onset, run.length)
        return self.means.loc[point]

    def last(self) -> int:
        """The last epoch that a slider reaches: that of the trained points, 8 at least."""
        grid = self.means.query("length > 0").index
        last = [grid.get_level_values(n).max() for n in ("onset", "length") if len(grid)]
        return int(max([SHORTEST, *last]))

    def results(self, run: Run) -> list[results.Result]:
        """The results of a point, all seeds."""
        same = [self.table[n] == getattr(run, n) for n in ("deficit", "onset", "length")]
        seeds = self.table.seed[np.logical_and.reduce(same)]
        found = (results.find(replace(run, seed=int(seed))) for seed in seeds)
        return [one for one in found if one]

    def neighbours(self, run: Run) -> list[Run]:
        """The trained points around a point that was not trained: the next ones on each side."""
        points = self.means.index[self.means.index.get_level_values("deficit") == run.deficit]
        places = np.array([(onset, length) for _, onset, length in points])
        if not len(places):
            return []
        found = []
        for side in ((-1, -1), (-1, 1), (1, -1), (1, 1)):
            away = places - (run.onset, run.length)
            on_side = (away * side >= 0).all(1)
            if on_side.any():
                nearest = np.abs(away[on_side]).sum(1).argmin()
                found.append(self.at(run.deficit, *places[on_side][nearest]))
        return list(dict.fromkeys(found))

    def accuracy(self, run: Run) -> str:
        """`55.1 ± 0.7 % (5 seeds)`, of a point that was trained."""
        point = self.mean(run)
        number = statistics.percent(point.accuracy, point.accuracy_half)
        return f"{number} % ({statistics.count_seeds(int(point.seeds))})"


class Plots:
    """The explorer's figures: the phases of a life; beside each other its curves, what the length
    and the onset of its deficit do, and the map of all points.

    `time_line` and `panels` are what is shown, `map` one of them; `sources` hold what is drawn, by
    name.

    >>> sorted(Plots().sources)[:3]
    ['by_length', 'by_onset', 'cells']
    """

    def __init__(self) -> None:
        names = "this equal newborn live by_length clear by_onset chosen chosen_onset"
        columns = ("epoch", "length", "onset", "mean", "low", "high")
        self.sources = {name: empty(name, columns) for name in names.split()}
        self.sources["phases"] = empty(
            "phases", ("left", "right", "middle", "colour", "text", "ink")
        )
        self.sources["cells"] = empty("cells", ("onset", "length", "loss", "text", "ink"))
        self.sources["mark"] = empty("mark", ("onset", "length"))
        self._hued: list[Any] = []
        self.time_line = self._build_time_line()
        self.curve = self._build_curve()
        self.removal, self.sensitivity = self._build_small()
        self.map = self._build_map()
        small = layouts.column(self.removal, self.sensitivity)
        self.panels = layouts.row(self.curve, small, self.map)

    def _build_time_line(self) -> figure:
        ranges = {"x_range": Range1d(0, 1), "y_range": Range1d(0, 1)}
        fig = plain_figure("", "", "", height=40, width=960, min_border=0, **ranges)
        fig.axis.visible = fig.grid.visible = False
        source = self.sources["phases"]
        fig.quad("left", "right", 1, 0, source=source, color="colour", line_color="white")
        words = {"text_align": "center", "text_baseline": "middle", "text_font_size": "12px"}
        fig.text("middle", 0.5, "text", source=source, text_color="ink", **words)
        return fig

    def _build_curve(self) -> figure:
        s = self.sources
        fig = plain_figure(
            "test accuracy over epochs", "epoch", "test accuracy", width=390, name="curve"
        )
        self.shade = BoxAnnotation(fill_alpha=0.12, level="underlay")
        fig.add_layout(self.shade)
        band(fig, s["newborn"], "epoch", NEWBORN)
        band(fig, s["equal"], "epoch", EQUAL)
        band(fig, s["this"], "epoch", style("none"), "this net")
        self._hued += [r for r in fig.renderers if r.data_source is s["this"]]
        look = {"color": LIVE.colour, "width": 2, "legend_label": LIVE.label}
        self.growing = fig.line("epoch", "mean", source=s["live"], **look)
        percent_axis(fig.yaxis)
        place_legend(fig)
        items = {item.renderers[0]: item for item in fig.legend.items}
        self.words = next(items[r] for r in self._hued if r in items)
        self._live_words = items[self.growing]
        return fig

    def _build_small(self) -> tuple[figure, figure]:
        s, size = self.sources, dict[str, Any](width=280, height=150)
        removal = plain_figure("", "length", "final accuracy", name="removal", **size)
        band(removal, s["clear"], "length", EQUAL)
        band(removal, s["by_length"], "length", style("none"), "this deficit", points=True)
        percent_axis(removal.yaxis)
        self.born = reference_line(removal, "width", NEWBORN.colour)
        sensitivity = plain_figure("", "onset", "points lost", name="sensitivity", **size)
        band(sensitivity, s["by_onset"], "onset", style("none"), points=True)
        reference_line(sensitivity, "width", EQUAL.colour)
        ring = {"size": 13, "fill_alpha": 0, "line_color": "black", "line_width": 2}
        for fig, name, x in ((removal, "chosen", "length"), (sensitivity, "chosen_onset", "onset")):
            fig.legend.visible = False
            fig.scatter(x, "mean", source=s[name], **ring)
            self._hued += [r for r in fig.renderers if r.data_source.name.startswith("by_")]
        return removal, sensitivity

    def _build_map(self) -> figure:
        fig = shown_results.grid(self.sources["cells"], [], [], width=290, height=300)
        look = {"fill_alpha": 0, "line_color": LIVE.colour, "line_width": 3}
        fig.rect("onset", "length", 0.96, 0.94, source=self.sources["mark"], **look)
        return fig

    def show(self, points: Points, run: Run, deficit: str, shown: Run | None) -> None:
        """Draw a point.

        Arguments: deficit, the one that is chosen, which the run has only if it lasts; shown, whose
            curves stand for the point: itself if it was trained, else a neighbour, or None.
        """
        self._show_phases(run, deficit)
        self._show_curves(points, shown, run, deficit)
        self._show_small(points, deficit, shown or run, run)
        self._show_map(points, deficit, run)

    def live(self, epochs: Sequence[int], accuracies: Sequence[float]) -> None:
        """Draw the curve of a run that is being trained; without epochs there is none."""
        self.sources["live"].data = {"epoch": list(epochs), "mean": list(accuracies)}
        self._live_words.visible = len(epochs) > 0

    def _show_phases(self, run: Run, deficit: str) -> None:
        look = style(deficit)
        phases = (
            (0, run.onset, "#e8e8e8", "clear", "black"),
            (run.onset, run.end, look.colour, look.label, "white"),
            (run.end, run.epochs, "#f4f4f4", "recovery", "black"),
        )
        rows = [
            (a, b, (a + b) / 2, colour, text if b - a >= 0.08 * run.epochs else "", ink)
            for a, b, colour, text, ink in phases
            if b > a
        ]
        source = self.sources["phases"]
        source.data = dict(zip(source.data, map(list, zip(*rows, strict=True)), strict=True))
        self.time_line.x_range.end = run.epochs

    def _show_curves(self, points: Points, shown: Run | None, run: Run, deficit: str) -> None:
        like, look = shown or run, style(deficit)
        of = {"this": shown, "equal": like.equal_training(), "newborn": like.newborn()}
        for name, wanted in of.items():
            curve = statistics.mean_curve(points.results(wanted) if wanted else [])
            if name == "newborn":  # begins where the others begin to recover
                curve["epoch"] = curve["epoch"] + like.end
            self.sources[name].data = curve
        self.live([], [])
        for renderer in self._hued:
            glyph = renderer.glyph
            for name, new in (
                ("fill_color", look.colour),
                ("line_color", look.colour),
                ("line_dash", look.dash),
                ("marker", look.marker),
            ):
                if hasattr(glyph, name):
                    setattr(glyph, name, new)
        self.shade.left, self.shade.right = like.onset + 0.5, like.end + 0.5
        self.shade.fill_color = look.colour
        self.words.label = value("this net" if like == run else "its nearest neighbour")

    def _show_small(self, points: Points, deficit: str, shown: Run, run: Run) -> None:
        s, means = self.sources, points.means
        s["by_length"].data = shown_results.along_length(means, deficit, shown.onset)
        s["clear"].data = shown_results.clear_along(means, shown.onset)
        s["by_onset"].data = shown_results.along_onset(means, deficit, shown.length)
        nearest = "" if shown == run else ", the nearest"
        self.removal.title.text = f"final accuracy · onset {shown.onset}{nearest}"
        self.sensitivity.title.text = f"sensitivity · length {shown.length}{nearest}"
        longest = max([1, *s["by_length"].data["length"]])
        self.removal.x_range = Range1d(-0.5, longest + 0.5)
        born = means.accuracy.get(("none", 0, 0))
        self.born.visible, self.born.location = born is not None, born
        here = means.loc[[(run.deficit, run.onset, run.length)]] if run in points else means[:0]
        s["chosen"].data = {"length": [run.length] * len(here), "mean": list(here.accuracy)}
        loss = list(100 * here.loss) if run.length else []
        s["chosen_onset"].data = {"onset": [run.onset] * len(loss), "mean": loss}

    def _show_map(self, points: Points, deficit: str, run: Run) -> None:
        tried = points.means.query("length > 0").index
        for axis, level in ((self.map.x_range, "onset"), (self.map.y_range, "length")):
            axis.factors = [str(v) for v in sorted(set(tried.get_level_values(level)))]
        rows = points.means.query("deficit == @deficit")
        loss = 100 * rows.loss.to_numpy() + 0.0
        self.sources["cells"].data = {
            "onset": [str(v) for v in rows.index.get_level_values("onset")],
            "length": [str(v) for v in rows.index.get_level_values("length")],
            "loss": loss,
            "text": [f"{v:.1f}".replace("-0.0", "0.0") if np.isfinite(v) else "?" for v in loss],
            "ink": ["white" if v > DARK else "black" for v in loss],
        }
        here = run in points and run.length > 0
        self.sources["mark"].data = {
            "onset": [str(run.onset)] * here,
            "length": [str(run.length)] * here,
        }


def empty(name: str, columns: Sequence[str]) -> ColumnDataSource:
    """A named data source without rows."""
    return ColumnDataSource({column: [] for column in columns}, name=name)
