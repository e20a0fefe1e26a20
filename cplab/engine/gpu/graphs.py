"""The forward and backward passes of networks side by side, on an NVIDIA GPU as a CUDA graph.

Both passes of a small network are a hundred kernels that take a microsecond or two each, but Python
takes ten times as long to launch them. A graph launches all of them at once. It has nothing but the
passes in it: batches, deficits, the optimiser (whose learning rate is a double, and would be a
float32 in a tensor) and whatever follows a step are computed as usual. Networks of several seeds
are branches of one graph, which run at the same time, with the kernels and the bits of each alone.
"""

import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from operator import is_
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from cplab import devices
from cplab.engine.gpu import cards
from cplab.engine.stack import Stack
from cplab.runs import Loss
from cplab.runs.tasks import Classification, TrainState, uncompiled


class Graph(NamedTuple):
    """A captured graph of both passes, whose replay computes losses and gradients for the images
    and labels that were copied into x and y."""

    graph: "torch.cuda.CUDAGraph"
    x: Tensor
    y: Tensor
    losses: Tensor
    gradients: list[Tensor | None]  # for each weight


class Passes:
    """The passes of states that are trained together, in a stack or each by itself.

    `losses = passes(x, y)` returns the mean loss of each, (states,), and leaves the gradients of
    their sum in `.grad`. Images and labels are (states, batch, …), or (batch, …) for a single state
    that is not in a stack.

    On a GPU, the first batch of a shape is computed step by step, which warms the GPU up. With the
    second batch a graph is captured. It is kept if it has the same bits as the passes step by step:
    losses, gradients and buffers. Otherwise all batches are computed step by step, for instance for
    a network that reads a value from the GPU.
    """

    def __init__(
        self,
        task: Classification,
        states: Sequence[TrainState],
        stacked: bool,
        treated: Loss | None = None,
    ) -> None:
        self.task = task
        self.treated = treated  # the loss that a treatment puts in place of the cross-entropy
        self.states = [*states]
        self.members = [(state.net, state.optimizer) for state in states]
        self.stack = Stack(states) if stacked else None
        self.nets = [states[0].net] if stacked else [state.net for state in states]
        self.optimizer = self.stack.optimizer if self.stack else states[0].optimizer
        # One optimiser takes a step for all networks
        self.joint = not stacked
        if self.joint:
            weights: list[nn.Parameter] = []
            for state in states:
                weights += weights_in(state.optimizer)
            kind = type(self.optimizer)
            if isinstance(self.optimizer, torch.optim.SGD):
                kind = StepForAll
            self.optimizer = kind(weights, **self.optimizer.defaults)
        self.weights = []  # those that learn
        for weight in weights_in(self.optimizer):
            if weight.requires_grad:
                self.weights.append(weight)
        if self.stack:
            self.buffers = [*self.stack.buffers.values()]
        else:
            self.buffers = []
            for net in self.nets:
                self.buffers += net.buffers()
        self.places = self.find_places()
        # The graph's gradients that the weights have now, if they have a graph's
        self.latest: list[Tensor | None] | None = None
        # By the shape of a batch: its graph, None before one is tried, or False if the trial failed
        self.graphs: dict[tuple, Graph | bool | None] = {}

    def find_places(self) -> list[tuple[int, bool]]:
        """For each weight and buffer its address in memory, and whether it learns.

        A graph reads and writes at these addresses, and knows nothing else of the tensors.
        """
        if self.stack:
            tensors = [*self.stack.weights.values(), *self.stack.buffers.values()]
        else:
            tensors = []
            for net in self.nets:
                tensors += [*net.parameters(), *net.buffers()]
        return [(tensor.data_ptr(), tensor.requires_grad) for tensor in tensors]

    def serve(
        self, states: Sequence[TrainState], stacked: bool, treated: Loss | None = None
    ) -> bool:
        """Whether these are the passes of these states, as they were when the last epoch ended, and
        of this loss."""
        if stacked != bool(self.stack) or treated != self.treated:
            return False
        has_members = self.members == [(state.net, state.optimizer) for state in states]
        return has_members and self.places == self.find_places()

    def load(self) -> None:
        """Copy the optimiser's memory of each state, and into a stack also its weights."""
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
        """Copy back into each state what `load` has copied, as it is now."""
        if self.stack:
            self.stack.write_back()
            return
        for state in self.states:
            for weight in weights_in(state.optimizer):
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
        """Compute both passes without a graph.

        Arguments: x; y; streams, of the GPU, one for each network, if the networks' passes may run
            at the same time.
        """
        self.latest = None
        for weight in self.weights:
            weight.grad = None
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
        """Compute the mean loss of a network, or the losses of a stack, and the gradients of their
        sum."""
        arithmetic = self.task.run.arithmetic
        with devices.algorithms(x.device, arithmetic):
            with devices.autocast(x.device, arithmetic):
                if self.stack:
                    losses = self.stack.losses(self.task, x, y, self.treated)
                else:
                    losses = self.task.loss(net(x), y, self.treated).view(1)
            losses.sum().backward()
        return losses.detach()

    def capture(self, x: Tensor, y: Tensor) -> Graph | None:
        """Capture both passes as a graph, and try it. The network is left as it was.

        Returns: None if the passes cannot be captured, or if the graph has other bits.
        """
        if self.places != self.find_places():  # the network makes new buffers in each pass
            return None
        x = x.clone()
        y = y.clone()
        graph = torch.cuda.CUDAGraph()
        before = [buffer.clone() for buffer in self.buffers]
        stream = torch.cuda.Stream()
        branches = [torch.cuda.Stream() for _ in self.nets] if len(self.nets) > 1 else []
        stream.wait_stream(torch.cuda.current_stream())
        try:
            with torch.cuda.stream(stream):  # a failed capture would leave its own stream on
                forbid_waiting(True)  # an error here is gentler than one during the capture
                losses = self.step_by_step(x, y)
                forbid_waiting(False)
                expected = [tensor.clone() for tensor in (losses, *self.outcomes())]
                self.put_back(before)
                # Other threads, such as an explorer's, may use the GPU meanwhile
                with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
                    losses = self.step_by_step(x, y, branches)
                gradients = [weight.grad for weight in self.weights]
                graph.replay()
                replayed: list[Any] = [losses, *gradients, *self.buffers]
                for after_replay, after_step in zip(replayed, expected, strict=True):
                    if not same_bits(after_replay, after_step):
                        return None
                return Graph(graph, x, y, losses, gradients)
        except Exception:  # something cannot be captured, or a weight has no gradient
            return None
        finally:
            forbid_waiting(False)
            torch.cuda.synchronize()
            self.put_back(before)

    def outcomes(self) -> list[Any]:
        """What both passes change, besides the losses: gradients and buffers."""
        gradients = [weight.grad for weight in self.weights]
        return [*gradients, *self.buffers]

    def put_back(self, before: list[Tensor]) -> None:
        """Copy earlier values back into the buffers."""
        for buffer, value in zip(self.buffers, before, strict=True):
            buffer.copy_(value)


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


def forbid_waiting(forbidden: bool) -> None:
    """Make whatever waits for the GPU raise an error, or let it wait again."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch says that this mode is a prototype
        torch.cuda.set_sync_debug_mode("error" if forbidden else "default")


def same_bits(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors are equal to the bit: NaN equals itself, and 0 differs from −0."""
    if a.dtype != b.dtype:
        return False
    integers = {2: torch.int16, 4: torch.int32, 8: torch.int64}  # by bytes of a number
    kind = integers.get(a.element_size(), a.dtype)
    return torch.equal(a.view(kind), b.view(kind))
