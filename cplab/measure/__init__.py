"""Measurements of a network: Fisher information, sharpness, norms, and students' own.

Importing this does not load torch; `fisher`, which does, is imported where it is used.
"""

from cplab.measure import builtin  # noqa: F401  this fills MEASUREMENTS
from cplab.measure.measurements import MEASUREMENTS, Measurement, measurement, parse_measures
from cplab.measure.measurements import Measure as Measure
from cplab.measure.measurements import Measures as Measures

__all__ = ["MEASUREMENTS", "Measurement", "measurement", "parse_measures"]
