"""What the benches of the studies share: controls, what is known of what they ask for, a button."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import ipywidgets as w
from bokeh.models import ColumnDataSource

from cplab import results
from cplab.errors import CplabError
from cplab.lab.live import PAUSED, Job
from cplab.lab.surface import TEXT, error_html
from cplab.show.surface import Kept, Surface

STYLE = {"style": {"description_width": "150px"}, "layout": {"width": "400px"}}


class Bench(Kept, w.VBox):
    """Controls that ask for something, a sentence and figures of it, and a button that computes it.

    Arguments: controls, widgets by name; places, positions (a value for each control) that may have
        results: while any has, the controls move among these alone, until `free` is ticked; hidden,
        names of the controls that are shown only then.
    """

    button, stopped = "Train this one", PAUSED
    # What a subclass has:
    ask: Any  # from a position to what is asked for; a CplabError where that is not allowed
    draw: Any  # the figures, of the sources that it makes by `source`
    show: Any  # fills these; returns a sentence and what computing costs ("": nothing to compute)
    work: Any  # computes, in a thread that ends once its argument is set; returns a last sentence

    def __init__(
        self,
        controls: Mapping[str, w.Widget],
        places: Iterable[tuple] = (),
        hidden: Sequence[str] = (),
    ) -> None:
        self.controls, self._moving = dict(controls), False
        self.sources: dict[str, ColumnDataSource] = {}
        self.known: list[Any] = [place for place in places if self._has_result(place)]
        words = "also what nobody has trained"
        self.free = w.Checkbox(not self.known, description=words, indent=False)
        self.readout = w.HTML().add_class("cplab-readout")
        locked = [*self.controls.values(), self.free]
        self.job = Job(self.button, self.work, locked, self.stopped)
        bars = w.HBox(locked if self.known else locked[:-1], layout={"flex_flow": "row wrap"})
        super().__init__([bars, self.readout, self.job, Surface([self.draw()])])
        for control in locked:
            control.observe(self._move, "value")
        self._hidden = [self.controls[name] for name in hidden]
        self._move()

    @property
    def position(self) -> tuple:
        """The values of the controls."""
        return tuple(control.value for control in self.controls.values())

    @property
    def asked(self) -> Any:
        """What the controls ask for."""
        return self.ask(*self.position)

    def source(self, name: str, columns: str) -> ColumnDataSource:
        """A new one of `sources`, whose columns are empty so far."""
        self.sources[name] = ColumnDataSource({column: [] for column in columns.split()}, name=name)
        return self.sources[name]

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

    def _has_result(self, place: tuple) -> bool:
        with suppress(CplabError):
            return results.find(self.ask(*place)) is not None
        return False

    def _move(self, change: Any = None) -> None:
        """Go to the nearest known position, and show what is known there."""
        if self._moving:
            return
        for control in self._hidden:
            control.layout.display = None if self.free.value else "none"
        controls, position = [*self.controls.values()], self.position
        owner = change and change.owner

        def distance(place: tuple) -> tuple:
            """Of the control that was moved first, then how many differ, then by how much."""
            pairs = zip(place, position, strict=True)
            gaps = [float(a != b) if isinstance(a, str) else abs(a - b) for a, b in pairs]
            moved = gaps[controls.index(owner)] if owner in controls else 0
            return moved, sum(gap > 0 for gap in gaps), sum(gaps)

        if not self.free.value and position not in self.known:
            self._moving = True
            nearest = min(self.known, key=distance)
            for control, value in zip(controls, nearest, strict=True):
                control.value = value
            self._moving = False
        self.refresh()
