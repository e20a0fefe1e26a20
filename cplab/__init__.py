"""cplab: train and explore critical learning periods in deep networks.

    import cplab
    result = cplab.run(deficit="blur", onset=0, length=8, profile="course", seed=0)
    result.accuracy, result.curve

The names below are the whole public interface.
"""

from importlib.metadata import version
from typing import Any

from cplab.base.errors import CplabError
from cplab.base.files import settle_folders
from cplab.deficits import apply_deficit, deficit
from cplab.measure import measurement
from cplab.models import model
from cplab.pictures.data import images
from cplab.pictures.own_images import images_from
from cplab.quantities.conditions import harm_table
from cplab.results import Result, at_hand, experiment, find, results_table, run, sweep
from cplab.runs import Run
from cplab.runs.treatments import treatment
from cplab.specs.profiles import PROFILES

__all__ = [
    "PROFILES",
    "CplabError",
    "Explorer",
    "Result",
    "Run",
    "apply_deficit",
    "at_hand",
    "deficit",
    "experiment",
    "find",
    "harm_table",
    "images",
    "images_from",
    "measurement",
    "model",
    "results_table",
    "run",
    "sweep",
    "treatment",
]

settle_folders()  # relative ones count from where Python was started


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return version("cplab")
    if name == "Explorer":
        from cplab.lab import Explorer  # late, since a server that trains has no widgets

        return Explorer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
