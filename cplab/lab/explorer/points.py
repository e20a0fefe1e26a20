"""The results of one setting, against clear epochs seen: the content of an explorer.

At a constant rate, the clear run of a seed is the control of every window: its twin and equal
training are points of one curve; and a run contains all shorter
ones. Nothing is drawn or trained here.
"""

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property
from typing import NamedTuple, TypedDict

import numpy as np

from cplab import estimates, quantities
from cplab.base.errors import CplabError, whole
from cplab.estimates import Estimate
from cplab.lab.screen.numbers import PlainHarm, plain_harm, short
from cplab.lab.screen.offers import EXPLORER
from cplab.output.styles import label
from cplab.results import Result, seeds
from cplab.results.result import LAST
from cplab.results.seeds import Place
from cplab.runs import Run

RECOVERIES = (5, 10, 15, 20, 30, 40, 50, 60, 90, 120, 180, 240)  # in epochs
# The longest that is offered, unless the explorer is asked for a longer one: few points have more
LONGEST_OFFERED = 60
Curves = dict[int, np.ndarray]  # test accuracy in percent after each epoch, (epochs,), by seed


class Point(NamedTuple):
    """A place in the explorer: a deficit, and its window in epochs."""

    deficit: str
    onset: int
    length: int

    @property
    def end(self) -> int:
        """The epoch at which the deficit is removed."""
        return self.onset + self.length

    @property
    def key(self) -> str:
        """The name of the point in the page: `blur,0,16`."""
        return f"{self.deficit},{self.onset},{self.length}"


NEVER = Point("none", 0, 0)  # all runs without a deficit, of any length


class Setting:
    """The results of one setting at a constant rate: those of runs that agree with a given run in
    all but deficit, onset, length, recovery and seed. The deficit is one of `deficits`, or none.

    Attributes:
        base: the run that they agree with.
        trained: the places of the runs that have a result.
        offered: recoveries to choose from in any case.

    >>> from cplab.runs import FLAGSHIP
    >>> setting = Setting(FLAGSHIP, ["blur"])
    >>> setting.recoveries()[-1], setting.harm(Point("blur", 0, 16), 60)
    (60, 4.2 ± 0.5 (24 and 25 seeds))
    """

    def __init__(self, base: Run, deficits: Iterable[str]) -> None:
        if base.schedule != "fixed":
            raise CplabError(
                f"schedule {base.schedule!r} is not allowed in Explorer: its rate changes, so "
                "no clear run can be the control of every window; give schedule='fixed'"
            )
        whole("seed", base.seed, 0, seeds.FIRST_SEEDS[-1])  # others do not count
        self.base = base
        kinds = {NEVER.deficit, *deficits}
        self.trained = set[Place]()
        self._seeds: dict[tuple[Point, int], set[int]] = defaultdict(set)  # by point and recovery
        for place in quantities.trained_places(base):
            if place.deficit in kinds and place.recovery:
                self._note(place)
        self.offered = {base.recovery}
        self._longest: dict[Point, dict[int, Result]] = defaultdict(dict)  # by point and seed
        # A long run contains the shorter ones of its point and seed: only the longest is added
        longest_first = sorted(
            self.trained, key=lambda place: (-place.epochs, -place.onset, place.seed)
        )
        for place in longest_first:
            point = Point(place.deficit, place.onset, place.length)
            if place.seed not in self._longest.get(clear_if_empty(point), ()):
                self.add(seeds.with_seed(self.run_at(point, place.recovery), place.seed))

    def _note(self, place: Place) -> None:
        """Remember that the run of a place has a result."""
        self.trained.add(place)
        point = Point(place.deficit, place.onset, place.length)
        self._seeds[clear_if_empty(point), place.recovery].add(place.seed)

    def run_at(self, point: Point, recovery: int, seed: int | None = None) -> Run:
        """The run of a point with this recovery in epochs; by default with the setting's seed."""
        return replace(
            self.base,
            deficit=point.deficit if point.length else NEVER.deficit,
            onset=point.onset,
            length=point.length,
            recovery=recovery,
            seed=self.base.seed if seed is None else seed,
        )

    def add(self, run: Run) -> None:
        """Add the result of a run, if there is one."""
        stored = seeds.look_up(run)
        if stored is None:
            return
        self._note(Place(run.deficit, run.onset, run.length, run.recovery, run.seed))
        point = clear_if_empty(Point(run.deficit, run.onset, run.length))
        longest = self._longest[point]
        if run.seed not in longest or run.epochs >= longest[run.seed].spec.epochs:
            longest[run.seed] = stored
        self.__dict__.pop("mean_grey", None)  # to be computed again

    def points(self) -> list[Point]:
        """All points with a deficit."""
        return sorted(point for point in self._longest if point != NEVER)

    def recoveries(self) -> list[int]:
        """The recoveries to choose from, in epochs."""
        trained = self.offered.union(recovery for _, recovery in [*self._seeds])
        last = max(*self.offered, min(LONGEST_OFFERED, max(trained)))
        return sorted(epochs for epochs in trained.union(RECOVERIES) if epochs <= last)

    def results(self, point: Point, recovery: int) -> dict[int, Result]:
        """The longest result of each seed of a point that has this recovery."""
        longest = {**self._longest.get(point, {})}  # which training may add to meanwhile
        end = point.end + recovery
        long_enough = [seed for seed, result in longest.items() if result.spec.epochs >= end]
        return {seed: longest[seed] for seed in quantities.counted_seeds(long_enough)}

    def curves(self, point: Point, recovery: int) -> Curves:
        """The curves of a point until the end of this recovery, by seed, of seeds that have it."""
        end = point.end + recovery
        results = self.results(point, recovery)
        return {seed: accuracy_curve(result)[:end] for seed, result in results.items()}

    def grey(self) -> Curves:
        """The longest curve without a deficit of each seed, which the explorer draws in grey."""
        return {seed: accuracy_curve(result) for seed, result in self.results(NEVER, 0).items()}

    @cached_property
    def mean_grey(self) -> np.ndarray:
        """The mean of the grey curves, each epoch averaged with the four before it, (epochs,)."""
        mean, _ = estimates.mean_of_curves([*self.grey().values()])
        averages = []
        for epoch in range(len(mean)):
            first = max(0, epoch - LAST + 1)
            averages.append(mean[first : epoch + 1].mean())
        return np.array(averages)

    def level(self, point: Point, recovery: int) -> Estimate:
        """The final accuracy, in percent: the mean of the last five epochs."""
        results = self.results(point, recovery)
        run = self.run_at(point, recovery)
        return quantities.accuracy_until(run, results, point.end + recovery, recovery)

    def harm(self, point: Point, recovery: int) -> Estimate:
        """Points that the deficit costs beyond lost time, as `quantities.harm` has it: from runs of
        this recovery if there are any, else from all that contain them."""
        results = self.results(point, recovery)
        clear = self.results(NEVER, point.onset + recovery)
        own = self._seeds.get((point, recovery))
        own_clear = self._seeds.get((NEVER, recovery))
        if own and own_clear:
            results = {seed: stored for seed, stored in results.items() if seed in own}
            clear = {seed: stored for seed, stored in clear.items() if seed in own_clear}
        run = self.run_at(point, recovery)
        return quantities.harm_from_results(run, recovery, results, clear)

    def clear_epochs_to(self, onset: int, recovery: int, harm: float) -> float | None:
        """The number of clear epochs after which the mean grey curve first reaches the level at
        which a run ends; None if it never does.

        Arguments: onset, recovery, of the run; harm, points that it ends below the grey curve. If
            it ends above, the curve is searched from that end on.
        """
        grey = self.mean_grey
        end = onset + recovery  # of the run, in clear epochs
        if end > len(grey):
            return None
        level = grey[end - 1] - harm
        start = end - 1 if harm < 0 else 0
        if grey[start] > level:
            return None
        epochs = np.arange(start, len(grey)) + 1
        crossing = estimates.find_crossing(epochs, grey[start:], level)
        return None if math.isnan(crossing) else crossing


def clear_if_empty(point: Point) -> Point:
    """The point itself, or NEVER if its window has no epochs."""
    return point if point.length else NEVER


def accuracy_curve(result: Result) -> np.ndarray:
    """The test accuracy after each epoch, in percent, (epochs,)."""
    return 100 * result.series("test_accuracy")


# Words --------------------------------------------------------------------------------------------


def epochs_in_words(count: int) -> str:
    """Write a number of epochs: `1 epoch`, `8 epochs`."""
    return f"{count} epoch{'' if count == 1 else 's'}"


def name_network(point: Point) -> str:
    """Name the network of a point.

    >>> name_network(Point("blur", 0, 16)), name_network(Point("flip", 24, 8))
    ('the network blurred for its first 16 epochs', \
'the network shown images upside down at epoch 24 for 8 epochs')
    """
    offer = EXPLORER.get(point.deficit)
    condition = offer.words if offer else f"with {label(point.deficit)}"
    epochs = epochs_in_words(point.length)
    window = f"at epoch {point.onset} for {epochs}" if point.onset else f"for its first {epochs}"
    return f"the network {condition} {window}"


def headline(point: Point, harm: Estimate) -> str:
    """Write the harm at a point in one sentence, with its interval."""
    network = f"T{name_network(point)[1:]}"
    if not harm.seeds:
        return f"{network} has no control yet: Train adds it."
    if estimates.is_level(harm):
        return f"{network} ends level with its twin (± {harm.half:.1f} points)."
    if harm.sign == 0:
        return f"{network}: how it ends, these seeds cannot tell (± {harm.half:.1f} points)."
    side = "ahead of" if harm.mean < 0 else "behind"
    return f"{network} ends {size_of(harm)} {side} its twin."


def small_print(clear_epochs: int, harm: Estimate, reached: float | None) -> str:
    """Write of how many seeds a harm is, and to how many clear epochs it comes.

    Arguments: clear_epochs, all of the run; reached, see `Setting.clear_epochs_to`.
    """
    if not harm.seeds:
        return ""
    seeds = sides_of(harm)
    if harm.sign is None:
        seeds += ": no interval, no verdict"
    parts = [f"after {clear_epochs} clear epochs", seeds]
    if harm.sign == 1 and reached is not None:
        parts.append(f"its twin was as good after {reached:.0f}")
    return " · ".join(parts)


def name_of(point: Point) -> str:
    """The name of a point, for the end of its line.

    >>> name_of(Point("blur", 0, 16)), name_of(Point("flip", 24, 8))
    ('blur, first 16 epochs', 'vertical flip at epoch 24, 8 epochs')
    """
    epochs = epochs_in_words(point.length)
    kind = label(point.deficit)
    return f"{kind} at epoch {point.onset}, {epochs}" if point.onset else f"{kind}, first {epochs}"


def tag(harm: Estimate) -> str:
    """The words at the end of a curve: its harm."""
    if not harm.seeds:
        return ""
    if harm.sign == 0:
        return "level" if estimates.is_level(harm) else "cannot tell"
    return f"{abs(harm.mean):.1f} points {'ahead' if harm.mean < 0 else 'behind'}"


def brief(point: Point, harm: Estimate) -> str:
    """Write the harm at a point in a few words, with its interval."""
    if not harm.seeds:
        return f"{name_of(point)}: no control yet"
    if harm.sign == 0:
        verdict = "level" if estimates.is_level(harm) else "these seeds cannot tell"
        return f"{name_of(point)}: {verdict} (± {harm.half:.1f} points)"
    side = "ahead" if harm.mean < 0 else "behind"
    return f"{name_of(point)}: {size_of(harm)} {side}"


def size_of(harm: Estimate) -> str:
    """The size of a harm in words, with its interval, without its sign."""
    if harm.sign is None:
        return f"{estimates.mean_in_words(abs(harm.mean))} points"
    return f"{estimates.mean_in_words(abs(harm.mean), harm.half)} points"


def sides_of(harm: Estimate) -> str:
    """Write the seeds of both sides: `10 seeds`, or `5 seeds, 10 twins`."""
    clear = harm.counts[0]
    deprived = harm.counts[-1]
    words = estimates.seeds_of_groups(deprived)
    return words if deprived == clear else f"{words}, {clear} twins"


# All of it, as plain data -------------------------------------------------------------------------


class End(TypedDict):
    """What the page says of a point at the end of a recovery, in numbers and words."""

    level: float | None  # the final accuracy, in percent
    harm: PlainHarm | None
    sign: int  # of the harm, 0 if its interval contains zero
    name: str
    tag: str  # the words at the end of the curve
    brief: str  # the name and the harm
    head: str  # the headline
    small: str  # the small print


class Band(TypedDict):
    """Curves of several seeds, in thousandths of an accuracy: their mean, half its interval, and
    the curves by seed."""

    mean: list[int]
    half: list[int]
    seeds: dict[int, list[int]]


class PointBand(Band):
    """The curves of a point, for recoveries up to this many epochs."""

    upto: int


class Description(TypedDict):
    """What the page knows of a point: its ends, by recovery, and a band for each set of seeds."""

    place: dict[str, str | int]  # deficit, onset and length
    at: dict[int, End]
    bands: list[PointBand]


def describe_point(setting: Setting, point: Point) -> Description:
    """Describe a point as plain data."""
    ends: dict[int, End] = {}
    bands: dict[tuple[int, ...], PointBand] = {}  # by their seeds
    for recovery in reversed(setting.recoveries()):
        seeds = tuple(setting.results(point, recovery))
        if not seeds:
            continue
        ends[recovery] = describe_end(setting, point, recovery)
        if seeds not in bands:
            band = pack_band(setting.curves(point, recovery))
            bands[seeds] = {"upto": recovery, **band}
    return {"place": point._asdict(), "at": ends, "bands": [*reversed(bands.values())]}


def describe_end(setting: Setting, point: Point, recovery: int) -> End:
    """Describe a point at the end of a recovery, in numbers and words."""
    harm = setting.harm(point, recovery)
    reached = None  # the clear epochs after which a clear run was as good
    if harm.seeds:
        reached = setting.clear_epochs_to(point.onset, recovery, harm.mean)
    return {
        "level": short(setting.level(point, recovery).mean),
        "harm": plain_harm(harm) if harm.seeds else None,
        "sign": harm.sign or 0,
        "name": name_of(point),
        "tag": tag(harm),
        "brief": brief(point, harm),
        "head": headline(point, harm),
        "small": small_print(point.onset + recovery, harm, reached),
    }


def pack_band(curves: Curves) -> Band:
    """Curves of several seeds as plain data, in thousandths of an accuracy."""
    mean, half = estimates.mean_of_curves([*curves.values()])
    seeds = {seed: thousandths(curve) for seed, curve in sorted(curves.items())}
    return {"mean": thousandths(mean), "half": thousandths(half), "seeds": seeds}


def thousandths(percent: np.ndarray) -> list[int]:
    """Convert percentages to whole thousandths."""
    return np.rint(10 * percent).astype(int).tolist()
