"""What tables and estimates say of all results: fields, accuracy, provenance and costs."""

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import fields, replace
from functools import cache
from pathlib import Path
from typing import Any

from cplab import specs
from cplab.checks import CplabError, whole
from cplab.deficits import canonical_name
from cplab.profiles import PROFILES
from cplab.results import store
from cplab.results.store import Result, shipped, shipped_texts

ABOUT = ("seconds", *store.HOW, "source")
Entry = tuple[Any, dict]  # a result's spec, and about it accuracy, ABOUT, size and costs


def size_of(spec: Any) -> tuple:
    """What specs have in common that take about as long."""
    names = ("profile", "dataset", "model", "arithmetic", "size")
    return tuple(getattr(spec, name, None) for name in names)


def entry_of(result: Result) -> Entry:
    """costs are seconds: of an epoch (or of everything), of each measurement that says its own."""
    import statistics

    costs = {"epoch": result.seconds / max(1, getattr(result.spec, "epochs", 1))}
    for name, rows in result.measured.items():
        dicts = [row for row in rows.values() if isinstance(row, dict)]
        if took := [row["seconds"] for row in dicts if specs.positive(row.get("seconds"))]:
            costs[name] = statistics.median(took)
    about = {name: getattr(result, name) for name in ABOUT}
    about |= {"accuracy": result.accuracy if "accuracy" in result.values else None, "costs": costs}
    return result.spec, about | {"size": size_of(result.spec)}


@cache
def shipped_entry(key: str) -> Entry | None:
    found = shipped(key)
    return entry_of(found) if found else None


def shipped_entries(kind: str) -> list[Entry]:
    """Of all sound shipped results of a kind."""
    return [*filter(None, map(shipped_entry, shipped_texts(kind)))]


@cache
def shipped_specs(kind: str) -> dict[str, Any]:
    """What each shipped result of a kind says that it is of, by key. It is read from the beginning
    alone, in a fraction of the time; whoever wants the result has all of it checked."""
    found = {}
    for key, text in shipped_texts(kind).items():
        try:
            written = json.loads(text.partition(', "values": ')[0] + "}")
            found[key] = specs.build_spec(kind, written["spec"], written["version"])
        except Exception:  # damaged, outdated or somebody else's
            shipped_entry(key)  # which tells
    return found


store.CACHES += [shipped_entry, shipped_specs]


def similar_results(spec: Any) -> Iterator[Iterator[dict]]:
    """What is said of the live results of a spec's kind and size, and then of the shipped ones,
    each of which is read when it is asked for."""
    size, kind = size_of(spec), type(spec).__name__
    yield (about for _, about in live_entries(kind) if about["size"] == size)
    wanted = (key for key, one in shipped_specs(kind).items() if size_of(one) == size)
    yield (about for _, about in filter(None, map(shipped_entry, wanted)))


def live_entries(kind: str) -> list[Entry]:
    """Of all sound live results of a kind."""
    entries = []
    for path in store.live_paths():
        with suppress(OSError):  # it may be gone by now
            about = path.lstat()
            entries.append(live_entry(path, about.st_mtime_ns, about.st_size))
    return [entry for entry in entries if entry and type(entry[0]).__name__ == kind]


@cache
def live_entry(path: Path, changed: int, size: int) -> Entry | None:
    """Of a live file, if it is sound; it is read again once it was changed or has another size."""
    found = store.live(path)
    return entry_of(found) if found else None


def table_where(fits: Callable[[Any], bool]) -> Any:
    """A `table` of the runs that fit; of the others hardly anything is read."""
    import pandas as pd

    from cplab.runs import Run

    every = {run: about for run, about in live_entries("Run") if fits(run)}
    wanted = [key for key, run in shipped_specs("Run").items() if fits(run)]
    every |= dict(filter(None, map(shipped_entry, wanted)))
    names = [f.name for f in fields(Run)]
    columns = {name: [getattr(run, name) for run in every] for name in ("key", *names)}
    columns |= {name: [about[name] for about in every.values()] for name in ("accuracy", *ABOUT)}
    by = [n for n in names if n not in ("windows", "treatments", "pace", "weight_decay")]
    return pd.DataFrame(columns).sort_values(by, ignore_index=True)


def table(**wanted: object) -> Any:
    """All runs as a pandas DataFrame, one row each: key, the run's fields, accuracy, seconds,
    provenance and source; without the curves. Shipped ones stand for live ones of the same key.

    Arguments: wanted, values of a run's fields: only runs that have them.
    Raises: CplabError for a field or value that no run can have.

    >>> import cplab
    >>> len(cplab.table(profile="course", deficit="flip")) > 20
    True
    """
    from cplab.runs import Run

    names = [f.name for f in fields(Run)]
    for name in wanted:
        if name not in names:
            raise CplabError(f"unknown field {name!r} of a run: choose one of {', '.join(names)}")
    others = {name: value for name, value in wanted.items() if name not in ("deficit", "skipped")}
    errors: list[CplabError | None] = []  # of each run that was asked

    def fits(run: Any) -> bool:
        """Whether it has what is wanted, however that is written for a run like it."""
        errors.append(None)
        try:
            name = canonical_name(wanted.get("deficit", run.deficit), PROFILES[run.profile].size)
            passed = whole("skipped", wanted.get("skipped", run.skipped))
            return (run.deficit, run.skipped) == (name, passed) and replace(run, **others) == run
        except CplabError as error:
            errors[-1] = error
            return False

    found = table_where(fits if wanted else lambda run: True)
    if not fits(Run()) and all(errors) and errors[-1]:  # not one can have it
        raise errors[-1]
    return found
