"""Work in a thread that is started with a button, with its message and progress; and small parts
that several widgets use."""

import html
import math
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import anywidget
import ipywidgets as w
import numpy as np
import traitlets

from cplab.errors import Cancelled, CplabError
from cplab.results.api import format_duration
from cplab.runs import Run

PAUSED = "stopped: Train goes on from the last checkpoint"

# The script of a hidden widget that connects an element of the page to Python.
LINK_MODULE = """
const register = (model) => {
  globalThis.cplabLinks[model.get("name")] = model;
  dispatchEvent(new CustomEvent("cplab-link", {detail: model.get("name")}));
};
export default {
  initialize: ({model}) => register(model),
  render({model, el}) {
    register(model);
    el.innerHTML = model.get("page");
  },
};"""


class Task:
    """Runs some work in a thread, one at a time; `busy` says whether it is running.

    Arguments: work, called with the threading.Event that `stop` sets, returns the last message;
        notify, called with it, and whether it is an error; stopped, the message after `stop`.
    """

    def __init__(
        self,
        work: Callable[[threading.Event], str],
        notify: Callable[[str, bool], Any],
        stopped: str = PAUSED,
    ) -> None:
        self._work, self._notify, self._stopped = work, notify, stopped
        self._halt, self.done, self.busy = threading.Event(), threading.Event(), False
        self.stop, self.wait = self._halt.set, self.done.wait  # wait takes seconds

    def start(self) -> None:
        """Start, unless it is running."""
        if not self.busy:
            self._halt.clear()
            self.done.clear()
            self.busy = True
            threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        message, error = "stopped by an error", True
        try:
            message, error = self._work(self._halt), False
        except Cancelled:
            message, error = self._stopped, False
        except CplabError as problem:
            message = str(problem)
        except Exception as problem:
            message = str(problem)
            raise
        finally:
            self.busy = False
            try:
                self._notify(message, error)
            finally:
                self.done.set()


class Job(w.HBox):
    """A button that starts some work, a message, a progress bar, and a button that stops it.

    Arguments: words, on the button; work and stopped, as in Task; locked, controls that are
        disabled during the work; shown, what else changes meanwhile.
    """

    busy = property(lambda self: self.task.busy)

    def __init__(
        self,
        words: str,
        work: Callable[[threading.Event], str],
        locked: Sequence[w.Widget] = (),
        stopped: str = PAUSED,
        shown: Sequence[w.Widget] = (),
    ) -> None:
        self.task, self._locked = Task(work, self._end, stopped), locked
        self.wait = self.task.wait
        fixed = {"flex": "0 0 auto", "width": "auto"}  # however long the messages are
        self.start = w.Button(description=words, button_style="primary", layout=fixed)
        self.stop = w.Button(description="Stop", disabled=True, layout=fixed)
        self.message = w.HTML()
        self.progress = w.IntProgress(min=0, max=1, layout={**fixed, "width": "140px"})
        line = [self.start, self.message, self.progress, self.stop]
        colab = "google.colab" in sys.modules
        self._pulse = Pulse(self.task.done, [*line, *locked, *shown]) if colab else None
        line += [self._pulse] if self._pulse else []
        super().__init__(line, layout={"align_items": "center"})
        self.start.on_click(self._begin)
        self.stop.on_click(lambda _: self.task.stop())

    def _begin(self, button: Any) -> None:
        if not self.busy:
            self._lock(True)
            self.task.start()
        if self._pulse:
            self._pulse.going = True

    def _lock(self, busy: bool) -> None:
        """Disable the controls during the work, and Stop otherwise."""
        self.stop.disabled = not busy
        for control in (self.start, *self._locked):
            control.disabled = busy

    def _end(self, message: str, error: bool) -> None:
        self._lock(False)
        self.message.value = error_html(message) if error else message


class Pulse(anywidget.AnyWidget):
    """Lets a thread draw on Colab, where a page gets messages only in answer to its own.

    During the work the page sends messages, always two at a time, and Python answers each after a
    moment; between two of them a click on Stop gets its turn. In the end all states are sent again.

    Arguments: done, an event that is set when the work has ended; widgets, which show the work.
    """

    _esm = """export default {render({model}) {
      const ask = () => model.get("going") && model.send({});
      model.on("change:going", () => { ask(); ask(); });
      model.on("msg:custom", ask);
    }}"""
    going = traitlets.Bool(False).tag(sync=True)

    def __init__(self, done: threading.Event, widgets: Sequence[w.Widget]) -> None:
        super().__init__()
        self._ended, self._widgets = done, widgets
        self.on_msg(self._answer)

    def _answer(self, *message: Any) -> None:
        if self._ended.wait(0.25):
            self.going = False
            for widget in self._widgets:
                widget.send_state()
        self.send({})


class Clock:
    """Reports after each epoch how far training is and how much longer it takes. Only epochs
    trained here count; those from a checkpoint take no time.

    Arguments: job, whose message and bar are set, or None; epochs to train in all; expected, the
        seconds for all of them, if known.
    """

    def __init__(self, job: Job | None, epochs: int, expected: float | None = None) -> None:
        self.job, self.epochs, self.done, self.message = job, max(1, epochs), 0, ""
        self._times, self._paces = [time.monotonic()], list[float]()
        self._guess = math.nan if expected is None else expected / self.epochs
        if job:
            job.progress.value, job.progress.max = 0, self.epochs

    @property
    def seconds(self) -> float:
        """The seconds from the start to the last epoch."""
        return self._times[-1] - self._times[0]

    def __call__(self, run: Any, row: dict) -> None:
        if "epoch" not in row:
            return
        self._times.append(time.monotonic())
        seconds = self._times[-1] - self._times[-2]
        if seconds > 0.5 * row.get("seconds", 0):
            self._paces.append(seconds)
        self.done = min(self.done + 1, self.epochs)
        self.message = f"epoch {row['epoch'] + 1} of {run.epochs}: {self.in_words()}"
        if self.job:
            self.job.progress.value, self.job.message.value = self.done, self.message

    def in_words(self) -> str:
        """Write how much longer it takes, by the last five epochs, as other work comes and goes."""
        paces = self._paces[1:] or self._paces  # the first epoch includes loading images
        pace = float(np.median(paces[-5:])) if paces else self._guess
        remaining = pace * (self.epochs - self.done)
        if math.isnan(remaining):
            return "the first epoch shows how long it takes"
        return f"{format_duration(remaining)} left" if remaining >= 1 else "nearly done"


def deficit_windows(run: Run) -> list[tuple[str, int, int]]:
    """Each deficit of a run with its first epoch and the epoch after its last."""
    parts = [(run.deficit, run.onset, run.end)] if run.length else []
    return parts + [(w.deficit, w.onset, w.onset + w.length) for w in run.windows]


# Parts of widgets ---------------------------------------------------------------------------------


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
