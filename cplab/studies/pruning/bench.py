"""Widgets and figures of growth and pruning: a search as it runs, architectures, synapse maps."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ipywidgets as w
import numpy as np
from bokeh import layouts
from bokeh.models import ColumnDataSource, LayoutDOM, Range1d
from bokeh.palettes import Blues256
from bokeh.plotting import figure
from bokeh.transform import linear_cmap
from numpy.typing import ArrayLike

from cplab import data, results
from cplab.lab.jobs import Throttle
from cplab.lab.widgets import Slide
from cplab.show.theme import colour, figure_row, means, plain_figure
from cplab.specs.experiments import Experiment
from cplab.studies import pruning
from cplab.studies.bench import STYLE, Bench

STEP_SECONDS = 0.003  # of a step of a search, about, on one thread
ACROSS, UP = np.tile(np.arange(28), 28), np.repeat(np.arange(27, -1, -1), 28)


def pixels(source: ColumnDataSource, title: str, most: float = 16, size: int = 300) -> figure:
    """A square map of `pixel_columns`, darkest where `most` synapses are; size on the screen."""
    ends = {name: Range1d(-0.5, 27.5) for name in ("x_range", "y_range")}
    shape = {"width": size, "height": size, "frame_align": False}  # a square beside any figure
    fig = plain_figure(title, "", "", **shape, **ends)
    hue = linear_cmap("count", Blues256[::-1], low=0, high=most)
    fig.rect("x", "y", 1, 1, source=source, fill_color=hue, line_color=None)
    fig.axis.visible = fig.grid.visible = False
    return fig


def pixel_columns(counts: ArrayLike) -> dict[str, Any]:
    """The columns that `pixels` draws, from counts (28, 28)."""
    return {"x": ACROSS, "y": UP, "count": np.asarray(counts, float).ravel().tolist()}


def count_by_pixel(alive: str) -> np.ndarray:
    """Count the synapses of a packed architecture's first layer on each pixel (28, 28)."""
    return pruning.unpack_architecture(alive)[0].sum(0).reshape(28, 28)


def images_at_hand(dataset: str) -> str:
    """The data set's name if its images are here; else `practice`, with a line that says so."""
    if dataset == "practice" or data.is_here(dataset):
        return dataset
    print(f"{dataset} is not here: practice images in its place, see `cplab data`.")
    return "practice"


def synapse_maps(searches: Sequence[Experiment], densities: Sequence[float]) -> dict:
    """Synapses that searches kept on each pixel (28, 28), the mean over them, by density; without
    densities that no result has."""
    maps: dict[float, list] = {density: [] for density in densities}
    for result in filter(None, map(results.find, searches)):
        for density, counts in maps.items():
            if kept := result.values["architectures"].get(f"{density:g}"):
                counts.append(count_by_pixel(kept["alive"]))
    return {density: np.mean(counts, axis=0) for density, counts in maps.items() if counts}


def map_figures(groups: Mapping[str, Sequence[Experiment]], density: float) -> list:
    """Maps of the synapses that groups of searches keep at a density, means over seeds, in one row;
    then a line that names the groups without results."""
    means = {title: synapse_maps(group, [density]).get(density) for title, group in groups.items()}
    maps = {title: counts for title, counts in means.items() if counts is not None}
    most = max((counts.max() for counts in maps.values()), default=16)
    figs = [
        pixels(ColumnDataSource(pixel_columns(counts)), title, most)
        for title, counts in maps.items()
    ]
    missing = [title for title in means if title not in maps]
    return ([figs] if figs else []) + ([f"Not computed yet: {missing}."] if missing else [])


class GrowthBench(Bench):
    """Grow and prune a network here and now: density, accuracy and where its synapses are.

    Arguments: dataset; gammas, percent, and densities, fractions, that the sliders offer.
    """

    button, stopped = "Grow and prune", "stopped: nothing is kept of it"

    def __init__(
        self,
        dataset: str = "mnist",
        gammas: Sequence[float] = (0.08, 0.16, 0.32, 0.64),
        densities: Sequence[float] = pruning.DENSITIES,
    ) -> None:
        self._dataset = dataset
        rates = [(f"{gamma:g} %", gamma) for gamma in gammas]
        finals = [(f"{100 * d:g} %", d) for d in densities]
        controls = {
            "gamma": w.SelectionSlider(description="γ", options=rates, **STYLE),
            "peak": w.IntSlider(90, 55, 95, 5, description="peak density, %", **STYLE),
            "final": w.SelectionSlider(description="final density", options=finals, **STYLE),
        }
        controls["gamma"].index = min(1, len(gammas) - 1)
        controls["final"].value = sorted(densities)[-4:][0]
        super().__init__(controls)

    def make_request(self, gamma: float, peak: int, final: float) -> Experiment:
        n = round(4 * (peak - 50) / gamma)  # growth lasts until it has reached the peak
        return pruning.search.spec(self._dataset, gamma=gamma, n=n, keep=(final,))

    def draw(self) -> LayoutDOM:
        wide = {"width": 450, "height": 200, "y_range": Range1d(0, 100)}
        title = "grey: what is expected; coloured: what came"
        steps = plain_figure(title, "", "density, %", **wide)
        learned = plain_figure("", "step", "accuracy, %", x_range=steps.x_range, **wide)
        grey = {"color": "#999999", "width": 3, "line_dash": "dashed"}
        steps.line("step", "density", source=self.source("expected", "step density"), **grey)
        live = self.source("live", "step density accuracy")
        look = {"source": live, "color": colour("biological"), "width": 2}
        steps.line("step", "density", **look)
        learned.line("step", "accuracy", **look)
        counts = self.source("pixels", "x y count")
        counts.data = pixel_columns(np.zeros((28, 28)))
        chart = pixels(counts, "synapses on each pixel, 0 to 16", size=400)
        return figure_row(layouts.column(steps, learned), chart)

    def show(self, search: Experiment) -> tuple[str, str]:
        steps = np.linspace(0, total := pruning.search_steps(search.gamma, search.n), 200)
        density = pruning.expected_density(steps, search.gamma, search.n)
        self.sources["expected"].data = {"step": steps, "density": density}
        then = f"then it falls to {100 * search.keep[0]:g} %, {total:,} steps in all."
        sentence = f"Growth fades out after {search.n:,} steps; {then}"
        return sentence, f"about {STEP_SECONDS * total:.0f} s"

    def work(self, stop: threading.Event) -> str:
        search, start, rows = self.request, time.perf_counter(), list[dict]()
        self.job.progress.value, self.job.progress.max = (
            0,
            pruning.search_steps(search.gamma, search.n),
        )
        draw = Throttle(lambda: self._draw_rows(rows))

        def report(row: dict) -> None:
            rows.append(row)
            draw(last=row["step"] == row["steps"])

        values = pruning.search.compute(**search.arguments, report=report, stop=stop)
        kept = values["architectures"].get(f"{search.keep[0]:g}")
        if kept is None:
            return f"this search never fell to {100 * search.keep[0]:g} %"
        self.sources["pixels"].data = pixel_columns(count_by_pixel(kept["alive"]))
        right, took = 100 * kept["accuracy"], time.perf_counter() - start
        return f"at {100 * search.keep[0]:g} %: {right:.1f} % right (one seed, {took:.0f} s)"

    def _draw_rows(self, rows: Sequence[dict]) -> None:
        last, scales = rows[-1], {"step": 1, "density": 100, "accuracy": 100}  # to percent
        alive, right = f"{100 * last['density']:.0f} % alive", f"{100 * last['accuracy']:.1f} %"
        self.job.progress.value = min(last["step"], self.job.progress.max)
        self.job.message.value = f"step {last['step']:,}: {alive}, accuracy {right}"
        columns = {name: [scale * row[name] for row in rows] for name, scale in scales.items()}
        self.sources["live"].data = columns
        self.sources["pixels"].data = pixel_columns(last["pixels"])


def architectures(
    kinds: Sequence[str], accuracy: Callable[[str, float], Any], maps: Mapping[float, np.ndarray]
) -> Slide:
    """Accuracy (percent, of a kind and a density) of the kinds of architecture, and a slider over
    the densities of `synapse_maps` that shows where grown and pruned ones have their synapses."""
    densities = sorted(maps)
    groups = {kind: {100 * d: accuracy(kind, d) for d in densities} for kind in kinds}
    axes, title = ("density, %", "accuracy, retrained"), "The fewer are left, the farther apart"
    fig = means(groups, axes, log=True, title=title, width=540, height=380)
    source = ColumnDataSource(pixel_columns(maps[densities[0]]), name="pixels")
    chart = pixels(source, "synapses on each pixel", max(1e-9, maps[densities[0]].max()), size=320)

    def columns(density: float) -> dict:
        scale = maps[densities[0]].max() / max(maps[density].max(), 1e-9)
        return {"pixels": pixel_columns(scale * maps[density])}

    return Slide([fig, chart], densities, columns, lambda d: f"{100 * d:g} %", "density")
