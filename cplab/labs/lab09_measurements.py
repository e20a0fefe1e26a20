"""What lab 09 measures: signs of how well a network can still learn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cplab.base.late import F, Tensor, nn, torch
from cplab.measure import measurement
from cplab.measure.builtin import measure_weight_norms, weighted_layers

if TYPE_CHECKING:
    from cplab.pictures.data import Images


@measurement(label="gauges of plasticity", images=512)
def measure_gauges(net: nn.Module, images: Images) -> dict:
    """Signs of how well a network can still learn, on clear training images.

    Returns:
        layers and norms, as measure_weight_norms; gradient, the norm of the loss's gradient, and
        loss, both averaged over batches, with their statistics in batch norm; dead, the fraction of
        units of each ReLU that are never above 0; rank, the effective rank of the last layer's
        input, averaged over positions (Roy & Vetterli 2007).
    """
    x = images.normal(images.train_x)
    last = weighted_layers(net)[-1]
    activations = activations_of(net, x, last)
    rank = effective_rank(activations.pop(last).mean(2))
    dead = []
    for units in activations.values():
        never_active = units.amax((0, 2)) <= 0  # (units,)
        dead.append(never_active.float().mean().item())
    gradient_norms, losses = norms_and_losses(net.train(), x, images.train_y)
    return {
        **measure_weight_norms(net, images),
        "gradient": sum(gradient_norms) / len(gradient_norms),
        "loss": sum(losses) / len(losses),
        "dead": dead,
        "rank": rank,
    }


def activations_of(net: nn.Module, x: Tensor, last: nn.Module) -> dict[nn.Module, Tensor]:
    """What a network computes on normalised images x, (N, C, H, W).

    Arguments:
        net: the network, which keeps the hooks that are set here.
        x: normalised images (N, C, H, W).
        last: its last layer.

    Returns:
        by layer, the output of each ReLU, and the last layer's input, (N, units, positions).
    """
    activations: dict[nn.Module, Tensor] = {}

    def keep(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        """Keep a layer's output, or the last layer's input: a hook for torch."""
        values = inputs[0] if layer is last else output
        activations[layer] = values.detach().clone().unsqueeze(-1).flatten(2)

    for layer in net.modules():
        if layer is last or isinstance(layer, nn.ReLU):
            layer.register_forward_hook(keep)
    net(x)
    return activations


def norms_and_losses(net: nn.Module, x: Tensor, y: Tensor) -> tuple[list[float], list[float]]:
    """The norm of the loss's gradient, and the loss, in each batch of 128 images.

    Arguments:
        net: the network.
        x: normalised images (N, C, H, W).
        y: labels (N,).
    """
    weights = [weight for weight in net.parameters() if weight.requires_grad]
    norms = []
    losses = []
    for part, labels in zip(x.split(128), y.split(128), strict=True):
        loss = F.cross_entropy(net(part), labels)
        gradients = torch.autograd.grad(loss, weights)
        norms.append(torch.stack([gradient.norm() for gradient in gradients]).norm().item())
        losses.append(loss.item())
    return norms, losses


def effective_rank(features: Tensor) -> float:
    """The exponential of the entropy of the singular values of features, (images, units), after
    their means are subtracted.

    >>> round(effective_rank(torch.tensor([[1.0, 0], [-1, 0], [0, 1], [0, -1]])), 3)
    2.0
    """
    values = torch.linalg.svdvals(features - features.mean(0))
    fractions = values / values.sum().clamp_min(1e-30)
    entropy = torch.special.entr(fractions).sum()  # entr(p) is −p log p
    return entropy.exp().item()
