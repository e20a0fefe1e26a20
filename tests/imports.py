"""What is loaded when: `python tests/imports.py` loads the package, looks a result up, trains, and
loads the widgets of labs.

Prints JSON: the top-level modules that are loaded after each.
"""

import importlib
import json
import sys
from pathlib import Path

# What trains on a server and in worker processes
TRAINING = ("cplab.engine", "cplab.results", "cplab.measure", "cplab.models", "cplab.pictures.data")


def use_package():
    import cplab

    dir(cplab)
    assert cplab.Run("blur-2+flip", length=1, model="fc").timeline


def look_up():
    import cplab

    assert cplab.run(deficit="blur", length=8).source == "shipped"


def train():
    import cplab

    folder = Path(cplab.__file__).parent
    for path in sorted(folder.rglob("*.py")):
        name = ".".join(["cplab", *path.relative_to(folder).with_suffix("").parts])
        if name.startswith(TRAINING):
            importlib.import_module(name.removesuffix(".__init__"))
    cplab.run(profile="ci", dataset="drawn", recovery=1, device="cpu")

    import torch

    cplab.engine.gpu.branches.StepForAll([torch.zeros(1)], fused=False)


def use_widgets():
    from cplab import lab

    dir(lab)


if __name__ == "__main__":
    loaded = {}
    for step in (use_package, look_up, train, use_widgets):
        step()
        loaded[step.__name__] = sorted({name.partition(".")[0] for name in sys.modules})
    print(json.dumps(loaded))
