"""Refuses a student's own function whose text reads something that differs from run to run.

Equal seeds give equal bits only if a function's answer follows from its arguments and its text.
A trial does not show that: a clock may matter on Mondays only. So the text is searched for clocks,
the environment, the machine, and random numbers that no seed decides.
"""

from __future__ import annotations

import ast
import datetime
import importlib
import random
import sys
from collections.abc import Mapping
from contextlib import suppress
from types import ModuleType

from cplab.errors import CplabError

# What the variables of a text stand for, by name
Namespace = Mapping[str, object]

# Modules whose contents differ from run to run or from machine to machine, and the names in them
# that do not
UNSTEADY_MODULES: dict[str, set[str]] = {
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
# Names in other modules that differ from run to run or from machine to machine
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
# Methods that ask the disk, the user's account or the machine's time zone, each with the number of
# arguments with which it does: datetime.fromtimestamp(0) asks for the time zone, and
# datetime.fromtimestamp(0, zone) does not
UNSTEADY_METHODS = {
    "exists": 0, "is_file": 0, "is_dir": 0, "iterdir": 0, "cwd": 0, "home": 0, "expanduser": 0,
    "absolute": 0, "astimezone": 0, "timestamp": 0, "fromtimestamp": 1,
}  # fmt: skip
# Names of torch's generator, which all code of a process shares
SEEDING = {"manual_seed", "seed", "initial_seed", "get_rng_state", "set_rng_state"}
SHARED_GENERATORS: dict[str, set[str]] = {
    "torch": SEEDING | {"default_generator"},
    "torch.random": SEEDING | {"default_generator"},
    "torch.cuda": SEEDING | {"manual_seed_all", "seed_all"},
}
# Functions that change settings, which all code of a process shares
SETTINGS: dict[str, set[str]] = {
    "torch": {
        "set_default_dtype", "set_default_device", "set_num_threads", "set_num_interop_threads",
        "set_float32_matmul_precision", "use_deterministic_algorithms", "set_flush_denormal",
        "set_default_tensor_type",
    },
}  # fmt: skip
# Methods of datetime's classes, and arguments of numpy.datetime64, that give the present
PRESENT = {"now", "utcnow", "today"}
# Generators of Python and numpy that start anywhere unless they are given a seed
GENERATORS = {"Random", "default_rng", "RandomState", "SeedSequence", "SystemRandom"}
GENERATORS |= {"PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64"}


def check_reads(name: str, source: str, namespace: Namespace, remedy: str) -> None:
    """Check that a function's text reads nothing that differs from run to run.

    Arguments: name, the function's; source, its text; namespace, the variables that the text
        defines; remedy, what to write instead of unseeded random numbers.

    Raises: CplabError for a clock, the environment, the machine, a setting that all code shares, or
        random numbers that no seed decides.
    """
    tree = ast.parse(source)
    namespace = {**namespace, **imported_names(tree)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load):
            check_variable(name, node, namespace, remedy)
        elif isinstance(node, ast.Call):
            check_call(name, node, namespace, remedy)


def check_variable(
    function: str, node: ast.Name | ast.Attribute, namespace: Namespace, remedy: str
) -> None:
    """Check one name or attribute that a function's text reads. Raises: CplabError."""
    if unsteady := describe_unsteady(node, namespace):
        raise CplabError(
            f"{function} reads {unsteady}, which differs from run to run: leave it out"
        )
    text = ast.unparse(node)
    if is_shared_generator(node, namespace):
        raise CplabError(f"{function} uses {text}, which all code shares: {remedy}")
    if is_listed(resolve(node, namespace), SETTINGS):
        raise CplabError(f"{function} sets {text} for all code: leave it out")


def check_call(function: str, call: ast.Call, namespace: Namespace, remedy: str) -> None:
    """Check one call in a function's text. Raises: CplabError."""
    if is_present_time(call, namespace) or is_unsteady_method(call):
        text = ast.unparse(call)
        raise CplabError(f"{function} reads {text}, which differs from run to run: leave it out")
    if is_unseeded(call, namespace):
        generator = ast.unparse(call.func)
        raise CplabError(f"{function} draws from {generator}() without a seed: {remedy}")


# What a name stands for ---------------------------------------------------------------------------

UNKNOWN = object()  # stands for a value that only running the text could tell


def resolve(node: ast.AST, namespace: Namespace) -> object:
    """Find what an expression stands for without running it.

    It may be a name, an attribute of a module or a class, or `__import__("module")`. Anything else
    is UNKNOWN.
    """
    if isinstance(node, ast.Name):
        return namespace.get(node.id, UNKNOWN)
    if isinstance(node, ast.Attribute):
        owner = resolve(node.value, namespace)
        if isinstance(owner, ModuleType | type):
            return getattr(owner, node.attr, UNKNOWN)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
        module = node.args[0]
        if node.func.id == "__import__" and isinstance(module, ast.Constant):
            return sys.modules.get(str(module.value), UNKNOWN)
    return UNKNOWN


def imported_names(tree: ast.AST) -> dict[str, object]:
    """The names that import statements anywhere in a text define, and what they stand for."""
    names: dict[str, object] = {}
    for node in ast.walk(tree):
        # An import that fails says so when the text is run
        with suppress(Exception):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    module = importlib.import_module(alias.name)
                    if alias.asname:
                        names[alias.asname] = module
                    else:  # `import os.path` defines os
                        package = alias.name.partition(".")[0]
                        names[package] = sys.modules[package]
            elif isinstance(node, ast.ImportFrom) and node.module:
                module = importlib.import_module(node.module)
                for alias in node.names:
                    names[alias.asname or alias.name] = getattr(module, alias.name)
    return names


def is_listed(value: object, names_by_module: dict[str, set[str]]) -> bool:
    """Whether a value is the function or object that one of these names stands for in its
    module."""
    if value is UNKNOWN:
        return False
    for module, names in names_by_module.items():
        loaded = sys.modules.get(module)
        for name in names:
            # A module that another thread is still loading may lack the name
            if getattr(loaded, name, UNKNOWN) is value:
                return True
    return False


# What differs from run to run ---------------------------------------------------------------------


def describe_unsteady(node: ast.Name | ast.Attribute, namespace: Namespace) -> str:
    """Describe what a name reads if that differs from run to run; else return "".

    >>> import time
    >>> attribute = ast.parse("time.time").body[0].value
    >>> describe_unsteady(attribute, {"time": time})
    'time.time'
    >>> describe_unsteady(ast.Name("now"), {"now": time.perf_counter})
    'now (time.perf_counter)'
    """
    value = resolve(node, namespace)
    if value is UNKNOWN or value is None or isinstance(value, ModuleType):
        return ""
    text = ast.unparse(node)
    module = getattr(value, "__module__", None)  # where the value is defined
    name = getattr(value, "__name__", "")
    if isinstance(node, ast.Name):
        if name and name != text:  # from time import time as now
            text = f"{text} ({module}.{name})"
    else:
        owner = resolve(node.value, namespace)
        if isinstance(owner, type) and issubclass(owner, datetime.date) and name in PRESENT:
            return text  # datetime.now
        if isinstance(owner, ModuleType):  # time.time, whether or not `time` defines it itself
            module = owner.__name__
            name = node.attr
    if module in UNSTEADY_MODULES:
        is_steady = name in UNSTEADY_MODULES[module]
    else:
        is_steady = not is_listed(value, UNSTEADY_NAMES)
    return "" if is_steady else text


def is_present_time(call: ast.Call, namespace: Namespace) -> bool:
    """Whether a call is numpy.datetime64("now") or the like, which gives the present."""
    function = resolve(call.func, namespace)
    if getattr(function, "__name__", "") != "datetime64" or not call.args:
        return False
    moment = call.args[0]
    return isinstance(moment, ast.Constant) and moment.value in PRESENT


def is_unsteady_method(call: ast.Call) -> bool:
    """Whether a call asks the disk, the user's account or the clock, as path.exists() does."""
    if not isinstance(call.func, ast.Attribute) or call.func.attr not in UNSTEADY_METHODS:
        return False
    arguments = len(call.args) + len(call.keywords)
    return arguments == UNSTEADY_METHODS[call.func.attr]


# Random numbers -----------------------------------------------------------------------------------


def is_shared_generator(node: ast.Name | ast.Attribute, namespace: Namespace) -> bool:
    """Whether a name is of Python's, numpy's or torch's generator, which all code shares."""
    value = resolve(node, namespace)
    if is_listed(value, SHARED_GENERATORS):
        return True
    # random.random and numpy.random.rand are methods of generators that all code shares
    owner = getattr(value, "__self__", None)
    if owner is None:
        return False
    numpy = sys.modules.get("numpy")
    if numpy and owner is numpy.random.rand.__self__:
        return True
    return owner is getattr(random.random, "__self__", None)


def is_unseeded(call: ast.Call, namespace: Namespace) -> bool:
    """Whether a call makes a generator without a seed, or gives a generator a random new seed."""
    arguments = [*call.args]
    for keyword in call.keywords:
        arguments.append(keyword.value)
    has_seed = not all(is_none(argument) for argument in arguments)
    if isinstance(call.func, ast.Attribute) and call.func.attr == "seed":
        return not has_seed
    function = resolve(call.func, namespace)
    name = getattr(function, "__name__", "")
    library = str(getattr(function, "__module__", "")).partition(".")[0]
    if function is UNKNOWN or name not in GENERATORS or library not in ("random", "numpy"):
        return False
    # SystemRandom takes a seed and ignores it
    return not has_seed or name == "SystemRandom"


def is_none(node: ast.AST) -> bool:
    """Whether an expression is written None."""
    return isinstance(node, ast.Constant) and node.value is None
