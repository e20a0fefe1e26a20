"""Specs: what decides a result, its canonical line and its key; and fields that are checked."""

import difflib
import hashlib
import inspect
import json
import re
from collections.abc import Callable
from dataclasses import fields
from functools import cached_property, wraps
from typing import Annotated, Any, TypeVar, dataclass_transform

import pydantic.dataclasses
from pydantic import BeforeValidator, ConfigDict, Field, ValidationError

from cplab.errors import CplabError, Diverged, quote, require

Class = TypeVar("Class", bound=type)


def refuse_bool(value: Any) -> Any:
    """Return `value`, but refuse True and False, which Python takes for 1 and 0."""
    if isinstance(value, bool):
        raise ValueError("it should be a number")
    return value


# Types of fields and values
Number = Annotated[float, BeforeValidator(refuse_bool), Field(allow_inf_nan=False)]
Count = Annotated[int, BeforeValidator(refuse_bool), Field(ge=0, lt=2**53)]
Seed = Annotated[int, BeforeValidator(refuse_bool), Field(ge=0, lt=2**31)]
Positive = Annotated[Number, Field(ge=0)]


class Spec:
    """All that decides a result: a Run, or an Experiment. Subclasses are frozen dataclasses."""

    version: int  # raised by one whenever a change alters the result of the same fields
    address: str  # Run, or where an experiment's function is, module:name
    seed: int
    plain: Any  # () -> what the key is made of, by name
    canonical: Any  # () -> one line that holds all that decides the result
    with_seed: Any  # (seed) -> the same with another seed
    call: Any  # () -> the line of Python that gives its result

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
        return {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]


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
    shown = inspect.signature(decorated).parameters.values()
    names = [parameter.replace(annotation=parameter.empty) for parameter in shown]
    decorated.__signature__ = inspect.Signature(names)
    return decorated


def in_one_line(error: ValidationError, of: Any = None) -> str:
    """Write the first of pydantic's errors as one line: what is wrong, what is allowed, what to do.
    of: the class whose fields, or the function whose arguments these are."""
    first = error.errors(include_url=False)[0]
    known: Any = inspect.signature(of).parameters if of else {}
    where, names = [str(part) for part in first["loc"]], [*known]
    if names and where[0].isdigit():  # given by its place
        where[0] = [n for n in names if known[n].kind < 3][: int(where[0]) + 1][-1]
    name, value, wrong = ".".join(where), quote(first["input"]), first["msg"]
    if "argument" in first["type"] or first["type"] == "missing":
        wrong = wrong.replace("Field required", "missing argument")
        close = difflib.get_close_matches(name, {*names} - {name}, 1)
        hint = f" (did you mean {close[0]}?)" if close else ""
        return f"{wrong.lower()} {name!r} of {of.__qualname__}{hint}: it takes {', '.join(names)}"
    rule = wrong.removeprefix("Value error, ").replace("Input should", "it should")
    if inspect.isfunction(of):
        name = where[0]
        kind = re.sub(r"[\w.]+\.(?=\w)|'", "", inspect.formatannotation(known[name].annotation))
        rule = f"give {kind.replace('Mapping', 'dict').replace('Sequence', 'list')}"
    return f"{name} {value} is not allowed: {rule}"


def check_spec(spec: Any) -> Any:
    """Return `spec`; raise a CplabError if it is not a spec."""
    require(isinstance(spec, Spec), "{} is no run: give cplab.Run(...)", spec)
    return spec


def explained(names: dict[str, Any]) -> dict[str, Any]:
    """The public functions among the names of a module, each as `explain_call` makes it."""
    return {n: explain_call(names[n]) for n in names["__all__"] if inspect.isfunction(names.get(n))}


def explain_call(of: Callable) -> Callable:
    """Make a function that fails raise a CplabError of one line where that is because an argument
    is unknown, missing or not of its annotated type: a decorator."""
    config = ConfigDict(strict=True, arbitrary_types_allowed=True)

    @wraps(of)
    def call(*args: Any, **options: Any) -> Any:
        try:
            return of(*args, **options)
        except CplabError:
            raise
        except Exception as error:
            check: Any = wraps(of)(lambda *args, **options: None)
            try:
                pydantic.validate_call(check, config=config)(*args, **options)  # type: ignore
            except ValidationError as misfit:
                raise CplabError(in_one_line(misfit, of)) from error
            raise

    return call


def plain_data(what: str, value: Any) -> Any:
    """Return a value as it comes back from a file of JSON. Raises: CplabError for what that cannot
    hold, Diverged for numbers that are not finite."""
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except TypeError as error:
        how = "return numbers, texts, lists and dicts by text (tensors have .item() and .tolist())"
        raise CplabError(f"{what} cannot be kept ({error}): {how}") from error
    except ValueError as error:
        why = "mind divisions by 0 and means of nothing, or the network has diverged"
        raise Diverged(f"{what} is not finite: {why}") from error


def mix_seeds(*parts: object) -> int:
    """Mix several numbers into one seed for torch's generators."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:7])
