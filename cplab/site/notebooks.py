"""What a notebook shows: its cells run here, and what each of them displays is caught as it is."""

import ast
import io
import json
import linecache
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import IPython.display
from IPython.core.inputtransformer2 import TransformerManager

from cplab import data
from cplab.checks import CplabError

UNPUBLISHED = ("cifar10",)  # sets whose images a page may not show; practice images stand for them


@dataclass
class Cell:
    """A cell: its text, whether that is Python, and what objects it displayed when it ran."""

    source: str
    python: bool
    shown: list[Any] = field(default_factory=list)


def cells_of(path: Path) -> list[Cell]:
    """The cells of a notebook, none of which has run."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [Cell("".join(one["source"]), one["cell_type"] != "markdown") for one in cells]


def run_notebook(path: Path) -> list[Cell]:
    """Run a notebook's cells and return them with what they displayed.

    Raises: CplabError with the number of a cell that fails.
    """
    names: dict[str, Any] = {"__name__": "__main__"}
    cells = cells_of(path)
    for number, cell in enumerate(cells):
        if cell.python:
            try:
                with capture_output(cell.shown):
                    run_cell(cell.source, f"<{path.stem}, cell {number}>", names)
            except Exception as error:
                what = f"{type(error).__name__}: {error}"
                raise CplabError(
                    f"cell {number} of {path.name} failed ({what}): mend it"
                ) from error
    return cells


def run_cell(source: str, name: str, names: dict[str, Any]) -> None:
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
            IPython.display.display(value)


@contextmanager
def capture_output(shown: list[Any]) -> Iterator[None]:
    """Put in a list what is printed and displayed meanwhile, in its order."""
    printed = io.StringIO()

    def keep(*objects: Any, **_: Any) -> None:
        if text := printed.getvalue():
            shown.append(text)
            printed.seek(0)
            printed.truncate()
        shown.extend(objects)

    with (
        patch("bokeh.io.show", keep),
        patch("IPython.display.display", keep),
        redirect_stdout(printed),
    ):
        yield
        keep()


@contextmanager
def practice_pictures() -> Iterator[None]:
    """Let what is looked at be practice images where a page may not show those of a set."""
    known = data.is_here
    with patch("cplab.data.is_here", lambda name: name not in UNPUBLISHED and known(name)):
        yield
