"""One layer's part in a gradient, from its input a and the gradients g at its output.

An image's weight gradient is Σ_p g_p a_pᵀ over output positions p; its norm needs no weight
gradient. In a convolution of several groups each group is a layer of its own.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def squared_norms(layer: Any, a: Tensor, grads: Sequence[Tensor]) -> Tensor:
    """Σ_k ‖weight gradient‖² of each image, (N,); grads has one at the output for each k.

    The cheaper of two ways: where positions are few, ⟨a aᵀ, g gᵀ⟩ of the inner products between
    positions needs no weight gradient."""
    a, g = unfold_inputs(layer, a), outputs(layer, grads)
    p, k, r = *a.shape[1:], g.shape[2]
    if p * (k + r) < k * r:
        norms = to_float64(torch.linalg.vecdot((a @ a.mT).flatten(1), (g @ g.mT).flatten(1)))
    else:
        norms = to_float64(torch.linalg.vector_norm((g.mT @ a).flatten(1), dim=1)).square()
    return norms.view(-1, groups(layer)).sum(1)


def to_float64(t: Tensor) -> Tensor:
    """t in float64, which Apple's GPUs do not have."""
    return t if t.device.type == "mps" else t.double()


def groups(layer: Any) -> int:
    """The number of groups of a convolution; 1 for a linear layer."""
    return layer.groups if isinstance(layer, nn.Conv2d) else 1


def unfold_inputs(layer: Any, a: Tensor) -> Tensor:
    """The part of the input that each output position sees: (N, ...) → (N · groups, positions, K),
    K the number of weights of one output channel."""
    if not isinstance(layer, nn.Conv2d):
        return a.flatten(1, -2) if a.ndim > 2 else a[:, None]
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    a = F.pad(a, layer._reversed_padding_repeated_twice, mode=mode)
    a = a.contiguous(memory_format=torch.channels_last)  # copies whole pixels below
    shape = zip(layer.kernel_size, layer.dilation, layer.stride, strict=True)
    for dim, (size, dilation, stride) in enumerate(shape, start=2):
        a = a.unfold(dim, dilation * (size - 1) + 1, stride)[..., ::dilation]
    a = a.unflatten(1, (layer.groups, -1)).permute(0, 1, 3, 4, 5, 6, 2)
    return a.flatten(4).flatten(2, 3).flatten(0, 1)


def outputs(layer: Any, grads: Sequence[Tensor]) -> Tensor:
    """Gradients at the output, one (N, ...) for each k, as (N · groups, positions, k · out)."""
    if isinstance(layer, nn.Conv2d):
        split = [g.unflatten(1, (layer.groups, -1)).flatten(3).mT for g in grads]
    else:
        split = [(g.flatten(1, -2) if g.ndim > 2 else g[:, None])[:, None] for g in grads]
    n, blocks, positions, out = split[0].shape
    stacked = grads[0].new_empty(n, blocks, positions, len(grads), out)
    for k, g in enumerate(split):  # faster than torch.stack, which has small pieces to copy
        stacked[..., k, :] = g
    return stacked.flatten(3).flatten(0, 1)


def weight_shaped(layer: Any, rows: Tensor) -> Tensor:
    """A sum over images in the shape of the layer's weight, from (N · groups, out, K), where K is
    in the order of `unfold_inputs`."""
    total = rows.unflatten(0, (-1, groups(layer))).sum(0).flatten(0, 1)
    if not isinstance(layer, nn.Conv2d):
        return total
    return total.unflatten(1, (*layer.kernel_size, -1)).permute(0, 3, 1, 2)


# Kronecker factors --------------------------------------------------------------------------------


def add_products(before: Tensor | None, rows: Tensor, blocks: int, few: bool = False) -> Tensor:
    """Add Σ rᵀ r over images and rows, for each group, to the sum before: (N · blocks, R, D) →
    (blocks, D, D); if there will be few rows, fewer than D, the rows themselves, (blocks, N·R, D).
    """
    rows = rows.unflatten(0, (-1, blocks)).transpose(0, 1).flatten(1, 2)
    rows = (rows.cpu() if rows.device.type == "mps" else rows).double()
    if few:
        return rows if before is None else torch.cat([before, rows], 1)
    return rows.mT @ rows + (0 if before is None else before)


def eigenvalues(products: Tensor) -> Tensor:
    """The eigenvalues of Σ rᵀ r, (blocks, D), from `add_products`; rows r rᵀ have those above 0."""
    _, rows, size = products.shape
    square = products if rows == size else products @ products.mT
    return F.pad(torch.linalg.eigvalsh(square).clamp(min=0), (size - rows, 0))
