"""Lab 03b: digits and fully connected networks, in a short run and one as long as the paper's."""

from collections.abc import Mapping

import numpy as np

from cplab import quantities, show
from cplab.pictures.previews import preview
from cplab.runs import Run
from cplab.show import Figure

STEP = 5  # epochs that are averaged


def to_the_end(runs: Mapping[str, Run]) -> Figure:
    """Draw test accuracy against clear epochs after the deficit: a line for every network, each
    point the mean of five epochs.

    Arguments:
        runs: {label: run}, of one recovery.
    """
    groups: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    lacks = []
    for words, run in runs.items():
        epochs = STEP * (1 + np.arange(run.recovery // STEP))
        groups[words] = []
        for result in quantities.each_result(run):
            accuracy = result.series("test_accuracy")[-run.recovery :]  # (epochs,), fractions
            percent = 100 * accuracy.reshape(-1, STEP).mean(axis=1)
            groups[words].append((epochs, percent))
        if not groups[words]:
            lacks.append(quantities.lack(run))
    axes = ("recovery, epochs", "test accuracy, %")
    title = "Each line is one network, each point the mean of five epochs"
    fig = show.curves(groups, *axes, title, y_range=(97, 98.8))
    fig.lacking = tuple(lacks)
    return fig


def passed(run: Run) -> float:
    """The number of clear epochs after which a run is first passed by the run without the window,
    on average over seeds and five epochs; NaN if it never is.

    >>> 0 < passed(Run("blur", length=16, model="depth3", schedule="fixed", recovery=60)) < 20
    True
    """
    for epoch in range(STEP, run.recovery + 1):
        if quantities.harm(run, epoch).mean > 0:
            return float(epoch)
    return float("nan")


# The picture under the title ---------------------------------------------------------------------


def first_picture() -> Figure:
    """Draw digits as networks see them: clear, blurred and upside down."""
    rows = {}
    for deficit in ("blur", "flip"):
        images, _ = preview("drawn", "tiny", deficit, count=10)
        rows["clear"] = images["clear"]
        rows[show.label(deficit)] = images["seen"]
    return show.strips(rows, largest=60)
