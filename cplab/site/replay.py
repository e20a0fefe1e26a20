"""Widgets, run over all their states: what Python would draw and say, for a page to choose from."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations, product
from math import prod
from typing import Any

import ipywidgets as w
import numpy as np
from bokeh.models import LayoutDOM

from cplab.checks import CplabError
from cplab.lab.live import Job, Live
from cplab.lab.widgets import Fitting, Prediction, Question, Ranking
from cplab.site.plots import Pool, figures
from cplab.site.words import scrollable

MOST_STATES = 6000  # states of a widget that is not the explorer
CHOOSERS = {w.ToggleButtons: "radio", w.RadioButtons: "radio", w.SelectionSlider: "range"}
CHOOSERS |= {w.Dropdown: "select", w.Select: "select"}  # their kinds on the page
NUMBERS = (w.IntSlider, w.FloatSlider)
FIELDS = (w.FloatLogSlider, w.Text, w.IntText, w.FloatText)  # with positions without end
FORMULAS = ("decline", "critical_period", "from_sensitivity")  # of kitten, in page.js too
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
    """A control with a position for each choice; None of another widget, or of too many choices."""
    words = getattr(widget, "description", "") or name
    name = name or re.sub(r"\W+", "-", words).strip("-") or "choice"
    if type(widget) in CHOOSERS:
        labels = list(widget._options_labels)
        values = [str(value) for value in widget._options_values]
        kind, at = CHOOSERS[type(widget)], widget.index

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
    if isinstance(widget, (*CHOOSERS, *NUMBERS, *FIELDS)):
        yield widget
    for child in getattr(widget, "children", ()):
        yield from controls_in(child)


def shown_marks(widget: Any, pool: Pool) -> Iterator[str]:
    """The marks of what a widget shows beside its controls: words, figures, other widgets."""
    if widget.layout.display == "none" or isinstance(widget, w.Play):
        return
    if hasattr(widget, "page"):
        if widget.page.document:  # nobody listens
            widget.page.document.remove_root(widget.page)
        yield from figures(widget.page, pool)
    elif isinstance(widget, w.HTML):
        if widget.value and not widget.value.startswith("<style>"):
            yield words(widget.value, pool)
    elif isinstance(widget, Job):
        yield words(widget.message.value, pool)
        return
    for child in getattr(widget, "children", ()):
        own = hasattr(child, "children") and type(child) not in (w.HBox, w.VBox, w.Box)
        if isinstance(child, tuple(RUNS)) or (own and any(map(control, controls_in(child)))):
            yield pool.put({"widget": replay(child, pool)})
        else:
            yield from shown_marks(child, pool)


def words(text: str, pool: Pool, role: str = "") -> str:
    """The mark of a part that is HTML, free of scripts, with tables that can be scrolled."""
    text = re.sub(r"<(a|button) [^>]*onclick=[^>]*>.*?</\1>", "", text)
    pieces = re.split(r"(?=<div style)", scrollable(text))  # of time lines, which are many
    html = [pool.put(one) for one in pieces] if len(pieces) > 2 else scrollable(text)
    return pool.put({"html": html} | ({"as": role} if role else {}))


def replay(widget: Any, pool: Pool) -> str:
    """The mark of all that a widget, or a figure alone, shows by its states."""
    if isinstance(widget, LayoutDOM):
        return pool.put(moves_of([figures(widget, pool)], []))
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
        return [mark for part in parts for mark in shown_marks(part, pool)]

    begun = [*known]
    while not rows:
        for _ in positions(known):
            kept = [(box, c) for box, c in every if c and c in known]
            changed = [c for box, c in kept if (control(box) or c).labels != c.labels]
            if changed:  # by another control: it has no positions of its own
                known.remove(changed[0])
                rows.clear()
                break
            rows.append(now())
    reset_controls(begun)
    left = [c.words if c else "a field" for _, c in every if c not in known]
    note = f"Here these stay as they are, since they need Python: {', '.join(left)}."
    boxes = [part for box in widget.children for part in getattr(box, "children", ())]
    play = int(any(isinstance(part, w.Play) for part in boxes))
    counted = Counter[str]()
    for one in known:  # names in a link are different ones
        counted[one.name] += 1
        if (count := counted[one.name]) > 1:
            one.name += str(count)
    return moves_of(rows, known, note if left else TRAIN if job else "", play)


def positions(known: Sequence[Control]) -> Iterator[None]:
    """Put some controls into all their positions, one combination after the other."""
    for places in product(*(range(len(one.labels)) for one in known)):
        for one, place in zip(known, places, strict=True):
            one.put(place)
        yield


def reset_controls(known: Sequence[Control]) -> None:
    """Put some controls where they stood at first."""
    for one in known:
        one.put(one.at or 0)


def moves_of(
    rows: Sequence[Sequence[str]], known: Sequence[Control], note: str = "", play: int = 0
) -> dict[str, Any]:
    """States, one a combination of positions, as one table a part of the screen, without the
    controls that change nothing in it."""
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
    controls = [one.plain() for one in known]
    return {"kind": "moves", "note": note, "controls": controls, "play": play, "slots": slots}


def question_mark(one: Question, pool: Pool) -> dict[str, Any]:
    """A question, its answers, and what stands under the cover after each."""
    known = [c for name, box in one.controls.items() if (c := control(box, name))]
    if len(known) < len(one.controls):
        return moves_of([[words(head(one), pool)]], [], "Its answer needs Python.")
    before, views = one.cover.value, []
    one.follow(None)  # what was found is shown to whoever asks
    for _ in positions(known):
        one.reveal.click()
        if not one.revealed:
            raise CplabError(f"the answer of a question fails: {one.cover.value}")
        views.append(int(pool.put(list(shown_marks(one.figure, pool)))[1:]))
    spec = {"kind": "cover", "head": head(one), "cover": before, "button": one.reveal.description}
    plain = [c.plain() | {"at": None} for c in known]
    return spec | {"controls": plain, "views": views}


def head(one: Question) -> str:
    """What stands above the controls of a cover."""
    texts = (part.value for part in one.children if isinstance(part, w.HTML))
    return "".join(text for text in texts if not text.startswith("<style>"))


def prediction_mark(one: Prediction, pool: Pool) -> dict[str, Any]:
    """A prediction: the truth, with places for what was guessed."""
    asked, before = list(one.guesses), one.cover.value
    marks = [1.5 + 3 * i for i in range(len(asked))]  # numbers that are found again
    for bar, mark in zip(one.guesses.values(), marks, strict=True):
        bar.value = mark
    one.reveal.click()
    view = list(shown_marks(one.figure, pool))
    text = one.figure.children[-1].value
    for i, mark in enumerate(marks):
        text = text.replace(f"you {mark:.1f}", f"you {{{i}}}", 1)
    view[-1] = words(text, pool)
    spec = {"kind": "guess", "head": head(one), "cover": before, "button": one.reveal.description}
    return spec | {"asked": asked, "view": view}


def ranking_mark(one: Ranking, pool: Pool) -> dict[str, Any]:
    """An order: what is said and drawn for each."""
    boxes, names, views = list(one.controls.values()), list(one.runs), []
    some = one.cover.value
    boxes[0].value = boxes[1].value = names[0]
    twice = one.cover.value.replace(names[0], "{}")
    boxes[1].value = None
    for order in permutations(names):
        for box, name in zip(boxes, order, strict=True):
            box.value = name
        one.reveal.click()
        views.append(int(pool.put(list(shown_marks(one.figure, pool)))[1:]))
    spec = {"kind": "rank", "cover": some, "twice": twice, "button": one.reveal.description}
    return spec | {"places": list(one.controls), "names": names, "views": views}


def fit_mark(one: Fitting, pool: Pool) -> dict[str, Any]:
    """A curve through points: where the sliders stand at first, and the fit from there."""
    name = getattr(one._function, "__name__", "")
    bars = {
        n: {k: getattr(b, k) for k in ("min", "max", "step", "value")}
        for n, b in one.sliders.items()
    }
    spec: dict[str, Any] = {"kind": "fit", "formula": name if name in FORMULAS else ""}
    spec |= {"first": list(shown_marks(one.children[-1], pool)), "said": one.readout.value}
    spec |= {"sliders": bars, "t": one._t.tolist(), "y": one._y.tolist()}
    spec["line"] = one.sources["curve"].data["t"].tolist()
    one.fit.click()
    spec |= {"fit": list(shown_marks(one.children[-1], pool)), "found": one.readout.value}
    spec["values"] = {n: b.value for n, b in one.sliders.items()}
    for n, bar in one.sliders.items():
        bar.value = bars[n]["value"]
    return spec


RUNS: dict[type, Callable[[Any, Pool], dict[str, Any]]] = {
    Prediction: prediction_mark,
    Ranking: ranking_mark,
    Question: question_mark,
    Fitting: fit_mark,
}
