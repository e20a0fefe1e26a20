"""Figures of plain numbers, one a seed: curves, bands, bars; and differences in words.

Bands and whiskers are 95 % intervals of the mean (Student's t); with one seed there is none.
"""

import numpy as np
from bokeh.models import ColumnDataSource, FactorRange, LogTicker, Whisker

from cplab import figures, intervals, pruning

COLOURS = {
    "none": figures.EQUAL,
    "biological": "#009E73",
    "random": "#777777",
    "inked": "#56B4E9",
    "per_pixel": "#0072B2",
    "degrees": "#332288",
    "set": "#E69F00",
    "magnitude": "#D55E00",
    "dense": "#000000",
    "images": "#009E73",
    "noise": "#CC79A7",
    "random_labels": "#E69F00",
    "w² F": "#0072B2",
    "|w|": "#D55E00",
    "weakest, retrained": "#009E73",
    "weakest, not retrained": "#56B4E9",
    "any, retrained": "#E69F00",
    "any, not retrained": "#CC79A7",
    "fashion": "#D55E00",
    "digits": "#009E73",
    "digits and 15 % fashion": "#0072B2",
    "as digits, same number a pixel": "#56B4E9",
}
NAMES = {
    "biological": "grown and pruned",
    "random": "random",
    "inked": "random, inked pixels",
    "per_pixel": "same number a pixel",
    "degrees": "same degrees",
    "set": "SET",
    "magnitude": "pruned dense net",
    "dense": "dense",
    "images": "images",
    "noise": "noise",
    "random_labels": "random labels",
}


def name(kind: str) -> str:
    """A kind in words."""
    return NAMES.get(kind) or figures.NAMES.get(kind, kind)


def colour(kind: str) -> str | None:
    """One colour a kind through all labs; None for one that has no colour of its own."""
    return COLOURS.get(kind) or figures.COLOURS.get(kind)


def colours(kinds) -> dict[str, str]:
    """The colour of each kind; those without one of their own get different ones, in order."""
    taken = {colour(kind) for kind in kinds}
    others = (hue for hue in figures.COLOURS.values() if hue not in taken)
    return {kind: colour(kind) or next(others, figures.LIVE) for kind in kinds}


def threads(
    groups: dict[str, list], x: str, y: str, words: tuple[str, str], legend="top_right", **options
):
    """Curves of one quantity against another, a thin line for each seed.

    Arguments: groups, {kind: [values]}, each values[x] and values[y] being lists of numbers; words,
        of both axes; legend, where it stands.
    """
    fig, hues = figures.plain_figure(counted(groups), *words, **options), colours(groups)
    for kind, group in groups.items():
        for values in group:
            fig.line(np.asarray(values[x]), np.asarray(values[y]), color=hues[kind], alpha=0.55,
                     legend_label=name(kind))  # fmt: skip
    if options.get("y_axis_type") == "log":
        fig.yaxis.ticker = LogTicker(mantissas=[1, 2, 5], desired_num_ticks=5)
    if any(groups.values()):
        figures.tidy_legend(fig, legend)
        fig.legend.visible = len(groups) > 1
    return fig


def counted(groups: dict[str, list]) -> str:
    """`10 seeds`, `3 to 5 seeds`, or that nothing is there."""
    numbers = sorted({len(group) for group in groups.values() if len(group)})
    if not numbers:
        return "not computed yet"
    many = f"{numbers[0]} to {numbers[-1]}" if len(numbers) > 1 else f"{numbers[0]}"
    return f"{many} seed{'s' if numbers[-1] > 1 else ''}"


def summary(values: dict) -> dict:
    """Columns x, mean, low, high from {x: one number a seed}; empty ones are left out."""
    xs = sorted(x for x, numbers in values.items() if len(numbers))
    pairs = [intervals.mean_half(values[x]) for x in xs]
    mean, half = (np.array([pair[i] for pair in pairs], float) for i in (0, 1))
    half = np.nan_to_num(half)
    return {"x": np.array(xs, float), "mean": mean, "low": mean - half, "high": mean + half}


def bands(
    groups: dict[str, dict], words: tuple[str, str], percent=True, log=False,
    legend="bottom_right", **options,
):  # fmt: skip
    """Means with bands against a number, such as accuracy against density.

    Arguments: groups, {kind: {x: one number a seed}}; words, of both axes; percent, whether the
        vertical axis is of fractions; log, the horizontal axis; legend, where it stands.
    """
    # an empty axis has no logarithm
    known = any(len(v) for values in groups.values() for v in values.values())
    kind_of = {"x_axis_type": "log"} if log and known else {}
    every = {k: [v for v in values.values() if len(v)] for k, values in groups.items()}
    seeds = {k: max(vs, key=len) for k, vs in every.items() if vs}
    fig = figures.plain_figure(counted(seeds), *words, **kind_of, **options)
    hues = colours(groups)
    for kind, values in groups.items():
        source = ColumnDataSource(summary(values), name=f"band {kind}")
        figures.band(fig, source, "x", hues[kind], name(kind), points=True)
    if log and known:
        fig.xaxis.ticker = sorted({x for values in groups.values() for x in values})
    if percent:
        figures.in_percent(fig.yaxis)
    return figures.tidy_legend(fig, legend) if known else fig


def bars(values: dict[str, list], words: str, percent=True, **options):
    """A bar for each kind with its 95 % interval and its seeds as dots.

    Arguments: values, {kind: one number a seed}; words, of the vertical axis.
    """
    kinds = list(values)
    fig = figures.plain_figure(
        counted(values), "", words, x_range=FactorRange(*map(name, kinds)), **options
    )
    found = [intervals.mean_half(values[kind]) for kind in kinds]
    mean, half = (np.array([pair[i] for pair in found], float) for i in (0, 1))
    source = ColumnDataSource(
        {"kind": [name(k) for k in kinds], "mean": mean, "hue": [*colours(kinds).values()],
         "low": mean - np.nan_to_num(half), "high": mean + np.nan_to_num(half)}, name="bars",
    )  # fmt: skip
    fig.vbar("kind", 0.7, "mean", source=source, color="hue", alpha=0.6)
    fig.add_layout(Whisker(base="kind", lower="low", upper="high", source=source))
    for kind in kinds:
        fig.scatter([name(kind)] * len(values[kind]), values[kind], size=4, color="#333333")
    if percent:
        figures.in_percent(fig.yaxis)
    fig.xaxis.major_label_orientation = 0.5 if len(kinds) > 4 else "horizontal"
    return fig


def difference(ours, theirs) -> str:
    """`+9.8 ± 1.1 (p < 0.001)`: in points, of two samples of accuracies (fractions), by Welch's
    test; nothing where there are too few."""
    if min(len(ours), len(theirs)) < 2:
        return ""
    test = pruning.compare(ours, theirs)
    half = (test.high - test.low) / 2
    chance = "p < 0.001" if test.p < 0.001 else f"p = {test.p:.2g}"
    return f"{100 * test.difference:+.1f} ± {100 * half:.1f} ({chance})"
