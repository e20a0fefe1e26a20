"""The result of one spec, and how it was computed."""

import hashlib
import json
import math
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any, ClassVar

from pydantic import ConfigDict, ValidationError

from cplab import specs
from cplab.errors import CplabError, one_of, require
from cplab.measure import MEASUREMENTS
from cplab.specs import Positive

HOW = ("copy", "device", "precision", "threads", "torch", "commit")
LAST = 5  # epochs whose mean is an accuracy at a rate that never changes: single ones fluctuate


@dataclass(frozen=True)
class Result:
    """The result of a spec, such as a Run, and how it was computed.

    values: plain data, as the spec's class says (of a Run accuracy and curve). seconds: of training
    and testing, as if it had been trained alone. copy (of the data set), device (and kind of chip),
    precision, threads (0 where they changed on the way), torch, commit: how it was trained.
    measured: {name: {epoch: plain data}}.
    own: the source of a student's own functions, by name; reading a result never runs it.
    source: `shipped` with the package, or `live`, trained by this user.
    """

    __pydantic_config__: ClassVar = ConfigDict(extra="forbid")  # where it is read

    spec: Any
    values: dict[str, Any]
    seconds: Positive
    copy: str
    device: str
    precision: str
    threads: int
    torch: str
    commit: str
    measured: dict[str, dict[int, Any]] = field(default_factory=dict)
    own: dict[str, str] = field(default_factory=dict)
    source: str = "live"

    @cached_property
    def key(self) -> str:
        return self.spec.key

    @property
    def kind(self) -> str:
        """The name of its spec's class."""
        return type(self.spec).__name__

    @property
    def curve(self) -> list[dict]:
        """Rows: epoch, phase (clear, deficit, recovery), lr, train_loss, test_accuracy, seconds."""
        return self.values["curve"]

    @property
    def accuracy(self) -> float:
        """The final accuracy, a fraction of the test images. At a fixed learning rate, where a
        single epoch is noisy, it is the mean over the last five of the recovery."""
        if getattr(self.spec, "schedule", "") != "fixed":
            return self.values["accuracy"]
        return self.mean_accuracy(len(self.curve), self.spec.recovery)

    def mean_accuracy(self, end: int, recovery: int) -> float:
        """The mean test accuracy of the last five epochs before `end`, a fraction; of fewer if the
        recovery, in epochs, is shorter."""
        last = self.curve[end - max(1, min(LAST, recovery)) : end]
        return sum(row["test_accuracy"] for row in last) / len(last)

    @cached_property
    def percents(self) -> Any:
        """The test accuracy after each epoch in percent, an array (epochs,)."""
        return 100 * self.series("test_accuracy")

    def series(self, name: str) -> Any:
        """A quantity after each epoch, an array (epochs,), NaN where it was not measured: a column
        of the curve, or a measurement. Of a list (trace by layer) the sum is taken. Raises:
        CplabError for a name that does not exist.

        >>> from cplab import Run, find
        >>> find(Run()).series("test_accuracy").shape
        (15,)
        """
        import numpy as np

        if name in self.curve[0]:
            return np.array([row[name] for row in self.curve])
        known = {*self.curve[0], *self.measured, *MEASUREMENTS}
        column, sources = np.full(len(self.curve), math.nan), set[str]()
        for source, rows in self.measured.items():
            for epoch, row in rows.items():
                known.update(row if isinstance(row, dict) else ())
                value = row.get(name) if isinstance(row, dict) else row if source == name else None
                if isinstance(value, int | float | list):
                    column[epoch] = np.sum(value)
                    sources.add(source)
        one_of("quantity", name, sorted(known))
        several = " and ".join(sorted(sources))
        require(len(sources) < 2, f"{name!r} was measured by {several}: take one from `measured`")
        return column

    def final(self, name: str) -> Any:
        """The value of a measurement after the last epoch, or None."""
        rows = self.measured.get(name, {})
        return rows.get(getattr(self.spec, "epochs", max(rows, default=0) + 1) - 1)

    def covers(self, measures: dict) -> bool:
        """Whether all these measurements were taken, {name: every, end or epochs}."""
        epochs = range(getattr(self.spec, "epochs", 0))
        times = {"end": epochs[-1:], "every": epochs}
        return all(
            epochs and {*epochs} & {*times.get(when, when)} <= {*self.measured.get(name, ())}
            for name, when in measures.items()
        )

    def plain(self) -> dict:
        """The result as plain data, without its source."""
        values = {f.name: getattr(self, f.name) for f in fields(self)[1:-1]}
        if not self.own:
            del values["own"]
        header = {"key": self.key, "kind": self.kind, "version": self.spec.version}
        return {**header, "spec": self.spec.plain(), **values}

    def text(self) -> str:
        """The text of a live result's file, for `parse` to read."""
        text = json.dumps(self.plain(), allow_nan=False)
        return json.dumps({"json": text, "checksum": checksum(text)})


def checksum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def parse(text: str) -> Result:
    """Read the text that `Result.text` wrote, with its checksum and types checked.

    Raises: ValueError, in one line, for anything wrong; Outdated for another version.
    """
    try:
        file = json.loads(text)
        plain = json.loads(file["json"])
        require(checksum(file["json"]) == file["checksum"], "its checksum does not fit")
        key, kind, version, spec = (plain.pop(n) for n in ("key", "kind", "version", "spec"))
        plain["spec"] = specs.build_spec(kind, spec, version)
        result = specs.type_adapter(Result).validate_python(plain)
        specs.check_values(result.spec, result.values)
        require(key == result.key, "its key does not fit its spec")
    except ValidationError as error:
        raise ValueError(specs.in_one_line(error)) from None
    except (CplabError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"it cannot be read ({error!s:.300})") from error
    return result


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
