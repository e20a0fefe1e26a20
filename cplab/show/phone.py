"""A figure for a phone: 320 pixels wide, with its title and legend whole and its words full size.

The site's pages have it beside the usual one. Axes side by side stand one below the other in it.
Rows of photographs are drawn anew, with fewer of them.
"""

import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from matplotlib.legend import Legend
from matplotlib.ticker import MaxNLocator

PHONE = 320  # pixels that a cell of a page has on a phone of 390
POINT = 0.75  # points of type in a pixel
SMALLEST = 44  # pixels of a photograph with its margin
BESIDE = 20  # letters of what stands beside an axis
Wrap = Callable[[str, float, float], str]


@contextmanager
def narrowed(fig: Any, wrap: Wrap, title_size: float, text_size: float) -> Iterator[bool]:
    """Make a figure narrow for a while, and restore it afterwards.

    Arguments: fig, a `Figure`; wrap, breaks a text into lines of so many pixels, in letters of so
        many points; title_size, text_size, of letters, in points. Yields whether it is narrow.
    """
    pixel = POINT / 72  # in inches
    across, high = (inches / pixel for inches in fig.get_size_inches())
    shares = shares_of_height(fig)
    lefts = {round(ax.get_position().x0, 2) for ax in fig.axes}
    one_column = len(lefts) == 1 and not fig.pictures
    if across <= PHONE or not (shares or one_column):
        yield False
        return
    undo: list[Callable[[], Any]] = [lambda: fig.set_size_inches(across * pixel, high * pixel)]
    if shares:
        undo += stack(fig, shares)
    for text, size in (*titles(fig, title_size), *labels(fig, text_size)):
        before = text.get_text()
        undo.append(partial(text.set_text, before))
        text.set_text(wrap(" ".join(before.split()), PHONE - 60, size))
    for ax in fig.axes:
        undo += narrow_ticks(ax)
    lines = 0
    for legend in [*fig.legends, *(ax.get_legend() for ax in fig.axes)]:
        if legend is not None:
            new = legend_on_top(fig.axes[0], legend, wrap, text_size)
            lines += sum(1 + text.get_text().count("\n") for text in new.get_texts())
            undo += [new.remove, partial(hide, legend, False)]
    beside = [*fig.legends]  # which take room though they are hidden
    fig.legends.clear()
    undo.append(lambda: fig.legends.extend(beside))
    height = high * (sum(shares.values()) or 1) + 18 * lines + sum(map(room_for_ticks, fig.axes))
    fig.set_size_inches(PHONE * pixel, height * pixel)
    try:
        yield True
    finally:
        for put_back in undo:
            put_back()


def shares_of_height(fig: Any) -> dict[Any, float]:
    """The axes of a figure that has some side by side, in the order of reading, each with its part
    of the figure's height; nothing if it has none."""
    lefts = {round(ax.get_position().x0, 2) for ax in fig.axes}
    places = {ax: ax.get_subplotspec() for ax in fig.axes}
    if len(lefts) == 1 or None in places.values():
        return {}
    order = sorted(fig.axes, key=lambda ax: (places[ax].rowspan.start, places[ax].colspan.start))
    return {ax: len(places[ax].rowspan) / places[ax].get_gridspec().nrows for ax in order}


def stack(fig: Any, shares: dict[Any, float]) -> list[Callable[[], Any]]:
    """Put axes one below the other; returns a function for each that puts it back."""
    column = fig.add_gridspec(len(shares), 1, height_ratios=[*shares.values()])
    undo: list[Callable[[], Any]] = []
    for number, ax in enumerate(shares):
        undo.append(partial(ax.set_subplotspec, ax.get_subplotspec()))
        ax.set_subplotspec(column[number])
    return undo


def titles(fig: Any, size: float) -> list[tuple[Any, float]]:
    """The title of a figure and of its axes, each with the size of its letters."""
    found = [(ax.title, size) for ax in fig.axes]
    found += [(text, size * 1.09) for text in fig.texts if text.get_fontweight() == "bold"]
    return [(text, points) for text, points in found if text.get_text()]


def labels(fig: Any, size: float) -> list[tuple[Any, float]]:
    """The words below a figure, and below its axes."""
    found = [(ax.xaxis.label, size) for ax in fig.axes]
    found += [(text, size) for text in fig.texts if text.get_fontweight() != "bold"]
    return [(text, points) for text, points in found if text.get_text()]


def narrow_ticks(ax: Any) -> list[Callable[[], Any]]:
    """Mark fewer places on an axis, and break long words beside it; returns a function that
    undoes this."""
    undo: list[Callable[[], Any]] = []
    locator = ax.xaxis.get_major_locator()
    if isinstance(locator, MaxNLocator):
        locator.set_params(nbins=4)
        undo.append(lambda: locator.set_params(nbins=8))
    words = [label.get_text() for label in ax.get_yticklabels()]
    if any(len(word) > BESIDE for word in words):
        places = ax.get_yticks()
        ax.set_yticks(places, [textwrap.fill(word, BESIDE) for word in words])
        undo.append(lambda: ax.set_yticks(places, words))
    return undo


def room_for_ticks(ax: Any) -> int:
    """Pixels that an axis needs more, so that words of several lines beside it do not touch."""
    words = [label.get_text() for label in ax.get_yticklabels()]
    more_lines = max((word.count("\n") for word in words), default=0)
    return 16 * more_lines * len(words)


def legend_on_top(ax: Any, legend: Any, wrap: Wrap, size: float) -> Any:
    """Hide a legend, and return one in its place: above the axes, one entry below the other."""
    hide(legend, True)
    words = []
    for text in legend.get_texts():
        words.append(wrap(" ".join(text.get_text().split()), PHONE - 90, size))
    place: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (0, 1.0), "borderaxespad": 0.3}
    new = Legend(ax, legend.legend_handles, words, frameon=False, fontsize=size, **place)
    for text in new.get_texts():
        text.set_color(legend.get_texts()[0].get_color())
    ax.add_artist(new)
    new.set_clip_on(False)  # then room is made for it
    return new


def hide(legend: Any, hidden: bool) -> None:
    """Hide a legend, so that it takes no room, or show it again."""
    legend.set_visible(not hidden)
    legend.set_in_layout(not hidden)
