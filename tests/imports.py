"""What is loaded when: `python tests/imports.py` loads the package, looks a result up, and trains.

Prints JSON: the top-level modules that are loaded after each, and how much memory arrow holds after
the look-up.
"""

import importlib
import json
import sys
from pathlib import Path

# What trains on a server and in worker processes
TRAINING = ("cplab.engine", "cplab.results", "cplab.measure", "cplab.models", "cplab.data")


def loaded():
    """The top-level modules that are loaded."""
    return sorted({name.partition(".")[0] for name in sys.modules})


def use_package():
    import cplab

    dir(cplab)
    assert cplab.Run("blur-2+flip", length=1, model="fc").timeline


def look_up():
    import cplab

    assert cplab.run(deficit="blur", length=8).source == "shipped"


def memory():
    """The bytes that arrow holds."""
    import pyarrow

    return pyarrow.total_allocated_bytes()


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


if __name__ == "__main__":
    done = {}
    use_package()
    done["package"] = loaded()
    look_up()
    done["look-up"] = loaded()
    done["memory"] = memory()
    train()
    done["training"] = loaded()
    print(json.dumps(done))
