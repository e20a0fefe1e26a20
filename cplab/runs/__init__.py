"""Runs: all that decides a result, epoch by epoch, and the task that a network learns."""

from cplab.runs.run import (
    CLEAR,
    CLOCKS,
    DEVICES,
    DISTANCES,
    FLAGSHIP,
    LONGEST,
    MEASURED,
    SEVERAL,
    DeficitName,
    Epochs,
    Run,
    Window,
)
from cplab.runs.steps import Event, Step
from cplab.specs.profiles import Profile, ProfileName

__all__ = [
    "CLEAR",
    "CLOCKS",
    "DEVICES",
    "DISTANCES",
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
