"""What one epoch passes on to the next, kept on disk.

A checkpoint is named by a hash of the steps that led to it: whoever has the same steps to go
through can start from it. It begins with a digest of all that follows; one that is damaged is
removed, and its epochs are trained again.
"""

import hashlib
import json
import time
from contextlib import suppress
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from cplab.checks import atomic_file, cache_dir
from cplab.engine.tasks import Learner

SECONDS = 1  # an interruption loses about this much; more where a checkpoint takes long
OPTIMIZER, EXTRA, ROWS_ENTRY = ".optimizer.", ".extra.", ".rows"  # as no module can be named


def folder() -> Path:
    return cache_dir() / "checkpoints"


def resume_path(path: Path) -> Path:
    """The name of a checkpoint that only an interruption needs; others are kept for branches."""
    return path.with_name(f"{path.stem}-resume.checkpoint")


def next_due(took: float = 0.0) -> float:
    """When the next checkpoint is due, if the last one took so long: a twentieth of the time goes
    to them at most, but where they are very slow."""
    return time.monotonic() + SECONDS * min(max(1, 20 * took), 30)


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


def write(path: Path, content: bytes) -> bool:
    """Write a file, and say whether that was possible. Without room or right, training goes on
    without; that the result cannot be kept either is said later."""
    try:
        with atomic_file(path) as partial:
            partial.write_bytes(content)
    except OSError:
        return False
    return True


def save(path: Path, learner: Learner, rows: list) -> bool:
    """Write a checkpoint, and say whether that was possible."""
    own = tensors_of(learner).items()  # cloned, since weights that are tied cannot be saved
    state = {name: value.detach().cpu().contiguous().clone() for name, value in own}
    state[ROWS_ENTRY] = torch.frombuffer(bytearray(json.dumps(rows).encode()), dtype=torch.uint8)
    content = safetensors.torch.save(state)
    return write(path, hashlib.sha256(content).digest() + content)


def read(path: Path) -> tuple[list, dict[str, Tensor]] | None:
    """The rows and tensors of a sound checkpoint, or None; a damaged one is removed."""
    try:
        digest, content = (whole := path.read_bytes())[:32], whole[32:]
    except OSError:
        return None
    if hashlib.sha256(content).digest() != digest:
        forget(path)
        return None
    if ROWS_ENTRY not in (state := safetensors.torch.load(content)):  # of an earlier version
        return None
    return json.loads(bytes(state.pop(ROWS_ENTRY).numpy())), state


def forget(path: Path | None) -> None:
    if path is not None:
        with suppress(OSError):
            path.unlink()
