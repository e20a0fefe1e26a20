"""Learning from two views of an image, as with two eyes."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from cplab import data, deficits, models
from cplab.engine.tasks import Classification, evaluate, shuffled, task


@task("two views")
class TwoViews(Classification):
    """To name what both views show. They are alike, but for shifts of their own where the model
    says so, and for deficits of one view."""

    def batches(self, spec: Any, epoch: int, step: Any, images: data.Images) -> Iterator[tuple]:
        """As of a Classification, with images (batch, 2, C, H, W)."""
        chance = {"seed": spec.seed, "images": len(images.train_y), "epoch": epoch}
        apart = models.MODELS[spec.family].apart
        right = shuffled(spec, epoch, step, images, glance=1) if apart else None
        for index, left in shuffled(spec, epoch, step, images):
            x = torch.stack([left, next(right)[1]], 1) if right else both(left)
            y = images.train_y[index]
            yield deficits.apply_deficit(x, y, step.deficit, index=index, **chance)

    def report(self, spec: Any, net: nn.Module, images: data.Images) -> dict:
        def normal(x: Tensor) -> Tensor:
            return both(images.normal(x))

        x, y = images.test_x, images.test_y
        return {"test_accuracy": evaluate(net, x, y, normal, spec.arithmetic)}


def both(x: Tensor) -> Tensor:
    """Images (N, C, H, W) as two views that are alike, (N, 2, C, H, W)."""
    return x.unsqueeze(1).expand(-1, 2, -1, -1, -1)
