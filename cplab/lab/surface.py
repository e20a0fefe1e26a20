"""What widgets that hold figures share."""

import html
import time
from collections.abc import Callable, Collection
from typing import Any

import ipywidgets as w

from cplab.show.surface import surface

TEXT = "line-height:1.35;font-size:14px"
# Of tables; and of a click that Python answers between cells, which the page alone can say before.
CSS = """<style>
@keyframes cplab-late { from, 99% { opacity: 0 } to { opacity: 1 } }
.cplab-asking:focus:not(:focus-visible)::after {
  content: "\\00a0· waiting for Python"; animation: cplab-late .6s;
}
.cplab-revealed .widget-html-content { line-height: 1.5; }
.cplab-revealed .dataframe { border-collapse: collapse; }
.cplab-revealed .dataframe :is(th, td) { padding: 1px 0 1px 20px; text-align: right; }
</style>"""


def buttons(options: Collection) -> w.ToggleButtons:
    """Buttons of which one is pressed, the first to begin with."""
    return w.ToggleButtons(options=options, style={"button_width": "auto"})


def replace_last(box: w.Box, drawn: Any) -> None:
    """Show other figures at the end of a box, for good."""
    picture, old = surface(drawn), box.children[-1]
    box.children = [*box.children[:-1], picture]
    discard(old)


def discard(widget: Any) -> None:
    """Close a widget and its looks, which are widgets as well: what is not closed is kept for as
    long as the kernel lives, with all its data."""
    for part in (widget, widget.layout, getattr(widget, "style", None)):
        if part is not None:
            part.close()


class Throttle:
    """Calls `draw` for what changes often, though not oftener than can be seen."""

    def __init__(self, draw: Callable[[], Any], seconds: float = 0.1) -> None:
        self.draw, self.drawn, self.seconds = draw, float("-inf"), seconds

    def __call__(self, last: bool = False) -> None:
        """Draw, if it is time, or the last time."""
        if last or time.monotonic() - self.drawn >= self.seconds:
            self.draw()
            self.drawn = time.monotonic()


def error_html(error: Exception | str) -> str:
    """An error in words, as HTML."""
    return f'<span style="color:#c00">{html.escape(str(error))}</span>'
