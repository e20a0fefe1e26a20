"""Pages beside REPRODUCTION.md: the decomposition of all shipped windows, and the ladders; and the
format of numbers and rows on all pages."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import fields, replace
from math import isfinite
from typing import Any

from cplab.quantities import equal_training_loss, harm, lost_time, shipped_only
from cplab.results import every_result, find
from cplab.runs import Run
from cplab.statistics import Estimate, sides
from reproduction.claims import TEXTS
from reproduction.recipes import LADDERS, Recipe


def line(*cells: str) -> str:
    """A row of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def head(*cells: str) -> list[str]:
    """The head of a Markdown table."""
    return [line(*cells), line(*["---"] * len(cells))]


def measurement(number: Estimate, digits: int = 1, seeds: bool = True) -> str:
    """An estimate as text, `−2.3 ± 1.9 (5 seeds)`, or without the seeds; a dash if it has none."""
    if not number.seeds:
        return "–"
    counts = f" ({sides(number.counts)})" if seeds else ""
    half = f" ± {number.half:.{digits}f}" if isfinite(number.half) else ""
    return f"{round(number.mean, digits) + 0.0:.{digits}f}{half}{counts}".replace("-", "−")


# All windows ------------------------------------------------------------------------------------

POINT = ("deficit", "onset", "length", "seed")


def decomposition() -> str:
    """The page of the decomposition, from the shipped results alone."""
    specs = (result.spec for result in every_result("Run", "shipped"))
    runs = {replace(run, seed=0) for run in specs if run.length and run.recovery}
    settings: dict[str, list[list[str]]] = defaultdict(list)
    for run in sorted(runs, key=lambda run: (run.deficit, run.onset, run.length)):
        if cells := costs_of(run):
            place = (run.deficit, str(run.onset), str(run.length))
            settings[setting(run)].append([*place, *cells])
    columns = (*POINT[:3], "seeds", "loss", "lost time", "harm", "harm, clock running on")
    lines = [TEXTS["decomposition"]]
    for name in sorted(settings):
        count = len(columns) - (not any(cells[-1] for cells in settings[name]))
        lines += [f"## {name}", "", *head(*columns[:count])]
        lines += [*(line(*cells[:count]) for cells in settings[name]), ""]
    return "\n".join(lines)


def setting(run: Run) -> str:
    """The heading of a run's section: its profile, and the fields that differ from the default."""
    usual = Run(profile=run.profile)
    differing = [
        f"{f.name} {getattr(run, f.name)}"
        for f in fields(Run)
        if f.name not in (*POINT, "profile") and getattr(run, f.name) != getattr(usual, f.name)
    ]
    return ", ".join([run.profile, *differing])


def costs_of(run: Run) -> list[str]:
    """The cells of a run: number of seeds that have all, loss, lost time, harm, and harm by the
    other clock where rates fall with the epochs; none where controls are missing."""
    with shipped_only():
        parts = [of(run) for of in (equal_training_loss, lost_time, harm)]
        later = harm(run, clock="running") if run.schedule == "paper" else None
    counts = [part.seeds for part in parts]
    if not min(counts):
        return []
    last = measurement(later, seeds=False) if later else ""
    return [str(max(counts)), *(measurement(part, seeds=False) for part in parts), last]


# Ladders ----------------------------------------------------------------------------------------


def ladders() -> str:
    """The page of the ladders, from the shipped results alone."""
    lines = [TEXTS["ladders"]]
    with shipped_only():
        for letter, ladder in LADDERS.items():
            specs = measured(ladder).items()
            results = [find(spec, measure) for spec, measure in specs]
            count = sum(result is not None and result.source == "shipped" for result in results)
            lines += [f"## {letter} · {ladder.words}", "", f"{count} of {len(specs)} results.", ""]
            for table in ladder.tables() if ladder.tables else ():
                lines += head(table.words, *table.runs)
                for words, of in table.rows.items():
                    numbers = [of(run) for run in table.runs.values()]
                    cells = ("" if n is None else measurement(n, table.digits) for n in numbers)
                    lines.append(line(words, *cells))
                lines.append("")
    return "\n".join(lines)


def measured(ladder: Recipe) -> dict[Any, Any]:
    """All specs of a ladder, with the measurements of each."""
    measures: dict[Any, Any] = {}
    for specs, measure in ladder.parts():
        measures |= {spec: measure or measures.get(spec, ()) for spec in specs}
    return measures


PAGES: dict[str, Callable[[], str]] = {
    "reproduction/decomposition.md": decomposition,
    "reproduction/ladders.md": ladders,
}
