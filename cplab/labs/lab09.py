"""Lab 09: treatments that open a trained network again, and the harm that they leave."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np

from cplab import models, quantities, show
from cplab.estimates import Estimate, lacking_in
from cplab.labs import lab09_measurements as lab09_measurements
from cplab.labs.lab09_path import linear_path as linear_path
from cplab.measure import MEASUREMENTS
from cplab.pictures import data
from cplab.quantities import accuracy, each_seed, harm, measured, quantity, result
from cplab.results.seeds import results_by_seed
from cplab.runs import Run, Window
from cplab.show import Figure
from cplab.specs.experiments import Experiment

if TYPE_CHECKING:
    import pandas as pd

GAUGES = {
    "norms": "norm of a layer's weights, mean",
    "gradient": "norm of the gradient",
    "loss": "loss on clear training images, nats",
    "dead": "dead units, as a part of all",
    "rank": "effective rank of the last features",
}
MOMENTS = (0, 3, 7, 11, 15)  # epochs of a deficit after which gauges were taken
# The norms of each layer's weights in the untrained course network of seed 0, which takes torch to
# build: for a page that has none
COURSE_AT_BIRTH = (
    2.344592,
    2.290376,
    3.253954,
    3.276717,
    3.249749,
    3.261098,
    3.266978,
    3.225964,
    1.817808,
)


# Treatments ---------------------------------------------------------------------------------------


def with_controls(run: Run) -> dict[str, Run]:
    """A treated run, the same run untreated, and its two controls with the same treatment.

    >>> [*with_controls(Run("blur", length=16, treatments="renorm@16"))][1]
    'without it'
    """
    return {
        "with it": run,
        "without it": run.replace(treatments=()),
        "twin with it": run.newborn(),
        "equal training with it": run.equal_training(),
    }


def draw_with_controls(run: Run, title: str = "") -> Figure:
    """Draw the accuracy of a treated run and of its controls, with the harm as the title. Equal
    training, which has results after few treatments, is left out where it has none."""
    accuracies = {}
    means = []
    for words, network in with_controls(run).items():
        if network == run.equal_training() and not results_by_seed(network):
            continue
        percent = accuracy(network)
        accuracies[words] = percent
        if percent.seeds:
            means.append(percent.mean)
    untreated = run.replace(treatments=())
    finding = f"harm {harm(run)} with it, {harm(untreated)} without it, points"
    return show.forest(
        accuracies,
        "final test accuracy, %",
        title=f"{title}: {finding}" if title else finding,
        height=240,
        x_range=(min(means) - 5, max(means) + 5) if means else None,
    )


def what_is_left(untreated: Estimate, treated: Estimate) -> str | None:
    """How much of a harm a treatment leaves, in words; None if there are too few seeds, or if the
    interval of the remaining harm spans two answers.

    Arguments:
        untreated: the harm without the treatment.
        treated: the harm with it.

    >>> what_is_left(harm(Run("noise", length=16)), harm(Run("blur", length=16)))
    'a part of it'
    """
    low = part_in_words((treated.mean - treated.half) / untreated.mean)
    high = part_in_words((treated.mean + treated.half) / untreated.mean)
    return low if low == high else None


def part_in_words(part: float) -> str | None:
    """Write how much is left if it is this part; None for NaN or infinity."""
    if np.isnan(part) or part == np.inf:
        return None
    if part < 0.25:
        return "hardly anything"
    if part < 0.75:
        return "a part of it"
    return "all of it"


# What grows ---------------------------------------------------------------------------------------


def gauge_table(runs: Mapping[str, Run], epoch: int) -> "pd.DataFrame":
    """The gauges of runs, {deficit: run}, after an epoch, with their intervals."""
    rows = {}
    for name, words in GAUGES.items():
        rows[words] = {
            show.label(kind): measured(run, "gauges", name, epoch=epoch)
            for kind, run in runs.items()
        }
    return show.table(rows, digits=2)


def other_signs(run: Run, clear: Run, epoch: int) -> str:
    """Say how many units of a run are dead after an epoch, and how the rank of its last features
    compares with that of a clear run.

    >>> noisy = Run("noise", length=16, treatments="renorm@16")
    >>> other_signs(noisy, noisy.equal_training(), 15)
    '0 ± 0 % of the units are dead; the rank of the features is as high as on clear images.'
    """
    dead = measured(run, "gauges", "dead", epoch=epoch)
    rank = measured(run, "gauges", "rank", epoch=epoch)
    usual_rank = measured(clear, "gauges", "rank", epoch=epoch)
    words = {1: "higher than", 0: "as high as", -1: "lower than", None: "not compared with that"}
    side = words[(rank - usual_rank).sign]
    return (
        f"{100 * dead:.0f} % of the units are dead; "
        f"the rank of the features is {side} on clear images."
    )


@cache
def norms_at_birth(run: Run) -> np.ndarray:
    """The norm of each layer's weights in an untrained network, (layers,).

    >>> norms_at_birth(Run()).round(1).tolist()[:3]
    [2.3, 2.3, 3.3]
    """
    if find_spec("torch") is None and run.model == Run().model:
        return np.array(COURSE_AT_BIRTH)
    from cplab.base.seeding import seeded
    from cplab.runs.tasks import mix_seeds

    with seeded(mix_seeds(run.seed)):
        net = models.build(run.model, data.channels(run.dataset), run.settings.size)
    return np.array(MEASUREMENTS["weight_norms"].apply(net, None)["norms"])


def growth_by_layer(run: Run, epoch: int) -> np.ndarray:
    """The norm of each layer's weights after an epoch, as a part of that at birth, (layers,)."""
    gauges = result(run, {"gauges": (epoch,)}).measured["gauges"]
    norms = np.array(gauges[epoch]["norms"])
    return norms / norms_at_birth(replace(run, seed=0))  # seed 0 stands for all


@quantity
def middle_growth(run: Run, epoch: int) -> float:
    """The norm of the middle layers' weights (the fourth to the seventh) after an epoch, as a part
    of that at birth."""
    middle = growth_by_layer(run, epoch)[3:7]
    return middle.mean()


def growth(runs: Mapping[str, Run]) -> dict[int, Figure]:
    """Draw the growth of each layer's weights in runs, {deficit: run}: a figure for each epoch of
    the deficit at which it was measured."""
    frames = {}
    first_end = min(run.end for run in runs.values())
    for epoch in MOMENTS:
        if epoch >= first_end:
            continue
        rows = {}
        for deficit, run in runs.items():
            rows[show.label(deficit)] = each_seed(growth_by_layer, run, epoch=epoch)
        title = f"After epoch {epoch + 1}"
        y = "norm now / norm at birth"
        frames[epoch + 1] = show.by_layer(rows, title, y, percent=False, y_range=(0, 3.2))
    return frames


# The line between two networks --------------------------------------------------------------------


@quantity
def barrier(path: Experiment) -> float:
    """How far the loss rises above the straight line between its ends, at most, in nats."""
    loss = np.array(result(path).values["loss"])
    straight = np.linspace(loss[0], loss[-1], len(loss))
    return (loss - straight).max()


def losses(paths: Mapping[str, Experiment]) -> Figure:
    """Draw the test loss on the way from networks to their equal training, a line for each
    `linear_path`."""
    groups: dict[str, dict[float, np.ndarray]] = {}  # by part of the way, the loss of each seed
    read = []
    for words, path in paths.items():
        curves = each_seed(lambda seeded: result(seeded).values["loss"], path)  # (seeds, points)
        read.append(curves)
        groups[words] = {}
        if len(curves):
            groups[words] = dict(zip(np.linspace(0, 1, 11), curves.T, strict=True))
    axes = ("part of the way to equal training", "test loss, nats")
    fig = show.means(groups, axes, height=340)
    fig.lacking = lacking_in(read)
    return fig


# Tasks with other names ---------------------------------------------------------------------------


def renaming_run(count: int, end: int, profile: str) -> Run:
    """A run with `count` tasks until epoch `end`, each with other names, then the true names.

    >>> len(renaming_run(4, 16, "course").windows)
    4
    """
    from cplab import gallery

    name = Run(gallery.rename, length=1).deficit
    length = end // count  # epochs of a task
    tasks = []
    for number in range(count):
        tasks.append(Window(f"{name}-{number + 1}", number * length, length))
    return Run(onset=end, profile=profile, windows=tuple(tasks))


# An acuity curriculum in lab 00's small networks --------------------------------------------------

STAGE = 25  # epochs of each acuity


def curriculum(sides: tuple[int, ...], stages: int = 4) -> Run:
    """A small network that sees mosaics of these sides, in pixels, for 25 epochs each, and then 100
    clear epochs; without sides, `stages` times 25 clear epochs come first instead.

    >>> curriculum((6, 4, 3, 2)).windows
    (('mosaic-4', 25, 25), ('mosaic', 50, 25), ('mosaic-2', 75, 25))
    """
    if not sides:
        return Run(onset=stages * STAGE, profile="tiny")
    first, *others = ["mosaic" if side == 3 else f"mosaic-{side}" for side in sides]
    windows = []  # the first mosaic is the run's deficit, and each other one is a window
    for number, name in enumerate(others, start=1):
        windows.append(Window(name, STAGE * number, STAGE))
    recovery = STAGE * len(others) + 100
    return Run(first, 0, STAGE, recovery=recovery, windows=tuple(windows), profile="tiny")


def on_squares(run: Run, side: int) -> Estimate:
    """Percent of the test images that a network names correctly when they are mosaics of this side.

    >>> on_squares(curriculum((6, 4, 3, 2)), 3) - on_squares(curriculum(()), 3)
    10.9 ± 1.7 (20 seeds)
    """
    return 100 * measured(run, "mosaics", str(side))


# The picture under the title ---------------------------------------------------------------------


def first_picture() -> Figure:
    """Draw the clear epochs of a network that was blurred when young, and of one that never was."""
    blurred = Run("blur", length=16)
    curves = {}
    for kind, run in {"none": Run(), "blur": blurred}.items():
        after = quantities.each_seed(clear_accuracies, run)
        curves[kind] = dict(enumerate(after.T, start=1))
    axes = ("clear epochs", "test accuracy, %")
    return show.means(curves, axes, height=320)


def clear_accuracies(run: Run) -> np.ndarray:
    """Test accuracy after each clear epoch of a recovery, (epochs,), in percent."""
    return 100 * quantities.result(run).series("test_accuracy")[run.end :]
