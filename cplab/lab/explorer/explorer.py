"""The explorer: when was a network deprived, of what, for how long, and what did it cost?

Its output is HTML that holds all results of a setting (`points`), BokehJS, and
`explorer.js`, which fills the figures that `figures` makes with Bokeh; it works in a saved
notebook and on a page as well. A widget that is never displayed connects it to Python:
it brings the chosen point, and clicks on Train.
"""

from __future__ import annotations

import base64
import gzip
import html
import itertools
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import cache, cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NotRequired, TypedDict, cast

import numpy as np

from cplab import estimates
from cplab.base import palette
from cplab.base.errors import CplabError, as_list, check_dict, one_of, whole
from cplab.lab.buttons.button import HowFar, Task, train_requests, will_train_here
from cplab.lab.buttons.live import Values
from cplab.lab.explorer.points import (
    NEVER,
    Band,
    Description,
    End,
    Point,
    Setting,
    describe_end,
    describe_point,
    name_of,
    pack_band,
)
from cplab.lab.screen.link import WHERE, Link, Output, script
from cplab.lab.screen.offers import EXPLORER, Look, look
from cplab.output.markup import as_html
from cplab.pictures.previews import png, preview
from cplab.results import Request, Result
from cplab.results.duration import usual_time
from cplab.results.requests import News
from cplab.results.result import LAST
from cplab.runs import FLAGSHIP, LONGEST, Run

if TYPE_CHECKING:
    from cplab.show import Figure

MARKUP = Path(__file__).with_name("explorer.html").read_text("utf-8")
SCRIPT = script(
    "cplab-explorer",
    "screen/unzip",
    "screen/screen",
    "screen/bar",
    "screen/words",
    "screen/labels",
    "buttons/training",
    "explorer/explorer",
)
WINDOW = ("deficit", "onset", "length")  # the fields of a window
WHERES = ("point", "onsets", "lengths")  # to train: a point, or a row or column of the map
UNTRAINED = "No results here yet."
TRAINING = "This point is trained now: its test accuracy grows, a line for each seed."
LAST_EPOCHS = f"accuracy: mean of the last {LAST} epochs"
FEW = 8  # images in a picture of what a network sees
LATE = 24  # the epoch at which a second window begins
PALE = 6  # points: the colours of the map reach at least as far, so that a small harm stays pale


class SecondWindow(TypedDict):
    """The second window on the line of life."""

    deficit: str
    onset: int
    length: int


class State(TypedDict):
    """What is chosen: the first window, and what else there is."""

    deficit: str
    onset: int
    length: int
    recovery: int
    seeds: bool  # whether each seed has a line
    count: int  # seeds to train
    where: str  # which points are trained, one of WHERES
    second: SecondWindow | None


class SeenLook(Look):
    """The look of a deficit, and what a network sees under it in its first epoch."""

    picture: str  # a link


class ExplorerContent(TypedDict):
    """All that explorer.js draws."""

    figures: dict[str, Any]  # and sliders, empty, by name, as Bokeh's JSON
    sliders: dict[str, list[int]]  # the ends of those of the first window, in epochs
    late: int  # the onset of a second window, at first
    second: str  # its colour
    untrained: str  # what is said of a point without results
    training: str  # the same while it is trained
    most: float  # the end of the map's colours, in points
    points: dict[str, Description]  # by `Point.key`
    deficits: list[SeenLook]
    clear: str  # a picture of clear images, as a link
    recoveries: list[int]
    axes: dict[str, list[str]]  # of the map: the onsets and the lengths
    last: int  # epoch at the right end of the line of life
    longest: int  # the most clear epochs of a curve
    source: str
    call: str  # a line of Python, with numbers in the place of the chosen ones
    seed: int  # of that line, where a place has no result
    grey: NotRequired[Band]  # the clear curves, if there are any


class Wanted(NamedTuple):
    """What `train` trains."""

    runs: list[Run]
    controls: list[Run]  # of these runs, those without a result


@cache
def packed_bokeh() -> str:
    """BokehJS of the installed package, with its sliders, compressed, as text."""
    import bokeh  # here, since it takes as long to load as all widgets together

    folder = Path(bokeh.__file__).parent / "server" / "static" / "js"
    parts = [(folder / name).read_bytes() for name in ("bokeh.min.js", "bokeh-widgets.min.js")]
    packed = gzip.compress(b"\n".join(parts), 6, mtime=0)  # equal each time
    return base64.b64encode(packed).decode()


class Explorer:
    """One screen: drag a deficit along a run, and see what it cost.

    `choose` moves to another point, `run` is the chosen one, and `words` describes it. With two
    windows, `runs` are both.

    Arguments:
        profile: the size of the experiment, by default that of `cplab.runs.FLAGSHIP`.
        deficits: to choose from, by name or as functions of your own.
        onset, length: of the first window, in epochs.
        compare: whether a second window stands on the line of life.
        late: the epoch at which that one begins.
        setting: other fields of a Run, such as the model, and the first seed of live runs; the rate
            never changes.

    >>> explorer = Explorer(onset=24)
    >>> explorer.run.onset, explorer.run.model
    (24, 'depth3-16')
    >>> early, late = Explorer(compare=True).runs
    >>> early.onset, late.onset
    (0, 24)
    """

    def __init__(
        self,
        profile: str | None = None,
        deficits: Sequence[str | Callable] = tuple(EXPLORER),
        onset: int = 0,
        length: int = 16,
        *,
        compare: bool = False,
        late: int = LATE,
        **setting: Any,
    ) -> None:
        deficits = as_list(deficits)  # a text has several, apart by spaces
        if not deficits:
            raise CplabError(f"deficits {deficits} are not allowed: give one or more")
        unsupported = setting.keys() & {"deficit", "skipped", "treatments", "windows"}
        if unsupported:
            raise CplabError(
                f"{', '.join(unsupported)} is not allowed in Explorer: its points have one deficit "
                "of `deficits` each, and nothing else"
            )
        fields: dict[str, Any] = {"schedule": "fixed"}
        if profile is None:
            fields |= {"model": FLAGSHIP.model, "recovery": FLAGSHIP.recovery}
        else:
            fields |= {"profile": profile}
        base = Run(**fields | setting)
        self.deficits = tuple(
            base.replace(deficit=deficit, length=1).deficit for deficit in deficits
        )
        self.setting = Setting(base, self.deficits)
        onset = whole("onset", onset, 0, LONGEST)
        length = whole("length", length, 1, LONGEST)
        self.late = whole("late", late, 0, LONGEST)
        second: SecondWindow = {"deficit": self.deficits[0], "onset": self.late, "length": length}
        state: State = {
            "deficit": self.deficits[0],
            "onset": onset,
            "length": length,
            "recovery": base.recovery,
            "seeds": False,
            "count": 3,
            "where": WHERES[0],
            "second": second if compare else None,
        }
        self.link = Link(SCRIPT, state=state)
        self._task = Task(self.link, self._work)
        self.link.observe(self._follow, "state")

    @cached_property
    def content(self) -> ExplorerContent:
        """All that explorer.js needs to show every point."""
        return self._collect_content(self.setting.points())

    @property
    def state(self) -> State:
        """deficit, onset, length, recovery; seeds; count, where to train; second."""
        return cast(State, self.link.state)

    @property
    def points(self) -> list[Point]:
        """The deficit, onset and length of each window."""
        windows = [self.state, self.state["second"]]
        return [
            Point(window["deficit"], window["onset"], window["length"])
            for window in windows
            if window
        ]

    @property
    def point(self) -> Point:
        """The deficit, onset and length of the first window."""
        return self.points[0]

    @property
    def runs(self) -> list[Run]:
        """The windows, as runs."""
        return [self.setting.run_at(point, self.state["recovery"]) for point in self.points]

    @property
    def run(self) -> Run:
        """The first window, as a run."""
        return self.runs[0]

    @property
    def words(self) -> str:
        """The text about the chosen points."""
        said = []
        for point in self.points:
            end = self._end(point)
            said.append(f"{end['head']} ({end['small']})" if end else UNTRAINED)
        return " ".join(said)

    def choose(self, **place: Any) -> None:
        """Move to another point, or change what is shown or trained.

        Arguments: fields of State by name: deficit, onset, length, recovery; seeds, of what is
            shown; count and where, of what `train` trains; second, the window beside the first, as
            a dictionary of what sets it apart from that, or None.
        Raises: CplabError for a value that is not offered.
        """
        for name in place:
            one_of("what is chosen", name, self.state)
        second = place.pop("second", self.state["second"])
        chosen = {**self.state, **self._checked(place)}
        if second is not None:
            check_dict("second", second)
            for name in second:
                one_of("what is chosen of second", name, WINDOW)
            first = {name: chosen[name] for name in WINDOW}
            second = {**first, **(self.state["second"] or {}), **self._checked(second)}
        chosen["second"] = second
        if "where" in place:
            one_of("where", place["where"], WHERES)
        for window in (chosen, second):
            if window:
                point = Point(window["deficit"], window["onset"], window["length"])
                # which refuses a run that is too long
                self.setting.run_at(point, chosen["recovery"])
        self.link.state = chosen

    def _checked(self, place: Mapping[str, Any]) -> dict[str, Any]:
        """Fields of State, of which numbers are whole and a deficit is one of those offered."""
        checked = dict(place)
        for name, value in place.items():
            if name in ("onset", "length", "recovery", "count"):
                lowest = 0 if name == "onset" else 1
                checked[name] = whole(name, value, lowest, LONGEST)
        if "deficit" in place:
            named = self.setting.base.replace(deficit=place["deficit"], length=1).deficit
            checked["deficit"] = one_of("deficit", named, self.deficits)
        return checked

    # Output ---------------------------------------------------------------------------------------

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> Output:
        self._show_cost()
        return self.link.bundle(self.words, self.page(), SCRIPT)

    @property
    def figure(self) -> Figure:
        """The chosen points as a still figure."""
        from cplab import show

        return show.clear_epochs(
            {name_of(point): run for point, run in zip(self.points, self.runs, strict=True)}
        )

    def page(self) -> str:
        """The explorer as HTML, without its script: words, until that comes, and all content."""
        still = f"<p><b>{html.escape(self.words)}</b></p>{as_html(self.figure)}<p>{WHERE}</p>"
        return explorer_element(self.content, self.state, still, self.link.name)

    def page_in_question(self) -> str:
        """The same for a question about the chosen points, in which nothing can be moved. `words`
        and `figure` are the answer, and are not in it."""
        content = self._collect_content(self.points)
        names = " · ".join(name_of(point) for point in self.points)
        return explorer_element(content, self.state, f"<p>{html.escape(names)}</p>")

    # Content --------------------------------------------------------------------------------------

    def _collect_content(self, points: Sequence[Point]) -> ExplorerContent:
        """All that explorer.js needs to show some points, as plain data."""
        from cplab.lab.explorer.figures import figures  # with Bokeh

        setting = self.setting
        base = setting.base
        described = {point.key: describe_point(setting, point) for point in points}
        marked_points = points or self.points  # on the axes of the map
        onsets = sorted({point.onset for point in marked_points})
        lengths = sorted({point.length for point in marked_points})
        recoveries = setting.recoveries()
        ends = [point.end for point in [*marked_points, *self.points]]
        last_onset = max(8, *onsets)
        last_end = max([8, *ends])
        about = [
            f"{len(setting.trained)} runs of {base.profile}",
            estimates.INTERVAL_NOTE,
            LAST_EPOCHS,
        ]
        pictures = thumbnails(base, self.deficits)
        longest = last_onset + recoveries[-1]
        # explorer.js puts the chosen numbers in the place of these
        example = setting.run_at(Point("blur", 1111, 2222), 3333, 4444)
        axes = {"onset": [*map(str, onsets)], "length": [*map(str, lengths)]}
        grey = {seed: curve[:longest] for seed, curve in setting.grey().items()}
        grey_band = pack_band(grey) if grey else None
        accuracy = reach_of_accuracy(described, grey_band)
        content: ExplorerContent = {
            "figures": figures(accuracy, longest, axes, recoveries[-1]),
            "sliders": {"onset": [0, last_onset], "length": [1, max(8, *lengths)]},
            "late": self.late,
            "second": palette.SECOND,
            "untrained": UNTRAINED,
            "training": TRAINING,
            "most": most_harm(described, base.recovery / 2),
            "points": described,
            "deficits": [{**look(name), "picture": pictures[name]} for name in self.deficits],
            "clear": pictures[NEVER.deficit],
            "recoveries": recoveries,
            "axes": axes,
            "last": last_end + recoveries[-1],
            "longest": longest,
            "source": " · ".join(about),
            "call": example.call().replace("'blur'", "'deficit'"),
            "seed": base.seed,
        }
        if grey_band:
            content["grey"] = grey_band
        return content

    def _follow(self, change: object) -> None:
        """Show what training costs, and all content again where a chosen point lies beyond."""
        recovery = self.state["recovery"]
        is_offered = recovery in self.content["recoveries"]
        end = max(point.end for point in self.points) + recovery
        if not is_offered or end > self.content["last"]:
            self.setting.offered.add(recovery)
            self._collect_again()
        self._show_cost()

    def _collect_again(self) -> None:
        """Give the page its content anew."""
        self.content = self._collect_content(self.setting.points())
        self.link.content = json.dumps(self.content)

    def _end(self, point: Point) -> End | None:
        """The description of a point at the end of its recovery, None without results."""
        recovery = self.state["recovery"]
        if not self.setting.results(point, recovery):
            return None
        return describe_end(self.setting, point, recovery)

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

    def wanted(self) -> Wanted:
        """The runs that `train` trains, and their controls that have no result.

        These are the next seeds of the chosen points, or of a row or column of the map. Only the
        points with the fewest seeds get more.
        """
        recovery = self.state["recovery"]
        seeds = {point: self.setting.curves(point, recovery).keys() for point in self._chosen()}
        fewest = min(len(trained) for trained in seeds.values())
        runs: list[Run] = []
        for point, trained in seeds.items():
            if len(trained) > fewest:
                continue
            all_seeds = itertools.count(self.setting.base.seed)
            untrained = (seed for seed in all_seeds if seed not in trained)
            for seed in itertools.islice(untrained, self.state["count"]):
                runs.append(self.setting.run_at(point, recovery, seed))
        controls: dict[Run, None] = {}  # each once, in order
        for run in runs:
            for control in (run.without_window(), run.equal_training()):
                if control.seed not in self.setting.results(NEVER, control.epochs):
                    controls[control] = None
        return Wanted(runs, [*controls])

    def _chosen(self) -> list[Point]:
        """The chosen points, or the first one's row or column of the map."""
        point = self.point
        if self.state["where"] == "point":
            return [*dict.fromkeys(self.points)]
        axes = self.content["axes"]
        if self.state["where"] == "onsets":
            onsets = {*map(int, axes["onset"]), point.onset}
            return [point._replace(onset=onset) for onset in sorted(onsets)]
        lengths = {*map(int, axes["length"]), point.length}
        return [point._replace(length=length) for length in sorted(lengths)]

    def cost(self) -> str:
        """Write how many networks `train` trains, and how long that usually takes."""
        runs, controls = self.wanted()
        count = f"{len(runs)} network{'s' * (len(runs) > 1)}"
        if controls:
            count += f" and {len(controls)} control{'s' * (len(controls) > 1)}"
        time = usual_time([*runs, *controls])
        return f"{count}: {time}" if time else count

    def _show_cost(self) -> None:
        """Show how long training takes, unless something is being trained, or nothing can be."""
        if will_train_here() and not self._task.busy:
            self.link.tell(message=self.cost())

    def _work(self, stop: threading.Event) -> str:
        """Train the next seeds with their controls. Returns the last message."""
        runs, controls = self.wanted()
        everything = [*runs, *controls]
        points = [*dict.fromkeys(Point(run.deficit, run.onset, run.length) for run in runs)]
        cost = self.cost()
        accuracies = Values(runs, "test_accuracy")
        request = Request(everything, stop=stop)

        def tell(now: HowFar) -> None:
            curves = curves_by_point(runs, accuracies)
            self._task.tell(now, points=points, curves=curves, message=f"training {cost}")

        def hear(request: Request, news: News) -> None:
            for trained, new in news:
                if isinstance(new, Result):
                    accuracies.add_result(new)
                    self.setting.add(cast(Run, trained))
                    continue
                for run in runs:
                    if trained == run or are_one_network(cast(Run, trained), run, new):
                        accuracies.add_row(run, new)

        hear(request, [*request.results.items()])
        took = train_requests([request], tell, hear)
        self._collect_again()
        seeds = sorted({run.seed for run in runs})
        named = f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"
        return f"trained {named} in {took}; next, {self.cost()}"


def curves_by_point(runs: Sequence[Run], accuracies: Values) -> dict[str, list[list[float]]]:
    """The accuracy of runs after each epoch, in percent, as far as they are trained, up to their
    first gap: a list for each point."""
    curves: dict[str, list[list[float]]] = {}
    for run in runs:
        epochs, values = accuracies.line(run)
        is_before_a_gap = epochs == np.arange(1, len(epochs) + 1)
        key = Point(run.deficit, run.onset, run.length).key
        curves.setdefault(key, []).append((100 * values[is_before_a_gap]).tolist())
    return curves


def are_one_network(trained: Run, run: Run, row: Mapping[str, Any]) -> bool:
    """Whether both are still without a deficit in the epoch of a row, and so are one network: seeds
    share their clear beginning with other points and with the controls."""
    epoch = row.get("epoch", LONGEST)
    if trained.seed != run.seed or epoch >= min(trained.epochs, run.epochs):
        return False
    return all(not one.length or epoch < one.onset for one in (trained, run))


# Parts ------------------------------------------------------------------------------------------


def explorer_element(content: ExplorerContent, state: State, still: str, link: str = "") -> str:
    """An explorer as HTML.

    Arguments: still, what stands there until its script comes; link, the name of the Link to
        Python. Without one nothing can be moved.
    """
    data = {
        "content": content,
        "state": state,
        "html": MARKUP,
        "version": version("bokeh"),
    }
    text = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")  # for HTML
    return (
        f'<cplab-explorer data-link="{link}">{still}\n'
        f'<script type="application/json">{text}</script>\n'
        f'<script type="text/plain">{packed_bokeh()}</script>\n'
        "</cplab-explorer>\n"
    )


@cache
def thumbnails(base: Run, deficits: tuple[str, ...]) -> dict[str, str]:
    """Draw what a network sees under each deficit, and without one: links of a page, by deficit."""
    dataset = "drawn" if base.dataset == "drawn" else "pictures"  # no photographs
    links = {}
    for name in (NEVER.deficit, *deficits):
        rows, _ = preview(dataset, base.profile, name, count=FEW)
        links[name] = picture_link(rows.get("seen", rows["clear"]))
    return links


def picture_link(images: np.ndarray) -> str:
    """A picture of images (N, H, W, C) as a link of a page."""
    return f"data:image/png;base64,{base64.b64encode(png(images)).decode()}"


def most_harm(points: Mapping[str, Description], shortest: float) -> float:
    """The largest harm in points, on either side of 0.

    Arguments: shortest, the recovery in epochs from which harms count: earlier, accuracy is still
        rising.
    """
    harms = [float(PALE)]
    for point in points.values():
        for recovery, end in point["at"].items():
            if recovery >= shortest and end["harm"]:
                harms.append(abs(end["harm"]["middle"]))
    return max(harms)


def reach_of_accuracy(points: Mapping[str, Description], grey: Band | None) -> tuple[float, float]:
    """The lowest and highest mean accuracy of clear epochs, in percent, with room for a line's name
    above. Under a deficit accuracy may be lower."""
    means = list[int]()  # in thousandths
    if grey:
        means += grey["mean"]
    for key, point in points.items():
        _, onset, length = key.split(",")
        end = int(onset) + int(length)
        for curves in point["bands"]:
            means += curves["mean"][end:]
    return min(means, default=0) / 10, max(means, default=1000) / 10 + 2
