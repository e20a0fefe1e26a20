"""Lab 07: networks with two eyes: whose each neuron is, what each eye is worth, and a patch.

Quantities take a Run of the model `eyes`, whose deficits name the eye they act on (blank:right),
and which was trained with the measurements of MEASURES.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from html import escape
from itertools import cycle
from typing import Any

import numpy as np
from matplotlib.colors import to_rgb

from cplab import lab, show, statistics
from cplab.deficits import VIEWS
from cplab.errors import one_of
from cplab.lab.questions import Shown
from cplab.quantities import each_result, each_seed, quantity, result
from cplab.runs import Run, Window
from cplab.show import Figure
from cplab.show.base import GREY, MARKERS, band, legend_above, styled
from cplab.show.figures import seeds_line, whiskers
from cplab.show.output import as_html
from cplab.show.previews import drawn_pictures, preview
from cplab.show.styles import CUES, EQUAL, Style
from cplab.specs.profiles import Profile
from cplab.statistics import Estimate, estimate

__all__ = ["EYES", "MEASURES", "READINGS", "accuracy_after", "acuity", "acuity_loss", "clinic"]
__all__ += ["compare_with_kittens", "describe", "dominance", "eye_share", "film", "histogram"]
__all__ += ["neuron_shares", "patch", "share_by_epoch", "share_curve", "views"]

EYES = VIEWS
MEASURES = ("eye_shares", "each_eye")  # measurements that a run has to be trained with
READINGS = ("adapted", "mean_map", "closed")
SEVENTHS = 7  # of ocular dominance, Hubel and Wiesel's: 1 is left alone, 4 both alike
LEFT, RIGHT = "#0072B2", "#D55E00"
OWNERS = {
    "left alone": LEFT,
    "both": EQUAL.colour,
    "right alone": RIGHT,
    "neither": "#BBBBBB",
}
# D. H. Hubel, Eye, Brain, and Vision (1988), chapter 9, in words: of a normal cat's cells about 15
# percent are monocular, about 7 for each eye; of 25 cells after two and a half months none answered
# to the eye that had been closed, and five to neither. Its histograms of seven classes give no
# numbers.
KITTENS = {"normal cat": (7, 85, 7, 0), "kitten, right eye closed": (80, 0, 0, 20)}
STATES = {"blank": "closed", "blur": "blurred", "fresh_noise": "in noise"}
STATES |= {"strabismus": "squinting"}


# Quantities ---------------------------------------------------------------------------------------


def neuron_shares(run: Run, after: int | None = None) -> np.ndarray:
    """The right eye's share of each neuron of the first layer that has both eyes, (neurons,), 0 to
    1, after so many epochs, all of them if not given. Raises: Missing."""
    shares = result(run, "eye_shares").measured["eye_shares"]
    return np.array(shares[(run.epochs if after is None else after) - 1])


@quantity
def eye_share(run: Run, after: int | None = None) -> float:
    """The right eye's mean share of the neurons after so many epochs, all of them if not given, 0
    to 1; 0.5 if both eyes are equal.

    >>> eye_share(Run(model="eyes"))
    0.5 ± 0.0 (5 seeds)
    """
    return float(neuron_shares(run, after).mean())


def share_curve(run: Run) -> np.ndarray:
    """The right eye's share after each epoch, (epochs,); NaN where it was not measured."""
    shares = result(run, "eye_shares").measured["eye_shares"]
    return np.array([np.mean(shares.get(epoch, np.nan)) for epoch in range(run.epochs)])


def share_by_epoch(run: Run) -> dict[int, np.ndarray]:
    """The right eye's share after each epoch, {epoch: one number a seed}, to be drawn."""
    return dict(enumerate(each_seed(share_curve, run).T, 1))


def dominance(run: Run) -> np.ndarray:
    """Percent of the neurons in each class of ocular dominance in the end, (7,): 1 is driven by the
    left eye (nearly) alone, 4 by both alike, 7 by the right eye alone. Hubel and Wiesel sorted
    cells by ear; here a class is a seventh of the share."""
    classes = np.minimum((SEVENTHS * neuron_shares(run)).astype(int), SEVENTHS - 1)
    return 100 * np.bincount(classes, minlength=SEVENTHS) / len(classes)


@quantity
def acuity(run: Run, eye: str = "right", reading: str = "adapted") -> float:
    """Test accuracy in percent of the left or the right eye in the end, with the other one covered,
    or of both; reading, one of READINGS (see the measurement each_eye).

    >>> run = Run(model="eyes")
    >>> acuity(run, "both").mean > acuity(run, "left", "closed").mean
    True
    """
    accuracies = result(run, "each_eye").final("each_eye")
    if one_of("eye", eye, (*EYES, "both")) == "both":
        return 100 * accuracies["both"]
    return 100 * accuracies[one_of("reading", reading, READINGS)][EYES.index(eye)]


def acuity_loss(run: Run, eye: str = "right", reading: str = "adapted") -> Estimate:
    """Points of acuity that an eye lost against the same run without its deficits.

    >>> acuity_loss(Run("blank:right", length=8, model="eyes"))
    9.5 ± 3.0 (5 seeds)
    """
    return acuity(run.without_window(), eye, reading) - acuity(run, eye, reading)


@quantity
def accuracy_after(run: Run, epochs: int) -> float:
    """Test accuracy with both eyes after so many epochs, in percent, as batch norm is then."""
    return 100 * float(result(run, MEASURES).series("test_accuracy")[epochs - 1])


def patch(epochs: int, run: Run, eye: str = "left", onset: int | None = None) -> Run:
    """The same run with an eye covered for some epochs (reverse occlusion), from the epoch `onset`,
    the end of the deficit if not given.

    >>> patch(4, Run("blank:right", length=8, model="eyes")).windows
    (('blank:left', 8, 4),)
    """
    if not epochs:
        return run
    cover = Window(f"blank:{one_of('eye', eye, EYES)}", run.end if onset is None else onset, epochs)
    return replace(run, windows=(*run.windows, cover))


# Figures ------------------------------------------------------------------------------------------


def eye_sees(images: np.ndarray, eye: str) -> np.ndarray:
    """The columns of images (N, H, W, C) that an eye has, on white."""
    seen, wide = np.full_like(images, 255), round(5 / 8 * images.shape[2])
    own = slice(0, wide) if eye == "left" else slice(images.shape[2] - wide, None)
    seen[:, :, own] = images[:, :, own]
    return seen


def views(here: Profile, deficits: Sequence[str]) -> Figure:
    """Draw what each eye gets of some images of a profile under each deficit, in rows."""
    rows: dict[str, Any] = {}
    for name in deficits:
        kind, _, hit = name.partition(":")
        images, _ = preview(here.dataset, here.name, kind, 6)
        rows["the image"] = images["clear"]
        for eye in EYES:
            seen = images.get("seen", images["clear"]) if hit in (eye, "") else images["clear"]
            state = "both open" if name == "none" else describe(name)
            rows[f"{state}: the {eye} one"] = eye_sees(seen, eye)
    return show.strips(rows, largest=64)


def describe(deficit: str) -> str:
    """Say in words what a deficit does to the eyes.

    >>> describe("blank:right"), describe("blur")
    ('right eye closed', 'each eye blurred')
    """
    kind, _, eye = deficit.partition(":")
    return f"{eye or 'each'} eye {STATES.get(kind) or show.label(kind)}"


def histogram(runs: Mapping[str, Run]) -> list[Figure]:
    """Draw ocular dominance after runs, {words: run}, a figure each, in one row of a page."""
    width = min(232, (740 - 12 * len(runs)) // len(runs))
    figures = [seven_classes(words, run, width) for words, run in runs.items()]
    for fig in figures[1:]:
        fig.ax.set_ylabel("")
    return figures


@styled
def seven_classes(title: str, run: Run, width: int) -> Figure:
    """Draw the seven classes of ocular dominance after a run, with their intervals."""
    columns = each_seed(dominance, run).reshape(-1, SEVENTHS).T
    axes, each = ("left … right", "% of neurons"), [estimate(column) for column in columns]
    note = statistics.count_seeds(each[0].seeds) if each[0].seeds else statistics.MISSING
    fig = show.figure(title, *axes, width=width, height=250, y_range=(0, 100), source=note)
    mix = np.linspace(0, 1, SEVENTHS)[:, None]
    hues = (1 - mix) * to_rgb(LEFT) + mix * to_rgb(RIGHT)
    for place, one in enumerate(each, 1):
        fig.ax.bar(place, np.nan_to_num(one.mean), 0.8, color=hues[place - 1], alpha=0.75)
        whiskers(fig.ax, place, one, dots=False)
    fig.ax.set_xticks([1, 4, 7])
    return fig


@styled
def compare_with_kittens(runs: Mapping[str, Run]) -> Figure:
    """Draw cells of cats (as printed) and neurons of networks in the end, {words: run}, that belong
    to one eye or to both; a neuron belongs to one where the other has less than a seventh of it."""
    percents = {words: each_seed(dominance, run) for words, run in runs.items()}
    means = {words: seeds.mean(0) for words, seeds in percents.items() if len(seeds)}
    rows = KITTENS | {words: (m[0], m[1:-1].sum(), m[-1], 0) for words, m in means.items()}
    note = seeds_line(estimate(seeds[:, 0]) for seeds in percents.values() if len(seeds))
    source = f"cats: Hubel 1988, chapter 9 · networks: {note}"
    fig = show.figure("", "% of cells, of neurons", "", height=250, source=source)
    parts = np.array([*rows.values()], dtype=float).T
    bars = [
        fig.ax.barh(range(len(rows)), part, 0.7, end - part, color=hue, alpha=0.8)
        for hue, part, end in zip(OWNERS.values(), parts, parts.cumsum(0), strict=True)
    ]
    fig.ax.set_yticks(range(len(rows)), [*rows])
    fig.ax.invert_yaxis()
    fig.ax.grid(False, axis="y")
    return legend_above(fig, bars, [*OWNERS])


def film(runs: Mapping[str, Run]) -> Any:
    """Show the right eye's share of each neuron, sorted by the share in the end, under a slider
    over epochs; a seed for each run. A run that has ended keeps its last shares."""
    runs = {text: run for text, run in runs.items() if each_result(run, "eye_shares")}
    if not runs:
        return show.figure(statistics.MISSING, height=80)
    frames, words = {}, []
    for epoch in range(1, max(run.epochs for run in runs.values()) + 1):
        shares = {text: neuron_shares(r, min(epoch, r.epochs)) for text, r in runs.items()}
        order = {text: np.argsort(neuron_shares(run)) for text, run in runs.items()}
        frames[epoch] = dots({text: shares[text][order[text]] for text in runs})
        means = ", ".join(f"{text} {y.mean():.2f}" for text, y in shares.items())
        words.append(f"Share of the right eye: {means}")
    opens = max(run.length for run in runs.values())
    return lab.slide(frames, words, start=max(0, opens - 1))


@styled
def dots(shares: Mapping[str, np.ndarray]) -> Figure:
    """Draw a dot for each neuron, (neurons,), at the right eye's share, by run."""
    axes = ("neurons, by their share in the end", "the right eye's share")
    fig = show.figure("", *axes, width=620, height=310, y_range=(-0.03, 1.03))
    for (text, y), hue in zip(shares.items(), cycle(CUES), strict=False):
        fig.ax.plot(np.arange(1, len(y) + 1), y, MARKERS[CUES[hue][1]], color=hue, label=text)
    return legend_above(fig, *fig.ax.get_legend_handles_labels())


# A clinic -----------------------------------------------------------------------------------------


def clinic(run: Run) -> Shown:
    """Show a run as a clinician would: a sentence, whose the neurons are, the right eye's share by
    epoch, and what each eye is worth, with a grey line where it is without the deficits."""
    windows = [(w.deficit, w.onset, w.onset + w.length) for w in run.windows]
    windows[:0] = [(run.deficit, run.onset, run.end)] if run.length else []
    states = [f"{describe(name)} from epoch {a} to {b}" for name, a, b in windows]
    words = ", ".join(states) or f"no deficit, {run.epochs} clear epochs"
    hit = "left" if run.deficit.endswith(":left") else "right"
    change = statistics.compare(-acuity_loss(run, hit), "that of one without deficits")
    sentence = f"{words}: the right eye's share is {eye_share(run):.2f}; the {hit} eye alone is "
    figures = [seven_classes("whose neurons", run, 240), share_figure(run), acuity_figure(run)]
    sentence = f"{sentence[:1].upper()}{sentence[1:]}{change}."
    return Shown(sentence, [figures], as_html([f"<p>{escape(sentence)}</p>", figures]))


@styled
def share_figure(run: Run) -> Figure:
    """Draw the right eye's share by epoch, with its interval."""
    mean, half = statistics.mean_of_curves(each_seed(share_curve, run))
    ends: dict[str, Any] = {"x_range": (0, run.epochs), "y_range": (0, 1)}
    fig = show.figure("right eye's share", "epoch", "", width=240, height=250, **ends)
    band(fig.ax, np.arange(1, len(mean) + 1), mean, half, Style("right eye", RIGHT))
    return fig


@styled
def acuity_figure(run: Run) -> Figure:
    """Draw what both eyes and each alone are worth, beside the same without the deficits."""
    worth = {"both": "both", "left": "left", "right": "right"}
    values = {words: acuity(run, eye) for words, eye in worth.items()}
    fig = show.bars(values, "accuracy, %", "each eye", width=240, height=250, y_range=(0, 80))
    for place, eye in enumerate(worth.values()):
        fig.ax.hlines(
            acuity(run.without_window(), eye).mean, place - 0.45, place + 0.45, color=GREY
        )
    return fig


def first_picture() -> Figure:
    """Draw what two eyes get of which the right one is closed at first."""
    clear, dark = drawn_pictures("none"), drawn_pictures("blank")
    rows = {"the left eye": (clear, "left"), "the right eye, at first": (dark, "right")}
    rows |= {"the right eye, later": (clear, "right")}
    return show.strips({words: eye_sees(*of) for words, of in rows.items()})
