"""The Nursery with a deficit or images of one's own, and its harm in JavaScript and in Python."""

import base64
import gzip
from copy import deepcopy
from functools import cache
from typing import NamedTuple

import numpy as np
import pytest
import torch
from conftest import one_line, tell_python
from nursery import ended, opened_anew, screen_of, short_lives, train, write_document

import cplab
from cplab.estimates import Estimate
from cplab.lab.nursery import nursery
from cplab.quantities import harm, harm_from_results
from cplab.results import Result
from cplab.runs import MEASURED, Run


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


@cplab.deficit(label="grains that dance, and half of the names are wrong")
def dancing(x, y, *, generator):
    x = x + torch.randn(x.shape, generator=generator)
    chance = torch.rand(len(y), generator=generator)
    return x, torch.where(chance < 0.5, (y + 1) % 10, y)


def fails_late(x, y, *, context):
    if context.epoch > 220:
        raise ValueError("oops")
    return x * (1 - context.epoch / 300), y


@cache
def content_of(deficit):
    """What a screen under one of these holds: Python applies it for a while, so only once."""
    return nursery.Nursery(networks=2, deficit=deficit, compare=True).content


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
    return nursery.unpack(nursery.digits())


def test_an_own_deficit_is_what_all_windows_begin_with():
    first, second = content_of(low)["windows"]
    assert first["kind"] == second["kind"] == Run(low, length=1).deficit


def test_an_own_deficit_is_applied_to_all_digits_of_the_page(page_images):
    own = content_of(low)["own"]
    parts = [seen(own, part) for part in ("train", "test")]
    images, labels = (np.concatenate(both)[:, 0] for both in zip(*parts, strict=True))
    x, y = page_images
    expected = x.copy()
    expected[:, 6:] = 0
    assert np.abs(images - expected).max() <= (own["high"] - own["low"]) / 255
    assert np.array_equal(labels, y)


def test_an_own_deficit_that_changes_is_applied_in_epochs_of_all_a_life():
    own = content_of(curtain)["own"]
    epochs = own["train"]["epochs"]
    assert (len(epochs), epochs[0], epochs[-1]) == (nursery.EPOCHS, 0, 299)
    images, _ = seen(own)
    assert np.abs(images[:, -1, :11]).max() <= (own["high"] - own["low"]) / 15


def test_an_own_deficit_that_draws_is_drawn_for_as_many_epochs_as_there_is_room_for():
    own = content_of(dancing)["own"]
    assert own["inTurn"]
    assert 20 < len(own["train"]["epochs"]) < nursery.EPOCHS
    assert len(own["train"]["packed"]) < nursery.ROOM
    images, _ = seen(own)
    assert not np.array_equal(images[:, 0], images[:, 1])


def test_labels_that_an_own_deficit_draws_are_those_of_the_epoch(page_images):
    _, y = page_images
    _, labels = seen(content_of(dancing)["own"])
    wrong = labels != y[: len(labels), None]
    assert wrong.mean() == pytest.approx(0.5, abs=0.05)
    assert wrong.any(1).all()


def test_a_page_says_that_networks_share_what_changes():
    assert "share" in content_of(curtain)["note"]
    assert "share" not in content_of(low)["note"]


def test_an_own_deficit_that_fails_says_so_in_one_line():
    one_line(lambda: nursery.Nursery(deficit=fails_late), "oops")


@pytest.mark.usefixtures("small_mnist")
def test_own_images_are_those_of_the_page():
    content = nursery.Nursery(images="mnist").content
    x, y = nursery.unpack(content["digits"])
    images = cplab.pictures.data.shared_images("mnist", "tiny")
    grey = images.train_x[:, :, :, 0].numpy() / 255
    held = x[: content["digits"]["train"]]
    held = held * content["digits"]["deviation"] + content["digits"]["average"]
    assert np.abs(held - grey[: len(held)]).max() <= 1 / 30
    assert np.array_equal(y[: len(held)], images.train_y[: len(held)])


@pytest.mark.parametrize("wrong", [{"deficit": "blurr"}, {"images": "nothing"}, {"onset": "late"}])
def test_a_screen_refuses_an_unknown_name_in_one_line(wrong):
    one_line(lambda: nursery.Nursery(**wrong), *wrong.values())


def test_a_screen_given_arrays_says_what_makes_a_name_of_them():
    one_line(lambda: nursery.Nursery(images=np.zeros((20, 12, 12))), "cplab.images_from(")


# In a browser -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def open_screen(used_page, tmp_path_factory):
    """A function that opens the page of what a screen holds, without Python behind it."""

    def open_screen(content):
        folder = tmp_path_factory.mktemp("page")
        return opened_anew(used_page, write_document(folder, nursery.page(content)))

    return open_screen


def test_a_deficit_of_the_package_is_quoted_in_the_line_of_python(open_screen):
    page = open_screen(nursery.Nursery(deficit="stripes").content)
    run = eval(page.text_content("[data-is=code]"), {"cplab": cplab})
    assert run == Run("stripes", length=200, profile="tiny")


OPACITIES = """canvas => [...canvas.getContext("2d").getImageData(0, 0, 12, 12).data]
    .filter((_, place) => place % 4 === 3)"""


def test_a_deficit_that_changes_is_drawn_as_where_its_window_begins_and_ends(open_screen):
    content = deepcopy(content_of(curtain))
    content["windows"] = [content["windows"][0] | {"length": 300}]
    page = open_screen(content)
    assert page.inner_text("[data-is=about]").endswith("(as in epochs 0 and 299)")
    pictures = page.locator("[data-is=pictures] figure").first.locator("canvas")
    assert pictures.count() == 3
    last = np.reshape(pictures.last.evaluate(OPACITIES), (12, 12))
    assert len(np.unique(last[:11])) == 1  # grey all over


NETWORKS = 4
LENGTH = 20
RECOVERY = 10


def test_the_harm_on_the_screen_is_that_of_a_sweep_within_the_intervals(open_screen):
    """Of other seeds and digits of the same kind."""
    content = deepcopy(content_of(dancing)) | {"networks": NETWORKS}
    content["windows"] = [content["windows"][0] | {"length": LENGTH}]
    content["knobs"]["recovery"] = RECOVERY
    page = open_screen(content)
    train(page)
    shown = nursery.Nursery()
    grown = page.evaluate(TOLD)
    tell_python(shown.link, {"grown": grown, "headline": ended(page)})
    run = Run(dancing, length=LENGTH, recovery=RECOVERY, profile="tiny")
    pairs = [run.with_seed(seed) for seed in range(NETWORKS)]
    cplab.sweep(pairs + [pair.without_window() for pair in pairs])
    swept = harm(run)
    wide = np.hypot(shown.harm.half, swept.half)
    assert abs(shown.harm.mean - swept.mean) < wide < abs(swept.mean) / 2


TOLD = """() => {
  const screen = document.querySelector("cplab-nursery");
  let told;
  screen.model = {send: ({grown}) => (told = grown)};
  screen.tell();
  return told;
}"""


# Harm in two languages ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def screen(open_screen):
    """A screen on which nothing has grown."""
    return open_screen(short_lives())


def test_a_screen_that_is_not_shown_any_more_keeps_no_python_waiting(screen):
    """As after a restart of Python."""
    screen_of(screen, "model = {send() { throw new Error('gone') }}")
    assert screen_of(screen, "tell()") is None


GROW = """([onset, pairs]) => {
  const screen = document.querySelector('cplab-nursery');
  const window = {...screen.windows[0], onset};
  screen.windows = [window];
  screen.trained.set(screen.key(window), {window, pairs: new Map(pairs)});
  return screen.views[0].harm;
}"""


def accuracies(count, epochs, salt):
    """The percent of test images right after each epoch, (networks, epochs)."""
    return np.random.default_rng([count, epochs, salt]).uniform(20, 90, (count, epochs))


def life(percents, tested):
    """What the page knows of a network that was tested after some epochs, counted from 1."""
    tests = [{"age": epoch, "right": percents[epoch - 1], "own": 50} for epoch in tested]
    return {"tests": tests, "answers": [0] * 1000}


def result(run, percents):
    """The package's result of a run with these accuracies."""
    columns = dict.fromkeys(MEASURED, np.ones(run.epochs)) | {"test_accuracy": percents / 100}
    values = run.values(columns)
    return Result(run, values, 1.0, "none", "cpu", "float32", 1, "", "")


def in_pairs(spoilt, control, pace):
    """What the page knows of networks, (networks, epochs), and their twins: tests after every
    `pace` epochs, and after each of the last five."""
    pairs = []
    for seed in range(len(spoilt)):
        pair = {}
        for arm, percents in (("spoilt", spoilt[seed]), ("control", control[seed])):
            last = len(percents)
            pair[arm] = life(percents, [*range(1, last - 4, pace), *range(last - 4, last + 1)])
        pairs.append([seed, pair])
    return pairs


class Grown(NamedTuple):
    """The harm of networks on the screen, in Python, which the screen has told, and by the package;
    and what else Python knows of them."""

    on_screen: dict
    harm: Estimate
    expected: Estimate
    accuracies: dict[str, Estimate]


def grow(screen, onset, recovery, pace, count):
    """Let random networks have grown up on a screen, and their twins."""
    run = Run("mosaic", onset, 4, recovery, profile="tiny")
    control = run.without_window()
    spoilt_percents = accuracies(count, run.epochs, 1)
    control_percents = accuracies(count, control.epochs, 2)
    reared = {}
    clear = {}
    for seed in range(count):
        reared[seed] = result(run.with_seed(seed), spoilt_percents[seed])
        clear[seed] = result(control.with_seed(seed), control_percents[seed])
    pairs = in_pairs(spoilt_percents, control_percents, pace)
    on_screen = screen.evaluate(GROW, [onset, pairs])
    shown = nursery.Nursery()
    tell_python(shown.link, {"grown": screen.evaluate(TOLD), "headline": "They end behind"})
    expected = harm_from_results(run, recovery, reared, clear)
    return Grown(on_screen, shown.harm, expected, shown.accuracies)


@pytest.mark.parametrize("onset", [0, 5])
@pytest.mark.parametrize(("recovery", "pace", "count"), [(6, 1, 20), (20, 3, 2), (6, 1, 3)])
def test_harm_on_the_screen_is_the_package_s(onset, recovery, pace, count, screen):
    """With its interval, which pairs twins that were one network until the deficit began. Python
    has the same numbers of what the screen tells."""
    grown = grow(screen, onset, recovery, pace, count)
    expected = grown.expected
    assert len(expected.counts) == (1 if onset else 2)
    assert grown.on_screen["middle"] == pytest.approx(expected.mean)
    assert grown.on_screen["half"] == pytest.approx(expected.half, rel=1e-3)
    assert (grown.harm.mean, grown.harm.half) == pytest.approx((expected.mean, expected.half))


def test_python_gets_the_harm_and_the_accuracies_of_each_network(screen):
    grown = grow(screen, 0, 26, 3, 3)
    spoilt = accuracies(3, 30, 1)[:, -5:].mean(1)
    control = accuracies(3, 26, 2)[:, -5:].mean(1)
    assert grown.harm.values == pytest.approx(control - spoilt)
    assert grown.accuracies["deprived"].values == pytest.approx(spoilt)
    assert grown.accuracies["twins"].values == pytest.approx(control)


def test_before_anything_has_grown_python_says_what_to_do(capsys):
    """And goes on, so that all cells of a notebook can be run at once."""
    shown = nursery.Nursery()
    assert np.isnan(shown.harm.mean)
    assert "press Train" in capsys.readouterr().out
