"""Training of any set of runs, as a tree of their common beginnings, several segments side by side;
and of experiments, side by side too.

A run that branches from a checkpoint equals the same run trained alone, bit for bit on one machine:
seed and epoch decide every random number and rate.
"""

import inspect
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from contextlib import contextmanager, nullcontext
from functools import partial
from threading import Event as Flag
from typing import Any

from torch import __version__

from cplab import devices
from cplab.engine import checkpoints, workers
from cplab.engine.passes import GRAPHS
from cplab.engine.stack import MOST
from cplab.engine.train import Stretch, train
from cplab.engine.tree import Context, Segment, plan
from cplab.errors import Cancelled, CplabError, Diverged, require
from cplab.files import tidy
from cplab.measure.measurements import Measures
from cplab.runs import MEASURED
from cplab.specs import plain_data
from cplab.specs.experiments import Experiment, find_function
from cplab.specs.own import own_entries, rebuild
from cplab.specs.profiles import PROFILES

# Seconds after which training comes back with its state, which is kept; what an interruption costs.
# A large network takes longer to write, as on a slow disk, and a GPU captures its graphs anew.
STRETCH, LONGER, SLOW = 2, 30, 0.2
MOST_JOBS = 256  # that an executor has at a time
WORTH_IT = 3000  # epochs of ci and of stacks; fewer end before a process has started


def training_of(spec: Any, stretch: Stretch) -> dict[str, Any]:
    """What Result takes of a spec that ends with a stretch: its values, what was measured, how long
    it took, as if it had been trained alone, and how it was computed."""
    measured: dict[str, dict[int, Any]] = {}
    for row in stretch.rows:
        for name, value in row.get("measured", {}).items():
            measured.setdefault(name, {})[row["epoch"]] = value
    epochs = [row for row in stretch.rows if "epoch" in row]
    values = spec.values([row[name] for row in epochs] for name in MEASURED)
    seconds = sum(row["seconds"] for row in stretch.rows)
    return {"values": values, "measured": measured, "seconds": seconds, **stretch.how}


def train_all(
    specs: Iterable, context: Context | None = None, measures: Measures | None = None
) -> Iterator[tuple[Any, dict[str, Any] | Diverged]]:
    """Train a set of runs as a tree, several segments side by side where that pays, then compute
    experiments. Yields (spec, what Result takes of it, or the error if it diverged) as each one
    ends. Raises: Cancelled, CplabError."""
    specs, context, measures = list(specs), context or Context(), measures or {}
    runs = [spec for spec in specs if not isinstance(spec, Experiment)]
    experiments = [spec for spec in specs if isinstance(spec, Experiment)]
    tidy()
    queue = sorted(plan(runs), key=lambda s: s.epochs)  # the last is next: the largest tree
    running: dict[Future, list[Segment] | Experiment] = {}
    with devices.explain_failures(), open_executor(specs, context) as (executor, room):
        try:
            while queue or experiments or running:
                if context.stop.is_set():
                    raise Cancelled
                ended: list[tuple[list[Segment] | Experiment, Any]] = []
                while (queue or experiments) and len(running) < room and not ended:
                    free = room - len(running)
                    group = next_group(queue, free, context) if queue else experiments.pop(0)
                    work = job(group, context, measures, away=bool(executor))
                    if executor:
                        running[executor.submit(work)] = group
                    else:
                        ended.append((group, work()))
                for future in wait(running, timeout=0.1, return_when=FIRST_COMPLETED).done:
                    ended.append((running.pop(future), future.result()))
                for group, outcome in ended:
                    if isinstance(group, Experiment):
                        yield group, outcome
                        continue
                    for number, one in enumerate(outcome):
                        if isinstance(one, Stretch):
                            report_rows(context, group, number, one.rows)
                        yield from settle(group[number], one, queue)
        except BrokenExecutor as error:
            raise CplabError(
                "a worker process died, mostly for want of memory: what was trained is kept; ask "
                "again with fewer workers (workers=1) or --device cpu"
            ) from error
        finally:
            # loky fails on a cancelled job when it kills its workers, which ends all jobs anyway
            for future in running if context.executor else ():
                future.cancel()


def job(
    group: list[Segment] | Experiment, context: Context, measures: Measures, away: bool
) -> Callable[[], Any]:
    """What computes an experiment, or trains segments: from their latest states, from checkpoints
    of an earlier training, or from the ends of the segments that they branch from. away: whether
    another process does it, which is told what only this one knows."""
    how: dict[str, Any] = {"device": context.device, "threads": context.threads}
    if isinstance(group, Experiment):
        how |= {"source": source_of(group)} if away else {"stop": context.stop}
        return partial(compute, group, **how)
    contents = []
    for segment in group:
        segment.content = segment.content or find_deepest(segment)
        before = segment.parent.content if segment.parent else None
        contents.append([content for content in (segment.content, before) if content])
    runs, last = [segment.spec for segment in group], [bool(s.ends) for s in group]
    slow = runs[0].profile in devices.LARGE or devices.pick(context.device).type == GRAPHS
    slow = slow or sum(segment.took for segment in group) > SLOW
    how |= {"measures": measures, "seconds": LONGER if slow else STRETCH}
    if away:
        how["own"] = own_entries()
    else:
        how |= {"stop": context.stop, "report": partial(report_rows, context, group)}
    return partial(train, runs, group[0].end, contents, last, **how)


def source_of(experiment: Experiment) -> str:
    """The text of a student's own function of experiments, "" for one of the package."""
    return find_function(experiment.address).text


def compute(
    experiment: Experiment,
    device: str,
    threads: int | None = None,
    stop: Flag | None = None,
    source: str = "",
) -> dict[str, Any] | Diverged:
    """Compute an experiment here: what Result takes of it, or the error if it diverged. source: the
    text of a student's own function, where another process defines it."""
    source = source or source_of(experiment)
    known: Any = None if source else find_function(experiment.address)
    function = rebuild(source, experiment.name) if source else known.compute
    place, asked = devices.pick(device), {"device": device, "stop": stop}
    if stop and stop.is_set():
        raise Cancelled
    how = {n: v for n, v in asked.items() if n in inspect.signature(function).parameters}
    began = time.perf_counter()
    try:
        with devices.explain_failures(), devices.torch_defaults(threads or 1):
            values = function(**dict(experiment.given), **how)
        seconds = time.perf_counter() - began
        require(isinstance(values, Mapping), f"{experiment!r} gives {{}}: return a dict", values)
        values = plain_data(repr(experiment), dict(values))
    except Diverged as error:
        return error
    about = {"copy": values.pop("copy", ""), "device": devices.machine(place)}
    about["precision"] = values.pop("precision", "") or devices.precision("native", place)
    about |= {"threads": threads or 1, "torch": str(__version__)}
    return {"values": values, "seconds": seconds, **about}


def settle(
    segment: Segment, outcome: Stretch | Diverged, queue: list[Segment]
) -> Iterator[tuple[Any, dict[str, Any] | Diverged]]:
    """Keep what became of a segment, put what is left of it and its branches into the queue, and
    yield the specs that end here."""
    if isinstance(outcome, Diverged):
        yield from ((spec, outcome) for part in segment.subtree() for spec in part.ends)
        segment.branches.clear()
        close(segment)
        return
    done = len(outcome.rows)
    if done < segment.end or segment.branches:
        path, began = checkpoints.file_names(segment.spec)[done], time.monotonic()
        checkpoints.write(path, outcome.content)
        segment.content, segment.took = outcome.content, time.monotonic() - began
        if path.exists():  # a full disk keeps the one before
            checkpoints.remove(segment.files - {path})
            segment.files = {path}
    if done < segment.end:
        queue.append(segment)
        return
    yield from ((spec, training_of(spec, outcome)) for spec in segment.ends)
    queue += sorted(segment.branches, key=lambda s: s.epochs)
    close(segment)


def next_group(queue: list[Segment], room: int, context: Context) -> list[Segment]:
    """Take the next segment from the queue, with those of other seeds that are trained beside it,
    in a stack or on a GPU, as many as leave each of `room` jobs its share."""
    alike = [queue[-1]]
    profile, on_gpu = alike[0].spec.profile, devices.pick(context.device).type == GRAPHS
    if PROFILES[profile].stacked or (on_gpu and profile not in devices.LARGE):
        alike = [segment for segment in queue if segment.alike == alike[0].alike]
    group = alike[-min(MOST, math.ceil(len(queue) / room)) :]
    queue[:] = [segment for segment in queue if segment not in group]
    return group


@contextmanager
def open_executor(specs: list, context: Context) -> Iterator[tuple[Executor | None, int]]:
    """Open the executor that trains these specs, None for this process. Yields it, and how many
    jobs it has at a time."""
    if context.executor is not None:
        yield context.executor, context.workers or MOST_JOBS
    elif specs and (count := context.workers or usual_workers(specs, context.device)) > 1:
        on_gpu = devices.pick(context.device).type == GRAPHS
        threads = max(1, devices.usable_cores() // count)
        gpu: Any = workers.shared_gpu() if on_gpu else nullcontext({})
        count = min(count, len(specs))  # all of which start at once, whatever there is to do
        with gpu as environment, workers.processes(count, threads, environment) as pool:
            yield pool, count
    else:
        yield None, 1


def usual_workers(specs: list, device: str = "auto") -> int:
    """How many processes train these specs: on a CPU one for each core; on an NVIDIA GPU eight for
    small networks of many kinds, and this one alone for larger ones and for seeds side by side. A
    single spec needs this one alone, and so do a student's own experiments, and what ends before a
    process has started."""
    runs, chip = [spec for spec in specs if not isinstance(spec, Experiment)], devices.pick(device)
    if not runs:
        alone = chip.type != "cpu" or any(map(source_of, specs))
        return 1 if alone else min(devices.usable_cores(), len(specs))
    profiles = {run.profile for run in runs}
    brief = {name for name, profile in PROFILES.items() if profile.stacked or name == "ci"}
    if chip.type == GRAPHS:
        brief, runs = {*PROFILES}, [*{run.with_seed(0): run for run in runs}]
    if profiles <= brief and sum(run.epochs for run in runs) < WORTH_IT:
        return 1
    large = bool(profiles & {*devices.LARGE})
    most = {"cpu": len(runs), "cuda": 1 if large else 8}.get(chip.type, 1)
    return max(1, min(devices.usable_cores(), len(runs), most))


def find_deepest(segment: Segment) -> bytes:
    """The latest checkpoint that an earlier training left within a segment, if there is one."""
    paths = checkpoints.file_names(segment.spec)[segment.begin + 1 : segment.end + 1]
    segment.files |= {*paths}
    return next(filter(None, map(checkpoints.read, reversed(paths))), b"")


def report_rows(context: Context, group: list[Segment], number: int, rows: list[dict]) -> None:
    """Report those rows of a segment that were not reported before."""
    segment = group[number]
    for row in rows[segment.reported :]:
        segment.reported += 1
        context.report(segment.spec, row)


def close(segment: Segment | None) -> None:
    """Drop the state of a segment once no branch of it is left to train, then its parent's."""
    while segment and not segment.branches:
        checkpoints.remove(segment.files)
        segment.content, segment.files = None, set()
        if segment.parent:
            segment.parent.branches.remove(segment)
        segment = segment.parent
