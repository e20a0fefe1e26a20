"""Small networks that grow up while one looks on: a widget for a notebook, where Python trains, and
a page without Python, where the browser does. `tiny.js` beside this file draws both.
"""

import base64
import gzip
import json
import threading
from collections.abc import Mapping
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from cplab import results
from cplab.digits import drawn
from cplab.errors import whole
from cplab.lab.explorer import look, shares
from cplab.lab.jobs import Task, Throttle, trains_here
from cplab.lab.link import Link, script
from cplab.previews import shrink
from cplab.runs import Run
from cplab.specs.profiles import PROFILES
from cplab.statistics import student

MARKUP = Path(__file__).with_name("tiny.html").read_text("utf-8")
SCRIPT = script("tiny", "cplab-nursery")
TINY = PROFILES["tiny"]
TRAIN = 3_000  # digits that a page holds; each of its networks learns some of them
WINDOW = 300  # epochs at whose end the latest deficit ends
KINDS = {  # a deficit: its button, and the beginning of a sentence
    "mosaic": ("blur", "Blurred"),
    "flip": ("upside down", "Upside down"),
    "noise": ("noise", "Shown noise"),
    "permute": ("wrong names", "Taught wrong names"),
}
KNOBS = {
    "digits": ("digits to learn", (100, 300, 1000)),
    "layers": ("hidden layers", (1, 2, 3)),
    "scale": ("initial weights, times He's", (0.1, 0.3, 1)),
    "rate": ("learning rate", (0.03, 0.1, 0.3)),
    "block": ("blur, pixels a side", (2, 3, 4, 6)),
}
PLACE = {"kind": "mosaic", "onset": 0, "length": 200, "recovery": TINY.recovery}
PLACE |= {"digits": TINY.train_images, "layers": 2, "scale": 0.3, "rate": TINY.fixed_lr, "block": 3}
OWN, ANSWERS = "own_images_right", "answers"  # measurements
WHY = "Why: own digits that they get right when clear, %"


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
    buttons = (
        f'<button type="button" name="kind" value="{name}">{words}</button>'
        for name, (words, _) in KINDS.items()
    )
    fields = (
        f'<label>{escape(words)} <select name="{name}">'
        + "".join(f"<option>{value}</option>" for value in values)
        + "</select></label>"
        for name, (words, values) in KNOBS.items()
    )
    markup = MARKUP.format(
        kinds="".join(buttons),
        knobs="".join(fields),
        window=WINDOW,
        share=100 * WINDOW / (WINDOW + TINY.recovery),
        why=WHY,
        hidden="" if why else " hidden",
        knobless="" if knobs else " hidden",
    )
    return {
        "html": markup,
        "kinds": {
            name: {**look(name, ""), "label": words, "participle": participle}
            for name, (words, participle) in KINDS.items()
        },
        "place": PLACE,
        "fixed": {"width": TINY.width, "every": 5},
        "window": WINDOW,
        "range": [40, 90],
        "networks": networks,
        "seed": seed,
        "t": student(np.arange(1, 100)).tolist(),
        "words": {
            "begin": "Does a childhood in a blur leave a mark? Drag the blur, and press Train.",
            "empty": "Here they will grow up",
            "growing": "They grow up …",
            "digits": "Digits, and what the network sees of them",
            "wrong": "Only the deprived get these wrong",
            "none": "No digit that only the deprived get wrong",
        },
        "digits": digits(),
    }


def page(given: dict | None = None, link: str = "") -> str:
    """The widget as HTML that needs neither Python nor a network.

    Arguments: given, by default `content()`; link, the name of the Link to Python, if any.
    """
    text = json.dumps(given or content(), separators=(",", ":")).replace("<", "\\u003c")
    data = f'<script type="application/json">{text}</script>'
    return f'<cplab-nursery data-link="{link}">{data}</cplab-nursery>'


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

    def __init__(
        self, networks: int = 20, seed: int = 100, why: bool = True, knobs: bool = True
    ) -> None:
        self.networks = whole("networks", networks, 1, 50)
        self.content = content(min(networks, 5), whole("seed", seed, 0, 10**6), why, knobs)
        self.link = Link(SCRIPT)
        self.link.on_msg(self._handle_message)
        self._wanted: dict[str, Any] = {}
        self._task = Task(self._work, self._end, stopped="")

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Any:
        text, shown = self.content["words"]["begin"], page(self.content, self.link.name)
        return self.link.bundle(text, shown, SCRIPT)

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
        place, key = self._wanted["train"], self._wanted["key"]
        spoilt = [run_at(place, seed) for seed in self._wanted["seeds"]]
        arms = dict.fromkeys(spoilt, "spoilt")
        arms |= {run.without_window(): "control" for run in spoilt}
        times = {run: epochs_tested(run) for run in arms}
        tested = {epoch for epochs in times.values() for epoch in epochs}
        waiting: list[dict] = []

        def send() -> None:
            self.link.send({"key": key, "tests": waiting[:]})
            waiting.clear()

        def note(run: Run, epoch: int, right: float, own: float, answers: str = "") -> None:
            if epoch + 1 not in times[run]:
                return
            test = {"seed": run.seed, "arm": arms[run], "epoch": epoch + 1}
            test |= {"right": 100 * right, "own": 100 * own}
            waiting.append(test | ({"answers": [*map(int, answers)]} if answers else {}))

        throttle = Throttle(send)

        def report(of: Run, row: dict) -> None:
            epoch = row.get("epoch")
            if epoch is not None and epoch + 1 in tested:
                own = row["measured"][OWN]
                for run in arms:
                    if run == of or shares(of, run, epoch):
                        note(run, epoch, row["test_accuracy"], own)
                throttle()

        measure = {OWN: sorted(epoch - 1 for epoch in tested), ANSWERS: "end"}
        for run, result in results.collect([*arms], measure, stop=stop, report=report):
            own, right = result.measured[OWN], result.series("test_accuracy")
            for epoch in sorted(own):
                answers = result.measured[ANSWERS] if epoch == run.epochs - 1 else {}
                note(run, epoch, right[epoch], own[epoch], *answers.values())
            throttle()
        send()
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
