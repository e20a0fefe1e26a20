"""Copies of the labs as homework: for students, for teachers, and for nbgrader.

An exercise with a check is graded automatically, with one point for the right answer. If there is
no check, or if the student trains the networks, a person grades it; in a grader's copy its text
says so. All copies are made from the labs' own text, without outputs: they hold no answers.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cplab.base.errors import one_of
from cplab.teach.copies import Copied, copy_labs, labs, portable, write_whole

if TYPE_CHECKING:
    from nbformat import NotebookNode

# The text above an exercise, the exercise, and its solution, which one of own seeds has not
EXERCISE = re.compile(
    r"(?P<above>.*?)(?P<words>\*\*Exercise (?P<number>\d+)\.\*\*.*?)\n*"
    r"(?:<details><summary>Solution</summary>\n\n(?P<solution>.*?)</details>\n*"
    r"|(?=\*\*Exercise \d+\.\*\*)|\Z)",
    re.S,
)
# The call in an exercise's text that checks an answer
CHECK = re.compile(r"`(?P<call>lab\.check\(.+?\))`")
NBGRADER_CONFIG = """# The settings of nbgrader, in the folder of the course.
c = get_config()  # noqa: F821
c.CourseDirectory.course_id = "cplab"
# What replaces a solution; and how many seconds a cell may take, since some cells train.
c.ClearSolutions.code_stub = {"python": "# write here what you need"}
c.ExecutePreprocessor.timeout = 600
"""


@dataclass(frozen=True)
class HomeworkTask:
    """An exercise of a lab."""

    key: str  # of the lab and the exercise: 02-1
    text: str  # with a hint
    solution: str
    check: str  # the call that checks an answer, "" if there is none
    graded: bool  # whether a grader's machine can tell the right answer

    @property
    def room(self) -> str:
        """The beginning of the cell for an answer."""
        dots = "\nanswer = ..." if self.check else ""
        return f"# Exercise {self.key}: your answer{dots}"

    @property
    def solved(self) -> str:
        """The solution as a cell's text: its Python, and its prose as comments."""
        lines = []
        blocks = re.split(r"```python\n(.*?)```", self.solution, flags=re.S)
        for place, block in enumerate(blocks):
            is_code = place % 2 == 1
            if is_code:
                lines.append(block.strip())
            elif block.strip():
                paragraph = " ".join(block.split())
                lines.append(textwrap.indent(textwrap.fill(paragraph, 96), "# "))
        return "\n".join(["# BEGIN SOLUTION", *lines, "# END SOLUTION"])

    @property
    def text_with_points(self) -> str:
        """The text, with how its point is given."""
        giver = "its check" if self.graded else "a person"
        return f"{self.text}\n\n*One point, given by {giver}.*"


# The cells of an exercise ------------------------------------------------------------------------


def student_cells(task: HomeworkTask) -> list[NotebookNode]:
    """The text, room for an answer, and the check."""
    from nbformat import v4

    answer = v4.new_code_cell(task.room, id=f"answer-{task.key}", metadata={"tags": ["answer"]})
    return [text_cell(task.key, task.text), answer, *check_cells(task)]


def instructor_cells(task: HomeworkTask) -> list[NotebookNode]:
    """The text, the solution, and the check; room for an answer where there is no solution."""
    if not task.solution:
        return student_cells(task)
    return [text_cell(task.key, task.text), solution_cell(task), *check_cells(task)]


def nbgrader_cells(task: HomeworkTask) -> list[NotebookNode]:
    """The text, a cell whose solution nbgrader takes out, and the check.

    If the check can grade, its cell gives the point, by a test that nbgrader hides. If not, the
    point is given by hand.
    """
    solution = solution_cell(task)
    solution.source = f"{task.room}\n{solution.source}"
    cells = [text_cell(task.key, task.text_with_points), solution]
    if not task.graded:
        solution.metadata["nbgrader"] = nbgrader(f"exercise-{task.key}", solution=True, points=1)
        return [*cells, *check_cells(task)]
    solution.metadata["nbgrader"] = nbgrader(f"answer-{task.key}", solution=True)
    [check] = check_cells(task)
    hidden = f"assert lab.is_right({task.key!r}, answer)"
    check.source += f"\n# BEGIN HIDDEN TESTS\n{hidden}\n# END HIDDEN TESTS"
    check.metadata["nbgrader"] = nbgrader(f"exercise-{task.key}", points=1)
    return [*cells, check]


def nbgrader(name: str, solution: bool = False, points: int = 0) -> dict[str, Any]:
    """What nbgrader wants to know of a cell: its name, whether students write there, its points."""
    marks: dict[str, Any] = {
        "schema_version": 3,
        "grade_id": name,
        "cell_type": "code",
        "solution": solution,
        "grade": points > 0,
        "task": False,
        "locked": not solution,
    }
    if points:
        marks["points"] = points
    return marks


def text_cell(key: str, text: str) -> NotebookNode:
    """The text of an exercise."""
    from nbformat import v4

    return v4.new_markdown_cell(text, id=f"exercise-{key}")


def solution_cell(task: HomeworkTask) -> NotebookNode:
    """The solution of an exercise."""
    from nbformat import v4

    return v4.new_code_cell(task.solved, id=f"solution-{task.key}", metadata={"tags": ["solution"]})


def check_cells(task: HomeworkTask) -> list[NotebookNode]:
    """The check of an exercise that has one."""
    from nbformat import v4

    if not task.check:
        return []
    return [v4.new_code_cell(task.check, id=f"check-{task.key}", metadata={"tags": ["check"]})]


KINDS: dict[str, Callable[[HomeworkTask], list[NotebookNode]]] = {
    "student": student_cells,
    "instructor": instructor_cells,
    "nbgrader": nbgrader_cells,
}


# Copies ------------------------------------------------------------------------------------------


def build_copies(folder: Path, kind: str, lab: str = "") -> Copied:
    """Write copies of the labs.

    Arguments:
        folder: where they are written.
        kind: one of `KINDS`. For nbgrader, the folder becomes that of a course, with `source` and
            nbgrader_config.py.
        lab: a lab's number, by default all.

    Returns:
        which files are new.

    Raises:
        CplabError: where they cannot be written.
    """
    from nbformat import reads, writes

    def copy(path: Path) -> str:
        """The text of a lab's copy."""
        notebook = reads(portable(path), as_version=4)
        return writes(copy_for(notebook, path.stem, kind))

    if one_of("kind", kind, KINDS) != "nbgrader":
        return copy_labs(folder, copy, labs(lab))
    copied = copy_labs(folder, copy, labs(lab), assignment)
    config = folder / "nbgrader_config.py"
    if not config.exists():
        write_whole(config, NBGRADER_CONFIG)
    return copied


def assignment(folder: Path, path: Path) -> Path:
    """The folder of a lab's copy in a course of nbgrader."""
    return folder / "source" / path.stem


def copy_for(notebook: NotebookNode, name: str, kind: str) -> NotebookNode:
    """Make a lab's notebook into a copy, and return it: cells for the exercises take the place of
    their text.

    Arguments:
        notebook: of nbformat.
        name: of its file.
        kind: of copy, one of `KINDS`.
    """
    cells = []
    for cell in notebook.cells:
        if cell.cell_type == "code":  # as if nobody had run it
            cell |= {"outputs": [], "execution_count": None}
        kept = {"tags", "jupyter", "cellView"} & cell.metadata.keys()
        cell.metadata = {key: cell.metadata[key] for key in sorted(kept)}
        if cell.cell_type == "markdown":
            tasks, cell.source = split_exercises(cell.source, name.partition("_")[0])
            for task in tasks:
                cells += KINDS[kind](task)
        if cell.source:
            cells.append(cell)
    notebook.metadata.pop("widgets", None)
    notebook.cells = cells
    return notebook


def split_exercises(text: str, lab: str) -> tuple[list[HomeworkTask], str]:
    """The exercises in a text of a lab, and the text behind the last of them."""
    tasks = list[HomeworkTask]()
    end = 0  # of the last exercise
    while match := EXERCISE.match(text, end):  # a search would begin at each letter of the rest
        key = f"{lab}-{match['number']}"
        check = CHECK.search(match["words"])
        tasks.append(
            HomeworkTask(
                key,
                text=f"{match['above']}{match['words']}".strip(),
                solution=match["solution"] or "",
                check=check["call"] if check else "",
                graded=check is not None and is_graded(key),
            )
        )
        end = match.end()
    if not tasks:
        return [], text
    return tasks, text[end:].strip("\n")


def is_graded(key: str) -> bool:
    """Whether an exercise has an answer that a grader's machine can know."""
    from cplab.lab.questions.checks import find_exercise

    return not find_exercise(key).own_training
