"""Lab 02b: the paper's schedule, whose learning rate falls with every epoch, and its two controls.

Under it only small steps follow a deficit that ends late. The twin starts fresh,
at the first rate; a twin that *overslept* is not trained until the deficit ends, and then has the
rates that are left.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any, NamedTuple

import numpy as np

from cplab import show
from cplab.estimates import Estimate, find_crossing
from cplab.output.styles import DASHES, style
from cplab.quantities import harm
from cplab.runs import Run, Step
from cplab.show import Figure
from cplab.show.base import line_look, name_lines

KINDS = ("blur", "noise", "flip", "permute")
# What the schedule's clock does during the deficit, for both controls, by words for the control
CLOCKS_IN_WORDS = {"twin": "stopped", "twin that overslept": "running"}


class HarmlessWindow(NamedTuple):
    """The longest window without a penalty, in epochs, and the ends of the interval."""

    length: float
    low: float
    high: float


def until(deficit: str, end: int, pace: int = 1, profile: str = "course", **fields: Any) -> Run:
    """A run with a deficit from birth until `end` and a recovery of 160, both in the paper's
    epochs; one of our epochs stands for `pace` of these.

    >>> until("flip", 140, pace=10).length
    14
    """
    fields = {"schedule": "paper", "pace": pace, "profile": profile, **fields}
    return Run(deficit, 0, end // pace, 160 // pace, **fields)


def both_controls(run: Run) -> dict[str, Estimate]:
    """A run's harm beside its twin, which starts fresh, and beside a twin that overslept.

    >>> [*both_controls(until("blur", 60))]
    ['twin', 'twin that overslept']
    """
    return {words: harm(run, clock=clock) for words, clock in CLOCKS_IN_WORDS.items()}


def worst_onset(windows: Mapping[int, Run]) -> int | str | None:
    """The onset at which a window harms more than at every other onset, against both controls; the
    text "none" if there is no such onset, and None if a run is missing.

    Arguments:
        windows: runs by their onset.
    """
    worst: int | str = "none"
    for onset, run in windows.items():
        rivals = [rival for rival in windows.values() if rival != run]
        signs = signs_of_differences(run, rivals)
        if None in signs:
            return None
        if signs == {1}:
            worst = onset
    return worst


def signs_of_differences(run: Run, rivals: Sequence[Run]) -> set[int | None]:
    """The signs that occur among the differences of a run's harm and the harms of its rivals,
    against both controls; see `Estimate.sign`."""
    signs = set()
    for rival in rivals:
        for clock in CLOCKS_IN_WORDS.values():
            difference = harm(run, clock=clock) - harm(rival, clock=clock)
            signs.add(difference.sign)
    return signs


def sliding(windows: Mapping[int, Run], kinds: Sequence[str]) -> list[Figure]:
    """Draw the harm of windows that slide over the schedule: by onset, a line for each kind of
    deficit, and a figure for each control."""
    lines = {}
    for kind in kinds:
        lines[show.label(kind)] = [run.replace(deficit=kind) for run in windows.values()]
    figures = []
    for words, clock in CLOCKS_IN_WORDS.items():
        title = f"Beside the {words}"
        figures.append(
            show.harm_by("onset", lines, title, clock=clock, width=430, y_range=(-3, 10))
        )
    return figures


def removal_and_rates(
    schedule: str, profile: str, lengths: Sequence[int], kinds: Sequence[str]
) -> list[Figure]:
    """Draw the removal curves of kinds of deficit under a schedule, and beside them the learning
    rates of the last kind's runs."""
    fields: dict[str, Any] = {"profile": profile, "schedule": schedule}
    runs = [Run(kinds[-1], length=length, **fields) for length in lengths]
    curves = show.removal(Run(**fields), kinds, width=490, height=330)
    return [curves, rates(runs, width=360, height=330)]


def rates(runs: Sequence[Run], title: str = "", **size: Any) -> Figure:
    """Draw learning rates by epoch, a line for each run; epochs with a deficit are drawn thick."""
    fig = show.figure(title, "epoch", "learning rate", **size)
    for run, dash in zip(runs, cycle(DASHES), strict=False):
        steps = [part for part in run.timeline if isinstance(part, Step)]
        rate = [step.lr for step in steps]  # by epoch
        look = style(run.deficit)
        label = f"{look.label} until {run.end}" if run.length else look.label
        fig.ax.plot(rate, **line_look(look._replace(dash=dash)), linewidth=1.5, label=label)
        window = range(run.onset, run.end)
        rate_in_window = rate[run.onset : run.end]
        fig.ax.plot(window, rate_in_window, color=look.colour, linewidth=6, alpha=0.5)
    return name_lines(fig)


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


def longest_harmless_window(harms: Mapping[int, Estimate]) -> HarmlessWindow:
    """The longest window of a deficit without a penalty, which the slides call the critical period.

    It is the length at which the harm, interpolated between lengths, first exceeds a point. Its
    interval holds all lengths whose harm cannot be told from a point.

    Arguments:
        harms: by length in epochs.

    Returns:
        numbers that are infinite where harm never exceeds a point, and NaN if no window was
        trained.

    >>> from cplab.quantities import every_length
    >>> runs = every_length(Run("blur", length=8))
    >>> harms = {run.length: harm(run) for run in runs}
    >>> print(*np.round(longest_harmless_window(harms), 1))
    5.0 2.2 6.8
    """
    trained = {length: harms[length] for length in sorted(harms) if harms[length].seeds}
    means = {length: points.mean for length, points in trained.items()}
    lows = {length: points.mean - points.half for length, points in trained.items()}
    highs = {length: points.mean + points.half for length, points in trained.items()}
    return HarmlessWindow(
        length=first_above_one(means),
        low=first_above_one(highs),  # the highest harm that is possible exceeds a point first
        high=first_above_one(lows),
    )


def first_above_one(heights: Mapping[int, float]) -> float:
    """The place at which a line from (0, 0) through finite heights, by place, first exceeds 1;
    infinite if it never does, NaN if there is no height.

    >>> first_above_one({2: 0.5, 4: 1.5}), first_above_one({2: 0.5})
    (3.0, inf)
    """
    finite = {place: height for place, height in heights.items() if np.isfinite(height)}
    if not finite:
        return np.nan
    crossing = find_crossing((0, *finite), (0.0, *finite.values()), 1.0)
    return np.inf if np.isnan(crossing) else crossing


# The picture under the title ---------------------------------------------------------------------


def first_picture() -> Figure:
    """Draw the rates with which networks learn and recover, under the paper's"""
    runs = [until("flip", end) for end in (60, 140)]
    title = "The paper's learning rate (thick: while images are flipped)"
    return rates(runs, title=title, height=300)
