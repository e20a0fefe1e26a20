"""Devices: where runs are computed, in which arithmetic, and how that can fail."""

import platform
import re
import threading
import traceback
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
import torch.nn.functional as F

from cplab.errors import CplabError, Disturbed
from cplab.patches import check_patches


def use_defaults(threads: int) -> None:
    """Give torch its usual types and modes, and a number of threads, for all of this process."""
    torch.set_default_dtype(torch.float32)
    torch.set_grad_enabled(True)
    torch.set_num_threads(threads)


@dataclass
class Settings:
    """Settings of torch that all threads of a process share."""

    threads: int
    products: str  # the precision of float32 products; "" if torch's newer settings decide it


_lock = threading.Lock()
# An entry for each training that is under way. All are the same: the settings before any began
_before = list[Settings]()


@contextmanager
def settings_kept(threads: int | None) -> Iterator[None]:
    """A context with a number of torch's threads, and with float32 products in full precision.

    Both are put back at its end. If trainings overlap, the last to end restores the settings from
    before the first one, unless other code has changed them since.

    Arguments: threads; None for the number before.
    """
    with _lock:
        now = Settings(torch.get_num_threads(), matmul_precision())
        before = _before[0] if _before else now
        _before.append(before)
        if before.products:
            torch.set_float32_matmul_precision("highest")
        torch.set_num_threads(threads or before.threads)
    try:
        yield
    finally:
        with _lock:
            _before.pop()
            torch.set_num_threads(before.threads)  # each thread has its own number
            if not _before and before.products and matmul_precision() == "highest":
                torch.set_float32_matmul_precision(before.products)


@contextmanager
def torch_defaults(threads: int | None = None) -> Iterator[None]:
    """A context, or a decorator, in which torch has its usual device and modes in this thread,
    float32 products in full precision, and a number of threads.

    Other code's settings are put back at its end. The default type is not changed, since all
    threads share it: no number depends on it. Bits may depend on further settings: the precision of
    a result names those that are unusual.

    Arguments: threads, of torch; None for as many as before.

    Raises: Disturbed if other code has replaced what torch computes with.
    """
    check_patches()
    with settings_kept(threads), ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        for place in ("cpu", "cuda"):
            stack.enter_context(torch.autocast(place, torch.bfloat16, enabled=False))
        if torch.empty(0).device.type != "cpu":  # which device is usual, in every version of torch
            stack.enter_context(torch.device("cpu"))
        yield


def matmul_precision() -> str:
    """torch's precision of float32 products; "" if its newer settings decide it."""
    with suppress(RuntimeError):
        return torch.get_float32_matmul_precision()
    return ""


def pick(name: str = "auto") -> torch.device:
    """Choose a device.

    Arguments: name, cuda, mps or cpu; `auto` is the first of these that can train.

    Raises: CplabError if this machine does not have it.
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


def settings(arithmetic: str, device: torch.device) -> tuple[str, str]:
    """The settings of the process on which a run's bits depend: `precision`, and that of float32
    products."""
    return precision(arithmetic, device), matmul_precision()


def check_settings(before: tuple[str, str], arithmetic: str, device: torch.device) -> None:
    """Check that the settings, and torch's functions, are as they were before an epoch: its numbers
    may depend on both.

    Raises: Disturbed.
    """
    check_patches()
    now = settings(arithmetic, device)
    if now != before:
        raise disturbed(", ".join(before), ", ".join(now))


def check_products() -> None:
    """Check that other code has not changed the precision of float32 matrix products.

    It is called twice in each batch: within an epoch the precision may change and change back.

    Raises: Disturbed.
    """
    products = matmul_precision()
    if products not in ("highest", ""):
        raise disturbed("highest", products)


def disturbed(before: str, now: str) -> Disturbed:
    """The error of an epoch during which torch's settings changed."""
    return Disturbed(
        f"other code changed torch's settings during an epoch ({before} became {now}), so it "
        "is not kept: leave them as they are while something trains, and ask again"
    )


def memory_format(device: torch.device) -> torch.memory_format:
    """The memory layout of images and weights: channels last, except on GPUs without bfloat16,
    where float32 convolutions would be slower."""
    if device.type == "cuda" and not has_bf16(device):
        return torch.contiguous_format
    return torch.channels_last


def precision(arithmetic: str, device: torch.device) -> str:
    """The precision of a run's products on a device, bf16 or float32, followed by settings of torch
    that are unusual and that the package does not set.

    >>> precision("float32", torch.device("cpu"))
    'float32'
    """
    words = ["float32"]
    if arithmetic == "native" and has_bf16(device):
        words = ["bf16"]
    if not torch.backends.mkldnn.enabled:
        words.append("oneDNN off")
    # A CPU computes the same with deterministic algorithms
    if device.type != "cpu" and torch.are_deterministic_algorithms_enabled():
        words.append("deterministic")
    if not matmul_precision():
        words.append("own fp32_precision")
    smallest = torch.tensor(1e-40, dtype=torch.float32, device="cpu")  # below float32's usual range
    if smallest.mul(1) == 0:
        words.append("no denormals")
    return ", ".join(words)


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

    Arguments: device; arithmetic, native or float32.
    """
    # torch caches casts of weights until the outermost autocast ends. That is `torch_defaults`,
    # around all steps of a training: the casts would be those of the first batch throughout.
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
