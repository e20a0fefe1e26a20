"""The pictures of REPRODUCTION.md, from the shipped results."""

from collections.abc import Callable
from typing import Any

from cplab import quantities as q
from cplab import show
from cplab.estimates import Estimate
from cplab.labs.lab02 import strong_steps
from cplab.labs.lab04 import information_by_layer
from cplab.labs.lab05_growth import search
from cplab.labs.lab05_retraining import retrain
from cplab.runs import Run
from cplab.show import Figure
from reproduction import numbers
from reproduction.run_rows import FIXED, run

SIZE: dict[str, Any] = {"width": 640, "height": 340}


def removal() -> Figure:
    """The removal curves of four deficits."""
    return show.removal(Run(), ("blur", "flip", "permute", "noise"), **SIZE)


def window() -> Figure:
    """The cost of a window by its onset."""
    windows = {onset: run(8, onset) for onset in (0, 2, 4, 8, 12, 16, 24)}
    groups = {
        "against equal training": {e: q.equal_training_loss(r) for e, r in windows.items()},
        "harm": {e: q.harm(r) for e, r in windows.items()},
    }
    return show.means(groups, ("onset, epochs", "points lost"), **SIZE)


def kinds() -> Figure:
    """Harm of four deficits by their length."""
    groups = {}
    for kind in ("blur", "noise", "flip", "permute"):
        groups[kind] = {end: q.harm(run(end, deficit=kind)) for end in (4, 8, 16, 24)}
    return show.means(groups, ("epochs from birth", "harm, points"), **SIZE)


def rates() -> Figure:
    """Harm of blur against learning rate × steps that are left when it ends, by setting."""
    slow: dict[str, Any] = {"schedule": "paper", "pace": 1, "recovery": 160}
    settings = {
        "course, by recovery": [run(16, recovery=r) for r in (15, 30, 60, 120, 240)],
        "slim, by length": [run(e, size="slim") for e in (20, 40, 60, 100, 140)],
        "paper's schedule, pace 1": [run(end, **slow) for end in (60, 140)],
        "three blocks, fixed": [run(16, recovery=r, model="depth3", **FIXED) for r in (15, 60)],
    }
    return strong_steps(settings, "harm against the rate × steps that are left")


def depth() -> Figure:
    """Harm of blur by depth, at a fixed rate."""
    groups = {}
    for blocks in (1, 2, 3):
        model = f"depth{blocks}"
        harms = {end: q.harm(run(end, model=model, **FIXED)) for end in (4, 8, 16)}
        groups[f"n = {blocks}"] = harms
    return show.means(groups, ("epochs of blur, fixed rate", "harm, points"), **SIZE)


def traced() -> list[Run]:
    """A run without a deficit, and two with one until 24, on all of which the trace is measured."""
    return [Run(onset=24, profile="fit"), *(run(24, 0, "fit", deficit=d) for d in ("blur", "flip"))]


def trace() -> Figure:
    """The trace over epochs."""
    clear, *deprived = traced()
    runs = {"no deficit": clear} | {f"{show.label(r.deficit)} until 24": r for r in deprived}
    return show.over_epochs(runs, **SIZE)


def layers() -> Figure:
    """The shares of the information by layer, at the end."""
    return information_by_layer(*traced())


def architectures() -> Figure:
    """What architectures are worth above random ones, by density."""

    def gain(kind: str, percent: int) -> Estimate:
        ours = retrain.spec(kind, percent / 100, search.spec())
        return q.advantage(ours, ours.replace(kind="random"))

    densities = (1, 2, 3, 4, 5, 10, 15, 20)
    groups = {}
    for kind in ("biological", "inked", "per_pixel", "degrees"):
        groups[kind] = {density: gain(kind, density) for density in densities}
    return show.means(groups, ("density, %", "points above random"), log="x", **SIZE)


def eyes() -> Figure:
    """The share of an eye that was closed, by the onset."""
    closed = {e: run(8, e, deficit="blank:right", model="eyes") for e in (0, 4, 8, 16)}
    gains = {e: numbers.share_gain(one) for e, one in closed.items()}
    axes = ("onset, epochs", "share of the neurons, percent above the control")
    return show.means({"closed from an onset": gains}, axes, **SIZE)


def cures() -> Figure:
    """The harm of noise and of blur, and what renorm gives back."""
    bare = {kind: run(16, deficit=kind) for kind in ("blur", "noise")}
    treated = {kind: one.replace(treatments="renorm@16") for kind, one in bare.items()}
    costs = {
        "harm of 16 epochs": {kind: q.harm(one) for kind, one in bare.items()},
        "what renorm gives back": {k: q.advantage(treated[k], one) for k, one in bare.items()},
    }
    return show.bars(costs, "points", **SIZE)


FIGURES: dict[str, Callable[[], Figure]] = {
    draw.__name__: draw
    for draw in (removal, window, kinds, rates, depth, trace, layers, architectures, eyes, cures)
}
