"""The result of one run or experiment, and how it was computed."""

import hashlib
import json
import math
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any, ClassVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from cplab import specs
from cplab.errors import CplabError, one_of
from cplab.measure import MEASUREMENTS, Measurement
from cplab.runs import MEASURED, Run
from cplab.specs import Count, Positive, Spec
from cplab.specs.experiments import Experiment
from cplab.specs.own import full_name

HOW = ("copy", "device", "precision", "threads", "torch", "commit")
LAST = 5  # epochs whose mean is an accuracy at a rate that never changes: single ones fluctuate


class Outdated(ValueError):
    """A result of another version: sound, but its run would give another result today."""


@dataclass(frozen=True, repr=False)
class Result:
    """The result of a Run or of an experiment, and how it was computed.

    values: plain data, of a Run accuracy and curve. seconds: of training and testing, as if it had
    been trained alone. copy (of the data set), device (and kind of chip), precision, threads (0
    where they changed on the way), torch, commit: how it was trained. measured: {name: {epoch:
    plain data}}. own: the source of a student's own functions, by name; reading a result never runs
    it. source: `shipped` with the package, or `live`, trained by this user.
    """

    __pydantic_config__: ClassVar = ConfigDict(extra="forbid")  # where it is read

    spec: Any
    values: dict[str, Any]
    seconds: Positive
    copy: str
    device: str
    precision: str
    threads: Count
    torch: str
    commit: str
    measured: dict[str, dict[int, Any]] = field(default_factory=dict)
    own: dict[str, str] = field(default_factory=dict)
    source: str = "live"

    def __repr__(self) -> str:
        accuracy = self.accuracy if isinstance(self.spec, Run) else self.values.get("accuracy")
        right = f"{100 * accuracy:.1f} % right, " if isinstance(accuracy, float) else ""
        return f"Result({self.spec.call()}: {right}{self.source}, {self.seconds:.0f} s)"

    @cached_property
    def key(self) -> str:
        return self.spec.key

    @property
    def curve(self) -> list[dict]:
        """Rows: epoch, phase (clear, deficit, recovery), lr, train_loss, test_accuracy, seconds."""
        return self.values["curve"]

    @property
    def accuracy(self) -> float:
        """The final accuracy, a fraction of the test images. At a fixed learning rate, where a
        single epoch is noisy, it is the mean over the last five of the recovery."""
        if isinstance(self.spec, Run) and self.spec.schedule == "fixed":
            return self.mean_accuracy(len(self.curve), self.spec.recovery)
        fraction = self.values["accuracy"]
        if isinstance(fraction, float | int):
            return fraction
        raise CplabError(f"{self.spec.call()} has several accuracies: take one with accuracy_at")

    def mean_accuracy(self, end: int, recovery: int) -> float:
        """The mean test accuracy of the last five epochs before `end`, a fraction; of fewer if the
        recovery, in epochs, is shorter."""
        last = self.curve[end - max(1, min(LAST, recovery)) : end]
        return sum(row["test_accuracy"] for row in last) / len(last)

    def series(self, name: str) -> Any:
        """A quantity after each epoch, an array (epochs,), NaN where it was not measured: a column
        of the curve, or a measurement. Of a list (trace by layer) the sum is taken. Raises:
        CplabError for a name that does not exist.

        >>> from cplab import Run, find
        >>> find(Run()).series("test_accuracy").shape
        (15,)
        """
        import numpy as np

        name = full_name(Measurement, name)
        if name in self.curve[0]:
            return np.array([row[name] for row in self.curve])
        column, found, known = np.full(len(self.curve), math.nan), set[str](), {*self.curve[0]}
        for source, rows in self.measured.items():
            for epoch, row in rows.items():
                values = row if isinstance(row, dict) else {source: row}
                known |= {*values}
                if isinstance(values.get(name), int | float | list):
                    column[epoch] = np.sum(values[name])
                    found.add(source)
        one_of("quantity", name, sorted(known | {*self.measured, *MEASUREMENTS}))
        if len(found) > 1:
            several = " and ".join(sorted(found))
            raise CplabError(f"{name!r} was measured by {several}: take one from `measured`")
        return column

    def final(self, name: str) -> Any:
        """The value of a measurement after the last epoch, None where it was not taken."""
        name = full_name(Measurement, name)
        one_of("measurement", name, sorted({*self.measured, *MEASUREMENTS}))
        return self.measured.get(name, {}).get(self.spec.epochs - 1)

    def covers(self, measures: dict) -> bool:
        """Whether all these measurements were taken, {name: every, end or epochs}."""
        for name, when in measures.items():
            epochs = range(self.spec.epochs)
            wanted = {"end": epochs[-1:], "every": epochs}.get(when, when)
            if {*epochs} & {*wanted} - {*self.measured.get(name, ())}:
                return False
        return True

    def plain(self) -> dict:
        """The result as plain data, without its source."""
        values = {f.name: getattr(self, f.name) for f in fields(self)[1:-1]}
        return {"key": self.key, **as_plain(self.spec), **values}

    def text(self) -> str:
        """The text of a live result's file, for `parse` to read."""
        text = json.dumps(self.plain(), allow_nan=False)
        return json.dumps({"json": text, "checksum": checksum(text)})


def checksum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def as_plain(value: Any) -> Any:
    """Turn an argument, a run or an experiment into plain data, for `from_plain` to read."""
    if isinstance(value, Spec):
        given = {name: as_plain(part) for name, part in value.plain().items()}
        return {"kind": value.address, "version": value.version, "spec": given}
    return [as_plain(part) for part in value] if isinstance(value, tuple) else value


def from_plain(value: Any) -> Any:
    """Turn plain data back into what it describes. Raises ValueError for an unknown kind, Outdated
    for a run of another version, CplabError for fields that are not allowed."""
    if isinstance(value, list):
        return tuple(map(from_plain, value))
    if not isinstance(value, dict):
        return value
    kind, version, given = value["kind"], value["version"], value["spec"]
    given = {name: from_plain(part) for name, part in given.items()}
    if ":" in kind:
        return Experiment(kind, version, tuple(given.items()))
    if kind != "Run":
        raise Outdated(f"it is of an unknown kind, {kind!r:.40}")
    if version != Run.version:
        raise Outdated(f"it is of version {version}, this is {Run.version}")
    return Run(**given)


def parse(text: str, key: str) -> Result:
    """Read the text that `Result.text` wrote of the result of a key, with its checksum and types
    checked.

    Raises: ValueError, in one line, for anything wrong; Outdated for another version.
    """
    try:
        file = json.loads(text)
        if checksum(file["json"]) != file["checksum"]:
            raise ValueError("its checksum does not fit")
        plain = json.loads(file["json"])
        spec = from_plain({name: plain.pop(name) for name in ("kind", "version", "spec")})
        del plain["key"]  # the spec's own counts
        result = TypeAdapter(Result).validate_python({"spec": spec, **plain})
        check(result, key)
    except ValidationError as error:
        raise ValueError(specs.in_one_line(error)) from None
    except (CplabError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise ValueError(f"it cannot be read ({error!s:.300})") from error
    return result


def check(result: Result, key: str) -> None:
    """Raise an error unless the result has this key, and a run's has a whole curve."""
    if result.key != key:
        raise ValueError("its key does not fit its spec")
    if isinstance(result.spec, Run):
        numbers = [row[name] for row in result.curve for name in MEASURED]
        whole = len(numbers) == len(MEASURED) * result.spec.epochs
        whole &= all(isinstance(number, float) for number in numbers)
        if not whole or result.values["accuracy"] != result.curve[-1]["test_accuracy"]:
            raise ValueError("it has no whole curve that ends with its accuracy")


def join(new: Result, old: Result | None) -> Result:
    """Add the measurements of an earlier result to a new one if both are of the same training."""
    if old is None or outcome(old) != outcome(new):
        return new
    measured = {
        name: old.measured.get(name, {}) | new.measured.get(name, {})
        for name in old.measured | new.measured
    }
    return replace(new, measured=measured, own=old.own | new.own)


def outcome(result: Result) -> Any:
    """A result's values without timings, to compare two trainings."""
    return without_times(result.values)


def without_times(value: Any) -> Any:
    """Plain data without the entries called `seconds`."""
    if isinstance(value, dict):
        return {k: without_times(v) for k, v in value.items() if k != "seconds"}
    return [without_times(v) for v in value] if isinstance(value, list) else value
