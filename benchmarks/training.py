"""Training: the engine against bare steps, against what public replications write, against the
matrix products of the device; on a card, ways to launch a step."""

import copy
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import islice
from statistics import median

import numpy as np
import torch
import torch.nn.functional as F
from cplab.engine.lives import Segment, choose_crew, crew_size, plan
from cplab.engine.tasks import TASKS, Learner
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from benchmarks import operations
from benchmarks.timing import ROUNDS, Row, in_turn, row, seconds
from cplab import data, devices, models
from cplab.engine import train
from cplab.engine.train import Context
from cplab.runs import Run
from cplab.studies.pruning import growth, nets

ONSETS, LENGTHS = (0, 2, 4, 8, 12, 16, 24), (2, 4, 8, 12, 16, 24)
FEW = 4  # batches, where an epoch would take minutes
STEPS = 50  # on a card
TASK = TASKS["classification"]


def rows(device: torch.device, dataset: str) -> list[Row]:
    found = [engine_vs_step(device, dataset), grid_vs_plain(device, dataset)]
    found += paper_size(device, dataset)
    if device.type == "cuda":
        found += ways_to_step(device, dataset)
    return [*found, pruning_batched(device)]


def epoch_of(run: Run, images: data.Images, learner: Learner, epoch: int = 0) -> Callable:
    """An epoch of training by the engine."""
    return lambda: train.train_epoch(run, epoch, run.life[epoch], images, learner)


def engine_vs_step(device: torch.device, dataset: str) -> Row:
    run = Run(profile="course", dataset=dataset)
    images, learner = TASK.images(run, device), TASK.start(run, device)
    batch = next(TASK.batches(run, 0, run.life[0], images))
    steps = len(images.train_y) // len(batch[1])
    weights = learner.net.parameters()
    optimizer = torch.optim.SGD(weights, lr=0.0, momentum=0.9, weight_decay=5e-4, fused=True)
    bare = partial(plain_steps, learner.net, optimizer, batch, steps)
    what = "an epoch of training / bare steps on one batch in memory, course profile"
    pairs = in_turn(epoch_of(run, images, learner), bare)
    return row("engine_vs_step", "images/s", pairs, "ratio >= 0.9", what, steps * len(batch[1]))


def plain_steps(net: Callable, optimizer, batch: tuple[Tensor, Tensor], steps: int) -> None:
    """Forward, backward and step on one batch."""
    x, y = batch
    for _ in range(steps):
        with devices.autocast(x.device):
            loss = F.cross_entropy(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    loss.item()  # waits for the device


def grid_vs_plain(device: torch.device, dataset: str) -> Row:
    """The blur grid with its controls, multiplied out from a few epochs of either side."""
    grid = [Run("blur", o, n, 15, "course", dataset=dataset) for o in ONSETS for n in LENGTHS]
    runs = [*{r for run in grid for r in (run, run.equal_training(), run.newborn())}]
    shared, alone = sum(root.epochs for root in plan(runs)), sum(run.epochs for run in runs)
    workers, pairs = crew_size(runs, str(device)), []
    with choose_crew(runs, Context(str(device), workers), {}) as crew:
        for number in range(1 + ROUNDS):  # the first also starts the processes
            # one epoch in four is blurred, which is about the share in the grid
            seeds = range(number * workers, (number + 1) * workers)
            few = [Run("blur", 2, 1, 1, "course", dataset=dataset, seed=seed) for seed in seeds]

            def side_by_side(few=few) -> None:
                segments = [Segment(run, 0, 4) for run in few]
                for segment, job in [(each, crew.begin(each)) for each in segments]:
                    while len(crew.take(segment, job).rows) < segment.end:
                        job = crew.begin(segment)

            engine = seconds(side_by_side) / (4 * workers)
            clear, blurred = (seconds(plain_epoch(few[0], device, b)) for b in (False, True))
            pairs.append((shared * engine, alone * (3 * clear + blurred) / 4))
    what = (
        f"{len(ONSETS)} onsets by {len(LENGTHS)} lengths of blur with controls: {shared} epochs in "
        f"a tree, {workers} at a time / {alone} epochs run by run with Dataset and DataLoader"
    )
    return row("grid_vs_plain", "s", pairs[1:], "ratio >= 5 on two cores", what)


class Pictures(Dataset):
    """Images and labels as torchvision's sets give them: a PIL image through a transform."""

    def __init__(self, x: Tensor, y: Tensor, transform: Callable):
        self.x, self.y, self.transform = x.squeeze(-1).numpy(), y.tolist(), transform

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, index: int):
        from PIL import Image

        return self.transform(Image.fromarray(self.x[index])), self.y[index]


def plain_epoch(
    run: Run, device: torch.device, blurred: bool, count: int | None = None
) -> Callable[[], None]:
    """An epoch and its test as public replications write them: float32 (on a GPU with tf32, where
    torch takes it unasked), every image by itself through PIL. With a count, of so many images and
    without the test."""
    from torchvision import transforms as T

    p, images = run.settings, data.images(run.dataset, run.profile)
    images = first_images(images, count) if count else images
    tensor = [T.ToTensor(), T.Normalize(images.mean / 255, images.std / 255)]
    blur = [T.Resize(p.size // 4), T.Resize(p.size)] if blurred else []
    varied = [*blur, T.RandomCrop(p.size, padding=p.shift), T.RandomHorizontalFlip(), *tensor]
    training = Pictures(images.train_x, images.train_y, T.Compose(varied))
    testing = Pictures(images.test_x, images.test_y, T.Compose(tensor))
    net = models.build(run.model, len(images.mean), p.size).to(device)
    optimizer = torch.optim.SGD(net.parameters(), 0.02, p.momentum, weight_decay=p.weight_decay)

    def epoch() -> None:
        net.train()
        for x, y in DataLoader(training, p.batch, shuffle=True, num_workers=2):
            optimizer.zero_grad()
            F.cross_entropy(net(x.to(device)), y.to(device)).backward()
            optimizer.step()
        net.eval()
        with torch.no_grad():
            for x, y in DataLoader(testing, p.batch, num_workers=2):
                (net(x.to(device)).argmax(1).cpu() == y).sum().item()

    return epoch


def first_images(images: data.Images, count: int) -> data.Images:
    """The first training images, none to test."""
    return replace(
        images,
        train_x=images.train_x[:count],
        train_y=images.train_y[:count],
        test_x=images.test_x[:0],
        test_y=images.test_y[:0],
    )


def paper_size(device: torch.device, dataset: str) -> list[Row]:
    """Training of the paper's All-CNN at its own size: against a plain loop, and against what
    matrix products reach on this device."""
    run = Run(profile="paper", dataset=dataset)
    count = run.settings.train_images if device.type == "cuda" else FEW * run.settings.batch
    few = first_images(TASK.images(run, device), count)
    engine = epoch_of(run, few, TASK.start(run, device))
    pairs = in_turn(engine, plain_epoch(run, device, False, count))
    number = "bf16" if devices.has_bf16(device) else "float32"
    about = f"All-CNN of width {run.width}, {run.settings.size} pixels, {count} images"
    what = f"training in {number}, {about} / Dataset and DataLoader in float32"
    aim = "ratio >= {} on an H100 or H200"
    speed = row("paper_engine", "images/s", pairs, aim.format(20), what, count)
    each = operations.training(run)
    reached, peak = speed.value * each / 1e12, matrix_products(device)
    what = (
        f"{each / 1e9:.3g} GFLOP an image, the same training / a large matrix product "
        f"in {number}; an epoch of {run.settings.train_images} images takes "
        f"{run.settings.train_images / speed.value:.3g} s"
    )
    return [
        speed,
        Row("paper_peak", "TFLOP/s", reached, peak, reached / peak, aim.format(0.4), what),
    ]


def matrix_products(device: torch.device) -> float:
    """TFLOP/s of a large product of random matrices, in the number format of training there."""
    side, times = (8192, 20) if device.type == "cuda" else (2048, 5)
    number = torch.bfloat16 if devices.has_bf16(device) else torch.float32
    a, b = (torch.randn(side, side, device=device, dtype=number) for _ in range(2))
    product = a @ b

    def work() -> None:
        for _ in range(times):
            torch.mm(a, b, out=product)
        product[0, 0].item()  # waits for the device

    work()
    return 2 * side**3 * times / median(seconds(work) for _ in range(ROUNDS)) / 1e12


def ways_to_step(device: torch.device, dataset: str) -> list[Row]:
    """On a card: a step as torch's own CUDA graph, and compiled, against the plain step that the
    engine takes."""
    run = Run(profile="paper", dataset=dataset)
    learner = TASK.start(run, device)
    batch = next(TASK.batches(run, 0, run.life[0], TASK.images(run, device)))

    def steps(prepare: Callable[[nn.Module], Callable]) -> Callable[[], None]:
        net = copy.deepcopy(learner.net).train()
        optimizer = torch.optim.SGD(net.parameters(), 0.01, 0.9, fused=True)
        return partial(plain_steps, prepare(net), optimizer, batch, STEPS)

    def graphed(net: nn.Module) -> Callable:
        with torch.autocast("cuda", torch.bfloat16, cache_enabled=False):
            return torch.cuda.make_graphed_callables(net, (batch[0],))

    found, plain = [], steps(lambda net: net)
    for name, prepare in (("graph", graphed), ("compile", torch.compile)):
        what = f"a step at the paper's size by {name} / the plain step, which the engine takes"
        pairs = in_turn(steps(prepare), plain)
        found.append(row(f"step_{name}", "ms", pairs, "ratio > 1", what, 1000 / STEPS))
    return found


def pruning_batched(device: torch.device, count: int = 16, steps: int = 100) -> Row:
    """Training of several architectures side by side, against one after another."""
    dataset = "mnist" if data.is_here("mnist") else "practice"
    random, full = np.random.default_rng(0), [np.ones((b, a), bool) for a, b in nets.SHAPES]
    several = [[growth.draw_synapses(full[0], 1254, random), full[1]] for _ in range(count)]
    digits = nets.flat_images(dataset)["train"]
    pixels = nets.informative_pixels(dataset, several)
    ready = nets.to_training_dtype(digits, pixels, device)
    bare = nets.Digits(digits.x.to(device) / 255, digits.y.to(device))
    order = [*islice(nets.batch_indices(len(digits.y), 0, device), steps)]

    def side_by_side() -> None:
        group = nets.build_nets(several, 0, "sgd", device, pixels)
        for index in order:
            nets.take_step(group, ready.x.index_select(0, index), ready.y[index], 0.5)
        group.weights[0].sum().item()  # waits for the device

    pairs = in_turn(side_by_side, partial(plain_retraining, several[0], bare, order))
    what = (
        f"a step of an architecture of density 0.1 on {dataset}, {count} side by side / one by "
        "itself as one writes it, float32 and autograd"
    )
    each = [(ours / count, theirs) for ours, theirs in pairs]
    return row("pruning_batched", "ms", each, "ratio >= 3", what, 1000 / steps)


def plain_retraining(architecture: list, images: nets.Digits, order: list[Tensor]) -> nn.Module:
    """Steps of SGD on the living synapses of one network."""
    device = images.x.device
    layers = [nn.Linear(a, b, device=device) for a, b in nets.SHAPES]
    masks = [torch.as_tensor(alive).float().to(device) for alive in architecture]
    net = nn.Sequential(layers[0], nn.ReLU(), layers[1])
    optimizer = torch.optim.SGD(net.parameters(), 0.5)
    for index in order:
        loss = F.cross_entropy(net(images.x.index_select(0, index)), images.y[index])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            for layer, mask in zip(layers, masks, strict=True):
                layer.weight.mul_(mask)
    loss.item()  # waits for the device
    return net
