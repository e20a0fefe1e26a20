"""Write the tables of docs/planning.md from the labs: goals, minutes, needs, exercises.

python docs/planning_table.py
"""

import math
import re
from pathlib import Path
from typing import NamedTuple

import nbformat

from cplab import teach
from cplab.base.errors import CplabError
from cplab.teach.homework import split_exercises

PAGE = Path(__file__).with_name("planning.md")
TITLE = re.compile(r"# Lab \w+ · (.+)")
MINUTES = re.compile(r"About (\d+) minutes alone")
READING = 180  # words a minute
QUESTION = 1.75  # minutes: 45 seconds to choose, and one minute to read what that uncovers
ASKS = re.compile(r"lab\.(question|Prediction)\(")
FOLD = re.compile(r"<details>.*?</details>", re.S)
EXERCISES = re.compile(r"^## \d+ · Exercises$.*?(?=^## |\Z)", re.M | re.S)
PICTURE = re.compile(r"!\[.*?\]\(.*?\)")
GOAL = re.compile(r"^\d+\. (.+?)[;.]?$", re.M)


class Lab(NamedTuple):
    """What the page says of a lab."""

    number: str
    title: str
    minutes: int  # alone, as its text says
    counted: int  # the same, counted
    goals: list[str]
    graded: list[str]  # keys of exercises with a check that a grader can read
    checked: list[str]  # with a check, on networks that the student trains
    by_hand: list[str]
    needs: str  # beyond results that come with it, as its metadata say


def read_lab(path: Path) -> Lab:
    """Read what the page says of a lab from its notebook."""
    notebook = nbformat.read(path, as_version=4)
    number = path.stem.partition("_")[0]
    first = notebook.cells[0].source
    tasks = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            tasks += split_exercises(cell.source, number)[0]
    title = TITLE.match(first)
    minutes = MINUTES.search(first)
    if not title or not minutes:
        raise CplabError(f"{path.name} begins without its title or its minutes: write both")
    return Lab(
        number,
        title[1],
        int(minutes[1]),
        minutes_alone(notebook),
        GOAL.findall(first),
        [task.key for task in tasks if task.graded],
        [task.key for task in tasks if task.check and not task.graded],
        [task.key for task in tasks if not task.check],
        notebook.metadata.get("cplab", {}).get("needs", "–"),
    )


def minutes_alone(notebook: nbformat.NotebookNode) -> int:
    """Minutes that a lab takes one reader alone, without exercises and what goes further, up to the
    next five: words in the open, questions, and what its metadata say of waiting and playing."""
    texts = []
    questions = 0
    for cell in notebook.cells:
        if cell.source.startswith("## Going further"):
            break
        if cell.cell_type == "markdown":
            texts.append(PICTURE.sub("", FOLD.sub("", cell.source)))
        elif ASKS.search(cell.source):
            questions += 1
    prose = EXERCISES.sub("", "\n".join(texts))
    words = len(re.findall(r"[\w’'-]+", prose))
    beside = notebook.metadata.get("cplab", {}).get("beside", 0)
    return 5 * math.ceil((words / READING + QUESTION * questions + beside) / 5)


def lab_table(labs: list[Lab]) -> str:
    """The tables of the course's labs, and of those that go further, as Markdown."""
    course = [lab for lab in labs if lab.number in teach.COURSE]
    further = [lab for lab in labs if lab.number not in teach.COURSE]
    return table_of("the course", course) + "\n\n" + table_of("going further", further)


def table_of(heading: str, labs: list[Lab]) -> str:
    """A table of labs, as Markdown."""
    lines = [f"| {heading} | minutes alone | afterwards you can | needs |", "|---|---|---|---|"]
    for lab in labs:
        goals = "; ".join(lab.goals)
        lines.append(f"| **{lab.number}** {lab.title} | {lab.minutes} | {goals} | {lab.needs} |")
    return "\n".join(lines)


def exercise_table(labs: list[Lab]) -> str:
    """The table of exercises, as Markdown."""
    lines = ["| lab | with a check | with a check, on one's own training | by hand |"]
    lines.append("|---|---|---|---|")
    for lab in labs:
        cells = [lab.number]
        for keys in (lab.graded, lab.checked, lab.by_hand):
            cells.append(", ".join(keys) or "–")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def page() -> str:
    """The page with its tables written anew."""
    labs = [read_lab(path) for path in teach.labs()]
    text = PAGE.read_text("utf-8")
    text = with_table(text, "labs", lab_table(labs))
    return with_table(text, "exercises", exercise_table(labs))


def with_table(text: str, name: str, table: str) -> str:
    """A text with a table between the comments that have its name."""
    between = re.compile(f"(?<=<!-- {name} -->\n).*?(?=<!-- /{name} -->)", re.S)
    return between.sub(lambda _: f"\n{table}\n\n", text)


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
