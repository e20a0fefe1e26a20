"""Figures of lab 01: statements of animal papers, and the orientation of filters. Numbers are
points, words are shaded ages, and no curve is drawn where none is printed."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import pandas as pd
from bokeh import layouts
from bokeh.models import ColumnDataSource, Range1d
from bokeh.plotting import figure

from cplab.show import theme
from cplab.show.theme import CUES, EQUAL, place_legend, plain_figure, reference_line

HUES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")  # one for each kind of statement


def age_figure(rows: Mapping, title: str, last: float, unit: str = "", normal: float = 0) -> Any:
    """Statements by age: numbers as points with ranges; words, above these, as shaded ages.

    Arguments: rows, of kitten.statements, by what they are about; last, the last day of the axis;
        unit, of the numbers; normal, for a line across.
    """
    coloured = zip(HUES, rows.items(), strict=False)
    table = pd.concat(part.assign(about=text, hue=hue) for hue, (text, part) in coloured)
    words, points = (table[table.kind == kind] for kind in ("interval", "point"))
    options = {"width": 800, "x_range": Range1d(-0.01 * last, last), "min_border_left": 140}
    figs = [age_ranges(words, last / 200, **options)] if len(words) else []
    if len(points := points.dropna(subset="age_low")):
        figs.append(numbers(points, unit, normal, **options))
    figs[0].title.text = title
    figs[-1].xaxis.axis_label = "age, days"
    return figs[0] if len(figs) == 1 else layouts.column(*figs)


def numbers(rows: pd.DataFrame, unit: str, normal: float, **options: Any) -> figure:
    """A figure of statements in numbers, each with its ranges of age and value."""
    fig = plain_figure("", "", unit, height=250, **options)
    for about, part in rows.groupby("about", sort=False):
        hue, middle = part.hue.iloc[0], (part.age_low + part.age_high) / 2
        fig.segment(part.age_low, part.value, part.age_high, part.value, color=hue)
        fig.segment(middle, part.value_low, middle, part.value_high, color=hue, width=3)
        how = {"color": hue, "size": 10, "marker": CUES[hue][1], "legend_label": about}
        fig.scatter(middle, part.value, **how)
    fig.y_range = Range1d(0, 1.4 * max(normal, rows.value_high.max()))
    if normal:
        reference_line(fig, "width", EQUAL.colour, normal)
        look = {"text_align": "right", "text_font_size": "11px", "y_offset": -3}
        fig.text([fig.x_range.end], [normal], ["a normal eye"], **look)
    return place_legend(fig)


def age_ranges(rows: pd.DataFrame, least: float, **options: Any) -> figure:
    """A figure of statements in words as shaded ages, each at least `least` days long and in a lane
    of its own; statements without an age stand below."""
    aged, ageless = rows.dropna(subset="age_low"), rows[rows.age_low.isna()]
    about = list(aged.about)
    columns = {"lane": range(len(aged)), "first": aged.age_low, "text": aged.words}
    columns |= {"last": aged.age_high.clip(lower=aged.age_low + least), "colour": aged.hue}
    source = ColumnDataSource({k: list(v) for k, v in columns.items()}, name="words")
    below = "; ".join(ageless.about + ", " + ageless.age_text + ": " + ageless.words)
    lanes = {"height": 75 + 26 * len(aged), "y_range": Range1d(len(aged) - 0.5, -0.5)}
    fig = plain_figure("", "", "", below, **lanes, **options)
    shade = {"fill_color": "colour", "alpha": 0.22, "line_color": None}  # words may be longer
    fig.hbar("lane", 0.8, "last", "first", source=source, **shade)
    look = {"text_font_size": "11px", "text_baseline": "middle", "x_offset": 3}
    fig.text("first", "lane", "text", source=source, **look)
    fig.yaxis.major_label_overrides = {about.index(text): text for text in dict.fromkeys(about)}
    fig.yaxis.ticker = list(fig.yaxis[0].major_label_overrides)
    fig.ygrid.visible = False
    fig.yaxis.major_tick_line_color = None
    return fig


def statement_table(rows: pd.DataFrame) -> str:
    """An HTML table of statements (rows of kitten.statements) with their sources."""
    body = "<tr><th>age</th><th>stated</th><th>how</th><th>source</th></tr>"
    row: Any
    for row in rows.itertuples():
        stated = f"{row.value_text} {row.unit}" if row.kind == "point" else row.words
        cells = (row.age_text, stated, row.note, f"{row.source} ({row.where})")
        body += "<tr>" + "".join(f"<td>{escape(cell, quote=False)}</td>" for cell in cells)
    style = "line-height:1.3;font-size:12px;text-align:left !important;padding:3px 12px 3px 0"
    css = f"<style>.cplab-stated :is(th, td) {{{style}}}</style>"
    return f'{css}<table class="cplab-stated">{body}</table>'


def orientation_figure(groups: Mapping[str, Sequence[np.ndarray]], hues: Mapping[str, str]) -> Any:
    """A line for each filter of several networks, along the stripes that it answers to best, the
    longer the more selective; groups, `cplab.measure.orientation` of each network, by title."""
    figs = []
    for text, networks in groups.items():
        square = {"x_range": Range1d(-1, 1), "y_range": Range1d(-1, 1), "min_border": 4}
        fig = plain_figure(text, "", "", **square, width=200, height=222)
        z = np.concatenate(networks) if len(networks) else np.empty(0)
        end = np.abs(z) * np.exp(1j * (np.pi / 2 - np.angle(z) / 2))  # half the angle: to the right
        columns = {"x": end.real, "y": end.imag, "x0": -end.real, "y0": -end.imag}
        source = ColumnDataSource(columns, name="fan")
        fig.circle(0, 0, radius=1, fill_color=None, line_color="#cccccc")
        fig.segment("x0", "y0", "x", "y", source=source, color=hues[text], width=1.5, alpha=0.7)
        fig.axis.visible = fig.grid.visible = False
        figs.append(fig)
    return theme.figure_row(*figs)
