"""Can it be foretold, at the moment when a deficit ends, whether a network will recover?

`train` trains shipped conditions again up to that moment, and writes what can be seen there to
foretell.csv: a row for each condition and seed. Nothing in it knows what came afterwards. `table`
looks the harm of each condition up, lets one half of the conditions choose a number and tests it on
the other half, beside the length of the deficit alone and beside conditions whose harm is permuted.

    python -m reproduction.studies.foretell train drawn     # or mnist, photographs
    python -m reproduction.studies.foretell table
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from scipy.stats import spearmanr
from torch import Tensor, nn

from cplab import quantities
from cplab.engine import checkpoints
from cplab.engine.network import Stretch
from cplab.engine.train import train
from cplab.models.layers import blocks
from cplab.pictures.data import Images
from cplab.runs import Run, Step

SEEN = Path(__file__).with_name("foretell.csv")
FORETOLD = Path(__file__).with_name("foretold.csv")
CPU = torch.device("cpu")
LOOKED_AT = 512  # training images, at most, on which gradients are taken
HIDDEN_ENERGY = 0.99  # the part of the squares of what a layer saw in the directions that it saw
LENGTHS = (10, 25, 50, 100, 200, 400)  # epochs, of digits
ONSETS = (2, 5, 10, 20, 40, 80)
RESAMPLES = 1_000
NUMBERS = (
    "length",
    "onset",
    "gradient",
    "share_1",
    "share_2",
    "share_3",
    "loss",
    "own_right",
    "new_right",
    "own_minus_new",
)


class Beginning(NamedTuple):
    """A deficit that begins at an age, and the lengths at which it is looked at."""

    deficit: str
    onset: int  # epochs
    lengths: tuple[int, ...]


DIGITS = {
    "drawn": [
        *(Beginning("mosaic", onset, LENGTHS) for onset in (0, *ONSETS)),
        *(Beginning(deficit, 0, LENGTHS) for deficit in ("flip", "noise", "permute")),
        *(Beginning(deficit, onset, (200,)) for deficit in ("flip", "noise", "permute")
          for onset in ONSETS),
        Beginning("mosaic-2", 0, (200,)),
        Beginning("mosaic-4", 0, (200,)),
    ],
    "mnist": [
        Beginning("mosaic", 0, LENGTHS),
        *(Beginning("mosaic", onset, (200,)) for onset in ONSETS),
        *(Beginning(deficit, 0, (200,)) for deficit in ("flip", "noise", "permute")),
    ],
}  # fmt: skip
PHOTOGRAPHS = [
    Beginning("blur", 0, (2, 4, 8, 16, 24, 32, 48, 64)),
    Beginning("flip", 0, (16, 48)),
    Beginning("noise", 0, (16, 48)),
    Beginning("permute", 0, (16, 48)),
    Beginning("blur", 24, (4, 8, 16)),
    Beginning("flip", 24, (16,)),
    Beginning("noise", 24, (16,)),
    Beginning("permute", 24, (16,)),
]


def condition(kind: str, deficit: str, onset: int, length: int, seed: int = 0) -> Run:
    """The shipped run of a condition. kind: drawn, mnist or photographs."""
    if kind == "photographs":
        return Run(deficit, onset, length, 60, model="depth3", schedule="fixed", seed=seed)
    return Run(deficit, onset, length, profile="tiny", dataset=kind, seed=seed)


# What is seen when a deficit ends -----------------------------------------------------------------


def look_at(run: Run, net: nn.Module) -> dict[str, float]:
    """What can be seen of a network when its deficit has just ended, all of it on clear images.

    Returns:
        gradient, the mean norm of the gradient over batches of its own images; share_1 and so on,
        the part of the squared gradient, by block, in directions that the layers' inputs hardly had
        under the deficit; loss, of its own images; own_right and new_right, of its own images and
        of as many others of the training images, in percent, and their difference.
    """
    images = run.task.images(CPU)
    others = run.task.images(CPU, 2)
    own_right = percent_right(net, images)
    new_right = percent_right(net, others)
    x = images.normal(images.train_x[:LOOKED_AT])
    y = images.train_y[:LOOKED_AT]
    batch = run.task.describe_batch(torch.arange(len(y)), run.end - 1, images)
    last = run.timeline[run.end - 1]
    assert isinstance(last, Step), "a condition has no events"
    deprived, _ = last.deficit(x, y, batch)
    net.train()  # as in a step
    outside = hidden_directions(net, deprived)
    parts = blocks(net)
    norms = []
    losses = []
    squares = np.zeros((2, len(parts)))  # by block: of the whole gradient, and of what was hidden
    for images_of_batch, labels in zip(
        x.split(run.settings.batch), y.split(run.settings.batch), strict=True
    ):
        net.zero_grad()
        loss = F.cross_entropy(net(images_of_batch), labels)
        loss.backward()
        norms.append(gradient_norm(net))
        losses.append(loss.item())
        for number, layers in enumerate(parts):
            for layer in layers:
                if layer in outside:
                    weight = next(layer.parameters())
                    assert weight.grad is not None
                    gradient = weight.grad.flatten(1).double()  # (out, entries)
                    squares[0, number] += float(gradient.square().sum())
                    squares[1, number] += float((gradient @ outside[layer]).square().sum())
    seen = {"gradient": float(np.mean(norms)), "loss": float(np.mean(losses))}
    for number, (whole, hidden) in enumerate(squares.T, start=1):
        seen[f"share_{number}"] = 100 * hidden / whole if whole else 0.0
    seen |= {"own_right": own_right, "new_right": new_right, "own_minus_new": own_right - new_right}
    return seen


def gradient_norm(net: nn.Module) -> float:
    """The norm of a network's gradient over all its weights."""
    norms = [weight.grad.norm() for weight in net.parameters() if weight.grad is not None]
    return torch.stack(norms).norm().item()


@torch.no_grad()
def percent_right(net: nn.Module, images: Images) -> float:
    """Percent of training images that a network names correctly when they are clear."""
    net.eval()
    correct = 0
    for x, y in zip(images.train_x.split(500), images.train_y.split(500), strict=True):
        correct += int((net(images.normal(x)).argmax(1) == y).sum())
    return 100 * correct / len(images.train_y)


@torch.no_grad()
def hidden_directions(net: nn.Module, deprived: Tensor) -> dict[nn.Module, Tensor]:
    """For each layer the directions that its inputs hardly had under a deficit: those outside the
    ones with 99 % of the squares.

    Arguments:
        net: the net.
        deprived: images (N, C, H, W) as the deficit shows them.

    Returns:
        by layer (entries of an input, directions), float64. An input is a patch for a convolution.
    """
    inputs: dict[nn.Module, Tensor] = {}

    def keep(layer: nn.Module, given: tuple[Tensor, ...]) -> None:
        """Keep the directions outside a layer's inputs: a hook for torch."""
        values = given[0]
        if isinstance(layer, nn.Conv2d):
            padding: Any = layer.padding  # two numbers here, not a word
            patches = F.unfold(
                values[:100], layer.kernel_size, layer.dilation, padding, layer.stride
            )
            values = patches.transpose(1, 2).flatten(0, 1)
        values = values.double()
        squares, directions = torch.linalg.eigh(values.T @ values)  # the least squares come first
        is_outside = squares.clamp(min=0).cumsum(0) <= (1 - HIDDEN_ENERGY) * squares.sum()
        inputs[layer] = directions[:, is_outside]

    hooks = []
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            hooks.append(layer.register_forward_pre_hook(keep))
    statistics = [buffer.clone() for buffer in net.buffers()]
    net(deprived)
    for buffer, before in zip(net.buffers(), statistics, strict=True):
        buffer.copy_(before)
    for hook in hooks:
        hook.remove()
    return inputs


# Training -----------------------------------------------------------------------------------------


def seen_of(kind: str, beginning: Beginning, seeds: Sequence[int]) -> Iterator[dict]:
    """Train a beginning, and yield what is seen at each of its lengths, seed by seed."""
    deficit, onset, lengths = beginning
    runs = [condition(kind, deficit, onset, max(lengths), seed) for seed in seeds]
    contents: list[list[bytes]] = [[] for _ in runs]
    for end in (onset, *(onset + length for length in lengths)):
        stretches = []
        for stretch in train(runs, end, contents, device="cpu"):
            assert isinstance(stretch, Stretch), stretch
            stretches.append(stretch)
        contents = [[stretch.content] for stretch in stretches]
        if end == onset:
            continue
        for seed, stretch in zip(seeds, stretches, strict=True):
            run = condition(kind, deficit, onset, end - onset, seed)
            state = checkpoints.loads(stretch.content, run.task, CPU, stretch.provenance)
            assert state, "it was written just now"
            accuracy = stretch.rows[-1]["test_accuracy"]
            fields = {"deficit": deficit, "onset": onset, "length": end - onset, "seed": seed}
            yield {"kind": kind, **fields, "accuracy": accuracy} | look_at(run, state.net)


def train_all(kind: str, seeds: Sequence[int]) -> None:
    """Train all conditions of a kind that are not in foretell.csv yet, and add them to it."""
    torch.set_num_threads(1)
    for beginning in PHOTOGRAPHS if kind == "photographs" else DIGITS[kind]:
        rows = pd.read_csv(SEEN) if SEEN.exists() else pd.DataFrame(columns=["kind"])
        there = rows[rows.kind == kind]
        if len(there):
            same = (there.deficit == beginning.deficit) & (there.onset == beginning.onset)
            there = there[same & (there.length == max(beginning.lengths))]
        missing = [seed for seed in seeds if seed not in set(there.get("seed", ()))]
        if missing:
            new = pd.DataFrame(seen_of(kind, beginning, missing)).round(4)
            pd.concat([rows, new] if len(rows) else [new]).to_csv(SEEN, index=False)
            print(kind, *beginning, missing, flush=True)


# Foretelling --------------------------------------------------------------------------------------


def conditions(kind: str) -> pd.DataFrame:
    """The conditions of a kind: means over seeds of what is seen, and the harm that ships."""
    rows = pd.read_csv(SEEN)
    groups = rows[rows.kind == kind].groupby(["deficit", "onset", "length"], sort=True)
    table = groups.mean(numeric_only=True).reset_index()
    table["seeds"] = groups.size().to_numpy()
    harms = []
    for deficit, onset, length in table[["deficit", "onset", "length"]].to_numpy().tolist():
        harms.append(quantities.harm(condition(kind, deficit, onset, length)).mean)
    table["harm"] = harms
    return table


def rank_correlation(numbers: pd.Series, harm: pd.Series) -> float:
    """Spearman's rank correlation; 0 where all numbers are equal."""
    if numbers.nunique() < 2 or harm.nunique() < 2:
        return 0.0
    return float(spearmanr(numbers, harm).statistic)


def correlations(table: pd.DataFrame) -> dict[str, float]:
    """The rank correlation of each number with harm, over the conditions of a table."""
    return {name: rank_correlation(table[name], table.harm) for name in NUMBERS}


def choose(table: pd.DataFrame) -> str:
    """The number whose rank correlation with harm is farthest from 0, of what is seen: not length
    and not age, which need no look at the network."""
    found = correlations(table)
    return max(NUMBERS[2:], key=lambda name: abs(found[name]))


class Foretold(NamedTuple):
    """A number that was chosen, its sign, and rank correlations with harm where it is tested."""

    name: str
    sign: float
    chosen: float
    length: float

    @property
    def beyond(self) -> float:
        """What the number foretells beyond the length alone."""
        return self.chosen - self.length


def foretell(table: pd.DataFrame, chosen_on: np.ndarray) -> Foretold:
    """Choose a number on some conditions, and test it on the others.

    Arguments:
        table: of conditions.
        chosen_on: a mask of those on which to choose.
    """
    name = choose(table[chosen_on])
    sign = float(np.sign(correlations(table[chosen_on])[name]))
    found = correlations(table[~chosen_on])
    return Foretold(name, sign, sign * found[name], found["length"])


def judge(kind: str) -> list[dict]:
    """The rows of foretold.csv for a kind of images.

    Every other condition, in the order of deficit, onset and length, chooses; the rest test. The
    interval is of a bootstrap over the conditions that test.
    """
    table = conditions(kind)
    rng = np.random.default_rng(0)
    chosen_on = np.arange(len(table)) % 2 == 0
    test = table[~chosen_on]
    found = foretell(table, chosen_on)
    again = []  # the same number, on conditions that test, drawn with replacement
    for _ in range(RESAMPLES):
        drawn = test.iloc[rng.integers(len(test), size=len(test))]
        chosen = found.sign * rank_correlation(drawn[found.name], drawn.harm)
        again.append(found._replace(chosen=chosen, length=correlations(drawn)["length"]))
    permuted = []
    halves = []
    for _ in range(RESAMPLES // 2):
        harm = rng.permutation(table.harm.to_numpy())
        permuted.append(foretell(table.assign(harm=harm), chosen_on).chosen)
        halves.append(foretell(table, rng.permutation(chosen_on)))
    worse = "more" if found.sign > 0 else "less"
    what = f"chosen: {found.name}, {worse} is worse"
    values: dict[str, tuple[float, list[float]]] = {
        what: (found.chosen, [one.chosen for one in again]),
        "length alone": (found.length, [one.length for one in again]),
        "chosen beyond length": (found.beyond, [one.beyond for one in again]),
        "chosen, harm permuted": (mean(permuted), permuted),
    }
    chosen_in_halves = [one.chosen for one in halves]
    beyond = [one.beyond for one in halves]
    values["chosen, random halves"] = (mean(chosen_in_halves), chosen_in_halves)
    values["chosen beyond length, random halves"] = (mean(beyond), beyond)
    for half, part in (("choosing", table[chosen_on]), ("testing", test)):
        for number, value in correlations(part).items():
            values[f"{number}, {half} half"] = (value, [value])
    rows = []
    for what, (value, spread) in values.items():
        low, high = np.quantile(spread, (0.025, 0.975))
        row = {"kind": kind, "what": what, "value": value, "low": low, "high": high}
        rows.append(row | {"conditions": len(table)})
    return rows


def transfer() -> list[dict]:
    """Rows of foretold.csv for blurs alone: the number that is chosen on all blurs of drawn digits,
    tested on those of MNIST, beside the length. The interval is of a bootstrap over conditions."""
    tables = []
    for kind in ("drawn", "mnist"):
        table = conditions(kind)
        tables.append(table[table.deficit.str.startswith("mosaic")])
    drawn, mnist = tables
    name = choose(drawn)
    sign = float(np.sign(correlations(drawn)[name]))
    rng = np.random.default_rng(0)
    again = []
    for resample in [
        mnist,
        *(mnist.sample(frac=1, replace=True, random_state=rng) for _ in range(RESAMPLES)),
    ]:
        found = correlations(resample)
        again.append(Foretold(name, sign, sign * found[name], found["length"]))
    rows = []
    worse = "more" if sign > 0 else "less"
    for what, values in {
        f"chosen on drawn digits: {name}, {worse} is worse": [one.chosen for one in again],
        "length alone": [one.length for one in again],
        "chosen beyond length": [one.beyond for one in again],
    }.items():
        low, high = np.quantile(values[1:], (0.025, 0.975))
        row = {"kind": "mnist, blurs alone", "what": what, "value": values[0], "low": low}
        rows.append(row | {"high": high, "conditions": len(mnist)})
    for number, value in correlations(mnist).items():
        row = {"kind": "mnist, blurs alone", "what": number, "value": value, "low": value}
        rows.append(row | {"high": value, "conditions": len(mnist)})
    return rows


def main(args: Sequence[str]) -> None:
    """Train and look, or write the table and print it."""
    if args[0] == "train":
        for kind in args[1:]:
            train_all(kind, range(15, 20) if kind == "photographs" else range(10))
        return
    kinds = pd.read_csv(SEEN).kind.unique()
    found = [row for kind in kinds for row in judge(kind)]
    if "mnist" in kinds:
        found += transfer()
    rows = pd.DataFrame(found).round(3)
    rows.to_csv(FORETOLD, index=False)
    print(rows.to_string(index=False))


if __name__ == "__main__":
    main(sys.argv[1:])
