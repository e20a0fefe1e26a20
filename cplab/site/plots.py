"""Bokeh's figures as plain data that page.js draws, and a pool in which equal data stand once."""

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np
from bokeh import models
from bokeh.core.property.vectorization import Field, Value

from cplab.checks import CplabError

DIGITS = 5  # that a number of a figure keeps
# What the page draws of each glyph: its kind there, and the properties that say where.
GLYPHS = {
    "Line": ("line", "x y"),
    "MultiLine": ("lines", "xs ys"),
    "VArea": ("area", "x y1 y2"),
    "Scatter": ("dots", "x y size"),
    "Circle": ("ring", "x y radius"),
    "Segment": ("segment", "x0 y0 x1 y1"),
    "Rect": ("rect", "x y width height"),
    "Quad": ("quad", "left right bottom top"),
    "VBar": ("vbar", "x width bottom top"),
    "HBar": ("hbar", "y height left right"),
    "Text": ("text", "x y text"),
}
PROPERTIES = "line_color line_width line_dash line_alpha fill_color fill_alpha marker text_color"
PROPERTIES += " text_align text_baseline text_font_size x_offset y_offset"
USUAL = {  # looks that need not be said
    "line_width": 1, "line_dash": [], "line_alpha": 1, "fill_alpha": 1, "text_align": "left",
    "text_baseline": "bottom", "x_offset": 0, "y_offset": 0, "marker": "circle",
}  # fmt: skip


class Pool:
    """Plain data by number, each content once; `¤5` stands for what has the number 5."""

    def __init__(self) -> None:
        self.texts: dict[str, int] = {}

    def put(self, value: Any) -> str:
        """The mark of a list or dictionary, whose own parts may be marks."""
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        return f"¤{self.texts.setdefault(text, len(self.texts))}"

    def json(self) -> str:
        return f"[{','.join(self.texts)}]"


def figures(layout: Any, pool: Pool) -> list[str]:
    """The marks of the figures that a Bokeh layout shows, in reading order, as screen parts."""
    if isinstance(layout, models.Plot):
        return [pool.put({"fig": pool.put(figure_data(layout, pool))})] if layout.visible else []
    children = (c[0] if isinstance(c, tuple) else c for c in getattr(layout, "children", ()))
    return [mark for child in children for mark in figures(child, pool)]


def figure_data(fig: models.Plot, pool: Pool) -> dict[str, Any]:
    """A figure as dictionaries and lists, its columns and glyphs in the pool."""
    shown = [r for r in fig.renderers if isinstance(r, models.GlyphRenderer) and r.visible]
    below = [a.text for a in fig.below if isinstance(a, models.Title)]
    found = {
        "title": flat(fig.title.text) if fig.title else "",
        "source": flat(" ".join(below)),
        "height": fig.height or 300,
        "width": fig.width or 600,
        "left": fig.min_border_left or 0,
        "x": axis(fig, "below", fig.x_range),
        "y": axis(fig, "left", fig.y_range),
        "glyphs": [pool.put(glyph(r, pool)) for r in shown],
        "marks": [pool.put(one) for one in annotations(fig, pool)],
        "key": [pool.put(one) for one in legend_of(fig, shown)],
    }
    for ends in fig.extra_y_ranges.values():
        found["second"] = axis(fig, "right", ends)
    return found


def flat(text: Any) -> str:
    return " ".join(str(text).split())


def axis(fig: models.Plot, side: str, ends: Any) -> dict[str, Any]:
    """Words, ends, ticks and format of an axis."""
    found: dict[str, Any] = {"words": ""}
    axes = [a for a in getattr(fig, side) if isinstance(a, models.Axis)]
    if isinstance(ends, models.FactorRange):
        found["factors"] = [factor_name(f) for f in ends.factors]
    else:
        found["ends"] = [short(ends.start), short(ends.end)]
        if isinstance(ends, models.DataRange1d):
            found["padding"] = ends.range_padding
    scales = {"below": fig.x_scale, "left": fig.y_scale}
    if isinstance(scales.get(side), models.LogScale):
        found["log"] = 1
    grids = [g for g in fig.center if isinstance(g, models.Grid)]
    if not all(g.visible for g in grids if g.dimension == (side != "below")):
        found["bare"] = 1
    if not axes or not axes[0].visible:
        return found | {"hidden": 1}
    one = axes[0]
    found["words"] = flat(one.axis_label or "")
    if isinstance(one.ticker, models.FixedTicker):
        found["ticks"] = [short(t) for t in one.ticker.ticks]
    if isinstance(one.formatter, models.NumeralTickFormatter) and "%" in one.formatter.format:
        found["percent"] = 1
    if one.major_label_overrides:
        found["labels"] = {f"{k:g}": str(v) for k, v in one.major_label_overrides.items()}
    return found


def glyph(renderer: models.GlyphRenderer, pool: Pool) -> dict[str, Any]:
    """A glyph with its columns."""
    shape, data = renderer.glyph, renderer.data_source.data
    name = type(shape).__name__
    if name not in GLYPHS:
        raise CplabError(f"a figure has the glyph {name}, which pages cannot draw: {[*GLYPHS]} can")
    kind, places = GLYPHS[name]
    found: dict[str, Any] = {"kind": kind}
    for place in glyph_properties(type(shape), places):  # type: ignore[arg-type]
        value = resolve(getattr(shape, place), data, pool)
        if place not in USUAL or value != USUAL[place]:
            found[place] = value
    if renderer.y_range_name != "default":
        found["second"] = 1
    return found


@cache
def glyph_properties(shape: type, places: str) -> list[str]:
    """The properties of a kind of glyph that the page wants; to ask Bokeh for others takes long."""
    return [n for n in f"{places} {PROPERTIES}".split() if n in shape.properties()]  # type: ignore[attr-defined]


def resolve(value: Any, data: Any, pool: Pool) -> Any:
    """A property: the mark of its column, or its one value."""
    if isinstance(value, str) and value in data:
        value = Field(value)
    if isinstance(value, dict):
        value = Field(**value) if "field" in value else Value(**value)
    if isinstance(value, Field):
        column = list(data[value.field])
        if isinstance(getattr(value, "transform", None), models.ColorMapper):
            return pool.put(colours(column, value.transform))
        if column and not isinstance(column[0], str | tuple) and np.ndim(column[0]):  # of lines
            return pool.put([pool.put(plain_column(one)) for one in column])
        return pool.put(plain_column(column))
    if isinstance(value, Value):
        value = value.value
    if isinstance(value, str | list | tuple):
        return value if isinstance(value, str) else list(value)
    return short(value)


def colours(column: Sequence[Any], mapper: Any) -> list[str]:
    """What a colour mapper of Bokeh makes of a column."""
    hues = [str(hue) for hue in mapper.palette]
    if isinstance(mapper, models.CategoricalColorMapper):
        first, last = mapper.start or 0, mapper.end
        parts = [f[first:last] if isinstance(f, tuple) else (f,) for f in column]
        names = [(f,) if isinstance(f, str) else tuple(f) for f in mapper.factors]
        return [hues[names.index(p) % len(hues)] if p in names else "#808080" for p in parts]
    above = np.asarray(column, dtype=float) - mapper.low
    places = above / (mapper.high - mapper.low or 1) * len(hues)
    hues.append(str(mapper.nan_color))
    return [hues[int(i)] for i in np.nan_to_num(places.clip(0, len(hues) - 2), nan=-1)]


def plain_column(column: Iterable[Any]) -> list[Any]:
    """Numbers, with DIGITS digits, and words; None where a number is missing."""
    return [factor_name(one) if isinstance(one, str | tuple) else short(one) for one in column]


def factor_name(factor: Any) -> str:
    return factor if isinstance(factor, str) else ", ".join(map(str, factor))


def short(value: Any) -> Any:
    """A number that JSON has; whole ones without a point."""
    if value is None or isinstance(value, bool | int):
        return value
    try:
        if not math.isfinite(value):
            return None
    except TypeError:
        return None  # nothing was set
    rounded = float(f"{value:.{DIGITS}g}")
    return int(rounded) if rounded == int(rounded) and abs(rounded) < 1e15 else rounded


def annotations(fig: models.Plot, pool: Pool) -> Iterator[dict[str, Any]]:
    """Lines across, shaded parts and whiskers."""
    for one in [*fig.center, *fig.left, *fig.right, *fig.above, *fig.below]:
        if not one.visible:
            continue
        if isinstance(one, models.Span):
            look = {"line_color": one.line_color, "line_dash": one.line_dash}
            if short(one.location) is not None:
                yield {"kind": "span", one.dimension: short(one.location), **look}
        elif isinstance(one, models.BoxAnnotation):
            ends = {end: short(getattr(one, end)) for end in ("left", "right", "bottom", "top")}
            look = {"fill_color": one.fill_color, "fill_alpha": one.fill_alpha}
            yield {"kind": "box", **look, **ends}
        elif isinstance(one, models.Whisker):
            across, data = one.dimension == "width", one.source.data
            parts = {n: resolve(getattr(one, n), data, pool) for n in ("base", "lower", "upper")}
            yield {"kind": "whisker", "across": int(across), **parts}


def legend_of(fig: models.Plot, shown: Sequence[Any]) -> Iterator[dict[str, Any]]:
    """The legend: words, and the glyphs whose look stands beside them."""
    for legend in fig.legend:
        for item in legend.items if legend.visible else ():
            drawn = [shown.index(r) for r in item.renderers if r in shown]
            if item.visible and drawn:
                label = item.label.value if isinstance(item.label, Value) else str(item.label)
                yield {"words": label, "glyphs": drawn, "at": item.index or 0}
