"""Speed of training: an epoch of the engine, a stack of seeds, a grid of runs, and a GPU."""

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from benchmarks.timing import Pair, Row, in_turn, make_row, seconds
from cplab import data, devices, models
from cplab.deficits import Batch
from cplab.engine.gpu.branches import Branches
from cplab.engine.passes import Passes
from cplab.engine.sweep import Context, train_all
from cplab.engine.train import train_epoch
from cplab.engine.training import Training, begin
from cplab.engine.tree import plan
from cplab.engine.workers import most_workers
from cplab.runs import FLAGSHIP, Run, Step

ONSETS = (0, 2, 4, 8, 12, 16, 24)  # of the grid
LENGTHS = (2, 4, 8, 12, 16, 24)
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


# A grid of runs -----------------------------------------------------------------------------------


def grid(device: torch.device, dataset: str) -> Iterator[Row]:
    """Estimate the blur grid with its controls from a few epochs of both ways."""
    distinct = set()
    for onset in ONSETS:
        for length in LENGTHS:
            run = Run("blur", onset, length, 15, "course", dataset=dataset)
            distinct |= {run, run.equal_training(), run.newborn()}
    runs = [*distinct]
    epochs_shared = sum(root.epochs for root in plan(runs))
    epochs_alone = sum(run.epochs for run in runs)
    workers = most_workers() if device.type == "cpu" else 1
    few = []  # but long enough for the start of processes to count for little, as in the grid
    for seed in range(workers):
        few.append(Run("blur", 6, 2, 0, "course", dataset=dataset, seed=seed))
    clear_epoch = plain_epoch(few[0], device, blurred=False)
    blurred_epoch = plain_epoch(few[0], device, blurred=True)
    context = Context(str(device), workers=workers)
    ours = seconds(partial(sweep, few, context)) / sum(run.epochs for run in few)
    baseline = (3 * seconds(clear_epoch) + seconds(blurred_epoch)) / 4
    pair = Pair(epochs_shared * ours, epochs_alone * baseline)
    comparison = (
        f"{len(ONSETS)} onsets by {len(LENGTHS)} lengths of blur with controls: {epochs_shared} "
        f"epochs in a tree, {workers} at a time / {epochs_alone} epochs run by run with Dataset "
        "and DataLoader"
    )
    yield make_row("grid", "s", [pair], comparison)


class Pictures(Dataset):
    """Images and labels as in torchvision's data sets: a PIL image through a transform.

    Arguments: x, images (N, H, W, C), bytes; y, labels (N,); transform.
    """

    def __init__(self, x: Tensor, y: Tensor, transform: Callable) -> None:
        self.x: np.ndarray = x.squeeze(-1).numpy()
        self.y: list[int] = y.tolist()
        self.transform = transform

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        from PIL import Image

        return self.transform(Image.fromarray(self.x[index])), self.y[index]


def plain_epoch(run: Run, device: torch.device, blurred: bool) -> Callable[[], None]:
    """Make an epoch with its test as in public replications: float32, every image through PIL."""
    from torchvision import transforms

    settings = run.settings
    images = data.images(run.dataset, run.profile)
    normalise = [
        transforms.ToTensor(),
        transforms.Normalize(images.mean / 255, images.std / 255),
    ]
    vary = [
        transforms.RandomCrop(settings.size, padding=settings.shift),
        transforms.RandomHorizontalFlip(),
    ]
    blur = []
    if blurred:
        blur = [transforms.Resize(settings.size // 4), transforms.Resize(settings.size)]
    train_transform = transforms.Compose([*blur, *vary, *normalise])
    train_set = Pictures(images.train_x, images.train_y, train_transform)
    test_set = Pictures(images.test_x, images.test_y, transforms.Compose(normalise))
    net = models.build(run.model, len(images.mean), settings.size).to(device)
    optimizer = torch.optim.SGD(
        net.parameters(), 0.02, settings.momentum, weight_decay=settings.weight_decay
    )

    def epoch() -> None:
        net.train()
        for x, y in DataLoader(train_set, settings.batch, shuffle=True, num_workers=2):
            optimizer.zero_grad()
            F.cross_entropy(net(x.to(device)), y.to(device)).backward()
            optimizer.step()
        net.eval()
        with torch.no_grad():
            for x, y in DataLoader(test_set, settings.batch, num_workers=2):
                answers = net(x.to(device)).argmax(1).cpu()
                (answers == y).sum().item()

    return epoch


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
    for length in (*LENGTHS, 32, 40, 48):
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
