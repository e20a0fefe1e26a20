"""The answers to lab 03's exercises."""

import numpy as np
from scipy import stats

from cplab import lab
from cplab.estimates import CONFIDENCE
from cplab.lab.questions.checks import Answer, exercise
from cplab.labs import lab03
from cplab.runs import Run


def percent_right(weights: np.ndarray, images: np.ndarray, labels: np.ndarray) -> float:
    """Percent of images (N, pixels) that a linear classifier (pixels, classes) names correctly."""
    answers = (images @ weights).argmax(1)
    return 100 * float((answers == labels).mean())


@exercise("03-4", "percent right on shuffled images", tolerance=0.6)
def shuffled_images() -> Answer:
    """How many a linear classifier names correctly: as many as of clear images, since it does not
    know which pixels are neighbours. It is the ridge regression of section 4."""
    images = lab.pictures("cifar10", "course")
    x = np.asarray(images.normal(images.train_x[:4000]), dtype=float).reshape(4000, -1)
    x = np.pad(x, ((0, 0), (0, 1)), constant_values=1.0)  # a 1 for the bias: (4000, pixels + 1)
    y = np.asarray(images.train_y[:4000])
    train_x, test_x = np.split(x, 2)
    train_y, test_y = np.split(y, 2)

    squares = train_x.T @ train_x + 1000 * np.eye(train_x.shape[1])
    weights = np.linalg.solve(squares, train_x.T @ np.eye(10)[train_y])
    right = percent_right(weights, test_x, test_y)
    mistakes = {
        "That is guessing. Does this classifier know which pixels are neighbours?": 10,
        "That is on the images from which it learned: take the other half": percent_right(
            weights, train_x, train_y
        ),
        "That is how many it names wrongly": 100 - right,
    }
    return Answer(right, mistakes)


@exercise("03-1", "the factor", tolerance=0.06)
def bonferroni() -> Answer:
    """Student's factor of three statements from five seeds."""
    outside = 1 - CONFIDENCE
    side = outside / 2
    normal = stats.norm.ppf(1 - side / 3)
    one_sided = stats.t.ppf(1 - outside / 3, 4)
    mistakes = {
        "That is the usual one, for one statement": lab03.factor(1, 5),
        "That is the factor for many seeds: five need Student's t, with four degrees": normal,
        f"An interval has two ends: divide {side:g} by three, not {outside:g}": one_sided,
    }
    return Answer(lab03.factor(3, 5), mistakes)


@exercise("03-2", "loss after 16 epochs of fixed noise", tolerance=0.006)
def memorised_noise() -> Answer:
    """The training loss in the last epoch of the noise."""
    noisy = Run("noise", length=16)
    fresh = Run("fresh_noise", length=16)
    last = noisy.end - 1
    final = lab03.train_loss(noisy, -1)
    first_clear = lab03.train_loss(noisy, last + 1)
    mistakes = {
        "That is at the end of the training: take the last epoch of the noise": final,
        "That is the first clear epoch: the last one of the noise is one earlier": first_clear,
        "That is of fresh noise": lab03.train_loss(fresh, last),
    }
    return Answer(lab03.train_loss(noisy, last), mistakes)
