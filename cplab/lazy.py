"""Packages that load their names when these are first used: `import cplab` loads no torch.

What is had through them says in one line where it is given what its annotations do not allow.
"""

import importlib
import inspect
import re
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import is_dataclass
from functools import wraps
from numbers import Integral, Real
from types import UnionType
from typing import Any, Union, get_args, get_origin

from cplab.checks import CplabError, installed, quote

SEVERAL = (Sequence, Iterable, Collection, list, tuple, set)
KINDS: dict[type, type] = {int: Integral, float: Real}


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
        if inspect.isfunction(value):
            value = check_arguments(value, value.__name__)
        elif isinstance(value, type) and "__init__" in vars(value):  # specs check their own fields
            made = check_arguments(vars(value)["__init__"], name, kinds=not is_dataclass(value))
            setattr(value, "__init__", made)  # noqa: B010
        setattr(sys.modules[package], name, value)
        return value

    return list(homes), find, lambda: sorted({*vars(sys.modules[package]), *homes})


def check_calls(module: str) -> None:
    """Let a loaded module's public functions refuse what their annotations do not allow."""
    space = vars(sys.modules[module])
    public = {name: space[name] for name in space["__all__"]}
    space |= {n: check_arguments(f, n) for n, f in public.items() if inspect.isfunction(f)}


def check_arguments(function: Callable, name: str, kinds: bool = True) -> Callable:
    """A function that refuses arguments that it does not have, and, if their kinds are checked,
    those of others than its annotations say."""
    signature = inspect.signature(function)
    single = {k: p for k, p in signature.parameters.items() if p.kind not in (2, 4)}  # * and **
    places = [k for k, p in single.items() if p.kind != p.KEYWORD_ONLY]
    hints: dict[str, Any] = {}  # those that were needed

    @wraps(function)
    def call(*args: Any, **more: Any) -> Any:
        given = {**dict(zip(places, args, strict=False)), **more} if kinds else {}
        for key, value in given.items():
            one = single.get(key)
            if one is None or value is one.default:
                continue
            if key not in hints:
                hints[key] = read_hint(one, function)
            if not matches_hint(value, hints[key]):
                kind = re.sub(r"(\w+\.)+", "", inspect.formatannotation(one.annotation)).strip("'")
                kind = "numbers" if "_SupportsArray" in kind else kind  # numpy's ArrayLike
                raise CplabError(f"{key} {quote(value)} is not allowed in {name}: give {kind}")
        try:
            with installed():
                return function(*args, **more)
        except (TypeError, AttributeError) as error:
            try:
                signature.bind(*args, **more)  # takes time, so it is not asked before
            except TypeError as wrong:
                raise CplabError(f"{wrong} in {name}: see help({name})") from None
            # of what it passes on, also to Bokeh
            if not re.search("unexpected (keyword|attribute)|missing .* required", str(error)):
                raise
            raise CplabError(f"{error}, called by {name}: see help({name})") from error

    return call


def read_hint(one: inspect.Parameter, function: Callable) -> Any:
    """The annotation of a parameter. One whose names are for type checkers alone stays the name of
    a class, or becomes Any."""
    hint: Any = Any if one.annotation is one.empty else one.annotation
    try:
        return eval(hint, function.__globals__) if isinstance(hint, str) else hint
    except NameError:
        return hint.rpartition(".")[2] if re.fullmatch(r"[\w.]+", hint) else Any


def matches_hint(value: Any, hint: Any) -> bool:
    """Whether a value is what an annotation says, and what lies in it."""
    if isinstance(hint, str):
        return hint in (one.__name__ for one in type(value).__mro__)
    if (numpy := sys.modules.get("numpy.typing")) and hint is numpy.ArrayLike:
        with suppress(Exception):  # whatever it is
            return sys.modules["numpy"].asarray(value, dtype=float) is not None
        return False
    kind, inner = get_origin(hint) or hint, get_args(hint)
    if kind in (Union, UnionType):
        return any(matches_hint(value, one) for one in inner)
    if kind in (Mapping, dict):
        return isinstance(value, Mapping) and all(
            all(map(matches_hint, pair, inner or (Any, Any))) for pair in value.items()
        )
    if kind is tuple and inner and ... not in inner:
        fits = isinstance(value, tuple | list) and len(value) == len(inner)
        return fits and all(map(matches_hint, value, inner))
    if kind in SEVERAL:  # also arrays and columns, which have no kind of their own
        each = value if isinstance(value, list | tuple) and len(inner) == 1 else ()
        several = hasattr(value, "__iter__") and not isinstance(value, str)
        return several and all(matches_hint(one, inner[0]) for one in each)
    if kind is int and isinstance(value, float) and value.is_integer():
        return True  # as a count out of a table is
    return kind is Any or not isinstance(kind, type) or isinstance(value, KINDS.get(kind, kind))
