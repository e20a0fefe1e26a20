"""The campaign: all runs behind the paper's figures, in order of value, as much as fits in a time.

An exhibit is a figure or a claim and what it takes for one seed: runs, or studies of the thesis's
model. `work` computes what has no result yet until its time is up; what is broken off resumes from
its checkpoints in the cache. To go on elsewhere, copy the cache ($CPLAB_CACHE).
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from cplab import quantities
from cplab.errors import Cancelled, CplabError, one_of, whole
from cplab.profiles import PROFILES
from cplab.results import collect, estimate, find, store, tables
from cplab.runs import Run
from cplab.studies.pruning import MATERIALS, SIZES, KernelPruning, KernelSplit, random_split

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
                pairs.append(quantities.kernel_split(pruned, total))
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


def choose(names: list[str] | None) -> list[Exhibit]:
    """The exhibits of these names, all if there is none, in order of value."""
    for name in names or ():
        one_of("exhibit", name, EXHIBITS)
    return [exhibit for name, exhibit in EXHIBITS.items() if not names or name in names]


def groups(profile: str, names: list[str] | None = None) -> Iterator[tuple[Exhibit, int, list]]:
    """What there is to do, in order: one seed of everything, then the next.

    Yields: (exhibit, seed, its specs).
    Raises: CplabError for an unknown profile or exhibit.
    """
    one_of("profile", profile, PROFILES)
    wanted = choose(names)
    for seed in range(SEEDS):
        for exhibit in wanted:
            yield exhibit, seed, exhibit.of(profile, seed)


# Training ---------------------------------------------------------------------------------------


def work(
    budget: float,
    *,
    profile: str = "paper",
    exhibits: list[str] | None = None,
    device: str = "auto",
    cluster: str | None = None,
    stop: threading.Event | None = None,
    say: Callable[[str], None] = print,
) -> None:
    """Compute what is missing, in order, for so many seconds.

    Arguments:
        budget: seconds after which nothing new is begun; a batch or measurement under way is
            finished and a checkpoint left.
        profile, exhibits: as in groups.
        cluster: address of the Dask scheduler that trains; without it this machine does.
        stop: an Event that ends it earlier.
        say: called with one line on what was done, and on what could not be.
    Raises: CplabError for bad input.
    """
    stop = stop or threading.Event()
    timer = threading.Timer(whole("budget", budget, least=1), stop.set)
    timer.daemon = True
    timer.start()
    try:
        for exhibit, seed, specs in list(groups(profile, exhibits)):
            if missing := exhibit.missing(specs):
                if not stop.is_set():
                    compute(exhibit, seed, missing, device, cluster, stop, say)
                if stop.is_set():
                    say("stopped" if timer.is_alive() else "the time budget is exhausted")
                    return
        left = sum(len(exhibit.missing(specs)) for exhibit, _, specs in groups(profile, exhibits))
        say(f"{left} could not be computed, see above" if left else "all of it is done")
    finally:
        timer.cancel()


def compute(
    exhibit: Exhibit, seed: int, missing: list, device: str, cluster: str | None, stop, say
) -> None:
    """Results of some specs of an exhibit; what goes wrong is said, and others go on."""
    from tqdm import tqdm

    done = 0
    with tqdm(unit="epoch", desc=f"{exhibit.name}, seed {seed}", delay=0.01) as bar:
        context: dict[str, Any] = {"device": device, "client": cluster, "stop": stop}
        context |= {"workers": None if cluster else 1, "report": lambda spec, row: bar.update()}
        try:
            for _ in collect(missing, measure=exhibit.measure, **context):
                done += 1
        except Cancelled:
            pass
        except CplabError as error:  # diverged, or images that are not at hand
            say(f"{exhibit.name}, seed {seed}: {error}")
    say(f"{exhibit.name}, seed {seed}: {done} of {len(missing)} that were missing")


# How far it is ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Progress:
    """Of an exhibit: how many specs are done and missing; seconds that are left, None where no life
    of that size was measured; machine, on which it was."""

    exhibit: Exhibit
    done: int
    missing: int
    seconds: float | None
    machine: str = ""


def status(profile: str = "paper", exhibits: list[str] | None = None) -> Iterator[Progress]:
    """How far each exhibit is, and the time left by the lives that were measured: nothing is timed
    here."""
    one_of("profile", profile, PROFILES)
    for exhibit in choose(exhibits):
        every = [spec for seed in range(SEEDS) for spec in exhibit.of(profile, seed)]
        missing = exhibit.missing(every)
        sizes = {store.size_of(spec): spec for spec in missing}.values()
        machines = [measured_on(spec) for spec in sizes]
        seconds = None
        if all(machines):
            seconds = estimate(missing, measure=exhibit.measure) if missing else 0.0
        said = ", ".join(dict.fromkeys(filter(None, machines)))
        yield Progress(exhibit, len(every) - len(missing), len(missing), seconds, said)


def measured_on(spec: Any) -> str | None:
    """The machine whose lives say how long a spec takes, as `cplab.results.estimate` has it."""
    machines = Counter(timing.device for timing in tables.similar(spec))
    return machines.most_common(1)[0][0] if machines else None


def duration(seconds: float | None) -> str:
    """`2 h 05 min`, `3 min`, or `not known`."""
    if seconds is None:
        return "not known"
    minutes = -(-round(seconds) // 60)
    return f"{minutes // 60} h {minutes % 60:02} min" if minutes >= 60 else f"{minutes} min"
