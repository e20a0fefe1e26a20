"""Lab 04: the trace of the Fisher information in time, after deficits, and by layer."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from bokeh.models import ColumnDataSource, LinearAxis, Range1d
from bokeh.plotting import figure
from numpy.typing import ArrayLike

from cplab import models, quantities, show, statistics
from cplab.errors import CplabError
from cplab.lab.widgets import Live, Slide
from cplab.runs import Run
from cplab.show import theme
from cplab.show.theme import EQUAL, LIVE, NEWBORN, over_epochs, plain_figure
from cplab.statistics import Estimate
from cplab.studies import sentences
from cplab.studies.sentences import after, each_result

__all__ = ["CLEAR_AND_DEPRIVED", "compare_with_trace", "doubled", "each_filter", "ends_of"]
__all__ += ["layers", "left_of_trace", "live", "short_run", "small_network", "synapses_by_age"]
__all__ += ["train_small"]

CLEAR_AND_DEPRIVED = ("none", "blur", "flip")


def compare_with_trace(
    clear: Sequence, harms: Mapping[int, Any], title: str, **options: Any
) -> figure:
    """The trace of results without a deficit (left axis) and the harm of a window of blur by onset
    (right axis), as in the left part of the paper's figure 4."""
    fig = over_epochs({"trace, no deficit (left)": clear}, title=title, **options)
    points = statistics.mean_columns(harms)
    fig.x_range = Range1d(-1, max(harms, default=1) + 4)
    top, bottom = points["high"].max(initial=0) or 1, points["low"].min(initial=0)
    fig.extra_y_ranges = {"points": Range1d(bottom - 0.05 * top, 1.15 * top)}
    axis = LinearAxis(y_range_name="points", axis_label="harm, points")
    theme.plain_axis(axis, fig.height)
    fig.add_layout(axis, "right")
    source = ColumnDataSource(points, name="sensitivity")
    how = {"source": source, "color": theme.colour("blur"), "y_range_name": "points"}
    fig.segment("x", "low", "x", "high", **how)
    fig.scatter("x", "mean", size=8, legend_label="harm of blur (right)", **how)
    return theme.place_legend(fig)


def synapses_by_age(rows: pd.DataFrame, born: int) -> figure:
    """Rows of lab01.statements on synapses by age: points for numbers, and bars above them for
    words, over the ages that these are about; `born`, days from conception to birth, as in the
    paper's figure 4."""
    first, last = rows.age_low + born, rows.age_high + born
    rows = rows.assign(first=first, last=last, middle=(first * last) ** 0.5)  # of a log axis
    points, words = rows[rows.value.notna()], rows[rows.kind == "interval"]
    axes = ("days from conception", ", ".join(points.unit.unique()))
    title = f"Synapses of the {', '.join(rows.species.unique())}: too many are made, then many lost"
    fig = plain_figure(title, *axes, x_axis_type="log", width=620, height=360)
    top = 1.15 * points.value_high.max() if len(points) else 1.0
    fig.y_range = Range1d(0, top * (1.1 + 0.12 * len(words)))
    fig.x_range = Range1d(0.8 * first.min(), 1.2 * last.max())
    fig.xaxis.ticker = [n * 10**power for power in range(1, 5) for n in (1, 2, 5)]
    fig.yaxis.visible, fig.yaxis.bounds = bool(len(points)), (0, top)
    heights = top * (0.98 + 0.12 * np.arange(len(words), 0, -1))
    fig.segment(words["first"], heights, words["last"], heights, width=4, color=NEWBORN.colour)
    fig.scatter(words["first"], heights, size=4, marker="square", color=NEWBORN.colour)
    look = {"text_baseline": "bottom", "text_font_size": "11px", "y_offset": -2}
    fig.text(words["first"], heights, words.words, **look)
    if len(points):
        how = {"color": LIVE.colour}
        fig.segment(points["first"], points.value, points["last"], points.value, width=2, **how)
        fig.scatter(points.middle, points.value, size=9, **how)
    fig.segment([born], [0], [born], [top], color=EQUAL.colour, line_dash="dotted")
    fig.text([born], [0.04 * top], ["birth"], **look | {"x_offset": 5})
    fig.grid.visible = False
    return fig


def train_small(ends: Sequence[int], **fields: Any) -> None:
    """Train two seeds of the runs of lab 04 in the profile `ci`, which takes seconds."""
    runs = [after(kind, end, "ci", **fields) for kind in CLEAR_AND_DEPRIVED for end in ends]
    sentences.train_small(*runs, measure=("trace", "ending"))


def doubled(run: Run, **how: Any) -> Estimate:
    """Doublings of the final trace from equal training to a run; how, options of `trace_at`."""
    return quantities.doublings(
        quantities.trace_at(run, **how), quantities.trace_at(run.equal_training(), **how)
    )


def left_of_trace(run: Run) -> Estimate:
    """The trace in the end, in percent of its highest."""
    return 100 * quantities.trace_remaining(run)


def by_end(deficit: str, ends: Sequence[int], profile: str) -> dict[str, list]:
    """Results of a deficit by the epoch at which it ended, after results without a deficit."""
    runs = {f"until {n}": after(deficit, n, profile) for n in ends}
    runs = {"no deficit": after("none", ends[-1], profile), **runs}
    return {words: each_result(run, "trace") for words, run in runs.items()}


def ends_of(ends: Sequence[int], profile: str, what: str = "trace") -> list[list[figure]]:
    """A measured series under blur and under a flip until each of `ends`, side by side."""
    titles = {"blur": "After blur it stays high to the end …", "flip": "… after a flip less so"}
    blur, flip = (
        over_epochs(by_end(kind, ends, profile), what, title=title, width=430, height=380)
        for kind, title in titles.items()
    )
    flip.y_range = blur.y_range
    return [[blur, flip]]


def live(length: int, ends: Sequence[int], profile: str) -> Live:
    """Live training of an untrained seed, whose curves grow beside the trained ones."""
    runs = {
        f"{show.label(kind)} until epoch {length}": after(kind, length, profile, seed=29)
        for kind in ("blur", "flip")
    }
    return Live(runs, lambda run: by_end(run.deficit, ends, profile), measure="trace")


def layers(ends: Sequence[int], profile: str) -> Slide:
    """Each layer's share of the information, by a slider for the epoch at which deficits end."""
    hues = {show.label(kind): show.colour(kind) for kind in CLEAR_AND_DEPRIVED}

    def shares(end: int) -> dict[str, np.ndarray]:
        runs = {show.label(k): after(k, end, profile) for k in CLEAR_AND_DEPRIVED}
        return {k: quantities.each_seed(quantities.layer_shares, run) for k, run in runs.items()}

    shown = [end for end in ends if all(map(len, shares(end).values()))]
    size = {"width": 820, "height": 340, "y_range": (0, 0.4)}
    fig = theme.by_layer(9, shares(shown[-1]) if shown else {}, hues, **size)
    fig.title.text = "After a long blur the information sits nearer to the answer"

    def columns(end: int) -> dict[str, Any]:
        return {k: theme.layer_columns(k, parts) for k, parts in shares(end).items()}

    slide = Slide(fig, shown or list(ends[:1]), columns, str, "deficit until epoch")
    slide.index = len(slide.options) - 1  # where the title is seen; Play begins again
    return slide


def filter_pictures(filters: ArrayLike) -> np.ndarray:
    """Turn filters of a first layer (N, C, H, W) into uint8 images (N, H, W, C), each scaled to its
    own largest weight, with zero as grey.

    >>> filter_pictures([[[[-1.0, 0.0, 2.0]]]]).ravel().tolist()
    [64, 128, 255]
    """
    f = np.asarray(filters, dtype=float).transpose(0, 2, 3, 1)
    top = np.abs(f).max(axis=(1, 2, 3), keepdims=True)
    return np.round(127.5 + 127.5 * f / np.where(top > 0, top, 1)).astype(np.uint8)


def each_filter(rows: Mapping[str, Run]) -> Any:
    """Pictures of sixteen first-layer filters of each network, a row for each."""
    pictures = {
        letter: filter_pictures(result.final("ending")["filters"])[:16]
        for letter, run in rows.items()
        for result in each_result(run, "ending")[:1]
    }
    return show.strips(pictures)


def small_network(x: Any, y: Any, size: int) -> Any:
    """A narrow network, trained for 50 steps on images x (N, C, size, size) and labels y (N,)."""
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


def short_run(
    images: Any,
    size: int,
    count: int = 200,
    width: int = 16,
    moving: bool = False,
    batches: int = 150,
    seconds: float = 20,
) -> np.ndarray:
    """Train a network for some batches, with a progress bar.

    Arguments: size, pixels a side; count, of images; moving, whether these are augmented.
    Returns: batches, trace and training accuracy (0 to 1), (3, 10). Raises: CplabError if it would
        take longer than `seconds`.
    """
    import torch
    from torch.nn import functional as F
    from tqdm.auto import tqdm

    from cplab.measure.fisher import trace

    torch.manual_seed(0)
    net = models.build(f"allcnn-{width}", len(images.mean), size)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-3)
    anneal = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.03 ** (1 / batches))
    x, y = images.normal(images.train_x[:count]), images.train_y[:count]
    rows, start = [], time.monotonic()
    for batch in tqdm(range(1, batches + 1), leave=False):
        index = torch.randint(len(x), (64,))
        inputs = x[index]
        if moving:
            shift = torch.randint(-2, 3, (2,)).tolist()
            inputs = inputs.roll(shift, (2, 3)).flip([3] * (batch % 2))
        optimizer.zero_grad()
        F.cross_entropy(net.train()(inputs), y[index]).backward()
        optimizer.step()
        anneal.step()
        if batch % (batches // 10) == 0:
            with torch.no_grad():
                accuracy = (net.eval()(x).argmax(1) == y).float().mean().item()
            rows.append((batch, trace(net, x[:30]).total, accuracy))
            takes = (time.monotonic() - start) * batches / batch
            if batch < batches / 2 and takes > seconds:
                why = f"a training takes {takes:.0f} seconds here, and had {seconds:g}"
                raise CplabError(f"{why}: give it more `seconds`")
    return np.array(rows).T
