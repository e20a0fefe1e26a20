"""What is loaded when it is first used: torch, since names, colours and results cost nothing and
can be looked at where it is not installed; and the names of packages that draw."""

import importlib
import os
import sys
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch as torch
    import torch.nn.functional as F
    from torch import Tensor as Tensor
    from torch import nn as nn

# Before torch is loaded: its threads wait for each other for a tenth of a millisecond before they
# leave their core. With no waiting a second thread gains nothing, with more it hinders others.
os.environ.setdefault("GOMP_SPINCOUNT", "30000")


def late(name: str) -> Any:
    """A module that is imported when something of it is first used."""
    module: Any = ModuleType(name)
    module.__getattr__ = lambda wanted: getattr(importlib.import_module(name), wanted)
    return module


def load_late(
    package: str, **modules: str
) -> tuple[list[str], Callable[[str], Any], Callable[[], list[str]]]:
    """A package's `__all__`, `__getattr__` and `__dir__`; its names are loaded when first used.
    Arguments: modules, of the package, each with its public names in one text."""
    homes = {name: module for module, names in modules.items() for name in names.split()}

    def find(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f"{package}.{homes[name]}"), name)
        setattr(sys.modules[package], name, value)
        return value

    return list(homes), find, lambda: sorted({*vars(sys.modules[package]), *homes})


if not TYPE_CHECKING:
    torch, nn, F = late("torch"), late("torch.nn"), late("torch.nn.functional")
    Tensor = "torch.Tensor"  # for annotations
