"""torch, which is loaded when something of it is first used: names, colours and results cost
nothing, and can be looked at where it is not installed."""

import importlib
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch as torch
    import torch.nn.functional as F
    from torch import Tensor as Tensor
    from torch import nn as nn


def late(name: str) -> Any:
    """A module that is imported when something of it is first used."""
    module: Any = ModuleType(name)
    module.__getattr__ = lambda wanted: getattr(importlib.import_module(name), wanted)
    return module


if not TYPE_CHECKING:
    torch, nn, F = late("torch"), late("torch.nn"), late("torch.nn.functional")
    Tensor = "torch.Tensor"  # for annotations
