"""Figures of numbers: means, bars, curves, layers, and a table of them.

Numbers are Estimates, or rows of one number a seed. Bands and whiskers are 95 % intervals of the
mean over seeds; one seed has none. If nothing is trained yet, the figure says so. `size` stands for
further options of `cplab.show.figure`: width, height, log, x_range, y_range.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from numbers import Real
from typing import Any

import numpy as np

from cplab import estimates
from cplab.errors import CplabError, by_label, require
from cplab.estimates import Estimate, estimate, mean_in_words
from cplab.lacking import missing_in_words
from cplab.show.base import (
    GREY,
    SMALL,
    Figure,
    band,
    figure,
    legend_above,
    level_line,
    line_look,
    name_lines,
    styled,
    wrap,
)
from cplab.styles import style, styles


def seeds_line(drawn: Iterable[Any], missing: Sequence[str] = ()) -> str:
    """Write how many seeds are drawn (from Estimates, or rows of a number a seed), what the
    intervals mean, and which kinds are missing; or that nothing is trained yet."""
    known = [*filter(None, (one.seeds if isinstance(one, Estimate) else len(one) for one in drawn))]
    if not known:
        return missing_in_words()
    line = estimates.count_seeds(*known) + f" · {estimates.INTERVALS}" * (max(known) > 1)
    if missing:
        line += f" · {missing_in_words()}: {'; '.join(map(str, missing))}"
    return line


# Of any numbers -----------------------------------------------------------------------------------


@styled
def means(
    groups: Mapping[str, Mapping[int, Any] | Mapping[float, Any]],
    axes: tuple[str, str],
    title: str = "",
    percent: bool = False,
    zero: bool = False,
    lines: bool = True,
    source: str = "",
    **size: Any,
) -> Figure:
    """Draw means with bands against a number, such as accuracy against density.

    Arguments: groups, {kind: {x: an Estimate, or one number a seed}}; axes, labels of both; title,
        the finding; percent, whether the numbers are fractions; zero, whether the vertical axis
        includes 0, where a line is drawn; lines, whether they join the means, or each has a whisker
        of its own; source, of numbers that come from no training.

    >>> means({"blur": {2: [0.5, 0.6]}}, ("epochs", "accuracy"), percent=True)
    accuracy against epochs: blur
    """
    for group in by_label("groups", groups, '{"blur": {16: harms}}').values():
        by_label("group", group, "{16: harms}")
    x, y = axes
    estimates = {k: {x: estimate(e) for x, e in group.items()} for k, group in groups.items()}
    every = [one for group in estimates.values() for one in group.values()]
    missing = [k for k, group in estimates.items() if not any(e.seeds for e in group.values())]
    places = {x for group in estimates.values() for x, one in group.items() if one.seeds}
    size["log"] = size.get("log", "") if places else ""  # an empty axis has no logarithm
    require_logarithms(size["log"], places)
    fig = figure(title, x, y, percent, source=source or seeds_line(every, missing), **size)
    for kind, look in styles(estimates).items():
        known = {x: one for x, one in sorted(estimates[kind].items()) if one.seeds}
        mean, half = [one.mean for one in known.values()], [one.half for one in known.values()]
        if known and lines:
            band(fig.ax, [*known], mean, half, look, points=True)
        elif known:
            how = line_look(look, points=True) | {"linestyle": "", "label": look.label}
            fig.ax.errorbar([*known], mean, np.nan_to_num(half), **how)
    if "x" in size["log"] and all(x == round(x) for x in places):  # others would crowd
        fig.ax.set_xticks(sorted(places))
    if zero:
        level_line(fig.ax)
    return name_lines(fig)


@styled
def bars(
    values: Mapping[str, Any] | Mapping[int, Any],
    y: str,
    title: str = "",
    percent: bool = False,
    source: str = "",
    **size: Any,
) -> Figure:
    """Draw a bar for each kind, with its 95 % interval and a dot for each seed.

    Arguments: values, {kind: an Estimate, or one number a seed}, or {group: {kind: …}}, which sets
        groups apart and gives each kind one colour; y, the label of the vertical axis; title, the
        finding; percent, whether the numbers are fractions; source, of numbers that are not of
        seeds, one a bar.

    >>> bars({"blur": [1.0, 2.0], "flip": [0.1]}, "harm, points", "Blur harms")
    Blur harms: harm, points: blur, vertical flip
    """
    by_label("values", values, '{"blur": harm(run)}')
    kinds = {isinstance(one, Mapping) for one in values.values()}
    require(len(kinds) < 2, "values {} are not allowed: give all in groups, or none", values)
    grouped = True in kinds
    rows = values if grouped else {"": values}
    each: list[tuple] = [(g, kind, one) for g, row in rows.items() for kind, one in row.items()]
    estimates = [estimate([float(one)] if isinstance(one, Real) else one) for *_, one in each]
    looks = [styles(kind for _, kind, _ in each)[kind] for _, kind, _ in each]
    names = [k[0] if grouped else look.label for k, look in zip(each, looks, strict=True)]
    fig = figure(title, "", y, percent, source=source or seeds_line(estimates), **size)
    gaps = [0.0, *(0.6 * (grouped and a != b) for a, b in pairwise(names))]
    places = np.arange(len(names)) + np.cumsum(gaps[: len(names)])
    handles = {}
    for place, look, one in zip(places, looks, estimates, strict=True):
        how = {"color": (look.colour, 0.35), "edgecolor": look.colour, "linewidth": 1.5}
        how |= {"yerr": np.nan_to_num(one.half), "ecolor": GREY, "label": look.label}
        handles[look.label] = fig.ax.bar(place, one.mean, 0.8, **how)
        if not one.seeds:
            words = {"ha": "center", "va": "bottom", "rotation": 90, "fontsize": SMALL}
            fig.ax.text(place, 0, f" {missing_in_words()}", **words)
        if not source:
            dots = np.full(len(one.values), place + 0.18)
            fig.ax.plot(dots, one.values, ".", color=GREY, markersize=5)
    at = {name: places[[other == name for other in names]].mean() for name in names}
    room = (fig.get_figwidth() * 96 - 80) / max(1, len(at))
    fig.ax.set_xlim(-0.6, max(places, default=0) + 0.6)
    fig.ax.set_xticks([*at.values()], [wrap(str(name), room, SMALL) for name in at])
    fig.ax.tick_params("x", length=0)
    fig.ax.grid(False, axis="x")
    level_line(fig.ax)
    if grouped and len(handles) > 1:
        legend_above(fig, [*handles.values()], [*handles])
    return fig


@styled
def forest(values: Mapping[str, Any], x: str, title: str = "", **size: Any) -> Figure:
    """Draw a row for each kind, the highest on top: its mean, its 95 % interval and a dot for
    each seed, with a line at 0. Kinds that are not trained are named below.

    Arguments: values, {kind: an Estimate, or one number a seed}, in the colour of what a kind's
        name begins with, up to a comma; x, the label of the axis; title, the finding.

    >>> forest({"blur": [2.0, 3.0], "flip": [-6.0, -7.0]}, "harm, points", "Blur harms")
    Blur harms: harm, points
    """
    by_label("values", values, '{"blur": harm(run)}')
    every = {kind: estimate(points) for kind, points in values.items()}
    known = sorted((k for k in every if every[k].seeds), key=lambda kind: every[kind].mean)
    missing = [kind for kind in every if not every[kind].seeds]
    note = seeds_line(every.values(), missing)
    size = {"height": 130 + max(28, min(28 * len(known), 11 * len(known) + 80)), **size}
    fig = figure(title, x, "", source=note, **size)
    names = []
    for row, kind in enumerate(known):
        look, one = style(kind.partition(", ")[0]), every[kind]
        names.append(kind if ", " in kind else look.label)
        fig.ax.plot(one.values, [row] * len(one.values), ".", color=GREY, markersize=4)
        how = {"xerr": np.nan_to_num(one.half), "color": look.colour, "markersize": 7}
        fig.ax.errorbar(one.mean, row, fmt="o", **how)
    fig.ax.set_yticks(range(len(names)), names, fontsize=SMALL if len(names) > 12 else None)
    fig.ax.set_ylim(-0.7, len(names) - 0.3 if names else 0.7)
    level_line(fig.ax, vertical=True)
    return fig


@styled
def curves(
    groups: Mapping[str, Sequence],
    x: str,
    y: str,
    title: str = "",
    percent: bool = False,
    source: str = "",
    **size: Any,
) -> Figure:
    """Draw lines through any numbers, named by kind.

    Arguments: groups, for each kind two rows of numbers that were computed in a cell, or a list of
        such pairs, drawn as thin lines, which may be empty; x, y, labels; title, the finding;
        percent, whether y are fractions; source, of the numbers.

    >>> curves({"a": ([1, 2], [3, 4])}, "batches", "trace")
    trace against batches: a
    """
    by_label("groups", groups, '{"blur": (x, y)}')
    several = {kind: are_pairs(of) for kind, of in groups.items()}
    counts = [len(of) for kind, of in groups.items() if several[kind] and of]
    source = source or (estimates.count_seeds(*counts) if counts else "computed here and now")
    fig = figure(title, x, y, percent, source=source, **size)
    numbers: set[float] = set()
    for kind, look in styles(groups).items():
        pairs = groups[kind] if several[kind] else [groups[kind]]
        for i, rows in enumerate(pairs or [np.empty((2, 0))]):
            line = rows_of(kind, rows, "two rows of numbers, equally long", 2)
            numbers.update(line[0].tolist())
            how = line_look(look, points=not several[kind] and len(line[0]) < 40)
            how |= {"alpha": 0.85, "linewidth": 1.2} if several[kind] else {}
            how |= {"linestyle": "-"} if len(groups) == 1 else {}
            fig.ax.plot(*line, **how, label="" if i else look.label)
    require_logarithms(size.get("log", ""), numbers)
    if "x" in size.get("log", "") and len(numbers) < 7:  # a short one has few round numbers
        fig.ax.set_xticks(sorted(numbers))
    return name_lines(fig)


@styled
def by_layer(
    groups: Mapping[str, Any],
    title: str = "",
    y: str = "share of the total",
    percent: bool = True,
    **size: Any,
) -> Figure:
    """Draw bars of a quantity by layer, from the image to the answer, for several kinds of network.

    Arguments: groups, {kind: (seeds, layers)}; title, the finding; y, the quantity; percent,
        whether it is a fraction.

    >>> by_layer({"blur": [[0.25, 0.75]]})
    share of the total against layer, from the image to the answer: blur
    """
    by_label("groups", groups, '{"blur": traces}')
    advice, layers = "a row of numbers a seed, one a layer", dict[int, dict]()
    for kind, rows in groups.items():
        for layer, row in enumerate(rows_of(kind, rows, advice).T, 1):
            layers.setdefault(layer, {})[kind] = row
    fig = bars(layers, y, title, percent, **size)
    fig.ax.set_xlabel("layer, from the image to the answer")
    return fig


def require_logarithms(log: str, places: Iterable[float]) -> None:
    """Raise a CplabError if a logarithmic horizontal axis would need a place at 0 or below."""
    for place in places if "x" in log else ():
        line = f"{place:g} has no place on a logarithmic axis"
        require(not place <= 0, f"{line}: leave it out, or leave out log")


def are_pairs(of: Any) -> bool:
    """Whether a value is a list of pairs of rows."""
    each = of if isinstance(of, list | tuple) else [None]
    return all(np.iterable(pair) and np.iterable(next(iter(pair), 0)) for pair in each)


def rows_of(kind: str, rows: Any, advice: str, count: int = 0) -> np.ndarray:
    """Rows of numbers as an array (rows, numbers), of `count` rows if that is given."""
    with suppress(TypeError, ValueError):
        found = np.atleast_2d(np.asarray(rows, dtype=float))
        if found.ndim == 2 and len(found) in (count or len(found),):
            return found
    raise CplabError(f"{kind!r} is not allowed: give {advice}")


def table(rows: Mapping[Any, Mapping[str, Any]], digits: int = 1) -> Any:
    """Make a table of Estimates with their intervals, and the seeds of the first in each row.

    Arguments: rows, {words: {column: an Estimate, one number a seed, or text}}; digits after the
        point.

    >>> table({"blur": {"harm": [1.0, 2.0]}}).to_dict("index")
    {'blur': {'harm': '1.5 ± 6.4', 'seeds': 2}}
    """
    import pandas as pd

    for columns in by_label("rows", rows, '{"blur": {"harm": harm(run)}}').values():
        by_label("row", columns, '{"harm": harm(run)}')
    texts: dict[Any, dict] = {}
    for words, columns in rows.items():
        numbers = {c: estimate(v) for c, v in columns.items() if not isinstance(v, str)}
        said = {c: mean_in_words(e.mean, e.half, digits) for c, e in numbers.items()}
        counts = [one.seeds for one in numbers.values()][:1]
        texts[words] = {**columns, **said, **dict(zip(["seeds"], counts, strict=False))}
    return pd.DataFrame.from_dict(texts, orient="index")
