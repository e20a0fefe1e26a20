"""What was computed, kept safely, found quickly; and asking for it."""

from cplab import load_late

__all__, __getattr__, __dir__ = load_late(
    __name__,
    result="Result",
    store="ResultWarning find by_key every_result ship merge verify keep",
    tables="table",
    ask="run sweep collect at_hand estimate retrain say_duration",
)
