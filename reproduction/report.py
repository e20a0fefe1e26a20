"""REPRODUCTION.md, its pictures and rows.csv, from the shipped results.

In REPRODUCTION.md people write the text and what the sources say. What follows from results is
written here: of each statement the nearest number and its verdict, and how often each verdict is.
"""

import csv
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from cplab import show
from cplab.base.errors import CplabError
from cplab.results.seeds import shipped_only
from reproduction.claims import FEWEST, KINDS, OUTCOMES, Row, in_words, read_claims
from reproduction.nearness import far_from
from reproduction.pictures import FIGURES

COLUMNS = ["question", "answers", "number", "size", "low", "high", "mean", "half", "seeds"]
COLUMNS += ["verdict", "why"]
ABLE = (*OUTCOMES, "in part")  # verdicts of rows that can decide
# How the line of a statement begins in REPRODUCTION.md
STATEMENT = re.compile(r"\| (?P<name>(?:paper|poster|slides|page|thesis) \d+) \|")


def rows_by_question() -> dict[str, list[Row]]:
    """All rows, by question."""
    with shipped_only():
        return read_claims()


def cells(question: str, row: Row) -> list[str | float]:
    """A line of rows.csv."""
    verdict = row.verdict()
    reasons = [verdict.why] if verdict.why else []
    if row.looked:
        reasons.append("asked after looking")
    if row.mixed:
        reasons.append("machines of different kinds")
    low, high = row.between
    form = ".6g" if row.decimals is None else f".{row.decimals}f"
    return [
        question,
        row.answers,
        row.description,
        row.size,
        low,
        high,
        f"{row.number.mean:{form}}",
        f"{row.number.half:{form}}",
        row.number.seeds,
        verdict.kind,
        "; ".join(reasons),
    ]


def rows_by_statement(rows: dict[str, list[Row]]) -> dict[str, list[Row]]:
    """The rows that answer each statement and have seeds; from all rows, by question."""
    by_statement: dict[str, list[Row]] = {}
    for group in rows.values():
        for row in group:
            if not row.number.seeds or not row.answers:
                continue
            for name in row.answers.split(", "):
                by_statement.setdefault(name, []).append(row)
    return by_statement


def nearest(name: str, rows: Sequence[Row]) -> list[Row]:
    """The rows of a statement up to the one that stands for it, which is the last.

    Rows of the whole statement are before those of a part, and then they are in the order of their
    distance from the source (of equally near ones the first that was asked), whatever their
    results. The first with three seeds or more stands that can decide; if none can, the first with
    three seeds; if none has three, the first.
    """

    def place(row: Row) -> tuple[bool, float]:
        return bool(row.part), far_from(name, row.number, row.size)

    in_order = sorted(rows, key=place)
    seeded = [row for row in in_order if row.number.seeds >= FEWEST]
    able = [row for row in in_order if row.verdict().kind in ABLE]
    [standing, *_] = able or seeded or in_order
    return in_order[: in_order.index(standing) + 1]


def agreement(rows: Sequence[Row]) -> str:
    """How many of a statement's rows agree with the source, of those that can decide; "" if there
    are fewer than two."""
    deciding = [row for row in rows if row.verdict().kind in ABLE]
    if len(deciding) < 2:
        return ""
    against = ("contradicted", "undecided")
    agreeing = [row for row in deciding if row.verdict().kind not in against]
    return f"{len(agreeing)} of {len(deciding)} rows agree"


def page(text: str, rows: dict[str, list[Row]]) -> str:
    """REPRODUCTION.md with the numbers of today.

    A statement's line gets the number of the row that stands for it. A line that begins with `Of`
    gets the counts of the statements' verdicts.
    """
    lines = []
    kinds: Counter[str] = Counter()
    by_statement = rows_by_statement(rows)
    for line in text.split("\n"):
        statement = STATEMENT.match(line)
        if not statement:
            lines.append(line)
            continue
        answering = by_statement.get(statement["name"], [])
        if answering:
            line = statement_line(line, statement["name"], answering)
            kinds[nearest(statement["name"], answering)[-1].verdict().kind] += 1
        else:
            kinds["without a number"] += 1
        lines.append(line)
    tally = ", ".join(
        f"{kinds[kind]} {kind}" for kind in (*KINDS, "without a number") if kinds[kind]
    )
    counts = f"Of {kinds.total()} statements: {tally}."
    return "\n".join(counts if line.startswith("Of ") else line for line in lines)


def statement_line(line: str, name: str, rows: list[Row]) -> str:
    """A statement's line of REPRODUCTION.md with the number of today.

    Arguments:
        line: as it was; the statement's name and what it says stay.
        name: the name.
        rows: all that answer it.
    """
    *nearer, row = nearest(name, rows)
    number = in_words(row.number, row.digits)
    if row.mixed:
        number += " †"
    words = [row.verdict().kind]
    if row.looked:
        words[0] += ", asked after looking"
    if row.verdict().kind == "in part":
        words[0] += f": {row.part}"
    if agreement(rows):
        words.append(agreement(rows))
    few = [other for other in nearer if other.number.seeds < FEWEST]
    if few:
        words.append(f"nearer, {few[0].size}: {in_words(few[0].number, few[0].digits)}")
    says = line.split(" | ")[1]
    columns = [name, says, row.description, row.size, number, "; ".join(words)]
    return f"| {' | '.join(columns)} |"


def write(out: Path) -> str:
    """Write the page, its pictures and rows.csv beside it. Returns a line that says what was
    written.

    Raises:
        CplabError: where it cannot be written.
    """
    try:
        text = out.read_text("utf-8")
        folder = out.parent
        rows = rows_by_question()
        with shipped_only(), (folder / "reproduction/rows.csv").open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(COLUMNS)
            for question, group in rows.items():
                for row in group:
                    writer.writerow(cells(question, row))
            for name, draw in FIGURES.items():
                show.save(draw(), folder / "docs/pictures" / f"{name}.png", width=960)
        out.write_text(page(text, rows), encoding="utf-8")
    except OSError as error:
        line = f"{out} cannot be written ({error.strerror}): name REPRODUCTION.md of a clone"
        raise CplabError(line) from error
    return f"{out}, with rows.csv and {len(FIGURES)} pictures"
