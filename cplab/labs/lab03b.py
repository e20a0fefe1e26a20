"""Lab 03b: digits and full connections, in a short life and in one as long as the paper's."""

from collections.abc import Mapping
from itertools import chain

import numpy as np

from cplab import quantities, show
from cplab.runs import Run
from cplab.show import Figure
from cplab.show.base import name_lines
from cplab.show.styles import source_line, style

__all__ = ["lives", "passed"]

STEP = 5  # epochs that are averaged


def lives(runs: Mapping[str, Run], low: float = 97.0, high: float = 98.8) -> Figure:
    """Draw test accuracy against clear epochs after the deficit, a line for every network, each
    point the mean of five epochs.

    Arguments: runs, {label: run}, of one recovery; low and high, ends of the axis in percent.
    """
    found = {words: quantities.each_result(run) for words, run in runs.items()}
    note = source_line([*chain(*found.values())])
    axes = ("clear epochs after the deficit", "test accuracy, %")
    fig = show.figure(
        "Each line is one network, each point the mean of five epochs",
        *axes,
        source=note,
        y_range=(low, high),
    )
    for words, results in found.items():
        look = style(runs[words].deficit if runs[words].length else "newborn")
        count = f"{words}: {len(results)} network{'s' * (len(results) != 1)}"
        for i, result in enumerate(results):
            ends = result.percents[-result.spec.recovery :].reshape(-1, STEP).mean(1)
            at = STEP * (1 + np.arange(len(ends)))
            fig.ax.plot(at, ends, color=look.colour, label="" if i else count)
    return name_lines(fig)


def passed(run: Run) -> float:
    """The first clear epoch after which a run stands below the one without its window, in the mean
    over seeds and five epochs; NaN if it never does.

    >>> 0 < passed(Run("blur", length=16, model="depth3", schedule="fixed", recovery=60)) < 20
    True
    """
    ends = range(STEP, run.recovery + 1)
    return next((float(n) for n in ends if quantities.harm(run, n).mean > 0), float("nan"))
