"""Work that one starts with a button and watches: in a thread, or at the click where threads cannot
draw (Colab)."""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ipywidgets as w
import numpy as np
from bokeh.models import ColumnDataSource

from cplab import results
from cplab.checks import Cancelled, CplabError
from cplab.lab.surface import Throttle, in_red, redraw, surface
from cplab.runs import Run
from cplab.show.results import over_epochs
from cplab.show.theme import LIVE, label, load_bokeh, on_colab, place_legend
from cplab.statistics import percent

PAUSED = "stopped: Train goes on from the last checkpoint"


class Job(w.HBox):
    """A button that starts some work, a bar, and a button that stops it.

    Arguments:
        words: on the button.
        work: called with the threading.Event that Stop sets; returns what is said in the end.
        locked: controls that rest meanwhile.
        stopped: what is said when it was stopped.

    `start` and `stop` are the buttons; `said` and `progress` are the work's to set; `busy` says
    whether it is under way.

    >>> job = Job("Count", lambda halt: f"up to {sum(range(4))}")
    >>> job.start.click()
    >>> job.wait(10), job.said.value
    (True, 'up to 6')
    """

    def __init__(
        self,
        words: str,
        work: Callable[[threading.Event], str],
        locked: Sequence[w.Widget] = (),
        stopped: str = PAUSED,
    ) -> None:
        self._work, self._locked, self._stopped = work, locked, stopped
        self._halt, self._done, self.busy = threading.Event(), threading.Event(), False
        firm = {"flex": "0 0 auto"}  # however much is said beside it
        self.start = w.Button(description=words, button_style="primary", layout=firm)
        self.stop = w.Button(description="Stop", disabled=True, layout=firm)
        self.said = w.HTML().add_class("cplab-live")
        self.progress = w.IntProgress(min=0, max=1, layout={"width": "140px", **firm})
        line = [self.start, self.said, self.progress, self.stop]
        super().__init__(line, layout={"align_items": "center"})
        self.start.on_click(self._begin)
        self.stop.on_click(lambda _: self._halt.set())

    def wait(self, seconds: float) -> bool:
        """Wait for the work to end; False if it has not by then."""
        return self._done.wait(seconds)

    def _begin(self, button: Any = None) -> None:
        if self.busy:
            return
        self.busy = True
        self._halt.clear()
        self._done.clear()
        self._rest(True)
        if on_colab():
            self._do()
        else:
            threading.Thread(target=self._do, daemon=True).start()

    def _rest(self, busy: bool) -> None:
        for control in (self.start, *self._locked):
            control.disabled = busy
        self.stop.disabled = not busy

    def _do(self) -> None:
        message = "stopped by an error"
        try:
            message = self._work(self._halt)
        except Cancelled:
            message = self._stopped
        except CplabError as error:
            message = in_red(error)
        finally:
            self.busy = False
            self._rest(False)
            self.said.value = message
            self._done.set()


class Live(w.VBox):
    """Train a run here and now, and watch its quantities grow beside what is known.

    Arguments:
        runs: those to choose from, as {words: Run}.
        known: from a run to the results drawn beside it, {words: results} (show.over_epochs).
        what: the quantities, one figure each (see Result.series).
        device: to train on.
        measure: what is measured on the way (see cplab.run).

    The controls are attributes: `choice` (set `.value`), `train`, `stop` (call `.click()`);
    `estimate` says what it costs, and in the end what was found; `sources` hold what is drawn.

    >>> Live({"no deficit": Run(profile="ci")}, lambda run: {}).choice.label
    'no deficit'
    """

    children: Any  # of the box

    def __init__(
        self,
        runs: Mapping[str, Run],
        known: Callable[[Run], Mapping[str, Sequence]],
        what: Sequence[str] = ("trace", "train_loss"),
        device: str = "auto",
        measure: Any = "trace",
    ) -> None:
        load_bokeh(again=False)
        self._known, self._what, self.device = known, tuple(what), device
        self._measure = measure
        self.choice = w.ToggleButtons(
            options=list(runs.items()), style={"button_width": "auto"}
        ).add_class("cplab-live-choice")
        self.job = Job("Train", self._work, [self.choice])
        self.train, self.stop, self.estimate = self.job.start, self.job.stop, self.job.said
        super().__init__([self.choice, self.job, w.VBox()])
        self.choice.observe(self._choose, "value")
        self._choose()

    def _choose(self, change: Any = None) -> None:
        run = self.choice.value
        self.sources = {
            name: ColumnDataSource({"epoch": [], "mean": []}, name=f"live {name}")
            for name in self._what
        }
        known, drawn = self._known(run), []
        for name, source in self.sources.items():
            fig = over_epochs(known, name, width=425, height=280)
            look = {"color": LIVE.colour, "width": 2, "legend_label": LIVE.label}
            fig.line("epoch", "mean", source=source, **look)
            drawn.append(place_legend(fig, "top_left" if name == "trace" else "top_right"))
        self._picture = surface(drawn)
        self.children = [*self.children[:2], self._picture]
        redraw(self._picture)
        cost = results.estimate([run], self._measure, self.device)
        self.estimate.value = (
            f"{life_in_words(run)}, seed {run.seed}: {run.epochs} epochs, {say_time(cost)}"
        )
        self.job.progress.value = 0

    def _work(self, stop: threading.Event) -> str:
        run, rows = self.choice.value, list[dict]()
        clock = Clock(self.job, run.epochs)
        draw = Throttle(lambda: self._draw(rows))

        def report(of: Run, row: dict) -> None:
            rows.append(row | flat(row.get("measured", {})))
            clock(of, row)
            draw()

        how = {"fresh": True, "device": self.device, "stop": stop, "report": report}
        found = results.run(run, measure=self._measure, **how)
        series = {name: found.series(name) for name in self._what}
        rows = [
            {"epoch": epoch} | {name: values[epoch] for name, values in series.items()}
            for epoch in range(run.epochs)
        ]
        draw(last=True)
        return (
            f"live, seed {run.seed}: {percent(found.accuracy)} %, in "
            f"{found.seconds:.0f} s of training"
        )

    def _draw(self, rows: list[dict]) -> None:
        for name, source in self.sources.items():
            known = [row for row in rows if name in row and not np.isnan(np.sum(row[name]))]
            source.data = {
                "epoch": [row["epoch"] + 1 for row in known],
                "mean": [float(np.sum(row[name])) for row in known],
            }
        redraw(self._picture)


class Clock:
    """Says at each reported epoch how far a Job is, and how much longer it takes by the epochs that
    it took so far. Arguments: job; epochs, that are to be trained in all."""

    def __init__(self, job: Job, epochs: int) -> None:
        self.job, self.spent, self.done = job, 0.0, 0
        job.progress.value, job.progress.max = 0, max(1, epochs)

    def __call__(self, run: Any, row: dict) -> None:
        self.done, self.spent = self.done + 1, self.spent + row["seconds"]
        self.job.progress.value = self.done
        left = self.spent / self.done * max(0, self.job.progress.max - self.done)
        what = f"about {left:.0f} s left" if left >= 1 else "nearly done"
        self.job.said.value = f"epoch {row['epoch'] + 1} of {run.epochs}: {what}"


def flat(measured: Mapping[str, Any]) -> dict:
    """What several measurements found, without their names."""
    return {
        name: value
        for found in measured.values()
        if isinstance(found, dict)
        for name, value in found.items()
        if name != "seconds"
    }


def say_time(seconds: float | None) -> str:
    """`about 17 s on this machine`, or that nobody knows yet.

    >>> say_time(17.2), say_time(None)
    ('about 17 s on this machine', 'its time is not known yet: the first epoch tells')
    """
    if seconds is None:
        return "its time is not known yet: the first epoch tells"
    if seconds >= 180:
        return f"about {seconds / 60:.0f} minutes on this machine"
    return f"about {max(1, seconds):.0f} s on this machine"


def life_in_words(run: Run) -> str:
    """`Blur from epoch 4 to 16`.

    >>> life_in_words(Run("blur", 4, 12))
    'Blur from epoch 4 to 16'
    """
    if run.deficit == "none":
        return f"No deficit, {run.epochs} clear epochs"
    name = label(run.deficit)
    return f"{name[0].upper()}{name[1:]} from epoch {run.onset} to {run.end}"
