"""The Nursery by mouse and keys: its window is moved, a mask painted, a digit drawn."""

import json
import re

import numpy as np
import pytest
from nursery import (
    LENGTH,
    PHONE,
    ended,
    opened_anew,
    screen_of,
    short_lives,
    train,
    unfold,
    write_document,
)

import cplab
from cplab import deficits
from cplab.lab.nursery import nursery
from cplab.lab.screen.offers import NURSERY
from cplab.runs import Run


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    return write_document(tmp_path_factory.mktemp("page"), nursery.page(short_lives()))


@pytest.fixture
def page(used_page, address):
    """A screen that has trained nothing yet."""
    return opened_anew(used_page, address)


# The window ---------------------------------------------------------------------------------------


@pytest.fixture
def phone(page):
    """The page on a phone."""
    page.set_viewport_size(PHONE)
    return page


def window(page, number=0):
    """A window's onset and length."""
    found = screen_of(page, f"windows[{number}]")
    return [found["onset"], found["length"]]


def test_an_arrow_key_moves_the_window(phone):
    phone.locator("[data-grip=onset]").first.press("ArrowRight")
    assert window(phone) == [5, 12]


def test_the_end_can_be_dragged_to_the_begin_and_back(phone):
    end = phone.locator("[data-grip=length]").first
    line = phone.locator("[data-is=line]").first
    end.drag_to(line, force=True, target_position={"x": 1, "y": 9})
    assert window(phone) == [0, 1]
    end.drag_to(phone.locator("[data-is=after]").first, force=True)
    assert window(phone)[1] > 1


def test_keys_move_the_end_alone(phone):
    end = phone.locator("[data-grip=length]").first
    for key, length in {"ArrowLeft": 7, "ArrowRight": 12, "Home": 1, "End": 20}.items():
        end.press(key)
        assert window(phone) == [0, length]


def test_the_second_window_moves_alone(page):
    page.click("[data-is=compare]")
    page.locator(".w1 [data-grip=onset]").press("Home")
    assert (window(page), window(page, 1)) == ([0, LENGTH], [0, LENGTH])


KINDS = "windows.map(({kind}) => kind)"


def test_a_second_window_follows_the_first_until_it_has_another_deficit(page):
    page.click("[data-is=compare]")
    unfold(page)
    page.select_option("select.w0", "noise")
    assert screen_of(page, KINDS) == ["noise", "noise"]
    page.select_option("select.w1", "flip")
    page.select_option("select.w0", "cover")
    assert screen_of(page, KINDS) == ["cover", "flip"]


def test_a_window_that_is_grabbed_does_not_jump_and_is_dragged_to_birth_at_most(phone):
    """Its middle is grabbed, a little beside."""
    screen_of(phone, "change(0, {onset: 5})")
    box = phone.locator("[data-grip=onset]").first.bounding_box()
    x = box["x"] + 20
    y = box["y"] + 20
    phone.mouse.move(x, y)
    phone.mouse.down()
    phone.mouse.move(x + 1, y)
    assert window(phone) == [5, 12]
    phone.mouse.move(0, 0, steps=4)
    phone.mouse.up()
    assert window(phone) == [0, 12]


# A mask -------------------------------------------------------------------------------------------


def stroke(page, first, last, steps=1):
    """Draw with the mouse from one field of the mask to another."""
    start = page.get_by_label(first, exact=True).bounding_box()
    end = page.get_by_label(last, exact=True).bounding_box()
    page.mouse.move(start["x"] + 5, start["y"] + 5)
    page.mouse.down()
    page.mouse.move(end["x"] + 5, end["y"] + 5, steps=steps)
    page.mouse.up()


def python_of(page):
    """The run that the screen's line of Python makes."""
    return eval(page.text_content("[data-is=code]"), {"cplab": cplab})


def painted(page):
    """The mask on the screen, as the deficit of the line of Python."""
    return python_of(page).deficit


def test_a_mask_is_painted_by_mouse(page):
    page.select_option("select.w0", "cover")
    page.get_by_role("button", name="nothing").click()
    assert page.is_disabled("[data-is=start]")
    stroke(page, "row 2, column 3", "row 2, column 6", steps=8)
    fields = np.zeros((12, 12), bool)
    fields[1, 2:6] = True
    assert painted(page) == deficits.mask_name(fields)


def test_a_fast_stroke_paints_all_fields_that_it_passes(page):
    page.select_option("select.w0", "cover")
    page.get_by_role("button", name="nothing").click()
    stroke(page, "row 2, column 2", "row 11, column 11", steps=1)
    covered = deficits.read_mask(screen_of(page, "mask"))
    assert np.diag(covered)[1:11].all()


def test_a_mask_is_painted_by_keys(page):
    page.select_option("select.w0", "cover")
    page.get_by_role("button", name="centre").click()
    page.get_by_label("row 1, column 1", exact=True).focus()
    for key in ("Space", "ArrowRight", "ArrowDown", "Space", "Space", "ArrowLeft", "Space"):
        page.keyboard.press(key)
    fields = np.array(deficits.read_mask(deficits.MASKS["centre"]))
    fields[:2, 0] = True
    assert painted(page) == deficits.mask_name(fields)


def test_a_line_of_python_is_the_run_of_the_screen(page):
    screen_of(page, "turn({layers: 3, scale: 1, rate: 0.3, recovery: 9, digits: 50})")
    screen_of(page, "setStrength('mosaic', 4)")
    assert python_of(page) == Run(
        "mosaic-4",
        length=LENGTH,
        recovery=9,
        profile="tiny",
        images=50,
        model="mlp3_he",
        rate=3,
    )


def test_each_value_of_a_knob_makes_a_run_whose_network_exists(page):
    unfold(page)
    knobs = re.findall(r'<select name="(\w+)"[^>]*>(.*?)</select>', nursery.MARKUP)
    assert {name for name, _ in knobs} < {*nursery.KNOBS}
    for name, options in knobs:
        for value in re.findall(r"<option>([\d.]+)", options):
            page.select_option(f"[name={name}]", value)
            assert cplab.models.build(python_of(page).model, channels=1, size=12)


def test_each_deficit_and_strength_that_can_be_chosen_makes_its_run(page):
    unfold(page)
    for name, offer in NURSERY.items():
        page.select_option("select.w0", name)
        assert python_of(page).deficit == name
        knob = page.locator(f"select[data-strength={name}]")
        chosen = knob.locator("option").all_inner_texts()
        for strength in chosen:
            knob.select_option(strength)
            assert python_of(page) == Run(f"{name}-{strength}", length=LENGTH, profile="tiny")
        if name != "cover":  # whose masks are buttons
            assert chosen == [str(option) for option in (offer.knob.options if offer.knob else ())]


# A digit ------------------------------------------------------------------------------------------


PROGRAM = nursery.SCRIPT.partition("{")[2].rpartition("customElements.define")[0]
DOWNWARDS = [(66, 24), (66, 110)]


def draw(page, points):
    """Draw a line through points of the sheet, from 0 to 132."""
    sheet = page.locator("[data-is=sheet]")
    sheet.scroll_into_view_if_needed()
    box = sheet.bounding_box()
    first, *others = points
    page.mouse.move(box["x"] + first[0], box["y"] + first[1])
    page.mouse.down()
    for x, y in others:
        page.mouse.move(box["x"] + x, box["y"] + y, steps=4)
    page.mouse.up()


DRAWN = f"""() => {{
  const program = {json.dumps(PROGRAM)};
  const sheet = document.querySelector("[data-is=sheet]");
  return [...new Function(program + "; return drawnDigit")()(sheet, 12)];
}}"""


def ink_of(page):
    """The ink that the networks are asked about, (12, 12)."""
    drawn = page.evaluate(DRAWN)
    return np.array(drawn).reshape(12, 12)


def ends(line):
    """The first and the last pixel of a line that is inked."""
    [inked] = np.nonzero(line > 0.02)
    return inked[0], inked[-1]


HOOK = [(78, 47), (110, 118), (47, 118)]


@pytest.mark.parametrize("points", [DOWNWARDS, HOOK], ids=["stroke", "hook"])
def test_a_drawn_digit_is_centred_and_as_large_as_the_digits_are(points, page):
    draw(page, points)
    ink = ink_of(page)
    spans = []
    for line in (ink.sum(0), ink.sum(1)):
        first, last = ends(line)
        assert first + last == pytest.approx(11, abs=1)
        spans.append(1 + last - first)
    assert max(spans) in (8, 9, 10)  # 0.675 of 12 pixels, and those that are hardly inked
    assert ink.max() <= 1.001


BARS = "[data-is=answers] .w0 > div"


def test_they_say_what_they_take_a_drawing_for_the_likeliest_first_until_it_is_wiped_off(page):
    draw(page, DOWNWARDS)
    assert "press Train" in page.inner_text("[data-is=opinion]")
    train(page)
    draw(page, DOWNWARDS)
    assert "the deprived: " in page.text_content("[data-is=opinion]")
    bars = page.locator(BARS).all()
    assert len(bars) == 2
    percents = [int(bar.inner_text().split("\n")[-1].strip(" %")) for bar in bars]
    assert percents == sorted(percents, reverse=True)
    page.get_by_role("button", name="wipe").click()
    assert page.locator(BARS).count() == 0


def test_a_digit_is_drawn_by_keys(page):
    page.locator("[data-is=sheet]").focus()
    for key in ("ArrowUp", "ArrowUp", "Space", "ArrowDown", "ArrowDown", "ArrowDown", "Space"):
        page.keyboard.press(key)
    page.keyboard.press("ArrowLeft")
    assert ink_of(page).sum(0).argmax() in (5, 6)  # one upright stroke


# Keys that are held, and a press that is made twice -----------------------------------------------


def test_a_press_that_is_made_twice_or_held_is_one_press(page):
    page.dblclick("[data-is=start]")
    assert "points" in ended(page)
    page.focus("[data-is=start]")
    for _ in range(6):  # down again without up is what a held key sends
        page.keyboard.down("Enter")
    page.keyboard.up("Enter")
    ended(page)
    assert screen_of(page, "trained.values().next().value.pairs.size") == 4


def test_a_space_bar_that_is_held_paints_one_field_once(page):
    page.select_option("select.w0", "cover")
    page.focus("[role=gridcell][data-x='0'][data-y='0']")
    before = screen_of(page, "mask")
    for _ in range(6):
        page.keyboard.down(" ")
    page.keyboard.up(" ")
    after = screen_of(page, "mask")
    assert int(before, 16) ^ int(after, 16) == 1 << 143  # the first of 144 fields


def test_a_space_bar_that_is_held_puts_the_pen_down_once(page):
    page.locator("[data-is=sheet]").focus()
    for _ in range(6):  # an even number, after which the pen would be up again
        page.keyboard.down(" ")
    page.keyboard.up(" ")
    for _ in range(3):
        page.keyboard.press("ArrowUp")
    inked = ink_of(page) > 0.5
    rows = inked.any(1).sum()
    columns = inked.any(0).sum()
    assert rows > columns + 1  # a stroke, not a point
