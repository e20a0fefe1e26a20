"""The Nursery: what grows up, what the page says and draws of it, what it keeps, and what fits."""

import numpy as np
import pytest
from browser import axe_finds
from nursery import (
    LAPTOP,
    LENGTH,
    PHONE,
    SHORT,
    ended,
    front_page,
    opened_anew,
    screen_of,
    short_lives,
    train,
    unfold,
    write_document,
)

from cplab.lab.nursery import nursery


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """A page with one window."""
    return write_document(tmp_path_factory.mktemp("page"), nursery.page(short_lives()))


@pytest.fixture
def page(used_page, address):
    """A screen that has trained nothing yet."""
    return opened_anew(used_page, address)


CURVES = "[data-is=large] path.spoilt.thin"
PALE = "[data-is=large] path.pale"
SIZES = """[...document.querySelector('cplab-nursery').trained.values()]
  .map(({pairs}) => pairs.size)"""


def harm_in_figure(page):
    """The first harm that stands in the figure."""
    return page.locator("[data-is=large] .harm").first.text_content().strip("−")


def test_a_press_ends_in_a_headline_of_points_and_a_figure(page):
    headline = train(page)
    assert "points" in headline
    assert harm_in_figure(page) in headline
    assert page.locator(CURVES).count() == 2
    assert "born here" in page.text_content("[data-is=large]")
    assert page.inner_text("[data-is=status]").startswith("took ")


def test_a_second_window_is_trained_beside_the_first_which_keeps_its_networks(page):
    """Each has the harm that it has alone."""
    train(page)
    alone = harm_in_figure(page)
    page.click("[data-is=compare]")
    headline = train(page)
    assert page.evaluate(SIZES) == [2, 2]
    assert headline.startswith("From birth")
    assert "at epoch 5" in headline
    harms = page.locator("[data-is=large] .harm").all_text_contents()
    assert [harm.strip("−") in headline for harm in harms] == [True, True]
    assert harm_in_figure(page) == alone
    names = page.locator("[data-is=large] .name").all_text_contents()
    assert names == ["from birth", "at epoch 5"]


def test_equal_seeds_grow_up_equal_again_unless_a_knob_is_turned(page, address):
    headline = train(page)
    assert train(opened_anew(page, address)) == headline
    opened_anew(page, address)
    unfold(page)
    page.select_option("[name=layers]", "1")
    assert train(page) != headline


def test_another_press_adds_networks(page):
    headline = train(page)
    assert train(page) != headline
    assert page.locator(CURVES).count() == 4


def test_a_window_that_moves_leaves_its_line_pale_until_it_is_back_or_cleared(page):
    train(page)
    grip = page.locator("[data-grip=length]").first
    grip.press("ArrowLeft")
    assert (page.locator(CURVES).count(), page.locator(PALE).count()) == (0, 1)
    grip.press("ArrowRight")
    assert page.locator(CURVES).count() == 2
    grip.press("ArrowLeft")
    unfold(page)
    page.click("[data-is=clear]")
    assert page.locator(PALE).count() == 0


TWINS = """[...document.querySelectorAll("[data-is=large] path.control.w1")]
  .map((path) => path.getAttribute("d").slice(1).split("L").map((point) => point.split(" ")))"""


def test_a_mean_is_of_networks_at_one_epoch_though_they_were_tested_at_others_as_well(page):
    """As those are which have grown up beside another window."""
    train(page)
    page.click("[data-is=compare]")
    train(page)
    train(page)
    *twins, middle = [{x: float(y) for x, y in points} for points in page.evaluate(TWINS)]
    assert len(twins) == 4
    assert len({*map(len, twins)}) == 2
    for x, y in middle.items():
        assert y == pytest.approx(np.mean([points[x] for points in twins]), abs=0.11)  # pixels


def test_before_a_press_the_headline_asks_of_the_chosen_deficit(page):
    page.select_option("select.w0", "flip")
    assert "upside down" in page.inner_text("[data-is=head]")


def test_one_network_gives_no_verdict(page):
    screen_of(page, "content.networks = 1")
    assert "no verdict" in train(page)


def test_two_networks_far_apart_are_not_called_level(page):
    page.select_option("select.w0", "flip")
    assert "2 seeds cannot tell" in train(page)


def test_windows_of_unlike_length_are_said(page):
    page.click("[data-is=compare]")
    page.locator(".w1 [data-grip=length]").press("ArrowLeft")
    headline = train(page)
    assert headline.startswith(f"{LENGTH} epochs from birth: ")
    assert "; 7 epochs from epoch 5: " in headline
    assert "not the same length" in headline


def test_stop_in_one_screen_leaves_the_other_growing(used_page, tmp_path):
    page = opened_anew(used_page, write_document(tmp_path, nursery.page(short_lives()) * 2))
    page.locator("[data-is=pictures] canvas").nth(12).wait_for()
    page.evaluate(
        """() => { for (const each of document.querySelectorAll("cplab-nursery")) {
          each.train();
          each.training.began -= 1000; } }"""
    )
    page.locator("[data-is=start]").first.click()
    ended(page)
    assert "points" in page.locator("[data-is=head]").last.inner_text()


# The cell of a screen is run again ----------------------------------------------------------------


def run_again(page, before="", after=""):
    """Put a new screen in the place of that of a page, as a cell does which is run again. In what
    it was given, `before` is replaced by `after`."""
    page.evaluate(
        "(change) => document.body.innerHTML = unopened.replace(...change)", [before, after]
    )
    page.wait_for_selector("[data-is=pictures] canvas")


def test_a_screen_that_is_run_again_shows_what_has_grown_unless_it_is_given_something_else(page):
    page.locator("[data-grip=length]").first.press("ArrowLeft")
    headline = train(page)
    run_again(page)
    page.wait_for_selector(CURVES)
    assert page.inner_text("[data-is=head]") == headline
    run_again(page, '"seed":0', '"seed":1')
    assert page.evaluate(SIZES) == []


def test_what_grows_goes_on_growing_when_its_screen_is_run_again(page):
    page.evaluate(
        """() => {
          const screen = document.querySelector("cplab-nursery");
          screen.press();
          screen.training.hold();
        }"""
    )
    run_again(page)
    assert page.inner_text("[data-is=start]") == "Stop"
    screen_of(page, "training.goOn()")
    assert "points" in ended(page)


# A look inside ------------------------------------------------------------------------------------


def look_inside(page):
    """Open the fold with one network and its twin."""
    page.locator("[data-is=inside] > summary").click()


@pytest.fixture
def inside(page):
    """A screen on which networks have grown up, with its look inside open."""
    train(page)
    look_inside(page)
    page.locator("[data-is=known] rect").first.wait_for()  # a fold says later that it is open
    return page


TESTS_OF = """([seed, epoch]) => {
  const [{window, pairs}] = document.querySelector("cplab-nursery").trained.values();
  const {spoilt, control} = pairs.get(seed);
  const ages = {spoilt: epoch, control: Math.max(0, epoch - window.length)};
  const at = (life, age) => life.tests.findLast((test) => test.age <= age);
  const plain = ({known, step, distance}) => ({known: [...known], step, distance});
  return [at(spoilt, ages.spoilt), at(control, ages.control)].map(plain);
}"""


def squares(page):
    """How many squares are filled, of the network and of its twin."""
    figures = page.locator("[data-is=known] figure").all()
    return [figure.locator("rect.right").count() for figure in figures]


def move_to(page, epoch):
    """Move the slider by keys, from the left."""
    page.locator("[data-is=moment]").press("Home")
    while int(page.locator("[data-is=moment]").input_value()) < epoch:
        page.keyboard.press("ArrowRight")


@pytest.mark.parametrize("epoch", [LENGTH, 15, LENGTH + SHORT["recovery"]])
def test_a_look_inside_shows_each_own_digit_of_a_network_and_its_twin(epoch, inside):
    """At an epoch, in squares and in words."""
    inside.locator("[data-is=chosen]").select_option("network 1, from birth")
    move_to(inside, epoch)
    network, twin = inside.evaluate(TESTS_OF, [1, epoch])
    assert squares(inside) == [sum(network["known"]), sum(twin["known"])]
    assert inside.locator("[data-is=known] rect").count() == 2 * SHORT["digits"]
    words = inside.inner_text("[data-is=said]")
    assert words.startswith(f"Epoch {epoch}")
    for life in (network, twin):
        assert f"{sum(life['known'])} of its 100 digits right" in words
        assert f"distance {life['distance']:.2f}" in words
    assert f"steps of {network['step']:.3f}" in words
    moment = inside.locator("[data-is=moment]")
    assert moment.get_attribute("aria-valuetext") == words


def test_a_look_inside_begins_where_the_deficit_ends_and_its_slider_stays_where_it_is_put(inside):
    moment = inside.locator("[data-is=moment]")
    assert moment.input_value() == f"{LENGTH}"
    move_to(inside, 15)
    train(inside)
    assert moment.input_value() == "15"
    assert inside.locator("[data-is=chosen] option").count() == 4


def test_before_anything_has_grown_a_look_inside_says_what_to_do(page):
    look_inside(page)
    page.locator("[data-is=said]").get_by_text("press Train").wait_for()
    page.locator("[data-is=looking]").wait_for(state="hidden")


# What is spoken, pauses and steps -----------------------------------------------------------------


LISTEN = """(part) => {
  globalThis.heard = [];
  const region = document.querySelector(part);
  const listen = () => heard.push(region.textContent);
  new MutationObserver(listen).observe(region, {childList: true, subtree: true});
}"""


def test_a_live_region_speaks_once_for_each_change_of_meaning(page):
    page.evaluate(LISTEN, "[data-is=head]")
    last = train(page)
    assert page.evaluate("heard") == ["They grow up …", last]


TESTS = """[...document.querySelector('cplab-nursery').trained.values()]
  .flatMap(({pairs}) => [...pairs.values()]).map(({spoilt}) => spoilt.tests.length)[0]"""
QUIET = 300  # milliseconds, in which a page that trains has another test


def held(page):
    """How many tests there are, once there are no more for a while."""
    last = None
    while (now := page.evaluate(TESTS)) != last:
        last = now
        page.wait_for_timeout(QUIET)
    return now


def test_a_pause_holds_what_grows_and_a_step_goes_on_to_the_next_pause(page):
    """By keys; it is spoken once."""
    page.evaluate(LISTEN, "[data-is=status]")
    screen_of(page, "turn({recovery: 3000})")  # which takes long
    unfold(page)
    page.focus("[data-is=start]")
    page.keyboard.press("Enter")
    page.focus("[data-is=hold]")
    page.keyboard.press("Enter")
    before = held(page)
    assert 0 < before < 600
    assert page.evaluate("heard").count("paused") == 1
    page.get_by_role("button", name="Step").press("Enter")
    page.wait_for_function(f"{TESTS} > {before}")
    assert held(page) < 600
    assert page.inner_text("[data-is=hold]") == "Go on"


# What fits: the front page of the site ------------------------------------------------------------


@pytest.fixture(scope="module")
def front(tmp_path_factory):
    return front_page(tmp_path_factory.mktemp("site"), compare=True)


@pytest.fixture(scope="module")
def full(used_page, front):
    """The front page with all folds open, on which networks have grown up."""
    page = opened_anew(used_page, front)
    page.select_option("select.w0", "cover")
    unfold(page)
    look_inside(page)
    train(page)
    yield page
    page.emulate_media(color_scheme="light")


# Where the lowest of the thin lines ends, all looked at in one moment, since they are drawn anew.
LOWEST_LINE = """() => {
  const lines = [...document.querySelectorAll("[data-is=large] path.thin")];
  return Math.max(...lines.map(line => line.getBoundingClientRect().bottom));
}"""


@pytest.mark.parametrize(("size", "scheme"), [(PHONE, "light"), (LAPTOP, "dark")])
def test_all_of_the_page_fits_and_axe_finds_nothing(size, scheme, full):
    full.set_viewport_size(size)
    full.emulate_media(color_scheme=scheme)
    assert full.evaluate("document.documentElement.scrollWidth") <= size["width"]
    assert full.locator("img").bounding_box()["width"] >= 697  # a picture's words stay legible
    figure = full.locator("[data-is=large]").bounding_box()
    end = figure["y"] + figure["height"]
    assert full.evaluate(LOWEST_LINE) <= end
    if size == LAPTOP:
        assert end <= LAPTOP["height"]  # on the first screen
    assert axe_finds(full, "html") == []


NAMES_CUT = """(buttons) => buttons.filter((button) => button.scrollHeight > button.offsetHeight
  || button.getBoundingClientRect().right > innerWidth).map((button) => button.textContent)"""


def test_on_a_touch_screen_no_mask_s_name_is_cut(full):
    touch = full.context.new_cdp_session(full)
    full.set_viewport_size(PHONE)
    touch.send("Emulation.setTouchEmulationEnabled", {"enabled": True})
    assert full.evaluate("matchMedia('(pointer: coarse)').matches")
    assert full.locator("[data-is=masks] button").evaluate_all(NAMES_CUT) == []
    touch.send("Emulation.setTouchEmulationEnabled", {"enabled": False})


# Words of figures that lie on one another
MEET = """() => {
  const words = [...document.querySelectorAll("[data-is=large] text")];
  const boxes = words.map((one) => [one.textContent, one.getBoundingClientRect()]);
  const overlap = (one, other) => one.left < other.right && other.left < one.right
    && one.top < other.bottom - 5 && other.top < one.bottom - 5;  // a box has room above and below
  const pairs = boxes.flatMap(([a, one], i) => boxes.slice(i + 1)
    .filter(([, other]) => overlap(one, other)).map(([b]) => [a, b]));
  return {count: words.length, pairs};
}"""


@pytest.mark.parametrize("size", [PHONE, LAPTOP])
@pytest.mark.parametrize("onset", [0, 5, 8])
def test_no_words_of_the_figure_lie_on_others(onset, size, page):
    """Wherever the second window lies, beside a line that was there before."""
    page.set_viewport_size(size)
    page.locator("[data-grip=length]").first.press("ArrowLeft")
    train(page)
    page.locator("[data-grip=length]").first.press("ArrowRight")
    page.click("[data-is=compare]")
    screen_of(page, f"change(1, {{onset: {onset}}})")
    train(page)
    found = page.evaluate(MEET)
    assert found["count"] > 10
    assert found["pairs"] == []


EDGE_OF_HARM = """() => {
  const words = [...document.querySelectorAll("[data-is=large] text")];
  return Math.max(...words.map((one) => one.getBoundingClientRect().right));
}"""


def test_on_a_phone_the_line_of_time_says_its_parts_beside_the_harm_of_one_network(page):
    page.set_viewport_size({"width": 350, "height": 640})
    screen_of(page, "content.networks = 1")
    train(page)
    assert page.evaluate(EDGE_OF_HARM) <= 350
    parts = page.locator(".w0 > div > span:visible")
    assert parts.all_inner_texts() == ["blur 12", "clear 8"]
    screen_of(page, "change(0, {length: 3})")  # too short for its name
    assert parts.first.inner_text() == "3"
