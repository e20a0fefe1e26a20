"""The picture under the title of each lab, and README's first one, from the shipped results.

    python docs/first_pictures.py lab02b flagship    # these; without a name, all

A function is a picture: `lab02b()` becomes docs/pictures/lab02b.png.
"""

import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.image import BboxImage
from matplotlib.transforms import BboxTransformTo

from cplab import quantities, show
from cplab.labs import lab01 as kitten
from cplab.labs import lab02b as schedule
from cplab.labs import lab05 as growth
from cplab.labs import lab07 as eyes
from cplab.labs import lab08 as linear
from cplab.labs.lab05_growth import search
from cplab.previews import drawn_pictures, few_images, preview
from cplab.runs import Run
from cplab.show import Figure
from cplab.show.base import GREY, SMALL, styled
from cplab.styles import style

PICTURES = Path(__file__).parent / "pictures"


def lab00() -> Figure:
    """Draw the digits as they are, and as networks see them whose world is blurred, or upside
    down."""
    seen = {"blurred": "mosaic", "upside down": "flip"}
    rows = {}
    for words, deficit in seen.items():
        images, dataset = preview("drawn", "tiny", deficit, count=8)
        rows["as they are"] = few_images(dataset, "paper")[:8]
        rows["12 pixels, clear"] = images["clear"]
        rows[words] = images["seen"]
    return show.strips(rows)


def lab00b() -> Figure:
    """Draw digits and pictures as they are, and as networks see them whose world is blurred."""
    images, _ = preview("drawn", "tiny", "mosaic", count=8)
    rows = {"digits": images["clear"], "digits, blurred": images["seen"]}
    rows["pictures"] = drawn_pictures("none")
    rows["pictures, blurred"] = drawn_pictures("blur")
    return show.strips(rows, largest=60)


def lab01() -> Figure:
    """Draw what three kinds of childhood show, beside a clear one."""
    seen = {
        "clear": "none",
        "a cataract": "blur",
        "stripes alone": "stripes",
        "a closed eye": "blank",
    }
    return show.strips({words: drawn_pictures(kind) for words, kind in seen.items()})


def lab02() -> Figure:
    """Draw what a network sees that is blurred or in noise, beside clear pictures."""
    seen = {"clear": "none", "blurred": "blur", "in noise": "noise"}
    return show.strips({words: drawn_pictures(kind) for words, kind in seen.items()})


def lab02b() -> Figure:
    """Draw the rates with which networks learn and recover, under the paper's schedule."""
    runs = [schedule.until("flip", end) for end in (60, 140)]
    title = "The paper's learning rate (thick: while images are flipped)"
    return schedule.rates(runs, title=title, height=300)


def lab03() -> Figure:
    """Draw what networks see that are reared upside down, in a blur, in noise or in the dark."""
    clear = drawn_pictures("none")
    rows = {"clear": clear, "vertical flip": clear[:, ::-1]}
    for deficit in ("blur", "noise", "blank"):
        rows[deficit] = drawn_pictures(deficit)
    return show.strips(rows, largest=70)


def lab03b() -> Figure:
    """Draw digits as networks see them: clear, blurred and upside down."""
    rows = {}
    for deficit in ("blur", "flip"):
        images, _ = preview("drawn", "tiny", deficit, count=10)
        rows["clear"] = images["clear"]
        rows[show.label(deficit)] = images["seen"]
    return show.strips(rows, largest=60)


def lab04() -> Figure:
    """Draw what a paper states of the synapses in the visual cortex of the macaque, by age: these
    days are marked."""
    days = (-50, 0, 50, 100, 200, 500, 1000, 2000)
    rows: Any = kitten.statements("synaptic_density", "macaque")
    title = "Synapses in the visual cortex of the macaque"
    fig = kitten.age_figure({"macaque": rows}, 2300, unit=rows.unit[0], title=title)
    fig.axes[0].set_yticks([])
    fig.ax.set_xscale("symlog", linthresh=100, linscale=0.7)
    fig.ax.set_xticks(days, [f"{day:,}" if day else "birth" for day in days])
    fig.ax.set(xlim=(-110, 2400))
    return fig


def lab04b() -> Figure:
    """Draw the trace of a run without a deficit."""
    clear = {"no deficit": Run(onset=24, profile="fit")}
    return show.over_epochs(clear)


def lab05() -> Figure:
    """Draw where a network has its synapses at birth, and when few are left."""
    at_birth = np.random.default_rng(0).random((16, 28, 28)) < 0.5
    maps = {"at birth, 50 %": at_birth.sum(0)}
    for density in (0.2, 0.05, 0.02, 0.01):
        maps[f"{100 * density:g} %"] = growth.synapses_by_pixel(search.spec(), density)
    title = "The synapses on each pixel, when half are alive and when few are left"
    return growth.draw_maps(maps, title)


@styled
def lab05b() -> Figure:
    """Draw what the three networks of section 1 learned, each picture with the name it was told."""
    names = ["face", "house", "tree", "boat", "car", "cat", "horse", "flower"]
    pictures = drawn_pictures("none")
    random = np.random.default_rng(0)
    noise = random.integers(0, 256, pictures.shape, dtype=np.uint8)
    rows = {"images": pictures, "noise": noise, "random labels": pictures}
    fig = show.strips(rows)
    told = []
    for names_of_row in (names, random.permutation(names), [*names[3:], *names[:3]]):
        told += [*names_of_row]
    pictures_drawn = [part for part in fig.artists if isinstance(part, BboxImage)]
    for picture, name in zip(pictures_drawn, told, strict=True):
        place = BboxTransformTo(picture.bbox)
        box = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
        fig.text(0.5, 0.06, name, transform=place, ha="center", color="#333333", bbox=box)
    return fig


@styled
def lab06() -> Figure:
    """Draw the networks of one, two and three blocks as they are built, layer by layer: as high as
    the image is there, and as wide as there are channels."""
    fig = show.figure(height=300)
    left = 0.0
    for blocks in (1, 2, 3):
        layers = [(3, 16), (16, 16)]  # channels and pixels a side: the image, and the first layer
        for block in range(1, blocks + 1):
            layers.append((16 * 2 ** (block - 1), 16 // 2 ** (block - 1)))
            layers.append((16 * 2**block, 16 // 2**block))
        first = left
        for place, (channels, side) in enumerate(layers):
            hue = GREY if place == 0 else style("blur").colour
            fig.ax.bar(left, side, channels / 16, -side / 2, align="edge", color=hue, alpha=0.75)
            left += channels / 16 + 0.4
        words = "1 block" if blocks == 1 else f"{blocks} blocks"
        fig.ax.text((first + left - 0.4) / 2, 10, words, ha="center", fontsize=SMALL + 2)
        left += 3
    fig.ax.set_ylim(-9, 12)
    fig.ax.set_axis_off()
    return fig


def lab07() -> Figure:
    """Draw what two eyes get when the right one is closed at first."""
    clear = drawn_pictures("none")
    dark = drawn_pictures("blank")
    rows = {
        "the left eye": eyes.eye_sees(clear, "left"),
        "the right eye, at first": eyes.eye_sees(dark, "right"),
        "the right eye, later": eyes.eye_sees(clear, "right"),
    }
    return show.strips(rows)


def lab08() -> Figure:
    """Draw how one eye learns whose fellow is closed for a while."""
    [course] = linear.rear(linear.Rearing(depth=2, length=1, recovery=0))
    lines = {"the open eye": (course.t, course.a), "the closed eye": (course.t, course.b)}
    axes = ("time, half-learning times T", "part of the answer")
    return show.curves(lines, *axes, height=300, source=linear.COMPUTED)


def lab09() -> Figure:
    """Draw the clear epochs of a network that was blurred when young, and of one that never was."""
    blurred = Run("blur", length=16)
    curves = {}
    for kind, run in {"none": Run(), "blur": blurred}.items():
        after = quantities.each_seed(clear_accuracies, run)
        curves[kind] = dict(enumerate(after.T, start=1))
    axes = ("clear epochs", "test accuracy, %")
    return show.means(curves, axes, height=320)


def clear_accuracies(run: Run) -> np.ndarray:
    """Test accuracy after each clear epoch of a recovery, (epochs,), in percent."""
    return 100 * quantities.result(run).series("test_accuracy")[run.end :]


def flagship() -> Figure:
    """Draw the finding, which is README's first picture: the same blur early and late."""
    early = Run("blur", length=16, model="depth3", schedule="fixed", recovery=60)
    late = replace(early, onset=24)
    runs = {f"blurred {show.age(run)}": run for run in (early, late)}
    return show.clear_epochs(runs, height=400)


EVERY: dict[str, Callable[[], Figure]] = {
    name: draw for name, draw in vars().items() if re.fullmatch(r"lab\d\d\w*|flagship", name)
}


def main(names: list[str]) -> None:
    """Write the pictures of these names, or all."""
    for name in names or EVERY:
        with quantities.shipped_only():
            figure = EVERY[name]()
            width = 960 if name == "flagship" else 1200
            show.save(figure, PICTURES / f"{name}.png", width)


if __name__ == "__main__":
    main(sys.argv[1:])
