"""Random numbers and float32 for one thread, whatever other threads do to torch meanwhile.

torch has one random generator and one default type for the whole process. A cell that builds a
network while another one trains draws from the same generator, and `torch.set_default_dtype`
changes the type of what `torch.zeros` makes in both. So nothing that decides a result uses either.
The package names a generator and a type wherever it draws. Other code, such as a network's
initialisation or a student's function, runs under `Seeded`. It uses modes of torch, which belong to
a thread: other threads neither disturb it nor are disturbed, and no setting has to be put back.
"""

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from cplab.errors import CplabError

aten = torch.ops.aten
# For each operation that draws without a generator the one that takes a generator
WITH_GENERATOR: dict[OpOverload, OpOverload] = {
    aten.rand.default: aten.rand.generator,
    aten.randn.default: aten.randn.generator,
    aten.randint.default: aten.randint.generator,
    aten.randint.low: aten.randint.low_generator,
    aten.randperm.default: aten.randperm.generator,
}
# For each operation that makes a random tensor like another one the method that fills a tensor
FILLING: dict[OpOverload, Callable[..., Tensor]] = {
    aten.rand_like.default: Tensor.uniform_,
    aten.randn_like.default: Tensor.normal_,
    aten.randint_like.default: Tensor.random_,
    aten.randint_like.low_dtype: Tensor.random_,
}
# Functions that make tensors from Python's numbers
FROM_PYTHON = {torch.tensor, torch.as_tensor, torch.asarray}
# Operations that make tensors without filling them
EMPTY = {"empty", "empty_like", "empty_strided", "empty_permuted", "new_empty", "new_empty_strided"}
# Operations that make whole numbers by default
WHOLE = {"randint", "randperm", "tril_indices", "triu_indices"}
# Operations that make floats only if they are given floats
BY_VALUE = {"arange", "range", "full"}


class Seeded:
    """A context in which this thread draws random numbers from a generator of its own, and makes
    floats of type float32. torch's generator and default type are neither used nor changed.

    The random numbers are those that follow `torch.manual_seed(seed)`. If it is entered again, it
    goes on with the same generator.

    Arguments: seed; refusal, the text of the CplabError that any draw raises, if drawing is not
        allowed.

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

    def __exit__(self, *error: object) -> None:
        self.generator.__exit__(*error)
        self.floats.__exit__(*error)


class OwnGenerator(TorchDispatchMode):
    """A mode of torch in which every operation that draws random numbers gets a generator, one for
    each device, and every operation that would make floats of the default type makes float32."""

    def __init__(self, seed: int, refusal: str = "") -> None:
        super().__init__()
        self.seed = seed
        self.refusal = refusal
        self.generators: dict[torch.device, torch.Generator] = {}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # to skip torch's compiler would load it, which takes seconds

    def generator(self, device: torch.device) -> torch.Generator:
        """The generator for tensors on a device."""
        if device not in self.generators:
            self.generators[device] = torch.Generator(device).manual_seed(self.seed)
        return self.generators[device]

    def __torch_dispatch__(
        self,
        operation: OpOverload,
        types: object,
        args: tuple = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Do an operation of torch. torch calls this for every operation of this thread."""
        options = dict(kwargs or {})
        if makes_floats(operation, args, options):
            options["dtype"] = torch.float32
        if is_random(operation):
            return self.draw(operation, args, options)
        result = operation(*args, **options)
        if operation.overloadpacket.__name__ in EMPTY:
            return fill_empty(result)
        if is_default_float(result, args, options):
            # Whole numbers have become floats of the default type, as in x / 2
            result = operation(*map(as_float32, args), **options)
        return result

    def draw(self, operation: OpOverload, args: tuple, options: dict[str, Any]) -> Any:
        """Do an operation that draws random numbers.

        Raises: CplabError if drawing is not allowed, and for an operation that takes no generator.
        """
        if options.get("generator") is not None:
            return operation(*args, **options)
        if self.refusal:
            raise CplabError(self.refusal)
        device = options.get("device") or "cpu"
        tensors = [value for value in args if isinstance(value, Tensor)]
        if tensors:
            device = tensors[0].device
        generator = self.generator(torch.device(device))
        if operation in FILLING:
            fill = FILLING[operation]
            model, *bounds = args  # as in randint_like(model, low, high)
            return fill(torch.empty_like(model, **options), *bounds, generator=generator)
        operation = WITH_GENERATOR.get(operation, operation)
        if not takes(operation, "generator"):
            raise CplabError(
                f"{operation} draws from a generator that all threads share: draw with torch.rand, "
                "randn, randint or randperm"
            )
        return operation(*args, **options, generator=generator)


class FloatsOfPython(TorchFunctionMode):
    """A mode in which torch makes float32 of Python's floats, as in torch.tensor(0.5), whatever the
    default type is."""

    def __torch_function__(
        self,
        function: Callable,
        types: object,
        args: tuple = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Call a function of torch. torch calls this for every function of this thread."""
        options = dict(kwargs or {})
        if function in FROM_PYTHON and options.get("dtype") is None:
            given = [*args, *options.values()]  # of which the first are the numbers
            if given and holds_float(given[0]):
                options["dtype"] = torch.float32
        return function(*args, **options)


def fill_empty(result: Tensor) -> Tensor:
    """Fill a tensor that was made without numbers, in the same way in each process.

    It gets NaN, True, or the largest whole number, so that any use of them shows.
    """
    if result.is_floating_point() or result.is_complex():
        return result.fill_(math.nan)
    if result.dtype == torch.bool:
        return result.fill_(True)
    return result.fill_(torch.iinfo(result.dtype).max)


def makes_floats(operation: OpOverload, args: tuple, options: dict[str, Any]) -> bool:
    """Whether an operation makes a new tensor of floats whose type is not given."""
    if not takes(operation, "dtype"):
        return False
    if options.get("dtype") is not None or argument_place(operation, "dtype") < len(args):
        return False  # the type is given
    name = operation.overloadpacket.__name__
    if name in WHOLE or any(isinstance(value, Tensor) for value in args):
        return False
    return name not in BY_VALUE or any(type(value) is float for value in args)


def is_default_float(result: object, args: tuple, options: dict[str, Any]) -> bool:
    """Whether a result has floats of the default type although all tensors that it is made of have
    whole numbers, as x / 2 has. False if the default type is float32, as usual."""
    if not isinstance(result, Tensor) or not result.is_floating_point():
        return False
    if result.dtype == torch.float32 or options.get("dtype") is not None:
        return False
    tensors = [value for value in args if isinstance(value, Tensor)]
    for tensor in tensors:
        if tensor.is_floating_point() or tensor.is_complex():
            return False
    return bool(tensors)


def as_float32(value: object) -> object:
    """A tensor as float32; anything else as it is."""
    return value.to(torch.float32) if isinstance(value, Tensor) else value


def holds_float(values: object) -> bool:
    """Whether a number is one of Python's floats, or lists of numbers contain one."""
    if isinstance(values, list | tuple):
        return any(map(holds_float, values))
    return type(values) is float


@cache
def is_random(operation: OpOverload) -> bool:
    """Whether an operation of torch draws random numbers."""
    return torch.Tag.nondeterministic_seeded in operation.tags


@cache
def argument_place(operation: OpOverload, argument: str) -> float:
    """The place of an argument among those of an operation of torch, from 0; infinite if it can be
    given by its name only."""
    for place, parameter in enumerate(operation._schema.arguments):
        if parameter.name == argument and not parameter.kwarg_only:
            return place
    return math.inf


@cache
def takes(operation: OpOverload, argument: str) -> bool:
    """Whether an operation of torch takes an argument of this name."""
    return any(parameter.name == argument for parameter in operation._schema.arguments)
