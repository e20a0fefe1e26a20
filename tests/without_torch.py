"""Run labs where torch is not installed: `python tests/without_torch.py`.

A process in which torch and what comes with it cannot be imported. It loads the libraries of all
labs once, then waits for lines of JSON on its standard input: a lab's path and a folder for its
cache. Each lab runs in a fork, which changes nothing for the next one. The answer is a line of JSON
as well: what the lab printed, and each cell that failed with its error.
"""

import json
import os
import sys
from importlib.machinery import PathFinder

import nbformat

ABSENT = {"torch", "torchvision", "triton", "loky"}


class WithoutTorch:
    """Python's finder of modules, but for those that are absent."""

    find_distributions = PathFinder.find_distributions
    invalidate_caches = PathFinder.invalidate_caches

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] in ABSENT:
            return None
        return PathFinder.find_spec(name, path, target)


def load_libraries():
    """Import what every lab imports, so that each fork has it at once."""
    import bokeh.plotting  # noqa: F401
    import IPython.core.interactiveshell  # noqa: F401
    import ipywidgets  # noqa: F401
    import matplotlib.figure  # noqa: F401
    import pandas  # noqa: F401
    import pyarrow.parquet  # noqa: F401

    from cplab import lab, show  # noqa: F401


def play(path):
    """Run all cells of a lab; give what it printed, and which cells failed."""
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.utils.capture import capture_output

    shell = InteractiveShell.instance()
    printed, failed = "", []
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type != "code":
            continue
        with capture_output() as output:
            result = shell.run_cell(cell.source)
        printed += output.stdout
        if not result.success:
            failed.append(f"{cell.id}: {result.error_in_exec or result.error_before_exec!r}")
    return {"printed": printed, "failed": failed}


def answer(path, folder):
    """Play one lab in a fork, whose answer goes straight to standard output."""
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # requests are the parent's to read
        os.chdir(folder)
        os.environ.update(CPLAB_CACHE=folder, IPYTHONDIR=folder)
        line = json.dumps(play(path))
        print(line, file=sys.__stdout__, flush=True)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if status != 0:
        failed = [f"the process ended with status {status}"]
        print(json.dumps({"printed": "", "failed": failed}), flush=True)


if __name__ == "__main__":
    sys.meta_path[sys.meta_path.index(PathFinder)] = WithoutTorch
    load_libraries()
    for request in sys.stdin:
        answer(*json.loads(request))
