"""Lab 02: the same blur early and late, in a network whose learning rate never changes.

Accuracy is read against *clear epochs seen*. At such a rate one run without a deficit is the
control of every window: harm is how far a run lies below it after as many clear epochs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from bokeh.models import Range1d
from bokeh.plotting import figure

from cplab import quantities, results, statistics
from cplab.runs import Run, Step
from cplab.show import means
from cplab.show.theme import DASHES, EQUAL, place_legend, plain_figure, reference_line, style
from cplab.statistics import PerSeed
from cplab.studies.sentences import side, spread
from cplab.windows import same_setting

__all__ = ["behind", "by_kind", "by_onset", "clear_epochs", "flagship", "harm", "harm_curves"]
__all__ += ["strong_steps", "steps_left", "stands_at", "time_bars"]

READ_OUT = 5  # epochs that a read-out is the mean of: at a rate that stays, the last is restless


def flagship(profile: str = "course") -> dict[str, Any]:
    """The fields of the runs of this lab: three blocks, and a rate that never changes.

    >>> Run("blur", length=16, **flagship()).epochs
    76
    """
    how = {"profile": profile, "model": "depth3", "schedule": "fixed"}
    return {**how, "recovery": 6 if profile == "ci" else 60}


def never_deprived(like: Run) -> dict[int, np.ndarray]:
    """Test accuracy in percent by epoch, {seed: (epochs,)}, of the longest run without a deficit
    in the setting of a run."""
    rows = same_setting(like)
    longest = rows[rows.deficit == "none"].groupby("seed").onset.max()
    clear = {
        seed: replace(like, deficit="none", onset=int(onset), length=0, seed=int(seed))
        for seed, onset in longest.items()
    }
    return {seed: accuracies(run) for seed, run in clear.items()}


def accuracies(run: Run) -> np.ndarray:
    """Test accuracy in percent after each epoch of a run."""
    return 100 * np.array(quantities.result(run).series("test_accuracy"))


def each_curve(run: Run) -> dict[int, np.ndarray]:
    """Test accuracy in percent by epoch of each seed of a run that was trained."""
    known = (results.find(replace(run, seed=seed)) for seed in quantities.SEEDS)
    return {r.spec.seed: 100 * np.array(r.series("test_accuracy")) for r in known if r}


def harm(run: Run, after: int | None = None) -> PerSeed:
    """Points of harm, one a seed: how far a run lies below one without a deficit that has seen as
    many clear epochs, over five epochs.

    Arguments: run, at a rate that never changes; after, clear epochs after the deficit, all if not
        given.

    >>> harm(Run("blur", length=16, **flagship())).mean() > 3
    True
    """
    after = after or run.recovery
    clear, found = never_deprived(run), []
    end = run.onset + after
    for seed, curve in each_curve(run).items():
        if seed in clear and len(clear[seed]) >= end:
            low = curve[run.end + after - READ_OUT : run.end + after].mean()
            high = clear[seed][end - READ_OUT : end].mean()
            # From birth the two share no training; later they share the clear epochs before.
            found.append([high, -low] if run.onset == 0 else [high - low, 0.0])
    return PerSeed(np.array(found).reshape(-1, 2))


def stands_at(run: Run) -> int:
    """After how many clear epochs a network without a deficit stood where this one ends.

    >>> stands_at(Run("blur", length=16, **flagship())) < 40
    True
    """
    last = run.onset + run.recovery
    clear = np.mean([c[:last] for c in never_deprived(run).values() if len(c) >= last], axis=0)
    ends = np.mean([curve[-READ_OUT:].mean() for curve in each_curve(run).values()])
    recent = np.convolve(clear, np.ones(READ_OUT) / READ_OUT, "valid")
    reached = np.flatnonzero(recent >= ends)
    return int(reached[0]) + READ_OUT if len(reached) else last


def behind(run: Run, network: str = "the blurred network") -> str:
    """Where a run ends beside one without a deficit, in one sentence."""
    points, clear = harm(run), run.onset + run.recovery
    if len(points) < 2:
        return "Too few of these networks have been trained yet."
    above, below = (f"{word} one that never was" for word in ("ahead of", "behind"))
    where = side(
        points,
        f"{spread(points)} points {below}: it stands where that one stood after {stands_at(run)}",
        f"level with one that never was, as far as {len(points)} seeds can tell",
        f"{spread(-points)} points {above}",
    )
    return f"After {clear} clear epochs {network} is {where}."


def clear_epochs(runs: Mapping[str, Run], title: str = "", **options: Any) -> figure:
    """Test accuracy against clear epochs seen: grey without a deficit, and a line for each run,
    which leaves the grey one at its onset.

    Arguments: runs, of one setting, by the words for them; title, what is found.
    """
    like = next(iter(runs.values()))
    options = {"width": 860, "height": 400, **options}
    fig = plain_figure(title, "clear epochs seen", "test accuracy, %", **options)
    latest = max(run.onset + run.recovery for run in runs.values())
    grey = [curve[:latest] for curve in never_deprived(like).values()]
    draw_band(fig, 1, grey, EQUAL.colour, "never deprived", "solid")
    used: dict[str, int] = {}
    for words, run in runs.items():
        look, curves = style(run.deficit), [*each_curve(run).values()]
        dash = DASHES[used.get(run.deficit, 0)]
        used[run.deficit] = used.get(run.deficit, 0) + 1
        draw_band(fig, run.onset + 1, [c[run.end :] for c in curves], look.colour, words, dash)
        if curves and run.onset:
            dip = np.mean([c[run.onset - 1 : run.end + 1] for c in curves], axis=0)
            at = [run.onset] * (len(dip) - 1) + [run.onset + 1]
            fig.line(at, dip, color=look.colour, line_dash="dotted", width=1.5)
    counts = [len(each_curve(run)) for run in runs.values()]
    if any(counts):
        seeds = statistics.count_seeds(*filter(None, counts))
        fig.xaxis.axis_label = f"clear epochs seen   ({seeds} a line, bands: 95 %)"
    fig.x_range = Range1d(0, latest + 1)
    return place_legend(fig, "bottom_right")


def draw_band(
    fig: figure, first: int, curves: Sequence, colour: str, words: str, dash: str
) -> None:
    """Draw the mean of some curves and its 95 % interval from an epoch on."""
    if not curves:
        return
    columns = statistics.mean_columns([[*filter(np.isfinite, row)] for row in aligned(curves)])
    x = np.arange(first, first + len(columns["mean"]))
    fig.varea(x, columns["low"], columns["high"], color=colour, alpha=0.15)
    how = {"color": colour, "line_dash": dash, "legend_label": words}
    fig.line(x, columns["mean"], width=2.5, **how)


def aligned(curves: Sequence) -> np.ndarray:
    """Curves of several lengths as one table, (epochs, seeds), NaN where one has ended."""
    table = np.full((max(map(len, curves)), len(curves)), np.nan)
    for seed, curve in enumerate(curves):
        table[: len(curve), seed] = curve
    return table


def harm_figure(groups: Mapping, x: str, title: str, **options: Any) -> figure:
    """Harm in points against a number, one line a kind, with the line of no harm."""
    options = {"width": 700, "height": 340, "legend": "right", **options}
    fig = means(groups, (x, "harm, points"), percent=False, title=title, **options)
    reference_line(fig, "width", EQUAL.colour)
    return fig


def by_onset(run: Run, onsets: Sequence[int], title: str = "") -> figure:
    """The harm of a window, by the clear epochs before it."""
    each = {onset: harm(replace(run, onset=onset)) for onset in onsets}
    return harm_figure({run.deficit: each}, "clear epochs before the deficit", title)


def by_kind(runs: Mapping[str, Run], title: str = "") -> figure:
    """The harm of several deficits, after more and more clear epochs."""
    return harm_curves(runs, title)


def harm_curves(runs: Mapping[str, Run], title: str = "", **options: Any) -> figure:
    """Harm against the clear epochs after the deficit, one line a run."""
    groups = {
        words: {n: harm(run, n) for n in range(READ_OUT, run.recovery + 1, READ_OUT)}
        for words, run in runs.items()
    }
    return harm_figure(groups, "clear epochs after the deficit", title, **options)


def time_bars(run: Run) -> str:
    """Three runs as bars of time, as HTML: with the window, without it, and with clear epochs in
    its place."""
    blur, grey = style(run.deficit).colour, EQUAL.colour
    scale = 640 / run.epochs

    def bar(epochs: int, colour: str, words: str) -> str:
        look = f"width:{scale * epochs:.0f}px;background:{colour};color:white;padding:3px 0"
        return f'<span style="display:inline-block;text-align:center;{look}">{words}</span>'

    recovery = bar(run.recovery, grey, f"{run.recovery} clear")
    before = bar(run.onset, grey, f"{run.onset} clear") if run.onset else ""
    rows = {
        "this run": before + bar(run.length, blur, style(run.deficit).label) + recovery,
        "the window cut out": before + recovery,
        "equal training": before + bar(run.length, "#888888", f"{run.length} clear") + recovery,
    }
    cells = "".join(
        f'<tr><td style="padding:2px 10px 2px 0;text-align:right">{words}</td>'
        f'<td style="text-align:left;white-space:nowrap">{bars}</td></tr>'
        for words, bars in rows.items()
    )
    return f'<table style="border:0">{cells}</table>'


def steps_left(run: Run) -> float:
    """Learning rate times steps, summed over all that are left when the deficit ends.

    >>> round(steps_left(Run("blur", length=16, **flagship())))
    95
    """
    batches = -(-run.settings.train_images // run.settings.batch)
    rates = [step.lr for step in run.life if isinstance(step, Step)]
    return batches * float(sum(rates[run.end :]))


def strong_steps(runs: Mapping[str, Sequence[Run]], title: str = "") -> figure:
    """Harm against the learning rate times the steps that are left when the deficit ends, one line
    a group of runs; both are numbers that each run gives."""
    groups = {
        words: {steps_left(run): quantities.each_seed(quantities.harm, run) for run in some}
        for words, some in runs.items()
    }
    fig = harm_figure(groups, "learning rate × steps left when the blur ends", title, log=True)
    fig.xaxis.ticker = [1, 3, 10, 30, 100, 300]
    return fig


def harm_table(runs: Mapping[str, Run]) -> pd.DataFrame:
    """The harm of some runs in points, and of how many seeds."""
    rows = {}
    for words, run in runs.items():
        points = harm(run)
        rows[words] = {"harm, points": spread(points), "seeds": len(points)}
    return pd.DataFrame(rows).T
