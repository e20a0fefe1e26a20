"""Speed of what a reader waits for: looking a result up, and opening the explorer."""

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from functools import partial

import torch
from PIL.Image import Image

import cplab
from benchmarks.timing import Row, in_turn, make_row

IMPORT = "import cplab"
LOOKUP = """
import timeit, cplab
print(timeit.timeit(lambda: cplab.run(deficit="blur", length=8), number=1))
"""


def lookup(device: torch.device, dataset: str) -> Iterator[Row]:
    """Measure a look-up of a shipped result in a fresh Python against a Python without imports."""
    for name, code in {"lookup": LOOKUP, "import": IMPORT}.items():
        pairs = in_turn(partial(run_python, code), partial(run_python, "pass"))
        yield make_row(name, "s", pairs, f"a fresh Python: {name} / nothing")


def run_python(code: str) -> None:
    """Run code in a fresh Python."""
    subprocess.run((sys.executable, "-c", code), capture_output=True, check=True)


def explorer(device: torch.device, dataset: str) -> Iterator[Row]:
    """Measure building the explorer and its page again, against writing what it shows: its content
    as JSON and its picture as a PNG."""
    first = cplab.Explorer()
    first.page()
    picture = first.figure.drawn()
    pairs = in_turn(build_explorer, partial(write_plainly, first.content, picture))
    comparison = "the explorer and its page, again / its content as JSON and its picture as PNG"
    yield make_row("explorer", "ms", pairs, comparison, 1000)


def build_explorer() -> None:
    """Build an explorer from the shipped results, and its page."""
    cplab.Explorer().page()


def write_plainly(content: object, picture: Image) -> None:
    """Write content as JSON and a picture as a PNG."""
    json.dumps(content)
    picture.save(io.BytesIO(), "png")
