"""The Nursery with a deficit or images of one's own."""

import base64
import gzip

import numpy as np
import pytest
import torch
from conftest import one_line, tell_python
from nursery import ended, opened_anew, screen_of, shortened, train, write_document

import cplab
from cplab.lab import tiny
from cplab.quantities import harm
from cplab.runs import Run


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


@cplab.deficit(label="half of the names are wrong")
def misnamed(x, y, *, generator):
    chance = torch.rand(len(y), generator=generator)
    return x, torch.where(chance < 0.5, (y + 1) % 10, y)


@cplab.deficit(label="grains that dance")
def grainy(x, y, *, generator):
    return x + torch.randn(x.shape, generator=generator), y


def fails_late(x, y, *, context):
    if context.epoch > 220:
        raise ValueError("oops")
    return x * (1 - context.epoch / 300), y


def own_deficit(**given):
    return tiny.Nursery(**given).content["own"]


def seen(own, part="train"):
    """The images for training, (N, epochs, 12, 12), as networks see them, and their labels,
    (N, epochs)."""
    epochs = len(own[part]["epochs"])
    content = np.frombuffer(gzip.decompress(base64.b64decode(own[part]["packed"])), np.uint8)
    count = len(content) // 145
    images = content[:-count].reshape(-1, epochs, 12, 12)
    return own["low"] + (own["high"] - own["low"]) * images / 255, content[-count:].reshape(
        -1, epochs
    )


@pytest.fixture(scope="module")
def page_images():
    """The digits of a page, (4000, 12, 12), with mean 0 and deviation 1, and their labels."""
    return tiny.unpack(tiny.digits())


def test_an_own_deficit_is_what_all_windows_begin_with():
    windows = tiny.Nursery(deficit=low, compare=True).content["windows"]
    assert {window["kind"] for window in windows} == {Run(low, length=1).deficit}


def test_an_own_deficit_is_applied_to_all_digits_of_the_page(page_images):
    own = own_deficit(deficit=low)
    parts = [seen(own, part) for part in ("train", "test")]
    images, labels = (np.concatenate(both)[:, 0] for both in zip(*parts, strict=True))
    x, y = page_images
    expected = x.copy()
    expected[:, 6:] = 0
    assert np.abs(images - expected).max() <= (own["high"] - own["low"]) / 255
    assert np.array_equal(labels, y)


def test_an_own_deficit_that_changes_is_applied_in_epochs_of_all_a_life(page_images):
    own = own_deficit(deficit=curtain)
    epochs = own["train"]["epochs"]
    assert (len(epochs), epochs[0], epochs[-1]) == (tiny.EPOCHS, 0, 299)
    images, _ = seen(own)
    assert np.abs(images[:, -1, :11]).max() <= (own["high"] - own["low"]) / 15


def test_an_own_deficit_that_draws_is_drawn_for_as_many_epochs_as_there_is_room_for():
    own = own_deficit(deficit=grainy)
    assert own["inTurn"]
    assert 20 < len(own["train"]["epochs"]) < tiny.EPOCHS
    assert len(own["train"]["packed"]) < tiny.ROOM
    images, _ = seen(own)
    assert not np.array_equal(images[:, 0], images[:, 1])


def test_labels_that_an_own_deficit_draws_are_those_of_the_epoch(page_images):
    own = own_deficit(deficit=misnamed)
    _, y = page_images
    _, labels = seen(own)
    wrong = labels != y[: len(labels), None]
    assert wrong.mean() == pytest.approx(0.5, abs=0.05)
    assert wrong.any(1).all()


def test_a_page_says_that_networks_share_what_changes():
    assert "share" in tiny.Nursery(deficit=curtain).content["note"]
    assert "share" not in tiny.Nursery(deficit=low).content["note"]


def test_an_own_deficit_that_fails_says_so_in_one_line():
    one_line(lambda: tiny.Nursery(deficit=fails_late), "oops")


@pytest.mark.usefixtures("small_mnist")
def test_own_images_are_those_of_the_page():
    content = tiny.Nursery(images="mnist").content
    x, y = tiny.unpack(content["digits"])
    images = cplab.data.shared_images("mnist", "tiny")
    grey = images.train_x[:, :, :, 0].numpy() / 255
    held = x[: content["digits"]["train"]]
    held = held * content["digits"]["deviation"] + content["digits"]["average"]
    assert np.abs(held - grey[: len(held)]).max() <= 1 / 30
    assert np.array_equal(y[: len(held)], images.train_y[: len(held)])


@pytest.mark.parametrize("wrong", [{"deficit": "blurr"}, {"images": "nothing"}, {"onset": "late"}])
def test_a_screen_refuses_an_unknown_name_in_one_line(wrong):
    one_line(lambda: tiny.Nursery(**wrong), *wrong.values())


def test_a_screen_given_arrays_says_what_makes_a_name_of_them():
    one_line(lambda: tiny.Nursery(images=np.zeros((20, 12, 12))), "cplab.images_from(")


# In a browser -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def open_screen(used_page, tmp_path_factory):
    """A function that opens a screen's page, without Python behind it."""

    def open_screen(nursery):
        folder = tmp_path_factory.mktemp("page")
        return opened_anew(used_page, write_document(folder, tiny.page(nursery.content)))

    return open_screen


@pytest.mark.parametrize("kind", tiny.OFFERS)
def test_a_deficit_of_the_screen_can_be_given_by_name(kind, open_screen):
    page = open_screen(tiny.Nursery(deficit=kind))
    assert page.input_value("select.w0") == kind


@pytest.mark.parametrize("given", [low, curtain, "mosaic+flip"])
def test_a_browser_trains_under_any_deficit(given, open_screen):
    nursery = tiny.Nursery(networks=2, deficit=given)
    shortened(nursery.content)
    assert "points" in train(open_screen(nursery))


def test_a_deficit_of_the_package_is_quoted_in_the_line_of_python(open_screen):
    page = open_screen(tiny.Nursery(deficit="stripes"))
    run = eval(page.text_content("[data-is=code]"), {"cplab": cplab})
    assert run == Run("stripes", length=200, profile="tiny")


OPACITIES = """canvas => [...canvas.getContext("2d").getImageData(0, 0, 12, 12).data]
    .filter((_, place) => place % 4 === 3)"""


def test_a_deficit_that_changes_is_drawn_as_where_its_window_begins_and_ends(open_screen):
    page = open_screen(tiny.Nursery(deficit=curtain, length=300))
    assert page.inner_text("[data-is=about]").endswith("(as in epochs 0 and 299)")
    pictures = page.locator("[data-is=pictures] figure").first.locator("canvas")
    assert pictures.count() == 3
    last = np.reshape(pictures.last.evaluate(OPACITIES), (12, 12))
    assert len(np.unique(last[:11])) == 1  # grey all over


NETWORKS = 10
LENGTH = 120
RECOVERY = 60


@pytest.mark.parametrize("given", [low, misnamed])
def test_the_harm_on_the_screen_is_that_of_a_sweep_within_the_intervals(given, open_screen):
    """Of other seeds and digits of the same kind."""
    nursery = tiny.Nursery(networks=NETWORKS, deficit=given, length=LENGTH)
    nursery.content["knobs"]["recovery"] = RECOVERY
    page = open_screen(nursery)
    train(page)
    grown = page.evaluate(TOLD)
    tell_python(nursery.link, {"grown": grown, "headline": ended(page)})
    run = Run(given, length=LENGTH, recovery=RECOVERY, profile="tiny")
    pairs = [run.with_seed(seed) for seed in range(NETWORKS)]
    cplab.sweep(pairs + [pair.without_window() for pair in pairs])
    swept = harm(run)
    assert nursery.harm.half < 4
    assert abs(nursery.harm.mean - swept.mean) < np.hypot(nursery.harm.half, swept.half)


TOLD = """() => {
  const screen = document.querySelector("cplab-nursery");
  let told;
  screen.model = {send: ({grown}) => (told = grown)};
  screen.tell();
  return told;
}"""


def test_a_screen_that_is_not_shown_any_more_keeps_no_python_waiting(open_screen):
    """As after a restart of Python."""
    page = open_screen(tiny.Nursery(networks=2))
    screen_of(page, "model = {send() { throw new Error('gone') }}")
    assert page.evaluate("document.querySelector('cplab-nursery').tell()") is None
