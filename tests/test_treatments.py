"""Treatments: what is done to a life besides deficits, its controls, and that no other changes."""

import copy
from dataclasses import replace

import pytest
import torch
from conftest import a_run, one_line, runs, train_epoch, train_stretch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import cplab
from cplab.deficits import NONE
from cplab.engine.sweep import Context, train_all
from cplab.labs.lab09_path import linear_path
from cplab.measure import MEASUREMENTS
from cplab.results.result import without_times
from cplab.runs import Step
from cplab.treatments import renorm, shrink

CPU = torch.device("cpu")
MOMENTS = ("renorm", "shrink-0.4")
LASTING = ("rate-3", "decay-0", "decay-5", "images-0.5", "unaugmented", "held")

pytestmark = pytest.mark.usefixtures("small_mnist", "nothing_shipped")


def trained(spec, **how):
    return without_times(train_stretch(spec, len(spec.timeline), device="cpu", **how).rows)


def learner_of(spec, epochs=1):
    """A learner, its images, and batches of them, after some epochs."""
    images, learner = spec.task.images(CPU), spec.task.birth(CPU)
    for epoch in range(epochs):
        train_epoch(spec.task, epoch, Step(NONE, 0.05), learner, images)
    return learner, images


def steps(run):
    return [part for part in run.timeline if isinstance(part, Step)]


def convolutions(net):
    return [layer for layer in net.modules() if isinstance(layer, nn.Conv2d) and layer.bias is None]


# What is said -------------------------------------------------------------------------------------


@given(runs(), st.data())
def test_an_epoch_is_what_the_treatments_around_it_make_of_it(run, draw):
    first = draw.draw(st.integers(0, run.epochs - 1))
    long = draw.draw(st.integers(1, run.epochs - first))
    treated = replace(run, treatments=f"decay-0@{first}+{long} rate-2@{first}+{long}")
    for epoch, (step, usual) in enumerate(zip(steps(treated), steps(run), strict=True)):
        around = first <= epoch < first + long
        new = {"lr": 2 * usual.lr, "decay": 0} if around else {}
        assert step == usual._replace(**new)


def test_two_values_of_one_thing_at_a_time_are_refused():
    both = "decay-0@0+2 unaugmented@1 decay-0.5@0+4"
    one_line(lambda: a_run("blur", 0, 2, treatments=both), "decay-0@0+2", "decay-0.5@0+4")
    one_line(lambda: a_run("blur", 0, 2, treatments="images-0.5@0 images-1@2"), "images-1@2")
    one_after_the_other = a_run("blur", 0, 2, treatments="decay-0@0+2 decay-0.5@2+2")
    assert [step.decay for step in steps(one_after_the_other)] == [0, 0, 0.5, 0.5]
    rates = a_run(treatments="rate-2@0 rate-3@1")
    assert [step.lr for step in steps(rates)] == [
        pytest.approx(step.lr * factor) for step, factor in zip(steps(a_run()), (2, 6), strict=True)
    ]


# Controls -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "newborn", "without"),
    [
        ("shrink-0.4@5", "shrink-0.4@0", "shrink-0.4@2"),
        ("renorm@5", "", "renorm@2"),
        ("shrink-0.4@3", "", ""),
        ("held@0", "held@0", "held@0"),
        ("decay-0@1+5", "decay-0@0+1", "decay-0@1+2"),
    ],
)
def test_controls_are_treated_as_the_run_was_when_the_deficit_ended(words, newborn, without):
    run = a_run("blur", 2, 3, treatments=words)
    assert run.newborn() == a_run(treatments=newborn)
    assert run.without_window() == a_run(onset=2, treatments=without)
    assert run.equal_training() == a_run(onset=5, treatments=words)
    for control in (run.newborn(), run.without_window(), run.equal_training()):
        assert control.untreated() in (a_run(), a_run(onset=2), a_run(onset=5))


# What is done -------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["allcnn", "resnet18-4", "depth1"])
def test_renorm_restores_norms_and_changes_no_answer(model):
    spec = a_run(model=model, arithmetic="float32")
    learner, images = learner_of(spec, 2)
    before, x = copy.deepcopy(learner.net), images.normal(images.test_x)
    found = renorm(learner, spec.task, images)
    born = convolutions(spec.task.birth(CPU).net)
    assert len(born) == len(found["factors"]) > 2
    for new, first in zip(convolutions(learner.net), born, strict=True):
        assert new.weight.norm().item() == pytest.approx(first.weight.norm().item(), rel=1e-5)
    assert max(abs(factor - 1) for factor in found["factors"]) > 0.001
    assert not learner.optimizer.state
    with torch.no_grad():
        for mode in (True, False):
            one, other = learner.net.train(mode)(x), before.train(mode)(x)
            assert torch.allclose(one, other, atol=2e-3)


def test_shrink_goes_from_nothing_to_another_newborn():
    spec = a_run()
    for kept in (1.0, 0.4, 0.0):
        learner, images = learner_of(spec)
        old = {name: value.clone() for name, value in learner.net.state_dict().items()}
        other = replace(spec, seed=1000).task.birth(CPU).net.state_dict()
        shrink(learner, spec.task, images, kept)
        assert not learner.optimizer.state
        for name, new in learner.net.state_dict().items():
            if name.endswith("num_batches_tracked"):
                continue
            if kept in (0, 1):
                assert torch.equal(new, (old if kept else other)[name])
            else:
                assert torch.allclose(new, 0.4 * old[name] + 0.6 * other[name], atol=1e-6)


def test_norms_that_are_held_are_those_of_birth_after_every_epoch():
    spec = a_run(onset=2, treatments="held@0")
    born = [w.weight.norm().item() for w in convolutions(spec.task.birth(CPU).net)]
    for held in (spec, spec.untreated()):
        for row in trained(held, measures={"weight_norms": "every"}):
            norms = row["measured"]["weight_norms"]["norms"][:-1]
            assert (norms == pytest.approx(born, rel=1e-5)) is (held is spec)


@pytest.mark.parametrize(
    ("treatment", "fields"),
    [
        ("decay-0", {"weight_decay": 0}),
        ("rate-2", {"rate": 2}),
        ("unaugmented", {"augment": False}),
    ],
)
def test_what_holds_from_birth_is_what_a_run_can_say_itself(treatment, fields):
    assert trained(a_run(treatments=f"{treatment}@0")) == trained(a_run(**fields))


def test_a_fraction_of_the_images_is_the_same_one_in_every_epoch():
    fraction = 0.5
    spec = a_run(onset=1, treatments=f"images-{fraction}@0 unaugmented@0")
    images = spec.task.images(CPU)
    shown = [
        torch.cat([x for _, x in spec.task.batches(epoch, step, images)])
        for epoch, step in enumerate(spec.timeline)
    ]
    assert len(shown[0]) == round(fraction * len(images.train_y))
    sets = [{tuple(one.flatten().tolist()) for one in some} for some in shown]
    assert sets[0] == sets[1] == sets[2]
    assert not torch.equal(shown[0], shown[1])
    task = replace(spec, seed=1).task
    other = torch.cat([x for _, x in task.batches(0, spec.timeline[0], images)])
    assert sets[0] != {tuple(one.flatten().tolist()) for one in other}


# Lives --------------------------------------------------------------------------------------------

AT_THE_END = [f"{name}@2" for name in (*MOMENTS, *LASTING)]
GRID = [a_run("blur", 0, 2, treatments=words) for words in ("", *AT_THE_END, "held@0", "renorm@3")]
GRID += [run.newborn() for run in GRID[2:4]]
GRID += [a_run(kind, 0, 1, treatments="shrink-0.4@0") for kind in ("blur", "flip")]


def test_a_tree_gives_each_life_its_own_bits():
    alone = {}
    for run in GRID:
        [(_, training)] = train_all([run], Context("cpu", workers=1))
        alone[run] = without_times(training.values)
    found = train_all(GRID, Context("cpu", workers=1))
    assert {run: without_times(training.values) for run, training in found} == alone
    ends = {run: values["accuracy"] for run, values in alone.items()}
    assert len({tuple(r["train_loss"] for r in v["curve"]) for v in alone.values()}) == len(ends)


# Gauges -------------------------------------------------------------------------------------------


def test_gauges_of_a_network_that_one_can_work_out():
    """A ReLU with one dead unit, then a layer that is given features of rank 2."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 10))
    values = ([[1.0, 0], [0, 1], [0, 0], [0, 0]], [0.0, 0, -1, 0.5], 0.0, 0.0)
    for weight, value in zip(net.parameters(), values, strict=True):
        weight.data[:] = torch.tensor(value)
    images = a_run().task.images(CPU)
    x = torch.tensor([[9.0, 1], [1, 9], [9, 9], [1, 1]]).byte().repeat(100, 1)[:, None, None, :]
    y = torch.zeros(400, dtype=torch.long)
    zero, one = torch.zeros(2), torch.ones(2)
    images = replace(images, train_x=x, train_y=y, test_x=x, test_y=y, mean=zero, std=one)
    found = MEASUREMENTS["gauges"](net, images)
    assert found["loss"] == pytest.approx(torch.tensor(10.0).log().item(), rel=1e-5)
    assert found["dead"] == [0.25]
    assert found["rank"] == pytest.approx(2, rel=1e-3)  # two directions, of as large a spread
    assert found["norms"] == pytest.approx([2**0.5, 0])
    net, few = net.train(), replace(images, train_x=x[:128], train_y=y[:128])
    loss = nn.functional.cross_entropy(net(few.normal(few.train_x)), few.train_y)
    loss.backward()
    squares = sum(p.grad.square().sum().item() for p in net.parameters())
    assert MEASUREMENTS["gauges"](net, few)["gradient"] == pytest.approx(squares**0.5, rel=1e-4)


# The line between two networks --------------------------------------------------------------------


def test_a_path_leads_from_a_run_to_its_twin():
    """Its ends have the accuracy and the loss of the two runs, but for batch norm's statistics."""
    run = cplab.Run("blur", length=2, profile="ci")
    path = linear_path.compute("blur", length=2, profile="ci", points=3)
    ends = [trained(each)[-1]["test_accuracy"] for each in (run, run.equal_training())]
    assert path["accuracy"][::2] == pytest.approx(ends, abs=0.1)
    more = linear_path.compute("blur", length=2, profile="ci", points=5)
    assert more["loss"][::2] == path["loss"]
    one_line(linear_path, "length 0")
