"""What one watches of growth and pruning: a search as it goes, architectures, kernels that go."""

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
from cplab.lab.surface import Throttle
from cplab.lab.widgets import Slide
from cplab.show.results import means
from cplab.show.theme import colour, figure_row, plain_figure
from cplab.studies import pruning
from cplab.studies.bench import STYLE, Bench

ACROSS, UP = np.tile(np.arange(28), 28), np.repeat(np.arange(27, -1, -1), 28)


def pixels(source: ColumnDataSource, title: str, most: float = 16, size: int = 300) -> figure:
    """The 784 pixels of `pixel_columns`, darkest where `most` synapses are on one."""
    ends = {name: Range1d(-0.5, 27.5) for name in ("x_range", "y_range")}
    shape = {"width": size, "height": size, "frame_align": False}  # a square beside any figure
    fig = plain_figure(title, "", "", **shape, **ends)
    hue = linear_cmap("count", Blues256[::-1], low=0, high=most)
    fig.rect("x", "y", 1, 1, source=source, fill_color=hue, line_color=None)
    fig.axis.visible = fig.grid.visible = False
    return fig


def pixel_columns(counts: ArrayLike) -> dict[str, Any]:
    """The columns of `pixels`, of counts (28, 28)."""
    return {"x": ACROSS, "y": UP, "count": np.asarray(counts, float).ravel().tolist()}


def count_by_pixel(alive: str) -> np.ndarray:
    """How many synapses of a packed architecture's first layer are on each pixel (28, 28)."""
    return pruning.unpack_architecture(alive)[0].sum(0).reshape(28, 28)


def images_at_hand(dataset: str) -> str:
    """A data set if its images are here, else `practice`; which is printed."""
    if dataset == "practice" or data.is_here(dataset):
        return dataset
    print(f"{dataset} is not here: practice images in its place, see `cplab data`.")
    return "practice"


def known_values(searches: Sequence[pruning.Search]) -> list[dict]:
    """The values of those searches that have results."""
    return [result.values for search in searches if (result := results.find(search))]


def synapse_maps(searches: Sequence[pruning.Search], densities: Sequence[float]) -> dict:
    """How many synapses searches kept on each pixel (28, 28), the mean over them, by density."""
    maps: dict[float, list] = {density: [] for density in densities}
    for values in known_values(searches):
        for density, each in maps.items():
            if kept := values["architectures"].get(f"{density:g}"):
                each.append(count_by_pixel(kept["alive"]))
    return {density: np.mean(each, axis=0) for density, each in maps.items() if each}


def map_figures(groups: Mapping[str, Sequence[pruning.Search]], density: float) -> list:
    """Where several kinds of search keep their synapses at a density, means over seeds, side by
    side; what has no results is said."""
    maps = {words: synapse_maps(group, [density]).get(density) for words, group in groups.items()}
    known = {words: counts for words, counts in maps.items() if counts is not None}
    most = max((counts.max() for counts in known.values()), default=16)
    figs = [
        pixels(ColumnDataSource(pixel_columns(counts)), words, most)
        for words, counts in known.items()
    ]
    lacking = [words for words in maps if words not in known]
    return ([figs] if figs else []) + ([f"Not computed yet: {lacking}."] if lacking else [])


class GrowthBench(Bench):
    """Grow and prune a network here and now: density, accuracy and where its synapses are.

    Arguments: gammas, densities, what the sliders offer.
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

    def ask(self, gamma: float, peak: int, final: float) -> pruning.Search:
        n = round(4 * (peak - 50) / gamma)  # growth lasts until it has reached the peak
        return pruning.Search(self._dataset, gamma=gamma, n=n, keep=(final,))

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

    def show(self, asked: pruning.Search) -> tuple[str, str]:
        at = np.linspace(0, asked.steps, 200)
        self.sources["expected"].data = {"step": at, "density": pruning.expected_density(asked, at)}
        then = f"then it falls to {100 * asked.keep[0]:g} %, {asked.steps:,} steps in all."
        words = f"Growth fades out after {asked.n:,} steps; {then}"
        return words, f"about {asked.expected_seconds:.0f} s"

    def work(self, stop: threading.Event) -> str:
        spec, began, moments = self.asked, time.perf_counter(), list[dict]()
        self.job.progress.value, self.job.progress.max = 0, spec.steps
        draw = Throttle(lambda: self._draw_moments(moments))

        def report(now: dict) -> None:
            moments.append(now)
            draw(last=now["step"] == now["steps"])

        values = pruning.grow_and_prune(spec, report=report, stop=stop)
        kept = values["architectures"].get(f"{spec.keep[0]:g}")
        if kept is None:
            return f"this search never fell to {100 * spec.keep[0]:g} %"
        self.sources["pixels"].data = pixel_columns(count_by_pixel(kept["alive"]))
        right, took = 100 * kept["accuracy"], time.perf_counter() - began
        return f"at {100 * spec.keep[0]:g} %: {right:.1f} % right (one seed, {took:.0f} s)"

    def _draw_moments(self, moments: Sequence[dict]) -> None:
        now, columns = moments[-1], {"step": 1, "density": 100, "accuracy": 100}  # in percent
        alive, right = f"{100 * now['density']:.0f} % alive", f"{100 * now['accuracy']:.1f} %"
        self.job.progress.value = min(now["step"], self.job.progress.max)
        self.job.message.value = f"step {now['step']:,}: {alive}, accuracy {right}"
        self.sources["live"].data = {n: [f * m[n] for m in moments] for n, f in columns.items()}
        self.sources["pixels"].data = pixel_columns(now["pixels"])


def architectures(
    kinds: Sequence[str], accuracy: Callable[[str, float], Any], maps: Mapping[float, np.ndarray]
) -> Slide:
    """Accuracy of the kinds of architecture at a density, and a slider over densities: where the
    grown and pruned ones have their synapses, of `synapse_maps`."""
    densities = sorted(maps)
    groups = {kind: {100 * d: accuracy(kind, d) for d in densities} for kind in kinds}
    words, title = ("density, %", "accuracy, retrained"), "The fewer are left, the farther apart"
    fig = means(groups, words, log=True, title=title, width=540, height=380)
    source = ColumnDataSource(pixel_columns(maps[densities[0]]), name="pixels")
    chart = pixels(source, "synapses on each pixel", max(1e-9, maps[densities[0]].max()), size=320)

    def columns(density: float) -> dict:
        scale = maps[densities[0]].max() / max(maps[density].max(), 1e-9)
        return {"pixels": pixel_columns(scale * maps[density])}

    return Slide([fig, chart], densities, columns, lambda d: f"{100 * d:g} %", "density")
