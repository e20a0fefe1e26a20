"""What the runs of one setting say of each window of a deficit: means over seeds, and how long a
window may last. Seeds are pairs as `cplab.quantities` has it."""

from collections.abc import Collection
from contextlib import suppress
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cplab import results
from cplab.errors import one_of, require, whole
from cplab.quantities import reading, result, with_seed
from cplab.runs import CLOCKS, Run
from cplab.statistics import (
    SEEDS,
    Contrast,
    Estimate,
    Missing,
    estimate,
    estimate_sum,
    find_crossing,
)

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["harm_after", "longest_harmless_window", "point_means", "same_setting"]

POINT = ("deficit", "onset", "length", "seed", "skipped")  # what varies within one setting
READ_OUT = 5  # epochs that a read-out is the mean of: at a rate that stays, the last is restless
PARTS = ("accuracy", "loss", "lost_time", "harm", "gain")


class Epochs(NamedTuple):
    """So many epochs, and the ends of their 95 % interval."""

    epochs: float
    low: float
    high: float


def same_setting(
    like: Run, but: Collection[str] = (), table: "pd.DataFrame | None" = None
) -> "pd.DataFrame":
    """The rows of `cplab.table`, or of a part of it, that agree with a run in everything but
    deficit, onset, length and seed, and the fields named with `but`. (Of a run with further windows
    or treatments the controls are in another setting: ask `cplab.quantities`.)

    >>> set(same_setting(Run(profile="fit")).profile)
    {'fit'}
    """
    table = results.table() if table is None else table
    for field in fields(Run):
        if field.name not in (*POINT, *but):
            wanted = getattr(like, field.name)
            none = wanted is None  # for which a table may hold NaN
            alike = [cell == wanted or (none and cell != cell) for cell in table[field.name]]
            table = table[np.array(alike, dtype=bool)]
    return table


def point_means(table: "pd.DataFrame", clock: str = "stopped") -> "pd.DataFrame":
    """What the runs of one setting, rows of `same_setting`, say of each (deficit, onset, length).

    Returns: one row a point, with means over seeds and half their 95 % intervals, as fractions, of
        accuracy, loss (against equal training), its parts lost_time and harm (by this clock), and
        gain (over the newborn); seeds, the number of runs; pairs, of those with equal training.

    >>> points = point_means(same_setting(Run()))
    >>> points.loc[("blur", 0, 8), ["loss", "lost_time", "harm"]].round(3).to_list()
    [0.07, 0.052, 0.018]
    """
    import pandas as pd

    one_of("clock", clock, CLOCKS)
    places = ["deficit", "onset", "length", "skipped"]
    lives: dict[Any, dict] = {
        place: dict(zip(rows.seed, rows.accuracy, strict=True))
        for place, rows in table.groupby(places)[["seed", "accuracy"]]
    }
    falling = clock == "running" and (table.schedule == "paper").all()
    points = {}
    for (deficit, onset, length, skipped), own in lives.items():
        if skipped:
            continue
        passed = length if falling else 0
        equal = lives.get(("none", onset + length, 0, 0), {})
        without = lives.get(("none", onset, 0, passed), {})
        born = lives.get(("none", 0, 0, 0), {})
        shared = onset > 0 or deficit == "none"  # training, with its controls
        each = (
            estimate_sum([own]),
            difference(equal, own, shared),
            difference(equal, without, onset > 0 or not passed),
            difference(without, own, shared),
            difference(own, born, shared),
        )
        numbers = {name: part.mean for name, part in zip(PARTS, each, strict=True)}
        numbers |= {f"{name}_half": part.half for name, part in zip(PARTS, each, strict=True)}
        numbers |= {"seeds": len(own), "pairs": len(own.keys() & equal.keys())}
        points[deficit, onset, length] = numbers
    index = pd.MultiIndex.from_tuples(points or [("", 0, 0)], names=places[:3])[: len(points)]
    columns = [*PARTS, *(f"{name}_half" for name in PARTS), "seeds", "pairs"]
    return pd.DataFrame([*points.values()], index, columns)


def difference(ours: dict, theirs: dict, shared: bool) -> Estimate:
    """By how much numbers by seed are above others, paired where they share training."""
    if shared:
        pairs = ours.keys() & theirs.keys()
        return estimate_sum([{seed: ours[seed] - theirs[seed] for seed in pairs}])
    return estimate_sum([ours, {seed: -number for seed, number in theirs.items()}])


def rows_at(points: "pd.DataFrame", **where: Any) -> "pd.DataFrame":
    """The rows of `point_means` at a deficit, an onset, a length, or at several of them."""
    here = np.ones(len(points), dtype=bool)
    for level, wanted in where.items():
        here &= np.isin(points.index.get_level_values(level), wanted)
    return points[here]


def longest_harmless_window(
    points: "pd.DataFrame", deficit: str, onset: int = 0, penalty: float = 1.0
) -> Epochs:
    """The longest window of a deficit without a penalty, which the slides call the critical period:
    where harm, from length to length along straight lines, first exceeds it; infinite where no
    window that was trained is too long, NaN where none was trained. The interval has all lengths
    whose harm cannot be told from the penalty.

    Arguments: points, of `point_means`; penalty, the smallest that counts, in points of accuracy.

    >>> points = point_means(same_setting(Run()))
    >>> print(*np.round(longest_harmless_window(points, "blur"), 1))
    5.0 2.2 6.8
    """
    rows = rows_at(points, deficit=deficit, onset=onset).dropna(subset="harm")

    def end(harm: "pd.Series") -> float:
        known = harm.dropna()
        lengths = [0, *known.index.get_level_values("length")]
        crossing = find_crossing(lengths, [0, *known], penalty / 100)
        return crossing if not np.isnan(crossing) else np.inf if len(known) else np.nan

    harm, half = rows.harm, rows.harm_half
    return Epochs(end(harm), end(harm + half), end(harm - half))


# At a rate that never changes, where one clear life is the control of every window ----------------


def harm_after(run: Run, clear: int | None = None) -> Contrast:
    """Points by which a run lies below one without a deficit after as many clear epochs, each read
    over its last five, or over as many as the recovery has had by then. At a rate that never
    changes this is its harm, at any time of its recovery.

    Arguments: run, of the schedule `fixed`; clear, the epochs without a deficit that both have
        seen, by default all that the run has.

    >>> flagship = {"model": "depth3", "schedule": "fixed", "recovery": 60}
    >>> float(harm_after(Run("blur", length=16, **flagship), 30)) > 3
    True
    """
    require(run.schedule == "fixed", f"schedule {run.schedule!r} changes the rate: give fixed")
    require(run.recovery, "recovery 0 leaves no clear epoch to read: give one of 1 or more")
    last = run.onset + run.recovery
    clear = last if clear is None else whole("clear", clear, run.onset + 1, last)
    over = min(READ_OUT, clear - run.onset)
    return never_deprived(run, clear, over) - reading(run, seen, clear=clear, over=over)


def seen(run: Run, clear: int, over: int) -> float:
    """The accuracy of a run after so many epochs without its deficit, over the last of them, in
    percent."""
    end = run.length + clear
    return 100 * float(np.mean(result(run).series("test_accuracy")[end - over : end]))


def never_deprived(run: Run, clear: int, over: int) -> Contrast:
    """The same of the longest run without a deficit that agrees with a run in all else."""
    return reading(run.newborn(), seen_clear, clear=clear, over=over, onsets=clear_onsets(run))


def seen_clear(newborn: Run, clear: int, over: int, onsets: tuple[int, ...]) -> float:
    curve = longest_clear(newborn, onsets)
    if len(curve) < clear:
        line = f"no run without a deficit has seen {clear} clear epochs: train one with sweep"
        raise Missing(line)
    return 100 * float(np.mean(curve[clear - over : clear]))


def longest_clear(newborn: Run, onsets: tuple[int, ...]) -> np.ndarray:
    """The test accuracy along the longest run of a seed that has no deficit. Raises: Missing."""
    for onset in onsets:
        with suppress(Missing):
            return result(replace(newborn, onset=onset)).series("test_accuracy")
    raise Missing(f"no run like {newborn.call()} is without a deficit: train one with sweep")


def clear_onsets(like: Run) -> tuple[int, ...]:
    """The onsets of the runs of a setting that have no deficit, the longest run first."""
    rows = same_setting(like)
    return tuple(sorted({*map(int, rows.onset[rows.deficit == "none"])}, reverse=True))


def clear_epochs_behind(run: Run) -> Epochs:
    """Harm in clear epochs: how far back on the curve of runs without a deficit a run stands, where
    that curve, the mean over seeds of five epochs each, first was as high. In this unit windows of
    any age compare. Low and high are of the interval of the harm; below 0 it is ahead.

    >>> flagship = {"model": "depth3", "schedule": "fixed", "recovery": 60}
    >>> clear_epochs_behind(Run("blur", length=16, **flagship)).epochs > 20
    True
    """
    harm, last = estimate(harm_after(run)), run.onset + run.recovery
    if not harm.seeds:
        return Epochs(np.nan, np.nan, np.nan)
    onsets, lives, over = clear_onsets(run), [], min(READ_OUT, run.recovery)
    for seed in SEEDS:
        with suppress(Missing):
            lives.append(longest_clear(with_seed(run.newborn(), seed), onsets))
    epochs = np.arange(over, last + 1)
    curve = [
        np.mean([100 * np.mean(life[n - over : n]) for life in lives if len(life) >= n])
        for n in epochs
    ]
    highest = np.maximum.accumulate(curve)

    def behind(points: float) -> float:
        return last - float(np.interp(curve[-1] - points, highest, epochs))

    return Epochs(*(behind(harm.mean + sign * harm.half) for sign in (0, -1, 1)))
