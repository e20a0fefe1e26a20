"""Pictures of deficits that are drawn without torch: what torch would have drawn."""

import numpy as np
import pytest
import torch

import cplab
from cplab.show import to_pixels
from cplab.show.previews import preview


@pytest.mark.parametrize("profile", ["ci", "course", "paper"])
def test_a_preview_is_what_the_network_sees(profile):
    images = cplab.images("practice", profile)
    x, y = images.normal(images.train_x[:3]), images.train_y[:3]
    for name in ("none", "blur-2", "blank", "blur+flip"):
        wanted = to_pixels(cplab.apply_deficit(x, y, name)[0], images).numpy().astype(int)
        rows, shown = preview("practice", profile, name)
        assert shown == "practice"
        assert np.array_equal(rows["clear"], images.train_x[:3])
        # of blank, the middle of fewer images
        assert np.abs(rows["seen"] - wanted).max() <= (5 if name == "blank" else 1), name


def test_noise_is_seen_as_noise_of_that_kind():
    images = cplab.images("practice", "course")
    for name in ("noise", "fresh_noise"):
        rows, _ = preview("practice", "course", name, count=60)
        mean, std = rows["seen"].mean((0, 1, 2)), rows["seen"].std((0, 1, 2))
        assert mean == pytest.approx(images.mean.numpy(), rel=0.05)
        assert std == pytest.approx(images.std.numpy(), rel=0.05)


def test_a_deficit_of_ones_own_is_seen_as_well():
    def covered(x, y):
        x = x.clone()
        x[..., -4:, :] = 0
        return x, y

    rows, _ = preview("practice", "ci", covered)
    mean = torch.round(cplab.images("practice", "ci").mean).byte().numpy()
    assert (rows["seen"][:, -4:] == mean).all()
    assert np.array_equal(rows["seen"][:, :4], rows["clear"][:, :4])
