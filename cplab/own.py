"""A student's own deficits, networks and measurements: their tables, their meaning, their trial.

A student's own function is named by the digest of its meaning (`occlude@1a2b3c4d`): one text of
Python that holds it without comments, docstrings and annotations, its defaults written out, and
before it every constant, import and helper that it reads. What such a text cannot hold is refused.
Training runs what the text defines, here and in worker processes: what changes later in a notebook
changes nothing in what is registered.
"""

from __future__ import annotations

import ast
import builtins
import hashlib
import importlib.util
import linecache
import math
import pickle
import random
import symtable
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any
from weakref import WeakKeyDictionary

from cplab.errors import CplabError, one_of, require

# Of each kind, which is a dataclass of name, function, label, source and more: entries by name
TABLES: dict[type, dict[str, Any]] = {}
DECORATED: WeakKeyDictionary = WeakKeyDictionary()  # what a decorator said about a function
DECORATORS = {"deficit", "model", "measurement"}
FIXED = {"name", "apply", "source", "view", "parts"}  # fields that no decorator sets
CLASSES = 10  # of every data set but one's own
PLAIN = (int, float, str, bool, type(None))
IMPORT, CONSTANT, DEFINITION = range(3)  # the order of a text
Lines = dict[str, tuple[int, str]]  # of a text: name -> its place in the order, statement
# Whose value a file or the environment decides, and may be another tomorrow
OUTSIDE = {"open", "load", "loadtxt", "genfromtxt", "fromfile", "memmap", "read_text", "read_bytes"}
OUTSIDE |= {"environ", "getenv", "read_csv", "read_parquet", "imread"}


def add_entry(kind: type, thing: Any, options: dict[str, Any] | None = None) -> Any:
    """Register a function or class. The same meaning twice is one entry; the later label holds.

    Arguments: kind, whose `telling` names further fields on which results depend, whose
        `next_style` gives some to a student's own, and whose `try_out` tries it; options, further
        fields, those that its decorator gave before if None.
    """
    table, usual = TABLES[kind], {f.name: f.default for f in fields(kind)}
    name = getattr(thing, "__name__", type(thing).__name__)
    before = DECORATED.get(thing, {}) if isinstance(thing, (FunctionType, type)) else {}
    more = before if options is None else options
    for option in more:
        one_of(f"option of {name}", option, usual.keys() - FIXED)
    label = {"label": name.replace("_", " ")}
    if not is_own(thing):  # the package's, each of which is registered by its decorator
        for entry in table.values():
            if entry.apply is thing:
                return entry
        new = options is not None and thing.__module__.startswith("cplab.")
        what = f"{name} ({type(thing).__name__})"
        require(new, f"{what} is not a function of your own: write it with def")
        name = name.removeprefix("measure_")
        return table.setdefault(name, kind(name, thing, **label | more))
    telling = [k for k in getattr(kind, "telling", ()) if more.get(k, usual[k]) != usual[k]]
    digest, source = meaning(thing, **{k: more[k] for k in telling})
    name, DECORATED[thing] = f"{name}@{digest}", more
    if name in table:
        table[name] = replace(table[name], **more)
    else:
        style: dict[str, Any] = getattr(kind, "next_style", dict)()
        entry = kind(name, rebuild(source, name), source=source, **style | label | more)
        entry.try_out()
        table[name] = entry
    return table[name]


def entry_decorator(kind: type, thing: Any, options: dict[str, Any]) -> Any:
    """What a decorator gives: the function, which is registered, or what is called with it next."""
    if thing is None:
        return partial(entry_decorator, kind, options=options)
    add_entry(kind, thing, options)
    return thing


def own_functions() -> list[Any]:
    """All that a student registered in this process."""
    return [entry for table in TABLES.values() for entry in table.values() if entry.source]


def dumps_own() -> list[tuple[type, dict[str, Any]]]:
    """What is registered here as plain data, for `load_own` in another process."""
    leave = {"apply", "parts", "parameters"}  # functions, which the source makes again
    own = own_functions()
    return [(type(e), {k: v for k, v in vars(e).items() if k not in leave}) for e in own]


def load_own(entries: Iterable[tuple[type, dict[str, Any]]]) -> None:
    """Register what `dumps_own` gave, out of the sources; what is here already stays."""
    for kind, values in entries:
        if (name := values["name"]) not in TABLES[kind]:
            TABLES[kind][name] = kind(apply=rebuild(values["source"], name), **values)


def rebuild(source: str, name: str) -> Any:
    """The function or class that a text defines last; tracebacks show the text under `name`."""
    linecache.cache[f"<{name}>"] = (len(source), None, source.splitlines(True), f"<{name}>")
    space: dict[str, Any] = {"__name__": "__own__"}
    try:
        exec(compile(source, f"<{name}>", "exec"), space)
    except Exception as error:
        raise CplabError(f"{name} does not run on its own: {error}") from error
    return space[ast.parse(source).body[-1].name]  # type: ignore[attr-defined]


# Meaning ------------------------------------------------------------------------------------------


def meaning(thing: Any, **options: Any) -> tuple[str, str]:
    """Eight hexadecimal digits, and the text that they are of: all that a function depends on.

    Arguments: a function or class; options of its decorator that count: a first comment.
    Raises: CplabError for anything that the text cannot hold.

    >>> STEP = 2
    >>> def darken(x, y, steps=3):
    ...     return x - STEP * steps, y  # a comment
    >>> print(meaning(darken)[1])
    STEP = 2
    <BLANKLINE>
    def darken(x, y, steps=3):
        return (x - STEP * steps, y)
    """
    name, lines = getattr(thing, "__name__", type(thing).__name__), Lines()
    written = isinstance(thing, (FunctionType, type)) and name != "<lambda>"
    require(
        written, f"{name} ({type(thing).__name__}) is no function of its own: write it with def"
    )
    add_lines(name, thing, name, lines)
    small = sorted(line for line in lines.values() if line[0] != DEFINITION)
    blocks = [f"# {options!r}" if options else "", "\n".join(text for _, text in small)]
    blocks += [text for order, text in lines.values() if order == DEFINITION]
    source = "\n\n".join(filter(None, blocks))
    return hashlib.sha256(source.encode()).hexdigest()[:8], source


def add_lines(name: str, value: Any, user: str, lines: Lines) -> None:
    """Add to `lines` what gives `name` its value, after all that this needs; `user` reads it."""
    own = isinstance(value, (FunctionType, type)) and is_own(value)
    given = value.__name__ if own else ""
    require(given != "<lambda>", f"{user} reads {name!r}, a lambda: write it with def")
    if own and given != name:
        add_lines(given, value, user, lines)
        line = DEFINITION, f"{name} = {given}"
    else:
        line = (DEFINITION, definition(value)) if own else outside_line(name, value, user)
    twice = f"{user} and what it reads have two things named {name!r}: rename one"
    require(lines.get(name, line) == line, twice)
    if given == name and name not in lines:
        lines[name] = line  # before its helpers, which may read it in turn
        known = variables(value)
        for needed in sorted(names_read(line[1], name) - {name}):
            there = needed in known or hasattr(builtins, needed)
            require(there, f"{name} reads {needed!r}, which is not defined yet: define it first")
            if needed in known:
                add_lines(needed, known[needed], name, lines)
        del lines[name]
    lines.setdefault(name, line)


def outside_line(name: str, value: Any, user: str) -> tuple[int, str]:
    """The line that gives `name` a constant, a module, or what a library has."""
    if is_plain(value):
        return CONSTANT, f"{name} = {literal(value)}"
    if isinstance(value, ModuleType):
        full, why = value.__name__, "a module of your own: import its functions by name"
        require(is_library(full), f"{user} reads {name!r}, {why}")
        return IMPORT, f"import {full}" + f" as {name}" * (name != full)
    module = str(getattr(value, "__module__", ""))
    public = module.rpartition(".")[0]  # a package, which may give it in another coat
    homes = (module, public, "torch", "torch.nn.functional", "torch.fft")
    for home in homes if callable(value) else ():
        for there in (getattr(value, "__name__", name), name):
            if getattr(sys.modules.get(home), there, None) is value and is_library(home):
                return IMPORT, f"from {home} import {there}" + f" as {name}" * (name != there)
    raise CplabError(
        f"{user} reads {name!r} ({type(value).__name__}), which its source does not tell: make it "
        "inside the function, or give a number or text as a default argument"
    )


def definition(thing: Any) -> str:
    """The statement that makes a function or class, without what changes nothing."""
    name, functions = thing.__name__, functions_of(thing)
    bare = isinstance(thing, type) and not functions
    require(not bare, f"{name} has no methods: give what it holds as default arguments")
    wrapped = f"{name} has another decorator: do what that does inside the function"
    require(not hasattr(thing, "__wrapped__"), wrapped)
    node: Any = find_statement(functions[0], name) if functions else None
    require(node, f"the source of {name} is not at hand: define it in a notebook cell or a file")
    for decorator in node.decorator_list:
        called = ast.unparse(getattr(decorator, "func", decorator))
        require(called.rpartition(".")[2] in DECORATORS, wrapped)
    node.decorator_list = []
    node = Strip().visit(node)
    if isinstance(node, ast.FunctionDef):
        keywords = thing.__kwdefaults__ or {}
        node.args.defaults = [default(name, value) for value in thing.__defaults__ or ()]
        node.args.kw_defaults = [
            default(name, keywords[a.arg]) if a.arg in keywords else None
            for a in node.args.kwonlyargs
        ]
    return ast.unparse(ast.fix_missing_locations(node))


def find_statement(function: FunctionType, name: str) -> Any:
    """The statement of a function, or of the class of this name that it is a method of; or None."""
    code = function.__code__
    linecache.checkcache(code.co_filename)
    with suppress(SyntaxError):
        for node in ast.walk(ast.parse("".join(linecache.getlines(code.co_filename)))):
            for f in node.body if isinstance(node, ast.ClassDef) else [node]:
                if isinstance(f, ast.FunctionDef) and getattr(node, "name", "") == name:
                    begin = min([f.lineno, *(d.lineno for d in f.decorator_list)])
                    if (f.name, begin) == (code.co_name, code.co_firstlineno):
                        return node
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
        return ast.arg(node.arg)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        return ast.Assign([node.target], self.visit(node.value)) if node.value else ast.Pass()


def names_read(text: str, name: str) -> set[str]:
    """The variables outside itself that the text of a definition reads."""
    for node in ast.walk(ast.parse(text)):
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        for module in modules:
            why = "your own: import its functions outside, by name"
            require(is_library(module), f"{name} imports {module!r}, {why}")
        word = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
        fixed = word not in OUTSIDE or (isinstance(node, ast.Name) and word != "open")
        require(fixed, f"{name} reads a file or the environment ({word}): make it inside instead")
    try:
        tables = [symtable.symtable(text, name, "exec")]
    except SyntaxError as error:  # nonlocal
        why = f"{name} cannot stand alone ({error.msg}): give it arguments instead"
        raise CplabError(why) from error
    read: set[str] = set()
    for table in tables:  # which grows
        tables += table.get_children()
        outside = [s for s in table.get_symbols() if s.is_global()]
        read |= {s.get_name() for s in outside if s.is_referenced()}
        changed = [s.get_name() for s in outside if s.is_declared_global() and s.is_assigned()]
        names = ", ".join(map(repr, changed))
        require(not changed, f"{name} changes the global {names}: return what it needs instead")
    return read


def variables(thing: Any) -> dict[str, Any]:
    """What a function, or the methods of a class, can read outside itself."""
    known: dict[str, Any] = {}
    for function in functions_of(thing):
        known = {**function.__globals__, **known}
        for name, cell in zip(
            function.__code__.co_freevars, function.__closure__ or (), strict=True
        ):
            with suppress(ValueError):  # empty as yet
                known[name] = cell.cell_contents
    return known


def functions_of(thing: Any) -> list[FunctionType]:
    """A function itself; of a class, the methods that its body defines."""
    inside = vars(thing).values() if isinstance(thing, type) else [thing]
    # but not those that a decorator made
    return [f for f in inside if isinstance(f, FunctionType) and f.__name__ == f.__code__.co_name]


def is_own(thing: Any) -> bool:
    """Whether a function or class is a student's, as the gallery's are too, and not a library's."""
    return not is_library(getattr(thing, "__module__", None) or "", elsewhere=False)


def is_library(name: str, elsewhere: bool = True) -> bool:
    """Whether a module comes with Python, cplab or an installed package, and is none that a student
    wrote: __main__, or a file that belongs to no package; but for one that is not at hand, as a
    cluster's are, if `elsewhere`."""
    root = name.partition(".")[0]
    if root in ("", "__main__", "__own__") or name == "cplab.gallery":
        return False
    if root in sys.stdlib_module_names or root == "cplab":
        return True
    try:
        spec = importlib.util.find_spec(root)
    except (ImportError, ValueError):
        return False
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    at_hand = [Path.cwd(), *([Path(script).resolve().parent] if script else [])]
    places = (spec.submodule_search_locations or [spec.origin or ""]) if spec else []
    for folder in (Path(place).resolve().parent for place in places):
        if elsewhere and not any(map(folder.is_relative_to, at_hand)):
            return True
        # pip and uv write a .dist-info beside what they install, in whatever directory that lies
        if folder.name.endswith("-packages") or any(folder.glob("*.dist-info")):
            return True
    return False


def is_plain(value: Any) -> bool:
    """Whether a value is a number, a text, None or a tuple of these."""
    return type(value) in PLAIN or (type(value) is tuple and all(map(is_plain, value)))


def literal(value: Any) -> str:
    """A plain value as Python writes it, infinity and nan too."""
    if isinstance(value, tuple):
        return f"({', '.join(map(literal, value))}{',' * (len(value) == 1)})"
    if isinstance(value, float) and not math.isfinite(value):
        return f"float({str(value)!r})"
    return repr(value)


def default(name: str, value: Any) -> ast.expr:
    """The default of a function's parameter, as an expression."""
    what = f"{name} has a {type(value).__name__} as a default"
    require(is_plain(value), f"{what}: give a number, a text or a tuple of these")
    return ast.parse(literal(value), mode="eval").body


# Trial --------------------------------------------------------------------------------------------


@contextmanager
def explain(name: str, where: str = "") -> Iterator[None]:
    """One line where a student's own function fails."""
    try:
        yield
    except CplabError:
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise CplabError(f"{name.partition('@')[0]} fails{where}: {reason}") from error


@contextmanager
def trial(name: str) -> Iterator[list[str]]:
    """As `explain`. Gives a list that names, in the end, the global generators of random numbers
    that were used in between; they are put back."""
    import numpy as np
    import torch

    generators: dict[str, Any] = {  # of random numbers: how their states are read, and put back
        "random": (random.getstate, random.setstate),
        "numpy": (np.random.get_state, np.random.set_state),
        "torch": (
            lambda: torch.get_rng_state().tolist(),
            lambda state: torch.set_rng_state(torch.ByteTensor(state)),
        ),
    }
    before, used = {name: get() for name, (get, _) in generators.items()}, list[str]()
    try:
        with explain(name, " on four images"):
            yield used
    finally:
        for name, (get, put) in generators.items():
            used += [name] * (pickle.dumps(get()) != pickle.dumps(before[name]))
            put(before[name])


def try_deficit(deficit: Any, context: Any) -> None:
    """Try a deficits.Deficit on four images, of which it may know this context.

    Raises: CplabError if it fails, changes what it is given, gives back anything but images and
        labels of the same shapes and types, or is not a function of these and its generator.
    """
    import torch

    name, results = deficit.name.partition("@")[0], []
    x = torch.sin(torch.arange(4 * 3 * 16 * 16.0)).reshape(4, 3, 16, 16)  # course's size
    y = torch.tensor([0, 3, 6, 9])
    for _ in range(4):  # a draw that seldom matters may hide in one
        given = x.clone(), y.clone()
        tools = {"generator": torch.Generator().manual_seed(0), "context": context}
        tools = {tool: value for tool, value in tools.items() if tool in deficit.parameters}
        with trial(name) as used:
            results.append(deficit.apply(*given, **tools))
        check_result(name, results[-1], x, y)
        same = all(map(torch.equal, given, (x, y)))
        require(same, f"{name} changes what it is given: begin with x = x.clone()")
        draws, how = f"{name} draws from the global generator of", "name a parameter `generator`"
        how = f"{how} and draw with torch.rand(..., generator=generator)"
        require(not used, f"{draws} {', '.join(used)}: {how}")
    alike = all(torch.equal(a, b) for r in results for a, b in zip(r, results[0], strict=True))
    only = "draw with the parameter `generator` alone"
    require(alike, f"{name} does not give the same twice: {only}")


def check_result(name: str, result: Any, x: Any, y: Any, classes: int = CLASSES) -> None:
    """Raises: CplabError unless the result is images as x and labels as y."""
    import torch

    pair, gives = isinstance(result, tuple) and len(result) == 2, f"{name} gives back"
    require(pair, f"{gives} a {type(result).__name__}: end it with return x, y")
    for what, got, like in (("images", result[0], x), ("labels", result[1], y)):
        tensor = isinstance(got, torch.Tensor)
        require(tensor, f"{gives} {what} as a {type(got).__name__}, not a tensor")
        fits = got.shape == like.shape and got.dtype == like.dtype
        kept = f"they must stay {tuple(like.shape)} and {like.dtype}"
        require(fits, f"{gives} {what} of shape {tuple(got.shape)} and type {got.dtype}: {kept}")
    finite = bool(result[0].sum().isfinite())  # the sum takes a tenth of the time
    require(finite, f"{gives} images that are not finite: mind divisions by 0")
    named = bool(((result[1] >= 0) & (result[1] < classes)).all())
    require(named, f"{gives} labels that are none: they go from 0 to {classes - 1}")


def try_model(model: Any) -> None:
    """Try a models.Model on four images.

    Raises: CplabError if it cannot be built, gives anything but logits (4, 10), has a weight that
        does not learn, or is not a function of torch's seed and the images.
    """
    import torch
    from torch import nn

    name, results = model.name.partition("@")[0], []
    shape = (4, 3, 16, 16) if model.views == 1 else (4, model.views, 3, 16, 16)
    x = torch.sin(torch.arange(float(math.prod(shape)))).reshape(shape)
    with trial(name) as used:
        for _ in range(2):
            torch.default_generator.manual_seed(0)
            net = model.apply(8, 3, 16, CLASSES)
            network = isinstance(net, nn.Module)
            require(network, f"{name} gives a {type(net).__name__}: return a network")
            before, logits = torch.get_rng_state(), net(x)
            drawn = not torch.equal(before, torch.get_rng_state())
            why = "draws random numbers when it is used, as dropout does: leave these out"
            require(not drawn, f"{name} {why}")
            given, wanted = tuple(getattr(logits, "shape", ())), (4, CLASSES)
            why = f"gives shape {given} for four images: return logits {wanted}"
            require(given == wanted, f"{name} {why}")
            nn.functional.cross_entropy(logits, torch.arange(4)).backward()
            weights = dict(net.named_parameters())
            idle = [k for k, w in weights.items() if w.requires_grad and w.grad is None]
            require(not idle, f"{name} has weights that do not learn: {', '.join(idle)}")
            results.append([logits.detach(), *(w.detach() for w in weights.values())])
    alike = not {*used} - {"torch"} and all(map(torch.equal, *results))
    require(alike, f"{name} is another at each try: draw weights with torch alone")
