"""Pages beside REPRODUCTION.md: the decomposition of all shipped windows, the ladders, the cost."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import fields, replace

from cplab.quantities import (
    each_seed,
    equal_training_loss,
    harm,
    lost_time,
    over_seeds,
    shipped_only,
)
from cplab.results import every_result
from cplab.runs import Run
from reproduction import cost
from reproduction.ladders import LADDERS, Cell, missing
from reproduction.layout import head, line, measurement

LEAST = 3  # seeds of a row
POINT = ("deficit", "onset", "length", "seed")


# All windows ------------------------------------------------------------------------------------

DECOMPOSITION = """# The decomposition for all shipped windows

What each shipped window of a deficit costs, in points: the loss against equal training, and its \
two parts, lost time (what the displaced clear epochs would have taught) and harm (the same life \
without the window, minus this one; below 0 something was learned). Every window with at least \
three seeds, with its controls; 95 % intervals over seeds, which all see the same images, paired \
where two lives share training. At a fixed rate networks are read over their last five epochs. \
Under the schedule `paper` the life without the window has the rates of earlier epochs, as if the \
clock had stopped, so that harm there holds what the lower rates did. `python -m reproduction \
report` writes this page.
"""


def decomposition() -> str:
    """The page, from the shipped results alone."""
    seeds: dict[Run, set[int]] = defaultdict(set)
    for result in every_result("Run", "shipped"):
        run = result.spec
        if run.length and run.recovery and not (run.windows or run.treatments):
            seeds[replace(run, seed=0)].add(run.seed)
    settings: dict[str, list[str]] = defaultdict(list)
    for run in sorted(seeds, key=lambda run: (run.deficit, run.onset, run.length)):
        cells = costs_of(run, sorted(seeds[run]))
        if cells:
            about = (run.deficit, str(run.onset), str(run.length), cells[0])
            settings[setting(run)].append(line(*about, *cells[1:]))
    columns = ("deficit", "onset", "length", "seeds", "loss", "lost time", "harm")
    lines = [DECOMPOSITION]
    for name in sorted(settings):
        lines += [f"## {name}", "", *head(*columns), *settings[name], ""]
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


def costs_of(run: Run, seeds: Iterable[int]) -> list[str]:
    """How many seeds have all, and loss, lost time and harm; nothing where they are too few."""
    with shipped_only():
        parts = [each_seed(of, run, seeds=seeds) for of in (equal_training_loss, lost_time, harm)]
    many = min(map(len, parts))
    return [str(many), *(measurement(p, seeds=False) for p in parts)] if many >= LEAST else []


# Ladders ----------------------------------------------------------------------------------------

PREFACE = """# The ladders

Sets of trainings between our size and the paper's, each with a question. What we expected of them \
stands in [forecasts.md](forecasts.md), written before they were trained. Here is what the shipped \
results say, in points unless a row says otherwise: means with 95 % intervals over seeds, which \
all see the same images; a dash is not trained yet. `python -m reproduction ladder` says what is \
missing and how long it takes, `python -m reproduction ladder A` trains a ladder and goes on where \
it stopped, `--table` shows the tables with what is trained on this machine. `python -m \
reproduction report` writes this page.
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
    return "" if cell is None else measurement(over_seeds(cell))


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
    "reproduction/cost.md": cost.page,
}
