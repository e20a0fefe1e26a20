"""Measurements of a network: Fisher information, sharpness, norms, and a student's own.

Nothing here loads torch; `fisher` and `two_eyes`, which do, are imported where they are used.
"""

from cplab.measure import builtin  # noqa: F401  its functions are in MEASUREMENTS from then on
from cplab.measure.measurements import MEASUREMENTS, Measurement, measurement, parse_measures

__all__ = ["MEASUREMENTS", "Measurement", "measurement", "parse_measures"]
