"""Lab 03: the runs of each kind of deficit, of darkness and of digits."""

from dataclasses import replace

from cplab import results
from cplab.runs import Run
from cplab.studies import sentences
from cplab.studies.sentences import after

__all__ = ["DARK", "FOUR", "digits", "train_small"]

FOUR = ("flip", "permute", "blur", "noise")
DARK = ("noise", "fresh_noise", "blank")


def digits(profile: str) -> Run:
    """A run of the fully connected network on digits, smaller than the paper's."""
    if profile == "ci":
        return Run(profile="ci", model="fc", schedule="fixed")
    return Run(profile="mnist")


def train_small(length: int) -> None:
    """Train two seeds of the runs of lab 03 in the profile `ci`, which takes seconds."""
    runs = [after(kind, length, "ci") for kind in (*FOUR, *DARK[1:])]
    small = digits("ci")
    sentences.train_small(*runs, *(replace(small, deficit="blur", length=n) for n in (1, 2)))
    blurred = after("blur", length, "ci")
    for run in (blurred, blurred.newborn()):
        seeds = [replace(run, seed=seed) for seed in (0, 1)]
        results.at_hand(seeds, measure={"blurred": (run.epochs - 1,)})
