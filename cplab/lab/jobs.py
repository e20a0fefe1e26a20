"""Work in a thread that is started with a button, with its message and progress."""

import html
import math
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from importlib.util import find_spec
from typing import Any

import anywidget
import ipywidgets as w
import traitlets

from cplab import results
from cplab.errors import Cancelled, CplabError, installed
from cplab.lab.link import COLAB
from cplab.results.api import format_duration, parts
from cplab.runs import Run

PAUSED = "stopped: Train goes on from the last checkpoint"
DOUBLE = 0.5  # seconds in which a second press is that of a double-click, and stops nothing
FIRST_TENTH = 0.1  # of all epochs, until which the pace is no more than a hint
SMOOTH = 3.0  # seconds in which what is said of the time left follows what is measured
NEARLY = 3.0  # seconds


def trains_here() -> bool:
    """Whether networks can be trained here: with the libraries for it, and in threads."""
    return sys.platform != "emscripten" and all(map(find_spec, ("torch", "loky")))


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
        self.done.set()  # nobody has to wait before there is work
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
            with installed():
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


class Job(w.VBox):
    """A button that starts some work, and then stops it, with a message, a progress bar and, below,
    a picture. Where a saved notebook is read without Python, as on GitHub, it is the picture with
    which it began.

    Arguments: words, on the button before the work; work and stopped, as in Task; controls, above,
        which are disabled during the work.
    """

    def __init__(
        self,
        words: str,
        work: Callable[[threading.Event], str],
        controls: Sequence[w.Widget] = (),
        stopped: str = PAUSED,
    ) -> None:
        self.task, self._words, self._locked = Task(work, self._end, stopped), words, controls
        self.wait = self.task.wait
        fixed = {"flex": "0 0 auto", "width": "auto"}  # however long the messages are
        self.start = w.Button(description=words, button_style="primary", layout=fixed)
        self.message, self.picture = w.HTML(), w.HTML()
        self.progress = w.IntProgress(min=0, max=1, layout={**fixed, "width": "140px"})
        line: list[w.Widget] = [self.start, self.message, self.progress]
        self._pulse, self._began = None, 0.0
        if COLAB in sys.modules:
            self._pulse = Pulse(self.task.done, [*line, *controls, self.picture])
            line = [*line, self._pulse]
        above = w.HBox(controls, layout={"flex_flow": "row wrap"})
        super().__init__([above, w.HBox(line, layout={"align_items": "center"}), self.picture])
        self.start.on_click(self._press)

    def _repr_mimebundle_(self, **options: Any) -> Any:
        figure = self.picture.value or "<p>Nothing was trained when this cell ran.</p>"
        words = {"text/plain": "a button that trains, and its figure", "text/html": figure}
        return super()._repr_mimebundle_(**options) | words

    def _press(self, button: Any) -> None:
        if self.task.busy:
            return self.task.stop() if time.monotonic() > self._began + DOUBLE else None
        self._began = time.monotonic()
        self._lock(True)
        self.task.start()
        if self._pulse:
            self._pulse.going = True

    def _lock(self, busy: bool) -> None:
        """Disable the controls during the work, for which the button says Stop."""
        self.start.description = "Stop" if busy else self._words
        for control in self._locked:
            control.disabled = busy

    def _end(self, message: str, error: bool) -> None:
        self._lock(False)
        red = f'<span style="color:#c00">{html.escape(message)}</span>'
        self.message.value = red if error else message


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


def count_epochs(runs: Iterable[Run]) -> int:
    """How many epochs are trained for runs, those that they share once.

    >>> count_epochs([Run("blur", 4, 8), Run("blur", 4, 12)])
    43
    """
    return sum(epochs for _, epochs, _ in parts(runs))


def seconds_here(specs: Sequence[Any], measure: Any = ()) -> float | None:
    """How many seconds specs take here, with all cores; None where nothing tells."""
    seconds = results.estimate(specs, measure)
    if seconds is None or not trains_here():
        return seconds
    import loky

    return seconds / max(1, min(loky.cpu_count(), len(specs)))


class Clock:
    """Counts the epochs that were trained, and says how much longer the rest takes.

    What is done of all epochs, over the time since the press, gives the pace. Reports come in
    bursts, so that the pace of the last few says nothing; what is said is smoothed, and until a
    tenth is done it leans on what was expected.

    Arguments: epochs to train in all; expected, the seconds for all of them, if known.
    """

    def __init__(self, epochs: int, expected: float | None = None) -> None:
        self.epochs = max(1, epochs)
        self.done = 0
        self._began = self._asked = time.monotonic()
        self._total = expected  # seconds for all of it, as far as can be told

    def __call__(self, run: Run, row: dict) -> None:
        """Count one epoch, whose row a run reports."""
        if "epoch" in row:
            self.done = min(self.done + 1, self.epochs)

    @property
    def left(self) -> float | None:
        """The seconds that the rest takes, None where nothing tells."""
        now = time.monotonic()
        elapsed = now - self._began
        since, self._asked = now - self._asked, now
        least = 0.0
        if self.done:
            measured = elapsed * self.epochs / self.done
            if self._total is None:
                self._total = measured
            trust = min(1.0, self.done / self.epochs / FIRST_TENTH)
            follow = 1 - math.exp(-since / SMOOTH)
            self._total += trust * follow * (measured - self._total)
            least = 0.5 * trust * (measured - elapsed)  # however short it was expected to be
        if self._total is None:
            return None
        return max(self._total - elapsed, least)

    @property
    def message(self) -> str:
        """How many epochs are done, and how much longer it takes."""
        done = f"{self.done:,} of {self.epochs:,} epochs"
        left = self.left
        if left is None:
            return f"{done}: the first ones show how long it takes"
        if left < NEARLY and self.done >= 0.9 * self.epochs:
            return f"{done}: nearly done"
        return f"{done}: {format_duration(max(left, 1.0))} left"

    def took(self) -> str:
        """Write how long all of it took."""
        return format_duration(time.monotonic() - self._began).removeprefix("about ")


class Throttle:
    """Draws soon after something has changed: at most once in `seconds`, however often it is told,
    and always once more after the last change. Whatever tells a page something while work goes on
    does it in here, since Jupyter's server drops what comes in a flood.

    Arguments: draw, called in a thread of its own; seconds, between the end of a drawing and the
        next one; failed, called with what a drawing raises, which ends nothing else.
    """

    def __init__(
        self,
        draw: Callable[[], Any],
        seconds: float = 0.1,
        failed: Callable[[Exception], Any] | None = None,
    ) -> None:
        self.draw, self.seconds, self.failed = draw, seconds, failed
        self._lock = threading.Lock()
        self._due = False
        self._thread: threading.Thread | None = None  # while there is something to draw
        self._hurry = threading.Event()

    def __call__(self) -> None:
        """Draw soon."""
        with self._lock:
            self._due = True
            if self._thread is None:
                self._thread = threading.Thread(target=self._go_on, daemon=True)
                self._thread.start()

    def finish(self) -> None:
        """Return once the last change is drawn."""
        self._hurry.set()
        while thread := self._thread:
            thread.join()
        self._hurry.clear()

    def _go_on(self) -> None:
        """Draw, and again as long as something changes."""
        while True:
            with self._lock:
                if not self._due:
                    self._thread = None
                    return
                self._due = False
            try:
                self.draw()
            except Exception as error:
                if self.failed is None:
                    traceback.print_exc()
                else:
                    self.failed(error)
            self._hurry.wait(self.seconds)
