"""What was computed, kept safely, found quickly: shipped results and the user's own.

Shipped results are Parquet files in the package, one row a result; live ones are JSON files in the
cache directory, one a result. Both carry a checksum over all they say, and what they say is checked
before it is believed. A damaged one is set aside, and training it again replaces it.
"""

import hashlib
import json
import math
import os
import re
import stat
import warnings
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from cplab import specs
from cplab.checks import CplabError, atomic_file, cache_dir, require
from cplab.measure import MEASUREMENTS, parse_measures
from cplab.specs import Outdated

SHIPPED = Path(__file__).parents[1] / "shipped"
COLUMNS = ("key", "kind", "json", "checksum")  # of a result on disk, a row or a file
MOST, SHIPPED_MOST = 2**25, 2**28  # bytes of a result, and of a shipped file's rows
HOW = ("copy", "device", "precision", "threads", "torch", "commit")
FORM = {  # of a result as plain data, before its spec says more
    **{"key": specs.word, "kind": specs.word, "version": specs.count, "seconds": specs.positive},
    **dict.fromkeys(HOW, specs.word),
    "threads": lambda value: specs.count(value) and 1 <= value <= 1024,
    "spec": {str: specs.data},
    "values": {str: specs.accept_any},  # but see check
    "measured": {str: {str: specs.accept_any}},
    "own?": {str: lambda value: type(value) is str},
}


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
        """The fraction of the test images named rightly in the end. At a fixed learning rate, where
        a single epoch is noisy, it is the mean over the last five of the recovery."""
        if getattr(self.spec, "schedule", "") != "fixed":
            return self.values["accuracy"]
        last = self.curve[-max(1, min(5, self.spec.recovery)) :]
        return sum(row["test_accuracy"] for row in last) / len(last)

    @property
    def curve(self) -> list[dict]:
        """Rows: epoch, phase (clear, deficit, recovery), lr, train_loss, test_accuracy, seconds."""
        return self.values["curve"]

    def series(self, name: str) -> Any:
        """A quantity after each epoch, an array (epochs,), NaN where it was not measured: a column
        of the curve, or a measured number or list, whose sum is taken (trace, log_det)."""
        import numpy as np

        if name in self.curve[0]:
            return np.array([row[name] for row in self.curve])
        found, sources = np.full(len(self.curve), math.nan), []
        for source, rows in self.measured.items():
            parts = {
                e: row[name] for e, row in rows.items() if isinstance(row, dict) and name in row
            }
            if source == name:  # one that gives a number or a list
                parts |= {e: row for e, row in rows.items() if isinstance(row, int | float | list)}
            sources += [source] if parts else []
            for epoch, value in parts.items():
                found[epoch] = np.sum(value)
        several = " and ".join(sources)
        require(len(sources) < 2, f"{name!r} was measured by {several}: take one from `measured`")
        return found

    def final(self, name: str) -> Any:
        """What a measurement found after the last epoch, or None."""
        rows = self.measured.get(name, {})
        return rows.get(getattr(self.spec, "epochs", max(rows, default=0) + 1) - 1)

    def plain(self) -> dict:
        """The result as plain data, without its source."""
        written = {f.name: getattr(self, f.name) for f in fields(self)[1:-1]}
        if not self.own:
            del written["own"]
        head = {"key": self.key, "kind": self.kind, "version": self.spec.version}
        return {**head, "spec": specs.plain(self.spec), **written}

    def row(self) -> dict[str, str]:
        """The result as it stands on disk: `parse` reads its JSON and checksum."""
        text = json.dumps(self.plain())
        return {"key": self.key, "kind": self.kind, "json": text, "checksum": checksum(text)}

    def covers(self, measures: dict) -> bool:
        """Whether all of these measurements were taken, {name: every, end or the epochs}."""
        if not hasattr(self.spec, "epochs"):
            return not measures
        epochs = self.spec.epochs
        times = {"end": range(max(0, epochs - 1), epochs), "every": range(epochs)}
        return all(
            {e for e in times.get(when, when) if e < epochs} <= self.measured.get(name, {}).keys()
            for name, when in measures.items()
        )


def checksum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def parse(row: Any, source: str) -> Result:
    """A Result out of its row, of which nothing is believed that was not checked.

    Raises: ValueError if anything is off, Outdated if it is the version.
    """
    try:
        if checksum(row["json"]) != row["checksum"]:
            raise ValueError("its checksum does not fit")
        written = json.loads(row["json"])
        if wrong := specs.explain_mismatch(written, FORM):
            raise ValueError(wrong)
        spec = specs.build_spec(written["kind"], written["spec"], written["version"])
        measured = {
            name: {int(epoch): value for epoch, value in rows.items()}
            for name, rows in written["measured"].items()
        }
        how = {name: written[name] for name in ("values", "seconds", *HOW)}
        found = Result(spec, **how, measured=measured, own=written.get("own", {}), source=source)
        if not written["key"] == row["key"] == found.key or row["kind"] != found.kind:
            raise ValueError("its key does not fit its spec")
        check(found)
        return found
    except ValueError:
        raise
    except Exception as error:  # what somebody else wrote may make a spec raise almost anything
        raise ValueError(f"it cannot be read ({error!r:.200})") from error


def check(result: Result) -> None:
    """Raise ValueError unless its values, what was measured and its sources can be its spec's."""
    spec, last = result.spec, getattr(result.spec, "epochs", 2**31)
    measured = {name: [*rows.values()] for name, rows in result.measured.items()}
    forms = {n: [getattr(MEASUREMENTS.get(n), "form", specs.data)] for n in measured}
    wrong = specs.explain_mismatch(result.values, getattr(spec, "form", specs.data))
    wrong = wrong or specs.explain_mismatch(measured, forms)
    for name, rows in result.measured.items():
        if not all(0 <= epoch < last for epoch in rows):
            wrong = f"{name} was measured after other epochs than it has"
    for name, source in result.own.items():
        if checksum(source)[:8] != name.rpartition("@")[2]:
            wrong = f"the source of {name} is another's"
    if wrong:
        raise ValueError(wrong)
    if hasattr(spec, "check_values"):
        spec.check_values(result.values)


def read_rows(path: Path, columns: tuple[str, ...] = COLUMNS) -> list[dict]:
    """The rows of a shipped file. Raises ValueError where it is damaged."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:  # pq.read_table imports pandas
            groups = map(file.metadata.row_group, range(file.num_row_groups))
            if sum(group.total_byte_size for group in groups) > SHIPPED_MOST:
                raise ValueError(f"it holds more than {SHIPPED_MOST} bytes")
            table = file.read([*columns]).select([*columns])  # raises where one is missing
            if table.num_rows != file.metadata.num_rows:  # nothing else of the footer tells
                raise ValueError("it lacks rows")
        table.validate(full=True)
        return table.to_pylist()
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        raise ValueError(" ".join(str(error).split())) from error


@cache
def shipped_rows(path: Path, columns: tuple[str, ...] = COLUMNS) -> dict[str, dict]:
    """The row of each result in a shipped file, by key."""
    try:
        return {row["key"]: row for row in read_rows(path, columns)}
    except ValueError as error:
        warn(f"shipped results {path.name} are damaged and left out ({error})")
        return {}


@cache
def shipped_index() -> dict[str, Path]:
    """The file of each shipped result, by key."""
    paths = sorted(SHIPPED.glob("*.parquet"))
    return {key: path for path in paths for key in shipped_rows(path, ("key",))}


CACHES: list[Any] = [shipped_index, shipped_rows]  # cleared when something is shipped


def shipped(key: str) -> Result | None:
    """A shipped result, or None where there is none; a damaged one costs a warning."""
    try:
        row = shipped_rows(shipped_index()[key]).get(key) if key in shipped_index() else None
        return parse(row, "shipped") if row else None
    except Outdated:
        return None
    except ValueError as error:
        warn(f"the shipped result {key} is damaged and left out: {error}")
        return None


def shipped_texts(kind: str) -> dict[str, str]:
    """The JSON of each shipped result of a kind, by key, of all files that can be read."""
    rows = [shipped_rows(path).get(key) for key, path in shipped_index().items()]
    return {row["key"]: row["json"] for row in rows if row and row["kind"] == kind}


def live_path(key: str) -> Path:
    return cache_dir() / "results" / f"{key}.json"


def read_file(path: Path) -> Result:
    """The result in a live file. Raises ValueError, Outdated, OSError."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    with open(os.open(path, flags), "rb") as file:
        about = os.fstat(file.fileno())
        if not stat.S_ISREG(about.st_mode) or about.st_size > MOST:
            raise ValueError(f"it is no file of at most {MOST} bytes")
        text = file.read(MOST).decode()
    try:
        found = parse(json.loads(text), "live")
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
        aside, done = path.with_suffix(".json.damaged"), "left out"
        with suppress(OSError):
            path.replace(aside)
            done = f"set aside as {aside}"
        warn(f"the damaged result {path.name} was {done}: {error}")
        return None


def live_paths() -> list[Path]:
    return sorted(live_path("").parent.glob("*.json"))


def find(spec: Any, measure: Any = ()) -> Result | None:
    """The result of a spec, shipped or live, or with the measurements of both where these are of
    the same training; None if it was not computed yet.

    Arguments: measure, measurements that it must have (see run).

    >>> from cplab import Run, find
    >>> round(find(Run(deficit="blur", length=8, seed=0)).accuracy, 2)
    0.57
    """
    measures, key = parse_measures(measure), specs.key(specs.check_spec(spec))
    old = shipped(key)
    if old is not None and old.covers(measures):
        return old
    new = live(live_path(key))  # may be the same training, with other measurements
    found = new and (new if new.covers(measures) else join(new, old))
    return found if found and found.covers(measures) else None


def join(new: Result, old: Result | None) -> Result:
    """A result with what was measured before on the very same training."""
    if old is None or outcome(old) != outcome(new):
        return new
    one, other = old.measured, new.measured
    measured = {name: one.get(name, {}) | other.get(name, {}) for name in one | other}
    return replace(new, measured=measured, own=old.own | new.own)


def outcome(result: Result) -> Any:
    """What two trainings of a spec have in common if they are bit-equal: all values but times."""
    return without_times(result.values)


def without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: without_times(v) for k, v in value.items() if k != "seconds"}
    return [without_times(v) for v in value] if isinstance(value, list) else value


def keep(result: Result) -> Result:
    """Write a live result, with what was measured before on the same training; a directory that
    cannot be written costs only a warning.

    >>> keep(shipped("10da86ce08101b40")).spec.deficit
    'blur'
    """
    old = live(live_path(result.key))
    result = join(result, old)
    before = old.measured if old else {}
    lost = [name for name, rows in before.items() if {*rows} - {*result.measured.get(name, ())}]
    if lost:
        what = f"{result.key} was trained again with other values"
        warn(f"{what}: what was measured before ({', '.join(lost)}) is not kept with it")
    try:
        write_live(result)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        how = ": set $CPLAB_CACHE to a directory that can be written"
        how = how if isinstance(error, OSError) else ""
        warn(f"the result could not be kept in {live_path('').parent} ({why}){how}")
    return result


def write_live(result: Result) -> None:
    """Raises: OSError where it cannot be kept, ValueError where it could not be read again."""
    text = json.dumps(result.row())
    parse(json.loads(text), "live")
    if len(text) > MOST:
        raise ValueError(f"it has {len(text)} bytes, and more than {MOST} are not read")
    with atomic_file(live_path(result.key)) as partial:
        partial.write_text(text)


@cache
def commit() -> str:
    """The commit of this source, with a + if it was changed since; the version if not in git."""
    import subprocess

    here = Path(__file__).parents[1]

    def git(*words: str) -> str:
        command = ("git", "-C", str(here), *words)
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    with suppress(OSError, subprocess.CalledProcessError):
        if Path(git("rev-parse", "--show-toplevel")) == here.parent:
            changed = git("status", "--porcelain", "--", "*.py")
            return git("rev-parse", "--short=12", "HEAD") + ("+" if changed else "")
    from cplab import __version__

    return f"version {__version__}"


def ship(results: Iterable[Result], name: str) -> Path:
    """Add results to a shipped Parquet file, cplab/shipped/NAME.parquet.

    Raises: CplabError if there is nothing to ship, the name is not plain, one is shipped already
        with other values, or the file is damaged or cannot be written.

    >>> ship([], "mine")
    Traceback (most recent call last):
    cplab.checks.CplabError: there is nothing to ship as 'mine': train some of it first
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not re.fullmatch(r"[\w-]{1,60}", name):
        raise CplabError(f"name {name!r:.80} is not allowed: give a plain one, such as course")
    path = SHIPPED / f"{name}.parquet"
    try:
        rows = {row["key"]: row for row in read_rows(path)} if path.exists() else {}
        for result in results:
            row, key = rows.get(result.key), result.key
            old = parse(row, "shipped") if row else shipped(key)  # which may be in another file
            if old and outcome(old) != outcome(result):
                which = f"{key} is shipped in {(path if row else shipped_index()[key]).name}"
                raise CplabError(
                    f"{which} with other values: leave it out, or remove that one first"
                )
            rows[key] = join(result, old).row()
        if not rows:
            raise CplabError(f"there is nothing to ship as {name!r}: train some of it first")
        ordered = sorted(rows.values(), key=lambda row: (row["kind"], row["json"][40:]))
        with atomic_file(path) as partial:
            table = pa.Table.from_pylist(ordered)
            pq.write_table(table, partial, compression="zstd", compression_level=19)
        for each in CACHES:
            each.cache_clear()
    except (OSError, ValueError) as error:
        raise CplabError(f"{path} stays: it cannot be read or written ({error})") from error
    return path


def merge(paths: Iterable[Path | str]) -> tuple[int, int, list[str]]:
    """Take in results that were computed elsewhere; what is there already stays.

    Arguments: live files, or directories of them (another cache, or its results), but no links.
    Returns: how many were taken in, how many were there already, and a line for each refused.

    >>> merge([])
    (0, 0, [])
    """
    new, old, refused, places = 0, 0, [], [*paths]
    require("" not in places, "path '' is not allowed: name files, or directories of them")
    for given in map(Path, places):
        files = sorted(given.rglob("*.json")) if given.is_dir() else [given]
        if not files:
            refused.append(f"{given}: there are no results in it")
        for path in files:
            try:
                found = read_file(path)
                own = live(live_path(found.key))
                wanted = {name: tuple(rows) for name, rows in found.measured.items()}
                have = [one for one in (shipped(found.key), own) if one and one.covers(wanted)]
                if have or (own and outcome(own) != outcome(found)):
                    old += 1
                else:
                    write_live(join(found, own))
                    new += 1
            except (OSError, ValueError) as error:
                link = "it is a link, which is not followed"
                refused.append(f"{path}: {link if path.is_symlink() else error}")
    return new, old, refused


def verify() -> tuple[dict[str, int], list[str]]:
    """Read every shipped and live result again, and change nothing.

    Returns: how many are good, by source, and a line for each file or result that is not.

    >>> verify()[1]
    []
    """
    good, bad = {"shipped": 0, "live": 0}, []

    def look(source: str, name: str, read: Callable, *given: Any) -> Any:
        try:
            found = read(*given)
            good[source] += isinstance(found, Result)
            return found
        except (OSError, ValueError) as error:
            if source == "shipped" or not isinstance(error, Outdated):
                bad.append(f"{source} {name} is damaged: {error}")
            return []

    for path in sorted(SHIPPED.glob("*.parquet")):
        for row in look("shipped", path.name, read_rows, path):
            look("shipped", f"{path.name} {row['key']}", parse, row, "shipped")
    for path in live_paths():
        look("live", path.name, read_file, path)
    return good, bad


def warn(text: str) -> None:
    warnings.warn(text, ResultWarning, stacklevel=3)
