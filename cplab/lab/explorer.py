"""The explorer: sliders for a deficit, its onset and its length, and what was measured there."""

import asyncio
import html
import math
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl

import ipywidgets as w
import pandas as pd
from bokeh.colors import RGB
from bokeh.events import DoubleTap, PressUp, Tap

from cplab import data, results
from cplab.checks import CplabError, one_of, quote, require, whole
from cplab.deficits import canonical_name
from cplab.lab.live import Clock, Job, describe_cost, describe_life
from cplab.lab.points import Plots, Points
from cplab.lab.surface import TEXT, Throttle, buttons, surface
from cplab.profiles import PROFILES
from cplab.results import table
from cplab.runs import CLOCKS, DATASETS, DEVICES, LONGEST, Run
from cplab.show.pictures import strips
from cplab.show.previews import preview
from cplab.show.results import source_note
from cplab.show.theme import Style, label, style
from cplab.statistics import detectable, percent

PAPER = "paper"  # the profile of the second set of results
OFFERED = ("blur", "flip", "permute", "noise")
KEY = "cut out: the same life without the window · harmless: less than 1 point of harm"
LAST = " · final accuracy: mean of the last epochs (5 at most), since the rate stays"
MOVED = ("deficit", "onset", "length", "recovery", "clock")
COPY = (
    "<button type='button' onclick=\"navigator.clipboard."
    'writeText(this.previousElementSibling.textContent)">copy</button>'
)
CALM: Any = {"continuous_update": False, "layout": {"width": "220px"}}  # tells when it is let go


class Explorer(w.VBox):
    """One screen: choose a deficit, its onset and its length; see what was measured; train it.

    Arguments:
        profile: the size of the experiment.
        deficits: those to choose from, by name or as functions of your own.
        onset, length: where to begin.
        device: of live runs.
        at: a point as a link to a page of the site has it, or the whole link (see `cplab site`).
        setting: other fields of a Run, such as schedule, dataset, model, and the seed of live runs.

    The controls are attributes, to be driven from Python as well: `deficit`, `onset`, `length`,
    `recovery` where there are results of several, `clock` where rates fall with the epochs, `size`
    where there are results of the paper's (set `.value`); `train`, `stop` (call `.click()`).
    `readout` says what is seen. `points` is what is known (a Points), `plots` what is drawn (a
    Plots), `job` trains.

    >>> explorer = Explorer(onset=4)
    >>> explorer.run.call()
    "cplab.run(deficit='blur', onset=4, length=8, profile='course', seed=0)"
    """

    def __init__(
        self,
        profile: str = "course",
        deficits: Sequence[Any] = OFFERED,
        onset: int = 0,
        length: int = 8,
        device: str = "auto",
        at: str = "",
        **setting: Any,
    ) -> None:
        one_of("device", device.partition(":")[0], DEVICES)
        require(len(deficits), f"deficits {deficits} are not allowed: give one or more")
        for name in setting.keys() & {"deficit", "skipped", "treatments", "windows"}:
            raise CplabError(
                f"{name} is not allowed in Explorer: its points have one deficit of "
                "`deficits` each, and nothing else"
            )
        self._setting, self.device = setting, device
        self._moves = 0  # so far: what was planned before the last is not drawn in advance
        self.points, self.plots = Points(Run(profile=profile, **setting)), Plots()
        names = [canonical_name(one, PROFILES[profile].size) for one in deficits]
        paper = profile != PAPER and len(table(profile=PAPER))
        self._build(names, [profile, *([PAPER] if paper else [])])
        asked = {"onset": onset, "length": length, **read_link(at)}
        onset, length = (whole(name, asked.pop(name), 0, LONGEST) for name in ("onset", "length"))
        self._offer_setting(onset, length)
        for name, value in asked.items():
            known = {str(own): own for _, own in getattr(self, name).options}
            getattr(self, name).value = known[one_of(name, value, known)]
        for name in MOVED:
            getattr(self, name).observe(self._choose, "value")
        self.size.observe(self._resize, "value")
        for gesture in (DoubleTap, PressUp, Tap):  # fast, slow and ordinary clicks
            for chart in (self.plots.map, self.plots.lost_time_map):
                chart.on_event(gesture, self._tap)
        self._draw()
        self._surface = surface(self.plots.panels)
        self._tell()
        super().__init__(self._screen())
        self._look_ahead()

    @property
    def run(self) -> Run:
        """The chosen point, as a run."""
        return self.points.run_at(self.deficit.value, self.onset.value, self.length.value)

    # What is on the screen

    def _build(self, names: list[str], sizes: list[str]) -> None:
        self.deficit = buttons([(label(name), name) for name in names]).add_class("cplab-deficit")
        self.size = buttons(sizes).add_class("cplab-size")
        self.clock = buttons([(f"clock {name}", name) for name in CLOCKS]).add_class("cplab-clock")
        self.onset, self.onset_box = slider("cplab-onset")
        self.length, self.length_box = slider("cplab-length")
        self.recovery = w.SelectionSlider(options=[("", 0)], **CALM).add_class("cplab-recovery")
        self.one_recovery = w.HTML()
        self.status = w.HTML().add_class("cplab-status")
        self.phases = w.HTML(layout={"width": "100%"}).add_class("cplab-phases")
        self.readout = w.HTML(layout={"min_width": "300px", "flex": "1 1 300px"})
        self.readout.add_class("cplab-readout")
        self.picture = w.HTML()
        self.job = Job("Train this point", self._work, [self.size])
        self.train, self.stop, self.estimate = self.job.start, self.job.stop, self.job.message
        self.estimate.add_class("cplab-estimate")
        self.code = w.HTML().add_class("cplab-code")

    def _screen(self) -> list[w.Widget]:
        def row(*parts: w.Widget) -> w.Box:
            return w.HBox(parts, layout={"align_items": "center", "flex_flow": "row wrap"})

        onset = w.HBox([w.HTML("onset&ensp;"), self.onset, self.onset_box])
        length = w.HBox([w.HTML("length&ensp;"), self.length, self.length_box])
        recovery = w.HBox([w.HTML("recovery&ensp;"), self.recovery, self.one_recovery])
        choices = [row(self.deficit, self.size, self.clock), row(onset, length, recovery)]
        shown = [self.phases, row(self.picture, self.readout), self._surface]
        return [*choices, *shown, self.status, self.job, self.code]

    def _offer_setting(self, onset: int, length: int) -> None:
        """Offer what there is in this setting: these recoveries, so many epochs, a clock."""
        like, recoveries = self.points.like, self.points.recoveries
        options = tuple((f"{epochs} epochs", epochs) for epochs in recoveries)
        if self.recovery.options != options:  # else the slider would go back to its first
            self.recovery.options = options
        self.recovery.value = like.recovery
        self.one_recovery.value = "" if len(recoveries) > 1 else options[0][0]
        self.onset.max = self.length.max = max(self.points.last(), onset, length)
        self.onset.value, self.length.value = onset, length
        for control, wanted in (
            (self.recovery, len(recoveries) > 1),
            (self.size, len(self.size.options) > 1),
            (self.clock, like.schedule == "paper"),
        ):
            control.layout.display = "" if wanted else "none"
        key = f"{KEY}{LAST if like.schedule == 'fixed' else ''}"
        self.status.value = f"<small>{html.escape(source_note(self.points.table))} · {key}</small>"

    # What happens

    def _choose(self, change: Any = None) -> None:
        """Show the chosen point: the figures first, in one go. Called by every control."""
        with self._surface.batch_changes():
            self._draw()
        self._tell(picture=change is None or change.owner is self.deficit)
        self._look_ahead()

    def _draw(self) -> None:
        self.points.like = replace(self.points.like, recovery=self.recovery.value)
        self.points.clock = self.clock.value
        self._drawn = self._what_is_shown(self.run)
        self.plots.show(*self._drawn)

    def _what_is_shown(self, run: Run) -> tuple[Points, Run, str, Run | None]:
        shown = run if run in self.points else next(iter(self.points.neighbours(run)), None)
        return self.points, run, self.deficit.value, shown

    def _tell(self, picture: bool = True) -> None:
        for widget, traits in self._say(self.run).items():
            for name, text in traits.items():
                setattr(widget, name, text)
        if picture:
            self._draw_picture()
        if not self.job.busy:
            self.job.progress.value = 0

    def _say(self, run: Run) -> dict[w.Widget, dict[str, str]]:
        """What is said of a point, as traits of widgets."""
        known = run in self.points
        nearest = [] if known else self.points.neighbours(run)
        words = {
            self.readout: f'<div style="{TEXT}">{self._words(run, nearest)}</div>',
            self.phases: time_line(run, style(self.deficit.value)),
            self.code: f"<code>{html.escape(run.call())}</code> {COPY}",
        }
        if not self.job.busy:
            todo = self._todo(run)
            more = "" if len(todo) == 1 else " with its missing controls"
            words[self.estimate] = f"live{more}: {describe_cost(todo)}"
        train = {"description": "Train it again" if known else "Train this point"}
        return {self.train: train} | {one: {"value": text} for one, text in words.items()}

    def _look_ahead(self) -> None:
        """Have the next steps of both sliders drawn in advance, when nothing else is to be done."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # no notebook, or not its thread
            return
        self._moves += 1
        steps = [(bar, step) for bar in (self.onset, self.length) for step in (1, -1)]
        for i, (bar, step) in enumerate(steps):
            loop.call_later(0.05 + 0.01 * i, self._foresee, self._moves, bar, bar.value + step)

    def _foresee(self, move: int, bar: w.IntSlider, epoch: int) -> None:
        busy = move != self._moves or self.job.busy or self.plots.has_live()
        if busy or not bar.min <= epoch <= bar.max:
            return
        controls = [getattr(self, name) for name in (*MOVED, "size")]
        values = {one: one.index if one.has_trait("index") else one.value for one in controls}
        ends = (epoch if one is bar else one.value for one in (self.onset, self.length))
        run = self.points.run_at(self.deficit.value, *ends)
        self._surface.precompute(
            lambda: self.plots.show(*self._what_is_shown(run)),
            # not what the controls say: another thread may have moved them, and wait to draw that
            lambda: self.plots.show(*self._drawn),
            values | {bar: epoch},
            self._say(run),
            values,
        )

    def _resize(self, change: Any) -> None:
        """Show the results of another size, at the same point of a life."""
        scale = PROFILES[change.old].pace / PROFILES[change.new].pace
        onset, length = (round(scale * bar.value) for bar in (self.onset, self.length))
        self._know(Run(profile=change.new, **self._setting))
        self._offer_setting(onset, length)
        self._choose()

    def _know(self, like: Run) -> None:
        """Take the results that there are by now."""
        self.points = Points(like)
        self._surface.discard_precomputed()

    def _tap(self, event: Any) -> None:
        """A click on a map chooses the point: on an axis of names, cell i is from i to i + 1."""
        onsets, lengths = self.plots.map.x_range.factors, self.plots.map.y_range.factors
        i, j = math.floor(event.x), math.floor(event.y)
        if 0 <= i < len(onsets) and 0 <= j < len(lengths):
            self.onset.value, self.length.value = int(onsets[i]), int(lengths[j])

    def _draw_picture(self) -> None:
        like = self.points.like
        rows, shown = preview(like.dataset, like.profile, self.deficit.value)
        page = strips(rows, scale=max(1, 40 // rows["clear"].shape[1])).data
        absent = shown != like.dataset
        self.picture.value = page + ("<small>PRACTICE images</small>" if absent else "")

    def _words(self, run: Run, nearest: list[Run]) -> str:
        """The read-out: what the chosen point shows, in words and with its interval."""
        if run not in self.points:
            if not nearest:
                return f"Nobody has trained {describe_life(run)} yet. <b>Train it.</b>"
            rows = "; ".join(
                f"onset {r.onset}, length {r.length}: {self.points.accuracy(r)}" for r in nearest
            )
            return (
                f"Not trained: {describe_life(run)}. Its trained neighbours: {rows}. "
                "The curves show the first of them. <b>Train this point</b> to know."
            )
        begin = (
            f"{describe_life(run)} ends at <b>{self.points.accuracy(run)}</b> "
            f"after {run.recovery} epochs of recovery"
        )
        if run.deficit == "none":
            return f"{begin}. Now let a deficit last for some epochs."
        point = self.points.mean(run)
        if math.isnan(point.loss):
            return f"{begin}. Its controls are not trained yet."
        clock = f", clock {self.clock.value}" if run.schedule == "paper" else ""
        return f"{begin}{clock}: {cost_in_words(point)}. <b>{verdict(point)}</b>"

    # Training

    def _todo(self, run: Run) -> list[Run]:
        """The runs that Train trains: the point, and those of its controls that nobody trained."""
        controls = [run.equal_training(), run.without_window(self.clock.value)]
        return list(dict.fromkeys([run, *(c for c in controls if not results.find(c))]))

    def _work(self, stop: threading.Event) -> str:
        """Train the chosen point, beside the other controls, which may be moved meanwhile."""
        from cplab.engine.tree import plan

        run = self.run
        todo = self._todo(run)
        clock = Clock(self.job, sum(root.epochs for root in plan(todo)))
        grown = dict[int, float]()  # accuracy by epoch
        draw = Throttle(lambda: self.plots.live([*grown], [*grown.values()]))

        def report(of: Run, row: dict) -> None:
            clock(of, row)
            last = row["part"] + 1
            if "epoch" in row and of.timeline[:last] == run.timeline[:last]:
                grown[row["epoch"] + 1] = row["test_accuracy"]
            if self.run == run:
                draw()

        how = {"device": self.device, "workers": 1, "stop": stop, "report": report}
        fresh = None
        try:
            fresh = dict(results.collect(todo, fresh=True, **how))[run]
        finally:
            self._know(self.points.like)
            self._offer_setting(self.onset.value, self.length.value)
            self._choose()
            if fresh and self.run == run:
                grown = dict(enumerate(fresh.series("test_accuracy"), 1))
                draw(last=True)
        self.job.progress.value = self.job.progress.max
        where = "" if self.run == run else f", of {describe_life(run)}"
        return f"live, seed {run.seed}: {percent(fresh.accuracy)} %{where}"


# Parts ------------------------------------------------------------------------------------------


def read_link(at: str) -> dict[str, str]:
    """The point in a link, `…#explorer?deficit=flip&onset=4&length=8`, or in its end alone."""
    point = dict(parse_qsl(at.rpartition("?")[2]))
    require(point or not at, f"at {quote(at)} is not allowed: give onset=4&length=8, or a link")
    for name in point:
        one_of("control", name, MOVED)
    return point


def slider(css: str) -> tuple[w.IntSlider, w.BoundedIntText]:
    """A slider that tells when it is let go, and the number box beside it."""
    bar = w.IntSlider(readout=False, **CALM).add_class(css)
    box = w.BoundedIntText(layout={"width": "60px"}).add_class(f"{css}-box")
    for name in ("value", "max"):
        w.link((bar, name), (box, name))
    return bar, box


def time_line(run: Run, look: Style) -> str:
    """The phases of a life, as wide as they are long, as HTML."""
    ink = "black" if RGB.from_hex_string(look.colour).luminance > 0.18 else "white"
    phases = (
        ("clear", run.onset, "#e8e8e8", "black"),
        (look.label, run.length, look.colour, ink),
        ("recovery", run.recovery, "#f4f4f4", "black"),
    )
    parts = (
        f'<div style="flex:{epochs} 0 0;overflow:hidden;background:{hue};color:{ink}">'
        f"{html.escape(text)}</div>"
        for text, epochs, hue, ink in phases
        if epochs
    )
    css = "display:flex;text-align:center;font-size:12px;line-height:28px;white-space:nowrap"
    return f'<div style="{css}">{"".join(parts)}</div>'


def pictures(dataset: str, profile: str) -> data.Images:
    """Images to look at: of the data set if it is at hand, else practice images (their name says
    so), since nobody wants to wait for a download to see a picture.

    >>> pictures("cifar10", "ci").train_x.shape
    torch.Size([512, 8, 8, 3])
    """
    one_of("dataset", dataset, DATASETS)
    return data.images(dataset if data.is_here(dataset) else "practice", profile)


def cost_in_words(point: pd.Series) -> str:
    """What a window cost: harm, and beside it lost time, which sleep would have cost as well.

    >>> point = {"loss": 0.058, "loss_half": 0.007, "lost_time": 0.042, "lost_time_half": 0.005}
    >>> cost_in_words(pd.Series(point | {"harm": 0.016, "harm_half": 0.006}))
    'harm 1.6 ± 0.6 and lost time 4.2 ± 0.5, together 5.8 ± 0.7 points below equal training'
    """
    loss = percent(abs(point.loss), point.loss_half)
    words = f"{loss} points {'below' if point.loss >= 0 else 'above'} equal training"
    if math.isnan(point.harm):
        return words
    harm, lost = (percent(point[n], point[f"{n}_half"]) for n in ("harm", "lost_time"))
    return f"harm {harm} and lost time {lost}, together {words}"


def verdict(point: pd.Series) -> str:
    """What the two comparisons, with their intervals, allow to say.

    >>> from cplab import windows
    >>> points = windows.point_means(windows.same_setting(Run()))
    >>> verdict(points.loc["flip", 0, 16])
    'Something was learned, less than from clear images.'
    """
    if math.isnan(point.harm) or math.isnan(point.loss):
        return "One control is missing: no verdict."
    if math.isnan(point.harm_half) or math.isnan(point.loss_half):
        return "One seed: no interval, no verdict."
    if point.harm - point.harm_half > 0:
        return "Worse than without these epochs: the deficit did harm, and this recovery left it."
    if point.loss - point.loss_half <= 0:
        seen = percent(detectable(point.loss_half, point.pairs))
        return f"No lasting loss is seen; {seen} points would be seen 8 times in 10."
    if point.harm + point.harm_half < 0:
        return "Something was learned, less than from clear images."
    seen = percent(detectable(point.harm_half, point.pairs))
    return f"Time was lost; no harm is seen ({seen} points would be seen 8 times in 10)."
