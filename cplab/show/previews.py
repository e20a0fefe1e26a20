"""What a deficit does to a few images, for the eye. The package's own are shown without torch, so
that results can be looked at where it is not installed, and a first picture needs no wait for it.
"""

import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cplab import data
from cplab.deficits import apply_deficit, canonical_name
from cplab.errors import CplabError
from cplab.profiles import PROFILES

DRAWN = Path(__file__).with_name("drawn.png")  # eight plain pictures of 32 pixels, in a row
PREVIEW_IMAGES = 200  # images, of which the middle and the spread of noise are taken


def preview(dataset: str, profile: str, deficit: object, count: int = 3) -> tuple[dict, str]:
    """The first images of a set as a profile has them, clear and as a deficit leaves them.

    Arguments: dataset, of which drawn pictures are shown where it is not at hand; profile;
        deficit, a name or a function; count, images.
    Returns: {"clear": uint8 (N, H, W, C), "seen": the same}, and the set that they are of. Noise is
        of the kind that a run would have, another pattern. Of somebody's own that is not defined
        here there is no "seen".
    """
    name = re.sub(":(left|right)", "", canonical_name(deficit))  # as the eye sees that has it
    shown = dataset if dataset == "practice" or data.is_here(dataset) else "drawn"
    few, mean, std = few_images(shown, profile)
    clear, parts = few[:count], [part.partition("-") for part in name.split("+")]
    if all(kind in NUMPY_DEFICITS for kind, _, _ in parts):
        x = (clear - mean) / std
        for kind, _, strength in parts:
            x = NUMPY_DEFICITS[kind](x, int(strength)) if strength else NUMPY_DEFICITS[kind](x)
        seen = np.rint(x * std + mean).clip(0, 255).astype(np.uint8)
        return {"clear": clear, "seen": seen}, shown
    import torch  # for a student's own, or another that is written for it

    x = torch.from_numpy(np.ascontiguousarray(((clear - mean) / std).transpose(0, 3, 1, 2)))
    try:
        tensor, _ = apply_deficit(x.float(), torch.arange(len(x)) % 10, name)
    except CplabError:  # somebody's own, which is not defined here
        return {"clear": clear}, shown
    seen = tensor.numpy().transpose(0, 2, 3, 1) * std + mean
    return {"clear": clear, "seen": np.rint(seen).clip(0, 255).astype(np.uint8)}, shown


@lru_cache(maxsize=4)
def few_images(dataset: str, profile: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images (N, H, W, C), and their mean and deviation (C,)."""
    size = 32 if dataset == "drawn" else PROFILES[profile].size
    if dataset == "drawn":
        x = np.stack(np.split(np.asarray(Image.open(DRAWN)), 8, axis=1))
    elif dataset == "practice":
        x = data.practice_images(np.arange(PREVIEW_IMAGES))[0]
    else:
        x = data.load_arrays(dataset, PREVIEW_IMAGES)[0]["train_x"]
    x = x if x.ndim == 4 else x[..., None]
    border = (32 - x.shape[1]) // 2
    x = np.pad(x, ((0, 0), (border, border), (border, border), (0, 0)))
    x = x.reshape(len(x), size, 32 // size, size, 32 // size, -1).mean((2, 4))
    pixels = np.rint(x).astype(np.uint8)
    return pixels, *data.mean_and_deviation(pixels)


# As in cplab.deficits, on images (N, H, W, C) of mean 0 ------------------------------------------


def blurred(x: np.ndarray, strength: int = 4) -> np.ndarray:
    size, how = (x.shape[2], x.shape[1]), Image.Resampling.BILINEAR
    small = (max(1, round(size[0] / strength)), max(1, round(size[1] / strength)))
    planes = np.moveaxis(x, 3, 1).astype(np.float32)  # (N, C, H, W)
    for at in np.ndindex(planes.shape[:2]):
        planes[at] = np.asarray(Image.fromarray(planes[at]).resize(small, how).resize(size, how))
    return np.moveaxis(planes, 1, 3)


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


NUMPY_DEFICITS: dict[str, Any] = {
    "none": lambda x: x,
    "blur": blurred,
    "flip": lambda x: x[:, ::-1],
    "permute": lambda x: x,
    "noise": noisy,
    "fresh_noise": noisy,
    "stripes": keep_upright,
    "blank": np.zeros_like,
}
