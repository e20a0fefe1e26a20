"""Devices: where runs are computed, in which arithmetic, and how that can fail."""

import platform
import re
import traceback
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import cache
from pathlib import Path

import torch
import torch.nn.functional as F

from cplab.base.errors import CplabError


def use_defaults() -> None:
    """Give torch its usual type and precision, and one thread, for all of this process."""
    torch.set_default_dtype(torch.float32)
    torch.set_float32_matmul_precision("highest")
    torch.set_num_threads(1)


def pick(name: str = "auto") -> torch.device:
    """Choose a device.

    Arguments:
        name: cuda, mps or cpu; `auto` is the first of these that can train.

    Raises:
        CplabError: if this machine does not have it.
    """
    kinds = []
    if torch.cuda.is_available():
        kinds.append("cuda")
    if torch.backends.mps.is_available():
        kinds.append("mps")
    kinds.append("cpu")
    if name == "auto":
        name = next(kind for kind in kinds if kind == "cpu" or can_train(kind))
    with suppress(RuntimeError, TypeError):  # torch knows no device of this name
        device = torch.device(name)
        if device.type in kinds:
            if device.type == "cuda" and device.index is not None:
                torch.cuda.set_device(device)  # for streams, graphs and kernels
            return device
    problem = f"device {name!r} is not available (found: {', '.join(kinds)})"
    raise CplabError(f"{problem}: take one of these")


@cache
def can_train(name: str) -> bool:
    """Whether a device can do all that training needs. A small step is tried on it: a GPU that is
    old, full, or supported by torch only in part cannot do it."""
    device = torch.device(name)
    try:
        x = torch.ones(2, 3, 8, 8, device=device, dtype=torch.float32)
        x = F.interpolate(x, size=(4, 4), mode="bilinear", antialias=True)
        weight = torch.nn.Parameter(torch.ones(4, 3, 3, 3, device=device, dtype=torch.float32))
        with autocast(device):
            loss = F.conv2d(x, weight).float().sum()
        loss.backward()
        torch.optim.SGD([weight], lr=0.1, momentum=0.9, fused=True).step()
        return bool(weight.isfinite().all())
    except (RuntimeError, TypeError):
        return False


@cache
def machine(device: torch.device) -> str:
    """The device and the kind of chip on which bits depend: cuda NVIDIA H200, cpu AVX2 AMD EPYC."""
    if device.type == "cuda":
        return f"cuda {torch.cuda.get_device_name(device)}"
    chip = platform.processor() or platform.machine()
    with suppress(OSError):  # only Linux has this file
        match = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
        if match:
            chip = match[1]
    return f"{device.type} {torch.backends.cpu.get_cpu_capability()} {chip}"


def has_bf16(device: torch.device) -> bool:
    """Whether a device has bfloat16 in hardware. On others, training is in float32."""
    if device.type == "cuda":
        with torch.cuda.device(device):
            return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu":
        return False
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        is_supported = getattr(torch.cpu, name, None)  # some versions of torch lack it
        if is_supported and is_supported():
            return True
    return False


def memory_format(device: torch.device) -> torch.memory_format:
    """The memory layout of images and weights: channels last, except on GPUs without bfloat16,
    where float32 convolutions would be slower."""
    if device.type == "cuda" and not has_bf16(device):
        return torch.contiguous_format
    return torch.channels_last


def precision(arithmetic: str, device: torch.device) -> str:
    """The precision of a run's products on a device, bf16 or float32.

    >>> precision("float32", torch.device("cpu"))
    'float32'
    """
    return "bf16" if arithmetic == "native" and has_bf16(device) else "float32"


def algorithms(device: torch.device, arithmetic: str = "native") -> AbstractContextManager[None]:
    """A context in which convolutions on a GPU, and their gradients, give the same bits each time,
    and float32 does not use tf32. On a CPU nothing changes."""
    if device.type != "cuda":
        return nullcontext()
    tf32 = arithmetic != "float32"
    return torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=tf32)


@contextmanager
def autocast(device: torch.device, arithmetic: str = "native") -> Iterator[None]:
    """A context in which products are computed in bfloat16 if the device has it, or all in float32
    if that is asked for.

    A backward pass must be within `algorithms` as well: cuDNN then reads its settings again.

    Arguments:
        device: the device.
        arithmetic: native or float32.
    """
    # torch caches casts of weights until the outermost autocast ends, which may be a student's own
    # around all steps: the casts would be those of the first batch throughout.
    cast = torch.autocast(
        device.type,
        torch.bfloat16,
        enabled=arithmetic == "native" and has_bf16(device),
        cache_enabled=False,
    )
    with algorithms(device, arithmetic), cast:
        yield


FAILURES = (
    "out of memory|can't allocate memory|not enough memory|MemoryError|"
    "cuda error|cuda driver|nvidia driver|cudnn|cublas|cusolver"
)


def is_failure(error: BaseException) -> bool:
    """Whether an error says that the memory is full or that a GPU is lost."""
    if not isinstance(error, RuntimeError | MemoryError):
        return False
    text = f"{type(error).__name__}: {error}".partition("\n")[0]
    return re.search(FAILURES, text, re.I) is not None


@contextmanager
def explain_failures() -> Iterator[None]:
    """A context that turns the many errors of a full memory or a lost GPU into one clear line.

    However training fails or is interrupted, its frames are cleared: the error would otherwise keep
    their tensors in memory.
    """
    try:
        yield
    except BaseException as error:
        text = f"{type(error).__name__}: {error}".partition("\n")[0]
        failure: BaseException | None = error
        while failure:
            traceback.clear_frames(failure.__traceback__)
            failure = failure.__cause__ or failure.__context__
        if not is_failure(error):
            raise
        problem = f"there was not enough memory, or the GPU failed ({text[:100]})"
        remedy = "ask again with fewer workers, a smaller profile or --device cpu"
        raise CplabError(f"{problem}: what was trained is kept; {remedy}") from error
