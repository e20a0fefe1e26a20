"""The runs that exist, and their measurements: the paper's exhibits, ladders, and shipped files.

The exhibits are the paper's figures and claims, at any size. The ladders are sets of trainings
between our size and the paper's, each with a question; what we expected of them stands in
forecasts.md, written before they were trained, and ladders.md shows what is shipped of them. A
recipe of a shipped file is named like it in cplab/shipped; a spec of two recipes stands in the
first's. `python -m reproduction train NAME` trains any recipe and goes on where it stopped.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice, product
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
from cplab.statistics import Estimate

Measures = tuple[str, ...] | Mapping[str, Any]  # names, or by name when
Parts = Iterable[tuple[Iterable, Measures]]  # specs, and what is measured on them
FIRST, MORE, TEN, FRESH = range(5), range(5, 10), range(10), range(15, 20)  # seeds
TRACE = ("trace", "ending")  # measured along a run, and after it
FIXED: dict[str, Any] = {"schedule": "fixed"}
FOUR = "blur flip noise permute"


@dataclass(frozen=True)
class Table:
    """A table of a ladder: a run for each column, and for each row a number of a run, or None."""

    words: str
    runs: dict[str, Run]
    rows: Mapping[str, Callable[[Run], Estimate | None]]
    digits: int = 1


@dataclass(frozen=True)
class Recipe:
    """A set of trainings. parts: a function (of an exhibit: of a profile) that returns specs with
    their measurements, the most valuable first; some specs follow from the results of others."""

    words: str
    parts: Callable[..., Parts]
    tables: Callable[[], Iterator[Table]] | None = None


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

REMOVALS, FEW = tuple(range(0, 141, 20)), (0, 40, 80, 140)
ENDS, DEPTHS = (30, 50, 70, 100, 220), (0, 40, 80, 120, 160, 240)  # of figures 4 and 3
SHORT: dict[str, Any] = {"recovery": 100}  # of figures 4 and 5
RESNET: dict[str, Any] = {"model": "resnet18"}
DIGITS: dict[str, Any] = {"model": "fc", "dataset": "mnist", **FIXED}


def windows(lengths, onsets, deficits="blur", measure=(), **fields) -> Callable[[str], Parts]:
    """The parts of an exhibit: windows of deficits, whose lengths and onsets are in epochs of the
    paper, and all their controls; five seeds. The ci profile has practice images alone."""

    def parts(profile: str) -> Parts:
        def scale(epochs: Iterable[int]) -> list[int]:
            return [*dict.fromkeys(round(e / PROFILES[profile].pace) for e in epochs)]

        one_of("profile", profile, PROFILES)
        how = {"profile": profile, **fields}
        if PROFILES[profile].dataset == "practice":
            how.pop("dataset", None)
        if "recovery" in how:
            how["recovery"] = max(1, *scale([how["recovery"]]))
        how["controls"] = "newborn", "equal_training", "without_window"
        for seed in FIRST:
            yield grid(deficits, scale(lengths), [seed], scale(onsets), **how), measure

    return parts


def until(ends, *deficits_and_measure, **fields) -> Callable[[str], Parts]:
    """The parts of an exhibit: deficits from birth until each of `ends`."""
    return windows(ends, (0,), *deficits_and_measure, **fields)


def thesis(profile: str) -> Parts:
    """The convolutional model of the thesis (figures 6 to 8, 11 to 17), where it has this size."""
    for seed in FIRST if profile in SIZES else ():
        yield prunings(profile, seed), ()
        yield splits(profile, seed), ()


def prunings(size: str, seed: int) -> list[Experiment]:
    """Critical periods of the thesis: on each material, and by the other ways to prune."""
    ways: list[dict] = [{"material": material} for material in MATERIALS]
    ways += [{"choice": "random"}, {"retrain": False}, {"choice": "random", "retrain": False}]
    return [prune_kernels.spec(size, seed=seed, **way) for way in ways]


def splits(size: str, seed: int, materials=MATERIALS[:1], draws: int = 1) -> list[Experiment]:
    """Architectures trained from new weights: random splits, and those that pruning has found."""
    totals, kernels = SIZES[size].saved, SIZES[size].kernels
    places = [(total, 100 * draw + seed) for total in totals for draw in range(draws)]
    pairs = [random_split(total, start, kernels) for total, start in places]
    for material, total in product(materials, totals):
        with suppress(q.Missing):
            pruned = prune_kernels.spec(size, material=material, seed=seed)
            pairs.append(kernel_split(pruned, total))
    return [train_split.spec(size, first, second, seed) for first, second in dict.fromkeys(pairs)]


EXHIBITS = {
    "figure1-removal": Recipe("blur until an epoch, then 300 more", until(REMOVALS)),
    "figure1-window": Recipe("blur for 40 epochs from an onset", windows((40,), REMOVALS)),
    "figure2-flip": Recipe("images upside down until an epoch", until(REMOVALS, "flip")),
    "figure2-labels": Recipe("permuted labels until an epoch", until(REMOVALS, "permute")),
    "figure2-noise": Recipe("noise until an epoch", until((*REMOVALS, 160), "noise")),
    "figure3-fixed": Recipe(
        "blur at a fixed learning rate", until((0, 40, 80, 120, 160, 240, 320, 400), **FIXED)
    ),
    "figure3-resnet": Recipe("blur, ResNet-18", until((*REMOVALS, 160, 180), **RESNET)),
    "figure3-fc": Recipe("blur, full connections on MNIST", until((*FEW, 240, 360, 480), **DIGITS)),
    **{
        f"figure3-depth{n}": Recipe(f"blur, n = {n}", until(DEPTHS, model=f"depth{n}", **FIXED))
        for n in (1, 2, 3)
    },
    "poster-adam": Recipe("blur, Adam", until(FEW, optimizer="adam")),
    "figure4-trace": Recipe(
        "Fisher trace, All-CNN, blur until an epoch", until(ENDS, "blur", TRACE, **SHORT)
    ),
    "figure4-resnet": Recipe(
        "Fisher trace, ResNet-18, blur until an epoch",
        until(ENDS, "blur", TRACE, **SHORT, **RESNET),
    ),
    "figure4-window": Recipe("blur for 60 epochs from an onset", windows((60,), REMOVALS)),
    "figure4-windows-resnet": Recipe(
        "blur for 40 and 60 epochs from an onset, ResNet-18", windows((40, 60), REMOVALS, **RESNET)
    ),
    "figure5": Recipe(
        "information by layer: none, until 40, until 100, blur and flip",
        until((40, 100), "blur flip", TRACE, **SHORT),
    ),
    "schedules": Recipe(
        "three schedules, blur and flip, both controls",
        lambda profile: (
            part
            for schedule in ("paper", "fixed", "recovery")
            for part in until(FEW, "blur flip", schedule=schedule)(profile)
        ),
    ),
    "momentum": Recipe("blur at momentum 0, which the paper may mean", until(FEW, momentum=0)),
    "thesis": Recipe("growth and pruning of kernels", thesis),
}


# The ladders --------------------------------------------------------------------------------------

overslept = partial(q.harm, clock="running")
COSTS = {"loss against equal training": q.equal_training_loss}
COSTS |= {"of it lost time": q.lost_time, "of it harm": q.harm}


def after(kind: str, of: Callable[..., Estimate] = q.harm, **fields: Any) -> Callable:
    """A row: a quantity of a column's run with another deficit, and other fields."""
    return lambda run: of(replace(run, deficit=kind, **fields))


def only(runs: list[Run], of: Callable[[Run], Estimate]) -> Callable[[Run], Estimate | None]:
    """A row with a quantity of some runs alone."""
    return lambda run: of(run) if run in runs else None


def above(ours: str, theirs: str) -> Callable[[Run], Estimate]:
    """A row: points after one deficit above those after another."""
    return lambda run: q.advantage(replace(run, deficit=ours), replace(run, deficit=theirs))


def trace_left(run: Run) -> Estimate:
    """The trace in the end, in percent of its highest."""
    return 100 * q.trace_remaining(run)


def trace_grown(run: Run) -> Estimate:
    """log₂ of the final trace, over that of equal training."""
    return q.doublings(q.trace_at(run), q.trace_at(run.equal_training()))


# A: recovery
def recovery_parts() -> Parts:
    for recovery in (15, 60, 120, 30, 240):
        yield grid("blur noise flip fresh_noise", [16], FIRST, recovery=recovery), ()


def recovery_tables() -> Iterator[Table]:
    runs = {str(r): Run("blur", 0, 16, recovery=r) for r in (15, 30, 60, 120, 240)}
    kinds = {"blur": "blur", "noise": "fixed noise", "fresh_noise": "fresh noise", "flip": "a flip"}
    rows: dict[str, Callable] = {f"harm of {words}": after(kind) for kind, words in kinds.items()}
    rows["lost time"] = q.lost_time
    yield Table("16 epochs from birth, then so many of recovery", runs, rows)


# B: pace
PACES = (10, 5, 2, 1)
VARIED: dict[str, dict] = {"momentum 0": {"momentum": 0}, "no augmentation": {"augment": False}}


def paced(pace: int) -> dict[str, Any]:
    """The paper's schedule at a pace, with 160 of its epochs of recovery."""
    return {"recovery": 160 // pace, "schedule": "paper", "pace": pace}


def pace_parts() -> Parts:
    for pace in PACES:
        runs = grid(FOUR, (60 // pace, 140 // pace), FIRST, **paced(pace))
        yield [*runs, *clock_running(run for run in runs if run.deficit == "blur")], ()
    for fields in VARIED.values():
        yield grid("blur flip", (60, 140), range(3), **paced(1), **fields), ()


def pace_tables() -> Iterator[Table]:
    kinds = {"blur": "blur", "flip": "a flip", "noise": "noise", "permute": "permuted labels"}
    for end in (60, 140):
        runs = {f"pace {pace}": Run("blur", 0, end // pace, **paced(pace)) for pace in PACES}
        rows: dict[str, Callable] = {f"loss after {kinds[kind]}": after(kind) for kind in kinds}
        rows |= {
            f"loss after {kinds[kind]}, clock running on": after(kind, overslept) for kind in kinds
        }
        rows["blur minus flip"] = above("blur", "flip")
        for (words, fields), kind in product(VARIED.items(), ("blur", "flip")):
            varied = only([runs["pace 1"]], after(kind, **fields))
            rows[f"loss after {kinds[kind]}, {words}"] = varied
        yield Table(f"until the paper's epoch {end}, against a newborn, clock stopped", runs, rows)


# C: the slim paper, and D: windows
SLIM: dict[str, Any] = {"profile": "slim"}
SLIM_ENDS = (20, 40, 60, 100, 140)
ALONG: dict[str, Any] = dict.fromkeys(("trace", "jacobian", "weight_norms"), range(4, 400, 5))
TRACED: dict[str, Any] = {**ALONG, "ending": "end"}
SLIDING = [Run("blur", onset, 40, **paced(1)) for onset in (0, 20, 40, 80)]


def slim_parts() -> Parts:
    for seed in range(2):
        yield grid("blur", SLIM_ENDS, [seed], **SLIM), TRACED
        yield grid("flip noise", (60, 140), [seed], **SLIM), TRACED
        yield grid("permute", [140], [seed], **SLIM), TRACED
        yield clock_running(Run("blur", 0, end, seed=seed, **SLIM) for end in (60, 140)), TRACED


def slim_tables() -> Iterator[Table]:
    runs = {str(end): Run("blur", 0, end, **SLIM) for end in SLIM_ENDS}
    longer, last = ([runs[end] for end in ends] for ends in (("60", "140"), ("140",)))
    flipped = after("flip", trace_grown)
    yield Table(
        "a deficit until so many epochs",
        runs,
        {
            "loss against the newborn, blur": q.harm,
            "loss against the newborn, flip": only(longer, after("flip")),
            "loss against the newborn, noise": only(longer, after("noise")),
            "loss against the newborn, permute": only(last, after("permute")),
            "loss against the newborn, blur, clock running on": only(longer, overslept),
            "blur, loss against equal training": q.equal_training_loss,
            "flip minus blur": only(longer, above("flip", "blur")),
            "blur, trace in the end against equal training, doublings": trace_grown,
            "flip, trace in the end against equal training, doublings": only(longer, flipped),
            "no deficit, trace in the end, % of its highest": lambda r: trace_left(
                r.equal_training()
            ),
        },
    )


def onset_parts() -> Parts:
    """Windows of blur and of a flip, with two controls without it: the clock stops, or runs on."""
    for seed in FIRST:
        runs = with_three([*SLIDING, *(replace(r, deficit="flip") for r in SLIDING)], [seed])
        yield [*runs, *clock_running(runs)], ()


def onset_tables() -> Iterator[Table]:
    rows = COSTS | {"harm, clock running on": overslept, "harm of a flip": after("flip")}
    rows |= {"harm of a flip, clock running on": after("flip", overslept)}
    yield by_onset("a window of 40 epochs, pace 1", SLIDING, rows)


def by_onset(words: str, runs: list[Run], rows: Mapping[str, Callable] = COSTS) -> Table:
    """A table of windows by onset."""
    return Table(f"{words} at an onset", {str(run.onset): run for run in runs}, rows)


# E: a fit with matched rates

MATCHED: dict[str, Any] = {"profile": "matched"}
WINDOWED = [Run("blur", onset, 12, **MATCHED) for onset in (0, 4, 8, 16, 24)]
CLEAR = {
    **{f"pace {p}": Run(onset=24, schedule="paper", pace=p, **MATCHED) for p in (1, 3, 10)},
    "fixed": Run(onset=24, **FIXED, **MATCHED),
    "held, then annealed": Run(onset=24, **MATCHED),
}


def matched_parts() -> Parts:
    for seeds in (FIRST, MORE):
        yield grid("blur flip", (4, 8, 16), seeds, **MATCHED), TRACE
        yield with_three(WINDOWED, seeds), TRACE
        yield [replace(run, seed=seed) for run in CLEAR.values() for seed in seeds], TRACE


def matched_tables() -> Iterator[Table]:
    yield by_onset("a window of 12 epochs", WINDOWED)
    rows: dict[str, Callable] = {
        "harm of blur": q.harm,
        "harm of a flip": after("flip"),
        "blur, trace in the end against equal training, doublings": trace_grown,
        "flip, trace in the end against equal training, doublings": after("flip", trace_grown),
    }
    runs = {str(end): Run("blur", 0, end, **MATCHED) for end in (4, 8, 16)}
    yield Table("a deficit until so many epochs", runs, rows)
    rows = {
        "epochs to the highest trace": q.trace_peak,
        "trace in the end, % of its highest": trace_left,
    }
    yield Table("44 clear epochs, by the rate", CLEAR, rows)


# F: controls

BLURRED = Run("blur", 0, 16)
SIZED = ("depth1-16", "depth1-68", "depth2-16", "depth3-16")  # 18, 314, 77, 312 thousand weights
CONTROLS: dict[str, dict[str, Run]] = {
    "16 epochs of blur, fixed rate, by depth and width": {
        model: replace(BLURRED, model=model, **FIXED) for model in SIZED
    },
    "the same with a recovery of 60": {
        model: replace(BLURRED, model=model, **FIXED, recovery=60) for model in SIZED
    },
    "16 epochs of blur, Adam, by a factor on its rate": {
        f"× {rate}": replace(BLURRED, optimizer="adam", rate=rate) for rate in (1, 2, 5, 10)
    },
    "16 epochs of blur, by the network's width": {
        str(width): replace(BLURRED, model=f"allcnn-{width}") for width in (8, 16, 32, 48)
    },
    "16 epochs of blur, by weight decay": {
        f"{decay:g}": replace(BLURRED, weight_decay=decay) for decay in (0, 1e-4, 1e-3, 1e-2)
    },
}
EARLY = [Run("blur", onset, 8) for onset in (0, 2, 4, 8)]
CLOTHES = [Run("blur", onset, 8, dataset="fashion_mnist") for onset in (0, 4, 8, 16, 24)]


def control_parts() -> Parts:
    yield [Run(seed=seed) for seed in range(10, 30)], ()
    yield with_three(EARLY, range(10, 20)), ()
    for runs in CONTROLS.values():
        yield with_three(runs.values(), FIRST), ()
    yield with_three(CLOTHES, TEN), ()


def control_tables() -> Iterator[Table]:
    rows = {"newborn, %": lambda run: q.accuracy(run.without_window()), **COSTS}
    for words, runs in CONTROLS.items():
        yield Table(words, runs, rows)
    yield by_onset("8 epochs of blur", EARLY)
    yield by_onset("8 epochs, Fashion-MNIST", CLOTHES)


# G: the paper's MNIST experiment

DIGIT_RUNS = {
    f"{end}, width {width}": Run(
        "blur", 0, end, profile="paper", dataset="mnist", model=f"fc-{width}", **FIXED
    )
    for width in (1250, 2500)
    for end in (240, 480)
}


def digit_parts() -> Parts:
    runs = [*DIGIT_RUNS.values()]
    for few in (runs[:2], runs[2:]):  # of a width
        for seed in range(2):
            yield with_three([*few, replace(few[1], deficit="flip")], [seed]), ()


def digit_tables() -> Iterator[Table]:
    longer = [run for run in DIGIT_RUNS.values() if run.length == 480]
    rows = {
        "blur, test error, %": lambda run: 100 - q.accuracy(run),
        "harm of blur": q.harm,
        "loss against equal training": q.equal_training_loss,
        "flip minus blur": only(longer, above("flip", "blur")),
    }
    yield Table("blur until so many epochs, 300 of recovery", DIGIT_RUNS, rows, 2)


LADDERS = {
    "A": Recipe("does harm heal with a longer recovery?", recovery_parts, recovery_tables),
    "B": Recipe("how much of the flip's loss is compression?", pace_parts, pace_tables),
    "C": Recipe("the slim paper: removal, kinds, trace", slim_parts, slim_tables),
    "D": Recipe("windows at the paper's own pace, both clocks", onset_parts, onset_tables),
    "E": Recipe("trace and harm in the same runs", matched_parts, matched_tables),
    "F": Recipe("controls: depth, rate, width, decay, images", control_parts, control_tables),
    "G": Recipe("the paper's MNIST at its own length", digit_parts, digit_tables),
}


# The shipped files --------------------------------------------------------------------------------

ONSETS, LENGTHS = (0, 2, 4, 8, 12, 16, 24), (2, 4, 8, 12, 16, 24)
THREE = (4, 8, 16)  # lengths
FIT: dict[str, Any] = {"profile": "fit"}
NORMS: dict[str, dict] = {
    "course": {"jacobian": (3, 7, 11, 14, 15, 18, 22, 30), "blurred": (14, 15, 30)},
    "fit": {"jacobian": (3, 7, 11, 15, 23, 43), "blurred": (23, 43)},
    "matched": {"jacobian": (3, 7, 11, 13, 15, 19, 23, 27, 31, 35)},
}


def course() -> Parts:
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


def growth() -> Parts:
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


def kernels() -> Parts:
    same_ratio = ((15, 60), (10, 40), (5, 20), (2, 6), (1, 4))  # as 16 to 64
    yield [spec for seed in range(6) for spec in prunings("course", seed)], ()
    yield [spec for seed in range(6) for spec in splits("course", seed, MATERIALS, draws=3)], ()
    yield [train_split.spec("course", *kept, seed) for kept in same_ratio for seed in range(6)], ()
    unlabelled = [s for seed in range(6) for s in splits("course", seed, MATERIALS[-1:], draws=3)]
    yield [spec.replace(labelled=2000) for spec in unlabelled if spec.first + spec.second == 25], ()


def short_runs() -> Parts:
    """Small networks trained for some batches, and estimates of a trace from random draws."""
    kinds = ({}, {"count": 1000}, {"moving": True}, {"width": 4}, {"width": 4, "batches": 600})
    yield [short_run.spec(seed=seed, **how) for how in kinds for seed in FIRST], ()
    yield [sample.spec(draws=n, seed=seed) for n in (10, 30, 100, 300) for seed in range(8)], ()
    yield [sample.spec(draws=600)], ()


def saliency() -> Parts:
    whole = prune_weights.spec()
    kept = [
        whole.replace(metric=metric, density=density)
        for metric in ("fisher", "magnitude", "random")
        for density in (0.8, 0.5, 0.2, 0.1, 0.05)
    ]
    later = [
        pruned.replace(deficit=deficit, length=8)
        for pruned in (whole, *(whole.replace(metric="fisher", density=d) for d in (0.2, 0.05)))
        for deficit in ("none", "blur")
    ]
    again = [pruned.replace(recalibrated=True) for pruned in kept]
    yield [spec.replace(seed=seed) for spec in (whole, *kept, *later, *again) for seed in TEN], ()


def eyes() -> Parts:
    """Deficits of the right eye, early and late; of both eyes; and patches of the left one."""

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


def slim() -> Parts:
    """The trained part of ladder C: all of its first seed; of its second no short flip and noise.
    Equal training of the second is the longest and its beginnings, whose ends are not measured."""
    second = ("none", 0), *product(("none", "blur"), SLIM_ENDS), *product(FOUR.split(), [140])
    begun = [Run(onset=end, seed=1, **SLIM) for end in SLIM_ENDS[:-1]]
    for runs, measure in slim_parts():
        trained = (run for run in runs if run.seed == 0 or (run.deficit, run.end) in second)
        yield [run for run in trained if not run.skipped and run not in begun], measure
    yield begun, ALONG
    yield clock_running(grid("blur", (60, 140), range(2), controls=(), **SLIM)), ()


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
EQUAL = ("renorm@16", "shrink-0.4@16", "rate-3@16")
EARLY_ONLY = ("decay-0@0+8", "images-0.5@0+8", "unaugmented@0+8")
LATE = ("decay-0@8", "decay-0@0", "unaugmented@8", "unaugmented@0", "images-0.5@0+8 shrink-0.4@8")
PATHS = {"blur": FIRST, "noise": range(1, 5), mirror: FIRST}


def course_reopening() -> Parts:
    """Treated runs, and newborns and equal training treated alike; renorm on other images; clear
    runs with a treatment early or late; blur that fades; linear paths to a twin."""

    def treated(deficit: str, kind: str, seed: int, **fields: Any) -> Run:
        return Run(deficit, 0, 16, seed=seed, treatments=kind, **fields)

    runs = with_controls(
        (treated(*what, seed) for what, seeds in TREATED.items() for seed in seeds), "newborn"
    )
    runs += [treated("blur", kind, seed).equal_training() for kind in EQUAL for seed in FIRST]
    yield [run for run in dict.fromkeys(runs) if run.treatments], GAUGES
    for kinds, seeds in ((EARLY_ONLY, FIRST), (LATE, range(3))):
        yield [Run(onset=8, treatments=kind, seed=seed) for kind in kinds for seed in seeds], ()
    clothes = [
        treated(deficit, "renorm@16", seed, dataset="fashion_mnist")
        for seed in range(3)
        for deficit in ("noise", "blur")
    ]
    yield with_controls(with_controls(clothes, "untreated"), "newborn"), GAUGES
    sharper = "blur-8@0+4 blur-4@4+4 blur-2@8+4"
    yield [Run(onset=16, windows=sharper, seed=seed) for seed in FIRST], ()
    yield (
        [linear_path.spec(d, length=16, seed=seed) for d, seeds in PATHS.items() for seed in seeds],
        (),
    )


FLAGSHIP: dict[str, Any] = {"model": "depth3", **FIXED, "recovery": 60}
AGES = ((0, 16), (24, 16))  # onset, length
BEYOND: list[tuple[dict[str, Any], str, Iterable, range]] = [  # what differs; kinds; when; seeds
    ({"recovery": 240}, "blur", (*AGES, (0, 48)), FRESH),
    *(({"model": f"depth{n}"}, "blur flip", AGES, FRESH) for n in (1, 2)),
    ({"dataset": "fashion_mnist"}, "blur flip", AGES, FRESH),
    *(({"dataset": f"cifar10-part{n}"}, "blur", AGES, FRESH[:3]) for n in (2, 3, 4)),
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


BOTTLENECK = (0, 1, 3, 5, 7, 11, 15, 19, 23, 33, 43)  # epochs at which sharpness is measured
SINGLE: Measures = {"connections": (1, 13, 43)}
NAMES = Run(rename, length=1).deficit  # other ones for the classes; so many tasks in 16 epochs
TURNS = [[(f"{NAMES}-{i + 1}", 16 * i // n, 16 // n) for i in range(n)] for n in (1, 2, 4, 8)]
ALONE: dict[str, Any] = {"seeds": FIRST, "controls": ("newborn",)}
THRICE = ALONE | {"seeds": range(3)}


BRIEF, LONG = (10, 25, 50, 100, 200, 400), 200  # epochs of a deficit in tiny
AGES = (0, 2, 5, 10, 20, 40, 80)  # at which one begins


def tiny() -> Parts:
    """By length from birth, by age at one length, and by recovery, of both sets of digits; then the
    whole grid of the mosaic and the other kinds on drawn ones."""
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


def by_length(kind: str, onset: int, dataset: str, lengths: Iterable[int] = BRIEF) -> Parts:
    """Runs of twenty seeds, with how many of its own images a network gets right when its deficit
    ends; and their controls."""
    how: dict[str, Any] = {"profile": "tiny", "dataset": dataset}
    runs = [Run(kind, onset, n, seed=seed, **how) for n in lengths for seed in range(20)]
    yield runs, {"own_images_right": tuple(sorted({run.end - 1 for run in runs}))}
    every = with_controls(runs, "equal_training", "without_window")
    yield [run for run in every if not run.length], ()


def simple(words: str, *runs: Run, measure: Measures = ()) -> Recipe:
    """A recipe of one part, with the same measurements on all runs."""
    return Recipe(words, lambda: [(runs, measure)])


RECIPES = {
    "course": Recipe("windows, deficits, schedules; seeds 0 to 4", course),
    "course_architectures": simple(
        "depths, ResNet-18, Adam",
        *grid("blur", THREE, (3, 4), **FIXED),
        *(run for n in (1, 2, 3) for run in grid("blur", THREE, FIRST, model=f"depth{n}", **FIXED)),
        *grid("blur", THREE, FIRST, optimizer="adam"),
        *grid("blur", THREE, FIRST, model="resnet18"),
    ),
    "course_controls": Recipe("newborns; depth, rate, size, weight decay", control_parts),
    "course_more_seeds": Recipe(
        "seeds 5 to 9; float32",
        lambda: (
            *ten_seeds(MORE),
            (grid("blur", [16], MORE, **FIXED), ()),
            (grid("blur", [16], MORE, model="resnet18"), ()),
            (grid("blur flip", (8, 16), TEN, arithmetic="float32"), ()),
            (grid("blur stripes", THREE, MORE), TRACE),
            (unrecovered("blur stripes", MORE), TRACE),
        ),
    ),
    "course_settings": simple(
        "blank without batch norm; SGD's rate and batches; perturbed weights; tasks of other names",
        *grid("blank", [16], model="plain", **ALONE),
        *(run for rate in (0.5, 2) for run in grid("blur", [16], rate=rate, **ALONE)),
        *(run for size in (64, 256) for run in grid("blur", [16], batch=size, **ALONE)),
        *(Run(onset=e, treatments=f"shrink-0.9@{e}", seed=s) for s in FIRST for e in (2, 24)),
        *(Run(onset=16, windows=turns, seed=seed) for seed in FIRST for turns in TURNS),
    ),
    "course_random": simple(
        "random labels learned by heart, then the true ones without and with Liu's cures",
        *(
            run
            for cures in ("decay-0@0 unaugmented@0", "decay-0@0+40 unaugmented@0+40")
            for run in grid("random_labels", [40], model="allcnn-32", treatments=cures, **THRICE)
        ),
    ),
    "course_pace": Recipe(
        "the paper's schedule, less and less compressed, and ladder D",
        lambda: (*pace_parts(), *onset_parts()),
    ),
    "course_recovery": Recipe(
        "16 epochs of a deficit, longer recoveries: ladder A, but for what other files have",
        lambda: [([r for r in runs if r.recovery != 15], m) for runs, m in recovery_parts()],
    ),
    "course_reopening": Recipe("treatments after 16 epochs of a deficit", course_reopening),
    "course_traces": Recipe(
        "Fisher traces and filters",
        lambda: (
            (grid("blur stripes", THREE, FIRST), TRACE),
            (grid(FOUR, [16], FIRST), TRACE),
            ([Run(onset=24, seed=seed) for seed in FIRST], TRACE),
            (unrecovered("blur flip stripes", FIRST), TRACE),
        ),
    ),
    "eyes": Recipe("two eyes, of which one is closed", eyes),
    "flagship": Recipe("three blocks at a rate that never changes", flagship),
    "fit": Recipe(
        "Fisher traces of a net that fits its images",
        lambda: (
            (grid("blur flip", (4, 8, 12, 24), FIRST, **FIT), TRACE),
            (grid("blur flip", [12], FIRST, optimizer="adam", **FIT), TRACE),
            (clock_running(grid("blur", (4, 8, 12, 24), FIRST, **FIT)), ()),
            (clock_running(grid("blur", [12], FIRST, optimizer="adam", **FIT)), ()),
            *normed("fit", 24),
        ),
    ),
    "fit_windows": simple(
        "windows of blur in that net",
        *grid("blur", [4], FIRST, (0, 2, 4, 6, 8, 12, 16, 20, 24), **FIT),
    ),
    "matched": Recipe(
        "a net that fits its images, at rates like its controls'",
        lambda: (*matched_parts(), *normed("matched", 16)),
    ),
    "fit_sharpness": simple(
        "sharpness and single connections along clear runs",
        *(Run(onset=24, seed=seed, **FIT) for seed in MORE),
        measure={"ending": BOTTLENECK, **SINGLE},
    ),
    "matched_random": simple(
        "random labels first, without and with weight decay",
        *(
            run
            for decay in (0, 0.01)
            for run in grid("random_labels", [40], weight_decay=decay, **ALONE, **MATCHED)
        ),
    ),
    "mnist": simple(
        "full connections, digits", *grid("blur flip", (4, 8, 16, 32), TEN, profile="mnist")
    ),
    "mnist_paper": Recipe(
        "the paper's MNIST at its own length: the trained part of ladder G",
        lambda: [(with_three([*DIGIT_RUNS.values()][:2], [0]), ()), *islice(digit_parts(), 1, 3)],
    ),
    "slim": Recipe("the paper at half its pixels and a third of its width", slim),
    "tiny": Recipe("twenty networks that learn few digits by heart", tiny),
    "practice": simple("what needs no download", *grid("blur", [16], range(3), dataset="practice")),
    "growth": Recipe("growth and pruning of synapses, and new weights", growth),
    "kernels": Recipe("pruning of kernels, and new weights", kernels),
    "shifted": Recipe(
        "growth and pruning on digits at random places",
        lambda: (
            (shifted := searches(FIRST, dataset="mnist_shifted"), ()),
            (retrainings(shifted, "biological random per_pixel", (0.02, 0.05, 0.1, 0.2)), ()),
        ),
    ),
    "saliency": Recipe("pruning of weights by Fisher information", saliency),
    "short_runs": Recipe("what consolidation needs, and draws of the trace", short_runs),
}
EVERY = EXHIBITS | LADDERS | RECIPES


def parts_of(name: str, profile: str = "paper") -> Parts:
    """The specs of an exhibit, a ladder or a shipped file with their measurements, the most
    valuable first. Raises: CplabError for an unknown name."""
    recipe = EVERY[one_of("name", name, EVERY)]
    return recipe.parts(profile) if name in EXHIBITS else recipe.parts()


def wanted() -> dict[Any, tuple[str, dict]]:
    """All specs of all shipped files, each with its file and its measurements."""
    files: dict[Any, tuple[str, dict]] = {}
    for name, recipe in RECIPES.items():
        for specs, measure in recipe.parts():
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
