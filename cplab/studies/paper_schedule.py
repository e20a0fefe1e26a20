"""Lab 02b: the paper's schedule, whose learning rate falls with every epoch, and its two controls.

Under it a deficit that ends late is followed by small steps, whatever it was. A control can start
fresh, at the first rate, or *oversleep*: nothing is trained until the deficit ends, and then it has
the rates that are left.
"""

from collections.abc import Sequence
from typing import Any

import pandas as pd
from bokeh.plotting import figure

from cplab import quantities, show
from cplab.quantities import harm
from cplab.runs import Run
from cplab.studies import sentences
from cplab.studies.sentences import each_result, table

__all__ = ["FOUR", "against_both", "fresh_and_overslept", "removal", "slim", "slim_curves"]
__all__ += ["slim_table", "squeezed", "until", "waiting"]

FOUR = ("blur", "noise", "flip", "permute")


def until(kind: str, end: int, pace: int = 1, profile: str = "course", **fields: Any) -> Run:
    """A deficit from birth until one of the paper's epochs, and 160 of its epochs of recovery.

    Arguments: pace, how many of the paper's epochs one epoch stands for.

    >>> until("flip", 140, pace=10).length
    14
    """
    fields = {"schedule": "paper", "pace": pace, "profile": profile, **fields}
    return Run(kind, 0, end // pace, 160 // pace, **fields)


def removal(schedule: str, profile: str, lengths: Sequence[int]) -> list[figure]:
    """The removal curves of blur and flip under a schedule, and two of its rates."""
    fields: dict[str, Any] = {"profile": profile, "schedule": schedule}
    runs = [Run("blur", length=n, **fields) for n in lengths]
    late = "A late end costs, whatever the deficit was"
    title = late if schedule == "paper" else "Blur costs, a flip teaches"
    curves = show.removal(Run(**fields), ("blur", "flip"), title=title, width=490, height=330)
    return [curves, show.rates(runs, width=360, height=330)]


def against_both(ends: Sequence[int] = (60, 140)) -> pd.DataFrame:
    """Harm in points until some of the paper's epochs, against both controls."""
    runs = {(show.label(kind), end): until(kind, end) for kind in FOUR for end in ends}
    rows = {
        words: {"started fresh": harm(run), "overslept": harm(run, clock="running")}
        for words, run in runs.items()
    }
    return table(rows).rename_axis(["deficit", "until epoch"])


def fresh_and_overslept(end: int) -> figure:
    """Harm until one of the paper's epochs, against both controls, two bars a deficit."""
    clocks = {"started fresh": "stopped", "overslept": "running"}
    values = {
        f"{show.label(kind)}: {words}": harm(until(kind, end), clock=clock)
        for kind in FOUR
        for words, clock in clocks.items()
    }
    title = f"Harm until epoch {end}, against two controls"
    return sentences.bars(values, "harm, points", title, width=860)


def squeezed(end: int = 140) -> figure:
    """Harm against the control that starts fresh, by how many of the paper's epochs are one."""
    groups = {
        kind: {n: harm(until(kind, end, n)) for n in (10, 5, 2, 1)} for kind in ("blur", "flip")
    }
    axes = ("epochs of the paper in one of ours", "harm, points")
    return sentences.lines(groups, axes, "Squeezed time makes a flip look worse", log=True)


def slim(kind: str, end: int) -> Run:
    """A run of the largest size that was trained: 50,000 images at half the paper's pixels."""
    return Run(kind, length=end, profile="slim") if end else Run(profile="slim")


def slim_curves() -> figure:
    """Accuracy epoch by epoch at that size, after each deficit until 140."""
    runs = {"from birth, clear": slim("none", 0)}
    runs |= {f"{show.label(kind)} until epoch 140": slim(kind, 140) for kind in FOUR}
    groups = {words: each_result(run) for words, run in runs.items()}
    title = "All 50,000 images: blur and noise leave a gap, flip and labels a small one"
    return show.over_epochs(groups, "test_accuracy", title=title, width=860, height=350)


def slim_table() -> pd.DataFrame:
    """Harm and lost time at that size, in points; of one seed there is no interval."""
    ends = {"blur": (20, 40, 60, 100, 140), "noise": (60, 140), "flip": (60, 140)}
    ends |= {"permute": (140,)}
    runs = {(show.label(kind), n): slim(kind, n) for kind, some in ends.items() for n in some}
    rows = {
        words: {"harm": harm(run), "lost time": quantities.lost_time(run)}
        for words, run in runs.items()
    }
    return table(rows).rename_axis(["deficit", "until epoch"])


def waiting(runs: Sequence[Run]) -> figure:
    """Lost time and harm of a deficit as the recovery, whose rate falls to zero, gets longer."""
    asked = {"lost time": quantities.lost_time, "harm": harm}
    groups = {words: {run.recovery: of(run) for run in runs} for words, of in asked.items()}
    axes = ("epochs of recovery", "points")
    return sentences.lines(groups, axes, "Lost time goes first, harm after it", log=True)
