"""Digits drawn by rule: outlines of the typefaces that matplotlib brings, turned, sheared,
stretched and shifted. No download, and the same pixels in every process."""

import math
import random
from functools import lru_cache
from pathlib import Path
from statistics import NormalDist

import numpy as np

TRAIN, TEST = 6_000, 1_000  # images
SIDE, FINE = 28, 2  # pixels a side; points a side in each pixel, whose mean is its grey
TURN, SHEAR, SHIFT = 0.2, 0.2, 0.08  # deviations: radians, a slope, parts of half the image
STRETCH = 0.7, 1.1  # the narrowest and the widest, and so the lowest and the highest
HEIGHT = 0.75  # of an unstretched digit, as a part of the image
INK, MASK = 96, 100  # points of a digit's longer side, and a side of its mask
ONE = 4096  # all is counted in whole parts of 1 / ONE, so that no machine rounds differently
NO_DIGITS = ("Siz", "NonUni", "cmex", "cmsy", "cmmi", "Display", "LastResort")


@lru_cache(maxsize=1)
def masks() -> np.ndarray:
    """Where each digit of each typeface of matplotlib's has ink, (typefaces, 10, MASK, MASK) of 0
    and 1; none at the edges."""
    import matplotlib
    from matplotlib.font_manager import FontProperties
    from matplotlib.path import Path as Outline
    from matplotlib.textpath import TextPath

    at = (np.arange(MASK) + 0.5 - MASK / 2) / INK
    points = np.stack(np.meshgrid(at, -at), -1).reshape(-1, 2)
    files = sorted(Path(matplotlib.get_data_path(), "fonts/ttf").glob("*.ttf"))
    files = [file for file in files if not any(word in file.name for word in NO_DIGITS)]
    ink = np.zeros((len(files), 10, MASK * MASK), np.uint8)
    for face, file in enumerate(files):
        for digit in range(10):
            path = TextPath((0, 0), str(digit), size=1, prop=FontProperties(fname=str(file)))
            low, high = path.vertices.min(0), path.vertices.max(0)
            for part in path.to_polygons(closed_only=True):
                outline = Outline((part - (low + high) / 2) / (high - low).max())
                ink[face, digit] ^= outline.contains_points(points)  # so that holes are holes
    return ink.reshape(len(files), 10, MASK, MASK)


def change(rng: random.Random) -> np.ndarray:
    """Draw how one digit is changed: from halves of a point of the image to parts of a point of the
    mask, int32 (column or row, (factor of the column, of the row, constant))."""
    turn, shear, right, down = (
        deviation * NormalDist().inv_cdf(0.001 + 0.998 * rng.random())
        for deviation in (TURN, SHEAR, SHIFT / 2, SHIFT / 2)
    )
    wide, high = (STRETCH[0] + (STRETCH[1] - STRETCH[0]) * rng.random() for _ in range(2))
    cos, sin = math.cos(turn), math.sin(turn)
    out = np.array([[cos * wide, cos * shear - sin * high], [sin * wide, sin * shear + cos * high]])
    back = np.linalg.inv(HEIGHT * out)
    first = back @ [-right, -down] + 0.5 * MASK / INK
    parts = ONE * INK * np.column_stack([back / (2 * SIDE * FINE), first])
    return np.rint(parts).astype(np.int32)


def draw(count: int, seed: object) -> tuple[np.ndarray, np.ndarray]:
    """Draw digits by a seed: images, uint8 (count, SIDE, SIDE), white on black, and labels, uint8
    (count,).

    >>> images, labels = draw(3, seed=0)
    >>> images.shape, labels.tolist() == draw(3, seed=0)[1].tolist()
    ((3, 28, 28), True)
    """
    rng, ink = random.Random(f"drawn digits {seed}"), masks()  # numpy's draws may change
    at = 2 * np.arange(SIDE * FINE, dtype=np.int32) - SIDE * FINE + 1  # halves of a point
    images = np.empty((count, SIDE, SIDE), np.uint8)
    labels = np.empty(count, np.uint8)
    for number in range(count):
        face, label = int(len(ink) * rng.random()), int(10 * rng.random())
        column, row = (
            ((across * at + (down * at + first)[:, None]) // ONE).clip(0, MASK - 1)
            for across, down, first in change(rng)
        )
        seen = ink[face, label].take(row * MASK + column)
        images[number] = seen.reshape(SIDE, FINE, SIDE, FINE).sum((1, 3)) * 255 // FINE**2
        labels[number] = label
    return images, labels


@lru_cache(maxsize=1)
def drawn() -> dict[str, np.ndarray]:
    """The data set `drawn`: train_x, train_y, test_x and test_y."""
    (train_x, train_y), (test_x, test_y) = draw(TRAIN, "train"), draw(TEST, "test")
    return {"train_x": train_x, "train_y": train_y, "test_x": test_x, "test_y": test_y}
