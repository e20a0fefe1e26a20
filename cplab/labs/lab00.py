"""Lab 00: a critical period in ten seconds, in small networks that learn digits by heart.

All runs are of the profile `tiny`. Harm is in points of test accuracy, after the clear epochs that
follow a deficit. It compares a network with its twin, which is the run without the window.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from cplab import lab, show
from cplab.estimates import Estimate, compare, estimate
from cplab.lab.jobs import trains_here
from cplab.moved import say_where_names_went
from cplab.output import as_html
from cplab.quantities import each_result, harm
from cplab.runs import Run
from cplab.show import Figure
from cplab.styles import age

OWN = "own_images_right"
SEEDS = range(100, 120)  # a student's own; others come with the lab
CHANGES: dict[str, dict[str, Any]] = {
    "100 digits": {"images": 100},
    "1,000": {"images": 1000},
    "1 layer": {"model": "mlp1"},
    "3 layers": {"model": "mlp3"},
    "init ÷ 3": {"model": "mlp2_tenth"},
    "init × 3": {"model": "mlp2_he"},
    "rate ÷ 3": {"rate": 0.3},
    "rate × 3": {"rate": 3.0},
    "2 × 2": {"deficit": "mosaic-2"},
    "4 × 4": {"deficit": "mosaic-4"},
}


def childhood(deficit: Any = "mosaic", onset: int = 0, length: int = 200, **more: Any) -> Run:
    """A run of `tiny`: clear epochs, a deficit, and 100 clear epochs.

    >>> childhood(onset=80).end
    280
    """
    return Run(deficit, onset, length, **{"profile": "tiny"} | more)


def twenty(run: Run) -> list[Run]:
    """Twenty seeds of a run, and their twins.

    >>> len(twenty(childhood()))
    40
    """
    seeds = [replace(run, seed=seed) for seed in SEEDS]
    return [*seeds, *(one.without_window() for one in seeds)]


def own_twenty(run: Run) -> Estimate:
    """Harm of the twenty seeds that were trained here, each against its twin, in points.

    >>> own_twenty(childhood(length=3, recovery=2))
    not trained yet
    """
    return estimate(harm(run, seeds=SEEDS).values)  # paired: one number a network and its twin


def known(run: Run) -> Estimate:
    """Percent of its own training images that a network gets right, clear, when its deficit ends.

    >>> known(childhood(length=3, recovery=2))
    not trained yet
    """
    rows = [result.measured.get(OWN, {}) for result in each_result(run)]
    return estimate([100 * row[run.end - 1] for row in rows if run.end - 1 in row])


def lines(x: str, words: str, runs: Sequence[Run], own: Iterable[Run]) -> dict[str, dict]:
    """Lines of harm against a field of the runs, x: one line for the runs shipped with the lab, and
    one for your own twenty seeds of these and other runs. words: the template of a line's name."""

    def name(run: Run) -> str:
        since = f"epoch {run.onset}" if run.onset else "birth"
        kind = "blur" if run.deficit == "mosaic" else show.label(run.deficit)
        return words.format(kind=kind, length=run.length, since=since)

    found: dict[str, dict] = {name(runs[0]): {getattr(run, x): harm(run) for run in runs}}
    for run in dict.fromkeys([*runs, *own]):
        if (mine := own_twenty(run)).seeds:
            found.setdefault(f"{name(run)}: yours", {})[getattr(run, x)] = mine
    return found


def by_age(own: Iterable[Run] = ()) -> Figure:
    """Draw one blur's harm against the age at which it begins, with your own runs' harm.

    >>> by_age().ax.get_ylabel()
    'harm, points'
    """
    runs = [childhood(onset=age) for age in (0, 2, 5, 10, 20, 40, 80)]
    groups = lines("onset", "{length} epochs of {kind}", runs, own)
    return show.means(groups, ("clear epochs before the deficit", "harm, points"), zero=True)


def by_length(own: Iterable[Run] = ()) -> Figure:
    """Draw harm against the epoch at which a blur from birth ends, with your own runs' harm.

    >>> by_length().ax.get_xlabel()
    'epoch at which the deficit is removed'
    """
    runs = [childhood(length=n) for n in (10, 25, 50, 100, 200)]
    groups = lines("end", "{kind} from {since}", runs, own)
    return show.means(groups, ("epoch at which the deficit is removed", "harm, points"), zero=True)


def kinds(like: Run) -> dict[str, Run]:
    """Runs that differ in their deficit alone, by what it does to the networks.

    >>> kinds(childhood())["upside down"].deficit
    'flip'
    """
    words = {"mosaic": "blurred", "flip": "upside down", "noise": "shown noise"}
    words |= {"permute": "taught wrong names"}
    return {text: replace(like, deficit=name) for name, text in words.items()}


def knobs() -> dict[str, Run]:
    """A blur from birth as it is, and with one thing changed at a time.

    >>> knobs()["100 digits"].images
    100
    """
    return {"as it is": childhood()} | {words: childhood(**how) for words, how in CHANGES.items()}


def read_aloud(runs: Iterable[Run]) -> str:
    """Say in a sentence (HTML) how far your own twenty seeds of each run end behind their twins.

    >>> read_aloud([childhood(length=3, recovery=2)])
    ''
    """
    said = []
    for run in runs:
        points = own_twenty(run)
        if not points.seeds:
            continue
        kind = "blurred" if run.deficit == "mosaic" else f"under {show.label(run.deficit)}"
        when = f"for {run.length} epochs {age(run)}"
        said.append(f"{kind} {when}, {harm_in_words(points)}")
    if not said:
        return ""
    return f"<p>Yours: {'; '.join(said)}.</p>"


def harm_in_words(points: Estimate) -> str:
    """Say how far networks end behind their twins.

    >>> harm_in_words(estimate([2.0, 2.5, 3.0]))
    'they end 2.5 ± 1.2 points behind their twins'
    """
    words = compare(-points, "their twins")
    return f"they end {words.replace('below', 'behind').replace('above', 'ahead of')}"


def grow(runs: Iterable[Run], figure: Callable[[list[Run]], Any]) -> Any:
    """Train your own twenty seeds of each run. Training begins by itself; `figure(runs)` is drawn
    again as results come in, in a fold, above a sentence on the result. If Python cannot train, as
    on a page, the browser does: the first screen is shown again, set to one of these runs.

    >>> growing = grow([childhood("flip", length=1, recovery=1)], by_length)
    >>> growing.wait(100), "vertical flip from birth: yours" in growing.picture
    (True, True)
    """
    runs = [*runs]
    everything = {"": [one for run in runs for one in twenty(run)]}
    if not runs:
        return None
    if not trains_here():
        middle = runs[len(runs) // 2]
        return lab.Nursery(why=False, knobs=False, onset=middle.onset, length=middle.length)
    growing = lab.live(everything, draw=lambda _: folded(as_html([figure(runs), read_aloud(runs)])))
    growing.press()
    return growing


def folded(page: str) -> str:
    """HTML behind a click, so that a figure does not answer the question above it."""
    summary = "Your own networks: answer the question above first, then look"
    return f"<details><summary>{summary}</summary>{page}</details>"


say_where_names_went(__name__)
