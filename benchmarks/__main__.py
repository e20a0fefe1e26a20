"""Speed of training and look-ups on this machine, against plain ways of doing the same: ratios of
pairs that are measured in turn in one process, so that other work slows both. Nothing is judged.

    python -m benchmarks [NAME ...] [--device cpu] [--json]
"""

import argparse
import copy
import json
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from statistics import median
from timeit import timeit
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap
from torch.utils.data import DataLoader, Dataset

from benchmarks import operations
from cplab import data, devices, models
from cplab.deficits import Batch
from cplab.engine.gpu.graphs import Passes
from cplab.engine.sweep import Context, train_all, usual_workers
from cplab.engine.train import train_epoch
from cplab.engine.training import begin
from cplab.engine.tree import plan
from cplab.errors import CplabError
from cplab.measure import fisher
from cplab.runs import FLAGSHIP, Run, Step

ROUNDS = 3  # after a round that warms up
SLOW = 10  # seconds; work that takes longer is measured once, without warming up
ONSETS = (0, 2, 4, 8, 12, 16, 24)  # epochs, of the grid
LENGTHS = (2, 4, 8, 12, 16, 24)
AGREE = 1e-4  # relative difference allowed between two ways to a Fisher trace, in float32


class Pair(NamedTuple):
    """Seconds that two ways to do the same take, measured one after the other."""

    ours: float
    theirs: float


class Row(NamedTuple):
    """A measurement of ours and of a baseline, in a unit; ratio: our speed over the baseline's."""

    name: str
    unit: str
    value: float
    baseline: float
    ratio: float
    what: str


def seconds(work: Callable[[], object]) -> float:
    """Seconds of a call, which has to wait for the device at its end."""
    return timeit(work, number=1)


def in_turn(ours: Callable[[], object], theirs: Callable[[], object]) -> list[Pair]:
    """Seconds of two ways to do the same, in pairs, after a round that warms up."""
    first = Pair(seconds(ours), seconds(theirs))
    if max(first) > SLOW:
        return [first]
    pairs = []
    for _ in range(ROUNDS):
        pairs.append(Pair(seconds(ours), seconds(theirs)))
    return pairs


def row(name: str, unit: str, pairs: list[Pair], what: str, scale: float = 1) -> Row:
    """Make a row from pairs of seconds, which are multiplied by a scale, or divide it in a rate."""
    value = median(pair.ours for pair in pairs)
    baseline = median(pair.theirs for pair in pairs)
    if unit.endswith("/s"):
        value = scale / value
        baseline = scale / baseline
    else:
        value *= scale
        baseline *= scale
    ratio = median(pair.theirs / pair.ours for pair in pairs)
    return Row(name, unit, value, baseline, ratio, what)


# Training -----------------------------------------------------------------------------------------


def first_step(run: Run) -> Step:
    """The first epoch of a run, before which nothing happens."""
    step = run.timeline[0]
    assert isinstance(step, Step)
    return step


def engine(device: torch.device, dataset: str) -> Iterator[Row]:
    """Measure an epoch of the engine against bare steps on one batch, with the course network on
    one thread; and the paper's network against matrix products."""
    run = Run("blur", length=1, profile="course", dataset=dataset)
    step = first_step(run)
    training = begin(run, device, threads=1)
    images = training.images
    index, x = next(run.task.batches(0, step, images))
    x, y = step.deficit(x, images.train_y[index], Batch(index, images=len(images.train_y)))
    steps = len(images.train_y) // len(y)
    bare = partial(plain_steps, training.state.net, x, y, steps)
    with devices.torch_defaults(threads=1):
        pairs = in_turn(lambda: train_epoch([training], step), bare)
    what = "an epoch of training / bare steps on one batch in memory, course"
    yield row("engine", "images/s", pairs, what, steps * len(y))

    paper = Run(profile="paper", dataset=dataset)
    if device.type == "cpu":
        count = 512  # images
        side = 2048  # of the matrices
        dtype = torch.float32
    else:
        count = 25_600
        side = 8192
        dtype = torch.bfloat16
    if devices.has_bf16(device):
        dtype = torch.bfloat16
    x = torch.randn(128, 3, 32, 32, device=device).to(memory_format=torch.channels_last)
    y = torch.arange(128, device=device) % 10
    net = models.build(paper.model, 3, 32).to(device)
    a = torch.randn(side, side, device=device, dtype=dtype)
    # The operations of the network, in products of two matrices
    needed_products = operations.training(paper) * count / (2 * side**3)
    products = max(1, round(needed_products))

    def multiply() -> None:
        for _ in range(products):
            torch.mm(a, a)[0, 0].item()  # waits for the device

    pairs_of_product = []
    for pair in in_turn(partial(plain_steps, net, x, y, count // 128), multiply):
        pairs_of_product.append(Pair(pair.ours / needed_products, pair.theirs / products))
    what = "the paper's All-CNN / a large matrix product, the same operations"
    yield row("paper_peak", "TFLOP/s", pairs_of_product, what, 2 * side**3 / 1e12)


def plain_steps(net: nn.Module, x: Tensor, y: Tensor, steps: int) -> None:
    """Take some training steps on one batch."""
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


def grid(device: torch.device, dataset: str) -> Iterator[Row]:
    """Estimate the blur grid with its controls from a few epochs of both ways."""
    points = set[Run]()
    for onset in ONSETS:
        for length in LENGTHS:
            run = Run("blur", onset, length, 15, "course", dataset=dataset)
            points |= {run, run.equal_training(), run.newborn()}
    runs = [*points]
    epochs_in_tree = sum(root.epochs for root in plan(runs))
    epochs_alone = sum(run.epochs for run in runs)
    workers = usual_workers(runs, str(device))
    # Long enough for the start of processes to count for little, as in the grid
    few = [Run("blur", 6, 2, 0, "course", dataset=dataset, seed=seed) for seed in range(workers)]
    context = Context(str(device), workers=workers)
    clear_epoch = plain_epoch(few[0], device, blurred=False)
    blurred_epoch = plain_epoch(few[0], device, blurred=True)
    ours = seconds(lambda: [*train_all(few, context)]) / (8 * workers)
    theirs = (3 * seconds(clear_epoch) + seconds(blurred_epoch)) / 4
    what = (
        f"{len(ONSETS)} onsets by {len(LENGTHS)} lengths of blur with controls: {epochs_in_tree} "
        f"epochs in a tree, {workers} at a time / {epochs_alone} epochs run by run with Dataset "
        "and DataLoader"
    )
    yield row("grid", "s", [Pair(epochs_in_tree * ours, epochs_alone * theirs)], what)


class Pictures(Dataset):
    """Images and labels as in torchvision's data sets: a PIL image through a transform."""

    def __init__(self, x: Tensor, y: Tensor, transform: Callable) -> None:
        self.x = x.squeeze(-1).numpy()
        self.y = y.tolist()
        self.transform = transform

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        from PIL import Image

        return self.transform(Image.fromarray(self.x[index])), self.y[index]


def plain_epoch(run: Run, device: torch.device, blurred: bool) -> Callable[[], None]:
    """Make an epoch with its test as in public replications: float32, every image through PIL."""
    from torchvision import transforms as T

    settings = run.settings
    size = settings.size
    images = data.images(run.dataset, run.profile)
    tensor = [T.ToTensor(), T.Normalize(images.mean / 255, images.std / 255)]
    blur = [T.Resize(size // 4), T.Resize(size)] if blurred else []
    varied = [*blur, T.RandomCrop(size, padding=settings.shift), T.RandomHorizontalFlip(), *tensor]
    training = Pictures(images.train_x, images.train_y, T.Compose(varied))
    testing = Pictures(images.test_x, images.test_y, T.Compose(tensor))
    net = models.build(run.model, len(images.mean), size).to(device)
    optimizer = torch.optim.SGD(
        net.parameters(), 0.02, settings.momentum, weight_decay=settings.weight_decay
    )

    def epoch() -> None:
        net.train()
        for x, y in DataLoader(training, settings.batch, shuffle=True, num_workers=2):
            optimizer.zero_grad()
            F.cross_entropy(net(x.to(device)), y.to(device)).backward()
            optimizer.step()
        net.eval()
        with torch.no_grad():
            for x, y in DataLoader(testing, settings.batch, num_workers=2):
                (net(x.to(device)).argmax(1).cpu() == y).sum().item()

    return epoch


def stack(device: torch.device, dataset: str) -> Iterator[Row]:
    """Measure an epoch of twenty seeds of tiny as a stack against a plain loop over twenty
    networks, both with their tests."""
    trainings = []
    for seed in range(20):
        run = Run("mosaic", 0, 400, profile="tiny", seed=seed)
        trainings.append(begin(run, device, threads=1))
    step = first_step(trainings[0].run)
    nets = []
    optimizers = []
    labels = []
    seen = []
    for training in trainings:
        net = copy.deepcopy(training.state.net)
        nets.append(net)
        optimizers.append(torch.optim.SGD(net.parameters(), lr=0.1))
        images = training.images
        y = images.train_y
        batch = training.task.describe_batch(torch.arange(len(y)), 0, images)
        deprived, _ = step.deficit(images.normal(images.train_x), y, batch)
        labels.append(y)
        seen.append(deprived)
    test_x = trainings[0].images.normal_test
    test_y = trainings[0].images.test_y

    def theirs() -> None:
        for net, optimizer, x, y in zip(nets, optimizers, seen, labels, strict=True):
            for index in torch.randperm(len(y), device=device).split(32):
                optimizer.zero_grad()
                F.cross_entropy(net(x[index]), y[index]).backward()
                optimizer.step()
            with torch.no_grad():
                (net(test_x).argmax(1) == test_y).float().mean().item()

    with devices.torch_defaults(threads=1):
        pairs = in_turn(lambda: train_epoch(trainings, step), theirs)
    what = "an epoch of 20 seeds of tiny with its test / of 20 networks in a plain loop"
    yield row("stack", "ms", pairs, what, 1000)


def card(device: torch.device, dataset: str) -> Iterator[Row]:
    """Measure what a GPU is for, by the clock and against bare steps: epochs with their test, a
    point of the flagship, twenty seeds of it, a removal curve; and calculate a run of the paper."""
    if device.type != "cuda":
        return
    point = replace(FLAGSHIP, deficit="blur", length=16, dataset=dataset)
    named = {
        "paper": Run("blur", 0, 16, profile="paper", dataset=dataset),
        "course": Run("blur", 0, 16, profile="course", dataset=dataset),
        "flagship": point,
    }
    for name, run in named.items():
        training = begin(run, device, threads=1)
        step = first_step(run)
        images = training.images
        x = images.normal(images.train_x[:128])
        y = images.train_y[:128]
        count = len(images.train_y)
        bare = partial(plain_steps, copy.deepcopy(training.state.net), x, y, count // 128)
        pairs = in_turn(partial(train_epoch, [training], step), bare)
        what = f"{name}: an epoch with its test / bare steps"
        yield row(f"card_{name}", "images/s", pairs, what, count)
        if name == "paper":
            yield row("card_440", "min", pairs, "440 epochs of paper, calculated", 440 / 60)
            passes = training.computed_by  # the graphs of the epochs above
            assert isinstance(passes, Passes)
            rate = operations.training(run) * count / 1e12  # of 391 steps, as there are in an epoch
            pairs = in_turn(partial(both_passes, passes, x, y, steps=391), bare)
            yield row("card_rate", "TFLOP/s", pairs, "passes", rate)
    seeds = [point.with_seed(seed) for seed in range(20)]
    removal = []
    for length in (*LENGTHS, 32, 40, 48):
        for seed in range(5):
            removal.append(point.replace(length=length, seed=seed))
    for name, runs in {"point": [point], "seeds": seeds, "removal": removal}.items():
        trained = seconds(partial(list, train_all(runs, Context(str(device)))))
        epochs = sum(root.epochs for root in plan(runs))
        what = f"{epochs} epochs of the flagship, from the start of processes / bare steps"
        yield row(f"card_{name}", "s", [Pair(trained, epochs * seconds(bare))], what)


def both_passes(passes: Passes, x: Tensor, y: Tensor, steps: int) -> None:
    """Compute the forward and the backward pass of one batch some times, without the optimiser."""
    for _ in range(steps):
        losses = passes(x, y)
    losses.sum().item()  # waits for the device


# Fisher information -------------------------------------------------------------------------------


def trace(device: torch.device, dataset: str, count: int = 2000) -> Iterator[Row]:
    """Measure the exact Fisher trace of the course network against other ways to the same number.

    Raises: CplabError if the numbers differ.
    """
    task = Run(profile="course", dataset=dataset).task
    images = task.images(device)
    net = task.birth(device).net
    x = images.normal(images.train_x[:count])
    with torch.no_grad():
        net.train()(x)  # running statistics
    net.eval()
    what = f"exact Fisher trace of the course network, {count} images"
    with devices.algorithms(device, "float32"):  # without tf32, which is off by more than AGREE
        for name, way in (("func", by_jacrev), ("curvlinops", by_curvlinops)):
            try:
                pairs = in_turn(lambda: fisher.trace(net, x), partial(way, out_of_place(net), x))
                theirs = way(out_of_place(net), x)
            except ImportError:
                continue
            ours = fisher.trace(net, x).total
            if not abs(ours - theirs) <= AGREE * abs(theirs):
                raise CplabError(f"the Fisher traces differ: fisher.trace {ours}, {name} {theirs}")
            yield row(f"trace_{name}", "s", pairs, f"{what} / {name}")


def out_of_place(net: nn.Module) -> nn.Module:
    """Copy a network with ReLUs that do not change their input, which the other ways need."""
    net = copy.deepcopy(net)
    for module in net.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
    return net


def counted(net: nn.Module) -> dict[str, Tensor]:
    """The weights that the trace is over, by name."""
    weights = {}
    for name, layer in net.named_modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            weights[f"{name}.weight"] = layer.weight
    return weights


def by_jacrev(net: nn.Module, x: Tensor, batch: int = 32) -> float:
    """The trace from each image's gradient of each label's log p, squared and weighted with p. The
    batch is the fastest on two cores."""

    def log_p(weights: dict[str, Tensor], image: Tensor) -> Tensor:
        return functional_call(net, weights, (image[None],)).log_softmax(1)[0]

    jacobians = vmap(jacrev(log_p), (None, 0))
    weights = {name: weight.detach() for name, weight in counted(net).items()}
    total = 0.0
    for part in x.split(batch):
        p = net(part).softmax(1).detach()  # (batch, classes)
        for jacobian in jacobians(weights, part).values():  # (batch, classes, …)
            squares = jacobian.flatten(2).square().sum(2)  # (batch, classes)
            total += (squares * p).sum().item() / len(x)
    return total


def by_curvlinops(net: nn.Module, x: Tensor, batch: int = 128) -> float:
    """The trace of EKFAC, which corrects K-FAC's eigenvalues so that their sum is exact."""
    labels = torch.zeros(len(x), dtype=torch.long, device=x.device)
    batches = list(zip(x.split(batch), labels.split(batch), strict=True))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from curvlinops import EKFACLinearOperator

        operator = EKFACLinearOperator(
            net,
            nn.CrossEntropyLoss(),
            list(counted(net).values()),
            batches,
            fisher_type="type-2",
            check_deterministic=False,
        )
    return float(operator.trace)


# Looking up ---------------------------------------------------------------------------------------

LOOK = """
import timeit, cplab
print(timeit.timeit(lambda: cplab.run(deficit="blur", length=8), number=1))
"""


def lookup(device: torch.device, dataset: str) -> Iterator[Row]:
    """Measure a look-up of a shipped result in a fresh Python against a Python without imports."""

    def fresh(code: str) -> str:
        command = (sys.executable, "-c", code)
        return subprocess.run(command, capture_output=True, check=True, text=True).stdout

    for name, code in (("lookup", LOOK), ("import", "import cplab")):
        pairs = in_turn(partial(fresh, code), partial(fresh, "pass"))
        yield row(name, "s", pairs, f"a fresh Python: {name} / nothing")


def as_line(measured: Row) -> str:
    """A row of the table that is printed: name, both values, unit, ratio, and what was measured."""
    values = f"{measured.value:9.4g}{measured.baseline:10.4g} {measured.unit:<9}"
    return f"{measured.name:<16}{values}{measured.ratio:8.3g}  {measured.what}"


EVERY = (engine, stack, grid, trace, lookup, card)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    by_name = {benchmark.__name__: benchmark for benchmark in EVERY}
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(by_name)} [all]")
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.add_argument("--device", default="auto", help="auto, cuda, mps or cpu [auto]")
    args = parser.parse_args()
    device = devices.pick(args.device)
    dataset = "cifar10" if data.is_here("cifar10") else "practice"
    if place := data.location(dataset):
        os.environ["CPLAB_DATA"] = str(place.parent)
    where = f"{devices.machine(device)}, {devices.usable_cores()} cores"
    print(f"{where}, {dataset}, torch {torch.__version__}")
    with tempfile.TemporaryDirectory(prefix="cplab-benchmarks-") as folder:
        os.environ["CPLAB_CACHE"] = folder  # an empty one, for this process and what it starts
        for name in args.names or by_name:
            for measured in by_name[name](device, dataset):
                line = json.dumps(measured._asdict()) if args.json else as_line(measured)
                print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
