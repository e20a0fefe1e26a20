"""Conditions: runs apart from their seeds, each with what its deficit costs, as a pandas table."""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from cplab.base.errors import CplabError, quote
from cplab.estimates import Estimate, estimate
from cplab.measure import Measure, parse_measures
from cplab.quantities import accuracy, each_result, harm, lost_time
from cplab.results import Result
from cplab.results.rows import RUN_COLUMNS
from cplab.results.tables import write_several
from cplab.runs import CLEAR, Run
from cplab.specs.own import DIGEST, plain_name

if TYPE_CHECKING:
    import pandas as pd

ALWAYS = ("deficit", "onset", "length", "recovery")  # fields that have a column in any case
FULL_NAME = re.compile(rf"\w+{DIGEST.pattern}")
TWIN_ROLE = "twin"
EQUAL_TRAINING = "equal training"


def harm_table(results: Iterable[Result | Run], /, *, measure: Measure = ()) -> "pd.DataFrame":
    """A pandas DataFrame with a row for each condition, which is a run apart from its seed.

    All seeds that have a result count, shipped ones as well; a column says how many those are.

    The columns are: role, which is `deficit`, or which control this is of another row; deficit,
    onset, length, recovery, and whatever else differs between rows; harm, lost_time and accuracy,
    each followed by half of its 95 % interval; seeds, and how many of them are shipped; the mean of
    each measurement; and digest, with the full names of functions of your own.

    Arguments:
        results: some results, as `cplab.sweep(runs, controls=True)` returns them, or runs.
        measure: measurements, as for `cplab.sweep`, which are read after the last epoch.

    Raises:
        CplabError: for anything but runs and their results.

    >>> import cplab
    >>> blurred = cplab.Run("blur", length=8)
    >>> table = cplab.harm_table([blurred, blurred.newborn()])
    >>> table[["role", "deficit", "length", "seeds"]].values.tolist()
    [['deficit', 'blur', 8, 20], ['twin', 'none', 0, 30]]
    >>> print(table.harm.round(1)[0], table["harm ±"].round(1)[0])
    1.8 0.5
    """
    import pandas as pd

    runs = conditions(results)
    measurements = [*parse_measures(measure)]
    differ = [name for name in RUN_COLUMNS if len({getattr(run, name) for run in runs}) > 1]
    shown = [name for name in RUN_COLUMNS if name in ALWAYS or name in differ]
    rows = [condition_row(run, roles(run, runs), shown, measurements) for run in runs]
    return pd.DataFrame(rows)


def conditions(results: Iterable[Result | Run]) -> list[Run]:
    """The runs of some results with seed 0, each once, in their order.

    Raises:
        CplabError.
    """
    runs = []
    for given in results:
        run = given.spec if isinstance(given, Result) else given
        if not isinstance(run, Run):
            raise CplabError(f"{quote(given)} is not allowed: give runs, or results of runs")
        runs.append(run.with_seed(0))
    return [*dict.fromkeys(runs)]


def roles(run: Run, runs: Iterable[Run]) -> str:
    """Which controls a run without a deficit is of some others; `deficit` for one that has one.

    >>> early, late = Run("blur", 0, 8), Run("blur", 24, 8)
    >>> roles(late.without_window(), [early, late]), roles(late, [early, late])
    ('twin', 'deficit')
    """
    if not is_clear(run):
        return "deficit"
    deprived = [other for other in runs if not is_clear(other)]
    names = []
    if any(run == other.without_window() for other in deprived):
        names.append(TWIN_ROLE)
    if any(run == other.equal_training() for other in deprived):
        names.append(EQUAL_TRAINING)
    return ", ".join(names) or CLEAR


def is_clear(run: Run) -> bool:
    """Whether a run has no deficit."""
    return run.deficit == CLEAR and not run.windows


def condition_row(
    run: Run, role: str, shown: Iterable[str], measurements: Iterable[str]
) -> dict[str, Any]:
    """The row of a condition, {column: value}.

    Arguments:
        run: of seed 0.
        role: for its column.
        shown: the fields of a run that have columns.
        measurements: their full names.
    """
    row: dict[str, Any] = {"role": role}
    full_names = [*measurements]
    for name in shown:
        value = getattr(run, name)
        if isinstance(value, tuple):  # windows, or treatments
            value = write_several(value)
        row[name] = plain_name(value)
        full_names.append(str(value))
    # A run with several windows has no single one that could be cut out
    has_harm = not is_clear(run) and not run.windows
    row |= with_interval("harm", harm(run) if has_harm else None)
    row |= with_interval("lost_time", lost_time(run) if has_harm else None)
    row |= with_interval("accuracy", accuracy(run))
    results = each_result(run)
    row["seeds"] = len(results)
    row["shipped"] = sum(result.source == "shipped" for result in results)
    for name in measurements:
        for column, values in final_values(run, name).items():
            row[column] = estimate(values).mean
    row["digest"] = " ".join(FULL_NAME.findall(" ".join(full_names)))
    return row


def with_interval(name: str, value: Estimate | None) -> dict[str, float]:
    """The two columns of an estimate: its mean, and half of its interval."""
    if value is None:
        return {name: np.nan, f"{name} ±": np.nan}
    return {name: value.mean, f"{name} ±": value.half}


def final_values(run: Run, measurement: str) -> dict[str, list[float]]:
    """What a measurement gave after the last epoch of each seed, by column. One that returns
    several values has a column for each, such as `blurred.clear`."""
    name = plain_name(measurement)
    columns: dict[str, list[float]] = {}
    for result in each_result(run, {measurement: "end"}):
        value = result.final(measurement)
        if isinstance(value, dict):
            for part, number in value.items():
                columns.setdefault(f"{name}.{part}", []).append(number)
        elif value is not None:
            columns.setdefault(name, []).append(value)
    return columns or {name: []}
