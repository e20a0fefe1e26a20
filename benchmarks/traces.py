"""Speed of the exact trace of the Fisher information, against other ways to the same number."""

import copy
import warnings
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap

from benchmarks.timing import Row, in_turn, make_row
from cplab.base import devices
from cplab.base.errors import CplabError
from cplab.measure import fisher
from cplab.runs import Run

COUNT = 2000  # images
AGREE = 1e-4  # relative difference allowed between two ways to a trace, in float32


def trace(device: torch.device, dataset: str) -> Iterator[Row]:
    """Measure the exact Fisher trace of the course network against other ways to the same number.

    Raises:
        CplabError: if the numbers differ.
    """
    task = Run(profile="course", dataset=dataset).task
    images = task.images(device)
    net = task.birth(device).net
    x = images.normal(images.train_x[:COUNT])
    with torch.no_grad():
        net.train()(x)  # running statistics
    net.eval()
    ours = partial(fisher.trace, net, x)
    with devices.algorithms(device, "float32"):  # without tf32, which is off by more than AGREE
        for name, other_trace in OTHER_WAYS.items():
            other = partial(other_trace, out_of_place(net), x)
            try:
                pairs = in_turn(ours, other)
            except ImportError:
                continue
            check_agreement(ours().total, other(), name)
            comparison = f"exact Fisher trace of the course network, {COUNT} images / {name}"
            yield make_row(f"trace_{name}", "s", pairs, comparison)


def check_agreement(ours: float, other: float, name: str) -> None:
    """Check that two ways give the same trace.

    Raises:
        CplabError.
    """
    if not abs(ours - other) <= AGREE * abs(other):
        raise CplabError(f"the Fisher traces differ: fisher.trace {ours}, {name} {other}")


def out_of_place(net: nn.Module) -> nn.Module:
    """Copy a network with ReLUs that do not change their input, which the other ways need."""
    net = copy.deepcopy(net)
    for module in net.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
    return net


def traced_weights(net: nn.Module) -> dict[str, Tensor]:
    """The weights that the trace is over, by name: those of convolutions and linear layers."""
    weights: dict[str, Tensor] = {}
    for name, layer in net.named_modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            weights[f"{name}.weight"] = layer.weight
    return weights


def by_jacrev(net: nn.Module, x: Tensor, batch: int = 32) -> float:
    """The trace from each image's gradient of each label's log p, squared and weighted with p. The
    batch is the fastest on two cores."""

    def log_p(weights: dict[str, Tensor], image: Tensor) -> Tensor:
        """The logarithm of the probability of each label, (labels,)."""
        return functional_call(net, weights, (image[None],)).log_softmax(1)[0]

    jacobians = vmap(jacrev(log_p), (None, 0))
    weights = {name: weight.detach() for name, weight in traced_weights(net).items()}
    total = 0.0
    for images in x.split(batch):
        p = net(images).softmax(1).detach()  # (N, labels)
        for jacobian in jacobians(weights, images).values():  # (N, labels, *shape of the weight)
            squares = jacobian.flatten(2).square().sum(2)  # (N, labels)
            total += (squares * p).sum().item() / len(x)
    return total


def by_curvlinops(net: nn.Module, x: Tensor, batch: int = 128) -> float:
    """The trace of EKFAC, which corrects K-FAC's eigenvalues so that their sum is exact."""
    labels = torch.zeros(len(x), dtype=torch.long, device=x.device)
    batches = [*zip(x.split(batch), labels.split(batch), strict=True)]
    weights = [*traced_weights(net).values()]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from curvlinops import EKFACLinearOperator

        operator = EKFACLinearOperator(
            net,
            nn.CrossEntropyLoss(),
            weights,
            batches,
            fisher_type="type-2",
            check_deterministic=False,
        )
    return float(operator.trace)


OTHER_WAYS: dict[str, Callable[[nn.Module, Tensor], float]] = {
    "func": by_jacrev,
    "curvlinops": by_curvlinops,
}
