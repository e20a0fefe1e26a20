"""The parts of a run's timeline: steps, which are epochs of training, and events between them."""

from collections.abc import Callable
from typing import NamedTuple

from cplab.deficits import Deficit


class Step(NamedTuple):
    """One epoch of training, apart from its number and the run's seed.

    A treatment sets a field to its strength, which is a number. So fields that say yes or no are 1
    or 0.
    """

    deficit: Deficit  # deficits.NONE for no deficit
    lr: float  # the learning rate
    decay: float = 1  # a factor on weight decay
    gradient: float = 0  # the norm to which each step's gradient is scaled; 0 for none
    temper: float = 1  # the temperature T of the loss, T times that of logits / T
    images: float = 1  # the fraction of training images that is shown
    augment: float = 1  # whether images are shifted and mirrored
    fixed_norms: float = 0  # whether weights under batch norm keep the norms that they began with
    image_part: float = 1  # of the data set: 1, the usual training images; 2, as many other ones
    shift: float | None = None  # the largest random translation, pixels; None for the profile's
    cutout: float = 0  # the side of a square blanked at a random place of each image, pixels
    own: str = ""  # the name of a student's own treatment, which acts in each step


class Event(NamedTuple):
    """Something done to a network between two epochs.

    Its function takes (train state, task, images, *args), and returns a row of plain data for the
    curve. It may replace the network and the optimiser.
    """

    function: Callable[..., dict]
    args: tuple = ()

    @property
    def name(self) -> str:
        """The name of its function."""
        return self.function.__name__

    def __repr__(self) -> str:
        return f"Event({self.name}, {self.args})"
