"""Lab 02: the same blur early and late, in a network whose learning rate never changes.

Accuracy is read against *clear epochs seen*. At such a rate one run without a deficit is the
control of every window: harm is how far a run lies below it after as many clear epochs, and the
final accuracy is the mean of the last five epochs.
"""

import math
from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from cplab import quantities, show
from cplab.lab.explorer_data import Setting
from cplab.quantities import harm
from cplab.results.result import LAST
from cplab.runs import FLAGSHIP, Run, Step
from cplab.show import Figure, clear_epochs, time_bars
from cplab.statistics import Estimate, Interval, choose, estimate
from cplab.studies.paper_schedule import Epochs
from cplab.studies.sentences import lines, table

__all__ = ["behind", "clear_epochs", "clear_epochs_behind", "early_and_late", "flagship", "harm"]
__all__ += ["harm_by", "harm_curves", "overview", "steps_left", "strong_steps", "time_bars"]


def flagship(profile: str = "course") -> dict[str, Any]:
    """The fields of the runs of this lab: three blocks, and a learning rate that never changes.

    >>> Run("blur", length=16, **flagship()).epochs
    76
    """
    how = {"model": FLAGSHIP.family, "schedule": FLAGSHIP.schedule, "profile": profile}
    return {**how, "recovery": 6 if profile == "ci" else FLAGSHIP.recovery}


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
    half = 1.96 * math.sqrt(max(shared.mean, 0) / images)
    spread = shared.half * half / (2 * shared.mean) if half else math.nan
    return Estimate(given=Interval(half, spread, (seeds,), shared.freedom, {0: half}))


def named_rightly(run: Run, end: int) -> np.ndarray:
    """Percent of the five epochs before `end` after which each test image is named rightly."""
    epochs = range(end - LAST, end)
    rows = quantities.result(run, {"correct": epochs}).measured["correct"]
    bits = [np.unpackbits(np.frombuffer(b64decode(rows[epoch]), np.uint8)) for epoch in epochs]
    return 100 * np.mean(bits, axis=0)


def clear_epochs_behind(run: Run) -> Epochs:
    """Harm in clear epochs: how many epochs earlier the curve of runs without a deficit first was
    as high as a run is in the end (Setting.clear_epochs_to); 0 where it is not behind. In this unit
    windows at any age can be compared. Low and high come from the interval of the harm.

    >>> clear_epochs_behind(Run("blur", length=16, **flagship())).epochs > 20
    True
    """
    setting, last = Setting(run), run.onset + run.recovery
    points = setting.harm((run.deficit, run.onset, run.length), run.recovery)
    harms = np.array([points.mean, points.mean - points.half, points.mean + points.half])
    reached = (
        last if harm <= 0 else setting.clear_epochs_to(run.onset, run.recovery, harm)
        for harm in harms.tolist()
    )
    return Epochs(*(math.nan if epoch is None else last - epoch for epoch in reached))


def each_curve(run: Run) -> list[np.ndarray]:
    """Test accuracy in percent by epoch, (epochs,) for each trained seed of a run."""
    return [result.percents for result in quantities.each_result(run)]


def mean_harm() -> float:
    """The mean harm of 16 epochs of blur from birth in the runs of this lab, in points."""
    return harm(Run("blur", length=16, **flagship())).mean


def behind(run: Run, network: str = "the blurred network") -> str:
    """A sentence that compares the end of a run with one without a deficit."""
    points, clear = harm(run), run.onset + run.recovery
    if points.seeds < 2:
        return "Too few of these networks have been trained yet."
    reached = clear - clear_epochs_behind(run).epochs
    where = "" if math.isnan(reached) else f": it stands where that one stood after {reached:.0f}"
    above, below = (f"{word} one that never was" for word in ("ahead of", "behind"))
    found = choose(
        points,
        f"{points} points {below}{where}",
        f"level with one that never was, as far as {points.seeds} seeds can tell",
        f"{-points} points {above}",
    )
    return f"After {clear} clear epochs {network} is {found}."


def early_and_late(early: Run, late: Run) -> str:
    """A sentence that compares the harm of the same window early and late."""
    return (
        f"From birth {early.length} epochs of blur leave {harm(early)} points of harm; "
        f"after {late.onset} clear epochs the same blur leaves {harm(late)}."
    )


def harm_by(runs: Mapping[str, Run]) -> pd.DataFrame:
    """Harm of runs in points with the number of seeds; untrained runs are left out."""
    return table({words: {"harm, points": harm(run)} for words, run in runs.items()})


def overview() -> Figure:
    """The lab's finding in one figure: the same blur early and late, and its harm as a bracket.

    >>> fig = overview()  # `show.save(fig, "flagship.png")` writes it
    """
    early = Run("blur", length=16, **flagship())
    late = replace(early, onset=24)
    words = "blurred from birth", f"blurred after {late.onset} clear epochs"
    return clear_epochs(dict(zip(words, (early, late), strict=True)), height=400)


def harm_curves(runs: Mapping[str, Run], title: str = "") -> Figure:
    """Harm against the clear epochs after the deficit, a line for each run."""
    groups = {}
    for words, run in runs.items():
        if harm(run).seeds:
            step = max(1, min(LAST, run.recovery // 5), run.recovery // 20)
            groups[words] = {n: harm(run, n) for n in range(step, run.recovery + 1, step)}
    return lines(groups, ("clear epochs after the deficit", "harm, points"), title)


def steps_left(run: Run) -> float:
    """The sum of the learning rates of all steps that are left when the deficit ends.

    >>> round(steps_left(Run("blur", length=16, **flagship())))
    95
    """
    batches = -(-run.settings.train_images // run.settings.batch)
    rates = [step.lr for step in run.timeline if isinstance(step, Step)]
    return batches * float(sum(rates[run.end :]))


def strong_steps(runs: Mapping[str, Sequence[Run]], title: str = "") -> Figure:
    """Harm against `steps_left`: a point with its interval for each run, a colour a group."""
    groups = {text: {steps_left(r): harm(r) for r in of} for text, of in runs.items()}
    axes = ("learning rate × steps left when the blur ends", "harm, points")
    return show.means(groups, axes, title, zero=True, log="x", lines=False)
