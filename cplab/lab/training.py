"""Training in a lab, at the press of a button, with a figure that grows."""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ipywidgets as w
import numpy as np

from cplab import results, show
from cplab.errors import many, require
from cplab.lab.jobs import Clock, Job, Throttle
from cplab.results.api import format_duration
from cplab.runs import Run
from cplab.show.output import as_html

Lines = dict[str, list[tuple[np.ndarray, np.ndarray]]]  # {label: (epochs, values) of each seed}
DRAWN = 0.5  # seconds between two drawings


class Training(w.VBox):
    """A button that trains runs, and their figure: see `live`. `job` is what the button starts."""

    job: Job


def live(
    runs: Mapping[str, Run | Sequence[Run]],
    what: str = "test_accuracy",
    *,
    draw: Callable[[Lines], Any] | None = None,
    measure: Any = (),
    words: str = "Train",
    device: str = "auto",
) -> Training:
    """Train runs at the press of a button, and draw them as they are trained.

    Arguments: runs, {label: Run, or a list that differs in the seed}; what, the quantity that is
        drawn, as in `Result.series`; draw, from {label: [(epochs, values), one a seed]} to a
        figure, or whatever else an output takes; measure, see `cplab.run`; words, on the button;
        device, see `cplab.run`.
    What has been trained before is drawn at once; a second press trains what is missing.

    >>> box = live({"no deficit": Run(profile="ci")})
    >>> box.job.start.description
    'Train'
    """
    require(runs, "runs {} are not allowed: give one or more by their words")
    groups = {label: many(group) for label, group in runs.items()}
    everything = [run for group in groups.values() for run in group]
    rows: dict[Run, dict[int, float]] = {run: {} for run in everything}
    picture = w.HTML()

    def lines() -> Lines:
        def line(run: Run) -> tuple[np.ndarray, np.ndarray]:
            found = sorted((epoch, y) for epoch, y in rows[run].items() if np.isfinite(y))
            return np.array([x for x, _ in found]), np.array([y for _, y in found])

        return {label: [line(run) for run in group if rows[run]] for label, group in groups.items()}

    def paint() -> None:
        some = {label: group for label, group in lines().items() if group}
        default = draw or (lambda drawn: show.curves(drawn, "epoch", what.replace("_", " ")))
        picture.value = as_html(default(some)) if some else ""

    def take(result: Any) -> None:
        rows[result.spec] |= dict(enumerate(map(float, result.series(what)), 1))

    def work(stop: threading.Event) -> str:
        epochs = sum(run.epochs for run in everything)
        clock, throttle = Clock(epochs, results.estimate(everything)), Throttle(paint, DRAWN)
        box.job.progress.value, box.job.progress.max = 0, epochs

        def report(of: Run, row: dict) -> None:
            clock(of, row)
            box.job.progress.value, box.job.message.value = clock.done, clock.message
            value = find_value(row, what)
            if of in rows and value is not None:
                rows[of][row["epoch"] + 1] = value
            throttle()

        how: dict[str, Any] = {"device": device, "stop": stop, "report": report}
        for _, result in results.collect(everything, measure, **how):
            take(result)
            throttle()
        paint()
        return f"trained in {clock.took()}"

    for run in everything:
        if (found := results.find(run, measure)) is not None:
            take(found)
    missing = [run for run in everything if not rows[run]]
    box = Training()
    box.job = Job(words, work, shown=[picture])
    box.children = [box.job, picture]
    seconds = results.estimate(missing, measure)
    box.job.message.value = "" if seconds is None or not missing else format_duration(seconds)
    paint()
    return box


def find_value(row: Mapping[str, Any], name: str) -> float | None:
    """The value of a quantity in an epoch's row, or in what was measured in it."""
    measured = [
        columns for columns in row.get("measured", {}).values() if isinstance(columns, dict)
    ]
    for columns in (row, *measured):
        if name in columns and "epoch" in row:
            return float(np.sum(columns[name]))
    return None
