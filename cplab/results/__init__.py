"""Results: asking for them, training what is missing, keeping and finding them."""

from cplab.results.api import at_hand, collect, estimate, format_duration, retrain, run, sweep
from cplab.results.experiments import experiment
from cplab.results.result import Result
from cplab.results.store import by_key, every_result, find, keep, merge, ship, verify
from cplab.results.tables import table

__all__ = [
    "Result",
    "at_hand",
    "by_key",
    "collect",
    "estimate",
    "every_result",
    "experiment",
    "find",
    "format_duration",
    "keep",
    "merge",
    "retrain",
    "run",
    "ship",
    "sweep",
    "table",
    "verify",
]
