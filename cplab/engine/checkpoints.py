"""Checkpoints: a train state as bytes, in memory, on disk, or on its way to another machine.

The bytes are a digest, followed by what torch.save wrote. A file is named by a hash of the parts of
the timeline that lead to it, so that any run that begins with the same parts can start from it. If
a file is damaged, its epochs are trained again.
"""

import hashlib
import io
import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cplab.base.files import atomic_file, cache_dir
from cplab.base.late import torch
from cplab.runs import Run
from cplab.specs.experiments import Experiment

if TYPE_CHECKING:
    from cplab.runs.tasks import Classification, TrainState

DIGEST_BYTES = 32  # of SHA-256


def file_paths(spec: Run | Experiment) -> list[Path]:
    """The paths of the checkpoints of a spec: at birth, and after each part of its timeline."""
    folder = cache_dir() / "checkpoints"
    digest = repr(spec.prefix_key)
    paths = []
    for part in (None, *spec.timeline):  # None for birth
        digest = hashlib.sha256(f"{digest} {part}".encode()).hexdigest()
        paths.append(folder / f"{digest[:20]}.checkpoint")
    return paths


def dumps(state: "TrainState", provenance: dict[str, Any]) -> bytes:
    """Write a state as bytes.

    Arguments:
        state: the state.
        provenance: what its bits depend on besides the run: device, precision, threads and so on.
    """
    parts = {
        "net": state.net.state_dict(),
        "optimizer": state.optimizer.state_dict(),
        "origins": state.origins,
        # As text: with weights_only, torch.load reads few types besides tensors
        "about": json.dumps([provenance, state.rows]),
    }
    file = io.BytesIO()
    torch.save(parts, file)
    written = file.getvalue()
    return hashlib.sha256(written).digest() + written


def loads(
    content: bytes, task: "Classification", device: "torch.device", provenance: dict[str, Any]
) -> "TrainState | None":
    """Read a state that `dumps` has written.

    Arguments:
        content: the bytes.
        task: of the run.
        device: where it is computed.
        provenance: as the run is computed now.

    Returns:
        None if the bytes are damaged, belong to another network or to an earlier version of it, or
        were computed in another way.
    """
    digest = content[:DIGEST_BYTES]
    written = content[DIGEST_BYTES:]
    if hashlib.sha256(written).digest() != digest:
        return None
    with suppress(Exception):  # torch and json may raise anything for what they did not write
        # With weights_only, torch loads tensors and plain data, and runs no code from the bytes
        parts = torch.load(io.BytesIO(written), map_location="cpu", weights_only=True)
        written_provenance, rows = json.loads(parts["about"])
        if written_provenance != provenance:
            return None
        state = task.birth(device)
        state.net.load_state_dict(parts["net"])
        state.optimizer.load_state_dict(parts["optimizer"])
        origins = {}
        for name, weights in parts["origins"].items():
            origins[name] = [weight.to(device) for weight in weights]
        return replace(state, rows=rows, origins=origins)
    return None


def write(path: Path, content: bytes) -> None:
    """Write a file; if that fails, training goes on without checkpoints.

    There is a warning later if the result cannot be kept either.
    """
    with suppress(OSError), atomic_file(path) as partial:
        partial.write_bytes(content)


def read(path: Path) -> bytes:
    """Read a checkpoint's bytes; b"" if there is none."""
    with suppress(OSError):
        return path.read_bytes()
    return b""


def remove(paths: set[Path]) -> None:
    """Remove files, if they exist and can be removed."""
    for path in paths:
        with suppress(OSError):
            path.unlink()
