"""Which weights are taken out of a trained network, that they stay out, and what comes after."""

import pytest
import torch
from conftest import train_epoch
from torch import nn

from cplab import data, models
from cplab.deficits import NONE
from cplab.labs import lab05b_weights as weights
from cplab.labs.lab05b_pruning import METRICS, prune_weights, pruning_steps
from cplab.labs.lab05b_weights import ranked_layers, salient_masks, weight_saliency
from cplab.runs import Run, Step

CPU = torch.device("cpu")
LIFE = {"profile": "ci", "training": 2, "retraining": 1, "recovery": 1}

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def net():
    torch.manual_seed(0)
    net = models.build("allcnn-4", channels=2, size=8, classes=3).double()
    net = net.to(memory_format=torch.contiguous_format)  # so that a flat weight is a view
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.02, 0.1)  # small enough for all layers to matter
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, 0, 0.5)
    return net.eval()


@pytest.fixture
def x():
    return torch.randn(4, 2, 8, 8, dtype=torch.float64)


def flat(tensors):
    return torch.cat([t.flatten() for t in tensors.values()])


# What is taken out --------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", METRICS[1:])
@pytest.mark.parametrize("density", [0.9, 0.5, 0.123])
def test_exactly_so_many_are_kept_and_they_are_the_most_salient(net, x, metric, density):
    scores = weight_saliency(net, x, metric)
    kept = salient_masks(scores, density)
    scores, kept = flat(scores), flat(kept)
    assert kept.dtype == torch.bool
    assert kept.sum() == round(density * len(scores))
    assert scores[kept].min() >= scores[~kept].max()


def test_fisher_saliency_is_the_weights_square_times_its_squared_gradients(net, x):
    weights = {name: layer.weight for name, layer in ranked_layers(net).items()}
    expected = {name: torch.zeros_like(w) for name, w in weights.items()}
    for image in x:
        log_p = net(image[None]).log_softmax(1)[0]
        for each in log_p:
            grads = torch.autograd.grad(each, list(weights.values()), retain_graph=True)
            for (name, w), g in zip(weights.items(), grads, strict=True):
                expected[name] += (w.square() * g.square() * each.exp() / len(x)).detach()
    found = weight_saliency(net, x, "fisher")
    assert list(found) == list(expected)
    assert torch.allclose(flat(found), flat(expected), rtol=1e-9, atol=0)


# That it stays out --------------------------------------------------------------------------------


@pytest.fixture
def learner():
    """A network after two epochs, its task and its images."""
    run = Run(profile="ci", recovery=2)
    images, state = run.task.images(CPU), run.task.birth(CPU)
    for epoch in range(2):
        train_epoch(run.task, epoch, run.timeline[epoch], state, images)
    return state, run.task, images


def weights_and_momentum(state):
    """Of all ranked layers, each in a row."""
    layers = ranked_layers(state.net).values()
    momentum = [state.optimizer.state[layer.weight]["momentum_buffer"] for layer in layers]
    both = [layer.weight.detach() for layer in layers], momentum
    return [torch.cat([each.flatten() for each in some]).clone() for some in both]


def test_what_is_taken_out_stays_0_and_so_does_its_momentum():
    seen, enforce = [], weights.enforce_masks
    with pytest.MonkeyPatch.context() as patch:

        def look(state, masks):
            enforce(state, masks)
            if masks and state.optimizer.state:
                alive = torch.cat([mask.flatten() for mask in masks.values()])
                seen.append((alive, *weights_and_momentum(state)))

        patch.setattr(weights, "enforce_masks", look)
        prune_weights.compute(**LIFE, metric="fisher", density=0.3, deficit="blur", length=1)
    assert len(seen) == 1 + 3 * 512 / 128  # when it is pruned, and after each step from then on
    for alive, *both in seen:
        for each in both:
            assert not each[~alive].any()
            assert each[alive].any()
    assert not torch.equal(seen[0][1], seen[-1][1])  # the others learn


# What comes after ---------------------------------------------------------------------------------


def test_the_unpruned_network_is_trained_as_any_other():
    """Bit for bit: as three Runs, one after another, with the optimiser that goes on."""
    found = prune_weights.compute(**LIFE, deficit="blur", length=2, seed=3)
    assert found["kept"] == found["weights"]
    images = data.images("practice", "ci")
    first = Run(onset=0, recovery=2, profile="ci", seed=3)
    learner, curve, loss = first.task.birth(CPU), [], []
    second = Run(onset=2, recovery=1, profile="ci", seed=3)
    third = Run(deficit="blur", onset=3, length=2, recovery=1, profile="ci", seed=3)
    for run, epochs in ((first, (0, 1)), (second, (2,)), (third, (3, 4, 5))):
        for epoch in epochs:
            loss.append(train_epoch(run.task, epoch, run.timeline[epoch], learner, images))
            curve.append(run.task.test(learner.net, images)["test_accuracy"])
    assert found["loss"] == loss
    assert found["curve"] == curve


def test_what_is_said_of_pruning_is_so(learner):
    """Of a few weights taken out, the second order says nearly all."""
    state, task, images = learner
    for epoch in range(2, 8):  # long enough to give answers that differ
        train_epoch(task, epoch, Step(NONE, 0.02), state, images)
    x = images.normal(images.train_x[: weights.MEASURED_IMAGES])
    scores, p = weight_saliency(state.net, x, "fisher"), state.net.eval()(x).softmax(1)
    masks = {}
    found = weights.prune(state, masks, images, "fisher", 0.7, 0)
    dead = ~flat(salient_masks(scores, 0.7))
    assert found["predicted"] == pytest.approx(flat(scores)[dead].sum().item() / 2)
    q = state.net.eval()(x).softmax(1)
    change = (p * (p / q).log()).sum(1).mean().item()
    assert found["change"] == pytest.approx(change, rel=1e-3)
    assert found["predicted"] == pytest.approx(change, rel=0.5)
    left = {name: layer.weight for name, layer in ranked_layers(state.net).items()}
    assert not flat(left)[dead].any()


def test_rates_begin_anew_after_pruning_and_are_held_during_the_deficit():
    _, *parts = pruning_steps("course", "blur", 8, 10, 20, 5)
    steps = [step for part in parts for step in part]
    falling = [[round(0.02 * (n - i) / n, 6) for i in range(n)] for n in (15, 5, 10)]
    rates = [*[0.02] * 5, *falling[0], *falling[1], *[0.02] * 8, *falling[2]]
    assert [round(step.lr, 6) for step in steps] == rates
    assert [s.deficit.name for s in steps] == ["none"] * 25 + ["blur"] * 8 + ["none"] * 10
    _, *control = pruning_steps("course", "none", 8, 10, 20, 5)
    assert [(s.lr, s.deficit.name) for part in control for s in part] == [
        (s.lr, "none") for s in steps
    ]
