"""What lab 09 alone shows: a bench for treatments, weights that grow, a dissociation, the way from
one network to another, and the map of harms."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import ipywidgets as w
import numpy as np
import pandas as pd
from bokeh.models import ColumnDataSource, FactorRange, Range1d
from bokeh.plotting import figure

from cplab import data, models, quantities, results
from cplab.lab.live import Clock, describe_cost
from cplab.lab.surface import buttons
from cplab.lab.widgets import Slide
from cplab.measure import MEASUREMENTS
from cplab.quantities import statistics
from cplab.runs import Run
from cplab.show import theme
from cplab.show.results import by_layer, layer_columns, seeds_line
from cplab.show.theme import label, plain_figure, reference_line, style, styles
from cplab.studies.bench import STYLE, Bench

GAUGES = {
    "norms": "norm of a layer's weights, mean",
    "gradient": "norm of the gradient",
    "loss": "loss on clear training images, nats",
    "dead": "dead units, as a part of all",
    "rank": "effective rank of the last features",
}
ROWS = ("with it", "without it", "newborn with it", "equal training with it")


class TreatmentBench(Bench):
    """Choose a treatment and when; read what it leaves of the harm; train what nobody has trained.

    Arguments: like, a run with a deficit, whose other fields all have; deficits to choose from;
        treatments, {words: how it is written}, with {} for the epoch, or without what follows @.

    >>> bench = TreatmentBench(Run("blur", length=16), ("blur",), {"renorm": "renorm"})
    >>> bench.asked.treatments, bench.controls["moment"].value
    ((('renorm', 1.0, 16, 0),), 16)
    """

    def __init__(self, like: Run, deficits: Sequence[str], treatments: Mapping[str, str]) -> None:
        self._like, last = like, like.epochs - 1
        controls = {
            "deficit": buttons([(label(name), name) for name in deficits]),
            "treatment": w.Dropdown(options=dict(treatments), description="treatment", **STYLE),
            "moment": w.IntSlider(like.end, 0, last, description="before epoch", **STYLE),
        }
        places = product(deficits, treatments.values(), (like.end, 0))
        super().__init__(controls, places, ("moment",))

    def ask(self, deficit: str, treatment: str, moment: int) -> Run:
        written = treatment if "@" in treatment else f"{treatment}@{{}}"
        fields: dict[str, Any] = {"deficit": deficit, "treatments": written.format(moment)}
        return replace(self._like, **fields)

    def draw(self) -> figure:
        runs = {run for place in self.known for run in with_controls(self.ask(*place))}
        each = [100 * result.accuracy for run in runs if (result := results.find(run))]
        ends = Range1d(min(each) - 1, max(each) + 1) if each else Range1d(0, 100)
        size = {"x_range": ends, "y_range": FactorRange(*ROWS[::-1]), "width": 620, "height": 190}
        fig = plain_figure("", "final test accuracy, %", "", **size)
        how = {"source": self.source("accuracy", "row mean low high"), "color": theme.LIVE.colour}
        fig.segment("low", "row", "high", "row", **how)
        fig.scatter("mean", "row", size=10, **how)
        return fig

    def show(self, asked: Run) -> tuple[str, str]:
        accuracies = map(quantities.accuracy, with_controls(asked))
        each = dict(zip(ROWS, map(statistics.estimate, accuracies), strict=True))
        known = {row: estimate for row, estimate in each.items() if estimate.seeds}
        columns = statistics.mean_columns([*known.values()])
        self.sources["accuracy"].data = {"row": [*known], **columns}
        pairs = {"without it": asked.untreated(), "with it": asked}
        harms = [f"{statistics.describe(quantities.harm(r))} {words}" for words, r in pairs.items()]
        todo = missing(asked)
        return f"Harm, in points: {', '.join(harms)}.", describe_cost(todo) if todo else ""

    def work(self, stop: threading.Event) -> str:
        from cplab.engine.tree import plan

        todo = missing(self.asked)
        clock = Clock(self.job, sum(root.epochs for root in plan(todo)))
        dict(results.collect(todo, workers=1, stop=stop, report=clock))
        self.refresh()
        return f"trained: {len(todo)} runs of seed {self._like.seed}, in {clock.seconds:.0f} s"


def with_controls(run: Run) -> list[Run]:
    """A treated run, the same untreated, and its two controls that had the treatment as well."""
    return [run, run.untreated(), run.newborn(), run.equal_training()]


def missing(run: Run) -> list[Run]:
    """Those of a run and its controls that have no result."""
    return [each for each in dict.fromkeys(with_controls(run)) if results.find(each) is None]


def norms_at_birth(run: Run) -> np.ndarray:
    """The norm of each layer's weights in a network that was just born, (layers,).

    >>> norms_at_birth(Run()).round(1).tolist()[:3]
    [2.3, 2.3, 3.3]
    """
    from cplab.runs.tasks import mix_seeds, seeded

    with seeded(mix_seeds(run.seed)):
        net = models.build(run.model, data.channels(run.dataset), run.settings.size)
    return np.array(MEASUREMENTS["weight_norms"].apply(net, None)["norms"])


def growth(groups: Mapping[str, Sequence], epochs: Sequence[int], birth: np.ndarray) -> Slide:
    """A slider over epochs of a deficit: by how much the weights of each layer have grown since
    birth, in several kinds of run: groups, results by their deficit."""
    hues = {look.label: look.colour for look in styles(groups).values()}

    def ratios(epoch: int) -> dict:
        return {label(name): norm_ratios(some, epoch, birth) for name, some in groups.items()}

    def columns(epoch: int) -> dict:
        return {text: layer_columns(text, of) for text, of in ratios(epoch).items()}

    title = "Under noise the weights of the middle layers grow most"
    words = {"title": title, "y_axis_label": "norm now / norm at birth"}
    size = {"width": 760, "height": 330, "y_range": Range1d(0, 3.2)}
    fig = by_layer(len(birth), ratios(epochs[0]), hues, **words, **size)
    reference_line(fig, "width", theme.EQUAL.colour, at=1)
    slide = Slide(fig, epochs, columns, lambda epoch: f"after epoch {epoch + 1} of the deficit")
    slide.index = len(epochs) - 1  # where the title is seen; Play begins again
    return slide


def norm_ratios(group: Sequence, epoch: int, birth: np.ndarray) -> np.ndarray:
    """Norms of some results after an epoch as parts of those at birth, (seeds, layers)."""
    rows = [result.measured["gauges"][epoch]["norms"] for result in group]
    return np.array(rows).reshape(-1, len(birth)) / birth


def gauge_table(groups: Mapping[str, Sequence], epoch: int) -> pd.DataFrame:
    """Every gauge of some results after an epoch, by deficit: the mean over layers, in words."""
    columns = {
        label(name): {
            words: statistics.describe(
                [float(np.mean(result.measured["gauges"][epoch][gauge])) for result in group], 2
            )
            for gauge, words in GAUGES.items()
        }
        for name, group in groups.items()
    }
    return pd.DataFrame(columns)


def what_is_left(before: Any, after: Any) -> str | None:
    """How much of a harm a treatment leaves, in words; None where one of them is not known, or the
    interval of what is left reaches from one word to another.

    >>> what_is_left([4.0, 4.2], [0.1, 0.2])
    'hardly anything'
    """
    harm, left = map(statistics.estimate, (before, after))

    def words(points: float) -> str:
        part = points / harm.mean
        return "hardly anything" if part < 0.25 else "a part of it" if part < 0.75 else "all of it"

    if not harm.seeds or left.seeds < 2:
        return None
    low, high = words(left.mean - left.half), words(left.mean + left.half)
    return low if low == high else None


def harm_figure(
    harms: Mapping[str, Any],
    title: str,
    x: str = "harm, points: below the same run without the deficit",
) -> figure:
    """One row for each run, the most harmed above: mean and 95 % interval of its harm, a dot a
    seed, hollow where it was treated; what is not trained is named below. Its words are a deficit,
    with its treatment after a comma.

    >>> harm_figure({"blur": [2.0, 3.0], "flip": [-6.0, -7.0]}, "harm").y_range.factors
    ['vertical flip', 'blur']
    """
    each = {kind: statistics.estimate(points) for kind, points in harms.items()}
    known = {kind: estimate for kind, estimate in each.items() if estimate.seeds}
    order = sorted(known, key=lambda kind: -known[kind].mean)
    looks = {kind: style(kind.partition(", ")[0]) for kind in order}
    names = [kind if ", " in kind else looks[kind].label for kind in order]
    lacking = [kind for kind in harms if kind not in known]
    below = seeds_line(estimate.seeds for estimate in known.values())
    below += f" · {statistics.MISSING}: {'; '.join(lacking)}" if lacking else ""
    high = 100 + (13 if len(names) > 8 else 22) * len(names)
    size = {"width": 800, "height": high, "y_range": FactorRange(*names[::-1])}
    fig = plain_figure(title, x, "", below, **size)
    columns: dict[str, Any] = statistics.mean_columns([known[kind] for kind in order])
    columns |= {"row": names, "hue": [looks[kind].colour for kind in order]}
    columns["fill"] = [float(", " not in k or looks[k].colour == theme.EQUAL.colour) for k in order]
    source = ColumnDataSource(columns, name="harms")
    fig.segment("low", "row", "high", "row", source=source, color="hue", width=2)
    fig.scatter("mean", "row", source=source, color="hue", fill_alpha="fill", size=9)
    for name, kind in zip(names, order, strict=True):
        values = list(known[kind].values)
        fig.scatter(values, [name] * len(values), size=3, color="#333333", alpha=0.5)
    reference_line(fig, "height", theme.EQUAL.colour)
    return fig
