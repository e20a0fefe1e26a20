"""Training in a lab, at the press of a button, with a figure that grows."""

from __future__ import annotations

import html
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cplab import results
from cplab.errors import CplabError, by_label, many, quote
from cplab.lab.jobs import Clock, Job, Throttle, count_epochs, seconds_here
from cplab.measure import MEASUREMENTS, Measure, Measurement, parse_measures
from cplab.output import as_html
from cplab.results.api import format_duration
from cplab.runs import Run
from cplab.specs.own import full_name

if TYPE_CHECKING:
    from cplab.results import Result

Lines = dict[str, list[np.ndarray]]  # {label: epochs and values, (2, epochs), of each seed}
DRAWN = 0.5  # seconds between two drawings
TOLD = 0.2  # seconds between two words about how far it is


def live(
    runs: Mapping[str, Run | Sequence[Run]],
    what: str = "test_accuracy",
    *,
    draw: Callable[[Lines], object] | None = None,
    measure: Measure = (),
) -> Job:
    """Train runs at the press of a button, and draw them as they are trained.

    Arguments: runs, {label: Run, or a list that differs in the seed}; what, the quantity that is
        drawn, as in `Result.series`; draw, from {label: [(epochs, values), one a seed]} to a
        figure, or whatever else an output takes; measure, see `cplab.run`, besides `what`.
    What has been trained before is drawn at once; a second press trains what is missing.

    >>> job = live({"no deficit": Run(profile="ci")})
    >>> job.words
    'Train'
    """
    from cplab import show  # with matplotlib, which the explorer does without

    if not by_label("runs", runs):
        raise CplabError(f"runs {quote(runs)} are not allowed: give one or more by their words")
    groups = {label: many(group) for label, group in runs.items()}
    what = full_name(Measurement, what)
    measures = parse_measures(what if what in MEASUREMENTS else ()) | parse_measures(measure)
    everything = [run for group in groups.values() for run in group]
    values = Values(everything, what)

    def paint() -> None:
        lines = {label: [values.line(run) for run in group] for label, group in groups.items()}
        begun = {label: [line for line in group if line.size] for label, group in lines.items()}
        if not any(begun.values()):
            return
        if draw:
            job.picture = as_html(draw(lines))
        else:
            words = what.partition("@")[0].replace("_", " ")
            job.picture = as_html(show.curves(begun, "epoch", words))

    def show_fault(error: Exception) -> None:
        line = f"This could not be drawn: {type(error).__name__}: {error}"
        job.picture = f'<p style="color:#c00">{html.escape(line)}</p>'

    def work(stop: threading.Event) -> str:
        missing = [run for run in everything if results.find(run, measures) is None]
        clock = Clock(count_epochs(missing), seconds_here(missing, measures))
        figure = Throttle(paint, DRAWN, show_fault)
        words = Throttle(lambda: job.tell(clock.done, clock.epochs, clock.message), TOLD)

        def report(run: Run, row: dict) -> None:
            clock(run, row)
            words()
            if values.add_row(run, row):
                figure()

        try:
            for _, result in results.collect(everything, measures, stop=stop, report=report):
                values.add_result(result)
                figure()
        finally:
            words.finish()
            figure.finish()
        return f"trained in {clock.took()}"

    for run in everything:
        stored = results.find(run, measures)
        if stored is not None:
            values.add_result(stored)
    missing = [run for run in everything if not values.line(run).size]
    job = Job("Train", work)
    job.message = format_duration(seconds_here(missing, measures)) if missing else ""
    try:
        paint()
    except Exception as error:  # a student's own `draw`, which ends no training
        show_fault(error)
    return job


class Values:
    """A quantity of runs after each epoch, as far as they are trained; threads may add to it."""

    def __init__(self, runs: Sequence[Run], name: str) -> None:
        self.name = name
        self._values: dict[Run, dict[int, float]] = {run: {} for run in runs}  # by epoch, from 1
        self._lock = threading.Lock()

    def add_row(self, run: Run, row: Mapping[str, Any]) -> bool:
        """Add an epoch of a run; whether there was anything to add."""
        value = find_value(row, self.name)
        if run not in self._values or value is None:
            return False
        with self._lock:
            self._values[run][row["epoch"] + 1] = value
        return True

    def add_result(self, result: Result) -> None:
        """Add all epochs of a result."""
        series = result.series(self.name)  # (epochs,)
        values = {}
        for epoch, value in enumerate(series.tolist(), 1):
            if np.isfinite(value):
                values[epoch] = float(value)
        with self._lock:
            self._values[result.spec] |= values

    def line(self, run: Run) -> np.ndarray:
        """Epochs and values of a run, (2, epochs)."""
        with self._lock:
            pairs = sorted(self._values[run].items())
        return np.array(pairs, dtype=float).reshape(-1, 2).T


def find_value(row: Mapping[str, Any], name: str) -> float | None:
    """The value of a quantity in an epoch's row, or in what was measured in it."""
    if "epoch" not in row:
        return None
    columns = [row]
    for measurement, value in row.get("measured", {}).items():
        columns.append(value if isinstance(value, dict) else {measurement: value})
    for column in columns:
        if name in column:
            return float(np.sum(column[name]))
    return None
