"""What can be trained: the paper's exhibits, at any size, and anew all that is shipped.

An exhibit is a figure or a claim of the paper. A shipped file is its own recipe: it holds the runs
and experiments with what was measured on them. What we expected of a set stands in forecasts.md.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import product
from typing import Any

from cplab.errors import CplabError, one_of
from cplab.results import find, ship
from cplab.results.store import archive, unflatten
from cplab.runs import Run
from cplab.specs.experiments import find_function
from cplab.specs.profiles import PROFILES

Part = tuple[list, dict[str, Any]]  # specs, and what is measured on them, by name when
TRACE = {"trace": "every", "ending": "end"}  # measured along a run, and after it
FIXED: dict[str, Any] = {"schedule": "fixed"}
SEEDS = range(5)
ONCE = "figure1-once"  # the exhibit that an hour of one GPU trains at the paper's size

REMOVALS, FEW, DEPTHS = tuple(range(0, 141, 20)), (0, 40, 80, 140), (0, 40, 80, 120, 160, 240)
RESNET: dict[str, Any] = {"model": "resnet18"}
TRACED: dict[str, Any] = {"lengths": (30, 50, 70, 100, 220), "measure": TRACE, "recovery": 100}
DIGITS: dict[str, Any] = {"model": "fc", "dataset": "mnist", **FIXED}
EXHIBITS: dict[str, dict[str, Any]] = {  # what differs from blur until each of REMOVALS
    "figure1-removal": {},
    "figure1-window": {"lengths": (40,), "onsets": REMOVALS},
    "figure2-flip": {"deficits": ("flip",)},
    "figure2-labels": {"deficits": ("permute",)},
    "figure2-noise": {"deficits": ("noise",), "lengths": (*REMOVALS, 160)},
    "figure3-fixed": {"lengths": (0, 40, 80, 120, 160, 240, 320, 400), **FIXED},
    "figure3-resnet": {"lengths": (*REMOVALS, 160, 180), **RESNET},
    "figure3-fc": {"lengths": (*FEW, 240, 360, 480), **DIGITS},
    **{f"figure3-depth{n}": {"lengths": DEPTHS, "model": f"depth{n}", **FIXED} for n in (1, 2, 3)},
    "poster-adam": {"lengths": FEW, "optimizer": "adam"},
    "figure4-trace": TRACED,
    "figure4-resnet": TRACED | RESNET,
    "figure4-window": {"lengths": (60,), "onsets": REMOVALS},
    "figure4-windows-resnet": {"lengths": (40, 60), "onsets": REMOVALS, **RESNET},
    "figure5": TRACED | {"lengths": (40, 100), "deficits": ("blur", "flip")},
    **{
        f"schedule-{name}": {"lengths": FEW, "deficits": ("blur", "flip"), "schedule": name}
        for name in ("paper", "fixed", "recovery")
    },
    "momentum": {"lengths": FEW, "momentum": 0},
}


def exhibit(
    profile: str, lengths=REMOVALS, onsets=(0,), deficits=("blur",), measure=None, **fields
) -> Iterator[Part]:
    """Windows of deficits with all their controls, seed by seed; lengths, onsets and the recovery
    are in epochs of the paper. The ci profile has practice images alone."""
    size = PROFILES[one_of("profile", profile, PROFILES)]

    def scale(epochs: Iterable[int]) -> list[int]:
        return [*dict.fromkeys(round(e / size.pace) for e in epochs)]

    if size.dataset == "practice":
        fields.pop("dataset", None)
    if "recovery" in fields:
        fields["recovery"] = max(1, *scale([fields["recovery"]]))
    places = [*product(deficits, scale(onsets), scale(lengths))]
    for seed in SEEDS:
        runs = [Run(*place, profile=profile, seed=seed, **fields) for place in places]
        groups = ((r, r.newborn(), r.equal_training(), r.without_window()) for r in runs)
        yield [*dict.fromkeys(run for group in groups for run in group)], measure or {}


def figure1_once(profile: str) -> Iterator[Part]:
    """Figure 1 with one seed, what is worth most first: the clear run, which has the newborn and
    each equal training on its way; the blurred trunk, then what branches from it, the latest first;
    a flip."""
    size = PROFILES[one_of("profile", profile, PROFILES)]
    blurred = [Run("blur", 0, round(n / size.pace), profile=profile) for n in (140, 100, 60, 40)]
    yield [blurred[0].newborn(), *(run.equal_training() for run in blurred)], {}
    yield blurred, {}
    yield [blurred[0].replace(deficit="flip")], {}


def shipped(name: str) -> Iterator[Part]:
    """What a shipped file holds, in the versions of today, by what was measured on it."""
    parts: dict[str, list] = defaultdict(list)
    for key, (file, _) in archive().places.items():
        if file == f"{name}.parquet":
            row = archive().row(key)
            given = json.loads(row["spec"] or "{}", object_hook=of_today)
            result = unflatten(of_today(row) | {"spec": json.dumps(given)})
            when = {n: when_measured(result.spec, *rows) for n, rows in result.measured.items()}
            parts[json.dumps(when)].append(result.spec)
    for when, specs in parts.items():
        yield [*dict.fromkeys(specs)], json.loads(when)


def of_today(plain: dict[str, Any]) -> dict[str, Any]:
    """A run or an experiment as plain data, in the version that it would have if trained today."""
    if "version" not in plain:  # what is in it
        return plain
    of: Any = Run if plain["kind"] == "Run" else find_function(plain["kind"])
    return plain | {"version": of.version}


def when_measured(spec: Any, *epochs: int) -> Any:
    """The epochs after which a run was measured, or every, or end."""
    last = getattr(spec, "epochs", 1) - 1
    return {(*range(last + 1),): "every", (last,): "end"}.get(epochs, epochs)


def file_names() -> list[str]:
    """The shipped files, without their suffix."""
    return sorted(file.removesuffix(".parquet") for file in archive().contents)


def every() -> list[str]:
    """What has a recipe: exhibits and shipped files."""
    return [ONCE, *EXHIBITS, *file_names()]


def parts_of(name: str, profile: str = "paper") -> Iterator[Part]:
    """The specs of an exhibit or a shipped file with their measurements, the most valuable first.
    Raises: CplabError for an unknown name."""
    one_of("name", name, every())
    if name == ONCE:
        return figure1_once(profile)
    return exhibit(profile, **EXHIBITS[name]) if name in EXHIBITS else shipped(name)


def ship_again(name: str) -> str:
    """Add what was trained anew of a shipped file to it. Returns a line that says what was written.
    Raises: CplabError where some of it is missing."""
    one_of("shipped file", name, file_names())
    results = [find(spec, measure) for specs, measure in shipped(name) for spec in specs]
    if missing := results.count(None):
        how = f"first run `python -m reproduction train {name}`"
        raise CplabError(f"{missing} of {len(results)} results of {name} are missing: {how}")
    return f"{ship(results, name)}: {len(results)} results"
