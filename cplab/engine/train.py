"""The training loop."""

import math
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from threading import Event as Flag
from typing import Any

import torch

from cplab import devices
from cplab.engine import checkpoints
from cplab.engine.threads import ThreadWatch, quickest_threads, threads_of
from cplab.errors import Cancelled, Diverged
from cplab.measure.measurements import Measures, due_measures, measure_after, try_on_newborn
from cplab.runs import Event, Step
from cplab.runs.tasks import Classification, Images, TrainState
from cplab.specs.own import load_own

SAVED = 1.0  # seconds between two checkpoints of this process, so what an interruption costs
_gpu = threading.Lock()  # one training at a time: its algorithms are chosen for the whole process


@dataclass
class Stretch:
    """The outcome of a stretch of training: a row for each part done since birth, how it was
    computed (copy of the data set, device, precision, threads, torch), and the state as bytes."""

    rows: list[dict]
    how: dict[str, Any]
    content: bytes


@devices.explain_failures()
def train_stretch(
    run: Any,
    end: int,
    contents: Iterable[bytes] = (),
    *,
    device: str = "auto",
    threads: int | None = None,
    own: Iterable = (),
    measures: Measures | None = None,
    last: bool = False,
    seconds: float = math.inf,
    stop: Flag | None = None,
    report: Callable[[dict], None] = lambda row: None,
    save: Callable[[int, bytes], None] | None = None,
) -> Stretch:
    """Train a run up to part `end` of its timeline (exclusive), or until some seconds have passed.
    Equal seeds give equal bits at equal threads: seed and epoch decide random numbers and rates.

    Arguments:
        contents: checkpoints to begin from, as bytes. Training begins with the first one that is
            sound, has all measurements and was computed in the same way; without one, at birth.
        threads: of torch on a CPU. None is one for a small network; or two, where that is quicker
            now and training does not pause, until other work gets in their way.
        own: a student's own functions, see own.dumps_own.
        last: whether a run ends at part `end`, and measurements of the end are due.
        seconds: after which training pauses, once the current part is done.
        stop: an Event that is checked before each batch.
        report: called with each row, see train_part.
        save: called now and then with the number of parts done and the state as bytes.
    Raises: Cancelled, Diverged; CplabError for a measurement that fails.
    """
    load_own(own)
    chip, task, measures = devices.pick(device), run.task, measures or {}
    profile = getattr(run, "profile", "")
    adapts = threads is None and chip.type == "cpu" and seconds == math.inf
    adapts &= profile in devices.SMALL and profile != "ci"  # whose epochs are too short to gain
    threads = threads or (None if adapts else devices.usual_threads(profile))
    with devices.torch_defaults(threads), _gpu if chip.type == "cuda" else nullcontext():
        images = task.images(chip)
        if adapts:
            torch.set_num_threads(quickest_threads())
            stop = ThreadWatch(stop)
        how = {
            "copy": images.copy,
            "device": devices.machine(chip),
            "precision": "bf16" if devices.in_bf16(task.run.arithmetic, chip) else "float32",
            "torch": str(torch.__version__),
        }
        loaded = filter(None, (checkpoints.loads(c, task, chip, how) for c in contents))
        alike = (s for s in loaded if adapts or threads_of(s.rows) == torch.get_num_threads())
        state = next((s for s in alike if has_measures(s.rows, measures)), None)
        state = state or task.birth(chip)
        if not state.rows:
            try_on_newborn(measures, run, state.net, images)
        for row in state.rows:
            report(row)
        started = saved = time.monotonic()
        pause = SAVED
        while len(state.rows) < end:
            row = train_part(run, state, images, stop)
            measure_after(due_measures(measures, row), run, row, state.net, images)
            state.rows.append(row)
            now = time.monotonic()
            if save and len(state.rows) < end and now > saved + pause:
                save(len(state.rows), checkpoints.dumps(state, how))
                saved = time.monotonic()
                # at most a twentieth of the time goes to checkpoints, unless they are very slow
                pause = SAVED * min(max(1, 20 * (saved - now)), 30)
            report(row)
            if now > started + seconds:  # after a part, so that each stretch gets on
                break
        content = checkpoints.dumps(state, how)
        if last and measures and len(state.rows) == end:
            row = next(row for row in reversed(state.rows) if "epoch" in row)
            repeated = due_measures(measures, row) if "event" in state.rows[-1] else []
            at_end = [name for name, when in measures.items() if when == "end" or name in repeated]
            measure_after(at_end, run, row, state.net, images)
    return Stretch(state.rows, {**how, "threads": threads_of(state.rows)}, content)


def train_part(run: Any, state: TrainState, images: Images, stop: Flag | None = None) -> dict:
    """Take a state through the next part of a run's timeline, a step or an event.

    Returns: a row with the number of the part, its seconds, and its threads, 0 if they changed. A
        step adds epoch, lr, train_loss and what the task reports; an event adds its name as `event`
        and what it returns.
    Raises: Diverged, Cancelled.
    """
    task, number, began = run.task, len(state.rows), time.perf_counter()
    part, threads = run.timeline[number], torch.get_num_threads()
    if isinstance(part, Event):
        row = {"event": part.name, **part.function(state, task, images, *part.args)}
    else:
        epoch = sum("epoch" in row for row in state.rows)
        loss = train_epoch(task, epoch, part, state, images, stop)
        if not math.isfinite(loss):
            raise Diverged(
                f"the loss is {loss} at epoch {epoch} (learning rate {part.lr:.3g}): no result "
                f"is kept of {run.canonical()}; take a smaller learning rate"
            )
        row = {"epoch": epoch, "lr": part.lr, "train_loss": loss, **task.test(state.net, images)}
    threads *= threads == torch.get_num_threads()  # 0 where it has changed
    return {"part": number, **row, "threads": threads, "seconds": time.perf_counter() - began}


def train_epoch(
    task: Classification,
    epoch: int,
    step: Step,
    state: TrainState,
    images: Images,
    stop: Flag | None = None,
) -> float:
    """Train a state for one epoch, and return the mean loss over its images."""
    net, optimizer, arithmetic = state.net.train(), state.optimizer, task.run.arithmetic
    device = images.train_x.device
    decay = step.decay * optimizer.defaults["weight_decay"]
    for group in optimizer.param_groups:
        group.update(lr=step.lr, weight_decay=decay)
    norms = task.birth_norms(device) if step.held else []
    total, count = torch.zeros((), device=device), 0
    for index, x in task.batches(epoch, step, images):
        if stop and stop.is_set():
            raise Cancelled
        x, y = step.deficit(x, images.train_y[index], task.batch(index, epoch, images))
        optimizer.zero_grad()
        with devices.algorithms(arithmetic):
            with devices.autocast(device, arithmetic):
                loss = task.loss(net(x), y)
            loss.backward()
        optimizer.step()
        task.after_step(state)
        if norms:
            task.restore_norms(net, norms)
        total += loss.detach() * len(y)
        count += len(y)
    return total.item() / count


def has_measures(rows: list[dict], measures: Measures) -> bool:
    """Whether these rows hold every measurement that was due after them."""
    return all({*due_measures(measures, row)} <= {*row.get("measured", {})} for row in rows)
