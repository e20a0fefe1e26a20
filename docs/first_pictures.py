"""The picture under the title of each lab, and README's first one, from the shipped results.

    python docs/first_pictures.py lab02 flagship    # these; without a name, all

A lab's picture is drawn by `first_picture` of its module, and becomes docs/pictures/labNN.png.
"""

import sys
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from cplab import quantities, show, teach
from cplab.runs import Run
from cplab.show import Figure

PICTURES = Path(__file__).parent / "pictures"


def flagship() -> Figure:
    """Draw the finding, which is README's first picture: the same blur early and late."""
    early = Run("blur", length=16, model="depth3", schedule="fixed", recovery=60)
    late = replace(early, onset=24)
    runs = {f"blurred {show.age(run)}": run for run in (early, late)}
    return show.clear_epochs(runs, height=400)


def every() -> dict[str, Callable[[], Figure]]:
    """What draws each picture, by the name of its file."""
    drawn_by: dict[str, Callable[[], Figure]] = {"flagship": flagship}
    for path in teach.labs():
        name = "lab" + path.name.partition("_")[0]
        drawn_by[name] = import_module(f"cplab.labs.{name}").first_picture
    return drawn_by


def main(names: list[str]) -> None:
    """Write the pictures of these names, or all."""
    drawn_by = every()
    for name in names or drawn_by:
        with quantities.shipped_only():
            figure = drawn_by[name]()
            width = 960 if name == "flagship" else 1200
            show.save(figure, PICTURES / f"{name}.png", width)


if __name__ == "__main__":
    main(sys.argv[1:])
