"""What was computed, kept safely, found quickly: shipped results and the user's own.

Shipped results are Parquet files in the package, one row a result; live ones are JSON files in the
cache directory, one a result. Both carry a checksum over all they say. A damaged result is never
shown: it is set aside, and training it again replaces it.
"""

import hashlib
import json
import math
import os
import statistics
import subprocess
import threading
import warnings
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from cplab import specs
from cplab.checks import CplabError, cache_dir
from cplab.specs import Outdated

SHIPPED = Path(__file__).parents[1] / "shipped"
COLUMNS = ("key", "kind", "json", "checksum")  # of a result on disk, a row or a file
HOW = {"copy": str, "device": str, "precision": str, "threads": int, "torch": str, "commit": str}


class ResultWarning(UserWarning):
    """Something about results that the user should know and that stops nothing."""


@dataclass(frozen=True)
class Result:
    """What was computed for a spec, such as a Run.

    values: plain data, as the spec's class says (of a Run accuracy and curve). seconds: of training
    and testing, as if it had been trained alone. copy (of the data set), device (and kind of chip),
    precision, threads, torch, commit: how it was trained. measured: {name: {epoch: plain data}}.
    own: the source of a student's own functions, by name; reading a result never runs it.
    source: `shipped` with the package, or `live`, trained by this user.
    """

    spec: Any
    values: dict
    seconds: float
    copy: str
    device: str
    precision: str
    threads: int
    torch: str
    commit: str
    measured: dict[str, dict[int, Any]] = field(default_factory=dict)
    own: dict[str, str] = field(default_factory=dict)
    source: str = "live"

    @cached_property
    def key(self) -> str:
        return specs.key(self.spec)

    @property
    def kind(self) -> str:
        """The class of its spec."""
        return type(self.spec).__name__

    @property
    def accuracy(self) -> float:
        """The fraction of the test images named rightly in the end."""
        return self.values["accuracy"]

    @property
    def curve(self) -> list[dict]:
        """One row for each epoch: epoch, phase (clear, deficit, recovery), lr, train_loss,
        test_accuracy, seconds."""
        return self.values["curve"]

    def series(self, name: str) -> Any:
        """A quantity after each epoch, an array (epochs,), NaN where it was not measured.

        Arguments: name, a column of the curve, or a measured number or list, whose sum is taken
            (trace, log_det).
        """
        import numpy as np

        if name in self.curve[0]:
            return np.array([row[name] for row in self.curve])
        found = np.full(len(self.curve), math.nan)
        for rows in self.measured.values():
            for epoch, said in rows.items():
                if isinstance(said, dict) and name in said:
                    found[epoch] = np.sum(said[name])
        return found

    def final(self, name: str) -> Any:
        """What a measurement found after the last epoch, or None."""
        rows = self.measured.get(name, {})
        last = getattr(self.spec, "epochs", max(rows, default=0) + 1) - 1
        return rows.get(last)

    def plain(self) -> dict:
        """The result as plain data, without its source."""
        said = {f.name: getattr(self, f.name) for f in fields(self)[1:-1]}
        if not self.own:
            del said["own"]
        head = {"key": self.key, "kind": self.kind, "version": self.spec.version}
        return {**head, "spec": specs.plain(self.spec), **said}

    def row(self) -> dict[str, str]:
        """The result as it stands on disk: `parse` reads its JSON and checksum."""
        text = json.dumps(self.plain())
        return {"key": self.key, "kind": self.kind, "json": text, "checksum": checksum(text)}

    def covers(self, measures: dict) -> bool:
        """Whether all of these measurements were taken, {name: every, end or the epochs}."""
        epochs = getattr(self.spec, "epochs", 0)
        for name, when in measures.items():
            wanted = {epochs - 1} if when == "end" else range(epochs) if when == "every" else when
            if not {e for e in wanted if e < epochs} <= {*self.measured.get(name, {})}:
                return False
        return True


def checksum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def parse(row: dict, source: str) -> Result:
    """A Result out of its row.

    Raises: ValueError if anything is off, Outdated if it is the version.
    """
    try:
        if checksum(row["json"]) != row["checksum"]:
            raise ValueError("its checksum does not fit")
        said = json.loads(row["json"])
        spec = specs.build_spec(said["kind"], said["spec"], said["version"])
        how = {name: said[name] for name in HOW}
        if not all(type(how[name]) is form for name, form in HOW.items()):
            raise ValueError("its provenance cannot be")
        if not (0 <= said["seconds"] < math.inf and 0 < how["threads"] < 2**16):
            raise ValueError("its seconds or threads cannot be")
        how |= {"own": said.get("own", {}), "source": source}
        how["measured"] = {
            name: {int(epoch): value for epoch, value in rows.items()}
            for name, rows in said["measured"].items()
        }
        found = Result(spec, said["values"], said["seconds"], **how)
        if not said["key"] == row["key"] == found.key:
            raise ValueError("its key does not fit its spec")
        if hasattr(spec, "check_values"):
            spec.check_values(found.values)
        return found
    except (KeyError, TypeError, IndexError, AttributeError, CplabError, RecursionError) as error:
        raise ValueError(f"it cannot be read ({error!r})") from error


def read_rows(path: Path) -> list[dict]:
    """The rows of a shipped file. Raises ValueError where it is damaged."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:  # pq.read_table imports pandas
            table = file.read([*COLUMNS]).select([*COLUMNS])  # raises where one is missing
        table.validate(full=True)
        return table.to_pylist()
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        raise ValueError(" ".join(str(error).split())) from error


@cache
def shipped_index() -> dict[str, dict]:
    """The row of each shipped result, by key."""
    index: dict[str, dict] = {}
    for path in sorted(SHIPPED.glob("*.parquet")):
        try:
            index |= {row["key"]: row for row in read_rows(path)}
        except ValueError as error:
            warn(f"shipped results {path.name} are damaged and left out ({error})")
    return index


def shipped(key: str) -> Result | None:
    """A shipped result, or None where there is none; a damaged one costs a warning."""
    try:
        return parse(shipped_index()[key], "shipped") if key in shipped_index() else None
    except Outdated:
        return None
    except ValueError as error:
        warn(f"the shipped result {key} is damaged and left out: {error}")
        return None


def live_path(key: str) -> Path:
    return cache_dir() / "results" / f"{key}.json"


def read_file(path: Path) -> Result:
    """The result in a live file. Raises ValueError, Outdated, OSError."""
    try:
        found = parse(json.loads(path.read_text()), "live")
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if found.key != path.stem:
        raise ValueError("it is not the result that its name says")
    return found


def live(path: Path) -> Result | None:
    """A live result, or None where there is none; a damaged file is set aside."""
    try:
        return read_file(path)
    except (OSError, Outdated):
        return None
    except ValueError as error:
        aside = path.with_suffix(".json.damaged")
        with suppress(OSError):
            path.replace(aside)
        warn(f"a damaged result was set aside as {aside}: {error}")
        return None


def live_paths() -> list[Path]:
    return sorted(live_path("").parent.glob("*.json"))


def find(spec: Any, measure: Any = ()) -> Result | None:
    """The result of a spec, shipped or live; None if it was not computed yet.

    Arguments: measure, measurements that it must have (see run).

    >>> from cplab import Run, find
    >>> round(find(Run(deficit="blur", length=8, seed=0)).accuracy, 2)
    0.57
    """
    from cplab.measure import parse_measures

    measures = parse_measures(measure)
    one = shipped(specs.key(spec))
    if one is not None and one.covers(measures):
        return one
    other = live(live_path(specs.key(spec)))
    return other if other is not None and other.covers(measures) else None


ABOUT = ("seconds", *HOW, "source")
Entry = tuple[Any, dict]  # a result's spec, and about it accuracy, ABOUT, size and costs


def size_of(spec: Any) -> tuple:
    """What specs have in common that take about as long."""
    names = ("profile", "dataset", "model", "arithmetic", "size")
    return tuple(getattr(spec, name, None) for name in names)


def entry_of(result: Result) -> Entry:
    """costs are the seconds of an epoch (of everything where there are none), and of each
    measurement that says its own."""
    costs = {"epoch": result.seconds / max(1, getattr(result.spec, "epochs", 1))}
    for name, rows in result.measured.items():
        dicts = [said for said in rows.values() if isinstance(said, dict)]
        if took := [said["seconds"] for said in dicts if "seconds" in said]:
            costs[name] = statistics.median(took)
    about = {name: getattr(result, name) for name in ABOUT}
    about |= {"accuracy": result.values.get("accuracy"), "costs": costs}
    return result.spec, about | {"size": size_of(result.spec)}


@cache
def shipped_entries(kind: str) -> list[Entry]:
    """Of all sound shipped results of a kind."""
    keys = [key for key, row in shipped_index().items() if row["kind"] == kind]
    return [entry_of(found) for found in map(shipped, keys) if found]


@cache
def live_entry(path: Path, changed: int, size: int) -> Entry | None:
    """Of a live file as it is since it changed."""
    found = live(path)
    return entry_of(found) if found else None


def live_entries(kind: str) -> list[Entry]:
    """Of all sound live results of a kind; a file is read again where it changed."""
    found = []
    for path in live_paths():
        with suppress(OSError):
            at = path.stat()
            found.append(live_entry(path, at.st_mtime_ns, at.st_size))
    return [entry for entry in found if entry and type(entry[0]).__name__ == kind]


def table(**wanted: object) -> Any:
    """All runs as a pandas DataFrame, one row each: key, the run's fields, accuracy, seconds,
    provenance and source; without the curves. Shipped ones stand for live ones of the same key.

    Arguments: wanted, values of a run's fields: only runs that have them.
    Raises: CplabError for a field or value that no run can have.

    >>> import cplab
    >>> len(cplab.table(profile="course", deficit="flip")) > 20
    True
    """
    import pandas as pd

    from cplab.runs import Run

    names = [f.name for f in fields(Run)]
    for name in wanted:
        if name not in names:
            raise CplabError(f"unknown field {name!r} of a run: choose one of {', '.join(names)}")
    some = {} if wanted.get("deficit") == "none" else {"deficit": "blur", "length": 1}
    like = Run(**{"onset": 1, **some, **wanted})  # type: ignore[arg-type]
    every = dict([*live_entries("Run"), *shipped_entries("Run")])
    rows = [
        {"key": run.key, **{name: getattr(run, name) for name in names}, **about}
        for run, about in every.items()
        if all(getattr(run, name) == getattr(like, name) for name in wanted)
    ]
    found = pd.DataFrame(rows, columns=["key", *names, "accuracy", *ABOUT])
    by = [n for n in names if n not in ("windows", "pace", "weight_decay")]
    return found.sort_values(by, ignore_index=True)


def join(new: Result, old: Result | None) -> Result:
    """A result with what was measured before on the very same training."""
    if old is None or outcome(old) != outcome(new):
        return new
    measured = {name: dict(rows) for name, rows in old.measured.items()}
    for name, rows in new.measured.items():
        measured[name] = measured.get(name, {}) | rows
    return replace(new, measured=measured)


def outcome(result: Result) -> Any:
    """What two trainings of a spec have in common if they are bit-equal: all values but times."""
    return without_times(result.values)


def without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: without_times(v) for k, v in value.items() if k != "seconds"}
    return [without_times(v) for v in value] if isinstance(value, list) else value


def keep(result: Result) -> Result:
    """Write a live result, with what was measured before on the same training; a directory that
    cannot be written costs only a warning."""
    path = live_path(result.key)
    result = join(result, live(path))
    partial = path.with_suffix(f".{os.getpid()}.{threading.get_ident()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(result.row()))
        partial.replace(path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink()
        how = "set $CPLAB_CACHE to a directory that can be written"
        warn(f"the result could not be kept in {path.parent} ({error.strerror}): {how}")
    return result


@cache
def commit() -> str:
    """The commit of this source, with a + if it was changed since; the version if not in git."""
    here = Path(__file__).parents[1]

    def git(*words: str) -> str:
        return subprocess.run(
            ("git", "-C", str(here), *words), capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        if Path(git("rev-parse", "--show-toplevel")) != here.parent:
            raise OSError
        changed = git("status", "--porcelain", "--", "*.py")
        return git("rev-parse", "--short=12", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        from cplab import __version__

        return f"version {__version__}"


def ship(results: Iterable[Result], name: str) -> Path:
    """Add results to a shipped Parquet file, cplab/shipped/NAME.parquet.

    Raises: CplabError if there is nothing to ship.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = SHIPPED / f"{name}.parquet"
    rows = {row["key"]: row for row in read_rows(path)} if path.exists() else {}
    for result in results:
        if result.key in rows:
            with suppress(Outdated):
                result = join(result, parse(rows[result.key], "shipped"))
        rows[result.key] = result.row()
    if not rows:
        raise CplabError(f"there is nothing to ship as {name!r}: train some of it first")
    path.parent.mkdir(exist_ok=True)
    ordered = sorted(rows.values(), key=lambda row: (row["kind"], row["json"][40:]))
    pq.write_table(pa.Table.from_pylist(ordered), path, compression="zstd", compression_level=19)
    shipped_index.cache_clear()
    shipped_entries.cache_clear()
    return path


def merge(paths: Iterable[Path]) -> tuple[int, int, list[str]]:
    """Take in results that were computed elsewhere; what is there already stays.

    Arguments: live files, or directories of them (another cache, or its results).
    Returns: how many were taken in, how many were there already, and a line for each refused.
    """
    new, old, refused = 0, 0, []
    for given in map(Path, paths):
        files = sorted(given.rglob("*.json")) if given.is_dir() else [given]
        if not files:
            refused.append(f"{given}: there are no results in it")
        for path in files:
            try:
                found = read_file(path)
            except (OSError, ValueError) as error:
                refused.append(f"{path}: {error}")
                continue
            own = live(live_path(found.key))
            wanted = {name: tuple(rows) for name, rows in found.measured.items()}
            have = [one for one in (shipped(found.key), own) if one and one.covers(wanted)]
            if have or (own and outcome(own) != outcome(found)):
                old += 1
            else:
                keep(found)
                new += live_path(found.key).exists()
    return new, old, refused


def verify() -> tuple[dict[str, int], list[str]]:
    """Read every shipped and live result again, and change nothing.

    Returns: how many are good, by source, and a line for each file or result that is not.
    """
    good, bad = {"shipped": 0, "live": 0}, []
    for path in sorted(SHIPPED.glob("*.parquet")):
        try:
            rows = read_rows(path)
        except ValueError as error:
            bad.append(f"shipped {path.name} cannot be read ({error})")
            continue
        for row in rows:
            try:
                parse(row, "shipped")
                good["shipped"] += 1
            except ValueError as error:
                bad.append(f"shipped {path.name} {row['key']} is damaged: {error}")
    for path in live_paths():
        try:
            read_file(path)
            good["live"] += 1
        except Outdated:
            pass
        except (OSError, ValueError) as error:
            bad.append(f"live {path.name} is damaged: {error}")
    return good, bad


def warn(text: str) -> None:
    warnings.warn(text, ResultWarning, stacklevel=3)
