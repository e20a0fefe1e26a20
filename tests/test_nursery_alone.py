"""The Nursery: what grows up, what the page says and draws of it, and what it keeps."""

import numpy as np
import pytest
from nursery import (
    ended,
    front_page,
    opened,
    opened_anew,
    screen_of,
    short_lives,
    train,
    unfold,
    write_document,
)

from cplab.lab import tiny


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """A page with one window."""
    return write_document(tmp_path_factory.mktemp("page"), tiny.page(short_lives()))


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """The site's front page, with two windows."""
    return front_page(tmp_path_factory.mktemp("site"), compare=True)


@pytest.fixture
def page(used_page, address):
    """A screen that has trained nothing yet."""
    return opened_anew(used_page, address)


CURVES = "[data-is=large] path.spoilt.thin"
PALE = "[data-is=large] path.pale"
SIZES = """[...document.querySelector('cplab-nursery').trained.values()]
  .map(({pairs}) => pairs.size)"""


@pytest.fixture(scope="module")
def grown(chromium, address):
    """A page on which two networks and their twins have grown up, which is only looked at."""
    with opened(chromium, address) as page:
        train(page)
        yield page


@pytest.fixture(scope="module")
def compared(chromium, both):
    """The same with two windows."""
    with opened(chromium, both) as page:
        train(page)
        yield page


def test_a_press_ends_in_a_headline_of_points(grown):
    assert "points" in grown.inner_text("[data-is=head]")


def test_each_network_has_a_curve(grown):
    assert grown.locator(CURVES).count() == 2


def test_the_headline_says_the_interval_of_the_figure(grown):
    interval = grown.text_content("[data-is=large] .harm").strip("−")
    assert interval in grown.inner_text("[data-is=head]")


def test_the_figure_says_where_twins_are_born(grown):
    assert "born here" in grown.text_content("[data-is=large]")


def test_one_press_trains_both_windows(compared):
    harms = compared.locator("[data-is=large] .harm").all_text_contents()
    headline = compared.inner_text("[data-is=head]")
    assert headline.startswith("From birth")
    assert "after 5 clear epochs" in headline
    assert all(harm in headline for harm in harms)
    assert len(harms) == 2


def test_both_lines_have_their_names(compared):
    assert compared.locator("[data-is=large] .name").all_text_contents() == [
        "from birth",
        "after 5",
    ]


def test_one_window_of_two_has_the_harm_that_it_has_alone(compared, page):
    headline = train(page)
    alone = page.text_content("[data-is=large] .harm").strip("−")
    assert alone in headline
    assert alone in compared.inner_text("[data-is=head]")


def test_equal_seeds_grow_up_equal_again(page, grown):
    assert train(page) == grown.inner_text("[data-is=head]")


def test_another_press_adds_networks(page):
    headline = train(page)
    assert train(page) != headline
    assert page.locator(CURVES).count() == 4


def test_a_window_that_moves_leaves_its_line_pale(page):
    train(page)
    page.locator("[data-grip=length]").first.press("ArrowLeft")
    assert page.locator(CURVES).count() == 0
    assert page.locator(PALE).count() == 1


def test_a_window_that_moves_back_has_its_lines_again(page):
    train(page)
    page.locator("[data-grip=length]").first.press("ArrowLeft")
    page.locator("[data-grip=length]").first.press("ArrowRight")
    assert page.locator(CURVES).count() == 2


def test_pale_lines_stay_until_they_are_cleared(page):
    train(page)
    page.locator("[data-grip=length]").first.press("ArrowLeft")
    unfold(page)
    page.click("[data-is=clear]")
    assert page.locator(PALE).count() == 0


def test_a_press_trains_the_window_that_is_behind(page):
    """The second window is trained at the press, while the first keeps its networks."""
    train(page)
    page.click("[data-is=compare]")
    train(page)
    assert page.evaluate(SIZES) == [2, 2]


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


def test_a_knob_makes_other_networks(page, grown):
    unfold(page)
    page.select_option("[name=layers]", "1")
    assert train(page) != grown.inner_text("[data-is=head]")


def test_stop_in_one_screen_leaves_the_other_growing(chromium, tmp_path):
    address = write_document(tmp_path, tiny.page(short_lives()) * 2)
    with opened(chromium, address) as page:
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


def test_a_screen_that_is_run_again_shows_what_has_grown_where_the_window_stands(page):
    page.locator("[data-grip=length]").first.press("ArrowLeft")
    headline = train(page)
    run_again(page)
    page.wait_for_selector(CURVES)
    assert page.inner_text("[data-is=head]") == headline


def test_what_grows_goes_on_growing_when_its_screen_is_run_again(page, grown):
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
    assert ended(page) == grown.inner_text("[data-is=head]")


def test_a_screen_that_is_given_something_else_begins_anew(page):
    train(page)
    run_again(page, '"seed":0', '"seed":1')
    assert page.evaluate(SIZES) == []


# What they look for -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def looking(grown):
    """The page on which networks have grown up, where they show what they look for."""
    unfold(grown)
    grown.locator("canvas.weights").nth(15).wait_for()  # a fold says later that it is open
    return grown


@pytest.fixture
def after_the_mosaic(looking):
    """The same, at the age at which the mosaic ends."""
    move = "(range, to) => { range.value = to; range.oninput(); }"
    moment = looking.locator("[data-is=moment]")
    moment.evaluate(move, 1)
    yield looking
    moment.evaluate(move, 100)  # the last


def test_an_age_at_which_units_were_looked_at_is_named(after_the_mosaic):
    assert after_the_mosaic.inner_text("[data-is=age]") == "12"


def test_a_network_that_saw_only_a_mosaic_has_learned_no_detail(after_the_mosaic):
    assert "0 % of what it has learned" in after_the_mosaic.inner_text("[data-is=units]")


def pictures_of(page, seed):
    """The pictures of first units, of one network and its twin, as they are drawn."""
    page.locator("[data-is=chosen]").select_option(f"{seed}")
    page.get_by_text(f"network {seed} from birth").wait_for()
    pictures = "[...document.querySelectorAll('canvas.weights')].map((one) => one.toDataURL())"
    return page.evaluate(pictures)


def test_each_pair_has_its_own_pictures(looking):
    first = pictures_of(looking, 0)
    second = pictures_of(looking, 1)
    assert len(first) == len(second) == 16
    assert not {*first} & {*second}


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


@pytest.fixture
def paused(page):
    """A page whose training, which takes long, is held by keys."""
    page.evaluate(LISTEN, "[data-is=status]")
    screen_of(page, "turn({recovery: 3000})")
    unfold(page)
    page.focus("[data-is=start]")
    page.keyboard.press("Enter")
    page.focus("[data-is=hold]")
    page.keyboard.press("Enter")
    return page


def test_a_pause_holds_what_grows_and_is_spoken_once(paused):
    assert 0 < held(paused) < 600
    assert paused.evaluate("heard").count("paused") == 1


def test_after_a_step_training_holds_again(paused):
    before = held(paused)
    paused.get_by_role("button", name="Step").press("Enter")
    paused.wait_for_function(f"{TESTS} > {before}")
    assert held(paused) < 600
    assert paused.inner_text("[data-is=hold]") == "Go on"


def test_the_time_that_it_took_is_said_in_the_end(grown):
    assert grown.inner_text("[data-is=status]").startswith("took ")
