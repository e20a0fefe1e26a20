"""Specs: frozen typed classes whose fields decide a result; their canonical line and their key.

A default is left out of the key unless the field's type is InKey, so that a new field leaves all
keys as they were; such a default is never changed afterwards. Each class of specs has a version of
its own.
"""

import difflib
import hashlib
import pkgutil
from dataclasses import fields
from functools import cache, cached_property, wraps
from typing import Annotated, Any, ClassVar, TypeVar, dataclass_transform

import pydantic.dataclasses
from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from cplab.errors import CplabError, quote, require
from cplab.errors import assign as assign

# The address of each class of specs that all labs use; the studies' are in cplab.studies.SPECS
SPECS = {"Run": "cplab.runs:Run"}
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
Fraction = Annotated[Number, Field(ge=0, le=1)]
# InKey[Seed] is a Seed that stands in the key even where it is the default
IN_KEY = "in key"
Value = TypeVar("Value")
InKey = Annotated[Value, IN_KEY]


class Spec:
    """All that decides a result. Subclasses are decorated with `spec_class`; one without a timeline
    has a static method `train_all` instead, like cplab.engine.sweep.train_all."""

    # raised by one whenever a change alters the result of a spec with the same fields
    version: ClassVar[int] = 1
    heading: ClassVar[str] = ""  # begins the canonical line
    Values: ClassVar[Any] = dict  # the type of its values, a TypedDict

    def plain(self) -> dict[str, Any]:
        """The fields by name as plain data, without defaults that are not InKey."""
        annotated: Any = type(self).__pydantic_fields__  # type: ignore[attr-defined]
        return {
            f.name: as_plain(value)
            for f in fields(self)  # type: ignore[arg-type]
            if (value := getattr(self, f.name)) != f.default or IN_KEY in annotated[f.name].metadata
        }

    def canonical(self) -> str:
        """One line that holds all that decides the result."""
        heading = self.heading or f"{type(self).__name__} version"
        parts = (f"{name}={value}" for name, value in self.plain().items())
        return " ".join([f"{heading}={self.version}", *parts])

    @cached_property
    def key(self) -> str:
        """The name of a spec's result: 16 hexadecimal digits.

        >>> from cplab import Run
        >>> Run(deficit="blur", length=4).key
        '10da86ce08101b40'
        """
        return hashlib.sha256(self.canonical().encode()).hexdigest()[:16]

    def call(self) -> str:
        """The line of Python that gives the result, or the canonical line where there is none."""
        return self.canonical()

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
    return decorated


def in_one_line(error: ValidationError, cls: Any = None) -> str:
    """Write the first of pydantic's errors as one line: what is wrong, what is allowed, what to
    do."""
    first = error.errors(include_url=False)[0]
    where, names = [str(part) for part in first["loc"]], [*getattr(cls, "__pydantic_fields__", ())]
    if where and where[0].isdigit() and int(where[0]) < len(names):  # given by its place
        where[0] = names[int(where[0])]
    name, value = ".".join(where), quote(first["input"])
    match first["type"]:
        case "unexpected_keyword_argument":
            close = difflib.get_close_matches(name, names, 1)
            hint = f" (did you mean {close[0]}?)" if close else ""
            what = f"unknown field {name!r} of {cls.__name__}{hint}"
            return f"{what}: choose one of {', '.join(names)}"
        case "missing":
            return f"{name} is missing: give it a value"
        case "literal_error":
            allowed = first["ctx"]["expected"].replace("'", "").replace(" or ", ", ")
            return f"unknown {name} {value}: choose one of {allowed}"
    rule = first["msg"].removeprefix("Value error, ").replace("Input should", "it should")
    rule = rule.replace("a valid boolean, unable to interpret input", "yes or no")
    return f"{name} {value} is not allowed: {rule}"


# Specs as plain data ------------------------------------------------------------------------------


def as_plain(value: Any) -> Any:
    """Turn a field into plain data; a spec becomes a dictionary that names its kind."""
    if isinstance(value, Spec):
        return {"kind": type(value).__name__, **value.plain()}
    return [as_plain(v) for v in value] if isinstance(value, tuple) else value


def from_plain(value: Any) -> Any:
    """Turn plain data back into the field that `as_plain` was given."""
    if isinstance(value, dict) and "kind" in value:
        return build_spec(value["kind"], {k: v for k, v in value.items() if k != "kind"})
    return tuple(from_plain(v) for v in value) if isinstance(value, list) else value


class Outdated(ValueError):
    """A result of another version: sound, but its spec would give another result today."""


def build_spec(kind: str, values: dict, version: int | None = None) -> Any:
    """Build the spec that `Spec.plain` described. Raises ValueError for an unknown kind, Outdated
    for another version than `version`, CplabError for fields that are not allowed."""
    if kind not in (known_kinds := addresses()):
        raise ValueError(f"it is of an unknown kind, {kind!r:.40}")
    cls = pkgutil.resolve_name(known_kinds[kind])
    if version is not None and version != cls.version:
        raise Outdated(f"it is of version {version}, this is {cls.version}")
    return cls(**{name: from_plain(value) for name, value in values.items()})


def addresses() -> dict[str, str]:
    """The module and name of each class of specs, {name: "module:name"}."""
    return SPECS | pkgutil.resolve_name("cplab.studies:SPECS")


def kinds() -> dict[str, Any]:
    """All classes of specs that have results, by name."""
    classes = {name: pkgutil.resolve_name(address) for name, address in addresses().items()}
    return {name: cls for name, cls in classes.items() if hasattr(cls, "trunk_key")}


def check_spec(spec: Any) -> Any:
    """Return `spec`; raise a CplabError if it is not a spec."""
    require(isinstance(spec, Spec), f"{quote(spec)} is no run: give cplab.Run(...)")
    return spec


type_adapter = cache(TypeAdapter)


def check_types(entry: Any) -> Any:
    """Check a dataclass by the annotations of its fields, and return it. Raises CplabError."""
    kind: Any = type(entry)
    values = {f.name: getattr(entry, f.name) for f in fields(entry)}
    try:
        return type_adapter(kind).validate_python(values)
    except ValidationError as error:
        raise CplabError(in_one_line(error)) from None


def check_values(spec: Any, values: dict) -> None:
    """Raise ValueError unless values have the type that the spec's class states."""
    try:
        type_adapter(spec.Values).validate_python(values, strict=True)
    except ValidationError as error:
        raise ValueError(in_one_line(error)) from None


def mix_seeds(*parts: object) -> int:
    """Mix several numbers into one seed for torch's generators."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:7])
