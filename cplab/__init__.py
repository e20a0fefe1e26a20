"""cplab: critical learning periods in deep networks, trained and looked at.

    import cplab
    record = cplab.run(deficit="blur", onset=0, length=8, profile="course", seed=0)
    record.accuracy, record.curve

The names below are the whole public interface.
"""

from typing import Any

from cplab.data import images, images_from
from cplab.deficits import apply_deficit, deficit
from cplab.errors import CplabError
from cplab.measure import measurement
from cplab.models import model
from cplab.results import Result, at_hand, experiment, find, run, sweep, table
from cplab.runs import Run
from cplab.specs import explained
from cplab.specs.profiles import PROFILES

__all__ = ["PROFILES", "CplabError", "Explorer", "Result", "Run", "apply_deficit", "at_hand"]
__all__ += ["deficit", "experiment", "find", "images", "images_from", "measurement", "model"]
__all__ += ["run", "sweep", "table"]
globals().update(explained(globals()))
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name != "Explorer":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from cplab.lab import Explorer  # whose widgets training on a server does without

    return Explorer
