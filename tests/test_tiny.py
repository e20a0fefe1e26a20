"""Networks that grow up in the browser: as torch's do, on a page from a file, for everybody."""

from contextlib import ExitStack
from itertools import pairwise

import numpy as np
import pytest
import torch
from browser import axe_finds, chromium, plain_page
from torch import nn
from torch.nn import functional as F

import cplab
from cplab import data, deficits
from cplab.lab import tiny
from cplab.teach import site

SHORT = {"length": 12, "recovery": 8, "digits": 100}  # epochs, so that the tests take seconds


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """The front page as a file, with short lives."""
    given = tiny.content(networks=2)
    given |= {"place": tiny.PLACE | SHORT, "window": 20, "range": [0, 100]}
    path = tmp_path_factory.mktemp("site") / "index.html"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiny, "content", lambda: given)
        site.write(path, site.front({}), '<a href="index.html">cplab</a>')
    return path.as_uri()


@pytest.fixture
def opened(browser, address):
    """Open the page with options of a browser's context; an error of its scripts fails the test."""
    with ExitStack() as stack:

        def opened(**options):
            options = {"viewport": {"width": 1366, "height": 768}} | options
            page = stack.enter_context(plain_page(browser, **options))
            page.goto(address)
            page.wait_for_selector("[data-is=pictures] canvas")
            return page

        yield opened


def train(page):
    page.click("[data-is=start]")
    page.wait_for_selector("[data-is=progress]", state="hidden")
    return page.inner_text("[data-is=head]")


def in_engine(browser, program, given):
    """What a JavaScript function of tiny.js's engine and plain data returns."""
    code = """([script, program, given]) =>
      eval(program)(new Function(`${script}; return engine`)()(), given)"""
    with plain_page(browser) as page:
        return page.evaluate(code, [tiny.SCRIPT, program, given])


def test_it_trains_as_torch_does(browser):
    """The same weights, images and order: after some epochs the same weights and answers."""
    draw, sizes, rate, count = torch.Generator().manual_seed(1), (144, 64, 64, 10), 0.1, 100
    x = torch.randn(count, 144, generator=draw)
    y = torch.randint(10, (count,), generator=draw)
    orders = [torch.randperm(count, generator=draw) for _ in range(25)]
    shapes = list(pairwise(sizes))
    weights = [torch.randn(i, o, generator=draw) * 0.3 * (2 / i) ** 0.5 for i, o in shapes]
    program = """({network, epoch, answers}, {weights, sizes, x, y, orders, rate}) => {
      const layers = network(weights, sizes), images = Float32Array.from(x);
      for (const order of orders) epoch(layers, images, y, order, rate);
      return [layers.map(({weights}) => [...weights]), [...answers(layers, images)]];
    }"""
    given = {"sizes": sizes, "rate": rate, "x": x.flatten().tolist(), "y": y.tolist()}
    given |= {"weights": [w.flatten().tolist() for w in weights]}
    given |= {"orders": [order.tolist() for order in orders]}
    found, answers = in_engine(browser, program, given)

    layers = [nn.Linear(i, o) for i, o in shapes]
    for layer, weight in zip(layers, weights, strict=True):
        layer.weight.data, layer.bias.data = weight.T.clone(), torch.zeros_like(layer.bias)
    scores = nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2])
    optimizer = torch.optim.SGD(scores.parameters(), lr=rate)
    for order in orders:
        for batch in order.split(32):
            optimizer.zero_grad()
            F.cross_entropy(scores(x[batch]), y[batch]).backward()
            optimizer.step()
    for mine, layer in zip(found, layers, strict=True):
        assert np.allclose(mine, layer.weight.T.detach().flatten(), atol=1e-4)
    assert answers == scores(x).argmax(1).tolist()
    assert np.mean(np.equal(answers, y.tolist())) > 0.3  # it has learned something


@pytest.mark.parametrize(("kind", "name"), [("mosaic", "mosaic-4"), ("flip", "flip")])
def test_it_deprives_as_the_package_does(browser, kind, name):
    images = torch.randn(3, 1, 12, 12, generator=torch.Generator().manual_seed(2))
    program = """({spoil}, {images, kind}) => [...spoil(Float32Array.from(images), kind, 4)]"""
    found = in_engine(browser, program, {"images": images.flatten().tolist(), "kind": kind})
    expected, _ = deficits.apply_deficit(images, torch.zeros(3, dtype=torch.long), name)
    assert np.allclose(found, expected.flatten(), atol=1e-6)


def test_a_press_trains_adds_networks_and_another_point_never_shows_these_curves(opened):
    page, curves = opened(), "path.spoilt.thin"
    first = train(page)
    assert "points" in first
    assert page.locator(curves).count() == 2 * 2  # two figures
    again = opened()
    assert train(again) == first  # the same seeds
    assert train(again) != first
    assert again.locator(curves).count() == 4 * 2
    interval = again.inner_text("[data-is=tried] button")
    assert interval.split(": ")[1] == again.text_content("[data-is=large] .harm")
    page.locator("[name=end]").press("ArrowLeft")
    assert page.locator("path.spoilt").count() == 0
    page.click("[data-is=start]")  # and a change stops what is training
    page.click("[name=kind][value=flip]")
    page.wait_for_selector("[data-is=progress]", state="hidden")
    assert page.locator("path.spoilt").count() == 0
    page.click("[data-is=tried] button")  # back to the first
    assert page.locator(curves).count() == 2 * 2


@pytest.mark.parametrize(
    ("width", "look"),
    [(390, {}), (1366, {"color_scheme": "dark"}), (1366, {"forced_colors": "active"})],
)
def test_it_fits_and_axe_finds_nothing(opened, width, look):
    page = opened(viewport={"width": width, "height": 768}, **look)
    train(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("img").bounding_box()["width"] >= 697  # so that its words are legible
    bottom = page.locator("[data-is=large]").bounding_box()
    assert width < 1000 or bottom["y"] + bottom["height"] <= 768
    assert axe_finds(page, "html") == []


def test_python_sends_the_tests_of_each_network_and_what_it_answers():
    """Those of results, in the order of epochs."""
    place = tiny.PLACE | {"onset": 3, "length": 7, "recovery": 6, "digits": 100, "layers": 1}
    nursery, sent = tiny.Nursery(networks=2), []
    nursery.link.send = sent.append
    for message in ({"hello": True}, {"train": place, "key": "here", "seeds": [0]}):
        nursery.link._handle_custom_msg(message, [])
    assert nursery.wait(300)
    offers, *messages = sent
    assert offers == {"offers": {"python": True, "networks": 2}}
    assert {message["key"] for message in messages} == {"here"}
    labels, run = data.images("drawn", "tiny").test_y.tolist(), tiny.run_at(place, 0)
    for arm, one in {"spoilt": run, "control": run.without_window()}.items():
        accuracy = cplab.run(one).series("test_accuracy")
        mine = [t for message in messages for t in message["tests"] if t["arm"] == arm]
        assert {t["epoch"] for t in mine} == tiny.epochs_tested(one) >= {3, one.epochs}
        for t in mine:
            assert t["right"] == pytest.approx(100 * accuracy[t["epoch"] - 1])
        right = np.mean(np.equal(mine[-1]["answers"], labels))
        assert right == pytest.approx(accuracy[-1])


def test_the_window_moves_by_mouse_keys_and_numbers(opened):
    page, fields = opened(), [f"[type=number][name={name}]" for name in ("onset", "length")]

    def assert_window(*numbers):
        assert tuple(int(page.input_value(field)) for field in fields) == numbers

    page.locator("[data-is=move]").press("ArrowRight")
    assert_window(5, 12)
    page.locator("[name=begin]").press("ArrowRight")
    assert_window(10, 7)
    page.fill("[name=length]", "4")
    page.keyboard.press("Enter")
    assert_window(10, 4)
    box = page.locator("[data-is=during]").bounding_box()
    across, down = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(across, down)
    page.mouse.down()
    page.mouse.move(0, down, steps=4)
    page.mouse.up()
    assert_window(0, 4)
