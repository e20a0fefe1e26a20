"""What holds the harm of an early blur in photographs? Forecast AG, on the flagship.

At the end of the blur something is changed (its training images, a block of layers, norms, running
statistics), then it has 60 clear epochs. Rows go to photographs.csv: what, length of the blur,
seed, mean test accuracy of the last five epochs, own images right when the deficit ended.

    python -m reproduction.photographs exchange 5 6 7 8 9
    python -m reproduction.photographs parts 5 6 7 8 9
    python -m reproduction.photographs mosaic 5 6 7 8 9
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
COLUMNS = (
    "what",
    "length",
    "seed",
    "accuracy",
    "own_right",
    "gradient_1",
    "gradient_2",
    "gradient_3",
)
RECOVERY = 60
# the convolutions of each block with their batch norms, by their place in the network
BLOCKS = {1: range(0, 9), 2: range(9, 15), 3: range(15, 30)}
FLAGSHIP = {"model": "depth3", "schedule": "fixed", "profile": "course", "recovery": RECOVERY}


def done():
    if not FILE.exists():
        return set()
    return {(r["what"], int(r["length"]), int(r["seed"])) for r in csv.DictReader(FILE.open())}


def write(**row):
    new = not FILE.exists()
    with FILE.open("a") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="")
        if new:
            writer.writeheader()
        writer.writerow(row)
    print(row, flush=True)


def train(run, state, images, first, last):
    """Train a state from epoch `first` to `last` of a run, on these images; test accuracies."""
    life, accuracies = Life(run, run.task, images, state, {}), []
    for step in run.timeline[first:last]:
        [row] = train_epoch([life], step)
        state.rows.append(row)
        accuracies.append(row["test_accuracy"])
    return accuracies


def own_right(run, net, images):
    """The fraction of the first 2,000 training images that are named rightly when clear."""
    x, y = images.train_x[:2000], images.train_y[:2000]
    return evaluate(net, x, y, images.normal, run.arithmetic)


def gradients(net, images):
    """The norm of the loss's gradient on 2,000 clear training images, by block."""
    net = copy.deepcopy(net).eval()
    loss = nn.functional.cross_entropy(
        net(images.normal(images.train_x[:2000])), images.train_y[:2000]
    )
    loss.backward()
    norms = {}
    for block, places in BLOCKS.items():
        grads = [p.grad for place in places if place < len(net) for p in net[place].parameters()]
        norms[f"gradient_{block}"] = round(float(sum(g.square().sum() for g in grads).sqrt()), 5)
    return norms


def recover(what, run, length, state, images, **more):
    """Train the clear epochs, and write the row."""
    accuracies = train(run, state, images, length, length + RECOVERY)
    write(what=what, length=length, seed=run.seed, accuracy=sum(accuracies[-5:]) / 5, **more)


def back_to_birth(state, birth, what):
    """Set a part of a network back to what it was at birth; its momentum too."""
    net = state.net
    with torch.no_grad():
        if what == "norms":
            for layer, before in zip(net, birth, strict=True):
                if isinstance(layer, nn.Conv2d):
                    layer.weight *= before.weight.norm() / layer.weight.norm()
        elif what == "running statistics":
            for layer, before in zip(net, birth, strict=True):
                for buffer, old in zip(layer.buffers(), before.buffers(), strict=True):
                    buffer.copy_(old)
        else:
            for place in BLOCKS[int(what[-1])]:
                if place < len(net):
                    net[place].load_state_dict(birth[place].state_dict())
                    for parameter in net[place].parameters():
                        state.optimizer.state[parameter]["momentum_buffer"].zero_()


def blurred(kind, length, seed):
    """A run, its images, its birth and its state after each deficit epoch in `length`."""
    run = Run(kind, 0, max(length), seed=seed, **FLAGSHIP)
    chip = devices.pick("cpu")
    images = run.task.images(chip)
    state = run.task.birth(chip)
    birth, states, before = copy.deepcopy(state.net), {}, 0
    for end in length:
        train(run, state, images, before, end)
        states[end], before = copy.deepcopy(state), end
    return run, images, birth, states


def exchange(seed):
    """Other images once the blur ends."""
    other = "cifar10-part2"
    newborn = Run(seed=seed, dataset=other, **FLAGSHIP)
    images = newborn.task.images(devices.pick("cpu"))
    if ("newborn, other images", 0, seed) not in done():
        recover(
            "newborn, other images", newborn, 0, newborn.task.birth(devices.pick("cpu")), images
        )
    if ("other images", 48, seed) in done():
        return
    _, own, _, states = blurred("blur", (16, 48), seed)
    for length, state in states.items():
        if ("other images", length, seed) not in done():
            run = Run("blur", 0, length, seed=seed, dataset=other, **FLAGSHIP)
            more = {"own_right": own_right(run, state.net, own), **gradients(state.net, own)}
            recover("other images", run, length, state, images, **more)


def parts(seed):
    """Parts of the network set back to birth; a flip's gradients; another blur."""
    names = ("block 1", "block 2", "block 3", "norms", "running statistics")
    missing = [name for name in names if (name, 16, seed) not in done()]
    if missing:
        run, images, birth, states = blurred("blur", (16,), seed)
        for what in missing:
            state = copy.deepcopy(states[16])  # the optimiser goes with its network
            back_to_birth(state, birth, what)
            recover(what, run, 16, state, images)
    if ("flip, when it ends", 16, seed) not in done():
        run, images, _, states = blurred("flip", (16,), seed)
        net = states[16].net
        more = {"own_right": own_right(run, net, images), **gradients(net, images)}
        write(what="flip, when it ends", length=16, seed=seed, **more)


def mosaic(seed):
    """The mosaic, means of 3 × 3 pixels, in the place of the bilinear blur."""
    if ("mosaic", 16, seed) not in done():
        run, images, _, states = blurred("mosaic", (16,), seed)
        net = states[16].net
        more = {"own_right": own_right(run, net, images), **gradients(net, images)}
        recover("mosaic", run, 16, states[16], images, **more)


if __name__ == "__main__":
    torch.set_num_threads(1)
    with devices.torch_defaults(1):
        for seed in map(int, sys.argv[2:]):
            {"exchange": exchange, "parts": parts, "mosaic": mosaic}[sys.argv[1]](seed)
