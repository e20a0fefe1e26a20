"""Forward and backward passes of images, a chunk at a time, which give each layer's inputs and
output gradients; and the checks that a network allows them."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge

from cplab import devices
from cplab.errors import CplabError, Diverged, require
from cplab.models.layers import Pointwise

CONNECTIONS = (nn.Conv2d, nn.Linear)  # whose weights the paper compares with synapses
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
ALLOWED = (*CONNECTIONS, Pointwise, *NORMS)

# About how many bytes the images of a pass take. More is slower on a CPU: one layer's output would
# have left the cache before the next layer needs it.
WORK = {"cpu": 2**27, "cuda": 2**30, "mps": 2**28}

Layers = dict[str, Any]  # modules by name
Calls = dict[str, list["Call"]]
Vectors = Callable[[Tensor, slice], Tensor]
Grads = tuple[Tensor, ...]


def counted_layers(net: nn.Module, x: Tensor) -> Layers:
    """The convolutions and linear layers of a network, by name.

    Raises: CplabError for a parameter whose gradient does not follow from a layer's inputs and
        outputs, for no images, and for images that are not floating point.
    """
    message = f"images of type {x.dtype} are not allowed: normalise them first"
    require(x.is_floating_point(), message)
    require(len(x), "no images: the Fisher information is a mean over images, give some")
    owners: dict[int, str] = {}
    layers = {}
    for name, module in net.named_modules():
        name = name or type(module).__name__
        for key, parameter in module.named_parameters(recurse=False):
            layer = f"layer {name!r} ({type(module).__name__}, parameter {key!r}) is not allowed"
            allowed = type(module) in ALLOWED and key in ("weight", "bias")
            how = "parameters may belong to Conv2d, Linear and BatchNorm layers"
            require(allowed, f"{layer}: {how}")
            owner = owners.setdefault(id(parameter), name)
            message = f"layers {owner!r} and {name!r} share a parameter, which is not allowed"
            require(owner == name, f"{message}: give each its own")
        depends = isinstance(module, NORMS) and module.running_mean is None
        why = "without running statistics an image's gradient depends on the other images"
        require(not depends, f"layer {name!r} is not allowed: {why}")
        if isinstance(module, CONNECTIONS):
            layers[name] = module
    require(layers, "the network has no weights of convolutions or linear layers to count")
    return layers


class Call(NamedTuple):
    """The inputs and outputs of one call of a layer."""

    input: Tensor
    version: int  # of the input: how often it was changed in place
    output: GradientEdge  # where the graph holds the gradient at the output
    size: int  # of the output


@contextmanager
def record_calls(net: nn.Module, layers: Layers) -> Iterator[Calls]:
    """Record each layer's calls, in eval mode, with gradients, in float32."""
    calls: Calls = {name: [] for name in layers}

    def record(name: str, module: nn.Module, args: Any, kwargs: Any, output: Tensor) -> None:
        a = args[0] if args else kwargs["input"]
        message = f"layer {name!r} is not allowed: the network cuts off its gradient"
        require(output.requires_grad, message)
        # An edge, not the tensor: a ReLU that follows may overwrite that in place.
        call = Call(a.detach(), a._version, get_gradient_edge(output), output.numel())
        calls[name].append(call)

    device = next(net.parameters()).device
    with ExitStack() as stack:
        for module in net.modules():
            stack.callback(setattr, module, "training", module.training)
        net.eval()
        for name, layer in layers.items():
            hook = layer.register_forward_hook(partial(record, name), with_kwargs=True)
            stack.enter_context(hook)
        with devices.autocast(device, "float32"), torch.enable_grad():
            yield calls


def logits_of(run: Callable[[Tensor], Tensor], x: Tensor, calls: Calls) -> Tensor:
    """Compute logits (N, C) of images on the network's device, and record the layers' calls.

    Raises: Diverged if they are not finite; CplabError for a layer that was not called once.
    """
    for layer_calls in calls.values():
        layer_calls.clear()
    try:
        with devices.explain_failures():
            logits = run(x)
    except (RuntimeError, ValueError, IndexError) as error:
        reason = str(error).partition("\n")[0][:200]
        what = f"images of shape {tuple(x.shape[1:])} do not fit the network ({reason})"
        raise CplabError(f"{what}: give images of a shape that it takes") from error
    allowed = logits.ndim == 2 and len(logits) == len(x) and logits.shape[1] > 1
    wanted = f"the network has to give ({len(x)}, classes) for {len(x)} images, 2 classes or more"
    require(allowed, f"logits of shape {tuple(logits.shape)} are not allowed: {wanted}")
    if not logits.isfinite().all():
        raise Diverged("the logits are not finite: the network has diverged, or the images have")
    for name, layer_calls in calls.items():
        what = f"layer {name!r} is used {len(layer_calls)} times, which is not allowed"
        why = "its gradient is known only if it is called once for all images"
        require(len(layer_calls) == 1, f"{what}: {why}")
        [call] = layer_calls
        unchanged = len(call.input) == len(x) and call.input._version == call.version
        why = "its input is changed in place, or its first dimension is not that of the images"
        require(unchanged, f"layer {name!r} is not allowed: {why}")
    return logits


def each_layer(
    net: nn.Module,
    x: Tensor,
    layers: Layers,
    vectors: Vectors,
    use: Callable[[str, slice, Tensor, Grads], None],
    weights: dict[str, Tensor] | None = None,
    gradients: bool = False,
) -> None:
    """Give each layer's inputs and output gradients to `use`, a chunk of images at a time.

    Arguments:
        vectors: (probabilities (n, C) of a chunk, its rows) -> the vectors to send back from the
            logits, (k, n, C).
        use: called with the layer's name, the rows, its input and k gradients at its output.
        weights: to use in place of the network's own, by their names in it.
        gradients: whether `use` makes each image's weight gradients, which take memory.
    """
    weight = next(net.parameters())
    run = partial(torch.func.functional_call, net, weights) if weights else net

    def forward(rows: slice) -> tuple[Tensor, Tensor]:
        images = x[rows].detach().to(weight, copy=True).requires_grad_()
        logits = logits_of(run, images, calls)
        return logits, vectors(logits.detach().softmax(1), rows)

    def back_and_forth(rows: slice) -> None:
        logits, sent = forward(rows)
        edges = [layer_calls[0].output for layer_calls in calls.values()]
        # From a number: for vectors torch would load sympy, which takes a third of a second.
        backward = partial(torch.autograd.grad, inputs=edges, retain_graph=True, allow_unused=True)
        grads = list(zip(*(backward((logits * v).sum()) for v in sent), strict=True))
        for name in reversed(layers):  # popping frees the memory of gradients after their use
            layer_grads = grads.pop()
            if layer_grads[0] is not None:  # else the logits do not depend on this layer
                use(name, rows, calls[name][0].input, layer_grads)

    with record_calls(net, layers) as calls:
        k = len(forward(slice(0, 1))[1])
        # For each image: k gradients at each output, a copy of some, about five outputs that the
        # network keeps for them, and the gradients of the largest layer.
        numbers = (10 + 3 * k) * sum(call.size for (call,) in calls.values()) // 2
        if gradients:
            numbers += k * max(layer.weight.numel() for layer in layers.values())
        most = max(1, WORK[weight.device.type] // (weight.element_size() * numbers))
        size = -(-len(x) // -(-len(x) // most))  # chunks of equal size
        for begin in range(0, len(x), size):
            back_and_forth(slice(begin, min(begin + size, len(x))))
