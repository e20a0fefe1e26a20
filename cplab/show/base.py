"""The base of all figures: an empty one in the common style, which shows itself and can be saved.

A figure is a picture in HTML that needs neither scripts nor Python. It is transparent, and its
words are in a grey that is legible on white and on black. No pyplot: a figure belongs to the code
that made it.
"""

import base64
import io
import math
import os
import re
import textwrap
import warnings
from collections.abc import Callable, Sequence
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

import matplotlib.figure
import numpy as np
from matplotlib import style as sheets
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.font_manager import findfont, fontManager, get_font
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.legend_handler import HandlerTuple
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator
from PIL import Image

from cplab.errors import CplabError, one_of, quote, whole
from cplab.output import bundle, wide
from cplab.show.phone import narrowed
from cplab.styles import EQUAL, Style

WIDTH, HEIGHT = 760, 350  # in pixels of the page
FINE = 2  # dots a pixel, for fine screens
PHONES = "CPLAB_PHONES"  # set where pages are made: figures have a drawing for phones as well
GREY = "#767676"  # its contrast is 4.5 to white and 4.6 to black
POINT = 0.75  # points of type in a pixel
TEXT, SMALL, TITLE = 13 * POINT, 12 * POINT, 15 * POINT
LEGIBLE = 11 * POINT  # words are nowhere smaller, on a phone neither
LETTER = 0.56  # a letter's width as a fraction of its height
DASHES = {"dotdash": "dashdot", "dashdot": (0, (5, 2, 1, 2, 1, 2))}  # of Bokeh, which differ
MARKERS = {
    **{"circle": "o", "square": "s", "triangle": "^", "diamond": "d", "inverted_triangle": "v"},
    **{"hex": "h", "star": "*", "cross": "P", "plus": "P", "x": "X"},
    **{"square_x": "s", "diamond_cross": "D"},
}
WIDE: tuple[str, ...] = (
    "CJK",
    "Han Sans",
    "YaHei",
    "SimHei",
    "PingFang",
    "Hiragino",
    "Heiti",
    "Yu Gothic",
)
WIDE += ("Malgun", "Gothic Neo", "Nanum", "WenQuanYi", "IPAGothic", "Droid Sans Fallback")
SHEET: list[Any] = [  # not the settings of other code
    "default",
    dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color"), GREY)
    | dict.fromkeys(("figure.facecolor", "axes.facecolor", "savefig.facecolor"), "none")
    | dict.fromkeys(("axes.spines.top", "axes.spines.right", "legend.frameon"), False)
    | dict.fromkeys(("axes.labelsize", "xtick.labelsize", "ytick.labelsize"), TEXT)
    | {"font.size": TEXT, "legend.fontsize": TEXT, "axes.edgecolor": GREY, "axes.grid": True}
    | {"grid.color": GREY, "grid.alpha": 0.25, "axes.axisbelow": True, "lines.linewidth": 2}
    | {"lines.markersize": 6, "legend.handlelength": 2.6, "axes.xmargin": 0.02},
]
styled = sheets.context(SHEET, after_reset=True)  # decorates functions that draw


class Figure(matplotlib.figure.Figure):
    """A figure of matplotlib that shows itself as the last line of a cell; `ax` are its axes.

    Arguments: those of matplotlib's; `figure` makes one in the common style.

    >>> fig = figure("Two points", "epoch", "accuracy, %")
    >>> _ = fig.ax.plot([1, 2], [50, 60], label="blur")
    >>> fig
    Two points: accuracy, % against epoch: blur
    >>> '<img src="data:image/webp;base64' in fig._repr_html_()
    True
    """

    pictures = ""  # of which a figure of photographs consists, in words
    narrower: Callable[[], "Figure"] | None = None  # draws it for a phone, where it is made anew

    @property
    def ax(self) -> Any:
        """Its axes, or the first of several."""
        return self.axes[0]

    @property
    def alt(self) -> str:
        """The picture in words, for readers who cannot see it."""
        parts = [" ".join(self.get_suptitle().split()), self.pictures]
        for ax in [] if self.pictures else self.axes:
            x, y = (" ".join(label.split()) for label in (ax.get_xlabel(), ax.get_ylabel()))
            parts.append(f"{y} against {x}" if x and y else x or y)
            labels = dict.fromkeys(ax.get_legend_handles_labels()[1])
            parts.append(", ".join(" ".join(label.split()) for label in labels))
        return ": ".join(dict.fromkeys(filter(None, parts)))

    def __repr__(self) -> str:
        return self.alt

    __str__ = __repr__

    @styled
    def drawn(self, width: int = 0) -> Image.Image:
        """Draw it as a picture, `width` dots wide, by default two a pixel of the page."""
        for text in self.findobj(Text):
            if isinstance(text, Text) and text.get_color() == "black":  # a cell's own words
                text.set_color(GREY)
        find_letters(self)
        self.set_dpi(width / self.get_figwidth() if width else FINE / POINT * 72)
        canvas = FigureCanvasAgg(self)
        canvas.draw()
        picture = Image.fromarray(np.asarray(canvas.buffer_rgba()))
        if self.pictures:  # of photographs
            return picture
        # a quarter of the bytes, and no difference to see
        return picture.quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)

    def png(self, width: int = 0) -> bytes:
        """Draw it as a PNG, `width` dots wide, by default two a pixel of the page."""
        file = io.BytesIO()
        self.drawn(width).save(file, "png")
        return file.getvalue()

    def _repr_html_(self) -> str:
        texts: Any = [text for text in self.findobj(Text) if text.get_text()]
        smallest = min((text.get_fontsize() for text in texts), default=LEGIBLE)
        width = round(72 / POINT * self.get_figwidth())
        file = io.BytesIO()
        # two thirds of a PNG's bytes, which leaves room for the one in `bundle`
        self.drawn().convert("RGBA").save(file, "webp", lossless=True, quality=30, method=1)
        code = base64.b64encode(file.getvalue()).decode()
        least = min(width, math.ceil(width * LEGIBLE / smallest))
        size = f"width:100%;min-width:{least}px;max-width:{width}px;height:auto"
        source = f'src="data:image/webp;base64,{code}" alt="{escape(self.alt)}"'
        picture = f'<img {source} width="{width}" style="{size}">'
        return wide(self.phone() + picture + "</picture>" if PHONES in os.environ else picture)

    def narrow_png(self) -> bytes:
        """Draw the figure for a phone, as a PNG; no bytes if it stays as it is."""
        figure = self.narrower() if self.narrower else self
        with narrowed(figure, wrap, TITLE, TEXT) as narrow:
            return figure.png() if narrow or self.narrower else b""

    def phone(self) -> str:
        """The opening HTML of a picture that is drawn differently on a phone."""
        code = base64.b64encode(self.narrow_png()).decode()
        if not code:
            return "<picture>"
        source = f'<source media="(max-width: 600px)" srcset="data:image/png;base64,{code}">'
        return f'<picture class="cplab-phone">{source}'

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return bundle(repr(self), self._repr_html_())


@styled
def figure(
    title: str = "",
    x: str = "",
    y: str = "",
    percent: bool = False,
    *,
    width: int = WIDTH,
    height: int = HEIGHT,
    log: str = "",
    x_range: tuple[float, float] | None = None,
    y_range: tuple[float, float] | None = None,
    source: str = "",
) -> Figure:
    """Make an empty figure in the common style.

    Arguments: title, its finding; x, y, labels of its axes; percent, whether y are fractions, to be
        labelled in percent; width, height, in pixels of the page; log, the axes that are
        logarithmic: x, y or xy; x_range, y_range, ends of the axes; source, where its numbers come
        from, in small letters below.

    >>> fig = figure("Accuracy grows", "epoch", "test accuracy", percent=True)
    >>> line, = fig.ax.plot([1, 2], [0.5, 0.6])
    """
    width, height = whole("width", width, 50, 10_000), whole("height", height, 50, 10_000)
    one_of("log", log, ("", "x", "y", "xy"))
    size = POINT / 72
    layout = ConstrainedLayoutEngine(w_pad=0.05, h_pad=0.05)
    fig = Figure(figsize=(width * size, height * size), layout=layout)
    ax = fig.add_subplot()
    ends = {"xlim": x_range, "ylim": y_range}
    ax.set(
        xlabel=x,
        ylabel=wrap(y, height - 110, TEXT),
        **{name: pair for name, pair in ends.items() if pair is not None},
    )
    for name, axis, pixels in (("x", ax.xaxis, width), ("y", ax.yaxis, height)):
        if name in log:
            getattr(ax, f"set_{name}scale")("log")
            axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.set_minor_locator(NullLocator())
        else:
            axis.set_major_locator(MaxNLocator(min(8, max(3, pixels // 70)), steps=[1, 2, 5, 10]))
        axis.set_major_formatter("{x:,.10g}")
    if percent:
        in_percent(ax.yaxis)
    if title:
        lines = wrap(title, width - 10, TITLE * 1.09)
        fig.suptitle(lines, x=0.01, ha="left", fontsize=TITLE, fontweight="bold")
    if source:
        lines = wrap(source, width - 10, SMALL)
        fig.supxlabel(lines, x=0.01, ha="left", fontsize=SMALL)
    return fig


def wrap(text: str, pixels: float, size: float) -> str:
    """Break a text of a size in points into lines of so many pixels, but never between a number
    and its interval.

    >>> wrap("harm 4.3 ± 0.5", 60, 12).split("\\n")
    ['harm', '4.3\\xa0±\\xa00.5']
    """
    letters = max(12, int(pixels * POINT / (LETTER * size)))
    kept = re.sub("(?<=±) | (?=±)", "\N{NO-BREAK SPACE}", text)
    return "\n".join(textwrap.wrap(kept, letters))


def find_letters(fig: Figure) -> None:
    """Find a font on this computer for letters that matplotlib's own font lacks, such as Chinese.
    If no font has them, a warning says so, once for the same letters."""
    for text in fig.findobj(Text):
        words = text.get_text() if isinstance(text, Text) else ""
        if not words.isascii():
            text.set_fontfamily(["DejaVu Sans", *fonts_for(frozenset(words))])


@cache
def fonts_for(letters: frozenset[str]) -> tuple[str, ...]:
    """The font families on this computer that have letters which DejaVu Sans lacks."""
    left = {letter for letter in letters if not letter.isspace()}
    left = lacking_in(findfont("DejaVu Sans"), left)
    if not left:
        return ()
    families = []
    fonts = sorted(fontManager.ttflist, key=lambda font: (not is_wide(font.name), font.name))
    for font in fonts:
        if font.name in families or font.style != "normal" or "Last Resort" in font.name:
            continue
        still = lacking_in(font.fname, left)
        if len(still) < len(left):
            families.append(font.name)
            left = still
        if not left:
            return tuple(families)
    warnings.filterwarnings("ignore", r"Glyph \d+")  # matplotlib's own line for each letter
    line = f"no font of this computer has {' '.join(sorted(left)[:9])}: install Noto Sans CJK"
    warnings.warn(line, stacklevel=2)
    return tuple(families)


def is_wide(family: str) -> bool:
    """Whether a font family covers Chinese, Japanese or Korean."""
    return any(name in family for name in WIDE)


def lacking_in(path: str, letters: set[str]) -> set[str]:
    """The letters that a font file lacks."""
    try:
        known = get_font(path).get_charmap()
    except (OSError, RuntimeError):
        return letters
    return {letter for letter in letters if ord(letter) not in known}


def in_percent(axis: Any) -> None:
    """Label an axis of fractions in percent."""
    axis.set_major_formatter(lambda value, place: f"{100 * value:.4g} %".replace("-", "−"))


def line_look(look: Style, points: bool = False) -> dict[str, Any]:
    """The colour and dashes of a line with a look and, if it has `points`, their marker."""
    marks = {"marker": MARKERS[look.marker]} if points else {}
    return {"color": look.colour, "linestyle": DASHES.get(look.dash, look.dash), **marks}


def band(
    ax: Any,
    x: Any,
    mean: Any,
    half: Any,
    look: Style,
    points: bool = False,
    alpha: float = 1.0,
    ends: tuple[float, float] = (-math.inf, math.inf),
) -> Line2D:
    """Draw a line with a band around it, `half` its height; NaN is no band.

    Arguments: x, mean, half, rows of numbers; look, with the label; points, whether each mean has a
        marker; alpha, how strong the line is; ends, of what there can be, where the band is cut.
    """
    x, mean, half = (np.asarray(row, dtype=float) for row in (x, mean, np.nan_to_num(half)))
    low, high = np.clip([mean - half, mean + half], *ends)
    ax.fill_between(x, low, high, color=look.colour, alpha=0.2 * alpha, linewidth=0)
    [line] = ax.plot(x, mean, label=look.label, alpha=alpha, **line_look(look, points))
    return line


def level_line(ax: Any, at: float = 0, vertical: bool = False) -> None:
    """Draw a thin line across a figure, such as one at no harm."""
    how = {"color": EQUAL.colour, "linestyle": ":", "linewidth": 1.2, "zorder": 1}
    (ax.axvline if vertical else ax.axhline)(at, **how)


@styled
def name_lines(fig: Figure) -> Figure:
    """Name a figure's lines at its right, in the order of their ends, or above it if the figure
    is narrow or has many lines. A single line needs no name."""
    for line in fig.ax.lines if fig.ax.get_yscale() == "log" else ():
        y = np.asarray(line.get_ydata(), dtype=float)
        line.set_ydata(np.where(y > 0, y, np.nan))  # 0 has no place on such an axis
    handles, labels = fig.ax.get_legend_handles_labels()
    across, high = (size * 72 / POINT for size in fig.get_size_inches())
    texts = ["\n".join(wrap(part, across * 0.24, TEXT) for part in of.split("\n")) for of in labels]
    if len(handles) < 2:
        return fig
    if across < 560 or sum(18 + 16 * text.count("\n") for text in texts) > high - 115:
        return legend_above(fig, handles, labels)
    entries = sorted(zip(handles, texts, strict=True), key=lambda entry: -end_of(entry[0]))
    fig.legend(*zip(*entries, strict=True), loc="outside right center")
    return fig


def end_of(drawn: Any) -> float:
    """The height of a line's last point; -inf for anything else with a name."""
    y = np.asarray(drawn.get_ydata(), dtype=float) if isinstance(drawn, Line2D) else np.empty(0)
    return float(y[np.isfinite(y)][-1]) if np.isfinite(y).any() else -math.inf


def legend_above(fig: Figure, handles: Sequence, labels: Sequence[str]) -> Figure:
    """Place a legend above the axes, in as many columns as have room."""
    wide = fig.get_figwidth() * 72 / POINT - 70
    columns = max(1, min(len(labels), int(wide / (62 + 13 * LETTER * max(map(len, labels))))))
    place = {"loc": "lower left", "bbox_to_anchor": (0, 1.0), "ncols": columns}
    look = {"borderaxespad": 0.3, "handler_map": {tuple: HandlerTuple(None)}}
    fig.ax.legend(handles, labels, **place, **look)
    return fig


@styled
def save(thing: Any, path: str | Path, width: int = 1920) -> Path:
    """Write a figure, or what holds one (a question, an explorer), to a file: PNG, SVG or PDF.

    Arguments: thing, a figure, something with a `figure`, or a list of these, drawn one below the
        other (those of an inner list side by side); path, of the file; width of a PNG, in dots.
    Returns the path.

    >>> save(figure("Nothing yet"), "slide.png")  # doctest: +SKIP
    PosixPath('slide.png')
    """
    path = Path(path)
    figs = figures_in(thing)
    if not figs:
        raise CplabError(f"{quote(thing)} holds no figure: give one of show's")
    kind = one_of("file's ending", path.suffix.lower() or ".png", (".png", ".svg", ".pdf"))
    width = whole("width", width, 100, 20_000)
    try:
        if kind == ".png":
            picture_of(figs, width).save(path, "png")
        else:
            if not isinstance(figs, Figure):
                raise CplabError(f"several figures are no {kind} file: give one")
            find_letters(figs)
            figs.savefig(path, metadata={"Date" if kind == ".svg" else "CreationDate": None})
    except OSError as error:
        raise CplabError(f"{path} cannot be written ({error}): name another file") from error
    return path


def figures_in(thing: Any) -> Any:
    """The figure of something that holds one; for a list, its parts' figures in the same lists."""
    if isinstance(thing, Figure):
        return thing
    if isinstance(thing, list | tuple):
        parts = [*filter(None, map(figures_in, thing))]
        return parts[0] if len(parts) == 1 else parts
    held = getattr(thing, "figure", thing)
    return [] if held is thing else figures_in(held)


def picture_of(figs: Any, width: int, across: bool = False) -> Image.Image:
    """Draw figures as one picture, one below the other, or `across`, side by side."""
    if isinstance(figs, Figure):
        return Image.open(io.BytesIO(figs.png(width)))
    share = width // len(figs) if across else width
    parts = [picture_of(fig, share, not across) for fig in figs]
    heights = [part.height for part in parts]
    whole_picture = Image.new("RGBA", (width, max(heights) if across else sum(heights)))
    for i, part in enumerate(parts):
        place = (i * share, 0) if across else (0, sum(heights[:i]))
        whole_picture.paste(part.convert("RGBA"), place)
    return whole_picture
