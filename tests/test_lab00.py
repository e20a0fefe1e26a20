"""Lab 00: what it shows and says of networks that a student grew."""

import pytest

from cplab.estimates import estimate
from cplab.labs import lab00


def test_the_figure_of_what_grows_by_itself_is_folded():
    """So that it does not answer the question above it."""
    growing = lab00.grow([lab00.childhood("flip", length=1, recovery=1)], lab00.by_length)
    assert growing.wait(100)
    fold = growing.picture.index("<details>")
    figure = growing.picture.index("<img")
    assert fold < figure < growing.picture.index("</details>")


@pytest.mark.parametrize(
    ("harms", "words"),
    [
        ([9.0, 10.0, 11.0], "10.0 ± 2.5 points behind their twins"),
        ([-1.0, 0.0, 1.0], "level with their twins"),
    ],
    ids=["harm", "none"],
)
def test_your_own_harms_are_read_aloud(harms, words, monkeypatch):
    monkeypatch.setattr(lab00, "own_twenty", lambda run: estimate(harms))
    assert words in lab00.read_aloud([lab00.childhood()])


def test_your_own_harms_are_read_aloud_in_the_order_of_the_runs(monkeypatch):
    harms = {0: [9.0, 10.0, 11.0], 5: [], 80: [-1.0, 0.0, 1.0]}
    monkeypatch.setattr(lab00, "own_twenty", lambda run: estimate(harms[run.onset]))
    words = lab00.read_aloud([lab00.childhood(onset=age) for age in harms])
    early, late = words.split("; ")
    assert "behind" in early
    assert "level" in late
