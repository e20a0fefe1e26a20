"""Any set of runs, trained as a tree of what they have in common, several segments side by side.

A run that branches from a checkpoint equals the same run trained alone, bit for bit on one machine
at one number of threads: seed and epoch decide every random number and rate.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from threading import Event as Flag
from typing import Any

from cplab import devices, own
from cplab.engine import checkpoints, workers
from cplab.engine.train import Stretch, has_measures, train_stretch
from cplab.engine.tree import Segment, plan
from cplab.errors import Cancelled, Diverged, Exhausted, tidy
from cplab.measure.measurements import Measures

STRETCH = 2  # seconds after which another process gives its state back: what its loss costs
MOST_JOBS = 256  # at an executor at a time


@dataclass
class Context:
    """How specs are trained.

    device: auto, cuda, mps or cpu. executor: any of concurrent.futures, whose workers have cplab;
    worker processes of this machine where they pay, if None. workers: of these, or jobs at a time
    of an executor. threads: of torch on the CPU, see devices.usual_threads if None. stop: once it
    is set, training ends. report: called with (spec, row) after each epoch. sources: results that
    specs begin with, by their spec.
    """

    device: str = "auto"
    executor: Executor | None = None
    workers: int | None = None
    threads: int | None = None
    stop: Flag = field(default_factory=Flag)
    report: Callable[[Any, dict], None] = lambda spec, row: None
    sources: dict[Any, Any] = field(default_factory=dict)


@dataclass
class Training:
    """What training leaves of a spec, and how it came about.

    values: plain data, of the spec; measured: plain data by measurement and epoch; seconds: as if
    the spec had been trained alone; copy: of the data set.
    """

    values: dict
    measured: dict[str, dict[int, Any]]
    seconds: float
    copy: str
    device: str
    precision: str
    threads: int


def training_of(spec: Any, stretch: Stretch) -> Training:
    """What a stretch says of a spec that ends with it."""
    measured: dict[str, dict[int, Any]] = {}
    for row in stretch.rows:
        for name, value in row.get("measured", {}).items():
            measured.setdefault(name, {})[row["epoch"]] = value
    rows = [{k: v for k, v in row.items() if k != "measured"} for row in stretch.rows]
    how = {name: value for name, value in stretch.how.items() if name != "torch"}
    return Training(spec.values(rows), measured, sum(row["seconds"] for row in rows), **how)


def train_all(
    specs: Iterable, context: Context | None = None, measures: Measures | None = None
) -> Iterator[tuple[Any, Training | Diverged]]:
    """Train a set of specs as a tree, several segments side by side where that pays.

    Yields: (spec, its Training) as each one ends, or the error of one that diverged.
    Raises: Cancelled, Exhausted.
    """
    specs, context, measures = list(specs), context or Context(), measures or {}
    tidy()
    queue = sorted(plan(specs), key=lambda s: s.epochs)  # the last is next: the largest tree
    running: dict[Future, Segment] = {}
    with open_executor(specs, context) as (executor, room, how):
        try:
            while queue or running:
                if context.stop.is_set():
                    raise Cancelled
                while queue and len(running) < room:
                    segment = queue.pop()
                    running[submit(executor, segment, context, measures, how)] = segment
                for job in wait(running, timeout=0.1, return_when=FIRST_COMPLETED).done:
                    segment = running.pop(job)
                    try:
                        stretch = job.result()
                    except Diverged as error:
                        for part in segment.subtree():
                            yield from ((spec, error) for spec in part.ends)
                        segment.branches.clear()
                        close(segment)
                        continue
                    for row in stretch.rows:
                        report_row(segment, context.report, row)
                    if len(stretch.rows) < segment.end or segment.branches:
                        keep(segment, len(stretch.rows), stretch.content)
                    if len(stretch.rows) < segment.end:
                        queue.append(segment)
                        continue
                    yield from ((spec, training_of(spec, stretch)) for spec in segment.ends)
                    queue += sorted(segment.branches, key=lambda s: s.epochs)
                    close(segment)
        except BrokenExecutor as error:
            raise Exhausted(
                "a worker process died, mostly for want of memory: what was trained is kept; ask "
                "again with fewer workers (workers=1) or --device cpu"
            ) from error
        finally:
            for job in running:
                job.cancel()


@contextmanager
def open_executor(specs: list, context: Context) -> Iterator[tuple[Executor, int, dict[str, Any]]]:
    """Who trains these specs, how many stretches at a time, and further arguments for each."""
    how = {"device": context.device, "threads": context.threads}
    if context.executor is not None:
        far = {"seconds": STRETCH, "own": own.dumps_own()}
        yield context.executor, context.workers or MOST_JOBS, how | far
    elif (count := context.workers or usual_workers(specs, context.device)) > 1:
        far = {"seconds": STRETCH, "own": own.dumps_own()}
        with workers.processes(count, max(1, devices.usable_cores() // count)) as pool:
            yield pool, count, how | far
    else:
        yield workers.ThisProcess(), 1, how


def usual_workers(specs: list, device: str = "auto") -> int:
    """How many processes train these specs: one for each core on a CPU; this one alone for a single
    spec, on a GPU, and for those of the ci profile, which are over before a process has started."""
    quick = all(getattr(spec, "profile", "ci") == "ci" for spec in specs)
    if quick or devices.pick(device).type != "cpu":
        return 1
    return max(1, min(devices.usable_cores(), len(specs)))


def submit(
    executor: Executor,
    segment: Segment,
    context: Context,
    measures: Measures,
    how: dict[str, Any],
) -> Future:
    """Have a segment trained on from where it stands, from what an earlier training left of it, or
    from the end of the one that it branches from."""
    if segment.content is None:
        segment.content = find_deepest(segment, measures)
    before = segment.parent.content if segment.parent else None
    contents = [content for content in (segment.content, before) if content]
    last, here = bool(segment.ends), isinstance(executor, workers.ThisProcess)
    more: dict[str, Any] = {"measures": measures, "last": last, **how}
    if here:
        more["report"] = partial(report_row, segment, context.report)
        more |= {"stop": context.stop, "save": partial(keep, segment)}
    with workers.without_interrupt() if not here else nullcontext():
        return executor.submit(train_stretch, segment.spec, segment.end, contents, **more)


def find_deepest(segment: Segment, measures: Measures) -> bytes | None:
    """The state of the deepest checkpoint that an earlier training left of a segment."""
    names = checkpoints.file_names(segment.spec)
    there = [path for path in names[segment.begin + 1 : segment.end + 1] if path.exists()]
    segment.files |= {*there}
    for path in reversed(there):
        content = checkpoints.read(path)
        if content and has_measures(checkpoints.rows_of(content), measures):
            return content
    return None


def report_row(segment: Segment, report: Callable[[Any, dict], None], row: dict) -> None:
    """Report a row of a segment, if it is the next one."""
    if row["part"] == segment.reported:
        segment.reported += 1
        report(segment.spec, row)


def keep(segment: Segment, parts: int, content: bytes) -> None:
    """Keep the state that a segment has come to after so many parts, here and on disk."""
    path = checkpoints.file_names(segment.spec)[parts]
    segment.content = content
    written = {path} if checkpoints.write(path, content) else set()
    checkpoints.remove(segment.files - {path})
    segment.files = written


def close(segment: Segment | None) -> None:
    """Drop the state of a segment from which no branch begins any more, and then its parent's."""
    while segment and not segment.branches:
        checkpoints.remove(segment.files)
        segment.content, segment.files = None, set()
        if segment.parent:
            segment.parent.branches.remove(segment)
        segment = segment.parent
