"""Specs: frozen dataclasses whose fields decide a result; their canonical string and key.

A default that changes nothing is left out of the key, so that a new field leaves all keys as they
were; such a default is never changed afterwards. Each class of specs has a version of its own.
"""

import hashlib
import importlib
import math
import pkgutil
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass, replace
from typing import Any, TypeVar

from cplab.checks import one_of, quote, require
from cplab.studies import SPECS as STUDIES

SPECS: dict[str, Any] = {}  # by the name of the class
HOMES = (
    "cplab.runs",
    *dict.fromkeys(place.partition(":")[0] for place in STUDIES.values()),
)  # whose import registers specs
Spec = TypeVar("Spec", bound=type)


def register(cls: Spec) -> Spec:
    """Make a class of specs known to the store, as a decorator.

    The class has `version`, to be raised by one whenever a change alters what a spec with the same
    fields would give, `form`, what its values are (see misfit), and `trained_by` (see trainer);
    fields with the metadata `always` stand in every key.
    """
    # What goes to another process with every report: the fields, and nothing kept beside them.
    setattr(cls, "__getstate__", lambda one: {f.name: getattr(one, f.name) for f in fields(one)})  # noqa: B010
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
        if f.metadata.get("always") or value != f.default:
            found[f.name] = as_plain(value)
    return found


def as_plain(value: Any) -> Any:
    """A field as plain data: a spec in it as a dictionary that names its kind."""
    if is_dataclass(value) and not isinstance(value, type):
        return {"kind": type(value).__name__, **plain(value)}
    return [as_plain(v) for v in value] if isinstance(value, tuple) else value


def kinds() -> dict[str, Any]:
    """All classes of specs that have results, by name.

    >>> kinds()["Run"]
    <class 'cplab.runs.Run'>
    """
    for home in HOMES:
        importlib.import_module(home)
    return {name: cls for name, cls in SPECS.items() if hasattr(cls, "trained_by")}


def check_spec(spec: Any) -> Any:
    """`spec`, if it is one. Raises CplabError."""
    fine = is_dataclass(spec) and not isinstance(spec, type) and hasattr(spec, "version")
    require(fine, f"{quote(spec)} is no run: give cplab.Run(...) or another spec")
    return spec


def alter(like: Any, values: dict[str, Any]) -> Any:
    """A spec of a class, or one that differs from another in these values.

    Raises: CplabError for names that are none of its fields, or that are missing.

    >>> from cplab import Run
    >>> alter(Run(seed=3), {"onset": 4}).call()
    "cplab.run(deficit='none', onset=4, length=0, profile='course', seed=3)"
    """
    kind = like if isinstance(like, type) and is_dataclass(like) else type(check_spec(like))
    names = {f.name: f.default is MISSING for f in fields(kind)}
    for name in values:
        one_of(f"field of {kind.__name__}", name, names)
    if kind is not like:
        return replace(like, **values)
    lacking = ", ".join(name for name, needed in names.items() if needed and name not in values)
    require(not lacking, f"{kind.__name__} needs {lacking}: give each a value")
    return kind(**values)


class Outdated(ValueError):
    """Of another version: not damaged, but what it says is no longer what its spec would give."""


def build_spec(kind: str, values: dict, version: int | None = None) -> Any:
    """The spec that `plain` described.

    Raises: ValueError for a kind that is none, Outdated for another version than `version`;
        TypeError for fields that it has not; CplabError for values that are not allowed.
    """
    if not isinstance(kind, str) or (kind not in SPECS and kinds() and kind not in SPECS):
        raise ValueError(f"it is of an unknown kind, {kind!r:.40}")
    cls: Any = SPECS[kind]
    if version is not None and version != cls.version:
        raise Outdated(f"it is of version {version}, this is {cls.version}")
    return cls(**{name: from_plain(value) for name, value in values.items()})


def from_plain(value: Any) -> Any:
    if isinstance(value, dict) and "kind" in value:
        return build_spec(value["kind"], {k: v for k, v in value.items() if k != "kind"})
    return tuple(from_plain(v) for v in value) if isinstance(value, list) else value


def canonical(spec: Any) -> str:
    """All that decides a result, as one line."""
    heading = getattr(spec, "heading", f"{type(spec).__name__} version")
    parts = (f"{name}={value}" for name, value in plain(spec).items())
    return " ".join([f"{heading}={spec.version}", *parts])


def python_call(spec: Any) -> str:
    """The line of Python that gives its result, where a spec can say it; else all that decides."""
    return spec.call() if hasattr(spec, "call") else canonical(spec)


def trainer(spec: Any) -> Callable:
    """What trains a spec, (specs, context, measures) -> (spec, its Training) one by one: its class
    says it, as `trained_by`, module:function. Loads that module.

    >>> from cplab import Run
    >>> trainer(Run()).__name__
    'trajectories'
    """
    return pkgutil.resolve_name(spec.trained_by)


def key(spec: Any) -> str:
    """16 hexadecimal digits: the name of a spec's result.

    >>> from cplab import Run
    >>> key(Run(deficit="blur", length=4))
    '10da86ce08101b40'
    """
    return hashlib.sha256(canonical(spec).encode()).hexdigest()[:16]


# Forms --------------------------------------------------------------------------------------------


def count(value: Any) -> bool:
    """A whole number from 0."""
    return type(value) is int and 0 <= value < 2**53


def finite(value: Any) -> bool:
    """A finite number."""
    return type(value) in (int, float) and math.isfinite(value)


def positive(value: Any) -> bool:
    return finite(value) and value >= 0


def fraction(value: Any) -> bool:
    return finite(value) and 0 <= value <= 1


def accept_any(value: Any) -> bool:
    return True


def word(value: Any) -> bool:
    """A text on one line, of at most 200 letters."""
    return type(value) is str and len(value) <= 200 and value.isprintable()


def data(value: Any) -> bool:
    """Finite numbers, texts, nothing, and lists and dictionaries of these."""
    if type(value) in (list, dict):
        return all(map(data, value.values() if type(value) is dict else value))
    return value is None or type(value) in (str, bool) or finite(value)


def explain_mismatch(value: Any, form: Any) -> str:
    """What is wrong with plain data that are not of a form, in words; nothing where they are.

    Arguments: form, a function of one value; [form] for a list of such values; {name: form} for a
        dictionary with these names, of which those that end in ? may be absent, {str: form} for one
        with any short names.

    >>> explain_mismatch({"accuracy": 7}, {"accuracy": fraction, "seconds?": positive})
    'accuracy cannot be 7'
    """
    if isinstance(form, dict) and type(value) is dict:
        for name in form:
            if name is not str and name not in value and name[-1] != "?":
                return f"{name} is missing"
        for name, part in value.items():
            inner = form.get(name) or form.get(f"{name}?") or (word(name) and form.get(str))
            if not inner:
                return f"{name!r:.40} cannot be in it"
            if wrong := explain_mismatch(part, inner):
                return f"{name} {wrong}"
        return ""
    if isinstance(form, list) and type(value) is list:
        inner = form[0]
        if callable(inner) and all(map(inner, value)):
            return ""
        return next(filter(None, (explain_mismatch(v, inner) for v in value)), "")
    return "" if callable(form) and form(value) else f"cannot be {value!r:.40}"


def same_length(length: int, *columns: list) -> None:
    """Raises: ValueError unless each column has so many entries."""
    if any(len(column) != length for column in columns):
        raise ValueError(f"its columns do not have {length} entries each")


def mix_seeds(*parts: object) -> int:
    """A seed for torch's generators out of several numbers.

    >>> mix_seeds(0) == mix_seeds(0), mix_seeds(0) == mix_seeds(0, 1)
    (True, False)
    """
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:7])
