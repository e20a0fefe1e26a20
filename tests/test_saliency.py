"""Which weights are taken out of a trained network, that they stay out, and what comes after."""

import threading

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cplab import data, fisher, models, saliency, studies, train
from cplab.experiment import CplabError, Run
from cplab.saliency import Pruned, held, masks, ranked

CPU = torch.device("cpu")
LIFE = {"profile": "ci", "training": 2, "retraining": 1, "recovery": 1}

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def net():
    torch.manual_seed(0)
    net = models.AllCNN(4, channels=2, classes=3).double()
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


def values(*specs, **how):
    """What each of these lives comes to."""
    found = dict(saliency.compute(list(specs), "cpu", **how))
    return [found[spec] for spec in specs]


def flat(tensors):
    return torch.cat([t.flatten() for t in tensors.values()])


# What is taken out --------------------------------------------------------------------------------


def test_all_layers_are_ranked_but_the_last():
    for model, count in (("allcnn-4", 8), ("fc-20", 5), ("depth2-4", 7)):
        net = models.build(model, size=8)
        layers = [m for m in net.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
        assert list(ranked(net).values()) == layers[:-1]
        assert len(ranked(net)) == count
        assert layers[-1].weight.shape[0] == 10  # the classes


@pytest.mark.parametrize("metric", saliency.METRICS[1:])
@pytest.mark.parametrize("density", [0.9, 0.5, 0.123])
def test_exactly_so_many_are_kept_and_they_are_the_most_salient(net, x, metric, density):
    scores = saliency.saliency(net, x, metric)
    kept = masks(scores, density)
    assert {n: m.shape for n, m in kept.items()} == {
        n: layer.weight.shape for n, layer in ranked(net).items()
    }
    scores, kept = flat(scores), flat(kept)
    assert kept.dtype == torch.bool
    assert kept.sum() == round(density * len(scores))
    assert scores[kept].min() >= scores[~kept].max()


def test_equally_salient_weights_are_counted_exactly_too():
    kept = masks({"a": torch.ones(7), "b": torch.ones(5)}, 0.75)
    assert flat(kept).sum() == 9


def test_all_are_kept_at_density_1(net, x):
    assert flat(masks(saliency.saliency(net, x, "fisher"), 1)).all()


def test_magnitude_is_what_it_is_called(net, x):
    for name, score in saliency.saliency(net, x, "magnitude").items():
        assert torch.equal(score, ranked(net)[name].weight.abs())


def test_fisher_saliency_is_the_weights_square_times_its_squared_gradients(net, x):
    weights = {name: layer.weight for name, layer in ranked(net).items()}
    expected = {name: torch.zeros_like(w) for name, w in weights.items()}
    for image in x:
        log_p = net(image[None]).log_softmax(1)[0]
        for each in log_p:
            grads = torch.autograd.grad(each, list(weights.values()), retain_graph=True)
            for (name, w), g in zip(weights.items(), grads, strict=True):
                expected[name] += (w.square() * g.square() * each.exp() / len(x)).detach()
    found = saliency.saliency(net, x, "fisher")
    assert list(found) == list(expected)
    assert torch.allclose(flat(found), flat(expected), rtol=1e-9, atol=0)
    brute = flat(expected).argsort(descending=True)[: round(0.3 * flat(expected).numel())]
    assert flat(masks(found, 0.3)).nonzero().flatten().tolist() == sorted(brute.tolist())


@pytest.mark.parametrize("name", ["0", "6", "21"])
def test_half_of_it_is_what_taking_a_small_weight_out_changes(net, x, name):
    """In nats between the answers with the weight and without."""
    weight = ranked(net)[name].weight
    at = fisher.diagonal(net, x)[name].flatten().argmax()
    with torch.no_grad():
        weight.flatten()[at] = 1e-4
    predicted = saliency.saliency(net, x, "fisher")[name].flatten()[at] / 2
    before = net(x).log_softmax(1)
    with torch.no_grad():
        weight.flatten()[at] = 0
    change = F.kl_div(net(x).log_softmax(1), before, log_target=True, reduction="batchmean")
    assert change.item() == pytest.approx(predicted.item(), rel=1e-2, abs=0)
    assert predicted > 1e-11


def test_random_choice_depends_on_its_seed_alone_and_is_even(net, x):
    first = saliency.saliency(net, x, "random", 1)
    torch.manual_seed(9)
    assert torch.equal(flat(first), flat(saliency.saliency(net, x, "random", 1)))
    other = masks(saliency.saliency(net, x, "random", 2), 0.5)
    assert not torch.equal(flat(masks(first, 0.5)), flat(other))
    large = models.build("allcnn-16")
    for mask in masks(saliency.saliency(large, x, "random"), 0.2).values():
        assert abs(mask.double().mean() - 0.2) < 4 * (0.16 / mask.numel()) ** 0.5


def test_a_lower_density_keeps_none_that_a_higher_one_takes_out(net, x):
    for metric in saliency.METRICS[1:]:
        scores = saliency.saliency(net, x, metric)
        assert not (flat(masks(scores, 0.2)) & ~flat(masks(scores, 0.6))).any()


# That it stays out --------------------------------------------------------------------------------


@pytest.mark.parametrize("deficit", ["none", "blur"])
def test_what_is_taken_out_stays_0_after_every_step_and_so_does_its_momentum(deficit):
    run = Run(deficit=deficit, length=0 if deficit == "none" else 1, recovery=1, profile="ci")
    images = data.images("practice", "ci")
    net, optimizer = train.start(run, CPU)
    train.train_epoch(run, 0, images, net, optimizer)
    kept = masks(saliency.saliency(net, images.normal(images.train_x[:50]), "fisher"), 0.3)
    dead, alive, steps = ~flat(kept), flat(kept), []

    def look(*_):
        weights = {name: ranked(net)[name].weight.detach() for name in kept}
        momentum = {n: optimizer.state[layer.weight]["momentum_buffer"]
                    for n, layer in ranked(net).items()}  # fmt: skip
        steps.append((flat(weights).clone(), flat(momentum).clone()))

    with held(net, optimizer, kept):
        look()
        optimizer.register_step_post_hook(look)
        train.train_epoch(run, 0, images, net, optimizer)
    assert len(steps) == 1 + 512 / 128
    for weights, momentum in steps:
        assert not weights[dead].any()
        assert not momentum[dead].any()
        assert weights[alive].all()
        assert momentum[alive].all()
    assert not torch.equal(steps[0][0], steps[-1][0])  # the others learn
    train.train_epoch(run, 0, images, net, optimizer)  # nothing is held any more
    assert steps[-1][0][dead].any()


def test_it_is_out_at_the_end_of_a_life(monkeypatch):
    lives, branch = [], saliency.Life.branch

    def noted(life):
        lives.append(branch(life))
        return lives[-1]

    monkeypatch.setattr(saliency.Life, "branch", noted)
    (found,) = values(Pruned(metric="magnitude", density=0.25, deficit="blur", length=1, **LIFE))
    pruned, ended = lives
    left = {name: layer.weight != 0 for name, layer in ranked(ended.net).items()}
    assert torch.equal(flat(left), flat(ended.kept))
    assert sum(found["kept"]) == flat(left).sum() == round(0.25 * sum(found["weights"]))
    assert found["kept"] == [mask.sum() for mask in left.values()]
    assert found["layers"] == list(left)
    before = {name: layer.weight for name, layer in ranked(pruned.net).items()}
    assert not torch.equal(flat(before), flat({n: m.weight for n, m in ranked(ended.net).items()}))


# What comes after ---------------------------------------------------------------------------------


def test_the_unpruned_network_is_trained_as_any_other():
    """Bit for bit: three Runs, one after another, with the optimiser that goes on."""
    spec = Pruned(deficit="blur", length=2, seed=3, **LIFE)
    (found,) = values(spec)
    assert found["kept"] == found["weights"]
    images = data.images("practice", "ci")
    first = Run(onset=0, recovery=2, profile="ci", seed=3)
    alone = train.advance(first, 2, device=CPU)
    assert found["curve"][:2] == [row["test_accuracy"] for row in alone.rows]
    net, optimizer = train.start(first, CPU)
    curve, loss = [], []
    second = Run(onset=2, recovery=1, profile="ci", seed=3)
    third = Run(deficit="blur", onset=3, length=2, recovery=1, profile="ci", seed=3)
    for run, epochs in ((first, (0, 1)), (second, (2,)), (third, (3, 4, 5))):
        for epoch in epochs:
            loss.append(train.train_epoch(run, epoch, images, net, optimizer))
            curve.append(train.evaluate(net, images))
    assert found["loss"] == loss
    assert found["curve"] == curve


def test_company_changes_no_value():
    specs = [
        Pruned(metric="fisher", density=0.5, deficit="blur", length=1, **LIFE),
        Pruned(seed=1, **LIFE),
        Pruned(metric="fisher", density=0.5, length=1, **LIFE),
        Pruned(metric="random", density=0.5, **LIFE),
        Pruned(metric="fisher", density=0.5, **LIFE),
        Pruned(length=1, **LIFE),
    ]
    together = values(*specs)
    assert together == [values(spec)[0] for spec in specs]
    blurred, other, clear, random, short, unpruned = together
    begun = LIFE["training"] + LIFE["retraining"]
    assert blurred["loss"][:begun] == clear["loss"][:begun] == short["loss"]
    assert blurred["loss"][begun] != clear["loss"][begun]
    assert random["loss"][:2] == clear["loss"][:2] == unpruned["loss"][:2] != other["loss"][:2]
    assert random["loss"][2] != clear["loss"][2] != unpruned["loss"][2]


def test_common_training_is_done_once(monkeypatch):
    epochs, one = [], train.train_epoch
    monkeypatch.setattr(train, "train_epoch", lambda *a: epochs.append(a[1]) or one(*a))
    values(
        *(Pruned(metric=m, density=0.5, deficit=d, length=1, **LIFE)
          for d in ("none", "blur") for m in ("fisher", "magnitude")),
    )  # fmt: skip
    assert epochs == [0, 1, *(2, 3, 4, 3, 4) * 2]


def test_a_life_says_what_was_measured():
    spec = Pruned(metric="fisher", density=0.3, length=2, **LIFE)
    (found,) = values(spec)
    assert [len(found[name]) for name in ("layers", "weights", "kept")] == [8] * 3
    moments = ["trained", "pruned", "retrained", "end"]
    assert list(found["accuracy"]) == list(found["trace"]) == moments
    assert [len(t) for t in found["trace"].values()] == [len(found["layers"])] * 4
    assert len(found["curve"]) == len(found["loss"]) == 2 + 1 + 2 + 1
    for moment, epoch in (("trained", 1), ("retrained", 2), ("end", 5)):
        assert found["accuracy"][moment] == found["curve"][epoch]


def test_without_retraining_nothing_is_learned_after_pruning():
    how = LIFE | {"retraining": 0}
    pruned, unpruned = values(Pruned(metric="random", density=0.1, **how), Pruned(**how))
    for found in (pruned, unpruned):
        assert len(found["curve"]) == 2
        assert found["trace"]["retrained"] == found["trace"]["pruned"]
        assert found["accuracy"]["retrained"] == found["accuracy"]["pruned"]
    assert unpruned["trace"]["pruned"] == unpruned["trace"]["trained"]
    assert unpruned["predicted"] == unpruned["change"] == 0
    assert pruned["trace"]["pruned"] != pruned["trace"]["trained"]


def test_what_a_life_says_of_pruning_is_so():
    """Of a few weights taken out, the second order says nearly all."""
    spec = Pruned("ci", "fisher", 0.7, training=8)  # long enough to give answers that differ
    life = saliency.begin(spec, CPU)
    x, trained = life.measured, life.branch()
    life.prune(spec)
    assert len(x) == saliency.IMAGES
    scores = saliency.saliency(trained.net, x, "fisher")
    dead = ~flat(masks(scores, 0.7))
    assert life.values["predicted"] == pytest.approx(flat(scores)[dead].sum().item() / 2)
    p, q = trained.net.eval()(x).softmax(1), life.net.eval()(x).softmax(1)
    change = (p * (p / q).log()).sum(1).mean().item()
    assert life.values["change"] == pytest.approx(change, rel=1e-3)
    assert life.values["predicted"] == pytest.approx(change, rel=0.5)
    weights = {name: layer.weight for name, layer in ranked(life.net).items()}
    assert not flat(weights)[dead].any()
    curvature = fisher.diagonal(life.net, x)
    alive = sum(curvature[name][w != 0].sum().item() for name, w in weights.items())
    assert sum(life.values["trace"]["pruned"]) == pytest.approx(alive)
    assert alive < sum(fisher.trace(life.net, x).layers[name] for name in weights)


def test_rates_begin_anew_after_pruning_and_are_held_during_the_deficit():
    spec = Pruned("course", "fisher", 0.2, deficit="blur", length=8)
    rates = [[round(step.lr, 6) for step in run.steps] for run in spec.phases]
    begun = [len(r) for r in rates]
    assert begun == [20, 25, 43]
    assert rates[0] == [0.02] * 5 + [round(0.02 * (15 - i) / 15, 6) for i in range(15)]
    assert rates[1][20:] == [0.02, 0.016, 0.012, 0.008, 0.004]
    assert rates[2][25:] == [0.02] * 8 + [round(0.02 * (10 - i) / 10, 6) for i in range(10)]
    assert [step.deficit for step in spec.phases[2].steps[25:]] == ["blur"] * 8 + ["none"] * 10
    control = Pruned("course", "fisher", 0.2, length=8).phases[2]
    assert [s.lr for s in control.steps[25:]] == [s.lr for s in spec.phases[2].steps[25:]]
    assert {s.deficit for s in control.steps} == {"none"}


def test_names_of_the_same_life_are_one():
    assert Pruned(metric="fisher", density=1) == Pruned() == Pruned(deficit="blur", recovery=3)
    assert Pruned(deficit="blur-4", length=2) == Pruned(deficit="blur", length=2.0)


def test_studies_of_it_are_kept():
    specs = [Pruned(metric="fisher", density=0.5, **LIFE), Pruned(**LIFE)]
    made = dict(studies.collect(specs, saliency.compute))
    assert made == dict(studies.collect(specs, None))
    assert made[specs[0]].values["accuracy"]["pruned"] >= 0


def test_it_can_be_stopped():
    stop = threading.Event()
    specs = [Pruned(seed=seed, **LIFE) for seed in (0, 1)]
    lives = saliency.compute(specs, "cpu", stop)
    next(lives)
    stop.set()
    with pytest.raises(train.Cancelled):
        next(lives)


# What is refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Pruned(metric="fisher", density=0), "density 0 .* above 0 and at most 1"),
        (lambda: Pruned(metric="fisher", density=1.2), "density 1.2 .* at most 1"),
        (lambda: Pruned(metric="fisher", density=float("nan")), "density nan"),
        (lambda: Pruned(metric="fisher", density="half"), "density 'half'"),
        (lambda: masks({"0": torch.ones(4)}, -0.1), "density -0.1"),
        (lambda: Pruned(metric="hessian"), "none, magnitude, fisher, random"),
        (lambda: Pruned(density=0.5), "density 0.5 .* metric none"),
        (lambda: saliency.saliency(models.build("fc-20"), None, "none"), "magnitude, fisher"),
        (lambda: Pruned(profile="huge"), "choose one of ci"),
        (lambda: Pruned(deficit="sleep", length=2), "unknown deficit 'sleep'"),
        (lambda: Pruned(deficit="sleep"), "unknown deficit 'sleep'"),
        (lambda: Pruned(length=-1), "length -1"),
        (lambda: Pruned(training=0), "training 0"),
        (lambda: Pruned(seed=0.5), "seed 0.5"),
        (lambda: masks({"a": torch.ones(9), "b": torch.zeros(3)}, 0.5), "in layer 'b', .* larger"),
        (lambda: values(Pruned(metric="random", density=0.001, **LIFE)), "density 0.001 leaves no"),
    ],
)
def test_bad_input_is_one_clear_line(make, said):
    with pytest.raises(CplabError, match=said) as raised:
        make()
    assert "\n" not in str(raised.value)
