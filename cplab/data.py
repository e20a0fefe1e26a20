"""Images as uint8 tensors held in memory, from a file, a download or a folder of your own
pictures."""

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
from typing import TYPE_CHECKING, Any
from unicodedata import normalize

import numpy as np

from cplab import arrays, digits, files
from cplab.errors import CplabError, one_of, quote
from cplab.late import F, Tensor, torch
from cplab.specs import mix_seeds
from cplab.specs.profiles import PROFILES, is_own, split_part

if TYPE_CHECKING:
    from PIL.Image import Image

# torchvision's class, megabytes to download, where it leaves them, and where Debian puts them
DOWNLOADS: dict[str, tuple[Any, ...]] = {
    "cifar10": ("CIFAR10", 170, "cifar-10-batches-py"),
    "mnist": ("MNIST", 12, "MNIST/raw"),
    "fashion_mnist": ("FashionMNIST", 31, "FashionMNIST/raw", "/usr/share/datasets/fashion-mnist"),
}
ROOTS = ("data", "~/data")  # of torchvision's folders, beside $CPLAB_DATA
KNOWN_COPIES = {  # by fingerprint of the training images
    "22469a5b56f2": "cifar10-jpeg",
    "a9d62c74c8ce": "drawn",
    "3097e158e97c": "practice",
}
MOST_CLASSES = 1000  # of a set
SIZES = {(32, 32, 3), (32, 32), (28, 28, 3), (28, 28)}  # of an image
FITS = (
    "give images train_x and test_x (N, side, side) or (N, side, side, 3), of whole numbers from 0 "
    "to 255 or fractions from 0 to 1, and labels train_y and test_y from 0 on"
)
EACH = 5  # pictures that a class needs, of which one is for testing
PRACTICE = 12_000  # images of the practice set, of which the last sixth is for testing


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

    @cached_property
    def normal_test(self) -> Tensor:
        """The test images, normalised."""
        return self.normal(self.test_x)

    def normal(self, x: Tensor) -> Tensor:
        """Normalise uint8 images (N, H, W, C) to float32 (N, C, H, W), as devices.memory_format
        says, with mean 0 and deviation 1; a channel that is the same everywhere becomes 0."""
        from cplab.devices import memory_format

        normal = ((x - self.mean) / self.std).permute(0, 3, 1, 2)
        return normal.contiguous(memory_format=memory_format(x.device))


def images(dataset: str = "cifar10", profile: str = "course") -> Images:
    """The images of a data set (cifar10, mnist, fashion_mnist, drawn, practice, or a name that
    images_from gave) as a profile has them, padded to 32 pixels and shrunk to its size: the first
    ones, those of a further part (cifar10-part2), or, of your own, ones drawn evenly from all
    classes. They are a copy, yours to change.

    >>> images("practice", "ci").train_x.shape
    torch.Size([512, 8, 8, 3])
    """
    return deepcopy(shared_images(dataset, profile))


@lru_cache(maxsize=4)
def shared_images(dataset: str, profile: str, device: str = "cpu") -> Images:
    """The images of a profile on a device: one copy for all trainings of this process, which must
    not be changed."""
    settings = PROFILES[one_of("profile", profile, PROFILES)]
    found, copy = load_arrays(dataset)
    taken = settings.own_images or settings.train_images
    _, part = split_part(dataset)
    if part > 1 and part * taken > len(found["train_y"]):
        raise CplabError(f"{dataset} has no {taken} images for {profile}: take an earlier part")
    class_count = len(np.unique(found["train_y"]))
    fewest = min(taken, settings.test_images)
    if is_own(dataset) and class_count > fewest:
        what = f"{dataset} has {class_count} classes, and {profile} takes {fewest} images"
        raise CplabError(f"{what}: take a larger profile")
    parts = {}
    for half, first, most in (
        ("train", (part - 1) * taken, taken),
        ("test", 0, settings.test_images),
    ):
        y = found[f"{half}_y"]
        chosen = evenly(y, most) if is_own(dataset) else slice(first, first + most)
        x = torch.as_tensor(found[f"{half}_x"][chosen])
        if x.ndim == 3:
            x = x[..., None]  # a channel of grey
        parts[f"{half}_x"] = resize(x, settings.size, settings.pad)
        parts[f"{half}_y"] = torch.as_tensor(y[chosen]).long()
    pixels = parts["train_x"].numpy()
    deviation = pixels.std((0, 1, 2), ddof=1)
    parts["mean"] = torch.as_tensor(pixels.mean((0, 1, 2))).float()
    parts["std"] = torch.as_tensor(np.where(deviation == 0, 1, deviation)).float()
    return Images(dataset, copy, **{name: part.to(device) for name, part in parts.items()})


def evenly(labels: np.ndarray, most: int) -> np.ndarray:
    """The indices of at most so many images, drawn evenly from all classes: an image of each class
    in turn, in a random order that is always the same, until a class has no more.

    >>> labels = np.repeat([0, 1, 2], [6, 2, 6])
    >>> np.bincount(labels[evenly(labels, 8)])
    array([3, 2, 3])
    """
    order = np.random.default_rng(5).permutation(len(labels))
    turn = np.empty(len(labels), int)
    for label in np.unique(labels):
        [places] = np.nonzero(labels[order] == label)
        turn[places] = np.arange(len(places))
    return order[np.argsort(turn, kind="stable")][:most]


@lru_cache(maxsize=64)
def own_images(
    dataset: str, profile: str, seed: int, count: int, device: str = "cpu", part: int = 1
) -> Images:
    """The images of a seed that draws `count` training images of its own from those of a profile;
    the test images are everybody's. `part`: from 2 on, further images that no part before has."""
    everybody = shared_images(dataset, profile, device)
    generator = torch.Generator().manual_seed(mix_seeds(seed, "own images"))
    order = torch.randperm(len(everybody.train_y), generator=generator)
    drawn = order[(part - 1) * count : part * count].to(device)
    if len(drawn) < count:
        there = len(drawn)
        batch = PROFILES[profile].batch
        most = there - 1 if there % batch == 1 else there  # the last batch may not be one image
        what = f"{count} images are not allowed: {dataset} has {there} to draw from"
        raise CplabError(f"{what}; give images={most}, as Run(..., images={most})")
    return replace(everybody, train_x=everybody.train_x[drawn], train_y=everybody.train_y[drawn])


@lru_cache
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
    found, _ = load_arrays(dataset)
    return 1 + int(max(found["train_y"].max(), found["test_y"].max()))


def resize(x: Tensor, size: int, pad: bool = True) -> Tensor:
    """Zero-pad uint8 images (N, H, W, C) to 32 pixels, as the paper pads MNIST, unless `pad` is
    False, and average them down."""
    border = (32 - x.shape[1]) // 2 if pad else 0
    small = []
    for some in x.split(1000):  # at a time, to spare memory
        padded = F.pad(some, (0, 0, border, border, border, border))
        planes = padded.permute(0, 3, 1, 2).float()  # (N, C, H, W)
        # Whole numbers are summed, so that no order of sums changes a mean; halves go to even
        means = F.interpolate(planes, size=(size, size), mode="area")
        small.append(means.round().byte())
    return torch.cat(small).permute(0, 2, 3, 1).contiguous()


# Where a set is -----------------------------------------------------------------------------------


def location(dataset: str) -> Path | None:
    """The .npz file that a data set is read from, in $CPLAB_DATA if it is set, else in the cache;
    else the folder of its files as torchvision has left them, or as Debian installs Fashion-MNIST;
    None if there is none. Raises CplabError where $CPLAB_DATA is no folder, or a closed one."""
    homes = [files.cache_dir() / "data"]
    if named := files.named_folder("CPLAB_DATA"):
        folder = named.parent if os.path.isfile(named) else named
        if not os.access(folder, os.R_OK | os.X_OK):
            how = "name a directory that is there and that you may read"
            raise CplabError(f"$CPLAB_DATA is {quote(str(named))}: {how}")
        homes.insert(0, folder)
    elif os.environ.get("CPLAB_DATA") == files.NOWHERE and not is_own(dataset):
        return None
    places = [home / f"{dataset}.npz" for home in homes]
    for root in (homes[0], *(Path(root).expanduser() for root in ROOTS)):
        places += [root / inside for inside in DOWNLOADS.get(dataset, ())[2:]]
    for place in places:
        if os.path.isfile(place) or glob(f"{escape(str(place))}/*"):
            return place
    return None


def is_here(dataset: str) -> bool:
    """Whether a data set is available without a download."""
    with suppress(CplabError):
        return dataset in COMPUTED or bool(location(split_part(dataset)[0]))
    return False


def check_dataset(name: Any) -> str:
    """Check the name of a data set, of a part of one, or of a user's own images."""
    if not is_own(name):
        whole = split_part(name)[0] if isinstance(name, str) else name
        one_of("dataset", whole, (*DOWNLOADS, *COMPUTED))
    return name


def load_arrays(dataset: str) -> tuple[dict[str, np.ndarray], str]:
    """Load train_x and test_x of a data set, uint8 (N, H, W, 3) or (N, H, W), their labels, and the
    name of the copy; fetch it if it is nowhere. A part's name gives the whole set. Raises
    CplabError if fetching fails or a file is damaged."""
    dataset, _ = split_part(check_dataset(dataset))
    if dataset in COMPUTED:
        return computed(dataset)
    remedy = f"remove it and `cplab data fetch {dataset}`, or set $CPLAB_DATA to good files"
    found, copy, _ = read_file(fetch(dataset), remedy)
    return found, copy or name_copy(dataset, found["train_x"])


@lru_cache
def computed(dataset: str) -> tuple[dict[str, np.ndarray], str]:
    """The arrays of a computed set, and the name of the copy: the set's own, unless this machine
    computes other images than those on which shipped results rest."""
    found = COMPUTED[dataset]()
    return found, name_copy(dataset, found["train_x"])


def name_copy(dataset: str, train_x: np.ndarray) -> str:
    """The name of a copy of a data set, by a fingerprint of its training images."""
    digest = hashlib.sha256(np.ascontiguousarray(train_x).data).hexdigest()[:12]
    return KNOWN_COPIES.get(digest, f"{dataset}-{digest}")


def read_file(path: Path, remedy: str) -> tuple[dict[str, np.ndarray], str, list[str]]:
    """Read the four arrays of an .npz file, the name of the copy if it states one, and what was
    done to them, in words. Raises CplabError, with a remedy, if the file is damaged or holds no
    images."""
    try:
        with path.open("rb") as opened:
            file = np.load(opened, allow_pickle=False)
            found = {name: file[name] for name in file.files}
    except Exception as error:  # numpy and zipfile raise almost anything for a damaged file
        raise CplabError(f"{path} cannot be read ({quote(error)}): {remedy}") from error
    copy = str(found.pop("copy", ""))
    own, notes = understood(found, path, remedy)
    return own, copy, notes


def understood(
    found: dict[str, Any], source: object, remedy: str
) -> tuple[dict[str, np.ndarray], list[str]]:
    """The package's four arrays of those of a source, and what was done to them, in words. Raises:
    CplabError, with a remedy."""
    try:
        own, notes = arrays.converted(arrays.own_names(found))
    except CplabError as error:
        raise CplabError(f"{source}: {error}; {remedy}") from error
    return checked(own, source, remedy), notes


def checked(found: dict[str, np.ndarray], source: object, remedy: str) -> dict[str, np.ndarray]:
    """Return these arrays if they are training and test images with labels; else raise a CplabError
    with a remedy."""
    for half in ("train", "test"):
        x = found[f"{half}_x"]
        y = found[f"{half}_y"]
        if x.shape[1:] not in {found["train_x"].shape[1:]} & SIZES:
            raise CplabError(f"{half}_x of {source} are {arrays.described(x)}: {remedy}")
        if y.shape != x.shape[:1] or not len(y):
            counts = f"{len(y)} labels of {len(x)} images"
            raise CplabError(
                f"{half}_y of {source} are {counts}, not labels of its images: {remedy}"
            )
        if y.min() < 0 or y.max() >= MOST_CLASSES:
            bounds = f"from {y.min()} to {y.max()}"
            raise CplabError(f"{half}_y of {source} go {bounds}, not from 0 to 999: {remedy}")
        if (x.min(), x.max()) == (0, 1):
            raise CplabError(f"{half}_x of {source} are only 0 and 1, not 0 to 255: {remedy}")
    return found


def fetch(dataset: str) -> Path:
    """The .npz file of a data set. If there is none yet, it is made in the cache from files that
    torchvision has left here, or from its download. Raises CplabError if that fails."""
    there = location(dataset)
    if there and there.suffix == ".npz":
        return there
    if is_own(dataset):
        raise CplabError(f"{dataset} is not in this cache: call cplab.images_from again")
    kind, megabytes, inside, *_ = DOWNLOADS[one_of("dataset", dataset, DOWNLOADS)]
    path = files.cache_dir() / "data" / f"{dataset}.npz"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with files.lock_file(path.with_suffix(".lock")):
            if not path.exists():
                from torchvision import datasets

                make = getattr(datasets, kind)
                what = there or f"{megabytes} MB"
                print(f"fetching {dataset}: {what} into {path.parent}", file=sys.stderr)
                with TemporaryDirectory(dir=path.parent) as folder:
                    if there:
                        copytree(there, Path(folder, inside))
                    for packed in Path(folder).rglob("*.gz"):
                        datasets.utils.extract_archive(str(packed))
                    # which takes whole files that are there, and downloads others
                    parts = [make(folder, train=train, download=True) for train in (True, False)]
                    save(path, halves(*parts), f"{dataset}-original")
    except Exception as error:  # of the network, an archive or the disk
        remedy = "pip install torchvision" if isinstance(error, ImportError) else "connect"
        raise CplabError(
            f"{dataset} is not here and could not be fetched ({quote(error)}): {remedy} and "
            f"`cplab data fetch {dataset}`, or point $CPLAB_DATA to a directory with "
            f"{dataset}.npz, or go on with --dataset drawn"
        ) from error
    return path


def halves(train: Any, test: Any) -> dict[str, Any]:
    """Images and labels of the two halves of a data set, as torchvision, torch, Keras or MedMNIST
    have it. Raises: CplabError."""
    found: dict[str, Any] = {}
    for half, part in (("train", train), ("test", test)):
        x = first_attribute(part, "data", "imgs")
        y = first_attribute(part, "targets", "labels")
        pair = part.tensors if hasattr(part, "tensors") else part
        if isinstance(pair, tuple | list) and len(pair) == 2:
            x, y = pair
        if x is None or y is None or not len(x):
            how = "give a folder of pictures, an .npz, or (images, labels)"
            raise CplabError(f"{quote(part)} has no images and labels in memory: {how}")
        found |= {f"{half}_x": x, f"{half}_y": y}
    return found


def first_attribute(thing: Any, *names: str) -> Any:
    """The first of these attributes that something has, None if it has none."""
    for name in names:
        if hasattr(thing, name):
            return getattr(thing, name)
    return None


def save(path: Path, found: dict[str, np.ndarray], copy: str) -> None:
    """Write arrays as an .npz file that names their copy."""
    with files.atomic_file(path) as partial, partial.open("wb") as file:
        np.savez(file, **found, copy=copy)  # type: ignore[arg-type]


# A set of your own --------------------------------------------------------------------------------


def images_from(source: Any, test: Any = None, *, name: str = "") -> str:
    """Take in your own images, and return their name for `Run(dataset=…)`: name@digest, of images
    and labels, which are kept in the cache. A profile that takes fewer than there are draws them
    evenly from all classes.

    Arguments: source, a folder with a folder of pictures for each class (of which every fifth is
        for testing, unless there are `train` and `test`), an .npz file with train_x, train_y,
        test_x and test_y, or with the names of Keras or MedMNIST; or the training half of a data
        set of torchvision's, or (images, labels), with the other half as `test`; name, what to call
        them, by default the name of the source.

    >>> rng = np.random.default_rng(0)
    >>> x, y = rng.integers(0, 256, (20, 28, 28), dtype=np.uint8), np.arange(20) % 4
    >>> images_from((x, y), (x, y), name="squares").partition("@")[0]  # and a digest
    'squares'
    """
    if isinstance(source, str | os.PathLike):
        if test is not None:
            raise CplabError("test is not allowed here: give one folder with train and test in it")
        path = Path(source).expanduser()
        label = path.stem
        if os.path.isdir(path):
            found, notes = read_folder(path), list[str]()
        else:
            found, _, notes = read_file(path, FITS)
    else:
        if test is None:
            raise CplabError("one half is not a data set: give the test half too")
        plain_pair = isinstance(source, tuple | list)
        label = name if plain_pair else getattr(source, "__name__", type(source).__name__)
        label = label or "images"
        found, notes = understood(halves(source, test), label, FITS)
    arrays.number_classes(found, notes)
    own = own_name(name or label, found)
    path = files.cache_dir() / "data" / f"{own}.npz"
    try:
        if not path.exists():
            save(path, found, own)
    except OSError as error:
        raise CplabError(f"{path} cannot be written ({error}): set $CPLAB_CACHE") from error
    print(f"{own}: {summary(found, notes)}", file=sys.stderr)
    return own


def own_name(label: str, found: dict[str, np.ndarray]) -> str:
    """The name of a user's own data set: its label in plain letters, and a digest of its
    content."""
    plain = re.sub(r"\W+", "_", label.lower()).strip("_")
    if not plain[:1].isalpha():
        plain = f"own_{plain}"
    digest = hashlib.sha256(b"drawn evenly from all classes")  # and how they are drawn
    for part in arrays.NAMES:
        digest.update(found[part].astype("u1" if part.endswith("x") else "<i8").tobytes())
    return f"{plain[:30]}@{digest.hexdigest()[:12]}"


def summary(found: dict[str, np.ndarray], notes: list[str]) -> str:
    """How many images a set has, what was done to them, and what it lacks."""
    words = f"{len(found['train_y'])} images to train on and {len(found['test_y'])} to test"
    untrained = sorted({*found["test_y"].tolist()} - {*found["train_y"].tolist()})
    if untrained:
        words += f", of which classes {untrained} have none to train on"
    if notes:
        words += f" (read with {'; '.join(notes)})"
    return f"{words}; a profile draws fewer evenly from all classes"


def read_folder(folder: Path) -> dict[str, np.ndarray]:
    """Read pictures from one folder for each class, as squares of 32 pixels; from the folders train
    and test of these if there are both, beside which others are left out, and named."""
    homes = halves_of(folder)
    classes = [folders_in(home) for home in homes.values()]
    apart = ", ".join(sorted(classes[0].keys() ^ classes[-1].keys()))
    if apart:
        raise CplabError(f"{apart} is in only one half of {folder}: give each class to both halves")
    found: dict[str, list] = {name: [] for name in arrays.NAMES}
    for half, of_half in zip(homes, classes, strict=True):
        for label, home in enumerate(of_half.values()):
            for number, path in enumerate(in_order(home)):
                every_fifth = "test" if number % EACH == EACH - 1 else "train"
                found[f"{half or every_fifth}_x"].append(np.asarray(read_picture(path)))
                found[f"{half or every_fifth}_y"].append(label)
    if not found["train_y"] or {*found["train_y"]} != {*found["test_y"]}:
        how = (
            f"give a folder for each class, {EACH} pictures or more, or two halves, train and test"
        )
        raise CplabError(f"{folder} has too few pictures: {how}")
    types = {"x": np.uint8, "y": int}
    return {name: np.array(entries, types[name[-1]]) for name, entries in found.items()}


def halves_of(folder: Path) -> dict[str, Path]:
    """The folders train and test in a folder, by name; or the folder itself, under "", where its
    folders are classes. Raises: CplabError where they are neither."""
    inside = folders_in(folder)
    named = {name.lower(): path for name, path in inside.items()}
    if {"train", "test"} <= named.keys():
        if others := ", ".join(named.keys() - {"train", "test"}):
            print(f"{folder}: {others} is left out; only train and test are read", file=sys.stderr)
        return {"train": named["train"], "test": named["test"]}
    if inside and not any(map(os.path.isfile, folder.glob("*/[!.]*"))):
        how = "call two halves train and test, or give a folder of classes"
        raise CplabError(f"{folder} has {', '.join(inside)}, without pictures in them: {how}")
    return {"": folder}


def folders_in(folder: Path) -> dict[str, Path]:
    """The folders in a folder that hold anything, by name; hidden ones belong to the system."""
    return {path.name: path for path in in_order(folder) if any(path.glob("[!.]*"))}


def in_order(folder: Path) -> list[Path]:
    """What is in a folder and not hidden, in an order that is the same on every system: Windows
    would sort without regard to case, and macOS writes é as e and an accent."""
    return sorted(folder.glob("[!.]*"), key=lambda path: normalize("NFC", path.name))


def read_picture(path: Path) -> Image:
    """A picture as an eye sees it, upright, on white, cut to a square of 32 pixels. Raises
    CplabError for a file that is not a picture, or has several pages, or more than 8 bits per
    colour, so that its white is not known."""
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as opened:
            pages = getattr(opened, "n_frames", 1)
            picture = ImageOps.exif_transpose(opened)
        if pages == 1 and picture.mode[0] not in "IF":
            return arrays.square(arrays.on_white(picture))
    except Exception as error:  # Pillow raises almost anything for a damaged file
        raise CplabError(f"{path} cannot be read ({quote(error)}): remove it") from error
    raise CplabError(f"{path} has several pages, or more than 8 bits per colour: save one with 8")


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


COMPUTED = {"drawn": digits.drawn, "practice": practice}  # sets that need no file
