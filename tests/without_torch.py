"""Runs the code cells of notebooks in one process that has no torch, no images and no network.

    python tests/without_torch.py labs/01_kitten_analogy.ipynb ...

It ends with 1 where a cell raises, whose traceback then stands in the output.
"""

import json
import socket
import sys
from importlib.machinery import PathFinder
from pathlib import Path

from IPython.core.interactiveshell import InteractiveShell


def refuse(*arguments):
    raise OSError("there is no network here")


def main(notebooks):
    find, lacking = PathFinder.find_spec, {"torch", "torchvision"}
    PathFinder.find_spec = lambda name, *more: None if name in lacking else find(name, *more)
    socket.socket.connect = refuse
    shell, raised = InteractiveShell.instance(), []
    shell.kernel = object()  # what tells a notebook's shell from a terminal's
    for notebook in notebooks:
        shell.reset()
        for cell in json.loads(Path(notebook).read_text(encoding="utf8"))["cells"]:
            is_code = cell["cell_type"] == "code"
            if is_code and not shell.run_cell("".join(cell["source"])).success:
                raised.append(f"{Path(notebook).stem}: {cell['id']}")
    print("raised:", *raised or ["nothing"])
    return bool(raised)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
