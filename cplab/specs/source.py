"""The meaning of a student's own function: its text, with everything that it reads, and its digest.

A text begins with imports and constants. Then come the student's functions that it calls, and last
the function itself. It holds no comments, docstrings or annotations, so that words change
nothing. Every Python writes it alike: f-strings, which Python 3.12 writes otherwise than 3.11, are
calls of `format` in it.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import inspect
import linecache
import math
import re
import symtable
import sys
from collections.abc import Collection, Iterator
from contextlib import suppress
from functools import cache, lru_cache
from types import CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple

from cplab.errors import CplabError, explain, quote

# Libraries wherever they are installed, in a checkout of their source too
LIBRARIES = {"cplab", "torch", "torchvision", "numpy", "scipy", "pandas", "PIL"}
SETS = {"Set", "SetComp", "set", "frozenset"}  # what makes a set
VIEWS = {"keys", "items"}  # methods of a dict whose results | & - ^ turn into a set
SAFE = {"add", "discard", "remove", "update", "isdisjoint", "issubset", "issuperset"}  # methods
ORDERLESS = {"sorted", "len", "min", "max", "any", "all"}  # what a set's order does not change
# What gives the same values in the order of a set
PASSING = {"list", "tuple", "set", "frozenset", "sorted", "map", "filter", "copy"}
PASSING |= {"union", "intersection", "difference", "symmetric_difference"}
EACH_PROCESS = {"hash", "id", "__hash__", "data_ptr"}  # numbers that differ in each process
# Where texts import from what has since moved to another module, so that keys stay
HOMES = {"cplab.models.families": "cplab.models", "cplab.models.model": "cplab.models"}
LARGEST = 10_000  # numbers of an array that a function may read
IMPORT, CONSTANT, DEFINITION = range(3)  # the order of a text


class Statement(NamedTuple):
    """A statement of a text: its place in the order, and what it says."""

    order: int
    text: str


Statements = dict[str, Statement]  # by the name that each of them defines


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
    name = getattr(thing, "__name__", type(thing).__name__)
    if not is_own(thing) or name == "<lambda>":
        raise CplabError(f"{name} ({type(thing).__name__}) is not a function of your own: use def")
    statements = Statements()
    add_statements(name, thing, name, statements)
    head = sorted(s for s in statements.values() if s.order != DEFINITION)
    blocks = [f"# {options!r}" if options else "", "\n".join(s.text for s in head)]
    for statement in statements.values():
        if statement.order == DEFINITION:
            blocks.append(statement.text)
    source = "\n\n".join(block for block in blocks if block)
    return hashlib.sha256(source.encode()).hexdigest()[:8], source


def add_statements(name: str, value: Any, user: str, statements: Statements) -> None:
    """Add the statement that gives `name` its value, after all that this needs; `user` is the
    function that reads it."""
    defines = is_own(value)
    if defines:
        statement = Statement(DEFINITION, definition(value, repr(defaults_of(value))))
    else:
        statement = outside_statement(name, value, user)
    if statements.get(name, statement) != statement:
        raise CplabError(f"{user} and what it reads have two things named {name!r}: rename one")
    if defines and name not in statements:
        statements[name] = statement  # before what it reads, which may read it in turn
        outside = variables(value)
        with explain(name):  # what is nonlocal cannot stand alone
            read = names_read(statement.text)
        check_order(name, statement.text, read.difference(outside))
        for needed in sorted((read - {name}) & outside.keys()):
            add_statements(needed, outside[needed], name, statements)
        del statements[name]  # which is put last
    statements.setdefault(name, statement)


def outside_statement(name: str, value: Any, user: str) -> Statement:
    """The statement that gives `name` a constant, a module, or something of a library."""
    if text := written(value):
        return Statement(CONSTANT, f"{name} = {text}")
    if isinstance(value, ModuleType):
        module = value.__name__
        if not is_library(module):
            why = "a module of your own: import its functions by name"
            raise CplabError(f"{user} reads {name!r}, {why}")
        alias = "" if name == module else f" as {name}"
        return Statement(IMPORT, f"import {module}{alias}")
    module = str(getattr(value, "__module__", ""))  # its package may offer what it defines
    module = HOMES.get(module, module)
    public = getattr(value, "__name__", name)
    for home in (module, module.rpartition(".")[0], "torch", "torch.nn.functional"):
        if getattr(sys.modules.get(home), public, None) is value and is_library(home):
            alias = "" if name == public else f" as {name}"
            return Statement(IMPORT, f"from {home} import {public}{alias}")
    raise CplabError(
        f"{user} reads {name!r} ({type(value).__name__}), whose content its key cannot hold: let "
        f"it be numbers, texts, or a tensor or array of at most {LARGEST} of them"
    )


def defaults_of(thing: Any) -> tuple[tuple, dict[str, Any]]:
    """The defaults of a function's arguments by place, and by name; none of a class."""
    return getattr(thing, "__defaults__", None) or (), getattr(thing, "__kwdefaults__", None) or {}


@lru_cache(maxsize=1000)  # an experiment is described once for each seed
def definition(thing: Any, defaults: str) -> str:
    """The statement that defines a function or class, without docstrings, comments, annotations and
    f-strings. defaults: those of `defaults_of`, as text, since they can be set anew."""
    name, node = thing.__name__, find_statement(thing)
    if node is None:
        how = "use def, without a decorator that wraps it, in a notebook cell or a file"
        raise CplabError(f"the source of {name} is not available on its own: {how}")
    node.decorator_list = []
    strip(node)
    if isinstance(node, ast.FunctionDef):
        positional, keywords = defaults_of(thing)
        for value in (*positional, *keywords.values()):
            if not is_plain(value):
                how = "give a number, a text or a tuple of these"
                raise CplabError(f"{name} has a default {quote(value)}: {how}")
        node.args.defaults = [ast.Constant(value) for value in positional]
        node.args.kw_defaults = [
            ast.Constant(keywords[argument.arg]) if argument.arg in keywords else None
            for argument in node.args.kwonlyargs
        ]
    node = FormatCalls().visit(node)
    return ast.unparse(ast.fix_missing_locations(node))


class FormatCalls(ast.NodeTransformer):
    """Replaces f-strings by calls of `format`: f'{x!r:>{w}}' becomes '{0!r:>{1}}'.format(x, w)."""

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        values: list[ast.expr] = []
        template = self.template(node, values)
        if template is None:  # braces or several levels in a format, which `format` does not take
            self.generic_visit(node)
            return node
        if not values:
            return ast.Constant(template.replace("{{", "{").replace("}}", "}"))
        return ast.Call(ast.Attribute(ast.Constant(template), "format", ast.Load()), values, [])

    def template(self, node: ast.JoinedStr, values: list[ast.expr], level: int = 0) -> str | None:
        """The text before `.format` of an f-string, or of the format of one of its fields, and add
        to `values` what it is called with; None for what `format` cannot do."""
        text = ""
        for part in node.values:
            if isinstance(part, ast.Constant):
                words = str(part.value)
                if level and ("{" in words or "}" in words):
                    return None
                text += words.replace("{", "{{").replace("}", "}}")
                continue
            if not isinstance(part, ast.FormattedValue) or level > 1:
                return None
            field = str(len(values))
            values.append(self.visit(part.value))
            if part.conversion != -1:
                field += f"!{chr(part.conversion)}"
            if isinstance(part.format_spec, ast.JoinedStr):
                inner = self.template(part.format_spec, values, level + 1)
                if inner is None:
                    return None
                field += f":{inner}"
            text += f"{{{field}}}"
        return text


def find_statement(thing: Any) -> Any:
    """The syntax tree of a function, or of a class that has methods, from its file or its cell;
    None if it is not found."""
    for function in functions_of(thing)[:1]:
        code = function.__code__
        for tree in trees_of(code):
            for node in ast.walk(tree):
                if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == thing.__name__:
                    first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
                    last = first if isinstance(node, ast.FunctionDef) else node.end_lineno or first
                    if first <= code.co_firstlineno <= last:
                        return node
    return None


def trees_of(code: CodeType) -> Iterator[ast.AST]:
    """The syntax tree of a function's file; where there is none, of the notebook's cells that
    define it, without magics above them: what times a cell, as %%time does, compiles it so."""
    file = code.co_filename
    linecache.checkcache(file)
    if text := "".join(linecache.getlines(file)):
        with suppress(SyntaxError):
            yield ast.parse(text)
        return
    shell: Any = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if not shell:
        return
    for cell in reversed(shell.history_manager.input_hist_raw):
        bare = shell.transform_cell(re.sub(r"\A(\s*%%.*\n)+", "", cell))
        with suppress(SyntaxError):
            codes = [compile(bare, file, "exec", shell.compile.flags, True)]
            for outer in codes:  # a list that grows by what is defined inside
                codes += [inner for inner in outer.co_consts if isinstance(inner, CodeType)]
            if code in codes or "timeit" in file:  # which puts a cell into a function
                yield ast.parse(bare)


def strip(tree: Any) -> None:
    """Remove docstrings and annotations from a syntax tree."""
    nodes: Iterator[Any] = ast.walk(tree)
    for node in nodes:
        for _, block in ast.iter_fields(node):
            if not isinstance(block, list):
                continue
            for place, part in enumerate(block):
                if not isinstance(part, ast.AnnAssign):
                    continue
                if part.value:
                    block[place] = ast.Assign([part.target], part.value)
                else:
                    block[place] = ast.Pass()
        defines = isinstance(node, ast.FunctionDef | ast.ClassDef)
        if defines and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
        node.returns = node.annotation = None


# Sets and hashes ----------------------------------------------------------------------------------


@lru_cache(maxsize=1000)
def check_order(name: str, text: str, builtin: frozenset[str]) -> None:
    """Raise CplabError if a definition reads a hash, which differs in each process, or goes through
    a set, whose order does. A set may be counted, sorted, asked and added to. builtin: the names of
    Python's own that the definition reads."""
    nodes = [*ast.walk(ast.parse(text))]
    methods = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    if unsteady := sorted((builtin | (methods - {"id", "hash"})) & EACH_PROCESS):
        what = f"{name} reads {', '.join(unsteady)}, which differs in each process"
        raise CplabError(f"{what}: leave it out")
    safe, sets = set[ast.AST](), set[str]()
    views = set[str]()  # variables that hold the keys or items of a dict
    for node in nodes:
        if isinstance(node, ast.Assign) and is_view(node.value):
            views.update(map(word, node.targets))
    for node in nodes:
        if isinstance(node, ast.Assign) and is_set(node.value, views):
            sets.update(map(word, node.targets))
            safe.update(ast.walk(node))
        elif isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            safe.update(sides, (getattr(side, "func", side) for side in sides))
        elif isinstance(node, ast.Attribute) and node.attr in SAFE:
            safe.add(node.value)
        elif isinstance(node, ast.Call) and word(node.func) in ORDERLESS:
            for argument in node.args:
                safe.update(in_any_order(argument))
    for node in nodes:
        if node not in safe and (is_set(node, views) or word(node) in sets):
            why = "whose order differs in each process: use a list, or sorted(…) of it"
            raise CplabError(f"{name} goes through a set, {why}")


def in_any_order(node: Any) -> Iterator[ast.AST]:
    """The parts of an expression whose order is lost where the whole is sorted or counted."""
    yield node
    inner: list[Any] = []
    if isinstance(node, ast.BinOp):
        inner = [node.left, node.right]
    elif isinstance(node, ast.ListComp | ast.SetComp | ast.GeneratorExp):
        inner = [loop.iter for loop in node.generators]
    elif isinstance(node, ast.Call) and word(node.func) in PASSING:
        yield node.func
        inner = [*node.args, getattr(node.func, "value", None)]
    for part in inner:
        if part is not None:
            yield from in_any_order(part)


def is_set(node: Any, views: Collection[str] = ()) -> bool:
    """Whether an expression makes a set. views: variables that hold the keys of a dict."""
    if isinstance(node, ast.BinOp):  # such as a.keys() & b.keys()
        sides = (node.left, node.right)
        return any(is_set(side) or is_view(side) or word(side) in views for side in sides)
    return word(getattr(node, "func", node)) in SETS


def is_view(node: Any) -> bool:
    """Whether an expression is the keys or the items of a dict."""
    return isinstance(node, ast.Call) and word(node.func) in VIEWS


def word(node: Any) -> str:
    """The name or attribute that a node of a syntax tree is, else its kind."""
    return getattr(node, "id", getattr(node, "attr", type(node).__name__))


# What is read -------------------------------------------------------------------------------------


@lru_cache(maxsize=1000)
def names_read(text: str) -> frozenset[str]:
    """The outside variables that the text of a definition reads."""
    tables, read = [symtable.symtable(text, "", "exec")], set[str]()
    for table in tables:  # a list that grows
        tables += table.get_children()
        symbols = table.get_symbols()
        read |= {s.get_name() for s in symbols if s.is_global() and s.is_referenced()}
    return frozenset(read)


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
    numbers = value.tolist()
    if math.prod(value.shape) > LARGEST or not is_plain(numbers):
        return ""
    if module == "torch":
        kind = str(value.dtype).removeprefix("torch.")
        return f"__import__('torch').tensor({numbers!r}, dtype=__import__('torch').{kind})"
    return f"__import__('numpy').array({numbers!r}, dtype={str(value.dtype)!r})"


def is_plain(value: Any) -> bool:
    """Whether a value can be written as Python: a finite number, a text, None, or a tuple, list or
    dict of these."""
    if type(value) is dict:
        return is_plain([*value.items()])
    if type(value) in (tuple, list):
        return all(map(is_plain, value))
    finite = type(value) is float and math.isfinite(value)
    return finite or type(value) in (int, str, bool, type(None))
