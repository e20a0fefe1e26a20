"""What a student's own function computes with: its digest, and a copy of it for another process.

A function is *own* if its file lies outside the folders of libraries, or if it has none, as in a
notebook's cell. It computes with its code and that of the own functions that it calls, with their
defaults, and with the values that they read around them. Code is what Python runs, without its
place in a file and its docstring. What a library offers counts by its name.
"""

from __future__ import annotations

import ast
import copyreg
import dis
import hashlib
import inspect
import io
import linecache
import marshal
import pickle
import secrets
import sys
import textwrap
from collections.abc import Iterator, Mapping, Set
from contextlib import ExitStack, suppress
from functools import _lru_cache_wrapper, lru_cache
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec, resolve_name
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple

from cplab.base.errors import CplabError
from cplab.base.tracebacks import in_library
from cplab.specs.spec import Spec

Description = object  # nested tuples of plain data: equal ones compute the same
PLAIN = (type(None), bool, int, float, complex, str, bytes, type(...), type(NotImplemented))
GLOBALS = {"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"}  # instructions that read one
# What Python adds to the body of a class, and nothing is computed from
PLACES = {"__module__", "__qualname__", "__doc__", "__firstlineno__", "__static_attributes__"}
IGNORED = PLACES | {"__dict__", "__weakref__", "__annotations__", "__cplab__", "__wrapped__"}
IGNORED |= {"__abstractmethods__", "_abc_impl", "__annotate_func__", "__annotations_cache__"}
IGNORED |= {"__dataclass_fields__", "__dataclass_params__"}
SESSION = secrets.token_hex(8)  # names this process in descriptions of what has no digest
KEPT: dict[int, object] = {}  # such values by their `id`, which no other value then gets


class Definition(NamedTuple):
    """A student's own function as it was when it was given.

    Attributes:
        digest: eight hexadecimal digits.
        text: its Python, as far as it is known, for readers.
        content: itself with all that it computes with, for `received`; empty without cloudpickle.
        cells: the lines of the notebook's cells in which it is written, by the cells' files.
        unknown: the names that it reads and whose values have no digest: with any of these its
            results belong to this session.
    """

    digest: str
    text: str
    content: bytes
    cells: dict[str, list[str]]
    unknown: list[str]


# Whose it is --------------------------------------------------------------------------------------


def is_own(value: Any) -> bool:
    """Whether a function, class or module is a student's own: not of a library."""
    if isinstance(value, FunctionType):
        return not in_library(value.__code__.co_filename)
    name = value.__name__ if isinstance(value, ModuleType) else value.__module__
    if name == "__main__":
        return True
    module = value if isinstance(value, ModuleType) else sys.modules.get(name)
    if module is None:
        return True
    variables = vars(module)
    folders = [*variables.get("__path__", ())]  # of a package
    file = variables.get("__file__") or (folders[0] if folders else None)
    return file is not None and not in_library(file)


def is_offered(value: Any) -> bool:
    """Whether a library offers a function or class under its name."""
    found = sys.modules.get(str(getattr(value, "__module__", None)))
    for name in str(getattr(value, "__qualname__", "")).split("."):
        found = getattr(found, name, None)
    return found is value and not is_own(value)


# Code ---------------------------------------------------------------------------------------------


class Import(NamedTuple):
    """An import statement: from `level` dots and `module` import `names`."""

    module: str
    level: int = 0  # 0 if it is not relative
    names: tuple[str, ...] = ()  # which may be modules as well

    def modules(self, package: str | None) -> list[str]:
        """The full names of all modules that it may load, in a package.

        >>> Import("b.c", 1, ("d",)).modules("a")
        ['a', 'a.b', 'a.b.c', 'a.b.c.d']
        """
        with suppress(ImportError):  # there are not so many packages around it
            full_name = resolve_name("." * self.level + self.module, package)
            parts = full_name.split(".")
            outer = [".".join(parts[:count]) for count in range(1, len(parts) + 1)]
            return outer + [f"{full_name}.{name}" for name in self.names]
        return []


class Code(NamedTuple):
    """What a piece of code does.

    Attributes:
        description: its instructions with names and constants, and those of code inside it.
        variables: the variables outside itself that it reads.
        names: all names in it, also of attributes.
        imports: its import statements.
    """

    description: Description
    variables: frozenset[str]
    names: frozenset[str]
    imports: frozenset[Import]


@lru_cache(maxsize=10_000)
def read_code(code: CodeType) -> Code:
    """Read what Python runs when it calls a function."""
    arguments = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount)
    described: list[Description] = [arguments, counts, code.co_flags & 0xFF, code.co_freevars]
    described.append(code.co_exceptiontable)
    variables: set[str] = set()
    names = {*code.co_names}
    imports: set[Import] = set()
    steps = [*dis.get_instructions(code)]
    for place, step in enumerate(steps):
        following = steps[place + 1] if place + 1 < len(steps) else None
        if following and following.opname == "STORE_NAME" and following.argval in PLACES:
            continue  # this loads what the next one stores
        if isinstance(step.argval, CodeType):
            inner = read_code(step.argval)
            described.append((step.opname, inner.description))
            variables |= inner.variables
            names |= inner.names
            imports |= inner.imports
        else:
            described.append((step.opname, ordered(step.argval)))
        if step.opname in GLOBALS:
            variables.add(step.argval)
        elif step.opname == "IMPORT_NAME":
            level, given = (earlier.argval for earlier in steps[place - 2 : place])
            imports.add(Import(step.argval, level, given or ()))
    return Code(tuple(described), frozenset(variables), frozenset(names), frozenset(imports))


def ordered(constant: Any) -> Description:
    """A constant of code, with its type, and sets in order."""
    kind = type(constant)
    if kind is frozenset:
        return "frozenset", tuple(sorted(repr(ordered(part)) for part in constant))
    if kind is tuple:
        return tuple(ordered(part) for part in constant)
    return kind.__name__, repr(constant)


# All that it computes with ------------------------------------------------------------------------


class Reading:
    """All that a function computes with, as it is now.

    Arguments:
        thing: anything that can be called.
        versioned: whether the digest leaves out values that it cannot hold.
        options: on which its results depend as well.

    Attributes:
        digest: eight hexadecimal digits.
        unknown: the names that it reads and whose values have no digest.

    >>> STEP = 2
    >>> def darken(x, y):
    ...     return x - STEP, y  # a comment
    >>> first = Reading(darken)
    >>> STEP = 3
    >>> Reading(darken).digest == first.digest
    False
    """

    def __init__(
        self, thing: Any, versioned: bool = False, options: Mapping[str, object] | None = None
    ) -> None:
        self.thing = thing
        self.versioned = versioned
        self.met: dict[object, tuple[int, Any]] = {}  # what was described
        self.names: set[str] = set()  # in own code
        self.constants: dict[str, str] = {}  # plain values that are read, as Python
        self.unknown: list[str] = []
        self.current = ""  # the name of the value that is described
        try:
            described = self.describe(thing)
        except RecursionError:
            described = self.undigested(thing)
        text = repr((described, sorted((options or {}).items())))
        encoded = text.encode("utf-8", "backslashreplace")
        self.digest = hashlib.sha256(encoded).hexdigest()[:8]

    def definition(self) -> Definition:
        """What another process needs.

        Raises:
            CplabError: if something cannot be sent.
        """
        return Definition(self.digest, self.text(), self.content(), self.cells(), self.unknown)

    def describe(self, value: Any) -> Description:
        """Describe a value: equal descriptions compute the same."""
        kind = type(value)
        if kind in PLAIN:
            return kind.__name__, repr(value)
        if kind is tuple:
            return kind.__name__, tuple(map(self.describe, value))
        if kind in (set, frozenset):
            return kind.__name__, tuple(sorted(repr(self.describe(part)) for part in value))
        if isinstance(value, Spec):
            return kind.__name__, value.canonical()
        if isinstance(value, FunctionType | type | BuiltinFunctionType) and is_offered(value):
            return "offered", value.__module__, value.__qualname__
        if isinstance(value, ModuleType) and not is_own(value):
            return "module", value.__name__
        # Of an own module counts what the names met so far choose
        key = id(value), len(self.names) if isinstance(value, ModuleType) else 0
        if key in self.met:
            return "again", self.met[key][0]
        self.met[key] = len(self.met), value  # kept, so that no other value gets its `id`
        return kind.__name__, self.describe_contents(value)

    def describe_contents(self, value: Any) -> Description:
        """Describe a value that has parts."""
        if isinstance(value, FunctionType):
            return self.describe_function(value)
        if isinstance(value, type):
            return self.describe_class(value)
        if isinstance(value, ModuleType):
            return self.describe_variables(chosen(vars(value), self.names))
        if isinstance(value, MethodType):
            return self.describe(value.__func__), self.describe(value.__self__)
        if isinstance(value, staticmethod | classmethod):
            return self.describe(value.__func__)
        if isinstance(value, property):
            return tuple(map(self.describe, (value.fget, value.fset, value.fdel)))
        if type(value) is _lru_cache_wrapper:
            return self.describe(value.__wrapped__)
        if type(value) is list:
            return tuple(map(self.describe, value))
        if type(value) is dict:
            return tuple(map(self.describe, without_options(value).items()))
        with suppress(Exception):  # it may have no numbers that can be read
            if numbers := describe_array(value):
                return numbers
        return self.describe_object(value)

    def describe_object(self, value: Any) -> Description:
        """Describe an object by what a copy of it would be made from."""
        reduce = copyreg.dispatch_table.get(type(value))  # of what cannot say it itself
        made: Any
        try:
            made = reduce(value) if reduce else value.__reduce_ex__(4)
        except Exception:
            return self.undigested(value)
        if isinstance(made, str):
            return type(value).__module__, made
        maker, arguments, *rest = made
        described = [self.describe(maker), self.describe(arguments)]
        for part in rest:  # its attributes, and iterators of entries
            described.append(self.describe([*part] if isinstance(part, Iterator) else part))
        return tuple(described)

    def undigested(self, value: object) -> Description:
        """Describe a value that only this process knows."""
        name = self.current or type(value).__name__
        if self.versioned:
            return "unknown"
        self.unknown.append(name)
        KEPT[id(value)] = value
        return "unknown", SESSION, id(value)

    def describe_function(self, function: FunctionType) -> Description:
        """Describe a function with what it reads around it. One that a library has made, as a
        decorator does, has its name in place of its code."""
        code = function.__code__
        closure = {}
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            with suppress(ValueError):  # a cell may be empty
                closure[name] = cell.cell_contents
        around = (
            self.describe(function.__defaults__),
            self.describe(function.__kwdefaults__),
            self.describe_variables(closure),
        )
        if not is_own(function):
            return function.__globals__.get("__name__"), code.co_qualname, around
        read = read_code(code)
        self.names |= read.names
        variables = {}
        for name, value in chosen(function.__globals__, read.variables).items():
            if not is_builtin(value):
                variables[name] = value
        for name, value in (closure | variables).items():
            if type(value) in PLAIN:
                self.constants[name] = repr(value)
        return (
            read.description,
            around,
            self.describe_variables(variables),
            self.describe_variables(vars(function)),
            describe_imports(read.imports, function.__globals__.get("__package__")),
        )

    def describe_class(self, cls: type) -> Description:
        """Describe a class by its bases, and an own one by what its body defines."""
        bases = tuple(map(self.describe, (type(cls), *cls.__bases__)))
        if not is_own(cls):
            return cls.__module__, cls.__qualname__, bases
        return bases, self.describe_variables(dict(sorted(vars(cls).items())))

    def describe_variables(self, variables: Mapping[str, Any]) -> Description:
        """Describe the values of some variables, by name."""
        described = []
        for name, value in variables.items():
            if name not in IGNORED:
                self.current = name
                described.append((name, self.describe(value)))
        return tuple(described)

    # Another process ------------------------------------------------------------------------------

    def content(self) -> bytes:
        """The function, pickled with every own function and class that it needs, for `received`.

        Raises:
            CplabError: if it holds something that cannot be sent.
        """
        if find_spec("cloudpickle") is None:
            return b""
        import cloudpickle

        names = self.names

        class Pickler(cloudpickle.Pickler):
            """Sends all that is own by value."""

            def reducer_override(self, value: Any) -> Any:
                """What a copy of a value is made from."""
                if isinstance(value, CodeType):  # with its file's name, which tracebacks show
                    return marshal.loads, (marshal.dumps(value),)
                if type(value) is _lru_cache_wrapper:
                    return cached_anew, (value.__wrapped__, value.cache_parameters())
                if isinstance(value, ModuleType) and is_own(value):
                    contents = chosen(vars(value), names)
                    contents["__file__"] = f"<{value.__name__}>"  # still no library's
                    return ModuleType, (value.__name__,), contents
                made = super().reducer_override(value)
                if isinstance(value, type) and isinstance(made, tuple) and len(made) > 2:
                    # Without the mark by which a process finds a class that it already has: that
                    # one may have been edited since
                    maker, arguments, *rest = made
                    return maker, (*arguments[:-2], None, arguments[-1]), *rest
                return made

        buffer = io.BytesIO()
        with ExitStack() as registered:
            for module in self.own_modules():
                if module.__name__ not in cloudpickle.list_registry_pickle_by_value():
                    cloudpickle.register_pickle_by_value(module)
                    registered.callback(cloudpickle.unregister_pickle_by_value, module)
            try:
                Pickler(buffer).dump(self.thing)
            except Exception as error:
                name = getattr(self.thing, "__name__", type(self.thing).__name__)
                reason = f"{error}".partition("\n")[0]
                raise CplabError(
                    f"{name} cannot be sent to the process that trains ({reason}): make what it "
                    "needs inside it"
                ) from error
        return buffer.getvalue()

    def own_modules(self) -> list[ModuleType]:
        """The modules of the own functions and classes that were met."""
        modules = {}
        for _, value in self.met.values():
            name = getattr(value, "__module__", None)
            if isinstance(value, FunctionType | type) and name in sys.modules and is_own(value):
                modules[name] = sys.modules[name]
        return [*modules.values()]

    # For readers ----------------------------------------------------------------------------------

    def own(self) -> list[FunctionType]:
        """The own functions that were met, those that others need before these."""
        functions = []
        for _, value in reversed(self.met.values()):
            if isinstance(value, FunctionType) and is_own(value):
                functions.append(value)
        return functions

    def text(self) -> str:
        """The Python of all that was met, as far as it is known."""
        blocks = [f"{name} = {value}" for name, value in self.constants.items()]
        for function in self.own():
            file_name = function.__code__.co_filename
            with suppress(OSError, SyntaxError, ValueError):
                if Path(file_name).exists() and function.__code__ not in codes_in(file_name):
                    continue  # the file was edited since it was imported
                lines, first = inspect.getsourcelines(function)
                if "." in function.__qualname__.rpartition("<locals>.")[2]:  # in a class
                    lines = class_lines(linecache.getlines(file_name), first)
                block = textwrap.dedent("".join(lines)).rstrip()
                if block not in blocks:
                    blocks.append(block)
        return "\n\n".join(blocks)

    def cells(self) -> dict[str, list[str]]:
        """The lines of the cells in which own functions are written, by the cells' files."""
        cells = {}
        for function in self.own():
            file = function.__code__.co_filename
            if not Path(file).exists():
                cells[file] = linecache.getlines(file)
        return cells


def codes_in(file: str) -> list[CodeType]:
    """The code of a file, as it is now, and of all functions in it."""
    codes = [compile(Path(file).read_text("utf-8"), file, "exec", dont_inherit=True)]
    for code in codes:  # which grow
        codes += [part for part in code.co_consts if isinstance(part, CodeType)]
    return codes


def class_lines(lines: list[str], inside: int) -> list[str]:
    """The lines of the class that is around a line. Lines have numbers from 1."""
    for node in ast.walk(ast.parse("".join(lines))):
        if isinstance(node, ast.ClassDef) and node.lineno <= inside <= (node.end_lineno or 0):
            return lines[node.lineno - 1 : node.end_lineno]
    return []


def chosen(variables: Mapping[str, Any], names: Set[str]) -> dict[str, Any]:
    """Those of some variables that have one of these names, in the order of the names."""
    return {name: variables[name] for name in sorted(names & variables.keys())}


def without_options(values: Mapping[Any, Any]) -> dict[Any, Any]:
    """The entries of a dict but the options that a decorator has noted in an object."""
    return {name: value for name, value in values.items() if name != "__cplab__"}


def is_builtin(value: object) -> bool:
    """Whether a variable is Python's own for a notebook: IPython puts an `open` into each."""
    variables = getattr(value, "__globals__", {})
    return str(variables.get("__name__", "")).startswith("IPython.")


def describe_imports(imports: Set[Import], package: str | None) -> Description:
    """Describe import statements: by their modules' names, and by what the files of own ones say
    now, which they reach to any depth. A worker reads these files, whatever is loaded here.

    Arguments:
        imports: of a function.
        package: in which it is, for relative ones.
    """
    waiting = set[str]()
    for statement in imports:
        waiting |= {*statement.modules(package)}
    described: dict[str, Description] = {}
    while waiting:
        name = waiting.pop()
        spec = find_module(name)
        if name in described or spec is None or not spec.origin or in_library(spec.origin):
            continue
        content = Path(spec.origin).read_bytes()
        described[name] = hashlib.sha256(content).hexdigest()
        with suppress(SyntaxError, ValueError):  # it is none that Python can read
            code = read_file(content)
            described[name] = code.description
            for statement in code.imports:
                waiting |= {*statement.modules(spec.parent)}
    names = sorted({(statement.module, statement.level) for statement in imports})
    return [module for module, _ in names] + sorted(described.items())


@lru_cache(maxsize=1000)
def read_file(content: bytes) -> Code:
    """Read what Python runs when it loads a file."""
    return read_code(compile(content, "<file>", "exec", dont_inherit=True))


def find_module(name: str) -> ModuleSpec | None:
    """Where Python would find a module, without loading the packages around it."""
    folders = None  # the path
    spec = None
    parts = name.split(".")
    for count in range(1, len(parts) + 1):
        if count > 1 and not folders:
            return None
        spec = PathFinder.find_spec(".".join(parts[:count]), folders)
        if spec is None:
            return None
        folders = spec.submodule_search_locations
    return spec


def describe_array(value: Any) -> Description:
    """Describe a tensor, an array or a number of numpy; None for anything else."""
    if hasattr(value, "detach") and hasattr(value, "is_sparse"):
        import torch

        numbers = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
    elif hasattr(value, "dtype") and hasattr(value, "tobytes") and not value.dtype.hasobject:
        numbers = value
    else:
        return None
    content = hashlib.sha256(numbers.tobytes()).hexdigest()
    return str(value.dtype), tuple(value.shape), content


# Another process ----------------------------------------------------------------------------------


def cached_anew(function: Any, parameters: dict[str, Any]) -> Any:
    """A function with a cache like functools.lru_cache's, which is empty."""
    return lru_cache(**parameters)(function)


def received(definition: Definition) -> Any:
    """The function of a definition, a copy that shares nothing with any other.

    Lines of its cells are shown in tracebacks, also in a process that has not run them.
    """
    for file, lines in definition.cells.items():
        # The size, the time (None: never outdated), the lines, and the full name
        linecache.cache.setdefault(file, (sum(map(len, lines)), None, lines, file))
    return pickle.loads(definition.content)


def forget_own_modules() -> None:
    """Forget the own modules that this process has imported, so that a function which imports one
    when it is called gets the present text of its file. For a process that trains."""
    for name, module in [*sys.modules.items()]:
        is_main = name in ("__main__", "__mp_main__")
        if isinstance(module, ModuleType) and not is_main and is_own(module):
            del sys.modules[name]
