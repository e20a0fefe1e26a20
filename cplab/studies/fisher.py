"""Lab 04: the trace of the Fisher information: two phases, what a deficit leaves, where it sits."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from bokeh.models import BoxAnnotation, ColumnDataSource, LinearAxis, Range1d
from bokeh.plotting import figure
from numpy.typing import ArrayLike

from cplab import measure, models, quantities, results, show, statistics
from cplab.lab.live import Live
from cplab.lab.widgets import Slide
from cplab.quantities import equal_training_loss, reading, trace_at
from cplab.runs import Run
from cplab.show import theme
from cplab.show.results import over_epochs
from cplab.show.theme import EQUAL, LIVE, plain_figure, reference_line
from cplab.statistics import Contrast
from cplab.studies.sentences import seeds, side, spread

__all__ = ["CLEAR_AND_DEPRIVED", "after", "both_phases", "by_end", "compare_with_trace", "doubled"]
__all__ += ["each_filter", "ending_table", "filter_rows", "fine_filters", "later_by", "layers"]
__all__ += ["left_of_trace", "live", "phases", "sampling_figure", "synapses_by_age", "trace_left"]
__all__ += ["consolidates", "ends_of", "fitted", "shaken", "short_figures", "short_run"]
__all__ += ["small_network", "synapses_left", "train_small", "two_phases", "unveil", "which_row"]

CLEAR_AND_DEPRIVED = ("none", "blur", "flip")


def sampling_figure(draws: Sequence[int], estimates: ArrayLike, exact: float) -> figure:
    """Estimates by sampling (n, repeats) against the number of draws (n,), as parts of the exact
    value; a grey band lies within 5 % of it."""
    words = ("each dot is one estimate", "draws", "estimate / exact trace")
    fig = plain_figure(*words, x_axis_type="log", width=620, height=280)
    fig.xaxis.ticker = list(draws)
    near = {"bottom": 0.95, "top": 1.05, "level": "underlay"}
    fig.add_layout(BoxAnnotation(fill_color=EQUAL.colour, fill_alpha=0.18, **near))
    parts = np.asarray(estimates, dtype=float) / exact
    x = np.repeat(np.asarray(draws, dtype=float), parts.shape[1])
    fig.scatter(x, parts.ravel(), size=6, alpha=0.5, color=theme.colour("blur"))
    reference_line(fig, "width", EQUAL.colour, at=1)
    return fig


def compare_with_trace(
    clear: Sequence, points: Mapping[str, ArrayLike], at: int = 0, words: str = "loss", **how: Any
) -> figure:
    """The trace without a deficit (left axis) and the sensitivity to one (right axis), by epoch,
    as in the left part of the paper's figure 4.

    Arguments: clear, results without a deficit; points, the columns onset, mean, low, high of the
        sensitivity in points; at, where in its window a point is drawn, in epochs after the onset;
        words, what the points are: loss against equal training, or harm.
    """
    fig = over_epochs({"trace, no deficit (left)": clear}, **how)
    fig.title.text = f"Fisher trace, and the {words} of a window of blur"
    onset, low, high = (np.asarray(points[name], float) for name in ("onset", "low", "high"))
    fig.x_range = Range1d(-1, onset.max(initial=1) + at + 4)
    top, bottom = high.max(initial=0) or 1, low.min(initial=0)
    fig.extra_y_ranges = {"points": Range1d(bottom - 0.05 * top, 1.15 * top)}
    axis = LinearAxis(y_range_name="points", axis_label=f"{words}, points")
    theme.plain_axis(axis, fig.height)
    fig.add_layout(axis, "right")
    source = ColumnDataSource({**points, "epoch": onset + at}, name="sensitivity")
    how = {"source": source, "color": theme.colour("blur"), "y_range_name": "points"}
    fig.segment("epoch", "low", "epoch", "high", **how)
    fig.scatter("epoch", "mean", size=8, legend_label=f"{words} after blur (right)", **how)
    return theme.place_legend(fig, "above")


def synapses_by_age(rows: pd.DataFrame, born: int) -> figure:
    """What is stated in print about synapses by age: points for numbers, shaded ages for words.

    Arguments: rows of kitten.statements, of one species; born, days from conception to
        birth, since the axis is of the age from conception, as in the paper's figure 4.
    """
    first, last = rows.age_low + born, rows.age_high + born
    rows = rows.assign(first=first, last=last, middle=(first * last) ** 0.5)  # of a log axis
    points, words = rows[rows.value.notna()], rows[rows.kind == "interval"]
    axes = ("days from conception", ", ".join(points.unit.unique()))
    title = f"synapses of the visual cortex, {', '.join(rows.species.unique())}"
    fig = plain_figure(title, *axes, x_axis_type="log", width=425)
    top = 1.25 * points.value_high.max() if len(points) else 1.0
    fig.y_range, fig.x_range = Range1d(0, top), Range1d(0.4 * first.min(), 1.2 * last.max())
    fig.xaxis.ticker = [n * 10**power for power in range(1, 5) for n in (1, 2, 5)]
    fig.yaxis.visible = bool(len(points))
    shade = 0.06 + 0.05 * (np.arange(len(words)) % 2)
    fig.quad(words["first"], words["last"], top, 0, color=EQUAL.colour, alpha=shade)
    heights = top * (0.95 - 0.1 * (np.arange(len(words)) % 6))
    look = {"text_align": "center", "text_baseline": "middle", "text_font_size": "10px"}
    fig.text(words.middle, heights, words.words, **look)
    if len(points):
        how = {"color": LIVE.colour}
        fig.segment(points["first"], points.value, points["last"], points.value, width=2, **how)
        fig.scatter(points.middle, points.value, size=9, **how)
    reference_line(fig, "height", EQUAL.colour, at=born)
    fig.ygrid.visible = False
    return fig


# Runs and what is measured of them ---------------------------------------------------------------


def after(deficit: str, length: int, profile: str = "fit", **fields: Any) -> Run:
    """A run from birth with a deficit, or with as many clear epochs of `none`, then recovery."""
    when = {"onset": length} if deficit == "none" else {"deficit": deficit, "length": length}
    return Run(**when, profile=profile, **fields)


def each_result(run: Run, measured: Any = "trace") -> list:
    """The results of all seeds of a run that hold a measurement."""
    known = (results.find(replace(run, seed=seed), measured) for seed in quantities.SEEDS)
    return [result for result in known if result]


def doubled(run: Run, **how: Any) -> Contrast:
    """How often the trace in the end doubled from equal training to a run; how, as `trace_at`."""
    of = partial(trace_at, **how) if how else trace_at
    return quantities.doublings(run, run.equal_training(), of=of)


def train_small(ends: Sequence[int], **fields: Any) -> None:
    """Train two seeds of the runs of lab 04 in the profile `ci`, which takes seconds."""
    runs = [after(kind, end, "ci") for kind in CLEAR_AND_DEPRIVED for end in (*ends, 0) if end]
    every = [replace(run, seed=seed, **fields) for run in runs for seed in (0, 1)]
    results.at_hand(every, measure=("trace", "ending"))
    newborns = [Run(profile="ci", seed=seed, **fields) for seed in (0, 1)]
    results.at_hand(newborns)


# Two phases --------------------------------------------------------------------------------------


def two_phases(run: Run, title: str = "") -> list[list[figure]]:
    """The trace and the training loss of a run over its epochs, side by side."""
    found = {"no deficit": each_result(run)}
    figs = [over_epochs(found, what, width=430, height=320) for what in ("trace", "train_loss")]
    figs[0].title.text = title or figs[0].title.text
    figs[1].title.text = "… once the training images are known"
    return [figs]


def left_of_trace(run: Run, **how: Any) -> Contrast:
    """What is left of the trace in the end, in percent of its highest."""
    return 100 * reading(run, quantities.trace_remaining, **how)


def both_phases(run: Run) -> str:
    """Whether the trace of a run rises and falls, as an answer to choose from."""
    known = statistics.estimate(left_of_trace(run))
    if known.seeds < 2 or not known.mean + known.half < 100:
        return "it only rises, as knowledge does"
    return "it rises, then falls"


def phases(run: Run) -> str:
    """When the trace is highest, and what is left of it, in one sentence."""
    peak = reading(run, quantities.trace_peak)
    return (
        f"The trace is highest after {spread(peak)} epochs, and in the end "
        f"{spread(left_of_trace(run), 0)} % of that is left."
    )


# A deficit in the trace --------------------------------------------------------------------------


def by_end(deficit: str, ends: Sequence[int], profile: str) -> dict[str, list]:
    """Results of a deficit, a group for each epoch at which it ended, beside those without."""
    groups = {"no deficit": each_result(after("none", ends[-1], profile))}
    return groups | {f"until {n}": each_result(after(deficit, n, profile)) for n in ends}


def ends_of(ends: Sequence[int], profile: str, what: str = "trace") -> list[list[figure]]:
    """Blur and a flip until each of some epochs, side by side on one scale."""
    blur, flip = (
        over_epochs(by_end(kind, ends, profile), what, width=430, height=340)
        for kind in ("blur", "flip")
    )
    blur.title.text, flip.title.text = "After blur the trace stays high …", "… after a flip less so"
    flip.y_range = blur.y_range
    return [[blur, flip]]


def ending_table(ends: Sequence[int], profile: str) -> pd.DataFrame:
    """The trace in the end and the accuracy, beside equal training's."""
    rows = {
        (show.label(kind), end): {
            "trace in the end": statistics.describe_ratio(doubled(after(kind, end, profile))),
            "accuracy, points": spread(-1 * equal_training_loss(after(kind, end, profile))),
            "seeds": seeds(equal_training_loss(after(kind, end, profile))),
        }
        for kind in ("blur", "flip")
        for end in ends
    }
    return pd.DataFrame(rows).T.rename_axis(["deficit", "until epoch"])


def trace_left(end: int, profile: str) -> str:
    """The trace that blur and a flip leave, beside equal training's, in one sentence."""
    blur, flip = (
        statistics.plain_number(
            float(np.exp2(statistics.estimate(doubled(after(kind, end, profile))).mean))
        )
        for kind in ("blur", "flip")
    )
    return (
        f"In the end the trace is {blur} times equal training's after blur, and {flip} times after "
        "a flip."
    )


def live(length: int, ends: Sequence[int], profile: str) -> Live:
    """A seed that nobody has trained, whose lines grow beside those that are known."""
    runs = {
        f"{show.label(kind)} until {length}": after(kind, length, profile, seed=29)
        for kind in ("blur", "flip")
    }
    return Live(runs, lambda run: by_end(run.deficit, ends, profile), measure="trace")


# Where the information sits ----------------------------------------------------------------------


def layers(ends: Sequence[int], profile: str) -> Slide:
    """Each layer's share of the information, with a slider for the epoch at which deficits end."""
    names = show.layer_labels(9)
    hues = {show.label(kind): show.colour(kind) for kind in CLEAR_AND_DEPRIVED}

    def shares(kind: str, end: int) -> np.ndarray:
        return quantities.each_seed(quantities.layer_shares, after(kind, end, profile))

    shown = [end for end in ends if all(len(shares(k, end)) for k in CLEAR_AND_DEPRIVED)]
    groups = {show.label(k): shares(k, shown[0]) for k in CLEAR_AND_DEPRIVED} if shown else {}
    size = {"width": 820, "height": 340, "y_range": (0, 0.4)}
    fig = show.by_layer(names, groups, hues, **size)
    fig.title.text = "After blur the information sits nearer to the answer"

    def columns(end: int) -> dict[str, Any]:
        return {
            show.label(k): show.layer_columns(names, show.label(k), shares(k, end))
            for k in CLEAR_AND_DEPRIVED
        }

    return Slide(fig, shown or list(ends[:1]), columns, str, "deficit until epoch")


def later_by(end: int, profile: str, deficit: str = "blur") -> Contrast:
    """How many layers later the information sits than after equal training."""
    return quantities.information_shift(after(deficit, end, profile))


# Filters -----------------------------------------------------------------------------------------


def filter_rows(end: int, profile: str) -> dict[str, Any]:
    """The result of one network of each kind, under letters that do not tell which it is."""
    found = [one for kind in CLEAR_AND_DEPRIVED for one in each_ending(kind, end, profile)[:1]]
    return dict(zip("ABC", sorted(found, key=lambda result: result.key), strict=False))


def each_ending(kind: str, end: int, profile: str) -> list:
    """The results of a kind that hold what was measured in the end."""
    return each_result(after(kind, end, profile), "ending")


def each_filter(rows: Mapping[str, Any]) -> Any:
    """Sixteen filters of the first layer of each network, as pictures."""
    pictures = {
        letter: show.filter_pictures(result.final("ending")["filters"])[:16]
        for letter, result in rows.items()
    }
    return show.strips(pictures, scale=10)


def which_row(rows: Mapping[str, Any]) -> str:
    """The letter of the blurred network."""
    return next((k for k, result in rows.items() if result.spec.deficit == "blur"), "I cannot tell")


def fineness(run: Run) -> float:
    """The part of a filter's power that is not in its mean over the pixels, in percent."""
    filters = np.array(quantities.result(run, "ending").final("ending")["filters"])
    coarse = np.broadcast_to(filters.mean((2, 3), keepdims=True), filters.shape)
    return float(100 * (1 - np.mean(coarse**2) / np.mean(filters**2)))


def unveil(end: int, profile: str) -> figure:
    """How fine the filters of each kind of network are."""
    values = {k: reading(after(k, end, profile), fineness) for k in CLEAR_AND_DEPRIVED}
    fig = show.bars(
        {k: points for k, points in values.items() if seeds(points)},
        "power in differences between pixels, %",
        percent=False,
        width=560,
        height=300,
    )
    fig.title.text = "A measure tells what the eye does not"
    return fig


def fine_filters(end: int, profile: str) -> str:
    """How fine the filters are after blur, beside equal training's, in one sentence."""
    blur, clear = (reading(after(k, end, profile), fineness) for k in ("blur", "none"))
    words = side(blur - clear, "finer", "as fine", "coarser")
    both = f"{spread(blur, 0)} % against {spread(clear, 0)} %"
    return f"The blurred network's filters are {words}: {both}."


# Small networks, trained while one waits ---------------------------------------------------------


def small_network(x: Any, y: Any, size: int) -> Any:
    """A narrow network that has learned some images in 50 steps, ready to be tested."""
    import torch
    from torch.nn import functional as F

    torch.manual_seed(0)
    net = models.build("allcnn-8", x.shape[1], size)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    for _ in range(50):
        optimizer.zero_grad()
        F.cross_entropy(net(x), y).backward()
        optimizer.step()
    return net.eval()


def shaken(net: Any, x: Any, sigma: float, seed: int) -> float:
    """How far the answers move, in nats an image, when each weight shifts by about sigma."""
    from copy import deepcopy

    import torch
    from torch.nn import functional as F

    other, generator = deepcopy(net), torch.Generator().manual_seed(seed)
    for layer in other:
        if isinstance(layer, torch.nn.Conv2d):
            noise = torch.randn(layer.weight.shape, generator=generator)
            layer.weight.data += sigma * noise
    with torch.no_grad():
        before, after_it = (one(x).log_softmax(1) for one in (net, other))
    return F.kl_div(after_it, before, log_target=True, reduction="batchmean").item()


def short_run(
    images: Any,
    size: int,
    count: int = 500,
    width: int = 16,
    moving: bool = False,
    batches: int = 200,
) -> np.ndarray:
    """A short training, with a bar: batches, trace and part of the training images named rightly,
    (3, 10); `moving`, whether images are shifted and mirrored."""
    import torch
    from torch.nn import functional as F
    from tqdm.auto import tqdm

    torch.manual_seed(0)
    net = models.build(f"allcnn-{width}", len(images.mean), size)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-3)
    anneal = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.03 ** (1 / batches))
    x, y = images.normal(images.train_x[:count]), images.train_y[:count]
    rows = []
    for batch in tqdm(range(1, batches + 1), leave=False):
        index = torch.randint(len(x), (128,))
        seen = x[index]
        if moving:
            shift = torch.randint(-2, 3, (2,)).tolist()
            seen = seen.roll(shift, (2, 3)).flip([3] * (batch % 2))
        optimizer.zero_grad()
        F.cross_entropy(net.train()(seen), y[index]).backward()
        optimizer.step()
        anneal.step()
        if batch % (batches // 10) == 0:
            with torch.no_grad():
                right = (net.eval()(x[:500]).argmax(1) == y[:500]).float().mean().item()
            rows.append((batch, measure.trace(net, x[:50]).total, right))
    return np.array(rows).T


def short_figures(runs: Mapping[str, np.ndarray]) -> list[list[figure]]:
    """Trace and training accuracy of some short trainings, side by side."""
    words = ("trace", "named rightly, of its training images")
    figs = [
        show.curves({k: run[[0, row]] for k, run in runs.items()}, "batches", text, width=430)
        for row, text in enumerate(words, 1)
    ]
    figs[0].title.text, figs[1].title.text = "The trace falls …", "… where the images are known"
    return [figs]


def fell(runs: Mapping[str, np.ndarray]) -> list[str]:
    """Those whose trace fell below half of its highest."""
    return [words for words, run in runs.items() if run[1][-1] < 0.5 * run[1].max()]


def consolidates(runs: Mapping[str, np.ndarray]) -> str | None:
    """Which of some short trainings consolidates, if it is one or all."""
    names = fell(runs)
    return "all of them" if len(names) == len(runs) else names[0] if len(names) == 1 else None


def fitted(runs: Mapping[str, np.ndarray]) -> str:
    """Which consolidated, and how many of their images they know, in one sentence."""
    parts = [f"{words} ({100 * runs[words][2][-1]:.0f} % known)" for words in fell(runs)]
    return f"The trace fell below half with {' and '.join(parts) or 'none of them'}; one seed each."


def synapses_left(macaque: pd.DataFrame, run: Run) -> str:
    """What is left of synapses and of the trace, in percent of the highest, in one sentence."""
    some = macaque[macaque.kind == "point"].value
    return (
        f"Of its highest, {100 * some.iloc[-1] / some.max():.0f} % of the synapses are left to the "
        f"adult macaque, and {spread(left_of_trace(run), 0)} % of the trace to the network."
    )
