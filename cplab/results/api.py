"""Asks for results: looks them up, or trains what is missing and keeps it."""

import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from cplab.measure import Measure
from cplab.results.duration import count_epochs, format_duration, usual_seconds
from cplab.results.requests import News, Request, check_specs, look_up_all
from cplab.results.result import Result
from cplab.runs import Run
from cplab.specs import check_spec
from cplab.specs.experiments import Experiment

if TYPE_CHECKING:
    from tqdm import tqdm

Asked = TypeVar("Asked", bound=Run | Experiment)


def run(
    spec: Run | Experiment | None = None,
    /,
    *,
    measure: Measure = (),
    fresh: bool = False,
    device: str = "auto",
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

    Raises:
        CplabError: for bad input.
        Failed, Diverged.

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
    [result] = sweep([spec], measure, fresh=fresh, device=device)
    return result


def sweep(
    specs: Iterable[Run | Experiment],
    measure: Measure = (),
    *,
    controls: bool = False,
    progress: bool = True,
    fresh: bool = False,
    device: str = "auto",
    workers: int | None = None,
    executor: Executor | None = None,
) -> list[Result]:
    """Get the results of runs and experiments, in their order, and train what is missing.

    A beginning that several runs have in common is trained once.

    Arguments:
        specs: runs and experiments.
        controls: whether to add the controls of each run with a deficit, after all that are given:
            its twin, which is the run without the window, and equal training.
        progress: whether to show it on standard error.
        measure, fresh, device: as for run.
        workers: the number of processes that train.
        executor: any of concurrent.futures whose workers have cplab, to train there.

    Raises:
        CplabError.
        Failed or Diverged for one that failed, once all others are trained and kept.

    >>> import cplab
    >>> runs = [cplab.Run(deficit="blur", length=n, seed=0) for n in (4, 8)]
    >>> [result.spec.length for result in cplab.sweep(runs)]
    [4, 8]
    >>> len(cplab.sweep(runs, controls=True))
    5
    """
    if controls:
        specs = with_controls(specs)
    request = Request(
        specs, measure, fresh=fresh, device=device, workers=workers, executor=executor
    )
    if request.missing:
        with progress_bar(request.missing, hidden=not progress) as bar:
            request.listen(partial(show_progress, bar))
            for _ in request.train():
                pass
    return [request.results[spec] for spec in request.specs]


def with_controls(specs: Iterable[Asked]) -> list[Asked]:
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
    specs: Iterable[Asked],
    measure: Measure = (),
    *,
    seconds: float = 240,
    fresh: bool = False,
    **training: Any,
) -> dict[Asked, Result]:
    """Get the results of runs and experiments, by spec, without a long wait.

    What is missing is trained only if that usually takes less than `seconds`. Otherwise a line says
    how much is missing.

    Arguments:
        specs, measure, fresh, training: as for sweep.
        seconds: for how long it may take.

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


# Progress -----------------------------------------------------------------------------------------


def progress_bar(missing: Sequence[Run | Experiment], hidden: bool) -> "tqdm":
    """A progress bar on standard error, or a line every minute if that is not a terminal.

    Arguments:
        missing: the specs to train.
        hidden: whether to show nothing.
    """
    from tqdm import tqdm

    hidden = hidden or sys.stderr is None  # as in a program without a console
    if not hidden and sys.stderr.isatty():
        options: dict[str, Any] = {"delay": 0.01}
    else:
        line = "{n_fmt} of {total_fmt} epochs{postfix}, {remaining} left\n"
        options = {"delay": 10, "mininterval": 60, "bar_format": line}
    total = count_epochs(missing)
    return tqdm(total=total, unit="epoch", file=sys.stderr, disable=hidden, **options)


def show_progress(bar: "tqdm", request: Request, news: News) -> None:
    """Move a bar by the epochs that a request tells, and count its results."""
    if not bar.n:
        bar.unpause()  # the time that workers take to start does not count
    bar.update(request.done - bar.n)
    count = len({*request.specs})
    bar.set_postfix_str(f"{count - len(request.missing)} of {count} results", False)
