"""Fisher information: how strongly the network's outputs depend on its connections, by layer.

Labels are the network's own, BatchNorm is in eval mode, and the network is left as it was
(Achille, Rovere & Soatto, 'The Fisher Information Matrix' and Materials and Methods).
"""

import math
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cplab import devices
from cplab.errors import CplabError, Diverged, number, require, whole
from cplab.measure import layerwise, passes
from cplab.measure.layerwise import groups, outputs, unfold_inputs, weight_shaped
from cplab.measure.passes import Grads, Vectors, counted_layers, each_layer

DAMPING = 1e-3  # the paper's weight decay
ROUNDS = 100  # of Lanczos' method


@dataclass(frozen=True)
class ByLayer:
    """A number for the whole network and one for each layer, by its name in the network.

    error and errors are standard errors; 0 and empty if nothing was drawn at random.
    """

    total: float
    layers: dict[str, float]
    error: float = 0.0
    errors: dict[str, float] = field(default_factory=dict)


@devices.torch_defaults()
def trace(net: nn.Module, x: Tensor) -> ByLayer:
    """The exact trace of the Fisher information matrix, in nats per squared unit of weight.

    tr F = E_x E_{y ~ p(y|x)} ‖∇_w log p(y|x)‖² over weights w of convolutions and linear layers is
    the paper's measure of connection strength. Σ_y p_y ‖∇ log p_y‖² = Σ_k ‖Jᵀ s_k‖², where J is the
    Jacobian of the C logits and the s_k are the columns of a square root of diag(p) − p pᵀ: C − 1
    backward passes give all labels.

    Arguments: net, gives logits (N, C), of Conv2d, Linear, BatchNorm and layers without parameters;
        x, normalised images (N, ...), on any device.
    Raises: CplabError for no images, logits that are not finite, and a layer of another kind or one
        that is used twice.

    >>> net = nn.Linear(2, 2, bias=False)
    >>> _ = nn.init.zeros_(net.weight)
    >>> round(trace(net, torch.tensor([[3.0, 4.0]])).total, 4)  # ‖x‖² Σ p (1 − p)
    12.5
    """
    return mean_by_layer(squared_gradients(net, x, square_root))


@devices.torch_defaults()
def jacobian(net: nn.Module, x: Tensor) -> ByLayer:
    """E_x ‖J‖², the squared Frobenius norm of the Jacobian of the C logits: the trace without the
    softmax, which is flat where a network is certain.

    Arguments: net, x; raises CplabError: as of trace.
    Returns: in squares of logits per squared unit of weight.

    >>> net = nn.Linear(2, 2, bias=False)
    >>> jacobian(net, torch.tensor([[3.0, 4.0]])).total  # ‖x‖² for each class
    50.0
    """
    return mean_by_layer(squared_gradients(net, x, every_logit))


@devices.torch_defaults()
def diagonal(net: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """The terms of `trace`, weight by weight: F_ii = E_x Σ_y p_y (∂ log p_y / ∂w_i)², the curvature
    of the loss along one weight, with the labels that the network itself gives.

    Arguments: net, x; raises CplabError: as of trace.
    Returns: for each convolution and linear layer, by name, a tensor shaped like its weight.

    >>> net = nn.Linear(2, 2, bias=False)
    >>> _ = nn.init.zeros_(net.weight)
    >>> diagonal(net, torch.tensor([[3.0, 4.0]]))["Linear"].round(decimals=2).tolist()
    [[2.25, 4.0], [2.25, 4.0]]
    """
    return squared_weight_gradients(net, x, square_root)


@devices.torch_defaults()
def sampled_trace(net: nn.Module, x: Tensor, draws: int = 1000, seed: int = 0) -> ByLayer:
    """The paper's Monte Carlo estimate of the trace: x drawn from the images, y from p_w(y|x).

    Arguments: net, x; raises CplabError: as of trace; draws, number of pairs (x, y), 2 at least,
        each one backward pass of one image; seed, of the draws.
    Returns: means over the draws with standard errors; that of the total is not the layers' sum.

    >>> net = nn.Linear(2, 2, bias=False)
    >>> _ = nn.init.zeros_(net.weight)
    >>> round(sampled_trace(net, torch.tensor([[3.0, 4.0]]), draws=10).total, 4)
    12.5
    """
    draws = whole("draws", draws, least=2)
    generator = torch.Generator().manual_seed(whole("seed", seed))
    index = torch.randint(max(1, len(x)), (draws,), generator=generator)
    chance = torch.rand(draws, generator=generator)

    def drawn_label(p: Tensor, rows: slice) -> Tensor:
        below = p.cumsum(1) < chance[rows, None].to(p)
        y = below.sum(1).clamp(max=p.shape[1] - 1)
        return (F.one_hot(y, p.shape[1]) - p)[None]

    squares = squared_gradients(net, x[index.to(x.device)] if len(x) else x, drawn_label)
    totals = torch.stack([*squares.values()]).sum(0)
    errors = {name: values.std().item() / draws**0.5 for name, values in squares.items()}
    means, error = mean_by_layer(squares).layers, totals.std().item() / draws**0.5
    return ByLayer(totals.mean().item(), means, error, errors)


@devices.torch_defaults()
def log_determinant(net: nn.Module, x: Tensor, damping: float = DAMPING) -> ByLayer:
    """log |F + damping · I| of the weights by K-FAC, which in the paper follows the trace's trend.

    Each layer's block is taken as A ⊗ G with A = E_x Σ_p a_p a_pᵀ and G = E_x Σ_y p_y Σ_p g_p g_pᵀ
    / positions (Martens & Grosse 2015; Grosse & Martens 2016 for convolutions), over all labels;
    blocks between layers are left out.

    Arguments: net, x; raises CplabError: as of trace; damping, above 0, is added to each eigenvalue
        of F. Most of them are nearly 0, so the result depends strongly on it. With the paper's
        weight decay F + damping · I is the curvature of the loss that is trained on.
    Returns: natural logarithms. Subtract (number of weights) · log damping to get 0 for a layer
        without information.

    >>> net = nn.Linear(2, 2, bias=False)
    >>> _ = nn.init.zeros_(net.weight)  # F has the eigenvalues 12.5, 0, 0, 0
    >>> round(math.exp(log_determinant(net, torch.tensor([[3.0, 4.0]]), damping=1.0).total), 3)
    13.5
    """
    layers = counted_layers(net, x)
    require(damping > 0, f"damping {damping!r} is not allowed: give a number above 0")
    factor_a: dict[str, Tensor] = {}  # the Kronecker factors, times len(x)
    factor_g: dict[str, Tensor] = {}

    def add(name: str, rows: slice, a: Tensor, grads: Grads) -> None:
        layer, blocks = layers[name], groups(layers[name])
        a = unfold_inputs(layer, a)
        few_rows = len(x) * a.shape[1] < a.shape[2]
        factor_a[name] = layerwise.add_products(factor_a.get(name), a, blocks, few_rows)
        # (n, positions, labels · out) → each label's gradient as a row of its own
        g = outputs(layer, grads).unflatten(2, (len(grads), -1)).flatten(1, 2)
        factor_g[name] = layerwise.add_products(factor_g.get(name), g / a.shape[1] ** 0.5, blocks)

    each_layer(net, x, layers, square_root, add)
    logs = {name: math.log(damping) * layer.weight.numel() for name, layer in layers.items()}
    for name in factor_a:  # the others have no gradient
        if not (factor_a[name].isfinite().all() and factor_g[name].isfinite().all()):
            raise Diverged(f"the gradients of layer {name!r} are not finite: see its weights")
        values_a, values_g = (layerwise.eigenvalues(m[name]) / len(x) for m in (factor_a, factor_g))
        products = values_a[:, :, None] * values_g[:, None, :]
        logs[name] = (products + damping).log().sum().item()
    return ByLayer(sum(logs.values()), logs)


@dataclass(frozen=True)
class Information:
    """The result of `information` with `beta`: the smoothed trace, with errors over draws, and the
    variance of each weight's noise, by layer, shaped like its weights."""

    trace: ByLayer
    variances: dict[str, Tensor]
    beta: float


@devices.torch_defaults()
def information(
    net: nn.Module,
    x: Tensor,
    beta: float | None = None,
    *,
    draws: int = 50,
    batch: int = 100,
    seed: int = 0,
) -> Information:
    """Information in the weights, by the noise they can bear (Materials and Methods, figure 5).

    The paper looks for the diagonal Σ that minimises E_{w ~ N(w₀, Σ)} L(w) − β log |Σ|, which
    smooths out an irregular loss. By Price's theorem ∂E L / ∂Σ_ii = ½ E ∂²L/∂w_i², so that

        Σ_ii = 2β / E_{w ~ N(w₀, Σ)} F_ii(w),

    which we solve by averaging F_ii over draws of w. F stands for the Hessian as in the paper; for
    ReLU networks, piecewise linear in any one weight, their diagonals are equal. (The paper's H is
    half the Hessian.) Local reparameterisation, its reference 58, would give each position of a
    convolution its own noise and so miss most of the trace, since positions share their weights.
    As there, no weight's noise becomes larger than the mean square weight of its layer.

    Arguments: net, x; raises CplabError: as of trace; beta, smoothness, in nats: the noise raises
        the loss by about β for each weight (0.05 nats in all if None; the paper does not state its
        value); draws of w, each with `batch` images drawn from x; seed, of all draws.
    Returns: Information. Its trace is that of E F(w), and 2β Σ_i 1/Σ_ii where no noise is at its
        limit. The paper does not say how it normalises its figure.

    >>> net = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 3))
    >>> noise = information(net, torch.randn(5, 2), draws=2)
    >>> list(noise.trace.layers), noise.variances["0"].shape
    (['0', '2'], torch.Size([4, 2]))
    """
    layers = counted_layers(net, x)
    draws, batch = whole("draws", draws, least=2), whole("batch", batch, least=1)
    weights = {name: layer.weight.detach() for name, layer in layers.items()}
    if beta is None:
        beta = 0.05 / sum(w.numel() for w in weights.values())
    require(0 < beta < math.inf, f"beta {beta!r} is not allowed: give a number above 0")
    generator = torch.Generator().manual_seed(whole("seed", seed))

    def estimate(noisy: dict[str, Tensor]) -> dict[str, Tensor]:
        """F's diagonal at these weights, without bias: one backward pass of each image with the sum
        of the square root's columns under random signs, whose mixed products cancel on average."""
        index = torch.randint(len(x), (batch,), generator=generator).to(x.device)
        signs: list[Tensor] = []  # drawn once the number of classes is known

        def signed_roots(p: Tensor, rows: slice) -> Tensor:
            if not signs:
                shape = (p.shape[1] - 1, batch, 1)
                signs.append((2 * torch.randint(2, shape, generator=generator) - 1).to(p))
            return (square_root(p) * signs[0][:, rows]).sum(0)[None]

        keys = {"weight" if layers[n] is net else f"{n}.weight": w for n, w in noisy.items()}
        return squared_weight_gradients(net, x[index], signed_roots, keys)

    def variances(mean: dict[str, Tensor]) -> dict[str, Tensor]:
        return {n: (2 * beta / m).minimum(weights[n].square().mean()) for n, m in mean.items()}

    # One variance for each layer at first: some weights may have no gradient on a few images.
    mean = {name: d.mean().expand_as(d) for name, d in estimate({}).items()}
    traces = []
    for t in range(draws):
        noisy = {}
        for name, variance in variances(mean).items():
            noise = torch.randn(variance.shape, generator=generator).to(variance)
            noisy[name] = weights[name] + variance.sqrt() * noise
        diagonals = estimate(noisy)
        # Later draws weigh more: their noise comes from better variances.
        mean = {name: m.lerp(diagonals[name], 2 / (t + 3)) for name, m in mean.items()}
        traces.append([d.sum().item() for d in diagonals.values()])
    totals = {name: m.sum().item() for name, m in mean.items()}
    spread = torch.tensor(traces, dtype=torch.float64) / (0.75 * draws) ** 0.5
    errors = dict(zip(totals, spread.std(0).tolist(), strict=True))
    smoothed = ByLayer(sum(totals.values()), totals, spread.sum(1).std().item(), errors)
    return Information(smoothed, variances(mean), beta)


@devices.torch_defaults()
def sharpness(net: nn.Module, x: Tensor, y: Tensor, *, tolerance: float = 0.01) -> float:
    """The largest eigenvalue of the Hessian of the mean cross-entropy, with respect to the weights
    of convolutions and linear layers, by Lanczos' method from products of Hessian and vector.

    Arguments: net, as of trace; images x (N, ...) and labels y (N,), whose graph is held at once;
        tolerance, relative.
    Returns: the eigenvalue, in nats per squared unit of weight.
    Raises: CplabError, as of trace, and if Lanczos' method does not converge.

    >>> net = nn.Linear(2, 2, bias=False)
    >>> _ = nn.init.zeros_(net.weight)
    >>> round(sharpness(net, torch.tensor([[3.0, 4.0]]), torch.tensor([0])), 3)
    12.5
    """
    from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh

    layers, tolerance = counted_layers(net, x), number("tolerance", tolerance, 0, 1)
    weights = [layer.weight for layer in layers.values() if layer.weight.requires_grad]
    sizes = [w.numel() for w in weights]
    with passes.record_calls(net, layers) as calls:
        logits = passes.logits_of(net, x.to(weights[0]), calls)
        loss = F.cross_entropy(logits, y)
        gradients = torch.autograd.grad(loss, weights, create_graph=True)

        def product(v: Any) -> Any:
            parts = torch.as_tensor(v.reshape(-1)).to(weights[0]).split(sizes)
            slope = sum((g.flatten() * p).sum() for g, p in zip(gradients, parts, strict=True))
            rows = torch.autograd.grad(slope, weights, retain_graph=True)
            return torch.cat([row.flatten() for row in rows]).cpu().double().numpy()

        start = torch.randn(sum(sizes), generator=torch.Generator().manual_seed(0)).double().numpy()
        hessian = LinearOperator(2 * start.shape, product, dtype=start.dtype)
        if not product(start).any():  # all outputs are certain; ARPACK refuses a zero
            return 0.0
        options = {"tol": tolerance, "maxiter": ROUNDS, "return_eigenvectors": False}
        try:
            top = eigsh(hessian, k=1, which="LA", v0=start, **options)
        except ArpackError as error:
            what = f"the largest eigenvalue was not found to {tolerance:g} in {ROUNDS} rounds"
            raise CplabError(f"{what}: give a larger tolerance or more images") from error
    require(math.isfinite(top[0]), "the Hessian is not finite: the network has diverged")
    return float(top[0])


# Labels, and sums over the images -----------------------------------------------------------------


def square_root(p: Tensor, rows: slice | None = None) -> Tensor:
    """The vectors to send back for the sum over all labels: C − 1 vectors s_k with Σ_k s_k s_kᵀ =
    diag(p) − p pᵀ, for each image; (N, C) → (C − 1, N, C).

    With r = √p, diag(p) − p pᵀ = diag(r) (I − r rᵀ) diag(r). Of a Householder reflection that takes
    r to −e_m, the other columns are an orthonormal basis of the complement of r. With the likeliest
    class as m no entry suffers from cancellation, even where p_m is nearly 1.
    """
    r = p.sqrt()
    m = r.argmax(1, keepdim=True)
    v = r.scatter_add(1, m, torch.ones_like(r))
    reflection = torch.eye(p.shape[1]).to(r) - v[:, :, None] * v[:, None] / v.gather(1, m)[:, None]
    others = torch.arange(p.shape[1] - 1, device=p.device).expand(len(p), -1)
    others = others + (others >= m)
    roots = (r[:, :, None] * reflection).mT.take_along_dim(others[:, :, None], 1)
    return roots.transpose(0, 1)


def every_logit(p: Tensor, rows: slice) -> Tensor:
    """The vectors to send back for the sum over all logits; (N, C) → (C, N, C)."""
    return torch.eye(p.shape[1]).to(p)[:, None].expand(-1, len(p), -1)


def squared_gradients(net: nn.Module, x: Tensor, vectors: Vectors) -> dict[str, Tensor]:
    """Σ_k ‖weight gradient‖² of each image, by layer: (N,) in float64."""
    layers = counted_layers(net, x)
    squares = {name: torch.zeros(len(x), dtype=torch.float64) for name in layers}

    def add(name: str, rows: slice, a: Tensor, grads: Grads) -> None:
        squares[name][rows] += layerwise.squared_norms(layers[name], a, grads).cpu()

    each_layer(net, x, layers, vectors, add)
    return squares


def mean_by_layer(squares: dict[str, Tensor]) -> ByLayer:
    """The mean over images, by layer and in all, of numbers (N,) by layer."""
    means = {name: values.mean().item() for name, values in squares.items()}
    return ByLayer(sum(means.values()), means)


def squared_weight_gradients(
    net: nn.Module, x: Tensor, vectors: Vectors, weights: dict[str, Tensor] | None = None
) -> dict[str, Tensor]:
    """Σ_k (gradient)² of each weight, the mean over images, by layer."""
    layers = counted_layers(net, x)
    sums = {name: torch.zeros_like(layer.weight) for name, layer in layers.items()}

    def add(name: str, rows: slice, a: Tensor, grads: Grads) -> None:
        layer = layers[name]
        # of each k: (N · groups, k · out, K)
        gradients_of_k = outputs(layer, grads).mT @ unfold_inputs(layer, a)
        squares = gradients_of_k.square_().unflatten(1, (len(grads), -1)).sum(1)
        sums[name] += weight_shaped(layer, squares) / len(x)

    each_layer(net, x, layers, vectors, add, weights, gradients=True)
    return sums
