"""What one epoch passes on to the next, kept on disk.

A checkpoint is named by a hash of the steps that led to it: whoever has the same steps to go
through can start from it.
"""

import hashlib
import json
import os
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor, nn

from cplab import data

SECONDS = 5  # an interruption loses about this much
OPTIMIZER = "optimizer."  # begins the names of its tensors
ON_THE_WAY = "-on-the-way"  # ends the names of checkpoints that only an interruption needs
DAYS = 7  # an interrupted run may go on for so long


def names(origin: tuple, steps: Iterable) -> list[Path]:
    """The checkpoint before each step and after the last; the same for whoever has them in common.

    Arguments: origin, all that the bits depend on besides; steps, each with its own repr.
    """
    where = data.cache_dir() / "checkpoints"
    digest, paths = repr(origin), []
    for step in (None, *steps):
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


def save(path: Path, state: dict[str, Tensor], rows: list) -> None:
    """Write a checkpoint atomically. Where that is impossible (no room, no right), training goes
    on without; that the record cannot be kept either is said later."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    partial = path.with_suffix(f".{os.getpid()}.{threading.get_ident()}.partial")
    state = {name: value.contiguous() for name, value in state.items()}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(state, partial, metadata={"rows": json.dumps(rows)})
        partial.replace(path)
    except (OSError, SafetensorError):
        forget(partial)


class OnTheWay:
    """The one checkpoint of a training that only an interruption needs; a newer one replaces it."""

    def __init__(self, path: Path | None):
        self.path, self.saved = path, time.monotonic()

    @property
    def due(self) -> bool:
        return time.monotonic() - self.saved > SECONDS

    def save(self, name: Path, state: dict[str, Tensor], rows: list) -> None:
        before, self.path = self.path, on_the_way(name)
        save(self.path, state, rows)
        forget(before)
        self.saved = time.monotonic()


def read(names: list[Path]) -> tuple[list, dict[str, Tensor], Path | None]:
    """The deepest sound checkpoint: its rows, its tensors, and its path if an interruption left it.
    Nothing of all where there is none."""
    from safetensors import SafetensorError, safe_open

    kept = reversed(names[1:])
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
        return rows, state, None if path in names else path
    return [], {}, None


def load(state: dict[str, Tensor], net: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Put back what tensors_of gave."""
    net.load_state_dict({k: v for k, v in state.items() if not k.startswith(OPTIMIZER)})
    weights = dict(net.named_parameters())
    for full, kept in state.items():
        if full.startswith(OPTIMIZER):
            key, _, name = full.removeprefix(OPTIMIZER).partition(".")
            weight, there = weights[name], kept.to(weights[name].device)
            # strides of the weight; Adam's count of steps has no dimensions
            like = torch.empty_like(weight if there.ndim else there, dtype=there.dtype)
            optimizer.state[weight][key] = like.copy_(there)


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
