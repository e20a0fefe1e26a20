"""The Nursery with a deficit, images or a network of one's own."""

import json
import re
from typing import NamedTuple

import numpy as np
import pytest
import torch
from conftest import one_line
from nursery import POINT, ask, endings, new_start, opened_anew, screen, write_document

import cplab
from cplab import deficits
from cplab.lab import growing, tiny
from cplab.runs import Run


@pytest.fixture
def fresh():
    with new_start() as start:
        yield start
        assert start.wait(300)


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


# A deficit that fails late ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ended(elsewhere):
    """How two wishes ended: one whose deficit fails late, and the next."""

    def press():
        nursery, messages = screen(networks=1, deficit=fails_late)
        ask(nursery, nursery.content["place"] | {"length": 5, "recovery": 1}, "bad")
        ask(nursery, POINT, "good")
        assert nursery.wait(300)
        return endings(messages)

    with new_start():
        every, _ = elsewhere(press)
    return every


def test_a_deficit_that_fails_late_is_told_in_one_line(ended):
    assert ended["bad"]["failed"]
    assert "oops" in ended["bad"]["why"]
    assert "\n" not in ended["bad"]["why"]


def test_after_a_wish_that_failed_the_next_one_is_granted(ended):
    assert ended["good"]["why"] == ""


# Covers the right half nearly always, so that two trials agree
def often(x, y):
    x = x.clone()
    x[..., 6:] *= float(torch.rand(()) > 0.99)
    return x, y


def test_an_own_deficit_that_draws_at_random_is_no_mask():
    assert own_kind(tiny.Nursery(deficit=often))["mask"] == ""


@pytest.mark.usefixtures("fresh")
def test_the_time_that_an_own_network_takes_is_told_before_it_grows():
    @cplab.model
    def unheard_of(width, channels, size, classes):
        return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(size * size, classes))

    nursery, messages = screen(networks=1, model=unheard_of)
    ask(nursery, nursery.content["place"] | {"length": 5, "recovery": 5})
    assert nursery.wait(300)
    told = [message["left"] for message in messages if "left" in message]
    assert "once it begins" in told[0]


# A browser that has to train by itself ------------------------------------------------------------


@pytest.fixture(scope="module")
def open_screen(used_page, tmp_path_factory):
    """A function that opens a screen's page, without Python behind it."""

    def open_screen(nursery):
        folder = tmp_path_factory.mktemp("page")
        return opened_anew(used_page, write_document(folder, tiny.page(nursery.content)))

    return open_screen


@pytest.mark.parametrize("kind", tiny.OFFERS)
def test_a_browser_trains_under_a_deficit_of_the_screen_that_is_given_by_name(kind, open_screen):
    page = open_screen(tiny.Nursery(deficit=kind))
    assert page.is_enabled("[data-is=start]")


@pytest.mark.parametrize("given", [{"deficit": "stripes"}, {"model": "mlp3"}])
def test_a_line_of_python_quotes_a_name_of_the_package(given, open_screen):
    page = open_screen(tiny.Nursery(**given))
    code = page.inner_text("[data-is=code]")
    place = page.evaluate("document.querySelector('cplab-nursery').place")
    assert eval(code, {"cplab": cplab}) == growing.run_at(place, 0)


@pytest.mark.parametrize(
    ("given", "words"), [({"deficit": "stripes"}, "deficit"), ({"model": "mlp3"}, "network")]
)
def test_a_page_says_what_needs_python(given, words, open_screen):
    page = open_screen(tiny.Nursery(**given))
    assert f"this {words} needs Python" in page.inner_text("[data-is=status]")


class CurtainWindow(NamedTuple):
    """A window under a curtain that covers a row more each 25 epochs, and what is drawn of it."""

    onset: int
    length: int
    epochs: str  # that are drawn, in words
    pictures: int  # a clear one, and one for each of these epochs
    covered_rows: int  # in the last picture


WINDOWS = [
    CurtainWindow(0, 201, epochs="epochs 0 and 200", pictures=3, covered_rows=8),
    CurtainWindow(95, 10, epochs="epoch 100", pictures=2, covered_rows=4),
]
OPACITIES = """canvas => [...canvas.getContext("2d").getImageData(0, 0, 12, 12).data]
    .filter((_, place) => place % 4 === 3)"""


class CurtainPage(NamedTuple):
    """What a page shows of a window under the curtain."""

    window: CurtainWindow
    about: str
    pictures: int
    last_picture: np.ndarray  # (12, 12)


@pytest.fixture(scope="module", params=WINDOWS, ids=lambda window: window.epochs)
def curtain_page(request, open_screen):
    window = request.param
    page = open_screen(tiny.Nursery(deficit=curtain, onset=window.onset, length=window.length))
    pictures = page.locator("[data-is=pictures] figure").first.locator("canvas")
    last = np.reshape(pictures.last.evaluate(OPACITIES), (12, 12))
    return CurtainPage(window, page.inner_text("[data-is=about]"), pictures.count(), last)


def test_a_page_names_the_epochs_at_which_a_deficit_that_changes_is_drawn(curtain_page):
    assert curtain_page.about.endswith(f"(as in {curtain_page.window.epochs})")


def test_a_deficit_that_changes_is_drawn_once_for_each_of_these_epochs(curtain_page):
    assert curtain_page.pictures == curtain_page.window.pictures


def test_a_deficit_that_changes_is_drawn_as_in_the_last_of_these_epochs(curtain_page):
    covered = curtain_page.last_picture[: curtain_page.window.covered_rows]
    assert len(np.unique(covered)) == 1  # grey all over
