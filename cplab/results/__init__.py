"""Results: asking for them, training what is missing, keeping and finding them."""

from cplab.results.api import at_hand, run, sweep
from cplab.results.declare import experiment
from cplab.results.duration import format_duration
from cplab.results.requests import Request
from cplab.results.result import Result
from cplab.results.store import by_key, every_result, find, keep
from cplab.results.tables import results_table

__all__ = [
    "Request",
    "Result",
    "at_hand",
    "by_key",
    "every_result",
    "experiment",
    "find",
    "format_duration",
    "keep",
    "results_table",
    "run",
    "sweep",
]
