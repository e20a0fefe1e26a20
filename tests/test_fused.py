"""Batch norm and ReLU by kernels of our own, on a GPU or by Triton's interpreter."""

import importlib
from contextlib import nullcontext
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import prune

from cplab import devices, models
from cplab.engine.gpu import kernels as fused

pytest.importorskip("triton")


@pytest.fixture(scope="module", autouse=True)
def interpreted():
    """Kernels that need no GPU where there is none; without one they are not even loaded."""
    with pytest.MonkeyPatch.context() as patch:
        if not torch.cuda.is_available():
            patch.setenv("TRITON_INTERPRET", "1")
            importlib.reload(fused)
        yield


DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def tensor(*shape, seed):
    """Random numbers, channels last."""
    numbers = torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
    return numbers.to(DEVICE).contiguous(memory_format=torch.channels_last)


def distance(a, b):
    """How far a tensor is from another, relative to that."""
    return ((a.double() - b.double()).norm() / b.double().norm()).item()


def layer(channels):
    """Batch norm with scales of either sign."""
    norm = nn.BatchNorm2d(channels, momentum=0.3)
    norm.weight.data = torch.linspace(-1, 2, channels)
    norm.bias.data = torch.linspace(-1, 1, channels)
    return norm.to(DEVICE)


def outcome(norm, x, compute, g):
    """The output, its gradients, and what batch norm has learnt."""
    x = x.clone().requires_grad_()
    y = compute(x)
    y.backward(g.to(y.dtype))
    mean, var, count = norm.buffers()
    return [y.detach(), x.grad, norm.weight.grad, norm.bias.grad, mean, var, count]


# several programs, in one direction and in both; channels and rows that fill no block
@pytest.mark.parametrize("shape", [(24, 16, 9, 9), (6, 96, 16, 16), (2, 40, 5, 7)], ids=str)
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16], ids=str)
def test_batch_norm_fused_with_relu_is_that_of_torch(shape, kind):
    x = 3 * tensor(*shape, seed=1) + 5
    g = tensor(*shape, seed=2)  # far from 0, as sums may be
    x = x.to(kind)
    g = g.to(kind)
    norm = layer(shape[1])
    torchs = layer(shape[1]).double()
    ours = outcome(norm, x, lambda x: fused.NormReLU.apply(x, norm.weight, norm.bias, norm), g)
    theirs = outcome(torchs, x.double(), lambda x: F.relu(torchs(x)), g)
    limit = 1e-2 if kind == torch.bfloat16 else 1e-3  # an output of nearly 0 may count as either
    assert max(map(distance, ours[:2], theirs[:2])) < limit
    assert max(map(distance, ours[2:], theirs[2:])) < 1e-3


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_run_that_diverges_is_seen_to(value):
    x = tensor(4, 16, 8, 8, seed=1)
    norm = layer(16)
    x[1, 3, 2, 2] = value
    with np.errstate(invalid="ignore"):  # of the interpreter
        y = fused.NormReLU.apply(x, norm.weight, norm.bias, norm)
    assert not y[:, 3].isfinite().all()
    assert y[:, :3].isfinite().all()


class Own(nn.Sequential):
    """A network with an order of its own, one layer in full precision, that changes its weights."""

    def forward(self, x):
        self[3].weight.data.clamp_(min=0)
        y = self[1](self[0](x))
        with torch.autocast(x.device.type, enabled=False):
            y = y - self[3](self[2](y).float())
        return nn.Sequential(*[*self][4:])(y)


def changed(change, kind=nn.Sequential):
    """A network of layers that kernels take together, after a change."""
    first = [nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU()]
    second = [nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU()]
    net = kind(*first, *second, nn.Conv2d(8, 10, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    change(net, net[1], net[3])
    return net


CHANGES = {
    "ReLU twice": lambda net, norm, conv: net.__setitem__(5, net[2]),
    "hook": lambda net, norm, conv: norm.register_forward_hook(lambda _, x, y: -y),
    "frozen": lambda net, norm, conv: [layer.requires_grad_(False) for layer in net[::3]],
    "masked": lambda net, norm, conv: prune.l1_unstructured(conv, "weight", 0.5),
}
NETS = {n: partial(models.build, n, 3, 16) for n in ("allcnn-8", "resnet18-4", "eyes-8")}
NETS |= {name: partial(changed, change) for name, change in CHANGES.items()}
NETS["own"] = partial(changed, lambda *_: None, Own)


@pytest.mark.parametrize("name", NETS)
def test_both_passes_of_a_network_are_as_near_to_float32_as_those_of_torch(name):
    views = (2,) if name == "eyes-8" else ()
    images = torch.randn(32, *views, 3, 16, 16, generator=torch.Generator().manual_seed(3))
    y = torch.arange(32, device=DEVICE) % 10
    gradients = {}
    values = {}
    for way, arithmetic in (("ours", "native"), ("torch", "native"), ("float32", "float32")):
        torch.manual_seed(0)
        net = NETS[name]().to(DEVICE)
        net.to(memory_format=torch.channels_last)
        x = images.to(DEVICE)
        before = [*net.named_parameters()]
        forwards = [vars(module).get("forward") for module in net.modules()]
        if not views:
            x = x.contiguous(memory_format=torch.channels_last)
        with fused.joined([net]) if way == "ours" else nullcontext():
            with devices.autocast(DEVICE, arithmetic):
                loss = F.cross_entropy(net(x), y)
            loss.backward()
        assert all(a is b for (_, a), (_, b) in zip(before, net.named_parameters(), strict=True))
        assert forwards == [vars(module).get("forward") for module in net.modules()]
        tensors = [w.grad for w in net.parameters() if w.grad is not None], net.parameters()
        gradients[way], values[way] = (torch.cat([*map(torch.ravel, of)]) for of in tensors)
    assert torch.equal(values["ours"], values["torch"])
    ours, theirs = (distance(gradients[way], gradients["float32"]) for way in ("ours", "torch"))
    assert ours < 1.3 * theirs + 1e-4
