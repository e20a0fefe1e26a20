"""Masks: which fields of a grid a cover hides, and their names."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from cplab.base.errors import CplabError

GRID = 12  # fields a side of a mask; a row is three hexadecimal digits of its name
# Masks that have a name, row by row from above; a bit that is set is a field that is covered
MASKS = {
    "right half": "03f" * 12,
    "frame": "fff" * 2 + "c03" * 8 + "fff" * 2,
    "centre": "000" * 3 + "1f8" * 6 + "000" * 3,
    "stripes": "ccc" * 12,
}
MASK_DIGITS = GRID * GRID // 4  # hexadecimal, of a mask


def read_mask(mask: str) -> list[list[bool]]:
    """Read which fields a mask covers, GRID rows of GRID, from the digits after `cover-`."""
    bits = f"{int(mask, 16):0{GRID * GRID}b}"
    rows = []
    for start in range(0, GRID * GRID, GRID):
        rows.append([bit == "1" for bit in bits[start : start + GRID]])
    return rows


def mask_name(fields: Sequence[Sequence[bool]]) -> str:
    """Name the deficit that covers these fields, GRID rows of GRID that are true or false.

    Three hexadecimal digits are a row: 03f covers its right half.

    >>> mask_name([[row < 2] * 12 for row in range(12)])
    'cover-ffffff000000000000000000000000000000'
    """
    if len(fields) != GRID or sum(len(row) for row in fields) != GRID * GRID:
        raise CplabError(f"these fields are not a mask: give {GRID} rows of {GRID}")
    bits = ""
    for row in fields:
        for covers in row:
            bits += "1" if covers else "0"
    return f"cover-{int(bits, 2):0{MASK_DIGITS}x}"


def mask_words(mask: str) -> str:
    """Describe what a mask covers, in words that differ for any two masks.

    >>> mask_words("03f" * 12), mask_words("800" + "000" * 11)
    ('right half', '1 of 144 fields, b6a5')
    """
    for words, named_mask in MASKS.items():
        if mask == named_mask:
            return words
    digest = hashlib.sha256(mask.encode()).hexdigest()[:4]
    return f"{int(mask, 16).bit_count()} of {GRID**2} fields, {digest}"
