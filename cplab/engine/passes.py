"""Both passes of networks that are trained side by side, from one epoch to the next."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from cplab.engine.gpu import cards
from cplab.engine.gpu.branches import Branches
from cplab.engine.gpu.graphs import Graphs
from cplab.engine.stack import Stack
from cplab.runs.tasks import Classification, TrainState

Layout = type[Stack] | type[Branches]


class Passes:
    """The forward and backward passes of networks that are trained side by side.

    `losses = passes(x, y)` returns the mean loss of each network, (networks,), and leaves its
    gradients in `.grad`. Images and labels are (networks, batch, …). An NVIDIA GPU has graphs of
    them.
    """

    def __init__(
        self,
        layout: Layout,
        states: Sequence[TrainState],
        task: Classification,
        device: torch.device,
        temperature: float = 1,
    ) -> None:
        self.networks = layout(states)
        self.temperature = temperature
        self.compute = partial(self.networks.passes, task, temperature)
        self.graphs = Graphs(self.networks, self.compute) if cards.is_card(device) else None

    def serve(self, layout: Layout, states: Sequence[TrainState], temperature: float) -> bool:
        """Whether these are the passes of these states, as they were when the last epoch ended, at
        a temperature of the loss."""
        networks = self.networks
        if type(networks) is not layout or not networks.holds(states):
            return False
        if self.temperature != temperature:
            return False
        return self.graphs is None or self.graphs.fit()

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        return self.graphs(x, y) if self.graphs else self.compute(x, y)
