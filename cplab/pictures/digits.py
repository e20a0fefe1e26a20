"""Drawn digits: those of 21 typefaces, turned, sheared, stretched and shifted at random.

The digits of the typefaces are a picture beside this file, digits.png; digits.txt names their
authors. Nothing else decides a pixel, neither a library's fonts nor a library's random numbers. So
the digits are the same on every machine.
"""

import math
import random
from functools import lru_cache
from pathlib import Path
from statistics import NormalDist

import numpy as np

from cplab.pictures.arrays import Arrays

SHEET = Path(__file__).with_name("digits.png")
TRAIN = 6_000  # images
TEST = 1_000
SIDE = 28  # pixels a side
FINE = 2  # points a side in each pixel, whose mean is its grey; `draw_changed` adds two and two
TURN = 0.2  # standard deviation, radians
SHEAR = 0.2  # standard deviation of a slope
SHIFT = 0.08  # standard deviation of twice a shift, parts of half the image
NARROWEST = 0.7  # the least stretch, of width and height alike
WIDEST = 1.1  # the greatest
HEIGHT = 0.75  # of a digit before it is stretched, as a part of the image's
INK = 96  # points of a digit's longer side in its mask
MASK = 100  # points a side of a mask
GREYS = (np.arange(FINE**2 + 1) * 255 // FINE**2).astype(np.uint8)  # by points with ink
AT_ONCE = 16  # images whose points are computed together: few, so that memory is used again
ONE = 4096  # places are whole numbers of 1 / ONE points, so that no machine rounds differently


@lru_cache(maxsize=1)
def masks() -> np.ndarray:
    """Where each digit of each typeface has ink: 0 and 1, uint8 (typefaces, 10, MASK, MASK). Edges
    have none."""
    from PIL import Image

    with Image.open(SHEET) as picture:
        sheet = np.asarray(picture, np.uint8)  # (typefaces · MASK, 10 · MASK)
    return sheet.reshape(-1, MASK, 10, MASK).swapaxes(1, 2).copy()


def deviate(rng: random.Random) -> float:
    """Draw a standard normal number, within about three deviations."""
    return NormalDist().inv_cdf(0.001 + 0.998 * rng.random())


def stretch(rng: random.Random) -> float:
    """Draw a factor from NARROWEST to WIDEST."""
    return NARROWEST + (WIDEST - NARROWEST) * rng.random()


def draw_change(rng: random.Random) -> list[tuple[int, int, int]]:
    """Draw how a digit is changed.

    Returns:
        the map from a point of the image, in halves of a point from the middle, to a point of the
        mask, in parts of 1 / ONE: for the mask's column, and then for its row, the factor of the
        image's column, that of its row, and a constant.
    """
    turn = TURN * deviate(rng)
    shear = SHEAR * deviate(rng)
    right = SHIFT / 2 * deviate(rng)
    down = SHIFT / 2 * deviate(rng)
    wide = stretch(rng)
    high = stretch(rng)
    cos = math.cos(turn)
    sin = math.sin(turn)
    # From the mask to the image: (a b; c d), and back: (d −b; −c a) / (ad − bc)
    a = HEIGHT * cos * wide
    b = HEIGHT * (cos * shear - sin * high)
    c = HEIGHT * sin * wide
    d = HEIGHT * (sin * shear + cos * high)
    area = a * d - b * c
    change = []
    for column, row in ((d / area, -b / area), (-c / area, a / area)):
        middle = 0.5 * MASK / INK - column * right - row * down
        numbers = column / (2 * SIDE * FINE), row / (2 * SIDE * FINE), middle
        column_factor, row_factor, constant = (round(ONE * INK * number) for number in numbers)
        change.append((column_factor, row_factor, constant))
    return change


def draw(count: int, seed: object) -> tuple[np.ndarray, np.ndarray]:
    """Draw digits.

    Arguments:
        count: how many.
        seed: decides all of them.

    Returns:
        images, uint8 (count, SIDE, SIDE), white on black, and labels, uint8 (count,).

    >>> images, labels = draw(3, seed=0)
    >>> images.shape, labels.tolist() == draw(3, seed=0)[1].tolist()
    ((3, 28, 28), True)
    """
    rng = random.Random(f"drawn digits {seed}")  # gives the same numbers in every Python
    typefaces = len(masks())
    faces = np.empty(count, np.int32)
    labels = np.empty(count, np.uint8)
    changes = np.empty((count, 2, 3), np.int32)
    for number in range(count):
        faces[number] = int(typefaces * rng.random())
        labels[number] = int(10 * rng.random())
        changes[number] = draw_change(rng)
    images = np.empty((count, SIDE, SIDE), np.uint8)
    for first in range(0, count, AT_ONCE):
        part = slice(first, first + AT_ONCE)
        images[part] = draw_changed(10 * faces[part] + labels[part], changes[part])
    return images, labels


def draw_changed(digits: np.ndarray, changes: np.ndarray) -> np.ndarray:
    """Draw digits that are changed.

    Arguments:
        digits: int32 (N,), their places among all masks.
        changes: int32 (N, 2, 3), as of `draw_change`.

    Returns:
        images, uint8 (N, SIDE, SIDE).
    """
    halves = 2 * np.arange(SIDE * FINE, dtype=np.int32) - SIDE * FINE + 1  # of a point, from 0
    column_factor, row_factor, constant = changes[..., None].transpose(2, 1, 0, 3)  # (2, N, 1) each
    rows = row_factor * halves + constant  # (2, N, rows)
    # The column and the row of the mask that each point of the image shows: (2, N, rows, columns)
    places = (column_factor * halves)[:, :, None, :] + rows[..., None]
    places //= ONE
    places.clip(0, MASK - 1, out=places)
    column, row = places
    mask = digits[:, None, None]
    points = masks().ravel().take((mask * MASK + row) * MASK + column)  # (N, rows, columns)
    pairs = points[:, ::2] + points[:, 1::2]
    inked = pairs[..., ::2] + pairs[..., 1::2]  # points with ink of each pixel
    return GREYS.take(inked)


@lru_cache(maxsize=1)
def drawn() -> Arrays:
    """The data set `drawn`."""
    train_x, train_y = draw(TRAIN, "train")
    test_x, test_y = draw(TEST, "test")
    return Arrays(train_x, train_y, test_x, test_y)
