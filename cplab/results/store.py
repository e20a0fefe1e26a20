"""Results on disk: those that ship with the package, and the user's own.

Shipped results are typed tables, cplab/shipped/*.parquet, one row a result, with the checksums of
all files in SHA256SUMS. A user's own are JSON files in the cache directory, one a result, each with
a checksum of its content; a damaged one is left out, and training it again replaces it.
"""

import hashlib
import json
import re
import subprocess
import warnings
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import fields
from functools import cache, lru_cache
from glob import escape, glob  # for which a closed directory is empty
from importlib import metadata
from pathlib import Path
from stat import S_ISREG
from typing import Any

from cplab.errors import CplabError, one_of, quote, require
from cplab.files import atomic_file, cache_dir
from cplab.measure import parse_measures
from cplab.results.result import HOW, Outdated, Result, from_plain, join, outcome, parse
from cplab.runs import CLEAR, LONGEST, MEASURED, SEVERAL, Run
from cplab.specs import Spec, check_spec
from cplab.specs.experiments import FUNCTIONS
from cplab.treatments import Treatment

SHIPPED = Path(__file__).parents[1] / "shipped"
SUMS = "SHA256SUMS"
RUN_COLUMNS = tuple(f.name for f in fields(Run))
CURVE = tuple(f"curve.{name}" for name in MEASURED)
# A row: of a run its fields and its curve are columns, of an experiment spec and values, as JSON.
COLUMNS = ("key", "kind", "version", *RUN_COLUMNS, "spec", "size", "epochs", "accuracy", "seconds")
COLUMNS += (*HOW, *CURVE, "values", "measured", "own")
TABLE = ("key", *RUN_COLUMNS, "accuracy", "seconds", *HOW, "source")  # of `table`
GROUP = 1000  # rows of a shipped file that are read at once
ORDER = ("kind", "profile", "dataset", "model", "spec", "deficit", "onset", "length", "key")


def size_of(spec: Spec) -> str:
    """The size of a spec in words, `Run course cifar10 allcnn-16 native`; specs of one size take
    about equally long."""
    names = ("profile", "dataset", "model", "arithmetic", "size")
    values = (getattr(spec, name, None) for name in names)
    return " ".join([spec.address, *(str(value) for value in values if value is not None)])


# Rows ---------------------------------------------------------------------------------------------


def run_columns(run: Run) -> dict[str, Any]:
    """The fields of a run as columns of a table; those with several values as JSON."""
    values = ((name, getattr(run, name)) for name in RUN_COLUMNS)
    return {name: json.dumps(v) if isinstance(v, tuple) else v for name, v in values}


@cache
def usual_columns() -> dict[str, Any]:
    """What the fields of a run are where a file is older than they."""
    return {name: value for name, value in run_columns(Run()).items() if value is not None}


def flatten(result: Result) -> dict[str, Any]:
    """Turn a result into one row of a table."""
    spec = result.spec
    row: dict[str, Any] = dict.fromkeys(COLUMNS)
    row |= {name: getattr(result, name) for name in ("key", "seconds", *HOW)}
    row |= {"kind": spec.address, "version": spec.version, "size": size_of(spec), "epochs": 1}
    if isinstance(spec, Run):
        row |= {**run_columns(spec), "epochs": spec.epochs, "accuracy": result.accuracy}
        row |= {f"curve.{name}": [epoch[name] for epoch in result.curve] for name in MEASURED}
    else:
        row |= {"spec": json.dumps(result.plain()["spec"]), "values": json.dumps(result.values)}
    optional = {"measured": result.measured, "own": result.own}
    return row | {name: json.dumps(value) for name, value in optional.items() if value}


def unflatten(row: dict[str, Any], spec: Any = None) -> Result:
    """Turn a row that `flatten` made into a shipped result; a given spec need not be read."""
    is_run = row["kind"] == "Run"
    if not spec:
        given = {name: row[name] for name in RUN_COLUMNS if is_run and row[name] is not None}
        given |= {name: json.loads(given[name]) for name in SEVERAL if name in given}
        given = given if is_run else json.loads(row["spec"])
        spec = from_plain({"kind": row["kind"], "version": row["version"], "spec": given})
    values = spec.values(row[name] for name in CURVE) if is_run else json.loads(row["values"])
    measured = {
        name: {int(epoch): value for epoch, value in rows.items()}
        for name, rows in json.loads(row["measured"] or "{}").items()
    }
    how = {name: row[name] for name in HOW} | {"own": json.loads(row["own"] or "{}")}
    return Result(spec, values, row["seconds"], **how, measured=measured, source="shipped")


# Shipped results ----------------------------------------------------------------------------------


class Archive:
    """The shipped results of a folder: their keys, and the files as they are. What else is asked
    for is read then, a row with the rows beside it, so that nothing ever holds all curves."""

    def __init__(self, folder: Path) -> None:
        sums = read_sums(folder)
        self.contents = dict[str, bytes]()
        self.places = dict[str, tuple[str, int]]()  # of each key its file, and the row in it
        for name in sorted({*sums, *(path.name for path in folder.glob("*.parquet"))}):
            content = b""
            with suppress(OSError):
                content = (folder / name).read_bytes()
            if hashlib.sha256(content).hexdigest() != sums.get(name):
                line = f"shipped results {name} are damaged and left out: install again"
                warnings.warn(line, stacklevel=2)
                continue
            self.contents[name] = content
            keys = self.open(name).read(["key"], use_threads=False)["key"].to_pylist()
            self.places |= {key: (name, number) for number, key in enumerate(keys)}

    def open(self, name: str) -> Any:
        """A shipped file, for one thread to read."""
        import pyarrow as pa
        import pyarrow.parquet as pq  # of which read_table would import pandas

        return pq.ParquetFile(pa.BufferReader(self.contents[name]))

    def columns(self, names: Iterable[str]) -> Any:
        """Columns of all results, a pyarrow table."""
        import pyarrow as pa

        tables = [pa.table({name: pa.nulls(0) for name in names})]
        for file in map(self.open, self.contents):
            there = {*file.schema_arrow.names}
            table = file.read([name for name in names if name in there], use_threads=False)
            for field in {*usual_columns()} & {*names} - there:
                table = table.append_column(field, pa.repeat(usual_columns()[field], len(table)))
            tables.append(table)
        return pa.concat_tables(tables, promote_options="permissive")

    def row(self, key: str) -> dict[str, Any]:
        """All columns of a result."""
        name, number = self.places[key]
        rows = read_group(self, name, number // GROUP)
        [row] = rows.slice(number % GROUP, 1).to_pylist()
        return dict.fromkeys(COLUMNS) | usual_columns() | row

    def find(self, key: str, spec: Any = None) -> Result | None:
        """The result of a key, if it is shipped; a given spec need not be read."""
        with suppress(Outdated):
            return unflatten(self.row(key), spec) if key in self.places else None
        return None


@lru_cache(maxsize=8)
def read_group(archive: Archive, name: str, group: int) -> Any:
    """A group of rows of a shipped file."""
    return archive.open(name).read_row_group(group, use_threads=False)


def archive() -> Archive:
    """The shipped results."""
    return open_archive(SHIPPED)


open_archive = lru_cache(maxsize=2)(Archive)


def read_sums(folder: Path) -> dict[str, str]:
    """Read the checksum of each shipped file, by name."""
    with suppress(OSError):
        text = (folder / SUMS).read_text(errors="replace")
        return {name: sha for sha, name in re.findall(r"^(\w+)  ([\w-]+\.parquet)$", text, re.M)}
    return {}


@lru_cache(maxsize=2**15)  # a number over seeds looks up each of them, missing ones too
def shipped_of(spec: Any, version: int, archive: Archive) -> Result | None:
    """The shipped result of a spec of this version, or None."""
    return archive.find(spec.key, spec)


# The user's own results ---------------------------------------------------------------------------


def live_path(key: str) -> Path:
    return cache_dir() / "results" / f"{key}.json"


def live_paths() -> list[Path]:
    return sorted(map(Path, glob(f"{escape(str(live_path('').parent))}/*.json")))


def read_file(path: Path) -> Result:
    """Read a live result from its JSON file. Raises ValueError, Outdated, OSError."""
    if not S_ISREG(path.lstat().st_mode):
        raise ValueError("it is no file, and links are not followed")
    return parse(path.read_text(), path.stem)


def live(path: Path) -> Result | None:
    """Read the result in a file; None if there is none, or if it is damaged."""
    with suppress(OSError):
        status = path.lstat()
        return read_cached(path, status.st_mtime_ns, status.st_size)
    return None


@lru_cache(maxsize=2**17)  # more than anybody has: those left out would be read each time
def read_cached(path: Path, changed: int, size: int) -> Result | None:
    """Read the result in a file, once for each time and size of the file."""
    try:
        return read_file(path)
    except ValueError as error:
        if not isinstance(error, Outdated):
            line = f"the damaged result {path} is left out, until training replaces it: {error}"
            warnings.warn(line, stacklevel=2)
        return None


def live_results(address: str = "Run") -> Iterator[Result]:
    """Yield this user's own results of runs, or of the experiments of a function."""
    results = map(live, live_paths())
    return (result for result in results if result and result.spec.address == address)


def by_key(key: str) -> Result:
    """The shipped or live result of this key. Raises: CplabError where there is none.

    >>> by_key("10da86ce08101b40").spec.call()
    "cplab.run(deficit='blur', onset=0, length=4, profile='course', seed=0)"
    """
    if re.fullmatch("[0-9a-f]{16}", str(key)) and (
        result := archive().find(key) or live(live_path(key))
    ):
        return result
    raise CplabError(f"no result has the key {quote(key)}: `cplab results list` shows keys")


def every_result(of: Any = "Run", source: str | None = None) -> Iterator[Result]:
    """Yield all sound results of runs, or of the experiments of a function: shipped, live, or both
    if no source is given; a key that is both shipped and live then comes twice.

    >>> next(every_result("Run", "shipped")).source
    'shipped'
    """
    kinds: dict[str, Any] = {"Run": Run, **FUNCTIONS}
    of = of if hasattr(of, "address") else kinds[one_of("kind of result", of, kinds)]
    if one_of("source", source or "shipped", ("shipped", "live")) == "shipped":
        shipped = archive()
        rows = shipped.columns(["key", "kind"]).to_pylist()
        keys = (row["key"] for row in rows if row["kind"] == of.address)
        yield from filter(None, map(shipped.find, keys))
    if source != "shipped":
        yield from live_results(of.address)


def find(spec: Any, measure: Any = ()) -> Result | None:
    """The result of a spec, shipped or live, with the measurements of both where these are of the
    same training; None if there is none with the measurements that are asked for, as in run.

    >>> from cplab import Run, find
    >>> round(find(Run(deficit="blur", length=8, seed=0)).accuracy, 2)
    0.57
    """
    check_spec(spec)
    measures, old = parse_measures(measure), shipped_of(spec, spec.version, archive())
    if old and old.covers(measures):
        return old
    new = live(live_path(spec.key))  # may be the same training, with other measurements
    both = new and join(new, old)
    return both if both and both.covers(measures) else None


def keep(result: Result) -> Result:
    """Write a result of the user's own, with what was measured before on the same training. If the
    directory cannot be written, only a warning comes.

    >>> keep(by_key("10da86ce08101b40")).spec.deficit
    'blur'
    """
    path = live_path(result.key)
    result = join(result, live(path))
    try:
        write_live(result)
    except OSError as error:
        how = "set $CPLAB_CACHE to a directory that can be written"
        where = f"{path.parent} ({error.strerror or error})"
        warnings.warn(f"the result could not be kept in {where}: {how}", stacklevel=2)
    return result


def write_live(result: Result) -> None:
    with atomic_file(live_path(result.key)) as partial:
        partial.write_text(result.text())


@cache
def commit() -> str:
    """The commit of this source, with a + if files have changed since; the version outside git."""
    root = Path(__file__).parents[2]
    command = ["git", "-C", str(root), "-c", "safe.directory=*"]  # a teacher's clone is safe, too
    command += ["describe", "--always", "--abbrev=12", "--exclude=*"]
    if (root / ".git").exists():
        with suppress(OSError, subprocess.CalledProcessError):
            described = subprocess.run([*command, "--dirty=+"], capture_output=True, check=True)
            return described.stdout.decode().strip()
    with suppress(metadata.PackageNotFoundError):
        return f"version {metadata.version('cplab')}"
    return "version unknown"


# Both ---------------------------------------------------------------------------------------------


def ship(results: Iterable[Result], name: str) -> Path:
    """Add results to a shipped table, cplab/shipped/NAME.parquet. Raises CplabError if one is
    shipped already with other values.

    >>> ship([], "mine")
    Traceback (most recent call last):
    cplab.errors.CplabError: there is nothing to ship as 'mine': train some of it first
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    allowed = re.fullmatch(r"[\w-]{1,60}", name)
    require(allowed, f"name {name!r:.80} is not allowed: give a plain one, such as course")
    path, earlier = SHIPPED / f"{name}.parquet", archive()
    intact = not path.exists() or path.name in earlier.contents
    require(intact, f"{path} stays, since it is damaged: install again before adding to it")
    rows = {key: earlier.row(key) for key, (file, _) in earlier.places.items() if file == path.name}
    for result in results:
        has_digest = "@" in str(getattr(result.spec, "dataset", ""))  # a name with a digest
        require(not has_digest, f"{result.key} is of images that nobody else has: ship others")
        shipped_result = earlier.find(result.key)
        if shipped_result and outcome(shipped_result) != outcome(result):
            what = f"{result.key} is shipped in {earlier.places[result.key][0]} with other values"
            raise CplabError(f"{what}: leave it out, or remove that one first")
        rows[result.key] = flatten(join(result, shipped_result))
    require(rows, f"there is nothing to ship as {name!r}: train some of it first")
    ordered = sorted(rows.values(), key=lambda row: [str(row[name]) for name in ORDER])
    with atomic_file(path) as partial:
        table = pa.Table.from_pylist(ordered)
        how = {"compression": "zstd", "compression_level": 19, "row_group_size": GROUP}
        pq.write_table(table, partial, **how)
    sums = read_sums(SHIPPED) | {path.name: hashlib.sha256(path.read_bytes()).hexdigest()}
    with atomic_file(SHIPPED / SUMS) as partial:
        partial.write_text("".join(f"{sums[name]}  {name}\n" for name in sorted(sums)))
    open_archive.cache_clear()
    return path


def merge(paths: Path | str | Iterable[Path | str]) -> tuple[int, int, list[str]]:
    """Copy results of another cache, JSON files or folders of them; those that are here already
    stay. Returns how many were new, how many were here already, and a line for each refused.

    >>> merge([])
    (0, 0, [])
    """
    new, old, refused = 0, 0, list[str]()
    for place in map(Path, [paths] if isinstance(paths, str | Path) else paths):
        files = sorted(place.rglob("*.json")) if glob(f"{escape(str(place))}/") else [place]
        refused += [] if files else [f"{place}: there are no results in it"]
        for path in files:
            try:
                result = read_file(path)
                wanted = {name: tuple(rows) for name, rows in result.measured.items()}
                own = live(live_path(result.key))
                covered = [r for r in (archive().find(result.key), own) if r and r.covers(wanted)]
                if covered or (own and outcome(own) != outcome(result)):
                    old += 1
                else:
                    write_live(join(result, own))
                    new += 1
            except (OSError, ValueError) as error:
                refused.append(f"{path}: {error}")
    return new, old, refused


def verify() -> tuple[dict[str, int], list[str]]:
    """Read every shipped file and every live result again, and change nothing. Returns how many
    results are good, by source, and a line for each file that is not.

    >>> verify()[1]
    []
    """
    with warnings.catch_warnings(record=True, category=UserWarning) as caught:
        warnings.simplefilter("always")
        good = {"shipped": len(Archive(SHIPPED).places), "live": 0}
    bad = [str(warning.message) for warning in caught]
    for path in live_paths():
        try:
            read_file(path)
            good["live"] += 1
        except Outdated:
            continue
        except (OSError, ValueError) as error:
            bad.append(f"live {path.name} is damaged: {error}")
    return good, bad


def table(results: Iterable[Result] | None = None, /, **wanted: object) -> Any:
    """A pandas DataFrame of the runs among these results, by default among all there are, or of
    those that have the wanted values of fields: key, the run's fields (windows and treatments
    written as they are given), accuracy, seconds, provenance and source. A key that is both shipped
    and live stands once, as shipped.

    >>> import cplab
    >>> len(cplab.table(profile="course", deficit="flip")) > 20
    True
    """
    import pyarrow as pa

    for name in wanted:
        one_of("field of a run", name, RUN_COLUMNS)
    names = ["kind", "version", *TABLE]
    given = [*(live_results() if results is None else results)]
    what = "{} are not all results: give results, as cplab.sweep returns them"
    require(all(isinstance(one, Result) for one in given), what, given)
    own = [flatten(result) | {"source": result.source} for result in given]
    shipped = archive().columns(names)
    tables = [shipped if results is None else shipped.slice(0, 0), pa.Table.from_pylist(own)]
    rows = pa.concat_tables(tables, promote_options="permissive").select(names)
    frame = rows.to_pandas().fillna({"source": "shipped"})
    frame = frame[(frame["kind"] == "Run") & (frame["version"] == Run.version)]
    frame = frame.drop_duplicates("key")[[*TABLE]]
    for name, value in run_columns(spelled(wanted)).items() if wanted else ():
        if name in wanted:
            frame = frame[frame[name].isna() if value is None else frame[name] == value]
    for name in SEVERAL:
        texts = {text: written(json.loads(text)) for text in frame[name].unique()}
        frame[name] = frame[name].map(texts)
    types = dict.fromkeys(("pace", "batch", "weight_decay", "accuracy", "seconds"), "float64")
    types |= dict.fromkeys(("onset", "length", "recovery", "seed", "skipped", "threads"), "int64")
    order = [n for n in RUN_COLUMNS if n not in ("pace", "batch", "weight_decay")]
    return frame.astype(types | {"augment": "bool"}).sort_values(order, ignore_index=True)


def spelled(wanted: dict[str, Any]) -> Run:
    """A run that has these values, each spelled as runs have it. The others are such that any
    deficit, window or treatment is allowed."""
    usual: dict[str, Any] = {"deficit": "blur", "length": int(wanted.get("deficit") != CLEAR)}
    usual |= {"onset": LONGEST // 3, "recovery": LONGEST // 3, "schedule": "paper"}
    usual |= {"model": "eyes"} if ":" in f"{wanted.get('deficit')}{wanted.get('windows')}" else {}
    return Run(**usual | wanted)


def written(several: list) -> str:
    """Windows or treatments of a run in one text, like blank@8+4, as they can be given."""
    windows = ("{}@{}+{}".format(*one) for one in several if len(one) == 3)
    return " ".join([*windows, *(Treatment(*one).words for one in several if len(one) == 4)])
