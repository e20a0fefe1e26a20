"""The detail share by block: what part of a convolutional network's change blur cannot cause."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cplab.late import F, Tensor, nn, torch
from cplab.measure.measurements import measurement

if TYPE_CHECKING:
    from cplab.data import Images

BLURRED_ENERGY = 0.99  # the part of blurred patches' squares in the directions that a blur leaves


@measurement(label="detail share by block", when="end", images=100, copied=False, from_birth=True)
def measure_block_detail(net: nn.Module, birth: nn.Module, images: Images) -> dict:
    """The part of the squared change of a convolutional network's weights since birth that blurred
    images could hardly have caused, for each block.

    A layer's weights respond to patches of its input. When the network sees blurred images, 99 % of
    these patches' squares are in some directions, which are what a blur leaves. The detail share is
    the part of the change outside these directions. The part of the change in the direction of the
    weights at birth is left out, since weight decay shrinks all weights alike.

    Returns: share, a list by block, from the images on; chance, the share of a random change.
    """
    from cplab.deficits import blur
    from cplab.models.layers import blocks

    blurred, _ = blur(images.normal(images.train_x), images.train_y)
    patches = patch_squares(net, blurred)
    shares = []
    chances = []
    for layers, layers_at_birth in zip(blocks(net), blocks(birth), strict=True):
        # Of all layers of the block: the squared change, its detail, and that of a random change
        total = 0.0
        detail = 0.0
        detail_by_chance = 0.0
        for layer, at_birth in zip(layers, layers_at_birth, strict=True):
            if not isinstance(layer, nn.Conv2d) or not isinstance(at_birth, nn.Conv2d):
                continue
            change = change_since_birth(layer.weight, at_birth.weight)  # (out, in × height × width)
            squares = float(change.square().sum())
            squares_outside, directions_outside = outside_blur(change, patches[layer])
            total += squares
            detail += squares_outside
            detail_by_chance += squares * directions_outside / change.shape[1]
        shares.append(round(detail / total, 4) if total else 0.0)
        chances.append(round(detail_by_chance / total, 4) if total else 0.0)
    return {"share": shares, "chance": chances}


def change_since_birth(weight: Tensor, at_birth: Tensor) -> Tensor:
    """The change of a layer's weights without its part in the direction of the weights at birth.

    Arguments: weight and at_birth, (out, in, ...).

    Returns: (out, weights of a unit), float64.

    >>> change_since_birth(torch.tensor([[3.0, 1.0]]), torch.tensor([[2.0, 0.0]]))
    tensor([[0., 1.]], dtype=torch.float64)
    """
    weight = weight.detach().double()
    at_birth = at_birth.detach().double()
    along_birth = (weight * at_birth).sum() / at_birth.square().sum() * at_birth
    return (weight - along_birth).flatten(1)


def patch_squares(net: nn.Module, images: Tensor) -> dict[nn.Conv2d, Tensor]:
    """The mean products of all pairs of entries of the patches that a convolution takes.

    Arguments: net; images, normalised, (N, C, H, W).

    Returns: by layer a matrix (entries, entries), float64.
    """
    products: dict[nn.Conv2d, Tensor] = {}

    def keep(layer: nn.Conv2d, inputs: tuple[Tensor]) -> None:
        """Add the matrix of a layer from its input: a hook for torch."""
        padding: Any = layer.padding  # two numbers here, not a word
        patches = F.unfold(inputs[0], layer.kernel_size, layer.dilation, padding, layer.stride)
        entries = patches.transpose(0, 1).flatten(1)  # (entries, N · places)
        products[layer] = (entries @ entries.T).double() / entries.shape[1]

    convolutions = [layer for layer in net.modules() if isinstance(layer, nn.Conv2d)]
    hooks = [layer.register_forward_pre_hook(keep) for layer in convolutions]
    try:
        with torch.no_grad():
            net(images)
    finally:
        for hook in hooks:
            hook.remove()
    return products


def outside_blur(change: Tensor, products: Tensor) -> tuple[float, int]:
    """The squares of a change, summed, outside the directions that have most of patches' squares.

    Arguments: change, (units, entries); products, of the patches' entries, (entries, entries).

    Returns: the sum, and the number of directions outside.

    >>> outside_blur(torch.eye(2).double(), torch.diag(torch.tensor([0.0, 5.0]).double()))
    (1.0, 1)
    """
    squares, directions = torch.linalg.eigh(products)  # the least squares come first
    energy = squares.clamp(min=0).cumsum(0)  # (entries,), of each direction and all before it
    is_outside = energy <= (1 - BLURRED_ENERGY) * energy[-1]
    outside = directions[:, is_outside]  # (entries, directions)
    return float((change @ outside).square().sum()), outside.shape[1]
