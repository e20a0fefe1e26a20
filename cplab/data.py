"""Images as uint8 tensors held in memory, from a directory, the cache or the network.

torch is imported where it is used, so that results can be looked at without it.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from cplab import digits
from cplab.errors import (
    CplabError,
    atomic_file,
    cache_dir,
    installed,
    lock_file,
    named_folder,
    one_of,
    quote,
    require,
)
from cplab.specs import mix_seeds
from cplab.specs.profiles import PROFILES, is_own, split_part

if TYPE_CHECKING:
    from torch import Tensor

# torchvision's class, megabytes to download, and the files that torchvision keeps, packed or not
DOWNLOADS = {
    "cifar10": ("CIFAR10", 170, "cifar-10-*py*"),
    "mnist": ("MNIST", 12, "MNIST/raw/*-ubyte*"),
    "fashion_mnist": ("FashionMNIST", 31, "FashionMNIST/raw/*-ubyte*"),
}
INNER = {"cifar-10-batches-py", "MNIST", "FashionMNIST"}  # folders that torchvision makes
NOWHERE = "none"  # as $CPLAB_DATA: no images are at hand
KNOWN_COPIES = {"22469a5b56f2": "cifar10-jpeg"}  # by fingerprint of the training images
ARRAYS = ("train_x", "train_y", "test_x", "test_y")
MOST_CLASSES = 1000  # of a set
SIZES = ((32, 32, 3), (32, 32), (28, 28))  # of an image
FITS = (
    "give uint8 images train_x and test_x of 32 × 32 × 3, 32 × 32 or 28 × 28 pixels, and labels "
    "train_y and test_y from 0 on"
)
PRACTICE = 12_000  # images of the practice set, of which the last sixth is for testing
ROOTS = [
    f"{home}{name}" for home in ("./", "../", "../../", "~/") for name in ("data", "datasets", "")
]


@dataclass(frozen=True)
class Images:
    """A data set as a profile uses it: images uint8 (N, H, W, C), labels int64 (N,), and the mean
    and std (C,) of the training images, 0 to 255. `copy` names the files that they come from."""

    name: str
    copy: str
    train_x: Tensor
    train_y: Tensor
    test_x: Tensor
    test_y: Tensor
    mean: Tensor
    std: Tensor

    def normal(self, x: Tensor) -> Tensor:
        """Normalise uint8 images (N, H, W, C) to float32 (N, C, H, W), channels last, with mean 0
        and deviation 1."""
        return ((x - self.mean) / self.std).permute(0, 3, 1, 2)


def images(dataset: str = "cifar10", profile: str = "course") -> Images:
    """The images of a data set (cifar10, mnist, fashion_mnist, drawn, practice, or a name that
    images_from gave) as a profile has them: the first ones, or those of a further part
    (cifar10-part2), padded to 32 pixels and shrunk to the profile's size. They are a copy, yours to
    change.

    >>> images("practice", "ci").train_x.shape
    torch.Size([512, 8, 8, 3])
    """
    require(isinstance(dataset, str), f"dataset {quote(dataset)} is not allowed: give its name")
    with installed():
        return deepcopy(shared_images(dataset, profile))


@lru_cache(maxsize=4)
def shared_images(dataset: str, profile: str, device: str = "cpu") -> Images:
    """The images of a profile on a device, one copy for all trainings of this process; nobody may
    change it."""
    import torch

    size = PROFILES[one_of("profile", profile, PROFILES)]
    arrays, copy = load_arrays(dataset)
    number, count = split_part(dataset)[1], len(arrays["train_y"])
    taken = size.own_images or size.train_images
    last = number * taken
    what = f"{dataset} has no {taken} training images for {profile} of its {count}"
    require(number == 1 or last <= count, f"{what}: take a part before")
    slices = {"train": slice(last - taken, last), "test": slice(size.test_images)}
    parts = {}
    for split, chosen in slices.items():
        x = torch.as_tensor(arrays[f"{split}_x"][chosen])
        parts[f"{split}_x"] = resize(x if x.ndim == 4 else x[..., None], size.size, size.pad)
        parts[f"{split}_y"] = torch.as_tensor(arrays[f"{split}_y"][chosen]).long()
    pixels = parts["train_x"].numpy()
    parts["mean"] = torch.as_tensor(pixels.mean((0, 1, 2))).float()
    parts["std"] = torch.as_tensor(pixels.std((0, 1, 2), ddof=1)).float()
    return Images(dataset, copy, **{name: part.to(device) for name, part in parts.items()})


@lru_cache(maxsize=64)
def own_images(dataset: str, profile: str, seed: int, count: int, device: str = "cpu") -> Images:
    """The images of a seed that draws `count` training images of its own from those of a profile;
    the test images are everybody's."""
    import torch

    everybody = shared_images(dataset, profile, device)
    generator = torch.Generator().manual_seed(mix_seeds(seed, "own images"))
    drawn = torch.randperm(len(everybody.train_y), generator=generator)[:count].to(device)
    what = f"{dataset} has {len(everybody.train_y)} training images to draw from"
    require(len(drawn) == count, f"{what}: ask for as many or fewer, not {count}")
    x, y = everybody.train_x[drawn], everybody.train_y[drawn]
    return replace(everybody, train_x=x, train_y=y)


def channels(dataset: str) -> int:
    """The number of colour channels of a data set; its files are read only if it is your own."""
    if is_own(dataset):
        return 3 if load_arrays(dataset)[0]["train_x"].ndim == 4 else 1
    return 1 if split_part(dataset)[0].endswith(("mnist", "drawn")) else 3


@lru_cache
def classes(dataset: str) -> int:
    """The number of classes of a data set; its files are read only if it is your own."""
    if not is_own(dataset):
        return 10
    arrays, _ = load_arrays(dataset)
    return 1 + int(max(arrays["train_y"].max(), arrays["test_y"].max()))


def resize(x: Tensor, size: int, pad: bool = True) -> Tensor:
    """Zero-pad uint8 images (N, H, W, C) to 32 pixels, as the paper pads MNIST, unless `pad` is
    False, and average them down."""
    import torch.nn.functional as F

    border = (32 - x.shape[1]) // 2 if pad else 0
    planes = F.pad(x, (0, 0, border, border, border, border)).permute(0, 3, 1, 2).float()
    small = F.interpolate(planes, size=(size, size), mode="area").round().byte()
    return small.permute(0, 2, 3, 1).contiguous()


# Where a set is -----------------------------------------------------------------------------------


def folders() -> Iterator[Path]:
    """Yield the folders in which data sets are looked for: $CPLAB_DATA, the cache, torchvision's
    usual places. Raises CplabError where $CPLAB_DATA is no folder."""
    folder = named_folder("CPLAB_DATA")
    if folder == Path(NOWHERE):
        return
    if folder:
        what = f"$CPLAB_DATA {quote(str(folder))} is no directory"
        require(folder.exists(), f"{what}: name one that is there")
        while folder.is_file() or {folder.name, folder.parent.name} & INNER:
            folder = folder.parent
        yield folder
    yield cache_dir() / "data"
    yield from (Path(os.path.expanduser(root)) for root in ROOTS)


def location(dataset: str) -> Path | None:
    """Where a data set is read from: an .npz file, or a root folder of torchvision's, or None."""
    kind, _, pattern = DOWNLOADS.get(dataset, ("", 0, ""))
    own = [cache_dir() / "data"] if is_own(dataset) else []  # even where no images are at hand
    for folder in (*folders(), *own):
        with suppress(OSError):  # of a directory that may not be read
            for place in (folder, folder / dataset, folder / kind):
                if (path := place / f"{dataset}.npz").exists():
                    return path
                if pattern and any(place.glob(pattern)):
                    return place
    return None


def is_here(dataset: str) -> bool:
    """Whether a data set can be read without the network; a file that is cut off cannot."""
    with suppress(CplabError):
        return bool(load_arrays(dataset, online=False))
    return False


def load_arrays(dataset: str, online: bool = True) -> tuple[dict[str, np.ndarray], str]:
    """Load train_x and test_x of a data set, uint8 (N, H, W, 3) or (N, H, W), their labels, and the
    name of the copy; fetch it if it is nowhere. A part's name gives the whole set. Raises
    CplabError if fetching fails or a file is damaged."""
    dataset, _ = split_part(dataset)
    if dataset == "practice":
        return practice(), "practice"
    if dataset == "drawn":
        return digits.drawn(), "drawn"
    arrays, copy = read_file(fetch(dataset, online), f"remove it, `cplab data fetch {dataset}`")
    if not copy:
        digest = hashlib.sha256(np.ascontiguousarray(arrays["train_x"]).data).hexdigest()[:12]
        copy = KNOWN_COPIES.get(digest, f"{dataset}-{digest}")
    return arrays, copy


def read_file(path: Path, remedy: str) -> tuple[dict[str, np.ndarray], str]:
    """Read the four arrays of an .npz file, and the name of the copy if it states one. Raises
    CplabError, with a remedy, if the file is damaged or holds no images."""
    try:
        with path.open("rb") as opened:
            file = np.load(opened, allow_pickle=False)
            arrays = {name: file[name] for name in ARRAYS}
            copy = str(file["copy"]) if "copy" in file else ""
        check_arrays(arrays)
    except Exception as error:  # numpy and zipfile raise almost anything for a damaged file
        raise CplabError(
            f"{path} is damaged or no data set ({quote(error)}): {remedy}, or set $CPLAB_DATA to a "
            f"directory of good files"
        ) from error
    return arrays, copy


def check_arrays(arrays: dict[str, np.ndarray]) -> None:
    """Raise ValueError unless these are training and test images with labels."""
    for split in ("train", "test"):
        x, y = arrays[f"{split}_x"], arrays[f"{split}_y"]
        size = x.shape[1:]
        if x.dtype != np.uint8 or size not in SIZES or size != arrays["train_x"].shape[1:]:
            raise ValueError(f"{split}_x is of shape {x.shape} and type {x.dtype}")
        if y.dtype.kind not in "iu" or y.shape != x.shape[:1] or not len(y):
            raise ValueError(f"{split}_y is of shape {y.shape} and type {y.dtype}")
        if y.min() < 0 or y.max() >= MOST_CLASSES:
            raise ValueError(f"its labels are not all from 0 to {MOST_CLASSES - 1}")


def fetch(dataset: str, online: bool = True) -> Path:
    """The .npz file of a data set. If there is none yet it is made in the cache, from torchvision's
    files or archives where they are, else by its download. Raises CplabError if that fails."""
    root = location(dataset)
    if root and root.suffix == ".npz":
        return root
    message = f"{dataset} is not in this cache: call cplab.images_from on it again"
    require(not is_own(dataset), message)
    one_of("dataset", dataset, DOWNLOADS)
    require(root or online, f"{dataset} is not at hand: `cplab data fetch {dataset}`")
    home = cache_dir() / "data"
    target = home / f"{dataset}.npz"
    try:
        home.mkdir(parents=True, exist_ok=True)
        with lock_file(target.with_suffix(".lock")), TemporaryDirectory(dir=home) as raw:
            if not target.exists():
                arrays = take_in(dataset, root, Path(raw), online)
                save(target, arrays, f"{dataset}-original")
    except Exception as error:  # of the network, an archive or the disk
        remedy = "pip install torchvision" if isinstance(error, ImportError) else "connect"
        reason = str(error) if isinstance(error, CplabError) else quote(error)
        raise CplabError(
            f"{dataset} is not at hand and could not be fetched ({reason}): {remedy} and "
            f"`cplab data fetch {dataset}`, or point $CPLAB_DATA to a directory with "
            f"{dataset}.npz, or go on with --dataset practice"
        ) from error
    return target


def save(path: Path, arrays: dict[str, np.ndarray], copy: str) -> None:
    with atomic_file(path) as partial, partial.open("wb") as file:
        np.savez(file, **arrays, copy=copy)  # type: ignore[arg-type]


def take_in(dataset: str, root: Path | None, raw: Path, online: bool) -> dict[str, np.ndarray]:
    """Make the arrays of a data set from torchvision's files under a root, else from its archives
    there, else, if `online`, by a download; `raw` is an empty folder to unpack in."""
    kind, megabytes, pattern = DOWNLOADS[dataset]
    archives: list[Path] = []
    if root:
        with suppress(RuntimeError):  # where they are not whole
            return download(kind, root, False)
        archives = [path for path in root.glob(pattern) if path.suffix == ".gz"]
        for path in archives:
            copy = raw / path.relative_to(root)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy)
    if not archives:
        require(online, "no whole files of it are here")
        print(f"fetching {dataset}: {megabytes} MB into {raw.parent}", file=sys.stderr)
    return download(kind, raw)  # which unpacks an archive that is whole


def download(kind: str, folder: Path, fetched: bool = True) -> dict[str, np.ndarray]:
    """The arrays of one of torchvision's data sets, downloaded to a folder or read from it."""
    from torchvision import datasets

    make = getattr(datasets, kind)
    return halves(*(make(folder, train=train, download=fetched) for train in (True, False)))


def halves(train: Any, test: Any) -> dict[str, np.ndarray]:
    """The arrays of the two halves of a torchvision data set."""
    arrays: dict[str, np.ndarray] = {}
    for half, part in (("train", train), ("test", test)):
        x, y = getattr(part, "data", None), getattr(part, "targets", getattr(part, "labels", None))
        what = f"{quote(part)} has no data and targets in memory"
        require(x is not None and y is not None, f"{what}: give a folder of pictures, or an .npz")
        arrays |= {f"{half}_x": np.asarray(x), f"{half}_y": np.asarray(y)}
    return arrays


# A set of your own --------------------------------------------------------------------------------


def images_from(source: Any, test: Any = None, *, name: str = "") -> str:
    """Take in your own images, and return their name for `Run(dataset=…)`.

    Arguments: source, a folder with a folder of pictures for each class (of which every fifth is
        for testing, unless there are `train` and `test`), an .npz file with train_x, train_y,
        test_x and test_y, or a data set of torchvision's, with its other half as `test`; name, what
        to call them, by default the name of the source.
    Returns: name@digest, with a digest of images and labels, which are kept in the cache.

    >>> rng = np.random.default_rng(0)
    >>> x, y = rng.integers(0, 256, (20, 28, 28), dtype=np.uint8), np.arange(20) % 4
    >>> half = type("Squares", (), {"data": x, "targets": y})
    >>> images_from(half, half).partition("@")[0]  # then a digest of the content
    'squares'
    """
    if isinstance(source, str | os.PathLike):
        path = Path(source).expanduser()
        label, arrays = path.stem, read_folder(path) if path.is_dir() else read_file(path, FITS)[0]
    else:
        require(test is not None, "one half of a data set is no data set: give the test half too")
        label, arrays = getattr(source, "__name__", type(source).__name__), halves(source, test)
    try:
        check_arrays(arrays)
    except (ValueError, IndexError) as error:
        raise CplabError(f"{quote(label)} does not fit ({error}): {FITS}") from error
    digest = hashlib.sha256()
    for part in ARRAYS:
        digest.update(arrays[part].astype("u1" if part.endswith("x") else "<i8").tobytes())
    plain = re.sub(r"\W+", "_", (name or label).lower()).strip("_")[:30]
    own = f"{plain if plain[:1].isalpha() else f'own_{plain}'[:30]}@{digest.hexdigest()[:12]}"
    path = cache_dir() / "data" / f"{own}.npz"
    try:
        if not path.exists():
            save(path, arrays, own)
    except OSError as error:
        how = "set $CPLAB_CACHE to a directory that can be written"
        raise CplabError(f"{own} could not be kept in {path.parent} ({error}): {how}") from error
    return own


def read_folder(folder: Path) -> dict[str, np.ndarray]:
    """Read pictures from one folder for each class, cut to squares, shrunk to 32 pixels, in
    colour."""
    from PIL import Image, ImageOps

    split = (folder / "train").is_dir() and (folder / "test").is_dir()
    homes = {"train": folder / "train", "test": folder / "test"} if split else {"train": folder}
    # hidden files and folders belong to the system, and one without files is no class
    names = sorted(p.name for p in homes["train"].glob("[!.]*") if any(p.glob("[!.]*")))
    parts: dict[str, list] = {part: [] for part in ARRAYS}
    for half, home in homes.items():
        for label, kind in enumerate(names):
            files = filter(Path.is_file, (home / kind).glob("[!.]*"))
            for number, path in enumerate(sorted(files)):
                try:
                    with Image.open(path) as opened:
                        upright = ImageOps.exif_transpose(opened)
                        picture = ImageOps.fit(upright.convert("RGB"), (32, 32))
                except (OSError, Image.DecompressionBombError) as error:
                    raise CplabError(f"{path} is no picture: take it out of the folder") from error
                part_half = half if split or number % 5 < 4 else "test"
                parts[f"{part_half}_x"].append(np.asarray(picture))
                parts[f"{part_half}_y"].append(label)
    few = min(len(parts["train_y"]), len(parts["test_y"]))
    require(few, f"{folder} has too few pictures: give a folder for each class, 5 pictures or more")
    types = {"x": np.uint8, "y": int}
    return {part: np.array(entries, types[part[-1]]) for part, entries in parts.items()}


# The practice set ---------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def practice() -> dict[str, np.ndarray]:
    """A computed set for machines without data, always the same. A class is one of five coarse
    colour layouts, visible at any resolution, with one of two orientations of a fine grating, which
    blur destroys. Its shipped runs show no critical period (course, 3 seeds)."""
    rng, count = np.random.default_rng(0), PRACTICE
    labels = rng.integers(0, 10, count)
    coarse, fine = labels // 2, labels % 2
    layouts = rng.standard_normal((5, 4, 4, 3)).astype(np.float32)
    blobs = layouts[coarse] * 0.5 + rng.standard_normal((count, 4, 4, 3), dtype=np.float32)
    angle = np.pi * (0.25 + 0.5 * fine[:, None, None] + rng.normal(0, 0.12, (count, 1, 1)))
    pace = 2 * np.pi / rng.uniform(4.0, 6.0, (count, 1, 1))
    phase = rng.uniform(0, 2 * np.pi, (count, 1, 1))
    colour = rng.standard_normal((count, 1, 1, 3), dtype=np.float32)
    grid, x, y = np.arange(32), np.empty((count, 32, 32, 3), np.uint8), labels.astype(np.uint8)
    for begin in range(0, count, 500):  # some at a time, to spare memory
        chunk = slice(begin, begin + 500)
        wave = (np.cos(angle[chunk]) * grid[:, None] + np.sin(angle[chunk]) * grid) * pace[chunk]
        grating = np.sin(wave + phase[chunk]).astype(np.float32)
        picture = blobs[chunk].repeat(8, 1).repeat(8, 2)
        picture += 0.8 * grating[..., None] * colour[chunk]
        picture += 0.5 * rng.standard_normal((500, 32, 32, 3), dtype=np.float32)
        x[chunk] = np.clip(128 + 40 * picture, 0, 255)
    train = count * 5 // 6
    return {"train_x": x[:train], "train_y": y[:train], "test_x": x[train:], "test_y": y[train:]}
