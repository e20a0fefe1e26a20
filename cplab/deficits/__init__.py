"""Deficits change images or labels while they last: those of the package, and students' own."""

from cplab.deficits.builtin import blur, mosaic, noise_patterns, permutation, stripes
from cplab.deficits.deficit import DEFICITS, VIEWS, Batch, Deficit, deficit
from cplab.deficits.masks import MASKS, mask_name, read_mask
from cplab.deficits.names import NONE, apply_deficit, canonical_name, find_deficit

__all__ = [
    "DEFICITS",
    "MASKS",
    "NONE",
    "VIEWS",
    "Batch",
    "Deficit",
    "apply_deficit",
    "blur",
    "canonical_name",
    "deficit",
    "find_deficit",
    "mask_name",
    "mosaic",
    "noise_patterns",
    "permutation",
    "read_mask",
    "stripes",
]
