"""Seeds side by side: networks that differ in nothing but their seed, trained as one stack.

Small networks spend their time between products, not in them. In a stack each weight of all
networks is one tensor with a row for each network, and a step is one batched product for all.
Rows never meet, so that a seed's bits do not depend on which others are beside it.
"""

from collections.abc import Iterator
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from cplab import data, devices, models
from cplab.data import Images
from cplab.runs import Step
from cplab.runs.tasks import TrainState, draw_order, make_optimizer
from cplab.seeding import seeded
from cplab.specs.profiles import PROFILES

KEPT = 500_000  # values of images that are kept under a deficit
MOST = 25  # networks in a stack; more need more memory than a core has nearby
PLAIN = nn.Linear, nn.Flatten, nn.ReLU, nn.Tanh, nn.Sigmoid, nn.GELU


def is_stacked(run: Any, step: Step) -> bool:
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
    with seeded(0):
        nets = [models.build(model, channels, size, classes) for _ in range(5)]
        x = torch.randn(5, 4, channels, size, size)
    meets = nn.modules.conv._ConvNd, nn.modules.batchnorm._BatchNorm  # whose sums depend on numbers
    if any(isinstance(layer, meets) for layer in nets[0].modules()):
        return False
    try:
        alone, slopes = nets[0](x[0]), []
        for count in (5, 2, 1):
            stack = Stack([TrainState(net, make_optimizer(net)) for net in nets[:count]])
            logits = stack.logits(x[:count])
            logits.square().sum().backward()
            slopes.append([weight.grad[0] for weight in stack.weights.values()])
            if not torch.allclose(logits[0], alone, rtol=1e-3, atol=1e-4):
                return False
        return all(map(torch.equal, slopes[0] * 2, slopes[1] + slopes[2]))
    except Exception:  # whatever a student's own network does that vmap cannot
        return False


class Stack:
    """The networks of several states as one: `load` takes their weights and `write_back` gives them
    back; in between there are `batches`, `losses`, `optimizer` and `test`.

    The states must be of networks and optimisers of one kind.
    """

    def __init__(self, states: list[TrainState]) -> None:
        self.states, self.net = states, states[0].net
        self.weights, self.buffers = stack_module_state([state.net.train() for state in states])
        # not fused: its last numbers, which fill no register, are rounded otherwise than the others
        first = states[0].optimizer
        how = first.defaults | {"fused": False, "foreach": False}
        self.optimizer = type(first)([*self.weights.values()], **how)
        # what a deficit makes of all images, by its name and the part that they are
        self.seen: dict[tuple[str, float], tuple[Tensor, ...]] = {}

    def logits(self, x: Tensor) -> Tensor:
        """The logits of each network, (networks, N, classes), of its own images, (networks, N, C,
        H, W)."""
        if not is_plain(self.net):

            def call(weights: dict, buffers: dict, images: Tensor) -> Tensor:
                return functional_call(self.net, (weights, buffers), (images,))

            return vmap(call)(self.weights, self.buffers, x)
        for name, layer in self.net.named_children():  # the same products, without vmap's own time
            if isinstance(layer, nn.Linear):
                weight, bias = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
                x = torch.baddbmm(bias[:, None], x, weight.mT)
            else:
                x = x.flatten(2) if isinstance(layer, nn.Flatten) else layer(x)
        return x

    def losses(self, task: Any, x: Tensor, y: Tensor) -> Tensor:
        """The mean loss of each network, (networks,), over its own images and labels."""
        each = task.loss(self.logits(x).flatten(0, 1), y.flatten(), reduction="none")
        return each.view(y.shape).mean(1)

    def batches(self, lives: list, epoch: int, step: Step) -> Iterator[tuple[Tensor, ...]] | None:
        """An epoch's batches of all networks, images and labels (networks, batch, …), where its
        deficit can be applied to all images once: it is of each by itself, and none is shifted.
        None elsewhere."""
        run, images, deficit = lives[0].run, lives[0].images, step.deficit
        moves = step.augment == 1 and (run.settings.shift or run.settings.mirror)
        moves = moves or step.shift or step.cutout
        if moves or not deficit.of_each_image or images.train_x.numel() > KEPT:
            return None
        if (deficit.name, step.part) not in self.seen:
            about = lives[0].task.batch(torch.arange(len(images.train_y)), epoch, images)
            own = [life.training_images(step) for life in lives]
            clear = [(one.normal(one.train_x), one.train_y) for one in own]
            seen = [deficit(x, y, about) for x, y in clear]
            deficit.warn_if_idle(clear[0], seen[0])
            self.seen[deficit.name, step.part] = tuple(map(torch.stack, zip(*seen, strict=True)))
        x, y = self.seen[deficit.name, step.part]
        order = torch.stack([draw_order(life.run, epoch, step, life.images)[0] for life in lives])
        rows = torch.arange(len(lives), device=x.device)[:, None]
        return ((x[rows, i], y[rows, i]) for i in order.split(run.settings.batch, 1))

    @torch.inference_mode()
    def test(self, task: Any, images: Images) -> list[dict]:
        """What Classification.test says of each network."""
        self.net.eval()
        x, y = task.views(images.normal_test), images.test_y
        with devices.autocast(x.device, task.run.arithmetic):
            named = self.logits(x.expand(len(self.states), *x.shape)).argmax(-1)
        return [{"test_accuracy": right / len(y)} for right in (named == y).sum(1).tolist()]

    def own(self) -> list[dict[str, Tensor]]:
        """Weights and buffers of each state, by name."""
        return [dict(state.net.state_dict(keep_vars=True)) for state in self.states]

    @torch.no_grad()
    def load(self) -> None:
        """Take each state's weights, buffers and optimiser's memory."""
        own = self.own()
        for name, stacked in (*self.weights.items(), *self.buffers.items()):
            torch.stack([one[name] for one in own], out=stacked)
        for name, weight in self.weights.items():
            both = zip(self.states, own, strict=True)
            memories = [state.optimizer.state.get(one[name], {}) for state, one in both]
            self.optimizer.state[weight] = {
                key: torch.stack([memory[key] for memory in memories])
                if is_like(value, weight[0])
                else value
                for key, value in memories[0].items()
            }

    @torch.no_grad()
    def write_back(self) -> None:
        """Give each state its weights, buffers and optimiser's memory."""
        for row, (state, own) in enumerate(zip(self.states, self.own(), strict=True)):
            for name, stacked in (*self.weights.items(), *self.buffers.items()):
                own[name].copy_(stacked[row])
            for name, weight in self.weights.items():
                memory = self.optimizer.state[weight]
                state.optimizer.state[own[name]] = {
                    key: value[row].clone() if is_like(value, weight) else value
                    for key, value in memory.items()
                }


def is_plain(net: nn.Module) -> bool:
    """Whether a network is a chain of products and of what is done to each number by itself."""
    if type(net) is not nn.Sequential or len([*net.children()]) < len(net):  # none of them twice
        return False
    products = all(layer.bias is not None for layer in net if isinstance(layer, nn.Linear))
    flat = all(layer.start_dim == 1 for layer in net if isinstance(layer, nn.Flatten))
    return products and flat and all(type(layer) in PLAIN for layer in net)


def is_like(value: Any, weight: Tensor) -> bool:
    """Whether an optimiser's memory has a number for each of a weight's."""
    return isinstance(value, Tensor) and value.shape == weight.shape
