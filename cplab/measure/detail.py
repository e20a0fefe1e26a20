"""The detail share by block: what of a convolutional network's change a blur could not teach."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cplab.late import F, Tensor, nn, torch
from cplab.measure.measurements import measurement

if TYPE_CHECKING:
    from cplab.data import Images

BLURRED_ENERGY = 0.99  # the part of the blurred patches' squares that spans what a blur leaves


@measurement(label="detail share by block", when="end", images=100, copied=False, from_birth=True)
def measure_block_detail(net: nn.Module, birth: nn.Module, images: Images) -> dict:
    """Of the squared change of a convolutional network's weights since birth, the part that blurred
    images hardly reach, for each block from the images on.

    A layer's weights answer to patches of what it takes. What a blur leaves of these patches is
    spanned by the directions with 99 % of their squares, when the network looks at blurred images.
    The change outside these directions is the detail share. What a layer's weights have in the
    direction of its weights at birth is left out, since weight decay shrinks all of them alike.

    Returns: share, a list by block; chance, the share of a random change.
    """
    from cplab.deficits import blur
    from cplab.models.layers import blocks

    blurred, _ = blur(images.normal(images.train_x), images.train_y)
    patches = patch_squares(net, blurred)
    shares = []
    chances = []
    for layers, layers_at_birth in zip(blocks(net), blocks(birth), strict=True):
        removed = 0.0
        removed_by_chance = 0.0
        total = 0.0
        for layer, at_birth in zip(layers, layers_at_birth, strict=True):
            if not isinstance(layer, nn.Conv2d) or not isinstance(at_birth, nn.Conv2d):
                continue
            change = change_since_birth(layer.weight, at_birth.weight)  # (out, in × height × width)
            removed_part, removed_directions = outside(change, patches[layer])
            squares = float(change.square().sum())
            removed += removed_part
            removed_by_chance += squares * removed_directions / change.shape[1]
            total += squares
        shares.append(round(removed / total, 4) if total else 0.0)
        chances.append(round(removed_by_chance / total, 4) if total else 0.0)
    return {"share": shares, "chance": chances}


def change_since_birth(weight: Tensor, at_birth: Tensor) -> Tensor:
    """The change of a layer's weights, (out, weights of a unit), without its part along the weights
    at birth.

    >>> change_since_birth(torch.tensor([[3.0, 1.0]]), torch.tensor([[2.0, 0.0]]))
    tensor([[0., 1.]], dtype=torch.float64)
    """
    weight = weight.detach().double()
    at_birth = at_birth.detach().double()
    shrunk = (weight * at_birth).sum() / at_birth.square().sum() * at_birth
    return (weight - shrunk).flatten(1)


def patch_squares(net: nn.Module, images: Tensor) -> dict[nn.Conv2d, Tensor]:
    """The mean products of the entries of the patches that each convolution takes of images, (N, C,
    H, W): a matrix (entries, entries) by layer, in float64."""
    products: dict[nn.Conv2d, Tensor] = {}

    def keep(layer: nn.Conv2d, inputs: tuple[Tensor]) -> None:
        padding: Any = layer.padding  # two numbers here, not a word
        patches = F.unfold(inputs[0], layer.kernel_size, layer.dilation, padding, layer.stride)
        entries = patches.transpose(0, 1).flatten(1)  # of (N, entries, places): a row for each
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


def outside(change: Tensor, products: Tensor) -> tuple[float, int]:
    """The squares of a change, (units, entries), outside the directions that hold most of some
    patches' squares, and how many directions these are.

    products: of the patches' entries, (entries, entries).

    >>> outside(torch.eye(2).double(), torch.diag(torch.tensor([0.0, 5.0]).double()))
    (1.0, 1)
    """
    squares, directions = torch.linalg.eigh(products)  # ascending
    energy = squares.clamp(min=0).cumsum(0)
    removed = directions[:, energy <= (1 - BLURRED_ENERGY) * energy[-1]]  # (entries, directions)
    return float((change @ removed).square().sum()), removed.shape[1]
