"""Pictures of deficits that are drawn without torch: what torch would have drawn."""

import numpy as np
import pytest
import torch

import cplab
from cplab.show import to_pixels
from cplab.show.previews import preview


@pytest.mark.parametrize("profile", ["ci", "course", "paper"])
@pytest.mark.parametrize("name", ["none", "blur-2", "blank", "blur+flip"])
def test_a_preview_is_what_the_network_sees(name, profile):
    images = cplab.images("practice", profile)
    x, y = images.normal(images.train_x[:3]), images.train_y[:3]
    wanted = to_pixels(cplab.apply_deficit(x, y, name)[0], images).numpy().astype(int)
    rows, shown = preview("practice", profile, name)
    assert shown == "practice"
    assert np.array_equal(rows["clear"], images.train_x[:3])
    # of blank, the middle of fewer images
    assert np.abs(rows["seen"] - wanted).max() <= (5 if name == "blank" else 1)


@pytest.mark.parametrize("name", ["none", "blur", "flip", "permute", "stripes", "blank", "blur-2"])
def test_drawn_pictures_are_what_the_deficit_leaves_of_them(name):
    rows, shown = preview("drawn", "course", name, count=8)
    assert shown == "drawn"
    x = rows["clear"].astype(np.float32)
    mean, std = x.mean((0, 1, 2)), x.std((0, 1, 2))
    normal = torch.from_numpy(((x - mean) / std).transpose(0, 3, 1, 2))
    seen = cplab.apply_deficit(normal, torch.arange(8), name)[0].numpy().transpose(0, 2, 3, 1)
    assert np.abs(rows["seen"] - (seen * std + mean).clip(0, 255)).max() <= 1


def test_of_somebodys_own_that_is_not_defined_here_the_clear_images_are_shown():
    rows, _ = preview("practice", "ci", "cover_top@2e1d7d46")
    assert [*rows] == ["clear"]


@pytest.mark.parametrize("name", ["noise", "fresh_noise"])
def test_noise_is_seen_as_noise_of_that_kind(name):
    images = cplab.images("practice", "paper")
    rows, _ = preview("practice", "paper", name, count=20)
    mean, std = rows["seen"].mean((0, 1, 2)), rows["seen"].std((0, 1, 2))
    assert mean == pytest.approx(images.mean.numpy(), rel=0.05)
    assert std == pytest.approx(images.std.numpy(), rel=0.05)


@pytest.mark.parametrize("name", ["blank", "blur", "flip"])
def test_a_deficit_of_one_eye_is_seen_as_that_eye_sees_it(name):
    rows, _ = preview("practice", "ci", f"{name}:right")
    assert np.array_equal(rows["seen"], preview("practice", "ci", name)[0]["seen"])


def test_digits_are_padded_as_they_are_for_a_network(small_mnist):
    rows, shown = preview("mnist", "mnist", "none")
    assert shown == "mnist"
    assert np.array_equal(rows["clear"], cplab.images("mnist", "mnist").train_x[:3])


def test_a_deficit_of_ones_own_is_seen_as_well():
    def covered(x, y):
        x = x.clone()
        x[..., -4:, :] = 0
        return x, y

    rows, _ = preview("practice", "ci", covered)
    mean = torch.round(cplab.images("practice", "ci").mean).byte().numpy()
    assert (rows["seen"][:, -4:] == mean).all()
    assert np.array_equal(rows["seen"][:, :4], rows["clear"][:, :4])
