"""Bokeh figures as PNG, by matplotlib and without a browser: for saved notebooks, and for slides.

What is drawn is what labs use of Bokeh: lines, points, bands, bars, segments and words; spans,
boxes and whiskers; categories, logarithms and legends.
"""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from bokeh import models
from bokeh.plotting import figure as Figure

from cplab.errors import CplabError, whole
from cplab.show import theme

DASHES = {"solid": "-", "dashed": "--", "dotted": ":", "dotdash": "-.", "dashdot": "-."}
MARKERS = {
    **{"circle": "o", "square": "s", "triangle": "^", "diamond": "d", "inverted_triangle": "v"},
    **{"hex": "h", "star": "*", "plus": "P", "x": "X", "square_x": "s", "diamond_cross": "D"},
}
CORNERS = {
    f"{side}_{end}": f"{'upper' if side == 'top' else 'lower'} {end}"
    for side in ("top", "bottom")
    for end in ("left", "right")
}
POINT = 0.75  # points of type in a pixel of the page


def still(drawn: Any, width: int | None = None) -> bytes:
    """Figures as a PNG.

    Arguments: drawn, a Bokeh figure or layout, or a list of them, below each other; width, pixels
        of the picture, as many as on a page if not given. Its text has 24 pixels at least then.

    >>> from cplab.show.theme import plain_figure
    >>> still(plain_figure("", "", ""))[1:4]
    b'PNG'
    """
    from PIL import Image

    rows = [*rows_of(drawn)]
    if not rows:
        raise CplabError("there is no figure to draw: give one of Bokeh's")
    natural = max(sum(fig.width or 420 for fig in row) for row in rows)
    zoom = 1.0 if width is None else whole("width", width, 100, 20_000) / natural
    larger = 1.0 if width is None else max(1.0, 24 / (11 * zoom))
    strips = []
    for row in rows:
        parts = [pixels(fig, zoom, larger) for fig in row]
        high = max(part.shape[0] for part in parts)
        grown = [
            np.pad(p, ((0, high - len(p)), (0, 0), (0, 0)), constant_values=255) for p in parts
        ]
        strips.append(np.concatenate(grown, axis=1))
    wide = max(strip.shape[1] for strip in strips)
    padded = [
        np.pad(s, ((0, 0), (0, wide - s.shape[1]), (0, 0)), constant_values=255) for s in strips
    ]
    file = io.BytesIO()
    picture = Image.fromarray(np.concatenate(padded)).quantize(128, dither=Image.Dither.NONE)
    picture.save(file, "png")
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
        yield from filter(
            None, [[fig for part in drawn.children for row in rows_of(part) for fig in row]]
        )
    else:
        for part in getattr(drawn, "children", drawn if isinstance(drawn, list | tuple) else ()):
            yield from rows_of(part)


def pixels(fig: Figure, zoom: float, larger: float) -> np.ndarray:
    """One figure as an array (height, width, 3) of uint8."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Canvas

    size = ((fig.width or 420) / 96, (fig.height or 300) / 96)
    canvas = Canvas(figsize=size, dpi=96 * zoom, layout="constrained")
    agg = FigureCanvasAgg(canvas)
    Drawing(fig, canvas.add_subplot(), larger).draw()
    agg.draw()
    return np.asarray(agg.buffer_rgba())[..., :3]


class Drawing:
    """One Bokeh figure, drawn into the axes of matplotlib.

    Arguments: fig; axes; larger, how many times as large all text is.
    """

    def __init__(self, fig: Figure, axes: Any, larger: float = 1) -> None:
        self.fig, self.axes, self.larger = fig, axes, larger
        self.places = {side: positions(getattr(fig, f"{side}_range")) for side in "xy"}

    def draw(self) -> None:
        """Draw its glyphs, its annotations, its axes and its legend."""
        for side in "xy":
            if isinstance(getattr(self.fig, f"{side}_scale"), models.LogScale):
                getattr(self.axes, f"set_{side}scale")("log")
        for number, one in enumerate(self.fig.renderers):
            if isinstance(one, models.GlyphRenderer) and one.visible:
                self.draw_glyph(one, 2 + number / 100)
        for one in [*self.fig.center, *self.fig.below, *self.fig.left, *self.fig.above]:
            self.draw_annotation(one)
        for side in "xy":
            self.draw_axis(side)
        title = self.lines(self.fig.title.text if self.fig.title else "", 12)
        self.axes.set_title(title, fontsize=self.size("12px"), loc="left", fontweight="bold")
        for edge in ("top", "right"):
            self.axes.spines[edge].set_visible(False)
        self.draw_legend()

    def lines(self, text: str, size: float, **how: float) -> str:
        """Text in the lines for which there is room; larger text needs more of them."""
        if self.larger == 1:
            return text
        return theme.wrap(text.replace("\n", " "), self.fig.width or 420, size * self.larger, **how)

    def size(self, text: Any) -> float:
        """Points of type for pixels, as in "11px"."""
        return (
            POINT * self.larger * float(str(text or "11px").removesuffix("px").removesuffix("pt"))
        )

    def column(self, one: Any, name: str, usual: Any = None) -> Any:
        """What a property of a glyph is: its column, its colours, or its one value."""
        value, data = getattr(one.glyph, name, usual), one.data_source.data
        transform = getattr(value, "transform", None)
        value = getattr(value, "value", getattr(value, "field", value))
        if name != "marker" and isinstance(value, str) and value in data:  # x is a marker too
            value = data[value]
        if name in ("x", "y", "left", "right", "top", "bottom", "x0", "x1", "y0", "y1", "y2"):
            side = "y" if name[0] in "ytb" else "x"
            return self.along(side, value)
        if isinstance(transform, models.LinearColorMapper):
            return mapped(np.asarray(value, dtype=float), transform)
        if isinstance(transform, models.CategoricalColorMapper):
            hues = dict(zip(transform.factors, transform.palette, strict=False))
            names = (v[transform.start or 0] if isinstance(v, tuple) else v for v in value)
            return [hues.get(name, "#999999") for name in names]
        return usual if value is None else value

    def along(self, side: str, values: Any) -> Any:
        """Numbers for values of an axis: names have their places."""
        known = self.places[side]
        if not known:
            return np.asarray(values, dtype=float)
        if isinstance(values, str | tuple) and values in known:
            return known[values]
        return np.array(
            [place_of(value, known) for value in np.atleast_1d(np.asarray(values, object))]
            if not isinstance(values, list | tuple)
            else [place_of(v, known) for v in values]
        )

    def draw_glyph(self, one: models.GlyphRenderer, order: float) -> None:
        """One renderer: each of its kinds of glyph is one call of matplotlib."""
        kind, axes = type(one.glyph).__name__, self.axes
        line = {"color": self.column(one, "line_color"), "zorder": order}
        line |= {"alpha": self.column(one, "line_alpha", 1), "linestyle": dash(one.glyph)}
        line |= {"linewidth": POINT * as_number(self.column(one, "line_width", 1))}
        fill: dict[str, Any] = {"color": self.column(one, "fill_color"), "zorder": order}
        fill |= {"alpha": self.column(one, "fill_alpha", 1), "linewidth": 0}
        at = {name: self.column(one, name) for name in one.glyph.properties() if name in SPATIAL}
        if kind in ("Line", "Step"):
            how = {"drawstyle": STEPS[one.glyph.mode]} if kind == "Step" else {}
            axes.plot(at["x"], at["y"], **line, **how)
        elif kind == "MultiLine":
            data = one.data_source.data
            for i, (x, y) in enumerate(zip(data[one.glyph.xs], data[one.glyph.ys], strict=True)):
                own = {name: item(value, i) for name, value in line.items()}
                axes.plot(self.along("x", x), self.along("y", y), **own)
        elif kind in ("Scatter", "Circle"):
            self.draw_points(one, at, order)
        elif kind == "VArea":
            axes.fill_between(at["x"], at["y1"], at["y2"], **fill)
        elif kind == "Patch":
            axes.fill(at["x"], at["y"], **fill)
        elif kind == "VBar":
            low = self.column(one, "bottom", 0)
            axes.bar(at["x"], at["top"] - low, self.column(one, "width"), low, **fill)
        elif kind == "HBar":
            low = self.column(one, "left", 0)
            axes.barh(at["y"], at["right"] - low, self.column(one, "height"), low, **fill)
        elif kind in ("Rect", "Quad"):
            self.draw_boxes(one, at, order)
        elif kind == "Segment":
            ends = np.broadcast_arrays(at["x0"], at["x1"], at["y0"], at["y1"])
            for i, (x0, x1, y0, y1) in enumerate(zip(*map(np.ravel, ends), strict=True)):
                own = {name: item(value, i) for name, value in line.items()}
                axes.plot([x0, x1], [y0, y1], **own)
        elif kind == "Text":
            self.draw_words(one, at)

    def draw_points(self, one: Any, at: dict, order: float) -> None:
        size = POINT * np.asarray(self.column(one, "size", 8), dtype=float)
        kind = self.column(one, "marker", "circle")
        hollow = as_number(self.column(one, "fill_alpha", 1)) < 0.1 or kind == "square_x"
        hue = self.column(one, "line_color")
        how = {
            "facecolors": "none" if hollow else self.column(one, "fill_color", "none"),
            "edgecolors": hue,
        }
        how |= {"alpha": self.column(one, "line_alpha", 1), "zorder": order}
        self.axes.scatter(at["x"], at["y"], size**2, marker=MARKERS.get(kind, "o"), **how)

    def draw_boxes(self, one: Any, at: dict, order: float) -> None:
        """Rectangles by their middle and size, or by their four sides."""
        from matplotlib.patches import Rectangle

        if "left" in at and at["left"] is not None:
            left, low = at["left"], at["bottom"]
            wide, high = at["right"] - left, at["top"] - low
        else:
            wide, high = (np.asarray(self.column(one, name), float) for name in ("width", "height"))
            left, low = at["x"] - wide / 2, at["y"] - high / 2
        hues, edge = self.column(one, "fill_color"), self.column(one, "line_color", "none")
        boxes = [*zip(*np.broadcast_arrays(left, low, wide, high), strict=True)]
        strengths = np.broadcast_to(self.column(one, "fill_alpha", 1), len(boxes))
        for i, box in enumerate(boxes):
            hue = hues if isinstance(hues, str) or hues is None else hues[i]
            look: dict[str, Any] = {
                "edgecolor": edge if isinstance(edge, str) else "none",
                "zorder": order,
            }
            look |= {"facecolor": hue or "none", "alpha": float(strengths[i])}
            look["linewidth"] = POINT * as_number(self.column(one, "line_width", 1))
            self.axes.add_patch(Rectangle(box[:2], box[2], box[3], **look))
        self.axes.autoscale_view()

    def draw_words(self, one: Any, at: dict) -> None:
        words, glyph = self.column(one, "text"), one.glyph
        words = [words] if isinstance(words, str) else words
        across, up = getattr(glyph.text_align, "value", glyph.text_align), glyph.text_baseline
        up = {"middle": "center", "top": "top", "bottom": "bottom"}.get(
            str(getattr(up, "value", up)), "baseline"
        )
        hues = self.column(one, "text_color")
        for i, (x, y, text) in enumerate(
            zip(*np.broadcast_arrays(at["x"], at["y"]), words, strict=True)
        ):
            how = {
                "ha": across or "left",
                "va": up,
                "color": hues if isinstance(hues, str) else hues[i],
            }
            size = self.size(getattr(glyph.text_font_size, "value", glyph.text_font_size))
            self.axes.text(x, y, text, fontsize=size, clip_on=False, **how)

    def draw_annotation(self, one: Any) -> None:
        """A span, a box, whiskers, or words below."""
        if isinstance(one, models.Span) and one.location is not None:
            across = one.dimension == "width"
            how = {"color": one.line_color, "linestyle": dash(one), "linewidth": 1}
            (self.axes.axhline if across else self.axes.axvline)(
                self.along("y" if across else "x", one.location), **how
            )
        elif isinstance(one, models.BoxAnnotation):
            ends = [getattr(one, side) for side in ("left", "right", "bottom", "top")]
            how = {"color": one.fill_color, "alpha": one.fill_alpha, "linewidth": 0}
            if isinstance(ends[0], int | float) and isinstance(ends[1], int | float):
                self.axes.axvspan(ends[0], ends[1], **how)
            elif isinstance(ends[2], int | float) and isinstance(ends[3], int | float):
                self.axes.axhspan(ends[2], ends[3], **how)
        elif isinstance(one, models.Whisker):
            data = one.source.data
            base, low, high = (
                data[getattr(v, "field", v)] for v in (one.base, one.lower, one.upper)
            )
            side = "x" if one.dimension == "height" else "y"
            draw = self.axes.vlines if side == "x" else self.axes.hlines
            draw(self.along(side, list(base)), low, high, color="#333333", linewidth=1, zorder=3)
        elif isinstance(one, models.Title) and one in self.fig.below:
            how = {"fontsize": self.size("11px"), "color": "#666666"}
            note = self.lines(one.text, 11, letter=0.54)
            self.axes.figure.supxlabel(note, x=0.02, ha="left", **how)

    def draw_axis(self, side: str) -> None:
        """Its words, its range, its ticks."""
        axis = (self.fig.xaxis if side == "x" else self.fig.yaxis)[0]
        own = getattr(self.axes, f"{side}axis")
        reach, log = getattr(self.fig, f"{side}_range"), own.get_scale() == "log"
        start, end = (
            value if is_number(value := getattr(reach, name, None)) else None
            for name in ("start", "end")
        )
        set_limits = getattr(self.axes, f"set_{side}lim")
        if known := self.places[side]:
            set_limits(min(known.values()) - 0.5, max(known.values()) + 0.5)
        elif not (log and start is not None and start <= 0):
            set_limits(start, end)
        getattr(self.axes, f"set_{side}label")(axis.axis_label or "", fontsize=self.size("11px"))
        own.set_tick_params(labelsize=self.size("11px"), length=0 if known else 3)
        ticks = getattr(axis.ticker, "ticks", None)
        form = getattr(axis.formatter, "format", "")
        if known:
            shown = axis.major_label_text_font_size != "0px" and axis.visible
            names = group_names(known) if shown else {}
            turned = (
                {"rotation": 25, "ha": "right"} if is_number(axis.major_label_orientation) else {}
            )
            own.set_ticks([*names.values()], [*names], **turned)
        elif ticks is not None:
            labels = [axis.major_label_overrides.get(t, written(t, form)) for t in ticks]
            own.set_ticks(list(ticks), labels)
            own.set_minor_locator(NoTicks())
        else:
            own.set_major_formatter(lambda value, _: written(value, form))
        if not axis.visible:
            own.set_visible(False)
        grid = (self.fig.xgrid if side == "x" else self.fig.ygrid)[0]
        if grid.visible and axis.visible:
            own.grid(True, alpha=0.35, zorder=0)
        self.axes.set_axisbelow(True)

    def draw_legend(self) -> None:
        """Each item in the look of what it names."""
        from matplotlib.lines import Line2D

        legend: Any = self.fig.legend[0] if self.fig.legend else None
        keys = []
        for item in legend.items if legend and legend.visible else ():
            look: dict[str, Any] = {"linestyle": "none", "label": getattr(item.label, "value", "")}
            for one in item.renderers if item.visible else ():
                kind, glyph = type(one.glyph).__name__, one.glyph
                hue = self.column(one, "line_color" if kind in ("Line", "Step") else "fill_color")
                hue = hue if isinstance(hue, str) else "#333333"
                look["color"] = hue
                if kind in ("Line", "Step", "Segment"):
                    look |= {"linestyle": dash(glyph), "linewidth": 1.5}
                elif kind == "Scatter":
                    marker = MARKERS.get(self.column(one, "marker", "circle"), "o")
                    hollow = as_number(self.column(one, "fill_alpha", 1)) < 0.1
                    look |= {"marker": marker, "markersize": 5}
                    look |= {"markerfacecolor": "none" if hollow else hue}
                else:
                    look |= {"marker": "s", "markersize": 7}
            if item.visible and item.renderers:
                keys.append(Line2D([], [], **look))
        if not keys:
            return
        how: dict[str, Any] = {"fontsize": self.size("11px"), "handles": keys, "frameon": False}
        if legend in self.fig.right:
            how |= {"loc": "outside right upper"}
        elif legend in self.fig.above:
            how |= {
                "loc": "outside upper center",
                "ncols": legend.ncols if is_number(legend.ncols) else 3,
            }
        else:
            self.axes.legend(loc=CORNERS.get(str(legend.location), "best"), **how)
            return
        self.axes.figure.legend(**how)


SPATIAL = ("x", "y", "y1", "y2", "left", "right", "top", "bottom", "x0", "x1", "y0")
STEPS = {"before": "steps-pre", "after": "steps-post", "center": "steps-mid"}


def NoTicks() -> Any:
    from matplotlib.ticker import NullLocator

    return NullLocator()


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


def mapped(values: np.ndarray, mapper: models.LinearColorMapper) -> list[str]:
    """The colours of numbers."""
    low, high, palette = mapper.low, mapper.high, mapper.palette
    share = np.nan_to_num((values - low) / (high - low or 1), nan=-1).clip(-1, 1)
    places = (share.clip(0) * len(palette)).astype(int).clip(0, len(palette) - 1)
    bad = mapper.nan_color if isinstance(mapper.nan_color, str) else "#EEEEEE"
    return [bad if np.isnan(v) else palette[i] for v, i in zip(values, places, strict=True)]


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


def as_number(value: Any) -> float:
    """A number, or the mean of several."""
    return float(np.mean(value)) if value is not None and np.size(value) else 0.0


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and np.isfinite(value)


def written(value: float, form: str) -> str:
    """A tick's number as Bokeh's format has it: percent, thousands, or plain."""
    if "%" in form:
        return f"{100 * value:.4g} %"
    return f"{value:,.6g}" if abs(value) < 1e6 else f"{value:,.0f}"
