"""Eight small drawn pictures, for the eye, where photographs are not at hand or may not be shown.

Each is a few plain shapes, so that one knows it upside down and blurred.
"""

from functools import cache

import numpy as np
from PIL import Image, ImageDraw

FINE = 8  # each pixel is drawn as so many by so many, and averaged

# Shapes in a square of 32: kind, colour, corners. A line has its width before its corners.
SKY, GRASS, SEA, SAND = "#9CC9EE", "#6FA54A", "#2F6FA8", "#D9C08A"
PICTURES: dict[str, list] = {
    "face": [
        ("box", "#3E5C76", (0, 0, 32, 32)),
        ("oval", "#5A3A1E", (6, 2, 26, 22)),
        ("oval", "#F0C49A", (7, 5, 25, 29)),
        ("oval", "#FFFFFF", (10, 12, 15, 16)),
        ("oval", "#FFFFFF", (17, 12, 22, 16)),
        ("oval", "#222222", (11.5, 12.5, 14, 16)),
        ("oval", "#222222", (18.5, 12.5, 21, 16)),
        ("shape", "#D79B6E", (16, 15, 14, 20, 18, 20)),
        ("oval", "#B23A3A", (11, 21.5, 21, 26)),
        ("box", "#F0C49A", (10, 20, 22, 23)),
    ],
    "house": [
        ("box", SKY, (0, 0, 32, 32)),
        ("box", GRASS, (0, 26, 32, 32)),
        ("box", "#7A4A35", (21, 3, 25, 12)),
        ("shape", "#B5402E", (2, 15, 16, 3, 30, 15)),
        ("box", "#F2E3C2", (5, 15, 27, 28)),
        ("box", "#6B4226", (14, 19, 19, 28)),
        ("box", "#4B86B4", (7, 17, 12, 22)),
        ("box", "#4B86B4", (21, 17, 25, 22)),
    ],
    "tree": [
        ("box", "#CFE6F5", (0, 0, 32, 32)),
        ("box", "#8DB255", (0, 27, 32, 32)),
        ("box", "#6B4A2B", (14, 17, 18, 29)),
        ("oval", "#2E6B34", (3, 8, 18, 21)),
        ("oval", "#357A3C", (13, 7, 29, 21)),
        ("oval", "#43904A", (8, 1, 24, 16)),
    ],
    "boat": [
        ("box", "#F6D9A8", (0, 0, 32, 20)),
        ("box", SEA, (0, 20, 32, 32)),
        ("shape", "#8B2E2E", (3, 20, 29, 20, 24, 27, 8, 27)),
        ("box", "#4A3423", (15, 3, 16.5, 20)),
        ("shape", "#FFFFFF", (17.5, 3, 28, 18, 17.5, 18)),
        ("shape", "#E2E2E2", (14, 6, 14, 18, 5, 18)),
    ],
    "car": [
        ("box", "#DDE6EA", (0, 0, 32, 32)),
        ("box", "#6E6E6E", (0, 24, 32, 32)),
        ("shape", "#C62828", (7, 15, 11, 8, 22, 8, 27, 15)),
        ("shape", "#BFE0F2", (9.5, 14.5, 12, 10, 16, 10, 16, 14.5)),
        ("shape", "#BFE0F2", (17.5, 14.5, 17.5, 10, 21, 10, 24, 14.5)),
        ("box", "#C62828", (2, 15, 30, 23)),
        ("oval", "#1E1E1E", (5, 19, 13, 27)),
        ("oval", "#1E1E1E", (19, 19, 27, 27)),
        ("oval", "#C8C8C8", (7.5, 21.5, 10.5, 24.5)),
        ("oval", "#C8C8C8", (21.5, 21.5, 24.5, 24.5)),
    ],
    "cat": [
        ("box", "#B7D3B0", (0, 0, 32, 32)),
        ("shape", "#E08A2E", (5, 2, 14, 9, 6, 16)),
        ("shape", "#E08A2E", (27, 2, 18, 9, 26, 16)),
        ("shape", "#F4C6B0", (7, 5, 12, 9, 8, 12)),
        ("shape", "#F4C6B0", (25, 5, 20, 9, 24, 12)),
        ("oval", "#E08A2E", (4, 7, 28, 29)),
        ("oval", "#F3E9A9", (8, 13, 14, 18)),
        ("oval", "#F3E9A9", (18, 13, 24, 18)),
        ("oval", "#1B1B1B", (10, 12.5, 12, 18.5)),
        ("oval", "#1B1B1B", (20, 12.5, 22, 18.5)),
        ("oval", "#FFF3E3", (10, 18.5, 22, 27)),
        ("shape", "#C2576A", (14, 19, 18, 19, 16, 22)),
        ("line", "#4A2C12", (0.8, 1, 20, 11, 21.5)),
        ("line", "#4A2C12", (0.8, 31, 20, 21, 21.5)),
        ("line", "#4A2C12", (0.8, 2, 25, 11, 23)),
        ("line", "#4A2C12", (0.8, 30, 25, 21, 23)),
    ],
    "horse": [
        ("box", "#D4E7F2", (0, 0, 32, 32)),
        ("box", "#9FB36B", (0, 26, 32, 32)),
        ("oval", "#7A4B2A", (5, 11, 24, 21)),
        ("shape", "#7A4B2A", (18, 14, 22, 3, 26, 4, 24, 17)),
        ("shape", "#7A4B2A", (22, 2, 31, 8, 30, 11, 23, 9)),
        ("box", "#7A4B2A", (7, 18, 9.5, 29)),
        ("box", "#6A3F22", (11, 18, 13, 29)),
        ("box", "#7A4B2A", (18, 18, 20.5, 29)),
        ("box", "#6A3F22", (21.5, 17, 23.5, 29)),
        ("shape", "#2B1A0E", (22, 1, 24, 3, 18, 15, 16, 13)),
        ("line", "#2B1A0E", (2.5, 6, 13, 2.5, 22)),
    ],
    "flower": [
        ("box", "#E7EEDC", (0, 0, 32, 32)),
        ("line", "#3D7A3A", (2, 16, 16, 16, 32)),
        ("oval", "#3D7A3A", (16, 23, 26, 28)),
        ("oval", "#3D7A3A", (6, 25, 16, 30)),
        ("oval", "#D6457B", (11.5, 1, 20.5, 11)),
        ("oval", "#D6457B", (18, 5, 28, 14)),
        ("oval", "#D6457B", (4, 5, 14, 14)),
        ("oval", "#D6457B", (6.5, 11, 16, 21)),
        ("oval", "#D6457B", (16, 11, 25.5, 21)),
        ("oval", "#F2C230", (12, 7, 20, 15)),
    ],
}


@cache
def drawn_pictures(size: int = 32) -> np.ndarray:
    """All of them as uint8 images (8, size, size, 3).

    >>> drawn_pictures(16).shape
    (8, 16, 16, 3)
    """
    return np.stack([draw(shapes, size) for shapes in PICTURES.values()])


def draw(shapes: list, size: int) -> np.ndarray:
    """One picture, (size, size, 3)."""
    image = Image.new("RGB", (32 * FINE, 32 * FINE))
    pen = ImageDraw.Draw(image)
    for kind, colour, numbers in shapes:
        if kind == "line":
            width, *ends = (FINE * number for number in numbers)
            pen.line(ends, colour, round(width))
        else:
            places = [FINE * number for number in numbers]
            {"box": pen.rectangle, "oval": pen.ellipse, "shape": pen.polygon}[kind](places, colour)
    return np.asarray(image.resize((size, size), Image.Resampling.BOX))
