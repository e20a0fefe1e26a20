"""The quantities of the field, as contrasts and numbers read from results.

Accuracies are percentages and their differences points. A window's loss against equal training (as
many epochs, all clear) is the sum of *lost time*, which a network without training in the window
loses as well, and *harm*, which the deficit does. Nothing is trained here: a missing result raises
Missing.
"""

import inspect
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import lru_cache, wraps
from typing import Any

import numpy as np

from cplab.errors import one_of, require
from cplab.quantities.statistics import SEEDS, Contrast, Missing
from cplab.results import find, store
from cplab.runs import Run
from cplab.specs import Spec, check_spec

__all__ = ["Missing", "accuracy", "advantage", "contrast", "doublings", "each_result"]
__all__ += ["every_length"]
__all__ += ["each_seed", "equal_training_loss", "gain_over_newborn", "harm", "information_shift"]
__all__ += ["layer_shares", "lost_time"]
__all__ += ["reading", "result", "sensitivity", "shipped_only", "trace_at", "trace_by_layer"]
__all__ += ["trace_curve", "trace_peak", "trace_remaining", "trained_places"]

PLACE = ("deficit", "onset", "length", "recovery", "seed")  # the fields that vary in one setting
Cost = Callable[[Run], Contrast]


# Reading results --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reading:
    """A term of a contrast: the number that the function `of` reads from a spec's result."""

    spec: Any
    of: Callable[..., float]
    options: tuple[tuple[str, Any], ...] = ()

    @property
    def group(self) -> Hashable:
        """A key that is equal for terms whose specs share training."""
        return shared_beginning(with_seed(self.spec, 0))

    def machine(self, seed: int) -> str | None:
        """The kind of machine that trained the network of a seed; None without a stored result."""
        if isinstance(self.spec, Spec):
            with suppress(Missing):
                return result(with_seed(self.spec, seed)).device
        return None

    def at(self, seed: int | None) -> float:
        """The number for a seed, or for the spec's own seed. Raises: Missing."""
        spec = self.spec if seed is None else with_seed(self.spec, seed)
        return float(self.of(spec, **dict(self.options)))


def reading(spec: Any, of: Callable[..., float], /, **options: Any) -> Contrast:
    """Make a contrast of the number that a function `of` reads from a spec's result, with options.

    >>> def last_loss(run):
    ...     return result(run).curve[-1]["train_loss"]
    >>> run = Run("blur", length=8)
    >>> reading(run, last_loss) - reading(run.newborn(), last_loss)
    0.0 ± 0.0 (20 and 30 seeds)
    """
    return Contrast({Reading(spec, of, tuple(options.items())): 1})


def contrast(of: Callable[..., float]) -> Callable[..., Contrast]:
    """Make a function that reads a number from a spec's result return a contrast: a decorator.

    >>> @contrast
    ... def last_loss(run):
    ...     return result(run).curve[-1]["train_loss"]
    >>> print(f"{last_loss(Run()):.2f}")
    1.10
    """
    signature = inspect.signature(of)

    @wraps(of)
    def read(*args: Any, **options: Any) -> Contrast:
        arguments = signature.bind(*args, **options)
        arguments.apply_defaults()
        (_, spec), *rest = arguments.arguments.items()
        return reading(spec, of, **dict(rest))

    return read


@lru_cache(maxsize=4096)  # the report calls this tens of thousands of times
def shared_beginning(spec: Any) -> Hashable:
    """A key of what specs share: their training, or the search that they come from. A run in
    float32 counts as beginning like the same one in bfloat16, up to rounding."""
    if isinstance(spec, Run):
        spec = replace(spec, arithmetic="native")
        return spec.trunk_key, spec.timeline[0]
    return spec.shares


@lru_cache(maxsize=2**15)  # checking the fields of a new spec takes half a millisecond
def with_seed(spec: Any, seed: int) -> Any:
    """The same run or experiment with another seed."""
    return spec.with_seed(seed)


_shipped_only: ContextVar[bool] = ContextVar("shipped_only", default=False)


@contextmanager
def shipped_only() -> Iterator[None]:
    """A context in which only shipped results count, so that numbers are the same on every machine.

    >>> with shipped_only():
    ...     print(f"{accuracy(Run()):.1f}")
    58.5
    """
    before = _shipped_only.set(True)
    try:
        yield
    finally:
        _shipped_only.reset(before)


class NoResult(Missing):
    """A spec, the first argument, has no result with the measurements of the second."""

    def __str__(self) -> str:  # written only when read, which for most missing seeds is never
        spec, measure = self.args
        what = f"{spec.call()}{f' with {measure}' if measure else ''}"
        return f"no result of {what}: compute it with cplab.sweep"


def result(spec: Any, measure: str | tuple[str, ...] | dict[str, Any] = ()) -> Any:
    """The result of a spec, shipped or live, with these measurements, given as in `cplab.run`.
    Raises: Missing.

    >>> result(Run()).source
    'shipped'
    """
    stored = find(spec, measure)
    if stored and (stored.source == "shipped" or not _shipped_only.get()):
        return stored
    raise NoResult(spec, measure)


def each_result(spec: Any, measure: str | tuple[str, ...] | dict[str, Any] = ()) -> list:
    """The results of all seeds of a spec that hold these measurements.

    >>> len(each_result(Run("blur", length=8))) > 5
    True
    """
    results = []
    for seed in SEEDS:
        with suppress(Missing):
            results.append(result(with_seed(spec, seed), measure))
    return results


def trained_places(like: Run) -> set[tuple]:
    """Deficit, onset, length, recovery and seed of all runs with a result, shipped or live, that
    agree with this run in every other field. (The controls of a run with further windows or
    treatments differ in those fields.)

    >>> ("blur", 0, 8, 15, 0) in trained_places(Run())
    True
    """
    setting = {n: value for n, value in store.run_columns(like).items() if n not in PLACE}
    live = (store.run_columns(result.spec) for result in store.live_results("Run"))
    rows = (
        row for row in (*shipped_runs(store.archive()), *live) if setting.items() <= row.items()
    )
    return {tuple(row[name] for name in PLACE) for row in rows}


@lru_cache(maxsize=2)
def shipped_runs(archive: store.Archive) -> list[dict[str, Any]]:
    """The fields of each shipped run; pandas is not needed."""
    rows = archive.rows.select(["kind", "version", *store.RUN_COLUMNS]).to_pylist()
    return [row for row in rows if (row["kind"], row["version"]) == ("Run", Run.version)]


def every_length(run: Run) -> list[Run]:
    """The same run with each length of the deficit that has a result, shortest first.

    >>> [run.length for run in every_length(Run("blur", length=8))]
    [2, 4, 8, 12, 16, 24]
    """
    place = run.deficit, run.onset, run.recovery
    lengths = {
        n for name, onset, n, after, _ in trained_places(run) if (name, onset, after) == place
    }
    return [replace(run, length=length) for length in sorted(lengths - {0})]


def each_seed(
    quantity: Callable, *specs: Any, seeds: Iterable[int] = SEEDS, **options: Any
) -> np.ndarray:
    """A quantity for each seed that has all results: (seeds,), or (seeds, n) for n numbers each.

    Arguments: quantity, a function of specs; specs, whose own seed does not matter; options, of
        the function.

    >>> print(each_seed(harm, Run(deficit="blur", length=8), seeds=(0, 1, 2)).round(1))
    [1.4 1.  3.6]
    """
    numbers = []
    for seed in seeds:
        with suppress(Missing):
            number = quantity(*(with_seed(spec, seed) for spec in specs), **options)
            numbers.append(np.array(number, dtype=float))
    return np.array(numbers, dtype=float)


# Accuracy ---------------------------------------------------------------------------------------


def accuracy(spec: Any) -> Contrast:
    """The final accuracy on clear test images, in percent, as `cplab.results.Result.accuracy`
    defines it.

    >>> accuracy(Run())
    58.7 ± 0.3 (30 seeds)
    """
    return reading(check_spec(spec), final_accuracy)


def final_accuracy(spec: Any) -> float:
    """The final accuracy of one seed, in percent."""
    fraction = result(spec).accuracy
    single = isinstance(fraction, float | int)
    require(single, f"a {type(spec).__name__} has several accuracies: take one with accuracy_at")
    return 100 * float(fraction)


def advantage(spec: Any, other: Any) -> Contrast:
    """The points of accuracy by which one spec exceeds another.

    >>> advantage(Run(deficit="flip", length=16), Run(deficit="blur", length=16))
    9.1 ± 0.7 (10 seeds)
    """
    return accuracy(spec) - accuracy(other)


def equal_training_loss(run: Run) -> Contrast:
    """Points lost against equal training: the paper's sensitivity (figure 1 bottom). It is the sum
    of `lost_time` and `harm`.

    >>> equal_training_loss(Run(deficit="blur", length=8))
    7.0 ± 0.5 (20 seeds)
    """
    return advantage(run.equal_training(), run)


def lost_time(run: Run, clock: str = "stopped") -> Contrast:
    """Points that the window's epochs would have brought without the deficit: equal training minus
    the run without the window (see `harm`).

    >>> lost_time(Run(deficit="blur", length=8))
    5.2 ± 0.3 (20 seeds)
    """
    return equal_training_loss(run) - harm(run, clock)


def harm(run: Run, clock: str = "stopped") -> Contrast:
    """Points that the deficit costs beyond lost time: the same run with the window cut out (at
    birth the newborn) minus this one. During the cut window the `clock` of the schedule `paper` is
    stopped, so that recovery begins with earlier rates, or running.

    >>> harm(Run(deficit="blur", onset=24, length=8))
    0.2 ± 0.3 (10 seeds)
    """
    line = "has its deficit in windows: give it as deficit, onset and length"
    require(run.length or not run.windows, f"{run.call()} {line}")
    return advantage(run.without_window(clock), run)


def gain_over_newborn(run: Run) -> Contrast:
    """Points above the newborn, which has the recovery epochs alone. At onset 0 this is minus the
    harm; later it includes what was learned before the window.

    >>> gain_over_newborn(Run(deficit="blur", length=16))
    −2.9 ± 0.6 (10 and 30 seeds)
    """
    return advantage(run, run.newborn())


def sensitivity(window: Run, onsets: Sequence[int], of: Cost = equal_training_loss) -> np.ndarray:
    """The cost of a deficit's window at each onset, in points, (onsets,): the sensitivity of the
    paper's figures 1 and 4. With `of=harm`, the deficit's part of it.

    >>> each_seed(sensitivity, Run("blur", length=8), onsets=(0, 8, 24), of=harm).mean(0).round(1)
    array([1.8, 0.8, 0.2])
    """
    return np.array([float(of(replace(window, onset=onset))) for onset in onsets])


# Fisher information -----------------------------------------------------------------------------


def trace_by_layer(run: Run, of: str = "trace", scaled: bool = False) -> dict[int, np.ndarray]:
    """Each layer's part of the trace of the Fisher information, (layers,), by epoch, wherever it
    was measured (see `cplab.measure`).

    Arguments: of, trace, or jacobian for E ‖∂ logits / ∂ weights‖², which leaves out how certain
        the outputs are; scaled, times the square of the layer's norm: under batch norm the outputs
        do not depend on that norm, while the layer's part falls with its square.

    >>> len(trace_by_layer(Run(onset=16))[30])
    9
    """
    names = (one_of("of", of, ("trace", "jacobian")), *(["weight_norms"] if scaled else []))
    measured = result(run, dict.fromkeys(names, (run.epochs - 1,))).measured  # at least
    parts = {epoch: np.array(row[of]) for epoch, row in sorted(measured[of].items())}
    if not scaled:
        return parts
    norms = measured["weight_norms"]
    return {e: np.square(norms[e]["norms"]) * part for e, part in parts.items() if e in norms}


def trace_curve(run: Run, layers: int | None = None, **how: Any) -> np.ndarray:
    """The trace of the Fisher information after each epoch, (epochs,), NaN where it was not
    measured, summed over all layers or the first `layers`. how: as in `trace_by_layer`.

    >>> trace_curve(Run(onset=16)).shape
    (31,)
    """
    curve = np.full(run.epochs, np.nan)
    for epoch, parts in trace_by_layer(run, **how).items():
        curve[epoch] = parts[:layers].sum()
    return curve


def trace_peak(run: Run, **how: Any) -> int:
    """The number of epochs until the highest trace (paper, figure 4: about 30 without a deficit),
    among at least five that were measured. how: as in `trace_curve`.

    >>> trace_peak(Run(onset=24, profile="fit"))
    12
    """
    curve = trace_curve(run, **how)
    if np.isfinite(curve).sum() < min(5, len(curve)):
        raise Missing(f"no peak of {run.call()}: measure it after five epochs at least")
    return int(np.nanargmax(curve)) + 1


def trace_remaining(run: Run, **how: Any) -> float:
    """The last trace as a fraction of the highest, 0 to 1 (paper, figure 4: it rises and falls).
    how: as in `trace_curve`.

    >>> round(trace_remaining(Run(onset=24, profile="fit")), 2)
    0.09
    """
    trace = trace_curve(run, **how)
    return float(trace[-1] / trace[trace_peak(run, **how) - 1])


def trace_at(run: Run, epoch: int = -1, **how: Any) -> float:
    """The trace after an epoch, counted from 0, by default the last. how: as in `trace_curve`.

    >>> trace_at(Run(onset=24, profile="fit"), 11) > 10 * trace_at(Run(onset=24, profile="fit"))
    True
    """
    curve, at = trace_curve(run, **how), int(epoch)
    if not -len(curve) <= at < len(curve) or np.isnan(curve[at]):
        raise Missing(f"{run.call()} has no trace after epoch {at}: choose another")
    return float(curve[at])


def doublings(run: Run, other: Run, of: Callable[[Run], float] = trace_at) -> Contrast:
    """How many times a measure doubles from another run to this one; of: a function of a run, above
    0.

    >>> blur = Run(deficit="blur", length=24, profile="fit")
    >>> round(float(doublings(blur, blur.equal_training())), 1)
    4.1
    """
    return reading(run, _log2_of, measure=of) - reading(other, _log2_of, measure=of)


def _log2_of(run: Run, measure: Callable[[Run], float]) -> float:
    value = float(measure(run))
    if not value > 0:
        raise Missing(f"{run.call()} has {value:g}, which has no logarithm: give a measure above 0")
    return float(np.log2(value))


def layer_shares(run: Run, epoch: int | None = None, **how: Any) -> np.ndarray:
    """Each layer's share of the information, (layers,), from the image to the answer; the sum is 1.
    With an epoch, of the trace after that epoch (how: as in `trace_by_layer`); without, of the
    information in the weights at the end, by their noise (paper, figure 5).

    >>> print(layer_shares(Run(onset=24, profile="fit")).round(2))
    [0.03 0.06 0.13 0.25 0.27 0.21 0.04 0.01 0.  ]
    """
    if epoch is None:
        require(not how, f"{', '.join(how)} cannot be given without an epoch: give one")
        values = np.array(result(run, "ending").final("ending")["information"])
    else:
        parts = trace_by_layer(run, **how)
        if epoch not in parts:
            raise Missing(f"the trace was not measured at epoch {epoch}: choose from {[*parts]}")
        values = parts[epoch]
    return values / values.sum()


def information_shift(
    run: Run, other: Run | None = None, epoch: int | None = None, **how: Any
) -> Contrast:
    """How many layers later the information lies, on average, than in another run; above 0, nearer
    to the answer (paper, figure 5).

    Arguments: other, by default equal training; epoch and how, as in `layer_shares`.

    >>> round(float(information_shift(Run(deficit="blur", length=24, profile="fit"))), 1)
    0.3
    """
    other = other or run.equal_training()
    how["epoch"] = epoch
    return reading(run, _layer_centre, **how) - reading(other, _layer_centre, **how)


def _layer_centre(run: Run, **how: Any) -> float:
    """The layer in which the information lies on average, counted from 0."""
    shares = layer_shares(run, **how)
    return float(shares @ np.arange(len(shares)))
