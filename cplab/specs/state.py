"""What a student's own function keeps between two calls: snapshots of it, which can be compared.

A function that counts its calls, or fills a list, may answer differently from the thousandth call
on, which no trial reaches. So a snapshot of all that it keeps is taken before and after it is used.
"""

from __future__ import annotations

import random
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import BuiltinFunctionType, FunctionType, GeneratorType, ModuleType
from typing import TYPE_CHECKING, Any

from cplab.errors import CplabError
from cplab.specs.spec import Spec

if TYPE_CHECKING:
    import numpy as np

Definition = Callable[..., Any]  # a function, or a class, which is called as one
Snapshot = object  # plain data: if two snapshots are equal, so is what was described
OWN_MODULE = "__own__"  # the module of functions and classes that students define


def state_of(definition: Definition) -> Snapshot:
    """A snapshot of what a function or class keeps between two calls: the variables that it reads
    outside itself, what has been put into them, and its defaults.

    >>> state = {"calls": 0}
    >>> before = snapshot(state)
    >>> state["calls"] += 1
    >>> snapshot(state) == before
    False
    """
    variables = {}
    for name, value in namespace_of(definition).items():
        if not name.startswith("__"):
            variables[name] = value
    return snapshot(variables)


def namespace_of(definition: Definition) -> dict[str, Any]:
    """The variables outside a function, or outside the methods of a class."""
    if isinstance(definition, FunctionType):
        return definition.__globals__
    for attribute in vars(definition).values():
        if isinstance(attribute, FunctionType):
            return attribute.__globals__
    return {}


def snapshot(value: object, outer: frozenset[int] = frozenset()) -> Snapshot:
    """Describe a value by plain data that stays as it is when the value changes.

    Arguments: value, of any type; outer, the identities (`id`) of the objects that it is part of:
        an object may contain itself.
    """
    kind = type(value).__name__
    if value is None or isinstance(value, bool | int | float | complex | str | bytes | ModuleType):
        return kind, str(value)
    if id(value) in outer:
        return "itself"
    outer = outer | {id(value)}
    if isinstance(value, dict):
        items = []
        for key, part in value.items():
            items.append((snapshot(key, outer), snapshot(part, outer)))
        return kind, tuple(items)
    if isinstance(value, list | tuple | deque):
        return kind, tuple(snapshot(part, outer) for part in value)
    if isinstance(value, set | frozenset):
        return "set", frozenset(snapshot(part, outer) for part in value)
    if isinstance(value, FunctionType | BuiltinFunctionType | type):
        return definition_snapshot(value, outer)
    if isinstance(value, Spec):  # whose key may have been computed meanwhile
        return kind, value.canonical()
    generator = generator_state(value)
    if generator is not None:
        return kind, snapshot(generator, outer)
    array = as_numpy(value)
    if array is not None:
        return str(array.dtype), array.shape, array.tobytes()
    return kind, snapshot(contents_of(value), outer)


def definition_snapshot(
    definition: FunctionType | BuiltinFunctionType | type, outer: frozenset[int]
) -> Snapshot:
    """The snapshot of a function or class. A library's only says that it is one."""
    kind = "class" if isinstance(definition, type) else "function"
    if definition.__module__ != OWN_MODULE:
        return kind
    if isinstance(definition, type):
        attributes = {}
        for name, attribute in vars(definition).items():
            if not name.startswith("__"):
                attributes[name] = attribute
        return kind, snapshot(attributes, outer)
    if isinstance(definition, FunctionType):
        closure = [cell.cell_contents for cell in definition.__closure__ or ()]
        kept = [definition.__defaults__, definition.__kwdefaults__, vars(definition), closure]
        return kind, snapshot(kept, outer)
    return kind


def generator_state(value: object) -> object:
    """The state of a random generator of Python, numpy or torch; None for any other value."""
    if isinstance(value, random.Random):
        return value.getstate()
    if hasattr(value, "bit_generator"):  # numpy's Generator
        return value.bit_generator.state
    if type(value).__name__ == "Generator" and hasattr(value, "get_state"):  # torch's
        return value.get_state().tolist()
    return None


def as_numpy(value: Any) -> np.ndarray | None:
    """A tensor or an array as an array of numpy; None for any other value.

    numpy and torch need not be installed, or loaded, for a value to be looked at.
    """
    if hasattr(value, "detach") and hasattr(value, "cpu"):
        tensor = value.detach().cpu()
        if str(tensor.dtype) == "torch.bfloat16":
            tensor = tensor.float()  # numpy has no bfloat16; float32 holds all its values
        value = tensor.numpy()
    if hasattr(value, "tobytes") and hasattr(value, "dtype"):
        return value
    return None


def contents_of(value: object) -> object:
    """What an object contains: its attributes, or, as for an iterator or an object with slots, what
    a copy of it would be made from.

    Of a generator, which a function with `yield` makes: the place that it has reached in its code,
    and its variables there.
    """
    if isinstance(value, GeneratorType):
        frame = value.gi_frame
        if frame is None:
            return "ended"
        return frame.f_lasti, frame.f_locals
    attributes = getattr(value, "__dict__", None)
    if attributes:
        return attributes
    with suppress(Exception), warnings.catch_warnings():  # locks and the like cannot be copied
        warnings.simplefilter("ignore")  # later Pythons stop copying some iterators, and say so
        return value.__reduce_ex__(2)
    if isinstance(value, Iterator):
        return repr(value)
    return None


@contextmanager
def no_shared_draws(name: str, remedy: str) -> Iterator[None]:
    """A context in which a function must not draw from Python's or numpy's shared generator.

    A library may draw for it, which its text does not show. Both generators are put back.

    Arguments: name, the function's; remedy, how to draw random numbers instead.

    Raises: CplabError at the end of the context if the function drew.
    """
    import numpy as np

    python_state = random.getstate()
    numpy_state = np.random.get_state()
    drew = False
    try:
        yield
    finally:
        if random.getstate() != python_state:
            drew = True
            random.setstate(python_state)
        if snapshot(np.random.get_state()) != snapshot(numpy_state):
            drew = True
            np.random.set_state(numpy_state)
    if drew:
        problem = f"{name} draws random numbers from a generator that all code shares"
        raise CplabError(f"{problem}: {remedy}")
