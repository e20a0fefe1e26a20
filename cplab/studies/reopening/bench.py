"""Widgets and figures of lab 09: a bench for treatments, growth of weights, gauges, harms."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import ipywidgets as w
import numpy as np
import pandas as pd
from bokeh.models import FactorRange, Range1d
from bokeh.plotting import figure

from cplab import data, models, quantities, results, show, statistics
from cplab.lab.jobs import Clock, buttons, describe_cost
from cplab.lab.widgets import Slide
from cplab.measure import MEASUREMENTS
from cplab.runs import Run
from cplab.show import theme
from cplab.show.theme import by_layer, label, layer_columns, plain_figure, reference_line, styles
from cplab.studies.bench import STYLE, Bench

GAUGES = {
    "norms": "norm of a layer's weights, mean",
    "gradient": "norm of the gradient",
    "loss": "loss on clear training images, nats",
    "dead": "dead units, as a part of all",
    "rank": "effective rank of the last features",
}
ROWS = ("with it", "without it", "newborn with it", "equal training with it")  # of with_controls


class TreatmentBench(Bench):
    """A bench for treatments: choose one and its epoch, read the harm that it leaves, train it.

    Arguments: like, a run with a deficit, whose other fields all runs have; deficits to choose
        from; treatments, {words: as written}, with {} for the epoch, or without the @ and the rest.

    >>> bench = TreatmentBench(Run("blur", length=16), ("blur",), {"renorm": "renorm"})
    >>> bench.request.treatments, bench.controls["moment"].value
    ((('renorm', 1.0, 16, 0),), 16)
    """

    def __init__(self, like: Run, deficits: Sequence[str], treatments: Mapping[str, str]) -> None:
        self._like, last = like, like.epochs - 1
        controls = {
            "deficit": buttons([(label(name), name) for name in deficits]),
            "treatment": w.Dropdown(options=dict(treatments), description="treatment", **STYLE),
            "moment": w.IntSlider(like.end, 0, last, description="before epoch", **STYLE),
        }
        positions = product(deficits, treatments.values(), (like.end, 0))
        super().__init__(controls, positions, ("moment",))

    def make_request(self, deficit: str, treatment: str, moment: int) -> Run:
        written = treatment if "@" in treatment else f"{treatment}@{{}}"
        fields: dict[str, Any] = {"deficit": deficit, "treatments": written.format(moment)}
        return replace(self._like, **fields)

    def draw(self) -> figure:
        runs = {run for p in self.trained for run in with_controls(self.make_request(*p))}
        percents = [100 * result.accuracy for run in runs if (result := results.find(run))]
        ends = Range1d(min(percents) - 1, max(percents) + 1) if percents else Range1d(0, 100)
        size = {"x_range": ends, "y_range": FactorRange(*ROWS[::-1]), "width": 620, "height": 190}
        fig = plain_figure("", "final test accuracy, %", "", **size)
        how = {"source": self.source("accuracy", "row mean low high"), "color": theme.LIVE.colour}
        fig.segment("low", "row", "high", "row", **how)
        fig.scatter("mean", "row", size=10, **how)
        return fig

    def show(self, run: Run) -> tuple[str, str]:
        accuracies = map(quantities.accuracy, with_controls(run))
        rows = {row: each for row, each in zip(ROWS, accuracies, strict=True) if each.seeds}
        columns = statistics.mean_columns([*rows.values()])
        self.sources["accuracy"].data = {"row": [*rows], **columns}
        pairs = {"without it": run.untreated(), "with it": run}
        harms = [f"{quantities.harm(r)!r} {words}" for words, r in pairs.items()]
        runs = missing(run)
        return f"Harm, in points: {', '.join(harms)}.", describe_cost(runs) if runs else ""

    def work(self, stop: threading.Event) -> str:
        from cplab.engine.tree import plan

        runs = missing(self.request)
        clock = Clock(self.job, sum(root.epochs for root in plan(runs)))
        dict(results.collect(runs, workers=1, stop=stop, report=clock))
        self.refresh()
        return f"trained: {len(runs)} runs of seed {self._like.seed}, in {clock.seconds:.0f} s"


def with_controls(run: Run) -> list[Run]:
    """A treated run, the same run untreated, and its two controls with the same treatment."""
    return [run, run.untreated(), run.newborn(), run.equal_training()]


def missing(run: Run) -> list[Run]:
    """The runs without a result, of a run and its controls."""
    return [r for r in dict.fromkeys(with_controls(run)) if results.find(r) is None]


def norms_at_birth(run: Run) -> np.ndarray:
    """The norm of each layer's weights in an untrained network, (layers,).

    >>> norms_at_birth(Run()).round(1).tolist()[:3]
    [2.3, 2.3, 3.3]
    """
    from cplab.runs.tasks import mix_seeds, seeded

    with seeded(mix_seeds(run.seed)):
        net = models.build(run.model, data.channels(run.dataset), run.settings.size)
    return np.array(MEASUREMENTS["weight_norms"].apply(net, None)["norms"])


def growth(groups: Mapping[str, Sequence], epochs: Sequence[int], birth: np.ndarray) -> Slide:
    """A slider over epochs of a deficit: the growth of each layer's weights; groups, results by
    deficit; birth, the norms at birth, (layers,)."""
    hues = {look.label: look.colour for look in styles(groups).values()}

    def ratios(epoch: int) -> dict:
        return {label(name): norm_ratios(group, epoch, birth) for name, group in groups.items()}

    def columns(epoch: int) -> dict:
        return {text: layer_columns(text, layers) for text, layers in ratios(epoch).items()}

    title = "Under noise the weights of the middle layers grow most"
    words = {"title": title, "y_axis_label": "norm now / norm at birth"}
    size = {"width": 760, "height": 330, "y_range": Range1d(0, 3.2)}
    fig = by_layer(len(birth), ratios(epochs[0]), hues, **words, **size)
    reference_line(fig, "width", theme.EQUAL.colour, at=1)
    slide = Slide(fig, epochs, columns, lambda epoch: f"after epoch {epoch + 1} of the deficit")
    slide.index = len(epochs) - 1  # where the title is seen; Play begins again
    return slide


def norm_ratios(group: Sequence, epoch: int, birth: np.ndarray) -> np.ndarray:
    """Norms of results after an epoch, divided by the norms at birth, (seeds, layers)."""
    rows = [result.measured["gauges"][epoch]["norms"] for result in group]
    return np.array(rows).reshape(-1, len(birth)) / birth


def gauge_table(groups: Mapping[str, Sequence], epoch: int) -> pd.DataFrame:
    """The gauges of results after an epoch, means over layers with their intervals, by deficit."""
    columns = {
        label(name): {
            words: format(
                statistics.estimate(
                    [np.mean(result.measured["gauges"][epoch][gauge]) for result in group]
                ),
                ".2f",
            )
            for gauge, words in GAUGES.items()
        }
        for name, group in groups.items()
    }
    return pd.DataFrame(columns)


def what_is_left(before: Any, after: Any) -> str | None:
    """How much of a harm (before) a treatment leaves (after), in words; None where one of them has
    too few seeds, or the interval of what is left spans two answers.

    >>> what_is_left([4.0, 4.2], [0.1, 0.2])
    'hardly anything'
    """
    harm, left = map(statistics.estimate, (before, after))

    def answer(points: float) -> str:
        part = points / harm.mean
        return "hardly anything" if part < 0.25 else "a part of it" if part < 0.75 else "all of it"

    if not harm.seeds or left.seeds < 2:
        return None
    low, high = answer(left.mean - left.half), answer(left.mean + left.half)
    return low if low == high else None


def harm_figure(
    harms: Mapping[str, Any],
    title: str,
    x: str = "harm, points: below the same run without the deficit",
) -> show.Figure:
    """Harm by run (see `show.forest`). Keys of harms: a deficit, or a deficit, a comma and a
    treatment."""
    return show.forest(harms, x, title)
