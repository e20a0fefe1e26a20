"""Deep linear networks against closed forms and real gradient descent; completed matrices."""

from dataclasses import replace
from functools import reduce

import numpy as np
import pytest
import torch

from cplab.labs import lab08, lab08_matrices
from cplab.labs.lab08 import Rearing, rear

DEPTHS = (1, 2, 3, 4)


def alike(depth, course):
    """What both eyes change alike: the difference of p (one layer), log p (two), p^(2/D - 1)."""
    a = course.a[-1]
    b = course.b[-1]
    return np.log(a / b) if depth == 2 else a ** (2 / depth - 1) - b ** (2 / depth - 1)


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("kind", ["blank", "noise", "weak"])
def test_both_eyes_come_to_rest_where_what_they_change_alike_is_kept(depth, kind):
    for onset, length, mode in ((0, 0.5, 1), (0.5, 0.3, 2.5)):
        cut = Rearing(depth=depth, onset=onset, length=length, kind=kind, recovery=0, modes=(mode,))
        [before] = lab08.rear(cut)
        [rest] = lab08.rear(replace(cut, recovery=200))
        assert rest.a[-1] + rest.b[-1] == pytest.approx(mode)
        assert alike(depth, rest) == pytest.approx(alike(depth, before), rel=1e-4)


@pytest.mark.parametrize("length", [0.25, 1, 2])
def test_a_closed_eye_keeps_the_share_of_the_closed_form(length):
    """Two layers, blank from birth: logistic growth of the open eye, and the ratio is kept."""
    p = 0.01
    unit = lab08.half_time(2)
    grown = 1 / (1 + (1 / p - 1) * np.exp(-2 * length * unit))
    got = lab08.kept(depth=2, length=length, recovery=50)
    assert got == pytest.approx(100 * p / (p + grown), abs=1e-4)


@pytest.mark.parametrize("depth", DEPTHS)
def test_two_closed_eyes_lose_nothing(depth):
    assert lab08.kept(depth=depth, length=2, kind="both blank") == pytest.approx(50)


@pytest.mark.parametrize("depth", DEPTHS)
def test_a_patch_as_long_as_the_closure_heals(depth):
    assert lab08.kept(depth=depth, length=0.7, patch=0.7) == pytest.approx(50, abs=1e-4)


@pytest.mark.parametrize("depth", DEPTHS)
def test_a_shorter_patch_does_not_heal(depth):
    assert lab08.kept(depth=depth, length=0.7, patch=0.3) < 45


@pytest.mark.parametrize("depth", [1, 2, 4])
@pytest.mark.parametrize("more", [{"patch": 1}, {"kind": "noise", "onset": 1}, {"kind": "weak"}])
def test_gradient_descent_goes_where_the_equations_say(depth, more):
    life = Rearing(depth=depth, modes=(2, 1), rho=0.95, recovery=5, **more)
    pairs = zip(lab08_matrices.descend(life, rate=0.005), lab08.rear(life), strict=True)
    for trained, solved in pairs:
        for eye in ("a", "b"):
            there = np.interp(trained.t, solved.t, getattr(solved, eye))
            assert np.abs(getattr(trained, eye) - there).max() < 0.03


def descend(*seeds):
    """The course of each seed."""
    life = Rearing(depth=3, rho=0.9, recovery=1)
    return lab08_matrices.descend(life, "random", 50, seeds=seeds)


def test_a_seed_takes_the_same_course_to_the_bit_beside_others_as_alone():
    [alone] = descend(3)
    *_, beside, _ = descend(0, 1, 2, 3, 4)
    assert np.array_equal(beside.share, alone.share)


def test_another_seed_takes_another_course():
    first, second = descend(0, 3)
    assert not np.array_equal(first.share, second.share)


@pytest.mark.parametrize(("depth", "deficit"), [(1, "few"), (2, "noise"), (3, "other")])
def test_a_matrix_is_completed_by_gradient_descent(depth, deficit):
    """Against torch's gradients, with the same matrix, step by step."""
    problem = lab08_matrices.draw_problem(0, 12, depth, deficit)
    layers = [torch.tensor(layer, requires_grad=True) for layer in problem.layers]
    rate = lab08_matrices.RATES[depth] / (2 * 12 * lab08_matrices.OBSERVED_FRACTION)
    for step in range(60):
        product = reduce(lambda below, layer: layer @ below, layers)
        if 20 <= step < 50:
            target = problem.shown
            mask = problem.shown_entries
        else:
            target = problem.true
            mask = problem.observed
        loss = (((product - torch.tensor(target)) * torch.tensor(mask)) ** 2).sum()
        with torch.no_grad():
            for layer, slope in zip(layers, torch.autograd.grad(loss, layers), strict=True):
                layer -= rate * slope
    product = reduce(lambda below, layer: layer @ below, layers)
    hidden = 1 - problem.observed
    left = ((product.detach().numpy() - problem.true) * hidden) ** 2
    expected = (left.sum() / ((problem.true * hidden) ** 2).sum()) ** 0.5
    found = lab08_matrices.complete(depth, deficit, 20, 30, seeds=(1, 0), recovery=10, size=12)
    assert found[1] == pytest.approx(expected, rel=1e-4)


def test_a_slider_moves_one_field_of_a_rearing():
    moved = lab08.move("depth", (1, 3), length=0.5)
    words = "With eye b alone"
    wrong = []
    for depth in (1, 3):
        courses = rear(Rearing(depth=depth, length=0.5, modes=lab08.MODES))
        missed = [mode - course.b[-1] for mode, course in zip(lab08.MODES, courses, strict=True)]
        wrong.append(100 * np.square(missed).sum() / np.square(lab08.MODES).sum())
    pages = moved.page.split("<summary>depth ")[1:]
    for page, percent in zip(pages, wrong, strict=True):
        assert f"{words} {percent:.0f} %" in page
