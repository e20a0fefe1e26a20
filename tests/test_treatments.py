"""Treatments: what is done to a life besides deficits, its controls, and that no other changes."""

import copy
from dataclasses import replace

import pytest
import torch
from conftest import a_run, grown, one_line, random_images, runs
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from cplab import Run, models
from cplab.measure import MEASUREMENTS
from cplab.models.layers import blocks
from cplab.runs.tasks import cut_out
from cplab.treatments import renorm, reset, scale, shrink

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


# Other images, blocks set back, stronger augmentation ---------------------------------------------


def drawn(run, epoch):
    """The batches of an epoch, joined in the order of the images: x (N, C, H, W), y (N,)."""
    step, task = run.timeline[epoch], run.task
    images = task.images(CPU, int(step.part))
    parts = [(index, x, images.train_y[index]) for index, x in task.batches(epoch, step, images)]
    index, x, y = (torch.cat(column) for column in zip(*parts, strict=True))
    order = index.argsort()
    return x[order], y[order]


@pytest.mark.parametrize("profile", ["ci", "tiny"])
def test_other_images_are_as_many_and_none_of_those_seen_before(profile):
    run = Run("blur", 0, 1, recovery=1, profile=profile, dataset="practice", treatments="other@1")
    before = run.task.images(CPU, 1)
    after = run.task.images(CPU, 2)
    assert after.train_x.shape == before.train_x.shape
    seen = {image.numpy().tobytes() for image in before.train_x}
    assert not [image for image in after.train_x if image.numpy().tobytes() in seen]
    assert torch.equal(after.test_x, before.test_x)
    assert torch.equal(after.mean, before.mean)


@pytest.mark.parametrize("profile", ["ci", "tiny"])
def test_a_run_sees_other_images_from_the_epoch_of_the_treatment_on(profile):
    run = Run(recovery=3, profile=profile, dataset="practice", treatments="other@1", images=None)
    parts = [step.part for step in run.timeline]
    assert parts == [1, 2, 2]
    plain = run.replace(treatments=())
    curves = [grown([r])[r][0]["curve"] for r in (run, plain)]
    assert curves[0][0]["train_loss"] == curves[1][0]["train_loss"]
    assert curves[0][1]["train_loss"] != curves[1][1]["train_loss"]


def test_other_images_from_birth_are_a_newborn_on_them():
    run = a_run("blur", 0, 2, treatments="other@2")
    assert run.newborn() == a_run(treatments="other@0")


@pytest.mark.parametrize("side", [1, 3, 4])
def test_a_cut_out_blanks_a_square_of_each_image_and_nothing_else(side):
    x = torch.ones(40, 3, 8, 8)
    centre = torch.randint(8, (2, 40), generator=torch.Generator().manual_seed(1))
    cut = cut_out(x, centre, side)
    for image, (row, column) in zip(cut, centre.T.tolist(), strict=True):
        top, left = row - side // 2, column - side // 2
        expected = torch.ones(3, 8, 8)
        expected[:, max(0, top) : top + side, max(0, left) : left + side] = 0
        assert torch.equal(image, expected)


def test_a_cut_out_changes_no_other_draw():
    plain, treated = a_run(), a_run(treatments="cutout-4@0")
    x, y = drawn(plain, 0)
    cut, same = drawn(treated, 0)
    assert torch.equal(y, same)
    kept = cut != 0
    assert torch.equal(cut[kept], x[kept])
    assert 0.5 < kept.float().mean() < 0.99


def test_a_shift_of_its_own_takes_the_place_of_the_profiles():
    assert torch.equal(drawn(a_run(treatments="shift-0@0"), 0)[0].flip(3).sum((1, 2, 3)).round(),
                       drawn(a_run(augment=False), 0)[0].sum((1, 2, 3)).round())  # fmt: skip
    assert not torch.equal(drawn(a_run(treatments="shift-3@0"), 0)[0], drawn(a_run(), 0)[0])


@pytest.mark.parametrize("model", ["mlp2-8", "depth3-4", "resnet18-2"])
def test_blocks_hold_each_layer_with_weights_once(model):
    net = models.build(model, 3, 16, 10)
    together = [layer for block in blocks(net) for layer in block]
    assert len(blocks(net)) >= 3
    assert [*map(id, together)] == [id(m) for m in net.modules() if [*m.parameters(recurse=False)]]


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_block_set_back_is_as_at_birth_and_all_others_as_they_were(number):
    run = a_run(model="depth3-4")
    learner, images = learner_of(run)
    before = copy.deepcopy(learner.net.state_dict())
    born = run.task.birth(CPU).net.state_dict()
    reset(learner, run.task, images, number)
    layers = {id(layer) for layer in blocks(learner.net)[number - 1]}
    for name, module in learner.net.named_modules():
        expected = born if id(module) in layers else before
        for key, value in module.state_dict().items():
            if "." not in key:  # a layer's own
                assert torch.equal(value, expected[f"{name}.{key}"])
    for weight, memory in learner.optimizer.state.items():
        inside = any(weight is w for b in [blocks(learner.net)[number - 1]] for m in b
                     for w in m.parameters(recurse=False))  # fmt: skip
        assert (memory["momentum_buffer"].abs().sum() == 0) == inside


def test_scaling_multiplies_all_weights():
    run = a_run(model="mlp2-8")
    learner, images = learner_of(run)
    before = [weight.detach().clone() for weight in learner.net.parameters()]
    scale(learner, run.task, images, 0.4)
    for weight, old in zip(learner.net.parameters(), before, strict=True):
        torch.testing.assert_close(weight.detach(), 0.4 * old)


@pytest.mark.parametrize("words", ["reset-1.5@1", "reset-0@1", "shift-0.5@1", "cutout-99@1"])
def test_strengths_that_are_not_allowed_are_refused(words):
    one_line(lambda: a_run("blur", 0, 1, treatments=words), "strength")


def test_a_block_that_is_not_there_is_refused():
    one_line(lambda: grown([a_run(model="mlp2-8", treatments="reset-4@1")]), "block 4", "1 to 3")


@pytest.mark.parametrize(
    "words", ["other@1", "reset-2@1", "scale-0.5@1", "shift-1@1", "cutout-3@1"]
)
def test_a_seed_gives_the_same_bits_alone_and_in_a_stack(words):
    runs = [Run("mosaic", 0, 1, recovery=2, profile="tiny", dataset="practice", images=20, seed=s,
                treatments=words) for s in (0, 1, 2)]  # fmt: skip
    together = grown(runs)
    assert all(together[run] == grown([run])[run] for run in runs)
