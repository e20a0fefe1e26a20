"""Fisher information: how strongly a network's outputs depend on its connections, by layer.

Labels have the probabilities that the network itself gives them, and a copy of the network is used
in eval mode (Achille, Rovere & Soatto, 'The Fisher Information Matrix' and Materials and Methods).

All functions take a network with logits (N, C), made of Conv2d, Linear, BatchNorm and layers
without parameters, and normalised images x, (N, ...), on any device. They raise a CplabError if
there are no images, if logits are not finite, and for a layer of another kind or one used twice.
"""

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cplab.base import devices
from cplab.base.errors import CplabError, Diverged, explain
from cplab.models.layers import Pointwise

__all__ = ["diagonal", "information", "jacobian", "log_determinant", "sharpness", "trace"]

DAMPING = 1e-3  # the paper's weight decay
ROUNDS = 100  # of Lanczos' method at most
TOLERANCE = 0.01  # of Lanczos' method, relative
CONNECTIONS = (nn.Conv2d, nn.Linear)  # layers whose weights the paper compares with synapses
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
ALLOWED = (*CONNECTIONS, Pointwise, *NORMS)
# About how many bytes the images of a pass take, by kind of device. More would be slower on a CPU:
# a layer's output would have left the cache before the next layer needs it.
WORK = {"cpu": 2**27, "cuda": 2**30, "mps": 2**28}
Layer = nn.Conv2d | nn.Linear
# For each image k vectors (C,) are sent back through the network: for a vector v, a backward pass
# gives the gradient of the number v · logits. A function makes these vectors, (k, n, C), from the
# probabilities of n images, (n, C), and their rows in x.
Vectors = Callable[[Tensor, slice], Tensor]


@dataclass(frozen=True)
class ByLayer:
    """A number for a whole network, and one for each of its layers."""

    total: float
    layers: dict[str, float]  # by the layer's name in the network
    error: float = 0.0  # the standard error of the total; 0 if nothing was drawn at random
    errors: dict[str, float] = field(default_factory=dict)  # of the layers; none in that case


def trace(net: nn.Module, x: Tensor) -> ByLayer:
    """The exact trace of the Fisher information matrix, in nats per squared unit of weight.

    It is the paper's measure of connection strength: tr F = E_x E_{y ~ p(y|x)} ‖∇_w log p(y|x)‖²,
    over the weights w of convolutions and linear layers.

    >>> net = nn.Linear(2, 2, bias=False)
    >>> _ = nn.init.zeros_(net.weight)
    >>> round(trace(net, torch.tensor([[3.0, 4.0]])).total, 4)  # ‖x‖² Σ p (1 − p)
    12.5
    """
    return mean_by_layer(squared_gradients(net, x, every_label))


def jacobian(net: nn.Module, x: Tensor) -> ByLayer:
    """E_x ‖J‖², the squared Frobenius norm of the Jacobian of the C logits, in logits² per squared
    unit of weight. It is like the trace, but without the softmax, which is flat where a network is
    certain.

    >>> net = nn.Linear(2, 2, bias=False)
    >>> jacobian(net, torch.tensor([[3.0, 4.0]])).total  # ‖x‖² for each class
    50.0
    """
    return mean_by_layer(squared_gradients(net, x, every_logit))


def diagonal(net: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """The terms of `trace` for single weights: F_ii = E_x Σ_y p_y (∂ log p_y / ∂w_i)², which is the
    curvature of the loss along a weight.

    Returns:
        for each layer, by name, a tensor of the shape of its weight.

    >>> net = nn.Linear(2, 2, bias=False)
    >>> _ = nn.init.zeros_(net.weight)
    >>> diagonal(net, torch.tensor([[3.0, 4.0]]))["Linear"].round(decimals=2).tolist()
    [[2.25, 4.0], [2.25, 4.0]]
    """
    return squared_weight_gradients(net, x, every_label)


def log_determinant(net: nn.Module, x: Tensor, damping: float = DAMPING) -> ByLayer:
    """The natural logarithm of the determinant, log |F + damping · I|, by K-FAC.

    Each layer's block is taken as A ⊗ G with A = E_x Σ_p a_p a_pᵀ and G = E_x Σ_y p_y Σ_p g_p g_pᵀ
    / positions (Martens & Grosse 2015; for convolutions Grosse & Martens 2016). Blocks between
    layers are left out.

    Most eigenvalues are nearly 0, so that the result depends strongly on `damping`, which must be
    above 0. With the paper's weight decay, F + damping · I is the curvature of the training loss.

    >>> net = nn.Linear(2, 2, bias=False)
    >>> _ = nn.init.zeros_(net.weight)  # F has the eigenvalues 12.5, 0, 0, 0
    >>> round(math.exp(log_determinant(net, torch.tensor([[3.0, 4.0]]), damping=1.0).total), 3)
    13.5
    """
    if damping <= 0:
        raise CplabError(f"damping {damping!r} is not allowed: give a number above 0")
    sizes = {name: layer.weight.numel() for name, layer in counted_layers(net, x).items()}
    # A and G of each layer, times len(x), as `add_products` keeps them
    a_sums: dict[str, Tensor] = {}
    g_sums: dict[str, Tensor] = {}

    def add(name: str, rows: slice, a: Tensor, g: Tensor) -> None:
        """Add a chunk of images, see `each_layer`."""
        groups, inputs, positions = a.shape[1:]
        out = sizes[name] // (groups * inputs)
        g = g.unflatten(2, (-1, out)) / positions**0.5  # (n, groups, k, out, positions)
        g = g.movedim(3, 2).flatten(3)  # (n, groups, out, k · positions)
        a_sums[name] = add_products(a_sums.get(name), a, len(x))
        g_sums[name] = add_products(g_sums.get(name), g, len(x))

    each_layer(net, x, every_label, add)
    logs = {name: math.log(damping) * size for name, size in sizes.items()}
    for name in a_sums:  # other layers have no gradient
        if not (a_sums[name].isfinite().all() and g_sums[name].isfinite().all()):
            raise Diverged(f"the gradients of layer {name!r} are not finite: see its weights")
        a_values = eigenvalues(a_sums[name]) / len(x)  # (groups, K)
        g_values = eigenvalues(g_sums[name]) / len(x)  # (groups, out)
        block_values = a_values[:, :, None] * g_values[:, None]  # of A ⊗ G
        logs[name] = (block_values + damping).log().sum().item()
    return ByLayer(sum(logs.values()), logs)


def information(
    net: nn.Module,
    x: Tensor,
    beta: float | None = None,
    *,
    draws: int = 50,
    batch: int = 100,
) -> tuple[ByLayer, dict[str, Tensor]]:
    """Information in the weights, by the noise they can bear (Materials and Methods, figure 5).

    The paper looks for the diagonal Σ that minimises E_{w ~ N(w₀, Σ)} L(w) − β log |Σ|. By Price's
    theorem ∂E L / ∂Σ_ii = ½ E ∂²L/∂w_i², so that Σ_ii = 2β / E_{w ~ N(w₀, Σ)} F_ii(w). This is
    solved by averaging F_ii over draws of w. As in the paper, F stands for the Hessian: in ReLU
    networks, which are piecewise linear in a single weight, their diagonals are equal. The noise of
    a weight never has a larger variance than the mean square weight of its layer.

    Arguments:
        net: the network.
        x: normalised images (N, C, H, W).
        beta: in nats: the noise raises the loss by about β for each weight, or by 0.05 nats in all
            if None (the paper does not state its value).
        draws: how many of w there are.
        batch: the number of images of x for each draw.

    Returns:
        the trace of E F(w), with standard errors over draws, and the variance of each weight's
        noise, by layer.

    >>> net = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 3))
    >>> trace, variances = information(net, torch.randn(5, 2), draws=2)
    >>> list(trace.layers), variances["0"].shape
    (['0', '2'], torch.Size([4, 2]))
    """
    noisy = copy.deepcopy(net)
    layers = counted_layers(noisy, x)
    weights = {name: layer.weight.detach().clone() for name, layer in layers.items()}
    if beta is None:
        beta = 0.05 / sum(weight.numel() for weight in weights.values())
    if not 0 < beta < math.inf:
        raise CplabError(f"beta {beta!r} is not allowed: give a number above 0")
    generator = torch.Generator().manual_seed(0)
    # One variance for each layer at first: some weights may have no gradient on a few images
    mean = {}  # of F's diagonals so far, by layer
    for name, values in draw_diagonal(noisy, x, batch, generator).items():
        mean[name] = values.mean().expand_as(values)
    traces = []  # (draws, layers)
    for draw in range(draws):
        for name, variance in noise_variances(mean, weights, beta).items():
            noise = torch.randn(variance.shape, generator=generator, dtype=torch.float32)
            noise = noise.to(variance)
            layers[name].weight.data = weights[name] + variance.sqrt() * noise
        diagonals = draw_diagonal(noisy, x, batch, generator)
        for name, values in diagonals.items():
            # Later draws weigh more: their noise comes from better variances
            mean[name] = mean[name].lerp(values, 2 / (draw + 3))
        traces.append([values.sum().item() for values in diagonals.values()])
    totals = {name: values.sum().item() for name, values in mean.items()}
    # The weights grow in proportion to the draw's number: the mean is as exact as an even one over
    # three quarters of the draws
    spread = torch.tensor(traces, dtype=torch.float64) / (0.75 * draws) ** 0.5  # (draws, layers)
    errors = dict(zip(totals, spread.std(0).tolist(), strict=True))
    error = spread.sum(1).std().item()
    by_layer = ByLayer(sum(totals.values()), totals, error, errors)
    return by_layer, noise_variances(mean, weights, beta)


def draw_diagonal(
    net: nn.Module, x: Tensor, batch: int, generator: torch.Generator
) -> dict[str, Tensor]:
    """Estimate F's diagonal, by layer, without bias, from `batch` random images of x.

    This takes a single backward pass: it sends back the sum of all labels' vectors with random
    signs, so that mixed products cancel on average.
    """
    index = torch.randint(len(x), (batch,), generator=generator).to(x.device)
    signs: list[Tensor] = []  # one tensor, (C, batch, 1), drawn once C is known

    def signed(p: Tensor, rows: slice) -> Tensor:
        """The vector to send back, (1, n, C), from probabilities (n, C)."""
        if not signs:
            bits = torch.randint(2, (p.shape[1], batch, 1), generator=generator)
            signs.append((2 * bits - 1).to(p))
        vectors = every_label(p) * signs[0][:, rows]  # (C, n, C)
        return vectors.sum(0)[None]

    return squared_weight_gradients(net, x[index], signed)


def noise_variances(
    diagonals: dict[str, Tensor], weights: dict[str, Tensor], beta: float
) -> dict[str, Tensor]:
    """The variance of each weight's noise, by layer: 2 β / F_ii, or the mean square weight of the
    layer if that is smaller."""
    variances = {}
    for name, values in diagonals.items():
        variances[name] = (2 * beta / values).minimum(weights[name].square().mean())
    return variances


def sharpness(net: nn.Module, x: Tensor, y: Tensor) -> float:
    """The largest eigenvalue of the Hessian of the mean cross-entropy, in nats per squared unit of
    weight, over the weights of convolutions and linear layers.

    It is found by Lanczos' method, to one part in a hundred.

    Arguments:
        net: the network.
        x: normalised images (N, C, H, W).
        y: labels (N,).

    Raises:
        CplabError: if the method does not converge.

    >>> net = nn.Linear(2, 2, bias=False)
    >>> _ = nn.init.zeros_(net.weight)
    >>> round(sharpness(net, torch.tensor([[3.0, 4.0]]), torch.tensor([0])), 3)
    12.5
    """
    from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh

    net = copy.deepcopy(net).eval()
    layers = counted_layers(net, x).values()
    weights = [layer.weight for layer in layers if layer.weight.requires_grad]
    sizes = [weight.numel() for weight in weights]
    with devices.autocast(weights[0].device, "float32"):
        loss = F.cross_entropy(logits_of(net, x.to(weights[0])), y)
        gradients = torch.autograd.grad(loss, weights, create_graph=True)

        def multiply(vector: np.ndarray) -> np.ndarray:
            """The Hessian times a vector, (weights,): the gradient of the loss's slope along it."""
            parts = torch.as_tensor(vector.reshape(-1)).to(weights[0]).split(sizes)
            slope = weights[0].new_zeros(())
            for gradient, part in zip(gradients, parts, strict=True):
                slope = slope + (gradient.flatten() * part).sum()
            products = torch.autograd.grad(slope, weights, retain_graph=True)
            return torch.cat([product.flatten() for product in products]).cpu().double().numpy()

        generator = torch.Generator().manual_seed(0)
        start = torch.randn(sum(sizes), generator=generator, dtype=torch.float32).double().numpy()
        if not multiply(start).any():  # all outputs are certain; ARPACK refuses a zero
            return 0.0
        hessian = LinearOperator((len(start), len(start)), multiply, dtype=start.dtype)
        try:
            [top] = eigsh(
                hessian,
                k=1,
                which="LA",
                v0=start,
                tol=TOLERANCE,
                maxiter=ROUNDS,
                return_eigenvectors=False,
            )
        except ArpackError as error:
            raise CplabError(
                f"the largest eigenvalue was not found in {ROUNDS} rounds: give more images"
            ) from error
    if not math.isfinite(top):
        raise CplabError("the Hessian is not finite: the network has diverged")
    return float(top)


# Labels, and sums over the images -----------------------------------------------------------------


def every_label(p: Tensor, rows: slice | None = None) -> Tensor:
    """The vectors s to send back for a sum over all labels: √p_y (e_y − p), so that the sum of s sᵀ
    is diag(p) − p pᵀ.

    Arguments:
        p: probabilities (n, C).
        rows: of the images, which do not matter here.

    Returns:
        (C, n, C).
    """
    labels = torch.eye(p.shape[1]).to(p)
    vectors = p.sqrt()[:, :, None] * (labels - p[:, None])  # (n, label, C)
    return vectors.transpose(0, 1)


def every_logit(p: Tensor, rows: slice) -> Tensor:
    """The vectors to send back for a sum over all logits, (C, n, C), from probabilities (n, C)."""
    return torch.eye(p.shape[1]).to(p)[:, None].expand(-1, len(p), -1)


def squared_gradients(net: nn.Module, x: Tensor, vectors: Vectors) -> dict[str, Tensor]:
    """Σ_k ‖weight gradient‖² of each image, by layer: (N,), float64. k counts the vectors that are
    sent back."""
    squares = {name: torch.zeros(len(x), dtype=torch.float64) for name in counted_layers(net, x)}

    def add(name: str, rows: slice, a: Tensor, g: Tensor) -> None:
        """Add a chunk of images, see `each_layer`."""
        inputs, positions = a.shape[2:]
        outputs = g.shape[2]  # of all k vectors
        if positions * (inputs + outputs) < inputs * outputs:
            # ⟨aᵀ a, gᵀ g⟩ is the same, cheaper, and needs no gradient of the weights
            by_group = ((a.mT @ a) * (g.mT @ g)).sum((2, 3))  # (n, groups)
        else:
            by_group = torch.linalg.vector_norm(g @ a.mT, dim=(2, 3)).square()  # (n, groups)
        squares[name][rows] = by_group.sum(1).double().cpu()

    each_layer(net, x, vectors, add)
    return squares


def mean_by_layer(squares: dict[str, Tensor]) -> ByLayer:
    """The mean over images, by layer and in all. squares: the numbers of images, (N,), by layer."""
    means = {name: values.mean().item() for name, values in squares.items()}
    return ByLayer(sum(means.values()), means)


def squared_weight_gradients(net: nn.Module, x: Tensor, vectors: Vectors) -> dict[str, Tensor]:
    """Σ_k (gradient)² of each weight, averaged over images, by layer."""
    layers = counted_layers(net, x)
    sums = {name: torch.zeros_like(layer.weight) for name, layer in layers.items()}

    def add(name: str, rows: slice, a: Tensor, g: Tensor) -> None:
        """Add a chunk of images, see `each_layer`."""
        groups = a.shape[1]
        out = len(sums[name]) // groups
        squares = (g @ a.mT).square_()  # (n, groups, k · out, inputs)
        summed = squares.unflatten(2, (-1, out)).sum((0, 2))  # (groups, out, inputs)
        sums[name] += summed.view_as(sums[name]) / len(x)

    each_layer(net, x, vectors, add, gradients=True)
    return sums


def add_products(before: Tensor | None, columns: Tensor, images: int) -> Tensor:
    """Add Σ c cᵀ over images and positions to the sum before, (groups, D, D).

    If there are fewer than D columns in all, the columns themselves take less memory. They are then
    kept side by side instead of the sum, (groups, D, count).

    Arguments:
        before: what was returned for earlier images, if there were any.
        columns: c, (n, groups, D, positions).
        images: how many there are in all.
    """
    size, positions = columns.shape[2:]
    are_few = images * positions < size
    columns = columns.movedim(0, 2).flatten(2).cpu().double()  # (groups, D, n · positions)
    if are_few:
        return columns if before is None else torch.cat([before, columns], 2)
    products = columns @ columns.mT
    return products if before is None else products + before


def eigenvalues(products: Tensor) -> Tensor:
    """The eigenvalues of Σ c cᵀ, (groups, D), from what `add_products` returns."""
    size, count = products.shape[1:]
    square = products
    if count < size:  # columns side by side: cᵀ c has the same eigenvalues, but for zeros
        square = products.mT @ products
    values = torch.linalg.eigvalsh(square).clamp(min=0)
    return F.pad(values, (size - count, 0))


# Passes -------------------------------------------------------------------------------------------


def counted_layers(net: nn.Module, x: Tensor) -> dict[str, Layer]:
    """The convolutions and linear layers of a network, by name.

    Raises:
        CplabError: for images or layers that are not allowed: gradients must follow from the inputs
            and outputs of a single layer.
    """
    if not x.is_floating_point():
        raise CplabError(f"images of type {x.dtype}: normalise them first")
    if not len(x):
        raise CplabError("no images: the Fisher information is a mean over images, give some")
    owners: dict[int, str] = {}  # the first layer that has a parameter, by the parameter's identity
    layers = {}
    for path, module in net.named_modules():
        name = path or type(module).__name__  # a network that is a single layer has no path to it
        refusal = f"layer {name!r} ({type(module).__name__}) is not allowed"
        for parameter in module.parameters(recurse=False):
            is_allowed = type(module) in ALLOWED
            is_shared = owners.setdefault(id(parameter), name) != name
            if not is_allowed or is_shared:
                allowed = "each parameter has to be of one Conv2d, Linear or BatchNorm"
                raise CplabError(f"{refusal}: {allowed}")
        if isinstance(module, NORMS) and module.running_mean is None:
            raise CplabError(f"{refusal}: without running statistics images depend on each other")
        if isinstance(module, CONNECTIONS):
            layers[name] = module
    if not layers:
        raise CplabError("the network has no weights of convolutions or linear layers to count")
    return layers


def logits_of(net: nn.Module, x: Tensor) -> Tensor:
    """The logits (N, C) of images x, (N, ...).

    Raises:
        CplabError: for other shapes.
        Diverged: if logits are not finite.
    """
    with explain("the network"):
        logits = net(x)
    if logits.ndim != 2 or len(logits) != len(x) or logits.shape[1] < 2:
        refusal = f"logits {tuple(logits.shape)} of {len(x)} images are not allowed"
        raise CplabError(f"{refusal}: give ({len(x)}, classes), 2 classes or more")
    if not logits.isfinite().all():
        raise Diverged("the logits are not finite: the network has diverged, or the images have")
    return logits


def output_gradients(
    logits: Tensor, vectors: Tensor, zeros: Sequence[Tensor]
) -> list[tuple[Tensor, ...]]:
    """The gradients at layers' outputs, for each layer one of each vector, or None.

    Arguments:
        logits: (n, C).
        vectors: to send back, (k, n, C).
        zeros: which were added to the outputs, one for each layer.
    """
    by_vector = []  # for each vector, a gradient of each layer
    for vector in vectors:
        # Of a number: for a vector torch would load sympy, which takes a third of a second
        total = (logits * vector).sum()
        by_vector.append(torch.autograd.grad(total, zeros, retain_graph=True, allow_unused=True))
    return list(zip(*by_vector, strict=True))  # for each layer, a gradient of each vector


def each_layer(
    net: nn.Module,
    x: Tensor,
    vectors: Vectors,
    use: Callable[[str, slice, Tensor, Tensor], None],
    gradients: bool = False,
) -> None:
    """Call `use` with each layer's inputs and gradients, for a chunk of images at a time.

    An image's gradient of a weight is Σ_p g_p a_pᵀ over the positions p of the layer's output. Each
    group of a convolution is like a layer of its own.

    Arguments:
        net, x: the network and images.
        vectors: makes the vectors to send back from the logits, k for each image.
        use: called with the layer's name, the rows of the chunk in x, what each position sees, a,
            (n, groups, K, positions), and the gradients at its output, g, (n, groups, k · out,
            positions).
        gradients: whether `use` computes gradients of the weights for each image, which takes
            memory.
    """
    net = copy.deepcopy(net).eval()
    layers = counted_layers(net, x)
    weight = next(net.parameters())
    calls: dict[str, Call] = {}
    for name, layer in layers.items():
        layer.register_forward_hook(partial(record_call, calls, name), with_kwargs=True)

    def forward(rows: slice) -> tuple[Tensor, Tensor]:
        """The logits of some images, (n, C), and the vectors to send back, (k, n, C)."""
        calls.clear()
        logits = logits_of(net, x[rows].detach().to(weight, copy=True))
        for name in layers:
            if name not in calls or len(calls[name].inputs) != len(logits):
                raise CplabError(f"layer {name!r}: call it once, and keep the first dimension")
        return logits, vectors(logits.detach().softmax(1), rows)

    with devices.autocast(weight.device, "float32"):
        _, sent = forward(slice(0, 1))
        numbers = numbers_of_image(layers, calls, len(sent), gradients)
        most = max(1, WORK[weight.device.type] // (weight.element_size() * numbers))
        chunks = math.ceil(len(x) / most)
        size = math.ceil(len(x) / chunks)  # so that all chunks are about equally large
        for start in range(0, len(x), size):
            rows = slice(start, min(start + size, len(x)))
            logits, sent = forward(rows)
            zeros = [calls[name].zeros for name in layers]
            by_layer = output_gradients(logits, sent, zeros)
            for name in reversed(layers):  # pop frees the memory of gradients once they are used
                sent_back = by_layer.pop()
                if sent_back[0] is not None:  # else the logits do not depend on this layer
                    layer = layers[name]
                    use(
                        name,
                        rows,
                        patches(layer, calls[name].inputs),
                        join_gradients(layer, sent_back),
                    )


class Call(NamedTuple):
    """A layer's inputs, and zeros that were added to its output: the gradient of the zeros is that
    of the output."""

    inputs: Tensor
    zeros: Tensor


def record_call(
    calls: dict[str, Call], name: str, layer: nn.Module, args: tuple, named: dict, output: Tensor
) -> Tensor:
    """Record a layer's call: a hook for torch, with the first two arguments bound.

    Returns:
        the layer's output plus zeros.
    """
    if name in calls:
        raise CplabError(f"layer {name!r} is used 2 times: only once is allowed")
    if not torch.is_grad_enabled():
        raise CplabError(f"layer {name!r}: the network cuts off its gradient")
    zeros = torch.zeros_like(output).requires_grad_()
    [inputs] = [*args, *named.values()]  # the only argument, whether or not it was named
    calls[name] = Call(inputs.detach().clone(), zeros)  # a copy: inputs may change in place
    return output + zeros


def numbers_of_image(
    layers: dict[str, Layer], calls: dict[str, Call], vectors: int, gradients: bool
) -> int:
    """About how many numbers a pass keeps in memory for each image.

    Arguments:
        layers: of the network, by name.
        calls: of each layer, for one image.
        vectors: how many are sent back.
        gradients: as for `each_layer`.
    """
    outputs = sum(call.zeros.numel() for call in calls.values())
    # For each output a gradient for each vector, some of them copied, and about five numbers that
    # the network keeps for its backward pass
    numbers = (5 + 3 * vectors // 2) * outputs
    if gradients:
        numbers += vectors * max(layer.weight.numel() for layer in layers.values())
    return numbers


def patches(layer: Layer, inputs: Tensor) -> Tensor:
    """What each position of a layer's output sees of its inputs: (n, groups, K, positions)."""
    if isinstance(layer, nn.Linear):
        return positions_last(inputs)
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    # The layer's padding as F.pad takes it, even if it was given as a word
    padded = F.pad(inputs, layer._reversed_padding_repeated_twice, mode=mode)
    unfolded = F.unfold(padded, layer.kernel_size, layer.dilation, stride=layer.stride)
    return unfolded.unflatten(1, (layer.groups, -1))


def join_gradients(layer: Layer, gradients: Sequence[Tensor]) -> Tensor:
    """Join the gradients at a layer's output, one for each of k vectors that were sent back.

    Returns:
        (n, groups, k · out, positions).
    """
    if isinstance(layer, nn.Linear):
        return torch.cat([positions_last(gradient) for gradient in gradients], 2)
    by_group = []
    for gradient in gradients:  # (n, groups · out, H, W)
        by_group.append(gradient.unflatten(1, (layer.groups, -1)).flatten(3))
    return torch.cat(by_group, 2)


def positions_last(a: Tensor) -> Tensor:
    """Reshape inputs or outputs (n, ..., K) of a linear layer to (n, 1, K, positions).

    >>> positions_last(torch.zeros(2, 5)).shape, positions_last(torch.zeros(2, 7, 5)).shape
    (torch.Size([2, 1, 5, 1]), torch.Size([2, 1, 5, 7]))
    """
    if a.ndim == 2:
        return a[:, None, :, None]
    return a.flatten(1, -2).mT[:, None]
