"""Results: how they are asked for, trained where they are missing, kept and found."""

from cplab import load_late

__all__, __getattr__, __dir__ = load_late(
    __name__,
    result="Result",
    experiments="experiment",
    store="ResultWarning find by_key every_result ship merge verify keep",
    api="run sweep collect at_hand estimate retrain format_duration",
    tables="table",
)
