"""What a run can measure: the built-in measurements, how one asks for them, and a student's own."""

import base64
import copy
import math
from typing import NamedTuple

import numpy as np
import pytest
import torch
from conftest import one_line, random_images
from torch import nn

import cplab
from cplab import Run, deficits, models, show
from cplab.labs.lab01 import orientation
from cplab.measure import MEASUREMENTS, builtin, fisher, measurement, parse_measures
from cplab.pictures.data import Images
from cplab.runs.tasks import Classification
from reproduction.measurements import share_in_detail


def network(name="fc-20"):
    torch.manual_seed(0)
    return models.build(name, 3, 8).train()


# What comes with the package ----------------------------------------------------------------------


class Case(NamedTuple):
    """A network in training, 60 images, and these normalised, with their labels."""

    net: nn.Module
    images: Images
    x: torch.Tensor
    y: torch.Tensor

    def measure(self, name):
        return MEASUREMENTS[name](self.net, self.images)


def make_case():
    images = random_images(60)
    return Case(network("allcnn-4"), images, images.normal(images.train_x), images.train_y)


@pytest.fixture
def case():
    return make_case()


@pytest.fixture
def weights(case):
    """Those of the layers that are counted."""
    return [layer.weight for layer in case.net if isinstance(layer, nn.Conv2d)]


def test_the_trace_is_measured_by_layer(case):
    expected = fisher.trace(case.net, case.x).layers
    assert case.measure("trace")["trace"] == list(expected.values())


def test_the_log_determinant_is_measured_above_that_of_the_damping(case, weights):
    few = case.x[: builtin.FACTOR_IMAGES]
    logs = fisher.log_determinant(case.net, few, damping=fisher.DAMPING)
    damping = sum(weight.numel() for weight in weights) * math.log(fisher.DAMPING)
    assert case.measure("trace")["log_det"] == pytest.approx(logs.total - damping)


def test_norms_are_those_of_the_weights(case, weights):
    norms = [weight.norm().item() for weight in weights]
    assert case.measure("weight_norms")["norms"] == pytest.approx(norms)
    assert case.measure("weight_norms")["layers"] == [*fisher.trace(case.net, case.x).layers]


def test_the_information_with_its_errors_and_the_sharpness_are_measured_in_the_end():
    net, images = network(), random_images(60)
    x = images.normal(images.train_x)
    ending = MEASUREMENTS["ending"](net, images)
    expected, _ = fisher.information(net, x)
    assert ending["layers"] == [*expected.layers]
    assert ending["information"] == [*expected.layers.values()]
    assert ending["information_error"] == [*expected.errors.values()]
    assert ending["sharpness"] == fisher.sharpness(net, x, images.train_y)


def test_connections_are_the_diagonal_of_weights_that_lie_evenly(case):
    connections = case.measure("connections")
    for name, diagonal in fisher.diagonal(case.net, case.x).items():
        step = max(1, diagonal.numel() // 100)
        expected = diagonal.flatten()[::step][:100].tolist()
        assert connections[name] == pytest.approx(expected, rel=1e-3)


@pytest.fixture
def answers(case):
    """The class that the network names for each test image, (60,)."""
    return case.net.eval()(case.images.normal(case.images.test_x)).argmax(1)


def test_a_bit_says_whether_a_test_image_is_named_correctly(case, answers):
    packed = np.frombuffer(base64.b64decode(case.measure("correct")), np.uint8)
    bits = np.unpackbits(packed, count=len(answers)).astype(bool)
    assert bits.tolist() == (answers == case.images.test_y).tolist()


def test_own_images_right_is_the_share_of_training_images_named_correctly(case, answers):
    """Which are the test images here."""
    expected = (answers == case.images.train_y).double().mean().item()
    assert case.measure("own_images_right") == expected


def share_right(net, x, y):
    return (net(x).argmax(1) == y).double().mean().item()


def test_accuracy_on_blur_is_measured_beside_that_on_clear_images(case):
    """Adapted, it is that with batch norm's numbers of blurred images, and with no other weights. A
    network in training takes the numbers of what it is shown."""
    y = case.images.test_y
    clear = case.images.normal(case.images.test_x)
    blurred, _ = deficits.blur(clear, y)
    adapted = copy.deepcopy(case.net).train()
    expected = {
        "clear": share_right(case.net.eval(), clear, y),
        "blurred": share_right(case.net.eval(), blurred, y),
        "adapted": share_right(adapted, blurred, y),
    }
    assert case.measure("blurred") == pytest.approx(expected)


# One's own ----------------------------------------------------------------------------------------


def len_of_images(net, images):
    return len(images.train_x)


def sizes(net, images):
    return [len(images.train_x), len(images.train_y), len(images.test_x), len(images.test_y)]


@pytest.fixture(scope="module")
def measured(elsewhere):
    """A run that was measured after its second epoch by a function of one's own."""
    run = Run(profile="ci", recovery=2, model="fc-20")
    return elsewhere(lambda: cplab.run(run, measure={len_of_images: [1], sizes: None}))[0]


[KEPT_NAME] = parse_measures(len_of_images)  # with the digest
NAMES = pytest.mark.parametrize(
    "name", [len_of_images, "len_of_images", KEPT_NAME], ids=["function", "name", "kept name"]
)


@NAMES
def test_an_own_measurement_is_read_by_its_function_or_name(name, measured):
    assert measured.final(name) == 500
    assert np.isnan(measured.series(name)).tolist() == [True, False]  # it was taken once


@NAMES
def test_a_result_is_found_by_an_own_measurement_and_a_figure_has_its_name(name, nothing_shipped):
    run = Run(profile="ci", recovery=1, model="fc-20")
    result = cplab.run(run, measure={len_of_images: [0]})
    assert cplab.find(run, {name: [0]}) == result
    assert str(show.over_epochs({"clear": run}, name)).startswith("len of images")


def test_a_name_that_was_not_measured_is_refused(measured):
    one_line(lambda: measured.final("len_of"), "len_of", "len_of_images")


def test_a_decorator_says_when_and_of_how_many_images():
    [few] = parse_measures(measurement(images=7)(sizes))
    [every] = parse_measures(measurement(images=None, label="how many")(sizes))
    assert few != every
    assert MEASUREMENTS[few](network(), random_images(600)) == [7] * 4
    assert MEASUREMENTS[every](network(), random_images(600)) == [600] * 4
    assert MEASUREMENTS[every].label == "how many"
    assert [*parse_measures(measurement(when="end")(sizes)).values()] == ["end"]
    assert measurement(images=7)(sizes) is sizes  # it stays what it was
    one_line(lambda: measurement(images=0)(sizes), "images 0")


def spoil(net, images):
    """All that can be done to what it is given."""
    images.train_x[:] = images.train_y[:] = images.mean[:] = 9
    for weight in net.parameters():
        weight.data /= 2
    return net.train().requires_grad_(False)(images.normal(images.train_x)).mean().item()


def test_a_measurement_changes_copies_alone():
    net = network()
    images = random_images(60)
    [name] = parse_measures(spoil)
    before = repr([net.state_dict(), images])
    assert MEASUREMENTS[name](net, images) == MEASUREMENTS[name](net, images)
    assert repr([net.state_dict(), images]) == before
    assert all(weight.requires_grad for weight in net.parameters())


@pytest.mark.parametrize(("down", "across"), [(0, 5), (5, 0), (3, -6)])
def test_orientation_of_a_grating_is_its_tilt_whatever_its_strength(down, across):
    """And whatever its brightness. An even picture has none."""
    y, x = np.mgrid[:33, :33]
    for strength in (7, -7, 0.1):
        wave = 5 - strength * np.cos(2 * np.pi * (down * y + across * x) / 33)
        [tilt] = orientation(wave[None, None])
        assert tilt == pytest.approx(np.exp(2j * np.arctan2(down, across)))
    assert orientation([np.zeros((3, 3)), np.ones((3, 3))]) == pytest.approx(0)


# What a blurred network never learned -------------------------------------------------------------


def squares(side, size=12):
    """The projection on pictures that are constant on squares, (pixels, pixels), by brute force."""
    place = [row // side * size + column // side for row in range(size) for column in range(size)]
    groups = torch.nn.functional.one_hot(torch.tensor(place)).double()
    groups = groups[:, groups.sum(0) > 0]
    return groups @ torch.linalg.inv(groups.T @ groups) @ groups.T


@pytest.mark.parametrize("side", builtin.MOSAIC_SIDES)
def test_detail_share_is_what_a_projection_on_squares_leaves(side):
    change = torch.randn(7, 144, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    left = change - change @ squares(side)
    expected = float(left.square().sum() / change.square().sum())
    assert share_in_detail(change.view(7, 1, 12, 12), side) == pytest.approx(expected)


def test_a_network_gains_a_detail_share_only_after_a_mosaic(nothing_shipped):
    run = Run("mosaic", 0, 1, recovery=1, profile="tiny", dataset="practice", images=40)
    result = cplab.run(run, measure={"detail_share": (0, 1)}, device="cpu")
    shares = result.measured["detail_share"]
    assert shares[0]["3"] < 1e-9
    assert shares[1]["3"] > 0.01


def births_for(looks, monkeypatch):
    """How many networks are built while a run is trained whose first units are looked at."""
    built = []
    birth = Classification.birth

    def counting(task, *given):
        built.append(task)
        return birth(task, *given)

    run = Run("mosaic", 0, 3, recovery=3, profile="tiny", dataset="practice", images=40)
    with monkeypatch.context() as patch:
        patch.setattr(Classification, "birth", counting)
        cplab.run(run, measure={"detail_share": looks}, fresh=True, device="cpu")
    return len(built)


def test_the_network_at_birth_is_built_once_however_often_one_looks(monkeypatch):
    assert births_for((0, 1, 2, 3, 4, 5), monkeypatch) == births_for((5,), monkeypatch)


def test_the_detail_share_of_a_convolution_is_refused():
    one_line(lambda: MEASUREMENTS["detail_share"](network("allcnn-4"), random_images(4)), "mlp2")


def test_accuracy_on_mosaics_is_that_of_mosaics_of_the_test_images():
    images = random_images(60, 12)
    net = models.build("mlp2-8", 3, 12).eval()
    measured = MEASUREMENTS["mosaics"](net, images)
    clear = images.normal(images.test_x)
    for side in builtin.MOSAIC_SIDES:
        coarse = deficits.mosaic(clear, images.test_y, side)[0]
        right = (net(coarse).argmax(1) == images.test_y).double().mean()
        assert measured[str(side)] == pytest.approx(float(right))
