"""Rows on runs: the runs that most rows are about, what they are called in words, and a function
for each kind of row.

Of all these functions `answers` are the statements that a row answers, `run` is a run with a
deficit, whose own seed does not matter, `between` says where the number lies if the source is
right, and `remarks` are other fields of a `Row`.
"""

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from typing import Any

from cplab import quantities as q
from cplab.deficits import Deficit, canonical_name
from cplab.estimates import Estimate
from cplab.labs import lab04_trace
from cplab.runs import Run
from cplab.styles import label
from reproduction.row import ABOVE, LEVEL, Range, Row

# Seeds that nobody had looked at when a row was asked
FRESH = range(15, 30)
LATER = range(5, 30)
MORE = range(5, 10)

FIXED: dict[str, Any] = {"schedule": "fixed"}
FLAGSHIP: dict[str, Any] = {"model": "depth3", **FIXED, "recovery": 60}
WHOLE: dict[str, Any] = {"schedule": "paper", "pace": 1, "recovery": 160}
ENDS = {"course": 16, "slim": 140, "paper": 140, "fit": 24, "matched": 16}  # of a long deficit
# A row's words for the fields in which a run differs from its profile, but for those of its window
WORDS: dict[str, Callable[[Any], str]] = {
    "recovery": lambda epochs: f"with {epochs} clear epochs after it",
    "schedule": lambda name: "at a constant rate" if name == "fixed" else f"by the schedule {name}",
    "model": lambda name: f"in {name}",
    "dataset": lambda name: f"on {name}",
    "optimizer": lambda name: f"with {name.capitalize()}",
    "momentum": lambda number: f"with momentum {number:g}",
    "pace": lambda number: f"at pace {number:g}",
    "rate": lambda factor: f"at {factor:g} times the rate",
    "weight_decay": lambda number: f"with weight decay {number:g}",
    "treatments": lambda treatments: "with " + " and ".join(t.words for t in treatments),
}
RATES = {"stopped": "fresh rates", "running": "the rates that are left"}  # of a control, by clock
WINDOW = ("deficit", "onset", "length", "seed", "profile")

Cost = Callable[[Run], Estimate]  # of a deficit, in points


# Runs ---------------------------------------------------------------------------------------------


def run(
    length: int,
    onset: int = 0,
    size: str = "course",
    deficit: str | Deficit = "blur",
    **conditions: Any,
) -> Run:
    """A run with a deficit, of a profile, and with other fields of a Run if its conditions differ.

    >>> run(16, recovery=60).call()
    "cplab.run(deficit='blur', onset=0, length=16, recovery=60, profile='course', seed=0)"
    """
    return Run(canonical_name(deficit), onset, length, profile=size, **conditions)


def flagship(
    length: int = 16, onset: int = 0, deficit: str | Deficit = "blur", **conditions: Any
) -> Run:
    """A run of three blocks at a rate that never changes."""
    return Run(canonical_name(deficit), onset, length, **FLAGSHIP | conditions)


def describe(run: Run) -> str:
    """A run in words: its window, and the fields that differ from those of its profile.

    >>> describe(flagship(onset=24, recovery=240))
    '16 epochs of blur at onset 24, in three blocks, with 240 clear epochs after it'
    """
    return ", ".join([window(run), *conditions(run)])


def describe_both(run: Run, other: Run, between: str) -> str:
    """Two runs in words, with words between them. What both have in common is said once.

    >>> describe_both(flagship(48), flagship(16), "minus")
    '48 epochs of blur from birth, minus 16 epochs of blur from birth, both in three blocks'
    """
    shared = [words for words in conditions(run) if words in conditions(other)]
    words = f"{describe_without(run, shared)}, {between} {describe_without(other, shared)}"
    if shared:
        words += f", both {', '.join(shared)}"
    return words


def describe_without(run: Run, left_out: Sequence[str]) -> str:
    """A run in words, without some of its conditions."""
    remaining = [words for words in conditions(run) if words not in left_out]
    return ", ".join([window(run), *remaining])


def window(run: Run) -> str:
    """The deficit of a run in words, and when it comes."""
    start = f"at onset {run.onset}" if run.onset else "from birth"
    return f"{run.length} epochs of {label(run.deficit)} {start}"


def conditions(run: Run) -> list[str]:
    """The fields of a run that differ from those of its profile, in words."""
    usual = Run(profile=run.profile)
    of_three_blocks = Run(**FLAGSHIP, profile=run.profile)
    words = []
    if (run.model, run.schedule) == (of_three_blocks.model, of_three_blocks.schedule):
        usual = of_three_blocks
        words.append("in three blocks")
    for field in fields(Run):
        value = getattr(run, field.name)
        if field.name in WINDOW or value == getattr(usual, field.name):
            continue
        if field.name in WORDS:
            words.append(WORDS[field.name](value))
        else:
            words.append(f"{field.name} {value}")
    return words


def title(cost: Cost) -> str:
    """What a cost is called: `lost time`."""
    return cost.__name__.replace("_", " ")


def error_doublings(run: Run, clock: str = "stopped") -> Estimate:
    """log₂ of the test error after a deficit, over that without it."""
    control = run.without_window(clock)
    return lab04_trace.doublings(100 - q.accuracy(run), 100 - q.accuracy(control))


# Rows ---------------------------------------------------------------------------------------------


def harm_row(
    answers: str,
    run: Run,
    between: Range = ABOVE,
    seeds: range | None = None,
    clock: str = "stopped",
    **remarks: Any,
) -> Row:
    """A row with the harm of a run; with both clocks, where its rate falls with the epochs."""
    number = q.harm(run, clock=clock)
    description = f"harm of {describe(run)}"
    by_other_clock = None
    if run.schedule == "paper":
        other_clock = "stopped" if clock == "running" else "running"
        by_other_clock = q.harm(run, clock=other_clock)
        description += f", against a control with {RATES[clock]}"
    if seeds:
        number = number.only(seeds)
        description += f", seeds {min(seeds)} to {max(seeds)}"
    return Row(answers, description, run.profile, number, between, other=by_other_clock, **remarks)


def unharmed_row(answers: str, run: Run, seeds: range | None = None, **remarks: Any) -> Row:
    """A row with the harm of a run that the source says is left unaffected."""
    return harm_row(answers, run, LEVEL, seeds, harmless=True, **remarks)


def age_row(answers: str, run: Run, early: bool | None) -> Row:
    """A row with the harm of a run that begins early, late or from birth (None), see `Row`."""
    between = LEVEL if early is False else ABOVE
    return harm_row(answers, run, between, early=early)


def cost_row(
    answers: str, run: Run, between: Range, cost: Cost = q.equal_training_loss, **remarks: Any
) -> Row:
    """A row with what a run loses against equal training, or another of its costs."""
    description = f"{title(cost)} of {describe(run)}"
    return Row(answers, description, run.profile, cost(run), between, **remarks)


def over_blur_row(answers: str, run: Run) -> Row:
    """A row with the points after a deficit above those after as much blur."""
    number = q.advantage(run, replace(run, deficit="blur"))
    return Row(answers, f"{describe(run)}, above as much blur", run.profile, number, ABOVE)


def difference_row(
    answers: str,
    run: Run,
    other: Run,
    between: Range = ABOVE,
    cost: Cost = q.harm,
    seeds: range | None = None,
    **remarks: Any,
) -> Row:
    """A row with the points that a run costs above those that another costs."""
    number = cost(run) - cost(other)
    description = f"{title(cost)} of {describe_both(run, other, 'minus that of')}"
    if seeds:
        number = number.only(seeds)
        description += f", seeds from {seeds[0]}"
    return Row(answers, description, run.profile, number, between, **remarks)
