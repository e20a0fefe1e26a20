"""The ladders: sets of trainings between our size and the paper's, each with its question.

What we expect of each stands in forecasts.md, written before it was trained. `specs` says what is
trained, in order of value; the tables what is read off. `python -m reproduction train A` trains one
and goes on where it stopped; ladders.md shows what is shipped of them.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from cplab import quantities as q
from cplab.results import find
from cplab.runs import Run
from cplab.statistics import Contrast
from reproduction.campaign import TRACE

Part = tuple[list, Any]  # specs, and what is measured on them
Cell = Contrast
FIRST, TEN = range(5), range(10)  # seeds


@dataclass(frozen=True)
class Table:
    """What is read off: a row of cells for each number, one cell a column."""

    words: str
    columns: tuple[str, ...]
    rows: dict[str, list[Cell | None]]


@dataclass(frozen=True)
class Ladder:
    """parts: gives its specs, in order of value. tables: gives what is read off."""

    words: str
    parts: Callable[[], Iterable[Part]]
    tables: Callable[[], Iterable[Table]]

    def specs(self) -> dict[Run, Any]:
        """All its specs, with what is measured on each."""
        found: dict[Run, Any] = {}
        for some, measure in self.parts():
            for spec in some:
                found[spec] = measure or found.get(spec, ())
        return found


def lives(deficits, lengths, seeds, onsets=(0,), **fields) -> list[Run]:
    """Windows of deficits, and their two controls: newborn and equal training."""
    runs = [
        Run(deficit, onset, length, seed=seed, **fields)
        for deficit in deficits
        for onset in onsets
        for length in lengths
        for seed in seeds
    ]
    return [*dict.fromkeys(c for r in runs for c in (r, r.equal_training(), r.newborn()))]


def with_three(runs: Iterable[Run], seeds) -> list[Run]:
    """Runs with equal training and the same lives without the window, for all seeds."""
    every = [replace(run, seed=seed) for run in runs for seed in seeds]
    return [*dict.fromkeys(c for r in every for c in (r, r.equal_training(), r.without_window()))]


# Cells ------------------------------------------------------------------------------------------


def cell(of: Callable[..., Any], *runs: Run) -> Cell:
    """A quantity of runs, as a contrast."""
    found = of(*runs)
    return found if isinstance(found, Contrast) else q.reading(runs[0], of)


harm_of, apart = partial(cell, q.harm), partial(cell, q.advantage)
running_on = partial(cell, partial(q.harm, clock="running"))


def trace_left(run: Run) -> Cell:
    """How much is left of the trace in the end, percent of its highest."""
    return 100 * q.reading(run, q.trace_remaining)


def trace_grown(run: Run) -> Cell:
    """Doublings of the trace in the end, against equal training."""
    return cell(q.doublings, run, run.equal_training())


def costs(runs: list[Run]) -> dict[str, list[Cell | None]]:
    """The decomposition, a row for each of its parts."""
    each = (
        ("loss against equal training", q.equal_training_loss),
        ("of it lost time", q.lost_time),
        ("of it harm", q.harm),
    )
    return {words: [cell(of, run) for run in runs] for words, of in each}


# A: recovery ------------------------------------------------------------------------------------

RECOVERIES = (15, 30, 60, 120, 240)
KINDS = {"blur": "blur", "noise": "fixed noise", "fresh_noise": "fresh noise", "flip": "a flip"}


def recovery_parts() -> Iterator[Part]:
    for recovery in (15, 60, 120, 30, 240):
        yield lives(("blur", "noise", "flip", "fresh_noise"), [16], FIRST, recovery=recovery), ()


def recovery_tables() -> Iterator[Table]:
    def row(deficit: str, of: Callable[[Run], float] = q.harm) -> list[Cell | None]:
        return [cell(of, Run(deficit, 0, 16, recovery=r)) for r in RECOVERIES]

    rows = {f"harm of {words}": row(deficit) for deficit, words in KINDS.items()}
    rows["lost time"] = row("blur", q.lost_time)
    yield Table("16 epochs from birth, then so many of recovery", tuple(map(str, RECOVERIES)), rows)


# B: pace ----------------------------------------------------------------------------------------

PACES = (10, 5, 2, 1)
VARIED = {"momentum 0": {"momentum": 0}, "no augmentation": {"augment": False}}


def paced(pace: int, end: int, deficit: str = "blur", **fields) -> Run:
    """Under the paper's schedule at a pace, until one of the paper's epochs; 160 of recovery."""
    return Run(deficit, 0, end // pace, 160 // pace, schedule="paper", pace=pace, **fields)


def pace_parts() -> Iterator[Part]:
    def some(pace: int, deficits: tuple[str, ...], seeds, **fields) -> list[Run]:
        how = {"recovery": 160 // pace, "schedule": "paper", "pace": pace}
        return lives(deficits, (60 // pace, 140 // pace), seeds, **how, **fields)

    for pace in PACES:
        runs = some(pace, ("blur", "flip", "noise", "permute"), FIRST)
        later = [run.without_window("running") for run in runs if run.deficit == "blur"]
        yield [*runs, *later], ()
    for fields in VARIED.values():
        yield some(1, ("blur", "flip"), range(3), **fields), ()


def pace_tables() -> Iterator[Table]:
    kinds = {"blur": "blur", "flip": "a flip", "noise": "noise", "permute": "permuted labels"}
    for end in (60, 140):
        blurred, flipped = ([paced(p, end, kind) for p in PACES] for kind in ("blur", "flip"))
        rows: dict[str, list[Cell | None]] = {
            f"loss after {words}": [harm_of(paced(p, end, kind)) for p in PACES]
            for kind, words in kinds.items()
        }
        rows |= {
            f"loss after {words}, clock running on": [
                running_on(paced(p, end, kind)) for p in PACES
            ]
            for kind, words in kinds.items()
        }
        rows["blur minus flip"] = [*map(apart, blurred, flipped)]
        for words, fields in VARIED.items():
            for kind in ("blur", "flip"):
                last = harm_of(paced(1, end, kind, **fields))
                rows[f"loss after {kinds[kind]}, {words}"] = [None, None, None, last]
        words = f"until {end} of the paper's epochs, against the newborn with the clock stopped"
        yield Table(words, tuple(f"pace {pace}" for pace in PACES), rows)


# C and D: the slim paper ------------------------------------------------------------------------

SLIM: dict[str, Any] = {"profile": "slim"}
SLIM_ENDS = (20, 40, 60, 100, 140)
EVERY_FIFTH = tuple(range(4, 400, 5))
TRACED = {
    **dict.fromkeys(("trace", "jacobian", "weight_norms"), EVERY_FIFTH),
    "ending": "end",
}
SLIM_ONSETS = (0, 20, 40, 80)
SLIDING = [Run("blur", onset, 40, **SLIM) for onset in SLIM_ONSETS]


def slim_parts() -> Iterator[Part]:
    for seed in range(2):
        for kinds, ends in ((["blur"], SLIM_ENDS), (("flip", "noise"), (60, 140))):
            yield lives(kinds, ends, [seed], **SLIM), TRACED
        yield lives(["permute"], [140], [seed], **SLIM), TRACED
        later = [Run("blur", 0, end, seed=seed, **SLIM) for end in (60, 140)]
        yield [run.without_window("running") for run in later], TRACED


def slim_tables() -> Iterator[Table]:
    planned = {run for some, _ in slim_parts() for run in some}
    runs = {
        kind: [r if r in planned else None for r in (Run(kind, 0, e, **SLIM) for e in SLIM_ENDS)]
        for kind in ("blur", "flip", "noise", "permute")
    }

    def row(of: Callable[..., Cell], *kinds: str) -> list[Cell | None]:
        several = zip(*(runs[kind] for kind in kinds), strict=True)
        return [of(*some) if all(some) else None for some in several]

    rows = {f"loss against the newborn, {kind}": row(harm_of, kind) for kind in runs}
    rows["loss against the newborn, blur, clock running on"] = [
        running_on(run) if run.end in (60, 140) else None for run in runs["blur"] if run
    ]
    rows["blur, loss against equal training"] = row(partial(cell, q.equal_training_loss), "blur")
    rows["flip minus blur"] = row(apart, "flip", "blur")
    for kind in ("blur", "flip"):
        rows[f"{kind}, trace in the end against equal training, doublings"] = row(trace_grown, kind)
    rows["no deficit, trace in the end, % of its highest"] = row(
        lambda run: cell(trace_left, run.equal_training()), "blur"
    )
    yield Table("a deficit until so many epochs", tuple(map(str, SLIM_ENDS)), rows)


def onset_parts() -> Iterator[Part]:
    """The control without the window comes twice: its clock stops meanwhile, or runs on."""
    for seed in range(2):
        blurred = with_three(SLIDING, [seed])
        yield [*blurred, *(r.without_window("running") for r in blurred if r.length)], TRACED


def onset_tables() -> Iterator[Table]:
    rows = costs(SLIDING)
    rows["harm, clock running on"] = [*map(running_on, SLIDING)]
    yield Table("a window of 40 epochs at an onset", tuple(map(str, SLIM_ONSETS)), rows)


# E: a fit with matched rates --------------------------------------------------------------------

MATCHED: dict[str, Any] = {"profile": "matched"}
FIT_ENDS, FIT_ONSETS = (4, 8, 16), (0, 4, 8, 16, 24)
WINDOWED = [Run("blur", onset, 12, **MATCHED) for onset in FIT_ONSETS]
CLEAR = {
    **{f"pace {pace}": {"schedule": "paper", "pace": pace} for pace in (1, 3, 10)},
    "fixed": {"schedule": "fixed"},
    "held, then annealed": {},
}


def matched_parts() -> Iterator[Part]:
    for seeds in (FIRST, range(5, 10)):
        yield lives(("blur", "flip"), FIT_ENDS, seeds, **MATCHED), TRACE
        yield with_three(WINDOWED, seeds), TRACE
        yield [Run(onset=24, seed=s, **MATCHED, **f) for f in CLEAR.values() for s in seeds], TRACE


def matched_tables() -> Iterator[Table]:
    yield Table("a window of 12 epochs at an onset", tuple(map(str, FIT_ONSETS)), costs(WINDOWED))
    blurred, flipped = (
        [Run(kind, 0, end, **MATCHED) for end in FIT_ENDS] for kind in ("blur", "flip")
    )
    rows: dict[str, list[Cell | None]] = {
        "harm of blur": [*map(harm_of, blurred)],
        "harm of a flip": [*map(harm_of, flipped)],
        "blur, trace in the end against equal training, doublings": [*map(trace_grown, blurred)],
        "flip, trace in the end against equal training, doublings": [*map(trace_grown, flipped)],
    }
    yield Table("a deficit until so many epochs", tuple(map(str, FIT_ENDS)), rows)
    clear = [Run(onset=24, **MATCHED, **fields) for fields in CLEAR.values()]
    rows = {
        "epochs to the highest trace": [q.reading(run, q.trace_peak) for run in clear],
        "trace in the end, % of its highest": [cell(trace_left, run) for run in clear],
    }
    yield Table("44 clear epochs, by the rate", tuple(CLEAR), rows)


# F: controls ------------------------------------------------------------------------------------

DEPTHS = ("depth1-16", "depth1-68", "depth2-16", "depth3-16")  # 18, 314, 77, 312 thousand weights
BLURRED = Run("blur", 0, 16)
CONTROLS: dict[str, dict[str, Run]] = {
    "16 epochs of blur, fixed rate, by depth and width": {
        model: replace(BLURRED, model=model, schedule="fixed") for model in DEPTHS
    },
    "the same with a recovery of 60": {
        model: replace(BLURRED, model=model, schedule="fixed", recovery=60) for model in DEPTHS
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


def control_parts() -> Iterator[Part]:
    yield [Run(seed=seed) for seed in range(10, 30)], ()
    yield with_three(EARLY, range(10, 20)), ()
    for some in CONTROLS.values():
        yield with_three(some.values(), FIRST), ()
    yield with_three(CLOTHES, TEN), ()


def control_tables() -> Iterator[Table]:
    for words, some in CONTROLS.items():
        runs = [*some.values()]
        rows: dict[str, list[Cell | None]] = {
            "newborn, %": [cell(q.accuracy, run.without_window()) for run in runs]
        }
        yield Table(words, tuple(some), rows | costs(runs))
    for words, runs in (("8 epochs of blur", EARLY), ("8 epochs, Fashion-MNIST", CLOTHES)):
        yield Table(f"{words} at an onset", tuple(str(run.onset) for run in runs), costs(runs))


# G: the paper's MNIST experiment ----------------------------------------------------------------

WIDTHS, DIGIT_ENDS = (1250, 2500), (240, 480)


def digit(kind: str, end: int, width: int) -> Run:
    return Run(
        kind, 0, end, profile="paper", dataset="mnist", model=f"fc-{width}", schedule="fixed"
    )


def digit_parts() -> Iterator[Part]:
    for width in WIDTHS:
        for seed in range(2):
            runs = [digit("blur", end, width) for end in DIGIT_ENDS]
            yield with_three([*runs, digit("flip", 480, width)], [seed]), ()


def digit_tables() -> Iterator[Table]:
    where = [(end, width) for width in WIDTHS for end in DIGIT_ENDS]
    blurred, flipped = ([digit(kind, *at) for at in where] for kind in ("blur", "flip"))
    rows: dict[str, list[Cell | None]] = {
        "blur, test error, %": [cell(lambda one: 100 - q.accuracy(one), run) for run in blurred],
        "harm of blur": [*map(harm_of, blurred)],
        "loss against equal training": [cell(q.equal_training_loss, run) for run in blurred],
        "flip minus blur": [
            apart(flip, blur) if flip.length == 480 else None
            for flip, blur in zip(flipped, blurred, strict=True)
        ],
    }
    columns = tuple(f"{end}, width {width}" for end, width in where)
    yield Table("blur until so many epochs, 300 of recovery", columns, rows)


LADDERS = {
    "A": Ladder("does harm heal with a longer recovery?", recovery_parts, recovery_tables),
    "B": Ladder("how much of the flip's loss is compression?", pace_parts, pace_tables),
    "C": Ladder("the slim paper: removal, kinds, trace", slim_parts, slim_tables),
    "D": Ladder("windows in the slim paper, both clocks", onset_parts, onset_tables),
    "E": Ladder("trace and harm in the same runs", matched_parts, matched_tables),
    "F": Ladder("controls: depth, rate, width, decay, images", control_parts, control_tables),
    "G": Ladder("the paper's MNIST at its own length", digit_parts, digit_tables),
}


# Training and what there is ---------------------------------------------------------------------


def missing(ladder: Ladder, live: bool = True) -> dict[Run, Any]:
    """What is not there, with what is to be measured on it; not live: what is not shipped."""
    lacking = {}
    for spec, measure in ladder.specs().items():
        found = find(spec, measure)
        if found is None or not (live or found.source == "shipped"):
            lacking[spec] = measure
    return lacking
