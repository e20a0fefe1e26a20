"""What one moves in lab 08, driven as a student would."""

import numpy as np
import pytest
from labs_by_hand import text

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
