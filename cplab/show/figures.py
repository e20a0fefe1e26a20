"""Figures of numbers: means, bars, curves, layers, and a table of them.

Numbers are Estimates, or rows of one number a seed. Bands and whiskers are intervals of the mean
over seeds (`estimates.CONFIDENCE`); one seed has none. If nothing is trained yet, the figure says
so. `size` stands for further options of `cplab.show.figure`: width, height, log, x_range, y_range.
"""

from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, Unpack

import numpy as np

from cplab import estimates
from cplab.base.errors import CplabError, check_dict, quote
from cplab.estimates import (
    NOT_TRAINED,
    Estimate,
    Lack,
    each_once,
    estimate,
    lacking_in,
    mean_in_words,
)
from cplab.output.styles import Style, style, styles
from cplab.show.base import (
    GREY,
    SMALL,
    Figure,
    LineLook,
    Size,
    draw_band,
    figure,
    legend_above,
    level_line,
    line_look,
    name_lines,
    styled,
    wrap,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.container import BarContainer

# What is drawn of a kind: an Estimate, or one number a seed
Points: TypeAlias = Estimate | Sequence[float] | np.ndarray
# The same, or one curve a seed, (epochs,)
SeedValues: TypeAlias = Estimate | Sequence[float] | Sequence[np.ndarray] | np.ndarray
DOTS: LineLook = {"marker": ".", "linestyle": "", "color": GREY}  # one for each seed
GROUP_GAP = 0.6  # of a bar's place, the gap between two groups
NO_POINTS = np.empty((2, 0))  # so that a kind without a line has a name in the legend


def seeds_line(drawn: Iterable[SeedValues], missing: Sequence[str] = ()) -> str:
    """Write how many seeds are drawn, what the intervals mean, and which kinds are missing; or that
    nothing is trained yet."""
    counts = []
    for numbers in drawn:
        seeds = numbers.seeds if isinstance(numbers, Estimate) else len(list(numbers))
        if seeds:
            counts.append(seeds)
    if not counts:
        return NOT_TRAINED
    line = estimates.seeds_of_groups(*counts)
    if max(counts) > 1:
        line += f" · {estimates.INTERVAL_NOTE}"
    if missing:
        line += f" · {NOT_TRAINED}: {'; '.join(map(str, missing))}"
    return line


# Of any numbers -----------------------------------------------------------------------------------


@styled
def means(
    groups: Mapping[str, Mapping[int, Points] | Mapping[float, Points]],
    axes: tuple[str, str],
    title: str = "",
    percent: bool = False,
    zero: bool = False,
    lines: bool = True,
    source: str = "",
    **size: Unpack[Size],
) -> Figure:
    """Draw means with bands against a number, such as accuracy against density.

    Arguments:
        groups: {kind: {x: an Estimate, or one number a seed}}.
        axes: labels of both axes.
        title: the finding.
        percent: whether the numbers are fractions.
        zero: whether the vertical axis includes 0, with a line there.
        lines: whether the means are joined; if not, each has a whisker.
        source: of numbers that come from no training.

    >>> means({"blur": {2: [0.5, 0.6]}}, ("epochs", "accuracy"), percent=True)
    accuracy against epochs: blur
    """
    all_points: list[Estimate] = []
    trained: dict[str, dict[float, Estimate]] = {}  # of each kind, those with seeds, by place
    for kind, group in check_dict("groups", groups, '{"blur": {16: harms}}').items():
        check_dict("group", group, "{16: harms}")
        trained[kind] = {}
        for x, numbers in group.items():
            points = estimate(numbers)
            all_points.append(points)
            if points.seeds:
                trained[kind][x] = points
    missing = [kind for kind, group in trained.items() if not group]
    places = sorted(set().union(*trained.values()))
    if not places:
        size["log"] = ""  # an empty axis has no logarithm
    logarithmic = "x" in size.get("log", "")
    if logarithmic:
        check_logarithms(places)

    x_label, y_label = axes
    note = source or seeds_line(all_points, missing)
    fig = figure(title, x_label, y_label, percent, source=note, **size)
    fig.lacking = lacking_in(all_points)
    for kind, look in styles(trained).items():
        if trained[kind]:
            draw_means(fig, trained[kind], look, lines)
    if logarithmic and all(x == round(x) for x in places):  # others would crowd
        fig.ax.set_xticks(places)
    if zero:
        level_line(fig.ax)
    return name_lines(fig)


def draw_means(fig: Figure, points: Mapping[float, Estimate], look: Style, lines: bool) -> None:
    """Draw means with their intervals, {x: estimate}: joined, with a band, or with whiskers."""
    xs = sorted(points)
    mean = [points[x].mean for x in xs]
    half = [points[x].half for x in xs]
    if lines:
        draw_band(fig.ax, xs, mean, half, look, points=True)
        return
    whiskers = line_look(look, points=True)
    whiskers["linestyle"] = ""
    whiskers["label"] = look.label
    fig.ax.errorbar(xs, mean, np.nan_to_num(half), **whiskers)


class Bar(NamedTuple):
    """A bar of `bars`: its group, if there are groups, its kind, and what it shows."""

    group: str
    kind: str
    points: Estimate


@styled
def bars(
    values: Mapping[str, Any] | Mapping[int, Any],
    y: str,
    title: str = "",
    percent: bool = False,
    source: str = "",
    **size: Unpack[Size],
) -> Figure:
    """Draw a bar for each kind, with its interval and a dot for each seed.

    Arguments:
        values: {kind: an Estimate, or one number a seed}, or {group: {kind: …}}, which sets groups
            apart and gives each kind one colour.
        y: the label of the vertical axis.
        title: the finding.
        percent: whether the numbers are fractions.
        source: of numbers that are not of seeds, one a bar.

    >>> bars({"blur": [1.0, 2.0], "flip": [0.1]}, "harm, points", "Blur does harm")
    Blur does harm: harm, points: blur, vertical flip
    """
    bars_to_draw = list_bars(values)
    looks = styles(bar.kind for bar in bars_to_draw)
    grouped = any(isinstance(numbers, Mapping) for numbers in values.values())
    names = [str(bar.group) if grouped else looks[bar.kind].label for bar in bars_to_draw]
    places = place_bars(names, GROUP_GAP if grouped else 0.0)
    note = source or seeds_line(bar.points for bar in bars_to_draw)
    fig = figure(title, "", y, percent, source=note, **size)
    fig.lacking = lacking_in([bar.points for bar in bars_to_draw])
    handles = {}
    for kind, look in looks.items():
        of_kind = [bar.kind == kind for bar in bars_to_draw]
        kind_places = places[of_kind]  # (bars of this kind,)
        kind_points = [bar.points for bar in bars_to_draw if bar.kind == kind]
        handles[look.label] = draw_bars(fig, kind_places, kind_points, look)
        if not source:
            draw_seeds(fig, kind_places, kind_points)

    middles = {}  # by name, of the bars that share it
    for name in names:
        has_name = np.array(names) == name  # (bars,)
        middles[name] = places[has_name].mean()
    # pixels for each name: 96 an inch, but for the axis at the left
    room = (fig.get_figwidth() * 96 - 80) / max(1, len(middles))
    fig.ax.set_xlim(-0.6, max(places, default=0) + 0.6)
    fig.ax.set_xticks([*middles.values()], [wrap(name, room, SMALL) for name in middles])
    fig.ax.tick_params("x", length=0)
    fig.ax.grid(False, axis="x")
    level_line(fig.ax)
    if grouped and len(handles) > 1:
        legend_above(fig, [*handles.values()], [*handles])
    return fig


def list_bars(values: Mapping[Any, Any]) -> list[Bar]:
    """The bars of {kind: numbers}, or of {group: {kind: numbers}}, in their order."""
    check_dict("values", values, '{"blur": harm(run)}')
    groups = [isinstance(numbers, Mapping) for numbers in values.values()]
    if any(groups) and not all(groups):
        raise CplabError(f"values {quote(values)} are not allowed: give all in groups, or none")
    rows = values if any(groups) else {"": values}
    listed = []
    for group, row in rows.items():
        for kind, numbers in row.items():
            if isinstance(numbers, Real):  # a bar without an interval
                numbers = [float(numbers)]
            listed.append(Bar(group, kind, estimate(numbers)))
    return listed


def place_bars(names: Sequence[str], apart: float) -> np.ndarray:
    """The places of bars side by side, (bars,); apart, the gap before one of another name."""
    places = []
    place = 0.0
    for number, name in enumerate(names):
        if number:
            place += 1
            if name != names[number - 1]:
                place += apart
        places.append(place)
    return np.array(places)


def draw_bars(
    fig: Figure, places: np.ndarray, points: Sequence[Estimate], look: Style
) -> "BarContainer":
    """Draw the bars of a kind with their intervals, or words where nothing is trained.

    Arguments:
        places: (bars,).
        points: what each shows.

    Returns:
        the bars.
    """
    drawn = fig.ax.bar(
        places,
        [shown.mean for shown in points],
        0.8,
        color=(look.colour, 0.35),
        edgecolor=look.colour,
        linewidth=1.5,
        yerr=np.nan_to_num([shown.half for shown in points]),
        ecolor=GREY,
        label=look.label,
    )
    for place, shown in zip(places, points, strict=True):
        if not shown.seeds:
            fig.ax.text(
                place, 0, f" {NOT_TRAINED}", ha="center", va="bottom", rotation=90, fontsize=SMALL
            )
    return drawn


def draw_seeds(fig: Figure, places: np.ndarray, points: Sequence[Estimate]) -> None:
    """Draw a dot for each seed of some bars, at the right of its bar's place, (bars,)."""
    heights = [shown.values for shown in points]  # (seeds,) each
    seeds = [len(values) for values in heights]
    fig.ax.plot(np.repeat(places + 0.18, seeds), np.concatenate(heights), markersize=5, **DOTS)


@styled
def forest(values: Mapping[str, Points], x: str, title: str = "", **size: Unpack[Size]) -> Figure:
    """Draw a row for each kind, the highest on top: its mean, its interval and a dot for each
    seed, with a line at 0. Kinds that are not trained are named below.

    Arguments:
        values: {kind: an Estimate, or one number a seed}, in the colour of what a kind's name
            begins with, up to a comma.
        x: the label of the axis.
        title: the finding.

    >>> forest({"blur": [2.0, 3.0], "flip": [-6.0, -7.0]}, "harm, points", "Blur does harm")
    Blur does harm: harm, points
    """
    check_dict("values", values, '{"blur": harm(run)}')
    means_by_kind = {kind: estimate(numbers) for kind, numbers in values.items()}
    trained = [kind for kind, points in means_by_kind.items() if points.seeds]
    trained.sort(key=lambda kind: means_by_kind[kind].mean)
    missing = [kind for kind, points in means_by_kind.items() if not points.seeds]
    # pixels for all rows: 28 each, and fewer where there are many
    rows_height = max(28, min(28 * len(trained), 11 * len(trained) + 80))
    size.setdefault("height", 130 + rows_height)
    fig = figure(title, x, "", source=seeds_line(means_by_kind.values(), missing), **size)
    fig.lacking = lacking_in(means_by_kind)
    names = []
    for row, kind in enumerate(trained):
        look = style(kind.partition(", ")[0])
        points = means_by_kind[kind]
        names.append(kind if ", " in kind else look.label)
        fig.ax.plot(points.values, [row] * len(points.values), markersize=4, **DOTS)
        half = np.nan_to_num(points.half)
        fig.ax.errorbar(points.mean, row, xerr=half, fmt="o", color=look.colour, markersize=7)
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
    **size: Unpack[Size],
) -> Figure:
    """Draw lines through any numbers, named by kind.

    Arguments:
        groups: for each kind two rows of numbers, x and y, for one line; or a list of such pairs,
            for several thin ones. The list may be empty.
        x, y: labels of the axes.
        title: the finding.
        percent: whether y are fractions.
        source: of the numbers.

    >>> curves({"a": ([1, 2], [3, 4])}, "batches", "trace")
    trace against batches: a
    """
    check_dict("groups", groups, '{"blur": (x, y)}')
    several = {kind: are_pairs(rows) for kind, rows in groups.items()}
    counts = [len(rows) for kind, rows in groups.items() if several[kind] and rows]
    if not source:
        source = estimates.seeds_of_groups(*counts) if counts else "computed here and now"
    fig = figure(title, x, y, percent, source=source, **size)
    fig.lacking = lacking_in(groups)
    places: set[float] = set()  # of all points
    for kind, look in styles(groups).items():
        pairs = groups[kind] if several[kind] else [groups[kind]]
        label = look.label  # of the first line, for the legend
        for pair in pairs or [NO_POINTS]:
            line = rows_of(kind, pair, "two rows of numbers, equally long", 2)  # (2, points)
            places.update(line[0].tolist())
            has_few_points = line.shape[1] < 40
            strokes = line_look(look, points=has_few_points and not several[kind])
            if several[kind]:
                strokes["alpha"] = 0.85
                strokes["linewidth"] = 1.2
            if len(groups) == 1:
                strokes["linestyle"] = "-"
            fig.ax.plot(*line, **strokes, label=label)
            label = ""
    if "x" in size.get("log", ""):
        check_logarithms(places)
        if len(places) < 7:  # a short axis has few round numbers
            fig.ax.set_xticks(sorted(places))
    return name_lines(fig)


@styled
def by_layer(
    groups: Mapping[str, Any],
    title: str = "",
    y: str = "share of the total",
    percent: bool = True,
    **size: Unpack[Size],
) -> Figure:
    """Draw bars of a quantity by layer, from the image to the answer, for several kinds of network.

    Arguments:
        groups: {kind: (seeds, layers)}.
        title: the finding.
        y: the quantity.
        percent: whether it is a fraction.

    >>> by_layer({"blur": [[0.25, 0.75]]})
    share of the total against layer, from the image to the answer: blur
    """
    check_dict("groups", groups, '{"blur": traces}')
    layers: dict[int, dict[str, np.ndarray]] = {}
    for kind, rows in groups.items():
        numbers = rows_of(kind, rows, "a row of numbers a seed, one a layer")  # (seeds, layers)
        for layer, row in enumerate(numbers.T, 1):
            layers.setdefault(layer, {})[kind] = row
    fig = bars(layers, y, title, percent, **size)
    fig.lacking = lacking_in(groups)
    fig.ax.set_xlabel("layer, from the image to the answer")
    return fig


def check_logarithms(places: Iterable[float]) -> None:
    """Raise a CplabError if a place of a logarithmic axis is at 0 or below."""
    for place in places:
        if place <= 0:
            raise CplabError(
                f"{place:g} has no place on a logarithmic axis: leave it out, or leave out log"
            )


def are_pairs(rows: object) -> bool:
    """Whether a value is a list of pairs of rows, and not one such pair.

    >>> are_pairs([([1, 2], [3, 4])]), are_pairs(([1, 2], [3, 4]))
    (True, False)
    """
    if not isinstance(rows, list | tuple):
        return False
    for pair in rows:
        if not np.iterable(pair):
            return False
        first = next(iter(pair), None)  # a row of numbers, or else a number
        if not np.iterable(first):
            return False
    return True


def rows_of(kind: str, rows: object, advice: str, count: int | None = None) -> np.ndarray:
    """Rows of numbers as an array (rows, numbers), of `count` rows if that is given."""
    try:
        numbers = np.atleast_2d(np.asarray(rows, dtype=float))
    except (TypeError, ValueError):
        numbers = np.empty(0)
    if numbers.ndim != 2 or count not in (None, len(numbers)):
        raise CplabError(f"{kind!r} is not allowed: give {advice}")
    return numbers


def table(rows: Mapping[Any, Mapping[str, Any]], digits: int = 1) -> "pd.DataFrame":
    """Make a table of Estimates with their intervals, and the seeds of the first in each row.

    Arguments:
        rows: {words: {column: an Estimate, one number a seed, or text}}.
        digits: after the point.

    >>> table({"blur": {"harm": [1.0, 2.0]}}).to_dict("index")
    {'blur': {'harm': '1.5 ± 6.4', 'seeds': 2}}
    """
    import pandas as pd

    lacking: list[Lack] = []
    texts: dict[Any, dict[str, str | int]] = {}
    for words, columns in check_dict("rows", rows, '{"blur": {"harm": harm(run)}}').items():
        check_dict("row", columns, '{"harm": harm(run)}')
        line: dict[str, str | int] = {}
        seeds = None  # of the first Estimate
        for column, value in columns.items():
            if isinstance(value, str):
                line[column] = value
                continue
            points = estimate(value)
            lacking += points.lacking
            line[column] = mean_in_words(points.mean, points.half, digits)
            if seeds is None:
                seeds = points.seeds
        if seeds is not None:
            line["seeds"] = seeds
        texts[words] = line
    frame = pd.DataFrame.from_dict(texts, orient="index")
    if lacking:
        frame.attrs["lacking"] = each_once(lacking)
    return frame
