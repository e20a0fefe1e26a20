"""The Nursery's page with a kernel, which the tests play."""

import json

import pytest
from browser import plain_page
from nursery import opened_anew, short_lives, write_document

from cplab.estimates import estimate
from cplab.lab import growing, jobs, tiny

# What screens tell their kernel is in `sent`; `hear` has a function of each that hears from it.
# Screens of an earlier test have the kernel of that test.
LINK = """{
  const sent = [];
  const hear = [];
  const send = (message) => {
    if (globalThis.gone) throw Error("no kernel");
    sent.push(message);
  };
  const on = (kind, heard) => kind === "msg:custom" && hear.push(heard);
  Object.assign(globalThis, {sent, hear, gone: false, cplabLinks: {there: {send, on}}});
}"""


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """The address of a page with two screens of one kernel."""
    screens = tiny.page(short_lives(), "there") * 2
    return write_document(tmp_path_factory.mktemp("site"), screens)


@pytest.fixture(scope="module")
def used_page(chromium):
    with plain_page(chromium) as page:
        page.clock.install()  # a test lets time pass by run_for, and waits for nothing
        page.add_init_script(LINK)
        page.say = lambda **message: page.evaluate("(m) => hear.forEach((f) => f(m))", message)
        yield page


@pytest.fixture
def kernel(used_page, address):
    """The page, where nothing was said; `say` tells all screens what a kernel says."""
    if used_page.url == address:
        used_page.evaluate(LINK)
    page = opened_anew(used_page, address)
    page.wait_for_function("hear.length === 2")
    return page


PULSES = "sent.filter((message) => message.pulse).length"
LIFE = {"tests": [[8, 50, 50]], "answers": "0" * 1000, "looks": []}
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


@pytest.fixture
def forgotten(kernel):
    """The page, which no later test takes as it is left."""
    yield kernel
    kernel.goto("about:blank")


def test_the_screen_stays_as_it_looks_when_other_elements_come(forgotten):
    before = forgotten.evaluate(LOOK)
    forgotten.add_script_tag(content=jobs.SCRIPT)
    assert forgotten.evaluate(LOOK) == before


def known_at(wish, seeds):
    """What Python says of a wish that was trained."""
    return {
        "key": wish["key"],
        "place": wish["place"],
        "shipped": "",
        "trained": seeds,
        "seeds": [[seed, PAIR] for seed in seeds],
    }


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
    training.clock.run_for(2000)
    assert "Python was restarted" in training.inner_text("[data-is=status] >> nth=0")
    assert training.locator("[data-is=progress]").first.is_hidden()


def test_a_page_pulses_while_it_trains_so_that_late_messages_come(training):
    training.clock.run_for(3000)
    assert training.evaluate(PULSES) > 2


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
    reloaded.clock.run_for(600)  # the second press of a double one would not count
    reloaded.locator("[data-is=start]").first.get_by_text("Stop").click()
    assert {"stop": reloaded.key} in reloaded.evaluate("sent")


MOVE_OFF = (
    "globalThis.off = document.querySelectorAll('cplab-nursery'); off.forEach((e) => e.remove())"
)
SAYS_AWAY = "sent.some((message) => message.away)"
SECOND_AND_A_HALF = 1500  # milliseconds, in which a screen off the page says so, or pulses once


def move_off(page):
    """Take all screens off the page, until they have said so."""
    page.evaluate(MOVE_OFF)
    page.clock.run_for(SECOND_AND_A_HALF)
    assert page.evaluate(SAYS_AWAY)


def test_a_screen_off_the_page_says_so_and_pulses_no_more(training):
    move_off(training)
    before = training.evaluate(PULSES)
    training.clock.run_for(SECOND_AND_A_HALF)
    assert training.evaluate(PULSES) == before


def test_a_screen_that_comes_back_says_so(training):
    move_off(training)
    training.evaluate("document.body.append(off[0])")
    training.wait_for_function("sent.some((message) => message.back)")


def test_a_screen_that_another_of_its_output_replaces_does_not_say_that_it_is_off(training):
    training.evaluate("document.querySelector('cplab-nursery').remove()")
    training.clock.run_for(SECOND_AND_A_HALF)
    assert not training.evaluate(SAYS_AWAY)


def test_a_screen_whose_turn_comes_later_says_so(kernel):
    kernel.say(**offers())
    kernel.locator("[data-is=start]").first.click()
    kernel.say(wish=wish_of(kernel, waits=True))
    assert "come next" in kernel.inner_text("[data-is=status] >> nth=0")


def test_a_busy_kernel_is_reported(kernel):
    kernel.say(**offers())
    kernel.locator("[data-is=start]").first.click()
    kernel.clock.run_for(2000)
    assert "busy" in kernel.inner_text("[data-is=status] >> nth=0")


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
    training.say(ended=wish["key"], why="half fails: ValueError: oops", failed=True, known=[known])
    return training


def test_an_own_deficit_that_fails_says_so_in_one_line(failed):
    assert failed.inner_text("[data-is=status] >> nth=0") == "half fails: ValueError: oops"


def test_pairs_trained_before_a_failure_are_kept(failed):
    assert failed.locator("[data-is=tried] button").first.inner_text()


# What a page is told, and asks for ---------------------------------------------------------------


def a_test(arm, epoch, **more):
    """A test of the first network."""
    return {"seed": 100, "arm": arm, "epoch": epoch, "right": 50, "own": 50} | more


SEEDS = """() => {
  const places = [...document.querySelector("cplab-nursery").known.values()];
  return places.flatMap(({seeds}) => [...seeds.keys()]);
}"""
ASKED = "sent.filter((message) => message.lacks)"


def end_of(wish, trained):
    """What Python says at the end of a wish."""
    known = known_at(wish, seeds=trained) | {"seeds": []}
    return {"ended": wish["key"], "why": "", "known": [known]}


def grow_up(page, wish, tests=1):
    """Python tells the only test of both networks, and how many there were."""
    for arm in growing.ARMS:
        end = {"tests": tests, "answers": "0" * 1000}
        page.say(key=wish["key"], tests=[a_test(arm, 8), a_test(arm, 8, end=end)])


def test_a_page_that_heard_all_tests_has_the_pair_and_asks_for_nothing(training):
    wish = wish_of(training)
    grow_up(training, wish)
    training.say(**end_of(wish, [100]))
    assert training.evaluate(SEEDS) == [100]
    assert training.evaluate(ASKED) == []


def test_a_page_that_did_not_hear_all_tests_asks_for_what_it_lacks(training):
    wish = wish_of(training)
    grow_up(training, wish, tests=2)
    training.say(**end_of(wish, [100]))
    assert training.evaluate(SEEDS) == []
    asked = training.evaluate(ASKED)
    assert asked[0]["has"]["one"] == {wish["key"]: []}
    training.say(known=[known_at(wish, seeds=[100])])
    assert training.evaluate(SEEDS) == [100]
    assert training.evaluate(ASKED) == asked


def test_a_pair_that_is_complete_when_stop_is_pressed_stays(training):
    wish = wish_of(training)
    grow_up(training, wish)
    training.clock.run_for(600)  # the second press of a double one would not count
    training.locator("[data-is=start]").first.get_by_text("Stop").click()
    assert training.evaluate(SEEDS) == [100]


def test_a_screen_that_is_off_the_page_keeps_the_pairs_that_were_complete(training):
    wish = wish_of(training)
    grow_up(training, wish)
    move_off(training)
    training.evaluate("document.body.append(off[0])")
    training.wait_for_function("sent.some((message) => message.back)")
    back = training.evaluate("sent.find((message) => message.back)")
    assert back["has"]["one"] == {wish["key"]: [100]}


def test_a_cell_that_is_run_again_says_which_networks_the_page_has(training):
    wish = wish_of(training)
    training.say(known=[known_at(wish, seeds=[100])])
    add = "page => document.body.insertAdjacentHTML('beforeend', page)"
    training.evaluate(add, tiny.page(short_lives(), "there"))
    training.wait_for_function("hear.length === 3")
    greetings = training.evaluate("sent.filter((message) => message.hello)")
    assert greetings[-1]["has"]["one"] == {wish["key"]: [100]}


def test_a_page_says_how_much_longer_python_trains(training):
    left = training.locator("[data-is=left]").first
    training.say(key=wish_of(training)["key"], tests=[], left="about 2 minutes left")
    left.get_by_text("about 2 minutes left").wait_for()
    training.say(key=wish_of(training)["key"], paused=True)
    left.get_by_text("about 2 minutes left").wait_for(state="detached")


# Off the page, and back ---------------------------------------------------------------------------


@pytest.fixture
def away(training):
    """The page after its screens were taken off it, and said so."""
    move_off(training)
    return training


def bring_back(page, at=0):
    """Put a screen on the page again, and wait until it says so."""
    page.evaluate("(at) => document.body.append(off[at])", at)
    page.wait_for_function("sent.some((message) => message.back)")


def test_a_screen_that_is_back_pulses_again(away):
    bring_back(away)
    before = away.evaluate(PULSES)
    away.say(wish=wish_of(away))
    away.clock.run_for(2 * SECOND_AND_A_HALF)
    assert away.evaluate(PULSES) > before + 1


def test_a_screen_that_is_back_says_so_again_when_it_leaves(away):
    bring_back(away)
    away.evaluate("sent.length = 0; off[0].remove()")
    away.clock.run_for(SECOND_AND_A_HALF)
    assert away.evaluate(SAYS_AWAY)


def test_a_screen_that_is_back_shows_no_training_that_ended_meanwhile(away):
    bring_back(away)
    away.say(**offers())
    away.locator("[data-is=progress]").wait_for(state="hidden")


def test_a_screen_that_is_back_stays_where_it_was(away):
    bring_back(away, at=1)  # the one whose button nobody has pressed
    wish = wish_of(away)
    noise = wish["place"] | {"kind": "noise"}
    away.say(**offers(wishes=[wish | {"key": json.dumps(noise), "place": noise}]))
    assert wish_of(away)["place"] == wish["place"]


def test_a_screen_that_is_moved_on_the_page_says_nothing(training):
    training.evaluate(MOVE_OFF)
    training.clock.run_for(100)
    training.evaluate("document.body.append(...off)")
    training.clock.run_for(SECOND_AND_A_HALF)
    assert not training.evaluate("sent.some((message) => message.away || message.back)")


def test_a_screen_that_another_of_its_output_replaces_pulses_no_more(training):
    training.evaluate("document.querySelectorAll('cplab-nursery')[1].tasks.clear()")
    training.evaluate("document.querySelector('cplab-nursery').remove()")
    training.clock.run_for(SECOND_AND_A_HALF)
    before = training.evaluate(PULSES)
    training.clock.run_for(SECOND_AND_A_HALF)
    assert training.evaluate(PULSES) == before


def test_a_screen_without_python_does_not_miss_it_when_it_comes_back(used_page, tmp_path):
    page = opened_anew(used_page, write_document(tmp_path, tiny.page(short_lives())))
    page.evaluate(MOVE_OFF)
    page.clock.run_for(SECOND_AND_A_HALF)
    page.evaluate("document.body.append(off[0])")
    assert page.inner_text("[data-is=status]") == ""


# Many networks ------------------------------------------------------------------------------------

PATHS = """() => {
  const figure = document.querySelector("[data-is=large]");  // of the first screen
  const paths = figure.querySelectorAll("path:not(.grid, .bracket)");
  return [...paths].map((path) => path.getAttribute("class"));
}"""
OPACITY = "getComputedStyle(document.querySelector('[data-is=large] path.thin')).opacity"


def show_many(page, count):
    """Tell a page of so many networks that were trained; give how opaque their lines are."""
    page.say(**offers(known=[known_at(wish_of(page), seeds=[*range(count)])]))
    page.wait_for_function(f"document.querySelectorAll('path.spoilt.thin').length >= {count}")
    return float(page.evaluate(OPACITY))


@pytest.fixture
def two_tests(monkeypatch):
    """Lives with two tests, which make a line."""
    monkeypatch.setitem(LIFE, "tests", [[4, 40, 40], [8, 50, 50]])


@pytest.mark.usefixtures("two_tests")
def test_means_are_drawn_in_front_of_all_networks_on_edges(kernel):
    show_many(kernel, 2)
    thick = ["edge", "edge", "control", "spoilt"]
    paths = kernel.evaluate(PATHS)
    assert [path for path in paths if "thin" not in path] == thick
    assert paths[-4:] == thick


@pytest.mark.usefixtures("two_tests")
def test_the_lines_of_100_networks_are_paler_than_those_of_20(kernel):
    twenty = show_many(kernel, 20)
    assert show_many(kernel, 100) < twenty / 2
    assert twenty == 0.45
