"""Figures of runs: final accuracies, quantities over the epochs, harm. `size` as in figures.py."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from cplab import estimates, quantities
from cplab.deficits import canonical_name
from cplab.errors import by_label, many, one_of, require
from cplab.estimates import Estimate, mean_in_words
from cplab.measure import MEASUREMENTS, Measurement
from cplab.quantities import each_result
from cplab.results import Result
from cplab.results.result import LAST
from cplab.results.rows import run_columns
from cplab.runs import Run
from cplab.show.base import GREY, Figure, band, figure, line_look, name_lines, styled
from cplab.show.figures import means, seeds_line, table
from cplab.specs import check_spec
from cplab.specs.own import full_name
from cplab.styles import DASHES, EQUAL, NEWBORN, QUANTITIES, Style, style

CONTROLS: dict[str, tuple] = {  # for `removal`: a function of the run, and its name
    "newborn": (Run.newborn, "the newborn"),
    "equal training": (Run.equal_training, "equal training"),
    "without window": (Run.without_window, "the same run without it"),
}


def removal(
    like: Run,
    deficits: Sequence = ("blur", "flip"),
    control: str = "",
    title: str = "",
    **size: Any,
) -> Figure:
    """Draw final accuracy against the epoch at which the deficit is removed (paper, figures 1, 2).

    Arguments: like, a run that gives profile, schedule and onset; deficits, names or functions of
        your own; control, newborn, equal training or without window: accuracies are then in points
        above it. Without a control in the call, the controls are drawn in grey.

    >>> removal(Run(profile="ci"), ("blur",)).ax.get_ylabel()
    'final test accuracy, %'
    >>> removal(Run(profile="ci"), ("blur",), control="equal training").ax.get_ylabel()
    'points above equal training'
    """
    names, like = map(canonical_name, many(deficits)), check_spec(like)
    impaired = {n: quantities.every_length(replace(like, deficit=n, length=1)) for n in names}
    since = f", from epoch {like.onset}" if like.onset else ""
    x, accuracy = f"epochs with the deficit{since}", quantities.accuracy
    groups: dict[str, dict[int, Estimate]] = {}
    if control:
        other, words = CONTROLS[one_of("control", control, CONTROLS)]
        for name, runs in impaired.items():
            groups[name] = {run.length: accuracy(run) - accuracy(other(run)) for run in runs}
        return means(groups, (x, f"points above {words}"), title, zero=True, **size)
    clear = replace(like, deficit="none", length=0)
    lengths = sorted({0}.union(run.length for runs in impaired.values() for run in runs))
    equal = {n: accuracy(replace(clear, onset=like.onset + n)) for n in lengths}
    newborn = accuracy(clear.newborn())
    groups = {EQUAL.label: equal, NEWBORN.label: {0: newborn, lengths[-1] or 1: newborn}}
    for name, runs in impaired.items():
        groups[name] = {0: equal[0]} | {run.length: accuracy(run) for run in runs}
    y = "test accuracy, %, mean of the last 5 epochs"
    y = y if like.schedule == "fixed" else "final test accuracy, %"
    return means(groups, (x, y), title, **size)


@styled
def over_epochs(
    runs: Mapping[str, Run], what: str = "trace", title: str = "", **size: Any
) -> Figure:
    """Draw a quantity against the epoch, a line for each run.

    Arguments: runs, {label: run}; what, trace, log_det, test_accuracy, train_loss or another
        quantity that `Result.series` gives; title, the finding.
    A line has the look of its deficit, and is fainter the earlier that ended, at a large marker.

    >>> over_epochs({"blur": Run("blur", length=8)}, "train_loss")
    training loss against epoch: blur
    """
    what = full_name(Measurement, what)
    measure = what if what in ("trace", "log_det") else ()
    rows = {text: [one.series(what) for one in each_result(runs[text], measure)] for text in runs}
    known = MEASUREMENTS[what].label if what in MEASUREMENTS else what
    words, fractions = QUANTITIES.get(what, known), what == "test_accuracy"
    note = seeds_line(rows.values(), [text for text in rows if not rows[text]])
    fig = figure(title, "epoch", words, fractions, source=note, **size)
    latest = max([1, *(run.end for run in runs.values() if run.length)])
    for text, run in runs.items():
        if not rows[text]:
            continue
        curves = np.array(rows[text])
        epochs = np.flatnonzero(np.isfinite(curves).all(0)) + 1  # that were measured in all
        mean, half = estimates.mean_of_curves(curves[:, epochs - 1])
        look = style(run.deficit)._replace(label=text)
        strength = 0.35 + 0.65 * run.end / latest if run.length else 1.0
        possible = (0.0, 1.0) if fractions else (-np.inf, np.inf)
        band(fig.ax, epochs, mean, half, look, alpha=strength, ends=possible)
        ends = np.flatnonzero((epochs == run.end) & (run.length > 0))
        how = line_look(look, points=True) | {"markersize": 9, "alpha": strength}
        fig.ax.plot(epochs[ends], mean[ends], **how)
    low, high = fig.ax.get_ylim()
    # two seeds have a wide interval, wider than what there can be
    fig.ax.set_ylim(max(0, low) if fractions else 0, min(1, high) if fractions else high)
    return name_lines(fig)


@styled
def clear_epochs(runs: Mapping[str, Run], title: str = "", **size: Any) -> Figure:
    """Draw test accuracy against clear epochs seen, in grey without a deficit. Each of several runs
    of one setting has a line that leaves the grey one at its onset. Harm is the bracket at the
    end of a line, with its interval beside it.

    Arguments: runs, {label: run}, of the schedule `fixed`; title, the finding, by default in
        numbers.

    >>> blur = Run("blur", length=16, schedule="fixed", model="depth3", recovery=60)
    >>> clear_epochs({"blurred from birth": blur}).get_suptitle()
    'Blurred from birth ends 4.3 points behind'
    """
    require(by_label("runs", runs), "runs {} are not allowed: give one or more by their words")
    like = check_spec(next(iter(runs.values())))
    settings = {quantities.setting_of(run_columns(check_spec(run))) for run in runs.values()}
    several = "runs {} are of several settings, each with its own clear run"
    require(len(settings) == 1, f"{several}: draw one figure for each", [*runs])
    line = f"schedule {like.schedule!r} changes the rate, so that no clear run is the control"
    require(like.schedule == "fixed", f"{line} of all: give fixed")

    def curves_of(results: Iterable[Result]) -> list[np.ndarray]:
        return [100 * result.series("test_accuracy") for result in results]

    grey = curves_of(quantities.longest_clear(like.newborn()).values())
    each = {text: curves_of(each_result(run)) for text, run in runs.items()}
    harms = {text: quantities.harm(run) for text, run in runs.items()}
    latest = max(run.onset + run.recovery for run in runs.values())
    note = seeds_line([grey, *each.values()], [text for text in each if not each[text]])
    axes = ("clear epochs seen", "test accuracy, %")
    fig = figure(title or harm_title(harms), *axes, source=note, **size)

    def draw(curves: Sequence, begin: int, look: Style) -> np.ndarray:
        mean, half = estimates.mean_of_curves(curves)
        if len(mean):
            band(fig.ax, np.arange(begin, begin + len(mean)), mean, half, look, ends=(0, 100))
        return mean

    draw([curve[:latest] for curve in grey], 1, Style("no deficit", EQUAL.colour))
    ages: Counter[str] = Counter()  # of lines so far, by their deficit
    at: Counter[int] = Counter()  # of brackets so far, by their place
    for text, run in runs.items():
        harm, curves, look = harms[text], each[text], style(run.deficit)
        dashes = [look.dash, *(dash for dash in DASHES if dash != look.dash)]
        dash = dashes[ages[run.deficit] % len(dashes)]
        look = Style(f"{text}:\nharm {mean_in_words(harm.mean, harm.half)}", look.colour, dash)
        ages[run.deficit] += 1
        mean = draw([curve[run.end :] for curve in curves], run.onset + 1, look)
        if len(mean) and run.onset:
            dip = np.mean([curve[run.onset - 1 : run.end + 1] for curve in curves], axis=0)
            epochs = [run.onset] * (len(dip) - 1) + [run.onset + 1]
            fig.ax.plot(epochs, dip, color=look.colour, linestyle=":", linewidth=1.5)
        if len(mean) and harm.sign:
            last = run.onset + run.recovery
            bracket(fig.ax, last + 0.015 * latest * at[last], mean[-5:].mean(), harm.mean)
            at[last] += 1
    fig.ax.set_xlim(0, latest * (1.01 + 0.015 * max(at[latest] - 1, 0)))
    return name_lines(fig)


def bracket(ax: Any, x: float, low: float, size: float) -> None:
    """Draw an upright bracket of a given size at x, from `low` upwards."""
    cap = 0.006 * ax.get_xlim()[1]
    ends = [x + cap, x - cap, x, x, x - cap, x + cap]
    heights = [low, low, low, *[low + size] * 3]
    ax.plot(ends, heights, color=GREY, linewidth=1.8, zorder=3)


def harm_title(harms: Mapping[str, Estimate]) -> str:
    """Write in one line how far networks end behind or ahead."""
    parts = []
    for text, harm in harms.items():
        if harm.seeds:
            end = f"{abs(harm.mean):.1f} points {'behind' if harm.mean > 0 else 'ahead'}"
            end = end if harm.sign != 0 else f"level (± {harm.half:.1f})"
            parts.append(f"{text} ends {end}")
    line = "; ".join(parts)
    return line[:1].upper() + line[1:] or "Test accuracy against clear epochs seen"


def harm_curves(runs: Mapping[str, Run], title: str = "", **size: Any) -> Figure:
    """Draw harm against the clear epochs after the deficit, a line for each of several runs.

    Arguments: runs, {label: run}, of the schedule `fixed`; title, the finding.

    >>> blur = Run("blur", length=16, schedule="fixed", model="depth3", recovery=60)
    >>> harm_curves({"blurred from birth": blur}).ax.get_xlabel()
    'clear epochs after the deficit'
    """
    groups = {}
    for text, run in by_label("runs", runs).items():
        step = max(1, min(LAST, run.recovery // 5), run.recovery // 20)
        groups[text] = {n: quantities.harm(run, n) for n in range(step, run.recovery + 1, step)}
    axes = ("clear epochs after the deficit", "harm, points")
    return means(groups, axes, title, zero=True, **size)


def harm_table(runs: Mapping[str, Run]) -> Any:
    """Make a table of runs' harm, {label: run}, and their seeds. Untrained runs are left out.

    >>> [*harm_table({"8 epochs of blur": Run("blur", length=8)}).index]
    ['8 epochs of blur']
    """
    return table(
        {
            words: {"harm, points": quantities.harm(run)}
            for words, run in by_label("runs", runs).items()
        }
    )
