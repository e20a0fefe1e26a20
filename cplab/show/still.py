"""Bokeh figures as PNG, by matplotlib and without a browser: for saved notebooks, and for slides.

What is drawn is what labs use of Bokeh: lines, points, bands, boxes, segments and words; spans and
whiskers; categories, logarithms and legends.
"""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from bokeh import models
from bokeh.plotting import figure as Figure

from cplab.errors import CplabError, require, whole
from cplab.show import theme

DASHES = {"solid": "-", "dashed": "--", "dotted": ":", "dotdash": "-.", "dashdot": "-."}
MARKERS = {
    **{"circle": "o", "square": "s", "triangle": "^", "diamond": "d", "inverted_triangle": "v"},
    **{"hex": "h", "star": "*", "plus": "P", "x": "X", "square_x": "s", "diamond_cross": "D"},
}
PLACES = {  # columns along an axis
    "x": ("x", "xs", "left", "right", "x0", "x1"),
    "y": ("y", "ys", "y1", "y2", "top", "bottom", "y0"),
}
BASELINES = {"middle": "center", "top": "top", "bottom": "bottom"}
POINT = 0.75  # points of type in a pixel of the page


def still(drawn: Any, width: int | None = None) -> bytes:
    """Figures as a PNG.

    Arguments: drawn, a Bokeh figure or layout, or a list of them, below each other; width, pixels
        of the picture, as many as on a page if not given. Its text has 24 pixels at least then.

    >>> from cplab.show.theme import plain_figure
    >>> still(plain_figure("", "", ""))[1:4]
    b'PNG'
    """
    from matplotlib import style
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Canvas
    from PIL import Image

    rows = [*rows_of(drawn)]
    require(rows, "there is no figure to draw: give one of Bokeh's")
    wide = [[fig.width or 420 for fig in row] for row in rows]
    high = [max(fig.height or 300 for fig in row) for row in rows]
    natural = max(map(sum, wide))
    zoom = 1.0 if width is None else whole("width", width, 100, 20_000) / natural
    # text is larger on a smaller canvas with finer dots
    larger = 1.0 if width is None else max(1.0, 24 / (11 * zoom))
    size = (natural / 96 / larger, sum(high) / 96 / larger)
    with style.context("default", after_reset=True):  # whatever other code has set
        canvas = Canvas(figsize=size, dpi=96 * zoom * larger, layout="constrained")
        strips = canvas.subfigures(len(rows), 1, height_ratios=high, squeeze=False)
        for row, widths, strip in zip(rows, wide, strips.flat, strict=True):
            rest = max(1, natural - sum(widths))  # stays empty
            parts = strip.subfigures(1, len(row) + 1, width_ratios=[*widths, rest])
            for fig, part, room in zip(row, parts, widths, strict=False):
                Drawing(fig, part.add_subplot(), room / larger).draw()
        agg = FigureCanvasAgg(canvas)
        agg.draw()
    picture = Image.fromarray(np.asarray(agg.buffer_rgba())[..., :3])
    file = io.BytesIO()
    picture.quantize(128, dither=Image.Dither.NONE).save(file, "png")
    return file.getvalue()


def save(drawn: Any, path: str | Path, width: int = 1920) -> Path:
    """Write figures as a PNG for slides. Arguments as of `still`; path, of the file. Returns it.

    >>> from cplab.show.theme import plain_figure
    >>> save(plain_figure("", "", ""), "slide.png")  # doctest: +SKIP
    PosixPath('slide.png')
    """
    path = Path(path)
    try:
        path.write_bytes(still(drawn, width))
    except OSError as error:
        raise CplabError(f"{path} cannot be written ({error}): name another file") from error
    return path


def rows_of(drawn: Any) -> Iterator[list[Figure]]:
    """The visible figures of a layout, as rows that stand below each other."""
    if isinstance(drawn, Figure):
        yield from [[drawn]] if drawn.visible else []
    elif isinstance(drawn, models.Row):
        figs = [fig for part in drawn.children for row in rows_of(part) for fig in row]
        yield from [figs] if figs else []
    else:
        for part in getattr(drawn, "children", drawn if isinstance(drawn, list | tuple) else ()):
            yield from rows_of(part)


class Drawing:
    """One Bokeh figure, drawn into the axes of matplotlib, so many pixels of the page wide."""

    def __init__(self, fig: Figure, axes: Any, wide: float) -> None:
        self.fig, self.axes, self.wide = fig, axes, wide
        self.right: Any = None
        self.artists: dict[str, Any] = {}  # of matplotlib, by the renderer
        self.names = {side: positions(getattr(fig, f"{side}_range")) for side in "xy"}

    def draw(self) -> None:
        """Draw its glyphs, its annotations, its axes and its legend."""
        for side in "xy":
            if isinstance(getattr(self.fig, f"{side}_scale"), models.LogScale):
                getattr(self.axes, f"set_{side}scale")("log")
        left = self.axes
        for number, one in enumerate(self.fig.renderers):
            if isinstance(one, models.GlyphRenderer) and one.visible:
                self.axes = left if one.y_range_name == "default" else self.right_axes(left)
                if artist := self.draw_glyph(one, 2 + number / 100):
                    self.artists[one.id] = artist
        self.axes = left
        for one in [*self.fig.center, *self.fig.below]:
            self.draw_annotation(one)
        for side in "xy":
            self.draw_axis(side)
        title = theme.wrap(self.fig.title.text.replace("\n", " "), self.wide)
        self.axes.set_title(title, fontsize=points("12px"), loc="left", fontweight="bold")
        self.axes.spines[["top", "right"]].set_visible(False)
        self.axes.set_axisbelow(True)
        self.draw_legend()

    def right_axes(self, left: Any) -> Any:
        """A second vertical axis."""
        if self.right is None:
            [reach] = self.fig.extra_y_ranges.values()
            self.right = left.twinx()
            self.right.set_ylim(reach.start, reach.end)
            words = next(one.axis_label for one in self.fig.right if isinstance(one, models.Axis))
            self.right.set_ylabel(words, fontsize=points())
            self.right.tick_params(labelsize=points())
            self.right.spines["top"].set_visible(False)
        return self.right

    def column(self, one: Any, name: str, usual: Any = None) -> Any:
        """What a property of a glyph is: its column, its colours, or its one value."""
        value, data = getattr(one.glyph, name, usual), one.data_source.data
        transform = getattr(value, "transform", None)
        value = getattr(value, "value", getattr(value, "field", value))
        if name != "marker" and isinstance(value, str) and value in data:  # x is a marker too
            value = data[value]
        for side, names in PLACES.items():
            if name in names:
                nested = name in ("xs", "ys")
                return [self.along(side, v) for v in value] if nested else self.along(side, value)
        if isinstance(transform, models.LinearColorMapper):
            return mapped(np.asarray(value, dtype=float), transform)
        if isinstance(transform, models.CategoricalColorMapper):
            hues = dict(zip(transform.factors, transform.palette, strict=False))
            kinds = [v[transform.start or 0] if isinstance(v, tuple) else v for v in value]
            return [hues.get(kind, "#999999") for kind in kinds]
        return usual if value is None else value

    def along(self, side: str, values: Any) -> Any:
        """Numbers for values of an axis: names have their places."""
        known = self.names[side]
        if not known:
            return np.asarray(values, dtype=float)
        if isinstance(values, str | tuple) and values in known:
            return known[values]
        if not isinstance(values, list | tuple):
            values = np.atleast_1d(np.asarray(values, dtype=object))
        return np.array([place_of(value, known) for value in values])

    def draw_glyph(self, one: models.GlyphRenderer, order: float) -> Any:
        """One renderer: each of its kinds of glyph is one call of matplotlib. Returns what a legend
        shows of it, None for nothing."""
        kind, axes = type(one.glyph).__name__, self.axes
        placed = {*PLACES["x"], *PLACES["y"]} & one.glyph.properties()
        at = {name: self.column(one, name) for name in placed}
        empty = any(len(v) == 0 for v in at.values() if isinstance(v, list) or np.ndim(v))
        if empty and kind not in ("Line", "Scatter", "VArea"):  # of what is not trained
            return None
        width = POINT * np.asarray(self.column(one, "line_width", 1), dtype=float)
        line = {"color": self.column(one, "line_color"), "alpha": self.column(one, "line_alpha", 1)}
        line |= {"linestyle": dash(one.glyph), "linewidth": width, "zorder": order}
        if kind in ("Line", "MultiLine", "Segment"):
            lines = [(at.get("x"), at.get("y"))]
            if kind == "MultiLine":
                lines = [*zip(at["xs"], at["ys"], strict=True)]
            elif kind == "Segment":
                ends = np.broadcast_arrays(*(np.ravel(at[n]) for n in ("x0", "x1", "y0", "y1")))
                lines = [(each[:2], each[2:]) for each in np.transpose(ends)]
            drawn = [
                axes.plot(x, y, **{name: item(value, i) for name, value in line.items()})[0]
                for i, (x, y) in enumerate(lines)
            ]
            return drawn[0]
        if kind == "Scatter":
            size = POINT * np.asarray(self.column(one, "size", 8), dtype=float)
            fill = "none" if self.is_hollow(one) else self.column(one, "fill_color", "none")
            marker = MARKERS.get(self.column(one, "marker", "circle"), "o")
            look = {"facecolors": fill, "edgecolors": line["color"], "alpha": line["alpha"]}
            return axes.scatter(at["x"], at["y"], size**2, marker=marker, zorder=order, **look)
        if kind == "VArea":
            look = {"color": self.column(one, "fill_color"), "linewidth": 0, "zorder": order}
            look["alpha"] = self.column(one, "fill_alpha", 1)
            return axes.fill_between(at["x"], at["y1"], at["y2"], **look)
        if kind in ("VBar", "HBar", "Rect", "Quad"):
            return self.draw_boxes(one, at, order)
        return self.draw_words(one, at) if kind == "Text" else None

    def is_hollow(self, one: Any) -> bool:
        """Whether points are not filled."""
        strength = np.asarray(self.column(one, "fill_alpha", 1), dtype=float)
        return bool((strength < 0.1).all()) or self.column(one, "marker") == "square_x"

    def draw_boxes(self, one: Any, at: dict, order: float) -> Any:
        """Bars and rectangles, by their sides or by their middle and size."""
        from matplotlib.colors import to_rgba_array

        ends: list[Any] = []
        sides = ("x", "width", "left", "right"), ("y", "height", "bottom", "top")
        for middle, size, start, end in sides:
            if end in at:
                begin = self.column(one, start, 0)
                ends += [begin, at[end] - begin]
            else:
                wide = np.asarray(self.column(one, size), dtype=float)
                ends += [at[middle] - wide / 2, wide]
        left, wide, low, high = np.broadcast_arrays(*map(np.atleast_1d, ends))
        hues, edge = self.column(one, "fill_color"), self.column(one, "line_color", "none")
        hues = [hues or "none"] * len(left) if hues is None or isinstance(hues, str) else hues
        strength = np.broadcast_to(self.column(one, "fill_alpha", 1), len(left))
        look = {"color": to_rgba_array(hues, strength), "zorder": order}
        look["linewidth"] = POINT * float(np.mean(self.column(one, "line_width", 1)))
        look["edgecolor"] = edge if isinstance(edge, str) else "none"
        return self.axes.bar(left, high, wide, low, align="edge", **look)

    def draw_words(self, one: Any, at: dict) -> None:
        """Texts where they stand."""
        words, hues = self.column(one, "text"), self.column(one, "text_color")
        look = {"ha": self.column(one, "text_align") or "left", "clip_on": False}
        look["va"] = BASELINES.get(str(self.column(one, "text_baseline")), "baseline")
        look["fontsize"] = points(self.column(one, "text_font_size"))
        words = [words] if isinstance(words, str) else words
        places = zip(*np.broadcast_arrays(at["x"], at["y"]), words, strict=True)
        for i, (x, y, text) in enumerate(places):
            self.axes.text(x, y, text, color=item(hues, i), **look)

    def draw_annotation(self, one: Any) -> None:
        """A span, a box, whiskers, or words below."""
        axes = self.axes
        if isinstance(one, models.Span) and one.location is not None:
            side, draw = ("y", axes.axhline) if one.dimension == "width" else ("x", axes.axvline)
            look = {"color": one.line_color, "linestyle": dash(one), "linewidth": 1}
            draw(self.along(side, one.location), **look)
        elif isinstance(one, models.BoxAnnotation) and one.visible:
            look = {"color": one.fill_color, "alpha": one.fill_alpha, "linewidth": 0}
            if is_number(one.left) and is_number(one.right):
                axes.axvspan(one.left, one.right, **look)
            elif is_number(one.bottom) and is_number(one.top):
                axes.axhspan(one.bottom, one.top, **look)
        elif isinstance(one, models.Whisker):
            columns = (getattr(v, "field", v) for v in (one.base, one.lower, one.upper))
            base, low, high = (one.source.data[name] for name in columns)
            side, draw = ("x", axes.vlines) if one.dimension == "height" else ("y", axes.hlines)
            draw(self.along(side, list(base)), low, high, color="#333333", linewidth=1, zorder=3)
        elif isinstance(one, models.Title):
            note = theme.wrap(one.text.replace("\n", " "), self.wide, 11, letter=0.54)
            look = {"fontsize": points(), "color": "#666666", "x": 0.02, "ha": "left"}
            axes.figure.supxlabel(note, **look)

    def draw_axis(self, side: str) -> None:
        """Its words, its range, its ticks."""
        from matplotlib.ticker import LogLocator, NullLocator

        axis, grid = getattr(self.fig, f"{side}axis")[0], getattr(self.fig, f"{side}grid")[0]
        own, known = getattr(self.axes, f"{side}axis"), self.names[side]
        reach = getattr(self.fig, f"{side}_range")
        ends: list[Any] = [getattr(reach, name, None) for name in ("start", "end")]
        if known:
            ends = [min(known.values()) - 0.5, max(known.values()) + 0.5]
        if known or own.get_scale() != "log" or not is_number(ends[0]) or ends[0] > 0:
            getattr(self.axes, f"set_{side}lim")([v if is_number(v) else None for v in ends])
        own.set_label_text(axis.axis_label or "", fontsize=points())
        own.set_tick_params(labelsize=points(), length=0 if known else 3)
        ticks, form = getattr(axis.ticker, "ticks", None), getattr(axis.formatter, "format", "")
        if known:
            names = group_names(known)
            turned = is_number(axis.major_label_orientation)
            look = {"rotation": 25, "ha": "right"} if turned else {}
            own.set_ticks([*names.values()], [*names], **look)
        elif ticks is not None:
            low, high = sorted(own.get_view_interval())  # matplotlib makes room for any other
            ticks = [t for t in ticks if low <= t <= high]
            labels = [axis.major_label_overrides.get(t, written(t, form)) for t in ticks]
            own.set_ticks(list(ticks), labels)
            own.set_minor_locator(NullLocator())
        else:
            if own.get_scale() == "log":
                own.set_major_locator(LogLocator(subs=(1, 2, 5)))
                own.set_minor_locator(NullLocator())
            own.set_major_formatter(lambda value, _: written(value, form))
        own.set_visible(axis.visible)
        if grid.visible and axis.visible:
            own.grid(True, alpha=0.35, zorder=0)

    def draw_legend(self) -> None:
        """Each item in the look of what it names, beside the figure or above it."""
        legend: Any = self.fig.legend[0] if self.fig.legend else None
        keys: dict[str, tuple] = {}
        for item in legend.items if legend and legend.visible else ():
            drawn = [self.artists[one.id] for one in item.renderers if one.id in self.artists]
            if item.visible and drawn:
                keys[getattr(item.label, "value", "")] = tuple(drawn)
        if keys:
            above = legend in self.fig.above
            place = "outside upper center" if above else "outside right upper"
            columns = legend.ncols if above and is_number(legend.ncols) else 1
            widths = sorted((42 + 6.2 * len(words) for words in keys), reverse=True)
            while columns > 1 and sum(widths[:columns]) > self.wide:  # text is larger here
                columns -= 1
            look = {"fontsize": points(), "frameon": False, "ncols": columns, "markerscale": 0.8}
            self.axes.figure.legend([*keys.values()], [*keys], loc=place, **look)


def points(text: Any = "11px") -> float:
    """Points of type for pixels, as in "11px"."""
    return POINT * float(str(text).removesuffix("px").removesuffix("pt"))


def positions(reach: Any) -> dict[Any, float]:
    """The place of each name of an axis; none for an axis of numbers. Groups stand apart."""
    if not isinstance(reach, models.FactorRange):
        return {}
    places, at, before = {}, 0.0, None
    for factor in reach.factors:
        group = factor[0] if isinstance(factor, tuple) else None
        at += 1 if group == before or before is None else 1.6
        places[factor], before = at, group
    return places or {"": 0.0}


def place_of(value: Any, known: dict) -> float:
    """Where a name stands, a name and its shift as well."""
    value = tuple(value) if isinstance(value, list) else value
    if value in known:
        return known[value]
    if isinstance(value, tuple) and value[0] in known:
        return known[value[0]] + float(value[-1])
    return float(value) + 0.5 if is_number(value) else float("nan")


def group_names(known: dict) -> dict[str, float]:
    """The words under an axis of names: the groups' where there are groups."""
    groups: dict[str, list[float]] = {}
    for factor, at in known.items():
        groups.setdefault(factor[0] if isinstance(factor, tuple) else str(factor), []).append(at)
    return {name: float(np.mean(at)) for name, at in groups.items()}


def mapped(values: np.ndarray, mapper: models.LinearColorMapper) -> np.ndarray:
    """The colours of numbers, (n, 4)."""
    from matplotlib.colors import ListedColormap, Normalize

    colours = ListedColormap(mapper.palette).with_extremes(bad="#EEEEEE")
    return colours(Normalize(mapper.low, mapper.high, clip=True)(np.ma.masked_invalid(values)))


def dash(one: Any) -> Any:
    """The dashes of a line, as matplotlib names them."""
    own = getattr(one, "line_dash", "solid")
    own = getattr(own, "value", own)
    if isinstance(own, str):
        return DASHES.get(own, "-")
    return (0, [POINT * length for length in own]) if own else "-"


def item(value: Any, i: int) -> Any:
    """One of several values, or the value that all share."""
    return value[i] if isinstance(value, list | np.ndarray) and np.ndim(value) else value


def is_number(value: Any) -> bool:
    """Whether it is a finite number."""
    return isinstance(value, int | float) and bool(np.isfinite(value))


def written(value: float, form: str) -> str:
    """A tick's number as Bokeh's format has it: percent, thousands, or plain."""
    if "%" in form:
        return f"{100 * value:.4g} %"
    return f"{value:,.6g}" if abs(value) < 1e6 else f"{value:,.0f}"
