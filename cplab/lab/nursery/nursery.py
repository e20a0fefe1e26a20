"""The nursery, small networks that grow up before your eyes. The browser trains them, in a notebook
and on a page without Python alike, with `networks.js`; `nursery.js` draws them. A notebook gets
their accuracies back, as estimates of their own.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

import numpy as np
from IPython.display import display, update_display

from cplab import deficits
from cplab.base.errors import CplabError, quote, whole, why_missing
from cplab.deficits import Batch, Deficit, find_deficit
from cplab.estimates import Estimate, estimate, student_factor
from cplab.lab.questions.questions import Shown
from cplab.lab.screen.link import WHERE, Link, Output, script
from cplab.lab.screen.numbers import PlainHarm, plain_harm
from cplab.lab.screen.offers import NURSERY, OfferedKind, Strength, look, offered_kind
from cplab.output.markup import as_html
from cplab.pictures import data, datasets
from cplab.pictures.digits import drawn
from cplab.pictures.previews import downsample
from cplab.quantities import each_result, harm
from cplab.results.seeds import shipped_only
from cplab.runs import Run
from cplab.specs.profiles import PROFILES

if TYPE_CHECKING:
    from cplab.show import Figure


SHARED = ("unzip", "screen", "bar", "words", "labels")
PARTS = ("cohort", "numbers", "verdict", "mask", "figure", "inside", "pictures", "digit")
TINY = PROFILES["tiny"]
MARKUP = Path(__file__).with_name("nursery.html").read_text("utf-8")
SCRIPT = script(
    "cplab-nursery",
    *(f"screen/{part}" for part in SHARED),
    "nursery/networks",
    *(f"nursery/{part}" for part in PARTS),
    "nursery/nursery",
)
TRAIN = 3_000  # digits that a page holds; each of its networks learns some of them
LATEST = 300  # the epoch by which every deficit has ended
FEWER = 1_000  # the same if a student's own deficit changes from epoch to epoch
ROOM = 2_000_000  # letters of a page for all that such a deficit makes of them
EPOCHS = 100  # of such a deficit that a page has, at most
APART = 50  # epochs from one picture of such a deficit to the next
RANGE = 255  # the highest byte
GREYS = 15  # the highest of the greys that digits have

LENGTH = 200  # epochs of the deficit, at first
LATE = 80  # the epoch at which the deficit in a second window begins, at first
NAMES = (3, 5, 7, 6, 1, 9, 2, 0, 4, 8)  # that `permute` gives to the ten classes
MOST_CLASSES = 10  # that the screen can show
BEGIN = "Does a blur in childhood do harm? Drag the blur, and press Train."
STILL = f"Small networks grow up here: run this cell. {WHERE}"
EARLY = "No network has grown up on the screen yet: press Train, then run this cell again."


# What a page holds --------------------------------------------------------------------------------


class ScreenWindow(TypedDict):
    """When a deficit lasts: from epoch `onset` on, for `length` epochs."""

    kind: str
    onset: int
    length: int


class Knobs(TypedDict):
    """What else decides what networks become."""

    recovery: int  # clear epochs after the deficit
    digits: int  # that each network learns
    layers: int
    scale: float  # of the initial weights, times He's
    rate: float  # of learning
    strengths: dict[str, Strength]  # of the deficits that have a knob


class PackedDigits(TypedDict):
    """Images for networks.js, as `pack` writes them: first `train` for training, then `test` for
    tests. average and deviation: of their pixels."""

    packed: str
    train: int
    test: int
    average: float
    deviation: float


class SeenDigits(TypedDict):
    """What a student's own deficit makes of digits in some epochs, as base64 of gzip: for each
    digit and epoch a byte for each pixel, and then for each a label."""

    epochs: list[int]
    packed: str


class OwnDeficit(TypedDict):
    """A student's own deficit, as a page has it. low and high: what the lowest and the highest byte
    stand for. inTurn: whether networks see its epochs in turn. count: of the digits for training,
    from which all networks of the screen take theirs."""

    kind: str
    low: float
    high: float
    inTurn: bool
    count: int
    train: SeenDigits
    test: SeenDigits


class PlanOfAll(TypedDict):
    """What the plans of all networks have in common.

    width: of a layer. every: epochs between tests. names: what wrong names the classes get.
    """

    width: int
    every: int
    names: Sequence[int]


Tests = list[tuple[int, float]]  # an age in epochs, and percent of the test images right


class ShippedWindow(TypedDict):
    """Networks that came with the lab: the means of their tests, and of their twins'."""

    window: ScreenWindow
    spoilt: Tests
    control: Tests
    harm: PlainHarm


class NurseryContent(TypedDict):
    """All that nursery.js needs, as plain data.

    kinds, masks: what can be chosen. windows, knobs: at first. second: what a second window changes
    in the first. latest: the epoch by which every deficit has ended. networks, seed: how many one
    press trains, and the first one's seed. t: see `student_factors`. begin: the sentence before
    anything is trained. note: below all. enough: what the second figure says of a covered half.
    shipped: for browsers that cannot train. own: a student's own deficit. images: the name of a
    data set, if it is another one.
    """

    html: str
    kinds: dict[str, OfferedKind]
    masks: dict[str, str]
    windows: list[ScreenWindow]
    second: dict[str, int]
    knobs: Knobs
    fixed: PlanOfAll
    latest: int
    networks: int
    seed: int
    t: list[float]
    begin: str
    note: str
    enough: str
    shipped: list[ShippedWindow]
    digits: PackedDigits
    own: NotRequired[OwnDeficit]
    images: NotRequired[str]


WINDOW: ScreenWindow = {"kind": "mosaic", "onset": 0, "length": LENGTH}
KNOBS: Knobs = {
    "recovery": TINY.recovery,
    "digits": TINY.train_images,
    "layers": 2,
    "scale": 0.3,
    "rate": TINY.fixed_lr,
    "strengths": {name: offer.knob.usual for name, offer in NURSERY.items() if offer.knob},
}


def content(networks: int = 10, seed: int = 0, compare: bool = False) -> NurseryContent:
    """All that nursery.js needs, as plain data. The arguments are those of `Nursery`."""
    windows: list[ScreenWindow] = [{**WINDOW}]
    if compare:
        windows.append({**WINDOW, "onset": LATE})
    return {
        "html": MARKUP,
        "kinds": {name: offered_kind(offer) for name, offer in NURSERY.items()},
        "masks": deficits.MASKS,
        "windows": windows,
        "second": {"onset": LATE},
        "knobs": {**KNOBS},
        "fixed": {"width": TINY.width, "every": 5, "names": NAMES},
        "latest": LATEST,
        "networks": networks,
        "seed": seed,
        "t": student_factors(),
        "begin": BEGIN,
        "note": "",
        "enough": right_half(),
        "shipped": [shipped_window(0), shipped_window(LATE)],
        "digits": digits(),
    }


def page(shown: NurseryContent | None = None, link: str = "") -> str:
    """The widget as HTML that needs neither Python nor a network.

    Arguments: shown, by default `content(compare=True)`; link, the name of the Link to Python, if
        any.
    """
    text = json.dumps(shown or content(compare=True), separators=(",", ":"))
    escaped = text.replace("<", "\\u003c")
    data = f'<script type="application/json">{escaped}</script>'
    return f'<cplab-nursery data-link="{link}"><p>{STILL}</p>{data}</cplab-nursery>'


def student_factors() -> list[float]:
    """Student's factor for degrees of freedom whose inverse goes from 0 to 1 in equal steps.

    >>> student_factors()[0], student_factors()[-1]
    (1.96, 12.7062)
    """
    with np.errstate(divide="ignore"):  # for a freedom without limit
        freedoms = 1 / np.linspace(0, 1, 201)
    return student_factor(freedoms).round(4).tolist()


# Results that came with the lab -------------------------------------------------------------------


def run_of(window: ScreenWindow) -> Run:
    """The run of a window, without a seed.

    >>> run_of(WINDOW).end
    200
    """
    return Run(window["kind"], window["onset"], window["length"], profile=TINY.name)


@cache
def shipped_window(onset: int) -> ShippedWindow:
    """Networks that came with the lab, blurred at this epoch, and their twins."""
    window: ScreenWindow = {**WINDOW, "onset": onset}
    run = run_of(window)
    with shipped_only():
        points = harm(run)
        spoilt = mean_tests(run)
        control = mean_tests(run.without_window())
    return {
        "window": window,
        "spoilt": spoilt,
        "control": control,
        "harm": plain_harm(points),
    }


def mean_tests(run: Run) -> Tests:
    """The mean accuracy of a run's results after every fifth epoch, in percent."""
    series = [result.series("test_accuracy") for result in each_result(run)]
    means = 100 * np.mean(series, 0)  # (epochs,)
    return [(age, round(means[age - 1], 2)) for age in range(5, run.epochs + 1, 5)]


@cache
def right_half() -> str:
    """A sentence on a deficit after which networks get as many of their own digits right, with less
    harm."""
    run = run_of({**WINDOW, "kind": "cover"})
    last = run.end - 1  # of the deficit, counted from 0
    with shipped_only():
        known = [100 * result.measured["own_images_right"][last] for result in each_result(run)]
        left = harm(run)
    return (
        f"Covering the right half has {estimate(known)} % as well, and does {left} points of harm."
    )


# Digits -------------------------------------------------------------------------------------------


@cache
def digits(train: int = TRAIN) -> PackedDigits:
    """Drawn digits: all test images and the first `train` training images.

    >>> digits(300)["test"]
    1000
    """
    arrays = drawn()
    pixels = np.concatenate([arrays.train_x[:train], arrays.test_x])
    labels = np.concatenate([arrays.train_y[:train], arrays.test_y])
    return pack(sixteen_greys(downsample(pixels, TINY.size)), labels, train)


def other_images(dataset: str) -> PackedDigits:
    """The images of another data set, in grey: as many as of drawn digits."""
    images = data.shared_images(dataset, TINY.name)
    x = np.concatenate([images.train_x[:TRAIN].numpy(), images.test_x.numpy()])
    y = np.concatenate([images.train_y[:TRAIN].numpy(), images.test_y.numpy()])
    return pack(sixteen_greys(x.mean(-1)), y, min(TRAIN, len(images.train_y)))


def sixteen_greys(pixels: np.ndarray) -> np.ndarray:
    """Greys from 0 to 15 of pixels from 0 to 255."""
    return np.rint(pixels * (GREYS / RANGE)).astype(np.uint8)


def pack(greys: np.ndarray, labels: np.ndarray, train: int) -> PackedDigits:
    """Images (N, SIDE, SIDE) in 16 greys, two pixels a byte, and then a label (N,) a byte. The
    first `train` of them are for training."""
    pairs = greys.reshape(-1, 2)
    pixels = pairs[:, 0] << 4 | pairs[:, 1]
    seen = greys[:train] / GREYS
    return {
        "packed": compressed(pixels, labels),
        "train": train,
        "test": len(greys) - train,
        "average": seen.mean(),
        "deviation": seen.std(),
    }


def unpack(digits: PackedDigits) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, SIDE, SIDE) with mean 0 and deviation 1, as networks.js unpacks them, and labels
    (N,)."""
    content = np.frombuffer(gzip.decompress(base64.b64decode(digits["packed"])), np.uint8)
    count = digits["train"] + digits["test"]
    pairs = content[:-count]
    greys = np.stack([pairs >> 4, pairs & 15], 1).reshape(count, TINY.size, TINY.size)
    return (greys / GREYS - digits["average"]) / digits["deviation"], content[-count:]


def compressed(pixels: np.ndarray, labels: np.ndarray) -> str:
    """Bytes of pixels, and then a label a byte, as base64 of gzip."""
    content = pixels.tobytes() + labels.astype(np.uint8).tobytes()
    # a higher level takes five times as long, for a twentieth less
    return base64.b64encode(gzip.compress(content, 3, mtime=0)).decode()


# A student's own ----------------------------------------------------------------------------------


Seen = tuple[np.ndarray, np.ndarray]  # images (…, SIDE, SIDE) and labels (…,) under a deficit


def with_images(content: NurseryContent, dataset: object) -> None:
    """Put the images of another data set in the place of the digits.

    Raises: CplabError for a data set that there is not, or that the screen cannot show.
    """
    if not isinstance(dataset, str):
        raise CplabError(
            f"images {quote(dataset)} are not a name: give the one that cplab.images_from((x, y), "
            "(test_x, test_y)) returns"
        )
    count = data.classes(datasets.check_dataset(dataset))
    if count > MOST_CLASSES:
        raise CplabError(
            f"{dataset} has {count} classes: the screen shows {MOST_CLASSES} at most, "
            "give fewer, or train with cplab.sweep"
        )
    content["images"] = dataset
    content["digits"] = other_images(dataset)
    content["knobs"]["digits"] = min(content["digits"]["train"], TINY.train_images)
    if 1 < count < MOST_CLASSES:
        content["fixed"]["names"] = deficits.permutation(count).tolist()


def with_deficit(content: NurseryContent, given: str | Callable) -> None:
    """Let all windows begin with a deficit. One that the screen does not offer is applied here to
    all of its digits.

    Raises: CplabError for one that there is not, or that fails.
    """
    deficit = find_deficit(given)
    label = deficit.label
    if deficit.name in NURSERY:
        label = NURSERY[deficit.name].label
    elif find_spec("torch") is None:
        why = why_missing("torch")
        content["note"] = f"“{label}” needs torch; the other deficits train here. {why}."
        return
    else:
        words = f"under “{label}”"
        own: OfferedKind = {**look(deficit.name), "label": label, "words": words}
        content["kinds"] = {deficit.name: own, **content["kinds"]}
        classes = data.classes(content.get("images", TINY.dataset))
        content["own"] = own_deficit(deficit, content["digits"], content["seed"], classes)
        content["note"] = own_note(deficit, content["own"])
    content["begin"] = f"Does “{label}” do harm? Press Train."
    for window in content["windows"]:
        window["kind"] = deficit.name


def own_deficit(deficit: Deficit, digits: PackedDigits, seed: int, classes: int) -> OwnDeficit:
    """What a deficit makes of a page's digits: once if it never changes, else in as many epochs as
    there is room for. If it asks for the epoch, these are spread over a life; if it only draws at
    random, networks see them in turn."""
    x, y = unpack(digits)
    train = slice(0, digits["train"])
    test = slice(digits["train"], None)

    def seen_in(epochs: Sequence[int], some: slice) -> Seen:
        return seen_under(deficit, x[some], y[some], epochs, seed, classes)

    asks = deficit.may_change
    images, labels = seen_in([0, 1], test)
    draws = (images[:, 0] != images[:, 1]).any() or (labels[:, 0] != labels[:, 1]).any()
    epochs = pictured = [0]
    if asks or draws:
        train = slice(0, min(FEWER, digits["train"]))
        epochs = spread(EPOCHS) if asks else [*range(EPOCHS)]
    if asks:
        pictured = spread(LATEST // APART + 1)
    seen = seen_in(epochs, train)
    shown = seen_in(pictured, test)
    low = float(min(seen[0].min(), shown[0].min()))
    high = float(max(seen[0].max(), shown[0].max()))
    levels = RANGE if len(epochs) == 1 else GREYS
    images, labels = as_bytes(seen[0], low, high, levels), seen[1]
    while len(packed := compressed(images, labels)) > ROOM and len(epochs) > 2:
        count = max(2, len(epochs) * ROOM // len(packed))
        kept = np.linspace(0, len(epochs) - 1, count).astype(int) if asks else np.arange(count)
        epochs = [epochs[place] for place in kept]
        images, labels = images[:, kept], labels[:, kept]
    return {
        "kind": deficit.name,
        "low": low,
        "high": high,
        "inTurn": bool(draws) and not asks,
        "count": len(labels),
        "train": {"epochs": epochs, "packed": packed},
        "test": {
            "epochs": pictured,
            "packed": compressed(as_bytes(shown[0], low, high), shown[1]),
        },
    }


def spread(count: int) -> list[int]:
    """So many epochs, from the first to the last in which a deficit may be.

    >>> spread(3)
    [0, 149, 299]
    """
    return np.linspace(0, LATEST - 1, count).astype(int).tolist()


def seen_under(
    deficit: Deficit,
    x: np.ndarray,
    y: np.ndarray,
    epochs: Sequence[int],
    seed: int,
    classes: int,
) -> Seen:
    """Images (N, epochs, SIDE, SIDE) and labels (N, epochs) under a deficit, to which they are
    given in batches as in training."""
    import torch

    parts = (
        torch.arange(len(y)),
        torch.from_numpy(x[:, None].astype(np.float32)),
        torch.from_numpy(y.astype(np.int64)),
    )
    images = np.empty((len(y), len(epochs), *x.shape[1:]), np.float32)
    labels = np.empty((len(y), len(epochs)), np.uint8)
    for place, epoch in enumerate(epochs):
        for index, some, names in zip(*(part.split(TINY.batch) for part in parts), strict=True):
            batch = Batch(index, seed, epoch, len(y), classes)
            changed, named = deficit(some, names, batch)
            images[index, place] = changed[:, 0]
            labels[index, place] = named
    return images, labels


def as_bytes(images: np.ndarray, low: float, high: float, levels: int = RANGE) -> np.ndarray:
    """Pixels as bytes over a range, of so many levels above the lowest: few take less room."""
    scaled = (images - low) / (high - low or 1)
    return (np.rint(levels * scaled.clip(0, 1)) * (RANGE // levels)).astype(np.uint8)


def own_note(deficit: Deficit, own: OwnDeficit) -> str:
    """What a page says of a deficit that it cannot apply itself."""
    note = f"Python has applied “{deficit.label}” to the digits: to change it, run its cell again."
    count = len(own["train"]["epochs"])
    if own["inTurn"]:
        note += f" It draws: the page has {count} draws, which all networks share, one an epoch."
    elif count > 1:
        note += f" It changes: the page has it in {count} epochs, which all networks share."
    return note


# What has grown -----------------------------------------------------------------------------------


class PlainPair(TypedDict):
    """A network and its twin as a page tells of them."""

    seed: int
    spoilt: Tests
    control: Tests


class PlainWindow(TypedDict):
    """What has grown up under a window: what it is called, and its pairs."""

    name: str
    window: ScreenWindow
    seeds: list[PlainPair]


class PageMessage(TypedDict):
    """What a page tells Python: what has grown up under its windows, and what it says of it."""

    grown: list[PlainWindow]
    headline: str


class Grown:
    """Networks that have grown up on a screen under one window, and their twins.

    Arguments: told, what the page has told of them, if anything has grown.
    """

    def __init__(self, told: PlainWindow | None = None) -> None:
        self.name = told["name"] if told else ""
        self.onset = told["window"]["onset"] if told else 0
        self.pairs = told["seeds"] if told else []

    @property
    def harm(self) -> Estimate:
        """How many points of accuracy the networks end behind their twins. As in `quantities.harm`,
        twins that were one network until the window began are paired, and those from birth are
        not."""
        accuracies = self.accuracies
        harm = accuracies["twins"] - accuracies["deprived"]
        return estimate(harm.values) if self.onset > 0 else harm

    @property
    def accuracies(self) -> dict[str, Estimate]:
        """How many of the test digits the networks get right in the end, and their twins, in
        percent. Without networks it says what to do."""
        if not self.pairs:
            print(EARLY)
        return {
            "deprived": estimate([final_accuracy(pair["spoilt"]) for pair in self.pairs]),
            "twins": estimate([final_accuracy(pair["control"]) for pair in self.pairs]),
        }

    def lines(self) -> dict[str, list[np.ndarray]]:
        """The accuracy by age of each network and each twin, (2, tests)."""
        spoilt = [np.transpose(pair["spoilt"]) for pair in self.pairs]
        control = [np.transpose(pair["control"]) for pair in self.pairs]
        return {self.name: spoilt, f"twins of those {self.name}": control}


def final_accuracy(tests: Tests) -> float:
    """The mean of the last five epochs.

    >>> final_accuracy([(90, 50.0), (99, 70.0), (100, 72.0)])
    71.0
    """
    last, _ = tests[-1]
    return float(np.mean([right for age, right in tests if age > last - 5]))


class Nursery:
    """One screen: drag a deficit along the childhood of small networks, press once, and see them
    grow up beside their twins, which are spared it. The browser trains them.

    `harm` and `accuracies` are of what has grown up in the first window, and `second` has those of
    the second one. They rest on the screen's networks alone, which the page keeps as long as it is
    open: a cell that is run again with the same arguments shows them again. To train a network of
    your own, take `cplab.lab.live`.

    Arguments:
        networks: how many one press trains for each window.
        seed: of the first one, by default one without shipped results.
        compare: whether a second window stands on the line of life, at epoch 80.
        deficit: a function of your own, or a name.
        images: a name from `cplab.images_from`, or that of an installed data set.
        onset, length: of the deficit at first, in epochs.
    Raises: CplabError for a value that is none of these.

    >>> screen = Nursery(networks=2)
    >>> screen.harm
    No network has grown up on the screen yet: press Train, then run this cell again.
    not trained yet
    """

    def __init__(
        self,
        networks: int = 10,
        seed: int = 100,
        *,
        compare: bool = False,
        deficit: str | Callable | None = None,
        images: str | None = None,
        onset: int = 0,
        length: int = LENGTH,
    ) -> None:
        networks = whole("networks", networks, 1, 50)
        seed = whole("seed", seed, 0, 10**6)
        self.content = content(networks, seed, compare)
        first = self.content["windows"][0]
        first["onset"] = whole("onset", onset, 0, LATEST - 1)
        first["length"] = whole("length", length, 1, LATEST - first["onset"])
        if images is not None:
            with_images(self.content, images)
        if deficit is not None:
            with_deficit(self.content, deficit)
        self.first = Grown()
        self.second = Grown()
        self.figure: Figure | None = None
        self.link = Link(SCRIPT)
        self.link.on_msg(self._take)

    @property
    def harm(self) -> Estimate:
        """How many points of accuracy the networks of the first window end behind their twins."""
        return self.first.harm

    @property
    def accuracies(self) -> dict[str, Estimate]:
        """How many of the test digits they get right in the end, and their twins, in percent."""
        return self.first.accuracies

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> Output:
        begin = self.content["begin"]
        return self.link.bundle(begin, page(self.content, self.link.name), SCRIPT)

    def _ipython_display_(self) -> None:
        """Show the screen, and a picture of what has grown, which a saved notebook has. The screen
        hides it as long as it shows the same."""
        screen = self._repr_mimebundle_()
        if isinstance(screen, tuple):  # of a widget, on Colab
            data, metadata = screen
            display(data, metadata=metadata, raw=True)
        else:
            display(screen, metadata={}, raw=True)
        display(self._picture(), display_id=self.link.name)

    def _picture(self) -> Shown:
        shown = as_html(self.figure) if self.figure else ""
        return Shown("", None, f'<div data-still="{self.link.name}">{shown}</div>')

    def _take(self, widget: Link, message: PageMessage, buffers: object) -> None:
        """Take what has grown up on the page."""
        windows = [Grown(told) for told in message["grown"]]
        self.first, self.second = [*windows, Grown()][:2]
        self.figure = figure_of(windows, message["headline"])
        update_display(self._picture(), display_id=self.link.name)


def figure_of(windows: Sequence[Grown], headline: str) -> Figure | None:
    """The accuracies by age of what has grown up; None before anything has."""
    from cplab import show  # with matplotlib, which the screen does without

    lines: dict[str, Any] = {}
    for grown in windows:
        if grown.pairs:
            lines |= grown.lines()
    if not lines:
        return None
    return show.curves(lines, "epoch of life", "test images right, %", headline)
