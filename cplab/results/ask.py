"""Asking for results: look them up, or train what is missing and keep it."""

import hashlib
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from threading import Event
from typing import Any

from cplab import errors, specs
from cplab.engine.tree import Context, Segment, plan
from cplab.errors import Cancelled, Diverged, quote, require
from cplab.measure import parse_measures
from cplab.results import store, tables
from cplab.results.result import HOW, Result, outcome
from cplab.results.store import find
from cplab.runs import Run
from cplab.specs.own import own_functions

NEAR = 0.05  # of accuracies on two machines; seeds of nearly all runs differ by less
LOCKS = 200  # that one process holds, since each is an open file
QUICK = 20  # seconds of training below which nothing is announced


def run(
    spec: Any = None,
    /,
    *,
    measure: Any = (),
    fresh: bool = False,
    device: str = "auto",
    stop: Event | None = None,
    report: Callable[[Any, dict], None] | None = None,
    **fields: Any,
) -> Result:
    """Look up the result of one run, or train it here and now and keep it.

    Arguments:
        spec: a Run or another spec; or give a run's fields by name, as below.
        measure: what to measure on it: a name of cplab.measure.MEASUREMENTS or your own, several of
            these, or {name: "every", "end" or epochs}. Where missing, the run is trained again.
        fresh: train it even if there is a result.
        device: auto, cuda, mps or cpu.
        stop: a threading.Event that ends training before the next batch.
        report: called with (spec, row) after each epoch; without it, progress goes to standard
            error.
    Raises: CplabError (bad input), Cancelled, Diverged.

    >>> import cplab
    >>> cplab.run(deficit="blur", length=8, seed=0).source
    'shipped'
    """
    wanted = Run(**fields) if spec is None else replace(specs.check_spec(spec), **fields)
    how: dict[str, Any] = {"fresh": fresh, "device": device, "stop": stop, "report": report}
    [result] = sweep([wanted], measure, progress=report is None, **how)
    return result


def sweep(
    wanted: Iterable, measure: Any = (), *, progress: bool = True, fresh: bool = False, **how: Any
) -> list[Result]:
    """Get the results of a set of specs in their order. What is missing is trained as a tree, in
    which a common beginning is trained once. Raises: CplabError, Cancelled; Diverged in the end.

    Arguments: wanted, runs or other specs; progress, whether it is shown on standard error;
        device, stop, report, measure and fresh, as in run; workers (processes); executor, any of
        concurrent.futures whose workers have cplab, to train there.

    >>> import cplab
    >>> runs = [cplab.Run(deficit="blur", length=n, seed=0) for n in (4, 8)]
    >>> [result.spec.length for result in cplab.sweep(runs)]
    [4, 8]
    """
    context, measures = Context(**how), parse_measures(measure)
    all_specs = check_specs(wanted)
    longest = max((getattr(spec, "epochs", 1) for spec in all_specs), default=0)
    for name, when in measures.items():
        some = isinstance(when, str) or not all_specs or any(epoch < longest for epoch in when)
        require(some, f"{name} at {when} measures nothing: give epochs from 0 to {longest - 1}")
    results, missing = look_up(all_specs, measures, fresh)
    if progress and missing:
        announce(missing, measures)
    total = sum(root.epochs for root in trees(missing))
    with progress_bar(total, hidden=not (progress and total)) as bar:

        def report(spec: Any, row: dict) -> None:
            bar.update("epoch" in row)
            context.report(spec, row)

        for spec, result in collect(missing, measures, fresh=fresh, **how | {"report": report}):
            results[spec] = result
            bar.set_postfix_str(f"{len(results)} of {len(set(all_specs))} results", refresh=False)
    return [results[spec] for spec in all_specs]


def at_hand(
    wanted: Iterable, measure: Any = (), *, seconds: float = 240, **how: Any
) -> dict[Any, Result]:
    """Get the results of a set of specs, by spec, without a long wait. What is missing is trained,
    as by sweep, only if all of it takes less than `seconds` here; else a line says how much is
    missing. Arguments: wanted, measure and all others as in sweep.

    >>> import cplab
    >>> len(cplab.at_hand([cplab.Run(deficit="blur", length=8, seed=seed) for seed in range(3)]))
    3
    """
    all_specs, measures = check_specs(wanted), parse_measures(measure)
    results, missing = look_up(all_specs, measures, how.get("fresh", False))
    cost = estimate(missing, measures)
    if not missing or (cost is not None and cost < seconds):
        return results | dict(zip(missing, sweep(missing, measures, **how), strict=True))
    what = f"{len(missing)} of {len({*all_specs})} results, which have yet to be trained"
    print(f"Not shown: {what} ({format_duration(cost)} on this machine).")
    return results


def collect(
    wanted: Iterable, measure: Any = (), *, fresh: bool = False, **how: Any
) -> Iterator[tuple[Any, Result]]:
    """Yield (spec, Result) for a set of specs: first those with a result, then the others as they
    are trained. Processes that want the same specs share the work: each locks specs that begin
    alike. Arguments: as in sweep.

    >>> [result.source for run, result in collect([Run(deficit="blur", length=8)])]
    ['shipped']
    """
    context, measures = Context(**how), parse_measures(measure)
    results, missing = look_up(wanted, measures, fresh)
    yield from results.items()
    if not missing:
        return
    with errors.installed():
        from cplab.engine.sweep import usual_workers
    if context.executor is None and not context.workers:
        # as for the whole set, since the bits of large networks depend on it
        context.workers = usual_workers(missing, context.device)
    diverged: list[Diverged] = []
    requested = {*missing}
    while missing:
        with lock_trees(missing) as ours:
            taken = {*ours}
            missing = [spec for spec in missing if spec not in taken]
            if not ours and context.stop.wait(0.2):  # others train all that is left
                raise Cancelled
            results, ours = look_up(ours, measures, fresh)  # trained by others meanwhile
            yield from results.items()
            for spec, training in train(ours, context, measures):
                if isinstance(training, Diverged):
                    diverged.append(training)
                    continue
                result = store.keep(make_result(spec, training))
                if spec in requested:  # and not one that another spec begins with
                    yield spec, result
    if diverged:
        others = f" (and {len(diverged) - 1} more)" if diverged[1:] else ""
        raise Diverged(f"{diverged[0]}{others}") from diverged[0]


def check_specs(wanted: Iterable) -> list:
    """Return these specs as a list, once they are checked. Raises CplabError."""
    several = isinstance(wanted, Iterable) and not isinstance(wanted, str)
    require(several, f"{quote(wanted)} is not allowed: give a list of runs")
    return [specs.check_spec(spec) for spec in wanted]


def look_up(wanted: Iterable, measures: dict, fresh: bool = False) -> tuple[dict, list]:
    """Split specs into those with a result, {spec: result}, and those without, all if `fresh`."""
    unique = dict.fromkeys(wanted)
    results = {} if fresh else {s: result for s in unique if (result := find(s, measures))}
    return results, [spec for spec in unique if spec not in results]


@contextmanager
def lock_trees(wanted: list) -> Iterator[list]:
    """Lock the specs that no other process is training, and yield them. Specs that may share
    training share a lock."""
    trees, ours = defaultdict(list), list[Any]()
    for spec in wanted:
        trees[spec.trunk_key].append(spec)
    with ExitStack() as locks:
        for trunk, tree in [*trees.items()][:LOCKS]:
            name = hashlib.sha256(repr(trunk).encode()).hexdigest()[:16]
            path = errors.cache_dir() / "locks" / f"{name}.lock"
            if locks.enter_context(errors.lock_file(path, wait=False)):
                ours += tree
        yield ours


def train(wanted: Iterable, context: Context, measures: dict) -> Iterator[tuple[Any, Any]]:
    """Train specs, by the engine, or by their class if it has no timeline. Yields (spec, its
    Training or Diverged)."""
    with errors.installed():
        from cplab.engine.sweep import train_all

    groups = defaultdict(list)
    for spec in wanted:
        groups[getattr(spec, "train_all", train_all)].append(spec)
    for compute, group in groups.items():
        yield from compute(group, context, measures)


def make_result(spec: Any, training: Any) -> Result:
    """Make the Result of a spec from its Training."""
    names = " ".join([spec.canonical(), *training.measured])
    own = {entry.name: entry.source for entry in own_functions() if entry.name in names}
    return Result(spec, **vars(training), commit=store.commit(), own=own)


# How long it takes --------------------------------------------------------------------------------


def announce(missing: list, measures: dict) -> None:
    """Print how long training takes, if that is long."""
    seconds = estimate(missing, measures)
    if seconds is None or seconds > QUICK:
        results = f"{len(missing)} result{'s' if len(missing) > 1 else ''}"
        text = f"takes {format_duration(seconds)} on one process of this machine."
        print(f"Training {results} {text}", file=sys.stderr, flush=True)


def format_duration(seconds: float | None) -> str:
    """Write a time in words: `about 4 minutes`.

    >>> format_duration(240), format_duration(9000), format_duration(None)
    ('about 4 minutes', 'about 2.5 hours', 'a time that is not known yet')
    """
    if seconds is None:
        return "a time that is not known yet"
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 1.5 * length:
            return f"about {seconds / length:.2g} {unit}"
    return f"about {seconds:.0f} seconds"


def progress_bar(total: int, hidden: bool) -> Any:
    """A progress bar on standard error, or a line a minute where that is not a terminal."""
    from tqdm import tqdm

    line = "{n_fmt} of {total_fmt} epochs{postfix}, {remaining} left\n"
    options: dict[str, Any] = {"delay": 10, "mininterval": 60, "bar_format": line}
    options = {"delay": 0.01} if sys.stderr.isatty() else options
    return tqdm(total=total, unit="epoch", file=sys.stderr, disable=hidden, **options)


def trees(wanted: Iterable) -> list[Segment]:
    """Plan the specs that the engine trains."""
    return plan(spec for spec in wanted if hasattr(spec, "timeline"))


def estimate(wanted: Iterable, measure: Any = ()) -> float | None:
    """Estimate, from results of their size, the seconds that it takes to train and measure these
    specs one by one, with the specs that they begin from. None where no result is like them.

    >>> from cplab import Run
    >>> estimate([Run(deficit="blur", length=6, seed=99)]) > 1
    True
    """
    wanted, measures, total = dict.fromkeys(wanted), parse_measures(measure), 0.0
    sources = {s.source for s in wanted if getattr(s, "source", None)} - {*wanted}
    wanted = [*wanted, *(source for source in sources if not find(source))]
    parts = [(spec, 1, 0) for spec in wanted if not hasattr(spec, "timeline")]
    for root in trees(wanted):
        parts.append((root.spec, root.epochs, sum(len(part.ends) for part in root.subtree())))
    for spec, epochs, ends in parts:
        pace = tables.seconds_per_epoch(spec)
        if pace is None:
            return None
        total += pace * epochs
        for name, when in measures.items():
            counts = {"every": epochs, "end": ends}
            times = counts[when] if isinstance(when, str) else min(epochs, len(when) * ends)
            total += (tables.seconds_of_measurement(spec, name) or 0) * times
    return total


# Training again ----------------------------------------------------------------------------------


def retrain(result: Result, device: str = "auto") -> tuple[str, Result]:
    """Train a result's spec again, with as many threads, and compare. Nothing is kept.

    Returns: `equal` if all values are, bit by bit; `near` if the machine, the images, the number
        format, the threads or torch differ and each accuracy is within five points; else `off`; and
        the new result.

    >>> retrain(run(profile="ci", recovery=1))[0]
    'equal'
    """
    spec = replace(result.spec)  # a new object, which looks up again what its fields name
    context = Context(device, workers=1, threads=result.threads or None)
    training = dict(train([spec], context, {}))[spec]
    if isinstance(training, Diverged):
        raise training
    again = make_result(spec, training)
    if outcome(result) == outcome(again):
        return "equal", again
    elsewhere = any(getattr(again, n) != getattr(result, n) for n in HOW if n != "commit")
    pairs = zip(accuracies(result), accuracies(again), strict=True)
    close = all(abs(before - after) <= NEAR for before, after in pairs)
    return "near" if elsewhere and close else "off", again


def accuracies(result: Result) -> list[float]:
    """All accuracies that a result holds: one, several, or none."""
    found = result.accuracy if isinstance(result.spec, Run) else result.values.get("accuracy", [])
    found = found.values() if isinstance(found, dict) else found
    return [*found] if isinstance(found, Iterable) else [found]
