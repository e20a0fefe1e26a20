"""Figures of runs: final accuracies, quantities over the epochs, harm. `size` as in figures.py."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, Unpack

import numpy as np

from cplab import estimates, quantities
from cplab.deficits import canonical_name
from cplab.errors import CplabError, as_list, check_dict, one_of, quote
from cplab.estimates import Estimate, is_level, lacking_in, mean_in_words
from cplab.measure import MEASUREMENTS, Measurement
from cplab.quantities import each_result, lack
from cplab.results import Result
from cplab.results.result import LAST
from cplab.results.rows import run_columns
from cplab.runs import Run
from cplab.show.base import GREY, Figure, Size, draw_band, figure, line_look, name_lines, styled
from cplab.show.figures import means, seeds_line, table
from cplab.specs import check_spec
from cplab.specs.own import full_name
from cplab.styles import DASHES, EQUAL, NEWBORN, QUANTITIES, Style, style

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


class Control(NamedTuple):
    """What a run is compared with in `removal`: the run that it gives, and its words."""

    of_run: Callable[[Run], Run]
    words: str


CONTROLS = {
    "newborn": Control(Run.newborn, "the newborn"),
    "equal training": Control(Run.equal_training, "equal training"),
    "without window": Control(Run.without_window, "the twin"),
}


# The words for a field of runs, on an axis
FIELDS = {
    "onset": "clear epochs before the deficit",
    "length": "epochs of the deficit",
    "end": "epoch at which the deficit is removed",
    "recovery": "clear epochs after the deficit",
}


def removal(
    run: Run,
    deficits: Sequence = ("blur", "flip"),
    control: str = "",
    title: str = "",
    **size: Unpack[Size],
) -> Figure:
    """Draw final accuracy against the epoch at which the deficit is removed (paper, figures 1, 2).

    Arguments: run, whose profile, schedule and onset all runs have; deficits, names or functions of
        your own; control, newborn, equal training or without window: accuracies are then in points
        above it. Without a control in the call, the controls are drawn in grey; title, the finding.

    >>> removal(Run(profile="ci"), ("blur",)).ax.get_ylabel()
    'final test accuracy, %'
    >>> removal(Run(profile="ci"), ("blur",), control="equal training").ax.get_ylabel()
    'points above equal training'
    """
    run = check_spec(run)
    impaired: dict[str, list[Run]] = {}  # of each deficit, runs of every length
    for name in map(canonical_name, as_list(deficits)):
        impaired[name] = quantities.every_length(replace(run, deficit=name, length=1))
    x = "epochs with the deficit"
    if run.onset:
        x += f", from epoch {run.onset}"
    if control:
        chosen = CONTROLS[one_of("control", control, CONTROLS)]
        return removal_beside(impaired, chosen, x, title, size)

    lengths = {0}
    for runs in impaired.values():
        lengths.update(deprived.length for deprived in runs)
    clear = replace(run, deficit="none", length=0)
    equal = {}
    for length in sorted(lengths):
        equal[length] = quantities.accuracy(replace(clear, onset=run.onset + length))
    newborn = quantities.accuracy(clear.newborn())
    longest = max(lengths) or 1
    groups = {EQUAL.label: equal, NEWBORN.label: {0: newborn, longest: newborn}}
    for name, runs in impaired.items():
        groups[name] = {0: equal[0]}
        for deprived in runs:
            groups[name][deprived.length] = quantities.accuracy(deprived)
    if run.schedule == "fixed":
        y = "test accuracy, %, mean of the last 5 epochs"
    else:
        y = "final test accuracy, %"
    return means(groups, (x, y), title, **size)


def removal_beside(
    impaired: Mapping[str, Sequence[Run]],
    control: Control,
    x: str,
    title: str,
    size: Size,
) -> Figure:
    """Draw how many points runs, {deficit: runs}, lie above a control, against their length."""
    groups: dict[str, dict[int, Estimate]] = {}
    for name, runs in impaired.items():
        groups[name] = {}
        for run in runs:
            groups[name][run.length] = quantities.advantage(run, control.of_run(run))
    return means(groups, (x, f"points above {control.words}"), title, zero=True, **size)


@styled
def over_epochs(
    runs: Mapping[str, Run], quantity: str = "trace", title: str = "", **size: Unpack[Size]
) -> Figure:
    """Draw a quantity against the epoch, a line for each run, which has the look of its deficit. A
    large marker shows where the deficit ended; the earlier that was, the fainter the line.

    Arguments: runs, {label: run}; quantity, trace, log_det, test_accuracy, train_loss or another
        one that `Result.series` gives; title, the finding.

    >>> over_epochs({"blur": Run("blur", length=8)}, "train_loss")
    training loss against epoch: blur
    """
    quantity = full_name(Measurement, quantity)
    measure = "trace" if quantity in ("trace", "log_det") else ()  # which measures both
    rows: dict[str, list[np.ndarray]] = {}  # of each run, one row of epochs a seed
    for text, run in runs.items():
        rows[text] = [result.series(quantity) for result in each_result(run, measure)]
    missing = [text for text in rows if not rows[text]]
    fractions = quantity == "test_accuracy"
    note = seeds_line(rows.values(), missing)
    fig = figure(title, "epoch", label_of(quantity), fractions, source=note, **size)
    fig.lacking = tuple(lack(runs[text], measure) for text in missing)
    ends = [run.end for run in runs.values() if run.length]  # of deficits
    latest = max(ends, default=1)
    possible = (0.0, 1.0) if fractions else (-np.inf, np.inf)
    for text, run in runs.items():
        if not rows[text]:
            continue
        curves = np.array(rows[text])  # (seeds, epochs)
        measured = np.isfinite(curves).all(axis=0)  # of every seed
        epochs = np.flatnonzero(measured) + 1
        mean, half = estimates.mean_of_curves(curves[:, epochs - 1])
        look = style(run.deficit)._replace(label=text)
        strength = 0.35 + 0.65 * run.end / latest if run.length else 1.0
        draw_band(fig.ax, epochs, mean, half, look, alpha=strength, ends=possible)
        if run.length:
            removed = np.flatnonzero(epochs == run.end)
            marker = line_look(look, points=True)
            marker["markersize"] = 9
            marker["alpha"] = strength
            fig.ax.plot(epochs[removed], mean[removed], **marker)
    # two seeds have a wide interval, which may go beyond the possible values
    low, high = fig.ax.get_ylim()
    if fractions:
        fig.ax.set_ylim(max(0, low), min(1, high))
    else:
        fig.ax.set_ylim(0, high)
    return name_lines(fig)


def label_of(quantity: str) -> str:
    """The words for a quantity over the epochs, on an axis.

    >>> label_of("train_loss")
    'training loss'
    """
    if quantity in QUANTITIES:
        return QUANTITIES[quantity]
    return MEASUREMENTS[quantity].label if quantity in MEASUREMENTS else quantity


@styled
def clear_epochs(runs: Mapping[str, Run], title: str = "", **size: Unpack[Size]) -> Figure:
    """Draw test accuracy against clear epochs seen. A grey line is the twin, and each run
    of the same setting has a line that leaves the grey one at its onset. The bracket at the end of
    a line is its harm, whose interval the legend gives.

    Arguments: runs, {label: run}, of the schedule `fixed`; title, the finding, by default in
        numbers.

    >>> blur = Run("blur", length=16, schedule="fixed", model="depth3", recovery=60)
    >>> clear_epochs({"blurred from birth": blur}).get_suptitle()
    'Blurred from birth ends 4.2 points behind'
    """
    check_one_setting(runs)
    newborn = next(iter(runs.values())).newborn()
    grey = accuracy_curves(quantities.longest_clear(newborn).values())
    curves = {text: accuracy_curves(each_result(run)) for text, run in runs.items()}
    missing = [text for text in curves if not curves[text]]
    harms = {text: quantities.harm(run) for text, run in runs.items()}
    latest = max(run.onset + run.recovery for run in runs.values())
    note = seeds_line([grey, *curves.values()], missing)
    axes = ("clear epochs seen", "test accuracy, %")
    fig = figure(title or harm_title(harms), *axes, source=note, **size)
    fig.lacking = lacking_in(harms)

    without = Style("twin", EQUAL.colour)
    draw_mean(fig, [curve[:latest] for curve in grey], 1, without)
    lines: Counter[str] = Counter()  # drawn so far, by their deficit
    brackets: Counter[int] = Counter()  # drawn so far, by their place
    for text, run in runs.items():
        harm = harms[text]
        label = f"{text}:\nharm {mean_in_words(harm.mean, harm.half)}"
        look = look_of_line(run.deficit, label, lines[run.deficit])
        lines[run.deficit] += 1
        after_deficit = [curve[run.end :] for curve in curves[text]]
        mean = draw_mean(fig, after_deficit, run.onset + 1, look)
        if not len(mean):
            continue
        if run.onset:
            draw_dip(fig, curves[text], run, look)
        if harm.sign:
            last = run.onset + run.recovery
            place = last + 0.015 * latest * brackets[last]
            bracket(fig.ax, place, mean[-LAST:].mean(), harm.mean)
            brackets[last] += 1
    more_brackets = max(brackets[latest] - 1, 0)  # at the right end, side by side
    fig.ax.set_xlim(0, latest * (1.01 + 0.015 * more_brackets))
    return name_lines(fig)


def look_of_line(deficit: str, label: str, number: int) -> Style:
    """The look of a line: in the colour of its deficit, whose first line has the usual dashes, and
    further ones have others. number, of the deficit's lines before it."""
    usual = style(deficit)
    other_dashes = [dash for dash in DASHES if dash != usual.dash]
    dashes = [usual.dash, *other_dashes]
    return Style(label, usual.colour, dashes[number % len(dashes)])


def check_one_setting(runs: Mapping[str, Run]) -> None:
    """Raise a CplabError unless all runs, one or more, have the same clear run as their control."""
    if not check_dict("runs", runs):
        raise CplabError(
            f"runs {quote(runs)} are not allowed: give one or more, each with its words"
        )
    settings = {quantities.setting_of(run_columns(check_spec(run))) for run in runs.values()}
    if len(settings) > 1:
        raise CplabError(
            f"runs {quote([*runs])} are of several settings, each with its own clear run: "
            "draw one figure for each"
        )
    schedule = next(iter(runs.values())).schedule
    if schedule != "fixed":
        raise CplabError(
            f"schedule {schedule!r} changes the rate, so no clear run can be the control of all: "
            "give fixed"
        )


def accuracy_curves(results: Iterable[Result]) -> list[np.ndarray]:
    """The test accuracy of each result over the epochs, in percent."""
    return [100 * result.series("test_accuracy") for result in results]


def draw_mean(fig: Figure, curves: Sequence[np.ndarray], begin: int, look: Style) -> np.ndarray:
    """Draw the mean of curves, one a seed, from an epoch on, with its band; returns that mean."""
    mean, half = estimates.mean_of_curves(curves)
    if len(mean):
        epochs = np.arange(begin, begin + len(mean))
        draw_band(fig.ax, epochs, mean, half, look, ends=(0, 100))
    return mean


def draw_dip(fig: Figure, curves: Sequence[np.ndarray], run: Run, look: Style) -> None:
    """Draw the accuracy during a window: an upright line, since no clear epoch is seen there, which
    then leads to the first clear epoch."""
    window = [curve[run.onset - 1 : run.end + 1] for curve in curves]
    # (epochs,), from the last one before the window to the first one after it
    dip = np.mean(window, axis=0)
    clear_epochs_seen = np.full(len(dip), run.onset)
    clear_epochs_seen[-1] = run.onset + 1
    fig.ax.plot(clear_epochs_seen, dip, color=look.colour, linestyle=":", linewidth=1.5)


def bracket(ax: "Axes", x: float, low: float, size: float) -> None:
    """Draw an upright bracket at x, like a tall I, from `low` to `size` above it."""
    reach = 0.006 * ax.get_xlim()[1]
    left = x - reach
    right = x + reach
    high = low + size
    corners = [(right, low), (left, low), (x, low), (x, high), (left, high), (right, high)]
    xs, ys = zip(*corners, strict=True)
    ax.plot(xs, ys, color=GREY, linewidth=1.8, zorder=3)


def harm_title(harms: Mapping[str, Estimate]) -> str:
    """Write in one line how far networks end behind or ahead."""
    parts = []
    for text, harm in harms.items():
        if not harm.seeds:
            continue
        side = "behind" if harm.mean > 0 else "ahead"
        end = f"{abs(harm.mean):.1f} points {side}"
        if is_level(harm):
            end = f"level (± {harm.half:.1f})"
        elif harm.sign == 0:
            parts.append(f"how {text} ends, these seeds cannot tell (± {harm.half:.1f})")
            continue
        parts.append(f"{text} ends {end}")
    if not parts:
        return "Test accuracy against clear epochs seen"
    line = "; ".join(parts)
    return line[0].upper() + line[1:]


def harm_curves(runs: Mapping[str, Run], title: str = "", **size: Unpack[Size]) -> Figure:
    """Draw harm against the clear epochs after the deficit, a line for each of several runs.

    Arguments: runs, {label: run}, of the schedule `fixed`; title, the finding.

    >>> blur = Run("blur", length=16, schedule="fixed", model="depth3", recovery=60)
    >>> harm_curves({"blurred from birth": blur}).ax.get_xlabel()
    'clear epochs after the deficit'
    """
    groups: dict[str, dict[int, Estimate]] = {}
    for text, run in check_dict("runs", runs).items():
        # Every five epochs; in a short recovery more often, and in a long one about 20 times in all
        step = max(1, min(LAST, run.recovery // 5), run.recovery // 20)
        groups[text] = {}
        for epochs in range(step, run.recovery + 1, step):
            groups[text][epochs] = quantities.harm(run, epochs)
    axes = ("clear epochs after the deficit", "harm, points")
    return means(groups, axes, title, zero=True, **size)


def harm_by(
    field: str,
    groups: Mapping[str, Iterable[Run]],
    title: str = "",
    *,
    clock: str = "stopped",
    seeds: Mapping[str, Iterable[int]] | None = None,
    **size: Unpack[Size],
) -> Figure:
    """Draw harm against a field of runs, such as their onset, a line for each group of runs.

    Arguments: field, an attribute of runs with a number; groups, {label: runs}; title, the finding;
        clock, as for `harm`; seeds, {label: seeds} for groups that are not to have all of theirs.

    >>> runs = [Run("blur", onset, 8) for onset in (0, 4, 24)]
    >>> harm_by("onset", {"8 epochs of blur": runs}).ax.get_xlabel()
    'clear epochs before the deficit'
    """
    chosen = seeds or {}
    lines: dict[str, dict[float, Estimate]] = {}
    for label, runs in check_dict("groups", groups, '{"blur": runs}').items():
        lines[label] = {}
        for run in runs:
            points = quantities.harm(run, clock=clock, seeds=chosen.get(label))
            lines[label][getattr(run, field)] = points
    axes = (FIELDS.get(field, field), "harm, points")
    return means(lines, axes, title, zero=True, **size)


def harm_table(runs: Mapping[str, Run]) -> "pd.DataFrame":
    """Make a table of runs' harm, {label: run}, and their seeds.

    >>> [*harm_table({"8 epochs of blur": Run("blur", length=8)}).index]
    ['8 epochs of blur']
    """
    rows = {}
    for words, run in check_dict("runs", runs).items():
        rows[words] = {"harm, points": quantities.harm(run)}
    return table(rows)
