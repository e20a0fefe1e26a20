"""The answers to lab 03's exercises."""

import numpy as np
from scipy import stats

from cplab import lab
from cplab.lab.checks import Answer, exercise
from cplab.labs import lab03
from cplab.runs import Run


def percent_right(weights: np.ndarray, images: np.ndarray, labels: np.ndarray) -> float:
    """Percent of images (N, pixels) that a linear classifier (pixels, classes) names rightly."""
    return 100 * float(((images @ weights).argmax(1) == labels).mean())


@exercise("03-1", "percent right on shuffled images", near=0.6)
def shuffled_images() -> Answer:
    """What a linear classifier names rightly: as much as on clear images, since it does not know
    which pixels are neighbours. It is the ridge regression of section 4."""
    images = lab.pictures("cifar10", "course")
    x = np.asarray(images.normal(images.train_x[:4000]), dtype=float).reshape(4000, -1)
    x = np.pad(x, ((0, 0), (0, 1)), constant_values=1.0)
    y = np.asarray(images.train_y[:4000])
    half = len(x) // 2
    a = x[:half]
    weights = np.linalg.solve(a.T @ a + 1000 * np.eye(a.shape[1]), a.T @ np.eye(10)[y[:half]])
    mistakes = {
        "That is guessing. Does this classifier know which pixels are neighbours?": 10,
        "That is on the images from which it learned: take the other half": percent_right(
            weights, a, y[:half]
        ),
        "That is how many it names wrongly": 100 - percent_right(weights, x[half:], y[half:]),
    }
    return Answer(percent_right(weights, x[half:], y[half:]), mistakes)


@exercise("03-2", "the factor", near=0.06)
def bonferroni() -> Answer:
    """Student's factor of three statements from five seeds."""
    mistakes = {
        "That is the usual one, for one statement": lab03.factor(1, 5),
        "That is of a normal distribution: five seeds have Student's, of four degrees": (
            stats.norm.ppf(1 - 0.025 / 3)
        ),
        "An interval has two ends: divide 0.025 by three, and not 0.05": stats.t.ppf(
            1 - 0.05 / 3, 4
        ),
    }
    return Answer(lab03.factor(3, 5), mistakes)


@exercise("03-3", "loss after 16 epochs of fixed noise", near=0.006)
def memorised_noise() -> Answer:
    """The training loss in the last epoch of the noise."""
    noisy = Run("noise", length=16)
    fresh = noisy.replace(deficit="fresh_noise")
    mistakes = {
        "That is at the end of the training: take the last epoch of the noise": lab03.train_loss(
            noisy, -1
        ),
        "That is the first clear epoch: the last one of the noise is one earlier": lab03.train_loss(
            noisy, noisy.end
        ),
        "That is of fresh noise": lab03.train_loss(fresh, fresh.end - 1),
    }
    return Answer(lab03.train_loss(noisy, noisy.end - 1), mistakes)
