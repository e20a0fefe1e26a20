"""NVIDIA's GPUs: which devices they are, and how trainings share one."""

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from tempfile import TemporaryDirectory

import torch

KIND = "cuda"  # the type of device that has graphs
SERVICE = "nvidia-cuda-mps-control"
_turn = threading.Lock()


def is_card(device: torch.device) -> bool:
    """Whether a device has graphs."""
    return device.type == KIND


def taking_turns(device: torch.device) -> AbstractContextManager:
    """A context in which no other thread trains on a GPU: its algorithms are chosen for the whole
    process. On a CPU, threads train side by side."""
    return _turn if device.type == "cuda" else nullcontext()


@contextmanager
def shared_among_processes() -> Iterator[dict[str, str]]:
    """A context with NVIDIA's multi-process service, without which processes take turns on a GPU.

    Yields: environment variables for processes that use it; none if it cannot be started.
    """
    with TemporaryDirectory(prefix="cplab-mps-", ignore_cleanup_errors=True) as folder:
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
            yield {}
            return
        try:
            user = os.getuid() if os.name == "posix" else 0
            started = control(order=f"start_server -uid {user}\n")
            yield places if started else {}
        finally:
            control(order="quit\n")
