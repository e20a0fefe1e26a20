"""Which weights of a trained network can be taken out, and what that costs.

The slides ask whether the Fisher information is good for pruning, and whether pruning costs
plasticity. A network is trained, weights are taken out, it is trained on; then a deficit begins, or
none. A weight's saliency is, by metric,

    magnitude   |w|
    fisher      w² F_ii, twice what taking it out adds to the loss, to second order: Optimal Brain
                Damage (LeCun, Denker & Solla 1990) with the Fisher information in place of the
                Hessian, as Theis et al. (2018) have it; F is exact (fisher.diagonal)
    random      any number

All weights of convolutions and linear layers are ranked together, but for the last layer's, which
stays whole: each class has its evidence there. Density is the fraction of the ranked weights that
are kept, exactly; how many a layer keeps is up to the metric.

What came of it at course size stands in REPRODUCTION.md; a seed of all of it takes about seven
minutes on one thread.
"""

import copy
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from operator import attrgetter

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cplab import data, devices, fisher, train
from cplab.experiment import PROFILES, CplabError, Run, one_of, part, settle, whole

METRICS = ("none", "magnitude", "fisher", "random")
IMAGES = 500  # the first so many training images, clear, measure the Fisher information


@dataclass(frozen=True)
class Pruned:
    """One network's life: training, pruning, retraining, a deficit, recovery.

    The learning rate is that of the `recovery` schedule, three times from its beginning: it falls
    over the last epochs of training (as many as the profile's recovery has), over retraining, and
    over recovery; during the deficit it is held.

    Arguments:
        profile: of PROFILES.
        metric: magnitude, fisher, random, or none for the network that is not pruned.
        density: the fraction of weights kept; at 1 the metric is none.
        deficit: as of a Run; none for the control, which has as many clear epochs in its place.
        length: epochs of the deficit, or of the control; with 0 life ends after retraining.
        recovery: clear epochs after these.
        training: clear epochs before pruning.
        retraining: clear epochs after it.
        seed: decides initial weights, batches and what is taken out at random.

    Raises: CplabError for a value that is not allowed.
    """

    profile: str = "course"
    metric: str = "none"
    density: float = 1.0
    deficit: str = "none"
    length: int = 0
    recovery: int = 10
    training: int = 20
    retraining: int = 5
    seed: int = 0

    def __post_init__(self):
        one_of("profile", self.profile, PROFILES)
        one_of("metric", self.metric, METRICS)
        density = part("density", self.density, 1, "the fraction of weights that are kept")
        if self.metric == "none" and density < 1:
            raise CplabError(
                f"density {self.density!r} is not allowed with metric none: "
                f"give 1, or a metric: {', '.join(METRICS[1:])}"
            )
        settle(
            self,
            density=density,
            metric="none" if density == 1 else self.metric,
            length=whole("length", self.length),
            recovery=whole("recovery", self.recovery) if self.length else 0,
            training=whole("training", self.training, least=1),
            retraining=whole("retraining", self.retraining),
        )
        settle(self, deficit=self.phases[2].deficit, seed=self.phases[2].seed)

    @property
    def phases(self) -> tuple[Run, Run, Run]:
        """Training, retraining, the deficit with its recovery: each is the last epochs of a Run,
        whose epochs are numbered through."""
        run = partial(Run, profile=self.profile, schedule="recovery", seed=self.seed)
        falling = min(PROFILES[self.profile].recovery, self.training)
        begin = self.training + self.retraining
        when = {"onset": begin, "length": self.length}
        if self.deficit == "none":
            when = {"onset": begin + self.length}
        return (
            run(onset=self.training - falling, recovery=falling),
            run(onset=self.training, recovery=self.retraining),
            run(deficit=self.deficit, **when, recovery=self.recovery),
        )


# What is taken out ------------------------------------------------------------------------------


def ranked(net: nn.Module) -> dict[str, nn.Module]:
    """The convolutions and linear layers of a network, by name, but for the last one."""
    found = {n: m for n, m in net.named_modules() if isinstance(m, (nn.Conv2d, nn.Linear))}
    return dict(list(found.items())[:-1])


def saliency(net: nn.Module, x: Tensor, metric: str, seed: int = 0) -> dict[str, Tensor]:
    """How much each weight matters.

    Arguments: x, normalised images (N, C, H, W), for fisher; metric, magnitude, fisher or random;
        seed, for random.
    Returns: for each ranked layer, by name, a tensor shaped like its weight, 0 or above.
    Raises: CplabError for another metric, and as fisher.diagonal does.
    """
    one_of("metric", metric, METRICS[1:])
    weights = {name: layer.weight.detach() for name, layer in ranked(net).items()}
    if metric == "magnitude":
        return {name: w.abs() for name, w in weights.items()}
    if metric == "fisher":
        curvature = fisher.diagonal(net, x)
        return {name: w.square() * curvature[name] for name, w in weights.items()}
    random = torch.Generator().manual_seed(train.mix("saliency", seed))
    return {name: torch.rand(w.shape, generator=random).to(w) for name, w in weights.items()}


def masks(scores: dict[str, Tensor], density: float) -> dict[str, Tensor]:
    """Which weights are kept: the most salient of all layers together.

    Arguments: scores, as `saliency` gives them; density, of their number, which is rounded.
    Returns: boolean tensors of the same shapes.
    Raises: CplabError for a density outside (0, 1], or one that leaves a layer empty.
    """
    density = part("density", density, 1, "the fraction of weights that are kept")
    every = torch.cat([s.flatten() for s in scores.values()])
    kept = torch.zeros(len(every), dtype=torch.bool, device=every.device)
    kept[every.argsort(descending=True, stable=True)[: round(density * len(every))]] = True
    parts = kept.split([s.numel() for s in scores.values()])
    found = {n: p.view(s.shape) for (n, s), p in zip(scores.items(), parts, strict=True)}
    empty = [repr(name) for name, mask in found.items() if not mask.any()]
    if empty:
        raise CplabError(
            f"density {density:g} leaves no weight in layer {', '.join(empty)}, which cuts the "
            "network in two: give a larger density or another metric"
        )
    return found


@contextmanager
def held(net: nn.Module, optimizer: torch.optim.Optimizer, kept: dict[str, Tensor]):
    """Weights that are not kept are exactly 0 in here after every step, and so is their momentum.

    Arguments: kept, masks by the name of the layer.
    """

    @torch.no_grad()
    def empty(*_):
        for name, mask in kept.items():
            weight = net.get_submodule(name).weight
            for each in (weight, optimizer.state[weight].get("momentum_buffer")):
                if each is not None:
                    each.masked_fill_(~mask, 0)

    empty()
    handle = optimizer.register_step_post_hook(empty)
    try:
        yield
    finally:
        handle.remove()


# A life -----------------------------------------------------------------------------------------


@dataclass
class Life:
    """A network on its way.

    kept: masks by the name of the ranked layer.
    values: plain data. curve, accuracy of the test images (0 to 1) after each epoch; loss, the mean
        training loss of each; accuracy and trace (of the Fisher information of the weights that
        are kept, a list by layer) at the moments trained, pruned, retrained and, where there was a
        deficit or its control, end; layers, names of the ranked ones; weights and kept, how many
        these have and keep; predicted and change, what taking weights out does to the answers,
        E KL(before ‖ after) in nats: to second order, weight by weight, and really.
    """

    net: nn.Module
    optimizer: torch.optim.Optimizer
    images: data.Images
    kept: dict[str, Tensor]
    values: dict

    def branch(self) -> "Life":
        """The same once more, to go another way."""
        net, optimizer, values = copy.deepcopy((self.net, self.optimizer, self.values))
        return Life(net, optimizer, self.images, self.kept, values)

    @property
    def measured(self) -> Tensor:
        """The images that the Fisher information is measured on, (IMAGES, C, H, W)."""
        return self.images.normal(self.images.train_x[:IMAGES])

    def live(self, run: Run, moment: str, stop: threading.Event | None = None) -> None:
        """Train up to the end of `run`, from the epoch at which the network is; measure it."""
        with held(self.net, self.optimizer, self.kept):
            for epoch in range(len(self.values["curve"]), run.epochs):
                loss = train.train_epoch(run, epoch, self.images, self.net, self.optimizer, stop)
                self.values["loss"].append(loss)
                self.values["curve"].append(train.evaluate(self.net, self.images))
        self.measure(moment)

    def prune(self, spec: Pruned) -> None:
        """Take weights out; measure what is left."""
        before, cost = answers(self.net, self.measured), saliency(self.net, self.measured, "fisher")
        scores = cost
        if spec.metric in ("magnitude", "random"):
            scores = saliency(self.net, self.measured, spec.metric, spec.seed)
        self.kept = masks(scores, spec.density)
        with held(self.net, self.optimizer, self.kept):
            after = answers(self.net, self.measured)
        self.values |= {
            "layers": list(self.kept),
            "weights": [mask.numel() for mask in self.kept.values()],
            "kept": [int(mask.sum()) for mask in self.kept.values()],
            "predicted": sum(cost[n][~mask].sum().item() for n, mask in self.kept.items()) / 2,
            "change": F.kl_div(after, before, log_target=True, reduction="batchmean").item(),
        }
        self.measure("pruned")

    def measure(self, moment: str) -> None:
        curvature = fisher.diagonal(self.net, self.measured)
        traces = [curvature[name][mask].sum().item() for name, mask in self.kept.items()]
        self.values["trace"][moment] = traces
        self.values["accuracy"][moment] = train.evaluate(self.net, self.images)


@torch.inference_mode()
def answers(net: nn.Module, x: Tensor) -> Tensor:
    """log p(y|x), (N, classes)."""
    with devices.autocast(x.device, "float32"):
        return net.eval()(x).log_softmax(1)


def begin(spec: Pruned, device: torch.device, stop: threading.Event | None = None) -> Life:
    """Train the network that is to be pruned."""
    run = spec.phases[0]
    net, optimizer = train.start(run, device)
    kept = {n: torch.ones_like(m.weight, dtype=torch.bool) for n, m in ranked(net).items()}
    images = data.images(run.dataset, run.profile, device)
    life = Life(
        net, optimizer, images, kept, {"curve": [], "loss": [], "accuracy": {}, "trace": {}}
    )
    life.live(run, "trained", stop)
    return life


def compute(
    specs: list[Pruned], device: str = "auto", stop: threading.Event | None = None
) -> Iterator[tuple[Pruned, dict]]:
    """For studies.collect: the values of each spec, as Life has them. What lives have in common is
    trained once; those of one seed come one after another.

    Raises: CplabError, train.Cancelled, train.Diverged.
    """
    where = devices.pick(device)
    for same in together(specs, "profile", "seed", "training"):
        trained = begin(same[0], where, stop)
        for alike in together(same, "metric", "density", "retraining"):
            pruned = trained.branch()
            pruned.prune(alike[0])
            pruned.live(alike[0].phases[1], "retrained", stop)
            for spec in alike:
                life = pruned.branch()
                if spec.length:
                    life.live(spec.phases[2], "end", stop)
                yield spec, life.values


def together(specs: list[Pruned], *names: str) -> list[list[Pruned]]:
    """Lists of those that agree in these fields."""
    groups = {}
    for spec in specs:
        groups.setdefault(attrgetter(*names)(spec), []).append(spec)
    return list(groups.values())
