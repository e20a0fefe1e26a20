"""A figure for a phone: 320 pixels wide, with its title and legend whole and its words full size.

The site's pages have it beside the usual one. Axes side by side stand one below the other in it.
Rows of photographs are drawn anew, with fewer of them.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, NamedTuple

from matplotlib.legend import Legend
from matplotlib.ticker import MaxNLocator

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.gridspec import SubplotSpec
    from matplotlib.text import Text

PHONE = 320  # pixels that a cell of a page has on a phone of 390
POINT = 0.75  # points of type in a pixel
PIXEL = POINT / 72  # in inches
SMALLEST_PHOTOGRAPH = 44  # pixels of a photograph with its margin
BESIDE = 20  # letters of what stands beside an axis
MARGIN = 60  # pixels beside a title, or beside the words below an axis
LEGEND_MARGIN = 90  # pixels beside the words of a legend
LEGEND_LINE = 18  # pixels
Wrap = Callable[[str, float, float], str]


class Words(NamedTuple):
    """A text of a figure, and the size of its letters in points."""

    text: Text
    size: float


@contextmanager
def narrowed(fig: Figure, wrap: Wrap, title_size: float, text_size: float) -> Iterator[bool]:
    """Make a figure narrow for a while, and restore it afterwards.

    Arguments: wrap, which breaks a text into lines of so many pixels, in letters of so many points;
        title_size, text_size, of letters, in points.
    Yields: whether it is narrow.
    """
    width, height = fig.get_size_inches()
    parts = parts_of_height(fig)
    if width <= PHONE * PIXEL or not (parts or in_one_column(fig)):
        yield False
        return
    with ExitStack() as undo:
        undo.callback(fig.set_size_inches, width, height)
        stack(fig, parts, undo)
        for words in [*titles(fig, title_size), *labels(fig, text_size)]:
            wrap_words(words, wrap, undo)
        for ax in fig.axes:
            narrow_ticks(ax, undo)
        legend_lines = move_legends(fig, wrap, text_size, undo)
        times_as_high = sum(part.share for part in parts) or 1
        pixels = height / PIXEL * times_as_high + LEGEND_LINE * legend_lines
        pixels += sum(room_for_ticks(ax) for ax in fig.axes)
        fig.set_size_inches(PHONE * PIXEL, pixels * PIXEL)
        yield True


def in_one_column(fig: Figure) -> bool:
    """Whether the axes of a figure stand one below the other. Photographs do not count: narrow
    ones would show nothing."""
    lefts = {round(ax.get_position().x0, 2) for ax in fig.axes}
    return len(lefts) == 1 and not getattr(fig, "pictures", "")


class Panel(NamedTuple):
    """Axes, their place in a grid, and their share of the figure's height."""

    ax: Axes
    place: SubplotSpec
    share: float


def parts_of_height(fig: Figure) -> list[Panel]:
    """The axes of a figure in the order of reading, if some are side by side; otherwise none."""
    lefts = {round(ax.get_position().x0, 2) for ax in fig.axes}
    parts = list[Panel]()
    for ax in fig.axes:
        place = ax.get_subplotspec()
        if place is None or len(lefts) == 1:
            return []
        share = len(place.rowspan) / place.get_gridspec().nrows
        parts.append(Panel(ax, place, share))
    return sorted(parts, key=lambda part: (part.place.rowspan.start, part.place.colspan.start))


def stack(fig: Figure, parts: Sequence[Panel], undo: ExitStack) -> None:
    """Put axes one below the other."""
    if not parts:
        return
    column = fig.add_gridspec(len(parts), 1, height_ratios=[part.share for part in parts])
    for number, part in enumerate(parts):
        undo.callback(part.ax.set_subplotspec, part.place)
        part.ax.set_subplotspec(column[number])


def titles(fig: Figure, size: float) -> list[Words]:
    """The titles of a figure and of its axes."""
    words = [Words(ax.title, size) for ax in fig.axes]
    for text in fig.texts:
        if text.get_fontweight() == "bold":  # as `figure` writes titles
            words.append(Words(text, size * 1.09))
    return [entry for entry in words if entry.text.get_text()]


def labels(fig: Figure, size: float) -> list[Words]:
    """The words below a figure, and below its axes."""
    words = [Words(ax.xaxis.label, size) for ax in fig.axes]
    for text in fig.texts:
        if text.get_fontweight() != "bold":  # not a title
            words.append(Words(text, size))
    return [entry for entry in words if entry.text.get_text()]


def wrap_words(words: Words, wrap: Wrap, undo: ExitStack) -> None:
    """Break a text into lines that a phone has room for."""
    text = words.text.get_text()
    undo.callback(words.text.set_text, text)
    one_line = " ".join(text.split())
    words.text.set_text(wrap(one_line, PHONE - MARGIN, words.size))


def narrow_ticks(ax: Axes, undo: ExitStack) -> None:
    """Mark fewer places on an axis, and break long words beside it."""
    locator = ax.xaxis.get_major_locator()
    if isinstance(locator, MaxNLocator):
        locator.set_params(nbins=4)
        undo.callback(locator.set_params, nbins=8)
    words = [label.get_text() for label in ax.get_yticklabels()]
    if any(len(word) > BESIDE for word in words):
        places = ax.get_yticks()
        ax.set_yticks(places, [textwrap.fill(word, BESIDE) for word in words])
        undo.callback(ax.set_yticks, places, words)


def room_for_ticks(ax: Axes) -> int:
    """Pixels that an axis needs more, so that words of several lines beside it do not touch."""
    words = [label.get_text() for label in ax.get_yticklabels()]
    more_lines = max((word.count("\n") for word in words), default=0)
    return 16 * more_lines * len(words)


def move_legends(fig: Figure, wrap: Wrap, size: float, undo: ExitStack) -> int:
    """Put the legends of a figure above its axes, and return how many lines they have in all."""
    lines = 0
    for legend in legends(fig):
        replacement = legend_on_top(fig.axes[0], legend, wrap, size)
        undo.callback(hide, legend, False)
        undo.callback(replacement.remove)
        for text in replacement.get_texts():
            lines += 1 + text.get_text().count("\n")
    hidden_legends = [*fig.legends]  # which would still take room
    fig.legends.clear()
    undo.callback(fig.legends.extend, hidden_legends)
    return lines


def legends(fig: Figure) -> list[Legend]:
    """The legends of a figure and of its axes."""
    all_legends = [*fig.legends]
    for ax in fig.axes:
        legend = ax.get_legend()
        if legend is not None:
            all_legends.append(legend)
    return all_legends


def legend_on_top(ax: Axes, legend: Legend, wrap: Wrap, size: float) -> Legend:
    """Hide a legend, and return one in its place: above the axes, one entry below the other."""
    hide(legend, True)
    words = []
    for text in legend.get_texts():
        one_line = " ".join(text.get_text().split())
        words.append(wrap(one_line, PHONE - LEGEND_MARGIN, size))
    handles = [handle for handle in legend.legend_handles if handle is not None]
    replacement = Legend(
        ax,
        handles,
        words,
        frameon=False,
        fontsize=size,
        loc="lower left",
        bbox_to_anchor=(0, 1.0),
        borderaxespad=0.3,
    )
    for text in replacement.get_texts():
        text.set_color(legend.get_texts()[0].get_color())
    ax.add_artist(replacement)
    replacement.set_clip_on(False)  # then room is made for it
    return replacement


def hide(legend: Legend, hidden: bool) -> None:
    """Hide a legend, so that it takes no room, or show it again."""
    legend.set_visible(not hidden)
    legend.set_in_layout(not hidden)
