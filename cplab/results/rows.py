"""Rows: a result as one row of a table, which is how shipped results are kept.

Of a run its fields and its curve are columns, of an experiment spec and values, as JSON.
"""

import json
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from typing import Any

from cplab.results.result import HOW, Result, from_plain
from cplab.runs import MEASURED, SEVERAL, Run
from cplab.specs import Spec

RUN_COLUMNS = tuple(field.name for field in fields(Run))
CURVE = tuple(f"curve.{name}" for name in MEASURED)
COLUMNS = (
    "key",
    "kind",
    "version",
    *RUN_COLUMNS,
    "spec",
    "size",
    "epochs",
    "accuracy",
    "seconds",
    *HOW,
    *CURVE,
    "values",
    "measured",
    "own",
)


def size_of(spec: Spec) -> str:
    """The size of a spec in words, `Run course cifar10 allcnn-16 native`; specs of one size take
    about equally long."""
    names = ("profile", "dataset", "model", "arithmetic", "size")
    values = [getattr(spec, name, None) for name in names]
    return " ".join([spec.address, *(str(value) for value in values if value is not None)])


def run_columns(run: Run) -> dict[str, Any]:
    """The fields of a run as columns of a table; those with several values as JSON."""
    columns = {}
    for name in RUN_COLUMNS:
        value = getattr(run, name)
        columns[name] = json.dumps(value) if isinstance(value, tuple) else value
    return columns


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
    if result.measured:
        row["measured"] = json.dumps(result.measured)
    if result.own:
        row["own"] = json.dumps(result.own)
    return row


def unflatten(row: Mapping[str, Any], spec: Any = None) -> Result:
    """Turn a row that `flatten` made into a shipped result; a given spec need not be read. Raises:
    Outdated for what is not known here."""
    is_run = row["kind"] == "Run"
    if spec is None:
        spec = spec_of(row)
    values = spec.values(row[name] for name in CURVE) if is_run else json.loads(row["values"])
    return Result(
        spec,
        values,
        row["seconds"],
        **{name: row[name] for name in HOW},
        measured=measurements_of(row),
        own=json.loads(row["own"] or "{}"),
        source="shipped",
    )


def spec_of(row: Mapping[str, Any]) -> Any:
    """The run or the experiment of a row. Raises: Outdated."""
    if row["kind"] == "Run":
        arguments = {name: row[name] for name in RUN_COLUMNS if row[name] is not None}
        for name in SEVERAL:
            if name in arguments:
                arguments[name] = json.loads(arguments[name])
    else:
        arguments = json.loads(row["spec"])
    return from_plain({"kind": row["kind"], "version": row["version"], "spec": arguments})


def measurements_of(row: Mapping[str, Any]) -> dict[str, dict[int, Any]]:
    """What was measured on the result of a row, {name: {epoch: plain data}}."""
    measured = json.loads(row["measured"] or "{}")
    return {
        name: {int(epoch): value for epoch, value in values.items()}
        for name, values in measured.items()
    }
