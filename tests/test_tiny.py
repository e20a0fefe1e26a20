"""The screen on which networks grow up: on a page from a file, and with a kernel behind it."""

import json
import re
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from browser import axe_finds, plain_page

import cplab
from cplab import data, deficits, quantities
from cplab.estimates import estimate
from cplab.lab import growing, jobs, tiny
from cplab.labs import lab00, lab04
from cplab.measure.builtin import share_in_detail
from cplab.runs import Run
from cplab.teach import site

SHORT = {"length": 12, "recovery": 8, "digits": 100}  # epochs, so that the tests take seconds


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
    with plain_page(chromium, viewport={"width": 1366, "height": 768}) as page:
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
    pages = [tiny.page(short, "there"), tiny.page(short, "there")]
    body = f"<script>{script}</script>{''.join(pages)}<script>{tiny.SCRIPT}</script>"
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


def train(page, of="cplab-nursery"):
    screen = page.locator(of).first
    screen.locator("[data-is=start]").click()
    screen.locator("[data-is=progress]").wait_for(state="hidden")
    return screen.locator("[data-is=head]").inner_text()


def screen(fresh, **how):
    """A screen and what it tells its page, greeted."""
    nursery, sent = tiny.Nursery(**how), []
    nursery.link.send = sent.append
    nursery.link._handle_custom_msg({"hello": True}, [])
    return nursery, sent


def ask(nursery, point, key="here"):
    message = {"train": point, "key": key, "words": f"words of {key}"}
    nursery.link._handle_custom_msg(message, [])


POINT = tiny.PLACE | {"onset": 3, "length": 7, "recovery": 6, "digits": 100, "layers": 1}


# A page without Python ----------------------------------------------------------------------------


def test_a_press_trains_adds_networks_and_another_point_never_shows_these_curves(page):
    curves = page.locator("path.spoilt.thin")
    first = train(page)
    assert "points" in first
    assert curves.count() == 2 * 2  # two figures
    page.reload()
    tried = page.locator("[data-is=tried] button")
    tried.wait_for()  # it is there after a reload
    assert curves.count() == 2 * 2
    assert page.inner_text("[data-is=head]") == first
    page.evaluate("sessionStorage.clear()")
    page.reload()
    page.wait_for_selector("[data-is=pictures] canvas")
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


# Where the lowest of the thin lines ends, all looked at in one moment, since they are drawn anew.
LOWEST_LINE = """() => {
  const lines = [...document.querySelectorAll("[data-is=large] path.thin")];
  return Math.max(...lines.map(line => line.getBoundingClientRect().bottom));
}"""


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1366, "dark")])
def test_it_fits_and_axe_finds_nothing(page, width, scheme):
    page.set_viewport_size({"width": width, "height": 768})
    page.emulate_media(color_scheme=scheme)
    page.click("[name=kind][value=cover]")
    for part in ("Ask them", "What they look for", "Knobs"):
        page.get_by_text(part).click()
    train(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("img").bounding_box()["width"] >= 697  # so that its words are legible
    bottom = page.locator("[data-is=large]").bounding_box()
    assert width < 1000 or bottom["y"] + bottom["height"] <= 768
    lowest = page.evaluate(LOWEST_LINE)
    assert lowest <= bottom["y"] + bottom["height"]
    assert axe_finds(page, "html") == []


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


def test_stop_in_one_screen_leaves_the_other_growing(chromium, short, tmp_path):
    path = tmp_path / "two.html"
    body = f"{tiny.page(short)}{tiny.page(short)}<script>{tiny.SCRIPT}</script>"
    path.write_text(f"<!doctype html><meta charset=utf-8>{body}")
    with plain_page(chromium) as page:
        page.goto(path.as_uri())
        page.locator("[data-is=pictures] canvas").nth(16).wait_for()
        starts = page.locator("[data-is=start]")
        page.evaluate(
            """() => { for (const each of document.querySelectorAll("cplab-nursery")) {
              each.train();
              each.task.began -= 1000; } }"""
        )
        starts.first.click()
        last = page.locator("cplab-nursery").last
        last.locator("[data-is=progress]").wait_for(state="hidden")
        assert "points" in last.locator("[data-is=head]").inner_text()


def painted(page):
    """The mask on the screen, as the deficit of Python."""
    code = page.inner_text("[data-is=code]")
    return eval(code, {"cplab": cplab}).deficit


def test_a_mask_is_painted_by_mouse_and_its_line_of_python_makes_the_same(page):
    page.click("[name=kind][value=cover]")
    page.get_by_role("button", name="nothing").click()
    assert page.is_disabled("[data-is=start]")
    first = page.get_by_label("row 2, column 3").bounding_box()
    last = page.get_by_label("row 2, column 6").bounding_box()
    page.mouse.move(first["x"] + 5, first["y"] + 5)
    page.mouse.down()
    page.mouse.move(last["x"] + 5, last["y"] + 5, steps=8)
    page.mouse.up()
    fields = np.zeros((12, 12), bool)
    fields[1, 2:6] = True
    assert painted(page) == deficits.mask_name(fields)
    assert "4 of 144 fields" in page.evaluate("document.querySelector('cplab-nursery').words")


def test_a_fast_stroke_paints_all_fields_that_it_passes(page):
    page.click("[name=kind][value=cover]")
    page.get_by_role("button", name="nothing").click()
    ends = [page.get_by_label(f"row {place}, column {place}").bounding_box() for place in (2, 11)]
    page.mouse.move(ends[0]["x"] + 6, ends[0]["y"] + 6)
    page.mouse.down()
    page.mouse.move(ends[1]["x"] + 6, ends[1]["y"] + 6)  # in one move
    page.mouse.up()
    covered = page.evaluate("document.querySelector('cplab-nursery').place.mask")
    rows = [int(covered[at : at + 3], 16) for at in range(0, 36, 3)]
    assert all(rows[place] >> (11 - place) & 1 for place in range(1, 11))


def test_a_mask_is_painted_by_keys(page):
    page.click("[name=kind][value=cover]")
    page.get_by_role("button", name="centre").click()
    page.get_by_label("row 1, column 1", exact=True).focus()
    for key in ("Space", "ArrowRight", "ArrowDown", "Space", "Space"):
        page.keyboard.press(key)
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Space")
    fields = np.array(deficits.read_mask(deficits.MASKS["centre"]))
    fields[0, 0] = fields[1, 0] = True
    assert painted(page) == deficits.mask_name(fields)


def test_every_line_of_python_is_the_run_of_the_point(page):
    for name, value in (("layers", "3"), ("scale", "1"), ("rate", "0.3"), ("block", "4")):
        page.evaluate(
            "(part) => document.querySelector('cplab-nursery').choose(part)", {name: +float(value)}
        )
    code = page.inner_text("[data-is=code]")
    place = page.evaluate("document.querySelector('cplab-nursery').place")
    run = growing.run_at(place, 0)
    assert eval(code, {"cplab": cplab}) == run


def test_the_detail_share_is_that_of_the_package(page):
    change = torch.randn(64, 1, 12, 12, generator=torch.Generator().manual_seed(0))
    program = tiny.SCRIPT.partition("{")[2].rpartition("customElements.define")[0]
    share = """([program, values, side]) =>
      new Function(`${program}; return detailShare`)()(values, side)"""
    for side in (2, 3, 4, 6):
        found = page.evaluate(share, [program, change.flatten().tolist(), side])
        assert found == pytest.approx(share_in_detail(change.double(), side), abs=1e-6)


def test_a_network_that_saw_only_a_mosaic_has_learned_no_detail(page):
    train(page)
    page.get_by_text("What they look for").click()
    page.locator("canvas.weights").nth(15).wait_for()  # a fold says later that it is open
    page.locator("[data-is=moment]").evaluate("(range) => { range.value = 1; range.oninput(); }")
    assert page.inner_text("[data-is=age]") == "12"  # the mosaic ends
    assert ", 0 % is detail" in page.inner_text("[data-is=found]")
    assert page.locator("canvas.weights").count() == 8  # its twin, without these epochs, is unborn


def weights_of(page, seed):
    """The pictures of first units, of one network and its twin, as they are drawn."""
    page.locator("[data-is=chosen]").select_option(f"{seed}")
    page.get_by_text(f"network {seed}, deprived").wait_for()
    page.locator("canvas.weights").nth(15).wait_for()
    pictures = "[...document.querySelectorAll('canvas.weights')].map((one) => one.toDataURL())"
    return page.evaluate(pictures)


def test_each_pair_can_be_looked_at(page):
    train(page)
    page.get_by_text("What they look for").click()
    first, second = weights_of(page, 0), weights_of(page, 1)
    assert len(first) == len(second) == 16
    assert not {*first} & {*second}
    assert weights_of(page, 0) == first


def draw(page, *points):
    """Draw a line through points of the sheet, from 0 to 168."""
    sheet = page.locator("[data-is=sheet]")
    sheet.scroll_into_view_if_needed()
    box = sheet.bounding_box()
    (x, y), *others = points
    page.mouse.move(box["x"] + x, box["y"] + y)
    page.mouse.down()
    for x, y in others:
        page.mouse.move(box["x"] + x, box["y"] + y, steps=4)
    page.mouse.up()
    return np.array(page.evaluate("[...document.querySelector('cplab-nursery').drawn]")).reshape(
        12, 12
    )


@pytest.mark.parametrize("points", [[(30, 20), (30, 90)], [(100, 60), (140, 150), (60, 150)]])
def test_a_drawn_digit_is_centred_and_scaled_as_the_digits_are(page, points):
    page.get_by_text("Ask them").click()
    ink = draw(page, *points)
    rows, columns = ink.sum(1), ink.sum(0)
    spans = []
    for line in (rows, columns):
        [inked] = np.nonzero(line > 0.02)
        assert inked[0] + inked[-1] == pytest.approx(11, abs=1)  # centred
        spans.append(inked[-1] - inked[0] + 1)
    assert max(spans) in (8, 9, 10)  # 0.675 of 12 pixels, and those that are hardly inked
    assert ink.max() <= 1.001


def test_they_say_what_they_take_a_drawing_for(page):
    page.get_by_text("Ask them").click()
    draw(page, (84, 30), (84, 140))
    assert "press Train" in page.inner_text("[data-is=opinion]")
    train(page)
    draw(page, (84, 30), (84, 140))
    bars = page.locator("[data-is=answers] .spoilt > div")
    assert bars.count() == 5
    assert page.inner_text("[data-is=opinion]").startswith("2 deprived networks")
    parts = [int(bar.inner_text().split("\n")[-1].strip(" %")) for bar in bars.all()]
    assert parts == sorted(parts, reverse=True)
    page.get_by_role("button", name="Wipe it off").click()
    assert bars.count() == 0


def test_a_digit_is_drawn_by_keys(page):
    page.get_by_text("Ask them").click()
    page.locator("[data-is=sheet]").focus()
    for key in ("ArrowUp", "ArrowUp", "Space", "ArrowDown", "ArrowDown", "ArrowDown", "Space"):
        page.keyboard.press(key)
    page.keyboard.press("ArrowLeft")
    ink = np.array(page.evaluate("[...document.querySelector('cplab-nursery').drawn]")).reshape(
        12, 12
    )
    assert ink.sum(0).argmax() in (5, 6)  # one upright stroke


def test_a_live_region_speaks_once_for_each_change_of_meaning(page):
    page.evaluate(
        """() => {
          globalThis.heard = [];
          const head = document.querySelector("[data-is=head]");
          const listen = () => heard.push(head.textContent);
          new MutationObserver(listen).observe(head, {childList: true, subtree: true});
        }"""
    )
    last = train(page)
    assert page.evaluate("heard") == ["They grow up …", last]


def test_a_pause_by_keys_is_spoken_once_and_training_goes_on_to_its_end(page):
    page.evaluate(
        """() => {
          globalThis.heard = [];
          const status = document.querySelector("[data-is=status]");
          const listen = () => heard.push(status.textContent);
          new MutationObserver(listen).observe(status, {childList: true, subtree: true});
          const {place} = document.querySelector("cplab-nursery");
          document.querySelector("cplab-nursery").choose({...place, recovery: 3000});
        }"""
    )
    keys = page.keyboard
    page.focus("[data-is=start]")
    keys.press("Enter")
    page.wait_for_selector("[data-is=hold]")
    keys.press("Tab")
    keys.press("Enter")
    page.wait_for_function("document.activeElement.textContent === 'Go on'")
    page.wait_for_timeout(400)
    value = "document.querySelector('[data-is=progress]').value"
    before = page.evaluate(value)
    page.wait_for_timeout(600)
    assert page.evaluate(value) == before < 1
    keys.press("Enter")
    page.wait_for_selector("[data-is=progress]", state="hidden")
    assert page.evaluate("document.activeElement.dataset.is") == "start"
    *_, last = heard = page.evaluate("heard")
    assert heard.count("paused") == 1
    assert int(last.removesuffix(" s")) >= 0


def held(page):
    """How much is trained, once it has not moved for a second."""
    last = None
    while (now := page.evaluate("document.querySelector('[data-is=progress]').value")) != last:
        last = now
        page.wait_for_timeout(1000)
    return now


def test_a_step_trains_some_epochs_more_and_holds_again(page):
    page.evaluate(
        """() => {
          const {place} = document.querySelector("cplab-nursery");
          document.querySelector("cplab-nursery").choose({...place, recovery: 3000});
        }"""
    )
    page.locator("[data-is=start]").click()
    page.get_by_role("button", name="Pause").click()
    before = held(page)
    page.get_by_role("button", name="Step").press("Enter")
    page.wait_for_function(f"document.querySelector('[data-is=progress]').value > {before}")
    assert before < held(page) < 1
    assert page.evaluate("document.activeElement.textContent") == "Step"


def test_a_step_of_python_ends_after_as_many_tests_as_networks(kernel):
    kernel.say(**offers())
    kernel.locator("[data-is=start]").first.click()
    wish = wish_of(kernel)
    kernel.say(wish=wish)
    screen = kernel.locator("cplab-nursery").first
    screen.get_by_role("button", name="Pause").click()
    screen.get_by_role("button", name="Step").click()
    asked = """key => sent.filter((message) => message.pause === key)
        .map(({paused}) => paused)"""
    assert kernel.evaluate(asked, wish["key"]) == [True, False]
    test = {"seed": 100, "arm": "spoilt", "right": 50, "own": 50}
    for epoch in (5, 10):
        kernel.say(key=wish["key"], tests=[test | {"epoch": epoch}])
    assert kernel.evaluate(asked, wish["key"]) == [True, False, True]


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


def test_a_space_bar_that_is_held_puts_the_pen_down_once(page):
    page.get_by_text("Ask them").click()
    page.locator("[data-is=sheet]").focus()
    for _ in range(6):  # an even number, after which the pen would be up again
        page.keyboard.down(" ")
    page.keyboard.up(" ")
    for _ in range(3):
        page.keyboard.press("ArrowUp")
    ink = np.array(page.evaluate("[...document.querySelector('cplab-nursery').drawn]"))
    inked = ink.reshape(12, 12) > 0.5
    assert inked.any(1).sum() > inked.any(0).sum() + 1  # rows and columns: a stroke, not a point


def test_a_second_press_at_once_is_the_same_press(page):
    page.dblclick("[data-is=start]")
    page.wait_for_selector("[data-is=progress]", state="hidden")
    assert "points" in page.inner_text("[data-is=head]")


# A page with a kernel, which the test plays -------------------------------------------------------


def offers(session="one", **more):
    return {"offers": {"python": True, "networks": 2, "fresh": False}, "session": session, **more}


def wish_of(page, waits=False):
    """What Python would say to a press."""
    place = page.evaluate("document.querySelector('cplab-nursery').place")
    key = page.evaluate("document.querySelector('cplab-nursery').key")
    plans = [
        {"seed": 100, "arm": arm, "epochs": epochs}
        for arm, epochs in (("spoilt", 20), ("control", 8))
    ]
    return {"key": key, "place": place, "plans": plans, "waits": waits}


LOOK = """() => {
  const look = (part) => ({...getComputedStyle(document.querySelector(`cplab-nursery ${part}`))});
  return [look("[data-is=start]"), look("[data-is=line] i")];
}"""


def test_the_screen_stays_as_it_looks_when_other_elements_come(kernel):
    before = kernel.evaluate(LOOK)
    kernel.add_script_tag(content=jobs.SCRIPT)
    assert kernel.evaluate(LOOK) == before


def test_a_kernel_that_was_restarted_is_missed_within_two_seconds(kernel):
    kernel.say(**offers())
    kernel.locator("[data-is=start]").first.click()
    kernel.say(wish=wish_of(kernel))
    kernel.evaluate("globalThis.gone = true")
    kernel.locator("[data-is=status]").first.get_by_text("Python was restarted").wait_for(
        timeout=2000
    )
    assert kernel.locator("[data-is=progress]").first.is_hidden()


def test_a_page_pulses_while_it_trains_so_that_late_messages_come(kernel):
    kernel.say(**offers())
    kernel.locator("[data-is=start]").first.click()
    kernel.wait_for_function("sent.filter((message) => message.pulse).length > 2")


def test_a_reloaded_page_shows_what_grows_and_can_stop_it(kernel):
    wish = wish_of(kernel)
    other = wish["place"] | {"kind": "noise"}
    key = json.dumps(other, separators=(",", ":"))
    kernel.say(**offers(wishes=[wish | {"key": key, "place": other}]))
    assert kernel.locator("[name=kind][value=noise]").first.get_attribute("aria-pressed") == "true"
    kernel.wait_for_timeout(600)
    kernel.locator("[data-is=start]").first.get_by_text("Stop").click()
    assert {"stop": key} in kernel.evaluate("sent")


def test_a_screen_whose_turn_comes_later_says_so(kernel):
    kernel.say(**offers())
    kernel.locator("[data-is=start]").first.click()
    kernel.say(wish=wish_of(kernel, waits=True))
    assert "come next" in kernel.inner_text("[data-is=status] >> nth=0")


def test_a_busy_kernel_is_reported(kernel):
    kernel.say(**offers())
    kernel.locator("[data-is=start]").first.click()
    kernel.locator("[data-is=status]").first.get_by_text("busy").wait_for(timeout=2500)


def test_what_another_start_of_python_trained_is_not_known_here(kernel):
    wish = wish_of(kernel)
    life = {"tests": [[8, 50, 50]], "answers": [0] * 1000, "looks": []}
    pairs = [[seed, {"spoilt": life, "control": life}] for seed in (100, 101)]
    known = [{"key": wish["key"], "place": wish["place"], "shipped": "", "seeds": pairs}]
    kernel.say(**offers("one", known=known))
    tried = kernel.locator("[data-is=tried] button").first
    tried.wait_for()
    kernel.say(**offers("two"))
    tried.wait_for(state="detached")


def test_an_own_deficit_that_fails_says_so_in_one_line_and_keeps_what_was_trained(kernel):
    kernel.say(**offers())
    kernel.locator("[data-is=start]").first.click()
    wish = wish_of(kernel)
    kernel.say(wish=wish)
    life = {"tests": [[8, 50, 50]], "answers": [0] * 1000, "looks": []}
    known = {
        "key": wish["key"],
        "place": wish["place"],
        "shipped": "",
        "seeds": [[100, {"spoilt": life, "control": life}]],
    }
    kernel.say(ended=wish["key"], why="half fails: ValueError: oops", failed=True, known=known)
    assert kernel.inner_text("[data-is=status] >> nth=0") == "half fails: ValueError: oops"
    assert kernel.locator("[data-is=tried] button").first.inner_text()


# Python -------------------------------------------------------------------------------------------


def test_python_tells_the_tests_of_each_network_and_what_it_answers(fresh, monkeypatch):
    """Those of results, in order; their harm is a figure below the screen, for a saved notebook."""
    shown = []
    below = SimpleNamespace(update=shown.append)
    monkeypatch.setattr(tiny, "display", lambda content, **how: below)
    nursery, sent = screen(fresh, networks=2, seed=0)
    nursery._ipython_display_()
    ask(nursery, POINT)
    assert nursery.wait(300)
    [ended] = [message for message in sent if "ended" in message]
    labels, run = data.images("drawn", "tiny").test_y.tolist(), growing.run_at(POINT, 0)
    lives = dict(ended["known"]["seeds"])[0]
    for arm, one in (("spoilt", run), ("control", run.without_window())):
        result = cplab.run(one)
        accuracy = result.series("test_accuracy")
        tests = lives[arm]["tests"]
        assert {epoch for epoch, *_ in tests} == growing.epochs_tested(one) >= {3, len(accuracy)}
        assert [right for _, right, _ in tests] == pytest.approx(
            [100 * accuracy[t[0] - 1] for t in tests]
        )
        assert np.mean(np.equal(lives[arm]["answers"], labels)) == pytest.approx(accuracy[-1])
    harm = quantities.harm(run, seeds=[0, 1])
    assert shown[-1].ax.get_yticklabels()[0].get_text().startswith("words of here: ")
    assert fresh.places["here"].harms == pytest.approx(dict(harm.by_seed))


def test_messages_are_few_however_many_networks_grow(fresh):
    nursery, sent = screen(fresh, networks=20)
    began = time.monotonic()
    ask(nursery, POINT)
    assert nursery.wait(300)
    assert len(sent) < 10 + 12 * (time.monotonic() - began)


def test_screens_of_one_kernel_know_the_same_and_wait_for_each_other(fresh):
    first, told = screen(fresh, networks=1)
    second, told_too = screen(fresh, networks=1)
    ask(first, POINT, "a")
    ask(second, POINT | {"kind": "flip"}, "b")
    ask(second, POINT, "a")  # which the first one grows already
    assert first.wait(300)
    for messages in (told, told_too):
        assert [message["ended"] for message in messages if "ended" in message] == ["a", "b"]
        waits = [m["wish"]["waits"] for m in messages if m.get("wish", {}).get("key") == "b"]
        assert waits == [True, False]
    _, told_later = screen(fresh, networks=1)
    assert {place["key"] for place in told_later[0]["known"]} == {"a", "b"}


def test_a_pause_holds_what_grows_and_changes_no_number(fresh):
    nursery, sent = screen(fresh, networks=1)
    held = POINT | {"length": 60, "recovery": 60}

    def tests():
        return sum(len(message.get("tests", ())) for message in list(sent))

    ask(nursery, held)
    nursery.link._handle_custom_msg({"pause": "here", "paused": True}, [])
    time.sleep(1)
    before = tests()
    assert not nursery.wait(1)
    assert tests() == before
    assert screen(fresh)[1][0]["wishes"][0]["paused"]  # so that a reloaded page says it
    nursery.link._handle_custom_msg({"pause": "here", "paused": False}, [])
    assert nursery.wait(300)
    assert tests() > before
    run = growing.run_at(held, nursery.seed)
    alone = cplab.run(run, fresh=True).series("test_accuracy")
    tested = fresh.places["here"].seeds[nursery.seed]["spoilt"]["tests"]
    assert [right for _, right, _ in tested] == [100 * alone[epoch - 1] for epoch, *_ in tested]


def test_what_is_paused_goes_on_before_what_another_screen_waits_for_and_can_be_stopped(fresh):
    first, told = screen(fresh, networks=1)
    ask(first, POINT | {"length": 61}, "a")
    first.link._handle_custom_msg({"pause": "a", "paused": True}, [])
    ask(first, POINT, "b")
    assert first.wait(300)
    assert [message["ended"] for message in told if "ended" in message] == ["a", "b"]
    ask(first, POINT | {"length": 62}, "c")
    first.link._handle_custom_msg({"pause": "c", "paused": True}, [])
    first.link._handle_custom_msg({"stop": "c"}, [])
    assert first.wait(300)


def test_stop_of_one_screen_leaves_what_another_waits_for(fresh):
    first, _ = screen(fresh, networks=1)
    second, told = screen(fresh, networks=1)
    ask(first, POINT | {"length": 200, "recovery": 100}, "a")
    ask(second, POINT, "b")
    first.link._handle_custom_msg({"stop": "a"}, [])
    assert first.wait(300)
    whys = {message["ended"]: message["why"] for message in told if "ended" in message}
    assert whys == {"a": "stopped", "b": ""}
    assert [*fresh.places] == ["b"]


@cplab.deficit(label="lower half covered")
def low(x, y):
    x = x.clone()
    x[..., 6:, :] = 0
    return x, y


def test_an_own_deficit_is_on_the_screen_with_what_it_shows(fresh):
    nursery, sent = screen(fresh, networks=1, deficit=low)
    place = nursery.content["place"]
    assert place["kind"] == Run(low, length=1).deficit
    [own] = nursery.content["own"].values()
    mask = deficits.mask_name([[row >= 6] * 12 for row in range(12)])
    assert own["seen"] == {0: tiny.seen_images(mask, "drawn")}
    ask(nursery, place | {"length": 2, "recovery": 2, "digits": 100})
    assert nursery.wait(300)
    assert [message["why"] for message in sent if "ended" in message] == [""]


@cplab.deficit(label="a curtain that comes down")
def curtain(x, y, *, context):
    x = x.clone()
    x[..., : context.epoch // 25, :] = 0
    return x, y


def test_an_own_deficit_that_changes_is_drawn_as_it_is_at_several_epochs(fresh):
    nursery, _ = screen(fresh, deficit=curtain)
    [own] = nursery.content["own"].values()
    assert list(own["seen"]) == [*tiny.STAGES]
    assert own["seen"][200] == tiny.seen_images(Run(curtain, length=1).deficit, "drawn", 200)


def test_an_own_deficit_that_changes_is_no_mask(fresh):
    nursery, _ = screen(fresh, deficit=curtain)
    [own] = nursery.content["own"].values()
    assert own["mask"] == ""


def ends_early(x, y, *, context):
    if context.epoch > 220:
        raise ValueError("oops")
    return x * (1 - context.epoch / 300), y


def test_a_deficit_that_fails_late_is_drawn_as_far_as_it_works(fresh):
    nursery, _ = screen(fresh, deficit=ends_early)
    [own] = nursery.content["own"].values()
    assert max(own["seen"]) == 200


@pytest.mark.parametrize(
    ("onset", "length", "words"), [(0, 201, "epochs 0 and 200"), (95, 10, "epoch 100")]
)
def test_the_screen_draws_an_own_deficit_at_the_ends_of_its_window(chromium, onset, length, words):
    nursery = tiny.Nursery(deficit=curtain, onset=onset, length=length)
    body = f"{tiny.page(nursery.content)}<script>{tiny.SCRIPT}</script>"
    with plain_page(chromium) as page:
        page.set_content(f"<!doctype html><meta charset=utf-8>{body}")
        drawn = page.locator("[data-is=pictures] figure").first.locator("canvas")
        drawn.first.wait_for()
        assert page.inner_text("[data-is=about]").endswith(f"(as in {words})")
        ink = """canvas => [...canvas.getContext("2d").getImageData(0, 0, 12, 12).data]
            .filter((_, at) => at % 4 === 3)"""
        pictures = [drawn.nth(place).evaluate(ink) for place in range(drawn.count())]
        assert len(pictures) == 1 + words.count("epochs") + 1
        rows_covered = 8 if "200" in words else 4
        paper = pictures[-1][: 12 * rows_covered]
        assert len(set(paper)) == 1  # grey all over


def test_own_images_and_networks_are_on_the_screen_too(fresh, small_mnist):
    @cplab.model
    class Wide(torch.nn.Module):
        def __init__(self, width, channels, size, classes):
            super().__init__()
            self.layer = torch.nn.Linear(channels * size * size, classes)

        def forward(self, x):
            return self.layer(x.flatten(1))

    nursery, sent = screen(fresh, networks=1, model=Wide, images="mnist")
    ask(nursery, nursery.content["place"] | {"length": 2, "recovery": 2})
    assert nursery.wait(300)
    assert [message["why"] for message in sent if "ended" in message] == [""]


def test_what_a_screen_cannot_show_ends_in_one_line(fresh):
    from conftest import one_line

    one_line(lambda: tiny.Nursery(deficit="blurr"), "blurr")
    one_line(lambda: tiny.Nursery(images="nothing"), "nothing")
    one_line(lambda: tiny.Nursery(model="nothing"), "nothing")


def fails_late(x, y, *, context):
    if context.epoch == 2:
        raise ValueError("oops")
    return -x, y


def test_a_deficit_that_fails_late_is_told_and_the_next_wish_is_granted(fresh):
    nursery, sent = screen(fresh, networks=1, deficit=fails_late)
    ask(nursery, nursery.content["place"] | {"length": 5, "recovery": 1}, "bad")
    ask(nursery, POINT, "good")
    assert nursery.wait(300)
    ended = {message["ended"]: message for message in sent if "ended" in message}
    assert "oops" in ended["bad"]["why"]
    assert "\n" not in ended["bad"]["why"]
    assert ended["bad"]["failed"]
    assert ended["good"]["why"] == ""


def test_they_answer_as_the_networks_that_were_trained(fresh):
    """The network that is put together from a result's weights answers as its answers say."""
    nursery, sent = screen(fresh, networks=2)
    ask(nursery, POINT)
    assert nursery.wait(300)
    images = data.shared_images("drawn", "tiny")
    run = growing.run_at(POINT, 100)
    result = cplab.run(run, measure=growing.ANSWERS)
    net = growing.trained_network(run)
    answers = net(images.normal_test).argmax(1)
    agree = [
        a == int(b) for a, b in zip(answers.tolist(), result.final(growing.ANSWERS), strict=True)
    ]
    assert np.mean(agree) > 0.995  # weights are kept in half precision
    pixels = images.test_x[0, :, :, 0].double() / 255
    nursery.link._handle_custom_msg({"ask": "here", "image": pixels.flatten().tolist()}, [])
    said = sent[-1]["opinions"]
    nets = [growing.trained_network(growing.run_at(POINT, seed)) for seed in (100, 101)]
    mean = sum(net(images.normal_test[:1]).softmax(1)[0] for net in nets) / 2
    assert said["count"] == 2
    assert said["spoilt"] == pytest.approx(mean.tolist(), abs=1e-5)


def test_no_network_is_asked_before_it_has_grown_up(fresh):
    nursery, sent = screen(fresh, networks=1)
    nursery.link._handle_custom_msg({"ask": "here", "image": [0] * 144}, [])
    assert "press Train" in sent[-1]["opinions"]["why"]


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
    fold, figure = growing.picture.index("<details>"), growing.picture.index("<img")
    assert fold < figure < growing.picture.index("</details>")


def test_your_own_harms_are_read_aloud_in_the_order_of_the_runs(monkeypatch):
    harms = {0: [9.0, 10.0, 11.0], 80: [-1.0, 0.0, 1.0]}
    monkeypatch.setattr(lab00, "own_twenty", lambda run: estimate(harms.get(run.onset, [])))
    words = lab00.read_aloud([lab00.childhood(onset=age) for age in (0, 5, 80)])
    early, late = words.split("; ")
    assert "10.0 ± 2.5 points behind their twins" in early
    assert "level with their twins" in late


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
