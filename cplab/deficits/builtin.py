"""The package's deficits. A new one is a function here."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, partial

from cplab.base import palette
from cplab.base.errors import CplabError
from cplab.base.late import F, Tensor, torch
from cplab.deficits.deficit import Batch, deficit, mixed_seed
from cplab.deficits.masks import GRID, MASKS, read_mask


@deficit(label="no deficit")
def none(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Leave images and labels as they are."""
    return x, y


@deficit(colour=palette.BLUE)
def blur(x: Tensor, y: Tensor, strength: int = 4) -> tuple[Tensor, Tensor]:
    """Shrink images by `strength` and enlarge them again, both times bilinearly (the paper's go
    from 32 pixels to 8 and back)."""
    size = x.shape[-2:]
    small = [max(1, round(pixels / strength)) for pixels in size]
    x = F.interpolate(x, size=small, mode="bilinear", align_corners=False, antialias=True)
    return enlarge(x, size), y


def enlarge(x: Tensor, size: Sequence[int]) -> Tensor:
    """Enlarge images (N, C, H, W) bilinearly to a size, (height, width)."""
    from cplab.base import devices

    enlarge_to_size = partial(F.interpolate, size=list(size), mode="bilinear", align_corners=False)
    if not x.is_cuda:
        return enlarge_to_size(x)
    # A GPU takes one image after another, and all at once only if they are the channels of one
    as_one = x.reshape(1, -1, *x.shape[-2:]).contiguous(memory_format=torch.channels_last)
    large = enlarge_to_size(as_one).view(*x.shape[:2], *size)
    return large.contiguous(memory_format=devices.memory_format(x.device))


@deficit(label="blur in squares", colour=palette.BLUE, dash="dotted", marker="cross")
def mosaic(x: Tensor, y: Tensor, side: int = 3) -> tuple[Tensor, Tensor]:
    """Replace each square of `side` × `side` pixels by its mean, which removes all detail within a
    square, and nothing else."""
    images, channels, height, width = x.shape
    means = F.avg_pool2d(x, side, ceil_mode=True)  # a square at the edge may be smaller
    rows, columns = means.shape[-2:]
    squares = means.view(images, channels, rows, 1, columns, 1)
    squares = squares.expand(images, channels, rows, side, columns, side)
    mosaics = squares.reshape(images, channels, rows * side, columns * side)
    return mosaics[..., :height, :width], y


@deficit(label="vertical flip", colour=palette.ORANGE, dash="dashed", marker="triangle")
def flip(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Turn images upside down (figure 2, left)."""
    return x.flip(-2), y


@deficit(label="permuted labels", colour=palette.GREEN, dash="dotdash", marker="square")
def permute(x: Tensor, y: Tensor, *, context: Batch) -> tuple[Tensor, Tensor]:
    """Exchange all labels by one fixed permutation that leaves none in place (figure 2, right)."""
    return x, permutation(context.classes, str(y.device))[y]


@lru_cache
def permutation(classes: int, device: str = "cpu") -> Tensor:
    """The new label of each label, (classes,)."""
    if classes < 2:
        raise CplabError("labels of one class cannot be permuted: give images of two or more")
    generator = torch.Generator().manual_seed(classes)
    while True:
        order = torch.randperm(classes, generator=generator)
        if not (order == torch.arange(classes)).any():
            return order.to(device)


@deficit(colour=palette.PINK, dash="dotted", marker="diamond")
def noise(x: Tensor, y: Tensor, *, context: Batch) -> tuple[Tensor, Tensor]:
    """Replace each image by its own fixed pattern of Gaussian noise (figure 2, bottom)."""
    return noise_for(x, context, context.seed), y


@deficit(label="fresh noise", colour=palette.INDIGO, dash="dashdot", marker="inverted_triangle")
def fresh_noise(x: Tensor, y: Tensor, *, context: Batch) -> tuple[Tensor, Tensor]:
    """Replace each image by Gaussian noise, with a new pattern in each epoch."""
    return noise_for(x, context, mixed_seed(context.seed, context.epoch)), y


def noise_for(x: Tensor, context: Batch, seed: int) -> Tensor:
    """The noise that replaces the images of a batch, (N, C, H, W)."""
    is_small = context.images * x[0].numel() < 1_000_000
    make_patterns = few_patterns if is_small else noise_patterns
    patterns = make_patterns(context.images, tuple(x.shape[1:]), seed, str(x.device))
    return patterns[context.index].to(x.dtype)


@lru_cache(maxsize=2)
def noise_patterns(images: int, shape: tuple[int, ...], seed: int, device: str = "cpu") -> Tensor:
    """Standard Gaussian noise for all training images, (images, *shape), in half precision."""
    generator = torch.Generator().manual_seed(2**40 + seed)
    patterns = torch.empty(images, *shape, dtype=torch.float16)
    for chunk in patterns.split(4096):  # torch draws float32, a chunk at a time to save memory
        chunk.copy_(torch.randn(chunk.shape, generator=generator, dtype=torch.float32))
    return patterns.to(device, memory_format=torch.channels_last)


# The same for small data sets: the patterns of many seeds fit into memory
few_patterns = lru_cache(maxsize=64)(noise_patterns.__wrapped__)


@deficit(label="vertical stripes", colour=palette.SKY, dash="dashed", marker="hex")
def stripes(x: Tensor, y: Tensor, half_angle: float = 22.5) -> tuple[Tensor, Tensor]:
    """Keep only vertical structure, as a kitten reared among stripes sees it (Blakemore and Cooper
    1970).

    Of the Fourier components only the mean stays, and those whose stripes are within `half_angle`
    degrees of the vertical. Over another `half_angle` the filter falls to 0, as a raised cosine.
    """
    factor = upright(*x.shape[-2:], half_angle, str(x.device))
    return torch.fft.irfft2(torch.fft.rfft2(x) * factor, s=x.shape[-2:]), y


@lru_cache
def upright(height: int, width: int, half_angle: float, device: str = "cpu") -> Tensor:
    """The filter of `stripes`: a factor from 0 to 1 for each component of rfft2,
    (height, width // 2 + 1)."""
    down = torch.fft.fftfreq(height, dtype=torch.float32)[:, None]
    across = torch.fft.rfftfreq(width, dtype=torch.float32)[None]
    # An angle of 0 is a component that changes sideways only: its stripes are vertical
    angle = torch.rad2deg(torch.atan2(down.abs(), across))
    beyond = ((angle - half_angle) / half_angle).clamp(0, 1)
    factor = (1 + torch.cos(torch.pi * beyond)) / 2
    factor[0, 0] = 1  # the mean
    return factor.to(device)


@deficit(label="blank images", colour=palette.BROWN, dash="dotdash", marker="star")
def blank(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Replace images by an even grey, the mean of all images.

    In a network without convolutions (fc), hidden weights then have gradient 0. But BatchNorm
    divides by √ε, so that rounding errors grow 316-fold in each layer: after clear epochs such a
    run may diverge.
    """
    return torch.zeros_like(x), y


@deficit(label="cover", colour=palette.VIOLET, dash="dashdot", marker="cross")
def cover(x: Tensor, y: Tensor, mask: str = MASKS["right half"]) -> tuple[Tensor, Tensor]:
    """Cover a part of every image with grey, the mean of all images, like a patch on the lens.

    The part is painted on a grid of GRID × GRID fields (see `mask_name`). A pixel of an image of
    another size takes the nearest field.
    """
    return x.masked_fill(covered_pixels(mask, *x.shape[-2:], str(x.device)), 0), y


@lru_cache
def covered_pixels(mask: str, height: int, width: int, device: str = "cpu") -> Tensor:
    """Which pixels of an image a mask covers, bool (height, width)."""
    grid = torch.tensor(read_mask(mask))  # (GRID, GRID)
    rows = torch.arange(height) * GRID // height
    columns = torch.arange(width) * GRID // width
    return grid[rows][:, columns].to(device)


@deficit(label="strabismus", colour=palette.RED, dash="dashed", marker="plus")
def strabismus(x: Tensor, y: Tensor, *, context: Batch) -> tuple[Tensor, Tensor]:
    """Show another image of the batch, as to an eye that looks elsewhere (Hubel and Wiesel 1965).

    Either eye may be the one that counts, so the label is that of one of the two images, at random.
    """
    chance = noise_for(x[:, :1, :1, :1], context, mixed_seed(context.seed, context.epoch))
    return x.roll(1, 0), torch.where(chance.flatten() > 0, y, y.roll(1))
