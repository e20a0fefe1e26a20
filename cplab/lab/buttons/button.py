"""Work in a thread that is started with a button, with its message and progress."""

import html
import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from typing import Any, NamedTuple

from cplab.base.errors import Cancelled, CplabError, installed, one_of, why_no_torch
from cplab.engine import workers
from cplab.lab.screen.link import COLAB, WHERE, Link, Output, script
from cplab.results import Request
from cplab.results.duration import format_duration, progress_in_words
from cplab.results.requests import News

SCRIPT = script("cplab-train", "screen/screen", "buttons/training", "buttons/button")
NOT_HERE = "Training needs PyTorch, which is missing here. All results can be seen."
LOOK_EVERY = 2  # seconds between two looks whether torch has come
PAUSED = "stopped: Train goes on from the last checkpoint"
MESSAGE_PAUSE = 1 / 30  # seconds between two messages to pages, of whatever work
TELL_EVERY = 0.2  # seconds between two messages about how far training is


def trains_here() -> bool:
    """Whether networks can be trained here: where the libraries are, but not while pages are
    written that will be read without Python (`CPLAB_TRAINS=no`)."""
    if os.environ.get("CPLAB_TRAINS") == "no":
        return False
    return all(find_spec(library) for library in ("torch", "loky"))


def will_train_here() -> bool:
    """Whether networks can be trained here, or might be later, while torch is being installed."""
    return os.environ.get("CPLAB_TRAINS") != "no" and (trains_here() or bool(why_no_torch()))


def why_not() -> str:
    """Why nothing can be trained here; empty if something can."""
    return "" if trains_here() else why_no_torch() or NOT_HERE


def greet(link: Link) -> None:
    """Answer a page that is shown: Python is there, and may say why nothing can be trained. If
    something can, a worker starts, so that a press does not have to wait for it. While torch is
    being installed, the page hears of it when that ends."""
    why = why_not()
    if not why:
        workers.warm()
    link.send({"alive": True, "why": why})
    if why and why != NOT_HERE:
        threading.Thread(target=greet_again, args=(link, why), daemon=True).start()


def greet_again(link: Link, why: str) -> None:
    """Greet a page as soon as there is something else to say than `why`."""
    while why_not() == why:
        time.sleep(LOOK_EVERY)
    greet(link)


class HowFar(NamedTuple):
    """How far some work is."""

    done: int  # epochs that are trained
    epochs: int  # of so many
    words: str  # the same in words, and how long the rest takes


class Task:
    """Some work that a page starts and stops, in a thread, one at a time; `busy` says whether it is
    running. The page is told how far it is, and the last message.

    Arguments:
        link: to the page.
        work: a function that is called with the threading.Event that `stop` sets, and returns the
            last message.
        stopped: the message after `stop`.
    """

    def __init__(
        self, link: Link, work: Callable[[threading.Event], str], stopped: str = PAUSED
    ) -> None:
        self.link = link
        self._work = work
        self._stopped = stopped
        self.busy = False
        self.done = threading.Event()
        self.done.set()  # nobody has to wait before there is work
        self.wait = self.done.wait  # takes seconds
        self._halt = threading.Event()
        self.stop = self._halt.set
        link.on_msg(self._handle_message)

    def start(self) -> None:
        """Start, unless it is running."""
        if self.busy:
            return
        self._halt.clear()
        self.done.clear()
        self.busy = True
        self.tell(HowFar(0, 1, ""))  # in answer to the page, which on Colab hears of nothing else
        threading.Thread(target=self._run, daemon=True).start()

    def tell(self, now: HowFar, **more: Any) -> None:
        """Tell the page how much is done, in one message; more, what else it shows, see `Live`."""
        live: dict[str, Any] = {"busy": True, "colab": COLAB in sys.modules}
        live |= {"done": now.done, "epochs": now.epochs, "count": now.words}
        self.link.tell(**live, **more)

    def _handle_message(self, widget: Link, content: dict[str, Any], buffers: object) -> None:
        """Handle a message of the page: a greeting, a press, a wait."""
        if "hello" in content:
            greet(self.link)
        elif "train" in content:
            self.start()
        elif "stop" in content:
            self.stop()
        elif "wait" in content:
            self.link.answer_wait(self.done)

    def _run(self) -> None:
        message = "stopped by an error"
        error = True
        try:
            with installed():
                message = self._work(self._halt)
            error = False
        except Cancelled:
            message = self._stopped
            error = False
        except CplabError as problem:
            message = str(problem)
        except Exception as problem:
            message = str(problem)
            raise
        finally:
            self.busy = False
            self.link.tell(message=message, error=error)
            self.done.set()


class Choice(NamedTuple):
    """A menu above a button.

    Attributes:
        label: what stands beside it.
        options: the value of each choice, by the words that stand in the menu.
        first: the words that are chosen at first.
    """

    label: str
    options: Mapping[str, Any]
    first: str


class TrainButton:
    """A button that starts some work and then stops it, with a progress bar and a message beside
    it, and a picture below. A saved notebook that is read without Python, as on GitHub, has only
    the picture with which it began.

    `press` does what the button does, and `wait` waits for the end. `message` and `picture` (HTML)
    are what is shown, `chosen` has the values of the menus.

    Arguments:
        words: on the button before the work.
        work, stopped: as in Task.
        choices: menus, by name; they are disabled during the work.
        above: HTML in front of the button.
    """

    def __init__(
        self,
        words: str,
        work: Callable[[threading.Event], str],
        choices: Mapping[str, Choice] | None = None,
        stopped: str = PAUSED,
        above: str = "",
    ) -> None:
        self.words = words
        self.choices = dict(choices or {})
        self.above = above
        self._picture = ""
        chosen = {name: choice.first for name, choice in self.choices.items()}
        self.link = Link(SCRIPT, state=chosen)
        self.task = Task(self.link, work, stopped)
        self.tell = self.task.tell
        self.wait = self.task.wait

    # What is shown --------------------------------------------------------------------------------

    @property
    def message(self) -> str:
        """The last line beside the button."""
        return self.link.live.get("message", "")

    @message.setter
    def message(self, line: str) -> None:
        self.link.live = {**self.link.live, "message": line}

    @property
    def picture(self) -> str:
        """The figure below the button, as HTML."""
        return self._picture

    @picture.setter
    def picture(self, page: str) -> None:
        self._picture = page
        self.link.content = page

    @property
    def chosen(self) -> dict[str, Any]:
        """The value that is chosen in each menu."""
        state = self.link.state
        return {name: choice.options[state[name]] for name, choice in self.choices.items()}

    def choose(self, **words: str) -> None:
        """Choose in menus, by their names, what stands in them."""
        for name, option in words.items():
            one_of("what is chosen", name, self.choices)
            one_of(name, option, self.choices[name].options)
        self.link.state = {**self.link.state, **words}

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> Output:
        return self.link.bundle("a button that trains, and its figure", self.page(), SCRIPT)

    def page(self) -> str:
        """The button and its figure as HTML, without the script."""
        data = json.dumps({"html": self._controls()}).replace("<", "\\u003c")
        return (
            f'<cplab-train data-link="{self.link.name}">{self.above}'
            f'<div class="cplab-figure">{self._picture}</div><p>{WHERE}</p>'
            f'<script type="application/json">{data}</script></cplab-train>'
        )

    def _controls(self) -> str:
        """The menus, the button and what is said of the work, as HTML."""
        menus = "".join(write_menu(name, choice) for name, choice in self.choices.items())
        words = html.escape(self.words)
        return (
            f'<div class="cplab-s cplab-button"><div>{menus}'
            f'<button type="button" data-is="start" data-words="{words}">{words}</button>'
            '<progress data-is="progress" aria-label="epochs trained"></progress>'
            '<span data-is="count"></span><span role="status" data-is="message"></span>'
            "</div></div>"
        )

    # What is done ---------------------------------------------------------------------------------

    def press(self) -> None:
        """Start the work, or stop it."""
        if self.task.busy:
            self.task.stop()
        else:
            self.task.start()


def write_menu(name: str, choice: Choice) -> str:
    """Write a menu as HTML."""
    options = "".join(f"<option>{html.escape(words)}" for words in choice.options)
    select = f'<select name="{name}">{options}</select>'
    return f"<label>{html.escape(choice.label)} {select}</label>"


# Training -----------------------------------------------------------------------------------------


def how_far(requests: Sequence[Request]) -> HowFar:
    """How far the training of some requests is, which are trained one after the other.

    >>> from cplab import Run
    >>> how_far([Request([Run("blur", 77, 7)])]).words
    '0 of 99 epochs'
    """
    done = sum(request.done for request in requests)
    epochs = sum(request.epochs for request in requests)
    began = [request.began for request in requests if request.began is not None]
    return HowFar(done, epochs, progress_in_words(done, epochs, min(began, default=None)))


def train_requests(
    requests: Sequence[Request],
    tell: Callable[[HowFar], object],
    hear: Callable[[Request, News], object] = lambda request, news: None,
) -> str:
    """Train what requests ask for, one after the other, in this thread.

    Arguments:
        requests: the requests.
        tell: called a few times a second with how far it is.
        hear: called with a request and its news, as `Request.listen` has it.

    Returns:
        how long it took, in words.

    Raises:
        what `Request.train` raises.
    """
    began = time.monotonic()
    tell_soon = Throttle(lambda: tell(how_far(requests)), TELL_EVERY)
    tell_soon()
    try:
        for request in requests:
            request.listen(hear)
            request.listen(lambda request, news: tell_soon())
            for _ in request.train():
                pass
    finally:
        tell_soon.finish()
    return format_duration(time.monotonic() - began).removeprefix("about ")


class Throttle:
    """Draws soon after something has changed: at most once in `seconds`, however often it is
    called, and always once more after the last change.

    Whatever tells a page something while work goes on goes through a Throttle, since Jupyter's
    server drops messages that come in a flood. All together draw at most 30 times a second.

    Arguments:
        draw: called in a thread of its own, where an error is printed.
        seconds: between the end of a drawing and the next one.
    """

    _turn = threading.Lock()  # held by the one that draws

    def __init__(self, draw: Callable[[], object], seconds: float) -> None:
        self.draw = draw
        self.seconds = seconds
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
            with Throttle._turn:
                try:
                    self.draw()
                except Exception:
                    traceback.print_exc()
                time.sleep(MESSAGE_PAUSE)
            self._hurry.wait(self.seconds)
