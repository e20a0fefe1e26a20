"""Statements of animal papers, and a curve to fit to them.

`animals.csv` holds what the papers state in print, a row for each statement, with its source;
nothing in it is read off a figure.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from cplab.errors import one_of

if TYPE_CHECKING:
    import pandas as pd

GESTATION = 165  # days, the macaque's; prenatal ages in the table are days from conception minus it


def statements(quantity: str | None = None, species: str | None = None) -> "pd.DataFrame":
    """Statements that animal papers make in print, a row each.

    Arguments: quantity, all, or recovered_acuity (by the age to which one eye was closed from about
        birth), dark_reared_acuity (by the age to which the animal was in the dark),
        acuity_at_opening (by the age at which the closure was imposed), normal_acuity, sensitivity
        (to a closure of 10–12 days, by the age at its onset), sensitivity_long (to months of
        closure), synaptic_density, synapse_number or synapse_loss (of V1, by age); species, all, or
        cat, macaque or human.
    Returns: kind, `point` where a number is given, `interval` where only words are; age_low,
        age_high, days after birth, NaN where none is given (months of 365.25/12 days); value, of a
        point, the middle of value_low and value_high; words, of an interval; age_text, value_text,
        as printed; unit, source, where (in the source), note (how it was measured; assumptions).
    Raises: CplabError for an unknown quantity or species.

    >>> statements("synaptic_density", "macaque").query("kind == 'point'").value.tolist()
    [10.9, 63.0, 37.7]
    """
    import pandas as pd

    table = pd.read_csv(Path(__file__).with_name("animals.csv"))
    table = table.fillna(dict.fromkeys(("age_text", "value_text", "words", "note"), ""))
    for column, name in (("quantity", quantity), ("species", species)):
        if name is not None:
            table = table[table[column] == one_of(column, name, list(table[column].unique()))]
    return table.reset_index(drop=True)


def decline(t: ArrayLike, normal: float, tau: float) -> np.ndarray:
    """The acuity to which an eye recovers after a closure of length t: normal · e^(−t/τ). Mitchell
    1988 (abstract, 3) finds "a simple exponential decay"; this is the simplest, without a floor.

    >>> float(decline(0, normal=6.9, tau=100))
    6.9
    """
    return normal * np.exp(-np.asarray(t, dtype=float) / tau)
