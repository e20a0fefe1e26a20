"""The runs that exist, and their measurements: the paper's exhibits and the shipped files.

The exhibits are the paper's figures and claims, at any size. A recipe of a shipped file is named
like it in cplab/shipped; a spec of two recipes stands in the first's. What we expected of a set
stands in forecasts.md. `python -m reproduction train NAME` trains any of them and goes on where it
stopped.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import product
from typing import Any

from cplab import quantities as q
from cplab.errors import CplabError, one_of
from cplab.gallery import mirror, rename  # the import registers the gallery's other deficits
from cplab.labs.lab04 import short_run
from cplab.labs.lab04b import sample
from cplab.labs.lab05_growth import DENSITIES, search
from cplab.labs.lab05_retraining import ORIGINS, prune_once, retrain
from cplab.labs.lab05b import kernel_split
from cplab.labs.lab05b_pruning import (
    MATERIALS,
    SIZES,
    prune_kernels,
    prune_weights,
    random_split,
    train_split,
)
from cplab.labs.lab09_path import linear_path
from cplab.measure import parse_measures
from cplab.results import every_result, find, ship
from cplab.runs import Run
from cplab.specs.experiments import Experiment
from cplab.specs.profiles import PROFILES

Measures = tuple[str, ...] | Mapping[str, Any]  # names, or by name when
Parts = Iterable[tuple[Iterable, Measures]]  # specs, and what is measured on them
FIRST, MORE, TEN, FRESH = range(5), range(5, 10), range(10), range(15, 20)  # seeds
TRACE = ("trace", "ending")  # measured along a run, and after it
FIXED: dict[str, Any] = {"schedule": "fixed"}
FOUR = "blur flip noise permute"


def with_controls(runs: Iterable[Run], *controls: str) -> list[Run]:
    """Runs, each followed by its controls: newborn, equal_training or without_window."""
    pairs = ((run, *(getattr(run, name)() for name in controls)) for run in runs)
    return [*dict.fromkeys(spec for group in pairs for spec in group)]


def grid(
    deficits, lengths, seeds, onsets=(0,), controls=("equal_training", "newborn"), **fields
) -> list[Run]:
    """Runs with windows of deficits (names in one text) and their controls; fields, of all runs."""
    places = product(deficits.split(), onsets, lengths, seeds)
    runs = (Run(kind, onset, n, seed=seed, **fields) for kind, onset, n, seed in places)
    return with_controls(runs, *controls)


def with_three(runs: Iterable[Run], seeds: Iterable[int]) -> list[Run]:
    """Runs of all seeds, with equal training and the same runs without the window."""
    seeded = (replace(run, seed=seed) for run in runs for seed in seeds)
    return with_controls(seeded, "equal_training", "without_window")


def clock_running(runs: Iterable[Run]) -> list[Run]:
    """The second controls of runs whose rates fall: nothing is trained during the window."""
    return [run.without_window("running") for run in runs if run.length]


# The paper's exhibits -----------------------------------------------------------------------------

REMOVALS, FEW, DEPTHS = tuple(range(0, 141, 20)), (0, 40, 80, 140), (0, 40, 80, 120, 160, 240)
RESNET: dict[str, Any] = {"model": "resnet18"}
TRACED: dict[str, Any] = {"lengths": (30, 50, 70, 100, 220), "measure": TRACE, "recovery": 100}
DIGITS: dict[str, Any] = {"model": "fc", "dataset": "mnist", **FIXED}
EXHIBITS: dict[str, dict[str, Any]] = {  # what differs from blur until each of REMOVALS
    "figure1-removal": {},
    "figure1-window": {"lengths": (40,), "onsets": REMOVALS},
    "figure2-flip": {"deficits": "flip"},
    "figure2-labels": {"deficits": "permute"},
    "figure2-noise": {"deficits": "noise", "lengths": (*REMOVALS, 160)},
    "figure3-fixed": {"lengths": (0, 40, 80, 120, 160, 240, 320, 400), **FIXED},
    "figure3-resnet": {"lengths": (*REMOVALS, 160, 180), **RESNET},
    "figure3-fc": {"lengths": (*FEW, 240, 360, 480), **DIGITS},
    **{f"figure3-depth{n}": {"lengths": DEPTHS, "model": f"depth{n}", **FIXED} for n in (1, 2, 3)},
    "poster-adam": {"lengths": FEW, "optimizer": "adam"},
    "figure4-trace": TRACED,
    "figure4-resnet": TRACED | RESNET,
    "figure4-window": {"lengths": (60,), "onsets": REMOVALS},
    "figure4-windows-resnet": {"lengths": (40, 60), "onsets": REMOVALS, **RESNET},
    "figure5": TRACED | {"lengths": (40, 100), "deficits": "blur flip"},
    **{
        f"schedule-{name}": {"lengths": FEW, "deficits": "blur flip", "schedule": name}
        for name in ("paper", "fixed", "recovery")
    },
    "momentum": {"lengths": FEW, "momentum": 0},
}


def exhibit(
    profile: str, lengths=REMOVALS, onsets=(0,), deficits="blur", measure=(), **fields
) -> Parts:
    """Windows of deficits with all their controls, five seeds; lengths, onsets and the recovery
    are in epochs of the paper. The ci profile has practice images alone."""

    def scale(epochs: Iterable[int]) -> list[int]:
        return [*dict.fromkeys(round(e / PROFILES[profile].pace) for e in epochs)]

    how = {"profile": one_of("profile", profile, PROFILES), **fields}
    if PROFILES[profile].dataset == "practice":
        how.pop("dataset", None)
    if "recovery" in how:
        how["recovery"] = max(1, *scale([how["recovery"]]))
    how["controls"] = "newborn", "equal_training", "without_window"
    for seed in FIRST:
        yield grid(deficits, scale(lengths), [seed], scale(onsets), **how), measure


# The shipped files --------------------------------------------------------------------------------

ONSETS, LENGTHS = (0, 2, 4, 8, 12, 16, 24), (2, 4, 8, 12, 16, 24)
THREE = (4, 8, 16)  # lengths
NORMS: dict[str, dict] = {
    "course": {"jacobian": (3, 7, 11, 14, 15, 18, 22, 30), "blurred": (14, 15, 30)},
    "fit": {"jacobian": (3, 7, 11, 15, 23, 43), "blurred": (23, 43)},
    "matched": {"jacobian": (3, 7, 11, 13, 15, 19, 23, 27, 31, 35)},
}


def course() -> Parts:
    """Windows, deficits, schedules; seeds 0 to 4."""
    yield grid("blur", LENGTHS, range(3), ONSETS), ()
    yield from ten_seeds(FIRST)
    for schedule in ("paper", "fixed"):
        yield grid("blur flip", THREE, range(3), schedule=schedule), ()
    yield clock_running(grid("blur", THREE, range(3), schedule="paper")), ()
    yield from normed("course", 16)


def normed(profile: str, length: int) -> Parts:
    """Clear, blurred and flipped runs with norms, Jacobian and accuracy on blurred images."""
    runs = grid("blur flip", [length], FIRST, profile=profile, controls=("equal_training",))
    runs += [Run(seed=seed) for seed in FIRST if profile == "course"]
    yield runs, {"weight_norms": "every", **NORMS[profile]}


def ten_seeds(seeds: Iterable[int]) -> Parts:
    """The runs that have ten seeds, five in each file."""
    yield grid("blur", [8], seeds, ONSETS), ()
    yield grid(FOUR, LENGTHS, seeds), ()
    yield grid("blank fresh_noise", THREE, seeds), ()


def unrecovered(deficits: str, seeds: Iterable[int]) -> list[Run]:
    """Runs that end with the deficit, and clear runs of the same length."""
    return grid(deficits, [16], seeds, controls=("equal_training",), recovery=0)


def course_architectures() -> Parts:
    """Depths, ResNet-18, Adam."""
    yield grid("blur", THREE, (3, 4), **FIXED), ()
    for n in (1, 2, 3):
        yield grid("blur", THREE, FIRST, model=f"depth{n}", **FIXED), ()
    for other in ({"optimizer": "adam"}, RESNET):
        yield grid("blur", THREE, FIRST, **other), ()


def course_controls() -> Parts:
    """Newborns; early windows; depth, rate, width and weight decay; clothes (forecast F)."""
    sizes = ("depth1-16", "depth1-68", "depth2-16", "depth3-16")  # 18, 314, 77, 312 thousand
    varied: list[dict[str, Any]] = [{"model": model, **FIXED} for model in sizes]
    varied += [{"model": model, **FIXED, "recovery": 60} for model in sizes]
    varied += [{"optimizer": "adam", "rate": rate} for rate in (1, 2, 5, 10)]
    varied += [{"model": f"allcnn-{width}"} for width in (8, 16, 32, 48)]
    varied += [{"weight_decay": decay} for decay in (0, 1e-4, 1e-3, 1e-2)]
    clothes = {"dataset": "fashion_mnist"}
    yield [Run(seed=seed) for seed in range(10, 30)], ()
    yield with_three((Run("blur", onset, 8) for onset in (0, 2, 4, 8)), range(10, 20)), ()
    yield with_three((Run("blur", 0, 16, **other) for other in varied), FIRST), ()
    yield with_three((Run("blur", onset, 8, **clothes) for onset in (0, 4, 8, 16, 24)), TEN), ()


def course_more_seeds() -> Parts:
    """Seeds 5 to 9; float32."""
    yield from ten_seeds(MORE)
    yield grid("blur", [16], MORE, **FIXED), ()
    yield grid("blur", [16], MORE, **RESNET), ()
    yield grid("blur flip", (8, 16), TEN, arithmetic="float32"), ()
    yield grid("blur stripes", THREE, MORE), TRACE
    yield unrecovered("blur stripes", MORE), TRACE


NAMES = Run(rename, length=1).deficit  # other ones for the classes; so many tasks in 16 epochs
TURNS = [[(f"{NAMES}-{i + 1}", 16 * i // n, 16 // n) for i in range(n)] for n in (1, 2, 4, 8)]
ALONE: dict[str, Any] = {"seeds": FIRST, "controls": ("newborn",)}


def course_settings() -> Parts:
    """Blank without batch norm; SGD's rate and batches; perturbed weights; tasks of other names."""
    yield grid("blank", [16], model="plain", **ALONE), ()
    for other in ({"rate": 0.5}, {"rate": 2}, {"batch": 64}, {"batch": 256}):
        yield grid("blur", [16], **other, **ALONE), ()
    yield [Run(onset=e, treatments=f"shrink-0.9@{e}", seed=s) for s in FIRST for e in (2, 24)], ()
    yield [Run(onset=16, windows=turns, seed=seed) for seed in FIRST for turns in TURNS], ()


def course_random() -> Parts:
    """Random labels learned by heart, then the true ones without and with Liu's cures."""
    three = ALONE | {"seeds": range(3)}
    for cures in ("decay-0@0 unaugmented@0", "decay-0@0+40 unaugmented@0+40"):
        yield grid("random_labels", [40], model="allcnn-32", treatments=cures, **three), ()


def paced(pace: int) -> dict[str, Any]:
    """The paper's schedule at a pace, with 160 of its epochs of recovery."""
    return {"recovery": 160 // pace, "schedule": "paper", "pace": pace}


def course_pace() -> Parts:
    """The paper's schedule, less and less compressed; windows at its own pace (forecasts B, AA)."""
    for pace in (10, 5, 2, 1):
        runs = grid(FOUR, (60 // pace, 140 // pace), FIRST, **paced(pace))
        yield [*runs, *clock_running(run for run in runs if run.deficit == "blur")], ()
    for other in ({"momentum": 0}, {"augment": False}):
        yield grid("blur flip", (60, 140), range(3), **paced(1), **other), ()
    windows = product(("blur", "flip"), (0, 20, 40, 80))
    runs = with_three((Run(kind, onset, 40, **paced(1)) for kind, onset in windows), FIRST)
    yield [*runs, *clock_running(runs)], ()


def course_recovery() -> Parts:
    """16 epochs of a deficit, longer recoveries (forecast A)."""
    for recovery in (60, 120, 30, 240):
        yield grid("blur noise flip fresh_noise", [16], FIRST, recovery=recovery), ()


GAUGES = {"gauges": (0, 3, 7, 11, 15, 16, 18, 22, 26, 30)}  # epochs, as labs/09 shows them
# The trained part of forecast H, with its seeds; to extend it, add here, train, and ship.
TREATED = {
    **dict.fromkeys(product(("noise", "blur"), ("renorm@16", "shrink-1@16")), TEN),
    ("noise", "held@0"): FIRST,
    **dict.fromkeys(product(("blur", "noise"), ("shrink-0.4@16", "rate-3@16")), FIRST),
    **{("blur", f"shrink-{kept}@16"): range(3) for kept in (0.8, 0.6, 0.2)},
    ("blur", "rate-2@16"): range(3),
    ("blur", "decay-5@16"): range(3),
}
EARLY_ONLY = ("decay-0@0+8", "images-0.5@0+8", "unaugmented@0+8")
LATE = ("decay-0@8", "decay-0@0", "unaugmented@8", "unaugmented@0", "images-0.5@0+8 shrink-0.4@8")


def course_reopening() -> Parts:
    """Treatments after 16 epochs of a deficit, and newborns and equal training treated alike; clear
    runs with a treatment early or late; blur that fades; linear paths to a twin."""

    def treated(deficit: str, kind: str, seed: int, **fields: Any) -> Run:
        return Run(deficit, 0, 16, seed=seed, treatments=kind, **fields)

    runs = with_controls(
        (treated(*what, seed) for what, seeds in TREATED.items() for seed in seeds), "newborn"
    )
    equal = product(("renorm@16", "shrink-0.4@16", "rate-3@16"), FIRST)
    runs += [treated("blur", kind, seed).equal_training() for kind, seed in equal]
    yield [run for run in dict.fromkeys(runs) if run.treatments], GAUGES
    for kinds, seeds in ((EARLY_ONLY, FIRST), (LATE, range(3))):
        yield [Run(onset=8, treatments=kind, seed=seed) for kind in kinds for seed in seeds], ()
    both = product(("noise", "blur"), range(3))
    clothes = [treated(kind, "renorm@16", seed, dataset="fashion_mnist") for kind, seed in both]
    yield with_controls(with_controls(clothes, "untreated"), "newborn"), GAUGES
    sharper = "blur-8@0+4 blur-4@4+4 blur-2@8+4"
    yield [Run(onset=16, windows=sharper, seed=seed) for seed in FIRST], ()
    paths = {"blur": FIRST, "noise": range(1, 5), mirror: FIRST}
    ends = ((deficit, seed) for deficit, seeds in paths.items() for seed in seeds)
    yield [linear_path.spec(deficit, length=16, seed=seed) for deficit, seed in ends], ()


def course_traces() -> Parts:
    """Fisher traces and filters."""
    yield grid("blur stripes", THREE, FIRST), TRACE
    yield grid(FOUR, [16], FIRST), TRACE
    yield [Run(onset=24, seed=seed) for seed in FIRST], TRACE
    yield unrecovered("blur flip stripes", FIRST), TRACE


def eyes() -> Parts:
    """Two eyes, deficits of the right one, early and late; of both; patches of the left one."""

    def closed(deficit: str = "blank:right", length: int = 8, **fields: Any) -> list[Run]:
        how = {"model": "eyes", "length": length, **fields}
        return [Run(deficit=deficit, seed=seed, **how) for seed in FIRST]

    runs = [run for length in (8, 4, 16) for run in closed(length=length)]
    runs += [run for dose in (4, 8, 12) for run in closed(windows=(("blank:left", 8, dose),))]
    runs += [run for onset in (4, 8, 16) for run in closed(onset=onset)]
    runs = with_controls(runs, "without_window")
    for worse in ("strabismus:right", "blur:right", "fresh_noise:right", "blur", "blank"):
        runs += closed(worse)
    yield runs, ("eye_shares", "each_eye")


FLAGSHIP: dict[str, Any] = {"model": "depth3", **FIXED, "recovery": 60}
PLACES = ((0, 16), (24, 16))  # onset, length
BEYOND: list[tuple[dict[str, Any], str, Iterable, range]] = [  # what differs; kinds; when; seeds
    ({"recovery": 240}, "blur", (*PLACES, (0, 48)), FRESH),
    *(({"model": f"depth{n}"}, "blur flip", PLACES, FRESH) for n in (1, 2)),
    ({"dataset": "fashion_mnist"}, "blur flip", PLACES, FRESH),
    *(({"dataset": f"cifar10-part{n}"}, "blur", PLACES, FRESH[:3]) for n in (2, 3, 4)),
]


def flagship() -> Parts:
    """Three blocks at a rate that never changes: all shipped runs of forecasts Q and AB, and longer
    recoveries, fewer blocks, other images."""
    yield [r.spec for r in every_result("Run", "shipped") if is_flagship(r.spec)], ()
    for other, kinds, places, seeds in BEYOND:
        runs = [Run(k, *w, **{**FLAGSHIP, **other}) for k in kinds.split() for w in places]
        yield with_three(runs, seeds), ()


def is_flagship(run: Run) -> bool:
    """Whether a run differs from FLAGSHIP in its deficit, treatments and seed alone."""
    clear = {"deficit": "none", "onset": 0, "length": 0, "seed": 0, "treatments": ()}
    return run.recovery == 60 and replace(run, **clear) == Run(**FLAGSHIP)


def fit() -> Parts:
    """Fisher traces of a net that fits its images."""
    for lengths, deficits, other in (
        ((4, 8, 12, 24), "blur flip", {}),
        ([12], "blur flip", {"optimizer": "adam"}),
    ):
        how: dict[str, Any] = {"profile": "fit", **other}
        yield grid(deficits, lengths, FIRST, **how), TRACE
        yield clock_running(grid("blur", lengths, FIRST, **how)), ()
    yield from normed("fit", 24)


def fit_windows() -> Parts:
    """Windows of blur in that net."""
    yield grid("blur", [4], FIRST, (0, 2, 4, 6, 8, 12, 16, 20, 24), profile="fit"), ()


BOTTLENECK = (0, 1, 3, 5, 7, 11, 15, 19, 23, 33, 43)  # epochs at which sharpness is measured
SINGLE: Measures = {"connections": (1, 13, 43)}


def fit_sharpness() -> Parts:
    """Sharpness and single connections along clear runs."""
    measure = {"ending": BOTTLENECK, **SINGLE}
    yield [Run(onset=24, seed=seed, profile="fit") for seed in MORE], measure


def matched() -> Parts:
    """A net that fits its images, at rates like its controls' (forecast E)."""
    of: dict[str, Any] = {"profile": "matched"}
    rates = [{"schedule": "paper", "pace": pace} for pace in (1, 3, 10)] + [FIXED, {}]
    for seeds in (FIRST, MORE):
        yield grid("blur flip", (4, 8, 16), seeds, **of), TRACE
        yield (
            with_three((Run("blur", onset, 12, **of) for onset in (0, 4, 8, 16, 24)), seeds),
            TRACE,
        )
        yield [Run(onset=24, seed=seed, **rate, **of) for rate in rates for seed in seeds], TRACE
    yield from normed("matched", 16)


def matched_random() -> Parts:
    """Random labels first, without and with weight decay."""
    for decay in (0, 0.01):
        how = {"weight_decay": decay, "profile": "matched", **ALONE}
        yield grid("random_labels", [40], **how), ()


def mnist() -> Parts:
    """Full connections, digits."""
    yield grid("blur flip", (4, 8, 16, 32), TEN, profile="mnist"), ()


def mnist_paper() -> Parts:
    """The paper's MNIST at its own length, the trained part (forecast G)."""
    how: dict[str, Any] = {"profile": "paper", "dataset": "mnist", **FIXED}
    for model, seed, flipped in (("fc-1250", 0, False), ("fc-1250", 1, True), ("fc-2500", 0, True)):
        runs = [Run("blur", 0, end, model=model, **how) for end in (240, 480)]
        runs += [replace(runs[1], deficit="flip")] if flipped else []
        yield with_three(runs, [seed]), ()


def slim() -> Parts:
    """The paper at half its pixels and a third of its width, the trained part (forecast C): all of
    the first seed; of the second no short flip and noise. Its equal training is the longest and its
    beginnings, whose ends are not measured."""
    of, ends = {"profile": "slim"}, (20, 40, 60, 100, 140)
    along: dict[str, Any] = dict.fromkeys(("trace", "jacobian", "weight_norms"), range(4, 400, 5))
    begun = [Run(onset=end, seed=1, **of) for end in ends[:-1]]
    for seed, short in ((0, "flip noise"), (1, "")):
        runs = grid("blur", ends, [seed], **of) + grid(f"{short}", [60], [seed], **of)
        runs += grid("flip noise permute", [140], [seed], **of)
        yield [run for run in dict.fromkeys(runs) if run not in begun], {**along, "ending": "end"}
    yield begun, along
    yield clock_running(grid("blur", (60, 140), range(2), controls=(), **of)), ()


BRIEF, LONG = (10, 25, 50, 100, 200, 400), 200  # epochs of a deficit in tiny
AGES = (0, 2, 5, 10, 20, 40, 80)  # at which one begins


def tiny() -> Parts:
    """Twenty networks that learn few digits by heart (forecast AF): by length from birth, by age at
    one length, and by recovery, of both sets of digits; then the whole grid of the mosaic and the
    other kinds on drawn ones."""
    for dataset in ("drawn", "mnist"):
        yield from by_length("mosaic", 0, dataset)
        for kind in ("flip", "noise", "permute"):
            yield from by_length(kind, 0, dataset, [LONG])
        for age in AGES[1:]:
            yield from by_length("mosaic", age, dataset, [LONG])
        run = Run("mosaic", 0, LONG, profile="tiny", dataset=dataset)
        yield with_three((replace(run, recovery=n) for n in (10, 30, 300, 1000)), range(20)), ()
    for age in AGES[1:]:
        yield from by_length("mosaic", age, "drawn")
    for kind in ("flip", "noise", "permute"):
        for age in AGES:
            yield from by_length(kind, age, "drawn", [LONG] if age else BRIEF)
    for other in ({"images": 100}, {"images": 1000}, {"rate": 0.3}, {"rate": 3.0}):
        yield from by_length("mosaic", 0, "drawn", [LONG], **other)
    for model in ("mlp1", "mlp3", "mlp2_tenth", "mlp2_he"):  # layers, and initial weights
        yield from by_length("mosaic", 0, "drawn", [LONG], model=model)
    for kind in ("mosaic-2", "mosaic-4"):
        yield from by_length(kind, 0, "drawn", [LONG])


def by_length(
    kind: str, onset: int, dataset: str, lengths: Iterable[int] = BRIEF, **other: Any
) -> Parts:
    """Runs of twenty seeds, with how many of its own images a network gets right when its deficit
    ends; and their controls."""
    how: dict[str, Any] = {"profile": "tiny", "dataset": dataset, **other}
    runs = [Run(kind, onset, n, seed=seed, **how) for n in lengths for seed in range(20)]
    yield runs, {"own_images_right": tuple(sorted({run.end - 1 for run in runs}))}
    every = with_controls(runs, "equal_training", "without_window")
    yield [run for run in every if not run.length], ()


def practice() -> Parts:
    """What needs no download."""
    yield grid("blur", [16], range(3), dataset="practice"), ()


# Growth and pruning -------------------------------------------------------------------------------


def searches(seeds: Iterable[int], **fields: Any) -> list[Experiment]:
    """A search for each seed."""
    return [search.spec(seed=seed, **fields) for seed in seeds]


def retrainings(sources, kinds: str, densities=DENSITIES, **fields) -> list[Experiment]:
    """Retrainings of each kind of architecture of some searches, at some densities."""
    return [
        retrain.spec(kind, density, source, **fields)
        for kind in kinds.split()
        for density in ((1.0,) if kind == "dense" else densities)
        for source in sources
    ]


def growth() -> Parts:
    """Growth and pruning of synapses, and new weights."""
    digits, adam = searches(TEN), searches(FIRST, optimizer="adam")
    clothes, mixed = searches(TEN, dataset="fashion_mnist"), searches(TEN, mixed=0.15)
    rounded = searches(range(3), rounding="up", output="pruned")
    yield [*digits, *adam, *clothes, *mixed, *rounded], ()
    yield retrainings(digits, " ".join(ORIGINS)), ()
    for group in (adam, digits[:5]):
        yield retrainings(group, "biological random per_pixel", optimizer="adam"), ()
    for group, kinds in (
        (clothes, "biological random dense"),
        (digits, "biological per_pixel"),
        (mixed, "biological"),
    ):
        yield retrainings(group, kinds, dataset="fashion_mnist"), ()
    yield [prune_once.spec(seed=seed) for seed in TEN], ()  # the sources of the kind `magnitude`


def prunings(size: str, seed: int) -> list[Experiment]:
    """Critical periods of the thesis: on each material, and by the other ways to prune."""
    ways: list[dict] = [{"material": material} for material in MATERIALS]
    ways += [{"choice": "random"}, {"retrain": False}, {"choice": "random", "retrain": False}]
    return [prune_kernels.spec(size, seed=seed, **way) for way in ways]


def splits(size: str, seed: int, materials=MATERIALS[:1], draws: int = 1) -> list[Experiment]:
    """Architectures trained from new weights: random splits, and those that pruning has found."""
    totals, most = SIZES[size].saved, SIZES[size].kernels
    places = [(total, 100 * draw + seed) for total in totals for draw in range(draws)]
    pairs = [random_split(total, start, most) for total, start in places]
    for material, total in product(materials, totals):
        with suppress(q.Missing):
            pruned = prune_kernels.spec(size, material=material, seed=seed)
            pairs.append(kernel_split(pruned, total))
    return [train_split.spec(size, first, second, seed) for first, second in dict.fromkeys(pairs)]


def thesis(profile: str) -> Parts:
    """The convolutional model of the thesis (figures 6 to 8, 11 to 17), where it has this size."""
    for seed in FIRST if profile in SIZES else ():
        yield prunings(profile, seed), ()
        yield splits(profile, seed), ()


def kernels() -> Parts:
    """Pruning of kernels, and new weights."""
    same_ratio = ((15, 60), (10, 40), (5, 20), (2, 6), (1, 4))  # as 16 to 64
    yield [spec for seed in range(6) for spec in prunings("course", seed)], ()
    yield [spec for seed in range(6) for spec in splits("course", seed, MATERIALS, draws=3)], ()
    yield [train_split.spec("course", *kept, seed) for kept in same_ratio for seed in range(6)], ()
    unlabelled = [s for seed in range(6) for s in splits("course", seed, MATERIALS[-1:], draws=3)]
    yield [spec.replace(labelled=2000) for spec in unlabelled if spec.first + spec.second == 25], ()


def shifted() -> Parts:
    """Growth and pruning on digits at random places (forecast J)."""
    found = searches(FIRST, dataset="mnist_shifted")
    yield found, ()
    yield retrainings(found, "biological random per_pixel", (0.02, 0.05, 0.1, 0.2)), ()


def saliency() -> Parts:
    """Pruning of weights by Fisher information."""
    whole = prune_weights.spec()
    cuts = product(("fisher", "magnitude", "random"), (0.8, 0.5, 0.2, 0.1, 0.05))
    kept = [whole.replace(metric=metric, density=density) for metric, density in cuts]
    fisher = (whole.replace(metric="fisher", density=density) for density in (0.2, 0.05))
    later = product((whole, *fisher), ("none", "blur"))
    specs = [whole, *kept, *(spec.replace(recalibrated=True) for spec in kept)]
    specs += [spec.replace(deficit=deficit, length=8) for spec, deficit in later]
    yield [spec.replace(seed=seed) for spec in specs for seed in TEN], ()


def short_runs() -> Parts:
    """What consolidation needs: small networks trained for some batches; draws of the trace."""
    kinds = ({}, {"count": 1000}, {"moving": True}, {"width": 4}, {"width": 4, "batches": 600})
    yield [short_run.spec(seed=seed, **how) for how in kinds for seed in FIRST], ()
    yield [sample.spec(draws=n, seed=seed) for n in (10, 30, 100, 300) for seed in range(8)], ()
    yield [sample.spec(draws=600)], ()


FILES = (course, course_architectures, course_controls, course_more_seeds, course_settings)
FILES += (course_random, course_pace, course_recovery, course_reopening, course_traces, eyes)
FILES += (flagship, fit, fit_windows, matched, fit_sharpness, matched_random, mnist, mnist_paper)
FILES += (slim, tiny, practice, growth, kernels, shifted, saliency, short_runs)
RECIPES: dict[str, Callable[[], Parts]] = {of.__name__: of for of in FILES}
EVERY = (*EXHIBITS, "thesis", *RECIPES)


def parts_of(name: str, profile: str = "paper") -> Parts:
    """The specs of an exhibit or a shipped file with their measurements, the most valuable first.
    Raises: CplabError for an unknown name."""
    one_of("name", name, EVERY)
    if name in RECIPES:
        return RECIPES[name]()
    return thesis(profile) if name == "thesis" else exhibit(profile, **EXHIBITS[name])


def wanted() -> dict[Any, tuple[str, dict]]:
    """All specs of all shipped files, each with its file and its measurements."""
    files: dict[Any, tuple[str, dict]] = {}
    for name, recipe in RECIPES.items():
        for specs, measure in recipe():
            for spec in specs:
                file, measured = files.get(spec, (name, {}))
                files[spec] = file, measured | parse_measures(measure)
    return files


def ship_recipe(name: str) -> str:
    """Write the results of a recipe into its file. Returns a line that says what was written.

    Raises: CplabError where some of them are missing.
    """
    one_of("recipe", name, RECIPES)
    specs = {spec: measure for spec, (file, measure) in wanted().items() if file == name}
    results = [result for spec, measure in specs.items() if (result := find(spec, measure))]
    if missing := len(specs) - len(results):
        how = f"first run `python -m reproduction train {name}`"
        raise CplabError(f"{missing} of {len(specs)} results of {name} are missing: {how}")
    return f"{ship(results, name)}: {len(results)} results"
