"""Data sets: images as uint8 tensors in memory, from a file, a download or your own pictures."""

from __future__ import annotations

import hashlib
import os
import re
import sys
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from glob import escape, glob
from pathlib import Path
from shutil import copytree
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any, NamedTuple

import numpy as np

from cplab import digits, files
from cplab.errors import CplabError, one_of, quote
from cplab.late import F, Tensor, torch
from cplab.specs import mix_seeds
from cplab.specs.own import CLASSES
from cplab.specs.profiles import PROFILES, split_part

Arrays = dict[str, np.ndarray]  # train_x, train_y, test_x and test_y, by these names


class Download(NamedTuple):
    """A data set that torchvision can download."""

    kind: str  # the name of torchvision's class
    megabytes: int  # to download
    folder: str  # where torchvision leaves its files


DOWNLOADS = {
    "cifar10": Download("CIFAR10", 170, "cifar-10-batches-py"),
    "mnist": Download("MNIST", 12, "MNIST/raw"),
    "fashion_mnist": Download("FashionMNIST", 31, "FashionMNIST/raw"),
}
CONNECT = (
    "connect (log in first where a page asks for it; $HTTPS_PROXY names a proxy, $SSL_CERT_FILE "
    "the certificate of a school)"
)
_fetching = Lock()  # one thread fetches, and the others find what it fetched
ROOTS = ("data", "~/data")  # folders where torchvision may have left files, beside $CPLAB_DATA
# Names of copies of data sets, by a fingerprint of the training images
KNOWN_COPIES = {
    "22469a5b56f2": "cifar10-jpeg",
    "a9d62c74c8ce": "drawn",
    "3097e158e97c": "practice",
}
MOST_CLASSES = 1000
IMAGE_SHAPES = {(32, 32, 3), (32, 32), (28, 28, 3), (28, 28)}  # shapes of an image
NAMES = ("train_x", "train_y", "test_x", "test_y")
FITS = (
    "give two data sets of torchvision, such as ImageFolder(folder, Compose([Resize(32), "
    "CenterCrop(32)])) without Normalize, or two pairs (images, labels), with images of 28 or 32 "
    "pixels a side"
)
PRACTICE = 12_000  # images of the practice set; the last sixth is for testing


@dataclass(frozen=True)
class Images:
    """A data set as a profile uses it."""

    name: str
    copy: str  # which files the images come from
    train_x: Tensor  # uint8 (N, H, W, C)
    train_y: Tensor  # int64 (N,)
    test_x: Tensor
    test_y: Tensor
    mean: Tensor  # (C,) of the training images, from 0 to 255
    std: Tensor  # (C,)
    classes: int = CLASSES

    @cached_property
    def normal_test(self) -> Tensor:
        """The test images, normalised."""
        return self.normal(self.test_x)

    def normal(self, x: Tensor) -> Tensor:
        """Normalise images to mean 0 and deviation 1, by the training images.

        Arguments: x, uint8 images (N, H, W, C).

        Returns: float32 images (N, C, H, W). A channel that is the same everywhere becomes 0.
        """
        from cplab.devices import memory_format

        normal = ((x - self.mean) / self.std).permute(0, 3, 1, 2)
        return normal.contiguous(memory_format=memory_format(x.device))


def images(dataset: str = "cifar10", profile: str = "course") -> Images:
    """The images of a data set as a profile has them: so many, padded to 32 pixels and shrunk to
    its size. They are a copy, which may be changed.

    Arguments: dataset, cifar10, mnist, fashion_mnist, drawn or practice: the profile takes the
        first images of it; a further part of one, such as cifar10-part2; or a name that images_from
        gave: then images are drawn evenly from all classes.

    >>> images("practice", "ci").train_x.shape
    torch.Size([512, 8, 8, 3])
    """
    return deepcopy(shared_images(dataset, profile))


@lru_cache(maxsize=4)
def shared_images(dataset: str, profile: str, device: str = "cpu") -> Images:
    """The images of a profile on a device. All trainings of this process share them, so that they
    must not be changed. Arguments are those of `images`. Raises: CplabError."""
    settings = PROFILES[one_of("profile", profile, PROFILES)]
    data_set, copy = load_arrays(dataset)
    wanted = settings.own_images or settings.train_images
    part = split_part(dataset).number
    if part > 1 and part * wanted > len(data_set["train_y"]):
        raise CplabError(f"{dataset} has no {wanted} images for {profile}: take an earlier part")
    train: slice | np.ndarray  # which images of each half the profile takes
    test: slice | np.ndarray
    if is_own_dataset(dataset):
        train = evenly(data_set["train_y"], wanted)
        test = evenly(data_set["test_y"], settings.test_images)
    else:
        train = slice((part - 1) * wanted, part * wanted)
        test = slice(settings.test_images)
    train_x = resize(pixels_of(data_set["train_x"][train]), settings.size, settings.pad)
    test_x = resize(pixels_of(data_set["test_x"][test]), settings.size, settings.pad)
    numbers = train_x.numpy()  # (N, H, W, C)
    mean = numbers.mean((0, 1, 2))  # (C,)
    deviation = numbers.std((0, 1, 2), ddof=1)
    divisor = np.where(deviation == 0, 1, deviation)  # a channel may be the same everywhere
    return Images(
        name=dataset,
        copy=copy,
        train_x=train_x.to(device),
        train_y=torch.as_tensor(data_set["train_y"][train]).long().to(device),
        test_x=test_x.to(device),
        test_y=torch.as_tensor(data_set["test_y"][test]).long().to(device),
        mean=torch.as_tensor(mean).float().to(device),
        std=torch.as_tensor(divisor).float().to(device),
        classes=classes(dataset),
    )


def pixels_of(x: np.ndarray) -> Tensor:
    """Images (N, H, W) or (N, H, W, C) as a tensor (N, H, W, C), in which grey is a channel."""
    pixels = torch.as_tensor(x)
    return pixels[..., None] if pixels.ndim == 3 else pixels


def evenly(labels: np.ndarray, most: int) -> np.ndarray:
    """Choose images evenly from all classes: one of each class in turn, in a random order that is
    always the same, until a class has no more.

    Arguments: labels (N,); most, images.

    Returns: the indices of at most so many images.

    >>> labels = np.repeat([0, 1, 2], [6, 2, 6])
    >>> np.bincount(labels[evenly(labels, 8)])
    array([3, 2, 3])
    """
    order = np.random.default_rng(5).permutation(len(labels))
    turns = np.empty(len(labels), int)  # (N,) how many images of the same class come before each
    for label in np.unique(labels):
        [places] = np.nonzero(labels[order] == label)
        turns[places] = np.arange(len(places))
    by_turns = order[np.argsort(turns, kind="stable")]
    return by_turns[:most]


@lru_cache(maxsize=64)
def own_images(
    dataset: str, profile: str, seed: int, count: int, device: str = "cpu", part: int = 1
) -> Images:
    """The images of a seed that draws its own training images; all seeds share the test images. Of
    a user's own images it takes those that there are, if they are fewer.

    Arguments: dataset and profile, as for `images`; seed; count, of the images that it draws;
        device; part, from 2 on for images that no earlier part has.

    Raises: CplabError if there are too few.
    """
    shared = shared_images(dataset, profile, device)
    generator = torch.Generator().manual_seed(mix_seeds(seed, "own images"))
    order = torch.randperm(len(shared.train_y), generator=generator)
    drawn = order[(part - 1) * count : part * count].to(device)
    if not len(drawn) or (len(drawn) < count and not is_own_dataset(dataset)):
        problem = f"{count} images are not allowed: {dataset} has {len(drawn)} to draw from"
        raise CplabError(f"{problem}; give fewer, as Run(..., images=100)")
    if len(drawn) < count and len(drawn) % PROFILES[profile].batch == 1:
        drawn = drawn[:-1]  # the last batch may not be a single image
    return replace(shared, train_x=shared.train_x[drawn], train_y=shared.train_y[drawn])


@lru_cache
def channels(dataset: str) -> int:
    """The number of colour channels of a data set. Only your own images' files are read for it."""
    if is_own_dataset(dataset):
        data_set, _ = load_arrays(dataset)
        return 3 if data_set["train_x"].ndim == 4 else 1
    is_grey = split_part(dataset).dataset.endswith(("mnist", "drawn"))
    return 1 if is_grey else 3


@lru_cache
def classes(dataset: str) -> int:
    """The number of classes of a data set. Only your own images' files are read for it."""
    if not is_own_dataset(dataset):
        return CLASSES
    data_set, _ = load_arrays(dataset)
    return 1 + int(max(data_set["train_y"].max(), data_set["test_y"].max()))


def resize(x: Tensor, size: int, pad: bool = True) -> Tensor:
    """Shrink images by averaging.

    Arguments: x, uint8 images (N, H, W, C); size, pixels a side; pad, whether to add a black border
        before, up to 32 pixels a side, as the paper does for MNIST.
    """
    border = (32 - x.shape[1]) // 2 if pad else 0
    small = []
    for chunk in x.split(1000):  # to save memory
        padded = F.pad(chunk, (0, 0, border, border, border, border))
        planes = padded.permute(0, 3, 1, 2).float()  # (N, C, H, W)
        # Whole numbers are summed, so that their order changes nothing; halves are rounded to even
        means = F.interpolate(planes, size=(size, size), mode="area")
        small.append(means.round().byte())
    return torch.cat(small).permute(0, 2, 3, 1).contiguous()


# Files of a data set ------------------------------------------------------------------------------


def is_own_dataset(dataset: object) -> bool:
    """Whether a name is of a user's own images: name@digest, from cplab.images_from."""
    pattern = r"[^\W\d_]\w{0,29}@[0-9a-f]{12}"
    return isinstance(dataset, str) and bool(re.fullmatch(pattern, dataset))


def location(dataset: str) -> Path | None:
    """Find a data set's .npz file in $CPLAB_DATA or in the cache; or the folder of its files, where
    torchvision has left them.

    Returns: None if it is nowhere.

    Raises: CplabError if $CPLAB_DATA is not a folder that can be read.
    """
    homes = [files.cache_dir() / "data"]
    if named := files.named_folder("CPLAB_DATA"):
        if not os.access(named, os.R_OK | os.X_OK):
            remedy = "name a directory that exists and that you may read"
            raise CplabError(f"$CPLAB_DATA is {quote(str(named))}: {remedy}")
        homes.insert(0, named)
    elif os.environ.get("CPLAB_DATA") == files.NOWHERE and not is_own_dataset(dataset):
        return None
    places = [home / f"{dataset}.npz" for home in homes]
    if dataset in DOWNLOADS:
        for root in (homes[0], *map(Path, ROOTS)):
            places.append(root.expanduser() / DOWNLOADS[dataset].folder)
    for place in places:
        if os.path.isfile(place) or glob(f"{escape(str(place))}/*"):
            return place
    return None


def is_here(dataset: str) -> bool:
    """Whether a data set is available without a download."""
    with suppress(CplabError):
        return dataset in COMPUTED or bool(location(split_part(dataset).dataset))
    return False


def check_dataset(name: Any) -> str:
    """Return the name of a data set, of a part of one, or of a user's own images.

    Raises: CplabError for any other.
    """
    if not is_own_dataset(name):
        whole = split_part(name).dataset if isinstance(name, str) else name
        one_of("dataset", whole, (*DOWNLOADS, *COMPUTED))
    return name


def load_arrays(dataset: str) -> tuple[Arrays, str]:
    """Load all images of a data set, which is fetched if it is not here.

    Arguments: dataset, its name, or that of a part.

    Returns: images uint8 (N, H, W, 3) or (N, H, W), labels (N,), and the name of the copy.

    Raises: CplabError if fetching fails, or if a file is damaged.
    """
    dataset = split_part(check_dataset(dataset)).dataset
    if dataset in COMPUTED:
        return computed(dataset)
    remedy = f"remove it and `cplab data fetch {dataset}`, or set $CPLAB_DATA to good files"
    data_set, copy = read_npz(fetch(dataset), remedy)
    return data_set, copy or name_copy(dataset, data_set["train_x"])


@lru_cache
def computed(dataset: str) -> tuple[Arrays, str]:
    """The arrays of a computed data set, and the name of the copy.

    The name is the data set's, unless this machine computes other images than those with which
    shipped results were trained.
    """
    data_set = COMPUTED[dataset]()
    return data_set, name_copy(dataset, data_set["train_x"])


def name_copy(dataset: str, train_x: np.ndarray) -> str:
    """The name of a copy of a data set, which depends on a fingerprint of its training images."""
    digest = hashlib.sha256(np.ascontiguousarray(train_x).data).hexdigest()[:12]
    return KNOWN_COPIES.get(digest, f"{dataset}-{digest}")


def read_npz(path: Path, remedy: str) -> tuple[Arrays, str]:
    """Read the four arrays of an .npz file, and the name of the copy, "" if the file has none.

    Raises: CplabError, with a remedy, if the file is damaged or does not hold images.
    """
    try:
        with path.open("rb") as opened:
            file = np.load(opened, allow_pickle=False)
            images = {name: file[name] for name in NAMES}
            copy = str(file["copy"]) if "copy" in file else ""
    except Exception as error:  # numpy and zipfile raise almost anything for a damaged file
        raise CplabError(f"{path} cannot be read ({quote(error)}): {remedy}") from error
    check_arrays(images, path, remedy)
    return images, copy


def check_arrays(images: Arrays, source: object, remedy: str) -> None:
    """Check that four arrays are training and test images with their labels.

    Raises: CplabError, which names the source and ends with the remedy.
    """
    for half in ("train", "test"):
        x = images[f"{half}_x"]
        y = images[f"{half}_y"]
        is_image = x.dtype == np.uint8 and x.shape[1:] in IMAGE_SHAPES
        if not is_image or x.shape[1:] != images["train_x"].shape[1:]:
            raise CplabError(f"{half}_x of {source} are {x.dtype} {x.shape}: {remedy}")
        if y.shape != x.shape[:1] or not len(y):
            counts = f"{len(y)} labels of {len(x)} images"
            raise CplabError(
                f"{half}_y of {source} are {counts}, not labels of its images: {remedy}"
            )
        if y.min() < 0 or y.max() >= MOST_CLASSES:
            bounds = f"from {y.min()} to {y.max()}"
            raise CplabError(f"{half}_y of {source} go {bounds}, not from 0 to 999: {remedy}")


def fetch(dataset: str) -> Path:
    """The .npz file of a data set.

    If there is none, it is made in the cache, from files that torchvision has left on this machine
    or from torchvision's download.

    Raises: CplabError if that fails.
    """
    source = location(dataset)
    if source and source.suffix == ".npz":
        return source
    if is_own_dataset(dataset):
        raise CplabError(f"{dataset} is not in this cache: call cplab.images_from again")
    one_of("dataset", dataset, DOWNLOADS)
    path = files.cache_dir() / "data" / f"{dataset}.npz"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _fetching:
            if not path.exists():
                save_arrays(path, fetch_arrays(dataset, source, path.parent), f"{dataset}-original")
    except Exception as error:  # of the network, an archive or the disk
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        remedy = CONNECT
        if isinstance(error, ImportError):
            remedy = "pip install torchvision"
        raise CplabError(
            f"{dataset} is not here and could not be fetched ({reason}): {remedy} and "
            f"`cplab data fetch {dataset}`, or point $CPLAB_DATA to a directory with "
            f"{dataset}.npz, or go on with --dataset drawn"
        ) from error
    return path


def fetch_arrays(dataset: str, source: Path | None, home: Path) -> Arrays:
    """Let torchvision read a data set, or download it.

    Arguments: dataset, one of DOWNLOADS; source, a folder of files that torchvision has left, if
        there is one; home, the folder in which to make a temporary one.
    """
    from torchvision import datasets

    download = DOWNLOADS[dataset]
    size = source or f"{download.megabytes} MB"
    print(f"fetching {dataset}: {size} into {home}", file=sys.stderr)
    make = getattr(datasets, download.kind)
    with TemporaryDirectory(dir=home) as folder:
        if source:
            copytree(source, Path(folder, download.folder))
        # With download=True torchvision reads files that are whole, and downloads others
        train = make(folder, train=True, download=True)
        test = make(folder, train=False, download=True)
        return {
            "train_x": np.asarray(train.data),
            "train_y": np.asarray(train.targets),
            "test_x": np.asarray(test.data),
            "test_y": np.asarray(test.targets),
        }


def save_arrays(path: Path, arrays: dict[str, Any], copy: str) -> None:
    """Write arrays as an .npz file that states the name of their copy."""
    with files.atomic_file(path) as partial, partial.open("wb") as file:
        np.savez(file, **arrays, copy=copy)


# Your own images ----------------------------------------------------------------------------------


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

    Raises: CplabError for what are no images with labels.

    >>> rng = np.random.default_rng(0)
    >>> x, y = rng.integers(0, 256, (20, 28, 28), dtype=np.uint8), np.arange(20) % 4
    >>> images_from((x, y), (x, y), name="squares").partition("@")[0]  # and a digest
    'squares'
    """
    usual_name = "images" if isinstance(train, tuple | list) else type(train).__name__
    train_x, train_labels = images_and_labels(train)
    test_x, test_labels = images_and_labels(test)
    _, numbers = np.unique(np.concatenate([train_labels, test_labels]), return_inverse=True)
    train_y, test_y = np.split(numbers.reshape(-1), [len(train_labels)])
    images = {"train_x": train_x, "train_y": train_y, "test_x": test_x, "test_y": test_y}
    check_arrays(images, "your images", FITS)
    dataset = own_name(name or usual_name, images)
    path = files.cache_dir() / "data" / f"{dataset}.npz"
    try:
        if not path.exists():
            save_arrays(path, images, dataset)
    except OSError as error:
        raise CplabError(f"{path} cannot be written ({error}): set $CPLAB_CACHE") from error
    print(
        f"{dataset}: {len(train_y)} images to train on and {len(test_y)} to test, which is what "
        "a profile with more images takes",
        file=sys.stderr,
    )
    return dataset


def images_and_labels(half: Any) -> tuple[np.ndarray, np.ndarray]:
    """The images (N, H, W) or (N, H, W, 3), uint8, and the labels (N,) of a data set of
    torchvision, or of a pair (images, labels). Raises: CplabError."""
    if isinstance(half, tuple | list) and len(half) == 2:
        images, labels = half
        return as_pixels(images, 4), np.asarray(labels)
    if isinstance(half, str | Path):
        raise CplabError(f"{str(half)!r} is a name: {FITS}")
    pictures = []
    labels = []
    for image, label in half:
        pictures.append(as_pixels(image, 3))
        labels.append(label)
    shapes = {picture.shape for picture in pictures}
    if len(shapes) != 1:
        raise CplabError(f"your images have {len(shapes)} shapes: {FITS}")
    return np.stack(pictures), np.asarray(labels)


def as_pixels(image: Any, dimensions: int) -> np.ndarray:
    """A picture of Pillow, an array or a tensor of torch as uint8, with channels last, if there is
    more than one.

    Arguments: image, one or several; dimensions, those of what has channels: 3 for one image.
    """
    pixels = np.asarray(image)
    if pixels.ndim == dimensions and pixels.shape[-3] in (1, 3) and pixels.shape[-1] > 3:
        pixels = np.moveaxis(pixels, -3, -1)  # from torch's order
    if pixels.ndim == dimensions and pixels.shape[-1] == 1:
        pixels = pixels[..., 0]
    if pixels.dtype == np.uint8:
        return pixels
    low = pixels.min(initial=0)
    high = pixels.max(initial=0)
    if pixels.dtype.kind == "f" and 0 <= low <= high <= 1:
        return np.rint(pixels.astype(np.float64) * 255).astype(np.uint8)
    if pixels.dtype.kind in "iuf" and 0 <= low <= high <= 255:
        return pixels.astype(np.uint8)
    raise CplabError(f"your pixels are {pixels.dtype} from {low} to {high}: {FITS}")


def own_name(label: str, images: Arrays) -> str:
    """The name of a user's own images: a label in plain letters, and a digest of their content."""
    plain = re.sub(r"\W+", "_", str(label).lower()).strip("_")
    if not plain[:1].isalpha():
        plain = f"own_{plain}"
    # The way in which a profile draws images is a part of what a name stands for
    digest = hashlib.sha256(b"drawn evenly from all classes")
    for part in NAMES:
        dtype = "u1" if part.endswith("x") else "<i8"
        digest.update(images[part].astype(dtype).tobytes())
    return f"{plain[:30]}@{digest.hexdigest()[:12]}"


# The practice set ---------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def practice() -> Arrays:
    """Compute a data set for machines without data, which is always the same.

    A class has one of five coarse layouts of colours, visible at any resolution, and one of two
    orientations of a fine grating, which blur destroys. The shipped runs show no critical period
    (profile course, 3 seeds).
    """
    rng = np.random.default_rng(0)
    count = PRACTICE
    labels = rng.integers(0, 10, count)
    coarse = labels // 2  # the layout
    fine = labels % 2  # the orientation
    layouts = rng.standard_normal((5, 4, 4, 3)).astype(np.float32)
    blobs = layouts[coarse] * 0.5 + rng.standard_normal((count, 4, 4, 3), dtype=np.float32)
    angle = np.pi * (0.25 + 0.5 * fine[:, None, None] + rng.normal(0, 0.12, (count, 1, 1)))
    pace = 2 * np.pi / rng.uniform(4.0, 6.0, (count, 1, 1))  # radians a pixel
    phase = rng.uniform(0, 2 * np.pi, (count, 1, 1))
    colour = rng.standard_normal((count, 1, 1, 3), dtype=np.float32)
    grid = np.arange(32)  # pixels
    x = np.empty((count, 32, 32, 3), np.uint8)
    y = labels.astype(np.uint8)
    for begin in range(0, count, 500):  # some at a time, to save memory
        chunk = slice(begin, begin + 500)
        along = np.cos(angle[chunk]) * grid[:, None] + np.sin(angle[chunk]) * grid
        grating = np.sin(along * pace[chunk] + phase[chunk]).astype(np.float32)
        picture = blobs[chunk].repeat(8, 1).repeat(8, 2)
        picture += 0.8 * grating[..., None] * colour[chunk]
        picture += 0.5 * rng.standard_normal((500, 32, 32, 3), dtype=np.float32)
        x[chunk] = np.clip(128 + 40 * picture, 0, 255)
    train = count * 5 // 6
    return {"train_x": x[:train], "train_y": y[:train], "test_x": x[train:], "test_y": y[train:]}


COMPUTED = {"drawn": digits.drawn, "practice": practice}  # data sets that need no file
