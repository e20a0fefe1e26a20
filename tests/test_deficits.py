"""Deficits against oracles and by their properties, as they are written, and a student's own."""

from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import one_line
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as vision

import cplab
from cplab import data, deficits, gallery
from cplab.deficits import DEFICITS, apply_deficit, canonical_name, find_deficit

PACKAGE = [name for name, known in DEFICITS.items() if not known.source]
LABELS = torch.arange(64) % 10


def seen_under(name, x):
    """Images under a deficit of images alone."""
    return apply_deficit(x, LABELS[: len(x)], name)[0]


@pytest.fixture(scope="module")
def pictures():
    """64 practice images of 16 pixels, normalised."""
    x = torch.as_tensor(data.practice()["test_x"][:64]).permute(0, 3, 1, 2).float()
    x = torch.nn.functional.avg_pool2d(x, 2)
    return (x - x.mean()) / x.std()


def blurred(x, strength):
    """Shrunk and enlarged, bilinearly."""
    size, how = [*x.shape[-2:]], (InterpolationMode.BILINEAR, None, True)
    return vision.resize(vision.resize(x, [s // strength for s in size], *how), size, *how)


def mosaic(x, side):
    means = F.avg_pool2d(x, side, ceil_mode=True)
    return F.interpolate(means, scale_factor=side)[..., : x.shape[-2], : x.shape[-1]]


def gaussian(x, width):
    return torch.tensor(gaussian_filter(x, (0, 0, width, width), mode="mirror", truncate=4.0))


def patched(x, mask):
    """Grey where a mask, enlarged by torch's own nearest neighbours, has a bit."""
    rows = [f"{int(mask[first : first + 3], 16):012b}" for first in range(0, 36, 3)]
    fields = torch.tensor([[float(bit) for bit in row] for row in rows])
    return torch.where(F.interpolate(fields[None, None], x.shape[-2:])[0, 0] > 0, 0.0, x)


L_SHAPE = "fff" + "800" * 11  # the first row and the first column
ORACLES = {
    "none": torch.clone,
    "flip": vision.vertical_flip,
    "blank": torch.zeros_like,  # images are normalised to mean 0
    **{f"blur-{strength}": partial(blurred, strength=strength) for strength in (2, 4, 8)},
    **{
        f"cover-{mask}": partial(patched, mask=mask) for mask in (L_SHAPE, *deficits.MASKS.values())
    },
    "mosaic-3": partial(mosaic, side=3),
    "mosaic-4": partial(mosaic, side=4),
    f"{find_deficit(gallery.gaussian_blur).name}-1": partial(gaussian, width=1),
}


@pytest.mark.parametrize("name", ORACLES)
def test_a_deficit_of_images_is_what_a_library_says(name, pictures):
    assert torch.allclose(seen_under(name, pictures), ORACLES[name](pictures), atol=1e-5)


@pytest.mark.parametrize("name", ["noise", "fresh_noise"])
def test_noise_is_made_of_image_seed_and_epoch_whatever_the_batch(name):
    def noise(index, **fields):
        x = torch.full((len(index), 3, 8, 8), 9.0)
        how = {"images": 2000, "epoch": 3, "seed": 0, **fields}
        return apply_deficit(x, torch.zeros(len(x)).long(), name, index=index, **how)[0]

    every = torch.arange(2000)
    whole = noise(every)
    torch.manual_seed(1)
    deficits.noise_patterns.cache_clear()
    for index in torch.randperm(2000).split(999):
        assert torch.equal(noise(index), whole[index])
    assert torch.equal(noise(every, epoch=4), whole) == (name == "noise")
    assert not torch.equal(noise(every, seed=1), whole)


@pytest.mark.parametrize("size", [7, 8])
def test_stripes_are_a_filter_of_all_of_numpy_s_fourier_components(size):
    """The factor of each from the angle of its wave, 0 for the mean too."""
    x, pitch = np.random.default_rng(0).normal(size=(2, 3, size, size)), abs(np.fft.fftfreq(size))
    fall = (np.degrees(np.arctan2(pitch[:, None], pitch)) - 22.5) / 22.5
    factor = np.cos(np.pi * np.clip(fall, 0, 1) / 2) ** 2
    seen = deficits.stripes(torch.as_tensor(x), LABELS[:2])[0]
    assert np.allclose(seen, np.fft.ifft2(np.fft.fft2(x) * factor).real, atol=1e-5)


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


def test_a_mask_that_is_none_ends_in_one_line():
    one_line(lambda: cplab.Run(f"cover-{'0' * 36}", length=1), "covers nothing")
    one_line(lambda: cplab.Run(f"blur-{L_SHAPE}", length=1), "blur has no mask")
    one_line(lambda: cplab.Run(f"cover-{L_SHAPE[1:]}", length=1), "cover")
    one_line(lambda: cplab.Run(f"cover-{L_SHAPE.upper()}", length=1), "cover")
    one_line(lambda: cplab.Run("cover-3", length=1), "cover")
    one_line(lambda: deficits.mask_name([[1] * 12] * 11), "12 rows of 12")


def test_masks_differ_in_name_label_and_key():
    runs = [cplab.Run(f"cover-{mask}", length=1) for mask in (L_SHAPE, "7" + L_SHAPE[1:])]
    assert len({run.key for run in runs}) == 2
    assert len({find_deficit(run.deficit).label for run in runs}) == 2
    assert cplab.Run(f"cover-{deficits.MASKS['right half']}", length=1) == cplab.Run(
        "cover", length=1
    )


parts = st.builds(
    lambda name, strength, view: name + (strength if name == "blur" else "") + view,
    st.sampled_from(PACKAGE),
    st.sampled_from(["", "-2", "-4", "-8"]),
    st.sampled_from(["", ":left", ":right"]),
)


@settings(deadline=None)
@given(st.lists(parts, min_size=1, max_size=4).map("+".join))
@example("fresh_noise+none+stripes:right")  # whose last bits were others
def test_a_name_has_one_canonical_form_that_does_the_same(name):
    canonical = canonical_name(name)
    assert canonical_name(canonical) == canonical
    assert "blur-4" not in canonical
    assert canonical == "none" or "none" not in canonical
    assert find_deficit(name).name == canonical
    x, y = torch.arange(2 * 2 * 64.0).sin().reshape(2, 2, 1, 8, 8), torch.arange(2)
    before = x.clone(), y.clone()
    seen, same = (apply_deficit(x, y, n, images=9) for n in (name, canonical))
    assert all(map(torch.equal, seen, same))
    assert all(map(torch.equal, (x, y), before))  # the input is left alone
    assert [(new.shape, new.dtype) for new in seen] == [(old.shape, old.dtype) for old in before]


def test_one_deficit_after_another_and_in_one_view_of_two(pictures):
    for classes in (2, 3, 10):
        permuted = deficits.permutation(classes)
        assert sorted(permuted.tolist()) == list(range(classes))
        assert not (permuted == torch.arange(classes)).any()
    both, y = apply_deficit(pictures, LABELS, "blur-2+flip+permute", seed=3)
    assert torch.equal(both, seen_under("blur-2", pictures).flip(-2))
    assert torch.equal(y, deficits.permutation(10)[LABELS])  # whatever the seed
    views = torch.stack([pictures, -pictures], 1)
    left, _ = apply_deficit(views, LABELS, "blur:left")
    assert torch.equal(left, torch.stack([seen_under("blur", pictures), -pictures], 1))
    both, y = apply_deficit(views, LABELS, "permute+noise")
    assert torch.equal(both[:, 0], both[:, 1])
    assert torch.equal(y, deficits.permutation(10)[LABELS])  # once


def test_a_registered_function_stays_what_it_was_and_runs_by_its_name(pictures):
    @cplab.deficit(label="dim", colour="#123456")
    def dim(x, y, times: int = 2):
        return x / times, y

    name = cplab.Run(dim, length=1).deficit
    assert torch.equal(dim(pictures, LABELS, 4)[0], pictures / 4)
    for said, times in ((dim, 2), (name, 2), (f"{name}-5", 5)):
        assert torch.equal(seen_under(said, pictures), pictures / times)
    assert find_deficit(dim).colour == "#123456"
    assert find_deficit(f"{name}-5").label == "dim (times 5)"


def test_the_generator_is_a_function_of_seed_epoch_and_batch(pictures):
    @cplab.deficit
    def grain(x, y, *, generator, context):
        assert len(context.index) == len(x)
        return x + torch.randn(x.shape, generator=generator), y

    def seen(name=grain, **given):
        given = {"index": torch.arange(5, 69), "images": 99} | given
        return apply_deficit(pictures, LABELS, name, **given)[0]

    first = seen()
    torch.manual_seed(9)
    assert torch.equal(seen(), first)
    for other in ({"seed": 1}, {"epoch": 1}, {"index": torch.arange(6, 70)}):
        assert not torch.equal(seen(**other), first)
    twice = seen("+".join([canonical_name(grain)] * 2))
    assert not torch.allclose(twice - first, first - pictures)  # draws of its own


def fails_later(x, y, *, context):
    if context.epoch == 1:
        raise ValueError("oops")
    return -x, y


def test_a_deficit_that_fails_or_changes_nothing_says_so_when_it_is_run():
    fields = {"length": 2, "recovery": 0, "profile": "ci", "fresh": True}
    with pytest.warns(UserWarning, match="no colour changes nothing on these images"):
        cplab.run(deficit=gallery.grey, dataset="drawn", **fields)
    cplab.run(deficit="flip", **fields)  # a warning would be an error
    words = "fails_later fails: ValueError: oops"
    one_line(lambda: cplab.run(deficit=fails_later, **fields), words)


def eights_are_threes(x, y):
    """Many a batch has no eight."""
    return x, torch.where(y == 8, 3, y)


def test_a_deficit_of_one_class_is_not_said_to_change_nothing():
    runs = [
        cplab.Run(eights_are_threes, 0, 5, 0, profile="tiny", images=64, seed=seed)
        for seed in range(3)
    ]
    cplab.sweep(runs, fresh=True)  # a warning would be an error
