"""Trains any set of runs, as trees of their common beginnings, and computes experiments.

Several segments are trained side by side. A run that branches from a checkpoint equals the same run
trained alone, to the bit on one machine: seed and epoch decide every random number and every rate.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from operator import attrgetter
from typing import Any

from cplab import devices
from cplab.engine import checkpoints, workers
from cplab.engine.experiments import compute, definition_of
from cplab.engine.gpu import cards
from cplab.engine.stack import MOST, is_stacked
from cplab.engine.train import train
from cplab.engine.training import Stretch
from cplab.engine.tree import Context, Segment, plan
from cplab.errors import Cancelled, CplabError, Failed
from cplab.files import tidy
from cplab.measure.measurements import Measures
from cplab.runs import MEASURED, Run, Step
from cplab.specs.experiments import Experiment
from cplab.specs.own import own_entries
from cplab.specs.profiles import PROFILES

# Seconds after which a job returns with its state, which is then kept: an interruption costs no
# more
STRETCH = 2
# The same where each stretch costs more: a large network and a slow disk take long to write, and a
# GPU captures its graphs anew
LONG_STRETCH = 30
IN_PROCESS = 2  # a factor for jobs in this process, which report each epoch without returning
SLOW = 0.2  # seconds that writing takes on a slow disk
MOST_JOBS = 256  # of an executor at a time
# Epochs of the profile ci for which worker processes are worth starting
WORTH_PROCESSES = 3000
IN_STACK = 1 / 3  # the time of an epoch in a stack, in epochs of ci

Group = list[Segment] | Experiment  # what a job computes: segments side by side, or an experiment
ResultFields = dict[str, Any]  # the fields of a spec's Result, by name
# What a job comes to: for each of its segments a stretch or an error; the fields of an experiment;
# or the error with which the job itself ended
Outcome = list[Stretch | Failed] | ResultFields | Failed


def training_of(spec: Run, stretch: Stretch) -> ResultFields:
    """The fields of a run's Result: its values, what was measured, the seconds that it would have
    taken alone, and how it was computed.

    Arguments: spec, the run; stretch, with which its training has ended.
    """
    measured: dict[str, dict[int, Any]] = {}
    for row in stretch.rows:
        for name, value in row.get("measured", {}).items():
            measured.setdefault(name, {})[row["epoch"]] = value
    epochs = [row for row in stretch.rows if "epoch" in row]
    columns = []
    for name in MEASURED:
        columns.append([row[name] for row in epochs])
    values = spec.values(columns)
    seconds = sum(row["seconds"] for row in stretch.rows)
    return {"values": values, "measured": measured, "seconds": seconds, **stretch.provenance}


def train_all(
    specs: Iterable[Run | Experiment],
    context: Context | None = None,
    measures: Measures | None = None,
) -> Iterator[tuple[Run | Experiment, ResultFields | Failed]]:
    """Train runs, several side by side if that pays, then compute experiments.

    Arguments: specs, of both; context, how they are trained; measures, when to take each
        measurement, by name.

    Yields: each spec, as it ends, with the fields of its Result, or the error with which it ended.

    Raises: Cancelled; CplabError for what concerns all of them.
    """
    specs = list(specs)
    context = context or Context()
    measures = measures or {}
    runs = [spec for spec in specs if isinstance(spec, Run)]
    experiments = [spec for spec in specs if isinstance(spec, Experiment)]
    tidy()
    # The last of the queue is next: the largest tree, so that all processes end at about one time
    queue = sorted(plan(runs), key=attrgetter("epochs"))
    running: dict[Future, Group] = {}
    with devices.explain_failures(), open_executor(specs, context) as (executor, room):
        try:
            while queue or experiments or running:
                if context.stop.is_set():
                    raise Cancelled
                ended: list[tuple[Group, Any]] = []  # groups, each with its Outcome
                while (queue or experiments) and len(running) < room and not ended:
                    group: Group
                    if queue:
                        group = next_group(queue, room - len(running), context)
                    else:
                        group = experiments.pop(0)
                    work = make_job(group, context, measures, away=bool(executor))
                    if executor:
                        running[executor.submit(work)] = group
                        continue
                    try:
                        ended.append((group, work()))
                    except Failed as failure:
                        ended.append((group, failure))
                for future in wait(running, timeout=0.1, return_when=FIRST_COMPLETED).done:
                    ended.append((running.pop(future), outcome_of(future)))
                for group, outcome in ended:
                    if isinstance(group, Experiment):
                        yield group, outcome
                    else:
                        yield from settle_group(group, outcome, queue, context)
        except BrokenExecutor as broken:
            raise CplabError(
                "a worker process died, usually for lack of memory: what was trained is kept; ask "
                "again with fewer workers (workers=1, or %env CPLAB_WORKERS=1 in a cell above) or "
                "--device cpu"
            ) from broken
        finally:
            # loky's workers end all jobs when they are closed, and fail on a cancelled one
            if context.executor:
                for future in running:
                    future.cancel()


def outcome_of(future: Future) -> Any:
    """The Outcome of a job that an executor has ended.

    Raises: what the job raised, unless that is Failed, which is an Outcome.
    """
    error = future.exception()
    if isinstance(error, Failed):
        return error
    return future.result()


def settle_group(
    group: list[Segment],
    outcome: list[Stretch | Failed] | Failed,
    queue: list[Segment],
    context: Context,
) -> Iterator[tuple[Run, ResultFields | Failed]]:
    """Settle the segments that one job has trained, and yield the specs that end with them.

    If the job failed with several segments, each of them is queued to be trained by itself.
    """
    if isinstance(outcome, Failed) and len(group) > 1:
        separate(group, queue)
        return
    stretches = [outcome] if isinstance(outcome, Failed) else outcome
    for number, stretch in enumerate(stretches):
        if isinstance(stretch, Stretch):
            report_rows(context, group, number, stretch.rows)
        yield from settle(group[number], stretch, queue)


def separate(group: list[Segment], queue: list[Segment]) -> None:
    """Queue segments again after a failure, each to be trained by itself for a stretch. That shows
    which of them fails."""
    for segment in group:
        segment.alone = True
    queue += group


def make_job(
    group: Group, context: Context, measures: Measures, away: bool
) -> Callable[[], Outcome]:
    """Make the function that computes an experiment, or trains segments.

    Arguments: group; context; measures; away, whether another process calls the function, which
        then needs students' own functions, and can neither be stopped nor report.
    """
    options: dict[str, Any] = {"device": context.device, "threads": context.threads}
    if not away:
        options["stop"] = context.stop
    if isinstance(group, Experiment):
        if away:
            options["own"] = definition_of(group)
        return partial(compute, group, **options)
    options["measures"] = measures
    options["seconds"] = stretch_length(group, context, away)
    if away:
        lines = [segment.spec.canonical() for segment in group]
        options["entries"] = own_entries(" ".join([*lines, *measures]))
    else:
        options["report"] = partial(report_rows, context, group)
    runs = [segment.spec for segment in group]
    contents = [beginnings(segment) for segment in group]
    last = [bool(segment.ends) for segment in group]
    return partial(train, runs, group[0].end, contents, last, **options)


def beginnings(segment: Segment) -> list[bytes]:
    """The checkpoints from which a segment can go on, the best first: its latest one, of this or of
    an earlier training, and the end of the segment that it branches from."""
    segment.content = segment.content or find_deepest(segment)
    contents = []
    if segment.content:
        contents.append(segment.content)
    if segment.parent and segment.parent.content:
        contents.append(segment.parent.content)
    return contents


def stretch_length(group: list[Segment], context: Context, away: bool) -> float:
    """The seconds after which a job returns with the states of its segments."""
    is_large = group[0].spec.profile in devices.LARGE
    on_card = cards.is_card(devices.pick(context.device))
    writing = sum(segment.writing_seconds for segment in group)
    seconds = STRETCH
    if is_large or on_card or writing > SLOW:
        seconds = LONG_STRETCH
    return seconds if away else IN_PROCESS * seconds


def settle(
    segment: Segment, outcome: Stretch | Failed, queue: list[Segment]
) -> Iterator[tuple[Run, ResultFields | Failed]]:
    """Keep the outcome of a segment, and yield the specs that end with it.

    If the segment is not finished, it is queued again; if it is, its branches are queued. If it has
    failed, all specs that begin with it fail.
    """
    if isinstance(outcome, Failed):
        for lost in segment.subtree():
            for spec in lost.ends:
                yield spec, outcome
        segment.branches.clear()
        close(segment)
        return
    segment.alone = False
    is_finished = len(outcome.rows) >= segment.end
    if segment.branches or not is_finished:
        keep_checkpoint(segment, outcome)
    if not is_finished:
        queue.append(segment)
        return
    for spec in segment.ends:
        yield spec, training_of(spec, outcome)
        if outcome.failure:
            yield spec, outcome.failure
    queue += sorted(segment.branches, key=attrgetter("epochs"))
    close(segment)


def keep_checkpoint(segment: Segment, stretch: Stretch) -> None:
    """Keep the state of a segment in memory and on disk, in place of its earlier ones."""
    path = checkpoints.file_paths(segment.spec)[len(stretch.rows)]
    began = time.monotonic()
    checkpoints.write(path, stretch.content)
    segment.writing_seconds = time.monotonic() - began
    segment.content = stretch.content
    if path.exists():  # on a full disk the earlier one stays
        checkpoints.remove(segment.files - {path})
        segment.files = {path}


def next_group(queue: list[Segment], room: int, context: Context) -> list[Segment]:
    """Take the next segment from the queue, with those of other seeds that are trained beside it in
    a stack or on a GPU.

    Arguments: queue, whose last segment is next; room, the number of jobs that can still start,
        each of which gets its share; context.
    """
    following = queue[-1]
    profile = following.spec.profile
    on_card = cards.is_card(devices.pick(context.device))
    is_joined = PROFILES[profile].stacked or (on_card and profile not in devices.LARGE)
    if following.alone or not is_joined:
        return [queue.pop()]
    alike = []
    for segment in queue:
        if segment.alike == following.alike and not segment.alone:
            alike.append(segment)
    count = min(MOST, math.ceil(len(queue) / room))
    group = alike[-count:]
    queue[:] = [segment for segment in queue if segment not in group]
    return group


@contextmanager
def open_executor(
    specs: Sequence[Run | Experiment], context: Context
) -> Iterator[tuple[Executor | None, int]]:
    """A context with the executor that trains some specs.

    Whatever is trained with the same Context meanwhile uses it too.

    Yields: the executor, or None for this process; how many jobs it has at a time.
    """
    executor = context.executor
    if executor is None:
        executor = context.pool
    if executor is not None:
        yield executor, context.workers or MOST_JOBS
        return
    count = 1
    if specs:
        count = context.workers or usual_workers(specs, context.device)
        count = min(count, workers.most_workers())
    if count == 1:
        yield None, 1
        return
    threads = max(1, devices.usable_cores() // count)
    count = min(count, len(specs))  # all processes start at once, whether or not they have work
    gpu: AbstractContextManager[dict[str, str]] = nullcontext({})
    if cards.is_card(devices.pick(context.device)):
        gpu = cards.shared_among_processes()
    with gpu as environment, workers.processes(count, threads, environment) as pool:
        context.pool = pool
        context.workers = count
        try:
            yield pool, count
        finally:
            context.pool = None


def usual_workers(specs: Sequence[Run | Experiment], device: str = "auto") -> int:
    """How many processes train some specs.

    On a CPU it is one for each core, if there is memory for them. On an NVIDIA GPU it is eight for
    small networks of many kinds; for larger ones, and for seeds side by side, this process alone.
    This process alone also trains a single spec, a student's own experiments, and whatever would
    end before another process has started.

    Arguments: specs; device, auto, cuda, mps or cpu.
    """
    runs = [spec for spec in specs if isinstance(spec, Run)]
    chip = devices.pick(device)
    most = min(devices.usable_cores(), workers.most_workers())
    if not runs:
        experiments = [spec for spec in specs if isinstance(spec, Experiment)]
        if chip.type != "cpu" or any(definition_of(spec) for spec in experiments):
            return 1
        return min(most, len(specs))
    profiles = {run.profile for run in runs}
    if cards.is_card(chip):
        runs = [*dict.fromkeys(run.with_seed(0) for run in runs)]  # seeds are trained side by side
        is_brief = True
    else:
        is_brief = all(PROFILES[name].stacked or name == "ci" for name in profiles)
    if is_brief and sum(map(work_in, runs)) < WORTH_PROCESSES:
        return 1
    if cards.is_card(chip):
        are_large = profiles & {*devices.LARGE}
        most = 1 if are_large else min(most, 8)
    elif chip.type != "cpu":
        most = 1
    return max(1, min(most, len(runs)))


def work_in(run: Run) -> float:
    """The work of training a run of ci, or of a profile with stacks, in epochs of ci."""
    usual = PROFILES[run.profile].train_images
    images = run.images or usual
    work = run.epochs * max(1, images / usual)
    steps = [part for part in run.timeline if isinstance(part, Step)]
    if all(is_stacked(run, step) for step in steps):
        work *= IN_STACK
    return work


def find_deepest(segment: Segment) -> bytes:
    """The latest checkpoint of a segment from an earlier training; b"" if there is none."""
    paths = checkpoints.file_paths(segment.spec)[segment.begin + 1 : segment.end + 1]
    segment.files |= {*paths}
    for path in reversed(paths):
        if content := checkpoints.read(path):
            return content
    return b""


def report_rows(context: Context, group: list[Segment], number: int, rows: list[dict]) -> None:
    """Report those rows of a segment that have not been reported yet.

    Arguments: context, whose `report` is called; group, of segments, and the segment's number in
        it; rows, all of its curve.
    """
    segment = group[number]
    for row in rows[segment.reported :]:
        segment.reported += 1
        context.report(segment.spec, row)


def close(segment: Segment | None) -> None:
    """Drop a segment's state if no branch of it is left to train, and likewise its parent's."""
    while segment and not segment.branches:
        checkpoints.remove(segment.files)
        segment.content = None
        segment.files = set()
        if segment.parent:
            segment.parent.branches.remove(segment)
        segment = segment.parent
