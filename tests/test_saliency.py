"""Which weights are taken out of a trained network, that they stay out, and what comes after."""

import pytest
import torch
from conftest import train_epoch, trained_together
from torch import nn

from cplab import data, models
from cplab.deficits import NONE, find_deficit
from cplab.measure import fisher
from cplab.runs import Event, Run, Step
from cplab.studies.pruning import saliency
from cplab.studies.pruning.convnets import METRICS, Pruned
from cplab.studies.pruning.saliency import ranked_layers, salient_masks, weight_saliency

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


def test_random_choice_depends_on_its_seed_alone_and_is_even(net, x):
    first = weight_saliency(net, x, "random", 1)
    torch.manual_seed(9)
    assert torch.equal(flat(first), flat(weight_saliency(net, x, "random", 1)))
    assert not torch.equal(flat(first), flat(weight_saliency(net, x, "random", 2)))
    large = models.build("allcnn-16")
    for mask in salient_masks(weight_saliency(large, x, "random"), 0.2).values():
        assert abs(mask.double().mean() - 0.2) < 4 * (0.16 / mask.numel()) ** 0.5


# That it stays out --------------------------------------------------------------------------------


@pytest.fixture
def learner():
    """A learner of two epochs, with its images and the spec whose life it leads."""
    spec = Pruned(**LIFE)
    images, found = spec.task.images(CPU), spec.task.birth(CPU)
    for epoch in range(2):
        train_epoch(spec.task, epoch, spec.timeline[epoch], found, images)
    return found, spec, images


def weights_and_momentum(learner):
    """Of all ranked layers, each in a row."""
    layers = ranked_layers(learner.net).values()
    state = [learner.optimizer.state[layer.weight]["momentum_buffer"] for layer in layers]
    both = [layer.weight.detach() for layer in layers], state
    return [torch.cat([each.flatten() for each in some]).clone() for some in both]


def test_what_is_taken_out_stays_0_after_every_step_and_so_does_its_momentum(learner, monkeypatch):
    learner, spec, images = learner
    spec.task.prune_weights(learner, images, "fisher", 0.3, 0)
    alive = torch.cat([mask.flatten() for mask in learner.extra.values()])
    seen, enforce = [weights_and_momentum(learner)], saliency.enforce_masks

    def look(learner):
        enforce(learner)
        seen.append(weights_and_momentum(learner))

    monkeypatch.setattr(saliency, "enforce_masks", look)
    train_epoch(spec.task, 2, Step(find_deficit("blur"), 0.02), learner, images)
    assert len(seen) == 1 + 512 / 128
    for each in (each for pair in seen for each in pair):
        assert not each[~alive].any()
        assert each[alive].all()
    assert not torch.equal(seen[0][0], seen[-1][0])  # the others learn


# What comes after ---------------------------------------------------------------------------------


def test_the_unpruned_network_is_trained_as_any_other():
    """Bit for bit: as three Runs, one after another, with the optimiser that goes on."""
    spec = Pruned(deficit="blur", length=2, seed=3, **LIFE)
    (found,) = trained_together(spec)
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


def test_what_an_event_says_of_pruning_is_so(learner):
    """Of a few weights taken out, the second order says nearly all."""
    learner, spec, images = learner
    for epoch in range(2, 8):  # long enough to give answers that differ
        train_epoch(spec.task, epoch, Step(NONE, 0.02), learner, images)
    x = images.normal(images.train_x[: saliency.MEASURED_IMAGES])
    scores, p = weight_saliency(learner.net, x, "fisher"), learner.net.eval()(x).softmax(1)
    found = spec.task.prune_weights(learner, images, "fisher", 0.7, 0)
    dead = ~flat(salient_masks(scores, 0.7))
    assert found["predicted"] == pytest.approx(flat(scores)[dead].sum().item() / 2)
    q = learner.net.eval()(x).softmax(1)
    change = (p * (p / q).log()).sum(1).mean().item()
    assert found["change"] == pytest.approx(change, rel=1e-3)
    assert found["predicted"] == pytest.approx(change, rel=0.5)
    weights = {name: layer.weight for name, layer in ranked_layers(learner.net).items()}
    assert not flat(weights)[dead].any()
    curvature = fisher.diagonal(learner.net, x)
    alive = sum(curvature[name][w != 0].sum().item() for name, w in weights.items())
    assert sum(spec.task.inspect(learner, images, "")["trace"]) == pytest.approx(alive)
    assert alive < sum(fisher.trace(learner.net, x).layers[name] for name in weights)


def test_rates_begin_anew_after_pruning_and_are_held_during_the_deficit():
    spec = Pruned("course", "fisher", 0.2, deficit="blur", length=8)
    steps = [part for part in spec.timeline if isinstance(part, Step)]
    falling = [[round(0.02 * (n - i) / n, 6) for i in range(n)] for n in (15, 5, 10)]
    rates = [*[0.02] * 5, *falling[0], *falling[1], *[0.02] * 8, *falling[2]]
    assert [round(step.lr, 6) for step in steps] == rates
    assert [s.deficit.name for s in steps] == ["none"] * 25 + ["blur"] * 8 + ["none"] * 10
    events = [part.name for part in spec.timeline if isinstance(part, Event)]
    assert events == ["inspect", "prune_weights", *["inspect"] * 3]
    control = [s for s in Pruned("course", "fisher", 0.2, length=8).timeline if isinstance(s, Step)]
    assert [(s.lr, s.deficit.name) for s in control] == [(s.lr, "none") for s in steps]


def test_statistics_are_measured_again_where_that_is_asked_for(learner):
    """Those that batch norm then has are the mean and the variance of its inputs, over the images
    of an epoch, of the network without the weights."""
    learner, spec, images = learner
    spec.task.prune_weights(learner, images, "magnitude", 0.3, 0, True)
    net = learner.net.eval()
    batches = spec.task.batches(spec.training, Step(NONE, 0.0), images)
    with torch.no_grad():
        inputs = [net[0](x) for _, x in batches]
    means = torch.stack([each.mean((0, 2, 3)) for each in inputs]).mean(0)
    variances = torch.stack([each.var((0, 2, 3)) for each in inputs]).mean(0)
    torch.testing.assert_close(net[1].running_mean, means, rtol=2e-2, atol=2e-2)  # bfloat16
    torch.testing.assert_close(net[1].running_var, variances, rtol=2e-2, atol=2e-2)
    [whole] = trained_together(Pruned(recalibrated=True, **LIFE))
    assert whole["predicted"] == 0 < whole["change"]  # what new statistics alone do
