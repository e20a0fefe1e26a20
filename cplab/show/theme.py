"""The parts that all figures are made of, in one style."""

import textwrap
from typing import Any

from bokeh import models
from bokeh.plotting import figure

from cplab.errors import quote, require, whole
from cplab.show.styles import (
    CUES,
    DASHES,
    EQUAL,
    LIVE,
    NEWBORN,
    Style,
    colour,
    label,
    source_line,
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
