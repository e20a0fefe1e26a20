"""What the explorer knows of a setting, and how it draws it. Both can be used without it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from bokeh import models
from bokeh.models import ColumnDataSource, FactorRange
from bokeh.palettes import RdBu
from bokeh.plotting import figure
from bokeh.transform import linear_cmap

from cplab import results, statistics, windows
from cplab.runs import Run
from cplab.show import theme
from cplab.show.results import clear_along, finish, mean_along
from cplab.show.theme import style

SHORTEST = 8  # epochs that sliders reach at least
LOST = "#BBBBBB"  # the colour of lost time
# of each map from how many points on a cell is darkest
MAPS = {"harm": 6, "lost_time": 12}
SOURCES = ["this", "equal", "control", "live", "pair", "other", "crossing", "by_length", "clear"]
SOURCES += ["chosen", "by_onset", "by_recovery", "cells", "mark"]


class Points:
    """What was trained in one setting, with any recovery but none.

    Arguments: like, a run of it; deficit, onset, length and seed do not matter.

    `like` says the recovery that is looked at, `clock` the control (see `quantities.harm`); both
    may be set. `recoveries` are those that there are.

    >>> points = Points(Run())
    >>> points.accuracy(Run("blur", 0, 8)), points.recoveries[0]
    ('56.9 ± 0.4 % (20 seeds)', 15)
    """

    def __init__(self, like: Run) -> None:
        every = windows.same_setting(like, but=("recovery",))
        self.table = every[every.recovery > 0]  # there is no newborn of no epochs
        self.like, self.clock = like, "stopped"
        self.recoveries = sorted({like.recovery, *map(int, self.table.recovery)})
        self._means: dict[Any, pd.DataFrame] = {}
        self._curves: dict[Run, dict] = {}
        self._made: dict[Any, Any] = {}

    def __contains__(self, run: Run) -> bool:
        return (run.deficit, run.onset, run.length) in self.means.index

    @property
    def means(self) -> pd.DataFrame:
        """A row for each point of this recovery (see windows.point_means)."""
        return self.means_after(self.like.recovery)

    def means_after(self, recovery: int) -> pd.DataFrame:
        """The same of another recovery."""
        wanted = (recovery, self.clock)
        if wanted not in self._means:
            rows = self.table[self.table.recovery == recovery]
            self._means[wanted] = windows.point_means(rows, self.clock)
        return self._means[wanted]

    def once(self, make: Callable[..., Any], *at: Any) -> Any:
        """What `make(points, *at)` gives after this recovery and with this clock: the same object
        when it is asked for again."""
        wanted = (make, self.like.recovery, self.clock, *at)
        if wanted not in self._made:
            self._made[wanted] = make(self, *at)
        return self._made[wanted]

    def trained_values(self, axis: str) -> list[int]:
        """The onsets or lengths of all windows that were trained, whatever the recovery."""
        return sorted(map(int, self.table[axis][self.table.length > 0].unique()))

    def run_at(self, deficit: str, onset: int, length: int) -> Run:
        """A point, as a run."""
        named = deficit if length else "none"
        return replace(self.like, deficit=named, onset=int(onset), length=int(length))

    def mean(self, run: Run) -> pd.Series:
        """What is known of a point that was trained."""
        point: Any = (run.deficit, run.onset, run.length)
        return self.means.loc[point]

    def last(self) -> int:
        """The last epoch that a slider reaches: that of the trained points, 8 at least."""
        return max([SHORTEST, *self.trained_values("onset"), *self.trained_values("length")])

    def curve(self, run: Run | None) -> dict[str, np.ndarray]:
        """Test accuracy over the epochs of a life, if any (see statistics.mean_curve)."""
        if run and run not in self._curves:
            seeds = (replace(run, seed=int(seed)) for seed in self.table.seed.unique())
            self._curves[run] = statistics.mean_curve([*filter(None, map(results.find, seeds))])
        return self._curves[run] if run else statistics.mean_curve([])

    def neighbours(self, run: Run) -> list[Run]:
        """The trained points around a point that was not trained: the next ones on each side."""
        points = windows.rows_at(self.means, deficit=run.deficit).index
        places = np.array([(onset, length) for _, onset, length in points]).reshape(-1, 2)
        away, found = places - (run.onset, run.length), []
        for side in ((-1, -1), (-1, 1), (1, -1), (1, 1)):
            there = (away * side >= 0).all(1)
            if there.any():
                nearest = np.abs(away[there]).sum(1).argmin()
                found.append(self.run_at(run.deficit, *places[there][nearest]))
        return list(dict.fromkeys(found))

    def accuracy(self, run: Run) -> str:
        """`55.1 ± 0.7 % (5 seeds)`, of a point that was trained."""
        point = self.mean(run)
        number = statistics.percent(point.accuracy, point.accuracy_half)
        return f"{number} % ({statistics.count_seeds(int(point.seeds))})"


class Plots:
    """The explorer's figures: a life's curve; its recovery beside that of its control; what length,
    onset and recovery do; the maps of harm and of lost time at all points.

    `panels` is what is shown, the figures are parts of it; `sources` hold what is drawn, by name.

    >>> sorted(Plots().sources)[:3]
    ['by_length', 'by_onset', 'by_recovery']
    """

    def __init__(self) -> None:
        self.sources = {name: ColumnDataSource(name=name) for name in SOURCES}
        self._hued: list[Any] = []  # glyphs in the deficit's look
        self._columns: dict[str, Any] = {}  # of sources, as they were given
        self._build_curves()
        self._build_removal()
        self.sensitivity, self.healing = map(self._build_cost, ("onset", "recovery"))
        self.map, self.lost_time_map = map(self._build_map, MAPS)
        figs = [self.curve, self.pair, self.removal, self.sensitivity, self.healing]
        figs += [self.map, self.lost_time_map]
        self.panels = theme.figure_row(*figs, min_height=2 * self.map.height)

    def _band(self, fig: figure, name: str, x: str, look: theme.Style | None, text: str) -> None:
        """A band of a source, with the deficit's look if it has none of its own."""
        before = len(fig.renderers)
        theme.band(fig, self.sources[name], x, look or style("none"), text, points=x == "length")
        self._hued += [r.glyph for r in fig.renderers[before:] if look is None]

    def _build_curves(self) -> None:
        s = self.sources
        self.curve = panel("epoch", "test accuracy", "curve")
        self.shade = models.BoxAnnotation(fill_alpha=0.12, level="underlay")
        self.curve.add_layout(self.shade)
        self._band(self.curve, "equal", "epoch", theme.EQUAL, "equal training")
        self.pair = panel("epoch of recovery", "test accuracy", "pair")
        for fig, name, control in ((self.curve, "this", "control"), (self.pair, "pair", "other")):
            self._band(fig, control, "epoch", theme.NEWBORN, "cut out")
            self._band(fig, name, "epoch", None, "this net")
        self.growing = theme.live_line(self.curve, s["live"])
        ring = {"size": 14, "fill_alpha": 0, "line_color": "black"}
        self.pair.scatter("epoch", "mean", source=s["crossing"], **ring)
        words = {"text_font_size": "11px", "text_baseline": "top", "x_offset": 5, "y_offset": 8}
        self.pair.text("epoch", "mean", "text", source=s["crossing"], **words)
        for fig in (self.curve, self.pair):
            legend_above(fig, percent=True)
        self._live_words = self.curve.legend.items[-1]

    def _build_removal(self) -> None:
        self.removal = panel("length", "final accuracy", "removal", x_range=models.Range1d(0, 1))
        self.longest = models.Span(dimension="height", line_color="black", line_dash="dashed")
        self.reach = models.BoxAnnotation(fill_color="black", fill_alpha=0.08, level="underlay")
        self.removal.add_layout(self.longest)
        self.removal.add_layout(self.reach)
        self._band(self.removal, "clear", "length", theme.EQUAL, "equal training")
        self._band(self.removal, "by_length", "length", None, "this deficit")
        ring = {"size": 13, "fill_alpha": 0, "line_color": "black", "line_width": 2}
        self.removal.scatter("length", "mean", source=self.sources["chosen"], **ring)
        legend_above(self.removal, percent=True)

    def _build_cost(self, along: str) -> figure:
        """Bars of harm, and of lost time on them."""
        ranges = {"x_range": FactorRange(), "y_range": models.Range1d(0, 1)}
        fig = panel(along, "points", f"by {along}", **ranges)
        source = self.sources[f"by_{along}"]
        bar: Any = {"x": along, "width": 0.7, "alpha": "alpha", "source": source}
        harm = fig.vbar(top="harm", legend_label="harm", **bar)
        fig.vbar(top="top", bottom="base", color=LOST, legend_label="lost time", **bar)
        self._hued.append(harm.glyph)
        for part in ("harm", "lost_time"):
            ends = {"lower": f"{part}_low", "upper": f"{part}_high", "level": "annotation"}
            whisker = models.Whisker(base=along, source=source, line_width=1.5, **ends)
            whisker.upper_head.size = whisker.lower_head.size = 7
            fig.add_layout(whisker)
        words = {"text_align": "center", "text_baseline": "bottom", "text_font_size": "12px"}
        fig.text(along, 0, "text", source=source, **words)
        fig.xgrid.visible = False
        return legend_above(fig)

    def _build_map(self, what: str) -> figure:
        """A cell for each point, with harm or lost time in it."""
        ranges = {"x_range": FactorRange(), "y_range": FactorRange()}
        fig = panel("onset", "length", f"map of {what}", **ranges)
        fig.grid.visible = False
        hue: Any = linear_cmap(what, RdBu[11], -MAPS[what], MAPS[what], nan_color="#EEEEEE")
        place, cells = {"x": "onset", "y": "length"}, {"source": self.sources["cells"]}
        cell: Any = {**place, "width": 0.96, "height": 0.94}
        fig.rect(**cell, **cells, fill_color=hue, line_color=None)
        words: Any = {**place, **cells, "text_align": "center", "text_color": f"{what}_ink"}
        up = {"text_font_size": "11px", "text_baseline": "bottom", "y_offset": 1}
        fig.text(text=f"{what}_text", **words, **up)
        down = {"text_font_size": "8px", "text_baseline": "top", "y_offset": 3}
        fig.text(text=f"{what}_reach", **words, **down)
        ring: Any = {"fill_alpha": 0, "line_color": "#111111", "line_width": 3}  # seen on every hue
        fig.rect(**cell, source=self.sources["mark"], **ring)
        return fig

    def show(self, points: Points, run: Run, deficit: str, shown: Run | None) -> None:
        """Draw a point.

        Arguments: deficit, the one that is chosen, which the run has only if it lasts; shown, whose
            curves stand for the point: itself if it was trained, else a neighbour, or None.
        """
        like, look = shown or run, style(deficit)
        self._take_look(look)
        self.shade.update(left=like.onset + 0.5, right=like.end + 0.5)
        self._put(points.once(drawn_curves, like, shown is not None))
        if self.has_live():  # also at first
            self.live([], [])
        self._show_removal(points, deficit, like)
        self._show_costs(points, deficit, like, run)
        self._show_maps(points, deficit)
        self._put(points.once(chosen_columns, run if run in points else None, deficit))
        nearest = "" if like == run else "nearest: "
        control = "the life cut out" if like.onset else "the newborn's"
        clock = f", clock {points.clock}" if run.schedule == "paper" else ""
        for fig, title in (
            (self.curve, f"{nearest}{look.label} from epoch {like.onset} to {like.end}"),
            (self.pair, f"recovery beside {control}{clock}"),
            (self.removal, f"accuracy by length, onset {like.onset}{clock}"),
            (self.sensitivity, f"cost by onset, length {like.length}{clock}"),
            (self.healing, f"cost by epochs of recovery{clock}"),
            (self.map, f"points of harm{clock}"),
            (self.lost_time_map, f"points of lost time{clock}"),
        ):
            fig.title.text = theme.wrap(title, fig.width)

    def live(self, epochs: Sequence[int], accuracies: Sequence[float]) -> None:
        """Draw the curve of a run that is being trained; without epochs there is none."""
        self.sources["live"].data = {"epoch": list(epochs), "mean": list(accuracies)}
        self._live_words.visible = len(epochs) > 0

    def has_live(self) -> bool:
        """Whether a curve of such a run is drawn."""
        return self._live_words.visible

    def _put(self, columns: Mapping[str, Any]) -> None:
        """Give sources their columns, where these are others than before."""
        for name, own in columns.items():
            if self._columns.get(name) is not own:
                self._columns[name] = self.sources[name].data = own

    def _take_look(self, look: theme.Style) -> None:
        self.shade.fill_color = look.colour
        hues = {"fill_color": look.colour, "line_color": look.colour}
        hues |= {"line_dash": look.dash, "marker": look.marker}
        for glyph in self._hued:
            glyph.update(**{name: hues[name] for name in hues.keys() & glyph.properties()})

    def _show_removal(self, points: Points, deficit: str, like: Run) -> None:
        columns, found = points.once(removal_columns, deficit, like.onset)
        self._put(columns)
        last = max([1, *columns["by_length"]["length"]])
        self.removal.x_range.update(start=-0.5, end=last + 0.5)
        self.longest.update(location=found.epochs, visible=np.isfinite(found.epochs))
        known = found.low <= last
        self.reach.update(left=found.low, right=min(found.high, last + 0.5), visible=known)
        self.removal.xaxis.axis_label = "length" + describe_longest(found, last)

    def _show_costs(self, points: Points, deficit: str, like: Run, run: Run) -> None:
        for fig, axis, at, epochs in (
            (self.sensitivity, "onset", points.trained_values("onset"), run.onset),
            (self.healing, "recovery", points.recoveries, run.recovery),
        ):
            chosen = at.index(epochs) if epochs in at else None
            for item in fig.legend.items:  # its colours are those of a bar that is not faint
                item.index = chosen
            fig.x_range.factors = [*map(str, at)]
            columns, low, high = points.once(cost_bars, axis, deficit, like, chosen)
            self._put({f"by_{axis}": columns})
            fig.y_range.update(start=1.08 * low, end=1.08 * high)
        self.healing.visible = len(points.recoveries) > 1

    def _show_maps(self, points: Points, deficit: str) -> None:
        onsets, lengths = ([*map(str, points.trained_values(axis))] for axis in ("onset", "length"))
        for fig in (self.map, self.lost_time_map):
            fig.x_range.factors, fig.y_range.factors = onsets, lengths
        self._put({"cells": points.once(map_cells, deficit)})


def panel(x: str, y: str, name: str, **options: Any) -> figure:
    """One of the figures, which share a row, or several where that is too narrow."""
    wide: Any = {"width": 306, "min_width": 300, "max_width": 420, "sizing_mode": "stretch_width"}
    return theme.plain_figure("", x, y, name=name, height=240, frame_align=False, **wide, **options)


def legend_above(fig: figure, percent: bool = False) -> figure:
    """Its legend out of the way of what is drawn, in as little room as there is."""
    finish(fig, "above", percent)
    fig.legend.margin, fig.legend.glyph_width, fig.legend.label_standoff = 0, 20, 3
    return fig


def drawn_curves(points: Points, like: Run, known: bool) -> dict[str, dict]:
    """The curves of a life and of its controls; its own is empty if nobody trained it."""
    this, equal = points.curve(like if known else None), points.curve(like.equal_training())
    control = points.curve(like.without_window(points.clock))
    ours, other = curve_after(this, like.end), curve_after(control, like.onset)
    curves = {"this": this, "equal": equal, "pair": ours, "other": other}
    # in its place in this life: from where this one recovers
    curves["control"] = other | {"epoch": other["epoch"] + like.end}
    return curves | {"crossing": curve_crossing(ours, other)}


def removal_columns(
    points: Points, deficit: str, onset: int
) -> tuple[dict[str, dict], windows.Longest]:
    """Final accuracy by length, with its control, and the longest harmless window."""
    own = mean_along(points.means, "length", deficit=[deficit, "none"], onset=onset)
    clear = clear_along(points.means, onset)
    found = windows.longest_harmless_window(points.means, deficit, onset)
    return {"by_length": own, "clear": clear}, found


def chosen_columns(points: Points, run: Run | None, deficit: str) -> dict[str, dict]:
    """The rings around a point, if it was trained."""
    here = points.means.reindex([(run.deficit, run.onset, run.length)] if run else [])
    mark = place_columns(windows.rows_at(here, deficit=deficit))
    return {"chosen": mean_along(here, "length"), "mark": mark}


def cost_bars(
    points: Points, axis: str, deficit: str, like: Run, chosen: int | None
) -> tuple[dict[str, Any], float, float]:
    """Bars of harm and of lost time on it along onset or recovery, in points, with the ends of
    their intervals, all faint but the chosen one, by number; their lowest and highest end."""
    if axis == "onset":
        at = points.trained_values(axis)
        places = [(points.means, (deficit, onset, like.length)) for onset in at]
    else:
        at, here = points.recoveries, (deficit, like.onset, like.length)
        places = [(points.means_after(recovery), here) for recovery in at]
    names = ["harm", "lost_time", "harm_half", "lost_time_half"]
    rows = [m.loc[p, names] if p in m.index else [np.nan] * 4 for m, p in places]  # reindex is slow
    harm, lost, *halves = 100 * np.array(rows, dtype=float).reshape(-1, 4).T
    base = np.maximum(harm, 0)
    columns = {"harm": harm, "base": base, "top": base + lost}
    ends = dict[str, np.ndarray]()
    for name, end, half in zip(names, (harm, columns["top"]), halves, strict=False):
        reach = np.nan_to_num(half)
        ends |= {f"{name}_low": end - reach, f"{name}_high": end + reach}
    columns |= ends | {"text": np.where(np.isnan(base), "?", "")}
    faint = {axis: [*map(str, at)], "alpha": [1 if i == chosen else 0.45 for i in range(len(at))]}
    every = np.ravel([*ends.values()])
    return faint | columns, np.nanmin([0, *every]), np.nanmax([1, *every])


def map_cells(points: Points, deficit: str) -> dict[str, Any]:
    """The cells of the maps of harm and of lost time."""
    rows = windows.rows_at(points.means, deficit=deficit)
    columns: dict[str, Any] = place_columns(rows)
    for what, most in MAPS.items():
        values, halves = (100 * rows[name].to_numpy() for name in (what, f"{what}_half"))
        words = [statistics.mean_in_words(v, np.nan, 1) if np.isfinite(v) else "?" for v in values]
        columns |= {what: values, f"{what}_text": words}
        columns[f"{what}_reach"] = [f"± {v:.1f}" if np.isfinite(v) else "" for v in halves]
        columns[f"{what}_ink"] = ["white" if abs(v) > 0.55 * most else "black" for v in values]
    return columns


def place_columns(rows: pd.DataFrame) -> dict[str, list[str]]:
    """Onsets and lengths as names of the map's cells."""
    return {n: [*map(str, rows.index.get_level_values(n))] for n in ("onset", "length")}


def curve_after(curve: dict[str, np.ndarray], begin: int) -> dict[str, np.ndarray]:
    """The part of a curve after an epoch, whose own epochs are counted from 1."""
    rest = {name: column[curve["epoch"] > begin] for name, column in curve.items()}
    return rest | {"epoch": rest["epoch"] - begin}


def curve_crossing(ours: dict, other: dict) -> dict[str, list]:
    """Where two curves cross, as a point with words: the last crossing before and after which their
    bands are apart, in another order. Empty where there is none."""
    at, there = ours["epoch"], []
    if len(at) == len(other["epoch"]):
        order = 1 * (ours["low"] > other["high"]) - (ours["high"] < other["low"])
        before = np.flatnonzero(order * order[order != 0][-1:].sum() < 0)[-1:]
        gap = ours["mean"] - other["mean"]
        there = [statistics.find_crossing(at[i:], gap[i:]) for i in before]
    mean = [*np.interp(there, at, ours["mean"])] if there else []
    return {"epoch": there, "mean": mean, "text": [f"epoch {epoch:.0f}" for epoch in there]}


def describe_longest(found: windows.Longest, last: int) -> str:
    """`: longest harmless 5.4 (3.1 to 8.6)`, of windows until `last` epochs long."""
    epochs, low, high = (f"{n:.1f}" if np.isfinite(n) else f"{last}+" for n in found)
    interval = "" if np.isnan(found.low) or low == epochs else f" ({low} to {high})"
    return "" if np.isnan(found.epochs) else f": longest harmless {epochs}{interval}"
