"""The pictures of REPRODUCTION.md, from the shipped results."""

from collections.abc import Callable
from typing import Any

from cplab import quantities as q
from cplab import show
from cplab.estimates import Estimate
from cplab.labs.lab02b import strong_steps
from cplab.labs.lab04 import information_by_layer
from cplab.labs.lab05_growth import search
from cplab.labs.lab05_retraining import retrain
from cplab.runs import Run
from cplab.show import Figure
from reproduction import numbers
from reproduction.numbers import run

SIZE: dict[str, Any] = {"width": 640, "height": 340}


def removal() -> Figure:
    """The removal curves of four deficits."""
    return show.removal(Run(), ("blur", "flip", "permute", "noise"), **SIZE)


def window() -> Figure:
    """The cost of a window by its onset."""
    windows = {onset: run(8, onset) for onset in (0, 2, 4, 8, 12, 16, 24)}
    costs = {"against equal training": q.equal_training_loss, "harm": q.harm}
    groups = {}
    for words, cost in costs.items():
        groups[words] = {onset: cost(blurred) for onset, blurred in windows.items()}
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
        "course, by recovery": [run(16, recovery=epochs) for epochs in (15, 30, 60, 120, 240)],
        "slim, by length": [run(end, size="slim") for end in (20, 40, 60, 100, 140)],
        "paper's schedule, pace 1": [run(end, **slow) for end in (60, 140)],
        "three blocks, fixed": [
            run(16, recovery=epochs, model="depth3", schedule="fixed") for epochs in (15, 60)
        ],
    }
    return strong_steps(settings, "harm against the rate × steps that are left")


def depth() -> Figure:
    """Harm of blur by depth, at a fixed rate."""
    groups = {}
    for blocks in (1, 2, 3):
        model = f"depth{blocks}"
        harms = {end: q.harm(run(end, model=model, schedule="fixed")) for end in (4, 8, 16)}
        groups[f"n = {blocks}"] = harms
    return show.means(groups, ("epochs of blur, fixed rate", "harm, points"), **SIZE)


def traced() -> list[Run]:
    """A run without a deficit, and two with one until 24, on all of which the trace is measured."""
    clear = Run(onset=24, profile="fit")
    return [clear, run(24, size="fit", deficit="blur"), run(24, size="fit", deficit="flip")]


def trace() -> Figure:
    """The trace over epochs."""
    clear, *deprived = traced()
    runs = {"no deficit": clear}
    for run_with_deficit in deprived:
        runs[f"{show.label(run_with_deficit.deficit)} until 24"] = run_with_deficit
    return show.over_epochs(runs, **SIZE)


def layers() -> Figure:
    """The shares of the information by layer, at the end."""
    return information_by_layer(*traced())


def architectures() -> Figure:
    """What architectures are worth above random ones, by density."""

    groups: dict[str, dict[int, Estimate]] = {}
    for kind in ("biological", "inked", "per_pixel", "degrees"):
        groups[kind] = {}
        for percent in (1, 2, 3, 4, 5, 10, 15, 20):
            ours = retrain.spec(kind, percent / 100, search.spec())
            groups[kind][percent] = q.advantage(ours, ours.replace(kind="random"))
    return show.means(groups, ("density, %", "points above random"), log="x", **SIZE)


def eyes() -> Figure:
    """The share of an eye that was closed, by the onset."""
    gains = {}
    for onset in (0, 4, 8, 16):
        closed = run(8, onset, deficit="blank:right", model="eyes")
        gains[onset] = numbers.share_gain(closed)
    axes = ("onset, epochs", "share of the neurons, percent above the control")
    return show.means({"closed from an onset": gains}, axes, **SIZE)


def cures() -> Figure:
    """The harm of noise and of blur, and what renorm gives back."""
    harms = {}
    gains = {}
    for kind in ("blur", "noise"):
        untreated = run(16, deficit=kind)
        treated = untreated.replace(treatments="renorm@16")
        harms[kind] = q.harm(untreated)
        gains[kind] = q.advantage(treated, untreated)
    costs = {"harm of 16 epochs": harms, "what renorm gives back": gains}
    return show.bars(costs, "points", **SIZE)


FIGURES: dict[str, Callable[[], Figure]] = {
    draw.__name__: draw
    for draw in (removal, window, kinds, rates, depth, trace, layers, architectures, eyes, cures)
}
