"""Specs: frozen dataclasses whose fields decide a result; their canonical string and key.

A default that changes nothing is left out of the key, so that a new field leaves all keys as they
were; such a default is never changed afterwards. Each class of specs has a version of its own.
"""

import hashlib
import importlib
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, TypeVar

SPECS: dict[str, Any] = {}  # by the name of the class
HOMES = ("cplab.runs", "cplab.pruning.specs")  # modules that register specs when they are loaded
Spec = TypeVar("Spec", bound=type)


def register(cls: Spec) -> Spec:
    """Make a class of specs known to the store, as a decorator.

    The class has `version`, to be raised by one whenever a change alters what a spec with the same
    fields would give; fields with the metadata `always` stand in every key.
    """
    SPECS[cls.__name__] = cls
    return cls


def plain(spec: Any) -> dict[str, Any]:
    """The fields of a spec by name, as plain data, without defaults that change nothing.

    >>> from cplab import Run
    >>> plain(Run(deficit="blur", length=4, momentum=0))["momentum"]
    0.0
    >>> "momentum" in plain(Run(deficit="blur", length=4))
    False
    """
    found = {}
    for f in fields(spec):
        value = getattr(spec, f.name)
        default = f.default_factory() if f.default_factory is not MISSING else f.default
        if f.metadata.get("always") or value != default:
            found[f.name] = as_plain(value)
    return found


def as_plain(value: Any) -> Any:
    """A field as plain data: a spec in it as a dictionary that names its kind."""
    if is_dataclass(value) and not isinstance(value, type):
        return {"kind": type(value).__name__, **plain(value)}
    return [as_plain(v) for v in value] if isinstance(value, tuple) else value


def kinds() -> dict[str, Any]:
    """All classes of specs by name.

    >>> kinds()["Run"]
    <class 'cplab.runs.Run'>
    """
    for home in HOMES:
        importlib.import_module(home)
    return SPECS


class Outdated(ValueError):
    """Of another version: not damaged, but what it says is no longer what its spec would give."""


def build_spec(kind: str, said: dict, version: int | None = None) -> Any:
    """The spec that `plain` described.

    Raises: ValueError for a kind that is none, Outdated for another version than `version`;
        CplabError for values that are not allowed.
    """
    if kind not in SPECS and kind not in kinds():
        raise ValueError(f"it is of an unknown kind, {kind!r}")
    cls: Any = SPECS[kind]
    if version is not None and version != cls.version:
        raise Outdated(f"it is of version {version}, this is {cls.version}")
    return cls(**{name: from_plain(value) for name, value in said.items()})


def from_plain(value: Any) -> Any:
    if isinstance(value, dict) and "kind" in value:
        return build_spec(value["kind"], {k: v for k, v in value.items() if k != "kind"})
    return tuple(from_plain(v) for v in value) if isinstance(value, list) else value


def canonical(spec: Any) -> str:
    """All that decides a result, as one line."""
    heading = getattr(spec, "heading", f"{type(spec).__name__} version")
    said = (f"{name}={value}" for name, value in plain(spec).items())
    return " ".join([f"{heading}={spec.version}", *said])


def key(spec: Any) -> str:
    """16 hexadecimal digits: the name of a spec's result.

    >>> from cplab import Run
    >>> key(Run(deficit="blur", length=4))
    '10da86ce08101b40'
    """
    return hashlib.sha256(canonical(spec).encode()).hexdigest()[:16]
