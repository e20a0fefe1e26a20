"""What one moves in lab 08, driven as a student would."""

import numpy as np
import pytest
from conftest import says
from labs_by_hand import text

from cplab import CplabError, lab
from cplab.studies import linear
from cplab.studies.linear import bench as lab08

pytestmark = pytest.mark.usefixtures("errors_raise")


@pytest.fixture
def eyes():
    return lab08.Eyes(recovery=5)


def drawn(eyes):
    return [np.array(eyes.sources[eye].data["p"][-2][-1]) for eye in "ab"]  # of mode 1, in the end


def test_a_broken_callback_fails_the_test_that_clicks(eyes):
    """ipywidgets only logs it, so that a broken button would go unseen."""
    eyes.job.stop.on_click(lambda button: button.nowhere)
    with pytest.raises(AttributeError, match="nowhere"):
        eyes.job.stop.click()


def test_every_slider_is_solved_at_once(eyes):
    moves = {"depth": 3, "onset": 0.7, "length": 1.5, "patch": 0.4, "recovery": 3, "rho": 0.95}
    for name, value in {**moves, "start": 0.02, "kind": "weak"}.items():
        before = text(eyes.readout), drawn(eyes), eyes.sources["shares"].data["share"]
        eyes.controls[name].value = value
        assert (text(eyes.readout), drawn(eyes), eyes.sources["shares"].data["share"]) != before
        assert getattr(eyes.asked, name) == pytest.approx(value)
    life = linear.Rearing(3, 0.7, 1.5, "weak", 0.4, 3, 0.95, 0.02, lab08.MODES)
    assert eyes.sources["shares"].data["share"] == pytest.approx(linear.share(life), rel=1e-6)
    [mode] = linear.grow(linear.Rearing(**{**vars(life), "modes": (1,)}))
    assert drawn(eyes) == pytest.approx([mode.a[-1], mode.b[-1]])


def test_gradient_descent_is_drawn_on_the_curves_until_the_next_move(eyes):
    eyes.job.start.click()
    assert eyes.job.wait(60)
    assert "Circles: trained" in text(eyes.job.message)
    trained = linear.descend(eyes.asked)
    last = eyes.sources["descent b"].data
    assert last["p"][-1] == pytest.approx(trained[-1].b[-1] / lab08.MODES[-1])
    eyes.controls["length"].value = 2
    assert not eyes.sources["descent b"].data["p"]


def test_a_typed_number_is_told_whether_it_holds_and_may_be_typed_again():
    asked = lab.number("How many?", 0.25, lambda: ["It is 0.25."], within=0.01)
    with pytest.raises(CplabError) as error:
        asked.revealed = True
    says(error, "not answered")
    for typed, told in ((0.255, "It holds"), (0.3, "It does not hold")):
        asked.answer, asked.revealed = typed, True
        assert told in asked.words
        assert "It is 0.25." in asked.words


def test_a_formula_is_put_to_the_test():
    def share(t, p0):
        return p0 / (p0 + 1 / (1 + (1 / p0 - 1) * np.exp(-2 * t)))

    right, wrong = (
        lab08.check_formula(formula, 2).seen()[0] for formula in (share, lambda t, p0: 0.5)
    )
    assert "<b>holds</b>" in right
    assert "<b>not hold</b>" in wrong


@pytest.mark.parametrize("formula", [lambda t, p0: t[:3], lambda t, p0: nowhere, lambda t: t])  # noqa: F821
def test_a_formula_that_fails_or_gives_too_few_numbers_is_one_clear_line(formula):
    with pytest.raises(CplabError) as error:
        lab08.check_formula(formula, 2)
    says(error, "the formula", "each time", "mend it")


def test_matrices_are_completed_at_once_drawn_and_kept():
    made = lab08.CompletionBench((0, 50), (60,) * 4, seeds=range(3), size=12, recovery=200)
    assert made.job.wait(60)
    done = linear.complete(2, "few", (0, 50), 60, range(3), 200, 12)
    assert made.sources["median"].data["y"] == pytest.approx(np.median(done.error, 1))
    assert made.sources["without"].data["y"] == pytest.approx(np.median(done.without, 1))
    assert sorted(made.sources["seeds"].data["y"]) == pytest.approx(sorted(done.error.ravel()))
    assert f"a deficit at birth {np.median(done.rank[0]):.1f}" in text(made.readout)
    made.controls["deficit"].value = "noise"
    assert made.job.wait(60)
    assert {*made.completed} == {(2, "few"), (2, "noise")}
    made.controls["deficit"].value = "few"
    assert made.sources["median"].data["y"] == pytest.approx(np.median(done.error, 1))


def test_completing_can_be_stopped():
    made = lab08.CompletionBench(size=100)
    made.job.stop.click()
    assert made.job.wait(60)
    assert text(made.job.message) == "stopped"
    assert not made.completed
    assert not made.job.start.disabled
