"""The text of a student's own function, with everything that it reads, and the digest of the text.

A text begins with imports and constants. Then come the student's functions that it calls, and last
the function itself. Comments, docstrings and annotations are left out, so that rewording them
changes nothing. Every version of Python writes the same text: f-strings, which Python 3.12 writes
differently from 3.11, become calls of `format`.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import inspect
import linecache
import math
import os
import re
import symtable
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from types import CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple, TypeGuard

from cplab.errors import CplabError, explain, quote
from cplab.specs.spec import Spec

Definition = FunctionType | type  # a function or a class
DefinitionNode = ast.FunctionDef | ast.ClassDef  # the syntax of the statement that defines it

# Libraries, even where they are not installed as packages but imported from a checkout
LIBRARIES = {"cplab", "torch", "torchvision", "numpy", "scipy", "pandas", "PIL"}
LARGEST = 10_000  # numbers of an array that a function may read
# The order of the statements in a text
IMPORT, CONSTANT, DEFINITION = range(3)


class Source(NamedTuple):
    """All that a function or class depends on.

    Attributes:
        digest: eight hexadecimal digits, a hash of the text.
        text: Python, whose last statement defines the function or class.
    """

    digest: str
    text: str


class Statement(NamedTuple):
    """A statement of a text: IMPORT, CONSTANT or DEFINITION, and its Python."""

    order: int
    text: str


Statements = dict[str, Statement]  # by the name that each of them defines


def read_source(thing: object, **options: object) -> Source:
    """Read the source of a student's function or class, with all that it depends on.

    Arguments: thing, the function or class; options, which its text begins with.

    Raises: CplabError if it is not a student's own, or if it reads what a text cannot hold.

    >>> STEP = 2
    >>> def darken(x, y, steps=3):
    ...     return x - STEP * steps, y  # a comment
    >>> print(read_source(darken).text)
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
    head = []  # imports and constants
    definitions = []
    for statement in statements.values():
        if statement.order == DEFINITION:
            definitions.append(statement.text)
        else:
            head.append(statement)
    blocks = []
    if options:
        blocks.append(f"# {options!r}")
    if head:
        blocks.append("\n".join(statement.text for statement in sorted(head)))
    text = "\n\n".join(blocks + definitions)
    return Source(hashlib.sha256(text.encode()).hexdigest()[:8], text)


def add_statements(name: str, value: object, user: str, statements: Statements) -> None:
    """Add the statement that defines a name, after the statements that it needs.

    Arguments: name, and the value that it has; user, the function that reads it; statements, to
        which they are added.

    Raises: CplabError if no statement can define the name, or if another one already does.
    """
    if is_own(value):
        text = definition_text(value, repr(defaults_of(value)))
        statement = Statement(DEFINITION, text)
    else:
        statement = outside_statement(name, value, user)
    if statements.get(name, statement) != statement:
        raise CplabError(f"{user} and what it reads have two things named {name!r}: rename one")
    if name in statements:
        return
    if is_own(value):
        # It is there while what it needs is added: functions may call one another in a circle
        statements[name] = statement
        add_needed(name, value, statement.text, statements)
        del statements[name]  # and is added below again, after what it needs
    statements[name] = statement


def add_needed(name: str, definition: Definition, text: str, statements: Statements) -> None:
    """Add the statements of all that a definition, `name`, reads outside itself.

    Raises: CplabError.
    """
    variables = outside_variables(definition)
    with explain(name):  # a nonlocal name has no value of its own
        read = names_read(text)
    for needed in sorted((read - {name}) & variables.keys()):
        add_statements(needed, variables[needed], name, statements)


def outside_statement(name: str, value: object, user: str) -> Statement:
    """The statement that makes a name a constant, a run, a module, or something from a library.

    Raises: CplabError, which names the user of the name, if no statement can.
    """
    if text := as_python(value):
        return Statement(CONSTANT, f"{name} = {text}")
    if holds_spec(value):
        raise CplabError(
            f"{user} reads {name!r}, which holds a run with a function of your own, or an "
            f"experiment: make it inside {user}, or give it to {user} as an argument"
        )
    if isinstance(value, ModuleType):
        module = value.__name__
        if not is_library(module):
            problem = f"{user} reads {name!r}, a module of your own"
            raise CplabError(f"{problem}: import its functions by name")
        alias = "" if name == module else f" as {name}"
        return Statement(IMPORT, f"import {module}{alias}")
    if text := library_import(name, value):
        return Statement(IMPORT, text)
    raise CplabError(
        f"{user} reads {name!r} ({type(value).__name__}), whose content its key cannot hold: let "
        f"it be numbers, texts, runs, or a tensor or array of at most {LARGEST} numbers"
    )


def library_import(name: str, value: object) -> str:
    """Write the import that gives a name its value; "" if no library offers the value.

    >>> from math import sqrt as root
    >>> library_import("root", root)
    'from math import sqrt as root'
    """
    module = str(getattr(value, "__module__", ""))
    package = module.rpartition(".")[0]  # which may offer what the module defines
    public_name = getattr(value, "__name__", name)
    for place in (module, package, "torch", "torch.nn.functional"):
        offered = getattr(sys.modules.get(place), public_name, None)
        if offered is value and is_library(place):
            alias = "" if name == public_name else f" as {name}"
            return f"from {place} import {public_name}{alias}"
    return ""


# Definitions --------------------------------------------------------------------------------------


class Defaults(NamedTuple):
    """The defaults of a function's arguments, as Python keeps them."""

    positional: tuple[object, ...]  # of the last positional arguments
    keywords: dict[str, object]  # of arguments after *, by name


def defaults_of(definition: Definition) -> Defaults:
    """The defaults of a function's arguments; a class has none."""
    if isinstance(definition, FunctionType):
        return Defaults(definition.__defaults__ or (), definition.__kwdefaults__ or {})
    return Defaults((), {})


@lru_cache(maxsize=1000)  # an experiment is described once for each seed
def definition_text(definition: Definition, defaults: str) -> str:
    """Write the statement that defines a function or class, without docstrings, comments,
    annotations and f-strings.

    Arguments: definition; defaults, its `defaults_of` as text, which the cache alone reads: if a
        function is given other defaults, its statement is written anew.
    """
    name = definition.__name__
    node = find_statement(definition)
    if node is None:
        remedy = "use def, without a decorator that wraps it, in a notebook cell or a file"
        raise CplabError(f"the source of {name} is not available on its own: {remedy}")
    node.decorator_list = []
    strip(node)
    if isinstance(node, ast.FunctionDef):
        write_defaults(node, defaults_of(definition))
    return ast.unparse(ast.fix_missing_locations(FormatCalls().visit(node)))


def write_defaults(node: ast.FunctionDef, defaults: Defaults) -> None:
    """Replace the expressions of a function's defaults by their values."""
    for value in (*defaults.positional, *defaults.keywords.values()):
        if not is_plain(value):
            remedy = "give a number, a text or a tuple of these"
            raise CplabError(f"{node.name} has a default {quote(value)}: {remedy}")
    node.args.defaults = [constant(value) for value in defaults.positional]
    node.args.kw_defaults = []
    for argument in node.args.kwonlyargs:
        has_default = argument.arg in defaults.keywords
        value = defaults.keywords.get(argument.arg)
        node.args.kw_defaults.append(constant(value) if has_default else None)


def constant(value: Any) -> ast.expr:
    """The syntax of a plain value, which may be a tuple, a list or a dict as well."""
    return ast.Constant(value)


class FormatCalls(ast.NodeTransformer):
    """Replaces f-strings by calls of `format`: f'{x!r:>{w}}' becomes '{0!r:>{1}}'.format(x, w)."""

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        """Return what replaces an f-string: a call of `format`, or a text if it has no fields."""
        values: list[ast.expr] = []
        template = self.template(node, values)
        if template is None:  # `format` cannot do everything: braces or three levels in a format
            self.generic_visit(node)
            return node
        if not values:
            return ast.Constant(template.replace("{{", "{").replace("}}", "}"))
        return ast.Call(ast.Attribute(ast.Constant(template), "format", ast.Load()), values, [])

    def template(self, node: ast.JoinedStr, values: list[ast.expr], level: int = 0) -> str | None:
        """The text on which `format` is called for an f-string, or for the format of a field.

        Arguments: node; values, to which the arguments of `format` are added; level, 0 for an
            f-string and 1 for the format of one of its fields.

        Returns: None for what `format` cannot do.
        """
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


def strip(tree: ast.AST) -> None:
    """Remove docstrings and annotations from a syntax tree."""
    for node in ast.walk(tree):
        for _, block in ast.iter_fields(node):
            if isinstance(block, list):
                strip_assignments(block)
        if isinstance(node, DefinitionNode) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:]
            if not node.body:
                node.body = [ast.Pass()]
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.returns = None
        elif isinstance(node, ast.arg):
            node.annotation = None


def strip_assignments(block: list[ast.AST]) -> None:
    """Remove the annotations from the assignments among some statements."""
    for place, statement in enumerate(block):
        if not isinstance(statement, ast.AnnAssign):
            continue
        if statement.value:
            block[place] = ast.Assign([statement.target], statement.value)
        else:
            block[place] = ast.Pass()


# Where a definition is written --------------------------------------------------------------------


def find_statement(definition: Definition) -> DefinitionNode | None:
    """Find the syntax of a function, or of a class with methods, in its file or its cell; return
    None if it is not there."""
    functions = functions_in(definition)
    if not functions:
        return None
    code = functions[0].__code__
    for tree in source_trees(code):
        for node in ast.walk(tree):
            if not isinstance(node, DefinitionNode) or node.name != definition.__name__:
                continue
            if contains(node, code.co_firstlineno):
                return node
    return None


def contains(node: DefinitionNode, line: int) -> bool:
    """Whether a function begins in this line, or a class contains it. A decorator is a part of
    either."""
    decorators = [decorator.lineno for decorator in node.decorator_list]
    first = min([node.lineno, *decorators])
    last = first
    if isinstance(node, ast.ClassDef) and node.end_lineno:
        last = node.end_lineno
    return first <= line <= last


def source_trees(code: CodeType) -> Iterator[ast.AST]:
    """Parse the file in which a function is written or, where there is no file, those of a
    notebook's cells that define it."""
    file = code.co_filename
    linecache.checkcache(file)
    text = "".join(linecache.getlines(file))
    if text:
        with suppress(SyntaxError):
            yield ast.parse(text)
    else:
        yield from cell_trees(code)


def cell_trees(code: CodeType) -> Iterator[ast.AST]:
    """Parse those of a notebook's cells that define a function, the last that was run first.

    Magics above a cell are left out: %%time compiles the cell without itself.
    """
    shell: Any = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if not shell:
        return
    file = code.co_filename
    for cell in reversed(shell.history_manager.input_hist_raw):
        without_magics = re.sub(r"\A(\s*%%.*\n)+", "", cell)
        text = shell.transform_cell(without_magics)
        with suppress(SyntaxError):
            compiled = compile(text, file, "exec", flags=shell.compile.flags, dont_inherit=True)
            # %%timeit puts the cell into a function of its own, in which the code is another
            if code in all_code(compiled) or "timeit" in file:
                yield ast.parse(text)


def all_code(code: CodeType) -> list[CodeType]:
    """Compiled code, and the code of all functions and classes inside it."""
    codes = [code]
    for outer in codes:  # the list grows while the loop goes through it
        for part in outer.co_consts:
            if isinstance(part, CodeType):
                codes.append(part)
    return codes


# What is read -------------------------------------------------------------------------------------


@lru_cache(maxsize=1000)
def names_read(text: str) -> frozenset[str]:
    """The outside variables that the text of a definition reads.

    >>> sorted(names_read("def f(x, n=2):\\n    return abs(x) * K"))
    ['K', 'abs']
    """
    names = set()
    tables = [symtable.symtable(text, "", "exec")]
    for table in tables:  # the list grows while the loop goes through it
        tables += table.get_children()
        for symbol in table.get_symbols():
            if symbol.is_global() and symbol.is_referenced():
                names.add(symbol.get_name())
    return frozenset(names)


def outside_variables(definition: Definition) -> dict[str, object]:
    """The variables outside a function, or outside the methods of a class, which it can read."""
    variables: dict[str, object] = {}
    for function in functions_in(definition):
        closure = inspect.getclosurevars(function).nonlocals
        variables = {**function.__globals__, **variables, **closure}
    return variables


def functions_in(definition: Definition) -> list[FunctionType]:
    """The functions of a definition, a function itself or a class's methods, but for those that a
    decorator has made."""
    parts: list[object] = [definition]
    if isinstance(definition, type):
        parts = [*vars(definition).values()]
    functions = []
    for part in parts:
        if isinstance(part, FunctionType) and part.__name__ == part.__code__.co_name:
            functions.append(part)
    return functions


# Kinds of values ----------------------------------------------------------------------------------


def is_own(thing: object) -> TypeGuard[Definition]:
    """Whether something is a function or class by a student, or of the gallery: not a library's."""
    if not isinstance(thing, FunctionType | type):
        return False
    return not is_library(getattr(thing, "__module__", None) or "")


def is_library(name: str) -> bool:
    """Whether a module belongs to Python, cplab or an installed package.

    `__main__`, the gallery and a student's own file do not.
    """
    if name in ("__main__", "cplab.gallery"):
        return False
    root = name.partition(".")[0]
    if root in sys.stdlib_module_names or root in LIBRARIES:
        return True
    times = []  # at which something was installed into a folder, or removed
    for folder in sys.path:
        with suppress(OSError):
            times.append((folder, os.stat(folder).st_mtime_ns))
    return root in installed_modules(tuple(times))


@lru_cache(maxsize=4)
def installed_modules(times: tuple[tuple[str, int], ...]) -> frozenset[str]:
    """The modules of all installed packages. Looking takes half a second, so it is done anew only
    if the folders in which Python looks, or their times, are others."""
    return frozenset(importlib.metadata.packages_distributions())


def as_python(value: object) -> str:
    """Write a value as Python: finite numbers, texts, None, runs, tuples, lists and dicts of these,
    and a tensor or an array of numbers. Return "" for any other value.

    >>> as_python((1, "a")), as_python(object())
    ("(1, 'a')", '')
    """
    if is_plain(value):
        return repr(value)
    if is_array(value):
        return array_as_python(value)
    if isinstance(value, Spec):
        return run_as_python(value)
    if holds_spec(value):
        return parts_as_python(value)
    return ""


def run_as_python(spec: Spec) -> str:
    """Write a run as Python, by its fields without defaults. Return "" for an experiment, and for a
    run with a student's own function, whose digest alone does not bring its text along."""
    fields = spec.plain()
    if spec.address != "Run" or "@" in repr(fields):
        return ""
    return f"__import__('cplab').Run(**{fields!r})"


def parts_as_python(value: Any) -> str:
    """Write a tuple, list or dict that holds runs as Python; return "" if a part cannot be."""
    if isinstance(value, dict):
        entries = []
        for key, part in value.items():
            key_text = as_python(key)
            part_text = as_python(part)
            if not key_text or not part_text:
                return ""
            entries.append(f"{key_text}: {part_text}")
        return "{" + ", ".join(entries) + "}"
    parts = [as_python(part) for part in value]
    if not all(parts):
        return ""
    if isinstance(value, list):
        return "[" + ", ".join(parts) + "]"
    return "(" + ", ".join(parts) + ",)"


def holds_spec(value: object) -> bool:
    """Whether a value is a run or an experiment, or a tuple, list or dict that holds one."""
    if type(value) is dict:
        return any(holds_spec(part) for part in value.values())
    if type(value) in (tuple, list):
        return any(holds_spec(part) for part in value)  # type: ignore[attr-defined]
    return isinstance(value, Spec)


def is_array(value: object) -> bool:
    """Whether a value is a tensor of torch or an array of numpy, neither of which is loaded."""
    kind = type(value)
    return kind.__name__ in ("Tensor", "ndarray") and kind.__module__ in ("torch", "numpy")


def array_as_python(array: Any) -> str:
    """Write a tensor or an array as Python; return "" if it has too many numbers, or others than
    finite ones."""
    numbers = array.tolist()
    if math.prod(array.shape) > LARGEST or not is_plain(numbers):
        return ""
    if type(array).__module__ == "torch":
        dtype = str(array.dtype).removeprefix("torch.")
        return f"__import__('torch').tensor({numbers!r}, dtype=__import__('torch').{dtype})"
    return f"__import__('numpy').array({numbers!r}, dtype={str(array.dtype)!r})"


def is_plain(value: object) -> bool:
    """Whether a value can be written as Python: a finite number, a text, None, or a tuple, list or
    dict of these."""
    # The exact type counts: a number of numpy is a float of Python, and is written differently
    if type(value) is dict:
        return all(is_plain(key) and is_plain(part) for key, part in value.items())
    if type(value) in (tuple, list):
        return all(is_plain(part) for part in value)  # type: ignore[attr-defined]
    if type(value) is float:
        return math.isfinite(value)
    return type(value) in (int, str, bool, type(None))
