"""Images as pictures in a notebook."""

from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cplab import data, quantities
from cplab.errors import require
from cplab.quantities import each_result
from cplab.runs import Run
from cplab.show.base import WIDTH, Figure, figure, styled
from cplab.show.previews import few_images, png, preview
from cplab.show.styles import label
from cplab.specs.profiles import Profile

if TYPE_CHECKING:
    from torch import Tensor

    from cplab.data import Images


def to_pixels(x: "Tensor", images: "Images") -> "Tensor":
    """Turn normalised images x (N, C, H, W) of the data set `images` back to uint8 (N, H, W, C).

    >>> from cplab.data import images
    >>> practice = images("practice", "ci")
    >>> to_pixels(practice.normal(practice.test_x[:2]), practice).dtype
    torch.uint8
    """
    allowed = x.ndim == 4 and x.shape[1] == len(images.mean)
    what = f"images of shape {tuple(x.shape)} are not allowed"
    require(allowed, f"{what}: give some of {images.name}")
    x = x.permute(0, 2, 3, 1).cpu() * images.std.cpu() + images.mean.cpu()
    return x.round().clamp(0, 255).byte()


@styled
def strips(
    rows: Mapping[str, Any], title: str = "", largest: int = 110, width: int = WIDTH
) -> Figure:
    """Draw rows of uint8 images (N, H, W, C), one below the other, each row with its caption.

    Arguments: rows, {caption: images}; title, the finding; largest, how wide an image is at most,
        in pixels of the page, as those of the figure's width are.

    >>> strips({"clear": np.zeros((2, 8, 8, 3), dtype=np.uint8)})
    clear: 2 images
    """
    for x in rows.values():
        png(x)  # refuses what are no images
    rows = rows or {"not trained yet": ()}
    words = 16 + round(7.4 * max(map(len, rows)))
    side = min(largest, (width - words + 4) // max(1, *map(len, rows.values())) - 4)
    top = 28 if title else 2
    fig = figure(title, width=width, height=top + (side + 6) * len(rows))
    fig.set_layout_engine("none")
    fig.delaxes(fig.ax)
    fig.pictures = "; ".join(f"{caption}: {len(x)} images" for caption, x in rows.items())
    high = fig.get_figheight() * 96
    for row, (caption, x) in enumerate(rows.items()):
        y = high - top - (row + 1) * (side + 6)
        fig.text(0, (y + side / 2) / high, caption, va="center")
        for column, image in enumerate(np.asarray(x)):
            place = ((words + column * (side + 4)) / width, y / high, side / width, side / high)
            ax = fig.add_axes(place)
            ax.imshow(image.squeeze(), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
            ax.set_axis_off()
    return fig


def what_it_sees(profile: Profile, deficits: Sequence[Any], count: int = 6) -> Figure:
    """Draw some images of a profile, as they are, and as its networks get them: clear, and under
    each deficit, in rows.

    >>> from cplab import PROFILES
    >>> what_it_sees(PROFILES["ci"], ["blur"], count=2)
    the images: 2 images; clear, 8 pixels: 2 images; blur: 2 images
    """
    rows: dict[str, Any] = {}
    for deficit in deficits:
        seen, shown = preview(profile.dataset, profile.name, deficit, count)
        size = seen["clear"].shape[1]
        rows["the images"] = few_images(shown, "paper")[0][:count]
        rows |= {f"clear, {size} pixels": seen["clear"]}
        if "seen" in seen:
            rows[label(deficit)] = seen["seen"]
    return strips(rows)


def misread(run: Run, count: int = 6, title: str = "") -> Figure:
    """Draw the test images that suffer most from a deficit: mostly named wrongly with it, rightly
    without it, in the last five epochs of all seeds whose `correct` was measured then. The title
    says how many there are, and how many of the opposite kind. Without these images on this machine
    there is no picture.

    Arguments: run, of the schedule `fixed`; count, of images; title, instead.

    >>> misread(Run("blur", length=16, profile="ci", schedule="fixed"))
    not trained yet: 0 images
    """
    last = run.onset + run.recovery
    clear = [
        replace(run.newborn(), onset=onset, recovery=recovery)
        for kind, onset, recovery in {p[:2] + p[3:4] for p in quantities.trained_places(run)}
        if kind == "none" and onset + recovery >= last and recovery
    ]
    own, other = named_rightly([run], run.length + last), named_rightly(clear, last)
    if not len(own) or not len(other) or not data.is_here(run.dataset):
        return strips({}, title)
    own, other = own.mean(0), other.mean(0)
    worse, better = ((own < 0.5) & (other > 0.5)).sum(), ((own > 0.5) & (other < 0.5)).sum()
    images = data.load_arrays(run.dataset)[0]["test_x"][np.argsort(own - other, kind="stable")]
    images = images if images.ndim == 4 else images[..., None]
    words = f"{worse:,} images are lost to {label(run.deficit)}, {better:,} are won"
    return strips({"wrong with it": images[:count]}, title or words)


def named_rightly(runs: Sequence[Run], end: int) -> np.ndarray:
    """How often each test image was named rightly in the five epochs before `end`, 0 to 1,
    (seeds, images)."""
    epochs = range(end - 5, end)
    results = {r.spec.seed: r for run in runs for r in each_result(run, {"correct": epochs})}
    texts = [[r.measured["correct"][epoch] for epoch in epochs] for r in results.values()]
    rows = [[np.frombuffer(b64decode(text), np.uint8) for text in seed] for seed in texts]
    return np.array([np.unpackbits(np.array(seed), axis=1).mean(0) for seed in rows])
