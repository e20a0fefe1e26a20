"""How near a row is to the conditions of the statement that it answers, from its runs.

A doubling or halving of the steps with the deficit, of the steps of recovery, of the network's
width or of the images' side counts 1; another schedule, another family of networks and another
data set count 1 each. So which row stands for a statement does not depend on its number.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import ceil, inf, log2
from typing import Any

from cplab.estimates import Estimate, Interval, Term
from cplab.runs import Run

# What the sources did: an All-CNN of CIFAR-10, and a blur until epoch 140
USUAL = Run("blur", length=140, recovery=160, profile="paper")
WINDOW = USUAL.replace(length=40)
RESNET = USUAL.replace(model="resnet18", length=180)
DEPTHS = USUAL.replace(length=240, recovery=300, schedule="fixed", model="depth3")
SOURCES = {
    "paper 3": USUAL.replace(length=60),
    "paper 5": USUAL.replace(recovery=300),
    "paper 8": WINDOW,
    "paper 9": WINDOW,
    "paper 10": WINDOW,
    "paper 11": WINDOW,
    "paper 12": WINDOW,
    "paper 13": WINDOW,
    "paper 21": RESNET,
    "paper 22": RESNET,
    "paper 23": Run(
        "blur",
        length=480,
        recovery=300,
        profile="paper",
        schedule="fixed",
        dataset="mnist",
        model="fc",
    ),
    "paper 24": USUAL.replace(schedule="fixed"),
    "paper 25": USUAL.replace(schedule="fixed"),
    "paper 26": DEPTHS,
    "slides 3": DEPTHS,
    "page 1": DEPTHS,
}


@dataclass(frozen=True)
class Conditions:
    """What a row is near or far in. deficit, recovery: steps; side: of the images, pixels."""

    deficit: int
    recovery: int
    schedule: str
    family: str
    width: int
    dataset: str
    side: int


def conditions(*runs: Run) -> Conditions:
    """Those of the run with the longest deficit.

    >>> found = conditions(Run("blur", length=16))
    >>> found.deficit, found.recovery, found.schedule, found.family
    (1264, 1185, 'recovery', 'allcnn')
    """
    run = max(runs, key=lambda run: (run.length, run.recovery))
    settings = run.settings
    steps = ceil(settings.train_images / settings.batch)  # of an epoch
    family, width, side = run.family, run.width, settings.size
    return Conditions(
        steps * run.length, steps * run.recovery, run.schedule, family, width, run.dataset, side
    )


def distance(ours: Conditions, source: Conditions) -> float:
    """How far conditions are from a source's.

    >>> near = conditions(Run("blur", length=70, recovery=160, profile="paper"))
    >>> distance(near, conditions(USUAL))
    1.0
    """
    names = ["recovery", "width", "side"]
    if ours.deficit:  # a run without one has nothing to compare
        names.append("deficit")
    far = 0.0
    for name in names:
        far += abs(log2(getattr(ours, name) / getattr(source, name)))
    for name in ("schedule", "family", "dataset"):
        far += getattr(ours, name) != getattr(source, name)
    return far


def far_from(statement: str, number: Estimate | Interval, size: str) -> float:
    """How far a number is from a statement's source; 0 if it is not of runs, such as growth, and
    infinity if it is of linear networks. The runs of an interval that was computed elsewhere are
    not known."""
    if size == "linear":
        return inf
    runs: list[Run] = []
    if isinstance(number, Estimate):
        for term in number.terms:
            runs += runs_in(term.name)
    if not runs:
        return 0.0
    return distance(conditions(*runs), conditions(SOURCES.get(statement, USUAL)))


def runs_in(thing: Any) -> Iterator[Run]:
    """The runs in a term's name, however deep.

    >>> [run.length for run in runs_in((Run("blur", length=3), ("accuracy", 4)))]
    [3]
    """
    if isinstance(thing, Run):
        yield thing
    elif isinstance(thing, Term):
        yield from runs_in(thing.name)
    elif isinstance(thing, Mapping | tuple | list | frozenset):
        for part in thing:
            yield from runs_in(part)
