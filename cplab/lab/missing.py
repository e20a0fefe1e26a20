"""What a changed cell lacks: below the cell, a button that trains just that.

Each cell of a notebook is watched (`cplab.lacking`). Where a figure or a verdict says "not trained
yet" of what it looked up, a line says which networks are missing, and how long they take here.
Where that is too long for a lesson, it names values that have results instead.
"""

import html
import json
import threading
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from IPython import get_ipython
from IPython.display import display

from cplab import results
from cplab.lab.jobs import Clock, Job, Throttle, count_epochs, seconds_here, trains_here
from cplab.lab.questions import Shown
from cplab.lacking import Lacking
from cplab.quantities import Measure
from cplab.results import rows, store
from cplab.results.api import format_duration
from cplab.runs import Run
from cplab.specs import Spec
from cplab.specs.experiments import Experiment

LONGEST_WAIT = 600  # seconds that training in a lesson may take
SEEDS = (3, 2)  # how many are trained: as many of these as there is time for
FEW = 8  # values of a field that are named
TOLD = 0.2  # seconds between two messages while it trains
TRAIN = "Train what is missing"
AGAIN = "Run the cell again to see what they are like."
PLACE_FIRST = ("length", "onset", "recovery", "deficit")  # what a student changes most


class Missing(NamedTuple):
    """A spec without a result for any seed, and what was to be measured on it."""

    spec: Spec
    measure: Measure


def with_seeds(missing: Iterable[Missing], count: int) -> list[Missing]:
    """The first seeds of what is missing."""
    return [
        Missing(lack.spec.with_seed(seed), lack.measure)
        for lack in missing
        for seed in range(count)
    ]


def by_measure(missing: Iterable[Missing]) -> list[tuple[list[Spec], Measure]]:
    """What is missing, in groups on which the same is measured."""
    groups: dict[str, tuple[list[Spec], Measure]] = {}
    for lack in missing:
        specs, _ = groups.setdefault(repr(lack.measure), ([], lack.measure))
        specs.append(lack.spec)
    return [*groups.values()]


def seconds_of(missing: Sequence[Missing]) -> float | None:
    """The seconds that it takes to train what is missing here; None where nothing tells."""
    times = [seconds_here(specs, measure) for specs, measure in by_measure(missing)]
    return None if None in times else sum(filter(None, times))


# Values that have results -------------------------------------------------------------------------


def fields_of(spec: Spec) -> dict[str, Any]:
    """What describes a spec but for its seed, as its results have it in their columns."""
    fields = rows.run_columns(spec) if isinstance(spec, Run) else dict(spec.plain())
    fields.pop("seed", None)
    return fields


def fields_of_results(spec: Spec) -> Iterable[dict[str, Any]]:
    """The same of all results of the spec's kind, shipped and live."""
    columns = ["kind", "version", "spec", *rows.RUN_COLUMNS]
    for row in store.archive().columns(columns).to_pylist():
        if (row["kind"], row["version"]) != (spec.address, spec.version):
            continue
        if isinstance(spec, Run):
            yield {name: row[name] for name in rows.RUN_COLUMNS}
        else:
            yield json.loads(row["spec"])
    for result in store.live_results(spec.address):
        yield fields_of(result.spec)


def trained_values(spec: Spec) -> dict[str, list[Any]]:
    """Values of a single field at which there are results, all else being as in a spec.

    >>> trained_values(Run("blur", length=7))["length"]
    [2, 4, 8, 12, 16, 24]
    """
    asked = fields_of(spec)
    values: dict[str, set] = {}
    for row in fields_of_results(spec):
        others = [name for name in asked if row.get(name) != asked[name]]
        if len(others) == 1 and isinstance(row.get(others[0]), str | int | float):
            values.setdefault(others[0], set()).add(row[others[0]])
    first = [name for name in PLACE_FIRST if name in values]
    order = [*first, *(name for name in values if name not in first)]
    return {name: nearest(values[name], asked[name]) for name in order}


def nearest(values: set, asked: Any) -> list[Any]:
    """The few values that are nearest to one, in order."""
    if isinstance(asked, int | float) and all(isinstance(value, int | float) for value in values):
        values = {*sorted(values, key=lambda value: abs(value - asked))[:FEW]}
    return sorted(values, key=lambda value: (str(type(value)), value))[:FEW]


def in_words(values: Sequence[Any]) -> str:
    """Write values as one writes them in Python: `2, 4 or 8`.

    >>> in_words([2, 4, 8])
    '2, 4 or 8'
    """
    texts = [repr(value) for value in values]
    return " or ".join([*filter(None, [", ".join(texts[:-1])]), texts[-1]])


def advice(missing: Sequence[Missing]) -> list[str]:
    """A line for what is missing, with values that have results in its place."""
    lines = []
    for spec in sorted({lack.spec for lack in missing}, key=is_control):
        values = trained_values(spec)
        words = "; ".join(f"{name} = {in_words(some)}" for name, some in [*values.items()][:3])
        if words:
            lines.append(f"There are results, all else being equal, for {words}.")
    return [*dict.fromkeys(lines)][:2]


def is_control(spec: Spec) -> bool:
    """Whether a spec is a run without a deficit."""
    return isinstance(spec, Run) and not spec.length and not spec.windows


# The offer ----------------------------------------------------------------------------------------


def offer(lacking: Iterable[tuple[Spec, Measure]]) -> Job | Shown | None:
    """A button that trains what is missing, or a line with values that have results; None where
    nothing is missing.

    Arguments: lacking, pairs of a spec of any seed and what is to be measured on it.

    >>> offer([(Run("blur", length=1, recovery=1, profile="ci"), ())]).words
    'Train what is missing'
    """
    missing = [Missing(*lack) for lack in lacking]
    if not missing:
        return None
    kinds = len({lack.spec for lack in missing})
    which = f"{kinds} kinds of networks are" if kinds > 1 else "one kind of network is"
    calls = "".join(f"<li><code>{html.escape(lack.spec.call())}</code></li>" for lack in missing)
    fold = f"<details><summary>which</summary><ul>{calls}</ul></details>"
    begin = f"<p>Above, {which} not trained yet."
    some = with_seeds(missing, SEEDS[-1])
    for count in SEEDS:
        seconds = seconds_of(with_seeds(missing, count))
        if trains_here() and (seconds is None or seconds <= LONGEST_WAIT):
            named = ", ".join(map(str, range(count)))
            how = f"Seeds {named} of each take {format_duration(seconds)} {where()}."
            return button(with_seeds(missing, count), f"{begin} {how}</p>{fold}")
    lines = advice(missing)
    if trains_here():
        time = format_duration(seconds_of(some))
        lines = [f"Two seeds of each would take {time} {where()}, too long to wait for.", *lines]
    page = f"{begin} {' '.join(map(html.escape, lines))}</p>{fold}"
    return Shown(f"not trained yet: {' '.join(lines)}", None, page)


def where() -> str:
    """Say where training is done here."""
    from cplab import devices

    kind = devices.pick("auto").type
    cores = devices.usable_cores()
    processor = f"on this computer's {cores} cores" if cores > 1 else "on this computer's one core"
    return processor if kind == "cpu" else f"on this computer's GPU ({kind})"


def button(missing: Sequence[Missing], above: str) -> Job:
    """A button that trains what is missing, below a line of HTML."""

    def work(stop: threading.Event) -> str:
        clock = Clock(count_epochs(lack.spec for lack in missing), seconds_of(missing))
        throttle = Throttle(lambda: job.tell(clock.done, clock.epochs, clock.message), TOLD)

        def report(spec: Spec, row: dict) -> None:
            clock(spec, row)
            throttle()

        try:
            for specs, measure in by_measure(missing):
                for spec, _ in results.collect(specs, measure, stop=stop, report=report):
                    if isinstance(spec, Experiment):
                        clock(spec, {"epoch": 0})  # it counts as one, and reports nothing
                    throttle()
        finally:
            throttle.finish()
        return f"trained in {clock.took()}. {AGAIN}"

    job = Job(TRAIN, work, above=above)
    return job


# Cells --------------------------------------------------------------------------------------------


def watch_cells(shell: Any) -> None:
    """Watch each cell of a notebook, and put an offer below those that lack something."""

    def begin(*info: Any) -> None:
        Lacking()

    def end(result: Any = None) -> None:
        cell = Lacking.latest
        Lacking.latest = None
        if cell and cell.said and result is not None and result.success:
            below = offer(cell.missing())
            if below is not None:
                display(below)

    shell.events.register("pre_run_cell", begin)
    shell.events.register("post_run_cell", end)


if (_shell := get_ipython()) is not None and hasattr(_shell, "kernel"):  # in a notebook
    watch_cells(_shell)
