"""NVIDIA's GPUs: which devices they are, and how trainings share one."""

import atexit
import os
import shutil
import subprocess
import tempfile
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

KIND = "cuda"  # the type of device that has graphs
SERVICE = "nvidia-cuda-mps-control"


def is_card(device: "torch.device") -> bool:
    """Whether a device has graphs."""
    return device.type == KIND


@cache
def environment() -> dict[str, str]:
    """Environment variables for processes that share a GPU by NVIDIA's multi-process service,
    without which they take turns. None if it cannot be started. It ends with Python."""
    folder = tempfile.mkdtemp(prefix="cplab-mps-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    places = {"CUDA_MPS_PIPE_DIRECTORY": folder, "CUDA_MPS_LOG_DIRECTORY": folder}

    def control(*options: str, order: str = "") -> bool:
        """Send the service a command, and return whether it accepted it."""
        ended = subprocess.run(
            [SERVICE, *options],
            check=False,
            env=os.environ | places,
            input=order,
            text=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        return ended.returncode == 0

    if not shutil.which(SERVICE) or not control("-d"):
        return {}
    atexit.register(control, order="quit\n")
    user = os.getuid() if os.name == "posix" else 0
    return places if control(order=f"start_server -uid {user}\n") else {}
