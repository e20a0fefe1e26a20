"""Checkpoints: a train state as bytes, in memory, on disk or on their way to another machine.

The bytes begin with a digest of all that follows, which torch wrote. A file is named by a hash of
the steps that lead to it, so that whoever has the same steps to go through can start from it; one
that is damaged is removed, and its epochs are trained again.
"""

import hashlib
import io
import json
import pickle
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from cplab.errors import atomic_file, cache_dir
from cplab.runs.tasks import TrainState


def file_names(run: Any) -> list[Path]:
    """The files for a run's checkpoints, before the first part of its timeline and after each."""
    digest, folder, paths = repr(run.trunk_key), cache_dir() / "checkpoints", []
    for part in (None, *run.timeline):
        digest = hashlib.sha256(f"{digest} {part}".encode()).hexdigest()
        paths.append(folder / f"{digest[:20]}.checkpoint")
    return paths


def dumps(state: TrainState, how: dict[str, Any]) -> bytes:
    """A state as bytes. Arguments: how, what its bits depend on besides the run."""
    file, about = io.BytesIO(), json.dumps([how, state.rows])  # as text, whatever numbers these are
    parts = {"net": state.net.state_dict(), "optimizer": state.optimizer.state_dict()}
    torch.save({**parts, "extra": state.extra, "about": about}, file)
    return hashlib.sha256(file.getvalue()).digest() + file.getvalue()


def read_parts(content: bytes) -> dict[str, Any] | None:
    """What dumps wrote, on the CPU; None if the bytes are damaged, or an earlier version's."""
    digest, content = content[:32], content[32:]
    if hashlib.sha256(content).digest() == digest:
        with suppress(RuntimeError, EOFError, pickle.UnpicklingError):
            # tensors and plain data alone: nothing that it may hold besides is run
            parts = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
            how, rows = json.loads(parts["about"])
            return {**parts, "how": how, "rows": rows}
    return None


def loads(
    content: bytes, task: Any, device: torch.device, how: dict[str, Any]
) -> TrainState | None:
    """The state of a task that dumps gave; None if it is damaged, of another network, or came about
    in another way."""
    parts = read_parts(content)
    if parts is None or parts["how"] != how:
        return None
    try:
        state = task.birth(device, tensors=parts["net"])
        state.net.load_state_dict(parts["net"])
        state.optimizer.load_state_dict(parts["optimizer"])
    except (KeyError, ValueError, RuntimeError):  # of another network, or an earlier version of it
        return None
    for name, value in parts["extra"].items():  # the state of a generator stays on the CPU
        state.extra[name] = value if value.dtype == torch.uint8 else value.to(device)
    state.rows = parts["rows"]
    return state


def write(path: Path, content: bytes) -> set[Path]:
    """Write a file, and give it if that was possible: without room or right, training goes on
    without; that the result cannot be kept either is said later."""
    with suppress(OSError):
        with atomic_file(path) as partial:
            partial.write_bytes(content)
        return {path}
    return set()


def read(path: Path) -> tuple[bytes, list[dict]] | None:
    """The bytes of a sound checkpoint and its rows, or None; a damaged one is removed."""
    with suppress(OSError):
        content = path.read_bytes()
        if parts := read_parts(content):
            return content, parts["rows"]
        path.unlink()
    return None


def remove(paths: set[Path]) -> None:
    for path in paths:
        with suppress(OSError):
            path.unlink()
