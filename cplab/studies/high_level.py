"""Lab 03: what each kind of deficit leaves, and what it does to the images; darkness; digits."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from bokeh.models import FactorRange, Range1d
from bokeh.plotting import figure
from numpy.typing import ArrayLike

from cplab import quantities, results
from cplab.deficits import apply_deficit
from cplab.quantities import contrast
from cplab.runs import Run
from cplab.show import theme
from cplab.statistics import Contrast
from cplab.studies import sentences
from cplab.studies.sentences import after

__all__ = ["DARK", "FOUR", "digits", "fits_worse", "marks", "named_rightly", "probe"]
__all__ += ["spectra", "train_small", "unlearned"]

FOUR = ("flip", "permute", "blur", "noise")
DARK = ("noise", "fresh_noise", "blank")


def spectra(powers: Mapping[str, ArrayLike]) -> figure:
    """Radially averaged power spectra, by deficit, against cycles an image; the mean brightness is
    left out, and so is a spectrum of zeros."""
    words = ("Blur takes the fine structure, a flip takes none", "cycles per image", "mean power")
    both = {"x_axis_type": "log", "y_axis_type": "log"}
    fig = theme.plain_figure(*words, **both, width=620, height=380)
    # What lies on another line is dashed, what lies under it is broad.
    looks = {"none": ("solid", 7, 0.35), "flip": ("dashed", 2.5, 1), "permute": ("dotted", 3.5, 1)}
    for deficit, values in powers.items():
        look = theme.style(deficit)
        dash, width, alpha = looks.get(deficit, (look.dash, 2, 1))
        power = np.asarray(values, dtype=float)[1:]
        if (power > 0).any():
            how = {"line_dash": dash, "line_width": width, "alpha": alpha}
            at = np.arange(1, len(power) + 1)
            fig.line(at, power, color=look.colour, legend_label=look.label, **how)
    fig.xaxis.ticker = [1, 2, 4, 8, 16]
    return theme.place_legend(fig)


def marks(rows: Mapping[str, Mapping[str, float]], title: str, chance: float = 0.1) -> figure:
    """What a classifier gets right, as `probe` found it, by words: a mark for each of up to three
    sets of images in each row, and a dotted line for one who guesses."""
    sets = [*next(iter(rows.values()))]
    size = {"width": 760, "height": 330, "y_range": FactorRange(*[*rows][::-1])}
    fig = theme.plain_figure(title, "images named correctly", "", **size)
    looks = (("circle", "#0072B2"), ("square", theme.LIVE.colour), ("triangle", "#009E73"))
    for text, (marker, hue) in zip(sets, looks, strict=False):
        how = {"color": hue, "fill_alpha": 0.5, "marker": marker, "legend_label": text}
        fig.scatter([row[text] for row in rows.values()], [*rows], size=13, **how)
    theme.reference_line(fig, "height", theme.EQUAL.colour, chance)
    highest = max(value for row in rows.values() for value in row.values())
    fig.x_range = Range1d(0, 1.05 * max(chance, highest))
    theme.percent_axis(fig.xaxis)
    return theme.place_legend(fig)


def probe(x: Any, y: Any, deficit: str, learn: Callable, right: Callable) -> dict[str, float]:
    """What a classifier gets right that learned under a deficit, as three fractions.

    Arguments: x, y, of which one half is learned; learn, from images and labels to what was
        learned; right, from that, images and labels to a fraction.
    """
    half = len(x) // 2
    seen, names = apply_deficit(x, y, deficit)
    later, _ = apply_deficit(x, y, deficit, epoch=1)
    learned = learn(seen[:half], names[:half])
    return {
        "the same images, an epoch later": right(learned, later[:half], names[:half]),
        "new images under the deficit": right(learned, seen[half:], names[half:]),
        "new clear images": right(learned, x[half:], y[half:]),
    }


@contrast
def named_rightly(run: Run, how: str) -> float:
    """Percent of test images named rightly in the end: clear, blurred, or blurred and adapted."""
    known = quantities.result(run, {"blurred": (run.epochs - 1,)})
    return 100 * float(known.measured["blurred"][run.epochs - 1][how])


@contrast
def loss_at(run: Run, epoch: int) -> float:
    """The training loss of an epoch."""
    return float(quantities.result(run).curve[epoch]["train_loss"])


def fits_worse(run: Run) -> Contrast:
    """How much higher the training loss ends than the newborn's."""
    return loss_at(run, -1) - loss_at(run.newborn(), -1)


def unlearned(run: Run) -> Contrast:
    """How far the training loss lies above that of a guess when the deficit ends."""
    return loss_at(run, run.end - 1) - float(np.log(10))


def digits(profile: str) -> Run:
    """The full connections on digits, smaller than the paper's."""
    if profile == "ci":
        return Run(profile="ci", model="fc", schedule="fixed")
    return Run(profile="mnist")


def train_small(length: int) -> None:
    """Train two seeds of the runs of lab 03 in the profile `ci`, which takes seconds."""
    runs = [after(kind, length, "ci") for kind in (*FOUR, *DARK[1:])]
    like = digits("ci")
    sentences.train_small(*runs, *(replace(like, deficit="blur", length=n) for n in (1, 2)))
    raised = after("blur", length, "ci")
    for run in (raised, raised.newborn()):
        seeds = [replace(run, seed=seed) for seed in (0, 1)]
        results.at_hand(seeds, measure={"blurred": (run.epochs - 1,)})
