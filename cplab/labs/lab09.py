"""Lab 09: treatments that open a trained network again, and what they leave of a harm."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cplab import data, models, quantities, show, statistics
from cplab.labs.lab09_path import linear_path
from cplab.measure import MEASUREMENTS
from cplab.quantities import accuracy, harm, quantity
from cplab.runs import Run
from cplab.show import Figure

__all__ = ["barrier", "four", "gauge_table", "gauged", "growth", "losses", "middle", "path"]
__all__ += ["norms_at_birth", "rename", "what_is_left", "with_controls"]

GAUGES = {
    "norms": "norm of a layer's weights, mean",
    "gradient": "norm of the gradient",
    "loss": "loss on clear training images, nats",
    "dead": "dead units, as a part of all",
    "rank": "effective rank of the last features",
}
MOMENTS = (0, 3, 7, 11, 15, 16, 18, 22, 26, 30)  # epochs after which gauges were taken


# Treatments ---------------------------------------------------------------------------------------


def with_controls(run: Run) -> dict[str, Run]:
    """A treated run, the same run untreated, and its two controls with the same treatment.

    >>> [*with_controls(Run("blur", length=16, treatments="renorm@16"))][1]
    'without it'
    """
    return {
        "with it": run,
        "without it": run.untreated(),
        "newborn with it": run.newborn(),
        "equal training with it": run.equal_training(),
    }


def four(run: Run, title: str = "") -> Figure:
    """Draw the accuracy of a treated run and of its three controls, with the harm as the title."""
    accuracies = {words: accuracy(each) for words, each in with_controls(run).items()}
    title = f"{title}: harm {harm(run)} with it, {harm(run.untreated())} without it, points"
    means = [each.mean for each in accuracies.values() if each.seeds]
    ends = {"x_range": (min(means) - 5, max(means) + 5)} if means else {}
    how = {"title": title.removeprefix(": "), "height": 240, **ends}
    return show.forest(accuracies, "final test accuracy, %", **how)


def what_is_left(before: Any, after: Any) -> str | None:
    """How much of a harm (before) a treatment leaves (after), in words; None where one of them has
    too few seeds, or the interval of what is left spans two answers.

    >>> what_is_left([4.0, 4.2], [0.1, 0.2])
    'hardly anything'
    """
    points, left = map(statistics.estimate, (before, after))

    def answer(rest: float) -> str:
        part = rest / points.mean
        return "hardly anything" if part < 0.25 else "a part of it" if part < 0.75 else "all of it"

    if not points.seeds or left.seeds < 2:
        return None
    low, high = answer(left.mean - left.half), answer(left.mean + left.half)
    return low if low == high else None


# What grows ---------------------------------------------------------------------------------------


def gauged(run: Run) -> list:
    """The results of a run with gauges, of all seeds that there are."""
    return quantities.each_result(run, {"gauges": (run.epochs - 1,)})


def norms_at_birth(run: Run) -> np.ndarray:
    """The norm of each layer's weights in an untrained network, (layers,).

    >>> norms_at_birth(Run()).round(1).tolist()[:3]
    [2.3, 2.3, 3.3]
    """
    from cplab.runs.tasks import mix_seeds, seeded

    with seeded(mix_seeds(run.seed)):
        net = models.build(run.model, data.channels(run.dataset), run.settings.size)
    return np.array(MEASUREMENTS["weight_norms"].apply(net, None)["norms"])


def norm_ratios(group: Sequence, epoch: int, birth: np.ndarray) -> np.ndarray:
    """Norms of results after an epoch, divided by the norms at birth, (seeds, layers)."""
    rows = [result.measured["gauges"][epoch]["norms"] for result in group]
    return np.array(rows).reshape(-1, len(birth)) / birth


def middle(group: Sequence, epoch: int, birth: np.ndarray) -> Any:
    """The growth of the middle layers' weights until an epoch, an Estimate."""
    return statistics.estimate(norm_ratios(group, epoch, birth)[:, 3:7].mean(1))


def growth(groups: Mapping[str, Sequence], end: int, birth: np.ndarray) -> dict[int, Figure]:
    """Draw the growth of each layer's weights, a figure for each epoch of a deficit.

    Arguments: groups, results by deficit; end, the epoch at which it ends; birth, (layers,), the
        norms at birth.
    """
    frames = {}
    for epoch in (moment for moment in MOMENTS if moment < end):
        parts = {show.label(k): norm_ratios(group, epoch, birth) for k, group in groups.items()}
        words = {"title": f"After epoch {epoch + 1}", "y": "norm now / norm at birth"}
        frames[epoch + 1] = show.by_layer(parts, **words, percent=False, y_range=(0, 3.2))
    return frames


def gauge_table(groups: Mapping[str, Sequence], epoch: int) -> Any:
    """The gauges of results after an epoch, means over layers with their intervals, by deficit."""
    import pandas as pd

    def write(gauge: str, group: Sequence) -> str:
        means = [np.mean(result.measured["gauges"][epoch][gauge]) for result in group]
        return f"{statistics.estimate(means):.2f}"

    return pd.DataFrame(
        {
            show.label(name): {words: write(gauge, group) for gauge, words in GAUGES.items()}
            for name, group in groups.items()
        }
    )


# The line between two networks --------------------------------------------------------------------


def path(deficit: str, length: int, profile: str) -> Any:
    """Describe the straight line from a network that had a deficit to its twin that had none."""
    return linear_path.spec(deficit=deficit, length=length, profile=profile)


@quantity
def loss_at(line: Any, point: int) -> float:
    """The test loss at a point of a line, in nats."""
    return quantities.result(line).values["loss"][point]


@quantity
def barrier(line: Any) -> float:
    """By how much the loss rises above the straight line between its ends, at most, in nats."""
    loss = np.array(quantities.result(line).values["loss"])
    return float((loss - np.linspace(loss[0], loss[-1], len(loss))).max())


def losses(lines: Mapping[str, Any], points: int = 11) -> Figure:
    """Draw the test loss on the way from networks to their twins."""
    groups = {
        words: {n / (points - 1): loss_at(line, n) for n in range(points)}
        for words, line in lines.items()
    }
    return show.means(groups, ("part of the way to its twin", "test loss, nats"), height=340)


def rename(count: int, end: int, profile: str) -> Run:
    """A run with `count` tasks of other names in turn until epoch `end`, and then the true ones.

    >>> len(rename(4, 16, "course").windows)
    4
    """
    from cplab import gallery

    name, each = Run(gallery.rename, length=1).deficit, end // count
    turns: Any = [(f"{name}-{step}", (step - 1) * each, each) for step in range(1, count + 1)]
    return Run(onset=end, profile=profile, windows=turns)


def first_picture() -> Figure:
    """Draw how low networks end that had noise or blur, and how far one comes that had neither."""
    runs = {kind: Run(kind, length=16) for kind in ("blur", "noise")}
    bars = {show.label(kind): accuracy(run) for kind, run in runs.items()}
    bars = {"never deprived": accuracy(Run()), **bars}
    title = "15 clear epochs did not bring these networks back. What would?"
    return show.bars(bars, "final test accuracy, %", title, height=300)
