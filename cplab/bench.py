"""How fast this machine trains and looks up, against plain ways of doing the same.

Both sides of a ratio are measured in turn, several times, and the medians taken, so that other
work on the machine falls on both. A benchmark is no test: it judges nothing.
"""

import os
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from statistics import median
from unittest import mock

import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset

from cplab import data, models, train, tree
from cplab.experiment import Run

ROUNDS = 3  # after one that warms up
ONSETS, LENGTHS = (0, 2, 4, 8, 12, 16, 24), (2, 4, 8, 12, 16, 24)


def measure(device: str = "auto") -> dict:
    """Everything that is measured here, in about two minutes.

    Returns: device, cores, dataset, note, and results: name, unit, value, baseline, ratio, aim
        and what was measured against what. A ratio is a speed in multiples of the baseline's.
    """
    where = train.pick_device(device)
    dataset = "cifar10" if data.at_hand("cifar10") else "practice"
    with own_cache(dataset):
        results = [engine_vs_step(where, dataset), grid_vs_plain(where, dataset)]
        results += [*lookups(), importing()]
    note = f"medians of {ROUNDS} rounds, the two sides in turn"
    if dataset == "practice":
        note += "; practice images, for CIFAR-10 is not at hand"
    about = {"device": train.machine(where), "cores": os.cpu_count(), "dataset": dataset}
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
            with train.autocast(device):
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
    workers = tree.crew_size(len(runs), str(device))
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


def plain_epoch(run: Run, device: torch.device, blurred: bool) -> float:
    """Seconds that an epoch and its test take as public replications write them: float32, every
    image by itself through PIL."""
    from torchvision import transforms as T

    p, images = run.settings, data.images(run.dataset, run.profile)
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
    lines = [about, f"{'':<16}{'value':>9}{'baseline':>10}{'':10}{'ratio':>8}  aim"]
    for r in measured["results"]:
        numbers = f"{r['value']:9.4g}{r['baseline']:10.4g} {r['unit']:<9}{r['ratio']:8.3g}"
        lines += [f"{r['name']:<16}{numbers}  {r['aim']}", f"    {r['what']}"]
    return "\n".join(lines)
