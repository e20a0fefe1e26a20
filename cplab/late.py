"""torch, which is loaded when something of it is first used: names, colours and results cost
nothing, and can be looked at where it is not installed."""

import importlib
import os
from types import ModuleType
from typing import TYPE_CHECKING, Any

from cplab.errors import installed

if TYPE_CHECKING:
    import torch as torch
    import torch.nn.functional as F
    from torch import Tensor as Tensor
    from torch import nn as nn

# Before torch is loaded: its threads wait for each other for a tenth of a millisecond before they
# leave their core. With no waiting a second thread gains nothing, with more it hinders others.
os.environ.setdefault("GOMP_SPINCOUNT", "30000")


def late(name: str) -> Any:
    """A module that is imported when something of it is first used. Raises: CplabError."""
    module: Any = ModuleType(name)
    module.__getattr__ = installed()(lambda of: getattr(importlib.import_module(name), of))
    return module


if not TYPE_CHECKING:
    torch, nn, F = late("torch"), late("torch.nn"), late("torch.nn.functional")
    Tensor = "torch.Tensor"  # for annotations
