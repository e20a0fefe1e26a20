"""A student's own deficits, networks and measurements: how they are registered and tried.

A student's own function is named by a digest (`occlude@1a2b3c4d`) of its source text without
comments, docstrings and annotations, its defaults, and the plain values, imports and functions of
one's own that it reads; of nothing else (`cplab.specs.source`). What it takes from a file is not
seen: `version=2` in its decorator makes another name. What differs from run to run, as a clock
does, is refused (`cplab.specs.steady`).

Training runs what that text defines, here and in worker processes: what changes later in a notebook
changes nothing that is registered.
"""

from __future__ import annotations

import ast
import linecache
from collections.abc import Iterable
from dataclasses import fields, replace
from functools import partial
from importlib.util import find_spec
from types import FunctionType
from typing import Any

from cplab.errors import CplabError, explain, installed, one_of, whole
from cplab.specs.source import is_library, source_digest
from cplab.specs.steady import check_reads, frozen, no_shared_draws, space_of, state_of

# The entries of each kind by name; a kind is a dataclass of name, function, label, source and more
TABLES: dict[type, dict[str, Any]] = {}
FIXED = {"name", "apply", "source", "view", "parts"}  # fields that no decorator sets
CLASSES = 10  # of every data set but one's own
TRIED = {"cplab.gallery"}  # modules whose functions the package's tests have tried
KEPT = (
    "{} keeps something from one call to the next, as a counter or a list does: let its answer "
    "follow from what it is given"
)


def entry_decorator(kind: type, thing: Any, options: dict[str, Any]) -> Any:
    """Apply a decorator of a kind: register the function, or await it if options came first."""
    if thing is None:
        return partial(entry_decorator, kind, options=options)
    module = getattr(thing, "__module__", None) or ""
    if module.startswith("cplab.") and is_library(module):
        name = thing.__name__.removeprefix("measure_")
        label = {"label": name.replace("_", " ")}
        TABLES[kind][name] = kind(name, thing, **label | options)
    else:
        add_entry(kind, thing, options)
    return thing


def add_entry(kind: type, thing: Any, options: dict[str, Any] | None = None) -> Any:
    """Register a student's own function or class, and return its entry. Without options, those of
    its decorator hold. One meaning has one entry, with the latest label.

    A kind has `in_digest`, the fields on which results depend; `next_style`, colour and marker;
    `trial`, what it gives when it is tried; and `random`, how it may draw random numbers.
    """
    table = TABLES[kind]
    defaults = {field.name: field.default for field in fields(kind)}
    for entry in table.values():
        if entry.apply is thing:
            return entry
    if options is None:
        options = getattr(thing, "__dict__", {}).get("__cplab__", {})
    short_name = getattr(thing, "__name__", type(thing).__name__)
    check_name(kind, short_name)
    for option in options:
        one_of(f"option of {short_name}", option, sorted({"version", *defaults} - FIXED))
    digested = {k: options.get(k, defaults[k]) for k in getattr(kind, "in_digest", ())}
    changed = {k: value for k, value in digested.items() if value != defaults[k]}
    if (version := whole("version", options.get("version", 1), 1)) > 1:
        changed["version"] = version
    digest, source = source_digest(thing, **changed)
    name = f"{short_name}@{digest}"
    thing.__cplab__ = options
    options = {option: value for option, value in options.items() if option != "version"}
    if name not in table:
        style: dict[str, Any] = getattr(kind, "next_style", dict)()
        values = {"label": short_name.replace("_", " "), **style, **options}
        if find_spec("torch") is None:
            # It has a name, a label and shipped results; nothing is tried or trained
            table[name] = kind(name, thing, source=source, **values)
        else:
            entry = kind(name, rebuild(source, name), source=source, **values)
            if getattr(thing, "__module__", "") not in TRIED:
                with installed():
                    check_steady(entry)
                # defined anew, since a trial may leave something in its variables
                entry = replace(entry, apply=rebuild(source, name))
            table[name] = entry
    table[name] = replace(table[name], **options)
    return table[name]


def check_name(kind: type, name: str) -> None:
    """Raise CplabError if a student's function is called like one of the package's, which its bare
    name would mean from then on."""
    entry = TABLES[kind].get(name)
    if entry and not entry.source:
        what = f"a {kind.__name__.lower()} called {name} is built in"
        raise CplabError(f"{what}: give yours another name, such as my_{name}")


def check_steady(entry: Any) -> None:
    """Try a student's own function as training would use it. Raises CplabError if it fails, reads
    what differs from run to run, or gives other answers to the same question: asked again, or
    defined anew and asked in another order."""
    name = entry.name.partition("@")[0]
    function = entry.apply
    check_reads(name, entry.source, space_of(function), entry.random)
    with explain(name), no_shared_draws(name, entry.random):
        first = {moment: frozen(answer) for moment, answer in entry.trial()}
        kept = state_of(function)
        for moment, answer in entry.trial():
            if frozen(answer) != first[moment]:
                what = f"{name} gives something else {moment} when it is asked again"
                raise CplabError(f"{what}: {entry.random}, and read nothing that changes")
        if state_of(function) != kept:
            raise CplabError(KEPT.format(name))
        anew = replace(entry, apply=rebuild(entry.source, entry.name))
        for moment, answer in anew.trial(backwards=True):
            if frozen(answer) != first[moment]:
                what = f"{name} gives something else {moment} where other batches came before"
                raise CplabError(f"{what}: keep nothing from one call to the next")


def kept_by_own(names: str) -> dict[str, Any]:
    """What a student's own functions that are named in a text keep now, by name, to be compared
    later by `changed_since`."""
    entries = [entry for table in TABLES.values() for entry in table.values()]
    return {e.name: state_of(e.apply) for e in entries if e.source and e.apply and e.name in names}


def changed_since(kept: dict[str, Any]) -> str:
    """The name of a student's own function that keeps something else than it did, "" if none does.
    It is defined anew where it is, so that nothing is left of it for what comes next."""
    for table in TABLES.values():
        for name, entry in table.items():
            if name in kept and state_of(entry.apply) != kept[name]:
                if isinstance(entry.apply, FunctionType):
                    vars(entry.apply).clear()
                anew = rebuild(entry.source, name, space_of(entry.apply))
                table[name] = replace(entry, apply=anew)
                return name.partition("@")[0]
    return ""


def full_name(kind: type, name: Any) -> Any:
    """The name of an entry of a kind, given by its name or its function. A student's own is found
    without its digest too, the last that was defined; what is not registered stays as it is."""
    if callable(name):
        return add_entry(kind, name).name
    if not isinstance(name, str) or name in TABLES[kind]:
        return name
    for registered in reversed(TABLES[kind]):
        if registered.startswith(f"{name}@"):
            return registered
    return name


def own_entries() -> list[Any]:
    """A student's entries in this process, without their functions, for `load_own` in another."""
    entries = (entry for table in TABLES.values() for entry in table.values())
    return [replace(entry, apply=None) for entry in entries if entry.source]


def load_own(entries: Iterable[Any]) -> None:
    """Register the entries of another process, rebuilt from their sources; known ones stay."""
    for entry in entries:
        table = TABLES[type(entry)]
        if entry.name not in table:
            table[entry.name] = replace(entry, apply=rebuild(entry.source, entry.name))


def rebuild(source: str, name: str, space: dict[str, Any] | None = None) -> Any:
    """Run a text and return the function or class that it defines last. Tracebacks show the text
    under `name`. space: the variables of an earlier one, which are set anew."""
    linecache.cache[f"<{name}>"] = (len(source), None, source.splitlines(True), f"<{name}>")
    space = {} if space is None else space
    space["__name__"] = "__own__"
    try:
        exec(compile(source, f"<{name}>", "exec"), space)
    except Exception as error:
        raise CplabError(f"{name} does not run on its own: {error}") from error
    return space[ast.parse(source).body[-1].name]  # type: ignore[attr-defined]
