"""Asking for results: look them up, or train what is missing and keep it."""

import hashlib
import statistics
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from itertools import chain, islice
from threading import Event
from typing import Any

import cplab.results.store as store
from cplab import errors, files
from cplab.engine.tree import Context, plan
from cplab.errors import Cancelled, CplabError, Failed, quote, require
from cplab.measure import parse_measures
from cplab.results.result import HOW, Result, outcome
from cplab.results.store import find
from cplab.runs import Run
from cplab.specs import Spec, check_spec
from cplab.specs.experiments import Experiment, find_function
from cplab.specs.own import own_entries

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
    Raises: CplabError (bad input), Cancelled, Failed, Diverged.

    >>> import cplab
    >>> cplab.run(deficit="blur", length=8, seed=0).source
    'shipped'
    """
    wanted = Run(**fields) if spec is None else check_spec(spec)
    if fields and spec is not None:
        wanted = wanted.replace(**fields)
    how: dict[str, Any] = {"fresh": fresh, "device": device, "stop": stop, "report": report}
    [(_, result)] = collect([wanted], measure, progress=report is None, **how)
    return result


def sweep(
    wanted: Iterable, measure: Any = (), *, progress: bool = True, **how: Any
) -> list[Result]:
    """Get the results of a set of runs and experiments in their order. What is missing is trained:
    runs as a tree, in which a common beginning is trained once. Raises: CplabError, Cancelled; in
    the end, once all others are trained and kept, Failed or Diverged for one that failed.

    Arguments: wanted, runs and experiments; progress, whether it is shown on standard error;
        device, stop, report, measure and fresh, as in run; workers (processes); executor, any of
        concurrent.futures whose workers have cplab, to train there.

    >>> import cplab
    >>> runs = [cplab.Run(deficit="blur", length=n, seed=0) for n in (4, 8)]
    >>> [result.spec.length for result in cplab.sweep(runs)]
    [4, 8]
    """
    specs, measures = check_specs(wanted, measure)
    results = dict(collect(specs, measures, progress=progress, **how))
    return [results[spec] for spec in specs]


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
    specs, measures = check_specs(wanted, measure)
    results, missing = look_up(specs, measures, fresh)
    cost = estimate(missing, measures)
    if not missing or (cost is not None and cost < seconds):
        return dict(zip(specs, sweep(specs, measures, fresh=fresh, **how), strict=True))
    what = f"{len(missing)} of {len({*specs})} results, which have yet to be trained"
    print(f"Not shown: {what} ({format_duration(cost)} on this machine).")
    return results


def collect(
    wanted: Iterable, measure: Any = (), *, progress: bool = False, fresh: bool = False, **how: Any
) -> Iterator[tuple[Any, Result]]:
    """Yield (spec, Result) for a set of runs and experiments: first those with a result, then the
    others as they are trained. Processes that want the same ones share the work: each locks those
    that begin alike. Arguments: as in sweep.

    >>> [result.source for run, result in collect([Run(deficit="blur", length=8)])]
    ['shipped']
    """
    context, (specs, measures) = Context(**how), check_specs(wanted, measure)
    results, missing = look_up(specs, measures, fresh)
    yield from results.items()
    if not missing:
        return
    with errors.installed():
        from cplab.engine.sweep import open_executor, train_all, usual_workers
    runs = [spec for spec in missing if isinstance(spec, Run)]
    if runs and context.executor is None and not context.workers:
        # as for the whole set, since the bits of large networks depend on it
        context.workers = usual_workers(runs, context.device)
    tell, count, done = context.report, len(missing), 0
    failures = list[Failed]()
    with progress_bar(missing, measures, hidden=not progress) as bar, ExitStack() as stack:

        def report(spec: Any, row: dict) -> None:
            if not bar.n:
                bar.unpause()  # the time in which processes start says nothing of the rest
            bar.update("epoch" in row)
            tell(spec, row)

        context.report = report
        while missing:
            with lock_trees(missing) as ours:
                held = {*ours}
                missing = [spec for spec in missing if spec not in held]
                if not ours and context.stop.wait(0.2):  # others train all that is left
                    raise Cancelled
                results, to_train = look_up(ours, measures, fresh)  # others may have trained it
                if to_train and context.pool is None:  # one for all that is left
                    stack.enter_context(open_executor(to_train + missing, context))
                for spec, found in chain(results.items(), train_all(to_train, context, measures)):
                    if isinstance(found, Failed):
                        failures.append(found)
                        continue
                    result = found if spec in results else store.keep(make_result(spec, found))
                    done += 1
                    bar.update(isinstance(spec, Experiment))
                    bar.set_postfix_str(f"{done} of {count} results", False)
                    yield spec, result
    if failures:
        first = failures[0]
        others = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
        raise type(first)(f"{first}{others}") from first


def check_specs(wanted: Iterable, measure: Any) -> tuple[list, dict]:
    """Return these specs as a list, and the measures by name, once they are checked."""
    if isinstance(wanted, str) or not isinstance(wanted, Iterable):
        raise CplabError(f"{quote(wanted)} is not allowed: give a list of runs")
    specs, measures = [check_spec(spec) for spec in wanted], parse_measures(measure)
    if measures and any(isinstance(spec, Experiment) for spec in specs):
        raise CplabError(f"{', '.join(measures)} cannot be measured on experiments: give runs")
    longest = max((spec.epochs for spec in specs if measures), default=0)
    for name, when in measures.items():
        some = isinstance(when, str) or not specs or any(epoch < longest for epoch in when)
        require(some, f"{name} at {when} measures nothing: give epochs from 0 to {longest - 1}")
    return specs, measures


def look_up(wanted: Iterable, measures: dict, fresh: bool) -> tuple[dict, list]:
    """Split specs into those with a result, {spec: result}, and those without, all if `fresh`."""
    unique = dict.fromkeys(wanted)
    results = {} if fresh else {s: result for s in unique if (result := find(s, measures))}
    return results, [spec for spec in unique if spec not in results]


# Training what is missing -------------------------------------------------------------------------


@contextmanager
def lock_trees(wanted: list) -> Iterator[list]:
    """Lock the specs that no other process is training, and yield them. Runs that may share
    training share a lock."""
    trees, ours = defaultdict(list), list[Any]()
    for spec in wanted:
        trees[getattr(spec, "prefix_key", spec.key)].append(spec)
    with ExitStack() as locks:
        for trunk, tree in [*trees.items()][:LOCKS]:
            name = hashlib.sha256(repr(trunk).encode()).hexdigest()[:16]
            path = files.cache_dir() / "locks" / f"{name}.lock"
            if locks.enter_context(files.lock_file(path, wait=False)):
                ours += tree
        yield ours


def values_of(experiment: Experiment, device: str = "auto", stop: Event | None = None) -> dict:
    """The values of an experiment: looked up, or computed here and kept. Raises: Cancelled,
    Failed."""
    if result := find(experiment):
        return result.values
    with errors.installed():
        from cplab.engine.experiments import compute
    return store.keep(make_result(experiment, compute(experiment, device, stop=stop))).values


def make_result(spec: Spec, training: Any) -> Result:
    """Make a result of what was trained, with the source of a student's own functions that it
    names. Raises: Failed, if that is what came of it."""
    if isinstance(training, Failed):
        raise training
    names = " ".join([spec.canonical(), *training.get("measured", ())])
    own = {entry.name: entry.source for entry in own_entries() if entry.name in names}
    if isinstance(spec, Experiment) and (source := find_function(spec.address).text):
        own[spec.name] = source
    return Result(spec, **training, commit=store.commit(), own=own)


# How long it takes --------------------------------------------------------------------------------


def format_duration(seconds: float | None) -> str:
    """Write a time in words: `about 4 minutes`.

    >>> format_duration(1.2), format_duration(9000), format_duration(None)
    ('about 1 second', 'about 2.5 hours', 'a time that is not known yet')
    """
    if seconds is None:
        return "a time that is not known yet"
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 1.5 * length:
            return f"about {seconds / length:.2g} {unit}"
    return f"about {seconds:.0f} second{'s' * (round(seconds) != 1)}"


def progress_bar(missing: list, measures: dict, hidden: bool) -> Any:
    """A progress bar on standard error, or a line a minute where that is not a terminal; and before
    it a line that says how long training takes, if that is known and long."""
    from tqdm import tqdm

    seconds = None if hidden else estimate(missing, measures)
    if seconds and seconds > QUICK:
        what = f"{len(missing)} result{'s' if len(missing) > 1 else ''}"
        took = format_duration(seconds)
        tqdm.write(f"Training {what} takes {took} on one process of this machine.", sys.stderr)
    total = sum(epochs for _, epochs, _ in parts(missing))
    line = "{n_fmt} of {total_fmt} epochs{postfix}, {remaining} left\n"
    options: dict[str, Any] = {"delay": 10, "mininterval": 60, "bar_format": line}
    options = {"delay": 0.01} if sys.stderr.isatty() else options
    return tqdm(total=total, unit="epoch", file=sys.stderr, disable=hidden, **options)


def parts(wanted: Iterable) -> list[tuple[Any, int, int]]:
    """What has to be trained for specs, common beginnings once: one of the specs, how many epochs,
    and how many specs end in it. An experiment counts as one epoch."""
    unique = [*dict.fromkeys(wanted)]
    roots = plan(spec for spec in unique if isinstance(spec, Run))
    ends = [sum(len(part.ends) for part in root.subtree()) for root in roots]
    of_runs = [(root.spec, root.epochs, count) for root, count in zip(roots, ends, strict=True)]
    return of_runs + [(spec, 1, 0) for spec in unique if isinstance(spec, Experiment)]


def estimate(wanted: Iterable, measure: Any = ()) -> float | None:
    """Estimate, from results of their size (this user's own, or else shipped ones), the seconds
    that it takes to train and measure these specs one by one. None where no result is like them.

    >>> from cplab import Run
    >>> estimate([Run(deficit="blur", length=6, seed=99)]) > 1
    True
    """
    measures, total = parse_measures(measure), 0.0
    by_size = defaultdict[str, list](list)  # since all results of a size are read
    for part in parts(wanted):
        by_size[store.size_of(part[0])].append(part)
    for size, alike in by_size.items():
        epochs, ends = (sum(part[place] for part in alike) for place in (1, 2))
        spec = alike[0][0]
        own = [r for r in store.live_results(spec.address) if store.size_of(r.spec) == size]
        seconds = {r.key: r.seconds / getattr(r.spec, "epochs", 1) for r in own}  # of an epoch
        seconds = seconds or shipped_seconds(store.archive(), size, spec.version)
        times = sorted(filter(None, seconds.values()))  # some results have none
        if not times:
            return None
        # the quickest tenth, since other work may have slowed the rest
        total += times[len(times) // 10] * epochs
        for name, when in measures.items():
            counts: dict[Any, int] = {"every": epochs, "end": ends}
            count = counts.get(when, min(epochs, len(when) * ends))
            rows = (store.by_key(key).measured.get(name, {}).values() for key in seconds)
            taken = (r["seconds"] for r in chain(*rows) if isinstance(r, dict) and "seconds" in r)
            total += statistics.median([*islice(taken, MANY)] or [0.0]) * count
    return total


@lru_cache
def shipped_seconds(archive: store.Archive, size: str, version: int) -> dict[str, float]:
    """The seconds of an epoch in shipped results of a size, by key. Only those from a CPU: those
    from a GPU would promise too much."""
    names = ["key", "seconds", "epochs", "size", "version", "device"]
    return {
        row["key"]: row["seconds"] / row["epochs"]
        for row in archive.columns(names).to_pylist()
        if (row["size"], row["version"]) == (size, version) and row["device"].startswith("cpu")
    }


# Training again -----------------------------------------------------------------------------------


def retrain(result: Result, device: str = "auto") -> tuple[str, Result]:
    """Train a result's spec again, with as many threads, and compare. Nothing is kept.

    Returns: `equal` if all values are, bit by bit; `other` if they are not, and the machine, the
        images, the number format, the threads or torch differ as well; else `off`; and the new
        result.

    >>> retrain(run(profile="ci", recovery=1))[0]
    'equal'
    """
    spec = result.spec.replace()  # a new object, which looks up again what its fields name
    context = Context(device, workers=1, threads=result.threads or None)
    with errors.installed():
        from cplab.engine.sweep import train_all
    [(_, trained)] = train_all([spec], context)
    again = make_result(spec, trained)
    if outcome(result) == outcome(again):
        return "equal", again
    elsewhere = any(getattr(again, n) != getattr(result, n) for n in HOW if n != "commit")
    return "other" if elsewhere else "off", again
