"""Figures of runs: final accuracies, quantities over the epochs, harm.

All functions take a title, which is the finding, and `size`: options of `figure`, such as width.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, Unpack

import numpy as np

from cplab import estimates, quantities
from cplab.base.errors import CplabError, as_list, check_dict, quote
from cplab.deficits import canonical_name
from cplab.estimates import Estimate, is_level, lacking_in, mean_in_words
from cplab.measure import MEASUREMENTS, Measurement
from cplab.output.styles import DASHES, EQUAL, QUANTITIES, TWIN, Style, style
from cplab.quantities import each_result, lack
from cplab.results import Result, seeds
from cplab.results.result import LAST
from cplab.results.rows import run_columns
from cplab.runs import Run
from cplab.show.base import GREY, Figure, Size, draw_band, figure, line_look, name_lines, styled
from cplab.show.figures import means, seeds_line
from cplab.specs import check_spec
from cplab.specs.own import full_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FAINTEST = 0.35  # how strong the line of a deficit that ends at once is, 0 to 1
# Of a bracket, as parts of the horizontal axis
HALF_BRACKET = 0.006
BRACKET_DISTANCE = 0.015  # to the next one beside it
RIGHT_MARGIN = 0.01


# Final accuracy -----------------------------------------------------------------------------------


def removal(
    run: Run,
    deficits: str | Sequence[str | Callable] = ("blur", "flip"),
    control: str = "",
    title: str = "",
    **size: Unpack[Size],
) -> Figure:
    """Draw final accuracy against the epoch at which the deficit is removed (paper, figures 1, 2).

    Arguments:
        run: whose profile, schedule and onset all runs have.
        deficits: names or functions of your own.
        control: of `quantities.behind`; accuracies are then in points above it. Without one, the
            accuracies of two controls are drawn as well, in grey.

    >>> removal(Run(profile="ci"), ("blur",)).ax.get_ylabel()
    'final test accuracy, %'
    >>> removal(Run(profile="ci"), ("blur",), control="equal training").ax.get_ylabel()
    'points above equal training'
    """
    run = check_spec(run)
    runs_by_deficit: dict[str, list[Run]] = {}
    for deficit in as_list(deficits):
        name = canonical_name(deficit)
        of_any_length = replace(run, deficit=name, length=1)
        runs_by_deficit[name] = quantities.every_length(of_any_length)
    x = "epochs with the deficit"
    if run.onset:
        x += f", from epoch {run.onset}"
    if control:
        lines = points_above(control, runs_by_deficit)
        words = control if control == EQUAL.label else f"the {control}"
        return means(lines, (x, f"points above {words}"), title, zero=True, **size)
    lines = accuracies_with_controls(run, runs_by_deficit)
    y = "final test accuracy, %"
    if run.schedule == "fixed":
        y = f"test accuracy, %, mean of the last {LAST} epochs"
    return means(lines, (x, y), title, **size)


def points_above(
    control: str, runs_by_deficit: Mapping[str, Sequence[Run]]
) -> dict[str, dict[int, Estimate]]:
    """How many points runs are above a control, {deficit: {length: points}}."""
    lines: dict[str, dict[int, Estimate]] = {}
    for deficit, runs in runs_by_deficit.items():
        lines[deficit] = {run.length: -quantities.behind(run, control) for run in runs}
    return lines


def accuracies_with_controls(
    run: Run, runs_by_deficit: Mapping[str, Sequence[Run]]
) -> dict[str, dict[int, Estimate]]:
    """The accuracies of runs and of two controls, {deficit or control: {length: accuracy}}.

    Arguments:
        run: with whose onset all deficits begin.
        runs_by_deficit: of every length.
    """
    lengths = {0}
    for runs in runs_by_deficit.values():
        lengths.update(impaired.length for impaired in runs)
    clear = replace(run, deficit="none", length=0)
    equal_training = {}  # clear epochs in place of the deficit
    for length in sorted(lengths):
        as_long = replace(clear, onset=run.onset + length)
        equal_training[length] = quantities.accuracy(as_long)
    twin = quantities.accuracy(clear.newborn())
    longest = max(lengths) or 1
    lines = {
        EQUAL.label: equal_training,
        TWIN.label: {0: twin, longest: twin},  # a level line
    }
    for deficit, runs in runs_by_deficit.items():
        lines[deficit] = {0: equal_training[0]}
        for impaired in runs:
            lines[deficit][impaired.length] = quantities.accuracy(impaired)
    return lines


# Quantities over the epochs -----------------------------------------------------------------------


@styled
def over_epochs(
    runs: Mapping[str, Run], quantity: str = "trace", title: str = "", **size: Unpack[Size]
) -> Figure:
    """Draw a quantity against the epoch, a line for each run, which has the look of its deficit. A
    large marker shows where the deficit ended; the earlier that was, the fainter the line.

    Arguments:
        runs: {label: run}.
        quantity: trace, log_det, test_accuracy, train_loss or another one of `Result.series`.

    >>> over_epochs({"blur": Run("blur", length=8)}, "train_loss")
    training loss against epoch: blur
    """
    quantity = full_name(Measurement, quantity)
    measure = "trace" if quantity in ("trace", "log_det") else ()  # "trace" measures both
    curves: dict[str, list[np.ndarray]] = {}  # of each run, one a seed, (epochs,)
    for label, run in runs.items():
        curves[label] = [result.series(quantity) for result in each_result(run, measure)]
    missing = [label for label, of_seeds in curves.items() if not of_seeds]
    is_fraction = quantity == "test_accuracy"
    note = seeds_line(curves.values(), missing)
    fig = figure(title, "epoch", label_of(quantity), percent=is_fraction, source=note, **size)
    fig.lacking = tuple(lack(runs[label], measure) for label in missing)
    ends_of_deficits = [run.end for run in runs.values() if run.length]
    last_end = max(ends_of_deficits, default=1)
    possible = (0.0, 1.0) if is_fraction else (-np.inf, np.inf)
    for label, run in runs.items():
        if curves[label]:
            strength = 1.0
            if run.length:
                strength = FAINTEST + (1 - FAINTEST) * run.end / last_end
            draw_run(fig.ax, run, label, np.array(curves[label]), strength, possible)
    # two seeds have a wide interval, which may go beyond the possible values
    low, high = fig.ax.get_ylim()
    if is_fraction:
        fig.ax.set_ylim(max(0, low), min(1, high))
    else:
        fig.ax.set_ylim(0, high)
    return name_lines(fig)


def draw_run(
    ax: "Axes",
    run: Run,
    label: str,
    curves: np.ndarray,
    strength: float,
    possible: tuple[float, float],
) -> None:
    """Draw the mean curve of a run, with a large marker where its deficit ended.

    Arguments:
        ax: to draw on.
        run: whose deficit decides the look.
        label: of the line.
        curves: (seeds, epochs), NaN where nothing was measured.
        strength: of the line, 0 to 1.
        possible: the lowest and the highest value.
    """
    is_measured = np.isfinite(curves).all(axis=0)  # of every seed, (epochs,)
    epochs = np.flatnonzero(is_measured) + 1
    mean, half = estimates.mean_of_curves(curves[:, is_measured])
    look = style(run.deficit)._replace(label=label)
    draw_band(ax, epochs, mean, half, look, alpha=strength, ends=possible)
    if run.length:
        at_end = epochs == run.end
        marker = line_look(look, points=True)
        ax.plot(epochs[at_end], mean[at_end], markersize=9, alpha=strength, **marker)


def label_of(quantity: str) -> str:
    """The words for a quantity over the epochs, on an axis.

    >>> label_of("train_loss")
    'training loss'
    """
    if quantity in QUANTITIES:
        return QUANTITIES[quantity]
    if quantity in MEASUREMENTS:
        return MEASUREMENTS[quantity].label
    return quantity


# Clear epochs and harm ----------------------------------------------------------------------------


class Bracket(NamedTuple):
    """An upright bracket at the end of a line, which shows its harm."""

    low: float  # accuracy at the end of the line, %
    size: float  # harm, points


@styled
def clear_epochs(runs: Mapping[str, Run], title: str = "", **size: Unpack[Size]) -> Figure:
    """Draw test accuracy against clear epochs seen. A grey line is the twin, and each run
    of the same setting has a line that leaves the grey one at its onset. The bracket at the end of
    a line is its harm, whose interval the legend gives.

    Arguments:
        runs: {label: run}, of the schedule `fixed`.
        title: by default the finding in numbers.

    >>> blur = Run("blur", length=16, schedule="fixed", model="depth3", recovery=60)
    >>> clear_epochs({"blurred from birth": blur}).get_suptitle()
    'Blurred from birth ends 4.2 points behind'
    """
    check_one_setting(runs)
    first_run, *_ = runs.values()
    twin_results = quantities.longest_clear(first_run.newborn())
    twin_curves = accuracy_curves(twin_results.values())
    curves = {label: accuracy_curves(each_result(run)) for label, run in runs.items()}
    missing = [label for label, of_seeds in curves.items() if not of_seeds]
    harms = {label: quantities.harm(run) for label, run in runs.items()}
    last_epoch = max(run.onset + run.recovery for run in runs.values())
    note = seeds_line([twin_curves, *curves.values()], missing)
    axes = ("clear epochs seen", "test accuracy, %")
    fig = figure(title or harm_title(harms), *axes, source=note, **size)
    fig.lacking = lacking_in(harms)

    draw_mean(fig, [curve[:last_epoch] for curve in twin_curves], 1, Style("twin", EQUAL.colour))
    lines_drawn: Counter[str] = Counter()  # by deficit
    brackets: dict[int, list[Bracket]] = defaultdict(list)  # by the epoch at which a line ends
    for label, run in runs.items():
        harm = harms[label]
        in_legend = f"{label}:\nharm {mean_in_words(harm.mean, harm.half)}"
        look = look_of_line(run.deficit, in_legend, lines_drawn[run.deficit])
        lines_drawn[run.deficit] += 1
        after_deficit = [curve[run.end :] for curve in curves[label]]
        mean = draw_mean(fig, after_deficit, run.onset + 1, look)
        if len(mean) and run.onset:
            draw_dip(fig, curves[label], run, look)
        if len(mean) and harm.sign in (1, -1):
            bracket = Bracket(mean[-LAST:].mean(), harm.mean)
            brackets[run.onset + run.recovery].append(bracket)
    draw_brackets(fig.ax, brackets, last_epoch)
    return name_lines(fig)


def look_of_line(deficit: str, label: str, lines_before: int) -> Style:
    """The look of a line: in the colour of its deficit, whose first line has the usual dashes, and
    further ones have others.

    Arguments:
        deficit: its name.
        label: of the line.
        lines_before: how many the deficit has already.
    """
    usual = style(deficit)
    other_dashes = [dash for dash in DASHES if dash != usual.dash]
    dashes = [usual.dash, *other_dashes]
    return Style(label, usual.colour, dashes[lines_before % len(dashes)])


def check_one_setting(runs: Mapping[str, Run]) -> None:
    """Raise a CplabError unless all runs, one or more, have the same clear run as their control."""
    check_dict("runs", runs)
    if not runs:
        raise CplabError(
            f"runs {quote(runs)} are not allowed: give one or more, each with its words"
        )
    settings = set()
    for run in runs.values():
        columns = run_columns(check_spec(run))
        settings.add(seeds.setting_of(columns))
    if len(settings) > 1:
        raise CplabError(
            f"runs {quote([*runs])} are of several settings, each with its own clear run: "
            "draw one figure for each"
        )
    first_run, *_ = runs.values()
    if first_run.schedule != "fixed":
        raise CplabError(
            f"schedule {first_run.schedule!r} changes the rate, so no clear run can be the control "
            "of all: give schedule='fixed'"
        )


def accuracy_curves(results: Iterable[Result]) -> list[np.ndarray]:
    """The test accuracy of each result over the epochs, in percent."""
    return [100 * result.series("test_accuracy") for result in results]


def draw_mean(
    fig: Figure, curves: Sequence[np.ndarray], first_epoch: int, look: Style
) -> np.ndarray:
    """Draw the mean of curves with its band, and return that mean, (epochs,).

    Arguments:
        fig: the figure.
        curves: one a seed, (epochs,) or shorter.
        first_epoch: the place of their first value.
        look: of the line.
    """
    mean, half = estimates.mean_of_curves(curves)
    if len(mean):
        epochs = np.arange(first_epoch, first_epoch + len(mean))
        draw_band(fig.ax, epochs, mean, half, look, ends=(0, 100))
    return mean


def draw_dip(fig: Figure, curves: Sequence[np.ndarray], run: Run, look: Style) -> None:
    """Draw the accuracy during a window: an upright line, since no clear epoch is seen there, which
    then leads to the first clear epoch."""
    # From the last epoch before the window to the first one after it. Epochs count from 1: that of
    # curve[0] is the first
    window = [curve[run.onset - 1 : run.end + 1] for curve in curves]
    dip = np.mean(window, axis=0)  # (epochs,)
    clear_epochs_seen = np.full(len(dip), run.onset)
    clear_epochs_seen[-1] = run.onset + 1
    fig.ax.plot(clear_epochs_seen, dip, color=look.colour, linestyle=":", linewidth=1.5)


def draw_brackets(ax: "Axes", brackets: Mapping[int, Sequence[Bracket]], last_epoch: int) -> None:
    """Draw brackets at the ends of lines; where several lines end, side by side.

    Arguments:
        ax: the axes.
        brackets: by the epoch at which their lines end.
        last_epoch: the last of these.
    """
    for epoch, of_epoch in brackets.items():
        for number, bracket in enumerate(of_epoch):
            draw_bracket(ax, epoch + BRACKET_DISTANCE * last_epoch * number, bracket, last_epoch)
    beside_the_last = max(len(brackets.get(last_epoch, ())) - 1, 0)
    margin = RIGHT_MARGIN + BRACKET_DISTANCE * beside_the_last
    ax.set_xlim(0, last_epoch * (1 + margin))


def draw_bracket(ax: "Axes", x: float, bracket: Bracket, last_epoch: int) -> None:
    """Draw a bracket at x, like a tall I."""
    left = x - HALF_BRACKET * last_epoch
    right = x + HALF_BRACKET * last_epoch
    low = bracket.low
    high = bracket.low + bracket.size
    corners = [(right, low), (left, low), (x, low), (x, high), (left, high), (right, high)]
    xs, ys = zip(*corners, strict=True)
    ax.plot(xs, ys, color=GREY, linewidth=1.8, zorder=3)


def harm_title(harms: Mapping[str, Estimate]) -> str:
    """Write in one line how far networks end behind or ahead."""
    parts = []
    for label, harm in harms.items():
        if harm.seeds:
            parts.append(end_in_words(label, harm))
    if not parts:
        return "Test accuracy against clear epochs seen"
    line = "; ".join(parts)
    return line[0].upper() + line[1:]


def end_in_words(label: str, harm: Estimate) -> str:
    """Say how far networks end behind or ahead.

    >>> end_in_words("blurred from birth", estimates.estimate([4.0, 4.2, 4.1]))
    'blurred from birth ends 4.1 points behind'
    """
    if is_level(harm):
        return f"{label} ends level (± {harm.half:.1f})"
    if harm.sign == 0:
        return f"how {label} ends, these seeds cannot tell (± {harm.half:.1f})"
    side = "behind" if harm.mean > 0 else "ahead"
    return f"{label} ends {abs(harm.mean):.1f} points {side}"


def harm_curves(runs: Mapping[str, Run], title: str = "", **size: Unpack[Size]) -> Figure:
    """Draw harm against the clear epochs after the deficit, a line for each of several runs.

    Arguments:
        runs: {label: run}, of the schedule `fixed`.

    >>> blur = Run("blur", length=16, schedule="fixed", model="depth3", recovery=60)
    >>> harm_curves({"blurred from birth": blur}).ax.get_xlabel()
    'recovery, epochs'
    """
    lines: dict[str, dict[int, Estimate]] = {}
    for label, run in check_dict("runs", runs).items():
        step = epochs_between_points(run.recovery)
        lines[label] = {}
        for epochs in range(step, run.recovery + 1, step):
            lines[label][epochs] = quantities.harm(run, epochs)
    axes = ("recovery, epochs", "harm, points")
    return means(lines, axes, title, zero=True, **size)


def epochs_between_points(recovery: int) -> int:
    """The epochs from one point of a recovery to the next: five; in a short recovery fewer, for
    about five points in all, and in a long one more, for about twenty.

    >>> [epochs_between_points(recovery) for recovery in (3, 15, 60, 200)]
    [1, 3, 5, 10]
    """
    for_five_points = max(1, recovery // 5)
    for_twenty_points = recovery // 20
    return max(min(5, for_five_points), for_twenty_points)


# The words for a field of runs, on an axis
FIELDS = {
    "onset": "age at which the deficit begins, epochs",
    "length": "epochs of the deficit",
    "end": "epoch at which the deficit is removed",
    "recovery": "recovery, epochs",
}


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

    Arguments:
        field: an attribute of runs with a number.
        groups: {label: runs}.
        clock: as for `quantities.harm`.
        seeds: {label: seeds} for groups that are not to have all of theirs.

    >>> runs = [Run("blur", onset, 8) for onset in (0, 4, 24)]
    >>> harm_by("onset", {"8 epochs of blur": runs}).ax.get_xlabel()
    'age at which the deficit begins, epochs'
    """
    seeds_by_label = seeds or {}
    lines: dict[str, dict[float, Estimate]] = {}
    for label, runs in check_dict("groups", groups, '{"blur": runs}').items():
        lines[label] = {}
        for run in runs:
            points = quantities.harm(run, clock=clock, seeds=seeds_by_label.get(label))
            lines[label][getattr(run, field)] = points
    axes = (FIELDS.get(field, field), "harm, points")
    return means(lines, axes, title, zero=True, **size)
