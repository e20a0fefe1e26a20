"""Deep linear networks against closed forms and real gradient descent; completed matrices."""

from dataclasses import replace
from functools import reduce

import numpy as np
import pytest
import torch
from browser import axe_finds, plain_page

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
    problem = lab08_matrices.make_problem(0, 12, depth, deficit)
    layers = [torch.tensor(layer, requires_grad=True) for layer in problem.layers]
    rate = lab08_matrices.RATES[depth] / (2 * 12 * lab08_matrices.OBSERVED)
    for step in range(60):
        product = reduce(lambda below, layer: layer @ below, layers)
        if 20 <= step < 50:
            target = problem.wrong
            mask = problem.visible
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


PLACES = [  # fields of a Rearing at which the page has to say what Python says
    {},
    {"depth": 1, "length": 2.5, "patch": 0.7},
    {"depth": 4, "onset": 1.3, "kind": "weak", "recovery": 100},
    {"depth": 3, "kind": "both noise", "rho": 0.9, "start": 0.1},
    {"depth": 4, "kind": "noise", "length": 3, "start": 0.001, "rho": 0.8},
]


@pytest.fixture(scope="module")
def moving(chromium, tmp_path_factory):
    """A page with the two eyes that one moves, without Python."""
    path = tmp_path_factory.mktemp("eyes") / "eyes.html"
    path.write_text(f"<!DOCTYPE html><html lang=en><title>eyes</title>{lab08.move_eyes().page}")
    with plain_page(chromium, viewport={"width": 1200, "height": 800}) as page:
        page.goto(path.as_uri())
        page.wait_for_selector("cplab-eyes svg")
        yield page


@pytest.mark.parametrize("fields", PLACES)
def test_the_page_solves_what_python_solves(moving, fields):
    start = {name: getattr(Rearing(), name) for name in ("kind", *lab08.RANGES)}
    program = """(rearing) => {
      const eyes = document.querySelector("cplab-eyes");
      eyes.rearing = rearing;
      eyes.solve();
      return eyes.courses.map(({a, b}) => [a.at(-1), b.at(-1)]);
    }"""
    solved = rear(Rearing(modes=lab08.MODES, **fields))
    expected = [[course.a[-1], course.b[-1]] for course in solved]
    assert np.allclose(moving.evaluate(program, start | fields), expected, rtol=1e-5, atol=1e-7)


def test_a_slider_moves_the_figure(moving):
    moving.reload()
    figure = moving.get_by_role("img")
    before = figure.get_attribute("aria-label")
    moving.get_by_label("depth").press("ArrowRight")
    after = figure.get_attribute("aria-label")
    assert after != before
    three = lab08.kept(depth=3, modes=(1.0,))
    assert f"mode 1: {three:.1f} %" in after


@pytest.fixture(params=[(390, "light"), (1200, "dark")], ids=["phone", "laptop"])
def screen(request, moving):
    """The page on a screen of some width and colours."""
    width, scheme = request.param
    moving.set_viewport_size({"width": width, "height": 800})
    moving.emulate_media(color_scheme=scheme)
    return moving


def test_the_eyes_are_no_wider_than_the_screen(screen):
    screen.wait_for_function("document.documentElement.scrollWidth <= innerWidth")


def test_axe_finds_nothing_about_the_eyes(screen):
    assert axe_finds(screen, "cplab-eyes") == []
