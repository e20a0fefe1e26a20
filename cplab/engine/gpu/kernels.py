"""GPU kernels that compute batch norm and the ReLU after it as one.

torch has five kernels for the two and three for their gradients. In bfloat16, those of batch norm
take longer than the convolutions of a small network. Here there are two kernels for each pass. They
are written in Triton, which comes with torch for NVIDIA's GPUs. They add up sums in another order,
so a result that was computed with them says so.
"""
# mypy: disable-error-code="import-not-found, import-untyped, no-redef, no-untyped-def"

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import cache, partial
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cplab.devices import has_bf16

triton: Any = None
tl: Any = None
if torch.cuda.is_available() or "TRITON_INTERPRET" in os.environ:  # loading it takes a while
    with suppress(ImportError):  # torch has none for other systems
        import triton
        import triton.language as tl

TILE = 8192  # numbers that a program takes at a time
PARTS = 64  # the most parts of the rows, whose sums each program that needs them adds up
PROGRAMS = 264  # two for each processor of a large GPU
CASTS = nn.Conv2d, nn.Linear  # layers that autocast computes in bfloat16

# Images (N, C, H, W) are seen as a matrix: a row for each pixel of all images, a column for each
# channel. A name that ends in _at is the address at which an array begins. g is the gradient of the
# output, and rstd is 1 / √(variance + ε)
if triton:

    @triton.jit(do_not_specialize=["rows"])
    def sum_kernel(
        x_at, g_at, mean_at, scale_at, bias_at, sums_at, rows, channels,
        COLUMNS: tl.constexpr, ROWS: tl.constexpr, BACKWARD: tl.constexpr
    ):  # fmt: skip
        """Two sums over a part of the rows, for each channel.

        Forward: of x − x₀ and of (x − x₀)², where x₀ is the first row, which keeps numbers small.
        Backward: of g and of g · (x − mean), with g after ReLU.
        """
        part = tl.program_id(0)
        parts = tl.num_programs(0)
        column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
        is_channel = column < channels
        about = tl.load((mean_at if BACKWARD else x_at) + column, is_channel, 0.0).to(tl.float32)
        if BACKWARD:
            scale, bias = load_both(scale_at, bias_at, column, is_channel)
        first = tl.zeros((ROWS, COLUMNS), tl.float32)
        second = tl.zeros((ROWS, COLUMNS), tl.float32)
        for begin in range(part * ROWS, rows, parts * ROWS):
            row = begin + tl.arange(0, ROWS)
            inside = (row < rows)[:, None] & is_channel[None]
            at = row[:, None] * channels + column[None]
            x = tl.load(x_at + at, inside, 0.0).to(tl.float32) - about[None]
            if BACKWARD:
                g = tl.load(g_at + at, inside, 0.0).to(tl.float32)
                g = tl.where(x * scale[None] + bias[None] <= 0, 0.0, g)
                first += g
                second += g * x
            else:
                x = tl.where(inside, x, 0.0)
                first += x
                second += x * x
        to = sums_at + part * 2 * channels + column
        tl.store(to, tl.sum(first, 0), is_channel)
        tl.store(to + channels, tl.sum(second, 0), is_channel)

    @triton.jit
    def load_both(first_at, second_at, column, is_channel):
        """Two values of each channel."""
        first = tl.load(first_at + column, is_channel, 0.0)
        second = tl.load(second_at + column, is_channel, 0.0)
        return first, second

    @triton.jit
    def add_up(sums_at, parts, channels, column, is_channel, MOST: tl.constexpr):
        """Both sums over all rows, for each channel."""
        part = tl.arange(0, MOST)
        among = (part < parts)[:, None] & is_channel[None]
        at = sums_at + part[:, None] * 2 * channels + column[None]
        first = tl.load(at, among, 0.0)
        second = tl.load(at + channels, among, 0.0)
        return tl.sum(first, 0), tl.sum(second, 0)

    @triton.jit(do_not_specialize=["rows", "parts"])
    def norm_kernel(
        x_at, y_at, sums_at, weight_at, bias_at, mean_at, rstd_at, scale_at,
        running_mean_at, running_var_at, count_at, rows, channels, parts, momentum, eps,
        COLUMNS: tl.constexpr, ROWS: tl.constexpr, MOST: tl.constexpr
    ):  # fmt: skip
        """Mean and deviation from the sums, and with them batch norm and ReLU. NaN stays NaN,
        unlike in a maximum, so that a diverging run is noticed."""
        column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
        is_channel = column < channels
        first, second = add_up(sums_at, parts, channels, column, is_channel, MOST)
        first = first / rows
        second = second / rows
        mean = tl.load(x_at + column, is_channel, 0.0).to(tl.float32) + first
        var = second - first * first
        var = tl.where(var < 0, 0.0, var)
        rstd = 1 / tl.sqrt(var + eps)
        weight, bias = load_both(weight_at, bias_at, column, is_channel)
        scale = weight * rstd
        if tl.program_id(0) == 0:
            tl.store(mean_at + column, mean, is_channel)
            tl.store(rstd_at + column, rstd, is_channel)
            tl.store(scale_at + column, scale, is_channel)
            old_mean, old_var = load_both(running_mean_at, running_var_at, column, is_channel)
            unbiased = var * (rows / (rows - 1))
            tl.store(running_mean_at + column, old_mean + momentum * (mean - old_mean), is_channel)
            tl.store(running_var_at + column, old_var + momentum * (unbiased - old_var), is_channel)
            if tl.program_id(1) == 0:
                tl.store(count_at, tl.load(count_at) + 1)
        for begin in range(tl.program_id(0) * ROWS, rows, tl.num_programs(0) * ROWS):
            row = begin + tl.arange(0, ROWS)
            inside = (row < rows)[:, None] & is_channel[None]
            at = row[:, None] * channels + column[None]
            x = tl.load(x_at + at, inside, 0.0).to(tl.float32) - mean[None]
            y = x * scale[None] + bias[None]
            tl.store(y_at + at, tl.where(y < 0, 0.0, y).to(y_at.dtype.element_ty), inside)

    @triton.jit(do_not_specialize=["rows", "parts"])
    def gradient_kernel(
        x_at, g_at, out_at, sums_at, mean_at, rstd_at, scale_at, bias_at, to_weight_at, to_bias_at,
        rows, channels, parts,
        COLUMNS: tl.constexpr, ROWS: tl.constexpr, MOST: tl.constexpr
    ):  # fmt: skip
        """The gradients of batch norm and ReLU from those of their output, and from the sums."""
        column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
        is_channel = column < channels
        first, second = add_up(sums_at, parts, channels, column, is_channel, MOST)
        mean, rstd = load_both(mean_at, rstd_at, column, is_channel)
        scale, bias = load_both(scale_at, bias_at, column, is_channel)
        if tl.program_id(0) == 0:
            tl.store(to_bias_at + column, first, is_channel)
            tl.store(to_weight_at + column, second * rstd, is_channel)
        constant = first / rows
        slope = second * rstd * rstd / rows
        for begin in range(tl.program_id(0) * ROWS, rows, tl.num_programs(0) * ROWS):
            row = begin + tl.arange(0, ROWS)
            inside = (row < rows)[:, None] & is_channel[None]
            at = row[:, None] * channels + column[None]
            x = tl.load(x_at + at, inside, 0.0).to(tl.float32) - mean[None]
            g = tl.load(g_at + at, inside, 0.0).to(tl.float32)
            g = tl.where(x * scale[None] + bias[None] <= 0, 0.0, g)
            out = (g - constant[None] - x * slope[None]) * scale[None]
            tl.store(out_at + at, out.to(out_at.dtype.element_ty), inside)


class NormReLU(torch.autograd.Function):
    """Batch norm in training and ReLU, of images (N, C, H, W) that are channels last in memory."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, norm: nn.BatchNorm2d) -> Tensor:
        """The output, like x. weight and bias, (C,), are the norm's."""
        work = divide(x)
        sums = x.new_empty(work.parts, 2, work.channels, dtype=torch.float32)
        mean, rstd, scale = x.new_empty(3, work.channels, dtype=torch.float32)
        y = torch.empty_like(x)
        sum_kernel[work.summing](
            x, x, mean, scale, bias, sums, work.rows, work.channels, BACKWARD=False, **work.blocks
        )  # fmt: skip
        norm_kernel[work.writing](
            x, y, sums, weight, bias, mean, rstd, scale, norm.running_mean, norm.running_var,
            norm.num_batches_tracked, work.rows, work.channels, work.parts, norm.momentum, norm.eps,
            MOST=PARTS, **work.blocks,
        )  # fmt: skip
        ctx.save_for_backward(x, mean, rstd, scale, bias)
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple:
        """The gradients of x, weight and bias, and None for the norm."""
        x, mean, rstd, scale, bias = ctx.saved_tensors
        g = gradient.contiguous(memory_format=torch.channels_last)
        work = divide(x)
        sums = x.new_empty(work.parts, 2, work.channels, dtype=torch.float32)
        to_weight, to_bias = x.new_empty(2, work.channels, dtype=torch.float32)
        out = torch.empty_like(x)
        sum_kernel[work.summing](
            x, g, mean, scale, bias, sums, work.rows, work.channels, BACKWARD=True, **work.blocks
        )  # fmt: skip
        gradient_kernel[work.writing](
            x, g, out, sums, mean, rstd, scale, bias, to_weight, to_bias,
            work.rows, work.channels, work.parts, MOST=PARTS, **work.blocks,
        )  # fmt: skip
        return out, to_weight, to_bias, None


class Work(NamedTuple):
    """How images are divided among the programs of a kernel."""

    rows: int  # pixels of all images
    channels: int
    parts: int  # of the rows, each with its own sums
    summing: tuple[int, int]  # the numbers of programs that sum: down the rows, across the channels
    writing: tuple[int, int]  # the numbers of programs that write
    blocks: dict[str, int]  # how many channels and rows each takes at a time


def divide(x: Tensor) -> Work:
    """Divide images (N, C, H, W) among programs. Their shape alone decides it."""
    channels = x.shape[1]
    rows = x.numel() // channels
    columns = min(32, triton.next_power_of_2(channels))
    block = TILE // columns
    tiles = triton.cdiv(rows, block)
    across = triton.cdiv(channels, columns)
    parts = max(1, min(PARTS, tiles, PROGRAMS // across))
    writing = max(1, min(tiles, 2 * PROGRAMS // across))
    blocks = {"COLUMNS": columns, "ROWS": block, "num_warps": 8}
    return Work(rows, channels, parts, (parts, across), (writing, across), blocks)


def norm_relu(norm: Any, x: Tensor) -> Tensor:
    """Batch norm and ReLU of images (N, C, H, W), by the kernels above if they can compute it."""
    is_channels_last = x.is_contiguous(memory_format=torch.channels_last)
    fits = x.dtype == torch.bfloat16 and is_channels_last and x.numel() < 2**31
    is_usual_norm = norm.affine and norm.track_running_stats and norm.momentum is not None
    if fits and is_usual_norm and norm.training:
        return NormReLU.apply(x, norm.weight, norm.bias, norm)
    return nn.BatchNorm2d.forward(norm, x).relu()


@cache
def usable(device: torch.device, arithmetic: str = "native") -> bool:
    """Whether these kernels compute a run's passes on a device.

    The device must be a GPU with bfloat16, there must be Triton and what it needs, and on trial the
    kernels must give what torch gives.
    """
    if not (triton and arithmetic == "native" and device.type == "cuda" and has_bf16(device)):
        return False
    norm = nn.BatchNorm2d(24).to(device)
    relu = nn.ReLU()
    numbers = torch.arange(7 * 24 * 81, device=device, dtype=torch.float32)
    x = numbers.sin().view(7, 24, 9, 9).bfloat16()
    x = x.contiguous(memory_format=torch.channels_last)
    results = []  # of the kernels, then of torch: output, gradients of x and of the weight
    try:
        for compute in (partial(norm_relu, norm), nn.Sequential(norm, relu)):
            leaf = x.clone().requires_grad_()
            y = compute(leaf)
            y.backward(x)
            results.append((y.detach(), leaf.grad, norm.weight.grad))
            norm.weight.grad = None
        for ours, theirs in zip(*results, strict=True):
            if not torch.allclose(ours, theirs, rtol=0.05, atol=0.05):
                return False
        return True
    except torch.cuda.OutOfMemoryError:  # because of other programs, on which no number may depend
        raise
    except Exception:  # there is no compiler, or no folder for what it compiles
        return False


@contextmanager
def joined(nets: Sequence[nn.Module]) -> Iterator[None]:
    """A context in which networks compute both passes in bfloat16 with fewer kernels.

    Batch norm and ReLU are one. The mean over pixels is taken before the last layer instead of
    after it, which is the same. Images have eight colours instead of three. All weights, and their
    gradients, are cast at once.
    """
    with ExitStack() as stack:
        for net in nets:
            join_layers(net, stack)
        halves = Halves()
        for net in filter(is_known, nets):
            halves.put_into(net, stack)
        halves.fill()
        yield
        halves.hand_on_gradients()


def join_layers(net: nn.Module, stack: ExitStack) -> None:
    """Replace the `forward` of those layers that fewer kernels can compute, until the stack of
    contexts ends."""
    modules: list[Any] = [*net.modules()]
    for layer in filter(has_no_hooks, modules):
        if type(layer).forward is nn.Sequential.forward:
            layer.forward = partial(call_in_order, layer)
        elif is_usual(layer) and layer.in_channels < 4:
            layer.forward = partial(few_channels, layer)
        else:
            continue
        stack.callback(layer.__dict__.pop, "forward")


class Halves:
    """Copies in bfloat16 of float32 weights, which are cast at once, and so are their gradients.

    Attributes:
        weights: by their id, since layers may share them.
        halves: their copies, by the same id.
    """

    def __init__(self) -> None:
        self.weights: dict[int, nn.Parameter] = {}
        self.halves: dict[int, Tensor] = {}

    def put_into(self, net: nn.Module, stack: ExitStack) -> None:
        """Put copies in the place of a network's weights, until the stack of contexts ends. They
        have no numbers yet."""
        for module in net.modules():
            if type(module) not in CASTS:
                continue
            for name, weight in [*module._parameters.items()]:
                if weight is None or not weight.requires_grad:
                    continue
                if id(weight) not in self.weights:
                    self.weights[id(weight)] = weight
                    half = torch.empty_like(weight, dtype=torch.bfloat16, requires_grad=True)
                    self.halves[id(weight)] = half
                module._parameters[name] = self.halves[id(weight)]  # type: ignore[assignment]
                stack.callback(module._parameters.__setitem__, name, weight)

    def fill(self) -> None:
        """Cast all weights into their copies."""
        if self.weights:
            with torch.no_grad():
                torch._foreach_copy_([*self.halves.values()], [*self.weights.values()])

    def hand_on_gradients(self) -> None:
        """Cast the gradients of the copies, and add them to those of the weights."""
        learned = [key for key, half in self.halves.items() if half.grad is not None]
        if not learned:
            return
        rounded: list[Any] = [self.halves[key].grad for key in learned]
        gradients = [torch.empty_like(self.weights[key]) for key in learned]
        torch._foreach_copy_(gradients, rounded)
        for key, gradient in zip(learned, gradients, strict=True):
            weight = self.weights[key]
            weight.grad = gradient if weight.grad is None else weight.grad + gradient


def has_no_hooks(layer: nn.Module) -> bool:
    """Whether a layer computes what its class does, and has no hooks."""
    hooks = [value for name, value in vars(layer).items() if name.endswith("_hooks")]
    return "forward" not in vars(layer) and not any(hooks)


def is_known(net: nn.Module) -> bool:
    """Whether all layers of a network are torch's or the package's, in float32: then no student's
    code reads or changes weights or gradients meanwhile."""
    weights: list[Any] = [*net.parameters()]
    for weight in weights:
        if weight.dtype != torch.float32:
            return False
        if weight._backward_hooks or weight._post_accumulate_grad_hooks:
            return False
    for module in net.modules():
        is_ours = type(module).__module__.startswith(("torch.nn.", "cplab."))
        if not is_ours or not has_no_hooks(module):
            return False
    return True


def call_in_order(layers: nn.Sequential, x: Any) -> Any:
    """Compute what a Sequential does, with some neighbouring layers as one. The layers themselves
    are not changed."""
    remaining = [*layers]
    while remaining:
        layer = remaining.pop(0)
        follower = remaining[0] if remaining else None
        joined: Any = None
        if follower is not None and has_no_hooks(layer) and has_no_hooks(follower):
            if type(layer) is nn.BatchNorm2d and type(follower) is nn.ReLU:
                joined = norm_relu
            elif is_mean_of_pixels(layer, follower) and x.ndim == 4:
                joined = after_mean
        if joined:
            x = joined(layer, x)
            remaining.pop(0)
        else:
            x = layer(x)
    return x


def is_usual(layer: Any) -> bool:
    """Whether a layer is a convolution of all channels, without dilation and padded with zeros."""
    if type(layer) is not nn.Conv2d:
        return False
    return layer.groups == 1 and layer.dilation == (1, 1) and layer.padding_mode == "zeros"


def is_mean_of_pixels(layer: Any, follower: Any) -> bool:
    """Whether two layers are a 1×1 convolution of each pixel, and the mean over all pixels."""
    if type(follower) is not nn.AdaptiveAvgPool2d or follower.output_size not in (1, (1, 1)):
        return False
    is_pixelwise = is_usual(layer) and layer.kernel_size == (1, 1)
    return is_pixelwise and layer.stride == (1, 1) and layer.padding == (0, 0)


def after_mean(layer: Any, x: Tensor) -> Tensor:
    """A 1×1 convolution of the mean over all pixels, (N, C, 1, 1), of images (N, C, H, W)."""
    mean = x.permute(0, 2, 3, 1).flatten(1, 2).mean(1)  # its gradients are channels last, too
    return F.linear(mean, layer.weight.flatten(1), layer.bias)[:, :, None, None]


def few_channels(layer: Any, x: Tensor) -> Tensor:
    """A convolution of images of one or three colours. A tensor core takes at least eight channels,
    so the missing ones are zeros."""
    padding = (0, 0, 0, 0, 0, 8 - layer.in_channels)
    x = F.pad(x.to(layer.weight.dtype), padding)
    weight = F.pad(layer.weight, padding)
    return F.conv2d(x, weight, layer.bias, layer.stride, layer.padding)
