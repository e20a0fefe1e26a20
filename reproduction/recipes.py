"""What can be trained: the paper's exhibits, at any size, and anew all that is shipped.

An exhibit is a figure or a claim of the paper. A shipped file is its own recipe: it holds the runs
and experiments with what was measured on them. What we expected of a set stands in forecasts.md.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any, NamedTuple

from cplab.base.errors import CplabError, one_of
from cplab.gallery import random_labels
from cplab.labs.lab00b import treated, wander
from cplab.results import Result, find
from cplab.results.store import archive, live_path, live_result, unflatten
from cplab.runs import DISTANCES, Run
from cplab.specs import Spec
from cplab.specs.experiments import Experiment
from cplab.specs.profiles import PROFILES, Profile
from reproduction import measurements as measurements
from reproduction import shipping

When = str | tuple[int, ...]  # something is measured: every epoch, at the end, or after some


class Part(NamedTuple):
    """Runs or experiments, and when each measurement is taken on them, by its name."""

    specs: list[Run | Experiment]
    measure: dict[str, When]
    path: bool = False  # whether their curves must say how far weights travel, as older ones do not

    def missing(self) -> list[Run | Experiment]:
        """Those that have no result yet, or none that says as much."""
        if not self.path:
            return [spec for spec in self.specs if not find(spec, self.measure)]
        return [spec for spec in self.specs if not has_path(spec)]


def has_path(spec: Spec) -> bool:
    """Whether a run has a result, shipped or live, whose curve says how far weights travel."""
    results = (find(spec), live_result(live_path(spec.key)))
    return any(result and DISTANCES[0] in result.curve[-1] for result in results)


# Exhibits -----------------------------------------------------------------------------------------

SEEDS = range(5)
ONCE = "figure1-once"  # the exhibit that an hour of one GPU trains at the paper's size
REMOVALS = tuple(range(0, 141, 20))  # epochs of the paper, as all that follow
FEW = (0, 40, 80, 140)
DEPTHS = (0, 40, 80, 120, 160, 240)


@dataclass(frozen=True)
class Exhibit:
    """Windows of deficits that are trained with all their controls. Lengths, onsets and the
    recovery are in epochs of the paper.

    conditions: other fields of its runs.
    """

    lengths: tuple[int, ...] = REMOVALS
    onsets: tuple[int, ...] = (0,)
    deficits: tuple[str, ...] = ("blur",)
    measure: dict[str, When] = field(default_factory=dict)
    conditions: dict[str, Any] = field(default_factory=dict)

    def parts(self, profile: str) -> Iterator[Part]:
        """Its runs at the size of a profile, seed by seed."""
        size = PROFILES[one_of("profile", profile, PROFILES)]
        conditions = self.conditions_at(size)
        onsets = scale(self.onsets, size)
        lengths = scale(self.lengths, size)
        for seed in SEEDS:
            runs: dict[Run, None] = {}  # in this order, each once
            for deficit, onset, length in product(self.deficits, onsets, lengths):
                run = Run(deficit, onset, length, profile=profile, seed=seed, **conditions)
                for control in (run, run.newborn(), run.equal_training(), run.without_window()):
                    runs[control] = None
            yield Part([*runs], self.measure)

    def conditions_at(self, size: Profile) -> dict[str, Any]:
        """The conditions at the size of a profile."""
        conditions = dict(self.conditions)
        if size.dataset == "practice":  # the only images that it has
            conditions.pop("dataset", None)
        if "recovery" in conditions:
            [recovery] = scale([conditions["recovery"]], size)
            conditions["recovery"] = max(1, recovery)
        return conditions


def scale(epochs: Iterable[int], size: Profile) -> list[int]:
    """Epochs of the paper as epochs of a profile, each once.

    >>> scale((0, 20, 40), PROFILES["course"])
    [0, 2, 4]
    """
    return [*dict.fromkeys(round(epoch / size.pace) for epoch in epochs)]


FIXED = {"schedule": "fixed"}
RESNET = {"model": "resnet18"}
DIGITS = {"model": "fc", "dataset": "mnist", "schedule": "fixed"}
TRACED = Exhibit(
    lengths=(30, 50, 70, 100, 220),
    measure={"trace": "every", "ending": "end"},  # along a run, and after it
    conditions={"recovery": 100},
)
BY_SCHEDULE = Exhibit(lengths=FEW, deficits=("blur", "flip"))
EXHIBITS = {
    "figure1-removal": Exhibit(),
    "figure1-window": Exhibit(lengths=(40,), onsets=REMOVALS),
    "figure2-flip": Exhibit(deficits=("flip",)),
    "figure2-labels": Exhibit(deficits=("permute",)),
    "figure2-noise": Exhibit(deficits=("noise",), lengths=(*REMOVALS, 160)),
    "figure3-fixed": Exhibit(lengths=(0, 40, 80, 120, 160, 240, 320, 400), conditions=FIXED),
    "figure3-resnet": Exhibit(lengths=(*REMOVALS, 160, 180), conditions=RESNET),
    "figure3-fc": Exhibit(lengths=(*FEW, 240, 360, 480), conditions=DIGITS),
    "figure3-depth1": Exhibit(lengths=DEPTHS, conditions={"model": "depth1", **FIXED}),
    "figure3-depth2": Exhibit(lengths=DEPTHS, conditions={"model": "depth2", **FIXED}),
    "figure3-depth3": Exhibit(lengths=DEPTHS, conditions={"model": "depth3", **FIXED}),
    "poster-adam": Exhibit(lengths=FEW, conditions={"optimizer": "adam"}),
    "figure4-trace": TRACED,
    "figure4-resnet": replace(TRACED, conditions={"recovery": 100, **RESNET}),
    "figure4-window": Exhibit(lengths=(60,), onsets=REMOVALS),
    "figure4-windows-resnet": Exhibit(lengths=(40, 60), onsets=REMOVALS, conditions=RESNET),
    "figure5": replace(TRACED, lengths=(40, 100), deficits=("blur", "flip")),
    "schedule-paper": replace(BY_SCHEDULE, conditions={"schedule": "paper"}),
    "schedule-fixed": replace(BY_SCHEDULE, conditions={"schedule": "fixed"}),
    "schedule-recovery": replace(BY_SCHEDULE, conditions={"schedule": "recovery"}),
    "momentum": Exhibit(lengths=FEW, conditions={"momentum": 0}),
}


def figure1_once(profile: str) -> Iterator[Part]:
    """Figure 1 with one seed, what is worth most first: the clear run, which has the newborn and
    each equal training on its way; the blurred trunk, then what branches from it, the latest first;
    a flip."""
    size = PROFILES[one_of("profile", profile, PROFILES)]
    blurred = [
        Run("blur", 0, length, profile=profile) for length in scale((140, 100, 60, 40), size)
    ]
    newborn = blurred[0].newborn()
    yield Part([newborn, *(run.equal_training() for run in blurred)], {})
    yield Part([*blurred], {})
    yield Part([blurred[0].replace(deficit="flip")], {})


# Studies ------------------------------------------------------------------------------------------

# What is done when a deficit ends: nothing, steps of one length, the last layer shrunk
STEPS = ("", "gradient-0.5", "gradient-1", "gradient-2", "soften-0.25")
OWN_RIGHT: dict[str, When] = {"own_images_right": "end"}


def blurred_digits(dataset: str) -> Run:
    """The blurred run of lab 00, on drawn digits or mnist."""
    return Run("mosaic", length=200, profile="tiny", dataset=dataset)


def blurred_photographs(length: int = 16) -> Run:
    """A run of three blocks that is blurred from birth."""
    return Run("blur", length=length, model="depth3", schedule="fixed", recovery=60)


def with_controls(blurred: Run, seed: int) -> list[Run | Experiment]:
    """A blurred run of a seed, and a flip, clear epochs instead, and a newborn, treated alike."""
    run = blurred.replace(seed=seed)
    return [run, run.replace(deficit="flip"), run.equal_training(), run.newborn()]


def steps_of_digits() -> Iterator[Part]:
    """Steps of one length after a blur of digits, forty seeds."""
    for dataset in ("drawn", "mnist"):
        runs: list[Run | Experiment] = []
        for treatment, seed in product(STEPS, range(40, 80)):
            runs += with_controls(treated(blurred_digits(dataset), treatment), seed)
        yield Part(runs, OWN_RIGHT)


def steps_of_photographs() -> Iterator[Part]:
    """The same after a blur of photographs, eight seeds, norm by norm."""
    for treatment, seed in product(("gradient-2", "gradient-1", "gradient-4"), range(10, 18)):
        yield Part(with_controls(treated(blurred_photographs(), treatment), seed), OWN_RIGHT)


def steps_at_full_size() -> Iterator[Part]:
    """Steps of one length after a blur of all photographs at all their pixels, in the width of the
    paper, three seeds: for a large GPU."""
    full = blurred_photographs().replace(profile="paper")
    for seed, treatment in product(range(3), ("", "gradient-2")):
        yield Part(with_controls(treated(full, treatment), seed), {})


def exchange_after_48() -> Iterator[Part]:
    """Other photographs after 48 epochs of blur, of a flip, and of clear images, five seeds. The
    same with their own photographs ships."""
    for seed in range(15, 20):
        yield Part(with_controls(treated(blurred_photographs(48), "other"), seed), {})


# How far networks travel --------------------------------------------------------------------------

NORMS = ("0.05", "0.1", "0.2", "0.3", "0.5", "1", "2")
PATH_SEEDS = range(20, 40)
TAUGHT = "gradient-0.5@200+50"


def of_seeds(runs: Iterable[Run], seeds: Iterable[int] = PATH_SEEDS) -> list[Run | Experiment]:
    """Blurred runs of some seeds, with a flip, clear epochs instead, and a newborn, treated
    alike."""
    return [spec for run, seed in product(runs, seeds) for spec in with_controls(run, seed)]


def distance_of_digits() -> Iterator[Part]:
    """How far networks travel after a blur of digits: by time, by the length of steps, and on paths
    that teach nothing."""
    for dataset in ("drawn", "mnist"):
        blurred = blurred_digits(dataset)
        runs = [blurred.replace(recovery=1000)]
        for norm in NORMS:
            recovery = 300 if norm in ("0.05", "0.1") else 100
            runs.append(treated(blurred.replace(recovery=recovery), f"gradient-{norm}"))
        yield Part(of_seeds(runs), OWN_RIGHT, path=True)
    for dataset in ("drawn", "mnist"):
        ways = ways_of_50_epochs(dataset).values()
        specs = [spec for seed in PATH_SEEDS for spec in blur_and_flip(ways, seed)]
        yield Part(specs, OWN_RIGHT, path=True)


def ways_of_50_epochs(dataset: str) -> dict[str, Run]:
    """Blurred runs of digits with three ways to spend the first 50 epochs after the blur, with
    steps of one length: on one's own digits, on random labels of them, and in random directions."""
    run = blurred_digits(dataset).replace(recovery=150)
    return {
        "on true labels": run.replace(treatments=TAUGHT),
        "on random labels": run.replace(treatments=TAUGHT, windows=[(random_labels, 200, 50)]),
        "in random directions": run.replace(treatments=[(wander, 200, 50)]),
    }


def temperature_of_digits() -> Iterator[Part]:
    """A temperature that stays after a blur of digits, also with steps of one length."""
    lengths = ("", "gradient-0.5", "gradient-1", "gradient-2")
    for dataset in ("drawn", "mnist"):
        runs = []
        for temperature, length in product(("temper-10", "temper-4"), lengths):
            runs.append(treated(blurred_digits(dataset), f"{temperature} {length}"))
        yield Part(of_seeds(runs), OWN_RIGHT, path=True)


def transplants() -> Iterator[Part]:
    """All layers but one or two set back to birth when a blur of digits ends."""
    for dataset in ("drawn", "mnist"):
        runs = []
        for layers in ("2 3", "1 3", "1 2", "3", "2", "1"):
            resets = " ".join(f"reset-{layer}" for layer in layers.split())
            runs.append(treated(blurred_digits(dataset), resets))
        yield Part(of_seeds(runs), OWN_RIGHT)


def how_special() -> Iterator[Part]:
    """Lab 00 with other lengths, rates, widths and numbers of digits; what cures it there, and the
    same blur later."""
    blurred = blurred_digits("drawn")
    variants = [blurred.replace(length=length) for length in (25, 50, 100, 200, 400)]
    variants += [
        blurred.replace(rate=0.3),
        blurred.replace(rate=0.3, length=600, recovery=300),
        blurred.replace(model="mlp2-32"),
        blurred.replace(images=1000),
        blurred.replace(model="mlp2-256"),
    ]
    for run in variants:
        late = run.replace(onset=240 if run.length == 600 else 80)
        runs = [run, run.newborn(), late, late.without_window()]
        # A step of norm 1 at a rate of 0.3 would be shorter
        for treatment in ("other", f"gradient-{1 / run.rate:.3g}", "temper-10"):
            runs += [treated(run, treatment), treated(run, treatment).replace(deficit="flip")]
        specs: list[Run | Experiment] = []
        for each, seed in product(runs, PATH_SEEDS):
            specs.append(each.replace(seed=seed))
        yield Part(specs, {"own_images_right": (run.length - 1,)})


def distance_of_photographs() -> Iterator[Part]:
    """How far networks travel after a blur of photographs, and at a temperature, the most valuable
    first."""
    blurred = blurred_photographs()
    usual_seeds = (5, 6, 7, 8, 9, 20, 21, 22)  # which ship from a CPU
    short = treated(blurred.replace(recovery=120), "gradient-1")
    double = treated(blurred, "gradient-2")
    # What ships has no path, which differs little between seeds
    yield Part(blur_and_flip([blurred], 5), {}, path=True)
    yield Part(blur_and_flip([short, double], 10), {}, path=True)
    for run, seeds in (
        (short, range(11, 18)),
        (treated(blurred, "temper-10"), range(10, 18)),
        (blurred, (6, 7)),
        (double, (11, 12)),
        (treated(blurred, "temper-4"), range(10, 18)),
    ):
        for seed in seeds:
            yield Part(blur_and_flip([run], seed), {}, path=True)
    for seed in range(10, 18):
        yield Part(with_controls(short, seed), {}, path=True)
        yield Part(with_controls(treated(blurred, "temper-10"), seed), {}, path=True)
    for seed in usual_seeds:
        yield Part(with_controls(blurred, seed), {}, path=True)
    for seed in range(15, 20):
        yield Part(blur_and_flip([blurred_photographs(48)], seed), {}, path=True)
        late = blurred.replace(onset=24)
        yield Part([late.replace(seed=seed), late.without_window().replace(seed=seed)], {}, True)
        yield Part(blur_and_flip([blurred.replace(model="depth2")], seed), {}, path=True)


def blur_and_flip(runs: Iterable[Run], seed: int) -> list[Run | Experiment]:
    """Blurred runs of a seed, and each with a flip instead."""
    specs: list[Run | Experiment] = []
    for run in runs:
        specs += [run.replace(seed=seed), run.replace(seed=seed, deficit="flip")]
    return specs


def small_photographs() -> Iterator[Part]:
    """The networks of lab 02 that a student trains beside: the same blur early and late, at half
    the width, forty seeds; a flip, noise, and a single block, ten seeds."""
    early = Run("blur", length=16, profile="small")
    late = early.replace(onset=24)
    for seed in range(40):
        yield beside_twins([early, late], seed)
    others = [early.replace(deficit="flip"), early.replace(deficit="noise")]
    for seed in range(10):
        yield beside_twins([*others, early.replace(model="depth1")], seed)


def beside_twins(runs: Iterable[Run], seed: int) -> Part:
    """Runs of a seed, and each without its deficit."""
    of_seed = [run.replace(seed=seed) for run in runs]
    return Part([*of_seed, *dict.fromkeys(run.without_window() for run in of_seed)], {})


STUDIES = {
    "steps-digits": steps_of_digits,
    "steps-photographs": steps_of_photographs,
    "steps-full-size": steps_at_full_size,
    "exchange-48": exchange_after_48,
    "distance-digits": distance_of_digits,
    "temperature-digits": temperature_of_digits,
    "transplants": transplants,
    "how-special": how_special,
    "distance-photographs": distance_of_photographs,
    "small-photographs": small_photographs,
}

# Shipped files ------------------------------------------------------------------------------------


def shipped(name: str) -> Iterator[Part]:
    """What a shipped file holds, in the versions of today, by what was measured on it."""
    # By the JSON of a measure
    specs_by_measure: dict[str, list[Run | Experiment]] = defaultdict(list)
    for key, place in archive().places.items():
        if place.file == f"{name}.parquet":
            result = read_as_of_today(key)
            measure = {}
            for measurement, by_epoch in result.measured.items():
                measure[measurement] = when_measured(result.spec, *by_epoch)
            specs_by_measure[json.dumps(measure)].append(result.spec)
    for text, specs in specs_by_measure.items():
        yield Part([*dict.fromkeys(specs)], json.loads(text))


def read_as_of_today(key: str) -> Result:
    """Read a shipped result, and give its spec the version that it would have if trained today."""
    row = archive().row(key)
    spec = json.loads(row["spec"] or "{}", object_hook=with_version_of_today)
    return unflatten(with_version_of_today(row) | {"spec": json.dumps(spec)})


def with_version_of_today(plain: dict[str, Any]) -> dict[str, Any]:
    """A run or an experiment as plain data, in today's version; any other dict as it is."""
    if "version" not in plain:
        return plain
    if plain["kind"] == "Run":
        return plain | {"version": Run.version}
    return plain | {"version": Experiment(plain["kind"], 1).function.version}


def when_measured(spec: Spec, *epochs: int) -> When:
    """The epochs after which a run was measured, or every, or end.

    >>> when_measured(Run(recovery=2), 0, 1), when_measured(Run(recovery=2), 1)
    ('every', 'end')
    """
    last = getattr(spec, "epochs", 1) - 1
    if epochs == tuple(range(last + 1)):
        return "every"
    return "end" if epochs == (last,) else epochs


def file_names() -> list[str]:
    """The shipped files, without their suffix."""
    return sorted(file.removesuffix(".parquet") for file in archive().contents)


# Recipes ------------------------------------------------------------------------------------------


def recipe_names() -> list[str]:
    """What has a recipe: exhibits, studies and shipped files."""
    return [ONCE, *EXHIBITS, *STUDIES, *file_names()]


def parts_of(name: str, profile: str = "paper") -> Iterator[Part]:
    """The specs of an exhibit, a study or a shipped file with their measurements, the most valuable
    first.

    Raises:
        CplabError: for an unknown name.
    """
    one_of("name", name, recipe_names())
    if name == ONCE:
        return figure1_once(profile)
    if name in EXHIBITS:
        return EXHIBITS[name].parts(profile)
    if name in STUDIES:
        return STUDIES[name]()
    return shipped(name)


def ship_again(name: str) -> str:
    """Add what was trained anew of a shipped file to it. Returns a line that says what was written.

    Raises:
        CplabError: where some of it is missing.
    """
    one_of("shipped file", name, file_names())
    results = []
    missing = 0
    for part in shipped(name):
        for spec in part.specs:
            result = find(spec, part.measure)
            if result:
                results.append(result)
            else:
                missing += 1
    if missing:
        raise CplabError(
            f"{missing} of {len(results) + missing} results of {name} are missing: first run "
            f"`python -m reproduction train {name}`"
        )
    return f"{shipping.ship(results, name)}: {len(results)} results"
