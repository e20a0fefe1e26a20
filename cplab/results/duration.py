"""How long training takes: before it begins by the size of the experiment, then by its pace."""

import time
from collections.abc import Iterable, Sequence

from cplab.engine.tree import plan
from cplab.engine.workers import usable_cores
from cplab.runs import Run
from cplab.specs import Spec
from cplab.specs.experiments import Experiment
from cplab.specs.profiles import PROFILES

SHORT_TIME = 5.0  # seconds below which the start takes longer than the training
SOON = 1.0  # seconds of training that tell nothing of the pace yet


def format_duration(seconds: float) -> str:
    """Say a time in words.

    >>> format_duration(1.2), format_duration(9000)
    ('about 1 second', 'about 2.5 hours')
    """
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 1.5 * length:
            return f"about {seconds / length:.2g} {unit}"
    plural = "" if round(seconds) == 1 else "s"
    return f"about {seconds:.0f} second{plural}"


def count_epochs(specs: Iterable[Run | Experiment]) -> int:
    """How many epochs are trained for specs, those that runs share once; an experiment is one.

    >>> count_epochs([Run("blur", 4, 8), Run("blur", 4, 12)])
    46
    """
    return sum(root.epochs for root in plan(specs))


def usual_seconds(specs: Iterable[Spec]) -> float | None:
    """The seconds that training usually takes, with all cores; None for networks of another width
    than their profile's, and for experiments: only training them tells.

    >>> usual_seconds([Run(seed=99)]), usual_seconds([Run(model="allcnn-48", seed=99)])
    (30.0, None)
    """
    unique = [*dict.fromkeys(specs)]
    runs = [spec for spec in unique if isinstance(spec, Run)]
    if len(runs) < len(unique):
        return None
    seconds = 0.0
    longest = 0.0  # that one core takes for what follows on one another
    for root in plan(runs):
        profile = PROFILES[root.spec.profile]
        if not root.spec.model.endswith(f"-{profile.width}"):
            return None
        seconds += root.epochs * profile.epoch_seconds
        longest = max(longest, root.longest * profile.epoch_seconds)
    return max(longest, seconds / usable_cores())


def usual_time(specs: Sequence[Spec]) -> str:
    """Say how long training usually takes: nothing if that is not known.

    >>> usual_time([Run(seed=99)])
    'about 30 seconds on one core'
    """
    seconds = usual_seconds(specs)
    if seconds is None:
        return ""
    cores = max(1, min(usable_cores(), len({*specs})))
    usual = format_duration(seconds) if seconds >= SHORT_TIME else "a few seconds"
    return f"{usual} on {f'{cores} cores' if cores > 1 else 'one core'}"


def time_left(done: int, epochs: int, began: float | None) -> str:
    """Say how long the rest of a training takes at the pace so far; nothing where there is none.

    The pace is that of all epochs, since reports come in bursts and the last few say nothing.

    Arguments:
        done: epochs that are trained.
        epochs: of all.
        began: when the first of them ended, in seconds of time.monotonic().

    >>> time_left(11, 61, time.monotonic() - 10)
    'about 50 seconds left'
    """
    elapsed = 0.0 if began is None else time.monotonic() - began
    if elapsed < SOON or not 1 < done < epochs:
        return ""
    seconds = (epochs - done) * elapsed / (done - 1)
    return f"{format_duration(max(seconds, 1.0))} left"


def progress_in_words(done: int, epochs: int, began: float | None) -> str:
    """Say how many epochs are trained, and how long the rest takes; arguments as of `time_left`.

    >>> progress_in_words(0, 2000, None)
    '0 of 2,000 epochs'
    """
    count = f"{done:,} of {epochs:,} epochs"
    left = time_left(done, epochs, began)
    return f"{count}: {left}" if left else count
