"""Steps of training against torch's own optimisers."""

import pytest
import torch

from cplab.optimizers import Optimizer

SIZES = (4, 3, 3, 3), (4,)
TORCH = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}


def weights_and_slopes(steps=5):
    torch.manual_seed(0)
    weights = [torch.nn.Parameter(torch.randn(size)) for size in SIZES]
    return weights, [[torch.randn(size) for size in SIZES] for _ in range(steps)]


@pytest.mark.parametrize("decay", [0.0, 0.01])
@pytest.mark.parametrize(("kind", "momentum"), [("sgd", 0.9), ("sgd", 0.0), ("adam", 0.9)])
def test_steps_are_torch_s_bit_for_bit(kind, momentum, decay):
    ours, slopes = weights_and_slopes()
    theirs, _ = weights_and_slopes()
    optimizer = Optimizer(ours, kind, momentum=momentum, weight_decay=decay)
    how = {"momentum": momentum} if kind == "sgd" else {}
    oracle = TORCH[kind](theirs, weight_decay=decay, fused=True, **how)
    for step, each in enumerate(slopes):
        for weights in (ours, theirs):
            for weight, slope in zip(weights, each, strict=True):
                weight.grad = slope.clone()
        oracle.param_groups[0].update(lr=0.1 / (1 + step), weight_decay=step % 2 * decay)
        oracle.step()
        optimizer.step(0.1 / (1 + step), step % 2)
        for own, its in zip(ours, theirs, strict=True):
            assert own.equal(its)
            kept = {name: value for name, value in oracle.state[its].items() if value is not None}
            assert {*optimizer.state[own]} == {*kept}
            assert all(value.equal(kept[name]) for name, value in optimizer.state[own].items())


@pytest.mark.parametrize("kind", TORCH)
def test_what_has_no_gradient_stays_and_a_lost_state_is_a_first_step(kind):
    weights, [slopes, *_] = weights_and_slopes()
    before = [weight.detach().clone() for weight in weights]
    optimizer = Optimizer(weights, kind, momentum=0.9, weight_decay=0.1)
    weights[0].grad = slopes[0].clone()
    optimizer.step(0.1)
    assert weights[1].equal(before[1])
    first = weights[0] - before[0]
    for _ in range(3):
        optimizer.step(0.1)
    optimizer.state.clear()
    with torch.no_grad():
        weights[0].copy_(before[0])
    optimizer.step(0.1)
    assert (weights[0] - before[0]).equal(first)


def test_training_needs_no_compiler(python, own_cache):
    """Torch's takes a second and 100 MB, and comes with the first of torch's own optimisers; sympy
    comes where gradients are asked for with vectors."""
    code = """import sys, cplab
for kind in ("sgd", "adam"):
    cplab.run(profile="ci", recovery=1, optimizer=kind, measure=("trace", "jacobian", "ending"))
print(*(name in sys.modules for name in ("torch", "torch._dynamo", "sympy")))"""
    assert python(code).communicate()[0].split() == ["True", "False", "False"]
