"""The Nursery on a laptop and on a phone: what fits, and what axe finds."""

import pytest
from browser import axe_finds
from nursery import LAPTOP, PHONE, front_page, opened, opened_anew, screen_of, train, unfold


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    return front_page(tmp_path_factory.mktemp("site"), compare=True)


@pytest.fixture
def page(used_page, address):
    """The front page, where nothing was trained."""
    return opened_anew(used_page, address)


SIZES = {"phone": PHONE, "laptop": LAPTOP}
SCHEMES = {"phone": "light", "laptop": "dark"}


@pytest.fixture(scope="module", params=SIZES)
def full(request, chromium, address):
    """A page of some size with all folds open, on which networks have grown up."""
    size = SIZES[request.param]
    scheme = SCHEMES[request.param]
    with opened(chromium, address, viewport=size, color_scheme=scheme) as page:
        page.select_option("select.w0", "cover")
        unfold(page)
        train(page)
        yield page


def test_it_is_no_wider_than_the_screen(full):
    width = full.evaluate("document.documentElement.scrollWidth")
    assert width <= full.viewport_size["width"]


def test_a_picture_s_words_stay_legible(full):
    assert full.locator("img").bounding_box()["width"] >= 697


@pytest.mark.parametrize("full", ["laptop"], indirect=True)
def test_on_a_laptop_the_figure_is_on_the_first_screen(full):
    figure = full.locator("[data-is=large]").bounding_box()
    assert figure["y"] + figure["height"] <= LAPTOP["height"]


# Where the lowest of the thin lines ends, all looked at in one moment, since they are drawn anew.
LOWEST_LINE = """() => {
  const lines = [...document.querySelectorAll("[data-is=large] path.thin")];
  return Math.max(...lines.map(line => line.getBoundingClientRect().bottom));
}"""


def test_no_curve_leaves_its_figure(full):
    figure = full.locator("[data-is=large]").bounding_box()
    assert full.evaluate(LOWEST_LINE) <= figure["y"] + figure["height"]


NAMES_CUT = """(buttons) => buttons.filter((button) => button.scrollHeight > button.offsetHeight
  || button.getBoundingClientRect().right > innerWidth).map((button) => button.textContent)"""


def test_on_a_touch_screen_no_mask_s_name_is_cut(chromium, address):
    with opened(chromium, address, viewport=PHONE, has_touch=True, is_mobile=True) as page:
        page.select_option("select.w0", "cover")
        assert page.locator("[data-is=masks] button").evaluate_all(NAMES_CUT) == []


def test_on_a_phone_the_line_of_time_says_its_parts_beside_a_harm(page):
    page.set_viewport_size({"width": 350, "height": 640})
    train(page)
    parts = page.locator(".w0 > div > span:visible")
    assert parts.all_inner_texts() == ["blur 12", "clear 8"]


EDGE_OF_HARM = """() => {
  const words = [...document.querySelectorAll("[data-is=large] text")];
  return Math.max(...words.map((one) => one.getBoundingClientRect().right));
}"""


def test_on_a_phone_the_harm_of_one_network_fits_beside_its_curve(page):
    page.set_viewport_size({"width": 390, "height": 844})
    screen_of(page, "content.networks = 1")
    train(page)
    assert page.evaluate(EDGE_OF_HARM) <= page.viewport_size["width"]


def test_a_part_of_the_line_of_time_that_is_too_short_for_its_name_says_its_epochs(page):
    page.set_viewport_size({"width": 390, "height": 844})
    screen_of(page, "change(0, {length: 3})")
    parts = page.locator(".w0 > div > span:visible")
    assert parts.first.inner_text() == "3"


def test_axe_finds_nothing(full):
    assert axe_finds(full, "html") == []
