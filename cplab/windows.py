"""Windows of a deficit in one setting: which were trained, and how long one may last. Seeds are
pairs as `cplab.quantities` has it."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pyarrow.compute as pc

from cplab.errors import require, whole
from cplab.quantities import reading, result, with_seed
from cplab.results import store, tables
from cplab.runs import Run
from cplab.statistics import SEEDS, Contrast, Missing, estimate, find_crossing

__all__ = ["every_length", "harm_after", "longest_harmless_window", "trained_places"]

PLACE = ("deficit", "onset", "length", "recovery", "seed")  # what varies within one setting
READ_OUT = 5  # epochs that a read-out is the mean of: at a rate that stays, the last is restless


class Epochs(NamedTuple):
    """So many epochs, and the ends of their 95 % interval."""

    epochs: float
    low: float
    high: float


def trained_places(like: Run) -> set[tuple]:
    """Deficit, onset, length, recovery and seed of what agrees with a run in all else and has a
    result, shipped or live. (Of a run with further windows or treatments the controls are in
    another setting: ask `cplab.quantities`.)

    >>> ("blur", 0, 8, 15, 0) in trained_places(Run())
    True
    """
    names = [name for name in store.RUN_COLUMNS if name not in PLACE]
    wanted = {name: getattr(like, name) for name in names}
    written = {name: json.dumps(wanted[name]) for name in ("windows", "treatments")}
    written = wanted | written | {"kind": "Run", "version": like.version}
    light = store.archive().light
    for name, value in written.items():
        column = light[name]
        light = light.filter(pc.is_null(column) if value is None else pc.equal(column, value))
    alike = light.select(PLACE).to_pylist()
    live = [vars(result.spec) for result in tables.live_results("Run")]
    alike += [run for run in live if all(run[name] == value for name, value in wanted.items())]
    return {tuple(row[name] for name in PLACE) for row in alike}


def every_length(run: Run) -> list[Run]:
    """The runs whose deficit is of another length, those that were trained, shortest first.

    >>> [run.length for run in every_length(Run("blur", length=8))]
    [2, 4, 8, 12, 16, 24]
    """
    here = run.deficit, run.onset, run.recovery
    lengths = {
        n for name, onset, n, after, _ in trained_places(run) if (name, onset, after) == here
    }
    return [replace(run, length=length) for length in sorted(lengths - {0})]


def longest_harmless_window(harms: Mapping[int, Any], penalty: float = 1.0) -> Epochs:
    """The longest window of a deficit without a penalty, which the slides call the critical period:
    where harm, from length to length along straight lines, first exceeds it; infinite where no
    window that was trained is too long, NaN where none was trained. The interval has all lengths
    whose harm cannot be told from the penalty.

    Arguments: harms, by the length of the window, contrasts or numbers of each seed; penalty, the
        smallest that counts, in points of accuracy.

    >>> from cplab.quantities import harm
    >>> harms = {run.length: harm(run) for run in every_length(Run("blur", length=8))}
    >>> print(*np.round(longest_harmless_window(harms), 1))
    5.0 2.2 6.8
    """
    known = {n: about for n in sorted(harms) if (about := estimate(harms[n])).seeds}

    def end(sign: int) -> float:
        points = [about.mean + (sign * about.half if sign else 0) for about in known.values()]
        there = [(n, y) for n, y in zip(known, points, strict=True) if np.isfinite(y)]
        lengths, heights = zip((0, 0.0), *there, strict=True)
        crossing = find_crossing(lengths, heights, penalty)
        return crossing if not np.isnan(crossing) else np.inf if there else np.nan

    return Epochs(end(0), end(1), end(-1))


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
    clear = ((onset, after) for name, onset, _, after, _ in trained_places(like) if name == "none")
    return tuple(sorted({onset for onset, after in clear if after == like.recovery}, reverse=True))


def clear_lives(like: Run) -> list[np.ndarray]:
    """The test accuracy along each seed's longest run of a setting that has no deficit."""
    onsets, lives = clear_onsets(like), []
    for seed in SEEDS:
        with suppress(Missing):
            lives.append(longest_clear(with_seed(like.newborn(), seed), onsets))
    return lives


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
    lives, over = clear_lives(run), min(READ_OUT, run.recovery)
    epochs = np.arange(over, last + 1)
    curve = [
        np.mean([100 * np.mean(life[n - over : n]) for life in lives if len(life) >= n])
        for n in epochs
    ]
    highest = np.maximum.accumulate(curve)

    def behind(points: float) -> float:
        return last - float(np.interp(curve[-1] - points, highest, epochs))

    return Epochs(*(behind(harm.mean + sign * harm.half) for sign in (0, -1, 1)))
