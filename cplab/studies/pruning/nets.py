"""Many small networks trained side by side, whose synapses grow and die.

A synapse is a weight, alive or dead; a dead one is exactly 0 and stays so. Biases are always alive.
An architecture is a list of two boolean arrays, (16, 784) and (10, 16).
"""

import base64
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from cplab import data, devices
from cplab.errors import Diverged
from cplab.studies.pruning.specs import SHAPES

BATCH = 2048

Architecture = list[np.ndarray]


def dense() -> Architecture:
    """The architecture with all synapses alive."""
    return [np.ones((b, a), bool) for a, b in SHAPES]


def pack_architecture(arrays: Sequence[np.ndarray]) -> str:
    """Pack booleans as base64 text, a bit each."""
    bits = np.packbits(np.concatenate([array.ravel() for array in arrays]))
    return base64.b64encode(bits.tobytes()).decode()


def unpack_architecture(text: str) -> Architecture:
    """Unpack an architecture from text: booleans, (16, 784) and (10, 16).

    >>> [layer.shape for layer in unpack_architecture(pack_architecture(dense()))]
    [(16, 784), (10, 16)]
    """
    bits = np.unpackbits(np.frombuffer(base64.b64decode(text), np.uint8)).astype(bool)
    cuts = np.cumsum([math.prod(shape) for shape in SHAPES])
    layers = np.split(bits, cuts)[:-1]  # the last byte may be filled up
    return [layer.reshape(b, a) for layer, (a, b) in zip(layers, SHAPES, strict=True)]


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
    arrays, copy = data.load_arrays(dataset.removesuffix("_shifted"))
    parts = {}
    for seed, part in enumerate(("train", "test")):
        x = arrays[f"{part}_x"]
        x = wrap_randomly(x, seed) if dataset == "mnist_shifted" else x
        if x.ndim == 4:  # practice: grey, its middle
            x = x[:, 2:30, 2:30].mean(3).astype(np.uint8)
        y = torch.as_tensor(arrays[f"{part}_y"]).long()
        parts[part] = Digits(torch.as_tensor(x.reshape(len(x), -1)), y, copy)
    return parts


def wrap_randomly(x: np.ndarray, seed: int) -> np.ndarray:
    """Roll each image (N, H, W) by a random distance, around the edges, so that no pixel is inked
    more often than another."""
    random = np.random.default_rng(seed)
    rows, columns = (
        (np.arange(size) - random.integers(0, size, (len(x), 1))) % size for size in x.shape[1:]
    )
    return x[np.arange(len(x))[:, None, None], rows[:, :, None], columns[:, None, :]]


def inked_pixels(dataset: str) -> np.ndarray:
    """Whether at least one training image inks a pixel: booleans (784,).

    >>> int(inked_pixels("practice").sum())
    784
    """
    return flat_images(dataset)["train"].x.amax(0).numpy() > 0


def informative_pixels(dataset: str, architectures: Sequence[Architecture]) -> Tensor:
    """Indices of the pixels that can change an output: inked in some image, training or test, and
    with a synapse in some architecture."""
    ink = torch.stack([part.x.amax(0) for part in flat_images(dataset).values()]).amax(0) > 0
    alive = np.any([first.any(0) for first, _ in architectures], 0)
    return (ink & torch.as_tensor(alive)).nonzero().squeeze(1)


def to_training_dtype(digits: Digits, pixels: Tensor, device: torch.device) -> Digits:
    """Move some pixels to a device, in the dtype of training (bfloat16 holds 0 to 255 exactly)."""
    dtype = torch.bfloat16 if devices.has_bf16(device) else torch.float32
    return Digits(digits.x[:, pixels].to(device, dtype), digits.y.to(device))


def batch_indices(count: int, seed: int, place: torch.device) -> Iterator[Tensor]:
    """Yield the indices of batch after batch: all images in a new order, again and again."""
    random = torch.Generator().manual_seed(seed)
    size = min(BATCH, count)
    while True:
        order = torch.randperm(count, generator=random).to(place)  # once: a GPU is waited for
        yield from order[: count // size * size].split(size)


@dataclass
class Nets:
    """K networks of P pixels and one hidden layer: weights (K, 16, P + 1), (K, 10, 17), bias last;
    alive, of these shapes, 1 or 0 (biases 1); and Adam's state, both moments and their bias
    corrections, for each weight by itself, since a grown one begins anew."""

    weights: list[Tensor]
    alive: list[Tensor]
    state: list[Tensor] | None

    def set_alive(self, layer: int, net: int, index: Tensor, alive: bool) -> None:
        """Let synapses grow or die: their weights and optimiser state become 0."""
        self.alive[layer][net].view(-1)[index] = float(alive)
        self.weights[layer][net].view(-1)[index] = 0
        if self.state:
            self.state[layer][:, net].flatten(1)[:, index] = 0  # a view, for each net is a block

    def weakest_synapses(self, layer: int, net: int, count: int) -> Tensor:
        """Indices of the `count` living synapses of the smallest |w|."""
        strength = self.weights[layer][net].abs()
        strength.masked_fill_(self.alive[layer][net] == 0, torch.inf)
        strength[:, -1] = torch.inf  # biases stay
        return strength.view(-1).topk(count, largest=False).indices

    def draw_dead(self, layer: int, net: int, count: int, random: np.random.Generator) -> Tensor:
        """Indices of `count` dead synapses drawn at random."""
        dead = (self.alive[layer][net].view(-1) == 0).nonzero().squeeze(1)
        drawn = random.choice(len(dead), count, replace=False, shuffle=False)
        return dead[torch.as_tensor(drawn, device=dead.device)]

    def architecture(self, net: int) -> Architecture:
        """The architecture of one network."""
        return [layer[net, :, :-1].cpu().numpy() > 0 for layer in self.alive]


def build_nets(
    architectures: Sequence[Architecture],
    seed: int,
    optimizer: str,
    device: torch.device,
    pixels: Tensor | slice = slice(None),
) -> Nets:
    """Build networks of these architectures, all with the initial weights of a seed: Keras's, which
    the thesis used (Glorot uniform over the dense layer, biases 0)."""
    random = torch.Generator().manual_seed(seed)
    weights, alive = [], []
    for layer, (a, b) in enumerate(SHAPES):
        drawn = (2 * torch.rand(b, a, generator=random) - 1) * math.sqrt(6 / (a + b))
        mask = torch.stack([torch.as_tensor(layers[layer]) for layers in architectures]).float()
        if layer == 0:
            drawn, mask = drawn[:, pixels], mask[..., pixels]
        alive.append(F.pad(mask, (0, 1), value=1.0).to(device))
        weights.append(F.pad(drawn, (0, 1)).to(device) * alive[-1])
    state = None
    if optimizer == "adam":
        state = [torch.zeros(4, *layer.shape, device=device) for layer in weights]
    return Nets(weights, alive, state)


def propagate(weights: list[Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    """Hidden units (K, 16, B), in one product for all, and logits (K, 10, B), of images (B, P)."""
    first, last = weights
    hidden = (first[..., :-1] / 255).to(x.dtype).flatten(0, 1) @ x.T
    hidden = hidden.view(*first.shape[:2], len(x)).add_(first[..., -1:].to(x.dtype)).relu_()
    last = last.to(x.dtype)
    return hidden, torch.baddbmm(last[..., -1:], last[..., :-1], hidden)


def written_gradients(weights: list[Tensor], x: Tensor, y: Tensor) -> list[Tensor]:
    """The gradients of each network's mean cross entropy, written out: faster than autograd."""
    hidden, logits = propagate(weights, x)
    outer = logits.softmax(1).sub_(F.one_hot(y, 10).T.to(x.dtype))
    inner = weights[1][..., :-1].to(x.dtype).transpose(1, 2) @ outer
    inner = torch.ops.aten.threshold_backward(inner, hidden, 0)
    products = (inner.flatten(0, 1) @ x).view(*inner.shape[:2], -1), outer @ hidden.transpose(1, 2)
    gradients = []
    for w, product, d, scale in zip(weights, products, (inner, outer), (1 / 255, 1), strict=True):
        bias = d.sum(2, keepdim=True, dtype=w.dtype)
        gradients.append(torch.cat([product.to(w.dtype) * scale, bias], 2).div_(len(x)))
    return gradients


def take_step(nets: Nets, x: Tensor, y: Tensor, rate: float) -> None:
    """Take a step of SGD or Adam on a batch; dead synapses stay 0."""
    for layer, gradient in enumerate(written_gradients(nets.weights, x, y)):
        weights, alive = nets.weights[layer], nets.alive[layer]
        if nets.state is None:
            weights.addcmul_(gradient, alive, value=-rate)
            continue
        gradient *= alive
        mean, square, bias1, bias2 = nets.state[layer]
        mean.lerp_(gradient, 0.1)
        square.lerp_(gradient.square(), 0.001)
        bias1.add_(0.1 * (1 - bias1))  # 1 − 0.9^t of a weight that is t steps old
        bias2.add_(0.001 * (1 - bias2))
        weights.addcdiv_(mean / bias1, (square / bias2).sqrt_().add_(1e-7), value=-rate)


def evaluate_nets(nets: Nets, test: Digits) -> list[float]:
    """The test accuracy (0 to 1) of each network. Raises Diverged."""
    right = torch.zeros((), dtype=torch.long, device=test.y.device)
    for x, y in zip(test.x.split(2500), test.y.split(2500), strict=True):
        logits = propagate(nets.weights, x)[1]
        right = right + (logits.argmax(1) == y).sum(1)
    if not all(layer.isfinite().all() for layer in nets.weights):
        raise Diverged("a weight is no longer finite: nothing is kept; take another optimizer")
    return (right / len(test.y)).tolist()
