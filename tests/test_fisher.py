"""Fisher information against brute force, closed forms and three other libraries.

`python tests/test_fisher.py` measures speed: ratios to those libraries, interleaved in one process.
"""

import copy
import itertools
import json
import math
import time
import warnings
import weakref
from contextlib import contextmanager, nullcontext
from functools import partial
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd.functional import hessian
from torch.func import functional_call, grad, vmap
from torch.nn.utils import prune
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from cplab import fisher, models
from cplab.experiment import CplabError, Run

EVERYTHING = ("weight", "bias", "norm")


@pytest.fixture(autouse=True)
def one_thread():
    """These networks are too small to share."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


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


NETS = {
    "strides and dilation": lambda: nn.Sequential(
        nn.Conv2d(2, 4, 3, stride=2, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(inplace=True),
        nn.Conv2d(4, 6, (2, 3), stride=(1, 2), padding=(0, 2), dilation=(1, 2), bias=False),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(24, 4),
    ),
    "padding modes": lambda: nn.Sequential(
        nn.Conv2d(2, 3, (2, 3), padding="same"),
        nn.ELU(),
        nn.Conv2d(3, 3, 3, padding=1, padding_mode="circular"),
        nn.Sigmoid(),
        nn.Conv2d(3, 4, 3, padding=2, padding_mode="reflect", bias=False),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(16, 3, bias=False),
    ),
    "groups": lambda: nn.Sequential(
        nn.Conv2d(2, 4, 3, groups=2),
        nn.Tanh(),
        nn.Conv2d(4, 4, 3, groups=4, padding=1, bias=False),
        nn.BatchNorm2d(4),
        nn.Flatten(),
        nn.Linear(64, 2),
    ),
    "rows": lambda: nn.Sequential(  # linear layers with positions
        nn.Flatten(1, 2),
        nn.Linear(6, 5),
        nn.BatchNorm1d(12),
        nn.GELU(),
        nn.Linear(5, 2, bias=False),
        nn.Flatten(),
        nn.BatchNorm1d(24),
        nn.Linear(24, 5),
    ),
    "residual": Residual,
    "all-cnn": lambda: models.AllCNN(4, channels=2, classes=4),
    "resnet": lambda: models.ResNet18(2, channels=2, classes=4),
    "depth": lambda: models.Depth(2, 2, channels=2, classes=4),
}


def lively(net, dtype=torch.float64):
    """The network with statistics, scales and shifts as after training, where 0 and 1 would hide
    mistakes."""
    net = net.to(dtype)
    for module in net.modules():
        if isinstance(module, fisher.NORMS):
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


def counted(net, count):
    """(layer, name, parameter) of those that count."""
    for layer, module in net.named_modules():
        for key, parameter in module.named_parameters(recurse=False):
            if ("norm" if isinstance(module, fisher.NORMS) else key) in count:
                yield layer, f"{layer}.{key}".lstrip("."), parameter


def brute(net, x, count=("weight",)):
    """Σ_y p_y (∂ log p_y)² averaged over images, for each parameter by name: F's diagonal."""
    net = plain(net)
    chosen = {name: p for _, name, p in counted(net, count)}
    diagonal = {name: torch.zeros_like(p) for name, p in chosen.items()}
    for image in x:
        log_p = net(image[None]).log_softmax(1)[0]
        for each in log_p:
            grads = torch.autograd.grad(each, list(chosen.values()), retain_graph=True)
            for name, g in zip(chosen, grads, strict=True):
                diagonal[name] += each.exp().detach() * g.square() / len(x)
    return diagonal


def by_layer(net, diagonal, count=("weight",)):
    sums = {}
    for layer, name, _ in counted(net, count):
        sums[layer] = sums.get(layer, 0) + diagonal[name].sum().item()
    return sums


def close(one, other, rel=1e-9):
    assert list(one) == list(other)
    assert list(one.values()) == pytest.approx(list(other.values()), rel=rel)


# Other libraries, weights alone -------------------------------------------------------------------


@contextmanager
def foreign(x):
    """For libraries that warn, and that make tensors of the default type."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(x.dtype)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.set_default_dtype(before)


def by_vmap(net, x, chunk=64):
    """torch.func's per-image gradients of each label's log p."""
    net = plain(net)
    weights = {name: p.detach() for _, name, p in counted(net, ("weight",))}

    def log_p(weights, image, label):
        return functional_call(net, weights, (image[None],)).log_softmax(1)[0] @ label

    gradients = vmap(grad(log_p), (None, 0, None))
    sums = dict.fromkeys(weights, 0.0)
    for part in x.split(chunk):
        p = net(part).softmax(1).detach()
        for c, label in enumerate(torch.eye(p.shape[1]).to(p)):
            for name, g in gradients(weights, part, label).items():
                sums[name] += (g.flatten(1).square().sum(1) * p[:, c]).sum().item() / len(x)
    return {name.removesuffix(".weight"): s for name, s in sums.items()}


def by_backpack(net, x, chunk=64):
    """BackPACK's DiagGGNExact."""
    with foreign(x):
        from backpack import backpack, extend
        from backpack.extensions import DiagGGNExact

        net = plain(net)
        weights = {layer: p for layer, _, p in counted(net, ("weight",))}
        for p in net.parameters():
            p.requires_grad_(any(p is w for w in weights.values()))
        net, loss = extend(net), extend(nn.CrossEntropyLoss(reduction="sum"))
        sums = dict.fromkeys(weights, 0.0)
        for part in x.split(chunk):
            value = loss(net(part), torch.zeros(len(part), dtype=torch.long))
            with backpack(DiagGGNExact()):
                value.backward()
            for layer, p in weights.items():
                sums[layer] += p.diag_ggn_exact.sum().item() / len(x)
                p.grad = None
    return sums


def by_nngeometry(net, x, chunk=128):
    """nngeometry's diagonal FIM of the logits; takes biases of convolutions in with weights."""
    with foreign(x):
        from nngeometry.layercollection import LayerCollection
        from nngeometry.metrics import FIM
        from nngeometry.object import PMatDiag

        net, layers = plain(net), LayerCollection()
        names = [layer for layer, _, _ in counted(net, ("weight",))]
        for layer in names:
            layers.add_layer_from_model(net, net.get_submodule(layer))
        loader = torch.utils.data.DataLoader(
            torch.utils.data.TensorDataset(x, torch.zeros(len(x))), batch_size=chunk
        )
        fim = FIM(net, loader, PMatDiag, layer_collection=layers, function=lambda *d: net(d[0]))
        diagonal = fim.get_diag()
    sums, start = {}, 0
    for layer in names:
        sums[layer] = 0.0
        for key, p in net.get_submodule(layer).named_parameters():
            piece = diagonal[start : start + p.numel()]
            start += p.numel()
            if key == "weight":
                sums[layer] = piece.sum().item()
    return sums


def by_curvlinops(net, x):
    """curvlinops' GGN of the softmax loss, column by column."""
    with foreign(x):
        from curvlinops import GGNLinearOperator

        net = plain(net)
        names, weights = zip(*((n, p) for n, _, p in counted(net, ("weight",))), strict=True)
        batch = (x, torch.zeros(len(x), dtype=torch.long))
        ggn = GGNLinearOperator(net, nn.CrossEntropyLoss(), list(weights), [batch])
        diagonal = (ggn @ torch.eye(ggn.shape[1], dtype=x.dtype)).diagonal()
    sizes = [p.numel() for p in weights]
    return {
        name: piece.sum().item() for name, piece in zip(names, diagonal.split(sizes), strict=True)
    }


# The trace ----------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("name", NETS)
def test_trace_is_the_mean_of_squared_gradients_over_images_and_labels(name):
    net, x = case(name)
    diagonal = brute(net, x, EVERYTHING)
    for count in (("weight",), ("bias",), ("norm",), EVERYTHING):
        expected = by_layer(net, diagonal, count)
        if expected:
            found = fisher.trace(net, x, count=count)
            close(found.layers, expected)
            assert found.total == pytest.approx(sum(expected.values()))
            assert found.error == 0
            assert found.errors == {}
    close(fisher.trace(net, x).layers, by_layer(net, diagonal))  # weights are the default


@pytest.mark.parametrize("library", [by_vmap, by_backpack, by_nngeometry, by_curvlinops])
def test_trace_is_that_of_other_libraries(library):
    net, x = case("all-cnn", images=7)
    close(fisher.trace(net, x).layers, library(net, x))


def test_trace_of_a_linear_softmax_has_a_closed_form():
    """tr F = E ‖x‖² Σ_c p_c (1 − p_c)."""
    torch.manual_seed(0)
    net, x = nn.Linear(7, 5).double(), torch.randn(40, 7).double()
    p = net(x).softmax(1)
    weight = x.square().sum(1) * (p * (1 - p)).sum(1)
    assert fisher.trace(net, x).layers == pytest.approx({"Linear": weight.mean().item()})
    bias = (p * (1 - p)).sum(1).mean().item()
    assert fisher.trace(net, x, count="bias").total == pytest.approx(bias)


def in_ci_size(model):
    """A network as the ci profile has it, and images for it."""
    torch.manual_seed(3)
    run = Run(profile="ci", model=model)
    net = lively(models.build(run.model, 3, run.settings.size))
    return net, torch.randn(3, 3, run.settings.size, run.settings.size, dtype=torch.float64)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("name", [*NETS, "allcnn", "fc"])
def test_diagonal_is_the_mean_of_each_weights_squared_gradient(name):
    net, x = case(name) if name in NETS else in_ci_size(name)
    expected = brute(net, x)
    for memory in (None, 500_000):  # all images at once, and a few
        found = fisher.diagonal(net, x, memory=memory)
        assert [f"{layer}.weight".lstrip(".") for layer in found] == list(expected)
        for one, other in zip(found.values(), expected.values(), strict=True):
            assert one.shape == other.shape
            assert torch.allclose(one, other, rtol=1e-9, atol=0)
        close({k: v.sum().item() for k, v in found.items()}, fisher.trace(net, x).layers)


def test_diagonal_is_good_to_four_digits_in_float32():
    net, x = in_ci_size("allcnn")
    single = fisher.diagonal(copy.deepcopy(net).float(), x.float())
    for name, expected in fisher.diagonal(net, x).items():
        assert single[name].dtype == torch.float32
        assert (single[name] - expected).norm() < 1e-4 * expected.norm()


def test_both_ways_to_a_norm_agree(monkeypatch):
    net, x = case("all-cnn")
    totals = set()
    for way in (True, False):
        monkeypatch.setattr(fisher, "by_positions", lambda *sizes, way=way: way)
        totals.add(round(fisher.trace(net, x).total, 10))
    assert len(totals) == 1
    monkeypatch.undo()
    assert fisher.by_positions(4, 100, 100)
    assert not fisher.by_positions(256, 27, 144)


def test_float32_is_good_to_four_digits():
    torch.manual_seed(0)
    net, x = lively(models.build("allcnn-8"), torch.float32), torch.randn(20, 3, 16, 16)
    found = fisher.trace(net, x)
    close(found.layers, fisher.trace(net.double(), x.double()).layers, rel=1e-4)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU")
def test_a_gpu_gives_the_same():
    net, x = case("all-cnn")
    here = fisher.trace(net, x, count=EVERYTHING)
    there = fisher.trace(net.cuda(), x, count=EVERYTHING)  # images may stay where they are
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


def test_sampled_trace_depends_on_its_seed_alone():
    net, x = case("groups")
    first, again, other = (fisher.sampled_trace(net, x, 30, seed) for seed in (1, 1, 2))
    assert first == again
    assert first.total != other.total
    assert fisher.sampled_trace(net, x, 30, 1, memory=20_000).total == pytest.approx(first.total)
    assert first.total == pytest.approx(sum(first.layers.values()))


def test_more_draws_cost_less_error():
    net, x = case("rows")
    few, many = (fisher.sampled_trace(net, x, draws) for draws in (100, 6400))
    assert few.error / many.error == pytest.approx(8, rel=0.5)


# Memory -------------------------------------------------------------------------------------------


class Peak(TorchDispatchMode):
    """The most bytes that tensors made in here held at one time."""

    def __init__(self):
        super().__init__()
        self.live, self.now, self.peak = {}, 0, 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        given = {t.untyped_storage()._cdata for t in tensors((args, kwargs))}
        result = function(*args, **(kwargs or {}))
        for t in tensors(result):
            storage = t.untyped_storage()
            if storage._cdata not in given and storage._cdata not in self.live:
                self.live[storage._cdata] = storage.nbytes()
                self.now += storage.nbytes()
                self.peak = max(self.peak, self.now)
                weakref.finalize(storage, self.free, storage._cdata)
        return result

    def free(self, key):
        self.now -= self.live.pop(key, 0)


def tensors(tree):
    return [t for t in tree_leaves(tree) if isinstance(t, torch.Tensor)]


@pytest.mark.parametrize(
    ("measure", "copies"),  # of the weights, which memory does not hold
    [
        (fisher.trace, 0),
        (partial(fisher.sampled_trace, draws=60), 0),
        (fisher.diagonal, 3),
        (partial(fisher.information, draws=2, batch=60), 6),
    ],
)
def test_work_keeps_to_its_memory_and_uses_it(measure, copies):
    torch.manual_seed(0)
    net, x = models.build("allcnn-8"), torch.randn(60, 3, 16, 16)
    weights = 4 * sum(p.numel() for p in net.parameters())
    for memory in (2**20, 2**22):
        with Peak() as peak:
            measure(net, x, memory=memory)
        assert 0.3 * memory < peak.peak < memory + copies * weights


def test_memory_changes_no_value():
    net, x = case("all-cnn", images=9)
    expected = fisher.trace(net, x, count=EVERYTHING)
    with pytest.raises(CplabError, match="too little") as error:
        fisher.trace(net, x, count=EVERYTHING, memory=1000)
    least = int(str(error.value).split()[-1])  # one image, one label at a time
    for memory in (least, 2 * least, 5 * least):
        found = fisher.trace(net, x, count=EVERYTHING, memory=memory)
        close(found.layers, expected.layers)
        assert fisher.log_determinant(net, x, memory=memory).total == pytest.approx(
            fisher.log_determinant(net, x).total
        )
    with pytest.raises(CplabError, match=f"one image needs {least}"):
        fisher.trace(net, x, count=EVERYTHING, memory=least - 1)


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
    "trace": lambda net, x: fisher.trace(net, x, count=EVERYTHING, memory=200_000),
    "sampled_trace": lambda net, x: fisher.sampled_trace(net, x, 20, memory=200_000),
    "log_determinant": lambda net, x: fisher.log_determinant(net, x, memory=200_000),
    "diagonal": lambda net, x: fisher.diagonal(net, x, memory=200_000),
    "information": lambda net, x: fisher.information(net, x, draws=2, memory=200_000),
}


def by_name(found):
    """A number for each layer out of what any of these gives."""
    if isinstance(found, dict):
        return {name: diagonal.sum().item() for name, diagonal in found.items()}
    return getattr(found, "trace", found).layers


@pytest.mark.parametrize("measure", MEASURES)
def test_the_network_is_left_as_it_was(measure):
    net, x = case("all-cnn", images=8)
    net.add_module("dropout", nn.Dropout())
    net.train()
    net[1].eval()  # modes differ from layer to layer
    net[3].weight.requires_grad_(False)
    F.cross_entropy(net(x), torch.zeros(8, dtype=torch.long)).backward()
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


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.head = nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x):
        return self.head(self.layer(self.layer(x)))


class Unused(Twice):
    def forward(self, x):
        return F.linear(x, self.layer.weight)


class Mixed(Twice):
    def forward(self, x):
        return self.head(self.layer(x.reshape(-1, 4)).view(len(x), -1, 4).mean(1))


class Cut(Twice):
    def forward(self, x):
        with torch.no_grad():
            return self.head(x)


class Overwrites(Twice):
    def forward(self, x):
        x = x * 1
        y = self.layer(x)
        x += 1
        return self.head(x + y)


def tied():
    net = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    net[1].weight = net[0].weight
    return net


def scaled(factor):
    net = nn.Linear(4, 3)
    with torch.no_grad():
        net.weight.fill_(factor)
    return net


def pruned():
    net = nn.Linear(4, 3)
    prune.random_unstructured(net, "weight", 0.5)
    return net


REFUSED = {
    "called twice": (Twice, {}, "layer 'layer' is used 2 times"),
    "not called": (Unused, {}, "layer 'layer' is used 0 times"),
    "positions as images": (Mixed, {"shape": (3, 2, 4)}, "layer 'layer'.*first dimension"),
    "input overwritten": (Overwrites, {}, "layer 'layer'.*changed in place"),
    "no gradient": (Cut, {}, "layer 'head'.*cuts off its gradient"),
    "tied": (tied, {}, "layers '0' and '1' share a parameter"),
    "layer norm": (
        lambda: nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4)),
        {},
        r"layer '1' \(LayerNorm, parameter 'weight'\)",
    ),
    "transposed": (
        lambda: nn.Sequential(nn.ConvTranspose2d(1, 1, 1), nn.Flatten()),
        {},
        "ConvTranspose2d",
    ),
    "pruned": (pruned, {}, "'weight_orig'"),
    "no statistics": (
        lambda: nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4, track_running_stats=False)),
        {},
        "layer '1'.*without running statistics",
    ),
    "no parameters": (nn.Flatten, {}, "no parameter to count"),
    "no images": (lambda: nn.Linear(4, 3), {"shape": (0, 4)}, "no images"),
    "bytes": (lambda: nn.Linear(4, 3), {"dtype": torch.uint8}, "uint8.*normalise"),
    "infinite": (lambda: scaled(math.inf), {}, "not finite"),
    "not a number": (lambda: scaled(math.nan), {}, "not finite"),
    "one class": (lambda: nn.Linear(4, 1), {}, "2 classes or more"),
    "logits of each position": (lambda: nn.Linear(4, 3), {"shape": (2, 5, 4)}, "shape"),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_cannot_be_measured_is_refused_in_one_line(reason):
    build, given, words = REFUSED[reason]
    net, x = build(), torch.ones(given.get("shape", (3, 4)), dtype=given.get("dtype"))
    before = state_of(net)
    for measure in (fisher.trace, fisher.sampled_trace, fisher.log_determinant, fisher.information):
        with pytest.raises(CplabError, match=words) as error:
            measure(net, x)
        assert "\n" not in str(error.value)
    assert_same_state(before, state_of(net))


def test_arguments_that_are_refused():
    net, x = nn.Linear(4, 3), torch.ones(2, 4)
    for call, words in {
        (lambda: fisher.trace(net, x, count=("gain",))): "unknown part 'gain'",
        (lambda: fisher.trace(net, x, count="norm")): "no parameter to count: norm",
        (lambda: fisher.trace(net, x, memory=0)): "too little",
        (lambda: fisher.sampled_trace(net, x, 1)): "draws 1",
        (lambda: fisher.log_determinant(net, x, 0)): "damping 0",
        (lambda: fisher.log_determinant(net, x, math.nan)): "damping nan",
        (lambda: fisher.information(net, x, 0.0)): "beta 0.0",
        (lambda: fisher.information(net, x, draws=1)): "draws 1",
    }.items():
        with pytest.raises(CplabError, match=words):
            call()


# The determinant ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["strides and dilation", "groups", "rows"])
def test_log_determinant_is_that_of_the_kronecker_products(name):
    """A and G from inputs and outputs caught by hand, one image and one label at a time."""
    net, x = case(name)
    found = fisher.log_determinant(net, x, 0.01)
    for layer in found.layers:
        module = plain(net).get_submodule(layer)
        expected = 0.0
        blocks = fisher.groups(module)
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
        a = F.unfold(seen["a"], module.kernel_size, module.dilation, module.padding, module.stride)[
            0
        ]
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
        for layer, _, weight in list(counted(net, ("weight",))):
            kfac = KFACLinearOperator(
                net,
                nn.CrossEntropyLoss(),
                [weight],
                [(x, torch.zeros(len(x), dtype=torch.long))],
                fisher_type="type-2",
            )
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
    assert found.share == {"0": 1.0, "1": 0.0}
    limit = net[1].weight.square().mean().item()
    assert found.variances["1"].flatten().tolist() == pytest.approx([limit] * 8)


# Information in the weights -----------------------------------------------------------------------


def test_a_weight_s_noise_is_twice_beta_over_its_information():
    """With little noise the diagonal is that at the weights themselves: brute force knows it."""
    for name in ("strides and dilation", "groups", "rows"):
        net, x = case(name)
        found = fisher.information(net, x, 1e-12, draws=150, batch=100)
        for layer, key, _ in counted(net, ("weight",)):
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
    count = sum(p.numel() for _, _, p in counted(net, ("weight",)))
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


def test_information_by_layer_and_by_weight():
    net, x = case("rows")
    found = fisher.information(net, x, 1e-12, draws=10)  # no noise at its limit
    assert list(found.share) == list(fisher.trace(net, x).layers)
    assert sum(found.share.values()) == pytest.approx(1)
    for layer, variances in found.variances.items():
        assert variances.shape == net.get_submodule(layer).weight.shape
        trace = (2 * found.beta / variances).sum().item()
        assert found.trace.layers[layer] == pytest.approx(trace)
        assert found.per_weight[layer] == pytest.approx(trace / variances.numel())
        assert found.share[layer] == pytest.approx(trace / found.trace.total)


def test_information_depends_on_its_seed_alone():
    net, x = case("groups")
    first, again, other = (fisher.information(net, x, draws=3, seed=s) for s in (1, 1, 2))
    assert first.trace == again.trace
    assert first.trace.total != other.trace.total
    chunked = fisher.information(net, x, draws=3, seed=1, memory=20_000)
    close(chunked.trace.layers, first.trace.layers)


# Sharpness ----------------------------------------------------------------------------------------


def weights_of(net):
    layers = (nn.Conv2d, nn.Linear)
    found = [(name, m) for name, m in net.named_modules() if isinstance(m, layers)]
    return {f"{name}.weight": m.weight.detach() for name, m in found}


def largest_eigenvalue(net, x, y):
    """Of the whole Hessian of the mean cross-entropy in eval mode, by reverse mode twice."""
    net, weights = copy.deepcopy(net).eval(), weights_of(net)
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
    net = nn.Sequential(
        nn.Conv2d(2, 3, 3, padding=1), nn.BatchNorm2d(3), nn.Tanh(),
        nn.Conv2d(3, 4, 3, stride=2), nn.Flatten(), nn.Linear(16, 3),
    )  # fmt: skip
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
    net.train()
    before, state = torch.get_rng_state(), {n: t.clone() for n, t in net.state_dict().items()}
    first, again = (fisher.sharpness(net, x, torch.arange(12) % 3) for _ in range(2))
    assert first == again
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(t, state[n]) for n, t in net.state_dict().items())
    assert net.training
    assert all(w.grad is None for w in net.parameters())


def test_a_network_that_answers_alike_whatever_its_weights_has_no_sharpness():
    net = nn.Sequential(nn.Linear(4, 3)).double()
    assert fisher.sharpness(net, torch.zeros(5, 4).double(), torch.zeros(5, dtype=torch.long)) == 0


def test_a_sharpness_that_is_not_found_is_one_clear_line(monkeypatch):
    net, x = smooth("convolutions")
    monkeypatch.setattr(fisher, "ROUNDS", 1)
    with pytest.raises(CplabError, match="larger tolerance") as error:
        fisher.sharpness(net, x, torch.arange(12) % 3, tolerance=1e-14)
    assert "\n" not in str(error.value)


# What a run keeps ---------------------------------------------------------------------------------


def pictures(count=60, size=8):
    x = torch.randn(count, 3, size, size)
    y = torch.arange(count) % 10
    return SimpleNamespace(train_x=x, train_y=y, normal=lambda x: 2 * x)


def test_along_and_at_end_hold_what_their_functions_find(monkeypatch):
    monkeypatch.setattr(fisher, "TRACED", 40)
    monkeypatch.setattr(fisher, "FACTORED", 20)
    monkeypatch.setattr(fisher, "CURVED", 10)
    images, net = pictures(), lively(models.build("allcnn-4"), torch.float32)
    x, y = images.normal(images.train_x), images.train_y
    row, final = fisher.along(net, images), fisher.at_end(net, images)
    assert {*row} == {"trace", "log_det", "trace_seconds"}
    assert row["trace"] == list(fisher.trace(net, x[:40]).layers.values())
    logs = fisher.log_determinant(net, x[:20], damping=fisher.DAMPING)
    weights = sum(m.weight.numel() for m in net if isinstance(m, nn.Conv2d))
    assert row["log_det"] == pytest.approx(logs.total - weights * math.log(fisher.DAMPING))
    noisy = fisher.information(net, x[:40]).trace
    assert final["layers"] == list(noisy.layers) == list(logs.layers)
    assert final["information"] == list(noisy.layers.values())
    assert final["information_error"] == list(noisy.errors.values())
    assert final["sharpness"] == fisher.sharpness(net, x[:10], y[:10])
    assert torch.equal(torch.tensor(final["filters"]), net[0].weight)
    assert row["trace_seconds"] > 0
    assert final["seconds"] > 0
    assert json.loads(json.dumps([row, final])) == [row, final]  # plain data


def test_a_network_without_convolutions_has_no_filters():
    final = fisher.at_end(models.build("fc-20", 3, 8), pictures())
    assert "filters" not in final


def test_log_det_of_a_network_that_knows_nothing_is_0():
    net = models.build("fc-20", 3, 8)
    nn.init.zeros_(net[-1].weight)  # no layer before it matters, and it sees nothing
    for layer in net:
        if isinstance(layer, nn.BatchNorm1d):
            nn.init.zeros_(layer.weight)
    assert fisher.along(net, pictures())["log_det"] == pytest.approx(0, abs=1e-6)


def test_a_sharpness_that_is_not_found_costs_nothing_else(monkeypatch):
    def fail(*_):
        raise CplabError("not found")

    monkeypatch.setattr(fisher, "sharpness", fail)
    final = fisher.at_end(models.build("fc-20", 3, 8), pictures())
    assert "sharpness" not in final
    assert final["information"]


@pytest.mark.parametrize("measure", [fisher.along, fisher.at_end])
@pytest.mark.parametrize("value", [torch.inf, torch.nan, 1e38])
def test_a_network_that_has_diverged_is_one_clear_line(measure, value):
    net = models.build("fc-20", 3, 8)
    nn.init.constant_(net[-1].weight, value)
    with pytest.raises(CplabError, match="not finite") as error:
        measure(net, pictures())
    assert "\n" not in str(error.value)


# Speed --------------------------------------------------------------------------------------------


def compare(images=2000, rounds=3, threads=2):
    """Time of the other libraries over ours, and the largest relative difference by layer:
    All-CNN of the course, float32, the libraries at the chunk that suits them best."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    net, x = lively(models.build("allcnn-16"), torch.float32), torch.randn(images, 3, 16, 16)
    x = x.contiguous(memory_format=torch.channels_last)
    ways = {"cplab": lambda: fisher.trace(net, x).layers}
    for library, chunks in ((by_vmap, (64, 128)), (by_backpack, (32, 64)), (by_nngeometry, (128,))):
        for chunk in chunks:
            ways[f"{library.__name__} {chunk}"] = lambda f=library, c=chunk: f(net, x, c)
    times, values = {name: [] for name in ways}, {}
    for _ in range(rounds):
        for name, way in ways.items():
            start = time.perf_counter()
            values[name] = way()
            times[name].append(time.perf_counter() - start)
    ours = values["cplab"]
    for name in ways:
        ratio = sorted(t / o for t, o in zip(times[name], times["cplab"], strict=True))
        off = max(abs(v / o - 1) for v, o in zip(values[name].values(), ours.values(), strict=True))
        print(f"{name:20} {ratio[len(ratio) // 2]:5.2f} times ours, off by {off:.1e}")


if __name__ == "__main__":
    compare()
