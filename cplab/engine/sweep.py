"""Trains any set of runs and experiments, as trees of their common beginnings.

Several segments are trained side by side, each in a worker. A run that branches from a checkpoint
equals the same run trained alone, to the bit on one machine: seed and epoch decide every random
number and every rate.
"""

import math
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, Future
from dataclasses import dataclass
from operator import attrgetter
from queue import Empty, SimpleQueue
from typing import Any

from cplab import models
from cplab.base.errors import Cancelled, CplabError, Failed
from cplab.base.files import tidy
from cplab.engine import checkpoints, workers
from cplab.engine.gpu import cards
from cplab.engine.tree import Context, Segment, plan
from cplab.engine.workers import AnyWorker, Pool
from cplab.engine.workload import Job, Note, ResultFields, Stretch
from cplab.measure import Measures
from cplab.runs import DISTANCES, MEASURED, Run
from cplab.specs import Spec
from cplab.specs.experiments import Experiment
from cplab.specs.own import Registered, modules_for, own_entries
from cplab.specs.profiles import PROFILES

# Seconds after which a job returns with its state, which is then kept: an interruption costs no
# more
STRETCH = 4
# The same where each stretch costs more: a large network takes long to write, and a GPU captures
# its graphs anew
LONG_STRETCH = 30
MOST_ON_CARD = 8  # jobs that share a GPU
MOST_SIDE_BY_SIDE = 25  # networks in a job: the weights of more do not fit into a core's cache

Group = list[Segment]  # that a job trains side by side
Rows = list[tuple[Spec, dict]]  # of the curves of some specs
TellRows = Callable[[Rows], object]
# What comes from a worker: notes of a job, or its Future once it has ended
Message = list[Note] | Future
# What a job comes to: for each of its segments a stretch or an error; or the error with which the
# job itself ended
Outcome = list[Stretch | Failed] | Failed


@dataclass(eq=False)
class Running:
    """A job that a worker does."""

    group: Group
    worker: AnyWorker


def train_all(
    specs: Iterable[Run | Experiment],
    context: Context | None = None,
    measures: Measures | None = None,
    tell: TellRows = lambda rows: None,
) -> Iterator[tuple[Run | Experiment, ResultFields | Failed]]:
    """Train runs and compute experiments, several side by side.

    Arguments:
        specs: of both.
        context: how they are trained.
        measures: when to take each measurement, by name.
        tell: called with rows of curves as they are made.

    Yields:
        each spec, as it ends, with the fields of its Result, or the error with which it ended.

    Raises:
        Cancelled.
        CplabError: for what concerns all of them.
    """
    specs = list(specs)
    context = context or Context()
    measures = measures or {}
    tidy()
    # The last of the queue is next: the largest tree, so that all workers end at about one time
    queue = sorted(plan(specs), key=attrgetter("epochs"))
    pool = workers.open_workers(context.executor, context.workers)
    running = set[Running]()
    messages = SimpleQueue[tuple[Running, Message]]()
    try:
        while queue or running:
            if context.stop.is_set():
                raise Cancelled
            most = most_jobs(specs, context, pool)
            while queue and (worker := pool.take(len(running), len(queue), most)):
                group = next_group(queue, max(1, most - len(running)), on_card(context, pool))
                try:
                    running.add(begin_job(group, worker, context, measures, messages))
                except BrokenExecutor:  # the worker has died while it had nothing to do
                    worker.end()
                    queue += group
            for job, message in next_messages(messages):
                if isinstance(message, list):
                    hear(job.group, message, tell)
                else:  # the job has ended
                    running.remove(job)
                    outcome = outcome_of(job.group, message, tell)
                    yield from settle_group(job.group, outcome, queue, tell)
    finally:
        for job in running:
            job.worker.stop()


# Which segments are next --------------------------------------------------------------------------


def most_jobs(specs: list[Run | Experiment], context: Context, pool: Pool) -> int:
    """How many jobs may run at a time.

    On a CPU it is one for each core. On an NVIDIA GPU it is eight for small networks of many kinds,
    and one for larger ones, and for seeds, which are trained side by side.
    """
    if context.executor or context.workers:
        return context.workers or workers.MOST_JOBS
    most = workers.most_workers()
    runs = [spec for spec in specs if isinstance(spec, Run)]
    if on_card(context, pool):
        if not runs or any(PROFILES[run.profile].large for run in runs):
            return 1
        return min(most, MOST_ON_CARD, len({run.with_seed(0) for run in runs}))
    is_on_cpu = "cpu" in (context.device, pool.device)
    return most if is_on_cpu else 1  # on Apple's GPU, or before a worker has said where it trains


def on_card(context: Context, pool: Pool | AnyWorker) -> bool:
    """Whether an NVIDIA GPU trains: what `auto` is only a worker can say."""
    device = context.device.partition(":")[0]
    return (pool.device if device == "auto" else device) == cards.KIND


def next_group(queue: list[Segment], room: int, is_on_card: bool) -> list[Segment]:
    """Take the next segment from the queue, with those of other seeds that are trained beside it in
    a stack or on a GPU.

    Arguments:
        queue: of segments; the last one is next.
        room: the number of jobs that can still start; each gets its share.
        is_on_card: whether an NVIDIA GPU trains them.
    """
    following = queue[-1]
    if following.alone or not is_joined(following.spec, is_on_card):
        return [queue.pop()]
    alike = []
    for segment in queue:
        if segment.alike == following.alike and not segment.alone:
            alike.append(segment)
    count = min(MOST_SIDE_BY_SIDE, math.ceil(len(queue) / room))
    group = alike[-count:]
    queue[:] = [segment for segment in queue if segment not in group]
    return group


def is_joined(spec: Run | Experiment, is_on_card: bool) -> bool:
    """Whether several seeds of a spec are trained side by side."""
    if isinstance(spec, Experiment):
        return False
    profile = PROFILES[spec.profile]
    model = models.MODELS.get(spec.family)
    is_own = bool(model and model.own)  # which may draw in each pass
    return profile.stacked or (is_on_card and not profile.large and not is_own)


# Jobs ---------------------------------------------------------------------------------------------


def begin_job(
    group: Group,
    worker: AnyWorker,
    context: Context,
    measures: Measures,
    messages: SimpleQueue[tuple[Running, Message]],
) -> Running:
    """Have a worker train segments.

    Arguments:
        group: of segments that one job trains.
        worker: that gets the job.
        context: how runs are trained.
        measures: when to take each measurement, by name.
        messages: a queue that gets what the worker tells, and its Future when it has ended.
    """
    running = Running(group, worker)
    specs = [segment.spec for segment in group]
    job = Job(
        specs,
        context.device,
        *functions_for(specs, measures),
        end=group[0].end,
        contents=[beginnings(segment) for segment in group],
        last=[bool(segment.ends) for segment in group],
        told=[segment.told for segment in group],
        measures=measures,
        seconds=stretch_length(group, on_card(context, worker)),
    )
    future = worker.submit(job, lambda notes: messages.put((running, notes)))
    future.add_done_callback(lambda future: messages.put((running, future)))
    return running


def functions_for(
    specs: list[Run | Experiment], measures: Measures
) -> tuple[list[Registered], list[str]]:
    """Students' own functions that a job takes with it, which its specs and measures name, and the
    modules of those of the package."""
    named: str | None = " ".join([*(spec.canonical() for spec in specs), *measures])
    if any(isinstance(spec, Experiment) and spec.function.own for spec in specs):
        named = None  # its code may name any other
    return own_entries(named), modules_for(named)


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


def find_deepest(segment: Segment) -> bytes:
    """The latest checkpoint of a segment from an earlier training; b"" if there is none."""
    paths = checkpoints.file_paths(segment.spec)[segment.begin + 1 : segment.end + 1]
    segment.files |= {*paths}
    for path in reversed(paths):
        if content := checkpoints.read(path):
            return content
    return b""


def stretch_length(group: Group, is_on_card: bool) -> float:
    """The seconds after which a job returns with the states of its segments."""
    if isinstance(group[0].spec, Experiment):
        return math.inf  # it has one part
    if PROFILES[group[0].spec.profile].large or is_on_card:
        return LONG_STRETCH
    return STRETCH


def next_messages(
    messages: SimpleQueue[tuple[Running, Message]],
) -> Iterator[tuple[Running, Message]]:
    """What workers have told, and the jobs that they have ended: those of now, or the first of the
    next moment, if there is one."""
    try:
        yield messages.get(timeout=0.05)
        while not messages.empty():
            yield messages.get_nowait()
    except Empty:
        return


def hear(group: Group, notes: Iterable[Note], tell: TellRows) -> None:
    """Pass on what a worker tells: rows to `tell`, warnings and prints to the user."""
    rows: Rows = []
    for note in notes:
        if note.warning:
            warnings.warn(note.warning, stacklevel=2)
        if note.printed:
            print(note.printed, end="")
        if note.row is None:
            continue
        segment = group[note.number]
        if isinstance(segment.spec, Experiment):
            rows.append((segment.spec, note.row))
        elif note.row["part"] == segment.told:  # else a stretch has brought it already
            rows += next_rows(segment, [note.row])
    if rows:
        tell(rows)


def next_rows(segment: Segment, rows: list[dict]) -> Rows:
    """The next rows of a segment's curve, as they are told."""
    segment.told += len(rows)
    return [(segment.spec, row) for row in rows]


def outcome_of(group: Group, future: Future, tell: TellRows) -> Outcome:
    """The Outcome of a job that has ended.

    Raises:
        what the job raised, unless that is Failed, which is an Outcome.
        CplabError: if its worker has died.
    """
    try:
        outcome, notes = future.result()
    except Failed as failed:
        return failed
    except BrokenExecutor as broken:
        raise CplabError(
            f"the worker process died that had {words_of(group)}, usually for lack of memory: what "
            "was trained is kept; ask again with fewer workers (workers=1, or %env "
            "CPLAB_WORKERS=1 in a cell above) or --device cpu"
        ) from broken
    hear(group, notes, tell)
    return outcome


def words_of(group: Group) -> str:
    """What a job trains, in words."""
    line = group[0].spec.call()
    return f"{line} and {len(group) - 1} other seeds" if len(group) > 1 else line


# What jobs come to --------------------------------------------------------------------------------


def settle_group(
    group: Group, outcome: Outcome, queue: list[Segment], tell: TellRows
) -> Iterator[tuple[Run | Experiment, ResultFields | Failed]]:
    """Settle the segments that one job has trained, and yield the specs that end with them.

    If the job failed with several segments, each of them is queued to be trained by itself, which
    shows which of them fails.
    """
    if isinstance(outcome, Failed) and len(group) > 1:
        for segment in group:
            segment.alone = True
        queue += group
        return
    stretches = [outcome] if isinstance(outcome, Failed) else outcome
    for segment, stretch in zip(group, stretches, strict=True):
        rows = stretch.rows[segment.told :] if isinstance(stretch, Stretch) else []
        if rows:
            tell(next_rows(segment, rows))
        yield from settle(segment, stretch, queue)


def settle(
    segment: Segment, outcome: Stretch | Failed, queue: list[Segment]
) -> Iterator[tuple[Run | Experiment, ResultFields | Failed]]:
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


def training_of(spec: Run | Experiment, stretch: Stretch) -> ResultFields:
    """The fields of a Result: its values, what was measured, the seconds that it would have taken
    alone, and how it was computed.

    Arguments:
        spec: the run or the experiment.
        stretch: with which its training has ended.
    """
    if isinstance(spec, Experiment):
        [row] = stretch.rows
        return {"values": row["values"], "seconds": row["seconds"], **stretch.provenance}
    measured: dict[str, dict[int, Any]] = {}
    for row in stretch.rows:
        for name, value in row.get("measured", {}).items():
            measured.setdefault(name, {})[row["epoch"]] = value
    epochs = [row for row in stretch.rows if "epoch" in row]
    columns = {}
    for name in (*MEASURED, *DISTANCES):
        columns[name] = [row.get(name) for row in epochs]
    values = spec.values(columns)
    seconds = sum(row["seconds"] for row in stretch.rows)
    repeatable = not any("unsteady" in row for row in stretch.rows)
    fields = {"values": values, "measured": measured, "seconds": seconds, **stretch.provenance}
    return fields | {"repeatable": repeatable}


def keep_checkpoint(segment: Segment, stretch: Stretch) -> None:
    """Keep the state of a segment in memory and on disk, in place of its earlier ones."""
    path = checkpoints.file_paths(segment.spec)[len(stretch.rows)]
    checkpoints.write(path, stretch.content)
    segment.content = stretch.content
    if path.exists():  # on a full disk the earlier one stays
        checkpoints.remove(segment.files - {path})
        segment.files = {path}


def close(segment: Segment | None) -> None:
    """Drop a segment's state if no branch of it is left to train, and likewise its parent's."""
    while segment and not segment.branches:
        checkpoints.remove(segment.files)
        segment.content = None
        segment.files = set()
        if segment.parent:
            segment.parent.branches.remove(segment)
        segment = segment.parent
