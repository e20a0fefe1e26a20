"""Run a lab where torch is not installed: `python tests/without_torch.py labs/03_….ipynb`.

A process of its own, in which torch and what comes with it cannot be found. Each cell that fails is
printed with its error, and after them all that the lab printed.
"""

import sys
from importlib.machinery import PathFinder
from pathlib import Path

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


def main(path):
    """Run all cells of a lab, and exit with 1 if one fails."""
    sys.meta_path[sys.meta_path.index(PathFinder)] = WithoutTorch
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.utils.capture import capture_output

    shell, failed = InteractiveShell.instance(), False
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            with capture_output() as output:
                result = shell.run_cell(cell.source)
            sys.stdout.write(output.stdout)
            if not result.success:
                failed = True
                print(f"FAILED {cell.id}: {result.error_in_exec or result.error_before_exec!r}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
