"""How all figures look: one style a thing that is shown, and the parts that figures are made of.

A style is a label, a colour (Okabe and Ito's colour-blind-safe set, with one of Tol's and greys
for controls) and a second cue beside colour: the dashes of a line and the shape of a point. Those
of deficits stand in cplab.deficits.
"""

import re
import textwrap
from collections.abc import Callable, Iterable, Sequence
from itertools import cycle
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from bokeh import models
from bokeh.plotting import figure

from cplab import deficits
from cplab.errors import CplabError, quote, require, whole
from cplab.statistics import count_seeds


class Style(NamedTuple):
    """How one thing is shown in every figure. Dash and marker are Bokeh's names."""

    label: str
    colour: str
    dash: str = "solid"
    marker: str = "circle"


EQUAL = Style("equal training", "#555555", "dashed", "square_x")
NEWBORN = Style("newborn", "#999999", "dotted", "diamond_cross")
LIVE = Style("live", "#D55E00", "solid", "star")

CORNERS = ("bottom_right", "top_right", "top_left", "bottom_left")
DASHES = ("solid", "dashed", "dotted", "dotdash", "dashdot")
CUES = {  # of each colour, the dashes and the marker
    "#0072B2": ("solid", "circle"),
    "#E69F00": ("dashed", "square"),
    "#009E73": ("dotdash", "triangle"),
    "#CC79A7": ("dotted", "diamond"),
    "#332288": ("dashdot", "inverted_triangle"),
    "#56B4E9": ("dashed", "hex"),
    "#D55E00": ("solid", "star"),
    "#000000": ("dotdash", "plus"),
    "#777777": ("dotted", "x"),
}
LOOKS = {one.label: one for one in (EQUAL, NEWBORN, LIVE)}
LOOKS |= {  # networks that no deficit tells apart: the words for them and their colour
    kind: Style(words, hue, *CUES[hue])
    for kind, words, hue in (
        ("biological", "grown and pruned", "#009E73"),
        ("random", "random", "#777777"),
        ("inked", "random, inked pixels", "#56B4E9"),
        ("per_pixel", "same number a pixel", "#0072B2"),
        ("degrees", "same degrees", "#332288"),
        ("set", "SET", "#E69F00"),
        ("magnitude", "pruned dense net", "#D55E00"),
        ("dense", "dense", "#000000"),
        ("images", "images", "#009E73"),
        ("random_labels", "random labels", "#E69F00"),
    )
}


def style(kind: str | Callable) -> Style:
    """How a deficit, a control or another kind of network looks; grey where it has no look."""
    if kind in LOOKS:
        return LOOKS[kind]
    try:
        found = deficits.find_deficit(kind, strict=False)
    except CplabError:
        return Style(str(kind), EQUAL.colour)
    return Style(found.label, found.colour, found.dash, found.marker)


def styles(kinds: Iterable[str]) -> dict[str, Style]:
    """The style of each kind; those without one of their own get different ones, in order."""
    found = {kind: style(kind) for kind in kinds}
    bare = [kind for kind, one in found.items() if one == Style(kind, EQUAL.colour)]
    used = {one.colour for kind, one in found.items() if kind not in bare}
    free = [hue for hue in CUES if hue not in used] or list(CUES)
    for kind, hue in zip(bare, cycle(free), strict=False):
        found[kind] = Style(kind, hue, *CUES[hue])
    return found


def label(kind: str | Callable) -> str:
    """The words for a deficit, also one of your own, or another `kind` of network.

    >>> label("flip"), label("blur-2"), label("biological")
    ('vertical flip', 'blur (2×)', 'grown and pruned')
    """
    return style(kind).label


def colour(kind: str | Callable) -> str:
    """The colour of a deficit, also one of your own, or another `kind` of network.

    >>> colour("blur")
    '#0072B2'
    """
    return style(kind).colour


def source_line(of: pd.DataFrame | Sequence) -> str:
    """One line that says where a figure's numbers come from.

    Arguments: of, a table of results, or results.

    >>> source_line([])
    'no results yet'
    """
    if not isinstance(of, pd.DataFrame):
        of = pd.DataFrame({**vars(one.spec), "source": one.source, "copy": one.copy} for one in of)
    if not len(of):
        return "no results yet"
    copies = sorted({re.sub(r"-[0-9a-f]{8,}$", "", copy) for copy in of["copy"]})  # no digests
    practice = set(of.dataset) == {"practice"}
    images = "PRACTICE images" if practice else f"images {', '.join(copies)}"
    counts = of.groupby(["deficit", "onset", "length"]).seed.nunique()
    profiles = f"profile {', '.join(sorted(set(of.profile)))}"
    sources = " and ".join(sorted(set(of.source), reverse=True))
    return " · ".join([sources, profiles, images, count_seeds(*counts)])


def wrap(text: str, width: float, size: float = 12, letter: float = 0.57) -> str:
    """Text in lines for which a figure of this width has room beside its axis; `letter` is the
    width of one by its size, bold as titles are."""
    return "\n".join(textwrap.wrap(text, max(12, int((width - 65) / (letter * size)))))


def plain_figure(title: str, x: str, y: str, source: str = "", /, **options: Any) -> figure:
    """An empty figure in the house style: few lines, no tools that nobody needs; the words of its
    axes are x and y unless the options have others, and where its numbers are from (source) stands
    small below."""
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
        below = wrap(source, width, 11, 0.54)
        fig.add_layout(models.Title(text=below, **look), "below")
    return fig


def plain_axis(axis: models.Axis, pixels: int) -> None:
    """Upright words, no ticks but those with a label, as many as have room, and plain numbers."""
    axis.axis_label_text_font_style = "normal"
    axis.axis_label_text_font_size = axis.major_label_text_font_size = "11px"
    axis.minor_tick_line_color = None
    if isinstance(axis.ticker, models.LogTicker):
        axis.ticker = models.LogTicker(mantissas=[1, 2, 5], desired_num_ticks=3)
        axis.formatter = models.NumeralTickFormatter(format="0,0.[000000]")
    elif isinstance(axis.ticker, models.AdaptiveTicker):
        axis.ticker.desired_num_ticks = min(6, max(2, pixels // 50))


def percent_axis(axis: models.Axis) -> None:
    """Label an axis of fractions in percent."""
    axis.formatter = models.NumeralTickFormatter(format="0[.]0 %")


def band(
    fig: figure,
    source: models.ColumnDataSource,
    x: str,
    look: Style,
    text: str = "",
    points: bool = False,
) -> None:
    """A line through the column `mean` of a source, along its column x, with a band from `low` to
    `high`; text is for the legend, if not the style's; points, whether each mean has a marker."""
    words = {"source": source, "color": look.colour, "legend_label": text or look.label}
    fig.varea(x, "low", "high", source=source, color=look.colour, alpha=0.18)
    fig.line(x, "mean", width=2, line_dash=look.dash, **words)
    if points:
        fig.scatter(x, "mean", size=7, marker=look.marker, **words)


def live_line(fig: figure, source: models.ColumnDataSource) -> Any:
    """The curve of what is trained here and now, with a star at each epoch."""
    look = {"source": source, "color": LIVE.colour, "legend_label": LIVE.label}
    fig.scatter("epoch", "mean", size=7, marker=LIVE.marker, **look)
    return fig.line("epoch", "mean", width=2, **look)


def reference_line(fig: figure, dimension: str, hue: str, at: float = 0) -> None:
    """A dotted line across a figure, along its `width` or its `height`."""
    look = {"line_color": hue, "line_dash": "dotted"}
    fig.add_layout(models.Span(dimension=dimension, location=at, **look))


def place_legend(fig: figure, place: str = "bottom_right") -> figure:
    """Make the legend small, in a corner of the figure, or outside it, `right` or `above`. Where it
    would lie on what is drawn, it goes to a free corner; where none is free, above."""
    if not fig.legend:
        return fig
    legend, outside = fig.legend[0], {"right": "vertical", "above": "horizontal"}
    if place not in outside:
        free = (corner for corner in (place, *CORNERS) if not legend_covers_data(fig, corner))
        if (place := next(free, "above")) == "above":  # in as many columns as have room
            widest = 50 + 6.2 * max(len(item.label.value or "") for item in legend.items)
            legend.ncols = max(1, min(len(legend.items), int((fig.width - 60) / widest)))
    if place in outside:
        fig.add_layout(legend, place)
        legend.orientation = outside[place]
    look = {"padding": 2, "spacing": 6 if place == "above" else 2, "border_line_color": None}
    legend.update(label_text_font_size="11px", background_fill_alpha=0.7, margin=0, **look)
    legend.glyph_width = 28  # its dashes can be told apart
    legend.location = "top_left" if place in outside else place
    return fig


def legend_covers_data(fig: figure, corner: str) -> bool:
    """Whether its legend would lie, in a corner, on a line or point that is drawn by now."""
    labels = [item.label.value or "" for item in fig.legend[0].items]
    wide = (50 + 6.2 * max(map(len, labels))) / max(1, fig.width - 70)
    high = (8 + 22 * len(labels)) / max(1, fig.height - 80)
    across, up = data_positions(fig, "x"), data_positions(fig, "y")
    side = across > 1 - wide if "right" in corner else across < wide
    return bool(np.any(side & (up > 1 - high if "top" in corner else up < high)))


def data_positions(fig: figure, axis: str) -> np.ndarray:
    """Where along an axis its lines and points lie by now, from 0 at one end to 1 at the other."""
    reach, scale = getattr(fig, f"{axis}_range"), getattr(fig, f"{axis}_scale")
    pieces = [np.array([reach.start, reach.end], dtype=float)]
    for one in fig.renderers:
        both = [one.data_source.data.get(getattr(one.glyph, name, ""), ()) for name in "xy"]
        if all(len(values) and np.asarray(values).dtype.kind in "iuf" for values in both):
            pieces.append(np.asarray(both["xy".index(axis)], dtype=float))
    if isinstance(scale, models.LogScale):
        pieces = [np.log(part, where=part > 0, out=np.full_like(part, np.nan)) for part in pieces]
    every = np.concatenate(pieces)
    known = every[np.isfinite(every)]
    low, high = (known.min(), known.max()) if len(known) else (0, 1)
    finer = [np.interp(np.arange(0, len(p) - 0.95, 0.1), np.arange(len(p)), p) for p in pieces[1:]]
    return (np.concatenate([*finer, [np.nan]]) - low) / (high - low or 1)


def side_by_side(drawn: Any) -> models.LayoutDOM:
    """A Bokeh figure or layout as it is, several of them as a row."""
    figs = drawn if isinstance(drawn, list | tuple) else [drawn]
    for fig in figs:
        require(isinstance(fig, models.LayoutDOM), f"{quote(fig)} is no figure: give Bokeh's")
    return figure_row(*figs) if figs is drawn else drawn


def figure_row(*figs: models.LayoutDOM, **more: Any) -> models.Row:
    """Figures side by side, and below each other where a page has no room for that."""
    flow = {"styles": {"flex-wrap": "wrap"}, "sizing_mode": "stretch_width"}
    return models.Row(children=[*figs], **flow, **more)
