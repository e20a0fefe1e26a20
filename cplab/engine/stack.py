"""Seeds side by side: networks that differ in nothing but their seed, trained as one stack.

Small networks spend their time between products, not in them. In a stack each weight of all
networks is one tensor with a row for each network, and a step is one batched product for all.
Rows never meet, so that a seed's bits do not depend on which others are beside it. `stack_epoch`
trains one.
"""

from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from cplab import data, devices, models
from cplab.data import Images
from cplab.runs import Run, Step
from cplab.runs.tasks import Classification, TrainState, make_optimizer
from cplab.seeding import Seeded
from cplab.specs.profiles import PROFILES

MOST = 25  # networks in a stack; more need more memory than a core has nearby
ALL = slice(None)
TRIED = 40  # images on which a stack is tried, enough for a batch
TESTED = 5  # networks tested side by side, for the same reason: they see more images than in a step
Tensors = dict[str, Tensor]
PLAIN = nn.Linear, nn.Flatten, nn.ReLU, nn.Tanh, nn.Sigmoid, nn.GELU


def is_stacked(run: Run, step: Step) -> bool:
    """Whether an epoch of a run is trained in a stack, alone in it where there are no other seeds:
    a rule of its profile, its network and the step, so that its bits are always the same."""
    profile = PROFILES[run.profile]
    if not profile.stacked or step.fixed_norms or run.views != 1:
        return False
    return can_stack(run.model, data.channels(run.dataset), profile.size, data.classes(run.dataset))


@cache
def can_stack(model: str, channels: int, size: int, classes: int) -> bool:
    """Whether networks can be trained in a stack: not with convolutions, which would be slower, and
    only if a trial gives what each gives alone and a row the same bits beside any others."""
    with Seeded(0):
        nets = [models.build(model, channels, size, classes) for _ in range(5)]
        x = torch.randn(5, TRIED, channels, size, size)
    # their sums are rounded otherwise beside more networks
    unequal = nn.modules.conv._ConvNd | nn.modules.batchnorm._BatchNorm
    if any(isinstance(layer, unequal) for layer in nets[0].modules()):
        return False
    try:
        return all(stacks_alike(nets, images) for images in (x[:, :4], x))
    except Exception:  # whatever a student's own network does that vmap cannot
        return False


def stacks_alike(nets: Sequence[nn.Module], x: Tensor) -> bool:
    """Whether a stack gives for images (networks, N, …) what the first network gives alone, leaves
    it the same buffers, and has the same gradients beside four others, one and none."""
    gradients = []
    outcomes = []
    for count in (5, 2, 1):
        states = [TrainState(net, make_optimizer(net)) for net in nets[:count]]
        stack = Stack(states)
        logits = stack.logits(x[:count])
        logits.square().sum().backward()
        gradients.append([weight.grad[0] for weight in stack.weights.values()])
        outcomes.append([logits[0], *[buffer[0] for buffer in stack.buffers.values()]])
    alone = [nets[0].train()(x[0]), *nets[0].buffers()]
    for outcome in outcomes:
        for stacked, separate in zip(outcome, alone, strict=True):
            if not torch.allclose(stacked, separate, rtol=1e-3, atol=1e-4):
                return False
    for gradients_of_weight in zip(*gradients, strict=True):  # beside four others, one and none
        first = gradients_of_weight[0]
        if not all(torch.equal(gradient, first) for gradient in gradients_of_weight):
            return False
    return True


class Stack:
    """The networks of several states as one: `load` takes their weights and `write_back` gives them
    back; in between there are `losses`, `optimizer` and `test`.

    The states must be of networks and optimisers of one kind.
    """

    def __init__(self, states: Sequence[TrainState]) -> None:
        self.states = [*states]
        self.members = [(state.net, state.optimizer) for state in states]
        self.net = states[0].net
        self.weights, self.buffers = stack_module_state([state.net.train() for state in states])
        # not fused: its last numbers, which fill no register, are rounded otherwise than the others
        optimizer = states[0].optimizer
        options = optimizer.defaults | {"fused": False, "foreach": False}
        self.optimizer = type(optimizer)([*self.weights.values()], **options)
        # weights and buffers of each state, by name
        self.tensors = [dict(state.net.state_dict(keep_vars=True)) for state in states]
        # what a deficit makes of all images, by its name and their `image_part`
        self.seen: dict[tuple[str, float], tuple[Tensor, Tensor]] = {}

    def holds(self, states: Sequence[TrainState]) -> bool:
        """Whether it is the stack of these states."""
        return self.members == [(state.net, state.optimizer) for state in states]

    def logits(self, x: Tensor, some: slice = ALL) -> Tensor:
        """The logits of each network, or of some, (networks, N, classes), of its own images,
        (networks, N, C, H, W)."""
        weights = {name: weight[some] for name, weight in self.weights.items()}
        if not is_plain(self.net):

            def call(weights: Tensors, buffers: Tensors, images: Tensor) -> Tensor:
                return functional_call(self.net, (weights, buffers), (images,))

            buffers = {name: buffer[some] for name, buffer in self.buffers.items()}
            return vmap(call)(weights, buffers, x)
        for name, layer in self.net.named_children():  # the same products, without vmap's own time
            if isinstance(layer, nn.Linear):
                weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
                x = torch.baddbmm(bias[:, None], x, weight.mT)
            elif isinstance(layer, nn.Flatten):
                x = x.flatten(2)
            else:
                x = layer(x)
        return x

    def losses(self, task: Classification, x: Tensor, y: Tensor) -> Tensor:
        """The mean loss of each network, (networks,), over its own images and labels."""
        logits = self.logits(x)
        losses = task.loss(logits.flatten(0, 1), y.flatten(), reduction="none")
        return losses.view(y.shape).mean(1)

    @torch.inference_mode()
    def test(self, task: Classification, images: Images) -> list[dict]:
        """What Classification.test says of each network."""
        self.net.eval()
        x, y = task.views(images.normal_test), images.test_y
        count = len(self.states)
        right: list[int] = []
        for first in range(0, count, TESTED):
            some = slice(first, min(first + TESTED, count))
            shared = x.expand(some.stop - first, *x.shape)
            with devices.autocast(x.device, task.run.arithmetic):
                labels = self.logits(shared, some).argmax(-1)
            right += (labels == y).sum(1).tolist()
        return [{"test_accuracy": hits / len(y)} for hits in right]

    @torch.no_grad()
    def load(self) -> None:
        """Take each state's weights, buffers and optimiser's memory."""
        for name, stacked in (*self.weights.items(), *self.buffers.items()):
            torch.stack([tensors[name] for tensors in self.tensors], out=stacked)
        for name, weight in self.weights.items():
            memories = []
            for state, tensors in zip(self.states, self.tensors, strict=True):
                memories.append(state.optimizer.state.get(tensors[name], {}))
            stacked_memory = {}
            for key, value in memories[0].items():
                if is_like(value, weight[0]):
                    value = torch.stack([memory[key] for memory in memories])
                stacked_memory[key] = value
            self.optimizer.state[weight] = stacked_memory

    @torch.no_grad()
    def write_back(self) -> None:
        """Give each state its weights, buffers and optimiser's memory."""
        for row, (state, tensors) in enumerate(zip(self.states, self.tensors, strict=True)):
            for name, stacked in (*self.weights.items(), *self.buffers.items()):
                tensors[name].copy_(stacked[row])
            for name, weight in self.weights.items():
                memory = {}
                for key, value in self.optimizer.state[weight].items():
                    memory[key] = value[row].clone() if is_like(value, weight) else value
                state.optimizer.state[tensors[name]] = memory


def is_plain(net: nn.Module) -> bool:
    """Whether a network is a chain of products and of what is done to each number by itself."""
    if type(net) is not nn.Sequential or len([*net.children()]) < len(net):  # none of them twice
        return False
    products = all(layer.bias is not None for layer in net if isinstance(layer, nn.Linear))
    flat = all(layer.start_dim == 1 for layer in net if isinstance(layer, nn.Flatten))
    return products and flat and all(type(layer) in PLAIN for layer in net)


def is_like(value: object, weight: Tensor) -> bool:
    """Whether an optimiser's memory has a number for each of a weight's."""
    return isinstance(value, Tensor) and value.shape == weight.shape
