"""Figures of Bokeh, for labs and widgets that are not moved to pictures yet; it goes with them."""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from bokeh import models
from bokeh.models import ColumnDataSource, FactorRange, NumeralTickFormatter
from bokeh.plotting import figure
from numpy.typing import ArrayLike

from cplab import statistics
from cplab.errors import one_of, quote, require, whole
from cplab.results import Result
from cplab.show.styles import (
    CUES,
    DASHES,
    EQUAL,
    LIVE,
    NEWBORN,
    QUANTITIES,
    Style,
    colour,
    label,
    source_line,
    source_note,
    style,
    styles,
)

__all__ = ["CUES", "DASHES", "EQUAL", "LIVE", "NEWBORN", "Style", "colour", "label"]
__all__ += ["source_line", "style", "styles"]


def wrap(text: str, width: float, size: float = 12, letter: float = 0.57) -> str:
    """Break a text into lines that fit a figure `width` pixels wide, beside its axis. size: of the
    letters, in pixels; letter: a letter's width as a fraction of that, by default in bold."""
    return "\n".join(textwrap.wrap(text, max(12, int((width - 65) / (letter * size)))))


def plain_figure(title: str, x: str, y: str, source: str = "", /, **options: Any) -> figure:
    """Make an empty figure in the house style: few lines and no tools. x and y label its axes
    unless the options do; source, where its numbers come from, stands below in small letters."""
    options = {"height": 300, "width": 420, "tools": "", "toolbar_location": None, **options}
    width, height = (whole(side, options[side], 50, 10_000) for side in ("width", "height"))
    title = wrap(options.pop("title", title), width)
    words = {"x_axis_label": x, "y_axis_label": y, "title": title}
    fig = figure(**words | options | {"width": width, "height": height})
    fig.title.text_font_size = "12px"
    fig.grid.grid_line_alpha = 0.35
    fig.outline_line_color = None
    plain_axis(fig.xaxis[0], width)
    plain_axis(fig.yaxis[0], height)
    if source:
        look = {"text_font_size": "11px", "text_font_style": "normal", "text_color": "#666666"}
        note = models.Title(text=wrap(source, width, 11, 0.54), **look)
        fig.add_layout(note, "below")
    return fig


def plain_axis(axis: models.Axis, pixels: int) -> None:
    """Make an axis plain: an upright label, and labelled ticks only, as many as have room."""
    axis.axis_label_text_font_style = "normal"
    axis.axis_label_text_font_size = axis.major_label_text_font_size = "11px"
    axis.minor_tick_line_color = None
    if isinstance(axis.ticker, models.LogTicker):
        # Bokeh's ticker leaves most of an axis shorter than two powers of ten without a label
        ticks = [n * 10.0**power for power in range(-6, 8) for n in (1, 2, 5)]
        axis.ticker = models.FixedTicker(ticks=ticks)
        axis.formatter = models.NumeralTickFormatter(format="0,0.[000000]")
    elif isinstance(axis.ticker, models.AdaptiveTicker):
        axis.ticker.desired_num_ticks = min(6, max(2, pixels // 50))


def percent_axis(axis: models.Axis) -> None:
    """Label an axis of fractions in percent."""
    axis.formatter = models.NumeralTickFormatter(format="0[.]0 %")


def band(
    fig: figure, source: models.ColumnDataSource, x: str, look: Style, points: bool = False
) -> None:
    """Draw a line through a source's column `mean` along its column x, with a band from `low` to
    `high`; points: whether each mean has a marker."""
    words = {"source": source, "color": look.colour, "legend_label": look.label}
    fig.varea(x, "low", "high", source=source, color=look.colour, alpha=0.18)
    fig.line(x, "mean", width=2, line_dash=look.dash, **words)
    if points:
        fig.scatter(x, "mean", size=7, marker=look.marker, **words)


def reference_line(fig: figure, dimension: str, hue: str, at: float = 0) -> None:
    """Draw a dotted line across a figure, along its `width` or its `height`."""
    look = {"line_color": hue, "line_dash": "dotted"}
    fig.add_layout(models.Span(dimension=dimension, location=at, **look))


def place_legend(fig: figure) -> figure:
    """Make the legend small, and put it outside the figure, where it covers no data: beside it if
    the labels are short, else above it in as many columns as have room."""
    if fig.legend:
        legend = fig.legend[0]
        widths = [6.2 * len(item.label.value or "") for item in legend.items]
        widest, room = 42 + max(widths), fig.width - 60
        beside = widest + 8 < fig.width / 4
        look: dict[str, Any] = {"label_text_font_size": "11px", "border_line_color": None}
        look |= {"margin": 0, "padding": 2, "spacing": 2 if beside else 6, "location": "top_left"}
        if not beside:
            one_row = sum(widths) + 42 * len(widths) < room
            look["ncols"] = len(widths) if one_row else max(1, int(room / widest))
        look["orientation"] = "vertical" if beside else "horizontal"
        legend.update(glyph_width=28, **look)  # wide enough to tell dashes apart
        fig.add_layout(legend, "right" if beside else "above")
    return fig


def side_by_side(drawn: Any) -> models.LayoutDOM:
    """Return a Bokeh figure or layout as it is, and several of them as a row."""
    figs = drawn if isinstance(drawn, list | tuple) else [drawn]
    for fig in figs:
        require(isinstance(fig, models.LayoutDOM), f"{quote(fig)} is no figure: give Bokeh's")
    return figure_row(*figs) if figs is drawn else drawn


def figure_row(*figs: models.LayoutDOM, **more: Any) -> models.Row:
    """Put figures side by side, or below each other where a page has no room for that."""
    flow = {"styles": {"flex-wrap": "wrap"}, "sizing_mode": "stretch_width"}
    return models.Row(children=[*figs], **flow, **more)


def finish(fig: figure, percent: bool = False) -> figure:
    """Place a figure's legend, and label its vertical axis in percent if that is wanted."""
    if percent:
        percent_axis(fig.yaxis)
    return place_legend(fig)


def name_groups(fig: figure) -> None:
    """Name the groups of bars below them; the legend names the bars."""
    fig.xaxis.major_label_text_font_size = "0px"
    fig.xaxis.major_tick_line_color = None
    words = {"font_size": "11px", "font_style": "normal", "color": "#444444"}
    fig.xaxis.update(**{f"group_text_{name}": value for name, value in words.items()})


def over_epochs(
    groups: Mapping[str, Sequence[Result]], what: str = "trace", **options: Any
) -> figure:
    """Draw a quantity against the epoch, a line for each group of results that differ in the seed.

    Arguments: groups, {label: results}; what, trace, log_det, test_accuracy, train_loss or another
        quantity that `Result.series` gives.
    A line has the look of its deficit, and is fainter the earlier that ended, at a large marker.

    >>> over_epochs({}, "train_loss").yaxis.axis_label
    'training loss'
    """
    shown = [result for group in groups.values() for result in group]
    if shown:
        measured = [rows for result in shown for rows in result.measured.values()]
        dicts = [row for rows in measured for row in rows.values() if isinstance(row, dict)]
        columns = {*QUANTITIES}.union(*(r.curve[0] for r in shown), *(r.measured for r in shown))
        one_of("quantity", what, sorted(columns.union(*dicts) - {"phase"}))
    words = QUANTITIES.get(what, what)
    fig = plain_figure(f"{words}, epoch by epoch", "epoch", words, source_note(shown), **options)
    latest = max([1, *(r.spec.end for r in shown if r.spec.length)])
    for text, group in groups.items():
        if not group:
            continue
        curve = statistics.mean_curve(group, what)
        run = group[0].spec
        epochs, mean, look = curve["epoch"], curve["mean"], style(run.deficit)
        strength = 0.35 + 0.65 * run.end / latest if run.length else 1.0
        style_options = {"color": look.colour, "alpha": strength, "legend_label": text}
        limit = 1 if what == "test_accuracy" else np.inf  # two seeds have a wide interval
        low, high = np.clip([curve["low"], curve["high"]], 0 if limit == 1 else -np.inf, limit)
        fig.varea(epochs, low, high, color=look.colour, alpha=0.13 * strength)
        fig.line(epochs, mean, width=2, line_dash=look.dash, **style_options)
        ends = np.flatnonzero((epochs == run.end) & (run.length > 0))
        fig.scatter(epochs[ends], mean[ends], size=9, marker=look.marker, **style_options)
    if what != "test_accuracy":
        fig.y_range.start = 0
    if what in ("trace", "log_det"):
        fig.yaxis.formatter = NumeralTickFormatter(format="0,0")
    return finish(fig, what == "test_accuracy")


def by_layer(layers: int, groups: Mapping, hues: Mapping[str, str], **options: Any) -> figure:
    """Draw bars of a quantity by layer, from the image to the answer, for several kinds of network.

    Arguments: layers, how many; groups, (seeds, layers) for each kind; hues, its colour. The data
        source of a kind has its name, and the columns of `layer_columns`.

    >>> by_layer(2, {"blur": [[0.25, 0.75]]}, {"blur": "blue"}).y_range.start
    0
    """
    factors = [(str(layer), text) for layer in range(1, layers + 1) for text in groups]
    options = {"x_range": FactorRange(*factors, group_padding=0.6), **options}
    axes = ("layer, from the image to the answer", "share of the total")
    fig = plain_figure("share of each layer", *axes, **options)
    for text, values in groups.items():
        source = ColumnDataSource(layer_columns(text, values), name=text)
        fig.vbar("layer", 0.9, "mean", source=source, color=hues[text], legend_label=text)
        fig.segment("layer", "low", "layer", "high", color="#333333", source=source)
    name_groups(fig)
    fig.xgrid.visible = False
    fig.y_range.start = 0
    return finish(fig, percent=True)


def layer_columns(text: str, values: ArrayLike) -> dict[str, Any]:
    """The columns layer (pairs of layer and `text`), mean, low and high of a kind in `by_layer`.

    >>> layer_columns("blur", [[0.25, 0.75]])["layer"]
    [('1', 'blur'), ('2', 'blur')]
    """
    columns = statistics.mean_columns(list(np.atleast_2d(np.asarray(values, dtype=float)).T))
    return {"layer": [(str(i), text) for i in range(1, len(columns["mean"]) + 1)], **columns}


def empty_figure(x: str, y: str, source: str, **options: Any) -> figure:
    """Make an empty figure whose title names its axes, the horizontal one without its unit."""
    title = options.pop("title", f"{y} against {x.partition(',')[0]}")
    return plain_figure(title, x, y, source, **options)


def seeds_line(counts: Iterable[int], note: str = f" · {statistics.INTERVALS}") -> str:
    """Write how many seeds there are, or that nothing is computed yet."""
    present = [count for count in counts if count]
    words = statistics.count_seeds(*present) if present else "not computed yet"
    return words + (note if max(present, default=0) > 1 else "")


def means(
    groups: Mapping[str, Mapping[float, Any]],
    words: tuple[str, str],
    percent: bool = True,
    log: bool = False,
    source: str = "",
    **options: Any,
) -> figure:
    """Draw means with bands against a number, such as accuracy against density.

    Arguments: groups, {kind: {x: a contrast, or one number a seed}}; words, labels of both axes;
        percent, whether the vertical axis is of fractions; log, whether the horizontal axis is
        logarithmic; source, of numbers that come from no training.
    The data source of a kind is called `band` and its name.

    >>> means({"blur": {2: [0.5, 0.6]}}, ("epochs", "accuracy")).title.text
    'accuracy against epochs'
    """
    groups = {k: {x: statistics.estimate(of) for x, of in g.items()} for k, g in groups.items()}
    places = {x for group in groups.values() for x, mean in group.items() if mean.seeds}
    if log and places:  # an empty axis has no logarithm
        options["x_axis_type"] = "log"
    counts = [estimate.seeds for group in groups.values() for estimate in group.values()]
    fig = empty_figure(*words, source or seeds_line(counts), **options)
    for kind, look in styles(groups).items():
        columns = ColumnDataSource(statistics.mean_columns(groups[kind]), name=f"band {kind}")
        band(fig, columns, "x", look, points=True)
    if len(groups) == 1:
        fig.legend.visible = False
    if log and places and all(x == round(x) for x in places):  # others would crowd
        fig.xaxis.ticker = sorted(places)
    return finish(fig, percent)
