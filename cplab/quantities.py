"""The quantities of the field: estimates over seeds, read from results.

Accuracies are percentages and their differences points. A window's loss against equal training (as
many epochs, all clear) is the sum of *lost time*, which a network without training in the window
loses as well, and *harm*, which the deficit does. Nothing is trained here: what has no result gives
an Estimate without seeds, or an array without numbers.
"""

import inspect
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import replace
from functools import lru_cache, wraps
from typing import Any

import numpy as np

from cplab import estimates as estimates
from cplab.errors import CplabError, require, whole
from cplab.estimates import SEEDS, Estimate, Missing, Term
from cplab.results import Result, find, store
from cplab.runs import CLEAR, Run
from cplab.specs import Spec, check_spec, explained

__all__ = ["Estimate", "Missing", "accuracy", "advantage", "each_result", "each_seed"]
__all__ += ["equal_training_loss", "every_length", "gain_over_newborn", "harm", "lost_time"]
__all__ += ["quantity", "result", "shipped_only", "trained_places"]

PLACE = ("deficit", "onset", "length", "recovery", "seed")  # the fields that vary in one setting
SETTING = tuple(name for name in store.RUN_COLUMNS if name not in PLACE)
Measure = str | tuple[str, ...] | dict[str, Any]  # what was measured, as in cplab.run


# Reading results --------------------------------------------------------------------------------


def quantity(of: Callable[..., float]) -> Callable[..., Estimate]:
    """Make a function that reads a number from a spec's result give an Estimate over seeds: a
    decorator. A seed counts as missing where the function raises Missing or gives NaN.

    >>> @quantity
    ... def last_loss(run):
    ...     return result(run).curve[-1]["train_loss"]
    >>> last_loss(Run("blur", length=8)) - last_loss(Run())
    0.0 ± 0.0 (20 and 30 seeds)
    """
    signature = inspect.signature(of)

    @wraps(of)
    def read(*args: Any, **options: Any) -> Estimate:
        bound = signature.bind(*args, **options)
        bound.apply_defaults()
        (spec, *rest), how = bound.args, bound.kwargs
        numbers = {}
        for seed in SEEDS:
            with suppress(Missing):
                seeded = with_seed(check_spec(spec), seed)
                numbers[seed] = estimates.one_number(of, seeded, *rest, **how)
        return estimate_of(spec, numbers, results_by_seed(spec), (of, *rest, *sorted(how.items())))

    return read


def estimate_of(
    spec: Any, numbers: Mapping[int, float], results: Mapping[int, Result], name: tuple
) -> Estimate:
    """Estimate a number of a spec, {seed: number}, read from its results; name: of the number,
    equal for equal ones."""
    like = with_seed(spec, 0)
    known = {seed: number for seed, number in numbers.items() if not np.isnan(number)}
    machines = {seed: one.device for seed, one in results.items()}
    return Estimate({Term((like, *name), shared_beginning(like), known, machines): 1.0})


@lru_cache(maxsize=4096)  # the report calls this tens of thousands of times
def shared_beginning(spec: Any) -> Hashable:
    """A key of what specs share: their training, or the search that they come from. A run in
    float32 counts as beginning like the same one in bfloat16, up to rounding."""
    if isinstance(spec, Run):
        spec = replace(spec, arithmetic="native")
        return spec.prefix_key, spec.timeline[0]
    return spec.shares


@lru_cache(maxsize=2**15)  # checking the fields of a new spec takes half a millisecond
def with_seed(spec: Any, seed: int) -> Any:
    """The same run or experiment with another seed."""
    return spec.with_seed(seed)


@lru_cache(maxsize=2**15)
def with_onset(run: Run, onset: int) -> Run:
    """The same run with another onset."""
    return replace(run, onset=onset)


_shipped_only: ContextVar[bool] = ContextVar("shipped_only", default=False)


@contextmanager
def shipped_only() -> Iterator[None]:
    """A context in which only shipped results count, so that numbers are the same on every machine.

    >>> with shipped_only():
    ...     print(accuracy(Run()))
    58.7 ± 0.3
    """
    before = _shipped_only.set(True)
    try:
        yield
    finally:
        _shipped_only.reset(before)


def look_up(spec: Any, measure: Measure = ()) -> Result | None:
    """The result of a spec that counts, with these measurements, or None."""
    stored = find(spec, measure)
    return stored if stored and (stored.source == "shipped" or not _shipped_only.get()) else None


def result(spec: Any, measure: Measure = ()) -> Result:
    """The result of a spec, shipped or live, with these measurements, for functions of a quantity.
    Raises: Missing, which such a function need not catch.

    >>> result(Run()).source
    'shipped'
    """
    if stored := look_up(spec, measure):
        return stored
    what = f"{spec.call()}{f' with {measure}' if measure else ''}"
    raise Missing(f"no result of {what}: compute it with cplab.sweep")


def results_by_seed(spec: Any, measure: Measure = ()) -> dict[int, Result]:
    """The results of a spec that hold these measurements, by seed; none of what is no spec."""
    if not isinstance(spec, Spec):
        return {}
    found = {seed: look_up(with_seed(spec, seed), measure) for seed in SEEDS}
    return {seed: stored for seed, stored in found.items() if stored}


def each_result(spec: Any, measure: Measure = ()) -> list[Result]:
    """The results of all seeds of a spec that hold these measurements.

    >>> len(each_result(Run("blur", length=8))) > 5
    True
    """
    return [*results_by_seed(spec, measure).values()]


def each_seed(of: Callable, /, *specs: Spec, **options: Any) -> np.ndarray:
    """What a function of specs gives for each seed that has all results: (seeds,), or (seeds, n)
    for n numbers each; without those seeds for which no number is known.

    Arguments: of, a function of specs; specs, whose own seed does not matter; options, of it.

    >>> each_seed(lambda run: result(run).accuracy, Run(onset=16)).shape
    (20,)
    """
    rows = []
    for seed in SEEDS:
        with suppress(Missing):
            row = np.array(of(*(with_seed(spec, seed) for spec in specs), **options), dtype=float)
            if not np.isnan(row).all():
                rows.append(row)
    return np.array(rows, dtype=float)


def trained_places(like: Run) -> set[tuple]:
    """Deficit, onset, length, recovery and seed, of SEEDS, of all runs with a result, shipped or
    live, that agree with this run in every other field. (The controls of a run with further windows
    or treatments differ in those fields.)

    >>> ("blur", 0, 8, 15, 0) in trained_places(Run())
    True
    """
    key = setting_of(store.run_columns(like))
    results = () if _shipped_only.get() else store.live_results("Run")
    live = (store.run_columns(result.spec) for result in results)
    own = {tuple(row[n] for n in PLACE) for row in live if setting_of(row) == key}
    return {p for p in own | shipped_places(store.archive()).get(key, set()) if p[-1] in SEEDS}


@lru_cache(maxsize=2)
def shipped_places(archive: store.Archive) -> dict[tuple, set[tuple]]:
    """The places of the shipped runs of each setting; pandas is not needed."""
    found: dict[tuple, set[tuple]] = defaultdict(set)
    for row in archive.columns(["kind", "version", *store.RUN_COLUMNS]).to_pylist():
        if (row["kind"], row["version"]) == ("Run", Run.version):
            found[setting_of(row)].add(tuple(row[name] for name in PLACE))
    return found


def setting_of(row: Mapping[str, Any]) -> tuple:
    """A run's columns but for its place: equal for the runs of one setting."""
    return tuple(row[name] for name in SETTING)


def every_length(run: Run) -> list[Run]:
    """The same run with each length of the deficit that has a result, shortest first.

    >>> [run.length for run in every_length(Run("blur", length=8))]
    [2, 4, 8, 12, 16, 24]
    """
    place = run.deficit, run.onset, run.recovery
    lengths = {n for kind, at, n, after, _ in trained_places(run) if (kind, at, after) == place}
    return [replace(run, length=length) for length in sorted(lengths - {0})]


# Accuracy ---------------------------------------------------------------------------------------


def accuracy(spec: Any) -> Estimate:
    """The final accuracy on clear test images, in percent. Where the rate never changes it is the
    mean of the last five epochs (`cplab.results.Result.accuracy`).

    >>> accuracy(Run())
    58.7 ± 0.3 (30 seeds)
    """
    return accuracy_of(check_spec(spec), results_by_seed(spec))


def accuracy_of(
    spec: Any, results: Mapping[int, Result], end: int | None = None, recovery: int = 0
) -> Estimate:
    """Estimate the final accuracy in percent of results of a spec, by seed; with an `end`, as if
    these runs had ended at this epoch, after so many epochs of recovery."""
    if end is None:
        numbers = {seed: 100 * one.accuracy for seed, one in results.items()}
        return estimate_of(spec, numbers, results, ("accuracy",))
    long = {seed: one for seed, one in results.items() if len(one.curve) >= end > 0}
    numbers = {seed: 100 * one.mean_accuracy(end, recovery) for seed, one in long.items()}
    return estimate_of(spec, numbers, results, ("accuracy", end, recovery))


def measured(value: Any) -> Estimate:
    """The estimate of a Run's accuracy in percent, or of numbers, one a seed."""
    if isinstance(value, Run):
        return accuracy(value)
    return estimates.estimate([value] if isinstance(value, int | float) else value)


def advantage(spec: Any, other: Any) -> Estimate:
    """The points of accuracy by which one spec exceeds another.

    >>> advantage(Run(deficit="flip", length=16), Run(deficit="blur", length=16))
    9.1 ± 0.7 (10 seeds)
    """
    return accuracy(spec) - accuracy(other)


def equal_training_loss(run: Run) -> Estimate:
    """Points lost against equal training: the paper's sensitivity (figure 1 bottom). It is the sum
    of `lost_time` and `harm`.

    >>> equal_training_loss(Run(deficit="blur", length=8))
    7.0 ± 0.5 (20 seeds)
    """
    return advantage(check_spec(run).equal_training(), run)


def lost_time(run: Run, clock: str = "stopped") -> Estimate:
    """Points that the window's epochs would have brought without the deficit: equal training minus
    the run without the window (see `harm`).

    >>> lost_time(Run(deficit="blur", length=8))
    5.2 ± 0.3 (20 seeds)
    """
    return equal_training_loss(run) - harm(run, clock=clock)


def harm(run: Run, after: int | None = None, clock: str = "stopped") -> Estimate:
    """Points that the deficit costs beyond lost time: the same run with the window cut out (at
    birth the newborn) minus this one, after as many clear epochs.

    Arguments: after, clear epochs after the deficit, all of the recovery if not given; others only
        where the rate never changes, since there a run begins with all shorter ones. clock, during
        the cut window under the schedule `paper`: stopped, so that recovery begins with earlier
        rates, or running.
    Raises: CplabError for a run whose windows are all in `windows`, or an `after` it does not have.

    >>> harm(Run(deficit="blur", onset=24, length=8))
    0.2 ± 0.3 (10 seeds)
    >>> harm(Run("blur", length=16, recovery=60, model="depth3", schedule="fixed"), after=30)
    5.3 ± 0.4 (20 seeds)
    """
    if check_spec(run).windows and not run.length:
        raise CplabError(f"{run.call()} has its deficit in windows: give deficit, onset, length")
    control = without_window(run, clock)
    if run.schedule != "fixed":
        line = f"after {after} cannot be read under the schedule {run.schedule!r}"
        require(after in (None, run.recovery), f"{line}: its rate changes, so leave it out")
        return advantage(control, run)
    after = run.recovery if after is None else whole("after", after, 1, run.recovery)
    return harm_of(run, after, results_by_seed(run), longest_clear(control))


def harm_of(
    run: Run, after: int, own: Mapping[int, Result], clear: Mapping[int, Result]
) -> Estimate:
    """Harm from results by seed: of this run, or longer ones, and of clear runs."""
    control = accuracy_of(without_window(run), clear, run.onset + after, after)
    if after == run.recovery and all(len(one.curve) == run.epochs for one in own.values()):
        return control - accuracy_of(run, own)
    return control - accuracy_of(run, own, run.end + after, after)


@lru_cache(maxsize=4096)
def without_window(run: Run, clock: str = "stopped") -> Run:
    """`Run.without_window`, made once: checking the fields of a new run takes long."""
    return run.without_window(clock)


def longest_clear(control: Run) -> dict[int, Result]:
    """Results that contain a clear run at a rate that never changes, by seed: of the longest one
    with this recovery."""
    if control.treatments or control.windows:
        return results_by_seed(control)
    found: dict[int, Result] = {}
    for kind, onset, _, recovery, seed in sorted(trained_places(control), key=lambda p: -p[1]):
        if (kind, recovery) == (CLEAR, control.recovery) and seed not in found:
            stored = look_up(with_onset(with_seed(control, seed), onset))
            found |= {seed: stored} if stored else {}
    return found


def gain_over_newborn(run: Run) -> Estimate:
    """Points above the newborn, which has the recovery epochs alone. At onset 0 this is minus the
    harm; later it includes what was learned before the window.

    >>> gain_over_newborn(Run(deficit="blur", length=16))
    −2.9 ± 0.6 (10 and 30 seeds)
    """
    return advantage(check_spec(run), run.newborn())


globals().update(explained(globals()))
