"""Networks that grow up in the browser: as torch's do, on a page from a file, for everybody."""

from types import SimpleNamespace

import numpy as np
import pytest
from browser import axe_finds, plain_page

import cplab
from cplab import data
from cplab.estimates import estimate
from cplab.lab import tiny
from cplab.teach import site

SHORT = {"length": 12, "recovery": 8, "digits": 100}  # epochs, so that the tests take seconds


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """The front page as a file, with short lives."""
    given = tiny.content(networks=2)
    given |= {"place": tiny.PLACE | SHORT, "window": 20}
    path = tmp_path_factory.mktemp("site") / "index.html"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiny, "content", lambda: given)
        site.write(path, site.front({}), '<a href="index.html">cplab</a>')
    return path.as_uri()


@pytest.fixture
def page(chromium, address):
    """The page; an error of its scripts fails the test."""
    with plain_page(chromium, viewport={"width": 1366, "height": 768}) as page:
        page.goto(address)
        page.wait_for_selector("[data-is=pictures] canvas")
        yield page


def train(page):
    page.click("[data-is=start]")
    page.wait_for_selector("[data-is=progress]", state="hidden")
    return page.inner_text("[data-is=head]")


def test_a_press_trains_adds_networks_and_another_point_never_shows_these_curves(page):
    curves = page.locator("path.spoilt.thin")
    first = train(page)
    assert "points" in first
    assert curves.count() == 2 * 2  # two figures
    page.reload()
    assert train(page) == first  # the same seeds
    assert train(page) != first
    assert curves.count() == 4 * 2
    interval = page.inner_text("[data-is=tried] button")
    assert interval.split(": ")[1] == page.text_content("[data-is=large] .harm")
    page.locator("[data-grip=length]").press("ArrowLeft")
    assert page.locator("path.spoilt").count() == 0
    page.click("[data-is=start]")  # and a change stops what is training
    page.click("[name=kind][value=flip]")
    page.wait_for_selector("[data-is=progress]", state="hidden")
    assert page.locator("path.spoilt").count() == 0
    page.click("[data-is=tried] button")  # back to the first
    assert curves.count() == 4 * 2
    page.get_by_text("Knobs").click()
    page.select_option("[name=layers]", "1")
    page.evaluate("document.querySelector('cplab-nursery').content.networks = 1")
    assert "no verdict" in train(page)
    assert "layers 1" in page.locator("[data-is=tried] button").last.inner_text()


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1366, "dark")])
def test_it_fits_and_axe_finds_nothing(page, width, scheme):
    page.set_viewport_size({"width": width, "height": 768})
    page.emulate_media(color_scheme=scheme)
    train(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("img").bounding_box()["width"] >= 697  # so that its words are legible
    bottom = page.locator("[data-is=large]").bounding_box()
    assert width < 1000 or bottom["y"] + bottom["height"] <= 768
    lines = [line.bounding_box() for line in page.locator("[data-is=large] path.thin").all()]
    assert max(box["y"] + box["height"] for box in lines) <= bottom["y"] + bottom["height"]
    assert axe_finds(page, "html") == []


def test_python_sends_the_tests_of_each_network_and_what_it_answers(monkeypatch):
    """Those of results, in order; their harm is a figure below the screen, for a saved notebook."""
    place = tiny.PLACE | {"onset": 3, "length": 7, "recovery": 6, "digits": 100, "layers": 1}
    nursery, sent, shown = tiny.Nursery(networks=2), [], []
    below = SimpleNamespace(update=shown.append)
    monkeypatch.setattr(tiny, "display", lambda content, **how: below)
    nursery._ipython_display_()
    nursery.link.send = sent.append
    wanted = {"train": place, "key": "here", "words": "so & so", "seeds": [0]}
    for message in ({"hello": True}, wanted):
        nursery.link._handle_custom_msg(message, [])
    assert nursery.wait(300)
    offers, *messages = sent
    assert offers == {"offers": {"python": True, "networks": 2}}
    assert {message["key"] for message in messages} == {"here"}
    labels, run = data.images("drawn", "tiny").test_y.tolist(), tiny.run_at(place, 0)
    arms = {"spoilt": cplab.run(run), "control": cplab.run(run.without_window())}
    for arm, one in arms.items():
        accuracy = one.series("test_accuracy")
        mine = [t for message in messages for t in message["tests"] if t["arm"] == arm]
        assert {t["epoch"] for t in mine} >= tiny.epochs_tested(one.spec) >= {3, len(accuracy)}
        right = [100 * accuracy[t["epoch"] - 1] for t in mine]
        assert [t["right"] for t in mine] == pytest.approx(right)
        assert np.mean(np.equal(mine[-1]["answers"], labels)) == pytest.approx(accuracy[-1])
    harm = estimate([100 * (arms["control"].accuracy - arms["spoilt"].accuracy)])
    [figure] = shown
    assert figure.ax.get_yticklabels()[0].get_text() == f"so & so: {harm}"


def test_the_window_moves_by_mouse_keys_and_numbers(page):
    def window():
        names = ("onset", "length")
        return [int(page.input_value(f"[type=number][name={name}]")) for name in names]

    page.set_viewport_size({"width": 390, "height": 768})
    page.locator("[data-grip=onset]").press("ArrowRight")
    assert window() == [5, 12]
    begin = page.locator("[data-grip=begin]")
    begin.drag_to(page.locator("[data-is=after]"), force=True)
    assert window() == [16, 1]  # where two grips meet, it goes back
    begin.drag_to(page.locator("[data-is=line]"), force=True, target_position={"x": 1, "y": 9})
    assert window() == [0, 17]
    for key, seen in (("Home", [0, 17]), ("ArrowRight", [5, 12]), ("ArrowRight", [10, 7])):
        begin.press(key)
        assert window() == seen
    page.fill("[name=length]", "10")
    page.keyboard.press("Enter")
    box = page.locator("[data-grip=onset]").bounding_box()
    page.mouse.move(box["x"] + 20, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + 21, box["y"] + 20)
    assert window() == [10, 10]  # it does not jump, wherever it is grabbed
    page.mouse.move(0, 0, steps=4)
    page.mouse.up()
    assert window() == [0, 10]
