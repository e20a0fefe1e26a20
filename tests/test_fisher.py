"""Fisher information against brute force, closed forms and another library."""

import math
from functools import partial
from itertools import accumulate, pairwise

import pytest
import torch
import torch.nn.functional as F
from conftest import lively
from torch import nn
from torch.func import functional_call, jacrev, vmap

from benchmarks.__main__ import by_curvlinops, counted, out_of_place
from cplab import models
from cplab.labs.lab04b import sampled_trace
from cplab.measure import fisher


def with_convolutions():
    """Of several strides, dilations, groups and kinds of padding."""
    first = nn.Conv2d(2, 4, 3, stride=2, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True)
    second = nn.Conv2d(4, 6, (2, 3), stride=(1, 2), padding=(0, 2), dilation=(1, 2), groups=2)
    third = nn.Conv2d(6, 3, 3, padding=1, padding_mode="circular", bias=False)
    return nn.Sequential(*first, second, nn.Tanh(), third, nn.Flatten(), nn.Linear(12, 4))


def with_rows():
    """Linear layers with positions."""
    first = nn.Flatten(1, 2), nn.Linear(6, 5), nn.BatchNorm1d(12), nn.GELU()
    second = nn.Linear(5, 2, bias=False), nn.Flatten(), nn.BatchNorm1d(24)
    return nn.Sequential(*first, *second, nn.Linear(24, 5))


NETS = {
    "convolutions": with_convolutions,
    "rows": with_rows,
    "residual": lambda: models.build("resnet18-2", 2, 6, 4),
    "all-cnn": lambda: models.build("allcnn-4", 2, 6, 4),
}


def case(name, images=5):
    torch.manual_seed(3)
    net = lively(NETS[name]().double())
    return net, torch.randn(images, 2, 6, 6, dtype=torch.float64)


def brute(net, x, squares="labels"):
    """Σ_y p_y (∂ log p_y)², a mean over images: F's diagonal; or the sum of squared derivatives."""
    net = out_of_place(net).eval()

    def outputs(weights, image):
        logits = functional_call(net, weights, (image[None],))[0]
        return logits.log_softmax(0) if squares == "labels" else logits

    weights = {name: weight.detach() for name, weight in counted(net).items()}
    slopes = vmap(jacrev(outputs), (None, 0))(weights, x)
    p = net(x).detach().softmax(1) if squares == "labels" else torch.ones_like(net(x))
    return {
        name.removesuffix(".weight"): torch.einsum("nk,nk...->...", p, slope**2) / len(x)
        for name, slope in slopes.items()
    }


def by_layer(found):
    """A number for each layer out of what any measure gives."""
    if isinstance(found, dict):
        return {name: part.sum().item() for name, part in found.items()}
    return (found[0] if isinstance(found, tuple) else found).layers


def close(found, expected):
    assert by_layer(found) == pytest.approx(by_layer(expected), rel=1e-9)


@pytest.mark.parametrize("name", NETS)
def test_trace_and_diagonal_are_means_of_squared_gradients_over_images_and_labels(name):
    net, x = case(name)
    expected, found = brute(net, x), fisher.trace(net, x)
    close(found, expected)
    assert [*found.layers] == [*expected]
    assert found.total == pytest.approx(sum(found.layers.values()))
    torch.testing.assert_close(fisher.diagonal(net, x), expected, rtol=1e-9, atol=0)
    close(fisher.jacobian(net, x), brute(net, x, "logits"))
    if name == "all-cnn":
        assert by_curvlinops(out_of_place(net).eval(), x) == pytest.approx(found.total)


def test_sampled_trace_keeps_to_its_error_bars():
    """Over many seeds the deviation in units of the standard error has mean 0 and deviation 1."""
    net, x = case("convolutions", images=12)
    exact = fisher.trace(net, x).total
    found = [sampled_trace(net, x, 300, seed) for seed in range(40)]
    z = torch.tensor([(estimate - exact) / error for estimate, error in found])
    assert abs(z.mean()) < 3.5 / 40**0.5
    assert 0.7 < z.std() < 1.4


MEASURES = {
    "trace": fisher.trace,
    "jacobian": fisher.jacobian,
    "log_determinant": fisher.log_determinant,
    "diagonal": fisher.diagonal,
    "information": partial(fisher.information, draws=2, batch=8),
}


def state_of(net):
    """All of a network that a measurement might change, and the random numbers, as text."""
    modes = [module.training for module in net.modules()]
    values = [value.tolist() for value in net.state_dict().values()]
    slopes = [(w.requires_grad, w.grad is None or w.grad.tolist()) for w in net.parameters()]
    return repr([modes, values, slopes, torch.get_rng_state().tolist()])


@pytest.mark.parametrize("measure", MEASURES)
def test_the_network_is_left_as_it_was_and_how_many_go_together_changes_no_value(
    measure, monkeypatch
):
    net, x = case("all-cnn", images=5)
    net.train()
    net[1].eval()  # modes differ from layer to layer
    net[3].weight.requires_grad_(False)
    F.cross_entropy(net(x), torch.zeros(5, dtype=torch.long)).backward()
    before, expected = state_of(net), MEASURES[measure](net, x)
    for work in (200_000, 1):  # bytes: some images at a time, or one
        monkeypatch.setitem(fisher.WORK, "cpu", work)
        close(MEASURES[measure](net, x), expected)
        assert state_of(net) == before


def written_out(kind, net, x, y, **how):
    """Another library's matrix of a kind, for the mean loss in eval mode."""
    import curvlinops

    net = out_of_place(net).eval()
    weights, how = [*counted(net).values()], {"check_deterministic": False, **how}
    operator = getattr(curvlinops, f"{kind}LinearOperator")
    found = operator(net, nn.CrossEntropyLoss(), weights, [(x, y)], **how)
    return found @ torch.eye(found.shape[0], dtype=x.dtype)


@pytest.mark.filterwarnings("ignore")  # of the other library
@pytest.mark.parametrize("name", ["rows", "all-cnn"])
def test_log_determinant_is_that_of_another_library_s_kronecker_products(name):
    net, x = case(name)
    found, y = fisher.log_determinant(net, x, 1e-5), torch.zeros(len(x), dtype=torch.long)
    blocks = written_out("KFAC", net, x, y, fisher_type="type-2")
    blocks.diagonal().add_(1e-5)  # the damping
    ends = accumulate((weight.numel() for weight in counted(net).values()), initial=0)
    logs = [blocks[first:last, first:last].logdet().item() for first, last in pairwise(ends)]
    assert [*found.layers.values()] == pytest.approx(logs, rel=1e-9)
    assert found.total == pytest.approx(sum(found.layers.values()))


def test_log_determinant_of_groups_falls_to_the_trace_under_much_damping():
    """Where there is one image and one position, so that the Kronecker product is exact."""
    first, x = nn.Conv2d(4, 6, 3, groups=2), torch.randn(1, 4, 3, 3).double()
    net, much = nn.Sequential(first, nn.Flatten(), nn.Linear(6, 3)).double(), 1e6
    log = fisher.log_determinant(net, x, much).layers["0"] - first.weight.numel() * math.log(much)
    assert much * log == pytest.approx(fisher.trace(net, x).layers["0"], rel=1e-4)


def test_variances_minimise_the_papers_sum():
    """A linear softmax under noise: logits are Gaussians, and the gradient in log Σ is β."""
    torch.manual_seed(0)
    net, x = nn.Linear(3, 4).double(), torch.randn(8, 3).double()
    nn.init.normal_(net.weight, std=2)
    beta = 0.02  # 0.24 nats in all
    found, variances = fisher.information(net, x, beta, draws=600, batch=50)
    log_variance = variances["Linear"].log().requires_grad_()
    y = torch.arange(8) % 4  # labels do not matter to a linear model's curvature
    deviation = (x.square() @ log_variance.exp().T).sqrt()
    random = torch.randn(20_000, 8, 4, dtype=torch.float64)
    loss = 0
    for sign in (1, -1):
        logits = net(x) + sign * deviation * random
        loss = loss + F.cross_entropy(logits.flatten(0, 1), y.repeat(20_000)) / 2
    (gradient,) = torch.autograd.grad(loss, log_variance)
    assert gradient.flatten() == pytest.approx(torch.full((12,), beta).double(), rel=0.1)
    assert gradient.mean() == pytest.approx(beta, rel=0.02)
    # The closed form at w₀ would not do: it is the average over w that is tested.
    exact = fisher.trace(net, x).total
    assert abs(found.total - exact) > 0.1 * exact


@pytest.mark.filterwarnings("ignore")  # of the other library
@pytest.mark.parametrize("labels", [3, 1])
def test_sharpness_is_the_largest_eigenvalue_of_the_hessian(labels):
    net, x = case("convolutions", images=12)
    y = torch.arange(12) % labels
    largest = torch.linalg.eigvalsh(written_out("Hessian", net, x, y))[-1]
    before = state_of(net)
    assert fisher.sharpness(net, x, y) == pytest.approx(largest.item(), rel=0.01)
    assert state_of(net) == before
