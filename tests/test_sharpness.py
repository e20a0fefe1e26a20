"""The largest eigenvalue of the Hessian against the whole Hessian and a closed form."""

import copy

import pytest
import torch
import torch.nn.functional as F
from test_fisher import assert_same_state, counted, lively, state_of
from torch import nn
from torch.autograd.functional import hessian
from torch.func import functional_call

from cplab import models
from cplab.errors import CplabError
from cplab.measure import fisher

pytestmark = pytest.mark.usefixtures("one_thread")


def largest_eigenvalue(net, x, y):
    """Of the whole Hessian of the mean cross-entropy in eval mode, by reverse mode twice."""
    net = copy.deepcopy(net).eval()
    weights = {name: w.detach() for _, name, w in counted(net)}
    sizes = [w.numel() for w in weights.values()]

    def loss(flat):
        parts = zip(weights.items(), flat.split(sizes), strict=True)
        own = {name: part.view_as(w) for (name, w), part in parts}
        return F.cross_entropy(functional_call(net, own, (x,)), y)

    flat = torch.cat([w.flatten() for w in weights.values()])
    return torch.linalg.eigvalsh(hessian(loss, flat))[-1]


def smooth(name):
    torch.manual_seed(3)
    if name == "fc":
        return lively(models.build("fc-5", 2, 4, 3)), torch.randn(12, 2, 4, 4, dtype=torch.float64)
    first = nn.Conv2d(2, 3, 3, padding=1), nn.BatchNorm2d(3), nn.Tanh()
    net = nn.Sequential(*first, nn.Conv2d(3, 4, 3, stride=2), nn.Flatten(), nn.Linear(16, 3))
    return lively(net), torch.randn(12, 2, 6, 6, dtype=torch.float64)


@pytest.mark.parametrize("name", ["fc", "convolutions"])
@pytest.mark.parametrize("labels", ["mixed", "one"])
def test_sharpness_is_the_largest_eigenvalue_of_the_hessian(name, labels):
    net, x = smooth(name)
    y = torch.arange(12) % 3 if labels == "mixed" else torch.ones(12, dtype=torch.long)
    expected = largest_eigenvalue(net, x, y).item()
    assert fisher.sharpness(net, x, y, tolerance=1e-8) == pytest.approx(expected, rel=1e-6)
    assert fisher.sharpness(net, x, y) == pytest.approx(expected, rel=0.02)


def test_sharpness_of_a_linear_softmax_has_a_closed_form_and_no_labels():
    """E (diag p − p pᵀ) ⊗ x xᵀ, the Fisher information itself."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(5, 4)).double()
    x = torch.randn(30, 5, dtype=torch.float64)
    p = net(x).softmax(1).detach()
    inner = torch.diag_embed(p) - p[:, :, None] * p[:, None]
    whole = sum(torch.kron(a, torch.outer(b, b)) for a, b in zip(inner, x, strict=True)) / 30
    expected = torch.linalg.eigvalsh(whole)[-1].item()
    for y in (torch.zeros(30, dtype=torch.long), torch.arange(30) % 4):
        assert fisher.sharpness(net, x, y, tolerance=1e-8) == pytest.approx(expected, rel=1e-7)


def test_sharpness_leaves_the_network_and_the_generators_as_they_were():
    net, x = smooth("convolutions")
    before = state_of(net.train())
    first, again = (fisher.sharpness(net, x, torch.arange(12) % 3) for _ in range(2))
    assert first == again
    assert_same_state(before, state_of(net))


def test_a_network_that_answers_alike_whatever_its_weights_has_no_sharpness():
    net = nn.Sequential(nn.Linear(4, 3)).double()
    assert fisher.sharpness(net, torch.zeros(5, 4).double(), torch.zeros(5, dtype=torch.long)) == 0


def test_a_sharpness_that_is_not_found_is_one_clear_line(monkeypatch):
    net, x = smooth("convolutions")
    monkeypatch.setattr(fisher, "ROUNDS", 1)
    with pytest.raises(CplabError, match="larger tolerance") as error:
        fisher.sharpness(net, x, torch.arange(12) % 3, tolerance=1e-14)
    assert "\n" not in str(error.value)
