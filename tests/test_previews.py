"""Previews of deficits: what is shown is what a network sees."""

import numpy as np
import pytest

import cplab
from cplab.pictures import previews
from cplab.pictures.previews import pictures, preview, set_to_show


def covered(x, y):
    """A deficit of one's own."""
    x = x.clone()
    x[..., -4:, :] = 0
    return x, y


def half_blind(x, y):
    """A deficit of one's own that reads labels."""
    x = x.clone()
    x[y >= 5] = 0
    return x, y


@pytest.fixture(scope="module", params=[("practice", "ci"), ("drawn", "tiny")], ids="/".join)
def small_set(request):
    """The name of a set and that of a small profile."""
    return request.param


@pytest.fixture(scope="module")
def images(small_set):
    return cplab.images(*small_set)


def seen_by_a_network(images, deficit):
    """The first three images under a deficit, from 0 to 255, (3, H, W, C)."""
    x = images.normal(images.train_x[:3])
    seen, _ = cplab.apply_deficit(x, images.train_y[:3], deficit)
    pixels = seen.permute(0, 2, 3, 1) * images.std + images.mean
    return pixels.clamp(0, 255).numpy()


@pytest.mark.parametrize(
    ("deficit", "tolerance"),
    [
        ("none", 1.1),
        ("blur-2", 1.1),
        ("blank", 5),  # the mean of fewer images
        ("blur+flip", 1.1),
        pytest.param(covered, 1.1, id="a student's"),
    ],
)
def test_a_preview_is_the_first_images_and_what_the_network_sees_of_them(
    deficit, tolerance, small_set, images
):
    rows, shown = preview(*small_set, deficit)
    assert shown == images.name
    assert np.array_equal(rows["clear"], images.train_x[:3])
    assert np.abs(rows["seen"] - seen_by_a_network(images, deficit)).max() <= tolerance


def test_a_deficit_that_reads_labels_is_shown_the_true_ones(small_set, images):
    rows, _ = preview(*small_set, half_blind, count=12)
    labels = images.train_y[:12].tolist()
    blank = [bool((image == image[0, 0]).all()) for image in rows["seen"]]
    assert blank == [label >= 5 for label in labels]
    assert {*blank} == {False, True}


@pytest.mark.parametrize(
    ("deficits", "shown"),
    [(["blur", half_blind], "practice"), (["blur"], "mnist")],  # whose place pictures take
    ids=["a student's", "the package's"],
)
def test_without_images_a_students_deficit_is_shown_on_labelled_practice_images(deficits, shown):
    assert set_to_show("mnist", deficits) == shown


@pytest.fixture
def batch(monkeypatch):
    """What a deficit is shown for a preview: images, labels, and what it is told about them."""
    calls = []

    def spy(x, y, name, **told):
        calls.append((x, y, told))
        return -x, y

    monkeypatch.setattr(previews, "apply_deficit", spy)
    preview("practice", "ci", covered)
    [call] = calls
    return call


def test_a_deficit_is_shown_a_whole_batch_and_told_about_it_as_in_training(batch):
    x, labels, told = batch
    assert len(x) >= 100
    assert labels.tolist() == cplab.images("practice", "ci").train_y[: len(x)].tolist()
    assert told["index"].tolist() == [*range(len(x))]
    assert (told["images"], told["classes"]) == (512, 10)


@pytest.mark.parametrize(
    ("dataset", "said"), [("practice", ""), ("mnist", "mnist is not here: practice images")]
)
def test_where_a_set_is_not_here_a_line_says_which_one_is_shown(dataset, said, capsys):
    assert pictures(dataset, "ci").name == "practice"
    printed = capsys.readouterr().out
    assert printed.startswith(said)
    assert bool(printed) == bool(said)
