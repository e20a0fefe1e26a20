"""What the benches of the studies share: controls, what is known of what they ask for, a button."""

import threading
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import ipywidgets as w

from cplab.errors import CplabError
from cplab.lab.live import PAUSED, Job
from cplab.lab.surface import TEXT, error_html, surface
from cplab.show.surface import Kept

STYLE = {"style": {"description_width": "150px"}, "layout": {"width": "400px"}}


class Bench(Kept, w.VBox):
    """Controls that ask for something, a sentence and figures of it, and a button that computes it.

    A subclass gives `asked`, what the controls ask for (a CplabError where that is not allowed);
    `show(asked)`, which fills `sources` and returns the sentence and what is said beside the button
    ("" where there is nothing to compute); and `work(stop)`, in a thread, which returns what is
    said in the end.

    Arguments:
        controls: widgets by name, each with a value.
        figures: as `show.surface` takes them.
        known: positions, a value for each control, that have results. While there are any, the
            controls move among these alone, until `free` is ticked.
        hidden: controls that are shown only while `free` is ticked.
    """

    button, stopped = "Train this one", PAUSED

    def __init__(
        self,
        controls: Mapping[str, w.Widget],
        figures: Any,
        known: Collection[tuple] = (),
        hidden: Sequence[str] = (),
    ) -> None:
        self.controls, self.known, self._moving = dict(controls), list(known), False
        self.free = w.Checkbox(not known, description="also what nobody has trained", indent=False)
        self.readout = w.HTML().add_class("cplab-readout")
        locked = [*self.controls.values(), self.free]
        self.job = Job(self.button, self.work, locked, self.stopped)
        bars = w.HBox(locked if known else locked[:-1], layout={"flex_flow": "row wrap"})
        super().__init__([bars, self.readout, self.job, surface(figures)])
        for control in locked:
            control.observe(self._move, "value")
        self._hidden = [self.controls[name] for name in hidden]
        self._move()

    @property
    def position(self) -> tuple:
        """The values of the controls."""
        return tuple(control.value for control in self.controls.values())

    def _move(self, change: Any = None) -> None:
        """Go to the nearest known position, and show what is known there."""
        if self._moving:
            return
        for control in self._hidden:
            control.layout.display = None if self.free.value else "none"
        if not self.free.value and self.position not in self.known:
            moved = [change and control is change.owner for control in self.controls.values()]
            self._moving = True
            nearest = min(self.known, key=lambda place: distance(place, self.position, moved))
            for control, value in zip(self.controls.values(), nearest, strict=True):
                control.value = value
            self._moving = False
        self.refresh()

    def refresh(self) -> None:
        """Show what is known of what the controls ask for."""
        try:
            words, cost = self.show(self.asked)
        except CplabError as error:
            words, cost = error_html(error), ""
            for source in self.sources.values():
                source.data = {name: [] for name in source.data}
        self.readout.value = f'<div style="{TEXT}">{words}</div>'
        if not self.job.busy:
            self.job.start.disabled = not cost
            self.job.message.value, self.job.progress.value = cost, 0
        self.keep_soon()

    @property
    def asked(self) -> Any:
        raise NotImplementedError

    def show(self, asked: Any) -> tuple[str, str]:
        raise NotImplementedError

    def work(self, stop: threading.Event) -> str:
        raise NotImplementedError


def distance(place: tuple, other: tuple, moved: Sequence) -> tuple:
    """How far one position of controls is from another: the control that was moved counts first,
    then how many differ, then by how much."""
    apart = [
        float(a != b) if isinstance(a, str) else abs(a - b)
        for a, b in zip(place, other, strict=True)
    ]
    first = [gap for gap, here in zip(apart, moved, strict=True) if here]
    return sum(first), sum(gap > 0 for gap in apart), sum(apart)
