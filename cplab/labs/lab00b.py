"""Lab 00b: why an early blur leaves a mark, in digits and in photographs.

What is done to a network when its deficit ends is a treatment of the run: `other@200` gives it
other images from epoch 200 on. Its controls get the same treatment, at the same age.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from cplab import show
from cplab.base.late import Tensor, nn, torch
from cplab.estimates import Estimate, lacking_in
from cplab.labs import lab00
from cplab.output.styles import styles
from cplab.pictures.previews import drawn_pictures, preview
from cplab.quantities import accuracy, advantage, behind, control_of, quantity, result
from cplab.results.result import LAST
from cplab.runs import Run
from cplab.runs.treatments import treatment
from cplab.show import Figure
from cplab.show.base import GREY, WIDTH, level_line, line_look, mark, styled
from cplab.show.figures import seeds_line

if TYPE_CHECKING:
    import pandas as pd

Points: TypeAlias = Mapping[float, Estimate]  # what is left to a goal, by path

# The controls of a blurred run, by words for them
CONTROLS = {"twin": "newborn", "upside down": "flip", "equal training": "equal training"}


def treated(run: Run, treatments: str) -> Run:
    """A run that is treated from the end of its deficit on; no text means no treatment.

    Arguments:
        treatments: with a space between them, such as "shift-4 cutout-4".

    >>> [part.words for part in treated(Run("blur", length=16), "rate-3 decay-0").treatments]
    ['decay-0@16+15', 'rate-3@16+15']
    """
    return run.replace(treatments=" ".join(f"{name}@{run.end}" for name in treatments.split()))


def behind_each(run: Run) -> dict[str, Estimate]:
    """Points that a run ends behind each of its controls, by words for the control.

    >>> [*behind_each(Run("blur", length=16))]
    ['twin', 'upside down', 'equal training']
    """
    return {words: behind(run, control) for words, control in CONTROLS.items()}


def gains(run: Run, treatments: str) -> dict[str, Estimate]:
    """Points of accuracy that a treatment brings to a blurred run and to each of its controls.

    >>> gains(Run("mosaic", length=200, profile="tiny"), "scale-0.4")["blurred"]
    11.3 ± 1.0 (20 seeds)
    """
    with_it = treated(run, treatments)
    points = {"blurred": advantage(with_it, run)}
    for words, name in CONTROLS.items():
        points[words] = advantage(control_of(with_it, name), control_of(run, name))
    return points


def accuracies(run: Run) -> dict[str, Estimate]:
    """The final accuracy of a blurred run and of each of its controls, in percent.

    >>> [*accuracies(Run("blur", length=16))]
    ['blurred', 'twin', 'upside down', 'equal training']
    """
    percent = {"blurred": accuracy(run)}
    for words, name in CONTROLS.items():
        percent[words] = accuracy(control_of(run, name))
    return percent


# The digest that the name had when it was trained with
@treatment(name="wander@38d2fb07", label="random directions")
def wander(net: nn.Module, loss: Tensor, optimizer: torch.optim.Optimizer) -> None:
    """Step in a random direction: random numbers take the place of the gradient, with norm 0.5."""
    gradients = [weight.grad for weight in net.parameters() if weight.grad is not None]
    for gradient in gradients:
        gradient.normal_()
    norm = torch.stack([gradient.norm() for gradient in gradients]).norm()
    for gradient in gradients:
        gradient *= 0.5 / norm


# How far they travel ------------------------------------------------------------------------------


@quantity
def accuracy_after(run: Run, epochs: int) -> float:
    """The accuracy, in percent, some epochs after the deficit's end, the mean over the last five.

    >>> run = treated(Run("blur", length=16, model="depth3", schedule="fixed", recovery=60), "")
    >>> accuracy_after(run, 60)
    61.7 ± 0.4 (25 seeds)
    """
    return 100 * result(run).mean_accuracy(run.end + epochs, epochs)


def behind_after(run: Run, control: str, epochs: int) -> Estimate:
    """Points that a run is behind one of its controls some epochs after the deficit's end."""
    return accuracy_after(control_of(run, control), epochs) - accuracy_after(run, epochs)


@quantity
def path_after(run: Run, epochs: int, unit: str = "path") -> float:
    """How far a network has travelled some epochs after the deficit's end.

    Arguments:
        unit: path (relative to the layers' weights) or path_plain, see `Result.curve`.

    >>> path_after(lab00.childhood(), 100, "path_plain")
    12.2 ± 1.9 (20 seeds)
    """
    return float(travelled(run, unit)[epochs - 1])


@quantity
def accuracy_at(run: Run, path: float, unit: str = "path") -> float:
    """The accuracy, in percent, once a network has travelled so far since the deficit's end; NaN if
    it never does.

    Arguments:
        unit: see `path_after`.
    """
    paths = travelled(run, unit)
    accuracies = smooth(100 * result(run).series("test_accuracy")[run.end :])
    return float(np.interp(path, paths, accuracies, left=np.nan, right=np.nan))


def behind_at(run: Run, control: str, path: float, unit: str = "path") -> Estimate:
    """Points that a run is behind one of its controls once each has travelled so far since the
    deficit's end.

    Arguments:
        unit: see `path_after`.
    """
    return accuracy_at(control_of(run, control), path, unit) - accuracy_at(run, path, unit)


def left_by_path(
    run: Run, reached: Estimate, epochs: Iterable[int], unit: str = "path"
) -> dict[float, Estimate]:
    """Points that are left to a goal, by how far a run has travelled on average some epochs after
    the deficit's end. Of some runs the path is known of fewer seeds than the accuracy.

    Arguments:
        reached: the goal, in percent, such as the final accuracy of a control.
        epochs: how many, as far as the run has them.
        unit: see `path_after`.

    >>> flip = lab00.childhood("flip")
    >>> left_by_path(lab00.childhood(), accuracy(flip), (10, 100))
    {0.439: 12.4 ± 1.0 (40 seeds), 0.707: 9.2 ± 0.9 (40 seeds)}
    """
    points = {}
    for each in epochs:
        if each <= run.recovery:
            path = path_after(run, each, unit)
            if path.seeds:
                points[float(f"{path.mean:.3g}")] = reached - accuracy_after(run, each)
    return points


def travelled(run: Run, unit: str) -> np.ndarray:
    """How far a network has travelled after each epoch since the deficit's end, (epochs,)."""
    return np.cumsum(result(run).series(unit)[run.end :])


def smooth(values: np.ndarray) -> np.ndarray:
    """The mean of each number of a row and the four before it, as far as there are any.

    >>> smooth(np.array([1.0, 3.0, 5.0])).tolist()
    [1.0, 2.0, 3.0]
    """
    totals = np.concatenate([[0.0], np.cumsum(values)])
    ends = np.arange(1, len(values) + 1)
    begins = np.maximum(0, ends - LAST)
    return (totals[ends] - totals[begins]) / (ends - begins)


@styled
def against_distance(
    panels: Mapping[str, Mapping[str, Points]],
    others: Mapping[str, Iterable[Points]],
    title: str = "",
) -> Figure:
    """Draw what is left to a goal against the path, one panel for a kind of images.

    Arguments:
        panels: {kind of images: {way, in words: {path: points left}}}.
        others: {kind of images: points of other ways, through which a line is drawn}.
        title: the finding.

    >>> points = left_by_path(lab00.childhood(), accuracy(lab00.childhood("flip")), (10, 100))
    >>> against_distance({"digits": {"left alone": points}}, {}).alt
    'points left to where upside-down networks end against path since the blur ended: left alone'
    """
    ways = [way for panel in panels.values() for way in panel]
    drawn = [each for panel in panels.values() for way in panel.values() for each in way.values()]
    looks = styles(dict.fromkeys(ways))
    fig = show.figure(title, height=460, source=seeds_line(drawn))
    fig.lacking = lacking_in(drawn)
    fig.delaxes(fig.ax)
    named = {}  # what the legend has, by name
    all_axes = fig.subplots(1, len(panels), sharex=True, sharey=True, squeeze=False)[0]
    for ax, (kind, panel) in zip(all_axes, panels.items(), strict=True):
        ax.set(xscale="log", xlabel="path since the blur ended")
        ax.set_title(kind, pad=45)  # below the legend
        mark(ax.xaxis, WIDTH // len(panels), log=True)
        level_line(ax)
        for way, points in panel.items():
            if points:
                means = [each.mean for each in points.values()]
                halves = np.nan_to_num([each.half for each in points.values()])
                look = line_look(looks[way], points=True) | {"linestyle": ""}
                named[way] = ax.errorbar([*points], means, halves, label=way, **look)
        paths, line = through(others.get(kind, ()))
        if len(paths):
            way = "line through other ways"
            [named[way]] = ax.plot(paths, line, color=GREY, linewidth=1.2, label=way)
    all_axes[0].set_ylabel("points left to where upside-down networks end")
    if named:
        legend = all_axes[0].legend(
            [*named.values()], [*named], loc="lower left", bbox_to_anchor=(0, 1), ncols=3
        )
        legend.set_in_layout(False)  # it stands above all panels
    return fig


def through(ways: Iterable[Points]) -> tuple[np.ndarray, np.ndarray]:
    """A smooth curve through points of several ways, a parabola in the logarithm of the path.

    Arguments:
        ways: for each {path: points left}.

    Returns:
        paths and points left, (n,) each; empty with fewer than three points.

    >>> from cplab.estimates import estimate
    >>> points = {1.0: estimate([4]), 10.0: estimate([2]), 100.0: estimate([0])}
    >>> float(np.interp(10, *through([points])).round(2))
    2.0
    """
    points = [(path, left.mean) for way in ways for path, left in way.items()]
    if len(points) < 3:
        return np.empty(0), np.empty(0)
    paths, left = np.array(points).T
    curve = np.polyfit(np.log(paths), left, 2)
    places = np.linspace(*np.log([paths.min(), paths.max()]))
    return np.exp(places), np.polyval(curve, places)


def beside_handwritten(treatments: Iterable[str]) -> pd.DataFrame:
    """Make a table of points behind each control, with handwritten digits, by treatment."""
    handwritten = lab00.childhood(dataset="mnist")
    rows = {}
    for each in treatments:
        words = f"handwritten digits, {each or 'as usual'}"
        rows[words] = behind_each(treated(handwritten, each))
    return show.table(rows)


def is_cure(points: Mapping[str, Estimate]) -> bool | None:
    """Whether a treatment raises the blurred network, and raises it more than each control; None if
    one is not trained.

    Arguments:
        points: as `gains` gives them.

    >>> is_cure(gains(Run("mosaic", length=200, profile="tiny"), "scale-0.4"))
    True
    """
    controls = [gain for words, gain in points.items() if words != "blurred"]
    blurred = points["blurred"]
    signs = [blurred.sign, *((blurred - gain).sign for gain in controls)]
    if None in signs:
        return None
    return set(signs) == {1}


# The picture under the title ---------------------------------------------------------------------


def first_picture() -> Figure:
    """Draw digits and pictures as they are, and as networks see them whose world is blurred."""
    images, _ = preview("drawn", "tiny", "mosaic", count=8)
    rows = {"digits": images["clear"], "digits, blurred": images["seen"]}
    rows["pictures"] = drawn_pictures("none")
    rows["pictures, blurred"] = drawn_pictures("blur")
    return show.strips(rows, largest=60)
