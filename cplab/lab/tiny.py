"""The nursery, small networks that grow up before your eyes: a widget in a notebook, where Python
trains them, and a page without Python, where the browser does, with `networks.js`. `tiny.js` draws
both.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import textwrap
from collections.abc import Callable, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NotRequired, TypedDict

import numpy as np
from IPython.display import display, update_display

from cplab import data, deficits, models
from cplab.deficits import Batch, Deficit
from cplab.digits import drawn
from cplab.errors import CplabError, quote, whole
from cplab.estimates import estimate, student
from cplab.lab.explorer import Look, look
from cplab.lab.growing import (
    EPOCHS_TO_LOOK,
    GROWING,
    TINY,
    ScreenPoint,
    SeedsOnPage,
    opinions,
)
from cplab.lab.jobs import trains_here
from cplab.lab.link import Link, Output, script
from cplab.lab.questions import Shown
from cplab.previews import downsample

if TYPE_CHECKING:
    from torch import Tensor

    from cplab.runs import Run
    from cplab.show import Figure

    Given = str | Callable | None  # a deficit or a model, by name or as a student's own


class Offer(NamedTuple):
    """What a screen calls a deficit that it offers: on its button, and where a sentence begins."""

    button: str
    beginning: str


MARKUP = Path(__file__).with_name("tiny.html").read_text("utf-8")
SCRIPT = script("cplab-nursery", "unzip", "screen", "networks", "tiny")
TRAIN = 3_000  # digits that a page holds; each of its networks learns some of them
WINDOW = 300  # the epoch by which every deficit has ended
STAGES = (0, 50, 100, 150, 200, 250, 299)  # epochs at which a changing deficit is drawn

OFFERS = {  # `spoil` in networks.js changes images under each, for a browser that trains
    "mosaic": Offer("blur", "Blurred"),
    "flip": Offer("upside down", "Upside down"),
    "noise": Offer("noise", "Shown noise"),
    "permute": Offer("wrong names", "Taught wrong names"),
    "cover": Offer("cover", "With a part covered"),
}
LENGTH = 200  # epochs of the deficit, at first
PLACE: ScreenPoint = {
    "kind": "mosaic",
    "onset": 0,
    "length": LENGTH,
    "recovery": TINY.recovery,
    "digits": TINY.train_images,
    "layers": 2,
    "scale": 0.3,
    "rate": TINY.fixed_lr,
    "block": 3,
    "mask": deficits.MASKS["right half"],
}
SCRIPT_DIGEST = hashlib.sha256(SCRIPT.encode()).hexdigest()[:12]  # of what trains on a page
NAMES = (3, 5, 7, 6, 1, 9, 2, 0, 4, 8)  # that `permute` gives to the ten classes
MOST_CLASSES = 10  # that the screen can show
BEGIN = "Does a childhood in a blur leave a mark? Drag the blur, and press Train."
STILL = "Small networks grow up here: run this cell, or let the page run its scripts."


# What a page holds --------------------------------------------------------------------------------


class PackedDigits(TypedDict):
    """Images for tiny.js, as `pack` writes them: first `train` for training, then `test` for tests.
    average and deviation: of their pixels."""

    packed: str
    train: int
    test: int
    average: float
    deviation: float


class OfferedKind(Look):
    """The look of a deficit on the screen, and the beginning of a sentence about it."""

    words: str


class OwnKind(OfferedKind):
    """The same for a student's own deficit. seen: the test images under it, by epoch, as in
    `seen_by_epoch`. mask: what it covers, if it does nothing else."""

    seen: dict[int, str]
    mask: str


class PlanOfAll(TypedDict):
    """What the plans of all networks have in common, for a browser that trains them.

    width: of a layer. every: epochs between tests. look: epochs between looks at the first units.
    names: what wrong names the classes get.
    """

    width: int
    every: int
    look: int
    names: Sequence[int]


class NurseryContent(TypedDict):
    """All that tiny.js needs, as plain data.

    version: of the scripts. why: whether the figure that shows why is drawn. knobs: whether there
    are any. kinds, masks: what can be chosen. place: the first point; usual: the one whose fields
    are left out of a line of Python. window: the epoch by
    which every deficit has ended. range: of the axis of accuracy, in percent. networks, seed: how
    many one press trains, and the first one's seed. t: Student's factor for half an interval, by
    degrees of freedom from 1; the last is its limit. begin: the sentence before anything is
    trained. own: the student's own deficit, by name.
    """

    html: str
    version: str
    why: bool
    knobs: bool
    kinds: dict[str, OfferedKind]
    masks: dict[str, str]
    place: ScreenPoint
    usual: ScreenPoint
    fixed: PlanOfAll
    window: int
    range: list[int]
    networks: int
    seed: int
    t: list[float]
    begin: str
    digits: PackedDigits
    own: NotRequired[dict[str, OwnKind]]


@cache
def digits(train: int = TRAIN) -> PackedDigits:
    """Drawn digits: all test images and the first `train` training images.

    >>> digits(300)["test"]
    1000
    """
    arrays = drawn()
    test = TINY.test_images
    pixels = np.concatenate([arrays["train_x"][:train], arrays["test_x"][:test]])
    labels = np.concatenate([arrays["train_y"][:train], arrays["test_y"][:test]])
    greys = sixteen_greys(downsample(pixels, TINY.size))
    seen = greys[:train] / 15
    return {
        "packed": pack(greys, labels),
        "train": train,
        "test": test,
        "average": seen.mean(),
        "deviation": seen.std(),
    }


def other_images(dataset: str) -> PackedDigits:
    """The test images of another data set. The page needs none to train on: Python trains."""
    images = data.shared_images(dataset, TINY.name)
    greys = sixteen_greys(images.test_x.numpy().mean(-1))
    return {
        "packed": pack(greys, images.test_y.numpy()),
        "train": 0,
        "test": len(greys),
        "average": (images.mean / 255).mean().item(),
        "deviation": (images.std / 255).mean().item(),
    }


def seen_images(deficit: str, dataset: str, epoch: int = 0) -> str:
    """The test images of a data set as networks see them in an epoch of a deficit, packed as in
    `digits`."""
    images = data.shared_images(dataset, TINY.name)
    x = images.normal(images.test_x)
    y = images.test_y
    count = data.classes(dataset)
    seen, _ = deficits.apply_deficit(x, y, deficit, classes=count, epoch=epoch)
    spread = images.std.view(-1, 1, 1)
    middle = images.mean.view(-1, 1, 1)
    pixels = (seen.cpu() * spread + middle).clamp(0, 255).mean(1)
    return pack(sixteen_greys(pixels.numpy()), y.numpy())


def seen_by_epoch(deficit: str, dataset: str) -> dict[int, str]:
    """These images by epoch: at all STAGES up to which the deficit works, or at the first alone if
    it never changes."""
    seen = {0: seen_images(deficit, dataset)}
    for epoch in STAGES[1:]:
        try:
            seen[epoch] = seen_images(deficit, dataset, epoch)
        except CplabError:  # training will say so
            break
    return seen if len({*seen.values()}) > 1 else {0: seen[0]}


def sixteen_greys(pixels: np.ndarray) -> np.ndarray:
    """Greys from 0 to 15 of pixels from 0 to 255."""
    return np.rint(pixels / 17).astype(np.uint8)


def pack(greys: np.ndarray, labels: np.ndarray) -> str:
    """Images (N, SIDE, SIDE) in 16 greys, two pixels a byte, and then a label (N,) a byte, as
    base64 of gzip."""
    pairs = greys.reshape(-1, 2)
    pixels = pairs[:, 0] << 4 | pairs[:, 1]
    content = pixels.tobytes() + labels.astype(np.uint8).tobytes()
    # the highest level takes six times as long, for a fiftieth less
    return base64.b64encode(gzip.compress(content, 7, mtime=0)).decode()


def content(
    networks: int = 20, seed: int = 0, why: bool = True, knobs: bool = True
) -> NurseryContent:
    """All that tiny.js needs, as plain data.

    Arguments: networks that one press trains, at most five where a browser is slow; the first
        one's seed; whether the figure that shows why is drawn; whether there are knobs.
    """
    kinds: dict[str, OfferedKind] = {}
    for kind, offer in OFFERS.items():
        kinds[kind] = {**look(kind), "label": offer.button, "words": offer.beginning}
    return {
        "html": MARKUP,
        "version": SCRIPT_DIGEST,
        "why": why,
        "knobs": knobs,
        "kinds": kinds,
        "masks": deficits.MASKS,
        "place": PLACE,
        "usual": PLACE,
        "fixed": {"width": TINY.width, "every": 5, "look": EPOCHS_TO_LOOK, "names": NAMES},
        "window": WINDOW,
        "range": [0, 100],
        "networks": networks,
        "seed": seed,
        "t": student([*range(1, 100), np.inf]).tolist(),
        "begin": BEGIN,
        "digits": digits(),
    }


def with_own(
    content: NurseryContent, deficit: Given, model: Given, images: str | None
) -> NurseryContent:
    """The same content with a student's own deficit, network or images.

    Raises: CplabError for a value that is none of these, or that cannot be shown.
    """
    changed: NurseryContent = {**content, "place": {**PLACE}}
    run = own_run(deficit, model, images)
    if images is not None:
        check_class_count(run.dataset)
        count = len(data.shared_images(run.dataset, TINY.name).train_y)
        changed["digits"] = other_images(run.dataset)
        changed["place"]["images"] = run.dataset
        changed["place"]["digits"] = learnable(count)
    if model is not None:
        changed["place"]["model"] = run.model
    if deficit is not None:
        changed["place"]["kind"] = run.deficit
        if run.deficit in OFFERS:
            label = OFFERS[run.deficit].button
        else:
            label = deficits.find_deficit(run.deficit).label
            changed["own"] = {run.deficit: own_kind(run.deficit, run.dataset)}
        changed["begin"] = f"Does \u201c{label}\u201d leave a mark? Press Train."
    return changed


def own_run(deficit: Given, model: Given, images: str | None) -> Run:
    """A run of the screen with a student's own deficit, network or images.

    Raises: CplabError for a value that is none of these, or for a network that the screen cannot
        show or that does not fit.
    """
    from cplab.runs import Run

    if images is not None and not isinstance(images, str):
        raise CplabError(
            f"images {quote(images)} are not a name: give the one that cplab.images_from((x, y), "
            "(test_x, test_y)) returns"
        )
    fields: dict[str, Any] = {"profile": TINY.name, "dataset": TINY.dataset}
    if images is not None:
        fields["dataset"] = data.check_dataset(images)
    if deficit is not None:
        fields |= {"deficit": deficit, "length": 1}
    if model is not None:
        fields["model"] = model
    run = Run(**fields)
    if run.views > 1:
        name = run.family.partition("@")[0]
        raise CplabError(f"{name} has two eyes: the screen shows networks with one")
    if model is not None and find_spec("torch"):
        check_fits(run)
    return run


def check_fits(run: Run) -> None:
    """Raise a CplabError if a run's network does not fit its images."""
    from cplab.seeding import Seeded

    channels = data.channels(run.dataset)
    with Seeded(0):
        models.build(run.model, channels, run.settings.size, data.classes(run.dataset))


def check_class_count(dataset: str) -> None:
    """Raise a CplabError if the screen cannot show all classes of a data set."""
    count = data.classes(dataset)
    if count > MOST_CLASSES:
        raise CplabError(
            f"{dataset} has {count} classes: the screen shows {MOST_CLASSES} at most, "
            "give fewer, or train with cplab.sweep"
        )


def own_kind(name: str, dataset: str) -> OwnKind:
    """A student's own deficit on the screen, with images of a data set as networks see them."""
    deficit = deficits.find_deficit(name)
    can_draw = find_spec("torch") is not None
    return {
        **look(name),
        "words": f"Under \u201c{deficit.label}\u201d",
        "label": deficit.label,
        "seen": seen_by_epoch(name, dataset) if can_draw else {},
        "mask": mask_of(deficit) if can_draw else "",
    }


def mask_of(deficit: Deficit) -> str:
    """The mask of a deficit that covers the same part of all small images, so that a browser can
    train under it; "" for any other deficit.

    >>> mask_of(deficits.find_deficit("cover")), mask_of(deficits.find_deficit("flip"))
    ('03f03f03f03f03f03f03f03f03f03f03f03f', '')
    """
    if not deficit.of_each_image and not deficit.own:  # one of the package, and known to mix
        return ""
    if {"context", "generator"} & {*deficit.parameters}:  # it may cover more and more
        return ""
    if draws_from_torch(deficit):  # another part each time, though two trials may agree
        return ""
    hidden = set[bytes]()  # by the trials
    for epoch in (0, 1):
        x, y, batch = trial_images(epoch)
        seen, named = deficit(x.clone(), y.clone(), batch)
        unchanged = (seen == x).all(0)[0]
        grey = (seen == 0).all(0)[0]
        if not (unchanged | grey).all() or not (named == y).all():
            return ""
        hidden.add(grey.numpy().tobytes())
    if len(hidden) > 1 or not grey.any():
        return ""
    return deficits.mask_name(grey.tolist()).removeprefix("cover-")


def draws_from_torch(deficit: Deficit) -> bool:
    """Whether a student's own deficit draws random numbers from torch without a generator.

    It may: in training each batch decides what it draws (`Deficit.use`), whatever other threads
    draw, so that equal seeds give equal networks.
    """
    from cplab.seeding import Seeded

    if not deficit.own:
        return False
    x, y, _ = trial_images(epoch=0)
    try:
        with Seeded(0, refusal="it draws"):
            deficit.apply(x, y)
    except CplabError:
        return True
    return False


def trial_images(epoch: int, count: int = 64) -> tuple[Tensor, Tensor, Batch]:
    """Random images, (count, 1, SIDE, SIDE), with labels, (count,), as a batch of an epoch."""
    import torch

    shape = (count, 1, TINY.size, TINY.size)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    y = torch.arange(count) % MOST_CLASSES
    return x, y, Batch(torch.arange(count), epoch=epoch, images=count)


def learnable(count: int) -> int:
    """How many of `count` images a network learns: at most as many as the profile takes, and so
    that no image is alone in its batch.

    >>> learnable(6_000), learnable(33)
    (300, 32)
    """
    learned = min(count, TINY.train_images)
    if learned % TINY.batch == 1:
        learned -= 1
    return learned


def page(shown: NurseryContent | None = None, link: str = "") -> str:
    """The widget as HTML that needs neither Python nor a network.

    Arguments: shown, by default `content()`; link, the name of the Link to Python, if any.
    """
    text = json.dumps(shown or content(), separators=(",", ":")).replace("<", "\\u003c")
    data = f'<script type="application/json">{text}</script>'
    return f'<cplab-nursery data-link="{link}"><p>{STILL}</p>{data}</cplab-nursery>'


# The screen ---------------------------------------------------------------------------------------


class PageMessage(TypedDict, total=False):
    """What a page tells Python.

    hello, back, away: that the screen is opened, on the page again, or off it. lacks: that it was
    not told of some networks; has: those that it has. train, key, words: a press on Train at a
    point, and what this is called. stop, pause: the key of a point; paused: whether it is. pulse:
    asks for what was sent meanwhile. ask, image: the key of networks, and a drawn digit, ink from 0
    to 1.
    """

    hello: bool
    back: bool
    away: bool
    lacks: bool
    has: SeedsOnPage
    train: ScreenPoint
    key: str
    words: str
    stop: str
    pause: str
    paused: bool
    pulse: bool
    ask: str
    image: list[float]


class Nursery:
    """One screen: drag a deficit along the childhood of small networks, press once, and see them
    grow up beside their twins, which are spared it. Python trains them, as runs of the profile
    `tiny`; without Python, the browser does.

    Arguments:
        networks: how many one press trains.
        seed: of the first one, by default one without shipped results.
        why: whether the figure that shows why is drawn.
        knobs: whether there are any.
        deficit, model: functions of your own, or their names.
        images: a name from `cplab.images_from`, or that of an installed data set.
        onset, length: of the deficit at first, in epochs.
    Raises: CplabError for a value that is none of these.

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
        deficit: Given = None,
        model: Given = None,
        images: str | None = None,
        onset: int = 0,
        length: int = LENGTH,
    ) -> None:
        self.networks = whole("networks", networks, 1, 50)
        self.seed = whole("seed", seed, 0, 10**6)
        self.content = content(self.networks, self.seed, why, knobs)
        if not (deficit is None and model is None and images is None):
            self.content = with_own(self.content, deficit, model, images)
        onset = whole("onset", onset, 0, WINDOW - 1)
        length = whole("length", length, 1, WINDOW - onset)
        self.content["place"] = {**self.content["place"], "onset": onset, "length": length}
        self.link = Link(SCRIPT)
        self.link.on_msg(self._handle_message)
        self.wait = GROWING.wait
        self._greeted = False

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> Output:
        begin = self.content["begin"]
        return self.link.bundle(begin, page(self.content, self.link.name), SCRIPT)

    def _ipython_display_(self) -> None:
        """Show the screen, and below it the figure of what is trained: a saved notebook has it."""
        screen = self._repr_mimebundle_()
        if isinstance(screen, tuple):  # of a widget, on Colab
            data, metadata = screen
            display(data, metadata=metadata, raw=True)
        else:
            display(screen, metadata={}, raw=True)
        display(self.figure or Shown("", None, ""), display_id=GROWING.session)
        GROWING.changed.add(redraw_below)

    @property
    def figure(self) -> Figure | None:
        """The harm of what was trained in this kernel, a dot for each network; None before."""
        return harms_figure()

    def _handle_message(self, widget: Link, message: PageMessage, buffers: object) -> None:
        """Handle a message from the page. The answer to a pulse brings what was sent meanwhile, for
        pages such as Colab's."""
        if "hello" in message or "back" in message:
            self._greet(message.get("has", {}))
        elif "away" in message:
            GROWING.leave(self.link.send)
        elif "lacks" in message:
            self.link.send({"known": GROWING.missed(message["has"])})
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

    def _greet(self, on_page: SeedsOnPage) -> None:
        """Tell a page that Python trains, if it does, and what was trained that it does not
        have."""
        if not trains_here():
            return
        offers = {"python": True, "networks": self.networks, "fresh": not self._greeted}
        self._greeted = True
        self.link.send({"offers": offers, **GROWING.join(self.link.send, on_page)})
        GROWING.get_ready(self.content["place"])

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


# The figure below all screens ---------------------------------------------------------------------


def redraw_below() -> None:
    """Draw the figure below the screens anew: once for all of them, which show the same."""
    if figure := harms_figure():
        update_display(figure, display_id=GROWING.session)


def harms_figure() -> Figure | None:
    """The harm of what was trained in this kernel, a dot for each network; None before."""
    from cplab import show  # with matplotlib, which the screen does without

    places = {place.words: [*place.harms.values()] for place in GROWING.places.values()}
    if not places:
        return None
    rows = {}
    for words, harms in places.items():
        label = textwrap.fill(f"{words}: {estimate(harms)}", 60)
        rows[label] = harms
    height = 100 + 40 * len(rows)
    return show.forest(rows, "harm, points", "What was trained here", height=height)
