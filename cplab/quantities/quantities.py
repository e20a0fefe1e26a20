"""What is estimated over seeds: accuracies, harm, lost time, and numbers that were measured."""

import inspect
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import replace
from functools import lru_cache, wraps
from typing import Any, TypeVar, cast

import numpy as np

from cplab import estimates
from cplab.base.errors import CplabError, Missing, whole
from cplab.estimates import Estimate, Lack, Term, each_once, rows_of_seeds
from cplab.measure import Measure
from cplab.results import Result
from cplab.results.seeds import (
    FIRST_SEEDS,
    Place,
    look_up,
    results_by_seed,
    trained_places,
    with_seed,
)
from cplab.runs import CLEAR, Run
from cplab.specs import Spec, check_spec
from cplab.specs.experiments import Experiment

Read = TypeVar("Read")
Measurable = Run | Estimate | Iterable[float] | float  # what `as_estimate` takes


# Reading results --------------------------------------------------------------------------------


def result(spec: Spec, measure: Measure = ()) -> Result:
    """A spec's result, shipped or live, with these measurements.

    Raises:
        Missing: which a function that `quantity` decorates need not catch.

    >>> result(Run()).source
    'shipped'
    """
    stored = look_up(spec, measure)
    if stored is None:
        raise NoResult(spec, measure)
    return stored


class NoResult(Missing):
    """There is no result of a spec with some measurements. The line is written when it is read: an
    estimate asks for many seeds in vain."""

    def __init__(self, spec: Spec, measure: Measure) -> None:
        super().__init__(spec, measure)
        self.spec = spec
        self.measure = measure

    @property
    def lack(self) -> Lack:
        """What has to be trained."""
        return lack(self.spec, self.measure)

    def __str__(self) -> str:
        measurements = f" with {self.measure}" if self.measure else ""
        return f"no result of {self.spec.call()}{measurements}: compute it with cplab.sweep"


def lack(spec: Spec, measure: Measure = ()) -> Lack:
    """What a figure or a number lacks where a spec has no result with these measurements.

    >>> lack(Run("blur", 77, 7, seed=3)).spec.seed
    0
    """
    return Lack(with_seed(spec, 0), measure)


def each_result(spec: Spec, measure: Measure = ()) -> list[Result]:
    """A spec's results of all seeds that count, with these measurements.

    >>> len(each_result(Run("blur", length=8))) > 5
    True
    """
    return [*results_by_seed(spec, measure).values()]


def each_seed(function: Callable, /, *specs: Spec, **options: Any) -> np.ndarray:
    """A function's values for each seed that has all the results it reads.

    Arguments:
        function: takes specs, and returns one number or n of them.
        specs: runs or experiments, whose own seeds do not matter.
        options: of the function.

    Returns:
        (seeds,) or (seeds, n). A seed for which the function raises Missing, or gives NaN, has no
        row. Without any row, it knows what it lacks, see `estimates.lacking_in`.

    >>> each_seed(lambda run: result(run).accuracy, Run(onset=16)).shape
    (20,)
    """
    seeds_with_results: set[int] = set()
    for spec in specs:
        seeds_with_results.update(results_by_seed(spec))

    def read(*seeded: Spec) -> np.ndarray:
        return np.array(function(*seeded, **options), dtype=float)

    values, lacks = read_seeds(read, seeds_with_results, *specs)
    rows = [row for row in values.values() if not np.isnan(row).all()]
    return rows_of_seeds(rows, () if rows else without_any_seed(lacks or map(lack, specs)))


def read_seeds(
    read: Callable[..., Read], seeds_with_results: Iterable[int], *specs: Spec
) -> tuple[dict[int, Read], list[Lack]]:
    """What a function reads of some specs, {seed: value}, and what it looked up in vain.

    Arguments:
        read: a function of the specs, which raises Missing for a seed without a value.
        seeds_with_results: of the specs. Besides them the first fifty are read, since a function
            may look up other runs than those that it is given.
    """
    values = {}
    lacks = []
    for seed in sorted({*FIRST_SEEDS, *seeds_with_results}):
        try:
            values[seed] = read(*(with_seed(spec, seed) for spec in specs))
        except NoResult as missing:
            lacks.append(missing.lack)
        except Missing:
            continue
    return values, lacks


def without_any_seed(lacks: Iterable[Lack]) -> tuple[Lack, ...]:
    """Those of some lacks that have no result of any seed; all of them if each has one."""
    once = each_once(lacks)
    nowhere = [each for each in once if not results_by_seed(each.spec, each.measure)]
    return tuple(nowhere) or once


# Estimates --------------------------------------------------------------------------------------


def quantity(function: Callable[..., float]) -> Callable[..., Estimate]:
    """Turn a function that reads a number from a spec's result into one that returns an Estimate
    over seeds; a decorator. A seed is missing if the function raises Missing or gives NaN.

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
        results = results_by_seed(spec)

        def read_one(seeded: Spec) -> float:
            return estimates.one_number(function, seeded, *rest, **bound.kwargs)

        numbers, lacks = read_seeds(read_one, results, spec)
        name = (function, *rest, *sorted(bound.kwargs.items()))
        return estimate_numbers(spec, numbers, results, name, lacks)

    return read


def estimate_numbers(
    spec: Spec,
    numbers: Mapping[int, float],
    results: Mapping[int, Result],
    name: tuple,
    lacks: Iterable[Lack] = (),
) -> Estimate:
    """Estimate the mean of numbers that were read from a spec's results.

    Arguments:
        spec: the run or the experiment.
        numbers: {seed: number}.
        results: {seed: result}.
        name: what the numbers are, the same for equal ones.
        lacks: what was looked up in vain, by default the spec.
    """
    first = with_seed(spec, 0)  # stands for all seeds
    numbers = {seed: number for seed, number in numbers.items() if not np.isnan(number)}
    machines = {seed: stored.device for seed, stored in results.items()}
    lacking = () if numbers else without_any_seed([*lacks] or [lack(spec)])
    live = frozenset(seed for seed, stored in results.items() if stored.source == "live")
    term = Term((first, *name), shared_beginning(first), numbers, machines, lacking, live)
    return Estimate({term: 1.0})


@lru_cache(maxsize=4096)  # the report calls this tens of thousands of times
def shared_beginning(spec: Spec) -> Hashable:
    """What a spec has in common with others that share training with it: for a run the beginning of
    its training, for an experiment what it was declared to share.

    Except for rounding, a run in float32 begins like the same run in bfloat16, so both share it.
    """
    if isinstance(spec, Run):
        spec = replace(spec, arithmetic="native")
        return spec.prefix_key, spec.timeline[0]
    return cast(Experiment, spec).shares


@quantity
def measured(run: Run, name: str, *path: str | int, epoch: int | None = None) -> float:
    """A number that was measured on a run; the mean of a list.

    Arguments:
        run: the run.
        name: of the measurement.
        path: the names and places under which the number stands in what was measured.
        epoch: after which it was, from 0: by default the last.

    >>> measured(Run(onset=16), "ending", "sharpness")
    347.6 ± 11.3 (10 seeds)
    """
    if epoch is None:
        epoch = run.epochs - 1
    value = result(run, {name: (epoch,)}).measured[name][epoch]
    for key in path:
        value = value[key]
    return np.mean(value)


# Accuracy ---------------------------------------------------------------------------------------


def accuracy(spec: Spec, seeds: Iterable[int] | None = None) -> Estimate:
    """The final accuracy on clear test images, in percent. If the learning rate never changes, it
    is the mean of the last five epochs (`cplab.results.Result.accuracy`).

    Arguments:
        spec: a Run or an experiment.
        seeds: which to read, instead of all that count.

    >>> accuracy(Run())
    58.7 ± 0.3 (30 seeds)
    """
    return accuracy_from_results(check_spec(spec), results_by_seed(spec, seeds=seeds))


def accuracy_from_results(spec: Spec, results: Mapping[int, Result]) -> Estimate:
    """Estimate the final accuracy, in percent, from a spec's results, {seed: result}."""
    numbers = {seed: 100 * stored.accuracy for seed, stored in results.items()}
    return estimate_numbers(spec, numbers, results, ("accuracy",))


def accuracy_until(spec: Run, results: Mapping[int, Result], end: int, recovery: int) -> Estimate:
    """Estimate the final accuracy, in percent, as if a run had ended sooner.

    Arguments:
        spec: the run.
        results: of runs that contain it, {seed: result}.
        end: the epoch before which it ends.
        recovery: its clear epochs at the end: the mean is over five at most.
    """
    numbers = {}
    for seed, stored in results.items():
        contains_end = 0 < end <= len(stored.curve)
        if contains_end:
            numbers[seed] = 100 * stored.mean_accuracy(end, recovery)
    return estimate_numbers(spec, numbers, results, ("accuracy", end, recovery))


def as_estimate(value: Measurable) -> Estimate:
    """The estimate of a Run's accuracy in percent, or of given numbers, one for each seed."""
    if isinstance(value, Run):
        return accuracy(value)
    if isinstance(value, int | float):
        value = [value]
    return estimates.estimate(value)  # type: ignore[arg-type]


def advantage(spec: Spec, other: Spec) -> Estimate:
    """By how many points the accuracy of one spec exceeds another's.

    >>> advantage(Run(deficit="flip", length=16), Run(deficit="blur", length=16))
    9.1 ± 0.7 (10 seeds)
    """
    return accuracy(spec) - accuracy(other)


def control_of(run: Run, name: str) -> Run:
    """A control of a run, with the same treatments.

    Arguments:
        run: the run.
        name: of the control: newborn, twin (the run without the window), equal training, or another
            deficit in the place of the run's, such as flip.

    >>> control_of(Run("blur", onset=4, length=8), "twin").epochs
    19
    """
    controls = {
        "newborn": run.newborn,
        "twin": run.without_window,
        "equal training": run.equal_training,
    }
    if name in controls:
        return controls[name]()
    return run.replace(deficit=name)


def behind(run: Run, control: str, seeds: Iterable[int] | None = None) -> Estimate:
    """Points that a run ends behind one of its controls; below 0 it is ahead.

    Arguments:
        run: the run.
        control: see `control_of`.
        seeds: which to read, instead of all that count.

    >>> behind(Run("blur", length=16), "flip")
    9.1 ± 0.7 (10 seeds)
    """
    read = None if seeds is None else [*seeds]
    return accuracy(control_of(run, control), read) - accuracy(run, read)


def gain_over_newborn(run: Run) -> Estimate:
    """By how many points a run exceeds the newborn, which has only the recovery epochs.

    At onset 0 this is minus the harm. At a later onset it contains what was learned before the
    deficit.

    >>> gain_over_newborn(Run(deficit="blur", length=16))
    −2.9 ± 0.6 (10 and 30 seeds)
    """
    return advantage(run, check_spec(run).newborn())


# What a deficit costs ---------------------------------------------------------------------------


def equal_training_loss(run: Run) -> Estimate:
    """Points that a run loses against equal training, the paper's sensitivity (figure 1, bottom).
    It is the sum of `lost_time` and `harm`.

    >>> equal_training_loss(Run(deficit="blur", length=8))
    7.0 ± 0.5 (20 seeds)
    """
    return advantage(check_spec(run).equal_training(), run)


def lost_time(run: Run, clock: str = "stopped") -> Estimate:
    """Points that the deficit's epochs would have gained if they had been clear: equal training
    minus the run without the window.

    Arguments:
        run: the run.
        clock: as for `harm`.

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
    """Points that a deficit costs beyond lost time: the run without the window (at onset 0 the
    newborn) minus the run, after equally many clear epochs.

    Everything that shows a harm calls this.

    Arguments:
        run: a Run with a deficit, of seed 0, which stands for all seeds.
        after: the number of clear epochs after the deficit; by default all of the recovery. Fewer
            are possible if the learning rate never changes: a run then contains all shorter ones.
        clock: of the control's learning rate under the schedule `paper`, while the deficit's epochs
            are cut out. Stopped: its recovery begins with the rate of the onset. Running: with the
            rate that the run's recovery has.
        seeds: which to read, instead of all that count, such as [3] for seed 3 alone.

    Raises:
        CplabError: for a run of another seed, which would not be read alone; for one that has its
            deficits in `windows`; and for an `after` that it does not have.

    >>> harm(Run(deficit="blur", onset=24, length=8))
    0.2 ± 0.3 (10 seeds)
    >>> harm(Run("blur", length=16, recovery=60, model="depth3", schedule="fixed"), after=30)
    5.3 ± 0.4 (24 and 25 seeds)
    """
    if check_spec(run).windows and not run.length:
        raise CplabError(f"{run.call()} has its deficit in windows: give deficit, onset, length")
    if run.seed and seeds is None:
        raise CplabError(
            f"harm is a mean over all seeds, and the run has seed {run.seed}: leave its seed out, "
            f"or give seeds=[{run.seed}]"
        )
    control = run.without_window(clock)
    results = results_by_seed(run, seeds=seeds)
    if run.schedule != "fixed":
        if after not in (None, run.recovery):
            raise CplabError(
                f"after {after} cannot be read under the schedule {run.schedule!r}: its rate "
                "changes, so leave it out"
            )
        return accuracy(control, seeds) - accuracy_from_results(run, results)
    after = run.recovery if after is None else whole("after", after, 1, run.recovery)
    # Longer clear runs contain the control; where seeds are given, only the control itself is read
    clear = longest_clear(control) if seeds is None else results_by_seed(control, seeds=seeds)
    if seeds is None and not (results and clear):  # but longer runs contain it
        results = results or containing(run)
        clear = containing(control)
    return harm_from_results(run, after, results, clear)


def harm_from_results(
    run: Run, after: int, results: Mapping[int, Result], clear: Mapping[int, Result]
) -> Estimate:
    """Harm at a constant learning rate, from given results.

    Arguments:
        run: the run.
        after: the number of clear epochs after the deficit.
        results: of this run or longer ones, {seed: result}.
        clear: of clear runs that contain its control.
    """
    control = accuracy_until(run.without_window(), clear, run.onset + after, after)
    whole_runs = all(len(stored.curve) == run.epochs for stored in results.values())
    if after == run.recovery and whole_runs:
        return control - accuracy_from_results(run, results)
    return control - accuracy_until(run, results, run.end + after, after)


def longest_clear(control: Run) -> dict[int, Result]:
    """The longest results that contain a clear run at a constant learning rate, {seed: result}.

    Arguments:
        control: the run, whose recovery they have too.
    """
    if control.treatments or control.windows:
        return results_by_seed(control)
    onsets: dict[int, list[int]] = defaultdict(list)  # of clear runs, by seed
    for place in trained_places(control):
        if place.deficit == CLEAR and place.recovery == control.recovery:
            onsets[place.seed].append(place.onset)
    longest = {}
    for seed in sorted(onsets):
        for onset in sorted(onsets[seed], reverse=True):
            stored = look_up(with_seed(control, seed).clear_from(onset))
            if stored:
                longest[seed] = stored
                break
    return longest


def containing(run: Run) -> dict[int, Result]:
    """The longest result of each seed that contains a run at a constant learning rate, {seed:
    result}: of the same window, or of none, with a recovery that is as long or longer."""
    if run.treatments or run.windows:
        return results_by_seed(run)
    window = (run.deficit, run.onset, run.length)
    longest: dict[int, Place] = {}
    for place in trained_places(run):
        is_same = place[:3] == window if run.length else place.deficit == CLEAR
        if is_same and place.epochs >= run.epochs:
            longest[place.seed] = max(place, longest.get(place.seed, place), key=by_length)
    results = {}
    for seed, place in sorted(longest.items()):
        stored = look_up(replace(run, onset=place.onset, recovery=place.recovery, seed=seed))
        if stored:
            results[seed] = stored
    return results


def by_length(place: Place) -> tuple[int, int]:
    """By which the longest of several places is found; of equally long ones, that which has the
    latest onset."""
    return place.epochs, place.onset


# What was trained -------------------------------------------------------------------------------


def every_length(run: Run) -> list[Run]:
    """A run with each length of its deficit that has a result, the shortest first.

    >>> [run.length for run in every_length(Run("blur", length=8))]
    [2, 4, 8, 12, 16, 24]
    """
    lengths = set()
    alike = (run.deficit, run.onset, run.recovery)
    for place in trained_places(run):
        if place.length and (place.deficit, place.onset, place.recovery) == alike:
            lengths.add(place.length)
    return [replace(run, length=length) for length in sorted(lengths)]
