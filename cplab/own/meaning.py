"""What a function or class means, as one text of Python: itself without comments, docstring,
annotations and decorator, its defaults written out, and before it every constant, import and helper
that it reads. What such a text cannot hold is refused.
"""

import ast
import builtins
import copy
import dis
import hashlib
import importlib.util
import linecache
import math
import os
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple, NoReturn
from weakref import WeakKeyDictionary

from cplab.errors import CplabError

PLAIN = (int, float, str, bool, type(None))
DECORATORS = ("deficit", "model", "measurement")
IMPORT, CONSTANT, DEFINITION = range(3)  # the order of a text
PACKAGE, STDLIB = Path(__file__).parents[1], Path(os.__file__).parent
# Whose value a file or the environment decides, and may be another tomorrow
OUTSIDE = {"open", "load", "loadtxt", "genfromtxt", "fromfile", "memmap", "read_text", "read_bytes"}
OUTSIDE |= {"environ", "getenv", "read_csv", "read_parquet", "imread"}
STATEMENTS: WeakKeyDictionary = WeakKeyDictionary()  # by function, whose file may change
Lines = dict[str, tuple[int, str]]  # of a text: name -> kind and text


class Meaning(NamedTuple):
    digest: str  # 8 hexadecimal digits of the text
    source: str


def meaning(thing: Any, **options: Any) -> Meaning:
    """The text that a function or class depends on, and its digest.

    Arguments: a function or class; options of its decorator that count: a first comment.
    Raises: CplabError for anything that the text cannot hold.

    >>> STEP = 2
    >>> def darken(x, y, steps=3):
    ...     return x - STEP * steps, y  # a comment
    >>> print(meaning(darken).source)
    STEP = 2
    <BLANKLINE>
    def darken(x, y, steps=3):
        return (x - STEP * steps, y)
    """
    name = getattr(thing, "__name__", type(thing).__name__)
    if not isinstance(thing, (FunctionType, type)) or name == "<lambda>":
        refuse(f"{name} ({type(thing).__name__}) is not a function of its own: write it with def")
    lines: Lines = {}
    add_lines(name, thing, name, lines)
    small = sorted(line for line in lines.values() if line[0] != DEFINITION)
    blocks = [f"# {options!r}" if options else "", "\n".join(text for _, text in small)]
    blocks += [text for kind, text in lines.values() if kind == DEFINITION]
    source = "\n\n".join(filter(None, blocks))
    return Meaning(hashlib.sha256(source.encode()).hexdigest()[:8], source)


def add_lines(name: str, value: Any, user: str, lines: Lines) -> None:
    """Add to `lines` what gives `name` its value, after all that this needs; `user` reads it."""
    own = isinstance(value, (FunctionType, type)) and is_own(value)
    if own and value.__name__ == "<lambda>":
        refuse(f"{user} reads {name!r}, a lambda: write it with def")
    if own and name != value.__name__:
        add_lines(value.__name__, value, user, lines)
        line = DEFINITION, f"{name} = {value.__name__}"
    else:
        line = definition(value) if own else outside_line(name, value, user)
    if name in lines:
        if lines[name] != line:
            refuse(f"{user} and what it reads have two things named {name!r}: rename one")
        return
    lines[name] = line  # before its helpers, which may read it in turn
    if own and name == value.__name__:
        known = variables(value)
        for needed in sorted(names_read(line[1], name) - {name}):
            if needed in known:
                add_lines(needed, known[needed], name, lines)
            elif not hasattr(builtins, needed):
                refuse(f"{name} reads {needed!r}, which is not defined yet: define it first")
    lines[name] = lines.pop(name)


def outside_line(name: str, value: Any, user: str) -> tuple[int, str]:
    """The line that gives `name` a constant, a module, or what a library has."""
    if is_plain(value):
        return CONSTANT, f"{name} = {literal(value)}"
    if isinstance(value, ModuleType):
        full = value.__name__
        if not is_library(full):
            refuse(f"{user} reads {name!r}, a module of your own: import its functions by name")
        return IMPORT, f"import {full}" + (f" as {name}" if name != full else "")
    module = str(getattr(value, "__module__", ""))
    public = module.rpartition(".")[0]  # a package, which may give it in another coat
    homes = (module, public, "torch", "torch.nn.functional", "torch.fft")
    for home in homes if callable(value) else ():
        for there in (getattr(value, "__name__", name), name):
            found = getattr(sys.modules.get(str(home)), there, None)
            if found is value and is_library(str(home)):
                return IMPORT, f"from {home} import {there}" + f" as {name}" * (name != there)
    refuse(
        f"{user} reads {name!r} ({type(value).__name__}), which its source does not tell: make it "
        "inside the function, or give a number or text as a default argument"
    )


def definition(thing: Any) -> tuple[int, str]:
    """The statement that makes a function or class, without what changes nothing."""
    name, functions = thing.__name__, functions_of(thing)
    if hasattr(thing, "__wrapped__"):
        refuse(f"{name} has another decorator: do what that does inside the function")
    if isinstance(thing, type) and not functions:
        refuse(f"{name} has no methods of its own: give what it holds as default arguments")
    codes = [function.__code__ for function in functions]  # which a notebook may exchange
    if STATEMENTS.get(thing, (None,))[0] != codes:
        STATEMENTS[thing] = codes, statement(codes[0], name) if codes else None
    if (written := STATEMENTS[thing][1]) is None:
        refuse(f"the source of {name} is not at hand: define it in a notebook cell or a file")
    node = copy.deepcopy(written)
    if isinstance(node, ast.FunctionDef):
        keywords = {k: default(name, v) for k, v in (thing.__kwdefaults__ or {}).items()}
        node.args.defaults = [default(name, value) for value in thing.__defaults__ or ()]
        node.args.kw_defaults = [keywords.get(a.arg) for a in node.args.kwonlyargs]
    return DEFINITION, ast.unparse(ast.fix_missing_locations(node))


def default(name: str, value: Any) -> ast.expr:
    """A default of a function as an expression."""
    if not is_plain(value):
        kind = type(value).__name__
        refuse(f"{name} has a {kind} as a default: give a number, a text or a tuple of these")
    return ast.parse(literal(value), mode="eval").body


def statement(code: CodeType, name: str) -> ast.FunctionDef | ast.ClassDef | None:
    """The function with this code, or the class that it is a method of, stripped."""
    linecache.checkcache(code.co_filename)
    try:
        tree = ast.parse("".join(linecache.getlines(code.co_filename)))
    except SyntaxError:
        return None
    for node in ast.walk(tree):
        if not isinstance(node, (ast.FunctionDef, ast.ClassDef)) or node.name != name:
            continue
        inside = node.body if isinstance(node, ast.ClassDef) else [node]
        functions = [f for f in inside if isinstance(f, ast.FunctionDef)]
        begins = {
            (f.name, min([f.lineno, *(d.lineno for d in f.decorator_list)])) for f in functions
        }
        if (code.co_name, code.co_firstlineno) not in begins:
            continue
        for decorator in node.decorator_list:
            called = decorator.func if isinstance(decorator, ast.Call) else decorator
            if ast.unparse(called).rpartition(".")[2] not in DECORATORS:
                refuse(f"{name} has another decorator: do what that does inside")
        node.decorator_list = []
        return Strip().visit(node)
    return None


class Strip(ast.NodeTransformer):
    """Takes docstrings and annotations out."""

    def visit_FunctionDef(self, node: Any) -> ast.AST:
        node.returns = None
        return self.visit_ClassDef(node)

    def visit_ClassDef(self, node: Any) -> ast.AST:
        if ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
        return self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        if node.value is None:
            return ast.Pass()
        return ast.copy_location(ast.Assign([node.target], self.visit(node.value)), node)


def names_read(text: str, name: str) -> set[str]:
    """The variables outside itself that the text of a definition reads."""
    try:
        codes = [compile(text, name, "exec")]
    except SyntaxError as error:  # nonlocal
        refuse(f"{name} cannot stand alone ({error.msg}): give it arguments instead")
    found: set[str] = set()
    while codes:
        code = codes.pop()
        codes += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
        steps = [(step.opname, step.argval) for step in dis.get_instructions(code)]
        stored = {value for step, value in steps if step == "STORE_NAME"}
        for step, value in steps:
            if value in (OUTSIDE if step in ("LOAD_ATTR", "LOAD_METHOD") else {"open"}):
                refuse(f"{name} reads a file or the environment ({value}): make it inside instead")
            if step in ("STORE_GLOBAL", "DELETE_GLOBAL"):
                refuse(f"{name} changes the global {value!r}: return what it needs instead")
            if step == "IMPORT_NAME" and not is_library(value):
                refuse(f"{name} imports {value!r}, your own: import its functions outside, by name")
            if "LOAD" in step and ("GLOBAL" in step or step == "LOAD_NAME"):
                found |= {value} - stored
    return found - {"__name__"}  # which the body of a class reads


def variables(thing: Any) -> dict[str, Any]:
    """What a function, or the methods of a class, can read outside itself."""
    known: dict[str, Any] = {}
    for function in functions_of(thing):
        known = {**function.__globals__, **known}
        cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
        for name, cell in cells:
            with suppress(ValueError):  # empty as yet
                known[name] = cell.cell_contents
    return known


def functions_of(thing: Any) -> list[FunctionType]:
    """A function itself; of a class, the methods that its body defines."""
    inside = vars(thing).values() if isinstance(thing, type) else [thing]
    functions = [(f, f.__code__) for f in inside if isinstance(f, FunctionType)]
    # but not those that a dataclass or a decorator made
    return [f for f, c in functions if f.__name__ == c.co_name and c.co_filename != "<string>"]


def is_own(thing: Any) -> bool:
    """Whether a function or class is a student's, as the gallery's are too, and not a library's."""
    if not (inside := functions_of(thing)):
        return not is_library(getattr(thing, "__module__", None) or "")
    file = Path(inside[0].__code__.co_filename)
    if file.is_relative_to(PACKAGE):
        return file.name == "gallery.py"
    if str(file).startswith("<frozen"):
        return False
    in_notebook = not file.is_file()  # a cell, or what `python -c` runs
    return in_notebook or not (is_installed(file) or file.is_relative_to(STDLIB))


def is_library(name: str) -> bool:
    """Whether a module comes with Python, cplab or an installed package, wherever that lies, and is
    none that a student wrote: __main__, or a file at hand that belongs to no package."""
    root = name.partition(".")[0]
    if name in ("", "__main__", "cplab.gallery"):
        return False
    if root in sys.stdlib_module_names or root == "cplab":
        return True
    try:
        spec = importlib.util.find_spec(root)
    except (ImportError, ValueError):
        return False
    places = [spec.origin or "", *(spec.submodule_search_locations or ())] if spec else []
    return any(
        is_installed(Path(place)) or not is_at_hand(Path(place)) for place in places if place
    )


@cache
def is_installed(file: Path) -> bool:
    """Whether a file belongs to an installed distribution: pip and uv write a .dist-info beside its
    packages, in whatever directory these lie (an overlay, a cluster's module, `pip --target`)."""
    inside = ("site-packages", "dist-packages")
    if any(part in inside for part in file.parts):
        return True
    top = file
    while (top.parent / "__init__.py").exists():
        top = top.parent
    return any(top.parent.glob("*.dist-info"))


def is_at_hand(file: Path) -> bool:
    """Whether a file lies in the working directory or beside the script that runs."""
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    folders = [Path.cwd(), *([Path(script).resolve().parent] if script else [])]
    return any(file.resolve().is_relative_to(folder) for folder in folders)


def is_plain(value: Any) -> bool:
    return type(value) in PLAIN or (type(value) is tuple and all(map(is_plain, value)))


def literal(value: Any) -> str:
    """A plain value as Python writes it, infinity and nan too."""
    if isinstance(value, tuple):
        return f"({', '.join(map(literal, value))}{',' * (len(value) == 1)})"
    if isinstance(value, float) and not math.isfinite(value):
        return f"float({str(value)!r})"
    return repr(value)


def refuse(line: str) -> NoReturn:
    raise CplabError(line)
