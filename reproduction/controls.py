"""The exchange of digits at the end of a blur, once more in plain PyTorch: nothing of the engine.

A network learns 300 digits of 12 × 12 pixels by heart: seen in a mosaic, upside down or clear. Then
it sees clear digits for 100 epochs, its own or 300 others. Each is read beside a newborn on the
same digits. The package's runs of the same experiment are `Run(…, treatments="other@200")`; this
script draws its own weights, digits and orders, so that it agrees with them within the intervals
and not to the bit.

    python -m reproduction.controls drawn      # or mnist, whose file must be in $CPLAB_DATA
"""

import os
import sys
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cplab.estimates import estimate
from cplab.pictures import digits
from cplab.pictures.arrays import read_npz

SEEDS = range(20, 40)
SIDE = 12  # pixels
IMAGES = 300  # of a network's own, and as many others
POOL = 20_000  # training images that all networks draw theirs from
TESTED = 1_000  # test images
RECOVERY = 100  # clear epochs at the end
LAST = 5  # epochs whose mean accuracy is the final one
BATCH = 32
RATE = 0.1


class Digits(NamedTuple):
    """Images (N, 1, 12, 12) with their labels (N,)."""

    x: Tensor
    y: Tensor


class Childhood(NamedTuple):
    """A deficit, and the epochs that it lasts from birth."""

    deficit: str
    length: int


CHILDHOODS = {
    "3 × 3 for 200": Childhood("mosaic-3", 200),
    "3 × 3 for 50": Childhood("mosaic-3", 50),
    "2 × 2 for 200": Childhood("mosaic-2", 200),
    "upside down for 200": Childhood("flip", 200),
    "clear for 200": Childhood("clear", 200),
    "clear for 50": Childhood("clear", 50),
}
NEWBORN = Childhood("clear", 0)

# Digits -------------------------------------------------------------------------------------------


def load(kind: str) -> tuple[Digits, Digits]:
    """Training and test images, normalised so that those for training have mean 0 and deviation 1.
    kind: `drawn`, or the name of a file in $CPLAB_DATA."""
    if kind == "drawn":
        arrays = digits.drawn()
    else:
        arrays, _ = read_npz(Path(os.environ["CPLAB_DATA"]) / f"{kind}.npz", "name another file")
    train = Digits(shrink(arrays.train_x), torch.as_tensor(arrays.train_y).long())
    test = Digits(shrink(arrays.test_x), torch.as_tensor(arrays.test_y).long())
    mean = train.x.mean()
    deviation = train.x.std()
    return (
        Digits((train.x[:POOL] - mean) / deviation, train.y[:POOL]),
        Digits((test.x[:TESTED] - mean) / deviation, test.y[:TESTED]),
    )


def shrink(images: np.ndarray) -> Tensor:
    """Shrink images (N, H, W) to (N, 1, 12, 12) by the means of areas, rounded as bytes are.

    >>> shrink(np.full((5, 24, 24), 7)).shape
    torch.Size([5, 1, 12, 12])
    """
    pixels = torch.as_tensor(np.asarray(images)).float()
    pixels = pixels.reshape(len(images), 1, *images.shape[1:3])
    return F.interpolate(pixels, size=(SIDE, SIDE), mode="area").round()


def see(x: Tensor, deficit: str) -> Tensor:
    """Images (N, 1, 12, 12) as they look under a deficit: flip, mosaic-2, mosaic-3 or clear."""
    if deficit == "flip":
        return x.flip(2)
    if deficit.startswith("mosaic"):
        square = int(deficit[-1])  # side, in pixels
        means = F.avg_pool2d(x, square)
        return F.interpolate(means, scale_factor=square, mode="nearest")
    return x


# Networks -----------------------------------------------------------------------------------------


def newborn(seed: int) -> nn.Sequential:
    """A network of two hidden layers of 64 units, whose weights begin small."""
    generator = torch.Generator().manual_seed(7000 + seed)
    layers: list[nn.Module] = [nn.Flatten()]
    for inputs, outputs in pairwise((SIDE * SIDE, 64, 64, 10)):
        layer = nn.Linear(inputs, outputs)
        nn.init.normal_(layer.weight, std=0.3 * (2 / inputs) ** 0.5, generator=generator)
        nn.init.zeros_(layer.bias)
        layers += [layer, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def train_epoch(net: nn.Module, x: Tensor, y: Tensor, generator: torch.Generator) -> None:
    """One epoch of stochastic gradient descent on images (N, 1, 12, 12) with labels (N,)."""
    order = torch.randperm(len(y), generator=generator)
    for batch in order.split(BATCH):
        loss = F.cross_entropy(net(x[batch]), y[batch])
        gradients = torch.autograd.grad(loss, [*net.parameters()])
        with torch.no_grad():
            for weight, gradient in zip(net.parameters(), gradients, strict=True):
                weight.sub_(RATE * gradient)


@torch.no_grad()
def accuracy(net: nn.Module, test: Digits) -> float:
    """Percent of digits that are named correctly."""
    correct = net(test.x).argmax(1) == test.y  # (N,)
    return 100 * correct.float().mean().item()


def grow_up(seed: int, childhood: Childhood, train: Digits, test: Digits, others: bool) -> float:
    """The final accuracy, in percent, after a childhood and 100 clear epochs.

    others: whether the clear epochs show other digits than the childhood did.
    """
    order = torch.randperm(len(train.y), generator=torch.Generator().manual_seed(8000 + seed))
    early = order[:IMAGES]  # the numbers of the digits in childhood, and in the clear epochs
    late = order[IMAGES : 2 * IMAGES] if others else early
    generator = torch.Generator().manual_seed(9000 + seed)
    net = newborn(seed)
    for _ in range(childhood.length):
        train_epoch(net, see(train.x[early], childhood.deficit), train.y[early], generator)
    accuracies = []
    for _ in range(RECOVERY):
        train_epoch(net, train.x[late], train.y[late], generator)
        accuracies.append(accuracy(net, test))
    return sum(accuracies[-LAST:]) / LAST


def main(kind: str) -> None:
    """Print points behind a newborn on the same digits, with intervals over seeds."""
    torch.set_num_threads(1)
    train, test = load(kind)
    for others in (False, True):
        newborns = [grow_up(seed, NEWBORN, train, test, others) for seed in SEEDS]
        digits_shown = "other digits" if others else "own digits"  # in the clear epochs
        print(f"{kind}, {digits_shown}: newborn {estimate(newborns):.1f} %", flush=True)
        for name, childhood in CHILDHOODS.items():
            behind = []
            for seed, control in zip(SEEDS, newborns, strict=True):
                behind.append(control - grow_up(seed, childhood, train, test, others))
            print(f"  {name}: {estimate(behind):.2f} points behind it", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
