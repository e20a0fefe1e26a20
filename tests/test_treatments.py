"""Treatments: what is done to a life besides deficits, its controls, and that no other changes."""

import copy
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from conftest import a_run, grown, one_line, reported, runs
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from cplab import Run, models, results
from cplab.engine import checkpoints
from cplab.engine.train import train
from cplab.models.layers import blocks
from cplab.runs.tasks import cut_out, scale_gradients
from cplab.runs.treatments import (
    TREATMENTS,
    renorm,
    reset,
    scale,
    shrink,
    soften,
    treatment,
)

CPU = torch.device("cpu")
pytestmark = pytest.mark.usefixtures("small_mnist", "nothing_shipped")


def learner_of(spec):
    """A learner after an epoch, and its images."""
    images = spec.task.images(CPU)
    learner = spec.task.birth(CPU)
    learner.optimizer.param_groups[0]["lr"] = 0.05
    for index, x in spec.task.batches(0, spec.timeline[0], images):
        spec.task.loss(learner.net(x), images.train_y[index]).backward()
        learner.optimizer.step()
    return learner, images


def convolutions(net):
    """The layers that batch norm follows."""
    return [layer for layer in net.modules() if isinstance(layer, nn.Conv2d) and layer.bias is None]


def norms(net):
    return [layer.weight.norm().item() for layer in convolutions(net)]


# Timelines ----------------------------------------------------------------------------------------


@given(runs(), st.data())
def test_a_treatment_holds_in_its_epochs_alone(run, data):
    """Of two rates the product."""
    first = data.draw(st.integers(0, run.epochs - 1))
    length = data.draw(st.integers(1, run.epochs - first))
    time = f"@{first}+{length}"
    treated = replace(run, treatments=[f"decay-0{time}", f"rate-2{time}", f"rate-3{time}"])
    for epoch, (step, usual) in enumerate(zip(treated.timeline, run.timeline, strict=True)):
        if first <= epoch < first + length:
            usual = usual._replace(lr=pytest.approx(6 * usual.lr), decay=0)
        assert step == usual


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


# What is done to a network ------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["allcnn", "resnet18-4", "depth1"])
def renormed(request, elsewhere):
    """What renorm says; the learner after it; its network before it and at birth; its images."""
    spec = a_run(model=request.param, arithmetic="float32")

    def work():
        learner, images = learner_of(spec)
        before = copy.deepcopy(learner.net)
        record = renorm(learner, spec.task, images)
        born = spec.task.birth(CPU).net
        return SimpleNamespace(
            record=record, learner=learner, before=before, born=born, images=images
        )

    return elsewhere(work)[0]


def test_renorm_restores_the_norms_of_birth_and_says_by_how_much_it_changed_each_layer(renormed):
    assert norms(renormed.learner.net) == pytest.approx(norms(renormed.born), rel=1e-5)
    factors = renormed.record["factors"]
    assert len(factors) == len(convolutions(renormed.before)) > 2
    assert max(abs(factor - 1) for factor in factors) > 0.001
    assert not renormed.learner.optimizer.state  # its memory is cleared


@pytest.mark.parametrize("training", [True, False])
@torch.no_grad()
def test_renorm_changes_no_answer(training, renormed):
    x = renormed.images.normal(renormed.images.test_x)
    answers = copy.deepcopy(renormed.learner.net).train(training)(x)
    expected = copy.deepcopy(renormed.before).train(training)(x)
    assert torch.allclose(answers, expected, atol=2e-3)


@pytest.mark.parametrize("kept", [0.4, 0.0])
def test_shrink_mixes_a_network_with_another_newborn_and_clears_the_optimizer_s_memory(kept):
    spec = a_run(model="fc-20")
    learner, images = learner_of(spec)
    before = copy.deepcopy(learner.net)
    newborn = replace(spec, seed=1000).task.birth(CPU).net
    assert learner.optimizer.state
    shrink(learner, spec.task, images, kept)
    weights = zip(learner.net.parameters(), before.parameters(), newborn.parameters(), strict=True)
    for mixed, old, new in weights:
        torch.testing.assert_close(mixed, kept * old + (1 - kept) * new)
    assert not learner.optimizer.state


def test_norms_that_are_held_are_those_of_birth_after_every_epoch():
    run = a_run(onset=2, treatments="held@0")
    born = norms(run.task.birth(CPU).net)
    [(_, measured)] = grown([run], {"weight_norms": "every"}).values()
    assert len(measured["weight_norms"]) == run.epochs
    for row in measured["weight_norms"].values():
        assert row["norms"][:-1] == pytest.approx(born, rel=1e-5)


def test_a_treatment_from_birth_is_the_same_as_fields_of_a_run():
    treated = a_run(model="fc-20", treatments="decay-0@0 rate-2@0 unaugmented@0")
    said = a_run(model="fc-20", weight_decay=0, rate=2, augment=False)
    outcomes = grown([treated, said])
    assert outcomes[treated] == outcomes[said]


def shown(run, epoch):
    """The images of an epoch in their order, each as a tuple of its pixels."""
    images = run.task.images(CPU)
    batches = run.task.batches(epoch, run.timeline[epoch], images)
    return [tuple(image.flatten().tolist()) for _, x in batches for image in x]


HALF = a_run(onset=1, treatments="images-0.5@0 unaugmented@0")


def test_a_fraction_of_the_images_is_the_same_in_every_epoch_and_another_of_another_seed():
    first = shown(HALF, 0)
    second = shown(HALF, 1)
    assert len(first) == len(HALF.task.images(CPU).train_y) // 2
    assert {*second} == {*first}
    assert second != first  # in another order
    assert {*shown(replace(HALF, seed=1), 0)} != {*first}


# Other images, blocks set back, stronger augmentation ---------------------------------------------


def drawn(run, epoch):
    """The batches of an epoch, joined in the order of the images: x (N, C, H, W), y (N,)."""
    step = run.timeline[epoch]
    task = run.task
    images = task.images(CPU, int(step.image_part))
    parts = [(index, x, images.train_y[index]) for index, x in task.batches(epoch, step, images)]
    index, x, y = (torch.cat(column) for column in zip(*parts, strict=True))
    order = index.argsort()
    return x[order], y[order]


@pytest.mark.parametrize("profile", ["ci", "tiny"])
def test_other_images_are_as_many_new_ones_normalised_and_tested_as_the_first(profile):
    fields = {"profile": profile, "dataset": "practice", "treatments": "other@1"}
    run = Run("blur", 0, 1, recovery=1, **fields)
    before = run.task.images(CPU, 1)
    after = run.task.images(CPU, 2)
    assert after.train_x.shape == before.train_x.shape
    seen = {image.numpy().tobytes() for image in before.train_x}
    assert not seen & {image.numpy().tobytes() for image in after.train_x}
    assert torch.equal(after.test_x, before.test_x)
    assert torch.equal(after.mean, before.mean)


def test_other_images_from_birth_are_a_newborn_on_them():
    run = a_run("blur", 0, 2, treatments="other@2")
    assert run.newborn() == a_run(treatments="other@0")


@pytest.mark.parametrize("side", [1, 3, 4])
def test_a_cut_out_blanks_nothing_but_a_square_of_each_image(side):
    x = torch.ones(40, 3, 8, 8)
    centre = torch.randint(8, (2, 40), generator=torch.Generator().manual_seed(1))
    cut = cut_out(x, centre, side)
    for image, (row, column) in zip(cut, centre.T.tolist(), strict=True):
        top = row - side // 2
        left = column - side // 2
        expected = torch.ones(3, 8, 8)
        expected[:, max(0, top) : top + side, max(0, left) : left + side] = 0
        assert torch.equal(image, expected)


def test_a_cut_out_changes_no_other_draw():
    plain = a_run()
    treated = a_run(treatments="cutout-4@0")
    x, y = drawn(plain, 0)
    cut, same = drawn(treated, 0)
    assert torch.equal(y, same)
    kept = cut != 0
    assert torch.equal(cut[kept], x[kept])
    assert 0.5 < kept.float().mean() < 0.99


def brightness(x):
    """Of each image, which mirroring leaves."""
    return x.sum((1, 2, 3)).round()


def test_a_shift_of_0_leaves_each_image_in_its_place():
    x, _ = drawn(a_run(treatments="shift-0@0"), 0)
    unaugmented, _ = drawn(a_run(augment=False), 0)
    assert torch.equal(brightness(x), brightness(unaugmented))


@pytest.mark.parametrize("model", ["mlp2-8", "depth3-4", "resnet18-2"])
def test_blocks_hold_each_layer_with_weights_once(model):
    net = models.build(model, 3, 16, 10)
    together = [layer for block in blocks(net) for layer in block]
    weighted = [layer for layer in net.modules() if [*layer.parameters(recurse=False)]]
    assert len(blocks(net)) >= 3
    assert len(together) == len(weighted)
    for layer, expected in zip(together, weighted, strict=True):
        assert layer is expected


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_block_set_back_is_as_at_birth_without_momentum_but_all_others_are_as_they_were(number):
    run = a_run(model="depth3-4")
    learner, images = learner_of(run)
    before = copy.deepcopy(learner.net.state_dict())
    born = run.task.birth(CPU).net.state_dict()
    reset(learner, run.task, images, number)
    block = blocks(learner.net)[number - 1]
    for name, layer in learner.net.named_modules():
        expected = born if any(layer is member for member in block) else before
        for key, value in layer.state_dict().items():
            if "." not in key:  # a layer's own
                assert torch.equal(value, expected[f"{name}.{key}"])
    inside = {weight for layer in block for weight in layer.parameters(recurse=False)}
    for weight, memory in learner.optimizer.state.items():
        still = bool((memory["momentum_buffer"] == 0).all())
        assert still == (weight in inside)


def test_scaling_multiplies_all_weights():
    run = a_run(model="mlp2-8")
    learner, images = learner_of(run)
    before = [weight.detach().clone() for weight in learner.net.parameters()]
    scale(learner, run.task, images, 0.4)
    for weight, old in zip(learner.net.parameters(), before, strict=True):
        torch.testing.assert_close(weight.detach(), 0.4 * old)


def test_softening_keeps_every_answer_and_scales_all_logits():
    run = a_run(model="mlp2-8")
    learner, images = learner_of(run)
    x = images.normal(images.test_x)
    before = learner.net(x).detach()
    soften(learner, run.task, images, 0.25)
    after = learner.net(x)
    torch.testing.assert_close(after, 0.25 * before)
    assert torch.equal(after.argmax(1), before.argmax(1))


def all_weights(net):
    return torch.cat([weight.detach().flatten() for weight in net.parameters()])


def gradients_of(net, x, y):
    nn.functional.cross_entropy(net(x), y).backward()
    return torch.cat([weight.grad.flatten() for weight in net.parameters()])


@pytest.mark.parametrize("model", ["mlp2-8", "depth1-4"])
def test_a_gradient_keeps_its_direction_and_gets_its_norm(model):
    run = a_run(model=model)
    net = run.task.birth(CPU).net
    images = run.task.images(CPU)
    gradient = gradients_of(net, images.normal(images.train_x), images.train_y)
    scale_gradients(net.parameters(), 2)
    scaled = torch.cat([weight.grad.flatten() for weight in net.parameters()])
    torch.testing.assert_close(scaled, 2 * gradient / gradient.norm())


def test_a_stack_scales_the_gradient_of_each_network_by_itself():
    weights = [torch.zeros(3, 4, 2), torch.zeros(3, 5)]
    for number, weight in enumerate(weights):
        weight.grad = torch.randn(weight.shape, generator=torch.Generator().manual_seed(number))
    weights[0].grad[1] = weights[1].grad[1] = 0  # a network without an error
    scale_gradients(weights, 2, networks=3)
    rows = [torch.cat([weight.grad[row].flatten() for weight in weights]) for row in range(3)]
    assert [row.norm().item() for row in rows] == pytest.approx([2, 0, 2])


@pytest.mark.parametrize(("profile", "seeds"), [("ci", [0]), ("tiny", [0, 1])])
def test_a_step_of_a_scaled_gradient_is_as_long_as_the_rate_says(profile, seeds):
    """One batch of all images: a network's weights move by rate · norm, alone and in a stack."""
    fields = {"dataset": "practice", "momentum": 0, "weight_decay": 0, "batch": 512}
    fields |= {"profile": profile, "recovery": 1, "treatments": "gradient-3@0"}
    runs = [Run(seed=seed, **fields) for seed in seeds]
    for run, stretch in zip(runs, train(runs, 1, device="cpu"), strict=True):
        grown_up = checkpoints.loads(stretch.content, run.task, CPU, stretch.provenance)
        assert (
            all_weights(grown_up.net) - all_weights(run.task.birth(CPU).net)
        ).norm().item() == pytest.approx(3 * run.lr(0), rel=1e-3)


@pytest.mark.parametrize("profile", ["ci", "tiny"])
def test_a_temperature_divides_the_logits_of_the_loss_that_is_trained_alone(profile):
    """One batch of all images, alone and in a stack, beside plain torch."""
    fields = {"dataset": "practice", "momentum": 0, "weight_decay": 0, "batch": 512}
    fields |= {"profile": profile, "recovery": 1, "arithmetic": "float32"}
    runs = [Run(seed=seed, treatments="temper-5@0", **fields) for seed in (0, 1)]
    for run, stretch in zip(runs, train(runs, 1, device="cpu"), strict=True):
        images = run.task.images(CPU)
        net = run.task.birth(CPU).net
        [(index, x)] = run.task.batches(0, run.timeline[0], images)
        logits = net(x)
        y = images.train_y[index]
        usual = nn.functional.cross_entropy(logits, y)
        (5 * nn.functional.cross_entropy(logits / 5, y)).backward()
        torch.optim.SGD(net.parameters(), run.lr(0)).step()
        grown_up = checkpoints.loads(stretch.content, run.task, CPU, stretch.provenance)
        torch.testing.assert_close(all_weights(grown_up.net), all_weights(net))
        assert stretch.rows[0]["train_loss"] == pytest.approx(usual.item(), rel=1e-5)


# Of one's own -------------------------------------------------------------------------------------


@treatment
def even(net, loss, optimizer):
    gradients = [weight.grad for weight in net.parameters()]
    squares = [gradient.reshape(1, -1).square().sum(1) for gradient in gradients]
    for gradient in gradients:
        gradient *= 2 / torch.stack(squares).sum(0).sqrt()


@treatment
def halve(net, optimizer):
    for weight in net.parameters():
        weight.data /= 2
    optimizer.state.clear()


@treatment
def jolt(net, loss, optimizer):
    for weight in net.parameters():
        weight.grad += 0.01 * loss * torch.randn(weight.shape)


@pytest.mark.parametrize(
    ("own", "usual"),
    [("even@0+1", "gradient-2@0+1"), ("halve@2", "scale-0.5@2")],
)
def test_a_treatment_of_one_s_own_has_the_bits_of_the_package_s_that_does_the_same(own, usual):
    runs = [a_run("blur", 0, 2, treatments=words) for words in (own, usual)]
    ours, package_s = grown(runs).values()
    assert ours == package_s


def test_a_treatment_of_one_s_own_is_given_by_its_function_or_its_name():
    assert a_run(treatments=[(halve, 1)]) == a_run(treatments="halve@1")
    assert a_run(treatments=[(even, 0, 1)]) == a_run(treatments="even@0+1")
    assert (
        a_run(treatments=[(even, 1)]).timeline[1].own
        == a_run(treatments="even@1+1").timeline[1].own
    )


def test_seeds_have_equal_bits_whatever_treatment_of_one_s_own_draws_beside_them():
    fields = {"profile": "tiny", "dataset": "practice", "images": 60, "recovery": 3}
    seeds = [Run(seed=seed, treatments="jolt@1", **fields) for seed in range(3)]
    usual = [run.replace(treatments=()) for run in seeds]
    together = grown(seeds + usual)
    assert grown([seeds[1]])[seeds[1]] == together[seeds[1]] != together[usual[1]]


def test_a_fault_in_a_treatment_of_one_s_own_is_found_before_anything_is_trained():
    def fails(net, optimizer):
        raise ValueError("no such layer")

    rows = []
    run = a_run(treatments=[(fails, 1)])
    line = one_line(lambda: reported(run, lambda *row: rows.append(row)), "no such layer")
    assert "raise ValueError" in line.student_lines[-1]
    assert rows == []


def test_a_run_with_a_treatment_that_is_not_defined_here_can_be_read_but_not_trained():
    for words in ("gone@0123abcd@1", "gone@0123abcd@1+1"):
        run = a_run(treatments=words)
        assert run.replace(treatments=run.treatments) == run
        assert [part.words for part in run.treatments] == [words]
        one_line(lambda run=run: results.run(run), "gone@0123abcd is not defined here")


@pytest.mark.parametrize("words", ["reset-1.5@1", "reset-0@1", "shift-0.5@1", "cutout-99@1"])
def test_strengths_that_are_not_allowed_are_refused(words):
    one_line(lambda: a_run("blur", 0, 1, treatments=words), "strength")


def test_a_run_that_its_network_does_not_allow_is_refused_before_its_first_epoch():
    run = a_run(model="mlp2-8", treatments="reset-4@1")
    rows = []
    one_line(lambda: reported(run, lambda *row: rows.append(row)), "block 4", "1 to 3")
    assert rows == []


# Every kind of treatment --------------------------------------------------------------------------

STRENGTHS = {
    "shrink": 0.4,
    "scale": 0.5,
    "soften": 0.25,
    "reset": 1,
    "rate": 3,
    "decay": 0,
    "gradient": 2,
    "temper": 10,
    "images": 0.5,
    "shift": 3,
    "cutout": 3,
}
WORDS = {
    name: f"{name}-{STRENGTHS[name]}@1" if kind.has_strength else f"{name}@1"
    for name, kind in TREATMENTS.items()
}


@pytest.fixture(scope="module")
def losses(elsewhere):
    """The loss of each epoch of a run, and of runs that are treated from its second epoch on."""
    usual = Run(recovery=3, profile="ci", dataset="practice", model="depth1-4")
    runs = {name: usual.replace(treatments=words) for name, words in WORDS.items()}
    runs["usual"] = usual
    outcomes = elsewhere(lambda: grown(runs.values()))[0]
    curves = {name: outcomes[run][0]["curve"] for name, run in runs.items()}
    return {name: [row["train_loss"] for row in curve] for name, curve in curves.items()}


@pytest.mark.parametrize("name", TREATMENTS)
def test_a_treatment_changes_a_run_from_its_epoch_on(name, losses):
    assert losses[name][0] == losses["usual"][0]
    assert losses[name][1] != losses["usual"][1]


@pytest.mark.parametrize("name", [n for n, kind in TREATMENTS.items() if kind.nothing is not None])
def test_a_treatment_of_a_strength_that_does_nothing_is_none(name):
    kind = TREATMENTS[name]
    run = a_run(model="depth1-4", treatments=f"{name}-{kind.nothing:g}@1")
    assert run == a_run(model="depth1-4")
    if kind.event:
        learner, images = learner_of(run)
        before = all_weights(learner.net)
        kind.event(learner, run.task, images, kind.nothing)
        assert torch.equal(all_weights(learner.net), before)


def test_a_treatment_s_function_does_nothing_at_the_strength_that_is_none():
    images = torch.randn(2, 1, 10, 10, generator=torch.Generator().manual_seed(1))
    centre = torch.ones(2, 2).long()
    assert torch.equal(cut_out(images, centre, TREATMENTS["cutout"].nothing), images)


def test_a_seed_gives_the_same_bits_alone_as_in_a_stack_whatever_its_treatment():
    fields = {"recovery": 2, "profile": "tiny", "dataset": "mnist", "images": 20}
    stacks = {
        name: [Run("mosaic", 0, 1, treatments=words, seed=seed, **fields) for seed in (0, 1, 2)]
        for name, words in WORDS.items()
    }
    together = grown([run for stack in stacks.values() for run in stack])
    wrong = []
    for name, (_, alone, _) in stacks.items():
        if grown([alone])[alone] != together[alone]:
            wrong.append(name)
    assert not wrong
