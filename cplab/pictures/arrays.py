"""The arrays of a data set: images and labels, and the .npz file that holds them."""

import hashlib
from collections.abc import Container
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cplab.base import files
from cplab.base.errors import CplabError, quote

MOST_CLASSES = 1000
IMAGE_SHAPES = {(32, 32, 3), (32, 32), (28, 28, 3), (28, 28)}
# One data set may have several copies, as CIFAR-10 has one that was stored as JPEG. Names of
# copies that shipped results were trained on, by a fingerprint of the training images
KNOWN_COPIES = {
    "22469a5b56f2": "cifar10-jpeg",
    "a9d62c74c8ce": "drawn",
    "3097e158e97c": "practice",
}


class Arrays(NamedTuple):
    """All images of a data set, and their labels."""

    train_x: np.ndarray  # uint8 (N, H, W, 3), or grey (N, H, W)
    train_y: np.ndarray  # (N,), whole numbers from 0
    test_x: np.ndarray
    test_y: np.ndarray


def copy_name(dataset: str, train_x: np.ndarray) -> str:
    """The name of a copy of a data set: a known one, or dataset-fingerprint.

    >>> copy_name("digits", np.zeros((2, 28, 28), np.uint8))
    'digits-7fbcfcd86bdf'
    """
    fingerprint = hashlib.sha256(np.ascontiguousarray(train_x).data).hexdigest()[:12]
    return KNOWN_COPIES.get(fingerprint, f"{dataset}-{fingerprint}")


def check_arrays(
    arrays: Arrays, source: object, remedy: str, shapes: Container[tuple] = IMAGE_SHAPES
) -> None:
    """Check that arrays are training and test images of one of some shapes, with their labels.

    Raises:
        CplabError: which names the source and ends with the remedy.
    """
    halves = {
        "train": (arrays.train_x, arrays.train_y),
        "test": (arrays.test_x, arrays.test_y),
    }
    for half, (x, y) in halves.items():
        are_images = x.dtype == np.uint8 and x.shape[1:] in shapes
        if not are_images or x.shape[1:] != arrays.train_x.shape[1:]:
            raise CplabError(f"{half}_x of {source} are {x.dtype} {x.shape}: {remedy}")
        if y.shape != x.shape[:1] or not len(y):
            counts = f"{len(y)} labels of {len(x)} images"
            raise CplabError(
                f"{half}_y of {source} are {counts}, not labels of its images: {remedy}"
            )
        if y.min() < 0 or y.max() >= MOST_CLASSES:
            bounds = f"from {y.min()} to {y.max()}, not from 0 to {MOST_CLASSES - 1}"
            raise CplabError(f"{half}_y of {source} go {bounds}: {remedy}")


def read_npz(
    path: Path, remedy: str, shapes: Container[tuple] = IMAGE_SHAPES
) -> tuple[Arrays, str]:
    """Read a data set from an .npz file.

    Arguments:
        path: of the file.
        remedy: for an error.
        shapes: that an image may have.

    Returns:
        its arrays, and the name of the copy, "" if the file has none.

    Raises:
        CplabError: if the file is damaged or does not hold images.
    """
    try:
        with path.open("rb") as opened:
            file = np.load(opened, allow_pickle=False)
            arrays = Arrays(*[file[name] for name in Arrays._fields])
            copy = str(file["copy"]) if "copy" in file else ""
    except Exception as error:  # numpy and zipfile raise almost anything for a damaged file
        raise CplabError(f"{path} cannot be read ({quote(error)}): {remedy}") from error
    check_arrays(arrays, path, remedy, shapes)
    return arrays, copy


def write_npz(path: Path, arrays: Arrays, copy: str) -> None:
    """Write a data set as an .npz file, with the name of its copy."""
    with files.atomic_file(path) as partial, partial.open("wb") as file:
        np.savez(file, **arrays._asdict(), copy=copy)
