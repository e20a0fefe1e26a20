"""What holds the harm of an early blur in photographs? Forecasts AG and AH, on the flagship.

At the end of the blur something is changed (its training images, a block of layers, norms, running
statistics), then it has 60 clear epochs. Rows go to photographs.csv: what, length of the blur,
seed, mean test accuracy of the last five epochs, own images right when the deficit ended, and the
norm of the gradient of each block.

    python -m reproduction.photographs exchange 5 6 7 8 9    # or parts, mosaic, late
"""

import copy
import csv
import sys
from pathlib import Path

import torch
from torch import nn

from cplab import Run, devices
from cplab.engine.train import Life, train_epoch
from cplab.runs.tasks import evaluate

FILE = Path(__file__).with_name("photographs.csv")
CPU, RECOVERY = devices.pick("cpu"), 60
FLAGSHIP = {"model": "depth3", "schedule": "fixed", "profile": "course", "recovery": RECOVERY}
# the convolutions of each block with their batch norms, by their place in the network
BLOCKS = {1: range(0, 9), 2: range(9, 15), 3: range(15, 30)}


def missing(what, length, seed):
    """Whether there is no such row yet."""
    with FILE.open() as file:
        rows = {(row["what"], row["length"], row["seed"]) for row in csv.DictReader(file)}
    return (what, str(length), str(seed)) not in rows


def write(what, length, seed, accuracy="", own_right="", gradients=("", "", "")):
    """Add a row."""
    with FILE.open("a", newline="") as file:
        csv.writer(file).writerow([what, length, seed, accuracy, own_right, *gradients])
    print(what, length, seed, accuracy, own_right, *gradients, flush=True)


def train(run, state, images, first, last):
    """Train a state from epoch `first` to `last` of a run, on these images; test accuracies."""
    life, accuracies = Life(run, run.task, images, state, {}), []
    for step in run.timeline[first:last]:
        [row] = train_epoch([life], step)
        state.rows.append(row)
        accuracies.append(row["test_accuracy"])
    return accuracies


def recover(what, run, length, state, images, *known):
    """Train the clear epochs, and write the row."""
    accuracies = train(run, state, images, length, length + RECOVERY)
    write(what, length, run.seed, sum(accuracies[-5:]) / 5, *known)


def looked_at(run, net, images):
    """Of the first 2,000 training images, clear: the fraction named rightly, and the norm of the
    loss's gradient by block."""
    x, y = images.train_x[:2000], images.train_y[:2000]
    right = evaluate(net, x, y, images.normal, run.arithmetic)
    net = copy.deepcopy(net).eval()
    nn.functional.cross_entropy(net(images.normal(x)), y).backward()
    blocks = (net[places.start : places.stop].parameters() for places in BLOCKS.values())
    squares = (sum(weight.grad.square().sum() for weight in block) for block in blocks)
    return right, [round(float(square.sqrt()), 5) for square in squares]


@torch.no_grad()
def back_to_birth(state, birth, what):
    """Set a part of a network back to what it was at birth; of a block, its momentum too."""
    for place, (layer, before) in enumerate(zip(state.net, birth, strict=True)):
        if what == "norms" and isinstance(layer, nn.Conv2d):
            layer.weight *= before.weight.norm() / layer.weight.norm()
        elif what == "running statistics":
            for buffer, old in zip(layer.buffers(), before.buffers(), strict=True):
                buffer.copy_(old)
        elif what.startswith("block") and place in BLOCKS[int(what[-1])]:
            layer.load_state_dict(before.state_dict())
            for parameter in layer.parameters():
                state.optimizer.state[parameter]["momentum_buffer"].zero_()


def blurred(kind, seed, *ends):
    """A run with a deficit, its images, its birth, and its state after each of these epochs."""
    run = Run(kind, 0, max(ends), seed=seed, **FLAGSHIP)
    images, state = run.task.images(CPU), run.task.birth(CPU)
    birth, states, before = copy.deepcopy(state.net), [], 0
    for end in ends:
        train(run, state, images, before, end)
        states.append(copy.deepcopy(state))
        before = end
    return run, images, birth, states


def exchange(seed):
    """Other images once the blur ends."""
    other = {"seed": seed, "dataset": "cifar10-part2", **FLAGSHIP}
    newborn, what = Run(**other), "newborn, other images"
    images = newborn.task.images(CPU)
    if missing(what, 0, seed):
        recover(what, newborn, 0, newborn.task.birth(CPU), images)
    if missing("other images", 48, seed):
        _, own, _, states = blurred("blur", seed, 16, 48)
        for length, state in zip((16, 48), states, strict=True):
            if missing("other images", length, seed):
                run = Run("blur", 0, length, **other)
                known = looked_at(run, state.net, own)
                recover("other images", run, length, state, images, *known)


def parts(seed):
    """Parts of the network set back to birth; a flip's gradients."""
    names = ("block 1", "block 2", "block 3", "norms", "running statistics")
    if wanted := [name for name in names if missing(name, 16, seed)]:
        run, images, birth, [grown] = blurred("blur", seed, 16)
        for what in wanted:
            state = copy.deepcopy(grown)  # the optimiser goes with its network
            back_to_birth(state, birth, what)
            recover(what, run, 16, state, images)
    if missing("flip, when it ends", 16, seed):
        run, images, _, [state] = blurred("flip", seed, 16)
        write("flip, when it ends", 16, seed, "", *looked_at(run, state.net, images))


def mosaic(seed):
    """Mosaics, means of 3 × 3 and of 4 × 4 pixels, in the place of the bilinear blur."""
    for kind in ("mosaic", "mosaic-4"):
        if missing(kind, 16, seed):
            run, images, _, [state] = blurred(kind, seed, 16)
            recover(kind, run, 16, state, images, *looked_at(run, state.net, images))


def late(seed):
    """Gradients when a blur and a flip of 16 epochs end that began after 24 clear epochs."""
    for kind in ("blur", "flip"):
        if missing(what := f"late {kind}, when it ends", 16, seed):
            run = Run(kind, 24, 16, seed=seed, **FLAGSHIP)
            images, state = run.task.images(CPU), run.task.birth(CPU)
            train(run, state, images, 0, 40)
            write(what, 16, seed, "", *looked_at(run, state.net, images))


TRAININGS = {"exchange": exchange, "parts": parts, "mosaic": mosaic, "late": late}

if __name__ == "__main__":
    torch.set_num_threads(1)
    with devices.torch_defaults(1):
        for seed in map(int, sys.argv[2:]):
            TRAININGS[sys.argv[1]](seed)
