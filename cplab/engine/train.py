"""The training loop.

Equal seeds give equal bits: seed and epoch decide every random number and every learning rate. A
worker process trains, whose torch nobody else uses (see `workers`).
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch

from cplab import models
from cplab.base import devices
from cplab.base.errors import Cancelled, CplabError, Failed
from cplab.base.tracebacks import own_lines
from cplab.engine.distance import PathLength
from cplab.engine.network import Training, begin
from cplab.engine.side_by_side import train_side_by_side
from cplab.engine.workload import Flag, Stretch
from cplab.measure.measurements import Measures
from cplab.models.layers import layer_weights
from cplab.runs import Event, Run, Step
from cplab.runs.tasks import scale_gradients, set_rates
from cplab.runs.treatments import own_treatment


def train(
    runs: Sequence[Run],
    end: int,
    contents: Sequence[Iterable[bytes]] = (),
    last: Sequence[bool] = (),
    *,
    device: str = "auto",
    measures: Measures | None = None,
    seconds: float = math.inf,
    stop: Flag | None = None,
    tell: Callable[[int, list[dict]], None] = lambda number, rows: None,
) -> list[Stretch | Failed]:
    """Train runs that differ only in their seeds, one part of their timeline after another.

    Training ends before part `end`, or once some seconds have passed.

    Arguments:
        runs: to train.
        end: the number of the first part that is not trained.
        contents: for each run, checkpoints to begin from, as bytes. Training begins with the first
            one that is sound, has all measurements and was computed in the same way; else at birth.
        last: for each run, whether these are its last parts, so that measurements of the end are
            due after them.
        device: auto, cuda, mps or cpu.
        measures: when to take each measurement, by name.
        seconds: after which training pauses, once the current part is done.
        stop: an Event that is checked before each batch.
        tell: called with a run's number in `runs` and its rows whenever a row is added.

    Returns:
        for each run its stretch, or the error with which it ended.

    Raises:
        Cancelled.
        Failed: if one of several runs fails that are trained side by side, without saying which:
            train each alone to find out.
        CplabError: for a measurement that fails at birth, and for a setting that changed.
    """
    chip = devices.pick(device)
    measures = measures or {}
    contents = contents or [()] * len(runs)
    last = last or [False] * len(runs)
    trainings = []
    for run, checkpoints in zip(runs, contents, strict=True):
        trainings.append(begin(run, chip, checkpoints, measures))
    started = time.monotonic()
    while behind := furthest_behind(trainings, end):
        part = behind[0].run.timeline[behind[0].parts_done]  # the same for all of these
        began = time.perf_counter()
        rows = []  # one for each training
        if isinstance(part, Event):
            for training in behind:
                with located_errors([training]):
                    rows.append(carry_out(part, training))
        else:
            rows = train_epoch(behind, part, stop)
        seconds_each = (time.perf_counter() - began) / len(behind)
        for training, row in zip(behind, rows, strict=True):
            training.add(row | {"seconds": seconds_each}, measures)
        for number, training in enumerate(trainings):
            if training in behind and not training.error:
                tell(number, training.state.rows)
        if time.monotonic() > started + seconds:  # a call trains one part at least
            break
    stretches = []
    for training, is_last in zip(trainings, last, strict=True):
        stretches.append(training.stretch(end, measures if is_last else {}))
    return stretches


def furthest_behind(trainings: Sequence[Training], end: int) -> list[Training]:
    """The trainings whose turn is next: those that have done the fewest parts, which differ if they
    began at different checkpoints.

    Trainings that have reached part `end`, or failed, have no turn.
    """
    unfinished = []
    for training in trainings:
        if not training.error and training.parts_done < end:
            unfinished.append(training)
    fewest = min((training.parts_done for training in unfinished), default=end)
    return [training for training in unfinished if training.parts_done == fewest]


def train_epoch(trainings: Sequence[Training], step: Step, stop: Flag | None = None) -> list[dict]:
    """Train runs that differ only in seed for one epoch: on a GPU or in a stack side by side, else
    one after another.

    Arguments:
        trainings: the trainings.
        step: of their timeline.
        stop: an Event that is checked before each batch.

    Returns:
        for each a row of its curve: part, epoch, lr, train_loss (the mean over its images), what
        its task's test reports, and distances (`DISTANCES`).

    Raises:
        Cancelled.
        Failed.
    """
    if layout := trainings[0].layout(step):
        with located_errors(trainings):
            return train_side_by_side(trainings, layout, step, stop)
    rows = []
    for training in trainings:
        with located_errors([training]):
            rows.append(train_alone(training, step, stop))
    return rows


def train_alone(training: Training, step: Step, stop: Flag | None = None) -> dict:
    """Train a run for one epoch by itself. Arguments, result and errors: as `train_epoch`."""
    run = training.run
    task = training.task
    state = training.state
    training.passes = None  # they know nothing of this epoch
    images = training.training_images(step)
    device = images.train_x.device
    net = state.net
    optimizer = state.optimizer
    epoch = training.epoch
    set_rates(optimizer, step.lr, step.decay)
    path = PathLength(layer_weights(net))
    total = torch.zeros((), dtype=torch.float32, device=device)  # of the losses of all images
    count = 0  # of these images
    net.train()
    for index, clear in task.batches(epoch, step, images):
        batch = task.describe_batch(index, epoch, images)
        x, y = step.deficit(clear, images.train_y[index], batch)
        if stop and stop.is_set():
            raise Cancelled
        optimizer.zero_grad()
        with devices.autocast(device, run.arithmetic), training.draws(count):
            output = net(x)
            loss = task.loss(output, y)
            tempered = loss
            if step.temper != 1:
                tempered = task.tempered_loss(output, y, step.temper)
        tempered.backward()
        if step.gradient:
            scale_gradients(net.parameters(), step.gradient)
        if step.own:
            own_treatment(step.own).use(state, run.seed, count, loss)
        optimizer.step()
        training.end_step(step)
        path.add_step()
        total += loss.detach() * len(y)
        count += len(y)
    with training.draws("test"):
        test = task.test(net, training.images)
    return training.row(step, total.item() / count, test, *path.rows())


def carry_out(event: Event, training: Training) -> dict:
    """Do to a network what an event says, and return the event's row of the curve: its name, and
    what its function returns."""
    training.passes = None  # they hold the network and the optimiser, which the event may replace
    values = event.function(training.state, training.task, training.images, *event.args)
    return {"part": training.parts_done, "event": event.name, **values}


@contextmanager
def located_errors(trainings: Sequence[Training]) -> Iterator[None]:
    """A context for an epoch, in which an error of the package or of a student's own function
    becomes a Failed that names the epoch and, of one training alone, its seed.

    Raises:
        Failed.
    """
    run = trainings[0].run
    epoch = trainings[0].epoch
    network = models.MODELS[run.family]
    try:
        yield
    except (Cancelled, Failed):
        raise
    except Exception as error:
        if isinstance(error, CplabError):
            reason = str(error)
        elif network.own and not devices.is_failure(error):
            name = run.family.partition("@")[0]
            reason = f"{name} fails: {type(error).__name__}: {error}"
        else:
            raise
        line = reason.partition("\n")[0]
        circumstances = f"at epoch {epoch}"
        if len(trainings) == 1:
            circumstances += f" of seed {run.seed}"
        if circumstances not in line:
            line += f" {circumstances}"
        line = f"{line}: no result of that run is kept"
        failure = Failed(line)
        failure.student_lines = own_lines(error)
        if isinstance(error, CplabError) and error.student_lines:
            failure.student_lines = error.student_lines
        raise failure from error
