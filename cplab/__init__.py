"""cplab: critical learning periods in deep networks, trained and looked at.

    import cplab
    record = cplab.run(deficit="blur", onset=0, length=8, profile="course", seed=0)
    record.accuracy, record.curve

The names below are the whole public interface; each is loaded when it is first used.
"""

import importlib

_HOME = {
    "CplabError": "experiment",
    "Run": "experiment",
    "PROFILES": "experiment",
    "images": "data",
    "see": "deficits",
    "Record": "records",
    "run": "records",
    "sweep": "records",
    "Explorer": "explore",
}

__all__ = list(_HOME)
__version__ = "0.1.0"


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module 'cplab' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"cplab.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__():
    return sorted([*globals(), *_HOME])
