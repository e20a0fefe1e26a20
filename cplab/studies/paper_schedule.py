"""Lab 02b: the paper's schedule, whose learning rate falls with every epoch, and its two controls.

Under it a late end of any deficit is followed by small steps alone. A control can start fresh, at
the first rate, or *oversleep*: nothing is trained until the deficit ends, and then it has the rates
that are left.
"""

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any, NamedTuple

import numpy as np

from cplab import quantities, show
from cplab.runs import Run, Step
from cplab.show import Figure
from cplab.show.base import line_look, name_lines
from cplab.show.styles import DASHES, style
from cplab.statistics import Estimate, find_crossing

__all__ = ["FOUR", "longest_harmless_window", "removal", "slim", "until"]


class Epochs(NamedTuple):
    """A number of epochs, and the ends of its 95 % interval."""

    epochs: float
    low: float
    high: float


FOUR = ("blur", "noise", "flip", "permute")
TITLES = {  # of the figures of costs and of rates, by schedule
    "paper": ("A late end costs, whatever the deficit was", "After a late end little rate is left"),
    "recovery": ("Blur costs, a flip teaches", "Each recovery has the same rates"),
    "fixed": ("Blur costs, a flip teaches", "The rate never changes"),
}


def until(kind: str, end: int, pace: int = 1, profile: str = "course", **fields: Any) -> Run:
    """A run with a deficit from birth until `end`, then a recovery of 160, in the paper's epochs,
    of which one of ours is `pace`.

    >>> until("flip", 140, pace=10).length
    14
    """
    fields = {"schedule": "paper", "pace": pace, "profile": profile, **fields}
    return Run(kind, 0, end // pace, 160 // pace, **fields)


def slim(kind: str, end: int) -> Run:
    """A run with blur until `end` in the profile `slim`: 50,000 images at half the paper's size."""
    return Run(kind, length=end, profile="slim") if end else Run(profile="slim")


def removal(schedule: str, profile: str, lengths: Sequence[int]) -> list[Figure]:
    """The removal curves of blur and flip under a schedule, and its learning rates."""
    fields: dict[str, Any] = {"profile": profile, "schedule": schedule}
    runs = [Run("blur", length=n, **fields) for n in (0, *lengths)]
    costs, rate = TITLES[schedule]
    curves = show.removal(runs[0], ("blur", "flip"), title=costs, width=490, height=330)
    return [curves, rates(runs[1:], title=rate, width=360, height=330)]


def rates(runs: Sequence[Run], title: str = "learning rate of each epoch", **size: Any) -> Figure:
    """Learning rate against epoch, a line for each run; epochs with a deficit are drawn thick."""
    fig = show.figure(title, "epoch", "learning rate", **size)
    for run, dash in zip(runs, cycle(DASHES), strict=False):
        rate = [part.lr for part in run.timeline if isinstance(part, Step)]
        look = style(run.deficit)
        label = look.label + (f" until {run.end}" if run.length else "")
        fig.ax.plot(rate, **line_look(look._replace(dash=dash)), linewidth=1.5, label=label)
        inside = range(run.onset, run.end)
        fig.ax.plot(inside, rate[run.onset : run.end], color=look.colour, linewidth=6, alpha=0.5)
    return name_lines(fig)


def longest_harmless_window(harms: Mapping[int, Estimate], penalty: float = 1.0) -> Epochs:
    """The longest window of a deficit without a penalty, which the slides call the critical period:
    the length at which harm, interpolated between lengths, first exceeds the penalty; infinite if
    it never does, NaN if no window was trained. The interval holds all lengths whose harm is not
    distinguishable from the penalty.

    Arguments: harms, by the length of the window; penalty, the smallest harm that counts, in points
        of accuracy.

    >>> runs = quantities.every_length(Run("blur", length=8))
    >>> harms = {run.length: quantities.harm(run) for run in runs}
    >>> print(*np.round(longest_harmless_window(harms), 1))
    5.0 2.2 6.8
    """
    estimates = {n: harms[n] for n in sorted(harms) if harms[n].seeds}

    def end(sign: int) -> float:
        points = [(n, e.mean + (sign * e.half if sign else 0)) for n, e in estimates.items()]
        finite = [(n, y) for n, y in points if np.isfinite(y)]
        lengths, heights = zip((0, 0.0), *finite, strict=True)
        crossing = find_crossing(lengths, heights, penalty)
        return crossing if not np.isnan(crossing) else np.inf if finite else np.nan

    return Epochs(end(0), end(1), end(-1))


def longest_harmless() -> float:
    """The longest harmless window of blur from birth in the course network, in epochs."""
    runs = quantities.every_length(Run("blur", length=8))
    return longest_harmless_window({r.length: quantities.harm(r) for r in runs}).epochs
