"""Lab 03: images that a deficit costs."""

import pytest

from cplab import Run
from cplab.labs import lab02, lab03

EARLY = Run("blur", length=16, model="depth3", schedule="fixed", recovery=60)


def test_images_lost_minus_those_regained_are_the_accuracy_that_is_lost():
    by_image = lab02.image_accuracies(EARLY)
    clear = (by_image.clear > 50).sum(1).mean()
    deprived = (by_image.deprived > 50).sum(1).mean()
    lost, regained = lab03.exchanged(EARLY)["with the deficit"]
    assert lost - regained == pytest.approx(clear - deprived)
