"""The Nursery by mouse and keys: its window is moved, a mask painted, a digit drawn."""

import numpy as np
import pytest
from nursery import PHONE, choose, front_page, opened_anew, train

import cplab
from cplab import deficits
from cplab.lab import growing


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    return front_page(tmp_path_factory.mktemp("site"))


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


@pytest.fixture
def grabbed(phone):
    """Where the mouse is down on a window from epoch 5, a little beside its middle."""
    choose(phone, onset=5)
    box = phone.locator("[data-grip=onset]").bounding_box()
    x = box["x"] + 20
    y = box["y"] + 20
    phone.mouse.move(x, y)
    phone.mouse.down()
    yield x, y
    phone.mouse.up()


def test_a_window_does_not_jump_wherever_it_is_grabbed(phone, grabbed):
    x, y = grabbed
    phone.mouse.move(x + 1, y)
    assert window(phone) == [5, 12]


@pytest.mark.usefixtures("grabbed")
def test_a_window_is_dragged_to_birth_at_most(phone):
    phone.mouse.move(0, 0, steps=4)
    phone.mouse.up()
    assert window(phone) == [0, 12]


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


# A digit ------------------------------------------------------------------------------------------


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


# Keys that are held, and a press that is made twice -----------------------------------------------


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
