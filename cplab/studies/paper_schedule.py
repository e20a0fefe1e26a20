"""Lab 02b: the paper's schedule, whose learning rate falls with every epoch, and its two controls.

Under it a deficit that ends late is followed by small steps, whatever it was. A control can start
fresh, at the first rate, or *oversleep*: nothing is trained until the deficit ends, and then it has
the rates that are left.
"""

from collections.abc import Sequence
from typing import Any, Literal

import pandas as pd
from bokeh.plotting import figure

import cplab
from cplab import quantities, show
from cplab.runs import Run
from cplab.show import bars, label, means, over_epochs
from cplab.show.theme import EQUAL, reference_line
from cplab.statistics import Contrast
from cplab.studies.sentences import rounded, seeds, side, spread

__all__ = ["apart", "by_size", "flip_under", "fresh_and_overslept", "harm_table", "late_flip"]
__all__ += ["mixed", "paces", "slim_curves", "slim_table", "sooner_gone", "still", "until"]
__all__ += ["overslept", "removal", "waiting", "ways", "ways_flip"]

Schedule = Literal["paper", "fixed", "recovery"]
WAYS: dict[str, dict[str, Any]] = {
    "as in the course": {},
    "no momentum": {"momentum": 0},
    "images that stand still": {"augment": False},
}
FOUR = ("blur", "noise", "flip", "permute")


def until(kind: str, end: int, pace: int = 1, profile: str = "course", **fields: Any) -> Run:
    """A deficit from birth until one of the paper's epochs, and 160 of its epochs of recovery.

    Arguments: pace, how many of the paper's epochs one epoch stands for.

    >>> until("flip", 140, pace=10).length
    14
    """
    fields = {"schedule": "paper", "pace": pace, "profile": profile, **fields}
    return Run(kind, 0, end // pace, 160 // pace, **fields)


def fresh(run: Run) -> Contrast:
    """Harm against a control that starts at the first rate."""
    return quantities.harm(run)


def overslept(run: Run) -> Contrast:
    """Harm against a control that has the rates which are left."""
    return quantities.harm(run, clock="running")


def flip_under(schedule: Schedule, length: int, profile: str) -> str:
    """Whether a flip leaves a mark under a schedule, beside the network that starts fresh."""
    run = Run("flip", length=length, profile=profile, schedule=schedule)
    return side(fresh(run), "yes", "that cannot be told", "no: it ends above one that starts fresh")


def removal(schedule: Schedule, profile: str, lengths: Sequence[int]) -> list[figure]:
    """The removal curves of blur and flip under a schedule, and two of its rates."""
    like = Run(profile=profile, schedule=schedule)
    runs = [Run("blur", length=n, profile=profile, schedule=schedule) for n in lengths]
    curves = show.removal(like, ("blur", "flip"), width=490, height=330)
    curves.title.text = "A late end costs, whatever the deficit was"
    if schedule != "paper":
        curves.title.text = "Blur costs, a flip teaches"
    return [curves, show.rates(runs, width=360, height=330)]


def late_flip(lengths: Sequence[int], profile: str) -> str:
    """The harm of a long flip under two schedules, in one sentence."""
    runs = [
        Run("flip", length=lengths[-1], profile=profile, schedule=name)
        for name in ("paper", "recovery")
    ]
    falls, held = (spread(fresh(run)) for run in runs)
    return (
        f"The same {lengths[-1]} epochs upside down do {falls} points of harm where the rate falls "
        f"meanwhile, and {held} where it is held."
    )


def fresh_and_overslept(end: int, kinds: Sequence[str] = FOUR) -> figure:
    """Harm until one of the paper's epochs, against both controls, two bars a deficit."""
    values: dict[str, Contrast] = {}
    for kind in kinds:
        run = until(kind, end)
        values |= {f"{label(kind)}: fresh": fresh(run), f"{label(kind)}: overslept": overslept(run)}
    known = {words: points for words, points in values.items() if seeds(points)}
    fig = bars(known, "harm, points", percent=False, width=860, height=350)
    fig.title.text = f"Harm until epoch {end}, against two controls"
    reference_line(fig, "width", EQUAL.colour)
    return fig


def mixed(end: int) -> str:
    """The deficits that harm against both controls, and against one, in one sentence."""
    both = [
        label(kind)
        for kind in FOUR
        if side(fresh(until(kind, end)), True, False, False)
        and side(overslept(until(kind, end)), True, False, False)
    ]
    if not both:
        return f"Until epoch {end} no deficit harms against both controls: the rate decides."
    return f"Until epoch {end}, {' and '.join(both)} harm{'s' * (len(both) == 1)} against both."


def harm_table(ends: Sequence[int] = (60, 140)) -> pd.DataFrame:
    """Harm against both controls, in points."""
    rows = {
        (label(kind), end): {
            "fresh": spread(fresh(until(kind, end))),
            "overslept": spread(overslept(until(kind, end))),
            "seeds": seeds(fresh(until(kind, end))),
        }
        for kind in FOUR
        for end in ends
    }
    return pd.DataFrame(rows).T.rename_axis(["deficit", "until epoch"])


def paces(end: int = 140, kinds: Sequence[str] = ("blur", "flip")) -> figure:
    """Harm against the control that starts fresh, by how many of the paper's epochs are one."""
    groups = {kind: {n: fresh(until(kind, end, n)) for n in (10, 5, 2, 1)} for kind in kinds}
    words = ("epochs of the paper in one of ours", "harm, points")
    how = {"percent": False, "log": True, "legend": "right", "width": 700, "height": 340}
    return means(groups, words, title="Squeezed time makes a flip look worse", **how)


def apart(kind: str, end: int = 140) -> Contrast:
    """Points of harm at ten of the paper's epochs in one above those at one in one."""
    return fresh(until(kind, end, 10)) - fresh(until(kind, end, 1))


def by_size() -> str:
    """What squeezing does to a flip and to blur, in one sentence."""
    changes = [
        f"a flip until 140 look {side(apart('flip'), 'worse', 'no different', 'milder')}",
        f"blur {side(apart('blur'), 'worse', 'no different', 'milder')}",
    ]
    return f"Squeezing ten of the paper's epochs into one makes {' and '.join(changes)}."


def ways() -> figure:
    """How far a flip until 140 ends above blur, in each way to train."""
    values = {words: quantities.advantage(*pair(fields)) for words, fields in WAYS.items()}
    fig = bars(values, "flip above blur, points", percent=False, width=560, height=340)
    fig.title.text = "The kind of deficit matters in all three ways"
    return fig


def pair(fields: dict) -> tuple[Run, Run]:
    """A flip and blur until 140, trained in one way."""
    return until("flip", 140, **fields), until("blur", 140, **fields)


def ways_flip() -> int:
    """In how many of the ways a flip ends above blur."""
    each = [quantities.advantage(*pair(fields)) for fields in WAYS.values()]
    return sum(side(points, 1, 0, 0) for points in each)


def slim(kind: str, end: int) -> Run:
    """A run of the largest size that was trained: 50,000 images at half the paper's pixels."""
    return Run(kind, length=end, profile="slim") if end else Run(profile="slim")


def slim_curves() -> figure:
    """Accuracy epoch by epoch at that size, after each deficit until 140."""
    runs = {"from birth, clear": slim("none", 0)}
    runs |= {f"{label(kind)} until 140": slim(kind, 140) for kind in FOUR}
    groups = {
        words: [r for seed in range(5) if (r := cplab.find(Run(**fields(run, seed))))]
        for words, run in runs.items()
    }
    fig = over_epochs(groups, "test_accuracy", width=860, height=350)
    fig.title.text = "All 50,000 images: blur and noise leave a gap, flip and labels a small one"
    return fig


def fields(run: Run, seed: int) -> dict:
    """The fields of a `slim` run, with a seed."""
    return {"deficit": run.deficit, "length": run.length, "profile": run.profile, "seed": seed}


def slim_table() -> pd.DataFrame:
    """Harm and lost time at that size, in points; of one seed there is no interval."""
    ends = {"blur": (20, 40, 60, 100, 140), "noise": (60, 140), "flip": (60, 140)}
    rows = {
        (label(kind), end): {
            "harm": spread(fresh(slim(kind, end))),
            "lost time": spread(quantities.lost_time(slim(kind, end))),
            "seeds": seeds(fresh(slim(kind, end))),
        }
        for kind, some in (ends | {"permute": (140,)}).items()
        for end in some
    }
    return pd.DataFrame(rows).T.rename_axis(["deficit", "until epoch"])


def still(end: int = 140) -> str:
    """The harm of blur and of a flip at that size, in one sentence."""
    blur, flip = (rounded(fresh(slim(kind, end))) for kind in ("blur", "flip"))
    return (
        f"Beside one that starts fresh, blur until {end} costs about {blur} points and a flip "
        f"about {flip}; part of both is the rate that is left."
    )


def waiting(length: int, profile: str) -> figure:
    """Lost time and harm of blur as the recovery, whose rate falls to zero, gets longer."""
    base = 3 if profile == "ci" else 15
    runs = [
        Run("blur", length=length, recovery=times * base, profile=profile)
        for times in (1, 2, 4, 8, 16)
    ]
    groups = {
        words: {run.recovery: of(run) for run in runs}
        for words, of in (("lost time", quantities.lost_time), ("harm", quantities.harm))
    }
    words = ("epochs of recovery", "points")
    how = {"percent": False, "log": True, "legend": "right", "width": 700, "height": 340}
    return means(groups, words, title="Lost time goes first, harm after it", **how)


def sooner_gone(length: int, profile: str) -> str:
    """What is left of lost time and harm after 60 epochs of recovery and after 240."""
    long = Run("blur", length=length, recovery=240, profile=profile)
    middle = Run("blur", length=length, recovery=60, profile=profile)
    time = quantities.lost_time(middle)
    return (
        f"After 60 epochs {spread(time)} points of lost time are left and {spread(fresh(middle))} "
        f"of harm; after 240, {spread(fresh(long))} of harm."
    )
