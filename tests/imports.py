"""What is loaded when: `python tests/imports.py` loads the package, looks a result up, and trains.

Prints JSON: the top-level modules that are loaded after each, and how much memory arrow holds after
the look-up. In a fork it also looks at results in all other ways, which load what draws.
"""

import importlib
import json
import os
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


def look_in_all_ways():
    """Look at results in a fork. Returns: the modules that are loaded in it."""
    told, end = os.pipe()
    if os.fork() == 0:
        import cplab.show

        cplab.Explorer()
        assert "pandas" not in sys.modules
        cplab.show.bars({"blur": [1.0, 2.0]}, "harm")._repr_html_()
        assert "matplotlib.pyplot" not in sys.modules
        cplab.results_table()
        os.write(end, json.dumps(loaded()).encode())
        os._exit(0)
    os.close(end)
    with os.fdopen(told) as pipe:
        return json.load(pipe)


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
    if hasattr(os, "fork"):
        done["looks"] = look_in_all_ways()
    train()
    done["training"] = loaded()
    print(json.dumps(done))
