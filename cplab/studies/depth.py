"""Lab 06: the harm of an early blur in other networks, by other rules, on other images."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from bokeh.plotting import figure

from cplab import quantities, show
from cplab.lab.widgets import Slide
from cplab.quantities import harm, statistics
from cplab.runs import Run
from cplab.studies.reopening.bench import harm_figure
from cplab.studies.sentences import after, seeds, side, spread, table

__all__ = ["depth_slider", "forest", "forest_table", "harmed", "newborn_and_harm"]


def forest(runs: Mapping[str, Run], title: str = "") -> figure:
    """Harm with its 95 % interval, a row for each setting, the most harmed on top."""
    points = {words: each for words, run in runs.items() if seeds(each := harm(run))}
    return harm_figure(points, title, "harm of blur from birth, points")


def forest_table(runs: Mapping[str, Run]) -> pd.DataFrame:
    """Harm, lost time and how far a newborn comes, of each setting."""
    rows = {}
    for words, run in runs.items():
        rows[words] = {"harm": harm(run), "lost time": quantities.lost_time(run)}
        rows[words]["newborn, %"] = quantities.accuracy(run.newborn())
    return table(rows)


def harmed(runs: Mapping[str, Run]) -> list[str]:
    """The settings whose interval of harm lies above zero."""
    return [words for words, run in runs.items() if side(harm(run), True, False, False)]


def newborn_and_harm(runs: Mapping[str, Run]) -> str:
    """The correlation over settings of harm and of how far a newborn comes, in words."""
    pairs = [
        (statistics.estimate(quantities.accuracy(run.newborn())).mean, points.mean)
        for run in runs.values()
        if (points := statistics.estimate(harm(run))).seeds and run.profile != "mnist"
    ]
    if len(pairs) < 4:
        return "Too few settings have been trained for a correlation."
    r, low, high = statistics.correlation(*np.transpose(pairs))
    return (
        f"Over the settings with these images harm goes with how far the newborn comes: "
        f"r = {r:.2f} (95 %: {low:.2f} to {high:.2f}, as if settings were independent). Part of "
        "that is arithmetic, since harm is the newborn's accuracy minus the blurred network's."
    )


def depth_slider(ends: Sequence[int], profile: str) -> Slide:
    """Accuracy after blur and after as many clear epochs, with a slider for the depth."""

    def curves(n: int) -> dict[str, dict[int, Any]]:
        fields = {"model": f"depth{n}", "schedule": "fixed"}
        return {
            kind: {e: quantities.accuracy(after(kind, e, profile, **fields)) / 100 for e in ends}
            for kind in ("blur", "none")
        }

    shown = [points for n in (1, 2, 3) for some in curves(n).values() for points in some.values()]
    known = [value for points in shown for value in statistics.estimate(points).values]
    span = (min(known) - 0.02, max(known) + 0.02) if known else (0, 1)
    axes = ("epochs of blur, or of clear images (grey)", "final test accuracy")
    title = "Grey minus blue is lost time and harm together"
    drawn = show.means(curves(1), axes, y_range=span, title=title, width=620, height=340)

    def columns(n: int) -> dict[str, Any]:
        return {f"band {kind}": statistics.mean_columns(of) for kind, of in curves(n).items()}

    def words(n: int) -> str:
        run = after("blur", ends[-1], profile, model=f"depth{n}", schedule="fixed")
        return f"{n} block{'s' * (n > 1)}: harm {spread(harm(run))} points"

    return Slide(drawn, [1, 2, 3], columns, words, description="blocks")
