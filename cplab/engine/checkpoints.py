"""Checkpoints: a train state as bytes, in memory, on disk or on their way to another machine.

The bytes begin with a digest of all that follows. A file is named by a hash of the steps that lead
to it, so that whoever has the same steps to go through can start from it; one that is damaged is
removed, and its epochs are trained again.
"""

import hashlib
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from cplab.errors import atomic_file, cache_dir
from cplab.tasks import TrainState

OPTIMIZER, EXTRA, ABOUT = ".optimizer.", ".extra.", ".about"  # as no module can be named


def file_names(run: Any) -> list[Path]:
    """The files for a run's checkpoints, before the first part of its timeline and after each."""
    digest, folder, paths = repr(run.trunk_key), cache_dir() / "checkpoints", []
    for part in (None, *run.timeline):
        digest = hashlib.sha256(f"{digest} {part}".encode()).hexdigest()
        paths.append(folder / f"{digest[:20]}.checkpoint")
    return paths


def dumps(state: TrainState, how: dict[str, Any]) -> bytes:
    """A state as bytes. Arguments: how, what its bits depend on besides the run."""
    tensors = dict(state.net.state_dict())
    for name, weight in state.net.named_parameters():
        for key, value in state.optimizer.state[weight].items():
            if value is not None:
                tensors[f"{OPTIMIZER}{key}.{name}"] = value
    tensors |= {f"{EXTRA}{name}": value for name, value in state.extra.items()}
    # cloned, since weights that are tied cannot be saved
    plain = {name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()}
    content = safetensors.torch.save(plain, {ABOUT: json.dumps([how, state.rows])})
    return hashlib.sha256(content).digest() + content


def rows_of(content: bytes, how: dict[str, Any] | None = None) -> list[dict] | None:
    """The rows of a state; None if the bytes are damaged or the state came about in another way."""
    digest, content = content[:32], content[32:]
    if hashlib.sha256(content).digest() != digest:
        return None
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    about, rows = json.loads(header["__metadata__"][ABOUT])
    return rows if how in (None, about) else None


def loads(
    content: bytes, task: Any, device: torch.device, how: dict[str, Any]
) -> TrainState | None:
    """The state of a task that dumps gave; None if it is damaged, of another network, or came about
    in another way."""
    if (rows := rows_of(content, how)) is None:
        return None
    tensors = safetensors.torch.load(content[32:])
    try:
        state = task.birth(device, tensors=tensors)
        own = {k: v for k, v in tensors.items() if not k.startswith((OPTIMIZER, EXTRA))}
        state.net.load_state_dict(own)
        weights = dict(state.net.named_parameters())
        for full, kept in tensors.items():
            # the state of a generator stays on the CPU
            value = kept if kept.dtype == torch.uint8 else kept.to(device)
            if full.startswith(OPTIMIZER):
                key, _, name = full.removeprefix(OPTIMIZER).partition(".")
                # strides of the weight; Adam's count of steps has no dimensions
                like = torch.empty_like(weights[name] if value.ndim else value, dtype=value.dtype)
                state.optimizer.state[weights[name]][key] = like.detach().copy_(value)
            elif full.startswith(EXTRA):
                state.extra[full.removeprefix(EXTRA)] = value
    except (KeyError, RuntimeError):  # of another network, as an earlier version of it may be
        return None
    state.rows = rows
    return state


def write(path: Path, content: bytes) -> set[Path]:
    """Write a file, and give it if that was possible: without room or right, training goes on
    without; that the result cannot be kept either is said later."""
    with suppress(OSError):
        with atomic_file(path) as partial:
            partial.write_bytes(content)
        return {path}
    return set()


def read(path: Path) -> bytes | None:
    """The bytes of a sound checkpoint, or None; a damaged one is removed."""
    with suppress(OSError):
        content = path.read_bytes()
        with suppress(ValueError, KeyError, TypeError):
            if rows_of(content) is not None:
                return content
        path.unlink()
    return None


def remove(paths: set[Path]) -> None:
    for path in paths:
        with suppress(OSError):
            path.unlink()
