"""What is known from animals, and the curves that are drawn through it and through networks alike.

`animals.csv` holds what the animal papers state in print, one row a statement, with its source;
nothing in it is read off a figure. The curves are the paper's two (Materials and Methods) and the
exponential fall of Mitchell 1988; `cplab.fits.fit` lays them through points.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from cplab.errors import one_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["GESTATION", "critical_period", "decline", "from_sensitivity", "statements"]

GESTATION = 165  # days, the macaque's; prenatal ages in the table are days from conception minus it


def statements(quantity: str | None = None, species: str | None = None) -> "pd.DataFrame":
    """What animal papers state in print.

    Arguments:
        quantity: all, or recovered_acuity (by the age to which one eye was closed from about
            birth), dark_reared_acuity (by the age to which the animal was in the dark),
            acuity_at_opening (by the age at which the closure was imposed), normal_acuity,
            sensitivity (to a closure of 10–12 days, by the age at its onset), sensitivity_long (to
            months of closure), synaptic_density, synapse_number or synapse_loss (of V1, by age).
        species: all, or cat, macaque or human.
    Returns: one row a statement. kind: `point` where a number is given, `interval` where only words
        are. age_low, age_high: days after birth, negative before it, equal where one age is given,
        NaN where none is (months of 365.25/12 days); age_text, the age as stated. value: of a
        point, the middle of value_low and value_high; value_text, as printed; unit. words: of an
        interval: rises, high, declines … source, where (in the source), note (how it was measured;
        what was assumed).
    Raises: CplabError for an unknown quantity or species, or one that the other does not have.

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


def critical_period(t: ArrayLike, d: float, tau1: float, tau2: float, k: float) -> np.ndarray:
    """e^(−(t−d)/τ1) − k·e^(−(t−d)/τ2): a rise with τ2 and a fall with τ1, for τ1 > τ2 > 0, k > 0.

    The paper fits this to sensitivity and to synaptic density by age (Materials and Methods). It
    has no parameter for the height, which d sets with the place: the fall is e^(d/τ1) · e^(−t/τ1).

    Arguments: t, ages (...), in days or epochs; d, tau1 and tau2 in the same unit; k, a number.

    >>> float(critical_period(5, d=5, tau1=60, tau2=12, k=1.25))
    -0.25
    """
    since = np.asarray(t, dtype=float) - d
    return np.exp(-since / tau1) - k * np.exp(-since / tau2)


def decline(t: ArrayLike, normal: float, tau: float) -> np.ndarray:
    """normal · e^(−t/τ): the acuity that an eye recovers to after a closure of length t.

    Mitchell 1988 (abstract, 3) finds "a simple exponential decay"; this is the simplest: no floor.

    Arguments: t, lengths (...), in days or epochs; normal, the value at t = 0; tau in t's unit.

    >>> float(decline(0, normal=6.9, tau=100))
    6.9
    """
    return normal * np.exp(-np.asarray(t, dtype=float) / tau)


def from_sensitivity(s: ArrayLike, a: float, b: float, c: float) -> np.ndarray:
    """a · e^(c·s) + b: the trace of the Fisher information at an epoch, from the sensitivity there.

    The paper's fit of F(t) by S_k(t) (Materials and Methods, figure 4 left). F(t) is of a network
    without a deficit; S_k(t) is the rise of the final test error by a deficit from t to t + k.

    Arguments: s, sensitivities (...), fractions; a and b in the trace's unit; c in 1/s's.

    >>> float(from_sensitivity(0, a=2, b=3, c=4))
    5.0
    """
    return a * np.exp(c * np.asarray(s, dtype=float)) + b
