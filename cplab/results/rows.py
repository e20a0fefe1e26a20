"""Rows: results as rows of a table, which is how shipped results are kept.

A run's fields and curve are columns. An experiment's spec and values are JSON in one column each.
"""

import json
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from typing import Any

from cplab.results.result import HOW, Result, by_epoch, from_plain
from cplab.runs import DISTANCES, MEASURED, SEVERAL, Run
from cplab.specs import Spec

RUN_COLUMNS = tuple(field.name for field in fields(Run))
# The columns of a curve, by their names in its rows
CURVE = {name: f"curve.{name}" for name in (*MEASURED, *DISTANCES)}
COLUMNS = (
    "key",
    "kind",
    "version",
    *RUN_COLUMNS,
    "spec",
    "epochs",
    "accuracy",
    "seconds",
    *HOW,
    *CURVE.values(),
    "values",
    "measured",
    "own",
)


def run_columns(run: Run) -> dict[str, Any]:
    """The fields of a run, by name, as columns of a table: those with several values as JSON."""
    columns = {}
    for name in RUN_COLUMNS:
        value = getattr(run, name)
        columns[name] = json.dumps(value) if isinstance(value, tuple) else value
    return columns


@cache
def usual_columns() -> dict[str, Any]:
    """The default of each field of a run, as a column, by name. It fills the column of a field that
    was added to runs after a file was written; a default of None needs no column."""
    return {name: value for name, value in run_columns(Run()).items() if value is not None}


def flatten(result: Result) -> dict[str, Any]:
    """Turn a result into a row of a table, {column: value}, which `unflatten` reads."""
    spec = result.spec
    row: dict[str, Any] = dict.fromkeys(COLUMNS)
    for name in ("key", "seconds", *HOW):
        row[name] = getattr(result, name)
    row["kind"] = spec.address
    row["version"] = spec.version
    if isinstance(spec, Run):
        row |= run_columns(spec)
        row["epochs"] = spec.epochs
        row["accuracy"] = result.accuracy
        for name, column in CURVE.items():
            numbers = [epoch.get(name) for epoch in result.curve]
            row[column] = numbers if any(number is not None for number in numbers) else None
    else:
        row["epochs"] = 1
        row["spec"] = json.dumps(result.plain()["spec"])
        row["values"] = json.dumps(result.values)
    if result.measured:
        row["measured"] = json.dumps(result.measured)
    if result.own:
        row["own"] = json.dumps(result.own)
    return row


def unflatten(row: Mapping[str, Any], spec: Spec | None = None) -> Result:
    """Turn a row that `flatten` has made into a shipped result.

    Arguments:
        row: the row.
        spec: if it is at hand, which then need not be read.

    Raises:
        Outdated: for what is not known here.
    """
    if spec is None:
        spec = spec_of(row)
    if isinstance(spec, Run):
        columns = {name: row[column] for name, column in CURVE.items() if row[column] is not None}
        values = spec.values(columns)
    else:
        values = json.loads(row["values"])
    return Result(
        spec,
        values,
        row["seconds"],
        **{name: row[name] for name in HOW},
        measured=measurements_of(row),
        own=json.loads(row["own"] or "{}"),
        source="shipped",
    )


def spec_of(row: Mapping[str, Any]) -> Spec:
    """The run or the experiment of a row.

    Raises:
        Outdated: for what is not known here.
    """
    if row["kind"] == "Run":
        arguments = {name: row[name] for name in RUN_COLUMNS if row[name] is not None}
        for name in SEVERAL:
            if name in arguments:
                arguments[name] = json.loads(arguments[name])
    else:
        arguments = json.loads(row["spec"])
    return from_plain({"kind": row["kind"], "version": row["version"], "spec": arguments})


def measurements_of(row: Mapping[str, Any]) -> dict[str, dict[int, Any]]:
    """The measurements of a row, {name: {epoch: plain data}}."""
    return by_epoch(json.loads(row["measured"] or "{}"))
