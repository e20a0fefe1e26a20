"""The paper's exhibits: which runs each figure or claim takes, for one seed, at any size."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from cplab import quantities
from cplab.errors import one_of
from cplab.profiles import PROFILES
from cplab.results import find
from cplab.runs import Run
from cplab.studies.pruning import (
    MATERIALS,
    SIZES,
    KernelPruning,
    KernelSplit,
    kernel_split,
    random_split,
)

SEEDS = 5
TRACE = ("trace", "ending")  # measured along a life, and after it


# The list ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Exhibit:
    """A figure or claim of the paper.

    of: a function of a profile's name and a seed that gives its specs.
    measure: what is measured on them.
    """

    name: str
    words: str
    of: Callable[[str, int], list]
    measure: tuple[str, ...] = ()

    def missing(self, specs: list) -> list:
        return [spec for spec in specs if find(spec, measure=self.measure) is None]


def scale(profile: str, *epochs: int) -> list[int]:
    """Epochs of the paper as epochs of a profile."""
    one_of("profile", profile, PROFILES)
    return [*dict.fromkeys(round(epoch / PROFILES[profile].pace) for epoch in epochs)]


def clear_run(profile: str, seed: int, fields: dict) -> Run:
    """A run without a deficit; the ci profile has practice images alone."""
    if PROFILES[profile].dataset == "practice":
        fields = {name: value for name, value in fields.items() if name != "dataset"}
    if "recovery" in fields:
        fields = fields | {"recovery": max(1, *scale(profile, fields["recovery"]))}
    return Run(profile=profile, seed=seed, **fields)


def with_controls(runs: list[Run]) -> list[Run]:
    """Runs, the newborn, equal training and the life without the window of each."""
    every = (c for r in runs for c in (r, r.newborn(), r.equal_training(), r.without_window()))
    return [*dict.fromkeys(every)]


def windows(lengths: tuple, onsets: tuple, deficits: tuple = ("blur",), **fields) -> Callable:
    """A deficit of several kinds, for one of several times, from one of several epochs."""

    def of(profile: str, seed: int) -> list[Run]:
        clear = clear_run(profile, seed, fields)
        places = product(deficits, scale(profile, *onsets), scale(profile, *lengths))
        return with_controls(
            [replace(clear, deficit=d, onset=onset, length=n) for d, onset, n in places]
        )

    return of


def until(ends: tuple, deficits: tuple = ("blur",), **fields) -> Callable:
    """A deficit from birth until one of several epochs."""
    return windows(ends, (0,), deficits, **fields)


def union(*several: Callable) -> Callable:
    return lambda profile, seed: [*dict.fromkeys(r for of in several for r in of(profile, seed))]


def thesis(profile: str, seed: int) -> list:
    """The convolutional model of the thesis (figures 6 to 8, 11 to 17), where it has this size."""
    return [*prunings(profile, seed), *splits(profile, seed)] if profile in SIZES else []


def prunings(size: str, seed: int) -> list[KernelPruning]:
    """Critical periods: of each material, and of the other ways to prune."""
    images = KernelPruning(size, seed=seed)
    ways = ({"choice": "random"}, {"retrain": False}, {"choice": "random", "retrain": False})
    return [
        images,
        *(replace(images, material=material) for material in MATERIALS[1:]),
        *(replace(images, **way) for way in ways),
    ]


def splits(size: str, seed: int, materials=MATERIALS[:1], draws: int = 1) -> list[KernelSplit]:
    """Architectures from new weights: random ones, and those that pruning left, once they are
    known."""
    totals, kernels = SIZES[size].saved, SIZES[size].kernels
    pairs = [random_split(n, 100 * d + seed, kernels) for n in totals for d in range(draws)]
    for material in materials:
        for total in totals:
            with suppress(quantities.Missing):
                pruned = KernelPruning(size, material=material, seed=seed)
                pairs.append(kernel_split(pruned, total))
    return [KernelSplit(size, first, second, seed) for first, second in dict.fromkeys(pairs)]


REMOVALS = tuple(range(0, 141, 20))
ENDS = (30, 50, 70, 100, 220)  # of the deficits in figure 4
SHORT: dict[str, Any] = {"recovery": 100}  # of figures 4 and 5
RESNET: dict[str, Any] = {"model": "resnet18"}
FIXED: dict[str, Any] = {"schedule": "fixed"}
DIGITS: dict[str, Any] = {"model": "fc", "dataset": "mnist", **FIXED}
DEPTHS = (0, 40, 80, 120, 160, 240)
FEW = (0, 40, 80, 140)
EXHIBITS = {
    exhibit.name: exhibit
    for exhibit in (
        Exhibit("figure1-removal", "blur until an epoch, then 300 more", until(REMOVALS)),
        Exhibit("figure1-window", "blur for 40 epochs from an onset", windows((40,), REMOVALS)),
        Exhibit("figure2-flip", "images upside down until an epoch", until(REMOVALS, ("flip",))),
        Exhibit("figure2-labels", "permuted labels until an epoch", until(REMOVALS, ("permute",))),
        Exhibit("figure2-noise", "noise until an epoch", until((*REMOVALS, 160), ("noise",))),
        Exhibit(
            "figure3-fixed",
            "blur at a fixed learning rate",
            until((0, 40, 80, 120, 160, 240, 320, 400), **FIXED),
        ),
        Exhibit("figure3-resnet", "blur, ResNet-18", until((*REMOVALS, 160, 180), **RESNET)),
        Exhibit(
            "figure3-fc", "blur, full connections on MNIST", until((*FEW, 240, 360, 480), **DIGITS)
        ),
        *(
            Exhibit(f"figure3-{model}", f"blur, {words}", until(DEPTHS, model=model, **FIXED))
            for model, words in (("depth1", "n = 1"), ("depth2", "n = 2"), ("depth3", "n = 3"))
        ),
        Exhibit("poster-adam", "blur, Adam", until(FEW, optimizer="adam")),
        Exhibit(
            "figure4-trace",
            "Fisher trace, All-CNN, blur until an epoch",
            until(ENDS, **SHORT),
            TRACE,
        ),
        Exhibit(
            "figure4-resnet",
            "Fisher trace, ResNet-18, blur until an epoch",
            until(ENDS, **SHORT, **RESNET),
            TRACE,
        ),
        Exhibit("figure4-window", "blur for 60 epochs from an onset", windows((60,), REMOVALS)),
        Exhibit(
            "figure4-windows-resnet",
            "blur for 40 and 60 epochs from an onset, ResNet-18",
            union(windows((40,), REMOVALS, **RESNET), windows((60,), REMOVALS, **RESNET)),
        ),
        Exhibit(
            "figure5",
            "information by layer: none, until 40, until 100, blur and flip",
            until((40, 100), ("blur", "flip"), **SHORT),
            TRACE,
        ),
        Exhibit(
            "schedules",
            "three schedules, blur and flip, both controls",
            union(
                *(
                    until(FEW, ("blur", "flip"), schedule=schedule)
                    for schedule in ("paper", "fixed", "recovery")
                )
            ),
        ),
        Exhibit("momentum", "blur at momentum 0, which the paper may mean", until(FEW, momentum=0)),
        Exhibit(
            "arithmetic",
            "blur in float32 throughout, to judge bfloat16",
            until((140,), arithmetic="float32"),
        ),
        Exhibit("thesis", "growth and pruning of kernels", thesis),
    )
}
