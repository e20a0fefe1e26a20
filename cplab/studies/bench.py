"""A bench: controls that choose a spec, figures of its results, and a button that computes it."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import ipywidgets as w
from bokeh.models import ColumnDataSource

from cplab import results
from cplab.errors import CplabError
from cplab.lab.jobs import PAUSED, Job, error_html
from cplab.show.surface import Kept, Surface

STYLE = {"style": {"description_width": "150px"}, "layout": {"width": "400px"}}


class Bench(Kept, w.VBox):
    """Controls that choose a request, a sentence and figures of it, and a button that computes it.

    Arguments: controls, widgets by name; positions, tuples of a value for each control: while some
        have results, the controls move among these alone, until `free` is ticked; hidden, names of
        the controls that are shown only once it is ticked.
    """

    button, stopped = "Train this one", PAUSED
    # A subclass defines:
    make_request: Any  # returns the request of a position; raises CplabError if it is not allowed
    draw: Any  # returns the figures, of sources that it makes by `source`
    show: Any  # fills the sources; returns a sentence and the cost ("": nothing to compute)
    work: Any  # computes in a thread, until the event it is given is set; returns a last sentence

    def __init__(
        self,
        controls: Mapping[str, w.Widget],
        positions: Iterable[tuple] = (),
        hidden: Sequence[str] = (),
    ) -> None:
        self.controls, self._moving = dict(controls), False
        self.sources: dict[str, ColumnDataSource] = {}
        self.trained: list[Any] = [p for p in positions if self._has_result(p)]
        label = "also what nobody has trained"
        self.free = w.Checkbox(not self.trained, description=label, indent=False)
        self.readout = w.HTML()
        locked = [*self.controls.values(), self.free]
        self.job = Job(self.button, self.work, locked, self.stopped)
        bars = w.HBox(locked if self.trained else locked[:-1], layout={"flex_flow": "row wrap"})
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
    def request(self) -> Any:
        """The spec, or the parameters, that the controls choose."""
        return self.make_request(*self.position)

    def source(self, name: str, columns: str) -> ColumnDataSource:
        """Add an empty source with these columns, separated by spaces, to `sources`."""
        self.sources[name] = ColumnDataSource({column: [] for column in columns.split()}, name=name)
        return self.sources[name]

    def refresh(self) -> None:
        """Show the results of the request, and what computing it costs."""
        try:
            sentence, cost = self.show(self.request)
        except CplabError as error:
            sentence, cost = error_html(error), ""
            for source in self.sources.values():
                source.data = {name: [] for name in source.data}
        self.readout.value = f'<div style="line-height:1.35;font-size:14px">{sentence}</div>'
        if not self.job.busy:
            self.job.start.disabled = not cost
            self.job.message.value, self.job.progress.value = cost, 0
        self.keep_soon()

    def _has_result(self, position: tuple) -> bool:
        with suppress(CplabError):
            return results.find(self.make_request(*position)) is not None
        return False

    def _move(self, change: Any = None) -> None:
        """Go to the nearest position with a result, and show it."""
        if self._moving:
            return
        for control in self._hidden:
            control.layout.display = None if self.free.value else "none"
        controls, position = [*self.controls.values()], self.position
        owner = change and change.owner

        def distance(trained: tuple) -> tuple:
            """Gap of the control that was moved, number of gaps, their sum: compared in turn."""
            pairs = zip(trained, position, strict=True)
            gaps = [float(a != b) if isinstance(a, str) else abs(a - b) for a, b in pairs]
            moved = gaps[controls.index(owner)] if owner in controls else 0
            return moved, sum(gap > 0 for gap in gaps), sum(gaps)

        if not self.free.value and position not in self.trained:
            self._moving = True
            nearest = min(self.trained, key=distance)
            for control, value in zip(controls, nearest, strict=True):
                control.value = value
            self._moving = False
        self.refresh()
