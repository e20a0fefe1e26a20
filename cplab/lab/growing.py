"""Trains what the screens of `cplab.lab.tiny` ask for: networks of the profile `tiny` and their
twins, for all screens of a notebook together.

What was trained lasts until Python ends. A page that is opened or reloaded is told all of it, and
what is being trained now, so that its headline, the figure below it and Python agree.
"""

from __future__ import annotations

import base64
import secrets
import threading
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, NotRequired, TypedDict

import numpy as np

from cplab import data, results
from cplab.errors import Cancelled, CplabError, installed
from cplab.lab.explorer import are_one_network
from cplab.lab.jobs import Progress, Throttle
from cplab.late import torch
from cplab.measure import Measure
from cplab.models.families import HE
from cplab.quantities import harm, shipped_only
from cplab.results.duration import count_epochs, time_left
from cplab.runs import Run
from cplab.specs.profiles import PROFILES

if TYPE_CHECKING:
    from cplab.results import Result

TINY = PROFILES["tiny"]
OWN_RIGHT = "own_images_right"  # measurements
ANSWERS = "answers"
UNITS = "first_units"
WEIGHTS = "all_weights"
MOST_MESSAGES = 30  # a second, to all screens together
EPOCHS_TO_LOOK = 25  # from one look at the first units to the next
Arm = Literal["spoilt", "control"]
ARMS: tuple[Arm, Arm] = ("spoilt", "control")


class ScreenPoint(TypedDict):
    """A point of the screen: a deficit, its window, and the knobs."""

    kind: str
    onset: int
    length: int
    recovery: int
    digits: int  # that each network learns
    layers: int
    scale: float  # of the initial weights, times He's
    rate: float  # of learning
    block: int  # pixels of a mosaic
    mask: str  # of what covers a part
    images: NotRequired[str]  # a data set, if it is another one
    model: NotRequired[str]


class FirstUnits(TypedDict):
    """What the measurement UNITS says of a network."""

    scale: float  # the largest weight
    units: str  # a byte for each weight, as base64
    detail: dict[str, float]  # the share of detail in what they learned, by the side of squares


class Life(TypedDict):
    """What a screen shows of a trained network.

    tests: rows of an epoch, percent of test images right, percent of its own images right. answers:
    a digit for each test image. looks: an epoch, and the first units after it.
    """

    tests: list[tuple[int, float, float]]
    answers: str
    looks: list[tuple[int, FirstUnits]]


class LifeEnd(TypedDict):
    """The end of a life whose tests were told as they came. tests: how many these were."""

    tests: int
    answers: str


class LifeTest(TypedDict):
    """A test of a network while it is trained. right and own are percent of the test images and of
    its own images. The last one has an end or, if not all tests were told, the whole life."""

    seed: int
    arm: Arm
    epoch: int
    right: float
    own: float
    units: NotRequired[FirstUnits]
    end: NotRequired[LifeEnd]
    life: NotRequired[Life]


class PlannedNetwork(TypedDict):
    """A network that is going to be trained."""

    seed: int
    arm: Arm
    epochs: int


class PlainWish(TypedDict):
    """A wish as screens are told of it. waits: whether another one is trained first."""

    key: str
    place: ScreenPoint
    plans: list[PlannedNetwork]
    waits: bool
    paused: bool


class PlainPlace(TypedDict):
    """What was trained at a point, as screens are told of it.

    trained: the seeds of all pairs. seeds: the pairs that the screen does not have, by seed.
    shipped: the harm of shipped runs, in words.
    """

    key: str
    place: ScreenPoint
    trained: list[int]
    seeds: list[tuple[int, dict[Arm, Life]]]
    shipped: str


# The seeds that a page has: {start of Python: {key of a point: seeds}}
SeedsOnPage = Mapping[str, Mapping[str, Sequence[int]]]


class Message(TypedDict, total=False):
    """What screens are told: a new wish; tests of a key, or that it is paused or goes on; that a
    wish has ended, and why; or what was trained."""

    wish: PlainWish
    key: str
    tests: list[LifeTest]
    left: str  # how much longer it takes, in words
    paused: bool
    ended: str
    why: str
    failed: bool
    known: list[PlainPlace]


class Known(TypedDict):
    """What a screen is told when it joins."""

    session: str
    known: list[PlainPlace]
    wishes: list[PlainWish]


Screen = Callable[[Message], object]


class Pair(NamedTuple):
    """A run, and its twin, the same without the deficit's window."""

    spoilt: Run
    control: Run


@dataclass
class TrainedPoint:
    """What was trained at one point of the screen, in full.

    Attributes:
        point: where it is.
        words: what it is called.
        seeds: the networks of each seed, by arm.
        harms: in points, by seed.
        shipped: the harm of the runs that come with the package.
    """

    point: ScreenPoint
    words: str
    seeds: dict[int, dict[Arm, Life]] = field(default_factory=dict)
    harms: dict[int, float] = field(default_factory=dict)
    shipped: str = ""


@dataclass(eq=False)
class Wish:
    """Networks that a screen has asked for. key and words: what their point is called, for the
    program and for people."""

    key: str
    point: ScreenPoint
    words: str
    seeds: list[int]
    stop: threading.Event = field(default_factory=threading.Event)
    going: threading.Event = field(default_factory=threading.Event)  # unless it is paused

    def __post_init__(self) -> None:
        self.going.set()

    @cached_property
    def pairs(self) -> dict[int, Pair]:
        """The run of each seed, and its twin."""
        return {seed: pair_at(self.point, seed) for seed in self.seeds}

    @property
    def arms(self) -> dict[Run, Arm]:
        """The arm of each run: first all spoilt ones, then their twins."""
        arms: dict[Run, Arm] = {pair.spoilt: "spoilt" for pair in self.pairs.values()}
        arms |= {pair.control: "control" for pair in self.pairs.values()}
        return arms


class Growing:
    """Trains what screens ask for, one wish after another, and tells all screens.

    session: the name of this start of Python. places: what was trained in it, by a point's key.
    """

    def __init__(self) -> None:
        self.session = secrets.token_hex(8)
        self.places: dict[str, TrainedPoint] = {}
        self.changed: set[Callable[[], object]] = set()  # called when something more was trained
        self._screens: list[Screen] = []
        self._wishes: list[Wish] = []  # the first one is being trained
        self._lock = threading.Lock()
        self._idle = threading.Event()
        self._idle.set()
        self.wait = self._idle.wait
        self._ready: set[str] = set()  # data sets for which all is loaded, or being loaded

    def get_ready(self, point: ScreenPoint) -> None:
        """Load what training at a point needs, in a thread, while the student still looks at the
        screen: torch takes longer to load than twenty networks to show their first lines."""
        dataset = dataset_at(point)
        if dataset not in self._ready:
            self._ready.add(dataset)
            threading.Thread(target=load, args=(point,), daemon=True).start()

    def join(self, screen: Screen, on_page: SeedsOnPage) -> Known:
        """Tell a screen from now on what happens. Returns: what its page has missed so far."""
        with self._lock:
            if screen not in self._screens:
                self._screens.append(screen)
            wishes = [self._describe(wish) for wish in self._wishes]
        return {"session": self.session, "known": self.missed(on_page), "wishes": wishes}

    def missed(self, on_page: SeedsOnPage) -> list[PlainPlace]:
        """All points at which networks were trained, with those pairs that a page does not have."""
        has = on_page.get(self.session, {})
        return [self._plain(key, has.get(key, ())) for key in list(self.places)]

    def leave(self, screen: Screen) -> None:
        """Tell a screen nothing more, until it joins again."""
        with self._lock:
            if screen in self._screens:
                self._screens.remove(screen)

    def ask_for(self, key: str, point: ScreenPoint, words: str, count: int, first: int) -> None:
        """Train the next `count` seeds at a point, from `first` on, unless they are being
        trained."""
        with self._lock:
            if any(wish.key == key for wish in self._wishes):
                return
            wish = Wish(key, point, words, self._untrained_seeds(key, count, first))
            self._wishes.append(wish)
            current = self._wishes[0]  # is being trained
            if current is wish:
                self._idle.clear()
        self._tell({"wish": self._describe(wish)})
        if current is wish:
            threading.Thread(target=self._go_on, daemon=True).start()
        elif not current.going.is_set():
            self.pause(current.key, False)  # or else the new one would wait for ever

    def _untrained_seeds(self, key: str, count: int, first: int) -> list[int]:
        """The next `count` seeds, from `first` on, that have no networks at a point."""
        place = self.places.get(key)
        seeds: list[int] = []
        seed = first
        while len(seeds) < count:
            if place is None or seed not in place.seeds:
                seeds.append(seed)
            seed += 1
        return seeds

    def pause(self, key: str, paused: bool) -> None:
        """Hold the training of a point, or let it go on, with the same numbers."""
        with self._lock:
            for wish in self._wishes:
                if wish.key == key and paused:
                    wish.going.clear()
                elif wish.key == key:
                    wish.going.set()
        self._tell({"key": key, "paused": paused})

    def stop(self, key: str) -> None:
        """Stop what is trained at a point, and what waits to be."""
        with self._lock:
            for wish in self._wishes:
                if wish.key == key:
                    wish.stop.set()
                    wish.going.set()
            waiting = [wish for wish in self._wishes[1:] if wish.stop.is_set()]
            self._wishes = [wish for wish in self._wishes if wish not in waiting]
        for wish in waiting:
            self._tell({"ended": wish.key, "why": "stopped"})

    def _describe(self, wish: Wish) -> PlainWish:
        plans: list[PlannedNetwork] = []
        for seed, pair in wish.pairs.items():
            plans.append({"seed": seed, "arm": "spoilt", "epochs": pair.spoilt.epochs})
            plans.append({"seed": seed, "arm": "control", "epochs": pair.control.epochs})
        return {
            "key": wish.key,
            "place": wish.point,
            "plans": plans,
            "waits": wish is not self._wishes[0],
            "paused": not wish.going.is_set(),
        }

    def _plain(self, key: str, on_page: Sequence[int]) -> PlainPlace:
        """What was trained at a point, with the pairs of all seeds but those on a page."""
        place = self.places[key]
        pairs = [*place.seeds.items()]  # more may be added meanwhile
        return {
            "key": key,
            "place": place.point,
            "trained": [seed for seed, _ in pairs],
            "seeds": [(seed, pair) for seed, pair in pairs if seed not in on_page],
            "shipped": place.shipped,
        }

    def _tell(self, message: Message) -> None:
        for screen in list(self._screens):
            try:
                screen(message)
            except Exception:  # one that was closed
                self.leave(screen)

    def _go_on(self) -> None:
        """Train all wishes, one after the other."""
        while True:
            wish = self._wishes[0]
            ended = self._fulfil(wish)
            with self._lock:
                self._wishes.pop(0)
                following = self._describe(self._wishes[0]) if self._wishes else None
            if place := self.places.get(wish.key):  # screens were told its pairs as they came
                ended["known"] = [self._plain(wish.key, [*place.seeds])]
            self._tell(ended)
            for changed in list(self.changed):
                changed()
            if following:
                self._tell({"wish": following})
                continue
            with self._lock:
                if not self._wishes:
                    self._idle.set()
                    return

    def _fulfil(self, wish: Wish) -> Message:
        """Train a wish. Returns the message that it has ended, and why."""
        try:
            with installed():
                self._train(wish)
        except Cancelled:
            return {"ended": wish.key, "why": "stopped"}
        except CplabError as error:
            return {"ended": wish.key, "why": str(error), "failed": True}
        except Exception as error:
            traceback.print_exc()
            return {"ended": wish.key, "why": f"{type(error).__name__}: {error}", "failed": True}
        return {"ended": wish.key, "why": ""}

    def _train(self, wish: Wish) -> None:
        """Train a wish; tell each network's tests as they come, and keep each pair that is done."""
        arms = wish.arms
        tested = {run: epochs_tested(run) for run in arms}
        measure = measure_at(tested)
        told: dict[Run, Life] = {run: {"tests": [], "answers": "", "looks": []} for run in arms}
        lives: dict[Run, Life] = {}
        untold: list[LifeTest] = []
        missing = [run for run in arms if results.find(run, measure) is None]
        progress = Progress(count_epochs(missing))

        def send() -> None:
            tests = [untold.pop(0) for _ in range(len(untold))]  # others may come meanwhile
            left = time_left(progress.done, progress.epochs, progress.began)
            self._tell({"key": wish.key, "tests": tests, "left": left})
            throttle.seconds = max(0.1, len(self._screens) / MOST_MESSAGES)

        throttle = Throttle(send)

        def report(trained: Run, row: Mapping[str, Any]) -> None:
            progress(trained, row)
            epoch = row.get("epoch", -1)
            for run, epochs in tested.items():
                if epoch + 1 in epochs and (run == trained or are_one_network(trained, run, epoch)):
                    test = read_test(run.seed, arms[run], row)
                    untold.append(test)
                    note_test(told[run], test)
            throttle()
            wish.going.wait()  # until all is reported, workers get no more of it to train

        throttle()
        try:
            for run, result in results.collect([*arms], measure, stop=wish.stop, report=report):
                lives[run] = life_of(result, tested[run])
                untold.append(last_test(run, arms[run], lives[run], told[run]))
                throttle()
                self._keep_pair(wish, run.seed, lives)
        finally:
            throttle.finish()
            if trained := self.places.get(wish.key):
                run = run_at(wish.point, wish.seeds[0])
                trained.harms = dict(harm(run, seeds=[*trained.seeds]).by_seed)
                trained.shipped = shipped_harm(wish.point)

    def _keep_pair(self, wish: Wish, seed: int, lives: Mapping[Run, Life]) -> None:
        """Keep the networks of a seed, once both have grown up."""
        pair = wish.pairs[seed]
        if pair.spoilt in lives and pair.control in lives:
            place = self.places.setdefault(wish.key, TrainedPoint(wish.point, wish.words))
            place.seeds[seed] = {"spoilt": lives[pair.spoilt], "control": lives[pair.control]}


GROWING = Growing()


def load(point: ScreenPoint) -> None:
    """Load the engine, images as the screen's networks see them, and the shipped results."""
    with suppress(Exception):  # a press says what is wrong
        import cplab.engine.sweep  # noqa: F401

        data.shared_images(dataset_at(point), TINY.name)
        shipped_harm(point)  # the first look into them takes longer than all others


def dataset_at(point: ScreenPoint) -> str:
    """The data set of a point."""
    return point.get("images") or TINY.dataset


def run_at(point: ScreenPoint, seed: int) -> Run:
    """The run of a point of the screen.

    >>> from cplab.lab.tiny import PLACE
    >>> run_at(PLACE | {"block": 4, "layers": 3}, seed=7).deficit
    'mosaic-4'
    """
    deficit = point["kind"]
    if deficit == "mosaic":
        deficit = f"mosaic-{point['block']}"
    elif deficit == "cover":
        deficit = f"cover-{point['mask']}"
    network = f"mlp{point['layers']}{HE[point['scale']]}"
    return Run(
        deficit,
        onset=point["onset"],
        length=point["length"],
        recovery=point["recovery"],
        profile=TINY.name,
        dataset=dataset_at(point),
        images=point["digits"],
        model=point.get("model") or network,
        rate=round(point["rate"] / TINY.fixed_lr, 6),  # 3, not 2.9999999999999996
        seed=seed,
    )


def pair_at(point: ScreenPoint, seed: int) -> Pair:
    """The run of a point of the screen, and its twin."""
    run = run_at(point, seed)
    return Pair(run, run.without_window())


def epochs_tested(run: Run) -> set[int]:
    """The epochs, from 1, after which a network of the screen is tested: each fifth, those at which
    its phases end, and the last five, whose mean is the final accuracy."""
    ends = {run.onset, run.onset + run.length} - {0}
    last = range(max(1, run.epochs - 4), run.epochs + 1)
    return {*range(5, run.epochs + 1, 5), *ends, *last}


def measure_at(tested: Mapping[Run, set[int]]) -> Measure:
    """What is measured on runs, and after which epochs, from 0.

    Arguments: tested, the epochs after which each is tested, from 1.
    """
    epochs = sorted(epoch - 1 for epoch in set[int]().union(*tested.values()))
    looks = [epoch for epoch in epochs if is_look(epoch, tested)]
    return {OWN_RIGHT: epochs, UNITS: looks, ANSWERS: "end", WEIGHTS: "end"}


def is_look(epoch: int, runs: Iterable[Run]) -> bool:
    """Whether the first units are looked at after an epoch, from 0: now and then, and at ends."""
    ends = set[int]()
    for run in runs:
        ends |= {run.onset, run.onset + run.length, run.epochs}
    return epoch + 1 in {5, *ends} or (epoch + 1) % EPOCHS_TO_LOOK == 0


def read_test(seed: int, arm: Arm, row: Mapping[str, Any]) -> LifeTest:
    """What a row of an epoch says of a network's tests, and of its first units if they were looked
    at."""
    test: LifeTest = {
        "seed": seed,
        "arm": arm,
        "epoch": row["epoch"] + 1,
        "right": 100 * row["test_accuracy"],
        "own": 100 * row["measured"][OWN_RIGHT],
    }
    units = row["measured"].get(UNITS)
    if units:
        test["units"] = units
    return test


def note_test(life: Life, test: LifeTest) -> None:
    """Add a test to a life, as `life_of` has it once the network has grown up."""
    life["tests"].append((test["epoch"], test["right"], test["own"]))
    if "units" in test:
        life["looks"].append((test["epoch"], test["units"]))


def last_test(run: Run, arm: Arm, life: Life, told: Life) -> LifeTest:
    """The last test of a network, with all of its life that screens were not told before. Those of
    networks that had grown up before, or went on from a checkpoint, were not told all tests."""
    epoch, right, own_right = life["tests"][-1]
    test: LifeTest = {
        "seed": run.seed,
        "arm": arm,
        "epoch": epoch,
        "right": right,
        "own": own_right,
    }
    if told["tests"] == life["tests"] and told["looks"] == life["looks"]:
        test["end"] = {"tests": len(life["tests"]), "answers": life["answers"]}
    else:
        test["life"] = life
    return test


def life_of(result: Result, epochs: Iterable[int]) -> Life:
    """What a screen shows of a trained network; epochs: after which it is tested, from 1."""
    right = result.series("test_accuracy")  # (epochs,)
    own_right = result.measured[OWN_RIGHT]  # by epoch, from 0
    units = result.measured[UNITS]  # by some of these epochs; empty where they cannot be drawn
    tests = []
    looks = []
    for epoch in sorted(epochs):
        tests.append((epoch, 100 * float(right[epoch - 1]), 100 * own_right[epoch - 1]))
        if look := units.get(epoch - 1):
            looks.append((epoch, look))
    return {"tests": tests, "answers": result.final(ANSWERS), "looks": looks}


def shipped_harm(point: ScreenPoint) -> str:
    """The harm of a point's shipped runs, with its interval and number of seeds; "" if there are
    none.

    >>> from cplab.lab.tiny import PLACE
    >>> shipped_harm(PLACE | {"length": 199})
    ''
    """
    with shipped_only():
        points = harm(run_at(point, 0))
    return repr(points) if points.seeds else ""


# What they take a drawn digit for -----------------------------------------------------------------


class Opinions(TypedDict):
    """What the networks of a place take an image for: the count of pairs, and for each arm the mean
    probability of each class, (classes,)."""

    count: int
    spoilt: list[float]
    control: list[float]


def opinions(place: TrainedPoint, pixels: np.ndarray) -> Opinions:
    """Ask the networks of a place, and their twins, what an image is.

    Arguments: pixels, (size, size), from 0, black, to 1, white.
    Raises: CplabError where the networks' weights are not kept.
    """
    spoilt = list[np.ndarray]()
    control = list[np.ndarray]()
    for seed in place.seeds:
        pair = pair_at(place.point, seed)
        spoilt.append(probabilities(pair.spoilt, pixels))
        control.append(probabilities(pair.control, pixels))
    return {
        "count": len(place.seeds),
        "spoilt": np.mean(spoilt, 0).tolist(),
        "control": np.mean(control, 0).tolist(),
    }


def probabilities(run: Run, pixels: np.ndarray) -> np.ndarray:
    """The probability that a trained network gives each class for an image, (classes,)."""
    images = data.shared_images(run.dataset, run.profile)
    net = trained_network(run)
    grey = torch.as_tensor(pixels, dtype=torch.float32) * 255
    x = images.normal(grey[None, :, :, None].expand(-1, -1, -1, len(images.mean)))
    with torch.no_grad():
        return net(x).softmax(1)[0].numpy()


def trained_network(run: Run) -> torch.nn.Module:
    """The network that a run has trained, from the weights in its result."""
    from cplab import models

    result = results.find(run, {WEIGHTS: "end"})
    packed = result.final(WEIGHTS) if result else ""
    if not packed:
        raise CplabError(f"the weights of {run.model} are not kept: ask smaller networks")
    size = PROFILES[run.profile].size
    net = models.build(run.model, data.channels(run.dataset), size, data.classes(run.dataset))
    net = net.eval()
    half = np.frombuffer(base64.b64decode(packed), np.float16)
    values = torch.as_tensor(half.astype(np.float32))  # of all tensors, one after the other
    state = net.state_dict()
    parts = values.split([tensor.numel() for tensor in state.values()])
    weights = {}
    for (name, tensor), part in zip(state.items(), parts, strict=True):
        weights[name] = part.view(tensor.shape).to(tensor.dtype)
    net.load_state_dict(weights)
    return net
