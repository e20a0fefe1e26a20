"""Results: what came of a run or an experiment, how it was computed, and its text in a file."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any

import numpy as np

from cplab.base.errors import CplabError, one_of
from cplab.measure import MEASUREMENTS, Measurement
from cplab.measure.measurements import When
from cplab.runs import DISTANCES, Run
from cplab.specs import Spec
from cplab.specs.experiments import Experiment
from cplab.specs.own import full_name

# The fields of a result that say how it was computed
HOW = ("copy", "device", "precision", "threads", "torch", "commit")
# The number of epochs whose mean is an accuracy at a constant rate, where single ones fluctuate
LAST = 5


class Outdated(ValueError):
    """A sound result that this version of cplab does not know.

    It may be of another version of runs, whose fields would give another result today, or have a
    treatment of another branch.
    """


@dataclass(frozen=True, repr=False)
class Result:
    """The result of a Run or of an experiment, and how it was computed.

    Attributes:
        spec: the Run or the experiment.
        values: plain data; for a Run its accuracy and curve.
        seconds: of training and testing, as if it had been trained alone.
        copy: which copy of the images was used.
        device: where it was trained, and on which kind of chip.
        precision: the arithmetic of its products.
        threads: of torch.
        torch: the version of torch.
        commit: of this source code.
        measured: {name: {epoch: plain data}}.
        own: the texts of students' own functions, by name. Reading a result never runs them.
        source: `shipped` with the package, or `live`, trained by this user.
    """

    spec: Any
    values: dict[str, Any]
    seconds: float
    copy: str
    device: str
    precision: str
    threads: int
    torch: str
    commit: str
    measured: dict[str, dict[int, Any]] = field(default_factory=dict)
    own: dict[str, str] = field(default_factory=dict)
    source: str = "live"

    def __repr__(self) -> str:
        accuracy = self.accuracy if isinstance(self.spec, Run) else self.values.get("accuracy")
        words = f"{self.source}, {self.seconds:.0f} s"
        if isinstance(accuracy, float):
            words = f"{100 * accuracy:.1f} % right, {words}"
        return f"Result({self.spec.call()}: {words})"

    def __hash__(self) -> int:
        return hash(self.spec)

    @cached_property
    def key(self) -> str:
        """The name of its file: 16 hexadecimal digits."""
        return self.spec.key

    @property
    def curve(self) -> list[dict]:
        """A row for each epoch: epoch, phase (clear, deficit, recovery), lr, train_loss,
        test_accuracy, seconds.

        If the version that trained it added them up, also how far the layers' weights
        have travelled: path, the sum over the epoch's steps of ‖step‖ / ‖weights‖, the median of
        layers; path_plain, the sum of ‖step‖ over all layers together; from_birth and from_deficit,
        how far they are from where they were at birth and when the latest deficit ended, relative
        to their norm there, the median of layers.
        """
        return self.values["curve"]

    @property
    def accuracy(self) -> float:
        """The final accuracy, a fraction of the test images.

        At a fixed learning rate, where single epochs fluctuate, it is the mean over the last five
        epochs of the recovery.
        """
        if isinstance(self.spec, Run) and self.spec.schedule == "fixed":
            return self.mean_accuracy(len(self.curve), self.spec.recovery)
        fraction = self.values.get("accuracy")
        if not isinstance(fraction, float | int):
            raise CplabError(
                f"{self.spec.call()} has no accuracy that is a number: take one of its values, "
                f"{', '.join(self.values)}, from Result.values"
            )
        return fraction

    def mean_accuracy(self, end: int, recovery: int) -> float:
        """The mean test accuracy, a fraction, over the last five epochs before an epoch.

        Arguments:
            end: that epoch.
            recovery: the number of clear epochs before it: if there are fewer than five, the mean
                is over these alone.
        """
        count = max(1, min(LAST, recovery))
        last = self.curve[end - count : end]
        return sum(row["test_accuracy"] for row in last) / len(last)

    def series(self, name: str) -> np.ndarray:
        """A quantity after each epoch, (epochs,); NaN where it was not measured.

        Arguments:
            name: of a column of the curve, or of a measurement, which may be given by its function.
                If it is a list, such as the trace by layer, this is its sum.

        Raises:
            CplabError: for an unknown name.

        >>> from cplab import Run, find
        >>> find(Run()).series("test_accuracy").shape
        (15,)
        """
        name = full_name(Measurement, name)
        if name in self.curve[0] or name in DISTANCES:
            return np.array([row.get(name, math.nan) for row in self.curve])
        column = np.full(len(self.curve), math.nan)
        sources = set()  # measurements that have a number of this name
        allowed = {*self.curve[0], *self.measured, *MEASUREMENTS}
        for measurement, values_by_epoch in self.measured.items():
            for epoch, value in values_by_epoch.items():
                # a measurement that is a single number has its own name
                numbers = value if isinstance(value, dict) else {measurement: value}
                allowed.update(numbers)
                if isinstance(numbers.get(name), int | float | list):
                    column[epoch] = np.sum(numbers[name])
                    sources.add(measurement)
        one_of("quantity", name, sorted(allowed))
        if len(sources) > 1:
            several = " and ".join(sorted(sources))
            raise CplabError(f"{name!r} was measured by {several}: take one from `measured`")
        return column

    def final(self, name: str) -> Any:
        """The value of a measurement after the last epoch; None if it was not taken.

        >>> from cplab import Run, find
        >>> find(Run(onset=16)).final("blurred")
        {'clear': 0.6596, 'blurred': 0.1916, 'adapted': 0.3256}
        """
        name = full_name(Measurement, name)
        one_of("measurement", name, sorted({*self.measured, *MEASUREMENTS}))
        return self.measured.get(name, {}).get(self.spec.epochs - 1)

    def covers(self, measures: Mapping[str, When]) -> bool:
        """Whether all these measurements were taken, {name: every, end or epochs}."""
        for name, when in measures.items():
            epochs = range(self.spec.epochs)
            if when == "every":
                due = {*epochs}
            elif when == "end":
                due = {epochs[-1]}
            else:
                due = {*epochs} & {*when}
            taken = {*self.measured.get(name, ())}
            if not due <= taken:
                return False
        return True

    def plain(self) -> dict[str, Any]:
        """The result as plain data, without `source`, which depends on where it is kept."""
        names = [part.name for part in fields(self) if part.name not in ("spec", "source")]
        values = {name: getattr(self, name) for name in names}
        return {"key": self.key, **as_plain(self.spec), **values}

    def text(self) -> str:
        """The text of a live result's file, which `parse` reads."""
        text = json.dumps(self.plain(), allow_nan=False)
        return json.dumps({"json": text, "checksum": checksum(text)})


# Two results of one spec --------------------------------------------------------------------------


def join(new: Result, old: Result | None) -> Result:
    """Add the measurements of an earlier result to a new one, if both are of the same training."""
    if old is None or outcome(old) != outcome(new):
        return new
    measured = {}
    for name in old.measured | new.measured:
        measured[name] = old.measured.get(name, {}) | new.measured.get(name, {})
    return replace(new, measured=measured, own=old.own | new.own)


def outcome(result: Result) -> object:
    """A result's values by which two trainings are compared: without times, and without distances,
    which not all results have."""
    return without_times(result.values, DISTANCES if isinstance(result.spec, Run) else ())


def without_times(value: Any, others: Sequence[str] = ()) -> Any:
    """Plain data without all entries called `seconds`, or by one of some other names."""
    if isinstance(value, dict):
        kept = {name: part for name, part in value.items() if name not in ("seconds", *others)}
        return {name: without_times(part, others) for name, part in kept.items()}
    if isinstance(value, list):
        return [without_times(part, others) for part in value]
    return value


# Text ---------------------------------------------------------------------------------------------


def checksum(text: str) -> str:
    """A hash of a text: 64 hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def as_plain(value: Any) -> Any:
    """Turn a run, an experiment, or an argument of one into plain data for `from_plain`."""
    if isinstance(value, Spec):
        arguments = {name: as_plain(part) for name, part in value.plain().items()}
        return {"kind": value.address, "version": value.version, "spec": arguments}
    if isinstance(value, tuple):
        return [as_plain(part) for part in value]
    return value


def from_plain(value: Any) -> Any:
    """Turn plain data back into the run, the experiment or the argument that it describes.

    Raises:
        Outdated: for a run of another version, for an unknown kind, and for fields, deficits or
            treatments that this version does not know.
    """
    if isinstance(value, list):
        return tuple(from_plain(part) for part in value)
    if not isinstance(value, dict):
        return value
    kind = value["kind"]
    version = value["version"]
    arguments = {name: from_plain(part) for name, part in value["spec"].items()}
    if ":" in kind:
        return Experiment(kind, version, tuple(arguments.items()))
    if kind != "Run":
        raise Outdated(f"it is of an unknown kind, {kind!r:.40}")
    if version != Run.version:
        raise Outdated(f"it is of version {version}, this is {Run.version}")
    try:
        return Run(**arguments)
    except CplabError as error:
        raise Outdated(f"its run is not known here ({error!s:.300})") from error


def parse(text: str, key: str) -> Result:
    """Read a text that `Result.text` has written, and check its checksum and key.

    Raises:
        ValueError, of one line, for anything wrong.
        Outdated: for what is not known here.
    """
    try:
        file = json.loads(text)
        if checksum(file["json"]) != file["checksum"]:
            raise ValueError("its checksum does not fit")
        plain = json.loads(file["json"])
        spec = from_plain({name: plain.pop(name) for name in ("kind", "version", "spec")})
        del plain["key"]  # the spec has its own
        plain["measured"] = by_epoch(plain["measured"])
        result = Result(spec, **plain)
    except (CplabError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise ValueError(f"it cannot be read ({error!s:.300})") from error
    if result.key != key:
        raise ValueError("its key does not fit its spec")
    return result


def by_epoch(measured: dict[str, dict[str, Any]]) -> dict[str, dict[int, Any]]:
    """Measurements as JSON has them, {name: {epoch: plain data}}, with epochs as numbers."""
    numbered = {}
    for name, values in measured.items():
        numbered[name] = {int(epoch): value for epoch, value in values.items()}
    return numbered
