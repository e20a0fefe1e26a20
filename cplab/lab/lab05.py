"""What one watches of growth and pruning: a search as it goes, architectures by density, kernels as
they are taken out."""

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

import ipywidgets as w
import numpy as np
import pandas as pd
from bokeh import layouts
from bokeh.models import ColumnDataSource, FactorRange, LayoutDOM, Range1d, Whisker
from bokeh.palettes import Blues256
from bokeh.plotting import figure
from bokeh.transform import factor_cmap, linear_cmap
from numpy.typing import ArrayLike

from cplab import pruning, statistics
from cplab.checks import CplabError
from cplab.lab.live import Job
from cplab.lab.surface import Throttle, in_red, redraw, surface
from cplab.lab.widgets import Slide
from cplab.show.results import means
from cplab.show.theme import colour, label, load_bokeh, percent_axis, plain_figure

ARGUED = "grey: what is expected; coloured: what came"
COMPARED = ("biological", "random", "per_pixel")  # what a live search is compared with
PLACES = [(i % 28, 27 - i // 28) for i in range(784)]


# Pixels -------------------------------------------------------------------------------------------


def pixels(counts: ArrayLike, title: str, most: float = 16, **options: Any) -> figure:
    """The 784 pixels, each as dark as it has synapses; its data source is called `pixels`.

    Arguments: counts (28, 28); most, synapses a pixel that are darkest.
    """
    ranges = {"x_range": Range1d(-0.5, 27.5), "y_range": Range1d(-0.5, 27.5)}
    fig = plain_figure(title, "", "", **{"width": 300, "height": 300, **ranges, **options})
    source = ColumnDataSource(pixel_columns(counts), name="pixels")
    hue = linear_cmap("count", Blues256[::-1], low=0, high=most)
    fig.rect("x", "y", 1, 1, source=source, fill_color=hue, line_color=None)
    fig.axis.visible = fig.grid.visible = False
    return fig


def pixel_columns(counts: ArrayLike) -> dict[str, list]:
    """The data of `pixels`."""
    across, up = zip(*PLACES, strict=True)
    return {"x": list(across), "y": list(up), "count": np.asarray(counts, float).ravel().tolist()}


def on_pixels(alive: Sequence[ArrayLike]) -> np.ndarray:
    """How many synapses of an architecture's first layer are on each pixel (28, 28)."""
    return np.asarray(alive[0]).sum(0).reshape(28, 28)


# A search that one watches ------------------------------------------------------------------------


class Growing(w.VBox):
    """Grow and prune a network here and now: density, accuracy and where its synapses are.

    Arguments: dataset; gammas, densities, what the sliders offer; steps, of retraining what is left
        afterwards, beside controls of it; seed.

    `gamma`, `peak` and `final` are the sliders (γ in percent, densities in percent), `job` has the
    buttons `start` and `stop` and says what was found; `sources` hold what is drawn.
    """

    def __init__(
        self,
        dataset: str = "mnist",
        gammas: Sequence[float] = (0.08, 0.16, 0.32, 0.64),
        densities: Sequence[float] = pruning.DENSITIES,
        steps: int = 1000,
        seed: int = 0,
    ) -> None:
        load_bokeh(again=False)
        self._dataset, self._steps, self._seed = dataset, steps, seed
        calm = {"continuous_update": False, "style": {"description_width": "110px"}}
        percents = [(f"{100 * d:g} %", d) for d in densities]
        self.gamma = w.SelectionSlider(
            options=[(f"{g:g} %", g) for g in gammas],
            value=gammas[min(1, len(gammas) - 1)],
            description="γ",
            **calm,
        )
        self.peak = w.IntSlider(90, min=55, max=95, step=5, description="peak density", **calm)
        self.final = w.SelectionSlider(
            options=percents, value=sorted(densities)[-4:][0], description="final density", **calm
        )
        sliders = {"gamma": self.gamma, "peak": self.peak, "final": self.final}
        for css, slider in sliders.items():
            slider.add_class(f"cplab-{css}")
            slider.observe(self._choose, "value")
        stopped = "stopped: nothing is kept of it"
        self.job = Job("Grow and prune", self._work, [*sliders.values()], stopped)
        self._picture: w.Widget | None = None
        layout = self._draw()
        self._choose()
        self._picture = surface(layout)  # shows what it has by now
        redraw(self._picture)
        super().__init__([w.HBox([*sliders.values()]), self.job, self._picture])

    @property
    def spec(self) -> pruning.Search:
        """What the sliders ask for: growth lasts until it has reached the peak."""
        gamma, start = self.gamma.value, 50
        n = round(4 * (self.peak.value - start) / gamma)
        how = {"start": start, "keep": (self.final.value,), "seed": self._seed}
        return pruning.Search(self._dataset, gamma=gamma, n=n, **how)

    def _draw(self) -> LayoutDOM:
        wide = {"width": 450, "height": 200, "y_range": Range1d(0, 100)}
        steps = plain_figure(ARGUED, "", "density, %", **wide)
        learned = plain_figure("", "step", "accuracy, %", x_range=steps.x_range, **wide)
        empty: dict[str, list] = {"step": [], "density": [], "accuracy": []}
        self.sources = {
            "expected": ColumnDataSource({"step": [], "density": []}, name="expected"),
            "live": ColumnDataSource(empty, name="live search"),
        }
        steps.line("step", "density", source=self.sources["expected"], color="#999999", width=3)
        look = {"source": self.sources["live"], "color": colour("biological"), "width": 2}
        steps.line("step", "density", **look)
        learned.line("step", "accuracy", **look)
        chart = pixels(np.zeros((28, 28)), "synapses on each pixel, 0 to 16", width=400, height=400)
        self.sources["pixels"] = chart.select_one({"name": "pixels"})
        return layouts.row(layouts.column(steps, learned), chart)

    def _choose(self, change: Any = None) -> None:
        try:
            spec = self.spec
        except CplabError as error:
            self.job.said.value = in_red(error)
            return
        at = np.linspace(0, spec.steps, 200)
        expected = {"step": at, "density": pruning.expected_density(spec, at)}
        self.sources["expected"].data = expected
        self.job.progress.value = 0
        self.job.said.value = (
            f"n = {spec.n:,} steps until growth has faded out, then down to "
            f"{100 * spec.keep[0]:g} %: {spec.steps:,} steps"
        )
        redraw(self._picture)

    def _work(self, stop: threading.Event) -> str:
        spec, began, moments = self.spec, time.perf_counter(), list[dict]()
        self.job.progress.value, self.job.progress.max = 0, spec.steps
        draw = Throttle(lambda: self._draw_moments(moments))

        def report(now: dict) -> None:
            moments.append(now)
            draw(last=now["step"] == now["steps"])

        found = pruning.grow_and_prune(spec, report=report, stop=stop)
        kept = found["architectures"].get(f"{spec.keep[0]:g}")
        if kept is None:
            return f"this search never fell to {100 * spec.keep[0]:g} %"
        alive = pruning.unpack_architecture(kept["alive"])
        self.sources["pixels"].data = pixel_columns(on_pixels(alive))
        self.job.said.value = "what is left, and two controls, from new weights …"
        ink, random = pruning.inked_pixels(spec.dataset), np.random.default_rng(spec.seed)
        compared = [pruning.make_control(kind, alive, ink, random) for kind in COMPARED]
        how = {"dataset": spec.dataset, "steps": self._steps, "seed": spec.seed}
        _, curve = pruning.train_side_by_side(compared, **how, stop=stop)
        redraw(self._picture)
        told = ", ".join(
            f"{label(kind)} {100 * accuracy[-1]:.1f}"
            for kind, accuracy in zip(COMPARED, curve["accuracy"], strict=True)
        )
        return (
            f"at {100 * spec.keep[0]:g} %: {100 * kept['accuracy']:.1f} % right. From new weights, "
            f"{self._steps:,} steps: {told} % (one seed, {time.perf_counter() - began:.0f} s)"
        )

    def _draw_moments(self, moments: Sequence[dict]) -> None:
        now = moments[-1]
        self.job.progress.value = min(now["step"], self.job.progress.max)
        self.job.said.value = (
            f"step {now['step']:,}: {100 * now['density']:.0f} % alive, "
            f"accuracy {100 * now['accuracy']:.1f} %"
        )
        self.sources["live"].data = {
            "step": [one["step"] for one in moments],
            "density": [100 * one["density"] for one in moments],
            "accuracy": [100 * one["accuracy"] for one in moments],
        }
        self.sources["pixels"].data = pixel_columns(now["pixels"])
        redraw(self._picture)


# Sliders over what is known -----------------------------------------------------------------------


def architectures(
    table: pd.DataFrame, maps: Mapping[float, Sequence], kinds: Sequence[str]
) -> Slide:
    """A slider over densities: accuracy of the kinds of architecture, where the grown and pruned
    ones have their synapses, and how they compare.

    Arguments: table, columns kind, density (fraction), seed and accuracy
        (pruning.retraining_rows); maps, synapses on each pixel (28, 28), one a seed, by density;
        kinds, those that are shown.
    """
    densities = sorted(maps)
    groups = {
        kind: {100 * d: rows.accuracy[rows.density == d].to_list() for d in {*rows.density}}
        for kind in kinds
        for rows in [table[table.kind == kind]]
    }
    words = ("density, %", "accuracy, retrained")
    fig = means(groups, words, log=True, width=540, height=380)
    ring = ColumnDataSource(chosen(groups, densities[0]), name="chosen")
    fig.scatter("x", "mean", source=ring, size=13, fill_color=None, line_color="hue", line_width=2)
    mean = np.mean(maps[densities[0]], axis=0)
    size = {"width": 320, "height": 320}
    chart = pixels(mean, "synapses on each pixel", most=mean.max(), **size)

    def columns(density: float) -> dict:
        counts = np.mean(maps[density], axis=0)
        shown = pixel_columns(counts / max(counts.max(), 1e-9) * mean.max())
        return {"chosen": chosen(groups, density), "pixels": shown}

    def say(density: float) -> str:
        at = {k: groups[k].get(100 * density, ()) for k in kinds}
        told = {
            label(k): statistics.describe_difference(at["biological"], at[k])
            for k in kinds
            if k != "biological"
        }
        others = "; ".join(f"{words} {points}" for words, points in told.items() if points)
        return f"{100 * density:g} %: {label('biological')} against {others or 'nothing yet'}"

    return Slide([fig, chart], densities, columns, say, description="density")


def chosen(groups: Mapping[str, Mapping[float, Any]], density: float) -> dict[str, list]:
    """The points of all kinds at one density."""
    at = 100 * density
    there = {kind: np.mean(of[at]) for kind, of in groups.items() if len(of.get(at, ()))}
    return {
        "x": [at] * len(there),
        "mean": [float(mean) for mean in there.values()],
        "hue": [colour(kind) for kind in there],
    }


def splits(found: Mapping[str, Sequence[Mapping]], large: tuple[int, int]) -> Slide:
    """A slider over pruning: how many kernels each layer still has, and what the network can do.

    Arguments: found, {task: values of pruning.KernelPruning, one a seed}; large, kernels at first.
    """
    tables = {
        task: [pd.DataFrame(values).query("phase == 'pruning'") for values in group]
        for task, group in found.items()
        if group
    }
    left = {t for group in tables.values() for rows in group for t in rows["first"] + rows.second}
    totals = sorted(left, reverse=True)

    def at(task: str, total: int, what: str) -> list[float]:
        rows = [r[r["first"] + r.second == total] for r in tables[task]]
        return [float(r[what].iloc[0]) for r in rows if len(r)]

    size: dict[str, Any] = {"width": 430, "height": 320}
    groups = {task: {t: at(task, t, "train_accuracy") for t in totals} for task in tables}
    curve = means(groups, ("kernels left", "accuracy on its own task"), **size)
    line = ColumnDataSource({"x": totals[:1] * 2, "y": [0, 1]}, name="here")
    curve.line("x", "y", source=line, color="#333333", line_dash="dotted")
    layers = {"first layer": ("first", large[0]), "second layer": ("second", large[1])}
    factors = [(layer, label(task)) for layer in layers for task in tables]
    share = plain_figure(
        f"kernels left, of {large[0]} and of {large[1]}",
        "",
        "share of the layer",
        x_range=FactorRange(*factors),
        y_range=Range1d(0, 1.05),
        **size,
    )

    def columns(total: int) -> dict:
        parts = [
            [n / all_of for n in at(task, total, layer)]
            for layer, all_of in layers.values()
            for task in tables
        ]
        return {
            "factor": factors,
            **statistics.band_columns(*zip(*map(statistics.mean_half, parts), strict=True)),
        }

    source = ColumnDataSource(columns(totals[0]), name="left")
    names = [label(task) for task in tables]
    hues = factor_cmap("factor", [colour(task) for task in tables], names, start=1)
    share.vbar("factor", 0.8, "mean", source=source, color=hues, alpha=0.7)
    share.add_layout(Whisker(base="factor", lower="low", upper="high", source=source))
    share.xaxis.major_label_orientation = 0.9
    percent_axis(share.yaxis)

    def say(total: int) -> str:
        told = []
        for task in tables:
            pair = [np.mean(at(task, total, layer)) for layer, _ in layers.values()]
            told.append(f"{label(task)} {pair[0]:.1f} + {pair[1]:.1f}")
        return f"{total} kernels left: " + "; ".join(told)

    def data(total: int) -> dict:
        return {"left": columns(total), "here": {"x": [total, total], "y": [0, 1]}}

    return Slide([curve, share], totals, data, say, description="pruning")
