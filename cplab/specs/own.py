"""A student's own deficits, networks and measurements: what they mean, and how they are registered.

A student's own function is named by a digest (`occlude@1a2b3c4d`) of its source text without
comments, docstrings and annotations, its defaults, and the plain values, imports and functions of
one's own that it reads; of nothing else. What it takes from a file, the environment or the clock is
not seen: `version=2` in its decorator makes another name. Training runs what that text defines,
here and in worker processes: what changes later in a notebook changes nothing that is registered.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import inspect
import linecache
import math
import pickle
import random
import re
import symtable
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import fields, replace
from functools import cache, partial
from importlib.util import find_spec
from types import CodeType, FunctionType, ModuleType
from typing import Any

from cplab.errors import CplabError, installed, one_of, require, whole
from cplab.late import torch

# The entries of each kind by name; a kind is a dataclass of name, function, label, source and more
TABLES: dict[type, dict[str, Any]] = {}
FIXED = {"name", "apply", "source", "view", "parts"}  # fields that no decorator sets
CLASSES = 10  # of every data set but one's own
# Libraries wherever they are installed, in a checkout of their source too
LIBRARIES = {"cplab", "torch", "torchvision", "numpy", "scipy", "pandas", "PIL"}
SETS = {"Set", "SetComp", "set", "frozenset"}
SAFE = {"add", "discard", "remove", "update", "isdisjoint", "issubset", "issuperset"}  # methods
ORDERLESS = {"sorted", "len", "min", "max", "any", "all"}  # what a set's order does not change
LARGEST = 10_000  # numbers of an array that a function may read
IMPORT, CONSTANT, DEFINITION = range(3)  # the order of a text
Lines = dict[str, tuple[int, str]]  # of a text: {name: (its place in the order, statement)}


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
    its decorator hold. One meaning has one entry, with the latest label. A kind's `in_digest` names
    the fields on which results depend, `next_style` gives colour and marker, `trial` tries it
    on a few images, and `random` says how it may draw random numbers."""
    table, defaults = TABLES[kind], {f.name: f.default for f in fields(kind)}
    if registered := [entry for entry in table.values() if entry.apply is thing]:
        return registered[0]
    if options is None:
        options = getattr(thing, "__dict__", {}).get("__cplab__", {})
    short_name = getattr(thing, "__name__", type(thing).__name__)
    for option in options:
        one_of(f"option of {short_name}", option, sorted({"version", *defaults} - FIXED))
    digested = {k: options.get(k, defaults[k]) for k in getattr(kind, "in_digest", ())}
    changed = {k: value for k, value in digested.items() if value != defaults[k]}
    if (version := whole("version", options.get("version", 1), 1)) > 1:
        changed["version"] = version
    digest, source = source_digest(thing, **changed)
    name, thing.__cplab__ = f"{short_name}@{digest}", options
    options = {option: value for option, value in options.items() if option != "version"}
    if name not in table:
        style: dict[str, Any] = getattr(kind, "next_style", dict)()
        values = {"label": short_name.replace("_", " "), **style, **options}
        trains_here = find_spec("torch") is not None
        # Without torch it has a name, a label and shipped results; nothing is tried or trained
        function = rebuild(source, name) if trains_here else thing
        entry = kind(name, function, source=source, **values)
        if trains_here:
            with explain(short_name), installed():
                same = same_twice(entry.trial)
            require(same, f"{short_name} gives something else at each try: {entry.random}")
        table[name] = entry
    table[name] = replace(table[name], **options)
    return table[name]


def full_name(kind: type, name: Any) -> Any:
    """The name of an entry of a kind, given by its name or its function. A student's own is found
    without its digest too, the last that was defined; what is not registered stays as it is."""
    if callable(name):
        return add_entry(kind, name).name
    own = (one for one in reversed(TABLES[kind]) if one.startswith(f"{name}@"))
    return name if isinstance(name, str) and name in TABLES[kind] else next(own, name)


def own_entries() -> list[Any]:
    """A student's entries in this process, without their functions, for `load_own` in another."""
    entries = (entry for table in TABLES.values() for entry in table.values())
    return [replace(entry, apply=None) for entry in entries if entry.source]


def load_own(entries: Iterable[Any]) -> None:
    """Register the entries of another process, rebuilt from their sources; known ones stay."""
    for entry in entries:
        if entry.name not in (table := TABLES[type(entry)]):
            table[entry.name] = replace(entry, apply=rebuild(entry.source, entry.name))


def rebuild(source: str, name: str) -> Any:
    """Run a text and return the function or class that it defines last. Tracebacks show the text
    under `name`."""
    linecache.cache[f"<{name}>"] = (len(source), None, source.splitlines(True), f"<{name}>")
    space: dict[str, Any] = {"__name__": "__own__"}
    try:
        exec(compile(source, f"<{name}>", "exec"), space)
    except Exception as error:
        raise CplabError(f"{name} does not run on its own: {error}") from error
    return space[ast.parse(source).body[-1].name]  # type: ignore[attr-defined]


# Source and digest --------------------------------------------------------------------------------


def source_digest(thing: Any, **options: Any) -> tuple[str, str]:
    """The digest, eight hexadecimal digits, of all that a function or class depends on, and its
    text, which begins with the options. Raises CplabError for what a text cannot hold.

    >>> STEP = 2
    >>> def darken(x, y, steps=3):
    ...     return x - STEP * steps, y  # a comment
    >>> print(source_digest(darken)[1])
    STEP = 2
    <BLANKLINE>
    def darken(x, y, steps=3):
        return (x - STEP * steps, y)
    """
    name, lines = getattr(thing, "__name__", type(thing).__name__), Lines()
    written = is_own(thing) and name != "<lambda>"
    require(written, f"{name} ({type(thing).__name__}) is no function of your own: use def")
    add_lines(name, thing, name, lines)
    small = sorted(line for line in lines.values() if line[0] != DEFINITION)
    blocks = [f"# {options!r}" if options else "", "\n".join(text for _, text in small)]
    blocks += [text for order, text in lines.values() if order == DEFINITION]
    source = "\n\n".join(filter(None, blocks))
    return hashlib.sha256(source.encode()).hexdigest()[:8], source


def add_lines(name: str, value: Any, user: str, lines: Lines) -> None:
    """Add to `lines` the statement that gives `name` its value, after all that this needs; `user`
    is the function that reads it."""
    is_definition = is_own(value)
    line = (DEFINITION, definition(value)) if is_definition else outside_line(name, value, user)
    clash = f"{user} and what it reads have two things named {name!r}: rename one"
    require(lines.get(name, line) == line, clash)
    if is_definition and name not in lines:
        lines[name] = line  # before what it reads, which may read it in turn
        outside = variables(value)
        with explain(name):  # what is nonlocal cannot stand alone
            read = names_read(line[1])
        check_sets(name, line[1])
        if unsteady := (read - outside.keys()) & {"hash", "id"}:
            what = f"{name} reads {', '.join(unsteady)}, which differs in each process"
            raise CplabError(f"{what}: leave it out")
        for needed in sorted((read - {name}) & outside.keys()):
            add_lines(needed, outside[needed], name, lines)
        del lines[name]
    lines.setdefault(name, line)


def outside_line(name: str, value: Any, user: str) -> tuple[int, str]:
    """The statement that gives `name` a constant, a module, or something of a library."""
    if text := written(value):
        return CONSTANT, f"{name} = {text}"
    if isinstance(value, ModuleType):
        module_name, why = value.__name__, "a module of your own: import its functions by name"
        require(is_library(module_name), f"{user} reads {name!r}, {why}")
        return IMPORT, f"import {module_name}" + f" as {name}" * (name != module_name)
    module = str(getattr(value, "__module__", ""))  # its package may offer what it defines
    public = getattr(value, "__name__", name)
    for home in (module, module.rpartition(".")[0], "torch", "torch.nn.functional"):
        if getattr(sys.modules.get(home), public, None) is value and is_library(home):
            return IMPORT, f"from {home} import {public}" + f" as {name}" * (name != public)
    raise CplabError(
        f"{user} reads {name!r} ({type(value).__name__}), whose content its key cannot hold: let "
        f"it be numbers, texts, or a tensor or array of at most {LARGEST} of them"
    )


def definition(thing: Any) -> str:
    """The statement that defines a function or class, without docstrings, comments and
    annotations."""
    name, node = thing.__name__, find_statement(thing)
    how = "use def, without a decorator that wraps it, in a notebook cell or a file"
    require(node, f"the source of {name} alone is not at hand: {how}")
    node.decorator_list = []
    strip(node)
    if isinstance(node, ast.FunctionDef):
        positional, keywords = thing.__defaults__ or (), thing.__kwdefaults__ or {}
        for value in (*positional, *keywords.values()):
            what = f"{name} has a default {{}}: give a number, a text or a tuple of these"
            require(is_plain(value), what, value)
        node.args.defaults = [*map(ast.Constant, positional)]
        node.args.kw_defaults = [
            ast.Constant(keywords[argument.arg]) if argument.arg in keywords else None
            for argument in node.args.kwonlyargs
        ]
    return ast.unparse(ast.fix_missing_locations(node))


def find_statement(thing: Any) -> Any:
    """The syntax tree of a function, or of a class that has methods, from its file or its cell;
    None if it is not found."""
    for function in functions_of(thing)[:1]:
        code = function.__code__
        for node in (node for tree in trees_of(code) for node in ast.walk(tree)):
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == thing.__name__:
                first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
                last = first if isinstance(node, ast.FunctionDef) else node.end_lineno or first
                if first <= code.co_firstlineno <= last:
                    return node
    return None


def trees_of(code: CodeType) -> Iterator[ast.AST]:
    """The syntax tree of a function's file; where there is none, of the notebook's cells that
    define it, without magics above them: what times a cell, as %%time does, compiles it so."""
    linecache.checkcache(file := code.co_filename)
    text = "".join(linecache.getlines(file))
    shell: Any = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    ran = reversed(shell.history_manager.input_hist_raw) if shell and not text else ()
    bare = (re.sub(r"\A(\s*%%.*\n)+", "", cell) for cell in ran)
    for cell in [text] if text or not shell else map(shell.transform_cell, bare):
        with suppress(SyntaxError):
            codes = [] if cell == text else [compile(cell, file, "exec", shell.compile.flags, True)]
            for one in codes:  # a list that grows by what is defined inside
                codes += [inner for inner in one.co_consts if isinstance(inner, CodeType)]
            if text or code in codes or "timeit" in file:  # which puts a cell into a function
                yield ast.parse(cell)


def strip(tree: Any) -> None:
    """Remove docstrings and annotations from a syntax tree."""
    nodes: Iterator[Any] = ast.walk(tree)
    for node in nodes:
        for _, block in ast.iter_fields(node):
            for n, part in enumerate(block) if isinstance(block, list) else ():
                if isinstance(part, ast.AnnAssign):
                    block[n] = ast.Assign([part.target], part.value) if part.value else ast.Pass()
        defines = isinstance(node, ast.FunctionDef | ast.ClassDef)
        if defines and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
        node.returns = node.annotation = None


def check_sets(name: str, text: str) -> None:
    """Raise CplabError if a definition goes through a set, whose order differs in each process. It
    may be counted, sorted, asked and added to."""
    nodes, safe, sets = [*ast.walk(ast.parse(text))], set[ast.AST](), set[str]()
    for node in nodes:
        if isinstance(node, ast.Assign) and is_set(node.value):
            sets.update(map(word, node.targets))
            safe.update(ast.walk(node))
        elif isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            safe.update(sides, (getattr(side, "func", side) for side in sides))
        elif isinstance(node, ast.Attribute) and node.attr in SAFE:
            safe.add(node.value)
        elif isinstance(node, ast.Call) and word(node.func) in ORDERLESS:
            safe.update(*map(ast.walk, node.args))
    why = "whose order differs in each process: use a list, or sorted(…) of it"
    loose = [node for node in {*nodes} - safe if is_set(node) or word(node) in sets]
    require(not loose, f"{name} goes through a set, {why}")


def is_set(node: Any) -> bool:
    """Whether an expression makes a set."""
    return word(getattr(node, "func", node)) in SETS


def word(node: Any) -> str:
    """The name or attribute that a node of a syntax tree is, else its kind."""
    return getattr(node, "id", getattr(node, "attr", type(node).__name__))


def names_read(text: str) -> set[str]:
    """The outside variables that the text of a definition reads."""
    tables, read = [symtable.symtable(text, "", "exec")], set[str]()
    for table in tables:  # a list that grows
        tables += table.get_children()
        symbols = table.get_symbols()
        read |= {s.get_name() for s in symbols if s.is_global() and s.is_referenced()}
    return read


def variables(thing: Any) -> dict[str, Any]:
    """The variables that a function, or the methods of a class, can read outside themselves."""
    values: dict[str, Any] = {}
    for function in functions_of(thing):
        closure = inspect.getclosurevars(function).nonlocals
        values = {**function.__globals__, **values, **closure}
    return values


def functions_of(thing: Any) -> list[FunctionType]:
    """The functions of a definition: a function itself, or the methods of a class."""
    inside = vars(thing).values() if isinstance(thing, type) else [thing]
    # without those that a decorator made
    return [f for f in inside if isinstance(f, FunctionType) and f.__name__ == f.__code__.co_name]


def is_own(thing: Any) -> bool:
    """Whether this is a student's function or class, or the gallery's, and not a library's."""
    definable = isinstance(thing, (FunctionType, type))
    return definable and not is_library(getattr(thing, "__module__", None) or "")


@cache
def is_library(name: str) -> bool:
    """Whether a module belongs to Python, cplab or an installed package; `__main__`, the gallery
    and a student's own file do not."""
    root = name.partition(".")[0]
    if name in ("__main__", "cplab.gallery"):
        return False
    known = sys.stdlib_module_names | LIBRARIES
    return root in known or root in importlib.metadata.packages_distributions()


def written(value: Any) -> str:
    """A plain value as Python, or "" for any other: finite numbers, texts, None, tuples, lists and
    dicts of these, and a tensor or an array of numbers."""
    module = type(value).__module__
    if type(value).__name__ not in ("Tensor", "ndarray") or module not in ("torch", "numpy"):
        return repr(value) if is_plain(value) else ""
    library, numbers = f"__import__({module!r})", value.tolist()
    maker, dtype = f"{library}.array", repr(str(value.dtype))
    if module == "torch":
        maker, dtype = f"{library}.tensor", f"{library}.{value.dtype}".replace(".torch", "")
    few = math.prod(value.shape) <= LARGEST and is_plain(numbers)
    return f"{maker}({numbers!r}, dtype={dtype})" if few else ""


def is_plain(value: Any) -> bool:
    """Whether a value can be written as Python: a finite number, a text, None, or a tuple, list or
    dict of these."""
    if type(value) is dict:
        return is_plain([*value.items()])
    if type(value) in (tuple, list):
        return all(map(is_plain, value))
    finite = type(value) is float and math.isfinite(value)
    return finite or type(value) in (int, str, bool, type(None))


# Trial --------------------------------------------------------------------------------------------


@contextmanager
def explain(name: str) -> Iterator[None]:
    """Turn an error in a student's own function into one line."""
    try:
        yield
    except CplabError:
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise CplabError(f"{name.partition('@')[0]} fails: {reason}") from error


def same_twice(use: Callable[[], Any]) -> bool:
    """Whether a call returns the same plain data twice, draws nothing from the global random
    generators of Python and numpy, and does not seed torch's, from which other threads draw."""
    import numpy as np

    def states() -> bytes:
        states = random.getstate(), np.random.get_state(), torch.initial_seed()
        return pickle.dumps(states)

    before = states()
    return use() == use() and states() == before
