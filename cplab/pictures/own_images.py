"""A student's own images: read, checked, and kept in the cache as a data set."""

import hashlib
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np

from cplab.base import files
from cplab.base.errors import CplabError
from cplab.pictures.arrays import Arrays, check_arrays, write_npz

ADVICE = (
    "give two data sets of torchvision, such as ImageFolder(folder, Compose([Resize(32), "
    "CenterCrop(32)])) without Normalize, or two pairs (images, labels), with images of 28 or 32 "
    "pixels a side"
)


def is_own_dataset(dataset: object) -> bool:
    """Whether a name is of a student's own images: name@digest, from `images_from`."""
    pattern = r"[^\W\d_]\w{0,29}@[0-9a-f]{12}"
    return isinstance(dataset, str) and bool(re.fullmatch(pattern, dataset))


def images_from(train: Any, test: Any, *, name: str = "") -> str:
    """Keep your own images in the cache, and return their name for `Run(dataset=…)`.

    The name ends in a digest of images and labels. A profile that has fewer images draws them
    evenly from all classes; one that has more takes those that there are.

    Arguments:
        train, test: each a data set of torchvision with its transforms, such as
            `ImageFolder("pets/train", transform)`, or (images, labels). Images are squares of 28 or
            32 pixels, grey or in colour, with channels last, or first as in torch; pixels are whole
            numbers from 0 to 255, or fractions from 0 to 1.
        name: what to call them; by default what the data set is called.

    Raises:
        CplabError: for what are no images with labels.

    >>> import cplab
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> x, y = rng.integers(0, 256, (20, 28, 28), dtype=np.uint8), np.arange(20) % 4
    >>> cplab.images_from((x, y), (x, y), name="squares").partition("@")[0]  # and a digest
    'squares'
    """
    usual_name = "images" if isinstance(train, tuple | list) else type(train).__name__
    train_x, train_labels = images_and_labels(train)
    test_x, test_labels = images_and_labels(test)
    class_names = np.unique(np.concatenate([train_labels, test_labels]))  # sorted
    train_y = np.searchsorted(class_names, train_labels)
    test_y = np.searchsorted(class_names, test_labels)
    arrays = Arrays(train_x, train_y, test_x, test_y)
    check_arrays(arrays, "your images", ADVICE)
    dataset = own_dataset_name(name or usual_name, arrays)
    path = files.cache_dir() / "data" / f"{dataset}.npz"
    try:
        if not path.exists():
            write_npz(path, arrays, dataset)
    except OSError as error:
        raise CplabError(f"{path} cannot be written ({error}): set $CPLAB_CACHE") from error
    print(
        f"{dataset}: {len(train_y)} images to train on and {len(test_y)} to test, which is what "
        "a profile with more images takes",
        file=sys.stderr,
    )
    return dataset


def images_and_labels(half: Any) -> tuple[np.ndarray, np.ndarray]:
    """The images and labels of a data set of torchvision, or of a pair (images, labels).

    Returns:
        images, uint8 (N, H, W) or (N, H, W, 3), and labels (N,), numbers or texts.

    Raises:
        CplabError.
    """
    if isinstance(half, tuple | list) and len(half) == 2:
        images, labels = half
        return as_pixels(images, dimensions=4), np.asarray(labels)
    if isinstance(half, str | Path):
        raise CplabError(f"{str(half)!r} is a name: {ADVICE}")
    images = []
    labels = []
    for image, label in half:
        images.append(as_pixels(image, dimensions=3))
        labels.append(label)
    shapes = {image.shape for image in images}
    if len(shapes) != 1:
        raise CplabError(f"your images have {len(shapes)} shapes: {ADVICE}")
    return np.stack(images), np.asarray(labels)


def as_pixels(image: Any, dimensions: int) -> np.ndarray:
    """One image or several as uint8. Channels are last, and a single one is left out.

    Arguments:
        image: a picture of Pillow, an array or a tensor of torch.
        dimensions: of such an array if it has channels: 3 of one image, 4 of several.
    """
    pixels = np.asarray(image)
    has_channels = pixels.ndim == dimensions
    if has_channels:
        are_first = pixels.shape[-3] in (1, 3) and pixels.shape[-1] > 3  # as in torch
        if are_first:
            pixels = np.moveaxis(pixels, -3, -1)
        if pixels.shape[-1] == 1:
            pixels = pixels[..., 0]
    if pixels.dtype == np.uint8:
        return pixels
    low = pixels.min(initial=0)  # initial: no images are refused later, by their count
    high = pixels.max(initial=0)
    if pixels.dtype.kind == "f" and 0 <= low <= high <= 1:
        return np.rint(pixels.astype(np.float64) * 255).astype(np.uint8)
    if pixels.dtype.kind in "iuf" and 0 <= low <= high <= 255:
        return pixels.astype(np.uint8)
    raise CplabError(f"your pixels are {pixels.dtype} from {low} to {high}: {ADVICE}")


def own_dataset_name(name: str, arrays: Arrays) -> str:
    """The name of a student's own images: a name in plain letters, @, and a digest of their
    content."""
    plain_name = re.sub(r"\W+", "_", str(name).lower()).strip("_")
    if not plain_name[:1].isalpha():
        plain_name = f"own_{plain_name}"
    # The way in which a profile draws images is a part of what a name stands for
    digest = hashlib.sha256(b"drawn evenly from all classes")
    digest.update(arrays.train_x.tobytes())
    digest.update(arrays.train_y.astype("<i8").tobytes())
    digest.update(arrays.test_x.tobytes())
    digest.update(arrays.test_y.astype("<i8").tobytes())
    return f"{plain_name[:30]}@{digest.hexdigest()[:12]}"
