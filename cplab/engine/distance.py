"""How far the weights of networks travel: the path of all their steps, and their displacement.

Weights are those of layers, without biases and batch norm's scales. Under batch norm outputs do not
depend on the norm of a layer's weights, so that a distance counts relative to it, layer by layer
(van Laarhoven 2017, 'L2 Regularization versus Batch and Weight Normalization'). Without batch norm
a plain one tells as much. A network may walk far and stay near: on displacement see Hoffer, Hubara
& Soudry 2017, 'Train longer, generalize better'.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

DIGITS = 4  # of a distance in a row of the curve


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
    [{'path': 0.1742, 'path_plain': 1.0}]
    """

    @torch.no_grad()
    def __init__(self, weights: Sequence[Tensor], networks: int = 1, stacked: bool = False) -> None:
        self.weights = [*weights]
        self.networks = networks
        self.stacked = stacked
        self.before = [weight.clone() for weight in weights]  # before the next step
        if weights:
            self.relative = torch.zeros_like(self.norms(self.weights))  # (layers, networks)
            self.plain = torch.zeros_like(self.relative[0])  # (networks,)

    @torch.no_grad()
    def add_step(self) -> None:
        """Add what the weights have moved since the last call."""
        if not self.weights:
            return
        torch._foreach_sub_(self.before, self.weights)
        lengths = self.norms(self.before)  # of the step
        self.relative += lengths / self.norms(self.weights)
        self.plain += lengths.square().sum(0).sqrt()
        torch._foreach_copy_(self.before, self.weights)

    def norms(self, weights: list[Tensor]) -> Tensor:
        """The norm of each layer in each network, (layers, networks)."""
        if self.stacked:
            return torch.stack([weight.flatten(1).norm(dim=1) for weight in weights])
        return torch.stack(torch._foreach_norm(weights)).view(self.networks, -1).T

    def rows(self) -> list[dict[str, float]]:
        """What the row of the epoch says of each network.

        Returns: `path`, the sum over steps of ‖step‖ / ‖weights‖, the median of layers; and
            `path_plain`, the sum of ‖step‖ over all layers together. Nothing for networks without
            layers.
        """
        if not self.weights:
            return [{} for _ in range(self.networks)]
        medians = self.relative.quantile(0.5, dim=0)
        rows = []
        for path, plain in zip(medians.tolist(), self.plain.tolist(), strict=True):
            rows.append(rounded({"path": path, "path_plain": plain}))
        return rows


@torch.no_grad()
def displacement(weights: Sequence[Tensor], origin: Sequence[Tensor]) -> float:
    """The distance of layers from where they were, relative to their norm there: the median of
    layers. NaN if these are other layers.

    Arguments: weights, of each layer; origin, the same at another moment.

    >>> displacement([torch.tensor([[3.0, 5.0]])], [torch.tensor([[3.0, 4.0]])])
    0.2
    """
    shapes = [weight.shape for weight in weights]
    if not shapes or shapes != [weight.shape for weight in origin]:
        return math.nan
    moved = torch.stack(torch._foreach_norm(torch._foreach_sub([*weights], [*origin])))
    relative = moved / torch.stack(torch._foreach_norm([*origin]))
    return relative.quantile(0.5).item()


def rounded(distances: dict[str, float]) -> dict[str, float]:
    """Distances with as many digits as a row keeps, without those that are not finite."""
    return {
        name: float(f"{value:.{DIGITS}g}")
        for name, value in distances.items()
        if math.isfinite(value)
    }
