"""Lab 07: networks with two eyes: which eye owns each neuron, what each eye is worth, and a patch.

Quantities take a Run of the model `eyes`, whose deficits name the eye they act on (blank:right),
and which was trained with the measurements of MEASURES.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import to_rgb

from cplab import estimates, show
from cplab.base import palette
from cplab.deficits import VIEWS
from cplab.estimates import Estimate
from cplab.labs import lab07_measurements as lab07_measurements
from cplab.pictures.previews import drawn_pictures, preview
from cplab.quantities import each_seed, measured, quantity, result
from cplab.results.seeds import trained_places
from cplab.runs import Run, Window
from cplab.show import Figure
from cplab.specs.profiles import Profile

if TYPE_CHECKING:
    import pandas as pd

EYES = VIEWS  # ("left", "right")
MEASURES = ("eye_shares", "each_eye")  # measurements that a run has to be trained with
READINGS = ("adapted", "mean_map", "closed")
SEVENTHS = 7  # of ocular dominance, Hubel and Wiesel's: 1 is left alone, 4 both alike
# D. H. Hubel, Eye, Brain, and Vision (1988), chapter 9, in words: of a normal cat's cells about 15
# percent are monocular, about 7 for each eye; of 25 cells after two and a half months none answered
# to the eye that had been closed, and five to neither. Its histograms of seven classes give no
# numbers.
KITTENS = {
    "normal cat": {"left alone": 7, "both": 85, "right alone": 7},
    "kitten, right eye closed": {"left alone": 80, "right alone": 0, "neither": 20},
}
STATES = {
    "blank": "closed",
    "blur": "blurred",
    "fresh_noise": "in noise",
    "strabismus": "squinting",
}


# Quantities ---------------------------------------------------------------------------------------


def neuron_shares(run: Run, epochs: int | None = None) -> np.ndarray:
    """The right eye's share of each neuron of the first layer that has both eyes, (neurons,), 0 to
    1, after so many epochs, by default all.

    Raises:
        Missing.
    """
    shares = result(run, "eye_shares").measured["eye_shares"]  # by epoch, counted from 0
    if epochs is None:
        epochs = run.epochs
    return np.array(shares[epochs - 1])


@quantity
def eye_share(run: Run, epochs: int | None = None) -> float:
    """The right eye's mean share of the neurons after so many epochs, by default all, 0 to 1; 0.5
    if both eyes are equal.

    >>> eye_share(Run(model="eyes"))
    0.5 ± 0.0 (5 seeds)
    """
    return float(neuron_shares(run, epochs).mean())


def share_by_epoch(run: Run) -> dict[int, Estimate]:
    """The right eye's share after each epoch, {epoch: an Estimate}, to be drawn."""
    return {epoch: eye_share(run, epoch) for epoch in range(1, run.epochs + 1)}


def dominance(run: Run, epochs: int | None = None) -> np.ndarray:
    """Percent of the neurons in each class of ocular dominance after so many epochs, by default
    all, (7,).

    Class 1 is driven by the left eye (nearly) alone, 4 by both alike, 7 by the right eye alone.
    Hubel and Wiesel sorted cells by ear; here a class is a seventh of the share.
    """
    sevenths = (SEVENTHS * neuron_shares(run, epochs)).astype(int)
    classes = np.minimum(sevenths, SEVENTHS - 1)  # a share of exactly 1 is in the last class
    return 100 * np.bincount(classes, minlength=SEVENTHS) / len(classes)


def acuity(run: Run, eye: str = "right", reading: str = "adapted") -> Estimate:
    """Test accuracy in percent, in the end, of one eye with the other covered, or of both.

    Arguments:
        eye: left, right or both.
        reading: one of READINGS (see the measurement each_eye).

    >>> run = Run(model="eyes")
    >>> acuity(run, "both").mean > acuity(run, "left", "closed").mean
    True
    """
    if eye == "both":
        return 100 * measured(run, "each_eye", "both")
    return 100 * measured(run, "each_eye", reading, EYES.index(eye))


def acuity_loss(run: Run, eye: str = "right", reading: str = "adapted") -> Estimate:
    """Points of acuity that an eye lost, against its twin, which has no windows.

    >>> acuity_loss(Run("blank:right", length=8, model="eyes"))
    9.5 ± 3.0 (5 seeds)
    """
    return acuity(run.without_window(), eye, reading) - acuity(run, eye, reading)


@quantity
def accuracy_after(run: Run, epochs: int) -> float:
    """Test accuracy in percent with both eyes after so many epochs, and with batch norm as it was
    then."""
    accuracies = result(run, MEASURES).series("test_accuracy")  # after each epoch, (epochs,)
    return 100 * float(accuracies[epochs - 1])


def patch(epochs: int, run: Run, eye: str = "left", onset: int | None = None) -> Run:
    """The same run with an eye covered for some epochs (reverse occlusion), from the epoch `onset`
    on, by default from the end of the deficit.

    >>> patch(4, Run("blank:right", length=8, model="eyes")).windows
    (('blank:left', 8, 4),)
    """
    if not epochs:
        return run
    if onset is None:
        onset = run.end
    cover = Window(f"blank:{eye}", onset, epochs)
    return replace(run, windows=(*run.windows, cover))


# Figures ------------------------------------------------------------------------------------------


def eye_sees(images: np.ndarray, eye: str) -> np.ndarray:
    """The columns of images (N, H, W, C) that an eye has, on white."""
    width = images.shape[2]
    columns = round(5 / 8 * width)  # that an eye has
    seen = np.full_like(images, 255)
    if eye == "left":
        seen[:, :, :columns] = images[:, :, :columns]
    else:
        seen[:, :, -columns:] = images[:, :, -columns:]
    return seen


def views(profile: Profile, deficits: Sequence[str]) -> Figure:
    """Draw some images of a profile, what each eye gets of them, and what an eye with a deficit
    gets, in rows."""
    rows: dict[str, np.ndarray] = {}
    for name in deficits:
        kind, _, deprived = name.partition(":")
        images, _ = preview(profile.dataset, profile.name, kind, 6)
        clear = images["clear"]
        rows["the image"] = clear
        for eye in EYES:
            rows[f"{eye} eye"] = eye_sees(clear, eye)
        deprived_eyes = [deprived] if deprived else EYES
        for eye in deprived_eyes:
            rows[describe(f"{kind}:{eye}")] = eye_sees(images.get("seen", clear), eye)
    return show.strips(rows, largest=80)


def describe(deficit: str) -> str:
    """Say in words what a deficit does to each eye.

    >>> describe("blank:right"), describe("blur")
    ('right eye closed', 'each eye blurred')
    """
    kind, _, eye = deficit.partition(":")
    return f"{eye or 'each'} eye {STATES.get(kind) or show.label(kind)}"


def histogram(runs: Mapping[str, Run], epochs: int | None = None) -> list[Figure]:
    """Draw ocular dominance after so many epochs, by default all: a figure for each run, {words:
    run}."""
    width = min(240, (860 - 12 * len(runs)) // len(runs))
    drawn: list[Figure] = []
    for words, run in runs.items():
        classes = each_seed(dominance, run, epochs=epochs)  # (seeds, SEVENTHS)
        fig = show.by_layer(
            {words: classes},
            words,
            "" if drawn else "% of neurons",
            percent=False,
            width=width,
            height=250,
            y_range=(0, 100),
        )
        mean = f"mean {eye_share(run, epochs):.2f}"
        if width < 180:
            mean = mean.replace(" ±", "\n±")
        fig.ax.set_xlabel(f"left … right\n{mean}")
        left_colour = np.array(to_rgb(palette.BLUE))
        right_colour = np.array(to_rgb(palette.VERMILION))
        for part, bar in zip(np.linspace(0, 1, SEVENTHS), fig.ax.patches, strict=False):
            bar.set_color((1 - part) * left_colour + part * right_colour)
        drawn.append(fig)
    return drawn


def compare_with_kittens(runs: Mapping[str, Run]) -> Figure:
    """Draw the share of cells in cats (as printed), and of neurons in networks in the end, {words:
    run}, that belong to one eye or to both. A neuron belongs to one eye if the other has less than
    a seventh of it."""
    parts: dict[str, dict[str, Any]] = {**KITTENS}
    for words, run in runs.items():
        classes = each_seed(dominance, run).reshape(-1, SEVENTHS)  # percent, (seeds, SEVENTHS)
        parts[words] = {
            "left alone": classes[:, 0],
            "both": classes[:, 1:-1].sum(axis=1),  # all classes between the first and the last
            "right alone": classes[:, -1],
        }
    source = f"cats: Hubel 1988, chapter 9 · networks: {estimates.INTERVAL_NOTE}"
    return show.bars(parts, "% of cells, of neurons", source=source, height=320)


# A clinic -----------------------------------------------------------------------------------------


def trained_cases(case: Run) -> "pd.DataFrame":
    """Make a table of the trained runs that differ from a case in their window alone. It says for
    how many epochs, by deficit and first epoch, with a star if patches of the left eye are trained
    as well.

    >>> trained_cases(Run(model="eyes")).loc["blank:right", "from epoch 0"]
    '4, 8*, 16'
    """
    windows = set()
    for place in trained_places(case):
        if place.length:
            windows.add(Window(place.deficit, place.onset, place.length))
    lengths: dict[str, dict[str, list[str]]] = {}  # in words, by deficit and first epoch
    for deficit, onset, length in sorted(windows):
        run = replace(case, deficit=deficit, onset=onset, length=length)
        patched = any(eye_share(patch(dose, run)).seeds > 0 for dose in (4, 8, 12))
        words = f"{length}*" if patched else str(length)
        row = lengths.setdefault(deficit, {})
        row.setdefault(f"from epoch {onset}", []).append(words)
    rows = {}
    for deficit, row in lengths.items():
        rows[deficit] = {column: ", ".join(words) for column, words in row.items()}
    return show.table(rows).fillna("–")


def history(run: Run) -> str:
    """Say in words what each eye went through, and when.

    >>> history(Run("blank:right", length=8, model="eyes"))
    'right eye closed from epoch 0 to 8'
    """
    windows = list(run.windows)
    if run.length:
        windows.insert(0, Window(run.deficit, run.onset, run.length))
    states = []
    for window in windows:
        end = window.onset + window.length
        states.append(f"{describe(window.deficit)} from epoch {window.onset} to {end}")
    return ", ".join(states) or f"no deficit, {run.epochs} clear epochs"


def clinic(run: Run) -> list[str | list[Figure]]:
    """Describe a run as a clinician would, for `lab.slide`.

    Returns:
        a sentence; and figures of whose the neurons are, of the right eye's share by epoch, and of
        each eye's accuracy, beside its twin's.
    """
    deprived = "left" if run.deficit.endswith(":left") else "right"
    change = estimates.compare(-acuity_loss(run, deprived), "its twin's")
    worth = {}
    for eye in ("both", *EYES):
        worth[eye] = {
            "this network": acuity(run, eye),
            "its twin": acuity(run.without_window(), eye),
        }
    shares = {"right eye": share_by_epoch(run)}
    share = "right eye's share"
    figures = [
        *histogram({"whose neurons": run}),
        show.means(shares, ("epoch", ""), share, y_range=(0, 1), width=300, height=250),
        show.bars(worth, "accuracy, %", "each eye", y_range=(0, 80), width=300, height=250),
    ]
    sentence = f"{history(run).capitalize()}: the {deprived} eye alone is {change}."
    return [f"<p>{sentence}</p>", figures]


# The picture under the title ---------------------------------------------------------------------


def first_picture() -> Figure:
    """Draw what two eyes get when the right one is closed at first."""
    clear = drawn_pictures("none")
    dark = drawn_pictures("blank")
    rows = {
        "the left eye": eye_sees(clear, "left"),
        "the right eye, at first": eye_sees(dark, "right"),
        "the right eye, later": eye_sees(clear, "right"),
    }
    return show.strips(rows)
