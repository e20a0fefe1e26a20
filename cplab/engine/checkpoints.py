"""Checkpoints: a train state as bytes, in memory, on disk or on the way to another machine.

The bytes are a digest, followed by what torch.save wrote. A file is named by a hash of the steps
that lead to it, so that any run with the same beginning can start from it. The epochs of a damaged
file are trained again.
"""

import hashlib
import io
import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from cplab.files import atomic_file, cache_dir
from cplab.runs.tasks import TrainState


def file_names(run: Any) -> list[Path]:
    """The paths of a run's checkpoints: at birth, and after each part of its timeline."""
    digest, folder, paths = repr(run.prefix_key), cache_dir() / "checkpoints", []
    for part in (None, *run.timeline):
        digest = hashlib.sha256(f"{digest} {part}".encode()).hexdigest()
        paths.append(folder / f"{digest[:20]}.checkpoint")
    return paths


def dumps(state: TrainState, provenance: dict[str, Any]) -> bytes:
    """Write a state as bytes. Arguments: provenance, what its bits depend on besides the run:
    device, precision, threads and so on."""
    file, about = (
        io.BytesIO(),
        json.dumps([provenance, state.rows]),
    )  # as text, for numbers of any type
    parts = {"net": state.net.state_dict(), "optimizer": state.optimizer.state_dict()}
    torch.save({**parts, "about": about}, file)
    return hashlib.sha256(file.getvalue()).digest() + file.getvalue()


def loads(
    content: bytes, task: Any, device: torch.device, provenance: dict[str, Any]
) -> TrainState | None:
    """Read a task's state from what `dumps` wrote; None if it is damaged, belongs to another
    network or an earlier version of it, or was computed in another way than `provenance` says."""
    digest, content = content[:32], content[32:]
    if hashlib.sha256(content).digest() != digest:
        return None
    with suppress(Exception):  # whatever torch and json raise for what they did not write
        # loads tensors and plain data alone, and runs no code that the bytes may hold
        parts = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        before, rows = json.loads(parts["about"])
        if before != provenance or any(row["part"] != part for part, row in enumerate(rows)):
            return None
        state = task.birth(device)
        state.net.load_state_dict(parts["net"])
        state.optimizer.load_state_dict(parts["optimizer"])
        return replace(state, rows=rows)
    return None


def write(path: Path, content: bytes) -> None:
    """Write a file. Where it cannot be written training goes on without checkpoints; a warning
    comes if the result cannot be kept either."""
    with suppress(OSError), atomic_file(path) as partial:
        partial.write_bytes(content)


def read(path: Path) -> bytes:
    """Read a checkpoint's bytes, none if there is none."""
    with suppress(OSError):
        return path.read_bytes()
    return b""


def remove(paths: set[Path]) -> None:
    for path in paths:
        with suppress(OSError):
            path.unlink()
