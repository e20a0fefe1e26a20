"""Treatments that only a study needs."""

from __future__ import annotations

from cplab.base.late import Tensor, nn, torch
from cplab.runs.treatments import treatment


@treatment
def wander(net: nn.Module, loss: Tensor, optimizer: torch.optim.Optimizer) -> None:
    """Step in a random direction: random numbers take the place of the gradient, with norm 0.5."""
    gradients = [weight.grad for weight in net.parameters() if weight.grad is not None]
    for gradient in gradients:
        gradient.normal_()
    norm = torch.stack([gradient.norm() for gradient in gradients]).norm()
    for gradient in gradients:
        gradient *= 0.5 / norm
