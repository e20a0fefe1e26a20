"""How numbers and rows of the pages are written."""

from math import isnan

from cplab.statistics import Estimate, sides


def line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def head(*cells: str) -> list[str]:
    return [line(*cells), line(*["---"] * len(cells))]


def measurement(found: Estimate, digits: int = 1, seeds: bool = True) -> str:
    """`−2.3 ± 1.9 (5 seeds)`, or without the seeds; a dash where there is none."""
    if not found.seeds:
        return "–"
    many = f" ({sides(found.counts)})" if seeds else ""
    half = "" if isnan(found.half) else f" ± {found.half:.{digits}f}"
    return f"{round(found.mean, digits) + 0.0:.{digits}f}{half}{many}".replace("-", "−")
