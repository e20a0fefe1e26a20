"""The explorer: when was a network deprived, of what, for how long, and what did it cost?

Python sends all results of a setting once, as text (see `cplab.lab.explorer_data`), and
`explorer.js` selects and draws them, in a notebook and on a page alike. The page sends back the
chosen point, and clicks on Train and Stop.
"""

import base64
import html
import importlib.util
import json
import sys
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import traitlets

from cplab import results
from cplab.errors import many, one_of, require, whole
from cplab.lab.explorer_data import Setting, band, describe_points, name_of
from cplab.lab.live import Clock, Task, Throttle, describe_cost, describe_run
from cplab.runs import DEVICES, FLAGSHIP, LONGEST, Run
from cplab.show.previews import pictures, png, preview
from cplab.show.styles import source_note, style
from cplab.show.surface import Shown
from cplab.statistics import percent

__all__ = ["Explorer", "pictures"]

OFFERED = ("blur", "flip", "permute", "noise")
UNITS = ("points", "clear epochs")
PLACE = ("deficit", "onset", "length", "recovery")
UNTRAINED = "Nobody has trained this yet, so there is nothing to show."
WORDS = {
    "untrained": UNTRAINED,
    "untrainedMore": "Points with a result are on the map, and have a tick below the bar.",
    "hatched": "hatched: not different from 0",
    "noPython": "Training needs Python: open this in a notebook and run the cell.",
    "clearName": "clear from birth on",
}
NOT_HERE = "Training needs PyTorch and threads, which are not here; all results can be looked at."


class Explorer(Shown):
    """One screen: drag a deficit along a run, and see what it cost.

    Arguments: profile, the size of the experiment, by default that of `cplab.runs.FLAGSHIP`;
        deficits to choose from, by name or as functions of your own; onset and length of the first
        point; device, of live runs; setting, other fields of a Run, such as the model and the seed
        of live runs; its rate never changes.
    `choose` moves to another point, `run` is the chosen one, `words` describes it.

    >>> explorer = Explorer(onset=24)
    >>> explorer.run.onset, explorer.run.model
    (24, 'depth3-16')
    """

    live = traitlets.Dict().tag(sync=True)

    def __init__(
        self,
        profile: str | None = None,
        deficits: Sequence[Any] = OFFERED,
        onset: int = 0,
        length: int = 16,
        device: str = "auto",
        **setting: Any,
    ) -> None:
        one_of("device", str(device).partition(":")[0], DEVICES)
        deficits = many(deficits)
        require(deficits, f"deficits {deficits} are not allowed: give one or more")
        unsupported = setting.keys() & {"deficit", "skipped", "treatments", "windows"}
        why = "its points have one deficit of `deficits` each, and nothing else"
        require(not unsupported, f"{', '.join(unsupported)} is not allowed in Explorer: {why}")
        flagship = {"model": FLAGSHIP.model, "recovery": FLAGSHIP.recovery}
        defaults = flagship if profile is None else {"profile": profile}
        like = Run(**{"schedule": "fixed"} | defaults | setting)
        self.device, self.setting = device, Setting(like)
        self.deficits = tuple(Run(deficit, length=1).deficit for deficit in deficits)
        at = {"onset": whole("onset", onset, 0, LONGEST)}
        at["length"] = whole("length", length, 1, LONGEST)
        self._begin = (self.deficits[0], at["onset"], at["length"])
        place = {"deficit": self.deficits[0], **at, "recovery": like.recovery}
        super().__init__(self._collect_content(), {**place, "unit": UNITS[0], "seeds": False})
        self.on_msg(self._handle_message)
        self._task = Task(self._work, self._show_message)
        self.observe(self._show_cost, "state")
        self._show_cost()

    @property
    def run(self) -> Run:
        """The chosen point, as a run."""
        point = (self.state["deficit"], self.state["onset"], self.state["length"])
        return self.setting.run_at(point, self.state["recovery"])

    @property
    def words(self) -> str:
        """The text about the chosen point."""
        end = self._end()
        return f"{end['head']} ({end['small']})" if end else UNTRAINED

    def seen(self) -> list:
        """The text about the chosen point and the large figure, for readers without Python."""
        return [html.escape(self.words), still_life(self.setting, self.run)]

    def keep(self, *change: Any) -> None:
        """Write what is visible into the outputs; while the point changes, only after a pause."""
        super().keep() if not change else self.keep_soon(1)

    def choose(self, **place: Any) -> None:
        """Move to another point. Arguments: deficit, onset, length, recovery, unit, seeds."""
        for name, value in place.items():
            one_of("what is chosen", name, (*PLACE, "unit", "seeds"))
            if name in PLACE[1:]:
                place[name] = whole(name, value, 1 if name == "length" else 0, LONGEST)
        if "deficit" in place:
            named = Run(place["deficit"], length=1).deficit
            place["deficit"] = one_of("deficit", named, self.deficits)
        one_of("unit", place.get("unit", UNITS[0]), UNITS)
        self.state = {**self.state, **place}

    # Content --------------------------------------------------------------------------------------

    def _collect_content(self) -> dict[str, Any]:
        """All that explorer.js needs, as plain data."""
        setting, like = self.setting, self.setting.like
        described = self._points = describe_points(setting, self.deficits)
        clear, seen = thumbnails(like, self.deficits)
        points = [point for point in setting.points() if point[0] in self.deficits]
        points = points or [self._begin]
        axes = {name: sorted({p[i] for p in points}) for i, name in ((1, "onset"), (2, "length"))}
        recoveries = setting.recoveries()
        marked = setting.run_at(("blur", 1111, 2222), 3333).call()
        ends = [onset + length for _, onset, length in (*points, self._begin)]
        content: dict[str, Any] = {
            **WORDS,
            "kind": "explorer",
            "points": described,
            "deficits": [look(name, seen[name]) for name in self.deficits],
            "clear": clear,
            "recoveries": recoveries,
            "units": UNITS,
            "axes": {name: [*map(str, values)] for name, values in axes.items()},
            "last": max([8, *ends]) + recoveries[-1],
            "longest": max([8, *(onset for _, onset, _ in points)]) + recoveries[-1],
            "source": source_note(setting.results),
            "call": marked.replace("'blur'", "'deficit'"),
            **reaches(described, like.recovery / 2),
        }
        if setting.grey():
            content["grey"] = band({s: c[: content["longest"]] for s, c in setting.grey().items()})
        return content | {"accuracy": reach_of_accuracy(content)}

    def _end(self) -> dict[str, Any] | None:
        """The description of the chosen point at the end of its recovery, None without results."""
        point = self._points.get("{deficit},{onset},{length}".format(**self.state))
        return point and point["at"].get(self.state["recovery"])

    # Training -------------------------------------------------------------------------------------

    def train(self) -> None:
        """Train the chosen point, and then the controls that are missing."""
        self._task.start()

    def stop(self) -> None:
        """Stop training; the next `train` goes on from there."""
        self._task.stop()

    def wait(self, seconds: float) -> bool:
        """Wait for training to end; False if it has not by then."""
        return self._task.wait(seconds)

    def _handle_message(self, widget: Any, content: dict, buffers: Any) -> None:
        """Handle a message of the page: a greeting, a click on Train or Stop, a wait."""
        if "hello" in content:
            able = sys.platform != "emscripten" and importlib.util.find_spec("torch")
            self.send({"alive": True, "why": "" if able else NOT_HERE})
        elif "train" in content:
            self.train()
        elif "stop" in content:
            self.stop()
        elif "wait" in content:  # a page on Colab gets messages only in answer to its own
            self._task.wait(0.25)
            self.send_state("live")

    def _controls(self, run: Run) -> list[Run]:
        """The controls of a run that have neither a result nor a longer run to read it from."""
        wanted = [run.without_window(), run.equal_training()]
        return [c for c in wanted if run.seed not in self.setting.clear(c.epochs)]

    def _show_cost(self, change: Any = None) -> None:
        """Show how long training the chosen point takes, unless something is being trained."""
        if not self._task.busy:
            todo = [self.run, *self._controls(self.run)]
            controls = "" if len(todo) == 1 else " with its controls"
            self.live = {"message": f"live{controls}: {describe_cost(todo)}"}

    def _show_message(self, message: str, error: bool = False) -> None:
        self.live = {**self.live, "message": message, "busy": self._task.busy, "error": error}

    def _work(self, stop: Any) -> str:
        """Train the chosen point and its missing controls. Returns the last message."""
        run, end = self.run, self._end()
        controls, point = self._controls(run), (run.deficit, run.onset, run.length)
        base = {"busy": True, "point": [*point], "colab": "google.colab" in sys.modules}
        accuracies: dict[int, float] = {}
        epochs = run.epochs + sum(c.epochs for c in controls)
        clock = Clock(None, epochs, results.estimate([run, *controls]))
        clock.message = f"begins: {describe_cost([run, *controls])}"

        def draw() -> None:
            percents = [100 * accuracies[epoch] for epoch in sorted(accuracies)]
            progress = {"message": clock.message, "done": clock.done, "epochs": clock.epochs}
            self.live = {**base, "accuracy": percents, **progress}

        throttle = Throttle(draw)

        def report(of: Run, row: dict) -> None:
            clock(of, row)
            if of == run and "epoch" in row:
                accuracies[row["epoch"]] = row["test_accuracy"]
            throttle()

        how: dict[str, Any] = {"device": self.device, "workers": 1, "stop": stop, "report": report}
        draw()
        # another process may have trained the point since it was chosen
        fresh = end is not None and run.seed in self.setting.curves(point, run.recovery)
        [(_, trained)] = results.collect([run], fresh=fresh, **how)
        accuracies.update(enumerate(trained.series("test_accuracy")))
        for control in controls:
            list(results.collect([control], **how))
        for trained_run in (run, *controls):
            self.setting.add(trained_run)
        self.content = json.dumps(self._collect_content())
        draw()
        where = "" if self.run == run else f", of {describe_run(run)}"
        return f"live, seed {run.seed}: {percent(trained.accuracy)} %{where}"


# Parts ------------------------------------------------------------------------------------------


def look(name: str, picture: str) -> dict[str, Any]:
    """The look of a deficit as plain data; `ink`: black or white, whichever is legible on its
    colour."""
    deficit_style = style(name)
    light = [int(deficit_style.colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    light = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in light]
    ink = "#000000" if np.dot([0.2126, 0.7152, 0.0722], light) > 0.18 else "#FFFFFF"
    return {**deficit_style._asdict(), "name": name, "ink": ink, "picture": picture}


@cache
def thumbnails(like: Run, deficits: tuple[str, ...]) -> tuple[str, dict[str, str]]:
    """Small pictures of what a network sees, clear and under each deficit, as links of a page."""
    clear, seen = "", {}
    for name in deficits:
        rows, _ = preview("pictures", like.profile, name, count=8)  # no photographs
        clear, seen[name] = map(picture_link, (rows["clear"], rows.get("seen", rows["clear"])))
    return clear, seen


def picture_link(images: np.ndarray) -> str:
    return f"data:image/png;base64,{base64.b64encode(png(images, 1)).decode()}"


def reaches(points: dict[str, dict], least: float) -> dict[str, Any]:
    """The ends of the axes of harm in both units, the same for all points: `reach` for the lines,
    `most` for the map's colours; over recoveries of `least` epochs or more."""
    ends = [
        end
        for point in points.values()
        for recovery, end in point["at"].items()
        if end["harm"] and recovery >= least  # before that accuracy is still rising
    ]
    harm = [end["harm"][0] for end in ends] or [0.0]
    back = [end["back"][0] for end in ends if end["back"][0] is not None] or [0.0]
    axes: dict[str, list] = {"reach": [], "most": []}
    for values, limit in ((harm, 6), (back, 30)):
        low, high = min(0, *values), max(0, *values)
        room = high - low
        axes["reach"].append([low - 0.12 * room - 0.5, max(1, high) + 0.15 * room])
        axes["most"].append(max(limit, -low, high))
    return axes


def reach_of_accuracy(content: dict[str, Any]) -> tuple[float, float]:
    """The lowest and highest mean accuracy of clear epochs, in percent, with room for a line's name
    above. Under a deficit accuracy may be lower."""
    means = [*content.get("grey", {}).get("mean", ())]
    for key, point in content["points"].items():
        onset, length = map(int, key.split(",")[1:])
        for curve in point["bands"]:
            means += curve["mean"][:onset] + curve["mean"][onset + length :]
    return min(means, default=0) / 10, max(means, default=1000) / 10 + 2


def still_life(setting: Setting, run: Run) -> Any:
    """The large figure at one point, drawn by Python."""
    from cplab.show.theme import lives_figure

    point = (run.deficit, run.onset, run.length)
    curves = setting.curves(point, run.recovery) if run.length else {}
    lives = {name_of(point): (run, [*curves.values()])}
    title = "Test accuracy against clear epochs seen"
    return lives_figure([*setting.grey().values()], lives, title, width=640, height=360)
