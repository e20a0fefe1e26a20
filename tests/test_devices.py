"""Where a run is computed, on cards that this machine does not have."""

from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch

from cplab import devices
from cplab.engine.sweep import usual_workers
from cplab.runs import Run

CUDA = torch.device("cuda")


@pytest.mark.parametrize(
    ("card", "capability", "native"), [("Tesla T4", (7, 5), False), ("NVIDIA A100", (8, 0), True)]
)
def test_a_card_without_bfloat16_trains_in_float32(monkeypatch, card, capability, native):
    """A T4 can hold bfloat16 and compute with it slowly, which torch calls supported."""
    about = SimpleNamespace(name=card, major=capability[0], minor=capability[1])
    monkeypatch.setattr(torch.version, "hip", None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device", lambda device: nullcontext())
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device=None: about)
    monkeypatch.setattr(torch.cuda, "_check_bf16_tensor_supported", lambda device: True)
    assert torch.cuda.is_bf16_supported()
    assert devices.in_bf16("native", CUDA) == native
    assert not devices.in_bf16("float32", CUDA)
    with devices.autocast(CUDA):
        assert torch.is_autocast_enabled("cuda") == native


@pytest.mark.parametrize(
    ("profile", "cuda", "cpu"), [("course", 8, 16), ("slim", 1, 16), ("ci", 1, 1)]
)
def test_small_networks_share_a_card_and_large_ones_have_it_alone(monkeypatch, profile, cuda, cpu):
    monkeypatch.setattr(devices, "pick", torch.device)
    monkeypatch.setattr(devices, "usable_cores", lambda: 16)
    runs = [Run(seed=seed, profile=profile) for seed in range(20)]
    assert [usual_workers(runs, place) for place in ("cuda", "mps", "cpu")] == [cuda, 1, cpu]
    assert usual_workers(runs[:1], "cuda") == 1
