"""Studies: scripts that made tables. Nothing of the package needs them."""

from collections.abc import Iterable
from dataclasses import replace
from importlib import import_module
from typing import Any

from cplab.specs.digest import Reading
from cplab.specs.experiments import FUNCTIONS, Experiment


def load_for(specs: Iterable[Any]) -> None:
    """Import what computes those of some specs that are rows of a table, for workers too: functions
    of the tables' names, in a study that is called as the module of the table."""
    for spec in specs:
        if isinstance(spec, Experiment) and spec.function.table:
            study = import_module(f"reproduction.studies.{spec.function.module.rpartition('.')[2]}")
            compute = getattr(study, spec.name)
            own = Reading(compute).definition()
            FUNCTIONS[spec.name] = replace(spec.function, apply=compute, own=own, table=False)
