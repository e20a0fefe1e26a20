"""Training of any set of runs, as a tree of their common beginnings, several segments side by side.

A run that branches from a checkpoint equals the same run trained alone, bit for bit on one machine:
seed and epoch decide every random number and rate.
"""

import math
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import __version__

from cplab import devices
from cplab.engine import checkpoints, workers
from cplab.engine.passes import GRAPHS
from cplab.engine.stack import MOST
from cplab.engine.train import Stretch, has_measures, train
from cplab.engine.tree import Context, Segment, plan
from cplab.errors import Cancelled, CplabError, Diverged, tidy
from cplab.measure.measurements import Measures
from cplab.specs import own
from cplab.specs.profiles import PROFILES

STRETCH = 2  # seconds after which a worker returns its state; a worker that dies loses as much
MOST_JOBS = 256  # that an executor has at a time
WORTH_IT = 3000  # epochs of ci and of stacks; fewer end before a process has started


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
    Raises: Cancelled, CplabError.
    """
    specs, context, measures = list(specs), context or Context(), measures or {}
    chip = devices.pick(context.device)
    tidy()
    queue = sorted(plan(specs), key=lambda s: s.epochs)  # the last is next: the largest tree
    running: dict[Future, list[Segment]] = {}
    how: dict[str, Any] = {"device": context.device, "threads": context.threads}
    how["measures"] = measures
    with devices.explain_failures(), open_executor(specs, context) as (executor, room):
        try:
            while queue or running:
                if context.stop.is_set():
                    raise Cancelled
                ended: list[tuple[list[Segment], list[Stretch | Diverged]]] = []
                if executor is None:
                    group = next_group(queue, 1, chip)
                    tell = partial(report_row, context, group)
                    here: Any = {"stop": context.stop, "report": tell, "save": partial(keep, group)}
                    ended.append((group, train(**job(group, measures), **how, **here)))
                while executor and queue and len(running) < room:
                    group = next_group(queue, room - len(running), chip)
                    away: Any = {"seconds": STRETCH, "own": own.own_entries()}
                    future = executor.submit(train, **job(group, measures), **how, **away)
                    running[future] = group
                for future in wait(running, timeout=0.1, return_when=FIRST_COMPLETED).done:
                    ended.append((running.pop(future), future.result()))
                for group, outcomes in ended:
                    for number, outcome in enumerate(outcomes):
                        if isinstance(outcome, Stretch):
                            for row in outcome.rows:
                                report_row(context, group, number, row)
                        yield from settle(group, number, outcome, queue)
        except BrokenExecutor as error:
            raise CplabError(
                "a worker process died, mostly for want of memory: what was trained is kept; ask "
                "again with fewer workers (workers=1) or --device cpu"
            ) from error
        finally:
            # loky fails on a cancelled job when it kills its workers, which ends all jobs anyway
            for future in running if context.executor else ():
                future.cancel()


def settle(
    group: list[Segment], number: int, outcome: Stretch | Diverged, queue: list[Segment]
) -> Iterator[tuple[Any, Training | Diverged]]:
    """Keep what became of a segment, put what is left of it and its branches into the queue, and
    yield the specs that end here."""
    segment = group[number]
    if isinstance(outcome, Diverged):
        yield from ((spec, outcome) for part in segment.subtree() for spec in part.ends)
        segment.branches.clear()
        close(segment)
        return
    done = len(outcome.rows)
    if done < segment.end or segment.branches:
        keep(group, number, done, outcome.content)
    if done < segment.end:
        queue.append(segment)
        return
    yield from ((spec, training_of(spec, outcome)) for spec in segment.ends)
    queue += sorted(segment.branches, key=lambda s: s.epochs)
    close(segment)


def next_group(queue: list[Segment], room: int, chip: Any) -> list[Segment]:
    """Take the next segment from the queue, with those of other seeds that are trained beside it,
    in a stack or on a GPU, as many as leave each of `room` jobs its share."""
    alike = [queue[-1]]
    profile = PROFILES.get(getattr(alike[0].spec, "profile", ""))
    small = profile and profile.name not in devices.LARGE
    if profile and (profile.stacked or (small and chip.type == GRAPHS)):
        alike = [segment for segment in queue if segment.alike == alike[0].alike]
    group = alike[-min(MOST, math.ceil(len(queue) / room)) :]
    queue[:] = [segment for segment in queue if segment not in group]
    return group


def job(group: list[Segment], measures: Measures) -> dict[str, Any]:
    """The arguments with which `train` trains segments: from their latest states, from checkpoints
    of an earlier training, or from the ends of the segments that they branch from."""
    contents = []
    for segment in group:
        segment.content = segment.content or find_deepest(segment, measures)
        before = segment.parent.content if segment.parent else None
        contents.append([content for content in (segment.content, before) if content])
    runs, last = [segment.spec for segment in group], [bool(s.ends) for s in group]
    return {"runs": runs, "end": group[0].end, "contents": contents, "last": last}


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
    single spec needs this one alone, and so does what ends before a process has started."""
    profiles, chip = {getattr(spec, "profile", "ci") for spec in specs}, devices.pick(device)
    brief = {name for name, profile in PROFILES.items() if profile.stacked or name == "ci"}
    if chip.type == GRAPHS:
        brief, specs = {*PROFILES}, [*{spec.with_seed(0): spec for spec in specs}]
    if profiles <= brief and sum(getattr(spec, "epochs", 0) for spec in specs) < WORTH_IT:
        return 1
    large = bool(profiles & {*devices.LARGE})
    most = {"cpu": len(specs), "cuda": 1 if large else 8}.get(chip.type, 1)
    return max(1, min(devices.usable_cores(), len(specs), most))


def find_deepest(segment: Segment, measures: Measures) -> bytes | None:
    """The state of the latest checkpoint that an earlier training left within a segment."""
    paths = checkpoints.file_names(segment.spec)[segment.begin + 1 : segment.end + 1]
    segment.files |= {*paths}
    sound = filter(None, map(checkpoints.read, reversed(paths)))
    return next((content for content, rows in sound if has_measures(rows, measures)), None)


def report_row(context: Context, group: list[Segment], number: int, row: dict) -> None:
    """Report a row of a segment, unless it was reported before."""
    segment = group[number]
    if row["part"] == segment.reported:
        segment.reported += 1
        context.report(segment.spec, row)


def keep(group: list[Segment], number: int, parts: int, content: bytes) -> None:
    """Keep a segment's state after this many parts, in memory and on disk."""
    segment = group[number]
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
