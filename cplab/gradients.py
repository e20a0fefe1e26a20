"""The gradients of one training step; on a CUDA GPU recorded once as a graph and replayed.

A step of these networks is many small kernels, and a CUDA graph launches them together. What that
saves on a card is for `cplab bench` to say (paper_graph).
"""

import threading
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from functools import lru_cache
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cplab.devices import algorithms, autocast

WARMING = 3  # steps before a recording, in which libraries choose their kernels
RECORDED = ("cuda",)  # devices that have graphs


def plain(net: Callable, weights: list[nn.Parameter], arithmetic: str, x: Tensor, y: Tensor):
    """The gradients, operation by operation.

    Arguments: net, as it is or compiled; weights, its parameters; arithmetic, as of a Run; images
        x (N, C, H, W); labels y (N,).
    Returns: the mean loss, (), while each weight's `grad` is new.
    """
    for weight in weights:
        weight.grad = None
    with algorithms(arithmetic):
        with autocast(x.device, arithmetic):
            loss = F.cross_entropy(net(x), y)
        loss.backward()
    return loss.detach()


@lru_cache
def beside(device: int) -> torch.cuda.Stream:
    """The stream on which all of a GPU is recorded: libraries keep a workspace for each stream."""
    return torch.cuda.Stream(device)


def on_cuda(work: Callable[[], Tensor]) -> tuple[Tensor, Callable[[], None]]:
    """Record what `work` does to tensors that stay where they are.

    Returns: what it gave, and a function that does it again, with the same tensors.
    """
    side = beside(torch.cuda.current_device())
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(WARMING):
            work()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    try:
        # other threads may use the GPU
        with torch.cuda.graph(graph, stream=side, capture_error_mode="thread_local"):
            given = work()
    except RuntimeError:
        _refused.set()
        raise
    return given, graph.replay


class Recorded:
    """The gradients of batches of one shape, as a graph.

    Arguments: net, in training mode; arithmetic, as of a Run; x, y, a batch; forward, what to call
        in place of `net`, such as a compiled one.
    """

    def __init__(self, net: nn.Module, arithmetic: str, x, y, forward: Callable | None = None):
        self.weights = list(net.parameters())
        self.x, self.y = x.clone(memory_format=torch.channels_last), y.clone()
        before = [(buffer, buffer.clone()) for buffer in net.buffers()]
        try:
            self.loss, self.again = on_cuda(
                lambda: plain(forward or net, self.weights, arithmetic, self.x, self.y)
            )
        finally:
            with torch.no_grad():
                for buffer, value in before:  # warming has moved the running statistics
                    buffer.copy_(value)
        self.gradients = [weight.grad for weight in self.weights]

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        self.x.copy_(x)
        self.y.copy_(y)
        self.again()
        for weight, gradient in zip(self.weights, self.gradients, strict=True):
            weight.grad = gradient
        return self.loss


_taken = WeakKeyDictionary()  # how a network's steps are taken; a recording ends with its network
_recording = threading.Lock()  # CUDA records one graph at a time
_refused = threading.Event()  # a recording that breaks off leaves torch's memory in disorder


def gradients(net: nn.Module, arithmetic: str, x: Tensor, y: Tensor) -> Tensor:
    """The gradients of the mean loss of a batch, into each weight's `grad`; the network is in
    training mode.

    Arguments: arithmetic, as of a Run; images x (N, C, H, W); labels y (N,).
    Returns: the mean loss, (), which the next call may overwrite.
    """
    known = _taken.get(net)
    if known is None:
        known = taken(net, arithmetic, x, y)
    if isinstance(known, Recorded) and known.x.shape == x.shape:
        return known(x, y)
    return plain(net, list(net.parameters()), arithmetic, x, y)


def taken(
    net: nn.Module, arithmetic: str, x: Tensor, y: Tensor, as_graph: bool = True, forward=None
) -> Recorded | str:
    """Settle how the steps of a network are taken from now on: as a recording, where the device
    has graphs and neither driver nor a layer refuses, or plainly.

    Arguments: as of Recorded; as_graph, whether a recording is wanted.
    """
    _taken[net] = "plainly"
    if as_graph and x.device.type in RECORDED and not _refused.is_set():
        try:
            with _recording, torch.cuda.device(x.device) if x.is_cuda else nullcontext():
                _taken[net] = Recorded(net, arithmetic, x, y, forward)
        except torch.cuda.OutOfMemoryError:
            raise
        except RuntimeError as error:
            said = str(error).partition("\n")[0]
            warnings.warn(f"steps are taken without a CUDA graph: {said}", stacklevel=2)
    return _taken[net]
