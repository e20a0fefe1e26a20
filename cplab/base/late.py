"""torch, loaded when it is first used.

Importing cplab, and looking at names, colours and results, then takes no time for torch, and is
possible where it is not installed.
"""

import importlib
import os
from types import ModuleType
from typing import TYPE_CHECKING, Any

from cplab.base.errors import installed

if TYPE_CHECKING:
    import torch as torch
    import torch.nn.functional as F
    from torch import Tensor as Tensor
    from torch import nn as nn

# torch's threads wait for each other for a tenth of a millisecond before they give up their core.
# If they did not wait, a second thread would gain nothing; if they waited longer, they would hinder
# other processes. This must be set before torch is loaded.
os.environ.setdefault("GOMP_SPINCOUNT", "30000")


def late(name: str) -> Any:
    """A module that is imported when something of it is first used. That raises a CplabError if it
    is not installed."""
    module: Any = ModuleType(name)

    @installed()
    def load(attribute: str) -> Any:
        """An attribute of the module, which is now imported."""
        return getattr(importlib.import_module(name), attribute)

    module.__getattr__ = load
    return module


if not TYPE_CHECKING:
    torch = late("torch")
    nn = late("torch.nn")
    F = late("torch.nn.functional")
    Tensor = "torch.Tensor"  # for annotations
