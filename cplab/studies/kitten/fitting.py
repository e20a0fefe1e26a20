"""A bench that fits a curve to points, by hand and then by least squares."""

import html
import threading
from collections.abc import Callable, Mapping
from typing import Any

import ipywidgets as w
import numpy as np
from bokeh import layouts
from bokeh.models import LayoutDOM, Range1d
from numpy.typing import ArrayLike

from cplab import statistics
from cplab.show.theme import plain_figure, reference_line
from cplab.studies.bench import STYLE, Bench
from cplab.studies.kitten.fits import Fit, fit

CURVE, POINTS = "#555555", "#0072B2"


class Fitting(Bench):
    """A curve through points: a slider for each parameter, a Fit button, residuals, intervals.

    Arguments: function, of t and of parameters by name (see `fit`); t, y, the points (n,);
        start, where each parameter's slider begins; ends, of the sliders, {name: (low, high)}; x,
        unit, labels of the axes. `fitted` is the Fit, once there is one.

    >>> line = Fitting(lambda t, a, b: a + b * t, [0, 1, 2, 3], [1, 3.1, 4.9, 7], {"a": 0, "b": 1},
    ...                {"a": (0, 2), "b": (0, 4)})
    >>> line.job.start.click()
    >>> _ = line.job.wait(10)
    >>> round(line.fitted.parameters["b"], 2)
    1.98
    """

    button, stopped = "Fit", "stopped"

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
        self._function, self._x, self._unit = function, x, unit
        self._t, self._y = statistics.row_of_numbers("t", t), statistics.row_of_numbers("y", y)
        self.fitted: Fit | None = None
        sliders = {}
        for name, (low, high) in ends.items():
            # three digits, without the letter e
            how = {"step": (high - low) / 200, "readout_format": ",.3r", **STYLE}
            sliders[name] = w.FloatSlider(start[name], min=low, max=high, description=name, **how)
        super().__init__(sliders)

    def make_request(self, *position: float) -> dict[str, float]:
        return dict(zip(self.controls, position, strict=True))

    def draw(self) -> LayoutDOM:
        low, high = min(0, self._y.min()), self._y.max()
        ends = Range1d(low - 0.1 * (high - low), high + 0.35 * (high - low))
        title = "points, and the curve of the sliders"
        fig = plain_figure(title, self._x, self._unit, width=520, height=230, y_range=ends)
        source = self.source("curve", "t mean low high")
        fig.varea("t", "low", "high", source=source, color=CURVE, alpha=0.18)
        fig.line("t", "mean", source=source, color=CURVE, width=2)
        fig.scatter(self._t, self._y, size=9, color=POINTS)
        rest = plain_figure("", self._x, "residual", width=520, height=110, x_range=fig.x_range)
        source = self.source("residuals", "t mean")
        rest.segment("t", 0, "t", "mean", source=source, color=POINTS, width=2)
        rest.scatter("t", "mean", source=source, color=POINTS, size=6)
        reference_line(rest, "width", CURVE)
        return layouts.column(fig, rest)

    def show(self, chosen: dict[str, float]) -> tuple[str, str]:
        """Show the fit, or the sliders' curve once one has moved by more than a page rounds."""
        fitted = self.fitted.parameters if self.fitted else {}
        if any(abs(chosen[n] - value) >= self.controls[n].step for n, value in fitted.items()):
            self.fitted = None
        parameters = self.fitted.parameters if self.fitted else chosen
        span = np.ptp(self._t) or 1
        t = np.linspace(self._t.min() - 0.05 * span, self._t.max() + 0.15 * span, 200)
        band = self.fitted.band(t) if self.fitted else np.zeros(len(t))
        with np.errstate(all="ignore"):
            line = self._function(t, **parameters)
            rest = self._y - self._function(self._t, **parameters)
        columns = statistics.band_columns(line, np.where(np.isfinite(band), band, 0))
        self.sources["curve"].data = {"t": t, **columns}
        self.sources["residuals"].data = {"t": self._t, "mean": rest}
        residuals = f"squared residuals: {statistics.plain_number(float(np.sum(rest**2)), 4)}"
        if not self.fitted:
            return residuals, "by least squares, from here"
        lines = [f"{html.escape(n)} = {text}<br>" for n, text in self.fitted.describe().items()]
        counts = f"; {self.fitted.n} points, {len(lines)} parameters; R² = {self.fitted.r2:.2f}"
        return "".join(lines) + residuals + counts, "by least squares, from here"

    def work(self, stop: threading.Event) -> str:
        fitted = fit(self._function, self._t, self._y, self.request)
        for name, value in fitted.parameters.items():
            slider = self.controls[name]
            slider.min, slider.max = min(slider.min, value), max(slider.max, value)
            slider.value = value
        self.fitted = fitted
        self.refresh()
        return "fitted"
