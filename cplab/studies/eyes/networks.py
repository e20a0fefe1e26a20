"""Networks with two eyes, models `eyes` and `eyes_whole`, and their task."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from cplab import models
from cplab.data import Images
from cplab.models.layers import REST, STEM, hidden, stacked
from cplab.runs.tasks import Classification, shuffled


class TwoEyes(nn.Module):
    """Two stems of three layers, `eyes`, of half the width each, whose maps are put side by side
    for the `shared` layers; the left eye sees the left columns, the right eye the right ones.

    Arguments: width, channels and classes, of an All-CNN; field, the part of the columns, 0 to 1.
    """

    def __init__(self, width: int, channels: int, classes: int, field: float):
        super().__init__()
        half = max(1, width // 2)
        stems = (nn.Sequential(*hidden(STEM, half, channels)) for _ in range(2))
        self.eyes, self.field = nn.ModuleList(stems), field
        self.shared = stacked(REST, width, 4 * half, classes)

    def look(self, x: Tensor) -> list[Tensor]:
        """The feature maps of each eye (N, C', H', W'), from both views (N, 2, C, H, W)."""
        seen = max(1, round(self.field * x.shape[-1]))
        views = x[:, 0, ..., :seen], x[:, 1, ..., -seen:]
        dense = (view.contiguous(memory_format=torch.channels_last) for view in views)
        return [eye(view) for eye, view in zip(self.eyes, dense, strict=True)]

    def forward(self, x: Tensor) -> Tensor:
        return self.shared(torch.cat(self.look(x), 1))


class TwoViews(Classification):
    """Classification of images that are seen by two eyes. Both views are alike, but for separate
    augmentation where the model asks for it, and for deficits of one view."""

    def batches(self, epoch: int, step: Any, images: Images) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of a Classification, with images (batch, 2, C, H, W)."""
        apart = models.MODELS[self.run.family].apart
        rights = shuffled(self.run, epoch, step, images, second=True) if apart else None
        for index, left in shuffled(self.run, epoch, step, images):
            yield index, torch.stack([left, next(rights)[1]], 1) if rights else self.views(left)

    def views(self, x: Tensor) -> Tensor:
        """Both views of images (N, C, H, W), alike: (N, 2, C, H, W)."""
        return x.unsqueeze(1).expand(-1, 2, -1, -1, -1)
