"""Deficits against oracles and by their properties."""

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from cplab import data, deficits
from cplab.experiment import DEFICITS, CplabError

STRENGTHS = (2, 4, 8)


@pytest.fixture(scope="module")
def pictures():
    """64 practice images of 16 pixels, normalised."""
    x = torch.as_tensor(data.practice()["test_x"][:64]).permute(0, 3, 1, 2).float()
    x = torch.nn.functional.avg_pool2d(x, 2)
    return (x - x.mean()) / x.std()


def distance(one, other):
    return (one - other).pow(2).mean().sqrt().item()


# Blur ---------------------------------------------------------------------------------------------


def test_blur_is_torchvision_s_bilinear_shrinking_and_enlarging(pictures):
    """Whether shrinking averages over all pixels is one choice for all strengths and sizes."""
    from torchvision.transforms.v2 import InterpolationMode
    from torchvision.transforms.v2.functional import resize

    def oracle(x, strength, antialias):
        size = [*x.shape[-2:]]
        small = resize(
            x, [s // strength for s in size], InterpolationMode.BILINEAR, antialias=antialias
        )
        return resize(small, size, InterpolationMode.BILINEAR, antialias=antialias)

    fits = {
        antialias: all(
            torch.allclose(deficits.blur(x, s), oracle(x, s, antialias), atol=1e-5)
            for s in STRENGTHS
            for x in (pictures, pictures.repeat(1, 1, 2, 2), torch.randn(8, 1, 32, 32))
        )
        for antialias in (True, False)
    }
    assert sorted(fits.values()) == [False, True], fits


def test_blur_of_32_pixels_is_the_papers_32_to_8_to_32():
    x = torch.zeros(1, 1, 32, 32)
    x[..., 8:12, 20:24] = 1  # one of the 8 × 8
    small = torch.zeros(1, 1, 8, 8)
    small[..., 2, 5] = 1
    enlarged = torch.nn.functional.interpolate(small, (32, 32), mode="bilinear")
    blurred = deficits.blur(x)
    assert (blurred * enlarged).sum() / (blurred.norm() * enlarged.norm()) > 0.95
    assert blurred.max() < 1


@pytest.mark.parametrize(("size", "strength", "kept"), [(16, 4, 16), (16, 2, 64), (8, 4, 4)])
def test_blur_keeps_as_many_numbers_as_the_shrunken_image_has(size, strength, kept):
    """The rank of blur, seen as a matrix from pixels to pixels."""
    each_pixel = torch.eye(size * size, dtype=torch.float64).reshape(-1, 1, size, size)
    matrix = deficits.blur(each_pixel, strength).reshape(size * size, -1)
    assert torch.linalg.matrix_rank(matrix) == kept
    assert torch.allclose(matrix.sum(0), torch.ones(size * size, dtype=torch.float64))  # averages


def test_blur_leaves_a_constant_image_as_it_is():
    x = torch.full((2, 3, 16, 16), 0.7)
    for strength in STRENGTHS:
        assert torch.allclose(deficits.blur(x, strength), x)


def test_blur_removes_the_finest_detail():
    row = torch.arange(16) % 2 * 2.0 - 1
    for detail in (row.expand(16, 16), row[:, None].expand(16, 16), row * row[:, None]):
        for strength in STRENGTHS:
            assert deficits.blur(detail[None, None], strength).abs().max() < 0.2


def test_blur_about_keeps_the_mean_of_an_image(pictures):
    before, after = pictures.mean((2, 3)), deficits.blur(pictures).mean((2, 3))
    assert (before - after).abs().max() < 0.1


def test_a_second_blur_changes_much_less_than_the_first(pictures):
    once = deficits.blur(pictures)
    assert distance(deficits.blur(once), once) < 0.5 * distance(once, pictures)


def test_a_larger_strength_takes_more_away(pictures):
    lost = [distance(deficits.blur(pictures, s), pictures) for s in STRENGTHS]
    assert 0 < lost[0] < lost[1] < lost[2]
    left = [deficits.blur(pictures, s).std().item() for s in STRENGTHS]
    assert pictures.std() > left[0] > left[1] > left[2]


def test_blur_commutes_with_normalising_and_with_mirroring(pictures):
    assert torch.allclose(
        deficits.blur(3 * pictures + 2), 3 * deficits.blur(pictures) + 2, atol=1e-5
    )
    for axis in (-1, -2):
        mirrored = deficits.blur(pictures.flip(axis))
        assert torch.allclose(mirrored, deficits.blur(pictures).flip(axis), atol=1e-5)


def test_blur_never_mixes_images_or_channels(pictures):
    blurred = deficits.blur(pictures)
    assert torch.allclose(blurred[3:4, 1:2], deficits.blur(pictures[3:4, 1:2]), atol=1e-6)


# Flip ---------------------------------------------------------------------------------------------


def test_flip_is_torchvision_s_vertical_flip_and_undoes_itself(pictures):
    from torchvision.transforms.v2.functional import vertical_flip

    assert torch.equal(deficits.flip(pictures), vertical_flip(pictures))
    assert not torch.equal(deficits.flip(pictures), pictures)
    assert torch.equal(deficits.flip(deficits.flip(pictures)), pictures)


# Permuted labels ----------------------------------------------------------------------------------


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_permuting_gives_every_class_the_label_of_another(classes):
    labels = torch.arange(classes)
    permuted = deficits.permute(labels, classes)
    assert sorted(permuted.tolist()) == labels.tolist()
    assert not (permuted == labels).any()


def test_the_permutation_is_always_the_same_one():
    before = deficits.permutation(10)
    torch.manual_seed(5)
    deficits.permutation.cache_clear()
    assert torch.equal(deficits.permutation(10), before)


def test_permuting_touches_the_labels_alone(pictures):
    labels = torch.arange(64) % 10
    x, y = deficits.see(pictures, labels, "permute", torch.arange(64), seed=3, images=64)
    assert torch.equal(x, pictures)
    assert torch.equal(y, deficits.permutation(10)[labels])
    assert labels.tolist() == [i % 10 for i in range(64)]


# Noise --------------------------------------------------------------------------------------------


def noise(index, seed=0, images=5000):
    index = torch.as_tensor(index)
    x = torch.zeros(len(index), 3, 8, 8)
    return deficits.see(x, torch.zeros(len(index)), "noise", index, seed, images)[0]


def test_noise_belongs_to_the_image_whatever_the_batch():
    order = torch.randperm(5000, generator=torch.Generator().manual_seed(0))
    whole = noise(range(5000))
    for index in order.split(999):
        assert torch.equal(noise(index), whole[index])


def test_noise_is_made_of_the_seed_alone():
    before = noise(range(50))
    torch.manual_seed(1)
    deficits.noise.cache_clear()
    assert torch.equal(noise(range(50)), before)
    assert distance(noise(range(50), seed=1), before) == pytest.approx(2**0.5, abs=0.05)


def test_noise_does_not_depend_on_the_image():
    bright = torch.full((4, 3, 8, 8), 9.0)
    x, _ = deficits.see(bright, torch.zeros(4), "noise", torch.arange(4), 0, 5000)
    assert torch.equal(x, noise(range(4)))


def test_noise_is_standard_normal_and_no_two_patterns_are_alike():
    x = noise(range(5000)).double()
    error = x.numel() ** -0.5
    for power, moment, width in ((1, 0, 1), (2, 1, 2**0.5), (3, 0, 15**0.5), (4, 3, 96**0.5)):
        assert abs(x.pow(power).mean() - moment) < 4 * width * error, power
    flat = x.flatten(1)
    alike = (flat @ flat.T / flat.shape[1]).fill_diagonal_(0).abs().max()
    assert alike < 6.5 * flat.shape[1] ** -0.5


def test_noise_shown_without_an_index_is_that_of_the_first_images():
    x = torch.zeros(7, 3, 8, 8)
    shown, _ = deficits.see(x, torch.zeros(7), "noise", images=5000)
    assert torch.equal(shown, noise(range(7)))


def test_noise_of_an_unknown_set_is_refused():
    with pytest.raises(CplabError, match="images="):
        deficits.see(torch.zeros(2, 3, 8, 8), torch.zeros(2), "noise", torch.arange(2))


# Fresh noise --------------------------------------------------------------------------------------


def fresh(index, epoch, seed=0, images=2000):
    index = torch.as_tensor(index)
    x, y = torch.zeros(len(index), 3, 8, 8), torch.arange(len(index))
    return deficits.see(x, y, "fresh_noise", index, seed, images, epoch)[0]


def test_fresh_noise_is_made_of_seed_and_epoch_whatever_the_batch():
    order = torch.randperm(2000, generator=torch.Generator().manual_seed(0))
    whole = fresh(range(2000), epoch=3)
    torch.manual_seed(1)
    deficits.noise.cache_clear()
    for index in order.split(999):
        assert torch.equal(fresh(index, epoch=3), whole[index])


def test_fresh_noise_is_another_at_each_epoch_and_seed_and_never_the_fixed_one():
    patterns = [fresh(range(50), epoch, seed) for seed in (0, 1, 2) for epoch in (0, 1, 2, 400)]
    patterns += [noise(range(50), seed=seed, images=2000) for seed in (0, 1, 2)]
    for i, one in enumerate(patterns):
        for other in patterns[:i]:
            assert distance(one, other) == pytest.approx(2**0.5, abs=0.05)


def test_fresh_noise_is_standard_normal_over_pixels_and_over_epochs():
    pixels = fresh(range(2000), epoch=5).double()
    epochs = torch.stack([fresh(range(20), epoch, images=20) for epoch in range(300)]).double()
    for x, axis in ((pixels, None), (epochs, 0)):
        count = x.numel() if axis is None else len(x)
        mean, square = x.mean(axis), x.pow(2).mean(axis)
        assert mean.abs().max() < 5.5 * count**-0.5
        assert (square - 1).abs().max() < 7 * (2 / count) ** 0.5


# Stripes ------------------------------------------------------------------------------------------


def grating(size, down, across, phase=0.3):
    """A wave with so many periods downwards and sideways, (1, 1, size, size) in float64."""
    at = torch.arange(size, dtype=torch.float64) * 2 * torch.pi / size
    return torch.cos(down * at[:, None] + across * at[None] + phase)[None, None]


def test_stripes_are_a_fourier_filter_written_out():
    """Each component by its own sum in float64, its factor from the angle of its wave."""
    for size, half_angle in ((8, 22.5), (7, 22.5), (8, 30)):
        x = torch.randn(2, 3, size, size, dtype=torch.float64).numpy()
        place, expected = np.arange(size), np.zeros_like(x)
        for a in place:
            for b in place:
                wave = np.exp(2j * np.pi * (a * place[:, None] + b * place[None]) / size)
                down, across = (min(k, size - k) for k in (a, b))
                tilt = np.degrees(np.arctan2(down, across))  # 0 for the mean too
                fall = np.clip((tilt - half_angle) / half_angle, 0, 1)
                part = (x * wave.conj()).sum((2, 3), keepdims=True) / size**2
                expected += np.cos(np.pi * fall / 2) ** 2 * (part * wave).real
        got = deficits.stripes(torch.as_tensor(x), half_angle)
        assert np.allclose(got, expected, atol=1e-5)


@pytest.mark.parametrize("size", [15, 16, 32])
def test_upright_waves_pass_and_level_and_slanting_ones_do_not(size):
    for k in (1, 2, size // 2):
        upright, level = grating(size, 0, k), grating(size, k, 0)
        assert torch.allclose(deficits.stripes(upright), upright, atol=1e-5)
        assert deficits.stripes(level).abs().max() < 1e-5
    for k in (1, 3, -3):
        assert deficits.stripes(grating(size, k, abs(k))).abs().max() < 1e-5
    slight = grating(size, 1, 4)  # 14 degrees
    assert torch.allclose(deficits.stripes(slight), slight, atol=1e-5)
    half = grating(16, 2, 3)  # 33.7 degrees: half way down
    assert deficits.stripes(half).norm() / half.norm() == pytest.approx(0.5, abs=0.01)


def test_stripes_keep_the_mean_and_are_linear_and_commute_with_mirroring(pictures):
    seen, x = deficits.stripes(pictures), pictures
    assert torch.allclose(seen.mean((2, 3)), x.mean((2, 3)), atol=1e-5)
    assert torch.allclose(deficits.stripes(3 * x + 2), 3 * seen + 2, atol=1e-4)
    assert torch.allclose(deficits.stripes(x + x.roll(1, 0)), seen + seen.roll(1, 0), atol=1e-4)
    for axis in (-1, -2):
        assert torch.allclose(deficits.stripes(x.flip(axis)), seen.flip(axis), atol=1e-4)
        assert torch.allclose(deficits.stripes(x.roll(3, axis)), seen.roll(3, axis), atol=1e-4)
    assert torch.allclose(deficits.stripes(x[3:4, 1:2]), seen[3:4, 1:2], atol=1e-5)


def test_stripes_of_an_image_and_of_the_turned_image_share_nothing(pictures):
    """No component is within 45 degrees of both axes, so the two are at right angles."""
    x = pictures - pictures.mean((2, 3), keepdim=True)
    upright, level = deficits.stripes(x), deficits.stripes(x.mT).mT
    assert (upright * level).sum((2, 3)).abs().max() < 1e-3
    assert 0 < upright.norm() < x.norm()
    changes = [seen.diff(dim=dim).norm() for seen in (upright, level) for dim in (-1, -2)]
    assert changes[0] > 2 * changes[1]
    assert changes[3] > 2 * changes[2]


# Blank --------------------------------------------------------------------------------------------


def test_blank_images_are_the_mean_of_all_and_keep_their_labels(pictures):
    y = torch.arange(64) % 10
    x, labels = deficits.see(pictures, y, "blank")
    assert not x.any()  # images are normalised to mean 0
    assert torch.equal(labels, y)


# All ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("deficit", [*DEFICITS, "blur-2"])
@pytest.mark.parametrize("channels", [1, 3])
def test_shapes_and_formats_are_kept_and_the_input_is_left_alone(deficit, channels):
    x = torch.randn(6, channels, 8, 8).contiguous(memory_format=torch.channels_last)
    y = torch.arange(6)
    before = x.clone(), y.clone()
    seen_x, seen_y = deficits.see(x, y, deficit, torch.arange(6), seed=1, images=6)
    assert (seen_x.shape, seen_x.dtype) == (x.shape, x.dtype)
    assert (seen_y.shape, seen_y.dtype) == (y.shape, y.dtype)
    assert torch.equal(x, before[0])
    assert torch.equal(y, before[1])


def test_none_changes_nothing(pictures):
    x, y = deficits.see(pictures, torch.arange(64), "none")
    assert torch.equal(x, pictures)
    assert torch.equal(y, torch.arange(64))


def test_blur_with_a_strength_is_that_blur(pictures):
    for name, strength in (("blur", 4), ("blur-2", 2), ("blur-8", 8)):
        x, _ = deficits.see(pictures, torch.arange(64), name)
        assert torch.equal(x, deficits.blur(pictures, strength))


@pytest.mark.parametrize("deficit", ["deaf", "", "Blur", "blur-x", "blur-0", None])
def test_an_unknown_deficit_is_refused(deficit):
    with pytest.raises(CplabError) as error:
        deficits.see(torch.zeros(2, 3, 8, 8), torch.zeros(2), deficit)
    assert repr(str(deficit)) in str(error.value)
    assert "blur" in str(error.value)


class OneDevice(TorchDispatchMode):
    """Fails where an operation has tensors of two devices: a copy from one to the other."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        leaves = tree_leaves((args, kwargs, result))
        devices = {t.device for t in leaves if isinstance(t, torch.Tensor)}
        assert len(devices) <= 1, (function, devices)
        return result


@pytest.mark.parametrize("deficit", DEFICITS)
def test_a_step_copies_nothing_to_the_device(deficit):
    """But for the first, which may bring along what later ones keep there."""
    x, y = torch.empty(4, 3, 8, 8, device="meta"), torch.zeros(4, dtype=torch.long, device="meta")
    index = torch.zeros(4, dtype=torch.long, device="meta")
    deficits.see(x, y, deficit, index, 0, 9, 1)
    with OneDevice():
        seen, names = deficits.see(x, y, deficit, index, 0, 9, 1)
    assert (seen.shape, names.shape) == (x.shape, y.shape)
