"""Draws digits.png of cplab/pictures, the outlines of ten digits in 21 typefaces, from matplotlib's
fonts.

It was run once, under matplotlib 3.11. The picture is data from then on: cplab/pictures/digits.py
knows its digest, and results that were trained on it would be others on another one.
"""

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.font_manager import FontProperties
from matplotlib.path import Path as Outline
from matplotlib.textpath import TextPath
from PIL import Image

from cplab.pictures.digits import INK, MASK, SHEET

FONTS = [  # files of matplotlib's, without their suffix
    "DejaVuSans-Bold",
    "DejaVuSans-BoldOblique",
    "DejaVuSans-Oblique",
    "DejaVuSans",
    "DejaVuSansMono-Bold",
    "DejaVuSansMono-BoldOblique",
    "DejaVuSansMono-Oblique",
    "DejaVuSansMono",
    "DejaVuSerif-Bold",
    "DejaVuSerif-BoldItalic",
    "DejaVuSerif-Italic",
    "DejaVuSerif",
    "STIXGeneral",
    "STIXGeneralBol",
    "STIXGeneralBolIta",
    "STIXGeneralItalic",
    "cmb10",
    "cmr10",
    "cmss10",
    "cmti10",
    "cmtt10",
]


def draw_digit(font: Path, digit: int) -> np.ndarray:
    """Where a digit of a font has ink, bool (MASK, MASK): its longer side is INK points long."""
    path = TextPath((0, 0), str(digit), size=1, prop=FontProperties(fname=str(font)))
    low = path.vertices.min(0)  # (2,), the corner at the bottom left
    high = path.vertices.max(0)  # that at the top right
    middle = (low + high) / 2
    longer_side = (high - low).max()
    across = (np.arange(MASK) + 0.5 - MASK / 2) / INK  # (MASK,), in longer sides from the middle
    points = np.stack(np.meshgrid(across, -across), -1).reshape(-1, 2)  # (MASK², 2)
    ink = np.zeros(MASK * MASK, bool)
    for part in path.to_polygons(closed_only=True):
        outline = Outline((part - middle) / longer_side)
        ink ^= outline.contains_points(points)  # an outline inside another one makes a hole
    return ink.reshape(MASK, MASK)


def draw_sheet() -> np.ndarray:
    """The whole picture, bool (typefaces · MASK, 10 · MASK)."""
    folder = Path(matplotlib.get_data_path(), "fonts/ttf")
    rows = []
    for font in FONTS:
        rows.append(np.hstack([draw_digit(folder / f"{font}.ttf", digit) for digit in range(10)]))
    return np.vstack(rows)


if __name__ == "__main__":
    Image.fromarray(draw_sheet()).save(SHEET, optimize=True)
