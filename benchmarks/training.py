"""Speed of training: an epoch of the engine, a stack of seeds, and a GPU."""

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.timing import Pair, Row, in_turn, make_row, seconds
from cplab.base import devices
from cplab.deficits import Batch
from cplab.engine.gpu.branches import Branches
from cplab.engine.network import Training, begin
from cplab.engine.passes import Passes
from cplab.engine.sweep import Context, train_all
from cplab.engine.train import train_epoch
from cplab.engine.tree import plan
from cplab.runs import FLAGSHIP, Run, Step

LENGTHS = (2, 4, 8, 12, 16, 24, 32, 40, 48)  # of the removal curve
BATCH = 128  # images of a bare step
SEEDS = 20  # in the stack, and of the flagship


def first_step(run: Run) -> Step:
    """The first step of a run that does not begin with an event."""
    step = run.timeline[0]
    assert isinstance(step, Step)
    return step


def plain_steps(net: nn.Module, x: Tensor, y: Tensor, steps: int) -> None:
    """Take some training steps on one batch, images (N, C, H, W) with labels (N,)."""
    net.train()
    optimizer = torch.optim.SGD(
        net.parameters(), lr=0.0, momentum=0.9, weight_decay=5e-4, fused=True
    )
    for _ in range(steps):
        with devices.autocast(x.device):
            loss = F.cross_entropy(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    loss.item()  # waits for the device


def sweep(runs: list[Run], context: Context) -> None:
    """Train runs, those parts once that they share."""
    for _ in train_all(runs, context):
        pass


# The engine ---------------------------------------------------------------------------------------


def engine(device: torch.device, dataset: str) -> Iterator[Row]:
    """Measure an epoch of the engine against bare steps on one batch, with the course network on
    one thread."""
    run = Run("blur", length=1, profile="course", dataset=dataset)
    step = first_step(run)
    training = begin(run, device)
    images = training.images
    index, clear = next(run.task.batches(0, step, images))
    batch = Batch(index, images=len(images.train_y))
    x, y = step.deficit(clear, images.train_y[index], batch)
    steps = len(images.train_y) // len(y)
    epoch = partial(train_epoch, [training], step)
    bare = partial(plain_steps, training.state.net, x, y, steps)
    devices.use_defaults()
    pairs = in_turn(epoch, bare)
    comparison = "an epoch of training / bare steps on one batch in memory, course"
    yield make_row("engine", "images/s", pairs, comparison, steps * len(y))


# A stack of seeds ---------------------------------------------------------------------------------


def stack(device: torch.device, dataset: str) -> Iterator[Row]:
    """Measure an epoch of twenty seeds of tiny as a stack against a plain loop over twenty
    networks, both with their tests."""
    trainings = []
    for seed in range(SEEDS):
        run = Run("mosaic", 0, 400, profile="tiny", seed=seed)
        trainings.append(begin(run, device))
    step = first_step(trainings[0].run)
    learners = [plain_learner(training, step) for training in trainings]
    devices.use_defaults()
    pairs = in_turn(partial(train_epoch, trainings, step), partial(train_in_turn, learners))
    comparison = "an epoch of 20 seeds of tiny with its test / of 20 networks in a plain loop"
    yield make_row("stack", "ms", pairs, comparison, 1000)


class PlainLearner(NamedTuple):
    """A network that a plain loop trains: images (N, C, H, W) as it sees them, labels (N,)."""

    net: nn.Module
    optimizer: torch.optim.Optimizer
    x: Tensor
    y: Tensor
    test_x: Tensor
    test_y: Tensor


def plain_learner(training: Training, step: Step) -> PlainLearner:
    """A copy of a training's network, with its images as the deficit of a step changes them."""
    net = copy.deepcopy(training.state.net)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    images = training.images
    y = images.train_y
    batch = Batch(torch.arange(len(y), device=y.device), images=len(y))
    x, _ = step.deficit(images.normal(images.train_x), y, batch)
    return PlainLearner(net, optimizer, x, y, images.normal_test, images.test_y)


def train_in_turn(learners: list[PlainLearner]) -> None:
    """Train each network for an epoch and test it, one after another."""
    for learner in learners:
        net = learner.net
        for index in torch.randperm(len(learner.y), device=learner.y.device).split(32):
            learner.optimizer.zero_grad()
            F.cross_entropy(net(learner.x[index]), learner.y[index]).backward()
            learner.optimizer.step()
        with torch.no_grad():
            correct = net(learner.test_x).argmax(1) == learner.test_y
            correct.float().mean().item()


# A GPU --------------------------------------------------------------------------------------------


def card(device: torch.device, dataset: str) -> Iterator[Row]:
    """Measure what a GPU is for, by the clock and against bare steps: epochs with their test, a
    point of the flagship, twenty seeds of it, a removal curve; and calculate a run of the paper."""
    if device.type != "cuda":
        return
    yield from paper_on_card(Run("blur", 0, 16, profile="paper", dataset=dataset), device)
    course = begin(Run("blur", 0, 16, profile="course", dataset=dataset), device)
    pairs = in_turn(whole_epoch(course), bare_epoch(course))
    yield epoch_row("course", course, pairs)
    point = replace(FLAGSHIP, deficit="blur", length=16, dataset=dataset)
    flagship = begin(point, device)
    bare = bare_epoch(flagship)
    yield epoch_row("flagship", flagship, in_turn(whole_epoch(flagship), bare))
    removal = []
    for length in LENGTHS:
        for seed in range(5):
            removal.append(point.replace(length=length, seed=seed))
    seeds = [point.with_seed(seed) for seed in range(SEEDS)]
    for name, runs in {"point": [point], "seeds": seeds, "removal": removal}.items():
        yield sweep_row(name, runs, device, bare)


def paper_on_card(run: Run, device: torch.device) -> Iterator[Row]:
    """Measure epochs of the paper's network, and its passes by graphs beside torch.compile."""
    training = begin(run, device)
    bare = bare_epoch(training)
    pairs = in_turn(whole_epoch(training), bare)
    yield epoch_row("paper", training, pairs)
    yield make_row("card_440", "min", pairs, "440 epochs of paper, calculated", 440 / 60)
    pairs = in_turn(passes_of_epoch(training), compiled_passes(training))
    yield make_row("card_compiled", "s", pairs, "passes of an epoch by graphs / by torch.compile")


def epoch_row(name: str, training: Training, pairs: list[Pair]) -> Row:
    """A row with the images that epochs of a run take in a second."""
    images = len(training.images.train_y)
    comparison = f"{name}: an epoch with its test / bare steps"
    return make_row(f"card_{name}", "images/s", pairs, comparison, images)


def sweep_row(name: str, runs: list[Run], device: torch.device, bare: Callable[[], None]) -> Row:
    """A row with the seconds of some runs of the flagship, against as many epochs of bare steps."""
    epochs = sum(root.epochs for root in plan(runs))
    all_runs = partial(sweep, runs, Context(str(device)))
    pair = Pair(seconds(all_runs), epochs * seconds(bare))
    comparison = f"{epochs} epochs of the flagship, from the start of processes / bare steps"
    return make_row(f"card_{name}", "s", [pair], comparison)


def whole_epoch(training: Training) -> Callable[[], object]:
    """Make an epoch of the engine, the first of a run again and again."""
    return partial(train_epoch, [training], first_step(training.run))


def first_images(training: Training) -> tuple[Tensor, Tensor]:
    """The first batch of clear images of a run, (N, C, H, W), with their labels (N,)."""
    images = training.images
    return images.normal(images.train_x[:BATCH]), images.train_y[:BATCH]


def bare_epoch(training: Training) -> Callable[[], None]:
    """Make as many bare steps on one batch as an epoch of a run has."""
    x, y = first_images(training)
    steps = len(training.images.train_y) // BATCH
    return partial(plain_steps, copy.deepcopy(training.state.net), x, y, steps)


def passes_of_epoch(training: Training) -> Callable[[], None]:
    """Make the forward and backward passes of an epoch of a run, as the engine computes them on a
    GPU, on one batch and without steps of the optimiser."""
    x, y = first_images(training)
    steps = math.ceil(len(training.images.train_y) / BATCH)
    passes = Passes(Branches, [training.state], training.task, x.device)

    def compute() -> None:
        training.state.net.train()
        for _ in range(steps):
            losses = passes(x[None], y[None])  # of one network
        losses.sum().item()  # waits for the device

    return compute


def compiled_passes(training: Training) -> Callable[[], None]:
    """Make the forward and backward passes of an epoch of a run on one batch, as torch.compile
    captures them by itself."""
    x, y = first_images(training)
    steps = math.ceil(len(training.images.train_y) / BATCH)
    net = copy.deepcopy(training.state.net).train()
    compiled = torch.compile(net, mode="reduce-overhead")

    def compute() -> None:
        for _ in range(steps):
            with devices.autocast(x.device):
                loss = F.cross_entropy(compiled(x), y)
            net.zero_grad()
            loss.backward()
        loss.item()  # waits for the device

    return compute
