"""Bokeh figures as PNG, by matplotlib and without a browser: for saved notebooks, and for slides.

It draws the parts of Bokeh that labs use: lines, points, bands, boxes, segments and texts; spans
and shades; categories, logarithms and legends.
"""

import io
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from bokeh import models
from bokeh.plotting import figure as Figure
from matplotlib import style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.colors import ListedColormap, Normalize, to_rgba_array
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import NullLocator
from PIL import Image

from cplab.errors import CplabError, require, whole
from cplab.show import theme

MARKERS = {
    **{"circle": "o", "square": "s", "triangle": "^", "diamond": "d", "inverted_triangle": "v"},
    **{"hex": "h", "star": "*", "cross": "P", "plus": "P", "x": "X"},
    **{"square_x": "s", "diamond_cross": "D"},
}
# The axis along which each property of a glyph lies
PLACES = dict.fromkeys(("x", "xs", "x0", "x1", "left", "right"), "x")
PLACES |= dict.fromkeys(("y", "ys", "y0", "y1", "y2", "top", "bottom"), "y")
BASELINES = {"middle": "center", "top": "top", "bottom": "bottom"}
POINT = 0.75  # points of type in a pixel of the page


def still(drawn: Any, width: int | None = None) -> bytes:
    """Draw figures as a PNG.

    Arguments: drawn, a Bokeh figure or layout, or a list of them, one below the other; width of the
        picture in pixels, by default as on a page; if it is given, text is at least 24 pixels high.

    >>> from cplab.show.theme import plain_figure
    >>> still(plain_figure("", "", ""))[1:4]
    b'PNG'
    """
    rows = [*rows_of(drawn)]
    require(rows, "there is no figure to draw: give one of Bokeh's")
    wide = [[fig.width or 420 for fig in row] for row in rows]
    high = [max(fig.height or 300 for fig in row) for row in rows]
    natural = max(map(sum, wide))
    zoom = 1.0 if width is None else whole("width", width, 100, 20_000) / natural
    # text is larger on a smaller canvas with finer dots
    larger = 1.0 if width is None else max(1.0, 24 / (11 * zoom))
    size = (natural / 96 / larger, sum(high) / 96 / larger)
    with style.context("default", after_reset=True):  # without the settings of other code
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
    """Yield the visible figures of a layout in rows, from top to bottom."""
    if isinstance(drawn, Figure):
        yield from [[drawn]] if drawn.visible else []
    elif isinstance(drawn, models.Row):
        figs = [fig for part in drawn.children for row in rows_of(part) for fig in row]
        yield from [figs] if figs else []
    else:
        for part in getattr(drawn, "children", drawn if isinstance(drawn, list | tuple) else ()):
            yield from rows_of(part)


class Drawing:
    """Draws one Bokeh figure into axes of matplotlib that are `wide` pixels of the page wide."""

    def __init__(self, fig: Figure, axes: Any, wide: float) -> None:
        self.fig, self.axes, self.wide = fig, axes, wide
        self.artists: dict[str, Any] = {}  # matplotlib's, by the renderer's id
        legends = [part for part in fig.right if isinstance(part, models.Legend)]
        labels = [item.label.value for legend in legends for item in legend.items]
        self.beside = max((50 + 6.2 * len(label) for label in labels), default=0)
        self.names = {side: positions(getattr(fig, f"{side}_range")) for side in "xy"}

    def draw(self) -> None:
        """Draw glyphs, annotations, axes and legend."""
        for side in "xy":
            if isinstance(getattr(self.fig, f"{side}_scale"), models.LogScale):
                getattr(self.axes, f"set_{side}scale")("log")
        axes = {"default": self.axes}
        for name, reach in self.fig.extra_y_ranges.items():
            axes[name] = self.right_axes(reach)
        for number, renderer in enumerate(self.fig.renderers):
            if renderer.visible:
                artist = self.draw_glyph(renderer, axes[renderer.y_range_name], 2 + number / 100)
                self.artists[renderer.id] = artist
        for side in "xy":
            self.draw_axis(side)
        for part in [*self.fig.center, *self.fig.below]:
            self.draw_annotation(part)
        title = theme.wrap(self.fig.title.text, self.wide - self.beside)
        self.axes.set_title(title, fontsize=points("12px"), loc="left", fontweight="bold")
        self.axes.spines[["top", "right"]].set_visible(False)
        self.axes.set_axisbelow(True)
        self.draw_legend()

    def right_axes(self, reach: Any) -> Any:
        """Make a second vertical axis."""
        right = self.axes.twinx()
        right.set_ylim(reach.start, reach.end)
        words = next(axis.axis_label for axis in self.fig.right if isinstance(axis, models.Axis))
        right.set_ylabel(words, fontsize=points())
        right.tick_params(labelsize=points())
        right.spines["top"].set_visible(False)
        return right

    def column(self, renderer: models.GlyphRenderer, name: str) -> Any:
        """The values of a glyph's property: a column, the colours of a column, or one for all."""
        glyph, data = renderer.glyph, renderer.data_source.data
        spec = glyph.lookup(name).get_value(glyph)
        column = getattr(spec, "field", None)
        value = getattr(spec, "value", spec) if column is None else data[column]
        if name in ("xs", "ys"):
            return [self.along(PLACES[name], line) for line in value]
        if name in PLACES:
            return self.along(PLACES[name], value if column else [value])
        if isinstance(mapper := getattr(spec, "transform", None), models.LinearColorMapper):
            return mapped(np.asarray(value, dtype=float), mapper)
        return "none" if value is None else value

    def along(self, side: str, values: Any) -> np.ndarray:
        """The values of an axis as numbers; for names, their places."""
        if places := self.names[side]:
            values = [place_of(value, places) for value in values]
        return np.asarray(values, dtype=float)

    def draw_glyph(self, renderer: models.GlyphRenderer, axes: Any, order: float) -> Any:
        """Draw one renderer by the matplotlib call of its kind, in front of those of lower `order`.
        Returns the artist for the legend, or None."""
        kind, of = type(renderer.glyph).__name__, partial(self.column, renderer)
        at = {name: of(name) for name in renderer.glyph.properties() & {*PLACES}}
        if kind != "MultiLine":  # one number may hold for all
            at = dict(zip(at, np.broadcast_arrays(*at.values()), strict=True))
        if not all(map(len, at.values())) and kind not in ("Line", "Scatter", "VArea"):
            return None  # there is nothing trained to show
        if kind == "Text":
            return self.draw_words(of, at)
        if kind in ("Line", "MultiLine", "Segment"):
            width = POINT * np.asarray(of("line_width"), dtype=float)
            look = {"colors": of("line_color"), "alpha": of("line_alpha"), "linewidths": width}
            look["linestyles"] = dash(of("line_dash"))
            drawn = LineCollection(lines_of(kind, at), zorder=order, **look)
            axes.add_collection(drawn)
            axes.autoscale_view()
            return drawn
        hue, alpha = of("fill_color"), np.asarray(of("fill_alpha"), dtype=float)
        if kind == "VArea":
            look = {"color": hue, "alpha": float(alpha), "linewidth": 0, "zorder": order}
            return axes.fill_between(at["x"], at["y1"], at["y2"], **look)
        if kind == "Scatter":
            marker, size = of("marker"), POINT * np.asarray(of("size"), dtype=float)
            hollow = (alpha < 0.1).all() or marker == "square_x"
            look = {"facecolors": "none" if hollow else hue, "edgecolors": of("line_color")}
            look |= {"marker": MARKERS.get(marker, "o"), "alpha": of("line_alpha")}
            return axes.scatter(at["x"], at["y"], size**2, zorder=order, **look)
        if kind not in ("VBar", "HBar", "Rect", "Quad"):
            return None
        ends: list[np.ndarray] = []  # of boxes given by their sides, or by middle and size
        sides = ("x", "width", "left", "right"), ("y", "height", "bottom", "top")
        for middle, extent, start, end in sides:
            across = at[end] - at[start] if end in at else np.asarray(of(extent), dtype=float)
            ends += [at[start] if end in at else at[middle] - across / 2, across]
        left, wide, low, high = np.broadcast_arrays(*ends)
        hues = to_rgba_array(hue, np.broadcast_to(alpha, len(left)))
        return axes.bar(left, high, wide, low, align="edge", color=hues, zorder=order)

    def draw_words(self, of: Callable[[str], Any], at: dict) -> None:
        """Draw texts at their places."""
        look = {"ha": of("text_align"), "fontsize": points(of("text_font_size"))}
        look["va"] = BASELINES.get(of("text_baseline"), "baseline")
        for x, y, text, hue in np.broadcast(at["x"], at["y"], of("text"), of("text_color")):
            self.axes.text(x, y, text, color=hue, **look)

    def draw_annotation(self, part: Any) -> None:
        """Draw a span, a shade, or words below the figure."""
        axes = self.axes
        if isinstance(part, models.Span):
            draw = axes.axhline if part.dimension == "width" else axes.axvline
            draw(part.location, color=part.line_color, linestyle=dash(part.line_dash), linewidth=1)
        elif isinstance(part, models.BoxAnnotation) and part.visible:
            bounds = part.left, part.right, part.bottom, part.top
            frame = *axes.get_xlim(), *axes.get_ylim()
            ends = [v if is_number(v) else edge for v, edge in zip(bounds, frame, strict=True)]
            look = {"color": part.fill_color, "alpha": part.fill_alpha, "linewidth": 0}
            axes.fill_between(ends[:2], *ends[2:], **look)
        elif isinstance(part, models.Title):
            note = theme.wrap(part.text, self.wide, 11, letter=0.54)
            look = {"fontsize": points(), "color": "#666666", "x": 0.02, "ha": "left"}
            axes.figure.supxlabel(note, **look)

    def draw_axis(self, side: str) -> None:
        """Draw an axis: its label, its range, its ticks."""
        axis, grid = getattr(self.fig, f"{side}axis")[0], getattr(self.fig, f"{side}grid")[0]
        drawn_axis, places = getattr(self.axes, f"{side}axis"), self.names[side]
        axis_range = getattr(self.fig, f"{side}_range")
        ends: list[Any] = [getattr(axis_range, name, None) for name in ("start", "end")]
        if places:
            ends = [min(places.values()) - 0.5, max(places.values()) + 0.5]
        getattr(self.axes, f"set_{side}lim")([v if is_number(v) else None for v in ends])
        room = self.wide - self.beside
        if side == "y":
            room = self.wide * (self.fig.height or 300) / (self.fig.width or 420) - 40
        words = theme.wrap(axis.axis_label or "", room, 11, letter=0.54)
        drawn_axis.set_label_text(words, fontsize=points())
        drawn_axis.set_tick_params(labelsize=points(), length=0 if places else 3)
        ticks, form = getattr(axis.ticker, "ticks", None), getattr(axis.formatter, "format", "")
        if places:
            names = group_names(places)
            turned = is_number(axis.major_label_orientation)
            look = {"rotation": 25, "ha": "right"} if turned else {}
            drawn_axis.set_ticks([*names.values()], [*names], **look)
        elif ticks is not None:
            # others would widen matplotlib's axis
            low, high = sorted(drawn_axis.get_view_interval())
            ticks = [t for t in ticks if low <= t <= high]
            labels = [axis.major_label_overrides.get(t, written(t, form)) for t in ticks]
            drawn_axis.set_ticks(ticks, labels)
            drawn_axis.set_minor_locator(NullLocator())
        else:
            drawn_axis.set_major_formatter(lambda value, _: written(value, form))
        drawn_axis.set_visible(axis.visible)
        if grid.visible and axis.visible:
            drawn_axis.grid(True, alpha=0.35, zorder=0)

    def draw_legend(self) -> None:
        """Draw the legend, beside the figure or above it."""
        legend: Any = self.fig.legend[0] if self.fig.legend else None
        entries: dict[str, tuple] = {}
        for item in legend.items if legend and legend.visible else ():
            artists = [self.artists.get(renderer.id) for renderer in item.renderers]
            if item.visible and any(artists):
                entries[item.label.value] = tuple(filter(None, artists))
        if entries:
            above = legend in self.fig.above
            place = "outside upper center" if above else "outside right upper"
            columns = legend.ncols if above and is_number(legend.ncols) else 1
            widths = sorted((42 + 6.2 * len(words) for words in entries), reverse=True)
            while columns > 1 and sum(widths[:columns]) > self.wide:  # text is larger than Bokeh's
                columns -= 1
            look = {"fontsize": points(), "frameon": False, "ncols": columns, "markerscale": 0.8}
            self.axes.figure.legend([*entries.values()], [*entries], loc=place, **look)


def points(text: str = "11px") -> float:
    """Convert pixels, as in "11px", to points of type."""
    return POINT * float(text.removesuffix("px"))


def positions(axis_range: Any) -> dict[Any, float]:
    """The place of each name on an axis, with gaps between groups; {} for an axis of numbers."""
    if not isinstance(axis_range, models.FactorRange):
        return {}
    places, position, before = {}, 0.0, None
    for factor in axis_range.factors:
        group = factor[0] if isinstance(factor, tuple) else None
        position += 1 if group == before or before is None else 1.6
        places[factor], before = position, group
    return places or {"": 0.0}


def place_of(value: Any, places: dict) -> float:
    """The place of a name on an axis, with its shift if it has one."""
    return places[value] if value in places else places[value[0]] + value[-1]


def group_names(places: dict) -> dict[str, float]:
    """The labels of an axis of names and their places: the groups, if there are groups."""
    groups: dict[str, list[float]] = {}
    for factor, place in places.items():
        groups.setdefault(factor[0] if isinstance(factor, tuple) else str(factor), []).append(place)
    return {name: float(np.mean(place)) for name, place in groups.items()}


def mapped(values: np.ndarray, mapper: models.LinearColorMapper) -> np.ndarray:
    """The colours (n, 4) that a mapper gives to numbers (n,)."""
    colours = ListedColormap(mapper.palette).with_extremes(bad="#EEEEEE")
    return colours(Normalize(mapper.low, mapper.high, clip=True)(np.ma.masked_invalid(values)))


def lines_of(kind: str, at: dict) -> list[np.ndarray]:
    """The lines of a glyph, (points, 2) each."""
    if kind == "MultiLine":
        return [np.column_stack(line) for line in zip(at["xs"], at["ys"], strict=True)]
    if kind == "Line":
        return [np.column_stack([at["x"], at["y"]])]
    ends = np.stack([at[name] for name in ("x0", "y0", "x1", "y1")], axis=1)
    return [*ends.reshape(-1, 2, 2)]


def dash(gaps: Any) -> Any:
    """Convert Bokeh's dashes, a name or pixels, to matplotlib's."""
    if isinstance(gaps, str):
        return gaps.replace("dotdash", "dashdot")
    return (0, [POINT * length for length in gaps]) if gaps else "-"


def is_number(value: Any) -> bool:
    """Whether a value is a finite number."""
    return isinstance(value, int | float) and bool(np.isfinite(value))


def written(value: float, form: str) -> str:
    """Write a tick's number in Bokeh's format: percent, thousands, or plain."""
    if "%" in form:
        return f"{100 * value:.4g} %"
    return f"{value:,.6g}" if abs(value) < 1e6 else f"{value:,.0f}"
