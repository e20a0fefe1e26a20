"""Lab 06: the harm of an early blur in other networks, by other rules, on other images."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from bokeh.plotting import figure

from cplab import models, quantities, show, statistics
from cplab.lab.widgets import Slide
from cplab.quantities import harm
from cplab.runs import Run
from cplab.studies.reopening.bench import harm_figure
from cplab.studies.sentences import after, seeds, side, spread, table

__all__ = ["depth_slider", "forest", "forest_table", "harmed", "networks", "newborn_and_harm"]
__all__ += ["parameters", "rules", "settings", "sizes"]


def blurred(end: int, profile: str, fields: Mapping[str, dict[str, Any]]) -> dict[str, Run]:
    """Blur from birth in each of some settings."""
    return {words: after("blur", end, profile, **more) for words, more in fields.items()}


def rules(end: int, profile: str) -> dict[str, Run]:
    """The same network, learning otherwise."""
    ways: dict[str, dict[str, Any]] = {
        "SGD, rate falls after the deficit": {},
        "SGD, rate never changes": {"schedule": "fixed"},
        "Adam": {"optimizer": "adam"},
        **{f"Adam, {n} times the rate": {"optimizer": "adam", "rate": n} for n in (2, 5, 10)},
    }
    return blurred(end, profile, ways)


def networks(end: int, profile: str) -> dict[str, Run]:
    """Another network: shortcuts, width, no convolutions."""
    width = Run(profile=profile).width
    named = {
        "All-CNN": f"allcnn-{width}",
        "ResNet-18": "resnet18",
        "half the width": f"allcnn-{width // 2}",
        "twice the width": f"allcnn-{2 * width}",
        "three times the width": f"allcnn-{3 * width}",
    }
    digits = {"model": "fc", "schedule": "fixed"} if profile == "ci" else {}
    small = after("blur", end, "ci" if profile == "ci" else "mnist", **digits)
    every = blurred(end, profile, {words: {"model": model} for words, model in named.items()})
    return every | {"full connections, on digits": small}


def sizes(end: int, profile: str, **fields: Any) -> dict[str, Run]:
    """One block, one block that is as large as three, two, and three, at a rate that stays."""
    wide = 17 * Run(profile=profile).width // 4
    named = {"1 block": "depth1", f"1 block, width {wide}": f"depth1-{wide}"}
    named |= {"2 blocks": "depth2", "3 blocks": "depth3"}
    fields["schedule"] = "fixed"
    return blurred(end, profile, {words: {"model": m, **fields} for words, m in named.items()})


def settings(end: int, profile: str, longer: int) -> dict[str, Run]:
    """Every setting of the lab, at one length of blur, each once."""
    patient = sizes(end, profile, recovery=longer)
    every = sizes(end, profile)
    every |= {f"{words}, {longer} epochs of recovery": run for words, run in patient.items()}
    every |= networks(end, profile) | rules(end, profile)
    decays = {f"weight decay {d:g}": {"weight_decay": d} for d in (0, 1e-4, 1e-3, 1e-2)}
    every |= blurred(end, profile, decays)
    first = {run: words for words, run in reversed(every.items())}
    return {words: run for words, run in every.items() if first[run] == words}


def parameters(run: Run) -> int:
    """How many parameters a run's network has; this takes torch."""
    return sum(p.numel() for p in models.build(run.model, 3, run.settings.size).parameters())


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
