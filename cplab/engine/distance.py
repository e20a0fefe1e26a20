"""How far the weights of networks travel: the path of all their steps, and their displacement.

Weights are those of layers, without biases and batch norm's scales. Under batch norm outputs do not
depend on the norm of a layer's weights, so that a distance counts relative to it, layer by layer
(van Laarhoven 2017, 'L2 Regularization versus Batch and Weight Normalization'). Without batch norm
a plain one tells as much. A network may walk far and stay near: on displacement see Hoffer, Hubara
& Soudry 2017, 'Train longer, generalize better'.
"""

import math
from collections.abc import Sequence
from statistics import median

import torch
from torch import Tensor

DIGITS = 3  # of a distance in a row of the curve


class PathLength:
    """How far networks travel in an epoch, side by side or one alone.

    Arguments:
        weights: of each layer, which steps change in place. One tensor after another for each
            network; or stacked, (networks, …).
        networks: how many they are.
        stacked: whether a tensor has a row for each network.

    >>> weight = torch.tensor([3.0, 4.0])
    >>> path = PathLength([weight])
    >>> for _ in range(2):
    ...     weight += torch.tensor([0.3, 0.4])
    ...     path.add_step()
    >>> path.rows()
    [{'path': 0.174, 'path_plain': 1.0}]
    """

    @torch.no_grad()
    def __init__(self, weights: Sequence[Tensor], networks: int = 1, stacked: bool = False) -> None:
        self.weights = [*weights]
        self.networks = networks
        self.stacked = stacked
        self.before = [weight.clone() for weight in weights]  # before the next step
        # Norms of each step, and of the weights after it: those of each layer, (networks,). They
        # are put together once the epoch ends, since that takes as long as a small step
        self.lengths: list[Tensor] = []
        self.sizes: list[Tensor] = []

    @torch.no_grad()
    def add_step(self) -> None:
        """Add what the weights have moved since the last call."""
        if self.weights:
            torch._foreach_sub_(self.before, self.weights)
            self.lengths += self.norms(self.before)
            self.sizes += self.norms(self.weights)
            torch._foreach_copy_(self.before, self.weights)

    def norms(self, weights: list[Tensor]) -> Sequence[Tensor]:
        """The norm of each layer's weights: (networks,) if they are stacked, else ()."""
        if self.stacked:
            return [weight.flatten(1).norm(dim=1) for weight in weights]
        return torch._foreach_norm(weights)

    def rows(self) -> list[dict[str, float]]:
        """What the row of the epoch says of each network.

        Returns:
            `path`, the sum over steps of ‖step‖ / ‖weights‖, the median of layers; and
            `path_plain`, the sum of ‖step‖ over all layers together. Nothing for networks without
            layers.
        """
        if not self.lengths:
            return [{} for _ in range(self.networks)]
        lengths = self.by_step(self.lengths)
        by_layer = (lengths / self.by_step(self.sizes)).sum(0)  # (networks, layers)
        together = lengths.norm(dim=2).sum(0)  # (networks,)
        rows = []
        for paths, plain in zip(by_layer.tolist(), together.tolist(), strict=True):
            rows.append(rounded({"path": median(paths), "path_plain": plain}))
        return rows

    def by_step(self, norms: list[Tensor]) -> Tensor:
        """Norms of all steps, (steps, networks, layers)."""
        steps = torch.stack(norms)
        if self.stacked:
            return steps.view(-1, len(self.weights), self.networks).mT
        return steps.view(-1, self.networks, len(self.weights) // self.networks)


@torch.no_grad()
def displacement(weights: Sequence[Tensor], origin: Sequence[Tensor]) -> float:
    """The distance of layers from where they were, relative to their norm there: the median of
    layers. NaN if these are other layers.

    Arguments:
        weights: of each layer.
        origin: the same at another moment.

    >>> displacement([torch.tensor([[3.0, 6.5]])], [torch.tensor([[3.0, 4.0]])])
    0.5
    """
    shapes = [weight.shape for weight in weights]
    if not shapes or shapes != [weight.shape for weight in origin]:
        return math.nan
    moved = torch._foreach_norm(torch._foreach_sub([*weights], [*origin]))
    relative = torch.stack(moved) / torch.stack(torch._foreach_norm([*origin]))
    return median(relative.tolist())


def rounded(distances: dict[str, float]) -> dict[str, float]:
    """Distances with as many digits as a row keeps, without those that are not finite."""
    return {
        name: float(f"{value:.{DIGITS}g}")
        for name, value in distances.items()
        if math.isfinite(value)
    }
