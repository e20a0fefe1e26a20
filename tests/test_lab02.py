"""Lab 02: accuracies by image; its first screen, as the lab itself makes it, on a page; and what a
student's own photographs tell."""

import html
import re

import nbformat
import pytest
from browser import FORGET, axe_finds, plain_page
from conftest import ROOT, one_line
from exported import FITS, PHONE, answer, darken, export, output_of
from playwright.sync_api import expect

from cplab import Run, quantities, sweep
from cplab.estimates import estimate
from cplab.labs import lab02
from cplab.results import duration

EARLY = Run("blur", length=16, model="depth3", schedule="fixed", recovery=60)
LAPTOP = {"width": 1366, "height": 625}


def test_the_mean_accuracy_by_image_is_that_of_the_network():
    """Of the two seeds that were measured, over the last five epochs, up to some images."""
    by_seed = quantities.accuracy(EARLY).by_seed
    by_image = lab02.image_accuracies(EARLY).deprived
    assert by_image.mean(1) == pytest.approx([by_seed[5], by_seed[6]], abs=0.1)


# Its first screen ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lab():
    """The names of the lab after its first question, and the question."""
    [path] = ROOT.glob("labs/02_*.ipynb")
    space = {}
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type != "code":
            continue
        if "lab.question(" in cell.source:
            before, _, asked = cell.source.partition("lab.question(")
            exec(before, space)
            return space, eval(f"lab.question({asked}", space)
        exec(cell.source, space)
    raise AssertionError("the lab asks nothing")


@pytest.fixture(scope="module")
def file(lab, tmp_path_factory):
    _, question = lab
    return export(tmp_path_factory.mktemp("lab02") / "page.html", [output_of(question)])


@pytest.fixture(scope="module")
def page(chromium, file):
    with plain_page(chromium, viewport=LAPTOP) as page:
        page.goto(file.as_uri())
        yield page


@pytest.fixture
def asked(page):
    """The question, which nobody has answered, below the line of life. For who wants no motion, its
    lives are shown at once."""
    page.emulate_media(reduced_motion="reduce")
    page.evaluate(FORGET)
    page.reload()
    page.wait_for_function("globalThis.Bokeh?.documents?.length")
    return page.locator("cplab-question")


TELLS = re.compile(r"points|level|±")  # what only those read who have answered


def head(asked):
    """The sentence above the line of life."""
    return asked.locator("[data-is=head]")


def answer_and_watch(asked):
    """Answer, and wait until the lives have been shown."""
    answer(asked, 0)
    expect(head(asked)).to_contain_text("points of harm")


def test_before_an_answer_the_line_of_life_stands_there_alone(asked):
    lanes = asked.locator("[data-is=line]")
    assert [lane.inner_text().split() for lane in lanes.all()] == [
        ["blur", "16", "clear", "60"],
        ["clear", "24", "blur", "16", "clear", "60"],
    ]
    assert asked.get_by_role("slider").count() == 0
    assert not TELLS.search(asked.inner_text())
    assert not asked.locator("[data-is=life]").is_visible()


def test_show_waits_for_an_answer_and_then_tells_the_harm_that_python_has(asked, lab):
    asked.get_by_role("button", name="Show").click()
    assert "until you have answered" in asked.inner_text()
    assert not TELLS.search(asked.inner_text())
    asked.page.emulate_media(reduced_motion="no-preference")
    asked.get_by_role("radio").first.check()
    space, _ = lab
    early, late = (f"{space['harm'](space[name])}" for name in ("early", "late"))
    expect(head(asked)).to_have_text(f"From birth: {early} points of harm; at epoch 24: {late}")
    assert asked.locator("[data-is=life]").is_visible()
    assert asked.locator("[data-is=life]").get_attribute("aria-label").endswith(late)


def test_a_question_that_is_asked_again_covers_its_screen(asked):
    answer_and_watch(asked)
    asked.get_by_role("button", name="answer again").click()
    assert not TELLS.search(asked.inner_text())
    assert not asked.locator("[data-is=life]").is_visible()


def test_after_a_reload_what_was_seen_stays_in_sight(asked):
    answer_and_watch(asked)
    with_answer = head(asked).inner_text()
    asked.page.reload()
    expect(head(asked)).to_have_text(with_answer)


@pytest.mark.parametrize("viewport", [LAPTOP, PHONE], ids=["a dark laptop", "a phone"])
def test_it_fits_and_axe_finds_nothing_serious(viewport, asked):
    page = asked.page
    page.set_viewport_size(viewport)
    if viewport == LAPTOP:
        darken(page)
    for act in (lambda _: None, answer_and_watch):
        act(asked)
        page.wait_for_function(FITS, arg=viewport["width"])
        findings = axe_finds(page, "cplab-question")
        assert not [finding for finding in findings if finding[0] in ("serious", "critical")]
    page.set_viewport_size(LAPTOP)


def test_without_scripts_it_tells_nothing_until_it_is_unfolded(chromium, file):
    with plain_page(chromium, java_script_enabled=False) as page:
        page.goto(file.as_uri())
        asked = page.locator("cplab-question")
        assert not TELLS.search(asked.inner_text())
        asked.locator("summary").first.click()
        assert "points behind its twin" in asked.inner_text()
        assert asked.locator("img").first.is_visible()


# Four of one's own --------------------------------------------------------------------------------

BRIEF = Run("blur", length=1, recovery=2, profile="ci", schedule="fixed")
AGES = [BRIEF, BRIEF.replace(onset=1)]
MINE = {"from birth": [4.0, 3.0, 5.0, 4.5], "at epoch 24": [1.0, 0.5, 1.5, 1.6]}
THEIRS = {"from birth": [2.0, 3.5, 6.0, 1.0], "at epoch 24": [1.0, -1.5, 2.5, 1.2]}


def pressed(number):
    """The button of somebody's four networks of each age, which has trained them."""
    button = lab02.grow(AGES, number)
    button.press()
    assert button.wait(100)
    return button


def test_what_the_button_trains_is_told_and_a_neighbour_reads_it():
    """Each network beside its own twin. Who has number 9 copies the line that number 7 shows."""
    mine = pressed(7)
    harms = lab02.own_harms(AGES, 7)
    for run, values in zip(AGES, harms.values(), strict=True):
        alone = [quantities.harm(run, seeds=[seed]).mean for seed in lab02.seeds_of(7)]
        assert values == pytest.approx(alone, abs=0.006)
        assert lab02.harm_of_four(run, 7).mean == pytest.approx(sum(alone) / 4)
    assert html.escape(lab02.verdict([harms])) in mine.picture
    assert mine.picture.count("<img") == 2  # lines and dots
    line = html.unescape(re.search("<code>(.*)</code>", lab02.together(AGES, 7).page)[1])
    pressed(9)
    both = lab02.together(AGES, 9, [line])
    assert repr(both) == lab02.verdict([lab02.own_harms(AGES, number) for number in (9, 7)])
    assert "8 networks of each" in repr(both)


def test_practice_images_are_never_added_up_with_photographs():
    """Their words differ, by which a neighbour's line and a class's slide add up."""
    practised = [run.replace(dataset="practice") for run in AGES]
    drawn = [run.replace(dataset="drawn") for run in AGES]
    for runs in (practised, drawn):
        sweep([one for run in runs for one in lab02.four(run, 11)])
    mine, others = lab02.own_harms(practised, 11), lab02.own_harms(drawn, 11)
    assert not mine.keys() & others.keys()
    lab02.together(practised, 11, [lab02.as_line(mine)])
    one_line(lambda: lab02.together(practised, 11, [lab02.as_line(others)]), "practice images")


def test_a_number_has_seeds_that_no_other_number_has():
    seeds = [seed for number in (1, 2, 999) for seed in lab02.seeds_of(number)]
    assert len({*seeds}) == 12
    one_line(lambda: lab02.seeds_of(1000), "1000", "999")


def test_a_page_which_trains_nothing_asks_for_no_images(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CPLAB_DATA", str(tmp_path))
    monkeypatch.setenv("CPLAB_CACHE", str(tmp_path))
    monkeypatch.setenv("CPLAB_TRAINS", "no")
    assert lab02.small("blur").dataset == "cifar10"
    assert capsys.readouterr().out == ""


def test_the_time_that_is_said_of_four_of_each_age_is_what_they_took(monkeypatch):
    """265 seconds on two cores that did nothing else."""
    monkeypatch.setattr(duration, "usable_cores", lambda: 2)
    early = Run("blur", length=16, profile="small")
    own = lab02.four(early, 999) + lab02.four(early.replace(onset=24), 999)
    assert duration.usual_seconds(own) == pytest.approx(265, rel=0.03)


def test_before_all_four_are_trained_nothing_is_told():
    assert lab02.own_harms(AGES, 8) == {}
    assert "not trained yet" in repr(lab02.together(AGES, 8, ["from birth: 1.0; at epoch 1: 2.0"]))


def test_networks_of_neighbours_are_paired_by_seed_and_added_up():
    pairs = zip(
        MINE["from birth"] + THEIRS["from birth"],
        MINE["at epoch 24"] + THEIRS["at epoch 24"],
        strict=True,
    )
    points = estimate([early - late for early, late in pairs])
    said = lab02.verdict([MINE, THEIRS])
    assert f"{points} points (8 networks of each)" in said
    assert ("the age tells" in said) == (points.sign == 1)


def test_a_line_for_a_neighbour_can_be_read():
    assert lab02.read_line(lab02.as_line(MINE)) == MINE


@pytest.mark.parametrize("line", ["", "from birth", "from birth: four", 7])
def test_what_is_no_line_is_refused_in_one_line(line):
    one_line(lambda: lab02.read_line(line), "neighbour")
