"""Training in a lab, at the press of a button, with a figure that grows."""

import html
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from cplab import results
from cplab.errors import CplabError, by_label, many, quote
from cplab.lab.jobs import Clock, Job, Throttle, count_epochs, seconds_here
from cplab.measure import MEASUREMENTS, Measurement, parse_measures
from cplab.output import as_html
from cplab.results.api import format_duration
from cplab.runs import Run
from cplab.specs.own import full_name

Lines = dict[str, list[np.ndarray]]  # {label: epochs and values, (2, epochs), of each seed}
DRAWN = 0.5  # seconds between two drawings
TOLD = 0.2  # seconds between two words about how far it is


def live(
    runs: Mapping[str, Run | Sequence[Run]],
    what: str = "test_accuracy",
    *,
    draw: Callable[[Lines], Any] | None = None,
    measure: Any = (),
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
    if not by_label("runs", runs):
        raise CplabError(f"runs {quote(runs)} are not allowed: give one or more by their words")
    groups = {label: many(group) for label, group in runs.items()}
    what = full_name(Measurement, what)
    measure = parse_measures(what if what in MEASUREMENTS else ()) | parse_measures(measure)
    everything = [run for group in groups.values() for run in group]
    rows: dict[Run, dict[int, float]] = {run: {} for run in everything}  # value by epoch, from 1
    changing = threading.Lock()  # of rows, which are drawn while they grow
    from cplab import show  # with matplotlib, which the explorer does without

    def line_of(run: Run) -> np.ndarray:
        with changing:
            line = sorted(rows[run].items())
        return np.array(line, dtype=float).reshape(-1, 2).T

    def paint() -> None:
        lines = {label: [line_of(run) for run in group] for label, group in groups.items()}
        begun = {label: [one for one in group if one.size] for label, group in lines.items()}
        if not any(begun.values()):
            return
        words = what.partition("@")[0].replace("_", " ")
        drawn = draw(lines) if draw else show.curves(begun, "epoch", words)
        job.picture = as_html(drawn)

    def show_fault(error: Exception) -> None:
        line = f"This could not be drawn: {type(error).__name__}: {error}"
        job.picture = f'<p style="color:#c00">{html.escape(line)}</p>'

    def paint_if_possible() -> None:
        try:
            paint()
        except Exception as error:  # a student's own `draw`, which ends no training
            show_fault(error)

    def take(result: Any) -> None:
        series = enumerate(map(float, result.series(what)), 1)
        values = {epoch: value for epoch, value in series if np.isfinite(value)}
        with changing:
            rows[result.spec] |= values

    def work(stop: threading.Event) -> str:
        missing = [run for run in everything if results.find(run, measure) is None]
        clock = Clock(count_epochs(missing), seconds_here(missing, measure))
        figure = Throttle(paint, DRAWN, show_fault)

        words = Throttle(lambda: job.tell(clock.done, clock.epochs, clock.message), TOLD)

        def report(of: Run, row: dict) -> None:
            clock(of, row)
            words()
            value = find_value(row, what)
            if of in rows and value is not None:
                with changing:
                    rows[of][row["epoch"] + 1] = value
                figure()

        try:
            for _, result in results.collect(everything, measure, stop=stop, report=report):
                take(result)
                figure()
        finally:
            words.finish()
            figure.finish()
        return f"trained in {clock.took()}"

    for run in everything:
        if (found := results.find(run, measure)) is not None:
            take(found)
    missing = [run for run in everything if not rows[run]]
    job = Job("Train", work)
    job.message = format_duration(seconds_here(missing, measure)) if missing else ""
    paint_if_possible()
    return job


def find_value(row: Mapping[str, Any], name: str) -> float | None:
    """The value of a quantity in an epoch's row, or in what was measured in it."""
    found = row.get("measured", {}).items()
    measured = [of if isinstance(of, dict) else {n: of} for n, of in found]
    for columns in (row, *measured):
        if name in columns and "epoch" in row:
            return float(np.sum(columns[name]))
    return None
