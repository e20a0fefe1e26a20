"""The share and the accuracy of each eye in a network with two (model `eyes`)."""

import copy
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cplab.errors import require

AT_ONCE = 1000  # images that BatchNorm takes its statistics from


def require_two_eyes(net: nn.Module) -> Any:
    """Return the network if it has two eyes; else raise a CplabError."""
    require(hasattr(net, "eyes"), f"a {type(net).__name__} has no two eyes: take model eyes")
    return net


@torch.no_grad()
def right_shares(net: nn.Module, x: Tensor) -> list[float]:
    """The right eye's share in the drive of each neuron of the first layer that both eyes reach:
    var z_right / (var z_left + var z_right) of z = z_left + z_right, over images and positions; 0.5
    where neither eye drives it. Both see x, normalised images (N, C, H, W), which also give
    BatchNorm of the stems its statistics."""
    trained = copy.deepcopy(require_two_eyes(net)).train()
    maps = trained.look(torch.stack([x, x], 1))
    conv = cast(nn.Conv2d, trained.shared[0])
    left, right = (
        F.conv2d(h, w, None, conv.stride, conv.padding).cpu().double().var((0, 2, 3))
        for h, w in zip(maps, conv.weight.split(maps[0].shape[1], 1), strict=True)
    )
    total = left + right
    return torch.where(total > 0, right / total.clamp(min=1e-300), 0.5).tolist()


@torch.no_grad()
def each_eye(net: nn.Module, x: Tensor, y: Tensor) -> dict[str, float | list[float]]:
    """Accuracy with both eyes, and of [left, right] alone, on normalised images x (N, C, H, W).

    A network that always had two eyes has not learned what to do with one of them closed. So the
    open eye is read in three ways: while the other sees grey (closed); with the mean over images in
    place of the other stem's maps (mean_map); and closed, with BatchNorm of the shared layers on
    the statistics of 1,000 of these very images at a time (adapted), like someone who covers an eye
    and gets used to it.
    """
    used, total = require_two_eyes(net), torch.zeros(7, dtype=torch.long)
    for part, labels in zip(x.split(AT_ONCE), y.split(AT_ONCE), strict=True):
        maps = used.look(torch.stack([part, part], 1))
        grey = used.look(torch.zeros_like(part[:1]).unsqueeze(1).expand(-1, 2, -1, -1, -1))
        mean = [stem_maps.mean(0, keepdim=True) for stem_maps in maps]
        adapted = copy.deepcopy(used.shared).train()
        outputs = [used.shared(torch.cat(maps, 1))]
        for shared, absent in ((used.shared, grey), (used.shared, mean), (adapted, grey)):
            left_alone = torch.cat([maps[0], absent[1].expand_as(maps[1])], 1)
            right_alone = torch.cat([absent[0].expand_as(maps[0]), maps[1]], 1)
            outputs += [shared(left_alone), shared(right_alone)]
        total += torch.stack([(logits.argmax(1) == labels).sum().cpu() for logits in outputs])
    both, *alone = (total.double() / max(1, len(y))).tolist()
    return {"both": both, "closed": alone[:2], "mean_map": alone[2:4], "adapted": alone[4:]}
