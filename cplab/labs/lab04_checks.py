"""The answers to lab 04's exercises."""

from __future__ import annotations

from cplab import lab
from cplab.base.errors import installed
from cplab.base.late import F, Tensor, nn, torch
from cplab.lab.questions.checks import Answer, exercise
from cplab.labs import lab04
from cplab.quantities import quantity, result
from cplab.specs.experiments import Experiment


def squared_mean_gradient(net: nn.Module, x: Tensor, y: Tensor) -> float:
    """The squared length of the gradient of the mean loss, which is not the trace."""
    weights = [parameter for parameter in net.parameters() if parameter.dim() > 1]
    loss = F.cross_entropy(net(x), y)
    slopes = torch.autograd.grad(loss, weights)
    return sum(slope.square().sum().item() for slope in slopes)


@exercise("04-1", "the trace with the data set's labels", tolerance=0.5)
def empirical_trace() -> Answer:
    """The trace of the empirical Fisher information of section 2's network, on its 40 images."""
    images = lab.pictures("cifar10", "fit")
    with installed():
        from cplab.measure.fisher import trace
    x = images.normal(images.train_x[:300])
    y = images.train_y[:300]
    net = lab04.small_network(x, y)
    few = x[:40]
    right = lab04.empirical_trace(net, few, y)
    of_the_mean = squared_mean_gradient(net, few, y[:40])
    mistakes = {
        "That is with the network's own labels": trace(net, few).total,
        "That is the sum over the images: divide by their number": len(few) * right,
        "Square each image's gradient before you take the mean": of_the_mean,
    }
    return Answer(right, mistakes)


@quantity
def images_right(run: Experiment) -> float:
    """Percent of the training images that a short run names correctly in the end."""
    return 100 * result(run).values["accuracy"][-1]


@exercise("04-2", "percent of the highest trace, after 600 batches", tolerance=10)
def trace_left() -> Answer:
    """What the narrow network keeps of its highest trace when it is trained for longer."""
    shorter = lab04.short_run.spec(width=4)
    longer = lab04.short_run.spec(width=4, batches=600)
    left = lab04.left(longer).mean
    mistakes = {
        "That is after 150 batches: train it four times as long": lab04.left(shorter),
        "That is how many of its images it names correctly": images_right(longer),
        "That is how much is gone: how much is left?": 100 - left,
    }
    return Answer(left, mistakes)
