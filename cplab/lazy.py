"""Packages that load their names when these are first used: `import cplab` loads no torch."""

import importlib
import sys
from collections.abc import Callable
from typing import Any

from cplab.errors import installed


def load_late(
    package: str, **modules: str
) -> tuple[list[str], Callable[[str], Any], Callable[[], list[str]]]:
    """A package's `__all__`, `__getattr__` and `__dir__`.

    Arguments: package, its `__name__`; modules of it, each with its public names in one text.
    """
    homes = {name: module for module, names in modules.items() for name in names.split()}

    def find(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        with installed():
            value = getattr(importlib.import_module(f"{package}.{homes[name]}"), name)
        setattr(sys.modules[package], name, value)
        return value

    return list(homes), find, lambda: sorted({*vars(sys.modules[package]), *homes})
