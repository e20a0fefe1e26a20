"""Training of any set of runs, as a tree of their common beginnings, several segments side by side.

A run that branches from a checkpoint equals the same run trained alone, bit for bit on one machine
at one number of threads: seed and epoch decide every random number and rate.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import __version__

from cplab import devices
from cplab.engine import checkpoints, workers
from cplab.engine.train import Stretch, has_measures, train_stretch
from cplab.engine.tree import Context, Segment, plan
from cplab.errors import Cancelled, Diverged, Exhausted, tidy
from cplab.measure.measurements import Measures
from cplab.specs import own

STRETCH = 2  # seconds after which a worker returns its state; a worker that dies loses as much
MOST_JOBS = 256  # that an executor has at a time


@dataclass
class Training:
    """The outcome of training a spec, and how it was computed.

    values: the spec's result as plain data. measured: {measurement: {epoch: plain data}}. seconds:
    as if the spec had been trained alone. copy: the files that the images are from.
    """

    values: dict
    measured: dict[str, dict[int, Any]]
    seconds: float
    copy: str
    device: str
    precision: str
    threads: int
    torch: str = str(__version__)


def training_of(spec: Any, stretch: Stretch) -> Training:
    """Make the Training of a spec that ends with a stretch."""
    measured: dict[str, dict[int, Any]] = {}
    for row in stretch.rows:
        for name, value in row.get("measured", {}).items():
            measured.setdefault(name, {})[row["epoch"]] = value
    rows = [{k: v for k, v in row.items() if k != "measured"} for row in stretch.rows]
    return Training(spec.values(rows), measured, sum(row["seconds"] for row in rows), **stretch.how)


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
    with open_executor(specs, context) as (executor, room):
        train = job_maker(executor, context, measures)
        try:
            while queue or running:
                if context.stop.is_set():
                    raise Cancelled
                while queue and len(running) < room:
                    segment = queue.pop()
                    running[train(segment)] = segment
                for job in wait(running, timeout=0.1, return_when=FIRST_COMPLETED).done:
                    segment = running.pop(job)
                    try:
                        stretch = job.result()
                    except Diverged as error:
                        yield from ((s, error) for part in segment.subtree() for s in part.ends)
                        segment.branches.clear()
                        close(segment)
                        continue
                    for row in stretch.rows:
                        report_row(segment, context, row)
                    done = len(stretch.rows)
                    if done < segment.end or segment.branches:
                        keep(segment, done, stretch.content)
                    if done < segment.end:
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
            # loky fails on a cancelled job when it kills its workers, which ends all jobs anyway
            for job in running if context.executor else ():
                job.cancel()


@contextmanager
def open_executor(specs: list, context: Context) -> Iterator[tuple[Executor, int]]:
    """Open the executor that trains these specs. Yields it, and how many jobs it has at a time."""
    if context.executor is not None:
        yield context.executor, context.workers or MOST_JOBS
    elif (count := context.workers or usual_workers(specs, context.device)) > 1:
        with workers.processes(count, max(1, devices.usable_cores() // count)) as pool:
            yield pool, count
    else:
        yield workers.ThisProcess(), 1


def usual_workers(specs: list, device: str = "auto") -> int:
    """How many processes train these specs: on a CPU one for each core; on an NVIDIA GPU up to
    eight for small networks, which wait for Python, and this one alone for larger ones. A single
    spec needs this one alone, and so does ci, which ends before a process has started."""
    profiles = {getattr(spec, "profile", "ci") for spec in specs}
    device_type, small = devices.pick(device).type, profiles <= {*devices.SMALL}
    most = {"cpu": len(specs), "cuda": 8 if small else 1}.get(device_type, 1)
    return 1 if profiles <= {"ci"} else max(1, min(devices.usable_cores(), len(specs), most))


def job_maker(
    executor: Executor, context: Context, measures: Measures
) -> Callable[[Segment], Future]:
    """Make a function that submits a segment for training: from its latest state, from a checkpoint
    of an earlier training, or from the end of the segment that it branches from."""
    in_process = isinstance(executor, workers.ThisProcess)
    how: dict[str, Any] = {"device": context.device, "threads": context.threads}
    how |= {"stop": context.stop} if in_process else {"seconds": STRETCH, "own": own.dumps_own()}

    def submit(segment: Segment) -> Future:
        segment.content = segment.content or find_deepest(segment, measures)
        before = segment.parent.content if segment.parent else None
        contents = [content for content in (segment.content, before) if content]
        options: dict[str, Any] = {"measures": measures, "last": bool(segment.ends)}
        if in_process:
            report = partial(report_row, segment, context)
            options |= {"report": report, "save": partial(keep, segment)}
        return executor.submit(train_stretch, segment.spec, segment.end, contents, **how, **options)

    return submit


def find_deepest(segment: Segment, measures: Measures) -> bytes | None:
    """The state of the latest checkpoint that an earlier training left within a segment."""
    names = checkpoints.file_names(segment.spec)
    saved = [path for path in names[segment.begin + 1 : segment.end + 1] if path.exists()]
    segment.files |= {*saved}
    sound = filter(None, map(checkpoints.read, reversed(saved)))
    return next((content for content, rows in sound if has_measures(rows, measures)), None)


def report_row(segment: Segment, context: Context, row: dict) -> None:
    """Report a row of a segment, unless it was reported before."""
    if row["part"] == segment.reported:
        segment.reported += 1
        context.report(segment.spec, row)


def keep(segment: Segment, parts: int, content: bytes) -> None:
    """Keep a segment's state after this many parts, in memory and on disk."""
    path = checkpoints.file_names(segment.spec)[parts]
    segment.content = content
    outdated = segment.files - {path}
    segment.files = checkpoints.write(path, content)
    checkpoints.remove(outdated)


def close(segment: Segment | None) -> None:
    """Drop the state of a segment once no branch of it is left to train, then its parent's."""
    while segment and not segment.branches:
        checkpoints.remove(segment.files)
        segment.content, segment.files = None, set()
        if segment.parent:
            segment.parent.branches.remove(segment)
        segment = segment.parent
