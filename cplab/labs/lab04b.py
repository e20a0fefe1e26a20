"""Lab 04b: what the trace does not tell: certainty, norms, the rate, age, sharpness, estimators."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from cplab import quantities, show
from cplab.base.late import Tensor, nn
from cplab.estimates import Estimate, common_seeds, estimate, lacking_in, mean_in_words
from cplab.labs import lab04_trace
from cplab.labs.lab04 import small_network
from cplab.output.styles import style
from cplab.quantities import each_result, lack, measured, quantity, result
from cplab.results.declare import Experiment, experiment
from cplab.results.result import Result
from cplab.runs import Run
from cplab.show import Figure
from cplab.show.base import MARKERS, level_line, line_look, name_lines, styled
from cplab.specs import Count, Seed

if TYPE_CHECKING:
    import pandas as pd

# Why the trace falls ------------------------------------------------------------------------------


@quantity
def rises(run: Run) -> float:
    """How many times the sensitivity of the scores doubles from about the trace's peak to the end.
    It says how strongly the scores depend on the weights, if each weight is shaken by the same
    percentage.

    >>> rises(Run(onset=24, profile="fit"))
    1.1 ± 0.1 (5 seeds)
    """
    sensitivities = lab04_trace.trace_by_layer(run, measure="jacobian", scaled=True)
    peak = lab04_trace.peak_of(lab04_trace.trace_curve(run))
    if not sensitivities or peak is None:
        return np.nan
    nearest = min(sensitivities, key=lambda epoch: abs(epoch - peak))
    last = run.epochs - 1
    return float(np.log2(sensitivities[last].sum() / sensitivities[nearest].sum()))


@quantity
def by_noise(run: Run) -> float:
    """How many doublings lead from the final trace to the information by the weights' noise."""
    layers = result(run, "ending").final("ending")["information"]
    final_trace = lab04_trace.trace_curve(run)[-1]
    return float(np.log2(sum(layers) / final_trace))


def parts_of_highest(
    readings: Mapping[str, tuple[Run, Mapping[str, Any]]],
    y_range: tuple[float, float] | None = None,
) -> Figure:
    """Draw traces over the epochs as parts of their highest value, a line for each reading.

    Arguments:
        readings: {words: (run, options of lab04_trace.trace_curve)}.
    """
    lines = {}
    read = []
    for words, (run, options) in readings.items():
        curves = quantities.each_seed(lab04_trace.trace_curve, run, **options)  # (seeds, epochs)
        read.append(curves)
        lines[words] = parts_of_peak(curves) if len(curves) else {}
    axes = ("epoch", "part of the highest")
    fig = show.means(lines, axes, zero=True, width=820, y_range=y_range)
    fig.lacking = lacking_in(read)
    return fig


def parts_of_peak(curves: np.ndarray) -> dict[int, np.ndarray]:
    """Curves (seeds, epochs) as parts of each seed's highest value, (seeds,) for each number of
    epochs after which all seeds were measured.

    >>> parts_of_peak(np.array([[1.0, np.nan, 4.0, 2.0]]))
    {1: array([0.25]), 3: array([1.]), 4: array([0.5])}
    """
    measured = np.flatnonzero(np.isfinite(curves).all(axis=0))  # epochs
    parts = {}
    for epoch in measured.tolist():
        highest = curves[:, measured].max(axis=1)  # (seeds,)
        parts[epoch + 1] = curves[:, epoch] / highest
    return parts


# The trace and harm, by age -----------------------------------------------------------------------


@styled
def trace_and_harm(clear: Run, harms: Mapping[int, Estimate], deficit: str) -> Figure:
    """Draw the trace of a run without a deficit (left axis) and the harm of a window by its onset
    (right axis), as in the left part of the paper's figure 4."""
    fig = show.over_epochs({"no deficit": clear}, title="Trace, and harm by age", width=820)
    fig.lacking = lacking_in(fig, harms)
    right = fig.ax.twinx()
    label = f"harm of {show.label(deficit)}, points (right)"
    look = line_look(style(deficit)._replace(label=label), points=True)
    look["linestyle"] = ""
    look["label"] = label
    onsets = []
    means = []
    halves = []
    for onset, harm in harms.items():
        if harm.seeds:
            onsets.append(onset)
            means.append(harm.mean)
            halves.append(harm.half)
    right.errorbar(onsets, means, np.nan_to_num(halves), **look)
    right.set(ylabel=label)
    right.grid(False)
    right.spines["right"].set_visible(True)
    level_line(right)
    return fig


def peaks_together(harms: Mapping[int, Estimate], epoch: float) -> int | None:
    """Say whether harm is largest at the onset nearest to an epoch, by the intervals of the
    differences.

    Returns:
        1 if it is larger there than at every other onset, -1 if it is larger at another one, 0 if
        that cannot be told, and None if an interval is missing.

    >>> peaks_together({0: estimate([3.0, 3.1]), 8: estimate([1.0, 1.1])}, 7.2)
    -1
    """
    if not np.isfinite(epoch):
        return None
    nearest = min(harms, key=lambda onset: abs(onset - epoch))
    signs = set()
    for onset, harm in harms.items():
        if onset != nearest:
            signs.add((harms[nearest] - harm).sign)
    if None in signs:
        return None
    if signs == {1}:
        return 1
    return -1 if -1 in signs else 0


def changes_together(clear: Run, harms: Mapping[int, Estimate]) -> float:
    """The correlation, from onset to onset, of the changes in harm and in a clear run's trace."""
    traces = []
    costs = []
    for onset, harm in harms.items():
        if onset:  # at birth no epoch precedes the window
            traces.append(lab04_trace.trace_at(clear, onset - 1).mean)
            costs.append(harm.mean)
    return float(np.corrcoef(np.diff(costs), np.diff(traces))[0, 1])


@quantity
def agreement(run: Run) -> float:
    """The correlation of the trace and the log-determinant over the epochs of a run."""
    stored = result(run, "trace")
    series = np.array([stored.series("trace"), stored.series("log_det")])  # (2, epochs)
    measured = np.isfinite(series).all(axis=0)  # (epochs,)
    correlations = np.corrcoef(series[:, measured])  # (2, 2)
    return float(correlations[0, 1])


# An estimator -------------------------------------------------------------------------------------


@experiment(version=1)
def sample(draws: Annotated[Count, Field(ge=2)] = 10, seed: Seed = 0) -> dict:
    """Estimate the trace of a small network, which learned 300 photographs, from random draws of an
    image and a label.

    Returns:
        exact, the trace; estimate; error, the standard error of the estimate.
    """
    from cplab.measure.fisher import trace
    from cplab.pictures.data import images

    photographs = images("cifar10", "fit")
    x = photographs.normal(photographs.train_x[:300])
    y = photographs.train_y[:300]
    net = small_network(x, y)
    estimate, error = sampled_trace(net, x, draws, seed)
    return {
        "exact": trace(net, x).total,
        "estimate": estimate,
        "error": error,
        "copy": photographs.copy,
    }


def sampled_trace(net: "nn.Module", x: Tensor, draws: int, seed: int) -> tuple[float, float]:
    """The paper's Monte Carlo estimate of the trace, and its standard error: the mean of ‖∇ log p‖²
    over `draws` pairs of an image of x (N, C, H, W) and a label from p(y|x)."""
    import torch

    from cplab.measure.fisher import squared_gradients

    generator = torch.Generator().manual_seed(seed)
    index = torch.randint(len(x), (draws,), generator=generator)
    chance = torch.rand(draws, generator=generator, dtype=torch.float32)  # decides on each label

    def towards_drawn_labels(p: torch.Tensor, rows: slice) -> torch.Tensor:
        """The gradient of log p(y|x) by the logits, at labels y drawn from p, (1, images, classes).

        The label drawn is the first one up to which the probabilities add up to `chance`.
        """
        classes = p.shape[1]
        below = p.cumsum(1) < chance[rows, None].to(p)  # (images, classes)
        y = below.sum(1).clamp(max=classes - 1)  # (images,)
        one_hot = torch.eye(classes).to(p)[y]
        return (one_hot - p)[None]

    squares = squared_gradients(net, x[index.to(x.device)], towards_drawn_labels)
    totals = torch.stack([*squares.values()]).sum(0)  # over the layers, (draws,)
    return totals.mean().item(), totals.std().item() / draws**0.5


@quantity
def part_of_exact(spec: Experiment) -> float:
    """An estimate of the trace (`sample`), as a part of the exact one."""
    values = result(spec).values
    return values["estimate"] / values["exact"]


def draws_needed(spec: Experiment) -> float:
    """How many draws have a standard error of 5 % of the trace, by the error of this `sample`."""
    values = sample(**spec.arguments)
    error = values["error"] / values["estimate"]  # as a part of the trace
    return spec.draws * (error / 0.05) ** 2


# Flat minima --------------------------------------------------------------------------------------


def final_sharpness(run: Run) -> Estimate:
    """The largest eigenvalue of the loss's Hessian in the end, on the first 200 training images."""
    return measured(run, "ending", "sharpness")


def minima(runs: Sequence[Run]) -> Figure:
    """Draw final accuracy against sharpness, a dot for each network."""
    groups: dict[str, list[Result]] = {}  # by deficit
    lacks = []
    count = 0
    for run in runs:
        results = each_result(run, "ending")
        groups.setdefault(run.deficit, []).extend(results)
        if not results:
            lacks.append(lack(run, "ending"))
        count += len(results)
    fig = show.figure(
        "",
        "largest eigenvalue of the Hessian",
        "final test accuracy",
        percent=True,
        source=f"{count} networks",
        width=700,
        height=360,
        log="x" if count else "",
    )
    fig.lacking = tuple(lacks)
    for kind, results in groups.items():
        look = style(kind)
        x = [network.final("ending")["sharpness"] for network in results]
        y = [network.accuracy for network in results]
        fig.ax.plot(x, y, MARKERS[look.marker], color=look.colour, alpha=0.75, label=look.label)
    return name_lines(fig)


def measure_and_accuracy(measure: Callable[[Run], Estimate], runs: Sequence[Run]) -> np.ndarray:
    """The logarithm of a measure, and the accuracy, of each network, (runs, seeds, 2). Runs without
    results are left out, and so are seeds that not all of the others have."""
    measures = []  # {seed: number} of each run
    accuracies = []
    for run in runs:
        numbers = measure(run).by_seed
        if numbers:
            measures.append(numbers)
            accuracies.append(quantities.accuracy(run).by_seed)
    seeds = common_seeds([*measures, *accuracies])
    if not seeds:
        return np.empty((0, 0, 2))
    x = [[numbers[seed] for seed in seeds] for numbers in measures]
    y = [[numbers[seed] for seed in seeds] for numbers in accuracies]
    return np.stack([np.log(x), y], axis=-1)


def overall(measure: Callable[[Run], Estimate], runs: Sequence[Run]) -> float:
    """The correlation of a measure with accuracy over all networks."""
    networks = measure_and_accuracy(measure, runs).reshape(-1, 2)  # (networks, 2)
    if len(networks) < 2:
        return np.nan
    correlations = np.corrcoef(networks.T)  # (2, 2)
    return float(correlations[0, 1])


def within(measure: Callable[[Run], Estimate], runs: Sequence[Run]) -> Estimate:
    """The correlation of a measure with accuracy among networks of the same run. It is the mean of
    what each seed adds. The interval is over seeds, not networks: runs of one seed begin with the
    same weights, so only seeds are independent."""
    networks = measure_and_accuracy(measure, runs)  # (runs, seeds, 2)
    if networks.shape[1] < 2:
        return estimate([])
    deviations = networks - networks.mean(axis=1, keepdims=True)  # from the mean of their run
    x, y = np.moveaxis(deviations, -1, 0)  # of the measure and of accuracy, (runs, seeds) each
    return estimate(np.mean(x * y, axis=0) / (x.std() * y.std()))


def correlations(runs: Sequence[Run]) -> "pd.DataFrame":
    """A table of the correlations of sharpness, and of the trace, with accuracy."""
    measures = {"largest eigenvalue": final_sharpness, "trace": lab04_trace.trace_at}
    rows = {}
    for words, measure in measures.items():
        rows[words] = {
            "r within the same run": within(measure, runs),
            "r over all networks": mean_in_words(overall(measure, runs), digits=2),
        }
    return show.table(rows, 2)


def within_seeds(clear: Run) -> Estimate:
    """The correlation over onsets, within each seed, of a clear run's trace with what four epochs
    of blur cost there, against equal training.

    >>> within_seeds(Run(onset=24, profile="fit"))
    0.1 ± 0.3 (5 seeds)
    """
    costs = []  # of each window, {seed: points}
    traces = []  # before each window, {seed: trace}
    for onset in (2, 4, 6, 8, 12, 16, 20, 24):
        window = Run("blur", onset, length=4, profile=clear.profile)
        costs.append(quantities.equal_training_loss(window).by_seed)
        traces.append(lab04_trace.trace_at(clear, onset - 1).by_seed)
    correlations = []  # of each seed
    for seed in common_seeds([*costs, *traces]):
        seed_costs = [cost[seed] for cost in costs]
        seed_traces = [trace[seed] for trace in traces]
        correlations.append(np.corrcoef(seed_costs, seed_traces)[0, 1])
    return estimate(correlations)


# The picture under the title ---------------------------------------------------------------------


def first_picture() -> Figure:
    """Draw the trace of a run without a deficit."""
    clear = {"no deficit": Run(onset=24, profile="fit")}
    return show.over_epochs(clear)
