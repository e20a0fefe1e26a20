"""Profiles: sizes of experiments, each with all the settings that a run does not give itself."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple


@dataclass(frozen=True, kw_only=True)
class Profile:
    """One size of experiment.

    The schedules' learning rates: `paper` is paper_lr · 0.97^(pace · epoch), where one epoch stands
    for `pace` of the paper's; `fixed` is fixed_lr throughout; `recovery` is recovery_lr until the
    deficit ends, and then falls linearly over the recovery epochs.

    >>> PROFILES["course"].size
    16
    """

    name: str
    dataset: str
    size: int  # pixels a side
    width: int  # units of the model's first layer
    train_images: int
    test_images: int
    recovery: int  # epochs after the deficit, unless the run says otherwise
    schedule: str  # unless the run says otherwise
    paper_lr: float = 0.05
    pace: float
    fixed_lr: float = 0.02
    recovery_lr: float = 0.02
    shift: int  # the largest random translation, pixels
    mirror: bool = True  # whether images are flipped horizontally at random
    batch: int = 128  # images
    momentum: float = 0.9  # unless the run says otherwise; the paper does not state it
    weight_decay: float = 1e-3
    model: str = "allcnn"  # unless the run says otherwise
    arithmetic: str = "native"  # unless the run says otherwise
    pad: bool = True  # whether smaller images are padded to 32 pixels before they are shrunk
    stacked: bool = False  # whether seeds are trained side by side, see engine.stack
    large: bool = False  # whether a network fills a GPU, and takes long to write
    few: bool = False  # whether its images, as it shrinks them, are kept in a file of their own
    own_images: int = 0  # from which each seed draws its train_images; 0 if all seeds share them
    # Of its usual network, on one core of an ordinary computer whose other cores train too, about
    epoch_seconds: float
    words: str = ""  # its purpose


# fmt: off
ALL = (
    Profile(name="ci", words="tests, seconds",
            dataset="practice", size=8, width=4, train_images=512, test_images=256,
            recovery=3, schedule="recovery", pace=10, shift=1, epoch_seconds=0.05),
    Profile(name="tiny", words="twenty seeds in seconds: few digits of each seed's own, by heart",
            dataset="drawn", size=12, width=64, train_images=300, test_images=1_000,
            recovery=100, schedule="fixed", pace=1, fixed_lr=0.1, shift=0, mirror=False, batch=32,
            momentum=0.0, weight_decay=0.0, model="mlp2", arithmetic="float32", pad=False,
            own_images=20_000, stacked=True, epoch_seconds=0.01),
    Profile(name="course", words="two CPU cores, under a minute a run",
            dataset="cifar10", size=16, width=16, train_images=10_000, test_images=10_000,
            recovery=15, schedule="recovery", pace=10, shift=2, epoch_seconds=2.0),
    Profile(name="small", words="lab 02's three blocks at half the width: eight runs in minutes",
            dataset="cifar10", size=16, width=8, train_images=4_000, test_images=2_000,
            recovery=60, schedule="fixed", pace=10, shift=2, model="depth3", few=True,
            epoch_seconds=0.56),
    Profile(name="fit", words="few images, no augmentation: a net that fits its training set",
            dataset="cifar10", size=16, width=32, train_images=2_000, test_images=5_000,
            recovery=20, schedule="paper", pace=3, shift=0, mirror=False, epoch_seconds=1.0),
    Profile(name="mnist", words="the paper's MNIST experiment, a fifth as wide, a sixth the images",
            dataset="mnist", size=32, width=500, train_images=10_000, test_images=10_000,
            recovery=40, schedule="fixed", pace=10, fixed_lr=0.005, shift=4, weight_decay=0.0,
            model="fc", epoch_seconds=0.8),
    Profile(name="matched", words="fits its training set, rates matched to the twin's",
            dataset="cifar10", size=16, width=32, train_images=4_000, test_images=5_000,
            recovery=20, schedule="recovery", pace=3, shift=0, mirror=False, epoch_seconds=2.0),
    Profile(name="slim", words="the paper at half its pixels and a third of its width, one GPU",
            dataset="cifar10", size=16, width=32, train_images=50_000, test_images=10_000,
            recovery=160, schedule="paper", pace=1, fixed_lr=0.001, recovery_lr=0.05, shift=2,
            large=True, epoch_seconds=19.0),
    # Achille, Rovere & Soatto, Materials and Methods; its fixed rate is 0.001
    Profile(name="paper", words="the paper's methods section, one large GPU",
            dataset="cifar10", size=32, width=96, train_images=50_000, test_images=10_000,
            recovery=300, schedule="paper", pace=1, fixed_lr=0.001, recovery_lr=0.05, shift=4,
            large=True, epoch_seconds=250.0),
)
# fmt: on
PROFILES = {profile.name: profile for profile in ALL}
# pydantic allows only these names. A type checker cannot read a Literal of a tuple
if TYPE_CHECKING:
    ProfileName = str
else:
    ProfileName = Literal[tuple(PROFILES)]


class DatasetPart(NamedTuple):
    """A part of a data set's training images. Parts are disjoint, and share the test images.

    Attributes:
        dataset: its name.
        number: from 1. A part has as many images as a profile takes.
    """

    dataset: str
    number: int


def split_part(dataset: str) -> DatasetPart:
    """Read which part of a data set a name stands for.

    >>> split_part("cifar10"), split_part("cifar10-part2")
    (DatasetPart(dataset='cifar10', number=1), DatasetPart(dataset='cifar10', number=2))
    """
    match = re.fullmatch(r"(\w+)-part([2-9])", dataset)
    if match:
        return DatasetPart(match[1], int(match[2]))
    return DatasetPart(dataset, 1)
