"""Asking for results: look them up, or train what is missing and keep it."""

import hashlib
import math
import random
import re
import statistics
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import chain, islice
from threading import Event
from typing import Any

from cplab import registry, specs
from cplab.checks import (
    Cancelled,
    CplabError,
    Diverged,
    cache_dir,
    collect_divergence,
    installed,
    number,
    one_of,
    quote,
    raise_first,
    require,
    tidy,
    whole,
)
from cplab.deficits import Deficit
from cplab.engine.tree import Segment, plan
from cplab.measure import parse_measures
from cplab.models import Model
from cplab.results import store, tables
from cplab.results.store import Result, find
from cplab.runs import DEVICES, Run

ROUNDING = 1e-6  # of a sum of a hundred losses, relative; an accuracy cannot differ by so little
CREW = 256  # processes, at most
NEAR = 0.03  # accuracies that differ by no more are near, however little seeds are seen to differ
LOCKS = 200  # at a time, since each is an open file


def collect(
    wanted: Iterable,
    measure: Any = (),
    *,
    fresh: bool = False,
    device: str = "auto",
    workers: int | None = None,
    client: Any = None,
    stop: Event | None = None,
    report: Callable[[Any, dict], None] = lambda spec, row: None,
) -> Iterator[tuple[Any, Result]]:
    """The results of a set of specs: found ones first, then the others as they are trained.

    Two processes that ask for the same share the work: what begins alike is locked by one of them.

    Arguments: workers, processes; client, as in sweep; all others as in run.
    Yields: (spec, Result).
    Raises: CplabError; Cancelled; Diverged, after all others are done.

    >>> [result.source for run, result in collect([Run(deficit="blur", length=8)])]
    ['shipped']
    """
    one_of("device", str(device).partition(":")[0], DEVICES)
    require(isinstance(stop, Event | None), f"stop {quote(stop)} is no threading.Event: give one")
    workers = None if workers is None else whole("workers", workers, 1, CREW)
    measures, missing = parse_measures(measure), list(dict.fromkeys(wanted))
    found = {} if fresh else find_all(missing, measures)
    yield from found.items()
    missing = [spec for spec in missing if spec not in found]
    if not missing:
        return
    with installed():
        from cplab.engine.lives import crew_size
        from cplab.engine.train import STOPPED, Context

    if client is None:
        # as for the whole set, since the bits and the checkpoints of the rest depend on it
        workers = workers or crew_size(missing, device)
    context = Context(device, workers, stop or Event(), report, client=client)
    diverged = list[Diverged]()
    while missing:
        with claim(missing) as mine, collect_divergence(diverged):
            missing = [spec for spec in missing if spec not in mine]
            if not mine and context.stop.wait(0.2):  # others train all that is left
                raise Cancelled(STOPPED)
            found = {} if fresh else find_all(mine, measures)  # trained by others meanwhile
            yield from found.items()
            todo = [spec for spec in mine if spec not in found]
            for spec, training in train(todo, context, measures):
                yield spec, store.keep(make_result(spec, training))
    raise_first(diverged)


def train(wanted: list, context: Any, measures: dict) -> Iterator[tuple[Any, Any]]:
    """Train specs, and before them those whose results they begin with. Yields (spec, Training)."""
    sources = dict.fromkeys(s.source for s in wanted if getattr(s, "source", None))
    known = {*wanted, *context.sources}  # what is wanted is locked by us: to collect it would wait
    how = {"device": context.device, "stop": context.stop, "report": context.report}
    diverged, groups = list[Diverged](), defaultdict(list)
    with collect_divergence(diverged):
        context.sources |= collect((s for s in sources if s not in known), **how)
    for spec in sorted(wanted, key=lambda s: s not in sources):  # one group for all that have lives
        groups[specs.trainer(spec), hasattr(spec, "life") or spec.trunk_key].append(spec)
    for (compute, _), group in groups.items():
        some = [s for s in group if getattr(s, "source", None) in {None, *context.sources}]
        with collect_divergence(diverged):
            for spec, training in compute(some, context, measures) if some else ():
                if spec in sources:
                    context.sources[spec] = make_result(spec, training)
                yield spec, training
    raise_first(diverged)


def find_all(wanted: Iterable, measures: dict) -> dict[Any, Result]:
    return {spec: found for spec in wanted if (found := find(spec, measures))}


@contextmanager
def claim(wanted: list) -> Iterator[dict]:
    """Those of some specs that are ours to train. One file is the lock of all that may share
    training; where none can be written, they are ours."""
    from cplab.engine.turns import take

    alike, mine = defaultdict(list), {}
    for spec in wanted:
        alike[spec.trunk_key].append(spec)
    with ExitStack() as held:
        for trunk, some in alike.items():
            name = hashlib.sha256(repr(trunk).encode()).hexdigest()[:16]
            if take(cache_dir() / "locks" / f"{name}.lock", held):
                mine[trunk] = some
            if len(mine) == LOCKS:
                break
        yield dict.fromkeys(chain(*mine.values()))


def make_result(spec: Any, training: Any) -> Result:
    """The result of a spec out of what training left."""
    import torch

    own = registry.sources_in(" ".join([specs.canonical(spec), *training.measured]))
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
    report: Callable[[Any, dict], None] = lambda spec, row: None,
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
    wanted = specs.alter(Run if spec is None else specs.check_spec(spec), fields)
    how: dict[str, Any] = {"fresh": fresh, "device": device, "stop": stop, "report": report}
    [(_, found)] = collect([wanted], measure, **how)
    return found


def sweep(
    wanted: Iterable, measure: Any = (), *, progress: bool = True, **how: Any
) -> list[Result]:
    """The results of a set of specs in their order; what is missing is trained as a tree, in which
    common beginnings are trained once.

    Arguments: wanted, runs or other specs; measure, as in run; progress, a bar with the time left
        on standard error; how: device, workers (processes), stop, report; client, of a Dask cluster
        or its address, to train there.
    Raises: CplabError, Cancelled; Diverged after all others are done.

    >>> import cplab
    >>> runs = [cplab.Run(deficit="blur", length=n, seed=0) for n in (4, 8)]
    >>> [result.spec.length for result in cplab.sweep(runs)]
    [4, 8]
    """
    from tqdm import tqdm

    tidy()
    report = how.pop("report", lambda spec, row: None)
    require(callable(report), f"report {quote(report)} is no function (spec, row): give one")
    every, measures = [specs.check_spec(spec) for spec in wanted], parse_measures(measure)
    found = {} if how.get("fresh") else find_all(dict.fromkeys(every), measures)
    missing = [spec for spec in dict.fromkeys(every) if spec not in found]
    total = sum(root.epochs for root in trees(missing))
    # the delay keeps the bar away where nothing is trained
    hidden = not (progress and total)
    with tqdm(total=total, unit="epoch", file=sys.stderr, delay=0.01, disable=hidden) as bar:

        def tell(spec: Any, row: dict) -> None:
            bar.update("epoch" in row)
            report(spec, row)

        for spec, result in collect(missing, measures, report=tell, **how):
            found[spec] = result
            bar.set_postfix_str(f"{len(found)} of {len(set(every))} results")
    return [found[spec] for spec in every]


def at_hand(
    wanted: Iterable, measure: Any = (), *, seconds: float = 240, **how: Any
) -> dict[Any, Result]:
    """The results of a set of specs, without a long wait: what is missing is trained only if all of
    it takes less than `seconds` on this machine; else a line says what is left out. Of a network
    that no result is like, one epoch is trained first, to tell.

    Arguments: measure, as in run; how, as in sweep.
    Returns: those that there are, by spec.

    >>> import cplab
    >>> len(cplab.at_hand([cplab.Run(deficit="blur", length=8, seed=seed) for seed in range(3)]))
    3
    """
    every = list(dict.fromkeys(map(specs.check_spec, wanted)))
    seconds, measures = number("seconds", seconds, 0, 1e12), parse_measures(measure)
    found = {} if how.get("fresh") else find_all(every, measures)
    missing = [spec for spec in every if spec not in found]
    if (cost := estimate(missing, measures)) is None and seconds:
        cost = estimate(missing, measures, try_epochs(missing, measures, how))
    if not missing or (cost is not None and cost < seconds):
        return found | dict(zip(missing, sweep(missing, measures, **how), strict=True))
    what = f"{len(missing)} of {len(every)} results, which have yet to be trained"
    about = "" if cost is None else f" (about {cost / 60:.0f} minutes on this machine)"
    print(f"Not shown: {what}{about}.")
    return found


def trees(wanted: Iterable) -> list[Segment]:
    """The plan of those specs that have a life."""
    return plan(spec for spec in wanted if hasattr(spec, "life"))


def estimate(wanted: Iterable, measure: Any = (), tried: Iterable = ()) -> float | None:
    """Seconds that it takes to train and measure these specs one by one, with what they begin with,
    from lives that were measured on this machine, else on others; None where none is like them.
    `tried` are entries that count as well (see try_epochs).

    >>> from cplab import Run
    >>> estimate([Run(deficit="blur", length=6, seed=99)]) > 1
    True
    """
    wanted, measures, total = dict.fromkeys(wanted), parse_measures(measure), 0.0
    sources = {s.source for s in wanted if getattr(s, "source", None)} - {*wanted}
    wanted = [*wanted, *(source for source in sources if not find(source))]
    parts = [(spec, 1, 0) for spec in wanted if not hasattr(spec, "life")]
    for root in trees(wanted):
        parts.append((root.spec, root.epochs, sum(len(part.ends) for part in root.subtree())))
    for spec, epochs, ends in parts:
        pace = typical_seconds(spec, "epoch", tried)
        if pace is None:
            return None
        total += pace * epochs
        for name, when in measures.items():
            usual = {"every": epochs, "end": ends}
            times = usual[when] if isinstance(when, str) else min(epochs, len(when) * ends)
            total += (typical_seconds(spec, name, tried) or 0) * times
    return total


def try_epochs(wanted: Iterable, measures: dict[str, Any], how: dict[str, Any]) -> list:
    """The entries of one epoch of each size of network that no result is like, which is not kept: a
    life so short would be one more recovery to choose in an explorer."""
    from cplab.engine.train import Context

    sizes = {tables.size_of(spec): spec for spec in wanted if hasattr(spec, "newborn")}
    unknown = [spec for spec in sizes.values() if typical_seconds(spec, "epoch") is None]
    given = {name: how[name] for name in ("device", "stop") if name in how}
    lives = [replace(one.newborn(), recovery=1) for one in unknown]
    trained = train(lives, Context(workers=1, **given), measures)
    return [tables.entry_of(make_result(spec, training)) for spec, training in trained]


def typical_seconds(spec: Any, what: str, tried: Iterable = ()) -> float | None:
    """Of an epoch or a measurement: the median over live results of its size, else over shipped
    ones, a hundred of them at most; of an epoch, else what its class expects."""
    just_now = [about for one, about in tried if tables.size_of(one) == tables.size_of(spec)]
    for alike in chain([just_now], tables.similar_results(spec)):
        costs = (about["costs"][what] for about in alike if about["costs"].get(what))
        if took := [*islice(costs, 100)]:
            return statistics.median(took)
    if what != "epoch":
        return None
    if getattr(spec, "expected_seconds", None):
        return spec.expected_seconds / getattr(spec, "epochs", 1)
    return 0.5 if getattr(spec, "profile", "") == "ci" else None


def by_key(key: str) -> Result:
    """The shipped or live result of this key.

    Raises: CplabError where there is none.

    >>> by_key("10da86ce08101b40").spec.call()
    "cplab.run(deficit='blur', onset=0, length=4, profile='course', seed=0)"
    """
    plain = re.fullmatch("[0-9a-f]{16}", key)
    found = store.shipped(key) or store.live(store.live_path(key)) if plain else None
    if found is None:
        raise CplabError(f"no result has the key {quote(key)}: `cplab results list` shows keys")
    return found


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
        yield from filter(None, map(store.shipped, store.shipped_texts(kind)))
    if source != "shipped":
        yield from (r for r in map(store.live, store.live_paths()) if r and r.kind == kind)


def sample_runs(count: int, seed: int = 0, profile: str | None = None) -> list[Result]:
    """So many shipped runs, of all profiles or one, drawn at random from a seed.

    >>> [result.source for result in sample_runs(2)]
    ['shipped', 'shipped']
    """
    rows = tables.table(profile=profile) if profile else tables.table()
    keys = rows.loc[rows["source"] == "shipped", "key"].to_list()
    require(keys, f"no results are shipped of {profile or 'any'} profile: ship some first")
    picked = random.Random(seed).sample(keys, min(whole("count", count), len(keys)))
    return [found for key in picked if (found := store.shipped(key))]


def agree(one: Any, other: Any) -> bool:
    """Whether plain data differ by the rounding of sums in float32 alone."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(agree(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(agree, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=ROUNDING)
    return one == other


def retrain(result: Result, device: str = "auto") -> tuple[str, Result]:
    """Train a result's spec again on a device, with as many threads, and compare. What it keeps of
    a student's own functions is run for that, unless they are defined here.

    Returns: `equal` where all values are, bit by bit; `near` where the machine, the images, the
        number format, the threads or torch are others and the accuracy is within the spread of
        seeds, or the commit is another and no number differs by more than the rounding of a sum;
        else `off`. And the new result, which is not kept.

    >>> retrain(run(profile="ci", recovery=1))[0]
    'equal'
    """
    import torch

    from cplab.engine.train import Context

    for name in result.own.keys() - result.measured.keys():
        kind = Model if name in getattr(result.spec, "model", "") else Deficit
        label = name.partition("@")[0].replace("_", " ")
        registry.restore(kind, name=name, source=result.own[name], label=label)
    threads = torch.get_num_threads()
    torch.set_num_threads(result.threads)
    try:
        [(spec, training)] = train([replace(result.spec)], Context(device, 1), {})
    finally:
        torch.set_num_threads(threads)
    again = make_result(spec, training)
    outcomes = store.outcome(again), store.outcome(result)
    if outcomes[0] == outcomes[1]:
        return "equal", again
    if all(getattr(again, name) == getattr(result, name) for name in store.HOW if name != "commit"):
        rounded = again.commit != result.commit and agree(*outcomes)
        return ("near" if rounded else "off"), again
    before, after = (tables.entry_of(one)[1]["accuracy"] for one in (result, again))
    if not isinstance(before, float) or not isinstance(after, float):
        return "near", again
    entries = tables.shipped_entries("Run") if isinstance(result.spec, Run) else []
    seed = getattr(result.spec, "seed", None)
    spread = [about["accuracy"] for run, about in entries if replace(run, seed=seed) == result.spec]
    deviation = statistics.stdev(spread) if len(spread) > 2 else 0.0
    return ("near" if abs(before - after) <= max(NEAR, 4 * deviation) else "off"), again
