"""What one epoch passes on to the next, kept on disk.

A checkpoint is named by a hash of the steps that led to it: whoever has the same steps to go
through can start from it. It carries a digest of all that it holds; one that is damaged is removed,
and its epochs are trained again.
"""

import hashlib
import json
import os
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor

from cplab.checks import cache_dir
from cplab.engine.tasks import Learner

SECONDS = 5  # an interruption loses about this much
OPTIMIZER, EXTRA = "optimizer.", "extra."  # begin the names of tensors
RESUME = "-resume"  # ends the names of checkpoints that only an interruption needs
DAYS = 7  # an interrupted life may go on for so long


def names(origin: tuple, life: Iterable) -> list[Path]:
    """The checkpoint before each step or event and after the last; the same for whoever has them
    in common.

    Arguments: origin, all that the bits depend on besides; life, each part with its own repr.
    """
    where = cache_dir() / "checkpoints"
    digest, paths = repr(origin), []
    for part in (None, *life):
        digest = hashlib.sha256(f"{digest} {part}".encode()).hexdigest()
        paths.append(where / f"{digest[:20]}.safetensors")
    return paths


def resume_path(path: Path) -> Path:
    """The name of a checkpoint that only an interruption needs; others are kept for branches."""
    return path.with_name(f"{path.stem}{RESUME}.safetensors")


def tensors_of(learner: Learner) -> dict[str, Tensor]:
    """All that one epoch passes on to the next."""
    state = dict(learner.net.state_dict())
    for name, weight in learner.net.named_parameters():
        for key, value in learner.optimizer.state[weight].items():
            if value is not None:
                state[f"{OPTIMIZER}{key}.{name}"] = value
    return state | {f"{EXTRA}{name}": value for name, value in learner.extra.items()}


def load(state: dict[str, Tensor], learner: Learner) -> None:
    """Put back what tensors_of gave."""
    own = {k: v for k, v in state.items() if not k.startswith((OPTIMIZER, EXTRA))}
    learner.net.load_state_dict(own)
    weights = dict(learner.net.named_parameters())
    device = next(iter(weights.values())).device
    for full, kept in state.items():
        if full.startswith(OPTIMIZER):
            key, _, name = full.removeprefix(OPTIMIZER).partition(".")
            weight, there = weights[name], kept.to(device)
            # strides of the weight; Adam's count of steps has no dimensions
            like = torch.empty_like(weight if there.ndim else there, dtype=there.dtype)
            learner.optimizer.state[weight][key] = like.copy_(there)
        elif full.startswith(EXTRA):
            there = kept if kept.dtype == torch.uint8 else kept.to(device)  # a generator's state
            learner.extra[full.removeprefix(EXTRA)] = there


def digest_of(state: dict[str, Tensor], rows: str) -> str:
    """A digest of all that a checkpoint holds."""
    found = hashlib.sha256(rows.encode())
    for name in sorted(state):
        value = state[name].detach().cpu().contiguous()
        found.update(f"{name} {value.dtype} {tuple(value.shape)} ".encode())
        found.update(value.flatten().view(torch.uint8).numpy().data)
    return found.hexdigest()


def save(path: Path, learner: Learner, rows: list) -> None:
    """Write a checkpoint atomically. Where that is impossible (no room, no right), training goes
    on without; that the result cannot be kept either is said later."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    partial = path.with_suffix(f".{os.getpid()}.{threading.get_ident()}.partial")
    state = {name: value.contiguous() for name, value in tensors_of(learner).items()}
    text = json.dumps(rows)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(state, partial, metadata={"rows": text, "digest": digest_of(state, text)})
        partial.replace(path)
    except (OSError, SafetensorError):
        forget(partial)


def read(path: Path) -> tuple[list, dict[str, Tensor]] | None:
    """The rows and tensors of a sound checkpoint, or None; a damaged one is removed."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            said = file.metadata()
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if digest_of(state, said["rows"]) != said["digest"]:
            raise ValueError("its digest does not fit")
        return json.loads(said["rows"]), state
    except FileNotFoundError:
        return None
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError):
        forget(path)
        return None


def sound(names: list[Path]) -> Iterator[tuple[Path, list, dict[str, Tensor]]]:
    """The sound checkpoints of a life, the deepest first: path, rows and tensors."""
    for name in reversed(names[1:]):
        for path in (name, resume_path(name)):
            if found := read(path):
                yield path, *found


class ResumeCheckpoint:
    """The single rolling checkpoint from which an interrupted training goes on."""

    def __init__(self, path: Path | None):
        self.path, self.saved = path, time.monotonic()

    def save_when_due(self, name: Path, learner: Learner, rows: list) -> None:
        """Write it, unless the last one is young."""
        if time.monotonic() - self.saved <= SECONDS:
            return
        before, self.path = self.path, resume_path(name)
        save(self.path, learner, rows)
        if before != self.path:
            forget(before)
        self.saved = time.monotonic()

    def remove(self) -> None:
        forget(self.path)


def forget_old() -> None:
    """Forget checkpoints that interruptions left and nobody came back for."""
    for path in (cache_dir() / "checkpoints").glob("*"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > DAYS * 86400:
                forget(path)


def forget(path: Path | None) -> None:
    if path is not None:
        with suppress(OSError):
            path.unlink()
