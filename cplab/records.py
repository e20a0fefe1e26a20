"""What was trained, kept safely, found quickly: shipped records and the user's own.

Shipped records are Parquet files in the package, one row a record; live ones are JSON files in the
cache directory, one a record. Both carry a checksum over all they say. A damaged record is never
shown: it is set aside, and training the run again replaces it.
"""

import hashlib
import json
import math
import os
import random
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from pathlib import Path

from cplab.experiment import DEVICES, LATER, PROTOCOL, CplabError, Run, cache_dir, one_of, whole

SHIPPED = Path(__file__).parent / "shipped"
RUN_FIELDS = [f.name for f in fields(Run)]
SERIES = ("curve", "final")  # what is no single value
NEAR = 0.03  # accuracies that differ by no more are near, however little seeds are seen to differ


class RecordWarning(UserWarning):
    """Something about records that the user should know and that stops nothing."""


class Outdated(ValueError):
    """Of another protocol: not damaged, but what it says is no longer what its run would give."""


@dataclass(frozen=True)
class Record:
    """A run that was trained.

    accuracy: fraction of the test images named rightly after the last epoch.
    curve: one row for each epoch: epoch, phase (clear, deficit, recovery), lr, train_loss,
        test_accuracy, seconds; where the run asks for its trace, also trace (by layer), log_det,
        trace_seconds (see fisher.along).
    final: where the run asks for its trace, what fisher.at_end measured after the last epoch.
    seconds: of training and testing, as if the run had been trained alone.
    copy, device (and kind of chip), precision, threads, torch, commit: how it was trained.
    source: `shipped` with the package, or `live`, trained by this user.
    """

    run: Run
    accuracy: float
    curve: list[dict]
    seconds: float
    copy: str
    device: str
    precision: str
    threads: int
    torch: str
    commit: str
    final: dict | None = None
    source: str = "live"

    @property
    def key(self) -> str:
        return self.run.key

    def series(self, name: str):
        """One quantity of the curve after each epoch, an array (epochs,), NaN where not measured;
        the trace summed over the layers."""
        import numpy as np

        values = [row.get(name, math.nan) for row in self.curve]
        return np.array([sum(v) if isinstance(v, list) else v for v in values])

    def plain(self) -> dict:
        """The record as plain data, the run's fields first; without its source."""
        rest = {f.name: getattr(self, f.name) for f in fields(self)[1:-1]}
        return without_none({"key": self.key, "protocol": PROTOCOL, **self.run.said(), **rest})


def without_none(plain):
    """Plain data without what a table fills up where a record has nothing to say."""
    if isinstance(plain, dict):
        return {k: without_none(v) for k, v in plain.items() if v is not None}
    return [without_none(v) for v in plain] if isinstance(plain, list) else plain


def checksum(plain: dict) -> str:
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def parse(row: dict, source: str) -> Record:
    """A Record out of plain data with its checksum. Raises ValueError if anything is off, Outdated
    if it is the protocol."""
    try:
        plain = without_none({k: v for k, v in row.items() if k != "checksum"})
        if checksum(plain) != row["checksum"]:
            raise ValueError("its checksum does not fit")
        if plain["protocol"] != PROTOCOL:
            raise Outdated(f"it is of protocol {plain['protocol']}, this is {PROTOCOL}")
        run = Run(**{name: (LATER | plain)[name] for name in RUN_FIELDS})
        rest = {f.name: plain[f.name] for f in fields(Record)[1:-2]}
        record = Record(run, **rest, final=plain.get("final"), source=source)
        if plain["key"] != run.key:
            raise ValueError("its key does not fit its run")
        if (run.trace != "none") != bool(record.final):
            raise ValueError("its Fisher information does not fit its run")
        if len(record.curve) != run.epochs or record.curve[-1]["test_accuracy"] != record.accuracy:
            raise ValueError("its curve does not fit its run")
    except (KeyError, TypeError, IndexError, AttributeError, CplabError) as error:
        raise ValueError(f"it cannot be read ({error!r})") from error
    return record


# Finding ----------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def shipped() -> dict[str, tuple]:
    """Key of each shipped record of this protocol, with the table and the row where it stands."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    index = {}
    for path in sorted(SHIPPED.glob("*.parquet")):
        try:
            with pq.ParquetFile(path) as file:  # pq.read_table imports pandas
                table = file.read()
            table.validate(full=True)
            names = zip(table["key"].to_pylist(), table["protocol"].to_pylist(), strict=True)
            index |= {
                key: (table, i) for i, (key, number) in enumerate(names) if number == PROTOCOL
            }
        except (pa.ArrowException, OSError, KeyError, ValueError) as error:
            said = " ".join(str(error).split())
            warn(f"shipped records {path.name} are damaged and left out ({said})")
    return index


@lru_cache(maxsize=1)
def shipped_rows() -> dict[str, dict]:
    """All sound shipped records as plain data without their curves, by key."""
    tables = {id(table): table for table, _ in shipped().values()}
    plain = {name: table.to_pylist() for name, table in tables.items()}
    rows = {}
    for key, (table, i) in shipped().items():
        row = plain[id(table)][i]
        if read_shipped(key, row):
            rows[key] = LATER | {n: v for n, v in row.items() if v is not None and n not in SERIES}
    return rows


def read_shipped(key: str, row: dict) -> Record | None:
    """A shipped record, or None with a warning if it is damaged."""
    try:
        return parse(row, "shipped")
    except ValueError as error:
        warn(f"the shipped record {key} is damaged and left out: {error}")
        return None


def find(run: Run) -> Record | None:
    """The record of a run, shipped or live; None if it was not trained yet."""
    if run.key in shipped():
        table, row = shipped()[run.key]
        record = read_shipped(run.key, table.slice(row, 1).to_pylist()[0])
        if record:
            return record
    return read_live(live_path(run.key))


def live_path(key: str) -> Path:
    return cache_dir() / "records" / f"{key}.json"


def read_live(path: Path) -> Record | None:
    """A live record, or None where there is none; a damaged file is set aside."""
    try:
        record = parse(json.loads(path.read_text()), "live")
        if record.key != path.stem:
            raise ValueError(f"it is the record {record.key}")
        return record
    except (OSError, Outdated):
        return None
    except ValueError as error:
        aside = path.with_suffix(".json.damaged")
        with suppress(OSError):
            path.replace(aside)
        warn(f"a damaged record was set aside as {aside}: {error}")
        return None


def live() -> Iterator[Record]:
    """All readable live records of this protocol."""
    for path in sorted(live_path("").parent.glob("*.json")):
        record = read_live(path)
        if record:
            yield record


def table(**wanted):
    """All records as a pandas DataFrame, one row each: key, the run's fields, accuracy, seconds,
    provenance and source; without the curves. Shipped ones stand for live ones of the same key.

    Arguments: wanted, values of a run's fields: only records that have them.
    """
    import pandas as pd

    some = {} if wanted.get("deficit") == "none" else {"deficit": "blur", "length": 1}
    Run(**{"onset": 1, **some, **wanted})  # refuses what no record can have
    found = [{**row, "source": "shipped"} for row in shipped_rows().values()]
    found += [
        LATER | r.plain() | {"source": r.source} for r in live() if r.key not in shipped_rows()
    ]
    columns = [*Record.__dataclass_fields__]
    columns = ["key", *RUN_FIELDS, *(c for c in columns if c not in ("run", *SERIES))]
    rows = pd.DataFrame(found, columns=columns)
    for name, value in wanted.items():
        rows = rows[rows[name] == value]
    return rows.sort_values(RUN_FIELDS, ignore_index=True)


# Keeping ----------------------------------------------------------------------------------------


def keep(record: Record) -> None:
    """Write a live record (see write_live)."""
    plain = record.plain()
    write_live(live_path(record.key), {**plain, "checksum": checksum(plain)}, "record")


def write_live(path: Path, plain: dict, what: str) -> None:
    """Write plain data as JSON, atomically; a directory that cannot be written costs only a
    warning."""
    partial = path.with_suffix(f".{os.getpid()}.{threading.get_ident()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(plain))
        partial.replace(path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink()
        warn(
            f"the {what} could not be kept in {path.parent} ({error.strerror}): "
            "set $CPLAB_CACHE to a directory that can be written"
        )


def make(run: Run, trajectory, source: str = "live") -> Record:
    """The record of a run out of the trajectory that training left."""
    import torch

    rows = trajectory.rows[: run.epochs]
    curve = [{"epoch": r["epoch"], "phase": run.phase(r["epoch"]), **r} for r in rows]
    return Record(
        run,
        rows[-1]["test_accuracy"],
        curve,
        sum(r["seconds"] for r in rows),
        trajectory.copy,
        trajectory.device,
        trajectory.precision,
        trajectory.threads,
        str(torch.__version__),
        commit(),
        trajectory.final,
        source,
    )


@lru_cache(maxsize=1)
def commit() -> str:
    """The commit of this source, with a + if it was changed since; the version if not in git."""
    here = Path(__file__).parent

    def git(*words: str) -> str:
        return subprocess.run(
            ("git", "-C", here, *words), capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        if Path(git("rev-parse", "--show-toplevel")) != here.parent:
            raise OSError
        changed = git("status", "--porcelain", "--", "*.py")
        return git("rev-parse", "--short=12", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        from cplab import __version__

        return f"version {__version__}"


def ship(records: Iterable[Record], name: str) -> Path:
    """Add records to a shipped Parquet file, cplab/shipped/NAME.parquet."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = SHIPPED / f"{name}.parquet"
    rows = {r["key"]: r for r in pq.read_table(path).to_pylist()} if path.exists() else {}
    rows = {k: without_none(r) for k, r in rows.items() if r["protocol"] == PROTOCOL}
    for record in records:
        plain = record.plain()
        rows[record.key] = {**plain, "checksum": checksum(plain)}
    if not rows:
        raise CplabError(f"there is nothing to ship as {name!r}: train some runs of it first")
    path.parent.mkdir(exist_ok=True)
    ordered = sorted(rows.values(), key=lambda r: [(LATER | r)[name] for name in RUN_FIELDS])
    columns = dict.fromkeys(name for row in ordered for name in row)  # pyarrow looks at the first
    ordered = [{name: row.get(name) for name in columns} for row in ordered]
    pq.write_table(pa.Table.from_pylist(ordered), path, compression="zstd")
    shipped.cache_clear()
    shipped_rows.cache_clear()
    return path


def warn(text: str) -> None:
    warnings.warn(text, RecordWarning, stacklevel=3)


# Checking ---------------------------------------------------------------------------------------


def verify() -> tuple[dict[str, int], list[str]]:
    """Read every shipped and live record again, and change nothing.

    Returns: how many are good, by source, and a line for each file or record that is not.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    good, bad = {"shipped": 0, "live": 0}, []
    for path in [*sorted(SHIPPED.glob("*.parquet")), *sorted(live_path("").parent.glob("*.json"))]:
        source = "shipped" if path.suffix == ".parquet" else "live"
        try:
            if source == "shipped":
                rows = pq.read_table(path).to_pylist()
            else:
                rows = [json.loads(path.read_text())]
        except (pa.ArrowException, OSError, ValueError) as error:
            bad.append(f"{source} {path.name} cannot be read ({error})")
            continue
        for row in rows:
            try:
                record = parse(row, source)
                if source == "live" and path.stem != record.key:
                    raise ValueError(f"it is the record {record.key}")
                good[source] += 1
            except Outdated as error:
                if source == "shipped":
                    bad.append(f"{source} {path.name} {row['key']} is outdated: {error}")
            except ValueError as error:
                key = f" {row['key']}" if source == "shipped" and "key" in row else ""
                bad.append(f"{source} {path.name}{key} is damaged: {error}")
    return good, bad


def sample(count: int, seed: int = 0, profile: str | None = None) -> list[Record]:
    """Shipped records at random, of all profiles or one."""
    rows = table(profile=profile) if profile else table()
    runs = rows.loc[rows["source"] == "shipped", RUN_FIELDS].to_dict("records")
    if not runs:
        raise CplabError(f"no records are shipped of {profile or 'any'} profile: ship some first")
    picked = random.Random(seed).sample(runs, min(count, len(runs)))
    return [record for fields in picked if (record := find(Run(**fields)))]


def retrain(record: Record, device: str = "auto") -> tuple[str, Record]:
    """Train a record's run again, with as many threads, and compare.

    Returns: `equal` where all accuracies and losses are, bit by bit; `near` where the machine,
        the images, the number format, the threads or torch are others and the accuracy is within
        the spread of seeds; `off`; and the new record, which is not kept.
    Raises: train.Diverged.
    """
    import torch

    from cplab import tree

    threads = torch.get_num_threads()
    torch.set_num_threads(record.threads)
    try:
        [(_, trajectory)] = tree.trajectories([record.run], device=device, workers=1)
    finally:
        torch.set_num_threads(threads)
    if isinstance(trajectory, Exception):
        raise trajectory
    again = make(record.run, trajectory)

    def outcome(one: Record) -> list:
        return [(row["train_loss"], row["test_accuracy"]) for row in one.curve]

    if outcome(again) == outcome(record):
        return "equal", again
    conditions = ("device", "copy", "precision", "threads", "torch")
    if all(getattr(again, name) == getattr(record, name) for name in conditions):
        return "off", again
    seeds = table(**{n: getattr(record.run, n) for n in RUN_FIELDS if n != "seed"})
    spread = seeds["accuracy"].std() if len(seeds) > 2 else 0.0
    near = abs(again.accuracy - record.accuracy) <= max(NEAR, 4 * spread)
    return "near" if near else "off", again


# Asking -----------------------------------------------------------------------------------------


def collect(
    runs: Iterable[Run],
    *,
    fresh: bool = False,
    device: str = "auto",
    workers: int | None = None,
    **how,
) -> Iterator[tuple[Run, object]]:
    """The records of a set of runs: found ones first, then the others as they are trained.

    Arguments: fresh, train also what there is a record of; device, workers and how, passed to
        tree.trajectories.
    Yields: (run, Record) or (run, error).
    """
    one_of("device", str(device).partition(":")[0], DEVICES)
    workers = None if workers is None else whole("workers", workers, least=1)
    runs, missing = [*dict.fromkeys(runs)], []
    for run in runs:
        record = None if fresh else find(run)
        if record:
            yield run, record
        else:
            missing.append(run)
    if not missing:
        return
    from cplab import train, tree

    # as for the whole set, since the bits and the checkpoints of the rest depend on it
    workers = workers or tree.crew_size(runs, device)
    locks = Locks()

    def claim(ending: list[Run]) -> list[Run] | None:
        if not locks.take(ending):
            return None  # another kernel trains one of them: wait, and read it then
        wanted = [r for r in ending if fresh or not find(r)]
        for run in {*ending} - {*wanted}:  # others trained it meanwhile
            locks.release(run)
        return wanted

    try:
        how |= {"device": device, "workers": workers, "claim": claim}
        for run, result in tree.trajectories(missing, **how):
            if isinstance(result, train.Trajectory):
                result = make(run, result)
                keep(result)
            locks.release(run)
            yield run, result
            missing.remove(run)
        for run in missing:  # trained by others meanwhile
            yield run, find(run)
    finally:
        locks.release()


class Locks:
    """One lock file for each run that is being trained, so that no two kernels train the same."""

    def __init__(self):
        self.held = {}

    def take(self, runs: list[Run]) -> bool:
        """Lock all of them or none. Where no lock can be written, everyone may train."""
        from filelock import FileLock, Timeout

        for run in runs:
            lock = FileLock(live_path(run.key).with_suffix(".lock"), thread_local=False)
            try:
                Path(lock.lock_file).parent.mkdir(parents=True, exist_ok=True)
                lock.acquire(blocking=False)
            except Timeout:
                for taken in runs[: runs.index(run)]:
                    self.release(taken)
                return False
            except OSError:
                continue
            self.held[run] = lock
        return True

    def release(self, run: Run | None = None) -> None:
        """Give up the lock of a run, or of all."""
        for lock in [self.held.pop(r) for r in ([run] if run else [*self.held]) if r in self.held]:
            with suppress(OSError):
                os.unlink(lock.lock_file)
            lock.release()


def run(
    run: Run | None = None,
    /,
    *,
    fresh: bool = False,
    device: str = "auto",
    stop: threading.Event | None = None,
    report: Callable[[Run, dict], None] = lambda run, row: None,
    **changes,
) -> Record:
    """The record of one run: looked up, or trained here and now and kept.

    Arguments:
        run: a Run; or give its fields by name: cplab.run(deficit="blur", length=8, seed=1).
        fresh: train it even if there is a record.
        device: auto, cuda, mps or cpu.
        stop: an Event that ends training before the next batch.
        report: called with (run, row) after each epoch.
    Returns: the Record.
    Raises: CplabError (bad input), train.Cancelled, train.Diverged.
    """
    wanted = replace(run, **changes) if run else Run(**changes)
    [(_, record)] = collect([wanted], fresh=fresh, device=device, stop=stop, report=report)
    if isinstance(record, Exception):
        raise record
    return record


def sweep(runs: Iterable[Run], *, progress: bool = True, **how) -> list[Record]:
    """The records of a set of runs in their order; what is missing is trained as a tree.

    Arguments: runs; progress, a bar with the time left on standard error; how: device, workers,
        stop (see tree.trajectories).
    Raises: CplabError, train.Cancelled; train.Diverged after all others are done.
    """
    from tqdm import tqdm

    runs, found, total = list(runs), {}, 0
    missing = [r for r in dict.fromkeys(runs) if not find(r)]
    if missing:
        from cplab import tree

        total = sum(root.epochs for root in tree.plan(missing))
    look = {"unit": "epoch", "file": sys.stderr, "delay": 0.01}  # nothing before the first epoch
    with tqdm(total=total, disable=not progress or not total, **look) as bar:
        for run, record in collect(runs, report=lambda *_: bar.update(), **how):
            found[run] = record
            bar.set_postfix_str(f"{len(found)} of {len(set(runs))} runs")
    for record in found.values():
        if isinstance(record, Exception):
            raise record
    return [found[run] for run in runs]


def at_hand(runs: Iterable[Run], seconds: float = 240, **how) -> dict[Run, Record]:
    """The records of a set of runs, without a long wait: what is missing is trained only if all of
    it takes less than `seconds` on this machine; else a line says what is left out.

    Arguments: how, as in sweep.
    Returns: those that there are, by run.
    """
    runs = list(dict.fromkeys(runs))
    found = {run: record for run in runs if (record := find(run))}
    missing = [run for run in runs if run not in found]
    if missing:
        from cplab import tree

        cost = tree.estimate(missing)
        if cost < seconds:
            found |= zip(missing, sweep(missing, **how), strict=True)
        else:
            print(
                f"Not shown: {len(missing)} of {len(runs)} runs, which nobody has trained yet "
                f"(about {cost / 60:.0f} minutes on this machine)."
            )
    return found
