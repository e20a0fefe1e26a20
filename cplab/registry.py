"""What a student's own functions have in common with the package's, and how they travel.

Each kind (deficit, model, measurement) has one dataclass, whose first fields are name and function,
and one dictionary from names to these, in TABLES. A student's own is named by the digest of its
meaning (`occlude@1a2b3c4d`), which results keep as text. Training runs what the text defines, here
and in worker processes: what changes later in a notebook changes nothing in what is registered.
"""

import ast
import linecache
import re
from collections.abc import Callable
from dataclasses import fields, replace
from importlib import import_module
from types import FunctionType
from typing import Any
from weakref import WeakKeyDictionary

from cplab.checks import CplabError, one_of, shown
from cplab.own.meaning import is_own, meaning

TABLES: dict[type, dict[str, Any]] = {}
DECORATED: WeakKeyDictionary = WeakKeyDictionary()  # what a decorator said about a function


def enter(
    kind: type,
    thing: Any,
    options: dict[str, Any] | None = None,
    check: Callable[[Any], None] = lambda entry: None,
    defaults: Callable[[], dict] = dict,
) -> Any:
    """Register a function or class. The same meaning twice is one entry; the later label holds.

    Arguments:
        kind: the dataclass of its kind, which has the fields label, about and source too; its
            `telling` names further ones on which results depend.
        options: further fields; those that were given before if None.
        check: tries the entry of a student's own before it is registered.
        defaults: gives further fields of a student's own, where nothing is said.
    Raises: CplabError for a function whose source does not tell its meaning.
    """
    table, usual = TABLES[kind], {f.name: f.default for f in fields(kind)}
    plain = isinstance(thing, (FunctionType, type))
    name, source, apply = getattr(thing, "__name__", ""), "", thing
    said = (DECORATED.get(thing, {}) if plain else {}) if options is None else options
    for option in said:
        one_of(f"option of {name}", option, usual.keys() - {"name", "apply", "about", "source"})
    own = not plain or is_own(thing)
    known = next((entry for entry in table.values() if entry.apply is thing), None)
    if not own and options is None and known:
        return known
    package = str(getattr(thing, "__module__", "")).startswith("cplab.")
    if not own and (options is None or not package):
        raise CplabError(f"{shown(thing)} is not a function of your own: write it with def")
    if own:
        telling = [k for k in getattr(kind, "telling", ()) if said.get(k, usual[k]) != usual[k]]
        digest, source = meaning(thing, **{k: said[k] for k in telling})
        name = f"{name}@{digest}"
    DECORATED[thing] = said
    if own and name in table:
        table[name] = replace(table[name], **said)
        return table[name]
    if own:
        apply, said = rebuild(source, name), defaults() | said
    said = {"label": thing.__name__.replace("_", " ")} | said
    about = (thing.__doc__ or "").strip().partition("\n")[0]
    entry = kind(name, apply, about=about, source=source, **said)
    if own:
        check(entry)
    table[name] = entry
    return entry


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
    named = re.findall(r"[^\W\d][\w-]*@[0-9a-f]{8}", text)
    return {entry.name: entry.source for entry in own_functions() if entry.name in named}


def dumps_own() -> str:
    """What is registered here, for `load_own` in another process: plain data, as Python writes it,
    of the fields that are not as usual."""
    told = []
    for entry in own_functions():
        said = {f.name: getattr(entry, f.name) for f in fields(entry) if f.compare}
        usual = {f.name: f.default for f in fields(entry)} | {"apply": said.pop("apply")}
        changed = {name: value for name, value in said.items() if value != usual[name]}
        told.append((type(entry).__module__, type(entry).__name__, changed))
    return repr(told)


def load_own(told: str) -> None:
    """Register what `dumps_own` gave, out of the sources; what is here already stays."""
    for module, kind, values in ast.literal_eval(told):
        restore(getattr(import_module(module), kind), **values)


def restore(kind: type, *, name: str, source: str, **values: Any) -> Any:
    """Register an own function from the source that a result keeps. This runs the source.

    Arguments: the dataclass of its kind; fields of its entry, all but the function.
    Returns: the entry.
    """
    if name not in TABLES[kind]:
        if source.startswith("# "):
            values = ast.literal_eval(source.partition("\n")[0][2:]) | values
        TABLES[kind][name] = kind(name, rebuild(source, name), source=source, **values)
    return TABLES[kind][name]
