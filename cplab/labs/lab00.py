"""Lab 00: a critical period in ten seconds, in small networks that learn digits by heart.

All runs are of the profile `tiny`. A network's twin is the same run without the epochs of the
deficit. Harm is how many points of test accuracy a network ends behind its twin, after the clear
epochs that follow the deficit.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from cplab import lab, show
from cplab.estimates import Estimate, compare, estimate, rows_of_seeds
from cplab.lab.jobs import Job, trains_here
from cplab.output import as_html
from cplab.quantities import each_result, harm, lack
from cplab.runs import Run
from cplab.show import Figure
from cplab.styles import age

OWN_RIGHT = "own_images_right"  # a measurement
SEEDS = range(100, 120)  # of a student's own networks; those that come with the lab have others
# The fields of a run that `knobs` changes, by the words for the change
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
    return estimate(harm(run, seeds=SEEDS).values)  # a number for each network and its twin


def own_images_right(run: Run) -> Estimate:
    """The percentage of its own training images, shown clear, that a network names correctly when
    its deficit ends.

    >>> own_images_right(childhood(length=3, recovery=2))
    not trained yet
    """
    last = run.end - 1  # the last epoch of the deficit, counted from 0
    percentages = []
    for result in each_result(run):
        fractions = result.measured.get(OWN_RIGHT, {})  # {epoch: fraction}
        if last in fractions:
            percentages.append(100 * fractions[last])
    return estimate(rows_of_seeds(percentages, [lack(run, {OWN_RIGHT: (last,)})]))


def lines_of_harm(
    field: str, template: str, shipped: Sequence[Run], trained: Iterable[Run]
) -> dict[str, dict[int, Estimate]]:
    """Lines of harm against a field of the runs: one line for the runs shipped with the lab, and
    more for the twenty seeds that you trained of these and of other runs.

    Arguments: field, onset or end; template, of a line's name, see `line_name`; shipped, trained,
        the runs.
    Returns: {name of the line: {the field's value: harm}}.
    """
    shipped_line = {}
    for run in shipped:
        shipped_line[getattr(run, field)] = harm(run)
    lines = {line_name(shipped[0], template): shipped_line}
    each_once = dict.fromkeys([*shipped, *trained])
    for run in each_once:
        points = own_twenty(run)
        if points.seeds:
            own_line = lines.setdefault(f"{line_name(run, template)}: yours", {})
            own_line[getattr(run, field)] = points
    return lines


def line_name(run: Run, template: str) -> str:
    """The name of a run's line, from a template that may have {kind}, {length} and {since}.

    >>> line_name(childhood(onset=80), "{length} epochs of {kind} from {since}")
    '200 epochs of blur from epoch 80'
    """
    since = f"epoch {run.onset}" if run.onset else "birth"
    kind = "blur" if run.deficit == "mosaic" else show.label(run.deficit)
    return template.format(kind=kind, length=run.length, since=since)


def by_age(trained: Iterable[Run] = ()) -> Figure:
    """Draw one blur's harm against the age at which it begins, and the harm of the runs that you
    trained.

    >>> by_age().ax.get_ylabel()
    'harm, points'
    """
    runs = [childhood(onset=onset) for onset in (0, 2, 5, 10, 20, 40, 80)]
    groups = lines_of_harm("onset", "{length} epochs of {kind}", runs, trained)
    return show.means(groups, ("clear epochs before the deficit", "harm, points"), zero=True)


def by_length(trained: Iterable[Run] = ()) -> Figure:
    """Draw harm against the epoch at which a blur from birth ends, and the harm of the runs that
    you trained.

    >>> by_length().ax.get_xlabel()
    'epoch at which the deficit is removed'
    """
    runs = [childhood(length=length) for length in (10, 25, 50, 100, 200)]
    groups = lines_of_harm("end", "{kind} from {since}", runs, trained)
    return show.means(groups, ("epoch at which the deficit is removed", "harm, points"), zero=True)


def kinds(run: Run) -> dict[str, Run]:
    """Runs that differ in their deficit alone, by words for what the networks go through.

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
    """The run blurred from birth, and the same run with one thing changed at a time, by words for
    the change.

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
    findings = []
    for run in runs:
        points = own_twenty(run)
        if points.seeds:
            state = "blurred" if run.deficit == "mosaic" else f"under {show.label(run.deficit)}"
            findings.append(f"{state} for {run.length} epochs {age(run)}, {harm_in_words(points)}")
    if not findings:
        return ""
    return f"<p>Yours: {'; '.join(findings)}.</p>"


def harm_in_words(points: Estimate) -> str:
    """Say how far networks end behind their twins.

    >>> harm_in_words(estimate([2.0, 2.5, 3.0]))
    'they end 2.5 ± 1.2 points behind their twins'
    """
    words = compare(-points, "their twins")
    words = words.replace("below", "behind").replace("above", "ahead of")
    return f"they end {words}"


def grow(runs: Iterable[Run], figure: Callable[[list[Run]], Figure]) -> Job | lab.Nursery | None:
    """Train your own twenty seeds of each run, from now on, while the cell shows how they do.

    As results come in, `figure(runs)` is drawn again, with a sentence on the result below it, both
    in a fold. If Python cannot train, as on a page, the browser does: the lab's first screen is
    shown again, set to the middle one of these runs.

    Returns: what the cell shows; None without runs.

    >>> growing = grow([childhood("flip", length=1, recovery=1)], by_length)
    >>> growing.wait(100), "vertical flip from birth: yours" in growing.picture
    (True, True)
    """
    runs = [*runs]
    if not runs:
        return None
    if not trains_here():
        middle = runs[len(runs) // 2]
        return lab.Nursery(onset=middle.onset, length=middle.length)

    def draw(_: object) -> str:
        return folded(as_html([figure(runs), read_aloud(runs)]))

    networks = []
    for run in runs:
        networks += twenty(run)
    growing = lab.live({"": networks}, draw=draw)  # `draw` names its lines itself
    growing.press()
    return growing


def folded(page: str) -> str:
    """HTML behind a click, so that a figure does not answer the question above it."""
    summary = "Your own networks: answer the question above first, then look"
    return f"<details><summary>{summary}</summary>{page}</details>"
