"""Asking for results: look them up, or train what is missing and keep it."""

import hashlib
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, wait
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import lru_cache
from threading import Event
from typing import Any

from cplab import errors
from cplab.engine.tree import Context, plan
from cplab.errors import Cancelled, CplabError, Diverged, quote, require
from cplab.measure import parse_measures
from cplab.results import store
from cplab.results.result import HOW, Result, outcome
from cplab.results.store import find
from cplab.runs import Run
from cplab.specs import Spec, check_spec
from cplab.specs.experiments import Experiment, find_function
from cplab.specs.own import own_functions

NEAR = 0.05  # of accuracies on two machines; seeds of nearly all runs differ by less
LOCKS = 200  # that one process holds, since each is an open file
QUICK = 20  # seconds of training below which nothing is announced
MANY = 100  # timings of a measurement that are enough for a median


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
        spec: a Run, or an experiment such as search.spec(seed=3); or a run's fields by name.
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
    wanted = Run(**fields) if spec is None else check_spec(spec)
    if fields and spec is not None:
        wanted = wanted.replace(**fields)
    how: dict[str, Any] = {"fresh": fresh, "device": device, "stop": stop, "report": report}
    [result] = sweep([wanted], measure, progress=report is None, **how)
    return result


def sweep(
    wanted: Iterable, measure: Any = (), *, progress: bool = True, fresh: bool = False, **how: Any
) -> list[Result]:
    """Get the results of a set of runs and experiments in their order. What is missing is trained:
    runs as a tree, in which a common beginning is trained once. Raises: CplabError, Cancelled;
    Diverged in the end.

    Arguments: wanted, runs and experiments; progress, whether it is shown on standard error;
        device, stop, report, measure and fresh, as in run; workers (processes); executor, any of
        concurrent.futures whose workers have cplab, to train there.

    >>> import cplab
    >>> runs = [cplab.Run(deficit="blur", length=n, seed=0) for n in (4, 8)]
    >>> [result.spec.length for result in cplab.sweep(runs)]
    [4, 8]
    """
    all_specs, measures = check_specs(wanted, measure)
    results, missing = look_up(all_specs, measures, fresh)
    results |= train_with_bar(missing, measures, progress, fresh, Context(**how))
    return [results[spec] for spec in all_specs]


def at_hand(
    wanted: Iterable, measure: Any = (), *, seconds: float = 240, fresh: bool = False, **how: Any
) -> dict[Any, Result]:
    """Get the results of a set of runs and experiments, by spec, without a long wait. What is
    missing is trained, as by sweep, only if all of it takes less than `seconds` here; else a line
    says how much is missing. Arguments: wanted, measure and all others as in sweep.

    >>> import cplab
    >>> len(cplab.at_hand([cplab.Run(deficit="blur", length=8, seed=seed) for seed in range(3)]))
    3
    """
    all_specs, measures = check_specs(wanted, measure)
    progress = how.pop("progress", True)
    results, missing = look_up(all_specs, measures, fresh)
    cost = estimate(missing, measures)
    if not missing or (cost is not None and cost < seconds):
        return results | train_with_bar(missing, measures, progress, fresh, Context(**how))
    what = f"{len(missing)} of {len({*all_specs})} results, which have yet to be trained"
    print(f"Not shown: {what} ({format_duration(cost)} on this machine).")
    return results


def collect(
    wanted: Iterable, measure: Any = (), *, fresh: bool = False, **how: Any
) -> Iterator[tuple[Any, Result]]:
    """Yield (spec, Result) for a set of runs and experiments: first those with a result, then the
    others as they are trained. Processes that want the same ones share the work: each locks those
    that begin alike. Arguments: as in sweep.

    >>> [result.source for run, result in collect([Run(deficit="blur", length=8)])]
    ['shipped']
    """
    context = Context(**how)
    all_specs, measures = check_specs(wanted, measure)
    results, missing = look_up(all_specs, measures, fresh)
    yield from results.items()
    yield from train_missing(missing, measures, fresh, context)


def check_specs(wanted: Iterable, measure: Any) -> tuple[list, dict]:
    """Return these specs as a list, and the measures by name, once they are checked."""
    if isinstance(wanted, str) or not isinstance(wanted, Iterable):
        raise CplabError(f"{quote(wanted)} is not allowed: give a list of runs")
    all_specs, measures = [check_spec(spec) for spec in wanted], parse_measures(measure)
    if measures and any(isinstance(spec, Experiment) for spec in all_specs):
        raise CplabError(f"{', '.join(measures)} cannot be measured on experiments: give runs")
    longest = max((spec.epochs for spec in all_specs if measures), default=0)
    for name, when in measures.items():
        some = isinstance(when, str) or not all_specs or any(epoch < longest for epoch in when)
        require(some, f"{name} at {when} measures nothing: give epochs from 0 to {longest - 1}")
    return all_specs, measures


def look_up(wanted: Iterable, measures: dict, fresh: bool = False) -> tuple[dict, list]:
    """Split specs into those with a result, {spec: result}, and those without, all if `fresh`."""
    unique = dict.fromkeys(wanted)
    results = {} if fresh else {s: result for s in unique if (result := find(s, measures))}
    return results, [spec for spec in unique if spec not in results]


# Training what is missing -------------------------------------------------------------------------


def train_with_bar(
    missing: list, measures: dict, progress: bool, fresh: bool, context: Context
) -> dict[Any, Result]:
    """Train specs, {spec: result}, with a line and a bar on standard error if `progress`."""
    if progress and missing:
        announce(missing, measures)
    experiments = [spec for spec in missing if isinstance(spec, Experiment)]
    total = sum(root.epochs for root in trees(missing)) + len(experiments)
    tell, results = context.report, dict[Any, Result]()
    with progress_bar(total, hidden=not (progress and total)) as bar:

        def report(spec: Any, row: dict) -> None:
            bar.update("epoch" in row)
            tell(spec, row)

        context.report = report
        for spec, result in train_missing(missing, measures, fresh, context):
            results[spec] = result
            bar.update(isinstance(spec, Experiment))
            bar.set_postfix_str(f"{len(results)} of {len(missing)} results", refresh=False)
    return {spec: results[spec] for spec in missing}


def train_missing(
    missing: list, measures: dict, fresh: bool, context: Context
) -> Iterator[tuple[Any, Result]]:
    """Yield (spec, Result) as specs are trained, here or by another process that wants them too."""
    if not missing:
        return
    with errors.installed():
        from cplab.engine.sweep import usual_workers
    runs = [spec for spec in missing if isinstance(spec, Run)]
    if runs and context.executor is None and not context.workers:
        # as for the whole set, since the bits of large networks depend on it
        context = replace(context, workers=usual_workers(runs, context.device))
    diverged, waited, requested = list[Diverged](), False, {*missing}
    while missing:
        with lock_trees(missing) as ours:
            missing = [spec for spec in missing if spec not in {*ours}]
            if not ours and context.stop.wait(0.2):  # others train all that is left
                raise Cancelled
            if waited:  # others may have trained it meanwhile
                results, ours = look_up(ours, measures, fresh)
                yield from results.items()
            for spec, result in train(ours, context, measures):
                if isinstance(result, Diverged):
                    diverged.append(result)
                    continue
                result = store.keep(result)
                if spec in requested:  # and not only what others begin from
                    yield spec, result
        waited = True
    if diverged:
        others = f" (and {len(diverged) - 1} more)" if diverged[1:] else ""
        raise Diverged(f"{diverged[0]}{others}") from diverged[0]


@contextmanager
def lock_trees(wanted: list) -> Iterator[list]:
    """Lock the specs that no other process is training, and yield them. Runs that may share
    training share a lock."""
    trees, ours = defaultdict(list), list[Any]()
    for spec in wanted:
        trees[getattr(spec, "trunk_key", spec.key)].append(spec)
    with ExitStack() as locks:
        for trunk, tree in [*trees.items()][:LOCKS]:
            name = hashlib.sha256(repr(trunk).encode()).hexdigest()[:16]
            path = errors.cache_dir() / "locks" / f"{name}.lock"
            if locks.enter_context(errors.lock_file(path, wait=False)):
                ours += tree
        yield ours


def train(
    wanted: Iterable, context: Context, measures: dict
) -> Iterator[tuple[Any, Result | Diverged]]:
    """Train runs by the engine, and compute experiments. Yields (spec, its Result or Diverged)."""
    with errors.installed():
        from cplab.engine.sweep import train_all
    wanted = list(wanted)
    if runs := [spec for spec in wanted if isinstance(spec, Run)]:
        for spec, training in train_all(runs, context, measures):
            lost = isinstance(training, Diverged)
            yield spec, training if lost else make_result(spec, **vars(training))  # type: ignore[misc]
    experiments = dict.fromkeys(spec for spec in wanted if isinstance(spec, Experiment))
    sources = (spec.shares for spec in experiments if isinstance(spec.shares, Experiment))
    first = dict.fromkeys(spec for spec in sources if spec in experiments or not find(spec))
    yield from compute_all([*first], context)  # what others begin from, asked for or not
    yield from compute_all([spec for spec in experiments if spec not in first], context)


def compute_all(
    experiments: list[Experiment], context: Context
) -> Iterator[tuple[Experiment, Result | Diverged]]:
    """Compute experiments, each on one thread, several side by side: yields (experiment, its Result
    or Diverged). A function that a notebook defines is computed in this process."""
    from cplab import devices
    from cplab.engine import workers

    cores = devices.usable_cores() if devices.pick(context.device).type == "cpu" else 1
    here = any(spec.address.startswith("__main__:") for spec in experiments)
    count = 1 if here else min(context.workers or cores, len(experiments))
    with ExitStack() as stack:
        pool: Executor | None = None if here else context.executor
        if pool is None and count < 2:
            for spec in experiments:
                yield spec, compute(spec, context.device, context.threads, context.stop)
            return
        pool = pool or stack.enter_context(workers.processes(count, 1))
        jobs = {pool.submit(compute, spec, context.device): spec for spec in experiments}
        while jobs:
            if context.stop.is_set():
                for job in jobs if context.executor else ():
                    job.cancel()
                raise Cancelled
            for job in wait(jobs, timeout=0.1, return_when=FIRST_COMPLETED).done:
                yield jobs.pop(job), job.result()


def compute(
    experiment: Experiment, device: str, threads: int | None = None, stop: Event | None = None
) -> Result | Diverged:
    """Compute an experiment here: its result, or the error if it diverged."""
    import torch

    from cplab import devices

    function, place = find_function(experiment.address), devices.pick(device)
    if stop and stop.is_set():
        raise Cancelled
    if function.version != experiment.version:
        what = f"{experiment.call()} is of version {experiment.version}"
        raise CplabError(f"{what}, its function of {function.version}: ask for it anew")
    how = {n: v for n, v in {"device": device, "stop": stop}.items() if n in function.how}
    began = time.perf_counter()
    try:
        with devices.explain_failures(), devices.torch_defaults(threads or 1):
            values = function.compute(**experiment.arguments, **how)
    except Diverged as error:
        return error
    return make_result(
        experiment,
        seconds=time.perf_counter() - began,
        copy=values.pop("copy", ""),
        values=values,
        device=devices.machine(place),
        precision=devices.precision("native", place),
        threads=threads or 1,
        torch=str(torch.__version__),
    )


def values_of(experiment: Experiment, device: str = "auto", stop: Event | None = None) -> dict:
    """The values of an experiment: looked up, or computed here and kept. Raises: Cancelled,
    Diverged."""
    result = find(experiment) or compute(experiment, device, stop=stop)
    if isinstance(result, Diverged):
        raise result
    return (result if result.source == "shipped" else store.keep(result)).values


def make_result(spec: Spec, **training: Any) -> Result:
    """Make a result, with the source of a student's own functions that it names."""
    names = " ".join([spec.canonical(), *training.get("measured", ())])
    own = {entry.name: entry.source for entry in own_functions() if entry.name in names}
    return Result(spec, **training, commit=store.commit(), own=own)


# How long it takes --------------------------------------------------------------------------------


def announce(missing: list, measures: dict) -> None:
    """Print how long training takes, if that is known and long."""
    seconds = estimate(missing, measures)
    if seconds and seconds > QUICK:
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


def trees(wanted: Iterable) -> list:
    """Plan the runs among these specs."""
    return plan(spec for spec in wanted if isinstance(spec, Run))


def estimate(wanted: Iterable, measure: Any = ()) -> float | None:
    """Estimate, from results of their size, the seconds that it takes to train and measure these
    specs one by one. None where no result is like them.

    >>> from cplab import Run
    >>> estimate([Run(deficit="blur", length=6, seed=99)]) > 1
    True
    """
    wanted, measures, total = [*dict.fromkeys(wanted)], parse_measures(measure), 0.0
    parts = [(spec, 1, 0) for spec in wanted if isinstance(spec, Experiment)]
    for root in trees(wanted):
        parts.append((root.spec, root.epochs, sum(len(part.ends) for part in root.subtree())))
    for spec, epochs, ends in parts:
        pace = seconds_per_epoch(spec)
        if pace is None:
            return None
        total += pace * epochs
        for name, when in measures.items():
            counts = {"every": epochs, "end": ends}
            times = counts[when] if isinstance(when, str) else min(epochs, len(when) * ends)
            total += (seconds_of_measurement(spec, name) or 0) * times
    return total


def similar(spec: Spec) -> tuple[bool, dict[str, float]]:
    """Whether this user has results of a spec's size, and the seconds of an epoch in them, or else
    in shipped ones, by key. An experiment counts as one epoch."""
    size = store.size_of(spec)
    own = [r for r in store.live_results(spec.address) if store.size_of(r.spec) == size]
    if own:
        return True, {r.key: r.seconds / getattr(r.spec, "epochs", 1) for r in own}
    return False, shipped_times(store.archive()).get((size, spec.version), {})


@lru_cache(maxsize=2)
def shipped_times(archive: store.Archive) -> dict[tuple, dict[str, float]]:
    """Seconds an epoch of shipped results, by size and version, then by key. Only those from a CPU:
    those from a GPU would promise too much."""
    times = defaultdict[tuple, dict[str, float]](dict)
    names = ["size", "version", "key", "seconds", "epochs", "device"]
    for row in archive.rows.select(names).to_pylist():
        if row["device"].startswith("cpu"):
            times[row["size"], row["version"]][row["key"]] = row["seconds"] / row["epochs"]
    return times


def seconds_per_epoch(spec: Spec) -> float | None:
    """Estimate the seconds of an epoch of a run, or of an experiment: the shortest time on this
    machine, since other work may have slowed the rest; the lower quartile of shipped results, for
    the same reason. None if nothing of this size has run."""
    is_own, seconds = similar(spec)
    times = [time for time in seconds.values() if time]  # some results have none
    if not times:
        return None
    return min(times) if is_own else sorted(times)[len(times) // 4]


def seconds_of_measurement(spec: Spec, name: str) -> float | None:
    """The seconds that one measurement takes, the median of results of this size, or None."""
    seconds = list[float]()
    for key in similar(spec)[1]:
        rows = store.by_key(key).measured.get(name, {}).values()
        seconds += [r["seconds"] for r in rows if isinstance(r, dict) and r.get("seconds")]
        if len(seconds) >= MANY:
            break
    return statistics.median(seconds) if seconds else None


# Training again -----------------------------------------------------------------------------------


def retrain(result: Result, device: str = "auto") -> tuple[str, Result]:
    """Train a result's spec again, with as many threads, and compare. Nothing is kept.

    Returns: `equal` if all values are, bit by bit; `near` if the machine, the images, the number
        format, the threads or torch differ and each accuracy is within five points; else `off`; and
        the new result.

    >>> retrain(run(profile="ci", recovery=1))[0]
    'equal'
    """
    spec = result.spec.replace()  # a new object, which looks up again what its fields name
    [(_, again)] = train([spec], Context(device, workers=1, threads=result.threads or None), {})
    if isinstance(again, Diverged):
        raise again
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
