"""Measurements of a network: Fisher information, sharpness, filters, norms, and a student's own.

This module imports no torch; the functions below are loaded when they are first used.
"""

from cplab import load_late
from cplab.measure import builtin  # noqa: F401  its functions are in MEASUREMENTS from then on
from cplab.measure.measurements import MEASUREMENTS, Measurement, measurement, parse_measures

__all__, __getattr__, __dir__ = load_late(
    __name__,
    fisher="trace diagonal sampled_trace log_determinant information jacobian sharpness",
    filters="orientation power_spectrum",
)
__all__ += ["MEASUREMENTS", "Measurement", "measurement", "parse_measures"]
