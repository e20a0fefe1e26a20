"""Whether a student's own function gives the same whenever it is asked: what it may not read, and
what it keeps between two calls.

Equal seeds give equal bits only if a function follows from its arguments and its text. Neither a
text nor a trial shows all: a clock may count only on Mondays, a counter only from a thousand on. So
what a text names is refused where it differs from run to run, and so is what changes in a
function's own names when it is asked the same again.
"""

from __future__ import annotations

import ast
import datetime
import importlib
import random
import sys
import warnings
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import BuiltinFunctionType, FunctionType, GeneratorType, ModuleType
from typing import Any

from cplab.errors import CplabError

# Modules of which everything but these differs from run to run, or from machine to machine
UNSTEADY: dict[str, set[str]] = {
    "time": {"sleep", "strptime", "struct_time"},
    "uuid": {"UUID", "uuid3", "uuid5", "NAMESPACE_DNS", "NAMESPACE_URL"},
    "secrets": set(),
    "platform": set(),
    "locale": set(),
    "getpass": set(),
    "tempfile": set(),
    "gc": set(),
    "inspect": set(),
    "sys": {"maxsize", "float_info", "stdout", "stderr"},
}
# Names of other modules that do
UNSTEADY_NAMES: dict[str, set[str]] = {
    "os": {
        "environ", "environb", "getenv", "getenvb", "getpid", "getppid", "getlogin", "getcwd",
        "getcwdb", "urandom", "times", "uname", "getloadavg", "cpu_count", "process_cpu_count",
        "sched_getaffinity", "listdir", "scandir", "walk", "stat", "umask", "getuid", "name",
    },
    "os.path": {
        "exists", "lexists", "isfile", "isdir", "islink", "getsize", "getmtime", "getctime",
        "getatime", "expanduser", "expandvars", "abspath", "realpath", "relpath",
    },
    "glob": {"glob", "iglob"},
    "socket": {"gethostname", "getfqdn"},
    "multiprocessing": {"cpu_count", "current_process"},
    "threading": {"get_ident", "get_native_id", "current_thread", "active_count"},
    "torch": {
        "get_num_threads", "get_num_interop_threads", "get_default_dtype", "get_default_device",
        "get_float32_matmul_precision", "are_deterministic_algorithms_enabled",
    },
}  # fmt: skip
# Methods that ask the disk, the user's account or the clock's zone, if given so many arguments
ASKING = {
    "exists": 0, "is_file": 0, "is_dir": 0, "iterdir": 0, "cwd": 0, "home": 0, "expanduser": 0,
    "absolute": 0, "astimezone": 0, "timestamp": 0, "fromtimestamp": 1,
}  # fmt: skip
SEEDING = {"manual_seed", "seed", "initial_seed", "get_rng_state", "set_rng_state"}
SHARED_NAMES: dict[str, set[str]] = {  # of the generator that all code shares
    "torch": SEEDING | {"default_generator"},
    "torch.random": SEEDING | {"default_generator"},
    "torch.cuda": SEEDING | {"manual_seed_all", "seed_all"},
}
SETTINGS: dict[str, set[str]] = {  # which all code of a process shares
    "torch": {
        "set_default_dtype", "set_default_device", "set_num_threads", "set_num_interop_threads",
        "set_float32_matmul_precision", "use_deterministic_algorithms", "set_flush_denormal",
        "set_default_tensor_type",
    },
}  # fmt: skip
NOW = {"now", "utcnow", "today"}  # of datetime's classes, and what numpy's datetime64 takes
# Generators that begin anywhere unless they are given a seed
SEEDED = {"Random", "default_rng", "RandomState", "SeedSequence", "SystemRandom"}
SEEDED |= {"PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64"}


# What a text names --------------------------------------------------------------------------------


def check_reads(name: str, source: str, space: dict[str, Any], remedy: str) -> None:
    """Raise CplabError if a text reads a clock, the environment, the machine, or random numbers
    that no seed decides.

    Arguments: name, of the function; space, the variables that the text has defined; remedy, how
        to draw instead.
    """
    tree = ast.parse(source)
    known = {**space, **imports_inside(tree)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Name) and isinstance(node.ctx, ast.Load):
            what = unsteady(node, known)
            if what:
                raise CplabError(
                    f"{name} reads {what}, which differs from run to run: leave it out"
                )
            if drawn := shared_generator(node, known):
                raise CplabError(f"{name} uses {drawn}, which all code shares: {remedy}")
            if is_named(resolve(node, known), SETTINGS):
                words = ast.unparse(node)
                raise CplabError(f"{name} sets {words} for all code: leave it out")
        elif isinstance(node, ast.Call) and (is_now(node, known) or asks(node)):
            why = "which differs from run to run"
            raise CplabError(f"{name} reads {ast.unparse(node)}, {why}: leave it out")
        elif isinstance(node, ast.Call) and is_unseeded(node, known):
            what = ast.unparse(node.func)
            raise CplabError(f"{name} draws from {what}() without a seed: {remedy}")


def imports_inside(tree: ast.AST) -> dict[str, Any]:
    """What the import statements in a text give their names, wherever they stand."""
    found: dict[str, Any] = {}
    for node in ast.walk(tree):
        with suppress(Exception):  # whatever an import may raise: running the text says it
            if isinstance(node, ast.Import):
                for alias in node.names:
                    module = importlib.import_module(alias.name)
                    root = sys.modules[alias.name.partition(".")[0]]
                    found[alias.asname or root.__name__] = module if alias.asname else root
            elif isinstance(node, ast.ImportFrom) and node.module:
                home = importlib.import_module(node.module)
                for alias in node.names:
                    found[alias.asname or alias.name] = getattr(home, alias.name)
    return found


NOTHING = object()  # stands for what only running a text could tell


def resolve(node: ast.AST, known: dict[str, Any]) -> Any:
    """What a name, or an attribute of a module or class, stands for; else NOTHING."""
    if isinstance(node, ast.Name):
        return known.get(node.id, NOTHING)
    if isinstance(node, ast.Attribute):
        home = resolve(node.value, known)
        if isinstance(home, ModuleType | type):
            return getattr(home, node.attr, NOTHING)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
        first = node.args[0]
        if node.func.id == "__import__" and isinstance(first, ast.Constant):
            return sys.modules.get(str(first.value), NOTHING)
    return NOTHING


def is_named(value: Any, names: dict[str, set[str]]) -> bool:
    """Whether a value is one of these names of modules, given as {module: names}."""
    if value is NOTHING:  # which is no name, even of a module that is still being loaded
        return False
    for module, of_module in names.items():
        home = sys.modules.get(module)
        if any(getattr(home, name, NOTHING) is value for name in of_module):
            return True
    return False


def unsteady(node: Any, known: dict[str, Any]) -> str:
    """The source of what a node reads if that differs from run to run; else ""."""
    value = resolve(node, known)
    if value is NOTHING or value is None or isinstance(value, ModuleType):
        return ""
    words = ast.unparse(node)
    module = getattr(value, "__module__", None)
    name = getattr(value, "__name__", "")
    if isinstance(node, ast.Attribute):
        home = resolve(node.value, known)
        if isinstance(home, ModuleType):
            module, name = home.__name__, node.attr
        if isinstance(home, type) and issubclass(home, datetime.date) and name in NOW:
            return words
    elif name and name != words:  # from time import time as now
        words = f"{words} ({module}.{name})"
    if module in UNSTEADY:
        return "" if name in UNSTEADY[module] else words
    return words if is_named(value, UNSTEADY_NAMES) else ""


def shared_generator(node: Any, known: dict[str, Any]) -> str:
    """The source of what a node reads from a generator that all code shares; else ""."""
    value = resolve(node, known)
    owner = getattr(value, "__self__", None)
    shared = [getattr(random.random, "__self__", None)]
    if "numpy" in sys.modules:
        shared.append(getattr(sys.modules["numpy"].random.rand, "__self__", None))
    if owner is not None and any(owner is generator for generator in shared):
        return ast.unparse(node)
    if is_named(value, SHARED_NAMES):
        return ast.unparse(node)
    return ""


def is_now(call: ast.Call, known: dict[str, Any]) -> bool:
    """Whether a call is numpy.datetime64("now") or the like."""
    if getattr(resolve(call.func, known), "__name__", "") != "datetime64" or not call.args:
        return False
    return isinstance(call.args[0], ast.Constant) and call.args[0].value in NOW


def asks(call: ast.Call) -> bool:
    """Whether a call is one of a method that asks what differs from machine to machine."""
    if not isinstance(call.func, ast.Attribute) or call.func.attr not in ASKING:
        return False
    return len(call.args) + len(call.keywords) == ASKING[call.func.attr]


def is_unseeded(call: ast.Call, known: dict[str, Any]) -> bool:
    """Whether a call makes a generator without a seed, or gives one another seed by chance."""
    given = [*call.args, *(keyword.value for keyword in call.keywords)]
    seeds = [a for a in given if not (isinstance(a, ast.Constant) and a.value is None)]
    if isinstance(call.func, ast.Attribute) and call.func.attr == "seed":
        return not seeds
    value = resolve(call.func, known)
    module = str(getattr(value, "__module__", "")).partition(".")[0]
    name = getattr(value, "__name__", "")
    if value is NOTHING or name not in SEEDED or module not in ("random", "numpy"):
        return False
    return not seeds or name == "SystemRandom"


# What is kept -------------------------------------------------------------------------------------


def state_of(thing: Any) -> Any:
    """What a function or class keeps between two calls, as plain data to compare: the variables
    that it reads outside, what has been put into them, and its defaults."""
    space = space_of(thing)
    names = [name for name in space if not name.startswith("__")]
    return frozen({name: space[name] for name in names})


def space_of(thing: Any) -> dict[str, Any]:
    """The variables outside a function, or outside the methods of a class."""
    functions = [thing] if isinstance(thing, FunctionType) else [*vars(thing).values()]
    for function in functions:
        if isinstance(function, FunctionType):
            return function.__globals__
    return {}


def frozen(value: Any, around: frozenset[int] = frozenset()) -> Any:
    """A value as plain data that can be compared, and that does not change with it. around: the
    numbers of what it is in, which it may hold in turn."""
    if value is None or isinstance(value, bool | int | float | complex | str | bytes | ModuleType):
        return type(value).__name__, str(value)
    if id(value) in around:
        return "itself"
    around = around | {id(value)}
    if isinstance(value, dict):
        pairs = value.items()
        return type(value).__name__, tuple((frozen(k, around), frozen(v, around)) for k, v in pairs)
    if isinstance(value, list | tuple | deque):
        return type(value).__name__, tuple(frozen(part, around) for part in value)
    if isinstance(value, set | frozenset):
        return "set", frozenset(frozen(part, around) for part in value)
    if isinstance(value, random.Random):
        return "Random", value.getstate()
    return frozen_object(value, around)


def frozen_object(value: Any, around: frozenset[int]) -> Any:
    """The same of an array, a function, a class, or an object of one."""
    kind = type(value).__name__
    if hasattr(value, "bit_generator"):  # numpy's Generator
        return kind, frozen(value.bit_generator.state, around)
    if hasattr(value, "get_state") and kind == "Generator":  # torch's
        return kind, value.get_state().tolist()
    if hasattr(value, "detach") and hasattr(value, "cpu"):  # a tensor
        value = value.detach().cpu()
        value = value.float().numpy() if str(value.dtype) == "torch.bfloat16" else value.numpy()
    if hasattr(value, "tobytes") and hasattr(value, "dtype"):  # an array
        return str(value.dtype), value.shape, value.tobytes()
    if isinstance(value, BuiltinFunctionType):
        return "function"
    if isinstance(value, FunctionType):
        if value.__module__ != "__own__":
            return "function"
        cells = [cell.cell_contents for cell in value.__closure__ or ()]
        kept = [value.__defaults__, value.__kwdefaults__, vars(value), cells]
        return "function", frozen(kept, around)
    if isinstance(value, type):
        if value.__module__ != "__own__":
            return "class"
        names = (name for name in vars(value) if not name.startswith("__"))
        return "class", frozen({name: vars(value)[name] for name in names}, around)
    return kind, frozen(parts_of(value), around)


def parts_of(value: Any) -> Any:
    """What an object is made of: its attributes; of an iterator, a deque or an object with slots
    what a copy of it is made from; of a function that goes on where it stopped, where that is."""
    if isinstance(value, GeneratorType):
        frame = value.gi_frame
        return (frame.f_lasti, frame.f_locals) if frame else "ended"
    attributes = getattr(value, "__dict__", None)
    if attributes:
        return attributes
    with suppress(Exception), warnings.catch_warnings():  # locks and the like have no copies
        warnings.simplefilter("ignore")  # of what later Pythons copy no more
        return value.__reduce_ex__(2)
    return repr(value) if isinstance(value, Iterator) else None


@contextmanager
def no_shared_draws(name: str, remedy: str) -> Iterator[None]:
    """A context in which a function that draws from Python's or numpy's shared generator, however
    deep in a library, gets a CplabError; both generators are then as they were."""
    import numpy as np

    python = random.getstate()
    arrays = np.random.get_state()
    same_python = same_arrays = True
    try:
        yield
    finally:
        same_python = random.getstate() == python
        same_arrays = frozen(np.random.get_state()) == frozen(arrays)
        if not same_python:
            random.setstate(python)
        if not same_arrays:
            np.random.set_state(arrays)
    if not (same_python and same_arrays):
        what = f"{name} draws random numbers from a generator that all code shares"
        raise CplabError(f"{what}: {remedy}")
