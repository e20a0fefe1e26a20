"""Converts arrays of labelled images from other libraries into the package's own.

The package has uint8 images (N, H, W, 3) or (N, H, W), from 0 to 255, and whole labels (N,) from 0.
Others put channels first, have pixels from 0 to 1 or labels in columns, and call arrays x_train or
train_images. Arrays with only one possible meaning are converted. For others, an error says what
they are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from cplab.errors import CplabError

if TYPE_CHECKING:
    from PIL.Image import Image

NAMES = ("train_x", "train_y", "test_x", "test_y")
# Words in the names of others' arrays, and what the package calls them
HALVES = {"train": "train", "training": "train", "test": "test", "testing": "test"}
PARTS = dict.fromkeys(("x", "image", "images", "img", "imgs", "data", "pictures", "features"), "x")
PARTS |= dict.fromkeys(("y", "label", "labels", "target", "targets", "class", "classes"), "y")
KEPT_SIZES = {(28, 28), (32, 32)}  # sizes of images that stay as they are, pixels
SIDE = 32  # pixels a side to which others are cut and scaled
LEAST = 8  # pixels a side
SQUARES = {784: 28, 1024: 32}  # sides of grey images whose pixels are in one row of this length
CHANNELS = (1, 3, 4)  # grey, colour, and colour with transparency


def package_names(given: Mapping[str, Any]) -> dict[str, Any]:
    """Give arrays of other libraries, such as Keras' x_train or MedMNIST's train_images, the
    package's names.

    Raises: CplabError, which lists the arrays, if one is missing or there twice.

    >>> package_names({"x_train": 1, "y_train": 2, "x_test": 3, "y_test": 4})["test_x"]
    3
    """
    arrays: dict[str, Any] = {}
    for name, array in given.items():
        separated = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name)  # trainImages as train_Images
        words = separated.lower().split("_")
        halves = [HALVES[word] for word in words if word in HALVES]
        parts = [PARTS[word] for word in words if word in PARTS]
        if len(words) == 2 and halves and parts:
            usual_name = f"{halves[0]}_{parts[0]}"
            if usual_name in arrays:
                raise CplabError(f"there are two arrays for {usual_name}: {listed(given)}")
            arrays[usual_name] = array
    if len(arrays) < len(NAMES):
        missing = ", ".join(name for name in NAMES if name not in arrays)
        raise CplabError(f"there is no {missing}: {listed(given)}")
    return arrays


def listed(arrays: Mapping[str, Any]) -> str:
    """The names of some arrays, with their types and shapes, in words."""
    if not arrays:
        return "nothing"
    return ", ".join(f"{name} {described(array)}" for name, array in arrays.items())


def described(array: object) -> str:
    """The type and the shape of an array, in words.

    >>> described(np.zeros((3, 2)))
    'float64 (3, 2)'
    """
    kind = getattr(array, "dtype", type(array).__name__)
    shape = getattr(array, "shape", "")
    return f"{kind} {shape}".strip()


def converted(given: Mapping[str, Any]) -> tuple[dict[str, np.ndarray], list[str]]:
    """Convert four arrays, by name, to the package's shapes and types.

    Returns: the arrays, by name, and what was done to them, in words.

    Raises: CplabError, which names an array that has several possible meanings, or none.
    """
    arrays = {name: as_array(name, given[name]) for name in NAMES}
    notes: list[str] = []
    train_y, test_y = as_labels(arrays["train_y"], arrays["test_y"], notes)
    train_x = channels_last("train_x", arrays["train_x"], len(train_y), notes)
    test_x = channels_last("test_x", arrays["test_x"], len(test_y), notes)
    train_x, test_x = as_bytes([train_x, test_x], notes)
    train_x = fitted("train_x", train_x, notes)
    test_x = fitted("test_x", test_x, notes)
    values = {"train_x": train_x, "train_y": train_y, "test_x": test_x, "test_y": test_y}
    unique_notes = list(dict.fromkeys(notes))  # both halves may have the same
    return values, unique_notes


def as_array(name: str, values: Any) -> np.ndarray:
    """Convert values to an array of numbers or texts. Raises: CplabError."""
    if hasattr(values, "detach"):  # a tensor, perhaps with gradients or on a GPU
        values = values.detach().cpu()
        if values.is_floating_point():
            values = values.float()  # numpy has no bfloat16
    if np.ma.is_masked(values):
        raise CplabError(f"{name} has masked values: fill or leave them out")
    try:
        array = np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as error:
        raise CplabError(f"{name} is not an array of one shape and type: {error}") from error
    became_texts = array.dtype.kind in "US" and isinstance(values, list | tuple)
    if became_texts and not all(isinstance(value, str | bytes) for value in values):
        raise CplabError(f"{name} has texts and other values: give only texts, or only numbers")
    if array.dtype == object and len({type(value) for value in array.flat}) == 1:
        array = np.array(array.tolist())  # as pandas has a column of texts
    if array.dtype == object:
        raise CplabError(f"{name} is not an array of one shape and type: {described(array)}")
    return array.astype(array.dtype.newbyteorder("="), copy=False)  # files may have either order


# Labels -------------------------------------------------------------------------------------------


def as_labels(train: np.ndarray, test: np.ndarray, notes: list[str]) -> list[np.ndarray]:
    """Convert the labels of both halves to whole numbers, (N,). Texts are numbered in alphabetical
    order. Adds to the notes what was done. Raises: CplabError."""
    flat = [one_label_each("train_y", train, notes), one_label_each("test_y", test, notes)]
    if any(y.dtype.kind in "US" for y in flat):
        names, numbers = np.unique(np.concatenate(flat), return_inverse=True)
        notes.append(f"classes {', '.join(map(str, names[:10]))} in this order")
        return np.split(numbers.reshape(-1), [len(flat[0])])
    labels = []
    for half, y in zip(("train", "test"), flat, strict=True):
        if y.dtype.kind not in "iufb":
            raise CplabError(f"{half}_y are not labels: {described(y)}")
        if y.dtype.kind == "f" and not (np.isfinite(y) & (y == np.rint(y))).all():
            raise CplabError(f"{half}_y are fractions, not labels: {described(y)}")
        if y.dtype.kind in "fb":
            y = y.astype(np.int64)
        labels.append(y)
    return labels


def one_label_each(name: str, y: np.ndarray, notes: list[str]) -> np.ndarray:
    """Convert labels (N, 1), or (N, classes) with a 1 in each row, to (N,). Raises: CplabError."""
    if y.ndim == 1:
        return y
    if y.ndim == 2 and y.shape[1] == 1:
        return y[:, 0]
    if y.ndim == 2 and y.dtype.kind in "iufb":
        has_one = (y == 1).sum(1) == 1
        others_are_zero = (y == 0).sum(1) == y.shape[1] - 1
        if (has_one & others_are_zero).all():
            notes.append("a column of labels for each class")
            return y.argmax(1)
    raise CplabError(f"{name} are not one label per image: {described(y)}")


def number_classes(arrays: dict[str, np.ndarray], notes: list[str]) -> None:
    """Number the classes from 0 on without gaps, in place: a network answers with as many classes
    as there are. Labels of others may begin at 1, or leave numbers out.

    Raises: CplabError if all images are of one class.

    >>> arrays = {"train_y": np.array([1, 2, 4]), "test_y": np.array([4, 4])}
    >>> number_classes(arrays, notes := [])
    >>> arrays["train_y"], arrays["test_y"], notes
    (array([0, 1, 2]), array([2, 2]), ['labels 1, 2, 4 as classes 0 to 2'])
    """
    labels = np.union1d(arrays["train_y"], arrays["test_y"])  # (classes,), sorted
    if len(labels) == 1:
        raise CplabError(f"all labels are {labels[0]}: give images of two classes or more")
    if labels[-1] == len(labels) - 1:
        return
    for half in ("train_y", "test_y"):
        arrays[half] = np.searchsorted(labels, arrays[half])
    words = ", ".join(map(str, labels.tolist()))
    if len(labels) > 10:
        words = f"{labels[0]} to {labels[-1]}"
    notes.append(f"labels {words} as classes 0 to {len(labels) - 1}")


# Images -------------------------------------------------------------------------------------------


def channels_last(name: str, x: np.ndarray, count: int, notes: list[str]) -> np.ndarray:
    """Convert images to (N, H, W) or (N, H, W, channels).

    Arguments: name and x, of the array; count, of the labels; notes, to which what was done is
        added.

    Raises: CplabError.
    """
    if x.ndim in (3, 4) and len(x) != count and x.shape[-1] == count:
        notes.append("images along the last axis")
        x = np.moveaxis(x, -1, 0)
    if x.ndim == 2 and x.shape[1] in SQUARES:
        side = SQUARES[x.shape[1]]
        notes.append(f"rows of {x.shape[1]} pixels as {side} × {side}")
        return x.reshape(-1, side, side)
    if x.ndim == 4:
        may_be_first = x.shape[1] in CHANNELS
        may_be_last = x.shape[3] in CHANNELS
        if may_be_first == may_be_last:
            raise CplabError(f"{name} do not say where their channels are: {described(x)}")
        if may_be_first:
            notes.append("channels first")
            x = np.moveaxis(x, 1, -1)
        if x.shape[3] == 1:
            return x[..., 0]
        return x
    if x.ndim != 3:
        raise CplabError(f"{name} are not images: {described(x)}")
    return x


def as_bytes(images: list[np.ndarray], notes: list[str]) -> list[np.ndarray]:
    """Convert the pixels of both halves to uint8, from 0 to 255. They may be whole numbers up to
    255, or fractions from 0 to 1. Raises: CplabError."""
    if all(x.dtype == np.uint8 for x in images):
        return images
    low = min(float(x.min(initial=0)) for x in images)
    high = max(float(x.max(initial=0)) for x in images)
    are_numbers = all(x.dtype.kind in "iufb" for x in images)
    may_be_fractions = are_numbers and any(x.dtype.kind in "fb" for x in images)
    if may_be_fractions and low >= 0 and high <= 1:
        notes.append("pixels from 0 to 1 as 0 to 255")
        return [np.rint(x.astype(np.float64) * 255).astype(np.uint8) for x in images]
    are_whole = are_numbers and all((x == np.rint(x)).all() for x in images)
    if are_whole and low >= 0 and high <= 255:
        return [x.astype(np.uint8) for x in images]
    types = " and ".join(dict.fromkeys(str(x.dtype) for x in images))
    raise CplabError(f"pixels are {types} from {low:.3g} to {high:.3g}, not 0 to 1 or 0 to 255")


def fitted(name: str, x: np.ndarray, notes: list[str]) -> np.ndarray:
    """Convert images to (N, H, W) or (N, H, W, 3) of 28 or 32 pixels a side.

    Other sizes are cut to squares and scaled to 32 pixels, as pictures of a folder are. Transparent
    pixels become white. Raises: CplabError.
    """
    if min(x.shape[1:3]) < LEAST:
        raise CplabError(f"{name} are smaller than {LEAST} × {LEAST} pixels: {described(x)}")
    is_kept_size = x.shape[1:3] in KEPT_SIZES
    is_transparent = x.shape[3:] == (4,)
    if is_kept_size and not is_transparent:
        return x
    from PIL import Image

    if not is_kept_size:
        notes.append(f"{x.shape[1]} × {x.shape[2]} pixels cut to squares of {SIDE} × {SIDE}")
    mode = "L" if x.ndim == 3 else "RGB"
    squares = []
    for pixels in x:
        picture = on_white(Image.fromarray(pixels)).convert(mode)
        if not is_kept_size:
            picture = square(picture)
        squares.append(np.asarray(picture))
    return np.stack(squares)


def on_white(picture: Image) -> Image:
    """A picture in colour, in which transparent pixels are white."""
    from PIL import Image

    clear = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear).convert("RGB")


def square(picture: Image) -> Image:
    """The middle of a picture as a square of SIDE pixels."""
    from PIL import Image, ImageOps

    return ImageOps.fit(picture, (SIDE, SIDE), method=Image.Resampling.BICUBIC)
