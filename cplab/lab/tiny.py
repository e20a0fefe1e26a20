"""Small networks that grow up while one looks on: a widget for a notebook, where Python trains, and
a page without Python, where the browser does, by `networks.js`. `tiny.js` draws both.
"""

import base64
import gzip
import json
import textwrap
import threading
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from IPython.display import display

from cplab import quantities, results
from cplab.digits import drawn
from cplab.errors import whole
from cplab.estimates import estimate, student
from cplab.lab.explorer import look, shares
from cplab.lab.jobs import Task, Throttle, trains_here
from cplab.lab.link import Link, script
from cplab.lab.questions import Shown
from cplab.previews import shrink
from cplab.runs import Run
from cplab.specs.profiles import PROFILES

MARKUP = Path(__file__).with_name("tiny.html").read_text("utf-8")
SCRIPT = script("cplab-nursery", "unzip", "screen", "networks", "tiny")
TINY = PROFILES["tiny"]
TRAIN = 3_000  # digits that a page holds; each of its networks learns some of them
WINDOW = 300  # epochs at whose end the latest deficit ends
KINDS = {  # a deficit, and the beginning of a sentence
    "mosaic": "Blurred",
    "flip": "Upside down",
    "noise": "Shown noise",
    "permute": "Taught wrong names",
}
NAMES = (3, 5, 7, 6, 1, 9, 2, 0, 4, 8)  # that `permute` gives to the ten classes
PLACE = {"kind": "mosaic", "onset": 0, "length": 200, "recovery": TINY.recovery}
PLACE |= {"digits": TINY.train_images, "layers": 2, "scale": 0.3, "rate": TINY.fixed_lr, "block": 3}
OWN, ANSWERS = "own_images_right", "answers"  # measurements
BEGIN = "Does a childhood in a blur leave a mark? Drag the blur, and press Train."
STILL = "Small networks grow up here: run this cell, or allow the page its scripts."


@cache
def digits(train: int = TRAIN) -> dict[str, Any]:
    """Drawn digits for tiny.js: all test images and the first `train` training images, as base64 of
    gzip of two pixels a byte, in 16 greys, and a label a byte; their mean and deviation.

    >>> digits(300)["test"]
    1000
    """
    arrays, test = drawn(), TINY.test_images
    pixels, labels = (
        np.concatenate([arrays[f"train_{part}"][:train], arrays[f"test_{part}"][:test]])
        for part in "xy"
    )
    greys = np.rint(shrink(pixels, TINY.size).reshape(-1, 2) / 17).astype(np.uint8)
    packed = (greys[:, 0] << 4 | greys[:, 1]).tobytes() + labels.astype(np.uint8).tobytes()
    seen = greys.reshape(len(labels), -1)[:train] / 15
    return {
        "packed": base64.b64encode(gzip.compress(packed, mtime=0)).decode(),
        "train": train,
        "test": test,
        "average": seen.mean(),
        "deviation": seen.std(),
    }


def content(networks: int = 5, seed: int = 0, why: bool = True, knobs: bool = True) -> dict:
    """All that tiny.js needs, as plain data.

    Arguments: networks that one press trains; the first one's seed; whether the figure that tells
        the reason is shown; whether there are knobs.
    """
    return {
        "html": MARKUP,
        "why": why,
        "knobs": knobs,
        "kinds": {kind: {**look(kind, ""), "words": words} for kind, words in KINDS.items()},
        "place": PLACE,
        "fixed": {"width": TINY.width, "every": 5, "names": NAMES},
        "window": WINDOW,
        "range": [0, 100],
        "networks": networks,
        "seed": seed,
        "t": student(np.arange(1, 100)).tolist(),
        "begin": BEGIN,
        "digits": digits(),
    }


def page(given: dict | None = None, link: str = "") -> str:
    """The widget as HTML that needs neither Python nor a network.

    Arguments: given, by default `content()`; link, the name of the Link to Python, if any.
    """
    text = json.dumps(given or content(), separators=(",", ":")).replace("<", "\\u003c")
    data = f'<script type="application/json">{text}</script>'
    return f'<cplab-nursery data-link="{link}"><p>{STILL}</p>{data}</cplab-nursery>'


class Nursery:
    """One screen: drag a deficit along the childhood of small networks, press once, and see them
    grow up beside their twins, which are spared it. Python trains them, as runs of the profile
    `tiny`; where there is none, the browser does.

    Arguments: networks that one press trains; seed of the first one, by default one of which
        nothing is shipped; why, whether the figure that tells the reason is shown; knobs, whether
        there are any.

    >>> Nursery(networks=2).networks
    2
    """

    _harms: ClassVar[dict[str, dict[int, float]]] = {}  # in points, by place and seed

    def __init__(
        self, networks: int = 20, seed: int = 100, why: bool = True, knobs: bool = True
    ) -> None:
        self.networks = whole("networks", networks, 1, 50)
        self.content = content(min(self.networks, 5), whole("seed", seed, 0, 10**6), why, knobs)
        self.link = Link(SCRIPT)
        self.link.on_msg(self._handle_message)
        self._below: Any = None  # the output below the screen
        self._task = Task(self._work, self._end, stopped="")

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Any:
        return self.link.bundle(BEGIN, page(self.content, self.link.name), SCRIPT)

    def _ipython_display_(self) -> None:
        """Show the screen, and below it the figure of what is trained: a saved notebook has it."""
        screen: Any = self._repr_mimebundle_()
        data, metadata = screen if isinstance(screen, tuple) else (screen, {})
        display(data, metadata=metadata, raw=True)
        self._below = display(self.figure if self._harms else Shown("", None, ""), display_id=True)

    @property
    def figure(self) -> Any:
        """The harm of what was trained in this kernel, a dot a network; None before."""
        from cplab import show  # with matplotlib, which the screen does without

        every = {words: [*harms.values()] for words, harms in self._harms.items()}
        rows = {textwrap.fill(f"{w}: {estimate(row)}", 60): row for w, row in every.items()}
        title, height = "What was trained here", 100 + 40 * len(rows)
        return show.forest(rows, "harm, points", title, height=height) if rows else None

    def wait(self, seconds: float) -> bool:
        """Wait for training to end; False if it has not by then."""
        return self._task.wait(seconds)

    def _handle_message(self, widget: Any, message: dict, buffers: Any) -> None:
        """Handle a message of the page: a greeting, or a press on Train or Stop."""
        if "hello" in message:
            if trains_here():
                self.link.send({"offers": {"python": True, "networks": self.networks}})
        elif "train" in message:
            self._task.wait(5)  # for one that was stopped
            self._wanted = message
            self._task.start()
        elif "stop" in message:
            self._task.stop()

    def _end(self, words: str, error: bool) -> None:
        if error:
            self.link.send({"failed": words})

    def _work(self, stop: threading.Event) -> str:
        """Train what the page asked for, and send each network's tests as they come."""
        wanted = self._wanted
        spoilt = [run_at(wanted["train"], seed) for seed in wanted["seeds"]]
        arms = dict.fromkeys(spoilt, "spoilt")
        arms |= {run.without_window(): "control" for run in spoilt}
        tested = {run: epochs_tested(run) for run in arms}
        waiting: list[dict] = []

        def send() -> None:
            tests = [waiting.pop(0) for _ in range(len(waiting))]  # others may come meanwhile
            self.link.send({"key": wanted["key"], "tests": tests})

        throttle = Throttle(send)

        def note(run: Run, epoch: int, right: float, own: float, answers: str = "") -> None:
            test = {"seed": run.seed, "arm": arms[run], "epoch": epoch + 1}
            test |= {"right": 100 * right, "own": 100 * own}
            waiting.append(test | ({"answers": [*map(int, answers)]} if answers else {}))

        def report(of: Run, row: dict) -> None:
            epoch = row.get("epoch", -1)
            for run in arms:
                if epoch + 1 in tested[run] and (run == of or shares(of, run, epoch)):
                    note(run, epoch, row["test_accuracy"], row["measured"][OWN])
            throttle()

        every = set().union(*tested.values())
        measure = {OWN: sorted(epoch - 1 for epoch in every), ANSWERS: "end"}
        for run, result in results.collect([*arms], measure, stop=stop, report=report):
            right = result.series("test_accuracy")
            own, answers = result.measured[OWN], result.measured[ANSWERS]
            for epoch in sorted(epoch - 1 for epoch in tested[run]):
                note(run, epoch, right[epoch], own[epoch], answers.get(epoch, ""))
            throttle()
        throttle.finish()
        harms = self._harms.setdefault(wanted["words"], {})
        run = run_at(wanted["train"], wanted["seeds"][0])
        harms.update(quantities.harm(run, seeds=wanted["seeds"]).by_seed)
        if self._below:
            self._below.update(self.figure)
        return ""


def run_at(place: Mapping[str, Any], seed: int) -> Run:
    """The run of a point of the page.

    >>> run_at(PLACE | {"block": 4, "layers": 3}, seed=7).deficit
    'mosaic-4'
    """
    kind, layers, scale = place["kind"], place["layers"], place["scale"]
    return Run(
        f"mosaic-{place['block']}" if kind == "mosaic" else kind,
        **{name: place[name] for name in ("onset", "length", "recovery")},
        profile=TINY.name,
        images=place["digits"],
        model=f"mlp{layers}" + {0.1: "_tenth", 1: "_he"}.get(scale, ""),
        rate=place["rate"] / TINY.fixed_lr,
        seed=seed,
    )


def epochs_tested(run: Run) -> set[int]:
    """The epochs, from 1, after which a network of the page is tested: each fifth, those at which
    its phases end, and the last five, whose mean is the final accuracy."""
    ends = {run.onset, run.onset + run.length} - {0}
    return {*range(5, run.epochs + 1, 5), *ends, *range(run.epochs - 4, run.epochs + 1)}
