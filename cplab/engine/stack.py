"""Stacks: networks that differ only in their seeds, trained side by side as one.

With small networks, most time passes between matrix products, not in them. In a stack a weight of
all networks is one tensor, with a row for each network, and a step has one batched product for all.
Rows never meet, so that a seed's bits do not depend on the seeds beside it. The networks are chains
of linear layers: convolutions would be slower in a stack than one after another. `side_by_side`
trains a stack.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import stack_module_state

from cplab import models
from cplab.base import devices
from cplab.base.seeding import seeded
from cplab.engine.distance import PathLength
from cplab.pictures import data
from cplab.pictures.data import Images
from cplab.runs import Run
from cplab.runs.tasks import Classification, TrainState, make_optimizer, scale_gradients
from cplab.specs.profiles import PROFILES

TEST_GROUP = 5  # networks that are tested together: a test has more images than a step
EVERY_ONE = slice(None)  # all networks of a stack
TRIAL_BATCH = 40  # images of a network on which `can_stack` tries a stack; a batch has no more
CHAIN_LAYERS = nn.Linear, nn.ReLU, nn.Tanh, nn.Sigmoid, nn.GELU  # layers of a chain


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
    """Whether networks of a model can be trained in a stack: chains, for which a trial gives the
    same bits whichever networks are beside them.

    Arguments:
        model: its name.
        channels, size, classes: of the images.
    """
    with seeded(0):
        nets = [models.build(model, channels, size, classes) for _ in range(5)]
        x = torch.randn(5, TRIAL_BATCH, channels, size, size)  # other images for each network
    return is_chain(nets[0]) and stacks_alike(nets, x[:, :4]) and stacks_alike(nets, x)


def is_chain(net: nn.Module) -> bool:
    """Whether a network is a chain: `nn.Flatten()`, and then linear layers, each used once, and
    functions of single numbers."""
    if type(net) is not nn.Sequential or str(net[0]) != str(nn.Flatten()):
        return False
    if len([*net.children()]) < len(net):  # a layer is used twice
        return False
    for layer in net[1:]:
        if type(layer) not in CHAIN_LAYERS or (isinstance(layer, nn.Linear) and layer.bias is None):
            return False
    return True


def stacks_alike(nets: Sequence[nn.Module], x: Tensor) -> bool:
    """Whether the gradients of the first of five networks have the same bits in stacks of five, two
    and one.

    Arguments:
        nets: five.
        x: images (networks, N, …).
    """
    five, two, one = (first_gradients(nets[:count], x[:count]) for count in (5, 2, 1))
    return all(map(torch.equal, five, one)) and all(map(torch.equal, two, one))


@torch.enable_grad()  # also where the caller has switched gradients off
def first_gradients(nets: Sequence[nn.Module], x: Tensor) -> list[Tensor]:
    """The gradients of the first network of a stack, from images (networks, N, …)."""
    stack = Stack([TrainState(net, make_optimizer(net)) for net in nets])
    stack.logits(x).square().sum().backward()
    return [weight.grad[0] for weight in stack.weights.values()]


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
        self.nets = [self.net]  # whose layers `Graphs` goes through: one stands for all
        self.weights, _ = stack_module_state([state.net for state in states])
        # A fused optimiser would round the last numbers of a tensor, which fill no register, in
        # another way. Which numbers these are depends on how many networks there are
        optimizer = states[0].optimizer
        options = optimizer.defaults | {"fused": False, "foreach": False}
        self.optimizer = type(optimizer)([*self.weights.values()], **options)
        # The weights of each state, by name
        self.tensors = [dict(state.net.named_parameters()) for state in states]
        # All images and labels as a deficit changed them, by its name and their `image_part`
        self.seen: dict[tuple[str, float], tuple[Tensor, Tensor]] = {}

    def holds(self, states: Sequence[TrainState]) -> bool:
        """Whether this stack was made of these networks and optimisers."""
        return self.members == [(state.net, state.optimizer) for state in states]

    def logits(self, x: Tensor, members: slice = EVERY_ONE) -> Tensor:
        """The logits of each network for images of its own.

        Arguments:
            x: images (networks, N, C, H, W).
            members: which networks, if not all.

        Returns:
            (networks, N, classes).
        """
        x = x.flatten(2)
        for name, layer in [*self.net.named_children()][1:]:
            if isinstance(layer, nn.Linear):
                weight = self.weights[f"{name}.weight"][members]  # (networks, out, in)
                bias = self.weights[f"{name}.bias"][members]  # (networks, out)
                x = torch.baddbmm(bias[:, None], x, weight.mT)
            else:
                x = layer(x)
        return x

    def passes(
        self,
        task: Classification,
        temperature: float,
        x: Tensor,
        y: Tensor,
        streams: Sequence[Any] = (),
    ) -> Tensor:
        """Compute the mean loss of each network over its own images, and its gradients.

        Arguments:
            task: that of the run.
            temperature: of the loss that the gradients are of; the loss that is returned has 1.
            x: images (networks, N, …).
            y: labels (networks, N).
            streams: of a GPU, which `Branches` needs and a stack does not.

        Returns:
            (networks,). The gradients of the stacked weights are in their `.grad`.
        """
        arithmetic = task.run.arithmetic
        self.optimizer.zero_grad()
        with devices.algorithms(x.device, arithmetic):
            with devices.autocast(x.device, arithmetic):
                logits = self.logits(x).flatten(0, 1)
                losses = task.loss(logits, y.flatten(), reduction="none")
                means = losses.view(y.shape).mean(1)
                tempered = means
                if temperature != 1:
                    losses = task.tempered_loss(logits, y.flatten(), temperature, "none")
                    tempered = losses.view(y.shape).mean(1)
            tempered.sum().backward()
        return means.detach()

    def scale_gradients(self, norm: float) -> None:
        """Scale the gradient of each network to a norm."""
        scale_gradients(self.weights.values(), norm, len(self.states))

    def path(self) -> PathLength:
        """What adds up how far the networks travel."""
        weights = [weight.detach() for weight in self.weights.values() if weight.ndim > 2]
        return PathLength(weights, len(self.states), stacked=True)

    def weights_and_buffers(self) -> tuple[list[Tensor], list[Tensor]]:
        """The stacked weights. A chain has no buffers."""
        return [*self.weights.values()], []

    @torch.inference_mode()
    def test(self, task: Classification, images: Images) -> list[dict]:
        """Test each network, as Classification.test does, and return its columns of the curve."""
        x = task.views(images.normal_test)
        y = images.test_y
        count = len(self.states)
        tests = []
        for first in range(0, count, TEST_GROUP):
            end = min(first + TEST_GROUP, count)
            shared = x.expand(end - first, *x.shape)
            with devices.autocast(x.device, task.run.arithmetic):
                answers = self.logits(shared, slice(first, end)).argmax(-1)  # (networks, N)
            for correct in (answers == y).sum(1).tolist():
                tests.append({"test_accuracy": correct / len(y)})
        return tests

    @torch.no_grad()
    def load(self) -> None:
        """Copy the weights and optimiser's memory of each state into the stack."""
        for name, weight in self.weights.items():
            torch.stack([tensors[name] for tensors in self.tensors], out=weight)
            memories = []
            for state, tensors in zip(self.states, self.tensors, strict=True):
                memories.append(state.optimizer.state.get(tensors[name], {}))
            self.optimizer.state[weight] = stack_memories(memories, weight[0])

    @torch.no_grad()
    def write_back(self) -> None:
        """Copy the stack's weights and optimiser's memory back into each state."""
        for row, (state, tensors) in enumerate(zip(self.states, self.tensors, strict=True)):
            for name, weight in self.weights.items():
                tensors[name].copy_(weight[row])
                memory = self.optimizer.state[weight]
                state.optimizer.state[tensors[name]] = memory_of_row(memory, weight, row)


def stack_memories(memories: Sequence[dict[str, Any]], weight: Tensor) -> dict[str, Any]:
    """What an optimiser remembers of a stacked weight, put together from what each network's
    optimiser remembers of its own.

    Values of the weight's shape, like a momentum, get a row for each network. Others, such as the
    number of steps, are the same for all.

    Arguments:
        memories: one for each network.
        weight: of one network.
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


def has_shape_of(value: object, weight: Tensor) -> bool:
    """Whether what an optimiser remembers is a tensor of a weight's shape, like a momentum."""
    return isinstance(value, Tensor) and value.shape == weight.shape
