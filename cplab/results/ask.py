"""Asking for results: look them up, or train what is missing and keep it."""

import hashlib
import math
import random
import re
import statistics
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from threading import Event
from typing import Any

from cplab import errors, specs
from cplab.engine.tree import Segment, plan
from cplab.errors import Cancelled, CplabError, Diverged, one_of, quote, require
from cplab.measure import parse_measures
from cplab.results import store, tables
from cplab.results.result import HOW, Result, outcome
from cplab.results.store import find
from cplab.runs import DEVICES, Run

ROUNDING = 1e-6  # of a sum of a hundred losses, relative; an accuracy cannot differ by so little
NEAR = 0.03  # accuracies that differ by no more are near, however little seeds are seen to differ
LOCKS = 200  # at a time, since each is an open file
QUICK = 20  # seconds of training that are not announced


def no_report(spec: Any, row: dict) -> None:
    pass


def collect(
    wanted: Iterable,
    measure: Any = (),
    *,
    fresh: bool = False,
    device: str = "auto",
    workers: int | None = None,
    executor: Executor | None = None,
    stop: Event | None = None,
    report: Callable[[Any, dict], None] = no_report,
) -> Iterator[tuple[Any, Result]]:
    """The results of a set of specs: known ones first, then the others as they are trained.

    Two processes that ask for the same share the work: what begins alike is locked by one of them.

    Arguments: workers, processes; executor, as in sweep; all others as in run.
    Yields: (spec, Result).
    Raises: CplabError; Cancelled; Diverged, after all others are done.

    >>> [result.source for run, result in collect([Run(deficit="blur", length=8)])]
    ['shipped']
    """
    one_of("device", str(device).partition(":")[0], DEVICES)
    measures, missing = parse_measures(measure), list(dict.fromkeys(wanted))
    known = {} if fresh else find_all(missing, measures)
    yield from known.items()
    missing = [spec for spec in missing if spec not in known]
    if not missing:
        return
    with errors.installed():
        from cplab.engine.sweep import Context, usual_workers
    if executor is None:
        # as for the whole set, since the bits of large networks depend on it
        workers = workers or usual_workers(missing, device)
    how: dict[str, Any] = {"device": device, "executor": executor, "workers": workers}
    context = Context(stop=stop or Event(), report=report, **how)
    diverged: list[Diverged] = []
    try:  # what some of them begin with
        needed = dict.fromkeys(s.source for s in missing if getattr(s, "source", None))
        context.sources |= collect(needed, stop=stop, report=report, **how) if needed else {}
    except Diverged as error:
        diverged.append(error)
    missing = [s for s in missing if getattr(s, "source", None) in {None, *context.sources}]
    while missing:
        with lock_trees(missing) as ours:
            missing = [spec for spec in missing if spec not in ours]
            if not ours and context.stop.wait(0.2):  # others train all that is left
                raise Cancelled
            known = {} if fresh else find_all(ours, measures)  # trained by others meanwhile
            yield from known.items()
            for spec, training in train([s for s in ours if s not in known], context, measures):
                if isinstance(training, Diverged):
                    diverged.append(training)
                else:
                    yield spec, store.keep(make_result(spec, training))
    if diverged:
        more = f" (and {len(diverged) - 1} more)" if diverged[1:] else ""
        raise Diverged(f"{diverged[0]}{more}") from diverged[0]


def train(wanted: list, context: Any, measures: dict) -> Iterator[tuple[Any, Any]]:
    """Train specs: by the engine, or as their class does it that has no timeline.

    Yields: (spec, its Training, or Diverged).
    """
    from cplab.engine.sweep import train_all

    groups = defaultdict(list)
    for spec in wanted:
        groups[getattr(spec, "train_all", train_all)].append(spec)
    for compute, group in groups.items():
        yield from compute(group, context, measures)


def check_specs(wanted: Iterable) -> list:
    """Several specs as a list. Raises CplabError."""
    several = isinstance(wanted, Iterable) and not isinstance(wanted, str)
    require(several, f"{quote(wanted)} is not allowed: give a list of runs")
    return [specs.check_spec(spec) for spec in wanted]


def find_all(wanted: Iterable, measures: dict) -> dict[Any, Result]:
    return {spec: result for spec in wanted if (result := find(spec, measures))}


@contextmanager
def lock_trees(wanted: list) -> Iterator[list]:
    """Lock the specs that no other process is training, and give them. Specs that may share
    training have one lock."""
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


def make_result(spec: Any, training: Any) -> Result:
    """The result of a spec out of what training left."""
    import torch

    from cplab.own import own_functions

    names = " ".join([spec.canonical(), *training.measured])
    own = {entry.name: entry.source for entry in own_functions() if entry.name in names}
    version = str(torch.__version__)
    return Result(spec, **vars(training), torch=version, commit=store.commit(), own=own)


def run(
    spec: Any = None,
    /,
    *,
    measure: Any = (),
    fresh: bool = False,
    device: str = "auto",
    stop: Event | None = None,
    report: Callable[[Any, dict], None] = no_report,
    **fields: Any,
) -> Result:
    """The result of one run: looked up, or trained here and now and kept.

    Arguments:
        spec: a Run or another spec; or give a run's fields by name, as below.
        measure: what to measure on it: a name of cplab.measure.MEASUREMENTS or your own, several of
            these, or {name: "every", "end" or epochs}. Where missing, the run is trained again.
        fresh: train it even if there is a result.
        device: auto, cuda, mps or cpu.
        stop: a threading.Event that ends training before the next batch.
        report: called with (spec, row) after each epoch.
    Raises: CplabError (bad input), Cancelled, Diverged.

    >>> import cplab
    >>> cplab.run(deficit="blur", length=8, seed=0).source
    'shipped'
    """
    wanted = Run(**fields) if spec is None else replace(specs.check_spec(spec), **fields)
    how: dict[str, Any] = {"fresh": fresh, "device": device, "stop": stop, "report": report}
    [(_, result)] = collect([wanted], measure, **how)
    return result


def sweep(
    wanted: Iterable, measure: Any = (), *, progress: bool = True, **how: Any
) -> list[Result]:
    """The results of a set of specs in their order; what is missing is trained as a tree, in which
    common beginnings are trained once.

    Before it trains for longer, a line on standard error says how long; then there is a bar with
    the time left, or a line a minute where that is no terminal.

    Arguments: wanted, runs or other specs; measure, as in run; progress, whether to say so; how:
        fresh, device, stop, report as in run; workers (processes); executor, any of
        concurrent.futures whose workers have cplab, to train there.
    Raises: CplabError, Cancelled; Diverged after all others are done.

    >>> import cplab
    >>> runs = [cplab.Run(deficit="blur", length=n, seed=0) for n in (4, 8)]
    >>> [result.spec.length for result in cplab.sweep(runs)]
    [4, 8]
    """
    errors.tidy()
    report = how.pop("report", no_report)
    every, measures = check_specs(wanted), parse_measures(measure)
    known = {} if how.get("fresh") else find_all(dict.fromkeys(every), measures)
    missing = [spec for spec in dict.fromkeys(every) if spec not in known]
    if progress and missing:
        announce(missing, measures)
    total = sum(root.epochs for root in trees(missing))
    with progress_bar(total, hidden=not (progress and total)) as bar:

        def tell(spec: Any, row: dict) -> None:
            bar.update("epoch" in row)
            report(spec, row)

        for spec, result in collect(missing, measures, report=tell, **how):
            known[spec] = result
            bar.set_postfix_str(f"{len(known)} of {len(set(every))} results", refresh=False)
    return [known[spec] for spec in every]


def announce(missing: list, measures: dict) -> None:
    """Say how long training takes, if it is long."""
    seconds = estimate(missing, measures)
    if seconds is None or seconds > QUICK:
        results = f"{len(missing)} result{'s' if len(missing) > 1 else ''}"
        text = f"Training {results} takes {say_duration(seconds)} on one process of this machine."
        print(text, file=sys.stderr, flush=True)


def say_duration(seconds: float | None) -> str:
    """`about 4 minutes`.

    >>> say_duration(240), say_duration(9000), say_duration(None)
    ('about 4 minutes', 'about 2.5 hours', 'a time that is not known yet')
    """
    if seconds is None:
        return "a time that is not known yet"
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 1.5 * length:
            return f"about {seconds / length:.2g} {unit}"
    return f"about {seconds:.0f} seconds"


def progress_bar(total: int, hidden: bool) -> Any:
    """A bar on standard error, or, where that is no terminal, a line a minute."""
    from tqdm import tqdm

    terminal = sys.stderr.isatty()
    line = "{n_fmt} of {total_fmt} epochs{postfix}, {remaining} left\n"
    how = {"delay": 0.01} if terminal else {"delay": 10, "mininterval": 60, "bar_format": line}
    return tqdm(total=total, unit="epoch", file=sys.stderr, disable=hidden, **how)


def at_hand(
    wanted: Iterable, measure: Any = (), *, seconds: float = 240, **how: Any
) -> dict[Any, Result]:
    """The results of a set of specs, without a long wait: what is missing is trained only if all of
    it takes less than `seconds` on this machine; else a line says what is left out.

    Arguments: measure, as in run; how, as in sweep.
    Returns: those that there are, by spec.

    >>> import cplab
    >>> len(cplab.at_hand([cplab.Run(deficit="blur", length=8, seed=seed) for seed in range(3)]))
    3
    """
    every, measures = list(dict.fromkeys(check_specs(wanted))), parse_measures(measure)
    known = {} if how.get("fresh") else find_all(every, measures)
    missing = [spec for spec in every if spec not in known]
    cost = estimate(missing, measures)
    if not missing or (cost is not None and cost < seconds):
        return known | dict(zip(missing, sweep(missing, measures, **how), strict=True))
    what = f"{len(missing)} of {len(every)} results, which have yet to be trained"
    print(f"Not shown: {what} ({say_duration(cost)} on this machine).")
    return known


def trees(wanted: Iterable) -> list[Segment]:
    """The plan of those specs that the engine trains."""
    return plan(spec for spec in wanted if hasattr(spec, "timeline"))


def estimate(wanted: Iterable, measure: Any = ()) -> float | None:
    """Seconds that it takes to train and measure these specs one by one, with what they begin with,
    by results of their size (see tables.seconds_per_epoch); None where none is like them.

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
            usual = {"every": epochs, "end": ends}
            times = usual[when] if isinstance(when, str) else min(epochs, len(when) * ends)
            total += (tables.seconds_of_measurement(spec, name) or 0) * times
    return total


def by_key(key: str) -> Result:
    """The shipped or live result of this key.

    Raises: CplabError where there is none.

    >>> by_key("10da86ce08101b40").spec.call()
    "cplab.run(deficit='blur', onset=0, length=4, profile='course', seed=0)"
    """
    plain = re.fullmatch("[0-9a-f]{16}", str(key))
    result = store.shipped(key) or store.live(store.live_path(key)) if plain else None
    if result is None:
        raise CplabError(f"no result has the key {quote(key)}: `cplab results list` shows keys")
    return result


def every_result(kind: str = "Run", source: str | None = None) -> Iterator[Result]:
    """All sound results of one class of specs; a key that is shipped and live comes twice.

    Arguments: kind, the name of a class of specs; source, shipped or live (both if not given).
    Raises: CplabError for a kind that is none.

    >>> next(every_result("Run", "shipped")).source
    'shipped'
    """
    one_of("kind of result", kind, specs.kinds())
    one_of("source", "live" if source is None else source, ("shipped", "live"))
    if source != "live":
        light = store.archive().light.select(["key", "kind"]).to_pylist()
        every = (store.shipped(row["key"]) for row in light if row["kind"] == kind)
        yield from filter(None, every)
    if source != "shipped":
        yield from (result for result, _ in tables.live_results(kind))


def sample_runs(count: int, seed: int = 0, profile: str | None = None) -> list[Result]:
    """So many shipped runs, of all profiles or one, drawn at random from a seed.

    >>> [result.source for result in sample_runs(2)]
    ['shipped', 'shipped']
    """
    rows = tables.table(**({"profile": profile} if profile else {}))
    keys = rows.loc[rows["source"] == "shipped", "key"].to_list()
    require(keys, f"no results are shipped of {profile or 'any'} profile: ship some first")
    return [*map(by_key, random.Random(seed).sample(keys, min(count, len(keys))))]


def agree(one: Any, other: Any) -> bool:
    """Whether plain data differ by the rounding of sums in float32 alone."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(agree(one[name], other[name]) for name in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(agree, one, other))
    if isinstance(one, float):
        return math.isclose(one, other, rel_tol=ROUNDING)
    return one == other


def retrain(result: Result, device: str = "auto") -> tuple[str, Result]:
    """Train a result's spec again on a device, with as many threads, and compare.

    Returns: `equal` where all values are, bit by bit; `near` where the machine, the images, the
        number format, the threads or torch are others and the accuracy is within the spread of
        seeds, or the commit is another and no number differs by more than the rounding of a sum;
        else `off`. And the new result, which is not kept.
    Raises: CplabError where it names a student's own function that is not defined here.

    >>> retrain(run(profile="ci", recovery=1))[0]
    'equal'
    """
    from cplab.engine.sweep import Context

    source = getattr(result.spec, "source", None)
    context = Context(device, workers=1, threads=result.threads)
    context.sources |= collect([source], device=device) if source else {}
    [(spec, training)] = train([replace(result.spec)], context, {})
    if isinstance(training, Diverged):
        raise training
    again = make_result(spec, training)
    both = outcome(again), outcome(result)
    other = {name for name in HOW if getattr(again, name) != getattr(result, name)}
    if both[0] == both[1]:
        return "equal", again
    if other <= {"commit"}:
        return ("near" if other and agree(*both) else "off"), again
    if not isinstance(result.values.get("accuracy"), float):
        return "near", again
    difference, deviation = abs(result.accuracy - again.accuracy), seed_spread(result.spec)
    return ("near" if difference <= max(NEAR, 4 * deviation) else "off"), again


def seed_spread(spec: Any) -> float:
    """The standard deviation of the accuracy over the shipped seeds of a run, 0 of few."""
    seeds = (store.shipped(replace(spec, seed=seed).key) for seed in range(30))
    spread = [result.accuracy for result in seeds if result]
    return statistics.stdev(spread) if len(spread) > 2 else 0.0
