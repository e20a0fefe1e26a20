"""Lab 06: the harm of an early blur in other networks, by other rules, on other images."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from bokeh.models import FactorRange
from bokeh.plotting import figure

from cplab import models, quantities, show, statistics
from cplab.lab.widgets import Slide
from cplab.quantities import harm
from cplab.results import at_hand
from cplab.runs import Run
from cplab.show.theme import EQUAL, place_legend, plain_figure, reference_line
from cplab.studies.sentences import rounded, seeds, side, spread

__all__ = ["blurred", "by_age", "clothes", "count_harmed", "depth_slider", "fastest_adam", "forest"]
__all__ += ["forest_table", "harmed", "networks", "newborn_and_harm", "parameters"]
__all__ += ["rules", "settings", "sizes", "train_small"]

# By the side of zero on which an interval lies: the words, the colour, the marker.
SIDES = (
    ("harmed", "#D55E00", "circle"),
    ("not told from nothing", "#777777", "diamond"),
    ("ahead", "#0072B2", "triangle"),
)


def blurred(end: int, profile: str = "course", **fields: Any) -> Run:
    """A run that is blurred from birth until an epoch."""
    return Run("blur", length=end, profile=profile, **fields)


# Settings, by their words ------------------------------------------------------------------------


def rules(end: int, profile: str) -> dict[str, Run]:
    """The same network, learning otherwise."""
    ways: dict[str, dict[str, Any]] = {
        "SGD, rate falls after the deficit": {},
        "SGD, rate never changes": {"schedule": "fixed"},
        "Adam": {"optimizer": "adam"},
        **{f"Adam, {n} times the rate": {"optimizer": "adam", "rate": n} for n in (2, 5, 10)},
    }
    return {words: blurred(end, profile, **fields) for words, fields in ways.items()}


def networks(end: int, profile: str) -> dict[str, Run]:
    """Another network: shortcuts, width, no convolutions."""
    width = Run(profile=profile).width
    found = {
        "All-CNN": blurred(end, profile),
        "ResNet-18": blurred(end, profile, model="resnet18"),
        "half the width": blurred(end, profile, model=f"allcnn-{width // 2}"),
        "twice the width": blurred(end, profile, model=f"allcnn-{2 * width}"),
        "three times the width": blurred(end, profile, model=f"allcnn-{3 * width}"),
    }
    digits = {"model": "fc", "schedule": "fixed"} if profile == "ci" else {}
    digits_profile = "ci" if profile == "ci" else "mnist"
    return found | {"full connections, on digits": blurred(end, digits_profile, **digits)}


def decays(end: int, profile: str) -> dict[str, Run]:
    """The same network with other weight decay."""
    return {
        f"weight decay {d:g}": blurred(end, profile, weight_decay=d) for d in (0, 1e-4, 1e-3, 1e-2)
    }


def sizes(end: int, profile: str, **fields: Any) -> dict[str, Run]:
    """One block, one block that is as large as three, two, and three, at a rate that stays."""
    wide = 17 * Run(profile=profile).width // 4
    named = {
        "1 block": "depth1",
        f"1 block, width {wide}": f"depth1-{wide}",
        "2 blocks": "depth2",
        "3 blocks": "depth3",
    }
    return {
        words: blurred(end, profile, model=model, schedule="fixed", **fields)
        for words, model in named.items()
    }


def settings(end: int, profile: str, longer: int) -> dict[str, Run]:
    """Every setting of the lab, at one length of blur."""
    patient = {
        f"{words}, {longer} epochs of recovery": run
        for words, run in sizes(end, profile, recovery=longer).items()
    }
    every = sizes(end, profile) | patient | networks(end, profile)
    every |= rules(end, profile) | decays(end, profile)
    known: dict[Run, str] = {}
    for words, run in every.items():
        known.setdefault(run, words)
    return {words: run for run, words in known.items()}


def parameters(run: Run) -> int:
    """How many parameters a run's network has; this takes torch."""
    return sum(p.numel() for p in models.build(run.model, 3, run.settings.size).parameters())


# Figures and sentences ---------------------------------------------------------------------------


def forest(runs: Mapping[str, Run], title: str = "") -> figure:
    """Harm with its 95 % interval, a row for each setting, the most harmed on top."""
    points = {words: statistics.estimate(harm(run)) for words, run in runs.items()}
    points = {words: found for words, found in points.items() if found.seeds}
    order = sorted(points, key=lambda words: points[words].mean)
    axes = ("harm of blur from birth, points", "")
    row = 16 if len(order) > 8 else 22  # pixels
    size = {"width": 820, "height": 120 + row * len(order), "y_range": FactorRange(*order)}
    fig = plain_figure(title, *axes, **size)
    for text, hue, marker in SIDES:
        here = [w for w in order if side(points[w], *(one[0] for one in SIDES)) == text]
        columns = statistics.mean_columns([points[words] for words in here])
        how = {"color": hue, "legend_label": text}
        if here:
            fig.segment(columns["low"], here, columns["high"], here, width=2, **how)
            fig.scatter(columns["mean"], here, size=9, marker=marker, **how)
    reference_line(fig, "height", EQUAL.colour)
    return place_legend(fig, "above")


def forest_table(runs: Mapping[str, Run]) -> pd.DataFrame:
    """Harm, lost time and how far a newborn comes, of each setting."""
    rows = {}
    for words, run in runs.items():
        if seeds(points := harm(run)):
            born = quantities.accuracy(run.newborn())
            rows[words] = {
                "harm": spread(points),
                "lost time": spread(quantities.lost_time(run)),
                "newborn, %": spread(born),
                "seeds": seeds(points),
            }
    return pd.DataFrame(rows).T


def harmed(runs: Mapping[str, Run]) -> list[str]:
    """The settings whose interval of harm lies above zero."""
    return [words for words, run in runs.items() if side(harm(run), True, False, False)]


def count_harmed(runs: Mapping[str, Run]) -> str:
    """In how many of the settings blur harms, in one sentence."""
    known = [words for words, run in runs.items() if seeds(harm(run)) > 1]
    return f"An early blur harms in {len(harmed(runs))} of {len(known)} settings."


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


def fastest_adam(end: int, profile: str) -> str:
    """The harm under Adam's largest rate, in one sentence."""
    run = rules(end, profile)["Adam, 10 times the rate"]
    born, usual = (
        rounded(quantities.accuracy(one.newborn())) for one in (run, blurred(end, profile))
    )
    return (
        f"With ten times its rate Adam's newborn reaches {born} % (SGD's: {usual}), and "
        f"blur harms by {spread(harm(run))} points."
    )


def depth_slider(ends: Sequence[int], profile: str) -> Slide:
    """Accuracy after blur and after as many clear epochs, with a slider for the depth."""

    def curves(n: int) -> dict[str, dict[int, Any]]:
        runs = {e: blurred(e, profile, model=f"depth{n}", schedule="fixed") for e in ends}
        clear = {e: run.equal_training() for e, run in runs.items()}
        return {
            kind: {
                e: quantities.each_seed(quantities.accuracy, run) / 100 for e, run in some.items()
            }
            for kind, some in (("blur", runs), ("none", clear))
        }

    known = [v for n in (1, 2, 3) for some in curves(n).values() for g in some.values() for v in g]
    span = (min(known) - 0.02, max(known) + 0.02) if known else (0, 1)
    axes = ("epochs of blur, or of clear images (grey)", "final test accuracy")
    title = "Grey minus blue is what the blur costs"
    drawn = show.means(curves(1), axes, y_range=span, title=title, width=620, height=340)

    def columns(n: int) -> dict[str, Any]:
        return {f"band {kind}": statistics.mean_columns(of) for kind, of in curves(n).items()}

    def words(n: int) -> str:
        run = blurred(ends[-1], profile, model=f"depth{n}", schedule="fixed")
        return f"{n} block{'s' * (n > 1)}: harm {spread(harm(run))} points"

    return Slide(drawn, [1, 2, 3], columns, words, description="blocks")


def clothes(onsets: Sequence[int], length: int, profile: str) -> dict[str, list[Run]]:
    """Windows of blur at each onset, on photographs and on pictures of clothes."""
    elsewhere = {} if profile == "ci" else {"dataset": "fashion_mnist"}
    where: dict[str, dict[str, Any]] = {"photographs": {}, "clothes": elsewhere}
    return {
        words: [Run("blur", onset, length, profile=profile, **fields) for onset in onsets]
        for words, fields in where.items()
    }


def by_age(runs: Mapping[str, Sequence[Run]]) -> figure:
    """Harm by onset, a line for each set of images."""
    groups = {words: {run.onset: harm(run) for run in some} for words, some in runs.items()}
    axes = ("clear epochs before the blur", "harm, points")
    title = "On clothes the harm is small at every age"
    how = {"percent": False, "legend": "right", "width": 700, "height": 320}
    fig = show.means(groups, axes, title=title, **how)
    reference_line(fig, "width", EQUAL.colour)
    return fig


def train_small(runs: Mapping[str, Run]) -> None:
    """Train two seeds of some runs and their controls where the profile is `ci`."""
    small = [run for run in runs.values() if run.profile == "ci"]
    each = [replace(run, seed=seed) for run in small for seed in (0, 1)]
    if each:
        at_hand([one for run in each for one in (run, run.newborn(), run.equal_training())])
