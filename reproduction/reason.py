"""Attempts to break the reason of the critical period in seconds: forecast AF, in plain torch.

Networks 20 to 39 of a stack of 40, each with its own weights and its own 300 MNIST digits of
12 × 12 pixels; two hidden layers of 64, SGD at 0.1, batches of 32. It shares no code with the
package, and so checks it too. Writes reason.csv: a row for each attempt, harm by network.

    python -m reproduction.reason    # about ten minutes; needs mnist.npz in $CPLAB_DATA
"""

import csv
import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

SEEDS, SIZE, COUNT, RATE, BATCH, SCALE, HIDDEN = range(20, 40), 12, 300, 0.1, 32, 0.3, (64, 64)
torch.set_num_threads(1)


def digits(file, part, count):
    """Images (count, 1, 12, 12) from 0 to 1, and labels."""
    x = torch.from_numpy(file[f"{part}_x"][:count]).float()[:, None] / 255
    x = F.interpolate(x, size=SIZE, mode="bilinear", antialias=True)
    return x, torch.from_numpy(file[f"{part}_y"][:count].astype(np.int64))


def mosaic(x, block=3):
    """Means of block × block pixels, at the size of the image."""
    x = F.avg_pool2d(x, block)
    return x.repeat_interleave(block, -1).repeat_interleave(block, -2)


class Digits:
    """A set of images: for each network its own ones and others, and test images for all."""

    def __init__(self, name):
        file = np.load(Path(os.environ.get("CPLAB_DATA", ".")) / f"{name}.npz")
        (x, y), (test, self.answers) = digits(file, "train", 20_000), digits(file, "test", 4_000)
        mean, deviation = x.mean(), x.std()
        self.x, self.y, self.test = (x - mean) / deviation, y, (test - mean) / deviation
        draw = torch.Generator().manual_seed(1)
        every = [torch.randperm(len(x), generator=draw) for _ in range(SEEDS.stop)]
        self.index = {
            "own": torch.stack([order[:COUNT] for order in every[SEEDS.start :]]),
            "other": torch.stack([order[COUNT : 2 * COUNT] for order in every[SEEDS.start :]]),
        }
        self.names = torch.randperm(10, generator=draw)

    def seen(self, deficit, whose):
        """Images (networks, COUNT, pixels) and labels (networks, COUNT) under a deficit."""
        x, y = self.x[self.index[whose]], self.y[self.index[whose]]
        if deficit == "noise":
            x = torch.randn(x.shape, generator=torch.Generator().manual_seed(2))
        elif deficit == "flip":
            x = x.flip(-2)
        elif deficit == "permute":
            y = self.names[y]
        elif deficit:
            x = mosaic(x.flatten(0, 1), int(deficit.removeprefix("mosaic"))).view_as(x)
        return x.flatten(2), y


def train(data, phases):
    """Train all networks through phases (deficit or None, epochs, own or other[, reset]) in turn.
    Returns: percent right of test images after the last epoch, (networks,); of one's own images,
    clear, at the end of each phase, (phases, networks). `reset` sets the part of the first layer
    that only detail excites back to birth before the phase begins."""
    sizes, start = (SIZE**2, *HIDDEN, 10), torch.Generator().manual_seed(0)
    weights = [
        torch.randn(SEEDS.stop, i, o, generator=start)[SEEDS.start :] * SCALE * (2 / i) ** 0.5
        for i, o in pairwise(sizes)
    ]
    birth = weights[0].clone()
    biases = [torch.zeros(len(SEEDS), 1, o) for o in sizes[1:]]
    parameters = [p.requires_grad_() for p in (*weights, *biases)]
    optimizer = torch.optim.SGD(parameters, lr=RATE)

    def logits(x):
        for layer, (w, b) in enumerate(zip(weights, biases, strict=True)):
            x = torch.baddbmm(b.expand(-1, x.shape[1], -1), x, w)
            x = x.relu() if layer < len(weights) - 1 else x
        return x

    def coarse(w):  # the part of each unit's weights that is equal within a block
        return (
            mosaic(w.transpose(1, 2).reshape(-1, 1, SIZE, SIZE))
            .reshape(len(SEEDS), -1, SIZE**2)
            .transpose(1, 2)
        )

    order, known = torch.Generator().manual_seed(3), []
    clear, names = data.seen(None, "own")
    for deficit, epochs, whose, *reset in phases:
        with torch.no_grad():
            if reset:
                weights[0].copy_(coarse(weights[0]) + birth - coarse(birth))
        x, y = data.seen(deficit, whose)
        for _ in range(epochs):
            for batch in torch.randperm(COUNT, generator=order).split(BATCH):
                optimizer.zero_grad()
                out, wanted = logits(x[:, batch]).flatten(0, 1), y[:, batch].flatten()
                (F.cross_entropy(out, wanted, reduction="sum") / len(batch)).backward()
                optimizer.step()
        with torch.no_grad():
            known.append(100 * (logits(clear).argmax(-1) == names).float().mean(1).numpy())
    with torch.no_grad():
        test = logits(data.test.flatten(1).expand(len(SEEDS), -1, -1)).argmax(-1) == data.answers
    return 100 * test.float().mean(1).numpy(), np.array(known)


def attempts():
    """Each attempt: its words, set of images, the phases with the deficit, its control's, and
    which phase ends with the deficit."""
    own, other = "own", "other"
    blur, clear, others = ("mosaic3", 200, own), (None, 100, own), (None, 100, other)
    late = [(None, 40, own), blur]
    reset = (None, 100, own, True)
    yield "mosaic from birth", "mnist", [blur, clear], [clear], 0
    for onset in (2, 5, 10, 20, 40, 80):
        before = (None, onset, own)
        yield f"mosaic at onset {onset}", "mnist", [before, blur, clear], [before, clear], 1
    for kind in ("flip", "noise", "permute"):
        yield f"{kind} from birth", "mnist", [(kind, 200, own), clear], [clear], 0
    yield "other digits when the blur ends", "mnist", [blur, others], [others], 0
    yield "own digits clear, then other ones", "mnist", [(None, 200, own), others], [others], 0
    for n in (1, 10):
        phases = [(None, n, other), (None, 100 - n, own)]
        yield f"other digits for {n} epochs, then own", "mnist", [blur, *phases], phases, 0
    control = [(None, 40, own), clear]
    yield "late, detail set back to birth", "mnist", [*late, reset], control, 1
    yield "never blurred, detail set back to birth", "mnist", [(None, 40, own), reset], control, 0
    for size in (6, 4, 2):
        coarser = (f"mosaic{size}", 200, own)
        yield f"mosaic of {size} × {size} from birth", "mnist", [coarser, clear], [clear], 0
    before = (None, 80, own)
    yield "clothes, mosaic from birth", "fashion_mnist", [blur, clear], [clear], 0
    yield "clothes, mosaic at onset 80", "fashion_mnist", [before, blur, clear], [before, clear], 1


def main():
    with Path(__file__).with_name("reason.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["attempt", "harm", "half", "own_right", *(f"harm_{s}" for s in SEEDS)])
        sets = {}
        for words, name, phases, control, end in attempts():
            data = sets.setdefault(name, Digits(name))
            accuracy, known = train(data, phases)
            harm = train(data, control)[0] - accuracy
            half = 2.093 * harm.std(ddof=1) / len(harm) ** 0.5
            row = [words, f"{harm.mean():.2f}", f"{half:.2f}", f"{known[end].mean():.1f}"]
            writer.writerow([*row, *(f"{h:.2f}" for h in harm)])
            file.flush()
            print(*row, flush=True)


if __name__ == "__main__":
    main()
