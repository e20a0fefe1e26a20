"""Steps of training: torch's own, with no more of torch than they need.

torch.optim's classes load torch's compiler at the first use, which takes a second and 100 MB of
every process that trains; the functions that they call need none of it. Same bits.
"""

from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor
from torch.optim.adam import adam
from torch.optim.sgd import sgd


class Optimizer:
    """Takes steps down the gradients of some weights; fused where torch can.

    Arguments: kind, `sgd` or `adam`; momentum, of sgd: Adam's are torch's 0.9 and 0.999.

    `state` holds, by weight, what a step passes on to the next; without it the next is the first.

    >>> weight = torch.nn.Parameter(torch.ones(2))
    >>> weight.square().sum().backward()
    >>> Optimizer([weight]).step(0.25)
    >>> weight.tolist()
    [0.5, 0.5]
    """

    def __init__(
        self,
        weights: Iterable[Tensor],
        kind: str = "sgd",
        momentum: float = 0.0,
        weight_decay: float = 0.0,
    ) -> None:
        self.weights, self.kind = list(weights), kind
        self.momentum, self.weight_decay = momentum, weight_decay
        self.state: dict[Tensor, dict[str, Tensor]] = defaultdict(dict)

    @torch.no_grad()
    def step(self, lr: float, decay: float = 1.0) -> None:
        """Change all weights that have a gradient.

        Arguments: lr, the learning rate; decay, a factor on weight decay.
        """
        weights = [weight for weight in self.weights if weight.grad is not None]
        slopes = [weight.grad for weight in weights if weight.grad is not None]
        states = [self.state[weight] for weight in weights]
        how: dict = {"lr": lr, "weight_decay": decay * self.weight_decay, "fused": True}
        if self.kind == "adam":
            for weight, state in zip(weights, states, strict=True):
                if not state:
                    state["step"] = torch.zeros((), device=weight.device)
                    state |= {name: torch.zeros_like(weight) for name in ("exp_avg", "exp_avg_sq")}
            names = ("exp_avg", "exp_avg_sq", "step")
            averages, squares, counts = ([state[name] for state in states] for name in names)
            how |= {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "amsgrad": False, "maximize": False}
            adam(weights, slopes, averages, squares, [], counts, **how)
        else:
            moving = [state.get("momentum_buffer") for state in states]
            how |= {"momentum": self.momentum, "dampening": 0, "nesterov": False, "maximize": False}
            sgd(weights, slopes, moving, **how)
            for state, now in zip(states, moving, strict=True):
                if now is not None:
                    state["momentum_buffer"] = now
