"""The labs as files, and copies of them for students and teachers.

The copies are made from the labs' own text, without outputs: nobody's answers are in them. In the
instructors' copies each solution is a cell that nbgrader and otter-grader read and remove; in the
students' copies its place is empty.
"""

import json
import re
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cplab.errors import CplabError, quote, require

CLONE = Path(__file__).parents[2] / "labs"  # in a clone of the repository
INSTALLED = Path(__file__).parents[1] / "labs"  # in an installed wheel

# An exercise with its solution, and the text before it.
SOLUTION = r"<details><summary>Solution</summary>\n\n(.*?)</details>\n*"
EXERCISE = re.compile(rf"(.*?)(\*\*Exercise (\d+)\.\*\*.*?)\n*{SOLUTION}", re.S)


def labs(name: str = "") -> list[Path]:
    """The notebooks of the labs whose file names begin with `name`, in order.

    >>> [path.name[:2] for path in labs()][:2]
    ['01', '02']
    """
    home = CLONE if CLONE.is_dir() else INSTALLED
    paths = sorted(home.glob("[0-9][0-9]*_*.ipynb"))
    chosen = [path for path in paths if path.name.startswith(name)]
    names = ", ".join(path.stem for path in paths)
    require(chosen, f"no lab {quote(name)}: choose one of {names}")
    return chosen


def copy_labs(folder: Path, copy: Callable[[Path], bytes] = Path.read_bytes) -> tuple[int, int]:
    """Copy the labs into a folder, never over a file that is there.

    Arguments: folder; copy, from a lab's path to the bytes of its copy, by default the lab's own.
    Returns: how many files are new there, and how many were there already.
    Raises: CplabError where they cannot be written.
    """
    paths = labs()
    new = [path for path in paths if not (folder / path.name).exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path in new:
            (folder / path.name).write_bytes(copy(path))
    except OSError as error:
        raise CplabError(f"{folder} cannot be written ({error}): name another folder") from error
    return len(new), len(paths) - len(new)


def build_all(folder: Path, solutions: bool) -> tuple[int, int]:
    """Write copies of all labs for students, or with solutions for teachers, by `copy_labs`."""

    def copy(path: Path) -> bytes:
        notebook = copy_for(json.loads(path.read_text("utf-8")), path.stem, solutions)
        return (json.dumps(notebook, indent=1, ensure_ascii=False) + "\n").encode()

    return copy_labs(folder, copy)


def copy_for(notebook: dict, name: str, solutions: bool) -> dict:
    """Make a copy of a lab: each exercise is followed by a cell for its answer, or by its solution.

    Arguments: notebook, its JSON, which is not changed; name of its file; solutions, whether the
        copy is for those who teach.
    """
    config = f"# ASSIGNMENT CONFIG\nname: {name}"
    cells = [new_cell("raw", "assignment", config)] if solutions else []
    for cell in notebook["cells"]:
        text = "".join(cell["source"])
        exercises = EXERCISE.findall(text) if cell["cell_type"] == "markdown" else []
        if not exercises:
            cells.append(without_traces(cell))
            continue
        for before, task, number, solution in exercises:
            key = f"{name.partition('_')[0]}-{number}"
            prompt = "\n\n".join(filter(None, (before.strip(), task.strip())))
            cells += with_solution(key, prompt, solution) if solutions else to_do(key, prompt)
        if rest := EXERCISE.sub("", text).strip():
            cells.append(new_cell("markdown", f"{cell['id']}-end", rest))
    metadata = {k: v for k, v in notebook["metadata"].items() if k != "widgets"}
    return notebook | {"cells": cells, "metadata": metadata}


def without_traces(cell: dict) -> dict:
    """A cell as if nobody had run it."""
    kept = {k: v for k, v in cell["metadata"].items() if k in ("tags", "jupyter", "cellView")}
    run: dict = {"outputs": [], "execution_count": None} if cell["cell_type"] == "code" else {}
    return cell | run | {"metadata": kept}


def to_do(key: str, text: str) -> list[dict]:
    """The cells of an exercise for students: the question, and room for the answer."""
    checked = re.search(r"`lab\.check\([^`]*\banswer,", text)
    source = f"# Exercise {key}: your answer" + ("\nanswer = ..." if checked else "")
    answer = new_cell("code", f"answer-{key}", source, ["answer"])
    return [new_cell("markdown", f"exercise-{key}", text), answer]


def with_solution(key: str, text: str, solution: str) -> list[dict]:
    """The cells of an exercise with its solution, as nbgrader and otter-grader read them."""
    lines = []
    for i, block in enumerate(re.split(r"```python\n(.*?)```", solution, flags=re.S)):
        if i % 2:
            lines.append(block.strip())
        elif block.strip():
            lines.append(textwrap.indent(textwrap.fill(" ".join(block.split()), 96), "# "))
    source = "\n".join(["# BEGIN SOLUTION", *lines, "# END SOLUTION"])
    graded: dict[str, Any] = {"schema_version": 3, "solution": True, "grade": True, "task": False}
    graded |= {"locked": False, "grade_id": f"exercise-{key}", "points": 1, "cell_type": "code"}
    question = f"# BEGIN QUESTION\nname: exercise-{key}\nmanual: true\npoints: 1"
    return [
        new_cell("raw", f"begin-{key}", question),
        new_cell("markdown", f"exercise-{key}", text),
        # in small letters, which otter reads too; in capitals nbgrader would expect an end here
        new_cell("raw", f"from-{key}", "# begin solution"),
        new_cell("code", f"solution-{key}", source, ["solution"], nbgrader=graded),
        new_cell("raw", f"to-{key}", "# end solution"),
        new_cell("raw", f"end-{key}", "# END QUESTION"),
    ]


def new_cell(kind: str, name: str, source: str, tags: Sequence[str] = (), **metadata: Any) -> dict:
    """Make a cell in a notebook's JSON."""
    metadata |= {"tags": [*tags]} if tags else {}
    cell = {"cell_type": kind, "id": name, "metadata": metadata}
    outputs: dict[str, Any] = {"execution_count": None, "outputs": []} if kind == "code" else {}
    return cell | outputs | {"source": source.splitlines(keepends=True)}
