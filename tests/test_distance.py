"""How far weights travel, beside plain torch; which networks say so; and what compares results."""

import math

import pytest
import torch
import torch.nn.functional as F
from conftest import train_stretch
from torch import nn

from cplab import Run, results
from cplab.base import devices
from cplab.engine.train import train
from cplab.results.result import outcome
from cplab.results.rows import flatten, unflatten
from cplab.runs import DISTANCES

CPU = torch.device("cpu")


def plain_distances(run):
    """The distances of each epoch by a plain loop, with torch's own optimiser, in float64."""
    task = run.task
    images = task.images(CPU)
    net = task.birth(CPU).net
    settings = run.settings
    optimizer = torch.optim.SGD(
        net.parameters(), 0.1, momentum=settings.momentum, weight_decay=settings.weight_decay
    )
    layers = [part for part in net.modules() if isinstance(part, nn.Conv2d | nn.Linear)]

    def weights():
        return [layer.weight.detach().double().clone() for layer in layers]

    def displaced(now, origin):
        return median([(a - b).norm() / b.norm() for a, b in zip(now, origin, strict=True)])

    birth = weights()
    rows = []
    for epoch, step in enumerate(run.timeline):
        optimizer.param_groups[0]["lr"] = step.lr
        path = torch.zeros(len(layers), dtype=torch.float64)
        plain = 0.0
        net.train()
        for index, x in task.batches(epoch, step, images):
            x, y = step.deficit(x, images.train_y[index], task.describe_batch(index, epoch, images))
            optimizer.zero_grad()
            with devices.autocast(CPU, run.arithmetic):
                loss = F.cross_entropy(net(x), y)
            loss.backward()
            before = weights()
            optimizer.step()
            steps = [a - b for a, b in zip(weights(), before, strict=True)]
            path += torch.stack(
                [a.norm() / b.norm() for a, b in zip(steps, weights(), strict=True)]
            )
            plain += torch.cat([step.flatten() for step in steps]).norm().item()
        now = weights()
        row = {"path": median(path), "path_plain": plain, "from_birth": displaced(now, birth)}
        if run.phase(epoch) == "deficit":
            end = now
        if run.phase(epoch) != "clear":
            row["from_deficit"] = displaced(now, end)
        rows.append(row)
    return rows


def median(numbers):
    """Of an even count the mean of the middle two."""
    ordered = sorted(float(number) for number in numbers)
    middle = len(ordered) // 2
    return (ordered[middle] + ordered[-middle - 1]) / 2


def distances(rows):
    return [{name: row[name] for name in DISTANCES if name in row} for row in rows]


@pytest.mark.parametrize(
    "run",
    [
        Run("blur", 1, 2, 2, profile="ci", arithmetic="float32"),
        Run("flip", 1, 1, 2, profile="tiny", images=50),
    ],
)
def test_each_epoch_says_how_far_the_layers_have_travelled(run):
    rows = train_stretch(run, run.epochs).rows
    for row, expected in zip(distances(rows), plain_distances(run), strict=True):
        assert row == pytest.approx(expected, rel=6e-3, abs=1e-9)


def test_networks_in_a_stack_say_what_each_says_alone():
    runs = [Run("mosaic", 0, 2, 1, profile="tiny", images=50, seed=seed) for seed in range(3)]
    for run, stretch in zip(runs, train(runs, 3, device="cpu"), strict=True):
        alone = distances(train_stretch(run, 3).rows)
        for row, expected in zip(distances(stretch.rows), alone, strict=True):
            assert row == pytest.approx(expected, rel=6e-3)


def test_a_distance_since_the_deficit_goes_on_from_a_checkpoint():
    run = Run("blur", 0, 1, 2, profile="ci")
    whole = train_stretch(run, 3)
    begun = train_stretch(run, 2)
    continued = train_stretch(run, 3, [begun.content])
    assert distances(continued.rows) == distances(whole.rows)


@pytest.mark.usefixtures("nothing_shipped")
def test_a_result_keeps_distances_and_is_the_same_without_them():
    run = Run("blur", 0, 1, 1, profile="ci")
    result = results.run(run, device="cpu")
    assert unflatten(flatten(result)).curve == result.curve
    assert result.series("path").tolist() == [row["path"] for row in result.curve]
    columns = flatten(result) | {f"curve.{name}": None for name in DISTANCES}
    earlier = unflatten(columns)  # of a version that did not add them up
    assert outcome(earlier) == outcome(result)
    assert all(math.isnan(number) for number in earlier.series("path"))
