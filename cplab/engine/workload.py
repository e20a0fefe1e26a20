"""Jobs of workers, what these tell meanwhile, and what they have in the end. See `work`."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from cplab.base.errors import Failed
from cplab.measure.measurements import Measures
from cplab.runs import Run
from cplab.specs.experiments import Experiment
from cplab.specs.own import Registered

ResultFields = dict[str, Any]  # the fields of a spec's Result, by name


class Flag(Protocol):
    """What ends training before the next batch once it is set, such as a threading.Event."""

    def is_set(self) -> bool: ...


@dataclass
class Stretch:
    """What a stretch of training has come to."""

    rows: list[dict]  # of the curve, one for each part since birth; an experiment has one
    provenance: dict[str, Any]  # copy of the data set, device, precision, threads, torch
    content: bytes = b""  # the state, as a checkpoint; an experiment has none
    failure: Failed | None = None  # of a measurement at the end, without which the training is kept


@dataclass
class Job:
    """Runs that differ only in their seeds, to train for a stretch, or an experiment to compute.

    Attributes:
        specs: the runs, or the experiment alone.
        device: auto, cuda, mps or cpu.
        own: students' own functions that it names, for another process.
        modules: the package's modules that register what else it names.
        end: the number of the first part of the timeline that is not trained.
        contents: for each run, checkpoints to begin from.
        last: for each run, whether these are its last parts.
        told: for each run, how many of its rows were told before.
        measures: when to take each measurement, by name.
        seconds: after which a stretch ends.
    """

    specs: Sequence[Run | Experiment]
    device: str = "auto"
    own: list[Registered] = field(default_factory=list)
    modules: list[str] = field(default_factory=list)
    end: int = 0
    contents: list[list[bytes]] = field(default_factory=list)
    last: list[bool] = field(default_factory=list)
    told: list[int] = field(default_factory=list)
    measures: Measures = field(default_factory=dict)
    seconds: float = math.inf


class Note(NamedTuple):
    """What a worker tells while it works: a row, a warning, or what a student's function prints."""

    number: int = 0  # of the run among those of the job
    row: dict | None = None  # of its curve, or what an experiment tells
    warning: str = ""
    printed: str = ""


Tell = Callable[[list[Note]], object]
