"""What other code has done to torch itself, which every network would then compute with.

A cell that sets `F.relu = F.gelu`, or puts a hook on all layers, changes what the package's own
networks are, under the same name and key; and worker processes, which load torch anew, know nothing
of it. So nothing is trained or measured as long as it is there.
"""

import re
from collections.abc import Iterator
from operator import is_
from pathlib import Path
from types import BuiltinFunctionType, FunctionType

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.modules import module

from cplab.errors import Disturbed

# What torch itself computes with; other code may add names of its own
CHECKED_NAMES = {
    torch: {*torch.functional.__all__, *dir(torch._C._VariableFunctions)},
    F: {*re.findall(r"^(?:def )?([a-z]\w*)(?: = |\()", Path(F.__file__).read_text("utf-8"), re.M)},
}
LAYERS = [layer for layer in vars(nn).values() if hasattr(layer, "forward")]
LAYERS.remove(nn.Module)  # whose forward stands for one that is missing
_sound: list[object] = []  # what torch held when all its functions were last found to be its own


def check_patches() -> None:
    """Raise Disturbed if a function or a layer of torch is no longer torch's own, or if there are
    hooks on all layers."""
    hooks = [name for name in vars(module) if name.startswith("_global_") and "hooks" in name]
    if any(getattr(module, name) for name in hooks):
        what = "other code has put hooks on all layers of torch, which may change every number"
        raise Disturbed(f"{what}: remove them, or restart Python, and ask again")
    held = [*vars(torch).values(), *vars(F).values(), *(layer.forward for layer in LAYERS)]
    if len(held) == len(_sound) and all(map(is_, held, _sound)):
        return  # a look at each name takes as long as a small epoch
    replaced = []
    for address, name, value in functions_of_torch():
        if is_replaced(name, value):
            replaced.append(address)
    if replaced:
        raise Disturbed(
            f"other code has replaced {', '.join(replaced)}, with which every network computes: "
            "put torch's own back, or restart Python, and ask again; write what a network "
            "of your own computes in its class (@cplab.model)"
        )
    _sound[:] = held


def functions_of_torch() -> Iterator[tuple[str, str, object]]:
    """The public functions of torch, and what its layers do in a pass: address, name and value."""
    for home, names in CHECKED_NAMES.items():
        for name in sorted(names & vars(home).keys()):
            if name[0] != "_":
                yield f"{home.__name__}.{name}", name, vars(home)[name]
    for layer in LAYERS:
        if "forward" in vars(layer):  # others have that of their parent
            name = f"{layer.__name__}.forward"
            yield f"torch.nn.{name}", name, layer.forward


def is_replaced(name: str, value: object) -> bool:
    """Whether what torch has under a name is not its own function of that name."""
    if isinstance(value, FunctionType):
        home = str(value.__globals__.get("__name__"))  # no decorator can change that
        if home.partition(".")[0] != "torch":
            return True
    elif not isinstance(value, BuiltinFunctionType):
        return True
    names = (value.__qualname__, value.__name__.lstrip("_"), value.__name__.replace("_", ""))
    return name not in names
