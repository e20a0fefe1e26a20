"""Where a run is computed: the devices of this machine, their arithmetic, and how they fail."""

import platform
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from cplab.errors import CplabError, Exhausted, require


def usable_cores() -> int:
    """The cores that this process may use, by its affinity and its container's quota."""
    import loky

    return loky.cpu_count()


if torch.get_num_threads() > usable_cores():  # torch knows nothing of quotas
    torch.set_num_threads(usable_cores())


@contextmanager
def torch_defaults(threads: int | None = None) -> Iterator[None]:
    """torch as it is once it is imported, whatever other code has set; that is put back after.

    Bits depend on the default type and device of new tensors, the number of threads, grad and
    inference mode, autocast, deterministic algorithms, the precision of matrix products, oneDNN,
    and whether denormal numbers count. Also a decorator.

    Arguments: threads, of torch on the CPU; as many as there are if None.
    Raises: CplabError if another thread has changed the default type meanwhile.
    """
    sums, before = torch.backends.cuda.matmul, torch.get_num_threads()
    onednn: Any = torch.backends.mkldnn
    set_sums = partial(setattr, sums, "allow_bf16_reduced_precision_reduction")
    settings: list[tuple[Any, Any, Any]] = [  # how each is set, what it is, what it is to be
        (torch.set_default_dtype, torch.get_default_dtype(), torch.float32),
        (torch.set_float32_matmul_precision, torch.get_float32_matmul_precision(), "highest"),
        (set_sums, sums.allow_bf16_reduced_precision_reduction, True),
        (partial(setattr, onednn, "enabled"), onednn.enabled, True),
        (torch.set_num_threads, before, threads or before),
    ]
    with ExitStack() as stack:
        for put, now, wanted in settings:
            stack.callback(put, now)
            put(wanted)
        if torch.are_deterministic_algorithms_enabled():  # loads the compiler: not without need
            warn = torch.is_deterministic_algorithms_warn_only_enabled()
            stack.callback(torch.use_deterministic_algorithms, True, warn_only=warn)
            torch.use_deterministic_algorithms(False)
        if not torch.tensor(1e-40, device="cpu").mul(1):  # denormal numbers count as 0
            stack.callback(torch.set_flush_denormal, True)
            torch.set_flush_denormal(False)
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        for place in ("cpu", "cuda"):
            stack.enter_context(torch.autocast(place, torch.bfloat16, enabled=False))
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        yield
        changed = torch.get_default_dtype() != torch.float32
        require(not changed, "torch's default type was changed while this was computed: ask again")


# A second thread brings small networks next to nothing and costs them everything as soon as another
# process is busy: torch's threads wait for each other at every layer, and whoever waits spins. Five
# epochs of course on two cores take 9.9 s with one thread and 9.4 s with two; beside one other
# training 9.2 and 459 s. Ten timed steps of allcnn-16, at a load of about 12 from other work, took
# 1.0 and 2.5 s with one thread, and over 45 s twice with two.
ONE_THREAD = ("ci", "course", "fit", "matched")  # profiles


def usual_threads(profile: str) -> int:
    """The threads of torch with which a profile's networks are trained on a CPU: as many as the
    process has, and one for small networks."""
    return 1 if profile in ONE_THREAD else torch.get_num_threads()


def pick(name: str = "auto") -> torch.device:
    """cuda, mps or cpu, else a CplabError; `auto` is the first there that training can use."""
    mps = torch.backends.mps.is_available()
    there = {"cuda": torch.cuda.is_available(), "mps": mps, "cpu": True}
    if name == "auto":
        name = next(n for n, found in there.items() if found and (n == "cpu" or can_train(n)))
    kind, colon, number = str(name).partition(":")
    count = torch.cuda.device_count() if kind == "cuda" else 1
    if not there.get(kind) or (colon and not (number.isdecimal() and int(number) < count)):
        found = ", ".join(n for n, is_there in there.items() if is_there)
        why = no_cuda() if kind == "cuda" and not there["cuda"] else ""
        what = f"device {name!r} is not available (found: {found}){why}"
        raise CplabError(f"{what}: take one of these")
    return torch.device(name)


@cache
def can_train(name: str) -> bool:
    """Whether a device has all that training uses, tried on one small step: an old GPU, a full one,
    or a torch that does not know all of it yet may not."""
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


def no_cuda() -> str:
    """Why there is no CUDA: no driver, one that does not fit torch, or a torch without."""
    try:
        torch.cuda.init()
    except (RuntimeError, AssertionError) as error:
        return f" ({str(error).partition(chr(10))[0][:200]})"
    return ""


@cache
def machine(device: torch.device) -> str:
    """Device and kind of chip, as far as bits depend on it: cuda NVIDIA H200, cpu AVX2 AMD EPYC."""
    if device.type == "cuda":
        return f"cuda {torch.cuda.get_device_name(device)}"
    try:
        names = re.findall(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    except OSError:
        names = []
    chip = names[0] if names else platform.processor() or platform.machine()
    return f"{device.type} {torch.backends.cpu.get_cpu_capability()} {chip}"


def has_bf16(device: torch.device) -> bool:
    """Whether bfloat16 is native there; elsewhere training is in float32."""
    if device.type == "cuda":
        with torch.cuda.device(device):
            return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
        return any(getattr(torch.cpu, check, bool)() for check in checks)
    return False


def in_bf16(arithmetic: str, device: torch.device) -> bool:
    """Whether a run of this arithmetic takes its products in bfloat16 there."""
    return arithmetic == "native" and has_bf16(device)


def algorithms(arithmetic: str = "native") -> Any:
    """A context in which convolutions on a GPU, and their gradients, give the same bits each time;
    in float32 not by way of tf32 either."""
    tf32 = arithmetic != "float32"
    return torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=tf32)


@contextmanager
def autocast(device: torch.device, arithmetic: str = "native") -> Iterator[None]:
    """Products in bfloat16 where the machine has it, in float32 throughout if that is asked for.
    What is taken back through them needs `algorithms` around it as well: cuDNN asks anew."""
    bf16 = in_bf16(arithmetic, device)
    with algorithms(arithmetic), torch.autocast(device.type, torch.bfloat16, enabled=bf16):
        yield


NO_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")
NO_GPU = ("cuda error", "cudnn", "cublas", "cusolver", "nvidia driver", "cuda driver")


@contextmanager
def explain_failures() -> Iterator[None]:
    """One clear line instead of the many ways to run out of memory or to lose a GPU."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        text = str(error).lower()
        if isinstance(error, MemoryError) or any(words in text for words in NO_MEMORY):
            what, how = "memory does not suffice", "with fewer workers, a smaller profile or"
        elif any(words in text for words in NO_GPU):
            what, how = "GPU failed", "in a new process, see what nvidia-smi says, or take"
        else:
            raise
        reason = str(error).partition("\n")[0][:100] or "MemoryError"
        raise Exhausted(
            f"the {what} ({reason}): what was trained is kept; ask again {how} --device cpu"
        ) from error
