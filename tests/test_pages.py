"""Questions and the explorer on a page that nbconvert exported: with scripts, and without."""

import itertools
import json
import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from browser import axe_finds, open_anew, plain_page
from conftest import ROOT
from exported import FITS, PHONE, answer, darken, export, lighten, output_of
from playwright.sync_api import expect

import cplab
from cplab import estimates, lab, show
from cplab.lab.explorer.points import Point
from cplab.lab.questions.checks import VERDICTS
from cplab.results import seeds
from cplab.runs import Run

LAPTOP = {"width": 1180, "height": 720}  # a cell's output


# Questions ----------------------------------------------------------------------------------------


def a_question(figures):
    return lab.question(
        "Which <one>?",
        {"this & that": 1, "neither": 0},
        right=0,
        finding="p < 0.05 it was.",
        figure=[figures[3], [figures[1], figures[2]]],
        more=pd.DataFrame({"a": [47]}),
        feedback={"this & that": "Then 1 < 0.", "neither": "Then nothing."},
    )


def a_prediction():
    measured = {"first": [60, 61, 62], "second": [50, 51, 52]}
    return lab.Prediction({"known": [65, 66]}, measured, finding="So it is.")


@pytest.fixture(scope="module")
def questions():
    """The outputs of a lab: a question, a prediction, a slide, a switch, what is handed in."""
    figures = {n: show.figure(f"n is {n}", "x", "y") for n in range(1, 8)}
    VERDICTS.clear()  # of other tests in this process
    return [
        output_of(a_question(figures)),
        output_of(a_prediction()),
        output_of(lab.slide(figures)),
        output_of(lab.switch({"blur": figures[1], "flip": "<p>a flip</p>"})),
        output_of(lab.hand_in("02")),
    ]


@pytest.fixture(scope="module")
def questions_file(questions, tmp_path_factory):
    return export(tmp_path_factory.mktemp("questions") / "page.html", questions)


@pytest.fixture(scope="module")
def used_page(chromium):
    with plain_page(chromium, viewport=LAPTOP) as page:
        page.clock.install()
        yield page


@pytest.fixture
def page(used_page, questions_file):
    """The questions, none of which is answered."""
    open_anew(used_page, questions_file.as_uri())
    return used_page


@pytest.fixture
def asked(page):
    return page.locator("cplab-question")


WRONG = 0
RIGHT = 1


def test_without_an_answer_nothing_is_revealed(asked):
    asked.get_by_role("button", name="Reveal").click()
    assert not asked.locator("img").first.is_visible()


def test_a_wrong_answer_is_explained(asked):
    answer(asked, WRONG)
    said = asked.inner_text()
    assert "It was: neither. You said: this & that." in said
    assert "p < 0.05 it was." in said
    assert "Then 1 < 0." in said


def test_enter_that_is_held_on_answer_again_covers_the_answer_once(asked):
    answer(asked, WRONG)
    asked.get_by_role("button", name="answer again").focus()
    for _ in range(4):  # down again without up is what a held key sends
        asked.page.keyboard.down("Enter")
    asked.page.keyboard.up("Enter")
    assert asked.get_by_role("button", name="Reveal").is_visible()


def test_a_right_answer_is_told_so(asked):
    answer(asked, RIGHT)
    assert "It was: neither ✓" in asked.inner_text()
    assert "Then" not in asked.inner_text()


def test_an_answer_stays_after_a_reload(page, asked):
    answer(asked, WRONG)
    page.reload()
    assert "You said: this & that." in asked.inner_text()


def test_a_question_that_is_asked_again_hides_what_was_found(asked):
    answer(asked, WRONG)
    asked.get_by_role("button", name="again").click()
    assert "p < 0.05" not in asked.inner_text()


ON_ONE_SCREEN = """(height) => {
  const asked = document.querySelector("cplab-question");
  const picture = asked.querySelector("img");
  return asked.getBoundingClientRect().top >= -1 && picture.complete
    && picture.getBoundingClientRect().bottom <= height;
}"""


def test_a_question_is_on_one_screen_with_its_picture(page, asked):
    answer(asked, RIGHT)
    page.wait_for_function(ON_ONE_SCREEN, arg=LAPTOP["height"])


# Predictions, slides, switches --------------------------------------------------------------------


@pytest.fixture
def guess(page):
    return page.locator("cplab-prediction")


def move_all(guess):
    """Guess 50.5 by each slider, which stands in the middle, and reveal by a key."""
    for slider in guess.get_by_role("slider").all():
        slider.press("ArrowRight")
    guess.get_by_role("slider").last.press("Enter")


def test_a_prediction_is_covered_before_all_is_guessed(guess):
    guess.get_by_role("slider").first.press("ArrowRight")
    assert "Covered" in guess.inner_text()


def test_a_guess_is_off_by_so_much_or_near_within_the_interval(guess):
    move_all(guess)
    assert "first: measured 61.0 ± 2.5 %, you 50.5 %: 10.5 too low" in guess.inner_text()
    assert "you 50.5 %: near" in guess.inner_text()


def test_the_finding_comes_into_view(page, guess):
    # as in JupyterLab
    page.evaluate("document.querySelector('main').style = 'height: 260px; overflow: auto'")
    move_all(guess)
    expect(guess.locator(".cplab-found")).to_be_in_viewport(ratio=0.9)


def test_a_slide_moves_by_keys(page):
    slide = page.locator("cplab-slide")
    slide.get_by_role("slider").press("ArrowRight")
    assert slide.locator(".cplab-now img").get_attribute("alt").startswith("n is 2")


def test_a_slide_plays_to_its_end(page):
    page.locator("cplab-slide").get_by_role("button", name="play").click()
    page.clock.run_for(10_000)
    assert page.locator("cplab-slide input").input_value() == "6"


def test_a_switch_shows_one_of_its_pictures(page):
    switch = page.locator("cplab-switch")
    switch.get_by_role("button", name="flip").click()
    assert switch.get_by_text("a flip", exact=True).is_visible()
    assert not switch.locator("img").is_visible()


# What is handed in --------------------------------------------------------------------------------


@pytest.fixture
def handed(page):
    return page.locator("cplab-hand-in")


def content(handed):
    """What is handed in, of its line."""
    return json.loads(handed.get_by_label("what is handed in").input_value())


def test_before_an_answer_nothing_is_handed_in_and_nobody_is_named(handed):
    line = content(handed)
    assert line["asked"] == {}
    assert line["passed"] == []
    assert line["name"] == ""


def test_the_first_answer_is_handed_in(handed, asked):
    """No later one, when the right answer was seen."""
    for place in (WRONG, RIGHT):
        answer(asked, place)
        asked.get_by_role("button", name="again").click()
    [question] = content(handed)["asked"].values()
    assert (question["asked"], question["first"], question["right"]) == (
        "Which <one>?",
        WRONG,
        RIGHT,
    )


def test_checks_that_python_has_forgotten_are_said_before_one_hands_in(handed, asked):
    answer(asked, WRONG)
    expect(handed).to_contain_text("1 answer, 0 guesses, 0 checks passed (run their cells again")


def test_what_is_handed_in_is_folded_and_can_be_copied_where_the_page_may_not_copy(page, handed):
    line = handed.get_by_label("what is handed in")
    assert not line.is_visible()
    page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(); }")
    handed.get_by_role("button", name="Copy").click()
    line.wait_for()
    assert page.evaluate("getSelection().toString()") == line.input_value()


# The explorer -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def explorer():
    return cplab.Explorer()


@pytest.fixture(scope="module")
def explorer_output(explorer):
    return output_of(explorer)


@pytest.fixture(scope="module")
def explorer_file(explorer_output, tmp_path_factory):
    return export(tmp_path_factory.mktemp("explorer") / "page.html", [explorer_output])


LOADED = "globalThis.Bokeh?.documents?.length === 5"
COLUMNS = """(name) => [...Bokeh.documents].flatMap((doc) => [...doc._all_models.values()])
  .filter((model) => model.name === name && model.data).map(({data}) => data)[0]"""
DRAWN = f"() => {LOADED} && ({COLUMNS})('own')?.x?.length > 0"
# The middle of a cell of the map, on the screen.
CELL = """([onset, length]) => {
  const map = [...Bokeh.index.query((v) => v.frame && v.model.x_range.factors)][0];
  const box = map.el.getBoundingClientRect(), {x_scale, y_scale} = map.frame;
  return [box.x + x_scale.compute(onset), box.y + y_scale.compute(length)];
}"""
# Where labels stand in the large figure, in its pixels, and then the figure.
LABELS = """() => {
  const {text, right, down} = [...Bokeh.documents].flatMap((doc) => [...doc._all_models.values()])
    .find((model) => model.name === "tag" && model.data).data;
  const pen = document.createElement("canvas").getContext("2d");
  pen.font = "bold 14px system-ui, sans-serif";
  const width = (words) => pen.measureText(words).width;
  const boxes = text.map((words, i) =>
    ({left: right[i], right: right[i] + width(words), top: down[i]}));
  const {bbox} = document.querySelector("cplab-explorer").lifeView.frame;
  return [...boxes, {left: 0, right: bbox.width}];
}"""
# By way of another address, since one that stays as it is tells the page nothing.
BEGIN = """() => {
  document.querySelector("cplab-explorer [aria-expanded=true]")?.click();
  location.hash = "";
  location.hash = "#deficit=blur&onset=0&length=16&recovery=60&second=none";
}"""
PLACE = """() => {
  const {onset, length, recovery} = document.querySelector("cplab-explorer").state;
  return {onset, length, recovery};
}"""


@pytest.fixture(scope="module")
def opened_explorer(chromium, explorer_file):
    with plain_page(chromium, viewport=LAPTOP) as page:
        page.goto(explorer_file.as_uri())
        yield page


@pytest.fixture
def screen(opened_explorer):
    """The explorer where it begins, for tests that change nothing but the place."""
    opened_explorer.wait_for_function(LOADED)  # again, after a reload
    opened_explorer.mouse.move(0, 0)
    opened_explorer.evaluate(BEGIN)
    opened_explorer.wait_for_function("location.hash.endsWith('recovery=60&second=none')")
    opened_explorer.wait_for_function(DRAWN)
    return opened_explorer


@pytest.fixture
def with_seeds(screen):
    """The explorer, which shows the line of each seed until the test ends."""
    screen.get_by_role("button", name="More").click()
    screen.locator("[name=seeds]").check()
    yield screen
    screen.locator("[name=seeds]").uncheck()
    screen.get_by_role("button", name="More").click()


def slider(page, name):
    """Bokeh's slider of onset, length or recovery, which is under More."""
    more = page.get_by_role("button", name="More")
    if more.get_attribute("aria-expanded") == "false":
        more.click()
    return page.get_by_role("slider", name=f"{name}, epochs")


def grip(page, name, window=0):
    """A grip of a window on the line of life, the first one or the second."""
    return page.locator(f".cplab-x [data-grip={name}]").nth(window)


def place(page):
    return page.evaluate(PLACE)


def assert_says_what_python_does(page, explorer, deficit="blur"):
    explorer.choose(deficit=deficit, **place(page))
    head = page.locator(".cplab-x [data-is=head]").inner_text()
    small = page.locator(".cplab-x [data-is=small]").inner_text()
    assert explorer.words == f"{head} ({small})"


@pytest.fixture
def trained(explorer):
    """Onset and length of each blur that has results."""
    blurs = [place for place in explorer.setting.points() if place[0] == "blur"]
    return {(onset, length) for _, onset, length in blurs}


@pytest.mark.parametrize("name", ["onset", "length"])
def test_a_key_moves_a_slider_by_an_epoch(name, screen):
    before = place(screen)[name]
    slider(screen, name).press("ArrowRight")
    screen.wait_for_function(f"({PLACE})()['{name}'] === {before + 1}")


def test_a_drag_goes_through_trained_points(screen, trained):
    box = grip(screen, "onset").bounding_box()
    x = box["x"] + box["width"] / 2
    y = box["y"] + 10
    seen = set()
    screen.mouse.move(x, y)
    screen.mouse.down()
    for step in range(12):
        screen.mouse.move(x + 40 * (step - 6), y)
        now = place(screen)
        seen.add((now["onset"], now["length"]))
    screen.mouse.up()
    assert len(seen) > 1
    assert seen <= trained


def test_a_click_on_the_map_moves_it(screen, explorer):
    screen.mouse.click(*screen.evaluate(CELL, ["24", "16"]))
    screen.wait_for_function(f"({PLACE})().onset === 24")
    assert_says_what_python_does(screen, explorer)


def test_a_curve_says_its_estimate_under_the_pointer(screen, explorer):
    curves = explorer.setting.curves(Point("blur", 0, 16), 60)
    mean, half = estimates.mean_of_curves([*curves.values()])
    said = screen.evaluate(COLUMNS, "own")["words"][0]
    assert said == (f"blur, first 16 epochs: {mean[16]:.1f} ± {half[16]:.1f} % after 1 clear epoch")


def test_a_reload_keeps_the_point(screen):
    beginning = place(screen)
    screen.get_by_role("button", name="vertical flip").click()
    grip(screen, "length").press("ArrowRight")
    chosen = place(screen)
    screen.reload()
    assert place(screen) == chosen != beginning
    assert "upside down" in screen.locator(".cplab-x [data-is=head]").inner_text()


# Links, as mail programs, course pages and people write them --------------------------------------

LATE = {"onset": 24, "length": 16, "recovery": 60}
REFERENCE = (ROOT / "docs" / "reference.md").read_text("utf-8")
[WRITTEN] = re.findall(r"explorer\.html#deficit=blur&([^`]+)", REFERENCE)
LINKS = {
    "as the page writes it": ("deficit=noise&onset=24&length=16&recovery=60", LATE),
    "the reference's": (f"deficit=noise&{WRITTEN}", LATE),
    "HTML's sign for &": ("deficit=noise&amp;onset=24&amp;length=16", LATE),
    "twice as numbers": ("deficit%253Dnoise%2526onset%253D24", LATE),
    "capitals, and a full stop at its end": ("Deficit=Noise&ONSET=24.", LATE),
    "the onset left out": ("deficit=noise", {"onset": 0, "length": 16, "recovery": 60}),
}


@pytest.mark.parametrize("name", LINKS)
def test_a_link_leads_to_its_point(name, screen, explorer):
    link, meant = LINKS[name]
    screen.evaluate("(link) => { location.hash = link; }", link)
    screen.wait_for_function(
        "({onset}) => location.hash.includes(`noise&onset=${onset}`)", arg=meant
    )
    assert place(screen) == meant
    assert_says_what_python_does(screen, explorer, deficit="noise")
    assert screen.locator("[data-is=note]").inner_text() == ""


@pytest.mark.parametrize("part", ["onset=4000", "deficit=bluur", "blur"])
def test_a_part_of_a_link_that_is_not_understood_is_named(part, screen):
    screen.evaluate("(part) => { location.hash = `length=8&${part}`; }", part)
    expect(screen.locator("[data-is=note]")).to_contain_text(part)
    assert place(screen) == {"onset": 0, "length": 8, "recovery": 60}


def test_a_link_to_a_heading_moves_nothing(screen):
    screen.evaluate("location.hash = 'Depth'")
    assert place(screen)["onset"] == 0
    assert screen.locator("[data-is=note]").inner_text() == ""


# Two windows --------------------------------------------------------------------------------------


@pytest.fixture
def two(screen):
    """The explorer with a second window, which a press on compare puts at epoch 24."""
    screen.get_by_role("button", name="compare").click()
    return screen


def head(page):
    """The sentence above the line of life."""
    return page.locator(".cplab-x [data-is=head]")


def harm_in_words(explorer, onset, length=16):
    return f"{explorer.setting.harm(Point('blur', onset, length), 60)}"


def test_two_windows_have_two_harms_and_two_lines(two, explorer):
    early, late = harm_in_words(explorer, 0), harm_in_words(explorer, 24)
    expect(head(two)).to_have_text(f"From birth: {early} points of harm; at epoch 24: {late}")
    curves = explorer.setting.curves(Point("blur", 24, 16), 60)
    mean = np.mean([curve[40:] for curve in curves.values()], axis=0)
    assert two.evaluate(COLUMNS, "other")["mean"][1:] == pytest.approx(mean, abs=0.051)
    two.get_by_role("button", name="compare").click()
    expect(head(two)).to_contain_text("ends")
    assert two.evaluate(COLUMNS, "other")["mean"] == []


def test_lines_of_python_are_pasted_and_give_results_of_what_stands_on_the_line(two, explorer):
    """At places with results, whatever seeds these have: nothing is left to train."""
    grip(two, "length").press("ArrowLeft")
    grip(two, "onset", window=1).press("ArrowRight")
    two.get_by_role("button", name="More").click()
    lines = two.locator("[data-is=code]").inner_text().split("\n")
    runs = [eval(line, {"cplab": SimpleNamespace(run=Run)}) for line in lines]
    assert [(run.onset, run.length) for run in runs] == [(0, 8), (48, 16)]
    assert all(seeds.look_up(run) for run in runs)


def test_the_second_window_moves_by_keys_and_leaves_the_first_where_it_is(two, explorer):
    before = place(two)
    grip(two, "onset", window=1).press("ArrowRight")
    expect(head(two)).to_contain_text(f"at epoch 48: {harm_in_words(explorer, 48)}")
    grip(two, "onset", window=1).press("Home")
    grip(two, "length", window=1).press("End")
    expect(head(two)).to_contain_text("for 64 epochs")
    assert place(two) == before


def test_a_link_has_both_windows(two):
    grip(two, "onset", window=1).press("ArrowRight")
    link = two.evaluate("location.hash")
    said = head(two).inner_text()
    two.get_by_role("button", name="compare").click()
    two.evaluate("(link) => { location.hash = link; }", link)
    expect(head(two)).to_have_text(said)


TEXTS = f"() => ({COLUMNS})('tag')"


@pytest.mark.parametrize("width", [LAPTOP["width"], PHONE["width"]], ids=["laptop", "phone"])
@pytest.mark.parametrize("second", ["blur,24,16", "blur,0,64", "noise,0,16", "blur,4,8"])
def test_labels_of_the_lines_lie_on_no_other_and_are_not_cut(width, second, screen):
    screen.set_viewport_size({"width": width, "height": 720})
    screen.evaluate(f"location.hash = 'onset=0&length=16&second={second}'")
    screen.wait_for_function(f"location.hash.endsWith('{second.replace(',', '%2C')}')")
    screen.wait_for_function(f"(({TEXTS})()?.text ?? []).length === 3")
    screen.wait_for_timeout(300)  # until the figure has its size
    boxes = screen.evaluate(LABELS)
    frame = boxes.pop()
    for box in boxes:
        assert box["left"] >= -1
        assert box["right"] <= frame["right"] + 1
    for one, other in itertools.combinations(boxes, 2):
        apart = one["right"] <= other["left"] or other["right"] <= one["left"]
        assert apart or abs(one["top"] - other["top"]) >= 14
    screen.set_viewport_size(LAPTOP)


def test_show_plays_lives_from_their_first_epochs(two):
    """Lines grow in about two seconds, and the sentence comes in the end."""
    two.evaluate("document.querySelector('cplab-explorer [data-is=play]').click()")
    lengths = []
    while head(two).inner_text().startswith("They grow up"):
        lengths.append(len(two.evaluate(COLUMNS, "clear")["x"]))
    assert lengths == sorted(lengths)
    assert lengths[0] < 0.7 * len(two.evaluate(COLUMNS, "clear")["x"])
    expect(head(two)).to_contain_text("points of harm")


def test_who_asks_for_less_motion_sees_lives_at_once(two):
    two.emulate_media(reduced_motion="reduce")
    two.evaluate("document.querySelector('cplab-explorer [data-is=play]').click()")
    assert "points of harm" in head(two).inner_text()
    two.emulate_media(reduced_motion="no-preference")


@pytest.fixture
def curves(explorer):
    """Accuracies of each seed where the explorer begins, {seed: (epochs,)}."""
    return explorer.setting.curves(Point("blur", 0, 16), 60)


def test_a_line_is_the_mean_of_python_s_curves(screen, curves):
    mean = np.mean([curve[16:] for curve in curves.values()], axis=0)
    assert screen.evaluate(COLUMNS, "own")["mean"] == pytest.approx(mean, abs=0.051)


def test_each_seed_has_a_line(with_seeds, curves):
    assert len(with_seeds.evaluate(COLUMNS, "own seeds")["xs"]) == len(curves)


def test_the_bracket_is_as_high_as_the_harm(screen, explorer):
    harm = explorer.setting.harm(Point("blur", 0, 16), 60)
    bracket = screen.evaluate(COLUMNS, "bracket")
    assert bracket["high"][0] - bracket["low"][0] == pytest.approx(harm.mean, abs=0.001)


@pytest.fixture
def untrained(screen):
    """The explorer at a point without results."""
    for _ in range(3):
        slider(screen, "onset").press("ArrowRight")
    screen.wait_for_function(f"({PLACE})().onset === 3")
    return screen


def test_a_point_without_results_is_named_and_has_no_line(untrained):
    for name in ("own", "own seeds"):
        assert not any(untrained.evaluate(COLUMNS, name).values())
    assert "No results" in untrained.locator(".cplab-x [data-is=head]").inner_text()
    assert "needs Python" in untrained.locator(".cplab-x [data-is=message]").inner_text()


def test_a_point_without_results_offers_its_neighbours(untrained, explorer):
    near = untrained.locator("[data-is=small] button")
    assert near.all_inner_texts()[:2] == ["onset 2, length 16", "onset 4, length 16"]
    near.first.click()
    assert place(untrained)["onset"] == 2
    assert_says_what_python_does(untrained, explorer)


# Without scripts ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def still(chromium, questions, explorer_output, tmp_path_factory):
    """All outputs on a page whose scripts do not run."""
    path = export(tmp_path_factory.mktemp("still") / "page.html", [*questions, explorer_output])
    with plain_page(chromium, java_script_enabled=False) as page:
        page.goto(path.as_uri())
        yield page


def test_without_scripts_what_is_covered_can_be_unfolded(still):
    asked = still.locator("cplab-question")
    assert not asked.locator("img").first.is_visible()
    asked.locator("summary").first.click()
    assert asked.locator("img").first.is_visible()


def test_without_scripts_a_slide_shows_one_picture(still):
    assert still.locator("cplab-slide img:visible").count() == 1


def test_without_scripts_the_explorer_says_what_it_found(still):
    assert "points behind" in still.locator("cplab-explorer").inner_text()


def test_without_scripts_the_explorer_has_a_picture(still):
    assert still.locator("cplab-explorer img").is_visible()


# How it looks -------------------------------------------------------------------------------------

ELEMENTS = ":is(cplab-question, cplab-prediction, cplab-slide, cplab-switch, cplab-explorer)"
SMALLEST = """(elements) => Math.min(...[...document.querySelectorAll(`${elements} *`)].map(
  (element) => parseFloat(getComputedStyle(element).fontSize)))"""


@pytest.fixture(scope="module")
def everything(chromium, questions, explorer_output, tmp_path_factory):
    """All outputs on one page, with an answer revealed."""
    path = export(tmp_path_factory.mktemp("looks") / "page.html", [*questions, explorer_output])
    with plain_page(chromium, viewport=LAPTOP, has_touch=True) as page:
        page.goto(path.as_uri())
        page.wait_for_function(DRAWN)
        answer(page.locator("cplab-question"), WRONG)
        yield page


@pytest.fixture(params=["a dark laptop", "a light phone"])
def looked_at(request, everything):
    """All outputs on a page of some size and in some colours."""
    if request.param == "a light phone":
        everything.set_viewport_size(PHONE)
        lighten(everything)
    else:
        everything.set_viewport_size(LAPTOP)
        darken(everything)
    return everything


def test_it_fits_its_page(looked_at):
    """Figures follow the window in a moment."""
    looked_at.wait_for_function(FITS, arg=looked_at.viewport_size["width"])


def test_the_explorer_is_half_as_high_as_a_laptop_s_screen(screen):
    """JupyterLab, after Shift+Enter, has the next cell in its middle, and this one above it."""
    assert screen.locator(".cplab-x").bounding_box()["height"] <= 370


def test_the_explorer_has_six_controls(screen):
    """The deficits are one: Tab finds the chosen one. Train appears with Python."""
    controls = screen.locator(".cplab-x :is(button, select, input, [role=slider])")
    tabs = "(all) => all.filter((one) => one.tabIndex >= 0 && one.checkVisibility()).length"
    assert controls.evaluate_all(tabs) == 6  # deficit, Show, compare, More, and two grips


def test_words_are_large_enough(looked_at):
    assert looked_at.evaluate(SMALLEST, ELEMENTS) >= 11  # pixels


def test_words_of_a_picture_are_large_enough(looked_at):
    picture = looked_at.locator("cplab-question img:visible").first
    assert picture.bounding_box()["width"] >= 640  # 13 pixels become 11


def test_axe_finds_nothing_serious(looked_at):
    findings = axe_finds(looked_at, ELEMENTS)
    assert not [finding for finding in findings if finding[0] in ("serious", "critical")]


# How large it is ----------------------------------------------------------------------------------


def size(output):
    """Of an output in a notebook's file, in bytes."""
    return len(json.dumps(output))


def test_an_explorer_carries_its_library(explorer_output):
    assert 400_000 < size(explorer_output) < 1_200_000


def test_questions_carry_no_library(questions):
    assert max(map(size, questions)) < 250_000
