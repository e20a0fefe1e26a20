"""All results at a glance: a table of runs, and how long results of a size took."""

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
MANY = 100  # times that a measurement was taken
SEVERAL = ("windows", "treatments")  # fields that hold several, as JSON


# The table of runs --------------------------------------------------------------------------------


def table(**wanted: object) -> Any:
    """A pandas DataFrame of all runs, or of those that have the wanted values of fields: key, the
    run's fields, accuracy, seconds, provenance and source. A key that is shipped and live stands
    once, as shipped.

    >>> import cplab
    >>> len(cplab.table(profile="course", deficit="flip")) > 20
    True
    """
    import pyarrow as pa

    for name in wanted:
        one_of("field of a run", name, store.RUN_COLUMNS)
    # values as a run holds them, of the course's profile if no other is among them
    usual: dict[str, Any] = {"deficit": "blur", "length": int(wanted.get("deficit") != CLEAR)}
    usual |= {"onset": LONGEST // 3, "recovery": LONGEST // 3, "schedule": "paper"}
    like = store.run_columns(Run(**usual | wanted))
    own = pa.Table.from_pylist([store.flatten(result) for result in store.live_results("Run")])
    every = pa.concat_tables([store.archive().light, own], promote_options="permissive")
    rows = every.to_pandas()
    rows["source"] = ["live" if row >= len(every) - len(own) else "shipped" for row in rows.index]
    rows = rows[(rows["kind"] == "Run") & (rows["version"] == Run.version)]
    for name in wanted:
        held = rows[name]
        rows = rows[held.isna() if like[name] is None else held == like[name]]
    rows = rows.drop_duplicates("key")[[*COLUMNS]]
    for name in SEVERAL:
        known = {text: tuple(map(tuple, json.loads(text))) for text in rows[name].unique()}
        rows[name] = rows[name].map(known)
    types = dict.fromkeys(("pace", "weight_decay", "accuracy", "seconds"), "float64")
    types |= dict.fromkeys(("onset", "length", "recovery", "seed", "skipped", "threads"), "int64")
    by = [name for name in store.RUN_COLUMNS if name not in (*SEVERAL, "pace", "weight_decay")]
    return rows.astype(types | {"augment": "bool"}).sort_values(by, ignore_index=True)


# How long results took ----------------------------------------------------------------------------


def similar(spec: Any) -> tuple[bool, dict[str, float]]:
    """The seconds that an epoch took in results of a spec's kind and size, by key, and whether
    these are this user's own; else shipped ones are taken. A spec without epochs counts as one."""
    size, kind = store.size_of(spec), type(spec)
    own = [r for r in store.live_results(kind.__name__) if store.size_of(r.spec) == size]
    if own:
        return True, {r.key: r.seconds / getattr(r.spec, "epochs", 1) for r in own}
    return False, shipped_times(store.archive()).get((size, kind.version), {})


@lru_cache(maxsize=2)
def shipped_times(archive: store.Archive) -> dict[tuple, dict[str, float]]:
    """Seconds an epoch of shipped results, by size and version, then by key. Only those of a CPU: a
    GPU's would promise too much."""
    found = defaultdict[tuple, dict[str, float]](dict)
    names = ["size", "version", "key", "seconds", "epochs", "device"]
    for row in archive.light.select(names).to_pylist():
        if row["device"].startswith("cpu"):
            found[row["size"], row["version"]][row["key"]] = row["seconds"] / row["epochs"]
    return found


def seconds_per_epoch(spec: Any) -> float | None:
    """Estimate the seconds of an epoch of a spec, or of all of it where it has none. On this
    machine the quickest counts, since others may have shared it; of shipped results the lower
    quartile, for the same reason. Else the class's own estimate holds, or that of a run whose
    network is of the same family, by its operations. None if nothing is known."""
    here, alike = similar(spec)
    took = [seconds for seconds in alike.values() if seconds]  # some did not say
    if took:
        return min(took) if here else sorted(took)[len(took) // 4]
    if expected := getattr(spec, "expected_seconds", None):
        return expected / getattr(spec, "epochs", 1)
    return scaled_seconds(spec) if isinstance(spec, Run) else None


def scaled_seconds(run: Run) -> float | None:
    """Estimate the seconds of an epoch from runs of the nearest size with a network of the same
    family."""

    def work(like: Run) -> float:  # images · pixels · width²: operations, up to a factor
        return like.settings.train_images * (like.settings.size * like.width) ** 2

    names = ("profile", "dataset", "model", "arithmetic")
    times = shipped_times(store.archive()).items()
    sizes = (size.split() for (size, _), took in times if any(took.values()))
    known = [Run(**dict(zip(names, size, strict=True))) for kind, *size in sizes if kind == "Run"]
    known += [result.spec for result in store.live_results("Run") if result.seconds]
    near = [other for other in known if other.family == run.family]
    if not near:
        return None
    other = min(near, key=lambda other: abs(math.log(work(run) / work(other))))
    seconds = seconds_per_epoch(other)
    return seconds and seconds * work(run) / work(other)


def seconds_of_measurement(spec: Any, name: str) -> float | None:
    """The seconds that one measurement takes, from results of this size; None if none says so."""
    took = list[float]()
    for key in similar(spec)[1]:
        rows = store.by_key(key).measured.get(name, {}).values()
        took += [r["seconds"] for r in rows if isinstance(r, dict) and r.get("seconds")]
        if len(took) >= MANY:
            break
    return statistics.median(took) if took else None
