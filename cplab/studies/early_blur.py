"""Lab 02: the same blur early and late, in a network whose learning rate never changes.

Accuracy is read against *clear epochs seen*. At such a rate one run without a deficit is the
control of every window: harm is how far a run lies below it after as many clear epochs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import ceil
from typing import Any

import numpy as np
import pandas as pd
from bokeh.models import Range1d
from bokeh.plotting import figure
from IPython.display import HTML

from cplab import quantities, results, statistics, windows
from cplab.runs import FLAGSHIP, Run, Step
from cplab.show import means
from cplab.show.theme import CUES, DASHES, EQUAL, place_legend, plain_figure, reference_line, style
from cplab.statistics import Contrast
from cplab.studies.sentences import rounded, seeds, side, spread
from cplab.windows import READ_OUT, same_setting

__all__ = ["behind", "by_depth", "by_onset", "clear_epochs", "early_and_late", "fate", "flagship"]
__all__ += ["harm", "harm_by", "harm_curves", "healing", "overview", "schedule_table"]
__all__ += ["schedules", "stands_at", "steps_help", "steps_left", "strong_steps", "time_bars"]
__all__ += ["train_small", "trend", "which_depth"]


def flagship(profile: str = "course") -> dict[str, Any]:
    """The fields of the runs of this lab: three blocks, and a rate that never changes.

    >>> Run("blur", length=16, **flagship()).epochs
    76
    """
    how = {"model": FLAGSHIP.family, "schedule": FLAGSHIP.schedule, "profile": profile}
    return {**how, "recovery": 6 if profile == "ci" else FLAGSHIP.recovery}


def never_deprived(like: Run) -> dict[int, np.ndarray]:
    """Test accuracy in percent by epoch, {seed: (epochs,)}, of the longest run without a deficit
    in the setting of a run."""
    rows = same_setting(like)
    longest: Any = rows[rows.deficit == "none"].groupby("seed").onset.max()
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


def harm(run: Run, after: int | None = None) -> Contrast:
    """Points of harm: how far a run lies below one without a deficit that has seen as many clear
    epochs, over five epochs.

    Arguments: run, at a rate that never changes; after, clear epochs after the deficit, all if not
        given.

    >>> statistics.estimate(harm(Run("blur", length=16, **flagship()))).mean > 3
    True
    """
    return windows.harm_after(run, run.onset + (after or run.recovery))


def stands_at(run: Run) -> int:
    """After how many clear epochs a network without a deficit stood where this one ends.

    >>> stands_at(Run("blur", length=16, **flagship())) < 40
    True
    """
    return ceil(run.onset + run.recovery - windows.clear_epochs_behind(run).epochs)


def behind(run: Run, network: str = "the blurred network") -> str:
    """Where a run ends beside one without a deficit, in one sentence."""
    points, clear = harm(run), run.onset + run.recovery
    if seeds(points) < 2:
        return "Too few of these networks have been trained yet."
    above, below = (f"{word} one that never was" for word in ("ahead of", "behind"))
    where = side(
        points,
        f"{spread(points)} points {below}: it stands where that one stood after {stands_at(run)}",
        f"level with one that never was, as far as {seeds(points)} seeds can tell",
        f"{spread(-1 * points)} points {above}",
    )
    return f"After {clear} clear epochs {network} is {where}."


def clear_epochs(runs: Mapping[str, Run], title: str = "", **options: Any) -> figure:
    """Test accuracy against clear epochs seen: grey without a deficit, and a line for each run,
    which leaves the grey one at its onset.

    Arguments: runs, of one setting, by the words for them; title, what is found.
    """
    like = next(iter(runs.values()))
    options = {"width": 860, "height": 350, **options}
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
        many = statistics.count_seeds(*filter(None, counts))
        fig.xaxis.axis_label = f"clear epochs seen   ({many} a line, bands: 95 %)"
    fig.x_range = Range1d(0, latest + 1)
    return place_legend(fig, "bottom_right")


def overview(late_onset: int = 24) -> figure:
    """The lab's finding in one picture: the same blur from birth and late, each against the clear
    epochs seen, and its harm as a bracket at its end.

    >>> fig = overview()  # `show.save(fig, "flagship.png")` writes it
    """
    early = Run("blur", length=16, **flagship())
    late = replace(early, onset=late_onset)
    runs = {"blurred from birth": early, f"blurred after {late_onset} clear epochs": late}
    fig = clear_epochs(runs, f"{early.length} epochs of blur, early and late", height=430)
    points, last = statistics.estimate(harm(early)), early.recovery
    low = np.mean([curve[-READ_OUT:].mean() for curve in each_curve(early).values()])
    high, cap = low + points.mean, 0.6  # half the width of the bracket's ends, in epochs
    ends = ([last, last - cap, last - cap], [last, last + cap, last + cap])
    heights = ([low, low, high], [high, low, high])
    fig.segment(ends[0], heights[0], ends[1], heights[1], color="black", line_width=2)
    words = f"harm: {points.mean:.1f} ± {points.half:.1f} points"
    look = {"text_align": "center", "text_baseline": "top", "text_font_size": "14px"}
    fig.text([last], [low - 2], [words], **look)
    return fig


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


def harm_curves(runs: Mapping[str, Run], title: str = "", **options: Any) -> figure:
    """Harm against the clear epochs after the deficit, one line a run."""
    groups = {}
    for words, run in runs.items():
        if seeds(harm(run)):
            step = max(1, min(READ_OUT, run.recovery // 5))
            moments = range(step, run.recovery + 1, step)
            groups[words] = {n: harm(run, n) for n in moments}
    return harm_figure(groups, "clear epochs after the deficit", title, **options)


def time_bars(run: Run) -> HTML:
    """Three runs as bars of time: with the window, without it, and with clear epochs in
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
    return HTML(f'<table style="border:0">{cells}</table>')


def steps_left(run: Run) -> float:
    """Learning rate times steps, summed over all that are left when the deficit ends.

    >>> round(steps_left(Run("blur", length=16, **flagship())))
    95
    """
    batches = -(-run.settings.train_images // run.settings.batch)
    rates = [step.lr for step in run.timeline if isinstance(step, Step)]
    return batches * float(sum(rates[run.end :]))


def strong_steps(runs: Mapping[str, Sequence[Run]], title: str = "") -> figure:
    """Harm against the learning rate times the steps that are left when the deficit ends: a point
    for each run, of which both are computed, a colour for each group; bars are 95 % intervals."""
    words = (title, "learning rate × steps left when the blur ends", "harm, points")
    fig = plain_figure(*words, x_axis_type="log", width=860, height=350)
    for (text, some), (colour, (_, marker)) in zip(runs.items(), CUES.items(), strict=False):
        each = {steps_left(run): quantities.harm(run) for run in some}
        columns = statistics.mean_columns(each)
        how = {"color": colour, "legend_label": text}
        fig.scatter(columns["x"], columns["mean"], size=10, marker=marker, alpha=0.8, **how)
        fig.segment(columns["x"], columns["low"], columns["x"], columns["high"], **how)
    fig.xaxis.ticker = [0.3, 1, 3, 10, 30, 100, 300]
    reference_line(fig, "width", EQUAL.colour)
    return place_legend(fig, "right")


def schedules() -> dict[str, list[Run]]:
    """Runs that differ in what is left of the learning rate when their blur ends, by their
    setting."""
    falling: dict[str, Any] = {"schedule": "paper"}
    return {
        "ten of the paper's epochs in one": [
            Run("blur", 0, end // 10, 16, pace=10, **falling) for end in (60, 140)
        ],
        "the paper's rates, 10,000 images": [
            Run("blur", 0, end // pace, 160 // pace, pace=pace, **falling)
            for pace in (5, 2, 1)
            for end in (60, 140)
        ],
        "the paper's rates, 50,000 images": [
            Run("blur", length=end, profile="slim") for end in (20, 40, 60, 100, 140)
        ],
        "rate held, then falling": [
            Run("blur", length=16, recovery=n) for n in (15, 30, 60, 120, 240)
        ],
        "three blocks, rate never falls": [
            Run("blur", length=16, **flagship()),
        ],
    }


def schedule_table() -> pd.DataFrame:
    """What is left, and the harm, of each run of `schedules`."""
    rows = {}
    for words, some in schedules().items():
        for run in some:
            points = quantities.harm(run)
            rows[words, f"{run.length} + {run.recovery}"] = {
                "left": f"{steps_left(run):.1f}",
                "harm, points": spread(points),
                "seeds": seeds(points),
            }
    return pd.DataFrame(rows).T.rename_axis(["setting", "epochs of blur + recovery"])


def steps_help() -> str:
    """Whether harm goes down with what is left, over all settings whose rate falls."""
    *falling, _ = schedules().values()
    known = [
        (np.log(steps_left(run)), points.mean)
        for some in falling
        for run in some
        if (points := statistics.estimate(quantities.harm(run))).seeds
    ]
    _, low, high = statistics.correlation(*np.transpose(known))
    if low > 0:
        return "grows the more is left"
    return "shrinks the more is left" if high < 0 else "does not depend on it"


def harm_by(runs: Mapping[str, Run]) -> pd.DataFrame:
    """The harm of some runs in points, and of how many seeds; what is not trained is left out."""
    rows = {}
    for words, run in runs.items():
        if seeds(points := harm(run)):
            rows[words] = {"harm, points": spread(points), "seeds": seeds(points)}
    return pd.DataFrame(rows).T


def fate(early: Run, late: Run) -> str:
    """What is left of a late window, beside the same one early."""
    left = side(harm(late), True, False, False)
    less = side(harm(early) - harm(late), True, False, False)
    if not left:
        return "nothing that the seeds can tell"
    return "less, but some" if less else "as much as from birth"


def early_and_late(early: Run, late: Run) -> str:
    """The harm of the same window early and late, in one sentence."""
    return (
        f"From birth {early.length} epochs of blur leave {spread(harm(early))} points of harm; "
        f"after {late.onset} clear epochs the same blur leaves {spread(harm(late))}."
    )


def which_depth(depths: Mapping[str, Run]) -> str:
    """Whether harm grows or falls from the first network to the last."""
    first, *_, last = depths.values()
    answers = ("the deeper, the more", "all alike", "the shallow one most")
    return side(harm(last) - harm(first), *answers)


def by_depth(depths: Mapping[str, Run]) -> str:
    """The harm of each depth in one sentence."""
    known = {words: points for words, run in depths.items() if seeds(points := harm(run))}
    left = [f"{rounded(points)} with {words}" for words, points in known.items()]
    begin = {
        "the deeper, the more": "The deeper the network, the more an early blur leaves behind",
        "all alike": "These seeds do not tell the depths apart",
        "the shallow one most": "The deeper the network, the less an early blur leaves behind",
    }[which_depth(depths)]
    return f"{begin}: in points, about {', '.join(left[:-1])} and {left[-1]}."


def trend(run: Run) -> str:
    """Whether the harm of a run grows or shrinks from the middle of its recovery to the end."""
    grows, shrinks = "grows: it falls farther behind", "shrinks: it catches up"
    return side(harm(run) - harm(run, run.recovery // 2), grows, "stays as it is", shrinks)


def healing(runs: Mapping[str, Run]) -> str:
    """What becomes of the harm of the longest blur, in one sentence."""
    run = max(runs.values(), key=lambda run: run.length)
    middle = run.recovery // 2
    if not seeds(harm(run)):
        return f"{run.length} epochs of blur have not been trained yet."
    return (
        f"After {run.length} epochs of blur the gap is {spread(harm(run, middle))} points after "
        f"{middle} clear epochs, and {spread(harm(run))} after {run.recovery}."
    )


def train_small(*runs: Run) -> None:
    """Train two seeds of some runs and of their controls where the profile is `ci`, which takes
    seconds; what is larger is looked at as it was trained."""
    clear = max((run.equal_training() for run in runs), key=lambda run: run.onset)
    each = [one for run in runs for one in (run, run.newborn(), run.equal_training())]
    each += [replace(clear, model=run.model) for run in runs]
    if clear.profile == "ci":
        results.at_hand([replace(run, seed=seed) for run in each for seed in (0, 1)])
