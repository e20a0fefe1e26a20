"""What runs cost on paper: epochs and operations counted, and hours on cards by their data sheets.

Peaks are those of dense matrix products in the format that training takes on the card: bfloat16 on
A100 (312 TFLOP/s, NVIDIA A100 data sheet) and H200 (989 TFLOP/s, half of the 1,979 that the NVIDIA
H200 data sheet gives with sparsity), float32 on T4 (8.1 TFLOP/s, NVIDIA T4 data sheet), which has
no bfloat16. How much of a peak training reaches is taken from results where there are some.
"""

import statistics
from collections.abc import Iterable, Iterator
from functools import cache
from math import log
from typing import Any, NamedTuple

from benchmarks import operations
from cplab import models
from cplab.engine.tree import plan
from cplab.measure import parse_measures
from cplab.results import estimate
from cplab.results.tables import seconds_per_epoch, table
from cplab.runs import Run
from reproduction import campaign
from reproduction.layout import head, line

PEAKS = {"T4": 8.1, "A100": 312, "H200": 989}  # TFLOP/s
SHARES = (0.1, 0.4)  # of a peak, where none was measured


TOP = """# What the campaign costs on paper

Operations are counted by torch, not measured. Peaks stand in the makers' data sheets, which \
`reproduction/cost.py` names. `python -m reproduction report` writes this page, `python -m \
reproduction campaign cost` prints it for any profile, with the share of the peak of lives that \
were trained on this machine.
"""


class Cost(NamedTuple):
    """Epochs of a set of runs as a tree, and TFLOP of training and of a test after each epoch."""

    epochs: int
    tflop: float


def cost(specs: Iterable) -> Cost:
    """Of runs; what else there is among the specs (kernels) is small and left out."""
    roots = plan(spec for spec in specs if isinstance(spec, Run))
    tflop = sum(root.epochs * operations.epoch(root.spec) for root in roots) / 1e12
    return Cost(sum(root.epochs for root in roots), tflop)


def hours(tflop: float, card: str, share: float) -> float:
    return tflop / (PEAKS[card] * share) / 3600


class Timed(NamedTuple):
    """A run that was trained: operations for each image, and TFLOP/s."""

    operations: int
    speed: float


def measured_share(card: str, live: bool = True) -> float | None:
    """The share of its peak at which lives were trained on such a card; None if none was. Not live:
    shipped ones alone are counted."""
    reached = [one.speed for one in timed(card, live)]
    return statistics.median(reached) / PEAKS[card] if reached else None


@cache
def timed(machine: str = "", live: bool = True) -> list[Timed]:
    """All results of runs on machines of such a name, as they were timed."""
    rows, timings = table(), []
    for row in rows[rows["device"].str.contains(machine, regex=False)].itertuples():
        if live or row.source == "shipped":
            run = Run(profile=row.profile, dataset=row.dataset, model=row.model)
            seconds = row.seconds / (row.onset + row.length + row.recovery)
            if run.family in models.MODELS:
                speed = operations.epoch(run) / seconds / 1e12
                timings.append(Timed(operations.training(run), speed))
    return timings


# Time on this machine ---------------------------------------------------------------------------


def seconds(missing: dict[Any, Any]) -> tuple[float, bool]:
    """How long specs take one after another, given with what is measured on each, and whether lives
    of all sizes were timed. Those of other sizes are taken at the operations a second of the
    networks nearest in size, without their measurements."""
    known = {s: m for s, m in missing.items() if seconds_per_epoch(s) is not None}
    total = 0.0
    for measure in {repr(m): m for m in known.values()}.values():
        some = [s for s, m in known.items() if m == measure]
        total += estimate(some, parse_measures(measure)) or 0
    others = [spec for spec in missing if spec not in known]
    for size in {operations.training(run) for run in others}:
        some = [run for run in others if operations.training(run) == size]
        total += cost(some).tflop / nearest_speed(size)
    return total, not others


def nearest_speed(size: int) -> float:
    """TFLOP/s of the lives whose network takes about as many operations for an image."""
    near = min((one.operations for one in timed()), key=lambda other: abs(log(other / size)))
    return statistics.median(one.speed for one in timed() if one.operations == near)


# In words ---------------------------------------------------------------------------------------


def rows(profile: str, names: list[str] | None) -> Iterator[tuple[str, Cost]]:
    """What each exhibit costs by itself, and all of them, which share lives."""
    every: list = []
    for exhibit in campaign.choose(names):
        some = [s for seed in range(campaign.SEEDS) for s in exhibit.of(profile, seed)]
        every += some
        if any(isinstance(spec, Run) for spec in some):
            yield exhibit.name, cost(some)
    yield "all, shared lives once", cost(every)


def growth(profile: str) -> Iterator[tuple[str, Cost]]:
    """How figure 1's removal sweep grows with its points, seeds and width, one at a time."""

    def removal(step: int = 20, seeds: int = 1, **fields: Any) -> Cost:
        of = campaign.until(tuple(range(0, 141, step)), **fields)
        return cost(s for seed in range(seeds) for s in of(profile, seed))

    yield "removal sweep", removal()
    for step in (40, 10, 5):
        yield f"points {step} epochs apart", removal(step)
    for seeds in (2, 5, 10):
        yield f"{seeds} seeds", removal(seeds=seeds)
    for width in (24, 48, 192):
        yield f"width {width}", removal(model=f"allcnn-{width}")


def tables(profile: str = "paper", names: list[str] | None = None, live: bool = True) -> list[str]:
    """What the campaign costs and how that grows, as Markdown; not live: without what was measured
    on this machine."""
    shares = {card: measured_share(card, live) for card in PEAKS}

    def times(tflop: float) -> Iterator[str]:
        for card, share in shares.items():
            ends = (share,) if share else (SHARES[-1], SHARES[0])
            yield " to ".join(short(hours(tflop, card, each)) for each in ends)

    top = head("", "epochs", "TFLOP", *(f"{card}, hours" for card in PEAKS))
    peaks = ", ".join(f"{card} {peak:g}" for card, peak in PEAKS.items())
    lines = [
        f"Profile {profile}, {campaign.SEEDS} seeds; training and a test after each epoch, without "
        f"measurements of the Fisher information. Peaks in TFLOP/s: {peaks}. {of_peak(shares)}"
    ]
    one = "Figure 1's removal sweep, one seed and points 20 epochs apart, and how it grows:"
    for words, some in (("", rows(profile, names)), (one, growth(profile))):
        lines += [words, ""] if words else [""]
        lines += top
        for name, found in some:
            counts = f"{found.epochs:,}", f"{found.tflop:,.0f}"
            lines.append(line(name, *counts, *times(found.tflop)))
        lines.append("")
    return lines


def of_peak(shares: dict[str, float | None]) -> str:
    """What is known of the shares of the peaks."""
    said = [f"{card} {100 * share:.0f} %" for card, share in shares.items() if share]
    unknown = [card for card, share in shares.items() if not share]
    words = [f"Measured shares of them: {', '.join(said)}."] if said else []
    if unknown:
        words.append(
            f"No life of this project was timed on {', '.join(unknown)}, so that the share of the "
            f"peak is not known: hours are for {100 * SHARES[-1]:.0f} % down to "
            f"{100 * SHARES[0]:.0f} % of it."
        )
    return " ".join(words)


def short(number: float) -> str:
    return f"{number:,.0f}" if number >= 10 else f"{number:.2g}"


def page() -> str:
    """reproduction/cost.md, from what is shipped alone."""
    return "\n".join([TOP, *tables(live=False)])
