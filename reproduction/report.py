"""REPRODUCTION.md, its pictures and rows.csv, from the shipped results.

In REPRODUCTION.md people write the text and what the sources say. What follows from results is
written here: of each statement our best number and its verdict, and how many rows a question has.
"""

import csv
import re
from collections import Counter
from pathlib import Path

from cplab import show
from cplab.errors import CplabError
from cplab.quantities import shipped_only
from reproduction.claims import KINDS, OUTCOMES, Row, in_words, read_claims
from reproduction.pictures import FIGURES

COLUMNS = ["question", "answers", "number", "size", "low", "high", "mean", "half", "seeds"]
COLUMNS += ["verdict", "why"]
# From the sources' own size downwards: by training images, then by their pixels
SIZES = ("paper", "thesis", "slim", "mnist", "course", "matched", "fit", "linear")
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
                by_statement.setdefault(name.rstrip("*"), []).append(row)
    return by_statement


def nearest(name: str, rows: list[Row]) -> Row:
    """The row that stands for a statement: the nearest to the source's size, whatever its result.
    Of several of one size it is the starred one, else the first."""

    def distance(row: Row) -> tuple[int, bool]:
        return SIZES.index(row.size), f"{name}*" not in row.answers.split(", ")

    return min(rows, key=distance)


def verdict_of(row: Row, rows: list[Row]) -> str:
    """The verdict of the row that stands for a statement, in words, and how many of all its rows
    agree with the source, of those that can decide."""
    words = row.verdict().kind
    if row.looked:
        words += ", asked after looking"
    deciding = [other for other in rows if other.verdict().kind in (*OUTCOMES, "in part")]
    if all(other is row for other in deciding):
        return words
    against = ("contradicted", "undecided")
    agreeing = [other for other in deciding if other.verdict().kind not in against]
    rows_agree = "row agrees" if len(deciding) == 1 else "rows agree"
    return f"{words}; {len(agreeing)} of {len(deciding)} {rows_agree}"


def page(text: str, rows: dict[str, list[Row]]) -> str:
    """REPRODUCTION.md with the numbers of today.

    A statement's line gets the number of the row that stands for it. A line that begins with `Of`
    gets the counts of its question's verdicts.
    """
    lines = []
    by_statement = rows_by_statement(rows)
    question = ""
    for line in text.split("\n"):
        if line.startswith("## "):
            question = line.removeprefix("## ")
        statement = STATEMENT.match(line)
        if statement and statement["name"] in by_statement:
            lines.append(statement_line(line, statement["name"], by_statement[statement["name"]]))
        elif line.startswith("Of ") and question in rows:
            kinds = Counter(row.verdict().kind for row in rows[question])
            tally = ", ".join(f"{kinds[kind]} {kind}" for kind in KINDS if kinds[kind])
            lines.append(f"Of {len(rows[question])} rows: {tally}.")
        else:
            lines.append(line)
    return "\n".join(lines)


def statement_line(line: str, name: str, rows: list[Row]) -> str:
    """A statement's line of REPRODUCTION.md with the number of today.

    Arguments: line, as it was, of which the statement's name and what it says stay; name; rows, all
        that answer it.
    """
    row = nearest(name, rows)
    number = in_words(row.number, row.digits)
    if row.mixed:
        number += " †"
    says = line.split(" | ")[1]
    columns = [name, says, row.description, row.size, number, verdict_of(row, rows)]
    return f"| {' | '.join(columns)} |"


def write(out: Path) -> str:
    """Write the page, its pictures and rows.csv beside it. Returns a line that says what was
    written. Raises: CplabError where it cannot be written."""
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
