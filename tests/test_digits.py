"""Drawn digits are data: the same pixels whatever is installed."""

import hashlib

import matplotlib
import numpy as np
import pytest

from cplab.pictures import datasets, digits, practice

SHA256 = {
    "train_x": "a9d62c74c8ce7358fe95456bff9e674aec0fa5ec6a96774e54036abafa90c4e6",
    "train_y": "089b182ffc65d39b8f17d5af67c0152f7fde375a599ce97dd7aa24ad61824c58",
    "test_x": "8d40c9824b7df76aaed44cda5dd312cf90495437db3ee237d9f13ab79e44eceb",
    "test_y": "4dc2db0b2611aa51e03d32cbe1e072ee4d476d9ae6fac34dc2eeb5396cbd3951",
}


@pytest.fixture
def drawn_anew(monkeypatch):
    """A function that draws the set, with nothing remembered before or after."""

    def draw():
        digits.masks.cache_clear()
        return digits.drawn.__wrapped__()

    yield draw
    digits.masks.cache_clear()


def test_computed_sets_are_those_on_which_shipped_results_rest():
    for part, digest in SHA256.items():
        assert hashlib.sha256(getattr(digits.drawn(), part).tobytes()).hexdigest() == digest
    digest = hashlib.sha256(practice.practice().test_x.tobytes()).hexdigest()
    assert digest.startswith("df0ff2c19c2b23d8")
    for name in ("drawn", "practice"):
        assert datasets.load_arrays(name)[1] == name  # the copy that the results name


def test_drawn_digits_need_no_font(drawn_anew, monkeypatch, tmp_path):
    monkeypatch.setattr(matplotlib, "get_data_path", lambda: str(tmp_path))
    assert np.array_equal(drawn_anew().train_x, digits.drawn().train_x)


def test_each_digit_is_as_long_as_all_others_and_touches_no_edge():
    masks = digits.masks()
    assert masks.shape == (21, 10, digits.MASK, digits.MASK)  # typefaces and digits
    assert not masks[..., [0, -1], :].any()
    assert not masks[..., [0, -1]].any()
    high = masks.any(3).sum(2)  # rows with ink, of each digit
    wide = masks.any(2).sum(2)
    assert np.abs(np.maximum(high, wide) - digits.INK).max() <= 1


def test_a_set_that_this_machine_computes_otherwise_is_another_copy(monkeypatch):
    usual = digits.drawn()
    other = usual._replace(train_x=usual.train_x.copy())
    other.train_x[0, 0, 0] ^= 1
    monkeypatch.setitem(datasets.COMPUTED, "drawn", lambda: other)
    datasets.make.cache_clear()
    copy = datasets.load_arrays("drawn")[1]
    datasets.make.cache_clear()
    assert copy.startswith("drawn-")
