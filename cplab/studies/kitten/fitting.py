"""A curve through points that one fits by hand, and then by least squares."""

import html
from collections.abc import Callable, Mapping
from typing import Any

import ipywidgets as w
import numpy as np
from bokeh import layouts
from bokeh.models import ColumnDataSource, LayoutDOM, Range1d
from numpy.typing import ArrayLike

from cplab import statistics
from cplab.errors import CplabError, quote, require
from cplab.lab.surface import error_html
from cplab.show.surface import Kept, Surface
from cplab.show.theme import plain_figure, reference_line
from cplab.studies.kitten.fits import Fit, fit

CURVE, POINTS = "#555555", "#0072B2"


class Fitting(Kept, w.HBox):
    """A curve through points: a slider for each parameter, a Fit button, residuals, intervals.

    Arguments: function, of t and of parameters by name (see `fit`); t, y, the points (n,);
        start, where each parameter's slider begins; ends, of the sliders, {name: (low, high)}; x,
        unit, words for the axes. `found` is the Fit, once there is one.

    >>> line = Fitting(lambda t, a, b: a + b * t, [0, 1, 2, 3], [1, 3.1, 4.9, 7], {"a": 0, "b": 1},
    ...                {"a": (0, 2), "b": (0, 4)})
    >>> line.fit.click()
    >>> round(line.found.parameters["b"], 2)
    1.98
    """

    def __init__(
        self,
        function: Callable[..., Any],
        t: ArrayLike,
        y: ArrayLike,
        start: Mapping[str, float],
        ends: Mapping[str, tuple[float, float]],
        *,
        x: str = "t",
        unit: str = "",
    ) -> None:
        self._function = function
        self.found: Fit | None = None
        self._t, self._y = statistics.row_of_numbers("t", t), statistics.row_of_numbers("y", y)
        n, m = len(self._t), len(self._y)
        require(n == m > 0, f"t has {n} numbers and y has {m}: give one y for each t")
        same = start.keys() == ends.keys()
        require(same, f"ends {quote(ends)} are not allowed: give the names of start")
        self.sliders = {
            name: w.FloatSlider(
                value,
                description=name,
                min=min(ends[name][0], value),
                max=max(ends[name][1], value),
                step=np.ptp(ends[name]) / 200,
                readout_format=",.3r",  # three digits, without the letter e
            )
            for name, value in start.items()
        }
        self.fit = w.Button(description="Fit", button_style="primary")
        self.readout = w.HTML().add_class("cplab-fit")
        span = np.ptp(self._t) or 1
        self._line = np.linspace(self._t.min() - 0.05 * span, self._t.max() + 0.15 * span, 200)
        columns: dict[str, list] = {name: [] for name in ("t", "mean", "low", "high")}
        self.sources = {n: ColumnDataSource(columns, name=n) for n in ("curve", "residuals")}
        self._move()
        controls = w.VBox([*self.sliders.values(), self.fit, self.readout])
        controls.layout.width = "330px"
        drawn = Surface(self._draw(x, unit))
        super().__init__([controls, drawn], layout={"flex_flow": "row wrap"})
        for bar in self.sliders.values():
            bar.observe(self._move, "value")
        self.fit.on_click(self._fit)

    def _draw(self, x: str, unit: str) -> LayoutDOM:
        low, high = min(0, self._y.min()), self._y.max()
        ends = Range1d(low - 0.1 * (high - low), high + 0.35 * (high - low))
        what = "points, and the curve of the sliders"
        fig = plain_figure(what, x, unit, width=520, height=230, y_range=ends)
        source = self.sources["curve"]
        fig.varea("t", "low", "high", source=source, color=CURVE, alpha=0.18)
        fig.line("t", "mean", source=source, color=CURVE, width=2)
        fig.scatter(self._t, self._y, size=9, color=POINTS)
        rest = plain_figure("", x, "residual", width=520, height=110, x_range=fig.x_range)
        source = self.sources["residuals"]
        rest.segment("t", 0, "t", "mean", source=source, color=POINTS, width=2)
        rest.scatter("t", "mean", source=source, color=POINTS, size=6)
        reference_line(rest, "width", CURVE)
        return layouts.column(fig, rest)

    def _move(self, change: Any = None) -> None:
        """Show the curve of the sliders, which is no fit any more once one of them has moved; a
        page rounds what it is told, and says so."""
        fitted: Mapping = self.found.parameters if self.found else {}
        apart = [abs(self.sliders[n].value - v) >= self.sliders[n].step for n, v in fitted.items()]
        if not fitted or any(apart):
            self.found = None
            self._show({name: bar.value for name, bar in self.sliders.items()})

    def _show(self, parameters: dict, band: Any = 0, before: str = "", after: str = "") -> None:
        """Draw a curve, and say how far off it is, between other words."""
        with np.errstate(all="ignore"):
            line = self._function(self._line, **parameters)
            rest = self._y - self._function(self._t, **parameters)
        if not np.isfinite(rest).all():
            self.readout.value = "this curve is not finite at the points: move a slider"
            return
        columns = statistics.band_columns(line, np.where(np.isfinite(band), band, 0))
        self.sources["curve"].data = {"t": self._line, **columns}
        self.sources["residuals"].data = {"t": self._t, "mean": rest}
        squares = statistics.plain_number(float(np.sum(rest**2)), 4)
        self.readout.value = f"{before}squared residuals: {squares}{after}"
        self.keep_soon()

    def _fit(self, button: Any) -> None:
        start = {name: bar.value for name, bar in self.sliders.items()}
        try:
            found = fit(self._function, self._t, self._y, start)
        except CplabError as error:
            self.readout.value = error_html(error)
            return
        for name, value in found.parameters.items():
            bar = self.sliders[name]
            bar.min, bar.max = min(bar.min, value), max(bar.max, value)
            bar.value = value
        self.found = found
        lines = [f"{html.escape(name)} = {words}<br>" for name, words in found.describe().items()]
        counted = f"; {found.n} points, {len(found.parameters)} parameters; R² = {found.r2:.2f}"
        self._show(found.parameters, found.band(self._line), "".join(lines), counted)
