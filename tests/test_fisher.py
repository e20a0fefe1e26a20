"""Fisher information against brute force, closed forms and another library."""

import math
from functools import partial
from itertools import accumulate, pairwise
from typing import NamedTuple

import pytest
import torch
import torch.nn.functional as F
from conftest import lively
from torch import nn
from torch.func import functional_call, jacrev, vmap

from benchmarks.traces import by_curvlinops, out_of_place, traced_weights
from cplab import models
from cplab.labs.lab04b import sampled_trace
from cplab.measure import fisher


def with_convolutions():
    """Of several strides, dilations, groups and kinds of padding."""
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, stride=2, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(inplace=True),
        nn.Conv2d(4, 6, (2, 3), stride=(1, 2), padding=(0, 2), dilation=(1, 2), groups=2),
        nn.Tanh(),
        nn.Conv2d(6, 3, 3, padding=1, padding_mode="circular", bias=False),
        nn.Flatten(),
        nn.Linear(12, 4),
    )


def with_rows():
    """Linear layers with positions."""
    return nn.Sequential(
        nn.Flatten(1, 2),
        nn.Linear(6, 5),
        nn.BatchNorm1d(12),
        nn.GELU(),
        nn.Linear(5, 2, bias=False),
        nn.Flatten(),
        nn.BatchNorm1d(24),
        nn.Linear(24, 5),
    )


NETS = {
    "convolutions": with_convolutions,
    "rows": with_rows,
    "residual": lambda: models.build("resnet18-2", 2, 6, 4),
    "all-cnn": lambda: models.build("allcnn-4", 2, 6, 4),
}


class Case(NamedTuple):
    """A network, and the images (N, 2, 6, 6) of which it is measured."""

    net: nn.Module
    x: torch.Tensor


def make_case(name, images=5):
    torch.manual_seed(3)
    net = lively(NETS[name]().double())
    return Case(net, torch.randn(images, 2, 6, 6, dtype=torch.float64))


@pytest.fixture(params=NETS)
def case(request):
    return make_case(request.param)


# Against brute force ------------------------------------------------------------------------------


def log_chances(logits):
    return logits.log_softmax(0)


def derivatives(net, x, function):
    """Those of a function of each image's logits, by the weights: {layer: (N, classes, ...)}."""
    net = out_of_place(net).eval()

    def outputs(weights, image):
        [logits] = functional_call(net, weights, (image[None],))
        return function(logits)

    weights = {name: weight.detach() for name, weight in traced_weights(net).items()}
    slopes = vmap(jacrev(outputs), (None, 0))(weights, x)
    return {name.removesuffix(".weight"): slope for name, slope in slopes.items()}


def brute_diagonal(net, x):
    """The diagonal of F: Σ_y p_y (∂ log p_y)², a mean over images."""
    chances = out_of_place(net).eval()(x).detach().softmax(1)
    diagonal = {}
    for name, slope in derivatives(net, x, log_chances).items():
        diagonal[name] = torch.einsum("nk,nk...->...", chances, slope**2) / len(x)
    return diagonal


def brute_jacobian(net, x):
    """Squared derivatives of logits, their sum over classes, a mean over images, by layer."""
    slopes = derivatives(net, x, lambda logits: logits)
    return {name: (slope**2).sum().item() / len(x) for name, slope in slopes.items()}


def sums(parts):
    return {name: part.sum().item() for name, part in parts.items()}


def close(numbers):
    return pytest.approx(numbers, rel=1e-9)


def test_the_diagonal_is_the_expected_squared_gradient_and_the_trace_its_sum(case):
    expected = brute_diagonal(*case)
    torch.testing.assert_close(fisher.diagonal(*case), expected, rtol=1e-9, atol=0)
    layers = fisher.trace(*case).layers
    assert layers == close(sums(expected))
    assert [*layers] == [*expected]  # in the network's order


@pytest.mark.parametrize("measure", [fisher.trace, fisher.log_determinant])
def test_the_total_is_the_sum_of_layers(measure):
    measured = measure(*make_case("residual"))
    assert measured.total == pytest.approx(sum(measured.layers.values()))


def test_the_jacobian_s_norm_is_a_sum_of_squared_derivatives_of_logits(case):
    assert fisher.jacobian(*case).layers == close(brute_jacobian(*case))


def test_the_trace_is_that_of_another_library():
    net, x = make_case("all-cnn")
    expected = by_curvlinops(out_of_place(net).eval(), x)
    assert fisher.trace(net, x).total == pytest.approx(expected)


def test_a_sampled_trace_is_right_on_average_and_keeps_to_its_error_bars():
    net, x = make_case("convolutions", images=12)
    exact = fisher.trace(net, x).total
    deviations = []  # of 40 seeds, in standard errors
    for seed in range(40):
        estimate, error = sampled_trace(net, x, 300, seed)
        deviations.append((estimate - exact) / error)
    assert abs(torch.tensor(deviations).mean()) < 3.5 / 40**0.5
    assert 0.7 < torch.tensor(deviations).std() < 1.4


# What is left as it was ---------------------------------------------------------------------------


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


def by_layer(measured):
    """A number for each layer out of what any measure gives."""
    if isinstance(measured, dict):
        return sums(measured)
    if isinstance(measured, tuple):  # of `information`, which gives variances too
        measured = measured[0]
    return measured.layers


@pytest.fixture
def in_training():
    """A network whose layers differ in mode, of which one is frozen, with gradients."""
    net, x = make_case("all-cnn")
    net.train()
    net[1].eval()
    net[3].weight.requires_grad_(False)
    F.cross_entropy(net(x), torch.zeros(len(x), dtype=torch.long)).backward()
    return Case(net, x)


SOME = 200_000
ONE = 1  # bytes: several images at a time, or one


@pytest.mark.parametrize("measure", MEASURES)
def test_how_many_images_go_together_changes_no_value_and_the_network_stays(
    measure, in_training, monkeypatch
):
    before = state_of(in_training.net)
    together = by_layer(MEASURES[measure](*in_training))
    assert state_of(in_training.net) == before
    for work in (SOME, ONE):
        monkeypatch.setitem(fisher.WORK, "cpu", work)
        assert by_layer(MEASURES[measure](*in_training)) == close(together)


# Against another library, and closed forms --------------------------------------------------------


def written_out(kind, net, x, y, **options):
    """Another library's matrix of a kind, for the mean loss in eval mode."""
    import curvlinops

    net = out_of_place(net).eval()
    weights = [*traced_weights(net).values()]
    make = getattr(curvlinops, f"{kind}LinearOperator")
    loss = nn.CrossEntropyLoss()
    operator = make(net, loss, weights, [(x, y)], check_deterministic=False, **options)
    return operator @ torch.eye(operator.shape[0], dtype=x.dtype)


@pytest.mark.filterwarnings("ignore")  # of the other library
@pytest.mark.parametrize("name", ["rows", "all-cnn"])
def test_log_determinant_is_that_of_another_library_s_kronecker_products(name):
    net, x = make_case(name)
    damping = 1e-5
    y = torch.zeros(len(x), dtype=torch.long)
    blocks = written_out("KFAC", net, x, y, fisher_type="type-2")
    blocks.diagonal().add_(damping)
    ends = accumulate((weight.numel() for weight in traced_weights(net).values()), initial=0)
    expected = [blocks[first:last, first:last].logdet().item() for first, last in pairwise(ends)]
    layers = fisher.log_determinant(net, x, damping).layers
    assert [*layers.values()] == close(expected)


def test_log_determinant_of_groups_falls_to_the_trace_under_much_damping():
    """Where there is one image and one position, so that the Kronecker product is exact."""
    groups = nn.Conv2d(4, 6, 3, groups=2)
    net = nn.Sequential(groups, nn.Flatten(), nn.Linear(6, 3)).double()
    x = torch.randn(1, 4, 3, 3).double()
    much = 1e6
    log = fisher.log_determinant(net, x, much).layers["0"]
    above_damping = log - groups.weight.numel() * math.log(much)
    trace = fisher.trace(net, x).layers["0"]
    assert much * above_damping == pytest.approx(trace, rel=1e-4)


def test_variances_minimise_the_papers_sum():
    """By sampling: logits are Gaussians, and the slope in log Σ is β at the minimum. Labels do not
    matter to a linear model's curvature. It is an average over weights, and not the closed form
    where the network stands."""
    torch.manual_seed(0)
    net = nn.Linear(3, 4).double()
    x = torch.randn(8, 3).double()
    nn.init.normal_(net.weight, std=2)
    beta = 0.02  # nats a weight
    information, variances = fisher.information(net, x, beta, draws=600, batch=50)
    exact = fisher.trace(net, x).total
    assert abs(information.total - exact) > 0.1 * exact

    draws = 20_000
    log_variance = variances["Linear"].log().requires_grad_()
    deviation = (x.square() @ log_variance.exp().T).sqrt()
    random = torch.randn(draws, 8, 4, dtype=torch.float64)
    y = (torch.arange(8) % 4).repeat(draws)
    loss = 0
    for sign in (1, -1):
        logits = net(x) + sign * deviation * random
        loss = loss + F.cross_entropy(logits.flatten(0, 1), y) / 2
    [gradient] = torch.autograd.grad(loss, log_variance)
    assert gradient.flatten() == pytest.approx(torch.full((12,), beta).double(), rel=0.1)
    assert gradient.mean() == pytest.approx(beta, rel=0.02)


@pytest.mark.filterwarnings("ignore")  # of the other library
@pytest.mark.parametrize("labels", [3, 1])
def test_sharpness_is_the_largest_eigenvalue_of_the_hessian(labels):
    net, x = make_case("convolutions", images=12)
    y = torch.arange(12) % labels
    largest = torch.linalg.eigvalsh(written_out("Hessian", net, x, y))[-1]
    before = state_of(net)
    assert fisher.sharpness(net, x, y) == pytest.approx(largest.item(), rel=0.01)
    assert state_of(net) == before
