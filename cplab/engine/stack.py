"""Seeds side by side: networks that differ in nothing but their seed, trained as one stack.

Small networks spend their time between products, not in them. In a stack each weight of all
networks is one tensor with a row for each network, and a step is one batched product for all.
Rows never meet, so that a seed's bits do not depend on which others are beside it.
"""

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from cplab import data, models
from cplab.runs import Step
from cplab.runs.tasks import TrainState, seeded
from cplab.specs.profiles import PROFILES

MOST = 25  # networks in a stack; more need more memory than a core has nearby


def is_stacked(run: Any, step: Step) -> bool:
    """Whether an epoch of a run is trained in a stack, alone in it where there are no other seeds:
    a rule of its profile, its network and the step, so that its bits are always the same."""
    profile = PROFILES.get(getattr(run, "profile", ""))
    if not profile or not profile.stacked or step.held or run.views != 1:
        return False
    return can_stack(run.model, data.channels(run.dataset), profile.size, data.classes(run.dataset))


@cache
def can_stack(model: str, channels: int, size: int, classes: int) -> bool:
    """Whether networks can be trained in a stack: not with convolutions, which would be slower, and
    only if a trial gives what each gives alone and a row the same bits beside any others."""
    with seeded(0):
        nets = [models.build(model, channels, size, classes) for _ in range(5)]
        x = torch.randn(5, 4, channels, size, size)
    meets = nn.modules.conv._ConvNd, nn.modules.batchnorm._BatchNorm  # whose sums depend on numbers
    if any(isinstance(layer, meets) for layer in nets[0].modules()):
        return False
    try:
        alone, slopes = nets[0](x[0]), []
        for count in (5, 2, 1):
            stack = Stack([TrainState(n, torch.optim.SGD(n.parameters())) for n in nets[:count]])
            logits = stack.logits(x[:count])
            logits.square().sum().backward()
            slopes.append([weight.grad[0] for weight in stack.weights.values()])
            if not torch.allclose(logits[0], alone, rtol=1e-3, atol=1e-4):
                return False
        return all(map(torch.equal, slopes[0] * 2, slopes[1] + slopes[2]))
    except Exception:  # whatever a student's own network does that vmap cannot
        return False


class Stack:
    """The networks of several states as one: `logits`, `optimizer`, and `write_back` at the end.

    The states must be of networks and optimisers of one kind.
    """

    def __init__(self, states: list[TrainState]) -> None:
        self.states = states
        self.weights, self.buffers = stack_module_state([state.net for state in states])
        # not fused: its last numbers, which fill no register, are rounded otherwise than the others
        first = states[0].optimizer
        how = first.defaults | {"fused": False, "foreach": False}
        self.optimizer = type(first)([*self.weights.values()], **how)
        for name, weight in self.weights.items():
            memories = [s.optimizer.state.get(s.net.get_parameter(name), {}) for s in states]
            self.optimizer.state[weight] = {
                key: torch.stack([memory[key] for memory in memories])
                if is_like(value, weight[0])
                else value
                for key, value in memories[0].items()
            }

    def logits(self, x: Tensor) -> Tensor:
        """The logits of each network, (networks, N, classes), of its own images, (networks, N, C,
        H, W)."""
        net = self.states[0].net

        def call(weights: dict, buffers: dict, images: Tensor) -> Tensor:
            return functional_call(net, (weights, buffers), (images,))

        return vmap(call)(self.weights, self.buffers, x)

    def losses(self, task: Any, seen: list[tuple[Tensor, Tensor]]) -> Tensor:
        """The mean loss of each network, (networks,), over its own images and labels."""
        x, y = (torch.stack(part) for part in zip(*seen, strict=True))
        each = task.loss(self.logits(x).flatten(0, 1), y.flatten(), reduction="none")
        return each.view(y.shape).mean(1)

    @torch.no_grad()
    def write_back(self) -> None:
        """Give each state its own weights, buffers and optimiser's memory."""
        for row, state in enumerate(self.states):
            own = {**dict(state.net.named_parameters()), **dict(state.net.named_buffers())}
            for name, stacked in (*self.weights.items(), *self.buffers.items()):
                own[name].copy_(stacked[row])
            for name, weight in self.weights.items():
                memory = self.optimizer.state[weight]
                state.optimizer.state[own[name]] = {
                    key: value[row].clone() if is_like(value, weight) else value
                    for key, value in memory.items()
                }


def is_like(value: Any, weight: Tensor) -> bool:
    """Whether an optimiser's memory has a number for each of a weight's."""
    return isinstance(value, Tensor) and value.shape == weight.shape
