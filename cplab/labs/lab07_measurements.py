"""What lab 07 measures on a network with two eyes: which eye drives a neuron, what each can do."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, NamedTuple, cast

from cplab.base.errors import CplabError
from cplab.base.late import F, Tensor, nn, torch
from cplab.measure import measurement
from cplab.measure.builtin import count_correct

if TYPE_CHECKING:
    from cplab.models.layers import TwoEyes
    from cplab.pictures.data import Images


@measurement(label="share of the right eye", images=1000)
def measure_eye_shares(net: nn.Module, images: Images) -> list[float]:
    """The right eye's share in the drive of each neuron of the first layer that both eyes reach.

    It is var z_right / (var z_left + var z_right), over test images and positions, and 0.5 if
    neither eye drives the neuron. Batch norm of the stems has the statistics of these images: an
    eye that was closed is measured as if it had opened and adapted.

    Returns:
        a list by neuron.
    """
    x = images.normal(images.test_x)
    eyes = with_two_eyes(net.train())
    conv = cast("nn.Conv2d", eyes.shared[0])
    variances = []
    with torch.no_grad():
        maps = eyes.feature_maps(torch.stack([x, x], 1))
        weights = conv.weight.split(maps[0].shape[1], 1)  # those for each eye's maps
        for eye_maps, eye_weights in zip(maps, weights, strict=True):
            drive = F.conv2d(eye_maps, eye_weights, None, conv.stride, conv.padding)
            variances.append(drive.cpu().double().var((0, 2, 3)))
    left, right = variances  # (neurons,)
    shares = torch.where(left + right > 0, right / (left + right).clamp(min=1e-300), 0.5)
    return [round(share, 4) for share in shares.tolist()]


@measurement(label="each eye", images=5000, when="end")
def measure_each_eye(net: nn.Module, images: Images) -> dict:
    """The accuracy on test images with both eyes, and with each of them alone.

    A network that has always had two eyes has not learned what to do when one is closed. So the
    open eye is tested in three ways.

    Returns:
        both, a number, and lists [left alone, right alone]: closed, while the other eye sees grey;
        mean_map, with the mean over images in place of the other eye's maps; adapted, while it sees
        grey, with batch norm of the shared layers on the statistics of 1,000 of these images at a
        time, as for somebody who has got used to a covered eye.
    """
    x = images.normal(images.test_x)
    y = images.test_y
    eyes = with_two_eyes(net)
    correct_both = 0
    correct_alone = {way: {"left": 0, "right": 0} for way in ("closed", "mean_map", "adapted")}
    with torch.no_grad():
        for part, labels in zip(x.split(1000), y.split(1000), strict=True):
            logits = logits_of_eyes(eyes, part)
            correct_both += count_correct(logits.both, labels)
            for way, counts in correct_alone.items():
                for eye in counts:
                    counts[eye] += count_correct(logits.alone[way][eye], labels)
    count = max(1, len(y))
    row: dict[str, float | list[float]] = {"both": correct_both / count}
    for way, counts in correct_alone.items():
        row[way] = [correct / count for correct in counts.values()]
    return row


class EyeLogits(NamedTuple):
    """Logits (N, classes) of a network with two eyes.

    Attributes:
        both: with both eyes.
        alone: with one eye, by what takes the other's place (see `measure_each_eye`), and by the
            open eye, left or right.
    """

    both: Tensor
    alone: dict[str, dict[str, Tensor]]


def logits_of_eyes(net: TwoEyes, x: Tensor) -> EyeLogits:
    """The logits of a network for images (N, C, H, W), with both eyes and with each alone."""
    maps = net.feature_maps(torch.stack([x, x], 1))
    grey_views = torch.zeros_like(x[:1]).unsqueeze(1).expand(-1, 2, -1, -1, -1)
    grey = net.feature_maps(grey_views)
    mean = [eye_maps.mean(0, keepdim=True) for eye_maps in maps]
    adapted = copy.deepcopy(net.shared).train()
    alone = {
        "closed": logits_of_each_eye(net.shared, maps, grey),
        "mean_map": logits_of_each_eye(net.shared, maps, mean),
        "adapted": logits_of_each_eye(adapted, maps, grey),
    }
    return EyeLogits(net.shared(torch.cat(maps, 1)), alone)


def logits_of_each_eye(
    shared: nn.Module, maps: list[Tensor], absent: list[Tensor]
) -> dict[str, Tensor]:
    """The logits (N, classes) with the left and with the right eye alone.

    Arguments:
        shared: the layers behind both eyes.
        maps: of the left and the right eye.
        absent: the maps that take the place of each eye's when it is the other's turn.
    """
    left, right = maps
    absent_left, absent_right = absent
    left_alone = torch.cat([left, absent_right.expand_as(right)], 1)
    right_alone = torch.cat([absent_left.expand_as(left), right], 1)
    return {"left": shared(left_alone), "right": shared(right_alone)}


def with_two_eyes(net: nn.Module) -> TwoEyes:
    """Return a network if it has two eyes; else raise a CplabError."""
    if not hasattr(net, "eyes"):
        raise CplabError(f"a {type(net).__name__} does not have two eyes: take model eyes")
    return cast("TwoEyes", net)
