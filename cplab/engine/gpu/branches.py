"""Networks of several seeds on an NVIDIA GPU, each by itself, with one optimiser for all."""

from collections.abc import Sequence
from contextlib import nullcontext
from operator import is_
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from cplab.base import devices
from cplab.engine.distance import PathLength
from cplab.models.layers import layer_weights
from cplab.pictures.data import Images
from cplab.runs.tasks import Classification, TrainState, scale_gradients, uncompiled


class Branches:
    """Networks that are trained at the same time on a GPU, with the kernels and the bits of each
    alone. They have the methods of a `Stack`."""

    def __init__(self, states: Sequence[TrainState]) -> None:
        self.states = [*states]
        self.members = [(state.net, state.optimizer) for state in states]
        self.nets = [state.net for state in states]
        weights: list[nn.Parameter] = []
        for state in states:
            weights += weights_in(state.optimizer)
        kind = type(states[0].optimizer)
        if issubclass(kind, torch.optim.SGD):
            kind = StepForAll
        self.optimizer = kind(weights, **states[0].optimizer.defaults)

    def holds(self, states: Sequence[TrainState]) -> bool:
        """Whether these are the branches of these states."""
        return self.members == [(state.net, state.optimizer) for state in states]

    def weights_and_buffers(self) -> tuple[list[Tensor], list[Tensor]]:
        """Those that all networks have now."""
        weights: list[Tensor] = []
        buffers: list[Tensor] = []
        for net in self.nets:
            weights += net.parameters()
            buffers += net.buffers()
        return weights, buffers

    def load(self) -> None:
        """Take over what the optimiser of each state remembers."""
        self.optimizer.state.clear()
        if isinstance(self.optimizer, StepForAll):
            self.optimizer.forget()
        for state in self.states:
            self.optimizer.state.update(state.optimizer.state)

    def write_back(self) -> None:
        """Hand back to each state what the optimiser remembers of it."""
        for state in self.states:
            for weight in weights_in(state.optimizer):
                state.optimizer.state[weight] = self.optimizer.state[weight]

    def passes(
        self,
        task: Classification,
        temperature: float,
        x: Tensor,
        y: Tensor,
        streams: Sequence[Any] = (),
    ) -> Tensor:
        """Compute the mean loss of each network, and its gradients.

        Arguments:
            task, temperature, x, y: as for `Stack.passes`.
            streams: of the GPU, one for each network, if they may run at the same time.
        """
        arithmetic = task.run.arithmetic
        self.optimizer.zero_grad()
        losses = []
        main: Any = torch.cuda.current_stream() if streams else None
        for number, net in enumerate(self.nets):
            if streams:
                streams[number].wait_stream(main)
            stream = torch.cuda.stream(streams[number]) if streams else nullcontext()
            with stream, devices.algorithms(x.device, arithmetic):
                with devices.autocast(x.device, arithmetic):
                    output = net(x[number])
                    loss = task.loss(output, y[number])
                    tempered = loss
                    if temperature != 1:
                        tempered = task.tempered_loss(output, y[number], temperature)
                tempered.backward()
            losses.append(loss.detach())
        for stream in streams:
            main.wait_stream(stream)
        return torch.stack(losses)

    def scale_gradients(self, norm: float) -> None:
        """Scale the gradient of each network to a norm."""
        for net in self.nets:
            scale_gradients(net.parameters(), norm)

    def path(self) -> PathLength:
        """What adds up how far the networks travel."""
        weights = [weight for net in self.nets for weight in layer_weights(net)]
        return PathLength(weights, len(self.nets))

    def test(self, task: Classification, images: Images) -> list[dict]:
        """Test each network, and return its columns of the curve."""
        return [task.test(net, images) for net in self.nets]


class Memory(NamedTuple):
    """What a fused step takes besides its rates: lists for the weights that have a gradient."""

    weights: list[Tensor]
    gradients: list[Tensor]
    momenta: list[Tensor]


class StepForAll(uncompiled(torch.optim.SGD)):  # type: ignore[misc]
    """torch's fused SGD, for hundreds of weights.

    As long as gradients are the same tensors, as a graph's are, it does not look up momenta again,
    which takes longer than the step.
    """

    memory: Memory | None = None
    latest: Sequence[Tensor | None] = ()  # the gradients of all weights to which the memory belongs

    def forget(self) -> None:
        """Look up gradients and momenta again at the next step."""
        self.memory = None

    @torch.no_grad()
    def step(self) -> None:
        """Take a step with all weights that have a gradient."""
        [group] = self.param_groups
        gradients = [weight.grad for weight in group["params"]]
        # map and `is_` compare hundreds of tensors in a fraction of the time of a loop
        if self.memory and all(map(is_, gradients, self.latest)):
            torch._fused_sgd_(
                *self.memory,
                lr=group["lr"],
                momentum=group["momentum"],
                weight_decay=group["weight_decay"],
                dampening=0.0,
                nesterov=False,
                maximize=False,
                is_first_step=False,
            )
            return
        super().step()
        weights = [weight for weight in group["params"] if weight.grad is not None]
        momenta = []
        if group["momentum"]:
            momenta = [self.state[weight].get("momentum_buffer") for weight in weights]
        self.memory = Memory(weights, [weight.grad for weight in weights], momenta)
        self.latest = gradients


def weights_in(optimizer: torch.optim.Optimizer) -> list[nn.Parameter]:
    """The weights with which an optimiser takes its steps."""
    weights = []
    for group in optimizer.param_groups:
        weights += group["params"]
    return weights
