"""The Nursery's training in Python, as its page is told of it."""

import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from conftest import tell_python
from nursery import POINT, ask, endings, new_start, screen

import cplab
from cplab import data, quantities
from cplab.estimates import Estimate
from cplab.lab import growing, tiny


@pytest.fixture
def fresh():
    with new_start() as start:
        yield start
        assert start.wait(300)


class Pressed(NamedTuple):
    """A screen whose button was pressed once: two networks at POINT, and their twins."""

    nursery: tiny.Nursery
    growing: growing.Growing
    messages: list[dict]  # what the page is told
    figures: list  # those below the screen
    results: dict  # of the first pair, by arm
    harm: Estimate  # of both seeds
    folder: Path  # where the results lie


@pytest.fixture(scope="module")
def pressed(elsewhere):
    """What one press trains, which the tests that follow only look at."""
    figures = []

    def press():
        nursery, messages = screen(networks=2, seed=0)
        nursery._ipython_display_()
        ask(nursery, POINT)
        assert nursery.wait(300)
        pair = growing.pair_at(POINT, 0)
        results = {"spoilt": cplab.run(pair.spoilt), "control": cplab.run(pair.control)}
        return nursery, messages, results, quantities.harm(pair.spoilt, seeds=[0, 1])

    with new_start() as start, pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiny, "display", lambda content, **options: None)
        patch.setattr(tiny, "update_display", lambda figure, **options: figures.append(figure))
        (nursery, messages, results, harm), folder = elsewhere(press)
    return Pressed(nursery, start, messages, figures, results, harm, folder)


@pytest.fixture
def answering(pressed, monkeypatch):
    """The screen, which finds its results."""
    monkeypatch.setenv("CPLAB_CACHE", str(pressed.folder))
    monkeypatch.setattr(tiny, "GROWING", pressed.growing)
    return pressed.nursery


def life_told(pressed, arm):
    """What a page that opens when all has ended is told of the first seed's network."""
    [known] = pressed.growing.missed({})
    return dict(known["seeds"])[0][arm]


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
    right = np.equal([*map(int, life_told(pressed, arm)["answers"])], labels)
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
    agree = answers == [*map(int, life_told(pressed, "spoilt")["answers"])]
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
    nursery, messages = screen(networks=10)
    began = time.monotonic()
    ask(nursery, POINT)
    assert nursery.wait(300)
    assert len(messages) < 10 + 12 * (time.monotonic() - began)


def test_messages_are_few_however_many_screens_there_are(fresh):
    screens = [screen(networks=4) for _ in range(30)]
    began = time.monotonic()
    ask(screens[0][0], POINT | {"length": 60})
    assert fresh.wait(300)
    count = 0
    for _, messages in screens:
        count += sum("tests" in message for message in messages)
    assert count < 60 + growing.MOST_MESSAGES * (time.monotonic() - began)


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
    has = {fresh.session: {"before": [100]}}
    tell_python(nursery.link, {"back": True, "has": has})
    missed = {place["key"]: len(place["seeds"]) for place in messages[-1]["known"]}
    assert missed == {"before": 0, "meanwhile": 1}


class TwoScreens(NamedTuple):
    """Two screens of one kernel. The first asked for a, the second for b and then for a as well."""

    told: list[list[dict]]  # what each page is told
    later: dict  # what a page is told that is opened afterwards


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

    with new_start():
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
    """The tests of networks in messages, to which a thread may add others meanwhile."""
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


# What is sent, and how often ----------------------------------------------------------------------


@pytest.fixture
def outputs(monkeypatch):
    """What a notebook is told of outputs: figures that are displayed, and those that change them,
    with the names of their displays."""
    shown = {"displayed": [], "changed": []}

    def note(kind):
        return lambda content, display_id=None, **options: shown[kind].append(display_id)

    monkeypatch.setattr(tiny, "display", note("displayed"))
    monkeypatch.setattr(tiny, "update_display", note("changed"))
    return shown


def test_a_cell_that_is_run_three_times_redraws_its_figure_once(fresh, outputs):
    for _ in range(3):
        nursery, _ = screen(networks=1)
        nursery._ipython_display_()
    ask(nursery, POINT)
    assert nursery.wait(300)
    assert len(outputs["changed"]) == 1


def test_a_figure_that_is_redrawn_is_that_of_all_screens(fresh, outputs):
    for _ in range(2):
        tiny.Nursery(networks=1)._ipython_display_()
    nursery, _ = screen(networks=1)
    ask(nursery, POINT)
    assert nursery.wait(300)
    below = [name for name in outputs["displayed"] if name]
    assert below == 2 * outputs["changed"]


@pytest.mark.usefixtures("fresh")
def test_a_page_that_has_all_networks_is_told_none_of_them_again():
    nursery, _ = screen(networks=2)
    ask(nursery, POINT)
    assert nursery.wait(300)
    has = {tiny.GROWING.session: {"here": [100, 101]}}
    _, messages = screen(has=has)
    [place] = messages[0]["known"]
    assert (place["trained"], place["seeds"]) == ([100, 101], [])


@pytest.mark.usefixtures("fresh")
def test_a_page_is_told_each_test_once():
    nursery, messages = screen(networks=2)
    for _ in range(2):
        ask(nursery, POINT)
        assert nursery.wait(300)
    told = [test for message in messages for test in message.get("tests", ())]
    assert not [test for test in told if "life" in test]
    assert not [place["seeds"] for m in messages for place in m.get("known", ()) if place["seeds"]]


@pytest.mark.usefixtures("fresh")
def test_the_tests_of_a_network_are_told_as_a_page_that_opens_later_is_told_them():
    nursery, messages = screen(networks=1)
    ask(nursery, POINT)
    assert nursery.wait(300)
    [later] = tiny.GROWING.missed({})
    [[_, pair]] = later["seeds"]
    for arm, life in pair.items():
        tests = [t for m in messages for t in m.get("tests", ()) if t["arm"] == arm]
        ends = [test.pop("end") for test in tests if "end" in test]
        assert ends == [{"tests": len(life["tests"]), "answers": life["answers"]}]
        rows = [(test["epoch"], test["right"], test["own"]) for test in tests]
        assert [*dict.fromkeys(rows)] == life["tests"]
        assert [(t["epoch"], t["units"]) for t in tests if "units" in t] == life["looks"]


@pytest.mark.usefixtures("fresh")
def test_a_twin_that_has_grown_up_before_is_told_with_its_whole_life():
    nursery, messages = screen(networks=1)
    ask(nursery, POINT, "a")
    ask(nursery, POINT | {"length": 8}, "b")
    assert nursery.wait(300)
    of_b = [t for m in messages if m.get("key") == "b" for t in m.get("tests", ())]
    assert [test["arm"] for test in of_b if "life" in test] == ["control"]
