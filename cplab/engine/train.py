"""The training loop.

Equal seeds give equal bits: seed and epoch decide every random number and rate, and a run has one
thread (a large one as many as its process), whatever else goes on.
"""

import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from threading import Event as Flag
from typing import Any

import torch
from torch import Tensor

from cplab import devices
from cplab.deficits import Batch
from cplab.engine import checkpoints, fused
from cplab.engine.passes import GRAPHS, Passes
from cplab.engine.stack import is_stacked
from cplab.errors import Cancelled, Diverged
from cplab.measure.measurements import Measures, due_measures, measure_after, try_on_newborn
from cplab.models.layers import rescale_layers
from cplab.runs import Event, Step
from cplab.runs.tasks import Classification, Images, TrainState
from cplab.specs.own import load_own

_gpu = threading.Lock()  # one training at a time: its algorithms are chosen for the whole process


@dataclass
class Stretch:
    """The outcome of a stretch of training: a row for each part done since birth, how it was
    computed (copy of the data set, device, precision, threads, torch), and the state as bytes."""

    rows: list[dict]
    how: dict[str, Any]
    content: bytes


def train(
    runs: Sequence[Any],
    end: int,
    contents: Sequence[Iterable[bytes]] = (),
    last: Sequence[bool] = (),
    *,
    device: str = "auto",
    threads: int | None = None,
    own: Iterable = (),
    measures: Measures | None = None,
    seconds: float = math.inf,
    stop: Flag | None = None,
    report: Callable[[int, list[dict]], None] = lambda number, rows: None,
) -> list[Stretch | Diverged]:
    """Train runs that differ in nothing but their seed up to part `end` of their timeline
    (exclusive), or until some seconds have passed.

    Arguments:
        contents: for each run, checkpoints to begin from, as bytes. Training begins with the first
            one that is sound, has all measurements and was computed in the same way; else at birth.
        last: for each run, whether it ends at part `end` and measurements of the end are due.
        threads: of torch; if None one, and on a CPU for a large profile all of this process.
        own: a student's own functions, see own.own_entries.
        seconds: after which training pauses, once the current part is done.
        stop: an Event that is checked before each batch.
        report: called with a run's number in `runs` and its rows, whenever one is added to them.
    Returns: for each run its stretch, or the error with which it diverged.
    Raises: Cancelled; CplabError for a measurement that fails.
    """
    load_own(own)
    chip, measures = devices.pick(device), measures or {}
    several = runs[0].profile in devices.LARGE and chip.type == "cpu"
    threads = threads or (torch.get_num_threads() if several else 1)
    with devices.torch_defaults(threads), _gpu if chip.type == "cuda" else nullcontext():
        lives = [
            begin(run, chip, threads, candidates, measures)
            for run, candidates in zip(runs, contents or [()] * len(runs), strict=True)
        ]
        started = time.monotonic()
        while going := [life for life in lives if not life.error and life.done < end]:
            done = min(life.done for life in going)
            trained = [life for life in going if life.done == done]  # those behind come first
            part, began = trained[0].run.timeline[done], time.perf_counter()
            if isinstance(part, Event):
                rows = [happen(part, life) for life in trained]
            else:
                together = chip.type == GRAPHS or is_stacked(trained[0].run, part)
                rows = []
                for group in [trained] if together else [[life] for life in trained]:
                    rows += train_epoch(group, part, stop)
            share = (time.perf_counter() - began) / len(trained)
            for life, row in zip(trained, rows, strict=True):
                life.add(row | {"seconds": share}, measures)
            for number, life in enumerate(lives):
                if life in trained and not life.error:
                    report(number, life.state.rows)
            if time.monotonic() > started + seconds:  # after a part, so that each stretch gets on
                break
        at_end = last or [False] * len(lives)
        return [
            life.error or life.stretch(end, measures if ends else {})
            for life, ends in zip(lives, at_end, strict=True)
        ]


@dataclass(eq=False)
class Life:
    """A run while it is trained: its task, its images, its state, how it is computed, the error
    with which it diverged, and its passes or those of all that are trained beside it."""

    run: Any
    task: Classification
    images: Images
    state: TrainState
    how: dict[str, Any]
    error: Diverged | None = None
    passes: Passes | None = None  # of the latest epoch
    after_step: Callable[[], None] | None = None  # done after each step

    @property
    def done(self) -> int:
        """How many parts of the timeline are done."""
        return len(self.state.rows)

    def training_images(self, step: Step) -> Images:
        """The images that it is trained on in this epoch."""
        if step.part == 1:
            return self.images
        return self.task.images(self.images.train_x.device, int(step.part))

    def add(self, row: dict, measures: Measures) -> None:
        """Add the row of a part, with what is measured after it; or note that the run diverged."""
        loss = row.get("train_loss", 0.0)
        if math.isfinite(loss):
            due = due_measures(measures, row)
            measure_after(due, self.run, row, self.state.net, self.images)
            self.state.rows.append(row)
            return
        what = f"the loss is {loss} at epoch {row['epoch']} (learning rate {row['lr']:.3g})"
        how = "take a smaller learning rate"
        self.error = Diverged(f"{what}: no result is kept of {self.run.canonical()}; {how}")

    def stretch(self, end: int, measures: Measures) -> Stretch:
        """What was trained, and if it is done up to `end` what is measured then."""
        rows, content = self.state.rows, checkpoints.dumps(self.state, self.how)
        if measures and self.done == end:
            row = next(row for row in reversed(rows) if "epoch" in row)
            repeated = due_measures(measures, row) if "event" in rows[-1] else []
            at_end = [name for name, when in measures.items() if when == "end" or name in repeated]
            measure_after(at_end, self.run, row, self.state.net, self.images)
        return Stretch(rows, self.how, content)


def begin(
    run: Any,
    chip: torch.device,
    threads: int,
    contents: Iterable[bytes] = (),
    measures: Measures | None = None,
) -> Life:
    """Begin a run at the first checkpoint that can be used, or at birth, where its measurements are
    tried."""
    task, measures = run.task, measures or {}
    images = task.images(chip)
    how: dict[str, Any] = {"copy": images.copy, "device": devices.machine(chip)}
    own = fused.usable(images.train_x.device, task.run.arithmetic) and not all(
        is_stacked(run, part) for part in run.timeline if isinstance(part, Step)
    )
    precision = devices.precision(task.run.arithmetic, chip) + ", fused" * own
    how |= {"precision": precision, "threads": threads, "torch": str(torch.__version__)}
    loaded = filter(None, (checkpoints.loads(c, task, chip, how) for c in contents))
    state = next((s for s in loaded if has_measures(s.rows, measures)), None)
    state = state or task.birth(chip)
    if not state.rows:
        try_on_newborn(measures, run, state.net, images)
    return Life(run, task, images, state, how)


def happen(event: Event, life: Life) -> dict:
    """Let an event happen to a run. Returns: a row with its name and with what it returns."""
    life.passes = None  # an event may change whatever they know of the network
    returned = event.function(life.state, life.task, life.images, *event.args)
    return {"part": life.done, "event": event.name, **returned}


def train_epoch(lives: list[Life], step: Step, stop: Flag | None = None) -> list[dict]:
    """Train a run for one epoch, or side by side several that differ in their seed alone.

    Returns: for each a row with its part, epoch, lr, train_loss (the mean over its images), and
        what its task reports. Raises: Cancelled.
    """
    epoch = sum("epoch" in row for row in lives[0].state.rows)
    task, images = lives[0].task, lives[0].images  # to test on
    states, stacked = [life.state for life in lives], is_stacked(lives[0].run, step)
    passes, device = lives[0].passes, images.train_x.device
    if not passes or not passes.serve(states, stacked):  # those of the epoch before
        passes = lives[0].passes = Passes(task, states, stacked)
    passes.load()
    stack, optimizer = passes.stack, passes.optimizer
    for life in lives:
        life.state.net.train()
    decay = step.decay * optimizer.defaults["weight_decay"]
    for group in optimizer.param_groups:
        group.update(lr=step.lr, weight_decay=decay)
    norms = [life.task.birth_norms(device) for life in lives if step.fixed_norms]
    total, count = torch.zeros(len(lives), device=device, dtype=torch.float32), 0
    seen: Any = stack.batches(lives, epoch, step) if stack else None  # each image, once and for all
    for number, each in enumerate(seen or batches(lives, epoch, step)):
        if seen:
            x, y = each
        else:
            pairs = [step.deficit(x, y, about) for x, y, about in each]
            if not number:
                step.deficit.warn_if_idle(each[0][:2], pairs[0])
                step.deficit.check_again(each, pairs)
            x, y = side_by_side(pairs, len(lives)) if stack or lives[1:] else pairs[0]
        if stop and stop.is_set():
            raise Cancelled
        losses = passes(x, y)
        optimizer.step()
        for life, own in zip(lives, norms, strict=bool(norms)):
            rescale_layers(life.state.net, own)
        for after in filter(None, (life.after_step for life in lives)):
            after()
        total += losses * y.shape[-1]
        count += y.shape[-1]
    tests = [task.test(life.state.net, images) for life in lives if not stack]
    tests = stack.test(task, images) if stack else tests
    passes.write_back()
    return [
        {"part": life.done, "epoch": epoch, "lr": step.lr, "train_loss": loss / count}
        | {name: float(value) for name, value in test.items()}
        for life, loss, test in zip(lives, total.tolist(), tests, strict=True)
    ]


def batches(
    lives: list[Life], epoch: int, step: Step
) -> Iterator[list[tuple[Tensor, Tensor, Batch]]]:
    """Yield an epoch's batches before its deficit: of each run images (batch, …), labels (batch,)
    and what the deficit may know of them. On a GPU those of all runs are one, where the deficit is
    of each image by itself."""
    on_gpu = lives[0].images.train_y.device.type == GRAPHS
    same = all(life.images is lives[0].images for life in lives)
    join = on_gpu and len(lives) > 1 and same and step.deficit.of_each_image
    seen = [life.training_images(step) for life in lives]
    every = [life.task.batches(epoch, step, x) for life, x in zip(lives, seen, strict=True)]
    for drawn in zip(*every, strict=True):
        index, x = zip(*drawn, strict=True)
        if join:
            index, x = (torch.cat(index),), (torch.cat(x),)
        yield [
            (x, images.train_y[index], life.task.batch(index, epoch, images))
            for life, images, index, x in zip(lives, seen, index, x, strict=not join)
        ]


def side_by_side(seen: list[tuple[Tensor, Tensor]], runs: int) -> tuple[Tensor, ...]:
    """Images and labels of several runs as (runs, batch, …), joined in the order in which they lie
    in memory, which is channels last as the case may be."""
    joined = (torch.cat(part) if part[1:] else part[0] for part in zip(*seen, strict=True))
    return tuple(part.unflatten(0, (runs, -1)) for part in joined)


def has_measures(rows: list[dict], measures: Measures) -> bool:
    """Whether these rows hold every measurement that was due after them."""
    return all({*due_measures(measures, row)} <= {*row.get("measured", {})} for row in rows)
