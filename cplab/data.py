"""Images as uint8 tensors held in memory, from a directory, the cache or the network.

torch is imported where it is used, so that a few images can be looked at without it.
"""

from __future__ import annotations

import hashlib
import math
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import ZipFile

import numpy as np

from cplab.checks import CplabError, atomic_file, cache_dir, named_folder, one_of, quote
from cplab.profiles import PROFILES, Profile

if TYPE_CHECKING:
    from torch import Tensor

DOWNLOADS = {  # torchvision's class, size of the download in MB
    "cifar10": ("CIFAR10", 170),
    "mnist": ("MNIST", 12),
    "fashion_mnist": ("FashionMNIST", 31),
}
KNOWN_COPIES = {"22469a5b56f2": "cifar10-jpeg"}  # by fingerprint of the training images
ARRAYS = ("train_x", "train_y", "test_x", "test_y")
MOST_IMAGES = 200_000  # images of a set that is read


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

    Arguments: dataset, one of cifar10, mnist, fashion_mnist, practice; profile; device.
    Raises: CplabError for a set that is neither at hand nor to be had, or a damaged file.

    >>> images("practice", "ci").train_x.shape
    torch.Size([512, 8, 8, 3])
    """
    found = shared_images(dataset, profile, device)
    every: dict[str, Any] = {f.name: getattr(found, f.name) for f in fields(found)}
    return replace(found, **{k: v.clone() for k, v in every.items() if not isinstance(v, str)})


def shared_images(dataset: str, profile: str, device: str = "cpu") -> Images:
    """The same, of which all that train in this process have one copy: nobody changes it."""
    from cplab import devices

    one_of("dataset", dataset, (*DOWNLOADS, "practice"))
    known = PROFILES[one_of("profile", profile, PROFILES)]
    return _images(dataset, known, str(devices.pick(device)))


@lru_cache(maxsize=4)
def _images(dataset: str, profile: Profile, device: str) -> Images:
    import torch

    arrays, copy = load_arrays(dataset, max(profile.train_images, profile.test_images))
    arrays, parts = dict(arrays), {}
    for split, count in (("train", profile.train_images), ("test", profile.test_images)):
        x = torch.as_tensor(arrays.pop(f"{split}_x")[:count])  # pop, to spare memory
        parts[f"{split}_x"] = resize(x if x.ndim == 4 else x[..., None], profile.size)
        parts[f"{split}_y"] = torch.as_tensor(arrays[f"{split}_y"][:count]).long()
    for name, one in zip(("mean", "std"), mean_and_deviation(parts["train_x"]), strict=True):
        parts[name] = torch.as_tensor(one).float()
    return Images(dataset, copy, **{name: part.to(device) for name, part in parts.items()})


def channels(dataset: str) -> int:
    """How many colours a data set's images have, known without them."""
    return 1 if dataset.endswith("mnist") else 3


def mean_and_deviation(x: Any) -> tuple[np.ndarray, np.ndarray]:
    """Of uint8 images (N, H, W, C), each (C,), by counting how often each value is there: exact,
    and without a copy of the images in float64."""
    value = np.arange(256)
    pixels = np.asarray(x).reshape(-1, x.shape[-1])
    counts = np.stack([np.bincount(one, minlength=256) for one in pixels.T])
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


def location(dataset: str) -> Path | None:
    """What a set is read from: $CPLAB_DATA, then the cache; None if it is nowhere."""
    folders = filter(None, (named_folder("CPLAB_DATA"), cache_dir() / "data"))
    places = [place / f"{dataset}.npz" for place in folders]
    return next((place for place in places if place.exists()), None)


def is_here(dataset: str) -> bool:
    """Whether a set can be read without fetching it."""
    return dataset == "practice" or location(dataset) is not None


def load_arrays(dataset: str, most: int = MOST_IMAGES) -> tuple[dict[str, np.ndarray], str]:
    """The arrays of a set and the name of the copy; a set that is nowhere is fetched.

    Arguments: most, images of each half that are kept, to spare memory; the whole file is read.
    """
    if dataset == "practice":  # some or all, of which each is made once
        return practice(most=1000 if most <= 1000 else MOST_IMAGES), "practice"
    path = location(dataset) or fetch(dataset)
    try:
        digest = hashlib.sha256()
        check_sizes(path)
        with np.load(path) as file:
            arrays = {f"{half}_y": file[f"{half}_y"][:most] for half in ("train", "test")}
            copy = str(file["copy"]) if "copy" in file else None
            arrays["train_x"] = first_images(file, "train_x", most, digest.update)
            arrays["test_x"] = first_images(file, "test_x", most)
        if not {*arrays["train_y"].tolist(), *arrays["test_y"].tolist()} <= {*range(10)}:
            raise ValueError("its labels are not all from 0 to 9")
        if copy is not None and not re.fullmatch(r"[\w .:-]{1,60}", copy):
            raise ValueError("the name of its copy is no plain text")
    except Exception as error:  # numpy and zipfile raise almost anything for a damaged file
        raise CplabError(
            f"{path} is damaged or no data set ({quote(error)}): remove it, "
            f"then `cplab data fetch {dataset}` or set $CPLAB_DATA to a directory of good files"
        ) from error
    if copy is None:
        begin = digest.hexdigest()[:12]
        copy = KNOWN_COPIES.get(begin, f"{dataset}-{begin}")
    return arrays, copy


def first_images(file: Any, name: str, most: int, tell: Callable = lambda part: None) -> Any:
    """The first images of an array in an opened .npz file, and no more of it in memory. It is read
    to its end all the same, in parts that `tell` is told: its checksum is of the whole."""
    with file.zip.open(f"{name}.npy") as packed:
        shape, by_columns, _ = read_header(packed)
        if by_columns:
            tell(np.ascontiguousarray(file[name]).data)
            return file[name][:most]
        pixels = np.empty((min(most, shape[0]), *shape[1:]), np.uint8)
        length = packed.readinto(pixels)
        tell(pixels.data.cast("B"))
        while part := packed.read(2**20):
            tell(part)
            length += len(part)
    if length != math.prod(shape):
        raise ValueError(f"{name} is not as long as it says")
    return pixels


def read_header(file: Any) -> Any:
    """Shape, whether it is by columns, and kind of an opened .npy file."""
    version = np.lib.format.read_magic(file)[0]
    return getattr(np.lib.format, f"read_array_header_{version}_0")(file)


def check_sizes(path: Path) -> None:
    """Raise ValueError unless the arrays of an .npz file say that they are images and as many
    labels: before any memory is taken for them."""
    headers = {}
    with ZipFile(path) as archive:
        for name in {*ARRAYS, "copy"} & {name.removesuffix(".npy") for name in archive.namelist()}:
            with archive.open(f"{name}.npy") as file:
                headers[name], _, kind = read_header(file)
            allowed = "U" if name == "copy" else "u" if name.endswith("x") else "iu"
            if kind.kind not in allowed or kind.itemsize > {"u": 1, "iu": 8}.get(allowed, 240):
                raise ValueError(f"{name} holds {kind}")
    if headers.get("copy"):
        raise ValueError("it has several names")
    for split in ("train", "test"):
        x, y = headers[f"{split}_x"], headers[f"{split}_y"]
        if x[1:] != headers["train_x"][1:] or x[1:] not in ((32, 32, 3), (28, 28)):
            raise ValueError(f"{split}_x is of shape {x}")
        if y != x[:1] or not 0 < x[0] <= MOST_IMAGES:
            raise ValueError(f"{split}_y is of shape {y}")


def fetch(dataset: str) -> Path:
    """Download a set through torchvision (progress bar, checksums) into the cache as .npz."""
    from filelock import FileLock

    kind, megabytes = DOWNLOADS[one_of("dataset", dataset, DOWNLOADS)]
    home = cache_dir() / "data"
    target = home / f"{dataset}.npz"
    try:
        home.mkdir(parents=True, exist_ok=True)
        with FileLock(target.with_suffix(".lock")):
            if not target.exists():
                print(f"fetching {dataset}: {megabytes} MB into {home}", file=sys.stderr)
                try:
                    arrays: dict[str, Any] = download(kind, home / "raw")
                    with atomic_file(target) as partial, partial.open("wb") as file:
                        np.savez(file, **arrays, copy=f"{dataset}-original")
                finally:
                    shutil.rmtree(home / "raw", ignore_errors=True)
    except ImportError as error:
        raise CplabError(
            f"{dataset} is not at hand, and what would fetch it is not installed: pip install "
            f"torchvision, or point $CPLAB_DATA to a directory with {dataset}.npz"
        ) from error
    except Exception as error:  # of the network, an archive or the disk
        raise CplabError(
            f"{dataset} is not at hand and could not be fetched ({quote(error)}): connect and "
            f"`cplab data fetch {dataset}`, or point $CPLAB_DATA to a directory with "
            f"{dataset}.npz, or go on with --dataset practice"
        ) from error
    return target


def download(kind: str, folder: Path) -> dict[str, np.ndarray]:
    """Arrays of a torchvision data set."""
    from torchvision import datasets

    arrays = {}
    for split in ("train", "test"):
        part = getattr(datasets, kind)(folder, train=split == "train", download=True)
        arrays[f"{split}_x"] = np.asarray(part.data)
        arrays[f"{split}_y"] = np.asarray(part.targets, dtype=np.uint8)
    return arrays


@lru_cache(maxsize=2)
def practice(count: int = 12_000, seed: int = 0, most: int = MOST_IMAGES) -> dict[str, np.ndarray]:
    """A procedural set for machines without data: 10 classes of coloured textures.

    A class is one of five coarse colour layouts, seen at any resolution, and one of two
    orientations of a fine grating, which blur destroys; both under noise. Made from the seed.
    It lets everything run, but no critical period is seen in the shipped runs (course, 3 seeds).

    Arguments: most, images of each half that are made, the first ones.
    """
    train = count * 5 // 6
    first, last = np.arange(min(train, most)), np.arange(train, min(count, train + most))
    x, y = practice_images(np.concatenate([first, last]), count, seed)
    halves = {"train_x": x[: len(first)], "test_x": x[len(first) :]}
    return halves | {"train_y": y[first], "test_y": y[last]}


def practice_images(
    wanted: np.ndarray, count: int = 12_000, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Images of the practice set, (n, 32, 32, 3), by their growing numbers, and all labels."""
    rng = np.random.default_rng(seed)
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
