"""Where a run is computed: the devices of this machine, their arithmetic, and how they fail."""

import platform
import re
import threading
import traceback
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from cplab.errors import CplabError, Disturbed
from cplab.patches import check_patches


def usable_cores() -> int:
    """The number of cores that this process may use, by its affinity and its container's quota."""
    import loky

    return loky.cpu_count()


if torch.get_num_threads() > usable_cores():  # torch knows nothing of quotas
    torch.set_num_threads(usable_cores())

LARGE = ("slim", "paper")  # profiles whose networks fill several cores, or a GPU


@dataclass
class Settings:
    """The settings of torch that hold for the whole process."""

    threads: int
    products: str  # the precision of float32 products, "" where torch's newer settings say it


_lock = threading.Lock()
_before = list[Settings]()  # the settings before any training, once for each that goes on


@contextmanager
def settings_kept(threads: int | None) -> Iterator[None]:
    """Set this thread's number of torch's threads, and float32 products in full precision, and
    restore both. Of trainings that overlap the last one restores what the first one found; but not
    what other code has set since."""
    with _lock:
        found = Settings(torch.get_num_threads(), matmul_precision())
        before = _before[0] if _before else found
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
    """Give torch its usual device and modes in this thread, float32 products in full precision, and
    `threads`, and restore those of other code afterwards. Also a decorator. The default type stays
    as it is, since all threads share it: no number may depend on it. Bits may depend on other
    settings too: a result's precision names those that are not the usual ones. Raises: Disturbed
    where other code has replaced what torch computes with."""
    check_patches()
    with settings_kept(threads), ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        for place in ("cpu", "cuda"):
            stack.enter_context(torch.autocast(place, torch.bfloat16, enabled=False))
        if torch.empty(0).device.type != "cpu":  # a question that every version can answer
            stack.enter_context(torch.device("cpu"))
        yield


def matmul_precision() -> str:
    """torch's precision of float32 products, "" where its newer settings say it."""
    with suppress(RuntimeError):
        return torch.get_float32_matmul_precision()
    return ""


def pick(name: str = "auto") -> torch.device:
    """Choose a device: cuda, mps or cpu; `auto` is the first that can train. Raises: CplabError."""
    mps = torch.backends.mps.is_available()
    available = {"cuda": torch.cuda.is_available(), "mps": mps, "cpu": True}
    kinds = [kind for kind, is_available in available.items() if is_available]
    if name == "auto":
        name = next(kind for kind in kinds if kind == "cpu" or can_train(kind))
    with suppress(RuntimeError, TypeError):
        if (device := torch.device(name)).type in kinds:
            if device.type == "cuda" and device.index is not None:
                torch.cuda.set_device(device)  # whose streams, graphs and kernels are meant
            return device
    what = f"device {name!r} is not available (found: {', '.join(kinds)})"
    raise CplabError(f"{what}: take one of these")


@cache
def can_train(name: str) -> bool:
    """Whether a device can do all that training needs, by a trial of one small step. A GPU that is
    old, full or only partly supported by torch cannot."""
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
    with suppress(OSError, IndexError):
        chip = re.findall(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())[0]
    return f"{device.type} {torch.backends.cpu.get_cpu_capability()} {chip}"


def has_bf16(device: torch.device) -> bool:
    """Whether bfloat16 is native on a device; elsewhere training is in float32."""
    if device.type == "cuda":
        with torch.cuda.device(device):
            return torch.cuda.is_bf16_supported(including_emulation=False)
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return device.type == "cpu" and any(getattr(torch.cpu, check, bool)() for check in checks)


def settings(arithmetic: str, device: torch.device) -> tuple[str, str]:
    """The settings of the process on which a run's bits depend: see `precision`, and the precision
    of float32 products."""
    return precision(arithmetic, device), matmul_precision()


def check_settings(before: tuple[str, str], arithmetic: str, device: torch.device) -> None:
    """Raise Disturbed if the settings, or torch's functions, are no longer what they were before an
    epoch: its numbers may be of both."""
    check_patches()
    now = settings(arithmetic, device)
    if now != before:
        raise disturbed(", ".join(before), ", ".join(now))


def check_products() -> None:
    """Raise Disturbed if other code has changed the precision of float32 products. It is asked
    twice a batch: between two epochs it may change and change back."""
    products = matmul_precision()
    if products not in ("highest", ""):
        raise disturbed("highest", products)


def disturbed(before: str, now: str) -> Disturbed:
    """The error of an epoch in which torch's settings changed."""
    return Disturbed(
        f"other code changed torch's settings during an epoch ({before} became {now}), which is "
        "not kept: leave them as they are while something trains, and ask again"
    )


def memory_format(device: torch.device) -> torch.memory_format:
    """How images and weights lie in memory: channels last, but on a GPU without bfloat16, whose
    convolutions in float32 take longer so."""
    last = device.type != "cuda" or has_bf16(device)
    return torch.channels_last if last else torch.contiguous_format


def precision(arithmetic: str, device: torch.device) -> str:
    """The format of a run's products on a device, bf16 or float32, and what torch's settings are
    that this process did not set and that are not the usual ones."""
    deterministic = torch.are_deterministic_algorithms_enabled()
    unusual = {
        "oneDNN off": not torch.backends.mkldnn.enabled,
        # a CPU computes the same with it
        "deterministic": device.type != "cpu" and deterministic,
        "own fp32_precision": not matmul_precision(),
        "no denormals": not torch.tensor(1e-40, dtype=torch.float32, device="cpu").mul(1),
    }
    words = ["bf16" if arithmetic == "native" and has_bf16(device) else "float32"]
    return ", ".join(words + [word for word, holds in unusual.items() if holds])


def algorithms(device: torch.device, arithmetic: str = "native") -> Any:
    """A context in which convolutions on a GPU and their gradients give the same bits each time,
    and float32 does not use tf32. On a CPU nothing is set."""
    if device.type != "cuda":
        return nullcontext()
    tf32 = arithmetic != "float32"
    return torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=tf32)


@contextmanager
def autocast(device: torch.device, arithmetic: str = "native") -> Iterator[None]:
    """Compute products in bfloat16 where the machine has it, or all in float32 if that is asked
    for. A backward pass needs `algorithms` around it too: cuDNN reads its settings again there."""
    # torch keeps casts of weights until the outermost autocast ends. That is `torch_defaults`, and
    # it spans all steps of a training: kept casts would be those of the first batch throughout.
    enabled = arithmetic == "native" and has_bf16(device)
    how = {"enabled": enabled, "cache_enabled": False}
    with algorithms(device, arithmetic), torch.autocast(device.type, torch.bfloat16, **how):
        yield


FAILURES = (
    "out of memory|can't allocate memory|not enough memory|MemoryError|"
    "cuda error|cuda driver|nvidia driver|cudnn|cublas|cusolver"
)


def is_failure(error: BaseException) -> bool:
    """Whether an error is that of a full memory or of a lost GPU."""
    text = f"{type(error).__name__}: {error}".partition("\n")[0]
    hardware = isinstance(error, RuntimeError | MemoryError)
    return hardware and re.search(FAILURES, text, re.I) is not None


@contextmanager
def explain_failures() -> Iterator[None]:
    """Turn the many errors of a full memory or a lost GPU into one clear line. However a training
    fails or is interrupted, its frames let go of all tensors, which the error would keep alive."""
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
        how = "what was trained is kept; ask again with fewer workers, a smaller profile or"
        what = f"the memory does not suffice or the GPU failed ({text[:100]})"
        raise CplabError(f"{what}: {how} --device cpu") from error
