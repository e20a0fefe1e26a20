"""Tables of results in pandas: runs with their fields and measurements, or an experiment with its
arguments and values."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import cplab.results.store as store
from cplab.base.errors import CplabError, one_of, quote
from cplab.measure import parse_measures
from cplab.results.declare import Function
from cplab.results.result import HOW, Result
from cplab.results.rows import RUN_COLUMNS, flatten, measurements_of, run_columns
from cplab.runs import CLEAR, LONGEST, SEVERAL, Run
from cplab.runs.treatments import Treatment
from cplab.specs import Spec
from cplab.specs.experiments import Experiment
from cplab.specs.own import plain_name

if TYPE_CHECKING:
    import pandas as pd

RUN_TABLE = ("key", *RUN_COLUMNS, "accuracy", "seconds", *HOW, "source")  # columns of a run's row
MOSTLY_NAN = ("pace", "batch", "weight_decay")  # fields by which rows are not ordered
FLOATS = (*MOSTLY_NAN, "accuracy", "seconds")
INTEGERS = ("onset", "length", "recovery", "seed", "skipped", "threads")
NUMERIC = "biuf"  # numpy's letters for types: bool, int, unsigned int, float


def results_table(
    results: object = None, /, *, measure: str | Iterable[str] = (), **values: object
) -> "pd.DataFrame":
    """A pandas DataFrame with a row for each result; by default for each run that has one, shipped
    or live. A key that is both has one row, for the shipped result.

    The columns are key; a run's fields and accuracy, or an experiment's arguments and those of its
    values that are a number or a text; seconds, provenance and source. Windows and treatments are
    written as they are given to a run. Networks are told apart by `model`, which contains the
    width, and images by `dataset` and `copy`; your own have a digest in their names.

    Arguments:
        results: some results, as `cplab.sweep` returns them; or an experiment's function, for all
            of its results.
        measure: names of measurements. Each has a column with its value after the last epoch, or
            several, such as `blurred.clear`, if it has several values; NaN if it was not taken. One
            of your own has its plain name.
        values: values of fields of a run, or of arguments of an experiment, that rows must have.

    Raises:
        CplabError: for unknown names, and for runs among experiments.

    >>> import cplab
    >>> len(cplab.results_table(profile="course", deficit="flip")) > 20
    True
    >>> blurred = cplab.results_table(profile="course", measure="blurred")
    >>> blurred.filter(like="blurred").columns.tolist()
    ['blurred.clear', 'blurred.blurred', 'blurred.adapted']
    """
    names = measurement_names(measure)
    if isinstance(results, Function):
        for name in values:
            one_of(f"argument of {results.compute.__name__}", name, results.entry.defaults)
        return experiment_table(store.every_result(results), names, values)
    if results is None:
        return run_table(store.live_results(), names, values, store.archive())
    some = as_results(results)
    if any(isinstance(result.spec, Experiment) for result in some):
        return experiment_table(some, names, values)
    return run_table(some, names, values)


def measurement_names(measure: str | Iterable[str]) -> list[str]:
    """Read the names of measurements.

    Raises:
        CplabError: for an unknown one.
    """
    if isinstance(measure, Mapping):
        raise CplabError(
            f"measure {quote(measure)} is not allowed: give names, since the table has what was "
            "measured after the last epoch"
        )
    return [*parse_measures(measure)]


def as_results(results: object) -> list[Result]:
    """Return results as a list.

    Raises:
        CplabError: for anything else.
    """
    given = [*results] if isinstance(results, Iterable) else [results]
    some = [result for result in given if isinstance(result, Result)]
    if len(some) < len(given):
        raise CplabError(
            f"{quote(given)} are not all results: give results, as cplab.sweep returns them, or "
            "the function of an experiment"
        )
    return some


# Runs ---------------------------------------------------------------------------------------------


def run_table(
    results: Iterable[Result],
    measurements: list[str],
    values: Mapping[str, object],
    shipped: store.Archive | None = None,
) -> "pd.DataFrame":
    """A DataFrame with a row for each of these runs, and for each shipped one. Arguments are those
    of `results_table`; shipped, the shipped results, if they count."""
    import pyarrow as pa

    for name in values:
        one_of("field of a run", name, RUN_COLUMNS)
    names = ["kind", "version", "epochs", *RUN_TABLE]
    if measurements:
        names.append("measured")
    parts = [pa.table({name: pa.nulls(0) for name in names})]
    if shipped:
        parts.append(shipped.columns(names))
    flat = [flatten(result) | {"source": result.source} for result in results]
    parts.append(pa.Table.from_pylist(flat))
    rows = pa.concat_tables(parts, promote_options="permissive").select(names)
    frame = rows.to_pandas().fillna({"source": "shipped"})
    frame = frame[(frame["kind"] == "Run") & (frame["version"] == Run.version)]
    frame = frame.drop_duplicates("key")
    if values:
        frame = rows_with(frame, values)
    for name in SEVERAL:
        words = {text: write_several(json.loads(text)) for text in frame[name].unique()}
        frame[name] = frame[name].map(words)
    types = {"augment": "bool"}
    types |= dict.fromkeys(FLOATS, "float64")
    types |= dict.fromkeys(INTEGERS, "int64")
    order = [name for name in RUN_COLUMNS if name not in MOSTLY_NAN]
    frame = frame.astype(types).sort_values(order, ignore_index=True)
    if not measurements:
        return frame[[*RUN_TABLE]]
    return frame[[*RUN_TABLE]].join(measurement_columns(frame, measurements))


def rows_with(frame: "pd.DataFrame", values: Mapping[str, Any]) -> "pd.DataFrame":
    """The rows of runs that have these values of fields, however they are spelled."""
    spelled = run_columns(run_with(values))
    for name in values:
        if spelled[name] is None:
            frame = frame[frame[name].isna()]
        else:
            frame = frame[frame[name] == spelled[name]]
    return frame


def measurement_columns(frame: "pd.DataFrame", measurements: list[str]) -> "pd.DataFrame":
    """A DataFrame with what was measured after the last epoch of each run.

    Arguments:
        frame: of runs, with the columns measured and epochs.
        measurements: their names.
    """
    import pandas as pd

    rows = []
    for text, epochs in zip(frame["measured"], frame["epochs"], strict=True):
        row: dict[str, Any] = {}
        measured = measurements_of({"measured": text if isinstance(text, str) else ""})
        for name in measurements:
            value = measured.get(name, {}).get(int(epochs) - 1)
            column = plain_name(name)
            if isinstance(value, dict):
                for part, number in value.items():
                    if part != "seconds":
                        row[f"{column}.{part}"] = number
            elif value is not None:
                row[column] = value
        rows.append(row)
    columns = pd.DataFrame(rows, index=frame.index)
    taken = {str(column).partition(".")[0] for column in columns}
    for name in map(plain_name, measurements):
        if name not in taken:
            columns[name] = float("nan")
    return columns


def run_with(values: Mapping[str, Any]) -> Run:
    """A run with these values, whose fields have them as all runs do: a deficit by its name, and
    treatments as a tuple. The other fields are such that any of these values are allowed."""
    usual: dict[str, Any] = {
        "deficit": "blur",
        "length": 0 if values.get("deficit") == CLEAR else 1,
        "onset": LONGEST // 3,
        "recovery": LONGEST // 3,
        "schedule": "paper",
    }
    places = (values.get("deficit"), values.get("windows"))
    if any(":" in str(place) for place in places):  # the deficit of one eye, such as blank:right
        usual["model"] = "eyes"
    return Run(**usual | dict(values))


def write_several(several: Iterable[Sequence]) -> str:
    """Write the windows of a run, lists [deficit, onset, length], or its treatments, lists of the
    fields of a Treatment, as one text, like blank@8+4, which a run takes."""
    words = []
    for part in several:
        if len(part) == 3:
            deficit, onset, length = part
            words.append(f"{deficit}@{onset}+{length}")
        else:
            words.append(Treatment(*part).words)
    return " ".join(words)


# Experiments --------------------------------------------------------------------------------------


def experiment_table(
    results: Iterable[Result], measurements: list[str], values: Mapping[str, object]
) -> "pd.DataFrame":
    """A DataFrame with a row for each of these results of an experiment. Arguments are those of
    `results_table`."""
    import pandas as pd

    if measurements:
        raise CplabError(
            f"{', '.join(measurements)} cannot be measured on experiments: leave measure out"
        )
    rows: dict[str, dict[str, Any]] = {}
    arguments: dict[str, None] = {}  # an ordered set of names
    for result in results:
        spec = result.spec
        if not isinstance(spec, Experiment):
            raise CplabError("runs and experiments have different columns: give only one kind")
        for name in values:
            one_of(f"argument of {spec.name.partition('@')[0]}", name, spec.arguments)
        if any(spec.arguments[name] != value for name, value in values.items()):
            continue
        arguments |= dict.fromkeys(spec.arguments)
        rows.setdefault(result.key, experiment_row(result))
    frame = pd.DataFrame([*rows.values()])
    if frame.empty:
        return frame
    # The seed orders last, so that the seeds of a call are next to each other
    order = [name for name in arguments if name != "seed"]
    if "seed" in arguments:
        order.append("seed")
    return frame.sort_values(order, key=sortable, kind="stable", ignore_index=True)


def experiment_row(result: Result) -> dict[str, Any]:
    """The row of an experiment's result: its arguments, those values that are a number or a text,
    and how it was computed."""
    row: dict[str, Any] = {"key": result.key, "experiment": result.spec.name}
    for name, value in result.spec.arguments.items():
        row[name] = write_argument(value)
    for name, value in result.values.items():
        if isinstance(value, bool | int | float | str):
            column = f"values.{name}" if name in row else name
            row[column] = value
    for name in ("seconds", *HOW, "source"):
        row[name] = getattr(result, name)
    return row


def sortable(column: "pd.Series") -> "pd.Series":
    """A column by which rows can be ordered: as texts if its values are not all numbers."""
    return column if column.dtype.kind in NUMERIC else column.astype(str)


def write_argument(value: object) -> object:
    """An argument as a table shows it: a run or an experiment as the call that gives it."""
    return value.call() if isinstance(value, Spec) else value
