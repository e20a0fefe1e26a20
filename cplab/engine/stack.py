"""Stacks: networks that differ only in their seeds, trained side by side as one.

With small networks, most time passes between matrix products, not in them. In a stack a weight of
all networks is one tensor, with a row for each network, and a step has one batched product for all.
Rows never meet, so that a seed's bits do not depend on the seeds beside it. `side_by_side` trains a
stack.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from cplab import data, devices, models
from cplab.data import Images
from cplab.runs import Run
from cplab.runs.tasks import Classification, TrainState, make_optimizer, scale_gradients
from cplab.seeding import seeded
from cplab.specs.profiles import PROFILES

TESTED = 5  # networks that are tested at a time, since a test has more images than a step
EVERY_ONE = slice(None)  # all networks of a stack
TRIED = 40  # images on which a stack is tried; a batch has no more
Tensors = dict[str, Tensor]
# Layers of a chain that is computed without vmap
CHAINED = nn.Linear, nn.Flatten, nn.ReLU, nn.Tanh, nn.Sigmoid, nn.GELU


def is_stacked(run: Run) -> bool:
    """Whether a run is trained in a stack, even if there are no other seeds.

    Profile and network alone decide it, so that the run's bits are always the same.
    """
    profile = PROFILES[run.profile]
    if not profile.stacked or run.views != 1:
        return False
    return can_stack(run.model, data.channels(run.dataset), profile.size, data.classes(run.dataset))


@cache
def can_stack(model: str, channels: int, size: int, classes: int) -> bool:
    """Whether networks of a model can be trained in a stack.

    They can if a trial gives what each network gives alone, and the same bits whichever networks
    are beside it. Convolutions would be slower in a stack than one after another.

    Arguments: model, its name; channels, size and classes, of the images.
    """
    with seeded(0):
        nets = [models.build(model, channels, size, classes) for _ in range(5)]
        x = torch.randn(5, TRIED, channels, size, size)  # other images for each network
    # The bits of their sums depend on the number of networks
    excluded = nn.modules.conv._ConvNd | nn.modules.batchnorm._BatchNorm
    if any(isinstance(layer, excluded) for layer in nets[0].modules()):
        return False
    try:
        return stacks_alike(nets, x[:, :4]) and stacks_alike(nets, x)
    except Exception:  # a student's own network may do anything that vmap cannot
        return False


def stacks_alike(nets: Sequence[nn.Module], x: Tensor) -> bool:
    """Whether the first of five networks gives the same in stacks of five, two and one.

    Its logits and buffers must be those that it has without a stack, but for rounding, and its
    gradients the same to the bit in each stack.

    Arguments: nets, five; x, images (networks, N, …).
    """
    trials = [try_stack(nets[:count], x[:count]) for count in (5, 2, 1)]
    outputs_alone = [nets[0].train()(x[0]), *nets[0].buffers()]
    for trial in trials:
        for output, output_alone in zip(trial.outputs, outputs_alone, strict=True):
            if not torch.allclose(output, output_alone, rtol=1e-3, atol=1e-4):
                return False
        for gradient, expected in zip(trial.gradients, trials[-1].gradients, strict=True):
            if not torch.equal(gradient, expected):
                return False
    return True


class Trial(NamedTuple):
    """What the first network of a stack has computed."""

    outputs: list[Tensor]  # its logits (N, classes) and then its buffers
    gradients: list[Tensor]  # of each weight


def try_stack(nets: Sequence[nn.Module], x: Tensor) -> Trial:
    """Compute both passes of a stack, from images (networks, N, …)."""
    stack = Stack([TrainState(net, make_optimizer(net)) for net in nets])
    logits = stack.logits(x)
    logits.square().sum().backward()
    buffers = [buffer[0] for buffer in stack.buffers.values()]
    gradients = [weight.grad[0] for weight in stack.weights.values()]
    return Trial([logits[0], *buffers], gradients)


class Stack:
    """The networks of several states as one.

    `load` copies their weights into the stack, and `write_back` copies them back. In between,
    `passes` and `optimizer` train them, and `test` tests them. All states must have networks and
    optimisers of the same kind.
    """

    def __init__(self, states: Sequence[TrainState]) -> None:
        self.states = [*states]
        self.members = [(state.net, state.optimizer) for state in states]
        self.net = states[0].net
        self.nets = [self.net]  # one has the passes of all
        self.weights, self.buffers = stack_module_state([state.net.train() for state in states])
        # A fused optimiser would round the last numbers of a tensor, which fill no register, in
        # another way. Which numbers these are depends on how many networks there are
        optimizer = states[0].optimizer
        options = optimizer.defaults | {"fused": False, "foreach": False}
        self.optimizer = type(optimizer)([*self.weights.values()], **options)
        # The weights and buffers of each state, by name
        self.tensors = [dict(state.net.state_dict(keep_vars=True)) for state in states]
        # All images and labels as a deficit changed them, by its name and their `image_part`
        self.seen: dict[tuple[str, float], tuple[Tensor, Tensor]] = {}

    def holds(self, states: Sequence[TrainState]) -> bool:
        """Whether this is the stack of these states."""
        return self.members == [(state.net, state.optimizer) for state in states]

    def logits(self, x: Tensor, members: slice = EVERY_ONE) -> Tensor:
        """The logits of each network for images of its own.

        Arguments: x, images (networks, N, C, H, W); members, which networks, if not all.

        Returns: (networks, N, classes).
        """
        weights = {name: weight[members] for name, weight in self.weights.items()}
        if is_chain(self.net):
            return chain_logits(self.net, weights, x)
        buffers = {name: buffer[members] for name, buffer in self.buffers.items()}

        def call(weights: Tensors, buffers: Tensors, images: Tensor) -> Tensor:
            """The logits of one network."""
            return functional_call(self.net, (weights, buffers), (images,))

        return vmap(call)(weights, buffers, x)

    def passes(
        self, task: Classification, x: Tensor, y: Tensor, streams: Sequence[Any] = ()
    ) -> Tensor:
        """Compute the mean loss of each network over its own images, and its gradients.

        Arguments: task; x, images (networks, N, …); y, labels (networks, N); streams, which a stack
            does not need.

        Returns: (networks,). The gradients of the stacked weights are in their `.grad`.
        """
        arithmetic = task.run.arithmetic
        self.optimizer.zero_grad()
        with devices.algorithms(x.device, arithmetic):
            with devices.autocast(x.device, arithmetic):
                logits = self.logits(x).flatten(0, 1)
                losses = task.loss(logits, y.flatten(), reduction="none")
                means = losses.view(y.shape).mean(1)
            means.sum().backward()
        return means.detach()

    def scale_gradients(self, norm: float) -> None:
        """Scale the gradient of each network to a norm."""
        scale_gradients(self.weights.values(), norm, len(self.states))

    def weights_and_buffers(self) -> tuple[list[Tensor], list[Tensor]]:
        """The stacked tensors."""
        return [*self.weights.values()], [*self.buffers.values()]

    @torch.inference_mode()
    def test(self, task: Classification, images: Images) -> list[dict]:
        """Test each network, as Classification.test does, and return its columns of the curve."""
        self.net.eval()
        x = task.views(images.normal_test)
        y = images.test_y
        count = len(self.states)
        tests = []
        for first in range(0, count, TESTED):
            end = min(first + TESTED, count)
            shared = x.expand(end - first, *x.shape)
            with devices.autocast(x.device, task.run.arithmetic):
                answers = self.logits(shared, slice(first, end)).argmax(-1)  # (networks, N)
            for correct in (answers == y).sum(1).tolist():
                tests.append({"test_accuracy": correct / len(y)})
        return tests

    @torch.no_grad()
    def load(self) -> None:
        """Copy the weights, buffers and optimiser's memory of each state into the stack."""
        for name, stacked in (*self.weights.items(), *self.buffers.items()):
            torch.stack([tensors[name] for tensors in self.tensors], out=stacked)
        for name, weight in self.weights.items():
            memories = []
            for state, tensors in zip(self.states, self.tensors, strict=True):
                memories.append(state.optimizer.state.get(tensors[name], {}))
            self.optimizer.state[weight] = stack_memories(memories, weight[0])

    @torch.no_grad()
    def write_back(self) -> None:
        """Copy the stack's weights, buffers and optimiser's memory back into each state."""
        for row, (state, tensors) in enumerate(zip(self.states, self.tensors, strict=True)):
            for name, stacked in (*self.weights.items(), *self.buffers.items()):
                tensors[name].copy_(stacked[row])
            for name, weight in self.weights.items():
                memory = self.optimizer.state[weight]
                state.optimizer.state[tensors[name]] = memory_of_row(memory, weight, row)


def chain_logits(net: nn.Module, weights: Tensors, x: Tensor) -> Tensor:
    """The logits of several networks that are chains: the same products as vmap's, without the time
    that vmap takes itself.

    Arguments: net, one of the networks; weights, of all, by name; x, images (networks, N, C, H, W).

    Returns: (networks, N, classes).
    """
    for name, layer in net.named_children():
        if isinstance(layer, nn.Linear):
            weight = weights[f"{name}.weight"]  # (networks, out, in)
            bias = weights[f"{name}.bias"]  # (networks, out)
            x = torch.baddbmm(bias[:, None], x, weight.mT)
        elif isinstance(layer, nn.Flatten):
            x = x.flatten(2)
        else:
            x = layer(x)
    return x


def stack_memories(memories: Sequence[dict[str, Any]], weight: Tensor) -> dict[str, Any]:
    """What an optimiser remembers of a stacked weight, put together from what each network's
    optimiser remembers of its own.

    Values of the weight's shape, like a momentum, get a row for each network. Others, such as the
    number of steps, are the same for all.

    Arguments: memories, one for each network; weight, of one network.
    """
    stacked = {}
    for key, value in memories[0].items():
        if has_shape_of(value, weight):
            stacked[key] = torch.stack([memory[key] for memory in memories])
        else:
            stacked[key] = value
    return stacked


def memory_of_row(memory: dict[str, Any], weight: Tensor, row: int) -> dict[str, Any]:
    """What an optimiser remembers of one network's row of a stacked weight."""
    values = {}
    for key, value in memory.items():
        values[key] = value[row].clone() if has_shape_of(value, weight) else value
    return values


def is_chain(net: nn.Module) -> bool:
    """Whether a network is a chain of linear layers and of functions of single numbers."""
    if type(net) is not nn.Sequential:
        return False
    if len([*net.children()]) < len(net):  # a layer is used twice
        return False
    for layer in net:
        if type(layer) not in CHAINED:
            return False
        if isinstance(layer, nn.Linear) and layer.bias is None:
            return False
        if isinstance(layer, nn.Flatten) and layer.start_dim != 1:
            return False
    return True


def has_shape_of(value: object, weight: Tensor) -> bool:
    """Whether what an optimiser remembers is a tensor of a weight's shape, like a momentum."""
    return isinstance(value, Tensor) and value.shape == weight.shape
