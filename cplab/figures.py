"""Bokeh figures of records, and the statistics they show.

One colour a deficit through all labs (Okabe and Ito's colour-blind-safe set), grey for the two
controls, shaded epochs for the deficit. Bands and whiskers are 95 % intervals of the mean over
seeds (Student's t); where there is one seed there is no interval.
"""

import base64
import io
import sys

import numpy as np
import pandas as pd
from bokeh.models import (
    BasicTicker,
    ColumnDataSource,
    FactorRange,
    NumeralTickFormatter,
    Span,
    Whisker,
)
from bokeh.palettes import Blues256
from bokeh.plotting import figure
from bokeh.transform import linear_cmap

from cplab import records
from cplab.experiment import Run

COLOURS = {
    "blur": "#0072B2",
    "flip": "#E69F00",
    "permute": "#009E73",
    "noise": "#CC79A7",
    "fresh_noise": "#332288",  # indigo of Tol's muted set, which no grey resembles
    "stripes": "#56B4E9",
    "blank": "#000000",
}
EQUAL, NEWBORN, LIVE = "#555555", "#999999", "#D55E00"
NAMES = {
    "none": "no deficit",
    "blur": "blur",
    "flip": "vertical flip",
    "permute": "permuted labels",
    "noise": "noise",
    "fresh_noise": "fresh noise",
    "stripes": "vertical stripes",
    "blank": "blank images",
}
SETTING = ["profile", "dataset", "model", "schedule", "recovery", "optimizer", "trace"]
_loaded = False  # whether `ready` was called in this kernel


# Statistics -------------------------------------------------------------------------------------


def half_width(std, count):
    """Half the 95 % interval of a mean, from the deviation over `count` seeds; NaN for one seed."""
    from scipy import stats

    count = np.asarray(count, dtype=float)
    t = stats.t.ppf(0.975, np.where(count > 1, count - 1, np.nan))
    return t * np.asarray(std, dtype=float) / np.sqrt(count)


def select(table: pd.DataFrame, like: Run) -> pd.DataFrame:
    """The rows of a table of records that share the setting (profile, dataset, model, schedule,
    recovery) of a run."""
    same = pd.Series(True, index=table.index)
    for name in SETTING:
        same &= table[name] == getattr(like, name)
    return table[same]


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """What a set of records of one setting says about each deficit, onset and length.

    Every record is read against its two controls of the same seed: equal training (no deficit, as
    many epochs) and the newborn (the recovery epochs alone).

    Returns: one row for each (deficit, onset, length), its index, with the mean over seeds and
    half the 95 % interval (…_half) of: accuracy; loss, equal training minus accuracy, the
    sensitivity of the paper; gain, accuracy minus the newborn's; and `seeds`, `pairs`, how many
    records and how many with the control of equal training there are.
    """
    clear = table[table.deficit == "none"].set_index(["onset", "seed"]).accuracy
    rows = table[["deficit", "onset", "length", "seed", "accuracy"]].copy()
    equal = pd.MultiIndex.from_arrays([rows.onset + rows.length, rows.seed])
    newborn = pd.MultiIndex.from_arrays([rows.onset * 0, rows.seed])
    rows["loss"] = clear.reindex(equal).to_numpy() - rows.accuracy
    rows["gain"] = rows.accuracy - clear.reindex(newborn).to_numpy()
    groups = rows.drop(columns="seed").groupby(["deficit", "onset", "length"])
    mean, std, count = groups.mean(), groups.std(), groups.count()
    for name in ("accuracy", "loss", "gain"):
        mean[f"{name}_half"] = half_width(std[name], count[name])
    mean["seeds"], mean["pairs"] = count.accuracy, count.loss
    return mean


def mean_curve(some: list[records.Record], what: str = "test_accuracy") -> dict[str, np.ndarray]:
    """A quantity of the curves of several seeds (see Record.series): epoch, mean, low, high (one
    entry for each epoch after which it was measured)."""
    if not some:
        return {name: np.empty(0) for name in ("epoch", "mean", "low", "high")}
    curves = np.array([record.series(what) for record in some])
    mean = curves.mean(0)
    half = np.nan_to_num(half_width(curves.std(0, ddof=1), len(some))) if len(some) > 1 else 0
    columns = {"epoch": np.arange(1, len(mean) + 1), "mean": mean}
    columns |= {"low": mean - half, "high": mean + half}
    return {name: column[np.isfinite(mean)] for name, column in columns.items()}


def name(deficit: str) -> str:
    """`vertical flip` for flip, `blur (2×)` for blur-2."""
    kind, _, strength = deficit.partition("-")
    return NAMES[kind] + (f" ({strength}×)" if strength else "")


def colour(deficit: str) -> str:
    return COLOURS.get(deficit.partition("-")[0], EQUAL)


def percent(mean: float, half: float = np.nan, sign: bool = False) -> str:
    """`55.1 ± 0.7`, of fractions; one decimal at most, none where the interval is wide."""
    digits = 0 if half >= 0.1 else 1
    text = f"{100 * mean:{'+' if sign else ''}.{digits}f}"
    return text if np.isnan(half) else f"{text} ± {100 * half:.{digits}f}"


def label(table: pd.DataFrame | list[records.Record]) -> str:
    """One line that says where a figure's numbers come from."""
    if isinstance(table, list):
        names = ("profile", "dataset", "deficit", "onset", "length", "seed")
        rows = [
            {n: getattr(r.run, n) for n in names} | {"source": r.source, "copy": r.copy}
            for r in table
        ]
        table = pd.DataFrame(rows)
    if not len(table):
        return "no records yet"
    source = " and ".join(
        {"shipped": "cached", "live": "live"}[s] for s in sorted(set(table.source))[::-1]
    )
    seeds = sorted({len(set(g.seed)) for _, g in table.groupby(["deficit", "onset", "length"])})
    seeds = f"{seeds[0]} to {seeds[-1]}" if len(seeds) > 1 else f"{seeds[0]}"
    copies = ", ".join(sorted(set(table["copy"])))
    made = "PRACTICE images, " if set(table.dataset) == {"practice"} else ""
    return f"{source} · {made}{', '.join(set(table.profile))} · {copies} · seeds: {seeds}"


# Parts ------------------------------------------------------------------------------------------


def plain_figure(title: str, x: str, y: str, **options):
    """An empty figure in the house style: few lines, no tools that nobody needs."""
    fig = figure(
        title=title,
        x_axis_label=x,
        y_axis_label=y,
        tools="",
        toolbar_location=None,
        **{"height": 300, "width": 420, **options},
    )
    fig.title.text_font_size = "12px"
    fig.axis.axis_label_text_font_style = "normal"
    fig.axis.axis_label_text_font_size = fig.axis.major_label_text_font_size = "11px"
    fig.grid.grid_line_alpha = 0.35
    fig.outline_line_color = None
    return fig


def band(fig, source: ColumnDataSource, x: str, hue: str, text: str, dash="solid", points=False):
    """A line through `mean` with a band from `low` to `high`."""
    fig.varea(x, "low", "high", source=source, color=hue, alpha=0.18)
    fig.line(x, "mean", source=source, color=hue, width=2, line_dash=dash, legend_label=text)
    if points:
        fig.scatter(x, "mean", source=source, color=hue, size=6)
    return source


def in_percent(axis):
    """Label an axis of fractions in percent."""
    axis.formatter = NumeralTickFormatter(format="0 %")


def tidy_legend(fig, place: str = "bottom_right"):
    fig.legend.location = place
    fig.legend.label_text_font_size = "11px"
    fig.legend.background_fill_alpha = 0.7
    fig.legend.border_line_color = None
    fig.legend.padding = fig.legend.spacing = 2
    return fig


def between(rows: pd.DataFrame, what: str, scale: float = 1) -> dict:
    """Columns mean, low, high of one quantity of a summary, and the level of its index."""
    half = rows[f"{what}_half"].fillna(0)
    mean = rows[what]
    return {
        "mean": scale * mean.to_numpy(),
        "low": scale * (mean - half).to_numpy(),
        "high": scale * (mean + half).to_numpy(),
    }


def along_length(points: pd.DataFrame, deficit: str, onset: int) -> dict:
    """Final accuracy against length at one onset, with length 0 from the clear control."""
    rows = points[points.index.get_level_values("deficit").isin([deficit, "none"])]
    rows = rows.query("onset == @onset").sort_index(level="length")
    return {"length": rows.index.get_level_values("length").to_numpy(), **between(rows, "accuracy")}


def clear_along(points: pd.DataFrame, onset: int) -> dict:
    """Final accuracy without a deficit against the epochs before recovery that exceed `onset`."""
    rows = points.query("deficit == 'none' and onset >= @onset")
    lengths = rows.index.get_level_values("onset").to_numpy() - onset
    return {"length": lengths, **between(rows, "accuracy")}


def along_onset(points: pd.DataFrame, deficit: str, length: int) -> dict:
    """Sensitivity (points lost against equal training) against onset at one length."""
    rows = points.query("deficit == @deficit and length == @length")
    return {"onset": rows.index.get_level_values("onset").to_numpy(), **between(rows, "loss", 100)}


# Whole figures ----------------------------------------------------------------------------------


def removal(like: Run, deficits=("blur", "flip"), table: pd.DataFrame | None = None, **options):
    """Final accuracy against the epoch at which the deficit is removed (figures 1 and 2).

    Arguments: like, a run whose profile, schedule and onset the figure takes; deficits; table of
        records (all there are by default).
    Returns: a Bokeh figure with the two controls in grey.
    """
    rows = select(records.table() if table is None else table, like)
    ours = rows.deficit.isin(deficits) & (rows.onset == like.onset)
    longest = int(rows.length[ours].max()) if ours.any() else 1
    equal = rows.onset.between(like.onset, like.onset + longest)
    shown = rows[ours | ((rows.deficit == "none") & (equal | (rows.onset == 0)))]
    fig = plain_figure(
        f"{like.schedule} schedule: {label(shown)}",
        "epochs with the deficit",
        "final test accuracy",
        **options,
    )
    points = summary(rows)
    clear = clear_along(points, like.onset)
    near = clear["length"] <= longest
    clear = ColumnDataSource({column: values[near] for column, values in clear.items()})
    band(fig, clear, "length", EQUAL, "equal training", "dashed")
    if ("none", 0, 0) in points.index:
        born = points.loc[[("none", 0, 0)] * 2]
        source = ColumnDataSource({"length": [0, longest], **between(born, "accuracy")})
        band(fig, source, "length", NEWBORN, "newborn", "dotted")
    for deficit in deficits:
        source = ColumnDataSource(along_length(points, deficit, like.onset))
        band(fig, source, "length", colour(deficit), name(deficit), points=True)
    in_percent(fig.yaxis)
    return tidy_legend(fig, "bottom_left")


def rates(runs: list[Run], **options):
    """Learning rate against epoch; the epochs with a deficit are drawn thick."""
    fig = plain_figure("learning rate of each epoch", "epoch", "learning rate", **options)
    for run in runs:
        lr = [step.lr for step in run.steps]
        hue = colour(run.deficit)
        words = name(run.deficit) + (f" until {run.end}" if run.length else "")
        fig.line(list(range(len(lr))), lr, color=hue, width=1.5, legend_label=words)
        inside = list(range(run.onset, run.end))
        fig.line(inside, [lr[e] for e in inside], color=hue, width=6, alpha=0.5)
    return tidy_legend(fig, "top_right")


def over_epochs(groups: dict[str, list[records.Record]], what: str = "trace", **options):
    """A quantity against the epoch, one line for each group of records that differ in the seed.

    Arguments: groups, records by the words for them; what, trace, log_det, test_accuracy or
        train_loss (see Record.series).
    Returns: a Bokeh figure. A line has the colour of its deficit, the fainter the earlier that
        ended; a dot marks the end.
    """
    words = {
        "trace": "trace of the Fisher information",
        "log_det": "log det (F / damping + I)",
        "test_accuracy": "test accuracy",
        "train_loss": "training loss",
    }
    shown = [record for group in groups.values() for record in group]
    fig = plain_figure(label(shown), "epoch", words.get(what, what), **options)
    latest = max([1, *(r.run.end for r in shown if r.run.length)])
    for text, group in groups.items():
        if not group:
            continue
        run, curve = group[0].run, mean_curve(group, what)
        hue, strength = (
            colour(run.deficit),
            1.0 if not run.length else 0.35 + 0.65 * run.end / latest,
        )
        fig.varea(curve["epoch"], curve["low"], curve["high"], color=hue, alpha=0.13 * strength)
        fig.line(
            curve["epoch"], curve["mean"], color=hue, width=2, alpha=strength, legend_label=text
        )
        ends = np.flatnonzero(curve["epoch"] == run.end) if run.length else []
        fig.scatter(curve["epoch"][ends], curve["mean"][ends], color=hue, size=8, alpha=strength)
    if what == "test_accuracy":
        in_percent(fig.yaxis)
    return tidy_legend(fig, "top_right") if groups else fig


def shares(values) -> np.ndarray:
    """Each layer's part of the total, of one number for each layer (..., layers)."""
    values = np.asarray(values, dtype=float)
    return values / values.sum(-1, keepdims=True)


def by_layer(layers: list[str], groups: dict[str, np.ndarray], hues: dict[str, str], **options):
    """Bars of a quantity by layer, several kinds of network side by side.

    Arguments: layers, their words in order from the image to the answer; groups, (seeds, layers)
        for each kind, whose means and 95 % intervals are drawn; hues, its colour.
    Returns: a Bokeh figure; each kind's data source has its name and the columns layer (pairs of
        layer and kind), mean, low, high.
    """
    factors = [(layer, text) for layer in layers for text in groups]
    ranges = {"x_range": FactorRange(*factors, group_padding=0.6)}
    fig = plain_figure("", "layer, from the image to the answer", "share of the total",
                       **{**ranges, **options})  # fmt: skip
    for text, values in groups.items():
        source = ColumnDataSource(layer_columns(layers, text, values), name=text)
        fig.vbar("layer", 0.9, "mean", source=source, color=hues[text], legend_label=text)
        fig.add_layout(Whisker(base="layer", lower="low", upper="high", source=source, line_width=1,
                               upper_head=None, lower_head=None))  # fmt: skip
    fig.xaxis.major_label_text_font_size = "0px"
    fig.xaxis.major_tick_line_color = None
    fig.xgrid.visible = False
    fig.y_range.start = 0
    in_percent(fig.yaxis)
    return tidy_legend(fig, "top_right")


def layer_columns(layers: list[str], text: str, values) -> dict:
    """The data of one kind of network in `by_layer`."""
    values = np.atleast_2d(np.asarray(values, dtype=float))
    mean, count = values.mean(0), len(values)
    half = half_width(values.std(0, ddof=1), count) if count > 1 else np.zeros(len(mean))
    return {
        "layer": [(layer, text) for layer in layers],
        "mean": mean,
        "low": mean - half,
        "high": mean + half,
    }


def layer_words(count: int) -> list[str]:
    """1 to `count`, as the words for layers."""
    return [str(i) for i in range(1, count + 1)]


def filter_pictures(filters, columns: int = 8):
    """Filters of a first layer as uint8 images (N, H, W, C), each stretched to the range of its
    own numbers, zero as middle grey.

    Arguments: filters (out, C, H, W), C being 1 or 3, as Record.final holds them.
    """
    f = np.asarray(filters, dtype=float).transpose(0, 2, 3, 1)
    top = np.abs(f).max(axis=(1, 2, 3), keepdims=True)
    return np.round(127.5 + 127.5 * f / np.where(top > 0, top, 1)).astype(np.uint8)


def guesses(names: list[str], guess: list[float], truth: list, **options):
    """What was predicted (hollow) and what was measured (filled, with its interval).

    Arguments: names of the rows; guess, accuracies 0 to 1; truth, (mean, half) for each or None.
    """
    fig = plain_figure("", "final test accuracy", "", y_range=FactorRange(*names[::-1]), **options)
    fig.scatter(
        guess, names, size=13, color=LIVE, fill_alpha=0, line_width=2, legend_label="your guess"
    )
    known = [(n, *t) for n, t in zip(names, truth, strict=True) if t is not None]
    if known:
        rows, mean, half = (np.array(column) for column in zip(*known, strict=True))
        half = np.nan_to_num(half)
        source = ColumnDataSource({"y": rows, "x": mean, "low": mean - half, "high": mean + half})
        fig.scatter("x", "y", source=source, size=9, color="#0072B2", legend_label="measured")
        fig.add_layout(
            Whisker(base="y", lower="low", upper="high", source=source, dimension="width")
        )
    in_percent(fig.xaxis)
    return tidy_legend(fig)


def grid(source: ColumnDataSource, onsets: list[str], lengths: list[str], **options):
    """The onset × length map: points lost against equal training.

    Arguments: source with columns onset, length (strings), loss, text, ink (its colour); the
        factors of both axes.
    """
    fig = plain_figure(
        "points lost",
        "onset",
        "length",
        x_range=FactorRange(*onsets),
        y_range=FactorRange(*lengths),
        name="map",
        **options,
    )
    hue = linear_cmap("loss", Blues256[::-1], low=0, high=12)
    fig.rect("onset", "length", 0.96, 0.94, source=source, fill_color=hue, line_color=None)
    fig.text(
        "onset", "length", "text", source=source, text_align="center", text_baseline="middle",
        text_font_size="11px", text_color="ink",
    )  # fmt: skip
    fig.grid.visible = False
    return fig


def span(fig, dimension: str, hue: str, at: float = 0):
    """A movable line across a figure."""
    line = Span(dimension=dimension, location=at, line_color=hue, line_dash="dotted")
    fig.add_layout(line)
    return line


def whole_ticks(fig):
    """Ticks of the horizontal axis at whole epochs."""
    fig.xaxis.ticker = BasicTicker(min_interval=1)
    return fig


# Pictures ---------------------------------------------------------------------------------------


def png(x, scale: int = 4) -> bytes:
    """A strip of images side by side as PNG, each pixel `scale` pixels wide.

    Arguments: x, uint8 (N, H, W, C) tensor or array, C being 1 or 3.
    """
    from PIL import Image

    x = np.asarray(x)
    x = np.pad(x, ((0, 0), (0, 0), (0, 1), (0, 0)), constant_values=255)
    strip = np.concatenate(list(x), axis=1)[:, :-1]
    strip = strip[..., 0] if strip.shape[2] == 1 else strip
    size = (strip.shape[1] * scale, strip.shape[0] * scale)
    file = io.BytesIO()
    Image.fromarray(strip).resize(size, Image.Resampling.NEAREST).save(file, "png")
    return file.getvalue()


def to_pixels(x, images):
    """Normalised images (N, C, H, W) back to uint8 (N, H, W, C)."""
    x = x.permute(0, 2, 3, 1).cpu() * images.std.cpu() + images.mean.cpu()
    return x.round().clamp(0, 255).byte()


def strips(rows: dict[str, object], scale: int = 4):
    """Strips of uint8 images (N, H, W, C) under each other, each with its caption, as HTML."""
    from IPython.display import HTML

    parts = []
    for caption, x in rows.items():
        code = base64.b64encode(png(x, scale)).decode()
        parts.append(
            f'<tr><td style="text-align:left;padding-right:1em">{caption}</td>'
            f'<td><img src="data:image/png;base64,{code}" alt="{caption}"></td></tr>'
        )
    return HTML(f"<table>{''.join(parts)}</table>")


# Showing ----------------------------------------------------------------------------------------


def on_colab() -> bool:
    return "google.colab" in sys.modules


def ready(again: bool = True) -> None:
    """Load Bokeh into the notebook: from the package, since a classroom may have no network.

    Arguments: again, also if this kernel has loaded it before (the page may have forgotten it).
    """
    global _loaded
    from bokeh.io import output_notebook
    from bokeh.resources import CDN, INLINE
    from IPython import get_ipython

    if get_ipython() is not None and (again or not _loaded):
        output_notebook(CDN if on_colab() else INLINE, hide_banner=True)
        _loaded = True


def show(*figs) -> None:
    """Show figures side by side in the notebook."""
    import bokeh.io
    from bokeh.layouts import row

    if on_colab():  # each of its cells is a page of its own
        ready()
    bokeh.io.show(figs[0] if len(figs) == 1 else row(*figs))
