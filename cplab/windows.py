"""What the runs of one setting say of each window of a deficit: means over seeds, and how long a
window may last. Seeds are pairs as `cplab.quantities` has it."""

from collections.abc import Collection
from dataclasses import fields
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cplab import results
from cplab.errors import one_of, quote, require
from cplab.runs import CLOCKS, Run
from cplab.statistics import Estimate, estimate_sum, find_crossing

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["longest_harmless_window", "point_means", "same_setting"]

POINT = ("deficit", "onset", "length", "seed", "skipped")  # what varies within one setting
PARTS = ("accuracy", "loss", "lost_time", "harm", "gain")


def same_setting(
    like: Run, but: Collection[str] = (), table: "pd.DataFrame | None" = None
) -> "pd.DataFrame":
    """The rows of `cplab.table`, or of a part of it, that agree with a run in everything but
    deficit, onset, length and seed, and the fields that are named with `but`. (Of a run with
    further windows or treatments the controls are in another setting: ask `cplab.quantities`.)

    >>> set(same_setting(Run(profile="fit")).profile)
    {'fit'}
    """
    for name in but:
        one_of("field of Run", name, [f.name for f in fields(Run)])
    names = [f.name for f in fields(Run) if f.name not in (*POINT, *but)]
    wanted = [getattr(like, name) for name in names]
    table = results.table() if table is None else table
    known = hasattr(table, "reindex")
    require(known, f"table {quote(table)} is not allowed: give rows of cplab.table()")
    rows = table.reindex(columns=names).astype(object)
    rows = rows.where(rows.notna(), None)  # a table may hold NaN for None
    alike = [list(row) == wanted for row in rows.itertuples(index=False)]
    return table[np.array(alike, dtype=bool)]


def point_means(table: "pd.DataFrame", clock: str = "stopped") -> "pd.DataFrame":
    """What the runs of one setting say of each (deficit, onset, length).

    Arguments: table, rows of `cplab.table` that agree in all but these and the seed (see
        `same_setting`), controls among them; clock, of the control of harm.
    Returns: one row a point, indexed by deficit, onset and length, with means over seeds and half
        their 95 % intervals (see `statistics.estimate`: seeds pair lives that share training, which
        those from birth do not with their controls; all seeds of both sides count) of accuracy,
        loss (against equal training), its two parts lost_time and harm, and gain (over the
        newborn), as fractions in accuracy, accuracy_half, …; seeds, the number of runs; pairs, of
        those with equal training.

    >>> points = point_means(same_setting(Run()))
    >>> points.loc[("blur", 0, 8), ["loss", "lost_time", "harm"]].round(3).to_list()
    [0.07, 0.052, 0.018]
    """
    import pandas as pd

    one_of("clock", clock, CLOCKS)
    places = ["deficit", "onset", "length", "skipped"]
    lives = {
        place: dict(zip(rows.seed, rows.accuracy, strict=True))
        for place, rows in table.groupby(places)[["seed", "accuracy"]]
    }
    falling = clock == "running" and (table.schedule == "paper").all()
    found = {}
    for (deficit, onset, length, skipped), own in lives.items():
        if skipped:
            continue
        passed = length if falling else 0
        equal = lives.get(("none", onset + length, 0, 0), {})
        without = lives.get(("none", onset, 0, passed), {})
        born = lives.get(("none", 0, 0, 0), {})
        shared = onset > 0 or deficit == "none"  # training, with its controls
        parts = {
            "accuracy": estimate_sum([own]),
            "loss": apart(equal, own, shared),
            "lost_time": apart(equal, without, onset > 0 or not passed),
            "harm": apart(without, own, shared),
            "gain": apart(own, born, shared),
        }
        found[deficit, onset, length] = {
            **{name: part.mean for name, part in parts.items()},
            **{f"{name}_half": part.half for name, part in parts.items()},
            **{"seeds": len(own), "pairs": len(own.keys() & equal.keys())},
        }
    columns = [*PARTS, *(f"{name}_half" for name in PARTS), "seeds", "pairs"]
    index = pd.MultiIndex.from_tuples([*found] or [("", 0, 0)], names=places[:3])[: len(found)]
    return pd.DataFrame([*found.values()], index, columns)


def apart(one: dict, other: dict, shared: bool) -> Estimate:
    """By how much numbers by seed are above others, which are their pairs where training is
    shared."""
    if shared:
        return estimate_sum([{seed: one[seed] - other[seed] for seed in one.keys() & other.keys()}])
    return estimate_sum([one, {seed: -number for seed, number in other.items()}])


def rows_at(points: "pd.DataFrame", **where: Any) -> "pd.DataFrame":
    """The rows of `point_means` at a deficit, an onset, a length, or at several of them."""
    here = np.ones(len(points), dtype=bool)
    for level, wanted in where.items():
        here &= np.isin(points.index.get_level_values(level), wanted)
    return points[here]


class Longest(NamedTuple):
    """How many epochs a window may last, and the ends of their 95 % interval; infinite where no
    window that was trained is too long."""

    epochs: float
    low: float
    high: float


def longest_harmless_window(
    points: "pd.DataFrame", deficit: str, onset: int = 0, penalty: float = 1.0
) -> Longest:
    """The longest window of a deficit that can be removed without a penalty, which the slides call
    the critical period: where harm, from length to length along straight lines, exceeds it first.

    The interval inverts that of harm over seeds: it has all lengths whose harm cannot be told from
    the penalty, from where the upper ends of the intervals exceed it to where the lower ends do.

    Arguments: points, of `point_means`; penalty, the smallest that counts, in points of accuracy.
    Returns: epochs, low, high; NaN where nothing was trained, or all of it with one seed.

    >>> points = point_means(same_setting(Run()))
    >>> print(*np.round(longest_harmless_window(points, "blur"), 1))
    5.0 2.2 6.8
    """
    rows = rows_at(points, deficit=deficit, onset=onset).dropna(subset="harm")

    def end(harm: "pd.Series") -> float:
        known = harm.dropna()
        lengths = [0, *known.index.get_level_values("length")]
        found = find_crossing(lengths, [0, *known], penalty / 100)
        return found if not np.isnan(found) else np.inf if len(known) else np.nan

    harm, half = rows.harm, rows.harm_half
    return Longest(end(harm), end(harm + half), end(harm - half))
