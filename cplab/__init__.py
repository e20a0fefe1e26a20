"""cplab: critical learning periods in deep networks, trained and looked at.

    import cplab
    record = cplab.run(deficit="blur", onset=0, length=8, profile="course", seed=0)
    record.accuracy, record.curve

The names below are the whole public interface; each is loaded when it is first used.
"""

import importlib
import os
import sys
from collections.abc import Callable
from typing import Any

from cplab.errors import installed

# Before torch is loaded: its threads wait for each other for a tenth of a millisecond before they
# leave their core. With no waiting a second thread gains nothing, with more it hinders others.
os.environ.setdefault("GOMP_SPINCOUNT", "30000")


def load_late(
    package: str, **modules: str
) -> tuple[list[str], Callable[[str], Any], Callable[[], list[str]]]:
    """A package's `__all__`, `__getattr__` and `__dir__`; its names are loaded when first used.
    Arguments: modules, of the package, each with its public names in one text."""
    homes = {name: module for module, names in modules.items() for name in names.split()}

    def find(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        with installed():
            value = getattr(importlib.import_module(f"{package}.{homes[name]}"), name)
        setattr(sys.modules[package], name, value)
        return value

    return list(homes), find, lambda: sorted({*vars(sys.modules[package]), *homes})


__all__, __getattr__, __dir__ = load_late(
    __name__,
    errors="CplabError",
    runs="Run",
    **{"specs.profiles": "PROFILES"},
    data="images images_from",
    deficits="deficit apply_deficit",
    models="model",
    measure="measurement",
    results="Result experiment run sweep find at_hand table",
    lab="Explorer",
)
__version__ = "0.1.0"
