"""Specs: descriptions of all that decides a result. Runs and experiments are specs.

A spec is a frozen dataclass that checks its fields. It can be written on one canonical line, and
its key is a hash of that line.
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

from cplab.base.errors import CplabError, Diverged, quote

Class = TypeVar("Class", bound=type)
Checked = TypeVar("Checked")


def refuse_bool(value: object) -> object:
    """Return a value, but refuse True and False, which Python would take for 1 and 0.

    Raises:
        ValueError: which pydantic turns into an error of its field.
    """
    if isinstance(value, bool):
        raise ValueError("it should be a number")
    return value


# Types of fields and values
Number = Annotated[float, BeforeValidator(refuse_bool), Field(allow_inf_nan=False)]
Count = Annotated[int, BeforeValidator(refuse_bool), Field(ge=0, lt=2**53)]
Seed = Annotated[int, BeforeValidator(refuse_bool), Field(ge=0, lt=2**31)]
NotNegative = Annotated[Number, Field(ge=0)]


class Spec:
    """All that decides a result: a Run or an Experiment. Subclasses are frozen dataclasses.

    Attributes:
        version: raised by one whenever a change to the code alters the result of the same fields.
        address: "Run"; for an experiment module:name of its function.
        seed: decides everything that is drawn at random.
        plain: () -> the fields that the key is made of, by name.
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
        """The name under which the result is stored: 16 hexadecimal digits.

        >>> from cplab import Run
        >>> Run(deficit="blur", length=4).key
        '10da86ce08101b40'
        """
        return hashlib.sha256(self.canonical().encode()).hexdigest()[:16]

    def __getstate__(self) -> dict[str, Any]:
        # Another process gets the fields alone, and nothing that was computed from them
        names = [field.name for field in fields(self)]  # type: ignore[arg-type]
        return {name: getattr(self, name) for name in names}


def assign(spec: object, **values: object) -> None:
    """Set fields of a frozen dataclass, in its __post_init__."""
    for name, value in values.items():
        object.__setattr__(spec, name, value)


def check_spec(spec: Checked) -> Checked:
    """Return a spec; raise a CplabError for anything else."""
    if not isinstance(spec, Spec):
        raise CplabError(f"{quote(spec)} is not a run: give cplab.Run(...)")
    return spec


# Fields that are checked --------------------------------------------------------------------------


@dataclass_transform(frozen_default=True)
def spec_class(cls: Class) -> Class:
    """Make a class a frozen dataclass that checks its fields by their annotations; a decorator.

    Calling the class raises a CplabError for a value that is not allowed, and for an argument that
    is unknown or missing.
    """
    config = ConfigDict(extra="forbid")
    decorated: Any = pydantic.dataclasses.dataclass(frozen=True, config=config)(cls)
    checked_init = decorated.__init__

    @wraps(checked_init)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        try:
            checked_init(self, *args, **kwargs)
        except ValidationError as error:
            raise CplabError(first_problem(error, decorated)) from None

    decorated.__init__ = init
    decorated.__hash__ = computed_once(decorated.__hash__)
    # Another process hashes texts in another way, so it gets no hash that was computed here
    decorated.__getstate__ = Spec.__getstate__
    # A field of another class that holds one of these takes it as it is, and checks nothing again
    decorated.__get_pydantic_core_schema__ = lambda *_: {"type": "is-instance", "cls": decorated}
    # Shift+Tab in a notebook shows this: names and defaults, without annotations
    parameters = inspect.signature(decorated).parameters.values()
    shown = [parameter.replace(annotation=parameter.empty) for parameter in parameters]
    decorated.__signature__ = inspect.Signature(shown)
    return decorated


def computed_once(compute_hash: Callable[[Any], int]) -> Callable[[Any], int]:
    """A method that computes an object's hash once, since each look-up of a result asks for it."""

    def hash_of_fields(self: Any) -> int:
        state = vars(self)
        if "_hash" not in state:
            state["_hash"] = compute_hash(self)
        return state["_hash"]

    return hash_of_fields


def first_problem(error: ValidationError, checked: type) -> str:
    """Write the first of pydantic's errors on one line: what is wrong, what is allowed, what to do.

    Arguments:
        error: the error.
        checked: the class whose arguments did not fit.
    """
    first = error.errors(include_url=False)[0]
    parameters = [*inspect.signature(checked).parameters]
    path = [str(part) for part in first["loc"]]  # to the value, from the argument inwards
    if path[0].isdigit():  # a positional argument
        position = min(int(path[0]), len(parameters) - 1)
        path[0] = parameters[position]
    name = ".".join(path)
    if first["type"] == "missing" or "argument" in first["type"]:
        message = first["msg"].replace("Field required", "missing argument").lower()
        return f"{message} {argument_words(name, checked.__qualname__, parameters)}"
    rule = first["msg"].removeprefix("Value error, ").replace("Input should", "it should")
    return f"{name} {quote(first['input'])} is not allowed: {rule}"


def argument_words(name: str, title: str, parameters: list[str]) -> str:
    """Name an argument that is unknown or missing, a similar one, and those that are allowed.

    >>> argument_words("lenght", "Run", ["onset", "length"])
    "'lenght' of Run (did you mean length?): it takes onset, length"
    """
    similar = difflib.get_close_matches(name, {*parameters} - {name}, 1)
    hint = f" (did you mean {similar[0]}?)" if similar else ""
    return f"{name!r} of {title}{hint}: it takes {', '.join(parameters)}"


# Plain data ---------------------------------------------------------------------------------------


def plain_data(name: str, value: object) -> Any:
    """Return a value as it would come back from a JSON file. numpy's numbers become Python's.

    Arguments:
        name: of the value in an error.

    Raises:
        CplabError: for a value that JSON cannot hold.
        Diverged: for numbers that are not finite.

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
        advice = "check for divisions by 0 and means of nothing; or the network has diverged"
        raise Diverged(f"{name} is not finite: {advice}") from error


def plain_number(value: object) -> bool | int | float:
    """Return a number of numpy as one of Python; raise a TypeError for anything else."""
    import numpy as np

    if isinstance(value, np.bool_ | np.integer | np.floating):
        return value.item()
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


def mix_seeds(*parts: object) -> int:
    """Mix several numbers into one seed for torch's generators.

    >>> mix_seeds(1, 2) == mix_seeds(2, 1)
    False
    """
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return int.from_bytes(digest[:7])  # 56 bits, which fit into a seed of torch
