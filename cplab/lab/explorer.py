"""The explorer: sliders for a deficit, its onset and its length, and what was measured there."""

import html
import threading
from collections.abc import Sequence
from typing import Any

import ipywidgets as w
import numpy as np
import pandas as pd
from bokeh.events import DoubleTap, PressUp, Tap

from cplab import data, results
from cplab.checks import whole
from cplab.deficits import apply_deficit, canonical_name
from cplab.lab.live import Clock, Job, life_in_words, say_time
from cplab.lab.points import Plots, Points
from cplab.lab.surface import TEXT, Throttle, is_alive, redraw, surface
from cplab.profiles import PROFILES
from cplab.runs import Run
from cplab.show.pictures import strips, to_pixels
from cplab.show.theme import label, load_bokeh, source_line
from cplab.statistics import mean_curve, percent

PAPER = "paper"  # the profile of the second set of results
OFFERED = ("blur", "flip", "permute", "noise")


class Explorer(w.VBox):
    """One screen: choose a deficit, its onset and its length; see what was measured; train it.

    Arguments:
        profile, schedule, dataset, model: the setting (see Run); all but the first are the
            profile's if not given.
        deficits: those to choose from, by name or as functions of your own.
        onset, length: where to begin.
        seed, device: of live runs.

    The controls are attributes, to be driven from Python as well: `deficit`, `onset`, `length`
    (set `.value`), `train`, `stop` (call `.click()`), `readout`; `size`, once there are results of
    the paper's size, changes to them and back. `points` is what is known (a Points), `plots` what
    is drawn (a Plots), `job` trains.

    >>> explorer = Explorer(onset=4)
    >>> explorer.run.call()
    "cplab.run(deficit='blur', onset=4, length=8, profile='course', seed=0)"
    """

    def __init__(
        self,
        profile: str = "course",
        schedule: str | None = None,
        dataset: str | None = None,
        deficits: Sequence[Any] = OFFERED,
        onset: int = 0,
        length: int = 8,
        seed: int = 0,
        device: str = "auto",
        model: str | None = None,
    ) -> None:
        load_bokeh(again=False)
        self._given: dict[str, Any] = {
            "schedule": schedule,
            "dataset": dataset,
            "model": model,
            "seed": seed,
        }
        self.like, self.device = Run(profile=profile, **self._given), device
        table = results.table()
        self.points, self.plots = Points(self.like, table), Plots()
        names = [canonical_name(one, PROFILES[profile].size) for one in deficits]
        onset, length = whole("onset", onset), whole("length", length)
        self._build(names, sizes(self.like, table), onset, length)
        for control in (self.deficit, self.onset, self.length):
            control.observe(self._choose, "value")
        self.size.observe(self._resize, "value")
        if is_alive():
            self.plots.map.title.text += " (click)"
            for gesture in (DoubleTap, PressUp, Tap):  # fast, slow and ordinary clicks
                self.plots.map.on_event(gesture, self._tap)
        self._surfaces: list[w.Widget] = []
        self._choose()
        # a view shows its figures as they were when it was made
        self._surfaces = [surface(self.plots.time_line), surface(self.plots.panels)]
        super().__init__(self._screen())
        self._redraw()

    @property
    def run(self) -> Run:
        """The chosen point, as a run."""
        return self.points.at(self.deficit.value, self.onset.value, self.length.value)

    # What is on the screen

    def _build(self, names: list[str], sizes: list[str], onset: int, length: int) -> None:
        words = {"disabled": False, "style": {"button_width": "auto"}}
        options = [(label(name), name) for name in names]
        self.deficit = w.ToggleButtons(options=options, value=names[0], **words)
        self.size = w.ToggleButtons(options=sizes, value=sizes[0], **words).add_class("cplab-size")
        self.size.layout.display = "" if len(sizes) > 1 else "none"
        last = max(self.points.last(), onset, length)
        self.onset, self.onset_box = slider(last, onset, "cplab-onset")
        self.length, self.length_box = slider(last, length, "cplab-length")
        self.status = w.HTML().add_class("cplab-status")
        self.readout = w.HTML(layout={"min_width": "300px", "flex": "1 1 300px"})
        self.readout.add_class("cplab-readout")
        self.picture = w.HTML()
        self.job = Job("Train this point", self._work, [self.size])
        self.train, self.stop, self.estimate = self.job.start, self.job.stop, self.job.said
        self.estimate.add_class("cplab-estimate")
        self.code = w.HTML().add_class("cplab-code")

    def _screen(self) -> list[w.Widget]:
        line = {"align_items": "center", "flex_flow": "row wrap"}
        head = [self.deficit, self.size, self.status]
        sliders = [w.HTML("onset"), self.onset, self.onset_box]
        sliders += [w.HTML("&emsp;length"), self.length, self.length_box]
        return [
            w.HBox(head, layout=line | {"justify_content": "space-between"}),
            w.HBox(sliders, layout=line),
            self._surfaces[0],
            w.HBox([self.picture, self.readout], layout=line),
            self._surfaces[1],
            self.job,
            self.code,
        ]

    def _redraw(self) -> None:
        for part in self._surfaces:
            redraw(part)

    # What happens

    def _choose(self, change: Any = None) -> None:
        """Show the chosen point. Called by every control."""
        run = self.run
        known = run in self.points
        nearest = [] if known else self.points.neighbours(run)
        shown = run if known else (nearest[0] if nearest else None)
        self.plots.show(self.points, run, self.deficit.value, shown)
        self.readout.value = f'<div style="{TEXT}">{self._words(run, nearest)}</div>'
        self.status.value = f"<small>{html.escape(source_line(self.points.table))}</small>"
        self.code.value = (
            f"<code>{html.escape(run.call())}</code> "
            "<a style='cursor:pointer' onclick=\"navigator.clipboard."
            'writeText(this.previousElementSibling.textContent)">copy</a>'
        )
        self._draw_picture()
        self.train.description = "Train it again" if known else "Train this point"
        if not self.job.busy:
            self._offer(run)
        self._redraw()

    def _resize(self, change: Any) -> None:
        """Show the results of another size, at the same point of a life."""
        scale = PROFILES[change.old].pace / PROFILES[change.new].pace
        onset, length = (round(scale * bar.value) for bar in (self.onset, self.length))
        self.like = Run(profile=change.new, **self._given)
        self.points = Points(self.like)
        last = max(self.points.last(), onset, length)
        for bar in (self.onset, self.onset_box, self.length, self.length_box):
            bar.max = last
        self.onset.value, self.length.value = onset, length
        self._choose()

    def _tap(self, event: Any) -> None:
        """A click on the map chooses the point: on an axis of names, cell i is from i to i + 1."""
        axes = [self.plots.map.x_range.factors, self.plots.map.y_range.factors]
        cell = [int(np.floor(at)) for at in (event.x, event.y)]
        if all(0 <= i < len(names) for i, names in zip(cell, axes, strict=True)):
            onset, length = (int(names[i]) for i, names in zip(cell, axes, strict=True))
            self.onset.value, self.length.value = onset, length

    def _draw_picture(self) -> None:
        images = pictures(self.like.dataset, self.like.profile)
        clear = images.train_x[:3]
        x = images.normal(clear)
        seen, _ = apply_deficit(x, images.train_y[:3], self.deficit.value)
        rows = {"clear": clear, "seen": to_pixels(seen, images)}
        page = strips(rows, scale=max(1, 40 // x.shape[-1])).data
        absent = images.name != self.like.dataset
        self.picture.value = page + ("<small>PRACTICE images</small>" if absent else "")

    def _words(self, run: Run, nearest: list[Run]) -> str:
        """The read-out: what the chosen point shows, in words and with its interval."""
        if run not in self.points:
            if not nearest:
                return f"Nobody has trained {life_in_words(run)} yet. <b>Train it.</b>"
            rows = "; ".join(f"{where(r)}: {self.points.accuracy(r)}" for r in nearest)
            return (
                f"Not trained: {life_in_words(run)}. Its trained neighbours: {rows}. "
                "The curves show the first of them. <b>Train this point</b> to know."
            )
        begin = f"{life_in_words(run)} ends at <b>{self.points.accuracy(run)}</b>"
        if run.deficit == "none":
            return f"{begin}. Now let a deficit last for some epochs."
        point = self.points.mean(run)
        if np.isnan(point.loss):
            return f"{begin}. Its controls are not trained yet."
        return f"{begin}: {cost_in_words(point)}. <b>{verdict(point)}</b>"

    # Training

    def _offer(self, run: Run) -> None:
        """Say what training the point would cost."""
        todo = self._todo(run)
        more = "" if len(todo) == 1 else " with its missing controls"
        cost = say_time(results.estimate(todo, device=self.device))
        self.estimate.value = f"live: {cost}{more}"
        self.job.progress.value = 0

    def _todo(self, run: Run) -> list[Run]:
        """The runs that Train trains: the point, and those of its controls that nobody trained."""
        controls = [run.equal_training(), run.without_window(), run.newborn()]
        return list(dict.fromkeys([run, *(c for c in controls if not results.find(c))]))

    def _work(self, stop: threading.Event) -> str:
        """Train the chosen point, beside the other controls, which may be moved meanwhile."""
        from cplab.engine.lives import plan

        run = self.run
        todo = self._todo(run)
        clock = Clock(self.job, sum(root.epochs for root in plan(todo)))
        epochs, accuracies = list[int](), list[float]()

        def show() -> None:
            self.plots.live(epochs, accuracies)
            self._redraw()

        draw = Throttle(show)

        def report(of: Run, row: dict) -> None:
            clock(of, row)
            if of.life[: row["epoch"] + 1] == run.life[: row["epoch"] + 1]:
                epochs.append(row["epoch"] + 1)
                accuracies.append(row["test_accuracy"])
            if self.run == run:
                draw()

        how = {"device": self.device, "workers": 1, "stop": stop, "report": report}
        fresh = None
        try:
            fresh = dict(results.collect(todo, fresh=True, **how))[run]
        finally:
            self.points = Points(self.like)
            self._choose()
            if fresh and self.run == run:
                curve = mean_curve([fresh])
                epochs, accuracies = list(curve["epoch"]), list(curve["mean"])
                draw(last=True)
        self.job.progress.value = self.job.progress.max
        return f"live, seed {run.seed}: {percent(fresh.accuracy)} %"


# Parts ------------------------------------------------------------------------------------------


def sizes(like: Run, table: pd.DataFrame) -> list[str]:
    """A run's profile, and the paper's if there are results of it."""
    there = like.profile != PAPER and (table.profile == PAPER).any()
    return [like.profile, PAPER] if there else [like.profile]


def slider(last: int, value: int, css: str) -> tuple[w.IntSlider, w.BoundedIntText]:
    """A slider that tells when it is let go, and the number box beside it."""
    calm = {"continuous_update": False, "readout": False, "layout": {"width": "300px"}}
    bar = w.IntSlider(value, 0, last, **calm).add_class(css)
    box = w.BoundedIntText(value, 0, last, layout={"width": "60px"}).add_class(f"{css}-box")
    w.link((bar, "value"), (box, "value"))
    return bar, box


def pictures(dataset: str, profile: str) -> data.Images:
    """Images to look at: of the data set if it is at hand, else practice images (their name says
    so), since nobody wants to wait for a download to see a picture.

    >>> pictures("cifar10", "ci").train_x.shape
    torch.Size([512, 8, 8, 3])
    """
    return data.images(dataset if data.is_here(dataset) else "practice", profile)


def where(run: Run) -> str:
    """A point among its neighbours."""
    return f"onset {run.onset}, length {run.length}"


def cost_in_words(point: pd.Series) -> str:
    """What a window cost: lost time, which sleep would have cost as well, and harm.

    >>> point = {"loss": 0.058, "loss_half": 0.007, "lost_time": 0.042}
    >>> cost_in_words(pd.Series(point | {"harm": 0.016, "harm_half": 0.006}))
    '5.8 ± 0.7 points below equal training, 4.2 of them lost time and 1.6 ± 0.6 harm'
    """
    side = "below" if point.loss >= 0 else "above"
    words = f"{percent(abs(point.loss), point.loss_half)} points {side} equal training"
    if np.isnan(point.harm):
        return words
    return (
        f"{words}, {percent(point.lost_time)} of them lost time "
        f"and {percent(point.harm, point.harm_half)} harm"
    )


def verdict(point: pd.Series) -> str:
    """What the two comparisons, with their intervals, allow to say.

    >>> from cplab import quantities, results
    >>> points = quantities.point_means(quantities.same_setting(results.table(), Run()))
    >>> verdict(points.loc["flip", 0, 16])
    'Something was learned, less than from clear images.'
    """
    if np.isnan(point.harm) or np.isnan(point.loss):
        return "One control is missing: no verdict."
    if np.isnan(point.harm_half) or np.isnan(point.loss_half):
        return "One seed: no interval, no verdict."
    if point.harm - point.harm_half > 0:
        return "Worse than without these epochs: the deficit did harm that does not heal."
    if point.loss - point.loss_half <= 0:
        return "No lasting loss is seen."
    if point.harm + point.harm_half < 0:
        return "Something was learned, less than from clear images."
    return "Time was lost; harm beyond that is not seen."
