"""What a changed cell lacks: below the cell, a button that trains just that.

Each cell of a notebook is watched (`cplab.lacking`). Where a figure or a verdict says "not trained
yet" of what it looked up, a line says which networks are missing, and how long they take here.
Where that is too long for a lesson, it names values that have results instead.
"""

from __future__ import annotations

import html
import itertools
import json
import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from IPython import get_ipython
from IPython.display import display

from cplab import results
from cplab.errors import CplabError
from cplab.lab.jobs import TELL_EVERY, Clock, Job, Throttle, count_epochs, seconds_here, trains_here
from cplab.lab.questions import Shown
from cplab.lacking import Lacking
from cplab.measure import Measure
from cplab.results import rows, store
from cplab.results.api import format_duration
from cplab.results.tables import write_several
from cplab.runs import Run
from cplab.runs.run import SEVERAL
from cplab.specs import Spec
from cplab.specs.experiments import Experiment

if TYPE_CHECKING:
    from IPython.core.interactiveshell import ExecutionResult, InteractiveShell

LONGEST_WAIT = 600  # seconds that training in a lesson may take
SEED_COUNTS = (3, 2)  # seeds of each network that are trained: three or, if that takes long, two
FEW = 8  # values of a field that are named
TRAIN = "Train what is missing"
AGAIN = "Run the cell again to see what they are like."
# where numbers come from cells above
AGAIN_ABOVE = "Run this section's cells again, from its first one, to see what they are like."
PLACE_FIRST = ("length", "onset", "recovery", "deficit")  # what a student changes most


class MissingResult(NamedTuple):
    """A spec without a result for any seed, and what was to be measured on it."""

    spec: Run | Experiment
    measure: Measure


def with_seeds(missing: Iterable[MissingResult], count: int) -> list[MissingResult]:
    """The first `count` seeds of what is missing."""
    seeded = []
    for lack in missing:
        for seed in range(count):
            seeded.append(MissingResult(lack.spec.with_seed(seed), lack.measure))
    return seeded


def has_result(lack: MissingResult) -> bool:
    """Whether there is a result for one of the first seeds, as there is once they are trained."""
    seeds = range(min(SEED_COUNTS))
    return any(results.find(lack.spec.with_seed(seed), lack.measure) for seed in seeds)


def reasons_against(missing: Iterable[MissingResult]) -> dict[Spec, str]:
    """Why some of what is missing cannot be trained, by its spec."""
    reasons = dict[Spec, str]()
    for lack in missing:
        try:
            if isinstance(lack.spec, Run):
                lack.spec.check_network()
        except CplabError as error:
            reasons[lack.spec] = f"{lack.spec.call()} cannot be trained: {error}"
    return reasons


class MeasuredAlike(NamedTuple):
    """Specs on which the same is measured."""

    specs: list[Run | Experiment]
    measure: Measure


def by_measure(missing: Iterable[MissingResult]) -> list[MeasuredAlike]:
    """What is missing, in groups on which the same is measured."""
    groups: dict[str, MeasuredAlike] = {}
    for lack in missing:
        group = groups.setdefault(repr(lack.measure), MeasuredAlike([], lack.measure))
        group.specs.append(lack.spec)
    return [*groups.values()]


def seconds_of(missing: Sequence[MissingResult]) -> float | None:
    """How many seconds it takes to train here what is missing; None if that cannot be told."""
    total = 0.0
    for group in by_measure(missing):
        seconds = seconds_here(group.specs, group.measure)
        if seconds is None:
            return None
        total += seconds
    return total


# Values that have results -------------------------------------------------------------------------


Value = str | int | float  # of a field
Fields = dict[str, Any]  # of a run, or the arguments of an experiment, by name


def fields_of(spec: Spec) -> Fields:
    """What describes a spec but for its seed, as its results have it in their columns."""
    fields = rows.run_columns(spec) if isinstance(spec, Run) else dict(spec.plain())
    fields.pop("seed", None)
    return fields


def fields_of_results(spec: Spec) -> list[Fields]:
    """The fields of all results of a spec's kind, shipped and live, as `fields_of` has them."""
    alike = []
    columns = ["kind", "version", "spec", *rows.RUN_COLUMNS]
    for row in store.archive().columns(columns).to_pylist():
        if (row["kind"], row["version"]) != (spec.address, spec.version):
            continue
        if isinstance(spec, Run):
            alike.append({name: row[name] for name in rows.RUN_COLUMNS})
        else:
            alike.append(json.loads(row["spec"]))
    for result in store.live_results(spec.address):
        alike.append(fields_of(result.spec))
    return alike


def trained_values(spec: Spec, trained: Iterable[Fields]) -> dict[str, list[Value]]:
    """Values of a single field at which there are results, all else being as in a spec.

    Arguments: spec; trained, the fields of all results of its kind.

    >>> run = Run("blur", length=7)
    >>> trained_values(run, fields_of_results(run))["length"]
    [2, 4, 8, 12, 16, 24]
    """
    sought = fields_of(spec)
    values: dict[str, set[Value]] = {}
    for fields in trained:
        name = only_difference(fields, sought)
        if name is None:
            continue
        value = fields.get(name)
        if isinstance(value, str | int | float):
            values.setdefault(name, set()).add(as_given(name, value))
    order = [name for name in PLACE_FIRST if name in values]
    order += [name for name in values if name not in PLACE_FIRST]
    return {name: nearest(values[name], sought[name]) for name in order}


def only_difference(fields: Fields, sought: Fields) -> str | None:
    """The name of the only field whose value is another than the one that is sought; None if there
    is no such field, or more than one.

    >>> only_difference({"length": 8, "onset": 0}, {"length": 7, "onset": 0})
    'length'
    """
    different = None
    for name, value in sought.items():
        if fields.get(name) == value:
            continue
        if different is not None:
            return None
        different = name
    return different


def as_given(field: str, value: Value) -> Value:
    """A value of a column as a run takes it: windows and treatments as one text.

    >>> as_given("treatments", '[["renorm", 1.0, 16, 0]]'), as_given("length", 8)
    ('renorm@16', 8)
    """
    return write_several(json.loads(str(value))) if field in SEVERAL else value


def nearest(values: set[Value], sought: object) -> list[Value]:
    """A few of some values, in order: if all are numbers, those that are nearest to `sought`."""
    chosen = values
    numbers = [value for value in values if isinstance(value, int | float)]
    if isinstance(sought, int | float) and len(numbers) == len(values):
        numbers.sort(key=lambda value: abs(value - sought))
        chosen = {*numbers[:FEW]}
    # By type first, since a text and a number cannot be compared
    ordered = sorted(chosen, key=lambda value: (str(type(value)), value))
    return ordered[:FEW]


def in_words(values: Sequence[Value]) -> str:
    """Write values as they are written in Python: `2, 4 or 8`.

    >>> in_words([2, 4, 8])
    '2, 4 or 8'
    """
    *earlier, last = [repr(value) for value in values]
    return f"{', '.join(earlier)} or {last}" if earlier else last


def advice(missing: Sequence[MissingResult]) -> list[str]:
    """A line for what is missing, with values that have results in its place: for all of it or, if
    there are none, for the first two kinds of it."""
    specs = sorted({lack.spec for lack in missing}, key=is_control)
    trained: dict[str, list[Fields]] = {}  # the fields of all results, by their kind
    tables = []
    for spec in specs:
        if spec.address not in trained:
            trained[spec.address] = fields_of_results(spec)
        tables.append(trained_values(spec, trained[spec.address]))
    deprived = [table for spec, table in zip(specs, tables, strict=True) if not is_control(spec)]
    common = values_in_all(deprived or tables)
    if common:
        tables = [common]
    lines = []
    for values in tables:
        fields = [f"{name} = {in_words(trained)}" for name, trained in values.items()]
        if fields:
            words = "; ".join(fields[:3])
            lines.append(f"There are results, all else being equal, for {words}.")
    return [*dict.fromkeys(lines)][:2]


def values_in_all(tables: Sequence[Mapping[str, Sequence[Value]]]) -> dict[str, list[Value]]:
    """The values of each field that are in all of some tables, {field: values}.

    >>> values_in_all([{"length": [8, 16], "onset": [4]}, {"length": [16, 48]}])
    {'length': [16]}
    """
    first, *others = tables
    common = {}
    for name, values in first.items():
        shared = list(values)
        for table in others:
            shared = [value for value in shared if value in table.get(name, ())]
        if shared:
            common[name] = shared
    return common


def is_control(spec: Spec) -> bool:
    """Whether a spec is a run without a deficit."""
    return isinstance(spec, Run) and not spec.length and not spec.windows


# The offer ----------------------------------------------------------------------------------------


def offer(
    lacking: Iterable[tuple[Run | Experiment, Measure]], from_before: Sequence[Spec] = ()
) -> Job | Shown | None:
    """Offer a button that trains what is missing or, if that takes too long, a line with values
    that have results.

    Arguments: lacking, pairs of a spec of any seed and what is to be measured on it; from_before,
        those of these specs that an earlier cell looked up.
    Returns: what is shown below the cell; None if nothing is missing.

    >>> offer([(Run("blur", length=1, recovery=1, profile="ci"), ())]).words
    'Train what is missing'
    """
    again = AGAIN_ABOVE if from_before else AGAIN
    missing = [lack for lack in itertools.starmap(MissingResult, lacking) if not has_result(lack)]
    refused = reasons_against(missing)
    missing = [lack for lack in missing if lack.spec not in refused]
    reasons = [*dict.fromkeys(refused.values())]
    reasons_page = "".join(f"<p>{html.escape(reason)}</p>" for reason in reasons)
    if refused and not missing:
        return Shown(" ".join(reasons), None, reasons_page)
    if not missing and from_before:  # trained since the earlier cell
        line = f"These networks are trained now. {again}"
        return Shown(line, None, f"<p>{html.escape(line)}</p>")
    if not missing:
        return None
    kinds = len({lack.spec for lack in missing})
    networks = f"{kinds} kinds of networks are" if kinds > 1 else "one kind of network is"
    begin = f"{reasons_page}<p>Above, {networks} not trained yet."
    fold = folded_calls(missing)
    lines = list[str]()
    if trains_here():
        for count in SEED_COUNTS:
            several = with_seeds(missing, count)
            seconds = seconds_of(several)
            if seconds is None or seconds <= LONGEST_WAIT:
                named = ", ".join(map(str, range(count)))
                time = (
                    f"Training seeds {named} of each takes "
                    f"{format_duration(seconds)} {trainer_in_words()}."
                )
                return button(several, f"{begin} {time}</p>{fold}", again)
        # of the fewest seeds, which are two
        lines.append(
            f"Two seeds of each would take {format_duration(seconds)} {trainer_in_words()}, "
            "too long to wait for."
        )
    lines += advice(missing)
    page = f"{begin} {' '.join(map(html.escape, lines))}</p>{fold}"
    return Shown(f"not trained yet: {' '.join(lines)}", None, page)


def folded_calls(missing: Iterable[MissingResult]) -> str:
    """The calls that would train what is missing, each once, in a fold, as HTML."""
    calls = dict.fromkeys(lack.spec.call() for lack in missing)
    items = "".join(f"<li><code>{html.escape(call)}</code></li>" for call in calls)
    return f"<details><summary>which</summary><ul>{items}</ul></details>"


def trainer_in_words() -> str:
    """Say which part of this computer trains."""
    from cplab import devices
    from cplab.engine import workers

    kind = devices.pick("auto").type
    if kind != "cpu":
        return f"on this computer's GPU ({kind})"
    cores = workers.usable_cores()
    return f"on this computer's {cores} cores" if cores > 1 else "on this computer's one core"


def button(missing: Sequence[MissingResult], above: str, again: str) -> Job:
    """A button that trains what is missing.

    Arguments: missing; above, a line of HTML above it; again, what to do when all are trained.
    """

    def work(stop: threading.Event) -> str:
        clock = Clock(count_epochs(lack.spec for lack in missing), seconds_of(missing))
        throttle = Throttle(lambda: job.tell(clock.done, clock.epochs, clock.message), TELL_EVERY)

        def report(spec: Spec, row: dict) -> None:
            clock(spec, row)
            throttle()

        throttle()
        try:
            for specs, measure in by_measure(missing):
                for spec, _ in results.collect(specs, measure, stop=stop, report=report):
                    if isinstance(spec, Experiment):
                        clock(spec, {"epoch": 0})  # it counts as one, and reports nothing
                    throttle()
        finally:
            throttle.finish()
        return f"trained in {clock.took()}. {again}"

    job = Job(TRAIN, work, above=above)
    return job


# Cells --------------------------------------------------------------------------------------------


def watch_cells(shell: InteractiveShell) -> None:
    """Watch each cell of a notebook, and put an offer below those that lack something."""
    before: Lacking | None = None  # what the cells until now lacked

    def begin(*info: object) -> None:
        Lacking(before)

    def end(result: ExecutionResult | None = None) -> None:
        nonlocal before
        cell = Lacking.latest
        Lacking.latest = None
        before = cell or before
        if not cell or not cell.said or result is None or not result.success:
            return
        below = offer(cell.missing(), cell.from_before())
        if below is not None:
            display(below)

    shell.events.register("pre_run_cell", begin)
    shell.events.register("post_run_cell", end)


if (_shell := get_ipython()) is not None and hasattr(_shell, "kernel"):  # in a notebook
    watch_cells(_shell)
