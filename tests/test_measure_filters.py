"""Filters and images by their Fourier components, against stripes and noise that one knows."""

import numpy as np
import pytest
import torch

from cplab.measure import orientation, power_spectrum

UPRIGHT = [[-1, 2, -1]] * 3


def test_orientation_of_a_grating_is_its_tilt():
    y, x = np.mgrid[:33, :33]
    for down, across in ((0, 5), (5, 0), (4, 4), (3, -6), (2, 7)):
        wave = np.cos(2 * np.pi * (down * y + across * x) / 33)
        [z] = orientation(wave[None, None])
        assert abs(z) == pytest.approx(1)
        assert np.exp(1j * np.angle(z)) == pytest.approx(np.exp(2j * np.arctan2(down, across)))


def test_orientation_takes_strength_and_sign_and_brightness_for_nothing():
    f = np.random.default_rng(0).normal(size=(5, 3, 3, 3))
    z = orientation(f)
    assert orientation(-7 * f) == pytest.approx(z)
    assert orientation(f[..., ::-1]) == pytest.approx(z.conj())  # in a mirror
    assert orientation(np.rot90(f, axes=(2, 3))) == pytest.approx(-z)
    assert orientation([np.zeros((3, 3)), np.ones((3, 3))]) == pytest.approx(0)
    assert orientation([[UPRIGHT]]) == orientation([UPRIGHT])


def test_orientation_of_many_random_filters_has_no_preference():
    z = orientation(np.random.default_rng(0).normal(size=(4000, 3, 3, 3)))
    assert abs(z.mean()) < 4 * abs(z).std() / 4000**0.5 + 0.01


def test_white_noise_has_its_variance_at_every_frequency():
    x = torch.randn(400, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2
    assert power_spectrum(x) == pytest.approx(np.full(9, 4), rel=0.1)


@pytest.mark.parametrize(("size", "cycles"), [(8, 0), (8, 1), (15, 3)])
def test_a_grating_has_power_at_its_frequency_alone(size, cycles):
    waves = np.cos(2 * np.pi * cycles * np.arange(size) / size)
    x = np.broadcast_to(waves, (2, 3, size, size))
    for images in (x, x.swapaxes(2, 3)):
        found = power_spectrum(images)
        assert found.argmax() == cycles
        assert found.sum() == pytest.approx(found[cycles])
