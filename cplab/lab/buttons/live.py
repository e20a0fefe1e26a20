"""Training in a lab, at the press of a button, with a figure that grows."""

from __future__ import annotations

import html
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from cplab.base import palette
from cplab.base.errors import CplabError, as_list, check_dict, quote
from cplab.lab.buttons.button import Throttle, TrainButton, train_requests
from cplab.measure import MEASUREMENTS, Measure, Measurement, Measures, parse_measures
from cplab.output.markup import as_html
from cplab.results import Request, Result
from cplab.results.duration import usual_time
from cplab.results.requests import News
from cplab.runs import Run
from cplab.specs import Spec
from cplab.specs.own import full_name

Lines = dict[str, list[np.ndarray]]  # {label: epochs and values, (2, epochs), of each seed}
Draw = Callable[[Lines], object]  # from lines to a figure, or whatever else an output takes
DRAW_PAUSE = 0.5  # seconds between two drawings


def live(
    runs: Mapping[str, Run | Sequence[Run]],
    quantity: str = "test_accuracy",
    *,
    draw: Draw | None = None,
    measure: Measure = (),
) -> TrainButton:
    """Train runs at the press of a button, and draw them as they are trained.

    What has been trained before is drawn at once; a second press trains what is missing.

    Arguments:
        runs: {label: Run, or a list that differs in the seed}.
        quantity: what is drawn, as in `Result.series`.
        draw: from {label: [(epochs, values), one a seed]} to a figure, or whatever else an output
            takes; by default a line for each seed.
        measure: what else is measured, see `cplab.run`.

    Returns:
        the button with its figure; `press` and `wait` do what a student does.

    >>> button = live({"no deficit": Run(profile="ci")})
    >>> button.words
    'Train'
    """
    if not check_dict("runs", runs):
        raise CplabError(
            f"runs {quote(runs)} are not allowed: give one or more, each with its words"
        )
    groups = {label: as_list(group) for label, group in runs.items()}
    quantity = full_name(Measurement, quantity)
    measures = parse_measures(measure)
    if quantity in MEASUREMENTS:
        measures = parse_measures(quantity) | measures
    return LiveTraining(groups, quantity, draw, measures).button


class LiveTraining:
    """Trains runs when its `button` is pressed, and draws a quantity of them meanwhile.

    Arguments:
        groups: {label: runs}.
        quantity, draw: as in `live`.
        measures: what is measured.
    """

    def __init__(
        self,
        groups: Mapping[str, Sequence[Run]],
        quantity: str,
        draw: Draw | None,
        measures: Measures,
    ) -> None:
        self.groups = groups
        self.quantity = quantity
        self.draw = draw
        self.measures = measures
        self.runs: list[Run] = []
        for group in groups.values():
            self.runs += group
        self.values = Values(self.runs, quantity)
        self.button = TrainButton("Train", self.train)
        request = Request(self.runs, measures)
        for result in request.results.values():
            self.values.add_result(result)
        if request.missing:
            self.button.message = usual_time(request.missing)
        self.paint()

    def paint(self) -> None:
        """Draw what is trained so far; nothing before the first epoch."""
        from cplab import show  # with matplotlib, which the explorer does without

        lines: Lines = {}
        begun: Lines = {}  # the lines that have points
        for label, group in self.groups.items():
            lines[label] = [self.values.line(run) for run in group]
            begun[label] = [line for line in lines[label] if line.size]
        if not any(begun.values()):
            return
        if self.draw:
            self.button.picture = as_html(self.draw(lines))
        else:
            words = self.quantity.partition("@")[0].replace("_", " ")
            self.button.picture = as_html(show.curves(begun, "epoch", words))

    def paint_or_say(self) -> None:
        """Draw it again; if a student's own `draw` fails, which ends no training, say so in place
        of the figure."""
        try:
            self.paint()
        except Exception as error:
            line = f"This could not be drawn: {type(error).__name__}: {error}"
            self.button.picture = f'<p style="color:{palette.WRONG}">{html.escape(line)}</p>'

    def train(self, stop: threading.Event) -> str:
        """Train what has no result, and say how long it took."""
        request = Request(self.runs, self.measures, stop=stop)
        draw_soon = Throttle(self.paint_or_say, DRAW_PAUSE)

        def hear(request: Request, news: News) -> None:
            for run, new in news:
                if isinstance(new, Result):
                    self.values.add_result(new)
                else:
                    self.values.add_row(run, new)
            if news:
                draw_soon()

        hear(request, [*request.results.items()])
        try:
            return f"trained in {train_requests([request], self.button.tell, hear)}"
        finally:
            draw_soon.finish()


class Values:
    """A quantity of runs after each epoch, as far as they are trained; threads may add to it."""

    def __init__(self, runs: Sequence[Run], name: str) -> None:
        self.name = name
        self._values: dict[Run, dict[int, float]] = {run: {} for run in runs}  # by epoch, from 1
        self._lock = threading.Lock()

    def add_row(self, run: Spec, row: Mapping[str, Any]) -> None:
        """Add an epoch of a run, if it has a value."""
        value = find_value(row, self.name)
        if isinstance(run, Run) and run in self._values and value is not None:
            with self._lock:
                self._values[run][row["epoch"] + 1] = value

    def add_result(self, result: Result) -> None:
        """Add all epochs of a result, if it is one of the runs'."""
        if result.spec not in self._values:
            return
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
