"""What a run can measure: the built-in measurements, how one asks for them, and a student's own."""

import base64
import copy
import math

import numpy as np
import pytest
import torch
from conftest import one_line, random_images
from torch import nn

import cplab
from cplab import Run, deficits, models, show
from cplab.labs.lab01 import orientation
from cplab.measure import MEASUREMENTS, builtin, fisher, measurement, parse_measures
from cplab.runs.tasks import Classification


def network(name="fc-20"):
    torch.manual_seed(0)
    return models.build(name, 3, 8).train()


def test_trace_norms_and_ending_hold_what_their_functions_find():
    images, net = random_images(60), network("allcnn-4")
    x, y = images.normal(images.train_x), images.train_y
    row, norms, final = (MEASUREMENTS[n](net, images) for n in ("trace", "weight_norms", "ending"))
    assert row["trace"] == list(fisher.trace(net, x).layers.values())
    logs = fisher.log_determinant(net, x[: builtin.FACTORED], damping=fisher.DAMPING)
    weights = [m.weight for m in net if isinstance(m, nn.Conv2d)]
    damped = sum(w.numel() for w in weights) * math.log(fisher.DAMPING)
    assert row["log_det"] == pytest.approx(logs.total - damped)
    assert norms["norms"] == pytest.approx([w.norm().item() for w in weights])
    noisy, _ = fisher.information(net, x)
    assert final["layers"] == norms["layers"] == list(noisy.layers) == list(logs.layers)
    assert final["information"] == list(noisy.layers.values())
    assert final["information_error"] == list(noisy.errors.values())
    assert final["sharpness"] == fisher.sharpness(net, x, y)
    some = MEASUREMENTS["connections"](net, images)
    for name, found in fisher.diagonal(net, x).items():
        evenly = found.flatten()[:: max(1, found.numel() // 100)][:100]
        assert some[name] == pytest.approx(evenly.tolist(), rel=1e-3)


def test_a_bit_says_of_each_test_image_whether_it_is_named_rightly():
    images, net = random_images(60), network("allcnn-4")
    names = "correct", "answers", "own_images_right"
    correct, said, right = (MEASUREMENTS[name](net, images) for name in names)
    packed = np.frombuffer(base64.b64decode(correct), np.uint8)
    bits = np.unpackbits(packed, count=len(images.test_y)).astype(bool)
    answers = net.eval()(images.normal(images.test_x)).argmax(1)
    assert bits.tolist() == (answers == images.test_y).tolist()
    assert said == "".join(map(str, answers.tolist()))
    assert right == bits.mean()  # the images that it is trained on are the same here


def test_accuracy_on_blur_is_of_blurred_images_and_of_no_other_weights():
    images, net = random_images(60), network("allcnn-4")
    x, y = images.normal(images.test_x), images.test_y
    dim = deficits.blur(x, y)[0]

    def right(net, seen):
        return (net(seen).argmax(1) == y).double().mean().item()

    again = copy.deepcopy(net).train()  # which has the statistics of all of them, at once
    wanted = {"adapted": right(again, dim), "clear": right(net.eval(), x)}
    wanted["blurred"] = right(net, dim)
    assert MEASUREMENTS["blurred"](net, images) == pytest.approx(wanted)


def len_of_images(net, images):
    return len(images.train_x)


def sizes(net, images):
    return [len(images.train_x), len(images.train_y), len(images.test_x), len(images.test_y)]


def test_ones_own_is_read_by_its_function_or_by_its_name_without_the_digest():
    run = Run(profile="ci", recovery=2, model="fc-20")
    result = cplab.run(run, measure={len_of_images: [1], sizes: None})
    for name in (len_of_images, "len_of_images", *parse_measures(len_of_images)):
        assert result.final(name) == 500
        assert np.isnan(result.series(name)).tolist() == [True, False]
        assert cplab.find(run, {name: [1]}) == result
        assert str(show.over_epochs({"clear": run}, name)).startswith("len of images")
    one_line(lambda: result.final("len_of"), "len_of", "len_of_images")


def test_a_decorator_says_when_and_of_how_many_images():
    few = measurement(images=7, when="end", label="how many")(sizes)
    [(name, when)] = parse_measures(few).items()
    assert (few, when, MEASUREMENTS[name].label) == (sizes, "end", "how many")
    [other] = parse_measures(measurement(images=None)(sizes))
    found = [MEASUREMENTS[one](network(), random_images(600)) for one in (name, other)]
    assert found == [[7] * 4, [600] * 4]  # another number is another measurement
    one_line(lambda: measurement(images=0)(sizes), "images 0")


def spoil(net, images):
    """All that can be done to what it is given."""
    images.train_x[:] = images.train_y[:] = images.mean[:] = 9
    for weight in net.parameters():
        weight.data /= 2
    return net.train().requires_grad_(False)(images.normal(images.train_x)).mean().item()


def test_whatever_a_measurement_does_it_does_to_copies():
    net, images = network(), random_images(60)
    [name] = parse_measures(spoil)
    before = repr([net.state_dict(), images])
    assert MEASUREMENTS[name](net, images) == MEASUREMENTS[name](net, images)
    assert repr([net.state_dict(), images]) == before
    assert all(weight.requires_grad for weight in net.parameters())


def test_orientation_of_a_grating_is_its_tilt_whatever_its_strength_sign_and_brightness():
    y, x = np.mgrid[:33, :33]
    for down, across in ((0, 5), (5, 0), (3, -6)):
        wave = 5 - 7 * np.cos(2 * np.pi * (down * y + across * x) / 33)
        [z] = orientation(wave[None, None])
        assert z == pytest.approx(np.exp(2j * np.arctan2(down, across)))
    assert orientation([np.zeros((3, 3)), np.ones((3, 3))]) == pytest.approx(0)


# What a blurred network never learned -------------------------------------------------------------


def squares(side, size=12):
    """The projection on pictures that are constant on squares, (pixels, pixels), by brute force."""
    place = [row // side * size + column // side for row in range(size) for column in range(size)]
    groups = torch.nn.functional.one_hot(torch.tensor(place)).double()
    groups = groups[:, groups.sum(0) > 0]
    return groups @ torch.linalg.inv(groups.T @ groups) @ groups.T


@pytest.mark.parametrize("side", builtin.SIDES)
def test_detail_share_is_what_a_projection_on_squares_leaves(side):
    change = torch.randn(7, 144, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    left = change - change @ squares(side)
    expected = float(left.square().sum() / change.square().sum())
    assert builtin.detail_share(change.view(7, 1, 12, 12), side) == pytest.approx(expected)


def test_a_network_that_only_saw_a_mosaic_has_no_detail_share_and_gains_one_afterwards():
    run = Run("mosaic", 0, 1, recovery=1, profile="tiny", dataset="practice", images=40)
    [result] = cplab.sweep([run], measure={"detail_share": (0, 1)}, workers=1, device="cpu")
    before, after = result.measured["detail_share"].values()
    assert before["3"] < 1e-9
    assert after["3"] > 0.01


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
        cplab.run(run, measure={"first_units": looks}, fresh=True, device="cpu")
    return len(built)


def test_the_network_at_birth_is_built_once_however_often_one_looks(monkeypatch):
    assert births_for((0, 1, 2, 3, 4, 5), monkeypatch) == births_for((5,), monkeypatch)


def test_the_detail_share_of_a_convolution_is_refused():
    one_line(lambda: MEASUREMENTS["detail_share"](network("allcnn-4"), random_images(4)), "mlp2")


def test_accuracy_on_mosaics_is_that_of_mosaics_of_the_test_images():
    images, net = random_images(60, 12), models.build("mlp2-8", 3, 12).eval()
    measured = MEASUREMENTS["mosaics"](net, images)
    clear = images.normal(images.test_x)
    for side in builtin.SIDES:
        coarse = deficits.mosaic(clear, images.test_y, side)[0]
        right = (net(coarse).argmax(1) == images.test_y).double().mean()
        assert measured[str(side)] == pytest.approx(float(right))
