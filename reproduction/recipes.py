"""How everything that is shipped was asked for: specs and measurements, file by file.

A recipe has the name of the file in cplab/shipped that its results are kept in. What two recipes
name stands in the file of the first. `compute` gives the results of a recipe, looked up or trained;
`ship_recipe` writes them into its file. The runs alone took about 22 hours of one core.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from cplab.errors import CplabError, one_of
from cplab.gallery import mirror
from cplab.measure import parse_measures
from cplab.results import Result, every_result, find, ship, sweep
from cplab.runs import Run
from cplab.studies.pruning import (
    DENSITIES,
    MATERIALS,
    ORIGINS,
    KernelSplit,
    OneShot,
    Pruned,
    Retraining,
    Search,
)
from cplab.studies.reopening.paths import LinearPath
from reproduction.campaign import FIXED, TRACE, prunings, splits
from reproduction.ladders import LADDERS, lives

Measures = tuple[str, ...] | Mapping[str, Any]  # names, or by name when
Parts = Iterable[tuple[list, Measures]]  # specs, and what is measured on them

ONSETS = (0, 2, 4, 8, 12, 16, 24)
LENGTHS = (2, 4, 8, 12, 16, 24)
ENDS = (4, 8, 16)
FOUR = ("blur", "flip", "noise", "permute")
FIRST, MORE, TEN = range(5), range(5, 10), range(10)  # seeds
KERNEL_SEEDS = range(6)
SAME_RATIO = ((15, 60), (10, 40), (5, 20), (2, 6), (1, 4))  # kernels, as 16 to 64


# Seeds of forecasts I to L and O that are trained: norms and certainty by profile, digits at random
# places, splits of one ratio, new statistics. To go on, raise them, compute, and ship.
NORMED = {"course": range(5), "fit": range(5), "matched": range(5)}
SHIFTED, RATIO, RECALIBRATED = range(5), range(6), range(10)
MATCHED = range(10)  # seeds of ladder E
NORMS: dict[str, dict] = {
    "course": {"jacobian": (3, 7, 11, 14, 15, 18, 22, 30), "blurred": (14, 15, 30)},
    "fit": {"jacobian": (3, 7, 11, 15, 23, 43), "blurred": (23, 43)},
    "matched": {"jacobian": (3, 7, 11, 13, 15, 19, 23, 27, 31, 35)},
}


@dataclass(frozen=True)
class Recipe:
    """What a shipped file holds.

    parts: gives specs with the measurements that they have; some are known only once others are
        there.
    """

    name: str
    words: str
    parts: Callable[[], Parts]


def course() -> Parts:
    yield lives(["blur"], LENGTHS, range(3), ONSETS), ()
    yield from ten_seeds(FIRST)
    for schedule in ("paper", "fixed"):
        yield lives(("blur", "flip"), ENDS, range(3), schedule=schedule), ()
    yield clock_running(lives(["blur"], ENDS, range(3), schedule="paper")), ()
    yield from normed("course", 16)


def normed(profile: str, length: int) -> Parts:
    """Lives without a deficit, blurred and flipped, with norms, Jacobian and accuracy on blur."""
    how = {"profile": profile}
    runs = [
        run
        for seed in NORMED[profile]
        for run in (
            Run(onset=length, seed=seed, **how),
            *(Run(deficit, 0, length, seed=seed, **how) for deficit in ("blur", "flip")),
            *([Run(seed=seed)] if profile == "course" else ()),
        )
    ]
    yield runs, {"weight_norms": "every", **NORMS[profile]}


def ten_seeds(seeds) -> Parts:
    """What there are ten seeds of, five in a file."""
    yield lives(["blur"], [8], seeds, ONSETS), ()
    yield lives(FOUR, LENGTHS, seeds), ()
    yield lives(("blank", "fresh_noise"), ENDS, seeds), ()


def architectures() -> Parts:
    yield lives(["blur"], ENDS, (3, 4), **FIXED), ()
    for model in ("depth1", "depth2", "depth3"):
        yield lives(["blur"], ENDS, FIRST, model=model, **FIXED), ()
    yield lives(["blur"], ENDS, FIRST, optimizer="adam"), ()
    yield lives(["blur"], ENDS, FIRST, model="resnet18"), ()


def more_seeds() -> Parts:
    yield from ten_seeds(MORE)
    yield lives(["blur"], [16], MORE, **FIXED), ()
    yield lives(["blur"], [16], MORE, model="resnet18"), ()
    yield lives(("blur", "flip"), (8, 16), TEN, arithmetic="float32"), ()
    yield lives(("blur", "stripes"), ENDS, MORE), TRACE
    yield unrecovered(("blur", "stripes"), MORE), TRACE


def course_traces() -> Parts:
    yield lives(("blur", "stripes"), ENDS, FIRST), TRACE
    yield lives(FOUR, [16], FIRST), TRACE
    yield [Run(onset=24, seed=seed) for seed in FIRST], TRACE
    yield unrecovered(("blur", "flip", "stripes"), FIRST), TRACE


def unrecovered(deficits, seeds) -> list[Run]:
    """Lives that end with the deficit, and clear ones as long."""
    runs = [Run(deficit, 0, 16, recovery=0, seed=seed) for deficit in deficits for seed in seeds]
    return [*dict.fromkeys([*runs, *(run.equal_training() for run in runs)])]


def clock_running(some: list[Run]) -> list[Run]:
    """The second control of lives whose rates fall: the window passes, with nothing trained."""
    return [run.without_window("running") for run in some if run.length]


def fit() -> Parts:
    yield lives(("blur", "flip"), (4, 8, 12, 24), FIRST, profile="fit"), TRACE
    yield lives(("blur", "flip"), [12], FIRST, profile="fit", optimizer="adam"), TRACE
    yield clock_running(lives(["blur"], (4, 8, 12, 24), FIRST, profile="fit")), ()
    yield from normed("fit", 24)


def fit_windows() -> Parts:
    yield lives(["blur"], [4], FIRST, (0, 2, 4, 6, 8, 12, 16, 20, 24), profile="fit"), ()


def mnist() -> Parts:
    yield lives(("blur", "flip"), (4, 8, 16, 32), TEN, profile="mnist"), ()


def practice() -> Parts:
    yield lives(["blur"], [16], range(3), dataset="practice"), ()


def growth() -> Parts:
    digits, adam = searches(TEN), searches(FIRST, optimizer="adam")
    clothes, mixed = searches(TEN, dataset="fashion_mnist"), searches(TEN, mixed=0.15)
    yield (
        [*digits, *adam, *clothes, *mixed, *searches(range(3), rounding="up", output="pruned")],
        (),
    )
    yield retrainings(digits, ORIGINS), ()
    for group in (adam, digits[:5]):
        yield retrainings(group, ("biological", "random", "per_pixel"), optimizer="adam"), ()
    for group, kinds in (
        (clothes, ("biological", "random", "dense")),
        (digits, ("biological", "per_pixel")),
        (mixed, ("biological",)),
    ):
        yield retrainings(group, kinds, dataset="fashion_mnist"), ()
    yield [OneShot(seed=seed) for seed in TEN], ()  # which the kind `magnitude` begins with


def searches(seeds, **fields) -> list[Search]:
    return [Search(seed=seed, **fields) for seed in seeds]


def retrainings(found: list[Search], kinds, densities=DENSITIES, **fields) -> list[Retraining]:
    """New weights for each kind of architecture of some searches, at some densities."""
    return [
        Retraining(kind, density, search, **fields)
        for kind in kinds
        for density in ((1.0,) if kind == "dense" else densities)
        for search in found
    ]


def shifted() -> Parts:
    found = searches(SHIFTED, dataset="mnist_shifted")
    yield found, ()
    some = (0.02, 0.05, 0.1, 0.2)
    yield retrainings(found, ("biological", "random", "per_pixel"), densities=some), ()


def kernels() -> Parts:
    yield [spec for seed in KERNEL_SEEDS for spec in prunings("course", seed)], ()
    yield [s for seed in KERNEL_SEEDS for s in splits("course", seed, MATERIALS, draws=3)], ()
    yield [KernelSplit("course", *kept, seed) for kept in SAME_RATIO for seed in RATIO], ()


def saliency() -> Parts:
    whole = Pruned()
    kept = [
        replace(whole, metric=metric, density=density)
        for metric in ("fisher", "magnitude", "random")
        for density in (0.8, 0.5, 0.2, 0.1, 0.05)
    ]
    later = [
        replace(one, deficit=deficit, length=8, recovery=10)
        for one in (whole, *(replace(whole, metric="fisher", density=d) for d in (0.2, 0.05)))
        for deficit in ("none", "blur")
    ]
    yield [replace(one, seed=seed) for one in (whole, *kept, *later) for seed in TEN], ()
    again = [replace(one, recalibrated=True) for one in kept]
    yield [replace(one, seed=seed) for one in again for seed in RECALIBRATED], ()


EYES = ("eye_shares", "each_eye")
WORSE_OFF = "strabismus:right", "blur:right", "fresh_noise:right", "blur", "blank"


def closed(deficit="blank:right", length=8, **fields) -> list[Run]:
    """Lives of a network with two eyes, of which one is closed, or worse off, for a while."""
    how = {"model": "eyes", "length": length, **fields}
    return [Run(deficit=deficit, seed=seed, **how) for seed in FIRST]


def patched(dose: int) -> list[Run]:
    return closed(windows=(("blank:left", 8, dose),))


def with_controls(some: list[Run]) -> list[Run]:
    return [*some, *(run.without_window() for run in some)]


def eyes() -> Parts:
    """The right eye closed for a while, early and late, and worse off in other ways; both of them;
    the left one patched."""
    doses = [run for dose in (4, 8, 12) for run in patched(dose)]
    yield with_controls([*closed(), *closed(length=4), *closed(length=16), *doses]), EYES
    yield with_controls([run for onset in (4, 8, 16) for run in closed(onset=onset)]), EYES
    yield [run for how in WORSE_OFF for run in closed(how)], EYES


LONGER = (30, 60, 120, 240)  # epochs of recovery


def course_recovery() -> Parts:
    """Ladder A, but for the recovery that other files have."""
    yield [run for run in LADDERS["A"].specs() if run.recovery in LONGER], ()


SECOND = ("none", 0), ("blur", 60), ("blur", 140)  # deficits of ladder C's second seed, and ends


def slim() -> Parts:
    """Of ladder C what is trained: its first seed, but for the control whose clock runs on, and
    some of its second."""
    for specs, measure in LADDERS["C"].parts():
        there = (r for r in specs if r.seed == 0 or (r.deficit, r.end) in SECOND)
        yield [run for run in there if not run.skipped], measure


def matched() -> Parts:
    """Ladder E, of the seeds that are trained."""
    for specs, measure in LADDERS["E"].parts():
        yield [run for run in specs if run.seed in MATCHED], measure
    yield from normed("matched", 16)


GAUGES = {"gauges": (0, 3, 7, 11, 15, 16, 18, 22, 26, 30)}  # epochs, as labs/09 shows them
HALVES = "shrink-0.4", "rate-3"  # of a dissociation, beside renorm
# Seeds of forecast H that are trained; to go on, add to them, compute, and ship.
TREATED = {
    ("noise", "renorm@16"): TEN,
    ("blur", "renorm@16"): TEN,
    ("noise", "shrink-1@16"): range(5, 7),
    ("blur", "shrink-1@16"): range(5, 7),
    ("noise", "held@0"): range(5),
    **{(name, f"{kind}@16"): range(5) for name in ("blur", "noise") for kind in HALVES},
    **{("blur", f"shrink-{kept}@16"): range(3) for kept in (0.8, 0.6, 0.2)},
    ("blur", "rate-2@16"): range(3),
    ("blur", "decay-5@16"): range(3),
}
EQUAL = dict.fromkeys(("renorm@16", "shrink-0.4@16", "rate-3@16"), range(5))
EARLY = dict.fromkeys(("decay-0@0+8", "images-0.5@0+8", "unaugmented@0+8"), range(5))
LATE = range(3)  # what is missing later, or ever; a warm start that is shrunk
FASHION = range(3)
SHARPER = range(5)
PATHS = {"blur": range(5), "noise": range(1, 5), mirror: range(5)}


def course_reopening() -> Parts:
    """Treated lives and newborns that were treated alike; equal training that was; renorm on a
    second set of images; lives in which something is missing only early; paths to a twin."""
    lives_of = [treated(*what, seed) for what, seeds in TREATED.items() for seed in seeds]
    every = [one for run in lives_of for one in (run, run.newborn())]
    every += [
        treated("blur", kind, seed).equal_training()
        for kind, seeds in EQUAL.items()
        for seed in seeds
    ]
    yield [run for run in dict.fromkeys(every) if run.treatments], GAUGES
    yield [Run(onset=8, treatments=k, seed=s) for k, seeds in EARLY.items() for s in seeds], ()
    late = ("decay-0@8", "decay-0@0", "unaugmented@8", "unaugmented@0")
    kinds = (*late, "images-0.5@0+8 shrink-0.4@8")
    yield [Run(onset=8, treatments=kind, seed=seed) for kind in kinds for seed in LATE], ()
    clothes = {"dataset": "fashion_mnist"}
    renormed = [treated(d, "renorm@16", s, **clothes) for s in FASHION for d in ("noise", "blur")]
    pairs = [one for run in renormed for one in (run, run.untreated())]
    yield [*dict.fromkeys(life for one in pairs for life in (one, one.newborn()))], GAUGES
    windows = "blur-8@0+4 blur-4@4+4 blur-2@8+4"
    yield [Run(onset=16, windows=windows, seed=seed) for seed in SHARPER], ()
    yield [LinearPath(d, length=16, seed=seed) for d, seeds in PATHS.items() for seed in seeds], ()


def treated(deficit: str, kind: str, seed: int, **fields) -> Run:
    return Run(deficit, 0, 16, seed=seed, treatments=kind, **fields)


FLAGSHIP: dict[str, Any] = {"model": "depth3", **FIXED, "recovery": 60}


def flagship() -> Parts:
    """Three blocks at a rate that never changes: what is shipped of forecast Q, whatever seeds and
    windows that are by now; more of it comes into the same file."""
    yield [r.spec for r in every_result("Run", "shipped") if is_flagship(r.spec)], ()


def is_flagship(run: Run) -> bool:
    if run.recovery != FLAGSHIP["recovery"]:
        return False
    return replace(run, deficit="none", onset=0, length=0, seed=0) == Run(**FLAGSHIP)


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("course", "windows, deficits, schedules; seeds 0 to 4", course),
        Recipe("course_architectures", "depths, ResNet-18, Adam", architectures),
        Recipe("course_controls", "newborns; depth, rate, size, weight decay", LADDERS["F"].parts),
        Recipe("course_more_seeds", "seeds 5 to 9; float32", more_seeds),
        Recipe("course_pace", "the paper's schedule, less and less compressed", LADDERS["B"].parts),
        Recipe("course_recovery", "16 epochs of a deficit, longer recoveries", course_recovery),
        Recipe("course_reopening", "treatments after 16 epochs of a deficit", course_reopening),
        Recipe("course_traces", "Fisher traces and filters", course_traces),
        Recipe("eyes", "two eyes, of which one is closed", eyes),
        Recipe("flagship", "three blocks at a rate that never changes", flagship),
        Recipe("fit", "Fisher traces of a net that fits its images", fit),
        Recipe("fit_windows", "windows of blur in that net", fit_windows),
        Recipe("matched", "a net that fits its images, at rates like its controls'", matched),
        Recipe("mnist", "full connections, digits", mnist),
        Recipe("slim", "the paper at half its pixels and a third of its width", slim),
        Recipe("practice", "what needs no download", practice),
        Recipe("growth", "growth and pruning of synapses, and new weights", growth),
        Recipe("kernels", "pruning of kernels, and new weights", kernels),
        Recipe("shifted", "growth and pruning on digits at random places", shifted),
        Recipe("saliency", "pruning of weights by Fisher information", saliency),
    )
}


def wanted() -> dict[Any, tuple[str, dict]]:
    """All specs of all recipes, with the file that each stands in and what is measured on it."""
    found: dict[Any, tuple[str, dict]] = {}
    for recipe in RECIPES.values():
        for specs, measure in recipe.parts():
            for spec in specs:
                file, measured = found.get(spec, (recipe.name, {}))
                found[spec] = file, measured | parse_measures(measure)
    return found


def owned(name: str) -> dict[Any, dict]:
    """The specs that stand in the file of a recipe, as far as they are known, with what is measured
    on each. Raises: CplabError for an unknown recipe."""
    one_of("recipe", name, RECIPES)
    return {spec: measure for spec, (file, measure) in wanted().items() if file == name}


def compute(name: str, **how) -> list[Result]:
    """The results of a recipe, in the order of its file; what is missing is trained.

    Arguments: how, device, workers, stop and progress, as in cplab.sweep.
    """
    while True:  # some specs are known only once others are there
        mine = owned(name)
        missing = [spec for spec, measure in mine.items() if find(spec, measure) is None]
        for measure in {repr(mine[spec]): mine[spec] for spec in missing}.values():
            sweep([spec for spec in missing if mine[spec] == measure], measure, **how)
        if not missing:
            return [found for spec, m in mine.items() if (found := find(spec, m))]


def ship_recipe(name: str) -> str:
    """Write the results of a recipe into its file. Returns a line that says what was done.

    Raises: CplabError where some of them are missing.
    """
    mine = owned(name)
    results = [found for spec, measure in mine.items() if (found := find(spec, measure))]
    if missing := len(mine) - len(results):
        raise CplabError(
            f"{missing} of {len(mine)} results of {name} are missing: first run "
            f"`python -m reproduction train {name}`"
        )
    return f"{ship(results, name)}: {len(results)} results"
