"""What is done to the images: deficits as transforms of a batch on its device."""

import hashlib
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from cplab.experiment import DEFICITS, CplabError, split_name


def blur(x: Tensor, strength: int = 4) -> Tensor:
    """Shrink by `strength` and enlarge again, both bilinear (section 'Deep Artificial Neural
    Networks exhibit critical periods': 32 to 8 to 32).

    Arguments: x, images (N, C, H, W), floating point.
    Returns: images of the same shape.
    """
    size = x.shape[-2:]
    small = [max(1, round(s / strength)) for s in size]
    x = F.interpolate(x, size=small, mode="bilinear", align_corners=False, antialias=True)
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)


def flip(x: Tensor) -> Tensor:
    """Images (N, C, H, W) turned upside down (figure 2, left)."""
    return x.flip(-2)


def permute(y: Tensor, classes: int = 10) -> Tensor:
    """Labels (N,) under one fixed permutation of the classes that leaves none in place (figure 2,
    right)."""
    return permutation(classes, str(y.device))[y]


@lru_cache
def permutation(classes: int, device: str = "cpu") -> Tensor:
    """The permutation: new label of each old one, (classes,), on a device."""
    generator = torch.Generator().manual_seed(classes)
    while True:
        order = torch.randperm(classes, generator=generator)
        if classes < 2 or not (order == torch.arange(classes)).any():
            return order.to(device)


@lru_cache(maxsize=2)
def noise(images: int, shape: tuple[int, int, int], seed: int, device: str = "cpu") -> Tensor:
    """One fixed pattern of standard Gaussian noise for each training image (figure 2, bottom).

    Arguments: number of training images, shape (C, H, W) of each, the run's seed.
    Returns: (images, C, H, W) in half precision, channels last.
    """
    generator = torch.Generator().manual_seed(2**40 + seed)
    patterns = torch.empty(images, *shape, dtype=torch.float16)
    for chunk in patterns.split(4096):  # float32 noise of a chunk at a time, to spare memory
        chunk.copy_(torch.randn(chunk.shape, generator=generator))
    return patterns.to(device, memory_format=torch.channels_last)


def seed_of_epoch(seed: int, epoch: int) -> int:
    """The seed of fresh noise: 2**31 or more, as no run's is. torch's generator on a CPU takes no
    more than the low 32 bits of a seed."""
    digest = hashlib.sha256(repr((seed, epoch)).encode()).digest()
    return 2**31 + int.from_bytes(digest[:4], "big") % 2**31


def stripes(x: Tensor, half_angle: float = 22.5) -> Tensor:
    """Only the vertical structure of images (N, C, H, W), as of a kitten reared in a cylinder of
    vertical stripes (Blakemore and Cooper 1970).

    Of each image's Fourier components those are left whose stripes stand within `half_angle`
    degrees of the vertical, and the mean; the filter falls to 0 over another `half_angle`, as a
    raised cosine.
    """
    factor = upright(*x.shape[-2:], half_angle, str(x.device))
    return torch.fft.irfft2(torch.fft.rfft2(x) * factor, s=x.shape[-2:])


@lru_cache
def upright(height: int, width: int, half_angle: float, device: str = "cpu") -> Tensor:
    """The filter: a factor 0 to 1 for each of rfft2's components, (H, W // 2 + 1)."""
    down, across = torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)[None]
    tilt = torch.rad2deg(torch.atan2(down.abs(), across))  # 0: changes sideways, so stands upright
    factor = (1 + torch.cos(torch.pi * ((tilt - half_angle) / half_angle).clamp(0, 1))) / 2
    factor[0, 0] = 1
    return factor.to(device)


def see(
    x: Tensor,
    y: Tensor,
    deficit: str,
    index: Tensor | None = None,
    seed: int = 0,
    images: int = 0,
    epoch: int = 0,
):
    """What a network with this deficit is given in place of (x, y).

    Arguments:
        x: images (N, C, H, W), normalised to mean 0 and deviation 1.
        y: labels (N,).
        deficit: none, blur, blur-S, flip, permute, noise, fresh_noise, stripes or blank (an even
            grey, the mean of all images).
        index: which training images these are, (N,), for noise; 0 to N-1 if not given.
        seed, images: the run's seed and the size of the training set, for noise.
        epoch: for fresh_noise.
    Returns: (images, labels) of the same shapes.
    Raises: CplabError for an unknown deficit.
    """
    kind, strength = split_name("deficit", deficit, DEFICITS, "blur or blur-2")
    if kind == "blur":
        return blur(x, strength or 4), y
    if kind == "flip":
        return flip(x), y
    if kind == "permute":
        return x, permute(y)
    if kind == "stripes":
        return stripes(x), y
    if kind == "blank":
        return torch.zeros_like(x), y
    if kind in ("noise", "fresh_noise"):
        if index is None:
            index, images = torch.arange(len(x), device=x.device), max(images, len(x))
        if images <= 0:
            raise CplabError("noise needs the number of training images: give images=")
        if kind == "fresh_noise":
            seed = seed_of_epoch(seed, epoch)
        patterns = noise(images, tuple(x.shape[1:]), seed, str(x.device))
        return patterns[index].to(x.dtype), y
    return x, y
