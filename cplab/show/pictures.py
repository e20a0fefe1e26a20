"""Images as pictures in a notebook."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.image import BboxImage
from matplotlib.transforms import Bbox, TransformedBbox

from cplab.base.errors import CplabError, as_list, check_dict
from cplab.deficits import find_deficit
from cplab.estimates import NOT_TRAINED
from cplab.output.styles import label
from cplab.pictures.previews import PICTURES, few_images, preview, set_to_show
from cplab.show.base import GREY, WIDTH, Figure, figure, styled
from cplab.specs.profiles import Profile

IMAGE_GAP = 4  # pixels between two images of a row
ROW_GAP = 6  # pixels between two rows
TOP = 2  # pixels above the first row


@styled
def strips(rows: Mapping[str, Any], largest: int = 110) -> Figure:
    """Draw rows of uint8 images (N, H, W, C), one below the other, each row with its caption.

    Arguments:
        rows: {caption: images}, with None where they are not trained yet.
        largest: how wide an image is at most, in pixels of the page, as those of the figure's width
            are.

    >>> strips({"clear": np.zeros((2, 8, 8, 3), dtype=np.uint8)})
    clear: 2 images
    """
    for images in check_dict("rows", rows, '{"clear": images}').values():
        if images is not None:
            check_images(np.asarray(images))
    missing = {caption for caption, images in rows.items() if images is None}
    rows = {caption: () if images is None else images for caption, images in rows.items()}
    rows = rows or {"not trained yet": ()}
    # All lengths are in pixels of the page
    captions_width = 16 + round(7.4 * max(map(len, rows)))
    most_images = max(1, *map(len, rows.values()))
    room = (WIDTH - captions_width + IMAGE_GAP) // most_images - IMAGE_GAP
    side = min(largest, room)  # of an image
    row_height = side + ROW_GAP
    fig = figure(height=TOP + row_height * len(rows))
    fig.set_layout_engine("none")
    fig.delaxes(fig.ax)
    described = []
    for caption, images in rows.items():
        words = NOT_TRAINED if caption in missing else f"{len(images)} images"
        described.append(f"{caption}: {words}")
    fig.pictures = "; ".join(described)
    height = fig.get_figheight() * 96
    for row, (caption, images) in enumerate(rows.items()):
        bottom = height - TOP - (row + 1) * row_height
        middle = (bottom + side / 2) / height
        fig.text(0, middle, caption, va="center")
        if caption in missing:
            left = captions_width / WIDTH
            fig.text(left, middle, NOT_TRAINED, va="center", color=GREY)
        for column, image in enumerate(np.asarray(images)):
            left = captions_width + column * (side + IMAGE_GAP)
            place = Bbox.from_bounds(left / WIDTH, bottom / height, side / WIDTH, side / height)
            picture = BboxImage(
                TransformedBbox(place, fig.transFigure),
                cmap="gray",
                norm=Normalize(0, 255),
                interpolation="nearest",
            )
            picture.set_data(image.squeeze())
            fig.add_artist(picture)  # axes for each would take ten times as long
    return fig


def check_images(x: np.ndarray) -> None:
    """Raise a CplabError for what are no images to draw."""
    allowed = x.dtype == np.uint8 and x.ndim == 4 and x.size and x.shape[3] in (1, 3)
    if not allowed:
        raise CplabError(
            f"images of {x.dtype} {x.shape} are not allowed: give uint8 (N, H, W, 1 or 3)"
        )


def what_it_sees(
    profile: Profile, deficits: Sequence[Any], count: int = 6, epoch: int = 0
) -> Figure:
    """Draw some images of a profile in rows: as they are, and as its networks get them, clear and
    under each deficit. A row of a deficit that asks for the epoch names it.

    Arguments:
        profile: the size, whose images and pixels are drawn.
        deficits: one or several, by name or as functions.
        count: of images in a row.
        epoch: of training, in which the networks get them.

    >>> from cplab import PROFILES
    >>> what_it_sees(PROFILES["ci"], ["blur"], count=2)
    the images: 2 images; clear, 8 pixels: 2 images; blur: 2 images
    """
    rows: dict[str, Any] = {}
    chosen = as_list(deficits)
    dataset = set_to_show(profile.dataset, chosen)
    for deficit in chosen:
        seen, shown = preview(dataset, profile.name, deficit, count, epoch)
        rows["the images"] = few_images(shown, "paper")[:count]
        size = "drawn" if shown == PICTURES else f"{seen['clear'].shape[1]} pixels"
        rows[f"clear, {size}"] = seen["clear"]
        if "seen" in seen:
            when = f", epoch {epoch}" if find_deficit(deficit).may_change else ""
            rows[label(deficit) + when] = seen["seen"]
    return strips(rows)
