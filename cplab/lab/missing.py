"""What an output lacks: below it, a button that trains just that.

Numbers, figures and questions know which results they lack (`estimates.lacking_in`). Where one is
shown in a notebook, a line says which networks are missing, and which values have results instead.
"""

from __future__ import annotations

import html
import json
import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from IPython import get_ipython
from IPython.display import display

from cplab import results
from cplab.errors import CplabError
from cplab.estimates import Estimate, Lack, lacking_in
from cplab.lab.jobs import Job, train, trains_here
from cplab.lab.questions import Shown
from cplab.output import bundle
from cplab.results import Request, rows, store
from cplab.results.duration import usual_time
from cplab.results.tables import write_several
from cplab.runs import Run
from cplab.runs.run import SEVERAL
from cplab.specs import Spec
from cplab.specs.experiments import Experiment

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

SEEDS = (0, 1, 2)  # of each network, which are trained
FEW = 8  # values of a field that are named
TRAIN = "Train what is missing"
AGAIN = "Run this section's cells again, from its first one, to see what they are like."
PLACE_FIRST = ("length", "onset", "recovery", "deficit")  # what a student changes most


# What is missing ----------------------------------------------------------------------------------


def has_result(lack: Lack) -> bool:
    """Whether there is a result for one of the seeds, as there is once they are trained."""
    return any(results.find(lack.spec.with_seed(seed), lack.measure) for seed in SEEDS)


def reasons_against(missing: Iterable[Lack]) -> dict[Spec, str]:
    """Why some of what is missing cannot be trained, by its spec."""
    reasons = dict[Spec, str]()
    for lack in missing:
        try:
            if isinstance(lack.spec, Experiment):
                lack.spec.check_computable()
        except CplabError as error:
            reasons[lack.spec] = str(error)
    return reasons


def with_seeds(missing: Iterable[Lack]) -> list[Lack]:
    """Each seed of what is missing."""
    return [Lack(lack.spec.with_seed(seed), lack.measure) for lack in missing for seed in SEEDS]


def by_measure(missing: Iterable[Lack]) -> list[list[Lack]]:
    """What is missing, in groups on which the same is measured."""
    groups: dict[str, list[Lack]] = {}
    for lack in missing:
        groups.setdefault(repr(lack.measure), []).append(lack)
    return [*groups.values()]


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


def advice(missing: Sequence[Lack]) -> list[str]:
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


def offer(lacking: Iterable[Lack]) -> Job | Shown | None:
    """Offer a button that trains what is missing.

    Returns: what is shown below an output; None if nothing is missing.

    >>> offer([Lack(Run("blur", length=1, recovery=1, profile="ci"))]).words
    'Train what is missing'
    """
    lacking = [*lacking]
    missing = [lack for lack in lacking if not has_result(lack)]
    if not lacking:
        return None
    if not missing:  # trained since these numbers were computed
        return line_of(f"These networks are trained now. {AGAIN}")
    refused = reasons_against(missing)
    reasons = "".join(f"<p>{html.escape(reason)}</p>" for reason in dict.fromkeys(refused.values()))
    if len(refused) == len({lack.spec for lack in missing}):
        values = "".join(f"<p>{html.escape(line)}</p>" for line in advice(missing))
        return Shown("not trained yet", None, reasons + values)
    missing = [lack for lack in missing if lack.spec not in refused]
    kinds = len({lack.spec for lack in missing})
    networks = f"{kinds} kinds of networks are" if kinds > 1 else "one kind of network is"
    lines = [f"Above, {networks} not trained yet."]
    if trains_here():
        time = usual_time([lack.spec for lack in with_seeds(missing)])
        takes = f"usually takes {time}" if time else "takes as long as the first epochs will show"
        lines.append(f"Training seeds {', '.join(map(str, SEEDS))} of each {takes}.")
    lines += advice(missing)
    above = f"{reasons}<p>{' '.join(map(html.escape, lines))}</p>{folded_calls(missing)}"
    if trains_here():
        return button(with_seeds(missing), above)
    return Shown(" ".join(lines), None, above)


def line_of(words: str) -> Shown:
    """A line of text."""
    return Shown(words, None, f"<p>{html.escape(words)}</p>")


def folded_calls(missing: Iterable[Lack]) -> str:
    """The calls that would train what is missing, each once, in a fold, as HTML."""
    calls = dict.fromkeys(lack.spec.call() for lack in missing)
    items = "".join(f"<li><code>{html.escape(call)}</code></li>" for call in calls)
    return f"<details><summary>which</summary><ul>{items}</ul></details>"


def button(missing: Sequence[Lack], above: str) -> Job:
    """A button that trains what is missing; above, HTML above it."""

    def work(stop: threading.Event) -> str:
        requests = []
        for group in by_measure(missing):
            specs = [lack.spec for lack in group]
            requests.append(Request(specs, group[0].measure, stop=stop))
        return f"trained in {train(requests, job.tell)}. {AGAIN}"

    job = Job(TRAIN, work, above=above)
    return job


# In a notebook ------------------------------------------------------------------------------------


def show_with_offer(shown: Any) -> None:
    """Show something in a notebook and, below it, an offer to train what it lacks.

    Arguments: shown, an estimate, a figure, a question or a table.
    Raises: NotImplementedError where it lacks nothing, so that IPython shows it as it shows all
        else.
    """
    below = offer(lacking_in(shown))
    if below is None:
        raise NotImplementedError
    if hasattr(shown, "_repr_html_"):
        display(bundle(repr(shown), shown._repr_html_()), raw=True)
    else:
        display({"text/plain": repr(shown)}, raw=True)
    display(below)


def offer_below_outputs(shell: InteractiveShell) -> None:
    """Let a notebook show offers below what lacks something. Types are named where their libraries
    are loaded late."""
    assert shell.display_formatter
    formatter = shell.display_formatter.ipython_display_formatter
    formatter.for_type(Estimate, show_with_offer)
    formatter.for_type(Shown, show_with_offer)
    formatter.for_type_by_name("cplab.show.base", "Figure", show_with_offer)
    for module in ("pandas", "pandas.core.frame"):  # since pandas 3, and before
        formatter.for_type_by_name(module, "DataFrame", show_with_offer)


if (_shell := get_ipython()) is not None and hasattr(_shell, "kernel"):  # in a notebook
    offer_below_outputs(_shell)
