"""Data sets by name: where their files are, and how a missing one is fetched."""

import os
import sys
from contextlib import suppress
from functools import lru_cache
from glob import escape, glob  # which find nothing in a folder that may not be read
from pathlib import Path
from shutil import copytree
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any, NamedTuple

import numpy as np

from cplab.base import files
from cplab.base.errors import CplabError, one_of, quote, to_install, to_type
from cplab.pictures import digits
from cplab.pictures.arrays import Arrays, copy_name, read_npz, write_npz
from cplab.pictures.own_images import is_own_dataset
from cplab.pictures.practice import practice
from cplab.specs.profiles import PROFILES, split_part

COMPUTED = {"drawn": digits.drawn, "practice": practice}  # data sets that need no file


class Download(NamedTuple):
    """A data set that torchvision can download."""

    torchvision_class: str
    megabytes: int
    folder: str  # in which torchvision leaves its files


DOWNLOADS = {
    "cifar10": Download("CIFAR10", 170, "cifar-10-batches-py"),
    "mnist": Download("MNIST", 12, "MNIST/raw"),
    "fashion_mnist": Download("FashionMNIST", 31, "FashionMNIST/raw"),
}
GREY_DATASETS = {"mnist", "fashion_mnist", "drawn"}  # all others have colours
ROOTS = ("data", "~/data")  # where torchvision may have made these folders, beside $CPLAB_DATA
CONNECTION_ADVICE = (
    "connect (log in first where a page asks for it; $HTTPS_PROXY names a proxy, $SSL_CERT_FILE "
    "the certificate of a school)"
)
_fetching = Lock()  # one thread fetches, and the others find what it fetched


def check_dataset(name: Any) -> str:
    """Return the name of a data set, of a part of one, or of a student's own images.

    Raises:
        CplabError: for any other.
    """
    if not is_own_dataset(name):
        dataset = split_part(name).dataset if isinstance(name, str) else name
        one_of("dataset", dataset, (*DOWNLOADS, *COMPUTED))
    return name


def is_here(name: str) -> bool:
    """Whether a data set needs no download; for a part of a set, whether the whole set needs none.

    >>> is_here("practice"), is_here("practice-part2")
    (True, True)
    """
    dataset = split_part(name).dataset
    if dataset in COMPUTED:
        return True
    with suppress(CplabError):
        return location(dataset) is not None
    return False


def few_name(dataset: str, profile: str) -> str:
    """The name of the file of a profile that needs few images of a data set, without its suffix.

    >>> few_name("cifar10", "small")
    'cifar10-small'
    """
    return f"{dataset}-{profile}"


def are_here(dataset: str, profile: str) -> bool:
    """Whether a profile's images of a data set need no download.

    >>> are_here("practice", "small")
    True
    """
    if is_here(dataset):
        return True
    if PROFILES[profile].few:
        with suppress(CplabError):
            return find_npz(few_name(dataset, profile)) is not None
    return False


def to_fetch(dataset: str) -> str:
    """The command that fetches a data set, or the whole set of a part, as it can be typed where the
    reader is."""
    return to_type(f"data fetch {split_part(dataset).dataset}")


def load_arrays(name: str) -> tuple[Arrays, str]:
    """Load all images of a data set, which is fetched if it is not here.

    Arguments:
        name: of the data set or of a part.

    Returns:
        its arrays, and the name of the copy, which says which files they come from.

    Raises:
        CplabError: if fetching fails, or if a file is damaged.
    """
    dataset = split_part(check_dataset(name)).dataset
    if dataset in COMPUTED:
        return make(dataset)
    remedy = f"remove it and `{to_fetch(dataset)}`, or set $CPLAB_DATA to good files"
    arrays, copy = read_npz(fetch(dataset), remedy)
    return arrays, copy or copy_name(dataset, arrays.train_x)


@lru_cache
def make(dataset: str) -> tuple[Arrays, str]:
    """Compute a data set. Returns what `load_arrays` does.

    The copy has the data set's name, unless this machine computes other images than those with
    which shipped results were trained.
    """
    arrays = COMPUTED[dataset]()
    return arrays, copy_name(dataset, arrays.train_x)


# Files --------------------------------------------------------------------------------------------


def location(dataset: str) -> Path | None:
    """Find the .npz file of a data set, or the folder of files that torchvision has left.

    Returns:
        None if there is neither.

    Raises:
        CplabError: if $CPLAB_DATA is not a folder that can be read.
    """
    if os.environ.get("CPLAB_DATA") == files.NOWHERE and not is_own_dataset(dataset):
        return None
    return find_npz(dataset) or find_torchvision_folder(dataset)


def npz_folders() -> list[Path]:
    """The folders in which .npz files are looked for: $CPLAB_DATA if it is set, and the cache.

    Raises:
        CplabError: if $CPLAB_DATA is not a folder that can be read.
    """
    cache = files.cache_dir() / "data"
    named = files.folder_in("CPLAB_DATA")
    if named is None:
        return [cache]
    if not os.access(named, os.R_OK | os.X_OK):
        raise CplabError(
            f"$CPLAB_DATA is {quote(str(named))}: name a directory that exists and that you may "
            "read"
        )
    return [named, cache]


def find_npz(dataset: str) -> Path | None:
    """The .npz file of a data set, if there is one."""
    for folder in npz_folders():
        file = folder / f"{dataset}.npz"
        if os.path.isfile(file):
            return file
    return None


def find_torchvision_folder(dataset: str) -> Path | None:
    """The folder of files that torchvision has left of a data set, if there is one."""
    if dataset not in DOWNLOADS:
        return None
    first_folder, *_ = npz_folders()
    for root in (first_folder, *ROOTS):
        folder = Path(root).expanduser() / DOWNLOADS[dataset].folder
        if glob(f"{escape(str(folder))}/*"):
            return folder
    return None


def fetch(dataset: str) -> Path:
    """Return the .npz file of a data set.

    If there is none, it is made in the cache, from files that torchvision has left on this machine
    or from torchvision's download.

    Raises:
        CplabError: if that fails.
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
                arrays = fetch_arrays(dataset, source, path.parent)
                write_npz(path, arrays, f"{dataset}-original")
    except ImportError as error:
        raise not_fetched(dataset, error, to_install("train")) from error
    except Exception as error:  # of the network, an archive or the disk
        raise not_fetched(dataset, error, CONNECTION_ADVICE) from error
    return path


def not_fetched(dataset: str, error: Exception, remedy: str) -> CplabError:
    """An error that says why a data set could not be fetched, and what to do."""
    reason = " ".join(f"{type(error).__name__}: {error}".split())
    return CplabError(
        f"{dataset} is not here and could not be fetched ({reason}): {remedy} and "
        f"`{to_fetch(dataset)}`, or point $CPLAB_DATA to a directory with {dataset}.npz, or take "
        "the data set `drawn`, which needs no files"
    )


def fetch_arrays(dataset: str, source: Path | None, home: Path) -> Arrays:
    """Let torchvision read a data set, or download it.

    Arguments:
        dataset: one of DOWNLOADS.
        source: a folder of files that torchvision has left, if there is one.
        home: the folder in which to make a temporary one.
    """
    from torchvision import datasets

    download = DOWNLOADS[dataset]
    origin = source or f"{download.megabytes} MB"
    print(f"fetching {dataset}: {origin} into {home}", file=sys.stderr)
    dataset_class = getattr(datasets, download.torchvision_class)
    with TemporaryDirectory(dir=home) as folder:
        if source:
            copytree(source, Path(folder, download.folder))
        # With download=True torchvision reads files that are whole, and downloads others
        train = dataset_class(folder, train=True, download=True)
        test = dataset_class(folder, train=False, download=True)
        return Arrays(
            train_x=np.asarray(train.data),
            train_y=np.asarray(train.targets),
            test_x=np.asarray(test.data),
            test_y=np.asarray(test.targets),
        )
