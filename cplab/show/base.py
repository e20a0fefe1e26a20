"""The base of all figures: an empty one in the common style, which shows itself and can be saved.

A figure is a picture in HTML that needs neither scripts nor Python. It is transparent, and its
words are in a grey that is legible on white and on black. No pyplot: a figure belongs to the code
that made it.
"""

from __future__ import annotations

import base64
import io
import math
import re
import textwrap
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from functools import wraps
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, ParamSpec, TypeAlias, TypedDict, TypeVar

import matplotlib.figure
import numpy as np
from matplotlib import style as sheets
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.legend_handler import HandlerTuple
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator
from PIL import Image

from cplab.base import palette
from cplab.base.errors import CplabError, one_of, quote, whole
from cplab.estimates import Lack
from cplab.output.markup import Bundle, bundle, wide
from cplab.output.styles import EQUAL, Style

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.container import Container
    from numpy.typing import ArrayLike

    Handle = Artist | Container  # of an entry of a legend

WIDTH = 760  # in pixels of the page, as all sizes of figures
FIGURE_HEIGHT = 350
DOTS_A_PIXEL = 2  # dots a pixel, for fine screens
HEADING_STYLE = (
    "font-size:15px;font-weight:bold;line-height:1.3;margin:4px 0"  # a figure's title on a page
)
GREY = palette.GREY
POINT = 0.75  # points of type in a pixel
TEXT = 13 * POINT
SMALL = 12 * POINT
TITLE = 15 * POINT
LEGIBLE = 11 * POINT  # words are never smaller: a figure scrolls before
LETTER = 0.56  # a letter's width as a fraction of its height
# What Bokeh's names of dashes and markers, as in `Style`, are in matplotlib
Dashes = str | tuple[float, tuple[float, ...]]
DASH_LINES: dict[str, Dashes] = {"dotdash": "dashdot", "dashdot": (0, (5, 2, 1, 2, 1, 2))}
MARKERS = {
    "circle": "o",
    "cross": "P",
    "diamond": "d",
    "diamond_cross": "D",
    "hex": "h",
    "inverted_triangle": "v",
    "plus": "P",
    "square": "s",
    "square_x": "s",
    "star": "*",
    "triangle": "^",
    "x": "X",
}
SETTINGS: dict[str, str | float | bool] = {  # of matplotlib
    "axes.axisbelow": True,
    "axes.edgecolor": GREY,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.labelcolor": GREY,
    "axes.labelsize": TEXT,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.xmargin": 0.02,
    "figure.facecolor": "none",
    "font.size": TEXT,
    "grid.alpha": 0.25,
    "grid.color": GREY,
    "legend.fontsize": TEXT,
    "legend.frameon": False,
    "legend.handlelength": 2.6,
    "lines.linewidth": 2,
    "lines.markersize": 6,
    "savefig.facecolor": "none",
    "text.color": GREY,
    "xtick.color": GREY,
    "xtick.labelsize": TEXT,
    "ytick.color": GREY,
    "ytick.labelsize": TEXT,
}
in_style = ContextVar("in_style", default=False)  # whether a function that draws called another
Given = ParamSpec("Given")
Figured = TypeVar("Figured")


def styled(function: Callable[Given, Figured]) -> Callable[Given, Figured]:
    """Decorate a function that draws, so that settings of other code do not count, but the fonts
    that it chose: those of matplotlib's own have no Chinese, for example.
    """

    @wraps(function)
    def draw(*args: Given.args, **options: Given.kwargs) -> Figured:
        if in_style.get():  # to set all of it again takes as long as to make axes
            return function(*args, **options)
        chosen = {name: matplotlib.rcParams[name] for name in ("font.family", "font.sans-serif")}
        token = in_style.set(True)
        try:
            with sheets.context(SETTINGS | chosen, after_reset=True):
                return function(*args, **options)
        finally:
            in_style.reset(token)

    return draw


class Figure(matplotlib.figure.Figure):
    """A figure of matplotlib that shows itself as the last line of a cell.

    Arguments:
        args, kwargs: those of matplotlib's figure; `figure` makes one in the common style.

    >>> fig = figure("Two points", "epoch", "accuracy, %")
    >>> _ = fig.ax.plot([1, 2], [50, 60], label="blur")
    >>> fig
    Two points: accuracy, % against epoch: blur
    >>> '<img src="data:image/png;base64' in fig._repr_html_()
    True
    """

    pictures = ""  # what the pictures of a figure show, in words, if it consists of some
    lacking: tuple[Lack, ...] = ()  # what has to be trained before it shows all its numbers

    @property
    def ax(self) -> Axes:
        """Its axes, or the first of several."""
        return self.axes[0]

    @property
    def alt(self) -> str:
        """The picture in words, for readers who cannot see it."""
        parts = [without_breaks(self.get_suptitle())]
        if self.pictures:
            parts.append(self.pictures)
        else:
            for ax in self.axes:
                parts += axes_in_words(ax)
        different = dict.fromkeys(part for part in parts if part)
        return ": ".join(different)

    def __repr__(self) -> str:
        return self.alt

    __str__ = __repr__

    @styled
    def drawn(self, width: int = 0) -> Image.Image:
        """Draw it as a picture, `width` dots wide, by default two a pixel of the page."""
        for text in texts_of(self):
            if text.get_color() == "black":  # a cell's own words
                text.set_color(GREY)
        dots_an_inch = width / self.get_figwidth() if width else DOTS_A_PIXEL / POINT * 72
        self.set_dpi(dots_an_inch)
        canvas = FigureCanvasAgg(self)
        canvas.draw()
        picture = Image.fromarray(np.asarray(canvas.buffer_rgba()))
        if self.pictures:  # of photographs
            return picture
        # a quarter of the bytes, and no difference to see
        return picture.quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)

    def png(self) -> bytes:
        """Draw it as a PNG, two dots a pixel of the page."""
        file = io.BytesIO()
        self.drawn().save(file, "png")
        return file.getvalue()

    def _repr_html_(self) -> str:
        """Its title as text, and the rest as a picture, in a box that scrolls on a phone."""
        code = base64.b64encode(self.png()).decode()
        sizes = [float(text.get_fontsize()) for text in texts_of(self) if text.get_text()]
        smallest = min(sizes, default=LEGIBLE)
        width, height = (round(72 / POINT * inches) for inches in self.get_size_inches())
        narrowest = min(width, math.ceil(width * LEGIBLE / smallest))  # still legible
        style = f"width:100%;min-width:{narrowest}px;max-width:{width}px;height:auto"
        heading = ""
        if title := self.get_suptitle():
            heading = f'<p style="{HEADING_STYLE}">{escape(title)}</p>'
            below = height - self.title_height()  # the picture has its title as well, for PDF
            style += f";aspect-ratio:{width}/{below};object-fit:cover;object-position:bottom"
        source = f'src="data:image/png;base64,{code}" alt="{escape(self.alt)}"'
        return heading + wide(f'<img {source} width="{width}" style="{style}">')

    def title_height(self) -> int:
        """The pixels of the page from its upper edge to the lower one of its title, once drawn."""
        [title] = (text for text in self.texts if text.get_text() == self.get_suptitle())
        inches = self.get_figheight() - title.get_window_extent().y0 / self.dpi
        return math.ceil(72 / POINT * inches)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> Bundle:
        return bundle(repr(self), self._repr_html_())


def texts_of(artist: Artist) -> list[Text]:
    """All texts of a figure, or of a part of it, empty ones too."""
    texts = list[Text]()
    for part in artist.get_children():
        if isinstance(part, Text):
            texts.append(part)
        # the ticks of an axis are made when they are asked for, which takes time, and those of
        # pictures are not drawn
        is_hidden_axis = isinstance(part, Axis) and not part.axes.axison
        if not is_hidden_axis:
            texts += texts_of(part)
    return texts


def without_breaks(text: str) -> str:
    """A text without line breaks."""
    return " ".join(text.split())


def axes_in_words(ax: Axes) -> tuple[str, str]:
    """What axes have beside them, and the names of what is drawn on them."""
    x = without_breaks(ax.get_xlabel())
    y = without_breaks(ax.get_ylabel())
    _, labels = ax.get_legend_handles_labels()
    names = ", ".join(without_breaks(label) for label in dict.fromkeys(labels))
    if x and y:
        return f"{y} against {x}", names
    return x or y, names


class Size(TypedDict, total=False):
    """Options of `figure` that all functions of `cplab.show` take as well."""

    width: int
    height: int
    log: str
    x_range: tuple[float, float] | None
    y_range: tuple[float, float] | None


@styled
def figure(
    title: str = "",
    x: str = "",
    y: str = "",
    percent: bool = False,
    *,
    width: int = WIDTH,
    height: int = FIGURE_HEIGHT,
    log: str = "",
    x_range: tuple[float, float] | None = None,
    y_range: tuple[float, float] | None = None,
    source: str = "",
) -> Figure:
    """Make an empty figure in the common style.

    Arguments:
        title: the finding.
        x, y: labels of the axes.
        percent: whether y are fractions, to be labelled in percent.
        width, height: in pixels of the page.
        log: the axes that are logarithmic: x, y or xy.
        x_range, y_range: ends of the axes.
        source: where the numbers come from, in small letters below.

    >>> fig = figure("Accuracy grows", "epoch", "test accuracy", percent=True)
    >>> line, = fig.ax.plot([1, 2], [0.5, 0.6])
    """
    width = whole("width", width, 50, 10_000)
    height = whole("height", height, 50, 10_000)
    one_of("log", log, ("", "x", "y", "xy"))
    pixel = POINT / 72  # in inches
    layout = ConstrainedLayoutEngine(w_pad=0.05, h_pad=0.05)
    fig = Figure(figsize=(width * pixel, height * pixel), layout=layout)
    ax = fig.add_subplot()
    ax.set_xlabel(x)
    ax.set_ylabel(wrap(y, height - 110, TEXT))
    if x_range is not None:
        ax.set_xlim(x_range)
    if y_range is not None:
        ax.set_ylim(y_range)
    if "x" in log:
        ax.set_xscale("log")
    if "y" in log:
        ax.set_yscale("log")
    mark(ax.xaxis, width, log="x" in log)
    mark(ax.yaxis, height, log="y" in log)
    if percent:
        in_percent(ax.yaxis)
    if title:
        lines = wrap(title, width - 10, TITLE * 1.09)
        fig.suptitle(lines, x=0.01, ha="left", fontsize=TITLE, fontweight="bold")
    if source:
        lines = wrap(source, width - 10, SMALL)
        fig.supxlabel(lines, x=0.01, ha="left", fontsize=SMALL)
    return fig


def mark(axis: Axis, pixels: int, log: bool) -> None:
    """Choose which values are written along an axis of so many pixels, logarithmic if `log`."""
    if log:
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_minor_locator(NullLocator())
    else:
        values = min(8, max(3, pixels // 70))
        axis.set_major_locator(MaxNLocator(values, steps=[1, 2, 5, 10]))
    axis.set_major_formatter("{x:,.10g}")


def wrap(text: str, pixels: float, size: float) -> str:
    """Break a text into lines, but never between a number and its interval.

    Arguments:
        pixels: of a line.
        size: of the letters, in points.

    >>> wrap("harm 4.3 ± 0.5", 60, 12).split("\\n")
    ['harm', '4.3\\xa0±\\xa00.5']
    """
    letters = max(12, int(pixels * POINT / (LETTER * size)))
    kept = re.sub("(?<=±) | (?=±)", "\N{NO-BREAK SPACE}", text)
    return "\n".join(textwrap.wrap(kept, letters))


def in_percent(axis: Axis) -> None:
    """Label an axis of fractions in percent."""
    axis.set_major_formatter(lambda value, place: f"{100 * value:.4g} %".replace("-", "−"))


class LineLook(TypedDict, total=False):
    """How matplotlib draws a line."""

    color: str
    linestyle: Dashes
    linewidth: float
    marker: str
    markersize: float
    alpha: float
    label: str


def line_look(look: Style, points: bool = False) -> LineLook:
    """The colour and dashes of a line with a look and, if it has `points`, their marker."""
    drawn: LineLook = {
        "color": look.colour,
        "linestyle": DASH_LINES.get(look.dash, look.dash),
    }
    if points:
        drawn["marker"] = MARKERS[look.marker]
    return drawn


def draw_band(
    ax: Axes,
    x: ArrayLike,
    mean: ArrayLike,
    half: ArrayLike,
    look: Style,
    points: bool = False,
    alpha: float = 1.0,
    ends: tuple[float, float] = (-math.inf, math.inf),
) -> Line2D:
    """Draw a line with a band around it, and return the line.

    Arguments:
        x, mean, half: rows of numbers (n,): the line, and half of the band's height, NaN for none.
        look: of the line, with its label.
        points: whether each mean has a marker.
        alpha: how strong the line is, 0 to 1.
        ends: the lowest and the highest value possible, where the band is cut.
    """
    places = np.asarray(x, dtype=float)
    middle = np.asarray(mean, dtype=float)
    reach = np.nan_to_num(np.asarray(half, dtype=float))
    low = np.clip(middle - reach, *ends)
    high = np.clip(middle + reach, *ends)
    ax.fill_between(places, low, high, color=look.colour, alpha=0.2 * alpha, linewidth=0)
    [line] = ax.plot(places, middle, label=look.label, alpha=alpha, **line_look(look, points))
    return line


def level_line(ax: Axes, at: float = 0, vertical: bool = False) -> None:
    """Draw a thin line across the axes at a value, such as one at no harm; `vertical`, upright."""
    draw = ax.axvline if vertical else ax.axhline
    draw(at, color=EQUAL.colour, linestyle=":", linewidth=1.2, zorder=1)


@styled
def name_lines(fig: Figure) -> Figure:
    """Name a figure's lines at its right, in the order of their ends, or above it if the figure
    is narrow or has many lines. A single line needs no name."""
    if fig.ax.get_yscale() == "log":
        leave_out_zeros(fig.ax)
    handles, labels = fig.ax.get_legend_handles_labels()
    if len(handles) < 2:
        return fig
    width, height = fig.get_size_inches() * 72 / POINT  # in pixels
    names = [wrap_lines(label, width * 0.24) for label in labels]
    needed = sum(18 + 16 * name.count("\n") for name in names)
    if width < 560 or needed > height - 115:
        return legend_above(fig, handles, labels)
    entries = []
    for handle, name in zip(handles, names, strict=True):
        entries.append(Entry(handle, name))
    entries.sort(key=lambda entry: end_of(entry.handle), reverse=True)
    fig.legend(
        handles=[entry.handle for entry in entries],
        labels=[entry.name for entry in entries],
        loc="outside right center",
    )
    return fig


class Entry(NamedTuple):
    """An entry of a legend."""

    handle: Handle
    name: str


def leave_out_zeros(ax: Axes) -> None:
    """Interrupt lines where they are 0, which has no place on a logarithmic axis."""
    for line in ax.lines:
        y = np.asarray(line.get_ydata(), dtype=float)
        line.set_ydata(np.where(y > 0, y, np.nan))


def wrap_lines(text: str, pixels: float) -> str:
    """Break each line of a text into lines of so many pixels."""
    return "\n".join(wrap(line, pixels, TEXT) for line in text.split("\n"))


def end_of(drawn: Handle) -> float:
    """The height of a line's last point; -inf for anything else with a name."""
    if not isinstance(drawn, Line2D):
        return -math.inf
    y = np.asarray(drawn.get_ydata(), dtype=float)
    y = y[np.isfinite(y)]
    return float(y[-1]) if y.size else -math.inf


def legend_above(fig: Figure, handles: Sequence[Handle], labels: Sequence[str]) -> Figure:
    """Place a legend above the axes, in as many columns as have room."""
    room = fig.get_figwidth() * 72 / POINT - 70  # in pixels
    longest = max(len(label) for label in labels)
    column = 62 + 13 * LETTER * longest
    columns = max(1, min(len(labels), int(room / column)))
    fig.ax.legend(
        handles,
        labels,
        loc="lower left",
        bbox_to_anchor=(0, 1.0),
        ncols=columns,
        borderaxespad=0.3,
        handler_map={tuple: HandlerTuple(None)},
    )
    return fig


# Files --------------------------------------------------------------------------------------------


@styled
def save(thing: object, path: str | Path, width: int = 1920) -> Path:
    """Write a figure, or what holds one (a question, an explorer), to a file: PNG, SVG or PDF.

    Arguments:
        thing: a figure, something with a `figure`, or a list of these, drawn one below the other
            (those of an inner list side by side).
        path: of the file.
        width: of a PNG, in dots.

    Returns:
        the path.

    Raises:
        CplabError: if there is no figure.

    >>> save(figure("Nothing yet"), "slide.png")  # doctest: +SKIP
    PosixPath('slide.png')
    """
    path = Path(path)
    figs = figures_in(thing)
    if not figs:
        raise CplabError(f"{quote(thing)} does not hold a figure: give one of show's")
    ending = one_of("file's ending", path.suffix.lower() or ".png", (".png", ".svg", ".pdf"))
    width = whole("width", width, 100, 20_000)
    if ending == ".png":
        joined_picture(figs, width).save(path, "png")
    elif isinstance(figs, Figure):
        date = "Date" if ending == ".svg" else "CreationDate"
        # equal figures have equal files
        figs.savefig(path, format=ending.removeprefix("."), metadata={date: None})
    else:
        raise CplabError(f"several figures do not fit into a {ending} file: give one")
    return path


# A figure, or several, one below the other; those of an inner list stand side by side
Figures: TypeAlias = "Figure | list[Figures]"


def figures_in(thing: object) -> Figures:
    """The figure of something that holds one; for a list, its parts' figures in the same lists."""
    if isinstance(thing, Figure):
        return thing
    if isinstance(thing, list | tuple):
        parts = list[Figures]()
        for entry in thing:
            figs = figures_in(entry)
            if figs:
                parts.append(figs)
        return parts[0] if len(parts) == 1 else parts
    held = getattr(thing, "figure", None)
    if held is None or held is thing:  # a figure of matplotlib's own has itself
        return []
    return figures_in(held)


def joined_picture(figs: Figures, width: int, across: bool = False) -> Image.Image:
    """Draw figures as one picture, one below the other, or `across`, side by side."""
    if isinstance(figs, Figure):
        return figs.drawn(width)
    part_width = width // len(figs) if across else width
    parts = [joined_picture(fig, part_width, not across) for fig in figs]
    heights = [part.height for part in parts]
    height = max(heights) if across else sum(heights)
    picture = Image.new("RGBA", (width, height))
    left = 0
    top = 0
    for part in parts:
        picture.paste(part.convert("RGBA"), (left, top))
        if across:
            left += part_width
        else:
            top += part.height
    return picture
