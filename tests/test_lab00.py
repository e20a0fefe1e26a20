"""Lab 00: what it shows and says of networks that a student grew."""

from cplab.estimates import estimate
from cplab.labs import lab00


def test_the_figure_of_what_grows_by_itself_is_folded():
    """So that it does not answer the question above it."""
    growing = lab00.grow([lab00.childhood("flip", length=1, recovery=1)])
    assert growing.wait(100)
    fold = growing.picture.index("<details>")
    figure = growing.picture.index("<img")
    assert fold < figure < growing.picture.index("</details>")


def test_your_own_harms_are_listed_by_age(monkeypatch):
    harms = {0: [9.0, 10.0, 11.0], 5: [], 80: [-1.0, 0.0, 1.0]}
    monkeypatch.setattr(lab00, "own_twenty", lambda run: estimate(harms[run.onset]))
    words = lab00.read_aloud([lab00.childhood(onset=age) for age in harms])
    assert "0: <b>10.0 ± 2.5</b>, 80: <b>0.0 ± 2.5</b>" in words
