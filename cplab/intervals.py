"""Means over seeds with their 95 % intervals (Student's t), and how they are said."""

import numpy as np
import pandas as pd

from cplab import records
from cplab.experiment import Run

SETTING = [
    *("profile", "dataset", "model", "schedule", "recovery", "optimizer", "momentum", "arithmetic"),
    "trace",
]


def half_width(std, count):
    """Half the 95 % interval of a mean, from the deviation over `count` seeds; NaN for one seed."""
    from scipy import stats

    count = np.asarray(count, dtype=float)
    t = stats.t.ppf(0.975, np.where(count > 1, count - 1, np.nan))
    return t * np.asarray(std, dtype=float) / np.sqrt(count)


def mean_half(values) -> tuple[float, float]:
    """The mean of one number a seed, and half its 95 % interval; NaN for one, or for none."""
    values = np.asarray(values, dtype=float)
    if not len(values):
        return np.nan, np.nan
    deviation = values.std(ddof=1) if len(values) > 1 else np.nan
    return float(values.mean()), float(half_width(deviation, len(values)))


def told(values, digits: int = 1) -> str:
    """`12.4 ± 1.3 (5 seeds)`, of one number a seed; says so where there is none."""
    mean, half = mean_half(values)
    if not len(values):
        return "not trained yet"
    seeds = f"({len(values)} seed{'s' if len(values) > 1 else ''})"
    return f"{mean:.{digits}f} {seeds}" if np.isnan(half) else (
        f"{mean:.{digits}f} ± {half:.{digits}f} {seeds}"
    )  # fmt: skip


def factor(ratios) -> str:
    """`3.1 × (2.2 to 4.4)`: the geometric mean of one ratio a seed, and its 95 % interval."""
    with np.errstate(all="ignore"):
        logs = np.log(np.asarray(ratios, dtype=float))
    mean, half = mean_half(logs[np.isfinite(logs)])
    if np.isnan(mean):
        return "not trained yet"
    low, high = np.exp([mean - half, mean + half])
    return f"{np.exp(mean):.2g} ×" + ("" if np.isnan(half) else f" ({low:.2g} to {high:.2g})")


def percent(mean: float, half: float = np.nan, sign: bool = False) -> str:
    """`55.1 ± 0.7`, of fractions; one decimal at most, none where the interval is wide."""
    digits = 0 if half >= 0.1 else 1
    text = f"{100 * mean:{'+' if sign else ''}.{digits}f}"
    return text if np.isnan(half) else f"{text} ± {100 * half:.{digits}f}"


def select(table: pd.DataFrame, like: Run) -> pd.DataFrame:
    """The rows of a table of records that share the setting (profile, dataset, model, schedule,
    recovery) of a run."""
    same = pd.Series(True, index=table.index)
    for name in SETTING:
        same &= table[name] == getattr(like, name)
    return table[same]


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """What a set of records of one setting says about each deficit, onset and length.

    Every record is read against its two controls of the same seed: equal training (no deficit, as
    many epochs) and the newborn (the recovery epochs alone).

    Returns: one row for each (deficit, onset, length), its index, with the mean over seeds and
    half the 95 % interval (…_half) of: accuracy; loss, equal training minus accuracy, the
    sensitivity of the paper; gain, accuracy minus the newborn's; and `seeds`, `pairs`, how many
    records and how many with the control of equal training there are.
    """
    clear = table[table.deficit == "none"].set_index(["onset", "seed"]).accuracy
    rows = table[["deficit", "onset", "length", "seed", "accuracy"]].copy()
    equal = pd.MultiIndex.from_arrays([rows.onset + rows.length, rows.seed])
    newborn = pd.MultiIndex.from_arrays([rows.onset * 0, rows.seed])
    rows["loss"] = clear.reindex(equal).to_numpy() - rows.accuracy
    rows["gain"] = rows.accuracy - clear.reindex(newborn).to_numpy()
    groups = rows.drop(columns="seed").groupby(["deficit", "onset", "length"])
    mean, std, count = groups.mean(), groups.std(), groups.count()
    for name in ("accuracy", "loss", "gain"):
        mean[f"{name}_half"] = half_width(std[name], count[name])
    mean["seeds"], mean["pairs"] = count.accuracy, count.loss
    return mean


def mean_curve(some: list[records.Record], what: str = "test_accuracy") -> dict[str, np.ndarray]:
    """A quantity of the curves of several seeds (see Record.series): epoch, mean, low, high (one
    entry for each epoch after which it was measured)."""
    if not some:
        return {name: np.empty(0) for name in ("epoch", "mean", "low", "high")}
    curves = np.array([record.series(what) for record in some])
    mean = curves.mean(0)
    half = np.nan_to_num(half_width(curves.std(0, ddof=1), len(some))) if len(some) > 1 else 0
    columns = {"epoch": np.arange(1, len(mean) + 1), "mean": mean}
    columns |= {"low": mean - half, "high": mean + half}
    return {name: column[np.isfinite(mean)] for name, column in columns.items()}
