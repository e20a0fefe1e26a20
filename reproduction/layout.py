"""How numbers and rows of the pages are written."""

from collections.abc import Sequence
from math import isnan

from cplab.statistics import interval


def line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def head(*cells: str) -> list[str]:
    return [line(*cells), line(*["---"] * len(cells))]


def measurement(values: Sequence, digits: int = 1, seeds: bool = True) -> str:
    """`−2.3 ± 1.9 (5 seeds)`, or without the seeds; a dash where there is none."""
    if not len(values):
        return "–"
    found = interval(values)
    many = f" ({found.seeds} seed{'s' if found.seeds > 1 else ''})" if seeds else ""
    half = "" if isnan(found.half) else f" ± {found.half:.{digits}f}"
    return f"{round(found.mean, digits) + 0.0:.{digits}f}{half}{many}".replace("-", "−")
