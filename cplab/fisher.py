"""Fisher information: how strongly the network's answers depend on its connections, by layer.

With p_w(y|x) the network's softmax and images x of a data set, the paper's measure of connection
strength is (section 'The Fisher Information Matrix' and Materials and Methods)

    tr F = E_x E_{y ~ p_w(y|x)} ‖∇_w log p_w(y|x)‖².

`trace` sums over the labels, `sampled_trace` draws them as the paper does, `log_determinant` takes
in products of weights through Kronecker factors, and `information` is the paper's other estimator,
Gaussian noise on the weights. Labels are the network's own, not the data set's; BatchNorm is in
eval mode, since in training mode one image's gradient depends on all others. The network is left
as it was.

Every gradient here comes from what a layer took in, a, and the gradient at what it gave out, g: an
image's weight gradient is Σ_p g_p a_pᵀ over output positions p. Norms need no weight gradient.
"""

import math
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge, saved_tensors_hooks

from cplab import devices
from cplab.experiment import CplabError, one_of, whole

PARTS = ("weight", "bias", "norm")
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
DAMPING = 1e-3  # the paper's weight decay
ROUNDS = 100  # of Lanczos' method
KINDS = (nn.Conv2d, nn.Linear, *NORMS)
# Bytes. Measured on a CPU; more is hardly faster there.
MEMORY = {"cpu": 2**27, "cuda": 2**30, "mps": 2**28}


@dataclass(frozen=True)
class ByLayer:
    """A number for the whole network and one for each layer, by its name in the network.

    error and errors are standard errors; 0 and empty where nothing was drawn at random.
    """

    total: float
    layers: dict[str, float]
    error: float = 0.0
    errors: dict[str, float] = field(default_factory=dict)


@torch.inference_mode(False)
def trace(
    net: nn.Module,
    x: Tensor,
    *,
    count: Collection[str] = ("weight",),
    memory: int | None = None,
) -> ByLayer:
    """The exact trace of the Fisher information matrix, in total and for each layer.

    Σ_y p_y ‖∇ log p_y‖² = Σ_k ‖Jᵀ s_k‖², where J is the Jacobian of the C logits and the s_k are
    the columns of a square root of diag(p) − p pᵀ: C − 1 backward passes give all labels.

    Arguments:
        net: gives logits (N, C); made of Conv2d, Linear, BatchNorm and layers without parameters.
        x: normalised images (N, ...), floating point, on any device.
        count: which parameters: weight (of convolutions and linear layers), bias (theirs), norm
            (scale and shift of BatchNorm). Weights alone are the default: they are the
            connections, which the paper compares with synapses; a bias or a scale belongs to a
            unit.
        memory: bytes to work in, beside network and images; images go through in chunks that fit.
    Returns: the trace (nats per squared unit of weight) and each layer's share of it.
    Raises: CplabError for no images, logits that are not finite, a layer of another kind, a layer
        or weight used twice, too little memory.
    """
    layers, memory = check(net, x, count, memory)
    squares = squared_gradients(net, x, layers, count, memory, square_root)
    means = {name: each.mean().item() for name, each in squares.items()}
    return ByLayer(sum(means.values()), means)


@torch.inference_mode(False)
def diagonal(net: nn.Module, x: Tensor, *, memory: int | None = None) -> dict[str, Tensor]:
    """The exact diagonal of the Fisher information matrix: what `trace` sums up, weight by weight.

    F_ii = E_x Σ_y p_y (∂ log p_y / ∂w_i)² is the curvature of the loss along one weight, with the
    labels that the network itself gives.

    Arguments: as in `trace`; memory does not hold the result.
    Returns: for each convolution and linear layer, by name, a tensor shaped like its weight.
    Raises: CplabError as `trace` does.
    """
    layers, memory = check(net, x, ("weight",), memory)
    found = {name: torch.zeros_like(layer.weight) for name, layer in layers.items()}

    def add(name: str, rows: slice, a: Tensor, grads: list[Tensor]) -> None:
        layer = layers[name]
        each = outputs(layer, grads).mT @ columns(layer, a)  # each label's weight gradient
        squares = each.square_().unflatten(1, (len(grads), -1)).sum(1)
        found[name] += as_weight(layer, squares) / len(x)

    each_layer(net, x, layers, memory, square_root, add, gradients=True)
    return found


@torch.inference_mode(False)
def sampled_trace(
    net: nn.Module,
    x: Tensor,
    draws: int = 1000,
    seed: int = 0,
    *,
    count: Collection[str] = ("weight",),
    memory: int | None = None,
) -> ByLayer:
    """The paper's Monte Carlo estimate of the trace: x drawn from the images, y from p_w(y|x).

    Arguments: draws, pairs (x, y), each of which costs one backward pass of an image (`trace`
        takes C − 1 for each image); the others as in `trace`.
    Returns: means over the draws with their standard errors. The total's is not the sum of the
        layers': one draw serves all of them.
    Raises: CplabError as `trace` does, and for fewer than 2 draws.
    """
    layers, memory = check(net, x, count, memory)
    draws = whole("draws", draws, least=2)
    generator = torch.Generator().manual_seed(whole("seed", seed))
    index = torch.randint(len(x), (draws,), generator=generator)
    chance = torch.rand(draws, generator=generator)

    def score(p: Tensor, rows: slice) -> Tensor:
        below = p.cumsum(1) < chance[rows, None].to(p)
        y = below.sum(1).clamp(max=p.shape[1] - 1)
        return (F.one_hot(y, p.shape[1]) - p)[None]

    squares = squared_gradients(net, x, layers, count, memory, score, index)
    whole_net = sum(squares.values())
    return ByLayer(
        whole_net.mean().item(),
        {name: each.mean().item() for name, each in squares.items()},
        standard_error(whole_net),
        {name: standard_error(each) for name, each in squares.items()},
    )


def standard_error(draws: Tensor) -> float:
    return draws.std().item() / len(draws) ** 0.5


@torch.inference_mode(False)
def log_determinant(
    net: nn.Module, x: Tensor, damping: float = DAMPING, *, memory: int | None = None
) -> ByLayer:
    """log |F + damping · I| of the weights by K-FAC, which the paper saw follow the trace's trend.

    Each layer's block is taken as A ⊗ G with A = E_x Σ_p a_p a_pᵀ and G = E_x Σ_y p_y Σ_p g_p g_pᵀ
    / positions (Martens & Grosse 2015; Grosse & Martens 2016 for convolutions), labels summed over
    as in `trace`; blocks between layers are left out.

    Arguments: damping, what is added to each of F's eigenvalues, most of which are nearly 0: the
        number stands and falls with it. The default is the paper's weight decay, so that F +
        damping · I is the curvature of the loss that is trained on. memory does not hold the
        factors, (in² + out²) numbers a layer. The others as in `trace`.
    Returns: natural logarithms, by layer and in total. Take off (number of weights) · log damping
        to have 0 for a layer that knows nothing.
    Raises: CplabError as `trace` does, and for a damping that is not above 0.
    """
    layers, memory = check(net, x, ("weight",), memory)
    if not damping > 0:
        raise CplabError(f"damping {damping!r} is not allowed: give a number above 0")
    left, right, seen = {}, {}, {}

    def add(name: str, rows: slice, a: Tensor, grads: list[Tensor]) -> None:
        layer, blocks = layers[name], groups(layers[name])
        a = columns(layer, a)
        if seen.get(name) != rows:  # the labels of one chunk may come in several parts
            seen[name] = rows
            few = len(x) * a.shape[1] < a.shape[2]
            left[name] = gathered(left.get(name), a, blocks, few)
        # (n, positions, labels · out) → each label's gradient as a row of its own
        g = outputs(layer, grads).unflatten(2, (len(grads), -1)).flatten(1, 2)
        right[name] = gathered(right.get(name), g / a.shape[1] ** 0.5, blocks)

    each_layer(net, x, layers, memory, square_root, add)
    logs = {name: math.log(damping) * layer.weight.numel() for name, layer in layers.items()}
    for name in left:  # the others have no gradient
        if not (left[name].isfinite().all() and right[name].isfinite().all()):
            raise CplabError(f"the gradients of layer {name!r} are not finite: see its weights")
        one, other = (eigenvalues(m[name]) / len(x) for m in (left, right))
        products = one[:, :, None] * other[:, None, :]
        logs[name] = (products + damping).log().sum().item()
    return ByLayer(sum(logs.values()), logs)


def gathered(before: Tensor | None, rows: Tensor, blocks: int, few: bool = False) -> Tensor:
    """Σ rᵀ r over images and rows, for each group, added to what came before: (N·blocks, R, D) →
    (blocks, D, D), float64; if there will be fewer rows than D, the rows themselves, (blocks, N·R,
    D)."""
    rows = rows.unflatten(0, (-1, blocks)).transpose(0, 1).flatten(1, 2)
    rows = (rows.cpu() if rows.device.type == "mps" else rows).double()
    if few:
        return rows if before is None else torch.cat([before, rows], 1)
    return rows.mT @ rows + (0 if before is None else before)


def eigenvalues(gathered: Tensor) -> Tensor:
    """Of Σ rᵀ r, (blocks, D), from either kind of what was gathered: r rᵀ has those of rᵀ r that
    are not 0."""
    _, rows, size = gathered.shape
    square = gathered if rows == size else gathered @ gathered.mT
    return F.pad(torch.linalg.eigvalsh(square).clamp(min=0), (size - rows, 0))


@dataclass(frozen=True)
class Information:
    """What `information` finds.

    trace: of the Fisher information matrix, smoothed, by layer; standard errors over the draws.
    variances: of each weight's noise, by layer, shaped like its weights.
    beta: the β that they belong to.
    """

    trace: ByLayer
    variances: dict[str, Tensor]
    beta: float

    @property
    def share(self) -> dict[str, float]:
        """Each layer's part of the total, 0 to 1."""
        total = self.trace.total or math.nan
        return {name: each / total for name, each in self.trace.layers.items()}

    @property
    def per_weight(self) -> dict[str, float]:
        """Each layer's trace divided by the number of its weights."""
        return {
            name: each / self.variances[name].numel() for name, each in self.trace.layers.items()
        }


@torch.inference_mode(False)
def information(
    net: nn.Module,
    x: Tensor,
    beta: float | None = None,
    *,
    draws: int = 50,
    batch: int = 100,
    seed: int = 0,
    memory: int | None = None,
) -> Information:
    """Information in the weights from the noise that they bear (Materials and Methods, figure 5).

    The paper looks for the diagonal Σ that minimises E_{w ~ N(w₀, Σ)} L(w) − β log |Σ|, which
    smooths out an irregular loss. By Price's theorem ∂E L / ∂Σ_ii = ½ E ∂²L/∂w_i², so that

        Σ_ii = 2β / E_{w ~ N(w₀, Σ)} F_ii(w).

    F stands for the Hessian as in the paper; for ReLU networks, which are piecewise linear in any
    one weight, their diagonals are equal. (The paper writes β / H_ii, with L = L₀ + a·w + w·Hw:
    its H is half the Hessian.) We solve this equation by averaging F_ii over draws of w. Gradient
    descent on Σ by local reparameterisation, the paper's reference 58, has the same solution in
    linear layers and needs far more images; in a convolution it gives each position noise of its
    own and so misses most of the trace, since positions share their weights. As there, no weight's
    noise becomes larger than the weights of its layer are (in mean square).

    Arguments:
        beta: smoothness, in nats: the noise raises the loss by about β for each weight. 0.05 nats
            in all if not given; the paper does not state its own.
        draws: of w, each with a batch of images drawn from x.
        the others as in `trace`; memory does not hold some copies of the weights. Noise is on the
            weights of convolutions and linear layers alone.
    Returns: Information. Its trace is that of E F(w), and 2β Σ_i 1/Σ_ii where no noise is at its
        limit: the smoothed counterpart of `trace`. The paper does not say how it normalises its
        figure; `share` and `per_weight` are two ways.
    Raises: CplabError as `trace` does, and for a β that is not above 0.
    """
    layers, memory = check(net, x, ("weight",), memory)
    draws, batch = whole("draws", draws, least=2), whole("batch", batch, least=1)
    weights = {name: layer.weight.detach() for name, layer in layers.items()}
    keys = {name: "weight" if layer is net else f"{name}.weight" for name, layer in layers.items()}
    if beta is None:
        beta = 0.05 / sum(w.numel() for w in weights.values())
    if not 0 < beta < math.inf:
        raise CplabError(f"beta {beta!r} is not allowed: give a number above 0")
    generator = torch.Generator().manual_seed(whole("seed", seed))

    def diagonal(noisy: dict[str, Tensor]) -> dict[str, Tensor]:
        """An unbiased estimate of F's diagonal at these weights: one backward pass an image."""
        index = torch.randint(len(x), (batch,), generator=generator)
        found = {name: torch.zeros_like(w) for name, w in weights.items()}
        signs = {}

        def mix(p: Tensor, rows: slice) -> Tensor:
            if not signs:  # of each root for each image; their products cancel in the mean
                random = torch.randint(2, (p.shape[1] - 1, batch, 1), generator=generator)
                signs["all"] = (2 * random - 1).to(p)
            return (square_root(p) * signs["all"][:, rows]).sum(0)[None]

        def add(name: str, rows: slice, a: Tensor, grads: list[Tensor]) -> None:
            layer = layers[name]
            squares = (outputs(layer, grads).mT @ columns(layer, a)).square()
            found[name] += as_weight(layer, squares) / batch

        each_layer(net, x, layers, memory, mix, add, index, noisy, gradients=True)
        return found

    def variances(mean: dict[str, Tensor]) -> dict[str, Tensor]:
        limits = {name: w.square().mean() for name, w in weights.items()}
        return {name: (2 * beta / m).minimum(limits[name]) for name, m in mean.items()}

    # One variance for each layer at first: a few images may tell nothing of some weights.
    mean = {name: d.mean().expand_as(d) for name, d in diagonal({}).items()}
    traces = []
    for t in range(draws):
        noisy = {}
        for name, variance in variances(mean).items():
            noise = torch.randn(variance.shape, generator=generator).to(variance)
            noisy[keys[name]] = weights[name] + variance.sqrt() * noise
        found = diagonal(noisy)
        # Later draws weigh more: their noise comes from better variances.
        mean = {name: m.lerp(found[name], 2 / (t + 3)) for name, m in mean.items()}
        traces.append([d.sum().item() for d in found.values()])
    each = {name: m.sum().item() for name, m in mean.items()}
    spread = torch.tensor(traces, dtype=torch.float64) / (0.75 * draws) ** 0.5
    errors = dict(zip(each, spread.std(0).tolist(), strict=True))
    smoothed = ByLayer(sum(each.values()), each, spread.sum(1).std().item(), errors)
    return Information(smoothed, variances(mean), beta)


@torch.inference_mode(False)
def sharpness(net: nn.Module, x: Tensor, y: Tensor, *, tolerance: float = 0.01) -> float:
    """The largest eigenvalue of the Hessian of the mean cross-entropy, with respect to the weights
    of convolutions and linear layers; BatchNorm in eval mode.

    By Lanczos' method (scipy's eigsh) from products of Hessian and vector.

    Arguments: net as in `trace`; images x (N, ...) and labels y (N,), whose graph is held at once;
        tolerance, relative.
    Returns: the eigenvalue, in nats per squared unit of weight.
    Raises: CplabError as `trace` does, and if Lanczos' method does not converge.
    """
    from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh

    layers, _ = check(net, x, ("weight",), None)
    weights = [layer.weight for layer in layers.values()]
    sizes = [w.numel() for w in weights]
    with watched(net, layers) as calls:
        loss = F.cross_entropy(forward(net, x.to(weights[0]), calls), y)
        slopes = torch.autograd.grad(loss, weights, create_graph=True)

        def product(v) -> object:
            v = torch.as_tensor(v.reshape(-1)).to(weights[0])
            parts = [part.view_as(w) for part, w in zip(v.split(sizes), weights, strict=True)]
            rows = torch.autograd.grad(slopes, weights, parts, retain_graph=True)
            return torch.cat([row.flatten() for row in rows]).cpu().double().numpy()

        size = sum(sizes)
        begin = torch.randn(size, generator=torch.Generator().manual_seed(0)).double().numpy()
        hessian = LinearOperator((size, size), product, dtype=begin.dtype)
        if not product(begin).any():  # all answers are certain; ARPACK refuses a zero
            return 0.0
        try:
            top = eigsh(hessian, k=1, which="LA", v0=begin, tol=tolerance, maxiter=ROUNDS,
                        return_eigenvectors=False)  # fmt: skip
        except ArpackError as error:
            raise CplabError(
                f"the largest eigenvalue was not found to {tolerance:g} in {ROUNDS} rounds: give "
                "a larger tolerance or more images"
            ) from error
    if not math.isfinite(top[0]):
        raise CplabError("the Hessian is not finite: the network has diverged")
    return float(top[0])


# What a run that asks for its trace keeps ---------------------------------------------------------

# Of the training images, the first so many, clear and as they are: of the trace, of Kronecker
# factors and of the Hessian.
TRACED, FACTORED, CURVED = 500, 50, 200


def along(net: nn.Module, images) -> dict:
    """After an epoch: the exact trace by layer (a list); log_det, log |F / DAMPING + I| in total,
    which is 0 for a network that knows nothing; and trace_seconds.

    Arguments: images, a data.Images.
    """
    began = time.perf_counter()
    x = images.normal(images.train_x[:TRACED])
    traces, logs = trace(net, x), log_determinant(net, x[:FACTORED], damping=DAMPING)
    if not math.isfinite(traces.total + logs.total):
        raise CplabError("the Fisher information is not finite: the network has diverged")
    weights = sum(net.get_submodule(name).weight.numel() for name in logs.layers)
    return {
        "trace": list(traces.layers.values()),
        "log_det": logs.total - weights * math.log(DAMPING),
        "trace_seconds": time.perf_counter() - began,
    }


def at_end(net: nn.Module, images) -> dict:
    """After the last epoch: layers, their names; information, of the noise estimator, by layer,
    with information_error; filters of the first convolution (out, in, H, W), as nested lists;
    sharpness, where scipy is installed and Lanczos' method converges; seconds."""
    began = time.perf_counter()
    x = images.normal(images.train_x[:CURVED])
    noisy = information(net, images.normal(images.train_x[:TRACED])).trace
    found = {
        "layers": list(noisy.layers),
        "information": list(noisy.layers.values()),
        "information_error": list(noisy.errors.values()),
    }
    first = next(layer for layer in net.modules() if isinstance(layer, (nn.Conv2d, nn.Linear)))
    if isinstance(first, nn.Conv2d):
        found["filters"] = first.weight.tolist()
    with suppress(ImportError, CplabError):
        found["sharpness"] = sharpness(net, x, images.train_y[:CURVED])
    return {**found, "seconds": time.perf_counter() - began}


# The labels ---------------------------------------------------------------------------------------


def square_root(p: Tensor, rows: slice | None = None) -> Tensor:
    """C − 1 vectors s_k with Σ_k s_k s_kᵀ = diag(p) − p pᵀ, for each image.

    With r = √p, diag(p) − p pᵀ = diag(r) (I − r rᵀ) diag(r), and a Householder reflection that
    takes r to −e_m has in its other columns an orthonormal basis of what is orthogonal to r. The
    likeliest class as m keeps every entry free of cancellation, also where p_m is nearly 1.

    Arguments: p, probabilities (N, C).
    Returns: (C − 1, N, C).
    """
    r = p.sqrt()
    m = r.argmax(1, keepdim=True)
    v = r.scatter_add(1, m, torch.ones_like(r))
    reflection = torch.eye(p.shape[1]).to(r) - v[:, :, None] * v[:, None] / v.gather(1, m)[:, None]
    others = torch.arange(p.shape[1] - 1, device=p.device).expand(len(p), -1)
    others = others + (others >= m)
    roots = (r[:, :, None] * reflection).mT.take_along_dim(others[:, :, None], 1)
    return roots.transpose(0, 1)


# Layers: a is what one took in, grads are the gradients at what it gave out -----------------------


def squared_gradients(
    net: nn.Module,
    x: Tensor,
    layers: dict[str, nn.Module],
    count: Collection[str],
    memory: int,
    vectors: Callable[[Tensor, slice], Tensor],
    index: Tensor | None = None,
) -> dict[str, Tensor]:
    """Σ_k ‖gradient of the counted parameters‖² of each image, by layer: (N,) in float64.

    Arguments: vectors and index as in `each_layer`.
    """
    squares = {
        name: torch.zeros(len(x if index is None else index), dtype=torch.float64)
        for name in layers
    }

    def add(name: str, rows: slice, a: Tensor, grads: list[Tensor]) -> None:
        squares[name][rows] += squared_norms(layers[name], a, grads, count).cpu()

    each_layer(net, x, layers, memory, vectors, add, index)
    return squares


def squared_norms(
    layer: nn.Module, a: Tensor, grads: list[Tensor], count: Collection[str]
) -> Tensor:
    """The same for one layer, a and each of grads (N, ...), in float64 where the device has it."""
    if isinstance(layer, NORMS):
        a = F.batch_norm(a, layer.running_mean, layer.running_var, eps=layer.eps)
        sums = [t.flatten(2).sum(2) if t.ndim > 2 else t for g in grads for t in (g * a, g)]
        return exact(torch.stack(sums)).square().sum((0, 2))
    g = outputs(layer, grads)
    parts = []
    if "weight" in count:
        parts.append(weight_norms(columns(layer, a), g))
    if "bias" in count and layer.bias is not None:
        parts.append(exact(g.sum(1)).square().sum(1))
    return sum(parts).view(-1, groups(layer)).sum(1)


def weight_norms(a: Tensor, g: Tensor) -> Tensor:
    """‖Σ_p g_p a_pᵀ‖² for each image, a (N, P, K), g (N, P, R), by the cheaper of two ways.

    Where positions are few, ⟨a aᵀ, g gᵀ⟩ of the P × P inner products needs no weight gradient.
    """
    if by_positions(a.shape[1], a.shape[2], g.shape[2]):
        return exact(torch.linalg.vecdot((a @ a.mT).flatten(1), (g @ g.mT).flatten(1)))
    return exact(torch.linalg.vector_norm((g.mT @ a).flatten(1), dim=1)).square()


def by_positions(p: int, k: int, r: int) -> bool:
    """Whether P × P inner products cost less than the weight gradients."""
    return p * (k + r) < k * r


def exact(t: Tensor) -> Tensor:
    """t in float64, which Apple's GPUs do not have."""
    return t if t.device.type == "mps" else t.double()


def groups(layer: nn.Module) -> int:
    return layer.groups if isinstance(layer, nn.Conv2d) else 1


def columns(layer: nn.Module, a: Tensor) -> Tensor:
    """What each output position sees of the input: (N, ...) → (N · groups, positions, K), K the
    number of weights of one output channel."""
    if isinstance(layer, nn.Linear):
        return a.flatten(1, -2) if a.ndim > 2 else a[:, None]
    border = layer._reversed_padding_repeated_twice
    if any(border):
        mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
        a = F.pad(a, border, mode=mode)
    a = a.contiguous(memory_format=torch.channels_last)  # copies whole pixels below
    shape = zip(layer.kernel_size, layer.dilation, layer.stride, strict=True)
    for dim, (size, dilation, stride) in enumerate(shape, start=2):
        a = a.unfold(dim, dilation * (size - 1) + 1, stride)[..., ::dilation]
    a = a.unflatten(1, (layer.groups, -1)).permute(0, 1, 3, 4, 5, 6, 2)
    return a.flatten(4).flatten(2, 3).flatten(0, 1)


def as_weight(layer: nn.Module, rows: Tensor) -> Tensor:
    """A sum over images in the shape of the layer's weight, from (N · groups, out, K), where K is
    in the order of `columns`."""
    total = rows.unflatten(0, (-1, groups(layer))).sum(0).flatten(0, 1)
    if isinstance(layer, nn.Linear):
        return total
    return total.unflatten(1, (*layer.kernel_size, -1)).permute(0, 3, 1, 2)


def outputs(layer: nn.Module, grads: list[Tensor]) -> Tensor:
    """Gradients at the output, one (N, ...) for each k, as (N · groups, positions, k · out)."""
    if isinstance(layer, nn.Linear):
        split = [(g.flatten(1, -2) if g.ndim > 2 else g[:, None])[:, None] for g in grads]
    else:
        split = [g.unflatten(1, (layer.groups, -1)).permute(0, 1, 3, 4, 2) for g in grads]
        split = [g.flatten(2, 3) for g in split]
    n, blocks, positions, out = split[0].shape
    together = grads[0].new_empty(n, blocks, positions, len(grads), out)
    for k, g in enumerate(split):  # faster than torch.stack, which has small pieces to copy
        together[..., k, :] = g
    return together.flatten(3).flatten(0, 1)


# One pass over the images -------------------------------------------------------------------------


def check(
    net: nn.Module, x: Tensor, count: Collection[str], memory: int | None
) -> tuple[dict[str, nn.Module], int]:
    """The layers whose parameters count, by name, and the memory to work in.

    Raises: CplabError for anything whose gradient could not be told from inputs and outputs.
    """
    if not x.is_floating_point():
        raise CplabError(f"images of type {x.dtype} are not allowed: normalise them first")
    if len(x) == 0:
        raise CplabError("no images: the Fisher information is a mean over images, give some")
    count = (count,) if isinstance(count, str) else count
    for part in count:
        one_of("part", part, PARTS)
    owners, layers = {}, {}
    for name, module in net.named_modules():
        name = name or type(module).__name__
        for key, parameter in module.named_parameters(recurse=False):
            if type(module) not in KINDS or key not in ("weight", "bias"):
                raise CplabError(
                    f"layer {name!r} ({type(module).__name__}, parameter {key!r}) is not allowed: "
                    "parameters may belong to Conv2d, Linear and BatchNorm layers"
                )
            if owners.setdefault(id(parameter), name) != name:
                raise CplabError(
                    f"layers {owners[id(parameter)]!r} and {name!r} share a parameter, which is "
                    "not allowed: give each its own"
                )
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is None:
            raise CplabError(
                f"layer {name!r} is not allowed: without running statistics an image's gradient "
                "depends on the other images"
            )
        own = ("norm", "norm") if type(module) in NORMS else ("weight", "bias")
        has = (module.weight is not None, module.bias is not None) if type(module) in KINDS else ()
        if any(there and part in count for part, there in zip(own, has, strict=False)):
            layers[name] = module
    if not layers:
        raise CplabError(f"the network has no parameter to count: {', '.join(count)}")
    if memory is None:
        memory = MEMORY.get(next(net.parameters()).device.type, 2**28)
    return layers, memory


class Call(NamedTuple):
    """What one call of a layer leaves behind."""

    input: Tensor
    version: int  # of the input: how often it was changed in place
    output: GradientEdge  # where the graph holds the gradient at the output
    size: int  # of the output


@contextmanager
def watched(net: nn.Module, layers: dict[str, nn.Module]) -> Iterator[dict]:
    """Eval mode, gradients on, float32 throughout; all is put back afterwards.

    Yields: each layer's calls, filled as they happen.
    """
    calls = {name: [] for name in layers}

    def note(name, module, args, kwargs, output):
        a = args[0] if args else kwargs["input"]
        if not output.requires_grad:
            raise CplabError(f"layer {name!r} is not allowed: the network cuts off its gradient")
        # An edge, not the tensor: a ReLU that follows may overwrite that in place.
        call = Call(a.detach(), a._version, get_gradient_edge(output), output.numel())
        calls[name].append(call)

    modes = [(module, module.training) for module in net.modules()]
    device = next(net.parameters()).device
    hooks = []
    try:
        for module, _ in modes:
            module.training = False
        for name, layer in layers.items():
            hooks.append(layer.register_forward_hook(partial(note, name), with_kwargs=True))
        with devices.autocast(device, "float32"), torch.enable_grad():
            yield calls
    finally:
        for hook in hooks:
            hook.remove()
        for module, training in modes:
            module.training = training


def forward(run: Callable, x: Tensor, calls: dict) -> Tensor:
    """Logits (N, C) of images on the network's device; notes the layers' calls.

    Raises: CplabError if they are not finite, or a layer was not called once for these images.
    """
    for each in calls.values():
        each.clear()
    logits = run(x)
    if logits.ndim != 2 or len(logits) != len(x) or logits.shape[1] < 2:
        raise CplabError(
            f"logits of shape {tuple(logits.shape)} are not allowed: the network has to give "
            f"({len(x)}, classes) for {len(x)} images, 2 classes or more"
        )
    if not logits.isfinite().all():
        raise CplabError("the logits are not finite: the network has diverged, or the images have")
    for name, each in calls.items():
        if len(each) != 1:
            raise CplabError(
                f"layer {name!r} is used {len(each)} times, which is not allowed: its gradient is "
                "known only if it is called once for all images"
            )
        a = each[0].input
        if len(a) != len(x) or a._version != each[0].version:
            raise CplabError(
                f"layer {name!r} is not allowed: its input is changed in place, or its first "
                "dimension is not that of the images"
            )
    return logits


def each_layer(
    net: nn.Module,
    x: Tensor,
    layers: dict[str, nn.Module],
    memory: int,
    vectors: Callable[[Tensor, slice], Tensor],
    use: Callable[[str, slice, Tensor, list[Tensor]], None],
    index: Tensor | None = None,
    weights: dict[str, Tensor] | None = None,
    gradients: bool = False,
) -> None:
    """Hand each layer's inputs and output gradients to `use`, a chunk of images at a time.

    Arguments:
        vectors: a function of the probabilities (n, C) of a chunk, and which rows it is, that
            returns what to send back from the logits, (k, n, C).
        use: called with the layer's name, the rows, its input and k gradients at its output.
        index: which images; all if not given.
        weights: to use in place of the network's own, by their names in it.
        gradients: whether `use` makes each image's weight gradients, which take memory.
    """
    weight = next(net.parameters())
    run = partial(torch.func.functional_call, net, weights) if weights else net

    def images(rows: slice) -> Tensor:
        part = x[rows] if index is None else x[index[rows].to(x.device)]
        return part.detach().to(weight, copy=True).requires_grad_()

    def chunk(rows: slice, at_once: int) -> None:
        logits = forward(run, images(rows), calls)
        edges = [each[0].output for each in calls.values()]
        backward = partial(torch.autograd.grad, logits, edges, retain_graph=True, allow_unused=True)
        for group in vectors(logits.detach().softmax(1), rows).split(at_once):
            grads = list(zip(*(backward(v) for v in group), strict=True))
            for name in reversed(layers):  # popping frees the memory of what is done with
                of_layer = grads.pop()
                if of_layer[0] is not None:  # else the logits do not depend on this layer
                    use(name, rows, calls[name][0].input, of_layer)

    total = len(x) if index is None else len(index)
    with watched(net, layers) as calls:
        own = (*net.parameters(), *net.buffers(), *(weights or {}).values())
        most, at_once = plan(run, images(slice(0, 1)), layers, calls, memory, vectors, own,
                             gradients)  # fmt: skip
        size = -(-total // -(-total // most))  # chunks of equal size
        for begin in range(0, total, size):
            chunk(slice(begin, min(begin + size, total)), at_once)


def plan(
    run: Callable,
    image: Tensor,
    layers: dict[str, nn.Module],
    calls: dict,
    memory: int,
    vectors: Callable[[Tensor, slice], Tensor],
    own: Collection[Tensor],
    gradients: bool,
) -> tuple[int, int]:
    """How many images, and how many vectors at once, fit into `memory` bytes, from one image.

    Arguments: own, tensors of the network that take no memory for each image; gradients, as in
        `each_layer`.
    Raises: CplabError if not even one image does.
    """
    kept = {}

    def keep(t: Tensor) -> Tensor:
        kept[t.untyped_storage().data_ptr()] = t.untyped_storage().nbytes()
        return t

    with saved_tensors_hooks(keep, lambda t: t):
        logits = forward(run, image, calls)
    for (call,) in calls.values():
        keep(call.input)
    for t in own:
        kept.pop(t.untyped_storage().data_ptr(), None)
    k = len(vectors(logits.detach().softmax(1), slice(0, 1)))
    out = [call.size for (call,) in calls.values()]

    def floats(at_once: int) -> int:
        work = []
        for (name, layer), size in zip(layers.items(), out, strict=True):
            a = calls[name][0].input
            if isinstance(layer, NORMS):
                work.append(a.numel() + 2 * size)
                continue
            blocks, channels = groups(layer), layer.weight.shape[0]
            positions, weights = size // channels, layer.weight[0].numel()
            rows = at_once * channels // blocks
            norms = 2 * positions**2
            if gradients or not by_positions(positions, weights, rows):
                norms = weights * rows
            padded = 2 * a.numel() if weights > 1 else 0
            work.append(padded + at_once * size + blocks * (positions * weights + norms))
        return at_once * sum(out) + 2 * max(out) + max(work)

    def need(at_once: int) -> int:
        return sum(kept.values()) + image.element_size() * floats(at_once)

    while need(k) > memory and k > 1:
        k = (k + 1) // 2
    if need(k) > memory:
        raise CplabError(f"memory of {memory} bytes is too little: one image needs {need(1)}")
    return memory // need(k), k
