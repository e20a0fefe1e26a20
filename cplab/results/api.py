"""Asks for results: looks them up, or trains what is missing and keeps it."""

import hashlib
import sys
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack, contextmanager
from threading import Event
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, cast

import cplab.results.store as store
from cplab.engine.tree import Context
from cplab.errors import Cancelled, CplabError, Failed, installed, quote, renamed
from cplab.files import cache_dir, lock_file
from cplab.measure import Measure, Measures, parse_measures
from cplab.results.duration import count_epochs, format_duration, usual_seconds
from cplab.results.result import HOW, Result, outcome
from cplab.results.store import find
from cplab.runs import Run
from cplab.specs import Spec, check_spec
from cplab.specs.experiments import Experiment, find_function
from cplab.specs.own import own_entries

if TYPE_CHECKING:
    from tqdm import tqdm

MOST_LOCKS = 200  # that one process holds, since each is an open file
Report = Callable[[Spec, dict], None]  # called with (spec, row) after each epoch
AnySpec = TypeVar("AnySpec", bound=Run | Experiment)


def run(
    spec: Run | Experiment | None = None,
    /,
    *,
    measure: Measure = (),
    fresh: bool = False,
    device: str = "auto",
    stop: Event | None = None,
    report: Report | None = None,
    **fields: Any,
) -> Result:
    """Look up the result of a run, or train the run now and keep its result.

    Arguments:
        spec: a Run, or an experiment such as search.spec(seed=3); or give a run's fields by name.
        measure: what to measure on it: a name of cplab.measure.MEASUREMENTS or your own function,
            several of these, or {name: "every", "end" or epochs}. The run is trained again if its
            result does not have it.
        fresh: whether to train it even if there is a result.
        device: auto, cuda, mps or cpu.
        stop: a threading.Event that ends training before the next batch.
        report: called with (spec, row) after each epoch; without it, progress goes to standard
            error.

    Raises: CplabError for bad input; Cancelled, Failed, Diverged.

    >>> import cplab
    >>> cplab.run(deficit="blur", length=8, seed=0).source
    'shipped'
    """
    if spec is None:
        spec = Run(**fields)
    else:
        spec = check_spec(spec)
        if fields:
            spec = spec.replace(**fields)
    progress = report is None
    [(_, result)] = collect(
        [spec],
        measure,
        progress=progress,
        fresh=fresh,
        device=device,
        stop=stop,
        report=report,
    )
    return result


def sweep(
    specs: Iterable[Run | Experiment],
    measure: Measure = (),
    *,
    controls: bool = False,
    progress: bool = True,
    fresh: bool = False,
    device: str = "auto",
    stop: Event | None = None,
    report: Report | None = None,
    workers: int | None = None,
    threads: int | None = None,
    executor: Executor | None = None,
) -> list[Result]:
    """Get the results of runs and experiments, in their order, and train what is missing.

    A beginning that several runs have in common is trained once.

    Arguments:
        specs: runs and experiments.
        controls: whether to add the controls of each run with a deficit, after all that are given:
            its twin, which is the run without the window, and equal training.
        progress: whether to show it on standard error.
        measure, fresh, device, stop, report: as for run.
        workers: the number of processes that train.
        threads: of torch on the CPU, in each of them.
        executor: any of concurrent.futures whose workers have cplab, to train there.

    Raises: CplabError; Cancelled; Failed or Diverged for one that failed, once all others are
        trained and kept.

    >>> import cplab
    >>> runs = [cplab.Run(deficit="blur", length=n, seed=0) for n in (4, 8)]
    >>> [result.spec.length for result in cplab.sweep(runs)]
    [4, 8]
    >>> len(cplab.sweep(runs, controls=True))
    5
    """
    checked, measures = check_specs(specs, measure)
    if controls:
        checked = with_controls(checked)
    results = dict(
        collect(
            checked,
            measures,
            progress=progress,
            fresh=fresh,
            device=device,
            stop=stop,
            report=report,
            workers=workers,
            threads=threads,
            executor=executor,
        )
    )
    return [results[spec] for spec in checked]


def with_controls(specs: Iterable[AnySpec]) -> list[AnySpec]:
    """Some specs and, after them, the controls that they lack: of each run with one deficit the run
    without the window and equal training.

    >>> [run.onset for run in with_controls([Run("blur", onset=4, length=8)])]
    [4, 4, 12]
    """
    given = [*specs]
    controls = []
    for spec in given:
        if isinstance(spec, Run) and spec.length:
            controls += [spec.without_window(), spec.equal_training()]
    return [*dict.fromkeys([*given, *controls])]


def at_hand(
    specs: Iterable[AnySpec],
    measure: Measure = (),
    *,
    seconds: float = 240,
    fresh: bool = False,
    **training: Any,
) -> dict[AnySpec, Result]:
    """Get the results of runs and experiments, by spec, without a long wait.

    What is missing is trained only if that usually takes less than `seconds`. Otherwise a line says
    how much is missing.

    Arguments: specs, measure and all others, as for sweep; seconds.

    >>> import cplab
    >>> len(cplab.at_hand([cplab.Run(deficit="blur", length=8, seed=seed) for seed in range(3)]))
    3
    """
    checked, measures = check_specs(specs, measure)
    results, missing = look_up_all(checked, measures, fresh)
    needed = usual_seconds(missing)
    is_long = needed is None or needed >= seconds
    if missing and is_long:
        line = f"{len(missing)} of {len({*checked})} results, which have yet to be trained"
        if needed:
            line += f" ({format_duration(needed)})"
        print(f"Not shown: {line}.")
        return results
    trained = sweep(checked, measures, fresh=fresh, **training)
    return dict(zip(checked, trained, strict=True))


def collect(
    specs: Iterable[AnySpec],
    measure: Measure = (),
    *,
    progress: bool = False,
    fresh: bool = False,
    **training: Any,
) -> Iterator[tuple[AnySpec, Result]]:
    """Yield (spec, Result) for runs and experiments: first those that have a result, then the rest
    as they are trained.

    Processes that want the same results share the work: each locks runs that begin alike.

    Arguments: as for sweep.

    Raises: what sweep raises.

    >>> [result.source for run, result in collect([Run(deficit="blur", length=8)])]
    ['shipped']
    """
    context = Context(**training)
    checked, measures = check_specs(specs, measure)
    results, missing = look_up_all(checked, measures, fresh)
    yield from results.items()
    if not missing:
        return
    runs = [spec for spec in missing if isinstance(spec, Run)]
    for run in runs:
        run.check_network()
    with installed():
        from cplab.engine.sweep import open_executor, train_all, usual_workers
    if runs and context.executor is None and not context.workers:
        # The number is for all of them, since the bits of large networks depend on it
        context.workers = usual_workers(runs, context.device)
    failures: list[Failed] = []
    with progress_bar(missing, hidden=not progress) as bar, ExitStack() as stack:
        context.report = with_progress(context.report, bar)
        done = 0
        count = len(missing)
        while missing:
            with lock_trees(missing) as ours:
                held = {*ours}
                missing = [spec for spec in missing if spec not in held]
                if not ours and context.stop.wait(0.2):  # other processes train all that is left
                    raise Cancelled
                # Other processes may have trained some of it meanwhile
                results, to_train = look_up_all(ours, measures, fresh)
                if to_train and context.pool is None:  # worker processes for all that is left
                    stack.enter_context(open_executor(to_train + missing, context))
                for spec, result in results.items():
                    done += 1
                    show_count(bar, spec, done, count)
                    yield spec, result
                for trained, values in train_all(to_train, context, measures):
                    if isinstance(values, Failed):
                        failures.append(values)
                        continue
                    result = store.keep(make_result(trained, values))
                    done += 1
                    show_count(bar, trained, done, count)
                    yield cast(AnySpec, trained), result
    if failures:
        raise_first(failures)


def check_specs(specs: Iterable[AnySpec], measure: Measure) -> tuple[list[AnySpec], Measures]:
    """Check specs and what is measured on them.

    Returns: a list of the specs, and when to take each measurement, by name.

    Raises: CplabError.
    """
    if isinstance(specs, str) or not isinstance(specs, Iterable):
        raise CplabError(f"{quote(specs)} is not allowed: give a list of runs")
    checked = [check_spec(spec) for spec in specs]
    measures = parse_measures(measure)
    if measures and any(isinstance(spec, Experiment) for spec in checked):
        raise CplabError(f"{', '.join(measures)} cannot be measured on experiments: give runs")
    if measures and checked:
        longest = max(spec.epochs for spec in checked)
        for name, when in measures.items():
            if not isinstance(when, str) and min(when) >= longest:
                raise CplabError(
                    f"{name} at {when} measures nothing: give epochs from 0 to {longest - 1}"
                )
    return checked, measures


def look_up_all(
    specs: Iterable[AnySpec], measures: Measures, fresh: bool
) -> tuple[dict[AnySpec, Result], list[AnySpec]]:
    """Look up results of specs, each once.

    Returns: {spec: result}, and a list of the specs without a result. If `fresh`, no result counts,
        so that this list has all specs.
    """
    results = {}
    missing = []
    for spec in dict.fromkeys(specs):
        result = None if fresh else find(spec, measures)
        if result:
            results[spec] = result
        else:
            missing.append(spec)
    return results, missing


# Training what is missing -------------------------------------------------------------------------


def raise_first(failures: Sequence[Failed]) -> NoReturn:
    """Raise the first of some errors, and say how many others there are."""
    first = failures[0]
    line = str(first)
    if len(failures) > 1:
        line += f" (and {len(failures) - 1} more)"
    raise renamed(first, type(first), line) from first


@contextmanager
def lock_trees(specs: list[AnySpec]) -> Iterator[list[AnySpec]]:
    """A context in which this process holds the locks of some specs, which it yields: those that no
    other process is training. Runs that may share training share a lock."""
    trees: dict[object, list[AnySpec]] = defaultdict(list)  # by what a lock is named after
    for spec in specs:
        trees[spec.prefix_key if isinstance(spec, Run) else spec.key].append(spec)
    ours: list[AnySpec] = []
    with ExitStack() as locks:
        for shared, tree in [*trees.items()][:MOST_LOCKS]:
            name = hashlib.sha256(repr(shared).encode()).hexdigest()[:16]
            path = cache_dir() / "locks" / f"{name}.lock"
            if locks.enter_context(lock_file(path, wait=False)):
                ours += tree
        yield ours


def values_of(
    experiment: Experiment, device: str = "auto", stop: Event | None = None
) -> dict[str, Any]:
    """Look up the values of an experiment, or compute them in this process and keep them.

    Raises: Cancelled, Failed.
    """
    result = find(experiment)
    if result is None:
        with installed():
            from cplab.engine.experiments import compute
        result = store.keep(make_result(experiment, compute(experiment, device, stop=stop)))
    return result.values


def make_result(spec: Spec, training: dict[str, Any] | Failed) -> Result:
    """Make the result of a spec, with the texts of students' own functions that it names.

    Arguments: spec; training, the fields of its result, or the error with which it ended.

    Raises: Failed, which is that error.
    """
    if isinstance(training, Failed):
        raise training
    text = " ".join([spec.canonical(), *training.get("measured", ())])
    own = {entry.name: entry.own.text for entry in own_entries(text) if entry.own}
    if isinstance(spec, Experiment):
        function = find_function(spec.address)
        if function.own:
            own[spec.name] = function.own.text
    return Result(spec, **training, commit=store.commit(), own=own)


# Progress -----------------------------------------------------------------------------------------


def progress_bar(missing: Sequence[Spec], hidden: bool) -> "tqdm":
    """A progress bar on standard error, or a line every minute if that is not a terminal.

    Arguments: missing, the specs to train; hidden, whether to show nothing.
    """
    from tqdm import tqdm

    hidden = hidden or sys.stderr is None or sys.stderr.closed  # the terminal may be gone
    if not hidden and sys.stderr.isatty():
        options: dict[str, Any] = {"delay": 0.01}
    else:
        line = "{n_fmt} of {total_fmt} epochs{postfix}, {remaining} left\n"
        options = {"delay": 10, "mininterval": 60, "bar_format": line}
    total = count_epochs(missing)
    return tqdm(total=total, unit="epoch", file=sys.stderr, disable=hidden, **options)


def with_progress(report: Report, bar: "tqdm") -> Report:
    """A report that also moves the bar by an epoch.

    If a user's report fails, a warning says so, it is not called again, and training goes on.
    """
    failed = False

    def report_and_move(spec: Spec, row: dict[str, Any]) -> None:
        """Move the bar, and call the user's report."""
        nonlocal failed
        with still_there(bar):
            if not bar.n:
                bar.unpause()  # the time that processes take to start does not count
            bar.update(1 if "epoch" in row else 0)  # an event has a row, too
        if failed:
            return
        try:
            report(spec, row)
        except CplabError:
            raise  # it may be Cancelled
        except Exception as error:
            failed = True
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            warnings.warn(
                f"report fails ({reason}): it is not called any more, and training goes on",
                stacklevel=2,
            )

    return report_and_move


def show_count(bar: "tqdm", spec: Spec, done: int, count: int) -> None:
    """Show how many results are done, out of `count`; an experiment counts as one epoch."""
    with still_there(bar):
        bar.update(1 if isinstance(spec, Experiment) else 0)
        bar.set_postfix_str(f"{done} of {count} results", False)


@contextmanager
def still_there(bar: "tqdm") -> Iterator[None]:
    """A context in which a bar is moved. If its terminal is gone, the bar ends, but training goes
    on."""
    try:
        yield
    except (OSError, ValueError):  # the terminal is gone, or the file was closed
        bar.disable = True


# Training again -----------------------------------------------------------------------------------


def train_again(result: Result, device: str = "auto") -> tuple[str, Result]:
    """Train a result's spec again, with as many threads, and compare. Nothing is kept.

    Returns: a word and the new result. The word is `equal` if all values are, to the bit; `other`
        if they differ, but so does the machine, the images, the precision, the threads or torch;
        else `off`.

    >>> train_again(run(profile="ci", recovery=1))[0]
    'equal'
    """
    spec = result.spec.replace()  # a new object, which looks up anew what its fields name
    context = Context(device, workers=1, threads=result.threads or None)
    with installed():
        from cplab.engine.sweep import train_all
    [(_, training)] = train_all([spec], context)
    again = make_result(spec, training)
    if outcome(result) == outcome(again):
        return "equal", again
    names = [name for name in HOW if name != "commit"]
    for name in names:
        if getattr(again, name) != getattr(result, name):
            return "other", again
    return "off", again
