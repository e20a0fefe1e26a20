"""What a spec is, everything that decides a result; and frozen dataclasses that check their fields.

A spec has a canonical line, and its key is a hash of that line. Runs and experiments are specs.
"""

import difflib
import hashlib
import inspect
import json
from collections.abc import Callable
from dataclasses import fields
from functools import cached_property, wraps
from typing import Annotated, Any, TypeVar, dataclass_transform

import pydantic.dataclasses
from pydantic import BeforeValidator, ConfigDict, Field, ValidationError

from cplab.errors import CplabError, Diverged, quote

Class = TypeVar("Class", bound=type)


def refuse_bool(value: Any) -> Any:
    """Return a value, but refuse True and False, which Python takes for 1 and 0."""
    if isinstance(value, bool):
        raise ValueError("it should be a number")
    return value


# Types of fields and values
Number = Annotated[float, BeforeValidator(refuse_bool), Field(allow_inf_nan=False)]
Count = Annotated[int, BeforeValidator(refuse_bool), Field(ge=0, lt=2**53)]
Seed = Annotated[int, BeforeValidator(refuse_bool), Field(ge=0, lt=2**31)]
Positive = Annotated[Number, Field(ge=0)]


class Spec:
    """All that decides a result: a Run, or an Experiment. Subclasses are frozen dataclasses.

    Attributes:
        version: raised by one whenever a change alters the result of the same fields.
        address: Run; of an experiment where its function is, module:name.
        seed: of everything that is drawn at random.
        plain: () -> what the key is made of, by name.
        canonical: () -> one line that holds all that decides the result.
        with_seed: (seed) -> the same spec with another seed.
        call: () -> the line of Python that gives its result.
    """

    version: int
    address: str
    seed: int
    plain: Callable[[], dict[str, Any]]
    canonical: Callable[[], str]
    with_seed: Callable[[int], "Spec"]
    call: Callable[[], str]

    @cached_property
    def key(self) -> str:
        """The name of a spec's result: 16 hexadecimal digits.

        >>> from cplab import Run
        >>> Run(deficit="blur", length=4).key
        '10da86ce08101b40'
        """
        return hashlib.sha256(self.canonical().encode()).hexdigest()[:16]

    def __getstate__(self) -> dict[str, Any]:
        # what goes to another process: the fields, and nothing that was computed from them
        names = [field.name for field in fields(self)]  # type: ignore[arg-type]
        return {name: getattr(self, name) for name in names}


def check_spec(spec: Any) -> Any:
    """Return a spec. Raises: CplabError for anything else."""
    if not isinstance(spec, Spec):
        raise CplabError(f"{quote(spec)} is not a run: give cplab.Run(...)")
    return spec


# Fields that are checked --------------------------------------------------------------------------


@dataclass_transform(frozen_default=True)
def spec_class(cls: Class) -> Class:
    """Make a class a frozen dataclass that checks its fields by their annotations: a decorator. A
    value that is not allowed, unknown or missing raises a CplabError of one line."""
    config = ConfigDict(extra="forbid")
    decorated: Any = pydantic.dataclasses.dataclass(frozen=True, config=config)(cls)
    construct = decorated.__init__

    @wraps(construct)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        try:
            construct(self, *args, **kwargs)
        except ValidationError as error:
            raise CplabError(in_one_line(error, decorated)) from None

    decorated.__init__ = init
    decorated.__get_pydantic_core_schema__ = lambda *_: {"type": "is-instance", "cls": decorated}
    # what Shift+Tab shows: names and defaults
    parameters = inspect.signature(decorated).parameters.values()
    shown = [parameter.replace(annotation=parameter.empty) for parameter in parameters]
    decorated.__signature__ = inspect.Signature(shown)
    return decorated


def in_one_line(error: ValidationError, checked: type | None = None) -> str:
    """Write the first of pydantic's errors as one line: what is wrong, what is allowed, what to do.

    Arguments: error; checked, the class whose fields did not fit, if it is one.
    """
    first = error.errors(include_url=False)[0]
    names = [*inspect.signature(checked).parameters] if checked else []
    place = [str(part) for part in first["loc"]]
    if names and place[0].isdigit():  # a positional argument
        number = min(int(place[0]), len(names) - 1)
        place[0] = names[number]
    name = ".".join(place)
    message = first["msg"]
    if checked and (first["type"] == "missing" or "argument" in first["type"]):
        message = message.replace("Field required", "missing argument").lower()
        close = difflib.get_close_matches(name, {*names} - {name}, 1)
        hint = f" (did you mean {close[0]}?)" if close else ""
        title = checked.__qualname__
        return f"{message} {name!r} of {title}{hint}: it takes {', '.join(names)}"
    rule = message.removeprefix("Value error, ").replace("Input should", "it should")
    return f"{name} {quote(first['input'])} is not allowed: {rule}"


# Plain data ---------------------------------------------------------------------------------------


def plain_data(name: str, value: Any) -> Any:
    """Return a value as it comes back from a file of JSON; numbers of numpy are numbers.

    Raises: CplabError for what JSON cannot hold, Diverged for numbers that are not finite.

    >>> import numpy as np
    >>> plain_data("it", {"layers": np.int64(3), "right": np.float32(0.5)})
    {'layers': 3, 'right': 0.5}
    """
    try:
        return json.loads(json.dumps(value, allow_nan=False, default=plain_number))
    except TypeError as error:
        advice = (
            "return numbers, texts, lists and dicts by text "
            "(arrays and tensors have .item() and .tolist())"
        )
        raise CplabError(f"{name} cannot be kept ({error}): {advice}") from error
    except ValueError as error:
        advice = "mind divisions by 0 and means of nothing, or the network has diverged"
        raise Diverged(f"{name} is not finite: {advice}") from error


def plain_number(value: Any) -> bool | int | float:
    """A single number of numpy as one of Python's. Raises: TypeError for anything else."""
    import numpy as np

    if isinstance(value, np.bool_ | np.integer | np.floating):
        return value.item()
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


def mix_seeds(*parts: object) -> int:
    """Mix several numbers into one seed for torch's generators."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:7])
