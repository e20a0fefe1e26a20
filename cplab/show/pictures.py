"""Images as pictures in a notebook."""

import base64
import io
from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from cplab.errors import require, whole

if TYPE_CHECKING:
    from torch import Tensor

    from cplab.data import Images


def png(x: ArrayLike, scale: int = 4) -> bytes:
    """Write uint8 images (N, H, W, 1 or 3) side by side as a PNG, each pixel `scale` wide."""
    from PIL import Image

    x, scale = np.asarray(x), whole("scale", scale, 1, 100)
    allowed = x.dtype == np.uint8 and x.ndim == 4 and x.size and x.shape[3] in (1, 3)
    require(allowed, f"images of {x.dtype} {x.shape} are not allowed: give uint8 (N, H, W, 1 or 3)")
    pixels = np.pad(x, ((0, 0), (0, 0), (0, 1), (0, 0)), constant_values=255)
    strip = np.concatenate(list(pixels), axis=1)[:, :-1]
    strip = strip[..., 0] if strip.shape[2] == 1 else strip
    file = io.BytesIO()
    Image.fromarray(strip.repeat(scale, 0).repeat(scale, 1)).save(file, "png")
    return file.getvalue()


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


def strips(rows: Mapping[str, ArrayLike], scale: int = 4) -> Any:
    """Show rows of uint8 images (N, H, W, C), by caption, one below the other, as HTML; a pixel is
    `scale` pixels of the page wide.

    >>> 'alt="clear"' in strips({"clear": np.zeros((2, 8, 8, 3), dtype=np.uint8)}).data
    True
    """
    from PIL import Image

    from cplab.show.surface import Html

    page, drawn, file = "", list[np.ndarray](), io.BytesIO()
    for caption, x in rows.items():
        row = png(x, scale)
        code, text = base64.b64encode(row).decode(), escape(caption)
        page += f'<tr><td style="text-align:left;padding-right:1em">{text}</td>'
        page += f'<td><img src="data:image/png;base64,{code}" alt="{text}"></td></tr>'
        drawn.append(np.asarray(Image.open(io.BytesIO(row)).convert("RGB")))
    if drawn:
        widest = max(row.shape[1] for row in drawn)
        borders = [((0, 0), (0, widest - row.shape[1]), (0, 0)) for row in drawn]
        padded = [np.pad(*pair, constant_values=255) for pair in zip(drawn, borders, strict=True)]
        Image.fromarray(np.concatenate(padded)).save(file, "png")
    return Html(f"<table>{page}</table>", file.getvalue() or None)
