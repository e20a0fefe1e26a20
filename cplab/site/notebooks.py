"""What a notebook shows: its cells run here, and what each of them displays is caught as it is."""

import ast
import io
import json
import linecache
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

from IPython.core.inputtransformer2 import TransformerManager

from cplab import data
from cplab.checks import CplabError

HIDDEN = ("cifar10",)  # sets whose images a page may not show; practice images stand for them


@dataclass
class Cell:
    """A cell: its text, and what it displayed, if it is Python: texts, widgets, figures and other
    objects."""

    source: str
    python: bool
    shown: list[Any] = field(default_factory=list)


def cells_of(path: Path) -> Iterator[tuple[str, list[str]]]:
    """The text of each cell of a notebook, and its tags; "markdown" is one for those."""
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        tags = list(cell["metadata"].get("tags", ()))
        kind = ["markdown"] if cell["cell_type"] == "markdown" else []
        yield "".join(cell["source"]), tags + kind


def run_notebook(path: Path, profile: str = "auto") -> list[Cell]:
    """Run a notebook's cells and return them with what they displayed.

    Arguments: path; profile, what the cell of parameters says.
    Raises: CplabError with the number of a cell that fails.
    """
    names: dict[str, Any] = {"__name__": "__main__"}
    found: list[Cell] = []
    for number, (source, tags) in enumerate(cells_of(path)):
        cell = Cell(source, "markdown" not in tags)
        found.append(cell)
        if "parameters" in tags:
            source = f"profile = {profile!r}"
        if cell.python:
            try:
                with caught(cell.shown):
                    run_cell(source, f"<{path.stem}, cell {number}>", names, cell.shown)
            except Exception as error:
                what = f"{type(error).__name__}: {error}"
                raise CplabError(
                    f"cell {number} of {path.name} failed ({what}): mend it"
                ) from error
    return found


def run_cell(source: str, name: str, names: dict[str, Any], shown: list[Any]) -> None:
    """Run some Python as a notebook does: its last expression is displayed."""
    source = TransformerManager().transform_cell(source)
    # functions of one's own are keyed by their source, which is looked for here
    linecache.cache[name] = len(source), None, source.splitlines(keepends=True), name
    tree = ast.parse(source, name)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, name, "exec"), names)
    if isinstance(last, ast.Expr):
        value = eval(compile(ast.Expression(last.value), name, "eval"), names)
        if value is not None and not source.rstrip().endswith(";"):
            shown.append(value)


class Printed(io.StringIO):
    """What is printed, in its place among what is displayed."""

    def __init__(self, shown: list[Any]) -> None:
        super().__init__()
        self.shown = shown

    def write(self, text: str) -> int:
        if self.shown and isinstance(self.shown[-1], Text):
            self.shown[-1] = Text(self.shown[-1] + text)
        else:
            self.shown.append(Text(text))
        return len(text)


class Text(str):
    """What was printed."""


@contextmanager
def caught(shown: list[Any]) -> Iterator[None]:
    """Put in a list what is printed and displayed meanwhile."""

    def display(*objects: Any, **_: Any) -> None:
        shown.extend(objects)

    with ExitStack() as stack:
        for place in ("bokeh.io.show", "IPython.display.display"):
            stack.enter_context(patch(place, display))
        stack.enter_context(redirect_stdout(Printed(shown)))
        yield


@contextmanager
def practice_pictures() -> Iterator[None]:
    """Let what is looked at be practice images where a page may not show those of a set."""
    known = data.is_here
    with patch("cplab.data.is_here", lambda name: name not in HIDDEN and known(name)):
        yield
