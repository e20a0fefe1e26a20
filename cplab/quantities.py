"""The quantities of the field: estimates over seeds, read from results.

Accuracies are percentages, and their differences points. What a window costs against equal training
(as many epochs, all clear) is the sum of *lost time* and *harm*. A network that skips the window
loses the time as well; the deficit does the harm. Nothing is trained here: without results an
Estimate has no seeds, and an array has no numbers.

Seeds 0 to 49 count, here and in all figures, and later ones until ten in a row have no result
(`counted_seeds`).
"""

import inspect
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import replace
from functools import lru_cache, wraps
from itertools import count
from typing import Any, TypeVar, cast

import numpy as np

from cplab import estimates as estimates
from cplab import lacking
from cplab.errors import CplabError, whole
from cplab.estimates import Estimate, Missing, Term
from cplab.measure import Measure
from cplab.moved import say_where_names_went
from cplab.results import Result, find, rows, store
from cplab.runs import CLEAR, Run
from cplab.specs import Spec, check_spec
from cplab.specs.experiments import Experiment

__all__ = [
    "Estimate",
    "Missing",
    "accuracy",
    "advantage",
    "counted_seeds",
    "each_result",
    "each_seed",
    "equal_training_loss",
    "every_length",
    "gain_over_newborn",
    "harm",
    "lost_time",
    "quantity",
    "result",
    "shipped_only",
    "trained_places",
]

FIRST_SEEDS = range(50)  # which are always looked up
GAP = 10  # seeds in a row without a result, after which nobody looks for more
PLACE = ("deficit", "onset", "length", "recovery", "seed")  # the fields that vary in one setting
SETTING = tuple(name for name in rows.RUN_COLUMNS if name not in PLACE)
Value = TypeVar("Value")
AnySpec = TypeVar("AnySpec", bound=Spec)
Measurable = Run | Estimate | Iterable[float] | float  # a Run's accuracy, or numbers


# Seeds ------------------------------------------------------------------------------------------


def by_seed(read: Callable[[int], Value | None]) -> dict[int, Value]:
    """A function's value for each seed that counts, {seed: value}.

    Arguments: read, a function of a seed, which gives None, or raises Missing, for one that has
        nothing; it looks something up, so that it finds nothing from some seed on.

    >>> by_seed(lambda seed: "found" if seed in (3, 55, 90) else None)
    {3: 'found', 55: 'found'}
    """
    values = {}
    last = FIRST_SEEDS[-1]  # of these, or the last that has something
    for seed in count():
        if seed > last + GAP:
            break
        value = None
        with suppress(Missing):
            value = read(seed)
        if value is not None:
            values[seed] = value
            last = max(last, seed)
    return values


def counted_seeds(seeds: Iterable[int]) -> list[int]:
    """The seeds among these that count: 0 to 49, and later ones until ten in a row are missing.

    >>> counted_seeds([60, 7, 51, 100])
    [7, 51, 60]
    """
    trained = {*seeds}
    return [*by_seed(lambda seed: seed if seed in trained else None)]


def seeds_to_read(specs: Iterable[Spec]) -> list[int]:
    """The seeds that may have something to read: the first fifty, and later ones with results."""
    return sorted({*FIRST_SEEDS}.union(*(results_by_seed(spec) for spec in specs)))


@lru_cache(maxsize=2**15)  # checking the fields of a new spec takes half a millisecond
def with_seed(spec: AnySpec, seed: int) -> AnySpec:
    """The same run or experiment with another seed."""
    return cast(AnySpec, spec.with_seed(seed))


# Reading results --------------------------------------------------------------------------------


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


def look_up(spec: Spec, measure: Measure = ()) -> Result | None:
    """A spec's result with these measurements if it counts, or None."""
    stored = find(spec, measure)
    if stored and _shipped_only.get() and stored.source != "shipped":
        stored = None
    if lacking.noting():
        lacking.note_look_up(with_seed(spec, 0), measure, stored is not None)
    return stored


def result(spec: Spec, measure: Measure = ()) -> Result:
    """A spec's result, shipped or live, with these measurements, for a quantity's function.
    Raises: Missing, which such a function need not catch.

    >>> result(Run()).source
    'shipped'
    """
    stored = look_up(spec, measure)
    if stored is None:
        measurements = f" with {measure}" if measure else ""
        raise Missing(f"no result of {spec.call()}{measurements}: compute it with cplab.sweep")
    return stored


def results_by_seed(
    spec: object, measure: Measure = (), seeds: Iterable[int] | None = None
) -> dict[int, Result]:
    """A spec's results with these measurements, by seed: all seeds that count, or the given ones.
    Anything that is not a spec has none."""
    if not isinstance(spec, Spec):
        return {}
    if seeds is None:
        return by_seed(lambda seed: look_up(with_seed(spec, seed), measure))
    results = {seed: look_up(with_seed(spec, seed), measure) for seed in seeds}
    return {seed: stored for seed, stored in results.items() if stored}


def each_result(spec: Spec, measure: Measure = ()) -> list[Result]:
    """The results of all of a spec's seeds that hold these measurements.

    >>> len(each_result(Run("blur", length=8))) > 5
    True
    """
    results = results_by_seed(spec, measure)
    if not results and isinstance(spec, Spec):
        lacking.note_empty(with_seed(spec, 0))
    return [*results.values()]


def each_seed(function: Callable, /, *specs: Spec, **options: Any) -> np.ndarray:
    """A function's values for each seed that has all results: (seeds,), or (seeds, n) for n
    numbers each. A seed without a number has no row.

    Arguments: function, of specs; specs, whose own seed does not matter; options, of the function.

    >>> each_seed(lambda run: result(run).accuracy, Run(onset=16)).shape
    (20,)
    """
    numbers = []
    for seed in seeds_to_read(specs):
        with suppress(Missing):
            seeded = [with_seed(spec, seed) for spec in specs]
            row = np.array(function(*seeded, **options), dtype=float)
            if not np.isnan(row).all():
                numbers.append(row)
    for spec in specs if not numbers else ():
        if not results_by_seed(spec):
            lacking.note_empty(with_seed(spec, 0))
    return np.array(numbers, dtype=float)


# Estimates --------------------------------------------------------------------------------------


def quantity(function: Callable[..., float]) -> Callable[..., Estimate]:
    """A decorator: turns a function that reads a number from a spec's result into one that gives
    an Estimate over seeds. A seed is missing if the function raises Missing or gives NaN.

    >>> @quantity
    ... def last_loss(run):
    ...     return result(run).curve[-1]["train_loss"]
    >>> last_loss(Run("blur", length=8)) - last_loss(Run())
    0.0 ± 0.0 (20 and 30 seeds)
    """
    signature = inspect.signature(function)

    @wraps(function)
    def read(*args: Any, **options: Any) -> Estimate:
        bound = signature.bind(*args, **options)
        bound.apply_defaults()
        spec, *rest = bound.args
        check_spec(spec)
        numbers = {}
        for seed in seeds_to_read([spec]):
            with suppress(Missing):
                seeded = with_seed(spec, seed)
                numbers[seed] = estimates.one_number(function, seeded, *rest, **bound.kwargs)
        name = (function, *rest, *sorted(bound.kwargs.items()))
        return estimate_numbers(spec, numbers, results_by_seed(spec), name)

    return read


def estimate_numbers(
    spec: Spec, numbers: Mapping[int, float], results: Mapping[int, Result], name: tuple
) -> Estimate:
    """Estimate a number of a spec, {seed: number}, read from its results, {seed: result}; name:
    what the number is, equal for equal ones."""
    first = with_seed(spec, 0)  # which stands for all seeds
    numbers = {seed: number for seed, number in numbers.items() if not np.isnan(number)}
    machines = {seed: stored.device for seed, stored in results.items()}
    if not numbers:
        lacking.note_empty(first)
    return Estimate({Term((first, *name), shared_beginning(first), numbers, machines): 1.0})


@lru_cache(maxsize=4096)  # the report calls this tens of thousands of times
def shared_beginning(spec: Spec) -> Hashable:
    """A key for what specs share: their training, or the search that they come from. Up to
    rounding, a run in float32 begins like the same one in bfloat16, so the two share a key."""
    if isinstance(spec, Run):
        spec = replace(spec, arithmetic="native")
        return spec.prefix_key, spec.timeline[0]
    return cast(Experiment, spec).shares


# Accuracy ---------------------------------------------------------------------------------------


def accuracy(spec: Spec, seeds: Iterable[int] | None = None) -> Estimate:
    """The final accuracy on clear test images, in percent. If the rate never changes, this is the
    mean of the last five epochs (`cplab.results.Result.accuracy`).

    Arguments: spec, a Run or an experiment; seeds, of these alone.

    >>> accuracy(Run())
    58.7 ± 0.3 (30 seeds)
    """
    return final_accuracy(check_spec(spec), results_by_seed(spec, seeds=seeds))


def final_accuracy(spec: Spec, results: Mapping[int, Result]) -> Estimate:
    """Estimate the final accuracy in percent from results of a spec, {seed: result}."""
    numbers = {seed: 100 * stored.accuracy for seed, stored in results.items()}
    return estimate_numbers(spec, numbers, results, ("accuracy",))


def accuracy_at(spec: Run, results: Mapping[int, Result], end: int, recovery: int) -> Estimate:
    """Estimate the final accuracy in percent as if runs had ended sooner.

    Arguments: spec, the run; results, of runs that contain it, {seed: result}; end, the epoch at
        which it ends; recovery, the clear epochs before that, of which at most five are averaged.
    """
    long_enough = {seed: stored for seed, stored in results.items() if len(stored.curve) >= end > 0}
    numbers = {
        seed: 100 * stored.mean_accuracy(end, recovery) for seed, stored in long_enough.items()
    }
    return estimate_numbers(spec, numbers, results, ("accuracy", end, recovery))


def measured(value: Measurable) -> Estimate:
    """The estimate of a Run's accuracy in percent, or of numbers, one a seed."""
    if isinstance(value, Run):
        return accuracy(value)
    if isinstance(value, int | float):
        value = [value]
    return estimates.estimate(value)  # type: ignore[arg-type]


def advantage(spec: Spec, other: Spec) -> Estimate:
    """The points of accuracy by which one spec exceeds another.

    >>> advantage(Run(deficit="flip", length=16), Run(deficit="blur", length=16))
    9.1 ± 0.7 (10 seeds)
    """
    return accuracy(spec) - accuracy(other)


def gain_over_newborn(run: Run) -> Estimate:
    """Points above the newborn, which has only the recovery epochs. At onset 0 this is minus the
    harm; at a later onset it includes what was learned before the window.

    >>> gain_over_newborn(Run(deficit="blur", length=16))
    −2.9 ± 0.6 (10 and 30 seeds)
    """
    return advantage(run, check_spec(run).newborn())


# What a window costs ----------------------------------------------------------------------------


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


def harm(
    run: Run,
    after: int | None = None,
    clock: str = "stopped",
    seeds: Iterable[int] | None = None,
) -> Estimate:
    """Points that the deficit costs beyond lost time: the run without the window (at birth the
    newborn) minus this one, after as many clear epochs. Everything that shows a harm calls this.

    Arguments:
        run: a Run with a deficit; its own seed does not matter.
        after: clear epochs after the deficit, by default all of the recovery; others only where the
            rate never changes, since there a run begins with all shorter ones.
        clock: during the cut window under the schedule `paper`: stopped, so that recovery begins
            with earlier rates, or running.
        seeds: of these alone, instead of all that count.
    Raises: CplabError for a run whose windows are all in `windows`, or an `after` it does not have.

    >>> harm(Run(deficit="blur", onset=24, length=8))
    0.2 ± 0.3 (10 seeds)
    >>> harm(Run("blur", length=16, recovery=60, model="depth3", schedule="fixed"), after=30)
    5.2 ± 0.4 (23 seeds)
    """
    if check_spec(run).windows and not run.length:
        raise CplabError(f"{run.call()} has its deficit in windows: give deficit, onset, length")
    control = without_window(run, clock)
    results = results_by_seed(run, seeds=seeds)
    if run.schedule != "fixed":
        if after not in (None, run.recovery):
            raise CplabError(
                f"after {after} cannot be read under the schedule {run.schedule!r}: its rate "
                "changes, so leave it out"
            )
        return accuracy(control, seeds) - final_accuracy(run, results)
    after = run.recovery if after is None else whole("after", after, 1, run.recovery)
    clear = longest_clear(control) if seeds is None else results_by_seed(control, seeds=seeds)
    return harm_from_results(run, after, results, clear)


def harm_from_results(
    run: Run, after: int, results: Mapping[int, Result], clear: Mapping[int, Result]
) -> Estimate:
    """Harm at a constant rate, after so many clear epochs. It is read from results, {seed: result},
    of this run or longer ones, and of clear runs that contain its control."""
    control = accuracy_at(without_window(run), clear, run.onset + after, after)
    whole_runs = all(len(stored.curve) == run.epochs for stored in results.values())
    if after == run.recovery and whole_runs:
        return control - final_accuracy(run, results)
    return control - accuracy_at(run, results, run.end + after, after)


@lru_cache(maxsize=4096)
def without_window(run: Run, clock: str = "stopped") -> Run:
    """`Run.without_window`, made once: checking the fields of a new run takes long."""
    return run.without_window(clock)


@lru_cache(maxsize=2**15)
def with_onset(run: Run, onset: int) -> Run:
    """The same run with another onset."""
    return replace(run, onset=onset)


def longest_clear(control: Run) -> dict[int, Result]:
    """Results that contain a clear run at a constant rate, {seed: result}: for each seed the
    longest one with this recovery."""
    if control.treatments or control.windows:
        return results_by_seed(control)
    onsets: dict[int, list[int]] = defaultdict(list)  # of clear runs, by seed
    for deficit, onset, _, recovery, seed in trained_places(control):
        if (deficit, recovery) == (CLEAR, control.recovery):
            onsets[seed].append(onset)
    longest = {}
    for seed in sorted(onsets):
        for onset in sorted(onsets[seed], reverse=True):
            stored = look_up(with_onset(with_seed(control, seed), onset))
            if stored:
                longest[seed] = stored
                break
    return longest


# What was trained -------------------------------------------------------------------------------


def trained_places(run: Run) -> set[tuple]:
    """Deficit, onset, length, recovery and seed of all runs with a result, shipped or live, that
    agree with this run in every other field; of seeds that count. (The controls of a run with
    further windows or treatments differ in those fields.)

    >>> ("blur", 0, 8, 15, 0) in trained_places(Run())
    True
    """
    setting = setting_of(rows.run_columns(check_spec(run)))
    places = set(shipped_places(store.archive()).get(setting, ()))
    if not _shipped_only.get():
        for live in store.live_results("Run"):
            columns = rows.run_columns(live.spec)
            if setting_of(columns) == setting:
                places.add(tuple(columns[name] for name in PLACE))
    seeds: dict[tuple, set[int]] = defaultdict(set)
    for *place, seed in places:
        seeds[tuple(place)].add(seed)
    counted = {place: {*counted_seeds(trained)} for place, trained in seeds.items()}
    return {(*place, seed) for *place, seed in places if seed in counted[tuple(place)]}


@lru_cache(maxsize=2)
def shipped_places(archive: store.Archive) -> dict[tuple, set[tuple]]:
    """The places of the shipped runs of each setting; pandas is not needed."""
    places: dict[tuple, set[tuple]] = defaultdict(set)
    for row in archive.columns(["kind", "version", *rows.RUN_COLUMNS]).to_pylist():
        if (row["kind"], row["version"]) == ("Run", Run.version):
            places[setting_of(row)].add(tuple(row[name] for name in PLACE))
    return places


def setting_of(columns: Mapping[str, object]) -> tuple:
    """A run's columns except its place: equal for all runs of one setting."""
    return tuple(columns[name] for name in SETTING)


def every_length(run: Run) -> list[Run]:
    """The same run with each length of the deficit that has a result, shortest first.

    >>> [run.length for run in every_length(Run("blur", length=8))]
    [2, 4, 8, 12, 16, 24]
    """
    lengths = set()
    for deficit, onset, length, recovery, _ in trained_places(run):
        if length and (deficit, onset, recovery) == (run.deficit, run.onset, run.recovery):
            lengths.add(length)
    return [replace(run, length=length) for length in sorted(lengths)]


say_where_names_went(__name__)
