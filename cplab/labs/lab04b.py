"""Lab 04b: what the trace does not tell: certainty, norms, the rate, age, sharpness, estimators."""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from cplab import quantities, show
from cplab.estimates import Estimate, common_seeds, estimate, mean_in_words
from cplab.labs import lab04_trace
from cplab.labs.lab04 import small_network
from cplab.moved import say_where_names_went
from cplab.quantities import each_result, quantity, result
from cplab.results.experiments import Experiment, experiment
from cplab.results.result import Result
from cplab.runs import Run
from cplab.show import Figure
from cplab.show.base import MARKERS, level_line, line_look, name_lines, styled
from cplab.specs import Count, Seed
from cplab.styles import style

SCORES: dict[str, Any] = {"measure": "jacobian", "scaled": True}  # without certainty and norms


# Why the trace falls ------------------------------------------------------------------------------


@quantity
def rises(run: Run) -> float:
    """How often the dependence of the raw scores on the weights, shaken by a percentage, doubles
    from about the trace's peak to the end.

    >>> rises(Run(onset=24, profile="fit"))
    1.1 ± 0.1 (5 seeds)
    """
    known = lab04_trace.trace_by_layer(run, **SCORES)
    highest = lab04_trace.peak_of(lab04_trace.trace_curve(run))
    if not known or highest is None:
        return np.nan
    peak = min(known, key=lambda epoch: abs(epoch - highest))
    return float(np.log2(known[run.epochs - 1].sum() / known[peak].sum()))


@quantity
def by_noise(run: Run) -> float:
    """How many doublings lead from the final trace to the information by the weights' noise."""
    noise = result(run, "ending").final("ending")["information"]
    return float(np.log2(sum(noise) / lab04_trace.trace_curve(run)[-1]))


def parts_of_highest(readings: Mapping[str, tuple[Run, Mapping[str, Any]]], **size: Any) -> Figure:
    """Draw traces as parts of their highest value over the epochs, a line for each reading,
    {words: (run, options of lab04_trace.trace_curve)}."""
    groups = {}
    for words, (run, how) in readings.items():
        curves = quantities.each_seed(lab04_trace.trace_curve, run, **how)
        epochs: Any = np.flatnonzero(np.isfinite(curves).all(0)) if len(curves) else []
        parts = [curves[:, e] / np.nanmax(curves[:, epochs], axis=1) for e in epochs]
        groups[words] = {int(e) + 1: part for e, part in zip(epochs, parts, strict=True)}
    axes = ("epoch", "part of the highest")
    return show.means(groups, axes, zero=True, **{"width": 820, **size})


# The trace and harm, by age -----------------------------------------------------------------------


@styled
def trace_and_harm(clear: Run, harms: Mapping[int, Estimate], deficit: str) -> Figure:
    """Draw the trace of a run without a deficit (left axis) and the harm of a window by its onset
    (right axis), as in the left part of the paper's figure 4."""
    fig = show.over_epochs({"no deficit": clear}, title="Trace, and harm by age", width=820)
    label = f"harm of {show.label(deficit)}, points (right)"
    look, right = style(deficit)._replace(label=label), fig.ax.twinx()
    known = {onset: one for onset, one in harms.items() if one.seeds}
    means, halves = [one.mean for one in known.values()], [one.half for one in known.values()]
    points = line_look(look, points=True)
    points["linestyle"] = ""
    points["label"] = label
    right.errorbar([*known], means, np.nan_to_num(halves), **points)
    right.set(ylabel=label)
    right.grid(False)
    right.spines["right"].set_visible(True)
    level_line(right)
    return fig


def peaks_together(harms: Mapping[int, Estimate], epoch: float) -> int | None:
    """Whether harm is largest at the onset nearest to an epoch: 1 if it is larger there than at
    every other onset, by the intervals of the differences; -1 if it is larger at another one; 0 if
    that cannot be told; None if an interval is missing.

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
        if onset:
            traces.append(lab04_trace.trace_at(clear, onset - 1).mean)
            costs.append(harm.mean)
    return float(np.corrcoef(np.diff(costs), np.diff(traces))[0, 1])


@quantity
def agreement(run: Run) -> float:
    """The correlation of the trace and the log-determinant over the epochs of a run."""
    known = result(run, "trace")
    both = np.array([known.series("trace"), known.series("log_det")])
    return float(np.corrcoef(both[:, np.isfinite(both).all(0)])[0, 1])


# An estimator -------------------------------------------------------------------------------------


@experiment(version=1)
def sample(draws: Annotated[Count, Field(ge=2)] = 10, seed: Seed = 0) -> dict:
    """Estimate the trace of a small network, which learned 300 photographs, from random draws of an
    image and a label.

    Returns: exact, the trace; estimate; error, its standard error, of the draws.
    """
    from cplab.data import images
    from cplab.measure.fisher import trace

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


def sampled_trace(net: Any, x: Any, draws: int, seed: int) -> tuple[float, float]:
    """The paper's Monte Carlo estimate of the trace, and its standard error: the mean of ‖∇ log p‖²
    over `draws` pairs of x from the images (N, C, H, W) and y from p(y|x)."""
    import torch

    from cplab.measure.fisher import squared_gradients

    generator = torch.Generator().manual_seed(seed)
    index = torch.randint(len(x), (draws,), generator=generator)
    chance = torch.rand(draws, generator=generator, dtype=torch.float32)

    def drawn_label(p: torch.Tensor, rows: slice) -> torch.Tensor:
        classes = p.shape[1]
        below = p.cumsum(1) < chance[rows, None].to(p)  # (images, classes)
        y = below.sum(1).clamp(max=classes - 1)
        one_hot = torch.eye(classes).to(p)[y]
        return (one_hot - p)[None]

    squares = squared_gradients(net, x[index.to(x.device)], drawn_label)
    totals = torch.stack([*squares.values()]).sum(0)
    return totals.mean().item(), totals.std().item() / draws**0.5


@quantity
def part(of: Experiment) -> float:
    """An estimate of the trace, as a part of the exact one."""
    values = result(of).values
    return values["estimate"] / values["exact"]


def draws_needed(of: Experiment) -> float:
    """The draws after which the standard error is 5 % of the trace, by those of `of`."""
    values = sample(**of.arguments)
    return of.draws * (values["error"] / values["estimate"] / 0.05) ** 2


# Flat minima --------------------------------------------------------------------------------------


@quantity
def sharpness(run: Run) -> float:
    """The largest eigenvalue of the loss's Hessian in the end, on the first 200 training images."""
    return float(result(run, "ending").final("ending")["sharpness"])


def minima(runs: Sequence[Run]) -> Figure:
    """Draw final accuracy against sharpness, a dot for each network."""
    groups: dict[str, list[Result]] = {}  # by deficit
    count = 0
    for run in runs:
        results = each_result(run, "ending")
        groups.setdefault(run.deficit, []).extend(results)
        count += len(results)
    axes = ("largest eigenvalue of the Hessian", "final test accuracy")
    log = "x" if count else ""
    source = f"{count} networks"
    fig = show.figure("", *axes, True, source=source, width=700, height=360, log=log)
    for kind, results in groups.items():
        look = style(kind)
        x = [network.final("ending")["sharpness"] for network in results]
        y = [network.accuracy for network in results]
        fig.ax.plot(x, y, MARKERS[look.marker], color=look.colour, alpha=0.75, label=look.label)
    return name_lines(fig)


def pairs(measure: Callable[[Run], Estimate], runs: Sequence[Run]) -> np.ndarray:
    """The logarithm of a measure, and accuracy, (runs, seeds, 2): for the seeds that all runs with
    any results have."""
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
    x = np.log([[row[seed] for seed in seeds] for row in measures])  # (runs, seeds)
    y = [[row[seed] for seed in seeds] for row in accuracies]
    return np.stack([x, y], axis=-1)


def overall(measure: Callable[[Run], Estimate], runs: Sequence[Run]) -> float:
    """The correlation of a measure with accuracy over all networks."""
    both = pairs(measure, runs).reshape(-1, 2)
    return float(np.corrcoef(both.T)[0, 1]) if len(both) > 1 else np.nan


def within(measure: Callable[[Run], Estimate], runs: Sequence[Run]) -> Estimate:
    """The correlation of a measure with accuracy among networks of the same run. It is the mean of
    what each seed adds, and seeds are independent: runs of one seed begin with the same weights."""
    both = pairs(measure, runs)
    if both.shape[1] < 2:
        return estimate([])
    x, y = np.moveaxis(both - both.mean(1, keepdims=True), -1, 0)
    return estimate(np.mean(x * y, axis=0) / (x.std() * y.std()))


def correlations(runs: Sequence[Run]) -> Any:
    """A table of the correlations of sharpness, and of the trace, with accuracy."""
    measures = {"largest eigenvalue": sharpness, "trace": lab04_trace.trace_at}
    rows = {}
    for words, measure in measures.items():
        rows[words] = {
            "r within the same run": within(measure, runs),
            "r over all networks": mean_in_words(overall(measure, runs), digits=2),
        }
    return show.table(rows, 2)


def within_seeds(clear: Run) -> Estimate:
    """The correlation over onsets, within a seed, of a clear run's trace with the cost of four
    epochs of blur at that onset, against equal training.

    >>> within_seeds(Run(onset=24, profile="fit"))
    0.1 ± 0.3 (5 seeds)
    """
    onsets = (2, 4, 6, 8, 12, 16, 20, 24)
    windows = [Run("blur", onset, 4, profile=clear.profile) for onset in onsets]
    costs = [quantities.equal_training_loss(run) for run in windows]
    traces = [lab04_trace.trace_at(clear, onset - 1) for onset in onsets]

    def match(*numbers: float) -> float:
        cost, trace = np.split(np.array(numbers), 2)
        return float(np.corrcoef(cost, trace)[0, 1])

    return quantities.estimates.seed_by_seed(match, *costs, *traces)


say_where_names_went(__name__)
