"""The exact Fisher trace against other ways to the same number, {layer: share} or {total}."""

import copy
import warnings
from collections.abc import Callable
from importlib import metadata

import torch
from cplab.engine.tasks import TASKS
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap

from benchmarks.timing import Pairs, Row, in_turn, row
from cplab import devices
from cplab.errors import CplabError
from cplab.measure import fisher
from cplab.runs import Run

IMAGES = 2000
AGREE = 1e-4  # relative, in float32


def rows(device: torch.device, dataset: str, count: int = IMAGES) -> list[Row]:
    """Against torch.func, and the libraries that are installed.

    Raises: CplabError if a trace is not what another way to it gives.
    """
    net, x = network(device, dataset, count)
    about = f"exact Fisher trace of the course network, initial weights, {count} images"
    pairs = against("torch.func", by_jacrev, net, x)
    found = [row("fisher_vs_func", "s", pairs, "ratio >= 5", f"{about} / vmap of jacrev")]
    for name, way in LIBRARIES.items():
        try:
            pairs = against(name, way, net, x)
        except ImportError:
            continue  # not installed
        what = f"{about} / {name} {metadata.version(name)}"
        found.append(row(f"fisher_vs_{name.partition('-')[0]}", "s", pairs, "ratio >= 1", what))
    return found


def network(device: torch.device, dataset: str, count: int) -> tuple[nn.Module, Tensor]:
    """The course network with its initial weights and running statistics from one forward pass of
    the images that come with it."""
    task, run = TASKS["classification"], Run(profile="course", dataset=dataset)
    images, net = task.images(run, device), task.start(run, device).net
    x = images.normal(images.train_x[:count])
    with torch.no_grad():
        net.train()(x)
    return net.eval(), x


def against(name: str, way: Callable, net: nn.Module, x: Tensor) -> Pairs:
    """`fisher.trace` and another way to the same number in turn.

    Raises: CplabError if the numbers are not the same: a wrong fast one is no speed.
    """
    values: dict[str, dict[str, float]] = {}

    def ours() -> None:
        found = fisher.trace(net, x)
        values["ours"] = {**found.layers, "total": found.total}

    def theirs() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            values["theirs"] = way(out_of_place(net), x)

    with devices.algorithms("float32"):  # both without tf32, which is off by more than AGREE
        pairs = in_turn(ours, theirs)
    for layer, value in values["theirs"].items():
        if not abs(values["ours"][layer] - value) <= AGREE * abs(value):
            raise CplabError(
                f"the Fisher traces differ: fisher.trace gives {values['ours'][layer]:.6g} for "
                f"{layer!r}, {name} {value:.6g}; one of them is wrong, so that their speeds say "
                "nothing"
            )
    return pairs


def out_of_place(net: nn.Module) -> nn.Module:
    """A copy whose ReLUs leave their input alone, which the other ways need."""
    net = copy.deepcopy(net)
    for module in net.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
    return net


def weights(net: nn.Module) -> dict[str, nn.Parameter]:
    """Of convolutions and linear layers, by layer."""
    layers = net.named_modules()
    return {name: m.weight for name, m in layers if isinstance(m, (nn.Conv2d, nn.Linear))}


# The sizes of batches below are those that were fastest on two cores.


def by_jacrev(net: nn.Module, x: Tensor, batch: int = 32) -> dict[str, float]:
    """Each image's gradient of each label's log p, squared and weighted with p."""

    def log_p(own: dict, image: Tensor) -> Tensor:
        return functional_call(net, own, (image[None],)).log_softmax(1)[0]

    jacobians = vmap(jacrev(log_p), (None, 0))
    own = {f"{name}.weight": w.detach() for name, w in weights(net).items()}
    sums = dict.fromkeys(own, 0.0)
    for part in x.split(batch):
        p = net(part).softmax(1).detach()
        for name, j in jacobians(own, part).items():
            sums[name] += (j.flatten(2).square().sum(2) * p).sum().item() / len(x)
    return {name.removesuffix(".weight"): each for name, each in sums.items()}


def by_backpack(net: nn.Module, x: Tensor, batch: int = 32) -> dict[str, float]:
    """The diagonal of the Gauss-Newton matrix, which for softmax is the Fisher matrix."""
    from backpack import backpack, extend
    from backpack.extensions import DiagGGNExact

    own = weights(net)
    for parameter in net.parameters():
        parameter.requires_grad_(any(parameter is w for w in own.values()))
    net, loss = extend(net), extend(nn.CrossEntropyLoss(reduction="sum"))
    sums = dict.fromkeys(own, 0.0)
    for part in x.split(batch):
        value = loss(net(part), torch.zeros(len(part), dtype=torch.long, device=x.device))
        with backpack(DiagGGNExact()):
            value.backward()
        for name, w in own.items():
            sums[name] += w.diag_ggn_exact.sum().item() / len(x)
            w.grad = None
    return sums


def by_curvlinops(net: nn.Module, x: Tensor, batch: int = 128) -> dict[str, float]:
    """The trace of EKFAC, which corrects K-FAC's eigenvalues so that their sum is exact. (Version
    3.0 has no operator for the diagonal.)"""
    from curvlinops import EKFACLinearOperator

    labels = torch.zeros(len(x), dtype=torch.long, device=x.device)
    batches = list(zip(x.split(batch), labels.split(batch), strict=True))
    about = {"fisher_type": "type-2", "check_deterministic": False}
    own = list(weights(net).values())
    return {
        "total": float(EKFACLinearOperator(net, nn.CrossEntropyLoss(), own, batches, **about).trace)
    }


LIBRARIES = {"backpack-for-pytorch": by_backpack, "curvlinops-for-pytorch": by_curvlinops}
