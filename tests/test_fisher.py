"""Fisher information against brute force, closed forms and other libraries."""

import copy
import itertools
import math
import warnings
from contextlib import contextmanager, nullcontext
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call
from torch.utils._pytree import tree_leaves

from cplab import models
from cplab.errors import CplabError
from cplab.measure import fisher, layerwise, passes

pytestmark = pytest.mark.usefixtures("one_thread")  # these networks are too small to share


class Residual(nn.Module):
    """A branch that is added in place to what it came from."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(2, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.branch = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        x = self.norm(self.stem(x)).relu_()
        y = self.branch(input=x)
        y += x
        return self.head(y.relu_().mean((2, 3)))


def with_strides():
    first = nn.Conv2d(2, 4, 3, stride=2, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True)
    second = nn.Conv2d(4, 6, (2, 3), stride=(1, 2), padding=(0, 2), dilation=(1, 2), bias=False)
    return nn.Sequential(*first, second, nn.Tanh(), nn.Flatten(), nn.Linear(24, 4))


def with_padding_modes():
    first = nn.Conv2d(2, 3, (2, 3), padding="same"), nn.ELU()
    second = nn.Conv2d(3, 3, 3, padding=1, padding_mode="circular"), nn.Sigmoid()
    third = nn.Conv2d(3, 4, 3, padding=2, padding_mode="reflect", bias=False)
    head = nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 3, bias=False)
    return nn.Sequential(*first, *second, third, *head)


def with_groups():
    first = nn.Conv2d(2, 4, 3, groups=2), nn.Tanh()
    second = nn.Conv2d(4, 4, 3, groups=4, padding=1, bias=False), nn.BatchNorm2d(4)
    return nn.Sequential(*first, *second, nn.Flatten(), nn.Linear(64, 2))


def with_rows():
    """Linear layers with positions."""
    first = nn.Flatten(1, 2), nn.Linear(6, 5), nn.BatchNorm1d(12), nn.GELU()
    second = nn.Linear(5, 2, bias=False), nn.Flatten(), nn.BatchNorm1d(24)
    return nn.Sequential(*first, *second, nn.Linear(24, 5))


NETS = {
    "strides and dilation": with_strides,
    "padding modes": with_padding_modes,
    "groups": with_groups,
    "rows": with_rows,
    "residual": Residual,
    "all-cnn": lambda: models.build("allcnn-4", 2, 6, 4),
    "resnet": lambda: models.build("resnet18-2", 2, 6, 4),
}


def lively(net, dtype=torch.float64):
    """The network with statistics, scales and shifts as after training, where 0 and 1 would hide
    mistakes."""
    net = net.to(dtype)
    for module in net.modules():
        if isinstance(module, passes.NORMS):
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.2)
    return net


def case(name, images=5):
    torch.manual_seed(3)
    net = lively(NETS[name]())
    return net, torch.randn(images, 2, 6, 6, dtype=torch.float64)


def plain(net):
    """A copy in eval mode without in-place ReLUs, for the other libraries."""
    net = copy.deepcopy(net).eval()
    for module in net.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
    return net


def counted(net):
    """(layer, name, weight) of convolutions and linear layers."""
    for layer, module in net.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            yield layer, f"{layer}.weight".lstrip("."), module.weight


def brute(net, x):
    """Σ_y p_y (∂ log p_y)² averaged over images, for each weight by name: F's diagonal."""
    net = plain(net)
    chosen = {name: p for _, name, p in counted(net)}
    diagonal = {name: torch.zeros_like(p) for name, p in chosen.items()}
    for image in x:
        log_p = net(image[None]).log_softmax(1)[0]
        for each in log_p:
            grads = torch.autograd.grad(each, list(chosen.values()), retain_graph=True)
            for name, g in zip(chosen, grads, strict=True):
                diagonal[name] += each.exp().detach() * g.square() / len(x)
    return diagonal


def by_layer(net, diagonal):
    return {layer: diagonal[name].sum().item() for layer, name, _ in counted(net)}


def close(one, other, rel=1e-9):
    assert list(one) == list(other)
    assert list(one.values()) == pytest.approx(list(other.values()), rel=rel)


@contextmanager
def foreign(x):
    """For curvlinops, which warns, and makes tensors of the default type."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(x.dtype)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.set_default_dtype(before)


# The trace ----------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("name", NETS)
def test_trace_and_diagonal_are_means_of_squared_gradients_over_images_and_labels(name):
    net, x = case(name)
    diagonal = brute(net, x)
    expected, found = by_layer(net, diagonal), fisher.trace(net, x)
    close(found.layers, expected)
    assert found.total == pytest.approx(sum(expected.values()))
    assert (found.error, found.errors) == (0, {})
    for layer, found in fisher.diagonal(net, x).items():
        expected = diagonal[f"{layer}.weight".lstrip(".")]
        assert found.shape == expected.shape
        assert torch.allclose(found, expected, rtol=1e-9, atol=0)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("name", NETS)
def test_jacobian_is_the_mean_square_of_all_derivatives_of_the_logits(name):
    net, x = case(name)
    copied = plain(net)
    weights = {key: w.detach() for _, key, w in counted(copied)}

    def logits(weights, image):
        return functional_call(copied, weights, (image[None],))[0]

    derivatives = [torch.func.jacrev(logits)(weights, image) for image in x]
    expected = {
        layer: sum(each[key].square().sum().item() for each in derivatives) / len(x)
        for layer, key, _ in counted(copied)
    }
    found = fisher.jacobian(net, x)
    close(found.layers, expected)
    assert found.total == pytest.approx(sum(expected.values()))


def test_certainty_takes_the_trace_away_and_leaves_the_jacobian():
    """Logits ten times as large: answers without doubt, and derivatives ten times as large."""
    net, x = case("all-cnn")
    before = fisher.trace(net, x).layers["0"], fisher.jacobian(net, x).layers["0"]
    with torch.no_grad():
        net[-3].weight *= 1e4
    assert fisher.trace(net, x).layers["0"] < before[0]
    assert fisher.jacobian(net, x).layers["0"] == pytest.approx(1e8 * before[1])


def test_trace_is_that_of_curvlinops():
    """Of its GGN of the softmax loss, column by column."""
    net, x = case("all-cnn", images=7)
    found = fisher.trace(net, x).layers
    with foreign(x):
        from curvlinops import GGNLinearOperator

        net = plain(net)
        names, weights = zip(*((n, p) for n, _, p in counted(net)), strict=True)
        batch = (x, torch.zeros(len(x), dtype=torch.long))
        ggn = GGNLinearOperator(net, nn.CrossEntropyLoss(), list(weights), [batch])
        diagonal = (ggn @ torch.eye(ggn.shape[1], dtype=x.dtype)).diagonal()
    parts = diagonal.split([p.numel() for p in weights])
    close(found, {name: part.sum().item() for name, part in zip(names, parts, strict=True)})


def test_trace_of_a_linear_softmax_has_a_closed_form():
    """tr F = E ‖x‖² Σ_c p_c (1 − p_c)."""
    torch.manual_seed(0)
    net, x = nn.Linear(7, 5).double(), torch.randn(40, 7).double()
    p = net(x).softmax(1)
    weight = x.square().sum(1) * (p * (1 - p)).sum(1)
    assert fisher.trace(net, x).layers == pytest.approx({"Linear": weight.mean().item()})
    squares = 5 * x.square().sum(1).mean().item()  # of the Jacobian, whatever the weights
    assert fisher.jacobian(net, x).total == pytest.approx(squares)


def test_float32_is_good_to_four_digits():
    torch.manual_seed(0)
    net, x = lively(models.build("allcnn-8"), torch.float32), torch.randn(20, 3, 16, 16)
    found, single = fisher.trace(net, x), fisher.diagonal(net, x)
    close(found.layers, fisher.trace(net.double(), x.double()).layers, rel=1e-4)
    for name, expected in fisher.diagonal(net, x.double()).items():
        assert single[name].dtype == torch.float32
        assert (single[name] - expected).norm() < 1e-4 * expected.norm()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU")
def test_a_gpu_gives_the_same():
    net, x = case("all-cnn")
    here = fisher.trace(net, x)
    there = fisher.trace(net.cuda(), x)  # images may stay where they are
    close(here.layers, there.layers)
    one, two = fisher.sampled_trace(net, x, 50), fisher.sampled_trace(net, x.cuda(), 50)
    close(one.layers, two.layers)
    assert fisher.log_determinant(net, x).total == pytest.approx(
        fisher.log_determinant(net.cpu(), x).total
    )


@pytest.mark.parametrize("kind", ["uniform", "sharp", "certain", "two classes"])
def test_square_root_of_the_softmax_covariance(kind):
    torch.manual_seed(0)
    logits = torch.randn(6, 2 if kind == "two classes" else 5) * 1.0
    logits[:, 3 if kind == "certain" else 0] += {"sharp": 12, "certain": 300}.get(kind, 0)
    p = logits.softmax(1)
    s = fisher.square_root(p)
    assert s.shape == (p.shape[1] - 1, *p.shape)
    s, p = s.double(), logits.double().softmax(1)
    expected = torch.diag_embed(p) - p[:, :, None] * p[:, None]
    found = torch.einsum("kni,knj->nij", s, s)
    # Relative to each entry, although 1 − p is far below what float32 can tell from 1.
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-30)


# Drawing labels -----------------------------------------------------------------------------------


def test_sampled_trace_keeps_to_its_error_bars():
    """Over many seeds the deviation in units of the standard error has mean 0 and deviation 1."""
    net, x = case("strides and dilation", images=12)
    expected = fisher.trace(net, x)
    found = [fisher.sampled_trace(net, x, 300, seed) for seed in range(40)]
    z = torch.tensor([(f.total - expected.total) / f.error for f in found])
    assert abs(z.mean()) < 3 / 40**0.5
    assert 0.7 < z.std() < 1.4
    for layer, exact in expected.layers.items():
        z = torch.tensor([(f.layers[layer] - exact) / f.errors[layer] for f in found])
        assert abs(z.mean()) < 3.5 / 40**0.5
        assert 0.7 < z.std() < 1.4


@pytest.mark.parametrize("measure", [fisher.sampled_trace, fisher.information])
def test_draws_depend_on_their_seed_alone(measure):
    net, x = case("groups")
    first, again, other = (by_name(measure(net, x, draws=30, seed=seed)) for seed in (1, 1, 2))
    assert first == again
    assert sum(first.values()) != sum(other.values())


# What is left behind, what is refused -------------------------------------------------------------


def state_of(net):
    hooks = [
        (len(m._forward_hooks), len(m._forward_pre_hooks), len(m._backward_hooks), m.training)
        for m in net.modules()
    ]
    tensors = {k: v.clone() for k, v in net.state_dict().items()}
    grads = [None if p.grad is None else p.grad.clone() for p in net.parameters()]
    needs = [p.requires_grad for p in net.parameters()]
    same = [id(p) for p in net.parameters()]
    return hooks, tensors, grads, needs, same, torch.get_rng_state()


def assert_same_state(one, other):
    for a, b in zip(tree_leaves(one), tree_leaves(other), strict=True):
        same = torch.allclose(a, b, 0, 0, True) if isinstance(a, torch.Tensor) else a == b
        assert same


MEASURES = {
    "trace": fisher.trace,
    "jacobian": fisher.jacobian,
    "sampled_trace": partial(fisher.sampled_trace, draws=20),
    "log_determinant": fisher.log_determinant,
    "diagonal": fisher.diagonal,
    "information": partial(fisher.information, draws=2),
}


def by_name(found):
    """A number for each layer out of what any of these gives."""
    if isinstance(found, dict):
        return {name: diagonal.sum().item() for name, diagonal in found.items()}
    return getattr(found, "trace", found).layers


@pytest.mark.parametrize("measure", MEASURES)
def test_the_network_is_left_as_it_was(measure, monkeypatch):
    net, x = case("all-cnn", images=8)
    net.add_module("dropout", nn.Dropout())
    net.train()
    net[1].eval()  # modes differ from layer to layer
    net[3].weight.requires_grad_(False)
    F.cross_entropy(net(x), torch.zeros(8, dtype=torch.long)).backward()
    monkeypatch.setitem(passes.WORK, "cpu", 1)  # several passes, of an image each
    before = state_of(net)
    expected = MEASURES[measure](net, x)
    assert_same_state(before, state_of(net))

    calls = itertools.count()

    def interrupt(*_):
        if next(calls) == 2:
            raise KeyboardInterrupt

    handle = net[-2].register_forward_pre_hook(interrupt)
    with pytest.raises(KeyboardInterrupt):
        MEASURES[measure](net, x)
    handle.remove()
    assert_same_state(before, state_of(net))

    for p in net.parameters():
        p.requires_grad_(False)
    for mode in (torch.no_grad(), torch.inference_mode(), torch.autocast("cpu"), nullcontext()):
        with mode:
            found = MEASURES[measure](net, x * 1)  # x * 1 is an inference tensor in its mode
        close(by_name(found), by_name(expected))


class Network(nn.Module):
    """Two layers, used as a function says."""

    def __init__(self, way):
        super().__init__()
        self.layer, self.head, self.way = nn.Linear(4, 4), nn.Linear(4, 2), way

    def forward(self, x):
        return self.way(x * 1, self.layer, self.head)


def overwrite(x, layer, head):
    y = layer(x)
    x += 1
    return head(x + y)


def tie():
    net = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    net[1].weight = net[0].weight
    return net


X, SIMPLE = torch.ones(3, 4), nn.Linear(4, 3)
REFUSED = {
    "'layer' is used 2 times": (Network(lambda x, f, g: g(f(f(x)))), X),
    "'layer' is used 0 times": (Network(lambda x, f, g: g(x)), X),
    "'layer'.*first dimension": (Network(lambda x, f, g: g(f(x.repeat(2, 1))[::2])), X),
    "'layer'.*changed in place": (Network(overwrite), X),
    "'layer'.*cuts off its gradient": (Network(torch.no_grad()(lambda x, f, g: g(f(x)))), X),
    "'0' and '1' share a parameter": (tie(), X),
    r"'1' \(LayerNorm, parameter": (nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4)), X),
    "without running statistics": (
        nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4, track_running_stats=False)),
        X,
    ),
    "no weights": (nn.Flatten(), X),
    "no images": (SIMPLE, X[:0]),
    "uint8.*normalise": (SIMPLE, X.byte()),
    "not finite": (SIMPLE, X * math.inf),
    "shape": (SIMPLE, torch.ones(2, 5, 4)),
    "2 classes or more": (nn.Linear(4, 1), X),
}
ARGUMENTS = {
    "draws 1": partial(fisher.sampled_trace, draws=1),
    "damping nan": partial(fisher.log_determinant, damping=math.nan),
    "beta 0.0": partial(fisher.information, beta=0.0),
}


@pytest.mark.parametrize("words", [*REFUSED, *ARGUMENTS])
def test_what_cannot_be_measured_is_refused_in_one_line(words):
    net, x = REFUSED.get(words, (SIMPLE, X))
    before = state_of(net)
    for measure in [ARGUMENTS[words]] if words in ARGUMENTS else MEASURES.values():
        with pytest.raises(CplabError, match=words) as error:
            measure(net, x)
        assert "\n" not in str(error.value)
    assert_same_state(before, state_of(net))


# Chunks -------------------------------------------------------------------------------------------


def test_how_many_images_go_together_changes_no_value(monkeypatch):
    net, x = case("all-cnn", images=9)
    expected = {name: by_name(measure(net, x)) for name, measure in MEASURES.items()}
    for work in (1, 200_000):  # bytes: an image at a time, and some
        monkeypatch.setitem(passes.WORK, "cpu", work)
        for name, measure in MEASURES.items():
            close(by_name(measure(net, x)), expected[name])


def most_at_once(net, x):
    """The most images that went through the network together."""
    seen = []
    with net[0].register_forward_pre_hook(lambda _, args: seen.append(len(args[0]))):
        fisher.trace(net, x)
    return max(seen)


def test_fewer_images_go_together_where_they_take_more(monkeypatch):
    small, large = models.build("allcnn-4", 3, 8), models.build("allcnn-64", 3, 8)
    x = torch.randn(40, 3, 8, 8)
    assert most_at_once(small, x) == 40
    assert most_at_once(large, torch.randn(40, 3, 32, 32)) < 10
    monkeypatch.setitem(passes.WORK, "cpu", passes.WORK["cpu"] // 400)
    assert 1 < most_at_once(small, x) < 40


# The determinant ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["strides and dilation", "groups", "rows"])
def test_log_determinant_is_that_of_the_kronecker_products(name):
    """A and G from inputs and outputs caught by hand, one image and one label at a time."""
    net, x = case(name)
    found = fisher.log_determinant(net, x, 0.01)
    for layer in found.layers:
        module = plain(net).get_submodule(layer)
        expected = 0.0
        blocks = layerwise.groups(module)
        left, right = [0] * blocks, [0] * blocks
        for image in x:
            for a, g, p in caught(net, layer, image):
                for b in range(blocks):
                    a_b, g_b = a.chunk(blocks)[b], g.chunk(blocks)[b]
                    left[b] = left[b] + p * a_b @ a_b.T / len(x)
                    right[b] = right[b] + p * g_b @ g_b.T / a.shape[1] / len(x)
        for one, other in zip(left, right, strict=True):
            block = torch.kron(one, other)
            expected += (block + 0.01 * torch.eye(len(block)).double()).logdet().item()
        assert found.layers[layer] == pytest.approx(expected, rel=1e-9)
    assert found.total == pytest.approx(sum(found.layers.values()))


def caught(net, layer, image):
    """For each label: what each position of a layer took in (K, P), the gradient of log p at what
    it gave out (O, P), and p."""
    net, seen = plain(net), {}
    module = net.get_submodule(layer)
    module.register_forward_hook(lambda m, args, out: seen.update(a=args[0].detach(), out=out))
    log_p = net(image[None]).log_softmax(1)[0]
    if isinstance(module, nn.Conv2d):
        about = (module.kernel_size, module.dilation, module.padding, module.stride)
        [a] = F.unfold(seen["a"], *about)
    else:
        a = seen["a"].reshape(-1, seen["a"].shape[-1]).T
    for each in log_p:
        g = torch.autograd.grad(each, seen["out"], retain_graph=True)[0][0]
        g = g.flatten(1) if isinstance(module, nn.Conv2d) else g.reshape(-1, g.shape[-1]).T
        yield a, g, each.exp().detach()


def test_log_determinant_is_exact_where_kfac_is():
    """One linear layer, one image: F itself is a Kronecker product."""
    torch.manual_seed(0)
    net, x = nn.Linear(4, 3, bias=False).double(), torch.randn(1, 4).double()
    f, p = torch.zeros(12, 12).double(), net(x).softmax(1)[0]
    for c in range(3):
        g = torch.autograd.grad(net(x).log_softmax(1)[0, c], net.weight)[0].flatten()
        f += p[c].detach() * g[:, None] * g
    for damping in (1e-3, 1.0):
        expected = (f + damping * torch.eye(12).double()).logdet().item()
        assert fisher.log_determinant(net, x, damping).total == pytest.approx(expected)


def test_log_determinant_is_that_of_curvlinops():
    net, x = case("all-cnn", images=6)
    found = fisher.log_determinant(net, x)
    with foreign(x):
        from curvlinops import KFACLinearOperator

        net = plain(net)
        batch = (x, torch.zeros(len(x), dtype=torch.long))
        for layer, _, weight in list(counted(net)):
            about = ([weight], [batch])
            kfac = KFACLinearOperator(net, nn.CrossEntropyLoss(), *about, fisher_type="type-2")
            dense = kfac @ torch.eye(weight.numel()).double()
            expected = (dense + 1e-3 * torch.eye(len(dense)).double()).logdet().item()
            assert found.layers[layer] == pytest.approx(expected, rel=1e-9)


def test_a_layer_that_nothing_depends_on_knows_nothing():
    class Ignores(nn.Sequential):
        def forward(self, x):
            self[1](x)
            return self[0](x)

    torch.manual_seed(0)
    net, x = Ignores(nn.Linear(4, 3), nn.Linear(4, 2)), torch.randn(5, 4)
    assert fisher.trace(net, x).layers["1"] == 0
    assert fisher.log_determinant(net, x).layers["1"] == pytest.approx(8 * math.log(1e-3))
    found = fisher.information(net, x)
    assert found.trace.layers["0"] > found.trace.layers["1"] == 0
    limit = net[1].weight.square().mean().item()
    assert found.variances["1"].flatten().tolist() == pytest.approx([limit] * 8)


# Information in the weights -----------------------------------------------------------------------


def test_a_weight_s_noise_is_twice_beta_over_its_information():
    """With little noise the diagonal is that at the weights themselves: brute force knows it."""
    for name in ("strides and dilation", "groups", "rows"):
        net, x = case(name)
        found = fisher.information(net, x, 1e-12, draws=150, batch=100)
        for layer, key, _ in counted(net):
            diagonal = brute(net, x)[key]
            ratio = (found.variances[layer] * diagonal / 2e-12)[diagonal > 0].log()
            assert ratio.abs().max() < 0.25  # wrong places would be off by far more
            assert ratio.std() < 0.06
        exact = fisher.trace(net, x)
        close(found.trace.layers, exact.layers, rel=0.06)
        assert abs(found.trace.total - exact.total) < 4 * found.trace.error


def test_variances_minimise_the_papers_sum():
    """A linear softmax under much noise, its expected loss by local reparameterisation: given w's
    noise, logits are independent Gaussians. Its gradient in log Σ has to be β for each weight."""
    torch.manual_seed(0)
    net, x = nn.Linear(3, 4).double(), torch.randn(8, 3).double()
    nn.init.normal_(net.weight, std=2)
    beta = 0.02  # 0.24 nats in all
    found = fisher.information(net, x, beta, draws=600, batch=50)
    log_variance = found.variances["Linear"].log().requires_grad_()
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
    assert abs(found.trace.total - exact) > 0.1 * exact


def test_noise_costs_beta_for_each_weight():
    """E L(w) − L(w₀) = ½ tr(ΣH) = β · weights while the loss is quadratic."""
    net, x = case("groups", images=20)
    net.eval()
    count = sum(p.numel() for _, _, p in counted(net))
    found = fisher.information(net, x, 1e-3 / count)
    p = net(x).softmax(1).detach()

    def loss(noise):  # for labels of the network's own: its least is at no noise
        weights = {f"{n}.weight": net.get_submodule(n).weight + e for n, e in noise.items()}
        return -(p * functional_call(net, weights, (x,)).log_softmax(1)).sum(1).mean().item()

    rises = [
        loss({n: v.sqrt() * torch.randn(v.shape).double() for n, v in found.variances.items()})
        - loss({})
        for _ in range(300)
    ]
    assert sum(rises) / 300 == pytest.approx(1e-3, rel=0.1)
    assert fisher.information(net, x, draws=2).beta == pytest.approx(0.05 / count)


def test_noise_stays_below_the_weights_where_they_hardly_matter():
    """An untrained deep network whose answers hardly depend on its images: noise without limit
    would drown it."""
    net, x = case("all-cnn", images=20)
    found = fisher.information(net, x)
    for layer, variances in found.variances.items():
        assert variances.max() <= net.get_submodule(layer).weight.square().mean() * (1 + 1e-9)
    assert found.trace.total == pytest.approx(fisher.trace(net, x).total, rel=0.3)


def test_the_trace_of_the_information_is_that_of_the_noise():
    net, x = case("rows")
    found = fisher.information(net, x, 1e-12, draws=10)  # no noise at its limit
    assert list(found.trace.layers) == list(fisher.trace(net, x).layers)
    for layer, variances in found.variances.items():
        assert variances.shape == net.get_submodule(layer).weight.shape
        trace = (2 * found.beta / variances).sum().item()
        assert found.trace.layers[layer] == pytest.approx(trace)
