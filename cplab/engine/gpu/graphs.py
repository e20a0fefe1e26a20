"""The forward and backward passes of networks side by side, on an NVIDIA GPU as a CUDA graph.

Both passes of a small network are a hundred kernels that take a microsecond or two each, but Python
takes ten times as long to launch them. A graph launches all of them at once. It has nothing but the
passes in it: batches, deficits, the optimiser (whose learning rate is a double, and would be a
float32 in a tensor) and whatever follows a step are computed as usual. Networks of several seeds
are branches of one graph, which run at the same time, with the kernels and the bits of each alone.
"""

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from cplab.engine.gpu.branches import Branches
from cplab.engine.stack import Stack

Compute = Callable[..., Tensor]  # losses of x and y, whose gradients are then in `.grad`


class Graph(NamedTuple):
    """A captured graph of both passes, whose replay computes losses and gradients for the images
    and labels that were copied into x and y."""

    graph: "torch.cuda.CUDAGraph"
    x: Tensor
    y: Tensor
    losses: Tensor
    gradients: list[Tensor | None]  # for each weight


class Graphs:
    """The graphs of networks that are trained together, one for each shape of a batch.

    `losses = graphs(x, y)` returns what `compute(x, y)` returns, and leaves the same gradients.

    The first batch of a shape is computed step by step, which warms the GPU up. With the second
    batch a graph is captured. It is kept if it has the same bits as the passes step by step:
    losses, gradients and buffers. Otherwise all batches are computed step by step, for instance for
    a network that reads a value from the GPU.
    """

    def __init__(self, networks: Stack | Branches, compute: Compute) -> None:
        self.networks = networks
        self.compute = compute
        weights, self.buffers = networks.weights_and_buffers()
        self.weights = [weight for weight in weights if weight.requires_grad]
        self.places = self.find_places()
        # By the shape of a batch: its graph, None before one is tried, or False if the trial failed
        self.graphs: dict[tuple, Graph | bool | None] = {}

    def find_places(self) -> list[tuple[int, bool]]:
        """For each weight and buffer its address in memory, and whether it learns.

        A graph reads and writes at these addresses, and knows nothing else of the tensors.
        """
        weights, buffers = self.networks.weights_and_buffers()
        return [(tensor.data_ptr(), tensor.requires_grad) for tensor in (*weights, *buffers)]

    def fit(self) -> bool:
        """Whether all weights and buffers are where they were."""
        return self.places == self.find_places()

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        shape = x.shape, x.stride()
        if shape not in self.graphs:
            self.graphs[shape] = None
            return self.compute(x, y)
        if self.graphs[shape] is None:
            self.graphs[shape] = self.capture(x, y) or False
        graph = self.graphs[shape]
        if not isinstance(graph, Graph):
            return self.compute(x, y)
        graph.x.copy_(x)
        graph.y.copy_(y)
        graph.graph.replay()
        for weight, gradient in zip(self.weights, graph.gradients, strict=True):
            weight.grad = gradient
        return graph.losses

    def capture(self, x: Tensor, y: Tensor) -> Graph | None:
        """Capture both passes as a graph, and try it. The networks are left as they were.

        Returns:
            None if the passes cannot be captured, or if the graph has other bits.
        """
        if not self.fit():  # a network makes new buffers in each pass
            return None
        x = x.clone()
        y = y.clone()
        graph = torch.cuda.CUDAGraph()
        before = [buffer.clone() for buffer in self.buffers]
        stream = torch.cuda.Stream()
        nets = self.networks.nets
        streams = [torch.cuda.Stream() for _ in nets] if len(nets) > 1 else []
        stream.wait_stream(torch.cuda.current_stream())
        try:
            with torch.cuda.stream(stream):  # a failed capture would leave its own stream on
                forbid_waiting(True)  # an error here is gentler than one during the capture
                losses = self.compute(x, y)
                forbid_waiting(False)
                expected = [tensor.clone() for tensor in self.outcomes(losses)]
                self.put_back(before)
                # Other threads may use the GPU meanwhile
                with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
                    losses = self.compute(x, y, streams=streams)
                gradients = [weight.grad for weight in self.weights]
                graph.replay()
                for after_replay, after_step in zip(self.outcomes(losses), expected, strict=True):
                    if not same_bits(after_replay, after_step):
                        return None
                return Graph(graph, x, y, losses, gradients)
        except Exception:  # something cannot be captured, or a weight has no gradient
            return None
        finally:
            forbid_waiting(False)
            torch.cuda.synchronize()
            self.put_back(before)

    def outcomes(self, losses: Tensor) -> list[Any]:
        """What both passes change: losses, gradients and buffers."""
        gradients = [weight.grad for weight in self.weights]
        return [losses, *gradients, *self.buffers]

    def put_back(self, before: list[Tensor]) -> None:
        """Copy earlier values back into the buffers."""
        for buffer, value in zip(self.buffers, before, strict=True):
            buffer.copy_(value)


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
