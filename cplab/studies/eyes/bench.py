"""Widgets and figures of two eyes: ocular dominance, the acuity of each eye, and a clinic."""

import html
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import cycle, product
from typing import Any

import ipywidgets as w
import numpy as np
from bokeh.models import ColumnDataSource, FactorRange, Range1d
from bokeh.palettes import interp_palette
from bokeh.plotting import figure

from cplab import results, statistics
from cplab.deficits import apply_deficit
from cplab.errors import CplabError
from cplab.lab.jobs import Clock, Throttle, buttons, deficit_windows, describe_cost
from cplab.lab.widgets import Slide
from cplab.quantities import each_seed
from cplab.runs import Run
from cplab.show.pictures import strips, to_pixels
from cplab.show.previews import pictures
from cplab.show.surface import Html
from cplab.show.theme import CUES, EQUAL, LIVE, label, place_legend, plain_figure, seeds_line
from cplab.specs.profiles import Profile
from cplab.studies.bench import STYLE, Bench
from cplab.studies.eyes import quantities

LEFT, RIGHT = "#0072B2", "#D55E00"
CLASSES = [*"1234567"]
WORTH = {"both eyes": "both", "left eye": "left", "right eye": "right"}
OWNERS = {
    "left eye alone": LEFT,
    "both": EQUAL.colour,
    "right eye alone": RIGHT,
    "neither": "#DDDDDD",
}
# D. H. Hubel, Eye, Brain, and Vision (1988), chapter 9, in words: of a normal cat's cells about 15
# percent are monocular, about 7 for each eye; of 25 cells after two and a half months none answered
# to the eye that had been closed, and five to neither. Its histograms of seven classes give no
# numbers.
KITTENS = {"normal cat": (7, 85, 7, 0), "kitten, right eye closed": (80, 0, 0, 20)}
MISSED = {"closed": "blank", "blurred": "blur", "noise": "fresh_noise", "squint": "strabismus"}
STATES = {name: words for words, name in MISSED.items()} | {"strabismus": "squinting"}


def views(here: Profile, deficits: Sequence[str]) -> Any:
    """The views of each eye on some images of a profile under each deficit, in rows."""
    try:
        images = pictures(here.dataset, here.name)
    except (CplabError, ModuleNotFoundError) as error:
        return Html(f"<i>{html.escape(str(error))}</i>")
    x, labels = images.train_x[:8], images.train_y[:8]
    both = images.normal(x).unsqueeze(1).expand(-1, 2, -1, -1, -1)
    width = round(5 / 8 * x.shape[2])
    rows = {"the image": x}
    for name in deficits:
        seen, _ = apply_deficit(both, labels, name)
        state = "both open" if name == "none" else describe_deficit(name)
        for eye, columns in enumerate((slice(0, width), slice(x.shape[2] - width, None))):
            view = 0 * seen[:, eye]
            view[..., columns] = seen[:, eye, :, :, columns]
            rows[f"{state}: {quantities.EYES[eye]} eye"] = to_pixels(view, images)
    return strips(rows)


def describe_deficit(name: str) -> str:
    """A deficit in words, as HTML: `right eye closed` for blank:right."""
    kind, _, eye = name.partition(":")
    return f"{eye or 'each'} eye {STATES.get(kind) or html.escape(label(kind))}"


def histogram(runs: Mapping[str, Run]) -> list[figure]:
    """Ocular dominance after runs, a figure each in one row, by title; means over seeds, whose
    number stands below the first."""
    figs: list[figure] = []
    for words, run in runs.items():
        percents = each_seed(quantities.dominance, run)
        columns = ColumnDataSource(class_columns(percents), name="classes")
        source = "" if figs else seeds_line([len(percents)])
        figs.append(seven_classes(words, columns, source, min(230, 900 // len(runs))))
    for fig in figs[1:]:
        fig.yaxis.axis_label = ""
    return figs


def seven_classes(title: str, columns: ColumnDataSource, source: str, width: int) -> figure:
    """A figure of the seven classes of ocular dominance, from a source of `class_columns`."""
    span = {"x_range": FactorRange(*CLASSES), "y_range": Range1d(0, 100), "width": width}
    fig = plain_figure(title, "1: left … 7: right", "% of neurons", source, **span)
    fig.vbar("x", 0.8, "mean", source=columns, color="hue", alpha=0.75)
    fig.segment("x", "low", "x", "high", color="#333333", source=columns)
    return fig


def class_columns(percents: Any) -> dict[str, Any]:
    """The columns of seven classes, from percent by seed and class (seeds, 7); 0 without seeds."""
    table = np.asarray(percents, dtype=float).reshape(-1, quantities.SEVENTHS)
    means = statistics.mean_columns([*table.T])
    columns = {"x": CLASSES, "hue": interp_palette((LEFT, RIGHT), quantities.SEVENTHS)}
    return columns | {name: np.nan_to_num(values) for name, values in means.items()}


def compare_with_kittens(runs: Mapping[str, Run]) -> figure:
    """Neurons of one eye alone and of both, of cats (as printed) and of networks at the end; a
    neuron belongs to one eye where the other has less than a seventh of it."""
    percents = {words: each_seed(quantities.dominance, run) for words, run in runs.items()}
    means = {words: seeds.mean(0) for words, seeds in percents.items() if len(seeds)}
    rows = KITTENS | {words: (m[0], m[1:-1].sum(), m[-1], 0) for words, m in means.items()}
    source = f"cats: Hubel 1988, chapter 9 · networks: {seeds_line(map(len, percents.values()))}"
    span: dict[str, Any] = {"y_range": FactorRange(*reversed(rows)), "x_range": Range1d(0, 100)}
    words = ("The eye that stays open takes the other's", "% of cells, of neurons", "")
    fig = plain_figure(*words, source, **span, width=820, height=295)
    parts = np.array([*rows.values()], dtype=float).T
    for (kind, hue), part, end in zip(OWNERS.items(), parts, parts.cumsum(0), strict=True):
        how = {"color": hue, "alpha": 0.8, "legend_label": kind}
        fig.hbar([*rows], height=0.7, left=end - part, right=end, **how)
    return place_legend(fig)


def film(runs: Mapping[str, Run]) -> Slide:
    """A slider over epochs: the right eye's share of each neuron, sorted by the share at the end, a
    seed for each run; a run that has ended keeps its last shares."""
    order = {text: np.argsort(quantities.neuron_shares(run)) for text, run in runs.items()}
    words = ("An eye loses its neurons while it is closed", "neurons, by their share in the end")
    fig = plain_figure(*words, "the right eye's share", y_range=Range1d(0, 1), width=620)
    for text, hue in zip(runs, cycle(CUES), strict=False):
        source = ColumnDataSource({"x": [], "y": []}, name=f"neurons {text}")
        look = {"color": hue, "marker": CUES[hue][1], "legend_label": text}
        fig.scatter("x", "y", source=source, size=7, **look)

    def shares(epoch: int) -> dict[str, np.ndarray]:
        last = {text: min(epoch, run.epochs - 1) for text, run in runs.items()}
        return {text: quantities.neuron_shares(run, last[text]) for text, run in runs.items()}

    def data(epoch: int) -> dict:
        columns = {f"neurons {text}": y[order[text]] for text, y in shares(epoch).items()}
        return {name: {"x": np.arange(1, len(y) + 1), "y": y} for name, y in columns.items()}

    def caption(epoch: int) -> str:
        means = ", ".join(f"{text} {y.mean():.2f}" for text, y in shares(epoch).items())
        return f"after epoch {epoch + 1}, share of the right eye: {means}"

    epochs = range(max(run.epochs for run in runs.values()))
    slide = Slide(place_legend(fig), epochs, data, caption)
    slide.index = max(0, *(run.length - 1 for run in runs.values()))  # as the eye opens
    return slide


class Clinic(Bench):
    """A bench for two eyes: choose the deficit of one, when and for how long, and a patch of the
    other; read ocular dominance and the acuity of each eye.

    Arguments: fields of all runs, such as the profile. `wait` is the epochs from opening to patch.
    """

    def __init__(self, **fields: Any) -> None:
        self._like = Run(model="eyes", **fields)
        usual = self._like.recovery
        controls = {
            "kind": buttons(MISSED),
            "eye": buttons(["right", "left", "both"]),
            "onset": w.IntSlider(0, 0, 24, description="from epoch", **STYLE),
            "length": w.IntSlider(0, 0, 24, description="for epochs", **STYLE),
            "wait": w.IntSlider(0, 0, usual, description="wait before the patch", **STYLE),
            "patch": w.IntSlider(0, 0, usual, description="patch of the other eye", **STYLE),
            "recovery": w.IntSlider(usual, 0, 4 * usual, description="recovery", **STYLE),
        }
        eyes, patches, onsets = controls["eye"].options, (0, 4, 8, 12), (0, 4, 8, 16)
        every = product(MISSED.values(), eyes, onsets, onsets[1:], (0,), patches, (usual,))
        positions = (position for position in every if position[1] != "both" or not position[5])
        super().__init__(controls, positions, ("wait", "recovery"))

    def make_request(
        self, kind: str, eye: str, onset: int, length: int, wait: int, patch: int, recovery: int
    ) -> Run:
        deficit = kind + ("" if eye == "both" else f":{eye}") if length else "none"
        fields: dict[str, Any] = {"onset": onset, "length": length, "recovery": recovery}
        run = replace(self._like, deficit=deficit, **fields)
        if eye == "both":
            return run
        other = "left" if eye == "right" else "right"
        return quantities.patch(patch, run, other, run.end + wait)

    def draw(self) -> list[figure]:
        columns = "x mean low high"
        small: dict[str, Any] = {"width": 290, "height": 300}
        classes = self.source("classes", f"{columns} hue")
        chart = seven_classes("whose neurons, in the end", classes, "", width=260)
        self._span = Range1d(0, 40)
        spans: dict[str, Any] = {"x_range": self._span, "y_range": Range1d(0, 1)}
        curve = plain_figure("share of the right eye", "epoch", "share", **small, **spans)
        share = self.source("share", columns)
        curve.varea("x", "low", "high", source=share, color=RIGHT, alpha=0.18)
        curve.line("x", "mean", source=share, color=RIGHT, width=2)
        how = {"color": LIVE.colour, "line_dash": "dashed", "width": 2}
        curve.line("x", "mean", source=self.source("live", "x mean"), **how)
        spans = {"x_range": FactorRange(*WORTH), "y_range": Range1d(0, 80)}
        worth = plain_figure("grey: without the deficit", "", "accuracy, %", **small, **spans)
        for name, hue, width in (("without", EQUAL.colour, 0.85), ("worth", RIGHT, 0.5)):
            source, how = self.source(name, columns), {"color": hue, "alpha": 0.45}
            worth.vbar("x", width, "mean", source=source, **how)
            worth.segment("x", "low", "x", "high", color="#333333", source=source)
        return [chart, curve, worth]

    def show(self, run: Run) -> tuple[str, str]:
        self._draw_live([])
        self._again = results.find(run, quantities.MEASURES) is not None
        shares = each_seed(quantities.share_curve, run)
        self.sources["classes"].data = class_columns(each_seed(quantities.dominance, run))
        self.sources["share"].data = statistics.mean_columns(dict(enumerate(shares.T, 1)))
        self._span.end = max(40, run.epochs)
        for name, shown in (("worth", run), ("without", run.without_window())):
            acuities = [quantities.acuity(shown, eye) for eye in WORTH.values()]
            acuities = acuities if acuities[0].seeds else []
            columns = statistics.mean_columns(acuities)
            self.sources[name].data = {"x": [*WORTH][: len(acuities)], **columns}
        return self._describe(run, shares), f"live: {describe_cost([run], quantities.MEASURES)}"

    def _describe(self, run: Run, shares: np.ndarray) -> str:
        if not len(shares):
            return f"Nobody has trained this yet: {describe_run(run)}. <b>Train it</b> below."
        words = f"{describe_run(run)}: the right eye has {shares[:, -1].mean():.2f} of the neurons"
        deprived = "left" if self.controls["eye"].value == "left" else "right"
        lost = quantities.acuity_loss(run, deprived)
        if not lost.seeds:
            return f"{words}; each eye alone was not measured: <b>train it</b> below"
        if not (run.length or run.windows):
            return f"{words}."
        more = statistics.compare(-lost, "without the deficit")
        return f"{words}; the {deprived} eye alone is {more}."

    def _draw_live(self, shares: list[float]) -> None:
        self.sources["live"].data = {"x": np.arange(1, len(shares) + 1), "mean": shares}

    def work(self, stop: threading.Event) -> str:
        run, live = self.request, list[float]()
        clock, draw = Clock(self.job, run.epochs), Throttle(lambda: self._draw_live([*live]))

        def report(run: Run, row: dict) -> None:
            if "epoch" in row:
                live.append(float(np.mean(row["measured"]["eye_shares"])))
            clock(run, row)
            draw()

        # a run that was untrained when it was chosen may have been trained elsewhere by now
        how: dict[str, Any] = {"fresh": self._again, "stop": stop, "report": report}
        result = results.run(run, measure=quantities.MEASURES, **how)
        live[:] = quantities.share_curve(run)
        self.refresh()
        draw(last=True)
        both = statistics.percent(result.accuracy)
        return f"live, seed {run.seed}: share {live[-1]:.2f}, both eyes {both} %"


def describe_run(run: Run) -> str:
    """A run in words, as HTML: `right eye closed from epoch 0 to 8, left eye closed from …`."""
    parts = [f"{describe_deficit(n)} from epoch {a} to {b}" for n, a, b in deficit_windows(run)]
    return ", ".join(parts) or f"no deficit, {run.epochs} clear epochs"
