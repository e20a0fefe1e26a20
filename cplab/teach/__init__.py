"""The labs as files, and copies of them for students and teachers.

The copies are made from the labs' own text, without outputs: nobody's answers are in them. In the
instructors' copies each solution is a cell that nbgrader and otter-grader read and remove; in the
students' copies its place is empty.
"""

import json
import re
import textwrap
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cplab.errors import CplabError, quote

CLONE = Path(__file__).parents[2] / "labs"  # in a clone of the repository
INSTALLED = Path(__file__).parents[1] / "labs"  # in an installed wheel

# An exercise with its solution, and the text before it; the call in its text that checks an answer
SOLUTION = r"<details><summary>Solution</summary>\n\n(.*?)</details>\n*"
EXERCISE = re.compile(rf"(.*?)(\*\*Exercise (\d+)\.\*\*.*?)\n*{SOLUTION}", re.S)
CHECK = re.compile(r"`(lab\.check\(.+?\))`")
PICTURE = re.compile(r"(!\[.*?\]\()\.\./(docs/pictures/([\w.]+))\)")
SCROLLS = '<div style="overflow-x:auto"><div style="min-width:640px">\n\n{}\n\n</div></div>'


def labs(name: str = "") -> list[Path]:
    """The notebooks of the labs whose file names begin with `name`, in order.

    >>> [path.name[:2] for path in labs()][:2]
    ['00', '01']
    """
    paths = sorted((CLONE if CLONE.is_dir() else INSTALLED).glob("[0-9][0-9]*_*.ipynb"))
    chosen = [path for path in paths if path.name.startswith(name)]
    if not chosen:
        names = ", ".join(path.stem for path in paths)
        raise CplabError(f"no lab {quote(name)}: choose one of {names}")
    return chosen


def portable(path: Path) -> str:
    """Read a lab as text that may lie anywhere: pictures are in it, and scroll on a phone."""
    notebook = json.loads(path.read_text("utf-8"))
    for cell in notebook["cells"]:
        text = "".join(cell["source"])
        for _, place, name in PICTURE.findall(text):
            picture = b64encode((path.parents[1] / place).read_bytes()).decode()
            cell.setdefault("attachments", {})[name] = {"image/png": picture}
            cell["source"] = PICTURE.sub(SCROLLS.format(r"\1attachment:\3)"), text)
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def copy_labs(folder: Path, copy: Callable[[Path], str] = portable) -> tuple[int, int]:
    """Copy the labs into a folder, never over a file that is there.

    Arguments: folder; copy, from a lab's path to the text of its copy, by default the lab's own.
    Returns: how many files are new there, and how many were there already.
    Raises: CplabError where they cannot be written.
    """
    paths = labs()
    try:
        new = [path for path in paths if not (folder / path.name).exists()]
        folder.mkdir(parents=True, exist_ok=True)
        for path in new:
            (folder / path.name).write_text(copy(path), "utf-8")
    except OSError as error:
        raise CplabError(f"{folder} cannot be written ({error}): name another folder") from error
    return len(new), len(paths) - len(new)


def build_all(folder: Path, solutions: bool) -> tuple[int, int]:
    """Write copies of all labs for students, or with solutions for teachers, by `copy_labs`."""
    from nbformat import reads, writes

    def copy(path: Path) -> str:
        return writes(copy_for(reads(portable(path), as_version=4), path.stem, solutions))

    return copy_labs(folder, copy)


def copy_for(notebook: Any, name: str, solutions: bool) -> Any:
    """Make a notebook into a copy of a lab, and return it: each exercise is followed by a cell for
    its answer, or by its solution.

    Arguments: notebook, of nbformat; name of its file; solutions, whether the copy is for those who
        teach.
    """
    from nbformat import v4

    config = v4.new_raw_cell(f"# ASSIGNMENT CONFIG\nname: {name}", id="assignment")
    cells = [config] if solutions else []
    for cell in notebook.cells:
        if cell.cell_type == "code":  # as if nobody had run it
            cell |= {"outputs": [], "execution_count": None}
        kept = {"tags", "jupyter", "cellView"} & cell.metadata.keys()
        cell.metadata = {key: cell.metadata[key] for key in sorted(kept)}
        last = 0
        for found in EXERCISE.finditer(cell.source) if cell.cell_type == "markdown" else ():
            before, task, number, solution = found.groups()
            key, text = f"{name.partition('_')[0]}-{number}", f"{before}{task}".strip()
            cells += exercise(key, text, solution if solutions else "")
            last = found.end()
        cell.source = cell.source[last:].strip("\n" if last else "")
        cells += [cell] if cell.source else []
    notebook.metadata.pop("widgets", None)
    notebook.cells = cells
    return notebook


def exercise(key: str, text: str, solution: str) -> list[Any]:
    """The cells of an exercise: its text, then room for an answer, or a solution as nbgrader and
    otter-grader read it; and the check that its text names."""
    from nbformat import v4

    question = v4.new_markdown_cell(text, id=f"exercise-{key}")
    tags = {"tags": ["check"]}
    calls = CHECK.findall(text)
    checks = [v4.new_code_cell(call, id=f"check-{key}", metadata=tags) for call in calls]
    if not solution:
        room = f"# Exercise {key}: your answer" + "\nanswer = ..." * bool(checks)
        answer = v4.new_code_cell(room, id=f"answer-{key}", metadata={"tags": ["answer"]})
        return [question, answer, *checks]
    lines = []
    for i, block in enumerate(re.split(r"```python\n(.*?)```", solution, flags=re.S)):
        prose = textwrap.indent(textwrap.fill(" ".join(block.split()), 96), "# ")
        lines += [part for part in [block.strip() if i % 2 else prose] if part]
    source = "\n".join(["# BEGIN SOLUTION", *lines, "# END SOLUTION"])
    graded = {"schema_version": 3, "points": 1, "grade_id": f"exercise-{key}", "cell_type": "code"}
    graded |= {"solution": True, "grade": True, "task": False, "locked": False}
    meta = {"tags": ["solution"], "nbgrader": graded}
    config = f"# BEGIN QUESTION\nname: exercise-{key}\nmanual: true\npoints: 1"
    return [
        v4.new_raw_cell(config, id=f"begin-{key}"),
        question,
        # in small letters, which otter reads too; in capitals nbgrader would expect an end here
        v4.new_raw_cell("# begin solution", id=f"from-{key}"),
        v4.new_code_cell(source, id=f"solution-{key}", metadata=meta),
        v4.new_raw_cell("# end solution", id=f"to-{key}"),
        v4.new_raw_cell("# END QUESTION", id=f"end-{key}"),
        *checks,
    ]
