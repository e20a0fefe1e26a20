"""NVIDIA's GPUs: which devices they are."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

KIND = "cuda"  # the type of device that has graphs


def is_card(device: "torch.device") -> bool:
    """Whether a device has graphs."""
    return device.type == KIND
