"""Deficits and a network to start from, written as in a notebook's cell: copy one and change a
line.

    from cplab.gallery import occlude
    cplab.run(deficit=occlude, length=8)

Their names end in @ and eight digits, as those of your own do. Without these digits such a name
stands for your own function, if you have one that is called so.
"""

from __future__ import annotations

from cplab.base.late import Tensor, nn, torch
from cplab.deficits import Batch, blur, deficit
from cplab.models import model

__all__ = [
    "contrast",
    "gaussian_blur",
    "grey",
    "high_pass",
    "mirror",
    "occlude",
    "random_labels",
    "rename",
]


@deficit(name="occlude@4b579b4b", label="lower half covered")
def occlude(x: Tensor, y: Tensor, rows: int = 8) -> tuple[Tensor, Tensor]:
    """Make the lowest `rows` rows of pixels an even grey, the mean of all images.

    >>> occlude(torch.ones(1, 3, 32, 32), torch.tensor([0]))[0].mean()
    tensor(0.7500)
    """
    x = x.clone()
    x[..., -rows:, :] = 0
    return x, y


@deficit(name="grey@abdb20c7", label="no colour")
def grey(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Give each channel the mean of all channels, which removes colour.

    >>> grey(torch.tensor([0.0, 1, 5]).reshape(1, 3, 1, 1), torch.tensor([0]))[0].flatten()
    tensor([2., 2., 2.])
    """
    return x.mean(1, keepdim=True).expand_as(x), y


@deficit(name="contrast@11112d30", label="low contrast")
def contrast(x: Tensor, y: Tensor, left: float = 0.25) -> tuple[Tensor, Tensor]:
    """Reduce the contrast of each image, around its own mean, to a part, `left` (Hendrycks and
    Dietterich 2019, ImageNet-C).

    >>> contrast(torch.tensor([[[[0.0, 8]]]]), torch.tensor([0]))[0].flatten()
    tensor([3., 5.])
    """
    mean = x.mean((1, 2, 3), keepdim=True)
    return mean + left * (x - mean), y


@deficit(name="gaussian_blur@97304322", label="Gaussian blur")
def gaussian_blur(x: Tensor, y: Tensor, width: int = 2) -> tuple[Tensor, Tensor]:
    """Blur images with a Gaussian whose standard deviation is `width` pixels. At the edges they are
    continued by their mirror image.

    The paper's blur shrinks and enlarges instead; a footnote says that this one has a very similar
    effect (Achille, Rovere and Soatto 2019).

    >>> gaussian_blur(torch.ones(1, 3, 32, 32), torch.tensor([0]))[0].std() < 1e-6
    tensor(True)
    """
    reach = min(4 * width, min(x.shape[-2:]) - 1)
    distance = torch.arange(-reach, reach + 1, device=x.device)
    weights = torch.exp(-(distance**2) / (2 * width**2))
    weights = (weights / weights.sum()).to(x.dtype).expand(x.shape[1], 1, 1, -1)
    padded = torch.nn.functional.pad(x, (reach, reach, reach, reach), mode="reflect")
    across = torch.nn.functional.conv2d(padded, weights, groups=x.shape[1])
    return torch.nn.functional.conv2d(across, weights.mT, groups=x.shape[1]), y


@deficit(name="high_pass@bf6edc7d", label="fine detail alone")
def high_pass(x: Tensor, y: Tensor, strength: int = 4) -> tuple[Tensor, Tensor]:
    """Keep only what a blur of this strength removes: edges and texture, but no large shapes.

    >>> high_pass(torch.full((1, 3, 32, 32), 2.0), torch.tensor([0]))[0].abs().max() < 1e-6
    tensor(True)
    """
    blurred, y = blur(x, y, strength)
    return x - blurred, y


@deficit(name="rename@31a48c26", label="other names")
def rename(x: Tensor, y: Tensor, step: int = 1) -> tuple[Tensor, Tensor]:
    """Give each class the label of the class `step` further on, and the last ones those of the
    first. With other steps the task can change as often as you like.

    >>> rename(torch.zeros(2, 3, 8, 8), torch.tensor([0, 9]))[1].tolist()
    [1, 0]
    """
    return x, (y + step) % 10


@deficit(name="mirror@7049bd1b", label="mirrored")
def mirror(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Exchange left and right. This is a control without effect: augmentation mirrors half of the
    training images anyway.

    >>> mirror(torch.tensor([[[[1, 2]]]]), torch.tensor([0]))[0].tolist()
    [[[[2, 1]]]]
    """
    return x.flip(-1), y


@deficit(name="random_labels@2b137ed5", label="random labels")
def random_labels(x: Tensor, y: Tensor, *, context: Batch) -> tuple[Tensor, Tensor]:
    """Give each training image a random label, the same in every epoch, to be learned by heart
    (Liu, Papailiopoulos and Achlioptas 2020, arXiv 1906.02613).

    >>> batch = Batch(torch.arange(3), images=3)
    >>> random_labels(*torch.ones(2, 3).long(), context=batch)[1]
    tensor([4, 9, 3])
    """
    generator = torch.Generator().manual_seed(2**41 + context.seed)
    drawn = torch.randint(context.classes, (context.images,), generator=generator)
    return x, drawn.to(y.device)[context.index]


@model(name="plain@70cd51b5", label="All-CNN without batch norm", width=96)
def plain(width: int, channels: int, size: int, classes: int) -> nn.Module:
    """The paper's All-CNN with biases instead of batch norm, and with the initial weights of He et
    al. 2015. It can learn from blank images, through its biases.

    >>> sum(isinstance(layer, nn.BatchNorm2d) for layer in plain(4, 3, 16, 10))
    0
    """
    layers: list[nn.Module] = []
    plan = ((1, 3, 1), (1, 3, 1), (2, 3, 2), (2, 3, 1), (2, 3, 1), (2, 3, 2), (2, 3, 1), (2, 1, 1))
    for times, kernel, stride in plan:
        conv = nn.Conv2d(channels, times * width, kernel, stride, padding=kernel // 2)
        nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
        layers += [conv, nn.ReLU(inplace=True)]
        channels = times * width
    head = [nn.Conv2d(channels, classes, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, *head)
