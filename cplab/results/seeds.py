"""Which results count: those of seeds 0 to 49, and then further ones until ten in a row have no
result; and which runs have been trained.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from itertools import count
from typing import Any, NamedTuple, TypeVar, cast

from cplab.base.errors import Missing
from cplab.measure import Measure
from cplab.results import Result, find, rows, store
from cplab.results.store import find_each
from cplab.runs import Run
from cplab.specs import Spec, check_spec


class Place(NamedTuple):
    """The fields in which runs of one setting differ."""

    deficit: str
    onset: int
    length: int
    recovery: int
    seed: int

    @property
    def epochs(self) -> int:
        """The number of epochs of the run."""
        return self.onset + self.length + self.recovery


FIRST_SEEDS = range(50)  # seeds that are always looked up
SEED_GAP = 10  # seeds in a row without a result that end the search for more
SETTING = tuple(name for name in rows.RUN_COLUMNS if name not in Place._fields)
Value = TypeVar("Value")
AnySpec = TypeVar("AnySpec", bound=Spec)


def by_seed(read: Callable[[int], Value | None]) -> dict[int, Value]:
    """A function's value for each seed that counts, {seed: value}.

    Arguments:
        read: a function of a seed, which returns None or raises Missing for a seed without a value.
            It is called for 0, 1, 2 … in order. From some seed on there must be no value.

    >>> by_seed(lambda seed: "found" if seed in (3, 55, 90) else None)
    {3: 'found', 55: 'found'}
    """
    values = {}
    last = FIRST_SEEDS[-1]  # then the last seed that has a value
    for seed in count():
        if seed > last + SEED_GAP:
            break
        try:
            value = read(seed)
        except Missing:
            continue
        if value is not None:
            values[seed] = value
            last = max(last, seed)
    return values


def counted_seeds(seeds: Iterable[int]) -> list[int]:
    """Those seeds that count: 0 to 49, and then further ones until ten in a row are missing.

    >>> counted_seeds([60, 7, 51, 100])
    [7, 51, 60]
    """
    counted = []
    last = FIRST_SEEDS[-1]
    for seed in sorted({*seeds}):
        if seed > last + SEED_GAP:
            break
        counted.append(seed)
        last = max(last, seed)
    return counted


@lru_cache(maxsize=2**15)  # its key is kept: numbers that are read again take half the time
def with_seed(spec: AnySpec, seed: int) -> AnySpec:
    """The same run or experiment with another seed."""
    return cast(AnySpec, spec.with_seed(seed))


_shipped_only: ContextVar[bool] = ContextVar("shipped_only", default=False)


@contextmanager
def shipped_only() -> Iterator[None]:
    """A context in which only shipped results count, so that numbers are the same on every machine.

    >>> with shipped_only():
    ...     print(len(results_by_seed(Run())))
    30
    """
    before = _shipped_only.set(True)
    try:
        yield
    finally:
        _shipped_only.reset(before)


def if_it_counts(stored: Result | None) -> Result | None:
    """A result if it counts, else None."""
    if stored and _shipped_only.get() and stored.source != "shipped":
        return None
    return stored


def look_up(spec: Spec, measure: Measure = ()) -> Result | None:
    """A spec's result with these measurements; None if there is none, or if it does not count."""
    return if_it_counts(find(spec, measure))


def results_by_seed(
    spec: object, measure: Measure = (), seeds: Iterable[int] | None = None
) -> dict[int, Result]:
    """A spec's results by seed.

    Arguments:
        spec: a run or an experiment, whose own seed does not matter.
        measure: what the results must have.
        seeds: which to look up, instead of all that count.

    Returns:
        {seed: result}, which is empty for anything but a spec.
    """
    if not isinstance(spec, Spec):
        return {}
    if seeds is None:
        # One search for all seeds, which is quicker than `find` for each. `by_seed` reads it from
        # seed 0 on, one after another, and stops
        in_order = find_each((with_seed(spec, seed) for seed in count()), measure)
        results = by_seed(lambda seed: if_it_counts(next(in_order)))
    else:
        results = {}
        for seed in seeds:
            stored = if_it_counts(find(with_seed(spec, seed), measure))
            if stored:
                results[seed] = stored
    return results


def trained_places(run: Run) -> set[Place]:
    """The places of all runs with a result, shipped or live, that differ from a run only in their
    place, as far as their seeds count. A run with further windows or treatments does not find its
    controls here, which have none of them.

    >>> ("blur", 0, 8, 15, 0) in trained_places(Run())
    True
    """
    setting = setting_of(rows.run_columns(check_spec(run)))
    places = set(shipped_places(store.archive()).get(setting, ()))
    if not _shipped_only.get():
        for live in store.live_results("Run"):
            columns = rows.run_columns(live.spec)
            if setting_of(columns) == setting:
                places.add(place_of(columns))
    # By all of a place but its seed
    seeds: dict[tuple[str, int, int, int], set[int]] = defaultdict(set)
    for place in places:
        seeds[place[:-1]].add(place.seed)
    counted = set()
    for window, trained in seeds.items():
        for seed in counted_seeds(trained):
            counted.add(Place(*window, seed))
    return counted


@lru_cache(maxsize=2)
def shipped_places(archive: store.Archive) -> dict[tuple, set[Place]]:
    """The places of the shipped runs of each setting. pandas is not needed for it."""
    places: dict[tuple, set[Place]] = defaultdict(set)
    for row in archive.columns(["kind", "version", *rows.RUN_COLUMNS]).to_pylist():
        if row["kind"] == "Run" and row["version"] == Run.version:
            places[setting_of(row)].add(place_of(row))
    return places


def place_of(columns: Mapping[str, Any]) -> Place:
    """The place of a run with these columns."""
    return Place(*(columns[name] for name in Place._fields))


def setting_of(columns: Mapping[str, object]) -> tuple:
    """A run's columns apart from its place, which are equal for all runs of one setting."""
    return tuple(columns[name] for name in SETTING)
