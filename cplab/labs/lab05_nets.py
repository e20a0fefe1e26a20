"""Networks of 784, 16 and 10 units whose synapses grow and die (the thesis's dense model).

A synapse is a weight, alive or dead; a dead one is exactly 0 and stays so. Biases are always alive.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from threading import Event
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from cplab.base import devices
from cplab.base.errors import Cancelled, Diverged
from cplab.pictures import datasets

BATCH = 2048
RATES = {"sgd": 0.5, "adam": 0.001}  # the thesis states neither optimiser nor rate
OTHER_DATASET = {"mnist": "fashion_mnist", "fashion_mnist": "mnist"}
PIXELS = 784  # of an image of 28 × 28
EVERY_PIXEL = torch.arange(PIXELS)


# Images -------------------------------------------------------------------------------------------


class Digits(NamedTuple):
    """Images and labels of a part of a data set."""

    x: Tensor  # images as rows of bytes (N, 784)
    y: Tensor  # labels (N,)
    copy: str = ""  # the name of the copy of the data set


@lru_cache(maxsize=2)
def flat_images(dataset: str) -> dict[str, Digits]:
    """Images of mnist, mnist_shifted, fashion_mnist or practice as rows of pixels: train and test.

    >>> flat_images("practice")["test"].x.shape
    torch.Size([2000, 784])
    """
    arrays, copy = datasets.load_arrays(dataset.removesuffix("_shifted"))
    parts = {}
    both = {"train": (arrays.train_x, arrays.train_y), "test": (arrays.test_x, arrays.test_y)}
    for seed, (part, (x, labels)) in enumerate(both.items()):
        if dataset == "mnist_shifted":
            x = wrap_randomly(x, seed)
        if x.ndim == 4:  # practice: grey, its middle
            x = x[:, 2:30, 2:30].mean(3).astype(np.uint8)
        y = torch.as_tensor(labels).long()
        parts[part] = Digits(torch.as_tensor(x.reshape(len(x), -1)), y, copy)
    return parts


def search_images(dataset: str, mixed: float, seed: int) -> Digits:
    """The training images of a search, with its share of the other data set where it is mixed."""
    digits = flat_images(dataset)["train"]
    if not mixed:
        return digits
    added = flat_images(OTHER_DATASET[dataset])["train"]
    order = torch.randperm(len(added.y), generator=torch.Generator().manual_seed(seed))
    share = round(mixed * len(added.y))  # images
    drawn = order[:share]
    x = torch.cat([digits.x, added.x[drawn]])
    y = torch.cat([digits.y, added.y[drawn]])
    return Digits(x, y)


def wrap_randomly(x: np.ndarray, seed: int) -> np.ndarray:
    """Roll each image (N, H, W) by a random distance, around the edges, so that no pixel is inked
    more often than another."""
    random = np.random.default_rng(seed)
    count, height, width = x.shape
    down = random.integers(0, height, (count, 1))
    right = random.integers(0, width, (count, 1))
    rows = (np.arange(height) - down) % height  # (N, H)
    columns = (np.arange(width) - right) % width  # (N, W)
    images = np.arange(count)[:, None, None]
    return x[images, rows[:, :, None], columns[:, None, :]]


def inked_pixels(dataset: str, parts: Sequence[str] = ("train",)) -> np.ndarray:
    """Whether at least one image of these parts inks a pixel: booleans (784,)."""
    images = flat_images(dataset)
    return np.any([images[part].x.amax(0).numpy() > 0 for part in parts], axis=0)


def to_training_dtype(digits: Digits, pixels: Tensor, device: torch.device) -> Digits:
    """Move some pixels to a device, in the dtype of training (bfloat16 holds 0 to 255 exactly)."""
    dtype = torch.bfloat16 if devices.has_bf16(device) else torch.float32
    return Digits(digits.x[:, pixels].to(device, dtype), digits.y.to(device))


def batch_indices(
    count: int, seed: int, device: torch.device, stop: Event | None
) -> Iterator[Tensor]:
    """Yield the indices of batch after batch: all images in a new order, again and again.

    Arguments:
        count: the number of images.
        seed: decides the order.
        device: where the indices are.
        stop: an event that ends it, if there is one.

    Raises:
        Cancelled: once `stop` is set.
    """
    random = torch.Generator().manual_seed(seed)
    size = min(BATCH, count)
    whole_batches = count // size
    while True:
        order = torch.randperm(count, generator=random).to(device)  # once: it waits for a GPU
        for index in order[: whole_batches * size].split(size):
            if stop and stop.is_set():
                raise Cancelled("stopped: unfinished networks are not kept; ask for them again")
            yield index


# Networks -----------------------------------------------------------------------------------------


@dataclass
class Net:
    """A network of P pixels and one hidden layer, whose synapses are alive or dead.

    Adam's state is both moments and their bias corrections. Each weight has its own, since one that
    has grown begins anew.
    """

    weights: list[Tensor]  # (16, P + 1) and (10, 17), the biases last
    alive: list[Tensor]  # of these shapes: 1 or 0, for biases 1
    optimizer: str  # sgd or adam
    state: list[Tensor]  # Adam's, (4, 16, P + 1) and (4, 10, 17); of sgd it has no rows

    def set_alive(self, layer: int, index: Tensor, alive: bool) -> None:
        """Let synapses grow or die: their weights and optimiser state become 0."""
        self.alive[layer].view(-1)[index] = float(alive)
        self.weights[layer].view(-1)[index] = 0
        self.state[layer].flatten(1)[:, index] = 0

    def weakest_synapses(self, layer: int, count: int) -> Tensor:
        """Indices of the `count` living synapses of the smallest |w|."""
        strength = self.weights[layer].abs()
        strength.masked_fill_(self.alive[layer] == 0, torch.inf)
        strength[:, -1] = torch.inf  # biases stay
        return strength.view(-1).topk(count, largest=False).indices

    def draw_dead(self, layer: int, count: int, random: np.random.Generator) -> Tensor:
        """Indices of `count` dead synapses drawn at random."""
        dead = (self.alive[layer].view(-1) == 0).nonzero().squeeze(1)
        drawn = random.choice(len(dead), count, replace=False, shuffle=False)
        return dead[torch.as_tensor(drawn, device=dead.device)]

    def change_synapses(self, layer: int, number: int, random: np.random.Generator) -> None:
        """Let a number of synapses of a layer grow, drawn at random, or, if it is below 0, let as
        many die, the weakest."""
        if number > 0:
            self.set_alive(layer, self.draw_dead(layer, number, random), True)
        elif number < 0:
            self.set_alive(layer, self.weakest_synapses(layer, -number), False)

    def architecture(self) -> list[np.ndarray]:
        """Which synapses are alive."""
        return [layer[:, :-1].cpu().numpy() > 0 for layer in self.alive]


def build_net(
    architecture: Sequence[np.ndarray],
    seed: int,
    optimizer: str,
    pixels: Tensor,
    device: torch.device,
) -> Net:
    """Build a network of these pixels with the initial weights of a seed: Keras's, which the thesis
    used (Glorot uniform over the dense layer, biases 0)."""
    random = torch.Generator().manual_seed(seed)
    weights = []
    alive = []
    for living in architecture:
        above, below = living.shape
        uniform = torch.rand(above, below, generator=random, dtype=torch.float32)
        drawn = (2 * uniform - 1) * math.sqrt(6 / (below + above))
        mask = torch.as_tensor(living).float()
        if below == PIXELS:
            drawn = drawn[:, pixels]
            mask = mask[:, pixels]
        with_bias = F.pad(mask, (0, 1), value=1.0).to(device)
        alive.append(with_bias)
        weights.append(F.pad(drawn, (0, 1)).to(device) * with_bias)
    state_rows = 4 if optimizer == "adam" else 0
    state = []
    for layer in weights:
        memory = torch.zeros(state_rows, *layer.shape, dtype=torch.float32)
        state.append(memory.to(device))
    return Net(weights, alive, optimizer, state)


def propagate(weights: list[Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the hidden units (16, B) and logits (10, B) of images (B, P).

    An image is a row, but what a layer makes of it is a column: so no weights are transposed.
    """
    first, last = weights
    hidden = (first[:, :-1] / 255).to(x.dtype) @ x.T
    hidden = hidden.add_(first[:, -1:].to(x.dtype)).relu_()
    last = last.to(x.dtype)
    return hidden, torch.addmm(last[:, -1:], last[:, :-1], hidden)


def written_gradients(weights: list[Tensor], x: Tensor, y: Tensor) -> list[Tensor]:
    """The gradients of the mean cross entropy, written out: faster than autograd."""
    first, last = weights
    hidden, logits = propagate(weights, x)
    by_logits = logits.softmax(0).sub_(F.one_hot(y, 10).T.to(x.dtype))  # slopes of the loss (10, B)
    by_hidden = (last[:, :-1].to(x.dtype).T @ by_logits) * (hidden > 0)  # (16, B), before the ReLU

    def by_weights(slopes: Tensor, below: Tensor, scale: float, dtype: torch.dtype) -> Tensor:
        """The mean slope by a layer's weights, from the slopes by its units (units, B) and what is
        below it (B, inputs), times a scale."""
        bias = slopes.sum(1, keepdim=True, dtype=dtype)
        synapses = (slopes @ below).to(dtype) * scale
        return torch.cat([synapses, bias], 1).div_(len(x))

    return [
        by_weights(by_hidden, x, 1 / 255, first.dtype),
        by_weights(by_logits, hidden.T, 1, last.dtype),
    ]


def take_step(net: Net, x: Tensor, y: Tensor) -> None:
    """Take a step of SGD or Adam on a batch; dead synapses stay 0."""
    rate = RATES[net.optimizer]
    for layer, gradient in enumerate(written_gradients(net.weights, x, y)):
        weights = net.weights[layer]
        alive = net.alive[layer]
        if net.optimizer == "sgd":
            weights.addcmul_(gradient, alive, value=-rate)
            continue
        gradient *= alive
        mean, square, bias1, bias2 = net.state[layer]
        mean.lerp_(gradient, 0.1)  # β₁ = 0.9
        square.lerp_(gradient.square(), 0.001)  # β₂ = 0.999
        bias1.add_(0.1 * (1 - bias1))  # 1 − 0.9^t of a weight that is t steps old
        bias2.add_(0.001 * (1 - bias2))  # 1 − 0.999^t
        weights.addcdiv_(mean / bias1, (square / bias2).sqrt_().add_(1e-7), value=-rate)


def evaluate_net(net: Net, test: Digits) -> float:
    """Test a network, and return its accuracy, 0 to 1.

    Raises:
        Diverged: if a weight is no longer finite.
    """
    right = torch.zeros((), dtype=torch.long, device=test.y.device)
    for x, y in zip(test.x.split(2500), test.y.split(2500), strict=True):
        _, logits = propagate(net.weights, x)
        right = right + (logits.argmax(0) == y).sum()
    if not all(layer.isfinite().all() for layer in net.weights):
        raise Diverged("a weight is no longer finite: nothing is kept; take another optimizer")
    return (right / len(test.y)).item()
