"""Lab 00: a critical period in ten seconds, in small networks that learn digits by heart.

All runs are of the profile `tiny`. Harm is in points of test accuracy, after the clear epochs that
follow a deficit. It compares a network with its twin, which is the run without the window.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from cplab import lab, show
from cplab.estimates import Estimate, compare, estimate
from cplab.lab.growing import OWN_RIGHT
from cplab.lab.jobs import Job, trains_here
from cplab.moved import say_where_names_went
from cplab.output import as_html
from cplab.quantities import each_result, harm
from cplab.runs import Run
from cplab.show import Figure
from cplab.styles import age

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


def childhood(
    deficit: str = "mosaic",
    onset: int = 0,
    length: int = 200,
    profile: str = "tiny",
    **fields: Any,
) -> Run:
    """A run of `tiny`: clear epochs, a deficit, and 100 clear epochs.

    >>> childhood(onset=80).end
    280
    """
    return Run(deficit, onset, length, profile=profile, **fields)


def twenty(run: Run) -> list[Run]:
    """Twenty seeds of a run, and their twins.

    >>> len(twenty(childhood()))
    40
    """
    networks = [run.with_seed(seed) for seed in SEEDS]
    twins = [network.without_window() for network in networks]
    return networks + twins


def own_twenty(run: Run) -> Estimate:
    """Harm of the twenty seeds that were trained here, each against its twin, in points.

    >>> own_twenty(childhood(length=3, recovery=2))
    not trained yet
    """
    return estimate(harm(run, seeds=SEEDS).values)  # paired: one number a network and its twin


def known(run: Run) -> Estimate:
    """The percentage of its own training images, shown clear, that a network names correctly when
    its deficit ends.

    >>> known(childhood(length=3, recovery=2))
    not trained yet
    """
    last = run.end - 1  # the last epoch of the deficit
    percentages = []
    for result in each_result(run):
        fractions = result.measured.get(OWN_RIGHT, {})  # by epoch
        if last in fractions:
            percentages.append(100 * fractions[last])
    return estimate(percentages)


def lines(
    field: str, words: str, shipped: Sequence[Run], trained: Iterable[Run]
) -> dict[str, dict[int, Estimate]]:
    """Lines of harm against a field of the runs: one line for the runs shipped with the lab, and
    one for the twenty seeds that you trained of these and other runs.

    Arguments: field, onset or end; words, the template of a line's name, with {kind}, {length} and
        {since}; shipped, trained, the runs.
    """

    def name(run: Run) -> str:
        since = f"epoch {run.onset}" if run.onset else "birth"
        kind = "blur" if run.deficit == "mosaic" else show.label(run.deficit)
        return words.format(kind=kind, length=run.length, since=since)

    harms = {name(shipped[0]): {getattr(run, field): harm(run) for run in shipped}}
    for run in dict.fromkeys([*shipped, *trained]):
        points = own_twenty(run)
        if points.seeds:
            line = harms.setdefault(f"{name(run)}: yours", {})
            line[getattr(run, field)] = points
    return harms


def by_age(trained: Iterable[Run] = ()) -> Figure:
    """Draw one blur's harm against the age at which it begins, and the harm of the runs that you
    trained.

    >>> by_age().ax.get_ylabel()
    'harm, points'
    """
    runs = [childhood(onset=age) for age in (0, 2, 5, 10, 20, 40, 80)]
    groups = lines("onset", "{length} epochs of {kind}", runs, trained)
    return show.means(groups, ("clear epochs before the deficit", "harm, points"), zero=True)


def by_length(trained: Iterable[Run] = ()) -> Figure:
    """Draw harm against the epoch at which a blur from birth ends, and the harm of the runs that
    you trained.

    >>> by_length().ax.get_xlabel()
    'epoch at which the deficit is removed'
    """
    runs = [childhood(length=n) for n in (10, 25, 50, 100, 200)]
    groups = lines("end", "{kind} from {since}", runs, trained)
    return show.means(groups, ("epoch at which the deficit is removed", "harm, points"), zero=True)


def kinds(run: Run) -> dict[str, Run]:
    """Runs that differ in their deficit alone, by what it does to the networks.

    >>> kinds(childhood())["upside down"].deficit
    'flip'
    """
    return {
        "blurred": run.replace(deficit="mosaic"),
        "upside down": run.replace(deficit="flip"),
        "shown noise": run.replace(deficit="noise"),
        "taught wrong names": run.replace(deficit="permute"),
    }


def knobs() -> dict[str, Run]:
    """A blur from birth as it is, and with one thing changed at a time.

    >>> knobs()["100 digits"].images
    100
    """
    runs = {"as it is": childhood()}
    for words, fields in CHANGES.items():
        runs[words] = childhood(**fields)
    return runs


def read_aloud(runs: Iterable[Run]) -> str:
    """Say in a sentence (HTML) how far your own twenty seeds of each run end behind their twins.

    >>> read_aloud([childhood(length=3, recovery=2)])
    ''
    """
    ends = []
    for run in runs:
        points = own_twenty(run)
        if points.seeds:
            kind = "blurred" if run.deficit == "mosaic" else f"under {show.label(run.deficit)}"
            ends.append(f"{kind} for {run.length} epochs {age(run)}, {harm_in_words(points)}")
    if not ends:
        return ""
    return f"<p>Yours: {'; '.join(ends)}.</p>"


def harm_in_words(points: Estimate) -> str:
    """Say how far networks end behind their twins.

    >>> harm_in_words(estimate([2.0, 2.5, 3.0]))
    'they end 2.5 ± 1.2 points behind their twins'
    """
    words = compare(-points, "their twins")
    words = words.replace("below", "behind").replace("above", "ahead of")
    return f"they end {words}"


def grow(runs: Iterable[Run], figure: Callable[[list[Run]], Figure]) -> Job | lab.Nursery | None:
    """Train your own twenty seeds of each run. Training begins by itself; `figure(runs)` is drawn
    again as results come in, in a fold, above a sentence on the result. If Python cannot train, as
    on a page, the browser does: the first screen is shown again, set to one of these runs.

    Returns: what the cell shows; nothing without runs.

    >>> growing = grow([childhood("flip", length=1, recovery=1)], by_length)
    >>> growing.wait(100), "vertical flip from birth: yours" in growing.picture
    (True, True)
    """
    runs = [*runs]
    if not runs:
        return None
    if not trains_here():
        middle = runs[len(runs) // 2]
        return lab.Nursery(why=False, knobs=False, onset=middle.onset, length=middle.length)

    def draw(_: object) -> str:
        return folded(as_html([figure(runs), read_aloud(runs)]))

    everything = []
    for run in runs:
        everything += twenty(run)
    growing = lab.live({"": everything}, draw=draw)
    growing.press()
    return growing


def folded(page: str) -> str:
    """HTML behind a click, so that a figure does not answer the question above it."""
    summary = "Your own networks: answer the question above first, then look"
    return f"<details><summary>{summary}</summary>{page}</details>"


say_where_names_went(__name__)
