"""Deep linear networks: equations against closed forms and real gradient descent; matrices that are
completed."""

from functools import partial, reduce

import numpy as np
import pytest
import torch
from conftest import one_line

from cplab.labs import lab08, lab08_matrices
from cplab.labs.lab08 import Rearing

DEPTHS = (1, 2, 3, 4)
BURST = Rearing(depth=2, length=0.5, recovery=2, modes=(3,)), 0.8  # ends at 7e11, a finite number


@pytest.mark.parametrize("depth", DEPTHS)
def test_a_half_learning_time_is_what_its_name_says(depth):
    [course] = lab08.grow(Rearing(depth=depth, length=0, recovery=1))
    assert course.a[-1] + course.b[-1] == pytest.approx(0.5, abs=1e-6)


def test_half_learning_times_that_can_be_solved():
    p = 0.02
    assert lab08.half_time(1, p) == pytest.approx(np.log(2 - 4 * p) / 2)
    assert lab08.half_time(2, p) == pytest.approx(np.log((1 / 2) / (p / (1 - 2 * p))) / 2)


def kept(depth, course):
    """What both eyes change alike while they see the same: the difference of p (one layer), of
    log p (two), of p^(2/D - 1) (more)."""
    a, b = course.a[-1], course.b[-1]
    return np.log(a / b) if depth == 2 else a ** (2 / depth - 1) - b ** (2 / depth - 1)


@pytest.mark.parametrize("depth", [*DEPTHS, 6])
@pytest.mark.parametrize("kind", ["blank", "noise", "weak"])
def test_both_eyes_come_to_rest_where_what_they_change_alike_is_kept(depth, kind):
    for onset, length, mode in ((0, 0.5, 1), (1, 1, 1), (3, 2, 1), (0.5, 0.3, 2.5)):
        cut = Rearing(depth=depth, onset=onset, length=length, kind=kind, recovery=0, modes=(mode,))
        [before] = lab08.grow(cut)
        [rest] = lab08.grow(Rearing(**{**vars(cut), "recovery": 200}))
        assert rest.a[-1] + rest.b[-1] == pytest.approx(mode)
        assert kept(depth, rest) == pytest.approx(kept(depth, before), rel=1e-4)


def test_a_blank_eye_from_birth_in_closed_form():
    """Two layers: logistic growth of the open eye, and the ratio is kept."""
    p, unit = 0.01, lab08.half_time(2)
    for length in (0.25, 0.5, 1, 2):
        grown = 1 / (1 + (1 / p - 1) * np.exp(-2 * length * unit))
        got = lab08.share(Rearing(depth=2, length=length, recovery=50))[0]
        assert got == pytest.approx(p / (p + grown), abs=1e-6)


@pytest.mark.parametrize("depth", DEPTHS)
def test_one_eye_loses_two_lose_nothing_and_a_patch_as_long_heals(depth):
    def kept(**how):
        return lab08.share(Rearing(depth=depth, **how))[0]

    assert kept(length=2) < 0.3
    assert kept(length=2, kind="both blank") == pytest.approx(0.5)
    assert kept(length=0.7, patch=0.3) < 0.45
    assert kept(length=0.7, patch=0.7) == pytest.approx(0.5, abs=1e-6)
    assert kept(length=0.7, patch=1.5) > 0.55


def test_deeper_eyes_have_a_period_that_closes():
    early, late, later = (
        [lab08.share(Rearing(depth=depth, onset=onset))[0] for depth in DEPTHS]
        for onset in (0, 1.5, 5)
    )
    assert early == sorted(early, reverse=True)
    closed = (np.array(late) - early) / (np.array(later) - early)
    assert closed[0] < 0.7
    assert (closed[1:] > 0.9).all()


def test_eyes_that_do_not_see_quite_the_same_recover_late_and_at_once():
    late, later = (
        lab08.share(Rearing(depth=3, length=2, rho=0.9, recovery=time))[0] for time in (3, 30)
    )
    assert late < 0.05
    assert later == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"kind": "blurred"}, ("kind", "blurred", "both noise")),
        ({"recovery": np.nan}, ("recovery", "nan")),
        ({"length": 0, "recovery": 0}, ("no length", "above 0")),
        ({"start": 0.2, "modes": (0.5,)}, ("start", "0.2")),
    ],
)
def test_what_is_not_allowed_is_said(fields, told):
    one_line(lambda: Rearing(**fields), *told)


# Real gradient descent ---------------------------------------------------------------------------


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize(
    "more",
    [{"patch": 1}, {"kind": "noise", "onset": 1}, {"kind": "weak"}, {"kind": "both noise"}],
    ids=str,
)
def test_gradient_descent_goes_where_the_equations_say(depth, more):
    life = Rearing(depth=depth, modes=(2, 1), rho=0.95, recovery=5, **more)
    for trained, solved in zip(
        lab08_matrices.descend(life, rate=0.005), lab08.grow(life), strict=True
    ):
        for eye in ("a", "b"):
            there = np.interp(trained.t, solved.t, getattr(solved, eye))
            assert np.abs(getattr(trained, eye) - there).max() < 0.03


def test_from_random_weights_the_eye_that_was_closed_has_little():
    life = Rearing(depth=2, length=2, modes=(2, 1))
    assert max(course.share[-1] for course in lab08_matrices.descend(life, "random", 400)) < 0.15


def test_steps_that_are_too_long_are_told():
    for life, rate in ((Rearing(depth=4, modes=(90,)), 1), BURST):
        too_long = partial(lab08_matrices.descend, life, rate=rate)
        one_line(too_long, f"rate {rate}", "lower")


# Matrices ----------------------------------------------------------------------------------------

SMALL = {"seeds": (0, 1), "size": 16, "recovery": 600}


def test_a_late_lack_of_entries_harms_nobody_and_an_early_one_does():
    found = lab08_matrices.complete(2, "few", (0, 300), 300, seeds=range(4), size=30, recovery=1000)
    harm = found.error - found.without
    assert np.median(harm[0]) > 0.05
    assert np.abs(harm[1]).max() < 0.02
    assert found.train.max() < 0.02


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_it_is_gradient_descent(depth):
    """Against torch's gradients, with the same matrix, step by step."""
    true, seen, _, given, *layers = lab08_matrices.make_problem(0, 12, depth, "few")
    layers = [torch.tensor(layer, requires_grad=True) for layer in layers]
    rate = lab08_matrices.RATES[depth] / (2 * 12 * lab08_matrices.OBSERVED)
    for step in range(60):
        product = reduce(lambda below, layer: layer @ below, layers)
        mask = torch.tensor(given if 20 <= step < 50 else seen)
        loss = (((product - torch.tensor(true)) * mask) ** 2).sum()
        with torch.no_grad():
            for layer, slope in zip(layers, torch.autograd.grad(loss, layers), strict=True):
                layer -= rate * slope
    product = reduce(lambda below, layer: layer @ below, layers)
    left = ((product.detach().numpy() - true) * (1 - seen)) ** 2
    expected = (left.sum() / ((true * (1 - seen)) ** 2).sum()) ** 0.5
    found = lab08_matrices.complete(depth, "few", (20,), 30, seeds=(0,), recovery=10, size=12)
    assert found.error[0, 0] == pytest.approx(expected, rel=1e-4)


def test_a_life_is_the_same_alone_and_beside_others():
    together = lab08_matrices.complete(2, "other", (0, 100), 200, **SMALL)
    alone = lab08_matrices.complete(2, "other", (100,), 200, **{**SMALL, "seeds": (1,)})
    for name in ("error", "without", "train"):
        one, many = getattr(alone, name), getattr(together, name)
        assert one[0, 0] == pytest.approx(many[1, 1], rel=1e-3)


def test_a_drawn_eye_is_the_solved_one():
    fig = lab08.draw_eyes(depth=3, length=1.5, patch=0.4)
    solved = lab08.grow(Rearing(depth=3, length=1.5, patch=0.4, modes=lab08.MODES))
    *eyes, bars = fig.axes
    for ax, eye in zip(eyes, "ab", strict=True):
        for line, mode, course in zip(ax.lines, lab08.MODES, solved, strict=False):
            assert line.get_ydata() == pytest.approx(getattr(course, eye) / mode)
    widths = [bar.get_width() for bar in bars.patches]
    assert widths == pytest.approx([100 * course.share[-1] for course in solved])
