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
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, NotRequired, TypedDict

import numpy as np

from cplab import data, results
from cplab.errors import Cancelled, CplabError, installed
from cplab.lab.explorer import are_one_network
from cplab.lab.jobs import Throttle
from cplab.late import torch
from cplab.measure import Measure
from cplab.models.families import HE
from cplab.quantities import harm, shipped_only
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


class Life(TypedDict):
    """What a screen shows of a trained network.

    tests: rows of an epoch, percent of test images right, percent of its own images right. answers:
    to the test images. looks: rows of an epoch, and what the first units then looked for.
    """

    tests: list[list[float]]
    answers: list[int]
    looks: list[list[Any]]


class Test(TypedDict):
    """A test of a network while it is trained. right and own are percent of the test images and of
    its own images. units: what its first units look for. life: all that is shown of it, at its end.
    """

    seed: int
    arm: Arm
    epoch: int
    right: float
    own: float
    units: NotRequired[Any]
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
    """What was trained at a point, as screens are told of it: pairs of networks by seed. shipped:
    the harm of shipped runs, in words."""

    key: str
    place: ScreenPoint
    seeds: list[tuple[int, dict[Arm, Life]]]
    shipped: str


class Message(TypedDict, total=False):
    """What screens are told: a new wish; tests of a key, or that it is paused or goes on; or that a
    wish has ended, and why."""

    wish: PlainWish
    key: str
    tests: list[Test]
    paused: bool
    ended: str
    why: str
    failed: bool
    known: PlainPlace


class Known(TypedDict):
    """What a newly opened screen is told."""

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

    @property
    def pairs(self) -> dict[int, Pair]:
        """The run of each seed, and its twin."""
        return {seed: pair_at(self.point, seed) for seed in self.seeds}


class Growing:
    """Trains what screens ask for, one wish after another, and tells all screens.

    session: the name of this start of Python. places: what was trained in it, by a point's key.
    """

    def __init__(self) -> None:
        self.session = secrets.token_hex(8)
        self.places: dict[str, TrainedPoint] = {}
        self.changed: list[Callable[[], object]] = []  # called when something more was trained
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

    def join(self, screen: Screen) -> Known:
        """Tell a screen from now on what happens. Returns: what it has missed so far."""
        with self._lock:
            if screen not in self._screens:
                self._screens.append(screen)
            wishes = [self._describe(wish) for wish in self._wishes]
        places = [self._plain(key) for key in list(self.places)]
        return {"session": self.session, "known": places, "wishes": wishes}

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
            place = self.places.get(key)
            trained = place.seeds if place else {}
            seeds: list[int] = []
            seed = first
            while len(seeds) < count:
                if seed not in trained:
                    seeds.append(seed)
                seed += 1
            wish = Wish(key, point, words, seeds)
            self._wishes.append(wish)
            alone = len(self._wishes) == 1
            if alone:
                self._idle.clear()
            first_wish = self._wishes[0]
        self._tell({"wish": self._describe(wish)})
        if not alone and not first_wish.going.is_set():
            self.pause(first_wish.key, False)  # or else this one would wait for ever
        if alone:
            threading.Thread(target=self._go_on, daemon=True).start()

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

    def _plain(self, key: str) -> PlainPlace:
        place = self.places[key]
        seeds = [*place.seeds.items()]
        return {"key": key, "place": place.point, "seeds": seeds, "shipped": place.shipped}

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
            if wish.key in self.places:
                ended["known"] = self._plain(wish.key)
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
        pairs = wish.pairs
        arms: dict[Run, Arm] = {pair.spoilt: "spoilt" for pair in pairs.values()}
        arms |= {pair.control: "control" for pair in pairs.values()}
        tested = {run: epochs_tested(run) for run in arms}
        lives: dict[Run, Life] = {}
        waiting: list[Test] = []  # to be told

        def send() -> None:
            tests = [waiting.pop(0) for _ in range(len(waiting))]  # others may come meanwhile
            if tests:
                self._tell({"key": wish.key, "tests": tests})
            throttle.seconds = max(0.1, len(self._screens) / MOST_MESSAGES)

        throttle = Throttle(send)

        def report(trained: Run, row: Mapping[str, Any]) -> None:
            epoch = row.get("epoch", -1)
            for run, epochs in tested.items():
                if epoch + 1 in epochs and (run == trained or are_one_network(trained, run, epoch)):
                    waiting.append(read_test(run.seed, arms[run], row))
            throttle()
            wish.going.wait()  # until all is reported, workers get no more of it to train

        measured_epochs = sorted(epoch - 1 for epoch in set[int]().union(*tested.values()))
        looks = [epoch for epoch in measured_epochs if is_look(epoch, arms)]
        measure: Measure = {
            OWN_RIGHT: measured_epochs,
            UNITS: looks,
            ANSWERS: "end",
            WEIGHTS: "end",
        }
        try:
            for run, result in results.collect([*arms], measure, stop=wish.stop, report=report):
                lives[run] = life_of(result, tested[run])
                waiting.append(last_test(run, arms[run], lives[run]))
                throttle()
                pair = pairs[run.seed]
                if pair.spoilt in lives and pair.control in lives:
                    place = self.places.setdefault(wish.key, TrainedPoint(wish.point, wish.words))
                    place.seeds[run.seed] = {
                        "spoilt": lives[pair.spoilt],
                        "control": lives[pair.control],
                    }
        finally:
            throttle.finish()
            if trained := self.places.get(wish.key):
                run = run_at(wish.point, wish.seeds[0])
                trained.harms = dict(harm(run, seeds=[*trained.seeds]).by_seed)
                trained.shipped = shipped_harm(wish.point)


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


def is_look(epoch: int, runs: Iterable[Run]) -> bool:
    """Whether the first units are looked at after an epoch, from 0: now and then, and at ends."""
    ends = set[int]()
    for run in runs:
        ends |= {run.onset, run.onset + run.length, run.epochs}
    return epoch + 1 in {5, *ends} or (epoch + 1) % EPOCHS_TO_LOOK == 0


def read_test(seed: int, arm: Arm, row: Mapping[str, Any]) -> Test:
    """What a row of an epoch says of a network's tests, and of its first units if they were looked
    at."""
    test: Test = {
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


def last_test(run: Run, arm: Arm, life: Life) -> Test:
    """The last test of a network, with all that a screen shows of it."""
    _, right, own_right = life["tests"][-1]
    return {
        "seed": run.seed,
        "arm": arm,
        "epoch": run.epochs,
        "right": right,
        "own": own_right,
        "life": life,
    }


def life_of(result: Result, epochs: Iterable[int]) -> Life:
    """What a screen shows of a trained network; epochs: after which it is tested, from 1."""
    right = result.series("test_accuracy")  # (epochs,)
    own_right = result.measured[OWN_RIGHT]  # by epoch
    tests = []
    for epoch in sorted(epochs):
        tests.append([epoch, 100 * float(right[epoch - 1]), 100 * own_right[epoch - 1]])
    answers = [int(letter) for letter in result.final(ANSWERS)]
    looks = [[epoch + 1, units] for epoch, units in result.measured[UNITS].items() if units]
    return {"tests": tests, "answers": answers, "looks": looks}


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
