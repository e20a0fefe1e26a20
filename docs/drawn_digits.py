"""Draws cplab/digits.png, the outlines of ten digits in 21 typefaces, from matplotlib's fonts.

It was run once, under matplotlib 3.11. The picture is data from then on: cplab/digits.py knows its
digest, and results that were trained on it would be others on another one.
"""

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.font_manager import FontProperties
from matplotlib.path import Path as Outline
from matplotlib.textpath import TextPath
from PIL import Image

from cplab.digits import INK, MASK, SHEET

DEJAVU = "Sans-Bold Sans-BoldOblique Sans-Oblique Sans SansMono-Bold SansMono-BoldOblique "
DEJAVU += "SansMono-Oblique SansMono Serif-Bold Serif-BoldItalic Serif-Italic Serif"
FONTS = [f"DejaVu{style}" for style in DEJAVU.split()]
FONTS += ["STIXGeneral", "STIXGeneralBol", "STIXGeneralBolIta", "STIXGeneralItalic"]
FONTS += ["cmb10", "cmr10", "cmss10", "cmti10", "cmtt10"]


def draw_digit(font: Path, digit: int) -> np.ndarray:
    """Where a digit of a font has ink, bool (MASK, MASK): its longer side is INK points long."""
    path = TextPath((0, 0), str(digit), size=1, prop=FontProperties(fname=str(font)))
    low, high = path.vertices.min(0), path.vertices.max(0)
    across = (np.arange(MASK) + 0.5 - MASK / 2) / INK
    points = np.stack(np.meshgrid(across, -across), -1).reshape(-1, 2)
    ink = np.zeros(MASK * MASK, bool)
    for part in path.to_polygons(closed_only=True):
        outline = Outline((part - (low + high) / 2) / (high - low).max())
        ink ^= outline.contains_points(points)  # so that holes are holes
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
