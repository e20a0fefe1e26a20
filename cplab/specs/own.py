"""Registers deficits, networks, measurements, treatments and functions of experiments, above all
students' own.

A student's own function is named by a digest of all that it computes with, as in
`occlude@1a2b3c4d` (`cplab.specs.digest`). So if the function or what it reads is changed, its name
is another. What was registered stays what it was: training and pictures use a copy of it.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any, ClassVar, TypeVar

from cplab.base.errors import one_of, whole
from cplab.specs.digest import Definition, Reading, received

FIXED = {"name", "apply", "own", "view", "parts"}  # fields that no decorator sets
# In the name of a function of your own, or of your own images, which have four digits more
DIGEST = re.compile("@[0-9a-f]{8}(?:[0-9a-f]{4})?")
CLASSES = 10  # of every data set but a user's own images


@dataclass(frozen=True)
class Registered:
    """A function or a class as its decorator registers it, such as a deficit or a network.

    Attributes:
        name: its key in its table; a student's own ends in @ and a digest.
        apply: what is called.
        label: its name in words.
        own: the definition of a student's own; None for one of the package's.
        in_digest: the names of further fields on which results depend.
    """

    in_digest: ClassVar[tuple[str, ...]] = ()

    name: str
    apply: Any
    label: str
    own: Definition | None = None

    @staticmethod
    def next_style() -> dict[str, str]:
        """The colour, dash and marker of the next entry besides the package's, if this kind has
        them."""
        return {}


Kind = TypeVar("Kind", bound=Registered)
Value = TypeVar("Value")

# All entries: for each kind a dict by name
TABLES: dict[type[Registered], dict[str, Any]] = {}


def entry_decorator(kind: type[Registered], thing: Any, options: dict[str, Any]) -> Any:
    """Register a function for a decorator such as `deficit`, which may be used without options.

    Arguments:
        kind: of entry.
        thing: the decorated function or class, or None where Python has only reached the options,
            as in @deficit(label="grey").
        options: fields of its entry.

    Returns:
        the function; for None a decorator, which Python then calls with the function.
    """
    if thing is None:
        return partial(entry_decorator, kind, options=options)
    module = str(getattr(thing, "__module__", ""))
    if module.startswith("cplab."):
        name = thing.__name__.removeprefix("measure_")  # measure_fisher measures "fisher"
        style = kind.next_style() if module == "cplab.gallery" else {}
        values = {"label": name.replace("_", " "), **style, **options}
        name = values.pop("name", name)
        TABLES[kind][name] = kind(name, thing, **values)
    else:
        add_entry(kind, thing, options)
    return thing


def add_entry(kind: type[Kind], thing: Any, options: dict[str, Any] | None = None) -> Kind:
    """Register a function as it is now, and return its entry.

    A function that computes the same as an earlier one shares its entry, which takes the latest
    label.

    Arguments:
        kind: of entry.
        thing: anything that can be called.
        options: fields of its entry, or None for those that its decorator gave.

    Raises:
        CplabError: for an unknown option, and for what cannot be sent to another process.
    """
    table = TABLES[kind]
    for entry in table.values():
        if entry.apply is thing and not entry.own:
            return entry
    if options is None:
        options = getattr(thing, "__dict__", {}).get("__cplab__", {})
    short_name = short_name_of(thing)
    check_options(kind, short_name, options)
    if options:  # for the next time that this function is given by itself
        with suppress(AttributeError, TypeError):  # a method has no room for it
            thing.__cplab__ = options
    reading = Reading(thing, "version" in options, options_in_digest(kind, options))
    name = f"{short_name}@{reading.digest}"
    settings = dict(options)
    settings.pop("version", None)  # which is a part of the digest, and no field
    entry = table.pop(name, None)
    if entry is None:
        own = reading.definition()
        if reading.unknown:
            warnings.warn(
                f"{short_name} reads {', '.join(reading.unknown)}, which no key can hold: its "
                "results belong to this session. To keep them give version=1 in its decorator, and "
                "another number whenever that changes",
                stacklevel=2,
            )
        values = {"label": short_name.replace("_", " "), **kind.next_style()}
        entry = kind(name, received(own) if own.content else thing, own=own, **values)
    table[name] = replace(entry, **settings)  # the last one: what its short name stands for
    return table[name]


def short_name_of(thing: Any) -> str:
    """The name of a function, of what a partial calls, or of an object's class; "lambda" for one
    without a name.

    >>> short_name_of(lambda x, y: (x, y)), short_name_of(partial(max, 1))
    ('lambda', 'max')
    """
    while isinstance(thing, partial):
        thing = thing.func
    return getattr(thing, "__name__", type(thing).__name__).strip("<>")


def plain_name(value: Any) -> Any:
    """The name of something of your own without its digest; anything else as it is.

    >>> plain_name("occlude@1a2b3c4d"), plain_name("mynet@9bba7f64-96"), plain_name(8)
    ('occlude', 'mynet-96', 8)
    >>> plain_name("images@317b0f8b91e0")
    'images'
    """
    return DIGEST.sub("", value) if isinstance(value, str) else value


def check_options(kind: type[Registered], name: str, options: Mapping[str, object]) -> None:
    """Check the options of a function's decorator.

    Raises:
        CplabError: for an unknown one.
    """
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


def full_name(kind: type[Registered], given: Callable | Value) -> str | Value:
    """The name of an entry, with its digest if it is a student's own.

    Arguments:
        kind: of entry.
        given: the entry's name or its function. A name without a digest stands for the package's,
            or else for a student's own of this name, the one that was given last, or else for the
            gallery's.

    Returns:
        the name; anything that is not registered as it is.
    """
    if callable(given):
        return add_entry(kind, given).name
    table = TABLES[kind]
    if not isinstance(given, str) or given in table:
        return given
    named = [name for name in table if name.startswith(f"{given}@")]
    own = [name for name in named if table[name].own]
    return (own or named or [given])[-1]


def own_entries(text: str | None = None) -> list[Registered]:
    """Students' own entries, to be sent to another process: those that a text names, such as a
    run's canonical line, or all."""
    return [replace(entry, apply=None) for entry in named_in(text) if entry.own]


def modules_for(text: str | None = None) -> list[str]:
    """The package's modules that register what a text names, or all: another process imports them.
    One may be a lab's or the gallery."""
    return sorted({entry.apply.__module__ for entry in named_in(text) if not entry.own})


def named_in(text: str | None) -> list[Registered]:
    """The entries whose names are in a text; all without one."""
    entries = []
    for table in TABLES.values():
        entries += [entry for name, entry in table.items() if text is None or name in text]
    return entries


def load_own(entries: Iterable[Registered]) -> None:
    """Register entries of another process, each with a copy of its function that nobody has used:
    what a function keeps from call to call begins anew."""
    for entry in entries:
        if entry.own and entry.own.content:
            TABLES[type(entry)][entry.name] = replace(entry, apply=received(entry.own))


def forget_own_entries() -> None:
    """Forget the students' own entries of this process, which trains for another one: in its next
    job a name stands for what it stands for there."""
    for table in TABLES.values():
        for name in [name for name, entry in table.items() if entry.own]:
            del table[name]
