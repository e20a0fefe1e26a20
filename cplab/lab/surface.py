"""Parts that several widgets use."""

import html
import time
from collections.abc import Callable, Collection
from typing import Any

import ipywidgets as w

TEXT = "line-height:1.35;font-size:14px"


def buttons(options: Collection) -> w.ToggleButtons:
    """A row of buttons, one of which is pressed, the first one initially."""
    return w.ToggleButtons(options=options, style={"button_width": "auto"})


class Throttle:
    """Calls `draw` when something changes, at most every `seconds`."""

    def __init__(self, draw: Callable[[], Any], seconds: float = 0.1) -> None:
        self.draw, self.drawn, self.seconds = draw, float("-inf"), seconds

    def __call__(self, last: bool = False) -> None:
        """Draw if enough time has passed, or if this is the last call."""
        if last or time.monotonic() - self.drawn >= self.seconds:
            self.draw()
            self.drawn = time.monotonic()


def error_html(error: Exception | str) -> str:
    """Write an error as HTML."""
    return f'<span style="color:#c00">{html.escape(str(error))}</span>'
