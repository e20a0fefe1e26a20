"""Random numbers and float32 for one thread, whatever other threads do to torch meanwhile.

torch has one random generator and one default type for the whole process. A cell that builds a
network while another trains draws from the same generator, and `torch.set_default_dtype` changes
what the other's `torch.zeros` makes. So nothing that decides a result uses either. The package
names a generator and a type wherever it draws; other code, such as a network's own initialisation
or a student's function, runs under `Seeded`. Modes of torch belong to a thread, so no other thread
is heard or disturbed, and no setting has to be put back.
"""

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from cplab.errors import CplabError

aten = torch.ops.aten
# What takes a generator in the place of operations that take none
WITH_GENERATOR = {
    aten.rand.default: aten.rand.generator,
    aten.randn.default: aten.randn.generator,
    aten.randint.default: aten.randint.generator,
    aten.randint.low: aten.randint.low_generator,
    aten.randperm.default: aten.randperm.generator,
}
LIKE_ANOTHER: dict[Any, Callable[..., Tensor]] = {
    aten.rand_like.default: Tensor.uniform_,
    aten.randn_like.default: Tensor.normal_,
    aten.randint_like.default: Tensor.random_,
    aten.randint_like.low_dtype: Tensor.random_,
}
FROM_PYTHON = {torch.tensor, torch.as_tensor, torch.asarray}
# make tensors of whatever is in memory
EMPTY = {"empty", "empty_like", "empty_strided", "empty_permuted", "new_empty", "new_empty_strided"}
WHOLE = {"randint", "randperm", "tril_indices", "triu_indices"}  # make whole numbers by default
BY_VALUE = {"arange", "range", "full"}  # make floats only of floats


class Seeded:
    """Draw random numbers from a generator with this seed, the bits of `torch.manual_seed(seed)`,
    and make floats of float32, in this thread alone. torch's own generator and default type are
    neither used nor changed. Entered again, it goes on with the same generator. refusal: a line
    with which any draw ends.

    >>> state = torch.get_rng_state()
    >>> with Seeded(0):
    ...     weights = torch.nn.Linear(3, 2).weight
    >>> torch.equal(torch.get_rng_state(), state)
    True
    """

    def __init__(self, seed: int, refusal: str = "") -> None:
        self.floats = FloatsOfPython()
        self.generator = OwnGenerator(seed, refusal)

    def __enter__(self) -> None:
        self.floats.__enter__()
        self.generator.__enter__()

    def __exit__(self, *error: Any) -> None:
        self.generator.__exit__(*error)
        self.floats.__exit__(*error)


class OwnGenerator(TorchDispatchMode):
    """Gives every operation of torch that draws random numbers a generator with this seed, one for
    each device; and float32 to those that would make floats of the default type."""

    def __init__(self, seed: int, refusal: str = "") -> None:
        super().__init__()
        self.seed = seed
        self.refusal = refusal
        self.generators: dict[torch.device, torch.Generator] = {}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:  # torch's compiler, which takes seconds to load
        return False

    def generator(self, device: torch.device) -> torch.Generator:
        """The generator for tensors of a device."""
        if device not in self.generators:
            self.generators[device] = torch.Generator(device).manual_seed(self.seed)
        return self.generators[device]

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        options = dict(kwargs or {})
        if makes_floats(operation, args, options):
            options["dtype"] = torch.float32
        if is_random(operation):
            return self.draw(operation, args, options)
        result = operation(*args, **options)
        if operation.overloadpacket.__name__ in EMPTY:
            return fill_empty(result)
        if is_default_float(result, args, options):
            # whole numbers that became floats, as in x / 2: they become float32
            result = operation(*map(as_float32, args), **options)
        return result

    def draw(self, operation: Any, args: tuple, options: dict[str, Any]) -> Any:
        """Compute an operation that draws random numbers. Raises: CplabError for one that only
        draws from torch's own generator."""
        if options.get("generator") is not None:
            return operation(*args, **options)
        if self.refusal:
            raise CplabError(self.refusal)
        device = next((a.device for a in args if isinstance(a, Tensor)), options.get("device"))
        generator = self.generator(torch.device(device or "cpu"))
        if operation in LIKE_ANOTHER:
            fill = LIKE_ANOTHER[operation]
            like, *bounds = args
            return fill(torch.empty_like(like, **options), *bounds, generator=generator)
        operation = WITH_GENERATOR.get(operation, operation)
        if not takes(operation, "generator"):
            raise CplabError(
                f"{operation} draws from a generator that all threads share: draw with torch.rand, "
                "randn, randint or randperm"
            )
        return operation(*args, **options, generator=generator)


class FloatsOfPython(TorchFunctionMode):
    """Makes float32 of Python's floats, as in torch.tensor(0.5), whatever the default type is."""

    def __torch_function__(
        self, function: Callable, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        options = dict(kwargs or {})
        if function in FROM_PYTHON and options.get("dtype") is None:
            values = args[0] if args else next(iter(options.values()), None)
            if holds_float(values):
                options["dtype"] = torch.float32
        return function(*args, **options)


def fill_empty(result: Tensor) -> Tensor:
    """Fill a tensor that was made without numbers, in the same way in each process: with NaN, or
    with the largest whole number, so that any use of them shows."""
    if result.is_floating_point() or result.is_complex():
        return result.fill_(math.nan)
    return result.fill_(True if result.dtype == torch.bool else torch.iinfo(result.dtype).max)


def makes_floats(operation: Any, args: tuple, options: dict[str, Any]) -> bool:
    """Whether an operation makes a new tensor whose type nobody named, of floats."""
    if options.get("dtype") is not None or place_of(operation, "dtype") < len(args):
        return False
    name = operation.overloadpacket.__name__
    if name in WHOLE or any(isinstance(value, Tensor) for value in args):
        return False
    return name not in BY_VALUE or any(type(value) is float for value in args)


def is_default_float(result: Any, args: tuple, options: dict[str, Any]) -> bool:
    """Whether a result has the default type, which is not float32, since nothing that went into it
    has a type of floats."""
    if not isinstance(result, Tensor) or not result.is_floating_point():
        return False
    if result.dtype == torch.float32 or options.get("dtype") is not None:
        return False
    tensors = [value for value in args if isinstance(value, Tensor)]
    whole = all(not t.is_floating_point() and not t.is_complex() for t in tensors)
    return bool(tensors) and whole


def as_float32(value: Any) -> Any:
    """A tensor of whole numbers as float32; anything else as it is."""
    return value.to(torch.float32) if isinstance(value, Tensor) else value


def holds_float(values: Any) -> bool:
    """Whether a number, or a list of lists of numbers, has a float of Python's."""
    if isinstance(values, list | tuple):
        return any(map(holds_float, values))
    return type(values) is float


@cache
def is_random(operation: Any) -> bool:
    """Whether an operation of torch draws random numbers."""
    return torch.Tag.nondeterministic_seeded in operation.tags


@cache
def place_of(operation: Any, argument: str) -> float:
    """The place of an argument of an operation of torch, -1 of one that it does not take, infinite
    of one that is given by its name alone."""
    for place, parameter in enumerate(operation._schema.arguments):
        if parameter.name == argument:
            return math.inf if parameter.kwarg_only else place
    return -1


@cache
def takes(operation: Any, argument: str) -> bool:
    """Whether an operation of torch takes an argument of this name."""
    return any(parameter.name == argument for parameter in operation._schema.arguments)
