"""Lab 02: accuracies by image."""

import pytest

from cplab import Run, quantities
from cplab.labs import lab02

EARLY = Run("blur", length=16, model="depth3", schedule="fixed", recovery=60)


def test_the_mean_accuracy_by_image_is_that_of_the_network():
    """Of the two seeds that were measured, over the last five epochs, up to some images."""
    by_seed = quantities.accuracy(EARLY).by_seed
    by_image = lab02.image_accuracies(EARLY).deprived
    assert by_image.mean(1) == pytest.approx([by_seed[5], by_seed[6]], abs=0.1)
