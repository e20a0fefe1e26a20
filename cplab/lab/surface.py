"""Bokeh figures as widgets: alive where that can be, else as a page that is drawn again."""

import html
import importlib.util
import time
from collections.abc import Callable
from typing import Any

import ipywidgets as w
from bokeh import layouts
from bokeh.models import Column, LayoutDOM

from cplab.show.theme import on_colab

TEXT = "line-height:1.35;font-size:14px"
HEIGHT = 320  # pixels of a figure that says none


class Frame(w.HTML):
    """A Bokeh layout as a page in a frame, for notebooks without jupyter_bokeh (Colab)."""

    def __init__(self, layout: LayoutDOM) -> None:
        super().__init__()
        self.page = layout

    def draw(self) -> None:
        """Show the layout's data as they are by now."""
        from bokeh.embed import file_html
        from bokeh.resources import CDN

        page = html.escape(file_html(self.page, CDN))
        size = f'width="1000" height="{20 + height(self.page)}" frameborder="0"'
        self.value = f'<iframe srcdoc="{page}" {size}></iframe>'


def is_alive() -> bool:
    """Whether figures can follow Python and answer clicks: not without jupyter_bokeh, nor on
    Colab, whose ipywidgets are too old for it."""
    return not on_colab() and importlib.util.find_spec("jupyter_bokeh") is not None


def surface(drawn: Any) -> w.Widget:
    """A widget that shows a Bokeh figure or layout, or a list of them side by side.

    Its `page` is the layout. Its room is kept before the figure is there, so that what stands below
    does not move away from a click when it comes.
    """
    layout = side_by_side(drawn)
    if not is_alive():
        return Frame(layout)
    from cplab.lab.view import View

    view = View(layout)
    view.page = layout
    view.layout.min_height = f"{height(layout)}px"
    return view


def redraw(picture: Any) -> None:
    """Show a figure's new data where they do not follow by themselves."""
    if isinstance(picture, Frame):
        picture.draw()


def side_by_side(drawn: Any) -> LayoutDOM:
    """A Bokeh figure or layout as it is, several of them as a row."""
    return layouts.row(*drawn) if isinstance(drawn, list | tuple) else drawn


def height(layout: LayoutDOM) -> int:
    """Pixels that a layout takes at least."""
    parts = [height(part) for part in getattr(layout, "children", ()) if hasattr(part, "height")]
    if parts:
        return sum(parts) if isinstance(layout, Column) else max(parts)
    return getattr(layout, "height", None) or HEIGHT


class Throttle:
    """Draw what changes often, though not oftener than can be seen.

    Arguments: draw, called without arguments; seconds, between two drawings.

    >>> drawn = []
    >>> often = Throttle(lambda: drawn.append(1), seconds=60)
    >>> often(), often(), often(last=True)
    (None, None, None)
    >>> len(drawn)
    2
    """

    def __init__(self, draw: Callable[[], Any], seconds: float | None = None) -> None:
        self.draw = draw
        self.seconds = (0.1 if is_alive() else 2.0) if seconds is None else seconds
        self.drawn = float("-inf")

    def __call__(self, last: bool = False) -> None:
        """Draw, if it is time, or the last time."""
        if last or time.monotonic() - self.drawn >= self.seconds:
            self.draw()
            self.drawn = time.monotonic()


def in_red(error: Exception) -> str:
    """An error in words, as HTML."""
    return f'<span style="color:#c00">{html.escape(str(error))}</span>'
