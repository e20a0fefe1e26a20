"""The thesis's convolutional model (section 3): a large network is trained; then, again and again,
the kernels of smallest norm in either convolution are removed, with all that is attached to them,
and the rest is trained on. The result is an architecture: how many kernels each layer keeps.
"""

import math
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, cast

import torch
from torch import Tensor, nn

from cplab import data, deficits
from cplab.errors import require
from cplab.runs import Step
from cplab.runs.tasks import Classification, TrainState, evaluate, make_optimizer, seeded
from cplab.specs import mix_seeds
from cplab.studies.pruning.convnets import KernelPruning


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
    why = f"one is left in each layer, so take {a + b - 2} or fewer"
    require(0 <= count <= a + b - 2, f"{count} kernels cannot be taken out of {a} + {b}: {why}")
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


class Material(data.Images):
    """Images whose train_x is float (N, C, H, W) and normalised already."""

    def normal(self, x: Tensor) -> Tensor:
        return x if x.is_floating_point() else super().normal(x)


@lru_cache(maxsize=1)
def make_material(
    dataset: str, profile: str, material: str, seed: int, device: str, labelled: int | None = None
) -> Material:
    """The training material: the images, noise, or images with random labels; all of it, or the
    first `labelled` images."""
    images = data.shared_images(dataset, profile, device)
    x, y = images.normal(images.train_x), images.train_y
    random = torch.Generator().manual_seed(mix_seeds("task", seed))
    if material == "noise":
        x = deficits.noise_patterns(len(x), tuple(x.shape[1:]), seed, device).to(x.dtype)
    if material != "images":
        y = torch.randint(10, y.shape, generator=random).to(y.device)
    return Material(**vars(images) | {"train_x": x[:labelled], "train_y": y[:labelled]})


class Kernels(Classification):
    """Training on a material by plain SGD; the thesis names no augmentation."""

    def images(self, device: torch.device) -> Material:
        run = self.run
        chosen = run.material, run.seed, str(device), run.labelled
        return make_material(run.dataset, run.profile, *chosen)

    def birth(
        self, device: torch.device, seed: int | None = None, tensors: dict | None = None
    ) -> TrainState:
        """The untrained network, or one as small as in `tensors`, and the generator of choices."""
        run, images = self.run, self.images(device)
        seed, kernels = run.seed if seed is None else seed, run.kernels
        if tensors is not None:
            kernels = len(tensors["0.weight"]), len(tensors["4.weight"])
        with seeded(mix_seeds("kernels", seed)):
            net = KernelNet(kernels, run.size.units, len(images.mean), images.train_x.shape[-1])
        random = torch.Generator().manual_seed(mix_seeds("prune", seed))
        net = net.to(device)
        return TrainState(net, make_optimizer(net), {"random": random.get_state()})

    def batches(self, epoch: int, step: Step, images: Any) -> Iterator[tuple[Tensor, Tensor]]:
        random = torch.Generator().manual_seed(mix_seeds("epoch", self.run.seed, epoch))
        order = torch.randperm(len(images.train_y), generator=random).to(images.train_y.device)
        for index in order.split(self.run.size.batch):
            yield index, images.train_x[index]

    def test(self, net: Any, images: Any) -> dict:
        """Measure kernels in either layer, parameters, test accuracy; under pruning also accuracy
        on the training material, which replaces test accuracy where test images have no labels."""
        row: dict[str, Any] = dict(zip(("first", "second"), net.kernels, strict=True))
        row["parameters"] = sum(p.numel() for p in net.parameters())
        how = images.normal, "float32"
        if isinstance(self.run, KernelPruning):
            row["train_accuracy"] = evaluate(net, images.train_x, images.train_y, *how)
            row["accuracy"] = row["train_accuracy"]
        if self.run.material == "images":
            row["accuracy"] = evaluate(net, images.test_x, images.test_y, *how)
        return row

    def remove_kernels(
        self, state: TrainState, images: Any, count: int, choice: str, look: bool
    ) -> dict:
        """Remove `count` kernels. Returns, if `look`, what `test` measures then."""
        random, net = torch.Generator(), cast(KernelNet, state.net)
        random.set_state(state.extra["random"])
        state.net = keep_kernels(net, *kernels_to_keep(net, count, choice, random))
        state.optimizer = make_optimizer(state.net)
        state.extra["random"] = random.get_state()
        return self.test(state.net, images) if look else {}
