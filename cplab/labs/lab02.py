"""Lab 02: the same blur early and late, in a network whose learning rate never changes.

Accuracy is read against *clear epochs seen*. Since the rate never changes, a single run without a
deficit is the control of all windows: harm is how far a run lies below it after as many clear
epochs. The final accuracy is the mean of the last five epochs.
"""

import math
from base64 import b64decode
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from cplab import data, quantities, show
from cplab.errors import whole
from cplab.estimates import (
    BY_NORMAL,
    MISSING,
    Estimate,
    Interval,
    estimate,
    lacking_in,
    rows_of_seeds,
)
from cplab.lab.explorer_data import Point, Setting, describe_end
from cplab.quantities import harm, quantity, result
from cplab.results.result import LAST
from cplab.runs import Run, Step
from cplab.show import Figure
from cplab.show.base import styled
from cplab.styles import EQUAL, ink, style


class Delay(NamedTuple):
    """How many clear epochs a run is behind, and the ends of the interval."""

    mean: float
    low: float
    high: float


def clear_epochs_behind(run: Run) -> Delay:
    """Harm in clear epochs: how many epochs before its end the control was already as good as this
    run is in the end; 0 if the run is not behind. In this unit, windows at any age can be compared.
    The ends of the interval come from those of the harm.

    >>> run = Run("blur", length=16, model="depth3", schedule="fixed", recovery=60)
    >>> clear_epochs_behind(run).mean > 20
    True
    """
    setting = Setting(run, [run.deficit])
    last = run.onset + run.recovery
    points = setting.harm(Point(run.deficit, run.onset, run.length), run.recovery)

    def delay(harm: float) -> float:
        """The clear epochs that a harm of so many points stands for; NaN if no epoch does."""
        if harm <= 0:
            return 0
        reached = setting.clear_epochs_to(run.onset, run.recovery, harm)
        return math.nan if reached is None else last - reached

    return Delay(
        mean=delay(points.mean),
        low=delay(points.mean - points.half),
        high=delay(points.mean + points.half),
    )


def end_in_words(run: Run) -> str:
    """The explorer's sentence about how a run ends.

    >>> end_in_words(Run("blur", length=16, model="depth3", schedule="fixed", recovery=60))[-79:]
    'behind one never blurred: it has reached the level that the other had after 27.'
    """
    if harm(run).sign is None:
        return MISSING
    point = Point(run.deficit, run.onset, run.length)
    return describe_end(Setting(run, [run.deficit]), point, run.recovery)["head"]


def half_by_images(run: Run, clear_onset: int) -> Estimate:
    """Half of the interval that harm would have if only the test images were drawn anew, in points.

    More seeds do not narrow it: all are tested on the same images, whose influence on every seed is
    partly the same. That part is the covariance of two seeds over the images. It is computed on ten
    parts of the images, which give the result an interval of its own.

    Arguments: run, of the schedule `fixed`; clear_onset, the clear epochs of its control. `correct`
        was measured over the last five epochs of the run, and on the control after as many clear
        epochs.
    """
    last = run.onset + run.recovery
    clear = run.newborn().replace(onset=clear_onset)

    def harm_by_image(control: Run, deprived: Run) -> np.ndarray:
        return accuracy_by_image(control, last) - accuracy_by_image(deprived, run.length + last)

    harms = quantities.each_seed(harm_by_image, clear, run)  # (seeds, images)
    if len(harms) < 2:
        return estimate(rows_of_seeds([], lacking_in(harms)))
    seeds, images = harms.shape
    two_seeds = ~np.eye(seeds, dtype=bool)  # of a matrix (seeds, seeds), all but its diagonal
    covariances = []
    for part in np.array_split(harms, 10, axis=1):  # (seeds, a tenth of the images) each
        matrix = np.cov(part)  # (seeds, seeds)
        covariances.append(matrix[two_seeds].mean())
    shared = estimate(covariances)
    half = BY_NORMAL * math.sqrt(max(shared.mean, 0) / images)
    # half goes with the root of the covariance, so its relative error is half of the covariance's
    half_of_half = shared.half * half / (2 * shared.mean) if half else math.nan
    interval = Interval(
        mean=half,
        half=half_of_half,
        counts=(seeds,),
        freedom=shared.freedom,
        by_seed={0: half},
    )
    return Estimate(given=interval)


def accuracy_by_image(run: Run, end: int) -> np.ndarray:
    """For each test image, the percentage of the five epochs before `end` after which it is named
    correctly, (images,)."""
    epochs = range(end - LAST, end)
    packed = quantities.result(run, {"correct": epochs}).measured["correct"]  # {epoch: text}
    correct = []
    for epoch in epochs:
        bits = np.frombuffer(b64decode(packed[epoch]), np.uint8)
        correct.append(np.unpackbits(bits))  # 1 for an image that is named correctly
    return 100 * np.mean(correct, axis=0)


class ImageAccuracies(NamedTuple):
    """The accuracy by image of each measured seed at the end of two runs, (seeds, images)."""

    clear: np.ndarray  # of the networks without the deficit
    deprived: np.ndarray


def image_accuracies(run: Run) -> ImageAccuracies:
    """The accuracy by image over the last five epochs, without a run's deficit and with it. The
    deficit is one from birth."""
    # The clear run that was measured is longer than the newborn and begins with its epochs
    clear = run.newborn().replace(onset=24)
    return ImageAccuracies(
        quantities.each_seed(accuracy_by_image, clear, end=clear.recovery),
        quantities.each_seed(accuracy_by_image, run, end=run.length + run.recovery),
    )


def misread(run: Run) -> Figure | str:
    """Draw eight photographs that networks without a run's deficit name correctly and the run's own
    wrongly, in most epochs and seeds; and eight the other way round. If the photographs are
    missing, say so in a line."""
    accuracies = image_accuracies(run)
    if not (len(accuracies.clear) and len(accuracies.deprived)):
        return ""
    if not data.is_here(run.dataset):
        return f"<p>The photographs are missing: <code>cplab data fetch {run.dataset}</code></p>"
    arrays, _ = data.load_arrays(run.dataset)
    photographs = arrays["test_x"]
    loss = accuracies.clear.mean(0) - accuracies.deprived.mean(0)  # by the deficit, (images,)
    most_lost = np.argsort(-loss, kind="stable")
    most_gained = most_lost[::-1]
    deficit = show.label(run.deficit)
    rows = {
        f"wrong only after {deficit}": photographs[most_lost[:8]],
        f"right only after {deficit}": photographs[most_gained[:8]],
    }
    return show.strips(rows, largest=70)


def steps_left(run: Run) -> float:
    """The sum of the learning rates of all steps after the deficit.

    >>> round(steps_left(Run("blur", length=16, model="depth3", schedule="fixed", recovery=60)))
    95
    """
    batches = math.ceil(run.settings.train_images / run.settings.batch)
    rates = [step.lr for step in run.timeline if isinstance(step, Step)]  # by epoch
    return batches * float(sum(rates[run.end :]))


def strong_steps(runs: Mapping[str, Sequence[Run]], title: str = "") -> Figure:
    """Draw harm against `steps_left`: a point with its interval for each run, a colour for each
    group."""
    groups = {}
    for words, group in runs.items():
        groups[words] = {steps_left(run): harm(run) for run in group}
    axes = ("learning rate × steps left when the deficit ends", "harm, points")
    return show.means(groups, axes, title, zero=True, log="x", lines=False)


@quantity
def block_detail(run: Run, block: int) -> float:
    """The share of a block's squared change, from birth to the end, that is in detail which blurred
    images hardly reach, in percent; see `cplab.measure.detail`. Blocks are counted from 1.

    >>> run = Run("blur", length=16, model="depth3", schedule="fixed", recovery=60)
    >>> round(block_detail(run, block=1).mean)
    46
    """
    return measured_in_block(run, "share", block)


@quantity
def block_detail_by_chance(run: Run, block: int) -> float:
    """The same share of a change at random, in percent.

    >>> run = Run("blur", length=16, model="depth3", schedule="fixed", recovery=60)
    >>> round(block_detail_by_chance(run, block=1).mean)
    77
    """
    return measured_in_block(run, "chance", block)


def block_detail_below_chance(run: Run, block: int) -> Estimate:
    """Points by which a block's detail share lies below chance.

    The directions that count as detail differ between networks, and the more of them there are, the
    larger is any share. So two networks are compared by how far below chance theirs are.

    >>> run = Run("blur", length=16, model="depth3", schedule="fixed", recovery=60)
    >>> round(block_detail_below_chance(run, block=1).mean)
    32
    """
    return block_detail_by_chance(run, block) - block_detail(run, block)


def measured_in_block(run: Run, column: str, block: int) -> float:
    """A number that was measured on a block in the end, in percent; column, share or chance."""
    last = run.epochs - 1
    measured = result(run, {"block_detail": (last,)}).measured["block_detail"]
    numbers = measured[last][column]  # by block
    block = whole("block", block, 1, len(numbers))
    return 100 * numbers[block - 1]


def gains_of_blocks(run: Run) -> dict[str, dict[str, Estimate]]:
    """Points that a network without a deficit gains if a block is set back to birth, a row for each
    block. It is set back when the window would have ended, as the control of a run whose block is
    set back then.

    >>> [*gains_of_blocks(Run("blur", length=16, model="depth3", schedule="fixed", recovery=60))]
    ['block 1', 'block 2', 'block 3']
    """
    clear = run.equal_training()
    rows = {}
    for block in (1, 2, 3):
        set_back = clear.replace(treatments=f"reset-{block}@{run.end}")
        gain = quantities.advantage(set_back, clear)
        rows[f"block {block}"] = {"never blurred, gains in points": gain}
    return rows


class BarPart(NamedTuple):
    """Some epochs in a row that a network sees in one way."""

    epochs: int
    label: str
    colour: str


@styled
def time_bars(run: Run) -> Figure:
    """Draw three runs as bars of time: with the window, without it, and with clear epochs instead.

    >>> time_bars(Run("blur", onset=4, length=8))
    epochs: clear, blur
    """
    look = style(run.deficit)
    before = BarPart(run.onset, "clear", EQUAL.colour)
    window = BarPart(run.length, look.label, look.colour)
    clear_window = BarPart(run.length, "clear", EQUAL.colour)
    after = BarPart(run.recovery, "clear", EQUAL.colour)
    rows = {
        "this run": [before, window, after],
        "without the window": [before, after],
        "equal training": [before, clear_window, after],
    }
    fig = show.figure("", "epochs", height=170)
    for row, stretches in enumerate(rows.values()):
        draw_stretches(fig, row, stretches, run.epochs)
    fig.ax.set_yticks(range(3), list(rows))
    fig.ax.invert_yaxis()
    fig.ax.grid(False, axis="y")
    return fig


def draw_stretches(fig: Figure, row: int, stretches: Sequence[BarPart], epochs: int) -> None:
    """Draw stretches of time one after the other in a row of a figure. Those that are long enough
    say what they are.

    Arguments: epochs, the width of the figure.
    """
    begin = 0
    for stretch in stretches:
        gap = min(stretch.epochs, 0.003 * epochs)  # to the next one
        width = stretch.epochs - gap
        fig.ax.barh(row, width, 0.7, begin, color=stretch.colour, label=stretch.label)
        if stretch.epochs > 0.09 * epochs:
            words = f"{stretch.epochs} {stretch.label}"
            middle = begin + stretch.epochs / 2
            fig.ax.text(middle, row, words, ha="center", va="center", color=ink(stretch.colour))
        begin += stretch.epochs
