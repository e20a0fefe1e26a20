"""How fast this machine trains and looks up, against plain ways of doing the same.

Both sides of a ratio are measured in turn, several times, and the medians taken, so that other
work on the machine falls on both. A benchmark is no test: it judges nothing.
"""

import copy
import os
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from importlib import metadata, util
from itertools import islice
from statistics import median
from typing import NamedTuple
from unittest import mock

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, grad, jacrev, vmap
from torch.utils.data import DataLoader, Dataset, TensorDataset

from cplab import data, devices, fisher, gradients, models, pruning, synapses, train, tree
from cplab.experiment import CplabError, Run

ROUNDS = 3  # after one that warms up
SLOW = 10  # seconds; other ways to a Fisher trace that take longer have one round
FISHER_IMAGES = 2000
AGREE = 1e-4  # relative, in float32
ONSETS, LENGTHS = (0, 2, 4, 8, 12, 16, 24), (2, 4, 8, 12, 16, 24)


def measure(device: str = "auto") -> dict:
    """Everything that is measured here, in about five minutes.

    Returns: device, cores, dataset, note, and results: name, unit, value, baseline, ratio, aim
        and what was measured against what. A ratio is a speed in multiples of the baseline's;
        ratio and baseline are None where there is nothing to compare with.
    Raises: CplabError if a Fisher trace is not what another way to it gives.
    """
    where = devices.pick(device)
    dataset = "cifar10" if data.at_hand("cifar10") else "practice"
    with own_cache(dataset):
        results = [engine_vs_step(where, dataset), grid_vs_plain(where, dataset)]
        results += paper_size(where, dataset)
        results += [fisher_vs_vmap(where, dataset), fisher_vs_library(where, dataset)]
        results += [pruning_batched(where), *lookups(), importing()]
    note = f"medians of {ROUNDS} rounds, the two sides in turn"
    if dataset == "practice":
        note += "; practice images, for CIFAR-10 is not at hand"
    about = {"device": devices.machine(where), "cores": os.cpu_count(), "dataset": dataset}
    return {**about, "note": note, "results": results}


@contextmanager
def own_cache(dataset: str):
    """An empty cache for this process and those that it starts, beside the same images."""
    place = data.where(dataset)
    with tempfile.TemporaryDirectory(prefix="cplab-bench-") as folder, mock.patch.dict(os.environ):
        os.environ["CPLAB_CACHE"] = folder
        if place:
            os.environ["CPLAB_DATA"] = str(place.parent)
        yield


def result(name: str, unit: str, pairs: list[tuple[float, float]], aim: str, what: str) -> dict:
    """A result out of pairs of value and baseline: rates, or times, of which less is faster."""
    faster = [v / b if unit.endswith("/s") else b / v for v, b in pairs]
    value, baseline = (median(side) for side in zip(*pairs, strict=True))
    measured = {"value": value, "baseline": baseline, "ratio": median(faster)}
    return {"name": name, "unit": unit, **measured, "aim": aim, "what": what}


def seconds(work) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def engine_vs_step(device: torch.device, dataset: str) -> dict:
    """Training of the engine against forward, backward and step on one batch in memory."""
    run = Run(profile="course", dataset=dataset)
    images = data.images(dataset, "course", device)
    net, optimizer = train.start(run, device)
    x, y = next(train.batches(run, 0, images))
    steps = len(images.train_y) // len(y)

    def bare():
        for _ in range(steps):
            with devices.autocast(device):
                loss = F.cross_entropy(net(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        loss.item()  # waits for the device

    pairs = []
    for epoch in range(1 + ROUNDS):
        engine = seconds(lambda e=epoch: train.train_epoch(run, e, images, net, optimizer))
        pairs.append((len(images.train_y) / engine, steps * len(y) / seconds(bare)))
    what = "an epoch of training / bare steps on one batch in memory, course profile"
    return result("engine_vs_step", "images/s", pairs[1:], "ratio >= 0.9", what)


def grid_vs_plain(device: torch.device, dataset: str) -> dict:
    """The blur grid with its controls, from a few epochs of either side."""
    grid = [Run("blur", o, n, 15, "course", dataset=dataset) for o in ONSETS for n in LENGTHS]
    runs = {r for run in grid for r in (run, run.equal_training(), run.newborn())}
    shared, alone = sum(s.epochs for s in tree.plan(list(runs))), sum(r.epochs for r in runs)
    workers = tree.crew_size([*runs], str(device))
    pairs = []
    with tree.crew(workers, device, threading.Event(), lambda *_: None) as begin:
        for number in range(1 + ROUNDS):  # the first also starts the processes
            # one epoch in four is blurred, which is about the share in the grid
            seeds = range(number * workers, (number + 1) * workers)
            few = [Run("blur", 2, 1, 1, "course", None, dataset, seed=seed) for seed in seeds]
            began = time.perf_counter()
            for job in [begin(tree.Segment(run, 0, 4)) for run in few]:
                job.result()
            engine = (time.perf_counter() - began) / (4 * workers)
            clear, blurred = (plain_epoch(few[0], device, blur) for blur in (False, True))
            pairs.append((shared * engine, alone * (3 * clear + blurred) / 4))
    what = (
        f"{len(ONSETS)} onsets by {len(LENGTHS)} lengths of blur with controls, multiplied out: "
        f"{shared} epochs in a tree, {workers} at a time, measured on 4 each / "
        f"{alone} epochs run by run with Dataset and DataLoader, measured on 2"
    )
    return result("grid_vs_plain", "s", pairs[1:], "ratio >= 5 on two cores", what)


class Pictures(Dataset):
    """Images and labels as torchvision's sets give them: a PIL image through a transform."""

    def __init__(self, x: torch.Tensor, y: torch.Tensor, transform):
        self.x, self.y, self.transform = x.squeeze(-1).numpy(), y.tolist(), transform

    def __len__(self):
        return len(self.y)

    def __getitem__(self, index: int):
        from PIL import Image

        return self.transform(Image.fromarray(self.x[index])), self.y[index]


def plain_epoch(run: Run, device: torch.device, blurred: bool, count: int | None = None) -> float:
    """Seconds that an epoch and its test take as public replications write them: float32 (on a GPU
    with tf32, where torch takes it unasked), every image by itself through PIL. With a count, of
    so many images and without the test."""
    from torchvision import transforms as T

    p, images = run.settings, data.images(run.dataset, run.profile)
    if count:
        images = part_of(images, count)
    tensor = [T.ToTensor(), T.Normalize(images.mean / 255, images.std / 255)]
    blur = [T.Resize(p.size // 4), T.Resize(p.size)] if blurred else []
    varied = [*blur, T.RandomCrop(p.size, padding=p.shift), T.RandomHorizontalFlip(), *tensor]
    training = Pictures(images.train_x, images.train_y, T.Compose(varied))
    testing = Pictures(images.test_x, images.test_y, T.Compose(tensor))
    net = models.AllCNN(run.width).to(device)
    optimizer = torch.optim.SGD(net.parameters(), 0.02, p.momentum, weight_decay=p.weight_decay)

    began = time.perf_counter()
    net.train()
    for x, y in DataLoader(training, p.batch, shuffle=True, num_workers=2):
        optimizer.zero_grad()
        F.cross_entropy(net(x.to(device)), y.to(device)).backward()
        optimizer.step()
    net.eval()
    with torch.no_grad():
        for x, y in DataLoader(testing, p.batch, num_workers=2):
            (net(x.to(device)).argmax(1).cpu() == y).sum().item()
    return time.perf_counter() - began


# The paper's size --------------------------------------------------------------------------------

FEW = 4  # batches, where an epoch would take minutes


def part_of(images: data.Images, count: int) -> data.Images:
    """The first training images, none to test."""
    return replace(
        images, train_x=images.train_x[:count], train_y=images.train_y[:count],
        test_x=images.test_x[:0], test_y=images.test_y[:0],
    )  # fmt: skip


def paper_size(device: torch.device, dataset: str) -> list[dict]:
    """Training of the paper's All-CNN at its own size: against a plain loop, against what matrix
    products reach on this device, and, on a GPU, ways to launch a step."""
    run = Run(profile="paper", dataset=dataset)
    on_gpu = device.type in gradients.RECORDED
    count = run.settings.train_images if on_gpu else FEW * run.settings.batch
    few = part_of(data.images(dataset, "paper", device), count)
    ways = ways_to_step(run, device, next(train.batches(run, 0, few)))
    rates, products = {way: [] for way in (*ways, "plain")}, []
    for epoch in range(1 + ROUNDS):
        for way, nets in ways.items():
            rates[way].append(count / seconds(partial(train.train_epoch, run, epoch, few, *nets)))
        rates["plain"].append(count / plain_epoch(run, device, False, count))
        products.append(matrix_products(device))
    rates = {way: each[1:] for way, each in rates.items()}
    an_image = operations(run)
    reached = [rate * an_image / 1e12 for rate in rates["engine"]]
    number = "bf16" if devices.has_bf16(device) else "float32"
    about = f"All-CNN of width {run.width}, {run.settings.size} pixels, {count} images"
    rows = [
        (
            "paper_engine", "images/s", rates["engine"], rates["plain"],
            "ratio >= 20 on an H100 or H200",
            f"training in {number}, {about} / Dataset and DataLoader in float32",
        ),
        (
            "paper_peak", "TFLOP/s", reached, products[1:], "ratio >= 0.4 on an H100 or H200",
            f"{an_image / 1e9:.3g} GFLOP an image, the same training / a large matrix product in "
            f"{number}; an epoch of {run.settings.train_images} images takes "
            f"{run.settings.train_images / median(rates['engine']):.3g} s",
        ),
    ]  # fmt: skip
    if "launched" in ways:
        what = f"steps as a CUDA graph / operation by operation, {about}"
        rows.append(
            ("paper_graph", "images/s", rates["engine"], rates["launched"], "ratio > 1", what)
        )
    if "compiled" in ways:
        aim, what = "ratio > 1: compile them", f"torch.compile in the graph / without, {about}"
        rows.append(("paper_compiled", "images/s", rates["compiled"], rates["engine"], aim, what))
    return [
        result(name, unit, [*zip(ours, theirs, strict=True)], aim, what)
        for name, unit, ours, theirs, aim, what in rows
    ]


def ways_to_step(run: Run, device: torch.device, batch: tuple[Tensor, Tensor]) -> dict:
    """Network and optimiser for each way: the engine's own; on a GPU also with every operation
    launched by itself, and compiled, where that is possible."""
    found = {"engine": train.start(run, device)}
    if device.type in gradients.RECORDED:
        found["launched"], compiled = train.start(run, device), train.start(run, device)
        gradients.taken(found["engine"][0], "native", *batch)  # before anything goes wrong
        gradients.taken(found["launched"][0], "native", *batch, as_graph=False)
        try:
            way = gradients.taken(compiled[0], "native", *batch, forward=torch.compile(compiled[0]))
        except (OSError, subprocess.SubprocessError) as error:
            warnings.warn(f"nothing can be compiled here: {error}", stacklevel=2)
            way = None
        if isinstance(way, gradients.Recorded):
            found["compiled"] = compiled
    return found


def operations(run: Run) -> int:
    """Floating-point operations of a step for each image, forward and backward."""
    from torch.utils.flop_counter import FlopCounterMode

    net = models.build(run.model, 3, run.settings.size)
    with FlopCounterMode(display=False) as counter:
        net(torch.zeros(2, 3, run.settings.size, run.settings.size)).sum().backward()
    return counter.get_total_flops() // 2


def matrix_products(device: torch.device) -> float:
    """TFLOP/s of a large product of random matrices, in the number format of training there."""
    side, times = (8192, 20) if device.type == "cuda" else (2048, 5)
    number = torch.bfloat16 if devices.has_bf16(device) else torch.float32
    a, b = (torch.randn(side, side, device=device, dtype=number) for _ in range(2))
    first = a @ b
    first.sum().item()  # waits for the device

    def work():
        for _ in range(times):
            torch.mm(a, b, out=first)
        first[0, 0].item()

    return 2 * side**3 * times / seconds(work) / 1e12


# The Fisher trace, of the weights alone: {layer: share} -------------------------------------------


class Against(NamedTuple):
    """Pairs of our seconds and another way's, and how far apart their values are, relatively."""

    name: str
    pairs: list[tuple[float, float]]
    apart: float

    @property
    def ratio(self) -> float:
        return median(theirs / ours for ours, theirs in self.pairs)

    def __str__(self):
        rounds = "" if len(self.pairs) == ROUNDS else ", one round"
        return f"{self.name} ({median(theirs for _, theirs in self.pairs):.3g} s{rounds})"


def fisher_vs_vmap(device: torch.device, dataset: str, count: int = FISHER_IMAGES) -> dict:
    """The exact trace against torch.func's gradient of each image and label."""
    net, x = network(device, dataset, count)
    plainly = against("vmap of grad over the images, label by label", by_vmap, net, x)
    tuned = [
        against(f"in batches of {BATCH}", partial(by_vmap, batch=BATCH), net, x),
        against("vmap of jacrev", by_jacrev, net, x),  # one forward pass for all labels
    ]
    what = (
        f"{about_trace(count)} / torch.func's {plainly}; ratios to it tuned: "
        + ", ".join(f"{each} {each.ratio:.3g}" for each in tuned)
        + f"; {agreement([plainly, *tuned])}"
    )
    return result("fisher_vs_vmap", "s", plainly.pairs, "ratio >= 5", what)


def fisher_vs_library(device: torch.device, dataset: str, count: int = FISHER_IMAGES) -> dict:
    """The exact trace against the fastest of the libraries that are installed."""
    net, x = network(device, dataset, count)
    measured, missing = [], []
    for name, (module, package, way) in LIBRARIES.items():
        if util.find_spec(module) is None:
            missing.append(f"{name} is not installed")
            continue
        try:
            measured.append(against(f"{name} {metadata.version(package)}", way, net, x))
        except CplabError:
            raise
        except Exception as error:  # of another version, perhaps
            missing.append(f"{name} fails with {type(error).__name__}")
    if not measured:
        ours = median(seconds(lambda: fisher.trace(net, x)) for _ in range(ROUNDS))
        what = "; ".join([f"{about_trace(count)} / nothing", *missing])
        none = {"value": ours, "baseline": None, "ratio": None}
        return {"name": "fisher_vs_library", "unit": "s", **none, "aim": "ratio >= 1", "what": what}
    fastest, *others = sorted(measured, key=lambda each: each.ratio)
    parts = [f"{about_trace(count)} / {fastest}, the fastest", *map(str, others), *missing]
    what = "; ".join([*parts, agreement(measured)])
    return result("fisher_vs_library", "s", fastest.pairs, "ratio >= 1", what)


def about_trace(count: int) -> str:
    return f"exact Fisher trace of the course network, initial weights, {count} images"


def agreement(measured: list[Against]) -> str:
    return f"values differ by {max(each.apart for each in measured):.1g} at most, relatively"


def network(device: torch.device, dataset: str, count: int) -> tuple[nn.Module, Tensor]:
    """The course network with its initial weights and running statistics from one forward pass of
    the images that come with it."""
    images = data.images(dataset, "course", device)
    net, _ = train.start(Run(profile="course", dataset=dataset), device)
    x = images.normal(images.train_x[:count])
    with torch.no_grad():
        net.train()(x)
    return net.eval(), x


def against(name: str, way: Callable, net: nn.Module, x: Tensor) -> Against:
    """`fisher.trace` and another way to the same number in turn.

    Raises: CplabError if the numbers are not the same: a wrong fast one is no speed.
    """
    values = {}

    def ours():
        found = fisher.trace(net, x)
        values["ours"] = {**found.layers, "total": found.total}

    def theirs():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            values["theirs"] = way(out_of_place(net), x)

    with devices.algorithms("float32"):  # both without tf32, which is off by more than AGREE
        ours()
        pairs = [(seconds(ours), seconds(theirs))]
        if pairs[0][1] < SLOW:
            pairs = [(seconds(ours), seconds(theirs)) for _ in range(ROUNDS)]
    return Against(name, pairs, difference(name, **values))


def difference(name: str, ours: dict[str, float], theirs: dict[str, float]) -> float:
    """The largest relative difference of what they have in common.

    Raises: CplabError if it is larger than AGREE, or not a number.
    """
    apart = {}
    for layer, value in theirs.items():
        apart[layer] = abs(ours[layer] - value) / max(abs(value), 1e-300)  # 0 where both are 0
        if not apart[layer] <= AGREE:
            raise CplabError(
                f"the Fisher traces differ: fisher.trace gives {ours[layer]:.6g} for {layer!r}, "
                f"{name} {value:.6g}; one of them is wrong, so that their speeds say nothing"
            )
    return max(apart.values())


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
BATCH = 256  # of by_vmap


def by_vmap(net: nn.Module, x: Tensor, batch: int | None = None) -> dict[str, float]:
    """Each image's gradient of each label's log p, squared and weighted with p; all images at once
    if no batch is given."""

    def log_p(own: dict, image: Tensor, label: Tensor) -> Tensor:
        return functional_call(net, own, (image[None],)).log_softmax(1)[0] @ label

    gradients = vmap(grad(log_p), (None, 0, None))
    own = {f"{name}.weight": w.detach() for name, w in weights(net).items()}
    sums = dict.fromkeys(own, 0.0)
    for part in x.split(batch or len(x)):
        p = net(part).softmax(1).detach()
        for c, label in enumerate(torch.eye(p.shape[1]).to(p)):
            for name, g in gradients(own, part, label).items():
                sums[name] += (g.flatten(1).square().sum(1) @ p[:, c]).item() / len(x)
    return {name.removesuffix(".weight"): each for name, each in sums.items()}


def by_jacrev(net: nn.Module, x: Tensor, batch: int = 32) -> dict[str, float]:
    """The same for all labels at once."""

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
    operator = EKFACLinearOperator(
        net, nn.CrossEntropyLoss(), list(weights(net).values()), batches, **about
    )
    return {"total": float(operator.trace)}


def by_nngeometry(net: nn.Module, x: Tensor, batch: int = 64) -> dict[str, float]:
    """The diagonal of the Fisher matrix; it takes biases in with their weights."""
    from nngeometry.layercollection import LayerCollection
    from nngeometry.metrics import FIM
    from nngeometry.object import PMatDiag

    layers = LayerCollection()
    for name in weights(net):
        layers.add_layer_from_model(net, net.get_submodule(name))
    loader = DataLoader(TensorDataset(x, torch.zeros(len(x))), batch)
    about = {"layer_collection": layers, "function": lambda *batch: net(batch[0])}
    diagonal = FIM(net, loader, PMatDiag, "classif_logits", x.device, **about).get_diag()
    sums, begin = {}, 0
    for name, w in weights(net).items():
        sums[name] = diagonal[begin : begin + w.numel()].sum().item()
        begin += sum(p.numel() for p in net.get_submodule(name).parameters())
    return sums


LIBRARIES = {  # what to import, what to install, how to measure
    "BackPACK": ("backpack", "backpack-for-pytorch", by_backpack),
    "curvlinops": ("curvlinops", "curvlinops-for-pytorch", by_curvlinops),
    "nngeometry": ("nngeometry", "nngeometry", by_nngeometry),
}

# Architectures, retrained -------------------------------------------------------------------------


def pruning_batched(device: torch.device, count: int = 16, steps: int = 100) -> dict:
    """Training of several architectures side by side, against one after another."""
    dataset = "mnist" if data.at_hand("mnist") else "practice"
    random, full = np.random.default_rng(0), [np.ones((b, a), bool) for a, b in synapses.SHAPES]
    several = [[pruning.scattered(full[0], 1254, random), full[1]] for _ in range(count)]
    split, pixels = synapses.pictures(dataset)["train"], synapses.telling(dataset, several)
    ready = synapses.ready(split, pixels, device)
    bare = synapses.Split(split.x.to(device) / 255, split.y.to(device))
    order = [*islice(synapses.batches(len(split.y), 0, device), steps)]

    def engine(some: list):
        nets = synapses.nets(some, 0, "sgd", device, pixels)
        for index in order:
            synapses.step(nets, ready.x.index_select(0, index), ready.y[index], 0.5)
        nets.weights[0].sum().item()  # waits for the device

    rows = []
    for _ in range(1 + ROUNDS):
        works = (
            lambda: engine(several),
            lambda: plain_retraining(several[0], bare, order),
            lambda: engine(several[:1]),
        )
        rows.append([1000 * seconds(work) / steps for work in works])
    alone = median(row[2] for row in rows[1:])
    what = (
        f"a step of an architecture of density 0.1 on {dataset}, {count} side by side / one by "
        f"itself as one writes it, float32 and autograd; by itself in this engine {alone:.3g} ms"
    )
    pairs = [(row[0] / count, row[1]) for row in rows[1:]]
    return result("pruning_batched", "ms", pairs, "ratio >= 3", what)


def plain_retraining(architecture: list[np.ndarray], images: synapses.Split, order: list[Tensor]):
    """Steps of SGD on the living synapses of one network."""
    device = images.x.device
    layers = [nn.Linear(a, b, device=device) for a, b in synapses.SHAPES]
    masks = [torch.as_tensor(alive).float().to(device) for alive in architecture]
    net = nn.Sequential(layers[0], nn.ReLU(), layers[1])
    optimizer = torch.optim.SGD(net.parameters(), 0.5)
    for index in order:
        loss = F.cross_entropy(net(images.x.index_select(0, index)), images.y[index])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            for layer, mask in zip(layers, masks, strict=True):
                layer.weight.mul_(mask)
    loss.item()  # waits for the device


# Looking up and importing -------------------------------------------------------------------------

# For a fresh interpreter: prints the seconds of training, of a first look-up and of later ones.
LOOK = """
import statistics, time, cplab
def look():
    began = time.perf_counter()
    record = cplab.run(profile="ci", onset=1)
    return time.perf_counter() - began, record.seconds
first, trained = look()
print(trained, first, statistics.median(look()[0] for _ in range(50)))
"""


def fresh(code: str) -> bytes:
    """What code prints in a fresh interpreter."""
    return subprocess.run((sys.executable, "-c", code), capture_output=True, check=True).stdout


def lookups() -> list[dict]:
    fresh(LOOK)  # trains and keeps the record
    times = [[1000 * float(t) for t in fresh(LOOK).split()] for _ in range(ROUNDS)]
    found = []
    for column, name, what in ((1, "first", "in a fresh Python"), (2, "again", "once more")):
        pairs, what = [(row[column], row[0]) for row in times], f"{what} / training that run"
        found.append(result(f"lookup_{name}", "ms", pairs, "value < 50", what))
    return found


def importing() -> dict:
    codes = ("import cplab", "pass")
    pairs = [[seconds(lambda c=c: fresh(c)) for c in codes] for _ in range(1 + 2 * ROUNDS)]
    what = "a fresh Python that imports cplab / one that imports nothing"
    return result("import", "s", pairs[1:], "value < 0.3", what)


def table(measured: dict) -> str:
    """What `measure` returned, to read."""
    about = "{device}, {cores} cores, {dataset}: {note}".format(**measured)
    lines = [about, f"{'':<18}{'value':>9}{'baseline':>10}{'':10}{'ratio':>8}  aim"]
    for r in measured["results"]:
        baseline = "-" if r["baseline"] is None else f"{r['baseline']:.4g}"
        ratio = "-" if r["ratio"] is None else f"{r['ratio']:.3g}"
        numbers = f"{r['value']:9.4g}{baseline:>10} {r['unit']:<9}{ratio:>8}"
        lines += [f"{r['name']:<18}{numbers}  {r['aim']}", f"    {r['what']}"]
    return "\n".join(lines)
