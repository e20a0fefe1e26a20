"""Where a run is computed: the devices of this machine, their arithmetic, and how they fail."""

import platform
import re
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache, partial
from operator import attrgetter
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from cplab.errors import CplabError, Exhausted, require


def usable_cores() -> int:
    """The number of cores that this process may use, by its affinity and its container's quota."""
    import loky

    return loky.cpu_count()


if torch.get_num_threads() > usable_cores():  # torch knows nothing of quotas
    torch.set_num_threads(usable_cores())


# The defaults of torch's newer settings of precision, which include the older ones
PRECISIONS = {"": "none", "mkldnn": "none", "mkldnn.conv": "none", "mkldnn.rnn": "none"}
PRECISIONS |= {"cudnn": "none", "cudnn.conv": "tf32", "cudnn.rnn": "tf32"}
PRECISIONS |= {"mkldnn.matmul": "ieee", "cuda.matmul": "ieee"}


_inside, _usual, _lock = 0, 1, threading.Lock()


@contextmanager
def _threads_kept() -> Iterator[None]:
    """Give the process its number of torch's threads back once no training is left in it: one that
    begins while another runs must not take that one's for the usual number."""
    global _inside, _usual
    with _lock:
        _usual = _usual if _inside else torch.get_num_threads()
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside:
                torch.set_num_threads(_usual)


SMALL = ("ci", "course", "fit", "matched")  # profiles whose networks are too small to fill a chip


@contextmanager
def torch_defaults(threads: int | None = None) -> Iterator[None]:
    """Give torch the settings that it has after import, and restore those of other code afterwards.

    They are all those on which bits depend: default type and device, number of threads (`threads`,
    or as it is), modes, autocast, algorithms, precision, oneDNN, denormals. Also a decorator.
    Raises: CplabError if another thread has changed the default type meanwhile.
    """
    sums, before = torch.backends.cuda.matmul, torch.get_num_threads()
    onednn: Any = torch.backends.mkldnn
    set_sums = partial(setattr, sums, "allow_bf16_reduced_precision_reduction")
    flushed = not torch.tensor(1e-40, dtype=torch.float32, device="cpu").mul(1)
    settings: list[tuple[Any, Any, Any]] = [  # (setter, present value, wanted value)
        (torch.set_default_dtype, torch.get_default_dtype(), torch.float32),
        (set_sums, sums.allow_bf16_reduced_precision_reduction, True),
        (partial(setattr, onednn, "enabled"), onednn.enabled, True),
        (torch.set_num_threads, before, threads or before),
        (torch.set_flush_denormal, flushed, False),
    ]
    for name, usual in PRECISIONS.items():
        with suppress(AttributeError):  # of an older torch
            place = attrgetter(f"backends.{name}".rstrip("."))(torch)
            settings.append(
                (partial(setattr, place, "fp32_precision"), place.fp32_precision, usual)
            )
    older = "highest"
    with suppress(RuntimeError):  # where the newer ones contradict it
        older = torch.get_float32_matmul_precision()
    settings.append((torch.set_float32_matmul_precision, older, "highest"))
    tf32 = True  # cuDNN's older switch, set last and restored first: it changes newer ones
    with suppress(RuntimeError):
        tf32 = torch.backends.cudnn.allow_tf32
    settings.append((partial(setattr, torch.backends.cudnn, "allow_tf32"), tf32, True))
    if torch.are_deterministic_algorithms_enabled():  # loads the compiler: not without need
        warn = torch.is_deterministic_algorithms_warn_only_enabled()
        settings.append((partial(torch.use_deterministic_algorithms, warn_only=warn), True, False))
    with ExitStack() as stack:
        stack.enter_context(_threads_kept())
        for put, now, wanted in settings:
            stack.callback(put, now)
            put(wanted)
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        for place in ("cpu", "cuda"):
            stack.enter_context(torch.autocast(place, torch.bfloat16, enabled=False))
        if torch.empty(0).device.type != "cpu":  # a question that every version can answer
            stack.enter_context(torch.device("cpu"))
        yield
        changed = torch.get_default_dtype() != torch.float32
        require(not changed, "torch's default type was changed while this was computed: ask again")


def usual_threads(profile: str) -> int:
    """The number of torch's threads that trains a profile's networks on a CPU beside other work:
    one for small networks, else all that the process has."""
    return 1 if profile in SMALL else torch.get_num_threads()


def pick(name: str = "auto") -> torch.device:
    """Choose a device: cuda, mps or cpu; `auto` is the first that can train. Raises: CplabError."""
    mps = torch.backends.mps.is_available()
    available = {"cuda": torch.cuda.is_available(), "mps": mps, "cpu": True}
    kinds = [kind for kind, is_available in available.items() if is_available]
    if name == "auto":
        name = next(kind for kind in kinds if kind == "cpu" or can_train(kind))
    with suppress(RuntimeError, TypeError):
        if (device := torch.device(name)).type in kinds:
            return device
    what = f"device {name!r} is not available (found: {', '.join(kinds)})"
    raise CplabError(f"{what}: take one of these")


@cache
def can_train(name: str) -> bool:
    """Whether a device can do all that training needs, by a trial of one small step. A GPU that is
    old, full or only partly supported by torch cannot."""
    device = torch.device(name)
    try:
        x = torch.ones(2, 3, 8, 8, device=device)
        x = F.interpolate(x, size=(4, 4), mode="bilinear", antialias=True)
        weight = torch.nn.Parameter(torch.ones(4, 3, 3, 3, device=device))
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


def in_bf16(arithmetic: str, device: torch.device) -> bool:
    """Whether a run of this arithmetic computes its products in bfloat16 on a device."""
    return arithmetic == "native" and has_bf16(device)


def algorithms(arithmetic: str = "native") -> Any:
    """A context in which convolutions on a GPU and their gradients give the same bits each time,
    and float32 does not use tf32."""
    tf32 = arithmetic != "float32"
    return torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=tf32)


@contextmanager
def autocast(device: torch.device, arithmetic: str = "native") -> Iterator[None]:
    """Compute products in bfloat16 where the machine has it, or all in float32 if that is asked
    for. A backward pass needs `algorithms` around it too: cuDNN reads its settings again there."""
    # torch keeps casts of weights until the outermost autocast ends. That is `torch_defaults`, and
    # it spans all steps of a training: kept casts would be those of the first batch throughout.
    how = {"enabled": in_bf16(arithmetic, device), "cache_enabled": False}
    with algorithms(arithmetic), torch.autocast(device.type, torch.bfloat16, **how):
        yield


FAILURES = (
    "out of memory|can't allocate memory|not enough memory|MemoryError|"
    "cuda error|cuda driver|nvidia driver|cudnn|cublas|cusolver"
)


@contextmanager
def explain_failures() -> Iterator[None]:
    """Turn the many errors of a full memory or a lost GPU into one clear line."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        text = f"{type(error).__name__}: {error}".partition("\n")[0]
        if not re.search(FAILURES, text, re.IGNORECASE):
            raise
        how = "what was trained is kept; ask again with fewer workers, a smaller profile or"
        what = f"the memory does not suffice or the GPU failed ({text[:100]})"
        raise Exhausted(f"{what}: {how} --device cpu") from error
