"""Live training: what a press trains, what a page is told meanwhile, how long it says it takes."""

import re
import time
from dataclasses import replace
from functools import wraps
from typing import NamedTuple

import pytest
from comm.base_comm import BaseComm
from IPython.core.formatters import DisplayFormatter

import cplab
from cplab import Run, lab, results
from cplab.lab.buttons.button import SCRIPT, Throttle, TrainButton
from cplab.labs import lab05
from cplab.results import duration, requests
from cplab.specs.experiments import FUNCTIONS

TINY = Run("mosaic", length=150, recovery=50, profile="tiny")


def parts(net, images):
    return len(list(net.parameters()))


@pytest.fixture
def messages(monkeypatch):
    """A list that grows by each message to the page."""
    sent = []
    for kind in [BaseComm, *BaseComm.__subclasses__()]:  # with a kernel, without one
        monkeypatch.setattr(kind, "publish_msg", lambda self, kind, **how: sent.append(kind))
    return sent


@pytest.fixture
def burst(monkeypatch):
    """Training that tells all epochs in half a second, in bursts, as workers do."""

    def train_all(runs, context, measures, tell):
        for turn in range(6):
            rows = []
            for run in runs:
                ends = [0, 1, *(part * run.epochs // 5 for part in range(1, 6))]  # first, one epoch
                for epoch in range(ends[turn], ends[turn + 1]):
                    rows.append((run, {"epoch": epoch, "test_accuracy": epoch / run.epochs}))
            tell(rows)
            time.sleep(0.1)
        yield from ()

    monkeypatch.setattr(requests, "train_all", train_all)


# What a page is told ------------------------------------------------------------------------------


def assert_few(messages, seconds):
    """There are no more than some each second, and some at the start and at the end."""
    assert 0 < len(messages) <= 8 + 16 * seconds


def assert_few_while(messages, press, wait):
    """What is pressed ends, and tells the page few things a second."""
    messages.clear()
    began = time.monotonic()
    press()
    assert wait(100)
    assert_few(messages, time.monotonic() - began)


@pytest.mark.usefixtures("nothing_shipped", "burst")
def test_eighty_networks_tell_the_page_few_things_a_second(messages):
    runs = [replace(TINY, seed=seed) for seed in range(80)]
    button = lab.live({"blurred": runs}, draw=lambda lines: "<p>drawn</p>")
    assert_few_while(messages, button.press, button.wait)


@pytest.mark.usefixtures("nothing_shipped", "burst")
def test_an_explorer_that_trains_five_seeds_tells_the_page_few_things_a_second(messages):
    explorer = cplab.Explorer("ci", schedule="fixed", onset=2, length=2, recovery=400)
    explorer.choose(count=5)
    assert_few_while(messages, explorer.train, explorer.wait)


def test_a_search_tells_the_page_few_things_a_second(messages, monkeypatch):
    """Lab 05's bench, at whatever speed its search goes."""

    def compute(*, tell, keep, **how):
        for step in range(1, 5001):
            tell({"step": step, "steps": 5000, "pixels": lab05.NO_SYNAPSES})
        return {"architectures": {f"{keep[0]:g}": {"alive": "", "accuracy": 0.5}}}

    search = FUNCTIONS["search"]
    shown = replace(search, apply=wraps(search.apply)(compute))
    monkeypatch.setitem(FUNCTIONS, "search", shown)
    monkeypatch.setattr(lab05, "draw_search", lambda *given: "<p>drawn</p>")
    monkeypatch.setattr(lab05, "count_by_pixel", lambda alive: lab05.NO_SYNAPSES)
    button = lab05.grow_and_prune("practice")
    assert_few_while(messages, button.press, button.wait)


@pytest.mark.usefixtures("nothing_shipped", "burst")
def test_the_last_state_of_a_burst_arrives():
    runs = [replace(TINY, seed=seed) for seed in range(80)]
    drawn = []
    button = lab.live({"blurred": runs}, draw=lambda lines: drawn.append(lines) or "<p>drawn</p>")
    told = []
    button.link.observe(lambda change: told.append(change.new.get("done", 0)), "live")
    button.press()
    assert button.wait(100)
    assert max(told) == 80 * 200
    assert [line.shape for line in drawn[-1]["blurred"]] == [(2, 200)] * 80


def test_all_throttles_together_draw_at_most_thirty_times_a_second():
    drawn = []
    throttles = [Throttle(lambda: drawn.append(time.monotonic()), seconds=0) for _ in range(5)]
    end = time.monotonic() + 1
    while time.monotonic() < end:
        for throttle in throttles:
            throttle()
        time.sleep(0.001)
    for throttle in throttles:
        throttle.finish()
    assert 5 < len(drawn) <= 1 + 30 * (drawn[-1] - drawn[0])


def test_a_throttle_is_finished_once_the_last_change_is_drawn():
    state = []
    drawn = []
    throttle = Throttle(lambda: drawn.append(len(state)), seconds=60)
    for number in (1, 2, 3):
        state.append(number)
        throttle()
        throttle.finish()
        assert drawn[-1] == number


# How long it takes --------------------------------------------------------------------------------


@pytest.mark.usefixtures("nothing_shipped")
def test_a_press_says_how_far_it_is_before_the_first_epoch(monkeypatch):
    said = []

    def train_all(runs, context, measures, tell):
        patience = time.monotonic() + 10
        while not button.link.live.get("count") and time.monotonic() < patience:
            time.sleep(0.01)
        said.append(button.link.live["count"])
        yield from ()

    monkeypatch.setattr(requests, "train_all", train_all)
    button = lab.live({"blurred": TINY})
    button.press()
    assert button.wait(20)
    assert said == ["0 of 200 epochs"]


def seconds_left(done, epochs, elapsed):
    """The seconds that are said to be left after so many epochs and seconds; None if none are."""
    words = duration.time_left(done, epochs, time.monotonic() - elapsed)
    number = re.search(r"about ([\d.]+) seconds? left", words)
    return float(number[1]) if number else None


def test_time_left_is_what_the_rest_takes_at_the_pace_so_far():
    assert seconds_left(done=21, epochs=101, elapsed=10) == 40


@pytest.mark.parametrize(
    ("done", "elapsed"),
    [(1, 30), (50, 0.2), (100, 30)],
    ids=["one epoch", "at first", "at the end"],
)
def test_no_time_is_left_where_there_is_no_pace(done, elapsed):
    assert seconds_left(done, 100, elapsed) is None


def test_the_usual_time_of_a_profile_is_shared_by_the_cores(monkeypatch):
    monkeypatch.setattr(duration, "usable_cores", lambda: 4)
    runs = [Run("blur", length=8, seed=seed) for seed in range(8)]
    alone = duration.usual_seconds(runs[:1])
    assert duration.usual_seconds(runs) == 8 * alone / 4
    assert duration.usual_time(runs).endswith("on 4 cores")


def test_epochs_that_follow_on_one_another_are_shared_by_no_cores(monkeypatch):
    monkeypatch.setattr(duration, "usable_cores", lambda: 64)
    late = Run("blur", 24, 16)
    runs = [late, late.without_window()]  # which share the first 24 epochs
    alone = duration.usual_seconds([late])
    assert duration.usual_seconds(runs) == alone
    assert duration.usual_seconds([*runs, late.with_seed(1)]) == alone


# A page without Python, which a test plays --------------------------------------------------------

MODEL = """globalThis.sent = []; globalThis.gone = false; globalThis.cplabLinks = {NAME: {
  values: {state: {}, live: {}, content: ""}, heard: {},
  get(name) { return this.values[name]; },
  on(kind, heard) { (this.heard[kind] ??= []).push(heard); },
  send(message) { if (gone) throw Error("no kernel"); sent.push(message); }, set() {},
  save_changes() {},
}};
globalThis.tell = (live) => { const model = cplabLinks.NAME;
  model.values.live = live; model.heard["change:live"].forEach((hear) => hear()); };"""


@pytest.fixture
def played(used_page):
    """The page of a button, whose kernel is what the test says: `tell`, and `sent`."""
    button = lab.live({"a": TINY})
    script = MODEL.replace("NAME", f"n{button.link.name}")
    page_of_button = button.page().replace(button.link.name, f"n{button.link.name}")
    used_page.goto("about:blank")
    used_page.set_content(f"<script>{script}</script>{page_of_button}<script>{SCRIPT}</script>")
    return used_page


MESSAGE = "document.querySelector('[data-is=message]').textContent"


ALIVE = "Object.values(cplabLinks)[0].heard['msg:custom'][0]({alive: true, why: ''})"


def test_a_double_click_starts_and_does_not_stop(played):
    played.evaluate(ALIVE)
    played.get_by_role("button", name="Train").dblclick()
    assert played.evaluate("sent.filter(({hello}) => !hello)") == [{"train": True}]


def test_a_press_to_stop_is_answered_at_once_and_until_all_has_ended(played):
    played.evaluate(ALIVE)
    played.evaluate("tell({busy: true, done: 0, epochs: 9})")
    played.get_by_role("button", name="Stop").click()
    assert played.evaluate(MESSAGE) == "stopping …"  # which the kernel has not heard yet
    played.evaluate("tell({busy: true, done: 1, epochs: 9})")
    assert played.evaluate(MESSAGE) == "stopping …"
    played.evaluate("tell({message: 'stopped'})")
    assert played.evaluate(MESSAGE) == "stopped"


def test_on_colab_a_page_asks_for_news_as_long_as_python_works(played):
    """Each second, of which the test decides, for this page and those after it."""
    played.clock.install()
    played.evaluate("tell({busy: true, colab: true, done: 0, epochs: 9})")
    played.clock.run_for(2500)
    assert played.evaluate("sent.filter((message) => message.wait).length") == 3
    played.evaluate("tell({message: 'trained', colab: true})")
    asked = played.evaluate("sent.length")
    played.clock.run_for(9000)
    assert played.evaluate("sent.length") == asked


# What is trained ----------------------------------------------------------------------------------


BLURRED = Run("blur", length=1, recovery=2, profile="ci")


class Trained(NamedTuple):
    """What a press has trained, and the points of each line, whenever the figure was drawn."""

    button: TrainButton
    drawn: list[dict]


def press(groups):
    """Press a button that trains, and wait."""
    drawn = []

    def draw(lines):
        drawn.append({name: [len(x) for x, _ in group] for name, group in lines.items()})
        return "<p>drawn</p>"

    button = lab.live(groups, parts, draw=draw)
    button.press()
    assert button.wait(100)
    return Trained(button, drawn)


def test_a_figure_has_all_its_lines_from_the_first_drawing_on(nothing_shipped):
    results.run(BLURRED, measure=parts)
    groups = {"blurred": [BLURRED, replace(BLURRED, seed=1)], "clear": BLURRED.newborn()}
    assert press(groups).drawn[0] == {"blurred": [3, 0], "clear": [0]}


def test_a_figure_grows_while_its_runs_are_trained_and_stays(monkeypatch, nothing_shipped):
    monkeypatch.setattr("cplab.lab.buttons.live.DRAW_PAUSE", 0)
    groups = {"blurred": [BLURRED, replace(BLURRED, seed=1)], "clear": BLURRED.newborn()}
    trained = press(groups)
    assert trained.drawn[-1] == {"blurred": [3, 3], "clear": [2]}
    assert "drawn" in trained.button.picture


@pytest.mark.usefixtures("nothing_shipped")
def test_an_earlier_training_is_drawn_at_once_by_the_next_button():
    press({"blurred": BLURRED})
    button = lab.live({"blurred": BLURRED}, draw=lambda lines: f"<p>{len(lines)} drawn</p>")
    formats, _ = DisplayFormatter().format(button)
    assert "<p>1 drawn</p>" in formats["text/html"]


@pytest.mark.usefixtures("nothing_shipped")
def test_nothing_is_trained_twice():
    before = results.run(BLURRED, measure=parts)
    press({"blurred": [BLURRED, replace(BLURRED, seed=1)]})
    assert results.find(BLURRED).curve == before.curve  # with its times


@pytest.mark.usefixtures("nothing_shipped")
def test_it_says_beforehand_how_long_networks_of_this_size_take():
    assert "on one core" in lab.live({"blurred": BLURRED}).message


def fail(lines):
    """A drawing that always fails."""
    raise ValueError("no figure")


def fail_at_first(lines):
    """A drawing that fails before the end."""
    [(_, values)] = lines["blurred"]
    if len(values) < 3:
        raise KeyError("b")
    return "<p>drawn</p>"


@pytest.mark.usefixtures("nothing_shipped")
@pytest.mark.parametrize(
    ("draw", "shown"), [(fail, "ValueError: no figure"), (fail_at_first, "<p>drawn</p>")]
)
def test_training_goes_on_where_a_drawing_fails_and_says_so_where_it_still_does(draw, shown):
    button = lab.live({"blurred": BLURRED}, draw=draw)
    button.press()
    assert button.wait(100)
    assert results.find(BLURRED)
    assert button.message.startswith("trained in")
    assert shown in button.picture


@pytest.mark.usefixtures("nothing_shipped")
def test_a_press_to_stop_that_comes_after_the_end_trains_nothing():
    button = lab.live({"blurred": TINY})
    button.link._handle_custom_msg({"stop": True}, [])
    assert button.wait(0)
    assert results.find(TINY) is None
