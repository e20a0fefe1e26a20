"""The straight line between a network that had a deficit and its twin that had none."""

from functools import cached_property
from typing import Annotated, Any, ClassVar

from pydantic import Field
from typing_extensions import TypedDict

from cplab.errors import require
from cplab.runs import DeficitName, Epochs, Event, ProfileName, Run, Step
from cplab.specs import Count, Fraction, Positive, Seed, Spec, assign, spec_class


class PathValues(TypedDict):
    """Test loss (nats) and test accuracy at each point, from the run with a deficit to its twin."""

    loss: list[Positive]
    accuracy: list[Fraction]


@spec_class
class LinearPath(Spec):
    """A run with a deficit, its equal training, and the test of networks between their weights,
    with batch norm's statistics measured anew on clear training images (Frankle et al. 2020,
    'Linear Mode Connectivity and the Lottery Ticket Hypothesis').

    >>> LinearPath("blur", length=16).epochs
    62
    """

    Values: ClassVar[Any] = PathValues

    deficit: DeficitName = "blur"  # of the first run
    onset: Epochs = 0
    length: Epochs = 0
    profile: ProfileName = "course"
    points: Annotated[Count, Field(ge=2, le=1000)] = 11  # networks from end to end
    seed: Seed = 0

    def __post_init__(self) -> None:
        require(self.length, "length 0 is not allowed: without a deficit there is one run")
        assign(self, deficit=self.run.deficit)

    @cached_property
    def run(self) -> Run:
        return Run(self.deficit, self.onset, self.length, profile=self.profile, seed=self.seed)

    @property
    def task(self) -> Any:
        from cplab.studies.reopening.walk import TwoRuns  # loads torch

        return TwoRuns(self.run)

    @cached_property
    def timeline(self) -> tuple[Step | Event, ...]:
        from cplab.studies.reopening.walk import begin_again, walk

        twin = self.run.equal_training()
        again = Event(begin_again, (self.version,))  # the names of checkpoints hold the version
        return *self.run.timeline, again, *twin.timeline, Event(walk, (self.points,))

    @property
    def epochs(self) -> int:
        return 2 * self.run.epochs

    @property
    def trunk_key(self) -> tuple:
        return self.run.trunk_key

    def values(self, rows: list[dict]) -> dict:
        return {name: rows[-1][name] for name in PathValues.__annotations__}
