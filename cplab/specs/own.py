"""Registers deficits, networks and measurements, above all those that students write themselves.

A student's own function is named by a digest, as in `occlude@1a2b3c4d`. The digest is of the
function's source text without comments, docstrings and annotations, of its defaults, and of the
plain values, imports and functions of the student's that it reads (`cplab.specs.source`). It does
not cover the content of files: `version=2` in the decorator gives another name.

Training runs the text that the digest names, here and in worker processes. So a function that is
changed later in a notebook changes nothing that is registered.
"""

from __future__ import annotations

import ast
import linecache
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from functools import partial
from importlib.util import find_spec
from typing import Any, ClassVar, TypeVar

from cplab.errors import CplabError, one_of, whole
from cplab.specs.source import is_library, read_source

FIXED = {"name", "apply", "source", "view", "parts"}  # fields that no decorator sets
CLASSES = 10  # of every data set but a user's own images


@dataclass(frozen=True)
class Registered:
    """A deficit, a network or a measurement, as its decorator registers it.

    Attributes:
        name: its key in its table; a student's own ends in @ and a digest.
        apply: the decorated function or class.
        label: its name in words.
        source: the text of a student's own; "" for one of the package's.
        in_digest: the names of further fields on which results depend.
    """

    in_digest: ClassVar[tuple[str, ...]] = ()

    name: str
    apply: Any
    label: str
    source: str = ""

    @staticmethod
    def next_style() -> dict[str, str]:
        """The colour, dash and marker of a student's next entry, if this kind has them."""
        return {}


Kind = TypeVar("Kind", bound=Registered)
Value = TypeVar("Value")

# All entries: for each kind a dict by name
TABLES: dict[type[Registered], dict[str, Any]] = {}


# Registering --------------------------------------------------------------------------------------


def entry_decorator(kind: type[Registered], thing: Any, options: dict[str, Any]) -> Any:
    """Register a function for a decorator such as `deficit`, which may be used without options.

    Arguments: kind, of entry; thing, the decorated function or class, or None where Python has only
        reached the options, as in @deficit(label="grey"); options, fields of its entry.

    Returns: the function; for None a decorator, which Python then calls with the function.
    """
    if thing is None:
        return partial(entry_decorator, kind, options=options)
    module = getattr(thing, "__module__", None) or ""
    if module.startswith("cplab.") and is_library(module):
        name = thing.__name__.removeprefix("measure_")  # measure_fisher measures "fisher"
        values = {"label": name.replace("_", " "), **options}
        TABLES[kind][name] = kind(name, thing, **values)
    else:
        add_entry(kind, thing, options)
    return thing


def add_entry(kind: type[Kind], thing: Any, options: dict[str, Any] | None = None) -> Kind:
    """Register a student's own function or class, and return its entry.

    A function whose text means the same as an earlier one's shares its entry, which takes the
    latest label.

    Arguments: kind, of entry; thing, the function or class; options, fields of its entry, or None
        for those that its decorator gave.

    Raises: CplabError if it cannot be used.
    """
    table = TABLES[kind]
    for entry in table.values():
        if entry.apply is thing:
            return entry
    if options is None:
        attributes = getattr(thing, "__dict__", {})
        options = attributes.get("__cplab__", {})
    short_name = getattr(thing, "__name__", type(thing).__name__)
    check_name(kind, short_name)
    check_options(kind, short_name, options)
    source = read_source(thing, **options_in_digest(kind, options))
    name = f"{short_name}@{source.digest}"
    thing.__cplab__ = options  # for the next time that this function is given by itself
    settings = dict(options)
    settings.pop("version", None)  # which is a part of the digest, and no field
    if name not in table:
        values = {"label": short_name.replace("_", " "), **kind.next_style(), **settings}
        # Without torch it has a name, a label and shipped results, and is never called
        apply = rebuild(source.text, name) if find_spec("torch") else thing
        table[name] = kind(name, apply, source=source.text, **values)
    table[name] = replace(table[name], **settings)
    return table[name]


def check_name(kind: type[Registered], name: str) -> None:
    """Check that a student's function is not called like one of the package's, which its bare name
    would then no longer mean. Raises: CplabError."""
    entry = TABLES[kind].get(name)
    if entry and not entry.source:
        problem = f"a {kind.__name__.lower()} called {name} is built in"
        raise CplabError(f"{problem}: give yours another name, such as my_{name}")


def check_options(kind: type[Registered], name: str, options: Mapping[str, object]) -> None:
    """Check the options of a function's decorator. Raises: CplabError for an unknown one."""
    allowed = {"version"}
    for field in fields(kind):
        if field.name not in FIXED:
            allowed.add(field.name)
    for option in options:
        one_of(f"option of {name}", option, sorted(allowed))


def options_in_digest(kind: type[Registered], options: Mapping[str, object]) -> dict[str, object]:
    """Those of a decorator's options on which results depend, if they differ from the defaults."""
    defaults = {field.name: field.default for field in fields(kind)}
    digested: dict[str, object] = {}
    for option in kind.in_digest:
        value = options.get(option, defaults[option])
        if value != defaults[option]:
            digested[option] = value
    version = whole("version", options.get("version", 1), 1)
    if version > 1:
        digested["version"] = version
    return digested


def rebuild(source: str, name: str) -> Any:
    """Run a text, and return the function or class that its last statement defines.

    Arguments: source, the text; name, under which tracebacks show the text.

    Raises: CplabError if the text cannot be run.
    """
    file = f"<{name}>"
    # Tracebacks look a file's lines up here: its size, its time (None: never outdated), its lines
    linecache.cache[file] = (len(source), None, source.splitlines(True), file)
    namespace: dict[str, Any] = {"__name__": "__own__"}
    try:
        exec(compile(source, file, "exec"), namespace)
    except Exception as error:
        raise CplabError(f"{name} does not run on its own: {error}") from error
    last = ast.parse(source).body[-1]
    return namespace[last.name]  # type: ignore[attr-defined]


# Names, and other processes -----------------------------------------------------------------------


def full_name(kind: type[Registered], given: Callable | Value) -> str | Value:
    """The name of an entry, with its digest if it is a student's own.

    Arguments: kind, of entry; given, the entry's name or its function. A name without a digest
        stands for the function of this name that was defined last.

    Returns: the name; anything that is not registered as it is.
    """
    if callable(given):
        return add_entry(kind, given).name
    table = TABLES[kind]
    if not isinstance(given, str) or given in table:
        return given
    for name in reversed(table):
        if name.startswith(f"{given}@"):
            return name
    return given


def own_entries() -> list[Registered]:
    """Students' own entries for another process. It rebuilds their functions by `load_own`: a
    function itself cannot be sent."""
    entries = []
    for table in TABLES.values():
        for entry in table.values():
            if entry.source:
                entries.append(replace(entry, apply=None))
    return entries


def load_own(entries: Iterable[Registered]) -> None:
    """Register those entries of another process that this one lacks, rebuilt from their texts."""
    for entry in entries:
        table = TABLES[type(entry)]
        if entry.name not in table:
            table[entry.name] = replace(entry, apply=rebuild(entry.source, entry.name))
