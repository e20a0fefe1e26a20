"""Overviews of all results: the table of runs, and how long results of a size took."""

import json
import math
import statistics
from collections import defaultdict
from functools import lru_cache
from typing import Any

from cplab.errors import one_of
from cplab.results import store
from cplab.results.result import HOW
from cplab.runs import CLEAR, LONGEST, Run

COLUMNS = ("key", *store.RUN_COLUMNS, "accuracy", "seconds", *HOW, "source")
MANY = 100  # timings of a measurement that are enough for a median
SEVERAL = ("windows", "treatments")  # fields that hold several, as JSON


# The table of runs --------------------------------------------------------------------------------


def table(**wanted: object) -> Any:
    """A pandas DataFrame of all runs, or of those that have the wanted values of fields: key, the
    run's fields, accuracy, seconds, provenance and source. A key that is both shipped and live
    stands once, as shipped.

    >>> import cplab
    >>> len(cplab.table(profile="course", deficit="flip")) > 20
    True
    """
    import pyarrow as pa

    for name in wanted:
        one_of("field of a run", name, store.RUN_COLUMNS)
    # the values as a run holds them; the profile is course if none is wanted
    defaults: dict[str, Any] = {"deficit": "blur", "length": int(wanted.get("deficit") != CLEAR)}
    defaults |= {"onset": LONGEST // 3, "recovery": LONGEST // 3, "schedule": "paper"}
    defaults |= {"model": "eyes"} if ":" in str(wanted.get("deficit")) else {}
    columns = store.run_columns(Run(**defaults | wanted))
    own = pa.Table.from_pylist([store.flatten(result) for result in store.live_results("Run")])
    all_rows = pa.concat_tables([store.archive().light, own], promote_options="permissive")
    rows = all_rows.to_pandas()
    shipped = len(all_rows) - len(own)
    rows["source"] = ["live" if row >= shipped else "shipped" for row in rows.index]
    rows = rows[(rows["kind"] == "Run") & (rows["version"] == Run.version)]
    for name in wanted:
        column = rows[name]
        rows = rows[column.isna() if columns[name] is None else column == columns[name]]
    rows = rows.drop_duplicates("key")[[*COLUMNS]]
    for name in SEVERAL:
        parsed = {text: tuple(map(tuple, json.loads(text))) for text in rows[name].unique()}
        rows[name] = rows[name].map(parsed)
    types = dict.fromkeys(("pace", "weight_decay", "accuracy", "seconds"), "float64")
    types |= dict.fromkeys(("onset", "length", "recovery", "seed", "skipped", "threads"), "int64")
    order = [name for name in store.RUN_COLUMNS if name not in (*SEVERAL, "pace", "weight_decay")]
    return rows.astype(types | {"augment": "bool"}).sort_values(order, ignore_index=True)


# How long results took ----------------------------------------------------------------------------


def similar(spec: Any) -> tuple[bool, dict[str, float]]:
    """Whether this user has results of a spec's kind and size, and the seconds of an epoch in them,
    or else in shipped ones, by key. A spec without epochs counts as one epoch."""
    size, kind = store.size_of(spec), type(spec)
    own = [r for r in store.live_results(kind.__name__) if store.size_of(r.spec) == size]
    if own:
        return True, {r.key: r.seconds / getattr(r.spec, "epochs", 1) for r in own}
    return False, shipped_times(store.archive()).get((size, kind.version), {})


@lru_cache(maxsize=2)
def shipped_times(archive: store.Archive) -> dict[tuple, dict[str, float]]:
    """Seconds an epoch of shipped results, by size and version, then by key. Only those from a CPU:
    those from a GPU would promise too much."""
    times = defaultdict[tuple, dict[str, float]](dict)
    names = ["size", "version", "key", "seconds", "epochs", "device"]
    for row in archive.light.select(names).to_pylist():
        if row["device"].startswith("cpu"):
            times[row["size"], row["version"]][row["key"]] = row["seconds"] / row["epochs"]
    return times


def seconds_per_epoch(spec: Any) -> float | None:
    """Estimate the seconds of an epoch of a spec, or of all of it if it has no epochs: the shortest
    time on this machine, since other work may have slowed the rest; the lower quartile of shipped
    results, for the same reason; else the estimate of the spec's class, or one by the number of
    operations from a run whose network is of the same family. None if nothing is known."""
    is_own, seconds = similar(spec)
    if times := [time for time in seconds.values() if time]:  # some results have none
        return min(times) if is_own else sorted(times)[len(times) // 4]
    if expected := getattr(spec, "expected_seconds", None):
        return expected / getattr(spec, "epochs", 1)
    return scaled_seconds(spec) if isinstance(spec, Run) else None


def scaled_seconds(run: Run) -> float | None:
    """Estimate the seconds of an epoch from runs of the nearest size with a network of the same
    family."""

    def operations(like: Run) -> float:  # images · pixels · width², up to a factor
        return like.settings.train_images * (like.settings.size * like.width) ** 2

    names = ("profile", "dataset", "model", "arithmetic")
    times = shipped_times(store.archive()).items()
    sizes = (size.split() for (size, _), seconds in times if any(seconds.values()))
    runs = [Run(**dict(zip(names, size, strict=True))) for kind, *size in sizes if kind == "Run"]
    runs += [result.spec for result in store.live_results("Run") if result.seconds]
    family = [other for other in runs if other.family == run.family]
    if not family:
        return None
    other = min(family, key=lambda other: abs(math.log(operations(run) / operations(other))))
    seconds = seconds_per_epoch(other)
    return seconds and seconds * operations(run) / operations(other)


def seconds_of_measurement(spec: Any, name: str) -> float | None:
    """The seconds that one measurement takes, the median of results of this size, or None."""
    seconds = list[float]()
    for key in similar(spec)[1]:
        rows = store.by_key(key).measured.get(name, {}).values()
        seconds += [r["seconds"] for r in rows if isinstance(r, dict) and r.get("seconds")]
        if len(seconds) >= MANY:
            break
    return statistics.median(seconds) if seconds else None
