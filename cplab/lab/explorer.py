"""The explorer: when was a network deprived, of what, for how long, and what did it cost?

Python gives all that is known once, as text (see `cplab.lab.knowledge`), and `explorer.js` beside
this file chooses and draws, in a notebook and on a page alike. What comes back is which point is
looked at, and clicks on Train and Stop.
"""

import base64
import html
import importlib.util
import json
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import traitlets
from bokeh import models
from bokeh.colors import RGB
from bokeh.palettes import RdBu
from bokeh.plotting import figure

from cplab import data, results
from cplab.deficits import canonical_name
from cplab.errors import CplabError, one_of, require, whole
from cplab.lab.knowledge import Setting, band, describe_points, mean_and_half, name_of
from cplab.lab.live import Clock, Task, describe_cost, describe_life
from cplab.lab.surface import Throttle
from cplab.runs import DATASETS, DEVICES, FLAGSHIP, LONGEST, Run
from cplab.show import theme
from cplab.show.pictures import png
from cplab.show.previews import preview
from cplab.show.results import source_note
from cplab.show.surface import MODULE, Kept, Module, as_document
from cplab.show.theme import EQUAL, LIVE, plain_figure, style
from cplab.statistics import percent

HERE = Path(__file__).parent
OFFERED = ("blur", "flip", "permute", "noise")
UNITS = ("points", "clear epochs")
PLACE = ("deficit", "onset", "length", "recovery")
UNTRAINED = "Nobody has trained this yet, so there is nothing to show."
UNTRAINED_MORE = "What was trained stands on the map, and has a tick below the bar."
HATCHED = "hatched: not told from 0"
NO_PYTHON = "Training needs Python: open this in a notebook and run the cell."
NOT_HERE = "Training needs PyTorch and threads, which are not here; all results can be looked at."


class Explorer(Kept, Module):
    """One screen: drag a deficit along a life, and see what it cost.

    Arguments:
        profile: the size of the experiment; without one it is `cplab.runs.FLAGSHIP`.
        deficits: those to choose from, by name or as functions of your own.
        onset, length: where to begin; the first of the deficits.
        device: of live runs.
        setting: other fields of a Run, such as model, dataset, schedule and the seed of live
            runs. The schedule `paper` is refused: no clear life is the control of its windows.

    `choose` moves, `run` is the chosen point, `words` what is said of it; `train`, `stop` and
    `wait` are for live runs.

    >>> explorer = Explorer(onset=24)
    >>> explorer.run.onset, explorer.run.model
    (24, 'depth3-16')
    """

    # as text: anywidget would keep every widget that has its module as a path
    _esm = MODULE + (HERE / "explorer.js").read_text("utf-8")
    _css = (HERE / "explorer.css").read_text("utf-8")
    alive = ("knowledge", "place", "live", "version")  # all that the page needs without Python
    knowledge = traitlets.Unicode().tag(sync=True)
    place = traitlets.Dict().tag(sync=True)
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
        one_of("device", device.partition(":")[0], DEVICES)
        require(len(deficits), f"deficits {deficits} are not allowed: give one or more")
        for name in setting.keys() & {"deficit", "skipped", "treatments", "windows"}:
            raise CplabError(
                f"{name} is not allowed in Explorer: its points have one deficit of "
                "`deficits` each, and nothing else"
            )
        given = FLAGSHIP_FIELDS if profile is None else {"profile": profile}
        like = Run(**given | setting)
        self.device, self.setting = device, Setting(like)
        self.deficits = tuple(canonical_name(one) for one in deficits)
        self._begin = (self.deficits[0], whole("onset", onset, 0), whole("length", length, 1))
        begin = {"deficit": self.deficits[0], "onset": onset, "length": length}
        begin |= {"recovery": like.recovery, "unit": UNITS[0], "seeds": False}
        super().__init__(
            knowledge=json.dumps(self._know(), separators=(",", ":"), allow_nan=False),
            place=begin,
        )
        self.choose(onset=onset, length=length)
        self._task = Task(self._work, self._tell)
        self.observe(self._say_cost, "place")
        self.observe(lambda change: self.keep_soon(1), "place")
        self._say_cost()

    @property
    def run(self) -> Run:
        """The chosen point, as a run."""
        point = (self.place["deficit"], self.place["onset"], self.place["length"])
        return self.setting.run_at(point, self.place["recovery"])

    @property
    def words(self) -> str:
        """What is said of the chosen point."""
        end = self._end()
        return f"{end['head']} ({end['small']})" if end else UNTRAINED

    def seen(self) -> list:
        """What is said of the chosen point, and the large figure, for who has no Python."""
        return [html.escape(self.words), still_life(self.setting, self.run)]

    def choose(self, **place: Any) -> None:
        """Move to another point. Arguments: deficit, onset, length, recovery, unit, seeds."""
        for name, value in place.items():
            one_of("what is chosen", name, (*PLACE, "unit", "seeds"))
            if name in PLACE[1:]:
                place[name] = whole(name, value, 1 if name == "length" else 0, LONGEST)
        if "deficit" in place:
            named = canonical_name(place["deficit"])
            place["deficit"] = one_of("deficit", named, self.deficits)
        one_of("unit", place.get("unit", UNITS[0]), UNITS)
        self.place = {**self.place, **place}
        self.keep()

    # What is known --------------------------------------------------------------------------------

    def _know(self) -> dict[str, Any]:
        """All that explorer.js needs, as plain data."""
        setting, like = self.setting, self.setting.like
        known = self._known = describe_points(setting, self.deficits)
        clear, pictures = thumbnails(like, self.deficits)
        points = [point for point in setting.points() if point[0] in self.deficits]
        points = points or [self._begin]
        axes = {name: sorted({p[i] for p in points}) for i, name in ((1, "onset"), (2, "length"))}
        ends = [onset + length for _, onset, length in (*points, self._begin)]
        found: dict[str, Any] = {
            "points": known,
            "deficits": [look(name, pictures.get(name, clear)) for name in self.deficits],
            "clear": clear,
            "clearName": "clear from birth on",
            "recoveries": setting.recoveries(),
            "units": UNITS if setting.fixed else UNITS[:1],
            "axes": {name: [*map(str, values)] for name, values in axes.items()},
            "last": max([8, *ends]) + setting.recoveries()[-1],
            "longest": max([8, *(onset for _, onset, _ in points)]) + setting.recoveries()[-1],
            "untrained": UNTRAINED,
            "untrainedMore": UNTRAINED_MORE,
            "noPython": NO_PYTHON,
            "source": source_note(setting.table),
            "hatched": HATCHED,
            "call": like_call(like),
        }
        if setting.fixed and setting.grey():
            found["grey"] = band({s: c[: found["longest"]] for s, c in setting.grey().items()})
        found |= reaches(known) | {"accuracy": reach_of_accuracy(known, found.get("grey"))}
        figures = life_figure(found), ages_figure(found), map_figure(found)
        return found | {"figures": [as_document(one) for one in figures]}

    def _end(self) -> dict[str, Any] | None:
        place = self.place
        point = self._known.get(f"{place['deficit']},{place['onset']},{place['length']}")
        return point and point["at"].get(place["recovery"])

    # Training -------------------------------------------------------------------------------------

    def train(self) -> None:
        """Train the chosen point, and after it those of its controls that nobody trained."""
        self._task.start()

    def stop(self) -> None:
        """Stop training; it goes on from there when it is asked for again."""
        self._task.stop()

    def wait(self, seconds: float) -> bool:
        """Wait for training to end; False if it has not by then."""
        return self._task.wait(seconds)

    def _hear(self, widget: Any, content: dict, buffers: Any) -> None:
        super()._hear(widget, content, buffers)
        if "hello" in content:
            able = sys.platform != "emscripten" and importlib.util.find_spec("torch")
            self.send({"alive": True, "why": "" if able else NOT_HERE})
        elif "train" in content:
            self.train()
        elif "stop" in content:
            self.stop()
        elif "wait" in content:  # Colab's page hears Python only while Python answers it
            self._task.wait(0.25)
            self.send_state("live")

    def _controls(self, run: Run) -> list[Run]:
        """The controls of a run that no result and no longer life stands for."""
        wanted = [run.without_window(), run.equal_training()]
        clear = self.setting.clear
        return [c for c in wanted if run.seed not in clear(c.onset, c.recovery)]

    def _say_cost(self, change: Any = None) -> None:
        if not self._task.busy:
            todo = [self.run, *self._controls(self.run)]
            more = "" if len(todo) == 1 else " with its controls"
            self.live = {"message": f"live{more}: {describe_cost(todo)}"}

    def _tell(self, message: str, error: bool = False) -> None:
        self.live = {**self.live, "message": message, "busy": self._task.busy, "error": error}

    def _work(self, stop: Any) -> str:
        run, known = self.run, self._end()
        controls = self._controls(run)
        base = {"busy": True, "point": [run.deficit, run.onset, run.length]}
        base |= {"colab": "google.colab" in sys.modules}
        grown: dict[int, float] = {}
        epochs = run.epochs + sum(c.epochs for c in controls)
        clock = Clock(None, epochs, results.estimate([run, *controls]))

        def draw() -> None:
            accuracy = [100 * grown[epoch] for epoch in sorted(grown)]
            self.live = {**base, "accuracy": accuracy, **clock.state()}

        throttle = Throttle(draw)
        clock.message = f"begins: {describe_cost([run, *controls])}"

        def report(of: Run, row: dict) -> None:
            clock(of, row)
            if of == run and "epoch" in row:
                grown[row["epoch"]] = row["test_accuracy"]
            throttle()

        how: dict[str, Any] = {"device": self.device, "workers": 1, "stop": stop, "report": report}
        draw()
        # a point that was untrained when it was chosen may have been trained elsewhere by now
        point = (run.deficit, run.onset, run.length)
        fresh = known is not None and run.seed in self.setting.curves(point, run.recovery)
        [(_, found)] = results.collect([run], fresh=fresh, **how)
        grown.update(enumerate(found.series("test_accuracy")))
        for control in controls:
            list(results.collect([control], **how))
        for one in (run, *controls):
            self.setting.add(one)
        self.knowledge = json.dumps(self._know(), separators=(",", ":"), allow_nan=False)
        throttle(last=True)
        where = "" if self.run == run else f", of {describe_life(run)}"
        return f"live, seed {run.seed}: {percent(found.accuracy)} %{where}"


FLAGSHIP_FIELDS = {name: getattr(FLAGSHIP, name) for name in ("model", "schedule", "recovery")}


# Parts ------------------------------------------------------------------------------------------


def like_call(like: Run) -> str:
    """The line of Python of a run, with marks for deficit, onset, length and recovery."""
    from dataclasses import replace

    marked = replace(like, deficit="blur", onset=1111, length=2222, recovery=3333)
    return marked.call().replace("'blur'", "'deficit'")


def look(name: str, picture: str) -> dict[str, Any]:
    """How a deficit looks: `day` and `night` are its colour, and that of text on it."""
    own = style(name)
    day = RGB.from_hex_string(own.colour)
    night = RGB(*(round(part + 0.4 * (255 - part)) for part in (day.r, day.g, day.b)))
    words = {"name": name, "label": own.label, "dash": own.dash, "marker": own.marker}
    return words | {"day": with_ink(day), "night": with_ink(night), "picture": picture}


def with_ink(hue: RGB) -> list[str]:
    """A colour, and black or white, whichever can be read on it."""
    return [hue.to_hex().upper(), "#000000" if hue.luminance > 0.18 else "#FFFFFF"]


@cache
def thumbnails(like: Run, deficits: tuple[str, ...]) -> tuple[str, dict[str, str]]:
    """Small pictures of what a network sees, clear and under each deficit, as links of a page."""
    clear, seen = "", {}
    for name in deficits:
        rows, _ = preview("drawn", like.profile, name, count=8)  # no photographs are saved
        clear = picture_link(rows["clear"])
        seen[name] = picture_link(rows.get("seen", rows["clear"]))
    return clear, seen


def picture_link(images: np.ndarray) -> str:
    return f"data:image/png;base64,{base64.b64encode(png(images, 1)).decode()}"


def reaches(known: dict[str, dict]) -> dict[str, Any]:
    """Where the axes of harm and of accuracy end, which stay while one moves."""
    ends = [
        end
        for point in known.values()
        for recovery, end in point["at"].items()
        if end["harm"] and recovery >= 15  # before that lives are still on their way up
    ]
    harm = [end["harm"][0] for end in ends] or [0.0]
    back = [end["back"][0] for end in ends if end["back"][0] is not None] or [0.0]
    room = [
        [min(0, *one) - 0.12 * np.ptp([0, *one]) - 0.5, max(1, *one) + 0.15 * np.ptp([0, *one])]
        for one in (harm, back)
    ]
    most = [max(limit, *np.abs(one)) for limit, one in ((6, harm), (30, back))]
    return {"reach": [[float(x) for x in one] for one in room], "most": [float(x) for x in most]}


def reach_of_accuracy(known: dict[str, dict], grey: dict | None) -> list[float]:
    """The lowest and the highest mean accuracy of all clear epochs but the first, in percent. Under
    a deficit it may be lower."""
    means = list((grey or {}).get("mean", ()))
    for key, point in known.items():
        _, onset, length = key.split(",")
        for one in point["bands"]:
            means += one["mean"][: int(onset)] + one["mean"][int(onset) + int(length) :]
            means += one.get("clear", {}).get("mean", [])
    return [min(means, default=0) / 10, max(means, default=1000) / 10]


# Figures, which explorer.js fills ---------------------------------------------------------------


def empty_figure(x: str, y: str, **options: Any) -> figure:
    fig = plain_figure("", x, y, sizing_mode="stretch_both", min_width=200, **options)
    fig.background_fill_alpha = fig.border_fill_alpha = 0
    fig.min_border = 4
    return fig


def add(fig: figure, kind: str, source: str, hue: str, at: str, **options: Any) -> None:
    """A glyph of the source of this name. Arguments: hue, what has its colour: `own`, `clear`,
    `ink`, a deficit, or nothing; at, the columns that say where; options, of these a text that
    begins with @ names a column."""
    there = {r.data_source.name: r.data_source for r in fig.renderers}
    data_source = there.get(source) or models.ColumnDataSource(name=source)
    fields = [v[1:] for v in options.values() if isinstance(v, str) and v.startswith("@")]
    options = {n: v[1:] if v in [f"@{f}" for f in fields] else v for n, v in options.items()}
    for column in (*at.split(), *fields, *options.pop("more", ())):
        data_source.data.setdefault(column, [])
    getattr(fig, kind)(*at.split(), source=data_source, name=hue, **options)


def life_figure(found: dict[str, Any]) -> figure:
    """Test accuracy against clear epochs seen: the clear life, this one, its dip, and its harm."""
    low, high = found["accuracy"]
    reach = models.Range1d(low - 3, high + 4)
    across = models.Range1d(-1, 1.16 * found["longest"])
    fig = empty_figure("clear epochs seen", "test accuracy, %", x_range=across, y_range=reach)
    for source, hue in (("grey", "clear"), ("own", "own")):
        add(fig, "varea", source, hue, "x low high", fill_alpha=0.2)
        add(fig, "multi_line", f"{source} seeds", hue, "xs ys", line_alpha=0.5)
        add(fig, "line", source, hue, "x mean", line_width=2.5)
    add(fig, "line", "dip", "own", "x mean", line_width=1.5, line_dash="dotted")
    add(fig, "scatter", "dip", "own", "x mean", size=3)
    add(fig, "line", "live", "", "x mean", line_width=2, color=LIVE.colour)
    add(fig, "scatter", "live", "", "x mean", size=7, marker=LIVE.marker, color=LIVE.colour)
    add(fig, "segment", "bracket", "ink", "x0 y0 x1 y1", line_width=2.5)
    at: dict[str, Any] = {"text_baseline": "top", "text_align": "@align"}
    big = {"text_font_size": "15px", "text_font_style": "bold", "y_offset": 5}
    small = {"text_font_size": "12px", "y_offset": 24}
    add(fig, "text", "tag", "ink", "x y text", **at, **big)
    add(fig, "text", "name", "own", "x y text", **at, **small)
    above: dict[str, Any] = {"text_align": "@align", "text_baseline": "bottom", "y_offset": -3}
    add(fig, "text", "greyName", "clear", "x y text", text_font_size="12px", **above)
    beside: dict[str, Any] = {"x_offset": 5, "y_offset": -3, "text_font_size": "12px"}
    add(fig, "text", "below", "own", "x y text", **beside)
    return fig


def ages_figure(found: dict[str, Any]) -> figure:
    """Harm by onset, one line a deficit."""
    last = max([8, *map(int, found["axes"]["onset"])])
    reach = models.Range1d(-0.04 * last, 1.32 * last)
    fig = empty_figure("onset", "harm", x_range=reach, y_range=models.Range1d(0, 1))
    fig.add_layout(models.Span(dimension="width", location=0, line_color="#888888"))
    for own in found["deficits"]:
        source, name = f"ages {own['name']}", own["name"]
        add(fig, "segment", source, name, "x low x high")
        add(fig, "line", source, name, "x y", line_dash=own["dash"])
        look = {"size": 8, "marker": own["marker"], "fill_color": "@fill"}
        add(fig, "scatter", source, name, "x y", **look)
    add(fig, "scatter", "here", "ink", "x y", size=16, fill_alpha=0, line_width=2)
    words: dict[str, Any] = {"text_font_size": "12px", "text_baseline": "middle", "x_offset": 9}
    add(fig, "text", "names", "names", "x y text", text_color="@hue", **words)
    return fig


def map_figure(found: dict[str, Any]) -> figure:
    """Harm by onset and length; hollow where it is not told from zero."""
    across, up = (models.FactorRange(*found["axes"][name]) for name in ("onset", "length"))
    fig = empty_figure("onset", "length", x_range=across, y_range=up)
    fig.grid.visible = False
    hue = models.LinearColorMapper(palette=RdBu[11], low=-1, high=1)
    cell: dict[str, Any] = {"width": 0.94, "height": 0.9}
    filled = {"fill_color": {"field": "value", "transform": hue}, "fill_alpha": "@alpha"}
    more: dict[str, Any] = {"line_color": "#888888", "hatch_pattern": "/", "hatch_color": "#888888"}
    more |= {"hatch_alpha": "@hatch", "hatch_scale": 16, "more": ["value"]}
    add(fig, "rect", "cells", "", "onset length", **cell, **filled, **more)
    words = {"text_align": "center", "text_baseline": "middle", "text_font_size": "13px"}
    add(fig, "text", "cells", "", "onset length text", text_color="@hue", **words)
    add(fig, "rect", "mark", "ink", "onset length", **cell, fill_alpha=0, line_width=3)
    return fig


def still_life(setting: Setting, run: Run) -> figure:
    """The large figure at one point, drawn by Python."""
    title = "Test accuracy against clear epochs seen"
    fig = plain_figure(title, "clear epochs seen", "test accuracy, %", width=640, height=360)
    point = (run.deficit, run.onset, run.length)
    clear = setting.grey() if setting.fixed else setting.clear(run.onset, run.recovery)
    lives = [(clear, 0, EQUAL, "clear from birth on")]
    lives += [(setting.curves(point, run.recovery), run.end, style(run.deficit), name_of(point))]
    for curves, begin, look, words in lives if run.length else lives[:1]:
        mean, half = (values[begin:] for values in mean_and_half(curves))
        x = np.arange(1, len(mean) + 1) + (run.onset if begin else 0)
        columns = {"x": x, "mean": mean, "low": mean - half, "high": mean + half}
        if len(mean):
            theme.band(fig, models.ColumnDataSource(columns), "x", look, words)
    return theme.place_legend(fig)


# Beside the explorer ----------------------------------------------------------------------------


def pictures(dataset: str, profile: str) -> data.Images:
    """Images to look at: of the data set if it is at hand, else practice images (their name says
    so), since nobody wants to wait for a download to see a picture.

    >>> pictures("cifar10", "ci").train_x.shape
    torch.Size([512, 8, 8, 3])
    """
    one_of("dataset", dataset, DATASETS)
    return data.images(dataset if data.is_here(dataset) else "practice", profile)
