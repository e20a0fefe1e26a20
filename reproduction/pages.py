"""Pages beside REPRODUCTION.md: the decomposition of all shipped windows, and the ladders."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import fields, replace

from cplab.quantities import equal_training_loss, harm, lost_time, shipped_only
from cplab.results import every_result
from cplab.runs import Run
from cplab.statistics import estimate
from reproduction.ladders import LADDERS, Cell, missing
from reproduction.layout import head, line, measurement

POINT = ("deficit", "onset", "length", "seed")
CLOCKED = "harm, clock running on"


# All windows ------------------------------------------------------------------------------------

DECOMPOSITION = """# The decomposition for all shipped windows

What each shipped window of a deficit costs, in points: the loss against equal training, and its \
two parts, lost time (what the displaced clear epochs would have taught) and harm (the same life \
without the window, minus this one; below 0 something was learned). Every window whose controls \
are shipped; 95 % intervals over seeds, which all see the same images, paired where two lives \
share training, with all seeds that \
each side has; one seed has none. At a fixed rate networks are read over their last five epochs. \
Under the schedule `paper` the life without the window comes twice: it has the rates of earlier \
epochs, as if the clock had stopped, so that harm holds what the lower rates did; or the clock \
runs on while nothing is trained (last column). `python -m reproduction report` writes this page.
"""


def decomposition() -> str:
    """The page, from the shipped results alone."""
    seeds: dict[Run, set[int]] = defaultdict(set)
    for result in every_result("Run", "shipped"):
        run = result.spec
        if run.length and run.recovery:
            seeds[replace(run, seed=0)].add(run.seed)
    settings: dict[str, list[list[str]]] = defaultdict(list)
    for run in sorted(seeds, key=lambda run: (run.deficit, run.onset, run.length)):
        if cells := costs_of(run):
            about = (run.deficit, str(run.onset), str(run.length))
            settings[setting(run)].append([*about, *cells])
    columns = ("deficit", "onset", "length", "seeds", "loss", "lost time", "harm", CLOCKED)
    lines = [DECOMPOSITION]
    for name in sorted(settings):
        many = len(columns) - (not any(cells[-1] for cells in settings[name]))
        lines += [f"## {name}", "", *head(*columns[:many])]
        lines += [*(line(*cells[:many]) for cells in settings[name]), ""]
    return "\n".join(lines)


def setting(run: Run) -> str:
    """What a run has in common with others of its section: profile, and what differs from it."""
    usual = Run(profile=run.profile)
    said = [
        f"{f.name} {getattr(run, f.name)}"
        for f in fields(Run)
        if f.name not in (*POINT, "profile") and getattr(run, f.name) != getattr(usual, f.name)
    ]
    return ", ".join([run.profile, *said])


def costs_of(run: Run) -> list[str]:
    """How many seeds have all, loss, lost time and harm, and harm by the other clock where rates
    fall with the epochs; nothing where controls are missing."""
    with shipped_only():
        parts = [estimate(of(run)) for of in (equal_training_loss, lost_time, harm)]
        later = estimate(harm(run, clock="running"))
    counts = [part.seeds for part in parts]
    if not min(counts):
        return []
    words = [measurement(part, seeds=False) for part in parts]
    last = measurement(later, seeds=False) if run.schedule == "paper" else ""
    return [str(max(counts)), *words, last]


# Ladders ----------------------------------------------------------------------------------------

PREFACE = """# The ladders

Sets of trainings between our size and the paper's, each with a question. What we expected of them \
stands in [forecasts.md](forecasts.md), written before they were trained (of two sets, which say \
so, before they were read). Here is what the shipped results say, in points unless a row says \
otherwise: means with 95 % intervals over seeds, which all see the same images; a dash is not \
trained yet. `python -m reproduction list A` says what is missing, `python -m reproduction \
train A` trains a ladder and goes on where it stopped. `python -m reproduction report` writes this \
page.
"""


def ladder_tables(letter: str, live: bool = True) -> list[str]:
    """A ladder's tables, with what there is and dashes for what is missing."""
    ladder = LADDERS[letter]
    total, lacking = len(ladder.specs()), len(missing(ladder, live))
    lines = [f"## {letter} · {ladder.words}", "", f"{total - lacking} of {total} results.", ""]
    for table in ladder.tables():
        lines += [*head(table.words, *table.columns)]
        for words, cells in table.rows.items():
            lines.append(line(words, *(cell_words(cell) for cell in cells)))
        lines.append("")
    return lines


def cell_words(cell: Cell | None) -> str:
    return "" if cell is None else measurement(estimate(cell))


def ladders() -> str:
    """The page, from the shipped results alone."""
    lines = [PREFACE]
    with shipped_only():
        for letter in LADDERS:
            lines += ladder_tables(letter, live=False)
    return "\n".join(lines)


PAGES: dict[str, Callable[[], str]] = {
    "reproduction/decomposition.md": decomposition,
    "reproduction/ladders.md": ladders,
}
