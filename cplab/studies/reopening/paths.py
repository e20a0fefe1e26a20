"""The straight line between a network that had a deficit and its twin that had none."""

from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, ClassVar

from cplab import specs
from cplab.checks import assign, require, whole
from cplab.profiles import PROFILES
from cplab.runs import EPOCHS, Event, Run, Step, check_fields, checked_later, setting


@specs.register
@dataclass(frozen=True)
class LinearPath:
    """Two lives of one seed, and what the networks between their weights do.

    The first carries a deficit, the second is equal training: the same initial weights, images,
    crops and epochs. Of networks along the straight line from the one to the other, statistics of
    batch norm are taken anew, of clear training images; those of the ends as well (Frankle et al.
    2020, 'Linear Mode Connectivity and the Lottery Ticket Hypothesis').

    Arguments: deficit, onset, length, profile, seed: as of a Run; points, networks from end to end.

    Values: loss (nats) and accuracy (0 to 1) of the test images at each point.

    >>> LinearPath("blur", length=16).epochs
    62
    """

    version: ClassVar[int] = 1
    form: ClassVar[dict] = {"loss": [specs.positive], "accuracy": [specs.fraction]}

    deficit: str = setting("blur", checked_later)
    onset: int = setting(0, EPOCHS)
    length: int = setting(0, EPOCHS)
    profile: str = setting("course", names=PROFILES)
    points: int = setting(11, partial(whole, least=2, most=1000))
    seed: int = setting(0, whole)

    def __post_init__(self) -> None:
        check_fields(self)
        require(self.length, "length 0 is not allowed: without a deficit there is one life")
        assign(self, deficit=self.run.deficit)

    @cached_property
    def run(self) -> Run:
        """The life with the deficit."""
        return Run(self.deficit, self.onset, self.length, profile=self.profile, seed=self.seed)

    @property
    def task(self) -> Any:
        """What both runs learn."""
        from cplab.studies.reopening.walk import TwoRuns  # loads torch

        return TwoRuns(self.run)

    @cached_property
    def timeline(self) -> tuple[Step | Event, ...]:
        """Both runs, one after the other, and the walk."""
        from cplab.studies.reopening.walk import begin_again, walk

        twin = self.run.equal_training()
        again = Event(begin_again, (self.version,))  # which is then in its checkpoints' names
        return *self.run.timeline, again, *twin.timeline, Event(walk, (self.points,))

    @property
    def epochs(self) -> int:
        return 2 * self.run.epochs

    @property
    def trunk_key(self) -> tuple:
        return self.run.trunk_key

    def values(self, rows: list[dict]) -> dict:
        return {name: rows[-1][name] for name in self.form}

    def check_values(self, values: dict) -> None:
        """Raise ValueError unless these can be this path's."""
        specs.same_length(self.points, *values.values())
