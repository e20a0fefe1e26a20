"""Lab 02: the same blur early and late, in a network whose learning rate never changes.

Accuracy is read against *clear epochs seen*. At such a rate one run without a deficit is every
window's control: harm is how far a run lies below it after as many clear epochs, and the
final accuracy is the mean of the last five epochs.
"""

import math
from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from cplab import data, quantities, show
from cplab.estimates import BY_NORMAL, MISSING, Estimate, Interval, estimate
from cplab.lab.explorer_data import Setting, describe_end
from cplab.quantities import harm
from cplab.results.result import LAST
from cplab.runs import Run, Step
from cplab.show import Figure
from cplab.show.base import styled
from cplab.styles import EQUAL, ink, style


def clear_epochs_behind(run: Run) -> tuple[float, ...]:
    """Harm in clear epochs: how many epochs earlier the curve of runs without a deficit first was
    as high as a run is in the end; 0 where it is not behind. In this unit windows at any age can be
    compared. Returns: that number, and the ends of its interval, which come from those of the harm.

    >>> run = Run("blur", length=16, model="depth3", schedule="fixed", recovery=60)
    >>> clear_epochs_behind(run)[0] > 20
    True
    """
    setting, last = Setting(run, [run.deficit]), run.onset + run.recovery
    points = setting.harm((run.deficit, run.onset, run.length), run.recovery)
    harms = np.array([points.mean, points.mean - points.half, points.mean + points.half])
    reached = (
        last if harm <= 0 else setting.clear_epochs_to(run.onset, run.recovery, harm)
        for harm in harms.tolist()
    )
    return tuple(math.nan if epoch is None else last - epoch for epoch in reached)


def behind(run: Run) -> str:
    """The explorer's sentence about a run's end.

    >>> behind(Run("blur", length=16, model="depth3", schedule="fixed", recovery=60))[-73:]
    'points behind one that never was: it is as good as that one was after 27.'
    """
    if harm(run).sign is None:
        return MISSING
    point = (run.deficit, run.onset, run.length)
    return describe_end(Setting(run, [run.deficit]), point, run.recovery)["head"]


def half_by_images(run: Run, clear_onset: int) -> Estimate:
    """Half of the 95 % interval that harm would have if only the test images were drawn anew, in
    points. More seeds do not narrow it: all are tested on the same images, which move the harm of
    all seeds alike in part. That part is the covariance of two seeds over the images; its own
    interval is over ten parts of these.

    Arguments: run, of the schedule `fixed`, on which `correct` was measured over its last five
        epochs, and on the clear run of `clear_onset` after as many clear epochs.
    """
    last, clear = run.onset + run.recovery, replace(run.newborn(), onset=clear_onset)

    def of_each_image(control: Run, deprived: Run) -> np.ndarray:
        return named_rightly(control, last) - named_rightly(deprived, run.length + last)

    harms = quantities.each_seed(of_each_image, clear, run)  # (seeds, images)
    if len(harms) < 2:
        return estimate([])
    seeds, images = harms.shape
    covariances = [np.cov(part) for part in np.array_split(harms, 10, axis=1)]
    shared = estimate([c[~np.eye(seeds, dtype=bool)].mean() for c in covariances])
    half = BY_NORMAL * math.sqrt(max(shared.mean, 0) / images)
    spread = shared.half * half / (2 * shared.mean) if half else math.nan
    return Estimate(given=Interval(half, spread, (seeds,), shared.freedom, {0: half}))


def named_rightly(run: Run, end: int) -> np.ndarray:
    """Percent of the five epochs before `end` after which each test image is named rightly."""
    epochs = range(end - LAST, end)
    rows = quantities.result(run, {"correct": epochs}).measured["correct"]
    bits = [np.unpackbits(np.frombuffer(b64decode(rows[epoch]), np.uint8)) for epoch in epochs]
    return 100 * np.mean(bits, axis=0)


def rightly(run: Run) -> tuple[np.ndarray, np.ndarray]:
    """What networks without a run's deficit name rightly in the end, and those of the run, which
    has it from birth: percent of the last five epochs, (seeds, images), of seeds that have it."""

    def in_the_end(one: Run) -> np.ndarray:
        end = one.length + one.recovery
        return quantities.each_seed(lambda of: named_rightly(of, end), one)

    clear = replace(run.newborn(), onset=24)  # which begins with the newborn's epochs
    return in_the_end(clear), in_the_end(run)


def misread(run: Run) -> Figure | str:
    """Draw eight photographs that a run's networks name wrongly, and networks without its deficit
    rightly, in most epochs and seeds; and eight the other way round. If the photographs are
    missing, a line says so."""
    clear, own = rightly(run)
    if not (len(clear) and len(own)):
        return ""
    if not data.is_here(run.dataset):
        return f"<p>The photographs are not here: <code>cplab data fetch {run.dataset}</code></p>"
    photographs = data.load_arrays(run.dataset)[0]["test_x"]
    lead = clear.mean(0) - own.mean(0)
    word, order = show.label(run.deficit), np.argsort(-lead, kind="stable")
    rows = {f"wrong after {word} alone": order[:8]}
    rows[f"right after {word} alone"] = order[::-1][:8]
    return show.strips({words: photographs[some] for words, some in rows.items()}, largest=70)


def steps_left(run: Run) -> float:
    """The sum of the learning rates of all steps after the deficit.

    >>> round(steps_left(Run("blur", length=16, model="depth3", schedule="fixed", recovery=60)))
    95
    """
    batches = -(-run.settings.train_images // run.settings.batch)
    rates = [step.lr for step in run.timeline if isinstance(step, Step)]
    return batches * float(sum(rates[run.end :]))


def strong_steps(runs: Mapping[str, Sequence[Run]], title: str = "") -> Figure:
    """Draw harm against `steps_left`: a point with its interval for each run, a colour a group."""
    groups = {text: {steps_left(r): harm(r) for r in of} for text, of in runs.items()}
    axes = ("learning rate × steps left when the deficit ends", "harm, points")
    return show.means(groups, axes, title, zero=True, log="x", lines=False)


@styled
def gains_of_blocks(run: Run) -> dict[str, dict[str, Estimate]]:
    """Points that a network without a deficit gains if a block is set back to birth when the window
    would have ended: the control of a run whose block is set back. One row a block.

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


def time_bars(run: Run) -> Figure:
    """Draw three runs as bars of time: with the window, without it, and with clear epochs instead.

    >>> time_bars(Run("blur", onset=4, length=8))
    epochs: clear, blur
    """
    look = style(run.deficit)
    before, after = (run.onset, "clear", EQUAL.colour), (run.recovery, "clear", EQUAL.colour)
    rows = {
        "this run": [before, (run.length, look.label, look.colour), after],
        "the window cut out": [before, after],
        "equal training": [before, (run.length, "clear", EQUAL.colour), after],
    }
    fig = show.figure("", "epochs", height=170)
    for row, parts in enumerate(rows.values()):
        begin = 0
        for epochs, words, hue in parts:
            gap = min(epochs, 0.003 * run.epochs)
            fig.ax.barh(row, epochs - gap, 0.7, begin, color=hue, label=words)
            if epochs > 0.09 * run.epochs:
                at = {"ha": "center", "va": "center", "color": ink(hue)}
                fig.ax.text(begin + epochs / 2, row, f"{epochs} {words}", **at)
            begin += epochs
    fig.ax.set_yticks(range(3), [*rows])
    fig.ax.invert_yaxis()
    fig.ax.grid(False, axis="y")
    return fig
