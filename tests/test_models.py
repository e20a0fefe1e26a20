"""The networks against the sentences of the paper that describe them."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from conftest import cell, says
from torch import nn
from torchvision.models import resnet18

import cplab
from cplab import PROFILES, CplabError, layers, models

SMALL = ["allcnn-4", "fc-20", "resnet18-3", "depth1-4", "depth2-4", "depth3-4"]

# Achille, Rovere & Soatto, Materials and Methods
PAPER = (
    "conv 96 - conv 96 - conv 192 s2 - conv 192 - conv 192 - conv 192 s2 - conv 192 - "
    "conv1 192 - conv1 10 - avg. pooling - softmax"
)


def assert_layers(net, words):
    """Each conv block is a 3×3 convolution, batch normalization and ReLU; conv1 is 1×1."""
    layers, channels, convolutions = list(net), 3, words.split(" - ")
    for block in convolutions:
        one, out, two = re.fullmatch(r"conv(1?) (\d+)( s2)?", block).groups()
        conv = layers.pop(0)
        assert isinstance(conv, nn.Conv2d)
        assert (conv.in_channels, conv.out_channels) == (channels, int(out))
        assert conv.kernel_size == ((1, 1) if one else (3, 3))
        assert conv.stride == ((2, 2) if two else (1, 1))
        channels = conv.out_channels
        if block is convolutions[-1]:
            assert conv.bias is not None
        else:
            norm, relu = layers.pop(0), layers.pop(0)
            assert isinstance(norm, nn.BatchNorm2d)
            assert norm.num_features == channels
            assert isinstance(relu, nn.ReLU)
    assert [type(layer) for layer in layers] == [nn.AdaptiveAvgPool2d, nn.Flatten]


def test_layers_are_those_of_the_paper():
    convolutions = PAPER.removesuffix(" - avg. pooling - softmax")  # softmax is in the loss
    assert_layers(models.build("allcnn-96"), convolutions)


@pytest.mark.parametrize(("name", "words"), [("allcnn-4", PAPER), ("depth2-4", None)])
def test_initial_weights_and_their_names_are_those_of_the_layers_in_order(name, words):
    """Checkpoints and shipped results rest on both."""
    plan = (words or DEEP[2]).removesuffix(" - avg. pooling - softmax").split(" - ")
    torch.manual_seed(3)
    expected, channels = [], 3
    for block in plan:
        one, out, two = re.fullmatch(r"conv(1?) (\d+)( s2)?", block).groups()
        kernel, last = 1 if one else 3, block == plan[-1]
        out = 10 if last else int(out) * 4 // 96
        conv = nn.Conv2d(channels, out, kernel, 2 if two else 1, kernel // 2, bias=last)
        expected += [conv] if last else [conv, nn.BatchNorm2d(out), nn.ReLU()]
        channels = out
    expected = nn.Sequential(*expected).state_dict()
    torch.manual_seed(3)
    found = models.build(name).state_dict()
    assert list(found) == list(expected)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize("size", [8, 16, 32])
@pytest.mark.parametrize("channels", [1, 3])
def test_images_of_any_size_give_logits_and_shrink_to_a_quarter_on_the_way(size, channels):
    torch.manual_seed(0)
    net = models.build("allcnn-4", channels).eval()
    x = torch.randn(5, channels, size, size)
    assert net(x).shape == (5, 10)
    maps = nn.Sequential(*[*net][:-2])(x)
    assert maps.shape == (5, 10, size // 4, size // 4)
    assert torch.allclose(net(x), maps.mean((2, 3)), atol=1e-6)
    assert (net(x) < 0).any()  # logits: no ReLU after the last convolution


@pytest.mark.parametrize("model", SMALL)
def test_every_parameter_learns(model):
    net = models.build(model, 3, 16)
    nn.functional.cross_entropy(net(torch.randn(8, 3, 16, 16)), torch.arange(8)).backward()
    for name, weight in net.named_parameters():
        assert weight.grad.abs().sum() > 0, name


def test_weights_lie_channels_last_and_so_do_the_maps():
    net = models.build("allcnn-8")
    x = torch.randn(2, 3, 16, 16).contiguous(memory_format=torch.channels_last)
    for layer in [*net][:-2]:
        if isinstance(layer, nn.Conv2d):
            assert layer.weight.is_contiguous(memory_format=torch.channels_last)
        x = layer(x)
        assert x.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("model", SMALL)
def test_initial_weights_come_from_torch_s_generator(model):
    def weights(seed):
        torch.manual_seed(seed)
        return torch.cat([p.flatten() for p in models.build(model).parameters()])

    assert torch.equal(weights(0), weights(0))
    assert not torch.equal(weights(0), weights(1))


# Of the same section, on the MNIST experiment
HIDDEN = "2500, 2000, 1500, 1000, and 500"


def test_hidden_layers_are_those_of_the_paper_with_batch_norm_and_relu():
    layers, inputs = list(models.build("fc-2500", channels=1, size=32)), 32 * 32
    assert isinstance(layers.pop(0), nn.Flatten)
    for units in map(int, re.findall(r"\d+", HIDDEN)):
        linear, norm, relu = (layers.pop(0) for _ in range(3))
        assert isinstance(linear, nn.Linear)
        assert (linear.in_features, linear.out_features) == (inputs, units)
        assert isinstance(norm, nn.BatchNorm1d)
        assert norm.num_features == units
        assert isinstance(relu, nn.ReLU)
        inputs = units
    [last] = layers  # logits: softmax is in the loss
    assert isinstance(last, nn.Linear)
    assert (last.in_features, last.out_features) == (500, 10)
    assert last.bias is not None


@pytest.mark.parametrize("width", [5, 50, 2500])
@pytest.mark.parametrize(("channels", "size"), [(1, 32), (3, 8)])
@pytest.mark.parametrize("classes", [2, 10])
def test_number_of_parameters_of_full_connections(width, channels, size, classes):
    """With u = w/5 and n inputs: 5nu + (20 + 12 + 6 + 2) u² weights, scale and shift of 15u units,
    u weights and a bias of each class."""
    net, u, n = models.build(f"fc-{width}", channels, size, classes), width // 5, channels * size**2
    expected = 5 * n * u + 40 * u * u + 2 * 15 * u + classes * (u + 1)
    assert sum(p.numel() for p in net.parameters()) == expected


@pytest.mark.parametrize("width", [1, 2, 7, 417])
def test_any_width_gives_logits_and_layers_that_shrink(width):
    net = models.build(f"fc-{width}", 3, 8).eval()
    assert net(torch.randn(4, 3, 8, 8)).shape == (4, 10)
    units = [layer.out_features for layer in net if isinstance(layer, nn.Linear)][:-1]
    assert units == sorted(units, reverse=True)
    assert units[0] == width
    assert units[-1] >= 1


def test_full_connections_see_the_same_image_in_any_memory_format():
    net, x = models.build("fc-20", 3, 8).eval(), torch.randn(4, 3, 8, 8)
    assert torch.equal(net(x), net(x.contiguous(memory_format=torch.channels_last)))


# Of the same section: conv 96 - [conv 96·2^(i-1) - conv 96·2^i s2] for i = 1 … n - conv 96·2^n -
# conv1 96·2^n - conv1 10, written out
DEEP = {
    1: "conv 96 - conv 96 - conv 192 s2 - conv 192 - conv1 192 - conv1 10",
    2: "conv 96 - conv 96 - conv 192 s2 - conv 192 - conv 384 s2 - conv 384 - conv1 384 - conv1 10",
    3: "conv 96 - conv 96 - conv 192 s2 - conv 192 - conv 384 s2 - conv 384 - conv 768 s2 - "
    "conv 768 - conv1 768 - conv1 10",
}


@pytest.mark.parametrize("n", DEEP)
def test_layers_of_the_deeper_networks_are_those_of_the_paper(n):
    assert_layers(models.build(f"depth{n}-96"), DEEP[n])


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("width", [1, 5, 96])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("classes", [2, 10])
def test_number_of_parameters_by_depth(n, width, channels, classes):
    """With u = w·2^n: 9·channels·w weights; 9·(4^(i-1) + 2·4^(i-1))·w² in pair i, which begins with
    as many channels as it has first; 9u² + u²; scale and shift; the classes' weights and biases."""
    net = models.build(f"depth{n}-{width}", channels, classes=classes)
    w, u = width, width * 2**n
    pairs = sum(27 * 4 ** (i - 1) * w * w for i in range(1, n + 1))
    weights = 9 * channels * w + pairs + 10 * u * u
    norms = w + sum(3 * w * 2 ** (i - 1) for i in range(1, n + 1)) + 2 * u
    expected = weights + 2 * norms + u * classes + classes
    assert sum(p.numel() for p in net.parameters()) == expected


@pytest.mark.parametrize(("channels", "classes"), [(3, 10), (1, 10), (3, 2)])
def test_number_of_parameters_of_the_resnet(channels, classes):
    """11,173,962 for CIFAR-10, counted from torchvision's with this stem."""
    net = models.build("resnet18-64", channels, classes=classes)
    expected = 11_173_962 - 9 * 64 * (3 - channels) - 513 * (10 - classes)
    assert sum(p.numel() for p in net.parameters()) == expected


@pytest.mark.parametrize("width", [1, 3, 11])
def test_number_of_parameters_of_narrow_resnets(width):
    """Of w: 27w of the stem; stages of c = w, 2w, 4w and 8w channels have 36c² weights, but where c
    doubles 4.5c² less and c²/2 of the shortcut more; 2 numbers for each of 20 norms."""
    w, c = width, [2 * width, 4 * width, 8 * width]
    weights = 27 * w + 36 * w * w + sum(36 * k * k - 9 * k * k // 2 + k * k // 2 for k in c)
    expected = weights + 2 * (5 * w + 5 * sum(c)) + 10 * 8 * w + 10
    assert sum(p.numel() for p in models.build(f"resnet18-{w}").parameters()) == expected


GUARDED = """
import torch
from cplab import models
for width in (1, 3, 5):
    net = models.build(f"resnet18-{width}", size=8).to(memory_format=torch.channels_last)
    for _ in range(2):
        net(torch.randn(128, 3, 8, 8)).square().sum().backward()
"""


def test_a_narrow_resnet_writes_in_its_own_memory():
    """Which glibc tells where it is; what oneDNN does with AVX2 is asked on other chips as well."""
    guard = {"LD_PRELOAD": "libc_malloc_debug.so.0", "MALLOC_CHECK_": "3", "OMP_NUM_THREADS": "1"}
    env = {**os.environ, **guard, "ONEDNN_MAX_CPU_ISA": "AVX2"}
    done = subprocess.run([sys.executable, "-c", GUARDED], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-500:]


@pytest.mark.parametrize("size", [4, 5])
@pytest.mark.parametrize("stride", [2, 3])
def test_a_pointwise_convolution_is_torch_s(size, stride):
    torch.manual_seed(0)
    ours, x = layers.Pointwise(3, 4, 1, stride), torch.randn(2, 3, size, size, requires_grad=True)
    theirs = nn.Conv2d(3, 4, 1, stride).double()
    theirs.load_state_dict(ours.state_dict())
    y = x.detach().double().requires_grad_()
    for net, images in ((ours, x), (theirs, y)):
        out = net(images)
        (out * torch.arange(out.numel()).reshape(out.shape)).sum().backward()
    torch.testing.assert_close(ours(x), theirs(y).float())
    for one, two in zip((x, *ours.parameters()), (y, *theirs.parameters()), strict=True):
        torch.testing.assert_close(one.grad, two.grad.float())


@pytest.mark.parametrize("training", [False, True])
def test_the_resnet_is_torchvision_s_with_another_stem(training):
    torch.manual_seed(0)
    theirs = resnet18(num_classes=10)
    theirs.conv1, theirs.maxpool = nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.Identity()
    ours, x = models.build("resnet18-64"), torch.randn(4, 3, 32, 32)
    theirs(x)  # statistics that are not 0 and 1
    names, values = ours.state_dict(), theirs.state_dict().values()
    ours.load_state_dict(dict(zip(names, values, strict=True)))
    with torch.no_grad():
        assert torch.allclose(ours.train(training)(x), theirs.train(training)(x), atol=1e-4)


@pytest.mark.parametrize("model", SMALL)
@pytest.mark.parametrize("size", [8, 16, 32])
def test_every_network_takes_every_size(model, size):
    assert models.build(model, 3, size).eval()(torch.randn(2, 3, size, size)).shape == (2, 10)


@pytest.mark.parametrize("model", [m for m in SMALL if not m.startswith("fc")])
def test_maps_stay_channels_last_through_every_layer(model):
    net, seen = models.build(model), []
    for layer in net.modules():
        if isinstance(layer, (nn.Conv2d, nn.BatchNorm2d, nn.ReLU, layers.Block)):
            layer.register_forward_hook(lambda layer, x, y: seen.append(y))
            for weight in layer.parameters(recurse=False):
                assert weight.ndim < 4 or weight.is_contiguous(memory_format=torch.channels_last)
    net(torch.randn(2, 3, 16, 16).contiguous(memory_format=torch.channels_last))
    assert seen
    assert all(y.is_contiguous(memory_format=torch.channels_last) for y in seen)


@pytest.mark.parametrize("profile", PROFILES.values(), ids=list(PROFILES))
@pytest.mark.parametrize("family", [*models.MODELS])
def test_rates_of_a_network_are_the_profile_s_but_for_what_the_paper_says(profile, family):
    suited = models.suited_profile(profile, family)
    expected = dict(vars(profile))
    if family == "resnet18":  # twice the rate and half the weight decay
        expected["paper_lr"] *= 2
        expected["recovery_lr"] *= 2
        expected["weight_decay"] /= 2
    if family == "fc" and profile.name in ("slim", "paper"):
        expected |= {"fixed_lr": 0.005, "weight_decay": 0}
    assert vars(suited) == expected


def test_widths_are_those_of_the_paper():
    widths = {name: known.width for name, known in models.MODELS.items() if not known.source}
    expected = {"allcnn": 96, "fc": 2500, "resnet18": 64, "depth1": 96, "depth2": 96, "depth3": 96}
    expected |= {"eyes": 96, "eyes_whole": 96}  # ours, as wide as the All-CNN
    assert widths == expected


@pytest.mark.parametrize("name", ["", "allcnn-", "allcnn-0", "allcnn-x", "vgg", None, 3])
def test_an_unknown_network_is_refused(name):
    for ask in (models.model_name, models.build):
        with pytest.raises(CplabError, match="allcnn"):
            ask(name)


class Own(nn.Module):
    def __init__(self, width, channels, size, classes):
        super().__init__()
        self.inner = nn.Linear(channels * size * size, width)
        self.outer = nn.Linear(width, classes)

    def forward(self, x):
        return self.outer(self.inner(x.flatten(1)).relu())


def test_an_own_class_and_an_own_function_can_be_built_by_name():
    def small(width, channels, size, classes):
        return nn.Sequential(nn.Flatten(), Own(width, channels, size, classes))

    cplab.model(label="small net", width=48, lr=2, weight_decay=0.5, views=1)(small)
    for thing in (Own, small):
        name = models.model_name(thing)
        known = models.MODELS[name]
        assert name == models.model_name(name) == known.name
        assert name.startswith(f"{thing.__name__}@")
        torch.manual_seed(1)
        net = models.build(f"{name}-6", 1, 8, 4)
        torch.manual_seed(1)
        expected = thing(6, 1, 8, 4)
        x = torch.randn(5, 1, 8, 8)
        assert torch.equal(net(x), expected(x))
        assert list(net.state_dict()) == list(expected.state_dict())
    assert (known.label, known.width) == ("small net", 48)
    assert cplab.Run(model=small).model == f"{name}-8"  # course has a sixth of the paper's width
    assert models.suited_profile(PROFILES["course"], name).recovery_lr == 0.04


def test_a_network_of_two_views_is_tried_with_two():
    @cplab.model(views=2)
    def pair(width, channels, size, classes):
        return nn.Sequential(nn.Flatten(), nn.Linear(2 * channels * size * size, classes))

    assert models.MODELS[models.model_name(pair)].views == 2


FAULTY = {  # the body of a function, and what the error says
    "raise ValueError('no\\nmore')": "ValueError: no",
    "return torch.relu": "network",
    "return nn.Sequential(nn.Flatten(), nn.Linear(channels * size * size, 3))": "(4, 10)",
    "net = Own(width, channels, size, classes); net.extra = nn.Linear(2, 2); return net": "extra.",
    "return nn.Sequential(Own(width, channels, size, classes), nn.Dropout())": "dropout",
    "net = Own(width, channels, size, classes); "
    "nn.init.constant_(net.outer.bias, np.random.rand()); return net": "torch alone",
}


@pytest.mark.parametrize("body", FAULTY)
def test_what_is_no_network_is_refused_before_it_is_registered(body):
    text = f"def f(width, channels, size, classes): {body}"
    function = cell(text, nn=nn, np=np, Own=Own)["f"]
    before, known = torch.get_rng_state(), [*models.MODELS]
    with pytest.raises(CplabError) as error:
        cplab.model(function)
    says(error, "f", FAULTY[body])
    assert torch.equal(torch.get_rng_state(), before)
    assert [*models.MODELS] == known


def test_somebody_s_own_network_can_be_written_but_not_built():
    run = cplab.Run(model="own@0123abcd-4")
    assert (run.model, run.settings) == ("own@0123abcd-4", cplab.Run().settings)
    with pytest.raises(CplabError, match="somebody's own"):
        models.build(run.model)


def test_rates_of_an_own_network_are_part_of_what_it_means():
    """And are in the source that a result keeps."""
    names = []
    for options in ({}, {"lr": 1, "label": "plain"}, {"lr": 2}, {"lr": 2, "profiles": ("ci",)}):
        cplab.model(**options)(Own)
        names.append(models.model_name(Own))
    assert names[0] == names[1]
    assert len(set(names)) == 3
    assert models.MODELS[names[3]].source.startswith("# {'lr': 2, 'profiles': ('ci',)}\n")


OPTIONS = """
@cplab.model(lr="2", width="4", views="1")
def net(width, channels, size, classes):
    pixels = channels * size * size
    layers = torch.nn.Flatten(), torch.nn.Linear(pixels, width), torch.nn.Linear(width, classes)
    return torch.nn.Sequential(*layers)
"""


def test_options_are_numbers_however_they_are_written():
    made = cell(OPTIONS, cplab=cplab)["net"]
    known = next(one for one in models.MODELS.values() if one.name.startswith("net@"))
    assert (known.lr, known.width, known.views) == (2.0, 4, 1)
    assert cplab.Run(model=made, profile="ci").settings.recovery_lr == 0.04


def test_a_run_of_a_network_that_is_not_defined_here_keeps_its_weight_decay():
    run = cplab.Run(model="gone@01234567-4", profile="ci", weight_decay=0.001)
    assert run.weight_decay == 0.001
