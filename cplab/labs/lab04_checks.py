"""The answers to lab 04's exercises."""

from typing import Any

from cplab import lab
from cplab.errors import installed
from cplab.lab.checks import Answer, exercise
from cplab.labs import lab04
from cplab.quantities import quantity, result


def squared_mean_gradient(net: Any, x: Any, y: Any) -> float:
    """The squared length of the gradient of the mean loss, which is no trace."""
    import torch
    from torch.nn import functional as F

    weights = [parameter for parameter in net.parameters() if parameter.dim() > 1]
    slopes = torch.autograd.grad(F.cross_entropy(net(x), y), weights)
    return sum(slope.square().sum().item() for slope in slopes)


@exercise("04-1", "the trace with the data set's labels", near=0.5)
def empirical_trace() -> Answer:
    """The trace of the empirical Fisher information of section 2's network, on its 40 images."""
    images = lab.pictures("cifar10", "fit")
    with installed():
        from cplab.measure.fisher import trace
    x, y = images.normal(images.train_x[:300]), images.train_y[:300]
    net, few = lab04.small_network(x, y), x[:40]
    right = lab04.empirical_trace(net, few, y)
    mistakes = {
        "That is with the network's own labels": trace(net, few).total,
        "That is the sum over the images: divide by how many they are": len(few) * right,
        "Square each image's gradient before you take the mean": squared_mean_gradient(
            net, few, y[: len(few)]
        ),
    }
    return Answer(right, mistakes)


@quantity
def images_right(run: Any) -> float:
    """Percent of the training images that a short run names rightly in the end."""
    return 100 * result(run).values["accuracy"][-1]


@exercise("04-2", "percent of the highest trace, after 600 batches", near=10)
def trace_left() -> Answer:
    """What the narrow network keeps of its highest trace when it is trained for longer."""
    longer = lab04.short_run.spec(width=4, batches=600)
    left = lab04.left(longer).mean
    mistakes = {
        "That is after 150 batches: train it four times as long": lab04.left(
            lab04.short_run.spec(width=4)
        ),
        "That is how many of its images it names rightly": images_right(longer),
        "That is how much is gone: how much is left?": 100 - left,
    }
    return Answer(left, mistakes)
