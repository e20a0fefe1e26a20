"""Lab 04: the trace of the Fisher information in time, after deficits, and by layer."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from cplab import models, quantities, show
from cplab.base.late import Tensor, nn
from cplab.estimates import Estimate, estimate
from cplab.lab import pictures
from cplab.lab.optional import if_possible as if_possible
from cplab.labs import lab01, lab04_trace
from cplab.quantities import each_result, quantity, result
from cplab.results.declare import Experiment, experiment
from cplab.runs import Run
from cplab.show import Figure
from cplab.specs import Count, Seed

if TYPE_CHECKING:
    import pandas as pd

HALF = 415  # of one of two figures side by side, in pixels
BATCH = 64  # images of a step
POINTS = 10  # how often a short run is measured


# The trace ----------------------------------------------------------------------------------------


def doubled(
    run: Run,
    epoch: int = -1,
    control: Run | None = None,
    layers: int | None = None,
    measure: str = "trace",
    scaled: bool = False,
) -> Estimate:
    """How many doublings lead from the trace of a control, by default equal training, to a run's.

    Arguments:
        epoch: counted from 0, by default the last.
        layers, measure, scaled: as in `lab04_trace.trace_curve`.

    >>> doubled(Run("blur", length=24, profile="fit"))
    3.9 ± 0.3 (5 seeds)
    """
    if control is None:
        control = run.equal_training()
    trace = lab04_trace.trace_at(run, epoch, layers, measure, scaled)
    control_trace = lab04_trace.trace_at(control, epoch, layers, measure, scaled)
    return lab04_trace.doublings(trace, control_trace)


def times(doublings: Estimate) -> str:
    """Write the factor that a number of doublings makes.

    >>> times(estimate([2.9, 3.1]))
    '8.0'
    """
    if not doublings.seeds:
        return str(doublings)
    factor = float(f"{np.exp2(doublings.mean):.1e}")  # two digits
    if factor < 1:
        return f"{factor:.2f}"
    if factor < 10:
        return f"{factor:.1f}"
    return f"{factor:,.0f}"


def pair(runs: Mapping[str, Run], columns: Sequence[str]) -> list[Figure]:
    """Draw two columns of runs' curves, such as trace and train_loss, over the epochs: a figure for
    each column, side by side."""
    figures = []
    for column in columns:
        title = column.replace("_", " ")
        figures.append(show.over_epochs(runs, column, title, width=HALF, height=320))
    return figures


def traces(runs: Mapping[str, Sequence[Run]], clear: Run) -> list[Figure]:
    """Draw the traces of runs with deficits, {kind: runs}, beside that of a clear run: a figure for
    each kind, side by side, on one scale."""
    figures = []
    for kind, group in runs.items():
        groups = {"no deficit": clear}
        for run in group:
            groups[f"until {run.end}"] = run
        longest = max(group, key=lambda run: run.end)
        percent = 100 * lab04_trace.trace_remaining(longest)
        finding = f"{percent:.0f} % of its peak" if percent.seeds else f"{percent}"
        label = show.label(kind)
        capitalised = label[:1].upper() + label[1:]
        title = f"{capitalised} until {longest.end}: {finding}"
        figures.append(show.over_epochs(groups, title=title, width=HALF, height=380))
    top = max(fig.ax.get_ylim()[1] for fig in figures)
    for fig in figures:
        fig.ax.set_ylim(top=top)
    return figures


def own_traces(
    lines: Mapping[str, Sequence[np.ndarray]], above: Mapping[str, Estimate]
) -> list[Figure | str]:
    """Draw the traces of your own networks. When all are trained, say under them whether they agree
    with those above.

    Arguments:
        lines: by label the traces of each seed, (2, n) epochs and values, the control's first.
        above: by the label of a deficit the doublings of the trace that it left there.
    """
    begun = {}  # the lines that have points
    for label, group in lines.items():
        drawn = [line for line in group if line.size]
        if drawn:
            begun[label] = drawn
    figure = show.curves(begun, "epoch", "trace")
    if not all_end_together(lines):
        return [figure]
    control, *deprived = lines.values()
    _, *labels = lines
    findings = []
    for label, group, (kind, shipped) in zip(labels, deprived, above.items(), strict=True):
        doublings = []  # of each seed
        for line, control_line in zip(group, control, strict=True):
            _, values = line
            _, control_values = control_line
            doublings.append(np.log2(values[-1] / control_values[-1]))
        trained = estimate(doublings)
        alike = "" if (trained - shipped).sign else ", which cannot be told apart"
        factors = f"yours {times(trained)} times; after {kind} above {times(shipped)} times"
        findings.append(f"{label}: {factors}{alike}")
    begin = "Where traces end, compared with those without a deficit"
    return [figure, f"<p>{begin}. {'. '.join(findings)}.</p>"]


def all_end_together(lines: Mapping[str, Sequence[np.ndarray]]) -> bool:
    """Whether all lines (2, n) of epochs and values have points, and end in the same epoch."""
    last_epochs = set()
    for group in lines.values():
        for line in group:
            if not line.size:
                return False
            epochs, _ = line
            last_epochs.add(epochs[-1])
    return len(last_epochs) <= 1


def costs_and_traces(runs: Mapping[str, Sequence[Run]]) -> "pd.DataFrame":
    """A table of what deficits cost, and of their effect on the trace, beside equal training."""
    rows = {}
    for group in runs.values():
        for run in group:
            rows[show.label(run.deficit), run.end] = {
                "accuracy, points": -quantities.equal_training_loss(run),
                "trace at the deficit's end, times": times(doubled(run, run.end - 1)),
                "trace, times": times(doubled(run)),
            }
    return show.table(rows)


def information_by_layer(clear: Run, *deprived: Run) -> Figure:
    """Draw each layer's share of the information in the end, for each of several runs."""
    shares = {"no deficit": quantities.each_seed(lab04_trace.layer_shares, clear)}
    shifts_in_words = []
    for run in deprived:
        words = show.label(run.deficit)
        shares[words] = quantities.each_seed(lab04_trace.layer_shares, run)
        shifts_in_words.append(f"{words} {lab04_trace.information_shift(run):.2f}")
    title = f"How many layers later: {', '.join(shifts_in_words)}"
    return show.by_layer(shares, title, width=820, height=340, y_range=(0, 0.4))


# Shifts -------------------------------------------------------------------------------------------


def shifts(moved: Mapping[float, float]) -> Figure:
    """Draw how far answers move, in nats, by the size of the weights' shifts, {size: distance}."""
    line = (list(moved), list(moved.values()))
    return show.curves(
        {"answers": line},
        "size of the shifts, σ",
        "answers move by, nats",
        width=620,
        log="xy" if moved else "",
    )


# Small networks, trained in a lab -----------------------------------------------------------------


def images_with_labels(count: int, profile: str) -> tuple[Tensor, Tensor]:
    """The first training images of a profile as a network sees them, (count, C, size, size), and
    their labels (count,)."""
    images = pictures("cifar10", profile)
    return images.normal(images.train_x[:count]), images.train_y[:count]


def small_network(x: Tensor, y: Tensor) -> "nn.Module":
    """A narrow network, trained for 50 steps on images x (N, C, size, size) and labels y (N,)."""
    import torch
    from torch.nn import functional as F

    from cplab.base.seeding import seeded
    from cplab.runs.tasks import uncompiled

    with seeded(0):
        net = models.build("allcnn-8", *x.shape[1:3])
    sgd = uncompiled(torch.optim.SGD)
    optimizer = sgd(net.parameters(), lr=0.05, momentum=0.9)
    for _ in range(50):
        optimizer.zero_grad()
        F.cross_entropy(net(x), y).backward()
        optimizer.step()
    return net.eval()


def learned_in_words(net: "nn.Module", x: Tensor, y: Tensor) -> str:
    """Say how many of its images x (N, C, size, size) with labels y (N,) a network knows."""
    right = net(x).argmax(1) == y
    percent = 100 * right.float().mean()
    return f"The small network names {percent:.0f} % of its {len(x)} images correctly."


def shifted(net: "nn.Module", sigma: float, seed: int) -> "nn.Module":
    """A copy of a network, each of whose convolution weights is shifted by about sigma."""
    import torch

    other = deepcopy(net)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for layer in other.children():
            if isinstance(layer, torch.nn.Conv2d):
                layer.weight += sigma * torch.randn(layer.weight.shape, generator=generator)
    return other


def empirical_trace(net: "nn.Module", x: Tensor, y: Tensor) -> float:
    """The trace of the empirical Fisher information, which takes the data set's labels in place of
    the network's own.

    Arguments:
        x: images (N, C, H, W).
        y: at least N labels.
    """
    from torch.nn import functional as F

    from cplab.measure.fisher import squared_gradients

    labels = F.one_hot(y[: len(x)], 10)  # (N, classes)

    def towards_labels(p: Tensor, rows: slice) -> Tensor:
        """The gradient of log p(y|x) by the logits, (1, images, classes)."""
        return (labels[rows] - p)[None]

    squares = squared_gradients(net, x, towards_labels)  # (N,) of each layer
    return sum(layer.mean().item() for layer in squares.values())


@experiment(version=1)
def short_run(
    count: Annotated[Count, Field(ge=1, le=2000)] = 200,  # training images, of 2,000
    moving: bool = False,  # whether each batch is shifted at random, and every other one mirrored
    width: Count = 16,  # of the network
    batches: Annotated[Count, Field(ge=1)] = 150,
    seed: Seed = 0,
) -> dict:
    """Train a small All-CNN, at a rate that falls to 3 %, and measure it ten times.

    Returns:
        batches so far, the trace, and the accuracy on its training images (0 to 1), ten each.

    >>> len(short_run()["trace"])
    10
    """
    import torch
    from torch.nn import functional as F

    from cplab.base.seeding import seeded
    from cplab.measure.fisher import trace
    from cplab.pictures.data import images
    from cplab.runs.tasks import uncompiled

    photographs = images("cifar10", "fit")
    x = photographs.normal(photographs.train_x[:count])
    y = photographs.train_y[:count]
    so_far = []  # batches
    traces = []
    accuracies = []
    with seeded(seed):
        net = models.build(f"allcnn-{width}", *x.shape[1:3])
        sgd = uncompiled(torch.optim.SGD)
        optimizer = sgd(net.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-3)
        anneal = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.03 ** (1 / batches))
        for batch in range(1, batches + 1):
            index = torch.randint(len(x), (BATCH,))
            inputs = x[index]
            if moving:
                shift = torch.randint(-2, 3, (2,)).tolist()  # down and right
                inputs = inputs.roll(shift, (2, 3))
                if batch % 2:
                    inputs = inputs.flip(3)
            optimizer.zero_grad()
            F.cross_entropy(net.train()(inputs), y[index]).backward()
            optimizer.step()
            anneal.step()
            if batch % max(1, batches // POINTS) == 0:
                with torch.no_grad():
                    right = net.eval()(x).argmax(1) == y
                so_far.append(batch)
                traces.append(trace(net, x[:30]).total)
                accuracies.append(right.float().mean().item())
    return {
        "batches": so_far,
        "trace": traces,
        "accuracy": accuracies,
        "copy": photographs.copy,
    }


@quantity
def left(run: Experiment) -> float:
    """The trace that is left at the end of a short run, in percent of its highest."""
    trace = result(run).values["trace"]
    return 100 * trace[-1] / max(trace)


def short_runs(runs: Mapping[str, Experiment]) -> list[Figure]:
    """Draw the trace and the accuracy of short runs by batch, side by side."""
    labels = {"trace": "trace", "accuracy": "training images named correctly"}
    figures = []
    for column, label in labels.items():
        groups = {name: numbers_by_batch(run, column) for name, run in runs.items()}
        is_percent = column == "accuracy"
        fig = show.means(groups, ("batches", label), width=HALF, height=330, percent=is_percent)
        figures.append(fig)
    return figures


def numbers_by_batch(run: Experiment, column: str) -> dict[int, list[float]]:
    """A column of a short run's values, {batches so far: the number of each seed}."""
    numbers: dict[int, list[float]] = {}
    for seed_result in each_result(run):
        values = seed_result.values
        for batch, number in zip(values["batches"], values[column], strict=True):
            numbers.setdefault(batch, []).append(number)
    return numbers


# Animals ------------------------------------------------------------------------------------------


def synapses_kept() -> float:
    """The synapses that a macaque keeps, in percent of the most it had, as a paper states them.

    >>> round(synapses_kept())
    60
    """
    densities = lab01.statements("synaptic_density", "macaque").query("kind == 'point'")["value"]
    return 100 * float(densities.iloc[-1] / densities.max())


# The picture under the title ---------------------------------------------------------------------


def first_picture() -> Figure:
    """Draw what a paper states of the synapses in the visual cortex of the macaque, by age: these
    days are marked."""
    days = (-50, 0, 50, 100, 200, 500, 1000, 2000)
    rows: Any = lab01.statements("synaptic_density", "macaque")
    title = "Synapses in the visual cortex of the macaque"
    fig = lab01.age_figure({"macaque": rows}, 2300, unit=rows.unit[0], title=title)
    fig.axes[0].set_yticks([])
    fig.ax.set_xscale("symlog", linthresh=100, linscale=0.7)
    fig.ax.set_xticks(days, [f"{day:,}" if day else "birth" for day in days])
    fig.ax.set(xlim=(-110, 2400))
    return fig
