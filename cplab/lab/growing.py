"""What the screens of `cplab.lab.tiny` train: networks of the profile `tiny` and their twins, for
all screens of a notebook together.

What was trained belongs to this start of Python. A page that is opened or reloaded is told all of
it, and what is being trained, so that its headline, the figure below and Python agree.
"""

import base64
import secrets
import threading
import traceback
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cplab import data, results
from cplab.errors import Cancelled, CplabError, installed
from cplab.estimates import Estimate
from cplab.lab.explorer import shares
from cplab.lab.jobs import Throttle
from cplab.late import torch
from cplab.quantities import harm, shipped_only
from cplab.runs import Run
from cplab.specs.profiles import PROFILES

TINY = PROFILES["tiny"]
OWN, ANSWERS = "own_images_right", "answers"  # measurements, beside those of the next line
UNITS, WEIGHTS = "first_units", "all_weights"
LOOK = 25  # epochs between two looks at the first units
MODELS = {0.1: "_tenth", 0.3: "", 1: "_he"}  # by their initial weights, times He's
Tests = list[list[float]]  # (epoch, % of test images right, % of own images right)


@dataclass
class Place:
    """What was trained at one point of the screen, in full.

    words: what it is called. seeds: by seed and arm, `spoilt` or `control`: its tests, its answers
    to the test images, and what its first units looked for. harms: in points, by seed. shipped: the
    harm of the runs that come with the package.
    """

    point: dict[str, Any]
    words: str
    seeds: dict[int, dict[str, dict]] = field(default_factory=dict)
    harms: dict[int, float] = field(default_factory=dict)
    shipped: str = ""


@dataclass(eq=False)
class Wish:
    """Networks that a screen has asked for: at which point, by its key; the seeds; the words."""

    key: str
    point: dict[str, Any]
    words: str
    seeds: list[int]
    stop: threading.Event = field(default_factory=threading.Event)
    going: threading.Event = field(default_factory=threading.Event)  # unless it is paused

    def __post_init__(self) -> None:
        self.going.set()

    @property
    def pairs(self) -> dict[int, tuple[Run, Run]]:
        """By seed, the run and its twin, the same without the deficit's window."""
        spoilt = {seed: run_at(self.point, seed) for seed in self.seeds}
        return {seed: (run, run.without_window()) for seed, run in spoilt.items()}


class Growing:
    """Trains what screens ask for, one wish after the other, and tells all of them.

    session: a name of this start of Python. places: what was trained in it, by the key of a point.
    """

    def __init__(self) -> None:
        self.session = secrets.token_hex(8)
        self.places: dict[str, Place] = {}
        self.changed: list[Callable[[], Any]] = []  # called when something more was trained
        self._screens: list[Callable[[dict], Any]] = []
        self._wishes: list[Wish] = []  # the first one is being trained
        self._lock = threading.Lock()
        self._idle = threading.Event()
        self._idle.set()
        self.wait = self._idle.wait
        self._ready: set[str] = set()  # data sets for which all is loaded, or being loaded

    def get_ready(self, dataset: str) -> None:
        """Load what training needs, in a thread, while one still looks at the screen: torch takes
        longer to load than twenty networks to show their first lines."""
        if dataset not in self._ready:
            self._ready.add(dataset)
            threading.Thread(target=load, args=(dataset,), daemon=True).start()

    def join(self, screen: Callable[[dict], Any]) -> dict[str, Any]:
        """Tell a screen from now on what happens. Returns: what it has to know already."""
        with self._lock:
            if screen not in self._screens:
                self._screens.append(screen)
            wishes = [self._describe(wish) for wish in self._wishes]
        known = [self._plain(key) for key in list(self.places)]
        return {"session": self.session, "known": known, "wishes": wishes}

    def ask_for(self, key: str, point: dict, words: str, count: int, first: int) -> None:
        """Train the next so many seeds at a point, from `first` on, unless that is being done."""
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
        """Hold what is trained at a point where it is, or let it go on, to the same numbers."""
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

    def _describe(self, wish: Wish) -> dict[str, Any]:
        plans = [
            {"seed": seed, "arm": arm, "epochs": run.epochs}
            for seed, pair in wish.pairs.items()
            for arm, run in zip(("spoilt", "control"), pair, strict=True)
        ]
        waits = wish is not self._wishes[0]
        told = {"key": wish.key, "place": wish.point, "plans": plans}
        return {**told, "waits": waits, "paused": not wish.going.is_set()}

    def _plain(self, key: str) -> dict[str, Any]:
        place = self.places[key]
        seeds = [[seed, pair] for seed, pair in place.seeds.items()]
        return {"key": key, "place": place.point, "seeds": seeds, "shipped": place.shipped}

    def _tell(self, message: dict) -> None:
        for screen in list(self._screens):
            try:
                screen(message)
            except Exception:  # one that was closed
                self._screens.remove(screen)

    def _go_on(self) -> None:
        while True:
            wish = self._wishes[0]
            ended: dict[str, Any] = {"ended": wish.key, "why": ""}
            try:
                with installed():
                    self._train(wish)
            except Cancelled:
                ended["why"] = "stopped"
            except CplabError as error:
                ended |= {"why": str(error), "failed": True}
            except Exception as error:
                traceback.print_exc()
                ended |= {"why": f"{type(error).__name__}: {error}", "failed": True}
            with self._lock:
                self._wishes.pop(0)
                following = self._describe(self._wishes[0]) if self._wishes else None
            if wish.key in self.places:
                ended["known"] = self._plain(wish.key)
            self._tell(ended)
            for changed in list(self.changed):
                changed()
            if following is None:
                with self._lock:
                    if not self._wishes:
                        self._idle.set()
                        return
            else:
                self._tell({"wish": following})

    def _train(self, wish: Wish) -> None:
        """Train a wish; tell each network's tests as they come, and keep each pair that is done."""
        pairs = wish.pairs
        arms = {pair[0]: "spoilt" for pair in pairs.values()}
        arms |= {pair[1]: "control" for pair in pairs.values()}
        tested = {run: epochs_tested(run) for run in arms}
        done: dict[Run, dict] = {}
        waiting: list[dict] = []

        def send() -> None:
            tests = [waiting.pop(0) for _ in range(len(waiting))]  # others may come meanwhile
            if tests:
                self._tell({"key": wish.key, "tests": tests})

        throttle = Throttle(send)

        def note(run: Run, epoch: int, row: Mapping[str, Any]) -> None:
            test = {"seed": run.seed, "arm": arms[run], "epoch": epoch + 1}
            waiting.append(test | in_percent(row) | seen_units(row))

        def report(trained: Run, row: dict) -> None:
            epoch = row.get("epoch", -1)
            for run, epochs in tested.items():
                if epoch + 1 in epochs and (run == trained or shares(trained, run, epoch)):
                    note(run, epoch, row)
            throttle()
            wish.going.wait()  # until all is reported, workers get no more of it to train

        every = sorted(epoch - 1 for epoch in set().union(*tested.values()))
        looks = [epoch for epoch in every if is_look(epoch, arms)]
        measure: dict[str, Any] = {OWN: every, UNITS: looks, ANSWERS: "end", WEIGHTS: "end"}
        try:
            for run, result in results.collect([*arms], measure, stop=wish.stop, report=report):
                done[run] = life_of(result, tested[run])
                last = done[run]["tests"][-1]
                waiting.append(
                    {"seed": run.seed, "arm": arms[run], "epoch": run.epochs}
                    | {"right": last[1], "own": last[2], "life": done[run]}
                )
                throttle()
                pair = pairs[run.seed]
                if all(one in done for one in pair):
                    place = self.places.setdefault(wish.key, Place(wish.point, wish.words))
                    place.seeds[run.seed] = dict(
                        zip(("spoilt", "control"), (done[one] for one in pair), strict=True)
                    )
        finally:
            throttle.finish()
            if trained := self.places.get(wish.key):
                run = run_at(wish.point, wish.seeds[0])
                trained.harms = dict(harm(run, seeds=[*trained.seeds]).by_seed)
                trained.shipped = shipped_harm(wish.point)


GROWING = Growing()


def load(dataset: str) -> None:
    """Load the engine, and images as the screen's networks see them."""
    with suppress(Exception):  # a press says what is wrong
        import cplab.engine.sweep  # noqa: F401

        data.shared_images(dataset, TINY.name)


def run_at(point: Mapping[str, Any], seed: int) -> Run:
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
    network = f"mlp{point['layers']}{MODELS[point['scale']]}"
    return Run(
        deficit,
        **{name: point[name] for name in ("onset", "length", "recovery")},
        profile=TINY.name,
        dataset=point.get("images") or TINY.dataset,
        images=point["digits"],
        model=point.get("model") or network,
        rate=round(point["rate"] / TINY.fixed_lr, 6),  # 3, not 2.9999999999999996
        seed=seed,
    )


def epochs_tested(run: Run) -> set[int]:
    """The epochs, from 1, after which a network of the screen is tested: each fifth, those at which
    its phases end, and the last five, whose mean is the final accuracy."""
    ends = {run.onset, run.onset + run.length} - {0}
    last = range(max(1, run.epochs - 4), run.epochs + 1)
    return {*range(5, run.epochs + 1, 5), *ends, *last}


def is_look(epoch: int, runs: Iterable[Run]) -> bool:
    """Whether the first units are looked at after an epoch, from 0: now and then, and at ends."""
    ends = {part for run in runs for part in (run.onset, run.onset + run.length, run.epochs)}
    return epoch + 1 in {5, *ends} or (epoch + 1) % LOOK == 0


def in_percent(row: Mapping[str, Any]) -> dict[str, float]:
    """What a row of an epoch says of a network's tests, in percent."""
    return {"right": 100 * row["test_accuracy"], "own": 100 * row["measured"][OWN]}


def seen_units(row: Mapping[str, Any]) -> dict[str, Any]:
    """What the first units looked for after an epoch, if they were looked at."""
    units = row["measured"].get(UNITS)
    return {"units": units} if units else {}


def life_of(result: Any, epochs: Iterable[int]) -> dict[str, Any]:
    """What a screen shows of a trained network: its tests after these epochs, from 1, its answers
    to the test images, and what its first units looked for, by epoch."""
    right, measured = result.series("test_accuracy"), result.measured
    tests = [
        [epoch, 100 * float(right[epoch - 1]), 100 * measured[OWN][epoch - 1]]
        for epoch in sorted(epochs)
    ]
    answers = [int(letter) for letter in result.final(ANSWERS)]
    looks = {epoch + 1: units for epoch, units in measured[UNITS].items() if units}
    return {"tests": tests, "answers": answers, "looks": [[*look] for look in looks.items()]}


def shipped_harm(point: Mapping[str, Any]) -> str:
    """The harm of a point's shipped runs, with its interval and number of seeds; "" if there are
    none.

    >>> from cplab.lab.tiny import PLACE
    >>> shipped_harm(PLACE | {"length": 199})
    ''
    """
    with shipped_only():
        found: Estimate = harm(run_at(point, 0))
    return repr(found) if found.seeds else ""


# What they take a drawn digit for -----------------------------------------------------------------


def opinions(place: Place, pixels: np.ndarray) -> dict[str, Any]:
    """What the networks of a place, and their twins, take an image for.

    Arguments: pixels, (size, size), from 0, black, to 1, white.
    Returns: count of pairs, and for each arm the mean probability of each class, (classes,).
    Raises: CplabError where the networks' weights are not kept.
    """
    said: dict[str, list[np.ndarray]] = {"spoilt": [], "control": []}
    for seed in place.seeds:
        run = run_at(place.point, seed)
        for arm, one in (("spoilt", run), ("control", run.without_window())):
            said[arm].append(probabilities(one, pixels))
    means = {arm: np.mean(rows, 0).tolist() for arm, rows in said.items()}
    return {"count": len(place.seeds), **means}


def probabilities(run: Run, pixels: np.ndarray) -> np.ndarray:
    """The probability that a trained network gives each class for an image, (classes,)."""
    images = data.shared_images(run.dataset, run.profile)
    net = trained_network(run)
    grey = torch.as_tensor(pixels, dtype=torch.float32) * 255
    x = images.normal(grey[None, :, :, None].expand(-1, -1, -1, len(images.mean)))
    with torch.no_grad():
        return net(x).softmax(1)[0].numpy()


def trained_network(run: Run) -> Any:
    """The network that a run has trained, from the weights in its result."""
    from cplab import models

    result = results.find(run, {WEIGHTS: "end"})
    packed = result.final(WEIGHTS) if result else ""
    if not packed:
        raise CplabError(f"no weights of {run.model} are kept: ask smaller networks")
    size, kinds = PROFILES[run.profile].size, data.classes(run.dataset)
    net = models.build(run.model, data.channels(run.dataset), size, kinds).eval()
    values = torch.as_tensor(np.frombuffer(base64.b64decode(packed), np.float16).astype(np.float32))
    state = net.state_dict()
    parts = values.split([tensor.numel() for tensor in state.values()])
    named = zip(state.items(), parts, strict=True)
    net.load_state_dict({name: part.view(old.shape).to(old.dtype) for (name, old), part in named})
    return net
