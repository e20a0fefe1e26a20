"""Bring records and studies of the first format into the one store.

    python -m reproduction.migrate OLD            takes in the live files of an old cache directory
    python -m reproduction.migrate OLD --ship     writes shipped files anew from old Parquet files

In the first format what was measured along a run was part of its key, so that a training with and
without its Fisher trace stood there twice. Both become one result; where their curves are not
equal, epoch by epoch, that is said and nothing is written.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

from cplab.results.store import HOW, SHIPPED, Result, checksum, join, keep, outcome, ship
from cplab.runs import Run

ROW = ("epoch", "phase", "lr", "train_loss", "test_accuracy", "seconds")
TRACE = {"trace": "trace", "log_det": "log_det", "trace_seconds": "seconds"}


def without_none(plain):
    """Plain data without what a table filled up where a record had nothing to say."""
    if isinstance(plain, dict):
        return {k: without_none(v) for k, v in plain.items() if v is not None}
    return [without_none(v) for v in plain] if isinstance(plain, list) else plain


def check(plain: dict) -> dict:
    """Plain data of the first format without its checksum, which has to fit."""
    said = plain.pop("checksum")
    if checksum(json.dumps(plain, sort_keys=True)) != said:
        raise ValueError(f"the checksum of {plain.get('key')} does not fit")
    return plain


def run_result(row: dict) -> Result:
    """The result of a record of the first format."""
    old = check(without_none(row))
    spec = Run(**{f.name: old[f.name] for f in fields(Run) if f.name in old})
    curve = [{name: r[name] for name in ROW} for r in old["curve"]]
    measured = {}
    along = {
        r["epoch"]: {new: r[name] for name, new in TRACE.items()}
        for r in old["curve"]
        if "trace" in r
    }
    if along:
        measured["trace"] = along
    if "final" in old:
        measured["ending"] = {spec.epochs - 1: old["final"]}
    how = {name: old[name] for name in HOW}
    values = {"accuracy": old["accuracy"], "curve": curve}
    return Result(spec, values, old["seconds"], **how, measured=measured)


def study_result(text: str) -> Result:
    """The result of a study of the first format."""
    from reproduction import migrate_studies

    old = check(json.loads(text))
    kind, fields_ = migrate_studies.parse(old["spec"])
    spec, values = migrate_studies.migrate(kind, fields_, old["values"])
    how = {name: old.get(name, "") for name in HOW}
    how["copy"] = migrate_studies.copy_of(spec)
    how["precision"] = "bf16"
    return Result(spec, values, 0.0, **how)


def old_results(folder: Path) -> Iterator[tuple[str, Result]]:
    """(name of the file that it should be shipped in, result) of all old files below a folder."""
    import pyarrow.parquet as pq

    for path in sorted(folder.glob("*.parquet")):
        for row in pq.read_table(path).to_pylist():
            yield path.stem, run_result(row)
    for path in sorted(folder.glob("studies/*.parquet")):
        for row in pq.read_table(path).to_pylist():
            yield path.stem, study_result(row["json"])
    for path in sorted(folder.glob("records/*.json")):
        found = run_result(json.loads(path.read_text()))
        yield found.spec.profile, found
    for path in sorted(folder.glob("studies/*.json")):
        yield "studies", study_result(path.read_text())


def together(folder: Path) -> tuple[dict[str, dict[str, Result]], int]:
    """All results by file and key, and how many trainings stood there twice."""
    files: dict[str, dict[str, Result]] = {}
    places: dict[str, str] = {}
    twice = 0
    for name, result in old_results(folder):
        name = places.setdefault(result.key, name)
        there = files.setdefault(name, {}).get(result.key)
        if there is not None:
            twice += 1
            if outcome(there) != outcome(result):
                raise ValueError(f"{result.spec} was trained twice with different results")
            result = join(result, there)
        files[name][result.key] = result
    return files, twice


def main(args: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("old", type=Path, help="a cache directory, or one of shipped files")
    parser.add_argument("--ship", action="store_true", help=f"write {SHIPPED.name}/*.parquet anew")
    given = parser.parse_args(args)
    files, twice = together(given.old)
    for name, results in files.items():
        if given.ship:
            ship(results.values(), name)
        else:
            for result in results.values():
                keep(result)
        print(f"{name}: {len(results)} results")
    print(f"{twice} trainings stood there twice, with equal curves", file=sys.stderr)


if __name__ == "__main__":
    main()
