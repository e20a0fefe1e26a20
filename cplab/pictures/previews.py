"""Previews: a few images, clear and under a deficit.

A file has drawn pictures under the usual deficits, so that there is something to see without torch
and without a data set.
"""

import io
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

from cplab.base.errors import CplabError
from cplab.base.late import torch
from cplab.deficits import apply_deficit, canonical_name
from cplab.pictures import data, datasets
from cplab.specs.own import CLASSES
from cplab.specs.profiles import PROFILES

PREVIEW_IMAGES = 200  # images from which mean and deviation are computed
PICTURES = "pictures"  # the name of the drawn pictures as a data set
DRAWN = Path(__file__).with_name("drawn.png")  # eight pictures of 32 pixels for each of DRAWN_ROWS
DRAWN_ROWS = ("none", "blur", "noise", "stripes", "blank")
# The row that shows each deficit. A flip turns the clear row upside down.
ROW_OF_DEFICIT = {name: name for name in DRAWN_ROWS}
ROW_OF_DEFICIT |= {"permute": "none", "flip": "none", "fresh_noise": "noise"}


def preview(
    dataset: str, profile: str, deficit: str | Callable, count: int = 3, epoch: int = 0
) -> tuple[dict[str, np.ndarray], str]:
    """The first images of a data set as a profile has them, clear and under a deficit.

    The deficit is called as in training, with a whole batch of images and seed 0. Noise is of the
    same kind as in a run, but has another pattern.

    Arguments:
        dataset: replaced by drawn pictures if its files or torch are missing.
        profile: its name.
        deficit: a name or a function.
        count: of images.
        epoch: for a deficit that changes.

    Returns:
        {"clear": uint8 (N, H, W, C), "seen": the same}, and the name of the data set. There is no
        "seen" for a student's own deficit that is not defined here, nor for a deficit that needs
        torch if there is none.

    >>> rows, dataset = preview("practice", "ci", "flip", count=2)
    >>> rows["seen"].shape[0]
    2
    """
    name = without_eye(deficit)
    shown = dataset if datasets.is_here(dataset) and find_spec("torch") else PICTURES
    clear = few_images(shown, profile)
    rows = {"clear": clear[:count]}
    if shown == PICTURES and name in ROW_OF_DEFICIT:
        seen = drawn_pictures(ROW_OF_DEFICIT[name])[:count]
        if name == "flip":
            seen = seen[:, ::-1]
        rows["seen"] = seen
        return rows, shown
    with suppress(CplabError):  # the deficit is not defined here, or there is no torch
        seen = under_deficit(clear, first_labels(shown), name, shown, profile, epoch)
        rows["seen"] = seen[:count]
    return rows, shown


def without_eye(deficit: str | Callable) -> str:
    """A deficit's name without the eye that it acts on.

    >>> without_eye("blur:right")
    'blur'
    """
    return re.sub(":(left|right)", "", canonical_name(deficit))


def under_deficit(
    pixels: np.ndarray,
    labels: np.ndarray,
    name: str,
    dataset: str,
    profile: str,
    epoch: int = 0,
) -> np.ndarray:
    """Images as a network sees them in an epoch of a deficit.

    Arguments:
        pixels: uint8 (N, H, W, C).
        labels: (N,).
        name: of the deficit.
        dataset, profile: tell the deficit how many images and classes there are.
        epoch: of the training.

    Returns:
        uint8 (N, H, W, C).
    """
    mean = pixels.mean((0, 1, 2))  # (C,)
    std = pixels.std((0, 1, 2), ddof=1)
    normal = (pixels - mean) / std
    x = torch.from_numpy(normal.transpose(0, 3, 1, 2)).float()  # (N, C, H, W)
    y = torch.from_numpy(labels[: len(x)]).long()
    seen, _ = apply_deficit(
        x,
        y,
        name,
        index=torch.arange(len(x)),
        epoch=epoch,
        images=max(len(x), PROFILES[profile].train_images),
        classes=CLASSES if dataset == PICTURES else data.classes(dataset),
    )
    bright = seen.numpy().transpose(0, 2, 3, 1) * std + mean
    return np.rint(bright).clip(0, 255).astype(np.uint8)


def set_to_show(dataset: str, deficits: Iterable[str | Callable]) -> str:
    """The data set on which deficits can be shown: this one, if its files are here or pictures can
    stand in for it; else practice images. A student's own deficit may read labels, which pictures
    do not have.

    >>> set_to_show("practice", ["blur"])
    'practice'
    """
    if datasets.is_here(dataset) or not find_spec("torch"):
        return dataset
    drawn = all(without_eye(deficit) in ROW_OF_DEFICIT for deficit in deficits)
    return dataset if drawn else "practice"


def pictures(dataset: str, profile: str) -> data.Images:
    """Images to look at: of the data set if its files are here, or else practice images, so that a
    picture never waits for a download.

    >>> pictures("practice", "ci").train_x.shape
    torch.Size([512, 8, 8, 3])
    """
    return data.images(images_at_hand(dataset, profile), profile)


def images_at_hand(dataset: str, profile: str = "course") -> str:
    """The name of a data set if its files are here, or those images that a profile needs; else
    `practice`, and a line says so.

    >>> images_at_hand("practice")
    'practice'
    """
    if datasets.are_here(datasets.check_dataset(dataset), profile):
        return dataset
    remedy = datasets.to_fetch(dataset)
    print(f"{dataset} is not here: practice images in its place, until `{remedy}`.")
    return "practice"


def png(x: np.ndarray) -> bytes:
    """Write uint8 images (N, H, W, 1 or 3) side by side as a PNG, a white pixel apart.

    >>> png(np.zeros((2, 8, 8, 1), np.uint8))[1:4]
    b'PNG'
    """
    pixels = np.pad(x, ((0, 0), (0, 0), (0, 1), (0, 0)), constant_values=255)  # a white gap
    strip = np.concatenate(list(pixels), axis=1)[:, :-1]  # (H, all widths, C)
    if strip.shape[2] == 1:
        strip = strip[..., 0]
    file = io.BytesIO()
    Image.fromarray(strip).save(file, "png")
    return file.getvalue()


@cache
def drawn_pictures(deficit: str) -> np.ndarray:
    """Eight drawn pictures under one deficit of DRAWN_ROWS, uint8 (8, 32, 32, 3)."""
    rows = np.split(np.asarray(Image.open(DRAWN)), len(DRAWN_ROWS))
    row = rows[DRAWN_ROWS.index(deficit)]  # (32, 8 · 32, 3)
    return np.stack(np.split(row, 8, axis=1))


def downsample(images: np.ndarray, size: int) -> np.ndarray:
    """Shrink square images (…, side, side) by averaging, as `data.resize` does, but without torch.

    >>> downsample(np.array([[[0, 2], [4, 6]]]), 1)
    array([[[3.]]])
    """
    side = images.shape[-1]
    column = np.arange(side)  # of old pixels
    # A new pixel reaches over side / size old ones. To stay with whole numbers, its ends are given
    # times size, (size, 1).
    begin = side * np.arange(size)[:, None]
    end = begin + side
    is_part = (column >= begin // size) & (column * size < end)  # (size, side)
    parts = is_part.astype(float)
    counts = parts.sum(1)  # old pixels in a new one, (size,)
    return np.rint(parts @ images @ parts.T / np.outer(counts, counts))


@cache
def first_images(dataset: str) -> tuple[np.ndarray, np.ndarray]:
    """The first training images of a data set, (N, H, W, C), and their labels, (N,). Reading its
    file takes a moment."""
    arrays, _ = datasets.load_arrays(dataset)
    x = arrays.train_x[:PREVIEW_IMAGES].copy()
    y = arrays.train_y[:PREVIEW_IMAGES].astype(np.int64)
    return x if x.ndim == 4 else x[..., None], y


def first_labels(dataset: str) -> np.ndarray:
    """The labels of the first training images, (N,). Each drawn picture is a class of its own."""
    if dataset == PICTURES:
        return np.arange(len(drawn_pictures("none")))
    _, y = first_images(dataset)
    return y


@cache
def few_images(dataset: str, profile: str) -> np.ndarray:
    """The first training images of a data set as a profile has them, (N, H, W, C)."""
    if dataset == PICTURES:
        return drawn_pictures("none")
    x, _ = first_images(dataset)
    settings = PROFILES[profile]
    if settings.pad:  # to 32 pixels
        border = (32 - x.shape[1]) // 2
        x = np.pad(x, ((0, 0), (border, border), (border, border), (0, 0)))
    small = downsample(x.transpose(0, 3, 1, 2), settings.size)  # (N, C, H, W)
    return small.transpose(0, 2, 3, 1).astype(np.uint8)
