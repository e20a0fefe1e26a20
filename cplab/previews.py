"""Previews: a few images, clear and under a deficit. Drawn pictures under the usual deficits are in
a file, so that there is something to see where neither torch nor a data set is installed.
"""

import io
import re
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image

from cplab import data
from cplab.deficits import CLASSES, apply_deficit, canonical_name
from cplab.errors import CplabError, whole
from cplab.late import torch
from cplab.specs.profiles import PROFILES

PREVIEW_IMAGES = 200  # that give the mean and the deviation of noise
PICTURES = "pictures"  # drawn ones, as the name of a data set
DRAWN = Path(__file__).with_name("drawn.png")  # eight pictures of 32 pixels for each of ROWS
ROWS = ("none", "blur", "noise", "stripes", "blank")
LIKE = {"permute": "none", "fresh_noise": "noise", "flip": "none"}  # flip turns it upside down


def preview(dataset: str, profile: str, deficit: object, count: int = 3) -> tuple[dict, str]:
    """The first images of a data set as a profile has them, clear and under a deficit, which is
    called as in training: with a whole batch of them, their labels, seed 0 and epoch 0.

    Arguments: dataset, replaced by drawn pictures where its files or torch are missing; profile;
        deficit, a name or a function; count of images.
    Returns: {"clear": uint8 (N, H, W, C), "seen": the same}, and the name of the set. Noise is of
        the same kind as in a run, with another pattern. "seen" is missing for somebody's own
        deficit that is not defined here, and for one that needs torch where there is none.
    """
    name = re.sub(":(left|right)", "", canonical_name(deficit))  # as seen by the eye that has it
    shown = dataset if data.is_here(dataset) and find_spec("torch") else PICTURES
    pixels = few_images(shown, profile)
    rows = {"clear": pixels[:count]}
    if shown == PICTURES and LIKE.get(name, name) in ROWS:
        seen = drawn_pictures(LIKE.get(name, name))[:count]
        return rows | {"seen": seen[:, ::-1] if name == "flip" else seen}, shown
    with suppress(CplabError):  # somebody's own, which is not defined here, or no torch
        rows["seen"] = under_deficit(pixels, first_labels(shown), name, shown, profile)[:count]
    return rows, shown


def under_deficit(
    pixels: np.ndarray, labels: np.ndarray, name: str, dataset: str, profile: str
) -> np.ndarray:
    """Images (N, H, W, C) as a network gets them in the first epoch of a deficit, uint8, from
    their labels (N,) and from what a deficit may know of a batch."""
    mean = pixels.mean((0, 1, 2))
    std = pixels.std((0, 1, 2), ddof=1)
    x = torch.from_numpy(((pixels - mean) / std).transpose(0, 3, 1, 2)).float()
    batch = {
        "index": torch.arange(len(x)),
        "images": max(len(x), PROFILES[profile].train_images),
        "classes": CLASSES if dataset == PICTURES else data.classes(dataset),
    }
    seen, _ = apply_deficit(x, torch.from_numpy(labels[: len(x)]).long(), name, **batch)
    return np.rint(seen.numpy().transpose(0, 2, 3, 1) * std + mean).clip(0, 255).astype(np.uint8)


def set_to_show(dataset: str, deficits: Iterable[object]) -> str:
    """The data set on which deficits can be shown: this one, or the pictures in its place; for a
    deficit of one's own, which may read labels, practice images, which have true ones.

    >>> set_to_show("practice", ["blur"])
    'practice'
    """
    if data.is_here(dataset) or not find_spec("torch"):
        return dataset
    names = [re.sub(":(left|right)", "", canonical_name(deficit)) for deficit in deficits]
    drawn = all(LIKE.get(name, name) in ROWS for name in names)
    return dataset if drawn else "practice"


def pictures(dataset: str, profile: str) -> data.Images:
    """Images to look at: of the data set if its files are here, else practice images, so that
    nobody waits for a download to see a picture.

    >>> pictures("practice", "ci").train_x.shape
    torch.Size([512, 8, 8, 3])
    """
    return data.images(images_at_hand(dataset), profile)


def images_at_hand(dataset: str) -> str:
    """The data set's name if its files are here, else `practice`, as a line then says.

    >>> images_at_hand("practice")
    'practice'
    """
    if data.is_here(data.check_dataset(dataset)):
        return dataset
    print(f"{dataset} is not here: practice images in its place, see `cplab data`.")
    return "practice"


def png(x: ArrayLike, scale: int = 4) -> bytes:
    """Write uint8 images (N, H, W, 1 or 3) side by side as a PNG, each pixel `scale` wide."""
    x = np.asarray(x)
    scale = whole("scale", scale, 1, 100)
    allowed = x.dtype == np.uint8 and x.ndim == 4 and x.size and x.shape[3] in (1, 3)
    if not allowed:
        raise CplabError(
            f"images of {x.dtype} {x.shape} are not allowed: give uint8 (N, H, W, 1 or 3)"
        )
    pixels = np.pad(x, ((0, 0), (0, 0), (0, 1), (0, 0)), constant_values=255)
    strip = np.concatenate(list(pixels), axis=1)[:, :-1]
    strip = strip[..., 0] if strip.shape[2] == 1 else strip
    file = io.BytesIO()
    Image.fromarray(strip.repeat(scale, 0).repeat(scale, 1)).save(file, "png")
    return file.getvalue()


@cache
def drawn_pictures(deficit: str) -> np.ndarray:
    """Eight drawn pictures under one deficit of ROWS, uint8 (8, 32, 32, 3)."""
    rows = np.split(np.asarray(Image.open(DRAWN)), len(ROWS))
    return np.stack(np.split(rows[ROWS.index(deficit)], 8, axis=1))


def shrink(images: np.ndarray, size: int) -> np.ndarray:
    """Square images (…, side, side) averaged down as `data.resize` does it, but without torch.

    >>> shrink(np.array([[[0, 2], [4, 6]]]), 1)
    array([[[3.]]])
    """
    side = images.shape[-1]
    grid, parts = np.arange(side), side * np.arange(size)[:, None]
    inside = ((grid >= parts // size) & (grid * size < parts + side)).astype(float)
    counts = inside.sum(1)
    return np.rint(inside @ images @ inside.T / np.outer(counts, counts))


@cache
def first_images(dataset: str) -> np.ndarray:
    """The first training images of a data set (N, H, W, C), whose file takes a moment to read."""
    x = data.load_arrays(dataset)[0]["train_x"][:PREVIEW_IMAGES].copy()
    return x if x.ndim == 4 else x[..., None]


@cache
def first_labels(dataset: str) -> np.ndarray:
    """The labels of these images (N,). Each drawn picture is of a thing of its own."""
    if dataset == PICTURES:
        return np.arange(len(drawn_pictures("none")))
    return data.load_arrays(dataset)[0]["train_y"][:PREVIEW_IMAGES].astype(np.int64)


@cache
def few_images(dataset: str, profile: str) -> np.ndarray:
    """The first training images as a profile has them (N, H, W, C)."""
    if dataset == PICTURES:
        return drawn_pictures("none")
    x, settings = first_images(dataset), PROFILES[profile]
    border = (32 - x.shape[1]) // 2 if settings.pad else 0
    x = np.pad(x, ((0, 0), (border, border), (border, border), (0, 0)))
    return shrink(x.transpose(0, 3, 1, 2), settings.size).transpose(0, 2, 3, 1).astype(np.uint8)
