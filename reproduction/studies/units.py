"""How many units are frozen, or copies of one another, when a deficit ends?

Such units trap gradient descent (Joudaki and others, arXiv 2510.00304). A unit is frozen if it is
never above 0 on the network's own clear images, and a copy if it is correlated with another one of
its layer by more than COPIED over these images.

    python -m reproduction.studies.units      # trains a minute, and writes units.csv
"""

from pathlib import Path

import pandas as pd
import torch
from torch import Tensor, nn

from cplab.engine import checkpoints
from cplab.engine.network import Stretch
from cplab.engine.train import train
from cplab.estimates import estimate
from cplab.pictures.data import Images
from cplab.runs import Run

TABLE = Path(__file__).with_name("units.csv")
SEEDS = range(40, 60)
COPIED = 0.95
CPU = torch.device("cpu")
# Each until its deficit ends, or as long without one
CONDITIONS = {
    "blurred": Run("mosaic", length=200, profile="tiny"),
    "upside down": Run("flip", length=200, profile="tiny"),
    "never blurred": Run(onset=200, profile="tiny"),
}


def count(net: nn.Module, images: Images) -> list[dict[str, float]]:
    """The percentages of units that are frozen and copies, for each hidden layer of a network."""
    x = images.normal(images.train_x)
    *hidden, _ = [layer for layer in net.modules() if isinstance(layer, nn.Linear)]
    layers = []
    for layer in hidden:
        units = outputs(net, layer, x)  # (images, units)
        frozen = units.amax(0) <= 0
        alike = torch.corrcoef(units[:, ~frozen].T)
        copies = alike.fill_diagonal_(0).amax(1) > COPIED
        percent = 100 / units.shape[1]
        layers.append(
            {"frozen": percent * frozen.sum().item(), "copies": percent * copies.sum().item()}
        )
    return layers


def outputs(net: nn.Module, layer: nn.Module, x: Tensor) -> Tensor:
    """What the units of a fully connected layer put out for images, (images, units)."""
    kept: list[Tensor] = []
    hook = layer.register_forward_hook(lambda layer, given, put: kept.append(put.relu()))
    with torch.no_grad():
        net.eval()(x)
    hook.remove()
    return kept[0]


def counted(condition: Run) -> list[dict[str, float]]:
    """Mean percentages over seeds and half of their intervals, a row for each hidden layer."""
    runs = [condition.with_seed(seed) for seed in SEEDS]
    by_seed = []
    for run, stretch in zip(runs, train(runs, 200, [[] for _ in runs], device="cpu"), strict=True):
        assert isinstance(stretch, Stretch), stretch
        state = checkpoints.loads(stretch.content, run.task, CPU, stretch.provenance)
        assert state, "it was written just now"
        by_seed.append(count(state.net, run.task.images(CPU)))
    rows = []
    for number, layers in enumerate(zip(*by_seed, strict=True), 1):
        row: dict[str, float] = {"layer": number, "seeds": len(layers)}
        for name in ("frozen", "copies"):
            found = estimate([layer[name] for layer in layers])
            row |= {name: round(found.mean, 2), f"{name} ±": round(found.half, 2)}
        rows.append(row)
    return rows


if __name__ == "__main__":
    torch.set_num_threads(1)
    table = []
    for words, condition in CONDITIONS.items():
        table += [{"network": words} | row for row in counted(condition)]
    pd.DataFrame(table).to_csv(TABLE, index=False)
    print(pd.DataFrame(table).to_string(index=False))
