"""One's own images in the forms of other libraries: what can be meant in one way alone is read, and
means the same; for the rest a line says what was found."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import one_line
from PIL import Image

import cplab
from cplab import data

COUNT = 20
CLASSES = 4
RANDOM = np.random.default_rng(0)
GREY = RANDOM.integers(0, 256, (COUNT, 28, 28), dtype=np.uint8)
COLOUR = RANDOM.integers(0, 256, (COUNT, 32, 32, 3), dtype=np.uint8)
LABELS = np.arange(COUNT) % CLASSES


def taken_in(x, y=LABELS):
    """The name of a set whose halves are the same."""
    return data.images_from((x, y), (x, y), name="own")


def of_file(path, **arrays):
    np.savez(path / "own.npz", **arrays)
    return data.images_from(path / "own.npz")


OPAQUE = np.full((COUNT, 32, 32, 1), 255, np.uint8)
IMAGES = {
    "a channel of grey": (GREY[..., None], GREY),
    "a channel of grey first": (GREY[:, None], GREY),
    "rows of 784": (GREY.reshape(COUNT, -1), GREY),
    "fractions": (GREY / 255, GREY),
    "floats of torch": (torch.tensor(GREY / 255, dtype=torch.float32)[:, None], GREY),
    "whole floats": (GREY.astype(float), GREY),
    "floats with gradients": (torch.tensor(GREY / 255, requires_grad=True), GREY),
    "floats of two bytes": (torch.tensor(GREY, dtype=torch.bfloat16), GREY),  # exact up to 256
    "whole numbers of 8 bytes": (GREY.astype(np.int64), GREY),
    "numbers of another byte order": (GREY.astype(">i4"), GREY),
    "a list": ([*GREY], GREY),
    "channels first": (COLOUR.transpose(0, 3, 1, 2), COLOUR),
    "images last": (COLOUR.transpose(1, 2, 3, 0), COLOUR),
    "opaque": (np.concatenate([COLOUR, OPAQUE], 3), COLOUR),
}


@pytest.mark.parametrize("form", IMAGES)
def test_images_of_another_form_are_the_same_set(form):
    other, usual = IMAGES[form]
    assert taken_in(other) == taken_in(usual)


LABEL_FORMS = {
    "a column": LABELS[:, None],
    "a column for each class": np.eye(CLASSES)[LABELS],
    "whole floats": LABELS.astype(float),
    "bytes": LABELS.astype(np.uint8),
    "texts": np.array(["ant", "bee", "cat", "dog"])[LABELS],
    "numbers of another byte order": LABELS.astype(">i8"),
    "a tensor": torch.tensor(LABELS),
    "a list": LABELS.tolist(),
    "from 1 on": LABELS + 1,
    "floats from 1 on": LABELS + 1.0,
    "with gaps": LABELS * 2,
    "a column for each class and one for none": np.eye(CLASSES + 1)[LABELS + 1],
    "objects": LABELS.astype(object),
    "texts as pandas has them": pd.Series([*"abcd"] * (COUNT // CLASSES)),
    "categories": pd.Series([*"abcd"] * (COUNT // CLASSES)).astype("category"),
}


@pytest.mark.parametrize("form", LABEL_FORMS)
def test_labels_of_another_form_are_the_same_set(form):
    assert taken_in(GREY, LABEL_FORMS[form]) == taken_in(GREY)


@pytest.mark.parametrize("labels", [LABELS + 1, LABELS * 2 + 3, LABELS + 1.0])
def test_there_are_as_many_classes_as_labels_that_occur(labels):
    assert data.classes(taken_in(GREY, labels)) == CLASSES


def test_numbers_that_became_other_classes_are_reported(capsys):
    taken_in(GREY, LABELS * 2 + 1)
    assert "labels 1, 3, 5, 7 as classes 0 to 3" in capsys.readouterr().err


def test_labels_from_0_on_are_reported_as_nothing_new(capsys):
    taken_in(GREY, LABELS)
    assert "labels" not in capsys.readouterr().err


def test_a_class_that_only_the_other_half_has_keeps_its_number():
    name = data.images_from((GREY, LABELS), (GREY, np.array([0, 2, 4, 6])[LABELS]))
    train_y, test_y = (data.load_arrays(name)[0][half] for half in ("train_y", "test_y"))
    assert (train_y == LABELS).all()
    assert (test_y == np.array([0, 2, 4, 5])[LABELS]).all()  # of 0, 1, 2, 3, 4 and 6


NAMES = {
    "Keras": ("x_train", "y_train", "x_test", "y_test"),
    "MedMNIST": ("train_images", "train_labels", "test_images", "test_labels"),
    "capitals": ("X_train", "Y_train", "X_test", "Y_test"),
    "words joined": ("trainImages", "trainLabels", "testImages", "testLabels"),
}


@pytest.mark.parametrize("library", NAMES)
def test_a_file_with_the_names_of_another_library_is_the_same_set(library, tmp_path):
    arrays = dict(zip(NAMES[library], (GREY, LABELS, GREY, LABELS), strict=True))
    assert of_file(tmp_path, **arrays) == taken_in(GREY)


def test_the_third_part_of_a_file_of_medmnist_is_left_out(tmp_path):
    arrays = dict(
        zip(NAMES["MedMNIST"], (GREY, LABELS[:, None], GREY, LABELS[:, None]), strict=True)
    )
    more = {"val_images": COLOUR, "val_labels": LABELS}
    assert of_file(tmp_path, **arrays, **more) == taken_in(GREY)


HALVES = {
    "torchvision": SimpleNamespace(data=COLOUR, targets=LABELS.tolist()),
    "SVHN": SimpleNamespace(data=COLOUR.transpose(0, 3, 1, 2), labels=LABELS),
    "MedMNIST": SimpleNamespace(imgs=COLOUR, labels=LABELS[:, None]),
    "torch": torch.utils.data.TensorDataset(
        torch.tensor(COLOUR).permute(0, 3, 1, 2) / 255, torch.tensor(LABELS)
    ),
}


@pytest.mark.parametrize("library", HALVES)
def test_a_data_set_of_another_library_is_the_same_set(library):
    half = HALVES[library]
    assert data.images_from(half, half, name="own") == taken_in(COLOUR)


@pytest.mark.parametrize("shape", [(64, 64, 3), (96, 96, 3), (48, 64, 3), (16, 16)])
def test_images_of_another_size_are_fitted_like_pictures_of_a_folder(shape, tmp_path):
    x = RANDOM.integers(0, 256, (COUNT, *shape), dtype=np.uint8)
    Image.fromarray(x[0]).save(tmp_path / "first.png")
    taken, _ = data.load_arrays(taken_in(x))
    expected = np.asarray(data.read_picture(tmp_path / "first.png"))
    expected = expected if len(shape) == 3 else expected[..., 0]
    assert np.array_equal(taken["train_x"][0], expected)


def test_transparent_pixels_become_white():
    clear = np.concatenate([COLOUR, 0 * OPAQUE], 3)
    assert (data.load_arrays(taken_in(clear))[0]["train_x"] == 255).all()


def test_changes_to_images_are_reported(capsys):
    taken_in(GREY[:, None] / 255, LABELS)
    said = capsys.readouterr().err
    assert "channels first" in said
    assert "pixels from 0 to 1" in said


REFUSED = {
    "two channels": (COLOUR[..., :2], LABELS, "channels", "(20, 32, 32, 2)"),
    "channels at both ends": (COLOUR[:, :3], LABELS, "channels", "(20, 3, 32, 3)"),
    "rows of colour": (COLOUR.reshape(COUNT, -1), LABELS, "not images", "(20, 3072)"),
    "normalised": (GREY / 50 - 2, LABELS, "from -2 to", "float64"),
    "16 bits": (GREY.astype(np.uint16) * 256, LABELS, "uint16", "from 0 to"),
    "not a number": (np.where(GREY > 250, np.nan, GREY / 255), LABELS, "nan"),
    "ink or none": ((GREY > 99).astype(np.uint8), LABELS, "only 0 and 1"),
    "tiny": (GREY[:, :4, :4], LABELS, "smaller than 8"),
    "several labels": (GREY, np.ones((COUNT, 5)), "one label per image", "(20, 5)"),
    "fractions as labels": (GREY, LABELS + 0.5, "fractions"),
    "masked labels": (GREY, np.ma.array(LABELS, mask=LABELS > 2), "masked"),
    "masked pixels": (np.ma.array(GREY, mask=GREY > 250), LABELS, "masked"),
    "one class": (GREY, 0 * LABELS + 3, "all labels are 3"),
    "texts and one that is missing": (GREY, ["a", np.nan] * 10, "texts and other values"),
    "objects of two types": (GREY, np.array(["a", 1] * 10, object), "one shape and type"),
    "dates": (GREY, LABELS.astype("datetime64[D]"), "not labels", "datetime64"),
    "labels below 0": (GREY, LABELS - 1, "from -1 to 2"),
    "a label too few": (GREY, LABELS[1:], "19 labels of 20 images"),
    "images of two sizes": ([GREY[0], COLOUR[0]], LABELS[:2], "one shape"),
    "none": (GREY[:0], LABELS[:0], "no images"),
}


@pytest.mark.parametrize("form", REFUSED)
def test_ambiguous_arrays_are_refused_in_a_line_that_lists_them(form):
    x, y, *words = REFUSED[form]
    one_line(lambda: taken_in(x, y), *words)


def test_a_file_without_halves_is_refused_with_the_names_it_has(tmp_path):
    one_line(
        lambda: of_file(tmp_path, images=GREY, labels=LABELS), "no train_x", "uint8 (20, 28, 28)"
    )


def test_a_file_of_one_array_is_refused_as_such(tmp_path):
    np.save(tmp_path / "own.npy", GREY)
    one_line(lambda: data.images_from(tmp_path / "own.npy"), "one array", "test_y")


def test_a_set_may_be_called_by_a_number():
    assert data.images_from((GREY, LABELS), (GREY, LABELS), name=3).startswith("own_3@")


def test_too_few_pictures_are_refused_with_a_remedy():
    name = taken_in(GREY)
    one_line(lambda: cplab.run(profile="tiny", dataset=name, recovery=1), "images=20")


def test_the_remedy_in_the_error_trains():
    name = taken_in(GREY)
    assert cplab.run(profile="tiny", dataset=name, recovery=1, images=20).accuracy > 0
