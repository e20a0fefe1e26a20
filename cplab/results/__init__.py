"""Results: asking for them, training what is missing, keeping and finding them."""

from cplab.results.api import (
    at_hand,
    collect,
    format_duration,
    run,
    sweep,
    train_again,
    training_seconds,
)
from cplab.results.experiments import experiment
from cplab.results.requests import Request, ask
from cplab.results.result import Result
from cplab.results.store import by_key, every_result, find, keep, merge, ship, verify
from cplab.results.tables import results_table

__all__ = [
    "Request",
    "Result",
    "ask",
    "at_hand",
    "by_key",
    "collect",
    "every_result",
    "experiment",
    "find",
    "format_duration",
    "keep",
    "merge",
    "results_table",
    "run",
    "ship",
    "sweep",
    "train_again",
    "training_seconds",
    "verify",
]
