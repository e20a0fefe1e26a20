"""Networks that lose whole kernels (the thesis's convolutional model, section 3), or weights."""

import math

import torch
from torch import Tensor, nn

from cplab.base.errors import CplabError
from cplab.base.seeding import seeded
from cplab.specs import mix_seeds

Ranked = nn.Conv2d | nn.Linear


def kernel_net(
    kernels: tuple[int, int], units: tuple[int, int], channels: int = 3, pixels: int = 32
) -> nn.Sequential:
    """Build the thesis's version of AlexNet: 5×5 convolution, 3×3 pooling and batch norm, twice;
    then three dense layers; ReLU after all but the last. The thesis gives neither padding nor the
    stride of its pools: as in AlexNet, the convolutions keep the size and the pools halve it.

    Arguments:
        kernels: of the convolutions.
        units: of the hidden dense layers.
        channels: of the images.
        pixels: a side of the images.

    >>> kernel_net((4, 8), (16, 8), pixels=8)(torch.zeros(2, 3, 8, 8)).shape
    torch.Size([2, 10])
    """
    layers: list[nn.Module] = []
    for count in kernels:
        layers.append(nn.Conv2d(channels, count, 5, padding=2))
        layers.append(nn.ReLU())
        layers.append(nn.MaxPool2d(3, 2))
        layers.append(nn.BatchNorm2d(count))
        channels = count
        pixels = (pixels - 3) // 2 + 1  # a side, after the pool
    layers.append(nn.Flatten())
    inputs = channels * pixels**2
    for width in units:
        layers.append(nn.Linear(inputs, width))
        layers.append(nn.ReLU())
        inputs = width
    layers.append(nn.Linear(inputs, 10))
    return nn.Sequential(*layers)


def kernel_norms(net: nn.Sequential) -> list[Tensor]:
    """The L2 norm of the weights of each kernel of both convolutions: (first,), (second,).

    The thesis takes it for how active a kernel is (section 3.2).

    >>> [len(norms) for norms in kernel_norms(kernel_net((4, 8), (16, 8), pixels=8))]
    [4, 8]
    """
    norms = []
    for convolution in (net[0], net[4]):  # their places in `kernel_net`
        weights = convolution.get_parameter("weight").detach()
        norms.append(weights.flatten(1).norm(dim=1))
    return norms


def kernels_to_keep(
    net: nn.Sequential, count: int, random: torch.Generator | None = None
) -> list[Tensor]:
    """Choose the kernels to keep when `count` of both layers together are removed. These are the
    ones of smallest norm, or random ones if `random` is given. Each layer keeps at least one.

    Returns:
        the sorted indices of the first layer's, and of the second layer's.

    >>> first, second = kernels_to_keep(kernel_net((4, 8), (16, 8), pixels=8), 5)
    >>> len(first) + len(second)
    7
    """
    layers = kernel_norms(net)
    sizes = [len(norms) for norms in layers]
    removable = sum(sizes) - 2
    if not 0 <= count <= removable:
        raise CplabError(f"{count} kernels cannot be taken out: take {removable} or fewer")
    scores = []  # of the kernels of each layer: the lowest go first
    for norms in layers:
        score = norms.clone()
        if random:
            drawn = torch.rand(len(norms), generator=random, dtype=torch.float32)
            score = drawn.to(norms)
        score[score.argmax()] = math.inf  # never removed
        scores.append(score)
    order = torch.cat(scores).argsort(stable=True).cpu()
    kept = torch.ones(sum(sizes), dtype=torch.bool)
    kept[order[:count]] = False
    return [part.nonzero().flatten() for part in kept.split(sizes)]


def newborn_kernels(
    kernels: tuple[int, int], units: tuple[int, int], x: Tensor, seed: int
) -> nn.Sequential:
    """A network for images x (N, C, H, W), with the initial weights of a seed."""
    with seeded(mix_seeds("kernels", seed)):
        return kernel_net(kernels, units, x.shape[1], x.shape[-1]).to(x.device)


def ranked_layers(net: nn.Module) -> dict[str, Ranked]:
    """The convolutions and linear layers of a network, by name, but for the last one, which stays
    whole, because each class has its evidence there.

    >>> layers = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    >>> list(ranked_layers(layers))
    ['0']
    """
    layers: dict[str, Ranked] = {}
    for name, layer in net.named_modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layers[name] = layer
    layers.popitem()
    return layers
