"""Forward and backward pass of networks side by side; on an NVIDIA GPU as a CUDA graph.

The two passes of a small network are a hundred kernels of a microsecond or two, which Python needs
ten times as long to ask for; a graph asks for all of them at once. Nothing else is in it: batches,
deficits, the optimiser (whose rate is a double, and in a tensor would be a float32) and what
follows a step stay as they are written. Networks of several seeds are branches of one graph, which
run at the same time with the kernels, and so the bits, of each alone.
"""

import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from operator import is_
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from cplab import devices
from cplab.engine.gpu import cards, kernels
from cplab.engine.stack import Stack
from cplab.runs.tasks import Classification, TrainState, uncompiled


class Graph(NamedTuple):
    """Both passes as captured: `replay` computes losses and gradients of the images and labels that
    were copied into x and y."""

    graph: Any  # a torch.cuda.CUDAGraph
    x: Tensor
    y: Tensor
    losses: Tensor
    gradients: list[Any]  # a tensor for each weight, or None


class Passes:
    """Both passes of states that are trained together, in a stack or each by itself: `losses =
    passes(x, y)` gives the mean loss of each, (states,), and leaves the gradients of their sum in
    `.grad`. Images and labels are (states, batch, …); those of one state, not stacked, (batch, …).

    On a GPU the first batch of a shape is computed step by step, which warms up. With the second a
    graph is captured, and kept if on trial it has the bits of both passes step by step: losses,
    gradients and buffers. All others are computed step by step, with the same numbers, such as
    those of a network that asks the GPU for a value.
    """

    def __init__(self, task: Classification, states: Sequence[TrainState], stacked: bool) -> None:
        self.task = task
        self.states = [*states]
        self.members = [(state.net, state.optimizer) for state in states]
        self.stack = Stack(states) if stacked else None
        self.nets = [states[0].net] if stacked else [state.net for state in states]
        self.optimizer = self.stack.optimizer if self.stack else states[0].optimizer
        # one optimiser that takes a step for all networks
        self.joint = not stacked
        if self.joint:
            weights = [weight for state in states for weight in weights_of(state)]
            kind = type(self.optimizer)
            if isinstance(self.optimizer, torch.optim.SGD):
                kind = StepForAll
            self.optimizer = kind(weights, **self.optimizer.defaults)
        self.weights = [w for w in weights_of(self) if w.requires_grad]
        if self.stack:
            self.buffers = [*self.stack.buffers.values()]
        else:
            self.buffers = [buffer for net in self.nets for buffer in net.buffers()]
        self.places = self.find_places()
        device, arithmetic = self.weights[0].device, task.run.arithmetic
        self.has_kernels = not stacked and kernels.usable(device, arithmetic)
        self.latest: list[Any] | None = None  # the gradients of a graph that the weights have
        # by shape of a batch: None until its trial, and False if that fails
        self.graphs: dict[tuple, Graph | bool | None] = {}

    def find_places(self) -> list[tuple[int, bool]]:
        """Where weights and buffers lie, by which alone a graph knows them, and which learn."""
        if self.stack:
            tensors = [*self.stack.weights.values(), *self.stack.buffers.values()]
        else:
            tensors = [t for net in self.nets for t in (*net.parameters(), *net.buffers())]
        return [(tensor.data_ptr(), tensor.requires_grad) for tensor in tensors]

    def serve(self, states: Sequence[TrainState], stacked: bool) -> bool:
        """Whether these are the passes of these states, as they were at the last epoch's end."""
        same = self.members == [(state.net, state.optimizer) for state in states]
        return same and stacked == bool(self.stack) and self.places == self.find_places()

    def load(self) -> None:
        """Take what each state's optimiser remembers, and in a stack its weights."""
        self.latest = None
        if self.stack:
            self.stack.load()
            return
        self.optimizer.state.clear()
        if isinstance(self.optimizer, StepForAll):
            self.optimizer.forget()
        for state in self.states:
            self.optimizer.state.update(state.optimizer.state)

    def write_back(self) -> None:
        """Give each state what `load` takes, as it is now."""
        if self.stack:
            self.stack.write_back()
            return
        for state in self.states:
            for weight in weights_of(state):
                state.optimizer.state[weight] = self.optimizer.state[weight]

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        shape = x.shape, x.stride()
        if not cards.is_card(x.device) or shape not in self.graphs:
            self.graphs[shape] = None
            return self.step_by_step(x, y)
        if self.graphs[shape] is None:
            self.graphs[shape] = self.capture(x, y) or False
        graph = self.graphs[shape]
        if not isinstance(graph, Graph):
            return self.step_by_step(x, y)
        graph.x.copy_(x)
        graph.y.copy_(y)
        graph.graph.replay()
        if self.latest is not graph.gradients:
            self.latest = graph.gradients
            for weight, gradient in zip(self.weights, graph.gradients, strict=True):
                weight.grad = gradient
        return graph.losses

    def step_by_step(self, x: Tensor, y: Tensor, streams: Sequence[Any] = ()) -> Tensor:
        """Compute both passes as they are written, with streams those of each network on its own,
        so that they may run at the same time."""
        self.latest = None
        for weight in self.weights:
            weight.grad = None
        with kernels.joined(self.nets) if self.has_kernels else nullcontext():
            return self.side_by_side(x, y, streams)

    def side_by_side(self, x: Tensor, y: Tensor, streams: Sequence[Any]) -> Tensor:
        """Compute both passes of each network."""
        if len(self.nets) == 1:
            return self.compute(self.nets[0], x, y)
        losses: list[Tensor] = []
        main: Any = torch.cuda.current_stream() if streams else None
        for number, net in enumerate(self.nets):
            if streams:
                streams[number].wait_stream(main)
            with torch.cuda.stream(streams[number]) if streams else nullcontext():
                losses.append(self.compute(net, x[number], y[number]))
        for stream in streams:
            main.wait_stream(stream)
        return torch.cat(losses)

    def compute(self, net: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        """Compute the mean loss of a network, or those of a stack, and the gradients of the sum."""
        arithmetic = self.task.run.arithmetic
        with devices.algorithms(x.device, arithmetic):
            with devices.autocast(x.device, arithmetic):
                if self.stack:
                    losses = self.stack.losses(self.task, x, y)
                else:
                    losses = self.task.loss(net(x), y).view(1)
            losses.sum().backward()
        return losses.detach()

    def capture(self, x: Tensor, y: Tensor) -> Graph | None:
        """Capture both passes as a graph and try it; the network is left as it was. Returns: None
        if there is no such graph."""
        if self.places != self.find_places():  # a network that makes new buffers in each pass
            return None
        x, y = x.clone(), y.clone()
        graph = torch.cuda.CUDAGraph()
        before = [buffer.clone() for buffer in self.buffers]
        stream = torch.cuda.Stream()
        branches = [torch.cuda.Stream() for _ in self.nets] if len(self.nets) > 1 else []
        stream.wait_stream(torch.cuda.current_stream())
        try:
            with torch.cuda.stream(stream):  # around it all: a failed capture leaves its own on
                forbid_waiting(True)  # fails more gently than a capture
                losses = self.step_by_step(x, y)
                forbid_waiting(False)
                expected = [tensor.clone() for tensor in (losses, *self.outcomes())]
                self.put_back(before)
                # other threads, such as an explorer's, may use the GPU meanwhile
                with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
                    losses = self.step_by_step(x, y, branches)
                gradients = [weight.grad for weight in self.weights]
                graph.replay()
                replayed = losses, *gradients, *self.buffers
                if all(map(same_bits, replayed, expected)):
                    return Graph(graph, x, y, losses, gradients)
                return None
        except Exception:  # whatever cannot be captured, or has a weight without a gradient
            return None
        finally:
            forbid_waiting(False)
            torch.cuda.synchronize()
            self.put_back(before)

    def outcomes(self) -> list[Any]:
        """What both passes change besides the losses: gradients and buffers."""
        return [*(weight.grad for weight in self.weights), *self.buffers]

    def put_back(self, before: list[Tensor]) -> None:
        """Give the buffers their earlier values."""
        for buffer, value in zip(self.buffers, before, strict=True):
            buffer.copy_(value)


class Memory(NamedTuple):
    """What a fused step takes besides its rates, for the weights that have a gradient."""

    weights: list[Tensor]
    gradients: list[Tensor]
    momenta: list[Tensor]


class StepForAll(uncompiled(torch.optim.SGD)):  # type: ignore[misc]
    """torch's fused SGD for hundreds of weights. While all gradients are the same tensors, as those
    of a graph are, it does not look for momenta again, which takes longer than the step."""

    memory: Memory | None = None
    latest: Sequence[Any] = ()  # the gradients, or None, of all weights, that the memory is of

    def forget(self) -> None:
        """Look for gradients and momenta again with the next step."""
        self.memory = None

    @torch.no_grad()
    def step(self) -> None:
        """One step of all weights that have a gradient."""
        [group] = self.param_groups
        gradients = [weight.grad for weight in group["params"]]
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


def weights_of(owner: Any) -> list[nn.Parameter]:
    """The weights that the optimiser of a state, or of passes, takes its steps with."""
    return [weight for group in owner.optimizer.param_groups for weight in group["params"]]


def forbid_waiting(forbidden: bool) -> None:
    """Let what waits for the GPU fail, or let it wait again."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that this mode of torch is a prototype
        torch.cuda.set_sync_debug_mode("error" if forbidden else "default")


def same_bits(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors are equal to the bit: NaN equals itself, and 0 differs from -0."""
    integers = {2: torch.int16, 4: torch.int32, 8: torch.int64}
    kind = integers.get(a.element_size(), a.dtype)
    return a.dtype == b.dtype and torch.equal(a.view(kind), b.view(kind))
