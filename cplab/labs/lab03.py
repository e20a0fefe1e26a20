"""Lab 03: deficits of several kinds, and how many images a network loses to them."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations, pairwise, product

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from cplab import lab, quantities, show
from cplab.estimates import CONFIDENCE, NOT_TRAINED, Estimate, compare
from cplab.lab.buttons.button import TrainButton, trains_here
from cplab.labs.lab02 import image_accuracies
from cplab.output import styles
from cplab.pictures.previews import drawn_pictures
from cplab.quantities import harm, measured
from cplab.runs import Run
from cplab.show import Figure


def in_three_blocks(deficit: str, length: int) -> Run:
    """A deficit from birth in lab 02's network: three blocks, at a rate that never changes.

    >>> in_three_blocks("blur", 16).model
    'depth3-16'
    """
    return Run(deficit, length=length, model="depth3", schedule="fixed", recovery=60)


def blurred_accuracy(run: Run, images: str) -> Estimate:
    """The final accuracy on clear or blurred test images, in percent, one number for each seed.

    Arguments:
        images: clear, blurred or adapted. With adapted they are blurred as well, but batch norm
            uses the statistics of blurred images.

    >>> blurred_accuracy(Run("blur", length=16), "adapted") - blurred_accuracy(Run(), "adapted")
    8.0 ± 1.8 (5 seeds)
    """
    return 100 * measured(run, "blurred", images)


@quantities.quantity
def train_loss(run: Run, epoch: int) -> float:
    """The training loss of an epoch, counted from 0 or, if negative, from the end; one number for
    each seed.

    >>> train_loss(Run(), -1)
    1.1 ± 0.0 (30 seeds)
    """
    return quantities.result(run).curve[epoch]["train_loss"]


def names(words: Sequence[str]) -> str:
    """Write names as a list in a sentence.

    >>> names(["blur", "flip", "noise"]), names([])
    ('blur, flip and noise', 'none')
    """
    if not words:
        return "none"
    if len(words) == 1:
        return words[0]
    return f"{', '.join(words[:-1])} and {words[-1]}"


def ranking(ends: Mapping[str, Estimate]) -> str:
    """Rank {name: final accuracy} from best to worst, and name the neighbours that cannot be told
    apart, and those whose networks are not trained.

    >>> from cplab.estimates import estimate
    >>> ranking({"twin": estimate([50, 51, 52]), "flip": estimate([60, 61, 62])})
    'From best to worst: flip, twin; cannot be told apart: none'
    """
    means = {name: end.mean for name, end in ends.items() if end.seeds}
    order = sorted(means, key=lambda name: means[name], reverse=True)
    ties = []
    for better, worse in pairwise(order):
        lead = ends[better] - ends[worse]
        if lead.sign != 1:
            ties.append(f"{better} and {worse}")
    findings = [f"From best to worst: {', '.join(order)}"]
    missing = [name for name in ends if name not in means]
    if missing:
        findings.append(f"not yet trained: {names(missing)}")
    findings.append(f"cannot be told apart: {'; '.join(ties) or 'none'}")
    return "; ".join(findings)


def beside_blur(run: Run, blurred: Run) -> str:
    """Write in one line how far a run's harm is above or below a blurred run's.

    >>> beside_blur(Run("noise", length=16), Run("blur", length=16))
    '3.1 ± 0.7 points above that of blur'
    """
    return compare(harm(run) - harm(blurred), "that of blur")


def factor(statements: int, seeds: int) -> float:
    """Student's factor for the intervals of several statements, so that once in twenty times one of
    them or more is wrong (Bonferroni).

    Arguments:
        statements: their number.
        seeds: the number for each.

    >>> round(factor(1, 10), 2)
    2.26
    """
    outside = (1 - CONFIDENCE) / 2 / statements  # the chance on each side of an interval
    return float(stats.t.ppf(1 - outside, seeds - 1))


# Your own deficit ---------------------------------------------------------------------------------


def grow(run: Run) -> TrainButton:
    """Train seeds 0 to 19 of a run, whose twins come with the lab, while the cell shows how they
    do. Where nothing can be trained, the button says why.

    >>> growing = grow(Run("flip", length=1, recovery=1, profile="tiny"))
    >>> growing.wait(100)
    True
    """
    growing = lab.live({show.label(run.deficit): [run.with_seed(seed) for seed in range(20)]})
    if trains_here():
        growing.press()
    return growing


# Which images -----------------------------------------------------------------------------------


def exchanged(run: Run) -> dict[str, tuple[float, float]]:
    """How many test images a network without the deficit names correctly and another network does
    not, and the other way round. The other network is one of the run, or one without the deficit.

    Returns:
        both numbers of images, by the comparison: means over pairs of seeds, NaN if nothing was
        measured. An image counts as named correctly if it is so in most of the last five epochs.

    >>> lost, back = exchanged(in_three_blocks("blur", 16))["with the deficit"]
    >>> lost > back
    True
    """
    accuracies = image_accuracies(run)
    right_clear = accuracies.clear > 50  # (seeds, images)
    right_deprived = accuracies.deprived > 50
    return {
        "with the deficit": mean_exchange(product(right_clear, right_deprived)),
        "without it, another seed": mean_exchange(combinations(right_clear, 2)),
    }


def mean_exchange(pairs: Iterable[tuple[np.ndarray, np.ndarray]]) -> tuple[float, float]:
    """How many images the first of two networks names correctly and the second does not, and the
    other way round: means over the pairs.

    Arguments:
        pairs: of networks, each an array (images,), True where it is right.

    >>> mean_exchange([(np.array([True, True, False]), np.array([False, True, False]))])
    (1.0, 0.0)
    """
    lost = []
    gained = []
    for first, second in pairs:
        lost.append((first & ~second).sum())
        gained.append((second & ~first).sum())
    if not lost:
        return np.nan, np.nan
    return float(np.mean(lost)), float(np.mean(gained))


def lost_images(run: Run) -> str:
    """Say how many test images are named correctly without a run's deficit, but not after it.

    >>> lost_images(Run("noise", length=16))
    'Which images noise costs: not trained yet.'
    """
    word = styles.label(run.deficit)
    lost, _ = exchanged(run)["with the deficit"]
    if np.isnan(lost):
        return f"Which images {word} costs: {NOT_TRAINED}."
    return f"{lost:,.0f} images are named correctly without {word}, but wrongly after it."


def power_spectrum(images: ArrayLike) -> np.ndarray:
    """The mean power of images in waves of 0, 1, 2 … cycles an image, over all directions.

    Arguments:
        images: (N, C, H, H), in any unit.

    Returns:
        (H // 2 + 1,), in squares of that unit: white noise of variance 1 has 1 throughout.

    >>> stripes = np.cos(2 * np.pi * 3 * np.arange(16) / 16) * np.ones((1, 1, 16, 1))
    >>> int(power_spectrum(stripes).argmax())
    3
    """
    x = np.asarray(images, dtype=float)
    size = x.shape[-1]
    power = (np.abs(np.fft.fft2(x)) ** 2).mean((0, 1)) / size**2  # (H, H)
    cycles = np.fft.fftfreq(size) * size  # an image, in one direction, (H,)
    frequency = np.hypot(cycles[:, None], cycles)  # in any direction, (H, H)
    ring = frequency.round().astype(int).ravel()  # a ring has all waves of about one frequency
    total = np.bincount(ring, power.ravel())
    mean = total / np.bincount(ring)
    return mean[: size // 2 + 1]


# The picture under the title ---------------------------------------------------------------------


def first_picture() -> Figure:
    """Draw what networks see that are reared upside down, in a blur, in noise or in the dark."""
    clear = drawn_pictures("none")
    rows = {"clear": clear, "vertical flip": clear[:, ::-1]}
    for deficit in ("blur", "noise", "blank"):
        rows[deficit] = drawn_pictures(deficit)
    return show.strips(rows, largest=70)
