"""The picture under the title of each lab, from the shipped results.

    python docs/first_pictures.py 02b 04    # those of these labs; without a number, all

A lab's module draws it: `cplab.labs.lab02b.first_picture()` becomes docs/pictures/lab02b.png.
"""

import sys
from importlib import import_module
from pathlib import Path

from cplab import quantities, show

ROOT = Path(__file__).parent.parent


def main(numbers: list[str]) -> None:
    """Write the pictures of the labs with these numbers, or of all labs."""
    modules = sorted((ROOT / "cplab" / "labs").glob("lab*.py"))
    every = [path.stem.removeprefix("lab") for path in modules if "_" not in path.stem]
    for number in numbers or every:
        module = import_module(f"cplab.labs.lab{number}")
        with quantities.shipped_only():
            show.save(module.first_picture(), ROOT / "docs" / "pictures" / f"lab{number}.png", 1200)


if __name__ == "__main__":
    main(sys.argv[1:])
