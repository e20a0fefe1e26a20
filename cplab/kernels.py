"""Growth is taken for granted, pruning is not: the thesis's convolutional model (section 3).

A large network is trained; then, again and again, the kernels of smallest norm in either
convolution are taken out, with all that is attached to them, and the rest is trained on. What is
left is an architecture: how many kernels the first and the second layer keep.
"""

import math
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from cplab import checkpoints, data, deficits, devices, train
from cplab.experiment import CplabError, Run, one_of, whole
from cplab.gradients import gradients

TASKS = ("images", "noise", "random_labels")
CHOICES = ("activity", "random")


@dataclass(frozen=True)
class Size:
    """How large the model is, and how long each part of its life. The thesis's numbers are
    SIZES["paper"]'s."""

    profile: str  # whose images it sees
    kernels: tuple[int, int]
    units: tuple[int, int]  # of the two hidden dense layers
    rates: tuple[tuple[int, float], ...]  # (epochs, learning rate) of training
    at_once: int  # kernels that are taken out at a time
    retraining: tuple[int, float]  # epochs and learning rate after each time
    saved: tuple[int, ...]  # numbers of kernels at which the architecture is kept
    batch: int = 128

    @property
    def training(self) -> list[float]:
        """The learning rate of each epoch before the pruning."""
        return [rate for epochs, rate in self.rates for _ in range(epochs)]

    @property
    def taken(self) -> list[int]:
        """How many kernels are taken out each time, so that all of `saved` are passed."""
        left, counts = sum(self.kernels), []
        while left > min(self.saved):
            counts.append(min(self.at_once, left - max(s for s in self.saved if s < left)))
            left -= counts[-1]
        return counts


SIZES = {
    "ci": Size("ci", (4, 8), (16, 8), ((2, 0.05),), 3, (1, 0.01), (9, 6, 3), 64),
    # A quarter of the kernels and a tenth of the epochs; the rates are ours.
    "course": Size(
        "course", (16, 64), (96, 48), ((10, 0.1), (10, 0.01), (5, 0.001)), 3, (2, 0.01),
        (75, 50, 25, 8, 5),
    ),
    "paper": Size(
        "paper", (64, 256), (382, 194), ((100, 0.1), (100, 0.01), (50, 0.001)), 10, (15, 0.001),
        (300, 200, 100, 30, 20),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Pruning:
    """One critical period: training, then pruning down to a few kernels.

    Arguments: size, of SIZES; task, images, noise (one fixed random picture with a fixed random
        label for each image, figure 12) or random_labels (figure 15); choice, activity (smallest
        norm first) or random (figure 7); retrain, whether there is training after each time
        (figure 8); seed.
    """

    size: str = "course"
    task: str = "images"
    choice: str = "activity"
    retrain: bool = True
    seed: int = 0

    def __post_init__(self):
        one_of("size", self.size, SIZES)
        one_of("task", self.task, TASKS)
        one_of("choice", self.choice, CHOICES)
        whole("seed", self.seed)


@dataclass(frozen=True)
class Split:
    """An architecture trained from scratch on images (figures 11, 13 and 16).

    Arguments: size, of SIZES; first and second, kernels of the two convolutions; seed.
    """

    size: str
    first: int
    second: int
    seed: int = 0

    def __post_init__(self):
        one_of("size", self.size, SIZES)
        whole("kernels", self.first, least=1)
        whole("kernels", self.second, least=1)
        whole("seed", self.seed)


class Network(nn.Sequential):
    """The thesis's version of AlexNet: 5×5 convolution, 3×3 pooling and batch norm, twice; then
    three dense layers. All have ReLU but the last.

    The thesis gives neither padding nor the stride of its pools: we pad the convolutions to keep
    the size and halve it in the pools, as AlexNet does.

    Takes images (N, channels, H, W), returns logits (N, classes).
    """

    def __init__(self, kernels, units, channels: int = 3, pixels: int = 32, classes: int = 10):
        for _ in kernels:
            pixels = (pixels - 3) // 2 + 1
        layers = []
        for k in kernels:
            layers += [nn.Conv2d(channels, k, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)]
            layers += [nn.BatchNorm2d(k)]
            channels = k
        layers += [nn.Flatten(), nn.Linear(channels * pixels**2, units[0]), nn.ReLU()]
        layers += [nn.Linear(units[0], units[1]), nn.ReLU(), nn.Linear(units[1], classes)]
        super().__init__(*layers)

    @property
    def convolutions(self) -> tuple[nn.Conv2d, nn.Conv2d]:
        return self[0], self[4]

    @property
    def kernels(self) -> tuple[int, int]:
        first, second = self.convolutions
        return first.out_channels, second.out_channels


# Taking out ---------------------------------------------------------------------------------------


def norms(net: Network) -> tuple[Tensor, Tensor]:
    """The L2 norm of each kernel's weights, which stands for its activity (section 3.2)."""
    return tuple(c.weight.detach().flatten(1).norm(dim=1) for c in net.convolutions)


def weakest(net: Network, count: int, choice: str = "activity", generator=None) -> tuple:
    """Which kernels to keep, (first,), (second,) as sorted indices, when `count` are taken out of
    both layers together: those of smallest norm, or any at random. One is left in each layer.

    Raises: CplabError if there are not that many to spare.
    """
    measured = norms(net)
    spare = sum(net.kernels) - 2
    if not 0 <= count <= spare:
        raise CplabError(
            f"{count} kernels cannot be taken out of {net.kernels[0]} + {net.kernels[1]}: one has "
            f"to be left in each layer, so take {spare} or fewer"
        )
    if choice == "random":
        measured = tuple(torch.rand(len(n), generator=generator).to(n) for n in measured)
    scores = torch.cat(measured)
    layer = torch.cat([torch.full((len(n),), i) for i, n in enumerate(measured)])
    last = torch.stack([n.argmax() for n in measured])  # stays, whatever the others do
    last[1] += len(measured[0])
    scores[last] = math.inf
    gone = scores.argsort(stable=True)[:count].cpu()
    kept = torch.ones(len(scores), dtype=torch.bool)
    kept[gone] = False
    first, second = (kept[layer == i].nonzero().flatten() for i in (0, 1))
    return first, second


def take_out(net: Network, first: Tensor, second: Tensor) -> Network:
    """A smaller network that has the kernels `first` and `second` (indices) of this one alone: it
    gives what this one gives with the others' outputs, after batch norm, set to zero."""
    a, b = net.convolutions
    area = net[9].in_features // b.out_channels
    pixels = math.isqrt(area)
    units = net[9].out_features, net[11].out_features
    small = Network((len(first), len(second)), units, a.in_channels, before(before(pixels)),
                    net[13].out_features).to(a.weight.device)  # fmt: skip
    columns = (second[:, None] * area + torch.arange(area)).flatten()
    with torch.no_grad():
        for i, rows in ((0, first), (3, first), (4, second), (7, second)):
            for name, value in net[i].state_dict().items():
                part = value[rows] if value.ndim else value
                if i == 4 and name == "weight":
                    part = part[:, first]
                small[i].state_dict()[name].copy_(part)
        small[9].weight.copy_(net[9].weight[:, columns])
        small[9].bias.copy_(net[9].bias)
        for i in (11, 13):
            small[i].load_state_dict(net[i].state_dict())
    return small.train(net.training)


def before(pixels: int) -> int:
    """The smallest size that a pool halves to `pixels`."""
    return 2 * (pixels - 1) + 3


# Training -----------------------------------------------------------------------------------------


def photographs(size: Size, device) -> data.Images:
    return data.images(Run(profile=size.profile).dataset, size.profile, device)


def material(spec, device) -> data.Images:
    """The images of a spec's task, normalised as uint8 cannot be: train_x is float (N, C, H, W)."""
    images = photographs(SIZES[spec.size], device)
    x, y = images.normal(images.train_x), images.train_y
    random = torch.Generator().manual_seed(train.mix("task", spec.seed))
    task = getattr(spec, "task", "images")
    if task == "noise":
        x = deficits.noise(len(x), tuple(x.shape[1:]), spec.seed, str(device)).to(x.dtype)
    if task != "images":
        y = torch.randint(10, y.shape, generator=random).to(y.device)
    return replace(images, train_x=x, train_y=y)


def epoch(net, optimizer, images, size: Size, seed: tuple, rate: float, stop=None) -> float:
    """One epoch of plain SGD; the thesis names no augmentation. Returns the mean loss."""
    net.train()
    for group in optimizer.param_groups:
        group["lr"] = rate
    order = torch.randperm(
        len(images.train_y), generator=torch.Generator().manual_seed(train.mix(*seed))
    ).to(images.train_y.device)
    total = torch.zeros((), device=order.device)
    for index in order.split(size.batch):
        if stop is not None and stop.is_set():
            raise train.Cancelled("stopped: ask for the same again to go on from its checkpoint")
        loss = gradients(net, "native", images.train_x[index], images.train_y[index])
        optimizer.step()
        total += loss * len(index)
    mean = total.item() / len(order)
    if not math.isfinite(mean):
        raise train.Diverged(f"the loss is {mean}: take a smaller learning rate")
    return mean


def sgd(net: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(net.parameters(), lr=0.0)


@torch.inference_mode()
def right(net: nn.Module, x: Tensor, y: Tensor) -> float:
    """The fraction of images (N, C, H, W) that the network names rightly."""
    net.eval()
    parts = zip(x.split(500), y.split(500), strict=True)
    with devices.autocast(x.device, "float32"):
        return sum((net(a).argmax(1) == b).sum().item() for a, b in parts) / len(y)


def build(size: Size, kernels, seed: int, device) -> Network:
    images = photographs(size, device)
    with train.seeded(train.mix("kernels", seed)):
        net = Network(kernels, size.units, len(images.mean), images.train_x.shape[1])
    return net.to(device)


def checkpoint_names(spec, device: torch.device) -> list[Path]:
    """The checkpoint before and after each row of `develop`, each epoch of `from_scratch`.
    Critical periods that differ in how they are pruned have those of their training in common."""
    size, pruned = SIZES[spec.size], isinstance(spec, Pruning)
    what = (spec.task, size.kernels) if pruned else ("images", (spec.first, spec.second))
    origin = (type(spec).__name__, size, *what, spec.seed)
    taken = [(count, spec.choice, spec.retrain) for count in size.taken] if pruned else []
    state = train.bits(photographs(size, device), device)
    return checkpoints.names((*origin, *state), [*size.training, *taken])


def trunk(spec, device: torch.device) -> Path | None:
    """The checkpoint of a critical period at the end of its training; None of a Split."""
    trained = len(SIZES[spec.size].training)
    return checkpoint_names(spec, device)[trained] if isinstance(spec, Pruning) else None


def develop(
    spec: Pruning,
    device: str = "auto",
    stop: threading.Event | None = None,
    keep: bool = False,
) -> Iterator[dict]:
    """Train and prune, one row for each epoch of training and each time kernels are taken out.
    What was broken off goes on from its last checkpoint, after the rows that led to it.

    Arguments: keep, leave the checkpoint of the end of training for others.
    Yields: phase (training or pruning), epochs so far, first, second (kernels left), loss (NaN
        where nothing was trained), train_accuracy (of the task, 0 to 1), accuracy (of the test
        images where the task has their labels, else of the task), parameters.
    Raises: CplabError, train.Cancelled, train.Diverged.
    """
    size, where = SIZES[spec.size], devices.pick(device)
    images = material(spec, where)
    test = images.normal(images.test_x)
    random = torch.Generator().manual_seed(train.mix("prune", spec.seed))
    names, training = checkpoint_names(spec, where), size.training
    rows, state, path = checkpoints.read(names)
    shape, done = size.kernels, 0
    if rows:
        shape, done = (rows[-1]["first"], rows[-1]["second"]), rows[-1]["epochs"]
        random.set_state(state.pop("random"))
    net = build(size, shape, spec.seed, where)
    if rows:
        net.load_state_dict(state)
    on_the_way = checkpoints.OnTheWay(path)

    def row(phase: str, loss: float) -> dict:
        learned = right(net, images.train_x, images.train_y)
        real = spec.task == "images"
        accuracy = right(net, test, images.test_y) if real else learned
        return {
            "phase": phase,
            "epochs": done,
            "first": net.kernels[0],
            "second": net.kernels[1],
            "loss": loss,
            "train_accuracy": learned,
            "accuracy": accuracy,
            "parameters": sum(p.numel() for p in net.parameters()),
        }

    def further(rate: float) -> float:
        return epoch(net, optimizer, images, size, ("epoch", spec.seed, done), rate, stop)

    optimizer = sgd(net)
    yield from rows
    for number in range(len(rows), len(names) - 1):
        loss = math.nan
        if number < len(training):
            loss, done = further(training[number]), done + 1
        else:
            count = size.taken[number - len(training)]
            net = take_out(net, *weakest(net, count, spec.choice, random))
            optimizer = sgd(net)
            epochs, rate = size.retraining
            for _ in range(epochs if spec.retrain else 0):
                loss, done = further(rate), done + 1
        rows.append(row("pruning" if number >= len(training) else "training", loss))
        now = net.state_dict() | {"random": random.get_state()}
        if keep and number + 1 == len(training):
            checkpoints.save(names[number + 1], now, rows)
        elif on_the_way.due:
            on_the_way.save(names[number + 1], now, rows)
        yield rows[-1]
    checkpoints.forget(on_the_way.path)


def from_scratch(
    spec: Split, device: str = "auto", report: Callable[[dict], None] = lambda row: None, stop=None
) -> dict:
    """Train an architecture on images. Returns: accuracy of the test images, and its curve."""
    size, where = SIZES[spec.size], devices.pick(device)
    images = material(spec, where)
    net = build(size, (spec.first, spec.second), spec.seed, where)
    test, optimizer, names = images.normal(images.test_x), sgd(net), checkpoint_names(spec, where)
    curve, state, path = checkpoints.read(names)
    if curve:
        net.load_state_dict(state)
    on_the_way = checkpoints.OnTheWay(path)
    for number, accuracy in enumerate(curve, 1):
        report({"epoch": number, "accuracy": accuracy})
    for number, rate in enumerate(size.training[len(curve) :], len(curve)):
        epoch(net, optimizer, images, size, ("epoch", spec.seed, number), rate, stop)
        curve.append(right(net, test, images.test_y))
        if on_the_way.due:
            on_the_way.save(names[number + 1], net.state_dict(), curve)
        report({"epoch": number + 1, "accuracy": curve[-1]})
    checkpoints.forget(on_the_way.path)
    return {"accuracy": curve[-1], "curve": curve}


def random_split(total: int, seed: int, most: tuple[int, int]) -> tuple[int, int]:
    """`total` kernels split between the layers at random, evenly over all splits that the large
    network could be pruned to."""
    low, high = max(1, total - most[1]), min(most[0], total - 1)
    if low > high:
        raise CplabError(
            f"{total} kernels cannot be split over two layers of {most[0]} and {most[1]}: give "
            f"2 to {sum(most)}"
        )
    generator = torch.Generator().manual_seed(train.mix("split", seed, total))
    first = int(torch.randint(low, high + 1, (), generator=generator))
    return first, total - first


# Kept and found -----------------------------------------------------------------------------------


def compute(specs: list, device: str = "auto", stop=None) -> Iterator[tuple]:
    """For studies.collect: the values of Pruning and Split specs. Those of the same training go on
    from one checkpoint of its end."""
    where = devices.pick(device)
    for number, spec in enumerate(specs):
        shared = trunk(spec, where)
        if shared is None:
            yield spec, from_scratch(spec, device, stop=stop)
            continue
        keep = shared in {trunk(other, where) for other in specs[number + 1 :]}
        rows = list(develop(spec, device, stop, keep))
        columns = {name: [row[name] for row in rows] for name in rows[0]}
        columns["loss"] = [None if math.isnan(v) else v for v in columns["loss"]]
        if not keep:
            checkpoints.forget(shared)
        yield spec, columns
