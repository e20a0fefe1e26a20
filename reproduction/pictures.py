"""The pictures of REPRODUCTION.md, from the shipped results."""

from collections.abc import Callable
from typing import Any

from cplab import quantities as q
from cplab import show
from cplab.labs.lab02 import steps_left
from cplab.labs.lab05_growth import search
from cplab.labs.lab05_retraining import retrain
from cplab.runs import Run
from cplab.show import Figure
from cplab.statistics import Estimate
from reproduction import numbers as n
from reproduction.rows import FIXED, run

SIZE: dict[str, Any] = {"width": 640, "height": 340}


def means(axes: tuple[str, str], groups: dict, **options: Any) -> Figure:
    """A figure of means with intervals, from {label: {x: an Estimate}}."""
    title = f"{axes[1]} against {axes[0].partition(',')[0]}"
    return show.means(groups, axes, title, **SIZE, **options)


def removal() -> Figure:
    """The removal curves of four deficits."""
    return show.removal(Run(), ("blur", "flip", "permute", "noise"), **SIZE)


def window() -> Figure:
    """The cost of a window by its onset."""
    costs = {"against equal training": q.equal_training_loss, "harm": q.harm}
    onsets = (0, 2, 4, 8, 12, 16, 24)
    groups = {label: {e: of(run(8, e)) for e in onsets} for label, of in costs.items()}
    return means(("onset, epochs", "points lost"), groups)


def kinds() -> Figure:
    """Harm of four deficits by their length."""
    deficits, ends = ("blur", "noise", "flip", "permute"), (4, 8, 16, 24)
    groups = {kind: {end: q.harm(run(end, deficit=kind)) for end in ends} for kind in deficits}
    return means(("epochs from birth", "harm, points"), groups)


def rates() -> Figure:
    """Harm of blur against learning rate × steps that are left when it ends, by setting."""
    slow: dict[str, Any] = {"schedule": "paper", "pace": 1, "recovery": 160}
    settings = {
        "course, by recovery": [run(16, recovery=r) for r in (15, 30, 60, 120, 240)],
        "slim, by length": [run(e, size="slim") for e in (20, 40, 60, 100, 140)],
        "paper's schedule, pace 1": [run(end, **slow) for end in (60, 140)],
        "three blocks, fixed": [run(16, recovery=r, model="depth3", **FIXED) for r in (15, 60)],
    }
    groups = {
        label: {steps_left(run): q.harm(run) for run in sorted(runs, key=steps_left)}
        for label, runs in settings.items()
    }
    return means(("rate × steps left when the blur ends", "harm, points"), groups, log="x")


def depth() -> Figure:
    """Harm of blur by depth, at a fixed rate."""
    groups = {
        f"n = {blocks}": {e: q.harm(run(e, model=f"depth{blocks}", **FIXED)) for e in (4, 8, 16)}
        for blocks in (1, 2, 3)
    }
    return means(("epochs of blur, fixed rate", "harm, points"), groups)


def traced() -> dict[str, list]:
    """The shipped results of runs with measured traces, one for each seed, by label."""
    deprived = {kind: run(24, 0, "fit", deficit=kind) for kind in ("blur", "flip")}
    runs = {"no deficit": Run(onset=24, profile="fit")}
    runs |= {f"{show.label(kind)} until 24": one for kind, one in deprived.items()}
    return {label: q.each_result(one, "trace") for label, one in runs.items()}


def trace() -> Figure:
    """The trace over epochs."""
    return show.over_epochs(traced(), **SIZE)


def layers() -> Figure:
    """The shares of the information by layer, at the end."""
    groups = traced()
    parts = {label: [q.layer_shares(r.spec) for r in results] for label, results in groups.items()}
    line = show.source_line([r for results in groups.values() for r in results])
    return show.by_layer(parts, f"share of the information; {line}", **SIZE)


def architectures() -> Figure:
    """What architectures are worth above random ones, by density."""

    def gain(kind: str, percent: int) -> Estimate:
        ours = retrain.spec(kind, percent / 100, search.spec())
        return q.advantage(ours, ours.replace(kind="random"))

    names = ("biological", "inked", "per_pixel", "degrees")
    groups = {kind: {d: gain(kind, d) for d in (1, 2, 3, 4, 5, 10, 15, 20)} for kind in names}
    return means(("density, %", "points above random"), groups, log="x")


def eyes() -> Figure:
    """The share of an eye that was closed, by the onset."""
    closed = {e: run(8, e, deficit="blank:right", model="eyes") for e in (0, 4, 8, 16)}
    gains = {e: n.eye_gain(one, n.percent_share) for e, one in closed.items()}
    axes = ("onset, epochs", "share of the neurons, percent above the control")
    return means(axes, {"closed from an onset": gains})


def cures() -> Figure:
    """The harm of noise and of blur, and what renorm gives back."""
    treated = {kind: run(16, deficit=kind, treatments="renorm@16") for kind in ("noise", "blur")}
    groups = {
        kind: {0: q.harm(one.untreated()), 1: q.advantage(one, one.untreated())}
        for kind, one in treated.items()
    }
    return means(("harm of 16 epochs (0) and what renorm gives back (1)", "points"), groups)


OF_QUESTIONS = removal, window, kinds, rates, depth, trace, layers, architectures, eyes, cures
FIGURES: dict[str, Callable[[], Figure]] = {draw.__name__: draw for draw in OF_QUESTIONS}
