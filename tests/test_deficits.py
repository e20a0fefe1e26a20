"""Deficits against oracles and by their properties, as they are written, and a student's own."""

import random
from itertools import product

import numpy as np
import pytest
import torch
from conftest import cell, one_line
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as vision

import cplab
from cplab import data, deficits, gallery
from cplab.deficits import DEFICITS, apply_deficit, canonical_name, find_deficit

STRENGTHS = (2, 4, 8)
PACKAGE = [name for name, known in DEFICITS.items() if not known.source]
LABELS = torch.arange(64) % 10


def images_of(name):
    """A deficit of images, as a function of these alone."""
    return lambda x, *arguments: getattr(deficits, name)(x, None, *arguments)[0]


blur, stripes = images_of("blur"), images_of("stripes")


@pytest.fixture(scope="module")
def pictures():
    """64 practice images of 16 pixels, normalised."""
    x = torch.as_tensor(data.practice()["test_x"][:64]).permute(0, 3, 1, 2).float()
    x = torch.nn.functional.avg_pool2d(x, 2)
    return (x - x.mean()) / x.std()


def test_blur_is_torchvision_s_bilinear_shrinking_and_enlarging(pictures):
    """Whether shrinking averages over all pixels is one choice for all strengths and sizes."""

    def oracle(x, strength, antialias):
        size, how = [*x.shape[-2:]], (InterpolationMode.BILINEAR, None, antialias)
        return vision.resize(vision.resize(x, [s // strength for s in size], *how), size, *how)

    def fits(antialias):
        sets = (pictures, pictures.repeat(1, 1, 2, 2), torch.randn(8, 1, 32, 32))
        pairs = [(blur(x, s), oracle(x, s, antialias)) for s in STRENGTHS for x in sets]
        return all(torch.allclose(ours, theirs, atol=1e-5) for ours, theirs in pairs)

    assert fits(True) != fits(False)


def test_permuting_gives_every_class_the_label_of_another_and_always_the_same(pictures):
    for classes in (2, 3, 10):
        permuted = deficits.permutation(classes)
        assert sorted(permuted.tolist()) == list(range(classes))
        assert not (permuted == torch.arange(classes)).any()
    seen, before = apply_deficit(pictures, LABELS, "permute", seed=3)
    assert torch.equal(seen, pictures)
    assert torch.equal(apply_deficit(pictures, LABELS, "permute")[1], before)
    assert torch.equal(before, deficits.permutation(10)[LABELS])


def patterns(name, index, seed=0, images=2000, epoch=0):
    """What the images with these numbers look like."""
    index = torch.as_tensor(index)
    x, y = torch.zeros(len(index), 3, 8, 8), torch.zeros(len(index), dtype=torch.long)
    return apply_deficit(x, y, name, index=index, seed=seed, images=images, epoch=epoch)[0]


@pytest.mark.parametrize(("side", "size"), [(3, 12), (4, 12), (3, 8), (5, 12)])
def test_a_mosaic_is_the_mean_of_each_square_and_a_projection(side, size):
    x = torch.randn(2, 1, size, size)
    expected = x.clone()
    for row, column in product(range(0, size, side), repeat=2):
        square = x[..., row : row + side, column : column + side]
        expected[..., row : row + side, column : column + side] = square.mean((-1, -2), True)
    seen = apply_deficit(x, LABELS[:2], f"mosaic-{side}")[0]
    assert torch.allclose(seen, expected, atol=1e-6)
    assert torch.allclose(apply_deficit(seen, LABELS[:2], f"mosaic-{side}")[0], seen, atol=1e-6)


@pytest.mark.parametrize("name", ["noise", "fresh_noise"])
def test_noise_is_made_of_image_seed_and_epoch_whatever_the_batch(name):
    order = torch.randperm(2000, generator=torch.Generator().manual_seed(0))
    whole = patterns(name, range(2000), epoch=3)
    torch.manual_seed(1)
    deficits.noise_patterns.cache_clear()
    for index in order.split(999):
        assert torch.equal(patterns(name, index, epoch=3), whole[index])
    x, _ = apply_deficit(torch.full((4, 3, 8, 8), 9.0), LABELS[:4], name, images=2000, epoch=3)
    assert torch.equal(x, whole[:4])  # without an index it is that of the first images
    assert torch.equal(patterns(name, range(2000), epoch=4), whole) == (name == "noise")
    assert not torch.equal(patterns(name, range(2000), seed=1, epoch=3), whole)


def test_stripes_are_a_fourier_filter_written_out():
    """Each component by its own sum in float64, its factor from the angle of its wave."""
    for size, half_angle in ((8, 22.5), (7, 22.5), (8, 30)):
        x = torch.randn(2, 3, size, size, dtype=torch.float64).numpy()
        place, expected = np.arange(size), np.zeros_like(x)
        for a, b in product(place, place):
            wave = np.exp(2j * np.pi * (a * place[:, None] + b * place[None]) / size)
            down, across = (min(k, size - k) for k in (a, b))
            tilt = np.degrees(np.arctan2(down, across))  # 0 for the mean too
            fall = np.clip((tilt - half_angle) / half_angle, 0, 1)
            part = (x * wave.conj()).sum((2, 3), keepdims=True) / size**2
            expected += np.cos(np.pi * fall / 2) ** 2 * (part * wave).real
        assert np.allclose(stripes(torch.as_tensor(x), half_angle), expected, atol=1e-5)


def test_none_changes_nothing_blank_leaves_an_even_grey_and_flip_is_torchvision_s(pictures):
    seen = {name: apply_deficit(pictures, LABELS, name) for name in ("none", "blank", "flip")}
    assert torch.equal(seen["none"][0], pictures)
    assert not seen["blank"][0].any()  # images are normalised to mean 0
    assert torch.equal(seen["flip"][0], vision.vertical_flip(pictures))
    assert all(torch.equal(y, LABELS) for _, y in seen.values())


@pytest.mark.parametrize("name", [*PACKAGE, "blur-2", "blur+permute", *gallery.__all__])
@pytest.mark.parametrize("channels", [1, 3])
def test_shapes_and_formats_are_kept_and_the_input_is_left_alone(name, channels):
    x = torch.randn(6, channels, 8, 8).contiguous(memory_format=torch.channels_last)
    given_ = x, torch.arange(6)
    before = [part.clone() for part in given_]
    seen = apply_deficit(*given_, getattr(gallery, name, name), seed=1)
    for new, part, old in zip(seen, given_, before, strict=True):
        assert (new.shape, new.dtype) == (part.shape, part.dtype)
        assert torch.equal(part, old)


def test_what_are_no_labelled_images_is_refused():
    x = torch.zeros(2, 1, 8, 8)
    one_line(lambda: apply_deficit(x.byte(), LABELS[:2], "blur"), "images")
    one_line(lambda: apply_deficit(x, torch.tensor([0, 10]), "blur"), "from 0 to 9")
    one_line(lambda: apply_deficit(x, LABELS[:2], "blur:left"), "two views")


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
    x = torch.arange(2 * 2 * 64.0).sin().reshape(2, 2, 1, 8, 8)
    seen, same = (apply_deficit(x, LABELS[:2], n, images=9) for n in (name, canonical))
    assert all(map(torch.equal, seen, same))


def test_one_deficit_after_another_and_in_one_view_of_two(pictures):
    both, y = apply_deficit(pictures, LABELS, "blur-2+flip+permute")
    assert torch.equal(both, blur(pictures, 2).flip(-2))
    assert torch.equal(y, deficits.permutation(10)[LABELS])
    views = torch.stack([pictures, -pictures], 1)
    left, _ = apply_deficit(views, LABELS, "blur:left")
    assert torch.equal(left, torch.stack([blur(pictures), -pictures], 1))
    both, y = apply_deficit(views, LABELS, "permute+noise")
    assert torch.equal(both[:, 0], both[:, 1])
    assert torch.equal(y, deficits.permutation(10)[LABELS])  # once


def test_a_registered_function_stays_what_it_was_and_runs_by_its_name(pictures):
    @cplab.deficit(label="dim", colour="#123456", dash="dotted", marker="star")
    def dim(x, y, times: int = 2):
        """Darker."""
        return x / times, y

    known = find_deficit(dim)
    style = known.label, known.colour, known.dash, known.marker
    assert style == ("dim", "#123456", "dotted", "star")
    assert known.strength == "times"
    assert torch.equal(dim(pictures, LABELS, 4)[0], pictures / 4)
    for name, times in ((dim, 2), (known.name, 2), (f"{known.name}-5", 5)):
        assert torch.equal(apply_deficit(pictures, LABELS, name)[0], pictures / times)
    assert find_deficit(f"{known.name}-5").label == "dim (times 5)"
    assert cplab.Run(dim, length=1).deficit == known.name


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
    twice = seen(f"{canonical_name(grain)}+{canonical_name(grain)}")
    assert not torch.allclose(twice - first, first - pictures)  # draws of its own


FAULTY = {  # parameters and body of a function, and what the error says
    "(x, y): return x": "return x, y",
    "(x, y): return x.double(), y": "float32",
    "(x, y): return x, y + 1": "0 to 9",
    "(x, y): return x / 0, y": "finite",
    "(x, y): return x.mul_(2), y": "clone",
    "(x, y): return x + torch.randn_like(x), y": "generator",
    "(x, y): return x + (random.random() < 0.01), y": "generator",
    "(x, y): raise ValueError('no\\nmore')": "ValueError: no",
    "(x, y, rows): return x, y": "'rows'",
}


@pytest.mark.parametrize("text", FAULTY)
def test_a_function_that_is_no_deficit_is_refused_before_it_is_registered(text):
    function = cell(f"def f{text}", random=random)["f"]
    known = [*DEFICITS]
    one_line(lambda: cplab.deficit(function), "f", FAULTY[text])
    assert [*DEFICITS] == known


def test_a_deficit_without_effect_on_the_images_says_so_when_it_is_run():
    fields = {"length": 1, "recovery": 0, "profile": "ci", "fresh": True}
    with pytest.warns(UserWarning, match="no colour changes nothing on these images"):
        cplab.run(deficit=gallery.grey, dataset="drawn", **fields)
    cplab.run(deficit="flip", **fields)  # a warning would be an error


@pytest.mark.parametrize("width", [1, 2])
def test_gaussian_blur_is_scipy_s_filter(width):
    from scipy.ndimage import gaussian_filter

    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    seen, _ = gallery.gaussian_blur(x, LABELS[:2], width)
    sigma = (0, 0, width, width)
    expected = gaussian_filter(x.double().numpy(), sigma, mode="mirror", truncate=4.0)
    assert np.allclose(seen.numpy(), expected, atol=1e-5)
