"""What a run can measure: the built-in measurements, how one asks for them, and a student's own."""

import base64
import copy
import json
import math
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from cplab import deficits, models, own
from cplab.data import Images
from cplab.errors import CplabError
from cplab.measure import MEASUREMENTS, Measurement, builtin, fisher, measurement, parse_measures


def pictures(count=60, size=8):
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(256, (count, size, size, 3), dtype=torch.uint8, generator=generator)
    y = torch.arange(count) % 10
    return Images("random", "", x, y, x, y, torch.full((3,), 128.0), torch.full((3,), 74.0))


def network(name="fc-20"):
    torch.manual_seed(0)
    net = models.build(name, 3, 8)
    return net.train()


@pytest.fixture(autouse=True)
def no_own_measurements():
    yield
    for name in [name for name, known in MEASUREMENTS.items() if known.source]:
        del MEASUREMENTS[name]


# Asking -------------------------------------------------------------------------------------------


def test_names_and_times_are_to_be_had_without_torch(python):
    code = """
import sys, cplab.measure as m
print(m.parse_measures(("trace", "ending")), "torch" in sys.modules)
print(*sorted(m.MEASUREMENTS))
print({*m.__all__} <= {*dir(m)}, m.trace.__name__, m.orientation.__name__)
"""
    out, err = python(code).communicate(timeout=100)
    assert out.splitlines() == [
        "{'trace': 'every', 'ending': 'end'} False",
        "blurred correct each_eye ending eye_shares gauges jacobian trace weight_norms",
        "True trace orientation",
    ], err


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (None, {}),
        ((), {}),
        ("trace", {"trace": "every"}),
        (["ending", "weight_norms"], {"ending": "end", "weight_norms": "every"}),
        (MEASUREMENTS["ending"], {"ending": "end"}),
        ({"trace": "end", "ending": (4, 0, 4)}, {"trace": "end", "ending": (0, 4)}),
        ({"trace": range(2)}, {"trace": (0, 1)}),
        ({"trace": 3}, {"trace": (3,)}),
    ],
)
def test_what_is_measured_when_can_be_said_in_many_ways(said, meant):
    assert parse_measures(said) == meant
    assert parse_measures(parse_measures(said)) == meant


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("tarce", "unknown measurement 'tarce': choose one of trace, jacobian, ending"),
        (3, "unknown measurement 3"),
        ({"trace": "never"}, "'never'.*every, end or a tuple of epochs"),
        ({"trace": ()}, "every, end or a tuple of epochs"),
        ({"trace": (0, -1)}, "epoch -1"),
        ({"trace": 1.5}, "epoch 1.5"),
        ({"trace": range(10**9)}, "more than 10000 epochs are not allowed"),
        ({"trace": 10**30}, "epoch 1000"),
    ],
)
def test_what_cannot_be_asked_for_is_one_clear_line(said, words):
    with pytest.raises(CplabError, match=words) as error:
        parse_measures(said)
    assert "\n" not in str(error.value)


# Built in -----------------------------------------------------------------------------------------


def test_trace_and_ending_hold_what_their_functions_find(monkeypatch):
    monkeypatch.setattr(builtin, "FACTORED", 20)
    monkeypatch.setattr(builtin, "CURVED", 10)
    images, net = pictures(), network("allcnn-4")
    x, y = images.normal(images.train_x), images.train_y
    row, final = MEASUREMENTS["trace"](net, images), MEASUREMENTS["ending"](net, images)
    assert {*row} == {"trace", "log_det", "seconds"}
    assert row["trace"] == list(fisher.trace(net, x).layers.values())
    logs = fisher.log_determinant(net, x[:20], damping=fisher.DAMPING)
    weights = sum(m.weight.numel() for m in net if isinstance(m, nn.Conv2d))
    assert row["log_det"] == pytest.approx(logs.total - weights * math.log(fisher.DAMPING))
    noisy = fisher.information(net, x).trace
    assert final["layers"] == list(noisy.layers) == list(logs.layers)
    assert final["information"] == list(noisy.layers.values())
    assert final["information_error"] == list(noisy.errors.values())
    assert final["sharpness"] == fisher.sharpness(net, x[:10], y[:10])
    assert torch.equal(torch.tensor(final["filters"]), net[0].weight)
    assert row["seconds"] > 0
    assert final["seconds"] > 0
    assert json.loads(json.dumps([row, final])) == [row, final]


def test_a_bit_says_of_each_test_image_whether_it_is_named_rightly():
    images, net = pictures(), network("allcnn-4").eval()
    packed = np.frombuffer(base64.b64decode(MEASUREMENTS["correct"](net, images)), np.uint8)
    bits = np.unpackbits(packed, count=len(images.test_y)).astype(bool)
    right = net(images.normal(images.test_x)).argmax(1) == images.test_y
    assert bits.tolist() == right.tolist()
    assert 0 < bits.sum() < len(bits)


def test_accuracy_on_blur_is_of_blurred_images_and_of_no_other_weights():
    images, net = pictures(), network("allcnn-4")
    x, y = images.normal(images.test_x), images.test_y
    dim = deficits.blur(x, y)[0]

    def right(net, seen):
        return (net(seen).argmax(1) == y).double().mean().item()

    again = copy.deepcopy(net).train()  # which has the statistics of all of them, at once
    wanted = {
        "adapted": right(again, dim),
        "clear": right(net.eval(), x),
        "blurred": right(net, dim),
    }
    assert MEASUREMENTS["blurred"](net, images) == pytest.approx(wanted)
    coarse = replace(
        images, test_x=images.test_x[:, ::8, ::8].repeat_interleave(8, 1).repeat_interleave(8, 2)
    )
    found = MEASUREMENTS["blurred"](net, coarse)
    assert found["blurred"] == found["clear"]  # where there is nothing fine, blur takes nothing


def test_the_trace_is_of_the_first_500_images():
    images, net = pictures(510), network()
    expected = fisher.trace(net, images.normal(images.train_x[:500])).layers
    assert MEASUREMENTS["trace"](net, images)["trace"] == list(expected.values())


def test_weight_norms_explain_how_batch_norm_hides_a_scale():
    """Twice the weights before a batch norm are the same network with a quarter of the trace."""
    net, images = network(), pictures()
    for layer in net:
        if isinstance(layer, nn.BatchNorm1d):
            layer.eps = 0.0
    norms, trace = (MEASUREMENTS[name](net, images) for name in ("weight_norms", "trace"))
    assert norms["layers"] == list(fisher.trace(net, images.normal(images.train_x)).layers)
    assert norms["norms"][0] == pytest.approx(net[1].weight.square().sum().sqrt().item())
    with torch.no_grad():
        net[1].weight *= 2
        net[2].running_mean *= 2
        net[2].running_var *= 4
    larger, smaller = (MEASUREMENTS[name](net, images) for name in ("weight_norms", "trace"))
    assert larger["norms"] == pytest.approx([2 * norms["norms"][0], *norms["norms"][1:]])
    assert smaller["trace"] == pytest.approx([trace["trace"][0] / 4, *trace["trace"][1:]], rel=1e-4)


def test_norms_times_jacobian_do_not_know_how_large_weights_before_batch_norm_are():
    net, images = network("allcnn-4"), pictures()
    found = []
    for factor in (1, 5):
        with torch.no_grad():
            net[0].weight *= factor
            net[1].running_mean *= factor
            net[1].running_var *= factor**2
            net[1].eps *= factor**2
        rows = [MEASUREMENTS[name](net, images) for name in ("trace", "jacobian", "weight_norms")]
        assert rows[1]["layers"] == rows[2]["layers"]
        assert rows[1]["seconds"] > 0
        norms = torch.tensor(rows[2]["norms"]).square()
        found.append([norms * torch.tensor(rows[i][n]) for i, n in ((0, "trace"), (1, "jacobian"))])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=0)


def test_a_network_without_convolutions_has_no_filters():
    assert "filters" not in MEASUREMENTS["ending"](network(), pictures())


def test_log_det_of_a_network_that_knows_nothing_is_0():
    net = network()
    nn.init.zeros_(net[-1].weight)  # no layer before it matters, and it sees nothing
    for layer in net:
        if isinstance(layer, nn.BatchNorm1d):
            nn.init.zeros_(layer.weight)
    assert MEASUREMENTS["trace"](net, pictures())["log_det"] == pytest.approx(0, abs=1e-6)


def test_a_sharpness_that_is_not_found_costs_nothing_else(monkeypatch):
    def fail(*_):
        raise CplabError("not found")

    monkeypatch.setattr(fisher, "sharpness", fail)
    final = MEASUREMENTS["ending"](network(), pictures())
    assert "sharpness" not in final
    assert final["information"]


@pytest.mark.parametrize("name", ["trace", "ending"])
@pytest.mark.parametrize("value", [torch.inf, torch.nan, 1e38])
def test_a_network_that_has_diverged_is_one_clear_line(name, value):
    net = network()
    nn.init.constant_(net[-1].weight, value)
    with pytest.raises(CplabError, match="not finite") as error:
        MEASUREMENTS[name](net, pictures())
    assert "\n" not in str(error.value)


# A student's own ----------------------------------------------------------------------------------


def quiet(net, images):
    """The fraction of logits below 0."""
    x = images.normal(images.train_x)
    return {"quiet": (net(x) < 0).double().mean().item(), "images": len(images.test_y)}


def sizes(net, images):
    return [len(images.train_x), len(images.train_y), len(images.test_x), len(images.test_y)]


def test_an_own_function_is_measured_by_a_name_that_holds_its_meaning():
    digest = own.meaning(quiet)[0]
    assert parse_measures(("trace", quiet)) == {"trace": "every", f"quiet@{digest}": "every"}
    made = MEASUREMENTS[f"quiet@{digest}"]
    assert "def quiet" in made.source
    assert made.label == "quiet"
    net, images = network(), pictures()
    assert made(net, images) == quiet(net.eval(), images)


def test_a_decorator_says_when_and_of_how_many_images():
    few = measurement(images=7, when="end", label="how many")(sizes)
    assert few is sizes
    [(name, when)] = parse_measures(few).items()
    assert when == "end"
    assert MEASUREMENTS[name].label == "how many"
    assert MEASUREMENTS[name](network(), pictures()) == [7, 7, 7, 7]
    every = measurement(images=None)(sizes)
    [other] = parse_measures(every)
    assert other != name  # another number is another measurement
    assert MEASUREMENTS[other](network(), pictures(600)) == [600] * 4
    assert parse_measures({every: (1,)}) == {other: (1,)}


def test_another_process_has_it_from_its_text(python):
    [name] = parse_measures(quiet)
    payload = pickle.dumps(own.dumps_own())
    code = f"""
import pickle
from cplab import measure, own
own.load_own(pickle.loads({payload!r}))
print(measure.parse_measures({name!r}), measure.MEASUREMENTS[{name!r}].apply.__name__)
"""
    out, err = python(code).communicate(timeout=100)
    assert out.strip() == f"{{{name!r}: 'every'}} quiet", err


def test_modes_and_gradients_are_put_back():
    net, images = network("allcnn-4"), pictures()
    net[1].eval()
    net(images.normal(images.train_x)).sum().backward()
    modes = [module.training for module in net.modules()]
    gradients = [weight.grad.clone() for weight in net.parameters()]

    def slope(net, images):
        net.zero_grad()
        net.eval()(images.normal(images.train_x)).sum().backward()
        return max(w.grad.abs().max().item() for w in net.parameters())

    assert Measurement("slope", slope, "slope")(net, images) > 0
    assert [module.training for module in net.modules()] == modes
    assert all(torch.equal(w.grad, g) for w, g in zip(net.parameters(), gradients, strict=True))


def halve(net, images):
    for weight in net.parameters():
        weight.data /= 2
    return net(images.normal(images.train_x)).mean().item()


def train_on(net, images):
    return net.train()(images.normal(images.train_x)).mean().item()


def hook(net, images):
    net.register_forward_hook(lambda module, given, out: 0 * out)
    return net(images.normal(images.train_x)).mean().item()


def freeze(net, images):
    return sum(weight.numel() for weight in net.requires_grad_(False).parameters())


def blacken(net, images):
    for tensor in (images.train_x, images.train_y, images.test_x, images.test_y, images.mean):
        tensor[:] = 0
    return net(images.normal(images.train_x)).mean().item()


@pytest.mark.parametrize("function", [halve, train_on, hook, freeze, blacken])
def test_whatever_a_measurement_does_it_does_to_copies(function):
    net, images = network(), pictures()

    def told():
        weights = [(w.clone(), w.requires_grad) for w in (*net.parameters(), *net.buffers())]
        return repr([*weights, images, net.eval()(images.normal(images.test_x))])

    [name] = parse_measures(function)
    before, found = told(), MEASUREMENTS[name](net, images)
    assert told() == before
    assert MEASUREMENTS[name](net, images) == found


def give_tensor(net, images):
    return {"norms": [weight.norm() for weight in net.parameters()]}


def give_numbers_as_names(net, images):
    return {0: 1.0}


def give_nan(net, images):
    return [1.0, {"mean": float("nan")}]


def draw(net, images):
    return torch.rand(()).item()


def reach(net, images):
    return net[99].weight.sum().item()


def take_one(net):
    return 1


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (give_tensor, r"gives a Tensor.*\.tolist\(\)"),
        (give_numbers_as_names, "gives a dict"),
        (give_nan, "not finite"),
        (draw, "does not give the same twice.*Generator"),
        (reach, "IndexError"),
        (take_one, "TypeError"),
        (lambda net, images: 1, "def"),
    ],
)
def test_a_function_that_is_no_measurement_is_refused_before_training(function, words):
    for ask in (measurement, parse_measures):
        with pytest.raises(CplabError, match=words) as error:
            ask(function)
        assert "\n" not in str(error.value)
    assert all(not known.source for known in MEASUREMENTS.values())


@pytest.mark.parametrize(
    ("options", "words"), [({"when": "often"}, "every, end"), ({"images": 0}, "images 0")]
)
def test_options_that_are_refused(options, words):
    with pytest.raises(CplabError, match=words):
        measurement(**options)(sizes)
