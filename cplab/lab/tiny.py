"""Small networks that grow up before your eyes: a widget in a notebook, where Python trains them,
and a page without Python, where the browser does, with `networks.js`. `tiny.js` draws both.
"""

import base64
import gzip
import hashlib
import json
import textwrap
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from IPython.display import display

from cplab import data, deficits
from cplab.deficits import Batch
from cplab.digits import drawn
from cplab.errors import CplabError, whole
from cplab.estimates import estimate, student
from cplab.lab.explorer import look
from cplab.lab.growing import GROWING, LOOK, TINY, opinions
from cplab.lab.jobs import trains_here
from cplab.lab.link import Link, script
from cplab.lab.questions import Shown
from cplab.previews import shrink

MARKUP = Path(__file__).with_name("tiny.html").read_text("utf-8")
SCRIPT = script("cplab-nursery", "unzip", "screen", "networks", "tiny")
TRAIN = 3_000  # digits that a page holds; each of its networks learns some of them
WINDOW = 300  # epochs at whose end the latest deficit ends
KINDS = {  # a deficit, and the beginning of a sentence
    "mosaic": "Blurred",
    "flip": "Upside down",
    "noise": "Shown noise",
    "permute": "Taught wrong names",
    "cover": "With a part covered",
}
LENGTH = 200  # epochs of the deficit, at first
PLACE = {"kind": "mosaic", "onset": 0, "length": LENGTH, "recovery": TINY.recovery}
PLACE |= {"digits": TINY.train_images, "layers": 2, "scale": 0.3, "rate": TINY.fixed_lr, "block": 3}
PLACE |= {"mask": deficits.MASKS["right half"]}
VERSION = hashlib.sha256(SCRIPT.encode()).hexdigest()[:12]  # of what trains on a page
NAMES = (3, 5, 7, 6, 1, 9, 2, 0, 4, 8)  # that `permute` gives to the ten classes
MOST_CLASSES = 10  # that the screen can show
BEGIN = "Does a childhood in a blur leave a mark? Drag the blur, and press Train."
STILL = "Small networks grow up here: run this cell, or allow the page its scripts."


# What a page holds --------------------------------------------------------------------------------


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
    greys = sixteen_greys(shrink(pixels, TINY.size))
    seen = greys[:train] / 15
    return {
        "packed": pack(greys, labels),
        "train": train,
        "test": test,
        "average": seen.mean(),
        "deviation": seen.std(),
    }


def other_images(dataset: str) -> dict[str, Any]:
    """The test images of another data set, as `digits` gives them; Python trains on the others."""
    images = data.shared_images(dataset, TINY.name)
    greys = sixteen_greys(images.test_x.numpy().mean(-1))
    return {
        "packed": pack(greys, images.test_y.numpy()),
        "train": 0,
        "test": len(greys),
        "average": (images.mean / 255).mean().item(),
        "deviation": (images.std / 255).mean().item(),
    }


def seen_images(deficit: str, dataset: str) -> str:
    """The test images of a data set as networks see them under a deficit, packed as in `digits`."""
    images = data.shared_images(dataset, TINY.name)
    x, y = images.normal(images.test_x), images.test_y
    count = data.classes(dataset)
    seen, _ = deficits.apply_deficit(x, y, deficit, classes=count)
    middle, spread = images.mean.view(-1, 1, 1), images.std.view(-1, 1, 1)
    pixels = (seen.cpu() * spread + middle).clamp(0, 255).mean(1)
    return pack(sixteen_greys(pixels.numpy()), y.numpy())


def sixteen_greys(pixels: np.ndarray) -> np.ndarray:
    """Greys from 0 to 15 of pixels from 0 to 255."""
    return np.rint(pixels / 17).astype(np.uint8)


def pack(greys: np.ndarray, labels: np.ndarray) -> str:
    """Images (N, SIDE, SIDE) in 16 greys, two pixels a byte, and then labels, as base64 of gzip."""
    halves = greys.reshape(-1, 2)
    content = (halves[:, 0] << 4 | halves[:, 1]).tobytes() + labels.astype(np.uint8).tobytes()
    return base64.b64encode(gzip.compress(content, mtime=0)).decode()


def content(networks: int = 20, seed: int = 0, why: bool = True, knobs: bool = True) -> dict:
    """All that tiny.js needs, as plain data.

    Arguments: networks that one press trains, at most five where a browser is slow; the first
        one's seed; whether the figure that shows why is drawn; whether there are knobs.
    """
    return {
        "html": MARKUP,
        "version": VERSION,
        "why": why,
        "knobs": knobs,
        "kinds": {kind: {**look(kind, ""), "words": words} for kind, words in KINDS.items()},
        "masks": deficits.MASKS,
        "place": PLACE,
        "usual": PLACE,
        "fixed": {"width": TINY.width, "every": 5, "look": LOOK, "names": NAMES},
        "window": WINDOW,
        "range": [0, 100],
        "networks": networks,
        "seed": seed,
        "t": student(np.arange(1, 100)).tolist(),
        "begin": BEGIN,
        "digits": digits(),
    }


def own_content(deficit: Any, model: Any, images: Any) -> dict[str, Any]:
    """The entries of `content` that a student's own deficit, network or images change.

    Raises: CplabError for a value that is none of these, or that cannot be shown.
    """
    dataset = TINY.dataset if images is None else data.check_dataset(images)
    given = {} if deficit is None else {"deficit": deficit, "length": 1}
    given |= {} if model is None else {"model": model}
    from cplab.runs import Run

    run = Run(profile=TINY.name, dataset=dataset, **given)
    changed: dict[str, Any] = {"place": dict(PLACE)}
    if images is not None:
        kinds = data.classes(dataset)
        if kinds > MOST_CLASSES:
            raise CplabError(
                f"{dataset} has {kinds} classes: the screen shows {MOST_CLASSES} at most, "
                "give fewer, or train with cplab.sweep"
            )
        count = len(data.shared_images(dataset, TINY.name).train_y)
        changed["digits"] = other_images(dataset)
        changed["place"] |= {"images": dataset, "digits": learnable(count)}
    if model is not None:
        changed["place"] |= {"model": run.model}
    if deficit is not None:
        found = deficits.find_deficit(run.deficit)
        words = f"Under \u201c{found.label}\u201d"
        own = {**look(run.deficit, ""), "words": words, "label": found.label}
        own["seen"] = seen_images(run.deficit, dataset) if find_spec("torch") else ""
        own["mask"] = mask_of(found) if find_spec("torch") else ""
        changed["own"] = {run.deficit: own}
        changed["place"] |= {"kind": run.deficit}
        changed["begin"] = f"Does \u201c{found.label}\u201d leave a mark? Press Train."
    return changed


def mask_of(deficit: deficits.Deficit) -> str:
    """The mask of a deficit that only covers a part of small images, so that a browser can train
    under it; "" for any other deficit.

    >>> mask_of(deficits.find_deficit("cover")), mask_of(deficits.find_deficit("flip"))
    ('03f03f03f03f03f03f03f03f03f03f03f03f', '')
    """
    if not deficit.of_each_image and not deficit.source:
        return ""
    import torch

    count = 64
    x = torch.randn(count, 1, TINY.size, TINY.size, generator=torch.Generator().manual_seed(0))
    y = torch.arange(count) % MOST_CLASSES
    index = torch.arange(count)
    hidden: set[bytes] = set()
    for epoch in (0, 1):
        seen, named = deficit(x.clone(), y.clone(), Batch(index, epoch=epoch, images=count))
        same = (seen == x).all(0)[0]
        grey = (seen == 0).all(0)[0]
        if not (same | grey).all() or not torch.equal(named, y):
            return ""
        hidden.add(grey.numpy().tobytes())
    if len(hidden) > 1 or not grey.any():
        return ""
    return deficits.mask_name(grey.tolist()).removeprefix("cover-")


def learnable(count: int) -> int:
    """How many of `count` images a network learns: at most as many as the profile takes, and so
    that no image is alone in its batch.

    >>> learnable(6_000), learnable(33)
    (300, 32)
    """
    most = min(count, TINY.train_images)
    return most - (most % TINY.batch == 1)


def page(given: dict | None = None, link: str = "") -> str:
    """The widget as HTML that needs neither Python nor a network.

    Arguments: given, by default `content()`; link, the name of the Link to Python, if any.
    """
    text = json.dumps(given or content(), separators=(",", ":")).replace("<", "\\u003c")
    data = f'<script type="application/json">{text}</script>'
    return f'<cplab-nursery data-link="{link}"><p>{STILL}</p>{data}</cplab-nursery>'


# The screen ---------------------------------------------------------------------------------------


class Nursery:
    """One screen: drag a deficit along the childhood of small networks, press once, and see them
    grow up beside their twins, which are spared it. Python trains them, as runs of the profile
    `tiny`; without Python, the browser does.

    Arguments: networks, how many one press trains; seed of the first one, by default one without
        shipped results; why, whether the figure that shows why is drawn; knobs, whether there are
        any; deficit and model, functions of your own, or their names; images, a name from
        `cplab.images_from`, or the name of an installed data set; onset and length of the deficit
        at first, in epochs.
    Raises: CplabError for what is none of these.

    >>> Nursery(networks=2).networks
    2
    """

    def __init__(
        self,
        networks: int = 20,
        seed: int = 100,
        why: bool = True,
        knobs: bool = True,
        *,
        deficit: Any = None,
        model: Any = None,
        images: Any = None,
        onset: int = 0,
        length: int = LENGTH,
    ) -> None:
        self.networks = whole("networks", networks, 1, 50)
        self.seed = whole("seed", seed, 0, 10**6)
        self.content = content(self.networks, self.seed, why, knobs)
        if (deficit, model, images) != (None, None, None):
            self.content |= own_content(deficit, model, images)
        whole("onset", onset, 0, WINDOW - 1)
        whole("length", length, 1, WINDOW - onset)
        self.content["place"] = self.content["place"] | {"onset": onset, "length": length}
        self.link = Link(SCRIPT)
        self.link.on_msg(self._handle_message)
        self.wait = GROWING.wait
        self._below: Any = None  # the output below the screen
        self._greeted = False

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Any:
        begin = self.content["begin"]
        return self.link.bundle(begin, page(self.content, self.link.name), SCRIPT)

    def _ipython_display_(self) -> None:
        """Show the screen, and below it the figure of what is trained: a saved notebook has it."""
        screen: Any = self._repr_mimebundle_()
        data, metadata = screen if isinstance(screen, tuple) else (screen, {})
        display(data, metadata=metadata, raw=True)
        self._below = display(self.figure or Shown("", None, ""), display_id=True)
        GROWING.changed.append(self._draw_below)

    def _draw_below(self) -> None:
        if self._below and self.figure:
            self._below.update(self.figure)

    @property
    def figure(self) -> Any:
        """The harm of what was trained in this kernel, a dot a network; None before."""
        from cplab import show  # with matplotlib, which the screen does without

        every = {place.words: [*place.harms.values()] for place in GROWING.places.values()}
        rows = {textwrap.fill(f"{w}: {estimate(row)}", 60): row for w, row in every.items()}
        title, height = "What was trained here", 100 + 40 * len(rows)
        return show.forest(rows, "harm, points", title, height=height) if rows else None

    def _handle_message(self, widget: Any, message: dict, buffers: Any) -> None:
        """Handle a message from the page: a greeting, a press on a button, a drawn digit, or a
        pulse. The answer to a pulse brings what was sent meanwhile, for pages such as Colab's."""
        if "hello" in message:
            if trains_here():
                offers = {"python": True, "networks": self.networks, "fresh": not self._greeted}
                self._greeted = True
                self.link.send({"offers": offers, **GROWING.join(self.link.send)})
                GROWING.get_ready(self.content["place"].get("images") or TINY.dataset)
        elif "train" in message:
            GROWING.ask_for(
                message["key"], message["train"], message["words"], self.networks, self.seed
            )
        elif "stop" in message:
            GROWING.stop(message["stop"])
        elif "pause" in message:
            GROWING.pause(message["pause"], message["paused"])
        elif "pulse" in message:
            self.link.send({"pulse": message["pulse"]})
        elif "ask" in message:
            self._answer(message["ask"], message["image"])

    def _answer(self, key: str, image: list[float]) -> None:
        """Say what the networks at a point take a drawn digit for."""
        place = GROWING.places.get(key)
        if place is None:
            self.link.send({"opinions": {"why": "No network has grown up here yet: press Train."}})
            return
        pixels = np.array(image, dtype=float).reshape(TINY.size, TINY.size)
        try:
            self.link.send({"opinions": {"key": key, **opinions(place, pixels)}})
        except CplabError as error:
            self.link.send({"opinions": {"why": str(error)}})
