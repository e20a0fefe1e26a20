"""The pictures of REPRODUCTION.md, from the shipped results."""

from collections.abc import Callable
from functools import partial
from typing import Any

from cplab import quantities as q
from cplab import show
from cplab.labs.lab02 import steps_left
from cplab.results import Result
from cplab.runs import Run
from cplab.show import Figure
from reproduction import numbers as n
from reproduction.claims import TEXTS, as_tuple, number_of, shipped
from reproduction.recipes import FIXED, TRACE

SIZE: dict[str, Any] = {"width": 640, "height": 340}


def example() -> Figure:
    """A figure of one prediction, above 0, and three intervals with their verdicts."""
    names = ["contradicted", "undecided", "reproduced"]
    ends = {"x_range": (-4, 4), "y_range": (-0.6, 2.6)}
    fig = show.figure("predicted: above 0 (shaded)", "points", **SIZE | {"height": 240}, **ends)
    fig.ax.axvspan(0, 4, color=show.colour("blur"), alpha=0.15)
    for y, (middle, half) in enumerate(((-2.0, 0.9), (0.4, 0.9), (1.8, 0.5))):
        fig.ax.errorbar(middle, y, xerr=half, fmt="o", color=show.colour("blur"), linewidth=3)
        fig.ax.text(middle + half + 0.15, y, names[y], va="center")
    fig.ax.yaxis.set_visible(False)
    return fig


def removal() -> Figure:
    """The removal curves of four deficits."""
    with q.shipped_only():
        return show.removal(Run(), ("blur", "flip", "permute", "noise"), **SIZE)


def means(axes: tuple[str, str], groups: dict, size: str = "", **options: Any) -> Figure:
    """A figure of means with intervals, from {label: {x: an Estimate}}, of those with seeds."""
    groups = {
        label: {x: number for x, number in group.items() if number.seeds}
        for label, group in groups.items()
    }
    title = f"{axes[1]} against {axes[0].partition(',')[0]}"
    return show.means(groups, axes, f"{size}: {title}" if size else title, **SIZE, **options)


def lines(picture: dict[str, Any]) -> Figure:
    """A figure of report.toml: curves through numbers that its rows name as in claims.toml."""
    groups: dict[str, dict] = {}
    for row in picture["lines"]:
        of, size = number_of(dict(row)), picture["size"]
        points = {x: shipped(of, size, *as_tuple(at)) for x, *at in row["points"]}
        groups[row["words"]] = groups.get(row["words"], {}) | points
    return means(picture["axes"], groups, size, log="x" if picture.get("log") else "")


def traced() -> dict[str, list[Result]]:
    """The shipped results of runs with measured traces, one for each seed, by label."""
    kinds = {"no deficit": "none"}
    kinds |= {f"{show.label(kind)} until 24": kind for kind in ("blur", "flip")}
    with q.shipped_only():
        return {
            label: q.each_result(n.traced("fit", kind, 24), TRACE) for label, kind in kinds.items()
        }


def traces() -> Figure:
    """The trace over epochs."""
    return show.over_epochs(traced(), **SIZE)


def layers() -> Figure:
    """The shares of the information by layer, at the end."""
    groups = traced()
    parts = {label: [q.layer_shares(r.spec) for r in results] for label, results in groups.items()}
    line = show.source_line([r for results in groups.values() for r in results])
    return show.by_layer(parts, f"share of the information; {line}", **SIZE)


def rates() -> Figure:
    """Harm of blur against learning rate × steps that are left when it ends, by setting."""
    slow: dict[str, Any] = {"schedule": "paper", "pace": 1, "recovery": 160}
    settings = {
        "course, by recovery": [Run("blur", 0, 16, recovery=r) for r in (15, 30, 60, 120, 240)],
        "slim, by length": [Run("blur", 0, e, profile="slim") for e in (20, 40, 60, 100, 140)],
        "paper's schedule, pace 1": [Run("blur", 0, end, **slow) for end in (60, 140)],
        "three blocks, fixed": [
            Run("blur", 0, 16, recovery=r, model="depth3", **FIXED) for r in (15, 60)
        ],
    }
    groups = {
        label: {steps_left(run): shipped(q.harm, run) for run in sorted(runs, key=steps_left)}
        for label, runs in settings.items()
    }
    axes = ("rate × steps left when the blur ends", "harm, points")
    return means(axes, groups, log="x")


FIGURES: dict[str, Callable[[], Figure]] = {  # by the file's name
    "example": example,
    "removal": removal,
    "rates": rates,
    "trace": traces,
    "layers": layers,
    **{picture["name"]: partial(lines, picture) for picture in TEXTS["picture"]},
}
