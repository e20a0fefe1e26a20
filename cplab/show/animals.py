"""Figures of what animal papers state (cplab.animals): numbers as points, words as shaded ages, and
no curve, since none is printed."""

import html
from typing import Any

import pandas as pd
from bokeh import layouts
from bokeh.models import ColumnDataSource, Range1d
from bokeh.plotting import figure

from cplab.show.theme import CUES, EQUAL, LIVE, place_legend, plain_figure, reference_line

HUES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")  # one a kind of statement


def by_age(
    rows: dict[str, pd.DataFrame], last: float, unit: str = "", normal: float = 0, **options: Any
) -> Any:
    """What animal papers state: a number as a point, with the range that was printed; words as a
    shaded stretch of age.

    Arguments: rows, statements by what they are about; last, the last day of the axis; unit, of
        the numbers; normal, a value above 0 for a line across; options, Bokeh's.
    Returns: a Bokeh figure, or a column of two: the words above the numbers. A statement without
        an age stands in the title.

    >>> from cplab.animals import statements
    >>> len(by_age({"one eye closed": statements("recovered_acuity")}, 600).children)
    2
    """
    coloured = zip(HUES, rows.items(), strict=False)
    every = pd.concat(part.assign(about=text, hue=hue) for hue, (text, part) in coloured)
    aged = every.dropna(subset="age_low")
    days = Range1d(-0.01 * last, last)
    options = {"width": 800, "x_range": days, "min_border_left": 140, **options}
    parts = []
    if (every.kind == "interval").any():
        parts.append(stretches(every[every.kind == "interval"], last / 200, **options))
    if (aged.kind == "point").any():
        numbered = aged[aged.kind == "point"]
        parts.append(numbers(numbered, unit, normal, **{**options, "height": 250}))
    parts[-1].xaxis.axis_label = "age, days"
    return parts[0] if len(parts) == 1 else layouts.column(*parts)


def numbers(rows: pd.DataFrame, unit: str, normal: float, **options: Any) -> figure:
    """Statements in numbers, each with its ranges of age and value."""
    fig = plain_figure("", "", unit, **options)
    for about, part in rows.groupby("about", sort=False):
        hue, middle = part.hue.iloc[0], (part.age_low + part.age_high) / 2
        fig.segment(part.age_low, part.value, part.age_high, part.value, color=hue)
        fig.segment(middle, part.value_low, middle, part.value_high, color=hue, width=3)
        how = {"color": hue, "size": 10, "marker": CUES[hue][1], "legend_label": about}
        fig.scatter(middle, part.value, **how)
    fig.y_range = Range1d(0, 1.15 * max(normal, rows.value_high.max()))
    if normal:
        reference_line(fig, "width", EQUAL.colour, normal)
    return place_legend(fig, "top_right")


def stretches(rows: pd.DataFrame, least: float, **options: Any) -> figure:
    """Statements in words as shaded stretches of age, each of `least` days at least and in a lane
    of its own (source `words`: lane, left, right, text, colour)."""
    aged, apart = rows.dropna(subset="age_low"), rows[rows.age_low.isna()]
    lanes, about = list(range(len(aged))), list(aged.about)
    columns = {"lane": lanes, "left": aged.age_low, "text": aged.words, "colour": aged.hue}
    table = pd.DataFrame(columns).assign(right=aged.age_high.clip(lower=aged.age_low + least))
    source = ColumnDataSource(table.to_dict("list"), name="words")
    title = "; ".join(apart.about + ", " + apart.age_text + ": " + apart.words)
    options |= {"height": 60 + 26 * len(lanes), "y_range": Range1d(len(lanes) - 0.5, -0.5)}
    fig = plain_figure(title, "", "", **options)
    fig.hbar("lane", 0.8, "right", "left", source=source, color="colour", alpha=0.22)
    look = {"text_font_size": "11px", "text_baseline": "middle", "x_offset": 3}
    fig.text("left", "lane", "text", source=source, **look)
    fig.yaxis.major_label_overrides = {about.index(text): text for text in dict.fromkeys(about)}
    fig.yaxis.ticker = list(fig.yaxis[0].major_label_overrides)
    fig.ygrid.visible = False
    fig.yaxis.major_tick_line_color = None
    return fig


def synapses_by_age(rows: pd.DataFrame, born: int, **options: Any) -> figure:
    """What is stated in print about synapses by age: points where a number is, shaded ages where
    words are.

    Arguments: rows of cplab.animals.statements, of one species; born, days from conception to
        birth, since the axis is of the age from conception, as in the paper's figure 4; options,
        Bokeh's.

    >>> from cplab.animals import GESTATION, statements
    >>> synapses_by_age(statements("synaptic_density", "macaque"), GESTATION).xaxis.axis_label
    'days from conception'
    """
    rows = rows.assign(first=rows.age_low + born, last=rows.age_high + born)
    rows["middle"] = (rows["first"] * rows["last"]) ** 0.5  # on a logarithmic axis
    points, words = rows[rows.value.notna()], rows[rows.kind == "interval"]
    title = f"synapses of the visual cortex, {', '.join(rows.species.unique())}"
    options = {"x_axis_type": "log", **options}
    unit = ", ".join(points.unit.unique())
    fig = plain_figure(title, "days from conception", unit, **options)
    top = 1.25 * points.value_high.max() if len(points) else 1.0
    fig.y_range = Range1d(0, top)
    fig.x_range = Range1d(0.4 * rows["first"].min(), 1.2 * rows["last"].max())
    fig.yaxis.visible = bool(len(points))
    for i, row in enumerate(list_rows(words)):
        fig.quad(row.first, row.last, top, 0, color=EQUAL.colour, alpha=0.06 + 0.05 * (i % 2))
    heights = [top * (0.95 - 0.1 * (i % 6)) for i in range(len(words))]
    look = {"text_align": "center", "text_baseline": "middle", "text_font_size": "10px"}
    fig.text(words.middle, heights, words.words, **look)
    if len(points):
        height, how = points.value, {"color": LIVE.colour}
        fig.segment(points["first"], height, points["last"], height, line_width=2, **how)
        fig.scatter(points.middle, height, size=9, **how)
    reference_line(fig, "height", EQUAL.colour, at=born)
    fig.ygrid.visible = False
    return fig


def list_rows(table: pd.DataFrame) -> list[Any]:
    """The rows of a table, each with its columns as attributes."""
    return list(table.itertuples())


def statement_table(rows: pd.DataFrame) -> Any:
    """What animal papers state, `rows` of cplab.animals.statements, as a table with the source and
    the place in it, as HTML.

    >>> from cplab.animals import statements
    >>> "Mitchell" in statement_table(statements("recovered_acuity")).data
    True
    """
    from IPython.display import HTML

    body = "<tr><th>age</th><th>stated</th><th>how</th><th>source</th></tr>"
    for row in list_rows(rows):
        stated = f"{row.value_text} {row.unit}" if row.kind == "point" else row.words
        cells = (row.age_text, stated, row.note, f"{row.source} ({row.where})")
        body += "<tr>" + "".join(f"<td>{html.escape(c, quote=False)}</td>" for c in cells) + "</tr>"
    style = "line-height:1.3;font-size:12px;text-align:left"
    css = f"<style>.cplab-stated :is(th, td) {{{style};padding:3px 12px 3px 0}}</style>"
    return HTML(f'{css}<table class="cplab-stated">{body}</table>')
