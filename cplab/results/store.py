"""Results on disk: those that ship with the package, and the user's own, which are called live.

Shipped results are tables, cplab/shipped/*.parquet, with a row for each result. Live results are
JSON files in the cache directory, one for each result, with a checksum of its content. A damaged
one is left out, and training it again replaces it.
"""

import os
import re
import subprocess
import warnings
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache, lru_cache
from glob import escape, glob  # glob finds nothing in a directory that may not be read
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cplab.base.errors import CplabError, quote
from cplab.base.files import as_path, atomic_file, cache_dir
from cplab.measure import Measure, Measures, parse_measures
from cplab.results.result import Outdated, Result, join, parse
from cplab.results.rows import COLUMNS, CURVE, unflatten, usual_columns
from cplab.specs import Spec, check_spec

if TYPE_CHECKING:
    import pyarrow
    import pyarrow.parquet

SHIPPED = Path(__file__).parents[1] / "shipped"
GROUP = 1000  # rows of a shipped file that are read at once


# Shipped results ----------------------------------------------------------------------------------


class RowPlace(NamedTuple):
    """Where the row of a shipped result is: the name of its file, and its number there."""

    file: str
    number: int


class Archive:
    """The shipped results of a folder.

    It holds the files as they are, and all keys. A result is read when it is asked for, with the
    rows near it, so that all curves are never in memory at once.

    Attributes:
        contents: the bytes of each file, by name.
        places: where the row of each result is, by key.
    """

    def __init__(self, folder: Path) -> None:
        self.contents: dict[str, bytes] = {}
        self.places: dict[str, RowPlace] = {}
        for path in sorted(folder.glob("*.parquet")):
            name = path.name
            self.contents[name] = path.read_bytes()
            keys = self.open(name).read(["key"], use_threads=False)["key"].to_pylist()
            for number, key in enumerate(keys):
                self.places[key] = RowPlace(name, number)

    def open(self, name: str) -> "pyarrow.parquet.ParquetFile":
        """Open a shipped file, for one thread to read."""
        import pyarrow as pa
        import pyarrow.parquet as pq  # whose read_table would import pandas

        return pq.ParquetFile(pa.BufferReader(self.contents[name]))

    def columns(self, names: Iterable[str]) -> "pyarrow.Table":
        """A pyarrow table with some columns of all results. A field that was added to runs after a
        file was written has its default."""
        import pyarrow as pa

        names = list(names)
        no_rows = pa.table({name: pa.nulls(0) for name in names})  # for a folder without files
        tables = [no_rows]
        for file in map(self.open, self.contents):
            present = {*file.schema_arrow.names}
            table = file.read([name for name in names if name in present], use_threads=False)
            for name, value in usual_columns().items():
                if name in names and name not in present:
                    table = table.append_column(name, pa.repeat(value, len(table)))
            tables.append(table)
        return pa.concat_tables(tables, promote_options="permissive")

    def row(self, key: str) -> dict[str, Any]:
        """All columns of a result, by name."""
        place = self.places[key]
        group = read_group(self, place.file, place.number // GROUP)
        number = place.number % GROUP
        others = {name: column[number] for name, column in group.others.items()}
        [curve] = group.curves.slice(number, 1).to_pylist()
        return dict.fromkeys(COLUMNS) | usual_columns() | others | curve

    def find(self, key: str, spec: Spec | None = None) -> Result | None:
        """The result of a key, if it is shipped and this version knows it; else None.

        Arguments:
            key: the key.
            spec: if it is at hand, which then need not be read.
        """
        if key not in self.places:
            return None
        with suppress(Outdated):
            return unflatten(self.row(key), spec)
        return None


class Group(NamedTuple):
    """Rows of a shipped file. One by one, what is no list would take three times as long as curves
    take."""

    curves: "pyarrow.Table"
    others: dict[str, list]  # all other columns, by name


@lru_cache(maxsize=8)
def read_group(archive: Archive, name: str, group: int) -> Group:
    """A group of GROUP rows of a shipped file."""
    table = archive.open(name).read_row_group(group, use_threads=False)
    curves = [column for column in table.column_names if column in CURVE.values()]
    return Group(table.select(curves), table.drop_columns(curves).to_pydict())


open_archive = lru_cache(maxsize=2)(Archive)


def archive() -> Archive:
    """The shipped results."""
    return open_archive(SHIPPED)


@lru_cache(maxsize=2**15)  # an estimate looks up each seed, missing ones too
def shipped_of(spec: Spec, version: int, archive: Archive) -> Result | None:
    """The shipped result of a spec; None if there is none.

    Arguments:
        spec: the run or the experiment.
        version: of its kind: once it is raised, what was looked up before does not count.
        archive: with shipped results.
    """
    return archive.find(spec.key, spec)


# The user's own results ---------------------------------------------------------------------------

# Results in memory alone, until Python ends: of this session, or whose files could not be written
unwritten: dict[Path, Result] = {}


def live_path(key: str) -> Path:
    """The path of the live result of a key, whether or not there is one."""
    return as_path(str(live_folder()), f"{key}.json")


def live_paths() -> list[Path]:
    """The paths of all live results."""
    folder = escape(str(live_folder()))
    return sorted(Path(path) for path in glob(f"{folder}/*.json"))


def live_folder() -> Path:
    """The folder of live results."""
    return as_path(str(cache_dir()), "results")


def read_live(path: Path) -> Result:
    """Read a live result from its JSON file.

    Raises:
        ValueError: if it is damaged.
        Outdated: if it is not known here.
        OSError.
    """
    return parse(path.read_text(), path.stem)


def live_result(path: Path) -> Result | None:
    """The live result in a file; None if there is none, or if it is damaged."""
    if path in unwritten:
        return unwritten[path]
    try:
        status = os.lstat(path)  # Path.lstat takes twice as long
    except OSError:
        return None
    return read_cached(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=2**17)  # more than anybody has: further ones would be read each time
def read_cached(path: Path, changed: int, size: int) -> Result | None:
    """Read the result in a file, once for each time of change and size, in bytes."""
    try:
        return read_live(path)
    except (Outdated, OSError):
        return None
    except ValueError as error:
        line = f"the damaged result {path} is left out, until training replaces it: {error}"
        warnings.warn(line, stacklevel=2)
        return None


def live_results(address: str = "Run") -> Iterator[Result]:
    """Yield the live results of runs, or of the experiments of a function, by its address."""
    for result in all_live_results():
        if result.spec.address == address:
            yield result


def all_live_results() -> Iterator[Result]:
    """Yield the live results of runs and of all experiments that are known here."""
    folder = live_folder()
    paths = {*live_paths()}
    for path in unwritten:
        if path.parent == folder:  # $CPLAB_CACHE may have changed since
            paths.add(path)
    for path in sorted(paths):
        result = live_result(path)
        if result:
            yield result


# Looking up ---------------------------------------------------------------------------------------


def by_key(key: str) -> Result:
    """The shipped or live result of a key.

    Raises:
        CplabError: if there is none.

    >>> by_key("10da86ce08101b40").spec.call()
    "cplab.run(deficit='blur', onset=0, length=4, profile='course', seed=0)"
    """
    result = None
    if re.fullmatch("[0-9a-f]{16}", str(key)):
        result = archive().find(key) or live_result(live_path(key))
    if result is None:
        raise CplabError(f"no result has the key {quote(key)}: cplab.results_table() has keys")
    return result


def every_result(kind: Any = "Run", source: str | None = None) -> Iterator[Result]:
    """Yield all sound results of runs, or of the experiments of a function.

    Arguments:
        kind: "Run" or a function.
        source: shipped or live. None is for both: a key that is both shipped and live then comes
            twice.

    >>> next(every_result("Run", "shipped")).source
    'shipped'
    """
    address = getattr(kind, "address", kind)
    if source != "live":
        shipped = archive()
        for row in shipped.columns(["key", "kind"]).to_pylist():
            if row["kind"] != address:
                continue
            result = shipped.find(row["key"])
            if result:
                yield result
    if source != "shipped":
        yield from live_results(address)


def find(spec: Spec, measure: Measure = ()) -> Result | None:
    """Find the result of a spec, shipped or live. If both are there and of the same training, the
    result has the measurements of both.

    Arguments:
        spec: the run or the experiment.
        measure: what the result must have, as for run.

    Returns:
        None if there is no such result.

    >>> from cplab import Run, find
    >>> round(find(Run(deficit="blur", length=8, seed=0)).accuracy, 2)
    0.57
    """
    measures = parse_measures(measure)
    shipped = shipped_of(check_spec(spec), spec.version, archive())
    if shipped and shipped.covers(measures):
        return shipped
    return live_and_shipped(live_path(spec.key), shipped, measures)


def find_each(specs: Iterable[Spec], measure: Measure = ()) -> Iterator[Result | None]:
    """Yield what `find` returns for each spec. For many specs it is quicker.

    >>> from cplab import Run
    >>> [result is None for result in find_each([Run(seed=0), Run(seed=1000)])]
    [False, True]
    """
    measures = parse_measures(measure)
    archived = archive()
    folder = str(live_folder())
    for spec in specs:
        shipped = shipped_of(spec, spec.version, archived)
        if shipped and shipped.covers(measures):
            yield shipped
        else:
            path = as_path(folder, f"{spec.key}.json")
            yield live_and_shipped(path, shipped, measures)


def live_and_shipped(path: Path, shipped: Result | None, measures: Measures) -> Result | None:
    """The live result in a file, with the measurements of the shipped one of the same training;
    None if it lacks some of these measurements."""
    live = live_result(path)
    if live is None:
        return None
    both = join(live, shipped)
    return both if both.covers(measures) else None


# Keeping ------------------------------------------------------------------------------------------


def keep(result: Result, in_file: bool = True) -> Result:
    """Write a live result, with the measurements of an earlier one of the same training.

    If its file cannot be written, a warning says so, and the result is kept until Python ends, as
    it is without `in_file`.

    >>> keep(by_key("10da86ce08101b40")).spec.deficit
    'blur'
    """
    path = live_path(result.key)
    result = join(result, live_result(path))
    if not in_file:
        unwritten[path] = result
        return result
    try:
        write_live(result)
    except OSError as error:
        unwritten[path] = result
        warnings.warn(
            f"the result could not be written to {path.parent} ({error.strerror or error}): it "
            "lasts until Python ends; set $CPLAB_CACHE to a directory that can be written",
            stacklevel=2,
        )
    else:
        unwritten.pop(path, None)
    return result


def write_live(result: Result) -> None:
    """Write a result into its file.

    Raises:
        OSError.
    """
    with atomic_file(live_path(result.key)) as partial:
        partial.write_text(result.text())


@cache
def commit() -> str:
    """The commit of this source, with a + if files have changed since; without git the version."""
    root = Path(__file__).parents[2]
    words = ("describe", "--always", "--abbrev=12", "--exclude=*", "--dirty=+")
    if (root / ".git").exists():
        with suppress(OSError, subprocess.CalledProcessError):
            described = subprocess.run(("git", "-C", root, *words), capture_output=True, check=True)
            return described.stdout.decode().strip()
    return f"version {version('cplab')}"
