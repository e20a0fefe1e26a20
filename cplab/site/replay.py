"""Widgets, run over all their states: what Python would have drawn and said in each, for a page
that only chooses among it."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations, product
from math import prod
from typing import Any

import ipywidgets as w
import numpy as np

from cplab.checks import CplabError
from cplab.lab.explorer import OFFERED, Explorer
from cplab.lab.live import Job, Live
from cplab.lab.points import Points
from cplab.lab.widgets import Covered, Fitting, Prediction, Ranking
from cplab.runs import Run
from cplab.site.plots import Pool, figures
from cplab.site.words import scrolled

MOST_STATES = 6000  # states of a widget that is not the explorer
RADIO, SELECT = (w.ToggleButtons, w.RadioButtons), (w.Dropdown, w.Select)
NUMBERS = (w.IntSlider, w.FloatSlider)
FIELDS = (w.FloatLogSlider, w.Text, w.IntText, w.FloatText)  # with positions without end
FORMULAS = ("decline", "critical_period", "from_sensitivity")  # of cplab.animals, in page.js too
TRAIN = "Training needs Python."
EXPLORED = ("deficit", "onset", "length", "recovery", "clock")


@dataclass(eq=False)
class Control:
    """What one chooses with: its name in a link, words, kind, and the words of each position."""

    name: str
    words: str
    kind: str
    labels: list[str]
    values: list[str]
    at: int | None
    put: Callable[[int], None]
    quiet: bool = False  # its position says nothing to a reader

    def plain(self) -> dict[str, Any]:
        names = ("name", "words", "kind", "labels", "values", "at", "quiet")
        return {name: getattr(self, name) for name in names}


def control(widget: Any, name: str = "") -> Control | None:
    """A control with a position for each thing to choose, or None where it is none, or has too many
    positions to run through."""
    words = getattr(widget, "description", "") or name
    name = name or re.sub(r"\W+", "-", words).strip("-") or "choice"
    if isinstance(widget, (*RADIO, *SELECT, w.SelectionSlider)):
        given = widget.options
        pairs = list(given.items()) if hasattr(given, "items") else list(given)
        labels = [str(p[0] if isinstance(p, tuple) else p) for p in pairs]
        values = [str(p[1] if isinstance(p, tuple) else p) for p in pairs]
        kind = "radio" if isinstance(widget, RADIO) else "range"
        kind = "select" if isinstance(widget, SELECT) else kind
        at = widget.index

        def put(i: int) -> None:
            widget.index = min(i, len(widget.options) - 1)

    elif isinstance(widget, NUMBERS) and (widget.max - widget.min) / widget.step <= 200:
        count = round((widget.max - widget.min) / widget.step) + 1
        places = [widget.min + i * widget.step for i in range(count)]
        labels = values = [f"{place:g}" for place in places]
        kind, at = "range", int(np.abs(np.subtract(places, widget.value)).argmin())

        def put(i: int) -> None:
            widget.value = places[i]

    else:
        return None
    quiet = isinstance(widget, NUMBERS) and not widget.readout
    return Control(name, words or "choose", kind, labels, values, at, put, quiet)


def controls_in(widget: Any) -> Iterator[Any]:
    """The widgets in a box that one moves."""
    if widget.layout.display == "none" or isinstance(widget, w.Play | w.Button | w.BoundedIntText):
        return
    if isinstance(widget, (*RADIO, *SELECT, *NUMBERS, *FIELDS, w.SelectionSlider)):
        yield widget
    for child in getattr(widget, "children", ()):
        yield from controls_in(child)


def seen(widget: Any, pool: Pool) -> Iterator[str]:
    """The marks of what a widget shows beside its controls: words, figures, other widgets."""
    if widget.layout.display == "none" or isinstance(widget, w.Play):
        return
    if hasattr(widget, "page"):
        if widget.page.document:  # nobody listens
            widget.page.document.remove_root(widget.page)
        yield from (pool.put({"fig": mark}) for mark in figures(widget.page, pool))
    elif isinstance(widget, w.HTML):
        if widget.value and not widget.value.startswith("<style>"):
            yield words(widget.value, pool)
    elif isinstance(widget, Job):
        yield words(widget.said.value, pool)
    for child in getattr(widget, "children", ()) if not isinstance(widget, Job) else ():
        plain = type(child) in (w.HBox, w.VBox, w.Box)
        if isinstance(child, tuple(RUNS)) or (
            not plain and any(map(control, controls_in(child))) and hasattr(child, "children")
        ):
            yield pool.put({"widget": replay(child, pool)})
        else:
            yield from seen(child, pool)


def words(text: str, pool: Pool, role: str = "") -> str:
    """The mark of a part that is HTML, free of scripts, with tables that can be scrolled."""
    text = re.sub(r"<(a|button) [^>]*onclick=[^>]*>.*?</\1>", "", text)
    pieces = re.split(r"(?=<div style)", scrolled(text))  # of time lines, which are many
    html = [pool.put(one) for one in pieces] if len(pieces) > 2 else scrolled(text)
    return pool.put({"html": html} | ({"as": role} if role else {}))


def replay(widget: Any, pool: Pool) -> str:
    """The mark of all that a widget shows, by its states."""
    for kind, run in RUNS.items():
        if isinstance(widget, kind):
            return pool.put(run(widget, pool))
    return pool.put(moves(widget, pool))


def moves(widget: Any, pool: Pool) -> dict[str, Any]:
    """Any widget, over the positions of its controls: of the first ones, as many as have few enough
    positions together; the others stay where they are, and so it is said."""
    every = [(one, control(one)) for one in controls_in(widget)]
    known: list[Control] = []
    for _, one in every:
        if one and prod(len(c.labels) for c in [*known, one]) <= MOST_STATES:
            known.append(one)
    job, rows = getattr(widget, "job", None), list[list[str]]()

    def now() -> list[str]:
        parts = [part for part in widget.children if not (part is job and isinstance(widget, Live))]
        return [mark for part in parts for mark in seen(part, pool)]

    begun = [(one, one.at or 0) for one in known]
    while not rows:
        for places in product(*(range(len(one.labels)) for one in known)):
            for one, place in zip(known, places, strict=True):
                one.put(place)
            held = [(box, c) for box, c in every if c and c in known]
            changed = [c for box, c in held if (control(box) or c).labels != c.labels]
            if changed:  # by another control: it has no positions of its own
                known.remove(changed[0])
                rows.clear()
                break
            rows.append(now())
    for one, place in begun:
        one.put(place)
    left = [c.words if c else "a field" for _, c in every if c not in known]
    note = (
        f"Here these stay as they are, since they need Python: {', '.join(left)}." if left else ""
    )
    boxes = [part for box in widget.children for part in getattr(box, "children", ())]
    play = int(any(isinstance(part, w.Play) for part in boxes))
    plain, counted = [], dict[str, int]()
    for one in known:  # names in a link are different ones
        count = counted[one.name] = counted.get(one.name, 0) + 1
        plain.append(one.plain() | {"name": f"{one.name}{count}" if count > 1 else one.name})
    spec = {"kind": "moves", "note": note or (TRAIN if job else ""), "controls": plain}
    return spec | {"play": play} | by_slot(rows, known)


def moves_of(rows: Sequence[Sequence[str]]) -> dict[str, Any]:
    """What only stands there, such as a figure."""
    return {"kind": "moves", "note": "", "controls": [], "play": 0} | by_slot(rows, [])


def by_slot(rows: Sequence[Sequence[str]], known: Sequence[Control]) -> dict[str, Any]:
    """States as one table a part of the screen, without the controls that change nothing in it."""
    sizes = [len(one.labels) for one in known]
    longest = max(map(len, rows))
    numbers = [[int(mark[1:]) for mark in row] + [-1] * (longest - len(row)) for row in rows]
    slots = []
    for column in np.array(numbers, int).reshape(len(rows), longest).T:
        block = column.reshape(sizes)
        for axis in range(len(sizes)):
            first = block.take([0], axis)
            block = first if (block == first).all() else block
        slots.append({"shape": [*block.shape], "at": block.ravel().tolist()})
    return {"slots": slots}


def explorer(one: Explorer, pool: Pool) -> dict[str, Any]:
    """The explorer at every position of its sliders."""
    shown = [n for n in EXPLORED if getattr(one, n).layout.display != "none"]
    known = [c for name in shown if (c := control(getattr(one, name), name))]
    what, drawn, rows = control(one.what, "what"), Drawn(one, pool), []
    assert what
    for c in known:
        c.quiet = False  # a number stands beside it
    what.labels, what.words = [label.removeprefix("map: ") for label in what.labels], "map"
    begun = [c.at or 0 for c in known]
    known[1].put(len(known[1].labels) - 1)  # so that the first point is drawn as well
    for places in product(*(range(len(c.labels)) for c in known)):
        for c, place in zip(known, places, strict=True):
            c.put(place)
        texts = ((one.phases, "phases"), (one.picture, "picture"), (one.readout, "readout"))
        said = [words(box.value, pool, role) for box, role in texts]
        below = [words(one.status.value, pool, "status"), words(one.code.value, pool, "code")]
        rows += [[*said, *figs, *below] for figs in drawn.now]
    drawn.end()
    for c, place in zip(known, begun, strict=True):
        c.put(place)
    every = [*known, what]
    spec = {
        "kind": "moves",
        "note": TRAIN,
        "call": f"cplab.Explorer({arguments(one)}at='…')",
        "play": 0,
    }
    return spec | {"controls": [c.plain() for c in every]} | by_slot(rows, every)


class Drawn:
    """What an explorer draws, with each of its maps: once for all points that look alike.

    A point that nobody trained shows its neighbour's figures; of itself there is only its onset,
    where that stands on an axis. `now` has the marks of the figures of the last point.
    """

    def __init__(self, one: Explorer, pool: Pool) -> None:
        self.plots, self.pool, self.maps = one.plots, pool, [value for _, value in one.what.options]
        self.known: dict[Any, list[list[str]]] = {}
        self._show = one.plots.show
        one.job.busy = True  # nobody asks what training would cost
        if one.plots.panels.document:
            one.plots.panels.document.remove_root(one.plots.panels)  # nobody listens
        one.plots.show = self.show  # type: ignore[method-assign]
        self._one = one

    def show(
        self, points: Points, run: Run, deficit: str, shown: Run | None, what: str = "harm"
    ) -> None:
        onset = run.onset if run.onset in points.tried("onset") else None
        like = run if run in points or shown is None else onset
        key = points.like.recovery, points.clock, deficit, shown, like
        if key not in self.known:
            self.known[key] = []
            for name in self.maps:
                self._show(points, run, deficit, shown, name)
                marks = figures(self.plots.panels, self.pool)
                self.known[key].append([self.pool.put({"fig": mark}) for mark in marks])
        self.now = self.known[key]

    def end(self) -> None:
        """Let the explorer draw again as it did."""
        self.plots.show, self._one.job.busy = self._show, False  # type: ignore[method-assign]


def asked_of(one: Explorer) -> dict[str, Any]:
    """What an explorer was asked for beside its point, where that is not the usual."""
    like, usual = one.points.like, Run(profile=one.points.like.profile)
    names = ("dataset", "model", "schedule")
    said = {n: getattr(like, n) for n in names if getattr(like, n) != getattr(usual, n)}
    said |= {"profile": like.profile} if like.profile != Run().profile else {}
    deficits = tuple(value for _, value in one.deficit.options)
    return said | ({"deficits": deficits} if deficits != OFFERED else {})


def arguments(one: Explorer) -> str:
    """The same as arguments; a deficit of one's own cannot be called by its name."""
    said = {k: v for k, v in asked_of(one).items() if "@" not in str(v)}
    return "".join(f"{name}={value!r}, " for name, value in said.items())


def name_of(one: Explorer) -> str:
    """`explorer`, and what is not usual: for links and files."""
    said = [re.sub(r"@\w+|[()']", "", str(value)) for value in asked_of(one).values()]
    return re.sub(r"\W+", "-", " ".join(["explorer", *said])).strip("-")


def covered(one: Covered, pool: Pool) -> dict[str, Any]:
    """A question, its answers, and what stands under the cover after each."""
    known = [c for name, box in one.controls.items() if (c := control(box, name))]
    if len(known) < len(one.controls):
        return moves_of([[words(head(one), pool)]]) | {"note": "Its answer needs Python."}
    before, views = one.cover.value, []
    for places in product(*(range(len(c.labels)) for c in known)):
        for c, place in zip(known, places, strict=True):
            c.put(place)
        one.reveal.click()
        if not one.revealed:
            raise CplabError(f"the answer of a question fails: {one.cover.value}")
        views.append(int(pool.put(list(seen(one.figure, pool)))[1:]))
    spec = {"kind": "cover", "head": head(one), "cover": before, "button": one.reveal.description}
    plain = [c.plain() | {"at": None} for c in known]
    return spec | {"controls": plain, "views": views}


def head(one: Covered) -> str:
    """What stands above the controls of a cover."""
    texts = (part.value for part in one.children if isinstance(part, w.HTML))
    return "".join(text for text in texts if not text.startswith("<style>"))


def guessed(one: Prediction, pool: Pool) -> dict[str, Any]:
    """A prediction: the truth, with places for what was guessed."""
    asked, before = list(one.guesses), one.cover.value
    marks = [1.5 + 3 * i for i in range(len(asked))]  # numbers that are found again
    for bar, mark in zip(one.guesses.values(), marks, strict=True):
        bar.value = mark
    one.reveal.click()
    view = list(seen(one.figure, pool))
    said = one.figure.children[-1].value
    for i, mark in enumerate(marks):
        said = said.replace(f"you {mark:.1f}", f"you {{{i}}}", 1)
    view[-1] = words(said, pool)
    spec = {"kind": "guess", "head": head(one), "cover": before, "button": one.reveal.description}
    return spec | {"asked": asked, "view": view}


def ranked(one: Ranking, pool: Pool) -> dict[str, Any]:
    """An order: what is said and drawn for each."""
    boxes, names = list(one.controls.values()), list(one.runs)
    some = one.cover.value
    boxes[0].value = boxes[1].value = names[0]
    twice = one.cover.value.replace(names[0], "{}")
    boxes[1].value = None
    views = []
    for order in permutations(names):
        for box, name in zip(boxes, order, strict=True):
            box.value = name
        one.reveal.click()
        views.append(int(pool.put(list(seen(one.figure, pool)))[1:]))
    spec = {"kind": "rank", "cover": some, "twice": twice, "button": one.reveal.description}
    return spec | {"places": list(one.controls), "names": names, "views": views}


def fitted(one: Fitting, pool: Pool) -> dict[str, Any]:
    """A curve through points: where the sliders stand at first, and the fit from there."""
    name = getattr(one._function, "__name__", "")
    bars = {
        n: {k: getattr(b, k) for k in ("min", "max", "step", "value")}
        for n, b in one.sliders.items()
    }
    first = list(seen(one.children[-1], pool))
    said = one.readout.value
    spec = {
        "kind": "fit",
        "formula": name if name in FORMULAS else "",
        "first": first,
        "said": said,
    }
    spec |= {"sliders": bars, "t": one._t.tolist(), "y": one._y.tolist()}
    spec["line"] = list(map(float, one.sources["curve"].data["t"]))
    one.fit.click()
    spec |= {"fit": list(seen(one.children[-1], pool)), "found": one.readout.value}
    spec["values"] = {n: b.value for n, b in one.sliders.items()}
    for n, bar in one.sliders.items():
        bar.value = bars[n]["value"]
    return spec


RUNS: dict[type, Callable[[Any, Pool], dict[str, Any]]] = {
    Explorer: explorer,
    Prediction: guessed,
    Ranking: ranked,
    Covered: covered,
    Fitting: fitted,
}
