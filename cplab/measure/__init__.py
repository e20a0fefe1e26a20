"""Measurements of a network: Fisher information, sharpness, filters, norms, and a student's own.

Nothing here loads torch; `fisher` and `two_eyes`, which do, are imported where they are used.
"""

from cplab.measure import builtin  # noqa: F401  its functions are in MEASUREMENTS from then on
from cplab.measure.filters import orientation, power_spectrum
from cplab.measure.measurements import MEASUREMENTS, Measurement, measurement, parse_measures

__all__ = ["MEASUREMENTS", "Measurement", "measurement", "orientation", "parse_measures"]
__all__ += ["power_spectrum"]
