"""Treatments: what is done to a life besides deficits, its controls, and that no other changes."""

import copy
from dataclasses import replace

import pytest
import torch
from conftest import a_run, grown, random_images, runs
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from cplab.measure import MEASUREMENTS
from cplab.treatments import renorm, shrink

CPU = torch.device("cpu")
pytestmark = pytest.mark.usefixtures("small_mnist", "nothing_shipped")


def learner_of(spec):
    """A learner after an epoch, and its images."""
    images, learner = spec.task.images(CPU), spec.task.birth(CPU)
    learner.optimizer.param_groups[0]["lr"] = 0.05
    for index, x in spec.task.batches(0, spec.timeline[0], images):
        spec.task.loss(learner.net(x), images.train_y[index]).backward()
        learner.optimizer.step()
    return learner, images


def convolutions(net):
    return [layer for layer in net.modules() if isinstance(layer, nn.Conv2d) and layer.bias is None]


@given(runs(), st.data())
def test_an_epoch_is_what_the_treatments_around_it_make_of_it(run, draw):
    first = draw.draw(st.integers(0, run.epochs - 1))
    long = draw.draw(st.integers(1, run.epochs - first))
    words = ("decay-0", "rate-2", "rate-3")  # rates are multiplied
    treated = replace(run, treatments=[f"{word}@{first}+{long}" for word in words])
    for epoch, (step, usual) in enumerate(zip(treated.timeline, run.timeline, strict=True)):
        around = first <= epoch < first + long
        new = {"lr": pytest.approx(6 * usual.lr), "decay": 0} if around else {}
        assert step == usual._replace(**new)


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


@pytest.mark.parametrize("model", ["allcnn", "resnet18-4", "depth1"])
def test_renorm_restores_norms_and_changes_no_answer(model):
    spec = a_run(model=model, arithmetic="float32")
    learner, images = learner_of(spec)
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


@pytest.mark.parametrize("kept", [0.4, 0.0])
def test_shrink_mixes_a_network_with_another_newborn(kept):
    spec = a_run(model="fc-20")
    learner, images = learner_of(spec)
    old, other = copy.deepcopy(learner.net), replace(spec, seed=1000).task.birth(CPU).net
    shrink(learner, spec.task, images, kept)
    assert not learner.optimizer.state
    for new, *both in zip(*(net.parameters() for net in (learner.net, old, other)), strict=True):
        torch.testing.assert_close(new, kept * both[0] + (1 - kept) * both[1])


def test_norms_that_are_held_are_those_of_birth_after_every_epoch():
    spec = a_run(onset=2, treatments="held@0")
    born = [w.weight.norm().item() for w in convolutions(spec.task.birth(CPU).net)]
    specs = spec, spec.replace(treatments=())
    for run, (_, measured) in grown(specs, {"weight_norms": "every"}).items():
        for row in measured["weight_norms"].values():
            assert (row["norms"][:-1] == pytest.approx(born, rel=1e-5)) is (run == spec)


def test_what_holds_from_birth_is_what_a_run_can_say_itself():
    treated = a_run(model="fc-20", treatments="decay-0@0 rate-2@0 unaugmented@0")
    said = a_run(model="fc-20", weight_decay=0, rate=2, augment=False)
    plain = a_run(model="fc-20")
    found = grown([treated, said, plain])
    assert found[treated] == found[said] != found[plain]


def test_a_fraction_of_the_images_is_the_same_one_in_every_epoch():
    spec = a_run(onset=1, treatments="images-0.5@0 unaugmented@0")
    images = spec.task.images(CPU)

    def shown(run, epoch):
        x = torch.cat([x for _, x in run.task.batches(epoch, run.timeline[epoch], images)])
        return [tuple(one.flatten().tolist()) for one in x]

    first, second = shown(spec, 0), shown(spec, 1)
    assert len(first) == len(images.train_y) // 2
    assert first != second
    assert {*first} == {*second} != {*shown(replace(spec, seed=1), 0)}


def test_gauges_of_a_network_that_one_can_work_out():
    """A ReLU with one dead unit, then a layer that is given features of rank 2."""
    images = random_images(128, size=1)
    net = nn.Sequential(nn.Flatten(), nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 10))
    values = ([[1.0, 0, 0], [0, 1, 0], [0, 0, 0], [0, 0, 0]], [0.0, 0, -1, 0.5], 0.0, 0.0)
    for weight, value in zip(net.parameters(), values, strict=True):
        weight.data[:] = torch.tensor(value)
    found = MEASUREMENTS["gauges"](net, images)
    assert found["dead"] == [0.25]
    assert found["rank"] == pytest.approx(2, rel=0.01)  # two directions, of about one spread
    assert found["norms"] == pytest.approx([2**0.5, 0])
    loss = nn.functional.cross_entropy(net(images.normal(images.train_x)), images.train_y)
    assert found["loss"] == pytest.approx(loss.item())
    loss.backward()
    norm = nn.utils.clip_grad_norm_(net.parameters(), 1)  # before it is clipped
    assert found["gradient"] == pytest.approx(norm.item(), rel=1e-4)
