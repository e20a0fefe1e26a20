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
from typing import Any

import torch
from torch import Tensor

from cplab import devices
from cplab.engine import fused
from cplab.engine.stack import Stack
from cplab.runs.tasks import TrainState, uncompiled

GRAPHS = "cuda"  # the kind of device that has them


class Passes:
    """Both passes of states that are trained together, in a stack or each by itself: `losses =
    passes(x, y)` gives the mean loss of each, (states,), and leaves the gradients of their sum in
    `.grad`. Images and labels are (states, batch, …); those of one state, not stacked, (batch, …).

    On a GPU the first batch of a shape is computed step by step, which warms up. With the second a
    graph is captured, and kept if on trial it has the bits of both passes step by step: losses,
    gradients and buffers. All others are computed step by step, with the same numbers, such as
    those of a network that asks the GPU for a value.
    """

    def __init__(self, task: Any, states: list[TrainState], stacked: bool) -> None:
        self.task, self.stack = task, Stack(states) if stacked else None
        self.nets = [states[0].net] if stacked else [state.net for state in states]
        self.served = [(state.net, state.optimizer) for state in states]
        self.states, self.optimizer = states, (self.stack or states[0]).optimizer
        every = [w for state in states for g in state.optimizer.param_groups for w in g["params"]]
        self.joint = not stacked and (len(states) > 1 or every[0].device.type == GRAPHS)
        if self.joint:  # one that takes one step for all
            sgd = isinstance(self.optimizer, torch.optim.SGD)
            kind = StepForAll if sgd else type(self.optimizer)
            self.optimizer = kind(every, **self.optimizer.defaults)
        groups = self.optimizer.param_groups
        self.weights = [w for group in groups for w in group["params"] if w.requires_grad]
        own = [buffer for net in self.nets for buffer in net.buffers()]
        self.buffers = [*self.stack.buffers.values()] if self.stack else own
        self.places = self.find_places()
        device, arithmetic = self.weights[0].device, task.run.arithmetic
        self.fused = not stacked and fused.usable(device, arithmetic)
        self.given: Any = None  # the gradients of a graph that the weights have now
        # by shape of a batch: None until its trial, an empty tuple if that fails, else the graph,
        # its images, labels and losses, and its gradients
        self.graphs: dict[Any, Any] = {}

    def find_places(self) -> list[tuple[int, bool]]:
        """Where weights and buffers lie, by which alone a graph knows them, and which learn."""
        own = [t for net in self.nets for t in (*net.parameters(), *net.buffers())]
        stacked = self.stack and (*self.stack.weights.values(), *self.stack.buffers.values())
        return [(tensor.data_ptr(), tensor.requires_grad) for tensor in stacked or own]

    def serve(self, states: list[TrainState], stacked: bool) -> bool:
        """Whether these are the passes of these states, as they were at the last epoch's end."""
        same = self.served == [(state.net, state.optimizer) for state in states]
        return same and stacked == bool(self.stack) and self.places == self.find_places()

    def load(self) -> None:
        """Take what each state's optimiser remembers, and in a stack its weights."""
        self.given = None
        if self.stack:
            self.stack.load()
        elif self.joint:
            self.optimizer.state.clear()
            if isinstance(self.optimizer, StepForAll):
                self.optimizer.found = ()
            for state in self.states:
                self.optimizer.state.update(state.optimizer.state)

    def write_back(self) -> None:
        """Give each state what `load` takes, as it is now."""
        if self.stack:
            self.stack.write_back()
        elif self.joint:
            for state in self.states:
                weights = (w for group in state.optimizer.param_groups for w in group["params"])
                state.optimizer.state.update((w, self.optimizer.state[w]) for w in weights)

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        shape = x.shape, x.stride()
        if x.device.type != GRAPHS or shape not in self.graphs:
            self.graphs[shape] = None
            return self.step_by_step(x, y)
        if self.graphs[shape] is None:
            self.graphs[shape] = self.capture(x, y)
        if not self.graphs[shape]:
            return self.step_by_step(x, y)
        graph, own_x, own_y, losses, gradients = self.graphs[shape]
        own_x.copy_(x)
        own_y.copy_(y)
        graph.replay()
        if self.given is not gradients:
            self.given = gradients
            for weight, gradient in zip(self.weights, gradients, strict=True):
                weight.grad = gradient
        return losses

    def step_by_step(self, x: Tensor, y: Tensor, streams: Sequence[Any] = ()) -> Tensor:
        """Compute both passes as they are written, with streams those of each network on its own,
        so that they may run at the same time."""
        self.given = None
        for weight in self.weights:
            weight.grad = None
        with fused.kernels(self.nets) if self.fused else nullcontext():
            return self.side_by_side(x, y, streams)

    def side_by_side(self, x: Tensor, y: Tensor, streams: Sequence[Any]) -> Tensor:
        """Compute both passes of each network."""
        if len(self.nets) == 1:
            return self.compute(self.nets[0], x, y)
        losses: list[Tensor] = []
        here: Any = torch.cuda.current_stream() if streams else None
        for number, net in enumerate(self.nets):
            if streams:
                streams[number].wait_stream(here)
            with torch.cuda.stream(streams[number]) if streams else nullcontext():
                losses.append(self.compute(net, x[number], y[number]))
        for stream in streams:
            here.wait_stream(stream)
        return torch.cat(losses)

    def compute(self, net: Any, x: Tensor, y: Tensor) -> Tensor:
        """Compute the mean loss of a network, or those of a stack, and the gradients of the sum."""
        task, stack, arithmetic = self.task, self.stack, self.task.run.arithmetic
        with devices.algorithms(x.device, arithmetic):
            with devices.autocast(x.device, arithmetic):
                losses = stack.losses(task, x, y) if stack else task.loss(net(x), y).view(1)
            losses.sum().backward()
        return losses.detach()

    def capture(self, x: Tensor, y: Tensor) -> tuple:
        """Capture both passes as a graph and try it; the network is left as it was. Returns: what
        `graphs` holds, an empty tuple if there is no such graph."""
        if self.places != self.find_places():  # a network that makes new buffers in each pass
            return ()
        own_x, own_y, graph = x.clone(), y.clone(), torch.cuda.CUDAGraph()
        before, stream = [buffer.clone() for buffer in self.buffers], torch.cuda.Stream()
        branches = [torch.cuda.Stream() for _ in self.nets] if self.nets[1:] else []
        stream.wait_stream(torch.cuda.current_stream())
        try:
            with torch.cuda.stream(stream):  # around it all: a failed capture leaves its own on
                forbid_waiting(True)  # fails more gently than a capture
                losses = self.step_by_step(own_x, own_y)
                forbid_waiting(False)
                gradients = [weight.grad for weight in self.weights]
                wanted = [tensor.clone() for tensor in (losses, *gradients, *self.buffers)]
                self.put_back(before)
                # other threads, such as an explorer's, may use the GPU meanwhile
                with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
                    losses = self.step_by_step(own_x, own_y, branches)
                gradients = [weight.grad for weight in self.weights]
                graph.replay()
                equal = all(map(same_bits, (losses, *gradients, *self.buffers), wanted))
                return (graph, own_x, own_y, losses, gradients) if equal else ()
        except Exception:  # whatever cannot be captured, or has a weight without a gradient
            return ()
        finally:
            forbid_waiting(False)
            torch.cuda.synchronize()
            self.put_back(before)

    def put_back(self, before: list[Tensor]) -> None:
        """Give the buffers their earlier values."""
        for buffer, value in zip(self.buffers, before, strict=True):
            buffer.copy_(value)


class StepForAll(uncompiled(torch.optim.SGD)):  # type: ignore[misc]
    """torch's fused SGD for hundreds of weights. While all gradients are the same tensors, as those
    of a graph are, it does not look for momenta again, which takes longer than the step."""

    found: tuple = ()  # all gradients; weights that have one, these, and their momenta

    @torch.no_grad()
    def step(self) -> None:
        """One step of all weights that have a gradient."""
        [group] = self.param_groups
        gradients = [weight.grad for weight in group["params"]]
        if self.found and all(map(is_, gradients, self.found[0])):
            how = {name: group[name] for name in ("lr", "momentum", "weight_decay")}
            how |= {"dampening": 0.0, "nesterov": False, "maximize": False, "is_first_step": False}
            torch._fused_sgd_(*self.found[1:], **how)
            return
        super().step()
        weights = [weight for weight in group["params"] if weight.grad is not None]
        momenta = [self.state[w].get("momentum_buffer") for w in weights if group["momentum"]]
        self.found = gradients, weights, [weight.grad for weight in weights], momenta


def forbid_waiting(forbidden: bool) -> None:
    """Let what waits for the GPU fail, or let it wait again."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that this mode of torch is a prototype
        torch.cuda.set_sync_debug_mode("error" if forbidden else "default")


def same_bits(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors are equal to the bit: NaN equals itself, and 0 differs from -0."""
    whole = {2: torch.int16, 4: torch.int32, 8: torch.int64}.get(a.element_size(), a.dtype)
    return a.dtype == b.dtype and torch.equal(a.view(whole), b.view(whole))
