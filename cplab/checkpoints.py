"""What one epoch passes on to the next, kept on disk.

A checkpoint is named by a hash of the steps that led to it: whoever has the same steps to go
through can start from it.
"""

import hashlib
import json
import os
import threading
import time
from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor, nn

from cplab import data
from cplab.experiment import Run

OPTIMIZER = "optimizer."  # begins the names of its tensors
ON_THE_WAY = "-on-the-way"  # ends the names of checkpoints that only an interruption needs
DAYS = 7  # an interrupted run may go on for so long


def names(run: Run, *state) -> list[Path]:
    """The checkpoint before each epoch and after the last; the same for runs of the same steps.

    Arguments: state, what else the bits depend on: copy of the images, device, number format,
        threads.
    """
    where = data.cache_dir() / "checkpoints"
    digest, paths = repr((*run.origin, *state)), []
    for step in (None, *run.steps):
        digest = hashlib.sha256(f"{digest} {step}".encode()).hexdigest()
        paths.append(where / f"{digest[:20]}.safetensors")
    return paths


def on_the_way(path: Path) -> Path:
    """The name of a checkpoint that only an interruption needs; others are kept for branches."""
    return path.with_name(f"{path.stem}{ON_THE_WAY}.safetensors")


def tensors_of(net: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """All that one epoch passes on to the next."""
    state = dict(net.state_dict())
    for name, weight in net.named_parameters():
        for key, value in optimizer.state[weight].items():
            if value is not None:
                state[f"{OPTIMIZER}{key}.{name}"] = value
    return state


def save(path: Path, net, optimizer, rows: list[dict]) -> None:
    """Write a checkpoint atomically. Where that is impossible (no room, no right), training goes
    on without; that the record cannot be kept either is said later."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    partial = path.with_suffix(f".{os.getpid()}.{threading.get_ident()}.partial")
    state = {k: v.contiguous() for k, v in tensors_of(net, optimizer).items()}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(state, partial, metadata={"rows": json.dumps(rows)})
        partial.replace(path)
    except (OSError, SafetensorError):
        forget(partial)


def restore(names: list[Path], end: int, net, optimizer) -> tuple[list[dict], Path | None]:
    """Load the deepest checkpoint up to epoch `end` into net and optimiser. Returns its rows, and
    its path if an interruption left it."""
    from safetensors import SafetensorError, safe_open

    kept = reversed(names[1 : end + 1])
    for path in (either for name in kept for either in (name, on_the_way(name))):
        try:
            with safe_open(path, "pt") as file:
                rows = json.loads(file.metadata()["rows"])
                state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except FileNotFoundError:
            continue
        except (SafetensorError, OSError, KeyError, TypeError, ValueError):
            forget(path)
            continue
        net.load_state_dict({k: v for k, v in state.items() if not k.startswith(OPTIMIZER)})
        weights = dict(net.named_parameters())
        for full, kept_value in state.items():
            if full.startswith(OPTIMIZER):
                key, _, name = full.removeprefix(OPTIMIZER).partition(".")
                weight, there = weights[name], kept_value.to(weights[name].device)
                # strides of the weight; Adam's count of steps has no dimensions
                like = torch.empty_like(weight if there.ndim else there, dtype=there.dtype)
                optimizer.state[weight][key] = like.copy_(there)
        return rows, None if path in names else path
    return [], None


def forget_old() -> None:
    """Forget checkpoints that interruptions left and nobody came back for."""
    for path in (data.cache_dir() / "checkpoints").glob("*"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > DAYS * 86400:
                forget(path)


def forget(path: Path | None) -> None:
    if path is not None:
        with suppress(OSError):
            path.unlink()
