"""The Nursery on a page without Python: what is grown there, and what the page says of it."""

import pytest
import torch
from browser import plain_page
from nursery import choose, front_page, opened, opened_anew, short_lives, train, write_document

from cplab.lab import tiny
from cplab.measure.builtin import share_in_detail


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    return front_page(tmp_path_factory.mktemp("site"))


@pytest.fixture
def page(used_page, address):
    """A screen that has trained nothing yet."""
    return opened_anew(used_page, address)


CURVES = "path.spoilt.thin"
BOTH_FIGURES = 2  # each network has a curve in either


@pytest.fixture(scope="module")
def grown(chromium, address):
    """A page on which two networks and their twins have grown up, which is only looked at."""
    with opened(chromium, address) as page:
        train(page)
        yield page


def test_a_press_ends_in_a_headline_of_points(grown):
    assert "points" in grown.inner_text("[data-is=head]")


def test_each_network_has_a_curve(grown):
    assert grown.locator(CURVES).count() == 2 * BOTH_FIGURES


def test_a_list_of_what_was_tried_has_the_interval_of_the_figure(grown):
    _, interval = grown.inner_text("[data-is=tried] button").split(": ")
    assert interval == grown.text_content("[data-is=large] .harm")


@pytest.fixture
def reloaded(page):
    """A page that was loaded again after two networks and their twins had grown up."""
    train(page)
    page.reload()
    page.locator("[data-is=tried] button").wait_for()
    return page


def test_curves_are_there_after_a_reload(reloaded):
    assert reloaded.locator(CURVES).count() == 2 * BOTH_FIGURES


def test_the_headline_is_there_after_a_reload(reloaded, grown):
    assert reloaded.inner_text("[data-is=head]") == grown.inner_text("[data-is=head]")


def test_a_page_that_knows_nothing_trains_the_same_seeds_again(page, grown):
    assert train(page) == grown.inner_text("[data-is=head]")


def test_another_press_adds_networks(page):
    headline = train(page)
    assert train(page) != headline
    assert page.locator(CURVES).count() == 4 * BOTH_FIGURES


def test_another_point_does_not_show_these_curves(page):
    train(page)
    page.locator("[data-grip=length]").press("ArrowLeft")
    assert page.locator(CURVES).count() == 0


def test_a_click_on_what_was_tried_leads_back_to_its_curves(page):
    train(page)
    page.locator("[data-grip=length]").press("ArrowLeft")
    page.click("[data-is=tried] button")
    assert page.locator(CURVES).count() == 2 * BOTH_FIGURES


def test_a_change_stops_what_is_training(page):
    page.click("[data-is=start]")
    page.click("[name=kind][value=flip]")
    page.wait_for_selector("[data-is=progress]", state="hidden")
    assert page.locator(CURVES).count() == 0


def test_before_a_press_the_headline_asks_of_the_chosen_deficit(page):
    page.click("[name=kind][value=flip]")
    assert "upside down" in page.inner_text("[data-is=head]")


def test_one_network_gives_no_verdict(page):
    page.evaluate("document.querySelector('cplab-nursery').content.networks = 1")
    assert "no verdict" in train(page)


def test_a_list_of_what_was_tried_names_a_knob_that_was_turned(page):
    page.get_by_text("Knobs").click()
    page.select_option("[name=layers]", "1")
    train(page)
    assert "layers 1" in page.locator("[data-is=tried] button").inner_text()


def test_stop_in_one_screen_leaves_the_other_growing(chromium, tmp_path):
    address = write_document(tmp_path, tiny.page(short_lives()) * 2)
    with plain_page(chromium) as page:
        page.goto(address)
        page.locator("[data-is=pictures] canvas").nth(16).wait_for()
        page.evaluate(
            """() => { for (const each of document.querySelectorAll("cplab-nursery")) {
              each.train();
              each.task.began -= 1000; } }"""
        )
        page.locator("[data-is=start]").first.click()
        last = page.locator("cplab-nursery").last
        last.locator("[data-is=progress]").wait_for(state="hidden")
        assert "points" in last.locator("[data-is=head]").inner_text()


# What they look for -------------------------------------------------------------------------------


@pytest.mark.parametrize("side", [2, 3, 4, 6])
def test_the_detail_share_is_that_of_the_package(side, grown):
    change = torch.randn(64, 1, 12, 12, generator=torch.Generator().manual_seed(0))
    program = tiny.SCRIPT.partition("{")[2].rpartition("customElements.define")[0]
    share = """([program, values, side]) =>
      new Function(`${program}; return detailShare`)()(values, side)"""
    said = grown.evaluate(share, [program, change.flatten().tolist(), side])
    assert said == pytest.approx(share_in_detail(change.double(), side), abs=1e-6)


@pytest.fixture(scope="module")
def looking(grown):
    """The page on which networks have grown up, where they show what they look for."""
    grown.get_by_text("What they look for").click()
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
    assert ", 0 % is detail" in after_the_mosaic.inner_text("[data-is=found]")


def test_a_twin_is_unborn_while_the_mosaic_lasts(after_the_mosaic):
    """It has no such epochs, so there are no pictures of its units."""
    assert after_the_mosaic.locator("canvas.weights").count() == 8


def pictures_of(page, seed):
    """The pictures of first units, of one network and its twin, as they are drawn."""
    page.locator("[data-is=chosen]").select_option(f"{seed}")
    page.get_by_text(f"network {seed}, deprived").wait_for()
    page.locator("canvas.weights").nth(15).wait_for()
    pictures = "[...document.querySelectorAll('canvas.weights')].map((one) => one.toDataURL())"
    return page.evaluate(pictures)


def test_each_pair_has_its_own_pictures(looking):
    first = pictures_of(looking, 0)
    second = pictures_of(looking, 1)
    assert len(first) == len(second) == 16
    assert not {*first} & {*second}


def test_a_pair_that_is_chosen_again_has_the_same_pictures(looking):
    first = pictures_of(looking, 0)
    pictures_of(looking, 1)
    assert pictures_of(looking, 0) == first


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


@pytest.fixture(scope="module")
def paused_by_keys(chromium, address):
    """A page whose training, which takes long, was begun and held by keys."""
    with opened(chromium, address) as page:
        page.evaluate(LISTEN, "[data-is=status]")
        page.evaluate("document.querySelector('cplab-nursery').content.networks = 1")
        choose(page, recovery=1000)
        page.focus("[data-is=start]")
        page.keyboard.press("Enter")
        page.wait_for_selector("[data-is=hold]")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        page.wait_for_function("document.activeElement.textContent === 'Go on'")
        yield page


PROGRESS = "document.querySelector('[data-is=progress]').value"


QUIET = 300  # milliseconds, in which a page that trains draws what was trained


def held(page):
    """How much is trained, once it has not moved for a while."""
    last = None
    while (now := page.evaluate(PROGRESS)) != last:
        last = now
        page.wait_for_timeout(QUIET)
    return now


def test_a_pause_by_keys_holds_what_grows(paused_by_keys):
    assert held(paused_by_keys) < 1


def test_a_pause_is_spoken_once(paused_by_keys):
    held(paused_by_keys)
    assert paused_by_keys.evaluate("heard").count("paused") == 1


@pytest.fixture(scope="module")
def went_on(paused_by_keys):
    """The page after training went on, by a key, to its end."""
    paused_by_keys.keyboard.press("Enter")
    paused_by_keys.wait_for_selector("[data-is=progress]", state="hidden")
    return paused_by_keys


def test_after_a_pause_training_goes_on_to_its_end(went_on):
    seconds = went_on.evaluate("heard")[-1].removesuffix(" s")
    assert int(seconds) >= 0


def test_after_a_pause_by_keys_the_focus_ends_on_train(went_on):
    assert went_on.evaluate("document.activeElement.dataset.is") == "start"


@pytest.fixture
def stepped(page):
    """A page whose training is held, after a press on Step, and how much was trained before."""
    choose(page, recovery=3000)
    page.locator("[data-is=start]").click()
    page.get_by_role("button", name="Pause").click()
    before = held(page)
    page.get_by_role("button", name="Step").press("Enter")
    page.wait_for_function(f"{PROGRESS} > {before}")
    return page


def test_after_a_step_training_holds_again(stepped):
    assert held(stepped) < 1
    assert stepped.evaluate("document.activeElement.textContent") == "Step"
