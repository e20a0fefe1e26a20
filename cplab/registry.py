"""What a student's own functions have in common with the package's, and how they travel.

Each kind (deficit, model, measurement) has one dataclass, whose first fields are name and function,
and one dictionary from names to these, in TABLES. A student's own is named by the digest of its
meaning (`occlude@1a2b3c4d`), which results keep as text. Training runs what the text defines, here
and in worker processes: what changes later in a notebook changes nothing in what is registered.
"""

import ast
import linecache
import sys
from dataclasses import fields, replace
from functools import partial
from importlib import import_module
from inspect import unwrap
from types import FunctionType
from typing import Any
from weakref import WeakKeyDictionary

from cplab.errors import CplabError, one_of, quote
from cplab.own.meaning import is_own, meaning

TABLES: dict[type, dict[str, Any]] = {}
DECORATED: WeakKeyDictionary = WeakKeyDictionary()  # what a decorator said about a function


def add_entry(kind: type, thing: Any, options: dict[str, Any] | None = None) -> Any:
    """Register a function or class. The same meaning twice is one entry; the later label holds.

    Arguments:
        kind: the dataclass of its kind. It has the fields label and source too, and a method
            `try_out`, which refuses a student's own that is none; `telling` names further fields on
            which results depend, `next_style` gives some to a student's own that says nothing.
        options: further fields; those that were given before if None.
    Raises: CplabError for a function whose source does not tell its meaning.
    """
    table, usual = TABLES[kind], {f.name: f.default for f in fields(kind)}
    plain = isinstance(thing, (FunctionType, type))
    name, source, apply = getattr(thing, "__name__", ""), "", thing
    more = (DECORATED.get(thing, {}) if plain else {}) if options is None else options
    own = not plain or is_own(thing)
    closed = {"name", "apply", "source", "view", "parts"}
    for option in more:
        one_of(f"option of {name}", option, [known for known in usual if known not in closed])
    if own:
        telling = [k for k in getattr(kind, "telling", ()) if more.get(k, usual[k]) != usual[k]]
        digest, source = meaning(thing, **{k: more[k] for k in telling})
        name, DECORATED[thing] = f"{name}@{digest}", more
        if name in table:
            table[name] = replace(table[name], **more)
            return table[name]
        apply, more = rebuild(source, name), getattr(kind, "next_style", dict)() | more
    elif options is None or not is_new(thing):
        for entry in table.values():
            if entry.apply is thing and options is None:
                return entry
        raise CplabError(f"{quote(thing)} is not a function of your own: write it with def")
    else:  # without measure_, since `cplab.measure` has functions by these names
        name = name.removeprefix("measure_")
    entry = kind(name, apply, source=source, **{"label": thing.__name__.replace("_", " "), **more})
    if own:
        entry.try_out()
    table[name] = entry
    return entry


def entry_decorator(kind: type, thing: Any, options: dict[str, Any]) -> Any:
    """What a decorator gives: the function, which is registered, or what is called with it next."""
    if thing is None:
        return partial(entry_decorator, kind, options=options)
    add_entry(kind, thing, options)
    return thing


def is_new(thing: Any) -> bool:
    """Whether a function is on its way into a module of the package, and not had from there."""
    there: Any = getattr(sys.modules.get(thing.__module__), thing.__name__, None)
    return str(thing.__module__).startswith("cplab.") and unwrap(there) is not unwrap(thing)


def rebuild(source: str, name: str) -> Any:
    """The function or class that a text defines last; tracebacks show the text under `name`.

    >>> rebuild("def twice(x):\\n    return 2 * x", "twice")(4)
    8
    """
    linecache.cache[f"<{name}>"] = (len(source), None, source.splitlines(True), f"<{name}>")
    space: dict[str, Any] = {"__name__": "__own__"}
    try:
        exec(compile(source, f"<{name}>", "exec"), space)
    except Exception as error:
        raise CplabError(f"{name} does not run on its own: {error}") from error
    return space[ast.parse(source).body[-1].name]  # type: ignore[attr-defined]


def own_functions() -> list[Any]:
    """All that a student registered in this process."""
    return [entry for table in TABLES.values() for entry in table.values() if entry.source]


def sources_in(text: str) -> dict[str, str]:
    """The source of each own function that a text names (`occlude@1a2b3c4d`)."""
    return {entry.name: entry.source for entry in own_functions() if entry.name in text}


def dumps_own() -> str:
    """What is registered here, as Python writes plain data, for `load_own` in another process."""
    entries = []
    for entry in own_functions():
        plain = [f.name for f in fields(entry) if f.name not in ("apply", "parts")]
        values = {name: getattr(entry, name) for name in plain}
        entries.append((type(entry).__module__, type(entry).__name__, values))
    return repr(entries)


def load_own(text: str) -> None:
    """Register what `dumps_own` gave, out of the sources; what is here already stays."""
    for module, kind, values in ast.literal_eval(text or "[]"):
        restore(getattr(import_module(module), kind), **values)


def restore(kind: type, *, name: str, source: str, **values: Any) -> Any:
    """Register an own function from the source that a result keeps, which this runs, and return its
    entry. Arguments: the dataclass of its kind; fields of its entry, all but the function.
    """
    if name not in TABLES[kind]:
        if source.startswith("# "):
            values = ast.literal_eval(source.partition("\n")[0][2:]) | values
        TABLES[kind][name] = kind(name, rebuild(source, name), source=source, **values)
    return TABLES[kind][name]
