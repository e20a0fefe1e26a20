"""The detail share by block: what of a network's change a blur could not have taught."""

import pytest
import torch
import torch.nn.functional as F
from conftest import random_images

from cplab import Run, models, sweep
from cplab.base.seeding import seeded
from reproduction import measurements


def network(seed: int) -> torch.nn.Module:
    with seeded(seed):
        return models.build("depth1-4", 3, 8).eval()


def test_products_of_patches_are_those_of_each_place():
    net = network(0)
    images = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    first = next(layer for layer in net.modules() if isinstance(layer, torch.nn.Conv2d))
    padded = F.pad(images, (1, 1, 1, 1)).double()
    expected = torch.zeros(27, 27, dtype=torch.float64)
    for image in padded:
        for row in range(8):
            for column in range(8):
                patch = image[:, row : row + 3, column : column + 3].flatten()
                expected += torch.outer(patch, patch) / (2 * 8 * 8)
    torch.testing.assert_close(
        measurements.patch_squares(net, images)[first], expected, rtol=1e-5, atol=1e-6
    )


def test_a_change_within_the_span_of_the_patches_has_no_part_outside():
    patches = torch.randn(3, 20, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    change = torch.ones(5, 3, dtype=torch.float64) @ patches
    squares, directions = measurements.outside_blur(change, patches.T @ patches)
    assert squares < 0.05 * float(change.square().sum())
    assert directions >= 17


def test_a_change_at_right_angles_to_the_patches_is_all_outside():
    patches = torch.zeros(3, 20, dtype=torch.float64)
    patches[:, :5] = 1.0
    change = torch.zeros(4, 20, dtype=torch.float64)
    change[:, 7:] = 2.0
    squares, _ = measurements.outside_blur(change, patches.T @ patches)
    assert squares == pytest.approx(float(change.square().sum()))


def test_shrinking_all_weights_is_no_change():
    weight = torch.randn(4, 3, 3, 3, generator=torch.Generator().manual_seed(3))
    change = measurements.change_since_birth(0.7 * weight, weight)
    assert float(change.square().sum()) < 1e-10


def test_a_network_at_birth_has_no_detail_share():
    net = network(0)
    measured = measurements.measure_block_detail(net, net, random_images(10, 8))
    assert measured["share"] == [0.0]


def test_blurred_images_leave_a_smaller_detail_share_than_clear_ones():
    blurred = Run("blur", length=2, recovery=0, profile="ci")
    clear = Run(onset=2, recovery=0, profile="ci")
    shares = []
    for result in sweep([blurred, clear], measure="block_detail", workers=1, device="cpu"):
        [measured] = result.measured["block_detail"].values()
        shares.append(measured["share"])
    for after_blur, after_clear in zip(*shares, strict=True):
        assert after_blur < after_clear
