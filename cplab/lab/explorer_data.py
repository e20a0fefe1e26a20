"""The results of one setting, against clear epochs seen: the content of an explorer.

At a constant rate, the clear run of a seed is the control of every window: the newborn, the run
with the window cut out and equal training are points of one curve; and a run contains all shorter
ones. Nothing is drawn or trained here.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from cplab import estimates, quantities
from cplab.errors import CplabError, whole
from cplab.estimates import Estimate
from cplab.results import Result
from cplab.results.result import LAST
from cplab.runs import Run
from cplab.styles import label

RECOVERIES = (5, 10, 15, 20, 30, 40, 50, 60, 90, 120, 180, 240)  # offered if curves are that long
CONDITIONS = {  # of a network, in the headline
    "blur": "blurred",
    "flip": "shown upside-down images",
    "permute": "given permuted labels",
    "noise": "shown noise",
}
Point = tuple[str, int, int]  # deficit, onset, length
CLEAR = ("none", 0, 0)  # all runs without a deficit, of any length
Curves = dict[int, np.ndarray]  # test accuracy in percent after each epoch, by seed


class Setting:
    """The results of one setting at a constant rate: those that agree with a run in all but
    deficit, one of `deficits`, onset, length, recovery and seed. trained: these five of each;
    offered: recoveries to choose from in any case.

    >>> from cplab.runs import FLAGSHIP
    >>> setting = Setting(FLAGSHIP, ["blur"])
    >>> setting.recoveries()[-1], setting.harm(("blur", 0, 16), 60)
    (60, 4.3 ± 0.5 (20 seeds))
    """

    def __init__(self, like: Run, deficits: Iterable[str]) -> None:
        if like.schedule != "fixed":
            raise CplabError(
                f"schedule {like.schedule!r} is not allowed in Explorer: its rate changes, so that "
                "no clear run is the control of all windows; give schedule='fixed'"
            )
        whole("seed", like.seed, 0, quantities.FIRST_SEEDS[-1])  # others do not count
        self.like, kinds = like, {CLEAR[0], *deficits}
        self.trained = {p for p in quantities.trained_places(like) if p[0] in kinds and p[3]}
        self._longest: dict[Point, dict[int, Result]] = defaultdict(dict)  # by point and seed
        self.offered, self._runs = {like.recovery}, dict[Point, Run]()
        # the longest first, which hold all others
        for *at, recovery, seed in sorted(self.trained, key=lambda p: (-sum(p[1:4]), -p[1], p[4])):
            if seed not in self._longest.get(point_of(*at), ()):
                self.add(self.run_at((at[0], at[1], at[2]), recovery, seed))

    def run_at(self, point: Point, recovery: int, seed: int | None = None) -> Run:
        """The run of a point with this recovery in epochs; by default with the setting's seed."""
        deficit, onset, length = point
        seed = self.like.seed if seed is None else seed
        at: dict[str, Any] = {"onset": onset, "length": length, "recovery": recovery, "seed": seed}
        return replace(self.like, deficit=deficit if length else "none", **at)

    def run_of(self, point: Point) -> Run:
        """A run of a point, of any recovery."""
        if point not in self._runs:
            self._runs[point] = self.run_at(point, self.like.recovery)
        return self._runs[point]

    def add(self, run: Run) -> None:
        """Add the result of a run, if there is one."""
        if new := quantities.look_up(run):
            at = run.deficit, run.onset, run.length
            self.trained.add((*at, run.recovery, run.seed))
            longest = self._longest[point_of(*at)]
            if run.seed not in longest or run.epochs >= longest[run.seed].spec.epochs:
                longest[run.seed] = new
            self.__dict__.pop("mean_grey", None)

    def points(self) -> list[Point]:
        """All points with a deficit."""
        return sorted(point for point in self._longest if point != CLEAR)

    def recoveries(self) -> list[int]:
        """The recoveries to choose from, in epochs."""
        trained = self.offered.union(place[3] for place in self.trained)
        last = max(*self.offered, min(60, max(trained)))
        return sorted(epochs for epochs in trained.union(RECOVERIES) if epochs <= last)

    def known(self, point: Point, recovery: int) -> dict[int, Result]:
        """The longest result of each seed of a point that has this recovery."""
        end = point[1] + point[2] + recovery
        longest = self._longest.get(point, {})
        long_enough = [seed for seed, result in longest.items() if result.spec.epochs >= end]
        return {seed: longest[seed] for seed in quantities.counted_seeds(long_enough)}

    def curves(self, point: Point, recovery: int) -> Curves:
        """The curves of a point until the end of this recovery, by seed, of seeds that have it."""
        end = point[1] + point[2] + recovery
        known = self.known(point, recovery).items()
        return {seed: 100 * one.series("test_accuracy")[:end] for seed, one in known}

    def grey(self) -> Curves:
        """The longest curve without a deficit of each seed."""
        return {n: 100 * one.series("test_accuracy") for n, one in self.known(CLEAR, 0).items()}

    @cached_property
    def mean_grey(self) -> np.ndarray:
        """The mean of these curves; each epoch is averaged with the four before it."""
        mean = estimates.mean_of_curves([*self.grey().values()])[0]
        return np.array([mean[max(0, i - LAST + 1) : i + 1].mean() for i in range(len(mean))])

    def level(self, point: Point, recovery: int) -> Estimate:
        """The final accuracy, in percent: the mean of the last five epochs."""
        end, own = point[1] + point[2] + recovery, self.known(point, recovery)
        return quantities.accuracy_at(self.run_of(point), own, end, recovery)

    def harm(self, point: Point, recovery: int) -> Estimate:
        """Points that the deficit costs beyond lost time, as `quantities.harm` has it, from all
        results that are long enough."""
        own, clear = self.known(point, recovery), self.known(CLEAR, point[1] + recovery)
        return quantities.harm_from_results(self.run_of(point), recovery, own, clear)

    def lost_time(self, point: Point, recovery: int) -> Estimate:
        """Points that the window's epochs would have brought without a deficit."""
        equal, without = (
            quantities.accuracy_at(self.run_of(CLEAR), self.known(CLEAR, end), end, recovery)
            for end in (point[1] + point[2] + recovery, point[1] + recovery)
        )
        return equal - without

    def clear_epochs_to(self, onset: int, recovery: int, harm: float) -> float | None:
        """The number of clear epochs after which the grey curve, averaged over five epochs, first
        reaches a run that is `harm` points below it at the end of its recovery (one that is above
        it, after that end), or None."""
        grey, end = self.mean_grey, onset + recovery
        if end > len(grey):
            return None
        level, start = grey[end - 1] - harm, end - 1 if harm < 0 else 0
        first = estimates.find_crossing(np.arange(start, len(grey)) + 1, grey[start:], level)
        return None if math.isnan(first) or grey[start] > level else first


def point_of(deficit: str, onset: int, length: int) -> Point:
    """The point of a run; CLEAR without a deficit."""
    return (deficit, onset, length) if length else CLEAR


# Words --------------------------------------------------------------------------------------------


def epochs_in_words(count: int) -> str:
    """Write a number of epochs: `1 epoch`, `8 epochs`."""
    return f"{count} epoch{'' if count == 1 else 's'}"


def name_network(point: Point) -> str:
    """Name the network of a point: `the network blurred for its first 16`, after `… clear epochs`.

    >>> name_network(("blur", 0, 16)), name_network(("flip", 24, 8))
    ('the network blurred for its first 16', \
'the network shown upside-down images for 8 epochs after its first 24')
    """
    deficit, onset, length = point
    condition = CONDITIONS.get(deficit, f"with {label(deficit)}")
    first = f"its first {length if length > 1 else 'one'}"
    when = f"{epochs_in_words(length)} after its first {onset}" if onset else first
    return f"the network {condition} for {when}"


def headline(point: Point, recovery: int, harm: Estimate, reached: float | None) -> str:
    """Write the result at a point in one sentence; reached, see `Setting.clear_epochs_to`."""
    begin = f"After {point[1] + recovery} clear epochs, {name_network(point)}"
    if not harm.seeds:
        return f"{begin} has no control yet: Train adds it."
    never = "one that never was" if point[0] in CONDITIONS else "one without"
    if harm.sign == 0:
        return f"{begin} is level with {never}, at the precision of {sides_of(harm)}."
    side = "behind" if harm.mean >= 0 else "ahead of"
    where = "" if reached is None else f": it is as good as that one was after {reached:.0f}"
    where *= harm.mean >= 0
    return f"{begin} is {abs(harm.mean):.1f} points {side} {never}{where}."


def small_print(harm: Estimate, lost: Estimate, back: Sequence, recovery: int) -> str:
    """Write the interval of a point's harm, its seeds, the clear epochs back and lost time."""
    if not harm.seeds:
        return ""
    if harm.sign is None:
        text = estimates.mean_in_words(harm.mean)
        return f"harm {text} points · {sides_of(harm)}: no interval, no verdict"
    parts = [f"harm {harm} points ({sides_of(harm)})"]
    if harm.sign == 0:
        visible = estimates.detectable(harm.half, harm.seeds)
        parts.append(f"a harm of {visible:.1f} would be found 8 times in 10")
    elif harm.sign == 1 and all(epochs is not None for epochs in back):
        parts.append(f"{back[0]:.0f} clear epochs back ({back[1]:.0f} to {back[2]:.0f})")
    if lost.seeds:
        parts.append(f"lost time {estimates.mean_in_words(lost.mean, lost.half)}")
    last = epochs_in_words(min(LAST, recovery))
    return " · ".join([*parts, f"means of the last {last}"])


def name_of(point: Point) -> str:
    """The name of a point, for the end of its line.

    >>> name_of(("blur", 0, 16)), name_of(("flip", 24, 8))
    ('blur, first 16 epochs', 'vertical flip, 8 epochs after 24')
    """
    deficit, onset, length = point
    epochs = epochs_in_words(length)
    return f"{label(deficit)}, {f'{epochs} after {onset}' if onset else f'first {epochs}'}"


def tags(harm: Estimate, back: float | None) -> list[str]:
    """The words at the bracket of harm, in points and in clear epochs."""
    if not harm.seeds:
        return ["", ""]
    if harm.sign == 0:
        return ["level", "level"]
    side = "behind" if harm.mean >= 0 else "ahead"
    epochs = "" if back is None else f"{abs(back):.0f} clear epochs {side}"
    return [f"{abs(harm.mean):.1f} points {side}", epochs]


def sides_of(harm: Estimate) -> str:
    """Write the seeds of both sides: `10 seeds`, or `5 seeds against 10`."""
    clear, own = harm.counts[0], harm.counts[-1]
    return estimates.count_seeds(own) + ("" if own == clear else f" against {clear}")


# All of it, as plain data -------------------------------------------------------------------------


def describe_point(setting: Setting, point: Point) -> dict[str, Any]:
    """Describe a point as plain data: `at`, {recovery: harm and words}, and `bands`, a mean curve
    for each set of seeds, valid until the recovery `upto`."""
    at, bands = {}, dict[tuple, dict]()  # bands by their seeds
    for recovery in reversed(setting.recoveries()):
        if curves := setting.curves(point, recovery):
            at[recovery] = describe_end(setting, point, recovery)
            if (seeds := tuple(curves)) not in bands:
                bands[seeds] = {"upto": recovery, **band(curves)}
    return {"at": at, "bands": [*bands.values()][::-1]}


def describe_end(setting: Setting, point: Point, recovery: int) -> dict[str, Any]:
    """Describe a point at the end of a recovery, in numbers and words; `sign`: of the harm, 0 if it
    is level; `back`: the harm in clear epochs, and the ends of its interval."""
    harm, lost = setting.harm(point, recovery), setting.lost_time(point, recovery)
    ends = (harm.mean, harm.mean - harm.half, harm.mean + harm.half) if harm.seeds else ()
    reached = [setting.clear_epochs_to(point[1], recovery, end) for end in ends] or [None] * 3
    back = [None if value is None else point[1] + recovery - value for value in reached]
    return {
        "level": short(setting.level(point, recovery).mean),
        "harm": [short(value) for value in (harm.mean, harm.half)] if harm.seeds else None,
        "sign": harm.sign or 0,
        "seeds": sides_of(harm) if harm.seeds else "",
        "back": [None if value is None else short(value) for value in back],
        "name": name_of(point),
        "tags": tags(harm, back[0]),
        "head": headline(point, recovery, harm, reached[0]),
        "small": small_print(harm, lost, back, recovery),
    }


def band(curves: Curves) -> dict[str, Any]:
    """Curves of several seeds as plain data, in thousandths of an accuracy."""
    mean, half = estimates.mean_of_curves([*curves.values()])
    seeds = {seed: thousandths(curve) for seed, curve in sorted(curves.items())}
    return {"mean": thousandths(mean), "half": thousandths(half), "seeds": seeds}


def thousandths(percent: np.ndarray) -> list[int]:
    """Convert percentages to whole thousandths."""
    return np.rint(10 * percent).astype(int).tolist()


def short(value: float) -> float | None:
    """Round a number to four decimals; None for NaN."""
    return None if math.isnan(value) else round(value, 4)
