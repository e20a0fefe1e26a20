"""What one watches of growth and pruning: a search as it goes, architectures by density, kernels as
they are taken out."""

import html
import time

import ipywidgets as w
import numpy as np
import pandas as pd
from bokeh.layouts import column, row
from bokeh.models import ColumnDataSource, FactorRange, Range1d, Whisker
from bokeh.palettes import Blues256
from bokeh.transform import factor_cmap, linear_cmap

from cplab import figures, intervals, pruning, synapses, widgets
from cplab.charts import bands, colour, difference, name
from cplab.experiment import CplabError

ARGUED = "grey: what is expected; coloured: what came"
ORDER = ("biological", "random", "per_pixel")  # of what a live search is compared with


# Figures ----------------------------------------------------------------------------------------

PLACES = [(i % 28, 27 - i // 28) for i in range(784)]


def pixels(counts, title: str, most: float = 16, **options):
    """The 784 pixels, each as dark as it has synapses; its data source is called `pixels`.

    Arguments: counts (28, 28); most, synapses a pixel that are darkest.
    """
    fig = figures.plain_figure(title, "", "", **{"width": 300, "height": 300, **options})
    source = ColumnDataSource(pixel_columns(counts), name="pixels")
    hue = linear_cmap("count", Blues256[::-1], low=0, high=most)
    fig.rect("x", "y", 1, 1, source=source, fill_color=hue, line_color=None)
    fig.axis.visible = fig.grid.visible = False
    fig.x_range, fig.y_range = Range1d(-0.5, 27.5), Range1d(-0.5, 27.5)
    return fig


def pixel_columns(counts) -> dict:
    across, up = zip(*PLACES, strict=True)
    return {"x": list(across), "y": list(up), "count": np.asarray(counts, float).ravel().tolist()}


def on_pixels(alive) -> np.ndarray:
    """How many synapses of an architecture's first layer are on each pixel (28, 28)."""
    return np.asarray(alive[0]).sum(0).reshape(28, 28)


# A search that one watches ----------------------------------------------------------------------


class Growing(w.VBox):
    """Grow and prune a network here and now: density, accuracy and where its synapses are.

    Arguments: dataset; gammas, densities, what the sliders offer; steps, of retraining what is left
        afterwards, beside controls of it; seed.

    `gamma`, `peak` and `final` are the sliders (γ in percent, densities in percent), `job` has the
    buttons `start` and `stop` and says what was found.
    """

    def __init__(
        self,
        dataset: str = "mnist",
        gammas=(0.08, 0.16, 0.32, 0.64),
        densities=pruning.DENSITIES,
        steps: int = 1000,
        seed: int = 0,
    ):
        figures.ready(again=False)
        self._dataset, self._steps, self._seed = dataset, steps, seed
        calm = {"continuous_update": False, "style": {"description_width": "110px"}}
        self.gamma = w.SelectionSlider(
            options=[(f"{g:g} %", g) for g in gammas], value=gammas[min(1, len(gammas) - 1)],
            description="γ", **calm,
        )  # fmt: skip
        self.peak = w.IntSlider(90, min=55, max=95, step=5, description="peak density", **calm)
        self.final = w.SelectionSlider(
            options=[(f"{100 * d:g} %", d) for d in densities], value=sorted(densities)[-4:][0],
            description="final density", **calm,
        )  # fmt: skip
        for slider, css in ((self.gamma, "gamma"), (self.peak, "peak"), (self.final, "final")):
            slider.add_class(f"cplab-{css}")
            slider.observe(self._choose, "value")
        self.job = widgets.Job(
            "Grow and prune", self._work, [self.gamma, self.peak, self.final],
            "stopped: nothing is kept of it",
        )  # fmt: skip
        layout = self._draw()
        self._choose()
        self._picture = widgets.surface(layout)  # shows what it has by now
        widgets.redraw(self._picture)
        sliders = w.HBox([self.gamma, self.peak, self.final])
        super().__init__([sliders, self.job, self._picture])

    @property
    def spec(self) -> pruning.Search:
        """What the sliders ask for: growth lasts until it has reached the peak."""
        gamma, start = self.gamma.value, 50
        return pruning.Search(
            self._dataset, gamma=gamma, n=round(4 * (self.peak.value - start) / gamma),
            start=start, keep=(self.final.value,), seed=self._seed,
        )  # fmt: skip

    def _draw(self):
        wide = {"width": 450, "height": 200}
        steps = figures.plain_figure(ARGUED, "", "density, %", **wide)
        steps.y_range = Range1d(0, 100)
        learned = figures.plain_figure("", "step", "accuracy, %", x_range=steps.x_range, **wide)
        learned.y_range = Range1d(0, 100)
        empty = {"step": [], "density": [], "accuracy": []}
        self.sources = {
            "expected": ColumnDataSource({"step": [], "density": []}, name="expected"),
            "live": ColumnDataSource(empty, name="live search"),
        }
        steps.line("step", "density", source=self.sources["expected"], color="#999999", width=3)
        for fig, what in ((steps, "density"), (learned, "accuracy")):
            fig.line("step", what, source=self.sources["live"], color=colour("biological"), width=2)
        chart = pixels(np.zeros((28, 28)), "synapses on each pixel, 0 to 16", width=400, height=400)
        self.sources["pixels"] = chart.select_one({"name": "pixels"})
        return row(column(steps, learned), chart)

    def _choose(self, change=None):
        try:
            spec = self.spec
        except CplabError as error:
            self.job.said.value = f'<span style="color:#c00">{html.escape(str(error))}</span>'
            return
        at = np.linspace(0, spec.steps, 200)
        self.sources["expected"].data = {"step": at, "density": pruning.expected(spec, at)}
        self.job.progress.value = 0
        self.job.said.value = (
            f"n = {spec.n:,} steps until growth has faded out, then down to "
            f"{100 * spec.keep[0]:g} %: {spec.steps:,} steps"
        )
        widgets.redraw(getattr(self, "_picture", None))

    def _work(self, stop) -> str:
        spec, drawn = self.spec, 0.0
        began = time.perf_counter()
        rows = {"step": [], "density": [], "accuracy": []}
        self.job.progress.value, self.job.progress.max = 0, spec.steps

        def report(now: pruning.Moment):
            nonlocal drawn
            for what, value in zip(rows, (now.step, 100 * now.density, 100 * now.accuracy),
                                   strict=True):  # fmt: skip
                rows[what].append(value)
            often = 3 if self.job.synchronous else 0.15
            if now.step < now.steps and time.perf_counter() - drawn < often:
                return
            drawn = time.perf_counter()
            self.job.progress.value = min(now.step, spec.steps)
            self.job.said.value = (
                f"step {now.step:,}: {100 * now.density:.0f} % alive, "
                f"accuracy {100 * now.accuracy:.1f} %"
            )
            self.sources["live"].data = {what: list(values) for what, values in rows.items()}
            self.sources["pixels"].data = pixel_columns(now.pixels)
            widgets.redraw(self._picture)

        found = pruning.synapse_search(spec, report=report, stop=stop)
        kept = found["architectures"].get(f"{spec.keep[0]:g}")
        if kept is None:
            return f"this search never fell to {100 * spec.keep[0]:g} %"
        alive = pruning.unpack(kept["alive"])
        self.sources["pixels"].data = pixel_columns(on_pixels(alive))
        self.job.said.value = "what is left, and two controls, from new weights …"
        ink, random = synapses.inked(spec.dataset), np.random.default_rng(spec.seed)
        compared = [pruning.control(kind, alive, ink, random) for kind in ORDER]
        _, curve = pruning.retrain(
            compared, dataset=spec.dataset, steps=self._steps, seed=spec.seed, stop=stop
        )
        widgets.redraw(self._picture)
        told = ", ".join(
            f"{name(kind)} {100 * accuracy[-1]:.1f}"
            for kind, accuracy in zip(ORDER, curve["accuracy"], strict=True)
        )
        return (
            f"at {100 * spec.keep[0]:g} %: {100 * kept['accuracy']:.1f} % right. From new weights, "
            f"{self._steps:,} steps: {told} % (one seed, {time.perf_counter() - began:.0f} s)"
        )


# Sliders over what is known ---------------------------------------------------------------------


def architectures(table: pd.DataFrame, maps: dict[float, list], kinds: list[str]):
    """A slider over densities: accuracy of the kinds of architecture, where the grown and pruned
    ones have their synapses, and how they compare.

    Arguments: table, columns kind, density (fraction), seed and accuracy (pruning.rows); maps,
        synapses on each pixel (28, 28), one a seed, by density; kinds, those that are shown.
    """
    densities = sorted(maps)
    groups = {
        kind: {100 * d: part.accuracy.to_numpy() for d, part in rows.groupby("density")}
        for kind in kinds
        for rows in [table[table.kind == kind]]
    }
    fig = bands(groups, ("density, %", "accuracy, retrained"), log=True, width=540, height=380)
    at = ColumnDataSource(chosen(groups, densities[0]), name="chosen")
    fig.scatter("x", "mean", source=at, size=13, fill_color=None, line_color="hue", line_width=2)
    mean = np.mean(maps[densities[0]], axis=0)
    chart = pixels(mean, "synapses on each pixel", most=mean.max(), width=320, height=320)
    hue = chart.select_one({"name": "pixels"})

    def data(density):
        counts = np.mean(maps[density], axis=0)
        shown = pixel_columns(counts / max(counts.max(), 1e-9) * mean.max())
        return {"chosen": chosen(groups, density), hue.name: shown}

    def words(density):
        at = {k: groups[k].get(100 * density, ()) for k in kinds}
        told = {name(k): difference(at["biological"], at[k]) for k in kinds if k != "biological"}
        told = "; ".join(f"{words} {points}" for words, points in told.items() if points)
        return f"{100 * density:g} %: {name('biological')} against {told or 'nothing yet'}"

    return widgets.Slide([fig, chart], densities, data, words, description="density")


def chosen(groups: dict, density: float) -> dict:
    """The points of all kinds at one density."""
    there = {
        kind: np.mean(values[100 * density])
        for kind, values in groups.items()
        if len(values.get(100 * density, ()))
    }
    return {"x": [100 * density] * len(there), "mean": [float(m) for m in there.values()],
            "hue": [colour(kind) for kind in there]}  # fmt: skip


def splits(found: dict[str, list[dict]], large: tuple[int, int]):
    """A slider over pruning: how many kernels each layer still has, and what the network can do.

    Arguments: found, {task: values of kernels.Pruning, one a seed}; large, kernels at first.
    """
    found = {
        task: [pd.DataFrame(values).query("phase == 'pruning'") for values in group]
        for task, group in found.items()
        if group
    }
    totals = sorted({t for g in found.values() for rows in g for t in rows["first"] + rows.second},
                    reverse=True)  # fmt: skip

    def at(task, total, what):
        rows = [r[r["first"] + r.second == total] for r in found[task]]
        return [float(r[what].iloc[0]) for r in rows if len(r)]

    size = {"width": 430, "height": 320}
    groups = {task: {t: at(task, t, "train_accuracy") for t in totals} for task in found}
    curve = bands(groups, ("kernels left", "accuracy on its own task"), **size)
    line = ColumnDataSource({"x": totals[:1] * 2, "y": [0, 1]}, name="here")
    curve.line("x", "y", source=line, color="#333333", line_dash="dotted")
    factors = [(layer, name(task)) for layer in ("first layer", "second layer") for task in found]
    share = figures.plain_figure(
        f"kernels left, of {large[0]} and of {large[1]}", "", "share of the layer",
        x_range=FactorRange(*factors), **size,
    )  # fmt: skip

    def columns(total):
        made = {"factor": factors, "mean": [], "low": [], "high": []}
        for layer, all_of in zip(("first", "second"), large, strict=True):
            for task in found:
                mean, half = intervals.mean_half([n / all_of for n in at(task, total, layer)])
                half = 0 if np.isnan(half) else half
                for what, value in (("mean", mean), ("low", mean - half), ("high", mean + half)):
                    made[what].append(value)
        return made

    source = ColumnDataSource(columns(totals[0]), name="left")
    hues = factor_cmap("factor", [colour(t) for t in found], [name(t) for t in found], start=1)
    share.vbar("factor", 0.8, "mean", source=source, color=hues, alpha=0.7)
    share.add_layout(Whisker(base="factor", lower="low", upper="high", source=source))
    share.y_range, share.xaxis.major_label_orientation = Range1d(0, 1.05), 0.9
    figures.in_percent(share.yaxis)

    def words(total):
        told = []
        for task in found:
            pair = [np.mean(at(task, total, layer)) for layer in ("first", "second")]
            told.append(f"{name(task)} {pair[0]:.1f} + {pair[1]:.1f}")
        return f"{total} kernels left: " + "; ".join(told)

    def data(total):
        return {"left": columns(total), "here": {"x": [total, total], "y": [0, 1]}}

    return widgets.Slide([curve, share], totals, data, words, description="pruning")
