"""Figures of results: final accuracies, quantities over epochs and by layer, any numbers a seed.

Bands and whiskers are 95 % intervals of the mean over seeds (Student's t); one seed has none. Each
function returns a Bokeh figure; `options` are Bokeh's options of that figure.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from bokeh.models import ColumnDataSource, FactorRange, NumeralTickFormatter, Range1d
from bokeh.plotting import figure
from numpy.typing import ArrayLike

from cplab import quantities, statistics
from cplab.deficits import canonical_name
from cplab.errors import one_of, require
from cplab.results import Result
from cplab.runs import Run
from cplab.show import theme
from cplab.show.styles import Style, source_note, style, styles
from cplab.show.theme import band, percent_axis, place_legend, plain_figure

QUANTITIES = {  # over the epochs
    "trace": "trace of the Fisher information",
    "log_det": "log det (F / damping + I)",
    "test_accuracy": "test accuracy",
    "train_loss": "training loss",
}
CONTROLS: dict[str, tuple] = {  # for `removal`: a function of the run, its name, its look
    "newborn": (Run.newborn, "the newborn", theme.NEWBORN),
    "equal training": (Run.equal_training, "equal training", theme.EQUAL),
    "without window": (Run.without_window, "the same run without it", theme.EQUAL),
}


def finish(fig: figure, percent: bool = False) -> figure:
    """Place a figure's legend, and label its vertical axis in percent if that is wanted."""
    if percent:
        percent_axis(fig.yaxis)
    return place_legend(fig)


def name_groups(fig: figure) -> None:
    """Name the groups of bars below them; the legend names the bars."""
    fig.xaxis.major_label_text_font_size = "0px"
    fig.xaxis.major_tick_line_color = None
    words = {"font_size": "11px", "font_style": "normal", "color": "#444444"}
    fig.xaxis.update(**{f"group_text_{name}": value for name, value in words.items()})


def removal(
    like: Run, deficits: Sequence = ("blur", "flip"), control: str = "", **options: Any
) -> figure:
    """Draw final accuracy against the epoch at which the deficit is removed (paper, figures 1, 2).

    Arguments: like, a run that gives profile, schedule and onset; deficits, names or functions of
        your own; control, newborn, equal training or without window: accuracies are then in points
        above it. Without a control in the call, the controls are drawn in grey.

    >>> removal(Run(profile="ci"), ("blur", "flip")).yaxis.axis_label
    'final test accuracy'
    >>> removal(Run(profile="ci"), ("blur",), control="equal training").yaxis.axis_label
    'points above equal training'
    """
    clear = replace(like, deficit="none", length=0)
    names = map(canonical_name, deficits)
    impaired = {n: quantities.every_length(replace(like, deficit=n, length=1)) for n in names}
    shown = [run for runs in impaired.values() for run in runs]
    lengths = sorted({0}.union(run.length for run in shown))
    equal = [replace(clear, onset=like.onset + length) for length in lengths]
    if control:
        other, words, look = CONTROLS[one_of("control", control, CONTROLS)]
        title, y = f"accuracy after a deficit minus that of {words}", f"points above {words}"
    else:
        title = f"accuracy after a deficit from epoch {like.onset}, {like.schedule} schedule"
        shown, y = [clear.newborn(), *equal, *shown], "final test accuracy"
    source = source_note([result for run in shown for result in quantities.each_result(run)])
    fig = plain_figure(title, "epochs with the deficit", y, source, **options)

    def draw(runs: Sequence[Run], look: Style, at: Sequence[int], points: bool = False) -> None:
        if control:
            means = [quantities.advantage(run, other(run)) for run in runs]
        else:
            means = [quantities.accuracy(run) / 100 for run in runs]
        columns = statistics.mean_columns(dict(zip(at, means, strict=True)))
        band(fig, ColumnDataSource(columns), "x", look, points=points)

    if control:
        theme.reference_line(fig, "width", look.colour)
    else:
        draw(equal, theme.EQUAL, lengths)
        if quantities.each_result(clear.newborn()):
            draw([clear.newborn()] * 2, theme.NEWBORN, [0, lengths[-1] or 1])
    for name, runs in impaired.items():
        runs = runs if control else [equal[0], *runs]
        draw(runs, style(name), [run.length for run in runs], points=True)
    return finish(fig, percent=not control)


def lives_figure(
    grey: Sequence, lives: Mapping[str, tuple[Run, Sequence]], title: str = "", **options: Any
) -> figure:
    """Draw test accuracy against clear epochs seen: in grey without a deficit, and a line for each
    of several runs of one setting, which leaves the grey one at its onset.

    Arguments: grey, a curve in percent for each seed; lives, {label: (run, curves of its seeds)}.
    """
    options = {"width": 860, "height": 350, **options}
    fig = plain_figure(title, "clear epochs seen", "test accuracy, %", **options)
    latest = max(run.onset + run.recovery for run, _ in lives.values())

    def draw(curves: Sequence, begin: int, look: Style) -> None:
        mean, half = statistics.mean_of_curves(curves)
        if len(mean):
            epochs = np.arange(begin, begin + len(mean))
            columns = {"x": epochs, **statistics.band_columns(mean, half)}
            band(fig, ColumnDataSource(columns), "x", look)

    draw([curve[:latest] for curve in grey], 1, Style("never deprived", theme.EQUAL.colour))
    dashes = {run.deficit: iter(theme.DASHES) for run, _ in lives.values()}
    for words, (run, curves) in lives.items():
        look = Style(words, style(run.deficit).colour, next(dashes[run.deficit]))
        draw([curve[run.end :] for curve in curves], run.onset + 1, look)
        if len(curves) and run.onset:
            dip = np.mean([curve[run.onset - 1 : run.end + 1] for curve in curves], axis=0)
            epochs = [run.onset] * (len(dip) - 1) + [run.onset + 1]
            fig.line(epochs, dip, color=look.colour, line_dash="dotted", width=1.5)
    if counts := [len(curves) for _, curves in lives.values() if len(curves)]:
        seeds = statistics.count_seeds(*counts)
        fig.xaxis.axis_label = f"clear epochs seen   ({seeds} a line, bands: 95 %)"
    fig.x_range = Range1d(0, latest + 1)
    return finish(fig)


def over_epochs(
    groups: Mapping[str, Sequence[Result]], what: str = "trace", **options: Any
) -> figure:
    """Draw a quantity against the epoch, a line for each group of results that differ in the seed.

    Arguments: groups, {label: results}; what, trace, log_det, test_accuracy, train_loss or another
        quantity that `Result.series` gives.
    A line has the look of its deficit, and is fainter the earlier that ended, at a large marker.

    >>> over_epochs({}, "train_loss").yaxis.axis_label
    'training loss'
    """
    shown = [result for group in groups.values() for result in group]
    if shown:
        measured = [rows for result in shown for rows in result.measured.values()]
        dicts = [row for rows in measured for row in rows.values() if isinstance(row, dict)]
        columns = {*QUANTITIES}.union(*(r.curve[0] for r in shown), *(r.measured for r in shown))
        one_of("quantity", what, sorted(columns.union(*dicts) - {"phase"}))
    words = QUANTITIES.get(what, what)
    fig = plain_figure(f"{words}, epoch by epoch", "epoch", words, source_note(shown), **options)
    latest = max([1, *(r.spec.end for r in shown if r.spec.length)])
    for text, group in groups.items():
        if not group:
            continue
        curve = statistics.mean_curve(group, what)
        run = group[0].spec
        epochs, mean, look = curve["epoch"], curve["mean"], style(run.deficit)
        strength = 0.35 + 0.65 * run.end / latest if run.length else 1.0
        style_options = {"color": look.colour, "alpha": strength, "legend_label": text}
        limit = 1 if what == "test_accuracy" else np.inf  # two seeds have a wide interval
        low, high = np.clip([curve["low"], curve["high"]], 0 if limit == 1 else -np.inf, limit)
        fig.varea(epochs, low, high, color=look.colour, alpha=0.13 * strength)
        fig.line(epochs, mean, width=2, line_dash=look.dash, **style_options)
        ends = np.flatnonzero((epochs == run.end) & (run.length > 0))
        fig.scatter(epochs[ends], mean[ends], size=9, marker=look.marker, **style_options)
    if what != "test_accuracy":
        fig.y_range.start = 0
    if what in ("trace", "log_det"):
        fig.yaxis.formatter = NumeralTickFormatter(format="0,0")
    return finish(fig, what == "test_accuracy")


def by_layer(layers: int, groups: Mapping, hues: Mapping[str, str], **options: Any) -> figure:
    """Draw bars of a quantity by layer, from the image to the answer, for several kinds of network.

    Arguments: layers, how many; groups, (seeds, layers) for each kind; hues, its colour. The data
        source of a kind has its name, and the columns of `layer_columns`.

    >>> by_layer(2, {"blur": [[0.25, 0.75]]}, {"blur": "blue"}).y_range.start
    0
    """
    factors = [(str(layer), text) for layer in range(1, layers + 1) for text in groups]
    options = {"x_range": FactorRange(*factors, group_padding=0.6), **options}
    axes = ("layer, from the image to the answer", "share of the total")
    fig = plain_figure("share of each layer", *axes, **options)
    for text, values in groups.items():
        source = ColumnDataSource(layer_columns(text, values), name=text)
        fig.vbar("layer", 0.9, "mean", source=source, color=hues[text], legend_label=text)
        fig.segment("layer", "low", "layer", "high", color="#333333", source=source)
    name_groups(fig)
    fig.xgrid.visible = False
    fig.y_range.start = 0
    return finish(fig, percent=True)


def layer_columns(text: str, values: ArrayLike) -> dict[str, Any]:
    """The columns layer (pairs of layer and `text`), mean, low and high of a kind in `by_layer`.

    >>> layer_columns("blur", [[0.25, 0.75]])["layer"]
    [('1', 'blur'), ('2', 'blur')]
    """
    columns = statistics.mean_columns(list(np.atleast_2d(np.asarray(values, dtype=float)).T))
    return {"layer": [(str(i), text) for i in range(1, len(columns["mean"]) + 1)], **columns}


def empty_figure(x: str, y: str, source: str, **options: Any) -> figure:
    """Make an empty figure whose title names its axes, the horizontal one without its unit."""
    title = options.pop("title", f"{y} against {x.partition(',')[0]}")
    return plain_figure(title, x, y, source, **options)


def seeds_line(counts: Iterable[int], note: str = f" · {statistics.INTERVALS}") -> str:
    """Write how many seeds there are, or that nothing is computed yet."""
    present = [count for count in counts if count]
    words = statistics.count_seeds(*present) if present else "not computed yet"
    return words + (note if max(present, default=0) > 1 else "")


def means(
    groups: Mapping[str, Mapping[float, Any]],
    words: tuple[str, str],
    percent: bool = True,
    log: bool = False,
    source: str = "",
    **options: Any,
) -> figure:
    """Draw means with bands against a number, such as accuracy against density.

    Arguments: groups, {kind: {x: an Estimate, or one number a seed}}; words, labels of both axes;
        percent, whether the vertical axis is of fractions; log, whether the horizontal axis is
        logarithmic; source, of numbers that come from no training.
    The data source of a kind is called `band` and its name.

    >>> means({"blur": {2: [0.5, 0.6]}}, ("epochs", "accuracy")).title.text
    'accuracy against epochs'
    """
    groups = {k: {x: statistics.estimate(of) for x, of in g.items()} for k, g in groups.items()}
    places = {x for group in groups.values() for x, mean in group.items() if mean.seeds}
    if log and places:  # an empty axis has no logarithm
        options["x_axis_type"] = "log"
    counts = [estimate.seeds for group in groups.values() for estimate in group.values()]
    fig = empty_figure(*words, source or seeds_line(counts), **options)
    for kind, look in styles(groups).items():
        columns = ColumnDataSource(statistics.mean_columns(groups[kind]), name=f"band {kind}")
        band(fig, columns, "x", look, points=True)
    if len(groups) == 1:
        fig.legend.visible = False
    if log and places and all(x == round(x) for x in places):  # others would crowd
        fig.xaxis.ticker = sorted(places)
    return finish(fig, percent)


def bars(
    values: Mapping[Any, Any], words: str, percent: bool = True, source: str = "", **options: Any
) -> figure:
    """Draw a bar for each kind, with its 95 % interval and a dot for each seed.

    Arguments: values, {kind: an Estimate, or one number a seed}, or {(group, kind): …}, which sets
        groups apart and gives each kind one colour; words, the label of the vertical axis; percent,
        whether it is of fractions; source, of numbers that are not of seeds.
    Its data source is called `bars`.

    >>> bars({"dense": [0.5, 0.6]}, "accuracy").x_range.factors
    ['dense']
    >>> bars({("depth 1", "alone"): [0.3]}, "share").x_range.factors
    [('depth 1', 'alone')]
    """
    pairs = [kind if isinstance(kind, tuple) else ("", kind) for kind in values]
    looks, means = styles(kind for _, kind in pairs), [*map(statistics.estimate, values.values())]
    grouped = any(group for group, _ in pairs)
    names = [(group, looks[k].label) if group else looks[k].label for group, k in pairs]
    options = {"x_range": FactorRange(*names, group_padding=0.6), **options}
    fig = plain_figure(words, "", words, source or seeds_line(e.seeds for e in means), **options)
    columns = {"kind": names, "hue": [looks[k].colour for _, k in pairs]}
    columns |= statistics.mean_columns(means)
    drawn = {"source": ColumnDataSource(columns, name="bars")}
    wide = 0.85 if grouped else 0.7
    fig.vbar("kind", wide, "mean", color="hue", alpha=0.6, **drawn)
    fig.segment("kind", "low", "kind", "high", color="#333333", **drawn)
    for look in looks.values() if grouped else ():  # the entries of the legend
        square = {"marker": "square", "size": 13, "alpha": 0.6}
        nowhere = [names[0]], [np.nan]  # Bokeh's legend leaves out a glyph without points
        fig.scatter(*nowhere, color=look.colour, legend_label=look.label, **square)
    for name, estimate in () if source else zip(names, means, strict=True):
        fig.scatter([name] * estimate.seeds, list(estimate.values), size=4, color="#333333")
    if grouped:
        name_groups(fig)
    elif len(names) > 4:
        fig.xaxis.major_label_orientation = 0.5
    return finish(fig, percent)


def curves(
    groups: Mapping[str, Sequence], x: str, y: str, percent: bool = False, **options: Any
) -> figure:
    """Draw lines of any numbers, named by kind.

    Arguments: groups, for each kind two rows of numbers that were computed in a cell, or a list of
        such pairs, drawn as thin lines; x, y, labels; percent, whether y are fractions.

    >>> curves({"a": ([1, 2], [3, 4])}, "batches", "trace").title.text
    'trace against batches'
    """
    several = {kind: not len(of) or np.ndim(of[0]) > 1 for kind, of in groups.items()}
    counts = [len(of) for kind, of in groups.items() if several[kind]]
    source = seeds_line(counts, "") if counts else "computed here and now"
    fig = empty_figure(x, y, source, **options)
    numbers: set[float] = set()
    for kind, look in styles(groups).items():
        dash = look.dash if len(groups) > 1 else "solid"
        line_style = {"color": look.colour, "legend_label": look.label, "line_dash": dash}
        for rows in groups[kind] if several[kind] else [groups[kind]]:
            line = [*map(np.asarray, rows)]
            pair = len(line) == 2 and line[0].shape == line[1].shape
            require(pair, f"{kind!r} is not allowed: give two rows of numbers, equally long")
            numbers.update(line[0].tolist())
            fig.line(*line, **{"alpha": 0.55} if several[kind] else {"width": 2}, **line_style)
            if not several[kind] and len(line[0]) < 100:
                fig.scatter(*line, size=5, marker=look.marker, color=look.colour)
    # a short logarithmic axis has few round numbers
    if options.get("x_axis_type") == "log" and len(numbers) < 7:
        fig.xaxis.ticker = sorted(numbers)
    elif max(numbers, default=0) >= 1000:
        fig.xaxis.formatter = NumeralTickFormatter(format="0,0")
    if len(groups) == 1:
        fig.legend.visible = False
    return finish(fig, percent)
