"""Forward and backward pass of one network, or of a stack; on an NVIDIA GPU as a CUDA graph.

The two passes of a small network are a hundred kernels of a microsecond or two, which Python needs
ten times as long to ask for; a graph asks for all of them at once. Nothing else is in it: batches,
deficits, the optimiser (whose rate is a double, and in a tensor would be a float32) and what
follows a step stay as they are written.
"""

from typing import Any

import torch
from torch import Tensor

from cplab import devices
from cplab.engine.stack import Stack
from cplab.runs.tasks import TrainState

GRAPHS = "cuda"  # the kind of device that has them


class Passes:
    """Both passes of states that are trained together: `losses = passes(x, y)` gives the mean loss
    of each, (states,), and leaves the gradients of their sum in `.grad`.

    On a GPU the first batch of a shape is computed step by step, which warms up. With the second a
    graph is captured, and kept if on trial it has the bits of both passes step by step: losses,
    gradients and buffers. All others are computed step by step, with the same numbers, such as
    those of a network that asks the GPU for a value.
    """

    def __init__(self, task: Any, states: list[TrainState], stacked: bool) -> None:
        self.task, self.net, self.stack = task, states[0].net, Stack(states) if stacked else None
        self.served = [(state.net, state.optimizer) for state in states]
        self.optimizer = (self.stack or states[0]).optimizer
        weights = (w for group in self.optimizer.param_groups for w in group["params"])
        self.weights = [weight for weight in weights if weight.requires_grad]
        self.buffers = [*(self.stack.buffers.values() if self.stack else self.net.buffers())]
        self.places = self.find_places()
        # by shape of a batch: None until its trial, an empty tuple if that fails, else the graph,
        # its images, labels and losses, and its gradients
        self.graphs: dict[Any, Any] = {}

    def find_places(self) -> list[int]:
        """Where weights and buffers are in memory; a graph knows them by that alone."""
        return [tensor.data_ptr() for tensor in (*self.weights, *self.buffers)]

    def serve(self, states: list[TrainState], stacked: bool) -> bool:
        """Whether these are the passes of these states, as they were at the last epoch's end."""
        same = self.served == [(state.net, state.optimizer) for state in states]
        return same and stacked == bool(self.stack) and self.places == self.find_places()

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
        for weight, gradient in zip(self.weights, gradients, strict=True):
            weight.grad = gradient
        return losses

    def step_by_step(self, x: Tensor, y: Tensor) -> Tensor:
        """Compute both passes as they are written."""
        for weight in self.weights:
            weight.grad = None
        task, arithmetic = self.task, self.task.run.arithmetic
        with devices.algorithms(arithmetic):
            with devices.autocast(x.device, arithmetic):
                stack = self.stack
                losses = stack.losses(task, x, y) if stack else task.loss(self.net(x), y).view(1)
            losses.sum().backward()
        return losses.detach()

    def capture(self, x: Tensor, y: Tensor) -> tuple:
        """Capture both passes as a graph and try it; the network is left as it was. Returns: what
        `graphs` holds, an empty tuple if there is no such graph."""
        own_x, own_y, graph = x.clone(), y.clone(), torch.cuda.CUDAGraph()
        kept: tuple = ()
        before, stream = [buffer.clone() for buffer in self.buffers], torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        try:
            with torch.cuda.stream(stream):  # around it all: a failed capture leaves its own on
                torch.cuda.set_sync_debug_mode("error")  # fails more gently than a capture
                losses = self.step_by_step(own_x, own_y)
                torch.cuda.set_sync_debug_mode("default")
                gradients = [weight.grad for weight in self.weights]
                wanted = [tensor.clone() for tensor in (losses, *gradients, *self.buffers)]
                self.put_back(before)
                # other threads, such as an explorer's, may use the GPU meanwhile
                how: Any = {"stream": stream, "capture_error_mode": "thread_local"}
                with torch.cuda.graph(graph, **how):
                    losses = self.step_by_step(own_x, own_y)
                gradients = [weight.grad for weight in self.weights]
                graph.replay()
                if all(map(same_bits, (losses, *gradients, *self.buffers), wanted)):
                    kept = graph, own_x, own_y, losses, gradients
        except RuntimeError:  # whatever cannot be captured
            kept = ()
        finally:
            torch.cuda.set_sync_debug_mode("default")
            torch.cuda.synchronize()
            self.put_back(before)
        return kept

    def put_back(self, before: list[Tensor]) -> None:
        """Give the buffers their earlier values."""
        for buffer, value in zip(self.buffers, before, strict=True):
            buffer.copy_(value)


def same_bits(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors are equal to the bit: NaN equals itself, and 0 differs from -0."""
    whole = {2: torch.int16, 4: torch.int32, 8: torch.int64}.get(a.element_size(), a.dtype)
    return a.dtype == b.dtype and torch.equal(a.view(whole), b.view(whole))
