"""The images that a profile trains on and tests with, as tensors in memory."""

from __future__ import annotations

from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np

from cplab.base import files
from cplab.base.errors import CplabError, one_of
from cplab.base.late import F, Tensor, torch
from cplab.pictures.arrays import Arrays, read_npz, write_npz
from cplab.pictures.datasets import DOWNLOADS, GREY_DATASETS, few_name, find_npz, load_arrays
from cplab.pictures.own_images import is_own_dataset
from cplab.specs import mix_seeds
from cplab.specs.own import CLASSES
from cplab.specs.profiles import PROFILES, Profile, split_part


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
    std: Tensor  # (C,) their standard deviation; 1 for a channel that is the same everywhere
    classes: int = CLASSES

    @cached_property
    def normal_test(self) -> Tensor:
        """The test images, normalised."""
        return self.normal(self.test_x)

    def normal(self, x: Tensor) -> Tensor:
        """Normalise images to mean 0 and deviation 1, by the training images.

        Arguments:
            x: uint8 images (N, H, W, C).

        Returns:
            float32 images (N, C, H, W). A channel that is the same everywhere becomes 0.
        """
        from cplab.base.devices import memory_format  # which loads torch

        channels_first = ((x - self.mean) / self.std).permute(0, 3, 1, 2)
        return channels_first.contiguous(memory_format=memory_format(x.device))


def images(dataset: str = "cifar10", profile: str = "course") -> Images:
    """The images of a data set as a profile has them: as many as it uses, padded to 32 pixels and
    shrunk to its size. They may be changed.

    Arguments:
        dataset: of three kinds. Of cifar10, mnist, fashion_mnist, drawn or practice the profile
            takes the first images. Of a further part of one, such as cifar10-part2, it takes those
            after the first. Of your own, by a name from images_from, it takes as many of each
            class.
        profile: a name of cplab.PROFILES.

    >>> images("practice", "ci").train_x.shape
    torch.Size([512, 8, 8, 3])
    """
    return deepcopy(shared_images(dataset, profile))


@lru_cache(maxsize=4)
def shared_images(dataset: str, profile: str, device: str = "cpu", further: int = 1) -> Images:
    """The images of a profile on a device. All trainings of this process share them, so that they
    must not be changed.

    Arguments:
        dataset, profile, device: as of `images`.
        further: 2 for as many other training images of the data set.

    Raises:
        CplabError: also if there are too few.
    """
    settings = PROFILES[one_of("profile", profile, PROFILES)]
    arrays, copy = few_arrays(dataset, settings, further) or small_arrays(
        dataset, settings, further
    )
    train_x = torch.as_tensor(arrays.train_x)
    test_x = torch.as_tensor(arrays.test_x)
    pixels = train_x.numpy()  # (N, H, W, C)
    mean = pixels.mean((0, 1, 2))  # (C,)
    deviation = pixels.std((0, 1, 2), ddof=1)
    divisor = np.where(deviation == 0, 1, deviation)
    return Images(
        name=dataset,
        copy=copy,
        train_x=train_x.to(device),
        train_y=torch.as_tensor(arrays.train_y).long().to(device),
        test_x=test_x.to(device),
        test_y=torch.as_tensor(arrays.test_y).long().to(device),
        mean=torch.as_tensor(mean).float().to(device),
        std=torch.as_tensor(divisor).float().to(device),
        classes=classes(dataset),
    )


def small_arrays(dataset: str, settings: Profile, further: int = 1) -> tuple[Arrays, str]:
    """The images of a profile as arrays (N, H, W, C) of its size, and the name of the copy that
    they come from. Arguments and errors are those of `shared_images`."""
    arrays, copy = load_arrays(dataset)
    # If each seed draws its own images, these are what it draws from
    wanted = settings.own_images or settings.train_images
    part = split_part(dataset).number + further - 1
    if part > 1 and part * wanted > len(arrays.train_y):  # a small data set has a first part
        which, remedy = "", "take an earlier part"
        if further > 1:
            which, remedy = "other ", f"leave out `other`, or take a data set of {part * wanted}"
        raise CplabError(f"{dataset} has no {wanted} {which}images for {settings.name}: {remedy}")
    if is_own_dataset(dataset):
        train_index = evenly(arrays.train_y, part * wanted)[(part - 1) * wanted :]
        test_index = evenly(arrays.test_y, settings.test_images)
    else:
        train_index = np.arange(len(arrays.train_y))[(part - 1) * wanted : part * wanted]
        test_index = np.arange(len(arrays.test_y))[: settings.test_images]
    train_x = resize(pixels_of(arrays.train_x[train_index]), settings.size, settings.pad)
    test_x = resize(pixels_of(arrays.test_x[test_index]), settings.size, settings.pad)
    train_y = arrays.train_y[train_index]
    test_y = arrays.test_y[test_index]
    return Arrays(train_x.numpy(), train_y, test_x.numpy(), test_y), copy


def few_arrays(dataset: str, settings: Profile, further: int = 1) -> tuple[Arrays, str] | None:
    """What `small_arrays` gives, for a profile that needs few images: from a file of them alone,
    which is small enough to be handed on and is read at once. It is written where there is none.

    Returns:
        None for other profiles, and where the profile would not find its images in such a file.
    """
    if not settings.few or dataset not in DOWNLOADS or further > 1:
        return None
    name = few_name(dataset, settings.name)
    shape = (settings.size, settings.size)
    path = find_npz(name)
    if path:
        remedy = "remove it, and the next training writes it anew"
        arrays, copy = read_npz(path, remedy, {shape, (*shape, 1), (*shape, 3)})
        return arrays, copy
    arrays, copy = small_arrays(dataset, settings)
    with suppress(OSError):  # nothing can be written here, and the whole data set is there
        write_npz(files.cache_dir() / "data" / f"{name}.npz", arrays, copy)
    return arrays, copy


def pixels_of(x: np.ndarray) -> Tensor:
    """Images (N, H, W) or (N, H, W, C) as a tensor (N, H, W, C), in which grey is a channel."""
    pixels = torch.as_tensor(x)
    return pixels[..., None] if pixels.ndim == 3 else pixels


def evenly(labels: np.ndarray, most: int) -> np.ndarray:
    """Choose images evenly from all classes: one of each class in turn, in a random order that is
    always the same, until a class has no more.

    Arguments:
        labels: of all images, (N,).
        most: how many images.

    Returns:
        the indices of at most so many images.

    >>> labels = np.repeat([0, 1, 2], [6, 2, 6])
    >>> np.bincount(labels[evenly(labels, 8)])
    array([3, 2, 3])
    """
    order = np.random.default_rng(5).permutation(len(labels))  # of the images; any fixed seed
    rank_in_class = np.empty(len(labels), int)  # of each image in this order, (N,)
    for label in np.unique(labels):
        [places] = np.nonzero(labels[order] == label)
        rank_in_class[places] = np.arange(len(places))
    one_of_each_in_turn = order[np.argsort(rank_in_class, kind="stable")]
    return one_of_each_in_turn[:most]


@lru_cache(maxsize=64)
def images_of_seed(
    dataset: str, profile: str, seed: int, count: int, device: str = "cpu", part: int = 1
) -> Images:
    """The images of a seed that draws its own training images; all seeds share the test images.

    Arguments:
        dataset, profile: as for `images`.
        seed: decides which images are drawn.
        count: how many it draws. Of a student's own images it draws fewer where there are fewer.
        device: where the images are.
        part: from 2 on for images that no earlier part has.

    Raises:
        CplabError: if there are too few.
    """
    shared = shared_images(dataset, profile, device)
    generator = torch.Generator().manual_seed(mix_seeds(seed, "own images"))
    order = torch.randperm(len(shared.train_y), generator=generator)
    drawn = order[(part - 1) * count : part * count].to(device)
    may_be_fewer = is_own_dataset(dataset) and part == 1
    if len(drawn) < count and not may_be_fewer:
        which = "other " if part > 1 else ""
        raise CplabError(
            f"{count} {which}images are not allowed: {dataset} has {len(drawn)} to draw from; give "
            f"fewer, as Run(..., images={len(order) // part})"
        )
    if len(drawn) < count and len(drawn) % PROFILES[profile].batch == 1:
        drawn = drawn[:-1]  # batch norm cannot normalise a last batch of a single image
    return replace(shared, train_x=shared.train_x[drawn], train_y=shared.train_y[drawn])


@lru_cache
def channels(dataset: str) -> int:
    """The number of colour channels of a data set. Only a student's own is loaded for it."""
    if is_own_dataset(dataset):
        arrays, _ = load_arrays(dataset)
        return 3 if arrays.train_x.ndim == 4 else 1
    return 1 if split_part(dataset).dataset in GREY_DATASETS else 3


@lru_cache
def classes(dataset: str) -> int:
    """The number of classes of a data set. Only a student's own is loaded for it."""
    if not is_own_dataset(dataset):
        return CLASSES
    arrays, _ = load_arrays(dataset)
    return 1 + int(max(arrays.train_y.max(), arrays.test_y.max()))


def resize(x: Tensor, size: int, pad: bool = True) -> Tensor:
    """Shrink images by averaging.

    Arguments:
        x: uint8 images (N, H, W, C).
        size: pixels a side.
        pad: whether to add a black border before, up to 32 pixels a side, as the paper does for
            MNIST.
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
