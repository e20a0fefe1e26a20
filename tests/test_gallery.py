"""The gallery's deficits against other libraries and closed forms."""

import numpy as np
import pytest
import torch
from conftest import bilinear
from scipy.ndimage import gaussian_filter

from cplab import deficits, gallery
from cplab.deficits import apply_deficit, find_deficit

LABELS = torch.arange(20) % 10


@pytest.fixture(scope="module")
def pictures():
    """20 random images of 16 pixels."""
    random = torch.Generator().manual_seed(0)
    return torch.randn(20, 3, 16, 16, generator=random, dtype=torch.float32)


def covered(x):
    return np.concatenate([x[:, :, :8], np.zeros((20, 3, 8, 16))], 2)


def without_colour(x):
    return np.repeat(x.mean(1, keepdims=True), 3, 1)


def with_a_quarter_of_the_contrast(x):
    flat = x.reshape(20, -1)
    means = flat.mean(1)[:, None]
    return (0.25 * flat + 0.75 * means).reshape(x.shape)


def gaussian(x):
    return gaussian_filter(x, (0, 0, 2, 2), mode="mirror", truncate=4.0)


def what_blur_removes(x):
    small = bilinear(x, 4, 4)
    return x - bilinear(small, 16, 16).numpy()


ORACLES = {
    gallery.occlude: covered,
    gallery.grey: without_colour,
    gallery.contrast: with_a_quarter_of_the_contrast,
    gallery.gaussian_blur: gaussian,
    gallery.high_pass: what_blur_removes,
    gallery.mirror: lambda x: x[..., ::-1],
}


@pytest.mark.parametrize("deficit", ORACLES, ids=lambda f: f.__name__)
def test_images_are_what_another_library_makes_of_them_and_labels_stay(deficit, pictures):
    seen, labels = apply_deficit(pictures, LABELS, deficit)
    assert np.allclose(seen, ORACLES[deficit](pictures.numpy()), atol=1e-5)
    assert torch.equal(labels, LABELS)


def test_other_names_are_those_of_the_next_class(pictures):
    _, labels = apply_deficit(pictures, LABELS, gallery.rename)
    assert labels.tolist() == [(label + 1) % 10 for label in LABELS.tolist()]


def random_labels(index, epoch=0):
    """The labels that random_labels gives to these of 1,000 images."""
    x = torch.zeros(len(index), 1, 2, 2)
    given = {"index": index, "images": 1000, "epoch": epoch}
    return apply_deficit(x, torch.zeros(len(index)).long(), gallery.random_labels, **given)[1]


def test_a_random_label_is_the_image_s_at_every_epoch():
    index = torch.arange(1000)
    order = torch.randperm(1000, generator=torch.Generator().manual_seed(1))
    assert torch.equal(random_labels(index)[order], random_labels(index[order], epoch=7))


def test_random_labels_are_as_many_of_each_class():
    counts = torch.bincount(random_labels(torch.arange(1000)), minlength=10)
    assert ((counts - 100).abs() < 4 * 90**0.5).all()  # deviations of a binomial number


def test_the_gallery_s_name_is_found_without_its_digest():
    assert deficits.canonical_name("occlude") == find_deficit(gallery.occlude).name
