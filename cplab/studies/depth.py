"""Lab 06: the harm of an early blur in other networks, by other rules, on other images."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from cplab import quantities, show, statistics
from cplab.lab.widgets import Slide
from cplab.quantities import harm
from cplab.runs import Run
from cplab.show import theme
from cplab.studies.sentences import after, table

__all__ = ["depth_slider", "forest", "forest_table", "harmed", "newborn_and_harm"]


def forest(runs: Mapping[str, Run], title: str = "") -> show.Figure:
    """A figure of harm with its 95 % interval, a row for each setting, the most harmed on top."""
    harms = {words: harm(run) for words, run in runs.items()}
    return show.forest(harms, "harm of blur from birth, points", title)


def forest_table(runs: Mapping[str, Run]) -> pd.DataFrame:
    """Harm, lost time (both in points) and the newborn's accuracy, a row for each setting."""
    rows = {}
    for words, run in runs.items():
        rows[words] = {"harm": harm(run), "lost time": quantities.lost_time(run)}
        rows[words]["newborn, %"] = quantities.accuracy(run.newborn())
    return table(rows)


def harmed(runs: Mapping[str, Run]) -> list[str]:
    """The settings whose 95 % interval of harm lies above zero."""
    return [words for words, run in runs.items() if harm(run).sign == 1]


def newborn_and_harm(runs: Mapping[str, Run]) -> str:
    """The correlation over settings of harm and the newborn's accuracy, in a sentence."""
    pairs = [
        (quantities.accuracy(run.newborn()).mean, points.mean)
        for run in runs.values()
        if (points := harm(run)).seeds and run.profile != "mnist"
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
    """Accuracy after blur of some lengths and after as many clear epochs, by a slider for depth."""

    def curves(n: int) -> dict[str, dict[Any, Any]]:
        fields = {"model": f"depth{n}", "schedule": "fixed"}
        return {
            kind: {e: quantities.accuracy(after(kind, e, profile, **fields)) / 100 for e in ends}
            for kind in ("blur", "none")
        }

    means = [mean for n in (1, 2, 3) for curve in curves(n).values() for mean in curve.values()]
    values = [value for mean in means for value in mean.values]
    span = (min(values) - 0.02, max(values) + 0.02) if values else (0, 1)
    axes = ("epochs of blur, or of clear images (grey)", "final test accuracy")
    title = "Grey minus blue is lost time and harm together"
    fig = theme.means(curves(1), axes, y_range=span, title=title, width=620, height=340)

    def columns(n: int) -> dict[str, Any]:
        return {f"band {k}": statistics.mean_columns(curve) for k, curve in curves(n).items()}

    def caption(n: int) -> str:
        run = after("blur", ends[-1], profile, model=f"depth{n}", schedule="fixed")
        return f"{n} block{'s' * (n > 1)}: harm {harm(run)} points"

    return Slide(fig, [1, 2, 3], columns, caption, description="blocks")
