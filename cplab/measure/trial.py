"""A student's measurement is tried on a small network before hours of training take it."""

import torch
from torch import nn

from cplab.data import Images
from cplab.measure import Measurement
from cplab.own.trials import require, trial


def try_measurement(made: Measurement) -> None:
    """Take a measurement twice, of a network of two convolutions and 4 images of 8 × 8 pixels.

    Raises: CplabError if it fails, changes the network, or gives other than plain data or not the
        same twice.
    """
    word = made.name.partition("@")[0]
    with torch.inference_mode(False), torch.enable_grad():
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)
            first = nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU()
            net = nn.Sequential(*first, nn.Conv2d(4, 10, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        x = (torch.arange(4 * 8 * 8 * 3) * 37 % 256).byte().view(4, 8, 8, 3)
        y, middle = torch.tensor([0, 3, 6, 9]), torch.full((3,), 128.0)
        images = Images("trial", "trial", x, y, x, y, middle, middle / 2)
        before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
        with trial(word) as used:
            found, again = made(net, images), made(net, images)
        after = net.state_dict()
    same = all(torch.equal(tensor, after[name]) for name, tensor in before.items())
    require(same, f"{word} changes the network: let it work on copy.deepcopy(net)")
    require(
        found == again and not used,
        f"{word} does not give the same twice: draw random numbers from a torch.Generator() with a "
        "seed of its own, and leave times out",
    )
