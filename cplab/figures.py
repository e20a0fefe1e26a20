"""Bokeh figures of records.

One colour a deficit through all labs (Okabe and Ito's colour-blind-safe set), grey for the two
controls, shaded epochs for the deficit. Bands and whiskers are 95 % intervals of the mean over
seeds (Student's t); where there is one seed there is no interval.
"""

import base64
import html
import io
import sys
from itertools import combinations

import numpy as np
import pandas as pd
from bokeh import layouts
from bokeh.models import (
    BasicTicker,
    BoxAnnotation,
    ColumnDataSource,
    FactorRange,
    LinearAxis,
    LogTicker,
    NumeralTickFormatter,
    Range1d,
    Span,
    Whisker,
)
from bokeh.palettes import Blues256
from bokeh.plotting import figure
from bokeh.transform import linear_cmap

from cplab import intervals, records
from cplab.experiment import Run

COLOURS = {
    "blur": "#0072B2",
    "flip": "#E69F00",
    "permute": "#009E73",
    "noise": "#CC79A7",
    "fresh_noise": "#332288",  # indigo of Tol's muted set, which no grey resembles
    "stripes": "#56B4E9",
    "blank": "#000000",
}
EQUAL, NEWBORN, LIVE = "#555555", "#999999", "#D55E00"
NAMES = {
    "none": "no deficit",
    "blur": "blur",
    "flip": "vertical flip",
    "permute": "permuted labels",
    "noise": "noise",
    "fresh_noise": "fresh noise",
    "stripes": "vertical stripes",
    "blank": "blank images",
}
_loaded = False  # whether `ready` was called in this kernel


# What is shown -----------------------------------------------------------------------------------


def orientation(filters, size: int = 33) -> np.ndarray:
    """The stripes that each filter answers to best: a complex number for each.

    A filter is padded with zeros to size × size pixels. Each of its Fourier components is stripes,
    with a tilt from the vertical; the result is the mean of e^(2i · tilt) over components, weighted
    by their power. Its size is how selective the filter is, 0 to 1; half its angle is the tilt of
    the stripes; its real part is 1 for vertical stripes, −1 for horizontal ones and 0 for a filter
    that prefers neither.

    Arguments: filters (out, C, H, W), as Record.final holds them, or (out, H, W).
    Returns: (out,); 0 for a filter of zeros.
    """
    f = np.asarray(filters, dtype=float)
    power = np.abs(np.fft.fft2(f, s=(size, size))) ** 2
    power = power.sum(1) if f.ndim == 4 else power
    power[:, 0, 0] = 0  # the mean has no orientation
    wave = np.fft.fftfreq(size) + 1j * np.fft.fftfreq(size)[:, None]
    turn = (wave / np.where(wave == 0, 1, np.abs(wave))) ** 2
    total = power.sum((1, 2))
    return (power * turn).sum((1, 2)) / np.where(total > 0, total, 1)


def name(deficit: str) -> str:
    """`vertical flip` for flip, `blur (2×)` for blur-2."""
    kind, _, strength = deficit.partition("-")
    return NAMES[kind] + (f" ({strength}×)" if strength else "")


def colour(deficit: str) -> str:
    return COLOURS.get(deficit.partition("-")[0], EQUAL)


def label(table: pd.DataFrame | list[records.Record]) -> str:
    """One line that says where a figure's numbers come from."""
    if isinstance(table, list):
        names = ("profile", "dataset", "deficit", "onset", "length", "seed")
        rows = [
            {n: getattr(r.run, n) for n in names} | {"source": r.source, "copy": r.copy}
            for r in table
        ]
        table = pd.DataFrame(rows)
    if not len(table):
        return "no records yet"
    source = " and ".join(
        {"shipped": "cached", "live": "live"}[s] for s in sorted(set(table.source))[::-1]
    )
    seeds = sorted({len(set(g.seed)) for _, g in table.groupby(["deficit", "onset", "length"])})
    seeds = f"{seeds[0]} to {seeds[-1]}" if len(seeds) > 1 else f"{seeds[0]}"
    copies = ", ".join(sorted(set(table["copy"])))
    made = "PRACTICE images, " if set(table.dataset) == {"practice"} else ""
    return f"{source} · {made}{', '.join(set(table.profile))} · {copies} · seeds: {seeds}"


# Parts ------------------------------------------------------------------------------------------


def plain_figure(title: str, x: str, y: str, **options):
    """An empty figure in the house style: few lines, no tools that nobody needs."""
    fig = figure(
        title=title,
        x_axis_label=x,
        y_axis_label=y,
        tools="",
        toolbar_location=None,
        **{"height": 300, "width": 420, **options},
    )
    fig.title.text_font_size = "12px"
    fig.axis.axis_label_text_font_style = "normal"
    fig.axis.axis_label_text_font_size = fig.axis.major_label_text_font_size = "11px"
    fig.grid.grid_line_alpha = 0.35
    fig.outline_line_color = None
    return fig


def band(fig, source: ColumnDataSource, x: str, hue: str, text: str, dash="solid", points=False):
    """A line through `mean` with a band from `low` to `high`."""
    fig.varea(x, "low", "high", source=source, color=hue, alpha=0.18)
    fig.line(x, "mean", source=source, color=hue, width=2, line_dash=dash, legend_label=text)
    if points:
        fig.scatter(x, "mean", source=source, color=hue, size=6)
    return source


def in_percent(axis):
    """Label an axis of fractions in percent."""
    axis.formatter = NumeralTickFormatter(format="0[.]0 %")


def tidy_legend(fig, place: str = "bottom_right"):
    """A small legend: in a corner of the figure, or outside it, `right` or `above`."""
    if place in ("right", "above"):
        fig.add_layout(fig.legend[0], place)
        fig.legend.orientation = "vertical" if place == "right" else "horizontal"
    fig.legend.location = {"right": "top_left", "above": "top_left"}.get(place, place)
    fig.legend.label_text_font_size = "11px"
    fig.legend.background_fill_alpha = 0.7
    fig.legend.border_line_color = None
    fig.legend.padding = fig.legend.spacing = 2
    return fig


def between(rows: pd.DataFrame, what: str, scale: float = 1) -> dict:
    """Columns mean, low, high of one quantity of a summary, and the level of its index."""
    half = rows[f"{what}_half"].fillna(0)
    mean = rows[what]
    return {
        "mean": scale * mean.to_numpy(),
        "low": scale * (mean - half).to_numpy(),
        "high": scale * (mean + half).to_numpy(),
    }


def along_length(points: pd.DataFrame, deficit: str, onset: int) -> dict:
    """Final accuracy against length at one onset, with length 0 from the clear control."""
    rows = points[points.index.get_level_values("deficit").isin([deficit, "none"])]
    rows = rows.query("onset == @onset").sort_index(level="length")
    return {"length": rows.index.get_level_values("length").to_numpy(), **between(rows, "accuracy")}


def clear_along(points: pd.DataFrame, onset: int) -> dict:
    """Final accuracy without a deficit against the epochs before recovery that exceed `onset`: the
    control of equal training of each length that a deficit has from there."""
    begun = points.query("onset == @onset").index.get_level_values("length")
    clear = points.query("deficit == 'none'")
    lengths = clear.index.get_level_values("onset").to_numpy() - onset
    ours = np.isin(lengths, begun)
    return {"length": lengths[ours], **between(clear[ours], "accuracy")}


def along_onset(points: pd.DataFrame, deficit: str, length: int) -> dict:
    """Sensitivity (points lost against equal training) against onset at one length."""
    rows = points.query("deficit == @deficit and length == @length")
    return {"onset": rows.index.get_level_values("onset").to_numpy(), **between(rows, "loss", 100)}


# Whole figures ----------------------------------------------------------------------------------


def removal(like: Run, deficits=("blur", "flip"), table: pd.DataFrame | None = None, **options):
    """Final accuracy against the epoch at which the deficit is removed (figures 1 and 2).

    Arguments: like, a run whose profile, schedule and onset the figure takes; deficits; table of
        records (all there are by default).
    Returns: a Bokeh figure with the two controls in grey.
    """
    rows = intervals.select(records.table() if table is None else table, like)
    ours = rows.deficit.isin(deficits) & (rows.onset == like.onset)
    longest = int(rows.length[ours].max()) if ours.any() else 1
    controls = [0, like.onset, *(like.onset + rows.length[ours])]
    shown = rows[ours | ((rows.deficit == "none") & rows.onset.isin(controls))]
    fig = plain_figure(
        f"{like.schedule} schedule: {label(shown)}",
        "epochs with the deficit",
        "final test accuracy",
        **options,
    )
    points = intervals.summary(shown)
    clear = ColumnDataSource(clear_along(points, like.onset))
    band(fig, clear, "length", EQUAL, "equal training", "dashed")
    if ("none", 0, 0) in points.index:
        born = points.loc[[("none", 0, 0)] * 2]
        source = ColumnDataSource({"length": [0, longest], **between(born, "accuracy")})
        band(fig, source, "length", NEWBORN, "newborn", "dotted")
    for deficit in deficits:
        source = ColumnDataSource(along_length(points, deficit, like.onset))
        band(fig, source, "length", colour(deficit), name(deficit), points=True)
    in_percent(fig.yaxis)
    return tidy_legend(fig, "right")


def against(
    like: Run, deficits, control: str = "newborn", table: pd.DataFrame | None = None, **options
):
    """Final accuracy minus that of a control of the same seed, in points, against the length of
    the deficit.

    Arguments: like, deficits and table as in `removal`; control, newborn or equal training.
    Returns: a Bokeh figure whose zero line is the control.
    """
    rows = intervals.select(records.table() if table is None else table, like)
    points = intervals.summary(rows)
    points["equal"] = -points.loss
    points["equal_half"] = points.loss_half
    what, words = {
        "newborn": ("gain", "the newborn"),
        "equal training": ("equal", "equal training"),
    }[control]
    shown = rows[rows.deficit.isin(deficits) & (rows.onset == like.onset)]
    fig = plain_figure(
        label(shown), "epochs with the deficit", f"points above {words}, seed by seed",
        **options,
    )  # fmt: skip
    for deficit in deficits:
        ours = points.query("deficit == @deficit and onset == @like.onset").sort_index()
        ours = ours[ours[what].notna()]
        columns = {"length": ours.index.get_level_values("length"), **between(ours, what, 100)}
        source = ColumnDataSource(columns, name=f"{deficit} against {control}")
        band(fig, source, "length", colour(deficit), name(deficit), points=True)
    span(fig, "width", NEWBORN if control == "newborn" else EQUAL)
    return tidy_legend(fig, "right")


def spectra(powers: dict[str, np.ndarray], **options):
    """Radially averaged power spectra, by deficit: power against cycles an image, both on
    logarithmic axes; cycles 0, the mean brightness, are left out, and so is a spectrum of zeros."""
    axes = {"x_axis_type": "log", "y_axis_type": "log"}
    fig = plain_figure("", "cycles per image", "mean power", **{**axes, **options})
    looks = {"none": ("solid", 7, 0.35), "flip": ("dashed", 2.5, 1), "permute": ("dotted", 3.5, 1)}
    for deficit, power in powers.items():
        dash, width, alpha = looks.get(deficit, ("solid", 2, 1))
        power = np.asarray(power, dtype=float)[1:]
        if (power > 0).any():
            fig.line(np.arange(1, len(power) + 1), power, color=colour(deficit), line_dash=dash,
                     line_width=width, alpha=alpha, legend_label=name(deficit))  # fmt: skip
    fig.xaxis.ticker = [1, 2, 4, 8, 16]
    return tidy_legend(fig, "bottom_left")


def grouped(rows: list[str], columns: dict[str, list[float]], chance: float, **options):
    """What a classifier gets right on up to three sets of images: a mark for each row and set.

    Arguments: rows, words; columns, one fraction a row by the words for the set; chance, what one
        gets right who guesses, a dotted line.
    """
    fig = plain_figure("", "named rightly", "", y_range=FactorRange(*rows[::-1]), **options)
    looks = (("circle", COLOURS["blur"]), ("square", LIVE), ("triangle", COLOURS["permute"]))
    for (text, values), (marker, hue) in zip(columns.items(), looks, strict=False):
        fig.scatter(values, rows, size=13, color=hue, fill_alpha=0.5, marker=marker,
                    legend_label=text)  # fmt: skip
    span(fig, "height", EQUAL, chance)
    fig.x_range = Range1d(0, 1.05 * max([chance, *(v for c in columns.values() for v in c)]))
    in_percent(fig.xaxis)
    return tidy_legend(fig, "above")


def rates(runs: list[Run], **options):
    """Learning rate against epoch; the epochs with a deficit are drawn thick."""
    fig = plain_figure("learning rate of each epoch", "epoch", "learning rate", **options)
    for run in runs:
        lr = [step.lr for step in run.steps]
        hue = colour(run.deficit)
        words = name(run.deficit) + (f" until {run.end}" if run.length else "")
        fig.line(list(range(len(lr))), lr, color=hue, width=1.5, legend_label=words)
        inside = list(range(run.onset, run.end))
        fig.line(inside, [lr[e] for e in inside], color=hue, width=6, alpha=0.5)
    return tidy_legend(fig, "top_right")


def over_epochs(groups: dict[str, list[records.Record]], what: str = "trace", **options):
    """A quantity against the epoch, one line for each group of records that differ in the seed.

    Arguments: groups, records by the words for them; what, trace, log_det, test_accuracy or
        train_loss (see Record.series).
    Returns: a Bokeh figure. A line has the colour of its deficit, the fainter the earlier that
        ended; a dot marks the end.
    """
    words = {
        "trace": "trace of the Fisher information",
        "log_det": "log det (F / damping + I)",
        "test_accuracy": "test accuracy",
        "train_loss": "training loss",
    }
    shown = [record for group in groups.values() for record in group]
    fig = plain_figure(label(shown), "epoch", words.get(what, what), **options)
    latest = max([1, *(r.run.end for r in shown if r.run.length)])
    for text, group in groups.items():
        if not group:
            continue
        run, curve = group[0].run, intervals.mean_curve(group, what)
        hue, strength = (
            colour(run.deficit),
            1.0 if not run.length else 0.35 + 0.65 * run.end / latest,
        )
        fig.varea(curve["epoch"], curve["low"], curve["high"], color=hue, alpha=0.13 * strength)
        fig.line(
            curve["epoch"], curve["mean"], color=hue, width=2, alpha=strength, legend_label=text
        )
        ends = np.flatnonzero(curve["epoch"] == run.end) if run.length else []
        fig.scatter(curve["epoch"][ends], curve["mean"][ends], color=hue, size=8, alpha=strength)
    if what == "test_accuracy":
        in_percent(fig.yaxis)
    else:
        fig.y_range.start = 0
    if what in ("trace", "log_det"):
        fig.yaxis.formatter = NumeralTickFormatter(format="0,0")
    place = {"train_loss": "top_right", "test_accuracy": "bottom_right"}.get(what, "top_left")
    return tidy_legend(fig, place) if fig.legend else fig


def shares(values) -> np.ndarray:
    """Each layer's part of the total, of one number for each layer (..., layers)."""
    values = np.asarray(values, dtype=float)
    return values / values.sum(-1, keepdims=True)


def by_layer(
    layers: list[str], groups: dict[str, np.ndarray], hues: dict[str, str], tag: str = "", **options
):
    """Bars of a quantity by layer, several kinds of network side by side.

    Arguments: layers, their words in order from the image to the answer; groups, (seeds, layers)
        for each kind, whose means and 95 % intervals are drawn; hues, its colour; tag, what tells
        the data sources of two such figures apart.
    Returns: a Bokeh figure; each kind's data source has its name after the tag, and the columns
        layer (pairs of layer and kind), mean, low, high.
    """
    factors = [(layer, text) for layer in layers for text in groups]
    ranges = {"x_range": FactorRange(*factors, group_padding=0.6)}
    fig = plain_figure("", "layer, from the image to the answer", "share of the total",
                       **{**ranges, **options})  # fmt: skip
    for text, values in groups.items():
        source = ColumnDataSource(layer_columns(layers, text, values), name=tag + text)
        fig.vbar("layer", 0.9, "mean", source=source, color=hues[text], legend_label=text)
        fig.add_layout(Whisker(base="layer", lower="low", upper="high", source=source, line_width=1,
                               upper_head=None, lower_head=None))  # fmt: skip
    fig.xaxis.major_label_text_font_size = "0px"
    fig.xaxis.major_tick_line_color = None
    fig.xgrid.visible = False
    fig.y_range.start = 0
    in_percent(fig.yaxis)
    return tidy_legend(fig, "top_right")


def layer_columns(layers: list[str], text: str, values) -> dict:
    """The data of one kind of network in `by_layer`."""
    values = np.atleast_2d(np.asarray(values, dtype=float))
    mean, count = values.mean(0), len(values)
    half = intervals.half_width(values.std(0, ddof=1), count) if count > 1 else np.zeros(len(mean))
    return {
        "layer": [(layer, text) for layer in layers],
        "mean": mean,
        "low": mean - half,
        "high": mean + half,
    }


def sampling(draws: list[int], estimates, exact: float, within: float = 0.05, **options):
    """Estimates by sampling against the number of draws, as parts of the exact value.

    Arguments: draws, (n,); estimates, (n, repeats); within, half the width of the grey band.
    """
    fig = plain_figure(
        "each dot is one estimate", "draws", "estimate / exact trace", x_axis_type="log", **options
    )
    fig.add_layout(BoxAnnotation(bottom=1 - within, top=1 + within, fill_color=EQUAL,
                                 fill_alpha=0.18, level="underlay"))  # fmt: skip
    parts = np.asarray(estimates, dtype=float) / exact
    x = np.repeat(np.asarray(draws, dtype=float), parts.shape[1])
    fig.scatter(x, parts.ravel(), size=6, alpha=0.5, color=COLOURS["blur"])
    span(fig, "width", EQUAL, at=1)
    return fig


def beside_trace(clear: list[records.Record], points: dict, at: int = 0, **options):
    """The trace without a deficit (left axis) and the sensitivity to one (right axis), by epoch,
    as in the left part of the paper's figure 4.

    Arguments: clear, records without a deficit; points, the columns onset, mean, low, high of the
        sensitivity in points (see along_onset); at, where in its window a point is drawn, in epochs
        after the onset.
    """
    fig = over_epochs({"trace, no deficit (left)": clear}, **options)
    latest = max([1, *points["onset"]]) + at
    fig.x_range = Range1d(-1, latest + 4)
    low, high = (np.array(points[name], dtype=float) for name in ("low", "high"))
    top = high.max() if len(high) else 1
    bottom = min(0, low.min()) if len(low) else 0
    fig.extra_y_ranges = {"points": Range1d(bottom - 0.05 * top, 1.15 * top)}
    axis = LinearAxis(y_range_name="points", axis_label="points lost")
    axis.axis_label_text_font_style = "normal"
    fig.add_layout(axis, "right")
    source = ColumnDataSource({**points, "epoch": np.array(points["onset"], dtype=float) + at},
                              name="sensitivity")  # fmt: skip
    fig.segment("epoch", "low", "epoch", "high", source=source, color=COLOURS["blur"],
                y_range_name="points")  # fmt: skip
    fig.scatter("epoch", "mean", source=source, color=COLOURS["blur"], size=8,
                y_range_name="points", legend_label="sensitivity to blur (right)")  # fmt: skip
    return tidy_legend(fig, "top_right")


def synapses(rows: pd.DataFrame, born: int, **options):
    """What is stated in print about synapses by age: points where a number is, shaded ages where
    words are, and no curve.

    Arguments: rows of biology.animals, of one species; born, days from conception to birth, since
        the axis is of the age from conception, as in the paper's figure 4.
    """
    points, words = rows[rows.value.notna()], rows[rows.kind == "interval"]
    unit = ", ".join(dict.fromkeys(points.unit))
    fig = plain_figure(
        ", ".join(dict.fromkeys(rows.species)), "days from conception", unit, x_axis_type="log",
        **options,
    )  # fmt: skip
    top = 1.25 * points.value_high.max() if len(points) else 1.0
    fig.y_range = Range1d(0, top)
    fig.x_range = Range1d(0.6 * (rows.age_low.min() + born), 1.2 * (rows.age_high.max() + born))
    fig.xaxis.ticker = LogTicker(mantissas=[1, 2, 5], desired_num_ticks=3)
    fig.yaxis.visible = bool(len(points))
    for i, row in enumerate(words.itertuples()):
        ends, height = (row.age_low + born, row.age_high + born), top * (0.95 - 0.1 * (i % 6))
        fig.quad(*ends, top, 0, color=EQUAL, alpha=0.06 + 0.05 * (i % 2))
        fig.text([np.sqrt(ends[0] * ends[1])], [height], [row.words], text_align="center",
                 text_baseline="middle", text_font_size="10px")  # fmt: skip
    for row in points.itertuples():
        age = (row.age_low + born, row.age_high + born)
        fig.segment(age[0], row.value, age[1], row.value, color=LIVE, line_width=2)
        fig.scatter([np.sqrt(age[0] * age[1])], [row.value], color=LIVE, size=9)
    span(fig, "height", EQUAL, at=born)
    fig.ygrid.visible = False
    return fig


def minima(groups: dict[str, list[records.Record]], measure, words: str, **options):
    """Final accuracy against a measure of sharpness at the end of training, one dot a network.

    Arguments: groups, records by the words for them; measure, from a record to a number above 0;
        words, for the axis. Dots have the colour of the deficit, triangles were trained by Adam.
    """
    shown = [record for group in groups.values() for record in group]
    fig = plain_figure(label(shown), words, "final test accuracy", x_axis_type="log", **options)
    fig.xaxis.ticker = LogTicker(mantissas=[1, 2, 5], desired_num_ticks=3)
    for text, group in groups.items():
        if not group:
            continue
        run = group[0].run
        fig.scatter(
            [measure(record) for record in group], [record.accuracy for record in group], size=9,
            color=colour(run.deficit), fill_alpha=0.3 if run.deficit == "none" else 0.75,
            marker="triangle" if run.optimizer == "adam" else "circle", legend_label=text,
        )  # fmt: skip
    in_percent(fig.yaxis)
    return tidy_legend(fig, "top_right") if shown else fig


def curves(groups: dict[str, tuple], x: str, y: str, **options):
    """Lines of any numbers that are no records (computed in a cell), each with its words.

    Arguments: groups, (x, y) of each line.
    """
    fig = plain_figure("computed here and now", x, y, **options)
    for hue, (text, (at, values)) in zip(COLOURS.values(), groups.items(), strict=False):
        fig.line(np.asarray(at), np.asarray(values), color=hue, width=2, legend_label=text)
        fig.scatter(np.asarray(at), np.asarray(values), color=hue, size=5)
    return tidy_legend(fig, "top_left") if groups else fig


def layer_words(count: int) -> list[str]:
    """1 to `count`, as the words for layers."""
    return [str(i) for i in range(1, count + 1)]


def filter_pictures(filters, columns: int = 8):
    """Filters of a first layer as uint8 images (N, H, W, C), each stretched to the range of its
    own numbers, zero as middle grey.

    Arguments: filters (out, C, H, W), C being 1 or 3, as Record.final holds them.
    """
    f = np.asarray(filters, dtype=float).transpose(0, 2, 3, 1)
    top = np.abs(f).max(axis=(1, 2, 3), keepdims=True)
    return np.round(127.5 + 127.5 * f / np.where(top > 0, top, 1)).astype(np.uint8)


def guesses(names: list[str], guess: list[float], truth: list, **options):
    """What was predicted (hollow) and what was measured (filled, with its interval).

    Arguments: names of the rows; guess, accuracies 0 to 1; truth, (mean, half) for each or None.
    """
    fig = plain_figure("", "final test accuracy", "", y_range=FactorRange(*names[::-1]), **options)
    fig.scatter(
        guess, names, size=13, color=LIVE, fill_alpha=0, line_width=2, legend_label="your guess"
    )
    known = [(n, *t) for n, t in zip(names, truth, strict=True) if t is not None]
    if known:
        rows, mean, half = (np.array(column) for column in zip(*known, strict=True))
        half = np.nan_to_num(half)
        source = ColumnDataSource({"y": rows, "x": mean, "low": mean - half, "high": mean + half})
        fig.scatter("x", "y", source=source, size=9, color="#0072B2", legend_label="measured")
        fig.add_layout(
            Whisker(base="y", lower="low", upper="high", source=source, dimension="width")
        )
    in_percent(fig.xaxis)
    return tidy_legend(fig, "above")


def agreement(order: list[str], truth: dict[str, pd.Series]) -> tuple[int, int, int]:
    """How a guessed order fits what was measured.

    Arguments: order, names from best to worst; truth, accuracies by seed for each name.
    Returns: how many pairs stand right, of those whose difference, seed by seed, has a 95 %
        interval without zero; how many such pairs; how many pairs.
    """
    right = sure = 0
    pairs = list(combinations(order, 2))
    for better, worse in pairs:
        difference = (truth[better] - truth[worse]).dropna()
        half = intervals.half_width(difference.std(), len(difference))
        if abs(difference.mean()) > half:
            sure += 1
            right += difference.mean() > 0
    return int(right), sure, len(pairs)


def orders(order: list[str], truth: dict[str, pd.Series], hues: dict[str, str], **options):
    """A guessed order beside the measured one, each name joined to itself.

    Arguments: order, names from best to worst; truth, accuracies by seed for each name; hues.
    Returns: a Bokeh figure; what was not measured has no place on the right.
    """
    known = {n: a for n, a in truth.items() if len(a)}
    measured = sorted(known, key=lambda n: -known[n].mean())
    fig = plain_figure("", "", "", x_range=Range1d(-0.9, 2.1), y_range=Range1d(len(order), -1),
                       **options)  # fmt: skip
    look = {"text_baseline": "middle", "text_font_size": "13px"}
    for x, words, align in ((0, "your order", "right"), (1, "measured", "left")):
        fig.text([x], [-0.6], [words], text_align=align, text_color=EQUAL, **look)
    for place, text in enumerate(order):
        hue = hues[text]
        fig.scatter([0], [place], size=12, color=LIVE, fill_alpha=0, line_width=2)
        fig.text([-0.06], [place], [text], text_align="right", **look)
        if text in measured:
            end, values = measured.index(text), known[text]
            half = intervals.half_width(values.std(), len(values))
            said = f"{text}: {intervals.percent(values.mean(), half)} %"
            fig.line([0, 1], [place, end], color=hue, line_width=3, alpha=0.8)
            fig.scatter([1], [end], size=10, color=hue)
            fig.text([1.06], [end], [said], text_align="left", **look)
    fig.axis.visible = fig.grid.visible = False
    return fig


STATED = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")  # one colour a kind of statement


def stated(rows: dict[str, pd.DataFrame], last: float, unit="", normal=None, **options):
    """What animal papers state (see biology.animals): a number as a point, with the range that was
    printed; words as a shaded stretch of age; and no curve.

    Arguments: rows, statements by what they are about; last, the last day of the axis; unit, of
        the numbers; normal, a value for a line across.
    Returns: a Bokeh figure, or a column of two: the words above the numbers. A statement without
        an age stands in the title.
    """
    parts, days = [], Range1d(-0.01 * last, last)
    words = {about: part[part.kind == "interval"] for about, part in rows.items()}
    points = {
        about: part[(part.kind == "point") & part.age_low.notna()] for about, part in rows.items()
    }
    options = {"width": 800, "x_range": days, "min_border_left": 140, **options}
    if any(map(len, words.values())):
        parts.append(stretches(words, last, **options))
    if any(map(len, points.values())):
        fig = plain_figure("", "", unit, **{**options, "height": 250})
        for hue, (about, part) in zip(STATED, points.items(), strict=False):
            if len(part):
                middle = (part.age_low + part.age_high) / 2
                fig.segment(part.age_low, part.value, part.age_high, part.value, color=hue)
                fig.segment(middle, part.value_low, middle, part.value_high, color=hue, width=3)
                fig.scatter(middle, part.value, color=hue, size=10, legend_label=about)
        highest = max(
            [normal or 0, *(part.value_high.max() for part in points.values() if len(part))]
        )
        fig.y_range = Range1d(0, 1.15 * highest)
        if normal is not None:
            span(fig, "width", EQUAL, normal)
        parts.append(tidy_legend(fig, "top_right"))
    parts[-1].xaxis.axis_label = "age, days"
    return parts[0] if len(parts) == 1 else layouts.column(*parts)


def stretches(rows: dict[str, pd.DataFrame], last: float, **options):
    """Statements in words as shaded stretches of age, in as few lanes as leave the words legible
    (source `words`: lane, left, right, text, colour)."""
    letter = 5.6 * last / (options["width"] - options["min_border_left"])  # days that it takes
    drawn, lanes, apart = [], [], []
    for hue, (about, part) in zip(STATED, rows.items(), strict=False):
        ends, first = [], len(lanes)  # how far the lanes of this kind are taken
        for row in part.itertuples():
            if np.isnan(row.age_low):
                apart.append(f"{about}, {row.age_text}: {row.words}")
                continue
            left, right = row.age_low, max(row.age_high, row.age_low + last / 200)
            space = letter * (len(row.words) + 1)
            start = left if space < right - left else right
            i = next((i for i, end in enumerate(ends) if end <= left), len(ends))
            ends[i : i + 1] = [max(right, start + space)]
            lane = " " * (first + i) if i else about  # named once; the others have names of blanks
            drawn.append((lane, left, right, start + letter / 2, row.words, hue))
        lanes += [" " * (first + i) if i else about for i in range(len(ends))]
    names = ("lane", "left", "right", "at", "text", "colour")
    columns = dict(zip(names, map(list, zip(*drawn, strict=True)), strict=True))
    source = ColumnDataSource(columns, name="words")
    options = {**options, "height": 60 + 34 * len(lanes)}
    fig = plain_figure("; ".join(apart), "", "", y_range=FactorRange(*lanes[::-1]), **options)
    fig.hbar("lane", 0.8, "right", "left", source=source, color="colour", alpha=0.22)
    fig.text("at", "lane", "text", source=source, text_font_size="11px", text_baseline="middle")
    fig.ygrid.visible = False
    fig.yaxis.major_tick_line_color = None
    return fig


def fans(groups: dict[str, list], hues: dict[str, str], **options):
    """Each filter of several networks as a line through the centre: along the stripes that it
    answers to best, the longer the more selective.

    Arguments: groups, results of `orientation`, one for each network, by the words for them; hues.
    Returns: a Bokeh row of figures; a source `fan` has the ends of the lines, x and y.
    """
    figs = []
    for text, networks in groups.items():
        fig = plain_figure(text, "", "", x_range=Range1d(-1, 1), y_range=Range1d(-1, 1),
                           **{"width": 150, "height": 172, "min_border": 4, **options})  # fmt: skip
        z = np.concatenate(networks) if len(networks) else np.empty(0)
        end = np.abs(z) * np.exp(1j * (np.pi / 2 - np.angle(z) / 2))  # half the angle: to the right
        source = ColumnDataSource(
            {"x": end.real, "y": end.imag, "x0": -end.real, "y0": -end.imag}, name="fan"
        )
        fig.circle(0, 0, radius=1, fill_color=None, line_color="#cccccc")
        fig.segment("x0", "y0", "x", "y", source=source, color=hues[text], width=1.5, alpha=0.7)
        fig.axis.visible = fig.grid.visible = False
        figs.append(fig)
    return layouts.row(*figs)


def beside(networks: list[dict], animals: list[dict], titles: list[str], x: str, hue: str):
    """Figures that each show a network's curve with its band beside an animal's points.

    Arguments: networks, columns x, mean, low, high for each figure; animals, columns x, left,
        right, mean, low, high; titles; x, the words of the horizontal axis; hue, the network's.
    Returns: a Bokeh row; the animals' sources are named animal0, animal1 …, for a slider to move.
    """
    figs = []
    for i, (network, animal, title) in enumerate(zip(networks, animals, titles, strict=True)):
        fig = plain_figure(title, x, "", width=410, height=330)
        band(fig, ColumnDataSource(network), "x", hue, "network", points=True)
        source = ColumnDataSource(animal, name=f"animal{i}")
        look = {"source": source, "color": "black", "width": 1.5}
        fig.segment("left", "mean", "right", "mean", **look)
        fig.segment("x", "low", "x", "high", **look)
        fig.scatter("x", "mean", source=source, color="black", fill_color="white", size=10,
                    marker="triangle", legend_label="kitten")  # fmt: skip
        span(fig, "width", EQUAL, 1)
        figs.append(tidy_legend(fig, "bottom_left"))
    return layouts.row(*figs)


def grid(source: ColumnDataSource, onsets: list[str], lengths: list[str], **options):
    """The onset × length map: points lost against equal training.

    Arguments: source with columns onset, length (strings), loss, text, ink (its colour); the
        factors of both axes.
    """
    fig = plain_figure(
        "points lost",
        "onset",
        "length",
        x_range=FactorRange(*onsets),
        y_range=FactorRange(*lengths),
        name="map",
        **options,
    )
    hue = linear_cmap("loss", Blues256[::-1], low=0, high=12)
    fig.rect("onset", "length", 0.96, 0.94, source=source, fill_color=hue, line_color=None)
    fig.text(
        "onset", "length", "text", source=source, text_align="center", text_baseline="middle",
        text_font_size="11px", text_color="ink",
    )  # fmt: skip
    fig.grid.visible = False
    return fig


def span(fig, dimension: str, hue: str, at: float = 0):
    """A movable line across a figure."""
    line = Span(dimension=dimension, location=at, line_color=hue, line_dash="dotted")
    fig.add_layout(line)
    return line


def whole_ticks(fig):
    """Ticks of the horizontal axis at whole epochs."""
    fig.xaxis.ticker = BasicTicker(min_interval=1)
    return fig


# Pictures ---------------------------------------------------------------------------------------


def png(x, scale: int = 4) -> bytes:
    """A strip of images side by side as PNG, each pixel `scale` pixels wide.

    Arguments: x, uint8 (N, H, W, C) tensor or array, C being 1 or 3.
    """
    from PIL import Image

    x = np.asarray(x)
    x = np.pad(x, ((0, 0), (0, 0), (0, 1), (0, 0)), constant_values=255)
    strip = np.concatenate(list(x), axis=1)[:, :-1]
    strip = strip[..., 0] if strip.shape[2] == 1 else strip
    size = (strip.shape[1] * scale, strip.shape[0] * scale)
    file = io.BytesIO()
    Image.fromarray(strip).resize(size, Image.Resampling.NEAREST).save(file, "png")
    return file.getvalue()


def to_pixels(x, images):
    """Normalised images (N, C, H, W) back to uint8 (N, H, W, C)."""
    x = x.permute(0, 2, 3, 1).cpu() * images.std.cpu() + images.mean.cpu()
    return x.round().clamp(0, 255).byte()


def statements(rows: pd.DataFrame):
    """What animal papers state, as a table with the source and the place in it, as HTML."""
    from IPython.display import HTML

    body = "<tr><th>age</th><th>stated</th><th>how</th><th>source</th></tr>"
    for row in rows.to_dict("records"):
        number = f"{row['value_text']} {row['unit']}"
        cells = (
            row["age_text"],
            number if row["kind"] == "point" else row["words"],
            row["note"],
            f"{row['source']} ({row['where']})",
        )
        body += (
            f"<tr>{''.join(f'<td>{html.escape(cell, quote=False)}</td>' for cell in cells)}</tr>"
        )
    style = "line-height:1.3;font-size:12px;text-align:left"
    css = f"<style>.cplab-stated :is(th, td) {{{style};padding:3px 12px 3px 0}}</style>"
    return HTML(f'{css}<table class="cplab-stated">{body}</table>')


def strips(rows: dict[str, object], scale: int = 4):
    """Strips of uint8 images (N, H, W, C) under each other, each with its caption, as HTML."""
    from IPython.display import HTML

    parts = []
    for caption, x in rows.items():
        code = base64.b64encode(png(x, scale)).decode()
        parts.append(
            f'<tr><td style="text-align:left;padding-right:1em">{caption}</td>'
            f'<td><img src="data:image/png;base64,{code}" alt="{caption}"></td></tr>'
        )
    return HTML(f"<table>{''.join(parts)}</table>")


# Showing ----------------------------------------------------------------------------------------


def on_colab() -> bool:
    return "google.colab" in sys.modules


def ready(again: bool = True) -> None:
    """Load Bokeh into the notebook: from the package, since a classroom may have no network.

    Arguments: again, also if this kernel has loaded it before (the page may have forgotten it).
    """
    global _loaded
    from bokeh.io import output_notebook
    from bokeh.resources import CDN, INLINE
    from IPython import get_ipython

    if get_ipython() is not None and (again or not _loaded):
        output_notebook(CDN if on_colab() else INLINE, hide_banner=True)
        _loaded = True


def show(*figs) -> None:
    """Show figures side by side in the notebook."""
    import bokeh.io
    from bokeh.layouts import row

    if on_colab():  # each of its cells is a page of its own
        ready()
    bokeh.io.show(figs[0] if len(figs) == 1 else row(*figs))
