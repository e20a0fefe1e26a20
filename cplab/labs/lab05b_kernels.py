"""The thesis's convolutional model (section 3): a network that learns, and then loses the kernels
of smallest norm in either convolution, with all that is attached to them.
"""

import math
from functools import lru_cache
from threading import Event
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cplab import data, deficits, devices
from cplab.errors import Cancelled, CplabError, Diverged
from cplab.runs.tasks import evaluate, make_optimizer, seeded
from cplab.specs import mix_seeds
from cplab.specs.profiles import PROFILES

if TYPE_CHECKING:
    from cplab.labs.lab05b_pruning import KernelSize

__all__ = ["KernelLearner", "KernelNet", "kernel_norms", "kernels_to_keep"]


class KernelNet(nn.Sequential):
    """The thesis's version of AlexNet: 5×5 convolution, 3×3 pooling and batch norm, twice; then
    three dense layers; ReLU after all but the last. The thesis gives neither padding nor the stride
    of its pools: as in AlexNet, the convolutions keep the size and the pools halve it.

    Arguments: kernels of the convolutions; units of the hidden dense layers; channels and pixels a
    side of the images; classes.

    >>> KernelNet((4, 8), (16, 8), pixels=8)(torch.zeros(2, 3, 8, 8)).shape
    torch.Size([2, 10])
    """

    def __init__(
        self,
        kernels: tuple[int, int],
        units: tuple[int, int],
        channels: int = 3,
        pixels: int = 32,
        classes: int = 10,
    ):
        layers: list[nn.Module] = []
        for k in kernels:
            layers += [nn.Conv2d(channels, k, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)]
            layers += [nn.BatchNorm2d(k)]
            channels, pixels = k, (pixels - 3) // 2 + 1
        layers += [nn.Flatten(), nn.Linear(channels * pixels**2, units[0]), nn.ReLU()]
        layers += [nn.Linear(units[0], units[1]), nn.ReLU(), nn.Linear(units[1], classes)]
        super().__init__(*layers)

    @property
    def kernels(self) -> tuple[int, int]:
        return self[0].out_channels, self[4].out_channels  # type: ignore[return-value]


def kernel_norms(net: KernelNet) -> list[Tensor]:
    """The L2 norm of each kernel's weights, for its activity (section 3.2): (first,), (second,).

    >>> [len(norms) for norms in kernel_norms(KernelNet((4, 8), (16, 8), pixels=8))]
    [4, 8]
    """
    return [net[i].weight.detach().flatten(1).norm(dim=1) for i in (0, 4)]  # type: ignore[operator]


def kernels_to_keep(
    net: KernelNet, count: int, choice: str = "activity", generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Choose the kernels to keep, sorted indices of both layers, when `count` of both together are
    removed: those of smallest norm (activity), or random ones. Each layer keeps at least one.

    >>> first, second = kernels_to_keep(KernelNet((4, 8), (16, 8), pixels=8), 5)
    >>> len(first) + len(second)
    7
    """
    measured, (a, b) = kernel_norms(net), net.kernels
    if not 0 <= count <= a + b - 2:
        why = f"one is left in each layer, so take {a + b - 2} or fewer"
        raise CplabError(f"{count} kernels cannot be taken out of {a} + {b}: {why}")
    if choice == "random":
        measured = [torch.rand(len(norms), generator=generator).to(norms) for norms in measured]
    for scores in measured:
        scores[scores.argmax()] = math.inf  # never removed
    kept = torch.ones(a + b, dtype=torch.bool)
    kept[torch.cat(measured).argsort(stable=True)[:count].cpu()] = False
    first, second = (part.nonzero().flatten() for part in kept.split(net.kernels))
    return first, second


def keep_kernels(net: KernelNet, first: Tensor, second: Tensor) -> KernelNet:
    """Build a smaller network with the kernels `first` and `second` (indices) of this one: its
    logits are those of this one with the other kernels' outputs, after batch norm, set to zero."""
    layers: Any = net
    area = layers[9].in_features // net.kernels[1]
    pixels = 4 * math.isqrt(area) + 3  # the fewest that two pools reduce to this area
    units = layers[9].out_features, layers[11].out_features
    kept = len(first), len(second)
    small = KernelNet(kept, units, layers[0].in_channels, pixels, layers[13].out_features)
    state = net.state_dict()
    for i, rows in ((0, first), (3, first), (4, second), (7, second)):
        for name in net[i].state_dict():
            value = state[f"{i}.{name}"]
            state[f"{i}.{name}"] = value[rows] if value.ndim else value
    state["4.weight"] = state["4.weight"][:, first]
    columns = (second[:, None] * area + torch.arange(area)).flatten()
    state["9.weight"] = state["9.weight"][:, columns]
    small.to(layers[0].weight.device).load_state_dict(state)
    return small.train(net.training)


@lru_cache(maxsize=1)
def make_material(
    profile: str, material: str, seed: int, device: str, labelled: int | None = None
) -> tuple[Tensor, Tensor]:
    """What is learned: normalised images (N, C, H, W) and labels (N,) of a profile's data set, or
    noise in place of the images, or random labels; all of it, or the first `labelled` images."""
    images = data.shared_images(PROFILES[profile].dataset, profile, device)
    x, y = images.normal(images.train_x), images.train_y
    random = torch.Generator().manual_seed(mix_seeds("task", seed))
    if material == "noise":
        x = deficits.noise_patterns(len(x), tuple(x.shape[1:]), seed, device).to(x.dtype)
    if material != "images":
        y = torch.randint(10, y.shape, generator=random).to(y.device)
    return x[:labelled], y[:labelled]


class KernelLearner:
    """A KernelNet that learns a material by plain SGD (the thesis names no augmentation), and loses
    kernels. Arguments: size; kernels of its layers; material and all else as in prune_kernels."""

    def __init__(
        self,
        size: "KernelSize",
        kernels: tuple[int, int],
        material: str,
        seed: int,
        device: str,
        stop: Event | None = None,
        labelled: int | None = None,
    ) -> None:
        self.size, self.seed, self.stop, self.place = size, seed, stop, devices.pick(device)
        where = str(self.place)
        self.images = data.shared_images(PROFILES[size.profile].dataset, size.profile, where)
        self.x, self.y = make_material(size.profile, material, seed, where, labelled)
        self.tests_images, self.epochs = material == "images", 0
        with seeded(mix_seeds("kernels", seed)):
            net = KernelNet(kernels, size.units, self.x.shape[1], self.x.shape[-1])
        self.net = net.to(self.place)
        self.random = torch.Generator().manual_seed(mix_seeds("prune", seed))

    def train(self, rate: float) -> float:
        """Train for one epoch, and return the mean loss. Raises: Cancelled, Diverged."""
        random = torch.Generator().manual_seed(mix_seeds("epoch", self.seed, self.epochs))
        order = torch.randperm(len(self.y), generator=random).to(self.place)
        net, optimizer = self.net.train(), make_optimizer(self.net)
        optimizer.param_groups[0]["lr"] = rate
        total = torch.zeros((), device=self.place)
        for index in order.split(self.size.batch):
            if self.stop and self.stop.is_set():
                raise Cancelled
            optimizer.zero_grad()
            with devices.algorithms():
                with devices.autocast(self.place):
                    loss = F.cross_entropy(net(self.x[index]), self.y[index])
                loss.backward()
            optimizer.step()
            total += loss.detach() * len(index)
        self.epochs += 1
        if not total.isfinite():
            raise Diverged(f"the loss is {total.item()} at epoch {self.epochs}: nothing is kept")
        return total.item() / len(order)

    def remove(self, count: int, choice: str) -> None:
        """Remove `count` kernels."""
        self.net = keep_kernels(self.net, *kernels_to_keep(self.net, count, choice, self.random))

    def test(self) -> dict[str, Any]:
        """Kernels in either layer, parameters, and accuracies (0 to 1): see prune_kernels."""
        row: dict[str, Any] = dict(zip(("first", "second"), self.net.kernels, strict=True))
        row["parameters"] = sum(p.numel() for p in self.net.parameters())
        right = evaluate(self.net, self.x, self.y, lambda x: x, "float32")
        row |= {"train_accuracy": right, "accuracy": right}
        if self.tests_images:
            images = self.images
            tested = images.test_x, images.test_y, images.normal
            row["accuracy"] = evaluate(self.net, *tested, "float32")
        return row
