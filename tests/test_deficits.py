"""Deficits against oracles and by their properties, as they are written, and a student's own."""

from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import bilinear, cell, one_line
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

import cplab
from cplab import deficits, gallery
from cplab.deficits import DEFICITS, apply_deficit, canonical_name, find_deficit
from cplab.pictures.practice import practice

PACKAGE = [name for name, known in DEFICITS.items() if not known.own]
LABELS = torch.arange(64) % 10


def seen_under(name, x):
    """Images under a deficit of images alone."""
    return apply_deficit(x, LABELS[: len(x)], name)[0]


@pytest.fixture(scope="module")
def pictures():
    """64 practice images of 16 pixels, normalised."""
    x = torch.as_tensor(practice().test_x[:64]).permute(0, 3, 1, 2).float()
    x = torch.nn.functional.avg_pool2d(x, 2)
    return (x - x.mean()) / x.std()


# Oracles: libraries that do the same --------------------------------------------------------------


def blurred(x, strength):
    """Shrunk and enlarged, bilinearly."""
    height, width = x.shape[-2:]
    small = bilinear(x, height // strength, width // strength)
    return bilinear(small, height, width)


def mosaic(x, side):
    """Blocks of the mean of their pixels."""
    height, width = x.shape[-2:]
    means = F.avg_pool2d(x, side, ceil_mode=True)
    return F.interpolate(means, scale_factor=side)[..., :height, :width]


def gaussian(x, width):
    return torch.tensor(gaussian_filter(x, (0, 0, width, width), mode="mirror", truncate=4.0))


def patched(x, mask):
    """Grey where a mask, enlarged by torch's own nearest neighbours, has a bit."""
    rows = []
    for first in range(0, len(mask), 3):  # three hexadecimal digits a row
        bits = f"{int(mask[first : first + 3], 16):012b}"
        rows.append([float(bit) for bit in bits])
    fields = torch.tensor(rows)[None, None]
    covered = F.interpolate(fields, x.shape[-2:])[0, 0] > 0
    return torch.where(covered, 0.0, x)


L_SHAPE = "fff" + "800" * 11  # the first row and the first column
ORACLES = {
    "none": torch.clone,
    "flip": partial(torch.flip, dims=[-2]),
    "blank": torch.zeros_like,  # images are normalised to mean 0
    "blur-2": partial(blurred, strength=2),
    "blur-4": partial(blurred, strength=4),
    "blur-8": partial(blurred, strength=8),
    "mosaic-3": partial(mosaic, side=3),
    "mosaic-4": partial(mosaic, side=4),
    f"{find_deficit(gallery.gaussian_blur).name}-1": partial(gaussian, width=1),
}
for mask in (L_SHAPE, *deficits.MASKS.values()):
    ORACLES[f"cover-{mask}"] = partial(patched, mask=mask)


@pytest.mark.parametrize("name", ORACLES)
def test_a_deficit_agrees_with_a_library(name, pictures):
    assert torch.allclose(seen_under(name, pictures), ORACLES[name](pictures), atol=1e-5)


# Noise --------------------------------------------------------------------------------------------

EVERY = torch.arange(2000)


def noise(name, index=EVERY, epoch=3, seed=0):
    """The noise of some of 2,000 images: (N, 3, 8, 8)."""
    x = torch.full((len(index), 3, 8, 8), 9.0)
    y = torch.zeros(len(index)).long()
    return apply_deficit(x, y, name, index=index, images=2000, epoch=epoch, seed=seed)[0]


@pytest.mark.parametrize("name", ["noise", "fresh_noise"])
def test_an_image_has_its_noise_in_any_batch(name):
    whole = noise(name)
    torch.manual_seed(1)
    deficits.noise_patterns.cache_clear()
    for index in torch.randperm(2000).split(999):
        assert torch.equal(noise(name, index), whole[index])


def test_noise_is_another_for_each_seed_and_fresh_noise_in_each_epoch():
    for name in ("noise", "fresh_noise"):
        assert not torch.equal(noise(name, seed=1), noise(name))
    assert torch.equal(noise("noise", epoch=4), noise("noise"))
    assert not torch.equal(noise("fresh_noise", epoch=4), noise("fresh_noise"))


# Stripes and masks --------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [7, 8])
def test_stripes_are_a_filter_of_all_of_numpy_s_fourier_components(size):
    """The factor of each from the angle of its wave, 0 for the mean too."""
    x = np.random.default_rng(0).normal(size=(2, 3, size, size))
    pitch = abs(np.fft.fftfreq(size))
    angle = np.degrees(np.arctan2(pitch[:, None], pitch))
    fall = np.clip((angle - 22.5) / 22.5, 0, 1)
    factor = np.cos(np.pi * fall / 2) ** 2
    expected = np.fft.ifft2(np.fft.fft2(x) * factor).real
    seen, _ = deficits.stripes(torch.as_tensor(x), LABELS[:2])
    assert np.allclose(seen, expected, atol=1e-5)


@pytest.mark.parametrize("size", [8, 12, 16, 32])
def test_a_painted_field_covers_the_pixels_nearest_to_it_at_any_size(size):
    seen = seen_under(f"cover-{L_SHAPE}", torch.ones(1, 1, size, size))[0, 0]
    edge = -(-size // 12)  # pixels of a field, the first of which begins at the image's edge
    assert seen[edge:, edge:].all()
    assert not seen[:edge].any()
    assert not seen[:, :edge].any()


@given(st.lists(st.lists(st.booleans(), min_size=12, max_size=12), min_size=12, max_size=12))
def test_a_mask_is_read_from_its_name_as_it_was_painted(fields):
    name = deficits.mask_name(fields)
    assert deficits.read_mask(name.removeprefix("cover-")) == fields


NO_MASKS = {
    f"cover-{'0' * 36}": "covers nothing",
    f"blur-{L_SHAPE}": "blur has no mask",
    f"cover-{L_SHAPE[1:]}": "cover",
    f"cover-{L_SHAPE.upper()}": "cover",
    "cover-3": "cover",
}


def test_a_name_without_a_mask_is_refused():
    for name, words in NO_MASKS.items():
        one_line(lambda name=name: cplab.Run(name, length=1), words)
    one_line(lambda: deficits.mask_name([[1] * 12] * 11), "12 rows of 12")


def test_another_mask_is_another_deficit_and_one_that_has_a_name_is_known_by_it():
    first = cplab.Run(f"cover-{L_SHAPE}", length=1)
    second = cplab.Run(f"cover-7{L_SHAPE[1:]}", length=1)
    assert first.key != second.key
    assert find_deficit(first.deficit).label != find_deficit(second.deficit).label
    painted = cplab.Run(f"cover-{deficits.MASKS['right half']}", length=1)
    assert painted == cplab.Run("cover", length=1)


# Names --------------------------------------------------------------------------------------------


@st.composite
def names(draw):
    """One to four deficits, one after another."""
    parts = []
    for _ in range(draw(st.integers(1, 4))):
        name = draw(st.sampled_from(PACKAGE))
        strength = draw(st.sampled_from(["", "-2", "-4", "-8"])) if name == "blur" else ""
        view = draw(st.sampled_from(["", ":left", ":right"]))
        parts.append(name + strength + view)
    return "+".join(parts)


LAST_BITS = "fresh_noise+none+stripes:right"  # which were others once


def two_views():
    """Two images of two views, and their labels."""
    return torch.arange(2 * 2 * 64.0).sin().reshape(2, 2, 1, 8, 8), torch.arange(2)


@settings(deadline=None)
@given(names())
@example(LAST_BITS)
def test_a_canonical_name_is_short_and_does_the_same(name):
    canonical = canonical_name(name)
    assert canonical_name(canonical) == canonical == find_deficit(name).name
    assert "blur-4" not in canonical  # its default
    assert canonical == "none" or "none" not in canonical
    seen = apply_deficit(*two_views(), name, images=9)
    same = apply_deficit(*two_views(), canonical, images=9)
    assert all(map(torch.equal, seen, same))


@settings(deadline=None)
@given(names())
def test_a_deficit_leaves_its_input_alone_and_gives_as_many_numbers_of_the_same_type(name):
    images = two_views()
    seen = apply_deficit(*images, name, images=9)
    assert all(map(torch.equal, images, two_views()))
    for new, old in zip(seen, images, strict=True):
        assert (new.shape, new.dtype) == (old.shape, old.dtype)


# Several deficits, and two views ------------------------------------------------------------------


def test_a_permutation_leaves_no_label_in_its_place_and_is_that_of_every_seed(pictures):
    for classes in (2, 3, 10):
        permuted = deficits.permutation(classes)
        assert sorted(permuted.tolist()) == list(range(classes))
        assert not (permuted == torch.arange(classes)).any()
    _, y = apply_deficit(pictures, LABELS, "permute", seed=3)
    assert torch.equal(y, deficits.permutation(10)[LABELS])


def test_deficits_follow_one_another(pictures):
    seen, y = apply_deficit(pictures, LABELS, "blur-2+flip+permute")
    assert torch.equal(seen, seen_under("blur-2", pictures).flip(-2))
    assert torch.equal(y, deficits.permutation(10)[LABELS])


@pytest.fixture
def views(pictures):
    """Images of two views."""
    return torch.stack([pictures, -pictures], 1)


def test_a_deficit_of_one_view_leaves_the_other(pictures, views):
    left, _ = apply_deficit(views, LABELS, "blur:left")
    assert torch.equal(left[:, 0], seen_under("blur", pictures))
    assert torch.equal(left[:, 1], -pictures)


def test_after_noise_both_views_are_the_same_and_labels_are_permuted_once(views):
    seen, y = apply_deficit(views, LABELS, "permute+noise")
    assert torch.equal(seen[:, 0], seen[:, 1])
    assert torch.equal(y, deficits.permutation(10)[LABELS])


# A student's own ----------------------------------------------------------------------------------


@cplab.deficit(label="dim", colour="#123456")
def dim(x, y, times: int = 2):
    return x / times, y


def test_a_registered_function_stays_the_same_and_is_a_deficit(pictures):
    assert torch.equal(dim(pictures, LABELS, 4)[0], pictures / 4)
    name = cplab.Run(dim, length=1).deficit
    for named, times in ((dim, 2), (name, 2), (f"{name}-5", 5)):
        assert torch.equal(seen_under(named, pictures), pictures / times)
    assert find_deficit(dim).colour == "#123456"
    assert find_deficit(f"{name}-5").label == "dim (times 5)"


@cplab.deficit
def grain(x, y, *, generator, context):
    assert len(context.index) == len(x)
    return x + torch.randn(x.shape, generator=generator), y


def grained(x, name=grain, **batch):
    """Images with the grain of a batch."""
    batch = {"index": torch.arange(5, 69), "images": 99} | batch
    return apply_deficit(x, LABELS, name, **batch)[0]


def test_a_generator_draws_the_same_for_the_same_batch_alone(pictures):
    first = grained(pictures)
    torch.manual_seed(9)
    assert torch.equal(grained(pictures), first)
    for other in ({"seed": 1}, {"epoch": 1}, {"index": torch.arange(6, 70)}):
        assert not torch.equal(grained(pictures, **other), first)


def test_a_second_deficit_of_the_same_name_draws_for_itself(pictures):
    name = canonical_name(grain)
    once = grained(pictures)
    twice = grained(pictures, f"{name}+{name}")
    assert not torch.allclose(twice - once, once - pictures)


SHORT = {"length": 2, "recovery": 0, "profile": "ci", "fresh": True}


def fails_later(x, y, *, context):
    if context.epoch == 1:
        raise ValueError("oops")
    return -x, y


def test_a_deficit_that_fails_in_a_later_epoch_is_named():
    words = "fails_later fails: ValueError: oops"
    one_line(lambda: cplab.run(deficit=fails_later, **SHORT), words)


def test_a_mask_of_another_size_than_the_images_is_told_which_sizes_there_are():
    mask = torch.ones(32, 32)

    def masked(x, y):
        return x * mask, y

    words = "(128, 3, 8, 8); profiles have images of 8, 12, 16, 32 pixels a side"
    one_line(lambda: cplab.run(deficit=masked, **SHORT), words)


def test_a_strength_that_is_no_whole_number_leads_to_a_partial_and_names_own_deficits():
    mislabel = cell("def mislabel(x, y, share: float = 0.5):\n    return x * share, y\n")[
        "mislabel"
    ]
    find_deficit(mislabel)
    one_line(lambda: find_deficit("mislabel-0.3"), ", mislabel", "written", "partial")
