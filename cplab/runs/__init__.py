"""Runs: all that decides a result, epoch by epoch, and the task that a network learns in it."""

from cplab.runs.run import (
    CLEAR,
    CLOCKS,
    DEVICES,
    FLAGSHIP,
    LONGEST,
    MEASURED,
    SEVERAL,
    DeficitName,
    Epochs,
    Event,
    Run,
    Step,
    Window,
)
from cplab.specs.profiles import Profile, ProfileName

__all__ = [
    "CLEAR",
    "CLOCKS",
    "DEVICES",
    "FLAGSHIP",
    "LONGEST",
    "MEASURED",
    "SEVERAL",
    "DeficitName",
    "Epochs",
    "Event",
    "Profile",
    "ProfileName",
    "Run",
    "Step",
    "Window",
]
