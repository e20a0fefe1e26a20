"""Images as uint8 tensors held in memory, from a directory, the cache or the network.

torch is imported where it is used, so that results can be looked at without it.
"""

from __future__ import annotations

import difflib
import hashlib
import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cplab.errors import (
    CplabError,
    atomic_file,
    cache_dir,
    installed,
    lock_file,
    one_of,
    quote,
    require,
)
from cplab.profiles import PROFILES, Profile, is_own

if TYPE_CHECKING:
    from torch import Tensor

# torchvision's class, megabytes to download, and how what torchvision keeps of it begins
DOWNLOADS = {
    "cifar10": ("CIFAR10", 170, "cifar-10-*"),
    "mnist": ("MNIST", 12, "MNIST/raw/t10k-images-*"),
    "fashion_mnist": ("FashionMNIST", 31, "FashionMNIST/raw/t10k-images-*"),
}
KNOWN_COPIES = {"22469a5b56f2": "cifar10-jpeg"}  # by fingerprint of the training images
ARRAYS = ("train_x", "train_y", "test_x", "test_y")
SIZES = ((32, 32, 3), (32, 32), (28, 28))  # of an image
FITS = (
    "give uint8 images train_x and test_x of 32 × 32 × 3, 32 × 32 or 28 × 28 pixels, and labels "
    "train_y and test_y from 0 on"
)
MOST_IMAGES = 200_000  # of a set
MOST_CLASSES = 1000
PRACTICE = 12_000  # images of the practice set
USUAL_ROOTS = ("data", "datasets", "../data", "../datasets", "~/data", "~/datasets")


@dataclass(frozen=True)
class Images:
    """A data set as a profile uses it.

    train_x and test_x are uint8 (N, H, W, C), train_y and test_y int64 (N,); mean and std (C,)
    are those of the training images, in units of 0 to 255. `copy` says which files they are from.
    """

    name: str
    copy: str
    train_x: Tensor
    train_y: Tensor
    test_x: Tensor
    test_y: Tensor
    mean: Tensor
    std: Tensor

    def normal(self, x: Tensor) -> Tensor:
        """uint8 images (N, H, W, C) as float32 (N, C, H, W), channels last, mean 0, deviation 1."""
        return ((x - self.mean) / self.std).permute(0, 3, 1, 2)


def images(dataset: str = "cifar10", profile: str = "course", device: str = "cpu") -> Images:
    """The images of a profile: the first of the set, padded to 32 and shrunk to its size. They are
    yours to change.

    Arguments: dataset, one of cifar10, mnist, fashion_mnist, practice, or what images_from gave;
        profile; device.
    Raises: CplabError for a set that is neither at hand nor to be had, or a damaged file.

    >>> images("practice", "ci").train_x.shape
    torch.Size([512, 8, 8, 3])
    """
    with installed():
        shared = shared_images(dataset, profile, device)
    return deepcopy(shared)


def shared_images(dataset: str, profile: str, device: str = "cpu") -> Images:
    """The same, of which all that train in this process have one copy: nobody changes it."""
    from cplab import devices

    if not is_own(dataset):
        one_of("dataset", dataset, (*DOWNLOADS, "practice"))
    known = PROFILES[one_of("profile", profile, PROFILES)]
    return _images(dataset, known, str(devices.pick(device)))


@lru_cache(maxsize=4)
def _images(dataset: str, profile: Profile, device: str) -> Images:
    import torch

    arrays, copy = load_arrays(dataset, max(profile.train_images, profile.test_images))
    parts = {}
    for split, count in (("train", profile.train_images), ("test", profile.test_images)):
        x = torch.as_tensor(arrays[f"{split}_x"][:count])
        parts[f"{split}_x"] = resize(x if x.ndim == 4 else x[..., None], profile.size)
        parts[f"{split}_y"] = torch.as_tensor(arrays[f"{split}_y"][:count]).long()
    for name, values in zip(("mean", "std"), mean_and_deviation(parts["train_x"]), strict=True):
        parts[name] = torch.as_tensor(values).float()
    return Images(dataset, copy, **{name: part.to(device) for name, part in parts.items()})


def channels(dataset: str) -> int:
    """How many colours a data set's images have, known without them unless it is your own."""
    if is_own(dataset):
        return int(load_arrays(dataset, 1)[0]["train_x"].ndim == 4) * 2 + 1
    return 1 if dataset.endswith("mnist") else 3


@lru_cache
def classes(dataset: str) -> int:
    """How many classes a data set has, known without it unless it is your own."""
    if not is_own(dataset):
        return 10
    arrays, _ = load_arrays(dataset)
    return 1 + int(max(arrays["train_y"].max(), arrays["test_y"].max()))


def mean_and_deviation(x: Any) -> tuple[np.ndarray, np.ndarray]:
    """Of uint8 images (N, H, W, C), each (C,), by counting how often each value is there: exact,
    and without a copy of the images in float64."""
    value = np.arange(256)
    pixels = np.asarray(x).reshape(-1, x.shape[-1])
    counts = np.stack([np.bincount(colour, minlength=256) for colour in pixels.T])
    mean = counts @ value / len(pixels)
    squares = (counts * (value - mean[:, None]) ** 2).sum(1)
    return mean, np.sqrt(squares / (len(pixels) - 1))


def resize(x: Tensor, size: int) -> Tensor:
    """uint8 (N, H, W, C): zero-padded to 32 pixels as the paper pads MNIST, then averaged down."""
    import torch
    import torch.nn.functional as F

    border = (32 - x.shape[1]) // 2
    x = F.pad(x, (0, 0, border, border, border, border)) if border else x
    if size == x.shape[1]:
        return x.contiguous()
    parts = []
    for part in x.split(1000):  # few at a time, to spare memory
        planes = part.permute(0, 3, 1, 2).float()
        parts.append(F.interpolate(planes, size=(size, size), mode="area").round().byte())
    return torch.cat(parts).permute(0, 2, 3, 1).contiguous()


# Where a set is -----------------------------------------------------------------------------------


def data_folder() -> Path | None:
    """The directory that $CPLAB_DATA means; None where it is not set.

    Quotes and spaces around it are taken off, ~ and variables in it are replaced, a file in it
    stands for it, and a typing error in its last part is mended where one directory alone is meant.
    Raises: CplabError where no directory is meant.
    """
    text = os.environ.get("CPLAB_DATA", "").strip().strip("\"'").strip()
    if not text:
        return None
    path = Path(os.path.expandvars(os.path.expanduser(text)))
    if path.is_file() or path.name == "cifar-10-batches-py":
        path = path.parent
    if path.is_dir():
        return path
    beside = [p.name for p in path.parent.iterdir() if p.is_dir()] if path.parent.is_dir() else []
    meant = difflib.get_close_matches(path.name, beside, n=2, cutoff=0.75)
    require(len(meant) == 1, f"$CPLAB_DATA {quote(text)} is no directory: name one that is there")
    return path.with_name(meant[0])


def folders() -> Iterator[Path]:
    """Where sets of images are looked for: $CPLAB_DATA, the cache, torchvision's usual places."""
    with suppress(CplabError):
        if given := data_folder():
            yield given
    yield cache_dir() / "data"
    yield from (Path(place).expanduser() for place in USUAL_ROOTS)


def location(dataset: str) -> Path | None:
    """What a set is read from: an .npz file, or a root of torchvision's; None if it is nowhere."""
    for folder in folders():
        with suppress(OSError):  # of a directory that may not be read
            if (path := folder / f"{dataset}.npz").exists():
                return path
            if dataset in DOWNLOADS and any(folder.glob(DOWNLOADS[dataset][2])):
                return folder
    return None


def is_here(dataset: str) -> bool:
    """Whether a set can be read without fetching it: a file that is cut off, or that only points to
    the real one, cannot."""
    path = location(dataset)
    if dataset == "practice" or path is None or path.suffix != ".npz":
        return dataset == "practice" or path is not None
    with suppress(Exception), path.open("rb") as opened:  # of a damaged file
        return {*ARRAYS} <= {*np.load(opened, allow_pickle=False).files}
    return False


def load_arrays(dataset: str, most: int = MOST_IMAGES) -> tuple[dict[str, np.ndarray], str]:
    """The first `most` images and labels of each half of a set, and the name of the copy; a set
    that is nowhere is fetched.

    Returns: train_x and test_x, uint8 (N, H, W, 3) or (N, H, W), their labels, and the copy's name.
    Raises: CplabError for a set that is not to be had, or a damaged file.
    """
    if dataset == "practice":  # some or all, of which each is made once
        return practice(most=1000 if most <= 1000 else MOST_IMAGES), "practice"
    path = location(dataset)
    if path is None or path.suffix != ".npz":
        path = fetch(dataset)
    most_classes = MOST_CLASSES if is_own(dataset) else 10
    arrays, copy = read_file(path, f"remove it, `cplab data fetch {dataset}`", most_classes)
    if not copy:
        digest = hashlib.sha256(np.ascontiguousarray(arrays["train_x"]).data).hexdigest()[:12]
        copy = KNOWN_COPIES.get(digest, f"{dataset}-{digest}")
    return {name: array[:most] for name, array in arrays.items()}, copy


def read_file(
    path: Path, remedy: str, most: int = MOST_CLASSES
) -> tuple[dict[str, np.ndarray], str]:
    """The four arrays of an .npz file, and the name that it gives its copy, if any.

    Raises: CplabError for a damaged file, or one that holds no images, with a remedy.
    """
    try:
        with path.open("rb") as opened:
            file = np.load(opened, allow_pickle=False)
            arrays = {name: file[name] for name in ARRAYS}
            copy = str(file["copy"]) if "copy" in file else ""
        check_arrays(arrays, most)
        if copy and not re.fullmatch(r"[\w .:@-]{1,60}", copy):
            raise ValueError("the name of its copy is no plain text")
    except Exception as error:  # numpy and zipfile raise almost anything for a damaged file
        reason = quote(error)
        with suppress(OSError), path.open("rb") as begin:
            if begin.read(23) == b"version https://git-lfs":
                reason, remedy = "it only points to a file of Git LFS", "`git lfs pull`"
        raise CplabError(
            f"{path} is damaged or no data set ({reason}): {remedy}, or set $CPLAB_DATA to a "
            f"directory of good files"
        ) from error
    return arrays, copy


def check_arrays(arrays: dict[str, np.ndarray], most: int = MOST_CLASSES) -> None:
    """Raise ValueError unless these are images of two halves, and labels below `most`."""
    for split in ("train", "test"):
        x, y = arrays[f"{split}_x"], arrays[f"{split}_y"]
        if x.dtype != np.uint8 or x.shape[1:] not in SIZES:
            raise ValueError(f"{split}_x is of shape {x.shape} and type {x.dtype}")
        if x.shape[1:] != arrays["train_x"].shape[1:]:
            raise ValueError(f"{split}_x is of shape {x.shape}, unlike train_x")
        if y.dtype.kind not in "iu" or y.shape != x.shape[:1] or not 0 < len(x) <= MOST_IMAGES:
            raise ValueError(f"{split}_y is of shape {y.shape} and type {y.dtype}")
        if y.min() < 0 or y.max() >= most:
            raise ValueError(f"its labels are not all from 0 to {most - 1}")


def fetch(dataset: str) -> Path:
    """Take a set into the cache as .npz: from torchvision's files where they are at hand, else by
    torchvision's download (progress bar, checksums).

    Raises: CplabError where it is not to be had, or $CPLAB_DATA names no directory.
    """
    if is_own(dataset):
        raise CplabError(f"{dataset} is not in this cache: call cplab.images_from on it again")
    kind, megabytes, _ = DOWNLOADS[one_of("dataset", dataset, DOWNLOADS)]
    home, root = cache_dir() / "data", location(dataset)
    target, raw = home / f"{dataset}.npz", home / "raw"
    if root is None:
        data_folder()  # what is wrong with $CPLAB_DATA comes before a download
        print(f"fetching {dataset}: {megabytes} MB into {home}", file=sys.stderr)
    elif root.suffix == ".npz":
        return root
    try:
        home.mkdir(parents=True, exist_ok=True)
        with lock_file(target.with_suffix(".lock")):
            if not target.exists():
                try:
                    arrays: dict[str, Any] = download(kind, root or raw)
                    with atomic_file(target) as partial, partial.open("wb") as file:
                        np.savez(file, **arrays, copy=f"{dataset}-original")
                finally:
                    shutil.rmtree(raw, ignore_errors=True)
    except Exception as error:  # of the network, an archive or the disk
        lacks = "pip install torchvision" if isinstance(error, ImportError) else "connect"
        raise CplabError(
            f"{dataset} is not at hand and could not be fetched ({quote(error)}): {lacks} and "
            f"`cplab data fetch {dataset}`, or point $CPLAB_DATA to a directory with "
            f"{dataset}.npz, or go on with --dataset practice"
        ) from error
    return target


def download(kind: str, folder: Path) -> dict[str, np.ndarray]:
    """Arrays of a torchvision data set that lies in a folder, or is downloaded to it."""
    from torchvision import datasets

    arrays = {}
    for split in ("train", "test"):
        part = getattr(datasets, kind)(folder, train=split == "train", download=True)
        arrays[f"{split}_x"] = np.asarray(part.data)
        arrays[f"{split}_y"] = np.asarray(part.targets, dtype=np.uint8)
    return arrays


# A set of your own --------------------------------------------------------------------------------


def images_from(source: Any, test: Any = None, *, name: str = "") -> str:
    """Take in images of your own, and return their name for `Run(dataset=…)`.

    Arguments:
        source: a folder with a folder of pictures for each class (of which every fifth is for
            testing, unless there are `train` and `test`); an .npz file with uint8 images train_x
            and test_x, (N, 32, 32, 3) or (N, 28, 28), and labels train_y and test_y; or a data set
            of torchvision's, such as CIFAR100, with another for testing as `test`.
        test: the other half of a torchvision data set.
        name: what to call them; else as the source is called.
    Returns: name@digest, where the digest is of the images and labels. They are kept in the cache.
    Raises: CplabError where they do not fit.

    >>> rng = np.random.default_rng(0)
    >>> x, y = rng.integers(0, 256, (20, 28, 28), dtype=np.uint8), np.arange(20) % 4
    >>> half = type("Squares", (), {"data": x, "targets": y})
    >>> images_from(half, half).partition("@")[0]  # then a digest of the content
    'squares'
    """
    if isinstance(source, str | os.PathLike):
        path = Path(source).expanduser()
        called, arrays = path.stem, read_folder(path) if path.is_dir() else read_file(path, FITS)[0]
    else:
        require(test is not None, "one half of a data set is no data set: give the test half too")
        called = getattr(source, "__name__", type(source).__name__)
        halves = {"train": source, "test": test}
        arrays = {f"{half}_x": np.asarray(part.data) for half, part in halves.items()}
        arrays |= {f"{half}_y": np.asarray(part.targets) for half, part in halves.items()}
    try:
        check_arrays(arrays)
    except (ValueError, IndexError) as error:
        raise CplabError(f"{quote(called)} does not fit ({error}): {FITS}") from error
    digest = hashlib.sha256()
    for part in ARRAYS:
        digest.update(arrays[part].astype("u1" if part.endswith("x") else "<i8").tobytes())
    plain = re.sub(r"\W+", "_", (name or called).lower()).strip("_")[:30]
    own = f"{plain if plain[:1].isalpha() else f'own_{plain}'[:30]}@{digest.hexdigest()[:12]}"
    path = cache_dir() / "data" / f"{own}.npz"
    if not path.exists():
        with atomic_file(path) as partial, partial.open("wb") as file:
            np.savez(file, **arrays, copy=own)  # type: ignore[arg-type]
    return own


def read_folder(folder: Path) -> dict[str, np.ndarray]:
    """Pictures in a folder of each class, cut to squares and shrunk to 32 pixels, in colour."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    split = (folder / "train").is_dir() and (folder / "test").is_dir()
    homes = {"train": folder / "train", "test": folder / "test"} if split else {"train": folder}
    names = sorted(p.name for p in homes["train"].iterdir() if p.is_dir())
    parts: dict[str, list] = {part: [] for part in ARRAYS}
    for half, home in homes.items():
        for label, kind in enumerate(names):
            for number, path in enumerate(sorted(filter(Path.is_file, (home / kind).glob("*")))):
                try:
                    with Image.open(path) as opened:
                        picture = ImageOps.fit(opened.convert("RGB"), (32, 32))
                except (UnidentifiedImageError, OSError) as error:
                    raise CplabError(f"{path} is no picture: take it out of the folder") from error
                goes = half if split or number % 5 < 4 else "test"
                parts[f"{goes}_x"].append(np.asarray(picture))
                parts[f"{goes}_y"].append(label)
    few = min(len(parts["train_y"]), len(parts["test_y"]))
    require(few, f"{folder} has too few pictures: give a folder for each class, 5 pictures or more")
    return {
        part: np.array(some, np.uint8 if part[-1] == "x" else int) for part, some in parts.items()
    }


# The practice set ---------------------------------------------------------------------------------


@lru_cache(maxsize=2)
def practice(most: int = MOST_IMAGES) -> dict[str, np.ndarray]:
    """A procedural set for machines without data: 10 classes of coloured textures.

    A class is one of five coarse colour layouts, seen at any resolution, and one of two
    orientations of a fine grating, which blur destroys; both under noise. Always the same.
    It lets everything run, but no critical period is seen in the shipped runs (course, 3 seeds).

    Arguments: most, images of each half that are made, the first ones.
    """
    train = PRACTICE * 5 // 6
    first, last = np.arange(min(train, most)), np.arange(train, min(PRACTICE, train + most))
    x, y = practice_images(np.concatenate([first, last]))
    halves = {"train_x": x[: len(first)], "test_x": x[len(first) :]}
    return halves | {"train_y": y[first], "test_y": y[last]}


def practice_images(wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Images of the practice set, (n, 32, 32, 3), by their growing numbers, and all labels."""
    rng, count = np.random.default_rng(0), PRACTICE
    labels = rng.integers(0, 10, count)
    coarse, fine = labels // 2, labels % 2
    layouts = rng.standard_normal((5, 4, 4, 3)).astype(np.float32)
    blobs = layouts[coarse] * 0.5 + rng.standard_normal((count, 4, 4, 3), dtype=np.float32)
    angle = np.pi * (0.25 + 0.5 * fine + rng.normal(0, 0.12, count))
    period = rng.uniform(4.0, 6.0, count)
    phase = rng.uniform(0, 2 * np.pi, count)
    colour = rng.standard_normal((count, 1, 1, 3), dtype=np.float32)
    grid, pixels = np.arange(32), np.empty((len(wanted), 32, 32, 3), np.uint8)
    for begin in range(0, wanted[-1] + 1, 500):  # some at a time, to spare memory
        # also of images that nobody asked for: chance goes on from it
        noise = rng.standard_normal((500, 32, 32, 3), dtype=np.float32)
        now = (begin <= wanted) & (wanted < begin + 500)
        some = wanted[now]
        tilt, pace = angle[some, None, None], 2 * np.pi / period[some, None, None]
        wave = (np.cos(tilt) * grid[:, None] + np.sin(tilt) * grid) * pace
        grating = np.sin(wave + phase[some, None, None]).astype(np.float32)
        picture = blobs[some].repeat(8, 1).repeat(8, 2)
        picture += 0.8 * grating[..., None] * colour[some]
        picture += 0.5 * noise[some - begin]
        pixels[now] = np.clip(128 + 40 * picture, 0, 255)
    return pixels, labels.astype(np.uint8)
