"""Lab 03: what each kind of deficit leaves, and what it does to the images; darkness; digits."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from bokeh.models import FactorRange, Range1d
from bokeh.plotting import figure
from numpy.typing import ArrayLike

from cplab import quantities, results, show, statistics
from cplab.deficits import apply_deficit
from cplab.lab.widgets import Switch
from cplab.measure import power_spectrum
from cplab.profiles import PROFILES
from cplab.quantities import equal_training_loss, gain_over_newborn, reading
from cplab.results import at_hand
from cplab.runs import Run
from cplab.show import theme
from cplab.show.theme import EQUAL, reference_line
from cplab.statistics import Contrast
from cplab.studies.sentences import seeds, side, spread

__all__ = ["DARK", "FOUR", "after", "against_both", "as_if_clear", "dark_losses", "digit_curves"]
__all__ += ["digit_table", "digits", "fine_left", "fits_worse", "grouped_marks"]
__all__ += ["marks", "milder", "on_blurred", "order", "patience", "powers_of", "probe"]
__all__ += ["removal_views", "sees_better", "spectra", "train_small", "trainable", "unchanged"]
__all__ += ["what_can_be_learned", "which_side", "worse_than_blur"]


def spectra(powers: Mapping[str, ArrayLike]) -> figure:
    """Radially averaged power spectra, by deficit: power against cycles an image, both on
    logarithmic axes; cycles 0, the mean brightness, are left out, and so is a spectrum of zeros."""
    words = ("power of the images by fineness", "cycles per image", "mean power")
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
    return theme.place_legend(fig, "bottom_left")


def grouped_marks(rows: Sequence[str], columns: Mapping[str, Sequence], chance: float) -> figure:
    """What a classifier gets right on up to three sets of images: a mark for each row and set, and
    a dotted line for one who guesses.

    Arguments: rows, words; columns, one fraction a row by the words for the set.
    """
    words = ("images that the classifier gets right", "named rightly", "")
    fig = theme.plain_figure(*words, y_range=FactorRange(*rows[::-1]), width=760, height=330)
    looks = (("circle", "#0072B2"), ("square", theme.LIVE.colour), ("triangle", "#009E73"))
    for (text, values), (marker, hue) in zip(columns.items(), looks, strict=False):
        how = {"color": hue, "fill_alpha": 0.5, "marker": marker, "legend_label": text}
        fig.scatter(list(values), list(rows), size=13, **how)
    theme.reference_line(fig, "height", theme.EQUAL.colour, chance)
    fig.x_range = Range1d(0, 1.05 * max([chance, *map(max, columns.values())]))
    theme.percent_axis(fig.xaxis)
    return theme.place_legend(fig, "above")


# What is left after each deficit -----------------------------------------------------------------

FOUR = ("flip", "permute", "blur", "noise")
DARK = ("noise", "fresh_noise", "blank")


def after(deficit: str, length: int, profile: str, **fields: Any) -> Run:
    """A run with a deficit from birth."""
    return Run(deficit, length=length, profile=profile, **fields)


def removal_views(profile: str, deficits: Sequence[str] = FOUR) -> Switch:
    """The removal curves, as they are or against one of the controls, with buttons to choose."""

    def curves(view: str) -> figure:
        like, size = Run(profile=profile), {"width": 760, "height": 360}
        if view == "final accuracy":
            fig = show.removal(like, deficits, **size)
        else:
            fig = show.compare_with_control(like, deficits, view.removeprefix("against "), **size)
        fig.title.text = "Flip and permuted labels teach something; blur and noise cost"
        return fig

    return Switch(["final accuracy", "against newborn", "against equal training"], curves)


def order(length: int, profile: str) -> str:
    """The deficits and the newborn from best to worst, in one sentence."""
    runs = {"newborn": Run(profile=profile)}
    runs |= {show.label(d): after(d, length, profile) for d in FOUR}
    ended = {words: statistics.estimate(quantities.accuracy(run)) for words, run in runs.items()}
    best = sorted((w for w in ended if ended[w].seeds), key=lambda w: -ended[w].mean)
    return f"From best to worst: {', '.join(best)}."


def against_both(deficits: Sequence[str], length: int, profile: str) -> pd.DataFrame:
    """How far each deficit ends above the newborn and below equal training."""
    rows = {}
    for deficit in deficits:
        run = after(deficit, length, profile)
        if seeds(gain_over_newborn(run)):
            rows[show.label(deficit)] = {
                "above the newborn": spread(gain_over_newborn(run)),
                "below equal training": spread(equal_training_loss(run)),
                "seeds": seeds(gain_over_newborn(run)),
            }
    return pd.DataFrame(rows).T


def as_if_clear(length: int, profile: str) -> str:
    """After which of flip and permuted labels a network ends level with equal training."""
    level = [
        show.label(d)
        for d in ("permute", "flip")
        if not side(equal_training_loss(after(d, length, profile)), True, False, False)
    ]
    return " and ".join(level) or "after none of them"


def which_side(length: int, profile: str) -> str:
    """Which deficits leave a network above the newborn and which below it, in one sentence."""
    above: list[str] = []
    below: list[str] = []
    for deficit in FOUR:
        side(gain_over_newborn(after(deficit, length, profile)), above, [], below).append(
            show.label(deficit)
        )
    return (
        f"Above the newborn: {' and '.join(above) or 'none'}. "
        f"Below it: {' and '.join(below) or 'none'}."
    )


# What a deficit does to the images ---------------------------------------------------------------


def powers_of(x: Any, y: Any, deficits: Sequence[str] = FOUR) -> dict[str, np.ndarray]:
    """The power spectrum of some images, clear and under each deficit; this takes torch."""
    return {d: power_spectrum(apply_deficit(x, y, d)[0]) for d in ("none", *deficits)}


def unchanged(powers: Mapping[str, np.ndarray]) -> str:
    """Which of flip and permuted labels leave the spectrum as it was."""
    same = [
        show.label(d)
        for d in ("permute", "flip")
        if np.allclose(powers[d][1:], powers["none"][1:], rtol=1e-3)
    ]
    return " and ".join(same) or "none of them"


def fine_left(powers: Mapping[str, np.ndarray]) -> str:
    """How much of the finest structure blur leaves, in one sentence."""
    left = 100 * (powers["blur"] / powers["none"])[-1]
    return f"Blur leaves {left:.0f} % of the power in the finest structure, a flip all of it."


def probe(x: Any, y: Any, deficit: str, learn: Callable, right: Callable) -> dict[str, float]:
    """What a classifier gets right that learned under a deficit, as three fractions.

    Arguments: x, y, images and labels, of which one half is learned; learn, from images and labels
        to what was learned; right, from that, images and labels to a fraction.
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


def marks(rows: Mapping[str, Mapping[str, float]]) -> figure:
    """What `probe` found, a row of marks for each deficit."""
    columns = {what: [row[what] for row in rows.values()] for what in next(iter(rows.values()))}
    fig = grouped_marks(list(rows), columns, chance=0.1)
    fig.title.text = "Blur leaves what a linear classifier needs; noise leaves a list"
    return fig


# Who sees blurred images -------------------------------------------------------------------------


def right_on(run: Run, how: str) -> float:
    """Accuracy in percent in the end on test images: clear, blurred, or blurred and adapted."""
    found = quantities.result(run, {"blurred": (run.epochs - 1,)})
    return 100 * float(found.measured["blurred"][run.epochs - 1][how])


def sees_better(length: int, profile: str, how: str = "adapted") -> Contrast:
    """Points by which a network raised on blur names blurred images better than a newborn."""
    raised, newborn = after("blur", length, profile), Run(profile=profile)
    return reading(raised, right_on, how=how) - reading(newborn, right_on, how=how)


def on_blurred(length: int, profile: str) -> figure:
    """Accuracy on clear and on blurred test images, of a newborn and of one raised on blur."""
    readings = {"clear": "clear", "blurred": "blurred", "blurred, adapted": "adapted"}
    networks = {"newborn": Run(profile=profile), "raised on blur": after("blur", length, profile)}
    values = {
        f"{who}: {words}": reading(run, right_on, how=how)
        for words, how in readings.items()
        for who, run in networks.items()
    }
    known = {words: points for words, points in values.items() if seeds(points)}
    fig = show.bars(known, "named rightly, %", percent=False, width=820, height=360)
    fig.title.text = "Raised on blur, it sees blurred images better to the end"
    return fig


# Darkness ----------------------------------------------------------------------------------------


def dark_losses(length: int, profile: str) -> figure:
    """The training loss of each darkness, epoch by epoch."""
    groups = {show.label(d): each_result(after(d, length, profile)) for d in DARK}
    fig = show.over_epochs(groups, "train_loss", width=820, height=340)
    fig.title.text = "Only where the same pattern comes back can anything be learned"
    return fig


def each_result(run: Run) -> list:
    """The results of all seeds of a run that was trained."""
    known = (results.find(replace(run, seed=seed)) for seed in quantities.SEEDS)
    return [result for result in known if result]


def what_can_be_learned(length: int, profile: str) -> str:
    """Under which darkness the training loss falls below that of a guess."""
    low = []
    for deficit in ("blank", "noise", "fresh_noise"):
        found = each_result(after(deficit, length, profile))
        lost = [result.curve[length - 1]["train_loss"] - np.log(10) for result in found]
        if side(lost, False, False, True) and np.mean(lost) < -0.05:
            low.append(show.label(deficit))
    return " and ".join(low) or "none of them"


def last_loss(run: Run) -> float:
    """Training loss after the last epoch."""
    return float(quantities.result(run).curve[-1]["train_loss"])


def fits_worse(run: Run) -> Contrast:
    """How much higher the training loss ends than the newborn's."""
    return reading(run, last_loss) - reading(run.newborn(), last_loss)


def trainable(length: int, profile: str) -> figure:
    """How much higher the training loss ends than the newborn's, after each darkness and blur."""
    values = {show.label(d): fits_worse(after(d, length, profile)) for d in ("blur", *DARK)}
    known = {words: points for words, points in values.items() if seeds(points)}
    words = "training loss above the newborn's"
    fig = show.bars(known, words, percent=False, width=620, height=320)
    fig.title.text = "After fixed noise a network fits even its training images worse"
    return fig


def worse_than_blur(length: int, profile: str) -> str:
    """Whether fixed noise leaves a higher training loss than the newborn's, and than blur does."""
    noise, blur = (fits_worse(after(d, length, profile)) for d in ("noise", "blur"))
    if not side(noise, True, False, False):
        return "no: it fits them as well"
    more, as_much = "yes, more than after blur", "yes, but no more than after blur"
    return side(noise - blur, more, as_much, as_much)


def patience(length: int, profile: str) -> figure:
    """The harm of fixed noise and of blur as the recovery gets longer."""
    base = PROFILES[profile].recovery
    times = [n * base for n in (1, 2, 4, 8, 16)]
    runs = {
        kind: {n: after(kind, length, profile, recovery=n) for n in times}
        for kind in ("noise", "blur")
    }
    groups = {
        kind: {n: quantities.harm(run) for n, run in some.items()} for kind, some in runs.items()
    }
    axes = ("epochs of recovery", "harm, points")
    how = {"percent": False, "log": True, "legend": "right", "width": 700, "height": 340}
    fig = show.means(groups, axes, title="Noise is harsher at first; patience ends that", **how)
    reference_line(fig, "width", EQUAL.colour)
    return fig


def milder(length: int, profile: str, times: int) -> Contrast:
    """Points by which noise ends above blur after so many times the usual recovery."""
    recovery = times * PROFILES[profile].recovery
    pair = (after(kind, length, profile, recovery=recovery) for kind in ("noise", "blur"))
    return quantities.advantage(*pair)


# Digits ------------------------------------------------------------------------------------------


def digits(profile: str) -> Run:
    """The full connections on digits, smaller than the paper's."""
    if profile == "ci":
        return Run(profile="ci", model="fc", schedule="fixed")
    return Run(profile="mnist")


def digit_curves(like: Run) -> figure:
    """The removal curves of blur and flip on digits."""
    fig = show.removal(like, ("blur", "flip"), width=760, height=340)
    fig.title.text = "On digits an early blur leaves no harm"
    return fig


def digit_table(like: Run, ends: Sequence[int]) -> pd.DataFrame:
    """Accuracy, harm and loss on digits."""
    asked: dict[str, Any] = {
        "accuracy, %": quantities.accuracy,
        "harm, points": quantities.harm,
        "below equal training": quantities.equal_training_loss,
    }
    rows = {
        (show.label(kind), end): {
            words: spread(of(replace(like, deficit=kind, length=end)), 2)
            for words, of in asked.items()
        }
        for kind in ("blur", "flip")
        for end in ends
    }
    return pd.DataFrame(rows).T


def train_small(length: int) -> None:
    """Train two seeds of the runs of lab 03 in the profile `ci`, which takes seconds."""
    runs = [after(kind, length, "ci", seed=seed) for kind in (*FOUR, *DARK[1:]) for seed in (0, 1)]
    runs += [
        replace(digits("ci"), deficit="blur", length=n, seed=s) for n in (1, 2) for s in (0, 1)
    ]
    at_hand([one for run in runs for one in (run, run.equal_training(), run.newborn())])
    blurred = [one for run in runs[:8] if run.deficit == "blur" for one in (run, run.newborn())]
    for run in blurred:
        at_hand([run], measure={"blurred": (run.epochs - 1,)})
