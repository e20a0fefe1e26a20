"""The screen on which networks grow up: on a page from a file, and with a kernel behind it."""

import contextlib
import json
import re
import time
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest
import torch
from browser import axe_finds, plain_page
from conftest import one_line, tell_python

import cplab
from cplab import data, deficits, quantities
from cplab.estimates import Estimate, estimate
from cplab.lab import growing, jobs, tiny
from cplab.labs import lab00, lab04
from cplab.measure.builtin import share_in_detail
from cplab.runs import Run
from cplab.teach import site

LAPTOP = {"width": 1366, "height": 768}
SHORT = {"length": 12, "recovery": 8, "digits": 100}  # epochs, so that the tests take seconds
POINT = tiny.PLACE | {"onset": 3, "length": 7, "recovery": 6, "digits": 100, "layers": 1}


@pytest.fixture(scope="module")
def short():
    """What a page holds, with short lives."""
    return tiny.content(networks=2) | {"place": tiny.PLACE | SHORT, "window": 20}


@pytest.fixture(scope="module")
def address(tmp_path_factory, short):
    """The front page as a file."""
    path = tmp_path_factory.mktemp("site") / "index.html"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiny, "content", lambda: short)
        site.write_page(path, site.front({}), '<a href="index.html">cplab</a>')
    return path.as_uri()


@pytest.fixture
def page(chromium, address):
    """The page; an error of its scripts fails the test."""
    with plain_page(chromium, viewport=LAPTOP) as page:
        page.goto(address)
        page.wait_for_selector("[data-is=pictures] canvas")
        yield page


@pytest.fixture
def kernel(chromium, short):
    """A page with several screens of one kernel, which a test plays: `sent` has what they tell it,
    and `say` tells them something."""
    script = """globalThis.sent = []; globalThis.hear = []; globalThis.cplabLinks = {there: {
      send: (message) => { if (globalThis.gone) throw Error("no kernel"); sent.push(message); },
      on: (kind, heard) => kind === "msg:custom" && hear.push(heard)}};"""
    screens = tiny.page(short, "there") * 2
    body = f"<script>{script}</script>{screens}<script>{tiny.SCRIPT}</script>"
    with plain_page(chromium) as page:
        page.set_content(f"<!doctype html><meta charset=utf-8>{body}")
        page.wait_for_function("hear.length === 2")
        page.say = lambda **message: page.evaluate("(m) => hear.forEach((f) => f(m))", message)
        yield page


@pytest.fixture
def fresh(monkeypatch):
    """A start of Python in which nothing was trained."""
    start = growing.Growing()
    monkeypatch.setattr(tiny, "GROWING", start)
    yield start
    assert start.wait(300)


def train(page):
    """Press Train, wait for the end, and give the headline."""
    page.locator("[data-is=start]").first.click()
    page.locator("[data-is=progress]").first.wait_for(state="hidden")
    return page.locator("[data-is=head]").first.inner_text()


def choose(page, **change):
    """Set knobs to values that they do not offer."""
    page.evaluate("(change) => document.querySelector('cplab-nursery').choose(change)", change)


def screen(**options):
    """A screen that was greeted by its page, and what it tells it."""
    nursery = tiny.Nursery(**options)
    messages = []
    nursery.link.send = messages.append
    tell_python(nursery.link, {"hello": True})
    return nursery, messages


def ask(nursery, point, key="here"):
    """Press Train at a point."""
    tell_python(nursery.link, {"train": point, "key": key, "words": f"words of {key}"})


def endings(messages):
    """What a page was told of each wish that has ended, by its key."""
    return {message["ended"]: message for message in messages if "ended" in message}


# A page without Python ----------------------------------------------------------------------------

CURVES = "path.spoilt.thin"
BOTH_FIGURES = 2  # each network has a curve in either


@contextlib.contextmanager
def trained_page(chromium, address):
    """A page as wide as a laptop's on which two networks and their twins have grown up."""
    with plain_page(chromium, viewport=LAPTOP) as page:
        page.goto(address)
        page.wait_for_selector("[data-is=pictures] canvas")
        train(page)
        yield page


@pytest.fixture(scope="module")
def grown(chromium, address):
    """A page on which two networks and their twins have grown up, which is only looked at."""
    with trained_page(chromium, address) as page:
        yield page


def test_a_press_ends_in_a_headline_of_points(grown):
    assert "points" in grown.inner_text("[data-is=head]")


def test_each_network_has_a_curve(grown):
    assert grown.locator(CURVES).count() == 2 * BOTH_FIGURES


def test_a_list_of_what_was_tried_has_the_interval_of_the_figure(grown):
    _, interval = grown.inner_text("[data-is=tried] button").split(": ")
    assert interval == grown.text_content("[data-is=large] .harm")


def test_curves_are_there_after_a_reload(page):
    train(page)
    page.reload()
    page.locator("[data-is=tried] button").wait_for()
    assert page.locator(CURVES).count() == 2 * BOTH_FIGURES


def test_the_headline_is_there_after_a_reload(page):
    headline = train(page)
    page.reload()
    page.locator("[data-is=tried] button").wait_for()
    assert page.inner_text("[data-is=head]") == headline


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


SIZES = {"phone": {"width": 390, "height": 768}, "laptop": LAPTOP}
SCHEMES = {"phone": "light", "laptop": "dark"}


@pytest.fixture(scope="module", params=SIZES)
def full(request, chromium, address):
    """A page of some size with all folds open, on which networks have grown up."""
    size = SIZES[request.param]
    with plain_page(chromium, viewport=size, color_scheme=SCHEMES[request.param]) as page:
        page.goto(address)
        page.wait_for_selector("[data-is=pictures] canvas")
        page.click("[name=kind][value=cover]")
        for part in ("Ask them", "What they look for", "Knobs"):
            page.get_by_text(part).click()
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


def test_on_a_touch_screen_no_mask_s_name_is_cut(chromium, address):
    phone = {"viewport": SIZES["phone"], "has_touch": True, "is_mobile": True}
    with plain_page(chromium, **phone) as page:
        page.goto(address)
        page.click("[name=kind][value=cover]")
        cut = """(buttons) => buttons.filter((one) => one.scrollHeight > one.offsetHeight
          || one.getBoundingClientRect().right > innerWidth).map((one) => one.textContent)"""
        assert page.locator("[data-is=masks] button").evaluate_all(cut) == []


def test_on_a_phone_the_line_of_time_says_its_parts_beside_a_harm(page):
    page.set_viewport_size({"width": 350, "height": 640})
    train(page)
    parts = page.locator("[data-is=line] > div > span:visible")
    assert parts.all_inner_texts() == ["blur 12", "clear 8"]


HARM_AND_EDGE = """() => {
  const words = document.querySelector("[data-is=large] text.harm:not(.middle)");
  return [words.getBoundingClientRect().right, innerWidth];
}"""


def test_on_a_phone_the_harm_of_one_network_fits_beside_its_curve(page):
    page.set_viewport_size({"width": 390, "height": 844})
    page.evaluate("document.querySelector('cplab-nursery').content.networks = 1")
    train(page)
    right, edge = page.evaluate(HARM_AND_EDGE)
    assert right <= edge


def test_a_part_of_the_line_of_time_that_is_too_short_for_its_name_says_its_epochs(page):
    page.set_viewport_size({"width": 390, "height": 844})
    page.fill("[name=length]", "3")
    page.keyboard.press("Enter")
    parts = page.locator("[data-is=line] > div > span:visible")
    assert parts.first.inner_text() == "3"


def test_axe_finds_nothing(full):
    assert axe_finds(full, "html") == []


@pytest.fixture
def phone(page):
    """The page on a phone."""
    page.set_viewport_size(SIZES["phone"])
    return page


def window(page):
    """The window's onset and length, as their numbers say."""
    values = [page.input_value(f"[type=number][name={name}]") for name in ("onset", "length")]
    return [int(value) for value in values]


def test_an_arrow_key_moves_the_window(phone):
    phone.locator("[data-grip=onset]").press("ArrowRight")
    assert window(phone) == [5, 12]


def test_the_begin_that_is_dragged_to_the_end_stops_before_it(phone):
    phone.locator("[data-grip=begin]").drag_to(phone.locator("[data-is=after]"), force=True)
    assert window(phone) == [11, 1]


def test_the_begin_can_be_dragged_back_from_where_it_meets_the_end(phone):
    begin = phone.locator("[data-grip=begin]")
    begin.drag_to(phone.locator("[data-is=after]"), force=True)
    begin.drag_to(phone.locator("[data-is=line]"), force=True, target_position={"x": 1, "y": 9})
    assert window(phone) == [0, 12]


@pytest.mark.parametrize(
    ("keys", "seen"),
    [
        (["Home"], [0, 12]),
        (["ArrowRight"], [5, 7]),
        (["ArrowRight", "ArrowRight"], [10, 2]),
        (["ArrowRight", "Home"], [0, 12]),
    ],
)
def test_keys_move_the_begin_alone(keys, seen, phone):
    begin = phone.locator("[data-grip=begin]")
    for key in keys:
        begin.press(key)
    assert window(phone) == seen


def test_a_typed_number_is_the_window_s_length(phone):
    phone.fill("[name=length]", "10")
    phone.keyboard.press("Enter")
    assert window(phone) == [0, 10]


def grab(page):
    """Put the mouse down on the window, a little beside its middle, and give where."""
    box = page.locator("[data-grip=onset]").bounding_box()
    x = box["x"] + 20
    y = box["y"] + 20
    page.mouse.move(x, y)
    page.mouse.down()
    return x, y


def test_a_window_does_not_jump_wherever_it_is_grabbed(phone):
    choose(phone, onset=5)
    x, y = grab(phone)
    phone.mouse.move(x + 1, y)
    assert window(phone) == [5, 12]


def test_a_window_is_dragged_to_birth_at_most(phone):
    choose(phone, onset=5)
    grab(phone)
    phone.mouse.move(0, 0, steps=4)
    phone.mouse.up()
    assert window(phone) == [0, 12]


def test_stop_in_one_screen_leaves_the_other_growing(chromium, short, tmp_path):
    path = tmp_path / "two.html"
    body = f"{tiny.page(short)}{tiny.page(short)}<script>{tiny.SCRIPT}</script>"
    path.write_text(f"<!doctype html><meta charset=utf-8>{body}")
    with plain_page(chromium) as page:
        page.goto(path.as_uri())
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


# A mask -------------------------------------------------------------------------------------------


@pytest.fixture
def bare(page):
    """The page with a mask that covers nothing."""
    page.click("[name=kind][value=cover]")
    page.get_by_role("button", name="nothing").click()
    return page


def stroke(page, first, last, steps=1):
    """Draw with the mouse from one field of the mask to another."""
    start = page.get_by_label(first, exact=True).bounding_box()
    end = page.get_by_label(last, exact=True).bounding_box()
    page.mouse.move(start["x"] + 5, start["y"] + 5)
    page.mouse.down()
    page.mouse.move(end["x"] + 5, end["y"] + 5, steps=steps)
    page.mouse.up()


def painted(page):
    """The mask on the screen, as the deficit of the line of Python."""
    code = page.inner_text("[data-is=code]")
    return eval(code, {"cplab": cplab}).deficit


def test_a_mask_that_covers_nothing_cannot_be_trained(bare):
    assert bare.is_disabled("[data-is=start]")


def test_a_mask_is_painted_by_mouse(bare):
    stroke(bare, "row 2, column 3", "row 2, column 6", steps=8)
    fields = np.zeros((12, 12), bool)
    fields[1, 2:6] = True
    assert painted(bare) == deficits.mask_name(fields)


def test_the_name_of_a_point_counts_the_fields_that_are_covered(bare):
    stroke(bare, "row 2, column 3", "row 2, column 6", steps=8)
    assert "4 of 144 fields" in bare.evaluate("document.querySelector('cplab-nursery').words")


def test_a_fast_stroke_paints_all_fields_that_it_passes(bare):
    stroke(bare, "row 2, column 2", "row 11, column 11", steps=1)
    covered = deficits.read_mask(
        bare.evaluate("document.querySelector('cplab-nursery').place.mask")
    )
    assert np.diag(covered)[1:11].all()


def test_a_mask_is_painted_by_keys(page):
    page.click("[name=kind][value=cover]")
    page.get_by_role("button", name="centre").click()
    page.get_by_label("row 1, column 1", exact=True).focus()
    for key in ("Space", "ArrowRight", "ArrowDown", "Space", "Space", "ArrowLeft", "Space"):
        page.keyboard.press(key)
    fields = np.array(deficits.read_mask(deficits.MASKS["centre"]))
    fields[:2, 0] = True
    assert painted(page) == deficits.mask_name(fields)


def test_a_line_of_python_is_the_run_of_the_point(page):
    choose(page, layers=3, scale=1, rate=0.3, block=4)
    code = page.inner_text("[data-is=code]")
    place = page.evaluate("document.querySelector('cplab-nursery').place")
    assert eval(code, {"cplab": cplab}) == growing.run_at(place, 0)


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
def looking(chromium, address):
    """A page on which networks have grown up, and show what they look for."""
    with trained_page(chromium, address) as page:
        page.get_by_text("What they look for").click()
        page.locator("canvas.weights").nth(15).wait_for()  # a fold says later that it is open
        yield page


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


# Ask them -----------------------------------------------------------------------------------------

DOWNWARDS = [(84, 30), (84, 140)]


@pytest.fixture
def sheet(page):
    """The page with the sheet on which digits are drawn."""
    page.get_by_text("Ask them").click()
    return page


def draw(page, points):
    """Draw a line through points of the sheet, from 0 to 168."""
    sheet = page.locator("[data-is=sheet]")
    sheet.scroll_into_view_if_needed()
    box = sheet.bounding_box()
    first, *others = points
    page.mouse.move(box["x"] + first[0], box["y"] + first[1])
    page.mouse.down()
    for x, y in others:
        page.mouse.move(box["x"] + x, box["y"] + y, steps=4)
    page.mouse.up()


def ink_of(page):
    """The ink that the networks are asked about, (12, 12)."""
    drawn = page.evaluate("[...document.querySelector('cplab-nursery').drawn]")
    return np.array(drawn).reshape(12, 12)


def ends(line):
    """The first and the last pixel of a line that is inked."""
    [inked] = np.nonzero(line > 0.02)
    return inked[0], inked[-1]


DIGITS = [DOWNWARDS, [(100, 60), (140, 150), (60, 150)]]


@pytest.mark.parametrize("points", DIGITS, ids=["stroke", "hook"])
def test_a_drawn_digit_is_centred_as_the_digits_are(points, sheet):
    draw(sheet, points)
    ink = ink_of(sheet)
    for line in (ink.sum(0), ink.sum(1)):
        assert sum(ends(line)) == pytest.approx(11, abs=1)


@pytest.mark.parametrize("points", DIGITS, ids=["stroke", "hook"])
def test_the_longer_side_of_a_drawn_digit_is_that_of_the_digits(points, sheet):
    draw(sheet, points)
    ink = ink_of(sheet)
    spans = [1 + last - first for first, last in (ends(ink.sum(0)), ends(ink.sum(1)))]
    assert max(spans) in (8, 9, 10)  # 0.675 of 12 pixels, and those that are hardly inked


def test_ink_is_at_most_black(sheet):
    draw(sheet, DIGITS[1])
    assert ink_of(sheet).max() <= 1.001


def test_before_they_have_grown_up_nobody_takes_a_drawing_for_anything(sheet):
    draw(sheet, DOWNWARDS)
    assert "press Train" in sheet.inner_text("[data-is=opinion]")


@pytest.fixture
def answered(sheet):
    """The page with what two networks take a stroke for."""
    train(sheet)
    draw(sheet, DOWNWARDS)
    return sheet


BARS = "[data-is=answers] .spoilt > div"


def test_they_say_what_they_take_a_drawing_for(answered):
    assert answered.inner_text("[data-is=opinion]").startswith("2 deprived networks")


def test_the_likeliest_digits_come_first(answered):
    bars = answered.locator(BARS).all()
    assert len(bars) == 5
    percents = [int(bar.inner_text().split("\n")[-1].strip(" %")) for bar in bars]
    assert percents == sorted(percents, reverse=True)


def test_the_answer_to_a_drawing_is_wiped_off_with_it(answered):
    answered.get_by_role("button", name="Wipe it off").click()
    assert answered.locator(BARS).count() == 0


def test_a_digit_is_drawn_by_keys(sheet):
    sheet.locator("[data-is=sheet]").focus()
    for key in ("ArrowUp", "ArrowUp", "Space", "ArrowDown", "ArrowDown", "ArrowDown", "Space"):
        sheet.keyboard.press(key)
    sheet.keyboard.press("ArrowLeft")
    assert ink_of(sheet).sum(0).argmax() in (5, 6)  # one upright stroke


# What is spoken, pauses and keys that are held ----------------------------------------------------

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


@pytest.fixture
def paused_by_keys(page):
    """A page whose training, which takes long, was begun and held by keys."""
    page.evaluate(LISTEN, "[data-is=status]")
    choose(page, recovery=1000)
    page.focus("[data-is=start]")
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-is=hold]")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_function("document.activeElement.textContent === 'Go on'")
    return page


PROGRESS = "document.querySelector('[data-is=progress]').value"


def held(page):
    """How much is trained, once it has not moved for a while."""
    last = None
    while (now := page.evaluate(PROGRESS)) != last:
        last = now
        page.wait_for_timeout(500)
    return now


def test_a_pause_by_keys_holds_what_grows(paused_by_keys):
    assert held(paused_by_keys) < 1


def test_a_pause_is_spoken_once(paused_by_keys):
    held(paused_by_keys)
    assert paused_by_keys.evaluate("heard").count("paused") == 1


@pytest.fixture
def went_on(paused_by_keys):
    """The page after training went on, by a key, to its end."""
    paused_by_keys.keyboard.press("Enter")
    paused_by_keys.wait_for_selector("[data-is=progress]", state="hidden")
    return paused_by_keys


def test_after_a_pause_training_goes_on_to_its_end(went_on):
    seconds = went_on.evaluate("heard")[-1].removesuffix(" s")
    assert int(seconds) >= 0
    assert went_on.evaluate("document.activeElement.dataset.is") == "start"  # where the key was


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


def test_enter_that_is_held_on_train_presses_once(page):
    page.focus("[data-is=start]")
    for _ in range(6):  # down again without up is what a held key sends
        page.keyboard.down("Enter")
    page.keyboard.up("Enter")
    page.wait_for_selector("[data-is=progress]", state="hidden")
    assert "points" in page.inner_text("[data-is=head]")


def test_a_space_bar_that_is_held_paints_one_field_once(page):
    page.click("[name=kind][value=cover]")
    page.focus("[role=gridcell][data-x='0'][data-y='0']")
    before = page.evaluate("document.querySelector('cplab-nursery').place.mask")
    for _ in range(6):
        page.keyboard.down(" ")
    page.keyboard.up(" ")
    after = page.evaluate("document.querySelector('cplab-nursery').place.mask")
    assert int(before, 16) ^ int(after, 16) == 1 << 143  # the first of 144 fields


def test_a_space_bar_that_is_held_puts_the_pen_down_once(sheet):
    sheet.locator("[data-is=sheet]").focus()
    for _ in range(6):  # an even number, after which the pen would be up again
        sheet.keyboard.down(" ")
    sheet.keyboard.up(" ")
    for _ in range(3):
        sheet.keyboard.press("ArrowUp")
    inked = ink_of(sheet) > 0.5
    rows = inked.any(1).sum()
    columns = inked.any(0).sum()
    assert rows > columns + 1  # a stroke, not a point


def test_a_second_press_at_once_is_the_same_press(page):
    page.dblclick("[data-is=start]")
    page.wait_for_selector("[data-is=progress]", state="hidden")
    assert "points" in page.inner_text("[data-is=head]")


# A page with a kernel, which the test plays -------------------------------------------------------

LIFE = {"tests": [[8, 50, 50]], "answers": [0] * 1000, "looks": []}
PAIR = {"spoilt": LIFE, "control": LIFE}


def offers(session="one", **more):
    """What Python says to a greeting."""
    return {"offers": {"python": True, "networks": 2, "fresh": False}, "session": session, **more}


def wish_of(page, waits=False):
    """What Python says to a press."""
    return {
        "key": page.evaluate("document.querySelector('cplab-nursery').key"),
        "place": page.evaluate("document.querySelector('cplab-nursery').place"),
        "plans": [
            {"seed": 100, "arm": "spoilt", "epochs": 20},
            {"seed": 100, "arm": "control", "epochs": 8},
        ],
        "waits": waits,
    }


LOOK = """() => {
  const look = (part) => ({...getComputedStyle(document.querySelector(`cplab-nursery ${part}`))});
  return [look("[data-is=start]"), look("[data-is=line] i")];
}"""


def test_the_screen_stays_as_it_looks_when_other_elements_come(kernel):
    before = kernel.evaluate(LOOK)
    kernel.add_script_tag(content=jobs.SCRIPT)
    assert kernel.evaluate(LOOK) == before


def known_at(wish, seeds):
    """What Python says of a wish that was trained."""
    pairs = [[seed, PAIR] for seed in seeds]
    return {"key": wish["key"], "place": wish["place"], "shipped": "", "seeds": pairs}


@pytest.fixture
def training(kernel):
    """The kernel trains what the first screen asked for by a press."""
    kernel.say(**offers())
    kernel.locator("[data-is=start]").first.click()
    kernel.say(wish=wish_of(kernel))
    return kernel


def test_a_step_of_python_ends_after_as_many_tests_as_networks(training):
    key = wish_of(training)["key"]
    screen = training.locator("cplab-nursery").first
    screen.get_by_role("button", name="Pause").click()
    screen.get_by_role("button", name="Step").click()
    asked = """key => sent.filter((message) => message.pause === key)
        .map(({paused}) => paused)"""
    assert training.evaluate(asked, key) == [True, False]
    test = {"seed": 100, "arm": "spoilt", "right": 50, "own": 50}
    for epoch in (5, 10):
        training.say(key=key, tests=[test | {"epoch": epoch}])
    assert training.evaluate(asked, key) == [True, False, True]


def test_a_kernel_that_was_restarted_is_missed_within_two_seconds(training):
    training.evaluate("globalThis.gone = true")
    said = training.locator("[data-is=status]").first.get_by_text("Python was restarted")
    said.wait_for(timeout=2000)
    assert training.locator("[data-is=progress]").first.is_hidden()


def test_a_page_pulses_while_it_trains_so_that_late_messages_come(training):
    training.wait_for_function("sent.filter((message) => message.pulse).length > 2")


@pytest.fixture
def reloaded(kernel):
    """A page that is told, as it opens, of networks under noise that are being trained."""
    wish = wish_of(kernel)
    noise = wish["place"] | {"kind": "noise"}
    kernel.key = json.dumps(noise, separators=(",", ":"))
    kernel.say(**offers(wishes=[wish | {"key": kernel.key, "place": noise}]))
    return kernel


def test_a_reloaded_page_shows_what_grows(reloaded):
    noise = reloaded.locator("[name=kind][value=noise]").first
    assert noise.get_attribute("aria-pressed") == "true"


def test_a_reloaded_page_can_stop_what_grows(reloaded):
    reloaded.wait_for_timeout(600)  # the second press of a double one would not count
    reloaded.locator("[data-is=start]").first.get_by_text("Stop").click()
    assert {"stop": reloaded.key} in reloaded.evaluate("sent")


MOVE_OFF = (
    "globalThis.off = document.querySelectorAll('cplab-nursery'); off.forEach((e) => e.remove())"
)


def test_a_screen_off_the_page_says_so_and_pulses_no_more(training):
    training.evaluate(MOVE_OFF)
    training.wait_for_function("sent.some((message) => message.away)")
    count = "sent.filter((message) => message.pulse).length"
    before = training.evaluate(count)
    training.wait_for_timeout(1500)
    assert training.evaluate(count) == before


def test_a_screen_that_comes_back_says_so(training):
    training.evaluate(MOVE_OFF)
    training.wait_for_function("sent.some((message) => message.away)")
    training.evaluate("document.body.append(off[0])")
    training.wait_for_function("sent.some((message) => message.back)")


def test_a_screen_that_another_of_its_output_replaces_does_not_say_that_it_is_off(training):
    training.evaluate("document.querySelector('cplab-nursery').remove()")
    training.wait_for_timeout(1500)
    assert not training.evaluate("sent.some((message) => message.away)")


def test_a_screen_whose_turn_comes_later_says_so(kernel):
    kernel.say(**offers())
    kernel.locator("[data-is=start]").first.click()
    kernel.say(wish=wish_of(kernel, waits=True))
    assert "come next" in kernel.inner_text("[data-is=status] >> nth=0")


def test_a_busy_kernel_is_reported(kernel):
    kernel.say(**offers())
    kernel.locator("[data-is=start]").first.click()
    kernel.locator("[data-is=status]").first.get_by_text("busy").wait_for(timeout=2500)


def test_trainings_of_another_start_of_python_are_not_known(kernel):
    known = known_at(wish_of(kernel), seeds=(100, 101))
    kernel.say(**offers("one", known=[known]))
    tried = kernel.locator("[data-is=tried] button").first
    tried.wait_for()
    kernel.say(**offers("two"))
    tried.wait_for(state="detached")


@pytest.mark.parametrize("count", [3, 150])
def test_the_interval_of_many_networks_is_that_of_the_package(count, kernel):
    known = known_at(wish_of(kernel), seeds=[])
    harms = [1.0 + seed % 3 for seed in range(count)]
    for seed, harm in enumerate(harms):
        behind = LIFE | {"tests": [[8, 50 - harm, 50]]}
        known["seeds"].append([seed, {"spoilt": behind, "control": LIFE}])
    kernel.say(**offers(known=[known]))
    expected = estimate(harms)
    tried = kernel.locator("[data-is=tried] button").first
    assert tried.inner_text().endswith(f": {expected.mean:.1f} ± {expected.half:.1f}")


@pytest.fixture
def failed(training):
    """The kernel says that an own deficit failed, after one pair was trained."""
    wish = wish_of(training)
    known = known_at(wish, seeds=[100])
    training.say(ended=wish["key"], why="half fails: ValueError: oops", failed=True, known=known)
    return training


def test_an_own_deficit_that_fails_says_so_in_one_line(failed):
    assert failed.inner_text("[data-is=status] >> nth=0") == "half fails: ValueError: oops"


def test_pairs_trained_before_a_failure_are_kept(failed):
    assert failed.locator("[data-is=tried] button").first.inner_text()


# Python -------------------------------------------------------------------------------------------


class Pressed(NamedTuple):
    """A screen whose button was pressed once: two networks at POINT, and their twins.

    messages: what it told its page. figures: those below the screen. results, accuracies: of the
    first pair's runs, by arm. harm: of both seeds. folder: where the results lie.
    """

    nursery: tiny.Nursery
    growing: growing.Growing
    messages: list[dict]
    figures: list
    results: dict
    harm: Estimate
    folder: Path


@pytest.fixture(scope="module")
def pressed(elsewhere):
    """What one press trains, which the tests that follow only look at."""
    start = growing.Growing()
    figures = []
    below = SimpleNamespace(update=figures.append)

    def press():
        nursery, messages = screen(networks=2, seed=0)
        nursery._ipython_display_()
        ask(nursery, POINT)
        assert nursery.wait(300)
        pair = growing.pair_at(POINT, 0)
        results = {"spoilt": cplab.run(pair.spoilt), "control": cplab.run(pair.control)}
        return nursery, messages, results, quantities.harm(pair.spoilt, seeds=[0, 1])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiny, "GROWING", start)
        patch.setattr(tiny, "display", lambda content, **options: below)
        (nursery, messages, results, harm), folder = elsewhere(press)
    return Pressed(nursery, start, messages, figures, results, harm, folder)


@pytest.fixture
def answering(pressed, monkeypatch):
    """The screen, which finds its results."""
    monkeypatch.setenv("CPLAB_CACHE", str(pressed.folder))
    monkeypatch.setattr(tiny, "GROWING", pressed.growing)
    return pressed.nursery


def life_told(pressed, arm):
    """What the page is told of the first seed's network when all has ended."""
    [ended] = endings(pressed.messages).values()
    return dict(ended["known"]["seeds"])[0][arm]


@pytest.mark.parametrize("arm", growing.ARMS)
def test_the_tests_of_a_network_are_those_of_its_result(arm, pressed):
    accuracy = pressed.results[arm].series("test_accuracy")
    for epoch, right, _ in life_told(pressed, arm)["tests"]:
        assert right == pytest.approx(100 * accuracy[epoch - 1])


@pytest.mark.parametrize(
    ("arm", "epochs"),
    [("spoilt", {3, 5, 10, 12, 13, 14, 15, 16}), ("control", {3, 5, 6, 7, 8, 9})],
)
def test_a_network_is_tested_after_the_epochs_that_its_page_draws(arm, epochs, pressed):
    assert {epoch for epoch, *_ in life_told(pressed, arm)["tests"]} == epochs


@pytest.mark.parametrize("arm", growing.ARMS)
def test_the_answers_of_a_network_are_right_as_often_as_its_result_says(arm, pressed):
    labels = data.images("drawn", "tiny").test_y.tolist()
    right = np.equal(life_told(pressed, arm)["answers"], labels)
    assert right.mean() == pytest.approx(pressed.results[arm].series("test_accuracy")[-1])


def test_a_figure_below_the_screen_has_a_row_for_the_point(pressed):
    """So that a saved notebook shows it."""
    [row] = pressed.figures[-1].ax.get_yticklabels()
    assert row.get_text().startswith("words of here: ")


def test_the_harms_of_a_point_are_those_of_its_runs(pressed):
    assert pressed.growing.places["here"].harms == pytest.approx(dict(pressed.harm.by_seed))


def test_a_network_made_of_a_result_s_weights_answers_as_the_result_says(answering, pressed):
    images = data.shared_images("drawn", "tiny")
    net = growing.trained_network(growing.run_at(POINT, 0))
    answers = net(images.normal_test).argmax(1).numpy()
    agree = answers == life_told(pressed, "spoilt")["answers"]
    assert agree.mean() > 0.995  # weights are kept in half precision


def test_the_opinion_on_a_digit_is_the_mean_of_the_networks(answering, pressed):
    images = data.shared_images("drawn", "tiny")
    pixels = images.test_x[0, :, :, 0].double() / 255
    tell_python(answering.link, {"ask": "here", "image": pixels.flatten().tolist()})
    opinions = pressed.messages[-1]["opinions"]
    assert opinions["count"] == 2
    chances = []
    for seed in (0, 1):
        net = growing.trained_network(growing.run_at(POINT, seed))
        chances.append(net(images.normal_test[:1]).softmax(1)[0])
    assert opinions["spoilt"] == pytest.approx(((chances[0] + chances[1]) / 2).tolist(), abs=1e-5)


@pytest.mark.usefixtures("fresh")
def test_no_network_is_asked_before_it_has_grown_up():
    nursery, messages = screen(networks=1)
    tell_python(nursery.link, {"ask": "here", "image": [0] * 144})
    assert "press Train" in messages[-1]["opinions"]["why"]


@pytest.mark.usefixtures("fresh")
def test_messages_are_few_however_many_networks_grow():
    nursery, messages = screen(networks=20)
    began = time.monotonic()
    ask(nursery, POINT)
    assert nursery.wait(300)
    assert len(messages) < 10 + 12 * (time.monotonic() - began)


def test_messages_are_few_however_many_screens_there_are(fresh):
    screens = [screen(networks=10) for _ in range(30)]
    began = time.monotonic()
    ask(screens[0][0], POINT | {"length": 60})
    assert fresh.wait(300)
    tests = [m for _, messages in screens for m in messages if "tests" in m]
    assert len(tests) < 60 + growing.MOST_MESSAGES * (time.monotonic() - began)


def test_a_screen_that_is_off_the_page_is_told_nothing(fresh):
    nursery, messages = screen(networks=1)
    tell_python(nursery.link, {"away": True})
    count = len(messages)
    ask(nursery, POINT)
    assert fresh.wait(300)
    assert len(messages) == count


def test_a_screen_that_is_back_is_told_what_it_missed_and_no_more(fresh):
    nursery, messages = screen(networks=1)
    ask(nursery, POINT, "before")
    assert fresh.wait(300)
    tell_python(nursery.link, {"away": True})
    ask(nursery, POINT | {"kind": "flip"}, "meanwhile")
    assert fresh.wait(300)
    tell_python(nursery.link, {"back": True})
    assert [place["key"] for place in messages[-1]["known"]] == ["meanwhile"]


class TwoScreens(NamedTuple):
    """Two screens of one kernel. The first asked for a, the second for b and then for a as well.

    told: what each one told its page. later: what a screen is told that is opened afterwards.
    """

    told: list[list[dict]]
    later: dict


@pytest.fixture(scope="module")
def two_screens(elsewhere):
    def press():
        first, told_first = screen(networks=1)
        second, told_second = screen(networks=1)
        ask(first, POINT, "a")
        ask(second, POINT | {"kind": "flip"}, "b")
        ask(second, POINT, "a")
        assert first.wait(300)
        _, told_later = screen(networks=1)
        return TwoScreens([told_first, told_second], told_later[0])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiny, "GROWING", growing.Growing())
        screens, _ = elsewhere(press)
    return screens


def test_two_screens_grow_each_point_once(two_screens):
    for messages in two_screens.told:
        ended = [message["ended"] for message in messages if "ended" in message]
        assert ended == ["a", "b"]


def test_a_screen_waits_for_what_another_grows(two_screens):
    for messages in two_screens.told:
        wishes = [message["wish"] for message in messages if message.get("wish")]
        assert [wish["waits"] for wish in wishes if wish["key"] == "b"] == [True, False]


def test_a_screen_that_is_opened_later_knows_what_was_trained(two_screens):
    assert {place["key"] for place in two_screens.later["known"]} == {"a", "b"}


LONGER = POINT | {"length": 60, "recovery": 60}


def count_tests(messages):
    return sum(len(message.get("tests", ())) for message in list(messages))


@pytest.fixture
def paused(fresh):
    """A screen whose training is held, and what it told its page."""
    nursery, messages = screen(networks=1)
    ask(nursery, LONGER)
    tell_python(nursery.link, {"pause": "here", "paused": True})
    before = -1
    while count_tests(messages) != before:
        before = count_tests(messages)
        time.sleep(0.5)  # what is on its way arrives
    yield nursery, messages
    tell_python(nursery.link, {"stop": "here"})


def test_a_pause_holds_what_grows(paused):
    nursery, messages = paused
    before = count_tests(messages)
    assert not nursery.wait(1)
    assert count_tests(messages) == before


@pytest.mark.usefixtures("paused")
def test_a_reloaded_page_is_told_of_a_pause():
    _, messages = screen()
    [wish] = messages[0]["wishes"]
    assert wish["paused"]


def test_a_pause_changes_no_number(paused, fresh):
    nursery, _ = paused
    tell_python(nursery.link, {"pause": "here", "paused": False})
    assert nursery.wait(300)
    alone = cplab.run(growing.run_at(LONGER, nursery.seed), fresh=True).series("test_accuracy")
    for epoch, right, _ in fresh.places["here"].seeds[nursery.seed]["spoilt"]["tests"]:
        assert right == 100 * alone[epoch - 1]


@pytest.mark.usefixtures("fresh")
def test_a_paused_training_goes_on_before_that_of_another_screen():
    nursery, messages = screen(networks=1)
    ask(nursery, POINT | {"length": 61}, "a")
    tell_python(nursery.link, {"pause": "a", "paused": True})
    ask(nursery, POINT, "b")
    assert nursery.wait(300)
    assert list(endings(messages)) == ["a", "b"]


def test_a_paused_training_can_be_stopped(paused):
    nursery, messages = paused
    tell_python(nursery.link, {"stop": "here"})
    assert nursery.wait(300)
    assert endings(messages)["here"]["why"] == "stopped"


def test_stop_of_one_screen_leaves_what_another_waits_for(fresh):
    first, _ = screen(networks=1)
    second, messages = screen(networks=1)
    ask(first, POINT | {"length": 200, "recovery": 100}, "a")
    ask(second, POINT, "b")
    tell_python(first.link, {"stop": "a"})
    assert first.wait(300)
    whys = {key: ending["why"] for key, ending in endings(messages).items()}
    assert whys == {"a": "stopped", "b": ""}
    assert list(fresh.places) == ["b"]


# Deficits, images and networks of one's own -------------------------------------------------------


@cplab.deficit(label="lower half covered")
def low(x, y):
    x = x.clone()
    x[..., 6:, :] = 0
    return x, y


@cplab.deficit(label="a curtain that comes down")
def curtain(x, y, *, context):
    x = x.clone()
    x[..., : context.epoch // 25, :] = 0
    return x, y


def ends_early(x, y, *, context):
    if context.epoch > 220:
        raise ValueError("oops")
    return x * (1 - context.epoch / 300), y


def fails_late(x, y, *, context):
    if context.epoch == 2:
        raise ValueError("oops")
    return -x, y


def own_kind(nursery):
    """The screen's own deficit, as its page gets it."""
    [own] = nursery.content["own"].values()
    return own


def test_an_own_deficit_is_the_first_that_a_screen_shows():
    nursery = tiny.Nursery(deficit=low)
    assert nursery.content["place"]["kind"] == Run(low, length=1).deficit


def test_an_own_deficit_that_covers_a_part_shows_what_the_mask_shows():
    mask = deficits.mask_name([[row >= 6] * 12 for row in range(12)])
    own = own_kind(tiny.Nursery(deficit=low))
    assert own["seen"] == {0: tiny.seen_images(mask, "drawn")}


@pytest.mark.usefixtures("fresh")
def test_networks_grow_up_under_an_own_deficit():
    nursery, messages = screen(networks=1, deficit=low)
    ask(nursery, nursery.content["place"] | {"length": 2, "recovery": 2, "digits": 100})
    assert nursery.wait(300)
    assert endings(messages)["here"]["why"] == ""


def test_an_own_deficit_that_changes_is_drawn_as_it_is_at_several_epochs():
    own = own_kind(tiny.Nursery(deficit=curtain))
    assert list(own["seen"]) == list(tiny.STAGES)
    assert own["seen"][200] == tiny.seen_images(Run(curtain, length=1).deficit, "drawn", 200)


def test_an_own_deficit_that_changes_is_no_mask():
    assert own_kind(tiny.Nursery(deficit=curtain))["mask"] == ""


def test_a_deficit_that_fails_late_is_drawn_as_far_as_it_works():
    assert max(own_kind(tiny.Nursery(deficit=ends_early))["seen"]) == 200


class AtTheEnds(NamedTuple):
    """An own deficit that covers a row more each 25 epochs, drawn at the ends of its window."""

    onset: int
    length: int
    words: str  # that name the epochs
    pictures: int  # a clear one, and one for each of these epochs
    rows: int  # that are covered in the last picture


ENDS = [
    AtTheEnds(0, 201, words="epochs 0 and 200", pictures=3, rows=8),
    AtTheEnds(95, 10, words="epoch 100", pictures=2, rows=4),
]
PIXELS = """canvas => [...canvas.getContext("2d").getImageData(0, 0, 12, 12).data]
    .filter((_, at) => at % 4 === 3)"""


@pytest.mark.parametrize("case", ENDS, ids=lambda case: case.words)
def test_a_page_draws_an_own_deficit_at_the_ends_of_its_window(case, chromium):
    nursery = tiny.Nursery(deficit=curtain, onset=case.onset, length=case.length)
    body = f"{tiny.page(nursery.content)}<script>{tiny.SCRIPT}</script>"
    with plain_page(chromium) as page:
        page.set_content(f"<!doctype html><meta charset=utf-8>{body}")
        drawn = page.locator("[data-is=pictures] figure").first.locator("canvas")
        drawn.first.wait_for()
        about = page.inner_text("[data-is=about]")
        pictures = drawn.count()
        ink = drawn.last.evaluate(PIXELS)
    assert about.endswith(f"(as in {case.words})")
    assert pictures == case.pictures
    assert len(set(ink[: 12 * case.rows])) == 1  # grey all over


@pytest.mark.usefixtures("fresh", "small_mnist")
def test_own_networks_grow_up_on_own_images():
    @cplab.model
    class Wide(torch.nn.Module):
        def __init__(self, width, channels, size, classes):
            super().__init__()
            self.layer = torch.nn.Linear(channels * size * size, classes)

        def forward(self, x):
            return self.layer(x.flatten(1))

    nursery, messages = screen(networks=1, model=Wide, images="mnist")
    ask(nursery, nursery.content["place"] | {"length": 2, "recovery": 2})
    assert nursery.wait(300)
    assert endings(messages)["here"]["why"] == ""


@pytest.mark.parametrize(
    "wrong", [{"deficit": "blurr"}, {"images": "nothing"}, {"model": "nothing"}, {"onset": "late"}]
)
def test_a_screen_refuses_an_unknown_name_in_one_line(wrong):
    one_line(lambda: tiny.Nursery(**wrong), *wrong.values())


def test_a_screen_given_arrays_says_what_makes_a_name_of_them():
    one_line(lambda: tiny.Nursery(images=np.zeros((20, 12, 12))), "cplab.images_from(")


def test_a_screen_refuses_a_network_with_two_eyes_in_one_line():
    one_line(lambda: tiny.Nursery(model="eyes"), "eyes has two eyes")


def test_a_screen_refuses_a_network_that_does_not_fit_its_images():
    @cplab.model
    def for_photographs(width, channels, size, classes):
        return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 16 * 16, classes))

    one_line(
        lambda: tiny.Nursery(model=for_photographs),
        "for_photographs does not fit",
        "(N, 1, 12, 12)",
    )


def test_a_screen_begins_at_a_number_that_is_given_as_a_text():
    place = tiny.Nursery(onset="4", length="30").content["place"]
    assert (place["onset"], place["length"]) == (4, 30)


@contextlib.contextmanager
def page_without_python(chromium, nursery):
    """The page of a screen in a browser that has to train by itself."""
    body = f"{tiny.page(nursery.content)}<script>{tiny.SCRIPT}</script>"
    with plain_page(chromium) as page:
        page.set_content(f"<!doctype html><meta charset=utf-8>{body}")
        page.wait_for_selector("[data-is=pictures] canvas")
        yield page


@pytest.mark.parametrize("kind", tiny.OFFERS)
def test_a_browser_trains_under_a_deficit_of_the_screen_that_is_given_by_name(kind, chromium):
    with page_without_python(chromium, tiny.Nursery(deficit=kind)) as page:
        assert page.is_enabled("[data-is=start]")


@pytest.mark.parametrize("given", [{"deficit": "stripes"}, {"model": "mlp3"}])
def test_a_line_of_python_quotes_a_name_of_the_package(given, chromium):
    with page_without_python(chromium, tiny.Nursery(**given)) as page:
        code = page.inner_text("[data-is=code]")
        place = page.evaluate("document.querySelector('cplab-nursery').place")
    assert eval(code, {"cplab": cplab}) == growing.run_at(place, 0)


@pytest.mark.parametrize(
    ("given", "words"), [({"deficit": "stripes"}, "deficit"), ({"model": "mlp3"}, "network")]
)
def test_a_page_says_what_needs_python(given, words, chromium):
    with page_without_python(chromium, tiny.Nursery(**given)) as page:
        assert f"this {words} needs Python" in page.inner_text("[data-is=status]")


@pytest.fixture(scope="module")
def ended(elsewhere):
    """How two wishes ended: one whose deficit fails late, and the next."""

    def press():
        nursery, messages = screen(networks=1, deficit=fails_late)
        ask(nursery, nursery.content["place"] | {"length": 5, "recovery": 1}, "bad")
        ask(nursery, POINT, "good")
        assert nursery.wait(300)
        return endings(messages)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiny, "GROWING", growing.Growing())
        every, _ = elsewhere(press)
    return every


def test_a_deficit_that_fails_late_is_told_in_one_line(ended):
    assert ended["bad"]["failed"]
    assert "oops" in ended["bad"]["why"]
    assert "\n" not in ended["bad"]["why"]


def test_after_a_wish_that_failed_the_next_one_is_granted(ended):
    assert ended["good"]["why"] == ""


def test_the_networks_of_a_point_are_runs_that_harm_takes():
    mask = deficits.MASKS["frame"]
    run = growing.run_at(tiny.PLACE | {"kind": "cover", "mask": mask}, 3)
    assert run == Run(f"cover-{mask}", length=200, profile="tiny", images=300, seed=3)


def values_of_knobs():
    """Each value that a screen's knobs offer, with the knob's name."""
    values = []
    knob = r'<select name="(\w+)"[^>]*>(.*?)</select>'
    for name, options in re.findall(knob, tiny.MARKUP):
        for value in re.findall(r"<option>([\d.]+)", options):
            values.append((name, json.loads(value)))
    return values


@pytest.mark.parametrize(("name", "value"), values_of_knobs())
def test_each_value_of_a_knob_makes_a_run_whose_network_exists(name, value):
    run = growing.run_at(tiny.PLACE | {name: value}, 0)
    assert cplab.models.build(run.model, channels=1, size=12)


# What the labs say of your own networks -----------------------------------------------------------


def test_the_figure_of_what_grows_by_itself_is_folded():
    """So that it does not answer the question above it."""
    growing = lab00.grow([lab00.childhood("flip", length=1, recovery=1)], lab00.by_length)
    assert growing.wait(100)
    fold = growing.picture.index("<details>")
    figure = growing.picture.index("<img")
    assert fold < figure < growing.picture.index("</details>")


@pytest.mark.parametrize(
    ("harms", "words"),
    [
        ([9.0, 10.0, 11.0], "10.0 ± 2.5 points behind their twins"),
        ([-1.0, 0.0, 1.0], "level with their twins"),
    ],
    ids=["harm", "none"],
)
def test_your_own_harms_are_read_aloud(harms, words, monkeypatch):
    monkeypatch.setattr(lab00, "own_twenty", lambda run: estimate(harms))
    assert words in lab00.read_aloud([lab00.childhood()])


def test_your_own_harms_are_read_aloud_in_the_order_of_the_runs(monkeypatch):
    harms = {0: [9.0, 10.0, 11.0], 5: [], 80: [-1.0, 0.0, 1.0]}
    monkeypatch.setattr(lab00, "own_twenty", lambda run: estimate(harms[run.onset]))
    words = lab00.read_aloud([lab00.childhood(onset=age) for age in harms])
    early, late = words.split("; ")
    assert "behind" in early
    assert "level" in late


def traces_of(last, seeds=3):
    """Traces of some seeds, by epoch, that end near a value."""
    return [np.array([[1.0, 2.0], [1.0, last * (1 + 0.01 * seed)]]) for seed in range(seeds)]


@pytest.mark.parametrize(("last", "words"), [(40.0, "indistinguishable"), (10.0, "unlike")])
def test_your_own_traces_are_compared_with_those_above(last, words):
    above = {"blur": estimate([1.9, 2.0, 2.1])}  # four times
    lines = {"no deficit": traces_of(10.0), "mosaic": traces_of(last)}
    _, sentence = lab04.own_traces(lines, above)
    assert words in sentence


def test_nothing_is_said_of_traces_before_all_have_ended():
    lines = {"no deficit": traces_of(10.0), "mosaic": [np.zeros((2, 0))] * 3}
    assert len(lab04.own_traces(lines, {"blur": estimate([2.0, 2.1])})) == 1
