"""What labs 01, 06 and 09 still take from lab 02."""

from dataclasses import replace
from typing import Any

from cplab.quantities import harm
from cplab.runs import FLAGSHIP, Run
from cplab.show import Figure, clear_epochs, harm_curves

__all__ = ["clear_epochs", "early_and_late", "flagship", "harm", "harm_curves", "overview"]


def flagship(profile: str = "course") -> dict[str, Any]:
    """The fields of the runs of lab 02: three blocks, and a learning rate that never changes.

    >>> Run("blur", length=16, **flagship()).epochs
    76
    """
    how = {"model": FLAGSHIP.family, "schedule": FLAGSHIP.schedule, "profile": profile}
    return {**how, "recovery": 6 if profile == "ci" else FLAGSHIP.recovery}


def early_and_late(early: Run, late: Run) -> str:
    """A sentence that compares the harm of the same window early and late."""
    return (
        f"From birth {early.length} epochs of blur leave {harm(early)} points of harm; "
        f"after {late.onset} clear epochs the same blur leaves {harm(late)}."
    )


def overview() -> Figure:
    """The lab's finding in one figure: the same blur early and late, and its harm as a bracket."""
    early = Run("blur", length=16, **flagship())
    late = replace(early, onset=24)
    words = "blurred from birth", f"blurred after {late.onset} clear epochs"
    return clear_epochs(dict(zip(words, (early, late), strict=True)), height=400)
