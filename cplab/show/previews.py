"""What a deficit does to a few images, for the eye. The package's own are shown without torch, so
that results can be looked at where it is not installed, and a first picture needs no wait for it.
"""

from functools import lru_cache
from typing import Any

import numpy as np

from cplab import data
from cplab.deficits import PART, canonical_name
from cplab.profiles import PROFILES

FEW = 200  # images, of which the middle and the spread of noise are taken


def preview(dataset: str, profile: str, deficit: object, count: int = 3) -> tuple[dict, str]:
    """The first images of a set as a profile has them, clear and as a deficit leaves them.

    Arguments: dataset, of which practice images are shown where it is not at hand; profile;
        deficit, a name or a function; count, images.
    Returns: {"clear": uint8 (N, H, W, C), "seen": the same}, and the set that they are of. Noise is
        of the kind that a run would have, another pattern.
    """
    name = canonical_name(deficit)
    shown = dataset if data.is_here(dataset) else "practice"
    clear, mean, std = few_images(shown, profile)
    parts = [PART.fullmatch(part) for part in name.split("+")]
    if not all(part and part[1] in SEEN and not part[4] for part in parts):
        return {"clear": clear[:count], "seen": by_torch(shown, profile, name, count)}, shown
    seen = (clear[:count] - mean) / std
    for part in parts:
        strength = [int(part[3])] if part and part[3] else []
        seen = SEEN[part[1]](seen, *strength) if part else seen
    pixels = np.rint(seen * std + mean).clip(0, 255).astype(np.uint8)
    return {"clear": clear[:count], "seen": pixels}, shown


@lru_cache(maxsize=4)
def few_images(dataset: str, profile: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images (N, H, W, C), and their mean and deviation (C,)."""
    size = PROFILES[profile].size
    if dataset == "practice":
        x = data.practice_images(np.arange(FEW))[0]
    else:
        x = data.load_arrays(dataset, FEW)[0]["train_x"]
    x = x if x.ndim == 4 else x[..., None]
    border = (32 - x.shape[1]) // 2
    x = np.pad(x, ((0, 0), (border, border), (border, border), (0, 0)))
    x = x.reshape(len(x), size, 32 // size, size, 32 // size, -1).mean((2, 4))
    pixels = np.rint(x).astype(np.uint8)
    return pixels, *data.mean_and_deviation(pixels)


def by_torch(dataset: str, profile: str, name: str, count: int) -> np.ndarray:
    """What is left of images by a student's own deficit, or another that is written for torch."""
    from cplab.deficits import apply_deficit
    from cplab.show.pictures import to_pixels

    images = data.images(dataset, profile)
    x = images.normal(images.train_x[:count])
    return to_pixels(apply_deficit(x, images.train_y[:count], name)[0], images).numpy()


# As in cplab.deficits, on images (N, H, W, C) of mean 0 ------------------------------------------


def blurred(x: np.ndarray, strength: int = 4) -> np.ndarray:
    for axis in (1, 2):
        size = x.shape[axis]
        small = max(1, round(size / strength))
        both = bilinear(size, small) @ bilinear(small, size)
        x = np.moveaxis(np.tensordot(both, x, (1, axis)), 0, axis)
    return x


def bilinear(new: int, old: int) -> np.ndarray:
    """The share of each old pixel of a line in each new one (new, old): a triangle as wide as a new
    pixel or, where these are the smaller, an old one."""
    scale = old / new
    centre = (np.arange(new)[:, None] + 0.5) * scale
    share = np.maximum(0, 1 - abs(np.arange(old) + 0.5 - centre) / max(scale, 1))
    return share / share.sum(1, keepdims=True)


def keep_upright(x: np.ndarray, half_angle: float = 22.5) -> np.ndarray:
    height, width = x.shape[1:3]
    down, across = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    tilt = np.degrees(np.arctan2(abs(down), across))
    factor = (1 + np.cos(np.pi * ((tilt - half_angle) / half_angle).clip(0, 1))) / 2
    factor[0, 0] = 1
    waves = np.fft.rfft2(x, axes=(1, 2)) * factor[..., None]
    return np.fft.irfft2(waves, s=(height, width), axes=(1, 2))


def noisy(x: np.ndarray) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(x.shape)


SEEN: dict[str, Any] = {
    "none": lambda x: x,
    "blur": blurred,
    "flip": lambda x: x[:, ::-1],
    "permute": lambda x: x,
    "noise": noisy,
    "fresh_noise": noisy,
    "stripes": keep_upright,
    "blank": np.zeros_like,
}
