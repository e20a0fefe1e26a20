"""The exchange of digits at the end of a blur, once more in plain PyTorch: nothing of the engine.

A network learns 300 digits of 12 × 12 pixels by heart: under a mosaic, upside down or clear. Then
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

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cplab import digits
from cplab.estimates import estimate

SEEDS = range(20, 40)
IMAGES = 300  # of a network's own, and as many others
RECOVERY = 100  # clear epochs at the end
LAST = 5  # epochs whose mean accuracy is the final one
CHILDHOODS = {
    "3 × 3 for 200": ("mosaic-3", 200),
    "3 × 3 for 50": ("mosaic-3", 50),
    "2 × 2 for 200": ("mosaic-2", 200),
    "upside down for 200": ("flip", 200),
    "clear for 200": ("clear", 200),
    "clear for 50": ("clear", 50),
}


def load(kind: str) -> tuple[Tensor, ...]:
    """Training images (N, 1, 12, 12) with mean 0 and deviation 1, labels (N,), and the same of
    1,000 test images."""
    if kind == "drawn":
        arrays = digits.drawn()
    else:
        arrays = np.load(Path(os.environ["CPLAB_DATA"]) / f"{kind}.npz")
    train, test = (shrink(arrays[f"{part}_x"]) for part in ("train", "test"))
    labels, test_labels = (
        torch.as_tensor(arrays[f"{part}_y"]).long() for part in ("train", "test")
    )
    mean, deviation = train.mean(), train.std()
    train, test = (train - mean) / deviation, (test - mean) / deviation
    return train[:20_000], labels[:20_000], test[:1000], test_labels[:1000]


def shrink(images: np.ndarray) -> Tensor:
    """Shrink images (N, H, W) to 12 pixels by the means of areas, rounded as bytes are."""
    pixels = torch.as_tensor(np.asarray(images)).float().reshape(len(images), 1, *images.shape[1:3])
    return F.interpolate(pixels, size=(12, 12), mode="area").round()


def see(images: Tensor, deficit: str) -> Tensor:
    """Images (N, 1, 12, 12) as they look under a deficit."""
    if deficit == "flip":
        return images.flip(2)
    if deficit.startswith("mosaic"):
        side = int(deficit[-1])
        return F.interpolate(F.avg_pool2d(images, side), scale_factor=side, mode="nearest")
    return images


def newborn(seed: int) -> nn.Sequential:
    """A network of two hidden layers of 64 units, whose weights begin small."""
    generator = torch.Generator().manual_seed(7000 + seed)
    sizes = (144, 64, 64, 10)
    layers: list[nn.Module] = [nn.Flatten()]
    for inputs, outputs in pairwise(sizes):
        layer = nn.Linear(inputs, outputs)
        nn.init.normal_(layer.weight, std=0.3 * (2 / inputs) ** 0.5, generator=generator)
        nn.init.zeros_(layer.bias)
        layers += [layer, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def train_epoch(net: nn.Module, x: Tensor, y: Tensor, generator: torch.Generator) -> None:
    """One epoch of stochastic gradient descent, in batches of 32 at a rate of 0.1."""
    for batch in torch.randperm(len(y), generator=generator).split(32):
        loss = F.cross_entropy(net(x[batch]), y[batch])
        gradients = torch.autograd.grad(loss, [*net.parameters()])
        with torch.no_grad():
            for weight, gradient in zip(net.parameters(), gradients, strict=True):
                weight -= 0.1 * gradient


@torch.no_grad()
def accuracy(net: nn.Module, x: Tensor, y: Tensor) -> float:
    """Percent of images (N, 1, 12, 12) that are named rightly."""
    return 100 * (net(x).argmax(1) == y).float().mean().item()


def grow_up(seed: int, data: tuple[Tensor, ...], deficit: str, length: int, others: bool) -> float:
    """The final accuracy after some epochs with a deficit and 100 clear ones."""
    x, y, test_x, test_y = data
    order = torch.randperm(len(y), generator=torch.Generator().manual_seed(8000 + seed))
    own, other = order[:IMAGES], order[IMAGES : 2 * IMAGES]
    generator = torch.Generator().manual_seed(9000 + seed)
    net = newborn(seed)
    for _ in range(length):
        train_epoch(net, see(x[own], deficit), y[own], generator)
    last = other if others else own
    accuracies = []
    for _ in range(RECOVERY):
        train_epoch(net, x[last], y[last], generator)
        accuracies.append(accuracy(net, test_x, test_y))
    return sum(accuracies[-LAST:]) / LAST


def main(kind: str) -> None:
    """Print points behind a newborn on the same digits, with 95 % intervals over seeds."""
    torch.set_num_threads(1)
    data = load(kind)
    for others in (False, True):
        digits_at_the_end = "other digits" if others else "own digits"
        newborns = [grow_up(seed, data, "clear", 0, others) for seed in SEEDS]
        print(f"{kind}, {digits_at_the_end}: newborn {estimate(newborns):.1f} %", flush=True)
        for name, (deficit, length) in CHILDHOODS.items():
            ends = [grow_up(seed, data, deficit, length, others) for seed in SEEDS]
            behind = [control - end for control, end in zip(newborns, ends, strict=True)]
            print(f"  {name}: {estimate(behind):.2f} points behind it", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
