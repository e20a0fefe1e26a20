"""What once went wrong without a word: wrong numbers, and errors that nobody could read."""

from dataclasses import replace

import numpy as np
import torch
from conftest import one_line

import cplab
from cplab import quantities
from cplab.lab import Explorer
from cplab.runs import Run

CI = Run("blur", 0, 1, 1, "ci")


def test_images_are_ones_own_and_training_has_others():
    before = cplab.run(CI, fresh=True)
    cplab.images("practice", "ci").train_x[:] = 0
    assert cplab.run(CI, fresh=True).accuracy == before.accuracy


def plain_number(net, images):
    return 3.0


def plain_list(net, images):
    return [1.0, 2.0]


def test_a_series_is_of_what_was_asked_for():
    found = cplab.run(CI, measure=(plain_number, plain_list))
    for name in found.measured:
        assert found.series(name).tolist() == [3.0, 3.0]
    twice = replace(found, measured={"a@1": {0: {"n": 1.0}}, "a@2": {0: {"n": 2.0}}})
    one_line(lambda: twice.series("n"), "a@1 and a@2")


def test_harm_needs_a_deficit_that_a_control_can_leave_out():
    hidden = Run(onset=4, recovery=3, profile="ci", windows="blur@0+4")
    for quantity in (quantities.harm, quantities.lost_time):
        one_line(lambda quantity=quantity: quantity(hidden), "in windows")


def fails_later(x, y, *, context):
    if context.epoch == 1:
        raise ValueError("oops")
    return -x, y


def test_a_deficit_that_fails_in_training_says_so_in_one_line():
    run = Run(fails_later, 0, 2, 1, "ci")
    one_line(lambda: cplab.run(run), "fails_later fails: ValueError: oops")
    explorer = Explorer(profile="ci", deficits=(fails_later,), length=2)
    explorer.train()
    assert explorer.wait(300)
    assert "fails_later fails: ValueError: oops" in explorer.link.live["message"]


def one_row(x, y):
    x = x.clone()
    x[..., 12, :] = 0
    return x, y


def test_a_deficit_may_need_as_many_pixels_as_the_course_has():
    run = Run(one_row, 0, 1, 0, "ci")
    assert run.deficit.startswith("one_row@")
    one_line(lambda: cplab.run(run), "one_row fails: IndexError: ", "out of bounds")  # 8 pixels


class Frozen(torch.nn.Module):
    def __init__(self, width, channels, size, classes):
        super().__init__()
        self.first = torch.nn.Conv2d(channels, 4, 3)
        self.first.weight.requires_grad_(False)
        self.last = torch.nn.Linear(4, classes)

    def forward(self, x):
        return self.last(self.first(x).mean((2, 3)))


def test_a_frozen_layer_can_be_measured():
    net = cplab.model(width=8)(Frozen)
    found = cplab.run(model=net, recovery=1, profile="ci", measure=("gauges", "ending"))
    assert np.isfinite(found.final("gauges")["gradient"])
    assert found.final("ending")["information"]
