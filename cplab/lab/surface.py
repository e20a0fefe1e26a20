"""Bokeh figures as widgets: alive where that can be, else as a page that is drawn again."""

import html
import importlib.util
import time
from collections.abc import Callable
from typing import Any

import ipywidgets as w
from bokeh.models import Column, LayoutDOM

from cplab.show.theme import on_colab, side_by_side

TEXT = "line-height:1.35;font-size:14px"
HEIGHT = 320  # pixels of a figure that says none


class Frame(w.HTML):
    """A Bokeh layout as a page in a frame, for notebooks without jupyter_bokeh (Colab)."""

    page: LayoutDOM

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
    """A widget that shows a Bokeh figure or layout (its `page`), or a list of them side by side,
    as they are by now: what changes before the widget is on the page is not seen there."""
    layout = side_by_side(drawn)
    if is_alive():
        from cplab.lab.view import View

        picture = View(layout)
        # room is kept before it is there, so that no button below moves away from a click
        picture.layout.min_height = f"{height(layout)}px"
    else:
        picture = Frame()
    picture.page = layout
    return picture


def draw_within(widget: Any) -> None:
    """Draw all figures in a widget that is about to be put in another place."""
    if hasattr(widget, "page"):
        widget.draw()
    for part in getattr(widget, "children", ()):
        draw_within(part)


def redraw(picture: Any) -> None:
    """Show a figure's new data where they do not follow by themselves."""
    if isinstance(picture, Frame):
        picture.draw()


def replace_last(box: w.Box, drawn: Any) -> None:
    """Show other figures at the end of a box, for good."""
    picture, old = surface(drawn), box.children[-1]
    box.children = [*box.children[:-1], picture]
    discard(old)
    redraw(picture)


def discard(widget: Any) -> None:
    """Close a widget and its looks, which are widgets as well: what is not closed is kept for as
    long as the kernel lives, with all its data."""
    for part in (widget, widget.layout, getattr(widget, "style", None)):
        if part is not None:
            part.close()


def height(layout: LayoutDOM) -> int:
    """Pixels that a layout takes at least."""
    if layout.min_height:
        return layout.min_height
    parts = [height(part) for part in getattr(layout, "children", ()) if hasattr(part, "height")]
    if parts:
        return sum(parts) if isinstance(layout, Column) else max(parts)
    return getattr(layout, "height", None) or HEIGHT


class Throttle:
    """Calls `draw` for what changes often, though not oftener than can be seen."""

    def __init__(self, draw: Callable[[], Any], seconds: float | None = None) -> None:
        self.draw, self.drawn = draw, float("-inf")
        self.seconds = (0.1 if is_alive() else 2.0) if seconds is None else seconds

    def __call__(self, last: bool = False) -> None:
        """Draw, if it is time, or the last time."""
        if last or time.monotonic() - self.drawn >= self.seconds:
            self.draw()
            self.drawn = time.monotonic()


def in_red(error: Exception) -> str:
    """An error in words, as HTML."""
    return f'<span style="color:#c00">{html.escape(str(error))}</span>'
