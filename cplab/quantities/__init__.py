"""Quantities: harm, lost time, accuracy and others, estimated over seeds from results.

Accuracies are in percent, and their differences in points. A deficit costs points against equal
training, which has as many epochs, all clear. They are the sum of *lost time*, which a network that
skips the deficit's epochs loses as well, and *harm*, which only the deficit does. Nothing is
trained here: without results an Estimate has no seeds, and an array has no numbers.

Seeds 0 to 49 count, here and in all figures, and then further ones until ten in a row have no
result (`counted_seeds`).
"""

from cplab.base.errors import Missing
from cplab.estimates import Estimate
from cplab.quantities.quantities import Measurable as Measurable
from cplab.quantities.quantities import (
    accuracy,
    advantage,
    behind,
    control_of,
    each_result,
    each_seed,
    equal_training_loss,
    every_length,
    gain_over_newborn,
    harm,
    lack,
    lost_time,
    measured,
    quantity,
    result,
)
from cplab.quantities.quantities import accuracy_until as accuracy_until
from cplab.quantities.quantities import as_estimate as as_estimate
from cplab.quantities.quantities import harm_from_results as harm_from_results
from cplab.quantities.quantities import longest_clear as longest_clear
from cplab.results.seeds import counted_seeds, shipped_only, trained_places

__all__ = [
    "Estimate",
    "Missing",
    "accuracy",
    "advantage",
    "behind",
    "control_of",
    "counted_seeds",
    "each_result",
    "each_seed",
    "equal_training_loss",
    "every_length",
    "gain_over_newborn",
    "harm",
    "lack",
    "lost_time",
    "measured",
    "quantity",
    "result",
    "shipped_only",
    "trained_places",
]
