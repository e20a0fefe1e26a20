"""The practice set: images that are computed, for machines without data."""

from functools import lru_cache

import numpy as np

from cplab.pictures.arrays import Arrays

TRAIN = 10_000  # images
TEST = 2_000
SIDE = 32  # pixels a side
LAYOUTS = 5  # of colours; with one of two gratings each is a class
AT_ONCE = 500  # images that are computed together: few, to save memory


@lru_cache(maxsize=1)
def practice() -> Arrays:
    """Compute the practice set, which is always the same.

    A class has one of five coarse layouts of colours, visible at any resolution, and one of two
    orientations of a fine grating, which blur destroys.
    """
    rng = np.random.default_rng(0)
    count = TRAIN + TEST
    labels = rng.integers(0, 2 * LAYOUTS, count)
    layout = labels // 2  # of each image, (count,)
    orientation = labels % 2
    colours = rng.standard_normal((LAYOUTS, 4, 4, 3)).astype(np.float32)
    blobs = colours[layout] * 0.5 + rng.standard_normal((count, 4, 4, 3), dtype=np.float32)
    tilt = rng.normal(0, 0.12, (count, 1, 1))
    angle = np.pi * (0.25 + 0.5 * orientation[:, None, None] + tilt)  # radians
    frequency = 2 * np.pi / rng.uniform(4.0, 6.0, (count, 1, 1))  # radians a pixel
    phase = rng.uniform(0, 2 * np.pi, (count, 1, 1))
    grating_colour = rng.standard_normal((count, 1, 1, 3), dtype=np.float32)
    pixel = np.arange(SIDE)
    x = np.empty((count, SIDE, SIDE, 3), np.uint8)
    for first in range(0, count, AT_ONCE):
        part = slice(first, first + AT_ONCE)
        # How far each pixel lies along the grating, (AT_ONCE, SIDE, SIDE)
        distance = np.cos(angle[part]) * pixel[:, None] + np.sin(angle[part]) * pixel
        grating = np.sin(distance * frequency[part] + phase[part]).astype(np.float32)
        picture = blobs[part].repeat(8, 1).repeat(8, 2)  # (AT_ONCE, SIDE, SIDE, 3)
        picture += 0.8 * grating[..., None] * grating_colour[part]
        picture += 0.5 * rng.standard_normal((AT_ONCE, SIDE, SIDE, 3), dtype=np.float32)
        x[part] = np.clip(128 + 40 * picture, 0, 255)
    y = labels.astype(np.uint8)
    return Arrays(x[:TRAIN], y[:TRAIN], x[TRAIN:], y[TRAIN:])
