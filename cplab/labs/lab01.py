"""Lab 01: statements from animal papers, a curve through five of them, the filters of networks
reared on stripes, and a network beside a kitten.

`animals.csv` has a row for each statement that the papers print, with its source; nothing in it is
read off a figure. A statement gives either a number, which our figures draw as a point, or words,
which they write beside the shaded ages.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from cplab import apply_deficit, lab, quantities, show
from cplab.base import palette
from cplab.base.errors import one_of
from cplab.estimates import NOT_TRAINED, Estimate, lacking_in
from cplab.lab.questions.questions import Shown
from cplab.output.styles import CUES, Style, style
from cplab.pictures.previews import drawn_pictures
from cplab.runs import Profile, Run
from cplab.show import Figure
from cplab.show.base import (
    GREY,
    MARKERS,
    SMALL,
    draw_band,
    level_line,
    name_lines,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# One for each kind of statement
HUES = (palette.BLUE, palette.VERMILION, palette.GREEN, palette.PINK)
DAYS = (6, 8, 10, 12, 14, 16, 20, 24, 30, 40, 60)  # that one epoch may stand for
LANE = 26  # height of a lane of words, in pixels
LETTER = 0.011  # width of a letter of them, as a part of the axis


class View(NamedTuple):
    """A network's curve beside a kitten's points, both as fractions of the normal."""

    network: pd.DataFrame  # columns x, epochs of the deficit; mean; low and high
    kitten: pd.DataFrame  # columns x, the age in days; left and right; mean; low and high


# Animals ------------------------------------------------------------------------------------------


def statements(quantity: str | None = None, species: str | None = None) -> pd.DataFrame:
    """The statements that animal papers print, one row each.

    Arguments:
        quantity: all, or recovered_acuity (by the age to which one eye was closed from about
            birth), dark_reared_acuity (by the age to which the animal was in the dark),
            acuity_at_opening (by the age at which the closure was imposed), normal_acuity,
            sensitivity (to a closure of 10–12 days, by the age at its onset), sensitivity_long (to
            months of closure), synaptic_density, synapse_number or synapse_loss (of V1, by age).
        species: all, or cat, macaque or human.

    Returns:
        kind, `point` where a number is given, `interval` where only words are; age_low, age_high,
        days after birth, NaN where none is given (months of 365.25/12 days); value, of a point, the
        middle of value_low and value_high; words, of an interval; age_text, value_text, as printed;
        unit, source, where (in the source), note (how it was measured; assumptions).

    Raises:
        CplabError: for an unknown quantity or species.

    >>> statements("synaptic_density", "macaque").query("kind == 'point'").value.tolist()
    [10.9, 63.0, 37.7]
    """
    table = pd.read_csv(Path(__file__).with_name("animals.csv"))
    texts = ("age_text", "value_text", "words", "note")
    table = table.fillna(dict.fromkeys(texts, ""))
    if quantity is not None:
        one_of("quantity", quantity, table.quantity.unique())
        table = table[table.quantity == quantity]
    if species is not None:
        one_of("species", species, table.species.unique())
        table = table[table.species == species]
    return table.reset_index(drop=True)


def sources(rows: pd.DataFrame) -> pd.DataFrame:
    """Make a table of statements, for a reader: what is stated, how it was measured, and where."""
    numbers = rows.value_text + " " + rows.unit
    stated = numbers.where(rows.kind == "point", rows.words)
    source = rows.source + " (" + rows["where"] + ")"
    columns = {"stated": stated, "how": rows.note, "source": source}
    return pd.DataFrame(columns).set_axis(rows.age_text.tolist())


@styled
def age_figure(
    rows: Mapping[str, pd.DataFrame],
    last: float,
    unit: str = "",
    normal: float = 0,
    title: str = "",
) -> Figure:
    """Draw statements by age: numbers as points with ranges, and above them words as shaded ages,
    each in its own lane. Statements without an age are listed below.

    Arguments:
        rows: of `statements`, by their topic.
        last: the last day of the axis.
        unit: of the numbers.
        normal: for a line across.
        title: the finding.

    >>> brief = statements("sensitivity", "cat")
    >>> age_figure({"10–12 days closed": brief}, 260).ax.get_xlabel()
    'age, days'
    """
    table = with_topics(rows)
    ageless = table[table.age_low.isna()]
    below = "; ".join(ageless.topic + ", " + ageless.age_text + ": " + ageless.words)
    aged = table.dropna(subset="age_low")
    in_words = aged[aged.kind == "interval"].reset_index()
    points = aged[aged.kind == "point"]

    heights = [LANE * len(in_words)]  # pixels of the axes, one below the other
    if len(points):
        heights.append(210)
    fig = show.figure(title, height=105 + sum(heights), source=below)
    fig.delaxes(fig.ax)
    axes = fig.subplots(len(heights), sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    lanes = axes[0]
    lowest = axes[-1]  # has the points if there are any, else it is the lanes again
    draw_ages(lanes, in_words, last)
    write_beside(lanes, in_words, last)
    draw_points(lowest, points)
    if len(points):
        lowest.set_ylim(0, 1.25 * max(normal, points.value_high.max()))
        lowest.set_ylabel(unit)
        if len(rows) > 1:
            lowest.legend(loc="center right")
    if normal:
        level_line(lowest, normal)
        lowest.text(0, normal, "a normal eye", va="bottom", fontsize=SMALL)
    lowest.set(xlabel="age, days", xlim=(-0.01 * last, last))
    return fig


def with_topics(rows: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Join statements, given by their topic, in one table with the columns topic and hue."""
    parts = []
    for (topic, part), hue in zip(rows.items(), HUES, strict=False):
        parts.append(part.assign(topic=topic, hue=hue))
    return pd.concat(parts)


def draw_ages(ax: "Axes", in_words: pd.DataFrame, last: float) -> None:
    """Draw statements in words as shaded ages, each in a lane of its own; last, the axis's end."""
    width = (in_words.age_high - in_words.age_low).clip(lower=last / 200)
    ax.barh(in_words.index, width, 0.8, in_words.age_low, color=in_words.hue, alpha=0.25)
    ax.set_yticks([])
    ax.set_ylim(len(in_words) - 0.5, -0.5)
    ax.grid(False, axis="y")


def write_beside(ax: "Axes", in_words: pd.DataFrame, last: float) -> None:
    """Write the words of each lane where its ages begin, and each topic once, beside the axis;
    last, the axis's end."""
    # Words stand in their ages if they have room there, and else where these end, as do those of
    # ages that begin before birth, which the axis cuts off
    room = last * LETTER * in_words.words.str.len()
    inside = (in_words.age_low >= 0) & (in_words.age_high - in_words.age_low > room)
    begin = in_words.age_low.where(inside, in_words.age_high) + last / 150
    for lane, words in enumerate(in_words.words):
        ax.text(begin[lane], lane, words, va="center", fontsize=SMALL)
    first_lanes = in_words.topic.drop_duplicates()  # of each topic
    ax.set_yticks(first_lanes.index, first_lanes)
    ax.tick_params("y", length=0)


def draw_points(ax: "Axes", points: pd.DataFrame) -> None:
    """Draw statements in numbers as points, with the ranges of their ages and values."""
    for topic, part in points.groupby("topic", sort=False):
        hue = part.hue.iloc[0]
        _, shape = CUES[hue]
        marker = MARKERS[shape]
        middle = (part.age_low + part.age_high) / 2
        ax.hlines(part.value, part.age_low, part.age_high, color=hue, linewidth=1)
        ax.vlines(middle, part.value_low, part.value_high, color=hue, linewidth=3)
        ax.plot(middle, part.value, marker, color=hue, ms=8, label=topic)


# A curve through points ---------------------------------------------------------------------------


def decline(t: ArrayLike, tau: float, normal: float = 6.9) -> np.ndarray:
    """The acuity that an eye regains after a closure of length t: normal · e^(−t/τ). Mitchell 1988
    (abstract, 3) finds "a simple exponential decay"; this is the simplest one, without a floor.

    >>> float(decline(0, tau=100))
    6.9
    """
    return normal * np.exp(-np.asarray(t, dtype=float) / tau)


# Filters ------------------------------------------------------------------------------------------


def orientation(filters: ArrayLike, size: int = 33) -> np.ndarray:
    """A complex number for each filter, which says what stripes it answers to best.

    Each Fourier component of a filter is stripes, with a tilt from the vertical; the result is the
    mean of e^(2i · tilt) over all components but the constant, weighted by power. Its modulus is
    how selective the filter is, 0 to 1; half its angle is the tilt; its real part is 1 for vertical
    stripes, −1 for horizontal ones and 0 for a filter that prefers neither.

    Arguments:
        filters: (out, C, H, H), as the measurement "ending" holds them, or (out, H, H).
        size: pixels a side to which zeros are added.

    Returns:
        (out,); 0 for a filter of zeros.

    >>> upright = [[-1, 2, -1]] * 3
    >>> float(orientation([upright]).real[0].round(2))
    0.78
    """
    weights = np.asarray(filters, dtype=float)
    power = np.abs(np.fft.fft2(weights, s=(size, size))) ** 2
    if weights.ndim == 4:
        power = power.sum(1)  # of all colours
    power[:, 0, 0] = 0  # the constant has no stripes
    frequencies = np.fft.fftfreq(size)
    wave = frequencies + 1j * frequencies[:, None]  # across, and i times down, (size, size)
    length = np.where(wave == 0, 1, np.abs(wave))
    doubled_tilt = (wave / length) ** 2  # e^(2i · tilt)
    total = power.sum((1, 2))  # (out,)
    return (power * doubled_tilt).sum((1, 2)) / np.where(total > 0, total, 1)


def reared(deficit: str, length: int, **fields: Any) -> Run:
    """A run with a deficit from birth (`none`: as many clear epochs), and then the recovery.

    >>> reared("blur", 8).length, reared("none", 8).onset
    (8, 8)
    """
    if deficit == "none":
        return Run(onset=length, **fields)
    return Run(deficit, length=length, **fields)


def filters(run: Run) -> np.ndarray:
    """The first layer's filters in the end, (filters, colours, 3, 3).

    Raises:
        Missing.
    """
    ending = quantities.result(run, "ending").final("ending")
    return np.array(ending["filters"])


def images_lean(profile: Profile, deficit: str) -> float:
    """How far 500 training images lean to vertical stripes under a deficit; see `orientation`."""
    images = lab.pictures(profile.dataset, profile.name)
    clear = images.normal(images.train_x[:500])
    seen, _ = apply_deficit(clear, images.train_y[:500], deficit)
    return float(orientation(seen.numpy(), size=profile.size).real.mean())


@styled
def fan(deficit: str, run: Run) -> Figure:
    """Draw a line for each filter of a run's networks, along the stripes that it answers to best;
    the longer the line, the more selective the filter."""
    networks = quantities.each_seed(filters, run)  # (seeds, filters, colours, 3, 3)
    stripes = np.ravel([orientation(weights) for weights in networks])  # complex, (all filters,)
    tilt = np.angle(stripes) / 2  # from the vertical, to the right
    selectivity = np.abs(stripes)
    end = selectivity * np.exp(1j * (np.pi / 2 - tilt))  # of each line, as x + iy
    title = show.label(deficit)
    if not len(stripes):
        title += f": {NOT_TRAINED}"
    fig = show.figure(title, width=235, height=265)
    fig.lacking = lacking_in(networks)
    ends = np.array([-end, end])  # (2, all filters)
    fig.ax.plot(ends.real, ends.imag, color=show.colour(deficit), linewidth=1.3, alpha=0.7)
    turn = np.linspace(0, 2 * np.pi, 100)
    fig.ax.plot(np.cos(turn), np.sin(turn), color=GREY, linewidth=0.8)
    fig.ax.text(0, -1.04, "circle: choosiness 1", ha="center", va="top", fontsize=SMALL)
    fig.ax.set_aspect("equal")
    fig.ax.set_axis_off()
    return fig


# A network beside a kitten ------------------------------------------------------------------------


def fractions_of_normal(network: Mapping[int, Estimate]) -> View:
    """Put a network beside a kitten, both as fractions of the normal.

    Arguments:
        network: {epochs of the deficit: fraction}. The kitten's fractions are those of the papers,
            by the age at which its eye was opened.
    """
    rows = statements("recovered_acuity").query("kind == 'point'")
    normal = statements("normal_acuity").query("age_text == 'not stated'").value.item()
    kitten = pd.DataFrame(
        {
            "mean": rows.value / normal,
            "low": rows.value_low / normal,
            "high": rows.value_high / normal,
            "x": (rows.age_low + rows.age_high) / 2,
            "left": rows.age_low,
            "right": rows.age_high,
        }
    )
    levels = []
    for epochs, fraction in sorted(network.items()):
        if fraction.seeds:
            half = np.nan_to_num(fraction.half)
            levels.append((epochs, fraction.mean, fraction.mean - half, fraction.mean + half))
    curve = pd.DataFrame(levels, columns=["x", "mean", "low", "high"], dtype=float)
    if not levels:
        curve = curve.reindex([0])  # a row without numbers, so that there are axes
    return View(curve, kitten)


def of_the_fall(rows: pd.DataFrame) -> pd.DataFrame:
    """Rescale fractions of the normal so that the lowest becomes 0 and the normal stays 1.

    >>> of_the_fall(pd.DataFrame({"mean": [1, 0.5], "low": [1, 0.5], "high": [1, 0.5]}))["mean"][1]
    np.float64(0.0)
    """
    lowest = rows["mean"].min()
    rescaled = rows.copy()
    for height in ("mean", "low", "high"):
        rescaled[height] = (rows[height] - lowest) / (1 - lowest)
    return rescaled


def distance(view: View, days: int) -> float:
    """The root mean square distance of a kitten's points from a network's curve, if an epoch stands
    for `days` days; infinite if more than one point lies beyond the ends of the curve."""
    curve, kitten = view
    epochs = kitten.x / days
    inside = epochs.between(curve.x.min(), curve.x.max())
    outside = ~inside
    if outside.sum() > 1:
        return np.inf
    gaps = kitten["mean"] - np.interp(epochs, curve.x, curve["mean"])
    gaps = gaps[inside]
    return float(np.sqrt(np.mean(gaps**2)))


def meet(view: View) -> bool | None:
    """Whether some number of days for an epoch puts the kitten's points on the network's curve,
    within a tenth of the normal on average; None if the network is not trained yet."""
    curve, _ = view
    if curve["mean"].isna().all():
        return None
    nearest = min(distance(view, days) for days in DAYS)
    return nearest < 0.1


def in_silico(views: Mapping[str, View]) -> Shown:
    """Show networks' curves and kittens' points, {quantity: view}, side by side, under a slider for
    the number of days that an epoch stands for. It begins where the last view's distance is least.
    """
    frames: dict[int, list[list[Figure]]] = {}  # by days, a single row of figures
    sentences = []
    for days in DAYS:
        figures = []
        gaps = []
        for quantity, view in views.items():
            figures.append(draw_view(view, quantity, days))
            gaps.append(f"{quantity}: {gap_in_words(view, days)}")
        frames[days] = [figures]
        sentences.append(f"Mean distance from the curve, {'; '.join(gaps)}")
    *_, last = views.values()
    distances = [distance(last, days) for days in DAYS]
    nearest = int(np.argmin(distances))  # its place in DAYS
    return lab.slide(frames, sentences, "days that an epoch stands for:", nearest)


def gap_in_words(view: View, days: int) -> str:
    """Write the distance of a kitten's points from a network's curve."""
    gap = distance(view, days)
    return f"{gap:.2f}" if gap < np.inf else "too few points"


@styled
def draw_view(view: View, quantity: str, days: int) -> Figure:
    """Draw a network's curve with its band, and a kitten's points with their ranges.

    Arguments:
        quantity: the label of the vertical axis.
        days: that an epoch stands for.
    """
    curve, kitten = view
    axes = ("length of the deprivation, epochs", quantity)
    fig = show.figure("", *axes, width=370, height=300, x_range=(0, 62), y_range=(-0.1, 1.1))
    half = curve["high"] - curve["mean"]
    network = Style("network", style("blur").colour)
    draw_band(fig.ax, curve.x, curve["mean"], half, network, points=True)
    fig.ax.hlines(kitten["mean"], kitten.left / days, kitten.right / days, color=HUES[1])
    fig.ax.vlines(kitten.x / days, kitten.low, kitten.high, color=HUES[1])
    fig.ax.plot(kitten.x / days, kitten["mean"], "^", color=HUES[1], markersize=9, label="kitten")
    level_line(fig.ax, 1)
    return name_lines(fig)


# The picture under the title ---------------------------------------------------------------------


def first_picture() -> Figure:
    """Draw what three kinds of childhood show, beside a clear one."""
    seen = {
        "clear": "none",
        "a cataract": "blur",
        "stripes alone": "stripes",
        "a closed eye": "blank",
    }
    return show.strips({words: drawn_pictures(kind) for words, kind in seen.items()})
