"""The explorer: when was a network deprived, of what, for how long, and what did it cost?

Its output is HTML that holds all results of a setting (`cplab.lab.explorer_data`), BokehJS, and
`explorer.js`, which selects and draws; it works in a saved notebook and on a page as well. A widget
that is never displayed connects it to Python: it brings the chosen point, and clicks on Train.
"""

import base64
import gzip
import html
import itertools
import json
import sys
import threading
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import bokeh
import numpy as np

from cplab import estimates, results
from cplab.errors import CplabError, many, one_of, whole
from cplab.lab.explorer_data import CLEAR, Point, Setting, band, describe_point, name_of
from cplab.lab.jobs import NOT_HERE, Clock, Task, Throttle, count_epochs, seconds_here, trains_here
from cplab.lab.link import COLAB, Link, script
from cplab.output import as_html
from cplab.previews import png, preview
from cplab.results.api import format_duration
from cplab.runs import DEVICES, FLAGSHIP, LONGEST, Run
from cplab.styles import ink, style

MARKUP = Path(__file__).with_name("explorer.html").read_text("utf-8")
SCRIPT = script("cplab-explorer", "unzip", "screen", "explorer")
OFFERED = ("blur", "flip", "permute", "noise")
UNITS = ("points", "clear epochs")
PLACE = ("deficit", "onset", "length", "recovery")
WHERES = ("point", "onsets", "lengths")  # to train: a point, or a row or column of the map
UNTRAINED = "No results here yet."
TOLD = 0.2  # seconds between two messages while it trains


@cache
def packed_bokeh() -> str:
    """BokehJS of the installed package, compressed, as text."""
    code = Path(bokeh.__file__).parent / "server" / "static" / "js" / "bokeh.min.js"
    return base64.b64encode(gzip.compress(code.read_bytes(), 6)).decode()


class Explorer:
    """One screen: drag a deficit along a run, and see what it cost.

    Arguments: profile, the size of the experiment, by default that of `cplab.runs.FLAGSHIP`;
        deficits to choose from, by name or as functions of your own; onset and length of the first
        point; device, of live runs; setting, other fields of a Run, such as the model and the first
        seed of live runs; its rate never changes.
    `choose` moves to another point, `run` is the chosen one, `words` describes it.

    >>> explorer = Explorer(onset=24)
    >>> explorer.run.onset, explorer.run.model
    (24, 'depth3-16')
    """

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
        if not deficits:
            raise CplabError(f"deficits {deficits} are not allowed: give one or more")
        unsupported = setting.keys() & {"deficit", "skipped", "treatments", "windows"}
        if unsupported:
            raise CplabError(
                f"{', '.join(unsupported)} is not allowed in Explorer: its points have one deficit "
                "of `deficits` each, and nothing else"
            )
        flagship = {"model": FLAGSHIP.model, "recovery": FLAGSHIP.recovery}
        defaults = flagship if profile is None else {"profile": profile}
        like = Run(**{"schedule": "fixed"} | defaults | setting)
        self.deficits = tuple(like.replace(deficit=of, length=1).deficit for of in deficits)
        self.device, self.setting = device, Setting(like, self.deficits)
        at = {"onset": whole("onset", onset, 0, LONGEST)}
        at["length"] = whole("length", length, 1, LONGEST)
        self._begin = (self.deficits[0], at["onset"], at["length"])
        place = {"deficit": self.deficits[0], **at, "recovery": like.recovery}
        state = {**place, "unit": UNITS[0], "seeds": False, "count": 3, "where": "point"}
        self.content = self._collect_content()
        self.link = Link(SCRIPT, state=state)
        self.link.on_msg(self._handle_message)
        self._task = Task(self._work, self._show_message)
        self.link.observe(self._follow, "state")

    @property
    def state(self) -> dict[str, Any]:
        """What is chosen: deficit, onset, length, recovery; unit, seeds; count, where to train."""
        return self.link.state

    @property
    def point(self) -> Point:
        """The chosen deficit, onset and length."""
        return (self.state["deficit"], self.state["onset"], self.state["length"])

    @property
    def run(self) -> Run:
        """The chosen point, as a run."""
        return self.setting.run_at(self.point, self.state["recovery"])

    @property
    def words(self) -> str:
        """The text about the chosen point."""
        end = self._end()
        return f"{end['head']} ({end['small']})" if end else UNTRAINED

    def choose(self, **place: Any) -> None:
        """Move to another point. Arguments: deficit, onset, length, recovery, unit, seeds; count
        and where, what `train` trains."""
        for name, value in place.items():
            one_of("what is chosen", name, self.state)
            if name in (*PLACE[1:], "count"):
                place[name] = whole(name, value, int(name != "onset"), LONGEST)
        if "deficit" in place:
            named = self.setting.like.replace(deficit=place["deficit"], length=1).deficit
            place["deficit"] = one_of("deficit", named, self.deficits)
        one_of("unit", place.get("unit", UNITS[0]), UNITS)
        one_of("where", place.get("where", "point"), WHERES)
        chosen = {**self.state, **place}
        self.setting.run_at(
            (chosen["deficit"], chosen["onset"], chosen["length"]), chosen["recovery"]
        )
        self.link.state = chosen

    # Output ---------------------------------------------------------------------------------------

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Any:
        return self.link.bundle(self.words, self.page(), SCRIPT)

    @property
    def figure(self) -> Any:
        """The chosen point as a still figure."""
        from cplab import show

        return show.clear_epochs({name_of(self.point): self.run})

    def page(self) -> str:
        """The explorer as HTML, without its script: words, until that comes, and all content."""
        data = {"content": self.content, "state": self.state, "html": MARKUP}
        data["version"] = bokeh.__version__
        text = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")  # for HTML
        return (
            f'<cplab-explorer data-link="{self.link.name}">'
            f"<p><b>{html.escape(self.words)}</b></p>{as_html(self.figure)}\n"
            f'<script type="application/json">{text}</script>\n'
            f'<script type="text/plain">{packed_bokeh()}</script>\n'
            "</cplab-explorer>\n"
        )

    # Content --------------------------------------------------------------------------------------

    def _collect_content(self) -> dict[str, Any]:
        """All that explorer.js needs, as plain data."""
        setting, like = self.setting, self.setting.like
        described = {",".join(map(str, p)): describe_point(setting, p) for p in setting.points()}
        clear, seen = thumbnails(like, self.deficits)
        points = setting.points() or [self._begin]
        axes = {name: sorted({p[i] for p in points}) for i, name in ((1, "onset"), (2, "length"))}
        recoveries = setting.recoveries()
        marked = setting.run_at(("blur", 1111, 2222), 3333).call()
        ends = [onset + length for _, onset, length in (*points, self._begin)]
        content: dict[str, Any] = {
            "untrained": UNTRAINED,
            "points": described,
            "deficits": [look(name, seen[name]) for name in self.deficits],
            "clear": clear,
            "recoveries": recoveries,
            "axes": {name: [*map(str, values)] for name, values in axes.items()},
            "last": max([8, *ends]) + recoveries[-1],
            "longest": max([8, *(onset for _, onset, _ in points)]) + recoveries[-1],
            "source": f"{len(setting.trained)} runs of {like.profile} · {estimates.INTERVALS}",
            "call": marked.replace("'blur'", "'deficit'"),
            **reaches(described, like.recovery / 2),
        }
        if setting.grey():
            content["grey"] = band({s: c[: content["longest"]] for s, c in setting.grey().items()})
        return content | {"accuracy": reach_of_accuracy(content)}

    def _follow(self, change: Any) -> None:
        """Show what training costs, and all content again where the chosen point lies beyond."""
        recovery = self.state["recovery"]
        known = recovery in self.content["recoveries"]
        if not known or sum(self.point[1:]) + recovery > self.content["last"]:
            self.setting.offered.add(recovery)
            self._begin = self.point
            self.content = self._collect_content()
            self.link.content = json.dumps(self.content)
        self._show_cost()

    def _end(self) -> dict[str, Any] | None:
        """The description of the chosen point at the end of its recovery, None without results."""
        point = self.content["points"].get(",".join(map(str, self.point)))
        return point and point["at"].get(self.state["recovery"])

    # Training -------------------------------------------------------------------------------------

    def train(self) -> None:
        """Train the next seeds of the chosen points, with the controls that are missing."""
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
            self.link.send({"alive": True, "why": "" if trains_here() else NOT_HERE})
            self._show_cost()
        elif "train" in content:
            self.link.live = {**self.link.live, "busy": True, "colab": COLAB in sys.modules}
            self.train()
        elif "stop" in content:
            self.stop()
        elif "wait" in content:  # a page on Colab gets messages only in answer to its own
            self.link.answer_wait(self._task.done)

    def wanted(self) -> tuple[list[Run], list[Run]]:
        """The runs that `train` trains, and their controls that have no result.

        These are the next seeds of the chosen point; of a row or column of the map, of those of its
        points that have the fewest seeds.
        """
        deficit, onset, length = self.point
        axes = {name: [*map(int, self.content["axes"][name])] for name in ("onset", "length")}
        points = {
            "point": [self.point],
            "onsets": [(deficit, at, length) for at in sorted({*axes["onset"], onset})],
            "lengths": [(deficit, onset, at) for at in sorted({*axes["length"], length})],
        }[self.state["where"]]
        recovery, first = self.state["recovery"], self.setting.like.seed
        trained = {point: self.setting.curves(point, recovery).keys() for point in points}
        fewest = min(len(seeds) for seeds in trained.values())
        runs = []
        for point in (point for point in points if len(trained[point]) == fewest):
            unused = (seed for seed in itertools.count(first) if seed not in trained[point])
            seeds = itertools.islice(unused, self.state["count"])
            runs += [self.setting.run_at(point, recovery, seed) for seed in seeds]
        both = [control for r in runs for control in (r.without_window(), r.equal_training())]
        known = self.setting.known
        controls = [c for c in dict.fromkeys(both) if c.seed not in known(CLEAR, c.epochs)]
        return runs, controls

    def cost(self) -> str:
        """Write how many networks `train` trains, and how long that takes with all cores."""
        runs, controls = self.wanted()
        count = f"{len(runs)} network{'s' * (len(runs) > 1)}"
        count += f" and {len(controls)} control{'s' * (len(controls) > 1)}" if controls else ""
        seconds = seconds_here([*runs, *controls])
        if seconds is None:
            return f"{count}: the first epoch shows how long they take"
        return f"{count}: {format_duration(seconds)}"

    def _show_cost(self) -> None:
        """Show how long training takes, unless something is being trained, or nothing can be."""
        if trains_here() and not self._task.busy:
            self.link.live = {"message": self.cost()}

    def _show_message(self, message: str, error: bool = False) -> None:
        self.link.live = {"message": message, "busy": False, "error": error}

    def _work(self, stop: Any) -> str:
        """Train the next seeds with their controls. Returns the last message."""
        runs, controls = self.wanted()
        everything = [*runs, *controls]
        points = [*dict.fromkeys((run.deficit, run.onset, run.length) for run in runs)]
        base = {"busy": True, "points": points, "colab": COLAB in sys.modules}
        cost = self.cost()
        grown: dict[Run, dict[int, float]] = {run: {} for run in runs}  # accuracy by epoch, from 0
        growing = threading.Lock()
        clock = Clock(count_epochs(everything), seconds_here(everything))

        def draw() -> None:
            curves: dict[str, list] = {}
            with growing:
                lines = {run: dict(accuracies) for run, accuracies in grown.items()}
            for run, accuracies in lines.items():
                key = f"{run.deficit},{run.onset},{run.length}"
                line = [100 * accuracies[n] for n in range(len(accuracies)) if n in accuracies]
                curves.setdefault(key, []).append(line)
            progress = {"message": f"trains {cost}", "done": clock.done, "epochs": clock.epochs}
            count = clock.message if clock.done else ""
            self.link.live = {**base, "curves": curves, **progress, "count": count}

        throttle = Throttle(draw, TOLD)

        def report(of: Run, row: dict) -> None:
            clock(of, row)
            with growing:
                for run, accuracies in grown.items():
                    # seeds share their clear beginning with other points and with the controls
                    if "epoch" in row and (of == run or shares(of, run, row["epoch"])):
                        accuracies[row["epoch"]] = row["test_accuracy"]
            throttle()

        throttle()
        try:
            how: dict[str, Any] = {"device": self.device, "stop": stop, "report": report}
            for run, trained in results.collect(everything, **how):
                if run in grown:
                    with growing:
                        grown[run].update(enumerate(trained.series("test_accuracy")))
                self.setting.add(run)
                throttle()
        finally:
            throttle.finish()
        self.content = self._collect_content()
        self.link.content = json.dumps(self.content)
        seeds = sorted({run.seed for run in runs})
        named = f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"
        return f"trained {named} in {clock.took()}; next, {self.cost()}"


# Parts ------------------------------------------------------------------------------------------


def shares(of: Run, run: Run, epoch: int) -> bool:
    """Whether both are still without a deficit in this epoch, and so are the same network."""
    clear = all(not one.length or epoch < one.onset for one in (of, run))
    return of.seed == run.seed and clear and epoch < min(of.epochs, run.epochs)


def look(name: str, picture: str) -> dict[str, Any]:
    """The look of a deficit as plain data; `ink`: black or white, whichever is legible on its
    colour."""
    of = style(name)
    return {**of._asdict(), "name": name, "ink": ink(of.colour), "picture": picture}


@cache
def thumbnails(like: Run, deficits: tuple[str, ...]) -> tuple[str, dict[str, str]]:
    """Small pictures of what a network sees, clear and under each deficit, as links of a page."""
    clear, seen = "", {}
    shown = "drawn" if like.dataset == "drawn" else "pictures"  # no photographs
    for name in deficits:
        rows, _ = preview(shown, like.profile, name, count=8)
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
    axes: dict[str, list] = {"reach": [], "most": []}
    for unit, limit in (("harm", 6), ("back", 30)):
        values = [0.0, *(end[unit][0] for end in ends if end[unit][0] is not None)]
        axes["most"].append(max(limit, -min(values), max(values)))
        if unit == "harm":  # and the ends of intervals
            known = [(mean, half or 0) for mean, half in (end["harm"] for end in ends)]
            values += [mean + way * half for mean, half in known for way in (-1, 1)]
        low, high = min(values), max(values)
        axes["reach"].append([1.12 * low - 0.12 * high - 0.5, max(1, high) + 0.15 * (high - low)])
    return axes


def reach_of_accuracy(content: dict[str, Any]) -> tuple[float, float]:
    """The lowest and highest mean accuracy of clear epochs, in percent, with room for a line's name
    above. Under a deficit accuracy may be lower."""
    means = [*content.get("grey", {}).get("mean", ())]
    for key, point in content["points"].items():
        _, onset, length = key.split(",")
        means += [y for of in point["bands"] for y in of["mean"][int(onset) + int(length) :]]
    return min(means, default=0) / 10, max(means, default=1000) / 10 + 2
